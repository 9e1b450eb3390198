//! The test vectors of what is known of Cloud Run's egress: ranges, routes, address arithmetic, limits, timers.
//!
//! Each is one line of a table of inputs and outcomes that Google's pages, or measurements of others, give.

mod common;

use std::ops::ControlFlow;

use common::scenario;
use egressim::report::summary::Summary;
use egressim::scenario::Scenario;
use egressim::simulation;

fn run(scenario: &Scenario) -> Summary {
    simulation::run(scenario, None, &mut |_| ControlFlow::Continue(())).expect("nothing is written")
}

/// A network with one subnet, and what else the test says.
fn network(range: &str, rest: &str) -> Scenario {
    scenario(&format!(
        "\
networks: [{{name: vpc}}]
subnetworks: [{{name: apps, network: vpc, region: us-central1, ipCidrRange: {range}}}]
{rest}"
    ))
}

const DIRECT: &str = "vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: apps}]}";

#[test]
fn t16_a_revision_that_takes_over_a_hundred_instances_needs_400_addresses() {
    let change = |blocks: &str| {
        let rest = format!(
            "\
duration: 35m
model: {{cloudRun: {{addressBlocks: {blocks}}}}}
services: [{{name: api, region: us-central1, instances: 100, template: {{{DIRECT}}}}}]
events: [{{at: 1m, deploy: {{workload: api, set: {{template: {{serviceAccount: other}}}}, over: 10m}}}}]
"
        );
        run(&network("10.9.0.0/22", &rest)).subnetworks.remove(0)
    };
    // (100 + 100) x 2, as Google's page reckons: the last old instance stops at 11 min, and its addresses are held until 31.
    let apart = change("revision");
    assert_eq!((apart.peak_held_addresses, apart.held_addresses), (400, 200));
    // 200 addresses are twelve and a half blocks: 13 for each revision. Google's 400 are 25 blocks if they share them.
    assert_eq!((apart.peak_reserved_blocks, apart.reserved_blocks), (26, 13));
    assert_eq!(change("subnetwork").peak_reserved_blocks, 25);
    assert_eq!(apart.failed_instance_starts, 0);
}

#[test]
fn t17_a_slash_26_has_no_address_for_the_31st_instance_and_nothing_else_breaks() {
    let rest = format!(
        "\
services: [{{name: api, region: us-central1, instances: 31, template: {{{DIRECT}}}}}]
hosts: [{{name: partner, address: 198.51.100.7}}]
traffic: [{{from: api, to: \"partner:443\", rate: 10/s}}]
"
    );
    let summary = run(&network("10.9.0.0/26", &rest));
    let subnet = &summary.subnetworks[0];
    // 31 x 2 = 62, of which there are 60.
    assert_eq!((subnet.peak_held_addresses, subnet.failed_instance_starts), (60, 1));
    assert_eq!(summary.connections.failed, 0, "the other thirty work");
    assert!(summary.connections.established > 500);
    let log = egressim::network::Network::new(&network("10.9.0.0/26", &rest)).take_log();
    let texts: Vec<_> = log.iter().map(|entry| (entry.severity, entry.text.as_str())).collect();
    let documented = "Instance failed to start because of insufficient free IP addresses in the subnetwork apps when \
attempting to create an address in the subnetwork. Please consider moving to a subnetwork with more available IP addresses.";
    assert_eq!(texts, [("ERROR", documented)]);
}

#[test]
fn t17_an_instance_that_found_no_address_starts_when_one_is_free() {
    let rest = format!(
        "\
duration: 30m
services:
- {{name: first, region: us-central1, instances: 30, template: {{{DIRECT}}}}}
- {{name: second, region: us-central1, instances: 1, template: {{{DIRECT}}}}}
events: [{{at: 5m, scale: {{workload: first, instances: 0}}}}]
hosts: [{{name: partner, address: 198.51.100.7}}]
traffic: [{{from: second, to: \"partner:443\", count: 1, start: 24m}}, {{from: second, to: \"partner:443\", count: 1, start: 28m}}]
"
    );
    let summary = run(&network("10.9.0.0/26", &rest));
    // The addresses of the first are held for 20 minutes: until 25 min.
    let causes: Vec<_> = summary.traffic.iter().map(|load| (load.established, load.failed)).collect();
    assert_eq!(causes, [(0, 1), (1, 0)]);
    assert_eq!(summary.connections.failed_by["SIM_NO_INSTANCE"], 1);
    assert_eq!(summary.subnetworks[0].failed_instance_starts, 1);
}

#[test]
fn t18_ten_tasks_of_a_quarter_of_an_hour_every_ten_minutes_need_30_addresses() {
    let rest = "\
duration: 2h
jobs:
- name: nightly
  region: us-central1
  instances: 0
  template: {template: {vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: apps}]}}}
events: [{at: 0s, execute: {job: nightly, tasks: 10, taskDuration: 15m, every: 10m}}]
";
    let subnet = run(&network("10.9.0.0/24", rest)).subnetworks.remove(0);
    // (15 + 7) / 10, rounded up: 3 waves of 10.
    assert_eq!(subnet.peak_held_addresses, 30);
}

#[test]
fn t19_a_hundred_tasks_of_a_minute_started_every_minute_need_800_addresses() {
    let rest = "\
duration: 30m
jobs:
- name: frequent
  region: us-central1
  instances: 0
  template: {template: {vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: apps}]}}}
events: [{at: 0s, execute: {job: frequent, tasks: 100, taskDuration: 1m, every: 1m}}]
";
    let subnet = run(&network("10.9.0.0/22", rest)).subnetworks.remove(0);
    // (1 + 7) x 100.
    assert_eq!(subnet.peak_held_addresses, 800);
}
