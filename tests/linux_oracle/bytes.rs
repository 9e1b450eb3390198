//! IPv4 headers by hand, so that nothing of the simulator judges itself: reading them, giving a packet another address
//! and port, and how wrong its checksums are.

use std::net::Ipv4Addr;

pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;

/// Where it is in the IP header.
const IP_CHECKSUM: usize = 10;

/// An address and port (or echo identifier).
pub type Socket = (Ipv4Addr, u16);

/// Which end of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Source,
    Destination,
}

pub fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn put(bytes: &mut [u8], at: usize, word: u16) {
    bytes[at..at + 2].copy_from_slice(&word.to_be_bytes());
}

fn address(bytes: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
}

pub fn header_length(packet: &[u8]) -> usize {
    usize::from(packet[0] & 0xf) * 4
}

pub fn identification(packet: &[u8]) -> u16 {
    word(packet, 4)
}

pub fn protocol(packet: &[u8]) -> u8 {
    packet[9]
}

pub fn source(packet: &[u8]) -> Ipv4Addr {
    address(packet, 12)
}

pub fn destination(packet: &[u8]) -> Ipv4Addr {
    address(packet, 16)
}

/// In bytes.
pub fn fragment_offset(packet: &[u8]) -> usize {
    usize::from(word(packet, 6) & 0x1fff) * 8
}

pub fn is_fragment(packet: &[u8]) -> bool {
    word(packet, 6) & 0x3fff != 0
}

fn is_icmp_error(packet: &[u8]) -> bool {
    protocol(packet) == ICMP && matches!(packet[header_length(packet)], 3 | 11 | 12)
}

/// The source of a whole TCP, UDP or echo packet.
pub fn source_socket(packet: &[u8]) -> Socket {
    (source(packet), port(packet, End::Source))
}

/// Its destination.
pub fn destination_socket(packet: &[u8]) -> Socket {
    (destination(packet), port(packet, End::Destination))
}

/// An echo has its identifier at the end that asks, and 0 at the other.
fn port(packet: &[u8], end: End) -> u16 {
    let asks = packet[header_length(packet)] == 8;
    if protocol(packet) == ICMP && asks != (end == End::Source) { 0 } else { word(packet, port_at(packet, end)) }
}

/// Where the port, or the echo identifier, of one end is.
fn port_at(packet: &[u8], end: End) -> usize {
    let at = header_length(packet);
    match (protocol(packet), end) {
        (ICMP, _) => at + 4,
        (_, End::Source) => at,
        (_, End::Destination) => at + 2,
    }
}

/// Where the transport checksum is, if the packet at hand (it may be a quotation, cut after 8 bytes) reaches that far
/// and has one: a UDP checksum of zero is none.
fn checksum_at(packet: &[u8]) -> Option<usize> {
    let at = header_length(packet);
    let at = match protocol(packet) {
        ICMP => at + 2,
        TCP => at + 16,
        UDP => at + 6,
        other => panic!("no checksum is known of protocol {other}"),
    };
    let there = packet.len() >= at + 2 && !(protocol(packet) == UDP && word(packet, at) == 0);
    there.then_some(at)
}

/// The one's complement sum of 16-bit words (RFC 1071), as a number modulo 65535; an odd byte counts as if a zero
/// followed.
fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    words.fold(0, |sum, word| (sum + word) % 0xffff)
}

/// How far the IP header's and the transport's checksum are off, modulo 65535: 0 is right. `None` when there is no
/// transport checksum.
pub fn checksum_errors(packet: &[u8]) -> (u32, Option<u32>) {
    let (header, transport) = packet.split_at(header_length(packet));
    let pseudo_header = match protocol(packet) {
        ICMP => 0,
        protocol => sum(&header[12..20]) + u32::from(protocol) + transport.len() as u32,
    };
    (sum(header), checksum_at(packet).map(|_| (pseudo_header + sum(transport)) % 0xffff))
}

/// What the checksum at `checksum_at` has to become when these words change, so that its error stays what it is.
fn adjusted(packet: &[u8], checksum_at: usize, changes: &[(usize, u16)]) -> u16 {
    let mut checksum = u32::from(word(packet, checksum_at));
    for &(at, new) in changes {
        checksum = (checksum + 0xffff + u32::from(word(packet, at)) - u32::from(new)) % 0xffff;
    }
    // Zero and 0xffff are the same number; but in UDP, 0 means that there is no checksum.
    let is_udp = protocol(packet) == UDP && checksum_at >= header_length(packet);
    if checksum == 0 && is_udp { 0xffff } else { checksum as u16 }
}

/// Overwrites some words, and keeps the checksum at `checksum_at`.
fn overwrite(packet: &mut [u8], checksum_at: usize, changes: &[(usize, u16)]) {
    let checksum = adjusted(packet, checksum_at, changes);
    changes.iter().for_each(|&(at, new)| put(packet, at, new));
    put(packet, checksum_at, checksum);
}

fn address_words(end: End, new: Ipv4Addr) -> [(usize, u16); 2] {
    let at = if end == End::Source { 12 } else { 16 };
    let [a, b, c, d] = new.octets();
    [(at, u16::from_be_bytes([a, b])), (at + 2, u16::from_be_bytes([c, d]))]
}

/// The same packet from another source, or to another destination. Checksums are as right or wrong as they were.
pub fn readdressed(packet: &[u8], end: End, (address, port): Socket) -> Vec<u8> {
    let addresses = address_words(end, address);
    let port = (port_at(packet, end), port);
    // The addresses count in the checksums of TCP and UDP, too.
    let in_transport = if protocol(packet) == ICMP { vec![port] } else { [&addresses[..], &[port]].concat() };
    let transport = checksum_at(packet).map(|at| (at, adjusted(packet, at, &in_transport)));
    let mut packet = packet.to_vec();
    overwrite(&mut packet, IP_CHECKSUM, &addresses);
    put(&mut packet, port.0, port.1);
    if let Some((at, checksum)) = transport {
        put(&mut packet, at, checksum);
    }
    packet
}

/// The same ICMP error to another host, about a packet from another source.
pub fn redirected_error(packet: &[u8], new: Socket) -> Vec<u8> {
    assert!(is_icmp_error(packet));
    let at = header_length(packet);
    let quotation = readdressed(&packet[at + 8..], End::Source, new);
    let words = quotation.chunks_exact(2).zip((at + 8..).step_by(2));
    let changes: Vec<_> = words.map(|(pair, at)| (at, word(pair, 0))).collect();
    let mut packet = packet.to_vec();
    overwrite(&mut packet, at + 2, &changes);
    overwrite(&mut packet, IP_CHECKSUM, &address_words(End::Destination, new.0));
    packet
}

/// The source socket of the packet that an ICMP error quotes; `None` for all other packets.
pub fn quoted_source(packet: &[u8]) -> Option<Socket> {
    is_icmp_error(packet).then(|| source_socket(&packet[header_length(packet) + 8..]))
}

/// The same packet one router further on.
pub fn one_hop_on(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let ttl_and_protocol = word(&packet, 8) - 0x100;
    overwrite(&mut packet, IP_CHECKSUM, &[(8, ttl_and_protocol)]);
    packet
}

/// The packet that these fragments, in order, are fragments of.
pub fn joined(fragments: &[Vec<u8>]) -> Vec<u8> {
    let mut whole = fragments[0].clone();
    for fragment in &fragments[1..] {
        assert_eq!(whole.len() - header_length(&whole), fragment_offset(fragment), "the fragments are in order");
        whole.extend_from_slice(&fragment[header_length(fragment)..]);
    }
    let length = u16::try_from(whole.len()).expect("an IP packet is no longer than this");
    let flags = word(&whole, 6) & !0x2000;
    overwrite(&mut whole, IP_CHECKSUM, &[(2, length), (6, flags)]);
    whole
}

/// Where two packets differ, in words.
pub fn first_difference(expected: &[u8], actual: &[u8]) -> Option<String> {
    if expected.len() != actual.len() {
        return Some(format!("{} bytes instead of {}", actual.len(), expected.len()));
    }
    let at = expected.iter().zip(actual).position(|(expected, actual)| expected != actual)?;
    let transport = header_length(expected);
    let place = match at {
        8 => "TTL".to_owned(),
        10 | 11 => "IP checksum".to_owned(),
        12..16 => "source address".to_owned(),
        16..20 => "destination address".to_owned(),
        at if at < transport => format!("byte {at} of the IP header"),
        at => format!("byte {} behind the IP header (protocol {})", at - transport, protocol(expected)),
    };
    Some(format!("{place}: {:#04x} instead of {:#04x}", actual[at], expected[at]))
}
