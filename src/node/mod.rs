//! The stations on a packet's way.
//!
//! Each is a state machine: a packet and the time go in, a [`crate::trace::Verdict`] comes out. A station knows its own
//! ports and nothing of what is behind them; it knows no clock, no queue and no scenario.

pub mod nat;
