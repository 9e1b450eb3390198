//! What was observed of a running network beside what is simulated: which ports of VMs, which states of gateways and which
//! uses of NAT IPs are the same.
//!
//! The simulation is compared as it is at its start, before any traffic. With static allocation that is all there is to
//! ports; with dynamic allocation VMs then hold the minimum, and may have held more when they were observed. Addresses that
//! Google chooses by itself (`AUTO_ONLY`) are not the simulator's: with an observed status they are taken for each other in
//! their order.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde::Serialize;
use serde_json::{Value, json};

use super::mapping_info::EndpointMappings;
use super::router_status::GatewayInfo;
use crate::scenario::observed::{Observed, ObservedStatus, PortRange};

/// A simulated gateway.
#[derive(Debug, Clone)]
pub struct SimulatedGateway<'a> {
    /// Its region.
    pub region: &'a str,
    /// Its addresses and state.
    pub info: GatewayInfo<'a>,
    /// The ports of its endpoints.
    pub mappings: Vec<EndpointMappings<'a>>,
}

/// How far the start of a simulation is what was observed. Each part is absent when nothing of the kind was observed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedSummary {
    /// Ports of VMs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_mappings: Option<MappingsCompared>,
    /// States of gateways; `equal` counts gateways.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_status: Option<ValuesCompared>,
    /// Uses of NAT IPs; `equal` counts addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_ip_info: Option<ValuesCompared>,
}

/// Ranges of ports, compared as a set.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MappingsCompared {
    /// Observed and simulated.
    pub equal: u64,
    /// Observed only.
    pub only_observed: Vec<MappedRange>,
    /// Simulated only.
    pub only_simulated: Vec<MappedRange>,
}

/// A range of ports that an interface of a VM has.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MappedRange {
    /// The VM.
    pub instance_name: String,
    /// Its address.
    pub source_virtual_ip: Ipv4Addr,
    /// The NAT rule, unless it is the default rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_number: Option<u32>,
    /// `203.0.113.10:1024-1087`
    pub nat_ip_port_range: String,
    /// The NAT IP is being drained.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub draining: bool,
}

/// Values that were compared one by one.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValuesCompared {
    /// How many are the same.
    pub equal: u64,
    /// Values that are not.
    pub different: Vec<Difference>,
}

/// A value that is not the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Gateway name.
    pub gateway: String,
    /// Google's name of the field; of NAT IPs the address.
    pub field: String,
    /// What was observed; null if nothing.
    pub observed: Value,
    /// What is simulated; null if nothing.
    pub simulated: Value,
}

impl ObservedSummary {
    /// Whether everything observed is simulated, and the other way round.
    pub fn is_equal(&self) -> bool {
        let same = |values: &Option<ValuesCompared>| values.as_ref().is_none_or(|values| values.different.is_empty());
        let ports = self.nat_mappings.as_ref();
        ports.is_none_or(|ports| ports.only_observed.is_empty() && ports.only_simulated.is_empty())
            && same(&self.nat_status)
            && same(&self.nat_ip_info)
    }
}

impl From<&PortRange> for MappedRange {
    fn from(range: &PortRange) -> MappedRange {
        MappedRange {
            instance_name: range.instance.clone(),
            source_virtual_ip: range.address,
            rule_number: range.rule,
            nat_ip_port_range: range.to_string(),
            draining: range.draining,
        }
    }
}

/// Compares what was observed with gateways as they are.
pub fn compare(observed: &Observed, gateways: &[SimulatedGateway<'_>]) -> ObservedSummary {
    let mut gateways = Gateways::new(gateways);
    let statuses = observed.statuses.as_deref().unwrap_or_default();
    let of_statuses: Vec<_> = statuses.iter().map(|status| gateways.of_status(status)).collect();
    let nat_status = observed.statuses.as_ref().map(|_| compare_statuses(statuses, &of_statuses, &gateways));
    let nat_ip_info = observed.nat_ips.as_ref().map(|all| {
        let mut compared = ValuesCompared::default();
        let mut taken = BTreeSet::new();
        for info in all {
            let ips: Vec<_> = info.nat_ips.iter().map(|(ip, _)| *ip).collect();
            let at = gateways.find(&info.gateway, None, &ips, &taken);
            taken.extend(at);
            let mut simulated = at.map(|at| gateways.nat_ips(at)).unwrap_or_default();
            for (ip, in_use) in &info.nat_ips {
                let found = simulated.remove(ip);
                if found.is_some() && (found == *in_use || in_use.is_none()) {
                    compared.equal += 1;
                } else {
                    compared.differ(&info.gateway, ip, usage(*in_use), usage(found));
                }
            }
            for (ip, in_use) in simulated {
                compared.differ(&info.gateway, &ip, Value::Null, usage(Some(in_use)));
            }
        }
        gateways.seen.extend(taken);
        compared
    });
    let nat_mappings = observed.mappings.as_ref().map(|ranges| {
        let simulated = named_as_observed(gateways.ranges(ranges), ranges);
        MappingsCompared {
            equal: ranges.intersection(&simulated).count() as u64,
            only_observed: ranges.difference(&simulated).map(MappedRange::from).collect(),
            only_simulated: simulated.difference(ranges).map(MappedRange::from).collect(),
        }
    });
    ObservedSummary { nat_mappings, nat_status, nat_ip_info }
}

/// Google chooses the names of connector VMs and Cloud Run instances: who has an observed address and a name that was not
/// observed is who was observed there.
fn named_as_observed(simulated: BTreeSet<PortRange>, observed: &BTreeSet<PortRange>) -> BTreeSet<PortRange> {
    let names: BTreeSet<&str> = observed.iter().map(|range| range.instance.as_str()).collect();
    let by_address: BTreeMap<Ipv4Addr, &str> =
        observed.iter().map(|range| (range.address, range.instance.as_str())).collect();
    let renamed = |mut range: PortRange| {
        if !names.contains(range.instance.as_str())
            && let Some(name) = by_address.get(&range.address)
        {
            range.instance = (*name).to_owned();
        }
        range
    };
    simulated.into_iter().map(renamed).collect()
}

fn usage(in_use: Option<bool>) -> Value {
    in_use.map_or(Value::Null, |in_use| json!(if in_use { "IN_USE" } else { "UNUSED" }))
}

fn compare_statuses(statuses: &[ObservedStatus], found: &[Option<usize>], gateways: &Gateways<'_>) -> ValuesCompared {
    let mut compared = ValuesCompared::default();
    for (status, at) in statuses.iter().zip(found) {
        let info = at.map(|at| &gateways.all[at].info);
        let sorted = |ips: BTreeSet<Ipv4Addr>| json!(ips);
        let user = info.map(|info| sorted(info.user_allocated_nat_ips.iter().map(|(ip, _)| *ip).collect()));
        let fields = [
            (
                "minExtraNatIpsNeeded",
                status.min_extra_nat_ips_needed.map(|count| json!(count)),
                info.map(|info| json!(info.min_extra_nat_ips_needed)),
            ),
            (
                "numVmEndpointsWithNatMappings",
                status.endpoints_with_mappings.map(|count| json!(count)),
                info.map(|info| json!(info.endpoints_with_mappings)),
            ),
            ("userAllocatedNatIps", Some(sorted(status.user_allocated.iter().copied().collect())), user),
        ];
        let before = compared.different.len();
        for (field, observed, simulated) in fields {
            if observed.is_some() && observed != simulated {
                let [observed, simulated] = [observed, simulated].map(Option::unwrap_or_default);
                compared.differ(&status.gateway, &field, observed, simulated);
            }
        }
        compared.equal += u64::from(compared.different.len() == before);
    }
    compared
}

impl ValuesCompared {
    fn differ(&mut self, gateway: &str, field: &impl ToString, observed: Value, simulated: Value) {
        let gateway = gateway.to_owned();
        self.different.push(Difference { gateway, field: field.to_string(), observed, simulated });
    }
}

/// The simulated gateways, and which of them have been observed.
struct Gateways<'a> {
    all: &'a [SimulatedGateway<'a>],
    /// By a simulated automatic address the observed one that it stands for.
    automatic: BTreeMap<Ipv4Addr, Ipv4Addr>,
    seen: BTreeSet<usize>,
}

impl<'a> Gateways<'a> {
    fn new(all: &'a [SimulatedGateway<'a>]) -> Gateways<'a> {
        Gateways { all, automatic: BTreeMap::new(), seen: BTreeSet::new() }
    }

    /// The gateway that a status is about.
    fn of_status(&mut self, status: &ObservedStatus) -> Option<usize> {
        let at = self.find(&status.gateway, status.region.as_deref(), &status.user_allocated, &self.seen)?;
        let simulated = self.all[at].info.auto_allocated_nat_ips.iter().copied();
        self.automatic.extend(simulated.zip(status.auto_allocated.iter().copied()));
        self.seen.insert(at);
        Some(at)
    }

    /// The gateway of a name. Names are of a router: of several, region or addresses tell.
    fn find(&self, name: &str, region: Option<&str>, nat_ips: &[Ipv4Addr], taken: &BTreeSet<usize>) -> Option<usize> {
        let named = |at: &usize| self.all[*at].info.name == name && !taken.contains(at);
        let score = |at: &usize| {
            let own = self.nat_ips(*at);
            let there = region.is_some_and(|region| self.all[*at].region == region);
            let shared = nat_ips.iter().any(|ip| own.contains_key(ip));
            (shared, there, std::cmp::Reverse(*at))
        };
        (0..self.all.len()).filter(named).max_by_key(score)
    }

    /// The address that a simulated one stands for.
    fn real(&self, ip: Ipv4Addr) -> Ipv4Addr {
        self.automatic.get(&ip).copied().unwrap_or(ip)
    }

    /// All addresses of a gateway, and whether somebody holds ports on it.
    fn nat_ips(&self, at: usize) -> BTreeMap<Ipv4Addr, bool> {
        let info = &self.all[at].info;
        let rules = info.rules.iter().flat_map(|rule| rule.active_nat_ips.iter().chain(&rule.drain_nat_ips));
        let user = info.user_allocated_nat_ips.iter().map(|(ip, _)| ip);
        let all = info.auto_allocated_nat_ips.iter().chain(user).chain(&info.drain_user_allocated_nat_ips).chain(rules);
        all.map(|ip| (self.real(*ip), info.in_use.contains(ip))).collect()
    }

    /// The ports of all endpoints of gateways that were observed: those that a status or the use of NAT IPs has named, or
    /// on whose addresses ports were observed. Without any such it is all gateways.
    fn ranges(&self, observed: &BTreeSet<PortRange>) -> BTreeSet<PortRange> {
        let used: BTreeSet<Ipv4Addr> = observed.iter().map(|range| range.nat_ip).collect();
        let known = |at: &usize| self.seen.contains(at) || self.nat_ips(*at).keys().any(|ip| used.contains(ip));
        let mut chosen: Vec<usize> = (0..self.all.len()).filter(known).collect();
        if chosen.is_empty() {
            chosen = (0..self.all.len()).collect();
        }
        let endpoints = chosen.into_iter().flat_map(|at| &self.all[at].mappings);
        let blocks = endpoints.flat_map(|endpoint| {
            let rules =
                endpoint.rules.iter().flat_map(|(rule, blocks)| blocks.iter().map(|block| (Some(*rule), block)));
            let all = endpoint.blocks.iter().map(|block| (None, block)).chain(rules);
            all.map(move |(rule, block)| (endpoint, rule, block))
        });
        let range = |(endpoint, rule, block): (&EndpointMappings<'_>, _, &super::mapping_info::BlockInfo)| PortRange {
            instance: endpoint.instance_name.to_owned(),
            address: endpoint.address,
            rule,
            draining: block.draining,
            nat_ip: self.real(block.nat_ip),
            first_port: block.first_port,
            last_port: block.last_port,
        };
        blocks.map(range).collect()
    }
}
