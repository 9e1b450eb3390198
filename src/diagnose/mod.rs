//! Why connections fail, and what ends it.
//!
//! A scenario's own load, or a capture, is run once with somebody who looks on ([`evidence`]): every failed, broken or slow
//! connection gets exactly one cause. For each cause the changes that Google's documents and experience suggest
//! ([`remedy`]) are written into the merged scenario as JSON Patch, checked as if they stood in the file, and run with the
//! same traffic and seed ([`search`]): what is said to help has helped here. [`report`](mod@report) puts it into words.
//!
//! ```text
//!   traffic | capture | logs ──> run, watched ──> causes ──> remedies ──> patch, check, run ──> what is left
//! ```

pub mod document;
pub mod evidence;
pub mod kind;
pub mod lines;
pub mod logs;
pub mod place;
pub mod remedy;
pub mod report;
pub mod search;

use std::ops::ControlFlow;
use std::path::Path;

use serde_json::Value;

use crate::report::diagnose::Diagnosis;
use crate::report::summary::Summary;
use crate::scenario::Scenario;
use crate::scenario::file::ScenarioFile;
use crate::simulation::replay::{LogOptions, Options, ReplayError, replay_logged, replay_watched};
use crate::simulation::run_watched;

use evidence::Evidence;

/// Where the traffic comes from.
#[derive(Debug, Clone)]
pub enum Input {
    /// The scenario's own load.
    Loads,
    /// Captured packets. The options name no output.
    Captures(Options),
    /// Connections of Cloud NAT's log. The options name no output.
    Logs(LogOptions),
}

impl Input {
    /// Whether the load is the scenario's, so that a patch can change it.
    pub fn has_loads(&self) -> bool {
        matches!(self, Input::Loads)
    }
}

/// What is diagnosed.
#[derive(Debug)]
pub struct Case<'a> {
    /// The scenario as typed.
    pub file: &'a ScenarioFile,
    /// What it means.
    pub scenario: &'a Scenario,
    /// The scenario as typed, as JSON.
    pub document: Value,
    /// Where the traffic comes from.
    pub input: Input,
    /// The workload that sends what is captured or logged.
    pub from: Option<usize>,
}

impl<'a> Case<'a> {
    /// A scenario and its traffic.
    pub fn new(file: &'a ScenarioFile, scenario: &'a Scenario, input: Input) -> Case<'a> {
        let from = match &input {
            Input::Loads => None,
            Input::Captures(options) => Some(options.from),
            Input::Logs(options) => Some(options.from),
        };
        Case { file, scenario, document: document::document(file), input, from }
    }

    /// Runs the traffic through a scenario, which is this one or a change of it.
    ///
    /// # Errors
    /// When a capture cannot be read, an output not be written, or `progress` ends it.
    pub fn observe(
        &self,
        scenario: &Scenario,
        out: Option<&Path>,
        evidence: &mut Evidence,
        progress: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Summary, ReplayError> {
        match &self.input {
            Input::Loads => Ok(run_watched(scenario, out, Some(evidence), &mut |_| progress())?),
            Input::Captures(options) => {
                let options = Options { out: out.map(Path::to_owned), ..options.clone() };
                replay_watched(scenario, &options, Some(evidence), &mut |_| progress())
            }
            Input::Logs(options) => {
                let options = LogOptions { out: out.map(Path::to_owned), ..options.clone() };
                replay_logged(scenario, &options, Some(evidence), &mut |_| progress())
            }
        }
    }
}

/// Runs a case, names the causes of its failures, and simulates what may end them. Files of the first run go to `out`; as
/// many threads are used. `progress` is told now and then how far it is (0 to 1), and may end it. The result does not
/// depend on the number of threads.
///
/// # Errors
/// As [`Case::observe`].
pub fn diagnose(
    case: &Case<'_>,
    out: Option<&Path>,
    threads: usize,
    progress: &mut dyn FnMut(f64) -> ControlFlow<()>,
) -> Result<Diagnosis, ReplayError> {
    let mut evidence = Evidence::with_lines(case.from);
    let summary = case.observe(case.scenario, out, &mut evidence, &mut || progress(0.0))?;
    let (groups, lines) = evidence.into_groups();
    let searched = search::search(case, &groups, &summary, threads, progress)?;
    Ok(report::report(case, &groups, lines.as_ref(), summary, searched))
}
