//! The same scenario and seed give the same bytes; what is watched is no other run than what is not.

mod common;

use std::ops::ControlFlow;
use std::path::Path;

use common::{egressim, files, loaded, repository, scenario, scenario_file};
use egressim::scenario::{BUILT_IN, Scenario};
use egressim::simulation;
use egressim::simulation::replay::{Options, replay};
use serde_json::Value;

/// Everything that draws: arrivals, loss, random ports, instances that start during the run, several connector VMs and
/// equal routes to choose from; and changes while it runs.
const LIVELY: &str = "\
name: lively
duration: 70s
networks: [{name: vpc}]
subnetworks: [{name: app, network: vpc, region: r1, ipCidrRange: 10.9.0.0/24}]
connectors: [{name: conn, region: r1, network: vpc, ipCidrRange: 10.8.0.0/28, minInstances: 3}]
addresses: [{name: ip-1, region: r1}, {name: ip-2, region: r1}]
routers:
- name: router
  network: vpc
  region: r1
  nats:
  - name: gw
    natIpAllocateOption: MANUAL_ONLY
    natIps: [ip-1]
    sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES
    enableDynamicPortAllocation: true
    minPortsPerVm: 32
    maxPortsPerVm: 256
    logConfig: {enable: true, filter: ALL}
routes:
- {name: office-1, network: vpc, destRange: 172.16.0.0/12, nextHopVpnTunnel: tunnel-1}
- {name: office-2, network: vpc, destRange: 172.16.0.0/12, nextHopVpnTunnel: tunnel-2}
services:
- {name: conn-api, region: r1, instances: 2, template: {vpcAccess: {connector: conn, egress: ALL_TRAFFIC}}}
- name: direct-api
  region: r1
  instances: 2
  template: {vpcAccess: {networkInterfaces: [{subnetwork: app}], egress: ALL_TRAFFIC}}
- {name: lone-api, region: r1}
- name: asked-api
  region: r1
  template: {maxInstanceRequestConcurrency: 2, vpcAccess: {networkInterfaces: [{subnetwork: app}], egress: ALL_TRAFFIC}}
hosts:
- {name: far, address: 198.51.100.7, ports: [443, udp/53], rtt: 40ms, loss: 0.05, jitter: 4ms, duplicate: 0.02, reorder: {share: 0.05, delay: 9ms}, mtu: 1400}
- {name: hole, address: 198.51.100.8, unreachable: true}
- {name: office, address: 172.16.0.9, location: on-prem}
impairments:
- {connector: conn, burstLoss: {rate: 0.02, meanLength: 4}}
- {workload: direct-api, bandwidth: 300kbps, queue: 20ms}
- {vpnTunnel: tunnel-1, loss: 0.1, direction: inbound}
traffic:
- {name: tcp, from: conn-api, to: far:443, rate: 8/s, lifetime: 300ms}
- {name: burst, from: direct-api, to: far:443, start: 10s, rate: 10/s, closedBy: server}
- {name: stacks, from: direct-api, to: far:443, rate: 5/s, endpoints: stack, responseBytes: 60000}
- {name: udp, from: direct-api, to: far:53, protocol: udp, rate: 3/s}
- {name: ping, from: direct-api, to: far, protocol: icmp, rate: 1/s}
- {name: vain, from: lone-api, to: hole:443, rate: 1/s, connectTimeout: 5s}
- {name: calls, from: asked-api, to: far:443, rate: 10/s, requests: {timeout: 1s, thinkTime: 200ms, pool: {size: 2}, retryPolicy: {maxAttempts: 4}, dns: {server: far:53, ttl: 5s}}}
- {name: loop, from: conn-api, to: far:443, workers: {perInstance: 2, pause: 50ms}, requests: {}}
- {name: office, from: conn-api, to: office:443, rate: 2/s, lifetime: 5s, closedBy: nobody}
events:
- {at: 15s, scale: {workload: direct-api, instances: 5}}
- {at: 40s, scale: {workload: direct-api, instances: 1}}
- {at: 20s, outage: {host: far, for: 3s}}
- {at: 25s, impair: {host: far, for: 10s, set: {loss: 0.3, jitter: 20ms, jitterDistribution: exponential}}}
- {at: 45s, patchNat: {gateway: gw, set: {natIps: [ip-2], drainNatIps: [ip-1]}}}
model: {nat: {portSelection: random}}
";

fn seeded(mut scenario: Scenario, seed: u64) -> Scenario {
    scenario.seed = seed;
    scenario
}

/// Runs into a folder and returns its files and the summary.
fn recorded(scenario: &Scenario) -> (Vec<(String, Vec<u8>)>, Value) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out");
    let summary = simulation::run(scenario, Some(&out), &mut |_| ControlFlow::Continue(())).expect("it runs");
    (files(&out), serde_json::to_value(summary).expect("plain data"))
}

/// Asserts without printing whole files.
#[track_caller]
fn assert_same(first: &[(String, Vec<u8>)], second: &[(String, Vec<u8>)]) {
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(first), names(second));
    for ((name, first), (_, second)) in first.iter().zip(second) {
        let differs = first.iter().zip(second).position(|(a, b)| a != b);
        assert!(first == second, "{name} differs at byte {differs:?}, lengths {} and {}", first.len(), second.len());
    }
}

#[test]
fn two_runs_of_one_seed_write_the_same_bytes_and_another_seed_does_not() {
    let scenario = scenario(LIVELY);
    let (first, summary) = recorded(&scenario);
    assert_eq!(first.len(), 10, "{:?}", first.iter().map(|(name, _)| name).collect::<Vec<_>>());
    assert_same(&first, &recorded(&scenario).0);
    // The lively scenario is lively: it loses, drops, breaks and starts.
    let causes = summary["packets"]["droppedBy"].as_object().expect("counts");
    assert!(summary["packets"]["duplicated"].as_u64() > Some(0));
    for cause in [
        "SIM_LINK_LOSS",
        "SIM_MTU_EXCEEDED",
        "SIM_THROUGHPUT_EXCEEDED",
        "SIM_HOST_UNREACHABLE",
        "SIM_EGRESS_NOT_OPEN",
        "OUT_OF_RESOURCES",
    ] {
        assert!(causes.contains_key(cause), "{cause} is missing: {causes:?}");
    }
    let (other, _) = recorded(&seeded(scenario, 2));
    // Addresses and endpoints are those of the configuration, whatever the dice say.
    let fixed = ["addresses.json", "cloud_run.jsonl", "nat_ip_info.json", "router_status.json"];
    for ((name, first), (_, other)) in first.iter().zip(&other).filter(|((name, _), _)| !fixed.contains(&name.as_str()))
    {
        assert!(first != other, "{name} does not depend on the seed");
    }
}

#[test]
fn a_process_writes_what_another_process_writes() {
    // Hash seeds and addresses differ between processes.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let written = |out: &str| {
        egressim(folder.path()).args(["run", "-", "--out", out]).write_stdin(LIVELY).assert().success();
        files(&folder.path().join(out))
    };
    assert_same(&written("a"), &written("b"));
}

#[test]
fn a_run_that_is_recorded_comes_to_the_same_result_as_one_that_is_not() {
    // Recorded packets take the whole way each; otherwise a flow's way is remembered.
    let names = ["direct-vpc", "firewall-deny", "no-nat", "private-ranges-only", "nat/drained-ip", "nat/rule-runs-dry"];
    let mut scenarios: Vec<_> = names.iter().map(|name| scenario_file(&format!("scenarios/{name}.yaml"))).collect();
    scenarios.extend([loaded(BUILT_IN), scenario(LIVELY), seeded(scenario(LIVELY), 3)]);
    for scenario in scenarios {
        let summary = simulation::run(&scenario, None, &mut |_| ControlFlow::Continue(())).expect("it runs");
        let plain = serde_json::to_value(summary).expect("plain data");
        assert_eq!(recorded(&scenario).1, plain, "{}, seed {}", scenario.name, scenario.seed);
    }
}

#[test]
fn a_replay_writes_the_same_bytes_whether_recorded_or_not() {
    for (case, input) in [("web", "input.pcap"), ("long-lived", "input.pcapng")] {
        let case = repository("pcaps").join(case);
        let scenario = loaded(egressim::scenario::load::Source::Path(&case.join("scenario.yaml")));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let once = |write: &Path, out: Option<&Path>| {
            let options = Options {
                captures: vec![case.join(input)],
                write: Some(write.to_owned()),
                out: out.map(Path::to_owned),
                ..Options::default()
            };
            let summary = replay(&scenario, &options, &mut |_| ControlFlow::Continue(())).expect("it replays");
            (std::fs::read(write).expect("written"), serde_json::to_value(summary).expect("plain data"))
        };
        let [a, b, write] = ["a", "b", "w.pcap"].map(|name| folder.path().join(name));
        let first = once(&write, Some(&a));
        assert!(first == once(&write, Some(&b)), "{}: recorded twice", case.display());
        assert!(first == once(&write, None), "{}: recorded and not", case.display());
        assert_same(&files(&a), &files(&b));
    }
}
