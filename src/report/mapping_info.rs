//! `nat_mapping_info.json`, and the status of a router.
//!
//! What `gcloud compute routers get-nat-mapping-info` and `get-status` print with `--format=json`, with the fields in the
//! order and with the omissions of the dumps seen: one `interfaceNatMappings` entry a block, empty lists left out, VMs
//! without a block absent.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::Serialize;

/// A block of ports on a NAT IP, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockInfo {
    /// NAT IP.
    pub nat_ip: Ipv4Addr,
    /// First port.
    pub first_port: u16,
    /// Last port.
    pub last_port: u16,
    /// The NAT IP is being drained.
    pub draining: bool,
}

impl BlockInfo {
    fn range(&self) -> String {
        format!("{}:{}-{}", self.nat_ip, self.first_port, self.last_port)
    }

    fn ports(&self) -> u32 {
        u32::from(self.last_port) - u32::from(self.first_port) + 1
    }
}

/// One address of a VM and its blocks.
#[derive(Debug, Clone)]
pub struct EndpointMappings<'a> {
    /// VM or instance name.
    pub instance_name: &'a str,
    /// The interface's primary address.
    pub address: Ipv4Addr,
    /// The alias range served, if it is not the primary address.
    pub alias_range: Option<Ipv4Net>,
    /// In order of allocation.
    pub blocks: Vec<BlockInfo>,
    /// Blocks under each NAT rule, by its number.
    pub rules: Vec<(u32, Vec<BlockInfo>)>,
}

/// One item of `get-nat-mapping-info`: a VM and its blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VmEndpointNatMappings {
    instance_name: String,
    interface_nat_mappings: Vec<InterfaceNatMappings>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct InterfaceNatMappings {
    source_virtual_ip: Ipv4Addr,
    source_alias_ip_range: String,
    num_total_nat_ports: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nat_ip_port_ranges: Vec<String>,
    num_total_drain_nat_ports: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    drain_nat_ip_port_ranges: Vec<String>,
}

impl InterfaceNatMappings {
    fn new(endpoint: &EndpointMappings<'_>, block: &BlockInfo) -> Self {
        let alias_range = endpoint.alias_range.map(|range| range.to_string());
        let mut mappings = InterfaceNatMappings {
            source_virtual_ip: endpoint.address,
            source_alias_ip_range: alias_range.unwrap_or_default(),
            num_total_nat_ports: 0,
            nat_ip_port_ranges: Vec::new(),
            num_total_drain_nat_ports: 0,
            drain_nat_ip_port_ranges: Vec::new(),
        };
        if block.draining {
            mappings.num_total_drain_nat_ports = block.ports();
            mappings.drain_nat_ip_port_ranges.push(block.range());
        } else {
            mappings.num_total_nat_ports = block.ports();
            mappings.nat_ip_port_ranges.push(block.range());
        }
        mappings
    }
}

/// The items `gcloud compute routers get-nat-mapping-info` prints. Addresses of one VM share an item, at the place of the
/// first.
pub fn nat_mapping_info(endpoints: &[EndpointMappings<'_>]) -> Vec<VmEndpointNatMappings> {
    let mut items: Vec<VmEndpointNatMappings> = Vec::new();
    let mut place_of_vm = BTreeMap::new();
    for endpoint in endpoints.iter().filter(|endpoint| !endpoint.blocks.is_empty()) {
        let place = *place_of_vm.entry(endpoint.instance_name).or_insert_with(|| {
            items.push(VmEndpointNatMappings {
                instance_name: endpoint.instance_name.to_owned(),
                interface_nat_mappings: Vec::new(),
            });
            items.len() - 1
        });
        let mappings = endpoint.blocks.iter().map(|block| InterfaceNatMappings::new(endpoint, block));
        items[place].interface_nat_mappings.extend(mappings);
    }
    items
}

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
    });
    RouterStatusResponse {
        kind: "compute#routerStatusResponse",
        result: RouterStatus {
            network: format!("{project}/global/networks/{}", router.network),
            nat_status: nat_status.collect(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAT_IP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

    fn block(first_port: u16, last_port: u16) -> BlockInfo {
        BlockInfo { nat_ip: NAT_IP, first_port, last_port, draining: false }
    }

    fn endpoint(instance_name: &str, host: u8, blocks: Vec<BlockInfo>) -> EndpointMappings<'_> {
        let address = Ipv4Addr::new(172, 16, 1, host);
        EndpointMappings { instance_name, address, alias_range: None, blocks, rules: vec![] }
    }

    #[test]
    fn each_block_is_an_entry_and_vms_without_one_are_absent() {
        let endpoints = [
            endpoint("vm-2", 3, vec![block(16_384, 32_767), block(32_768, 49_151)]),
            endpoint("vm-3", 2, vec![block(49_152, 65_535)]),
            endpoint("vm-0", 5, Vec::new()),
        ];
        let items = nat_mapping_info(&endpoints);
        insta::assert_snapshot!(serde_json::to_string_pretty(&items).expect("plain data"), @r#"
        [
          {
            "instanceName": "vm-2",
            "interfaceNatMappings": [
              {
                "sourceVirtualIp": "172.16.1.3",
                "sourceAliasIpRange": "",
                "numTotalNatPorts": 16384,
                "natIpPortRanges": [
                  "203.0.113.10:16384-32767"
                ],
                "numTotalDrainNatPorts": 0
              },
              {
                "sourceVirtualIp": "172.16.1.3",
                "sourceAliasIpRange": "",
                "numTotalNatPorts": 16384,
                "natIpPortRanges": [
                  "203.0.113.10:32768-49151"
                ],
                "numTotalDrainNatPorts": 0
              }
            ]
          },
          {
            "instanceName": "vm-3",
            "interfaceNatMappings": [
              {
                "sourceVirtualIp": "172.16.1.2",
                "sourceAliasIpRange": "",
                "numTotalNatPorts": 16384,
                "natIpPortRanges": [
                  "203.0.113.10:49152-65535"
                ],
                "numTotalDrainNatPorts": 0
              }
            ]
          }
        ]
        "#);
    }

    #[test]
    fn an_observed_allocation_is_printed_as_google_did() {
        let Some(data) = std::env::var_os("EGRESSIM_DATA") else {
            eprintln!("skipped: EGRESSIM_DATA is not set");
            return;
        };
        let real = |name: &str| {
            let path = std::path::Path::new(&data).join("config/gcpdiag-nat1").join(name);
            let dump = std::fs::read_to_string(path).expect("the data folder has the dump");
            serde_json::from_str::<serde_json::Value>(&dump).expect("a dump is JSON")
        };
        let text = |value| serde_json::to_string(&value).expect("plain data");

        let nat_ip = Ipv4Addr::new(35, 204, 78, 175);
        let block = |first_port, last_port| BlockInfo { nat_ip, ..block(first_port, last_port) };
        let endpoints = [
            endpoint("private-vm-2", 3, vec![block(16_384, 32_767), block(32_768, 49_151)]),
            endpoint("private-vm-3", 2, vec![block(49_152, 65_535)]),
        ];
        let mappings = real("compute-routers-natMappingInfo-public-nat-cloud-router.json");
        let items = serde_json::to_value(nat_mapping_info(&endpoints)).expect("plain data");
        assert_eq!(text(items), text(mappings["result"].clone()));

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
            }],
        });
        let status = serde_json::to_value(status).expect("plain data");
        assert_eq!(text(status), text(real("compute-routers-routerStatus-public-nat-cloud-router.json")));
    }

    #[test]
    fn a_block_on_a_draining_address_counts_as_such() {
        let drained = BlockInfo { draining: true, ..block(1024, 1087) };
        let items = nat_mapping_info(&[endpoint("vm-0", 2, vec![drained])]);
        let item = serde_json::to_value(&items[0].interface_nat_mappings[0]).expect("plain data");
        assert_eq!(item["numTotalNatPorts"], 0);
        assert_eq!(item["numTotalDrainNatPorts"], 64);
        assert_eq!(item["drainNatIpPortRanges"][0], "203.0.113.10:1024-1087");
        assert_eq!(item.get("natIpPortRanges"), None);
    }

    #[test]
    fn the_addresses_of_one_vm_share_an_item() {
        let endpoints = [
            endpoint("direct-1", 2, vec![block(1024, 1087)]),
            endpoint("direct-2", 4, vec![block(1088, 1151)]),
            endpoint("direct-1", 3, vec![block(1152, 1215)]),
        ];
        let items = nat_mapping_info(&endpoints);
        assert_eq!(items.len(), 2);
        assert_eq!(items[0].interface_nat_mappings.len(), 2);
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
}
