//! A run from beginning to end: the scenario's own load, its changes, its outputs, and the summary.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use crate::network::Network;
use crate::node::nat::Gateway;
use crate::recording::{Recording, RecordingError, at};
use crate::report::expect::evaluate;
use crate::report::metrics::SAMPLE_INTERVAL;
use crate::report::summary::{
    CaptureSummary, Connections, ConnectorSummary, EndpointSummary, Exhaustion, GatewaySummary, Packets, Quantiles,
    SubnetworkSummary, Summary, TrafficSummary,
};
use crate::scenario::{Scenario, TrafficProtocol};
use crate::sim::Occurrence;
use crate::time::{SimTime, nanos};
use crate::trace::DropCause;
use crate::traffic::flows::Flows;

/// How many things happen between two looks at logs and progress.
const BATCH: u32 = 8192;

/// Runs a scenario. With `out`, files are written there; `progress` is told now and then how far the run is (0 to 1), and
/// may end it.
///
/// # Errors
/// When the files cannot be written, or `progress` ends the run: then nothing is written.
///
/// ```
/// use std::ops::ControlFlow;
///
/// use egressim::scenario::{self, load};
///
/// let loaded = load::load(scenario::BUILT_IN);
/// let scenario = loaded.scenario.expect("the built-in scenario is sound");
/// let summary = egressim::simulation::run(&scenario, None, &mut |_| ControlFlow::Continue(()))?;
/// assert_eq!(summary.packets.sent, summary.packets.delivered + summary.packets.dropped + summary.packets.in_flight);
/// assert!(summary.packets.dropped_by["OUT_OF_RESOURCES"] > 0);
/// # Ok::<(), egressim::recording::RecordingError>(())
/// ```
pub fn run(
    scenario: &Scenario,
    out: Option<&Path>,
    progress: &mut dyn FnMut(f64) -> ControlFlow<()>,
) -> Result<Summary, RecordingError> {
    let mut network = Network::new(scenario);
    let mut flows = Flows::new(scenario, &mut network);
    let mut recording = match out {
        Some(target) => {
            flows.keep_records();
            Some(Recording::create(target, &mut network, None)?)
        }
        None => None,
    };
    let end = SimTime::from(scenario.duration);
    let mut changes = Changes::new(scenario, recording.is_some());
    let mut batch = 0;
    loop {
        let until = changes.next(&network).min(end);
        while let Some(occurrence) = network.engine_mut().step(until) {
            match occurrence {
                Occurrence::Wake(token) => {
                    flows.wake(&mut network, token);
                }
                Occurrence::Delivered { node, from, packet, tag, .. } => {
                    flows.delivered(&mut network, node, from, &packet, tag);
                    network.engine_mut().recycle(packet);
                }
                Occurrence::Answered { packet, .. } => network.engine_mut().recycle(packet),
                Occurrence::Dropped { cause, packet, tag, .. } => {
                    flows.dropped(tag, cause, &packet);
                    network.engine_mut().recycle(packet);
                }
            }
            batch += 1;
            if batch == BATCH {
                batch = 0;
                let done = network.engine().now().as_secs_f64() / scenario.duration.as_secs_f64().max(1e-9);
                if progress(done).is_break() {
                    return Err(RecordingError::Interrupted);
                }
                if let Some(recording) = &mut recording {
                    recording.drain(&mut network, flows.take_records())?;
                }
            }
        }
        changes.make(&mut network, &mut recording)?;
        if until >= end {
            break;
        }
    }
    if let Some(recording) = &mut recording {
        let mut records = flows.take_records();
        records.extend(flows.unfinished());
        recording.drain(&mut network, records)?;
        if !changes.sampled_at(end) {
            recording.sample(&mut network)?;
        }
    }
    let summary = summarise(&mut network, scenario.duration, Some(&flows), None);
    if let Some(recording) = recording {
        recording.finish(&mut network, &summary)?;
    }
    Ok(summary)
}

/// What happens at set times: the scenario's events, releases of held addresses, samples of metrics.
pub(crate) struct Changes {
    next_event: usize,
    next_sample: SimTime,
    last_sample: Option<SimTime>,
    samples: bool,
}

impl Changes {
    pub(crate) fn new(_scenario: &Scenario, samples: bool) -> Changes {
        let first = SimTime::ZERO + SAMPLE_INTERVAL;
        Changes { next_event: 0, next_sample: first, last_sample: None, samples }
    }

    /// When the next of them is.
    pub(crate) fn next(&self, network: &Network) -> SimTime {
        let event = network.scenario().events.get(self.next_event);
        let event = event.map_or(SimTime::NEVER, |event| SimTime::from(event.at));
        let sample = if self.samples { self.next_sample } else { SimTime::NEVER };
        event.min(sample).min(network.next_timeout())
    }

    /// Does what is due now.
    pub(crate) fn make(
        &mut self,
        network: &mut Network,
        recording: &mut Option<Recording>,
    ) -> Result<(), RecordingError> {
        let now = network.engine().now();
        network.handle_timeout();
        while let Some(event) = network.scenario().events.get(self.next_event)
            && SimTime::from(event.at) <= now
        {
            let change = event.change.clone();
            network.apply(&change);
            self.next_event += 1;
        }
        if let Some(recording) = recording {
            recording.learn(network)?;
            while self.next_sample <= now {
                recording.sample(network)?;
                self.last_sample = Some(self.next_sample);
                self.next_sample += SAMPLE_INTERVAL;
            }
        }
        Ok(())
    }

    /// A capture may be silent for years. An hour after the last packet there is nothing new to sample until the next one.
    pub(crate) fn skip_silence(&mut self, last_packet: SimTime, now: SimTime) {
        let minute = nanos(SAMPLE_INTERVAL);
        if self.next_sample > last_packet + Duration::from_secs(3600) {
            let latest = SimTime::from_nanos(now.as_nanos() / minute * minute);
            self.next_sample = self.next_sample.max(latest);
        }
    }

    pub(crate) fn sampled_at(&self, time: SimTime) -> bool {
        self.last_sample == Some(time)
    }
}

/// The result as it stands now.
pub(crate) fn summarise(
    network: &mut Network,
    duration: Duration,
    flows: Option<&Flows>,
    captures: Option<CaptureSummary>,
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
        duration: duration_text(duration),
        packets: Packets {
            sent: ledger.sent,
            delivered: ledger.delivered,
            dropped: ledger.dropped(),
            in_flight: ledger.in_flight,
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
        connectors: (scenario.connectors.iter())
            .map(|connector| ConnectorSummary { name: connector.name.clone(), instances: connector.min_instances })
            .collect(),
        subnetworks: (scenario.subnetworks.iter().zip(network.pools()))
            .filter(|(_, pool)| pool.peak() > 0 || pool.failed_starts() > 0)
            .map(|(subnetwork, pool)| SubnetworkSummary {
                name: subnetwork.name.clone(),
                held_addresses: pool.held(),
                peak_held_addresses: pool.peak(),
                failed_instance_starts: pool.failed_starts(),
            })
            .collect(),
        captures,
        ..Summary::default()
    };
    if let Some(flows) = flows {
        (summary.connections, summary.traffic) = connections(scenario, flows);
    }
    summary.expectations = evaluate(&scenario.expect, &summary);
    summary
}

fn connections(scenario: &Scenario, flows: &Flows) -> (Connections, Vec<TrafficSummary>) {
    let times = flows.connect_times();
    // To the microsecond that was measured, in milliseconds.
    let quantile = |q: f64| times.value_at_quantile(q) as f64 / 1000.0;
    let mut total = Connections {
        connect_time_ms: match times.is_empty() {
            true => Quantiles::default(),
            false => Quantiles {
                p50: quantile(0.5),
                p90: quantile(0.9),
                p99: quantile(0.99),
                max: times.max() as f64 / 1000.0,
            },
        },
        ..Connections::default()
    };
    let mut loads = Vec::new();
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
        });
    }
    (total, loads)
}

fn gateway_summary(gateway: &Gateway, router: String) -> GatewaySummary {
    let dropped = [
        ("OUT_OF_RESOURCES".to_owned(), gateway.dropped_out_of_resources()),
        ("ENDPOINT_INDEPENDENCE_CONFLICT".to_owned(), 0),
    ];
    GatewaySummary {
        name: gateway.name().to_string(),
        router,
        nat_ips: gateway.nat_ips().map(|ip: Ipv4Addr| ip.to_string()).collect(),
        allocation_failed: gateway.allocation_failed(),
        min_extra_nat_ips_needed: gateway.min_extra_nat_ips(),
        dropped_sent_packets: dropped.into(),
        dropped_received_packets: gateway.dropped_received(),
        endpoints: (gateway.endpoints().iter())
            .map(|endpoint| EndpointSummary {
                name: endpoint.config().name.to_string(),
                address: endpoint.config().address.to_string(),
                held: endpoint.config().held,
                nat_ip_port_ranges: endpoint.blocks().iter().map(ToString::to_string).collect(),
                allocated_ports: endpoint.ports(),
                peak_allocated_ports: endpoint.peak_ports(),
                peak_port_usage: endpoint.peak_usage(),
                dropped_sent_packets: endpoint.dropped(),
            })
            .collect(),
        exhaustions: (gateway.exhaustions().iter())
            .map(|exhaustion| {
                let destination = exhaustion.destination;
                let owner = gateway.endpoints()[destination.endpoint as usize].config();
                Exhaustion {
                    from: at(exhaustion.from),
                    to: at(exhaustion.to),
                    endpoint: owner.name.to_string(),
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

/// `60s`, `1500ms`, or nanoseconds when nothing rounder will do.
fn duration_text(duration: Duration) -> String {
    match duration.as_nanos() {
        nanos if nanos % 1_000_000_000 == 0 => format!("{}s", duration.as_secs()),
        nanos if nanos % 1_000_000 == 0 => format!("{}ms", duration.as_millis()),
        nanos => format!("{nanos}ns"),
    }
}
