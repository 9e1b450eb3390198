//! The engine, on the smallest networks that show something.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;
use crate::node::IdlePolicy;
use crate::node::instance::{Attachment, EXTERNAL, Instance, InstanceConfig, SOCKETS};
use crate::node::internet::{INTERNET, Internet, ServerlessEgress};
use crate::topology::Capacity;
use crate::trace::info::{Resource, WorkloadInfo, WorkloadKind};
use crate::wire::{FiveTuple, TcpSegment};

const POOL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 129);
const INSTANCE: Ipv4Addr = Ipv4Addr::new(169, 254, 8, 1);

/// An instance without VPC, its egress, and the internet.
fn engine(link: LinkConfig) -> (Engine, Site<Instance>, Site<Internet>) {
    let mut engine = Engine::new(1);
    let workload = WorkloadInfo {
        kind: WorkloadKind::Revision,
        resource: Resource::located("revisions", "us-central1", "w"),
        service: None,
    };
    let attachment = Attachment::None;
    let instance = InstanceConfig {
        name: "i".into(),
        workload,
        address: INSTANCE,
        ipv6: None,
        attachment,
        all_traffic: false,
        private_ranges: Default::default(),
        not_ready: None,
    };
    let instance = Instance::new(instance);
    let instance = engine.add("i", instance);
    let mut egress = ServerlessEgress::new(vec![POOL], IdlePolicy::Reset);
    egress.add_instance(INSTANCE, PortId(1));
    let egress = engine.add("egress", egress);
    let mut internet = Internet::default();
    internet.add_route(ipnet::Ipv4Net::from(POOL), PortId(0));
    let internet = engine.add("internet", internet);
    engine.connect((instance, EXTERNAL), (egress, PortId(1)), LinkConfig::default());
    engine.connect((egress, INTERNET), (internet, PortId(0)), link);
    (engine, instance, internet)
}

fn packet(port: u16) -> Packet {
    let tuple = FiveTuple {
        src: INSTANCE,
        dst: Ipv4Addr::new(198, 51, 100, 7),
        src_port: port,
        dst_port: 443,
        protocol: Protocol::Udp,
    };
    let mut packet = Packet::empty();
    packet.build_udp(tuple, 97);
    packet
}

fn balanced(engine: &Engine) -> bool {
    engine.ledger().is_balanced()
}

#[test]
fn a_hop_without_delay_is_no_event() {
    let (mut engine, instance, internet) = engine(LinkConfig::default());
    let mut packet = packet(5000);
    assert_eq!(engine.send(instance.node, SOCKETS, &mut packet, 7, None), Outcome::Delivered(internet.node, PortId(0)));
    assert_eq!((packet.src(), engine.queue.len()), (POOL, 0));
    assert!(balanced(&engine));
}

#[test]
fn a_link_with_delay_delivers_later_and_counts_as_in_flight_until_then() {
    let (mut engine, instance, internet) =
        engine(LinkConfig { delay: Duration::from_millis(5), ..LinkConfig::default() });
    assert_eq!(engine.send(instance.node, SOCKETS, &mut packet(5000), 7, None), Outcome::Travelling);
    assert!(balanced(&engine) && engine.ledger().in_flight == 1);
    assert!(engine.step(SimTime::from_nanos(4_999_999)).is_none());
    let Some(Occurrence::Delivered { node, tag: 7, answer: false, .. }) = engine.step(SimTime::NEVER) else { panic!() };
    assert_eq!((node, engine.now()), (internet.node, SimTime::from_nanos(5_000_000)));
    assert!(balanced(&engine) && engine.ledger().in_flight == 0);
}

#[test]
fn a_slow_link_queues_and_then_drops() {
    // 125 bytes at 1 Mbit/s take 1 ms; 3 ms of queue hold the one that is sent and three that wait.
    let capacity = Capacity::steady(1_000_000, Duration::from_millis(3));
    let (mut engine, instance, _) = engine(LinkConfig { capacity: Some(capacity), ..LinkConfig::default() });
    let outcomes: Vec<_> = (0..6).map(|port| engine.send(instance.node, SOCKETS, &mut packet(port), 0, None)).collect();
    let dropped = |outcome: &&Outcome| matches!(outcome, Outcome::Dropped(_, DropCause::SimThroughputExceeded));
    assert_eq!(outcomes.iter().filter(dropped).count(), 2);
    while engine.step(SimTime::NEVER).is_some() {}
    assert_eq!(engine.now(), SimTime::NEVER.min(engine.now()));
    assert!(balanced(&engine));
}

#[test]
fn a_lossy_link_loses_its_share() {
    let (mut engine, instance, _) = engine(LinkConfig { loss: 0.25, ..LinkConfig::default() });
    for _ in 0..4000 {
        engine.send(instance.node, SOCKETS, &mut packet(1), 0, None);
    }
    let lost = engine.ledger().dropped_by(DropCause::SimLinkLoss);
    assert!((900..1100).contains(&lost), "{lost}");
    assert!(balanced(&engine));
}

/// A link of 5 ms with this wrong in the direction away from the instance.
fn impaired(impairments: Impairments) -> (Engine, Site<Instance>, Site<Internet>) {
    let (mut engine, instance, internet) =
        engine(LinkConfig { delay: Duration::from_millis(5), ..LinkConfig::default() });
    let back = engine.topology().link_at(internet.node, PortId(0)).unwrap();
    let link = engine.topology().reverse(back);
    engine.impair(link, impairments);
    (engine, instance, internet)
}

/// What arrives where from now on, with the time in milliseconds.
fn arrivals(engine: &mut Engine) -> Vec<(NodeId, u64)> {
    let mut arrivals = Vec::new();
    while let Some(occurrence) = engine.step(SimTime::NEVER) {
        assert!(balanced(engine));
        if let Occurrence::Delivered { node, .. } = occurrence {
            arrivals.push((node, engine.now().as_nanos() / 1_000_000));
        }
        if engine.queue.is_empty() {
            break;
        }
    }
    arrivals
}

#[test]
fn a_copy_counts_as_sent_and_is_counted_beside() {
    let (mut engine, instance, internet) = impaired(Impairments { duplicate: 1.0, ..Impairments::default() });
    assert_eq!(engine.send(instance.node, SOCKETS, &mut packet(5000), 7, None), Outcome::Travelling);
    assert!(balanced(&engine));
    assert_eq!((engine.ledger().sent, engine.ledger().duplicated, engine.ledger().in_flight), (2, 1, 2));
    assert_eq!(arrivals(&mut engine), [(internet.node, 5), (internet.node, 5)]);
    assert_eq!((engine.ledger().sent, engine.ledger().delivered, engine.ledger().duplicated), (2, 2, 1));
}

#[test]
fn who_sends_too_much_at_once_is_told_unless_the_link_is_a_black_hole() {
    for silent in [false, true] {
        let mtu = Some(crate::topology::Mtu { bytes: 100, silent });
        let (mut engine, instance, _) = impaired(Impairments { mtu, ..Impairments::default() });
        // 125 bytes.
        let outcome = engine.send(instance.node, SOCKETS, &mut packet(5000), 7, None);
        assert!(matches!(outcome, Outcome::Dropped(_, DropCause::SimMtuExceeded)), "{outcome:?}");
        assert!(balanced(&engine));
        match engine.step(SimTime::from_secs(1)) {
            Some(Occurrence::Delivered { node, packet, answer: true, tag: 7, .. }) => {
                assert_eq!((node, packet.told_mtu(), silent), (instance.node, Some(100), false));
                // Back over the link.
                assert_eq!(engine.now(), SimTime::from_nanos(5_000_000));
            }
            other => assert!(other.is_none() && silent, "{other:?}"),
        }
        assert!(balanced(&engine));
    }
}

#[test]
fn only_the_impaired_direction_is_impaired() {
    let (mut engine, instance, internet) = impaired(Impairments { down: true, ..Impairments::default() });
    let outcome = engine.send(instance.node, SOCKETS, &mut packet(5000), 0, None);
    assert_eq!(outcome, Outcome::Dropped(internet.node, DropCause::SimLinkDown));
    let mut back = packet(5000);
    back.set_destination(POOL, 5000);
    assert_eq!(engine.emit(internet.node, PortId(0), &mut back, 0, None), Outcome::Travelling);
}

#[test]
fn a_flow_meets_the_impairments_that_come_while_it_is_known_and_no_longer_those_that_went() {
    let (mut engine, instance, internet) = engine(LinkConfig::default());
    let flow = engine.add_flow();
    let send = |engine: &mut Engine| engine.send(instance.node, SOCKETS, &mut packet(5000), 0, Some(flow));
    let arrived = Outcome::Delivered(internet.node, PortId(0));
    assert_eq!([send(&mut engine), send(&mut engine)], [arrived; 2]);
    // Without delay, the link was passed without a look.
    let link = engine.topology().reverse(engine.topology().link_at(internet.node, PortId(0)).unwrap());
    let delay = Duration::from_millis(3);
    engine.impair(link, Impairments { delay, ..Impairments::default() });
    assert_eq!([send(&mut engine), send(&mut engine)], [Outcome::Travelling; 2]);
    assert_eq!(arrivals(&mut engine), [(internet.node, 3); 2]);
    engine.impair(link, Impairments::default());
    assert_eq!([send(&mut engine), send(&mut engine)], [arrived; 2]);
    engine.set_link(link, delay, 0.0);
    assert_eq!(send(&mut engine), Outcome::Travelling);
    assert_eq!(arrivals(&mut engine), [(internet.node, 6)]);
}

#[test]
fn the_remembered_path_does_what_the_whole_way_does() {
    let (mut whole, instance, _) = engine(LinkConfig::default());
    let (mut known, _, _) = engine(LinkConfig::default());
    let flow = known.add_flow();
    for round in 0..50u64 {
        // Beyond 120 s of idleness the mapping is gone, and the path with it.
        let now = SimTime::from_secs(round * (1 + round));
        whole.advance_to(now);
        known.advance_to(now);
        let (mut a, mut b) = (packet(5000), packet(5000));
        let expected = whole.send(instance.node, SOCKETS, &mut a, 0, None);
        assert_eq!(known.send(instance.node, SOCKETS, &mut b, 0, Some(flow)), expected);
        assert_eq!(a, b);
    }
    assert_eq!(whole.ledger(), known.ledger());
    assert_eq!(known.paths.len(), 1);
}

#[test]
fn a_change_of_configuration_ends_what_was_remembered() {
    let (mut engine, instance, _) = engine(LinkConfig::default());
    let flow = engine.add_flow();
    assert!(matches!(engine.send(instance.node, SOCKETS, &mut packet(1), 0, Some(flow)), Outcome::Delivered(..)));
    engine.change(instance, Instance::shut_down);
    let outcome = engine.send(instance.node, SOCKETS, &mut packet(1), 0, Some(flow));
    assert_eq!(outcome, Outcome::Dropped(instance.node, DropCause::SimInstanceGone));
}

#[test]
fn a_tap_sees_each_packet_as_it_comes_to_each_station() {
    let (mut engine, instance, _) = engine(LinkConfig::default());
    let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let sink = seen.clone();
    engine.set_tap(Box::new(move |node, _, bytes, _, cause| {
        sink.borrow_mut().push((node, Packet::parse(bytes).unwrap().src(), cause));
    }));
    engine.send(instance.node, SOCKETS, &mut packet(1), 0, None);
    let seen = seen.borrow();
    assert_eq!(seen[..], [(NodeId(0), INSTANCE, None), (NodeId(1), INSTANCE, None), (NodeId(2), POOL, None)]);
}

#[test]
fn a_trace_tells_each_step() {
    let (mut engine, instance, _) = engine(LinkConfig::default());
    let (trace, _) = engine.trace(instance.node, SOCKETS, &mut packet(1));
    assert_eq!(trace.disposition, Disposition::Deliver);
    let states: Vec<_> = trace.hops.iter().flat_map(|hop| &hop.steps).map(|step| step.state).collect();
    let external = State::ServerlessExternalConnection;
    assert_eq!(states, [State::StartFromCloudRunRevision, external, State::Deliver]);
}

#[test]
fn a_lost_reset_or_error_about_tcp_does_not_say_why_a_connection_failed_and_other_packets_do() {
    let datagram = packet(7);
    let tuple = FiveTuple {
        src: INSTANCE,
        dst: Ipv4Addr::new(198, 51, 100, 7),
        src_port: 7,
        dst_port: 443,
        protocol: Protocol::Tcp,
    };
    let segment = |flags| {
        let mut packet = Packet::empty();
        packet.build_tcp(tuple, TcpSegment { flags, seq: 1, ack: 0, payload: 0 });
        packet
    };
    let about = |packet: &Packet| {
        let mut error = Packet::empty();
        assert!(error.build_icmp_error(IcmpError::NetworkUnreachable, packet, POOL));
        error
    };
    assert!(is_aftermath(&segment(tcp_flags::RST)));
    assert!(is_aftermath(&about(&segment(tcp_flags::SYN))));
    assert!(!is_aftermath(&segment(tcp_flags::SYN)));
    // "Port unreachable" is all that a sender of UDP hears.
    assert!(!is_aftermath(&about(&datagram)));
    assert!(!is_aftermath(&datagram));
}
