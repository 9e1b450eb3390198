//! IPv6: which way it takes, and where Cloud Run has none.
//!
//! Google: dual-stack subnets, with internal or external ranges, carry it with Direct VPC egress
//! (<https://docs.cloud.google.com/run/docs/configuring/vpc-dual-stack-subnet>, 2026). Nothing translates it.

mod common;

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::Path;

use common::scenario;
use egressim::probe::{Probe, probe};
use egressim::report::summary::Summary;
use egressim::scenario::Scenario;
use egressim::simulation::{self, replay};
use egressim::trace::Trace;
use egressim::wire::{Flow, IcmpError, Packet, Protocol, TcpSegment, tcp_flags};

/// A network with an internal and an external dual-stack subnet and one without IPv6, and somebody in each.
const HOUSE: &str = "\
networks: [{name: vpc, enableUlaInternalIpv6: true, internalIpv6Range: \"fd20:1:2::/48\"}]
subnetworks:
- {name: plain, network: vpc, region: r1, ipCidrRange: 10.1.0.0/24}
- name: inside
  network: vpc
  region: r1
  ipCidrRange: 10.2.0.0/24
  stackType: IPV4_IPV6
  ipv6AccessType: INTERNAL
  internalIpv6Prefix: \"fd20:1:2:3::/64\"
- name: outside
  network: vpc
  region: r1
  ipCidrRange: 10.3.0.0/24
  stackType: IPV4_IPV6
  ipv6AccessType: EXTERNAL
  externalIpv6Prefix: \"2001:db8:8:9::/64\"
connectors: [{name: conn, region: r1, network: vpc, ipCidrRange: 10.8.0.0/28}]
addresses: [{name: ip, region: r1, address: 203.0.113.10}]
routers:
- name: router
  network: vpc
  region: r1
  nats: [{name: gw, natIpAllocateOption: MANUAL_ONLY, natIps: [ip], sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES}]
services:
- {name: lone, region: r1}
- {name: behind-connector, region: r1, template: {vpcAccess: {connector: conn, egress: ALL_TRAFFIC}}}
- {name: plain, region: r1, template: {vpcAccess: {networkInterfaces: [{subnetwork: plain}], egress: ALL_TRAFFIC}}}
- {name: inside, region: r1, template: {vpcAccess: {networkInterfaces: [{subnetwork: inside}], egress: ALL_TRAFFIC}}}
- {name: outside, region: r1, template: {vpcAccess: {networkInterfaces: [{subnetwork: outside}], egress: ALL_TRAFFIC}}}
- {name: private, region: r1, template: {vpcAccess: {networkInterfaces: [{subnetwork: outside}]}}}
workerPools:
- {name: pool, region: r1, template: {vpcAccess: {networkInterfaces: [{subnetwork: inside}]}}}
hosts:
- {name: six, address: \"2001:db8:ffff::7\", ports: [443]}
- {name: both, addresses: [198.51.100.7, \"2001:db8:ffff::8\"], ports: [443]}
- {name: db, addresses: [10.2.0.200, \"fd20:1:2:3:0:200::\"], location: vpc, network: vpc, ports: [5432]}
firewalls:
- {name: in, network: vpc, sourceRanges: [\"fd20:1:2::/48\"], allowed: [{IPProtocol: tcp, ports: [\"5432\"]}, {IPProtocol: \"58\"}]}
";

fn walk(scenario: &Scenario, from: &str, to: &str, port: u16, protocol: Protocol) -> Probe {
    let workload = scenario.workloads.iter().position(|workload| workload.name == from).expect("a workload");
    let host = scenario.hosts.iter().find(|host| host.name == to);
    let to = host.map_or_else(|| to.parse::<IpAddr>().expect("an address").into(), |host| host.destination());
    probe(scenario, workload, to, port, protocol).expect("the workload has an instance")
}

fn told(trace: &Trace) -> String {
    let mut text = String::new();
    for step in trace.hops.iter().flat_map(|hop| &hop.steps) {
        text += &format!("  {:<30} {}\n", step.state.name(), step.description);
    }
    let cause = trace.disposition.cause().map_or("", |cause| cause.name());
    text + format!("{} {cause}", trace.disposition.name()).trim_end() + "\n"
}

/// Every workload, to all kinds of IPv6 destinations.
#[test]
fn ipv6_goes_where_dual_stack_subnets_carry_it() {
    let scenario = scenario(HOUSE);
    let mut text = String::new();
    for (from, to, port, protocol) in [
        // Without a dual-stack subnet there is no IPv6, whatever the way out.
        ("lone", "six", 443, Protocol::Tcp),
        ("behind-connector", "six", 443, Protocol::Tcp),
        ("plain", "six", 443, Protocol::Tcp),
        // An internal address does not reach the internet: no Cloud NAT translates it.
        ("inside", "six", 443, Protocol::Tcp),
        // An external one does, as it is.
        ("outside", "six", 443, Protocol::Tcp),
        // Cloud Run's own way to the internet has IPv4 only.
        ("private", "six", 443, Protocol::Tcp),
        // Inside the network all of them have a route, and the firewall has its say.
        ("inside", "fd20:1:2:3:0:200::", 5432, Protocol::Tcp),
        ("private", "fd20:1:2:3:0:200::", 5432, Protocol::Tcp),
        ("inside", "fd20:1:2:3:0:200::", 22, Protocol::Tcp),
        ("inside", "fd20:1:2:3:0:200::", 0, Protocol::Icmp),
        // The range is a subnet's, and nothing has the address.
        ("inside", "fd20:1:2:3:ffff::", 5432, Protocol::Tcp),
        ("inside", "ff02::1", 5432, Protocol::Udp),
    ] {
        let Probe { flow, trace, reply, .. } = walk(&scenario, from, to, port, protocol);
        let flow = flow.expect("it was sent");
        text += &format!("{from}: {flow}\n{}", told(&trace));
        if let Some(reply) = reply {
            text += &format!("reply\n{}", told(&reply));
        }
        text += "\n";
    }
    insta::assert_snapshot!(text);
}

#[test]
fn of_two_addresses_a_client_takes_the_one_that_rfc_6724_prefers() {
    let scenario = scenario(HOUSE);
    let chosen = |from: &str, to: &str| {
        walk(&scenario, from, to, 443, Protocol::Tcp).flow.expect("it was sent").dst().to_string()
    };
    // Only an external IPv6 address and all-traffic reach the internet by IPv6; the label of a unique local one differs.
    for from in ["lone", "behind-connector", "plain", "inside", "private"] {
        assert_eq!(chosen(from, "both"), "198.51.100.7", "{from}");
    }
    assert_eq!(chosen("outside", "both"), "2001:db8:ffff::8");
    // Among unique local addresses IPv4 has the higher precedence.
    assert_eq!(chosen("inside", "db"), "10.2.0.200");
}

#[test]
fn google_apis_are_reached_by_ipv6_with_private_google_access_and_a_route() {
    let with = |extra: &str| {
        let text = HOUSE.replace("internalIpv6Prefix: ", "privateIpGoogleAccess: true\n  internalIpv6Prefix: ");
        scenario(&(text + extra))
    };
    // The private virtual address of Google's APIs.
    let to = "2600:2d00:2:2000::";
    let trace = walk(&with(""), "inside", to, 443, Protocol::Tcp).trace;
    assert_eq!(trace.disposition.name(), "DELIVER", "\n{}", told(&trace));
    // Without an external range there is no default route for IPv6.
    let internal_only = HOUSE
        .replace("EXTERNAL", "INTERNAL")
        .replace("externalIpv6Prefix: \"2001:db8:8:9", "internalIpv6Prefix: \"fd20:1:2:9");
    let internal_only =
        internal_only.replace("internalIpv6Prefix: ", "privateIpGoogleAccess: true\n  internalIpv6Prefix: ");
    let trace = walk(&scenario(&internal_only), "inside", to, 443, Protocol::Tcp).trace;
    assert_eq!(trace.disposition.cause().map(|cause| cause.name()), Some("NO_ROUTE"), "\n{}", told(&trace));
    let routed = internal_only
        + "routes: [{name: apis, network: vpc, destRange: \"2600:2d00:2:2000::/64\", nextHopGateway: default-internet-gateway}]\n";
    let trace = walk(&scenario(&routed), "inside", to, 443, Protocol::Tcp).trace;
    assert_eq!(trace.disposition.name(), "DELIVER", "\n{}", told(&trace));
}

fn run(text: &str) -> Summary {
    let summary =
        simulation::run(&scenario(text), None, &mut |_| ControlFlow::Continue(())).expect("nothing is written");
    let packets = &summary.packets;
    assert_eq!(packets.sent, packets.delivered + packets.dropped + packets.in_flight);
    summary
}

#[test]
fn a_load_by_ipv6_takes_no_nat_ports() {
    let load =
        |from: &str, to: &str| run(&format!("{HOUSE}traffic: [{{from: {from}, to: \"{to}:443\", count: 100}}]\n"));
    // All of them get there, though a VM has 64 ports.
    let external = load("outside", "both");
    assert_eq!((external.connections.established, external.connections.failed), (100, 0));
    assert!(external.gateways[0].endpoints.iter().all(|endpoint| endpoint.ports.peak_port_usage == 0));
    // The same names from an internal range: IPv4, and Cloud NAT.
    let internal = load("inside", "both");
    assert!(internal.gateways[0].endpoints.iter().any(|endpoint| endpoint.ports.peak_port_usage == 64));
}

#[test]
fn without_ipv6_a_client_is_told_so_at_once_and_sends_nothing() {
    let load = |from: &str, to: &str| run(&format!("{HOUSE}traffic: [{{from: {from}, to: \"{to}:443\", count: 3}}]\n"));
    for from in ["lone", "behind-connector", "plain"] {
        let summary = load(from, "six");
        assert_eq!(summary.connections.failed_by["SIM_IPV6_UNAVAILABLE"], 3, "{from}");
        assert_eq!(summary.packets.sent, 0, "{from}");
        // With an IPv4 address beside it nobody notices.
        assert_eq!(load(from, "both").connections.established, 3, "{from}");
    }
    // No retries, either, where the instance itself has no way: three SYNs.
    let summary = load("private", "six");
    assert_eq!((summary.connections.failed_by["SIM_IPV6_UNAVAILABLE"], summary.packets.sent), (3, 3));
}

#[test]
fn larger_answers_come_in_segments_that_the_mtu_carries() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out");
    let text = format!(
        "{HOUSE}traffic: [{{from: outside, to: \"six:443\", count: 1, requestBytes: 5000, responseBytes: 5000}}]\n"
    );
    simulation::run(&scenario(&text), Some(&out), &mut |_| ControlFlow::Continue(())).expect("it is writable");
    let mut reader = egressim::capture::Reader::open(&out.join("capture.pcapng")).expect("it is a capture");
    let mut longest = 0;
    while let Some(frame) = reader.next_frame() {
        longest = longest.max(frame.bytes.len());
    }
    // 1,400 bytes of payload and 60 of headers.
    assert_eq!(longest, 1460);
}

/// Writes packets as raw IP, one a second.
fn capture(path: &Path, packets: &[Packet]) {
    let mut writer = egressim::capture::PacketWriter::create(path).expect("it is writable");
    for (second, packet) in packets.iter().enumerate() {
        writer.write(second as u64 * 1_000_000_000, packet.bytes(), packet.wire_length()).expect("it is writable");
    }
    writer.finish().expect("it is writable");
}

fn packets(path: &Path) -> Vec<Packet> {
    let mut reader = egressim::capture::Reader::open(path).expect("it is a capture");
    let mut packets = Vec::new();
    while let Some(frame) = reader.next_frame() {
        packets.push(Packet::parse(frame.bytes).expect("what is written is valid"));
    }
    packets
}

/// A client's handshake and first byte, and an answer that somebody on the way found too big.
fn conversation(client: &str, server: &str) -> Vec<Packet> {
    let end = |text: &str, port| (text.parse::<IpAddr>().expect("an address"), port);
    let there = Flow::between(end(client, 50_000), end(server, 443), Protocol::Tcp).expect("one version");
    let segment = |flow: Flow, flags, seq, ack, payload| {
        let mut packet = Packet::empty();
        packet.build_tcp(flow, TcpSegment { flags, seq, ack, payload });
        packet
    };
    let ack = tcp_flags::ACK;
    let data = segment(there, ack, 2, 2, 100);
    let mut error = Packet::empty();
    let router = "2001:db8:abcd::1".parse::<IpAddr>().expect("an address");
    assert!(error.build_icmp_error(IcmpError::NetworkUnreachable, &data, router));
    vec![
        segment(there, tcp_flags::SYN, 1, 0, 0),
        segment(there.reversed(), tcp_flags::SYN | ack, 1, 2, 0),
        segment(there, ack, 2, 2, 0),
        data,
        error,
    ]
}

fn replayed(text: &str, from: &str, capture: &Path, write: &Path) -> Summary {
    let scenario = scenario(text);
    let from = scenario.workloads.iter().position(|workload| workload.name == from).expect("a workload");
    let options =
        replay::Options { captures: vec![capture.into()], from, write: Some(write.into()), ..Default::default() };
    replay::replay(&scenario, &options, &mut |_| ControlFlow::Continue(())).expect("it can be replayed")
}

#[test]
fn a_captured_ipv6_conversation_is_carried_where_the_network_carries_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (input, output) = (folder.path().join("in.pcap"), folder.path().join("out.pcap"));
    capture(&input, &conversation("fe80::1234", "2001:db8:ffff::7"));

    let summary = replayed(HOUSE, "outside", &input, &output);
    assert_eq!((summary.packets.sent, summary.packets.dropped), (5, 0));
    assert_eq!(summary.connections.established, 1);
    let seen = packets(&output);
    let own = "2001:db8:8:9:0:1::".parse::<IpAddr>().expect("an address");
    for (packet, outbound) in seen.iter().zip([true, false, true, true, false]) {
        assert_eq!(if outbound { packet.source() } else { packet.destination() }, own);
    }
    // The error quotes what the internet saw.
    let quoted = seen[4].embedded_flow().expect("it quotes a packet");
    assert_eq!((quoted.src(), quoted.dst_port()), (own, 443));

    // An internal address gets nowhere, and an instance without IPv6 sends nothing.
    let summary = replayed(HOUSE, "inside", &input, &output);
    assert_eq!(summary.packets.dropped_by["NO_EXTERNAL_ADDRESS"], 1);
    let summary = replayed(HOUSE, "plain", &input, &output);
    assert_eq!(summary.packets.dropped_by["SIM_IPV6_UNAVAILABLE"], 4);
    assert_eq!(summary.packets.dropped_by["SIM_REPLY_WITHOUT_REQUEST"], 1, "the error is about nothing that was sent");
    assert!(packets(&output).is_empty());
}

#[test]
fn a_worker_pool_is_reached_by_its_ipv6_address() {
    let scenario = scenario(HOUSE);
    // The fourth and last instance in its subnet.
    let pool = walk(&scenario, "pool", "fd20:1:2:3:0:200::", 5432, Protocol::Tcp).flow.expect("it was sent").src();
    let there = walk(&scenario, "private", &pool.to_string(), 5432, Protocol::Tcp).trace;
    // From an external address, which the rule does not name.
    assert_eq!(there.disposition.cause().map(|cause| cause.name()), Some("FIREWALL_RULE"), "\n{}", told(&there));
    let there = walk(&scenario, "inside", &pool.to_string(), 5432, Protocol::Tcp).trace;
    assert_eq!(there.disposition.name(), "DELIVER", "\n{}", told(&there));
}
