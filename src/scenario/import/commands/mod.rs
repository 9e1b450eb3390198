//! Shell scripts and Markdown with gcloud commands.
//!
//! Each command does to a virtual project what it does to a real one, in the order in which they stand; several scripts
//! run against one project. What gcloud or Google Cloud would refuse is a finding at the word that is to blame, and what
//! follows is read as if that had worked. At the end what is in the project becomes resources whose values keep their
//! places in the script.
//!
//! ```text
//! Markdown ─ markdown ─ blocks ┐
//! script ──────────────────────┴─ shell ─ interpret ─ arguments ─ gcloud ─ flags ─ a file for each kind ─ project
//! ```

mod arg;
mod arithmetic;
mod call;
mod connector;
mod firewall;
mod flags;
mod functions;
mod gcloud;
mod instances;
mod interpret;
mod markdown;
mod nat;
mod networks;
mod policies;
mod project;
mod replace;
mod routes;
mod run;
mod shell;
mod table;
#[cfg(test)]
mod tests;

use super::{Format, Import};
use crate::scenario::diagnostic::FileId;

/// Runs scripts in the order given against one project, and adds what is there in the end.
pub(super) fn read(import: &mut Import, scripts: &[(FileId, Format)]) {
    if scripts.is_empty() {
        return;
    }
    let told = import.report.len();
    let mut project = project::Project::default();
    let mut shell = interpret::Shell::default();
    for (file, format) in scripts.iter().copied() {
        // Findings are made while the text is read, so it is read from a copy.
        let text = import.sources.text(file).to_owned();
        if format == Format::Markdown {
            let (masked, blocks) = markdown::blocks(&text);
            for block in blocks {
                let statements = shell::parse(&masked, block.start, block.end, file, true, &mut import.report);
                shell.run(&statements, &mut project, import);
            }
        } else {
            let statements = shell::parse(&text, 0, text.len(), file, false, &mut import.report);
            shell.run(&statements, &mut project, import);
        }
    }
    shell.finish(import);
    project.finish(import);
    // What stands for an unknown value is nobody's name.
    for finding in &mut import.report[told..] {
        for text in std::iter::once(&mut finding.message).chain(&mut finding.help) {
            while let Some(from) = text.find("${output-") {
                let Some(to) = text[from..].find('}') else { break };
                text.replace_range(from..=from + to, "$(…)");
            }
        }
    }
}
