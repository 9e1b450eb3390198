//! Cloud NAT gateways: coverage, configuration, and the patches that events apply to it.
//!
//! Limits and defaults: <https://cloud.google.com/nat/docs/set-up-manage-network-address-translation> and the API's
//! `RouterNat`, 2026-04.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::{GatewayDetail, Resolver};
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::nat::{EndpointType, NatIpAllocateOption, NatLogFilter, NatType, Router, RouterNat};
use crate::scenario::value::{At, Reference};
use crate::scenario::{Covered, IpAllocation, LogFilter, NatConfig, NatGateway, NatTimeouts};

mod coverage;
mod patch;

/// Gateways of one router (<https://cloud.google.com/nat/quota>).
const MAX_GATEWAYS: usize = 50;
/// Manual NAT IPs of one gateway.
const MAX_NAT_IPS: usize = 300;

impl Resolver<'_> {
    pub(super) fn gateways(&mut self) {
        let mut routers: HashMap<(&str, Option<String>), Place> = HashMap::new();
        let mut covered: HashMap<Covered, (String, Place)> = HashMap::new();
        let mut addresses: HashMap<Ipv4Addr, (String, Place)> = HashMap::new();
        for router in &self.file.routers {
            let network = self.networks.lookup(&router.network, None);
            let network = self.ok(network).flatten();
            let region = self.region(router.region.as_ref(), &router.name, router.place);
            if let Some(first) = routers.insert((router.name.name(), region.clone()), router.name.place) {
                let message = format!("two routers are named `{}`", router.name.name());
                self.push(
                    Diagnostic::unusable("duplicate-name", message)
                        .at(router.name.place)
                        .related(first, "first given here")
                        .help("rename or remove one of the two"),
                );
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
                let resolved = self.gateway(router, nat, name, network, region.as_deref());
                let Some(gateway) = resolved else {
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
                let nat_ips = nat.nat_ips.as_ref().map_or(name.place, |ips| ips.place);
                for address in gateway.config.nat_ips.iter().chain(&gateway.config.drain_nat_ips) {
                    if let Some((other, first)) = addresses.insert(*address, (gateway.name.clone(), nat_ips))
                        && (other != gateway.name || first != nat_ips)
                    {
                        self.push(shared_nat_ip(*address, &other, &gateway.name, nat_ips).related(first, "used here"));
                    }
                }
                self.details.gateways.push(GatewayDetail {
                    place,
                    nat: nat.value.clone(),
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
    ) -> Option<NatGateway> {
        if let Some(kind) = nat.nat_type.as_ref().filter(|kind| kind.value == NatType::Private) {
            let message = format!("gateway `{}` is a Private NAT, which is not simulated: it is left out", name.name());
            self.push(Diagnostic::warning("not-simulated", message).at(kind.place));
            return None;
        }
        if let Some(types) = &nat.endpoint_types
            && let Some(first) = types.first()
            && types.iter().all(|kind| kind.value != EndpointType::Vm)
        {
            let message = format!("gateway `{}` serves neither VMs nor Cloud Run, it is left out", name.name());
            self.push(Diagnostic::warning("not-simulated", message).at(first.place));
            return None;
        }
        let (network, region) = (network?, region?);
        // Both before either is missed, so that all errors of a gateway are seen.
        let config = self.nat_config(nat, nat.place, region, router.creation_timestamp.as_ref());
        let coverage = self.coverage(nat, network, region);
        let (config, coverage) = (config?, coverage?);
        let declared =
            self.gateways.declare(name, Some(&format!("{region}/{}", router.name.name())), self.out.nat_gateways.len());
        self.ok(declared)?;
        Some(NatGateway {
            name: name.name().to_owned(),
            router: router.name.name().to_owned(),
            network,
            region: region.to_owned(),
            coverage,
            config,
        })
    }

    /// The configuration of a gateway as written or patched; `None` when it is not one.
    pub(super) fn nat_config(
        &mut self,
        nat: &RouterNat,
        item: Place,
        region: &str,
        created: Option<&At<String>>,
    ) -> Option<NatConfig> {
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
        } else if let Some(independent) = independent {
            let message =
                "endpoint-independent mapping is not simulated: ports are shared by destination as without it";
            self.push(Diagnostic::warning("not-simulated", message).at(independent.place));
        }
        let (min, max) = self.ports(nat, item, dynamic.is_some());
        let allocate = self.allocation(nat, item);
        let (nat_ips, drain_nat_ips) = self.nat_ips(nat, item, region, allocate);
        self.nat_rules(nat, allocate);
        let timeouts = self.timeouts(nat, created);
        let log = nat.log_config.as_ref().filter(|log| log.enable.unwrap_or(false));
        let log = log.map(|log| match log.filter.as_ref().map(|filter| filter.value) {
            None | Some(NatLogFilter::All) => LogFilter::All,
            Some(NatLogFilter::ErrorsOnly) => LogFilter::ErrorsOnly,
            Some(NatLogFilter::TranslationsOnly) => LogFilter::TranslationsOnly,
        });
        Some(NatConfig {
            allocate: allocate?,
            nat_ips,
            drain_nat_ips,
            min_ports_per_vm: min,
            max_ports_per_vm: max,
            dynamic_port_allocation: dynamic.is_some(),
            endpoint_independent_mapping: independent.is_some(),
            timeouts,
            log,
        })
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

    /// Active and draining NAT IPs. An explicitly empty list is legal: that gateway drops everything as
    /// CLOUD_NAT_NO_ADDRESSES, which is a thing to simulate.
    fn nat_ips(
        &mut self,
        nat: &RouterNat,
        item: Place,
        region: &str,
        allocate: Option<IpAllocation>,
    ) -> (Vec<Ipv4Addr>, Vec<Ipv4Addr>) {
        let mut resolve = |list: &Option<At<Vec<At<Reference>>>>| -> Vec<(Ipv4Addr, Place)> {
            let list = list.iter().flat_map(|list| list.iter());
            list.filter_map(|reference| Some((self.nat_ip(reference, region)?, reference.place))).collect()
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
            return (Vec::new(), Vec::new());
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
            Some(list) if list.is_empty() => self.push(
                Diagnostic::warning(
                    "no-nat-ips",
                    "the gateway has no NAT IP: it drops everything as CLOUD_NAT_NO_ADDRESSES",
                )
                .at(list.place)
                .help("add a reserved external address"),
            ),
            Some(list) if list.len() > MAX_NAT_IPS => {
                let message = format!("{} NAT IPs, at most {MAX_NAT_IPS} for a gateway", list.len());
                self.push(Diagnostic::rejected("too-many", message).at(list.place).help("add a second gateway"));
            }
            _ => {}
        }
        for (position, (address, place)) in active.iter().chain(&draining).enumerate() {
            if let Some((_, first)) =
                active.iter().chain(&draining).take(position).find(|(earlier, _)| earlier == address)
            {
                self.push(
                    Diagnostic::rejected("nat-ip-twice", format!("{address} is listed twice"))
                        .at(*place)
                        .related(*first, "first listed here")
                        .help("an address is either active or being drained"),
                );
            }
        }
        let only = |list: Vec<(Ipv4Addr, Place)>| list.into_iter().map(|(address, _)| address).collect();
        (only(active), only(draining))
    }

    fn nat_rules(&mut self, nat: &RouterNat, allocate: Option<IpAllocation>) {
        let Some(rules) = nat.rules.as_ref().filter(|rules| !rules.is_empty()) else { return };
        let message = "NAT rules are not simulated: every destination is reached from the gateway's own NAT IPs";
        self.push(Diagnostic::warning("not-simulated", message).at(rules.place));
        if let Some(independent) = nat.enable_endpoint_independent_mapping.as_ref().filter(|on| on.value) {
            self.push(
                Diagnostic::rejected("rules-with-eim", "NAT rules and endpoint-independent mapping exclude each other")
                    .at(rules.place)
                    .related(independent.place, "on here")
                    .help("set enableEndpointIndependentMapping to false"),
            );
        }
        if allocate == Some(IpAllocation::Auto) {
            self.push(
                Diagnostic::rejected("rules-with-auto", "NAT rules need MANUAL_ONLY")
                    .at(rules.place)
                    .help("write `natIpAllocateOption: MANUAL_ONLY` and list natIps"),
            );
        }
        let mut numbers: HashMap<i64, Place> = HashMap::new();
        for rule in &rules.value {
            let Some(number) = &rule.rule_number else { continue };
            self.bounded(number, 0..=65_000, "ruleNumber");
            if let Some(first) = numbers.insert(number.value, number.place) {
                let message = format!("two rules have the number {}", number.value);
                self.push(
                    Diagnostic::rejected("duplicate-rule", message).at(number.place).related(first, "first given here"),
                );
            }
        }
        for reference in rules.iter().filter_map(|rule| rule.action.as_ref()).flat_map(|action| {
            action.source_nat_active_ips.iter().flatten().chain(action.source_nat_drain_ips.iter().flatten())
        }) {
            let found = self.addresses.lookup(reference, None);
            self.ok(found);
        }
    }

    fn timeouts(&mut self, nat: &RouterNat, created: Option<&At<String>>) -> NatTimeouts {
        // Google publishes no bounds; below a second nothing would ever be answered.
        let mut seconds = |value: &Option<At<i64>>, what: &str, default: u64| {
            let value = value.as_ref().and_then(|value| self.bounded(value, 1..=i64::from(i32::MAX), what));
            Duration::from_secs(value.map_or(default, |value| value as u64))
        };
        let udp_idle = seconds(&nat.udp_idle_timeout_sec, "udpIdleTimeoutSec", 30);
        let icmp_idle = seconds(&nat.icmp_idle_timeout_sec, "icmpIdleTimeoutSec", 30);
        let tcp_established_idle = seconds(&nat.tcp_established_idle_timeout_sec, "tcpEstablishedIdleTimeoutSec", 1200);
        let tcp_transitory_idle = seconds(&nat.tcp_transitory_idle_timeout_sec, "tcpTransitoryIdleTimeoutSec", 30);
        let explicit = nat.tcp_time_wait_timeout_sec.as_ref().map(|value| (value, "tcpTimeWaitTimeoutSec"));
        let effective =
            nat.effective_tcp_time_wait_timeout_sec.as_ref().map(|value| (value, "effectiveTcpTimeWaitTimeoutSec"));
        let tcp_time_wait = match explicit.or(effective) {
            Some((value, what)) => {
                let value = self.bounded(value, 1..=i64::from(i32::MAX), what);
                value.map_or(self.out.model.nat.time_wait_default, |value| Duration::from_secs(value as u64))
            }
            None => self.time_wait_by_date(created),
        };
        NatTimeouts { udp_idle, icmp_idle, tcp_established_idle, tcp_transitory_idle, tcp_time_wait }
    }

    /// TIME_WAIT of a gateway that does not say: 120 s if made before 2026-06-30, 30 s from 2026-09-30 on. In between Google
    /// chose by region and does not say which: the model's value is taken, with a warning.
    fn time_wait_by_date(&mut self, created: Option<&At<String>>) -> Duration {
        let default = self.out.model.nat.time_wait_default;
        let Some(created) = created else { return default };
        match parse_date(created) {
            Some(date) if date < (2026, 6, 30) => Duration::from_secs(120),
            Some(date) if date < (2026, 9, 30) => {
                let message = format!(
                    "a gateway made between 2026-06-30 and 2026-09-29 has a TIME_WAIT of 30 or 120 s by region, {} s is taken",
                    default.as_secs()
                );
                self.push(
                    Diagnostic::warning("time-wait-unknown", message)
                        .at(created.place)
                        .help("set the gateway's tcpTimeWaitTimeoutSec"),
                );
                default
            }
            Some(_) => Duration::from_secs(30),
            None => {
                let message = format!("found `{}`, expected a time such as 2026-10-01T12:00:00Z", created.value);
                self.push(Diagnostic::unusable("invalid-value", message).at(created.place));
                default
            }
        }
    }
}

fn shared_nat_ip(address: Ipv4Addr, one: &str, other: &str, place: Place) -> Diagnostic {
    let message = format!("NAT IP {address} is used by gateways `{one}` and `{other}`");
    Diagnostic::rejected("nat-ip-shared", message)
        .at(place)
        .help("a NAT IP belongs to one gateway: reserve another address")
}

/// Year, month and day of an RFC 3339 time.
fn parse_date(text: &str) -> Option<(u16, u8, u8)> {
    let date = text.get(..10)?;
    let mut parts = date.split('-');
    let date = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    ((1..=12).contains(&date.1) && (1..=31).contains(&date.2)).then_some(date)
}

#[cfg(test)]
mod tests {
    use super::parse_date;

    #[test]
    fn a_creation_timestamp_is_a_date_with_anything_behind() {
        assert_eq!(parse_date("2024-10-26T18:56:42.961-07:00"), Some((2024, 10, 26)));
        assert_eq!(parse_date("2026-09-30"), Some((2026, 9, 30)));
        for text in ["", "yesterday", "2026-13-01T", "26-09-30T00"] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }
}
