//! What `--out DIR` holds: files in Google's shapes and a capture of every station, filled while a run goes on.

pub mod nat_logs;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;

use crate::capture::{CaptureError, TapWriter};
use crate::network::Network;
use crate::node::nat::{Endpoint, Gateway, PortBlock, Reservation};
use crate::report::clock::{WallClock, seconds};
use crate::report::identity::PROJECT;
use crate::report::mapping_info::{BlockInfo, EndpointMappings, nat_mapping_info};
use crate::report::metrics::{EndpointSample, GatewaySample, MetricsWriter, ProtocolSample};
use crate::report::nat_log::NatLogWriter;
use crate::report::output::{OutputError, OutputFile, OutputFolder};
use crate::report::reserved::{ReservedBlock, addresses};
use crate::report::router_status::{GatewayInfo, RouterInfo, RuleInfo, nat_ip_info, router_status};
use crate::report::run_log::{RunLogEntry, RunLogWriter};
use crate::report::summary::Summary;
use crate::scenario::Subnetwork;
use crate::time::{SimTime, nanos};
use crate::traffic::flows::{Fate, Record};
use crate::wire::{Flow, Protocol};

use nat_logs::{KnownEndpoint, NatLogs};

/// Why the output could not be written.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// A file of the folder.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The capture in it.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// Whoever asked for the run has ended it.
    #[error("interrupted: nothing was written")]
    Interrupted,
    /// Data that does not fit JSON, or a write that failed.
    #[error("cannot write the output: {0}")]
    Io(#[from] io::Error),
}

/// The capture of every station, shared with the engine's tap.
struct Capture {
    writer: TapWriter,
    interfaces: usize,
    /// The first failure; what comes after it is not written.
    failed: Option<CaptureError>,
}

/// The files of one run.
pub struct Recording {
    folder: OutputFolder,
    log: NatLogWriter<OutputFile>,
    metrics: MetricsWriter<OutputFile>,
    run_log: RunLogWriter<OutputFile>,
    connections: OutputFile,
    capture: Rc<RefCell<Capture>>,
    nat_logs: NatLogs,
}

/// One line of `connections.jsonl`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ConnectionLine<'a> {
    traffic: Option<&'a str>,
    instance: Option<&'a str>,
    start: f64,
    established: Option<f64>,
    end: Option<f64>,
    protocol: String,
    inside: Tuple,
    outside: Option<Tuple>,
    outcome: &'static str,
    cause: Option<&'static str>,
    attempts: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Tuple {
    src_ip: IpAddr,
    src_port: u16,
    dest_ip: IpAddr,
    dest_port: u16,
}

impl From<Flow> for Tuple {
    fn from(flow: Flow) -> Self {
        Tuple { src_ip: flow.src(), src_port: flow.src_port(), dest_ip: flow.dst(), dest_port: flow.dst_port() }
    }
}

impl Recording {
    /// Begins the files of a run in `target`. `start` is what time 0 is called, in nanoseconds since 1970, when a capture
    /// gives it a date.
    pub fn create(target: &Path, network: &mut Network, start: Option<u64>) -> Result<Recording, RecordingError> {
        let mut folder = OutputFolder::create(target)?;
        let clock = start.map_or_else(WallClock::default, |start| WallClock::starting_at(Duration::from_nanos(start)));
        let log = NatLogWriter::new(folder.file("nat_flows.jsonl")?, clock, network.scenario().seed);
        let metrics = MetricsWriter::new(folder.file("metrics.jsonl")?, clock);
        let run_log = RunLogWriter::new(folder.file("cloud_run.jsonl")?, clock, network.scenario().seed);
        let connections = folder.file("connections.jsonl")?;
        let capture = TapWriter::create(&folder.promise("capture.pcapng")?, &[])?;
        let capture = Rc::new(RefCell::new(Capture { writer: capture, interfaces: 0, failed: None }));

        let base = start.unwrap_or(0);
        let sink = capture.clone();
        network.engine_mut().set_tap(Box::new(move |node, now, bytes, wire_length, cause| {
            let mut capture = sink.borrow_mut();
            if capture.failed.is_none() {
                let time = base.saturating_add(now.as_nanos());
                let comment = cause.map(|cause| cause.name());
                let written = capture.writer.write_record(node.0, time, bytes, wire_length, comment);
                capture.failed = written.err();
            }
        }));
        let nat_logs = NatLogs::new(network);
        for gateway in 0..nat_logs.gateways.len() {
            network.gateway_mut(gateway).keep_meters();
        }
        let mut recording = Recording { folder, log, metrics, run_log, connections, capture, nat_logs };
        recording.learn(network)?;
        Ok(recording)
    }

    /// Learns of stations and endpoints that are new.
    pub fn learn(&mut self, network: &Network) -> Result<(), RecordingError> {
        let mut capture = self.capture.borrow_mut();
        let topology = network.engine().topology();
        for node in topology.nodes().skip(capture.interfaces) {
            capture.writer.add_interface(topology.name(node))?;
            capture.interfaces += 1;
        }
        self.nat_logs.learn(network);
        Ok(())
    }

    /// Writes what has happened since the last call.
    pub fn drain(&mut self, network: &mut Network, records: Vec<Record>) -> Result<(), RecordingError> {
        self.learn(network)?;
        self.nat_logs.each(network, &mut |_, entry| self.log.write(entry))?;
        for gateway in 0..self.nat_logs.gateways.len() {
            network.gateway_mut(gateway).take_log();
        }
        self.run_log(network)?;
        self.connections(network, records)
    }

    fn run_log(&mut self, network: &mut Network) -> Result<(), RecordingError> {
        for entry in network.take_log() {
            let workload = &network.scenario().workloads[entry.workload];
            self.run_log.write(&RunLogEntry {
                at: Duration::from_nanos(entry.time.as_nanos()),
                severity: entry.severity,
                text: &entry.text,
                kind: workload.kind,
                workload: &workload.name,
                revision: &workload.revisions[entry.revision].name,
                region: &workload.region,
            })?;
        }
        Ok(())
    }

    fn connections(&mut self, network: &Network, records: Vec<Record>) -> Result<(), RecordingError> {
        let at = |time: SimTime| time.as_secs_f64();
        for record in records {
            let (outcome, failure) = match record.fate {
                Fate::Pending => ("pending", None),
                Fate::Established => ("established", None),
                Fate::Failed(failure) => ("failed", Some(failure)),
                Fate::Broken(failure) => ("broken", Some(failure)),
            };
            let line = ConnectionLine {
                traffic: record.traffic.map(|index| network.scenario().traffic[index].name.as_str()),
                instance: record.instance.map(|node| network.engine().topology().name(node)),
                start: at(record.started),
                established: record.established.map(at),
                end: record.ended.map(at),
                protocol: record.inside.protocol().to_string(),
                inside: record.inside.into(),
                outside: record.outside.map(Tuple::from),
                outcome,
                cause: failure.map(|failure| failure.name()),
                attempts: record.attempts,
            };
            serde_json::to_writer(&mut self.connections, &line).map_err(io::Error::from)?;
            self.connections.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Writes a sample of all metrics.
    pub fn sample(&mut self, network: &mut Network) -> Result<(), RecordingError> {
        let now = network.engine().now();
        for gateway in 0..self.nat_logs.gateways.len() {
            network.gateway_mut(gateway).settle(now);
        }
        let samples: Vec<_> = (network.gateways().zip(&self.nat_logs.gateways).zip(&self.nat_logs.endpoints))
            .map(|((gateway, identity), known)| GatewaySample {
                gateway: identity,
                nat_allocation_failed: gateway.allocation_failed(),
                dropped_received_elsewhere: [Protocol::Tcp, Protocol::Udp, Protocol::Icmp]
                    .map(|protocol| (protocol, gateway.dropped_received_elsewhere(protocol)))
                    .into_iter()
                    .filter(|(_, dropped)| *dropped > 0)
                    .collect(),
                endpoints: gateway
                    .endpoints()
                    .iter()
                    .enumerate()
                    .zip(known)
                    .map(|((index, endpoint), known)| sample(gateway, index, endpoint, known))
                    .collect(),
            })
            .collect();
        self.metrics.write(Duration::from_nanos(now.as_nanos()), &samples)?;
        Ok(())
    }

    /// Ends the files and puts them in place.
    pub fn finish(mut self, network: &mut Network, summary: &Summary) -> Result<(), RecordingError> {
        network.engine_mut().remove_tap();
        let capture = Rc::try_unwrap(self.capture).ok().expect("the tap is gone").into_inner();
        if let Some(error) = capture.failed {
            return Err(error.into());
        }
        capture.writer.finish()?;
        self.folder.finish(self.log.into_inner())?;
        self.folder.finish(self.metrics.into_inner())?;
        self.folder.finish(self.run_log.into_inner())?;
        self.folder.finish(self.connections)?;
        let mappings: Vec<_> = network.gateways().flat_map(endpoint_mappings).collect();
        self.folder.write("nat_mapping_info.json", |out| pretty(out, &nat_mapping_info(&mappings)))?;
        let routers = routers(network);
        let statuses: Vec<_> = routers.iter().map(router_status).collect();
        self.folder.write("router_status.json", |out| pretty(out, &statuses))?;
        self.folder.write("nat_ip_info.json", |out| pretty(out, &nat_ip_info(&routers)))?;
        let subnetworks = network.scenario().subnetworks.iter().zip(network.pools());
        let blocks = subnetworks.flat_map(|(subnetwork, pool)| {
            let Subnetwork { region, name, .. } = subnetwork;
            pool.reserved().map(move |range| ReservedBlock { range, region, subnetwork: name })
        });
        self.folder.write("addresses.json", |out| pretty(out, &addresses(blocks)))?;
        self.folder.write("summary.json", |out| pretty(out, summary))?;
        self.folder.commit()?;
        Ok(())
    }
}

fn pretty(out: &mut OutputFile, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    out.write_all(b"\n")
}

fn block_info(block: &PortBlock, draining: bool) -> BlockInfo {
    let last = u32::from(block.first()) + block.size() - 1;
    BlockInfo { nat_ip: block.ip(), first_port: block.first(), last_port: last as u16, draining }
}

/// The ports of a gateway's endpoints as they are now.
pub(crate) fn endpoint_mappings(gateway: &Gateway) -> Vec<EndpointMappings<'_>> {
    let endpoints = gateway.endpoints().iter().enumerate().filter(|(_, endpoint)| !endpoint.is_gone());
    endpoints
        .map(|(index, endpoint)| {
            let draining = gateway.draining(index);
            let mut rules = gateway.rule_numbers().zip(gateway.reservations(index)).enumerate().map(
                |(place, (rule_number, reservation))| {
                    let active = reservation.blocks().map(|block| block_info(block, false));
                    let draining = draining.get(place).into_iter().flat_map(Reservation::blocks);
                    (rule_number, active.chain(draining.map(|block| block_info(block, true))).collect())
                },
            );
            EndpointMappings {
                instance_name: &endpoint.config().name,
                address: endpoint.config().address,
                // Who is served by an alias range only has no primary address that could stand for it.
                alias_range: endpoint
                    .config()
                    .alias_ranges
                    .first()
                    .copied()
                    .filter(|_| !endpoint.config().serves_primary),
                blocks: rules.next().map(|(_, blocks)| blocks).unwrap_or_default(),
                rules: rules.collect(),
            }
        })
        .collect()
}

/// The routers of a network and their gateways as they are now.
fn routers(network: &Network) -> Vec<RouterInfo<'_>> {
    let scenario = network.scenario();
    let mut routers: Vec<(&str, RouterInfo<'_>)> = Vec::new();
    for (spec, gateway) in scenario.nat_gateways.iter().zip(network.gateways()) {
        let place = routers.iter().position(|(name, router)| *name == spec.router && router.region == spec.region);
        let place = place.unwrap_or_else(|| {
            let network = &scenario.networks[spec.network].name;
            let router = RouterInfo { project_id: PROJECT, region: &spec.region, network, gateways: Vec::new() };
            routers.push((&spec.router, router));
            routers.len() - 1
        });
        routers[place].1.gateways.push(gateway_info(gateway));
    }
    routers.into_iter().map(|(_, router)| router).collect()
}

/// A gateway as it is now.
pub(crate) fn gateway_info(gateway: &Gateway) -> GatewayInfo<'_> {
    let config = gateway.config();
    let endpoints = 0..gateway.endpoints().len();
    let with_mappings = |rule: usize| {
        let draining = |endpoint| gateway.draining(endpoint).get(rule).map_or(0, Reservation::ports);
        let holds = |endpoint: &usize| gateway.reservation(*endpoint, rule).ports() + draining(*endpoint) > 0;
        endpoints.clone().filter(holds).count() as u64
    };
    let all =
        endpoints.clone().flat_map(|endpoint| gateway.reservations(endpoint).iter().chain(gateway.draining(endpoint)));
    GatewayInfo {
        name: gateway.name(),
        auto_allocated_nat_ips: gateway.nat_ips().filter(|ip| !config.nat_ips.contains(ip)).collect(),
        user_allocated_nat_ips: config.nat_ips.iter().map(|&ip| (ip, None)).collect(),
        drain_user_allocated_nat_ips: config.drain_nat_ips.clone(),
        min_extra_nat_ips_needed: gateway.min_extra_nat_ips(0),
        endpoints_with_mappings: with_mappings(0),
        rules: (config.rules.iter().enumerate())
            .map(|(place, rule)| RuleInfo {
                number: rule.number,
                active_nat_ips: rule.nat_ips.clone(),
                drain_nat_ips: rule.drain_nat_ips.clone(),
                min_extra_ips_needed: gateway.min_extra_nat_ips(place + 1),
                endpoints_with_mappings: with_mappings(place + 1),
            })
            .collect(),
        in_use: all.flat_map(Reservation::blocks).map(PortBlock::ip).collect(),
    }
}

fn sample<'a>(gateway: &Gateway, index: usize, endpoint: &Endpoint, known: &'a KnownEndpoint) -> EndpointSample<'a> {
    let mut protocols = BTreeMap::new();
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Icmp] {
        let meter = endpoint.meter(protocol);
        if *meter == Default::default() {
            continue;
        }
        let sample = ProtocolSample {
            port_usage: u64::from(gateway.port_usage(index, protocol)),
            open_connections: meter.new_connections - meter.closed_connections,
            new_connections: meter.new_connections,
            closed_connections: meter.closed_connections,
            sent_bytes: meter.sent_bytes,
            received_bytes: meter.received_bytes,
            sent_packets: meter.sent_packets,
            received_packets: meter.received_packets,
            dropped_out_of_resources: meter.dropped_out_of_resources,
            dropped_endpoint_independence_conflict: meter.dropped_conflict,
            dropped_received_packets: meter.dropped_received,
        };
        protocols.insert(protocol, sample);
    }
    let blocks = gateway.reservations(index).iter().flat_map(Reservation::blocks);
    let allocated_ports = blocks.map(|block| (block.ip(), u64::from(block.size()))).collect();
    EndpointSample { endpoint: &known.identity, allocated_ports, protocols }
}

/// A time as the summary writes it.
pub fn at(time: SimTime) -> String {
    seconds(nanos(time - SimTime::ZERO))
}
