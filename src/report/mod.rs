//! What comes out: the summary, its text form, logs and metrics in Google's shapes.

pub mod bench;
pub mod clock;
pub mod connectivity;
pub mod diagnose;
pub mod expect;
pub mod identity;
pub mod mapping_info;
pub mod metrics;
pub mod nat_log;
pub mod observed;
pub mod output;
pub mod reserved;
pub mod router_status;
pub mod run_log;
pub mod summary;
pub mod text;

pub(crate) mod causes;
pub(crate) mod words;
