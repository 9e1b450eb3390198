//! An import as a scenario file for people: what was read, item by item, each assumption beside the item it made, and a
//! starter for what configuration does not hold.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::starter;
use crate::scenario::diagnostic::{Diagnostic, FileId, Place, Severity, Sources};
use crate::scenario::file::ScenarioFile;
use crate::scenario::value::At;

/// How many files of a format are named.
const MOST_NAMES: usize = 12;

/// What an import has read.
#[derive(Debug, Clone, Default)]
pub struct Imported {
    /// Its texts and what each one is, in words.
    pub read: Vec<(FileId, &'static str)>,
    /// What was there and is not read, by what it is called there: how many.
    pub skipped: BTreeMap<String, usize>,
    /// What the import itself found and assumed, before the scenario was checked.
    pub findings: Vec<Diagnostic>,
}

/// The scenario as YAML with comments. Loading it gives the same scenario.
pub fn print(file: &ScenarioFile, imported: &Imported, sources: &Sources) -> String {
    let mut out = String::new();
    header(&mut out, file, imported, sources);
    let document = serde_json::to_value(file).expect("a scenario file is data");
    let Value::Object(fields) = &document else { unreachable!("a scenario file is a mapping") };
    let mut comments = Comments::new(file, imported);
    for (key, value) in fields {
        let Value::Array(items) = value else {
            let _ = writeln!(out, "{}", yaml(&serde_json::json!({ key.as_str(): value })).trim_end());
            continue;
        };
        let _ = writeln!(out, "\n{key}:");
        for (index, item) in items.iter().enumerate() {
            for comment in comments.take(key, index) {
                comment_lines(&mut out, &comment);
            }
            out.push_str(&yaml(&[item]));
        }
    }
    starter::write(&mut out, file);
    out
}

fn yaml(value: &impl Serialize) -> String {
    let text = serde_saphyr::to_string(value).expect("what was decoded can be encoded");
    if text.ends_with('\n') { text } else { text + "\n" }
}

fn comment_lines(out: &mut String, text: &str) {
    const WIDTH: usize = 110;
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH && line.len() > 1 {
            let _ = writeln!(out, "{line}");
            line = String::from("#  ");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(out, "{line}");
}

fn header(out: &mut String, file: &ScenarioFile, imported: &Imported, sources: &Sources) {
    let mut by_format: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (text, format) in &imported.read {
        by_format.entry(format).or_default().push(sources.name(*text));
    }
    for (format, names) in by_format {
        let more = match names.len().saturating_sub(MOST_NAMES) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let names = names.iter().take(MOST_NAMES).copied().collect::<Vec<_>>().join(", ");
        comment_lines(out, &format!("Imported from {format}: {names}{more}."));
    }
    let document = serde_json::to_value(file).expect("a scenario file is data");
    let counts: Vec<String> = document
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key} {}", value.as_array()?.len())))
        .collect();
    let counts = if counts.is_empty() { "nothing that a scenario has".into() } else { counts.join(", ") };
    comment_lines(out, &format!("Read: {counts}."));
    if !imported.skipped.is_empty() {
        let skipped: Vec<String> = imported.skipped.iter().map(|(what, count)| format!("{count} {what}")).collect();
        comment_lines(out, &format!("Not read: {}.", skipped.join(", ")));
    }
}

/// Assumptions by the item that they are about.
struct Comments {
    by_item: BTreeMap<(&'static str, usize), Vec<String>>,
}

impl Comments {
    fn new(file: &ScenarioFile, imported: &Imported) -> Comments {
        let mut items: Vec<(&'static str, usize, Place)> = Vec::new();
        fn places<T>(key: &'static str, list: &[At<T>], items: &mut Vec<(&'static str, usize, Place)>) {
            items.extend(list.iter().enumerate().map(|(index, item)| (key, index, item.place)));
        }
        places("networks", &file.networks, &mut items);
        places("subnetworks", &file.subnetworks, &mut items);
        places("routes", &file.routes, &mut items);
        places("firewalls", &file.firewalls, &mut items);
        places("firewallPolicies", &file.firewall_policies, &mut items);
        places("addresses", &file.addresses, &mut items);
        places("routers", &file.routers, &mut items);
        places("policyBasedRoutes", &file.policy_based_routes, &mut items);
        places("instances", &file.instances, &mut items);
        places("forwardingRules", &file.forwarding_rules, &mut items);
        places("vpnTunnels", &file.vpn_tunnels, &mut items);
        places("interconnectAttachments", &file.interconnect_attachments, &mut items);
        places("connectors", &file.connectors, &mut items);
        places("services", &file.services, &mut items);
        places("jobs", &file.jobs, &mut items);
        places("workerPools", &file.worker_pools, &mut items);
        places("functions", &file.functions, &mut items);
        let mut by_item: BTreeMap<(&'static str, usize), Vec<String>> = BTreeMap::new();
        let told = imported.findings.iter().filter(|finding| finding.severity >= Severity::Warning);
        for finding in told {
            let Some(place) = finding.place else { continue };
            // What was made up stands where it is named, with others perhaps; else the smallest item around the place.
            let made = match finding.code {
                "assumed-network" => "networks",
                "assumed-subnet" => "subnetworks",
                "assumed-connector" => "connectors",
                "assumed-address" => "addresses",
                _ => "",
            };
            let exact = items.iter().find(|item| item.2 == place && item.0 == made);
            let around = || {
                let around = items.iter().filter(|item| item.2.contains(place));
                around.min_by_key(|item| item.2.end - item.2.start)
            };
            if let Some((key, index, _)) = exact.or_else(around) {
                by_item.entry((key, *index)).or_default().push(format!("{}: {}", finding.code, finding.message));
            }
        }
        Comments { by_item }
    }

    fn take(&mut self, key: &str, index: usize) -> Vec<String> {
        let found = self.by_item.keys().find(|(of, at)| *of == key && *at == index).copied();
        found.and_then(|found| self.by_item.remove(&found)).unwrap_or_default()
    }
}
