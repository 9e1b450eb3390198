//! Packets that the simulated hosts send.
//!
//! Payload bytes are zeros. Nobody reads them, and a checksum over zeros is the checksum of the header, so a segment of
//! 1,400 bytes costs what an empty one costs.

use pnet_packet::icmp::MutableIcmpPacket;
use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::ipv4::{self, Ipv4Flags, MutableIpv4Packet};
use pnet_packet::tcp::MutableTcpPacket;
use pnet_packet::udp::MutableUdpPacket;

use super::flow::{FiveTuple, Protocol};
use super::packet::Packet;
use super::rewrite::put_word;

const IPV4_HEADER: usize = 20;
const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
const ICMP_HEADER: usize = 8;
/// The option "maximum segment size" (RFC 9293 §3.2).
const MSS_OPTION: usize = 4;
/// The VPC's default MTU of 1460, less 40 bytes of headers.
pub(crate) const MSS: u16 = 1420;
/// What Linux sends.
const TTL: u8 = 64;

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
    /// Becomes a TCP segment of this flow. A SYN says the largest segment that its sender takes, as every stack's does.
    pub fn build_tcp(&mut self, tuple: FiveTuple, segment: TcpSegment) {
        let header = if segment.flags & tcp_flags::SYN != 0 { TCP_HEADER + MSS_OPTION } else { TCP_HEADER };
        self.build_ipv4(tuple, IPV4_HEADER + header + usize::from(segment.payload));
        let bytes = &mut self.bytes[IPV4_HEADER..];
        if header > TCP_HEADER {
            bytes[TCP_HEADER..header].copy_from_slice(&[2, 4, (MSS >> 8) as u8, MSS as u8]);
        }
        let mut tcp = MutableTcpPacket::new(bytes).expect("room for a TCP header");
        tcp.set_source(tuple.src_port);
        tcp.set_destination(tuple.dst_port);
        tcp.set_sequence(segment.seq);
        tcp.set_acknowledgement(segment.ack);
        tcp.set_data_offset((header / 4) as u8);
        tcp.set_flags(segment.flags);
        tcp.set_window(64_240);
        self.seal_transport(tuple, 16, header);
    }

    /// Becomes a UDP datagram of this flow.
    pub fn build_udp(&mut self, tuple: FiveTuple, payload: u16) {
        let length = IPV4_HEADER + UDP_HEADER + usize::from(payload);
        self.build_ipv4(tuple, length);
        let mut udp = MutableUdpPacket::new(&mut self.bytes[IPV4_HEADER..]).expect("room for a UDP header");
        udp.set_source(tuple.src_port);
        udp.set_destination(tuple.dst_port);
        udp.set_length((UDP_HEADER as u16) + payload);
        self.seal_transport(tuple, 6, UDP_HEADER);
    }

    /// Becomes an ICMP echo request (identifier in `src_port`) or reply (identifier in `dst_port`).
    pub fn build_echo(&mut self, tuple: FiveTuple, sequence: u16, payload: u16) {
        let length = IPV4_HEADER + ICMP_HEADER + usize::from(payload);
        self.build_ipv4(tuple, length);
        let request = tuple.dst_port == 0;
        let bytes = &mut self.bytes[IPV4_HEADER..];
        bytes[0] = if request { 8 } else { 0 };
        put_word(bytes, 4, if request { tuple.src_port } else { tuple.dst_port });
        put_word(bytes, 6, sequence);
        let checksum = pnet_packet::util::checksum(&bytes[..ICMP_HEADER], 1);
        MutableIcmpPacket::new(bytes).expect("room for an ICMP header").set_checksum(checksum);
        self.refresh_layout();
    }

    /// Becomes the reset that a host sends for a TCP segment to a closed port, or that a connector VM sends when it has
    /// no port left (RFC 9293 §3.10.7.1).
    pub fn build_reset(&mut self, refused: &Packet) {
        let tuple = refused.five_tuple().expect("only TCP segments are reset");
        let (seq, ack, payload) = refused.tcp_numbers().expect("only TCP segments are reset");
        let flags = refused.tcp_flags();
        let segment = if flags & tcp_flags::ACK != 0 {
            TcpSegment { flags: tcp_flags::RST, seq: ack, ack: 0, payload: 0 }
        } else {
            let length = payload + u32::from(flags & tcp_flags::SYN != 0) + u32::from(flags & tcp_flags::FIN != 0);
            TcpSegment { flags: tcp_flags::RST | tcp_flags::ACK, seq: 0, ack: seq.wrapping_add(length), payload: 0 }
        };
        self.build_tcp(tuple.reversed(), segment);
    }

    pub(super) fn build_ipv4(&mut self, tuple: FiveTuple, length: usize) {
        self.bytes.clear();
        self.bytes.resize(length, 0);
        let mut ip = MutableIpv4Packet::new(&mut self.bytes).expect("room for an IPv4 header");
        ip.set_version(4);
        ip.set_header_length((IPV4_HEADER / 4) as u8);
        ip.set_total_length(u16::try_from(length).expect("simulated hosts send no jumbograms"));
        ip.set_flags(Ipv4Flags::DontFragment);
        ip.set_ttl(TTL);
        ip.set_next_level_protocol(IpNextHeaderProtocol(tuple.protocol.number()));
        ip.set_source(tuple.src);
        ip.set_destination(tuple.dst);
        let checksum = ipv4::checksum(&ip.to_immutable());
        ip.set_checksum(checksum);
    }

    /// Writes the checksum of a TCP or UDP header with a payload of zeros.
    fn seal_transport(&mut self, tuple: FiveTuple, checksum_at: usize, header: usize) {
        let segment = &self.bytes[IPV4_HEADER..];
        let length = segment.len();
        let mut sum: u32 =
            segment[..header].chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        for address in [tuple.src, tuple.dst] {
            let address = u32::from(address);
            sum += (address >> 16) + (address & 0xffff);
        }
        sum += u32::from(tuple.protocol.number()) + length as u32;
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        let mut checksum = !(sum as u16);
        if checksum == 0 && tuple.protocol == Protocol::Udp {
            checksum = 0xffff;
        }
        put_word(&mut self.bytes, IPV4_HEADER + checksum_at, checksum);
        self.refresh_layout();
    }
}
