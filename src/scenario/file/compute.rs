//! Compute Engine resources, as `gcloud compute … describe` prints them. Field names, enum strings and defaults are those
//! of the Compute Engine API v1 (<https://cloud.google.com/compute/docs/reference/rest/v1>).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::google_enum;
use crate::scenario::value::{Address, At, Cidr, Reference};

/// A VPC network.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// Its name.
    pub name: At<Reference>,
    /// Auto mode: Google makes a subnet in each region within 10.128.0.0/9. The simulator makes none: list those in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_create_subnetworks: Option<At<bool>>,
    /// No default route to the internet. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_default_routes_on_create: Option<At<bool>>,
    /// Maximum transmission unit in bytes, 1300 to 8896. Default 1460.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<At<i64>>,
    /// Its subnets may have internal IPv6 ranges. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_ula_internal_ipv6: Option<At<bool>>,
    /// The /48 of fd20::/20 that internal IPv6 ranges are parts of. Left out, it gets one, always the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_ipv6_range: Option<At<Cidr>>,
    /// Whether dynamic routing is for each region by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing_config: Option<RoutingConfig>,
    /// Peered networks. One that the scenario does not describe is a far side: addresses with `purpose: VPC_PEERING` and
    /// hosts with its name as `network` tell what is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peerings: Option<Vec<At<Peering>>>,
    /// Whether VPC firewall rules come before network firewall policies. Default `AFTER_CLASSIC_FIREWALL`: they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_firewall_policy_enforcement_order: Option<At<EnforcementOrder>>,
    /// The global network firewall policy that is associated with it; the policy's own `associations` say the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firewall_policy: Option<At<Reference>>,
}

google_enum! {
    /// Order of VPC firewall rules and network firewall policies.
    EnforcementOrder { AfterClassicFirewall, BeforeClassicFirewall }
}

/// Dynamic routing of a network.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoutingConfig {
    /// `REGIONAL` (default): Cloud Routers advertise the subnets of their own region, and only senders there take the
    /// routes they learn. `GLOBAL`: those of all regions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing_mode: Option<At<RoutingMode>>,
}

google_enum! {
    /// Reach of dynamic routing.
    RoutingMode { Regional, Global }
}

/// A peering with another network. It is active when the other network, if the scenario describes it, has one in return.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Peering {
    /// Its name.
    pub name: At<Reference>,
    /// The other network, often in another project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<At<Reference>>,
    /// Whether static and dynamic routes are exported to the peer. Those with network tags or with the default internet
    /// gateway as next hop never are, nor are policy-based routes. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export_custom_routes: Option<bool>,
    /// Whether static and dynamic routes are imported from the peer. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import_custom_routes: Option<bool>,
    /// Whether subnet routes are exchanged. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange_subnet_routes: Option<bool>,
    /// Whether routes of subnets with privately used public addresses are exported. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export_subnet_routes_with_public_ip: Option<bool>,
    /// Whether routes of subnets with privately used public addresses are imported. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import_subnet_routes_with_public_ip: Option<bool>,
    /// `IPV4_IPV6` where both sides say so: IPv6 routes are exchanged, too. Default `IPV4_ONLY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack_type: Option<At<StackType>>,
    /// Only an `ACTIVE` peering exchanges routes. Default: as the networks of the scenario have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<At<PeeringState>>,
}

google_enum! {
    /// State of a peering.
    PeeringState { Active, Inactive }
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subnetwork {
    /// Its name.
    pub name: At<Reference>,
    /// Its network.
    pub network: At<Reference>,
    /// Its region. May be left out when the whole scenario names one region only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<At<Reference>>,
    /// Primary IPv4 range, `/4` to `/29`. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub ip_cidr_range: Option<At<Cidr>>,
    /// Alias ranges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secondary_ip_ranges: Option<Vec<At<SecondaryRange>>>,
    /// Private Google Access. Default false; a Cloud NAT gateway that covers the primary range turns it on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_ip_google_access: Option<At<bool>>,
    /// What it is for. Default `PRIVATE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<At<SubnetworkPurpose>>,
    /// IP versions. Default `IPV4_ONLY`; Cloud Run uses that and `IPV4_IPV6`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack_type: Option<At<StackType>>,
    /// With `stackType: IPV4_IPV6`: whether the IPv6 range is one of the network's own or is routed on the internet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_access_type: Option<At<Ipv6AccessType>>,
    /// Its internal IPv6 range, a /64. Left out, it gets one of the network's, always the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub internal_ipv6_prefix: Option<At<Cidr>>,
    /// Its external IPv6 range, a /64. Left out, it gets one from 2001:db8::/32, always the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_ipv6_prefix: Option<At<Cidr>>,
    /// Either of them, as `describe` prints it, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_cidr_range: Option<At<Cidr>>,
    /// A hybrid subnet: what nothing in it has may be reached by routes inside its range. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_subnet_cidr_routes_overlap: Option<bool>,
}

google_enum! {
    /// What a subnet is for.
    SubnetworkPurpose {
        Private, #[serde(rename = "PRIVATE_RFC_1918")] PrivateRfc1918, PrivateNat, PrivateServiceConnect,
        RegionalManagedProxy, GlobalManagedProxy, InternalHttpsLoadBalancer, PeerMigration, Aggregate, CloudExtension,
    }
}

google_enum! {
    /// Kind of the IPv6 range of a subnet.
    Ipv6AccessType { Internal, External }
}

google_enum! {
    /// IP versions of a subnet or an interface.
    StackType { #[serde(rename = "IPV4_ONLY")] Ipv4Only, #[serde(rename = "IPV4_IPV6")] Ipv4Ipv6, #[serde(rename = "IPV6_ONLY")] Ipv6Only }
}

/// An alias range of a subnet.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecondaryRange {
    /// Its name.
    pub range_name: At<Reference>,
    /// The range.
    pub ip_cidr_range: At<Cidr>,
}

/// A custom route; subnet routes follow from the subnets. Exactly one `nextHop…` is given.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Its name.
    pub name: At<Reference>,
    /// Its network.
    pub network: At<Reference>,
    /// Destination range. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub dest_range: Option<At<Cidr>>,
    /// 0 to 65535, the lower wins among routes of equal prefix length. Default 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<At<i64>>,
    /// Applies only to instances with one of these network tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<At<String>>>,
    /// `default-internet-gateway`: the only next hop behind which Cloud NAT works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_gateway: Option<At<Reference>>,
    /// A VM instance. It needs `canIpForward`; while it is not `RUNNING`, nobody takes the route. One that the scenario does
    /// not describe is assumed up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_instance: Option<At<Reference>>,
    /// Primary internal address of a VM. One that the scenario does not describe is assumed up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_ip: Option<At<Address>>,
    /// A Cloud VPN tunnel. One that is not `ESTABLISHED` takes packets all the same, and loses them. One that the scenario
    /// does not describe is assumed up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_vpn_tunnel: Option<At<Reference>>,
    /// An internal load balancer that passes packets through: a forwarding rule or its address. Its backends are assumed up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_ilb: Option<At<Reference>>,
    /// The network itself: a subnet route, which exists anyway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_network: Option<At<Reference>>,
    /// A peering: a subnet route of the peered network, which exists anyway; of one that is not described it tells a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_peering: Option<At<Reference>>,
    /// A Network Connectivity Center hub. Not simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_hub: Option<At<Reference>>,
    /// An Interconnect attachment. One that the scenario does not describe is assumed up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_interconnect_attachment: Option<At<Reference>>,
    /// `STATIC` (default) or `BGP`: learned by a Cloud Router over the tunnel or attachment that is its next hop. A route to
    /// an attachment is `BGP` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_type: Option<At<RouteType>>,
    /// Of a `BGP` route: what the other side says of its preference; it takes the place of the priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_med: Option<At<i64>>,
    /// Of a `BGP` route, with global dynamic routing: what senders of other regions add to the priority. Default
    /// `model.routing.interRegionCost`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_inter_region_cost: Option<At<i64>>,
}

google_enum! {
    /// Who made a route. `SUBNET` and `TRANSIT` are Google's own.
    RouteType { Bgp, Static, Subnet, Transit }
}

/// A reserved address. Cloud NAT uses external ones; a range with `purpose: VPC_PEERING` lies behind a peering.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReservedAddress {
    /// Its name.
    pub name: At<Reference>,
    /// The address. An external one that is left out gets one from 203.0.113.0/24, always the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<At<Address>>,
    /// Default `EXTERNAL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_type: Option<At<AddressType>>,
    /// Its region; a NAT IP is in its gateway's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<At<Reference>>,
    /// `PREMIUM` (default) or `STANDARD`. The NAT IPs of one list have one tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_tier: Option<At<NetworkTier>>,
    /// What an internal one is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<At<AddressPurpose>>,
    /// Length of a range, with `purpose: VPC_PEERING`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix_length: Option<At<i64>>,
    /// The network of a range, with `purpose: VPC_PEERING`, or of an address, with `purpose: PRIVATE_SERVICE_CONNECT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<At<Reference>>,
}

google_enum! {
    /// What a reserved address is for.
    AddressPurpose {
        DnsResolver, GceEndpoint, IpsecInterconnect, NatAuto, PrivateServiceConnect, Serverless, SharedLoadbalancerVip,
        VpcPeering, ApplicationLoadBalancer,
    }
}

google_enum! {
    /// Kind of a reserved address.
    AddressType { External, Internal, UnspecifiedType }
}

google_enum! {
    /// Network service tier.
    NetworkTier { Premium, Standard, FixedStandard, StandardOverridesFixedStandard }
}

/// A Compute Engine VM: an endpoint of Cloud NAT, a next hop or a destination.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// Its name.
    pub name: At<Reference>,
    /// Its zone, such as `us-central1-a`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<At<Reference>>,
    /// Interfaces; the first one is simulated.
    pub network_interfaces: At<Vec<At<InstanceInterface>>>,
    /// Its machine type, such as `e2-standard-4`: how many connections the firewall tracks for it depends on the vCPUs.
    /// Default: as with one vCPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_type: Option<At<Reference>>,
    /// What it was made with; `describe` does not print it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<InstanceParams>,
    /// Network tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<InstanceTags>,
    /// Service accounts; the first one counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_accounts: Option<Vec<InstanceServiceAccount>>,
    /// Only a `RUNNING` one sends and answers. Default `RUNNING`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<At<InstanceStatus>>,
    /// It takes and sends packets of others, as a next hop must. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_ip_forward: Option<At<bool>>,
}

google_enum! {
    /// State of a VM.
    InstanceStatus {
        Running, Provisioning, Staging, Stopping, Stopped, Suspending, Suspended, Terminated, Repairing, Deprovisioning, Pending, PendingStop,
    }
}

/// What a VM was made with.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceParams {
    /// Secure tags: `tagKeys/123: tagValues/456`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_manager_tags: Option<BTreeMap<String, At<String>>>,
}

/// Network tags of a VM.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceTags {
    /// The tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<At<String>>>,
}

/// Service account of a VM.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceServiceAccount {
    /// Its e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<At<String>>,
}

/// Network interface of a VM.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceInterface {
    /// Its network; follows from the subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<At<Reference>>,
    /// Its subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnetwork: Option<At<Reference>>,
    /// Primary internal address. Default: the first free one of the subnet.
    #[serde(rename = "networkIP", skip_serializing_if = "Option::is_none")]
    pub network_ip: Option<At<Address>>,
    /// External access: one entry gives the interface an external address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_configs: Option<Vec<At<AccessConfig>>>,
    /// Alias ranges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias_ip_ranges: Option<Vec<At<AliasRange>>>,
    /// IP versions. Default `IPV4_ONLY`; `IPV4_IPV6` in a dual-stack subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack_type: Option<At<StackType>>,
    /// Internal IPv6 address. Default: of the first free /96 of the subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_address: Option<At<Address>>,
    /// External access by IPv6: what the interface has instead in a subnet with an external range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_access_configs: Option<Vec<At<Ipv6AccessConfig>>>,
}

/// External access of an interface by IPv6.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ipv6AccessConfig {
    /// The external address. Default: of the first free /96 of the subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_ipv6: Option<At<Address>>,
}

/// External access of an interface.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessConfig {
    /// The external address. Left out, it gets one from 203.0.113.0/24, always the same.
    #[serde(rename = "natIP", skip_serializing_if = "Option::is_none")]
    pub nat_ip: Option<At<Address>>,
}

/// Alias range of an interface.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AliasRange {
    /// The range.
    pub ip_cidr_range: At<Cidr>,
    /// The secondary range of the subnet that it is from. Default: the primary range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnetwork_range_name: Option<At<Reference>>,
}

/// A forwarding rule: an internal load balancer, or an endpoint of Private Service Connect. Those of external load balancers
/// are not simulated.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForwardingRule {
    /// Its name.
    pub name: At<Reference>,
    /// Its address, or the name of a reserved one.
    #[serde(rename = "IPAddress", skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<At<String>>,
    /// Its network; follows from the subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<At<Reference>>,
    /// Its subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnetwork: Option<At<Reference>>,
    /// Its region. One for Google APIs is global.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<At<Reference>>,
    /// What it takes. Default `TCP`.
    #[serde(rename = "IPProtocol", skip_serializing_if = "Option::is_none")]
    pub ip_protocol: Option<At<ForwardingProtocol>>,
    /// Ports that it takes: `80` or `8000-8080`, at most five.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<At<String>>>,
    /// The same as one range: `80-80`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_range: Option<At<String>>,
    /// All ports. It is the default here: Google wants one of the three.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_ports: Option<At<bool>>,
    /// With Private Service Connect: `all-apis`, `vpc-sc`, or a path to a service attachment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<At<Reference>>,
    /// `INTERNAL` (default here), `INTERNAL_MANAGED`, or one of an external load balancer; empty with Private Service Connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancing_scheme: Option<At<String>>,
    /// Clients of other regions are served. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_global_access: Option<bool>,
    /// The same for an endpoint of Private Service Connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_psc_global_access: Option<bool>,
    /// Only an `ACCEPTED` endpoint of a published service works. Default `ACCEPTED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psc_connection_status: Option<At<PscConnectionStatus>>,
}

google_enum! {
    /// What a forwarding rule takes.
    ForwardingProtocol { Tcp, Udp, Esp, Ah, Sctp, Icmp, #[serde(rename = "L3_DEFAULT")] L3Default }
}

google_enum! {
    /// State of an endpoint of a published service.
    PscConnectionStatus { Accepted, Closed, NeedsAttention, Pending, Rejected, StatusUnspecified }
}

/// A Cloud VPN tunnel.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VpnTunnel {
    /// Its name.
    pub name: At<Reference>,
    /// Its region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<At<Reference>>,
    /// The Cloud Router that exchanges routes over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router: Option<At<Reference>>,
    /// Only an `ESTABLISHED` one carries packets. Default `ESTABLISHED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<At<TunnelStatus>>,
    /// Ranges on Google's side that it carries. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_traffic_selector: Option<Vec<At<Cidr>>>,
    /// Ranges on the other side that it carries. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_traffic_selector: Option<Vec<At<Cidr>>>,
}

google_enum! {
    /// State of a VPN tunnel.
    TunnelStatus {
        AllocatingResources, AuthorizationError, Deprovisioning, Established, Failed, FirstHandshake, NegotiationFailure,
        NetworkError, NoIncomingPackets, Provisioning, Rejected, Stopped, WaitingForFullConfig,
    }
}

/// An Interconnect attachment.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InterconnectAttachment {
    /// Its name.
    pub name: At<Reference>,
    /// Its region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<At<Reference>>,
    /// The Cloud Router that exchanges routes over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router: Option<At<Reference>>,
    /// Only an `OS_ACTIVE` one carries packets. Default `OS_ACTIVE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operational_status: Option<At<OperationalStatus>>,
    /// Switched on. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_enabled: Option<At<bool>>,
}

google_enum! {
    /// State of an Interconnect attachment.
    OperationalStatus { OsActive, OsUnprovisioned }
}

/// A policy-based route (Network Connectivity API). Packets of connectors and of Direct VPC egress are treated like those of
/// VMs.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyBasedRoute {
    /// Its name.
    pub name: At<Reference>,
    /// Its network.
    pub network: At<Reference>,
    /// 1 to 65535, the lower wins. Default 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<At<i64>>,
    /// Which packets. Default: all of IPv4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<At<PolicyFilter>>,
    /// VMs whose packets it takes. Default: all, and attachments and tunnels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtual_machine: Option<At<PolicyMachines>>,
    /// Attachments whose packets it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interconnect_attachment: Option<At<PolicyAttachments>>,
    /// Address of the internal load balancer it leads to. Either this or `nextHopOtherRoutes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_ilb_ip: Option<At<Address>>,
    /// `DEFAULT_ROUTING` skips the policy-based routes of lower priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_other_routes: Option<At<OtherRoutes>>,
}

/// Packets that a policy-based route takes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyFilter {
    /// `ALL` (default), `TCP` or `UDP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_protocol: Option<At<PolicyProtocol>>,
    /// Source range. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_range: Option<At<Cidr>>,
    /// Destination range. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dest_range: Option<At<Cidr>>,
    /// `IPV4` (default) or `IPV6`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<At<ProtocolVersion>>,
}

google_enum! {
    /// Protocol of a policy-based route.
    PolicyProtocol { All, Tcp, Udp }
}

google_enum! {
    /// Version of IP of a policy-based route.
    ProtocolVersion { ProtocolVersionUnspecified, #[serde(rename = "IPV4")] Ipv4, #[serde(rename = "IPV6")] Ipv6 }
}

google_enum! {
    /// What decides instead of a policy-based route.
    OtherRoutes { OtherRoutesUnspecified, DefaultRouting }
}

/// VMs whose packets a policy-based route takes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyMachines {
    /// Those with one of these network tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<At<String>>>,
}

/// Attachments whose packets a policy-based route takes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyAttachments {
    /// Those of this region, or `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<At<Reference>>,
}
