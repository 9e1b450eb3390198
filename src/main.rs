//! The `egressim` program.

fn main() {}
