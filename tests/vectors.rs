//! The test vectors of what is known of Cloud Run's egress: ranges, routes, address arithmetic, limits, timers.
//!
//! Each is one line of a table of inputs and outcomes that Google's pages, or measurements of others, give.

mod common;

use std::ops::ControlFlow;

use common::scenario;
use egressim::network::Network;
use egressim::node::instance::SOCKETS;
use egressim::report::summary::Summary;
use egressim::scenario::Scenario;
use egressim::sim::{Occurrence, Outcome};
use egressim::simulation;
use egressim::time::SimTime;
use egressim::wire::{FiveTuple, Protocol};

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

/// A gateway for the whole network with one address and 64 ports for each VM or instance.
const ROUTER: &str = "\
routers:
- name: router
  network: vpc
  region: us-central1
  nats:
  - name: gw
    natIpAllocateOption: MANUAL_ONLY
    natIps: [ip]
    minPortsPerVm: 64
    sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES
";
const DIRECT: &str = "vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: apps}]}";

#[test]
fn t6_google_apis_take_no_nat_port_where_cloud_nat_and_private_google_access_are_both_on() {
    let yaml = |range: &str| {
        format!(
            "\
networks: [{{name: vpc}}]
subnetworks: [{{name: apps, network: vpc, region: us-central1, ipCidrRange: 10.9.0.0/24, privateIpGoogleAccess: true}}]
addresses: [{{name: ip, region: us-central1, address: 203.0.113.10}}]
{ROUTER}
services:
- name: api
  region: us-central1
  template: {{vpcAccess: {{networkInterfaces: [{{network: vpc, subnetwork: apps}}], egress: ALL_TRAFFIC}}}}
hosts: [{{name: storage, address: {range}}}]
traffic: [{{from: api, to: \"storage:443\", count: 100, lifetime: 20s, connectTimeout: 20s}}]
"
        )
    };
    // A public address of Google's, the private one, and somebody else's, who has room for 64 ports.
    for (address, established, ports) in [("142.250.9.9", 100, 0), ("199.36.153.8", 100, 0), ("198.51.100.7", 64, 64)] {
        let location = if ports == 0 { ", location: google-api" } else { "" };
        let summary = run(&scenario(&yaml(&format!("{address}{location}"))));
        assert_eq!(summary.connections.established, established, "{address}");
        assert_eq!(summary.gateways[0].endpoints[0].ports.peak_port_usage, ports, "{address}");
    }
}

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
    let log = Network::new(&network("10.9.0.0/26", &rest)).take_log();
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

/// A service behind a connector, and somebody in the network to send to.
fn behind_connector(machine_type: &str, rest: &str) -> Scenario {
    scenario(&format!(
        "\
duration: 30m
networks: [{{name: vpc}}]
subnetworks: [{{name: apps, network: vpc, region: us-central1, ipCidrRange: 10.9.0.0/24}}]
connectors:
- {{name: conn, region: us-central1, network: vpc, ipCidrRange: 10.8.0.0/28, machineType: {machine_type}}}
firewalls: [{{name: in, network: vpc, sourceRanges: [10.8.0.0/28], allowed: [{{IPProtocol: all}}]}}]
services: [{{name: api, region: us-central1, template: {{vpcAccess: {{connector: conn}}}}}}]
hosts: [{{name: target, address: 10.9.0.200, location: vpc, network: vpc}}]
{rest}"
    ))
}

/// Megabits a second that arrive of a load of one flow, or of many, in each interval.
fn arriving(network: &mut Network, bits_per_second: u64, flows: u16, seconds: u64, interval: u64) -> Vec<u64> {
    /// Larger than a VPC network carries, so that there are fewer of them; what is shaped are bits.
    const PAYLOAD: u16 = 8_932;
    const BITS: u64 = 8 * (PAYLOAD as u64 + 28);
    let instance = network.instances(0)[0].clone();
    let start = network.engine().now();
    let mut arrived = vec![0; (seconds / interval) as usize];
    let mut count = |network: &Network, node| {
        let second = (network.engine().now() - start).as_secs();
        if network.is_host(node)
            && let Some(bits) = arrived.get_mut((second / interval) as usize)
        {
            *bits += BITS;
        }
    };
    for number in 0..seconds * bits_per_second / BITS {
        let since = u128::from(number * BITS) * 1_000_000_000 / u128::from(bits_per_second);
        let at = SimTime::from_nanos(start.as_nanos() + since as u64);
        loop {
            let until = network.next_change().min(at);
            while let Some(occurrence) = network.engine_mut().step(until) {
                if let Occurrence::Delivered { node, packet, .. } = occurrence {
                    count(network, node);
                    network.engine_mut().recycle(packet);
                }
            }
            network.make_changes();
            if until == at {
                break;
            }
        }
        let mut packet = network.engine_mut().spare_packet();
        let tuple = FiveTuple {
            src: instance.address,
            dst: [10, 9, 0, 200].into(),
            src_port: 40_000 + (number % u64::from(flows)) as u16,
            dst_port: 5201,
            protocol: Protocol::Udp,
        };
        packet.build_udp(tuple, PAYLOAD);
        if let Outcome::Delivered(node, _) =
            network.engine_mut().send(instance.site.node, SOCKETS, &mut packet, 0, None)
        {
            count(network, node);
        }
        network.engine_mut().recycle(packet);
    }
    arrived.into_iter().map(|bits| (bits / interval + 500_000) / 1_000_000).collect()
}

#[test]
fn t20_an_e2_micro_carries_a_burst_for_85_seconds_and_then_falls() {
    let mut network = Network::new(&behind_connector("e2-micro", ""));
    let curve = arriving(&mut network, 1_000_000_000, 1, 240, 5);
    // Measured with one TCP stream of 240 s: about 570 Mbps of payload for 85 s, then about 140. The model's 600 are six
    // times the documented rate of one VM, and after the fall that rate is all that is promised. At its end the stream rose
    // to 300, as VMs were added, which does not come out: a flow stays with its VM here.
    let fell = curve.iter().position(|mbps| *mbps < 300).expect("it falls") * 5;
    assert!((80..=90).contains(&fell), "it fell after {fell} s: {curve:?}");
    let (before, after) = curve.split_at(fell / 5);
    assert!(before[..16].iter().all(|mbps| (570 - 57..=570 + 57).contains(mbps)), "{curve:?}");
    assert!(after[1..].iter().all(|mbps| (100..=140).contains(mbps)), "{curve:?}");
    // All that arrived, against 570 Mbps for 85 s and 140 for 155 s.
    let (arrived, measured) = (curve.iter().sum::<u64>() * 5, 570 * 85 + 140 * 155);
    assert!(arrived.abs_diff(measured) < measured / 10, "{arrived} Mbit, measured {measured}");
    let text: Vec<_> = curve.iter().enumerate().map(|(at, mbps)| format!("{:>3} s  {mbps:>3} Mbps", at * 5)).collect();
    insta::assert_snapshot!("connector_curve", text.join("\n"));
}

#[test]
fn t20_an_e2_standard_4_has_no_credit_to_lose() {
    let mut network = Network::new(&behind_connector("e2-standard-4", ""));
    let curve = arriving(&mut network, 1_500_000_000, 1, 120, 10);
    // Below the documented 1,600 Mbps of one VM all of it arrives.
    assert!(curve.iter().all(|mbps| (1_498..=1_502).contains(mbps)), "{curve:?}");
}

#[test]
fn t21_a_connector_adds_vms_under_load_and_keeps_them() {
    let mut network = Network::new(&behind_connector("e2-micro", ""));
    assert_eq!(network.connector_instances(0), 2);
    // 450 Mbps over many flows: 450 / 100 / 0.8 is more than 5 VMs.
    arriving(&mut network, 450_000_000, 64, 600, 60);
    assert_eq!(network.connector_instances(0), 6);
    arriving(&mut network, 1_000_000, 64, 600, 60);
    assert_eq!(network.connector_instances(0), 6, "it does not scale in");
}

/// Long connections that are silent between a request and the client's close.
fn idle(way: &str, seconds: u64, to: &str) -> Summary {
    run(&scenario(&idle_yaml(way, seconds, to)))
}

fn idle_yaml(way: &str, seconds: u64, to: &str) -> String {
    format!(
        "\
duration: 30m
networks: [{{name: vpc}}]
subnetworks: [{{name: apps, network: vpc, region: us-central1, ipCidrRange: 10.9.0.0/24}}]
connectors: [{{name: conn, region: us-central1, network: vpc, ipCidrRange: 10.8.0.0/28}}]
firewalls: [{{name: in, network: vpc, sourceRanges: [10.0.0.0/8], allowed: [{{IPProtocol: all}}]}}]
services: [{{name: api, region: us-central1, template: {{{way}}}}}]
hosts:
- {{name: db, address: 10.9.0.200, location: vpc, network: vpc, rtt: 0ms}}
- {{name: partner, address: 198.51.100.7, rtt: 0ms}}
traffic: [{{from: api, to: \"{to}\", count: 3, lifetime: {seconds}s}}]
"
    )
}

#[test]
fn t22_a_connection_into_the_vpc_is_forgotten_after_ten_idle_minutes() {
    for way in ["vpcAccess: {connector: conn}", "vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: apps}]}"] {
        assert_eq!(idle(way, 599, "db:5432").connections.broken, 0, "{way}");
        let late = idle(way, 601, "db:5432").connections;
        assert_eq!((late.established, late.broken), (3, 3), "{way}");
        assert_eq!(late.failed_by["SIM_IDLE_EXPIRED"], 3, "{way}");
        // Lost without a word the client's packet is sent again and again; with a reset it is over at once.
        let model = "model: {cloudRun: {idleVpc: reset}}";
        let reset = run(&scenario(&format!("{}{model}\n", idle_yaml(way, 601, "db:5432"))));
        assert_eq!((reset.connections.broken, reset.packets.dropped_by["SIM_IDLE_EXPIRED"]), (3, 3), "{way}");
        let lost = idle(way, 601, "db:5432").packets.dropped_by["SIM_IDLE_EXPIRED"];
        assert!(lost > 9, "{way}: {lost}");
    }
}

#[test]
fn t23_a_connection_to_the_internet_is_forgotten_after_twenty_idle_minutes() {
    assert_eq!(idle("timeout: 60s", 1199, "partner:443").connections.broken, 0);
    let late = idle("timeout: 60s", 1201, "partner:443").connections;
    assert_eq!((late.established, late.broken), (3, 3));
    assert_eq!(late.failed_by["SIM_IDLE_EXPIRED"], 3);
}

/// An instance that starts at 1 s, reaches nothing before 34 s, and connects as soon as it is there.
fn connects_through_a_closed_window(schedule: &str) -> f64 {
    let yaml = format!(
        "\
duration: 3m
networks: [{{name: vpc}}]
subnetworks: [{{name: apps, network: vpc, region: us-central1, ipCidrRange: 10.9.0.0/24}}]
addresses: [{{name: ip, region: us-central1, address: 203.0.113.10}}]
routers:
- name: router
  network: vpc
  region: us-central1
  nats: [{{name: gw, natIpAllocateOption: MANUAL_ONLY, natIps: [ip], sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES}}]
services:
- name: api
  region: us-central1
  instances: 0
  template: {{vpcAccess: {{networkInterfaces: [{{network: vpc, subnetwork: apps}}], egress: ALL_TRAFFIC}}}}
hosts: [{{name: partner, address: 198.51.100.7, rtt: 0ms}}]
traffic: [{{from: api, to: \"partner:443\", count: 1, start: 1001ms, connectTimeout: 2m}}]
events: [{{at: 1s, scale: {{workload: api, instances: 1}}}}]
model:
  client: {{synSchedule: {schedule}}}
  cloudRun: {{directVpcDelay: 0s, egressOpen: {{natMedian: 33s, natP90: 33s, natMax: 33s}}}}
"
    );
    let summary = run(&scenario(&yaml));
    assert_eq!(summary.connections.established, 1);
    assert_eq!(summary.gateways[0].dropped_sent_packets.values().sum::<u64>(), 0, "Cloud NAT knows nothing of it");
    summary.connections.connect_time_ms.max
}

#[test]
fn t24_the_clients_next_syn_after_the_window_opens_connects() {
    assert_eq!(connects_through_a_closed_window("linux-6.5"), 35_000.0);
    assert_eq!(connects_through_a_closed_window("classic"), 63_000.0);
}

/// Connect times of a thousand instances that have just started, to the nearest second; the schedule and the kernel's timers
/// decide where they cluster. Of sixty that were measured, 20 took 36 s and 22 took 68 to 71 s; others were at 4, 7, 11, 15,
/// 19 to 20 and 23 s, a few at 37 to 43 s. When ways out opened there is not known: median and spread below are chosen so
/// that the shares come out, and only where the clusters are is the model's own.
#[test]
fn connect_times_of_fresh_instances_cluster_where_they_were_seen_to() {
    let yaml = "\
duration: 3m
networks: [{name: vpc}]
subnetworks: [{name: apps, network: vpc, region: us-central1, ipCidrRange: 10.64.0.0/20}]
addresses: [{name: ip, region: us-central1, address: 203.0.113.10}]
routers:
- name: router
  network: vpc
  region: us-central1
  nats:
  - name: gw
    natIpAllocateOption: MANUAL_ONLY
    natIps: [ip]
    minPortsPerVm: 32
    sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES
services:
- name: clone
  region: us-central1
  instances: 0
  template: {vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: apps}], egress: ALL_TRAFFIC}}
hosts: [{name: github, address: 140.82.112.3, rtt: 60ms}]
traffic: [{from: clone, to: \"github:443\", count: 1000, start: 1001ms, connectTimeout: 2m}]
events: [{at: 1s, scale: {workload: clone, instances: 1000}}]
model:
  client: {timers: linux-250hz}
  cloudRun: {egressOpen: {natMedian: 25s, natP90: 60s, natMax: 67s}}
";
    let connect_times = |ends: &str| {
        let yaml = yaml.replace("connectTimeout: 2m", &format!("connectTimeout: 2m, endpoints: {ends}"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let out = folder.path().join("out");
        simulation::run(&scenario(&yaml), Some(&out), &mut |_| ControlFlow::Continue(())).expect("it is writable");
        let seconds = common::json_lines(&out.join("connections.jsonl")).into_iter().map(|line| {
            let established = line["established"].as_f64().expect("each connects in the end");
            established - line["start"].as_f64().expect("each starts")
        });
        seconds.collect::<Vec<_>>()
    };
    // A real TCP stack at both ends repeats its SYN by the same schedule. Its SYN has options, and takes less than a
    // microsecond longer for that.
    let mut took = connect_times("stack");
    let millis = |took: &[f64]| took.iter().map(|seconds| (seconds * 1000.0).round()).collect::<Vec<_>>();
    assert_eq!(millis(&took), millis(&connect_times("flow")));
    let mut histogram = std::collections::BTreeMap::new();
    for seconds in &took {
        *histogram.entry(seconds.round() as u64).or_insert(0u32) += 1;
    }
    let seen = |second: &u64| matches!(second, 1..=5 | 7 | 11 | 19 | 20 | 36 | 68..=71);
    assert!(histogram.keys().all(seen), "{histogram:?}");
    assert!([4, 7, 11, 19, 20, 36, 68, 69, 70].iter().all(|second| histogram.contains_key(second)), "{histogram:?}");
    // Two standard deviations of sixty are twelve in a hundred.
    let share = |seconds: std::ops::RangeInclusive<u64>| histogram.range(seconds).map(|(_, count)| count).sum::<u32>();
    assert!(share(36..=36).abs_diff(333) < 120 && share(68..=71).abs_diff(367) < 120, "{histogram:?}");
    // Measured: median 36.6 s, 90 % within 69.5 s, the longest 70.6 s. What else than the kernel's timers is in that
    // nobody has told, so a second is allowed.
    took.sort_by(f64::total_cmp);
    for (rank, measured) in [(500, 36.6), (900, 69.5), (999, 70.6)] {
        assert!((took[rank] - measured).abs() < 1.0, "{} of {rank}, measured {measured}", took[rank]);
    }
    let text: Vec<_> = histogram.iter().map(|(second, count)| format!("{second:>2} s  {count:>3}")).collect();
    insta::assert_snapshot!("connect_times", text.join("\n"));
}

#[test]
fn t29_two_connector_vms_with_64_ports_each_carry_128_connections_to_one_destination_at_most() {
    let run = |affinity: &str| {
        let yaml = format!(
            "\
networks: [{{name: vpc}}]
connectors: [{{name: conn, region: us-central1, network: vpc, ipCidrRange: 10.8.0.0/28}}]
addresses: [{{name: ip, region: us-central1, address: 203.0.113.10}}]
{ROUTER}
services: [{{name: api, region: us-central1, instances: 3, template: {{vpcAccess: {{connector: conn, egress: ALL_TRAFFIC}}}}}}]
hosts: [{{name: partner, address: 198.51.100.7, rtt: 20ms}}, {{name: other, address: 198.51.100.8, rtt: 20ms}}]
traffic:
- {{from: api, to: \"partner:443\", count: 129, lifetime: 50s, connectTimeout: 20s}}
- {{from: api, to: \"other:443\", count: 100, lifetime: 50s, connectTimeout: 20s}}
model: {{connector: {{affinity: {affinity}}}}}
"
        );
        run(&scenario(&yaml))
    };
    for affinity in ["flow", "instance"] {
        let summary = run(affinity);
        let gateway = &summary.gateways[0];
        let ports: Vec<_> = gateway.endpoints.iter().map(|endpoint| endpoint.ports.allocated_ports).collect();
        assert_eq!(ports, [64, 64]);
        let load = &summary.traffic[0];
        assert_eq!((load.attempted, load.established + load.failed), (129, 129), "{affinity}");
        // Which VM a flow takes a hash decides: one of them may be full while the other has room.
        assert!((65..=128).contains(&load.established), "{affinity}: {}", load.established);
        assert_eq!(summary.connections.failed_by["OUT_OF_RESOURCES"], load.failed + summary.traffic[1].failed);
        // Ports count for each destination by itself.
        assert!(summary.traffic[1].established > 64, "{affinity}");
    }
    let summary = run("flow");
    let usage: Vec<_> = summary.gateways[0].endpoints.iter().map(|endpoint| endpoint.ports.peak_port_usage).collect();
    // A fair coin gives the emptier VM of 129 flows at least 45 of them, but once in two thousand times.
    let fuller = usage.iter().max().copied();
    assert_eq!(fuller, Some(64), "one of the two is full");
    assert!(usage.iter().all(|ports| *ports >= 45), "{usage:?}");
}
