//! Cloud NAT gateways: coverage, configuration, rules, and the patches that events apply to them.
//!
//! Limits and defaults: <https://cloud.google.com/nat/docs/set-up-manage-network-address-translation> and the API's
//! `RouterNat`, 2026-04.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use super::{GatewayDetail, Resolver};
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::compute;
use crate::scenario::file::nat::{NatIpAllocateOption, NatLogFilter, Router, RouterNat};
use crate::scenario::value::{At, Reference};
use crate::scenario::{Covered, IpAllocation, LogFilter, NatConfig, NatGateway, NetworkTier};

mod coverage;
mod disruption;
mod kind;
mod lists;
mod patch;
mod rule_match;
mod rules;
mod timeouts;

/// Gateways of one router (<https://cloud.google.com/nat/quota>, 2026).
const MAX_GATEWAYS: usize = 50;
/// Routers of one network in a region (the same page).
const MAX_ROUTERS: usize = 5;
/// Manual NAT IPs of one gateway (the same page).
const MAX_NAT_IPS: usize = 300;
/// The number of the rule for what no other matches: the gateway's own NAT IPs
/// (<https://cloud.google.com/nat/docs/nat-rules-overview>, 2026-04).
const DEFAULT_RULE: u32 = 65_001;

/// A NAT IP of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NatIp {
    pub address: Ipv4Addr,
    pub tier: NetworkTier,
    /// Where the list refers to it.
    pub place: Place,
}

/// The NAT IPs of a rule; those of [`DEFAULT_RULE`] are the gateway's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RuleIps {
    pub number: u32,
    pub active: Vec<NatIp>,
    pub draining: Vec<NatIp>,
}

impl RuleIps {
    fn all(&self) -> impl Iterator<Item = &NatIp> {
        self.active.iter().chain(&self.draining)
    }

    /// Whether they are the gateway's own.
    pub(super) fn is_own(&self) -> bool {
        self.number == DEFAULT_RULE
    }

    /// Whose they are, in words.
    pub(super) fn owner(&self) -> String {
        if self.is_own() { "the gateway itself".into() } else { format!("rule {}", self.number) }
    }
}

fn addresses(list: &[NatIp]) -> Vec<Ipv4Addr> {
    list.iter().map(|ip| ip.address).collect()
}

impl Resolver<'_> {
    pub(super) fn gateways(&mut self) {
        let mut routers: HashMap<(&str, Option<String>), Place> = HashMap::new();
        let mut in_region: HashMap<(usize, String), usize> = HashMap::new();
        let mut covered: HashMap<Covered, (String, Place)> = HashMap::new();
        for router in &self.file.routers {
            let network = self.networks.lookup(&router.network, None);
            let network = self.ok(network).flatten();
            let region = self.region(router.region.as_ref(), &router.name, router.place);
            self.check_label(&router.name, "router");
            if let Some(first) = routers.insert((router.name.name(), region.clone()), router.name.place) {
                let message = format!("two routers are named `{}`", router.name.name());
                self.push(
                    Diagnostic::unusable("duplicate-name", message)
                        .at(router.name.place)
                        .related(first, "first given here")
                        .help("rename or remove one of the two"),
                );
            }
            if let Some((network, region)) = network.zip(region.clone()) {
                let message = format!(
                    "more than {MAX_ROUTERS} routers of network `{}` in {region}",
                    self.out.networks[network].name
                );
                let count = in_region.entry((network, region)).or_default();
                *count += 1;
                if *count == MAX_ROUTERS + 1 {
                    self.push(
                        Diagnostic::rejected("too-many", message).at(router.name.place).help(format!(
                            "a router takes {MAX_GATEWAYS} gateways: add the gateways to another router"
                        )),
                    );
                }
            }
            let nats = router.nats.as_deref().unwrap_or_default();
            if let Some(excess) = nats.get(MAX_GATEWAYS) {
                let message =
                    format!("router `{}` has {} gateways, at most {MAX_GATEWAYS}", router.name.name(), nats.len());
                self.push(Diagnostic::rejected("too-many", message).at(excess.place).help("use a second router"));
            }
            for nat in nats {
                let Some(name) = &nat.name else {
                    if !self.is_lost(nat.place, "name") {
                        self.push(
                            Diagnostic::unusable("missing-field", "a NAT gateway needs the field `name`").at(nat.place),
                        );
                    }
                    continue;
                };
                self.check_label(name, "NAT gateway");
                let resolved = self.gateway(router, nat, name, network, region.as_deref());
                let Some((gateway, ips)) = resolved else {
                    self.gateways.lost.insert(name.name().to_owned());
                    continue;
                };
                let place = name.place;
                for range in &gateway.coverage {
                    if let Some((other, first)) = covered.insert(range.clone(), (gateway.name.clone(), place)) {
                        let subnet = &self.out.subnetworks[range.subnetwork].name;
                        let message = format!(
                            "gateways `{other}` and `{}` both serve {} of subnet `{subnet}`",
                            gateway.name, range.range
                        );
                        self.push(
                            Diagnostic::rejected("nat-overlap", message)
                                .at(place)
                                .related(first, "serves it already")
                                .help("a range has one gateway: list the subnets of each with LIST_OF_SUBNETWORKS"),
                        );
                        break;
                    }
                }
                self.not_shared(&gateway.name, self.out.nat_gateways.len(), &ips);
                self.details.gateways.push(GatewayDetail {
                    place,
                    nat: nat.value.clone(),
                    ips,
                    created: router.creation_timestamp.as_ref().map(|created| created.value.clone()),
                });
                self.out.nat_gateways.push(gateway);
            }
        }
    }

    fn gateway(
        &mut self,
        router: &Router,
        nat: &At<RouterNat>,
        name: &At<Reference>,
        network: Option<usize>,
        region: Option<&str>,
    ) -> Option<(NatGateway, Vec<RuleIps>)> {
        if !self.is_simulated(nat, name) {
            return None;
        }
        let (network, region) = (network?, region?);
        // Both before either is missed, so that all errors of a gateway are seen.
        let config = self.nat_config(nat, nat.place, region, router.creation_timestamp.as_ref());
        let coverage = self.coverage(nat, network, region);
        let ((config, ips), coverage) = (config?, coverage?);
        self.network_tier_used(nat, config.allocate);
        let declared =
            self.gateways.declare(name, Some(&format!("{region}/{}", router.name.name())), self.out.nat_gateways.len());
        self.ok(declared)?;
        let gateway = NatGateway {
            name: name.name().to_owned(),
            router: router.name.name().to_owned(),
            network,
            region: region.to_owned(),
            coverage,
            config,
        };
        Some((gateway, ips))
    }

    /// The configuration of a gateway as written or patched, and its NAT IPs by rule, the gateway's own first; `None` when it
    /// is not one.
    fn nat_config(
        &mut self,
        nat: &RouterNat,
        item: Place,
        region: &str,
        created: Option<&At<String>>,
    ) -> Option<(NatConfig, Vec<RuleIps>)> {
        let dynamic = nat.enable_dynamic_port_allocation.as_ref().filter(|on| on.value);
        let independent = nat.enable_endpoint_independent_mapping.as_ref().filter(|on| on.value);
        if let (Some(dynamic), Some(independent)) = (dynamic, independent) {
            let (first, second) =
                if dynamic.place <= independent.place { (dynamic, independent) } else { (independent, dynamic) };
            self.push(
                Diagnostic::rejected(
                    "dpa-with-eim",
                    "dynamic port allocation and endpoint-independent mapping exclude each other",
                )
                .at(second.place)
                .related(first.place, "the other one is on here")
                .help("set one of enableDynamicPortAllocation and enableEndpointIndependentMapping to false"),
            );
        }
        let (min, max) = self.ports(nat, item, dynamic.is_some());
        let allocate = self.allocation(nat, item);
        let auto_network_tier = self.auto_network_tier(nat);
        let own = self.nat_ips(nat, item, region, allocate);
        let (nat_ips, drain_nat_ips) = (addresses(&own.active), addresses(&own.draining));
        let mut ips = vec![own];
        let rules = self.nat_rules(nat, region, allocate, &mut ips);
        self.check_lists(&ips);
        let timeouts = self.timeouts(nat, created);
        let log = nat.log_config.as_ref().filter(|log| log.enable.unwrap_or(false));
        let log = log.map(|log| match log.filter.as_ref().map(|filter| filter.value) {
            None | Some(NatLogFilter::All) => LogFilter::All,
            Some(NatLogFilter::ErrorsOnly) => LogFilter::ErrorsOnly,
            Some(NatLogFilter::TranslationsOnly) => LogFilter::TranslationsOnly,
        });
        let config = NatConfig {
            allocate: allocate?,
            nat_ips,
            drain_nat_ips,
            rules,
            auto_network_tier,
            min_ports_per_vm: min,
            max_ports_per_vm: max,
            dynamic_port_allocation: dynamic.is_some(),
            endpoint_independent_mapping: independent.is_some(),
            timeouts,
            log,
        };
        Some((config, ips))
    }

    /// Ports an endpoint has at least and at most.
    fn ports(&mut self, nat: &RouterNat, item: Place, dynamic: bool) -> (u32, u32) {
        let min_bounds = if dynamic { 32..=32_768 } else { 2..=57_344 };
        let min = nat.min_ports_per_vm.as_ref().and_then(|min| {
            let value = self.bounded(
                min,
                min_bounds,
                if dynamic { "minPortsPerVm with dynamic port allocation" } else { "minPortsPerVm" },
            )?;
            if dynamic { self.power_of_two(min, "minPortsPerVm") } else { Some(value) }
        });
        let min = min.unwrap_or(if dynamic { 32 } else { 64 });
        if !dynamic {
            if let Some(max) = &nat.max_ports_per_vm
                && !self.is_lost(item, "enableDynamicPortAllocation")
            {
                self.push(
                    Diagnostic::rejected("max-ports-without-dpa", "maxPortsPerVm needs dynamic port allocation")
                        .at(max.place)
                        .help("add `enableDynamicPortAllocation: true`, or remove maxPortsPerVm: statically, minPortsPerVm is also the most"),
                );
            }
            return (min as u32, min as u32);
        }
        let max = nat.max_ports_per_vm.as_ref().and_then(|max| {
            self.bounded(max, 64..=65_536, "maxPortsPerVm")?;
            let value = self.power_of_two(max, "maxPortsPerVm")?;
            if value <= min {
                let message = format!("maxPortsPerVm is {value}, expected more than minPortsPerVm, which is {min}");
                let diagnostic = Diagnostic::rejected("min-not-below-max", message).at(max.place);
                let related = nat.min_ports_per_vm.as_ref().map_or(Place::NOWHERE, |min| min.place);
                self.push(diagnostic.related(related, "the minimum").help(format!("at least {}", min * 2)));
            }
            Some(value)
        });
        (min as u32, max.unwrap_or(65_536) as u32)
    }

    fn power_of_two(&mut self, value: &At<i64>, what: &str) -> Option<i64> {
        let ports = value.value as u64;
        if ports.is_power_of_two() {
            return Some(value.value);
        }
        let above = ports.next_power_of_two();
        let message = format!("{what} is {ports}, expected a power of two with dynamic port allocation");
        self.push(
            Diagnostic::rejected("not-a-power-of-two", message)
                .at(value.place)
                .help(format!("use {} or {above}", above / 2)),
        );
        None
    }

    fn allocation(&mut self, nat: &RouterNat, item: Place) -> Option<IpAllocation> {
        match nat.nat_ip_allocate_option.as_ref().map(|option| option.value) {
            Some(NatIpAllocateOption::AutoOnly) => Some(IpAllocation::Auto),
            Some(NatIpAllocateOption::ManualOnly) => Some(IpAllocation::Manual),
            None => {
                if !self.is_lost(item, "natIpAllocateOption") {
                    let message = "the gateway does not say who provides its NAT IPs";
                    self.push(
                        Diagnostic::rejected("nat-ip-option", message)
                            .at(nat.name.as_ref().map_or(item, |name| name.place))
                            .help("add `natIpAllocateOption: AUTO_ONLY`, or MANUAL_ONLY with natIps"),
                    );
                }
                None
            }
        }
    }

    /// The API's `autoNetworkTier` must be one of two, though its enum has four.
    fn auto_network_tier(&mut self, nat: &RouterNat) -> NetworkTier {
        let Some(tier) = &nat.auto_network_tier else { return NetworkTier::Premium };
        match tier.value {
            compute::NetworkTier::Premium => NetworkTier::Premium,
            compute::NetworkTier::Standard => NetworkTier::Standard,
            compute::NetworkTier::FixedStandard | compute::NetworkTier::StandardOverridesFixedStandard => {
                let message = "autoNetworkTier is neither PREMIUM nor STANDARD";
                self.push(
                    Diagnostic::rejected("bad-network-tier", message).at(tier.place).help("write PREMIUM or STANDARD"),
                );
                NetworkTier::Premium
            }
        }
    }

    /// A tier for automatic addresses where there are none. `PREMIUM` is what the API prints of every gateway.
    fn network_tier_used(&mut self, nat: &RouterNat, allocate: IpAllocation) {
        if let (Some(tier), IpAllocation::Manual) = (&nat.auto_network_tier, allocate)
            && tier.value != compute::NetworkTier::Premium
        {
            let message = "autoNetworkTier has no effect with MANUAL_ONLY: reserved addresses have their own tier";
            self.push(
                Diagnostic::warning("unused-network-tier", message)
                    .at(tier.place)
                    .help("remove it; a reserved address has `networkTier`"),
            );
        }
    }

    /// Active and draining NAT IPs. An explicitly empty list is legal: that gateway drops everything as
    /// CLOUD_NAT_NO_ADDRESSES, which is a thing to simulate.
    fn nat_ips(&mut self, nat: &RouterNat, item: Place, region: &str, allocate: Option<IpAllocation>) -> RuleIps {
        let mut resolve = |list: &Option<At<Vec<At<Reference>>>>| -> Vec<NatIp> {
            let list = list.iter().flat_map(|list| list.iter());
            list.filter_map(|reference| self.nat_ip(reference, region)).collect()
        };
        let active = resolve(&nat.nat_ips);
        let draining = resolve(&nat.drain_nat_ips);
        for (field, list) in [("natIps", &nat.nat_ips), ("drainNatIps", &nat.drain_nat_ips)] {
            if let (Some(IpAllocation::Auto), Some(list)) = (allocate, list.as_ref().filter(|list| !list.is_empty())) {
                self.push(
                    Diagnostic::rejected(
                        "nat-ips-with-auto",
                        format!("{field} with AUTO_ONLY, where Google provides the addresses"),
                    )
                    .at(list.place)
                    .help("write `natIpAllocateOption: MANUAL_ONLY`, or remove the list"),
                );
            }
        }
        if allocate != Some(IpAllocation::Manual) {
            return RuleIps { number: DEFAULT_RULE, active: Vec::new(), draining: Vec::new() };
        }
        match &nat.nat_ips {
            None if !self.is_lost(item, "natIps") => self.push(
                Diagnostic::rejected("no-nat-ips", "MANUAL_ONLY without natIps")
                    .at(nat.nat_ip_allocate_option.as_ref().map_or(item, |option| option.place))
                    .help("add `natIps:` with reserved external addresses, or write AUTO_ONLY"),
            ),
            Some(list) if list.is_empty() && !draining.is_empty() => self.push(
                Diagnostic::rejected(
                    "all-nat-ips-draining",
                    "all NAT IPs are being drained, at least one must stay active",
                )
                .at(list.place)
                .help("add another address to natIps first"),
            ),
            Some(list) if list.is_empty() => {
                let without = if nat.rules.as_ref().is_none_or(|rules| rules.is_empty()) {
                    "everything"
                } else {
                    "what no rule matches"
                };
                let message = format!("the gateway has no NAT IP: it drops {without} as CLOUD_NAT_NO_ADDRESSES");
                self.push(
                    Diagnostic::warning("no-nat-ips", message).at(list.place).help("add a reserved external address"),
                );
            }
            Some(list) if list.len() > MAX_NAT_IPS => {
                let message = format!("{} NAT IPs, at most {MAX_NAT_IPS} for a gateway", list.len());
                self.push(Diagnostic::rejected("too-many", message).at(list.place).help("add a second gateway"));
            }
            _ => {}
        }
        RuleIps { number: DEFAULT_RULE, active, draining }
    }
}
