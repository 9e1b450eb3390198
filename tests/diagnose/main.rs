//! Causes are the right ones, and what is said to end them ends them.

mod captures;
mod causes;
#[path = "../common/mod.rs"]
mod common;
mod logs;
mod random;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use common::{egressim, repository};
use egressim::diagnose::{Case, Input, diagnose};
use egressim::report::diagnose::Diagnosis;
use egressim::scenario::load::{Loaded, Source, load};
use serde_json::{Value, json};

fn read(text: &str) -> Loaded {
    let loaded = load(Source::Text { name: "test.yaml", text });
    assert!(loaded.scenario.is_some(), "{}", loaded.diagnostics.render(&loaded.sources, false));
    loaded
}

fn diagnosed_by(loaded: &Loaded, threads: usize) -> Diagnosis {
    let scenario = loaded.scenario.as_ref().expect("a scenario");
    let case = Case::new(&loaded.file, scenario, Input::Loads);
    diagnose(&case, None, threads, &mut |_| ControlFlow::Continue(())).expect("it runs")
}

fn diagnosed(text: &str) -> Diagnosis {
    diagnosed_by(&read(text), 2)
}

/// What the program prints as JSON, and its exit status.
fn printed(folder: &Path, arguments: &[&str]) -> (Value, i32) {
    let run = egressim(folder).args(["diagnose", "--format", "json", "-q"]).args(arguments).assert();
    let output = run.get_output();
    let told = String::from_utf8_lossy(&output.stderr);
    let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {told}"));
    (document, output.status.code().expect("it exits"))
}

/// The remedy whose change begins so.
fn remedy<'a>(cause: &'a Value, begins: &str) -> &'a Value {
    let remedies = cause["remedies"].as_array().expect("a list");
    let found =
        remedies.iter().find(|remedy| remedy["change"].as_str().is_some_and(|change| change.starts_with(begins)));
    found.unwrap_or_else(|| panic!("no remedy {begins:?} in {remedies:#?}"))
}

/// Applies a patch by hand, with another implementation of JSON Patch: enough of it for what `diagnose` prints.
fn apply(document: &mut Value, patch: &Value) {
    for step in patch.as_array().expect("a patch is a list") {
        let path = step["path"].as_str().expect("a path");
        let (parent, key) = path.rsplit_once('/').expect("below the top");
        let parent = document.pointer_mut(parent).unwrap_or_else(|| panic!("{path} leads nowhere"));
        match (step["op"].as_str().expect("an operation"), parent) {
            ("add" | "replace", Value::Object(object)) => {
                object.insert(key.to_owned(), step["value"].clone());
            }
            ("add", Value::Array(list)) if key == "-" => list.push(step["value"].clone()),
            ("replace", Value::Array(list)) => list[key.parse::<usize>().expect("a number")] = step["value"].clone(),
            ("remove", Value::Object(object)) => {
                object.remove(key).expect("it was there");
            }
            ("remove", Value::Array(list)) => {
                list.remove(key.parse().expect("a number"));
            }
            (operation, parent) => panic!("{operation} {path} in {parent}"),
        }
    }
}

/// One instance with Direct VPC egress, a gateway with these settings, and a load to a partner.
fn shop(nat: &str, load: &str, more: &str) -> String {
    format!(
        "duration: 90s
networks: [{{name: vpc}}]
subnetworks: [{{name: apps, network: vpc, region: r1, ipCidrRange: 10.9.0.0/26}}]
addresses: [{{name: ip, region: r1}}]
routers:
- name: router
  network: vpc
  region: r1
  nats:
  - {{name: gw, natIpAllocateOption: MANUAL_ONLY, natIps: [ip], sourceSubnetworkIpRangesToNat: \
ALL_SUBNETWORKS_ALL_IP_RANGES, {nat}}}
services:
- name: api
  region: r1
  template: {{vpcAccess: {{networkInterfaces: [{{network: vpc, subnetwork: apps}}], egress: ALL_TRAFFIC}}}}
hosts: [{{name: partner, address: 198.51.100.7, ports: [443], rtt: 40ms}}]
traffic: [{{name: load, from: api, to: \"partner:443\", {load}}}]
{more}"
    )
}

/// Every failed, broken and slow connection has one cause.
#[track_caller]
fn assert_adds_up(diagnosis: &Diagnosis) {
    let sum = |count: fn(&egressim::report::diagnose::Cause) -> u64| diagnosis.causes.iter().map(count).sum::<u64>();
    assert_eq!(sum(|cause| cause.failed), diagnosis.failed);
    assert_eq!(sum(|cause| cause.broken), diagnosis.broken);
    assert_eq!(sum(|cause| cause.slow), diagnosis.slow);
    assert_eq!(sum(|cause| cause.failures), diagnosis.failed + diagnosis.broken);
    assert_eq!(diagnosis.summary.connections.failed, diagnosis.failed);
}

#[test]
fn the_built_in_scenario_needs_more_ports_from_the_start_and_more_nat_ips_are_no_help() {
    let folder = tempfile::tempdir().unwrap();
    let (diagnosis, status) = printed(folder.path(), &[]);
    assert_eq!(status, 1);
    let causes = diagnosis["causes"].as_array().unwrap();
    assert_eq!(causes.len(), 1);
    let cause = &causes[0];
    assert_eq!((&cause["cause"], &cause["kind"]), (&json!("OUT_OF_RESOURCES"), &json!("growth-pending")));
    assert_eq!(cause["where"], "cloudrun-nat-gateway");
    assert_eq!(cause["failures"], diagnosis["failed"].as_u64().unwrap() + diagnosis["broken"].as_u64().unwrap());
    // 60/s x (0.5 + 30) s = 1,830 ports wanted of two VMs: 2 x 512 are not enough, 2 x 1,024 are.
    let ports = remedy(cause, "minPortsPerVm: 512 -> 1024");
    assert_eq!((&ports["sufficient"], &ports["failuresAfter"]), (&json!(true), &json!(0)));
    assert_eq!(cause["remedies"][0], *ports);
    for vain in ["natIps: 1 -> 2", "maxPortsPerVm: 4096 -> "] {
        let vain = remedy(cause, vain);
        assert_eq!((&vain["sufficient"], &vain["failuresAfter"]), (&json!(false), &diagnosis["failed"]));
    }
}

#[test]
fn running_the_scenario_with_a_patch_applied_by_hand_gives_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let (diagnosis, _) = printed(folder.path(), &[]);
    let check = egressim(folder.path()).args(["check", "--format", "json"]).assert();
    let merged: Value = serde_json::from_slice(&check.get_output().stdout).unwrap();
    let remedies = diagnosis["causes"][0]["remedies"].as_array().unwrap();
    assert!(remedies.len() > 5);
    for remedy in remedies {
        let mut changed = merged.clone();
        apply(&mut changed, &remedy["patch"]);
        fs::write(folder.path().join("changed.json"), changed.to_string()).unwrap();
        let run = egressim(folder.path()).args(["run", "changed.json", "--format", "json", "-q"]).assert();
        let summary: Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
        let connections = &summary["connections"];
        let failures = connections["failed"].as_u64().unwrap() + connections["broken"].as_u64().unwrap();
        assert_eq!(remedy["failuresAfter"], failures, "{}", remedy["change"]);
        assert_eq!(remedy["pendingAfter"], connections["pending"], "{}", remedy["change"]);
    }
}

#[test]
fn nothing_that_fails_is_status_0_and_what_cannot_run_is_2() {
    let folder = tempfile::tempdir().unwrap();
    let sound = "services: [{name: api, region: r1}]\nhosts: [{name: far, address: 198.51.100.7}]\n\
                 traffic: [{from: api, to: \"far:443\", count: 3}]\n";
    fs::write(folder.path().join("sound.yaml"), sound).unwrap();
    let (diagnosis, status) = printed(folder.path(), &["sound.yaml"]);
    assert_eq!((status, &diagnosis["failed"], &diagnosis["causes"]), (0, &json!(0), &json!([])));
    assert_eq!(diagnosis["simulations"], 1);
    egressim(folder.path()).args(["diagnose", "no-such.yaml"]).assert().code(2);
    egressim(folder.path()).args(["diagnose", "--nat-logs", "sound.yaml"]).assert().code(2);
    egressim(folder.path()).args(["diagnose", "--capture", "a", "--nat-logs", "b"]).assert().code(2);
}

#[test]
fn the_same_bytes_come_out_however_many_threads_there_are() {
    let loaded = read(&shop("minPortsPerVm: 64", "count: 150, connectTimeout: 5s", ""));
    let one = serde_json::to_string(&diagnosed_by(&loaded, 1)).unwrap();
    assert_eq!(one, serde_json::to_string(&diagnosed_by(&loaded, 7)).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let text = || egressim(folder.path()).args(["diagnose", "-q"]).assert().get_output().stdout.clone();
    assert!(text() == text());
}

#[test]
fn the_answer_is_in_the_first_three_lines() {
    let folder = tempfile::tempdir().unwrap();
    let nat = ["drained-ip", "endpoint-independent-conflict", "growth-too-slow", "half-the-ports", "rule-runs-dry"];
    let mut paths = vec![repository("scenarios/guide.yaml"), repository("scenarios/bad-line.yaml")];
    paths.extend(nat.map(|name| repository(&format!("scenarios/nat/{name}.yaml"))));
    for path in paths {
        let run = egressim(folder.path()).args(["diagnose", "-q"]).arg(&path).assert().code(1);
        let text = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains("connections failed") || lines[0].contains("broke"), "{}", lines[0]);
        assert!(lines[1].starts_with("Why   ") && lines[1].len() > 20, "{}", lines[1]);
        assert!(lines[2].starts_with("Cure  ") && lines[2].len() > 20, "{}", lines[2]);
        assert_eq!(lines[3], "");
        assert!(lines[..3].iter().all(|line| line.chars().count() <= 100), "{text}");
    }
}

#[test]
fn options_of_captures_are_nothing_for_a_scenarios_own_load() {
    let folder = tempfile::tempdir().unwrap();
    for option in [["--from", "my-api-service"], ["--client", "10.0.0.0/8"]] {
        let run = egressim(folder.path()).arg("diagnose").args(option).assert().code(2);
        assert!(String::from_utf8_lossy(&run.get_output().stderr).contains("--nat-logs"));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let program = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_egressim"));
        command.arg("diagnose").arg("-q").current_dir(folder.path());
        command
    };
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let run = program().stdout(full).output().unwrap();
    assert_eq!(run.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&run.stderr).contains("No space left"));
    // Who has read enough is nobody to complain to.
    let mut run = program().args(["--format", "json"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(run.stdout.take());
    assert_ne!(run.wait().unwrap().code(), Some(2));
    let run = program().args(["--out", "/dev/full"]).output().unwrap();
    assert_eq!(run.status.code(), Some(2));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
