//! Fragments, which Cloud NAT does not support.

use egressim::trace::DropCause::{SimFragmentUnsupported, SimIpv6Unavailable};
use egressim::wire::{FiveTuple, Packet};

use crate::harness::{Nat, ports};
use crate::house::{HOUSE, House};
use crate::packets::{data, fragment, fragments, identified, parsed, ping, put_word, udp, without_checksum};

/// A datagram of 1,008 bytes behind the IP header: seven fragments of 144.
fn datagram(flow: FiveTuple) -> Packet {
    let mut packet = Packet::empty();
    packet.build_udp(flow, 1000);
    identified(&packet, 0xbeef)
}

const SIZE: usize = 144;

/// All of these are dropped, on their way out or in, and nothing else happens.
#[track_caller]
fn assert_dropped(nat: &mut Nat, fragments: &[Packet], outbound: bool) {
    let before = nat.gateway().live_mappings();
    for fragment in fragments {
        let passed = if outbound { nat.leave(fragment) } else { nat.enter(fragment) };
        assert_eq!(passed, Err(SimFragmentUnsupported), "a fragment passes: {:02x?}", &fragment.bytes()[..20]);
    }
    let gateway = nat.gateway();
    assert_eq!(gateway.live_mappings(), before, "a fragment makes or ends no mapping");
    assert_eq!(gateway.dropped_out_of_resources(), 0, "and is not counted as a lack of ports");
    assert!(nat.log().is_empty(), "nor logged");
}

pub fn in_order() {
    let flow = udp(0, 5000);
    // The first fragment has the ports, and still nothing is made of it.
    let mut nat = Nat::new(ports(64), 1);
    assert_dropped(&mut nat, &fragments(&datagram(flow), SIZE), true);
    // Nor do fragments of a flow that is known pass, in either direction.
    let outside = nat.send(flow, data).expect("whole packets pass");
    nat.log();
    assert_dropped(&mut nat, &fragments(&datagram(flow), SIZE), true);
    let drops = nat.gateway().dropped_received();
    assert_dropped(&mut nat, &fragments(&datagram(outside.reversed()), SIZE), false);
    assert_eq!(
        nat.gateway().dropped_received(),
        drops + 7,
        "what comes from outside is counted as received and dropped"
    );
    assert_eq!(nat.reply(outside, data), Ok(flow.reversed()), "the flow is none the worse for it");
    assert_eq!(nat.leave(&datagram(flow)).map(|packet| packet.five_tuple()), Ok(Some(outside)));
}

pub fn out_of_order() {
    let flow = udp(0, 5000);
    let mut nat = Nat::new(ports(64), 1);
    let outside = nat.send(flow, data).expect("whole packets pass");
    nat.log();
    let mut shuffled = fragments(&datagram(flow), SIZE);
    shuffled.reverse();
    assert_dropped(&mut nat, &shuffled, true);
    shuffled.swap(0, 3);
    assert_dropped(&mut nat, &shuffled, true);
    let mut from_outside = fragments(&datagram(outside.reversed()), SIZE);
    from_outside.rotate_left(3);
    assert_dropped(&mut nat, &from_outside, false);
    // Nothing is held: neither a timer nor the missing first fragment brings anything out.
    let [first, rest @ ..] = &fragments(&datagram(flow), SIZE)[..] else { panic!("there are fragments") };
    assert_dropped(&mut nat, rest, true);
    assert_dropped(&mut nat, std::slice::from_ref(first), true);
    assert_eq!(nat.gateway().next_timeout(), egressim::time::SimTime::NEVER, "it waits for nothing");
    // A flood of them takes nothing from others.
    for identification in 0..=u16::MAX {
        assert!(nat.leave(&identified(&fragments(&datagram(flow), SIZE)[1], identification)).is_err());
    }
    assert_eq!(nat.send(flow, data), Ok(outside));
}

pub fn overlapping() {
    let flow = udp(0, 5000);
    let mut nat = Nat::new(ports(64), 1);
    let whole = datagram(flow);
    // They overlap, one is there twice, one lies within another, and one has another flow's ports.
    let other_ports = datagram(udp(0, 6000));
    let parts = [
        fragment(&whole, 0..400),
        fragment(&whole, 320..720),
        fragment(&whole, 320..720),
        fragment(&other_ports, 0..400),
        fragment(&whole, 8..16),
        fragment(&whole, 600..1008),
    ];
    assert_dropped(&mut nat, &parts, true);

    // An IPv6 fragment with the same identification: an instance has IPv4 only, and it never gets as far as NAT.
    let mut house = House::new(HOUSE);
    let flow = FiveTuple { src: house.instance(0), ..flow };
    let sent = house.send(0, ipv6_fragment(0xbeef));
    assert_eq!(sent.end, Err(SimIpv6Unavailable));
    let sent = house.send(0, fragments(&datagram(flow), SIZE).remove(0));
    assert_eq!(sent.end, Err(SimFragmentUnsupported), "the IPv4 fragment is not taken for a part of the other one");
    assert_eq!(house.gateway().live_mappings(), 0);
    assert_eq!(house.send(0, datagram(flow)).end, Ok("partner".into()), "a whole packet of that identification passes");
}

/// The first fragment of a UDP datagram over IPv6.
fn ipv6_fragment(identification: u16) -> Packet {
    const UDP: u8 = 17;
    const FRAGMENT_HEADER: u8 = 44;
    let mut bytes = vec![0; 40];
    bytes[0] = 0x60;
    put_word(&mut bytes, 4, 8 + 8 + 8);
    (bytes[6], bytes[7]) = (FRAGMENT_HEADER, 64);
    // 2001:db8::1 to 2001:db8::2.
    for (at, host) in [(8, 1), (24, 2)] {
        bytes[at..at + 4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        bytes[at + 15] = host;
    }
    bytes.extend_from_slice(&[UDP, 0, 0, 1, 0, 0]);
    bytes.extend_from_slice(&identification.to_be_bytes());
    bytes.extend_from_slice(&[0x13, 0x88, 0, 53, 0, 64, 0x12, 0x34]);
    bytes.extend_from_slice(&[0; 8]);
    parsed(&bytes)
}

pub fn without_checksum_and_icmp() {
    let mut nat = Nat::new(ports(64), 1);
    let no_checksum = without_checksum(udp(0, 5000), 1000);
    assert_dropped(&mut nat, &fragments(&no_checksum, SIZE), true);
    let mut large_ping = Packet::empty();
    large_ping.build_echo(ping(0, 77), 1, 1000);
    assert_dropped(&mut nat, &fragments(&large_ping, SIZE), true);
    // Whole, both pass, and what has no checksum gets none.
    let left = nat.leave(&no_checksum).expect("whole packets pass");
    assert_eq!(left.bytes()[26..28], [0, 0]);
    let outside = nat.leave(&large_ping).expect("whole packets pass").five_tuple().expect("an echo request");
    let mut reply = Packet::empty();
    reply.build_echo(outside.reversed(), 1, 1000);
    nat.log();
    assert_dropped(&mut nat, &fragments(&reply, SIZE), false);
    assert!(nat.enter(&reply).is_ok());
}
