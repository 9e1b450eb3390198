//! Changing addresses, ports and TTL, with checksums kept by RFC 1624.
//!
//! Addresses and ports are IPv4's: nothing translates IPv6, whose packets only lose a hop.
//!
//! A checksum is updated by the difference between old and new words, never computed anew: what was wrong stays exactly
//! as wrong, and a receiver sees what it would have seen. A UDP checksum of zero means "none" (RFC 768) and stays zero.

use std::net::Ipv4Addr;

use pnet_packet::ipv4::MutableIpv4Packet;

use super::packet::{Packet, Transport};

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

    /// An IPv4 address changed.
    #[inline]
    pub(super) fn address(self, old: Ipv4Addr, new: Ipv4Addr) -> Difference {
        let (old, new) = (u32::from(old), u32::from(new));
        self.word((old >> 16) as u16, (new >> 16) as u16).word(old as u16, new as u16)
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
enum End {
    Source,
    Destination,
}

impl Packet {
    /// Gives the packet another source address and source port (ICMP echo identifier). The port is ignored by packets
    /// that have none. IPv4 only: nothing translates IPv6.
    #[inline]
    pub fn set_source(&mut self, address: Ipv4Addr, port: u16) {
        self.set_end(End::Source, address, port);
    }

    /// Gives the packet another destination address and destination port (ICMP echo identifier). IPv4 only.
    #[inline]
    pub fn set_destination(&mut self, address: Ipv4Addr, port: u16) {
        self.set_end(End::Destination, address, port);
    }

    #[inline]
    fn set_end(&mut self, end: End, address: Ipv4Addr, port: u16) {
        debug_assert!(self.is_ipv4(), "only IPv4 packets are translated");
        let at = self.transport_at;
        let transport = self.transport();
        let mut ip = MutableIpv4Packet::new(&mut self.bytes).expect("a parsed packet has its header");
        let old_address = match end {
            End::Source => ip.get_source(),
            End::Destination => ip.get_destination(),
        };
        let difference = Difference::default().address(old_address, address);
        match end {
            End::Source => ip.set_source(address),
            End::Destination => ip.set_destination(address),
        }
        let checksum = difference.apply(ip.get_checksum());
        ip.set_checksum(checksum);

        let bytes = &mut self.bytes[..];
        match transport {
            Transport::Tcp | Transport::Udp => {
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
            // ICMP has no pseudo-header: only the identifier counts. The asker's side has it.
            Transport::IcmpEchoRequest | Transport::IcmpEchoReply => {
                let asks = transport == Transport::IcmpEchoRequest;
                if asks == (end == End::Source) {
                    let difference = Difference::default().word(word_at(bytes, at + 4), port);
                    put_word(bytes, at + 4, port);
                    let checksum = difference.apply(word_at(bytes, at + 2));
                    put_word(bytes, at + 2, checksum);
                }
            }
            Transport::IcmpError | Transport::IcmpOther | Transport::Fragment | Transport::Other(_) => {}
        }
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
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::testing::{any_flow, any_tuple, checksums_hold, packet};
    use crate::wire::{FiveTuple, Protocol};

    proptest! {
        #[test]
        fn a_right_checksum_stays_right(tuple in any_tuple(), address: u32, port: u16, payload in 0u16..40, source: bool) {
            let mut packet = packet(tuple, payload);
            prop_assert!(checksums_hold(&packet));
            if source { packet.set_source(address.into(), port) } else { packet.set_destination(address.into(), port) }
            packet.decrement_ttl();
            prop_assert!(checksums_hold(&packet));
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
        fn out_and_back_is_the_identity(tuple in any_tuple(), address: u32, port: u16, wrong: u16) {
            let mut packet = packet(tuple, 5);
            // A wrong checksum, but not the "none" of UDP, nor the other spelling of zero.
            let at = packet.transport_at + match tuple.protocol { Protocol::Tcp => 16, Protocol::Udp => 6, Protocol::Icmp => 2 };
            prop_assume!(wrong != 0 && wrong != 0xffff);
            put_word(&mut packet.bytes, at, wrong);
            let before = packet.clone();
            packet.set_source(address.into(), port);
            let checksum = word_at(packet.bytes(), at);
            packet.set_source(tuple.src, tuple.src_port);
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
