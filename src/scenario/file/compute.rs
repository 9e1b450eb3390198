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
    /// Peered networks. Not simulated yet.
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

/// A peering with another network.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Peering {
    /// Its name.
    pub name: At<Reference>,
    /// The other network, often in another project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<At<Reference>>,
    /// Whether custom routes are exported to the peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export_custom_routes: Option<bool>,
    /// Whether custom routes are imported from the peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import_custom_routes: Option<bool>,
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
    /// IP versions. Only IPv4 is simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack_type: Option<At<StackType>>,
}

google_enum! {
    /// What a subnet is for.
    SubnetworkPurpose {
        Private, #[serde(rename = "PRIVATE_RFC_1918")] PrivateRfc1918, PrivateNat, PrivateServiceConnect,
        RegionalManagedProxy, GlobalManagedProxy, InternalHttpsLoadBalancer, PeerMigration, Aggregate, CloudExtension,
    }
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
    /// A VM instance; assumed up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_instance: Option<At<Reference>>,
    /// Address of a VM or appliance; assumed up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_ip: Option<At<Address>>,
    /// A Cloud VPN tunnel; assumed up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_vpn_tunnel: Option<At<Reference>>,
    /// An internal load balancer: a forwarding rule or its address; assumed up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_ilb: Option<At<Reference>>,
    /// The network itself: a subnet route, which exists anyway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_network: Option<At<Reference>>,
    /// A peered network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_peering: Option<At<Reference>>,
    /// A Network Connectivity Center hub. Not simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_hub: Option<At<Reference>>,
    /// An Interconnect attachment; assumed up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_interconnect_attachment: Option<At<Reference>>,
}

/// A reserved address. Cloud NAT uses external ones.
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
    /// IP versions. Only IPv4 is simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack_type: Option<At<StackType>>,
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

/// A forwarding rule of an internal load balancer. Assumed up; not simulated.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForwardingRule {
    /// Its name.
    pub name: At<Reference>,
    /// Its address.
    #[serde(rename = "IPAddress", skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<At<String>>,
    /// Its network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<At<Reference>>,
    /// Its subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnetwork: Option<At<Reference>>,
    /// Its region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<At<Reference>>,
}

/// A Cloud VPN tunnel. Assumed up; not simulated.
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
}

/// An Interconnect attachment. Assumed up; not simulated.
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
}

/// A policy-based route (Network Connectivity API). Not simulated yet.
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
    /// Address of the internal load balancer it leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_ilb_ip: Option<At<Address>>,
    /// `DEFAULT_ROUTING` skips the policy-based routes of lower priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop_other_routes: Option<At<String>>,
}
