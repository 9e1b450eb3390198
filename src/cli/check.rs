//! `egressim check`: what Google Cloud would reject, and what will hurt. As JSON it prints the merged scenario, which the
//! other commands take, with the `findings` as one more key.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Value, json};

use super::terminal::Terminal;
use super::{Common, FAILED, NOT_MET, OK, scenario};
use crate::scenario::diagnostic::{Diagnostic, Diagnostics, Severity, Sources};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Arguments {
    /// Scenario file or folder, or `-`; the built-in scenario when left out.
    scenario: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, _: &Common, terminal: &Terminal) -> Result<u8> {
    let loaded = scenario::read(arguments.scenario.as_deref());
    let (diagnostics, sources) = (&loaded.diagnostics, &loaded.sources);
    // The merged scenario as it can be loaded again, and what there is to say of it beside its own keys.
    let mut document = serde_json::to_value(&loaded.file)?;
    document["findings"] = findings(diagnostics, sources);
    terminal.keep_json("check.json", &document)?;
    if terminal.json() {
        terminal.print_json(&document)?;
    } else {
        let style = terminal.colours_results();
        terminal.print(|out| {
            write!(out, "{}", diagnostics.render(sources, style))?;
            let errors = diagnostics.count(Severity::Unusable) + diagnostics.count(Severity::Rejected);
            let warnings = diagnostics.count(Severity::Warning);
            let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
            match (errors, warnings) {
                (0, 0) => writeln!(out, "no errors, no warnings"),
                _ => writeln!(out, "{}, {}", plural(errors, "error"), plural(warnings, "warning")),
            }
        })?;
    }
    Ok(if diagnostics.has_unusable() {
        FAILED
    } else if diagnostics.has_rejected() {
        NOT_MET
    } else {
        OK
    })
}

/// Findings as they stand beside the merged scenario.
pub(super) fn findings(diagnostics: &Diagnostics, sources: &Sources) -> Value {
    let finding = |finding: &Diagnostic| {
        let position = finding.place.and_then(|place| sources.position(place));
        json!({
            "severity": match finding.severity {
                Severity::Unusable | Severity::Rejected => "error",
                Severity::Warning => "warning",
                Severity::Note => "note",
            },
            "rejectedByGoogle": finding.severity == Severity::Rejected,
            "code": finding.code,
            "message": finding.message,
            "help": finding.help,
            "file": position.as_ref().map(|position| position.file.to_string()),
            "line": position.as_ref().map(|position| position.line),
            "column": position.as_ref().map(|position| position.column),
        })
    };
    diagnostics.iter().map(finding).collect()
}
