use crate::scenario::import::rest::tests::{findings, import_of, resources, skipped};
use crate::scenario::import::{Format, Import, recognise};

#[test]
fn one_asset_a_line_in_either_way_of_writing_it() {
    let text = r#"{"name": "//compute.googleapis.com/projects/acme/global/networks/vpc", "asset_type": "compute.googleapis.com/Network", "ancestors": ["projects/1"], "resource": {"version": "v1", "discovery_name": "Network", "data": {"name": "vpc", "autoCreateSubnetworks": false}, "location": "global"}, "update_time": "2026-01-01T00:00:00Z"}
{"name": "//vpcaccess.googleapis.com/projects/acme/locations/us-central1/connectors/c", "assetType": "vpcaccess.googleapis.com/Connector", "resource": {"data": {"name": "projects/acme/locations/us-central1/connectors/c", "subnet": {"name": "s"}, "maxInstances": 3, "maxThroughput": 300}, "location": "us-central1"}, "updateTime": "2026-01-01T00:00:00Z"}
{"name": "//compute.googleapis.com/projects/acme/regions/us-central1/targetVpnGateways/g", "assetType": "compute.googleapis.com/TargetVpnGateway", "resource": {"data": {"name": "g"}}}
"#;
    let import = import_of(&[text]);
    assert_eq!(
        resources(&import),
        [
            "networks {name: vpc, autoCreateSubnetworks: false}",
            "connectors {name: projects/acme/locations/us-central1/connectors/c, subnet: {name: s}, maxInstances: 3}",
        ]
    );
    assert_eq!(import.resources[0].project.as_deref(), Some("acme"));
    assert_eq!(skipped(&import), ["1 compute.googleapis.com/TargetVpnGateway"]);
    assert!(import.report.is_empty());
}

#[test]
fn data_in_snake_case_gets_the_names_of_the_api() {
    let import = import_of(&["
- name: //compute.googleapis.com/projects/acme/regions/r/routers/router
  asset_type: compute.googleapis.com/Router
  resource:
    location: r
    data: {name: router, creation_timestamp: x, nats: [{name: nat, nat_ip_allocate_option: AUTO_ONLY, source_subnetwork_ip_ranges_to_nat64: ALL_IPV6_SUBNETWORKS}]}
- name: //compute.googleapis.com/projects/acme/global/firewalls/f
  asset_type: compute.googleapis.com/Firewall
  resource: {data: {name: f, allowed: [{ip_protocol: tcp}], denied: [{I_p_protocol: udp}], source_ranges: [10.0.0.0/8]}}
- name: //compute.googleapis.com/projects/acme/zones/z/instances/vm
  asset_type: compute.googleapis.com/Instance
  resource: {location: z, data: {name: vm, network_interfaces: [{network_i_p: 10.0.0.2, access_configs: [{nat_ip: 192.0.2.1}]}]}}
- name: //compute.googleapis.com/projects/acme/regions/r/forwardingRules/ilb
  asset_type: compute.googleapis.com/ForwardingRule
  resource: {data: {name: ilb, i_p_address: 10.0.0.9, ip_protocol: TCP, load_balancing_scheme: INTERNAL}}
"]);
    assert_eq!(
        resources(&import),
        [
            "routers {name: router, creationTimestamp: x, nats: [{name: nat, natIpAllocateOption: AUTO_ONLY, \
             sourceSubnetworkIpRangesToNat64: ALL_IPV6_SUBNETWORKS}], region: r}",
            "firewalls {name: f, allowed: [{IPProtocol: tcp}], denied: [{IPProtocol: udp}], sourceRanges: [10.0.0.0/8]}",
            "instances {name: vm, networkInterfaces: [{networkIP: 10.0.0.2, accessConfigs: [{natIP: 192.0.2.1}]}], zone: z}",
            "forwardingRules {name: ilb, IPAddress: 10.0.0.9, IPProtocol: TCP, loadBalancingScheme: INTERNAL}",
        ]
    );
}

#[test]
fn the_newest_of_an_asset_counts_and_what_was_deleted_is_gone() {
    let line = |mtu: u32, time: &str, deleted: bool| {
        format!(
            r#"{{"deleted": {deleted}, "window": {{"startTime": "{time}"}}, "asset": {{"name": "//compute.googleapis.com/projects/p/global/networks/vpc", "assetType": "compute.googleapis.com/Network", "updateTime": "{time}", "resource": {{"data": {{"name": "vpc", "mtu": {mtu}}}}}}}}}"#
        )
    };
    let times = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", "2025-12-31T00:00:00Z"];
    let text =
        format!("[{}, {}, {}]", line(1300, times[0], false), line(1400, times[1], false), line(1500, times[2], false));
    assert_eq!(resources(&import_of(&[&text])), ["networks {name: vpc, mtu: 1400}"]);
    let text = format!("[{}, {}]", line(1300, times[0], false), line(1400, times[1], true));
    assert!(import_of(&[&text]).resources.is_empty());
    let text = format!("[{}, {}]", line(1300, times[1], false), line(1400, times[0], true));
    assert_eq!(resources(&import_of(&[&text])), ["networks {name: vpc, mtu: 1300}"]);
}

#[test]
fn summaries_without_the_resource_are_told_once() {
    let summary = "{name: //run.googleapis.com/projects/p/locations/r/services/api, assetType: run.googleapis.com/Service, displayName: api}";
    let import = import_of(&[&format!("[{summary}, {summary}]")]);
    assert_eq!(findings(&import).len(), 1);
    assert_eq!(import.report[0].code, "asset-without-resource");
    assert_eq!(skipped(&import), ["2 run.googleapis.com/Service without its resource"]);
}

#[test]
fn old_functions_and_policies_are_read_and_revisions_are_not() {
    let import = import_of(&["
assets:
- name: //cloudfunctions.googleapis.com/projects/p/locations/r/functions/f
  assetType: cloudfunctions.googleapis.com/CloudFunction
  resource: {data: {name: projects/p/locations/r/functions/f, status: ACTIVE, vpcConnector: c}}
- name: //run.googleapis.com/projects/p/locations/r/services/api/revisions/api-1
  assetType: run.googleapis.com/Revision
  resource: {data: {apiVersion: serving.knative.dev/v1}}
- name: //cloudresourcemanager.googleapis.com/folders/7
  assetType: cloudresourcemanager.googleapis.com/Folder
  orgPolicy:
  - {constraint: constraints/run.allowedVPCEgress, listPolicy: {allowedValues: [all-traffic]}}
  - {constraint: constraints/compute.vmExternalIpAccess, listPolicy: {allValues: DENY}}
"]);
    assert_eq!(
        resources(&import),
        [
            "orgPolicies {constraint: constraints/run.allowedVPCEgress, listPolicy: {allowedValues: [all-traffic]}, \
             name: folders/7/policies/run.allowedVPCEgress}",
            "functions {name: projects/p/locations/r/functions/f, environment: GEN_1, state: ACTIVE, \
             serviceConfig: {vpcConnector: c}}",
        ]
    );
    assert_eq!(skipped(&import), ["1 organization policies of other constraints", "1 run.googleapis.com/Revision"]);
}

#[test]
fn bigquery_has_the_resource_as_text() {
    let import = import_of(&[
        r#"[{"name": "//compute.googleapis.com/projects/p/global/networks/vpc", "asset_type": "compute.googleapis.com/Network",
        "resource": {"data": "{\"name\": \"vpc\", \"mtu\": 1460, \"firewallPolicy\": null, \"description\": \"hunter2\"}"}}]"#,
    ]);
    assert_eq!(resources(&import), ["networks {name: vpc, mtu: 1460, firewallPolicy: null}"]);
    assert!(!import.sources.text(import.read[0].0).contains("hunter2"));
}

#[test]
fn other_documents_are_no_assets_and_nonsense_does_no_harm() {
    for text in ["{assets: []}", "{results: [{name: x}]}", "[{assetType: [x]}]", "{assetType: car}", "asset: {}"] {
        let mut import = Import::default();
        let file = import.sources.add("t", text);
        let nodes = crate::scenario::import::rest::tests::documents(&mut import, file);
        assert_ne!(recognise(&nodes[0]), Some(Format::Assets), "{text}");
    }
    for text in [
        "[{assetType: compute.googleapis.com/Network, resource: 3}, 7, [[[[[[]]]]]]]",
        "{assetType: compute.googleapis.com/Network, name: [x], resource: {data: [3]}}",
        "{assetType: compute.googleapis.com/Network, resource: {data: '[1'}}",
        "{assetType: x.googleapis.com/Y, orgPolicy: [3, {}, {constraint: []}]}",
        "{asset: {assetType: compute.googleapis.com/Router, resource: {data: {nats: 3}}}, deleted: [x]}",
    ] {
        import_of(&[text]);
    }
}
