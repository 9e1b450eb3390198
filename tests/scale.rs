//! A thousand instances and ten thousand routes: everything is built, works, and does what it does with ten routes. What it
//! costs is measured by `benches/scale.rs`.

mod common;

use std::ops::ControlFlow;

use common::scale::{INSTANCES, scenario as large};
use common::scenario;
use egressim::network::Network;
use egressim::report::summary::Summary;
use egressim::simulation;

/// Ten services open a hundred connections a second each for ten seconds.
const CONNECTIONS: u64 = 10_000;

fn run(routes: usize) -> Summary {
    simulation::run(&scenario(&large(routes)), None, &mut |_| ControlFlow::Continue(())).expect("nothing is written")
}

#[test]
fn a_thousand_instances_and_ten_thousand_routes_are_all_there() {
    let scenario = scenario(&large(10_000));
    let described = (scenario.workloads.len(), scenario.connectors.len(), scenario.subnetworks.len());
    // Three subnets of the services', one of the database's, two of the connectors'.
    assert_eq!(described, (10, 2, 3 + 1 + 2));
    assert_eq!(scenario.routes.len(), 10_000 + 1, "and the default route");
    let network = Network::new(&scenario);
    let instances: usize = (0..10).map(|workload| network.instances(workload).len()).sum();
    assert_eq!(instances, INSTANCES);
    assert_eq!([0, 1].map(|connector| network.connector_instances(connector)), [2, 2]);
    let endpoints: Vec<usize> = network.gateways().map(|gateway| gateway.endpoints().len()).collect();
    // 400 instances with Direct VPC egress in us-central1, 200 in europe-west1, two addresses each; two VMs of connectors.
    assert_eq!(endpoints, [802, 402]);
}

#[test]
fn ten_thousand_routes_change_nothing_that_ten_routes_do() {
    let [few, many] = [10, 10_000].map(run);
    assert_eq!((many.connections.attempted, many.connections.established), (CONNECTIONS, CONNECTIONS));
    assert_eq!(many.packets.dropped, 0, "{:?}", many.packets.dropped_by);
    let told = |summary: &Summary| serde_json::to_value(summary).expect("plain data");
    assert_eq!(told(&few), told(&many));
}
