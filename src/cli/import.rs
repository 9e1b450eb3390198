//! `egressim import`: exported or hand-written cloud configuration as a scenario, on standard output; what was found and
//! assumed on standard error. As JSON it prints what `check --format json` prints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::check::findings;
use super::terminal::Terminal;
use super::{Common, FAILED, OK};
use crate::scenario::diagnostic::{Diagnostic, Diagnostics, Severity, Sources};
use crate::scenario::import::print;
use crate::scenario::load::{Source, load};

/// How many findings of one kind are shown; an export may have a thousand times the same.
const SHOWN: usize = 12;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Arguments {
    /// Files and folders with configuration, in any order: what `gcloud … --format=json` or `yaml` and the REST APIs print, Cloud
    /// Asset Inventory, Knative manifests, `terraform show -json`, `terraform.tfstate`, `*.tf`, scripts and Markdown with gcloud
    /// commands. Formats are told apart by content. Of a folder every file is read that is not hidden. `-` is standard input.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, common: &Common, terminal: &Terminal) -> Result<u8> {
    if arguments.paths.iter().filter(|path| *path == Path::new("-")).count() > 1 {
        bail!("standard input (-) is named more than once");
    }
    let mut loaded = load(Source::Import(&arguments.paths, &mut std::io::stdin().lock()));
    if let Some(seed) = common.seed {
        loaded.file.seed = Some(seed.into());
    }
    let (diagnostics, sources) = (&loaded.diagnostics, &loaded.sources);
    terminal.say(&render(diagnostics, sources, terminal.colours_errors()));
    // Without a single text that could be read there is nothing to print.
    let unreadable = loaded.imported.read.is_empty() && diagnostics.has_unusable();
    if unreadable {
        bail!("nothing could be imported");
    }
    let mut document = serde_json::to_value(&loaded.file)?;
    document["findings"] = findings(diagnostics, sources);
    terminal.keep_json("import.json", &document)?;
    if terminal.json() {
        terminal.print_json(&document)?;
    } else {
        let text = print(&loaded.file, &loaded.imported, sources);
        terminal.print(|out| out.write_all(text.as_bytes()))?;
    }
    Ok(if diagnostics.has_errors() { FAILED } else { OK })
}

/// The findings, of each kind the first ones.
fn render(diagnostics: &Diagnostics, sources: &Sources, colour: bool) -> String {
    let mut seen: BTreeMap<(&str, Severity), usize> = BTreeMap::new();
    let mut shown = Diagnostics::default();
    for finding in diagnostics.iter() {
        let count = seen.entry((finding.code, finding.severity)).or_default();
        *count += 1;
        if *count <= SHOWN {
            shown.push(finding.clone());
        }
    }
    for ((code, severity), count) in seen.into_iter().filter(|(_, count)| *count > SHOWN) {
        let message = format!("{} more findings like these: {code}", count - SHOWN);
        shown.push(Diagnostic::new(severity, code, message).help("`--format json` has all of them"));
    }
    shown.render(sources, colour)
}
