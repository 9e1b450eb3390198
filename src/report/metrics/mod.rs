//! `metrics.jsonl`: Cloud NAT's metrics, one Cloud Monitoring `TimeSeries` with a single point a line.
//!
//! Names, kinds, units and labels are those of <https://cloud.google.com/nat/docs/monitoring> (read 2026-04), in both
//! families: `router.googleapis.com/nat/*` on the gateway and `compute.googleapis.com/nat/*` on each VM. The engine
//! hands over running totals; this module remembers the last ones and writes what was added since.
//!
//! Difference: a protocol's series begin with the first sample in which the protocol was used and go on from there,
//! zeros included. Google does not say when a series begins.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::clock::WallClock;
use super::identity::{EndpointIdentity, GatewayIdentity};
use crate::wire::Protocol;
use series::{Resource, SeriesWriter};

mod series;

/// How often Google samples, and how often the engine should.
pub const SAMPLE_INTERVAL: Duration = Duration::from_secs(60);

/// One protocol of one endpoint: two present values, then running totals since the endpoint came to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProtocolSample {
    /// Most connections to one destination address and port at this moment.
    pub port_usage: u64,
    /// Connections at this moment.
    pub open_connections: u64,
    /// Connections created.
    pub new_connections: u64,
    /// Connections that ended.
    pub closed_connections: u64,
    /// IP bytes translated on their way out.
    pub sent_bytes: u64,
    /// IP bytes translated on their way in.
    pub received_bytes: u64,
    /// Packets translated on their way out.
    pub sent_packets: u64,
    /// Packets translated on their way in.
    pub received_packets: u64,
    /// Packets dropped on their way out for lack of a port.
    pub dropped_out_of_resources: u64,
    /// Packets dropped on their way out because the endpoint-independent mapping was taken.
    pub dropped_endpoint_independence_conflict: u64,
    /// Packets dropped on their way in to one of the endpoint's ports.
    pub dropped_received_packets: u64,
}

/// One endpoint at the moment of the sample.
#[derive(Debug, Clone)]
pub struct EndpointSample<'a> {
    /// Endpoints with the same project, zone and name (the addresses of one VM) share one series.
    pub endpoint: &'a EndpointIdentity,
    /// Ports by NAT IP; an address may come several times.
    pub allocated_ports: Vec<(Ipv4Addr, u64)>,
    /// The protocols it has used so far.
    pub protocols: BTreeMap<Protocol, ProtocolSample>,
}

/// One gateway at the moment of the sample.
#[derive(Debug, Clone)]
pub struct GatewaySample<'a> {
    /// The gateway.
    pub gateway: &'a GatewayIdentity,
    /// Whether some endpoint did not get its ports.
    pub nat_allocation_failed: bool,
    /// Running total of packets from outside to ports that belong to no endpoint.
    pub dropped_received_elsewhere: BTreeMap<Protocol, u64>,
    /// Its endpoints. One that went away since the last sample is listed once more, with no ports and its final
    /// totals: otherwise its last packets are counted nowhere.
    pub endpoints: Vec<EndpointSample<'a>>,
}

/// Writes samples as they are taken.
#[derive(Debug)]
pub struct MetricsWriter<W> {
    out: W,
    clock: WallClock,
    last_sample: Duration,
    totals: BTreeMap<TotalsKey, ProtocolSample>,
}

/// Router number, gateway name, and the VM's number or `None` for ports that belong to no endpoint.
type TotalsKey = (u64, String, Option<u64>, Protocol);

impl<W: Write> MetricsWriter<W> {
    /// Points go to `out` at the clock's dates. Counting starts at time 0.
    pub fn new(out: W, clock: WallClock) -> Self {
        MetricsWriter { out, clock, last_sample: Duration::ZERO, totals: BTreeMap::new() }
    }

    /// Writes all series of all gateways, each with its point of this moment. Samples come in order of time.
    pub fn write(&mut self, at: Duration, gateways: &[GatewaySample<'_>]) -> io::Result<()> {
        for sample in gateways {
            let (gateway, vms) = self.readings_since_last_sample(sample);
            let failed = sample.nat_allocation_failed;
            let mut series = self.series(Resource::gateway(sample.gateway), at);
            series.allocation_failed(failed)?;
            series.readings(&gateway)?;
            for (vm, readings) in &vms {
                self.series(Resource::vm(vm, sample.gateway), at).readings(readings)?;
            }
        }
        self.last_sample = at;
        Ok(())
    }

    /// Hands the output back.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// The gateway's readings, which are the sum of its parts', and each VM's.
    fn readings_since_last_sample<'a>(
        &mut self,
        sample: &GatewaySample<'a>,
    ) -> (Readings, Vec<(&'a EndpointIdentity, Readings)>) {
        let router = sample.gateway.router_id();
        let name = &sample.gateway.gateway;

        let mut vms: Vec<(&EndpointIdentity, Readings)> = Vec::new();
        let mut place_of_vm: BTreeMap<u64, usize> = BTreeMap::new();
        for endpoint in &sample.endpoints {
            let readings = Readings::of(endpoint);
            match place_of_vm.entry(endpoint.endpoint.instance_id()) {
                Entry::Occupied(place) => vms[*place.get()].1.absorb(&readings),
                Entry::Vacant(place) => {
                    place.insert(vms.len());
                    vms.push((endpoint.endpoint, readings));
                }
            }
        }
        let mut gateway = Readings::default();
        for (vm, readings) in &mut vms {
            for (&protocol, now) in &mut readings.protocols {
                let key = (router, name.clone(), Some(vm.instance_id()), protocol);
                let before = self.totals.insert(key, *now).unwrap_or_default();
                *now = now.since(&before);
            }
            gateway.absorb(readings);
        }
        for (&protocol, &dropped_received_packets) in &sample.dropped_received_elsewhere {
            let now = ProtocolSample { dropped_received_packets, ..ProtocolSample::default() };
            let key = (router, name.clone(), None, protocol);
            let before = self.totals.insert(key, now).unwrap_or_default();
            let gateway = gateway.protocols.entry(protocol).or_default();
            gateway.absorb(&now.since(&before));
        }
        // A series goes on when the VMs that began it are gone.
        let ours = |key: &&TotalsKey| key.0 == router && key.1 == *name;
        for (_, _, _, protocol) in self.totals.keys().filter(ours) {
            gateway.protocols.entry(*protocol).or_default();
        }
        (gateway, vms)
    }

    fn series(&mut self, resource: Resource, at: Duration) -> SeriesWriter<'_, W> {
        let start = self.clock.shortest(self.last_sample).to_string();
        let end = self.clock.shortest(at).to_string();
        SeriesWriter::new(&mut self.out, resource, start, end)
    }
}

/// What one monitored resource shows in one sample.
#[derive(Debug, Clone, Default)]
struct Readings {
    allocated_ports: BTreeMap<Ipv4Addr, u64>,
    protocols: BTreeMap<Protocol, ProtocolSample>,
}

impl Readings {
    fn of(endpoint: &EndpointSample<'_>) -> Self {
        let mut allocated_ports = BTreeMap::new();
        for &(nat_ip, ports) in &endpoint.allocated_ports {
            *allocated_ports.entry(nat_ip).or_default() += ports;
        }
        Readings { allocated_ports, protocols: endpoint.protocols.clone() }
    }

    fn absorb(&mut self, other: &Readings) {
        for (&nat_ip, ports) in &other.allocated_ports {
            *self.allocated_ports.entry(nat_ip).or_default() += ports;
        }
        for (&protocol, sample) in &other.protocols {
            self.protocols.entry(protocol).or_default().absorb(sample);
        }
    }
}

impl ProtocolSample {
    /// Adds everything up but `port_usage`, which is that of the VM with most: on the gateway, too, Google documents it
    /// as a maximum.
    fn absorb(&mut self, other: &ProtocolSample) {
        *self = ProtocolSample {
            port_usage: self.port_usage.max(other.port_usage),
            open_connections: self.open_connections + other.open_connections,
            ..self.combine_totals(other, |a, b| a + b)
        };
    }

    /// The same present values, and what the totals gained. An instance that comes back under its old name counts from
    /// zero again, hence the saturation.
    fn since(&self, before: &ProtocolSample) -> ProtocolSample {
        self.combine_totals(before, u64::saturating_sub)
    }

    fn combine_totals(&self, other: &ProtocolSample, with: fn(u64, u64) -> u64) -> ProtocolSample {
        ProtocolSample {
            port_usage: self.port_usage,
            open_connections: self.open_connections,
            new_connections: with(self.new_connections, other.new_connections),
            closed_connections: with(self.closed_connections, other.closed_connections),
            sent_bytes: with(self.sent_bytes, other.sent_bytes),
            received_bytes: with(self.received_bytes, other.received_bytes),
            sent_packets: with(self.sent_packets, other.sent_packets),
            received_packets: with(self.received_packets, other.received_packets),
            dropped_out_of_resources: with(self.dropped_out_of_resources, other.dropped_out_of_resources),
            dropped_endpoint_independence_conflict: with(
                self.dropped_endpoint_independence_conflict,
                other.dropped_endpoint_independence_conflict,
            ),
            dropped_received_packets: with(self.dropped_received_packets, other.dropped_received_packets),
        }
    }
}

#[cfg(test)]
mod tests;
