//! A connection, from the client's first packet to the end of both sides, and what wakes and packets call it.

use std::time::Duration;

use super::record::{Fate, Record};
use super::requests::RequestId;
use crate::sim::FlowId;
use crate::time::SimTime;
use crate::topology::NodeId;
use crate::trace::{DropCause, Failure, PortId};
use crate::traffic::half::Half;
use crate::traffic::stack::End;
use crate::wire::Flow;

/// What a wake or a packet is about: kind, generation and slot of a connection in one number. In wakes of the later kinds it is
/// the slot of a request, or the number of a pool or workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    ClientPacket = 1,
    ServerPacket = 2,
    Arrival = 3,
    Retry = 4,
    GiveUp = 5,
    ClientTimeout = 6,
    ServerTimeout = 7,
    Lifetime = 8,
    SynAck = 9,
    ServerEnds = 10,
    Respond = 11,
    PoolIdle = 12,
    RequestStep = 13,
    QueueTimeout = 14,
    CallTimeout = 15,
    WorkerNext = 16,
    PoolTurn = 17,
    Dispatch = 18,
    Autoscale = 19,
}

const KINDS: [Kind; 19] = [
    Kind::ClientPacket,
    Kind::ServerPacket,
    Kind::Arrival,
    Kind::Retry,
    Kind::GiveUp,
    Kind::ClientTimeout,
    Kind::ServerTimeout,
    Kind::Lifetime,
    Kind::SynAck,
    Kind::ServerEnds,
    Kind::Respond,
    Kind::PoolIdle,
    Kind::RequestStep,
    Kind::QueueTimeout,
    Kind::CallTimeout,
    Kind::WorkerNext,
    Kind::PoolTurn,
    Kind::Dispatch,
    Kind::Autoscale,
];

pub(super) fn tag(kind: Kind, generation: u32, slot: u32) -> u64 {
    (kind as u64) << 56 | u64::from(generation) << 32 | u64::from(slot)
}

/// A generation has 24 bits, as much as a tag has room for.
const GENERATIONS: u32 = 0x00ff_ffff;

/// The generation of what comes next in a slot.
pub(super) fn next_generation(generation: u32) -> u32 {
    generation.wrapping_add(1) & GENERATIONS
}

/// Which connection a packet with this tag belongs to: its [`Record::id`].
pub fn connection_of(tag: u64) -> u64 {
    tag & 0x00ff_ffff_ffff_ffff
}

pub(super) fn untag(tag: u64) -> Option<(Kind, u32, u32)> {
    let kind = *KINDS.get(((tag >> 56) as usize).checked_sub(1)?)?;
    Some((kind, (tag >> 32) as u32 & GENERATIONS, tag as u32))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Free,
    Connecting,
    Open,
}

/// Where the far end is, and as what it sees the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Far {
    pub(super) node: NodeId,
    pub(super) port: PortId,
    /// The flow as it comes in.
    pub(super) flow: Flow,
}

/// Both ends of a connection.
#[derive(Debug)]
pub(super) enum Ends {
    /// A few bytes of script each.
    Script(Script),
    /// A TCP stack each.
    Stack(Box<Stack>),
}

/// Ends by script.
#[derive(Debug, Clone, Copy)]
pub(super) struct Script {
    pub(super) client: Side,
    /// Once something of the client has come to it.
    pub(super) server: Option<Side>,
    /// The client's SYN number.
    pub(super) peer: u32,
    pub(super) round_trip: Duration,
}

/// One end by script.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side {
    pub(super) half: Half,
    /// A wake is on its way.
    pub(super) timer: bool,
    pub(super) deadline: SimTime,
}

impl Side {
    pub(super) fn new(half: Half) -> Side {
        Side { half, timer: false, deadline: SimTime::NEVER }
    }
}

/// Ends with stacks.
#[derive(Debug)]
pub(super) struct Stack {
    pub(super) client: End,
    pub(super) server: Option<End>,
    /// SYN-ACKs that the server has sent.
    pub(super) syn_acks: u8,
    /// When the stacks last got on: anything acknowledged or received.
    pub(super) progress: SimTime,
}

/// What a connection of a load with requests is used for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Use {
    /// The request whose call or look-up it carries.
    pub(super) request: Option<RequestId>,
    /// It is a look-up.
    pub(super) lookup: bool,
    /// It is one of its instance's pool.
    pub(super) pooled: bool,
    /// Since when no call uses it.
    pub(super) idle_since: SimTime,
    /// A look at whether that is too long ago has been asked for.
    pub(super) idle_wake: bool,
    /// Bytes that the client had received before the present call.
    pub(super) received_before: u32,
    /// Bytes that the server had received before it.
    pub(super) answered_before: u32,
    /// The number of the server's SYN, for scripts.
    pub(super) server_initial: u32,
    /// Why the client has given it up.
    pub(super) abandoned: Option<Failure>,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) generation: u32,
    pub(super) phase: Phase,
    pub(super) traffic: u32,
    pub(super) instance: NodeId,
    pub(super) flow: Flow,
    pub(super) started: SimTime,
    pub(super) established: Option<SimTime>,
    pub(super) client_flow: FlowId,
    pub(super) server_flow: FlowId,
    pub(super) syns: u8,
    /// The client has closed before the server had.
    pub(super) closed_first: bool,
    pub(super) ends: Ends,
    pub(super) far: Option<Far>,
    /// The far side as last seen.
    pub(super) outside: Option<Flow>,
    pub(super) last_drop: Option<DropCause>,
    /// Requests that the server has answered, without `used`.
    pub(super) answered: u32,
    /// What it is used for, if its load has requests.
    pub(super) used: Option<Box<Use>>,
}

/// Both ends of a scripted connection, and all that is known of it here. Millions of them are open at a time.
const _: () = assert!(size_of::<Connection>() < 300);

impl Connection {
    /// The ends, of which the caller knows that they are scripted.
    pub(super) fn script(&mut self) -> &mut Script {
        match &mut self.ends {
            Ends::Script(script) => script,
            Ends::Stack(_) => unreachable!("a connection keeps its kind of ends"),
        }
    }

    /// The ends, of which the caller knows that they are stacks.
    pub(super) fn stack(&mut self) -> &mut Stack {
        match &mut self.ends {
            Ends::Stack(stack) => stack,
            Ends::Script(_) => unreachable!("a connection keeps its kind of ends"),
        }
    }

    /// Why it failed when nobody answers any more.
    pub(super) fn unanswered(&self) -> Failure {
        self.last_drop.map_or(Failure::NoAnswer, Failure::Dropped)
    }

    /// How it stands while it has not ended.
    pub(super) fn standing(&self) -> Fate {
        match self.used.as_ref().and_then(|used| used.abandoned) {
            Some(failure) => Fate::Broken(failure),
            None if self.phase == Phase::Open => Fate::Established,
            None => Fate::Pending,
        }
    }

    /// Why it failed when a reset came.
    pub(super) fn was_reset(&self) -> Failure {
        match self.last_drop {
            // A connector without ports refuses on its own; then the drop says more than the reset.
            Some(cause @ DropCause::SimConnectorPortsExhausted) => Failure::Dropped(cause),
            _ if self.phase == Phase::Connecting => Failure::Refused,
            Some(cause) => Failure::Dropped(cause),
            None => Failure::Reset,
        }
    }

    pub(super) fn record(&self, slot: usize, ended: Option<SimTime>, fate: Fate) -> Record {
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
            accepted: self.far.map(|far| far.flow),
        }
    }
}
