//! The `egressim` program: parses arguments, runs, prints the error chain, sets the exit status.

use std::process::ExitCode;

use clap::Parser;
use egressim::cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::run(cli::Arguments::parse()) {
        Ok(status) => status,
        Err(error) => {
            cli::report(&error);
            ExitCode::from(cli::FAILED)
        }
    }
}
