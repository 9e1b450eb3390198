//! Causes are the right ones, and what is said to end them ends them.

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use common::{egressim, repository};
use egressim::diagnose::document::{document, patched};
use egressim::diagnose::{Case, Input, diagnose};
use egressim::report::diagnose::{Diagnosis, Remedy};
use egressim::scenario::load::{Loaded, Source, load};
use egressim::simulation;
use proptest::prelude::*;
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
fn four_hundred_captured_connections_at_once_want_512_static_ports() {
    let folder = tempfile::tempdir().unwrap();
    let (scenario, capture) = (repository("pcaps/burst/scenario.yaml"), repository("pcaps/burst/input.pcap"));
    let (scenario, capture) = (scenario.to_str().unwrap(), capture.to_str().unwrap());
    let (diagnosis, status) = printed(folder.path(), &[scenario, "--capture", capture]);
    assert_eq!((status, diagnosis["attempted"].as_u64()), (1, Some(400)));
    let cause = &diagnosis["causes"][0];
    assert_eq!((&cause["kind"], &cause["failures"]), (&json!("vm-ports"), &json!(400 - 64)));
    assert_eq!(cause["evidence"]["ports"], json!({"allocatedPorts": 64, "open": 64, "timeWait": 0}));
    // The next power of two of 400; before it 400 - 128 and 400 - 256 are refused.
    let first = &cause["remedies"][0];
    assert_eq!((&first["change"], &first["sufficient"]), (&json!("minPortsPerVm: 64 -> 512"), &json!(true)));
    let left: Vec<_> = first["tried"].as_array().unwrap().iter().map(|tried| tried["failuresAfter"].clone()).collect();
    assert_eq!(left, [272, 144, 0]);
    assert_eq!(remedy(cause, "natIps: 1 -> 2")["failuresAfter"], 400 - 64);
    // A capture is what it is: nothing of its clients can be changed.
    let patches = cause["remedies"].as_array().unwrap().iter().map(|remedy| remedy["patch"].to_string());
    assert!(patches.into_iter().all(|patch| !patch.contains("/traffic/")));
}

#[test]
fn the_scenarios_of_cloud_nat_have_the_causes_and_remedies_that_they_describe() {
    // File, kind, where, rule, and what the file's own header says helps.
    let documented = [
        ("drained-ip", "mapping-lost", "cloudrun-nat-gateway", None, "drainNatIps"),
        (
            "endpoint-independent-conflict",
            "endpoint-independence-conflict",
            "cloudrun-nat-gateway",
            None,
            "minPortsPerVm: 64 -> 128",
        ),
        ("growth-too-slow", "growth-pending", "cloudrun-nat-gateway", None, "minPortsPerVm: 64 -> 256"),
        ("half-the-ports", "gateway-ips", "cloudrun-nat-gateway", None, "natIps: 1 -> 3"),
        ("rule-runs-dry", "gateway-ips", "cloudrun-nat-gateway", Some(100), "sourceNatActiveIps of rule 100: 1 -> 2"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, kind, place, rule, helps) in documented {
        let path = repository(&format!("scenarios/nat/{name}.yaml"));
        let (diagnosis, status) = printed(folder.path(), &[path.to_str().unwrap()]);
        assert_eq!(status, 1, "{name}");
        let causes = diagnosis["causes"].as_array().unwrap();
        assert_eq!(causes.len(), 1, "{name}");
        assert_eq!((&causes[0]["kind"], &causes[0]["where"]), (&json!(kind), &json!(place)), "{name}");
        assert_eq!(causes[0].get("ruleNumber"), rule.map(|rule| json!(rule)).as_ref(), "{name}");
        let remedy = remedy(&causes[0], helps);
        assert_eq!((&remedy["sufficient"], &remedy["failuresAfter"]), (&json!(true), &json!(0)), "{name}");
    }
    // Of half of the ports: fewer for each VM are the other way out, 8,192 as the header says.
    let path = repository("scenarios/nat/half-the-ports.yaml");
    let (diagnosis, _) = printed(folder.path(), &[path.to_str().unwrap()]);
    assert_eq!(remedy(&diagnosis["causes"][0], "minPortsPerVm: 32000 -> 8192")["sufficient"], true);
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

/// The lines of a text file.
fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_log_lines_that_show_a_cause_are_those_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (diagnosis, _) = printed(folder.path(), &["--out", "out"]);
    let kept: Value = serde_json::from_slice(&fs::read(folder.path().join("out/diagnosis.json")).unwrap()).unwrap();
    assert_eq!(kept, diagnosis);
    let summary: Value = serde_json::from_slice(&fs::read(folder.path().join("out/summary.json")).unwrap()).unwrap();
    assert_eq!(diagnosis["summary"], summary);

    let lines = lines(&folder.path().join("out/nat_flows.jsonl"));
    let dropped: Vec<usize> = (0..lines.len()).filter(|&at| lines[at].contains("\"DROPPED\"")).collect();
    let log = &diagnosis["causes"][0]["evidence"]["log"];
    assert_eq!(log["count"], dropped.len());
    assert_eq!(log["firstLine"], dropped[0] + 1);
    assert_eq!(log["lastLine"], dropped[dropped.len() - 1] + 1);
    let entries = log["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 3);
    for entry in entries {
        assert!(lines.contains(&entry.to_string()), "{entry}");
        assert_eq!(entry["jsonPayload"]["connection"]["dest_ip"], "198.51.100.7");
    }
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

#[test]
fn churn_is_told_from_open_connections_by_what_holds_the_ports() {
    // 5/s x (0.2 + 30) s = 151 ports wanted, of which 150 in TIME_WAIT; 64 are there. With 15 s it is 76, with 128 ports none.
    let churn = diagnosed(&shop("minPortsPerVm: 64", "rate: 5/s, lifetime: 200ms, connectTimeout: 3s", ""));
    assert_eq!(churn.causes[0].kind, "time-wait");
    // 150 that stay open.
    let open = diagnosed(&shop("minPortsPerVm: 64", "count: 150, lifetime: 80s, connectTimeout: 3s", ""));
    assert_eq!((open.causes[0].kind, open.causes[0].failures), ("vm-ports", 150 - 64));
    let first = &open.causes[0].remedies[0];
    assert_eq!((first.change.as_str(), first.sufficient), ("minPortsPerVm: 64 -> 256", true));
    // A shorter TIME_WAIT is no help to them.
    let shorter = |remedy: &&Remedy| remedy.change.starts_with("tcpTimeWaitTimeoutSec");
    assert_eq!(open.causes[0].remedies.iter().find(shorter).map(|remedy| remedy.failures_after), Some(150 - 64));
}

#[test]
fn more_ports_that_leave_none_for_others_come_with_the_nat_ips_that_they_take() {
    // 40 addresses (20 instances): 64,512 ports are 40 x 1,024 and not 40 x 2,048. 20 x 1,500 connections want 2,048 each.
    let text = shop("minPortsPerVm: 1024", "count: 30000, lifetime: 60s, connectTimeout: 2s", "")
        .replace("- name: api\n  region: r1", "- name: api\n  region: r1\n  instances: 20");
    let diagnosis = diagnosed(&text);
    let cause = &diagnosis.causes[0];
    assert_eq!(cause.kind, "vm-ports");
    let ports = cause.remedies.iter().find(|remedy| remedy.change.starts_with("minPortsPerVm")).unwrap();
    // 31 blocks of 2,048 on an IP: 40 want two.
    assert_eq!(ports.change, "minPortsPerVm: 1024 -> 2048 and 1 more natIps");
    assert!(ports.sufficient, "{ports:#?}");
}

/// A cause of each kind that small scenarios can show: the text, the kind, where, and the first remedy, if there is one.
#[test]
fn each_cause_is_named_and_has_its_remedy() {
    let connector = "connectors: [{name: conn, region: r1, network: vpc, ipCidrRange: 10.8.0.0/28}]\n";
    let behind = |text: String| {
        let direct = "networkInterfaces: [{network: vpc, subnetwork: apps}], egress";
        text.replace(direct, "connector: conn, egress") + connector
    };
    let plain = |load: &str, more: &str| shop("minPortsPerVm: 1024", load, more);
    let to = |text: String, host: &str| text.replace("partner:443", host);
    let cases: Vec<(&str, String, &str, &str, Option<&str>)> = vec![
        (
            "a deny rule",
            plain(
                "count: 5, connectTimeout: 3s",
                "firewalls: [{name: no, network: vpc, direction: EGRESS, priority: 500, \
                 destinationRanges: [198.51.100.0/24], denied: [{IPProtocol: all}]}]",
            ),
            "firewall",
            "vpc firewall",
            Some("a firewall rule of priority 499 that allows egress tcp:443 to 198.51.100.7/32"),
        ),
        (
            "ingress without a rule",
            to(
                plain(
                    "count: 5, connectTimeout: 3s",
                    "",
                )
                .replace(
                    "hosts: [",
                    "hosts: [{name: db, address: 10.9.0.60, location: vpc, network: vpc, ports: [5432]}, ",
                ),
                "db:5432",
            ),
            "firewall",
            "vpc firewall",
            Some("a firewall rule of priority 1000 that allows ingress tcp:5432 from 10.9.0.0/26"),
        ),
        (
            "no default route",
            plain("count: 5, connectTimeout: 3s", "")
                .replace("networks: [{name: vpc}]", "networks: [{name: vpc, deleteDefaultRoutesOnCreate: true}]"),
            "route",
            "vpc routes",
            Some("a route 0.0.0.0/0 of vpc to default-internet-gateway"),
        ),
        (
            "no gateway for the subnet",
            plain("count: 5, connectTimeout: 3s", "").replace(
                "sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES",
                "sourceSubnetworkIpRangesToNat: LIST_OF_SUBNETWORKS, subnetworks: [{name: other}]",
            )
            .replace("subnetworks: [{name: apps", "subnetworks: [{name: other, network: vpc, region: r1, ipCidrRange: 10.7.0.0/26}, {name: apps"),
            "no-nat",
            "vpc routes",
            Some("sourceSubnetworkIpRangesToNat of gw: ALL_SUBNETWORKS_ALL_IP_RANGES"),
        ),
        (
            "a Google API without Private Google Access",
            to(plain("count: 5, connectTimeout: 3s", ""), "199.36.153.8:443").replace(
                "sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES",
                "sourceSubnetworkIpRangesToNat: LIST_OF_SUBNETWORKS, subnetworks: [{name: other}]",
            )
            .replace("subnetworks: [{name: apps", "subnetworks: [{name: other, network: vpc, region: r1, ipCidrRange: 10.7.0.0/26}, {name: apps")
            .replace("hosts: [", "hosts: [{name: google, address: 199.36.153.8, location: google-api}, "),
            "google-access",
            "vpc routes",
            Some("privateIpGoogleAccess of apps: true"),
        ),
        (
            "a connector that is not ready",
            behind(plain("count: 5, connectTimeout: 3s", "")).replace("10.8.0.0/28", "10.8.0.0/28, state: ERROR"),
            "no-vpc-access",
            "conn",
            Some("state of conn: READY"),
        ),
        (
            "a closed port",
            to(plain("count: 5", ""), "partner:80"),
            "far-side-refused",
            "partner",
            None,
        ),
        (
            "a host that never answers",
            plain("count: 5, connectTimeout: 3s", "").replace("rtt: 40ms", "unreachable: true"),
            "far-side-silent",
            "partner",
            None,
        ),
        (
            "an instance that has just started",
            plain("count: 40, start: 11s, connectTimeout: 5s", "events: [{at: 10s, scale: {workload: api, instances: 4}}]"),
            "closed-window",
            "api",
            Some("minInstanceCount of api: 1 -> 4"),
        ),
        (
            "a subnet without addresses",
            // A /28 has twelve usable addresses: six instances of another service hold them.
            plain("count: 5", "")
                .replace("10.9.0.0/26", "10.9.0.0/28")
                .replace("services:\n", "services:\n- {name: first, region: r1, instances: 6, template: {vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: apps}], egress: ALL_TRAFFIC}}}\n"),
            "address-exhaustion",
            "api",
            Some("ipCidrRange of apps: 10.9.0.0/28 -> 10.9.0.0/26"),
        ),
        (
            // Cloud Run's 10 minutes into the VPC come before Cloud NAT's 20.
            "a pool that is idle for longer than Cloud Run remembers",
            plain("count: 5, lifetime: 25m", "").replace("duration: 90s", "duration: 45m"),
            "idle-expiry",
            "vpc firewall",
            Some("the client closes idle connections after 9m50s"),
        ),
        (
            "a pool that is idle for longer than Cloud NAT remembers",
            // The first packet afterwards gets another port, and the far side resets what it does not know.
            shop(
                "minPortsPerVm: 64, tcpEstablishedIdleTimeoutSec: 100",
                "count: 5, lifetime: 5m",
                "model: {nat: {portSelection: random}}",
            )
                .replace("duration: 90s", "duration: 8m"),
            "idle-expiry",
            "gw",
            Some("the client closes idle connections after 1m"),
        ),
        (
            "infrastructure that is restarted",
            plain("count: 5, lifetime: 60s", "events: [{at: 20s, resetConnections: {workload: api}}]"),
            "infrastructure",
            "api",
            None,
        ),
        (
            "more than the connector carries",
            // 10/s x 2 MB are 160 Mbps through two VMs of 50 Mbps.
            behind(plain("rate: 10/s, stop: 15s, responseBytes: 2MB, lifetime: 1s, connectTimeout: 3s", ""))
                .replace("10.8.0.0/28", "10.8.0.0/28, machineType: f1-micro")
                .replace("duration: 90s", "duration: 20s")
                + "model: {connector: {burst: 1}}\n",
            "connector-throughput",
            "conn",
            Some("Direct VPC egress"),
        ),
        (
            "more connections than a connector VM has ports",
            behind(shop("minPortsPerVm: 32768", "count: 600, lifetime: 60s", "")) + "model: {connector: {snatPorts: 100}}\n",
            "connector-ports",
            "conn",
            Some("Direct VPC egress"),
        ),
        (
            "a private destination and no way there",
            to(plain("count: 5, connectTimeout: 3s", ""), "db:5432")
                .replace("  template: {vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: apps}], egress: ALL_TRAFFIC}}\n", "")
                .replace("hosts: [", "hosts: [{name: db, address: 10.9.0.60, location: vpc, network: vpc, ports: [5432]}, ")
                + "firewalls: [{name: in, network: vpc, direction: INGRESS, sourceRanges: [10.0.0.0/8], allowed: [{IPProtocol: tcp}]}]\n",
            "no-vpc-access",
            "api-1",
            Some("Direct VPC egress (subnet apps) to network vpc"),
        ),
        (
            "a lossy way",
            plain("count: 200, connectTimeout: 2s", "").replace("rtt: 40ms", "rtt: 40ms, loss: 0.3"),
            "loss",
            "partner",
            None,
        ),
    ];
    for (name, text, kind, place, helps) in cases {
        let diagnosis = diagnosed(&text);
        let causes: BTreeMap<_, _> = diagnosis.causes.iter().map(|cause| (cause.kind, cause.failures)).collect();
        let cause = diagnosis.causes.first().unwrap_or_else(|| panic!("{name}: nothing failed"));
        assert_eq!(cause.kind, kind, "{name}: {causes:?}");
        assert_adds_up(&diagnosis);
        if kind != "loss" {
            assert_eq!(cause.r#where, place, "{name}");
        }
        let first = cause.remedies.first();
        match helps {
            Some(helps) => {
                let first = first.unwrap_or_else(|| panic!("{name}: no remedy"));
                assert!(first.change.starts_with(helps) && first.sufficient, "{name}: {:#?}", cause.remedies);
            }
            None if kind.starts_with("far-side") || kind == "infrastructure" => {
                assert!(cause.remedies.is_empty() && cause.advice.is_some(), "{name}: {:?}", cause.advice);
            }
            None => assert!(!cause.remedies.is_empty(), "{name}"),
        }
    }
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

/// A random small scenario: a connector and Direct VPC egress, one gateway, and loads that may or may not fit.
#[derive(Debug, Clone)]
struct Random {
    seed: u64,
    dynamic: bool,
    endpoint_independent: bool,
    ports: u32,
    instances: u32,
    scale_to: u32,
    deny: bool,
    loss: bool,
    loads: Vec<(bool, bool, u32, u32, u32)>,
}

fn random() -> impl Strategy<Value = Random> {
    let load = (any::<bool>(), any::<bool>(), 1..12u32, 100..4000u32, 1..12u32);
    (
        any::<u64>(),
        any::<bool>(),
        prop::bool::weighted(0.2),
        5..8u32,
        (1..3u32, 1..6u32),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.3),
        prop::collection::vec(load, 1..3),
    )
        .prop_map(|(seed, dynamic, independent, power, (instances, scale_to), deny, loss, loads)| Random {
            seed: seed >> 12,
            dynamic,
            endpoint_independent: independent && !dynamic,
            ports: 1 << power,
            instances,
            scale_to,
            deny,
            loss,
            loads,
        })
}

impl Random {
    fn text(&self) -> String {
        let nat = match (self.dynamic, self.endpoint_independent) {
            (true, _) => format!(
                "enableDynamicPortAllocation: true, minPortsPerVm: {}, maxPortsPerVm: {}",
                self.ports,
                self.ports * 4
            ),
            (false, true) => format!("enableEndpointIndependentMapping: true, minPortsPerVm: {}", self.ports),
            (false, false) => format!("minPortsPerVm: {}", self.ports),
        };
        let mut text = shop(&nat, "count: 1", "");
        text = text.replace("duration: 90s", &format!("duration: 40s\nseed: {}", self.seed));
        text = text.replace(
            "- name: api\n  region: r1",
            &format!("- name: api\n  region: r1\n  instances: {}", self.instances),
        );
        text = text.replace(
            "services:\n",
            "services:\n- {name: conn-api, region: r1, template: {vpcAccess: {connector: conn, egress: ALL_TRAFFIC}}}\n",
        );
        if self.loss {
            text = text.replace("rtt: 40ms", "rtt: 40ms, loss: 0.1");
        }
        text.truncate(text.find("traffic:").expect("it has loads"));
        text += "traffic:\n";
        for (number, (direct, burst, pace, lifetime, timeout)) in self.loads.iter().enumerate() {
            let from = if *direct { "api" } else { "conn-api" };
            let pace = if *burst { format!("count: {}", pace * 20) } else { format!("rate: {pace}/s") };
            let _ = writeln!(
                text,
                "- {{name: load-{number}, from: {from}, to: \"partner:443\", {pace}, start: {number}s, lifetime: {lifetime}ms, connectTimeout: {timeout}s}}"
            );
        }
        text += "connectors: [{name: conn, region: r1, network: vpc, ipCidrRange: 10.8.0.0/28}]\n";
        let _ = writeln!(text, "events: [{{at: 5s, scale: {{workload: api, instances: {}}}}}]", self.scale_to);
        if self.deny {
            text += "firewalls: [{name: no, network: vpc, direction: EGRESS, priority: 10, denied: [{IPProtocol: tcp, ports: [\"443\"]}], targetTags: [nobody]}]\n";
        }
        text
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn causes_add_up_and_a_remedy_that_suffices_suffices_when_it_is_run_alone(random in random()) {
        let loaded = read(&random.text());
        let diagnosis = diagnosed_by(&loaded, 2);
        assert_adds_up(&diagnosis);
        let merged = document(&loaded.file);
        let before = diagnosis.failed + diagnosis.broken;
        for cause in &diagnosis.causes {
            for remedy in &cause.remedies {
                prop_assert_eq!(remedy.failures_before, before);
                if remedy.refused.is_some() {
                    continue;
                }
                let steps = remedy.patch.as_array().expect("a patch is a list");
                let changed = patched(&merged, steps).expect("it was run");
                let summary = simulation::run(&changed, None, &mut |_| ControlFlow::Continue(())).unwrap();
                let after = summary.connections.failed + summary.connections.broken;
                prop_assert_eq!(after, remedy.failures_after, "{}", remedy.change);
                if remedy.sufficient {
                    // What is left is of other causes, and less than there was.
                    prop_assert_eq!(remedy.of_this_cause_after, 0);
                    prop_assert!(after < before || cause.failures == 0, "{}: {after} of {before}", remedy.change);
                }
            }
        }
    }
}

#[test]
fn what_a_run_logs_is_read_back_as_its_traffic() {
    let folder = tempfile::tempdir().unwrap();
    let nat = "minPortsPerVm: 64, logConfig: {enable: true}";
    fs::write(folder.path().join("shop.yaml"), shop(nat, "rate: 5/s, lifetime: 200ms, connectTimeout: 3s", ""))
        .unwrap();
    egressim(folder.path()).args(["run", "shop.yaml", "-q", "--out", "out"]).assert().code(0);
    let log = folder.path().join("out/nat_flows.jsonl");
    let lines = lines(&log);
    let (diagnosis, status) = printed(folder.path(), &["shop.yaml", "--nat-logs", "out/nat_flows.jsonl"]);
    assert_eq!(status, 1);
    let logs = &diagnosis["logs"];
    let dropped = lines.iter().filter(|line| line.contains("\"DROPPED\"")).count();
    assert_eq!((&logs["ok"], &logs["dropped"]), (&json!(lines.len() - dropped), &json!(dropped)));
    assert_eq!((&logs["endpoints"], &logs["bad"]), (&json!(1), &json!(0)));
    // 0.2 s open and 30 s in TIME_WAIT, and then the next one takes the port as soon as it comes.
    let reused: f64 = logs["reusedAfter"].as_str().unwrap().trim_end_matches('s').parse().unwrap();
    assert!((30.2..33.0).contains(&reused), "{reused}");
    assert_eq!(diagnosis["causes"][0]["kind"], "time-wait");
    // Each connection is there: a client that tried again is one, whatever number of lines it has.
    let connections = fs::read_to_string(folder.path().join("out/connections.jsonl")).unwrap().lines().count();
    assert_eq!(logs["connections"], connections);
    // An array in the other order, as `gcloud logging read --format=json` prints it, is the same.
    let newest_first: Vec<Value> = lines.iter().rev().map(|line| serde_json::from_str(line).unwrap()).collect();
    fs::write(folder.path().join("array.json"), serde_json::to_string_pretty(&newest_first).unwrap()).unwrap();
    let (again, _) = printed(folder.path(), &["shop.yaml", "--nat-logs", "array.json"]);
    assert_eq!(again["causes"], diagnosis["causes"]);
}
