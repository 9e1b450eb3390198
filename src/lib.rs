//! How packets leave Google Cloud Run: a packet-level simulator.

pub mod addresses;
pub mod capture;
pub mod cli;
pub mod network;
pub mod node;
pub mod probe;
pub mod recording;
pub mod report;
pub mod scenario;
pub mod sim;
pub mod simulation;
pub mod time;
pub mod topology;
pub mod trace;
pub mod traffic;
pub mod wire;
