//! Packets that the simulated hosts send.
//!
//! Payload bytes are zeros. Nobody reads them, and a checksum over zeros is the checksum of the header, so a segment of
//! 1,400 bytes costs what an empty one costs. Each builder takes a flow of either version, and is compiled for each: what
//! the two do differently is in [`Version`].

use pnet_packet::tcp::MutableTcpPacket;
use pnet_packet::udp::MutableUdpPacket;

use super::flow::{FiveTuple, Flow, Protocol};
use super::layout::{ICMP_HEADER, Layout, TCP_HEADER, UDP_HEADER};
use super::packet::{Packet, Transport};
use super::rewrite::put_word;
use super::version::Version;

/// The option "maximum segment size" (RFC 9293 §3.2).
const MSS_OPTION: usize = 4;

/// TCP's flag bits.
pub mod tcp_flags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
}

/// The parts of a TCP segment that a simulated host chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSegment {
    /// Flag bits, see [`tcp_flags`].
    pub flags: u8,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Bytes of payload.
    pub payload: u16,
}

impl Packet {
    /// Becomes a TCP segment of this flow. A SYN says the largest segment that its sender takes, as every stack's does:
    /// 1,420 bytes, with IPv6 1,400.
    #[inline]
    pub fn build_tcp(&mut self, flow: impl Into<Flow>, segment: TcpSegment) {
        match flow.into() {
            Flow::V4(tuple) => self.put_tcp(tuple, segment),
            Flow::V6(tuple) => self.put_tcp(tuple, segment),
        }
    }

    /// Becomes a UDP datagram of this flow.
    #[inline]
    pub fn build_udp(&mut self, flow: impl Into<Flow>, payload: u16) {
        match flow.into() {
            Flow::V4(tuple) => self.put_udp(tuple, payload),
            Flow::V6(tuple) => self.put_udp(tuple, payload),
        }
    }

    /// Becomes an ICMP echo request (identifier in `src_port`) or reply (identifier in `dst_port`).
    #[inline]
    pub fn build_echo(&mut self, flow: impl Into<Flow>, sequence: u16, payload: u16) {
        match flow.into() {
            Flow::V4(tuple) => self.put_echo(tuple, sequence, payload),
            Flow::V6(tuple) => self.put_echo(tuple, sequence, payload),
        }
    }

    /// Becomes the reset that a host sends for a TCP segment to a closed port, or that a connector VM sends when it has
    /// no port left (RFC 9293 §3.10.7.1).
    pub fn build_reset(&mut self, refused: &Packet) {
        let flow = refused.flow().expect("only TCP segments are reset");
        let (seq, ack, payload) = refused.tcp_numbers().expect("only TCP segments are reset");
        let flags = refused.tcp_flags();
        let segment = if flags & tcp_flags::ACK != 0 {
            TcpSegment { flags: tcp_flags::RST, seq: ack, ack: 0, payload: 0 }
        } else {
            let length = payload + u32::from(flags & tcp_flags::SYN != 0) + u32::from(flags & tcp_flags::FIN != 0);
            TcpSegment { flags: tcp_flags::RST | tcp_flags::ACK, seq: 0, ack: seq.wrapping_add(length), payload: 0 }
        };
        self.build_tcp(flow.reversed(), segment);
    }

    fn put_tcp<A: Version>(&mut self, tuple: FiveTuple<A>, segment: TcpSegment) {
        let header = if segment.flags & tcp_flags::SYN != 0 { TCP_HEADER + MSS_OPTION } else { TCP_HEADER };
        let bytes = self.begin(tuple, header + usize::from(segment.payload));
        if header > TCP_HEADER {
            bytes[TCP_HEADER..header].copy_from_slice(&[2, 4, (A::MSS >> 8) as u8, A::MSS as u8]);
        }
        let mut tcp = MutableTcpPacket::new(bytes).expect("room for a TCP header");
        tcp.set_source(tuple.src_port);
        tcp.set_destination(tuple.dst_port);
        tcp.set_sequence(segment.seq);
        tcp.set_acknowledgement(segment.ack);
        tcp.set_data_offset((header / 4) as u8);
        tcp.set_flags(segment.flags);
        tcp.set_window(64_240);
        self.seal(tuple, Transport::Tcp, 16, header);
    }

    fn put_udp<A: Version>(&mut self, tuple: FiveTuple<A>, payload: u16) {
        let bytes = self.begin(tuple, UDP_HEADER + usize::from(payload));
        let mut udp = MutableUdpPacket::new(bytes).expect("room for a UDP header");
        udp.set_source(tuple.src_port);
        udp.set_destination(tuple.dst_port);
        udp.set_length((UDP_HEADER as u16) + payload);
        self.seal(tuple, Transport::Udp, 6, UDP_HEADER);
    }

    fn put_echo<A: Version>(&mut self, tuple: FiveTuple<A>, sequence: u16, payload: u16) {
        let bytes = self.begin(tuple, ICMP_HEADER + usize::from(payload));
        let (kind, identifier, transport) = if tuple.dst_port == 0 {
            (A::ICMP.request, tuple.src_port, Transport::IcmpEchoRequest)
        } else {
            (A::ICMP.reply, tuple.dst_port, Transport::IcmpEchoReply)
        };
        bytes[0] = kind;
        put_word(bytes, 4, identifier);
        put_word(bytes, 6, sequence);
        self.seal(tuple, transport, 2, ICMP_HEADER);
    }

    /// Becomes an IP header before `length` bytes of zeros, and returns these.
    #[inline]
    pub(super) fn begin<A: Version>(&mut self, tuple: FiveTuple<A>, length: usize) -> &mut [u8] {
        self.bytes.clear();
        self.bytes.resize(A::HEADER + length, 0);
        A::put_header(tuple, &mut self.bytes);
        &mut self.bytes[A::HEADER..]
    }

    /// Writes the checksum of a segment that has nothing but zeros after `written` bytes, and says what the packet is.
    #[inline]
    pub(super) fn seal<A: Version>(
        &mut self,
        tuple: FiveTuple<A>,
        transport: Transport,
        checksum_at: usize,
        written: usize,
    ) {
        let segment = &self.bytes[A::HEADER..];
        // At most 640 words of an error and 18 of a pseudo-header, all less than 2^16: no overflow.
        let (pairs, odd) = segment[..written].as_chunks();
        let mut sum: u32 = pairs.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum();
        sum += odd.first().map_or(0, |byte| u32::from(*byte) << 8);
        sum += A::pseudo_header(tuple, segment.len());
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        let mut checksum = !(sum as u16);
        // Zero means "none" in UDP (RFC 768), and IPv6 forbids that (RFC 8200 §8.1).
        if checksum == 0 && tuple.protocol == Protocol::Udp {
            checksum = 0xffff;
        }
        put_word(&mut self.bytes, A::HEADER + checksum_at, checksum);
        let length = self.bytes.len();
        self.set_layout(&Layout {
            captured: length,
            transport_at: A::HEADER,
            transport,
            protocol: A::number(tuple.protocol),
            wire_length: length,
            is_v4: A::IS_V4,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::wire::testing::{any_flow, checksums_hold, packet};

    proptest! {
        #[test]
        fn what_is_built_is_what_is_parsed(flow in any_flow(), payload in 0u16..1400) {
            let built = packet(flow, payload);
            prop_assert_eq!(&Packet::parse(built.bytes()).unwrap(), &built);
            prop_assert_eq!(built.flow(), Some(flow));
            prop_assert_eq!(built.five_tuple().map(Flow::V4), Some(flow).filter(|_| built.is_ipv4()));
            prop_assert_eq!((built.source(), built.destination()), (flow.src(), flow.dst()));
            prop_assert_eq!((built.protocol_number(), built.ttl()), (flow.protocol_number(), 64));
            prop_assert_eq!(built.wire_length() as usize, built.bytes().len());
            prop_assert!(checksums_hold(&built));
        }

        #[test]
        fn a_segment_says_what_it_was_given(
            mut flow in any_flow(),
            flags in 0u8..32,
            seq: u32,
            ack: u32,
            payload in 0u16..1400,
        ) {
            match &mut flow {
                Flow::V4(tuple) => tuple.protocol = Protocol::Tcp,
                Flow::V6(tuple) => tuple.protocol = Protocol::Tcp,
            }
            let mut built = Packet::empty();
            built.build_tcp(flow, TcpSegment { flags, seq, ack, payload });
            prop_assert_eq!(&Packet::parse(built.bytes()).unwrap(), &built);
            prop_assert_eq!((built.tcp_flags(), built.tcp_numbers()), (flags, Some((seq, ack, payload.into()))));
            prop_assert!(checksums_hold(&built));

            let mut reset = Packet::empty();
            reset.build_reset(&built);
            prop_assert_eq!(reset.flow(), Some(flow.reversed()));
            prop_assert_eq!(reset.tcp_flags() & tcp_flags::RST, tcp_flags::RST);
            prop_assert!(checksums_hold(&reset));
        }
    }

    fn ipv6(src_port: u16, dst_port: u16, protocol: Protocol) -> FiveTuple<Ipv6Addr> {
        FiveTuple { src: "::1".parse().unwrap(), dst: "::2".parse().unwrap(), src_port, dst_port, protocol }
    }

    #[test]
    fn a_syn_offers_what_the_mtu_leaves_beside_the_headers() {
        let v4 = FiveTuple {
            src: Ipv4Addr::new(10, 8, 0, 2),
            dst: Ipv4Addr::new(198, 51, 100, 7),
            src_port: 40_000,
            dst_port: 443,
            protocol: Protocol::Tcp,
        };
        let v6 = ipv6(40_000, 443, Protocol::Tcp);
        // 1460 - 20 - 20 = 1420 and 1460 - 40 - 20 = 1400. The option is the kind 2, its length 4, and the number.
        for (flow, header, mss) in [(Flow::V4(v4), 20, 1420u16), (Flow::V6(v6), 40, 1400)] {
            let mut syn = Packet::empty();
            syn.build_tcp(flow, TcpSegment { flags: tcp_flags::SYN, seq: 1, ack: 0, payload: 0 });
            let [high, low] = mss.to_be_bytes();
            assert_eq!(syn.bytes()[header + 20..], [2, 4, high, low]);
        }
    }

    #[test]
    fn a_datagram_of_ipv6_has_the_checksum_of_rfc_8200() {
        let checksum = |src_port| {
            let packet = packet(ipv6(src_port, 0, Protocol::Udp), 0);
            u16::from_be_bytes([packet.bytes()[46], packet.bytes()[47]])
        };
        // Addresses 1 + 2, next header 17, length 8, and in the UDP header the ports and again 8: 36 + the source port.
        // 36 + 7 = 43 = 0x002b, and its complement is 0xffd4.
        assert_eq!(checksum(7), 0xffd4);
        // 36 + 65,499 = 65,535, whose complement is 0: sent as 0xffff, as 0 is not allowed.
        assert_eq!(checksum(65_499), 0xffff);
    }

    #[test]
    fn an_echo_request_of_ipv6_has_a_checksum_over_the_pseudo_header_too() {
        let packet = packet(ipv6(0x1234, 0, Protocol::Icmp), 0);
        // Addresses 1 + 2, next header 58, length 8: 69 = 0x0045. Type 128 and code 0: 0x8000. Identifier 0x1234,
        // sequence 3.
        // 0x0045 + 0x8000 + 0x1234 + 0x0003 = 0x927c, and its complement is 0x6d83.
        assert_eq!(packet.bytes()[40..], [128, 0, 0x6d, 0x83, 0x12, 0x34, 0, 3]);
    }
}
