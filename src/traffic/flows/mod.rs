//! The scenario's own load: light, scripted connections by the thousand.
//!
//! Each sends real packets: TCP with its handshake, a request and a response, and the close; UDP and ICMP echo with a
//! question and an answer. A SYN without an answer is sent again by the client's schedule until the application gives
//! up. Servers see only what the network delivers to them, and answer to the address that they see. A connection is
//! identified by a tag that travels beside its packets, never by peeking at what NAT did.

mod begin;
mod calls;
mod connection;
mod pools;
mod record;
mod requests;
mod script;
mod servers;
mod serving;
mod sources;
mod stacks;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use rand_chacha::ChaCha8Rng;

use super::connect_times::ConnectTimes;
use super::timer_wheel::TimerWheel;
use crate::network::Network;
use crate::node::{Node, instance::METADATA};
use crate::scenario::model::{Autoscaling, SynSchedule};
use crate::scenario::{ClosedBy, Scenario, Traffic};
use crate::sim::rng;
use crate::time::SimTime;
use crate::topology::NodeId;
use crate::trace::{DropCause, PortId};
use crate::wire::{Packet, Protocol, tcp_flags};

pub use crate::trace::Failure;
pub use connection::connection_of;
pub use record::{Counts, Fate, NEVER_SENT, Record};
pub use requests::RequestCounts;

use connection::{Connection, Ends, Far, Kind, Phase, tag, untag};
use pools::Pools;
use requests::Requests;
use servers::Servers;
use sources::Sources;
use stacks::Outgoing;

/// The load of a scenario.
pub struct Flows {
    specs: Vec<Traffic>,
    schedule: SynSchedule,
    timers: TimerWheel,
    connections: Vec<Connection>,
    free: Vec<u32>,
    sources: Sources,
    servers: Servers,
    requests: Requests,
    pools: Pools,
    has_requests: bool,
    /// By load: its workers have begun.
    workers_begun: Vec<bool>,
    /// By load that begins all at once: how many have begun.
    begun_at_once: Vec<u64>,
    /// Many have begun at this instant, and more are to.
    storm: bool,
    autoscaling: Autoscaling,
    /// By workload: connections that an instance may begin in a second.
    limits: Vec<Option<u32>>,
    arrivals: Vec<ChaCha8Rng>,
    choice: ChaCha8Rng,
    counts: Vec<Counts>,
    connect_times: ConnectTimes,
    records: Option<Vec<Record>>,
    open: usize,
    /// Packets of stacks that are still to be sent, in order.
    outbox: VecDeque<Outgoing>,
    sending: bool,
}

impl Flows {
    /// The load of a scenario, and the first wakes for it.
    pub fn new(scenario: &Scenario, network: &mut Network) -> Flows {
        let flows = Flows {
            specs: scenario.traffic.clone(),
            schedule: scenario.model.client.syn_schedule,
            timers: TimerWheel::new(scenario.model.client.timers),
            connections: Vec::new(),
            free: Vec::new(),
            sources: Sources::new(scenario.model.client.time_wait),
            servers: Servers::new(scenario.seed),
            requests: Requests::new(scenario.seed, scenario.traffic.len(), scenario.workloads.len()),
            pools: Pools::default(),
            has_requests: scenario.traffic.iter().any(|traffic| traffic.requests.is_some()),
            workers_begun: vec![false; scenario.traffic.len()],
            begun_at_once: vec![0; scenario.traffic.len()],
            storm: false,
            autoscaling: scenario.model.cloud_run.autoscaling,
            limits: (0..scenario.workloads.len()).map(|workload| scenario.connections_per_second(workload)).collect(),
            arrivals: (scenario.traffic.iter().enumerate())
                .map(|(index, traffic)| rng::stream(scenario.seed, &format!("traffic {index} {}", traffic.name)))
                .collect(),
            choice: rng::stream(scenario.seed, "instance and port choice"),
            counts: vec![Counts::default(); scenario.traffic.len()],
            connect_times: ConnectTimes::default(),
            records: None,
            open: 0,
            outbox: VecDeque::new(),
            sending: false,
        };
        for (index, traffic) in flows.specs.iter().enumerate() {
            network.engine_mut().wake_at(SimTime::from(traffic.start), tag(Kind::Arrival, 0, index as u32));
        }
        let autoscaled = (scenario.workloads.iter().enumerate()).filter(|(_, workload)| workload.autoscaled.is_some());
        for (index, _) in autoscaled {
            let at = SimTime::ZERO + scenario.model.cloud_run.autoscaling.evaluate_every;
            network.engine_mut().wake_at(at, tag(Kind::Autoscale, 0, index as u32));
        }
        flows
    }

    /// From now on keep a record of every connection that ends, for [`Flows::take_records`].
    pub fn keep_records(&mut self) {
        self.records.get_or_insert_default();
    }

    /// Takes the records of connections that have ended since the last call.
    pub fn take_records(&mut self) -> Vec<Record> {
        self.records.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Records of connections that have not ended.
    pub fn unfinished(&self) -> Vec<Record> {
        let live = self.connections.iter().enumerate().filter(|(_, connection)| connection.phase != Phase::Free);
        let mut records: Vec<_> =
            live.map(|(slot, connection)| connection.record(slot, None, connection.standing())).collect();
        records.sort_by_key(|record| record.started);
        records
    }

    /// Whether so much has happened since the last wake that it is time for a look at progress.
    pub fn take_storm(&mut self) -> bool {
        std::mem::take(&mut self.storm)
    }

    /// Counts by load.
    pub fn counts(&self) -> &[Counts] {
        &self.counts
    }

    /// Connections of a load that are still trying.
    pub fn pending(&self, traffic: usize) -> u64 {
        let counts = &self.counts[traffic];
        counts.attempted - counts.established - counts.failed
    }

    /// Connections that are trying or open.
    pub fn live(&self) -> usize {
        self.open
    }

    /// Times to connect.
    pub fn connect_times(&self) -> &ConnectTimes {
        &self.connect_times
    }

    /// A time that was asked for has come. False when it was not asked for here.
    pub fn wake(&mut self, network: &mut Network, token: u64) -> bool {
        let Some((kind, generation, slot)) = untag(token) else { return false };
        match kind {
            Kind::Arrival => self.arrive(network, slot as usize),
            Kind::RequestStep | Kind::QueueTimeout | Kind::CallTimeout => {
                self.request_woken(network, kind, generation, slot);
            }
            Kind::WorkerNext => self.worker_next(network, generation, slot),
            Kind::PoolTurn => self.pool_turn(network, slot),
            Kind::Dispatch => self.dispatch(network, slot as usize),
            Kind::Autoscale => self.autoscale(network, slot as usize),
            _ => self.connection_woken(network, kind, generation, slot),
        }
        true
    }

    /// A wake that is about a connection.
    fn connection_woken(&mut self, network: &mut Network, kind: Kind, generation: u32, slot: u32) {
        if !self.is_current(generation, slot) {
            return;
        }
        match kind {
            Kind::Retry => self.retry(network, slot),
            Kind::GiveUp => {
                let connection = &self.connections[slot as usize];
                if connection.phase == Phase::Connecting {
                    self.fail(network, slot, connection.unanswered());
                }
            }
            Kind::Lifetime => self.end_of_life(network, slot),
            Kind::ClientTimeout if self.has_stacks(slot) => self.run_client(network, slot),
            Kind::ServerTimeout if self.has_stacks(slot) => self.run_server(network, slot),
            Kind::ClientTimeout => self.client_timeout(network, slot),
            Kind::ServerTimeout => self.server_timeout(network, slot),
            Kind::SynAck => self.repeat_syn_ack(network, slot),
            Kind::ServerEnds => self.server_ends(network, slot),
            Kind::Respond => self.respond_now(network, slot),
            Kind::PoolIdle => self.pool_idle(network, slot),
            _ => unreachable!("packets do not wake, and the others are not about connections"),
        }
    }

    /// A packet of a connection was dropped.
    pub fn dropped(&mut self, token: u64, cause: DropCause, packet: &Packet) {
        // A dropped reset says nothing about why a connection did not come to be.
        if let Some((_, generation, slot)) = untag(token)
            && self.is_current(generation, slot)
            && packet.tcp_flags() & tcp_flags::RST == 0
        {
            // Nor does an error that is lost on its way back, when what it tells of is known.
            let last = &mut self.connections[slot as usize].last_drop;
            if last.is_none() || packet.embedded_flow().is_none() {
                *last = Some(cause);
            }
        }
    }

    /// A packet of a connection arrived.
    pub fn delivered(&mut self, network: &mut Network, node: NodeId, from: PortId, packet: &Packet, token: u64) {
        let Some((_, generation, slot)) = untag(token) else { return };
        if !self.is_current(generation, slot) {
            return;
        }
        let connection = &self.connections[slot as usize];
        let Some(flow) = packet.flow() else {
            // "Port unreachable" ends a UDP exchange. TCP takes ICMP errors for passing trouble and tries again.
            let quoted = packet.embedded_flow();
            if let (Some(mtu), Some(quoted)) = (packet.told_mtu(), quoted) {
                self.path_takes(network, slot, quoted, mtu);
            } else if quoted == Some(connection.flow) && connection.flow.protocol() == Protocol::Udp {
                self.fail(network, slot, Failure::Refused);
            }
            return;
        };
        let stacks = matches!(connection.ends, Ends::Stack(_));
        if node == connection.instance && flow == connection.flow.reversed() {
            if stacks { self.at_client_stack(network, slot, packet) } else { self.at_client(network, slot, packet) }
        } else if matches!(network.engine().node(node), Node::Host(_)) {
            let far = Far { node, port: from, flow };
            self.connections[slot as usize].outside = Some(flow);
            if stacks {
                self.at_server_stack(network, slot, far, packet);
            } else {
                self.at_server(network, slot, far, packet);
            }
        } else if node == connection.instance && flow.dst() == METADATA {
            // Answered inside the sandbox; nothing to wait for.
            self.establish(network, slot);
        }
        // An undeclared internet host takes the packet and stays silent.
    }

    /// Cloud Run's infrastructure has ended all connections of these instances.
    pub fn disconnect(&mut self, network: &mut Network, instances: &[NodeId]) {
        for slot in 0..self.connections.len() as u32 {
            let connection = &self.connections[slot as usize];
            if connection.phase != Phase::Free && instances.contains(&connection.instance) {
                self.fail(network, slot, Failure::InfrastructureReset);
            }
        }
    }

    fn is_current(&self, generation: u32, slot: u32) -> bool {
        self.connections
            .get(slot as usize)
            .is_some_and(|connection| connection.phase != Phase::Free && connection.generation == generation)
    }

    fn wake_at(&self, network: &mut Network, at: SimTime, kind: Kind, slot: u32) {
        let generation = self.connections[slot as usize].generation;
        network.engine_mut().wake_at(at, tag(kind, generation, slot));
    }

    /// The connection has come to be.
    fn establish(&mut self, network: &mut Network, slot: u32) {
        let now = network.engine().now();
        let connection = &mut self.connections[slot as usize];
        if connection.phase != Phase::Connecting {
            return;
        }
        connection.phase = Phase::Open;
        connection.established = Some(now);
        connection.last_drop = None;
        let traffic = connection.traffic as usize;
        self.connect_times.record(now - connection.started);
        self.counts[traffic].established += 1;
        if self.connections[slot as usize].used.is_some() {
            self.established_for_request(network, slot);
            return;
        }
        let spec = &self.specs[traffic];
        if spec.closed_by != ClosedBy::Nobody {
            let at = now + spec.lifetime;
            self.wake_at(network, at, Kind::Lifetime, slot);
        }
    }

    /// The connection has been open for as long as it should.
    fn end_of_life(&mut self, network: &mut Network, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        let by_server = self.specs[connection.traffic as usize].closed_by == ClosedBy::Server;
        match &mut connection.ends {
            Ends::Script(_) if connection.flow.protocol() != Protocol::Tcp => {
                self.finish(network, slot, Fate::Established);
            }
            _ if by_server => self.close_server(network, slot),
            _ => self.close_client(network, slot),
        }
    }

    /// What the server writes now that so many bytes of the client's have come to it.
    fn respond(&mut self, network: &mut Network, slot: u32, received: u64) -> u64 {
        if self.connections[slot as usize].used.is_some() {
            return self.respond_to_call(network, slot, received as u32);
        }
        let connection = &mut self.connections[slot as usize];
        let spec = &self.specs[connection.traffic as usize];
        if connection.answered > 0 || received < spec.request_bytes {
            return 0;
        }
        connection.answered += 1;
        let hangs = connection.far.is_some_and(|far| hangs(network, far.node));
        if hangs { 0 } else { spec.response_bytes }
    }

    fn fail(&mut self, network: &mut Network, slot: u32, failure: Failure) {
        let connection = &mut self.connections[slot as usize];
        let used = connection.used.as_deref().copied().unwrap_or_default();
        let counts = &mut self.counts[connection.traffic as usize];
        // What was given up has been counted.
        if used.abandoned.is_none() {
            *counts.failed_by.entry(failure).or_default() += 1;
        }
        connection.closed_first = false;
        let fate = if connection.phase == Phase::Connecting {
            counts.failed += 1;
            Fate::Failed(failure)
        } else {
            counts.broken += u64::from(used.abandoned.is_none());
            Fate::Broken(failure)
        };
        self.finish(network, slot, fate);
        if let Some(request) = used.request {
            self.connection_failed(network, request, used.lookup, failure);
        }
    }

    /// The connection is over.
    fn finish(&mut self, network: &mut Network, slot: u32, fate: Fate) {
        let now = network.engine().now();
        if self.connections[slot as usize].used.is_some() {
            self.leave_pool(network, slot);
        }
        let connection = &mut self.connections[slot as usize];
        let abandoned = connection.used.take().and_then(|used| used.abandoned);
        let fate = abandoned.map_or(fate, Fate::Broken);
        if let Some(records) = &mut self.records {
            records.push(connection.record(slot as usize, Some(now), fate));
        }
        connection.phase = Phase::Free;
        // After a reset there is no TIME_WAIT, nor at the end that has closed last.
        if connection.closed_first && !matches!(fate, Fate::Failed(_)) {
            self.sources.release_later(connection.flow, now);
        } else {
            self.sources.release(connection.flow);
        }
        self.servers.forget(slot);
        let (client_flow, server_flow) = (connection.client_flow, connection.server_flow);
        // The generation goes up when the slot is used again; until then stragglers find it free.
        self.free.push(slot);
        self.open -= 1;
        network.engine_mut().remove_flow(client_flow);
        network.engine_mut().remove_flow(server_flow);
    }
}

/// Whether a host takes requests and never answers them.
fn hangs(network: &Network, host: NodeId) -> bool {
    network.server_settings(host).is_some_and(|server| server.hang)
}
