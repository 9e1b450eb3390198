//! A connection, from the client's first packet to the end of both sides, and what wakes and packets call it.

use std::time::Duration;

use super::record::{Fate, Record};
use crate::sim::FlowId;
use crate::time::SimTime;
use crate::topology::NodeId;
use crate::trace::{DropCause, PortId};
use crate::traffic::half::Half;
use crate::wire::Flow;

/// What a wake or a packet is about: kind, generation and slot of a connection in one number.
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

pub(super) fn tag(kind: Kind, generation: u32, slot: u32) -> u64 {
    (kind as u64) << 56 | u64::from(generation & 0x00ff_ffff) << 32 | u64::from(slot)
}

pub(super) fn untag(tag: u64) -> Option<(Kind, u32, u32)> {
    let kind = KINDS.into_iter().find(|kind| *kind as u64 == tag >> 56)?;
    Some((kind, (tag >> 32) as u32 & 0x00ff_ffff, tag as u32))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Free,
    Connecting,
    Open,
}

/// The far end, as far as it knows of the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Server {
    pub(super) node: NodeId,
    pub(super) port: PortId,
    /// The flow as it comes in.
    pub(super) flow: Flow,
    /// The client's SYN number.
    pub(super) peer: u32,
    pub(super) half: Half,
    pub(super) answered: bool,
    pub(super) timer: bool,
    pub(super) deadline: SimTime,
}

#[derive(Debug, Clone, Copy)]
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
    pub(super) client: Half,
    pub(super) client_timer: bool,
    pub(super) client_deadline: SimTime,
    pub(super) server: Option<Server>,
    /// The far side as last seen.
    pub(super) outside: Option<Flow>,
    pub(super) last_drop: Option<DropCause>,
    pub(super) round_trip: Duration,
}

impl Connection {
    pub(super) fn record(&self, ended: Option<SimTime>, fate: Fate) -> Record {
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
        }
    }
}
