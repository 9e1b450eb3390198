//! What differs between the two versions of IP. Building and rewriting are written once, and compiled for each.

use std::net::{Ipv4Addr, Ipv6Addr};

use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::ipv4::{self, Ipv4Flags, MutableIpv4Packet};
use pnet_packet::ipv6::MutableIpv6Packet;

use super::flow::{FiveTuple, Protocol};
use super::layout::{ICMPV4, ICMPV6, IPV4_HEADER, IPV6_HEADER, Icmp, TCP_HEADER};
use super::rewrite::Difference;

/// The VPC's default MTU.
const MTU: u16 = 1460;
/// What Linux sends, as a hop limit, too.
const TTL: u8 = 64;

/// A version of IP, for which its addresses stand.
pub(super) trait Version: Copy {
    /// Length of the IP header that a simulated host sends: no options, no extension headers.
    const HEADER: usize;
    /// What a SYN offers (RFC 6691): the MTU less fixed IP and TCP headers. IPv4 leaves 1,420 bytes, IPv6 1,400.
    const MSS: u16 = MTU - (Self::HEADER + TCP_HEADER) as u16;
    /// The numbers of ICMP.
    const ICMP: Icmp;
    /// Which one it is.
    const IS_V4: bool;
    /// Where the header has the source address and the destination.
    const ADDRESSES_AT: [usize; 2];
    /// Where the header has a checksum of its own. IPv6 has none.
    const CHECKSUM_AT: Option<usize>;
    /// Whether ICMP's checksum covers the addresses (RFC 4443 §2.3).
    const ICMP_COVERS_ADDRESSES: bool;

    /// The address at a place in a header.
    fn read(bytes: &[u8], at: usize) -> Self;

    /// Writes the address to a place in a header.
    fn put(self, bytes: &mut [u8], at: usize);

    /// What it does to a checksum that the address becomes another.
    fn difference(self, new: Self) -> Difference;

    /// Writes the IP header in front of a packet, all of which is in `bytes`.
    fn put_header(tuple: FiveTuple<Self>, bytes: &mut [u8]);

    /// The sum of the pseudo-header's words, for a segment of `length` bytes.
    fn pseudo_header(tuple: FiveTuple<Self>, length: usize) -> u32;

    /// IANA protocol number in this version.
    fn number(protocol: Protocol) -> u8 {
        if protocol == Protocol::Icmp { Self::ICMP.protocol } else { protocol.number() }
    }
}

impl Version for Ipv4Addr {
    const HEADER: usize = IPV4_HEADER;
    const ICMP: Icmp = ICMPV4;
    const IS_V4: bool = true;
    const ADDRESSES_AT: [usize; 2] = [12, 16];
    const CHECKSUM_AT: Option<usize> = Some(10);
    const ICMP_COVERS_ADDRESSES: bool = false;

    #[inline]
    fn read(bytes: &[u8], at: usize) -> Ipv4Addr {
        Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
    }

    #[inline]
    fn put(self, bytes: &mut [u8], at: usize) {
        bytes[at..at + 4].copy_from_slice(&self.octets());
    }

    #[inline]
    fn difference(self, new: Ipv4Addr) -> Difference {
        let (old, new) = (u32::from(self), u32::from(new));
        Difference::default().word((old >> 16) as u16, (new >> 16) as u16).word(old as u16, new as u16)
    }

    #[inline]
    fn put_header(tuple: FiveTuple, bytes: &mut [u8]) {
        let length = bytes.len();
        let mut ip = MutableIpv4Packet::new(bytes).expect("room for an IPv4 header");
        ip.set_version(4);
        ip.set_header_length((IPV4_HEADER / 4) as u8);
        ip.set_total_length(u16::try_from(length).expect("simulated hosts send no jumbograms"));
        ip.set_flags(Ipv4Flags::DontFragment);
        ip.set_ttl(TTL);
        ip.set_next_level_protocol(IpNextHeaderProtocol(Self::number(tuple.protocol)));
        ip.set_source(tuple.src);
        ip.set_destination(tuple.dst);
        let checksum = ipv4::checksum(&ip.to_immutable());
        ip.set_checksum(checksum);
    }

    #[inline]
    fn pseudo_header(tuple: FiveTuple, length: usize) -> u32 {
        // RFC 792 has none.
        if tuple.protocol == Protocol::Icmp {
            return 0;
        }
        let [src, dst] = [tuple.src, tuple.dst].map(u32::from);
        let addresses = (src >> 16) + (src & 0xffff) + (dst >> 16) + (dst & 0xffff);
        addresses + u32::from(Self::number(tuple.protocol)) + length as u32
    }
}

impl Version for Ipv6Addr {
    const HEADER: usize = IPV6_HEADER;
    const ICMP: Icmp = ICMPV6;
    const IS_V4: bool = false;
    const ADDRESSES_AT: [usize; 2] = [8, 24];
    const CHECKSUM_AT: Option<usize> = None;
    const ICMP_COVERS_ADDRESSES: bool = true;

    fn read(bytes: &[u8], at: usize) -> Ipv6Addr {
        let octets: [u8; 16] = bytes[at..at + 16].try_into().expect("sixteen bytes");
        octets.into()
    }

    fn put(self, bytes: &mut [u8], at: usize) {
        bytes[at..at + 16].copy_from_slice(&self.octets());
    }

    fn difference(self, new: Ipv6Addr) -> Difference {
        let words = self.segments().into_iter().zip(new.segments());
        words.fold(Difference::default(), |difference, (old, new)| difference.word(old, new))
    }

    fn put_header(tuple: FiveTuple<Ipv6Addr>, bytes: &mut [u8]) {
        let payload = bytes.len() - IPV6_HEADER;
        let mut ip = MutableIpv6Packet::new(bytes).expect("room for an IPv6 header");
        ip.set_version(6);
        ip.set_payload_length(u16::try_from(payload).expect("simulated hosts send no jumbograms"));
        ip.set_next_header(IpNextHeaderProtocol(Self::number(tuple.protocol)));
        ip.set_hop_limit(TTL);
        ip.set_source(tuple.src);
        ip.set_destination(tuple.dst);
    }

    /// RFC 8200 §8.1, for ICMPv6 as for the others.
    fn pseudo_header(tuple: FiveTuple<Ipv6Addr>, length: usize) -> u32 {
        let words = |address: Ipv6Addr| address.segments().into_iter().map(u32::from).sum::<u32>();
        words(tuple.src) + words(tuple.dst) + u32::from(Self::number(tuple.protocol)) + length as u32
    }
}
