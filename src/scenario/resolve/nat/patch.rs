//! Changes of a gateway while it runs: `patchNat` events.

use super::super::Resolver;
use super::lists::{tier_name, two_tiers};
use super::{NatIp, RuleIps};
use crate::scenario::NatConfig;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::file::nat::{NatIpAllocateOption, RouterNat};
use crate::scenario::value::{At, Reference};

impl Resolver<'_> {
    /// Applies a patch to a gateway's configuration as it is at that time.
    pub(in crate::scenario::resolve) fn patch_nat(&mut self, gateway: usize, set: &At<RouterNat>) -> Option<NatConfig> {
        for (field, place) in [
            ("type", set.nat_type.as_ref().map(|value| value.place)),
            ("endpointTypes", set.endpoint_types.as_ref().and_then(|list| list.first()).map(|value| value.place)),
            ("name", set.name.as_ref().map(|value| value.place)),
        ] {
            if let Some(place) = place {
                let message = format!("{field} of a gateway cannot change");
                let help = "remove it from `set`; a gateway that is deleted and made again is not simulated";
                self.push(Diagnostic::rejected("immutable", message).at(place).help(help));
            }
        }
        let ranges = set.source_subnetwork_ip_ranges_to_nat.as_ref().map(|value| value.place);
        if let Some(place) = ranges.or(set.subnetworks.as_ref().map(|list| list.place)) {
            let message = "a change of the subnets that a gateway serves is not simulated";
            self.push(Diagnostic::warning("not-simulated", message).at(place));
        }
        let before = self.out.nat_gateways[gateway].config.clone();
        let ips_before = self.details.gateways[gateway].ips.clone();
        let after = overlay(&self.details.gateways[gateway].nat, set);
        let region = self.out.nat_gateways[gateway].region.clone();
        let created = self.details.gateways[gateway].created.clone().map(At::from);
        let (config, ips) = self.nat_config(&after, set.place, &region, created.as_ref())?;
        self.network_tier_used(set, config.allocate);
        for list in &ips {
            self.drains(ips_before.iter().find(|before| before.number == list.number), list);
        }
        let name = self.out.nat_gateways[gateway].name.clone();
        self.not_shared(&name, gateway, &ips);
        self.disruptions(set, (&before, &ips_before), (&config, &ips));
        let detail = &mut self.details.gateways[gateway];
        detail.nat = after;
        detail.ips = ips;
        Some(config)
    }

    /// Only what a rule had can be drained, and what is taken back must have the tier of what was active.
    fn drains(&mut self, before: Option<&RuleIps>, after: &RuleIps) {
        let had = |ip: &NatIp| before.is_some_and(|before| before.all().any(|had| had.address == ip.address));
        for ip in after.draining.iter().filter(|ip| !had(ip)) {
            let message = format!("{} was not a NAT IP of {}, so it cannot be drained", ip.address, after.owner());
            self.push(
                Diagnostic::rejected("drain-unassigned", message).at(ip.place).help(
                    "drain an address that was active before, and take it from the active ones in the same event",
                ),
            );
        }
        let Some(before) = before.filter(|_| two_tiers(&after.active).is_none()) else { return };
        let Some(active) = before.active.first() else { return };
        let drained = |ip: &&NatIp| before.draining.iter().any(|drained| drained.address == ip.address);
        if let Some(back) = after.active.iter().filter(drained).find(|ip| ip.tier != active.tier) {
            let message = format!(
                "{} is {} and cannot come back from draining: {} has {} addresses",
                back.address,
                tier_name(back.tier),
                after.owner(),
                tier_name(active.tier)
            );
            self.push(
                Diagnostic::rejected("undrain-across-tiers", message)
                    .at(back.place)
                    .help("let it drain to the end, then add it again"),
            );
        }
    }
}

/// A gateway with some fields changed; lists are replaced as a whole. As with gcloud, IPs that are only said to drain leave
/// the active list, and AUTO_ONLY clears it. IPs that become active again leave the drained. A maximum that is left over when
/// dynamic port allocation ends is dropped: the API says that it has no effect then.
fn overlay(before: &RouterNat, set: &RouterNat) -> RouterNat {
    macro_rules! over {
        ($($field:ident),* $(,)?) => {
            RouterNat { $($field: set.$field.clone().or_else(|| before.$field.clone())),* }
        };
    }
    let mut after = over!(
        name,
        nat_type,
        endpoint_types,
        nat_ip_allocate_option,
        nat_ips,
        drain_nat_ips,
        auto_network_tier,
        source_subnetwork_ip_ranges_to_nat,
        subnetworks,
        min_ports_per_vm,
        max_ports_per_vm,
        enable_dynamic_port_allocation,
        enable_endpoint_independent_mapping,
        udp_idle_timeout_sec,
        icmp_idle_timeout_sec,
        tcp_established_idle_timeout_sec,
        tcp_transitory_idle_timeout_sec,
        tcp_time_wait_timeout_sec,
        effective_tcp_time_wait_timeout_sec,
        log_config,
        rules,
        source_subnetwork_ip_ranges_to_nat64,
    );
    let without = |list: &mut Option<At<Vec<At<Reference>>>>, gone: &Option<At<Vec<At<Reference>>>>| {
        if let (Some(list), Some(gone)) = (list, gone) {
            list.value.retain(|kept| !gone.iter().any(|gone| gone.name() == kept.name()));
        }
    };
    match (&set.nat_ips, &set.drain_nat_ips) {
        (None, Some(_)) => without(&mut after.nat_ips, &set.drain_nat_ips),
        (Some(_), None) => without(&mut after.drain_nat_ips, &set.nat_ips),
        _ => {}
    }
    if set.nat_ip_allocate_option.as_ref().is_some_and(|option| option.value == NatIpAllocateOption::AutoOnly) {
        after.nat_ips = set.nat_ips.clone();
        after.drain_nat_ips = set.drain_nat_ips.clone();
    }
    if set.enable_dynamic_port_allocation.as_ref().is_some_and(|dynamic| !dynamic.value) {
        after.max_ports_per_vm = set.max_ports_per_vm;
    }
    after
}
