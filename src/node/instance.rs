//! A Cloud Run instance: the egress setting decides which way a packet leaves.
//!
//! With `private-ranges-only` only destinations in the private ranges go to the VPC network. Google's own texts name
//! different ranges; [`goes_to_vpc`] takes the union that all of them allow. Each container sees itself as 169.254.8.1 (behind a
//! connector) or 169.254.9.1 (Direct VPC egress); here every instance has a link-local address of its own, so that
//! captures can be told apart, and with Direct VPC egress its packets wear its subnet address from the start.
//!
//! IPv6 there is with Direct VPC egress in a dual-stack subnet only
//! (<https://docs.cloud.google.com/run/docs/configuring/vpc-dual-stack-subnet>, 2026). Google names no other way: connectors
//! and Cloud Run's own internet egress have IPv4 alone. A socket without a way is told so at once, by its own kernel.
//! Of some special ranges no page says which way they go; a trace says so ([`PrivateRanges::ambiguous`]). Public ranges that a
//! VPC network uses privately are public here, too, as they were seen to be.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{Ipv4Net, Ipv6Net};

use super::startup::Opening;
use crate::time::SimTime;
use crate::trace::info::{
    DeliverInfo, DeliverTarget, DirectVpcEgressInfo, MetadataAnswer, MetadataInfo, Resource, WorkloadInfo, WorkloadKind,
};
use crate::trace::{DropCause, Explain, Memo, PortId, State, Told, Verdict};
use crate::wire::{Packet, Protocol};

/// Source ports that an instance takes for connections: Linux' (`net.ipv4.ip_local_port_range`).
pub const EPHEMERAL: std::ops::Range<u16> = 32_768..61_000;
/// The application's own sockets.
pub const SOCKETS: PortId = PortId(0);
/// Towards the VPC network: a connector, or the instance's own interface.
pub const VPC: PortId = PortId(1);
/// Towards Cloud Run's own internet egress.
pub const EXTERNAL: PortId = PortId(2);

/// The metadata server and DNS resolver: always reachable, never on any network.
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// Its name inside an instance.
pub const METADATA_HOST: &str = "metadata.google.internal";
/// The metadata server's port.
pub const METADATA_PORT: u16 = 80;

/// RFC 1918, RFC 6598 and the two Private Google Access addresses, the union of what Google's pages name
/// (Cloud Functions: RFC 1918; gcloud: and Private Google Access; Serverless VPC Access: and RFC 6598), as of 2026.
const PRIVATE_RANGES: [(Ipv4Addr, u8); 6] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(199, 36, 153, 8), 30),
    (Ipv4Addr::new(199, 36, 153, 4), 30),
];

/// Whether `private-ranges-only` sends this destination to the VPC network. Class E (240.0.0.0/4) goes there with Direct
/// VPC egress only: Google names it as a range for subnets, and says nothing of it as a destination.
pub fn goes_to_vpc(destination: Ipv4Addr, direct: bool) -> bool {
    let bits = u32::from(destination);
    let within = |&(net, length): &(Ipv4Addr, u8)| (bits ^ u32::from(net)) >> (32 - length) == 0;
    PRIVATE_RANGES.iter().any(within) || direct && bits >> 28 == 0xf && destination != Ipv4Addr::BROADCAST
}

/// The same for IPv6: unique local addresses, as VPC networks have them inside. No page of Google's says which IPv6
/// addresses are private ranges; this is assumed.
pub fn goes_to_vpc_ipv6(destination: Ipv6Addr) -> bool {
    destination.is_unique_local()
}

/// Ranges without a word of Google's on which way `private-ranges-only` sends them: Class E, IETF protocol assignments,
/// the former 6to4 relays, benchmarks. Not the ranges for documentation (192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24): no
/// network has them, and in scenarios they stand for public addresses.
const UNCONFIRMED: [(Ipv4Addr, u8); 4] = [
    (Ipv4Addr::new(240, 0, 0, 0), 4),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
];

/// Which destinations `private-ranges-only` sends to the VPC network: the documented ranges, and what a scenario says of
/// others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateRanges {
    /// More ranges.
    pub extra: Vec<Ipv4Net>,
    /// Class E, with Direct VPC egress.
    pub class_e_direct: bool,
}

impl Default for PrivateRanges {
    fn default() -> Self {
        PrivateRanges { extra: Vec::new(), class_e_direct: true }
    }
}

impl PrivateRanges {
    /// Whether a destination goes to the VPC network; `direct`: with Direct VPC egress.
    pub fn contain(&self, destination: impl Into<IpAddr>, direct: bool) -> bool {
        let destination = match destination.into() {
            IpAddr::V4(destination) => destination,
            IpAddr::V6(destination) => return goes_to_vpc_ipv6(destination),
        };
        let class_e = u32::from(destination) >> 28 == 0xf;
        goes_to_vpc(destination, direct) && (self.class_e_direct || !class_e) || self.adds(destination)
    }

    fn adds(&self, destination: Ipv4Addr) -> bool {
        self.extra.iter().any(|range| range.contains(&destination))
    }

    /// The range of a destination of which Google does not say which way it goes, nor the scenario.
    pub fn ambiguous(&self, destination: impl Into<IpAddr>) -> Option<Ipv4Net> {
        let IpAddr::V4(destination) = destination.into() else { return None };
        let ranges = UNCONFIRMED.map(|(net, length)| Ipv4Net::new(net, length).expect("the constants are ranges"));
        ranges.into_iter().find(|range| range.contains(&destination) && !self.adds(destination))
    }
}

/// What the metadata server says of the first interface, whose path this is
/// (<https://docs.cloud.google.com/run/docs/configuring/vpc-direct-vpc>, 2026, of worker pools).
const INTERFACE_METADATA: &str = "/computeMetadata/v1/instance/network-interfaces/0/";

/// How an instance is attached to a VPC network.
#[derive(Debug, Clone, PartialEq)]
pub enum Attachment {
    /// Not at all.
    None,
    /// Through a connector.
    Connector,
    /// With an interface of its own in this subnet.
    Direct {
        /// VPC network.
        network: Resource,
        /// Subnet.
        subnetwork: Resource,
        /// The reserved block that its address is from.
        block: Ipv4Net,
        /// When its way into the VPC network opens.
        opens: Opening,
    },
}

/// What an instance is.
#[derive(Debug, Clone)]
pub struct InstanceConfig {
    /// `my-api-service-1`
    pub name: Arc<str>,
    /// What it is an instance of.
    pub workload: WorkloadInfo,
    /// The address its packets wear.
    pub address: Ipv4Addr,
    /// Its IPv6 addresses, in a dual-stack subnet.
    pub ipv6: Option<Ipv6Net>,
    /// Its way to a VPC network.
    pub attachment: Attachment,
    /// Everything takes that way, not only what is private.
    pub all_traffic: bool,
    /// What is private.
    pub private_ranges: Arc<PrivateRanges>,
    /// Why its workload is not ready, if it is not: then nothing leaves it.
    pub not_ready: Option<Arc<str>>,
}

/// One instance.
#[derive(Debug)]
pub struct Instance {
    config: InstanceConfig,
    gone: bool,
    stopped: bool,
}

impl Instance {
    /// A running instance.
    pub fn new(config: InstanceConfig) -> Self {
        Instance { config, gone: false, stopped: false }
    }

    /// What it is.
    pub fn config(&self) -> &InstanceConfig {
        &self.config
    }

    /// It has been shut down: what arrives for it is lost, and it sends nothing.
    pub fn shut_down(&mut self) {
        self.gone = true;
    }

    /// It is stopped while its machine is maintained, or goes on.
    pub fn set_stopped(&mut self, stopped: bool) {
        self.stopped = stopped;
    }

    /// Whether it has been shut down.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Handles a packet that came through `from`.
    pub fn handle_packet(&mut self, packet: &mut Packet, from: PortId, now: SimTime, explain: &mut Explain) -> Verdict {
        if self.gone {
            return Verdict::Drop(DropCause::SimInstanceGone);
        }
        if self.stopped {
            return Verdict::Drop(DropCause::SimInstanceStopped);
        }
        let InstanceConfig { name, workload, address, ipv6, attachment, all_traffic, private_ranges, not_ready } =
            &self.config;
        let (of, all_traffic) =
            (workload.service.as_ref().map_or(&workload.resource.name, |it| &it.name), *all_traffic);
        if from != SOCKETS {
            explain.say(State::Deliver, || {
                let target = match workload.kind {
                    WorkloadKind::Revision => DeliverTarget::CloudRunRevision,
                    WorkloadKind::Job => DeliverTarget::CloudRunJob,
                    WorkloadKind::Function => DeliverTarget::CloudFunction,
                };
                let resource = Some(workload.resource.clone());
                (format!("reaches {name}"), DeliverInfo { resource, ..DeliverInfo::to(target, packet.destination()) })
            });
            return Verdict::Deliver(Memo::Pure);
        }
        let dst = packet.destination();
        let direct = matches!(attachment, Attachment::Direct { .. });
        let private = private_ranges.contain(dst, direct);
        explain.say(workload.kind.start(), || {
            let source = packet.source();
            if not_ready.is_some() {
                return (format!("{of} is to send from {source}"), workload.clone());
            }
            let way = match (attachment, all_traffic, private) {
                _ if dst == METADATA || dst.is_loopback() => format!("to {dst}, which no setting sends elsewhere"),
                (Attachment::None, _, _) => "without VPC attachment".to_owned(),
                (_, true, _) => "egress setting all-traffic: everything goes to the VPC".to_owned(),
                (_, false, true) => format!("egress setting private-ranges-only: {dst} is private and goes to the VPC"),
                (_, false, false) => {
                    format!("egress setting private-ranges-only: {dst} is public and does not go to the VPC")
                }
            };
            let undecided = *attachment != Attachment::None && !all_traffic;
            let doubt = private_ranges.ambiguous(dst).filter(|_| undecided).map(|range| {
                let value = if range.prefix_len() == 4 { "classEDirect" } else { "extraPrivateRanges" };
                format!(" (assumed: Google does not say which way {range} goes, see model.cloudRun.{value})")
            });
            let doubt = doubt.unwrap_or_default();
            let text = if source.is_unspecified() && source.is_ipv6() {
                format!("leaves nowhere: {name} of {of} has no IPv6 address")
            } else {
                format!("leaves {name} of {of} with source {source}, {way}{doubt}")
            };
            (text, workload.clone())
        });
        if let Some(why) = not_ready {
            explain.say(State::Drop, || format!("{of} is not ready: {why}"));
            return Verdict::Drop(workload.kind.not_ready());
        }
        let own = match packet.source() {
            IpAddr::V4(source) => source == *address,
            IpAddr::V6(source) => {
                let Some(range) = ipv6 else {
                    explain.say(State::Drop, || {
                        format!("{name} has IPv4 only, and its kernel says at once that there is no way to {dst}")
                    });
                    return Verdict::Drop(DropCause::SimIpv6Unavailable);
                };
                range.contains(&source)
            }
        };
        if !own {
            explain.say(State::Drop, || format!("{} is not an address of {name}", packet.source()));
            return Verdict::Drop(DropCause::ForeignIpDisallowed);
        }
        if dst == METADATA || dst.is_loopback() {
            explain.say(State::Deliver, || self.sandbox(packet));
            return Verdict::Deliver(Memo::Pure);
        }
        let local = match dst {
            IpAddr::V4(dst) => dst.is_broadcast() || dst.is_link_local(),
            IpAddr::V6(dst) => dst.is_unicast_link_local(),
        };
        if local || dst.is_multicast() || dst.is_unspecified() {
            explain.say(State::Drop, || format!("{dst} does not leave the sandbox"));
            return Verdict::Drop(DropCause::SimNotUnicast);
        }
        if dst.is_ipv6() && !all_traffic && !private {
            explain.say(State::Drop, || format!("Cloud Run's own internet egress has IPv4 only, and {dst} is IPv6"));
            return Verdict::Drop(DropCause::SimIpv6Unavailable);
        }
        match attachment {
            Attachment::None if private => {
                explain.say(State::Drop, || format!("{dst} is private, and {of} has no VPC attachment"));
                Verdict::Drop(DropCause::VpcConnectorNotSet)
            }
            Attachment::Direct { network, subnetwork, block, opens } if all_traffic || private => {
                explain.say(State::DirectVpcEgressConnection, || {
                    let range =
                        ipv6.filter(|_| dst.is_ipv6()).map_or_else(|| block.to_string(), |range| range.to_string());
                    let info = DirectVpcEgressInfo {
                        network: network.clone(),
                        subnetwork: subnetwork.clone(),
                        selected_ip_range: range,
                        selected_ip_address: packet.source(),
                    };
                    (format!("enters the VPC by Direct VPC egress in subnet {}", subnetwork.name), info)
                });
                let opens_at = opens.to(dst);
                if opens_at > now {
                    explain.say(State::Drop, || format!("the instance's egress opens at {opens_at}"));
                    return Verdict::Drop(DropCause::SimEgressNotOpen);
                }
                Verdict::Forward(VPC, Memo::Pure)
            }
            Attachment::Connector if all_traffic || private => Verdict::Forward(VPC, Memo::Pure),
            Attachment::None | Attachment::Connector | Attachment::Direct { .. } => {
                Verdict::Forward(EXTERNAL, Memo::Pure)
            }
        }
    }

    /// What answers inside the sandbox, and what the metadata server says of the instance's interface.
    fn sandbox(&self, packet: &Packet) -> Told {
        let asked = packet.five_tuple().is_some_and(|it| it.protocol == Protocol::Tcp && it.dst_port == METADATA_PORT);
        let dst = packet.destination();
        let text = format!("{dst} is answered inside the sandbox");
        if dst != METADATA || !asked {
            return text.into();
        }
        let attached = matches!(self.config.attachment, Attachment::Direct { .. });
        let ipv6 = self.config.ipv6.map(|range| range.network().into());
        let answers = [("ip", Some(self.config.address.into()).filter(|_| attached)), ("ipv6", ipv6)];
        let answers =
            answers.map(|(field, address)| MetadataAnswer { path: format!("{INTERFACE_METADATA}{field}"), address });
        let listed = answers.each_ref().map(|MetadataAnswer { path, address }| match address {
            Some(address) => format!("{path} is {address}"),
            None => format!("{path} is not there (404)"),
        });
        (format!("{text}: {}", listed.join(", ")), MetadataInfo { answers: answers.into() }).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    #[test]
    fn t1_private_ranges_go_to_the_vpc() {
        for address in ["10.1.2.3", "172.31.255.255", "192.168.0.1", "100.127.255.254"] {
            assert!(goes_to_vpc(ip(address), true), "{address}");
        }
    }

    #[test]
    fn t2_their_neighbours_do_not() {
        for address in ["172.32.0.1", "172.15.255.255", "100.128.0.1", "100.63.255.255", "9.255.255.255", "8.8.8.8"] {
            assert!(!goes_to_vpc(ip(address), true), "{address}");
        }
    }

    #[test]
    fn t3_the_private_google_access_addresses_do_and_their_neighbours_do_not() {
        for last in 0..=255u8 {
            assert_eq!(goes_to_vpc(Ipv4Addr::new(199, 36, 153, last), true), (4..=11).contains(&last), "{last}");
        }
    }

    #[test]
    fn what_a_scenario_says_of_other_ranges_counts() {
        let (documented, class_e) = (PrivateRanges::default(), ip("240.0.0.1"));
        assert!(documented.contain(class_e, true) && !documented.contain(class_e, false));
        let other = PrivateRanges { extra: vec!["203.0.113.0/24".parse().unwrap()], class_e_direct: false };
        assert!(!other.contain(class_e, true));
        for (address, there) in [("203.0.113.0", true), ("203.0.112.255", false), ("10.0.0.1", true)] {
            assert_eq!(other.contain(ip(address), false), there, "{address}");
        }
        let both = PrivateRanges { extra: vec!["240.0.0.0/8".parse().unwrap()], ..other };
        assert!(both.contain(class_e, false), "what is added counts whatever the attachment");
    }

    #[test]
    fn a_range_is_ambiguous_when_neither_google_nor_the_scenario_says_which_way_it_goes() {
        let plain = PrivateRanges::default();
        let range = |ranges: &PrivateRanges, address| ranges.ambiguous(ip(address)).map(|range| range.to_string());
        assert_eq!(range(&plain, "240.1.2.3").as_deref(), Some("240.0.0.0/4"));
        assert_eq!(range(&plain, "192.0.0.9").as_deref(), Some("192.0.0.0/24"));
        assert_eq!(range(&plain, "198.19.0.1").as_deref(), Some("198.18.0.0/15"));
        assert_eq!(range(&plain, "192.88.99.1").as_deref(), Some("192.88.99.0/24"));
        // Documentation addresses stand for public ones, and these are no question.
        for address in ["198.51.100.7", "203.0.113.10", "192.0.2.30", "10.0.0.1", "8.8.8.8", "198.20.0.1"] {
            assert_eq!(range(&plain, address), None, "{address}");
        }
        let said = PrivateRanges { extra: vec!["198.18.0.0/16".parse().unwrap()], ..plain };
        assert_eq!(range(&said, "198.18.0.1"), None);
        assert!(range(&said, "198.19.0.1").is_some());
    }

    #[test]
    fn class_e_goes_to_the_vpc_with_direct_vpc_egress_only() {
        assert!(goes_to_vpc(ip("240.0.0.1"), true));
        assert!(!goes_to_vpc(ip("240.0.0.1"), false));
    }
}
