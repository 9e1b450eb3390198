//! `router_status.json` and `nat_ip_info.json`: what `gcloud compute routers get-status` and `get-nat-ip-info` print with
//! `--format=json`, with the fields in the order and with the omissions of the dump seen. No dump with NAT rules or of
//! `get-nat-ip-info` has been seen: these follow the API's description.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde::Serialize;

/// A router whose status is asked for.
#[derive(Debug, Clone)]
pub struct RouterInfo<'a> {
    /// Project of the router.
    pub project_id: &'a str,
    /// Region name.
    pub region: &'a str,
    /// VPC network name.
    pub network: &'a str,
    /// Its gateways.
    pub gateways: Vec<GatewayInfo<'a>>,
}

/// A gateway of a router.
#[derive(Debug, Clone)]
pub struct GatewayInfo<'a> {
    /// Gateway name.
    pub name: &'a str,
    /// Addresses Google chose (`AUTO_ONLY`).
    pub auto_allocated_nat_ips: Vec<Ipv4Addr>,
    /// Addresses the user chose (`MANUAL_ONLY`), with the name of the address resource where it is known.
    pub user_allocated_nat_ips: Vec<(Ipv4Addr, Option<&'a str>)>,
    /// Of these, the ones being drained.
    pub drain_user_allocated_nat_ips: Vec<Ipv4Addr>,
    /// NAT IPs to add so that every endpoint gets its ports.
    pub min_extra_nat_ips_needed: u64,
    /// Endpoints that hold at least one block.
    pub endpoints_with_mappings: u64,
    /// Its NAT rules.
    pub rules: Vec<RuleInfo>,
    /// The addresses of these on which somebody holds a port, active or draining.
    pub in_use: BTreeSet<Ipv4Addr>,
}

/// A NAT rule of a gateway.
#[derive(Debug, Clone)]
pub struct RuleInfo {
    /// Its number.
    pub number: u32,
    /// Its active addresses.
    pub active_nat_ips: Vec<Ipv4Addr>,
    /// Its addresses that are being drained.
    pub drain_nat_ips: Vec<Ipv4Addr>,
    /// NAT IPs to add so that every endpoint gets its ports under this rule.
    pub min_extra_ips_needed: u64,
    /// Endpoints that hold at least one block under this rule.
    pub endpoints_with_mappings: u64,
}

/// What `gcloud compute routers get-status` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RouterStatusResponse {
    kind: &'static str,
    result: RouterStatus,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct RouterStatus {
    network: String,
    nat_status: Vec<NatStatus>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct NatStatus {
    name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    auto_allocated_nat_ips: Vec<Ipv4Addr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    user_allocated_nat_ip_resources: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    user_allocated_nat_ips: Vec<Ipv4Addr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    drain_user_allocated_nat_ips: Vec<Ipv4Addr>,
    min_extra_nat_ips_needed: u64,
    num_vm_endpoints_with_nat_mappings: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rule_status: Vec<RuleStatus>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleStatus {
    rule_number: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    active_nat_ips: Vec<Ipv4Addr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    drain_nat_ips: Vec<Ipv4Addr>,
    min_extra_ips_needed: u64,
    num_vm_endpoints_with_nat_mappings: u64,
}

/// The status of a router and its NAT gateways.
pub fn router_status(router: &RouterInfo<'_>) -> RouterStatusResponse {
    let project = format!("https://www.googleapis.com/compute/v1/projects/{}", router.project_id);
    let address_url = |name| format!("{project}/regions/{}/addresses/{name}", router.region);
    let nat_status = router.gateways.iter().map(|gateway| NatStatus {
        name: gateway.name.to_owned(),
        auto_allocated_nat_ips: gateway.auto_allocated_nat_ips.clone(),
        user_allocated_nat_ip_resources: gateway
            .user_allocated_nat_ips
            .iter()
            .filter_map(|(_, name)| name.map(address_url))
            .collect(),
        user_allocated_nat_ips: gateway.user_allocated_nat_ips.iter().map(|(ip, _)| *ip).collect(),
        drain_user_allocated_nat_ips: gateway.drain_user_allocated_nat_ips.clone(),
        min_extra_nat_ips_needed: gateway.min_extra_nat_ips_needed,
        num_vm_endpoints_with_nat_mappings: gateway.endpoints_with_mappings,
        rule_status: (gateway.rules.iter())
            .map(|rule| RuleStatus {
                rule_number: rule.number,
                active_nat_ips: rule.active_nat_ips.clone(),
                drain_nat_ips: rule.drain_nat_ips.clone(),
                min_extra_ips_needed: rule.min_extra_ips_needed,
                num_vm_endpoints_with_nat_mappings: rule.endpoints_with_mappings,
            })
            .collect(),
    });
    RouterStatusResponse {
        kind: "compute#routerStatusResponse",
        result: RouterStatus {
            network: format!("{project}/global/networks/{}", router.network),
            nat_status: nat_status.collect(),
        },
    }
}

/// One item of `get-nat-ip-info`: a gateway and its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NatIpInfo {
    nat_name: String,
    nat_ip_info_mappings: Vec<NatIpInfoMapping>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct NatIpInfoMapping {
    nat_ip: Ipv4Addr,
    mode: &'static str,
    usage: &'static str,
}

/// What `gcloud compute routers get-nat-ip-info` prints: who chose each NAT IP, and whether anybody holds a port of it.
pub fn nat_ip_info(routers: &[RouterInfo<'_>]) -> Vec<NatIpInfo> {
    let gateways = routers.iter().flat_map(|router| &router.gateways);
    let info = |gateway: &GatewayInfo<'_>| {
        let rules = gateway.rules.iter().flat_map(|rule| rule.active_nat_ips.iter().chain(&rule.drain_nat_ips));
        let manual = gateway.user_allocated_nat_ips.iter().map(|(ip, _)| ip);
        let manual = manual.chain(&gateway.drain_user_allocated_nat_ips).chain(rules).map(|ip| (*ip, "MANUAL"));
        let all = gateway.auto_allocated_nat_ips.iter().map(|ip| (*ip, "AUTO")).chain(manual);
        let mut mappings: Vec<NatIpInfoMapping> = Vec::new();
        for (nat_ip, mode) in all {
            // An address that drains in one rule and is active in another is one address.
            if mappings.iter().all(|mapping| mapping.nat_ip != nat_ip) {
                let usage = if gateway.in_use.contains(&nat_ip) { "IN_USE" } else { "UNUSED" };
                mappings.push(NatIpInfoMapping { nat_ip, mode, usage });
            }
        }
        NatIpInfo { nat_name: gateway.name.to_owned(), nat_ip_info_mappings: mappings }
    };
    gateways.map(info).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAT_IP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

    #[test]
    fn an_observed_status_is_printed_as_google_did() {
        let Some(data) = std::env::var_os("EGRESSIM_DATA") else {
            eprintln!("skipped: EGRESSIM_DATA is not set");
            return;
        };
        let path = "config/gcpdiag-nat1/compute-routers-routerStatus-public-nat-cloud-router.json";
        let dump =
            std::fs::read_to_string(std::path::Path::new(&data).join(path)).expect("the data folder has the dump");
        let real: serde_json::Value = serde_json::from_str(&dump).expect("a dump is JSON");
        let nat_ip = Ipv4Addr::new(35, 204, 78, 175);
        let status = router_status(&RouterInfo {
            project_id: "gcpdiag-nat1-aaaa",
            region: "europe-west4",
            network: "nat-vpc-network",
            gateways: vec![GatewayInfo {
                name: "public-nat-gateway",
                auto_allocated_nat_ips: Vec::new(),
                user_allocated_nat_ips: vec![(nat_ip, Some("public-nat-ip-1"))],
                drain_user_allocated_nat_ips: Vec::new(),
                min_extra_nat_ips_needed: 2,
                endpoints_with_mappings: 2,
                rules: vec![],
                in_use: BTreeSet::new(),
            }],
        });
        let text = |value: &serde_json::Value| serde_json::to_string(value).expect("plain data");
        assert_eq!(text(&serde_json::to_value(status).expect("plain data")), text(&real));
    }

    #[test]
    fn the_status_lists_gateways_with_their_addresses() {
        let status = router_status(&RouterInfo {
            project_id: "demo-net",
            region: "us-east4",
            network: "vpc-a",
            gateways: vec![GatewayInfo {
                name: "nat-a",
                auto_allocated_nat_ips: Vec::new(),
                user_allocated_nat_ips: vec![(NAT_IP, Some("ip-1"))],
                drain_user_allocated_nat_ips: Vec::new(),
                min_extra_nat_ips_needed: 2,
                endpoints_with_mappings: 2,
                rules: vec![],
                in_use: BTreeSet::new(),
            }],
        });
        insta::assert_snapshot!(serde_json::to_string_pretty(&status).expect("plain data"), @r#"
        {
          "kind": "compute#routerStatusResponse",
          "result": {
            "network": "https://www.googleapis.com/compute/v1/projects/demo-net/global/networks/vpc-a",
            "natStatus": [
              {
                "name": "nat-a",
                "userAllocatedNatIpResources": [
                  "https://www.googleapis.com/compute/v1/projects/demo-net/regions/us-east4/addresses/ip-1"
                ],
                "userAllocatedNatIps": [
                  "203.0.113.10"
                ],
                "minExtraNatIpsNeeded": 2,
                "numVmEndpointsWithNatMappings": 2
              }
            ]
          }
        }
        "#);
    }

    #[test]
    fn rules_have_a_status_of_their_own_and_each_address_says_whether_it_is_used() {
        let [active, resting, partner] = [10, 11, 20].map(|last| Ipv4Addr::new(203, 0, 113, last));
        let router = RouterInfo {
            project_id: "demo-net",
            region: "us-east4",
            network: "vpc-a",
            gateways: vec![GatewayInfo {
                name: "nat-a",
                auto_allocated_nat_ips: Vec::new(),
                user_allocated_nat_ips: vec![(active, None)],
                drain_user_allocated_nat_ips: vec![resting],
                min_extra_nat_ips_needed: 0,
                endpoints_with_mappings: 3,
                rules: vec![RuleInfo {
                    number: 100,
                    active_nat_ips: vec![partner],
                    drain_nat_ips: vec![],
                    min_extra_ips_needed: 1,
                    endpoints_with_mappings: 2,
                }],
                in_use: [active, partner].into(),
            }],
        };
        let status = serde_json::to_value(router_status(&router)).expect("plain data");
        let expected = serde_json::json!([{
            "ruleNumber": 100,
            "activeNatIps": ["203.0.113.20"],
            "minExtraIpsNeeded": 1,
            "numVmEndpointsWithNatMappings": 2,
        }]);
        assert_eq!(status["result"]["natStatus"][0]["ruleStatus"], expected);
        let info = serde_json::to_value(nat_ip_info(&[router])).expect("plain data");
        let mappings = [(active, "IN_USE"), (resting, "UNUSED"), (partner, "IN_USE")]
            .map(|(ip, usage)| serde_json::json!({"natIp": ip.to_string(), "mode": "MANUAL", "usage": usage}));
        assert_eq!(info, serde_json::json!([{"natName": "nat-a", "natIpInfoMappings": mappings}]));
    }
}
