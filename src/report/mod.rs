//! What comes out: the summary, its text form, logs and metrics in Google's shapes.

pub mod summary;
