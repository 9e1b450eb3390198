//! Firewall rules and policies, as `gcloud compute firewall-rules describe`, `… firewall-policies describe`, `…
//! network-firewall-policies describe` and `… networks get-effective-firewalls` print them. Field names, enum strings and
//! defaults are those of the Compute Engine API v1 (<https://cloud.google.com/compute/docs/reference/rest/v1>).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::google_enum;
use crate::scenario::value::{At, Cidr, Reference};

/// A VPC firewall rule. Either `allowed` or `denied` is given.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Firewall {
    /// Its name. Required, except in `patchFirewall.set`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<At<Reference>>,
    /// Its network. Default `default`, as in the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<At<Reference>>,
    /// Default `INGRESS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<At<Direction>>,
    /// 0 to 65535, the lower is evaluated first, deny wins a tie. Default 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<At<i64>>,
    /// What is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<At<Vec<At<FirewallProtocol>>>>,
    /// What is denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied: Option<At<Vec<At<FirewallProtocol>>>>,
    /// Sources. Default, for `INGRESS` without other sources: 0.0.0.0/0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ranges: Option<At<Vec<At<Cidr>>>>,
    /// Destinations. Default, for `EGRESS`: 0.0.0.0/0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_ranges: Option<At<Vec<At<Cidr>>>>,
    /// Network tags of sources, for `INGRESS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_tags: Option<At<Vec<At<String>>>>,
    /// Service accounts of sources, for `INGRESS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_service_accounts: Option<At<Vec<At<String>>>>,
    /// Network tags of the instances it applies to. Default: all instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_tags: Option<At<Vec<At<String>>>>,
    /// Service accounts of the instances it applies to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_service_accounts: Option<At<Vec<At<String>>>>,
    /// Ignored when true. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<At<bool>>,
    /// Firewall rules logging.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_config: Option<At<FirewallLogConfig>>,
}

/// Firewall rules logging. No log is written here.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FirewallLogConfig {
    /// Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable: Option<bool>,
}

google_enum! {
    /// Direction of a firewall rule, seen from its target.
    Direction { Ingress, Egress }
}

/// A protocol with its ports.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FirewallProtocol {
    /// `tcp`, `udp`, `icmp`, `esp`, `ah`, `ipip`, `sctp`, `all`, or an IANA number.
    #[serde(rename = "IPProtocol")]
    pub ip_protocol: At<String>,
    /// Destination ports: `80` or `8000-8999`; for TCP, UDP and SCTP only. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<At<String>>>,
}

/// A firewall policy: hierarchical, if its parent or an association is an organization or a folder; else of networks, and
/// regional if it has a region.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FirewallPolicy {
    /// Its name; a number, for a hierarchical policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<At<Reference>>,
    /// What people call a hierarchical policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub short_name: Option<At<String>>,
    /// The older name of `shortName`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<At<String>>,
    /// The organization or folder that holds a hierarchical policy: `organizations/123` or `folders/456`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<At<Reference>>,
    /// The region that a regional policy is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<At<Reference>>,
    /// What the policy is in force for. Organizations and folders: all networks here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub associations: Option<At<Vec<At<FirewallPolicyAssociation>>>>,
    /// What `get-effective-firewalls` says instead of associations: policies that it prints are in force.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub policy_type: Option<At<FirewallPolicyType>>,
    /// The policy's own priority, as `get-effective-firewalls` prints it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<At<i64>>,
    /// Its rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<At<FirewallPolicyRule>>>,
}

google_enum! {
    /// Kind of a policy in an effective firewall.
    FirewallPolicyType { Hierarchy, Network, NetworkRegional, SystemGlobal, SystemRegional, Unspecified }
}

/// What a policy is in force for.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FirewallPolicyAssociation {
    /// A network, `organizations/123` or `folders/456`.
    pub attachment_target: At<Reference>,
}

/// A rule of a firewall policy.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FirewallPolicyRule {
    /// Its name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_name: Option<At<String>>,
    /// 0 to 2147483647, the lower is evaluated first. Unique in the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub priority: Option<At<i64>>,
    /// What becomes of packets that match.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub action: Option<At<FirewallPolicyAction>>,
    /// Which way. Default `INGRESS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<At<Direction>>,
    /// Which packets.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub matches: Option<At<FirewallMatch>>,
    /// Of hierarchical policies: the networks it applies in. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_resources: Option<At<Vec<At<Reference>>>>,
    /// Service accounts of the instances it applies to. Default: all instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_service_accounts: Option<At<Vec<At<String>>>>,
    /// Secure tags of the VMs it applies to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_secure_tags: Option<At<Vec<At<FirewallSecureTag>>>>,
    /// What kind of resource it applies to. Only `INSTANCES` are simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_type: Option<At<FirewallTargetType>>,
    /// Load balancers it applies to. Not simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_forwarding_rules: Option<At<Vec<At<Reference>>>>,
    /// With `apply_security_profile_group`: the group that Cloud NGFW Enterprise inspects with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_profile_group: Option<At<Reference>>,
    /// Ignored when true. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<At<bool>>,
    /// Firewall rules logging. No log is written here. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_logging: Option<At<bool>>,
}

/// What a rule of a policy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FirewallPolicyAction {
    /// It passes.
    Allow,
    /// It is dropped.
    Deny,
    /// The next policy, or what comes after the policies, decides.
    GotoNext,
    /// It passes, and Cloud NGFW Enterprise inspects it.
    ApplySecurityProfileGroup,
}

google_enum! {
    /// What kind of resource a rule applies to.
    FirewallTargetType { Instances, InternalManagedLb }
}

/// Which packets a rule of a policy matches. Several ways to name a source are alternatives to each other.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FirewallMatch {
    /// Protocols and ports. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(required)]
    pub layer4_configs: Option<At<Vec<At<FirewallLayer4Config>>>>,
    /// Source ranges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_ip_ranges: Option<At<Vec<At<Cidr>>>>,
    /// Destination ranges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dest_ip_ranges: Option<At<Vec<At<Cidr>>>>,
    /// Secure tags of sources, for `INGRESS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_secure_tags: Option<At<Vec<At<FirewallSecureTag>>>>,
    /// Countries of sources, such as `US`: hosts that say so with `geoLocation.country`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_region_codes: Option<At<Vec<At<String>>>>,
    /// Countries of destinations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dest_region_codes: Option<At<Vec<At<String>>>>,
    /// Domain names of sources. Not simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_fqdns: Option<At<Vec<String>>>,
    /// Domain names of destinations. Not simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dest_fqdns: Option<At<Vec<String>>>,
    /// Address groups of sources. Not simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_address_groups: Option<At<Vec<String>>>,
    /// Address groups of destinations. Not simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dest_address_groups: Option<At<Vec<String>>>,
    /// Threat intelligence lists of sources. Not simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_threat_intelligences: Option<At<Vec<String>>>,
    /// Threat intelligence lists of destinations. Not simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dest_threat_intelligences: Option<At<Vec<String>>>,
    /// Networks of sources, with a network context of `VPC_NETWORKS`. Not simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_networks: Option<At<Vec<String>>>,
    /// Where sources are. Not simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_network_context: Option<At<FirewallNetworkContext>>,
    /// Where destinations are. Not simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dest_network_context: Option<At<FirewallNetworkContext>>,
    /// An older name of `srcNetworkContext`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_network_type: Option<At<FirewallNetworkContext>>,
    /// An older name of `destNetworkContext`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dest_network_type: Option<At<FirewallNetworkContext>>,
    /// An older name of `srcNetworkContext`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_network_scope: Option<At<FirewallNetworkContext>>,
    /// An older name of `destNetworkContext`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dest_network_scope: Option<At<FirewallNetworkContext>>,
}

google_enum! {
    /// Where the other end of a connection is.
    FirewallNetworkContext { Unspecified, Internet, NonInternet, VpcNetworks, IntraVpc }
}

/// A protocol with its ports, in a policy.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FirewallLayer4Config {
    /// `tcp`, `udp`, `icmp`, `esp`, `ah`, `ipip`, `sctp`, `all`, or an IANA number.
    pub ip_protocol: At<String>,
    /// Destination ports: `80` or `8000-8999`; for TCP, UDP and SCTP only. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<At<String>>>,
}

/// A secure tag.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FirewallSecureTag {
    /// Its value: `tagValues/456`.
    pub name: At<String>,
    /// Whether it is in effect: not, when the tag or its network was deleted. Default `EFFECTIVE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<At<FirewallSecureTagState>>,
}

google_enum! {
    /// Whether a secure tag is in effect.
    FirewallSecureTagState { Effective, Ineffective }
}
