//! How long does a simulation take? The built-in scenario, 100,000 connections from their SYN to their end, and connections of
//! either kind of endpoints over three hops.
//!
//! The second is counted in connections: some ten packets each, with links that take time. The others are counted in packets.
//! Three hops are those from a workload to a connector, from there by Cloud NAT to the edge, and on to a host; links of
//! 0.1, 1 and 20 ms are between them. All of the simulation is in it: arrivals, timers, both ends, stations and links.
//!
//! ```text
//! cargo bench --bench run
//! ```

use std::ops::ControlFlow::Continue;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use egressim::scenario::{self, load};
use egressim::simulation::run;

mod common;

const CONNECTIONS: u64 = 100_000;
const SCENARIO: &str = "
duration: 60s
networks: [{name: vpc, autoCreateSubnetworks: false}]
subnetworks: [{name: subnet, network: vpc, region: us-central1, ipCidrRange: 10.9.0.0/24}]
addresses: [{name: ip, region: us-central1, address: 203.0.113.10}]
routers:
- name: router
  network: vpc
  region: us-central1
  nats:
  - name: gateway
    natIpAllocateOption: MANUAL_ONLY
    natIps: [ip]
    sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES
    minPortsPerVm: 16384
services:
- name: service
  region: us-central1
  template: {vpcAccess: {egress: ALL_TRAFFIC, networkInterfaces: [{network: vpc, subnetwork: subnet}]}}
hosts:
- {name: servers, address: 198.51.100.0/24, rtt: 40ms}
traffic:
";

/// Connections at a time over three hops, by kind of endpoints.
const THREE_HOPS: &str = "
duration: 30s
networks: [{name: vpc, autoCreateSubnetworks: false}]
connectors:
- {name: connector, region: us-central1, network: vpc, ipCidrRange: 10.8.0.0/28, machineType: e2-standard-4}
addresses: [{name: ip, region: us-central1, address: 203.0.113.10}]
routers:
- name: router
  network: vpc
  region: us-central1
  nats:
  - name: gateway
    natIpAllocateOption: MANUAL_ONLY
    natIps: [ip]
    sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES
    minPortsPerVm: 16384
services:
- name: service
  region: us-central1
  instances: 4
  template: {vpcAccess: {egress: ALL_TRAFFIC, connector: connector}}
hosts:
- {name: servers, address: 198.51.100.0/24, rtt: 40ms}
traffic:
";

fn three_hops(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("run/three-hops");
    for (name, rate) in [("flow", 100), ("stack", 25)] {
        // 16 destinations, for 25 of the 30 seconds: 40,000 connections by script, 10,000 with stacks.
        let load = |server| {
            format!(
                "- {{name: to-{server}, from: service, to: 198.51.100.{server}:443, rate: {rate}/s, arrivals: constant, \
                 stop: 25s, endpoints: {name}}}\n"
            )
        };
        let scenario = common::scenario(&(THREE_HOPS.to_owned() + &(1..=16).map(load).collect::<String>()));
        let simulate = || run(&scenario, None, &mut |_| Continue(())).expect("nothing is written");
        let first = simulate();
        let connections = &first.connections;
        assert_eq!((connections.attempted, connections.established), (16 * 25 * rate, 16 * 25 * rate));
        assert_eq!(first.packets.dropped, 0);
        group.throughput(Throughput::Elements(first.packets.sent));
        group.bench_function(name, |bencher| bencher.iter(simulate));
    }
}

fn whole(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("run");

    let built_in = load::load(scenario::BUILT_IN).scenario.expect("the built-in scenario is sound");
    let packets = run(&built_in, None, &mut |_| Continue(())).expect("nothing is written").packets.sent;
    group.throughput(Throughput::Elements(packets));
    group.bench_function("built-in", |bencher| bencher.iter(|| run(&built_in, None, &mut |_| Continue(()))));

    // 16 destinations of 6,250 connections each, spread over 50 of the 60 seconds.
    let load = |server| {
        format!(
            "- {{name: to-{server}, from: service, to: 198.51.100.{server}:443, rate: 125/s, arrivals: constant, stop: 50s}}\n"
        )
    };
    let scenario = common::scenario(&(SCENARIO.to_owned() + &(1..=16).map(load).collect::<String>()));
    group.throughput(Throughput::Elements(CONNECTIONS));
    group.bench_function("connections-100k", |bencher| {
        bencher.iter(|| {
            let connections = run(&scenario, None, &mut |_| Continue(())).expect("nothing is written").connections;
            assert_eq!((connections.attempted, connections.established), (CONNECTIONS, CONNECTIONS));
        });
    });
}

criterion_group! { name = benches; config = common::short().measurement_time(Duration::from_secs(3)); targets = whole, three_hops }
criterion_main!(benches);
