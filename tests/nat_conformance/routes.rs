//! Which address, by which way, and what is told of it.

use std::net::Ipv4Addr;
use std::ops::ControlFlow;

use egressim::node::nat::{Config, Rule, RuleMatch};
use egressim::report::summary::Summary;
use egressim::simulation;
use egressim::trace::DropCause::{
    ForeignIpDisallowed, NoExternalAddress, OutOfResources, SimMappingLost, SimUnsolicited,
};
use egressim::wire::{FiveTuple, Protocol};
use serde_json::Value;

use crate::common::{json_lines, scenario};
use crate::harness::{NAT_IP, Nat, dynamic, nat_ips, ports};
use crate::house::{HOUSE, House, walk};
use crate::packets::{SERVER, answer, data, each_protocol, first, syn, tcp, to, udp};

/// Two VMs in a subnet with a range for aliases; one of them has an external address of its own.
const VMS: &str = "\
networks: [{name: vpc}]
subnetworks:
- name: app
  network: vpc
  region: us-central1
  ipCidrRange: 10.9.0.0/24
  secondaryIpRanges: [{rangeName: pods, ipCidrRange: 10.60.0.0/20}]
addresses: [{name: ip, region: us-central1, address: 203.0.113.10}]
routers:
- name: router
  network: vpc
  region: us-central1
  nats: [{name: gw, natIpAllocateOption: MANUAL_ONLY, natIps: [ip], sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES}]
instances:
- name: plain
  zone: us-central1-a
  networkInterfaces: [{subnetwork: app, networkIP: 10.9.0.2}]
- name: public
  zone: us-central1-a
  networkInterfaces:
  - subnetwork: app
    networkIP: 10.9.0.3
    accessConfigs: [{natIP: 203.0.113.99}]
    aliasIpRanges: [{ipCidrRange: 10.60.1.0/24, subnetworkRangeName: pods}]
hosts: [{name: partner, address: 198.51.100.7}]
";

pub fn own_external_address() {
    let mut house = House::new(VMS);
    let served: Vec<_> = house
        .gateway()
        .endpoints()
        .iter()
        .map(|endpoint| (endpoint.config().name.to_string(), endpoint.config().serves_primary))
        .collect();
    assert_eq!(served, [("plain".into(), true), ("public".into(), false)], "whose primary address has NAT ports");

    let from = |src: [u8; 4]| data(FiveTuple { src: src.into(), ..udp(0, 5000) });
    let plain = house.send_from("plain", from([10, 9, 0, 2]));
    assert_eq!((plain.end, plain.packet.src()), (Ok("partner".into()), NAT_IP));
    let alias = house.send_from("public", from([10, 60, 1, 7]));
    assert_eq!((alias.end, alias.packet.src()), (Ok("partner".into()), NAT_IP), "its alias range uses Cloud NAT");
    let primary = house.send_from("public", from([10, 9, 0, 3]));
    let outside = primary.packet.five_tuple().expect("it is still one of the flow");
    assert_eq!((primary.end, outside.src), (Ok("partner".into()), [203, 0, 113, 99].into()), "by its own address");
    assert_eq!(outside.src_port, 5000, "whose ports are its own");
    assert_eq!(house.send_from("partner", data(outside.reversed())).end, Ok("public".into()));
    assert_eq!(house.gateway().live_mappings(), 2, "it takes no port of Cloud NAT");
}

/// A database in the VPC network, and routes that lead elsewhere.
const ELSEWHERE: &str = "\
- {name: database, address: 10.9.0.200, location: vpc, network: vpc}
firewalls: [{name: inside, network: vpc, sourceRanges: [10.9.0.0/24], allowed: [{IPProtocol: all}]}]
routes:
- {name: to-peer, network: vpc, destRange: 10.50.0.0/16, nextHopPeering: peer}
- {name: to-office, network: vpc, destRange: 198.51.100.0/25, nextHopVpnTunnel: office}
- {name: to-filter, network: vpc, destRange: 192.0.2.0/24, priority: 900, nextHopIlb: 10.9.0.99}
- {name: to-internet, network: vpc, destRange: 192.0.2.0/24, priority: 1000, nextHopGateway: default-internet-gateway}
";

pub fn next_hops() {
    let yaml = HOUSE.to_owned() + ELSEWHERE;
    for (destination, end, is_translated, why) in [
        ([10, 9, 0, 200], "DELIVER", false, "inside the network"),
        ([10, 50, 0, 1], "FORWARD", false, "in a peered network"),
        ([198, 51, 100, 7], "FORWARD", false, "the longer prefix leads into a tunnel"),
        ([198, 51, 100, 200], "DELIVER", true, "beyond that prefix the default route has it"),
        ([192, 0, 2, 99], "FORWARD", false, "of two equal prefixes the better priority leads to a load balancer"),
        ([10, 51, 0, 1], "PRIVATE_TRAFFIC_TO_INTERNET", false, "a private address is not for the internet"),
    ] {
        let walk = walk(&yaml, destination.into(), 443);
        assert_eq!((walk.end(), walk.is_translated()), (end, is_translated), "{why}:{}", walk.text());
    }
    // Two halves of everything are longer than the default route.
    let halves = "\
routes:
- {name: low, network: vpc, destRange: 0.0.0.0/1, nextHopIp: 10.9.0.99}
- {name: high, network: vpc, destRange: 128.0.0.0/1, nextHopIp: 10.9.0.99}
";
    let walk = walk(&(HOUSE.to_owned() + halves), SERVER, 443);
    assert_eq!((walk.end(), walk.is_translated()), ("FORWARD", false), "{}", walk.text());
}

pub fn spoofed_source() {
    let mut house = House::new(HOUSE);
    let (own, neighbour) = (house.instance(0), house.instance(1));
    // An instance of the same service, an unused address of the subnet, the NAT IP, a public address, no address.
    let strangers = [neighbour, [10, 9, 0, 250].into(), NAT_IP, [198, 51, 100, 9].into(), Ipv4Addr::UNSPECIFIED];
    for src in strangers {
        for flow in each_protocol(0, 5000) {
            let sent = house.send(0, first(FiveTuple { src, ..flow }));
            assert_eq!(sent.end, Err(ForeignIpDisallowed), "an instance as {src}");
        }
    }
    assert_eq!(house.gateway().live_mappings(), 0, "no such packet reached Cloud NAT");
    assert!(house.send(0, first(FiveTuple { src: own, ..tcp(0, 5000) })).end.is_ok(), "its own address is no problem");

    // Behind a connector nobody but the instance could tell: its VM puts its own address on whatever it is given.
    let direct = "networkInterfaces: [{network: vpc, subnetwork: app}]";
    assert!(HOUSE.contains(direct));
    let connector = "connectors: [{name: conn, region: us-central1, network: vpc, ipCidrRange: 10.8.0.0/28}]\n";
    let mut house = House::new(&(HOUSE.replace(direct, "connector: conn") + connector));
    let (own, neighbour) = (house.instance(0), house.instance(1));
    for src in [neighbour, [10, 8, 0, 2].into(), NAT_IP] {
        let sent = house.send(0, data(FiveTuple { src, ..udp(0, 5000) }));
        assert_eq!(sent.end, Err(ForeignIpDisallowed), "an instance behind a connector as {src}");
    }
    assert_eq!(house.gateway().live_mappings(), 0);
    assert!(house.send(0, data(FiveTuple { src: own, ..udp(0, 5000) })).end.is_ok());

    let mut house = House::new(VMS);
    for src in [[10, 9, 0, 3], [10, 60, 1, 7], [203, 0, 113, 10]] {
        let sent = house.send_from("plain", data(FiveTuple { src: src.into(), ..udp(0, 5000) }));
        assert_eq!(sent.end, Err(ForeignIpDisallowed), "a VM as {src:?}");
    }
    assert_eq!(house.gateway().live_mappings(), 0);
}

/// The gateway's own NAT IP is the first one; a rule for a range of destinations has others.
fn with_rule(active: &[Ipv4Addr], draining: &[Ipv4Addr]) -> Config {
    let range = "198.51.100.0/28".parse().expect("a range");
    let rule = Rule {
        number: 100,
        matches: RuleMatch::Destination(vec![range]),
        nat_ips: active.to_vec(),
        drain_nat_ips: draining.to_vec(),
    };
    Config { rules: vec![rule], ..ports(64) }
}

pub fn rules() {
    let [_, second, third] = nat_ips(3)[..] else { unreachable!("there are three") };
    let (in_range, elsewhere) = (tcp(0, 5000), to(Ipv4Addr::new(198, 51, 100, 16), tcp(0, 5000)));
    let mut nat = Nat::new(with_rule(&[second], &[]), 1);
    let old = nat.open(in_range).expect("there are free ports under the rule");
    assert_eq!(old.src, second, "the rule's NAT IP");
    assert_eq!(nat.open(elsewhere).map(|outside| outside.src), Ok(NAT_IP), "the default rule's for all others");
    // Ports of one rule are no ports of another: 64 each.
    (1..64).for_each(|port| _ = nat.open(tcp(0, 5000 + port)).expect("the rule has 64 ports"));
    assert_eq!(nat.send(tcp(0, 6000), syn), Err(OutOfResources), "though the default rule has 64 that are free");
    // The address is drained: what is open keeps it, what is new has another.
    nat.at(1).reconfigure(with_rule(&[third], &[second]));
    assert_eq!(nat.send(in_range, data), Ok(old), "an old connection sends as before");
    assert_eq!(nat.reply(old, data), Ok(in_range.reversed()), "and receives");
    assert_eq!(nat.open(tcp(0, 6000)).map(|outside| outside.src), Ok(third));
    // The address is gone: so is what was open on it.
    nat.at(2).reconfigure(with_rule(&[third], &[]));
    assert_eq!(nat.reply(old, data), Err(SimMappingLost));
    // The rule is gone, and then its connections are.
    let by_rule = nat.open(tcp(0, 7000)).expect("there are free ports under the rule");
    nat.at(3).reconfigure(ports(64));
    assert_eq!(nat.reply(by_rule, data), Err(SimMappingLost), "the rule's connections end with it");
    assert_eq!(nat.open(tcp(0, 7000)).map(|outside| outside.src), Ok(NAT_IP), "the default rule has what comes now");
    // A rule that comes later is for connections that come later.
    let mut nat = Nat::new(ports(64), 1);
    let old = nat.open(in_range).expect("there are free ports");
    nat.reconfigure(with_rule(&[second], &[]));
    assert_eq!(nat.send(in_range, data), Ok(old), "who has a port of the default rule keeps it");
    assert_eq!(nat.open(tcp(0, 5001)).map(|outside| outside.src), Ok(second));
    rule_removed_from_a_scenario();
}

/// The same as a run: two connections by a rule's address, until an event takes the rule away.
fn rule_removed_from_a_scenario() {
    let yaml = HOUSE
        .replace("address: 203.0.113.10}", "address: 203.0.113.10}, {name: ip-2, region: us-central1, address: 203.0.113.11}")
        .replace(
            "{name: gw, ",
            "{name: gw, logConfig: {enable: true}, rules: [{ruleNumber: 100, match: \"destination.ip == '198.51.100.7'\", \
             action: {sourceNatActiveIps: [ip-2]}}], ",
        )
        + "\
duration: 10s
traffic: [{from: api, to: 198.51.100.7:443, count: 2, lifetime: 1m, requestBytes: 0, responseBytes: 0, closedBy: nobody}]
events: [{at: 5s, patchNat: {gateway: gw, set: {rules: []}}}]
";
    let recorded = record(&yaml);
    assert_eq!(recorded.summary.connections.established, 2);
    let nat_ips: Vec<_> = recorded.log.iter().map(|entry| &entry["jsonPayload"]["connection"]["nat_ip"]).collect();
    assert_eq!(nat_ips, ["203.0.113.11", "203.0.113.11"], "both leave by the rule's address");
    let closed = recorded
        .metrics
        .iter()
        .filter(|series| series["metric"]["type"] == "compute.googleapis.com/nat/closed_connections_count");
    let closed: Vec<_> = closed.map(|series| &series["points"][0]["value"]["int64Value"]).collect();
    assert_eq!(closed, ["1", "1"], "for each instance, its own connection has ended with the rule");
}

/// What a run leaves behind.
struct Recorded {
    summary: Summary,
    log: Vec<Value>,
    metrics: Vec<Value>,
}

/// Runs a scenario with its output files.
fn record(yaml: &str) -> Recorded {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let target = folder.path().join("out");
    let summary = simulation::run(&scenario(yaml), Some(&target), &mut |_| ControlFlow::Continue(())).expect("it runs");
    let [log, metrics] = ["nat_flows.jsonl", "metrics.jsonl"].map(|file| json_lines(&target.join(file)));
    Recorded { summary, log, metrics }
}

pub fn reconfiguration() {
    let open_all = |nat: &mut Nat, count: u16| {
        (0..count).map(|port| nat.open(tcp(0, 5000 + port)).expect("there are free ports")).collect::<Vec<_>>()
    };
    // More ports break nothing.
    let mut nat = Nat::new(ports(64), 2);
    let open = open_all(&mut nat, 64);
    nat.at(1).reconfigure(ports(128));
    for (outside, port) in open.iter().zip(5000..) {
        assert_eq!(nat.reply(*outside, data), Ok(tcp(0, port).reversed()), "more ports");
    }
    assert!(nat.open(tcp(0, 6000)).is_ok(), "and there are more");
    // Fewer end, at once and without a word, what is on the ports that are lost. There is no draining of ports.
    for (before, after) in [(128, 64), (64, 32), (1024, 2)] {
        let mut nat = Nat::new(ports(before), 1);
        let open = open_all(&mut nat, before as u16);
        nat.at(1).reconfigure(ports(after));
        assert_eq!(nat.gateway().reservation(0, 0).ports(), after, "from {before} to {after}");
        for (index, outside) in open.iter().enumerate() {
            let expected = if index < after as usize { Ok(()) } else { Err(SimMappingLost) };
            assert_eq!(nat.reply(*outside, data).map(|_| ()), expected, "from {before} to {after}: connection {index}");
        }
        // What was taken away is there for others.
        nat.add_vm(1);
        assert!(nat.open(tcp(1, 5000)).is_ok());
    }
    // To dynamic allocation with room enough nothing breaks, and back from it everything does.
    let mut nat = Nat::new(ports(64), 1);
    let open = open_all(&mut nat, 64);
    nat.at(1).reconfigure(dynamic(64, 1024));
    assert!(open.iter().all(|outside| nat.reply(*outside, data).is_ok()), "dynamic allocation on");
    nat.at(2).reconfigure(ports(64));
    assert!(open.iter().all(|outside| nat.reply(*outside, data) == Err(SimMappingLost)), "and off");
    // Other settings interrupt nothing.
    let mut nat = Nat::new(ports(64), 1);
    let open = open_all(&mut nat, 64);
    nat.at(1).reconfigure(Config { endpoint_independent: true, nat_ips: nat_ips(2), ..ports(64) });
    assert!(
        open.iter().all(|outside| nat.reply(*outside, data).is_ok()),
        "endpoint-independent mapping, another address"
    );
    // A source that is served no more: its flows end. To the gateway that is an endpoint that leaves.
    let flow = tcp(0, 5000);
    nat.at(2).remove_vm(0);
    assert_eq!(nat.send(flow, data), Err(NoExternalAddress), "the source is served no more");
    assert_eq!(nat.reply(open[0], data), Err(SimMappingLost));
}

pub fn hairpin() {
    let mut house = House::new(HOUSE);
    let [a, b] = [house.instance(0), house.instance(1)];
    for flow in each_protocol(0, 5000) {
        // B has a port outside, towards the partner. A sends to that port.
        let from_b = house.send(1, first(FiveTuple { src: b, ..flow }));
        let outside_b = from_b.packet.five_tuple().expect("it was translated");
        assert_eq!((from_b.end, outside_b.src), (Ok("partner".into()), NAT_IP));
        let dst_port = if flow.protocol == Protocol::Icmp { 0 } else { outside_b.src_port };
        let to_b = FiveTuple { src: a, dst: NAT_IP, dst_port, ..flow };
        let from_a = house.send(0, first(to_b));
        assert_eq!(from_a.end, Err(SimUnsolicited), "{to_b}: B has never sent to the NAT IP");
        assert_eq!(from_a.packet.src(), NAT_IP, "it was on its way back in, with its source translated");
        assert!(from_a.answers.is_empty(), "nobody is told");
    }
    // Nor does it matter that both are one and the same, even when the port it goes to is the one that it comes from.
    let own =
        house.send(0, first(FiveTuple { src: a, ..tcp(0, 5000) })).packet.five_tuple().expect("it was translated");
    let to_itself = FiveTuple { src: a, dst: NAT_IP, dst_port: own.src_port, ..tcp(0, 6000) };
    assert_eq!(house.send(0, syn(to_itself)).end, Err(SimUnsolicited));
    // Two that send to each other's ports have both been sent to, and still nothing comes back in.
    let ports = [0, 1].map(|index| {
        let block = house.gateway().reservation(2 * index, 0).blocks().next().expect("each instance has ports");
        block.first()
    });
    for (index, port) in [(0, ports[1]), (1, ports[0])] {
        let to_the_other = FiveTuple { src: house.instance(index), dst: NAT_IP, dst_port: port, ..udp(0, 7000) };
        assert_eq!(house.send(index, data(to_the_other)).end, Err(SimUnsolicited), "{to_the_other}");
    }
    let reply = house.send_from("partner", answer(own.reversed()));
    assert_eq!(reply.end, Ok("api-1".into()), "who was asked gets in as before");

    // What Google documents: another VM's own external address is reached, from the NAT IP, though it is in the same
    // network.
    let allow =
        "firewalls: [{name: in, network: vpc, sourceRanges: [203.0.113.10/32], allowed: [{IPProtocol: all}]}]\n";
    let mut house = House::new(&(VMS.to_owned() + allow));
    for flow in each_protocol(0, 5000) {
        let flow = FiveTuple { src: [10, 9, 0, 2].into(), dst: [203, 0, 113, 99].into(), ..flow };
        let there = house.send_from("plain", first(flow));
        let arrived = there.packet.five_tuple().expect("it was translated");
        let ends = (arrived.src, arrived.dst, there.end);
        assert_eq!(ends, (NAT_IP, [10, 9, 0, 3].into(), Ok("public".into())), "{flow}");
        let back = house.send_from("public", answer(arrived.reversed()));
        assert_eq!((back.end, back.packet.five_tuple()), (Ok("plain".into()), Some(flow.reversed())), "{flow}");
    }
}

/// The entries of a run in which each of TCP and UDP opens two connections and finds no port for a third; ICMP, too.
fn log_entries(log_config: &str) -> Vec<Value> {
    let gateway = "nats: [{name: gw, ";
    assert!(HOUSE.contains(gateway) && HOUSE.contains("instances: 2"));
    let yaml = HOUSE
        .replace(gateway, &format!("{gateway}minPortsPerVm: 2, {log_config}"))
        .replace("instances: 2", "instances: 1")
        + "\
duration: 5s
traffic:
- {name: tcp, from: api, to: 198.51.100.7:443, count: 3, lifetime: 1m, connectTimeout: 500ms}
- {name: udp, from: api, to: 198.51.100.7:53, protocol: udp, count: 3}
- {name: icmp, from: api, to: 198.51.100.7, protocol: icmp, count: 3}
";
    let Recorded { summary, log, .. } = record(&yaml);
    assert!(summary.packets.dropped_by["OUT_OF_RESOURCES"] >= 3, "each protocol lacks a port: {:?}", summary.packets);
    log
}

pub fn logs() {
    for (log_config, expected) in [
        ("logConfig: {enable: true, filter: ALL}, ", &["DROPPED", "OK"][..]),
        ("logConfig: {enable: true}, ", &["DROPPED", "OK"]),
        ("logConfig: {enable: true, filter: TRANSLATIONS_ONLY}, ", &["OK"]),
        ("logConfig: {enable: true, filter: ERRORS_ONLY}, ", &["DROPPED"]),
        ("logConfig: {enable: false, filter: ALL}, ", &[]),
        ("", &[]),
    ] {
        let entries = log_entries(log_config);
        for status in ["OK", "DROPPED"] {
            for (protocol, name) in [(6, "TCP"), (17, "UDP")] {
                let count = entries
                    .iter()
                    .map(|entry| &entry["jsonPayload"])
                    .filter(|entry| entry["allocation_status"] == status)
                    .filter(|entry| entry["connection"]["protocol"] == protocol)
                    .count();
                let wanted = match (expected.contains(&status), status) {
                    (false, _) => 0,
                    (true, "OK") => 2,
                    (true, _) => 1,
                };
                assert_eq!(count, wanted, "{log_config:?}: {name} {status}");
            }
        }
        for entry in &entries {
            let (status, connection) =
                (&entry["jsonPayload"]["allocation_status"], &entry["jsonPayload"]["connection"]);
            assert_ne!(connection["protocol"], 1, "{log_config:?}: ICMP is never logged");
            let has_nat_ip = connection.get("nat_ip").is_some();
            assert_eq!(has_nat_ip, status == "OK", "{log_config:?}: {connection}");
            assert_eq!(connection.get("nat_port").is_some(), has_nat_ip, "{log_config:?}: {connection}");
            let label = &entry["labels"]["nat.googleapis.com/nat_ip"];
            assert_eq!(label.is_string(), has_nat_ip, "{log_config:?}: {entry}");
        }
    }
}
