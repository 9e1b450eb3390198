//! Cloud Router and its NAT gateways, as `gcloud compute routers describe` prints them
//! (<https://cloud.google.com/compute/docs/reference/rest/v1/routers>).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compute::NetworkTier;
use super::google_enum;
use crate::scenario::value::{At, Cidr, Reference};

/// A Cloud Router.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Router {
    /// Its name.
    pub name: At<Reference>,
    /// Its network.
    pub network: At<Reference>,
    /// Its region. May be left out when the whole scenario names one region only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<At<Reference>>,
    /// Its NAT gateways, at most 50. A network has at most 5 routers in a region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats: Option<Vec<At<RouterNat>>>,
    /// When it was made (RFC 3339). Decides TIME_WAIT of a gateway that does not say: 120 s before 2026-06-30, 30 s from
    /// 2026-09-30 on; in between Google chose by region, and `model.nat.timeWaitDefault` is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_timestamp: Option<At<String>>,
    /// What it tells the networks behind its VPN tunnels and attachments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bgp: Option<RouterBgp>,
    /// Its interfaces: which peer is behind which tunnel or attachment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Vec<At<RouterInterface>>>,
    /// Its peers, of which one may be told something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bgp_peers: Option<Vec<At<BgpPeer>>>,
}

/// What a Cloud Router tells all its peers.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouterBgp {
    /// `DEFAULT` (default): the subnets, of the router's region or, with global dynamic routing, of all regions. `CUSTOM`: what
    /// the lists say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise_mode: Option<At<AdvertiseMode>>,
    /// With `CUSTOM`: `ALL_SUBNETS` adds those that `DEFAULT` would tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertised_groups: Option<Vec<At<AdvertisedGroup>>>,
    /// With `CUSTOM`: ranges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertised_ip_ranges: Option<Vec<At<AdvertisedRange>>>,
    /// Seconds between keepalives, 1 to 60, default 20. After three without one, the routes learned are withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keepalive_interval: Option<At<i64>>,
}

google_enum! {
    /// Whether a router chooses itself what it tells.
    AdvertiseMode { Default, Custom }
}

google_enum! {
    /// What a router tells by a common name.
    AdvertisedGroup { AllSubnets }
}

/// A range that a router tells.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdvertisedRange {
    /// The range.
    pub range: At<Cidr>,
}

/// An interface of a Cloud Router.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouterInterface {
    /// Its name.
    pub name: At<Reference>,
    /// The VPN tunnel it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linked_vpn_tunnel: Option<At<Reference>>,
    /// The Interconnect attachment it is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linked_interconnect_attachment: Option<At<Reference>>,
}

/// A peer of a Cloud Router.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BgpPeer {
    /// Its name.
    pub name: At<Reference>,
    /// The interface it is behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface_name: Option<At<Reference>>,
    /// As `bgp.advertiseMode`, for this peer. Default: the router's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise_mode: Option<At<AdvertiseMode>>,
    /// As `bgp.advertisedGroups`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertised_groups: Option<Vec<At<AdvertisedGroup>>>,
    /// As `bgp.advertisedIpRanges`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertised_ip_ranges: Option<Vec<At<AdvertisedRange>>>,
}

/// A NAT gateway; in `patchNat.set` the fields to change.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouterNat {
    /// Its name: 1 to 63 lower-case letters, digits and hyphens. Required, except in `patchNat.set`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<At<Reference>>,
    /// `PUBLIC` (default). `PRIVATE` is not simulated. Cannot change.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub nat_type: Option<At<NatType>>,
    /// What it serves, one type a gateway. Default `ENDPOINT_TYPE_VM`: VMs, connectors and Direct VPC egress. Cannot change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_types: Option<Vec<At<EndpointType>>>,
    /// Who provides the NAT IPs. Required. A change replaces all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_ip_allocate_option: Option<At<NatIpAllocateOption>>,
    /// The NAT IPs, for `MANUAL_ONLY`: at most 300, of one network tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_ips: Option<At<Vec<At<Reference>>>>,
    /// NAT IPs that keep their connections and take no new ones. Google takes them in updates only; here a gateway may begin
    /// in the middle of draining.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_nat_ips: Option<At<Vec<At<Reference>>>>,
    /// `PREMIUM` (default) or `STANDARD`: the tier of the NAT IPs of `AUTO_ONLY`. A change replaces all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_network_tier: Option<At<NetworkTier>>,
    /// Which ranges it serves. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_subnetwork_ip_ranges_to_nat: Option<At<SourceRanges>>,
    /// The subnets it serves, for `LIST_OF_SUBNETWORKS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnetworks: Option<At<Vec<At<NatSubnetwork>>>>,
    /// Ports an endpoint has at least; with static allocation also at most. 2 to 57,344, default 64; with dynamic
    /// allocation a power of two from 32 to 32,768, default 32.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ports_per_vm: Option<At<i64>>,
    /// Ports an endpoint can grow to, with dynamic allocation: a power of two from 64 to 65,536, default 65,536.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ports_per_vm: Option<At<i64>>,
    /// Dynamic port allocation. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_dynamic_port_allocation: Option<At<bool>>,
    /// Endpoint-independent mapping: a source address and port keeps its NAT IP and port for all destinations. Default
    /// false; excludes dynamic port allocation and rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_endpoint_independent_mapping: Option<At<bool>>,
    /// Seconds, default 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub udp_idle_timeout_sec: Option<At<i64>>,
    /// Seconds, default 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_idle_timeout_sec: Option<At<i64>>,
    /// Seconds, default 1200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_established_idle_timeout_sec: Option<At<i64>>,
    /// Seconds, default 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_transitory_idle_timeout_sec: Option<At<i64>>,
    /// Seconds a closed connection keeps its port. Default: `effectiveTcpTimeWaitTimeoutSec`, else by the router's
    /// `creationTimestamp`, else `model.nat.timeWaitDefault`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_time_wait_timeout_sec: Option<At<i64>>,
    /// Output-only: what applies if `tcpTimeWaitTimeoutSec` is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_tcp_time_wait_timeout_sec: Option<At<i64>>,
    /// Logging. Default off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_config: Option<NatLogConfig>,
    /// NAT rules: other NAT IPs for some packets, for `MANUAL_ONLY` without endpoint-independent mapping. An endpoint has
    /// ports of its own in each rule. In `patchNat.set` they replace all rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<At<Vec<At<NatRule>>>>,
    /// IPv6 ranges it serves. Not simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_subnetwork_ip_ranges_to_nat64: Option<At<SourceRanges64>>,
}

google_enum! {
    /// Public or Private NAT.
    NatType { Public, Private }
}

google_enum! {
    /// What a gateway serves.
    EndpointType {
        #[serde(rename = "ENDPOINT_TYPE_VM")] Vm,
        #[serde(rename = "ENDPOINT_TYPE_SWG")] SecureWebProxy,
        #[serde(rename = "ENDPOINT_TYPE_MANAGED_PROXY_LB")] ManagedProxyLb,
    }
}

google_enum! {
    /// Who provides the NAT IPs.
    NatIpAllocateOption { AutoOnly, ManualOnly }
}

google_enum! {
    /// Which ranges a gateway serves.
    SourceRanges { AllSubnetworksAllIpRanges, AllSubnetworksAllPrimaryIpRanges, ListOfSubnetworks }
}

google_enum! {
    /// Which IPv6 ranges a gateway serves.
    SourceRanges64 {
        #[serde(rename = "ALL_IPV6_SUBNETWORKS")] AllIpv6Subnetworks,
        #[serde(rename = "LIST_OF_IPV6_SUBNETWORKS")] ListOfIpv6Subnetworks,
    }
}

/// A subnet that a gateway serves.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NatSubnetwork {
    /// The subnet.
    pub name: At<Reference>,
    /// Which of its ranges. Default `ALL_IP_RANGES`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip_ranges_to_nat: Option<Vec<At<SubnetworkRanges>>>,
    /// The secondary ranges, for `LIST_OF_SECONDARY_IP_RANGES`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secondary_ip_range_names: Option<Vec<At<Reference>>>,
}

google_enum! {
    /// Ranges of a subnet.
    SubnetworkRanges { AllIpRanges, PrimaryIpRange, ListOfSecondaryIpRanges }
}

/// Logging of a gateway.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NatLogConfig {
    /// Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable: Option<bool>,
    /// Default `ALL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<At<NatLogFilter>>,
}

google_enum! {
    /// What is logged.
    NatLogFilter { All, ErrorsOnly, TranslationsOnly }
}

/// A NAT rule: other NAT IPs for some packets. What no rule matches leaves from the gateway's own `natIps`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NatRule {
    /// 0 to 65000, unique in the gateway. Required. 65001 is the default rule: the gateway's own `natIps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_number: Option<At<i64>>,
    /// Which packets: conditions joined by `||`, such as `destination.ip == '198.51.100.7'` or
    /// `inIpRange(destination.ip, '198.51.100.0/28')`, or all of them with `source.ip`. Required. Ranges of two rules must
    /// not overlap.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub condition: Option<At<String>>,
    /// Which NAT IPs they leave from. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<NatRuleAction>,
}

/// NAT IPs of a rule.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NatRuleAction {
    /// Active NAT IPs, at least one, of one network tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_nat_active_ips: Option<Vec<At<Reference>>>,
    /// NAT IPs being drained, as in `drainNatIps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_nat_drain_ips: Option<Vec<At<Reference>>>,
    /// Subnets of Private NAT. A Public NAT has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_nat_active_ranges: Option<Vec<At<Reference>>>,
    /// Subnets of Private NAT that are being drained. A Public NAT has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_nat_drain_ranges: Option<Vec<At<Reference>>>,
}
