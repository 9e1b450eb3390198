//! Each rule of the order by itself, and all of them against a reference.

mod behind;
mod order;
mod reference;

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::*;
use crate::trace::info::{NextHopType, Resource};
use crate::wire::{FiveTuple, Protocol, TcpSegment};

const GOOGLE: PortId = PortId(1);
const NAT: PortId = PortId(2);
const VPN: PortId = PortId(3);
const ILB: PortId = PortId(4);
const VM: PortId = PortId(5);
const PEER: PortId = PortId(6);
const ATTACHMENT: PortId = PortId(7);

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn hop_name(words: &str) -> HopName {
    HopName { kind: NextHopType::Ip, words: words.into(), resource: None, network: None }
}

fn route(name: &str, priority: u32, next_hop: NextHop) -> Route {
    Route {
        name: name.into(),
        kind: RouteKind::Static,
        peer: None,
        priority,
        tags: vec![],
        next_hop,
        leads_to: hop_name(&format!("hop of {name}")),
        out_of_use: None,
    }
}

fn dynamic(name: &str, priority: u32, region: &str, global: bool, cost: u32, port: PortId) -> Route {
    let kind = RouteKind::Dynamic { region: Some(region.into()), global, inter_region_cost: cost };
    Route { kind, ..route(name, priority, NextHop::VpnTunnel(port)) }
}

fn imported(route: Route, order: u16, network: &str) -> Route {
    Route { peer: Some(PeerName { order, network: network.into() }), ..route }
}

fn ilb(port: PortId) -> NextHop {
    NextHop::Ilb { port, only_from: None }
}

fn subnet(name: &str, region: &str) -> SubnetRoute {
    SubnetRoute {
        name: name.into(),
        region: region.into(),
        private_google_access: name == "pga",
        hybrid: name == "hybrid",
        private_nat: name == "private-nat",
    }
}

/// Subnets in two regions, of which one has Private Google Access; Cloud NAT for the other; and these routes.
fn router(routes: Vec<(&str, Route)>) -> Router {
    let mut router = Router::new("vpc".into(), GOOGLE, 7);
    router.add_subnet("10.40.0.0/20".parse::<Ipv4Net>().unwrap(), subnet("run", "us-central1"));
    router.add_subnet(net("10.41.0.0/20"), subnet("pga", "europe-west1"));
    router.add_nat_coverage("10.40.0.0/20".parse().unwrap(), NAT);
    for (dest, route) in routes {
        router.add_route(net(dest), route);
    }
    router
}

fn packet(src: &str, dst: &str, dst_port: u16) -> Packet {
    let mut packet = Packet::empty();
    match (src.parse().unwrap(), dst.parse().unwrap()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let tuple = FiveTuple { src, dst, src_port: 5000, dst_port, protocol: Protocol::Tcp };
            packet.build_tcp(tuple, TcpSegment { flags: 2, seq: 0, ack: 0, payload: 0 });
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let mut bytes = vec![0x60, 0, 0, 0, 0, 20, 6, 64];
            bytes.extend(src.octets());
            bytes.extend(dst.octets());
            bytes.extend(5000u16.to_be_bytes());
            bytes.extend(dst_port.to_be_bytes());
            bytes.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0]);
            packet = Packet::parse(&bytes).unwrap();
        }
        _ => panic!("both of one version"),
    }
    packet
}

fn verdict(router: &mut Router, packet: &mut Packet, from: PortId) -> Result<PortId, DropCause> {
    match router.handle_packet(packet, from, &mut Explain::silent()) {
        Verdict::Forward(port, Memo::Pure) => Ok(port),
        Verdict::Drop(cause) | Verdict::Refuse(cause, _) => Err(cause),
        other => panic!("{other:?}"),
    }
}

/// A SYN from somebody in the network.
fn send(router: &mut Router, src: &str, dst: &str, dst_port: u16) -> Result<PortId, DropCause> {
    verdict(router, &mut packet(src, dst, dst_port), FIREWALL)
}

/// What is said of a SYN, in one line each.
fn told(router: &mut Router, src: &str, dst: &str) -> Vec<String> {
    let mut explain = Explain::listening();
    router.handle_packet(&mut packet(src, dst, 443), FIREWALL, &mut explain);
    explain.take().into_iter().map(|step| step.description).collect()
}

const RUN: &str = "10.40.0.2";
const PGA: &str = "10.41.0.2";
const PUBLIC: &str = "198.51.100.7";

/// A forwarding rule for TCP port 443 at an address of the first subnet.
fn forwarding_rule(target: ForwardingTarget, only_from: Option<&str>) -> ForwardingRule {
    ForwardingRule {
        rule: Resource::regional("forwardingRules", "us-central1", "rule"),
        address: "10.40.0.99".parse().unwrap(),
        protocol: Some(6),
        ports: vec![(443, 443)],
        only_from: only_from.map(Into::into),
        target,
        target_words: "backends".into(),
        port: ILB,
    }
}
