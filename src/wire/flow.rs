//! Who talks to whom: the five values that name a flow.

use std::fmt;
use std::net::Ipv4Addr;

/// The protocols that Cloud NAT translates.
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
    /// IANA protocol number.
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
/// round, so that [`FiveTuple::reversed`] leads from a packet to its answer for all three protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FiveTuple {
    /// Source address.
    pub src: Ipv4Addr,
    /// Destination address.
    pub dst: Ipv4Addr,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Protocol.
    pub protocol: Protocol,
}

impl FiveTuple {
    /// The flow of the answers.
    pub const fn reversed(self) -> FiveTuple {
        FiveTuple {
            src: self.dst,
            dst: self.src,
            src_port: self.dst_port,
            dst_port: self.src_port,
            protocol: self.protocol,
        }
    }

    /// All five values in one number, for hashing and comparing: 104 bits.
    pub fn key(self) -> u128 {
        u128::from(u32::from(self.src)) << 72
            | u128::from(u32::from(self.dst)) << 40
            | u128::from(self.src_port) << 24
            | u128::from(self.dst_port) << 8
            | u128::from(self.protocol.number())
    }
}

impl fmt::Display for FiveTuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Protocol::Icmp => {
                let id = self.src_port | self.dst_port;
                write!(f, "{} -> {} icmp echo id {id}", self.src, self.dst)
            }
            _ => write!(f, "{}:{} -> {}:{}/{}", self.src, self.src_port, self.dst, self.dst_port, self.protocol),
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
}
