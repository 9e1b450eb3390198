//! What does an open connection take, with all that the simulation holds of it? Its ends, its mapping at Cloud NAT, what the
//! firewall tracks, its path, and what waits for it in the queue.
//!
//! A process holds so many connections open at once, and another one twice as many; the difference of their largest resident
//! memory is that of the connections. It is what the machine has to have, so the allocator's waste counts. The numbers of
//! connections are those with which tables that double are nearly full; half full they take almost twice as much.
//!
//! ```text
//! cargo bench --bench memory
//! ```

use std::ops::ControlFlow::Continue;
use std::process::Command;
use std::{env, fs};

use egressim::simulation::run;

mod common;

/// Names what a process is to hold open: kind of endpoints and number of connections.
const HOLD: &str = "EGRESSIM_BENCH_HOLD";
const SERVERS: u64 = 16;

fn main() {
    if let Ok(what) = env::var(HOLD) {
        let (endpoints, connections) = what.split_once(' ').expect("two words");
        hold(endpoints, connections.parse().expect("a number"));
        return;
    }
    for (endpoints, connections) in [("flow", 220_000), ("stack", 27_500)] {
        let Some((some, more)) = resident(endpoints, connections).zip(resident(endpoints, 2 * connections)) else {
            println!("memory/{endpoints}: skipped, the system does not tell how much memory a process has");
            continue;
        };
        let each = (more - some) as f64 / connections as f64;
        println!("memory/{endpoints}: {each:.0} bytes for each open connection ({connections} and twice as many)");
    }
}

/// The largest resident memory of a process that holds so many connections open, in bytes.
fn resident(endpoints: &str, connections: u64) -> Option<u64> {
    let this = env::current_exe().expect("it runs");
    let held = Command::new(this).env(HOLD, format!("{endpoints} {connections}")).output().expect("it runs again");
    assert!(held.status.success(), "{}", String::from_utf8_lossy(&held.stderr));
    String::from_utf8_lossy(&held.stdout).trim().parse().ok()
}

fn hold(endpoints: &str, connections: u64) {
    let rate = connections.div_ceil(SERVERS * 10);
    let mut text = "
duration: 12s
networks: [{name: vpc, autoCreateSubnetworks: false}]
subnetworks: [{name: subnet, network: vpc, region: us-central1, ipCidrRange: 10.9.0.0/24}]
addresses: [{name: ip, region: us-central1}, {name: ip-2, region: us-central1}]
routers:
- name: router
  network: vpc
  region: us-central1
  nats:
  - name: gateway
    natIpAllocateOption: MANUAL_ONLY
    natIps: [ip, ip-2]
    sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES
    minPortsPerVm: 4096
services:
- name: service
  region: us-central1
  instances: 14
  template: {vpcAccess: {egress: ALL_TRAFFIC, networkInterfaces: [{network: vpc, subnetwork: subnet}]}}
hosts:
- {name: servers, address: 198.51.100.0/24, rtt: 40ms}
traffic:
"
    .to_owned();
    for server in 1..=SERVERS {
        text += &format!(
            "- {{name: to-{server}, from: service, to: 198.51.100.{server}:443, rate: {rate}/s, arrivals: constant, \
             stop: 10s, closedBy: nobody, endpoints: {endpoints}}}\n"
        );
    }
    let scenario = common::scenario(&text);
    let summary = run(&scenario, None, &mut |_| Continue(())).expect("nothing is written");
    assert!(summary.connections.established >= connections, "{:?}", summary.connections);
    assert_eq!(summary.connections.attempted, summary.connections.established);
    // kB of the largest resident memory, as Linux tells it.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    if let Some(kilobytes) = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()) {
        println!("{}", kilobytes * 1024);
    }
}
