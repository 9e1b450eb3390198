//! How many packets there are, and what became of them.

use crate::trace::DropCause;

/// Packet counts; `sent = delivered + dropped + in_flight` at every instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// Sent by instances, hosts, and stations that answer, and the copies that links make of packets.
    pub sent: u64,
    /// How many of these are such copies, which nobody has sent.
    pub duplicated: u64,
    /// Delivered.
    pub delivered: u64,
    /// On a link.
    pub in_flight: u64,
    pub(super) dropped: [u64; DropCause::ALL.len()],
}

impl Default for Ledger {
    fn default() -> Self {
        Ledger { sent: 0, duplicated: 0, delivered: 0, in_flight: 0, dropped: [0; DropCause::ALL.len()] }
    }
}

impl Ledger {
    /// Dropped for this cause.
    pub fn dropped_by(&self, cause: DropCause) -> u64 {
        self.dropped[cause as usize]
    }

    /// Dropped for any cause.
    pub fn dropped(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Whether every packet that was sent is somewhere.
    pub fn is_balanced(&self) -> bool {
        self.sent == self.delivered + self.dropped() + self.in_flight
    }

    /// A packet that nobody could even send, or that stopped before its first station.
    pub fn record_unsent(&mut self, cause: DropCause) {
        self.sent += 1;
        self.dropped[cause as usize] += 1;
    }
}
