//! The discrete-event engine: a queue of what happens when, the walk of a packet from station to station, and
//! randomness from one seed.

pub mod engine;
mod impairment;
mod ledger;
mod link;
mod path;
pub mod queue;
pub mod rng;

pub use engine::{DropNote, Engine, FlowId, Ledger, Occurrence, Outcome, Site, is_aftermath};
