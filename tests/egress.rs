//! The way out of an instance beyond which way it takes: when it opens, how much it carries, and what the metadata server
//! says of it.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::ops::ControlFlow;

use common::{egressim, json_lines, scenario};
use egressim::capture::PacketWriter;
use egressim::probe::probe;
use egressim::report::summary::Summary;
use egressim::scenario::Scenario;
use egressim::simulation;
use egressim::trace::Disposition;
use egressim::wire::{FiveTuple, Packet, Protocol, TcpSegment, tcp_flags};
use serde_json::{Value, json};

fn run(scenario: &Scenario) -> Summary {
    simulation::run(scenario, None, &mut |_| ControlFlow::Continue(())).expect("nothing is written")
}

/// A service whose only instance starts after a second, in a network with Cloud NAT.
fn fresh(model: &str, traffic: &str) -> Scenario {
    scenario(&format!(
        "\
duration: 3m
networks: [{{name: vpc}}]
subnetworks: [{{name: apps, network: vpc, region: us-central1, ipCidrRange: 10.9.0.0/24, privateIpGoogleAccess: true}}]
addresses: [{{name: ip, region: us-central1, address: 203.0.113.10}}]
routers:
- name: router
  network: vpc
  region: us-central1
  nats: [{{name: gw, natIpAllocateOption: MANUAL_ONLY, natIps: [ip], minPortsPerVm: 1024, sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES}}]
services:
- name: api
  region: us-central1
  instances: 0
  template: {{vpcAccess: {{networkInterfaces: [{{network: vpc, subnetwork: apps}}], egress: ALL_TRAFFIC}}}}
events: [{{at: 1s, scale: {{workload: api, instances: 1}}}}]
hosts:
- {{name: storage, address: 142.250.4.128, location: google-api, rtt: 0ms}}
- {{name: partners, address: 198.51.100.0/24, rtt: 0ms}}
model: {{cloudRun: {{directVpcDelay: 0s, egressOpen: {{{model}}}}}}}
traffic:
{traffic}"
    ))
}

#[test]
fn s1b_the_way_may_open_to_each_destination_at_a_time_of_its_own() {
    let loads: String = (1..=40)
        .map(|host| {
            format!("- {{from: api, to: \"198.51.100.{host}:443\", count: 2, start: 1001ms, connectTimeout: 2m}}\n")
        })
        .collect();
    let opened = |scope: &str| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let out = folder.path().join("out");
        let scenario = fresh(&format!("scope: {scope}, natMax: 60s"), &loads);
        let summary =
            simulation::run(&scenario, Some(&out), &mut |_| ControlFlow::Continue(())).expect("it is writable");
        assert_eq!(summary.connections.established, 80, "{scope}: {:?}", summary.connections);
        let mut times = std::collections::BTreeMap::<String, BTreeSet<u64>>::new();
        for line in json_lines(&out.join("connections.jsonl")) {
            let to = line["inside"]["destIp"].as_str().expect("an address").to_owned();
            let at = line["established"].as_f64().expect("each is established");
            times.entry(to).or_default().insert(at.round() as u64);
        }
        assert_eq!(times.len(), 40);
        // Two connections to one destination always wait equally long.
        assert!(times.values().all(|times| times.len() == 1), "{scope}: {times:?}");
        times.into_values().flatten().collect::<BTreeSet<u64>>()
    };
    assert_eq!(opened("instance").len(), 1, "one draw for all");
    let each = opened("destination");
    assert!(each.len() > 3, "{each:?}");
    assert_eq!(each, opened("destination"), "the seed decides");
}

#[test]
fn s1c_some_connections_to_google_apis_stall_while_others_are_answered() {
    let load = "- {from: api, to: \"storage:443\", count: 200, start: 10s, connectTimeout: 2m}\n";
    let stall = |probability: f64, share: f64| {
        let model = format!(
            "vpcMedian: 1s, pgaStallProbability: {probability}, pgaStallShare: {share}, pgaStallMin: 30s, pgaStallMax: 30s"
        );
        run(&fresh(&model, load))
    };
    let never = stall(0.0, 0.5);
    assert_eq!((never.connections.established, never.packets.dropped), (200, 0));
    let half = stall(1.0, 0.5);
    assert_eq!(half.connections.established, 200, "each is answered in the end");
    // One that is hit sends SYNs at 0, 1, 2, 3, 4, 5, 7, 11 and 19 s, until 31 s are over 21 s later; the next is answered.
    let dropped = half.packets.dropped_by["SIM_EGRESS_NOT_OPEN"];
    assert_eq!(dropped % 9, 0, "{dropped}");
    assert!((70..=130).contains(&(dropped / 9)), "half of 200: {}", dropped / 9);
    assert_eq!(half.connections.connect_time_ms.max.round(), 35_000.0);
    assert_eq!(half.gateways[0].dropped_sent_packets.values().sum::<u64>(), 0, "Cloud NAT has no part in it");
    let all = stall(1.0, 1.0);
    assert_eq!(all.packets.dropped_by["SIM_EGRESS_NOT_OPEN"], 200 * 9);
}

#[test]
fn s1c_nobody_else_stalls_than_instances_that_have_just_started_and_google_apis() {
    let model = "natMedian: 1s, natP90: 1s, natMax: 1s, vpcMedian: 1s, pgaStallProbability: 1, pgaStallShare: 1";
    let partner = "- {from: api, to: \"198.51.100.7:443\", count: 10, start: 10s}\n";
    assert_eq!(run(&fresh(model, partner)).packets.dropped, 0);
    let google = "- {from: api, to: \"storage:443\", count: 10, start: 10s}\n";
    let mut warm = fresh(model, google);
    warm.workloads[0].instances = 1;
    warm.events.clear();
    assert_eq!(run(&warm).packets.dropped, 0);
}

#[test]
fn an_instance_begins_no_more_connections_in_a_second_than_it_may() {
    let yaml = |generation: &str, model: &str, traffic: &str| {
        scenario(&format!(
            "\
duration: 10s
functions: [{{name: fn, region: us-central1, environment: {generation}, instances: 2}}]
hosts: [{{name: partner, address: 198.51.100.7, rtt: 0ms}}]
model: {{cloudRun: {{{model}}}}}
traffic: [{{from: fn, to: \"partner:443\", {traffic}}}]
"
        ))
    };
    let failed = |summary: &Summary| summary.connections.failed_by.get("SIM_CONNECTION_RATE").copied().unwrap_or(0);
    // 1,500 at once are about 750 an instance, of which 500 may begin.
    let burst = run(&yaml("GEN_1", "", "count: 1500"));
    assert_eq!((burst.connections.established, failed(&burst)), (1000, 500));
    assert_eq!(failed(&run(&yaml("GEN_2", "", "count: 1500"))), 0);
    // 900 a second, evenly: neither comes to 500 in most seconds.
    let even = run(&yaml("GEN_1", "", "rate: 800/s, arrivals: constant, lifetime: 0s"));
    assert!(failed(&even) < 10, "{}", failed(&even));
    // What a scenario says holds for all; the lower one counts.
    let said = run(&yaml("GEN_2", "connectionsPerSecond: 10", "count: 100"));
    assert_eq!((said.connections.established, failed(&said)), (20, 80));
    let higher = run(&yaml("GEN_1", "connectionsPerSecond: 700", "count: 1500"));
    assert_eq!(higher.connections.established, 1000);
    // A second later the next may begin.
    let spread =
        run(&yaml("GEN_2", "connectionsPerSecond: 10", "rate: 40/s, arrivals: constant, lifetime: 0s, stop: 5s"));
    assert!((85..=115).contains(&spread.connections.established), "{:?}", spread.connections);
    // Pings are no connections.
    let pings = run(&yaml("GEN_2", "connectionsPerSecond: 10", "protocol: icmp, count: 100"));
    assert_eq!(pings.connections.established, 100);
}

#[test]
fn a_function_of_the_first_generation_carries_100_mbps() {
    let dropped = |generation: &str| {
        let yaml = format!(
            "\
duration: 10s
functions: [{{name: fn, region: us-central1, environment: {generation}, instances: 1}}]
hosts: [{{name: partner, address: 198.51.100.7, rtt: 0ms}}]
traffic: [{{from: fn, to: \"partner:5001\", protocol: udp, rate: 100/s, arrivals: constant, requestBytes: 200kB, responseBytes: 1}}]
"
        );
        run(&scenario(&yaml)).packets.dropped_by.get("SIM_THROUGHPUT_EXCEEDED").copied().unwrap_or(0)
    };
    // 160 Mbps are asked for.
    assert_eq!(dropped("GEN_2"), 0);
    assert!(dropped("GEN_1") > 10_000);
}

const SHARED: &str = "\
networks: [{name: vpc}]
subnetworks: [{name: conn-subnet, network: vpc, region: us-central1, ipCidrRange: 10.8.0.0/28}, {name: apps, network: vpc, region: us-central1, ipCidrRange: 10.9.0.0/24}]
connectors: [{name: projects/app/locations/us-central1/connectors/conn, subnet: {name: conn-subnet, projectId: host}}]
services: [{name: api, region: us-central1, template: {vpcAccess: {connector: conn}}}]
hosts: [{name: db, address: 10.9.0.200, location: vpc, network: vpc}]
";
const TUNNEL: &str = "- {name: serverless-to-vpc-connector, network: vpc, sourceRanges: [35.199.224.0/19], targetTags: [vpc-connector], allowed: [{IPProtocol: tcp, ports: [\"667\"]}, {IPProtocol: udp, ports: [\"665-666\"]}, {IPProtocol: icmp}]}\n";
const CHECKS: &str = "- {name: vpc-connector-health-checks, network: vpc, sourceRanges: [35.191.0.0/16, 35.191.192.0/18, 130.211.0.0/22], targetTags: [vpc-connector], allowed: [{IPProtocol: tcp, ports: [\"667\"]}]}\n";
const FROM_CONNECTOR: &str =
    "- {name: vpc-connector-requests, network: vpc, sourceTags: [vpc-connector], allowed: [{IPProtocol: tcp}]}\n";

/// How a packet to the database ends, and what is said on its way.
fn ending(yaml: &str) -> (Disposition, String) {
    let scenario = scenario(yaml);
    let probe = probe(&scenario, 0, Ipv4Addr::new(10, 9, 0, 200), 5432, Protocol::Tcp).expect("it has an instance");
    let steps = probe.trace.hops.iter().flat_map(|hop| &hop.steps);
    (probe.trace.disposition, steps.map(|step| format!("{}\n", step.description)).collect())
}

#[test]
fn a_shared_vpc_connector_carries_nothing_without_the_rules_that_nobody_makes_for_it() {
    let cause = |rules: &[&str]| {
        let (disposition, told) = ending(&format!("{SHARED}firewalls:\n{}", rules.concat()));
        (disposition.cause().map(|cause| cause.name()), told)
    };
    let (without, told) = cause(&[FROM_CONNECTOR]);
    assert_eq!(without, Some("VPC_CONNECTOR_SERVERLESS_TRAFFIC_BLOCKED"), "{told}");
    assert!(told.contains("reaches VPC connector conn") && told.contains("implied"), "{told}");
    assert_eq!(cause(&[TUNNEL, FROM_CONNECTOR]).0, Some("VPC_CONNECTOR_HEALTH_CHECK_TRAFFIC_BLOCKED"));
    // Google's rules that let connectors in everywhere are missing, too.
    assert_eq!(cause(&[TUNNEL, CHECKS]).0, Some("FIREWALL_RULE"));
    assert_eq!(cause(&[TUNNEL, CHECKS, FROM_CONNECTOR]).0, None);
    // In one project all of this is made.
    let own = SHARED.replace("projectId: host", "projectId: app");
    assert_eq!(ending(&own).0, Disposition::Deliver);
}

#[test]
fn a_rule_that_is_changed_stops_a_connector_and_starts_it_again() {
    let yaml = format!(
        "\
duration: 30s
{}firewalls: [{{name: strict, network: vpc, priority: 50, disabled: true, sourceRanges: [0.0.0.0/0], denied: [{{IPProtocol: tcp, ports: [\"667\"]}}]}}]
traffic: [{{from: api, to: \"db:5432\", rate: 10/s, arrivals: constant, connectTimeout: 500ms}}]
events:
- {{at: 10s, patchFirewall: {{firewall: strict, set: {{disabled: false}}}}}}
- {{at: 20s, patchFirewall: {{firewall: strict, set: {{disabled: true}}}}}}
",
        SHARED.replace("projectId: host", "projectId: app")
    );
    let summary = run(&scenario(&yaml));
    let failed = summary.connections.failed_by["VPC_CONNECTOR_HEALTH_CHECK_TRAFFIC_BLOCKED"];
    assert!((95..=101).contains(&failed), "a third of 300: {failed}");
    assert_eq!(summary.connections.established + failed, 300);
}

/// A capture with one TCP connection that sends a segment of this size.
fn captured(path: &std::path::Path, bytes: u16) {
    let tuple = FiveTuple {
        src: Ipv4Addr::new(192, 168, 1, 5),
        dst: Ipv4Addr::new(198, 51, 100, 7),
        src_port: 40_000,
        dst_port: 443,
        protocol: Protocol::Tcp,
    };
    let mut writer = PacketWriter::create(path).expect("it can be made");
    let mut write = |tuple: FiveTuple, flags, seq, ack, payload| {
        let mut packet = Packet::empty();
        packet.build_tcp(tuple, TcpSegment { flags, seq, ack, payload });
        writer.write(0, packet.bytes(), packet.wire_length()).expect("it can be written");
    };
    write(tuple, tcp_flags::SYN, 1, 0, 0);
    write(tuple.reversed(), tcp_flags::SYN | tcp_flags::ACK, 1, 2, 0);
    write(tuple, tcp_flags::ACK, 2, 2, bytes - 40);
    write(tuple, tcp_flags::ACK, 3000, 2, 100);
    writer.finish().expect("it can be written");
}

#[test]
fn captured_packets_above_the_mtu_pass_with_a_note_but_not_a_connector_in_a_network_with_another_mtu() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let replayed = |bytes: u16, mtu: &str| -> Value {
        captured(&folder.path().join("in.pcap"), bytes);
        let yaml = format!(
            "\
networks: [{{name: vpc{mtu}}}]
connectors: [{{name: conn, region: us-central1, network: vpc, ipCidrRange: 10.8.0.0/28}}]
addresses: [{{name: ip, region: us-central1, address: 203.0.113.10}}]
routers:
- name: router
  network: vpc
  region: us-central1
  nats: [{{name: gw, natIpAllocateOption: MANUAL_ONLY, natIps: [ip], sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES}}]
services: [{{name: api, region: us-central1, template: {{vpcAccess: {{connector: conn, egress: ALL_TRAFFIC}}}}}}]
"
        );
        fs::write(folder.path().join("scenario.yaml"), yaml).expect("it can be written");
        let run = egressim(folder.path())
            .args(["replay", "in.pcap", "--scenario", "scenario.yaml", "--format", "json", "-q"])
            .assert()
            .success();
        serde_json::from_slice(&run.get_output().stdout).expect("one JSON document")
    };
    let fits = replayed(1460, "");
    assert_eq!((&fits["captures"]["aboveMtu"], &fits["packets"]["dropped"]), (&Value::Null, &json!(0)));
    let passes = replayed(1500, "");
    assert_eq!((&passes["captures"]["aboveMtu"], &passes["packets"]["dropped"]), (&json!(1), &json!(0)));
    let held = replayed(1500, ", mtu: 1500");
    assert_eq!(held["packets"]["droppedBy"], json!({"SIM_MTU_EXCEEDED": 1}));
    assert_eq!(held["packets"]["delivered"], json!(3), "smaller ones of the same connection pass");
    assert_eq!(replayed(1460, ", mtu: 1500")["packets"]["dropped"], json!(0));
}

#[test]
fn the_metadata_server_tells_the_address_of_an_instance_with_an_interface() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let yaml = "\
networks: [{name: vpc}]
subnetworks: [{name: apps, network: vpc, region: us-central1, ipCidrRange: 10.9.0.0/24}]
workerPools: [{name: pool, region: us-central1, template: {vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: apps}]}}}]
services: [{name: lone, region: us-central1}]
";
    fs::write(folder.path().join("scenario.yaml"), yaml).expect("it can be written");
    let trace = |from: &str, to: &str, more: &[&str]| {
        let run =
            egressim(folder.path()).args(["trace", "scenario.yaml", "--from", from, "--to", to]).args(more).assert();
        String::from_utf8(run.success().get_output().stdout.clone()).expect("text")
    };
    let path = "/computeMetadata/v1/instance/network-interfaces/0/ip";
    let text = trace("pool", "metadata.google.internal", &[]);
    assert!(text.starts_with("pool -> 169.254.169.254:80/tcp"), "{text}");
    assert!(text.contains(&format!("answered inside the sandbox: {path} is 10.9.0.16")), "{text}");
    assert!(text.contains(&format!("{path}v6 is not there (404)")) && text.ends_with("DELIVER\n"), "{text}");
    let lone = trace("lone", "169.254.169.254:80", &[]);
    assert!(lone.contains(&format!("{path} is not there (404)")), "{lone}");
    // The resolver at the same address says nothing of interfaces.
    assert!(!trace("pool", "169.254.169.254:53", &["--protocol", "udp"]).contains(path));
    let document: Value =
        serde_json::from_str(&trace("pool", "metadata.google.internal:80", &["--format", "json"])).unwrap();
    let answers = json!([
        {"path": path, "status": 200, "body": "10.9.0.16"},
        {"path": format!("{path}v6"), "status": 404},
    ]);
    assert_eq!(document["steps"][1]["metadata"], answers, "{document:#}");
}
