//! What was observed of a running network, to compare a simulation with: what `gcloud compute routers get-nat-mapping-info`,
//! `get-status` and `get-nat-ip-info` print (Compute Engine API v1,
//! <https://cloud.google.com/compute/docs/reference/rest/v1/routers>).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scenario::value::{Address, At, Reference};

/// What was observed. It changes nothing of the simulation: `run` tells how far its start is the same.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// Items of `get-nat-mapping-info`: which ports each VM has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_mappings: Option<Vec<At<VmNatMappings>>>,
    /// Items of `result.natStatus` of `get-status`: how each gateway is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_status: Option<Vec<At<ObservedNatStatus>>>,
    /// Items of `result` of `get-nat-ip-info`: which NAT IPs are in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_ip_info: Option<Vec<At<NatIpInfo>>>,
}

/// The ports of a VM.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VmNatMappings {
    /// Its name.
    pub instance_name: At<String>,
    /// Its interfaces. One with several blocks of ports may be here several times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface_nat_mappings: Option<Vec<At<InterfaceNatMappings>>>,
}

/// Ports of an interface.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InterfaceNatMappings {
    /// Its primary address.
    pub source_virtual_ip: At<Address>,
    /// The alias range that the ports are for. Not compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_alias_ip_range: Option<At<String>>,
    /// `203.0.113.10:1024-1087`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_ip_port_ranges: Option<Vec<At<String>>>,
    /// Ports on NAT IPs that are being drained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_nat_ip_port_ranges: Option<Vec<At<String>>>,
    /// Ports under NAT rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_mappings: Option<Vec<At<NatRuleMappings>>>,
}

/// Ports of an interface under a NAT rule.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NatRuleMappings {
    /// The rule.
    pub rule_number: At<u32>,
    /// `203.0.113.20:1024-1087`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_ip_port_ranges: Option<Vec<At<String>>>,
    /// Ports on NAT IPs that are being drained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_nat_ip_port_ranges: Option<Vec<At<String>>>,
}

/// How a gateway is.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObservedNatStatus {
    /// Its name.
    pub name: At<String>,
    /// NAT IPs that Google chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_allocated_nat_ips: Option<Vec<At<Address>>>,
    /// NAT IPs that the user chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_allocated_nat_ips: Option<Vec<At<Address>>>,
    /// The same as resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_allocated_nat_ip_resources: Option<Vec<At<Reference>>>,
    /// NAT IPs to add so that every endpoint gets its ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_extra_nat_ips_needed: Option<At<i64>>,
    /// Interfaces that hold ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_vm_endpoints_with_nat_mappings: Option<At<i64>>,
}

/// The NAT IPs of a gateway.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NatIpInfo {
    /// The gateway.
    pub nat_name: At<String>,
    /// Its NAT IPs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_ip_info_mappings: Option<Vec<At<NatIpInfoMapping>>>,
}

/// A NAT IP.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NatIpInfoMapping {
    /// The address.
    pub nat_ip: At<Address>,
    /// `IN_USE` when somebody holds ports on it, else `UNUSED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<At<String>>,
    /// `AUTO` or `MANUAL`. Not compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<At<String>>,
}
