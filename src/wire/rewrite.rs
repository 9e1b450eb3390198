//! Changing addresses, ports and TTL, with checksums kept by RFC 1624.
//!
//! Stations translate IPv4 only; that a captured client of either version wears an instance's address is rewriting, too.
//!
//! A checksum is updated by the difference between old and new words, never computed anew: what was wrong stays exactly
//! as wrong, and a receiver sees what it would have seen. A UDP checksum of zero means "none" (RFC 768) and stays zero.

use std::net::IpAddr;

use super::layout::{PROTOCOL_TCP, PROTOCOL_UDP};
use super::packet::{Packet, Transport};
use super::version::Version;

/// The sum of the words that left and the words that came, as one's complement: RFC 1624 equation 3 without the old
/// checksum. Differences add up.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Difference(u32);

impl Difference {
    /// One 16-bit word changed.
    #[inline]
    pub(super) fn word(self, old: u16, new: u16) -> Difference {
        Difference(self.0 + u32::from(!old) + u32::from(new))
    }

    /// The checksum after the change: `~(~HC + ~m + m')`.
    #[inline]
    pub(super) fn apply(self, checksum: u16) -> u16 {
        let mut sum = u32::from(!checksum) + self.0;
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        !(sum as u16)
    }
}

impl std::ops::Add for Difference {
    type Output = Difference;

    fn add(self, other: Difference) -> Difference {
        Difference(self.0 + other.0)
    }
}

#[inline]
pub(super) fn word_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[inline]
pub(super) fn put_word(bytes: &mut [u8], at: usize, word: u16) {
    bytes[at..at + 2].copy_from_slice(&word.to_be_bytes());
}

/// Applies a difference to the UDP checksum at `at`: zero stays zero, and a result of zero is written as all ones.
#[inline]
pub(super) fn update_udp_checksum(bytes: &mut [u8], at: usize, difference: Difference) {
    let old = word_at(bytes, at);
    if old != 0 {
        let new = difference.apply(old);
        put_word(bytes, at, if new == 0 { 0xffff } else { new });
    }
}

/// Which end of the packet is rewritten.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum End {
    Source = 0,
    Destination = 1,
}

impl Packet {
    /// Gives the packet another source address, of its own version, and another source port (ICMP echo identifier). The port
    /// is ignored by packets that have none.
    #[inline]
    pub fn set_source(&mut self, address: impl Into<IpAddr>, port: u16) {
        match address.into() {
            IpAddr::V4(address) => self.set_end(End::Source, address, port),
            IpAddr::V6(address) => self.set_end(End::Source, address, port),
        }
    }

    /// Gives the packet another destination address, of its own version, and another destination port (ICMP echo
    /// identifier).
    #[inline]
    pub fn set_destination(&mut self, address: impl Into<IpAddr>, port: u16) {
        match address.into() {
            IpAddr::V4(address) => self.set_end(End::Destination, address, port),
            IpAddr::V6(address) => self.set_end(End::Destination, address, port),
        }
    }

    #[inline]
    fn set_end<A: Version>(&mut self, end: End, address: A, port: u16) {
        debug_assert_eq!(self.is_ipv4(), A::IS_V4, "an address of the packet's own version");
        let at = self.transport_at;
        let transport = self.transport();
        let address_at = A::ADDRESSES_AT[end as usize];
        let bytes = &mut self.bytes[..];
        let difference = A::read(bytes, address_at).difference(address);
        address.put(bytes, address_at);
        if let Some(checksum_at) = A::CHECKSUM_AT {
            put_word(bytes, checksum_at, difference.apply(word_at(bytes, checksum_at)));
        }
        if !matches!(transport, Transport::Tcp | Transport::Udp) {
            self.set_end_without_ports::<A>(end, difference, port);
            return;
        }
        let port_at = if end == End::Source { at } else { at + 2 };
        let difference = difference.word(word_at(bytes, port_at), port);
        put_word(bytes, port_at, port);
        if transport == Transport::Tcp {
            let checksum = difference.apply(word_at(bytes, at + 16));
            put_word(bytes, at + 16, checksum);
        } else {
            update_udp_checksum(bytes, at + 6, difference);
        }
    }

    /// What [`Packet::set_end`] has to do behind the IP header of a packet that shows no ports to be set, when its addresses
    /// have changed by `difference`.
    fn set_end_without_ports<A: Version>(&mut self, end: End, difference: Difference, port: u16) {
        let at = self.transport_at;
        match self.transport() {
            // The asker's side has the identifier.
            transport @ (Transport::IcmpEchoRequest | Transport::IcmpEchoReply) => {
                let bytes = &mut self.bytes[..];
                let asks = transport == Transport::IcmpEchoRequest;
                let mut icmp = if A::ICMP_COVERS_ADDRESSES { difference } else { Difference::default() };
                if asks == (end == End::Source) {
                    icmp = icmp.word(word_at(bytes, at + 4), port);
                    put_word(bytes, at + 4, port);
                }
                put_word(bytes, at + 2, icmp.apply(word_at(bytes, at + 2)));
            }
            Transport::IcmpError | Transport::IcmpOther if A::ICMP_COVERS_ADDRESSES => {
                let checksum = difference.apply(word_at(&self.bytes, at + 2));
                put_word(&mut self.bytes, at + 2, checksum);
            }
            // The first fragment has the checksum of the whole.
            Transport::Fragment => {
                let checksum_at = self.checksum_of_first_fragment::<A>();
                let udp = self.protocol_number() == PROTOCOL_UDP;
                let bytes = &mut self.bytes[..];
                match checksum_at {
                    Some(at) if udp => update_udp_checksum(bytes, at, difference),
                    Some(at) => put_word(bytes, at, difference.apply(word_at(bytes, at))),
                    None => {}
                }
            }
            _ => {}
        }
    }

    /// Where a first fragment has a checksum that covers the addresses, if that was captured.
    fn checksum_of_first_fragment<A: Version>(&self) -> Option<usize> {
        let offset = match self.protocol_number() {
            PROTOCOL_TCP => 16,
            PROTOCOL_UDP => 6,
            protocol if A::ICMP_COVERS_ADDRESSES && protocol == A::ICMP.protocol => 2,
            _ => return None,
        };
        let at = self.transport_at + offset;
        (!self.is_later_fragment() && at + 2 <= self.bytes.len()).then_some(at)
    }

    /// Takes one from the TTL, or from the hop limit, which no checksum covers. Returns false, and changes nothing, when it would reach zero.
    #[inline]
    pub fn decrement_ttl(&mut self) -> bool {
        let ttl = self.ttl();
        if ttl <= 1 {
            return false;
        }
        if self.is_ipv4() {
            let difference = Difference::default().word(word_at(&self.bytes, 8), {
                let protocol = u16::from(self.bytes[9]);
                u16::from(ttl - 1) << 8 | protocol
            });
            self.bytes[8] = ttl - 1;
            let checksum = difference.apply(word_at(&self.bytes, 10));
            put_word(&mut self.bytes, 10, checksum);
        } else {
            self.bytes[7] = ttl - 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::wire::testing::{address_like, any_flow, checksums_hold, in_fragments, packet};
    use crate::wire::{FiveTuple, Protocol};

    proptest! {
        #[test]
        fn a_right_checksum_stays_right(flow in any_flow(), new in any::<u128>(), port: u16, payload in 0u16..40, source: bool) {
            let mut packet = packet(flow, payload);
            prop_assert!(checksums_hold(&packet));
            let address = address_like(flow.src(), new);
            if source { packet.set_source(address, port) } else { packet.set_destination(address, port) }
            packet.decrement_ttl();
            prop_assert!(checksums_hold(&packet));
            prop_assert_eq!(if source { packet.source() } else { packet.destination() }, address);
        }

        /// Both fragments wear the new address, and what is put together again has a right checksum.
        #[test]
        fn a_packet_in_fragments_is_right_when_it_is_whole_again(flow in any_flow(), new in any::<u128>(), payload in 16u16..40) {
            let whole = packet(flow, payload);
            let (mut first, mut later) = in_fragments(&whole);
            let address = address_like(flow.src(), new);
            prop_assert_eq!((first.is_later_fragment(), later.is_later_fragment()), (false, true));
            prop_assert_eq!(later.shown_ports(), None);
            for fragment in [&mut first, &mut later] {
                fragment.set_source(address, 7);
                prop_assert_eq!((fragment.source(), fragment.destination()), (address, flow.dst()));
            }
            let mut expected = whole.clone();
            let own_port = if flow.protocol() == Protocol::Icmp { flow.src_port() | flow.dst_port() } else { flow.src_port() };
            expected.set_source(address, own_port);
            let segment = [&first.bytes()[first.transport_at..], &later.bytes()[later.transport_at..]].concat();
            let right = &expected.bytes()[expected.transport_at..];
            // Zero and all ones are the same checksum.
            let same = segment.iter().zip(right).all(|(a, b)| a == b || (*a | *b == 0xff && *a & *b == 0));
            prop_assert!(same && segment.len() == right.len(), "{segment:?} {right:?}");
        }

        #[test]
        fn a_hop_takes_one_from_the_ttl_and_leaves_the_rest(flow in any_flow(), payload in 0u16..40) {
            let sent = packet(flow, payload);
            let mut packet = sent.clone();
            prop_assert!(packet.decrement_ttl());
            prop_assert_eq!(packet.ttl(), sent.ttl() - 1);
            prop_assert!(checksums_hold(&packet));
            // IPv4 has its TTL in byte 8 and a checksum of the header in 10 and 11, IPv6 its hop limit in byte 7.
            let may_change = if packet.is_ipv4() { &[8, 10, 11][..] } else { &[7] };
            for (at, (now, before)) in packet.bytes().iter().zip(sent.bytes()).enumerate() {
                prop_assert!(now == before || may_change.contains(&at), "byte {at}");
            }
        }

        #[test]
        fn out_and_back_is_the_identity(flow in any_flow(), new in any::<u128>(), port: u16, wrong: u16) {
            let mut packet = packet(flow, 5);
            let address = address_like(flow.src(), new);
            // A wrong checksum, but not the "none" of UDP, nor the other spelling of zero.
            let at = packet.transport_at + match flow.protocol() { Protocol::Tcp => 16, Protocol::Udp => 6, Protocol::Icmp => 2 };
            prop_assume!(wrong != 0 && wrong != 0xffff);
            put_word(&mut packet.bytes, at, wrong);
            let before = packet.clone();
            packet.set_source(address, port);
            let checksum = word_at(packet.bytes(), at);
            packet.set_source(flow.src(), flow.src_port());
            // A word of all ones and one of zero are the same number in one's complement; only they may change places.
            if checksum != 0 && checksum != 0xffff {
                prop_assert_eq!(packet, before);
            }
        }
    }

    #[test]
    fn a_udp_checksum_of_zero_stays_zero() {
        let tuple = FiveTuple {
            src: Ipv4Addr::new(10, 0, 0, 2),
            dst: Ipv4Addr::new(198, 51, 100, 1),
            src_port: 20_000,
            dst_port: 53,
            protocol: Protocol::Udp,
        };
        let mut packet = packet(tuple, 8);
        let at = packet.transport_at + 6;
        put_word(&mut packet.bytes, at, 0);
        packet.set_source(Ipv4Addr::new(203, 0, 113, 1), 1024);
        assert_eq!(word_at(packet.bytes(), at), 0);
    }

    #[test]
    fn a_ttl_of_one_is_not_taken_away() {
        let v4 = FiveTuple {
            src: Ipv4Addr::new(10, 0, 0, 2),
            dst: Ipv4Addr::new(198, 51, 100, 1),
            src_port: 1,
            dst_port: 2,
            protocol: Protocol::Udp,
        };
        let v6 = FiveTuple {
            src: Ipv6Addr::LOCALHOST,
            dst: Ipv6Addr::LOCALHOST,
            src_port: 1,
            dst_port: 2,
            protocol: Protocol::Udp,
        };
        for mut packet in [packet(v4, 0), packet(v6, 0)] {
            while packet.decrement_ttl() {}
            assert_eq!(packet.ttl(), 1);
            assert!(checksums_hold(&packet));
        }
    }
}
