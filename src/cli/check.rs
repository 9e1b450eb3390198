//! `egressim check`.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use super::terminal::Terminal;
use super::{Common, FAILED, NOT_MET, OK, scenario};
use crate::scenario::diagnostic::Severity;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Arguments {
    /// Scenario file or folder, or `-`; the built-in scenario when left out.
    scenario: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, _: &Common, terminal: &Terminal) -> Result<u8> {
    let loaded = scenario::read(arguments.scenario.as_deref());
    let (diagnostics, sources) = (&loaded.diagnostics, &loaded.sources);
    if terminal.json() {
        let findings: Vec<_> = diagnostics
            .iter()
            .map(|finding| {
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
            })
            .collect();
        terminal.print_json(&json!({"findings": findings, "scenario": loaded.file}))?;
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
