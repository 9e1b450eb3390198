//! Tracked connections: how long, how many, and what becomes of idle ones.

use super::*;
use crate::trace::StepInfo;
use crate::trace::info::FirewallRuleType;

use Action::{Allow, Deny};

/// The packet's answer.
fn answer(packet: &Packet) -> Packet {
    udp_of(packet.five_tuple().unwrap().reversed())
}

#[test]
fn replies_pass_for_ten_minutes_after_the_last_packet() {
    let (mut firewall, a, _) = firewall(vec![]);
    let request = udp(A, OUTSIDE, 443);
    verdict(&mut firewall, &request, a, 0).unwrap();
    let reply = answer(&request);
    assert_eq!(verdict(&mut firewall, &reply, ROUTES, 599), Ok(a));
    assert_eq!(verdict(&mut firewall, &reply, ROUTES, 599 + 599), Ok(a));
    assert!(verdict(&mut firewall, &reply, ROUTES, 599 + 599 + 600).is_err());
    verdict(&mut firewall, &request, a, 2000).unwrap();
    assert!(verdict(&mut firewall, &answer(&udp(A, OUTSIDE, 444)), ROUTES, 2000).is_err());
}

#[test]
fn a_tracked_connection_goes_on_after_the_rules_have_changed() {
    let (mut firewall, a, _) = firewall(vec![rule("allow", 1000, Allow, true)]);
    let request = udp(STRANGER, A, 443);
    assert_eq!(verdict(&mut firewall, &request, ROUTES, 0), Ok(a));
    firewall.replace(vec![Layer::vpc_rules(vec![rule("deny", 0, Deny, true), rule("deny", 0, Deny, false)])], false);
    assert_eq!(verdict(&mut firewall, &request, ROUTES, 1), Ok(a));
    assert_eq!(verdict(&mut firewall, &answer(&request), a, 2), Ok(ROUTES));
    assert!(verdict(&mut firewall, &udp(STRANGER, A, 444), ROUTES, 3).is_err(), "a new one is denied");
    assert!(verdict(&mut firewall, &request, ROUTES, 602).is_err(), "and the old one, once it was idle");
}

#[test]
fn the_step_of_a_tracked_connection_says_so_to_programs() {
    let (mut firewall, a, _) = firewall(vec![]);
    verdict(&mut firewall, &udp(A, OUTSIDE, 443), a, 0).unwrap();
    let steps = steps(&mut firewall, &answer(&udp(A, OUTSIDE, 443)), ROUTES, 1);
    assert_eq!(steps[0].description, "part of an allowed connection of a: no rule is asked");
    let Some(StepInfo::Firewall(info)) = &steps[0].info else { panic!("a payload") };
    let FirewallRuleType::TrackingState = info.rule_type else { panic!("{info:?}") };
    assert_eq!((info.direction, info.action, info.priority), ("INGRESS", "ALLOW", None));
}

#[test]
fn a_known_entry_ends_when_the_connection_is_forgotten() {
    let (mut firewall, a, _) = firewall(vec![]);
    let mut first = udp(A, OUTSIDE, 443);
    let verdict_of_first = firewall.handle_packet(&mut first, a, SimTime::ZERO, &mut Explain::silent());
    let Verdict::Forward(_, Memo::Entry(entry)) = verdict_of_first else { panic!("egress is allowed") };
    assert!(firewall.handle_known(entry, SimTime::from_secs(1)));
    assert!(firewall.handle_known(entry, SimTime::from_secs(600)));
    verdict(&mut firewall, &udp(A, OUTSIDE, 444), a, 1300).unwrap();
    assert!(!firewall.handle_known(entry, SimTime::from_secs(1300)));
    // Its place is taken by another, and it is not mistaken for that one.
    verdict(&mut firewall, &udp(A, OUTSIDE, 445), a, 1300).unwrap();
    assert!(!firewall.handle_known(entry, SimTime::from_secs(1301)));
}

#[test]
fn each_connection_is_there_once_however_its_packets_come() {
    let (mut firewall, a, _) = firewall(vec![]);
    let send = |firewall: &mut Firewall, port: u16, second: u64| {
        verdict(firewall, &udp(A, OUTSIDE, port), a, second).unwrap();
    };
    // The first one has packets at 0 s and 100 s: it has until 700 s, when the second one is in its middle.
    send(&mut firewall, 1, 0);
    send(&mut firewall, 1, 100);
    send(&mut firewall, 2, 599);
    send(&mut firewall, 3, 600);
    assert_eq!(firewall.tracked.table(0).used, 3);
    send(&mut firewall, 3, 700);
    assert_eq!(firewall.tracked.table(0).used, 2, "the first one is gone at its time");
    for second in [800, 801, 802] {
        send(&mut firewall, 1, second);
    }
    assert_eq!(firewall.tracked.table(0).used, 3);
    assert_eq!(verdict(&mut firewall, &answer(&udp(A, OUTSIDE, 1)), ROUTES, 803), Ok(a));
}

#[test]
fn an_icmp_error_about_a_tracked_connection_passes() {
    let (mut firewall, a, _) = firewall(vec![]);
    let request = udp(A, OUTSIDE, 443);
    let error = |about: &Packet| {
        let mut error = Packet::empty();
        assert!(error.build_icmp_error(
            crate::wire::IcmpError::PortUnreachable,
            about,
            OUTSIDE.parse::<IpAddr>().unwrap()
        ));
        error
    };
    assert!(verdict(&mut firewall, &error(&request), ROUTES, 0).is_err());
    verdict(&mut firewall, &request, a, 0).unwrap();
    assert_eq!(verdict(&mut firewall, &error(&request), ROUTES, 1), Ok(a));
    assert!(verdict(&mut firewall, &error(&udp(A, OUTSIDE, 444)), ROUTES, 1).is_err());
}

#[test]
fn protocols_without_ports_are_tracked_by_their_addresses() {
    let (mut firewall, a, _) = firewall(vec![]);
    let esp = |src, dst| raw_ipv4(src, dst, 50, 0, &[0; 8]);
    assert!(verdict(&mut firewall, &esp(OUTSIDE, A), ROUTES, 0).is_err());
    verdict(&mut firewall, &esp(A, OUTSIDE), a, 0).unwrap();
    assert_eq!(verdict(&mut firewall, &esp(OUTSIDE, A), ROUTES, 1), Ok(a));
    assert!(verdict(&mut firewall, &esp(STRANGER, A), ROUTES, 1).is_err());
}

/// A firewall with one interface that tracks two connections.
fn small(kind: InterfaceKind, when_full: WhenFull) -> (Firewall, PortId) {
    let mut firewall = Firewall::new("vpc".into(), vec![], false, when_full);
    let port = firewall.attach(Interface { kind, tracked_max: 2, ..vm("a", "10.9.0.2/32", "web") });
    (firewall, port)
}

fn raw_verdict(firewall: &mut Firewall, packet: &Packet, from: PortId, second: u64) -> Verdict {
    firewall.handle_packet(&mut packet.clone(), from, SimTime::from_secs(second), &mut Explain::silent())
}

#[test]
fn an_interface_tracks_so_many_connections_and_no_more() {
    let (mut firewall, a) = small(InterfaceKind::Vm, WhenFull::ByKind);
    verdict(&mut firewall, &syn(A, OUTSIDE, 1), a, 0).unwrap();
    verdict(&mut firewall, &syn(A, OUTSIDE, 2), a, 300).unwrap();
    let full = Err(DropCause::SimTrackingTableFull);
    assert_eq!(verdict(&mut firewall, &syn(A, OUTSIDE, 3), a, 300), full);
    assert_eq!(verdict(&mut firewall, &syn(A, OUTSIDE, 3), a, 599), full);
    // What is tracked goes on; a connection that has been idle makes room at its time.
    assert!(verdict(&mut firewall, &ack(A, OUTSIDE, 2), a, 599).is_ok());
    assert!(verdict(&mut firewall, &syn(A, OUTSIDE, 3), a, 600).is_ok());
    assert_eq!(verdict(&mut firewall, &syn(A, OUTSIDE, 4), a, 1198), full);
    assert!(verdict(&mut firewall, &syn(A, OUTSIDE, 4), a, 1199).is_ok());
    let tables: Vec<_> = firewall.full_tables().collect();
    assert_eq!(tables, [FullTable { interface: "a".into(), max: 2, refused: 3 }]);
}

#[test]
fn a_full_table_says_its_size() {
    let (mut firewall, a) = small(InterfaceKind::Vm, WhenFull::ByKind);
    verdict(&mut firewall, &syn(A, OUTSIDE, 1), a, 0).unwrap();
    verdict(&mut firewall, &syn(A, OUTSIDE, 2), a, 0).unwrap();
    let steps = steps(&mut firewall, &syn(A, OUTSIDE, 3), a, 0);
    assert_eq!(steps.last().unwrap().description, "a tracks 2 connections, as many as it can");
}

#[test]
fn a_connector_refuses_when_it_is_full_and_others_are_silent_unless_told_otherwise() {
    for (kind, when_full, refuses) in [
        (InterfaceKind::Vm, WhenFull::ByKind, false),
        (InterfaceKind::ConnectorVm, WhenFull::ByKind, true),
        (InterfaceKind::ConnectorVm, WhenFull::Drop, false),
        (InterfaceKind::Vm, WhenFull::Refuse, true),
    ] {
        let (mut firewall, a) = small(kind, when_full);
        for port in 1..=2 {
            verdict(&mut firewall, &syn(A, OUTSIDE, port), a, 0).unwrap();
        }
        let cause = DropCause::SimTrackingTableFull;
        let refused = raw_verdict(&mut firewall, &syn(A, OUTSIDE, 3), a, 0);
        assert_eq!(matches!(refused, Verdict::Refuse(found, _) if found == cause), refuses, "{kind:?} {when_full:?}");
        // A datagram cannot be reset.
        assert_eq!(raw_verdict(&mut firewall, &udp(A, OUTSIDE, 3), a, 0), Verdict::Drop(cause));
    }
}

/// A firewall with one interface whose idle TCP connections end like this.
fn idle(idle: IdlePolicy) -> (Firewall, PortId) {
    let mut firewall = Firewall::new(
        "vpc".into(),
        vec![Layer::vpc_rules(vec![rule("in", 1000, Allow, true)])],
        false,
        WhenFull::ByKind,
    );
    let port = firewall.attach(Interface { idle, ..vm("a", "10.9.0.2/32", "web") });
    (firewall, port)
}

#[test]
fn t22_a_packet_after_599_idle_seconds_arrives_and_after_601_it_is_lost_either_way() {
    let outbound = ack(A, OUTSIDE, 443);
    let inbound = tcp_of(outbound.five_tuple().unwrap().reversed(), tcp_flags::ACK);
    for (packet, outwards) in [(outbound, true), (inbound, false)] {
        let (mut firewall, a) = idle(IdlePolicy::BlackHole);
        let from = if outwards { a } else { ROUTES };
        verdict(&mut firewall, &syn(A, OUTSIDE, 443), a, 0).unwrap();
        assert!(verdict(&mut firewall, &packet, from, 599).is_ok());
        assert_eq!(verdict(&mut firewall, &packet, from, 599 + 601), Err(DropCause::SimIdleExpired));
        assert_eq!(verdict(&mut firewall, &packet, from, 2000), Err(DropCause::SimIdleExpired), "it stays lost");
    }
}

#[test]
fn after_expiry_a_syn_begins_anew() {
    let (mut firewall, a) = idle(IdlePolicy::BlackHole);
    verdict(&mut firewall, &syn(A, OUTSIDE, 443), a, 0).unwrap();
    assert_eq!(verdict(&mut firewall, &ack(A, OUTSIDE, 443), a, 700), Err(DropCause::SimIdleExpired));
    assert!(verdict(&mut firewall, &syn(A, OUTSIDE, 443), a, 701).is_ok());
    assert!(verdict(&mut firewall, &ack(A, OUTSIDE, 443), a, 702).is_ok());
    assert_eq!(verdict(&mut firewall, &ack(A, OUTSIDE, 443), a, 1303), Err(DropCause::SimIdleExpired));
}

#[test]
fn udp_begins_anew_and_so_does_a_tcp_connection_that_was_never_seen() {
    let (mut firewall, a) = idle(IdlePolicy::BlackHole);
    verdict(&mut firewall, &udp(A, OUTSIDE, 53), a, 0).unwrap();
    assert!(verdict(&mut firewall, &udp(A, OUTSIDE, 53), a, 700).is_ok());
    assert!(verdict(&mut firewall, &ack(A, OUTSIDE, 8443), a, 700).is_ok());
}

#[test]
fn without_the_policy_an_idle_connection_begins_anew() {
    let (mut firewall, a) = idle(IdlePolicy::NewFlow);
    verdict(&mut firewall, &syn(A, OUTSIDE, 443), a, 0).unwrap();
    assert!(verdict(&mut firewall, &ack(A, OUTSIDE, 443), a, 700).is_ok());
}

#[test]
fn with_reset_the_owner_is_told_and_the_other_side_is_not() {
    let (mut firewall, a) = idle(IdlePolicy::Reset);
    verdict(&mut firewall, &syn(A, OUTSIDE, 443), a, 0).unwrap();
    let outbound = ack(A, OUTSIDE, 443);
    let Verdict::Refuse(DropCause::SimIdleExpired, reset) = raw_verdict(&mut firewall, &outbound, a, 700) else {
        panic!("it is told")
    };
    assert_eq!(reset.five_tuple(), Some(outbound.five_tuple().unwrap().reversed()));
    let inbound = tcp_of(outbound.five_tuple().unwrap().reversed(), tcp_flags::ACK);
    assert_eq!(raw_verdict(&mut firewall, &inbound, ROUTES, 701), Verdict::Drop(DropCause::SimIdleExpired));
}

#[test]
fn what_is_remembered_of_expired_connections_is_bounded() {
    let (mut firewall, a) = idle(IdlePolicy::BlackHole);
    let packet = |number: u32, flags| {
        let tuple = FiveTuple { dst: Ipv4Addr::from(0xc633_0000 + number), ..tuple(A, OUTSIDE, 443, Protocol::Tcp) };
        tcp_of(tuple, flags)
    };
    for number in 0..65_546 {
        verdict(&mut firewall, &packet(number, tcp_flags::SYN), a, 0).unwrap();
    }
    // The ten oldest are forgotten: they begin anew.
    assert!(verdict(&mut firewall, &packet(9, tcp_flags::ACK), a, 700).is_ok());
    assert!(verdict(&mut firewall, &packet(10, tcp_flags::ACK), a, 700).is_err());
    assert!(verdict(&mut firewall, &packet(65_545, tcp_flags::ACK), a, 700).is_err());
}
