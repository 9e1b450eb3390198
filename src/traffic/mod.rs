//! Who sends: the scenario's own load, and replayed captures.

pub mod connect_times;
pub mod flows;
mod half;
pub(crate) mod replay;
pub mod server;
mod stack;
mod timer_wheel;
