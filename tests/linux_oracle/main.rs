//! The Linux kernel as an oracle: packets that a kernel with nftables has translated or dropped, given to egressim in
//! the same order, at the same times, with as many ports and the same timers.
//!
//! Compared are the verdict of each packet, every byte of what was forwarded, ICMP errors with what they quote, and
//! how many ports are in use for each destination. Port numbers are not: the kernel's are random. Where the two
//! differ, the difference is declared in [`situations`] with its reason and with the very packets it concerns; one
//! that is missing is as wrong as one that is new. `EGRESSIM_DATA` names the folder that holds the recordings;
//! without it there is nothing to do.

mod bytes;
#[path = "../common/mod.rs"]
mod common;
mod comparison;
mod recorded;
mod situations;
mod table;
mod translator;

use std::collections::{BTreeMap, BTreeSet};

use comparison::{Comparison, Kind, compare, icmp_message};
use egressim::network::Network;
use egressim::node::instance::SOCKETS;
use egressim::sim::{Occurrence, Outcome};
use egressim::trace::DropCause;
use egressim::wire::Packet;
use recorded::Recorded;
use situations::{SITUATIONS, Situation};
use table::Table;
use translator::Variant;

#[test]
fn every_packet_fares_as_in_the_linux_kernel_or_differs_as_declared() {
    let Some(data) = common::evidence() else { return };
    let folder = data.join("linux-nat");
    let declared: BTreeSet<String> = SITUATIONS.iter().map(|situation| situation.name.to_owned()).collect();
    assert_eq!(recorded::names(&folder), declared, "every situation that was recorded is known, and no other");

    let mut table = Table::default();
    let mut wrong = Vec::new();
    for situation in SITUATIONS {
        let recorded = Recorded::read(&folder, situation.name);
        let [first, others @ ..] = Variant::ALL.map(|variant| (variant, compare(&recorded, variant)));
        let problems = first.1.problems.iter().cloned().chain(undeclared(situation, &first.1));
        wrong.extend(problems.map(|problem| format!("{}: {problem}", situation.name)));
        for (variant, other) in others.iter().filter(|(_, other)| *other != first.1) {
            wrong.push(format!("{}: {variant:?} gives another result: {other:?}", situation.name));
        }
        table.add(situation, &first.1);
    }
    println!("{table}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| insta::assert_snapshot!("linux_oracle", table.to_string()));
}

/// A client with the address that the recorded one has, and the kernel's address.
const WHOLE_NETWORK: &str = "\
networks: [{name: vpc}]
subnetworks: [{name: sub, network: vpc, region: us-central1, ipCidrRange: 10.0.0.0/28}]
addresses: [{name: ip, region: us-central1, address: 203.0.113.1}]
routers:
- name: router
  network: vpc
  region: us-central1
  nats:
  - name: nat
    natIpAllocateOption: MANUAL_ONLY
    natIps: [ip]
    sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES
services:
- name: client
  region: us-central1
  template: {vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: sub}], egress: ALL_TRAFFIC}}
";

/// The stations of the other test, and all others between an instance and the internet, as a scenario wires them.
#[test]
fn a_ttl_that_runs_out_is_answered_through_a_whole_network_as_by_the_linux_kernel() {
    let Some(data) = common::evidence() else { return };
    let recorded = Recorded::read(&data.join("linux-nat"), "e04_ttl");
    let [expires, passes] = &recorded.sent[..] else { panic!("two packets were sent, with a TTL of 1 and of 2") };
    let scenario = common::scenario(WHOLE_NETWORK);
    let mut network = Network::new(&scenario);
    let instance = network.instances(0)[0].clone();
    assert_eq!(instance.address, bytes::source(&expires.packet), "the instance has the client's address");
    let engine = network.engine_mut();
    engine.make_instant();

    let mut packet = Packet::parse(&expires.packet).expect("it is a packet");
    let outcome = engine.send(instance.site.node, SOCKETS, &mut packet, 0, None);
    assert!(matches!(outcome, Outcome::Dropped(_, DropCause::SimTtlExpired)), "{outcome:?}");
    let Some(Occurrence::Delivered { node, packet: answer, answer: true, .. }) = engine.take_pending() else {
        panic!("nobody answers")
    };
    assert_eq!(node, instance.site.node);
    assert_eq!(icmp_message(answer.bytes()), icmp_message(&expires.answers[0]));

    let mut packet = Packet::parse(&passes.packet).expect("it is a packet");
    let outcome = engine.send(instance.site.node, SOCKETS, &mut packet, 0, None);
    assert!(matches!(outcome, Outcome::Delivered(..)), "{outcome:?}");
    let as_kernel = bytes::readdressed(&passes.onward[0], bytes::End::Source, bytes::source_socket(packet.bytes()));
    assert_eq!(bytes::first_difference(&as_kernel, packet.bytes()), None);
}

/// Differences that are not declared, or not for these packets, and declared ones that are not there.
fn undeclared(situation: &Situation, comparison: &Comparison) -> Vec<String> {
    let mut found: BTreeMap<Kind, Vec<u16>> = BTreeMap::new();
    for &(kind, packet) in &comparison.differences {
        found.entry(kind).or_default().push(packet);
    }
    let mut wrong = Vec::new();
    for declared in situation.differences {
        let packets = packets(declared.packets);
        let of_kind = found.entry(declared.kind).or_default();
        let here: Vec<u16> = of_kind.extract_if(.., |packet| packets.contains(packet)).collect();
        if here.len() != declared.count || BTreeSet::from_iter(here.iter().copied()) != packets {
            let (kind, count, packets) = (declared.kind, declared.count, declared.packets);
            wrong.push(format!("declared are {count} {kind} (id {packets}), found {} (id {here:?})", here.len()));
        }
    }
    for (kind, packets) in found.iter().filter(|(_, packets)| !packets.is_empty()) {
        wrong.push(format!("not declared: {} {kind} (id {packets:?})", packets.len()));
    }
    wrong
}

/// Reads `386-447 449`.
fn packets(text: &str) -> BTreeSet<u16> {
    let number = |text: &str| text.parse::<u16>().expect("a number");
    let ranges = text.split(' ').map(|range| range.split_once('-').unwrap_or((range, range)));
    ranges.flat_map(|(first, last)| number(first)..=number(last)).collect()
}
