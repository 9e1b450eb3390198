//! The program: one file a sub-command. Results go to standard output, everything else to standard error.

mod bench;
mod check;
mod diagnose;
mod import;
mod replay;
mod run;
mod scenario;
mod schema;
mod terminal;
mod trace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use terminal::Terminal;

/// Exit status: it ran, and every expectation held.
pub const OK: u8 = 0;
/// Exit status: it ran, and something did not hold.
pub const NOT_MET: u8 = 1;
/// Exit status: it could not run.
pub const FAILED: u8 = 2;

/// How packets leave Google Cloud Run: connectors, Direct VPC egress, routes, firewall rules and Cloud NAT, simulated
/// packet by packet.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
#[command(
    after_help = "Exit status: 0 it ran and every expectation held · 1 it ran, and an expectation was not met, a traced \
packet did not arrive, `diagnose` found failures, or `check` found what Google would reject · 2 it could not run."
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

/// What every command takes.
#[derive(Debug, Clone, clap::Args)]
struct Common {
    /// Form of the result on standard output.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Write files here. `run` and `replay`: summary.json, nat_flows.jsonl, metrics.jsonl, connections.jsonl,
    /// cloud_run.jsonl, addresses.json, nat_mapping_info.json, router_status.json, nat_ip_info.json and capture.pcapng (every
    /// packet at every station: some 3 kB for each packet sent); the others: their result as JSON.
    #[arg(long, global = true, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Use this seed instead of the scenario's.
    #[arg(long, global = true, value_name = "N")]
    seed: Option<u64>,
    /// Only the result: no progress, no warnings.
    #[arg(short, long, global = true)]
    quiet: bool,
    /// When to use colours (`NO_COLOR` is honoured, too).
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    color: Colour,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Colour {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Simulate a scenario's own traffic.
    Run(run::Arguments),
    /// Drive the network with packets from pcap and pcapng files.
    Replay(replay::Arguments),
    /// Walk one packet and its reply, and explain every hop.
    Trace(trace::Arguments),
    /// Run a scenario's own traffic once for each of several Cloud NAT settings, and compare.
    Bench(bench::Arguments),
    /// Name the cause of every failed connection, and prove what ends it by simulating it.
    Diagnose(diagnose::Arguments),
    /// Find what Google Cloud would reject, and what will hurt.
    Check(check::Arguments),
    /// Turn exported or hand-written cloud configuration into a scenario.
    Import(import::Arguments),
    /// Print the scenario file's JSON Schema.
    Schema,
}

/// Runs the program. The exit status is for the shell; an error is for [`report`].
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { command, common } = arguments;
    let terminal = Terminal::new(&common);
    let status = match command {
        Command::Run(arguments) => run::run(&arguments, &common, &terminal),
        Command::Replay(arguments) => replay::run(&arguments, &common, &terminal),
        Command::Trace(arguments) => trace::run(&arguments, &common, &terminal),
        Command::Bench(arguments) => bench::run(&arguments, &common, &terminal),
        Command::Diagnose(arguments) => diagnose::run(&arguments, &common, &terminal),
        Command::Check(arguments) => check::run(&arguments, &common, &terminal),
        Command::Import(arguments) => import::run(&arguments, &common, &terminal),
        Command::Schema => schema::run(&terminal),
    };
    match status {
        Ok(status) => Ok(ExitCode::from(status)),
        // Whoever read our output has seen enough: that is no error.
        Err(error) if is_closed_pipe(&error) => Ok(ExitCode::from(OK)),
        Err(error) => Err(error),
    }
}

/// Tells an error and its causes.
pub fn report(error: &anyhow::Error) {
    let mut told = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // A transparent error says what its cause says.
        if !told.contains(&text) {
            let separator = if told.is_empty() { "" } else { ": " };
            told.push_str(separator);
            told.push_str(&text);
        }
    }
    anstream::eprintln!("error: {told}");
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let closed = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(closed)
            || cause
                .downcast_ref::<crate::capture::CaptureError>()
                .is_some_and(|error| error.io_error().is_some_and(closed))
    })
}
