//! How packets leave Google Cloud Run: a packet-level simulator.

pub mod report;
pub mod scenario;
pub mod time;
pub mod wire;
