//! A Cloud Run instance: the egress setting decides which way a packet leaves.
//!
//! With `private-ranges-only` only destinations in the private ranges go to the VPC network. Google's own texts name
//! different ranges; [`goes_to_vpc`] takes the union that all of them allow. Each container sees itself as 169.254.8.1 (behind a
//! connector) or 169.254.9.1 (Direct VPC egress); here every instance has a link-local address of its own, so that
//! captures can be told apart, and with Direct VPC egress its packets wear its subnet address from the start.

use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;

use crate::time::SimTime;
use crate::trace::info::{DeliverInfo, DeliverTarget, DirectVpcEgressInfo, Resource, WorkloadInfo, WorkloadKind};
use crate::trace::{DropCause, Explain, Memo, PortId, State, Verdict};
use crate::wire::Packet;

/// The application's own sockets.
pub const SOCKETS: PortId = PortId(0);
/// Towards the VPC network: a connector, or the instance's own interface.
pub const VPC: PortId = PortId(1);
/// Towards Cloud Run's own internet egress.
pub const EXTERNAL: PortId = PortId(2);

/// The metadata server and DNS resolver: always reachable, never on any network.
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

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

/// How an instance is attached to a VPC network.
#[derive(Debug, Clone, PartialEq, Eq)]
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
        opens_at: SimTime,
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
    /// Its way to a VPC network.
    pub attachment: Attachment,
    /// Everything takes that way, not only what is private.
    pub all_traffic: bool,
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
        let InstanceConfig { name, workload, address, attachment, all_traffic, not_ready } = &self.config;
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
                (format!("reaches {name}"), DeliverInfo { resource, ..DeliverInfo::to(target, packet.dst()) })
            });
            return Verdict::Deliver(Memo::Pure);
        }
        let dst = packet.dst();
        let direct = matches!(attachment, Attachment::Direct { .. });
        let private = goes_to_vpc(dst, direct);
        explain.say(workload.kind.start(), || {
            let source = packet.source();
            if not_ready.is_some() {
                return (format!("{of} is to send from {source}"), workload.clone());
            }
            let way = match (attachment, all_traffic, private) {
                (Attachment::None, _, _) => "without VPC attachment".to_owned(),
                (_, true, _) => "egress setting all-traffic: everything goes to the VPC".to_owned(),
                (_, false, true) => format!("egress setting private-ranges-only: {dst} is private and goes to the VPC"),
                (_, false, false) => {
                    format!("egress setting private-ranges-only: {dst} is public and does not go to the VPC")
                }
            };
            (format!("leaves {name} of {of} with source {source}, {way}"), workload.clone())
        });
        if let Some(why) = not_ready {
            explain.say(State::Drop, || format!("{of} is not ready: {why}"));
            return Verdict::Drop(workload.kind.not_ready());
        }
        if !packet.is_ipv4() {
            explain.say(State::Drop, || "the instance has IPv4 only");
            return Verdict::Drop(DropCause::SimIpv6Unavailable);
        }
        if packet.src() != *address {
            explain.say(State::Drop, || format!("{} is not an address of {name}", packet.src()));
            return Verdict::Drop(DropCause::ForeignIpDisallowed);
        }
        if dst == METADATA || dst.is_loopback() {
            explain.say(State::Deliver, || format!("{dst} is answered inside the sandbox"));
            return Verdict::Deliver(Memo::Pure);
        }
        if dst.is_multicast() || dst.is_broadcast() || dst.is_unspecified() || dst.is_link_local() {
            explain.say(State::Drop, || format!("{dst} does not leave the sandbox"));
            return Verdict::Drop(DropCause::SimNotUnicast);
        }
        match attachment {
            Attachment::None if private => {
                explain.say(State::Drop, || format!("{dst} is private, and {of} has no VPC attachment"));
                Verdict::Drop(DropCause::VpcConnectorNotSet)
            }
            Attachment::Direct { network, subnetwork, block, opens_at } if all_traffic || private => {
                explain.say(State::DirectVpcEgressConnection, || {
                    let info = DirectVpcEgressInfo {
                        network: network.clone(),
                        subnetwork: subnetwork.clone(),
                        selected_ip_range: block.to_string(),
                        selected_ip_address: (*address).into(),
                    };
                    (format!("enters the VPC by Direct VPC egress in subnet {}", subnetwork.name), info)
                });
                if *opens_at > now {
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
    fn class_e_goes_to_the_vpc_with_direct_vpc_egress_only() {
        assert!(goes_to_vpc(ip("240.0.0.1"), true));
        assert!(!goes_to_vpc(ip("240.0.0.1"), false));
    }
}
