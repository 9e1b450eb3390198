//! The scenarios of the repository show what they say: each is run, twice, and its expectations are met.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{assert_sums, egressim, repository};
use serde_json::Value;

/// The files of a folder and of folders in it.
fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn scenarios(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files_below(&repository(folder), &mut found);
    found.sort();
    assert!(!found.is_empty());
    found
}

#[test]
fn every_scenario_runs_meets_its_expectations_and_says_the_same_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for path in scenarios("scenarios") {
        let name = path.display();
        let run = || {
            let run = egressim(folder.path()).args(["run", "--format", "json", "-q"]).arg(&path).assert();
            let output = run.get_output().clone();
            let told = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{name}: {told}\n{}", String::from_utf8_lossy(&output.stdout));
            output.stdout
        };
        let first = run();
        assert!(first == run(), "{name} comes out differently the second time");
        let summary: Value = serde_json::from_slice(&first).expect("one JSON document");
        assert_sums(&summary);
        let expectations = summary["expectations"].as_array().expect("a list");
        let unmet: Vec<_> = expectations.iter().filter(|expectation| expectation["met"] != true).collect();
        assert!(unmet.is_empty(), "{name}: {unmet:#?}");
    }
}

#[test]
fn every_situation_of_cloud_nat_has_expectations_and_a_warning_before_it_happens() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let expected = [
        ("drained-ip", "drain-outlasts"),
        ("endpoint-independent-conflict", "eim-conflict"),
        ("growth-too-slow", "growth-too-slow"),
        ("half-the-ports", "too-few-nat-ips"),
        ("rule-runs-dry", "too-few-nat-ips"),
    ];
    let found = scenarios("scenarios/nat");
    let names: Vec<_> = found.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
    assert_eq!(names, expected.map(|(name, _)| name), "each has its warning");
    for (path, (name, code)) in found.iter().zip(expected) {
        let check = egressim(folder.path()).args(["check", "--format", "json"]).arg(path).assert().success();
        let document: Value = serde_json::from_slice(&check.get_output().stdout).expect("one JSON document");
        assert_eq!(document["name"], name, "it is called as its file");
        assert!(document["expect"].as_array().is_some_and(|list| list.len() > 5), "{name} proves its point");
        let findings = document["findings"].as_array().expect("a list");
        let codes: Vec<_> = findings.iter().filter_map(|finding| finding["code"].as_str()).collect();
        assert!(codes.contains(&code), "{name}: {codes:?}");
        assert!(findings.iter().all(|finding| finding["help"].is_string()), "{name}: {findings:#?}");
    }
}
