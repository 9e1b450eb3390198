//! Connections begin: when, from which instance, to which address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::connection::{Connection, Ends, Kind, Phase, Script, Side, Use, next_generation, tag};
use super::record::{Fate, NEVER_SENT, Record};
use super::requests::{LOOKUP_TIMEOUT, RequestId};
use super::{Failure, Flows};
use crate::network::Network;
use crate::scenario::{Arrivals, Destination, Endpoints, TrafficProtocol};
use crate::sim::rng;
use crate::time::SimTime;
use crate::topology::NodeId;
use crate::trace::{CallFailure, DropCause};
use crate::traffic::half::Half;
use crate::wire::{Flow, Protocol};

/// So many begin at one instant before somebody may look whether the run is to end.
const STORM: u64 = 1 << 16;

/// Where a connection goes.
#[derive(Debug, Clone, Copy)]
struct Goal {
    to: Destination,
    port: u16,
    protocol: Protocol,
    /// When nobody has answered by then, it has failed.
    timeout: Duration,
}

impl Flows {
    /// It is time for the next connection of a load.
    pub(super) fn arrive(&mut self, network: &mut Network, traffic: usize) {
        let spec = &self.specs[traffic];
        let (now, stop) = (network.engine().now(), SimTime::from(spec.stop));
        if let Some(curve) = &spec.curve {
            // In the units of the curve's area.
            let gap = match spec.arrivals {
                Arrivals::Poisson(_) => rng::exponential(&mut self.arrivals[traffic], 1.0),
                Arrivals::Constant(_) | Arrivals::Count(_) | Arrivals::Workers(_) => 1.0,
            };
            let next = curve.next(Duration::from_nanos(now.as_nanos()), gap).map_or(SimTime::NEVER, SimTime::from);
            // The first wake is the start itself.
            if now != SimTime::from(spec.start) && now < stop {
                self.arrival(network, traffic);
            }
            if next < stop {
                let next = next.max(now + Duration::from_nanos(1));
                network.engine_mut().wake_at(next, tag(Kind::Arrival, 0, traffic as u32));
            }
            return;
        }
        let gap = match spec.arrivals {
            Arrivals::Count(count) => {
                let end = count.min(self.begun_at_once[traffic] + STORM);
                for _ in self.begun_at_once[traffic]..end {
                    self.arrival(network, traffic);
                }
                self.begun_at_once[traffic] = end;
                if end < count {
                    self.storm = true;
                    network.engine_mut().wake_at(now, tag(Kind::Arrival, 0, traffic as u32));
                }
                return;
            }
            Arrivals::Poisson(rate) => rng::exponential(&mut self.arrivals[traffic], 1.0 / rate),
            Arrivals::Constant(rate) => 1.0 / rate,
            Arrivals::Workers(_) => return self.workers_arrive(network, traffic),
        };
        // The first wake is the start itself. Constant arrivals begin there; Poisson ones after a first gap.
        let starts_here = now != SimTime::from(spec.start) || matches!(spec.arrivals, Arrivals::Constant(_));
        if starts_here && now < stop {
            self.arrival(network, traffic);
        }
        let next = now + Duration::from_nanos((gap * 1e9).round().max(1.0) as u64);
        if next < stop {
            network.engine_mut().wake_at(next, tag(Kind::Arrival, 0, traffic as u32));
        }
    }

    /// A connection begins, or a request arrives.
    fn arrival(&mut self, network: &mut Network, traffic: usize) {
        if self.specs[traffic].requests.is_some() {
            self.notice(network);
            self.request(network, traffic, None, None);
        } else {
            self.begin(network, traffic);
        }
    }

    /// Begins a connection, from any instance.
    fn begin(&mut self, network: &mut Network, traffic: usize) {
        let spec = &self.specs[traffic];
        let (to, port, timeout) = (spec.to, spec.port, spec.connect_timeout);
        let protocol = match spec.protocol {
            TrafficProtocol::Tcp => Protocol::Tcp,
            TrafficProtocol::Udp => Protocol::Udp,
            TrafficProtocol::Icmp => Protocol::Icmp,
        };
        let goal = Goal { to, port: if protocol == Protocol::Icmp { 0 } else { port }, protocol, timeout };
        let instances = network.instances(spec.from);
        if instances.is_empty() {
            self.counts[traffic].attempted += 1;
            let now = network.engine().now();
            let nobody = nobody_to(to.address(false), goal.port, protocol);
            self.fail_at_once(traffic, None, nobody, now, Failure::NoInstance);
            return;
        }
        let index = rng::below(&mut self.choice, instances.len() as u64) as usize;
        // What fails at once has been counted, and nobody waits for it.
        let _ = self.open(network, traffic, index, goal, None);
    }

    /// Opens a connection for a request's call, or asks its name server.
    pub(super) fn open_for(
        &mut self,
        network: &mut Network,
        request: RequestId,
        traffic: u32,
        instance: NodeId,
        lookup: bool,
    ) {
        let spec = &self.specs[traffic as usize];
        let dns = spec.requests.as_ref().and_then(|requests| requests.dns).filter(|_| lookup);
        let goal = match dns {
            Some(dns) => Goal { to: dns.server, port: dns.port, protocol: Protocol::Udp, timeout: LOOKUP_TIMEOUT },
            None => Goal { to: spec.to, port: spec.port, protocol: Protocol::Tcp, timeout: spec.connect_timeout },
        };
        let index = network.instances(spec.from).iter().position(|running| running.site.node == instance);
        let Some(index) = index else {
            self.call_failed(network, request, CallFailure::InstanceGone);
            return;
        };
        let used = Use { request: Some(request), lookup, ..Use::default() };
        if let Err(failure) = self.open(network, traffic as usize, index, goal, Some(used)) {
            self.connection_failed(network, request, lookup, failure);
        }
    }

    /// Opens a connection from a workload's instance.
    ///
    /// # Errors
    /// When it fails before a packet is sent; then that is counted and recorded.
    fn open(
        &mut self,
        network: &mut Network,
        traffic: usize,
        index: usize,
        goal: Goal,
        used: Option<Use>,
    ) -> Result<(), Failure> {
        self.counts[traffic].attempted += 1;
        let from = self.specs[traffic].from;
        let now = network.engine().now();
        let instance = &network.instances(from)[index];
        let dst = goal.to.address(instance.prefers_ipv6);
        let node = instance.site.node;
        let source = instance.source_for(dst);
        let Goal { port, protocol, timeout, .. } = goal;
        let Some(flow) = source.and_then(|src| Flow::between((src, 0), (dst, port), protocol)) else {
            // "Network is unreachable", says the kernel at once.
            let failure = Failure::Dropped(DropCause::SimIpv6Unavailable);
            self.fail_at_once(traffic, Some(node), nobody_to(dst, port, protocol), now, failure);
            return Err(failure);
        };
        if let Some(most) = self.limits[from].filter(|_| protocol != Protocol::Icmp)
            && !self.sources.may_begin(node, most, now)
        {
            self.fail_at_once(traffic, Some(node), flow, now, Failure::ConnectionRate);
            return Err(Failure::ConnectionRate);
        }
        let Some(flow) = self.sources.take(node, flow, now, &mut self.choice) else {
            self.fail_at_once(traffic, Some(node), flow, now, Failure::NoSourcePort);
            return Err(Failure::NoSourcePort);
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
            instance: node,
            flow,
            started: now,
            established: None,
            client_flow: engine.add_flow(),
            server_flow: engine.add_flow(),
            syns: 0,
            closed_first: false,
            ends,
            far: None,
            outside: None,
            last_drop: None,
            answered: 0,
            used: used.map(Box::new),
        };
        let slot = self.insert(connection);
        if let Some(Use { request: Some(request), .. }) = used {
            self.requests.is_on(request, slot);
            self.join_pool(slot);
        }
        // Asked for before any retry, so that at the same instant giving up comes first.
        let limit = match protocol {
            Protocol::Tcp => timeout.min(Duration::from_secs(self.schedule.gives_up())),
            Protocol::Udp | Protocol::Icmp => timeout,
        };
        self.wake_at(network, now + limit, Kind::GiveUp, slot);
        self.open_client(network, slot);
        Ok(())
    }

    fn insert(&mut self, connection: Connection) -> u32 {
        self.open += 1;
        match self.free.pop() {
            Some(slot) => {
                let generation = next_generation(self.connections[slot as usize].generation);
                self.connections[slot as usize] = Connection { generation, ..connection };
                slot
            }
            None => {
                self.connections.push(connection);
                (self.connections.len() - 1) as u32
            }
        }
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
