//! Behind the default internet gateway: Google's APIs, Cloud NAT, an external address, or nothing.
//!
//! Google's APIs are reached by Private Google Access of the sender's subnet, or with an external address of the sender's,
//! and never take NAT ports (<https://docs.cloud.google.com/vpc/docs/configure-private-google-access>, 2026). Some traffic to
//! external addresses is always blocked (<https://docs.cloud.google.com/firewall/docs/firewalls#blockedtraffic>, 2026).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Router;
use super::table::{Family, WayOut};
use crate::trace::{DropCause, Explain, Memo, State, Verdict};
use crate::wire::Packet;

/// Addresses that never leave to the internet.
const NOT_PUBLIC: [(Ipv4Addr, u8); 4] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
];

/// `private.googleapis.com` and `restricted.googleapis.com`.
const GOOGLE_API_ADDRESSES: [(Ipv4Addr, u8); 2] =
    [(Ipv4Addr::new(199, 36, 153, 8), 30), (Ipv4Addr::new(199, 36, 153, 4), 30)];

/// The same for IPv6: restricted, then private.
const GOOGLE_API_ADDRESSES_V6: [(Ipv6Addr, u8); 2] = [
    (Ipv6Addr::new(0x2600, 0x2d00, 2, 0x1000, 0, 0, 0, 0), 64),
    (Ipv6Addr::new(0x2600, 0x2d00, 2, 0x2000, 0, 0, 0, 0), 64),
];

/// TCP, UDP, AH, ESP, SCTP, IPIP by both its numbers, and ICMP of either version: what may go to external addresses.
const ALLOWED_PROTOCOLS: [u8; 9] = [6, 17, 51, 50, 132, 4, 94, 1, 58];
const TCP: u8 = 6;
const SMTP: u16 = 25;

fn within(address: Ipv4Addr, ranges: &[(Ipv4Addr, u8)]) -> bool {
    ranges.iter().any(|&(net, length)| (u32::from(address) ^ u32::from(net)) >> (32 - length) == 0)
}

/// Whether an address is one that the internet does not route.
pub fn is_private(address: Ipv4Addr) -> bool {
    within(address, &NOT_PUBLIC) || address.is_link_local() || address.is_loopback() || address.is_multicast()
}

/// The same for IPv6: unique local, link-local and multicast addresses.
pub fn is_private_v6(address: Ipv6Addr) -> bool {
    let local = address.is_unique_local() || address.is_unicast_link_local();
    local || address.is_loopback() || address.is_multicast() || address.is_unspecified()
}

/// One of the virtual addresses of Google's APIs, which the internet does not route.
fn is_google_virtual(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => within(address, &GOOGLE_API_ADDRESSES),
        IpAddr::V6(address) => GOOGLE_API_ADDRESSES_V6
            .iter()
            .any(|&(net, length)| (u128::from(address) ^ u128::from(net)) >> (128 - length) == 0),
    }
}

impl Router {
    /// Whether a destination is one of Google's APIs.
    pub(super) fn is_google_api<P: Family>(&self, dst: P) -> bool {
        is_google_virtual(dst.address()) || P::table(self).google_apis.get(dst).is_some()
    }

    /// A packet that a route leads to the default internet gateway.
    pub(super) fn to_internet<P: Family>(&self, src: P, dst: P, packet: &Packet, explain: &mut Explain) -> Verdict {
        let table = P::table(self);
        let (source, destination) = (src.address(), dst.address());
        let private = match destination {
            IpAddr::V4(address) => is_private(address),
            IpAddr::V6(address) => is_private_v6(address),
        };
        if private {
            explain.say(State::Drop, || format!("{destination} is private, and the route leads to the internet"));
            return Verdict::Drop(DropCause::PrivateTrafficToInternet);
        }
        let way = table.ways_out.get_lpm(&src).map(|(_, way)| *way);
        if self.is_google_api(dst) {
            let subnet = table.subnets.get_lpm(&src).map(|(_, subnet)| &subnet.route);
            let external = matches!(way, Some(WayOut::External(_)));
            if external || subnet.is_some_and(|subnet| subnet.private_google_access) {
                return Verdict::Forward(self.google_port, Memo::Pure);
            }
            explain.say(State::Drop, || {
                let name = subnet.map_or("none", |subnet| &*subnet.name);
                format!("{destination} is a Google API, and subnet {name} has no Private Google Access")
            });
            return Verdict::Drop(DropCause::PrivateGoogleAccessDisallowed);
        }
        let protocol = packet.protocol_number();
        if !ALLOWED_PROTOCOLS.contains(&protocol) {
            explain.say(State::Drop, || format!("Google Cloud blocks IP protocol {protocol} to external addresses"));
            return Verdict::Drop(DropCause::TrafficTypeBlocked);
        }
        if protocol == TCP && packet.flow().is_some_and(|flow| flow.dst_port() == SMTP) {
            explain.say(State::Drop, || "Google Cloud blocks TCP port 25 to external addresses");
            return Verdict::Drop(DropCause::TrafficTypeBlocked);
        }
        match way {
            Some(WayOut::Nat(port) | WayOut::External(port)) => Verdict::Forward(port, Memo::Pure),
            None => {
                explain.say(State::Drop, || match source {
                    IpAddr::V4(_) => {
                        format!("{source} has no external address, and no Cloud NAT gateway covers its subnet")
                    }
                    IpAddr::V6(_) => format!("{source} is not an external IPv6 address"),
                });
                Verdict::Drop(DropCause::NoExternalAddress)
            }
        }
    }
}
