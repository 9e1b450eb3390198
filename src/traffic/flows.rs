//! The scenario's own load: light, scripted connections by the thousand.
//!
//! Each sends real packets: TCP with its handshake, a request and a response, and the close; UDP and ICMP echo with a
//! question and an answer. A SYN without an answer is sent again by the client's schedule until the application gives
//! up. Servers see only what the network delivers to them, and answer to the address that they see. A connection is
//! identified by a tag that travels beside its packets, never by peeking at what NAT did.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use rand_chacha::ChaCha8Rng;

use super::connect_times::ConnectTimes;
use super::half::Half;
use super::timer_wheel::TimerWheel;
use crate::network::Network;
use crate::node::instance::SOCKETS;
use crate::node::{Node, instance::METADATA};
use crate::scenario::model::SynSchedule;
use crate::scenario::{Arrivals, ClosedBy, Scenario, Traffic, TrafficProtocol};
use crate::sim::{FlowId, Outcome, rng};
use crate::time::SimTime;
use crate::topology::NodeId;
use crate::trace::{DropCause, PortId};
use crate::wire::{FiveTuple, Flow, Packet, Protocol, TcpSegment, tcp_flags};

pub use crate::trace::Failure;

/// Linux' ephemeral ports.
const EPHEMERAL: std::ops::Range<u16> = 32_768..61_000;
/// Bytes of a datagram at most, so that it is not fragmented.
const DATAGRAM: u64 = 1400;

/// The [`Record::id`] of connections that never sent a packet.
pub const NEVER_SENT: u64 = u64::MAX;

/// Ticks that the kernels of two instances are apart: a prime, so that they meet the steps of the timer wheel anywhere.
const BOOTED_APART: u64 = 7_919;

/// How a connection stands, or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Still trying.
    Pending,
    /// Established, and not ended badly.
    Established,
    /// Never established.
    Failed(Failure),
    /// Established, and ended badly.
    Broken(Failure),
}

/// What `connections.jsonl` says of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Index of the load; a captured connection has none.
    pub traffic: Option<usize>,
    /// Station of the instance, if there was one.
    pub instance: Option<NodeId>,
    /// The flow as the instance sends it.
    pub inside: Flow,
    /// The flow as the far side sees it come, once it did.
    pub outside: Option<Flow>,
    /// First packet.
    pub started: SimTime,
    /// When it was established.
    pub established: Option<SimTime>,
    /// When it ended.
    pub ended: Option<SimTime>,
    /// How.
    pub fate: Fate,
    /// SYNs or datagrams sent to establish it.
    pub attempts: u32,
    /// What tells it from every other connection of the run: see [`connection_of`].
    pub id: u64,
    /// The flow as the far side knows it; another one comes in `outside` when its mapping has changed meanwhile.
    pub accepted: Option<Flow>,
}

/// Counts of one load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Begun.
    pub attempted: u64,
    /// That came to be.
    pub established: u64,
    /// That never did.
    pub failed: u64,
    /// Established ones that ended badly.
    pub broken: u64,
    /// Failed and broken ones by cause.
    pub failed_by: std::collections::BTreeMap<Failure, u64>,
}

/// What a wake or a packet is about: kind, generation and slot of a connection in one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    ClientPacket = 1,
    ServerPacket = 2,
    Arrival = 3,
    Retry = 4,
    GiveUp = 5,
    ClientTimeout = 6,
    ServerTimeout = 7,
    Lifetime = 8,
}

const KINDS: [Kind; 8] = [
    Kind::ClientPacket,
    Kind::ServerPacket,
    Kind::Arrival,
    Kind::Retry,
    Kind::GiveUp,
    Kind::ClientTimeout,
    Kind::ServerTimeout,
    Kind::Lifetime,
];

fn tag(kind: Kind, generation: u32, slot: u32) -> u64 {
    (kind as u64) << 56 | u64::from(generation & 0x00ff_ffff) << 32 | u64::from(slot)
}

/// Which connection a packet with this tag belongs to: its [`Record::id`].
pub fn connection_of(tag: u64) -> u64 {
    tag & 0x00ff_ffff_ffff_ffff
}

fn untag(tag: u64) -> Option<(Kind, u32, u32)> {
    let kind = KINDS.into_iter().find(|kind| *kind as u64 == tag >> 56)?;
    Some((kind, (tag >> 32) as u32 & 0x00ff_ffff, tag as u32))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Free,
    Connecting,
    Open,
}

/// The far end, as far as it knows of the connection.
#[derive(Debug, Clone, Copy)]
struct Server {
    node: NodeId,
    port: PortId,
    /// The flow as it comes in.
    flow: Flow,
    /// The client's SYN number.
    peer: u32,
    half: Half,
    answered: bool,
    timer: bool,
    deadline: SimTime,
}

#[derive(Debug, Clone, Copy)]
struct Connection {
    generation: u32,
    phase: Phase,
    traffic: u32,
    instance: NodeId,
    flow: Flow,
    started: SimTime,
    established: Option<SimTime>,
    client_flow: FlowId,
    server_flow: FlowId,
    syns: u8,
    client: Half,
    client_timer: bool,
    client_deadline: SimTime,
    server: Option<Server>,
    /// The far side as last seen.
    outside: Option<Flow>,
    last_drop: Option<DropCause>,
    round_trip: Duration,
}

/// The load of a scenario.
pub struct Flows {
    specs: Vec<Traffic>,
    schedule: SynSchedule,
    timers: TimerWheel,
    connections: Vec<Connection>,
    free: Vec<u32>,
    ports: HashMap<NodeId, u16, FixedState>,
    in_use: InUse,
    arrivals: Vec<ChaCha8Rng>,
    choice: ChaCha8Rng,
    counts: Vec<Counts>,
    connect_times: ConnectTimes,
    records: Option<Vec<Record>>,
    open: usize,
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
            ports: HashMap::default(),
            in_use: InUse::default(),
            arrivals: (scenario.traffic.iter().enumerate())
                .map(|(index, traffic)| rng::stream(scenario.seed, &format!("traffic {index} {}", traffic.name)))
                .collect(),
            choice: rng::stream(scenario.seed, "instance and port choice"),
            counts: vec![Counts::default(); scenario.traffic.len()],
            connect_times: ConnectTimes::default(),
            records: None,
            open: 0,
        };
        for (index, traffic) in flows.specs.iter().enumerate() {
            network.engine_mut().wake_at(SimTime::from(traffic.start), tag(Kind::Arrival, 0, index as u32));
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
        let mut records: Vec<_> = live
            .map(|(slot, connection)| {
                let open = connection.phase == Phase::Open;
                connection.record(slot, None, if open { Fate::Established } else { Fate::Pending })
            })
            .collect();
        records.sort_by_key(|record| record.started);
        records
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
        if kind == Kind::Arrival {
            self.arrive(network, slot as usize);
            return true;
        }
        if !self.is_current(generation, slot) {
            return true;
        }
        match kind {
            Kind::Retry => self.retry(network, slot),
            Kind::GiveUp => {
                let connection = &self.connections[slot as usize];
                if connection.phase == Phase::Connecting {
                    let failure = connection.last_drop.map_or(Failure::NoAnswer, Failure::Dropped);
                    self.fail(network, slot, failure);
                }
            }
            Kind::Lifetime => self.end_of_life(network, slot),
            Kind::ClientTimeout => self.client_timeout(network, slot),
            Kind::ServerTimeout => self.server_timeout(network, slot),
            Kind::ClientPacket | Kind::ServerPacket | Kind::Arrival => unreachable!("packets do not wake"),
        }
        true
    }

    /// A packet of a connection was dropped.
    pub fn dropped(&mut self, token: u64, cause: DropCause, packet: &Packet) {
        // A dropped reset says nothing about why a connection did not come to be.
        if let Some((_, generation, slot)) = untag(token)
            && self.is_current(generation, slot)
            && packet.tcp_flags() & tcp_flags::RST == 0
        {
            self.connections[slot as usize].last_drop = Some(cause);
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
            if quoted == Some(connection.flow) && connection.flow.protocol() == Protocol::Udp {
                self.fail(network, slot, Failure::Refused);
            }
            return;
        };
        if node == connection.instance && flow == connection.flow.reversed() {
            self.at_client(network, slot, packet);
        } else if matches!(network.engine().node(node), Node::Host(_)) {
            self.at_server(network, slot, (node, from), flow, packet);
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
        self.connections.get(slot as usize).is_some_and(|connection| {
            connection.phase != Phase::Free && connection.generation & 0x00ff_ffff == generation
        })
    }

    /// It is time for the next connection of a load.
    fn arrive(&mut self, network: &mut Network, traffic: usize) {
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
        let Some(src_port) = self.source_port(instance.site.node, flow) else {
            self.fail_at_once(traffic, node, flow, now, Failure::NoSourcePort);
            return;
        };
        let flow = flow.from_source(flow.src(), src_port);
        self.in_use.insert(flow);
        let initial = rng::below(&mut self.choice, 1 << 32) as u32;
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
            client: Half::new(initial, 0, flow.mss()),
            client_timer: false,
            client_deadline: SimTime::NEVER,
            server: None,
            outside: None,
            last_drop: None,
            round_trip: Duration::ZERO,
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

    /// The next ephemeral port of an instance that is free for this destination.
    fn source_port(&mut self, instance: NodeId, flow: Flow) -> Option<u16> {
        let count = EPHEMERAL.end - EPHEMERAL.start;
        let next = match self.ports.get_mut(&instance) {
            Some(next) => next,
            None => {
                let first = rng::below(&mut self.choice, u64::from(count)) as u16;
                self.ports.entry(instance).or_insert(first)
            }
        };
        for _ in 0..count {
            let port = EPHEMERAL.start + *next;
            *next = (*next + 1) % count;
            if !self.in_use.contains(flow.from_source(flow.src(), port)) {
                return Some(port);
            }
        }
        None
    }

    fn wake_at(&self, network: &mut Network, at: SimTime, kind: Kind, slot: u32) {
        let generation = self.connections[slot as usize].generation;
        network.engine_mut().wake_at(at, tag(kind, generation, slot));
    }

    /// Sends a SYN, the first or once more, or the datagrams of a request.
    fn open_client(&mut self, network: &mut Network, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        let spec = &self.specs[connection.traffic as usize];
        let attempt = connection.syns;
        connection.syns = connection.syns.saturating_add(1);
        match connection.flow.protocol() {
            Protocol::Tcp => {
                let (started, seq) = (connection.started, connection.client.bare_ack().seq.wrapping_sub(1));
                let retries = self.schedule.retries();
                if let Some(&seconds) = retries.get(usize::from(attempt)) {
                    let before = usize::from(attempt).checked_sub(1).map_or(0, |before| retries[before]);
                    let (now, due) = (network.engine().now(), started + Duration::from_secs(seconds));
                    // No two instances were started at the same tick.
                    let booted = u64::from(connection.instance.0) * BOOTED_APART;
                    let at = self.timers.fires(now, Duration::from_secs(seconds - before), due, booted);
                    self.wake_at(network, at, Kind::Retry, slot);
                }
                self.send_segment(network, slot, TcpSegment { flags: tcp_flags::SYN, seq, ack: 0, payload: 0 });
            }
            Protocol::Udp => {
                let bytes = spec.request_bytes;
                self.send_datagrams(network, slot, bytes);
            }
            Protocol::Icmp => {
                let payload = spec.request_bytes.min(DATAGRAM) as u16;
                let mut packet = network.engine_mut().spare_packet();
                packet.build_echo(connection.flow, 1, payload);
                self.send(network, slot, packet);
            }
        }
    }

    fn retry(&mut self, network: &mut Network, slot: u32) {
        if self.connections[slot as usize].phase == Phase::Connecting {
            self.open_client(network, slot);
        }
    }

    fn send_datagrams(&mut self, network: &mut Network, slot: u32, bytes: u64) {
        for (index, payload) in datagrams(bytes).enumerate() {
            // The answer may have come, and the connection ended, while the request was still being sent.
            if index > 0 && self.connections[slot as usize].phase == Phase::Free {
                return;
            }
            let mut packet = network.engine_mut().spare_packet();
            packet.build_udp(self.connections[slot as usize].flow, payload);
            self.send(network, slot, packet);
        }
    }

    fn send_segment(&mut self, network: &mut Network, slot: u32, segment: TcpSegment) {
        let mut packet = network.engine_mut().spare_packet();
        packet.build_tcp(self.connections[slot as usize].flow, segment);
        self.send(network, slot, packet);
    }

    /// Sends a packet of the client.
    fn send(&mut self, network: &mut Network, slot: u32, mut packet: Packet) {
        let Connection { generation, instance, client_flow, .. } = self.connections[slot as usize];
        let token = tag(Kind::ClientPacket, generation, slot);
        let outcome = network.engine_mut().send(instance, SOCKETS, &mut packet, token, Some(client_flow));
        self.settle(network, outcome, packet, token);
    }

    /// Sends a packet of the server.
    fn send_from_server(
        &mut self,
        network: &mut Network,
        slot: u32,
        at: (NodeId, PortId),
        mut packet: Packet,
        known: bool,
    ) {
        let Connection { generation, server_flow, .. } = self.connections[slot as usize];
        let token = tag(Kind::ServerPacket, generation, slot);
        let flow = known.then_some(server_flow);
        let outcome = network.engine_mut().emit(at.0, at.1, &mut packet, token, flow);
        self.settle(network, outcome, packet, token);
    }

    /// What became of a packet at once. Without a way for IPv6 the instance's own kernel says so.
    fn settle(&mut self, network: &mut Network, outcome: Outcome, packet: Packet, token: u64) {
        match outcome {
            Outcome::Travelling | Outcome::Answered(..) => {}
            Outcome::Dropped(_, cause @ DropCause::SimIpv6Unavailable) => {
                if let Some((Kind::ClientPacket, generation, slot)) = untag(token)
                    && self.is_current(generation, slot)
                {
                    self.fail(network, slot, Failure::Dropped(cause));
                }
            }
            Outcome::Dropped(_, cause) => self.dropped(token, cause, &packet),
            Outcome::Delivered(node, from) => self.delivered(network, node, from, &packet, token),
        }
        network.engine_mut().recycle(packet);
    }

    /// The client gets a packet.
    fn at_client(&mut self, network: &mut Network, slot: u32, packet: &Packet) {
        let Some((seq, ack, payload)) = packet.tcp_numbers() else {
            self.establish(network, slot);
            return;
        };
        let flags = packet.tcp_flags();
        let connection = &mut self.connections[slot as usize];
        if flags & tcp_flags::RST != 0 {
            let connecting = connection.phase == Phase::Connecting;
            // A connector without ports refuses on its own; then the drop says more than the reset.
            let refused = match connection.last_drop {
                Some(cause @ DropCause::SimConnectorPortsExhausted) => Failure::Dropped(cause),
                _ if connecting => Failure::Refused,
                Some(cause) => Failure::Dropped(cause),
                None => Failure::Reset,
            };
            self.fail(network, slot, refused);
            return;
        }
        if flags & tcp_flags::SYN != 0 {
            if connection.phase == Phase::Connecting {
                connection.client.set_peer(seq);
                connection.round_trip = network.engine().now() - connection.started;
                let bytes = self.specs[connection.traffic as usize].request_bytes;
                connection.client.write(bytes);
                self.establish(network, slot);
            }
            let segment = self.connections[slot as usize].client.bare_ack();
            self.send_segment(network, slot, segment);
            self.push_client(network, slot);
            return;
        }
        let due = connection.client.receive(flags, seq, ack, payload);
        connection.last_drop = None;
        self.continue_client(network, slot, due);
    }

    /// After something changed at the client: close in turn, send what may be sent, acknowledge, end.
    fn continue_client(&mut self, network: &mut Network, slot: u32, acknowledge: bool) {
        let connection = &mut self.connections[slot as usize];
        if connection.client.peer_closed {
            connection.client.close();
        }
        let sent = self.push_client(network, slot);
        if acknowledge && !sent && self.connections[slot as usize].phase != Phase::Free {
            let segment = self.connections[slot as usize].client.bare_ack();
            self.send_segment(network, slot, segment);
        }
        self.end_if_done(network, slot);
    }

    /// Sends what the client may send. True when something was sent.
    fn push_client(&mut self, network: &mut Network, slot: u32) -> bool {
        let mut sent = false;
        while self.connections[slot as usize].phase == Phase::Open
            && let Some(segment) = self.connections[slot as usize].client.next_segment()
        {
            sent = true;
            self.send_segment(network, slot, segment);
        }
        let now = network.engine().now();
        let connection = &mut self.connections[slot as usize];
        if connection.phase == Phase::Open && connection.client.is_waiting() {
            connection.client_deadline = now + connection.client.timeout(connection.round_trip);
            if !std::mem::replace(&mut connection.client_timer, true) {
                let at = connection.client_deadline;
                self.wake_at(network, at, Kind::ClientTimeout, slot);
            }
        }
        sent
    }

    fn client_timeout(&mut self, network: &mut Network, slot: u32) {
        let now = network.engine().now();
        let connection = &mut self.connections[slot as usize];
        connection.client_timer = false;
        if !connection.client.is_waiting() {
            return;
        }
        if connection.client_deadline > now {
            connection.client_timer = true;
            let at = connection.client_deadline;
            self.wake_at(network, at, Kind::ClientTimeout, slot);
        } else if connection.client.time_out() {
            self.push_client(network, slot);
        } else {
            let failure = connection.last_drop.map_or(Failure::NoAnswer, Failure::Dropped);
            self.fail(network, slot, failure);
        }
    }

    /// The server gets a packet.
    fn at_server(&mut self, network: &mut Network, slot: u32, at: (NodeId, PortId), flow: Flow, packet: &Packet) {
        self.connections[slot as usize].outside = Some(flow);
        let spec = &self.specs[self.connections[slot as usize].traffic as usize];
        let Some((seq, ack, payload)) = packet.tcp_numbers() else {
            // A request datagram or an echo request: answer each echo, and each request once.
            let response = spec.response_bytes;
            if flow.protocol() == Protocol::Icmp {
                let mut reply = network.engine_mut().spare_packet();
                let payload = packet.wire_length().saturating_sub(if packet.is_ipv4() { 28 } else { 48 }) as u16;
                reply.build_echo(flow.reversed(), 1, payload);
                self.send_from_server(network, slot, at, reply, true);
            } else if self.connections[slot as usize].server.is_none() {
                let half = Half::new(0, 0, 0);
                let server = Server {
                    node: at.0,
                    port: at.1,
                    flow,
                    peer: 0,
                    half,
                    answered: true,
                    timer: false,
                    deadline: SimTime::NEVER,
                };
                self.connections[slot as usize].server = Some(server);
                for payload in datagrams(response) {
                    let mut reply = network.engine_mut().spare_packet();
                    reply.build_udp(flow.reversed(), payload);
                    self.send_from_server(network, slot, at, reply, true);
                    if self.connections[slot as usize].phase == Phase::Free {
                        return;
                    }
                }
            }
            return;
        };
        let flags = packet.tcp_flags();
        if flags & tcp_flags::RST != 0 {
            return;
        }
        let connection = &mut self.connections[slot as usize];
        if flags & tcp_flags::SYN != 0 {
            let known = connection.server.is_some_and(|server| server.flow == flow);
            if !known {
                let initial = rng::below(&mut self.choice, 1 << 32) as u32;
                connection.server = Some(Server {
                    node: at.0,
                    port: at.1,
                    flow,
                    peer: seq,
                    half: Half::new(initial, seq, flow.mss()),
                    answered: false,
                    timer: false,
                    deadline: SimTime::NEVER,
                });
                connection.server_flow = network.engine_mut().reset_flow(connection.server_flow);
            }
            let half = connection.server.as_mut().map(|server| server.half).expect("it was just there");
            let segment = TcpSegment {
                flags: tcp_flags::SYN | tcp_flags::ACK,
                seq: half.clone().bare_ack().seq.wrapping_sub(1),
                ack: half.acknowledgement(),
                payload: 0,
            };
            self.send_server_segment(network, slot, segment);
            return;
        }
        let Some(server) = connection.server.as_mut().filter(|server| server.flow == flow) else {
            // To the server this is another connection, of which it knows nothing: the mapping has changed.
            let mut reset = network.engine_mut().spare_packet();
            reset.build_reset(packet);
            self.send_from_server(network, slot, at, reset, false);
            return;
        };
        let due = server.half.receive(flags, seq, ack, payload);
        if !server.answered && u64::from(server.half.received(server.peer)) >= spec.request_bytes {
            server.answered = true;
            server.half.write(spec.response_bytes);
        }
        self.continue_server(network, slot, due);
    }

    fn continue_server(&mut self, network: &mut Network, slot: u32, acknowledge: bool) {
        let Some(server) = self.connections[slot as usize].server.as_mut() else { return };
        if server.half.peer_closed {
            server.half.close();
        }
        let sent = self.push_server(network, slot);
        let connection = &mut self.connections[slot as usize];
        if acknowledge
            && !sent
            && connection.phase != Phase::Free
            && let Some(server) = &mut connection.server
        {
            let segment = server.half.bare_ack();
            self.send_server_segment(network, slot, segment);
        }
        self.end_if_done(network, slot);
    }

    fn send_server_segment(&mut self, network: &mut Network, slot: u32, segment: TcpSegment) {
        let Some(Server { node, port, flow, .. }) = self.connections[slot as usize].server else { return };
        let mut packet = network.engine_mut().spare_packet();
        packet.build_tcp(flow.reversed(), segment);
        self.send_from_server(network, slot, (node, port), packet, true);
    }

    fn push_server(&mut self, network: &mut Network, slot: u32) -> bool {
        let mut sent = false;
        while self.connections[slot as usize].phase != Phase::Free
            && let Some(server) = &mut self.connections[slot as usize].server
            && let Some(segment) = server.half.next_segment()
        {
            sent = true;
            self.send_server_segment(network, slot, segment);
        }
        let now = network.engine().now();
        let connection = &mut self.connections[slot as usize];
        let round_trip = connection.round_trip;
        if connection.phase != Phase::Free
            && let Some(server) = &mut connection.server
            && server.half.is_waiting()
        {
            server.deadline = now + server.half.timeout(round_trip);
            if !std::mem::replace(&mut server.timer, true) {
                let at = server.deadline;
                self.wake_at(network, at, Kind::ServerTimeout, slot);
            }
        }
        sent
    }

    fn server_timeout(&mut self, network: &mut Network, slot: u32) {
        let now = network.engine().now();
        let Some(server) = self.connections[slot as usize].server.as_mut() else { return };
        server.timer = false;
        if !server.half.is_waiting() {
            return;
        }
        if server.deadline > now {
            server.timer = true;
            let at = server.deadline;
            self.wake_at(network, at, Kind::ServerTimeout, slot);
        } else if server.half.time_out() {
            self.push_server(network, slot);
        } else {
            let failure = self.connections[slot as usize].last_drop.map_or(Failure::NoAnswer, Failure::Dropped);
            self.fail(network, slot, failure);
        }
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
        let spec = &self.specs[traffic];
        if spec.closed_by != ClosedBy::Nobody {
            let at = now + spec.lifetime;
            self.wake_at(network, at, Kind::Lifetime, slot);
        }
    }

    /// The connection has been open for as long as it should.
    fn end_of_life(&mut self, network: &mut Network, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        let spec = &self.specs[connection.traffic as usize];
        match (connection.flow.protocol(), spec.closed_by) {
            (Protocol::Udp | Protocol::Icmp, _) => self.finish(network, slot, Fate::Established),
            (Protocol::Tcp, ClosedBy::Server) => {
                if let Some(server) = &mut connection.server {
                    server.half.close();
                }
                self.continue_server(network, slot, false);
            }
            (Protocol::Tcp, _) => {
                connection.client.close();
                self.continue_client(network, slot, false);
            }
        }
    }

    fn end_if_done(&mut self, network: &mut Network, slot: u32) {
        let connection = &self.connections[slot as usize];
        if connection.phase == Phase::Open
            && connection.client.is_done()
            && connection.client.peer_closed
            && connection.server.is_some_and(|server| server.half.is_done() && server.half.peer_closed)
        {
            self.finish(network, slot, Fate::Established);
        }
    }

    fn fail(&mut self, network: &mut Network, slot: u32, failure: Failure) {
        let connection = &self.connections[slot as usize];
        let counts = &mut self.counts[connection.traffic as usize];
        *counts.failed_by.entry(failure).or_default() += 1;
        let fate = if connection.phase == Phase::Connecting {
            counts.failed += 1;
            Fate::Failed(failure)
        } else {
            counts.broken += 1;
            Fate::Broken(failure)
        };
        self.finish(network, slot, fate);
    }

    /// The connection is over.
    fn finish(&mut self, network: &mut Network, slot: u32, fate: Fate) {
        let now = network.engine().now();
        let connection = &mut self.connections[slot as usize];
        if let Some(records) = &mut self.records {
            records.push(connection.record(slot as usize, Some(now), fate));
        }
        connection.phase = Phase::Free;
        self.in_use.remove(connection.flow);
        let (client_flow, server_flow) = (connection.client_flow, connection.server_flow);
        // The generation goes up when the slot is used again; until then stragglers find it free.
        self.free.push(slot);
        self.open -= 1;
        network.engine_mut().remove_flow(client_flow);
        network.engine_mut().remove_flow(server_flow);
    }
}

impl Connection {
    fn record(&self, slot: usize, ended: Option<SimTime>, fate: Fate) -> Record {
        Record {
            traffic: Some(self.traffic as usize),
            instance: Some(self.instance),
            inside: self.flow,
            outside: self.outside,
            started: self.started,
            established: self.established,
            ended,
            fate,
            attempts: u32::from(self.syns),
            id: connection_of(tag(Kind::ClientPacket, self.generation, slot as u32)),
            accepted: self.server.map(|server| server.flow),
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

/// The flows that instances have.
#[derive(Debug, Default)]
struct InUse {
    v4: HashSet<u128, FixedState>,
    v6: HashSet<FiveTuple<Ipv6Addr>, FixedState>,
}

impl InUse {
    fn contains(&self, flow: Flow) -> bool {
        match flow {
            Flow::V4(tuple) => self.v4.contains(&tuple.key()),
            Flow::V6(tuple) => self.v6.contains(&tuple),
        }
    }

    fn insert(&mut self, flow: Flow) {
        match flow {
            Flow::V4(tuple) => self.v4.insert(tuple.key()),
            Flow::V6(tuple) => self.v6.insert(tuple),
        };
    }

    fn remove(&mut self, flow: Flow) {
        match flow {
            Flow::V4(tuple) => self.v4.remove(&tuple.key()),
            Flow::V6(tuple) => self.v6.remove(&tuple),
        };
    }
}

/// The sizes of the datagrams that carry this many bytes; an empty one for none.
fn datagrams(bytes: u64) -> impl Iterator<Item = u16> {
    let count = bytes.div_ceil(DATAGRAM).max(1);
    (0..count).map(move |index| (bytes - index * DATAGRAM).min(DATAGRAM) as u16)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use crate::report::summary::Summary;
    use crate::scenario::load::{Source, load};
    use crate::simulation;

    /// Ten connections of one service without VPC to a host with TCP port 443 open.
    fn run(traffic: &str) -> Summary {
        let text = format!(
            "duration: 300s
services: [{{name: api, region: us-central1}}]
hosts:
- {{name: open, address: 198.51.100.7, ports: [443], rtt: 20ms}}
- {{name: hole, address: 198.51.100.8, unreachable: true}}
traffic: [{{name: t, from: api, {traffic}}}]
"
        );
        let loaded = load(Source::Text { name: "test.yaml", text: &text });
        let scenario =
            loaded.scenario.unwrap_or_else(|| panic!("{}", loaded.diagnostics.render(&loaded.sources, false)));
        let summary = simulation::run(&scenario, None, &mut |_| ControlFlow::Continue(())).unwrap();
        let (packets, connections) = (&summary.packets, &summary.connections);
        assert_eq!(packets.sent, packets.delivered + packets.dropped + packets.in_flight);
        assert_eq!(connections.attempted, connections.established + connections.failed + connections.pending);
        summary
    }

    #[test]
    fn a_lossless_exchange_has_the_packets_it_should_have() {
        let summary = run("to: \"open:443\", count: 10, lifetime: 500ms");
        assert_eq!((summary.connections.established, summary.packets.dropped), (10, 0));
        // SYN, SYN-ACK, ACK; a request of 512 bytes; 4096 bytes in three segments, the second and third acknowledged;
        // FIN, FIN-ACK, ACK.
        assert_eq!(summary.packets.sent, 10 * (3 + 1 + 3 + 2 + 3));
        assert_eq!(summary.connections.connect_time_ms.max.round(), 20.0);
    }

    #[test]
    fn a_closed_port_refuses_and_establishes_nothing() {
        for (protocol, port) in [("tcp", 80), ("udp", 53)] {
            let summary = run(&format!("to: \"open:{port}\", protocol: {protocol}, count: 10"));
            assert_eq!((summary.connections.established, summary.connections.failed), (0, 10), "{protocol}");
            assert_eq!(summary.connections.failed_by["SIM_CONNECTION_REFUSED"], 10);
            // One packet there and one back.
            assert_eq!(summary.packets.sent, 20);
        }
    }

    #[test]
    fn an_unanswered_syn_is_sent_again_by_the_schedule_until_the_application_gives_up() {
        // At 0, 1, 2, 3, 4, 5, 7, 11 and 19 s; giving up comes before the retry at the same instant.
        for (timeout, syns) in [("19s", 8), ("20s", 9), ("200s", 11)] {
            let summary = run(&format!("to: \"hole:443\", count: 1, connectTimeout: {timeout}"));
            assert_eq!(summary.packets.sent, syns, "{timeout}");
            assert_eq!(summary.connections.failed_by["SIM_HOST_UNREACHABLE"], 1);
        }
    }

    #[test]
    fn the_server_may_close_and_nobody_need() {
        let server = run("to: \"open:443\", count: 3, lifetime: 1s, closedBy: server");
        assert_eq!((server.packets.sent, server.connections.broken), (3 * 12, 0));
        let nobody = run("to: \"open:443\", count: 3, closedBy: nobody");
        assert_eq!((nobody.packets.sent, nobody.connections.established), (3 * 9, 3));
    }

    #[test]
    fn udp_and_echo_ask_once_and_are_answered() {
        // A request of 3,000 bytes is three datagrams of at most 1,400, an answer of 100 is one.
        let text = "\"198.51.100.9:53\"";
        let silent = run(&format!("to: {text}, protocol: udp, count: 2, connectTimeout: 5s"));
        assert_eq!(silent.connections.failed_by["SIM_NO_ANSWER"], 2);
        let ping = run("to: open, protocol: icmp, count: 4");
        assert_eq!((ping.connections.established, ping.packets.sent), (4, 8));
    }
}
