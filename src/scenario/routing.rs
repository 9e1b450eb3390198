//! What decides which way a packet takes, as a checked scenario holds it: routes and what they lead to, peerings, tunnels
//! and attachments with their routers, forwarding rules.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};

use super::{Scenario, Subnetwork};

/// `routingConfig.routingMode`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutingMode {
    /// Cloud Routers advertise and learn for their own region.
    Regional,
    /// For all regions.
    Global,
}

/// A network's peering with another.
#[derive(Debug, Clone, PartialEq)]
pub struct Peering {
    /// Its name.
    pub name: String,
    /// With whom.
    pub peer: Peer,
    /// Both sides have made it.
    pub active: bool,
    /// `exportCustomRoutes`
    pub export_custom_routes: bool,
    /// `importCustomRoutes`
    pub import_custom_routes: bool,
    /// `exchangeSubnetRoutes`, default true.
    pub exchange_subnet_routes: bool,
    /// `exportSubnetRoutesWithPublicIp`, default true.
    pub export_public_subnets: bool,
    /// `importSubnetRoutesWithPublicIp`, default false.
    pub import_public_subnets: bool,
    /// `stackType: IPV4_IPV6`: IPv6 routes are exchanged, too.
    pub ipv6: bool,
}

/// The other side of a peering.
#[derive(Debug, Clone, PartialEq)]
pub enum Peer {
    /// A network of the scenario: index into [`Scenario::networks`].
    Network(usize),
    /// A network that is not described.
    Outside(OutsidePeer),
}

/// A peered network that is not described.
#[derive(Debug, Clone, PartialEq)]
pub struct OutsidePeer {
    /// Its name, such as `servicenetworking`.
    pub name: String,
    /// It is Google's, reached by private services access.
    pub managed: bool,
    /// What is known to be in it: ranges allocated for it (`purpose: VPC_PEERING`), and hosts.
    pub ranges: Vec<IpNet>,
}

/// A custom route, or a network's default route.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// Index into [`Scenario::networks`].
    pub network: usize,
    /// Destination range.
    pub dest: IpNet,
    /// 0 to 65535, the lower wins among routes of equal prefix length. Of a dynamic route, what BGP says (MED).
    pub priority: u32,
    /// Applies only to instances with one of these network tags; empty means all.
    pub tags: Vec<String>,
    /// Where it leads.
    pub next_hop: NextHop,
    /// Learned by BGP (`routeType: BGP`), with what senders of other regions add to its priority.
    pub dynamic: Option<Dynamic>,
}

/// What is particular to a dynamic route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dynamic {
    /// `nextHopInterRegionCost`, else the model's.
    pub inter_region_cost: u32,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextHop {
    /// The default internet gateway: the only next hop behind which Cloud NAT works.
    DefaultInternetGateway,
    /// A Cloud VPN tunnel: index into [`Scenario::vpn_tunnels`].
    VpnTunnel(usize),
    /// An Interconnect attachment: index into [`Scenario::attachments`].
    Interconnect(usize),
    /// An internal load balancer: index into [`Scenario::forwarding_rules`].
    Ilb(usize),
    /// A VM: index into [`Scenario::vms`].
    Vm {
        /// Which.
        vm: usize,
        /// The route names its address, not the VM.
        by_address: Option<IpAddr>,
    },
    /// A VM or appliance that is not described, by name or address; assumed up.
    Appliance(String),
}

/// A policy-based route.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyRoute {
    /// Its name.
    pub name: String,
    /// Index into [`Scenario::networks`].
    pub network: usize,
    /// 1 to 65535, the lower wins.
    pub priority: u16,
    /// Source range.
    pub src: IpNet,
    /// Destination range, of the same version.
    pub dst: IpNet,
    /// IANA number of the protocol; `None` is `ALL`.
    pub protocol: Option<u8>,
    /// Whose packets.
    pub scope: PolicyScope,
    /// An internal load balancer: index into [`Scenario::forwarding_rules`]; `None` is `DEFAULT_ROUTING`.
    pub next_hop: Option<usize>,
}

/// Which packets a policy-based route takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyScope {
    /// Those of all VMs, attachments and tunnels.
    All,
    /// Those of VMs with one of these tags.
    Tags(Vec<String>),
    /// Those of Interconnect attachments, of one region or of all.
    Attachments(Option<String>),
}

/// A Cloud Router, as far as BGP goes. Its NAT gateways are in [`Scenario::nat_gateways`].
#[derive(Debug, Clone, PartialEq)]
pub struct CloudRouter {
    /// Its name.
    pub name: String,
    /// Index into [`Scenario::networks`].
    pub network: usize,
    /// Region name.
    pub region: String,
    /// What it advertises where a peer says nothing of its own.
    pub advertise: Advertise,
    /// Peers with an advertisement of their own, by the tunnel or attachment they are behind.
    pub peers: Vec<BgpPeer>,
    /// How long a dead session is held: then the routes learned over it are withdrawn.
    pub hold_time: Duration,
}

/// Hold time of a router that is not described: three keepalives of 20 s each, Google's default.
pub const HOLD_TIME_DEFAULT: Duration = Duration::from_secs(60);

/// A BGP peer with an advertisement of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct BgpPeer {
    /// Name of the VPN tunnel or the attachment.
    pub link: String,
    /// What it is told.
    pub advertise: Advertise,
}

/// `advertiseMode` with its lists.
#[derive(Debug, Clone, PartialEq)]
pub struct Advertise {
    /// All subnets that are visible to the router: `DEFAULT`, or the group `ALL_SUBNETS`.
    pub subnets: bool,
    /// `advertisedIpRanges`
    pub ranges: Vec<IpNet>,
}

/// A Cloud VPN tunnel.
#[derive(Debug, Clone, PartialEq)]
pub struct VpnTunnel {
    /// Its name.
    pub name: String,
    /// Region name, if it is known.
    pub region: Option<String>,
    /// Index into [`Scenario::routers`], if it has one that is described.
    pub router: Option<usize>,
    /// Google's word for its state.
    pub status: String,
    /// Ranges on Google's side; empty is all.
    pub local: Vec<IpNet>,
    /// Ranges on the other side; empty is all.
    pub remote: Vec<IpNet>,
    /// A route names it and the scenario does not describe it: it is assumed up.
    pub assumed: bool,
}

impl VpnTunnel {
    /// The status of a tunnel that carries packets.
    pub const ESTABLISHED: &'static str = "ESTABLISHED";

    /// Whether it carries packets.
    pub fn is_established(&self) -> bool {
        self.status == VpnTunnel::ESTABLISHED
    }
}

/// An Interconnect attachment.
#[derive(Debug, Clone, PartialEq)]
pub struct InterconnectAttachment {
    /// Its name.
    pub name: String,
    /// Region name, if it is known.
    pub region: Option<String>,
    /// Index into [`Scenario::routers`], if it has one that is described.
    pub router: Option<usize>,
    /// Google's word for its state.
    pub operational_status: String,
    /// `adminEnabled`, default true.
    pub admin_enabled: bool,
    /// A route names it and the scenario does not describe it: it is assumed up.
    pub assumed: bool,
}

impl InterconnectAttachment {
    /// The status of an attachment that carries packets.
    pub const ACTIVE: &'static str = "OS_ACTIVE";

    /// Whether it carries packets.
    pub fn is_active(&self) -> bool {
        self.admin_enabled && self.operational_status == InterconnectAttachment::ACTIVE
    }
}

/// A forwarding rule for internal addresses.
#[derive(Debug, Clone, PartialEq)]
pub struct ForwardingRule {
    /// Its name.
    pub name: String,
    /// Index into [`Scenario::networks`].
    pub network: usize,
    /// Region name; `None` of a global one, and where it is not known.
    pub region: Option<String>,
    /// Its address, if it is known.
    pub address: Option<IpAddr>,
    /// IANA number of the protocol; `None` is all of them.
    pub protocol: Option<u8>,
    /// Inclusive port ranges; empty means all.
    pub ports: Vec<(u16, u16)>,
    /// `allowGlobalAccess`, or `allowPscGlobalAccess`.
    pub global_access: bool,
    /// What it leads to.
    pub target: ForwardingTarget,
    /// A route names it and the scenario does not describe it: it is assumed up.
    pub assumed: bool,
}

/// What a forwarding rule leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardingTarget {
    /// An internal load balancer. Only one that passes packets through can be a next hop.
    LoadBalancer {
        /// It passes packets through (`INTERNAL`), and is no proxy (`INTERNAL_MANAGED`).
        passthrough: bool,
    },
    /// Google APIs by Private Service Connect.
    GoogleApis {
        /// `vpc-sc`, not `all-apis`.
        vpc_sc: bool,
    },
    /// A service published by Private Service Connect.
    ServiceAttachment {
        /// The service attachment as it is referred to.
        attachment: String,
        /// `pscConnectionStatus`
        status: String,
    },
}

impl Scenario {
    /// What the network behind a tunnel or attachment is told by its router; `None` where no router is described, which is
    /// assumed to advertise everything.
    pub fn advertised(&self, router: Option<usize>, link: &str) -> Option<Vec<IpNet>> {
        let router = &self.routers[router?];
        let peer = router.peers.iter().find(|peer| peer.link == link);
        let advertise = peer.map_or(&router.advertise, |peer| &peer.advertise);
        let global = self.networks[router.network].routing_mode == RoutingMode::Global;
        let visible = self.subnetworks.iter().filter(|subnet| {
            advertise.subnets && subnet.network == router.network && (global || subnet.region == router.region)
        });
        let subnets = visible.flat_map(Subnetwork::ranges);
        Some(subnets.chain(advertise.ranges.iter().copied()).collect())
    }

    /// The name by which hosts say that they are behind a next hop; `None` behind the internet gateway.
    pub fn next_hop_name<'a>(&'a self, hop: &'a NextHop) -> Option<&'a str> {
        match hop {
            NextHop::DefaultInternetGateway => None,
            NextHop::VpnTunnel(tunnel) => Some(&self.vpn_tunnels[*tunnel].name),
            NextHop::Interconnect(attachment) => Some(&self.attachments[*attachment].name),
            NextHop::Ilb(rule) => Some(&self.forwarding_rules[*rule].name),
            NextHop::Vm { vm, .. } => Some(&self.vms[*vm].name),
            NextHop::Appliance(name) => Some(name),
        }
    }
}

/// Ranges that only private networks use: a subnet outside of them uses public addresses privately
/// (<https://docs.cloud.google.com/vpc/docs/subnets#valid-ranges>, 2026).
const PRIVATE_RANGES: [([u8; 4], u8); 11] = [
    ([10, 0, 0, 0], 8),
    ([172, 16, 0, 0], 12),
    ([192, 168, 0, 0], 16),
    ([100, 64, 0, 0], 10),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([192, 88, 99, 0], 24),
    ([198, 18, 0, 0], 15),
    ([240, 0, 0, 0], 4),
];

/// Whether a subnet range is of public addresses that are used privately. Only IPv4 ranges are.
pub fn uses_public_addresses(range: IpNet) -> bool {
    let IpNet::V4(range) = range else { return false };
    !PRIVATE_RANGES
        .iter()
        .any(|&(first, length)| Ipv4Net::new(first.into(), length).expect("the constants are ranges").contains(&range))
}
