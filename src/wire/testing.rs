//! What the properties of this module share: flows and extension headers of all kinds, and checksums by pnet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pnet_packet::icmpv6::{Icmpv6Packet, checksum as icmpv6_checksum};
use pnet_packet::ipv4::{self, Ipv4Packet};
use pnet_packet::tcp::{self, TcpPacket};
use pnet_packet::udp::{self, UdpPacket};
use proptest::prelude::*;

use super::rewrite::{put_word, word_at};
use super::{FiveTuple, Flow, Packet, Protocol, TcpSegment, Transport};

prop_compose! {
    pub fn any_tuple()(src: u32, dst: u32, src_port: u16, dst_port: u16, kind in 0..3) -> FiveTuple {
        let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Icmp][kind as usize];
        let dst_port = if protocol == Protocol::Icmp { 0 } else { dst_port };
        FiveTuple { src: src.into(), dst: dst.into(), src_port, dst_port, protocol }
    }
}

/// A flow of either version between single hosts; of ICMP's flows half are those of the replies.
pub fn any_flow() -> impl Strategy<Value = Flow> {
    let host = |address: u128| Ipv6Addr::from(address >> 8 | 0x20 << 120);
    (any_tuple(), any::<u128>(), any::<u128>(), any::<bool>(), any::<bool>()).prop_map(
        move |(FiveTuple { src_port, dst_port, protocol, .. }, src, dst, v6, reverse)| {
            let v6_tuple = FiveTuple { src: host(src), dst: host(dst), src_port, dst_port, protocol };
            let v4_tuple =
                FiveTuple { src: (src as u32).into(), dst: (dst as u32).into(), src_port, dst_port, protocol };
            let flow = if v6 { Flow::V6(v6_tuple) } else { Flow::V4(v4_tuple) };
            if reverse { flow.reversed() } else { flow }
        },
    )
}

/// A flow of IPv6 between single hosts.
pub fn any_ipv6_flow() -> impl Strategy<Value = Flow> {
    any_flow().prop_map(|flow| match flow {
        Flow::V4(FiveTuple { src, dst, src_port, dst_port, protocol }) => {
            let [src, dst] =
                [src, dst].map(|address| Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(u32::from(address))));
            Flow::V6(FiveTuple { src, dst, src_port, dst_port, protocol })
        }
        flow => flow,
    })
}

/// A packet of a flow.
pub fn packet(flow: impl Into<Flow>, payload: u16) -> Packet {
    let flow = flow.into();
    let mut packet = Packet::empty();
    match flow.protocol() {
        Protocol::Tcp => packet.build_tcp(flow, TcpSegment { flags: 0x18, seq: 1, ack: 2, payload }),
        Protocol::Udp => packet.build_udp(flow, payload),
        Protocol::Icmp => packet.build_echo(flow, 3, payload),
    }
    packet
}

/// Whether the checksums of the IP header and of the transport are right; in IPv4, UDP may have none.
pub fn checksums_hold(packet: &Packet) -> bool {
    let segment = &packet.bytes()[packet.transport_at..];
    let as_sent = |right: u16| if right == 0 { 0xffff } else { right };
    if packet.is_ipv4() {
        let ip = Ipv4Packet::new(packet.bytes()).unwrap();
        let (src, dst) = (packet.src(), packet.dst());
        let transport = match packet.transport() {
            Transport::Tcp => {
                let tcp = TcpPacket::new(segment).unwrap();
                tcp::ipv4_checksum(&tcp, &src, &dst) == tcp.get_checksum()
            }
            Transport::Udp => {
                let udp = UdpPacket::new(segment).unwrap();
                udp.get_checksum() == 0 || as_sent(udp::ipv4_checksum(&udp, &src, &dst)) == udp.get_checksum()
            }
            _ => pnet_packet::util::checksum(segment, 1) == word_at(segment, 2),
        };
        return transport && ipv4::checksum(&ip) == ip.get_checksum();
    }
    let ip = pnet_packet::ipv6::Ipv6Packet::new(packet.bytes()).unwrap();
    let (src, dst) = (ip.get_source(), ip.get_destination());
    match packet.transport() {
        Transport::Tcp => {
            let tcp = TcpPacket::new(segment).unwrap();
            tcp::ipv6_checksum(&tcp, &src, &dst) == tcp.get_checksum()
        }
        Transport::Udp => {
            let udp = UdpPacket::new(segment).unwrap();
            as_sent(udp::ipv6_checksum(&udp, &src, &dst)) == udp.get_checksum()
        }
        _ => {
            let icmp = Icmpv6Packet::new(segment).unwrap();
            icmpv6_checksum(&icmp, &src, &dst) == icmp.get_checksum()
        }
    }
}

/// Extension headers with which a packet is still whole: number and bytes, of which the first is still to be filled in.
pub fn any_extensions() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let kind = prop::sample::select(vec![43, 44, 51, 60, 135, 139, 140]);
    let options = (any::<bool>(), 0u8..3);
    (options, prop::collection::vec((kind, 0u8..5, any::<u8>()), 0..5)).prop_map(|((hop_by_hop, units), others)| {
        let hop_by_hop = hop_by_hop.then_some((0, units, 0x1e));
        hop_by_hop.into_iter().chain(others).map(|(kind, units, fill)| (kind, extension(kind, units, fill))).collect()
    })
}

/// One extension header with this in its length field. A fragment header is an atomic one.
pub fn extension(kind: u8, units: u8, fill: u8) -> Vec<u8> {
    let length = match kind {
        44 => return vec![0, fill, 0, 0, fill, fill, fill, fill],
        51 => (usize::from(units) + 2) * 4,
        _ => (usize::from(units) + 1) * 8,
    };
    let mut header = vec![fill; length];
    header[1] = units;
    header
}

/// An IPv6 packet with extension headers before its transport.
pub fn extended(packet: &Packet, extensions: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = packet.bytes()[..40].to_vec();
    let mut next_at = 6;
    let protocol = bytes[next_at];
    for (number, header) in extensions {
        bytes[next_at] = *number;
        next_at = bytes.len();
        bytes.extend(header);
    }
    bytes[next_at] = protocol;
    bytes.extend(&packet.bytes()[40..]);
    let payload = bytes.len() - 40;
    put_word(&mut bytes, 4, u16::try_from(payload).unwrap());
    bytes
}

/// An address of the same version as another one.
pub fn address_like(other: IpAddr, bits: u128) -> IpAddr {
    match other {
        IpAddr::V4(_) => Ipv4Addr::from(bits as u32).into(),
        IpAddr::V6(_) => Ipv6Addr::from(bits).into(),
    }
}

/// A packet without options in two fragments, of which the first has 24 bytes.
pub fn in_fragments(packet: &Packet) -> (Packet, Packet) {
    const FIRST: usize = 24;
    let header = packet.transport_at;
    let fragment = |part: &[u8], offset: u16, more: u16| {
        let mut bytes = packet.bytes()[..header].to_vec();
        if packet.is_ipv4() {
            bytes.extend(part);
            let length = bytes.len() as u16;
            put_word(&mut bytes, 2, length);
            put_word(&mut bytes, 6, (more << 13) | (offset / 8));
        } else {
            bytes.extend([bytes[6], 0, 0, 0, 0, 0, 0, 9]);
            bytes[6] = 44;
            put_word(&mut bytes, header + 2, offset | more);
            bytes.extend(part);
            put_word(&mut bytes, 4, part.len() as u16 + 8);
        }
        Packet::parse(&bytes).unwrap()
    };
    let segment = &packet.bytes()[header..];
    (fragment(&segment[..FIRST], 0, 1), fragment(&segment[FIRST..], FIRST as u16, 0))
}
