//! Connections begin: when, from which instance, to which address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::connection::{Connection, Ends, Kind, Phase, Script, Side, tag};
use super::record::{Fate, NEVER_SENT, Record};
use super::{Failure, Flows};
use crate::network::Network;
use crate::scenario::{Arrivals, Endpoints, TrafficProtocol};
use crate::sim::rng;
use crate::time::SimTime;
use crate::topology::NodeId;
use crate::trace::DropCause;
use crate::traffic::half::Half;
use crate::wire::{Flow, Protocol};

impl Flows {
    /// It is time for the next connection of a load.
    pub(super) fn arrive(&mut self, network: &mut Network, traffic: usize) {
        let spec = &self.specs[traffic];
        let (now, stop) = (network.engine().now(), SimTime::from(spec.stop));
        let gap = match spec.arrivals {
            Arrivals::Count(count) => {
                for _ in 0..count {
                    self.begin(network, traffic);
                }
                return;
            }
            Arrivals::Poisson(rate) => rng::exponential(&mut self.arrivals[traffic], 1.0 / rate),
            Arrivals::Constant(rate) => 1.0 / rate,
        };
        // The first wake is the start itself. Constant arrivals begin there; Poisson ones after a first gap.
        let starts_here = now != SimTime::from(spec.start) || matches!(spec.arrivals, Arrivals::Constant(_));
        if starts_here && now < stop {
            self.begin(network, traffic);
        }
        let next = now + Duration::from_nanos((gap * 1e9).round().max(1.0) as u64);
        if next < stop {
            network.engine_mut().wake_at(next, tag(Kind::Arrival, 0, traffic as u32));
        }
    }

    /// Begins a connection.
    fn begin(&mut self, network: &mut Network, traffic: usize) {
        self.counts[traffic].attempted += 1;
        let spec = &self.specs[traffic];
        let (from, to, port) = (spec.from, spec.to, spec.port);
        let protocol = match spec.protocol {
            TrafficProtocol::Tcp => Protocol::Tcp,
            TrafficProtocol::Udp => Protocol::Udp,
            TrafficProtocol::Icmp => Protocol::Icmp,
        };
        let timeout = spec.connect_timeout;
        let now = network.engine().now();
        let instances = network.instances(from);
        let dst_port = if protocol == Protocol::Icmp { 0 } else { port };
        if instances.is_empty() {
            let nobody = nobody_to(to.address(false), dst_port, protocol);
            self.fail_at_once(traffic, None, nobody, now, Failure::NoInstance);
            return;
        }
        let instance = instances[rng::below(&mut self.choice, instances.len() as u64) as usize].clone();
        let dst = to.address(instance.prefers_ipv6);
        let node = Some(instance.site.node);
        let Some(flow) = instance.source_for(dst).and_then(|src| Flow::between((src, 0), (dst, dst_port), protocol))
        else {
            // "Network is unreachable", says the kernel at once.
            let failure = Failure::Dropped(DropCause::SimIpv6Unavailable);
            self.fail_at_once(traffic, node, nobody_to(dst, dst_port, protocol), now, failure);
            return;
        };
        if let Some(most) = self.limits[from].filter(|_| protocol != Protocol::Icmp)
            && !self.sources.may_begin(instance.site.node, most, now)
        {
            self.fail_at_once(traffic, node, flow, now, Failure::ConnectionRate);
            return;
        }
        let Some(flow) = self.sources.take(instance.site.node, flow, &mut self.choice) else {
            self.fail_at_once(traffic, node, flow, now, Failure::NoSourcePort);
            return;
        };
        let initial = rng::below(&mut self.choice, 1 << 32) as u32;
        let ends = if self.specs[traffic].endpoints == Endpoints::Stack && protocol == Protocol::Tcp {
            Ends::Stack(Box::new(self.stacks(traffic, flow, initial, now)))
        } else {
            let client = Side::new(Half::new(initial, 0, flow.mss()));
            Ends::Script(Script { client, server: None, peer: 0, round_trip: Duration::ZERO })
        };
        let engine = network.engine_mut();
        let connection = Connection {
            generation: 0,
            phase: Phase::Connecting,
            traffic: traffic as u32,
            instance: instance.site.node,
            flow,
            started: now,
            established: None,
            client_flow: engine.add_flow(),
            server_flow: engine.add_flow(),
            syns: 0,
            ends,
            far: None,
            outside: None,
            last_drop: None,
            answered: 0,
        };
        self.open += 1;
        let slot = match self.free.pop() {
            Some(slot) => {
                let generation = self.connections[slot as usize].generation.wrapping_add(1);
                self.connections[slot as usize] = Connection { generation, ..connection };
                slot
            }
            None => {
                self.connections.push(connection);
                (self.connections.len() - 1) as u32
            }
        };
        // Asked for before any retry, so that at the same instant giving up comes first.
        let limit = match protocol {
            Protocol::Tcp => timeout.min(Duration::from_secs(self.schedule.gives_up())),
            Protocol::Udp | Protocol::Icmp => timeout,
        };
        self.wake_at(network, now + limit, Kind::GiveUp, slot);
        self.open_client(network, slot);
    }

    fn fail_at_once(&mut self, traffic: usize, instance: Option<NodeId>, inside: Flow, now: SimTime, failure: Failure) {
        self.counts[traffic].failed += 1;
        *self.counts[traffic].failed_by.entry(failure).or_default() += 1;
        if let Some(records) = &mut self.records {
            records.push(Record {
                traffic: Some(traffic),
                instance,
                inside,
                outside: None,
                started: now,
                established: None,
                ended: Some(now),
                fate: Fate::Failed(failure),
                attempts: 0,
                id: NEVER_SENT,
                accepted: None,
            });
        }
    }
}

/// What stands in a record for a connection that has no source.
fn nobody_to(dst: IpAddr, dst_port: u16, protocol: Protocol) -> Flow {
    let src = match dst {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    Flow::between((src, 0), (dst, dst_port), protocol).expect("both are of one version of IP")
}
