//! How packets leave Google Cloud Run: a packet-level simulator.

pub mod node;
pub mod report;
pub mod scenario;
pub mod time;
pub mod trace;
pub mod wire;
