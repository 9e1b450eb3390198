//! What was observed of a running network, beside a simulation of it.

use std::ops::ControlFlow;
use std::path::PathBuf;

use egressim::report::observed::ObservedSummary;
use egressim::report::summary::Summary;
use egressim::report::text::{TextStyle, write_summary};
use egressim::scenario::load::{Source, load};
use egressim::simulation;
use serde_json::{Value, json};

fn run(source: Source<'_>) -> Summary {
    let loaded = load(source);
    let rendered = loaded.diagnostics.render(&loaded.sources, false);
    let scenario = loaded.scenario.unwrap_or_else(|| panic!("{rendered}"));
    simulation::run(&scenario, None, &mut |_| ControlFlow::Continue(())).expect("nothing is written")
}

fn observed(summary: &Summary) -> &ObservedSummary {
    summary.observed.as_ref().expect("something was observed")
}

fn text(summary: &Summary) -> String {
    let mut out = Vec::new();
    write_summary(&mut out, summary, TextStyle::plain()).expect("a vector takes everything");
    String::from_utf8(out).expect("the text is UTF-8")
}

/// Two VMs with 64 ports each, and what was observed of them.
fn two_vms(observed: &str) -> String {
    format!(
        "duration: 1s
networks: [{{name: vpc}}]
subnetworks: [{{name: apps, network: vpc, region: us-central1, ipCidrRange: 10.0.0.0/24}}]
addresses: [{{name: nat-ip, region: us-central1, address: 203.0.113.10}}]
instances:
- {{name: vm-1, zone: us-central1-a, networkInterfaces: [{{subnetwork: apps, networkIP: 10.0.0.2}}]}}
- {{name: vm-2, zone: us-central1-a, networkInterfaces: [{{subnetwork: apps, networkIP: 10.0.0.3}}]}}
routers:
- name: router
  network: vpc
  region: us-central1
  nats:
  - name: gateway
    natIpAllocateOption: MANUAL_ONLY
    natIps: [nat-ip]
    sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES
{observed}"
    )
}

#[test]
fn what_is_as_observed_takes_one_line() {
    let scenario = two_vms(
        "observed:
  natMappings:
  - instanceName: vm-1
    interfaceNatMappings:
    - {sourceVirtualIp: 10.0.0.2, sourceAliasIpRange: '', numTotalNatPorts: 64, natIpPortRanges: ['203.0.113.10:1024-1087']}
  - instanceName: vm-2
    interfaceNatMappings:
    - {sourceVirtualIp: 10.0.0.3, natIpPortRanges: ['203.0.113.10:1088-1151']}
  natStatus:
  - {name: gateway, userAllocatedNatIps: [203.0.113.10], minExtraNatIpsNeeded: 0, numVmEndpointsWithNatMappings: 2}
  natIpInfo:
  - natName: gateway
    natIpInfoMappings: [{natIp: 203.0.113.10, mode: MANUAL, usage: IN_USE}]
",
    );
    let summary = run(Source::Text { name: "same.yaml", text: &scenario });
    assert!(observed(&summary).is_equal());
    let text = text(&summary);
    let line = "As observed: 2 port ranges, 1 gateway status and 1 NAT IP, all the same at the start";
    assert!(text.contains(line), "{text}");
    let json = serde_json::to_value(&summary).expect("plain data");
    let ports = json!({"equal": 2, "onlyObserved": [], "onlySimulated": []});
    let values = json!({"equal": 1, "different": []});
    let expected = json!({"natMappings": ports, "natStatus": values.clone(), "natIpInfo": values});
    assert_eq!(json["observed"], expected);
}

#[test]
fn what_is_not_as_observed_is_listed_with_both_values() {
    let ranges: Vec<String> =
        (0..12).map(|at| format!("'203.0.113.10:{}-{}'", 2048 + 64 * at, 2111 + 64 * at)).collect();
    let scenario = two_vms(&format!(
        "observed:
  natMappings:
  - instanceName: vm-2
    interfaceNatMappings:
    - {{sourceVirtualIp: 10.0.0.3, natIpPortRanges: ['203.0.113.10:1088-1151', {}]}}
  natStatus:
  - {{name: gateway, userAllocatedNatIps: [203.0.113.10], minExtraNatIpsNeeded: 1, numVmEndpointsWithNatMappings: 2}}
  - {{name: other, minExtraNatIpsNeeded: 0}}
  natIpInfo:
  - natName: gateway
    natIpInfoMappings: [{{natIp: 203.0.113.10, usage: UNUSED}}, {{natIp: 203.0.113.11, usage: UNUSED}}]
",
        ranges.join(", ")
    ));
    let summary = run(Source::Text { name: "other.yaml", text: &scenario });
    let found = observed(&summary);
    let ports = found.nat_mappings.as_ref().expect("mappings were observed");
    assert_eq!((ports.equal, ports.only_observed.len(), ports.only_simulated.len()), (1, 12, 1));
    let text = text(&summary);
    for line in [
        "Not as observed, at the start: 1 port range, 0 gateway statuses and 0 NAT IPs are the same",
        "✗ observed only: 203.0.113.10:2048-2111 of vm-2 (10.0.0.3)",
        "… and 2 more ranges in --format json",
        "✗ simulated only: 203.0.113.10:1024-1087 of vm-1 (10.0.0.2)",
        "✗ gateway minExtraNatIpsNeeded: 1 observed, 0 simulated",
        "✗ other minExtraNatIpsNeeded: 0 observed, nothing simulated",
        "✗ gateway 203.0.113.10: UNUSED observed, IN_USE simulated",
        "✗ gateway 203.0.113.11: UNUSED observed, nothing simulated",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn without_an_observation_nothing_is_said_of_it() {
    let summary = run(Source::Text { name: "none.yaml", text: &two_vms("") });
    assert_eq!(serde_json::to_value(&summary).expect("plain data").get("observed"), None);
    assert!(!text(&summary).contains("bserved"));
}

#[test]
fn automatic_addresses_are_taken_for_each_other() {
    let scenario = two_vms(
        "observed:
  natMappings:
  - instanceName: vm-1
    interfaceNatMappings: [{sourceVirtualIp: 10.0.0.2, natIpPortRanges: ['198.51.100.77:1024-1087']}]
  - instanceName: vm-2
    interfaceNatMappings: [{sourceVirtualIp: 10.0.0.3, natIpPortRanges: ['198.51.100.77:1088-1151']}]
  natStatus: [{name: gateway, autoAllocatedNatIps: [198.51.100.77], numVmEndpointsWithNatMappings: 2}]
  natIpInfo: [{natName: gateway, natIpInfoMappings: [{natIp: 198.51.100.77, mode: AUTO, usage: IN_USE}]}]
",
    );
    let scenario = scenario.replace("MANUAL_ONLY", "AUTO_ONLY").replace("    natIps: [nat-ip]\n", "");
    let summary = run(Source::Text { name: "auto.yaml", text: &scenario });
    assert!(observed(&summary).is_equal(), "{:#?}", summary.observed);
}

#[test]
fn a_range_that_is_none_is_an_error() {
    let wrong = "observed: {natMappings: [{instanceName: vm-1, interfaceNatMappings: [{sourceVirtualIp: 10.0.0.2, \
                 natIpPortRanges: [203.0.113.10]}]}]}\n";
    let loaded = load(Source::Text { name: "wrong.yaml", text: &two_vms(wrong) });
    let codes: Vec<_> = loaded.diagnostics.iter().filter(|it| it.severity.is_error()).map(|it| it.code).collect();
    assert_eq!(codes, ["invalid-value"]);
}

/// Four VMs with 32,000 ports each and one NAT IP: it has room for one and a half of them.
#[test]
fn a_real_allocation_comes_out_port_by_port() {
    let Some(data) = std::env::var_os("EGRESSIM_DATA") else {
        eprintln!("skipped: EGRESSIM_DATA is not set");
        return;
    };
    let folder = PathBuf::from(data).join("config/gcpdiag-nat1");
    let items = |name: String| {
        let text = std::fs::read_to_string(folder.join(name)).expect("the data folder has the dump");
        let list: Value = serde_json::from_str(&text).expect("a dump is JSON");
        list["items"].clone()
    };
    let scratch = tempfile::tempdir().expect("there is a temporary folder");
    for (region, separator) in [("europe-west4", "-"), ("us-central1", "_")] {
        let router = ["public", "nat", "cloud", "router"].join(separator);
        let mut include = vec![format!("natMappingInfo-{router}"), format!("routerStatus-{router}")];
        if region == "europe-west4" {
            include.push(format!("natIpInfo-{router}"));
        }
        let include: Vec<_> = include.iter().map(|name| folder.join(format!("compute-routers-{name}.json"))).collect();
        // In the order of their ports: VMs that a scenario names itself are not put into it.
        let Value::Array(mut vms) = items(format!("compute-instances-{region}-a.json")) else { panic!("a list") };
        vms.sort_by_key(|vm| ["private-vm-2", "private-vm-3"].iter().position(|name| vm["name"] == *name).unwrap_or(9));
        let scenario = json!({
            "include": include,
            "networks": [{"name": "nat-vpc-network"}],
            // What the dumps do not have.
            "subnetworks": [
                {"name": "private-subnet", "region": region, "network": "nat-vpc-network", "ipCidrRange": "172.16.1.0/24"},
            ],
            "routers": items(format!("compute-routers-{region}.json")),
            "instances": vms,
            "duration": "1s",
        });
        let path = scratch.path().join(format!("{region}.json"));
        std::fs::write(&path, scenario.to_string()).expect("it can be written");
        let summary = run(Source::Path(&path));
        let found = observed(&summary);
        assert!(found.is_equal(), "{region}: {found:#?}");
        assert_eq!(found.nat_mappings.as_ref().map(|ports| ports.equal), Some(3), "{region}");
        assert_eq!(found.nat_status.as_ref().map(|status| status.equal), Some(1), "{region}");
    }
}

#[test]
fn a_connectors_vms_are_known_by_their_addresses() {
    let text = "duration: 1s
networks: [{name: vpc}]
connectors: [{name: conn, region: us-central1, network: vpc, ipCidrRange: 10.8.0.0/28}]
services: [{name: api, region: us-central1, template: {vpcAccess: {connector: conn, egress: ALL_TRAFFIC}}}]
addresses: [{name: nat-ip, region: us-central1, address: 203.0.113.10}]
routers:
- name: router
  network: vpc
  region: us-central1
  nats:
  - {name: gateway, natIpAllocateOption: MANUAL_ONLY, natIps: [nat-ip], sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES}
observed:
  natMappings:
  - {instanceName: aet-uscentral1-conn-abcd, interfaceNatMappings: [{sourceVirtualIp: 10.8.0.2, natIpPortRanges: ['203.0.113.10:1024-1087']}]}
  - {instanceName: aet-uscentral1-conn-efgh, interfaceNatMappings: [{sourceVirtualIp: 10.8.0.3, natIpPortRanges: ['203.0.113.10:1088-1151']}]}
";
    let summary = run(Source::Text { name: "t.yaml", text });
    assert!(observed(&summary).is_equal(), "{}", text_of(&summary));
}

fn text_of(summary: &Summary) -> String {
    text(summary)
}
