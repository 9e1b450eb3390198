//! A comparison of Cloud NAT settings as data: what `bench --format json` prints and `bench.json` holds.
//!
//! Offered, accepted and refused, each under the same load, are how RFC 9693 (Benchmarking Methodology for Stateful NATxy
//! Gateways) looks at a NAT; the names of settings are those of Google's API. The shape is a contract with users' scripts:
//! fields are added, never renamed.

use std::collections::BTreeMap;

use serde::Serialize;

use super::clock::parse_tenths;
use super::summary::{GatewaySummary, Summary, TrafficSummary};
use crate::trace::DropCause;

/// Causes that mean: there was no NAT port for it.
pub const REFUSALS: [DropCause; 3] =
    [DropCause::OutOfResources, DropCause::EndpointIndependenceConflict, DropCause::CloudNatNoAddresses];

/// The whole comparison.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bench {
    /// Scenario name.
    pub scenario: String,
    /// Seed of every run.
    pub seed: u64,
    /// Simulated time of every run, as written (`60s`).
    pub duration: String,
    /// The gateways whose settings are compared.
    pub gateways: Vec<BenchGateway>,
    /// A row for each setting; the first is the scenario's own.
    pub settings: Vec<BenchRow>,
    /// Which row refused nothing and needs the fewest NAT IPs, then the fewest ports: an index into `settings`.
    pub cheapest: Option<usize>,
    /// What has to be known to read the rows, as sentences.
    pub notes: Vec<String>,
}

/// A gateway whose settings are compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BenchGateway {
    /// Gateway name.
    pub name: String,
    /// Its Cloud Router.
    pub router: String,
}

/// A setting, in the shape of Google's `RouterNat`. What several gateways do not have in common is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BenchSetting {
    /// `AUTO_ONLY` or `MANUAL_ONLY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_ip_allocate_option: Option<&'static str>,
    /// The NAT IPs by name, with `MANUAL_ONLY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_ips: Option<Vec<String>>,
    /// Dynamic port allocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_dynamic_port_allocation: Option<bool>,
    /// Ports an endpoint has at least; with static allocation also at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ports_per_vm: Option<u32>,
    /// Ports an endpoint can grow to, with dynamic allocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ports_per_vm: Option<u32>,
    /// Seconds a closed connection keeps its port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_time_wait_timeout_sec: Option<u64>,
}

/// What came of one setting: connections of the loads that count, and what the compared gateways say of themselves.
/// `offered = accepted + refused + otherFailures + pending`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BenchRow {
    /// The setting.
    pub setting: BenchSetting,
    /// Whether it is the scenario's own.
    pub as_configured: bool,
    /// Connections begun.
    pub offered: u64,
    /// Connections established that did not break later.
    pub accepted: u64,
    /// Connections that failed, or broke, for lack of a port: for one of [`REFUSALS`].
    pub refused: u64,
    /// Connections that failed or broke for anything else.
    pub other_failures: u64,
    /// Connections still trying at the end.
    pub pending: u64,
    /// Failed and broken connections by cause.
    pub failed_by: BTreeMap<String, u64>,
    /// Most ports that one endpoint had at any time.
    pub peak_allocated_ports: u32,
    /// The sum of that over all endpoints: ports that nobody else could have.
    pub reserved_ports: u64,
    /// Most connections of one endpoint to one destination at any time (the metric `port_usage`).
    pub peak_port_usage: u32,
    /// NAT IPs in use at the end.
    pub nat_ips: u64,
    /// NAT IPs to add so that every endpoint gets its ports.
    pub min_extra_nat_ips_needed: u64,
    /// Packets on their way out that the gateways dropped: no port was free, or there was no NAT IP.
    pub dropped_packets: u64,
    /// When a packet first found no port, such as `12.4s`; null when that never happened.
    pub first_refusal: Option<String>,
    /// The limit that most of these packets met: `vm-ports`, `gateway-ips` or `growth-pending`.
    pub limit: Option<String>,
}

impl BenchRow {
    /// The row of a run. `loads` and `gateways` are the positions of those that count.
    pub fn new(
        setting: BenchSetting,
        as_configured: bool,
        loads: &[usize],
        gateways: &[usize],
        summary: &Summary,
    ) -> BenchRow {
        let loads: Vec<&TrafficSummary> = loads.iter().filter_map(|&at| summary.traffic.get(at)).collect();
        let sum = |count: fn(&TrafficSummary) -> u64| loads.iter().map(|load| count(load)).sum::<u64>();
        let mut failed_by: BTreeMap<String, u64> = BTreeMap::new();
        for (cause, count) in loads.iter().flat_map(|load| &load.failed_by) {
            *failed_by.entry(cause.clone()).or_default() += count;
        }
        let is_refusal = |cause: &str| REFUSALS.iter().any(|refusal| refusal.name() == cause);
        let of_causes = |wanted: bool| -> u64 {
            failed_by.iter().filter(|(cause, _)| is_refusal(cause) == wanted).map(|(_, count)| count).sum()
        };
        let gateways: Vec<&GatewaySummary> = gateways.iter().filter_map(|&at| summary.gateways.get(at)).collect();
        let endpoints = || gateways.iter().flat_map(|gateway| &gateway.endpoints);
        let ports = || {
            endpoints().flat_map(|endpoint| {
                endpoint.rule_mappings.iter().map(|mapping| &mapping.ports).chain([&endpoint.ports])
            })
        };
        let rules = || gateways.iter().flat_map(|gateway| &gateway.rules);
        let exhaustions = || gateways.iter().flat_map(|gateway| &gateway.exhaustions);
        // Gateways do not count what they drop without having any NAT IP.
        let without_nat_ip = match gateways.iter().any(|gateway| gateway.nat_ips.is_empty()) {
            true => summary.packets.dropped_by.get(DropCause::CloudNatNoAddresses.name()).copied().unwrap_or(0),
            false => 0,
        };
        let dropped = gateways.iter().flat_map(|gateway| gateway.dropped_sent_packets.values()).sum::<u64>();
        let mut limits: BTreeMap<&str, u64> = BTreeMap::new();
        for exhaustion in exhaustions() {
            *limits.entry(&exhaustion.limit).or_default() += exhaustion.dropped;
        }
        BenchRow {
            setting,
            as_configured,
            offered: sum(|load| load.attempted),
            // What broke had been established, and is counted by its cause.
            accepted: sum(|load| load.established - load.broken),
            refused: of_causes(true),
            other_failures: of_causes(false),
            pending: sum(|load| load.pending),
            peak_allocated_ports: ports().map(|ports| ports.peak_allocated_ports).max().unwrap_or(0),
            reserved_ports: ports().map(|ports| u64::from(ports.peak_allocated_ports)).sum(),
            peak_port_usage: ports().map(|ports| ports.peak_port_usage).max().unwrap_or(0),
            nat_ips: gateways.iter().map(|gateway| gateway.nat_ips.len() as u64).sum::<u64>()
                + rules().map(|rule| rule.nat_ips.len() as u64).sum::<u64>(),
            min_extra_nat_ips_needed: gateways.iter().map(|gateway| gateway.min_extra_nat_ips_needed).sum::<u64>()
                + rules().map(|rule| rule.min_extra_ips_needed).sum::<u64>(),
            dropped_packets: dropped + without_nat_ip,
            first_refusal: (gateways.iter())
                .filter_map(|gateway| gateway.first_refusal.clone())
                .min_by_key(|from| parse_tenths(from).unwrap_or(u64::MAX)),
            // Of equal counts the first by name.
            limit: limits.iter().rev().max_by_key(|(_, dropped)| **dropped).map(|(limit, _)| (*limit).to_owned()),
            failed_by,
        }
    }

    /// Whether it let everybody through. Connections that were still trying at the end, in want of a port, are not yet
    /// refused and not let through either.
    pub fn refused_nothing(&self) -> bool {
        self.refused == 0 && (self.pending == 0 || self.first_refusal.is_none())
    }

    /// NAT IPs that it takes: what is there and what is missing.
    pub fn nat_ips_to_have(&self) -> u64 {
        self.nat_ips + self.min_extra_nat_ips_needed
    }
}

/// Which row refused nothing and needs the fewest NAT IPs, then the fewest ports; of equal ones the first.
pub fn cheapest(rows: &[BenchRow]) -> Option<usize> {
    let sufficient = rows.iter().enumerate().filter(|(_, row)| row.refused_nothing());
    sufficient.min_by_key(|(_, row)| (row.nat_ips_to_have(), row.reserved_ports)).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::summary::{EndpointSummary, Exhaustion, PortsSummary};

    fn gateway(endpoints: &[(u32, u32)], exhaustions: &[(&str, &str, u64)]) -> GatewaySummary {
        GatewaySummary {
            nat_ips: vec!["203.0.113.10".into()],
            first_refusal: exhaustions.iter().map(|it| it.0.to_owned()).min_by_key(|from| parse_tenths(from)),
            min_extra_nat_ips_needed: 1,
            dropped_sent_packets: [("OUT_OF_RESOURCES".to_owned(), exhaustions.iter().map(|it| it.2).sum())].into(),
            endpoints: (endpoints.iter())
                .map(|&(peak_allocated_ports, peak_port_usage)| EndpointSummary {
                    ports: PortsSummary { peak_allocated_ports, peak_port_usage, ..PortsSummary::default() },
                    ..EndpointSummary::default()
                })
                .collect(),
            exhaustions: (exhaustions.iter())
                .map(|&(from, limit, dropped)| Exhaustion {
                    from: from.into(),
                    limit: limit.into(),
                    dropped,
                    ..Exhaustion::default()
                })
                .collect(),
            ..GatewaySummary::default()
        }
    }

    fn load(attempted: u64, established: u64, broken: u64, pending: u64, failed_by: &[(&str, u64)]) -> TrafficSummary {
        TrafficSummary {
            attempted,
            established,
            failed: attempted - established - pending,
            pending,
            broken,
            failed_by: failed_by.iter().map(|(cause, count)| ((*cause).to_owned(), *count)).collect(),
            ..TrafficSummary::default()
        }
    }

    #[test]
    fn a_row_adds_up_and_what_broke_is_counted_by_its_cause_only() {
        let failed_by = [("OUT_OF_RESOURCES", 5), ("CLOUD_NAT_NO_ADDRESSES", 2), ("SIM_NO_ANSWER", 4)];
        let traffic = vec![load(100, 90, 2, 1, &failed_by), load(50, 0, 0, 0, &[("OUT_OF_RESOURCES", 50)])];
        let summary = Summary { traffic, ..Summary::default() };
        let row = BenchRow::new(BenchSetting::default(), true, &[0], &[], &summary);
        // 9 failed and 2 broke: 5 + 2 for want of a port, 4 for something else. The other load is not asked for.
        assert_eq!((row.accepted, row.refused, row.other_failures, row.pending), (88, 7, 4, 1));
        assert_eq!(row.offered, row.accepted + row.refused + row.other_failures + row.pending);
        let both = BenchRow::new(BenchSetting::default(), true, &[0, 1], &[], &summary);
        assert_eq!((both.offered, both.refused, both.failed_by["OUT_OF_RESOURCES"]), (150, 57, 55));
    }

    #[test]
    fn only_the_compared_gateways_count_and_the_earliest_shortage_is_by_time() {
        let summary = Summary {
            gateways: vec![
                gateway(&[(64, 60), (128, 20)], &[("10.1s", "vm-ports", 3), ("11.0s", "gateway-ips", 2)]),
                gateway(&[(4096, 4000)], &[("1.0s", "growth-pending", 50)]),
                gateway(&[(32, 9)], &[("9.9s", "gateway-ips", 2)]),
            ],
            ..Summary::default()
        };
        let row = BenchRow::new(BenchSetting::default(), false, &[], &[0, 2], &summary);
        assert_eq!((row.peak_allocated_ports, row.reserved_ports, row.peak_port_usage), (128, 64 + 128 + 32, 60));
        assert_eq!((row.nat_ips, row.min_extra_nat_ips_needed, row.nat_ips_to_have()), (2, 2, 4));
        assert_eq!((row.dropped_packets, row.first_refusal.as_deref()), (3 + 2 + 2, Some("9.9s")));
        // 2 + 2 against 3.
        assert_eq!(row.limit.as_deref(), Some("gateway-ips"));
    }

    #[test]
    fn what_a_gateway_without_any_address_drops_is_counted_too() {
        let mut summary = Summary { gateways: vec![gateway(&[], &[])], ..Summary::default() };
        summary.packets.dropped_by.insert("CLOUD_NAT_NO_ADDRESSES".into(), 12);
        let dropped =
            |summary: &Summary| BenchRow::new(BenchSetting::default(), true, &[], &[0], summary).dropped_packets;
        assert_eq!(dropped(&summary), 0, "they were another gateway's");
        summary.gateways[0].nat_ips.clear();
        assert_eq!(dropped(&summary), 12);
    }

    #[test]
    fn the_cheapest_has_the_fewest_addresses_then_the_fewest_ports() {
        let row = |refused, nat_ips, min_extra_nat_ips_needed, reserved_ports| BenchRow {
            refused,
            nat_ips,
            min_extra_nat_ips_needed,
            reserved_ports,
            ..BenchRow::default()
        };
        // What is missing has to be paid for, too; what refuses is no choice.
        let rows = [row(1, 1, 0, 10), row(0, 1, 2, 20), row(0, 2, 0, 40), row(0, 2, 0, 30), row(0, 2, 0, 30)];
        assert_eq!(cheapest(&rows), Some(3));
        assert_eq!(cheapest(&rows[..1]), None);
    }

    #[test]
    fn who_still_tries_in_want_of_a_port_was_not_let_through() {
        let waiting = BenchRow { pending: 3, first_refusal: Some("59.0s".into()), ..BenchRow::default() };
        assert!(!waiting.refused_nothing());
        assert!(BenchRow { pending: 3, ..BenchRow::default() }.refused_nothing());
        assert!(BenchRow { first_refusal: Some("59.0s".into()), ..BenchRow::default() }.refused_nothing());
    }
}
