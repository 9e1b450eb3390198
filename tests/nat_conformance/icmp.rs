//! ICMP errors, and the packets that they quote.

use std::net::Ipv4Addr;

use egressim::trace::DropCause::{SimIcmpUnsupported, SimIdleExpired, SimTtlExpired, SimUnsolicited};
use egressim::wire::{FiveTuple, Packet, Protocol};

use crate::harness::{NAT_IP, Nat, ports};
use crate::house::{HOUSE, House};
use crate::packets::{
    FRAGMENTATION_NEEDED, ICMP_ERRORS, OTHER_SERVER, PORT_UNREACHABLE, ROUTER, TTL_EXCEEDED, answer, data,
    each_protocol, first, header_length, icmp_checksums_are_right, icmp_error, ip, parsed, put_word, quotation, to,
    to_port, udp, vm, with_options, with_ttl, without_checksum,
};

/// The error that a host gets is the one that was sent, except for whom it is to, and quotes what the host itself had
/// sent.
#[track_caller]
fn assert_restored(got: &Packet, sent_error: &Packet, original: &[u8]) {
    let (got_bytes, sent_bytes) = (got.bytes(), sent_error.bytes());
    let source = Ipv4Addr::new(original[12], original[13], original[14], original[15]);
    assert_eq!(got.dst(), source, "it goes to the host whose packet it quotes");
    assert_eq!(got.src(), sent_error.src(), "it comes from the router that sent it");
    let at = header_length(got_bytes);
    assert_eq!(got_bytes[at..at + 2], sent_bytes[at..at + 2], "type and code");
    assert_eq!(got_bytes[at + 4..at + 8], sent_bytes[at + 4..at + 8], "what follows them, such as the MTU");
    assert_eq!(quotation(got), original, "it quotes the packet byte for byte as the host sent it");
    assert!(icmp_checksums_are_right(got), "its own checksums are right");
}

pub fn errors_restored() {
    for error in ICMP_ERRORS {
        let mut nat = Nat::new(ports(64), 2);
        // Two hosts, the same source ports: the quoted port alone tells whose packet it was.
        for flow in each_protocol(0, 5000).into_iter().chain(each_protocol(1, 5000)) {
            let original = first(flow);
            let outside = nat.leave(&original).expect("there are free ports");
            let sent = icmp_error(error, flow.dst, outside.bytes());
            let got = nat.enter(&sent).unwrap_or_else(|cause| panic!("{flow}, {error:?}: {cause}"));
            assert_restored(&got, &sent, original.bytes());
        }
    }
}

pub fn error_of_a_router() {
    let flow = udp(0, 5000);
    let mut nat = Nat::new(ports(64), 1);
    let original = data(flow);
    let outside = nat.leave(&original).expect("there are free ports");
    // Routers on the way have any address, private ones too.
    for router in [ROUTER, OTHER_SERVER, Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(100, 64, 0, 1)] {
        let sent = icmp_error(TTL_EXCEEDED, router, outside.bytes());
        let got = nat.enter(&sent).unwrap_or_else(|cause| panic!("from {router}: {cause}"));
        assert_restored(&got, &sent, original.bytes());
    }
}

pub fn error_of_no_mapping() {
    let mut nat = Nat::new(ports(64), 1);
    let outside = nat.send(udp(0, 5000), data).expect("there are free ports");
    for (what, quoted) in [
        ("a port nobody has", FiveTuple { src_port: 2000, ..outside }),
        ("a port that is free", FiveTuple { src_port: outside.src_port + 1, ..outside }),
        ("an address that was not sent to", to(OTHER_SERVER, outside)),
        ("a port that was not sent to", to_port(54, outside)),
        ("another protocol", FiveTuple { protocol: Protocol::Tcp, ..outside }),
    ] {
        let error = icmp_error(PORT_UNREACHABLE, ROUTER, data(quoted).bytes());
        assert_eq!(nat.enter(&error), Err(SimUnsolicited), "about {what}");
    }
    let about_expired = icmp_error(PORT_UNREACHABLE, ROUTER, data(outside).bytes());
    assert_eq!(nat.at(30).enter(&about_expired), Err(SimUnsolicited), "about what has expired");
    let about_gre = icmp_error(PORT_UNREACHABLE, ROUTER, ip(NAT_IP, outside.dst, 47, &[0; 8]).bytes());
    assert_eq!(nat.enter(&about_gre), Err(SimIcmpUnsupported), "about what is never translated");
    // The same from inside: an error about what did not come in.
    let from_inside = icmp_error(PORT_UNREACHABLE, vm(0), data(udp(0, 6000).reversed()).bytes());
    assert_eq!(nat.leave(&from_inside), Err(SimIcmpUnsupported));
    assert_eq!(nat.gateway().live_mappings(), 0, "no error makes a mapping");
}

pub fn error_ends_nothing() {
    for error in ICMP_ERRORS {
        for flow in each_protocol(0, 5000) {
            let idle = if flow.protocol == Protocol::Tcp { 1200 } else { 30 };
            let after_an_error = || {
                let mut nat = Nat::new(ports(64), 1);
                let outside = nat.open(flow).expect("there are free ports");
                let left = nat.leave(&data(flow)).expect("it is open");
                nat.at(29).enter(&icmp_error(error, ROUTER, left.bytes())).expect("it is about a known connection");
                (nat, outside)
            };
            let (mut nat, outside) = after_an_error();
            assert_eq!(nat.reply(outside, data), Ok(flow.reversed()), "{flow}, {error:?}: replies still arrive");
            assert_eq!(nat.send(flow, data), Ok(outside), "{flow}, {error:?}: by the same port");
            // It neither shortens nor prolongs the mapping's time.
            let (mut nat, outside) = after_an_error();
            assert_eq!(nat.at(f64::from(idle) - 0.001).gateway().live_mappings(), 1, "{flow}, {error:?}: it lives on");
            assert_eq!(nat.at(idle).reply(outside, data), Err(SimIdleExpired), "{flow}, {error:?}: as long as before");
        }
    }
}

pub fn ttl_runs_out() {
    for flow in each_protocol(0, 5000) {
        let mut house = House::new(HOUSE);
        let flow = FiveTuple { src: house.instance(0), ..flow };
        let expires = with_ttl(&first(flow), 1);
        let sent = house.send(0, expires.clone());
        assert_eq!(sent.end, Err(SimTtlExpired));
        let [(station, error)] = &sent.answers[..] else { panic!("one answer is sent: {sent:?}") };
        assert_eq!((station.as_str(), error.dst()), ("api-1", flow.src), "to the instance that sent the packet");
        assert_eq!(error.bytes()[20..22], [11, 0], "time exceeded, on the way");
        assert_eq!(quotation(error), expires.bytes(), "it quotes the packet before translation");
        assert!(icmp_checksums_are_right(error));

        let passes = house.send(0, with_ttl(&first(flow), 2));
        assert_eq!((passes.end, passes.packet.ttl(), passes.answers.len()), (Ok("partner".into()), 1, 0), "a TTL of 2");
        // The same for what comes from outside: it runs out before it is translated, and its sender is told.
        let reply = with_ttl(&answer(passes.packet.five_tuple().expect("it is one of the flow").reversed()), 1);
        let sent = house.send_from("partner", reply.clone());
        assert_eq!(sent.end, Err(SimTtlExpired));
        let [(station, error)] = &sent.answers[..] else { panic!("one answer is sent: {sent:?}") };
        assert_eq!((station.as_str(), quotation(error)), ("partner", reply.bytes()));
    }
}

/// A datagram of this length in all.
fn datagram(flow: FiveTuple, length: u16) -> Packet {
    let mut packet = Packet::empty();
    packet.build_udp(flow, length - 28);
    packet
}

pub fn path_mtu() {
    let mut house = House::new(HOUSE);
    let flow = FiveTuple { src: house.instance(0), ..udp(0, 5000) };
    let large = datagram(flow, 1400);
    assert_eq!(large.bytes()[6] & 0x40, 0x40, "it must not be fragmented");
    let left = house.send(0, large.clone());
    let outside = left.packet.five_tuple().expect("it was translated");
    // No link has an MTU here. So the packet arrives, and the router that would have refused it is played by hand.
    let refusal = icmp_error(FRAGMENTATION_NEEDED, ROUTER, left.packet.bytes());
    let sent = house.send_from("far-router", refusal.clone());
    assert_eq!(sent.end, Ok("api-1".into()), "it reaches the instance, past the firewall, too");
    let as_refused = with_ttl(&large, left.packet.ttl());
    assert_restored(&sent.packet, &refusal, as_refused.bytes());
    assert_eq!(sent.packet.bytes()[26..28], [0x05, 0x00], "with the MTU, 1280");

    let retry = house.send(0, datagram(flow, 1280));
    assert_eq!(
        (retry.end, retry.packet.five_tuple()),
        (Ok("partner".into()), Some(outside)),
        "the same port as before"
    );
    let reply = house.send_from("partner", data(outside.reversed()));
    assert_eq!((reply.end, reply.packet.five_tuple()), (Ok("api-1".into()), Some(flow.reversed())));
}

pub fn short_and_odd_quotations() {
    let error_about = |quoted: &[u8]| icmp_error(PORT_UNREACHABLE, ROUTER, quoted);
    for flow in each_protocol(0, 5000) {
        let mut nat = Nat::new(ports(64), 1);
        for original in [data(flow), with_options(&data(flow))] {
            let outside = nat.leave(&original).expect("options are no obstacle");
            let header = header_length(original.bytes());
            // All that must be quoted is the IP header and eight bytes (RFC 792); TCP's checksum is further behind.
            for behind in [8, 12, 17, 18, 19, original.bytes().len() - header] {
                let sent = error_about(&outside.bytes()[..header + behind]);
                let got = nat.enter(&sent).unwrap_or_else(|cause| panic!("{flow}, {behind} bytes: {cause}"));
                // Of a checksum cut in half nothing can be put right.
                let half = (flow.protocol == Protocol::Tcp && behind == 17).then_some(header + 16);
                let end = half.unwrap_or(header + behind);
                assert_eq!(quotation(&got)[..end], original.bytes()[..end], "{flow}, {behind} bytes behind {header}");
                assert!(icmp_checksums_are_right(&got), "{flow}, {behind} bytes behind {header}");
            }
            for behind in [0, 4, 7] {
                let short = error_about(&outside.bytes()[..header + behind]);
                assert_eq!(nat.enter(&short), Err(SimIcmpUnsupported), "{flow}: {behind} bytes name no flow");
            }
        }
    }
    // Options in the error's own header, and a quotation without checksum.
    let mut nat = Nat::new(ports(64), 1);
    let original = without_checksum(udp(0, 5000), 12);
    let outside = nat.leave(&original).expect("there are free ports");
    let sent = with_options(&error_about(outside.bytes()));
    assert_restored(&nat.enter(&sent).expect("options are no obstacle"), &sent, original.bytes());
    // What is no IP header, though it is quoted as one.
    for damage in [0x55, 0x4f, 0x41] {
        let mut bytes = error_about(outside.bytes()).bytes().to_vec();
        bytes[28] = damage;
        assert!(nat.enter(&parsed(&bytes)).is_err(), "a quotation that begins with {damage:#x}");
    }
    let mut later_fragment = outside.bytes().to_vec();
    put_word(&mut later_fragment, 6, 5);
    assert_eq!(nat.enter(&error_about(&later_fragment)), Err(SimIcmpUnsupported), "a later fragment names no flow");
}
