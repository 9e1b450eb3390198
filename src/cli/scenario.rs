//! The SCENARIO argument: a file, a folder, standard input, or nothing.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::Common;
use super::terminal::Terminal;
use crate::scenario::diagnostic::Sources;
use crate::scenario::file::ScenarioFile;
use crate::scenario::load::{Loaded, Source, load};
use crate::scenario::{BUILT_IN, Scenario, Workload};

/// Loads what the argument names.
pub(super) fn read(path: Option<&Path>) -> Loaded {
    match path {
        None => load(BUILT_IN),
        Some(path) if path == Path::new("-") => load(Source::Reader(&mut std::io::stdin().lock())),
        Some(path) => load(Source::Path(path)),
    }
}

/// A scenario to run: findings are told; errors, whether Google's or ours, end it.
pub(super) fn usable(path: Option<&Path>, common: &Common, terminal: &Terminal) -> Result<Scenario> {
    Ok(usable_file(path, common, terminal)?.0)
}

/// As [`usable`], with the file as typed and the texts it was read from.
pub(super) fn usable_file(
    path: Option<&Path>,
    common: &Common,
    terminal: &Terminal,
) -> Result<(Scenario, ScenarioFile, Sources)> {
    let mut loaded = read(path);
    let Some(mut scenario) = loaded.scenario else {
        let rendered = loaded.diagnostics.render(&loaded.sources, terminal.colours_errors());
        eprint!("{rendered}");
        bail!("the scenario cannot be used");
    };
    // The built-in scenario is explained in its own file; its warnings are nobody's business here.
    if path.is_some() && !loaded.diagnostics.is_empty() {
        terminal.say(&loaded.diagnostics.render(&loaded.sources, terminal.colours_errors()));
    }
    if let Some(seed) = common.seed {
        scenario.seed = seed;
        loaded.file.seed = Some(seed.into());
    }
    Ok((scenario, loaded.file, loaded.sources))
}

/// Standard input is one thing: the scenario, or one of the other inputs.
pub(super) fn one_standard_input(scenario: Option<&Path>, others: &[PathBuf]) -> Result<()> {
    let named = scenario.into_iter().chain(others.iter().map(PathBuf::as_path));
    if named.filter(|path| *path == Path::new("-")).count() > 1 {
        bail!(
            "standard input (-) is named more than once: it can only be one of the inputs, so give the others as files"
        );
    }
    Ok(())
}

/// The workload of this name, or the first one.
pub(super) fn workload(scenario: &Scenario, name: Option<&str>) -> Result<usize> {
    let Some(name) = name else {
        if scenario.workloads.is_empty() {
            bail!("the scenario has no workload to send from: declare a service, job, worker pool or function");
        }
        return Ok(0);
    };
    // Two regions may have a workload of one name: then its region says which.
    let named = |workload: &&Workload| {
        workload.name == name || name.split_once('/') == Some((workload.region.as_str(), workload.name.as_str()))
    };
    let found: Vec<&Workload> = scenario.workloads.iter().filter(named).collect();
    if let Some((first, others)) = found.split_first()
        && let Some(second) = others.iter().find(|other| other.region != first.region)
    {
        bail!(
            "workload {name:?} is in several regions: say which one, as {}/{name} or {}/{name}",
            first.region,
            second.region
        );
    }
    match scenario.workloads.iter().position(|workload| named(&workload)) {
        Some(index) => Ok(index),
        None => {
            let names: Vec<_> = scenario.workloads.iter().map(|workload| workload.name.as_str()).collect();
            let nearest =
                names.iter().max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
            match nearest {
                Some(nearest) => {
                    bail!("no workload is called {name:?}; did you mean {nearest:?}? There are: {}", names.join(", "))
                }
                None => bail!("no workload is called {name:?}: the scenario has none"),
            }
        }
    }
}
