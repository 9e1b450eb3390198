//! `nat_mapping_info.json`: what `gcloud compute routers get-nat-mapping-info` prints with `--format=json`, with the fields
//! in the order and with the omissions of the dumps seen: one `interfaceNatMappings` entry a block, empty lists left out,
//! VMs without a block absent. No dump with NAT rules has been seen: `ruleMappings` are those of the API's description,
//! all blocks of a rule in one, at the interface's first entry.

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
    #[serde(flatten)]
    ports: Ports,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rule_mappings: Vec<RuleMappings>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ports {
    num_total_nat_ports: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nat_ip_port_ranges: Vec<String>,
    num_total_drain_nat_ports: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    drain_nat_ip_port_ranges: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleMappings {
    rule_number: u32,
    #[serde(flatten)]
    ports: Ports,
}

impl Ports {
    fn of<'a>(blocks: impl IntoIterator<Item = &'a BlockInfo>) -> Ports {
        let mut ports = Ports::default();
        for block in blocks {
            if block.draining {
                ports.num_total_drain_nat_ports += block.ports();
                ports.drain_nat_ip_port_ranges.push(block.range());
            } else {
                ports.num_total_nat_ports += block.ports();
                ports.nat_ip_port_ranges.push(block.range());
            }
        }
        ports
    }
}

impl EndpointMappings<'_> {
    fn has_ports(&self) -> bool {
        !self.blocks.is_empty() || self.rules.iter().any(|(_, blocks)| !blocks.is_empty())
    }

    /// One entry a block; a single one without ports if only rules have some.
    fn entries(&self) -> Vec<InterfaceNatMappings> {
        let entry = |ports| InterfaceNatMappings {
            source_virtual_ip: self.address,
            source_alias_ip_range: self.alias_range.map(|range| range.to_string()).unwrap_or_default(),
            ports,
            rule_mappings: Vec::new(),
        };
        let mut entries: Vec<_> = self.blocks.iter().map(|block| entry(Ports::of([block]))).collect();
        if entries.is_empty() {
            entries.push(entry(Ports::default()));
        }
        let rules = self.rules.iter().filter(|(_, blocks)| !blocks.is_empty());
        entries[0].rule_mappings = rules
            .map(|(rule_number, blocks)| RuleMappings { rule_number: *rule_number, ports: Ports::of(blocks) })
            .collect();
        entries
    }
}

/// The items `gcloud compute routers get-nat-mapping-info` prints. Addresses of one VM share an item, at the place of the
/// first.
pub fn nat_mapping_info(endpoints: &[EndpointMappings<'_>]) -> Vec<VmEndpointNatMappings> {
    let mut items: Vec<VmEndpointNatMappings> = Vec::new();
    let mut place_of_vm = BTreeMap::new();
    for endpoint in endpoints.iter().filter(|endpoint| endpoint.has_ports()) {
        let place = *place_of_vm.entry(endpoint.instance_name).or_insert_with(|| {
            items.push(VmEndpointNatMappings {
                instance_name: endpoint.instance_name.to_owned(),
                interface_nat_mappings: Vec::new(),
            });
            items.len() - 1
        });
        items[place].interface_nat_mappings.extend(endpoint.entries());
    }
    items
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
    }

    #[test]
    fn ports_of_a_rule_are_at_the_interfaces_first_entry() {
        let partner = BlockInfo { nat_ip: Ipv4Addr::new(203, 0, 113, 20), ..block(1024, 1087) };
        let rules = vec![(100, vec![partner, BlockInfo { draining: true, ..block(2048, 2111) }]), (200, vec![])];
        let items = nat_mapping_info(&[EndpointMappings { rules, ..endpoint("vm-0", 2, vec![block(1024, 1087)]) }]);
        let entry = serde_json::to_value(&items[0].interface_nat_mappings[0]).expect("plain data");
        let expected = serde_json::json!([{
            "ruleNumber": 100,
            "numTotalNatPorts": 64,
            "natIpPortRanges": ["203.0.113.20:1024-1087"],
            "numTotalDrainNatPorts": 64,
            "drainNatIpPortRanges": ["203.0.113.10:2048-2111"],
        }]);
        assert_eq!(entry["ruleMappings"], expected);
        // Ports under a rule only: the interface is there all the same.
        let rules = vec![(100, vec![partner])];
        let items = nat_mapping_info(&[EndpointMappings { rules, ..endpoint("vm-1", 3, vec![]) }]);
        let entry = serde_json::to_value(&items[0].interface_nat_mappings[0]).expect("plain data");
        assert_eq!((&entry["numTotalNatPorts"], &entry["ruleMappings"][0]["ruleNumber"]), (&0.into(), &100.into()));
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
}
