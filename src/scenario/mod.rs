//! What the user wrote, and what it means.
//!
//! [`mod@file`] holds the scenario file as typed, in the shapes of Google's REST APIs, each value with its place;
//! [`mod@load`] reads, includes and merges. Resolving turns names into ids and checks everything that can be checked
//! without running: what comes out is a [`Scenario`], in which every reference holds and every default is filled in.
//! Nothing here knows packets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

pub mod curve;
mod decode;
pub mod diagnostic;
pub mod file;
mod firewall;
mod impairment;
pub mod import;
pub mod lifecycle;
pub mod load;
pub mod model;
mod requests;
mod resolve;
pub mod routing;
pub mod schema;
mod tree;
pub mod value;

pub use curve::Curve;
pub use file::simulation::GeoLocation;
pub use firewall::{
    FirewallAction, FirewallDirection, FirewallPeers, FirewallPolicy, FirewallPolicyKind, FirewallRule, MachineCpus,
    ProtocolMatch, VpcFirewallRule,
};
pub use impairment::{IdleClose, ImpairedLinks, ImpairedPlace, ServerClose, ServerReset, ServerSettings};
pub use model::Model;
pub use requests::{Dns, Pool, Requests, RetryPolicy, Workers};
pub(crate) use resolve::host_and_port;
pub use resolve::ipv6::{interface_of, interfaces};
pub use routing::{
    CloudRouter, ForwardingRule, ForwardingTarget, InterconnectAttachment, NextHop, Peer, Peering, PolicyRoute,
    PolicyScope, Route, RoutingMode, VpnTunnel,
};

/// A checked scenario: what the network is built from. Indices (`usize`) point into the vectors of this struct.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Its name, for the report.
    pub name: String,
    /// The one seed all randomness comes from.
    pub seed: u64,
    /// How long the run lasts.
    pub duration: Duration,
    /// VPC networks.
    pub networks: Vec<Network>,
    /// Subnets, the connectors' own `/28`s included.
    pub subnetworks: Vec<Subnetwork>,
    /// Custom routes and each network's default route. Subnet routes follow from `subnetworks`.
    pub routes: Vec<Route>,
    /// Policy-based routes.
    pub policy_routes: Vec<PolicyRoute>,
    /// Cloud Routers.
    pub routers: Vec<CloudRouter>,
    /// Cloud VPN tunnels, described or named by a route.
    pub vpn_tunnels: Vec<VpnTunnel>,
    /// Interconnect attachments, described or named by a route.
    pub attachments: Vec<InterconnectAttachment>,
    /// Forwarding rules for internal addresses, described or named by a route.
    pub forwarding_rules: Vec<ForwardingRule>,
    /// VPC firewall rules; the implied ones are not listed.
    pub firewall_rules: Vec<VpcFirewallRule>,
    /// Firewall policies that are in force, those of one kind in the order of evaluation.
    pub firewall_policies: Vec<FirewallPolicy>,
    /// Public NAT gateways, in the order of the file.
    pub nat_gateways: Vec<NatGateway>,
    /// Serverless VPC Access connectors.
    pub connectors: Vec<Connector>,
    /// Cloud Run services, jobs, worker pools and functions, in the order of the file.
    pub workloads: Vec<Workload>,
    /// Compute Engine VMs: NAT endpoints and destinations.
    pub vms: Vec<Vm>,
    /// Simulated destinations.
    pub hosts: Vec<Host>,
    /// What is wrong with links at the start, one entry a place.
    pub impairments: Vec<ImpairedLinks>,
    /// Simulated load.
    pub traffic: Vec<Traffic>,
    /// Timed changes, sorted by time (stable).
    pub events: Vec<Event>,
    /// Values for what Google does not document.
    pub model: Model,
    /// Assertions about the outcome.
    pub expect: Vec<Expectation>,
}

/// A VPC network.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Maximum transmission unit in bytes.
    pub mtu: u32,
    /// `BEFORE_CLASSIC_FIREWALL`: network firewall policies are evaluated before VPC firewall rules.
    pub policies_before_rules: bool,
    /// Whether dynamic routing is for each region by itself.
    pub routing_mode: RoutingMode,
    /// Its peerings.
    pub peerings: Vec<Peering>,
    /// What internal IPv6 ranges of its subnets are parts of.
    pub internal_ipv6: Option<Ipv6Net>,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq)]
pub struct Subnetwork {
    /// Its name; a connector's automatic subnet is called `aet-…`.
    pub name: String,
    /// Index into [`Scenario::networks`].
    pub network: usize,
    /// Region name, such as `us-central1`.
    pub region: String,
    /// Primary range.
    pub range: Ipv4Net,
    /// Secondary (alias) ranges by name.
    pub secondary: Vec<(String, Ipv4Net)>,
    /// Private Google Access. A gateway that covers the primary range turns it on too; that is applied when the network is built.
    pub private_google_access: bool,
    /// `allowSubnetCidrRoutesOverlap`: what nothing in it has may be reached by routes inside its range.
    pub hybrid: bool,
    /// `purpose: PRIVATE_NAT`: only Private NAT has addresses in it.
    pub private_nat: bool,
    /// Its IPv6 range, if it is dual-stack.
    pub ipv6: Option<SubnetworkIpv6>,
}

impl Subnetwork {
    /// All its ranges: primary, secondary, IPv6.
    pub fn ranges(&self) -> impl Iterator<Item = IpNet> + '_ {
        let v4 = std::iter::once(self.range).chain(self.secondary.iter().map(|(_, range)| *range));
        v4.map(IpNet::V4).chain(self.ipv6.iter().map(|ipv6| IpNet::V6(ipv6.range)))
    }
}

/// The IPv6 range of a subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetworkIpv6 {
    /// A /64.
    pub range: Ipv6Net,
    /// It is routed on the internet.
    pub external: bool,
}

/// A Public NAT gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct NatGateway {
    /// Gateway name.
    pub name: String,
    /// Cloud Router it belongs to.
    pub router: String,
    /// Index into [`Scenario::networks`].
    pub network: usize,
    /// Region name.
    pub region: String,
    /// What of which subnets it serves: (subnetwork index, range). Already expanded from `ALL_SUBNETWORKS_…`.
    pub coverage: Vec<Covered>,
    /// How it works; what `patchNat` changes.
    pub config: NatConfig,
}

/// A range of a subnet that a gateway serves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Covered {
    /// Index into [`Scenario::subnetworks`].
    pub subnetwork: usize,
    /// The primary range or one of the secondary ranges.
    pub range: Ipv4Net,
}

/// The part of a gateway that can change while it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct NatConfig {
    /// Who provides the addresses.
    pub allocate: IpAllocation,
    /// Active NAT IPs in configured order (empty for AUTO_ONLY).
    pub nat_ips: Vec<Ipv4Addr>,
    /// NAT IPs being drained.
    pub drain_nat_ips: Vec<Ipv4Addr>,
    /// NAT rules by ascending number; the default rule (65001) is the gateway's own `nat_ips`.
    pub rules: Vec<NatRule>,
    /// Tier of the addresses of AUTO_ONLY (a change replaces them all).
    pub auto_network_tier: NetworkTier,
    /// `minPortsPerVm` as configured or defaulted: 64 static, 32 dynamic.
    pub min_ports_per_vm: u32,
    /// `maxPortsPerVm`; with static allocation equal to the minimum. Default 65,536 with dynamic allocation.
    pub max_ports_per_vm: u32,
    /// Dynamic port allocation.
    pub dynamic_port_allocation: bool,
    /// Endpoint-independent mapping.
    pub endpoint_independent_mapping: bool,
    /// The five timers.
    pub timeouts: NatTimeouts,
    /// Logging: `None` is off.
    pub log: Option<LogFilter>,
}

/// A NAT rule: other NAT IPs for some packets.
#[derive(Debug, Clone, PartialEq)]
pub struct NatRule {
    /// 0 to 65000. Google allows at most one rule to match a packet; where two do, the lower number wins here.
    pub number: u32,
    /// Which packets.
    pub matches: NatRuleMatch,
    /// Active NAT IPs in configured order.
    pub nat_ips: Vec<Ipv4Addr>,
    /// NAT IPs being drained.
    pub drain_nat_ips: Vec<Ipv4Addr>,
}

/// What a NAT rule looks at; Google does not let one rule look at both.
#[derive(Debug, Clone, PartialEq)]
pub enum NatRuleMatch {
    /// The destination address is in one of these ranges.
    Destination(Vec<Ipv4Net>),
    /// The source address, before translation, is in one of these ranges.
    Source(Vec<Ipv4Net>),
}

/// Network service tier of an external address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkTier {
    /// `PREMIUM`, the default.
    Premium,
    /// `STANDARD`.
    Standard,
}

/// Who provides the NAT IPs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpAllocation {
    /// `AUTO_ONLY`: Google adds addresses by need.
    Auto,
    /// `MANUAL_ONLY`: the listed ones.
    Manual,
}

/// Cloud NAT's five timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NatTimeouts {
    /// `udpIdleTimeoutSec`, default 30 s.
    pub udp_idle: Duration,
    /// `icmpIdleTimeoutSec`, default 30 s.
    pub icmp_idle: Duration,
    /// `tcpEstablishedIdleTimeoutSec`, default 1200 s.
    pub tcp_established_idle: Duration,
    /// `tcpTransitoryIdleTimeoutSec`, default 30 s.
    pub tcp_transitory_idle: Duration,
    /// `tcpTimeWaitTimeoutSec`: explicit, else effective, else by creation date, else the model's.
    pub tcp_time_wait: Duration,
}

/// `logConfig.filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFilter {
    /// `ALL`
    All,
    /// `ERRORS_ONLY`
    ErrorsOnly,
    /// `TRANSLATIONS_ONLY`
    TranslationsOnly,
}

/// A Serverless VPC Access connector.
#[derive(Debug, Clone, PartialEq)]
pub struct Connector {
    /// Its name.
    pub name: String,
    /// Index into [`Scenario::networks`].
    pub network: usize,
    /// Index into [`Scenario::subnetworks`]: its `/28`.
    pub subnetwork: usize,
    /// Region name.
    pub region: String,
    /// `f1-micro`, `e2-micro` or `e2-standard-4`.
    pub machine_type: MachineType,
    /// 2 to 9.
    pub min_instances: u32,
    /// 3 to 10.
    pub max_instances: u32,
    /// Only a READY connector carries traffic.
    pub ready: bool,
    /// It is in another project than its subnet (Shared VPC): then its firewall rules are not made automatically.
    pub in_service_project: bool,
}

/// Connector machine types, with Google's documented throughput.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineType {
    /// 50 Mbps an instance.
    F1Micro,
    /// 100 Mbps an instance.
    E2Micro,
    /// 1,600 Mbps an instance.
    E2Standard4,
}

impl MachineType {
    /// Documented throughput of one instance in bits a second: the documented range for 2 to 10 instances is exactly
    /// linear (e2-micro: 200 to 1000 Mbps).
    pub const fn bits_per_second(self) -> u64 {
        match self {
            MachineType::F1Micro => 50_000_000,
            MachineType::E2Micro => 100_000_000,
            MachineType::E2Standard4 => 1_600_000_000,
        }
    }
}

/// A Cloud Run workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// Service, job, worker pool or function.
    pub kind: WorkloadKind,
    /// A function of the 1st generation.
    pub first_generation: bool,
    /// Region name.
    pub region: String,
    /// The revision at the start, then those that `deploy` events make.
    pub revisions: Vec<Revision>,
    /// Instances at the start (tasks, for a job).
    pub instances: u32,
    /// Requests that an instance works on at a time.
    pub concurrency: u32,
    /// How few instances there may be, when Cloud Run decides how many there are: a service whose number is not pinned, and that
    /// has requests. Then [`Revision::max_instances`] is the most.
    pub autoscaled: Option<u32>,
}

impl Workload {
    /// How it reaches a VPC network at the start, if at all.
    pub fn attachment(&self) -> &Attachment {
        &self.revisions[0].attachment
    }

    /// Which destinations take that way at the start.
    pub fn egress(&self) -> Egress {
        self.revisions[0].egress
    }

    /// Addresses that one instance holds with Direct VPC egress (Google: two, a task of a job one;
    /// <https://docs.cloud.google.com/run/docs/configuring/vpc-direct-vpc>, 2026).
    pub fn addresses_per_instance(&self) -> u32 {
        if self.kind == WorkloadKind::Job { 1 } else { 2 }
    }
}

/// Google: a job's task holds its address for its duration and 7 minutes more
/// (<https://docs.cloud.google.com/run/docs/configuring/vpc-direct-vpc>, 2026).
const TASK_ADDRESS_HOLD: Duration = Duration::from_secs(7 * 60);

/// Limits of each instance of a function of the 1st generation (<https://docs.cloud.google.com/functions/quotas>, networking
/// limits, 2026; none of them can be raised). Google's 100 DNS resolutions a second are left out: nobody resolves anything here.
pub const FIRST_GENERATION: FirstGeneration =
    FirstGeneration { connections_per_second: 500, packets_per_second: 80_000, bits_per_second: 100_000_000 };

/// See [`FIRST_GENERATION`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstGeneration {
    /// New connections to anywhere.
    pub connections_per_second: u32,
    /// Packets.
    pub packets_per_second: u32,
    /// Bits.
    pub bits_per_second: u64,
}

impl Scenario {
    /// The address that a load connects to, as long as its workload is what it is at the start.
    pub fn address_of(&self, traffic: &Traffic) -> IpAddr {
        let workload = &self.workloads[traffic.from];
        let subnetwork = match workload.attachment() {
            Attachment::Direct { subnetwork, .. } => Some(&self.subnetworks[*subnetwork]),
            _ => None,
        };
        let ipv6 = subnetwork.and_then(|subnetwork| subnetwork.ipv6.as_ref());
        let external = ipv6.is_some_and(|ipv6| ipv6.external) && workload.egress() == Egress::AllTraffic;
        traffic.to.address(external)
    }

    /// The same for IPv4, which alone takes NAT ports.
    pub fn ipv4_address_of(&self, traffic: &Traffic) -> Option<Ipv4Addr> {
        match self.address_of(traffic) {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }

    /// New connections that an instance of a workload may begin in a second, if there is a limit.
    pub fn connections_per_second(&self, workload: usize) -> Option<u32> {
        let documented = self.workloads[workload].first_generation.then_some(FIRST_GENERATION.connections_per_second);
        let given = Some(self.model.cloud_run.connections_per_second).filter(|limit| *limit > 0);
        documented.into_iter().chain(given).min()
    }

    /// The subnet that packets of a workload come from at the start: its own with Direct VPC egress, or its connector's.
    pub fn subnetwork_of(&self, workload: usize) -> Option<usize> {
        match *self.workloads[workload].attachment() {
            Attachment::None => None,
            Attachment::Connector(connector) => Some(self.connectors[connector].subnetwork),
            Attachment::Direct { subnetwork, .. } => Some(subnetwork),
        }
    }

    /// How long addresses of a workload's instance are held when it is gone.
    pub fn address_hold(&self, workload: usize) -> Duration {
        match self.workloads[workload].kind {
            WorkloadKind::Job => TASK_ADDRESS_HOLD,
            _ => self.model.cloud_run.address_hold,
        }
    }
}

/// A revision of a service, worker pool or function, or what an execution of a job is like.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// Its name.
    pub name: String,
    /// How it reaches a VPC network, if at all.
    pub attachment: Attachment,
    /// Which destinations take that way.
    pub egress: Egress,
    /// `maxInstanceCount`, if given.
    pub max_instances: Option<u32>,
    /// `serviceAccount`, if given.
    pub service_account: Option<String>,
    /// vCPUs from `resources.limits.cpu`, default 1.
    pub vcpus: f64,
    /// Why it is not ready, if it is not: what its `terminalCondition` or its `state` says.
    pub not_ready: Option<String>,
}

impl Revision {
    /// The attachment that its instances get: none while it is not ready.
    pub fn way(&self) -> &Attachment {
        if self.not_ready.is_some() { &Attachment::None } else { &self.attachment }
    }
}

/// Kinds of Cloud Run workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkloadKind {
    /// A service.
    Service,
    /// A job.
    Job,
    /// A worker pool.
    WorkerPool,
    /// A function.
    Function,
}

/// How a workload reaches a VPC network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attachment {
    /// It does not.
    None,
    /// Through a connector: index into [`Scenario::connectors`].
    Connector(usize),
    /// Direct VPC egress.
    Direct {
        /// Index into [`Scenario::networks`].
        network: usize,
        /// Index into [`Scenario::subnetworks`].
        subnetwork: usize,
        /// Network tags of the revision.
        tags: Vec<String>,
    },
}

/// The egress setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Egress {
    /// `PRIVATE_RANGES_ONLY`, the default.
    PrivateRangesOnly,
    /// `ALL_TRAFFIC`.
    AllTraffic,
}

/// A Compute Engine VM.
#[derive(Debug, Clone, PartialEq)]
pub struct Vm {
    /// Its name.
    pub name: String,
    /// Zone name.
    pub zone: String,
    /// Index into [`Scenario::networks`].
    pub network: usize,
    /// Index into [`Scenario::subnetworks`].
    pub subnetwork: usize,
    /// Primary internal address.
    pub address: Ipv4Addr,
    /// Alias ranges.
    pub alias_ranges: Vec<Ipv4Net>,
    /// External address, if it has one (then its primary address never uses Cloud NAT).
    pub external_address: Option<Ipv4Addr>,
    /// Its IPv6 addresses, a /96 of its subnet's range.
    pub ipv6: Option<Ipv6Net>,
    /// Network tags.
    pub tags: Vec<String>,
    /// Service account, if given.
    pub service_account: Option<String>,
    /// Secure tags: the values of its resource manager tags.
    pub secure_tags: Vec<String>,
    /// vCPUs of its machine type.
    pub cpus: MachineCpus,
    /// RUNNING.
    pub running: bool,
    /// `canIpForward`: it takes and sends packets of others.
    pub can_ip_forward: bool,
}

/// A simulated destination.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Addresses or ranges it answers for.
    pub addresses: Vec<IpNet>,
    /// Where it is.
    pub location: HostLocation,
    /// Open TCP ports; both lists empty means everything is open.
    pub tcp_ports: Vec<u16>,
    /// Open UDP ports.
    pub udp_ports: Vec<u16>,
    /// Round-trip time from the edge of Google's network.
    pub rtt: Duration,
    /// Probability that a packet is lost, each way.
    pub loss: f64,
    /// Never answers (a black hole).
    pub unreachable: bool,
    /// How it serves.
    pub server: ServerSettings,
    /// Where on earth it is, for logs.
    pub geo_location: Option<GeoLocation>,
}

impl Host {
    /// Its IPv4 ranges.
    pub fn ipv4_ranges(&self) -> impl Iterator<Item = Ipv4Net> + '_ {
        self.addresses.iter().filter_map(|range| match range {
            IpNet::V4(range) => Some(*range),
            IpNet::V6(_) => None,
        })
    }

    /// What a look-up of its name finds: of each version the first address, of a range the first that a machine can have.
    pub fn destination(&self) -> Destination {
        let v4 = self.addresses.iter().find_map(|range| match range {
            IpNet::V4(range) => range.hosts().next(),
            IpNet::V6(_) => None,
        });
        let v6 = self.addresses.iter().find_map(|range| match range {
            IpNet::V6(range) if range.prefix_len() >= 127 => Some(range.addr()),
            // The first of a range is that of its routers (RFC 4291 §2.6.1).
            IpNet::V6(range) => Some(Ipv6Addr::from(u128::from(range.network()) + 1)),
            IpNet::V4(_) => None,
        });
        Destination { v4, v6 }
    }
}

impl Vm {
    /// What a look-up of its internal name finds.
    pub fn destination(&self) -> Destination {
        Destination { v4: Some(self.address), v6: self.ipv6.map(|range| range.network()) }
    }
}

/// Where a host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostLocation {
    /// On the internet.
    Internet,
    /// In a VPC network (index into [`Scenario::networks`]).
    Vpc(usize),
    /// In a peered network that is not described, by name.
    Peer(String),
    /// On premises, behind the named next hop.
    OnPrem(Option<String>),
    /// A Google API front end.
    GoogleApi,
}

/// One simulated load.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// Its name.
    pub name: String,
    /// Index into [`Scenario::workloads`].
    pub from: usize,
    /// Destination address, or the two of a name that has both.
    pub to: Destination,
    /// Destination port (0 for ICMP).
    pub port: u16,
    /// Index into [`Scenario::hosts`] when the destination is declared.
    pub host: Option<usize>,
    /// What it speaks.
    pub protocol: TrafficProtocol,
    /// When it begins.
    pub start: Duration,
    /// When no more connections are opened.
    pub stop: Duration,
    /// How connections arrive.
    pub arrivals: Arrivals,
    /// How their rate changes; that of `arrivals` is its highest.
    pub curve: Option<Curve>,
    /// Each arrival is a request and not a connection.
    pub requests: Option<Requests>,
    /// How long a connection stays open once established.
    pub lifetime: Duration,
    /// Bytes of a request.
    pub request_bytes: u64,
    /// Bytes of a response.
    pub response_bytes: u64,
    /// Who closes.
    pub closed_by: ClosedBy,
    /// When the application gives up connecting.
    pub connect_timeout: Duration,
    /// What the ends are.
    pub endpoints: Endpoints,
}

/// What the ends of simulated connections are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoints {
    /// A light script: millions of them.
    Flow,
    /// A TCP stack each.
    Stack,
}

/// What a client finds when it looks up where to connect to: an address, or one of each version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// The `A` record.
    pub v4: Option<Ipv4Addr>,
    /// The `AAAA` record.
    pub v6: Option<Ipv6Addr>,
}

impl Destination {
    /// What a client connects to that has IPv4, and IPv6 with an address of the internet or not: RFC 6724 §5 and §6, as
    /// `getaddrinfo` applies them. Addresses of one kind are put together: from a unique local address to one of the internet
    /// IPv4 comes first, and among unique local ones, too.
    pub fn address(self, external_ipv6: bool) -> IpAddr {
        match (self.v4, self.v6) {
            (Some(v4), Some(v6)) if !external_ipv6 || v6.is_unique_local() => v4.into(),
            (_, Some(v6)) => v6.into(),
            (Some(v4), None) => v4.into(),
            (None, None) => unreachable!("a destination has an address"),
        }
    }
}

impl From<IpAddr> for Destination {
    fn from(address: IpAddr) -> Destination {
        match address {
            IpAddr::V4(v4) => Destination { v4: Some(v4), v6: None },
            IpAddr::V6(v6) => Destination { v4: None, v6: Some(v6) },
        }
    }
}

impl From<Ipv4Addr> for Destination {
    fn from(v4: Ipv4Addr) -> Destination {
        IpAddr::V4(v4).into()
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.address(false).fmt(f)
    }
}

/// Protocol of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrafficProtocol {
    /// TCP with handshake, data both ways and close.
    Tcp,
    /// A request and a response datagram.
    Udp,
    /// Echo request and reply.
    Icmp,
}

/// How connections arrive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arrivals {
    /// This many, all at `start`.
    Count(u64),
    /// Exponential gaps with this mean rate a second, over all instances.
    Poisson(f64),
    /// Equal gaps at this rate a second, over all instances.
    Constant(f64),
    /// The next once the one before it has ended, by clients in each instance.
    Workers(Workers),
}

/// Who closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedBy {
    /// The Cloud Run side.
    Client,
    /// The far side.
    Server,
    /// Nobody: it stays open.
    Nobody,
}

/// A timed change.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When.
    pub at: Duration,
    /// What.
    pub change: Change,
}

/// What an event changes.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A workload gets this many instances.
    Scale {
        /// Index into [`Scenario::workloads`].
        workload: usize,
        /// The new count.
        instances: u32,
        /// From the event on, one by one.
        over: Duration,
    },
    /// A workload gets a new revision, to which its instances move.
    Deploy {
        /// Index into [`Scenario::workloads`].
        workload: usize,
        /// Index into its revisions.
        revision: usize,
        /// From the event on, one by one.
        over: Duration,
    },
    /// A connector gets this configuration (the whole of it, after the patch).
    PatchConnector {
        /// Index into [`Scenario::connectors`].
        connector: usize,
        /// The configuration after the change.
        to: Box<Connector>,
    },
    /// The VMs of a connector are replaced, one by one.
    MaintainConnector {
        /// Index into [`Scenario::connectors`].
        connector: usize,
    },
    /// Cloud Run's infrastructure ends all connections of a workload's instances.
    ResetConnections {
        /// Index into [`Scenario::workloads`].
        workload: usize,
    },
    /// The machines of a workload's instances are maintained: they are told, stopped and resumed.
    MaintainWorkload {
        /// Index into [`Scenario::workloads`].
        workload: usize,
    },
    /// A job is executed.
    Execute {
        /// Index into [`Scenario::workloads`].
        job: usize,
        /// Number of tasks.
        tasks: u32,
        /// How many run at once.
        parallelism: u32,
        /// How long each runs.
        task_duration: Duration,
    },
    /// A gateway gets this configuration (the whole of it, after the patch).
    PatchNat {
        /// Index into [`Scenario::nat_gateways`].
        gateway: usize,
        /// The configuration after the change.
        config: Box<NatConfig>,
    },
    /// A VPC firewall rule becomes this (the whole of it, after the patch).
    PatchFirewall {
        /// Index into [`Scenario::firewall_rules`].
        firewall: usize,
        /// The rule after the change.
        rule: Box<FirewallRule>,
    },
    /// A VPN tunnel gets another status.
    PatchVpnTunnel {
        /// Index into [`Scenario::vpn_tunnels`].
        tunnel: usize,
        /// Google's word for it.
        status: String,
    },
    /// An Interconnect attachment gets another state.
    PatchInterconnectAttachment {
        /// Index into [`Scenario::attachments`].
        attachment: usize,
        /// Google's word for it.
        operational_status: String,
        /// `adminEnabled`
        admin_enabled: bool,
    },
    /// A route is made.
    AddRoute(Box<Route>),
    /// A route is deleted.
    RemoveRoute {
        /// Index into [`Scenario::networks`].
        network: usize,
        /// Its name.
        route: String,
    },
    /// A host becomes this (the whole of it, after the patch).
    PatchHost {
        /// Index into [`Scenario::hosts`].
        host: usize,
        /// The host after the change.
        to: Box<Host>,
    },
    /// Links become this (the whole of it, both ways).
    Impair(Box<ImpairedLinks>),
    /// Something is out of service, or is so no longer.
    Outage {
        /// What.
        place: ImpairedPlace,
        /// It begins; else it ends.
        begins: bool,
    },
}

/// An assertion about the summary.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// A path into the summary, such as `packets.droppedBy.OUT_OF_RESOURCES` or `gateways.0.allocationFailed`.
    pub path: String,
    /// What must hold.
    pub test: ExpectTest,
}

/// What must hold of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum ExpectTest {
    /// Equal to this JSON value.
    Equals(serde_json::Value),
    /// A number, at least this.
    AtLeast(f64),
    /// A number, at most this.
    AtMost(f64),
}

/// The scenario that commands use when none is given: the guide "Cloud NAT with Cloud Run through Serverless VPC Access".
pub const BUILT_IN: load::Source<'static> =
    load::Source::Text { name: "scenarios/guide.yaml", text: include_str!("../../scenarios/guide.yaml") };

#[cfg(test)]
mod tests;
