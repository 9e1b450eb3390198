//! `egressim run`.

use std::path::PathBuf;

use anyhow::Result;

use super::terminal::Terminal;
use super::{Common, NOT_MET, OK, scenario};
use crate::report::summary::Summary;
use crate::report::text::write_summary;
use crate::simulation;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Arguments {
    /// Scenario file or folder, or `-`; the built-in scenario when left out.
    scenario: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, common: &Common, terminal: &Terminal) -> Result<u8> {
    let scenario = scenario::usable(arguments.scenario.as_deref(), common, terminal)?;
    let mut progress = terminal.progress("simulating");
    let summary = simulation::run(&scenario, common.out.as_deref(), &mut |done| progress.fraction(done))?;
    drop(progress);
    conclude(&summary, terminal)
}

/// Prints a summary; the status says whether every expectation held.
pub(super) fn conclude(summary: &Summary, terminal: &Terminal) -> Result<u8> {
    if terminal.json() {
        terminal.print_json(summary)?;
    } else {
        terminal.print(|mut out| write_summary(&mut out, summary, terminal.style()))?;
    }
    let met = summary.expectations.iter().all(|expectation| expectation.met);
    Ok(if met { OK } else { NOT_MET })
}
