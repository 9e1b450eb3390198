//! Routes: what they are, and which of two with the same destination is better.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::trace::info::{NextHopType, Resource};
use crate::trace::{DropCause, PortId};

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextHop {
    /// The default internet gateway.
    Internet,
    /// An internal load balancer behind this port. Without global access it takes packets from its own region only.
    Ilb {
        /// Towards it.
        port: PortId,
        /// Its region, unless it has global access.
        only_from: Option<Arc<str>>,
    },
    /// A VPN tunnel behind this port.
    VpnTunnel(PortId),
    /// A VM, an attachment or an appliance behind this port.
    Other(PortId),
    /// Something that takes no packet: a candidate like any other, behind which all is lost.
    Dead(DropCause),
}

impl NextHop {
    /// Lower is preferred at equal prefix and priority.
    pub(super) fn category(&self) -> u8 {
        match self {
            NextHop::VpnTunnel(_) | NextHop::Other(_) | NextHop::Dead(_) => 0,
            NextHop::Ilb { .. } => 1,
            NextHop::Internet => 2,
        }
    }
}

/// A next hop as a trace names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HopName {
    /// What kind it is.
    pub kind: NextHopType,
    /// In a sentence: `VPN tunnel office`.
    pub words: Arc<str>,
    /// The resource, if it is one.
    pub resource: Option<Resource>,
    /// Its network, if it has one.
    pub network: Option<Resource>,
}

/// Who made a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteKind {
    /// Somebody by hand, or Google with the network: the default route.
    Static,
    /// A Cloud Router, which has learned it by BGP.
    Dynamic {
        /// Region of the tunnel or attachment behind which it was learned, if that is known.
        region: Option<Arc<str>>,
        /// The network routes globally: senders of all regions take it.
        global: bool,
        /// What senders of other regions add to its priority.
        inter_region_cost: u32,
    },
}

/// A network whose routes were imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerName {
    /// Place in the fixed order in which one of several peers is chosen.
    pub order: u16,
    /// Its name.
    pub network: Arc<str>,
}

/// A static or dynamic route, of this network or imported from a peer.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// Who made it.
    pub kind: RouteKind,
    /// The peered network that it was imported from.
    pub peer: Option<PeerName>,
    /// Lower wins among routes of equal length.
    pub priority: u32,
    /// Applies to senders with one of these tags; empty means all.
    pub tags: Vec<String>,
    /// Where it leads.
    pub next_hop: NextHop,
    /// The same for people.
    pub leads_to: HopName,
    /// Why nobody takes it, if so: its VM is stopped, or BGP has withdrawn it.
    pub out_of_use: Option<&'static str>,
}

/// A route's number in the router that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub(super) u32);

/// Which of two routes with the same destination is better: the lower one. Equal ones share the flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// The network's own come first; of several peers the first one only counts.
    origin: u16,
    /// Priority for the sender.
    priority: u32,
    /// Kind of next hop.
    category: u8,
}

impl Rank {
    /// The rank of a route that costs a sender this much more than its own priority.
    pub(super) fn of(route: &Route, cost: u32) -> Rank {
        Rank {
            origin: route.peer.as_ref().map_or(0, |peer| peer.order.saturating_add(1)),
            priority: route.priority.saturating_add(cost),
            category: route.next_hop.category(),
        }
    }

    /// Priority for the sender.
    pub(super) fn priority(self) -> u32 {
        self.priority
    }

    /// Why a route of this rank loses against one of a better rank.
    pub(super) fn loses_to(self, better: Rank) -> &'static str {
        if self.origin != better.origin {
            return match better.origin {
                0 => "imported, and the network has its own",
                _ => "another peered network was chosen",
            };
        }
        match (self.priority != better.priority, self.category) {
            (true, _) => "its priority number is higher",
            (_, 1) => "a load balancer comes after VMs and tunnels",
            _ => "the internet gateway comes last",
        }
    }
}

/// A subnet's own route.
#[derive(Debug, Clone)]
pub struct SubnetRoute {
    /// Subnet name.
    pub name: Arc<str>,
    /// Its region.
    pub region: Arc<str>,
    /// Private Google Access for senders in it.
    pub private_google_access: bool,
    /// `allowSubnetCidrRoutesOverlap`: what nothing in it has may be reached by routes inside its range.
    pub hybrid: bool,
    /// `purpose: PRIVATE_NAT`: only Private NAT has addresses in it, and nobody is reached by them.
    pub private_nat: bool,
}

/// A subnet of a peered network.
#[derive(Debug, Clone)]
pub struct PeerSubnet {
    /// Subnet name; a network that is not described has none.
    pub name: Option<Arc<str>>,
    /// The peered network.
    pub network: Arc<str>,
    /// Name of the peering.
    pub peering: Arc<str>,
    /// Its region, if it is known.
    pub region: Option<Arc<str>>,
    /// Towards it.
    pub port: PortId,
}

/// Which packets a policy-based route takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyScope {
    /// Those of all VMs, Interconnect attachments and VPN tunnels.
    All,
    /// Those of VMs with one of these tags.
    Tags(Vec<String>),
    /// Those that come through Interconnect attachments, of one region or of all.
    Attachments(Option<Arc<str>>),
}

/// A policy-based route.
#[derive(Debug, Clone)]
pub struct PolicyRoute {
    /// Its name.
    pub name: Arc<str>,
    /// Lower wins, whatever the ranges.
    pub priority: u16,
    /// Source range.
    pub src: IpNet,
    /// Destination range.
    pub dst: IpNet,
    /// IANA number of the protocol; `None` is all.
    pub protocol: Option<u8>,
    /// Whose packets.
    pub scope: PolicyScope,
    /// An internal load balancer; `None` is `DEFAULT_ROUTING`: the other routes decide.
    pub next_hop: Option<(NextHop, HopName)>,
}

/// What a forwarding rule leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardingTarget {
    /// Backends of an internal load balancer.
    LoadBalancer,
    /// A service that another network has published.
    PublishedService {
        /// Its service attachment.
        attachment: Resource,
        /// The producer has accepted the connection.
        accepted: bool,
        /// What Google calls its state.
        status: Arc<str>,
    },
}

/// A forwarding rule: an address in a subnet that is no VM's.
#[derive(Debug, Clone)]
pub struct ForwardingRule {
    /// The rule.
    pub rule: Resource,
    /// Its address.
    pub address: IpAddr,
    /// IANA number of the protocol; `None` is all.
    pub protocol: Option<u8>,
    /// Inclusive port ranges; empty means all.
    pub ports: Vec<(u16, u16)>,
    /// Its region, unless it has global access.
    pub only_from: Option<Arc<str>>,
    /// What it leads to.
    pub target: ForwardingTarget,
    /// The same for people.
    pub target_words: Arc<str>,
    /// Towards it.
    pub port: PortId,
}
