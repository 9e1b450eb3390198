//! What is changed in a packet, what is not, and what is no packet.

use std::ops::ControlFlow;

use egressim::capture::{LinkType, PacketWriter, network_layer};
use egressim::sim::rng;
use egressim::simulation::replay::{Options, replay};
use egressim::trace::DropCause::CloudNatProtocolUnsupported;
use egressim::wire::{FiveTuple, Malformed, Packet, Protocol};
use rand_chacha::rand_core::Rng;

use crate::common::headers::{RIGHT, checksum_sums};
use crate::common::scenario;
use crate::harness::{NAT_IP, Nat, ports};
use crate::house::HOUSE;
use crate::packets::{
    IP_HEADER, ROUTER, SERVER, data, each_protocol, header_length, ip, parsed, ping, put_word, udp, vm,
    without_checksum, word,
};

/// Where the transport's checksum is.
fn checksum_at(packet: &Packet) -> usize {
    let behind = match packet.five_tuple().expect("a packet of a flow").protocol {
        Protocol::Tcp => 16,
        Protocol::Udp => 6,
        Protocol::Icmp => 2,
    };
    header_length(packet.bytes()) + behind
}

/// The same packet with these bytes of payload, two of them behind the transport header, and its checksum put right.
fn with_payload(packet: &Packet, payload: u16) -> Packet {
    let mut bytes = packet.bytes().to_vec();
    let (at, end) = (checksum_at(packet), bytes.len());
    put_word(&mut bytes, end - 2, payload);
    put_word(&mut bytes, at, 0);
    // A UDP checksum of 0 would mean that there is none: sum it as if it were the other zero.
    let udp = packet.five_tuple().expect("a packet of a flow").protocol == Protocol::Udp;
    if udp {
        put_word(&mut bytes, at, RIGHT);
    }
    let (_, sum) = checksum_sums(&parsed(&bytes)).expect("it is whole");
    let checksum = !sum.expect("it has a checksum");
    put_word(&mut bytes, at, if udp && checksum == 0 { RIGHT } else { checksum });
    parsed(&bytes)
}

pub fn checksums() {
    let mut random = rng::stream(1, "checksums");
    let mut nat = Nat::new(ports(1024), 4);
    for round in 0..2000 {
        let number = round % 4;
        for flow in each_protocol(number, random.next_u64() as u16) {
            let flow = FiveTuple { dst: (0x0800_0000 | random.next_u64() as u32 & 0x00ff_ffff).into(), ..flow };
            // Right stays right, there and back: that a sum is what it was, whatever it was, is looked at for every
            // packet of every case.
            let right = with_payload(&data(flow), random.next_u64() as u16);
            assert_eq!(checksum_sums(&right), Some((RIGHT, Some(RIGHT))));
            let outside = nat.leave(&right).expect("there are free ports");
            assert_eq!(checksum_sums(&outside), Some((RIGHT, Some(RIGHT))), "{flow}");
            let reply = with_payload(&data(outside.five_tuple().expect("it is whole").reversed()), round as u16);
            assert_eq!(
                checksum_sums(&nat.enter(&reply).expect("it is the reply")),
                Some((RIGHT, Some(RIGHT))),
                "{flow}"
            );
            // Wrong stays exactly as wrong.
            let mut bytes = right.bytes().to_vec();
            let at = checksum_at(&right);
            let wrong = word(&bytes, at) ^ (1 + random.next_u64() as u16 % 0x7fff);
            put_word(&mut bytes, at, if wrong == 0 { 1 } else { wrong });
            let header_too = round % 2 == 0;
            bytes[10] ^= u8::from(header_too);
            let left = nat.leave(&parsed(&bytes)).expect("a wrong checksum is no reason to drop");
            let (header, transport) = checksum_sums(&left).expect("it is whole");
            assert!(transport != Some(RIGHT) && (header != RIGHT) == header_too, "{flow}: what is wrong is not mended");
            assert_eq!(checksum_sums(&left), checksum_sums(&parsed(&bytes)), "{flow}: nor made worse");
        }
    }
    // No checksum stays none, both ways.
    let none = without_checksum(udp(0, 5000), 20);
    let left = nat.leave(&none).expect("there are free ports");
    assert_eq!(word(left.bytes(), checksum_at(&left)), 0);
    let entered = nat.enter(&without_checksum(left.five_tuple().expect("it is whole").reversed(), 20));
    assert_eq!(entered.map(|packet| word(packet.bytes(), IP_HEADER + 6)), Ok(0));
    // And a checksum that comes out as 0 is written as all ones. One payload of 65,536 gives that.
    let mut zeros = 0;
    for payload in 0..=u16::MAX {
        let left = nat.leave(&with_payload(&data(udp(1, 5000)), payload)).expect("there are free ports");
        let checksum = word(left.bytes(), checksum_at(&left));
        assert_ne!(checksum, 0, "payload {payload:#06x}: the checksum was lost");
        zeros += u32::from(checksum == 0xffff);
    }
    assert!(zeros > 0, "one payload has this checksum");
}

pub fn trailer() {
    // An echo request of 29 bytes in the smallest Ethernet frame: 17 bytes of padding, which are no zeros here.
    let mut packet = Packet::empty();
    packet.build_echo(ping(0, 77), 1, 1);
    let mut frame = [0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x08, 0x00].to_vec();
    frame.extend_from_slice(packet.bytes());
    frame.resize(60, 0xa5);
    let inside = parsed(network_layer(LinkType::Ethernet, &frame).expect("it is IPv4"));
    assert_eq!(inside, packet, "the padding is no part of the packet");
    let mut nat = Nat::new(ports(64), 1);
    let outside = nat.leave(&inside).expect("there are free identifiers");
    assert_eq!(outside.bytes().len(), 29);
    // The reply has a trailer, too.
    let mut reply = Packet::empty();
    reply.build_echo(outside.five_tuple().expect("an echo request").reversed(), 1, 1);
    let with_trailer = [reply.bytes(), &[0xa5; 17]].concat();
    let entered = nat.enter(&parsed(&with_trailer)).expect("it is the reply");
    assert_eq!(entered.bytes().len(), 29, "and loses it");
}

pub fn bad_length() {
    let good = data(udp(0, 5000));
    let length = good.bytes().len();
    let damaged = |at: usize, value: u16| {
        let mut bytes = good.bytes().to_vec();
        put_word(&mut bytes, at, value);
        bytes
    };
    for declared in [length + 1, 1500, 0xffff, 19, 4, 1] {
        let refused = Packet::parse(&damaged(2, declared as u16));
        assert_eq!(refused, Err(Malformed::Length { declared, on_wire: length }), "a total length of {declared}");
    }
    for words in [0, 1, 4] {
        let refused = Packet::parse(&damaged(0, 0x4000 | words << 8));
        assert!(matches!(refused, Err(Malformed::Header { .. })), "a header of {words} words: {refused:?}");
    }
    let header_only = Packet::parse(&damaged(2, 20));
    assert_eq!(header_only, Err(Malformed::Transport(0)), "no room for a UDP header");
    // The one exception: captures made before the network card has filled it in have a length of 0.
    assert_eq!(Packet::parse(&damaged(2, 0)).map(|packet| packet.bytes().len()), Ok(length));

    // In a capture, such a record is dropped and counted as malformed, and the others go their way.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("lengths.pcap");
    let mut writer = PacketWriter::create(&path).expect("the folder is writable");
    for bytes in [damaged(2, 1500), good.bytes().to_vec(), damaged(2, 19)] {
        writer.write(0, &bytes, bytes.len() as u32).expect("the file is writable");
    }
    writer.finish().expect("the file is writable");
    let options = Options { captures: vec![path], ..Options::default() };
    let summary = replay(&scenario(HOUSE), &options, &mut |_| ControlFlow::Continue(())).expect("it is a capture");
    let packets = summary.packets;
    assert_eq!((packets.delivered, packets.dropped), (1, 2), "{:?}", packets.dropped_by);
    assert_eq!(packets.dropped_by["SIM_MALFORMED_PACKET"], 2);
}

pub fn other_protocols() {
    let mut nat = Nat::new(ports(64), 1);
    // IP in IP, IPv6 in IP, GRE, ESP, AH, SCTP, UDP-Lite, and a number that is nobody's.
    for protocol in [4, 41, 47, 50, 51, 132, 136, 253] {
        let payload = [0, 0, 0x08, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let outbound = ip(vm(0), SERVER, protocol, &payload);
        assert_eq!(nat.leave(&outbound), Err(CloudNatProtocolUnsupported), "protocol {protocol}, outbound");
        let inbound = ip(ROUTER, NAT_IP, protocol, &payload);
        assert_eq!(nat.enter(&inbound), Err(CloudNatProtocolUnsupported), "protocol {protocol}, inbound");
    }
    assert_eq!(nat.gateway().live_mappings(), 0);
    assert_eq!(nat.gateway().dropped_out_of_resources(), 0, "it is no lack of ports");
    assert!(nat.log().is_empty(), "and not logged");
}
