//! The walk of packets through the stations, in virtual time.
//!
//! The first packet of a flow is handled station by station; what each of them says is worth remembering is kept as the
//! flow's *path*, and the packets after it go along the path: one look at each table entry on it, no look-up. When an
//! entry has ended or the configuration has changed, the packet falls back to the whole way from there on. Paths are
//! shared: a thousand flows that pass the same stations have one path and a few entries each.
//!
//! ```text
//!   send ──> walk: known path? ── yes ──> entry, entry, … ──> delivered | link with delay ──> queue
//!                    │ no, or an entry is gone                                                  │
//!                    └──> station by station, and remember ──> delivered | dropped | queue <────┘
//! ```
//!
//! A link without delay is no event. Nothing is formatted or copied unless somebody listens or taps.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use rand_chacha::ChaCha8Rng;

pub use super::ledger::Ledger;
pub use super::path::FlowId;

use super::impairment::{Entry, Exit, Impaired};
use super::link::LinkState;
use super::path::{Action, Paths, Recorder};
use super::queue::Queue;
use super::rng;
use crate::node::{Node, Station};
use crate::time::{SimTime, nanos};
use crate::topology::{Impairments, Link, LinkConfig, LinkId, NodeId, Topology};
use crate::trace::info::DropInfo;
use crate::trace::{Disposition, DropCause, Explain, Hop, PortId, State, Step, Trace, Verdict};
use crate::wire::{Flow, IcmpError, Packet, Protocol, tcp_flags};

/// What the sender wants to know its packet by.
pub type Tag = u64;

/// What became of a packet at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has arrived at this station, through this port.
    Delivered(NodeId, PortId),
    /// It has arrived at this station, through this port, and the station itself has answered it: nobody else shall.
    Answered(NodeId, PortId),
    /// It was dropped at this station.
    Dropped(NodeId, DropCause),
    /// It is on a link; the packet given is now another, empty one.
    Travelling,
}

/// Something that happened, for whoever drives the engine.
#[derive(Debug)]
pub enum Occurrence {
    /// A packet arrived.
    Delivered {
        /// Where.
        node: NodeId,
        /// Through which port: an answer goes back there.
        from: PortId,
        /// The packet.
        packet: Packet,
        /// What its sender called it; an answer carries the tag of what it answers.
        tag: Tag,
        /// It is an answer by a station (a reset, an ICMP error), not what was sent.
        answer: bool,
    },
    /// A packet arrived and was answered by the station it came to, such as with a reset.
    Answered {
        /// The packet.
        packet: Packet,
        /// What its sender called it.
        tag: Tag,
    },
    /// A packet was dropped.
    Dropped {
        /// Where.
        node: NodeId,
        /// Why.
        cause: DropCause,
        /// The packet.
        packet: Packet,
        /// What its sender called it.
        tag: Tag,
        /// It is an answer by a station.
        answer: bool,
    },
    /// A time that was asked for has come.
    Wake(Tag),
}

/// Sees every packet at every station: where, when, its bytes and length on the wire as it came, and why it was dropped
/// there.
pub type Tap = Box<dyn FnMut(NodeId, SimTime, &[u8], u32, Option<DropCause>)>;

/// A dropped packet, for whoever wants to know why a connection failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropNote {
    /// When.
    pub time: SimTime,
    /// Where: the station, or the one that a link leads to.
    pub node: NodeId,
    /// Why.
    pub cause: DropCause,
    /// What its sender called it; an answer of a station carries the tag of what it answers.
    pub tag: Tag,
    /// Its flow as it was there, if it had one.
    pub flow: Option<Flow>,
    /// Its loss says nothing about why a connection failed: see [`is_aftermath`].
    pub is_aftermath: bool,
}

/// Whether a packet only tells of what has happened already: a reset, or an ICMP error about a segment of TCP, which takes it
/// for passing trouble. When it is lost, too, that is not why a connection failed.
pub fn is_aftermath(packet: &Packet) -> bool {
    let about_tcp = || packet.embedded_flow().is_some_and(|quoted| matches!(quoted.protocol(), Protocol::Tcp));
    packet.tcp_flags() & tcp_flags::RST != 0 || about_tcp()
}

/// Where a station of a known kind is.
pub struct Site<S> {
    /// Its place in the graph.
    pub node: NodeId,
    kind: PhantomData<fn() -> S>,
}

impl<S> Clone for Site<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Site<S> {}

impl<S> From<Site<S>> for NodeId {
    fn from(site: Site<S>) -> NodeId {
        site.node
    }
}

impl<S> std::fmt::Debug for Site<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.node.fmt(f)
    }
}

const KIND: &str = "a site is made with its station";

/// Whose address an error about a packet too large for a link has.
const LINK_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 3);
/// The same for IPv6.
const LINK_ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 3);

/// A packet that has passed this many stations goes in circles.
const MAX_WALK: usize = 64;

/// A packet on a link, or a time that was asked for.
#[derive(Debug)]
enum Event {
    Arrive(Arrival),
    Timeout(NodeId),
    Wake(Tag),
}

#[derive(Debug)]
struct Arrival {
    node: NodeId,
    from: PortId,
    packet: Packet,
    tag: Tag,
    flow: Option<FlowId>,
    hop: u8,
    answer: bool,
}

/// A packet's position and identity while it walks.
#[derive(Debug, Clone, Copy)]
struct Walker {
    node: NodeId,
    from: PortId,
    tag: Tag,
    flow: Option<FlowId>,
    hop: usize,
    answer: bool,
}

/// The engine.
pub struct Engine {
    topology: Topology,
    nodes: Vec<Node>,
    queue: Queue<Event>,
    now: SimTime,
    paths: Paths,
    link_states: Vec<LinkState>,
    impaired: HashMap<LinkId, Box<Impaired>, FixedState>,
    seed: u64,
    /// When each station's next timeout is queued for.
    timeouts: Vec<SimTime>,
    links_apply: bool,
    hosts_answer: bool,
    rng: ChaCha8Rng,
    delay_rng: ChaCha8Rng,
    ledger: Ledger,
    pending: VecDeque<Occurrence>,
    spare: Vec<Packet>,
    tap: Option<Tap>,
    tapped: Vec<u8>,
    hops: Option<Vec<Hop>>,
    drops: Option<Vec<DropNote>>,
}

impl Engine {
    /// An empty engine.
    pub fn new(seed: u64) -> Self {
        Engine {
            topology: Topology::default(),
            nodes: Vec::new(),
            queue: Queue::default(),
            now: SimTime::ZERO,
            paths: Paths::default(),
            link_states: Vec::new(),
            impaired: HashMap::default(),
            seed,
            timeouts: Vec::new(),
            links_apply: true,
            hosts_answer: true,
            rng: rng::stream(seed, "link loss"),
            delay_rng: rng::stream(seed, "link delay"),
            ledger: Ledger::default(),
            pending: VecDeque::new(),
            spare: Vec::new(),
            tap: None,
            tapped: Vec::new(),
            hops: None,
            drops: None,
        }
    }

    /// For a replay: links take no time and lose nothing, and hosts do not answer, because a capture holds its own times
    /// and its own answers.
    pub fn make_passive(&mut self) {
        self.make_instant();
        self.hosts_answer = false;
    }

    /// For a trace: links take no time and lose nothing.
    pub fn make_instant(&mut self) {
        self.links_apply = false;
        self.paths.forget_all();
    }

    /// Whether links take time and may lose packets.
    pub fn links_apply(&self) -> bool {
        self.links_apply
    }

    /// Adds a station.
    pub fn add<S: Station>(&mut self, name: impl Into<String>, station: S) -> Site<S> {
        let node = self.topology.add_node(name);
        self.nodes.push(station.into());
        self.timeouts.push(SimTime::NEVER);
        self.look_at_timeout(node);
        Site { node, kind: PhantomData }
    }

    /// Links two ports.
    pub fn connect(&mut self, a: (impl Into<NodeId>, PortId), b: (impl Into<NodeId>, PortId), config: LinkConfig) {
        self.topology.connect((a.0.into(), a.1), (b.0.into(), b.1), config);
        self.link_states.resize(self.topology.link_count(), LinkState::default());
    }

    /// The graph.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// A station.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// A station of a known kind.
    pub fn at<S: Station>(&self, site: Site<S>) -> &S {
        S::of(&self.nodes[site.node.index()]).expect(KIND)
    }

    /// A station, to take out what it has collected. It must decide about packets as before.
    pub fn at_mut<S: Station>(&mut self, site: Site<S>) -> &mut S {
        S::of_mut(&mut self.nodes[site.node.index()]).expect(KIND)
    }

    /// A station, to be changed: everything remembered of flows counts no more.
    pub fn change<S: Station, R>(&mut self, site: Site<S>, change: impl FnOnce(&mut S) -> R) -> R {
        self.paths.forget_all();
        let result = change(self.at_mut(site));
        self.look_at_timeout(site.node);
        result
    }

    /// Now.
    pub fn now(&self) -> SimTime {
        self.now
    }

    /// Bits that a link with a capacity has carried so far.
    pub fn carried(&self, link: LinkId) -> u64 {
        self.link_states[link.0 as usize].carried()
    }

    /// From now on a link's delay is `factor` times what it is configured to be.
    pub fn set_delay_factor(&mut self, link: LinkId, factor: u8) {
        self.link_states[link.0 as usize].set_delay_factor(factor);
    }

    /// From now on this is wrong with a link.
    pub fn impair(&mut self, link: LinkId, impairments: Impairments) {
        let is_impaired = impairments != Impairments::default();
        if !is_impaired && !self.topology.link(link).impaired {
            return;
        }
        let (seed, [from, to]) = (self.seed, self.topology.ends(link));
        let topology = &self.topology;
        let impaired = self.impaired.entry(link);
        impaired
            .or_insert_with(|| Box::new(Impaired::new(seed, topology.name(from), topology.name(to))))
            .set(impairments);
        self.topology.link_mut(link).impaired = is_impaired;
        self.paths.forget_links();
    }

    /// From now on a link has this delay and loss.
    pub fn set_link(&mut self, link: LinkId, delay: Duration, loss: f64) {
        let it = self.topology.link_mut(link);
        (it.delay, it.loss) = (nanos(delay), loss);
        self.paths.forget_links();
    }

    /// Packet counts so far.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Packet counts, for what happens outside the stations.
    pub fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// From now on, this sees every packet at every station.
    pub fn set_tap(&mut self, tap: Tap) {
        self.tap = Some(tap);
    }

    /// Ends the tap, and with it whatever it holds.
    pub fn remove_tap(&mut self) {
        self.tap = None;
    }

    /// From now on keep a note of every dropped packet, for [`Engine::take_drops`].
    pub fn keep_drops(&mut self) {
        self.drops.get_or_insert_default();
    }

    /// Takes the notes of packets dropped since the last call, in order of time.
    pub fn take_drops(&mut self) -> Vec<DropNote> {
        self.drops.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// A flow whose path is to be remembered.
    pub fn add_flow(&mut self) -> FlowId {
        self.paths.add_flow()
    }

    /// The flow's packets have other addresses from now on: its path counts no more. Returns its new name.
    #[must_use]
    pub fn reset_flow(&mut self, flow: FlowId) -> FlowId {
        self.paths.reset_flow(flow)
    }

    /// Nothing more comes of this flow.
    pub fn remove_flow(&mut self, flow: FlowId) {
        self.paths.remove_flow(flow);
    }

    /// A packet to build in.
    pub fn spare_packet(&mut self) -> Packet {
        self.spare.pop().unwrap_or_default()
    }

    /// Gives a packet's memory back.
    pub fn recycle(&mut self, packet: Packet) {
        // As many as are ever in flight between two hops, and no more than a few megabytes.
        if self.spare.len() < 4096 {
            self.spare.push(packet);
        }
    }

    /// Asks to be woken. At one instant, wakes come in the order they were asked for.
    pub fn wake_at(&mut self, at: SimTime, tag: Tag) {
        self.queue.push(at.max(self.now), Event::Wake(tag));
    }

    /// Sends a packet from a station, as if it had come through `from`.
    #[inline]
    pub fn send(&mut self, node: NodeId, from: PortId, packet: &mut Packet, tag: Tag, flow: Option<FlowId>) -> Outcome {
        self.ledger.sent += 1;
        self.walk(Walker { node, from, tag, flow, hop: 0, answer: false }, packet)
    }

    /// Sends a packet out of a station through one of its ports: a host's own packet.
    pub fn emit(&mut self, node: NodeId, port: PortId, packet: &mut Packet, tag: Tag, flow: Option<FlowId>) -> Outcome {
        self.ledger.sent += 1;
        let link = self.topology.link_at(node, port).expect("a host sends through ports that have a link");
        let to = *self.topology.link(link);
        let walker = Walker { node: to.to, from: to.to_port, tag, flow, hop: 0, answer: false };
        if self.links_apply && !to.is_immediate() {
            self.put_on_link(link, walker, packet)
        } else {
            self.walk(walker, packet)
        }
    }

    /// Moves time on to `at`, which is not before now, doing what is due until then. Nothing may be on a link, which is so
    /// when links do not apply.
    pub fn advance_to(&mut self, at: SimTime) {
        while self.queue.next_time() <= at {
            match self.queue.pop() {
                Some((time, Event::Timeout(node))) => {
                    self.now = self.now.max(time);
                    self.time_out(node);
                }
                other => unreachable!("links take no time and nobody asked to be woken: {other:?}"),
            }
        }
        self.now = self.now.max(at);
    }

    /// The next thing that happens, not after `until`.
    pub fn step(&mut self, until: SimTime) -> Option<Occurrence> {
        loop {
            if let Some(occurrence) = self.pending.pop_front() {
                return Some(occurrence);
            }
            if self.queue.next_time() > until {
                self.now = self.now.max(until);
                return None;
            }
            let (time, event) = self.queue.pop()?;
            debug_assert!(time >= self.now, "time never goes back");
            debug_assert!(self.ledger.is_balanced(), "every packet is somewhere: {:?}", self.ledger);
            self.now = time;
            match event {
                Event::Wake(tag) => return Some(Occurrence::Wake(tag)),
                Event::Timeout(node) => self.time_out(node),
                Event::Arrive(Arrival { node, from, mut packet, tag, flow, hop, answer }) => {
                    self.ledger.in_flight -= 1;
                    let walker = Walker { node, from, tag, flow, hop: usize::from(hop), answer };
                    match self.walk(walker, &mut packet) {
                        Outcome::Travelling => self.recycle(packet),
                        outcome => return Some(occurrence(outcome, packet, tag, answer)),
                    }
                }
            }
        }
    }

    /// Sends a packet from a station like [`Engine::send`] and says everything that happened to it, and where it ended.
    pub fn trace(&mut self, node: NodeId, from: PortId, packet: &mut Packet) -> (Trace, Outcome) {
        self.hops = Some(Vec::new());
        let outcome = self.send(node, from, packet, 0, None);
        (self.end_trace(outcome), outcome)
    }

    /// The same for [`Engine::emit`].
    pub fn trace_emitted(&mut self, node: NodeId, port: PortId, packet: &mut Packet) -> (Trace, Outcome) {
        self.hops = Some(Vec::new());
        let outcome = self.emit(node, port, packet, 0, None);
        (self.end_trace(outcome), outcome)
    }

    fn end_trace(&mut self, outcome: Outcome) -> Trace {
        let hops = self.hops.take().unwrap_or_default();
        let left = hops.last().and_then(|hop| hop.steps.last()).is_some_and(|step| step.state == State::Forward);
        let disposition = match outcome {
            Outcome::Dropped(_, cause) => Disposition::Drop(cause),
            Outcome::Delivered(..) | Outcome::Answered(..) | Outcome::Travelling if left => Disposition::Forward,
            Outcome::Delivered(..) | Outcome::Answered(..) | Outcome::Travelling => Disposition::Deliver,
        };
        Trace { hops, disposition }
    }

    /// Takes answers of stations that are already there, without letting time pass.
    pub fn take_pending(&mut self) -> Option<Occurrence> {
        self.pending.pop_front()
    }

    #[inline]
    fn walk(&mut self, mut walker: Walker, packet: &mut Packet) -> Outcome {
        let listens = self.tap.is_some() || self.hops.is_some();
        if let Some(flow) = walker.flow
            && !listens
            && let Some((known, path)) = self.paths.known(flow)
        {
            while let Some((number, hop)) = path.stop_from(walker.hop) {
                walker.hop = number;
                let passed = match hop.action {
                    Action::Pure => true,
                    Action::DecrementTtl => packet.decrement_ttl(),
                    Action::Entry(number) => {
                        let entry = known.entries[usize::from(number)];
                        self.nodes[hop.node.index()].handle_known(entry, packet, hop.from, self.now)
                    }
                };
                if !passed {
                    (walker.node, walker.from) = (hop.node, hop.from);
                    break;
                }
                let Some(link) = hop.link else {
                    self.ledger.delivered += 1;
                    return Outcome::Delivered(hop.node, hop.from);
                };
                walker.hop += 1;
                if self.links_apply {
                    let to = self.topology.link(link);
                    if !to.is_immediate() {
                        (walker.node, walker.from) = (to.to, to.to_port);
                        return self.put_on_link(link, walker, packet);
                    }
                }
            }
        }
        self.walk_whole_way(walker, packet)
    }

    /// Station by station, remembering the path.
    fn walk_whole_way(&mut self, mut walker: Walker, packet: &mut Packet) -> Outcome {
        let mut recorder = self.paths.record(walker.flow, walker.hop);
        for _ in 0..MAX_WALK {
            let Walker { node, from, .. } = walker;
            let mut explain = match self.hops {
                Some(_) => Explain::listening(),
                None => Explain::silent(),
            };
            if self.tap.is_some() {
                self.tapped.clear();
                self.tapped.extend_from_slice(packet.bytes());
            }
            let verdict = self.nodes[node.index()].handle_packet(packet, from, self.now, &mut explain);
            self.observe(node, &verdict, packet, explain);
            self.look_at_timeout(node);
            match verdict {
                Verdict::Forward(port, memo) => {
                    let link = self.topology.link_at(node, port).expect("a station forwards to ports that have a link");
                    recorder.record(node, from, memo, Some(link));
                    let to = *self.topology.link(link);
                    (walker.node, walker.from) = (to.to, to.to_port);
                    walker.hop += 1;
                    if self.links_apply && !to.is_immediate() {
                        self.keep_path(&recorder, walker.flow);
                        return self.put_on_link(link, walker, packet);
                    }
                }
                Verdict::Deliver(memo) => {
                    recorder.record(node, from, memo, None);
                    self.keep_path(&recorder, walker.flow);
                    self.ledger.delivered += 1;
                    return Outcome::Delivered(node, from);
                }
                Verdict::Answer(answer) => {
                    self.ledger.delivered += 1;
                    if !self.hosts_answer {
                        return Outcome::Delivered(node, from);
                    }
                    self.answer(*answer, walker);
                    return Outcome::Answered(node, from);
                }
                Verdict::Drop(cause) => return self.drop_at(node, cause, packet, walker.tag),
                Verdict::Refuse(cause, answer) => {
                    if self.hosts_answer {
                        self.answer(*answer, walker);
                    }
                    return self.drop_at(node, cause, packet, walker.tag);
                }
            }
        }
        // Routes may lead in circles: that is a configuration like any other.
        self.tapped.clear();
        self.tapped.extend_from_slice(packet.bytes());
        self.observe(walker.node, &Verdict::Drop(DropCause::RoutingLoop), packet, Explain::silent());
        self.drop_at(walker.node, DropCause::RoutingLoop, packet, walker.tag)
    }

    fn keep_path(&mut self, recorder: &Recorder, flow: Option<FlowId>) {
        let (applies, topology) = (self.links_apply, &self.topology);
        self.paths.keep(recorder, flow, |link| applies && !topology.link(link).is_immediate());
    }

    fn drop_at(&mut self, node: NodeId, cause: DropCause, packet: &Packet, tag: Tag) -> Outcome {
        self.ledger.dropped[cause as usize] += 1;
        if let Some(drops) = &mut self.drops {
            let is_aftermath = is_aftermath(packet);
            drops.push(DropNote { time: self.now, node, cause, tag, flow: packet.flow(), is_aftermath });
        }
        Outcome::Dropped(node, cause)
    }

    /// A station's own packet, back through the port by which the other came.
    fn answer(&mut self, mut packet: Packet, asked: Walker) {
        if self.hops.is_some() {
            return; // A trace follows the packet it was asked about.
        }
        let Some(link) = self.topology.link_at(asked.node, asked.from) else { return };
        self.ledger.sent += 1;
        let to = *self.topology.link(link);
        let walker = Walker { node: to.to, from: to.to_port, tag: asked.tag, flow: None, hop: 0, answer: true };
        let outcome = if self.links_apply && !to.is_immediate() {
            self.put_on_link(link, walker, &mut packet)
        } else {
            self.walk_whole_way(walker, &mut packet)
        };
        if outcome != Outcome::Travelling {
            self.pending.push_back(occurrence(outcome, packet, asked.tag, true));
        }
    }

    /// Puts a packet on a link: it waits its turn, takes its time, and may get lost.
    fn put_on_link(&mut self, link: LinkId, walker: Walker, packet: &mut Packet) -> Outcome {
        let to = *self.topology.link(link);
        if to.loss > 0.0 && rng::unit(&mut self.rng) <= to.loss {
            return self.drop_on_link(walker, DropCause::SimLinkLoss, packet);
        }
        if to.impaired {
            return self.put_on_impaired_link(link, to, walker, packet);
        }
        let state = &mut self.link_states[link.0 as usize];
        let Some(arrives) = state.pass(&to, packet.wire_length(), self.now, &mut self.delay_rng) else {
            return self.drop_on_link(walker, DropCause::SimThroughputExceeded, packet);
        };
        self.put_in_queue(arrives, walker, packet)
    }

    fn put_in_queue(&mut self, arrives: SimTime, walker: Walker, packet: &mut Packet) -> Outcome {
        let replacement = self.spare_packet();
        let packet = std::mem::replace(packet, replacement);
        let Walker { node, from, tag, flow, hop, answer } = walker;
        self.ledger.in_flight += 1;
        self.queue.push(arrives, Event::Arrive(Arrival { node, from, packet, tag, flow, hop: hop as u8, answer }));
        Outcome::Travelling
    }

    /// The same for a link that is impaired.
    #[cold]
    fn put_on_impaired_link(&mut self, link: LinkId, to: Link, walker: Walker, packet: &mut Packet) -> Outcome {
        let impaired = self.impaired.get_mut(&link).expect("what is wrong with an impaired link is known");
        let sent = match impaired.enter(packet, self.now) {
            Entry::Passes(sent) => sent,
            Entry::Drops(cause) => return self.drop_on_link(walker, cause, packet),
            Entry::TooBig(mtu) => {
                let mut error = Packet::empty();
                let router: IpAddr = if packet.is_ipv4() { LINK_ADDRESS.into() } else { LINK_ADDRESS_V6.into() };
                if !mtu.silent && error.build_icmp_error(IcmpError::PacketTooBig(mtu.bytes), packet, router) {
                    self.answer(error, walker);
                }
                return self.drop_on_link(walker, DropCause::SimMtuExceeded, packet);
            }
        };
        let state = &mut self.link_states[link.0 as usize];
        let Some(arrives) = state.pass(&to, packet.wire_length(), sent, &mut self.delay_rng) else {
            return self.drop_on_link(walker, DropCause::SimThroughputExceeded, packet);
        };
        let Exit { arrives, twice } = impaired.leave(sent, arrives);
        if twice {
            self.ledger.sent += 1;
            self.ledger.duplicated += 1;
            let mut copy = packet.clone();
            self.put_in_queue(arrives, walker, packet);
            return self.put_in_queue(arrives, walker, &mut copy);
        }
        self.put_in_queue(arrives, walker, packet)
    }

    fn drop_on_link(&mut self, walker: Walker, cause: DropCause, packet: &Packet) -> Outcome {
        let towards = walker.node;
        if let Some(tap) = &mut self.tap {
            tap(towards, self.now, packet.bytes(), packet.wire_length(), Some(cause));
        }
        self.drop_at(towards, cause, packet, walker.tag)
    }

    /// Tells whoever taps or listens.
    fn observe(&mut self, node: NodeId, verdict: &Verdict, packet: &Packet, mut explain: Explain) {
        let cause = match verdict {
            Verdict::Drop(cause) | Verdict::Refuse(cause, _) => Some(*cause),
            _ => None,
        };
        if let Some(tap) = &mut self.tap {
            tap(node, self.now, &self.tapped, packet.wire_length(), cause);
        }
        if let Some(hops) = &mut self.hops {
            let mut steps = explain.take();
            if let Some(cause) = cause {
                let ends = DropInfo { cause, source_ip: packet.source(), destination_ip: packet.destination() };
                match steps.last_mut().filter(|step| step.state == State::Drop) {
                    Some(step) => step.info = Some(ends.into()),
                    None => steps.push(Step {
                        state: State::Drop,
                        description: cause.meaning().into(),
                        info: Some(ends.into()),
                    }),
                }
            }
            hops.push(Hop { node: self.topology.name(node).into(), steps });
        }
    }

    fn time_out(&mut self, node: NodeId) {
        if self.timeouts[node.index()] <= self.now {
            self.timeouts[node.index()] = SimTime::NEVER;
            self.nodes[node.index()].handle_timeout(self.now);
        }
        self.look_at_timeout(node);
    }

    /// Queues a station's next timeout, unless an earlier one is queued.
    #[inline]
    fn look_at_timeout(&mut self, node: NodeId) {
        let next = self.nodes[node.index()].next_timeout();
        if next < self.timeouts[node.index()] {
            self.timeouts[node.index()] = next;
            self.queue.push(next, Event::Timeout(node));
        }
    }
}

fn occurrence(outcome: Outcome, packet: Packet, tag: Tag, answer: bool) -> Occurrence {
    match outcome {
        Outcome::Delivered(node, from) => Occurrence::Delivered { node, from, packet, tag, answer },
        Outcome::Answered(..) => Occurrence::Answered { packet, tag },
        Outcome::Dropped(node, cause) => Occurrence::Dropped { node, cause, packet, tag, answer },
        Outcome::Travelling => unreachable!("a packet on a link has no outcome yet"),
    }
}

#[cfg(test)]
mod tests;
