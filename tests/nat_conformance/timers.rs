//! Timers, and what a gateway makes of TCP.

use egressim::node::nat::Behaviour;
use egressim::node::nat::tcp::Timer;
use egressim::trace::DropCause::{OutOfResources, SimIdleExpired, SimMidstream};
use egressim::wire::{FiveTuple, Protocol};

use crate::harness::{Nat, ports, with_timeout};
use crate::packets::{Kind, ack, data, fin, rst, syn, syn_ack, tcp, udp};

pub fn handshake_repeated() {
    let flow = tcp(0, 5000);
    let mut nat = Nat::new(ports(64), 1);
    let outside = nat.send(flow, syn).expect("there are free ports");
    // The inside repeats its SYN, also after the SYN-ACK has passed; the outside repeats its SYN-ACK. Until the
    // inside says something else, that is one connection.
    for seconds in [1, 3, 7] {
        assert_eq!(nat.at(seconds).send(flow, syn), Ok(outside), "a repeated SYN at {seconds} s");
    }
    for seconds in [8, 9] {
        assert_eq!(nat.at(seconds).reply(outside, syn_ack), Ok(flow.reversed()), "SYN-ACK at {seconds} s");
    }
    assert_eq!(nat.at(10).send(flow, syn), Ok(outside), "a SYN that has crossed the SYN-ACK");
    assert_eq!(nat.reply(outside, syn_ack), Ok(flow.reversed()));
    assert_eq!(nat.send(flow, ack), Ok(outside));
    assert_eq!(nat.gateway().live_mappings(), 1, "it is one mapping");
    assert_eq!(nat.log().len(), 1, "made once");
    // It is established: 20 minutes, not 30 seconds.
    assert_eq!(nat.at(10 + 1199).reply(outside, data), Ok(flow.reversed()));
}

/// A VM with two ports, of which a connection had one until it was reset, and how that looked outside. The transitory
/// timer is 5 s, as in VPP's test.
fn reset(behaviour: Behaviour, established: bool, by_inside: bool) -> (Nat, FiveTuple) {
    let flow = tcp(0, 5000);
    let mut nat = Nat::that_behaves(behaviour, with_timeout(Timer::TcpTransitory, 5, ports(2)), 1);
    let opened = if established { nat.open(flow) } else { nat.send(flow, syn) };
    let outside = opened.expect("the ports are free");
    if by_inside {
        assert_eq!(nat.send(flow, rst), Ok(outside), "the reset itself passes");
    } else {
        assert_eq!(nat.reply(outside, rst), Ok(flow.reversed()), "the reset itself passes");
    }
    (nat, outside)
}

pub fn reset_by_either_side() {
    let flow = tcp(0, 5000);
    for (established, by_inside) in [(false, true), (true, true), (false, false), (true, false)] {
        // `model.nat.rst: time-wait`, the default: the port is barred for TIME_WAIT, and late packets still pass.
        let (mut nat, outside) = reset(Behaviour::default(), established, by_inside);
        assert_eq!(nat.at(6).reply(outside, data), Ok(flow.reversed()), "6 s later TIME_WAIT (30 s) is not over");
        let again = nat.send(flow, syn).expect("a new SYN opens a new connection");
        assert_ne!(again.src_port, outside.src_port, "by another port");
        assert_eq!(nat.at(30).reply(outside, data), Err(SimIdleExpired), "after TIME_WAIT nothing is left of it");

        // `model.nat.rst: immediate`: nothing is left at once.
        let immediate = Behaviour { rst_frees: true, ..Behaviour::default() };
        let (mut nat, outside) = reset(immediate.clone(), established, by_inside);
        assert_eq!(nat.reply(outside, data), Err(SimIdleExpired));
        assert_eq!(nat.send(flow, syn), Ok(outside), "a new SYN may have the same port");

        // Data without a connection, six seconds later: `model.nat.midstream` says whether it gets a mapping.
        for drop_midstream in [false, true] {
            let (mut nat, _) = reset(Behaviour { drop_midstream, ..immediate.clone() }, established, by_inside);
            let late = nat.at(6).send(flow, data).map(|_| ());
            assert_eq!(late, if drop_midstream { Err(SimMidstream) } else { Ok(()) }, "midstream: {drop_midstream}");
        }
    }
}

pub fn reopened() {
    let flow = tcp(0, 5000);
    let closed = |ports_of_the_vm| {
        let mut nat = Nat::new(ports(ports_of_the_vm), 1);
        let outside = nat.open(flow).expect("there are free ports");
        nat.send(flow, fin).expect("it is open");
        nat.reply(outside, fin).expect("it is open");
        (nat, outside)
    };
    // A SYN from outside: it is passed on, and changes nothing.
    let (mut nat, outside) = closed(1);
    assert_eq!(nat.at(1).reply(outside, syn), Ok(flow.reversed()));
    assert_eq!(nat.at(30).reply(outside, syn), Err(SimIdleExpired), "TIME_WAIT ends when it would have ended anyway");
    // A SYN from inside: it cannot have its port back, not even with a SYN from outside.
    let (mut nat, outside) = closed(1);
    assert_eq!(nat.send(flow, syn), Err(OutOfResources), "its port is barred for this endpoint");
    nat.reply(outside, syn).expect("the mapping is still there");
    assert_eq!(nat.at(29.999).send(flow, syn), Err(OutOfResources), "SYNs from both sides do not reopen it");
    assert_eq!(nat.at(30).send(flow, syn), Ok(outside), "after TIME_WAIT the port is free");
    // With another port it gets that one, and the old connection's late packets still arrive.
    let (mut nat, outside) = closed(2);
    let again = nat.open(flow).expect("another port is free");
    assert_ne!(again.src_port, outside.src_port);
    assert_eq!(nat.reply(outside, ack), Ok(flow.reversed()));
}

pub fn close_begun_by_either() {
    #[derive(Debug, Clone, Copy)]
    enum Side {
        Inside,
        Outside,
    }
    use Side::{Inside, Outside};
    let ways: [&[(Side, Kind)]; 3] = [
        &[(Inside, fin), (Outside, ack), (Outside, fin), (Inside, ack)],
        &[(Outside, fin), (Inside, ack), (Inside, fin), (Outside, ack)],
        // At once: the FINs cross.
        &[(Inside, fin), (Outside, fin), (Inside, ack), (Outside, ack)],
    ];
    let (flow, next) = (tcp(0, 5000), tcp(0, 5001));
    for way in ways {
        let mut nat = Nat::new(ports(1), 1);
        let outside = nat.open(flow).expect("the only port is free");
        let mut second_fin = None;
        for (number, (side, kind)) in way.iter().enumerate() {
            nat.at(number as u32);
            match side {
                Inside => assert_eq!(nat.send(flow, *kind), Ok(outside)),
                Outside => assert_eq!(nat.reply(outside, *kind), Ok(flow.reversed())),
            }
            let closed = nat.gateway().endpoints()[0].meter(Protocol::Tcp).closed_connections;
            if closed == 1 {
                second_fin.get_or_insert(number as u32);
            }
        }
        let closed_at = second_fin.unwrap_or_else(|| panic!("{:?} first: it was never closed", way[0].0));
        let last_fin =
            way.iter().rposition(|(_, kind)| kind(flow).tcp_flags() & 1 != 0).expect("there is a FIN") as u32;
        assert_eq!(closed_at, last_fin, "it is closed when both sides have sent their FIN");
        // The end state is the same: TIME_WAIT from the second FIN on, which nothing prolongs.
        let end = f64::from(closed_at) + 30.0;
        assert_eq!(nat.at(end - 0.001).send(next, syn), Err(OutOfResources), "{:?} first", way[0].0);
        assert_eq!(nat.at(end).send(next, syn).map(|new| new.src_port), Ok(outside.src_port), "{:?} first", way[0].0);
    }
}

pub fn unanswered_syn() {
    for transitory in [30, 5] {
        let mut nat = Nat::new(with_timeout(Timer::TcpTransitory, transitory, ports(64)), 1);
        let outside = nat.send(tcp(0, 5000), syn).expect("there are free ports");
        let transitory = f64::from(transitory as u32);
        assert_eq!(nat.at(transitory - 0.001).gateway().live_mappings(), 1);
        assert_eq!(nat.at(transitory).gateway().live_mappings(), 0, "it goes without anybody sending anything");
        assert_eq!(nat.reply(outside, syn_ack), Err(SimIdleExpired), "a SYN-ACK that comes too late is dropped");
        assert_eq!(nat.gateway().dropped_received(), 1, "and counted as a drop of what is received");
    }
}

pub fn refresh_of_udp() {
    let flow = udp(0, 5000);
    // Outbound packets alone keep a mapping alive.
    let mut nat = Nat::new(ports(64), 1);
    let outside = nat.send(flow, data).expect("there are free ports");
    for seconds in [29, 58, 87] {
        assert_eq!(nat.at(seconds).send(flow, data), Ok(outside), "at {seconds} s");
    }
    assert_eq!(nat.log().len(), 1, "one mapping all the time");
    assert_eq!(nat.at(117).reply(outside, data), Err(SimIdleExpired), "30 s after the last packet it is gone");

    // So do inbound packets alone.
    let mut nat = Nat::new(ports(64), 1);
    let outside = nat.send(flow, data).expect("there are free ports");
    for seconds in [29, 58, 87] {
        assert_eq!(nat.at(seconds).reply(outside, data), Ok(flow.reversed()), "at {seconds} s");
    }
    assert_eq!(nat.at(117).reply(outside, data), Err(SimIdleExpired), "30 s after the last packet it is gone");
}
