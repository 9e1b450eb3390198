//! What changes while a network runs, seen from the connections.

mod common;

use std::ops::ControlFlow;

use common::{json_lines, scenario};
use egressim::report::summary::Summary;
use egressim::simulation;
use serde_json::Value;

fn run(yaml: &str) -> Summary {
    simulation::run(&scenario(yaml), None, &mut |_| ControlFlow::Continue(())).expect("nothing is written")
}

/// Runs with files, and gives Cloud Run's log.
fn log(yaml: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out");
    simulation::run(&scenario(yaml), Some(&out), &mut |_| ControlFlow::Continue(())).expect("it is writable");
    json_lines(&out.join("cloud_run.jsonl"))
}

const HOUSE: &str = "\
networks: [{name: vpc}]
subnetworks: [{name: apps, network: vpc, region: us-central1, ipCidrRange: 10.9.0.0/24}]
connectors: [{name: conn, region: us-central1, network: vpc, ipCidrRange: 10.8.0.0/28}]
firewalls: [{name: in, network: vpc, sourceRanges: [10.0.0.0/8], allowed: [{IPProtocol: all}]}]
hosts:
- {name: partner, address: 198.51.100.7, ports: [443], rtt: 20ms}
- {name: db, address: 10.9.0.200, location: vpc, network: vpc, rtt: 1ms}
services:
- name: direct
  region: us-central1
  template: {vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: apps}], egress: ALL_TRAFFIC}}
- {name: behind, region: us-central1, template: {vpcAccess: {connector: conn}}}
";

#[test]
fn a_revision_that_leaves_the_network_reaches_the_internet_without_cloud_nat() {
    let summary = run(&format!(
        "{HOUSE}
duration: 40s
traffic:
- {{name: before, from: direct, to: \"partner:443\", rate: 2/s, arrivals: constant, stop: 10s, connectTimeout: 5s}}
- {{name: after, from: direct, to: \"partner:443\", rate: 2/s, arrivals: constant, start: 20s, stop: 30s}}
events: [{{at: 16s, deploy: {{workload: direct, clearVpcAccess: true}}}}]
"
    ));
    let [before, after] = &summary.traffic[..] else { panic!("two loads") };
    assert_eq!((before.established, before.failed), (0, before.attempted));
    assert_eq!(before.failed_by["NO_EXTERNAL_ADDRESS"], before.failed);
    assert_eq!((after.established, after.failed), (after.attempted, 0));
    assert_eq!((before.attempted, after.attempted), (20, 20));
}

#[test]
fn a_restart_of_infrastructure_ends_all_open_connections_and_no_others() {
    let summary = run(&format!(
        "{HOUSE}
duration: 2m
traffic:
- {{name: hit, from: direct, to: \"db:5432\", count: 5, lifetime: 1m}}
- {{name: other, from: behind, to: \"db:5432\", count: 7, lifetime: 1m}}
- {{name: later, from: direct, to: \"db:5432\", count: 3, start: 40s, lifetime: 1m}}
events: [{{at: 30s, resetConnections: {{workload: direct}}}}]
"
    ));
    let broken: Vec<_> = summary.traffic.iter().map(|load| (load.established, load.broken)).collect();
    assert_eq!(broken, [(5, 5), (7, 0), (3, 0)]);
    assert_eq!(summary.traffic[0].failed_by["SIM_INFRASTRUCTURE_RESET"], 5);
}

#[test]
fn a_machine_is_maintained_with_notice_and_the_instance_goes_on() {
    let yaml = format!(
        "{HOUSE}
duration: 2m
traffic:
- {{name: long, from: direct, to: \"db:5432\", count: 1, lifetime: 100s}}
- {{name: meanwhile, from: direct, to: \"db:5432\", count: 1, start: 42s, connectTimeout: 5s}}
- {{name: patient, from: direct, to: \"db:5432\", count: 1, start: 45s}}
events: [{{at: 30s, maintain: {{workload: direct}}}}]
"
    );
    let summary = run(&yaml);
    // Stopped from 40 s, ten seconds after the notice, to 50 s.
    let fates: Vec<_> = summary.traffic.iter().map(|load| (load.established, load.broken, load.failed)).collect();
    assert_eq!(fates, [(1, 1, 0), (0, 0, 1), (1, 0, 0)]);
    assert_eq!(summary.traffic[1].failed_by["SIM_INSTANCE_STOPPED"], 1);
    let lines = log(&yaml);
    let said: Vec<_> =
        lines.iter().map(|line| (line["timestamp"].as_str().unwrap(), line["textPayload"].as_str().unwrap())).collect();
    assert_eq!(
        said,
        [
            ("2026-10-01T00:00:30.000000000Z", "direct-1 gets SIGTSTP: its machine is about to be maintained"),
            ("2026-10-01T00:00:50.000000000Z", "direct-1 gets SIGCONT: maintenance is over"),
        ]
    );
}

#[test]
fn a_connector_that_is_maintained_loses_the_flows_of_its_old_vms() {
    let summary = run(&format!(
        "{HOUSE}
duration: 5m
traffic:
- {{name: long, from: behind, to: \"db:5432\", count: 20, lifetime: 3m}}
- {{name: later, from: behind, to: \"db:5432\", count: 20, start: 4m}}
events: [{{at: 30s, maintain: {{connector: conn}}}}]
"
    ));
    let fates: Vec<_> = summary.traffic.iter().map(|load| (load.established, load.broken)).collect();
    // Both VMs are others after a minute and a half; nobody knows the connections when they are closed.
    assert_eq!(fates, [(20, 20), (20, 0)]);
    assert_eq!(summary.connectors[0].instances, 2);
}

#[test]
fn a_connector_in_error_carries_nothing_until_it_is_ready_again() {
    let summary = run(&format!(
        "{HOUSE}
duration: 60s
traffic: [{{from: behind, to: \"db:5432\", rate: 10/s, arrivals: constant, start: 50ms, connectTimeout: 1s, stop: 55s}}]
events:
- {{at: 20s, patchConnector: {{connector: conn, set: {{state: ERROR}}}}}}
- {{at: 40s, patchConnector: {{connector: conn, set: {{state: READY}}}}}}
"
    ));
    let failed = summary.connections.failed_by["VPC_CONNECTOR_NOT_RUNNING"];
    // 200 begin in those 20 seconds, and give up before they try again.
    assert_eq!(failed, 200);
    assert_eq!(summary.connections.failed, failed);
}
