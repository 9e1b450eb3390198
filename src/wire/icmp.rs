//! ICMP errors: the packet they quote, and putting that quotation right (RFC 5508 §4.1).
//!
//! Who only wants to know what an error is about asks for its flow, in both versions of IP. NAT, which is IPv4 only, asks
//! for an [`Embedded`] that it can rewrite.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pnet_packet::ipv6::Ipv6Packet;

use super::flow::{FiveTuple, Flow, Protocol};
use super::ipv6::{Chain, Fragment};
use super::layout::{ICMP_HEADER, ICMPV4, ICMPV6, IPV4_HEADER, Icmp, PROTOCOL_TCP, PROTOCOL_UDP};
use super::packet::{Packet, Transport};
use super::rewrite::{Difference, End, put_word, word_at};
use super::version::Version;

/// RFC 792: an error quotes the IP header and at least these many bytes behind it.
const QUOTED_TRANSPORT: usize = 8;
/// RFC 1812 §4.3.2.3: an IPv4 error is at most this long.
const MAX_ERROR_IPV4: usize = 576;
/// RFC 4443 §2.4 (c): an IPv6 error is at most as long as what every link takes.
const MAX_ERROR_IPV6: usize = 1280;
/// An ICMPv6 message that tells of a better router; no error, but never answered with one either.
const REDIRECT: u8 = 137;

/// The errors that simulated routers send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IcmpError {
    /// Type 11, code 0: the TTL reached zero on the way. ICMPv6: type 3, code 0.
    TimeExceeded,
    /// Type 3, code 0: no route to the network. ICMPv6: type 1, code 0.
    NetworkUnreachable,
    /// Type 3, code 3: nobody listens on the UDP port. ICMPv6: type 1, code 4.
    PortUnreachable,
    /// Type 3, code 4: larger than the next link takes, which is this many bytes (RFC 1191 §4). ICMPv6: type 2.
    PacketTooBig(u16),
}

impl IcmpError {
    const fn type_and_code(self) -> (u8, u8) {
        match self {
            IcmpError::TimeExceeded => (11, 0),
            IcmpError::NetworkUnreachable => (3, 0),
            IcmpError::PortUnreachable => (3, 3),
            IcmpError::PacketTooBig(_) => (3, 4),
        }
    }

    /// RFC 4443 §3.
    const fn type_and_code_ipv6(self) -> (u8, u8) {
        match self {
            IcmpError::TimeExceeded => (3, 0),
            IcmpError::NetworkUnreachable => (1, 0),
            IcmpError::PortUnreachable => (1, 4),
            IcmpError::PacketTooBig(_) => (2, 0),
        }
    }

    /// The second word: in IPv4 the MTU has the half of it that counts, in IPv6 (RFC 4443 §3.2) all of it.
    const fn second_word(self) -> u32 {
        match self {
            IcmpError::PacketTooBig(mtu) => mtu as u32,
            _ => 0,
        }
    }
}

/// The packet that an ICMP error quotes. IPv4, unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Embedded<A = Ipv4Addr> {
    /// Its flow, in the direction in which it was sent.
    pub tuple: FiveTuple<A>,
    /// Where its IP header starts.
    ip_at: usize,
    /// Where its transport header starts.
    transport_at: usize,
}

impl Packet {
    /// The packet that an ICMPv4 error is about; `None` for other packets and for quotations too short to tell.
    pub fn embedded(&self) -> Option<Embedded> {
        if !self.is_ipv4() || self.transport() != Transport::IcmpError {
            return None;
        }
        let ip_at = self.transport_at + ICMP_HEADER;
        let quoted = self.bytes.get(ip_at..)?;
        if quoted.len() < IPV4_HEADER || quoted[0] >> 4 != 4 {
            return None;
        }
        let header = usize::from(quoted[0] & 0x0f) * 4;
        let transport = quoted.get(header..).filter(|rest| header >= IPV4_HEADER && rest.len() >= QUOTED_TRANSPORT)?;
        // A later fragment has no ports to go by.
        if word_at(quoted, 6) & 0x1fff != 0 {
            return None;
        }
        let address = |at: usize| Ipv4Addr::new(quoted[at], quoted[at + 1], quoted[at + 2], quoted[at + 3]);
        let (src_port, dst_port, protocol) = quoted_ports(transport, quoted[9], ICMPV4)?;
        let tuple = FiveTuple { src: address(12), dst: address(16), src_port, dst_port, protocol };
        Some(Embedded { tuple, ip_at, transport_at: ip_at + header })
    }

    /// The same for ICMPv6.
    pub fn embedded_ipv6(&self) -> Option<Embedded<Ipv6Addr>> {
        if self.is_ipv4() || self.transport() != Transport::IcmpError {
            return None;
        }
        let ip_at = self.transport_at + ICMP_HEADER;
        let quoted = self.bytes.get(ip_at..)?;
        let ip = Ipv6Packet::new(quoted).filter(|ip| ip.get_version() == 6)?;
        let chain = Chain::of(quoted);
        // A later fragment has no ports to go by; a cut chain ends at what is no protocol of ours.
        if chain.fragment == Some(Fragment::Later) {
            return None;
        }
        let transport = quoted.get(chain.at..).filter(|rest| rest.len() >= QUOTED_TRANSPORT)?;
        let (src_port, dst_port, protocol) = quoted_ports(transport, chain.protocol, ICMPV6)?;
        let tuple = FiveTuple { src: ip.get_source(), dst: ip.get_destination(), src_port, dst_port, protocol };
        Some(Embedded { tuple, ip_at, transport_at: ip_at + chain.at })
    }

    /// The flow that an ICMP error of either version is about, in the direction in which the quoted packet was sent;
    /// `None` for other packets and for quotations too short to tell.
    pub fn embedded_flow(&self) -> Option<Flow> {
        if self.is_ipv4() {
            return self.embedded().map(|embedded| Flow::V4(embedded.tuple));
        }
        self.embedded_ipv6().map(|embedded| Flow::V6(embedded.tuple))
    }

    /// Gives the quoted packet another source, as NAT does for an error that comes from outside.
    pub fn set_embedded_source(&mut self, embedded: &Embedded, address: Ipv4Addr, port: u16) {
        self.set_embedded(embedded, End::Source, address, port);
    }

    /// Gives the quoted packet another destination, as NAT does for an error that an instance sends about a packet
    /// from outside.
    pub fn set_embedded_destination(&mut self, embedded: &Embedded, address: Ipv4Addr, port: u16) {
        self.set_embedded(embedded, End::Destination, address, port);
    }

    /// [`Packet::set_embedded_source`] for an error of either version.
    ///
    /// # Panics
    /// When the packet is no error that quotes a packet of the address's version.
    pub fn set_quoted_source(&mut self, (address, port): (IpAddr, u16)) {
        self.set_quoted(End::Source, address, port);
    }

    /// [`Packet::set_embedded_destination`] for an error of either version.
    ///
    /// # Panics
    /// As [`Packet::set_quoted_source`].
    pub fn set_quoted_destination(&mut self, (address, port): (IpAddr, u16)) {
        self.set_quoted(End::Destination, address, port);
    }

    fn set_quoted(&mut self, end: End, address: IpAddr, port: u16) {
        match (address, self.embedded(), self.embedded_ipv6()) {
            (IpAddr::V4(address), Some(embedded), _) => self.set_embedded(&embedded, end, address, port),
            (IpAddr::V6(address), _, Some(embedded)) => self.set_embedded(&embedded, end, address, port),
            _ => unreachable!("an error quotes a packet of its own version of IP"),
        }
    }

    fn set_embedded<A: Version>(&mut self, embedded: &Embedded<A>, end: End, address: A, port: u16) {
        let Embedded { tuple, ip_at, transport_at } = *embedded;
        let (old, port_at) = match end {
            End::Source => (tuple.src, 0),
            End::Destination => (tuple.dst, 2),
        };
        let addresses = old.difference(address);
        let header = A::CHECKSUM_AT.map(|at| ip_at + at);
        let (port_at, checksum_at) = match tuple.protocol {
            Protocol::Tcp => (transport_at + port_at, transport_at + 16),
            Protocol::Udp => (transport_at + port_at, transport_at + 6),
            Protocol::Icmp => (transport_at + 4, transport_at + 2),
        };
        let ports = Difference::default().word(word_at(&self.bytes, port_at), port);
        // The quoted checksum may be cut off (TCP's lies beyond the eight bytes that must be quoted), and UDP's may be absent.
        let checksum = (checksum_at + 2 <= self.bytes.len()).then(|| word_at(&self.bytes, checksum_at)).and_then(
            |old| match tuple.protocol {
                Protocol::Udp if old == 0 => None,
                Protocol::Udp => Some(match (addresses + ports).apply(old) {
                    0 => 0xffff,
                    new => new,
                }),
                Protocol::Icmp if !A::ICMP_COVERS_ADDRESSES => Some(ports.apply(old)),
                Protocol::Tcp | Protocol::Icmp => Some((addresses + ports).apply(old)),
            },
        );

        // Every word that changes inside the quotation changes the checksum of the error itself.
        let mut outer = addresses;
        let header_checksum = header.map(|at| addresses.apply(word_at(&self.bytes, at)));
        address.put(&mut self.bytes, ip_at + A::ADDRESSES_AT[end as usize]);
        let words = [(header, header_checksum), (Some(port_at), Some(port)), (Some(checksum_at), checksum)];
        for (at, new) in words {
            if let (Some(at), Some(new)) = (at, new) {
                outer = outer.word(word_at(&self.bytes, at), new);
                put_word(&mut self.bytes, at, new);
            }
        }
        let checksum_at = self.transport_at + 2;
        let checksum = outer.apply(word_at(&self.bytes, checksum_at));
        put_word(&mut self.bytes, checksum_at, checksum);
    }

    /// The MTU that an ICMP error of the kind "packet too big" tells; `None` for all other packets. Zero is what routers
    /// before RFC 1191 say, which do not know it.
    pub fn told_mtu(&self) -> Option<u32> {
        if self.transport() != Transport::IcmpError {
            return None;
        }
        let [kind, code, _, _, rest @ ..] = self.bytes.get(self.transport_at..self.transport_at + ICMP_HEADER)? else {
            return None;
        };
        let word = u32::from_be_bytes(rest.try_into().ok()?);
        match (self.is_ipv4(), kind, code) {
            (true, 3, 4) => Some(word & 0xffff),
            (false, 2, _) => Some(word),
            _ => None,
        }
    }

    /// Becomes an ICMP error from `router` to the sender of `about`, and quotes what fits of it. Returns false, and stays
    /// what it is, where none may be sent: about errors, about fragments of IPv4 (RFC 1122 §3.2.2), about what RFC 4443
    /// §2.4 (e) excepts in IPv6, and when the router's address is of another version of IP than the packet.
    pub fn build_icmp_error(&mut self, error: IcmpError, about: &Packet, router: impl Into<IpAddr>) -> bool {
        let protocol = Protocol::Icmp;
        match (router.into(), about.source()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                if matches!(about.transport(), Transport::IcmpError | Transport::Fragment) {
                    return false;
                }
                let tuple = FiveTuple { src, dst, src_port: 0, dst_port: 0, protocol };
                self.put_error(tuple, error, error.type_and_code(), about, MAX_ERROR_IPV4);
                true
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                if !may_be_told(about, dst) {
                    return false;
                }
                let tuple = FiveTuple { src, dst, src_port: 0, dst_port: 0, protocol };
                self.put_error(tuple, error, error.type_and_code_ipv6(), about, MAX_ERROR_IPV6);
                true
            }
            _ => false,
        }
    }

    fn put_error<A: Version>(
        &mut self,
        tuple: FiveTuple<A>,
        error: IcmpError,
        type_and_code: (u8, u8),
        about: &Packet,
        longest: usize,
    ) {
        let quoted = about.bytes.len().min(longest - A::HEADER - ICMP_HEADER);
        let icmp = self.begin(tuple, ICMP_HEADER + quoted);
        (icmp[0], icmp[1]) = type_and_code;
        icmp[4..ICMP_HEADER].copy_from_slice(&error.second_word().to_be_bytes());
        icmp[ICMP_HEADER..].copy_from_slice(&about.bytes[..quoted]);
        self.seal(tuple, Transport::IcmpError, 2, ICMP_HEADER + quoted);
    }
}

/// Whether the sender of an IPv6 packet may be told that something is wrong with it (RFC 4443 §2.4 (e)). Nobody answers
/// errors (types below 128), redirects, packets to a group, and packets whose source is not one node. Fragments are
/// answered: an error is never taken to pieces, since all links take 1,280 bytes.
fn may_be_told(about: &Packet, sender: Ipv6Addr) -> bool {
    let answered = match about.transport() {
        Transport::IcmpError => false,
        Transport::IcmpOther => {
            let kind = about.bytes[about.transport_at];
            kind >= 128 && kind != REDIRECT
        }
        _ => true,
    };
    answered && !about.destination().is_multicast() && !sender.is_multicast() && !sender.is_unspecified()
}

/// Ports and protocol of a quoted transport header, of which at least [`QUOTED_TRANSPORT`] bytes are there.
fn quoted_ports(transport: &[u8], protocol: u8, icmp: Icmp) -> Option<(u16, u16, Protocol)> {
    match protocol {
        PROTOCOL_TCP => Some((word_at(transport, 0), word_at(transport, 2), Protocol::Tcp)),
        PROTOCOL_UDP => Some((word_at(transport, 0), word_at(transport, 2), Protocol::Udp)),
        _ if protocol != icmp.protocol => None,
        _ if transport[0] == icmp.request => Some((word_at(transport, 4), 0, Protocol::Icmp)),
        _ if transport[0] == icmp.reply => Some((0, word_at(transport, 4), Protocol::Icmp)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::TcpSegment;
    use crate::wire::testing::{any_extensions, any_flow, any_ipv6_flow, checksums_hold, extended, extension, packet};

    const ROUTER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

    fn router_for(packet: &Packet) -> IpAddr {
        if packet.is_ipv4() { Ipv4Addr::new(192, 0, 2, 1).into() } else { ROUTER.into() }
    }

    /// What an ICMPv6 error of these bytes behind its own header says it is about.
    fn quoted(bytes: &[u8]) -> Option<Flow> {
        let about = packet(Flow::V6(ipv6(Protocol::Udp)), 0);
        let mut error = Packet::empty();
        assert!(error.build_icmp_error(IcmpError::TimeExceeded, &about, ROUTER));
        error.bytes.truncate(48);
        error.bytes.extend(bytes);
        let payload = error.bytes.len() as u16 - 40;
        put_word(&mut error.bytes, 4, payload);
        Packet::parse(&error.bytes).unwrap().embedded_flow()
    }

    fn ipv6(protocol: Protocol) -> FiveTuple<Ipv6Addr> {
        FiveTuple { src: Ipv6Addr::LOCALHOST, dst: ROUTER, src_port: 7, dst_port: 0, protocol }
    }

    fn icmp_checksum_holds(packet: &Packet) -> bool {
        let icmp = &packet.bytes()[packet.transport_at..];
        pnet_packet::util::checksum(icmp, 1) == word_at(icmp, 2)
    }

    proptest! {
        /// The quotation put right is the quotation of the packet put right: byte for byte, all checksums included.
        #[test]
        fn the_quotation_is_what_the_sender_sent(src: u32, dst: u32, nat: u32, port: u16, nat_port: u16, tcp: bool, cut in 28usize..60) {
            let tuple = FiveTuple {
                src: src.into(), dst: dst.into(), src_port: port, dst_port: 443,
                protocol: if tcp { Protocol::Tcp } else { Protocol::Udp },
            };
            let mut sent = Packet::empty();
            if tcp {
                sent.build_tcp(tuple, TcpSegment { flags: 2, seq: 9, ack: 0, payload: 20 });
            } else {
                sent.build_udp(tuple, 20);
            }
            let mut outside = sent.clone();
            outside.set_source(Ipv4Addr::from(nat), nat_port);
            let cut = cut & !1; // half a checksum cannot be put right
            outside.bytes.truncate(cut);

            let mut error = Packet::empty();
            prop_assert!(error.build_icmp_error(IcmpError::PortUnreachable, &outside, Ipv4Addr::new(192, 0, 2, 1)));
            let embedded = error.embedded().unwrap();
            prop_assert_eq!(embedded.tuple.src_port, nat_port);
            error.set_embedded_source(&embedded, tuple.src, tuple.src_port);

            let at = error.transport_at + ICMP_HEADER;
            let (quoted, original) = (&error.bytes()[at..], &sent.bytes()[..cut.min(sent.bytes().len())]);
            // Zero and all ones are the same checksum.
            let same = quoted.iter().zip(original).all(|(a, b)| a == b || (*a | *b == 0xff && *a & *b == 0));
            prop_assert!(same, "{quoted:?} {original:?}");
            prop_assert!(icmp_checksum_holds(&error));
        }

        #[test]
        fn the_flow_of_an_error_is_the_flow_of_the_packet_it_is_about(
            flow in any_flow(),
            payload in 0u16..1500,
            error in prop::sample::select(vec![
                IcmpError::TimeExceeded,
                IcmpError::NetworkUnreachable,
                IcmpError::PortUnreachable,
            ]),
        ) {
            let about = packet(flow, payload);
            let mut told = Packet::empty();
            let router = router_for(&about);
            prop_assert!(told.build_icmp_error(error, &about, router));
            prop_assert_eq!(&Packet::parse(told.bytes()).unwrap(), &told);
            prop_assert_eq!((told.transport(), told.flow()), (Transport::IcmpError, None));
            prop_assert_eq!((told.source(), told.destination()), (router, flow.src()));
            prop_assert_eq!(told.embedded_flow(), Some(flow));
            let embedded = told.embedded().map(|embedded| Flow::V4(embedded.tuple));
            prop_assert_eq!(embedded, Some(flow).filter(|_| told.is_ipv4()));
            prop_assert!(checksums_hold(&told));
            let (header, longest) = if told.is_ipv4() { (28, 576) } else { (48, 1280) };
            prop_assert_eq!(told.bytes().len(), longest.min(header + about.bytes().len()));
            prop_assert!(about.bytes().starts_with(&told.bytes()[header..]));
        }

        #[test]
        fn extension_headers_do_not_hide_what_an_error_is_about(flow in any_ipv6_flow(), extensions in any_extensions()) {
            let about = Packet::parse(&extended(&packet(flow, 3), &extensions)).unwrap();
            let mut told = Packet::empty();
            prop_assert!(told.build_icmp_error(IcmpError::TimeExceeded, &about, ROUTER));
            prop_assert!(checksums_hold(&told));
            prop_assert_eq!(told.embedded_flow(), Some(flow));
            let told = Packet::parse(&extended(&told, &extensions)).unwrap();
            prop_assert_eq!(told.embedded_flow(), Some(flow));
        }

        #[test]
        fn an_ipv6_quotation_of_any_bytes_does_no_harm(
            mut bytes: Vec<u8>,
            next in prop::sample::select(vec![0u8, 6, 17, 43, 44, 51, 58, 60]),
        ) {
            quoted(&bytes);
            if bytes.len() > 6 {
                (bytes[0], bytes[6]) = (0x60, next);
                quoted(&bytes);
            }
        }

        #[test]
        fn a_quotation_of_any_bytes_does_no_harm(mut bytes: Vec<u8>, port: u16) {
            let mut about = Packet::empty();
            let tuple: FiveTuple =
                FiveTuple { src: 1.into(), dst: 2.into(), src_port: 3, dst_port: 4, protocol: Protocol::Udp };
            about.build_udp(tuple, 0);
            let mut error = Packet::empty();
            error.build_icmp_error(IcmpError::TimeExceeded, &about, Ipv4Addr::LOCALHOST);
            error.bytes.truncate(IPV4_HEADER + ICMP_HEADER);
            error.bytes.append(&mut bytes);
            let length = error.bytes.len() as u16;
            put_word(&mut error.bytes, 2, length);
            let mut error = Packet::parse(&error.bytes).unwrap();
            if let Some(embedded) = error.embedded() {
                error.set_embedded_source(&embedded, Ipv4Addr::LOCALHOST, port);
                error.set_embedded_destination(&embedded, Ipv4Addr::LOCALHOST, port);
            }
        }
    }

    #[test]
    fn no_error_is_sent_about_an_error() {
        let mut about = Packet::empty();
        let tuple =
            FiveTuple::<Ipv4Addr> { src: 1.into(), dst: 2.into(), src_port: 3, dst_port: 4, protocol: Protocol::Udp };
        about.build_udp(tuple, 0);
        let mut error = Packet::empty();
        assert!(error.build_icmp_error(IcmpError::TimeExceeded, &about, Ipv4Addr::LOCALHOST));
        assert!(!Packet::empty().build_icmp_error(IcmpError::TimeExceeded, &error, Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn the_numbers_are_those_of_the_version() {
        use IcmpError::{NetworkUnreachable, PacketTooBig, PortUnreachable, TimeExceeded};
        let v6 = packet(ipv6(Protocol::Udp), 0);
        let v4 = FiveTuple {
            src: Ipv4Addr::LOCALHOST,
            dst: Ipv4Addr::LOCALHOST,
            src_port: 1,
            dst_port: 2,
            protocol: Protocol::Udp,
        };
        let v4 = packet(v4, 0);
        for (error, as_v4, as_v6) in [
            (TimeExceeded, [11, 0], [3, 0]),
            (NetworkUnreachable, [3, 0], [1, 0]),
            (PortUnreachable, [3, 3], [1, 4]),
            (PacketTooBig(1400), [3, 4], [2, 0]),
        ] {
            for (about, expected) in [(&v4, as_v4), (&v6, as_v6)] {
                let mut told = Packet::empty();
                assert!(told.build_icmp_error(error, about, router_for(about)));
                assert_eq!(told.bytes()[told.transport_at..][..2], expected);
                assert_eq!(told.told_mtu(), (error == PacketTooBig(1400)).then_some(1400));
                assert!(crate::wire::testing::checksums_hold(&told));
            }
        }
    }

    #[test]
    fn an_ipv6_error_quotes_1232_bytes_at_most() {
        // 1280 - 40 of IPv6 - 8 of ICMPv6 = 1232, of which 40 + 8 are headers and 1184 payload.
        for (payload, length) in [(1184, 1280), (1185, 1280), (1183, 1279)] {
            let mut told = Packet::empty();
            assert!(told.build_icmp_error(IcmpError::TimeExceeded, &packet(ipv6(Protocol::Udp), payload), ROUTER));
            assert_eq!(told.bytes().len(), length);
        }
    }

    #[test]
    fn a_router_has_nothing_to_say_about_the_other_version() {
        let v6 = packet(ipv6(Protocol::Udp), 0);
        let mut told = Packet::empty();
        assert!(!told.build_icmp_error(IcmpError::TimeExceeded, &v6, Ipv4Addr::LOCALHOST));
        assert!(!told.build_icmp_error(IcmpError::TimeExceeded, &Packet::empty(), ROUTER));
        assert_eq!(told, Packet::empty());
    }

    #[test]
    fn rfc_4443_excepts_errors_redirects_groups_and_nobody() {
        let told = |about: &Packet| Packet::empty().build_icmp_error(IcmpError::TimeExceeded, about, ROUTER);
        let icmp = |kind: u8| {
            let mut bytes = packet(ipv6(Protocol::Icmp), 60).bytes().to_vec();
            bytes[40] = kind;
            Packet::parse(&bytes).unwrap()
        };
        // Packet too big, private experimentation (an error, too), redirect; an echo request, a neighbour solicitation.
        assert_eq!([2, 100, 137, 128, 135].map(|kind| told(&icmp(kind))), [false, false, false, true, true]);

        let group: Ipv6Addr = "ff02::1".parse().unwrap();
        let udp = ipv6(Protocol::Udp);
        assert!(told(&packet(udp, 0)));
        assert!(!told(&packet(FiveTuple { dst: group, ..udp }, 0)));
        assert!(!told(&packet(FiveTuple { src: group, ..udp }, 0)));
        assert!(!told(&packet(FiveTuple { src: Ipv6Addr::UNSPECIFIED, ..udp }, 0)));
    }

    #[test]
    fn a_quoted_fragment_tells_its_flow_only_if_it_is_the_first() {
        let flow = Flow::V6(ipv6(Protocol::Udp));
        // The offset is in the upper 13 bits, so 8 stands for 8 bytes; the lowest bit is "more".
        for (word, expected) in [(1, Some(flow)), (0, Some(flow)), (8, None), (9, None)] {
            let mut header = extension(44, 0, 0);
            put_word(&mut header, 2, word);
            let about = Packet::parse(&extended(&packet(flow, 8), &[(44, header)])).unwrap();
            let mut told = Packet::empty();
            assert!(told.build_icmp_error(IcmpError::TimeExceeded, &about, ROUTER));
            assert_eq!(told.embedded_flow(), expected);
        }
    }

    #[test]
    fn a_quotation_too_short_to_tell_tells_nothing() {
        let bytes = packet(ipv6(Protocol::Udp), 0).bytes().to_vec();
        // 40 bytes of IPv6, and all 8 of UDP.
        assert_eq!(quoted(&bytes), Some(ipv6(Protocol::Udp).into()));
        for length in [0, 39, 40, 47] {
            assert_eq!(quoted(&bytes[..length]), None);
        }
    }
}
