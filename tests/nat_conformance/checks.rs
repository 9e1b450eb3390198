//! Checks of requirements that no case covers.

use std::time::Duration;

use egressim::node::nat::Config;
use egressim::trace::DropCause::{EndpointIndependenceConflict, SimIcmpUnsupported, SimIdleExpired, SimUnsolicited};
use egressim::wire::{FiveTuple, Packet, Protocol};

use crate::common::scenario;
use crate::harness::{NAT_IP, Nat, ports};
use crate::house::HOUSE;
use crate::packets::{
    IP_HEADER, IcmpError, OTHER_SERVER, PORT_UNREACHABLE, ROUTER, ack, answer, data, each_protocol, fin, first,
    header_length, icmp, icmp_checksums_are_right, icmp_error, parsed, ping, quotation, syn, syn_ack, tcp, to, udp, vm,
};

/// Whether a socket keeps its port when it talks to another host depends on endpoint-independent mapping.
pub fn mapping_by_destination() {
    for (flow, neighbour) in each_protocol(0, 5000).into_iter().zip(each_protocol(0, 5001)) {
        let mut nat = Nat::new(ports(64), 1);
        // The neighbour has the lowest port towards the other host.
        nat.open(to(OTHER_SERVER, neighbour)).expect("there are free ports");
        let here = nat.open(flow).expect("there are free ports");
        let there = nat.open(to(OTHER_SERVER, flow)).expect("there are free ports");
        assert_ne!(here.src_port, there.src_port, "{flow}: another host, another port");

        let mut nat = Nat::new(Config { endpoint_independent: true, ..ports(2) }, 1);
        let here = nat.open(flow).expect("there are free ports");
        for server in 100..110 {
            let there = nat.open(to([198, 51, 100, server].into(), flow)).expect("it is bound to a port");
            assert_eq!(there.src_port, here.src_port, "{flow}: any host, the same port");
        }
        // That holds when it hurts, too: rather than take another port, which is free, a packet is dropped.
        nat.open(to(OTHER_SERVER, neighbour)).expect("it is bound to the other port");
        let third = FiveTuple { src_port: 5002, ..flow };
        let shared = nat.open(to([198, 51, 100, 200].into(), third)).expect("two sockets share a port");
        assert_eq!(shared.src_port, here.src_port);
        assert_eq!(nat.send(third, first), Err(EndpointIndependenceConflict), "{flow}");
    }
}

/// Of the source port nothing is kept, neither its being odd nor its being below 1024.
pub fn no_part_of_the_port_is_kept() {
    let mut nat = Nat::new(ports(64), 1);
    assert_eq!(nat.send(udp(0, 5001), data).map(|outside| outside.src_port), Ok(1024), "odd becomes even");
    assert_eq!(nat.send(udp(0, 5002), data).map(|outside| outside.src_port), Ok(1025), "even becomes odd");
    assert_eq!(nat.send(udp(0, 123), data).map(|outside| outside.src_port), Ok(1026), "low becomes high");
}

/// The defaults are shorter than the RFCs want, and can be set to what they want.
pub fn timers() {
    const MINUTE: u64 = 60;
    let defaults = scenario(HOUSE).nat_gateways[0].config.timeouts;
    let wanted = "udpIdleTimeoutSec: 120, icmpIdleTimeoutSec: 60, tcpTransitoryIdleTimeoutSec: 240, \
                  tcpEstablishedIdleTimeoutSec: 7440";
    let configured =
        scenario(&HOUSE.replace("{name: gw, ", &format!("{{name: gw, {wanted}, "))).nat_gateways[0].config.timeouts;
    for (what, timeout, set, minimum) in [
        ("UDP", defaults.udp_idle, configured.udp_idle, 2 * MINUTE),
        ("ICMP", defaults.icmp_idle, configured.icmp_idle, MINUTE),
        ("TCP transitory", defaults.tcp_transitory_idle, configured.tcp_transitory_idle, 4 * MINUTE),
        ("TCP established", defaults.tcp_established_idle, configured.tcp_established_idle, (2 * 60 + 4) * MINUTE),
    ] {
        let minimum = Duration::from_secs(minimum);
        assert!(timeout < minimum, "{what}: {timeout:?} by default");
        assert_eq!(set, minimum, "{what}: it can be configured");
    }
    // The timeouts do what they say.
    for (configured, scale) in [(false, [30, 1200, 30]), (true, [120, 7440, 60])] {
        for (flow, idle) in [udp(0, 5000), tcp(0, 5000), ping(0, 5000)].into_iter().zip(scale) {
            let [udp, established, icmp] = scale.map(Duration::from_secs);
            let seconds = Duration::from_secs;
            let timeouts = [udp, icmp, seconds(if configured { 240 } else { 30 }), established, seconds(30)];
            let mut nat = Nat::new(Config { timeouts, ..ports(64) }, 1);
            let outside = nat.open(flow).expect("there are free ports");
            assert_eq!(nat.at(idle as f64 - 0.001).gateway().live_mappings(), 1, "{flow}: 1 ms before {idle} s");
            assert_eq!(nat.at(idle as f64).reply(outside, data), Err(SimIdleExpired), "{flow}: at {idle} s");
        }
    }
}

/// Addresses in a payload, as FTP and SIP have them, are not for a NAT to see. That nothing but headers changes is
/// looked at for every packet of every case; here there is something that could tempt.
pub fn payloads_are_not_read() {
    let mut nat = Nat::new(ports(64), 1);
    for (mappings, flow, payload) in [
        (1, FiveTuple { dst_port: 21, ..tcp(0, 5000) }, "PORT 10,8,0,0,19,137\r\n"),
        (
            2,
            FiveTuple { dst_port: 5060, ..udp(0, 5060) },
            "REGISTER sip:x SIP/2.0\r\nContact: <sip:u@10.8.0.0:5060>\r\n",
        ),
    ] {
        let bytes = data(flow).bytes().to_vec();
        let header = bytes.len() - 20;
        let mut bytes = [&bytes[..header], payload.as_bytes()].concat();
        let length = bytes.len() as u16;
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        if flow.protocol == Protocol::Udp {
            let length = length - IP_HEADER as u16;
            bytes[IP_HEADER + 4..IP_HEADER + 6].copy_from_slice(&length.to_be_bytes());
        }
        let left = nat.leave(&parsed(&bytes)).expect("there are free ports");
        assert_eq!(&left.bytes()[header..], payload.as_bytes());
        assert_eq!(nat.gateway().live_mappings(), mappings, "and nothing is opened for it");
    }
}

/// Both sides send a SYN, and each answers the other's.
pub fn simultaneous_open() {
    let flow = tcp(0, 5000);
    let mut nat = Nat::new(ports(64), 1);
    // A SYN from outside that is too early is dropped without an answer; it has come from nobody who was asked.
    let expected = FiveTuple { src: NAT_IP, src_port: 1024, ..flow };
    assert_eq!(nat.reply(expected, syn), Err(SimUnsolicited));
    let outside = nat.at(1).send(flow, syn).expect("there are free ports");
    assert_eq!(outside, expected);
    assert_eq!(nat.reply(outside, syn), Ok(flow.reversed()), "the SYN that crosses it passes");
    assert_eq!(nat.send(flow, syn_ack), Ok(outside));
    assert_eq!(nat.reply(outside, syn_ack), Ok(flow.reversed()));
    assert_eq!(nat.send(flow, ack), Ok(outside));
    assert_eq!(nat.at(1200).reply(outside, data), Ok(flow.reversed()), "it is an established connection");
    // One side closes, and the other still has a lot to say.
    assert_eq!(nat.send(flow, fin), Ok(outside));
    for seconds in (1200..1320).step_by(20) {
        assert_eq!(nat.at(seconds).reply(outside, data), Ok(flow.reversed()), "data to the side that has closed");
        assert_eq!(nat.send(flow, ack), Ok(outside), "which acknowledges");
    }
    assert_eq!(nat.gateway().live_mappings(), 1);
}

/// Wrong checksums of ICMP errors, and of what they quote.
pub fn checksums_are_not_looked_at() {
    let flow = tcp(0, 5000);
    let mut nat = Nat::new(ports(64), 1);
    let outside = nat.leave(&first(flow)).expect("there are free ports");
    let good = icmp_error(PORT_UNREACHABLE, ROUTER, outside.bytes());
    let at = header_length(good.bytes());
    let quoted = at + 8;
    for (what, place) in [
        ("the error's own checksum", at + 2),
        ("the quoted IP header's checksum", quoted + 10),
        ("the quoted transport's checksum", quoted + IP_HEADER + 16),
    ] {
        let mut bytes = good.bytes().to_vec();
        bytes[place] ^= 0x55;
        let got = nat.enter(&parsed(&bytes)).unwrap_or_else(|cause| panic!("{what}: {cause}"));
        assert_eq!(got.dst(), flow.src, "{what}: it is passed on");
        assert!(!icmp_checksums_are_right(&got), "{what}: it is not made right");
    }
}

/// Errors that a host sends about a packet that came in.
pub fn errors_from_inside() {
    for flow in each_protocol(0, 5000) {
        let mut nat = Nat::new(ports(64), 1);
        let outside = nat.send(flow, first).expect("there are free ports");
        let reply = answer(outside.reversed());
        let came_in = nat.enter(&reply).expect("it is the answer");
        let error = icmp_error(PORT_UNREACHABLE, flow.src, came_in.bytes());
        let left = nat.leave(&error).unwrap_or_else(|cause| panic!("{flow}: {cause}"));
        assert_eq!((left.src(), left.dst()), (NAT_IP, flow.dst), "{flow}: it leaves from the NAT IP");
        assert_eq!(left.bytes()[20..22], error.bytes()[20..22], "{flow}: type and code");
        assert_eq!(quotation(&left), reply.bytes(), "{flow}: it quotes what the server had sent");
        assert!(icmp_checksums_are_right(&left), "{flow}");
    }
}

/// ICMP messages that are neither echo nor error.
pub fn other_messages() {
    let mut nat = Nat::new(ports(64), 1);
    let outside: Packet = nat.leave(&data(udp(0, 5000))).expect("there are free ports");
    // Source quench, redirect, router advertisement and solicitation, timestamp, information, address mask, each with
    // a quotation, as the first two have one.
    for kind in [4, 5, 9, 10, 13, 14, 15, 16, 17, 18] {
        let from_outside = icmp(ROUTER, NAT_IP, kind, 0, [0; 4], outside.bytes());
        assert_eq!(nat.enter(&from_outside), Err(SimIcmpUnsupported), "type {kind} from outside");
        let from_inside = icmp(vm(0), ROUTER, kind, 0, [0; 4], &[0; 12]);
        assert_eq!(nat.leave(&from_inside), Err(SimIcmpUnsupported), "type {kind} from inside");
    }
    let parameter_problem = IcmpError { kind: 12, code: 0, rest: [0; 4] };
    assert!(nat.enter(&icmp_error(parameter_problem, ROUTER, outside.bytes())).is_ok(), "an error passes");
}
