//! What is told of connections: how each ended, and how many.

use crate::time::SimTime;
use crate::topology::NodeId;
use crate::trace::Failure;
use crate::wire::Flow;

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

/// The [`Record::id`] of connections that never sent a packet.
pub const NEVER_SENT: u64 = u64::MAX;

/// What `connections.jsonl` says of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// What tells it from every other connection of the run: see [`connection_of`](super::connection_of).
    pub id: u64,
    /// Index of the load; a captured connection has none.
    pub traffic: Option<usize>,
    /// Station of the instance, if there was one.
    pub instance: Option<NodeId>,
    /// The flow as the instance sends it.
    pub inside: Flow,
    /// The flow as the far side sees it come, once it did.
    pub outside: Option<Flow>,
    /// The flow as the far side knows it; another one comes in `outside` when its mapping has changed meanwhile.
    pub accepted: Option<Flow>,
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
