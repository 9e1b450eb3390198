//! A validated IP packet.

use std::net::{IpAddr, Ipv4Addr};

use pnet_packet::ipv4::{Ipv4Flags, Ipv4Packet};
use pnet_packet::ipv6::Ipv6Packet;
use pnet_packet::tcp::TcpPacket;
use thiserror::Error;

use super::flow::{FiveTuple, Flow, Protocol};
use super::ipv6::{Chain, Fragment};
use super::layout::{IPV4_HEADER, Layout, PROTOCOL_TCP, PROTOCOL_UDP};

/// RFC 9260; it has its ports where TCP and UDP have them.
const PROTOCOL_SCTP: u8 = 132;

/// Why bytes are no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Neither 4 nor 6 in the version field.
    #[error("IP version {0}, expected 4 or 6")]
    Version(u8),
    /// The IP header is longer than what is there, or shorter than an IP header can be.
    #[error("IP header of {header} bytes in {captured} captured bytes")]
    Header {
        /// What the header says of its own length.
        header: usize,
        /// What is there.
        captured: usize,
    },
    /// The length field promises more than was on the wire, or less than the header.
    #[error("IP length {declared} in {on_wire} bytes on the wire")]
    Length {
        /// The length field.
        declared: usize,
        /// Bytes on the wire.
        on_wire: usize,
    },
    /// An extension header of IPv6 is not all there.
    #[error("IPv6 extension header {protocol} cut to {captured} bytes")]
    ExtensionHeader {
        /// Its next-header number.
        protocol: u8,
        /// What is there of it.
        captured: usize,
    },
    /// The transport header is not all there.
    #[error("transport header cut to {0} bytes")]
    Transport(usize),
}

/// What an IP packet carries, as far as the stations care. The extension headers of IPv6 are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP, header complete.
    Tcp,
    /// UDP, header complete.
    Udp,
    /// ICMP echo request.
    IcmpEchoRequest,
    /// ICMP echo reply.
    IcmpEchoReply,
    /// An ICMP error, which quotes another packet: types 3, 11 and 12 of ICMP, 1 to 4 of ICMPv6.
    IcmpError,
    /// Any other ICMP message.
    IcmpOther,
    /// A fragment: the first one (with more to come) or a later one. An IPv6 packet with a fragment header that is whole
    /// nevertheless is none (RFC 6946).
    Fragment,
    /// Another protocol, by its IANA number. 59 is an IPv6 packet with nothing behind its headers.
    Other(u8),
}

/// A validated IP packet. The link layer and padding are gone; a capture's cut tail may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    pub(super) bytes: Vec<u8>,
    /// Where the transport header starts.
    pub(super) transport_at: usize,
    transport: Transport,
    protocol: u8,
    /// Length on the wire: more than `bytes` when the capture cut the packet.
    wire_length: u32,
    is_v4: bool,
}

impl Default for Packet {
    fn default() -> Self {
        Packet::empty()
    }
}

impl Packet {
    /// An empty buffer to [`Packet::load`] into. It is the one packet that is not valid: an IPv4 header without a sender.
    pub fn empty() -> Packet {
        let mut bytes = vec![0; IPV4_HEADER];
        bytes[0] = 0x45;
        bytes[3] = IPV4_HEADER as u8;
        Packet {
            bytes,
            transport_at: IPV4_HEADER,
            transport: Transport::Other(0),
            protocol: 0,
            wire_length: IPV4_HEADER as u32,
            is_v4: true,
        }
    }

    /// Takes bytes that start with an IP header. Trailing padding is cut off.
    ///
    /// # Errors
    /// [`Malformed`] when version, lengths and bytes do not agree.
    pub fn parse(bytes: &[u8]) -> Result<Packet, Malformed> {
        let mut packet = Packet::empty();
        packet.load(bytes, bytes.len())?;
        Ok(packet)
    }

    /// Like [`Packet::parse`], but reuses this packet's buffer, and takes the length the bytes had on the wire: a capture
    /// with a snap length keeps only the front of a packet. After an error the content is unspecified but still a packet.
    ///
    /// # Errors
    /// [`Malformed`] when version, lengths and bytes do not agree.
    #[inline]
    pub fn load(&mut self, bytes: &[u8], on_wire: usize) -> Result<(), Malformed> {
        let layout = Layout::of(bytes, on_wire)?;
        self.bytes.clear();
        self.bytes.extend_from_slice(&bytes[..layout.captured]);
        self.set_layout(&layout);
        Ok(())
    }

    /// The packet, from its IP header on.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Length on the wire, in bytes; more than [`Packet::bytes`] holds when a capture cut the packet.
    pub fn wire_length(&self) -> u32 {
        self.wire_length
    }

    /// Whether routers must not fragment it: by its flag, and always with IPv6.
    pub fn dont_fragment(&self) -> bool {
        !self.is_v4 || self.ipv4().get_flags() & Ipv4Flags::DontFragment != 0
    }

    /// Whether it is IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.is_v4
    }

    /// What it carries.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Source address.
    pub fn source(&self) -> IpAddr {
        if self.is_v4 { self.src().into() } else { self.ipv6().get_source().into() }
    }

    /// Destination address.
    pub fn destination(&self) -> IpAddr {
        if self.is_v4 { self.dst().into() } else { self.ipv6().get_destination().into() }
    }

    /// IPv4 source address; meaningless for IPv6.
    #[inline]
    pub fn src(&self) -> Ipv4Addr {
        self.ipv4().get_source()
    }

    /// IPv4 destination address; meaningless for IPv6.
    #[inline]
    pub fn dst(&self) -> Ipv4Addr {
        self.ipv4().get_destination()
    }

    /// Time to live (hop limit).
    #[inline]
    pub fn ttl(&self) -> u8 {
        if self.is_v4 { self.ipv4().get_ttl() } else { self.bytes[7] }
    }

    /// IANA number of the protocol, behind all extension headers of IPv6: ICMPv6 is 58. Fragments have it, too, but of an
    /// IPv6 fragment other than the first it is the first header of the fragmented part, which may be destination options.
    pub fn protocol_number(&self) -> u8 {
        self.protocol
    }

    /// The flow, for whole IPv4 packets of TCP, UDP and ICMP echo.
    #[inline]
    pub fn five_tuple(&self) -> Option<FiveTuple> {
        if !self.is_v4 {
            return None;
        }
        let (src_port, dst_port, protocol) = self.ports()?;
        Some(FiveTuple { src: self.src(), dst: self.dst(), src_port, dst_port, protocol })
    }

    /// The flow, for whole packets of TCP, UDP and ICMP echo of both versions. The addresses are those of the IP header,
    /// also where an IPv6 routing header has another destination in store.
    #[inline]
    pub fn flow(&self) -> Option<Flow> {
        let (src_port, dst_port, protocol) = self.ports()?;
        Some(if self.is_v4 {
            Flow::V4(FiveTuple { src: self.src(), dst: self.dst(), src_port, dst_port, protocol })
        } else {
            let ip = self.ipv6();
            let (src, dst) = (ip.get_source(), ip.get_destination());
            Flow::V6(FiveTuple { src, dst, src_port, dst_port, protocol })
        })
    }

    /// Whether routers may take it to pieces: IPv4 without "don't fragment".
    pub fn may_be_fragmented(&self) -> bool {
        self.is_v4 && self.ipv4().get_flags() & Ipv4Flags::DontFragment == 0
    }

    /// Whether it is a fragment other than the first: it has no transport header.
    pub fn is_later_fragment(&self) -> bool {
        if self.transport != Transport::Fragment {
            return false;
        }
        if self.is_v4 {
            return self.ipv4().get_fragment_offset() != 0;
        }
        Chain::of(&self.bytes).fragment == Some(Fragment::Later)
    }

    /// Source and destination port of a packet that shows them: of TCP, UDP or SCTP, whole or the first fragment.
    pub fn shown_ports(&self) -> Option<(u16, u16)> {
        if !matches!(self.protocol, PROTOCOL_TCP | PROTOCOL_UDP | PROTOCOL_SCTP) || self.is_later_fragment() {
            return None;
        }
        let [a, b, c, d] = *self.bytes.get(self.transport_at..self.transport_at + 4)?.first_chunk()?;
        Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
    }

    /// Source address and port of the flow.
    #[inline]
    pub fn flow_source(&self) -> Option<(IpAddr, u16)> {
        self.ports().map(|(port, ..)| (self.source(), port))
    }

    /// Inlined into its callers, since every station asks every packet for its five-tuple.
    #[inline(always)]
    fn ports(&self) -> Option<(u16, u16, Protocol)> {
        let at = self.transport_at;
        let word = |offset: usize| u16::from_be_bytes([self.bytes[at + offset], self.bytes[at + offset + 1]]);
        match self.transport {
            Transport::Tcp => Some((word(0), word(2), Protocol::Tcp)),
            Transport::Udp => Some((word(0), word(2), Protocol::Udp)),
            Transport::IcmpEchoRequest => Some((word(4), 0, Protocol::Icmp)),
            Transport::IcmpEchoReply => Some((0, word(4), Protocol::Icmp)),
            Transport::IcmpError | Transport::IcmpOther | Transport::Fragment | Transport::Other(_) => None,
        }
    }

    /// TCP flags; 0 for everything else.
    #[inline]
    pub fn tcp_flags(&self) -> u8 {
        match self.transport {
            Transport::Tcp => self.bytes[self.transport_at + 13],
            _ => 0,
        }
    }

    /// TCP sequence number, acknowledgement number and payload length; `None` for everything else.
    pub fn tcp_numbers(&self) -> Option<(u32, u32, u32)> {
        if self.transport != Transport::Tcp {
            return None;
        }
        let tcp = TcpPacket::new(&self.bytes[self.transport_at..])?;
        let header = usize::from(tcp.get_data_offset()) * 4;
        let payload = (self.wire_length as usize).saturating_sub(self.transport_at + header);
        Some((tcp.get_sequence(), tcp.get_acknowledgement(), payload as u32))
    }

    #[inline]
    pub(super) fn ipv4(&self) -> Ipv4Packet<'_> {
        Ipv4Packet::new(&self.bytes).expect("a parsed packet has its header")
    }

    #[inline]
    fn ipv6(&self) -> Ipv6Packet<'_> {
        Ipv6Packet::new(&self.bytes).expect("a parsed packet has its header")
    }

    #[inline]
    pub(super) fn set_layout(&mut self, layout: &Layout) {
        self.transport_at = layout.transport_at;
        self.transport = layout.transport;
        self.protocol = layout.protocol;
        self.wire_length = layout.wire_length as u32;
        self.is_v4 = layout.is_v4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::build::tcp_flags;

    fn udp() -> Vec<u8> {
        let tuple = FiveTuple {
            src: Ipv4Addr::new(10, 8, 0, 2),
            dst: Ipv4Addr::new(198, 51, 100, 7),
            src_port: 40_000,
            dst_port: 53,
            protocol: Protocol::Udp,
        };
        let mut packet = Packet::empty();
        packet.build_udp(tuple, 4);
        packet.bytes().to_vec()
    }

    #[test]
    fn ethernet_padding_is_not_part_of_the_packet() {
        let mut bytes = udp();
        bytes.extend([0; 14]);
        assert_eq!(Packet::parse(&bytes).unwrap().bytes(), udp());
    }

    #[test]
    fn a_length_beyond_the_wire_is_refused_and_a_snapped_packet_is_not() {
        let bytes = udp();
        let short = &bytes[..28];
        assert_eq!(Packet::parse(short), Err(Malformed::Length { declared: 32, on_wire: 28 }));
        let mut packet = Packet::empty();
        packet.load(short, 32).unwrap();
        assert_eq!((packet.bytes().len(), packet.wire_length()), (28, 32));
    }

    #[test]
    fn a_total_length_of_zero_means_all_that_is_there() {
        let mut bytes = udp();
        bytes[2..4].fill(0);
        assert_eq!(Packet::parse(&bytes).unwrap().wire_length(), 32);
    }

    #[test]
    fn a_header_length_beyond_the_bytes_is_refused() {
        let mut bytes = udp()[..20].to_vec();
        bytes[0] = 0x4f;
        assert_eq!(Packet::parse(&bytes), Err(Malformed::Header { header: 60, captured: 20 }));
        bytes[0] = 0x44;
        assert!(matches!(Packet::parse(&bytes), Err(Malformed::Header { header: 16, .. })));
    }

    #[test]
    fn every_fragment_is_a_fragment_the_first_one_too() {
        let mut first = udp();
        first[6] = 0x20;
        let mut later = udp();
        later[7] = 4;
        for bytes in [first, later] {
            let packet = Packet::parse(&bytes).unwrap();
            assert_eq!(packet.transport(), Transport::Fragment);
            assert_eq!(packet.five_tuple(), None);
            assert_eq!(packet.protocol_number(), 17);
        }
    }

    #[test]
    fn a_cut_transport_header_is_refused() {
        let bytes = udp();
        let mut packet = Packet::empty();
        assert_eq!(packet.load(&bytes[..24], 32), Err(Malformed::Transport(4)));
    }

    #[test]
    fn tcp_numbers_count_the_payload_on_the_wire() {
        let tuple = FiveTuple { protocol: Protocol::Tcp, ..Packet::parse(&udp()).unwrap().five_tuple().unwrap() };
        let mut packet = Packet::empty();
        packet.build_tcp(tuple, crate::wire::TcpSegment { flags: tcp_flags::ACK, seq: 7, ack: 9, payload: 100 });
        assert_eq!(packet.tcp_numbers(), Some((7, 9, 100)));
    }
}
