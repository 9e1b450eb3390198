//! Whole files: what a scenario becomes, and how a wrong one is reported.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::diagnostic::{Diagnostic, Severity};
use super::load::{Loaded, Source, load};
use super::{Attachment, Change, Egress, NextHop, Scenario};

mod advice;
mod firewall;
mod firewall_advice;
mod impairments;
mod incidents;
mod ipv6;
mod nat;

fn read(text: &str) -> Loaded {
    load(Source::Text { name: "test.yaml", text })
}

fn scenario(text: &str) -> Scenario {
    let loaded = read(text);
    let rendered = loaded.diagnostics.render(&loaded.sources, false);
    loaded.scenario.unwrap_or_else(|| panic!("expected a scenario, found\n{rendered}"))
}

/// `code line:column` of each finding of these severities.
fn findings(loaded: &Loaded, severities: &[Severity]) -> Vec<String> {
    let chosen = loaded.diagnostics.iter().filter(|diagnostic| severities.contains(&diagnostic.severity));
    let place = |diagnostic: &Diagnostic| match diagnostic.place.and_then(|place| loaded.sources.position(place)) {
        Some(position) => format!(" {}:{}", position.line, position.column),
        None => String::new(),
    };
    chosen.map(|diagnostic| format!("{}{}", diagnostic.code, place(diagnostic))).collect()
}

fn errors(text: &str) -> Vec<String> {
    findings(&read(text), &[Severity::Unusable, Severity::Rejected])
}

fn warnings(text: &str) -> Vec<String> {
    let loaded = read(text);
    assert!(loaded.scenario.is_some(), "{}", loaded.diagnostics.render(&loaded.sources, false));
    findings(&loaded, &[Severity::Warning])
}

/// A network with a connector, a gateway and a service, before whatever a test adds.
const BASE: &str = "\
networks: [{name: vpc}]
connectors: [{name: conn, region: r1, network: vpc, ipCidrRange: 10.8.0.0/28}]
addresses: [{name: ip-1, region: r1}, {name: ip-2, region: r1}]
services: [{name: api, template: {vpcAccess: {connector: conn, egress: ALL_TRAFFIC}}}]
";

/// Workloads of all kinds.
const WORKLOADS: &str = "\
networks: [{name: vpc}]
subnetworks: [{name: vpc, network: vpc, region: us-west2, ipCidrRange: 10.1.0.0/24}]
connectors: [{name: projects/p/locations/us-west2/connectors/conn, network: vpc, ipCidrRange: 10.8.0.0/28}]
services:
- name: projects/p/locations/us-west2/services/api
  template:
    scaling: {minInstanceCount: 3, maxInstanceCount: 20}
    serviceAccount: api@p.iam.gserviceaccount.com
    containers: [{image: x, resources: {limits: {cpu: 2, memory: 1Gi}}}, {resources: {limits: {cpu: 500m}}}]
    vpcAccess: {egress: 1, networkInterfaces: [{network: vpc}]}
jobs:
- {name: batch, template: {taskCount: 10, parallelism: 4, template: {vpcAccess: {connector: conn}}}}
workerPools:
- {name: pool, scaling: {manualInstanceCount: 5}}
functions:
- {name: fn, serviceConfig: {vpcConnector: conn, vpcConnectorEgressSettings: ALL_TRAFFIC}}
- {name: fn2, serviceConfig: {directVpcNetworkInterface: [{network: vpc, tags: [web]}], directVpcEgress: VPC_EGRESS_ALL_TRAFFIC}}
";

fn with_nat(fields: &str) -> String {
    format!(
        "{BASE}routers:\n- name: router\n  network: vpc\n  nats:\n  - name: gw\n    sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES\n    natIpAllocateOption: MANUAL_ONLY\n    natIps: [ip-1]\n{fields}"
    )
}

/// The scenarios of the repository, and those in folders of it.
fn scenarios() -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios"))];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let paths = fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("readable").path());
        let (inner, here): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
        folders.extend(inner);
        files.extend(here);
    }
    files.sort();
    files
}

#[test]
fn the_built_in_scenario_warns_of_the_burst_that_it_shows_and_of_nothing_else() {
    let loaded = load(super::BUILT_IN);
    let rendered = loaded.diagnostics.render(&loaded.sources, false);
    assert!(loaded.scenario.is_some(), "{rendered}");
    assert_eq!(findings(&loaded, &[Severity::Warning]), ["growth-too-slow 93:9"], "{rendered}");
    assert_eq!(loaded.diagnostics.len(), 1, "{rendered}");
}

#[test]
fn every_scenario_of_the_folder_loads_and_warns_as_its_comment_says() {
    // Of incidents, which are there to be warned of, tests/incidents.rs says it.
    let incidents = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/incidents");
    for path in scenarios().into_iter().filter(|path| !path.starts_with(&incidents)) {
        let loaded = load(Source::Path(&path));
        let rendered = loaded.diagnostics.render(&loaded.sources, false);
        assert!(loaded.scenario.is_some(), "{rendered}");
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let codes: Vec<&str> = loaded.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
        let expected: &[&str] = match name {
            "private-ranges-only" => &["unused-cloud-nat"],
            "no-nat" => &["no-cloud-nat"],
            "direct-vpc" | "requests" => &["cold-egress"],
            "guide" | "growth-too-slow" => &["growth-too-slow"],
            "half-the-ports" | "rule-runs-dry" => &["too-few-nat-ips", "too-few-ports"],
            "endpoint-independent-conflict" => &["eim-conflict"],
            "drained-ip" => &["drain-outlasts", "nat-ip-removed"],
            _ => &[],
        };
        assert_eq!(codes, expected, "{}\n{rendered}", path.display());
    }
}

#[test]
fn all_errors_of_a_file_are_reported_together() {
    let text = "\
networks:
- name: prod
  deleteDefaultRouteOnCreate: true
subnetworks:
- {name: run, network: prod, region: us-central1, ipCidrRange: 10.0.0.0/24}
- {name: db, network: prod, region: us-central1, ipCidrRange: 10.0.0.128/25}
routers:
- name: router
  network: prod
  region: us-central1
  nats:
  - name: both
    natIpAllocateOption: AUTO
    sourceSubnetworkIpRangesToNat: LIST_OF_SUBNETWORKS
    subnetworks: [{name: runn, sourceIpRangesToNat: [ALL_IP_RANGES]}]
    enableDynamicPortAllocation: true
    enableEndpointIndependentMapping: true
    minPortsPerVm: 100
  - name: static
    natIpAllocateOption: AUTO_ONLY
    sourceSubnetworkIpRangesToNat: LIST_OF_SUBNETWORKS
    subnetworks: [{name: db, sourceIpRangesToNat: [ALL_IP_RANGES]}]
    maxPortsPerVm: 1024
";
    let loaded = read(text);
    assert!(loaded.scenario.is_none());
    insta::assert_snapshot!(loaded.diagnostics.render(&loaded.sources, false));
}

#[test]
fn each_mistake_has_its_code_and_place() {
    let cases: &[(&str, &[&str])] = &[
        // Unusable.
        ("a: [1, 2", &["syntax 1:4"]),
        ("", &["empty 1:1"]),
        ("# nothing\n", &["empty 1:1"]),
        ("- a\n- b\n", &["not-a-scenario 1:1"]),
        ("just words", &["not-a-scenario 1:1"]),
        ("netwroks: []\n", &["unknown-field 1:1"]),
        ("name: a\nname: b\n", &["duplicate-key 2:1"]),
        ("networks: {name: a}\n", &["wrong-type 1:11"]),
        ("networks: [3]\n", &["wrong-type 1:12"]),
        ("networks: [{mtu: 1400}]\n", &["missing-field 1:12"]),
        ("networks: [{name: a, mtu: big}]\n", &["wrong-type 1:27"]),
        ("networks: [{name: a}, {name: a}]\n", &["duplicate-name 1:30"]),
        ("duration: 30\n", &["invalid-value 1:11"]),
        ("duration: 0s\n", &["out-of-range 1:11"]),
        ("model: {nat: {shortage: some}}\n", &["unknown-value 1:25"]),
        ("model: {nat: {dynamicPortAllocation: {trigger: 1.5}}}\n", &["out-of-range 1:48"]),
        ("subnetworks: [{name: s, network: nope, ipCidrRange: 10.0.0.0/24}]\n", &["unknown-reference 1:34"]),
        (
            "subnetworks: [{name: s, network: nope, ipCidrRange: 10.0.0/24}]\n",
            &["unknown-reference 1:34", "invalid-value 1:53"],
        ),
        ("services: [{name: a, template: {vpcAccess: {connector: nope}}}]\n", &["unknown-reference 1:56"]),
        ("services: [{name: a}]\ntraffic: [{from: b, to: '1.2.3.4:80', rate: 1/s}]\n", &["unknown-reference 2:18"]),
        ("services: [{name: a}]\ntraffic: [{from: a, to: 'nope:80', rate: 1/s}]\n", &["unknown-reference 2:25"]),
        ("services: [{name: a}]\ntraffic: [{from: a, to: 1.2.3.4, rate: 1/s}]\n", &["invalid-value 2:25"]),
        ("services: [{name: a}]\ntraffic: [{from: a, to: '1.2.3.4:80'}]\n", &["missing-field 2:25"]),
        ("services: [{name: a}]\ntraffic: [{from: a, to: '1.2.3.4:80', rate: fast}]\n", &["invalid-value 2:45"]),
        ("events: [{at: 3s}]\n", &["missing-field 1:10"]),
        ("events: [{at: 3s, scale: {workload: nope, instances: 3}}]\n", &["unknown-reference 1:37"]),
        ("events: [{at: 3s, patchNat: {gateway: nope, set: {minPortsPerVm: 64}}}]\n", &["unknown-reference 1:39"]),
        ("expect: [{path: a..b, equals: 1}]\n", &["invalid-value 1:17"]),
        ("expect: [{path: a.b}]\n", &["missing-field 1:17"]),
        ("expect: [{path: a.b, equals: 1, atMost: 2}]\n", &["many-tests 1:17"]),
        ("hosts: [{name: h}]\n", &["missing-field 1:16"]),
        ("hosts: [{name: h, address: 1.2.3.4, ports: [http]}]\n", &["invalid-value 1:45"]),
        ("hosts: [{name: h, address: 1.2.3.4}, {name: i, address: 1.2.3.4}]\n", &["duplicate-address 1:57"]),
        ("hosts: [{name: h, address: 1.2.3.4, nextHop: t}]\n", &["misplaced-field 1:46"]),
        // Rejected by Google: networks, subnets, routes.
        ("networks: [{name: a, mtu: 9000}]\n", &["out-of-range 1:27"]),
        (
            "networks: [{name: a}]\nsubnetworks: [{name: s, network: a, ipCidrRange: 10.0.0.0/30}]\n",
            &["bad-range 2:50"],
        ),
        (
            "networks: [{name: a}]\nsubnetworks: [{name: s, network: a, ipCidrRange: 127.0.0.0/24}]\n",
            &["bad-range 2:50"],
        ),
        (
            "networks: [{name: a}]\nsubnetworks:\n- {name: s, network: a, ipCidrRange: 10.0.0.0/16}\n- {name: t, network: a, ipCidrRange: 10.0.9.0/24}\n",
            &["overlapping-ranges 4:38"],
        ),
        ("networks: [{name: a}]\nroutes: [{name: r, network: a, destRange: 10.0.0.0/8}]\n", &["next-hop 2:17"]),
        (
            "networks: [{name: a}]\nroutes: [{name: r, network: a, destRange: 10.0.0.0/8, nextHopIp: 10.1.1.1, nextHopIlb: x}]\n",
            &["next-hop 2:66"],
        ),
        (
            "networks: [{name: a}]\nsubnetworks: [{name: s, network: a, ipCidrRange: 10.0.0.0/16}]\nroutes: [{name: r, network: a, destRange: 10.0.1.0/24, nextHopIp: 10.1.1.1}]\n",
            &["route-inside-subnet 3:43"],
        ),
        (
            "networks: [{name: a}]\nroutes: [{name: r, network: a, priority: 70000, destRange: 10.0.0.0/8, nextHopIp: 10.1.1.1}]\n",
            &["out-of-range 2:42"],
        ),
        // Firewall rules.
        ("networks: [{name: default}]\nfirewalls: [{name: f}]\n", &["firewall-action 2:20"]),
        ("firewalls: [{name: f, allowed: [{IPProtocol: tcp}]}]\n", &["unknown-reference 1:20"]),
        (
            "networks: [{name: default}]\nfirewalls: [{name: f, allowed: [{IPProtocol: tcp}], denied: [{IPProtocol: udp}]}]\n",
            &["firewall-action 2:61"],
        ),
        (
            "networks: [{name: default}]\nfirewalls: [{name: f, direction: EGRESS, sourceTags: [x], denied: [{IPProtocol: all}]}]\n",
            &["egress-source 2:54"],
        ),
        (
            "networks: [{name: default}]\nfirewalls: [{name: f, targetTags: [x], targetServiceAccounts: [y], denied: [{IPProtocol: all}]}]\n",
            &["tags-with-accounts 2:63"],
        ),
        (
            "networks: [{name: default}]\nfirewalls: [{name: f, denied: [{IPProtocol: tcp, ports: [9-8]}, {IPProtocol: icmp, ports: [1]}, {IPProtocol: tpc}]}]\n",
            &["bad-port 2:58", "bad-port 2:92", "unknown-value 2:110"],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(errors(text), *expected, "{text}\n{}", {
            let loaded = read(text);
            loaded.diagnostics.render(&loaded.sources, false)
        });
    }
}

#[test]
fn connectors_are_checked_as_google_does() {
    let connector = |fields: &str| {
        errors(&format!("networks: [{{name: vpc}}]\nconnectors: [{{name: c, network: vpc, {fields}}}]\n"))
    };
    assert_eq!(connector("ipCidrRange: 10.8.0.0/27"), ["connector-range 2:51"]);
    assert_eq!(connector("minInstances: 2"), ["connector-range 2:21"]);
    assert_eq!(connector("ipCidrRange: 10.8.0.0/28, subnet: {name: s}"), ["connector-range 2:72"]);
    assert_eq!(connector("ipCidrRange: 10.8.0.0/28, minInstances: 1"), ["out-of-range 2:78"]);
    assert_eq!(connector("ipCidrRange: 10.8.0.0/28, maxInstances: 11"), ["out-of-range 2:78"]);
    assert_eq!(connector("ipCidrRange: 10.8.0.0/28, minInstances: 4, maxInstances: 4"), ["connector-instances 2:95"]);
    // 17 letters and digits + 4 hyphens counted twice = 25, more than 20.
    let long = "networks: [{name: vpc}]\nconnectors: [{name: my-conn-us-central1-a, network: vpc, ipCidrRange: 10.8.0.0/28}]\n";
    assert_eq!(errors(long), ["connector-name 2:21"]);
    let auto = "networks: [{name: vpc, autoCreateSubnetworks: true}]\nconnectors: [{name: c, network: vpc, ipCidrRange: 10.132.0.0/28}]\n";
    assert_eq!(errors(auto), ["overlapping-ranges 2:51"]);
}

#[test]
fn throughput_stands_for_a_number_of_instances() {
    // 200 to 300 Mbps with e2-micro are 2 to 3 instances of 100.
    let text = "networks: [{name: vpc}]\nconnectors: [{name: c, network: vpc, ipCidrRange: 10.8.0.0/28, minThroughput: 200, maxThroughput: 300}]\n";
    let connector = &scenario(text).connectors[0];
    assert_eq!((connector.min_instances, connector.max_instances), (2, 3));
}

#[test]
fn attachments_are_checked_as_google_does() {
    let service = |access: &str| {
        errors(&format!(
            "networks: [{{name: vpc}}, {{name: other}}]\nsubnetworks: [{{name: vpc, network: vpc, region: r1, ipCidrRange: 10.1.0.0/24}}]\nconnectors: [{{name: far, region: r2, network: vpc, ipCidrRange: 10.8.0.0/28}}]\nservices: [{{name: api, region: r1, template: {{vpcAccess: {{{access}}}}}}}]\n"
        ))
    };
    assert_eq!(service("connector: far"), ["region-mismatch 4:70"]);
    assert_eq!(service("egress: ALL_TRAFFIC"), ["egress-without-vpc 4:67"]);
    assert_eq!(service("connector: far, networkInterfaces: [{network: vpc}]"), ["connector-and-interfaces 4:94"]);
    assert_eq!(service("networkInterfaces: [{network: vpc}, {network: vpc}]"), ["many-interfaces 4:95"]);
    assert_eq!(service("networkInterfaces: [{network: other, subnetwork: vpc}]"), ["network-mismatch 4:108"]);
    assert_eq!(service("networkInterfaces: [{network: other}]"), ["unknown-reference 4:89"]);
    assert_eq!(service("networkInterfaces: [{}]"), ["no-subnet 4:79"]);
    assert_eq!(service("networkInterfaces: [{network: vpc}]"), [""; 0]);
}

#[test]
fn gateways_are_checked_as_google_does() {
    // The first of `fields` is line 13, its value begins behind four spaces, the name and a colon.
    let nat = |fields: &str| errors(&with_nat(fields));
    assert_eq!(nat(""), [""; 0]);
    assert_eq!(nat("    minPortsPerVm: 1\n"), ["out-of-range 13:20"]);
    assert_eq!(nat("    minPortsPerVm: 57345\n"), ["out-of-range 13:20"]);
    assert_eq!(nat("    minPortsPerVm: 50\n"), [""; 0]);
    assert_eq!(nat("    maxPortsPerVm: 128\n"), ["max-ports-without-dpa 13:20"]);
    let dynamic = |fields: &str| nat(&format!("    enableDynamicPortAllocation: true\n{fields}"));
    assert_eq!(dynamic("    minPortsPerVm: 48\n"), ["not-a-power-of-two 14:20"]);
    assert_eq!(dynamic("    minPortsPerVm: 16\n"), ["out-of-range 14:20"]);
    assert_eq!(dynamic("    maxPortsPerVm: 131072\n"), ["out-of-range 14:20"]);
    assert_eq!(dynamic("    minPortsPerVm: 512\n    maxPortsPerVm: 512\n"), ["min-not-below-max 15:20"]);
    assert_eq!(dynamic("    enableEndpointIndependentMapping: true\n"), ["dpa-with-eim 14:39"]);
    assert_eq!(nat("    udpIdleTimeoutSec: 0\n"), ["out-of-range 13:24"]);
    assert_eq!(nat("    drainNatIps: [ip-1]\n"), ["nat-ip-twice 13:19"]);
    assert_eq!(nat("    subnetworks: [{name: x}]\n"), ["nat-subnets 13:18"]);
    let text = with_nat("").replace("natIps: [ip-1]", "natIps: [ip-9]");
    assert_eq!(errors(&text), ["unknown-reference 12:14"]);
    let text = with_nat("").replace("    natIps: [ip-1]\n", "");
    assert_eq!(errors(&text), ["no-nat-ips 11:26"]);
    let text = with_nat("").replace("MANUAL_ONLY", "AUTO_ONLY");
    assert_eq!(errors(&text), ["nat-ips-with-auto 12:13"]);
    let second = "  - {name: gw2, sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES, natIpAllocateOption: MANUAL_ONLY, natIps: [ip-1]}\n";
    assert_eq!(nat(second), ["nat-overlap 13:12", "nat-ip-shared 13:122"]);
}

#[test]
fn what_could_not_be_read_is_not_reported_as_absent() {
    // Neither "who provides the IPs" nor "maxPortsPerVm needs dynamic allocation" is news here.
    let text =
        with_nat("    maxPortsPerVm: 4096\n    enableDynamicPortAlocation: true\n").replace("MANUAL_ONLY", "MANUAL");
    assert_eq!(errors(&text), ["unknown-value 11:26", "unknown-field 14:5"]);
    // A subnet that was left out is not unknown.
    let text = "networks: [{name: a}]\nsubnetworks: [{name: s, network: a, ipCidrRange: wrong}]\nservices: [{name: x, template: {vpcAccess: {networkInterfaces: [{subnetwork: s}]}}}]\n";
    assert_eq!(errors(text), ["invalid-value 2:50"]);
}

#[test]
fn names_that_are_nearly_right_are_offered() {
    let loaded = read(
        "networks: [{name: production}]\nsubnetworks: [{name: s, network: prodution, ipCidrRange: 10.0.0.0/24}]\n",
    );
    assert_eq!(
        loaded.diagnostics.iter().next().and_then(|error| error.help.as_deref()),
        Some("did you mean `production`?")
    );
}

#[test]
fn a_name_is_near_to_one_that_was_left_out_because_of_its_own_errors() {
    let text = "services: [{name: api, region: r1, wrong: 1, template: {vpcAccess: {egress: NONE}}}]
traffic: [{from: apy, to: \"8.8.8.8:443\", count: 1}]
";
    let helps: Vec<_> = read(text).diagnostics.iter().filter_map(|diagnostic| diagnostic.help.clone()).collect();
    assert!(helps.contains(&"did you mean `api`?".to_owned()), "{helps:?}");
}

#[test]
fn unusable_input_and_what_google_rejects_are_told_apart() {
    assert!(read("networks: [{nam: x}]").diagnostics.has_unusable());
    let rejected = read("networks: [{name: a, mtu: 9000}]").diagnostics;
    assert!(rejected.has_rejected() && !rejected.has_unusable());
}

#[test]
fn a_network_has_its_default_route_unless_it_was_deleted_or_is_written() {
    let routes = |text: &str| scenario(text).routes;
    let automatic = routes("networks: [{name: a}]");
    assert_eq!(
        (automatic.len(), automatic[0].priority, &automatic[0].next_hop),
        (1, 1000, &NextHop::DefaultInternetGateway)
    );
    assert!(routes("networks: [{name: a, deleteDefaultRoutesOnCreate: true}]").is_empty());
    let written = routes(
        "networks: [{name: a}]\nroutes: [{name: mine, network: a, destRange: 0.0.0.0/0, nextHopGateway: global/gateways/default-internet-gateway}]",
    );
    assert_eq!(written.iter().map(|route| route.name.as_str()).collect::<Vec<_>>(), ["mine"]);
}

#[test]
fn subnet_routes_of_an_export_are_passed_over() {
    let text = "networks: [{name: a}]\nroutes: [{name: r, network: a, destRange: 10.0.0.0/24, priority: 0, nextHopNetwork: global/networks/a}]\n";
    assert_eq!(scenario(text).routes.len(), 1);
}

#[test]
fn an_address_without_a_value_always_gets_the_same_documentation_address() {
    let text = with_nat("");
    let address = |text: &str| scenario(text).nat_gateways[0].config.nat_ips.clone();
    assert_eq!(address(&text), [Ipv4Addr::new(203, 0, 113, 10)]);
    let taken = format!("{text}hosts: [{{name: h, address: 203.0.113.10}}]\n");
    assert_eq!(address(&taken), [Ipv4Addr::new(203, 0, 113, 11)]);
}

#[test]
fn time_wait_is_explicit_else_effective_else_by_date_else_the_models() {
    let time_wait = |fields: &str, created: &str, model: &str| {
        let created = if created.is_empty() { String::new() } else { format!("  creationTimestamp: {created}\n") };
        let text = with_nat(fields).replace("  nats:\n", &format!("{created}  nats:\n"));
        scenario(&format!("{text}{model}")).nat_gateways[0].config.timeouts.tcp_time_wait.as_secs()
    };
    assert_eq!(time_wait("", "", ""), 30);
    assert_eq!(time_wait("", "", "model: {nat: {timeWaitDefault: 45s}}\n"), 45);
    assert_eq!(time_wait("", "2024-10-26T18:56:42.961-07:00", ""), 120);
    assert_eq!(time_wait("", "2026-06-30T00:00:00Z", "model: {nat: {timeWaitDefault: 45s}}\n"), 45);
    assert_eq!(time_wait("", "2026-09-30T00:00:00Z", "model: {nat: {timeWaitDefault: 45s}}\n"), 30);
    assert_eq!(time_wait("    effectiveTcpTimeWaitTimeoutSec: 120\n", "2026-10-01T00:00:00Z", ""), 120);
    assert_eq!(time_wait("    tcpTimeWaitTimeoutSec: 60\n    effectiveTcpTimeWaitTimeoutSec: 120\n", "", ""), 60);
}

#[test]
fn a_gateway_serves_its_own_network_and_region_only() {
    let text = "\
networks: [{name: a}, {name: b}]
subnetworks:
- {name: here, network: a, region: r1, ipCidrRange: 10.1.0.0/24, secondaryIpRanges: [{rangeName: pods, ipCidrRange: 10.2.0.0/24}]}
- {name: far, network: a, region: r2, ipCidrRange: 10.3.0.0/24}
- {name: other, network: b, region: r1, ipCidrRange: 10.4.0.0/24}
routers:
- {name: r, network: a, region: r1, nats: [{name: n, natIpAllocateOption: AUTO_ONLY, sourceSubnetworkIpRangesToNat: RANGES}]}
";
    let covered = |ranges: &str| {
        let scenario = scenario(&text.replace("RANGES}", ranges));
        scenario.nat_gateways[0].coverage.iter().map(|covered| covered.range.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(covered("ALL_SUBNETWORKS_ALL_IP_RANGES}"), ["10.1.0.0/24", "10.2.0.0/24"]);
    assert_eq!(covered("ALL_SUBNETWORKS_ALL_PRIMARY_IP_RANGES}"), ["10.1.0.0/24"]);
    let listed = "LIST_OF_SUBNETWORKS, subnetworks: [{name: here, sourceIpRangesToNat: [LIST_OF_SECONDARY_IP_RANGES], secondaryIpRangeNames: [pods]}]}";
    assert_eq!(covered(listed), ["10.2.0.0/24"]);
    let far = "LIST_OF_SUBNETWORKS, subnetworks: [{name: far}]}";
    assert_eq!(errors(&text.replace("RANGES}", far)), ["region-mismatch 7:159"]);
}

#[test]
fn subnets_of_equal_names_are_told_apart_by_region() {
    let text = "\
networks: [{name: a}]
subnetworks:
- {name: run, network: a, region: r1, ipCidrRange: 10.1.0.0/24}
- {name: run, network: a, region: r2, ipCidrRange: 10.2.0.0/24}
services:
- {name: one, region: r2, template: {vpcAccess: {networkInterfaces: [{subnetwork: run}]}}}
- {name: two, region: r1, template: {vpcAccess: {networkInterfaces: [{subnetwork: projects/p/regions/r1/subnetworks/run}]}}}
";
    let subnets = scenario(text)
        .workloads
        .iter()
        .map(|workload| match *workload.attachment() {
            Attachment::Direct { subnetwork, .. } => subnetwork,
            _ => panic!("Direct VPC egress"),
        })
        .collect::<Vec<_>>();
    assert_eq!(subnets, [1, 0]);
}

#[test]
fn workloads_of_all_kinds_find_their_way_and_number() {
    let scenario = scenario(WORKLOADS);
    let summary: Vec<_> = scenario
        .workloads
        .iter()
        .map(|workload| (workload.name.as_str(), workload.instances, workload.egress()))
        .collect();
    assert_eq!(
        summary,
        [
            ("api", 3, Egress::AllTraffic),
            ("batch", 4, Egress::PrivateRangesOnly),
            ("pool", 5, Egress::PrivateRangesOnly),
            ("fn", 1, Egress::AllTraffic),
            ("fn2", 1, Egress::AllTraffic),
        ]
    );
    assert_eq!(scenario.workloads[0].revisions[0].vcpus, 2.5);
    assert_eq!(scenario.workloads[0].revisions[0].max_instances, Some(20));
    assert_eq!(*scenario.workloads[1].attachment(), Attachment::Connector(0));
    let tags = vec!["web".to_owned()];
    assert_eq!(*scenario.workloads[4].attachment(), Attachment::Direct { network: 0, subnetwork: 0, tags });
}

#[test]
fn the_old_name_of_all_traffic_is_read_with_a_warning() {
    let text = with_nat("").replace("ALL_TRAFFIC", "all");
    assert_eq!(warnings(&text), ["deprecated-value 4:72"]);
    assert_eq!(scenario(&text).workloads[0].egress(), Egress::AllTraffic);
}

#[test]
fn patches_of_a_gateway_build_on_each_other_in_time_order() {
    let text = with_nat("")
        + "\
events:
- {at: 9s, patchNat: {gateway: gw, set: {natIps: [ip-2], drainNatIps: [ip-1]}}}
- {at: 3s, patchNat: {gateway: router/gw, set: {minPortsPerVm: 1024, natIps: [ip-1, ip-2]}}}
- {at: 5s, scale: {workload: api, instances: 7}}
";
    let scenario = scenario(&text);
    let at: Vec<_> = scenario.events.iter().map(|event| event.at.as_secs()).collect();
    assert_eq!(at, [3, 5, 9]);
    let Change::PatchNat { config: first, .. } = &scenario.events[0].change else { panic!("a patch") };
    assert_eq!((first.min_ports_per_vm, first.nat_ips.len()), (1024, 2));
    let Change::PatchNat { config: last, .. } = &scenario.events[2].change else { panic!("a patch") };
    assert_eq!((last.min_ports_per_vm, last.nat_ips.len(), last.drain_nat_ips.len()), (1024, 1, 1));
    assert_eq!(scenario.nat_gateways[0].config.min_ports_per_vm, 64, "the gateway itself begins unpatched");
}

#[test]
fn patches_are_checked_like_gateways() {
    let patch = |set: &str| {
        errors(&(with_nat("") + &format!("events: [{{at: 1s, patchNat: {{gateway: gw, set: {{{set}}}}}}}]\n")))
    };
    assert_eq!(patch("maxPortsPerVm: 128"), ["max-ports-without-dpa 13:64"]);
    assert_eq!(patch("drainNatIps: [ip-2]"), ["drain-unassigned 13:63"]);
    assert_eq!(patch("natIps: [], drainNatIps: [ip-1]"), ["all-nat-ips-draining 13:57"]);
    assert_eq!(patch("drainNatIps: [ip-1]"), ["all-nat-ips-draining 12:13"]);
    assert_eq!(patch("type: PUBLIC"), ["immutable 13:55"]);
    assert_eq!(patch("natIps: []"), [""; 0], "a gateway may lose all its addresses while it runs");
}

#[test]
fn a_small_subnet_is_a_warning_with_the_arithmetic() {
    let text = "\
networks: [{name: vpc}]
subnetworks: [{name: run-egress, network: vpc, ipCidrRange: 10.9.0.0/26}]
services: [{name: api, instances: 40, template: {vpcAccess: {networkInterfaces: [{subnetwork: run-egress}]}}}]
";
    let loaded = read(text);
    let messages: Vec<&str> = loaded.diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect();
    let expected =
        "subnet \"run-egress\" 10.9.0.0/26 has room for 30 instances (60 addresses, 2 each), scenario asks for 40";
    assert_eq!(messages, [expected]);
    assert!(loaded.scenario.is_some(), "it is a failed start at run time, not an error");
    let smaller = text.replace("/26", "/27").replace("instances: 40", "instances: 2");
    assert_eq!(warnings(&smaller), ["small-subnet 2:61"]);
}

#[test]
fn what_will_hurt_is_a_warning() {
    assert_eq!(warnings(BASE), ["no-cloud-nat 4:19"]);
    assert_eq!(warnings(&with_nat("")), [""; 0]);
    assert_eq!(warnings(&with_nat("").replace("ALL_TRAFFIC", "PRIVATE_RANGES_ONLY")), ["unused-cloud-nat 4:19"]);
    // Two connector VMs of 57,344 ports: 4 blocks each, 3 an address, so 3 addresses.
    assert_eq!(warnings(&with_nat("    minPortsPerVm: 57344\n")), ["too-few-nat-ips 12:13"]);
    assert_eq!(
        warnings(&with_nat("    enableDynamicPortAllocation: true\n    tcpTimeWaitTimeoutSec: 5\n")),
        ["short-time-wait 14:28"]
    );
    assert_eq!(warnings(&with_nat("").replace("{name: vpc}", "{name: vpc, mtu: 1500}")), ["custom-mtu 1:29"]);
    assert_eq!(
        warnings(&with_nat("").replace("10.8.0.0/28}", "10.8.0.0/28, state: ERROR}")),
        ["connector-not-ready 2:86"]
    );
    assert_eq!(warnings(&with_nat("").replace("10.8.0.0/28", "10.8.0.3/28")), ["host-bits 2:66"]);
    let traffic = |entry: &str| {
        let hosts = "hosts: [{name: partner, address: 198.51.100.7, ports: [443]}]\n";
        warnings(&format!("{}{hosts}traffic: [{{from: api, {entry}}}]\n", with_nat("")))
    };
    assert_eq!(traffic("to: '198.51.100.9:443', rate: 1/s"), ["undeclared-destination 14:27"]);
    assert_eq!(traffic("to: '198.51.100.7:443', rate: 1/s"), [""; 0]);
    assert_eq!(traffic("to: '10.77.0.1:443', rate: 1/s"), [""; 0]);
    assert_eq!(traffic("to: 'partner:80', rate: 1/s"), ["closed-port 14:27"]);
    assert_eq!(traffic("to: partner, protocol: icmp, rate: 1/s"), ["icmp-through-connector 14:27"]);
    // 10/s × (0.5 + 30) s ÷ 2 VMs = 152 ports, 64 each.
    assert_eq!(traffic("to: 'partner:443', rate: 10/s"), ["too-few-ports 14:48"]);
    // 4/s: 61 ports.
    assert_eq!(traffic("to: 'partner:443', rate: 4/s"), [""; 0]);
}

#[test]
fn what_is_not_simulated_yet_is_said() {
    let extra = "\
firewallPolicies: [{name: p, associations: [{attachmentTarget: vpc}], rules: [{priority: 1, action: deny, direction: EGRESS, match: {destFqdns: [example.com], layer4Configs: [{ipProtocol: all}]}}]}]
forwardingRules: [{name: elb, IPAddress: 203.0.113.9, loadBalancingScheme: EXTERNAL, network: vpc}]
routes:
- {name: onprem, network: vpc, destRange: 192.168.0.0/16, nextHopVpnTunnel: u}
- {name: again, network: vpc, destRange: 192.168.0.0/17, nextHopVpnTunnel: u}
- {name: hub, network: vpc, destRange: 172.16.0.0/12, nextHopHub: hub}
";
    let loaded = read(&(with_nat("    sourceSubnetworkIpRangesToNat64: ALL_IPV6_SUBNETWORKS\n") + extra));
    let codes: Vec<&str> = loaded.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    assert_eq!(codes.iter().filter(|code| **code == "not-simulated").count(), 4, "{codes:?}");
    assert_eq!(findings(&loaded, &[Severity::Note]), ["assumed-up 17:77"]);
}

#[test]
fn a_pasted_export_is_accepted_with_its_output_only_fields() {
    let text = r#"{
  "networks": [{"kind": "compute#network", "id": "1", "name": "core", "selfLink": "https://www.googleapis.com/compute/v1/projects/p/global/networks/core",
    "autoCreateSubnetworks": false, "routingConfig": {"routingMode": "REGIONAL"}, "creationTimestamp": "2024-04-01T12:34:56.123456Z"}],
  "subnetworks": [{"kind": "compute#subnetwork", "name": "run-uc1", "network": "https://www.googleapis.com/compute/v1/projects/p/global/networks/core",
    "region": "https://www.googleapis.com/compute/v1/projects/p/regions/us-central1", "ipCidrRange": "100.64.0.0/22", "gatewayAddress": "100.64.0.1",
    "privateIpGoogleAccess": true, "purpose": "PRIVATE", "stackType": "IPV4_ONLY", "fingerprint": "x=", "logConfig": {"enable": false}}],
  "addresses": [{"kind": "compute#address", "name": "nat-1", "address": "203.0.113.7", "addressType": "EXTERNAL", "networkTier": "PREMIUM",
    "status": "IN_USE", "region": "https://www.googleapis.com/compute/v1/projects/p/regions/us-central1", "users": ["x"], "labelFingerprint": "y="}],
  "routers": [{"kind": "compute#router", "id": "564470628362494773", "name": "r1", "network": "https://www.googleapis.com/compute/v1/projects/p/global/networks/core",
    "region": "https://www.googleapis.com/compute/v1/projects/p/regions/us-central1", "encryptedInterconnectRouter": false,
    "nats": [{"name": "n1", "type": "PUBLIC", "endpointTypes": ["ENDPOINT_TYPE_VM"], "sourceSubnetworkIpRangesToNat": "LIST_OF_SUBNETWORKS",
      "subnetworks": [{"name": "https://www.googleapis.com/compute/v1/projects/p/regions/us-central1/subnetworks/run-uc1", "sourceIpRangesToNat": ["ALL_IP_RANGES"]}],
      "natIpAllocateOption": "MANUAL_ONLY", "natIps": ["https://www.googleapis.com/compute/v1/projects/p/regions/us-central1/addresses/nat-1"],
      "drainNatIps": [], "minPortsPerVm": 512, "maxPortsPerVm": 4096, "enableDynamicPortAllocation": true, "enableEndpointIndependentMapping": false,
      "udpIdleTimeoutSec": 30, "logConfig": {"enable": true, "filter": "ERRORS_ONLY"}}]}]
}"#;
    let loaded = read(text);
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics.render(&loaded.sources, false));
    assert_eq!(loaded.scenario.expect("no errors").nat_gateways[0].config.nat_ips, [Ipv4Addr::new(203, 0, 113, 7)]);
}

#[test]
fn folders_and_includes_are_merged_and_circles_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    write("a.yaml", "name: merged\nnetworks: [{name: a}]\ninclude: [parts/*.yaml]\nmodel: {nat: {shortage: none}}\n");
    write("b.json", "{\"networks\": [{\"name\": \"b\"}], \"model\": {\"nat\": {\"rst\": \"immediate\"}}}");
    write("notes.txt", "not a scenario");
    fs::create_dir(folder.path().join("parts")).expect("made");
    write("parts/c.yaml", "networks: [{name: c}]\n");
    let loaded = load(Source::Path(folder.path()));
    let scenario = loaded.scenario.expect("no errors");
    assert_eq!(scenario.networks.iter().map(|network| network.name.as_str()).collect::<Vec<_>>(), ["a", "c", "b"]);
    assert_eq!(scenario.model.nat.rst, super::model::RstPolicy::Immediate);
    assert_eq!(scenario.model.nat.shortage, super::model::Shortage::None);
    assert!(loaded.file.include.is_none(), "what was included is merged in");

    write("parts/c.yaml", "networks: [{name: a}]\ninclude: [../a.yaml]\n");
    let loaded = load(Source::Path(&folder.path().join("a.yaml")));
    assert_eq!(findings(&loaded, &[Severity::Unusable]), ["include-cycle 2:11"]);
    write("parts/c.yaml", "networks: [{name: a}]\nname: other\n");
    let loaded = load(Source::Path(&folder.path().join("a.yaml")));
    let rendered = loaded.diagnostics.render(&loaded.sources, false);
    assert_eq!(findings(&loaded, &[Severity::Unusable]), ["duplicate-name 1:19", "duplicate-key 2:1"], "{rendered}");
    assert!(rendered.contains("a.yaml:2:19") && rendered.contains("c.yaml:1:19"), "both places are shown:\n{rendered}");
    write("parts/c.yaml", "include: [nowhere.yaml]\nnetworks: []\n");
    let loaded = load(Source::Path(&folder.path().join("a.yaml")));
    assert_eq!(findings(&loaded, &[Severity::Unusable]), ["include-not-found 1:11"]);
}

#[test]
fn unreadable_input_is_an_error_without_a_place_or_at_the_wrong_byte() {
    let loaded = load(Source::Path("/nonexistent/scenario.yaml".as_ref()));
    assert_eq!(findings(&loaded, &[Severity::Unusable]), ["unreadable"]);
    let mut bytes: &[u8] = b"name: a\nseed: \xff\n";
    let loaded = load(Source::Reader(&mut bytes));
    assert_eq!(findings(&loaded, &[Severity::Unusable]), ["not-utf-8 2:7"]);
}

#[test]
fn a_printed_scenario_reads_as_the_same() {
    let mut texts: Vec<String> = scenarios().iter().map(|path| fs::read_to_string(path).expect("readable")).collect();
    texts.push(WORKLOADS.to_owned());
    texts.push(with_nat(
        "    rules: [{ruleNumber: 7, match: 'destination.ip == ''198.51.100.7''', action: {sourceNatActiveIps: [ip-2], sourceNatDrainIps: []}}]
events:
- {at: 1m30s, patchNat: {gateway: gw, set: {logConfig: {enable: true, filter: TRANSLATIONS_ONLY}}}}
hosts: [{name: far, addresses: [198.51.100.0/28], location: on-prem, nextHop: t, ports: [443, udp/53], rtt: 1.5ms, loss: 0.01}]
traffic: [{from: api, to: 'far:443', rate: 30/m, responseBytes: 4KiB, closedBy: nobody, arrivals: constant}]
instances: [{name: vm, zone: r1-a, networkInterfaces: [{subnetwork: aet-r1-conn, accessConfigs: [{}]}], tags: {items: [a]}}]
firewalls: [{name: f, network: vpc, denied: [{IPProtocol: 6, ports: [22, 8000-8999]}], sourceRanges: [10.0.0.0/8]}]
model: {nat: {rst: immediate, endpointIndependentChoice: hash, dynamicPortAllocation: {resetOnChange: false}}, cloudRun: {egressOpen: {natMedian: 10s}}, connector: {affinity: instance, snatPorts: 1000}}
expect: [{path: connections.failed, equals: 0}, {path: a.b, equals: {x: [null, true]}}, {path: c, atMost: 1.5}]
",
    ));
    for text in texts {
        let first = read(&text);
        assert!(first.scenario.is_some(), "{}", first.diagnostics.render(&first.sources, false));
        let text = serde_json::to_string_pretty(&first.file).expect("serializes");
        let again = load(Source::Text { name: "again.json", text: &text });
        assert_eq!(first.scenario, again.scenario);
        assert_eq!(first.file, again.file);
    }
}

#[test]
fn twenty_thousand_routes_are_no_trouble() {
    let mut text = String::from("networks: [{name: vpc}]\nroutes:\n");
    for at in 0..20_000 {
        text += &format!(
            "- {{name: r{at}, network: vpc, destRange: 10.{}.{}.0/24, priority: 900, nextHopIp: 10.255.255.1}}\n",
            at / 256,
            at % 256
        );
    }
    let begin = std::time::Instant::now();
    assert_eq!(scenario(&text).routes.len(), 20_001);
    // About 0.2 s optimized; the bound leaves room for a busy machine and a debug build.
    assert!(begin.elapsed() < Duration::from_secs(20), "took {:?}", begin.elapsed());
    // All of them wrong: still no more than a pass each.
    let loaded = read(&text.replace("priority: 900", "priority: high"));
    assert_eq!(loaded.diagnostics.count(Severity::Unusable), 20_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Cut, repeat or overwrite pieces of a real scenario: whatever comes out loads or is refused, and can be shown.
    #[test]
    fn mutated_scenarios_never_panic(edits in prop::collection::vec((0usize..4000, 0usize..60, ".{0,12}"), 1..6)) {
        let mut text = include_str!("../../scenarios/guide.yaml").to_owned();
        for (start, length, replacement) in edits {
            let start = text.floor_char_boundary(start.min(text.len()));
            let end = text.floor_char_boundary((start + length).min(text.len()));
            text.replace_range(start..end, &replacement);
        }
        let loaded = read(&text);
        let _ = loaded.diagnostics.render(&loaded.sources, true);
        prop_assert_eq!(loaded.scenario.is_some(), !loaded.diagnostics.has_errors());
    }

    /// Any text at all.
    #[test]
    fn arbitrary_texts_never_panic(text in "[ \\t\\n{}\\[\\]:,&*!|>'\"%@#a-c0-9<-]{0,200}") {
        let loaded = read(&text);
        let _ = loaded.diagnostics.render(&loaded.sources, false);
    }
}
