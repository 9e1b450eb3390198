//! The firewall by itself.

mod direct_vpc;
mod policies;
mod reference;
mod rules;
mod tracking;

use std::net::Ipv4Addr;

use super::*;
use crate::trace::Step;
use crate::trace::info::Resource;
use crate::wire::{FiveTuple, Protocol, TcpSegment};

const OUTSIDE: &str = "198.51.100.7";
const STRANGER: &str = "198.51.100.8";
/// The addresses of interfaces `a` and `b`.
const A: &str = "10.9.0.2";
const B: &str = "10.9.0.3";

/// A rule about everything.
fn rule(name: &str, priority: u32, action: Action, ingress: bool) -> Rule {
    Rule {
        name: name.into(),
        ingress,
        priority,
        action,
        matches: vec![ProtocolMatch { protocol: None, ports: vec![] }],
        source: None,
        destination: None,
        targets: Targets::default(),
        disabled: false,
        by_google: false,
        security_profile_group: None,
    }
}

fn ranges(texts: &[&str]) -> Ranges {
    texts.iter().map(|text| text.parse::<IpNet>().unwrap()).collect()
}

fn from_ranges(texts: &[&str]) -> Option<Peers> {
    Some(Peers { ranges: ranges(texts), ..Peers::default() })
}

fn on(protocol: u8, ports: &[(u16, u16)]) -> Vec<ProtocolMatch> {
    vec![ProtocolMatch { protocol: Some(protocol), ports: ports.to_vec() }]
}

/// A VM with a network tag and a service account of its own.
fn vm(name: &str, address: &str, tag: &str) -> Interface {
    Interface {
        region: Some("us-central1".into()),
        tags: vec![tag.into()],
        service_account: Some(format!("{name}@p.iam.gserviceaccount.com")),
        ..Interface::vm(name.into(), [address.parse::<IpNet>().unwrap()])
    }
}

/// Layers around VMs `a` (tag `web`) and `b` (tag `db`).
fn layered(layers: Vec<Layer>, policies_first: bool) -> (Firewall, PortId, PortId) {
    let mut firewall = Firewall::new("vpc".into(), layers, policies_first, WhenFull::ByKind);
    let a = firewall.attach(vm("a", "10.9.0.2/32", "web"));
    let b = firewall.attach(vm("b", "10.9.0.3/32", "db"));
    (firewall, a, b)
}

/// VPC firewall rules around VMs `a` and `b`.
fn firewall(rules: Vec<Rule>) -> (Firewall, PortId, PortId) {
    layered(vec![Layer::vpc_rules(rules)], false)
}

/// A policy of this kind.
fn policy(kind: LayerKind, name: &str, rules: Vec<Rule>) -> Layer {
    let policy = Policy { name: name.into(), resource: Resource::global("firewallPolicies", name), priority: None };
    let region = (kind == LayerKind::RegionalNetwork).then(|| "us-central1".into());
    Layer::policy(kind, policy, region, rules)
}

fn tuple(src: &str, dst: &str, dst_port: u16, protocol: Protocol) -> FiveTuple {
    let ip = |text: &str| text.parse::<Ipv4Addr>().unwrap();
    FiveTuple { src: ip(src), dst: ip(dst), src_port: 5000, dst_port, protocol }
}

fn udp_of(tuple: FiveTuple) -> Packet {
    let mut packet = Packet::empty();
    packet.build_udp(tuple, 1);
    packet
}

fn udp(src: &str, dst: &str, port: u16) -> Packet {
    udp_of(tuple(src, dst, port, Protocol::Udp))
}

fn tcp_of(tuple: FiveTuple, flags: u8) -> Packet {
    let mut packet = Packet::empty();
    packet.build_tcp(tuple, TcpSegment { flags, seq: 1, ack: 1, payload: 0 });
    packet
}

fn syn(src: &str, dst: &str, port: u16) -> Packet {
    tcp_of(tuple(src, dst, port, Protocol::Tcp), tcp_flags::SYN)
}

fn ack(src: &str, dst: &str, port: u16) -> Packet {
    tcp_of(tuple(src, dst, port, Protocol::Tcp), tcp_flags::ACK)
}

/// Where a packet goes, or why it does not.
fn verdict(firewall: &mut Firewall, packet: &Packet, from: PortId, second: u64) -> Result<PortId, DropCause> {
    let mut packet = packet.clone();
    match firewall.handle_packet(&mut packet, from, SimTime::from_secs(second), &mut Explain::silent()) {
        Verdict::Forward(port, _) => Ok(port),
        Verdict::Drop(cause) | Verdict::Refuse(cause, _) => Err(cause),
        other => panic!("{other:?}"),
    }
}

/// What is said of a packet.
fn steps(firewall: &mut Firewall, packet: &Packet, from: PortId, second: u64) -> Vec<Step> {
    let mut explain = Explain::listening();
    firewall.handle_packet(&mut packet.clone(), from, SimTime::from_secs(second), &mut explain);
    explain.take()
}

/// The sentence about the rules.
fn told(firewall: &mut Firewall, packet: &Packet, from: PortId) -> String {
    let steps = steps(firewall, packet, from, 0);
    let rules = [State::ApplyEgressFirewallRule, State::ApplyIngressFirewallRule];
    let step = steps.into_iter().find(|step| rules.contains(&step.state));
    step.expect("the rules were evaluated").description
}

/// An IP packet by its bytes: what the builders cannot make.
fn raw_ipv4(src: &str, dst: &str, protocol: u8, fragment: u16, payload: &[u8]) -> Packet {
    let mut bytes = vec![0x45, 0, 0, 20 + payload.len() as u8, 0, 1, 0, 0, 64, protocol, 0, 0];
    bytes[6..8].copy_from_slice(&fragment.to_be_bytes());
    for address in [src, dst] {
        bytes.extend(address.parse::<Ipv4Addr>().unwrap().octets());
    }
    bytes.extend(payload);
    Packet::parse(&bytes).unwrap()
}

fn raw_ipv6(src: &str, dst: &str, next_header: u8) -> Packet {
    let mut bytes = vec![0x60, 0, 0, 0, 0, 8, next_header, 64];
    for address in [src, dst] {
        bytes.extend(address.parse::<std::net::Ipv6Addr>().unwrap().octets());
    }
    bytes.extend([0; 8]);
    Packet::parse(&bytes).unwrap()
}
