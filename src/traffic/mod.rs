//! Who sends: the scenario's own load, and replayed captures.

pub mod flows;
mod half;
pub(crate) mod replay;
