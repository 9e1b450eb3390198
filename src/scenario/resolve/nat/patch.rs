//! Changes of a gateway while it runs: `patchNat` events.

use std::net::Ipv4Addr;

use super::super::Resolver;
use super::shared_nat_ip;
use crate::scenario::NatConfig;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::nat::RouterNat;
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
                self.push(Diagnostic::rejected("immutable", format!("{field} of a gateway cannot change")).at(place));
            }
        }
        let ranges = set.source_subnetwork_ip_ranges_to_nat.as_ref().map(|value| value.place);
        if let Some(place) = ranges.or(set.subnetworks.as_ref().map(|list| list.place)) {
            let message = "a change of the subnets that a gateway serves is not simulated";
            self.push(Diagnostic::warning("not-simulated", message).at(place));
        }
        let before = self.details.gateways[gateway].nat.clone();
        let after = overlay(&before, set);
        let region = self.out.nat_gateways[gateway].region.clone();
        let created = self.details.gateways[gateway].created.clone().map(At::from);
        let config = self.nat_config(&after, set.place, &region, created.as_ref())?;
        if let Some(drained) = &set.drain_nat_ips {
            let known: Vec<Ipv4Addr> = before
                .nat_ips
                .iter()
                .chain(&before.drain_nat_ips)
                .flat_map(|list| list.value.clone())
                .filter_map(|reference| self.nat_ip(&At { place: Place::NOWHERE, ..reference }, &region))
                .collect();
            if config.drain_nat_ips.iter().any(|address| !known.contains(address)) {
                self.push(
                    Diagnostic::rejected("drain-unassigned", "only a NAT IP of the gateway can be drained")
                        .at(drained.place)
                        .help("list addresses that were in natIps before"),
                );
            }
        }
        let place = set.nat_ips.as_ref().map_or(set.place, |list| list.place);
        let used = self.nat_ips_of_others(gateway);
        for address in config.nat_ips.iter().chain(&config.drain_nat_ips) {
            if let Some((_, other)) = used.iter().find(|(used, _)| used == address) {
                self.push(shared_nat_ip(*address, other, &self.out.nat_gateways[gateway].name, place));
            }
        }
        self.details.gateways[gateway].nat = after;
        Some(config)
    }

    fn nat_ips_of_others(&self, gateway: usize) -> Vec<(Ipv4Addr, String)> {
        let others = self.out.nat_gateways.iter().enumerate().filter(|(at, _)| *at != gateway);
        let addresses =
            others.flat_map(|(_, other)| other.config.nat_ips.iter().map(|address| (*address, other.name.clone())));
        addresses.collect()
    }
}

/// A gateway with some fields changed. IPs that are only said to drain leave the active list, as gcloud does it; IPs that
/// become active again leave the drained.
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
    after
}
