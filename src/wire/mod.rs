//! Bytes and what they mean.
//!
//! A [`Packet`] in hand is valid: it was parsed once, its lengths agree with each other, and its accessors cannot fail.
//! Packets of IPv4 and IPv6 are read and built alike, a [`Flow`] names either; what NAT needs is IPv4's alone. Rewriting
//! keeps checksums by RFC 1624, so a checksum that was wrong before is exactly as wrong afterwards. Nothing here knows
//! nodes, time or configuration. Header views and full checksums are pnet's; nothing outside this module sees a pnet type.

mod build;
mod flow;
mod icmp;
mod ipv6;
mod layout;
mod packet;
mod rewrite;
#[cfg(test)]
mod testing;
mod version;

pub use build::{TcpSegment, tcp_flags};
pub use flow::{Direction, FiveTuple, Flow, Protocol};
pub use icmp::{Embedded, IcmpError};
pub use packet::{Malformed, Packet, Transport};
