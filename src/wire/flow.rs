//! Who talks to whom: the five values that name a flow.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::layout::ICMPV6;
use super::version::Version;

/// The protocols whose packets belong to flows: those that Cloud NAT translates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Protocol {
    /// ICMP echo; the identifier takes the place of the port on the side that asked.
    Icmp = 1,
    /// TCP.
    Tcp = 6,
    /// UDP.
    Udp = 17,
}

impl Protocol {
    /// IANA protocol number in an IPv4 header. IPv6 has another one for ICMP, see [`Flow::protocol_number`].
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// `TCP`, `UDP` or `ICMP`, as Cloud Monitoring's `ip_protocol` label has it.
    pub const fn label(self) -> &'static str {
        match self {
            Protocol::Icmp => "ICMP",
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Icmp => "icmp",
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

/// Which way, seen from the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Away from the instance.
    Outbound,
    /// Towards the instance.
    Inbound,
}

/// What names a flow. An ICMP echo request has its identifier as `src_port` and 0 as `dst_port`, a reply the other way
/// round, so that [`FiveTuple::reversed`] leads from a packet to its answer for all three protocols. IPv4, unless said
/// otherwise: only [`Flow`] knows both versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FiveTuple<A = Ipv4Addr> {
    /// Source address.
    pub src: A,
    /// Destination address.
    pub dst: A,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Protocol.
    pub protocol: Protocol,
}

impl<A: Copy> FiveTuple<A> {
    /// The flow of the answers.
    pub const fn reversed(self) -> FiveTuple<A> {
        FiveTuple {
            src: self.dst,
            dst: self.src,
            src_port: self.dst_port,
            dst_port: self.src_port,
            protocol: self.protocol,
        }
    }
}

impl FiveTuple {
    /// All five values in one number, for hashing and comparing: 104 bits.
    pub fn key(self) -> u128 {
        u128::from(u32::from(self.src)) << 72
            | u128::from(u32::from(self.dst)) << 40
            | u128::from(self.src_port) << 24
            | u128::from(self.dst_port) << 8
            | u128::from(self.protocol.number())
    }
}

/// `10.8.0.2:40000 -> 198.51.100.7:443/tcp`, and IPv6 addresses with a port in brackets (RFC 5952 §6).
impl<A: Copy + Into<IpAddr>> fmt::Display for FiveTuple<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (src, dst) = (self.src.into(), self.dst.into());
        match self.protocol {
            Protocol::Icmp => {
                let id = self.src_port | self.dst_port;
                write!(f, "{src} -> {dst} {} echo id {id}", if src.is_ipv4() { "icmp" } else { "icmpv6" })
            }
            protocol => {
                let (src, dst) = (SocketAddr::new(src, self.src_port), SocketAddr::new(dst, self.dst_port));
                write!(f, "{src} -> {dst}/{protocol}")
            }
        }
    }
}

/// The five values that name a flow of either version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flow {
    /// IPv4.
    V4(FiveTuple),
    /// IPv6.
    V6(FiveTuple<Ipv6Addr>),
}

impl Flow {
    /// Source address.
    #[inline]
    pub const fn src(self) -> IpAddr {
        match self {
            Flow::V4(tuple) => IpAddr::V4(tuple.src),
            Flow::V6(tuple) => IpAddr::V6(tuple.src),
        }
    }

    /// Destination address.
    #[inline]
    pub const fn dst(self) -> IpAddr {
        match self {
            Flow::V4(tuple) => IpAddr::V4(tuple.dst),
            Flow::V6(tuple) => IpAddr::V6(tuple.dst),
        }
    }

    /// Source port, or the identifier of an echo request.
    #[inline]
    pub const fn src_port(self) -> u16 {
        match self {
            Flow::V4(tuple) => tuple.src_port,
            Flow::V6(tuple) => tuple.src_port,
        }
    }

    /// Destination port, or the identifier of an echo reply.
    #[inline]
    pub const fn dst_port(self) -> u16 {
        match self {
            Flow::V4(tuple) => tuple.dst_port,
            Flow::V6(tuple) => tuple.dst_port,
        }
    }

    /// Protocol.
    #[inline]
    pub const fn protocol(self) -> Protocol {
        match self {
            Flow::V4(tuple) => tuple.protocol,
            Flow::V6(tuple) => tuple.protocol,
        }
    }

    /// IANA protocol number: ICMP is 1 in IPv4 and 58 in IPv6 (RFC 4443 §1).
    pub const fn protocol_number(self) -> u8 {
        match self {
            Flow::V6(FiveTuple { protocol: Protocol::Icmp, .. }) => ICMPV6.protocol,
            flow => flow.protocol().number(),
        }
    }

    /// A flow between two addresses; `None` when they are of two versions of IP.
    pub fn between(src: (IpAddr, u16), dst: (IpAddr, u16), protocol: Protocol) -> Option<Flow> {
        let (src_port, dst_port) = (src.1, dst.1);
        match (src.0, dst.0) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => Some(Flow::V4(FiveTuple { src, dst, src_port, dst_port, protocol })),
            (IpAddr::V6(src), IpAddr::V6(dst)) => Some(Flow::V6(FiveTuple { src, dst, src_port, dst_port, protocol })),
            _ => None,
        }
    }

    /// The same with another source, of the same version of IP.
    pub fn from_source(self, address: IpAddr, port: u16) -> Flow {
        let dst = (self.dst(), self.dst_port());
        Flow::between((address, port), dst, self.protocol()).expect("the source keeps its version of IP")
    }

    /// The largest segment that its ends take of each other, if they speak TCP.
    pub(crate) const fn mss(self) -> u16 {
        match self {
            Flow::V4(_) => Ipv4Addr::MSS,
            Flow::V6(_) => Ipv6Addr::MSS,
        }
    }

    /// The flow of the answers.
    #[inline]
    pub const fn reversed(self) -> Flow {
        match self {
            Flow::V4(tuple) => Flow::V4(tuple.reversed()),
            Flow::V6(tuple) => Flow::V6(tuple.reversed()),
        }
    }
}

impl From<FiveTuple> for Flow {
    #[inline]
    fn from(tuple: FiveTuple) -> Flow {
        Flow::V4(tuple)
    }
}

impl From<FiveTuple<Ipv6Addr>> for Flow {
    #[inline]
    fn from(tuple: FiveTuple<Ipv6Addr>) -> Flow {
        Flow::V6(tuple)
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flow::V4(tuple) => tuple.fmt(f),
            Flow::V6(tuple) => tuple.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_an_answer_is_the_question() {
        let tuple = FiveTuple {
            src: Ipv4Addr::new(10, 8, 0, 2),
            dst: Ipv4Addr::new(198, 51, 100, 7),
            src_port: 40_000,
            dst_port: 443,
            protocol: Protocol::Tcp,
        };
        assert_eq!(tuple.reversed().reversed(), tuple);
        assert_eq!(tuple.to_string(), "10.8.0.2:40000 -> 198.51.100.7:443/tcp");
    }

    #[test]
    fn different_flows_have_different_keys() {
        let a = FiveTuple {
            src: Ipv4Addr::new(0, 0, 0, 1),
            dst: Ipv4Addr::new(1, 0, 0, 0),
            src_port: 1,
            dst_port: 256,
            protocol: Protocol::Udp,
        };
        for b in
            [a.reversed(), FiveTuple { protocol: Protocol::Tcp, ..a }, FiveTuple { src_port: 257, dst_port: 0, ..a }]
        {
            assert_ne!(a.key(), b.key());
        }
    }

    #[test]
    fn a_flow_says_what_its_five_tuple_says_in_both_versions() {
        let v6 = FiveTuple {
            src: Ipv6Addr::new(0xfd20, 0, 0, 0, 0, 0, 0, 2),
            dst: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
            src_port: 40_000,
            dst_port: 443,
            protocol: Protocol::Tcp,
        };
        let v4 = FiveTuple {
            src: Ipv4Addr::new(10, 8, 0, 2),
            dst: Ipv4Addr::new(198, 51, 100, 7),
            src_port: v6.src_port,
            dst_port: v6.dst_port,
            protocol: v6.protocol,
        };
        let ends: [(Flow, IpAddr, IpAddr); 2] =
            [(v4.into(), v4.src.into(), v4.dst.into()), (v6.into(), v6.src.into(), v6.dst.into())];
        for (flow, src, dst) in ends {
            let answers = flow.reversed();
            assert_eq!((flow.src(), flow.dst(), flow.src_port(), flow.dst_port()), (src, dst, 40_000, 443));
            assert_eq!((answers.src(), answers.dst(), answers.src_port(), answers.dst_port()), (dst, src, 443, 40_000));
            assert_eq!((answers.protocol(), answers.reversed()), (Protocol::Tcp, flow));
        }
        assert_eq!(Flow::from(v4).to_string(), v4.to_string());
    }

    #[test]
    fn ipv6_addresses_stand_in_brackets_before_a_port() {
        let flow = |protocol, dst_port| {
            let (src, dst) = ("fd20::2".parse().unwrap(), "2001:db8::1".parse().unwrap());
            Flow::V6(FiveTuple { src, dst, src_port: 7, dst_port, protocol })
        };
        assert_eq!(flow(Protocol::Udp, 443).to_string(), "[fd20::2]:7 -> [2001:db8::1]:443/udp");
        assert_eq!(flow(Protocol::Icmp, 0).to_string(), "fd20::2 -> 2001:db8::1 icmpv6 echo id 7");
    }

    #[test]
    fn only_icmp_has_another_number_in_ipv6() {
        for (protocol, numbers) in [(Protocol::Tcp, [6, 6]), (Protocol::Udp, [17, 17]), (Protocol::Icmp, [1, 58])] {
            let v4 =
                FiveTuple { src: Ipv4Addr::LOCALHOST, dst: Ipv4Addr::LOCALHOST, src_port: 1, dst_port: 0, protocol };
            let v6 =
                FiveTuple { src: Ipv6Addr::LOCALHOST, dst: Ipv6Addr::LOCALHOST, src_port: 1, dst_port: 0, protocol };
            assert_eq!([Flow::V4(v4), Flow::V6(v6)].map(Flow::protocol_number), numbers);
        }
    }
}
