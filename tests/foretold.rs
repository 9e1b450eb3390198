//! What `check` foretells by arithmetic is what a run finds.

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;

use common::scenario;
use egressim::report::summary::Summary;
use egressim::scenario::load::{Source, load};
use egressim::simulation;

/// Messages of warnings, by code.
fn warnings(text: &str) -> BTreeMap<&'static str, Vec<String>> {
    let loaded = load(Source::Text { name: "test.yaml", text });
    let mut found: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for diagnostic in loaded.diagnostics.iter() {
        found.entry(diagnostic.code).or_default().push(diagnostic.message.clone());
    }
    found
}

fn run(text: &str) -> Summary {
    simulation::run(&scenario(text), None, &mut |_| ControlFlow::Continue(())).expect("it runs")
}

/// A gateway with these fields, a rule for 192.0.2.0/24, and a service with so many instances.
fn network(fields: &str, ips: usize, instances: usize) -> String {
    let mut text = "networks: [{name: vpc}]\n\
        subnetworks: [{name: apps, network: vpc, region: r1, ipCidrRange: 10.9.0.0/24}]\n\
        addresses:\n- {name: rule-ip, region: r1, address: 203.0.113.30}\n"
        .to_owned();
    for ip in 0..3 {
        writeln!(text, "- {{name: ip-{ip}, region: r1, address: 203.0.113.1{ip}}}").expect("a text");
    }
    let ips: Vec<String> = (0..ips).map(|ip| format!("ip-{ip}")).collect();
    write!(
        text,
        "routers:\n- name: router\n  network: vpc\n  region: r1\n  nats:\n  - name: gw\n    \
         natIpAllocateOption: MANUAL_ONLY\n    sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES\n    \
         natIps: [{}]\n    {fields}\n\
         services: [{{name: api, region: r1, instances: {instances}, template: {{vpcAccess: {{networkInterfaces: [{{network: vpc, subnetwork: apps}}], egress: ALL_TRAFFIC}}}}}}]\n\
         hosts: [{{name: partner, address: 198.51.100.7, ports: [443]}}]\n",
        ips.join(", ")
    )
    .expect("a text");
    text
}

/// What a message says of endpoints: how many have so many ports. `3 get 64 ports, 1 gets none`.
fn foretold(message: &str) -> BTreeMap<u32, u32> {
    let (_, parts) = message.rsplit_once(": ").expect("it says who gets what");
    let part = |part: &str| {
        let mut words = part.split(' ');
        let count = words.next()?.parse().ok()?;
        let ports = words.nth(1)?;
        Some((if ports == "none" { 0 } else { ports.parse().ok()? }, count))
    };
    parts.split(", ").map(|text| part(text).unwrap_or_else(|| panic!("{text} of {message}"))).collect()
}

/// What endpoints have at the end of a run, under the default rule and under rule 100.
fn found(summary: &Summary) -> [BTreeMap<u32, u32>; 2] {
    let mut found = [BTreeMap::new(), BTreeMap::new()];
    for endpoint in &summary.gateways[0].endpoints {
        *found[0].entry(endpoint.ports.allocated_ports).or_default() += 1;
        *found[1].entry(endpoint.rule_mappings[0].ports.allocated_ports).or_default() += 1;
    }
    found
}

/// Compares the last warning of each rule with the end of a run, in which nobody is short without a warning.
fn compare(text: &str) {
    let mut told: [Option<String>; 2] = [None, None];
    // Those of events are last in the text, and so in the list.
    for message in warnings(text).remove("too-few-nat-ips").unwrap_or_default() {
        let rule = usize::from(message.contains("rule 100 of"));
        told[rule] = Some(message);
    }
    let summary = run(text);
    let extra = [summary.gateways[0].min_extra_nat_ips_needed, summary.gateways[0].rules[0].min_extra_ips_needed];
    for (rule, found) in found(&summary).into_iter().enumerate() {
        // What a change makes better is not told of.
        let changed = text.contains("events:");
        match &told[rule] {
            Some(message) if message.starts_with("after this change") || !changed => {
                assert_eq!(foretold(message), found, "{text}");
            }
            Some(_) => {}
            None => assert_eq!(extra[rule], 0, "nobody was told of {found:?}: {text}"),
        }
    }
}

const RULES: &str = "rules: [{ruleNumber: 100, match: \"inIpRange(destination.ip, '192.0.2.0/24')\", action: {sourceNatActiveIps: [rule-ip]}}]";

#[test]
fn who_gets_which_ports_is_what_a_run_gives() {
    for ports in [5000, 8192, 10_000, 16_384, 20_000, 32_000, 50_000] {
        for (ips, instances) in [(1, 1), (1, 4), (2, 3), (3, 4), (3, 9)] {
            for shortage in ["partial", "none"] {
                let fields = format!("minPortsPerVm: {ports}\n    {RULES}");
                let text = network(&fields, ips, instances);
                compare(&format!("duration: 1s\nmodel: {{nat: {{shortage: {shortage}}}}}\n{text}"));
            }
        }
    }
}

#[test]
fn who_keeps_which_ports_after_a_change_is_what_a_run_leaves() {
    let changes = [
        "{drainNatIps: [ip-0]}",
        "{drainNatIps: [ip-2]}",
        "{natIps: [ip-1, ip-0]}",
        "{minPortsPerVm: 30000}",
        "{minPortsPerVm: 9000}",
        // Less than half a block: the upper halves of blocks go, too.
        "{minPortsPerVm: 4000}",
        "{enableDynamicPortAllocation: true, minPortsPerVm: 8192, maxPortsPerVm: 16384}",
    ];
    for change in changes {
        for (ports, instances) in [(8192, 5), (16_384, 3), (20_000, 4), (32_000, 2)] {
            let fields = format!("minPortsPerVm: {ports}\n    {RULES}");
            let text = network(&fields, 3, instances);
            let events = format!(
                "events:\n- {{at: 1s, scale: {{workload: api, instances: {}}}}}\n\
                 - {{at: 2s, patchNat: {{gateway: gw, set: {change}}}}}\n",
                instances + 1
            );
            compare(&format!("duration: 3s\n{text}{events}"));
        }
    }
}

#[test]
fn packets_are_dropped_for_want_of_ports_if_and_only_if_it_was_foretold() {
    let mut late = 0;
    for (min, max) in [(64, 1024), (128, 512), (256, 1024)] {
        for rate in [1.0, 1.5, 2.5, 3.0, 5.0, 7.0, 9.0, 14.0, 20.0] {
            for trigger in [0.3, 0.8] {
                let fields = format!(
                    "enableDynamicPortAllocation: true\n    minPortsPerVm: {min}\n    maxPortsPerVm: {max}\n    {RULES}"
                );
                let text = format!(
                    "duration: 120s\nmodel: {{nat: {{dynamicPortAllocation: {{trigger: {trigger}}}}}}}\n{}\
                     traffic: [{{from: api, to: 'partner:443', rate: {rate}/s, arrivals: constant, lifetime: 500ms, start: 3s}}]\n",
                    network(&fields, 1, 1)
                );
                let warnings = warnings(&text);
                let told = warnings.get("growth-too-slow").or(warnings.get("too-few-ports"));
                let summary = run(&text);
                let dropped = summary.packets.dropped_by.get("OUT_OF_RESOURCES").copied().unwrap_or(0);
                assert_eq!(told.is_some(), dropped > 0, "{dropped} packets dropped, told {told:?}: {text}");
                let Some(message) = warnings.get("growth-too-slow").map(|told| &told[0]) else { continue };
                late += 1;
                let after = message.split("used up after ").nth(1).and_then(|rest| rest.split(' ').next());
                let after: f64 = after.and_then(|text| text.parse().ok()).expect("a time");
                let first = &summary.gateways[0].exhaustions[0];
                let from: f64 = first.from.trim_end_matches('s').parse().expect("a time");
                assert_eq!(first.limit, "growth-pending", "{message}");
                assert!((after - from).abs() < 1.0 / rate + 0.2, "foretold at {after}, found at {from}: {message}");
            }
        }
    }
    assert!(late > 10, "{late} of them were late");
}

#[test]
fn of_endpoints_that_grow_to_8192_ports_one_address_has_room_for_seven() {
    let text = |instances: usize| {
        let nat = "enableDynamicPortAllocation: true\n    minPortsPerVm: 128\n    maxPortsPerVm: 8192";
        let load = format!(
            "{{from: api, to: \"partner:443\", rate: {}/s, lifetime: 470s, connectTimeout: 2m}}",
            10 * instances
        );
        format!("duration: 10m\n{}traffic: [{load}]\n", network(nat, 1, instances))
    };
    for (instances, short) in [(7, false), (8, true)] {
        let text = text(instances);
        assert_eq!(warnings(&text).contains_key("growth-without-ips"), short, "{instances}");
        let found = &run(&text).gateways[0].exhaustions;
        assert_eq!(found.iter().any(|shortage| shortage.limit == "gateway-ips"), short, "{instances}: {found:#?}");
    }
}
