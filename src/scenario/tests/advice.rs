//! Warnings of what will happen to a gateway's endpoints: there when it will, and gone with the cure.

use super::{Severity, read};

const HALF: &str = include_str!("../../../scenarios/nat/half-the-ports.yaml");
const GROWTH: &str = include_str!("../../../scenarios/nat/growth-too-slow.yaml");
const CONFLICT: &str = include_str!("../../../scenarios/nat/endpoint-independent-conflict.yaml");
const DRAINED: &str = include_str!("../../../scenarios/nat/drained-ip.yaml");
const RULE: &str = include_str!("../../../scenarios/nat/rule-runs-dry.yaml");

const NOTHING: [&str; 0] = [];

/// Message and help of each warning with this code.
fn told(text: &str, code: &str) -> Vec<(String, String)> {
    let loaded = read(text);
    assert!(loaded.scenario.is_some(), "{}", loaded.diagnostics.render(&loaded.sources, false));
    let found = loaded.diagnostics.iter().filter(|diagnostic| diagnostic.code == code);
    found.map(|diagnostic| (diagnostic.message.clone(), diagnostic.help.clone().unwrap_or_default())).collect()
}

fn codes(text: &str) -> Vec<String> {
    let loaded = read(text);
    assert!(loaded.scenario.is_some(), "{}", loaded.diagnostics.render(&loaded.sources, false));
    let found = loaded.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Warning);
    found.map(|diagnostic| diagnostic.code.to_owned()).collect()
}

/// The text with one thing changed, which is there.
#[track_caller]
fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not there");
    text.replacen(from, to, 1)
}

/// The text with more reserved addresses, and one thing changed.
fn with_addresses(text: &str, more: &str, from: &str, to: &str) -> String {
    with(&with(text, "addresses:\n", &format!("addresses:\n{more}")), from, to)
}

// Endpoints with a part of their ports.

#[test]
fn it_is_told_how_many_endpoints_get_how_many_ports() {
    let [(message, help)] = &told(HALF, "too-few-nat-ips")[..] else { panic!("one warning") };
    assert!(message.ends_with("and has 1: 1 gets 32768 ports, 1 gets 16384, 2 get none"), "{message}");
    assert_eq!(help, "add 2 NAT IPs, or lower minPortsPerVm to 8192: endpoints without ports drop everything");
    let [(message, _)] = &told(HALF, "too-few-ports")[..] else { panic!("one warning") };
    assert!(message.contains("400 ÷ 4 connector VMs = 100 ports each"), "{message}");
}

#[test]
fn with_the_ips_or_the_ports_that_are_advised_all_endpoints_have_theirs() {
    assert_eq!(codes(&with(HALF, "minPortsPerVm: 32000", "minPortsPerVm: 8192")), NOTHING);
    let more = "- {name: ip-2, region: us-central1}\n- {name: ip-3, region: us-central1}\n";
    let all = "natIps: [cloudrun-nat-ip, ip-2, ip-3]";
    assert_eq!(codes(&with_addresses(HALF, more, "natIps: [cloudrun-nat-ip]", all)), NOTHING);
    // 6 blocks: three VMs.
    let two = with_addresses(HALF, more, "natIps: [cloudrun-nat-ip]", "natIps: [cloudrun-nat-ip, ip-2]");
    let [(message, _)] = &told(&two, "too-few-nat-ips")[..] else { panic!("one warning") };
    assert!(message.ends_with("has 2: 3 get 32768 ports, 1 gets none"), "{message}");
}

#[test]
fn without_partial_allocation_nobody_gets_half() {
    let text = format!("{HALF}model: {{nat: {{shortage: none}}}}\n");
    let [(message, _)] = &told(&text, "too-few-nat-ips")[..] else { panic!("one warning") };
    assert!(message.ends_with(": 1 gets 32768 ports, 3 get none"), "{message}");
}

#[test]
fn an_endpoint_that_gets_enough_of_its_ports_for_the_load_is_told_of_once() {
    // Two VMs: one has all, the other half, which is plenty.
    let text = with(HALF, "minInstances: 4", "minInstances: 2");
    assert_eq!(codes(&text), ["too-few-nat-ips"]);
}

#[test]
fn vms_with_an_alias_range_need_more_than_the_minimum() {
    // 63 blocks of 1,024 an address. The minimum for the gateway is no cure: Google gives those VMs 1,024 at least.
    let vms: String = (0..64)
        .map(|vm| {
            format!("- {{name: vm-{vm}, zone: r1-a, networkInterfaces: [{{subnetwork: s, networkIP: 10.0.0.{}, aliasIpRanges: [{{ipCidrRange: 10.1.{vm}.0/24, subnetworkRangeName: pods}}]}}]}}\n", vm + 2)
        })
        .collect();
    let text = |ips: &str| {
        format!(
            "networks: [{{name: vpc}}]\nsubnetworks: [{{name: s, network: vpc, region: r1, ipCidrRange: 10.0.0.0/24, secondaryIpRanges: [{{rangeName: pods, ipCidrRange: 10.1.0.0/16}}]}}]\n\
             addresses: [{{name: ip-1, region: r1}}, {{name: ip-2, region: r1}}]\n\
             routers: [{{name: r, network: vpc, region: r1, nats: [{{name: gw, natIpAllocateOption: MANUAL_ONLY, natIps: [{ips}], sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES}}]}}]\n\
             instances:\n{vms}"
        )
    };
    let [(message, help)] = &told(&text("ip-1"), "too-few-nat-ips")[..] else { panic!("one warning") };
    assert!(message.ends_with("has 1: 63 get 1024 ports, 1 gets none"), "{message}");
    assert!(help.starts_with("add 1 NAT IP:"), "{help}");
    assert_eq!(codes(&text("ip-1, ip-2")), NOTHING);
}

#[test]
fn of_a_hundred_thousand_instances_the_sum_is_told() {
    let events: String = (0..60)
        .map(|second| {
            let instances = if second % 2 == 0 { 50_000 } else { 100_000 };
            format!("- {{at: {second}s, scale: {{workload: my-api-service, instances: {instances}}}}}\n")
        })
        .collect();
    let text = with(RULE, "10.9.0.0/26", "10.0.0.0/8") + "events:\n" + &events;
    let found = told(&text, "too-few-nat-ips");
    // 200,000 endpoints, 7 an address.
    assert!(found.len() == 2 && found.iter().all(|(message, _)| message.contains("needs 28572 NAT IPs")), "{found:?}");
    assert!(found.iter().all(|(message, _)| !message.contains("get none")), "{found:?}");
}

#[test]
fn instances_that_come_later_need_ports_too_and_the_worst_is_told() {
    // 7 endpoints on the rule's address: 3 instances fit, 4 do not.
    let few = with(RULE, "instances: 5", "instances: 3");
    assert_eq!(codes(&few), NOTHING);
    let scale = |instances: u32| {
        format!("{few}events: [{{at: 10s, scale: {{workload: my-api-service, instances: {instances}}}}}]\n")
    };
    let [(message, _)] = &told(&scale(4), "too-few-nat-ips")[..] else { panic!("one warning") };
    assert!(message.ends_with("7 get 8192 ports, 1 gets none"), "{message}");
    assert_eq!(codes(&scale(2)), NOTHING);
    // Addresses of a stopped instance, and their ports, are held for 20 minutes.
    let back = "- {at: 20s, scale: {workload: my-api-service, instances: 3}}\n";
    let text = format!("{few}events:\n- {{at: 10s, scale: {{workload: my-api-service, instances: 1}}}}\n{back}");
    let [(message, _)] = &told(&text, "too-few-nat-ips")[..] else { panic!("one warning") };
    assert!(message.contains("for 10 endpoints"), "{message}");
    assert!(told(&format!("{text}model: {{cloudRun: {{addressHold: 5s}}}}\n"), "too-few-nat-ips").is_empty());
}

// Growth.

#[test]
fn a_burst_that_ports_cannot_follow_is_told_with_the_times() {
    let [(message, help)] = &told(GROWTH, "growth-too-slow")[..] else { panic!("one warning") };
    assert!(message.contains("200 ÷ 1 instance = 200 ports each: the 64 that"), "{message}");
    assert!(message.contains("used up after 10 s, and 128 are usable after 30 s only"), "{message}");
    assert!(help.starts_with("raise minPortsPerVm to 256, "), "{help}");
}

#[test]
fn with_enough_ports_from_the_start_or_a_slower_load_growth_is_in_time() {
    assert_eq!(codes(&with(GROWTH, "minPortsPerVm: 64", "minPortsPerVm: 256")), NOTHING);
    assert_eq!(codes(&with(GROWTH, "count: 200", "count: 64")), NOTHING);
    let fast = format!("{GROWTH}model: {{nat: {{dynamicPortAllocation: {{growthDelay: 0s}}}}}}\n");
    assert_eq!(codes(&fast), NOTHING);
}

#[test]
fn what_exceeds_the_maximum_is_too_few_ports_and_not_slow_growth() {
    let text = with(GROWTH, "maxPortsPerVm: 1024", "maxPortsPerVm: 128");
    assert_eq!(codes(&text), ["too-few-ports"]);
    assert!(told(&text, "too-few-ports")[0].1.starts_with("raise maxPortsPerVm to 256, "));
}

#[test]
fn a_load_beyond_all_bounds_is_a_warning_like_any_other() {
    let found = codes(&with(RULE, "to: partner-api:443, count: 500", "to: partner-api:443, rate: 1000000000/s"));
    assert!(["too-few-ports", "source-ports"].iter().all(|code| found.iter().any(|it| it == code)), "{found:?}");
    let every =
        format!("{GROWTH}model: {{nat: {{dynamicPortAllocation: {{evaluateEvery: 1ns, growOnDrop: false}}}}}}\n");
    assert_eq!(codes(&every), ["growth-too-slow"]);
}

// Endpoint-independent mapping.

#[test]
fn sockets_that_will_share_a_port_are_told_of_as_a_conflict_and_not_as_a_shortage() {
    let [(message, help)] = &told(CONFLICT, "eim-conflict")[..] else { panic!("one warning") };
    assert!(message.contains("100 ÷ 1 instance = 100 sockets each at a time"), "{message}");
    assert!(help.contains("raise minPortsPerVm to 128"), "{help}");
    assert_eq!(codes(&with(CONFLICT, "minPortsPerVm: 64", "minPortsPerVm: 128")), NOTHING);
    assert_eq!(codes(&with(CONFLICT, "count: 100", "count: 64")), NOTHING);
    let off = with(CONFLICT, "enableEndpointIndependentMapping: true", "enableEndpointIndependentMapping: false");
    assert_eq!(codes(&off), ["too-few-ports"]);
}

// Draining.

#[test]
fn a_drain_that_is_too_short_is_told_with_the_time_that_is_enough() {
    let [(message, help)] = &told(DRAINED, "drain-outlasts")[..] else { panic!("one warning") };
    assert!(message.starts_with("203.0.113.11 drains from 45s on and is gone at 50s, after 5s"), "{message}");
    assert!(message.contains("load `drained-briefly` stay open for 20s"), "{message}");
    // 41 s + 20 s, and a moment.
    assert_eq!(help, "remove it after 1m2s only, or let connections end earlier");
    assert_eq!(codes(&with(DRAINED, "{at: 50s, ", "{at: 62s, ")), ["nat-ip-removed"]);
    assert_eq!(
        codes(&with(DRAINED, "{at: 30s, ", "{at: 20s, ")),
        ["drain-outlasts", "drain-outlasts", "nat-ip-removed"]
    );
}

#[test]
fn a_drained_address_that_nobody_has_ports_on_can_go_at_once() {
    // The first address has room for all; the second one has never been used.
    let text = with(DRAINED, "natIps: [nat-ip-1]", "natIps: [nat-ip-1, nat-ip-2]");
    let events = "events:\n- {at: 10s, patchNat: {gateway: cloudrun-nat-gateway, set: {drainNatIps: [nat-ip-DRAINED]}}}\n\
                  - {at: 11s, patchNat: {gateway: cloudrun-nat-gateway, set: {drainNatIps: []}}}\n";
    let (before, _) = text.split_once("events:\n").expect("it has events");
    assert_eq!(codes(&format!("{before}{}", events.replace("DRAINED", "2"))), NOTHING);
    assert_eq!(codes(&format!("{before}{}", events.replace("DRAINED", "1"))), ["drain-outlasts"]);
}

#[test]
fn an_address_that_comes_back_or_stays_to_the_end_cuts_nothing() {
    let (before, _) = DRAINED.split_once("events:\n").expect("it has events");
    let drain = "events:\n- {at: 5s, patchNat: {gateway: cloudrun-nat-gateway, set: {natIps: [nat-ip-2], drainNatIps: [nat-ip-1]}}}\n";
    assert_eq!(codes(&format!("{before}{drain}")), NOTHING);
    let back = "- {at: 6s, patchNat: {gateway: cloudrun-nat-gateway, set: {natIps: [nat-ip-1, nat-ip-2]}}}\n";
    assert_eq!(codes(&format!("{before}{drain}{back}")), NOTHING);
}

#[test]
fn what_remains_after_a_drain_may_be_too_few_and_the_event_is_marked() {
    // Two addresses of 15 blocks of 4,096 for 20 endpoints; one of them drains.
    let text = with(RULE, "minPortsPerVm: 8192", "minPortsPerVm: 4096");
    let text = with(&text, "instances: 5", "instances: 10");
    let (head, tail) = text.split_once("    rules:\n").expect("it has rules");
    let (_, tail) = tail.split_once("services:").expect("it has services");
    let (tail, _) = tail.split_once("expect:").expect("it has expectations");
    let text = format!("{head}services:{tail}");
    assert_eq!(codes(&text), NOTHING);
    let drained = format!(
        "{text}events:\n- {{at: 20s, patchNat: {{gateway: cloudrun-nat-gateway, set: {{drainNatIps: [nat-ip-2]}}}}}}\n"
    );
    let [(message, _)] = &told(&drained, "too-few-nat-ips")[..] else { panic!("one warning") };
    assert!(message.starts_with("after this change gateway `cloudrun-nat-gateway` needs 2 NAT IPs"), "{message}");
    assert!(message.ends_with("has 1: 15 get 4096 ports, 5 get none"), "{message}");
    let loaded = read(&drained);
    let place = loaded.diagnostics.iter().find_map(|diagnostic| diagnostic.place).expect("it has a place");
    assert_eq!(&loaded.sources.text(place.file)[place.start as usize..place.end as usize], "[nat-ip-2]");
    // Said once: what a later change leaves as it is, is no news.
    let again = format!(
        "{drained}- {{at: 25s, patchNat: {{gateway: cloudrun-nat-gateway, set: {{udpIdleTimeoutSec: 40}}}}}}\n"
    );
    assert_eq!(told(&again, "too-few-nat-ips").len(), 1);
    // After the end of the run nothing happens.
    assert_eq!(codes(&drained.replace("at: 20s", "at: 50s")), ["never-happens"]);
}

// Rules.

#[test]
fn a_rule_without_ports_for_all_is_told_beside_what_the_default_rule_has() {
    let [(message, help)] = &told(RULE, "too-few-ports")[..] else { panic!("one warning") };
    assert!(message.contains("of which rule 100 of gateway `cloudrun-nat-gateway` has too few"), "{message}");
    assert!(message.ends_with("4 get 8192 ports, 1 gets none; under the default rule 5 get 8192 ports"), "{message}");
    assert!(help.starts_with("add NAT IPs to rule 100"), "{help}");
}

#[test]
fn with_another_address_or_fewer_ports_the_rule_has_enough() {
    let more = "- {name: partner-ip-2, region: us-central1}\n";
    let both = with_addresses(RULE, more, "[partner-ip]", "[partner-ip, partner-ip-2]");
    assert_eq!(codes(&both), NOTHING);
    assert_eq!(codes(&with(RULE, "minPortsPerVm: 8192", "minPortsPerVm: 4096")), NOTHING);
}

#[test]
fn a_load_that_no_rule_matches_has_the_ports_of_the_default_rule() {
    let elsewhere = with(RULE, "198.51.100.0/28", "198.51.100.128/28");
    assert_eq!(codes(&elsewhere), ["too-few-nat-ips"], "endpoints lack ports that no load needs");
    let by_source = with(RULE, "destination.ip, '198.51.100.0/28'", "source.ip, '10.9.0.0/24'");
    assert_eq!(codes(&by_source), ["too-few-nat-ips", "too-few-ports", "too-few-ports"]);
}

#[test]
fn the_rule_is_named_where_all_have_their_ports_and_these_are_too_few() {
    let text = with(RULE, "minPortsPerVm: 8192", "minPortsPerVm: 64");
    let found = told(&text, "too-few-ports");
    assert_eq!(found.len(), 2);
    assert!(
        found[0].0.ends_with("= 100 ports each at a time, rule 100 of gateway `cloudrun-nat-gateway` gives 64"),
        "{found:?}"
    );
    assert!(found[1].0.ends_with("= 100 ports each at a time, gateway `cloudrun-nat-gateway` gives 64"), "{found:?}");
}

// Loads in time.

#[test]
fn loads_that_do_not_meet_do_not_compete() {
    let text = |start: u32| {
        let traffic = format!(
            "- {{from: my-api-service, to: partner-api:443, count: 250, lifetime: 1s}}\n\
             - {{from: my-api-service, to: partner-api:443, start: {start}s, count: 250, lifetime: 1s}}\n"
        );
        let text = with(RULE, "minPortsPerVm: 8192", "minPortsPerVm: 64");
        let (head, _) = text.split_once("traffic:\n").expect("it has traffic");
        format!("{head}traffic:\n{traffic}")
    };
    // 50 each; a second, and 30 in TIME_WAIT.
    assert_eq!(codes(&text(31)), NOTHING);
    assert_eq!(codes(&text(30)), ["too-few-ports"]);
}

#[test]
fn the_settings_that_hold_when_a_load_begins_count() {
    let text = with(
        GROWTH,
        "enableDynamicPortAllocation: true\n    minPortsPerVm: 64\n    maxPortsPerVm: 1024",
        "minPortsPerVm: 64",
    );
    assert_eq!(codes(&text), ["too-few-ports"]);
    let raised = |at: u32| {
        format!(
            "{text}events: [{{at: {at}s, patchNat: {{gateway: cloudrun-nat-gateway, set: {{minPortsPerVm: 256}}}}}}]\n"
        )
    };
    assert_eq!(codes(&raised(5)), NOTHING);
    assert_eq!(codes(&raised(15)), ["too-few-ports"]);
}
