//! How packets leave Google Cloud Run: a packet-level simulator.

pub mod capture;
pub mod report;
pub mod scenario;
