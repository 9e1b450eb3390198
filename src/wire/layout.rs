//! Where things are in a packet: what parsing finds out once, so that accessors need not look again.
//!
//! Lengths are checked here against each other and against the bytes: a header that a [`Transport`] promises is there.
//! Checksums are not checked; NAT does not check them either.

use pnet_packet::Packet as _;
use pnet_packet::icmp::{IcmpPacket, IcmpTypes};
use pnet_packet::icmpv6::{Icmpv6Packet, Icmpv6Types};
use pnet_packet::ipv4::Ipv4Packet;
use pnet_packet::ipv6::Ipv6Packet;
use pnet_packet::tcp::TcpPacket;

use super::ipv6::Chain;
use super::packet::{Malformed, Transport};

/// Smallest IPv4, IPv6, TCP, UDP and ICMP headers.
pub(super) const IPV4_HEADER: usize = 20;
pub(super) const IPV6_HEADER: usize = 40;
pub(super) const TCP_HEADER: usize = 20;
pub(super) const UDP_HEADER: usize = 8;
pub(super) const ICMP_HEADER: usize = 8;
/// Type, code and checksum: all that every ICMPv6 message has (RFC 4443 §2.1). RPL's solicitation is 6 bytes long
/// (RFC 6550 §6.2).
const ICMPV6_HEADER: usize = 4;

pub(super) const PROTOCOL_TCP: u8 = 6;
pub(super) const PROTOCOL_UDP: u8 = 17;

/// The numbers of ICMP in one version of IP.
#[derive(Debug, Clone, Copy)]
pub(super) struct Icmp {
    /// In the IP header.
    pub protocol: u8,
    /// Type of an echo request.
    pub request: u8,
    /// Type of an echo reply.
    pub reply: u8,
}

/// RFC 792.
pub(super) const ICMPV4: Icmp = Icmp { protocol: 1, request: 8, reply: 0 };
/// RFC 4443.
pub(super) const ICMPV6: Icmp = Icmp { protocol: 58, request: 128, reply: 129 };

/// Where things are in a packet.
pub(super) struct Layout {
    /// Bytes that belong to the packet and were captured.
    pub captured: usize,
    pub transport_at: usize,
    pub transport: Transport,
    /// What the IP header says, or the last of the IPv6 headers that can be read.
    pub protocol: u8,
    pub wire_length: usize,
    pub is_v4: bool,
}

impl Layout {
    #[inline]
    pub(super) fn of(bytes: &[u8], on_wire: usize) -> Result<Layout, Malformed> {
        let on_wire = on_wire.max(bytes.len());
        match bytes.first().map(|byte| byte >> 4) {
            Some(4) => Layout::of_ipv4(bytes, on_wire),
            Some(6) => Layout::of_ipv6(bytes, on_wire),
            Some(version) => Err(Malformed::Version(version)),
            None => Err(Malformed::Header { header: IPV4_HEADER, captured: 0 }),
        }
    }

    #[inline]
    fn of_ipv4(bytes: &[u8], on_wire: usize) -> Result<Layout, Malformed> {
        let Some(ip) = Ipv4Packet::new(bytes) else {
            return Err(Malformed::Header { header: IPV4_HEADER, captured: bytes.len() });
        };
        let header = usize::from(ip.get_header_length()) * 4;
        if header < IPV4_HEADER || header > bytes.len() {
            return Err(Malformed::Header { header, captured: bytes.len() });
        }
        let declared = match usize::from(ip.get_total_length()) {
            // A capture made before segmentation offload has filled in the length.
            0 => on_wire,
            declared => declared,
        };
        if declared < header || declared > on_wire {
            return Err(Malformed::Length { declared, on_wire });
        }
        let captured = declared.min(bytes.len());
        let protocol = ip.get_next_level_protocol().0;
        let fragment = ip.get_fragment_offset() != 0 || ip.get_flags() & 0b001 != 0;
        let segment = &bytes[header..captured];
        let transport = match protocol {
            _ if fragment => Transport::Fragment,
            PROTOCOL_TCP => tcp(segment)?,
            PROTOCOL_UDP => udp(segment)?,
            protocol if protocol == ICMPV4.protocol => icmpv4(segment)?,
            other => Transport::Other(other),
        };
        Ok(Layout { captured, transport_at: header, transport, protocol, wire_length: declared, is_v4: true })
    }

    fn of_ipv6(bytes: &[u8], on_wire: usize) -> Result<Layout, Malformed> {
        let Some(ip) = Ipv6Packet::new(bytes) else {
            return Err(Malformed::Header { header: IPV6_HEADER, captured: bytes.len() });
        };
        let declared = match usize::from(ip.get_payload_length()) {
            // A jumbogram, or a length that offload has not filled in.
            0 => on_wire,
            payload => IPV6_HEADER + payload,
        };
        if declared > on_wire {
            return Err(Malformed::Length { declared, on_wire });
        }
        let captured = declared.min(bytes.len());
        let Chain { at, protocol, fragment, cut } = Chain::of(&bytes[..captured]);
        let segment = &bytes[at..captured];
        let transport = match protocol {
            // As in IPv4, nobody asks how much of a transport header a first fragment has.
            _ if fragment.is_some() => Transport::Fragment,
            _ if cut => return Err(Malformed::ExtensionHeader { protocol, captured: segment.len() }),
            PROTOCOL_TCP => tcp(segment)?,
            PROTOCOL_UDP => udp(segment)?,
            protocol if protocol == ICMPV6.protocol => icmpv6(segment)?,
            other => Transport::Other(other),
        };
        Ok(Layout { captured, transport_at: at, transport, protocol, wire_length: declared, is_v4: false })
    }
}

#[inline]
fn tcp(segment: &[u8]) -> Result<Transport, Malformed> {
    match TcpPacket::new(segment) {
        Some(tcp) if usize::from(tcp.get_data_offset()) * 4 >= TCP_HEADER => Ok(Transport::Tcp),
        _ => Err(Malformed::Transport(segment.len())),
    }
}

#[inline]
fn udp(segment: &[u8]) -> Result<Transport, Malformed> {
    if segment.len() < UDP_HEADER { Err(Malformed::Transport(segment.len())) } else { Ok(Transport::Udp) }
}

#[inline]
fn icmpv4(segment: &[u8]) -> Result<Transport, Malformed> {
    let Some(icmp) = IcmpPacket::new(segment).filter(|icmp| icmp.packet().len() >= ICMP_HEADER) else {
        return Err(Malformed::Transport(segment.len()));
    };
    Ok(match icmp.get_icmp_type() {
        IcmpTypes::EchoRequest => Transport::IcmpEchoRequest,
        IcmpTypes::EchoReply => Transport::IcmpEchoReply,
        // RFC 792 errors quote the packet they are about, after eight bytes of their own. Redirects are not
        // forwarded by routers and source quench is deprecated (RFC 6633).
        IcmpTypes::DestinationUnreachable | IcmpTypes::TimeExceeded | IcmpTypes::ParameterProblem => {
            Transport::IcmpError
        }
        _ => Transport::IcmpOther,
    })
}

fn icmpv6(segment: &[u8]) -> Result<Transport, Malformed> {
    let cut = Malformed::Transport(segment.len());
    let icmp = Icmpv6Packet::new(segment).ok_or(cut)?;
    let (transport, header) = match icmp.get_icmpv6_type() {
        Icmpv6Types::EchoRequest => (Transport::IcmpEchoRequest, ICMP_HEADER),
        Icmpv6Types::EchoReply => (Transport::IcmpEchoReply, ICMP_HEADER),
        // RFC 4443 §3: like those of IPv4, and all four are forwarded.
        Icmpv6Types::DestinationUnreachable
        | Icmpv6Types::PacketTooBig
        | Icmpv6Types::TimeExceeded
        | Icmpv6Types::ParameterProblem => (Transport::IcmpError, ICMP_HEADER),
        _ => (Transport::IcmpOther, ICMPV6_HEADER),
    };
    if segment.len() < header { Err(cut) } else { Ok(transport) }
}
