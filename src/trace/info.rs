//! What programs are told of a step: the payloads of `Step` in Connectivity Tests.
//!
//! Each struct has the fields of the message of its name in `trace.proto`
//! (<https://github.com/googleapis/googleapis/blob/master/google/cloud/networkmanagement/v1/trace.proto>, 2026-08-22), as far
//! as a simulator can fill them. Stations know names; the URIs, which hold a project, are made where the trace is printed.

use std::net::IpAddr;
use std::sync::Arc;

use super::{AbortCause, DropCause, State};
use crate::wire::Packet;

/// A resource of Google Cloud, by what its URI says beside the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Where it lives.
    pub scope: Scope,
    /// Collection, such as `routes`.
    pub collection: &'static str,
    /// Its name.
    pub name: Arc<str>,
}

/// Where a resource lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// `global`
    Global,
    /// `regions/R`
    Region(Arc<str>),
    /// `zones/Z`
    Zone(Arc<str>),
    /// `locations/R`, as Cloud Run and Serverless VPC Access have it.
    Location(Arc<str>),
    /// Above projects: `locations/global` of an organization.
    Organization,
}

impl Resource {
    /// A resource of the whole project.
    pub fn global(collection: &'static str, name: impl Into<Arc<str>>) -> Resource {
        Resource { scope: Scope::Global, collection, name: name.into() }
    }

    /// A VPC network.
    pub fn network(name: impl Into<Arc<str>>) -> Resource {
        Resource::global("networks", name)
    }

    /// A resource of a region of Compute Engine.
    pub fn regional(collection: &'static str, region: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Resource {
        Resource { scope: Scope::Region(region.into()), collection, name: name.into() }
    }

    /// A resource of a location.
    pub fn located(collection: &'static str, location: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Resource {
        Resource { scope: Scope::Location(location.into()), collection, name: name.into() }
    }

    /// The region it is in, if it is in one.
    pub fn region(&self) -> Option<&str> {
        match &self.scope {
            Scope::Region(region) | Scope::Location(region) => Some(region),
            Scope::Global | Scope::Zone(_) | Scope::Organization => None,
        }
    }
}

/// An enum of `trace.proto`, printed by its names.
macro_rules! names {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$vmeta])* #[allow(missing_docs, reason = "the name is Google's")] $variant),* }

        impl $name {
            /// All of them, in a fixed order.
            pub const ALL: &[$name] = &[$($name::$variant),*];

            /// The fixed name.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text),* }
            }
        }
    };
}

/// Declares [`StepInfo`] and the conversions into it.
macro_rules! step_info {
    ($($(#[$meta:meta])* $variant:ident($payload:ty)),* $(,)?) => {
        /// The payload of a step.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum StepInfo { $($(#[$meta])* $variant($payload)),* }

        $(impl From<$payload> for StepInfo {
            fn from(payload: $payload) -> StepInfo {
                StepInfo::$variant(payload)
            }
        })*
    };
}

step_info! {
    /// `cloud_run_revision`, `cloud_run_job` or `cloud_function`.
    Workload(WorkloadInfo),
    /// `direct_vpc_egress_connection`
    DirectVpcEgress(DirectVpcEgressInfo),
    /// What the metadata server answers: not of Google's.
    Metadata(MetadataInfo),
    /// `serverless_external_connection`
    ServerlessExternal(ServerlessExternalInfo),
    /// `vpc_connector`
    VpcConnector(VpcConnectorInfo),
    /// `firewall`
    Firewall(FirewallInfo),
    /// `ngfw_packet_inspection`
    NgfwPacketInspection(NgfwPacketInspectionInfo),
    /// `route`
    Route(RouteInfo),
    /// `nat`
    Nat(NatInfo),
    /// `instance`
    Instance(InstanceInfo),
    /// `vpn_tunnel`
    VpnTunnel(VpnTunnelInfo),
    /// `interconnect_attachment`
    InterconnectAttachment(InterconnectAttachmentInfo),
    /// `hybrid_subnet`
    HybridSubnet(HybridSubnetInfo),
    /// `endpoint`
    Endpoint(EndpointInfo),
    /// `forwarding_rule`
    ForwardingRule(ForwardingRuleInfo),
    /// `google_service`
    GoogleService(GoogleServiceInfo),
    /// `deliver`
    Deliver(DeliverInfo),
    /// `forward`
    Forward(ForwardInfo),
    /// `drop`
    Drop(DropInfo),
    /// `abort`
    Abort(AbortInfo),
}

names! {
    /// Which of Cloud Run's workloads a packet starts from.
    WorkloadKind {
        Revision = "cloudRunRevision",
        Job = "cloudRunJob",
        Function = "cloudFunction",
    }
}

/// What the metadata server says of an instance's interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataInfo {
    /// By path.
    pub answers: Vec<MetadataAnswer>,
}

/// An answer of the metadata server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataAnswer {
    /// What is asked for.
    pub path: String,
    /// The answer; `None` is 404.
    pub address: Option<IpAddr>,
}

impl WorkloadKind {
    /// How a trace begins that starts from it.
    pub const fn start(self) -> State {
        match self {
            WorkloadKind::Revision => State::StartFromCloudRunRevision,
            WorkloadKind::Job => State::StartFromCloudRunJob,
            WorkloadKind::Function => State::StartFromCloudFunction,
        }
    }

    /// Why packets from it are dropped while it is not ready.
    pub const fn not_ready(self) -> DropCause {
        match self {
            WorkloadKind::Revision => DropCause::CloudRunRevisionNotReady,
            WorkloadKind::Job => DropCause::CloudRunJobNotReady,
            WorkloadKind::Function => DropCause::CloudFunctionNotActive,
        }
    }
}

/// `CloudRunRevisionInfo`, `CloudRunJobInfo` or `CloudFunctionInfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadInfo {
    /// Which of the three.
    pub kind: WorkloadKind,
    /// The revision, job or function.
    pub resource: Resource,
    /// The service that a revision belongs to.
    pub service: Option<Resource>,
}

/// `DirectVpcEgressConnectionInfo`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectVpcEgressInfo {
    /// VPC network.
    pub network: Resource,
    /// Subnet.
    pub subnetwork: Resource,
    /// The reserved block that the address is from.
    pub selected_ip_range: String,
    /// Address of the instance.
    pub selected_ip_address: IpAddr,
}

/// `ServerlessExternalConnectionInfo`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerlessExternalInfo {
    /// An address of Google's dynamic pool.
    pub selected_ip_address: IpAddr,
}

/// `VpcConnectorInfo`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VpcConnectorInfo {
    /// The connector.
    pub connector: Resource,
}

names! {
    /// `FirewallInfo.FirewallRuleType`
    FirewallRuleType {
        HierarchicalFirewallPolicyRule = "HIERARCHICAL_FIREWALL_POLICY_RULE",
        VpcFirewallRule = "VPC_FIREWALL_RULE",
        ImpliedVpcFirewallRule = "IMPLIED_VPC_FIREWALL_RULE",
        ServerlessVpcAccessManagedFirewallRule = "SERVERLESS_VPC_ACCESS_MANAGED_FIREWALL_RULE",
        NetworkFirewallPolicyRule = "NETWORK_FIREWALL_POLICY_RULE",
        NetworkRegionalFirewallPolicyRule = "NETWORK_REGIONAL_FIREWALL_POLICY_RULE",
        SystemNetworkFirewallPolicyRule = "SYSTEM_NETWORK_FIREWALL_POLICY_RULE",
        SystemRegionalNetworkFirewallPolicyRule = "SYSTEM_REGIONAL_NETWORK_FIREWALL_POLICY_RULE",
        TrackingState = "TRACKING_STATE",
    }
}

/// `FirewallInfo`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirewallInfo {
    /// Name of the rule; a policy's rule may have none, and a tracked connection has none.
    pub display_name: String,
    /// The rule, if it is a VPC firewall rule.
    pub rule: Option<Resource>,
    /// `INGRESS` or `EGRESS`.
    pub direction: &'static str,
    /// `ALLOW`, `DENY` or `APPLY_SECURITY_PROFILE_GROUP`.
    pub action: &'static str,
    /// Its priority; a tracked connection has none.
    pub priority: Option<u32>,
    /// VPC network.
    pub network: Resource,
    /// Network tags that it targets.
    pub target_tags: Vec<String>,
    /// Service accounts that it targets.
    pub target_service_accounts: Vec<String>,
    /// The policy that it belongs to.
    pub policy: Option<Resource>,
    /// What people call that policy.
    pub policy_name: Option<Arc<str>>,
    /// The policy's own priority, where one is given.
    pub policy_priority: Option<u32>,
    /// What kind of rule it is.
    pub rule_type: FirewallRuleType,
}

/// `NgfwPacketInspectionInfo`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NgfwPacketInspectionInfo {
    /// The security profile group, as the rule names it.
    pub security_profile_group: Arc<str>,
}

names! {
    /// `RouteInfo.RouteType`
    RouteType {
        Subnet = "SUBNET",
        Static = "STATIC",
        Dynamic = "DYNAMIC",
        PeeringSubnet = "PEERING_SUBNET",
        PeeringStatic = "PEERING_STATIC",
        PeeringDynamic = "PEERING_DYNAMIC",
        PolicyBased = "POLICY_BASED",
    }
}

names! {
    /// `RouteInfo.NextHopType`
    NextHopType {
        Ip = "NEXT_HOP_IP",
        Instance = "NEXT_HOP_INSTANCE",
        Network = "NEXT_HOP_NETWORK",
        Peering = "NEXT_HOP_PEERING",
        Interconnect = "NEXT_HOP_INTERCONNECT",
        VpnTunnel = "NEXT_HOP_VPN_TUNNEL",
        InternetGateway = "NEXT_HOP_INTERNET_GATEWAY",
        Blackhole = "NEXT_HOP_BLACKHOLE",
        Ilb = "NEXT_HOP_ILB",
    }
}

/// `RouteInfo`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteInfo {
    /// What kind of route.
    pub route_type: RouteType,
    /// What kind of next hop.
    pub next_hop_type: NextHopType,
    /// Name; subnet routes have their subnet's.
    pub display_name: String,
    /// The route, if it is a resource.
    pub route: Option<Resource>,
    /// Region of a dynamic or policy-based route.
    pub region: Option<String>,
    /// Destination range.
    pub dest_ip_range: String,
    /// VPC network.
    pub network: Resource,
    /// The lower wins.
    pub priority: u32,
    /// Network tags that it is limited to.
    pub instance_tags: Vec<String>,
    /// Source range of a policy-based route.
    pub src_ip_range: Option<String>,
    /// Protocols of a policy-based route.
    pub protocols: Vec<String>,
    /// What it leads to.
    pub next_hop: Option<Resource>,
    /// The network it leads to, if that is another.
    pub next_hop_network: Option<Resource>,
    /// Of a route that was imported from a peer: the route there, by its name and, if it is a resource, as that.
    pub originating_route: Option<(Arc<str>, Option<Resource>)>,
}

names! {
    /// `NatInfo.Type`
    NatType {
        InternalToExternal = "INTERNAL_TO_EXTERNAL",
        ExternalToInternal = "EXTERNAL_TO_INTERNAL",
        CloudNat = "CLOUD_NAT",
    }
}

/// `NatInfo`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatInfo {
    /// What kind of translation.
    pub nat_type: NatType,
    /// IP protocol, such as `TCP`.
    pub protocol: &'static str,
    /// VPC network.
    pub network: Resource,
    /// Address and port before.
    pub old_source: (IpAddr, u16),
    /// Address and port after.
    pub new_source: (IpAddr, u16),
    /// Address and port before.
    pub old_destination: (IpAddr, u16),
    /// Address and port after.
    pub new_destination: (IpAddr, u16),
    /// Cloud Router of a Cloud NAT gateway.
    pub router: Option<Resource>,
    /// Name of the Cloud NAT gateway.
    pub nat_gateway_name: Option<String>,
}

/// Addresses and ports of a packet; without ports these are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// Source address and port.
    pub source: (IpAddr, u16),
    /// Destination address and port.
    pub destination: (IpAddr, u16),
}

impl Ends {
    /// Those of a packet.
    pub fn of(packet: &Packet) -> Ends {
        let ports = packet.flow().map_or((0, 0), |flow| (flow.src_port(), flow.dst_port()));
        Ends { source: (packet.source(), ports.0), destination: (packet.destination(), ports.1) }
    }
}

impl NatInfo {
    /// What became of the ends of a packet, which had these `before`.
    pub fn of(network: &Resource, before: Ends, after: &Packet) -> NatInfo {
        let now = Ends::of(after);
        NatInfo {
            nat_type: NatType::InternalToExternal,
            protocol: after.five_tuple().map_or("", |tuple| tuple.protocol.label()),
            network: network.clone(),
            old_source: before.source,
            new_source: now.source,
            old_destination: before.destination,
            new_destination: now.destination,
            router: None,
            nat_gateway_name: None,
        }
    }
}

/// `InstanceInfo`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceInfo {
    /// The VM.
    pub instance: Resource,
    /// VPC network.
    pub network: Resource,
    /// Address inside.
    pub internal_ip: Option<IpAddr>,
    /// Address outside.
    pub external_ip: Option<IpAddr>,
    /// Network tags.
    pub network_tags: Vec<String>,
    /// Service account.
    pub service_account: Option<String>,
    /// It runs.
    pub running: bool,
}

/// `VpnTunnelInfo`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VpnTunnelInfo {
    /// The tunnel.
    pub tunnel: Resource,
    /// VPC network.
    pub network: Resource,
    /// `ROUTE_BASED`, `POLICY_BASED` or `DYNAMIC`.
    pub routing_type: &'static str,
}

/// `InterconnectAttachmentInfo`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterconnectAttachmentInfo {
    /// The attachment.
    pub attachment: Resource,
    /// Its Cloud Router.
    pub cloud_router: Option<Resource>,
}

/// `HybridSubnetInfo`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HybridSubnetInfo {
    /// The subnet.
    pub subnetwork: Resource,
}

/// `EndpointInfo`: what a packet is, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointInfo {
    /// Addresses and ports.
    pub ends: Ends,
    /// IP protocol, such as `TCP`.
    pub protocol: &'static str,
}

impl EndpointInfo {
    /// That of a packet.
    pub fn of(packet: &Packet) -> EndpointInfo {
        let protocol = packet.flow().map_or("", |flow| flow.protocol().label());
        EndpointInfo { ends: Ends::of(packet), protocol }
    }
}

/// `ForwardingRuleInfo`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardingRuleInfo {
    /// The rule.
    pub rule: Resource,
    /// VPC network.
    pub network: Resource,
    /// `TCP`, `UDP` and so on.
    pub matched_protocol: String,
    /// Ports that it takes; empty is all.
    pub matched_port_range: String,
    /// Its address.
    pub vip: IpAddr,
    /// Service attachment that it leads to.
    pub psc_service_attachment: Option<Resource>,
    /// Bundle of Google APIs that it leads to.
    pub psc_google_api_target: Option<&'static str>,
}

names! {
    /// `GoogleServiceInfo.GoogleServiceType`
    GoogleServiceType {
        Iap = "IAP",
        GfeProxyOrHealthCheckProber = "GFE_PROXY_OR_HEALTH_CHECK_PROBER",
        CloudDns = "CLOUD_DNS",
        GoogleApi = "GOOGLE_API",
        GoogleApiPsc = "GOOGLE_API_PSC",
        GoogleApiVpcSc = "GOOGLE_API_VPC_SC",
        ServerlessVpcAccess = "SERVERLESS_VPC_ACCESS",
        /// Of [`DeliverInfo`] only.
        PrivateGoogleAccess = "PRIVATE_GOOGLE_ACCESS",
    }
}

/// `GoogleServiceInfo`: a reply that begins at a Google service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoogleServiceInfo {
    /// Address that answers.
    pub source_ip: IpAddr,
    /// Which service.
    pub service_type: GoogleServiceType,
}

names! {
    /// `DeliverInfo.Target`
    DeliverTarget {
        Instance = "INSTANCE",
        Internet = "INTERNET",
        GoogleApi = "GOOGLE_API",
        PscPublishedService = "PSC_PUBLISHED_SERVICE",
        PscGoogleApi = "PSC_GOOGLE_API",
        PscVpcSc = "PSC_VPC_SC",
        PrivateNetwork = "PRIVATE_NETWORK",
        CloudFunction = "CLOUD_FUNCTION",
        CloudRunRevision = "CLOUD_RUN_REVISION",
        CloudRunJob = "CLOUD_RUN_JOB",
        GoogleManagedService = "GOOGLE_MANAGED_SERVICE",
    }
}

/// `DeliverInfo`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverInfo {
    /// What kind of destination.
    pub target: DeliverTarget,
    /// The destination, if it is a resource.
    pub resource: Option<Resource>,
    /// Its address.
    pub ip_address: IpAddr,
    /// Which Google service.
    pub google_service: Option<GoogleServiceType>,
    /// Bundle of a Private Service Connect endpoint for Google APIs.
    pub psc_google_api_target: Option<String>,
}

impl DeliverInfo {
    /// A destination that is no resource of the scenario.
    pub fn to(target: DeliverTarget, ip_address: impl Into<IpAddr>) -> DeliverInfo {
        DeliverInfo {
            target,
            resource: None,
            ip_address: ip_address.into(),
            google_service: None,
            psc_google_api_target: None,
        }
    }
}

names! {
    /// `ForwardInfo.Target`
    ForwardTarget {
        PeeringVpc = "PEERING_VPC",
        VpnGateway = "VPN_GATEWAY",
        Interconnect = "INTERCONNECT",
        ImportedCustomRouteNextHop = "IMPORTED_CUSTOM_ROUTE_NEXT_HOP",
        RouterAppliance = "ROUTER_APPLIANCE",
        /// An internal load balancer whose backends the scenario does not hold: Google has no word for it.
        LoadBalancer = "SIM_LOAD_BALANCER",
    }
}

/// `ForwardInfo`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardInfo {
    /// What kind of network or device it went to.
    pub target: ForwardTarget,
    /// The next hop.
    pub resource: Option<Resource>,
    /// Destination address.
    pub ip_address: IpAddr,
}

/// `DropInfo`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropInfo {
    /// Why.
    pub cause: DropCause,
    /// Source address of the packet as it stopped.
    pub source_ip: IpAddr,
    /// Destination address of the packet as it stopped.
    pub destination_ip: IpAddr,
}

/// `AbortInfo`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbortInfo {
    /// Why.
    pub cause: AbortCause,
    /// What it is about.
    pub resource: Option<Resource>,
}
