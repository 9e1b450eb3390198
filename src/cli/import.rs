//! `egressim import`: exported or hand-written cloud configuration as a scenario.

use std::path::PathBuf;

use anyhow::Result;

use super::terminal::Terminal;
use super::{Common, FAILED, OK};
use crate::scenario::load::{Source, load};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Arguments {
    /// Files and folders with configuration, in any order: output of `gcloud … --format=json|yaml` and of the REST APIs, Cloud
    /// Asset Inventory, Knative manifests, `terraform show -json`, `terraform.tfstate`, `*.tf`, scripts and Markdown with gcloud
    /// commands. `-` is standard input.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, _: &Common, terminal: &Terminal) -> Result<u8> {
    let loaded = load(Source::Import(&arguments.paths, &mut std::io::stdin().lock()));
    terminal.say(&loaded.diagnostics.render(&loaded.sources, terminal.colours_errors()));
    terminal.print_json(&serde_json::to_value(&loaded.file)?)?;
    Ok(if loaded.diagnostics.has_errors() { FAILED } else { OK })
}
