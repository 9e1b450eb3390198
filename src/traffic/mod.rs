//! Who sends: the scenario's own load, replayed captures, and what a log records.

pub mod connect_times;
pub mod flows;
mod half;
pub mod logged;
pub(crate) mod replay;
pub mod server;
mod stack;
mod timer_wheel;
