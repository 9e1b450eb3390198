//! Captured packets through a virtual network.
//!
//! Each captured client address becomes one instance of the sending workload, and its packets wear the instance's
//! address. What a server sent is a reply: it is addressed to wherever the request came from in this network, and travels
//! inbound through the mappings. The capture's own times count: links take no time and lose nothing here, and declared
//! hosts do not answer, for the capture holds the delays, the losses and the answers of the network it was made in.
//!
//! A capture cannot react. What it holds of a TCP connection that this network refuses to open is not sent on: no client
//! would have sent it. A reply to a request that did not get out is dropped, too, and both are counted by their names.

mod inside_ports;

use std::collections::{BTreeMap, VecDeque};
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use ipnet::IpNet;

use super::connect_times::ConnectTimes;
use super::flows::{Failure, Fate, NEVER_SENT, Record};
use crate::capture::{CaptureError, Frame, NotIp, PacketWriter, network_layer};
use crate::network::Network;
use crate::node::connector::MTU;
use crate::node::instance::SOCKETS;
use crate::node::router::{is_private, is_private_v6};
use crate::report::summary::Summary;
use crate::sim::{FlowId, Outcome};
use crate::time::SimTime;
use crate::topology::NodeId;
use crate::trace::{DropCause, PortId};
use crate::wire::{Direction, FiveTuple, Flow, Packet, Protocol, tcp_flags};

use inside_ports::InsidePorts;

/// A flow of datagrams that has been silent for this long is forgotten, so that memory does not grow with a capture; not
/// before twice the longest timeout of any gateway.
const DATAGRAM_IDLE: Duration = Duration::from_secs(600);
/// The same for TCP.
const TCP_IDLE: Duration = Duration::from_secs(3600);
/// A SYN this long after the first one is another attempt: Linux gives up after 131 s, others sooner.
const GIVEN_UP: Duration = Duration::from_secs(150);

/// How far a captured connection has come in this network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing of its beginning was seen.
    Midstream,
    /// All its first packets so far were dropped.
    Refused,
    /// A first packet has got out.
    Asked,
    /// An answer has come back.
    Established,
}

/// Where a flow ends, and as what it is seen there.
#[derive(Debug, Clone, Copy)]
struct FarEnd {
    node: NodeId,
    port: PortId,
    /// Source address and port that the far end sees, to which it answers.
    seen: (IpAddr, u16),
    on_internet: bool,
}

/// The instance that stands for a captured client.
#[derive(Debug, Clone, Copy)]
struct Standin {
    node: NodeId,
    /// Where its packets begin, and through which port they come there: at its sockets, or at a connector VM.
    entry: (NodeId, PortId),
    /// What the client's packets wear; an instance without IPv6 has none for those of IPv6.
    address: Option<IpAddr>,
}

/// A captured flow.
#[derive(Debug, Clone)]
struct CapturedFlow {
    /// As the captured client sends it.
    captured: Flow,
    instance: NodeId,
    entry: (NodeId, PortId),
    /// What its packets wear in this network.
    inside: (IpAddr, u16),
    outbound: FlowId,
    inbound: FlowId,
    far: Option<FarEnd>,
    stage: Stage,
    counted: bool,
    broken: bool,
    first_sent: SimTime,
    /// The packet that the first answer is an answer to: the first SYN, or the latest datagram.
    asked: SimTime,
    established: Option<SimTime>,
    /// SYNs, or datagrams before the first answer.
    attempts: u32,
    last_seen: SimTime,
    failure: Option<Failure>,
    /// Its connection, by number; a flow that is opened anew is another one.
    id: u64,
}

/// Connections, as far as packets tell.
#[derive(Debug)]
pub(crate) struct Tally {
    attempted: u64,
    established: u64,
    failed: u64,
    broken: u64,
    failed_by: BTreeMap<Failure, u64>,
    connect_times: ConnectTimes,
}

/// A replay under way.
pub(crate) struct Replay<'a> {
    network: &'a mut Network,
    from: usize,
    clients: &'a [IpNet],
    flows: Vec<CapturedFlow>,
    free: Vec<u32>,
    index: HashTable<u32>,
    hasher: FixedState,
    /// Who may be forgotten when, in order.
    idle: VecDeque<(SimTime, u32)>,
    inside: InsidePorts,
    instances: HashMap<IpAddr, Standin, FixedState>,
    /// Where a client's packets were last seen to end: the address for whatever has no flow of its own.
    last_far: HashMap<IpAddr, FarEnd, FixedState>,
    packet: Packet,
    writer: Option<PacketWriter>,
    skipped: BTreeMap<NotIp, u64>,
    flow_count: u64,
    /// Packets larger than any that an instance sends or gets.
    above_mtu: u64,
    /// Connections so far, for their numbers.
    connections: u64,
    tally: Tally,
    /// Stations and ports where clients' packets begin, one client to one, instead of at instances.
    entries: Vec<(NodeId, PortId)>,
    /// Connections that are over, when somebody wants to know.
    records: Option<Vec<Record>>,
    datagram_idle: Duration,
    tcp_idle: Duration,
}

/// What is left of a replay when it is over.
pub(crate) struct Done {
    pub(crate) writer: Option<PacketWriter>,
    /// Records that were no IP packets, by reason.
    pub(crate) skipped: BTreeMap<NotIp, u64>,
    /// Client addresses seen.
    pub(crate) clients: u64,
    /// Flows seen.
    pub(crate) flows: u64,
    /// Packets larger than Cloud Run's MTU.
    pub(crate) above_mtu: u64,
    pub(crate) tally: Tally,
    pub(crate) records: Vec<Record>,
}

impl<'a> Replay<'a> {
    /// A replay that sends from the workload `from`. Without `clients`, private and link-local addresses are clients'.
    pub(crate) fn new(
        network: &'a mut Network,
        from: usize,
        clients: &'a [IpNet],
        writer: Option<PacketWriter>,
    ) -> Self {
        let longest = network.gateways().flat_map(|gateway| gateway.config().timeouts).max().unwrap_or_default();
        Replay {
            network,
            from,
            clients,
            flows: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: FixedState::default(),
            idle: VecDeque::new(),
            inside: InsidePorts::default(),
            instances: HashMap::default(),
            last_far: HashMap::default(),
            packet: Packet::empty(),
            writer,
            skipped: BTreeMap::new(),
            flow_count: 0,
            above_mtu: 0,
            connections: 0,
            tally: Tally {
                attempted: 0,
                established: 0,
                failed: 0,
                broken: 0,
                failed_by: BTreeMap::new(),
                connect_times: ConnectTimes::default(),
            },
            entries: Vec::new(),
            records: None,
            datagram_idle: DATAGRAM_IDLE.max(longest * 2),
            tcp_idle: TCP_IDLE.max(longest * 2),
        }
    }

    /// Packets of clients begin at these stations, as if they had come through these ports: the first client's at the first,
    /// and so on.
    pub(crate) fn enter_at(&mut self, entries: Vec<(NodeId, PortId)>) {
        self.entries = entries;
    }

    /// Whether a first packet of this captured flow has got out.
    pub(crate) fn is_out(&self, captured: &Flow) -> bool {
        let flow = self.find(captured).map(|slot| &self.flows[slot as usize]);
        flow.is_some_and(|flow| matches!(flow.stage, Stage::Asked | Stage::Established))
    }

    /// From now on keep a record of every connection that is over.
    pub(crate) fn keep_records(&mut self) {
        self.records.get_or_insert_default();
    }

    /// Takes the records of connections that are over since the last call.
    pub(crate) fn take_records(&mut self) -> Vec<Record> {
        self.records.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The network that the packets go through.
    pub(crate) fn network(&mut self) -> &mut Network {
        self.network
    }

    /// Takes one captured record.
    ///
    /// # Errors
    /// When the packets as the internet saw them cannot be written.
    #[inline]
    pub(crate) fn frame(&mut self, frame: Frame<'_>) -> Result<(), CaptureError> {
        let bytes = match network_layer(frame.link_type, frame.bytes) {
            Ok(bytes) => bytes,
            Err(reason) => {
                *self.skipped.entry(reason).or_default() += 1;
                return Ok(());
            }
        };
        let cut = frame.original_length as usize - frame.bytes.len();
        if self.packet.load(bytes, bytes.len() + cut).is_err() {
            self.unsent(DropCause::SimMalformedPacket);
            return Ok(());
        }
        match self.packet.flow() {
            Some(flow) => self.of_flow(&flow, frame.time),
            None => self.without_flow(frame.time),
        }
    }

    fn unsent(&mut self, cause: DropCause) {
        self.network.engine_mut().ledger_mut().record_unsent(cause);
    }

    fn is_client(&self, address: IpAddr) -> bool {
        match (self.clients, address) {
            ([], IpAddr::V4(address)) => {
                (is_private(address) && !address.is_multicast() && !address.is_loopback()) || address.is_unspecified()
            }
            ([], IpAddr::V6(address)) => is_private_v6(address) && !address.is_multicast() && !address.is_loopback(),
            (clients, _) => clients.iter().any(|range| range.contains(&address)),
        }
    }

    /// Which way a packet goes between these two; when both are clients, the sender is.
    fn direction(&self, src: IpAddr, dst: IpAddr) -> Option<Direction> {
        match (self.is_client(src), self.is_client(dst)) {
            (true, _) => Some(Direction::Outbound),
            (false, true) => Some(Direction::Inbound),
            (false, false) => None,
        }
    }

    /// TCP, UDP and echo.
    #[inline]
    fn of_flow(&mut self, seen: &Flow, time: u64) -> Result<(), CaptureError> {
        let now = self.network.engine().now();
        self.above_mtu += u64::from(self.packet.wire_length() > MTU);
        let slot = match self.find(seen) {
            Some(slot) => slot,
            None => match self.begin(*seen, now) {
                Ok(slot) => slot,
                Err(cause) => {
                    self.unsent(cause);
                    return Ok(());
                }
            },
        };
        self.flows[slot as usize].last_seen = now;
        if self.flows[slot as usize].captured == *seen {
            self.outbound(slot, time, now)
        } else {
            self.inbound(slot, time, now)
        }
    }

    #[inline]
    fn find(&self, flow: &Flow) -> Option<u32> {
        let captured = |slot: u32| &self.flows[slot as usize].captured;
        match flow {
            Flow::V4(tuple) => {
                let key = flow_key(tuple);
                let is_same = |&slot: &u32| matches!(captured(slot), Flow::V4(other) if flow_key(other) == key);
                self.index.find(self.hasher.hash_one(key), is_same).copied()
            }
            Flow::V6(_) => {
                let is_same = |&slot: &u32| captured(slot) == flow || captured(slot).reversed() == *flow;
                self.index.find(flow_hash(&self.hasher, flow), is_same).copied()
            }
        }
    }

    /// A flow that was not seen before.
    fn begin(&mut self, seen: Flow, now: SimTime) -> Result<u32, DropCause> {
        self.forget_idle(now);
        let captured = match self.direction(seen.src(), seen.dst()) {
            Some(Direction::Outbound) => seen,
            Some(Direction::Inbound) => seen.reversed(),
            None => return Err(DropCause::SimNoClient),
        };
        let Standin { node: instance, entry, address } = self.instance_of(captured.src());
        let address = address.ok_or(DropCause::SimIpv6Unavailable)?;
        let inside = self.inside.take(captured.from_source(address, captured.src_port()));
        self.flow_count += 1;
        self.connections += 1;
        let engine = self.network.engine_mut();
        let flow = CapturedFlow {
            captured,
            instance,
            entry,
            inside: (address, inside),
            outbound: engine.add_flow(),
            inbound: engine.add_flow(),
            far: None,
            stage: Stage::Midstream,
            counted: false,
            broken: false,
            first_sent: now,
            asked: now,
            established: None,
            attempts: 0,
            last_seen: now,
            failure: None,
            id: self.connections,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.flows[slot as usize] = flow;
                slot
            }
            None => {
                self.flows.push(flow);
                (self.flows.len() - 1) as u32
            }
        };
        let (flows, hasher) = (&self.flows, &self.hasher);
        let hash = flow_hash(hasher, &captured);
        self.index.insert_unique(hash, slot, |&other| flow_hash(hasher, &flows[other as usize].captured));
        self.idle.push_back((now + self.idle_limit(captured.protocol()), slot));
        Ok(slot)
    }

    /// The instance that stands for a captured client: one address to one instance, in order of appearance.
    fn instance_of(&mut self, client: IpAddr) -> Standin {
        if let Some(&known) = self.instances.get(&client) {
            return known;
        }
        let running = self.network.instances(self.from);
        let chosen = match running.len() {
            // All have been shut down meanwhile; the first client's instance answers for it.
            0 => self
                .instances
                .values()
                .find(|it| it.address.is_some_and(|at| at.is_ipv4() == client.is_ipv4()))
                .copied(),
            count => running.get(self.instances.len() % count).map(|instance| {
                let node = instance.site.node;
                Standin { node, entry: (node, SOCKETS), address: instance.source_for(client) }
            }),
        };
        let chosen = chosen.or_else(|| {
            let first = self.instances.values().next();
            first.map(|it| Standin { address: None, ..*it })
        });
        let mut chosen = chosen.expect("the workload had an instance at the start");
        if let Some(entry) = self.entries.get(self.instances.len() % self.entries.len().max(1)) {
            chosen.entry = *entry;
        }
        self.instances.insert(client, chosen);
        chosen
    }

    /// A packet of the client.
    #[inline]
    fn outbound(&mut self, slot: u32, time: u64, now: SimTime) -> Result<(), CaptureError> {
        let flags = self.packet.tcp_flags();
        self.count_outbound(slot, flags, now);
        let flow = &self.flows[slot as usize];
        let opens = flow.captured.protocol() != Protocol::Tcp || flags & tcp_flags::SYN != 0;
        if flow.stage == Stage::Refused && !opens {
            self.unsent(DropCause::SimNeverOpened);
            return Ok(());
        }
        self.packet.set_source(flow.inside.0, flow.inside.1);
        let ((station, port), outbound, id) = (flow.entry, flow.outbound, flow.id);
        let outcome = self.network.engine_mut().send(station, port, &mut self.packet, id, Some(outbound));
        self.take_answers();
        let (node, port, cause) = match outcome {
            Outcome::Delivered(node, port) | Outcome::Answered(node, port) => (node, port, None),
            Outcome::Dropped(node, cause) => (node, PortId(0), Some(cause)),
            Outcome::Travelling => unreachable!("links take no time in a replay"),
        };
        if let Some(cause) = cause {
            let flow = &mut self.flows[slot as usize];
            if flow.stage == Stage::Midstream && opens {
                flow.stage = Stage::Refused;
            }
            self.lost(slot, cause);
            // What is dropped at a host has been on the internet all the same.
            if self.network.is_on_internet(node) {
                self.write(time)?;
                self.see(slot, node, PortId(0), opens);
            }
            return Ok(());
        }
        let on_internet = self.see(slot, node, port, opens);
        if on_internet { self.write(time) } else { Ok(()) }
    }

    /// Remembers where a flow came out, and as what. Returns whether that is on the internet.
    #[inline]
    fn see(&mut self, slot: u32, node: NodeId, port: PortId, opens: bool) -> bool {
        let Some(seen) = self.packet.flow_source() else { return false };
        let flow = &mut self.flows[slot as usize];
        if flow.stage != Stage::Established {
            flow.stage = Stage::Asked;
        }
        if let Some(far) = &flow.far
            && far.seen == seen
            && far.node == node
        {
            return far.on_internet;
        }
        let moved = flow.far.is_some();
        let on_internet = self.network.is_on_internet(node);
        let far = FarEnd { node, port, seen, on_internet };
        flow.far = Some(far);
        flow.inbound = self.network.engine_mut().reset_flow(flow.inbound);
        let client = flow.captured.src();
        // The server knows the connection by its former address only.
        if moved && !opens && flow.stage == Stage::Established && flow.captured.protocol() == Protocol::Tcp {
            self.break_connection(slot, Failure::Dropped(DropCause::SimIdleExpired));
        }
        self.last_far.insert(client, far);
        on_internet
    }

    /// A packet of the server.
    #[inline]
    fn inbound(&mut self, slot: u32, time: u64, now: SimTime) -> Result<(), CaptureError> {
        let flow = &self.flows[slot as usize];
        let Some(far) = flow.far.filter(|_| flow.stage != Stage::Refused) else {
            self.unsent(DropCause::SimReplyWithoutRequest);
            return Ok(());
        };
        let (inside, inbound, instance, id) = (flow.inside, flow.inbound, flow.instance, flow.id);
        self.packet.set_destination(far.seen.0, far.seen.1);
        if far.on_internet {
            self.write(time)?;
        }
        let flags = self.packet.tcp_flags();
        let outcome = self.network.engine_mut().emit(far.node, far.port, &mut self.packet, id, Some(inbound));
        self.take_answers();
        match outcome {
            Outcome::Delivered(node, _) => {
                let came = self.packet.flow().map(|flow| (flow.dst(), flow.dst_port()));
                assert_eq!((node, came), (instance, Some(inside)), "a reply reaches the client that asked");
                self.count_answer(slot, flags, now);
            }
            Outcome::Dropped(_, cause) => self.lost(slot, cause),
            Outcome::Answered(..) => unreachable!("instances answer nothing by themselves"),
            Outcome::Travelling => unreachable!("links take no time in a replay"),
        }
        Ok(())
    }

    /// Fragments, ICMP errors and other protocols: by address alone.
    fn without_flow(&mut self, time: u64) -> Result<(), CaptureError> {
        // An error belongs to the flow that it quotes.
        let embedded = self.packet.embedded_flow();
        let quoted = embedded.and_then(|embedded| Some((embedded, self.find(&embedded)?)));
        if let Some((embedded, slot)) = quoted {
            let flow = self.flows[slot as usize].clone();
            if embedded == flow.captured {
                // About a packet of the client.
                let Some(far) = flow.far else {
                    self.unsent(DropCause::SimReplyWithoutRequest);
                    return Ok(());
                };
                self.packet.set_destination(far.seen.0, 0);
                self.packet.set_quoted_source(far.seen);
                return self.emit_without_flow(far, time);
            }
            self.packet.set_source(flow.inside.0, 0);
            self.packet.set_quoted_destination(flow.inside);
            return self.send_without_flow(flow.instance, time);
        }
        let (src, dst) = (self.packet.source(), self.packet.destination());
        match self.direction(src, dst) {
            Some(Direction::Outbound) => match self.instance_of(src) {
                Standin { node, address: Some(address), .. } => {
                    self.packet.set_source(address, 0);
                    self.send_without_flow(node, time)
                }
                Standin { address: None, .. } => {
                    self.unsent(DropCause::SimIpv6Unavailable);
                    Ok(())
                }
            },
            Some(Direction::Inbound) => match self.last_far.get(&dst).copied() {
                Some(far) => {
                    self.packet.set_destination(far.seen.0, 0);
                    self.emit_without_flow(far, time)
                }
                None => {
                    self.unsent(DropCause::SimReplyWithoutRequest);
                    Ok(())
                }
            },
            None => {
                self.unsent(DropCause::SimNoClient);
                Ok(())
            }
        }
    }

    fn send_without_flow(&mut self, instance: NodeId, time: u64) -> Result<(), CaptureError> {
        let outcome = self.network.engine_mut().send(instance, SOCKETS, &mut self.packet, NEVER_SENT, None);
        self.take_answers();
        match outcome {
            Outcome::Delivered(node, _) | Outcome::Answered(node, _) | Outcome::Dropped(node, _)
                if self.network.is_on_internet(node) =>
            {
                self.write(time)
            }
            _ => Ok(()),
        }
    }

    fn emit_without_flow(&mut self, far: FarEnd, time: u64) -> Result<(), CaptureError> {
        if far.on_internet {
            self.write(time)?;
        }
        self.network.engine_mut().emit(far.node, far.port, &mut self.packet, NEVER_SENT, None);
        self.take_answers();
        Ok(())
    }

    /// Stations do not answer in a replay.
    #[inline]
    fn take_answers(&mut self) {
        let occurrence = self.network.engine_mut().take_pending();
        assert!(occurrence.is_none(), "stations are passive in a replay: {occurrence:?}");
    }

    #[inline]
    fn write(&mut self, time: u64) -> Result<(), CaptureError> {
        if let Some(writer) = &mut self.writer {
            writer.write(time, self.packet.bytes(), self.packet.wire_length())?;
        }
        Ok(())
    }

    /// A packet that begins a connection, or begins it anew.
    #[inline]
    fn count_outbound(&mut self, slot: u32, flags: u8, now: SimTime) {
        let flow = &self.flows[slot as usize];
        let tcp = flow.captured.protocol() == Protocol::Tcp;
        let asks = !tcp || flags & tcp_flags::SYN != 0;
        let anew = flow.stage == Stage::Established || now - flow.first_sent > GIVEN_UP;
        let begins = if tcp { asks && (!flow.counted || anew) } else { !flow.counted };
        if begins {
            self.conclude(slot);
            let flow = &mut self.flows[slot as usize];
            (flow.counted, flow.broken, flow.failure) = (true, false, None);
            (flow.first_sent, flow.asked, flow.established, flow.attempts) = (now, now, None, 0);
            flow.stage = Stage::Midstream;
            flow.id = self.connections;
            self.connections += 1;
            self.tally.attempted += 1;
        }
        let flow = &mut self.flows[slot as usize];
        if asks && flow.stage != Stage::Established {
            flow.attempts += 1;
            if !tcp {
                flow.asked = now;
            }
        }
        // A capture of one direction only: a client that acknowledges has had its answer, though it is not there.
        const CONNECTING: u8 = tcp_flags::ACK | tcp_flags::SYN | tcp_flags::RST;
        if tcp && flow.counted && flow.stage == Stage::Asked && flags & CONNECTING == tcp_flags::ACK {
            self.establish(slot, now);
        }
    }

    #[inline]
    fn count_answer(&mut self, slot: u32, flags: u8, now: SimTime) {
        let flow = &mut self.flows[slot as usize];
        if flags & tcp_flags::RST != 0 {
            if flow.stage != Stage::Established {
                flow.failure = Some(Failure::Refused);
            }
        } else if flow.stage != Stage::Established && flow.counted {
            self.establish(slot, now);
        }
    }

    fn establish(&mut self, slot: u32, now: SimTime) {
        let flow = &mut self.flows[slot as usize];
        flow.stage = Stage::Established;
        flow.established = Some(now);
        self.tally.established += 1;
        self.tally.connect_times.record(now - flow.asked);
    }

    /// A packet of a flow was dropped.
    fn lost(&mut self, slot: u32, cause: DropCause) {
        let flow = &mut self.flows[slot as usize];
        if flow.stage == Stage::Established {
            if flow.captured.protocol() == Protocol::Tcp {
                self.break_connection(slot, Failure::Dropped(cause));
            }
        } else {
            flow.failure = Some(Failure::Dropped(cause));
        }
    }

    fn break_connection(&mut self, slot: u32, failure: Failure) {
        let flow = &mut self.flows[slot as usize];
        if flow.counted && !std::mem::replace(&mut flow.broken, true) {
            flow.failure = Some(failure);
            self.tally.broken += 1;
            *self.tally.failed_by.entry(failure).or_default() += 1;
        }
    }

    /// A connection is over, as far as the capture tells: counts it, if it never came to be, and records it.
    fn conclude(&mut self, slot: u32) {
        let flow = &mut self.flows[slot as usize];
        if !std::mem::take(&mut flow.counted) {
            return;
        }
        let fate = match (flow.stage, flow.failure) {
            (Stage::Established, Some(failure)) if flow.broken => Fate::Broken(failure),
            (Stage::Established, _) => Fate::Established,
            // Datagrams that nobody answered may have wanted no answer: they are no connection that failed.
            (Stage::Asked, None) if flow.captured.protocol() != Protocol::Tcp => {
                self.tally.attempted -= 1;
                return;
            }
            (_, failure) => {
                let failure = failure.unwrap_or(Failure::NoAnswer);
                self.tally.failed += 1;
                *self.tally.failed_by.entry(failure).or_default() += 1;
                Fate::Failed(failure)
            }
        };
        if let Some(records) = &mut self.records {
            let inside = flow.captured.from_source(flow.inside.0, flow.inside.1);
            records.push(Record {
                traffic: None,
                instance: Some(flow.instance),
                inside,
                outside: flow.far.map(|far| inside.from_source(far.seen.0, far.seen.1)),
                started: flow.first_sent,
                established: flow.established,
                ended: Some(flow.last_seen),
                fate,
                attempts: flow.attempts,
                id: flow.id,
                accepted: None,
            });
        }
    }

    fn forget_idle(&mut self, now: SimTime) {
        while let Some(&(look, slot)) = self.idle.front()
            && look <= now
        {
            self.idle.pop_front();
            let flow = &self.flows[slot as usize];
            let limit = flow.last_seen + self.idle_limit(flow.captured.protocol());
            if limit > now {
                self.idle.push_back((limit, slot));
                continue;
            }
            self.conclude(slot);
            let flow = &self.flows[slot as usize];
            let (outbound, inbound) = (flow.outbound, flow.inbound);
            let inside = flow.captured.from_source(flow.inside.0, flow.inside.1);
            let hash = flow_hash(&self.hasher, &flow.captured);
            self.inside.release(inside);
            if let Ok(found) = self.index.find_entry(hash, |&other| other == slot) {
                found.remove();
            }
            self.free.push(slot);
            self.network.engine_mut().remove_flow(outbound);
            self.network.engine_mut().remove_flow(inbound);
        }
    }

    fn idle_limit(&self, protocol: Protocol) -> Duration {
        if protocol == Protocol::Tcp { self.tcp_idle } else { self.datagram_idle }
    }

    /// Ends the replay: what was still under way is concluded.
    pub(crate) fn finish(mut self) -> Done {
        for slot in 0..self.flows.len() as u32 {
            self.conclude(slot);
        }
        let records = self.take_records();
        Done {
            writer: self.writer,
            skipped: self.skipped,
            clients: self.instances.len() as u64,
            flows: self.flow_count,
            above_mtu: self.above_mtu,
            tally: self.tally,
            records,
        }
    }
}

/// The same for both directions of a flow.
#[inline]
fn flow_hash(hasher: &FixedState, flow: &Flow) -> u64 {
    match flow {
        Flow::V4(tuple) => hasher.hash_one(flow_key(tuple)),
        Flow::V6(tuple) => {
            let (src, dst) = ((tuple.src, tuple.src_port), (tuple.dst, tuple.dst_port));
            hasher.hash_one((src.min(dst), src.max(dst), tuple.protocol))
        }
    }
}

/// 48 bits of either end, the lower one first, and the protocol.
#[inline]
fn flow_key(tuple: &FiveTuple) -> u128 {
    let end = |address: Ipv4Addr, port: u16| u64::from(u32::from(address)) << 16 | u64::from(port);
    let (src, dst) = (end(tuple.src, tuple.src_port), end(tuple.dst, tuple.dst_port));
    u128::from(src.min(dst)) << 56 | u128::from(src.max(dst)) << 8 | u128::from(tuple.protocol.number())
}

impl Tally {
    /// Writes the counts into a summary.
    pub(crate) fn fill(&self, summary: &mut Summary) {
        let connections = &mut summary.connections;
        connections.attempted = self.attempted;
        connections.established = self.established;
        connections.failed = self.failed;
        connections.broken = self.broken;
        connections.failed_by =
            self.failed_by.iter().map(|(failure, count)| (failure.name().to_owned(), *count)).collect();
        connections.connect_time_ms = self.connect_times.quantiles();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_directions_of_a_flow_have_one_key(ends in any::<[u32; 2]>(), ports in any::<[u16; 2]>(), other in any::<u16>()) {
            let there = FiveTuple {
                src: ends[0].into(),
                dst: ends[1].into(),
                src_port: ports[0],
                dst_port: ports[1],
                protocol: Protocol::Tcp,
            };
            prop_assert_eq!(flow_key(&there), flow_key(&there.reversed()));
            let elsewhere = FiveTuple { src_port: other, ..there };
            prop_assert_eq!(flow_key(&there) == flow_key(&elsewhere), other == ports[0] || elsewhere == there.reversed());
        }
    }
}
