//! One rule: whom it targets, and which packets it matches.
//!
//! A rule of a VPC network and a rule of a firewall policy look at the same things. Several ways to name a source are
//! alternatives to each other, as are several ways to name a destination; source, destination and protocol must all fit
//! (<https://docs.cloud.google.com/firewall/docs/firewall-policies-rule-details>, as of 2026). What only Google can tell of
//! an address, such as a name it resolves to, is not known here: a side that names nothing else holds nobody.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::interface::{Interface, InterfaceKind};
use crate::time::SimTime;
use crate::wire::{Packet, Transport};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// What rules look at in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// IANA protocol number.
    pub protocol: u8,
    /// Destination port.
    pub port: Port,
}

/// What is known of a packet's destination port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// This one.
    Known(u16),
    /// The protocol has none.
    None,
    /// It is in the first fragment of the packet, and this is a later one.
    InFirstFragment,
}

impl Headers {
    /// Those of a packet.
    pub fn of(packet: &Packet) -> Headers {
        let protocol = packet.protocol_number();
        let port = match packet.transport() {
            Transport::Fragment if packet.is_later_fragment() => Port::InFirstFragment,
            _ => packet.shown_ports().map_or(Port::None, |(_, port)| Port::Known(port)),
        };
        Headers { source: packet.source(), destination: packet.destination(), protocol, port }
    }

    /// Those of a TCP packet to this port.
    pub fn tcp(source: impl Into<IpAddr>, destination: impl Into<IpAddr>, port: u16) -> Headers {
        let (source, destination) = (source.into(), destination.into());
        Headers { source, destination, protocol: TCP, port: Port::Known(port) }
    }

    /// Those of a UDP packet to this port.
    pub fn udp(source: impl Into<IpAddr>, destination: impl Into<IpAddr>, port: u16) -> Headers {
        Headers { protocol: UDP, ..Headers::tcp(source, destination, port) }
    }

    /// Those of a packet of a protocol without ports.
    pub fn portless(source: impl Into<IpAddr>, destination: impl Into<IpAddr>, protocol: u8) -> Headers {
        Headers { protocol, port: Port::None, ..Headers::tcp(source, destination, 0) }
    }
}

/// What a rule does with the packets that match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `allow`
    Allow,
    /// `deny`
    Deny,
    /// `goto_next`: the next policy, or what comes after the policies, decides.
    GotoNext,
    /// `apply_security_profile_group`: it passes, and Cloud NGFW Enterprise looks into it.
    Inspect,
}

impl Action {
    /// The name that Connectivity Tests prints.
    pub const fn name(self) -> &'static str {
        match self {
            Action::Allow => "ALLOW",
            Action::Deny => "DENY",
            Action::GotoNext => "GOTO_NEXT",
            Action::Inspect => "APPLY_SECURITY_PROFILE_GROUP",
        }
    }

    /// Whether the packet passes.
    pub const fn passes(self) -> bool {
        matches!(self, Action::Allow | Action::Inspect)
    }
}

/// A protocol with ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolMatch {
    /// IANA protocol number; `None` matches all.
    pub protocol: Option<u8>,
    /// Inclusive destination port ranges; empty matches all.
    pub ports: Vec<(u16, u16)>,
}

impl ProtocolMatch {
    fn covers(&self, headers: &Headers) -> bool {
        if self.protocol.is_some_and(|wanted| wanted != headers.protocol) {
            return false;
        }
        match headers.port {
            _ if self.ports.is_empty() => true,
            Port::Known(port) => self.ports.iter().any(|&(first, last)| first <= port && port <= last),
            Port::None | Port::InFirstFragment => false,
        }
    }
}

/// A set of addresses: intervals, sorted and apart. An IPv4 range holds no IPv6 address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl FromIterator<IpNet> for Ranges {
    fn from_iter<I: IntoIterator<Item = IpNet>>(ranges: I) -> Self {
        let mut set = Ranges::default();
        for range in ranges {
            match range {
                IpNet::V4(net) => set.v4.push((net.network().into(), net.broadcast().into())),
                IpNet::V6(net) => set.v6.push((net.network().into(), net.broadcast().into())),
            }
        }
        set.v4 = merged(set.v4);
        set.v6 = merged(set.v6);
        set
    }
}

/// Sorts intervals and joins those that overlap.
fn merged<T: Ord + Copy>(mut intervals: Vec<(T, T)>) -> Vec<(T, T)> {
    intervals.sort_unstable();
    let mut apart: Vec<(T, T)> = Vec::with_capacity(intervals.len());
    for (first, last) in intervals {
        match apart.last_mut() {
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            _ => apart.push((first, last)),
        }
    }
    apart
}

fn holds<T: Ord + Copy>(intervals: &[(T, T)], address: T) -> bool {
    let after = intervals.partition_point(|&(first, _)| first <= address);
    after > 0 && address <= intervals[after - 1].1
}

impl Ranges {
    /// Whether an address is among them.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => holds(&self.v4, address.into()),
            IpAddr::V6(address) => holds(&self.v6, address.into()),
        }
    }
}

/// Whose packets a rule is about, on one side. Each field is another way to name them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers {
    /// Addresses.
    pub ranges: Ranges,
    /// Network tags of the sender.
    pub tags: Vec<String>,
    /// Service accounts of the sender.
    pub service_accounts: Vec<String>,
    /// Secure tags of the sender.
    pub secure_tags: Vec<String>,
}

/// Which interfaces a rule is about: those with one of these; all, when nothing is named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    /// Network tags.
    pub tags: Vec<String>,
    /// Service accounts.
    pub service_accounts: Vec<String>,
    /// Secure tags.
    pub secure_tags: Vec<String>,
}

impl Targets {
    fn is_everybody(&self) -> bool {
        self.tags.is_empty() && self.service_accounts.is_empty() && self.secure_tags.is_empty()
    }
}

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name; rules of policies may have none.
    pub name: Arc<str>,
    /// Into the target, or out of it.
    pub ingress: bool,
    /// The lower is evaluated first.
    pub priority: u32,
    /// What becomes of packets that match.
    pub action: Action,
    /// Protocols and ports.
    pub matches: Vec<ProtocolMatch>,
    /// Senders; `None` is everybody.
    pub source: Option<Peers>,
    /// Receivers; `None` is everybody.
    pub destination: Option<Peers>,
    /// Interfaces that it is about.
    pub targets: Targets,
    /// It is ignored.
    pub disabled: bool,
    /// Google made it for a connector.
    pub by_google: bool,
    /// What Cloud NGFW Enterprise inspects with.
    pub security_profile_group: Option<Arc<str>>,
}

/// Why the source of a rule fits, or would, where Google does not support it: the sender has Direct VPC egress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undefined {
    Tag,
    ServiceAccount,
}

impl Undefined {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Undefined::Tag => "source tag",
            Undefined::ServiceAccount => "source service account",
        }
    }
}

/// Whether a rule is about a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    No,
    Yes,
    /// By a source that is not supported for the sender, and happens to work.
    Undefined(Undefined),
    /// It would be, were its source supported for the sender.
    Unsupported(Undefined),
}

fn any_in_common(wanted: &[String], have: &[String]) -> bool {
    wanted.iter().any(|tag| have.contains(tag))
}

impl Rule {
    /// Whether the rule is about packets of an interface.
    pub(super) fn targets(&self, interface: &Interface) -> bool {
        if self.targets.is_everybody() {
            return true;
        }
        let account = interface.service_account.as_ref();
        // Google: tags cannot be targets of ingress rules for worker pools, and neither tags nor service identity work in
        // ingress rules with Direct VPC egress (https://docs.cloud.google.com/run/docs/configuring/vpc-direct-vpc, 2026).
        let named = !(self.ingress && matches!(interface.kind, InterfaceKind::DirectVpc { .. }));
        named
            && (any_in_common(&self.targets.tags, &interface.tags)
                || account.is_some_and(|account| self.targets.service_accounts.contains(account))
                || any_in_common(&self.targets.secure_tags, &interface.secure_tags))
    }

    /// Whether the rule is about packets with this protocol and port.
    pub(super) fn covers_protocol(&self, headers: &Headers) -> bool {
        self.matches.iter().any(|entry| entry.covers(headers))
    }

    /// Whether the rule is about packets to this destination.
    pub(super) fn covers_destination(&self, headers: &Headers) -> bool {
        self.destination.as_ref().is_none_or(|peers| peers.ranges.contains(headers.destination))
    }

    /// Whether the rule is about packets from this source. `sender` is the interface with the address, if any has it.
    pub(super) fn fits_source(&self, headers: &Headers, sender: Option<&Interface>, now: SimTime) -> Fit {
        let Some(peers) = &self.source else { return Fit::Yes };
        if peers.ranges.contains(headers.source) {
            return Fit::Yes;
        }
        // Google: source tags and service accounts stand for the primary internal addresses of interfaces, not for their
        // alias ranges (https://docs.cloud.google.com/firewall/docs/firewalls, 2026).
        let Some(sender) = sender.filter(|sender| sender.is_primary(headers.source)) else { return Fit::No };
        let tag = any_in_common(&peers.tags, &sender.tags);
        let account = sender.service_account.as_ref().is_some_and(|account| peers.service_accounts.contains(account));
        match sender.kind {
            InterfaceKind::DirectVpc { tags_known_at, .. } if tag && tags_known_at <= now => {
                Fit::Undefined(Undefined::Tag)
            }
            InterfaceKind::DirectVpc { account_known: true, .. } if account => {
                Fit::Undefined(Undefined::ServiceAccount)
            }
            InterfaceKind::DirectVpc { .. } if tag => Fit::Unsupported(Undefined::Tag),
            InterfaceKind::DirectVpc { .. } if account => Fit::Unsupported(Undefined::ServiceAccount),
            InterfaceKind::DirectVpc { .. } => Fit::No,
            InterfaceKind::Vm | InterfaceKind::ConnectorVm => {
                if tag || account || any_in_common(&peers.secure_tags, &sender.secure_tags) {
                    Fit::Yes
                } else {
                    Fit::No
                }
            }
        }
    }

    /// Whether the rule is about a packet of an interface that it targets.
    pub(super) fn fits(&self, headers: &Headers, sender: Option<&Interface>, now: SimTime) -> Fit {
        if self.covers_protocol(headers) && self.covers_destination(headers) {
            self.fits_source(headers, sender, now)
        } else {
            Fit::No
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(texts: &[&str]) -> Ranges {
        texts.iter().map(|text| text.parse::<IpNet>().unwrap()).collect()
    }

    #[test]
    fn overlapping_ranges_are_one_and_their_neighbours_are_outside() {
        let set = ranges(&["10.0.0.0/24", "10.0.0.128/25", "10.0.2.0/24", "0.0.0.0/32", "255.255.255.255/32"]);
        assert_eq!(set.v4.len(), 4);
        for (address, inside) in [
            ("10.0.0.0", true),
            ("10.0.0.255", true),
            ("10.0.1.0", false),
            ("10.0.1.255", false),
            ("10.0.2.0", true),
            ("9.255.255.255", false),
            ("0.0.0.0", true),
            ("0.0.0.1", false),
            ("255.255.255.255", true),
        ] {
            assert_eq!(set.contains(address.parse().unwrap()), inside, "{address}");
        }
    }

    #[test]
    fn a_range_of_one_ip_version_holds_no_address_of_the_other() {
        let v4 = ranges(&["0.0.0.0/0"]);
        let v6 = ranges(&["::/0"]);
        let (four, six) = ("10.0.0.1".parse().unwrap(), "fd20::1".parse().unwrap());
        assert!(v4.contains(four) && !v4.contains(six));
        assert!(v6.contains(six) && !v6.contains(four));
        assert!(!Ranges::default().contains(four));
    }

    #[test]
    fn ports_count_for_packets_that_show_them_only() {
        let matched = ProtocolMatch { protocol: Some(TCP), ports: vec![(80, 80), (8000, 8999)] };
        let all = ProtocolMatch { protocol: None, ports: vec![] };
        let source: IpAddr = "10.0.0.1".parse().unwrap();
        for (headers, covered) in [
            (Headers::tcp(source, source, 80), true),
            (Headers::tcp(source, source, 8999), true),
            (Headers::tcp(source, source, 9000), false),
            (Headers::udp(source, source, 80), false),
            (Headers::portless(source, source, 1), false),
            (Headers { port: Port::InFirstFragment, ..Headers::tcp(source, source, 0) }, false),
        ] {
            assert_eq!(matched.covers(&headers), covered, "{headers:?}");
            assert!(all.covers(&headers), "{headers:?}");
        }
    }
}
