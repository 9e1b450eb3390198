//! The JSON of a trace against what `gcloud network-management connectivity-tests describe --format=json` prints: names of
//! fields and values, and how they are nested.

#[path = "../common/mod.rs"]
mod common;
mod names;

use std::collections::{BTreeMap, BTreeSet};

use common::scenario;
use common::walk::{HOUSE, NAT, WORLD, house};
use egressim::probe::probe;
use egressim::report::connectivity::{self, Way};
use egressim::trace::info::{
    DeliverTarget, FirewallRuleType, ForwardTarget, GoogleServiceType, NatType, NextHopType, RouteType,
};
use egressim::trace::{AbortCause, DropCause, State};
use egressim::wire::Protocol;
use serde_json::{Value, json};

fn listed(list: &str) -> BTreeSet<&str> {
    let names: Vec<&str> = list.split_whitespace().collect();
    let set: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(set.len(), names.len(), "a name is listed twice");
    set
}

#[track_caller]
fn all_are(names: impl IntoIterator<Item = &'static str>, list: &str) {
    let list = listed(list);
    let strange: Vec<_> = names.into_iter().filter(|name| !list.contains(name)).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

#[test]
fn every_name_that_is_not_the_simulators_own_is_one_of_googles() {
    all_are(State::ALL.iter().map(|state| state.name()), names::STATES);
    all_are(FirewallRuleType::ALL.iter().map(|kind| kind.name()), names::FIREWALL_RULE_TYPES);
    all_are(RouteType::ALL.iter().map(|kind| kind.name()), names::ROUTE_TYPES);
    all_are(NextHopType::ALL.iter().map(|kind| kind.name()), names::NEXT_HOP_TYPES);
    all_are(DeliverTarget::ALL.iter().map(|target| target.name()), names::DELIVER_TARGETS);
    all_are(NatType::ALL.iter().map(|kind| kind.name()), names::NAT_TYPES);
    all_are([AbortCause::NoServerlessIpRanges.name()], names::ABORT_CAUSES);
    // One type stands for those of both messages.
    let services = format!("{} {}", names::GOOGLE_SERVICES, "PRIVATE_GOOGLE_ACCESS");
    all_are(GoogleServiceType::ALL.iter().map(|service| service.name()), &services);
    let own = |name: &&str| !name.starts_with("SIM_");
    all_are(ForwardTarget::ALL.iter().map(|target| target.name()).filter(own), names::FORWARD_TARGETS);
    // What has no place in a configuration's analysis are the reasons of Cloud NAT's metric.
    let causes = format!("{} OUT_OF_RESOURCES ENDPOINT_INDEPENDENCE_CONFLICT", names::DROP_CAUSES);
    all_are(DropCause::ALL.iter().map(|cause| cause.name()).filter(own), &causes);
}

/// The document of a trace, as the program prints it.
fn document(yaml: &str, from: &str, to: &str, protocol: Protocol) -> Value {
    let scenario = scenario(yaml);
    let workload = scenario.workloads.iter().position(|workload| workload.name == from).expect("a workload");
    let (address, port) = to.split_once(':').expect("a port");
    let (address, port) = (address.parse::<std::net::IpAddr>().expect("an address"), port.parse().expect("a port"));
    let probe = probe(&scenario, workload, address, port, protocol).expect("somebody to send");
    let there = Way { trace: &probe.trace, sent: probe.sent.as_ref() };
    let back = probe.reply.as_ref().map(|trace| Way { trace, sent: probe.answered.as_ref() });
    connectivity::document(there, back, "p")
}

/// Traces that show every payload there is.
fn documents() -> Vec<Value> {
    let (tcp, udp, icmp) = (Protocol::Tcp, Protocol::Udp, Protocol::Icmp);
    let mut documents = Vec::new();
    for (from, to, protocol) in [
        ("direct", "172.16.5.5:443", tcp),
        ("direct", "192.168.1.1:443", tcp),
        ("direct", "192.168.7.1:443", tcp),
        ("direct", "10.50.0.1:443", tcp),
        ("direct", "10.60.0.1:443", tcp),
        ("direct", "10.30.0.9:5432", tcp),
        ("direct", "10.200.0.3:3307", tcp),
        ("direct", "10.20.0.200:22", tcp),
        ("direct", "10.20.0.5:22", tcp),
        ("direct", "10.70.0.1:443", tcp),
        ("tagged", "10.80.0.1:443", tcp),
        ("tagged", "10.10.0.9:443", tcp),
        ("direct", "10.9.0.100:80", tcp),
        ("direct", "10.9.0.101:5432", tcp),
        ("direct", "10.99.0.1:443", tcp),
        ("direct", "142.250.9.9:443", tcp),
        ("direct", "35.199.192.1:53", udp),
        ("direct", "203.0.113.99:443", tcp),
        ("behind", "198.51.100.7:443", tcp),
        ("direct", "198.51.100.7:0", icmp),
        ("lone", "198.51.100.7:443", tcp),
        ("lone", "10.9.0.1:443", tcp),
        ("batch", "198.51.100.7:443", tcp),
        ("fn", "198.51.100.7:443", tcp),
    ] {
        documents.push(document(WORLD, from, to, protocol));
    }
    let policies = "firewallPolicies: [{name: '1', shortName: deep, associations: [{attachmentTarget: organizations/7}], \
                    rules: [{priority: 1, action: apply_security_profile_group, securityProfileGroup: group-7, \
                    match: {layer4Configs: [{ipProtocol: all}]}}]}]\n";
    documents.push(document(&house(&[policies]), "conn-all", "10.9.0.200:5432", tcp));
    documents.push(document(HOUSE, "conn-all", "10.9.0.200:5432", tcp));
    let full = HOUSE.replace(
        "name: lone, region",
        "name: crowd, instances: 200, template: {vpcAccess: {networkInterfaces: [{subnetwork: app}]}}, region",
    );
    documents.push(document(&full, "direct-all", "10.9.0.200:5432", tcp));
    documents
}

/// The steps of both directions, at both places.
fn steps(document: &Value) -> Vec<&Value> {
    let places = ["/steps", "/reply/steps"]
        .into_iter()
        .chain(["/reachabilityDetails/traces/0/steps", "/returnReachabilityDetails/traces/0/steps"]);
    places.filter_map(|place| document.pointer(place)).flat_map(|steps| steps.as_array().expect("a list")).collect()
}

#[test]
fn steps_have_the_fields_of_their_messages_and_no_others() {
    let fields: BTreeMap<&str, BTreeSet<&str>> =
        names::FIELDS.iter().map(|(payload, fields)| (*payload, listed(fields))).collect();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let documents = documents();
    for document in &documents {
        for step in steps(document) {
            let mut payloads = Vec::new();
            for (field, value) in step.as_object().expect("an object") {
                match field.as_str() {
                    "node" | "state" | "description" | "projectId" => assert!(value.is_string(), "{step:#}"),
                    "causesDrop" => assert_eq!(value, true, "{step:#}"),
                    payload => {
                        let (payload, known) = fields.get_key_value(payload).unwrap_or_else(|| panic!("{step:#}"));
                        seen.insert(payload);
                        payloads.push(value);
                        for (field, value) in value.as_object().expect("an object") {
                            assert!(known.contains(field.as_str()), "{payload}.{field}\n{step:#}");
                            // What is nothing is left out.
                            let nothing = [json!(0), json!(""), json!(false), json!([]), Value::Null];
                            assert!(!nothing.contains(value), "{payload}.{field}\n{step:#}");
                        }
                    }
                }
            }
            assert!(payloads.len() <= 1, "a step has one payload\n{step:#}");
        }
    }
    let all: BTreeSet<&str> = fields.keys().copied().collect();
    assert_eq!(seen, all, "a payload is never shown, or never listed");
}

#[test]
fn values_are_those_of_the_enums() {
    let enums: [(&str, &str, &str); 10] = [
        ("firewall", "firewallRuleType", names::FIREWALL_RULE_TYPES),
        ("route", "routeType", names::ROUTE_TYPES),
        ("route", "nextHopType", names::NEXT_HOP_TYPES),
        ("deliver", "target", names::DELIVER_TARGETS),
        ("deliver", "googleServiceType", names::DELIVER_SERVICES),
        ("nat", "type", names::NAT_TYPES),
        ("nat", "cloudNatGatewayType", names::NAT_GATEWAY_TYPES),
        ("googleService", "googleServiceType", names::GOOGLE_SERVICES),
        ("drop", "cause", names::DROP_CAUSES),
        ("abort", "cause", names::ABORT_CAUSES),
    ];
    let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
    for document in documents() {
        for step in steps(&document) {
            let state = step["state"].as_str().expect("a text");
            assert!(listed(names::STATES).contains(state), "{step:#}");
            for (payload, field, values) in enums {
                if let Some(value) = step[payload].get(field) {
                    seen.insert((payload, field));
                    assert!(listed(values).contains(value.as_str().expect("a text")), "{step:#}");
                }
            }
            // Ports are of TCP and UDP, routes of a peer are resources there, and hierarchical policies of no network.
            if let Some(nat) = step.get("nat") {
                assert_eq!(nat.get("oldSourcePort").is_some(), nat["protocol"] != "ICMP", "{step:#}");
            }
            if let Some(route) = step.get("route").filter(|route| route["routeType"] == "PEERING_STATIC") {
                assert_eq!(route.get("uri"), None, "{step:#}");
                assert_eq!(route["originatingRouteUri"], "projects/p/global/routes/hub-static", "{step:#}");
            }
            if step["firewall"]["firewallRuleType"] == "HIERARCHICAL_FIREWALL_POLICY_RULE" {
                assert_eq!(step["firewall"].get("networkUri"), None, "{step:#}");
            }
        }
    }
    assert_eq!(seen, enums.iter().map(|(payload, field, _)| (*payload, *field)).collect());
}

#[test]
fn a_delivered_packet_and_its_answer_are_nested_as_google_nests_them() {
    let document = document(&house(&[NAT]), "direct-all", "198.51.100.7:443", Protocol::Tcp);
    let details = &document["reachabilityDetails"];
    assert_eq!((&details["result"], &details["traces"][0]["forwardTraceId"]), (&json!("REACHABLE"), &json!(1)));
    let sent = json!({
        "sourceIp": "10.9.0.16", "destinationIp": "198.51.100.7", "protocol": "TCP", "sourcePort": 32768,
        "destinationPort": 443,
    });
    assert_eq!(details["traces"][0]["endpointInfo"], sent);
    let steps = details["traces"][0]["steps"].as_array().expect("a list");
    // The implied rule as Connectivity Tests was seen to print it; the description is the simulator's own.
    let firewall = json!({
        "description": "egress from direct-all-1 allowed by the implied rule (priority 65535)",
        "state": "APPLY_EGRESS_FIREWALL_RULE",
        "projectId": "p",
        "firewall": {
            "action": "ALLOW", "direction": "EGRESS", "displayName": "default-allow-egress",
            "firewallRuleType": "IMPLIED_VPC_FIREWALL_RULE", "networkUri": "projects/p/global/networks/vpc",
            "priority": 65535,
        },
    });
    assert_eq!(steps[2], firewall);
    let back = &document["returnReachabilityDetails"];
    assert_eq!(back["result"], "REACHABLE");
    let answered = json!({
        "sourceIp": "198.51.100.7", "destinationIp": "203.0.113.10", "protocol": "TCP", "sourcePort": 443,
        "destinationPort": 1152,
    });
    assert_eq!(back["traces"][0]["endpointInfo"], answered);
    assert_eq!(back["traces"][0]["steps"][0]["endpoint"], answered);
    // The same steps are at the top, each with its station.
    let top = document["steps"].as_array().expect("a list");
    assert_eq!(top.len(), steps.len());
    assert!(top.iter().all(|step| step["node"].is_string()) && steps.iter().all(|step| step.get("node").is_none()));
}

#[test]
fn a_dropped_packet_names_the_step_and_the_resource_that_dropped_it() {
    let deny = "firewalls: [{name: deny-https, network: vpc, direction: EGRESS, priority: 900, targetTags: [web], \
                denied: [{IPProtocol: tcp, ports: ['443']}]}]\n";
    let dropped = document(&house(&[NAT, deny]), "direct-all", "198.51.100.7:443", Protocol::Tcp);
    assert_eq!(dropped["reachabilityDetails"]["result"], "UNREACHABLE");
    assert_eq!(dropped.get("returnReachabilityDetails"), None);
    let steps = dropped["reachabilityDetails"]["traces"][0]["steps"].as_array().expect("a list");
    let causes: Vec<bool> = steps.iter().map(|step| step.get("causesDrop").is_some()).collect();
    assert_eq!(causes, [false, false, true, true]);
    let expected = json!({
        "action": "DENY", "direction": "EGRESS", "displayName": "deny-https",
        "firewallRuleType": "VPC_FIREWALL_RULE", "networkUri": "projects/p/global/networks/vpc", "priority": 900,
        "targetTags": ["web"], "uri": "projects/p/global/firewalls/deny-https",
    });
    assert_eq!(steps[2]["firewall"], expected);
    let expected = json!({
        "cause": "FIREWALL_RULE", "resourceUri": "projects/p/global/firewalls/deny-https", "sourceIp": "10.9.0.16",
        "destinationIp": "198.51.100.7",
    });
    assert_eq!(steps[3]["drop"], expected);
    // Without a resource that is to blame there is none.
    let lost = document(HOUSE, "direct-all", "198.51.100.7:443", Protocol::Tcp);
    let steps = lost["steps"].as_array().expect("a list");
    let last = &steps[steps.len() - 1]["drop"];
    assert_eq!((&last["cause"], last.get("resourceUri")), (&json!("NO_EXTERNAL_ADDRESS"), None));
}
