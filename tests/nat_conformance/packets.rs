//! Packets by hand: flows, TCP's segments, ICMP errors, fragments, odd headers. What the simulator builds for its own
//! hosts is too well behaved for some cases, and a checksum computed here is a second opinion.

use std::net::Ipv4Addr;

use egressim::wire::{FiveTuple, Packet, Protocol, TcpSegment, tcp_flags};

use crate::common::headers::folded_sum;
use tcp_flags::{ACK, FIN, PSH, RST, SYN};

/// Who is talked to.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
/// Somebody else.
pub const OTHER_SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 8);
/// A router on the way: the sender of ICMP errors.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);

pub const IP_HEADER: usize = 20;
/// The flag "more fragments follow", in the word with the fragment's offset.
pub const MORE_FRAGMENTS: u16 = 0x2000;

/// The address of a VM, by number.
pub fn vm(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 8, 0, 0)) + number)
}

/// A TCP connection of a VM to the server's port 443.
pub fn tcp(number: u32, port: u16) -> FiveTuple {
    FiveTuple { src: vm(number), src_port: port, dst: SERVER, dst_port: 443, protocol: Protocol::Tcp }
}

/// A UDP flow of a VM to the server's port 53.
pub fn udp(number: u32, port: u16) -> FiveTuple {
    FiveTuple { dst_port: 53, protocol: Protocol::Udp, ..tcp(number, port) }
}

/// A VM that pings the server.
pub fn ping(number: u32, identifier: u16) -> FiveTuple {
    FiveTuple { dst_port: 0, protocol: Protocol::Icmp, ..tcp(number, identifier) }
}

/// One flow of each protocol that Cloud NAT translates.
pub fn each_protocol(number: u32, port: u16) -> [FiveTuple; 3] {
    [tcp(number, port), udp(number, port), ping(number, port)]
}

/// The same flow to another address.
pub fn to(dst: Ipv4Addr, flow: FiveTuple) -> FiveTuple {
    FiveTuple { dst, ..flow }
}

/// The same flow to another port.
pub fn to_port(dst_port: u16, flow: FiveTuple) -> FiveTuple {
    FiveTuple { dst_port, ..flow }
}

/// What is sent on a flow: one of the functions below.
pub type Kind = fn(FiveTuple) -> Packet;

fn segment(flow: FiveTuple, flags: u8, payload: u16) -> Packet {
    assert_eq!(flow.protocol, Protocol::Tcp, "only TCP has segments");
    let mut packet = Packet::empty();
    packet.build_tcp(flow, TcpSegment { flags, seq: 1000, ack: 2000, payload });
    packet
}

pub fn syn(flow: FiveTuple) -> Packet {
    segment(flow, SYN, 0)
}

pub fn syn_ack(flow: FiveTuple) -> Packet {
    segment(flow, SYN | ACK, 0)
}

pub fn ack(flow: FiveTuple) -> Packet {
    segment(flow, ACK, 0)
}

pub fn fin(flow: FiveTuple) -> Packet {
    segment(flow, FIN | ACK, 0)
}

pub fn rst(flow: FiveTuple) -> Packet {
    segment(flow, RST, 0)
}

/// A packet in the middle of a flow.
pub fn data(flow: FiveTuple) -> Packet {
    let mut packet = Packet::empty();
    match flow.protocol {
        Protocol::Tcp => return segment(flow, PSH | ACK, 20),
        Protocol::Udp => packet.build_udp(flow, 20),
        Protocol::Icmp => packet.build_echo(flow, 1, 20),
    }
    packet
}

/// The first packet of a flow.
pub fn first(flow: FiveTuple) -> Packet {
    if flow.protocol == Protocol::Tcp { syn(flow) } else { data(flow) }
}

/// The answer to the first packet.
pub fn answer(flow: FiveTuple) -> Packet {
    if flow.protocol == Protocol::Tcp { syn_ack(flow) } else { data(flow) }
}

pub fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub fn put_word(bytes: &mut [u8], at: usize, word: u16) {
    bytes[at..at + 2].copy_from_slice(&word.to_be_bytes());
}

/// The Internet checksum of these bytes (RFC 1071), where the checksum itself is zero.
fn checksum(bytes: &[u8]) -> u16 {
    !folded_sum(bytes)
}

pub fn header_length(bytes: &[u8]) -> usize {
    usize::from(bytes[0] & 0xf) * 4
}

/// Computes the IP header's checksum anew.
fn seal_header(bytes: &mut [u8]) {
    put_word(bytes, 10, 0);
    let sum = checksum(&bytes[..header_length(bytes)]);
    put_word(bytes, 10, sum);
}

/// A packet from bytes that are one.
pub fn parsed(bytes: &[u8]) -> Packet {
    Packet::parse(bytes).unwrap_or_else(|error| panic!("{error}: {bytes:02x?}"))
}

/// A packet with this payload, whatever its protocol.
pub fn ip(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, payload: &[u8]) -> Packet {
    let mut bytes = vec![0; IP_HEADER];
    bytes[0] = 0x45;
    put_word(&mut bytes, 2, (IP_HEADER + payload.len()) as u16);
    bytes[8] = 64;
    bytes[9] = protocol;
    bytes[12..16].copy_from_slice(&src.octets());
    bytes[16..20].copy_from_slice(&dst.octets());
    seal_header(&mut bytes);
    bytes.extend_from_slice(payload);
    parsed(&bytes)
}

/// An ICMP message; the checksum is made right.
pub fn icmp(src: Ipv4Addr, dst: Ipv4Addr, kind: u8, code: u8, rest: [u8; 4], body: &[u8]) -> Packet {
    let mut message = vec![kind, code, 0, 0];
    message.extend_from_slice(&rest);
    message.extend_from_slice(body);
    let sum = checksum(&message);
    put_word(&mut message, 2, sum);
    ip(src, dst, 1, &message)
}

/// The kinds of ICMP error that matter to a NAT: type, code, and the four bytes behind the checksum.
#[derive(Debug, Clone, Copy)]
pub struct IcmpError {
    pub kind: u8,
    pub code: u8,
    pub rest: [u8; 4],
}

pub const PORT_UNREACHABLE: IcmpError = IcmpError { kind: 3, code: 3, rest: [0; 4] };
/// With a next hop that takes 1280 bytes.
pub const FRAGMENTATION_NEEDED: IcmpError = IcmpError { kind: 3, code: 4, rest: [0, 0, 0x05, 0x00] };
pub const TTL_EXCEEDED: IcmpError = IcmpError { kind: 11, code: 0, rest: [0; 4] };
const HOST_UNREACHABLE: IcmpError = IcmpError { kind: 3, code: 1, rest: [0; 4] };
const PARAMETER_PROBLEM: IcmpError = IcmpError { kind: 12, code: 0, rest: [20, 0, 0, 0] };
pub const ICMP_ERRORS: [IcmpError; 5] =
    [PORT_UNREACHABLE, FRAGMENTATION_NEEDED, TTL_EXCEEDED, HOST_UNREACHABLE, PARAMETER_PROBLEM];

/// An ICMP error to the sender of a packet, quoting these bytes of it.
pub fn icmp_error(error: IcmpError, from: Ipv4Addr, quoted: &[u8]) -> Packet {
    let to = Ipv4Addr::new(quoted[12], quoted[13], quoted[14], quoted[15]);
    icmp(from, to, error.kind, error.code, error.rest, quoted)
}

/// The packet that an ICMP error quotes, as far as it does.
pub fn quotation(error: &Packet) -> &[u8] {
    let bytes = error.bytes();
    &bytes[header_length(bytes) + 8..]
}

/// Whether the IP header's and the ICMP checksum of an ICMP message are right.
pub fn icmp_checksums_are_right(message: &Packet) -> bool {
    let (header, body) = message.bytes().split_at(header_length(message.bytes()));
    folded_sum(header) == 0xffff && folded_sum(body) == 0xffff
}

/// The same packet with four bytes of IP options that do nothing.
pub fn with_options(packet: &Packet) -> Packet {
    let mut bytes = packet.bytes().to_vec();
    bytes.splice(IP_HEADER..IP_HEADER, [1, 1, 1, 0]);
    bytes[0] += 1;
    let length = word(&bytes, 2) + 4;
    put_word(&mut bytes, 2, length);
    seal_header(&mut bytes);
    parsed(&bytes)
}

/// A fragment of a packet: these bytes of what is behind its IP header, at an offset that is a multiple of eight.
pub fn fragment(packet: &Packet, range: std::ops::Range<usize>) -> Packet {
    assert!(range.start.is_multiple_of(8), "fragments begin at multiples of eight bytes");
    let (header, payload) = packet.bytes().split_at(header_length(packet.bytes()));
    let more = if range.end < payload.len() { MORE_FRAGMENTS } else { 0 };
    let mut bytes = [header, &payload[range.clone()]].concat();
    let length = bytes.len() as u16;
    put_word(&mut bytes, 2, length);
    put_word(&mut bytes, 6, more | (range.start / 8) as u16);
    seal_header(&mut bytes);
    parsed(&bytes)
}

/// All fragments of a packet, in order, of at most `size` bytes each.
pub fn fragments(packet: &Packet, size: usize) -> Vec<Packet> {
    let length = packet.bytes().len() - header_length(packet.bytes());
    (0..length).step_by(size).map(|start| fragment(packet, start..(start + size).min(length))).collect()
}

/// A UDP datagram without checksum.
pub fn without_checksum(flow: FiveTuple, payload: u16) -> Packet {
    let mut packet = Packet::empty();
    packet.build_udp(flow, payload);
    let mut bytes = packet.bytes().to_vec();
    put_word(&mut bytes, IP_HEADER + 6, 0);
    parsed(&bytes)
}

/// The same packet with another identification, by which its fragments would be told from others.
pub fn identified(packet: &Packet, identification: u16) -> Packet {
    let mut bytes = packet.bytes().to_vec();
    put_word(&mut bytes, 4, identification);
    seal_header(&mut bytes);
    parsed(&bytes)
}

/// The same packet with another TTL.
pub fn with_ttl(packet: &Packet, ttl: u8) -> Packet {
    let mut bytes = packet.bytes().to_vec();
    bytes[8] = ttl;
    seal_header(&mut bytes);
    parsed(&bytes)
}
