//! `egressim replay`.

use std::path::PathBuf;

use anyhow::Result;

use super::run::conclude;
use super::terminal::Terminal;
use super::{Common, scenario};
use crate::capture::Kept;
use crate::scenario::value::Cidr;
use crate::simulation::replay::{Options, replay};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Arguments {
    /// pcap or pcapng files; `-` is standard input. Several are merged by time.
    #[arg(required = true)]
    captures: Vec<PathBuf>,
    /// Scenario file or folder; the built-in scenario when left out.
    #[arg(long, value_name = "S")]
    scenario: Option<PathBuf>,
    /// Write the packets as the internet saw them: pcapng by the extension .pcapng, else pcap.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// The workload that sends; the scenario's first when left out.
    #[arg(long, value_name = "WORKLOAD")]
    from: Option<String>,
    /// Which captured addresses are clients; private and link-local ones when left out.
    #[arg(long, value_name = "CIDR", value_parser = parse_range)]
    client: Vec<Cidr>,
}

pub(super) fn parse_range(text: &str) -> Result<Cidr, String> {
    text.parse().map_err(|_| "expected a range such as 10.0.0.0/8 or an address such as 10.0.0.7".to_owned())
}

pub(super) fn run(arguments: &Arguments, common: &Common, terminal: &Terminal) -> Result<u8> {
    scenario::one_standard_input(arguments.scenario.as_deref(), &arguments.captures)?;
    let mut scenario = scenario::usable(arguments.scenario.as_deref(), common, terminal)?;
    let from = scenario::workload(&scenario, arguments.from.as_deref())?;
    if arguments.scenario.is_none() {
        // The built-in scenario's expectations are about its own traffic.
        scenario.expect.clear();
    }
    let options = Options {
        captures: arguments.captures.clone(),
        kept: Kept::default(),
        from,
        clients: arguments.client.iter().map(|range| range.net()).collect(),
        write: arguments.write.clone(),
        out: common.out.clone(),
    };
    let mut progress = terminal.progress("replaying");
    let summary = replay(&scenario, &options, &mut |records| progress.count(records))?;
    drop(progress);
    conclude(&summary, terminal)
}
