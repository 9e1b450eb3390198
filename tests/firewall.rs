//! The firewall on a packet's way and in whole runs: which policy or rule decides, what a trace says of it, what becomes of
//! connections when rules change or tables are full.

mod common;

use std::ops::ControlFlow;

use common::scenario;
use egressim::network::Network;
use egressim::node::firewall::Headers;
use egressim::probe::probe;
use egressim::report::connectivity;
use egressim::report::summary::Summary;
use egressim::simulation;
use egressim::time::SimTime;
use egressim::trace::{State, StepInfo, Trace};
use egressim::wire::Protocol;
use serde_json::json;

/// Two ways into a network, a database, and a VM.
const HOUSE: &str = "\
networks: [{name: vpc}]
subnetworks: [{name: app, network: vpc, region: us-central1, ipCidrRange: 10.9.0.0/24}]
connectors: [{name: conn, region: us-central1, network: vpc, ipCidrRange: 10.8.0.0/28}]
services:
- {name: by-connector, region: us-central1, template: {vpcAccess: {connector: conn}}}
- name: direct
  region: us-central1
  template: {serviceAccount: direct@p, vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: app, tags: [web]}]}}
hosts:
- {name: db, address: 10.9.0.200, location: vpc, network: vpc, ports: [5432]}
";
const DB: &str = "10.9.0.200:5432";
const ALLOW_DB: &str = "firewalls: [{name: allow-db, network: vpc, sourceRanges: [10.9.0.0/24], \
                        allowed: [{IPProtocol: tcp, ports: [\"5432\"]}]}]\n";
const MATCH_ALL: &str = "layer4Configs: [{ipProtocol: all}]";

fn house(parts: &[&str]) -> String {
    HOUSE.to_owned() + &parts.concat()
}

/// The steps of a TCP packet from a workload, and of the reply, as a text to be read.
#[track_caller]
fn walk(yaml: &str, from: &str, to: &str) -> String {
    let (traces, text) = traced(yaml, from, to);
    assert!(!traces.is_empty());
    text
}

#[track_caller]
fn traced(yaml: &str, from: &str, to: &str) -> (Vec<Trace>, String) {
    let scenario = scenario(yaml);
    let workload = scenario.workloads.iter().position(|workload| workload.name == from).expect("a workload");
    let (address, port) = to.split_once(':').expect("a port");
    let (address, port) = (address.parse::<std::net::IpAddr>().expect("an address"), port.parse().expect("a port"));
    let probe = probe(&scenario, workload, address, port, Protocol::Tcp).expect("the workload has an instance");
    let traces: Vec<Trace> = [probe.trace].into_iter().chain(probe.reply).collect();
    let mut text = format!("{from} -> {to}/tcp\n");
    for trace in &traces {
        for step in trace.hops.iter().flat_map(|hop| &hop.steps) {
            text += &format!("  {:<30} {}\n", step.state.name(), step.description);
        }
        let cause = trace.disposition.cause().map_or("", |cause| cause.name());
        text += &format!("{} {cause}\n", trace.disposition.name()).replace(" \n", "\n");
    }
    (traces, text)
}

fn run(yaml: &str) -> Summary {
    simulation::run(&scenario(yaml), None, &mut |_| ControlFlow::Continue(())).expect("it runs")
}

#[test]
fn t14_of_two_rules_of_one_priority_the_one_that_denies_decides() {
    let rules = "firewalls:
- {name: allow, network: vpc, sourceRanges: [10.9.0.0/24], priority: 1000, allowed: [{IPProtocol: tcp}]}
- {name: deny, network: vpc, sourceRanges: [10.9.0.0/24], priority: 1000, denied: [{IPProtocol: tcp}]}
";
    insta::assert_snapshot!(walk(&house(&[rules]), "direct", DB));
}

#[test]
fn t15_a_users_deny_at_990_comes_before_what_google_allows_a_connector_at_1000() {
    let deny = |priority: u32| {
        format!(
            "firewalls: [{{name: deny-connector, network: vpc, priority: {priority}, sourceRanges: [10.8.0.0/28], denied: [{{IPProtocol: all}}]}}]\n"
        )
    };
    let texts = [990, 1001].map(|priority| walk(&house(&[&deny(priority)]), "by-connector", DB));
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn an_egress_rule_of_the_organization_denies_and_is_named() {
    let policy = format!(
        "firewallPolicies:
- name: '902824820698'
  shortName: company-policy
  parent: organizations/7
  associations: [{{attachmentTarget: organizations/7}}]
  rules:
  - {{priority: 10, action: goto_next, direction: EGRESS, match: {{destIpRanges: [10.9.0.0/25], {MATCH_ALL}}}}}
  - {{ruleName: no-databases, priority: 20, action: deny, direction: EGRESS, match: {{destIpRanges: [10.0.0.0/8], layer4Configs: [{{ipProtocol: tcp, ports: ['5432']}}]}}}}
"
    );
    let (traces, text) = traced(&house(&[ALLOW_DB, &policy]), "direct", DB);
    insta::assert_snapshot!(text);
    let step =
        traces[0].hops.iter().flat_map(|hop| &hop.steps).find(|step| step.state == State::ApplyEgressFirewallRule);
    let Some(StepInfo::Firewall(info)) = &step.expect("it was evaluated").info else { panic!("a payload") };
    assert_eq!(info.rule_type.name(), "HIERARCHICAL_FIREWALL_POLICY_RULE");
    assert_eq!(info.policy_name.as_deref(), Some("company-policy"));
}

#[test]
fn programs_are_told_rule_policy_and_tracking_in_the_fields_of_connectivity_tests() {
    let policy = |kind: &str| {
        format!(
            "firewallPolicies: [{{name: '77', shortName: baseline, {kind}, rules: [{{ruleName: in, priority: 5, action: allow, targetServiceAccounts: [db@p], match: {{{MATCH_ALL}}}}}, {{priority: 6, action: allow, match: {{{MATCH_ALL}}}}}]}}]\n"
        )
    };
    for (kind, uri, rule_type) in [
        (
            "associations: [{attachmentTarget: organizations/7}]",
            "locations/global/firewallPolicies/77",
            "HIERARCHICAL_FIREWALL_POLICY_RULE",
        ),
        (
            "associations: [{attachmentTarget: vpc}]",
            "projects/p/global/firewallPolicies/77",
            "NETWORK_FIREWALL_POLICY_RULE",
        ),
        (
            "region: us-central1, associations: [{attachmentTarget: vpc}]",
            "projects/p/regions/us-central1/firewallPolicies/77",
            "NETWORK_REGIONAL_FIREWALL_POLICY_RULE",
        ),
    ] {
        let (traces, _) = traced(&house(&[&policy(kind)]), "direct", DB);
        let told: Vec<_> = traces.iter().map(|trace| connectivity::trace(trace, "p")).collect();
        let firewall = |trace: usize, state: &str| {
            let steps = told[trace]["steps"].as_array().expect("a list");
            steps.iter().find(|step| step["state"] == state).expect("such a step")["firewall"].clone()
        };
        let mut expected = json!({
            "direction": "INGRESS", "action": "ALLOW", "priority": 6, "networkUri": "projects/p/global/networks/vpc",
            "policy": "baseline", "policyUri": uri, "firewallRuleType": rule_type,
        });
        if rule_type == "HIERARCHICAL_FIREWALL_POLICY_RULE" {
            // It is of no network.
            expected.as_object_mut().expect("an object").remove("networkUri");
        }
        assert_eq!(firewall(0, "APPLY_INGRESS_FIREWALL_RULE"), expected);
        let tracked = json!({
            "direction": "INGRESS", "action": "ALLOW", "networkUri": "projects/p/global/networks/vpc",
            "firewallRuleType": "TRACKING_STATE",
        });
        assert_eq!(firewall(1, "APPLY_INGRESS_FIREWALL_RULE"), tracked);
    }
}

#[test]
fn an_ingress_rule_of_the_organization_denies_what_a_vpc_rule_allows() {
    let policy = format!(
        "firewallPolicies:
- name: '1'
  shortName: company-policy
  associations: [{{attachmentTarget: organizations/7}}]
  rules: [{{priority: 700, action: deny, match: {{srcIpRanges: [0.0.0.0/0], {MATCH_ALL}}}}}]
"
    );
    insta::assert_snapshot!(walk(&house(&[ALLOW_DB, &policy]), "direct", DB));
}

#[test]
fn goto_next_hands_on_to_the_folder_and_to_the_rules_of_the_network() {
    let policy = |name: &str, target: &str| {
        format!(
            "- {{name: {name}, associations: [{{attachmentTarget: {target}}}], rules: [{{priority: 600, action: goto_next, match: {{srcIpRanges: [10.0.0.0/8], {MATCH_ALL}}}}}, {{priority: 700, action: deny, match: {{{MATCH_ALL}}}}}]}}\n"
        )
    };
    let policies =
        format!("firewallPolicies:\n{}{}", policy("of-folder", "folders/3"), policy("of-company", "organizations/7"));
    insta::assert_snapshot!(walk(&house(&[ALLOW_DB, &policies]), "direct", DB));
}

#[test]
fn a_network_policy_comes_after_the_rules_of_the_network_or_before_them() {
    let policy = format!(
        "firewallPolicies: [{{name: strict, associations: [{{attachmentTarget: vpc}}], rules: [{{priority: 1, action: deny, match: {{{MATCH_ALL}}}}}]}}]\n"
    );
    let after = house(&[ALLOW_DB, &policy]);
    let before =
        after.replace("{name: vpc}]", "{name: vpc, networkFirewallPolicyEnforcementOrder: BEFORE_CLASSIC_FIREWALL}]");
    insta::assert_snapshot!([walk(&after, "direct", DB), walk(&before, "direct", DB)].join("\n"));
}

#[test]
fn a_regional_policy_is_for_its_region() {
    let policy = |region: &str| {
        let policy = format!(
            "firewallPolicies: [{{name: local, region: {region}, associations: [{{attachmentTarget: vpc}}], rules: [{{priority: 1, action: allow, match: {{srcIpRanges: [10.9.0.0/24], {MATCH_ALL}}}}}]}}]\n"
        );
        walk(&house(&[&policy]), "direct", DB)
    };
    insta::assert_snapshot!([policy("us-central1"), policy("europe-west1")].join("\n"));
}

#[test]
fn the_implied_rule_denies_and_the_trace_tells_what_was_nearly_right() {
    let near = "firewalls:
- {name: allow-mysql, network: vpc, sourceRanges: [10.9.0.0/24], allowed: [{IPProtocol: tcp, ports: ['3306']}]}
- {name: allow-office, network: vpc, sourceRanges: [10.44.0.0/16], allowed: [{IPProtocol: tcp, ports: ['5432']}]}
- {name: allow-tagged, network: vpc, sourceRanges: [10.9.0.0/24], targetTags: [database], allowed: [{IPProtocol: tcp}]}
- {name: allow-off, network: vpc, sourceRanges: [10.9.0.0/24], disabled: true, allowed: [{IPProtocol: tcp}]}
- {name: unrelated, network: vpc, sourceRanges: [10.44.0.0/16], allowed: [{IPProtocol: udp}]}
";
    insta::assert_snapshot!(walk(&house(&[near]), "direct", DB));
}

#[test]
fn a_source_service_account_of_direct_vpc_egress_is_unsupported_and_named() {
    let rule = "firewalls: [{name: from-direct, network: vpc, sourceServiceAccounts: [direct@p], allowed: [{IPProtocol: tcp}]}]\n";
    // The first instance gets through as it was observed, and others do not.
    let first = walk(&house(&[rule]), "direct", DB);
    let others = walk(&house(&[rule, "model: {firewall: {sourceServiceAccount: never}}\n"]), "direct", DB);
    insta::assert_snapshot!([first, others].join("\n"));
}

#[test]
fn a_new_instances_source_tag_works_after_a_while() {
    let yaml = house(&["duration: 150s
firewalls: [{name: from-web, network: vpc, sourceTags: [web], allowed: [{IPProtocol: tcp}]}]
model: {cloudRun: {egressOpen: {natMedian: 10ms, natP90: 10ms, natMax: 10ms, vpcMedian: 10ms}}}
events: [{at: 10s, scale: {workload: direct, instances: 0}}, {at: 20s, scale: {workload: direct, instances: 1}}]
traffic:
- {name: warm, from: direct, to: 'db:5432', count: 5, start: 1s}
- {name: early, from: direct, to: 'db:5432', count: 5, start: 70s, connectTimeout: 1s}
- {name: late, from: direct, to: 'db:5432', count: 5, start: 81s}
"]);
    let summary = run(&yaml);
    let established: Vec<u64> = summary.traffic.iter().map(|load| load.established).collect();
    assert_eq!(established, [5, 0, 5]);
    let cause = "INGRESS_FIREWALL_TAGS_UNSUPPORTED_BY_DIRECT_VPC_EGRESS";
    assert_eq!(summary.traffic[1].failed_by.get(cause), Some(&5));
}

#[test]
fn only_worker_pools_accept_connections() {
    let rule = "firewalls: [{name: allow, network: vpc, sourceRanges: [10.9.0.0/24], allowed: [{IPProtocol: tcp}]}]\n";
    let pool = "workerPools: [{name: pool, region: us-central1, template: {vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: app}]}}}]\n";
    let yaml = house(&[rule, pool]);
    let scenario = scenario(&yaml);
    let network = Network::new(&scenario);
    // The instances of the service and of the pool.
    let [service, pool] = [1, 2].map(|workload| format!("{}:8080", network.instances(workload)[0].address));
    insta::assert_snapshot!([walk(&yaml, "by-connector", &service), walk(&yaml, "direct", &pool)].join("\n"));
}

#[test]
fn cloud_ngfw_enterprise_is_said_to_inspect_but_not_packets_of_direct_vpc_egress() {
    let policy = format!(
        "firewallPolicies:
- name: '1'
  shortName: deep
  associations: [{{attachmentTarget: organizations/7}}]
  rules: [{{priority: 1, action: apply_security_profile_group, securityProfileGroup: group-7, match: {{{MATCH_ALL}}}}}]
"
    );
    let yaml = house(&[&policy]);
    insta::assert_snapshot!([walk(&yaml, "direct", DB), walk(&yaml, "by-connector", DB)].join("\n"));
}

#[test]
fn a_changed_rule_denies_new_connections_and_lets_the_old_ones_go_on() {
    let yaml = house(&[
        ALLOW_DB,
        "duration: 60s
events:
- {at: 20s, patchFirewall: {firewall: allow-db, set: {disabled: true}}}
- {at: 40s, patchFirewall: {firewall: allow-db, set: {disabled: false}}}
traffic:
- {name: old, from: direct, to: 'db:5432', count: 10, start: 10s, lifetime: 20s}
- {name: denied, from: direct, to: 'db:5432', count: 10, start: 25s, connectTimeout: 5s}
- {name: allowed, from: direct, to: 'db:5432', count: 10, start: 41s}
",
    ]);
    let summary = run(&yaml);
    let fates: Vec<(u64, u64, u64)> =
        summary.traffic.iter().map(|load| (load.established, load.failed, load.broken)).collect();
    assert_eq!(fates, [(10, 0, 0), (0, 10, 0), (10, 0, 0)]);
    assert_eq!(summary.traffic[1].failed_by.get("FIREWALL_RULE"), Some(&10));
}

#[test]
fn an_instance_with_one_cpu_tracks_130_000_connections() {
    let hosts: String = (1..=5)
        .map(|host| format!("- {{name: host-{host}, address: 10.9.0.{}, location: vpc, network: vpc}}\n", 240 + host))
        .collect();
    let loads: String = (1..=5)
        .map(|host| format!("- {{from: direct, to: 'host-{host}:53', protocol: udp, count: 26010, start: {host}s, requestBytes: 1, responseBytes: 1, connectTimeout: 1s}}\n"))
        .collect();
    let allow = "firewalls: [{name: allow, network: vpc, allowed: [{IPProtocol: udp}]}]\n";
    let yaml = format!("{}{hosts}{allow}duration: 20s\ntraffic:\n{loads}", house(&[]));
    let summary = run(&yaml);
    // 5 × 26,010 = 130,050, of which 50 find no room.
    assert_eq!(summary.connections.established, 130_000);
    assert_eq!(summary.connections.failed_by.get("SIM_TRACKING_TABLE_FULL"), Some(&50));
    let [table] = &summary.full_tracking_tables[..] else { panic!("{:?}", summary.full_tracking_tables) };
    assert_eq!(
        (&*table.interface, &*table.network, table.tracked_max, table.refused),
        ("direct-1", "vpc", 130_000, 50)
    );
}

#[test]
fn a_rule_about_countries_goes_by_where_hosts_say_they_are() {
    let yaml = house(&["- {name: here, address: 198.51.100.0/25, geoLocation: {country: usa}}
- {name: there, address: 198.51.100.128/25, geoLocation: {country: deu}}
- {name: anywhere, address: 203.0.113.77}
firewallPolicies:
- name: p
  associations: [{attachmentTarget: vpc}]
  rules: [{priority: 1, action: deny, direction: EGRESS, match: {destRegionCodes: [US], layer4Configs: [{ipProtocol: all}]}}]
"])
    .replace("subnetwork: app, tags: [web]}]", "subnetwork: app, tags: [web]}], egress: ALL_TRAFFIC");
    for (to, denied) in [("198.51.100.7:443", true), ("198.51.100.200:443", false), ("203.0.113.77:443", false)] {
        let text = walk(&yaml, "direct", to);
        assert_eq!(text.contains("denied by rule 1 of network firewall policy p"), denied, "{text}");
    }
}

/// The situations of the tests of gcpdiag's evaluator (`gcpdiag/queries/network_test.py`, Google's, 2026), with rules and
/// addresses of our own: a deny before an allow, sources by range, tag and account, targets, two policies one after the
/// other.
#[test]
fn situations_that_googles_own_evaluator_is_tested_with_are_decided_alike() {
    let rules = "networks: [{name: vpc}]
subnetworks: [{name: s, network: vpc, region: us-central1, ipCidrRange: 10.50.0.0/24}]
instances:
- {name: plain, zone: us-central1-a, networkInterfaces: [{subnetwork: s, networkIP: 10.50.0.2}]}
- {name: marked, zone: us-central1-a, tags: {items: [marked]}, networkInterfaces: [{subnetwork: s, networkIP: 10.50.0.3}]}
- {name: agent, zone: us-central1-a, serviceAccounts: [{email: agent@p}], networkInterfaces: [{subnetwork: s, networkIP: 10.50.0.4}]}
firewalls:
- {name: p800, network: vpc, priority: 800, sourceRanges: [10.60.0.0/24], denied: [{IPProtocol: tcp, ports: [3001-3002]}]}
- {name: p900, network: vpc, priority: 900, sourceRanges: [10.60.0.0/24], sourceTags: [marked], allowed: [{IPProtocol: tcp, ports: ['3100', 3000-4000]}]}
- {name: p901, network: vpc, priority: 901, sourceServiceAccounts: [agent@p], allowed: [{IPProtocol: tcp, ports: ['5000']}]}
- {name: p902, network: vpc, priority: 902, targetServiceAccounts: [agent@p], allowed: [{IPProtocol: tcp, ports: ['5001']}]}
- {name: p903, network: vpc, priority: 903, targetTags: [marked], allowed: [{IPProtocol: tcp, ports: ['3100']}]}
- {name: p950, network: vpc, priority: 950, denied: [{IPProtocol: tcp, ports: ['3006']}]}
firewallPolicies:
- {name: '1', type: HIERARCHY, shortName: parent, rules: [{priority: 9000, action: allow, match: {srcIpRanges: [10.61.0.1/32], layer4Configs: [{ipProtocol: tcp, ports: [6000-6002]}]}}]}
- name: '2'
  type: HIERARCHY
  shortName: sub
  rules:
  - {priority: 8999, action: allow, targetServiceAccounts: [agent@p], match: {srcIpRanges: [10.62.0.1/32], layer4Configs: [{ipProtocol: all}]}}
  - {priority: 9000, action: allow, match: {srcIpRanges: [10.61.0.1/32], layer4Configs: [{ipProtocol: tcp, ports: ['6003']}]}}
";
    let scenario = scenario(rules);
    let network = Network::new(&scenario);
    let ip = |text: &str| text.parse::<std::net::Ipv4Addr>().unwrap();
    for (from, to, port, expected) in [
        ("10.0.0.1", "plain", 21, "default-deny-ingress"),
        ("10.60.0.16", "plain", 3001, "p800"),
        ("10.60.0.16", "plain", 3006, "p900"),
        ("10.50.0.3", "plain", 3006, "p900"),
        ("10.50.0.2", "plain", 3006, "p950"),
        ("192.168.1.1", "marked", 3100, "p903"),
        ("192.168.1.1", "plain", 3100, "default-deny-ingress"),
        ("10.50.0.4", "plain", 5000, "p901"),
        ("10.50.0.2", "plain", 5000, "default-deny-ingress"),
        ("192.168.1.1", "agent", 5001, "p902"),
        ("10.61.0.1", "plain", 6001, "parent"),
        ("10.61.0.1", "plain", 6003, "sub"),
        ("10.62.0.1", "agent", 6000, "sub"),
        ("10.62.0.1", "plain", 6000, "default-deny-ingress"),
    ] {
        let at = scenario.vms.iter().position(|vm| vm.name == to).unwrap();
        let headers = Headers::tcp(ip(from), scenario.vms[at].address, port);
        let interface = egressim::trace::PortId(at as u32 + 1);
        let ruling = network.firewall(0).permits(interface, true, &headers, SimTime::ZERO);
        let decisive = ruling.info.policy_name.as_deref().unwrap_or(&ruling.info.display_name);
        assert_eq!(decisive, expected, "{from} to {to}:{port}: {}", ruling.description);
        assert_eq!(ruling.cause.is_none(), !["default-deny-ingress", "p800", "p950"].contains(&expected));
    }
}

#[test]
fn the_six_automatic_rules_of_a_connector_are_there_by_googles_names() {
    let scenario = scenario(&house(&[]));
    let network = Network::new(&scenario);
    let firewall = network.firewall(0);
    // Connector VMs are attached before Cloud Run instances, and after hosts.
    let vm = (1..).map(egressim::trace::PortId).find(|port| firewall.interface(*port).name.starts_with("conn-vm"));
    let vm = vm.expect("the connector has VMs");
    let here: std::net::Ipv4Addr = "10.8.0.2".parse().unwrap();
    let ip = |text: &str| text.parse::<std::net::Ipv4Addr>().unwrap();
    let serverless = ip("35.199.224.7");
    let mut text = String::new();
    for (what, ingress, headers) in [
        ("health check", true, Headers::tcp(ip("130.211.0.9"), here, 667)),
        ("health check", true, Headers::tcp(ip("35.191.200.9"), here, 667)),
        ("another port", true, Headers::tcp(ip("130.211.0.9"), here, 668)),
        ("tunnel in", true, Headers::udp(serverless, here, 665)),
        ("tunnel in", true, Headers::udp(serverless, here, 666)),
        ("ping in", true, Headers::portless(serverless, here, 1)),
        ("another port", true, Headers::udp(serverless, here, 667)),
        ("tunnel out", false, Headers::tcp(here, serverless, 667)),
        ("another port", false, Headers::tcp(here, serverless, 443)),
        ("another port", false, Headers::udp(here, serverless, 664)),
        ("elsewhere", false, Headers::tcp(here, ip("198.51.100.7"), 443)),
        ("from itself", true, Headers::tcp(ip("10.8.0.3"), here, 443)),
    ] {
        let ruling = firewall.permits(vm, ingress, &headers, SimTime::ZERO);
        let rule_type = ruling.info.rule_type.name();
        text += &format!("{what:<13} {} [{rule_type}]\n", ruling.description);
    }
    insta::assert_snapshot!(text);
    // A rule for the VMs' own range: others know them by their tag, too.
    let deny = "firewalls: [{name: deny-range, network: vpc, priority: 999, sourceRanges: [10.8.0.0/28], denied: [{IPProtocol: tcp, ports: ['5432']}]}]\n";
    assert!(walk(&house(&[deny]), "by-connector", DB).contains("deny-range"));
}
