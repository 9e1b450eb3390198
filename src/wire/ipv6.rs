//! The extension headers of IPv6, which stand between the IP header and the transport (RFC 8200 §4, RFC 7045).
//!
//! They are walked to find the transport and not looked into otherwise: a routing header's final destination and a
//! mobile host's home address do not count, a flow is what a router on the way sees in the IP header. What is no extension
//! header known to IANA's registry ends the chain, as do encrypted payload (ESP) and "no next header".

use super::layout::IPV6_HEADER;
use super::rewrite::word_at;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
/// RFC 4302.
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
/// RFC 6275.
const MOBILITY: u8 = 135;
/// RFC 7401.
const HOST_IDENTITY: u8 = 139;
/// RFC 5533.
const SHIM6: u8 = 140;

/// Which part of a packet a fragment is. An atomic fragment is all of it, and none of these (RFC 6946).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fragment {
    /// The one with the transport header.
    First,
    /// One from further behind.
    Later,
}

/// Where the extension headers of a packet lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    /// Where the header behind them starts; at most the number of bytes.
    pub at: usize,
    /// That header's number. What a later fragment starts with is in the middle of something; the number is then that of
    /// the first header of the part that was taken to pieces.
    pub protocol: u8,
    /// Set for fragments that are not atomic.
    pub fragment: Option<Fragment>,
    /// The header at `at` is an extension header that is not all there.
    pub cut: bool,
}

impl Chain {
    /// Walks the extension headers of a packet, which has at least its IP header. Each is at least 8 bytes long, so the
    /// longest chain of a packet of 65,575 bytes has 8,191 of them.
    pub(super) fn of(packet: &[u8]) -> Chain {
        let mut chain = Chain { at: IPV6_HEADER, protocol: packet[6], fragment: None, cut: false };
        while chain.fragment != Some(Fragment::Later) && is_extension(chain.protocol, chain.at) {
            let rest = &packet[chain.at..];
            let Some(header) = length(chain.protocol, rest).and_then(|length| rest.get(..length)) else {
                chain.cut = true;
                break;
            };
            if chain.protocol == FRAGMENT {
                // 13 bits of offset, 2 reserved, "more fragments".
                let word = word_at(header, 2);
                chain.fragment = match (word >> 3, word & 1) {
                    (0, 0) => chain.fragment,
                    (0, _) => Some(Fragment::First),
                    _ => Some(Fragment::Later),
                };
            }
            chain.protocol = header[0];
            chain.at += header.len();
        }
        chain
    }
}

/// RFC 8200 §4.1: hop-by-hop options stand right behind the IP header or are not recognised; all else comes in any order.
fn is_extension(protocol: u8, at: usize) -> bool {
    match protocol {
        HOP_BY_HOP => at == IPV6_HEADER,
        ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS | MOBILITY | HOST_IDENTITY | SHIM6 => true,
        _ => false,
    }
}

/// What an extension header says of its own length, in bytes: at least 8.
fn length(protocol: u8, bytes: &[u8]) -> Option<usize> {
    let units = usize::from(*bytes.get(1)?);
    Some(match protocol {
        // Where others have their length it has a reserved byte.
        FRAGMENT => 8,
        // In 4 bytes, less 2 (RFC 4302 §2.2).
        AUTHENTICATION => (units + 2) * 4,
        // In 8 bytes, not counting the first 8.
        _ => (units + 1) * 8,
    })
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::wire::rewrite::put_word;
    use crate::wire::testing::{any_extensions, any_ipv6_flow, extended, extension, packet};
    use crate::wire::{FiveTuple, IcmpError, Malformed, Packet, Protocol, Transport};

    const TUPLE: FiveTuple<Ipv6Addr> = FiveTuple {
        src: Ipv6Addr::LOCALHOST,
        dst: Ipv6Addr::LOCALHOST,
        src_port: 40_000,
        dst_port: 53,
        protocol: Protocol::Udp,
    };

    /// 40 bytes of IPv6, the extension headers, 8 of UDP and 4 of payload.
    fn udp(extensions: &[(u8, Vec<u8>)]) -> Vec<u8> {
        extended(&packet(TUPLE, 4), extensions)
    }

    /// A fragment header with this offset, in units of 8 bytes.
    fn fragment(offset: u16, more: bool) -> (u8, Vec<u8>) {
        let mut header = extension(FRAGMENT, 0, 0);
        put_word(&mut header, 2, offset << 3 | u16::from(more));
        (FRAGMENT, header)
    }

    /// Asks everything of a packet that can be asked.
    fn ask(packet: &mut Packet) {
        let _ =
            (packet.flow(), packet.five_tuple(), packet.embedded(), packet.embedded_flow(), packet.protocol_number());
        let _ = (packet.source(), packet.destination(), packet.tcp_flags(), packet.tcp_numbers());
        let mut answer = Packet::empty();
        for router in [IpAddr::V4([192, 0, 2, 1].into()), Ipv6Addr::LOCALHOST.into()] {
            if answer.build_icmp_error(IcmpError::TimeExceeded, packet, router) {
                assert_eq!(Packet::parse(answer.bytes()).as_ref(), Ok(&answer));
                assert!(answer.bytes().len() <= 1280);
                let _ = answer.embedded_flow();
            }
        }
        if packet.tcp_numbers().is_some() {
            answer.build_reset(packet);
        }
        packet.decrement_ttl();
    }

    proptest! {
        #[test]
        fn extension_headers_do_not_hide_the_flow(
            flow in any_ipv6_flow(),
            extensions in any_extensions(),
            payload in 0u16..40,
        ) {
            let plain = packet(flow, payload);
            let with = Packet::parse(&extended(&plain, &extensions)).unwrap();
            prop_assert_eq!((with.flow(), with.transport()), (Some(flow), plain.transport()));
            prop_assert_eq!(with.protocol_number(), plain.protocol_number());
            prop_assert_eq!(with.tcp_numbers(), plain.tcp_numbers());
            let longer: usize = extensions.iter().map(|(_, header)| header.len()).sum();
            prop_assert_eq!(with.wire_length() as usize, plain.bytes().len() + longer);
        }

        /// Cut anywhere, such a packet is refused or it still says the same.
        #[test]
        fn a_cut_never_makes_another_flow(
            flow in any_ipv6_flow(),
            extensions in any_extensions(),
            cut: prop::sample::Index,
        ) {
            let bytes = extended(&packet(flow, 20), &extensions);
            let captured = cut.index(bytes.len());
            let mut packet = Packet::empty();
            match packet.load(&bytes[..captured], bytes.len()) {
                Ok(()) => prop_assert_eq!(packet.flow(), Some(flow)),
                Err(Malformed::Header { .. } | Malformed::ExtensionHeader { .. } | Malformed::Transport(_)) => {}
                Err(refused) => prop_assert!(false, "{refused}"),
            }
        }

        /// Most of these bytes are numbers of extension headers and small lengths, so that chains get long.
        #[test]
        fn chains_of_any_bytes_do_no_harm(
            chain in prop::collection::vec(
                prop_oneof![
                    3 => prop::sample::select(vec![0u8, 1, 6, 17, 43, 44, 50, 51, 58, 59, 60, 135, 139, 140]),
                    1 => any::<u8>(),
                ],
                0..200,
            ),
            first: prop::sample::Index,
            told in any::<bool>(),
            cut in 0usize..64,
        ) {
            let mut bytes = udp(&[])[..40].to_vec();
            bytes[6] = [0, 43, 44, 51, 60, 135, 139, 140][first.index(8)];
            bytes.extend(&chain);
            // A length of zero means all that is there.
            put_word(&mut bytes, 4, if told { chain.len() as u16 } else { 0 });
            let captured = bytes.len().saturating_sub(cut).max(40);
            let found = Chain::of(&bytes[..captured]);
            prop_assert!(found.at <= captured);
            let ends = found.fragment == Some(Fragment::Later) || !is_extension(found.protocol, found.at);
            prop_assert_eq!(found.cut, !ends);
            let mut packet = Packet::empty();
            if packet.load(&bytes[..captured], bytes.len()).is_ok() {
                ask(&mut packet);
            }
        }

        #[test]
        fn random_bytes_do_no_harm(mut bytes: Vec<u8>, v6: bool, on_wire in 0usize..200) {
            if let Some(first) = bytes.first_mut() {
                *first = if v6 { 0x60 } else { 0x45 };
            }
            let length = bytes.len();
            if bytes.len() > 40 {
                let (at, length) = if v6 { (4, length - 40) } else { (2, length) };
                put_word(&mut bytes, at, length as u16);
            }
            let mut packet = Packet::empty();
            if packet.load(&bytes, on_wire).is_ok() {
                ask(&mut packet);
            }
        }
    }

    #[test]
    fn an_ipv6_fragment_is_a_fragment_the_first_one_too() {
        // The fragment header is 8 bytes long: what it is a fragment of starts at 48.
        for header in [fragment(0, true), fragment(1, false), fragment(185, true)] {
            let packet = Packet::parse(&udp(&[header])).unwrap();
            assert_eq!((packet.transport(), packet.protocol_number()), (Transport::Fragment, 17));
            assert_eq!((packet.transport_at, packet.flow()), (48, None));
        }
    }

    #[test]
    fn an_atomic_fragment_is_a_whole_packet() {
        let packet = Packet::parse(&udp(&[fragment(0, false)])).unwrap();
        assert_eq!((packet.transport(), packet.flow()), (Transport::Udp, Some(TUPLE.into())));
    }

    #[test]
    fn only_a_first_fragment_says_what_is_behind_its_destination_options() {
        let options = (DESTINATION_OPTIONS, extension(DESTINATION_OPTIONS, 0, 0));
        let protocol = |header| {
            let packet = Packet::parse(&udp(&[header, options.clone()])).unwrap();
            assert_eq!(packet.transport(), Transport::Fragment);
            packet.protocol_number()
        };
        assert_eq!([protocol(fragment(0, true)), protocol(fragment(1, true))], [17, 60]);
    }

    #[test]
    fn a_first_fragment_without_all_of_its_headers_is_still_a_fragment() {
        // RFC 7112 forbids to send it. 40 + 8 bytes, and 4 of destination options, which are 8 bytes at least.
        let options = (DESTINATION_OPTIONS, extension(DESTINATION_OPTIONS, 0, 0));
        let mut packet = Packet::empty();
        packet.load(&udp(&[fragment(0, true), options])[..52], 68).unwrap();
        assert_eq!((packet.transport(), packet.protocol_number()), (Transport::Fragment, 60));
    }

    #[test]
    fn an_authentication_header_counts_its_length_in_words_less_two() {
        // 12 bytes of fixed fields and 12 of integrity check: 24 = (4 + 2) * 4. Others would have (4 + 1) * 8 = 40.
        let packet = Packet::parse(&udp(&[(AUTHENTICATION, extension(AUTHENTICATION, 4, 0))])).unwrap();
        assert_eq!((packet.transport_at, packet.flow()), (64, Some(TUPLE.into())));
    }

    #[test]
    fn the_transport_is_behind_all_extension_headers() {
        // 40 of IPv6, 8 of hop-by-hop options, (2 + 1) * 8 = 24 of routing, 16 of destination options: 88.
        let headers = [(HOP_BY_HOP, 0), (ROUTING, 2), (DESTINATION_OPTIONS, 1)];
        let headers = headers.map(|(kind, units)| (kind, extension(kind, units, 0)));
        let packet = Packet::parse(&udp(&headers)).unwrap();
        assert_eq!((packet.transport_at, packet.flow()), (88, Some(TUPLE.into())));
    }

    #[test]
    fn hop_by_hop_options_elsewhere_than_in_front_end_the_chain() {
        let headers = [DESTINATION_OPTIONS, HOP_BY_HOP].map(|kind| (kind, extension(kind, 0, 0)));
        let packet = Packet::parse(&udp(&headers)).unwrap();
        assert_eq!((packet.transport(), packet.transport_at), (Transport::Other(0), 48));
    }

    #[test]
    fn what_is_encrypted_absent_or_unknown_is_another_protocol() {
        // ESP, no next header, IPv4's ICMP, and a number that nobody has.
        for number in [50, 59, 1, 200] {
            let mut bytes = udp(&[(ROUTING, extension(ROUTING, 0, 0))]);
            bytes[40] = number;
            let packet = Packet::parse(&bytes).unwrap();
            assert_eq!((packet.transport(), packet.protocol_number()), (Transport::Other(number), number));
        }
        let mut nothing = udp(&[])[..40].to_vec();
        nothing[4..7].copy_from_slice(&[0, 0, 59]);
        assert_eq!(Packet::parse(&nothing).unwrap().transport(), Transport::Other(59));
    }

    #[test]
    fn a_cut_chain_is_refused_and_says_where() {
        // The routing header has 16 bytes, from 40 to 56. Of 52 captured bytes, 12 belong to it.
        let bytes = udp(&[(ROUTING, extension(ROUTING, 1, 0))]);
        let mut packet = Packet::empty();
        let refused = packet.load(&bytes[..52], bytes.len()).unwrap_err();
        assert_eq!(refused, Malformed::ExtensionHeader { protocol: 43, captured: 12 });
        assert_eq!(refused.to_string(), "IPv6 extension header 43 cut to 12 bytes");
        // Of 60, 4 belong to UDP, as with IPv4.
        assert_eq!(packet.load(&bytes[..60], bytes.len()), Err(Malformed::Transport(4)));
        assert_eq!(packet.load(&bytes[..64], bytes.len()), Ok(()));
        // The same with a length field that ends there: nothing was cut off, it is wrong.
        let mut short = bytes[..52].to_vec();
        put_word(&mut short, 4, 12);
        assert_eq!(Packet::parse(&short), Err(refused));
    }

    #[test]
    fn the_longest_chain_is_walked_to_its_end() {
        // 65,535 bytes of payload: 8,190 headers of 8 bytes are 65,520, and UDP's 12 make 65,532.
        let headers = vec![(DESTINATION_OPTIONS, extension(DESTINATION_OPTIONS, 0, 0)); 8190];
        assert_eq!(Packet::parse(&udp(&headers)).unwrap().flow(), Some(TUPLE.into()));
    }
}
