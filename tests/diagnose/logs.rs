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
