//! Headers by hand: a second opinion on what the simulator wrote.

use egressim::wire::Packet;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Which end of a packet is the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    Source,
    Destination,
}

fn transport_at(bytes: &[u8]) -> usize {
    usize::from(bytes[0] & 0xf) * 4
}

/// The packet without what a NAT and routers may change: TTL, the client's address and port (or echo identifier), and
/// the checksums. Of two packets that agree in this, all else is the same.
pub fn beyond_nat(packet: &Packet, client: Client) -> Vec<u8> {
    let mut bytes = packet.bytes().to_vec();
    let at = transport_at(&bytes);
    let (address, port) = match client {
        Client::Source => (12, at),
        Client::Destination => (16, at + 2),
    };
    bytes[8] = 0;
    bytes[10..12].fill(0);
    bytes[address..address + 4].fill(0);
    if packet.five_tuple().is_some() {
        let (port, checksum) = match bytes[9] {
            TCP => (port, at + 16),
            UDP => (port, at + 6),
            _ => (at + 4, at + 2),
        };
        bytes[port..port + 2].fill(0);
        bytes[checksum..checksum + 2].fill(0);
    }
    bytes
}

/// Whether the IP header's and the transport's checksum are right. A UDP checksum of 0 means there is none (RFC 768).
/// `None` when the packet is cut or a fragment: nothing can be said.
pub fn checksums_are_right(packet: &Packet) -> Option<bool> {
    let (header, transport) = checksum_sums(packet)?;
    Some(header == RIGHT && transport.is_none_or(|sum| sum == RIGHT))
}

/// What a sum is that includes its right checksum.
pub const RIGHT: u16 = 0xffff;

/// The sums of the IP header and of the transport with its pseudo-header, each with its checksum: [`RIGHT`], or how
/// wrong. No second one where UDP has no checksum. `None` when the packet is cut or a fragment.
pub fn checksum_sums(packet: &Packet) -> Option<(u16, Option<u16>)> {
    let bytes = packet.bytes();
    if packet.wire_length() as usize > bytes.len() || packet.five_tuple().is_none() {
        return None;
    }
    let (header, transport) = bytes.split_at(transport_at(bytes));
    let length = transport.len() as u32;
    let pseudo = match header[9] {
        ICMP => 0,
        UDP if transport[6..8] == [0, 0] => return Some((folded_sum(header), None)),
        protocol => sum(&header[12..20]) + u32::from(protocol) + length,
    };
    Some((folded_sum(header), Some(folded(pseudo + sum(transport)))))
}

/// The one's complement sum of 16-bit words; an odd byte at the end counts as if a zero followed (RFC 1071).
pub fn folded_sum(bytes: &[u8]) -> u16 {
    folded(sum(bytes))
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0))).sum()
}

fn folded(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
