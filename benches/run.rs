//! How long does a simulation take? The built-in scenario, and 100,000 connections from their SYN to their end.
//!
//! The first is counted in packets, the second in connections: some ten packets each, with links that take time.
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

criterion_group! { name = benches; config = common::short().measurement_time(Duration::from_secs(3)); targets = whole }
criterion_main!(benches);
