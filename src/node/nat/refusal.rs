//! Refused packets one by one, for whoever wants to know what each of them found.

use super::Limit;
use crate::time::SimTime;
use crate::wire::FiveTuple;

/// A packet that got no port, though the gateway has NAT IPs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// When.
    pub time: SimTime,
    /// The flow as the endpoint sends it.
    pub tuple: FiveTuple,
    /// Number of the endpoint.
    pub endpoint: u32,
    /// Number of the rule whose NAT IPs it was to use.
    pub rule: u32,
    /// What was in its way.
    pub why: Refused,
}

/// Why a packet got no port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Every port of the endpoint is taken for this destination.
    Shortage {
        /// Why there are no more.
        limit: Limit,
        /// The endpoint's ports.
        allocated_ports: u32,
        /// Of these, with an open connection to the destination.
        open: u32,
        /// Of these, in TIME_WAIT.
        time_wait: u32,
    },
    /// With endpoint-independent mapping, another socket has the port for this destination.
    Conflict,
}
