//! The summary of a network and its load, as it stands at one moment.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::network::Network;
use crate::node::nat::{DEFAULT_RULE, Gateway};
use crate::recording::{at, endpoint_mappings, gateway_info};
use crate::report::expect::evaluate;
use crate::report::observed::{ObservedSummary, SimulatedGateway, compare};
use crate::report::summary::{
    AutoscaledSummary, CaptureSummary, Connections, ConnectorSummary, EndpointSummary, Exhaustion, FullTrackingTable,
    GatewaySummary, Packets, PortsSummary, RequestsSummary, RuleMapping, RuleSummary, SubnetworkSummary, Summary,
    TrafficSummary,
};
use crate::scenario::{Scenario, TrafficProtocol};
use crate::trace::DropCause;
use crate::traffic::connect_times::ConnectTimes;
use crate::traffic::flows::Flows;

/// The result as it stands now. `count` adds the connections; the expectations are looked at last.
pub(super) fn summarise(
    network: &mut Network,
    duration: String,
    captures: Option<CaptureSummary>,
    count: impl FnOnce(&mut Summary),
) -> Summary {
    let now = network.engine().now();
    for gateway in 0..network.scenario().nat_gateways.len() {
        network.gateway_mut(gateway).settle(now);
    }
    let scenario = network.scenario();
    let ledger = network.engine().ledger();
    let mut summary = Summary {
        scenario: scenario.name.clone(),
        seed: scenario.seed,
        duration,
        packets: Packets {
            sent: ledger.sent,
            delivered: ledger.delivered,
            dropped: ledger.dropped(),
            in_flight: ledger.in_flight,
            duplicated: ledger.duplicated,
            dropped_by: DropCause::ALL
                .iter()
                .filter(|&&cause| ledger.dropped_by(cause) > 0)
                .map(|&cause| (cause.name().to_owned(), ledger.dropped_by(cause)))
                .collect(),
        },
        gateways: network
            .gateways()
            .zip(&scenario.nat_gateways)
            .map(|(gateway, spec)| gateway_summary(gateway, spec.router.clone()))
            .collect(),
        connectors: (scenario.connectors.iter().enumerate())
            .map(|(index, connector)| ConnectorSummary {
                name: connector.name.clone(),
                instances: network.connector_instances(index),
            })
            .collect(),
        autoscaled: (scenario.workloads.iter().enumerate())
            .filter(|(_, workload)| workload.autoscaled.is_some())
            .map(|(index, workload)| {
                let (peak_instances, starts) = network.instance_counts(index);
                AutoscaledSummary {
                    name: workload.name.clone(),
                    instances: network.instances(index).len() as u32,
                    peak_instances,
                    starts,
                }
            })
            .collect(),
        subnetworks: (scenario.subnetworks.iter().zip(network.pools()))
            .filter(|(_, pool)| pool.held().peak > 0 || pool.failed_starts() > 0)
            .map(|(subnetwork, pool)| SubnetworkSummary {
                name: subnetwork.name.clone(),
                held_addresses: pool.held().now,
                peak_held_addresses: pool.held().peak,
                reserved_blocks: pool.blocks().now,
                peak_reserved_blocks: pool.blocks().peak,
                failed_instance_starts: pool.failed_starts(),
            })
            .collect(),
        full_tracking_tables: network
            .full_tables()
            .map(|(at, full)| FullTrackingTable {
                interface: full.interface.to_string(),
                network: scenario.networks[at].name.clone(),
                tracked_max: full.max,
                refused: full.refused,
            })
            .collect(),
        captures,
        ..Summary::default()
    };
    count(&mut summary);
    summary.expectations = evaluate(&scenario.expect, &summary);
    summary
}

/// How far a network, as it is now, is what was observed, if anything was.
pub(super) fn compare_observed(network: &Network) -> Option<ObservedSummary> {
    let scenario = network.scenario();
    let observed = scenario.observed.as_ref()?;
    let gateways: Vec<_> = (scenario.nat_gateways.iter().zip(network.gateways()))
        .map(|(spec, gateway)| SimulatedGateway {
            region: &spec.region,
            info: gateway_info(gateway),
            mappings: endpoint_mappings(gateway),
        })
        .collect();
    Some(compare(observed, &gateways))
}

/// Adds the connections of a scenario's own load, in all and by load.
pub(super) fn count_flows(summary: &mut Summary, scenario: &Scenario, flows: &Flows) {
    let mut total = Connections { connect_time_ms: flows.connect_times().quantiles(), ..Connections::default() };
    let mut loads = Vec::new();
    let mut all_requests: Option<RequestsSummary> = None;
    let mut times = ConnectTimes::default();
    for (index, (spec, counts)) in scenario.traffic.iter().zip(flows.counts()).enumerate() {
        let failed_by: BTreeMap<_, _> =
            counts.failed_by.iter().map(|(failure, count)| (failure.name().to_owned(), *count)).collect();
        total.attempted += counts.attempted;
        total.established += counts.established;
        total.failed += counts.failed;
        total.broken += counts.broken;
        total.pending += flows.pending(index);
        for (cause, count) in &failed_by {
            *total.failed_by.entry(cause.clone()).or_default() += count;
        }
        let requests = spec.requests.as_ref().map(|_| requests_of(flows, index));
        let host = spec.host.map_or_else(|| spec.to.to_string(), |host| scenario.hosts[host].name.clone());
        loads.push(TrafficSummary {
            name: spec.name.clone(),
            from: scenario.workloads[spec.from].name.clone(),
            to: match spec.protocol {
                TrafficProtocol::Icmp => host,
                _ => format!("{host}:{}", spec.port),
            },
            attempted: counts.attempted,
            established: counts.established,
            failed: counts.failed,
            pending: flows.pending(index),
            broken: counts.broken,
            failed_by,
            requests: requests.clone(),
        });
        if let Some(requests) = requests {
            let all = all_requests.get_or_insert_default();
            all.attempted += requests.attempted;
            all.succeeded += requests.succeeded;
            all.failed += requests.failed;
            all.pending += requests.pending;
            all.retries += requests.retries;
            for (cause, count) in requests.failed_by {
                *all.failed_by.entry(cause).or_default() += count;
            }
            times.add(&flows.request_counts()[index].times);
        }
    }
    if let Some(all) = &mut all_requests {
        all.latency_ms = times.quantiles();
    }
    (summary.connections, summary.requests, summary.traffic) = (total, all_requests, loads);
}

/// The requests of one load.
fn requests_of(flows: &Flows, traffic: usize) -> RequestsSummary {
    let counts = &flows.request_counts()[traffic];
    RequestsSummary {
        attempted: counts.attempted,
        succeeded: counts.succeeded,
        failed: counts.failed,
        pending: flows.pending_requests(traffic),
        retries: counts.retries,
        failed_by: counts.failed_by.iter().map(|(why, count)| (why.name().to_owned(), *count)).collect(),
        latency_ms: counts.times.quantiles(),
    }
}

fn gateway_summary(gateway: &Gateway, router: String) -> GatewaySummary {
    let dropped = [
        (DropCause::OutOfResources, gateway.dropped_out_of_resources()),
        (DropCause::EndpointIndependenceConflict, gateway.dropped_conflict()),
    ];
    let rules = gateway.rule_numbers().enumerate().skip(1).map(|(place, rule_number)| RuleSummary {
        rule_number,
        nat_ips: gateway.config().rules[place - 1].nat_ips.iter().map(ToString::to_string).collect(),
        min_extra_ips_needed: gateway.min_extra_nat_ips(place),
    });
    GatewaySummary {
        name: gateway.name().to_string(),
        router,
        nat_ips: gateway.nat_ips().map(|ip: Ipv4Addr| ip.to_string()).collect(),
        allocation_failed: gateway.allocation_failed(),
        min_extra_nat_ips_needed: gateway.min_extra_nat_ips(0),
        rules: rules.collect(),
        dropped_sent_packets: dropped.map(|(cause, count)| (cause.name().to_owned(), count)).into(),
        first_refusal: gateway.first_refusal().map(at),
        dropped_received_packets: gateway.dropped_received(),
        endpoints: (0..gateway.endpoints().len()).map(|endpoint| endpoint_summary(gateway, endpoint)).collect(),
        exhaustions: (gateway.exhaustions().iter())
            .map(|exhaustion| {
                let destination = exhaustion.destination;
                let owner = gateway.endpoints()[exhaustion.endpoint as usize].config();
                Exhaustion {
                    from: at(exhaustion.from),
                    to: at(exhaustion.to),
                    endpoint: owner.name.to_string(),
                    rule_number: Some(exhaustion.rule).filter(|&number| number != DEFAULT_RULE),
                    destination: format!("{}:{}/{}", destination.address, destination.port, destination.protocol),
                    limit: exhaustion.limit.name().to_owned(),
                    allocated_ports: exhaustion.allocated_ports,
                    open: exhaustion.open,
                    time_wait: exhaustion.time_wait,
                    dropped: exhaustion.dropped,
                }
            })
            .collect(),
    }
}

fn endpoint_summary(gateway: &Gateway, index: usize) -> EndpointSummary {
    let endpoint = &gateway.endpoints()[index];
    let mut ports = gateway.rule_numbers().zip(gateway.reservations(index)).map(|(rule_number, reservation)| {
        let ports = PortsSummary {
            nat_ip_port_ranges: reservation.blocks().map(ToString::to_string).collect(),
            allocated_ports: reservation.ports(),
            peak_allocated_ports: reservation.peak_ports(),
            peak_port_usage: reservation.peak_usage(),
        };
        RuleMapping { rule_number, ports }
    });
    EndpointSummary {
        name: endpoint.config().name.to_string(),
        address: endpoint.config().address.to_string(),
        held: endpoint.config().held,
        ports: ports.next().map(|default| default.ports).unwrap_or_default(),
        rule_mappings: ports.collect(),
        dropped_sent_packets: endpoint.dropped(),
    }
}

/// `60s`, `1500ms`, or nanoseconds when nothing rounder will do.
pub(super) fn duration_text(duration: Duration) -> String {
    match duration.as_nanos() {
        nanos if nanos % 1_000_000_000 == 0 => format!("{}s", duration.as_secs()),
        nanos if nanos % 1_000_000 == 0 => format!("{}ms", duration.as_millis()),
        nanos => format!("{nanos}ns"),
    }
}
