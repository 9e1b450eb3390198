//! Lines of Cloud NAT's log: those that a run writes, and those that it reads.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::common::egressim;
use crate::{printed, shop};

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

/// What is said of these logs, and the result if there is one.
fn told(folder: &Path, logs: &[u8]) -> (String, Option<Value>) {
    fs::write(folder.join("logs"), logs).unwrap();
    let nothing = "networks: [{name: vpc}]\nsubnetworks: [{name: apps, network: vpc, region: r1, ipCidrRange: 10.9.0.0/26}]
services: [{name: api, region: r1, template: {vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: apps}], egress: ALL_TRAFFIC}}}]
hosts: [{name: partner, address: 198.51.100.7}]
routers: [{name: r, network: vpc, region: r1, nats: [{name: gw, natIpAllocateOption: AUTO_ONLY, sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES}]}]\n";
    fs::write(folder.join("api.yaml"), nothing).unwrap();
    let run = egressim(folder).args(["diagnose", "api.yaml", "--nat-logs", "logs", "--format", "json"]).assert();
    let output = run.get_output();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let status = output.status.code().expect("it exits");
    assert_eq!(status == 2, output.stdout.is_empty(), "{told}");
    assert!(!told.contains("panicked"), "{told}");
    (told, serde_json::from_slice(&output.stdout).ok())
}

/// An entry of a connection that begins in this second.
fn entry(second: u32) -> Value {
    json!({
        "insertId": format!("id-{second}"),
        "jsonPayload": {
            "allocation_status": "OK",
            "connection": {
                "dest_ip": "198.51.100.7", "dest_port": 443, "nat_ip": "203.0.113.10", "nat_port": 1024 + second, "protocol": 6,
                "src_ip": "10.9.0.16", "src_port": 40000 + second
            },
            "endpoint": {"project_id": "p", "region": "r1", "vm_name": "api-1", "zone": "r1-a"}
        },
        "logName": "projects/p/logs/compute.googleapis.com%2Fnat_flows",
        "timestamp": format!("2026-10-01T00:00:{second:02}.5Z")
    })
}

#[test]
fn what_cannot_be_read_of_a_log_is_told_with_its_place_and_the_rest_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let entries: Vec<Value> = (0..10).map(entry).collect();
    let pretty = serde_json::to_string_pretty(&entries).unwrap();
    let line_of = |text: &str, part: &str| text[..text.find(part).unwrap()].lines().count();
    let read = |logs: &str| {
        let (told, diagnosis) = told(folder.path(), logs.as_bytes());
        let logs = diagnosis.unwrap_or_else(|| panic!("{told}"))["logs"].clone();
        (told, logs["ok"].as_u64().unwrap(), logs["bad"].as_u64().unwrap())
    };
    // Whole, it has nothing to say.
    assert_eq!(read(&pretty), (String::new(), 10, 0));

    // Cut off within the last entry: that one is lost.
    let cut = &pretty[..pretty.find("id-9").unwrap()];
    let (told_of, ok, bad) = read(cut);
    assert_eq!((ok, bad), (9, 1), "{told_of}");
    assert!(told_of.contains(&format!("logs:{}:3", line_of(&pretty, "\"insertId\": \"id-9\"") - 1)), "{told_of}");
    assert!(told_of.contains("EOF"), "{told_of}");

    // Damaged within one: those after it are read.
    let damaged = pretty.replace("\"insertId\": \"id-3\",", "\"insertId\": \"id-3\"");
    let (told_of, ok, bad) = read(&damaged);
    assert_eq!((ok, bad), (9, 1), "{told_of}");

    // Wrong types, one entry a line.
    let mut wrong = entries;
    wrong[2]["jsonPayload"]["connection"]["src_port"] = json!("70000");
    wrong[4]["timestamp"] = json!("yesterday");
    wrong[5]["jsonPayload"] = json!([1, 2]);
    wrong[7] = json!(42);
    wrong[8]["jsonPayload"]["connection"]["dest_ip"] = json!("198.51.100");
    let lines: Vec<String> = wrong.iter().map(Value::to_string).collect();
    let (told_of, ok, bad) = read(&lines.join("\n"));
    assert_eq!((ok, bad), (5, 5), "{told_of}");
    for part in ["logs:3:1", "70000", "logs:5:1", "yesterday", "logs:6:1", "logs:8:1", "logs:9:1", "IP"] {
        assert!(told_of.contains(part), "{part}: {told_of}");
    }
}

#[test]
fn what_is_no_log_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let wrapped = json!({"entries": [entry(1)]}).to_string();
    let other =
        "{\"logName\": \"projects/p/logs/run.googleapis.com%2Frequests\", \"timestamp\": \"2026-10-01T00:00:00Z\"}";
    let hostile: [&[u8]; 8] = [
        b"",
        b"[]",
        b"\xff\xfe\x00\x01",
        "[".repeat(100_000).leak().as_bytes(),
        "{\"a\":".repeat(100_000).leak().as_bytes(),
        wrapped.as_bytes(),
        other.as_bytes(),
        b"name: a scenario\nduration: 1s\n",
    ];
    for logs in hostile {
        let (told, diagnosis) = told(folder.path(), logs);
        assert!(diagnosis.is_none() && told.contains("nat_flows"), "{told}");
    }
    let many = "{\"timestamp\": 1}\n".repeat(100_000);
    let (told, _) = told(folder.path(), many.as_bytes());
    assert!(told.contains("more than 20 entries that cannot be read") && told.lines().count() < 40, "{told}");
}

#[test]
fn a_log_comes_by_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    told(folder.path(), b"[]");
    let log = [entry(1).to_string(), entry(2).to_string()].join("\n");
    let run = egressim(folder.path())
        .args(["diagnose", "api.yaml", "--nat-logs", "-", "--format", "json"])
        .write_stdin(log)
        .assert()
        .code(0);
    let diagnosis: Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    assert_eq!((&diagnosis["attempted"], &diagnosis["logs"]["ok"]), (&json!(2), &json!(2)));
}
