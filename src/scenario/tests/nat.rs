//! NAT gateways: rules, lists of addresses, limits, and what a change of a running gateway breaks.

use std::net::Ipv4Addr;

use super::{findings, read, scenario};
use crate::scenario::diagnostic::{Diagnostic, Severity};
use crate::scenario::load::Loaded;
use crate::scenario::model::EndpointIndependentChoice;
use crate::scenario::{Change, IpAllocation, NatConfig, NatRule, NatRuleMatch, NetworkTier};

/// The addresses are 203.0.113.10 to .15 in this order.
const BASE: &str = "\
networks: [{name: vpc}]
connectors: [{name: conn, region: r1, network: vpc, ipCidrRange: 10.8.0.0/28}]
addresses:
- {name: ip-1, region: r1}
- {name: ip-2, region: r1}
- {name: ip-3, region: r1}
- {name: ip-4, region: r1}
- {name: std-1, region: r1, networkTier: STANDARD}
- {name: std-2, region: r1, networkTier: STANDARD}
services: [{name: api, template: {vpcAccess: {connector: conn, egress: ALL_TRAFFIC}}}]
";

/// A gateway with these fields beside its name and ranges.
fn gateway(fields: &str) -> String {
    format!(
        "{BASE}routers:\n- name: router\n  network: vpc\n  nats:\n  - name: gw\n    \
         sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES\n    {fields}\n"
    )
}

/// A gateway with the NAT IP ip-1 and these fields.
fn manual(fields: &str) -> String {
    gateway(&format!("natIpAllocateOption: MANUAL_ONLY\n    natIps: [ip-1]\n    {fields}"))
}

/// A gateway with the NAT IP ip-1 and these rules.
fn with_rules(rules: &[String]) -> String {
    let rules: String = rules.iter().map(|rule| format!("\n    - {rule}")).collect();
    manual(&format!("rules:{rules}"))
}

fn rule(number: &str, condition: &str, ips: &str) -> String {
    format!("{{ruleNumber: {number}, match: \"{condition}\", action: {{sourceNatActiveIps: [{ips}]}}}}")
}

/// A gateway that an event changes.
fn patched(gateway: &str, set: &str) -> String {
    format!("{gateway}events: [{{at: 1s, patchNat: {{gateway: gw, set: {{{set}}}}}}}]\n")
}

/// Code and marked text of each finding of these severities.
fn marked(text: &str, severities: &[Severity]) -> Vec<String> {
    let loaded = read(text);
    let mark = |diagnostic: &Diagnostic| {
        let place = diagnostic.place.expect("each of them has a place");
        let line = &loaded.sources.text(place.file)[place.start as usize..place.end as usize];
        format!("{} {}", diagnostic.code, line.lines().next().unwrap_or_default())
    };
    loaded.diagnostics.iter().filter(|diagnostic| severities.contains(&diagnostic.severity)).map(mark).collect()
}

fn errors(text: &str) -> Vec<String> {
    marked(text, &[Severity::Unusable, Severity::Rejected])
}

/// The warnings of what loads.
fn warnings(text: &str) -> Vec<String> {
    let loaded = read(text);
    assert!(loaded.scenario.is_some(), "{}", rendered(&loaded));
    marked(text, &[Severity::Warning])
}

fn rendered(loaded: &Loaded) -> String {
    loaded.diagnostics.render(&loaded.sources, false)
}

fn config(text: &str) -> NatConfig {
    scenario(text).nat_gateways[0].config.clone()
}

/// The configuration after the only event.
fn after(text: &str) -> NatConfig {
    match scenario(text).events.remove(0).change {
        Change::PatchNat { config, .. } => *config,
        _ => panic!("a patch"),
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn rules_come_out_by_number_with_their_ranges_and_addresses() {
    let text = with_rules(&[
        rule("200", "source.ip == '10.8.0.2'", "ip-2"),
        "{ruleNumber: 0, match: \"inIpRange(destination.ip, '198.51.100.0/28') || '198.51.100.99' == destination.ip\", \
         action: {sourceNatActiveIps: [ip-4, ip-3]}}"
            .to_owned(),
    ]);
    let net = |net: &str| net.parse().expect("valid");
    let ip = |last| Ipv4Addr::new(203, 0, 113, last);
    assert_eq!(
        config(&text).rules,
        [
            NatRule {
                number: 0,
                matches: NatRuleMatch::Destination(vec![net("198.51.100.0/28"), net("198.51.100.99/32")]),
                nat_ips: vec![ip(13), ip(12)],
                drain_nat_ips: vec![],
            },
            NatRule {
                number: 200,
                matches: NatRuleMatch::Source(vec![net("10.8.0.2/32")]),
                nat_ips: vec![ip(11)],
                drain_nat_ips: vec![],
            },
        ]
    );
}

#[test]
fn an_error_in_a_match_is_shown_inside_of_the_text() {
    let text = manual(
        "rules:\n    - action: {sourceNatActiveIps: [ip-2]}\n      ruleNumber: 100\n      match: destination.ip == '1.2.3.4' && source.ip == '10.0.0.1'",
    );
    let shown = rendered(&read(&text));
    let expected = "\
error[nat-rule-match]: found `&&`, expected `||` or the end
  --> test.yaml:22:42
   |
22 |       match: destination.ip == '1.2.3.4' && source.ip == '10.0.0.1'
   |                                          ^^
   |
   = help: a NAT rule knows `==`, `inIpRange` and `||` only: join addresses with `||`; a source and a destination together cannot be matched
";
    assert!(shown.contains(expected), "{shown}");
}

#[test]
fn the_place_in_a_match_is_found_through_quotes_and_folded_lines() {
    for (written, mark) in [
        ("'destination.ip == ''1.2.3.400'''", "''1.2.3.400''"),
        ("\"destination.ip == '1.2.3.400'\"", "'1.2.3.400'"),
        ("\"destination.ip == \\u00271.2.3.400\\u0027\"", "\\u00271.2.3.400\\u0027"),
        (">-\n        destination.ip ==\n        '1.2.3.400'", "'1.2.3.400'"),
    ] {
        let text = manual(&format!(
            "rules:\n    - ruleNumber: 1\n      action: {{sourceNatActiveIps: [ip-2]}}\n      match: {written}"
        ));
        assert_eq!(errors(&text), [format!("nat-rule-match {mark}")], "{written}");
    }
}

#[test]
fn sources_and_destinations_in_one_rule_are_rejected() {
    let text = with_rules(&[rule("1", "source.ip == '10.0.0.1' || destination.ip == '1.2.3.4'", "ip-2")]);
    assert_eq!(errors(&text), ["nat-rule-mixed-match destination.ip"]);
}

#[test]
fn bits_beyond_the_prefix_are_a_warning_in_a_match_too() {
    let text = with_rules(&[rule("1", "inIpRange(destination.ip, '203.0.113.16/25')", "ip-2")]);
    assert_eq!(warnings(&text), ["host-bits '203.0.113.16/25'"]);
    let net = "203.0.113.0/25".parse().expect("valid");
    assert_eq!(config(&text).rules[0].matches, NatRuleMatch::Destination(vec![net]));
}

#[test]
fn rule_numbers_are_0_to_65000_and_unique() {
    let number = |number: &str| errors(&with_rules(&[rule(number, "destination.ip == '1.2.3.4'", "ip-2")]));
    assert_eq!(number("0"), NOTHING);
    assert_eq!(number("65000"), NOTHING);
    assert_eq!(number("-1"), ["out-of-range -1"]);
    assert_eq!(number("65002"), ["out-of-range 65002"]);
    let twice = [rule("7", "destination.ip == '1.2.3.4'", "ip-2"), rule("0x7", "destination.ip == '1.2.3.5'", "ip-3")];
    assert_eq!(errors(&with_rules(&twice)), ["duplicate-rule 0x7"]);
}

#[test]
fn the_number_of_the_default_rule_is_explained() {
    let loaded = read(&with_rules(&[rule("65001", "destination.ip == '1.2.3.4'", "ip-2")]));
    let messages: Vec<&str> = loaded.diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect();
    assert_eq!(messages, ["65001 is the number of the default rule, which always exists"]);
}

#[test]
fn a_rule_needs_a_number_a_match_and_addresses() {
    let one = |rule: &str| errors(&with_rules(&[rule.to_owned()]));
    let action = "action: {sourceNatActiveIps: [ip-2]}";
    let condition = "match: destination.ip == '1.2.3.4'";
    assert_eq!(one(&format!("{{{condition}, {action}}}")), [format!("missing-field {{{condition}, {action}}}")]);
    assert_eq!(one(&format!("{{ruleNumber: 5, {action}}}")), ["missing-field 5"]);
    assert_eq!(one(&format!("{{ruleNumber: 5, match: ' ', {action}}}")), ["nat-rule-match "]);
    assert_eq!(one(&format!("{{ruleNumber: 5, {condition}}}")), ["no-nat-ips 5"]);
    assert_eq!(one(&format!("{{ruleNumber: 5, {condition}, action: {{sourceNatActiveIps: []}}}}")), ["no-nat-ips 5"]);
}

#[test]
fn what_of_a_rule_could_not_be_read_is_not_reported_as_absent() {
    let one = |rule: &str| errors(&with_rules(&[rule.to_owned()]));
    let condition = "match: destination.ip == '1.2.3.4'";
    let action = "action: {sourceNatActiveIps: [ip-2]}";
    assert_eq!(one(&format!("{{ruleNumber: ten, {condition}, {action}}}")), ["wrong-type ten"]);
    assert_eq!(
        one(&format!("{{ruleNumber: 5, {condition}, action: {{sourceNatActivIps: [ip-2]}}}}")),
        ["unknown-field sourceNatActivIps"]
    );
    assert_eq!(
        one(&format!("{{ruleNumber: 5, {condition}, action: {{sourceNatActiveIps: [ip-9]}}}}")),
        ["unknown-reference ip-9"]
    );
}

#[test]
fn a_rule_may_begin_in_the_middle_of_draining_but_not_without_an_active_address() {
    let drained = |active: &str| {
        with_rules(&[format!(
            "{{ruleNumber: 5, match: \"destination.ip == '1.2.3.4'\", action: {{sourceNatActiveIps: [{active}], sourceNatDrainIps: [ip-3]}}}}"
        )])
    };
    assert_eq!(errors(&drained("")), ["all-nat-ips-draining 5"]);
    assert_eq!(warnings(&drained("ip-2")), NOTHING);
    assert_eq!(config(&drained("ip-2")).rules[0].drain_nat_ips, [Ipv4Addr::new(203, 0, 113, 12)]);
}

#[test]
fn ranges_of_two_rules_must_not_overlap_and_those_of_one_may() {
    let two = |one: &str, other: &str| errors(&with_rules(&[rule("1", one, "ip-2"), rule("2", other, "ip-3")]));
    let within = "inIpRange(destination.ip, '198.51.100.0/24')";
    assert_eq!(two(within, "destination.ip == '198.51.100.7'"), ["nat-rule-overlap '198.51.100.7'"]);
    assert_eq!(two("destination.ip == '198.51.100.7'", within), ["nat-rule-overlap '198.51.100.0/24'"]);
    assert_eq!(two(within, within), ["nat-rule-overlap '198.51.100.0/24'"], "equal ranges overlap");
    assert_eq!(two(within, "inIpRange(destination.ip, '198.51.101.0/24')"), NOTHING, "neighbours do not");
    assert_eq!(
        two("source.ip == '10.8.0.2'", "inIpRange(source.ip, '10.8.0.0/28')"),
        ["nat-rule-overlap '10.8.0.0/28'"],
        "sources are no different"
    );
    let one = "inIpRange(destination.ip, '198.51.100.0/24') || destination.ip == '198.51.100.7'";
    assert_eq!(two(one, "destination.ip == '192.0.2.1'"), NOTHING, "within one rule it does not matter");
    let nested = "inIpRange(destination.ip, '198.51.0.0/16') || inIpRange(destination.ip, '198.51.100.0/24')";
    assert_eq!(
        two(nested, "destination.ip == '198.51.7.7' || destination.ip == '198.51.100.7'"),
        ["nat-rule-overlap '198.51.7.7'"],
        "two rules are told of once"
    );
}

#[test]
fn many_equal_ranges_are_no_trouble() {
    let ranges = vec!["destination.ip == '1.2.3.4'"; 20_000].join(" || ");
    let rules = [rule("1", &ranges, "ip-2"), rule("2", &ranges, "ip-3")];
    assert_eq!(errors(&with_rules(&rules)), ["nat-rule-overlap '1.2.3.4'"]);
}

#[test]
fn a_packet_that_two_kinds_of_rules_match_is_a_warning() {
    let rules = [rule("300", "source.ip == '10.8.0.2'", "ip-2"), rule("200", "destination.ip == '1.2.3.4'", "ip-3")];
    let loaded = read(&with_rules(&rules));
    assert_eq!(findings(&loaded, &[Severity::Warning]).len(), 1);
    let warning = loaded.diagnostics.iter().next().expect("a warning");
    assert_eq!(warning.code, "nat-rule-ambiguous");
    assert!(warning.message.ends_with("Google does not say which applies, here 200 does"), "{}", warning.message);
    assert_eq!(warnings(&with_rules(&rules[..1])), NOTHING);
}

#[test]
fn rules_exclude_endpoint_independent_mapping_and_automatic_addresses() {
    let rules = format!("rules: [{}]", rule("1", "destination.ip == '1.2.3.4'", "ip-2"));
    let text = manual(&format!("enableEndpointIndependentMapping: true\n    {rules}"));
    assert_eq!(errors(&text), [format!("rules-with-eim {}", &rules["rules: ".len()..])]);
    let text = gateway(&format!("natIpAllocateOption: AUTO_ONLY\n    {rules}"));
    assert_eq!(errors(&text), [format!("rules-with-auto {}", &rules["rules: ".len()..])]);
}

#[test]
fn endpoint_independent_mapping_and_rules_need_no_warning() {
    assert_eq!(warnings(&manual("enableEndpointIndependentMapping: true")), NOTHING);
    assert_eq!(warnings(&with_rules(&[rule("1", "destination.ip == '1.2.3.4'", "ip-2")])), NOTHING);
}

#[test]
fn an_address_is_once_in_a_rule_and_better_in_one_rule_only() {
    let one = |ips: &str| with_rules(&[rule("1", "destination.ip == '1.2.3.4'", ips)]);
    assert_eq!(errors(&one("ip-2, ip-3, ip-2")), ["nat-ip-twice ip-2"]);
    assert_eq!(warnings(&one("ip-1")), ["nat-ip-in-two-rules ip-1"], "the gateway itself has it");
    let two = [rule("1", "destination.ip == '1.2.3.4'", "ip-2"), rule("2", "destination.ip == '1.2.3.5'", "ip-2")];
    assert_eq!(warnings(&with_rules(&two)), ["nat-ip-in-two-rules ip-2"]);
}

#[test]
fn the_addresses_of_a_rule_have_one_network_tier() {
    let one = |ips: &str| with_rules(&[rule("1", "destination.ip == '1.2.3.4'", ips)]);
    assert_eq!(errors(&one("ip-2, std-1")), ["mixed-network-tiers std-1"]);
    assert_eq!(errors(&one("std-1, std-2")), NOTHING, "another tier than the gateway's own is allowed");
    assert_eq!(
        errors(&gateway("natIpAllocateOption: MANUAL_ONLY\n    natIps: [std-1, ip-1]")),
        ["mixed-network-tiers ip-1"]
    );
    let draining = gateway("natIpAllocateOption: MANUAL_ONLY\n    natIps: [std-1]\n    drainNatIps: [ip-1]");
    assert_eq!(errors(&draining), NOTHING, "a change of tier drains the other one");
}

#[test]
fn a_nat_ip_of_a_rule_belongs_to_one_gateway_of_its_region() {
    let other = |ips: &str| {
        let second = "  - {name: gw2, sourceSubnetworkIpRangesToNat: LIST_OF_SUBNETWORKS, subnetworks: [{name: more}], \
                      natIpAllocateOption: MANUAL_ONLY, natIps: [";
        let more = "subnetworks: [{name: more, network: vpc, region: r1, ipCidrRange: 10.1.0.0/24}]\n";
        let first = with_rules(&[rule("1", "destination.ip == '1.2.3.4'", "ip-2")])
            .replace("ALL_SUBNETWORKS_ALL_IP_RANGES", "LIST_OF_SUBNETWORKS\n    subnetworks: [{name: aet-r1-conn}]");
        errors(&format!("{first}{second}{ips}]}}\n{more}"))
    };
    assert_eq!(other("ip-3"), NOTHING);
    assert_eq!(other("ip-2"), ["nat-ip-shared ip-2"]);
    let far = with_rules(&[rule("1", "destination.ip == '1.2.3.4'", "ip-2")])
        .replace("{name: ip-2, region: r1}", "{name: ip-2, region: r2}");
    assert!(errors(&far).contains(&"region-mismatch ip-2".to_owned()), "{:?}", errors(&far));
}

#[test]
fn each_rule_needs_addresses_for_all_endpoints() {
    // Two connector VMs of 57,344 ports: 4 blocks of 16,384 each, 3 an address, so 3 addresses a rule.
    let rules = format!("rules: [{}]", rule("1", "destination.ip == '1.2.3.4'", "ip-2"));
    let text = manual(&format!("minPortsPerVm: 57344\n    {rules}"));
    assert_eq!(warnings(&text), ["too-few-nat-ips [ip-1]", "too-few-nat-ips ip-2"]);
}

#[test]
fn limits_of_rules_that_nobody_is_sure_of_are_warnings() {
    let rules = |count: usize| {
        let rule = |at: usize| rule(&at.to_string(), &format!("destination.ip == '192.0.2.{at}'"), "ip-2");
        (0..count).map(rule).collect::<Vec<_>>()
    };
    let limit = |text: &str| warnings(text).iter().filter(|found| found.starts_with("nat-rule-limit")).count();
    assert_eq!(limit(&with_rules(&rules(50))), 0);
    assert_eq!(limit(&with_rules(&rules(51))), 1);
    // `destination.ip == '1.2.3.4'` has 27 characters, each further one 31 with ` || `: 27 + 65 × 31 = 2,042.
    let long = |more: usize| {
        let text = vec!["destination.ip == '1.2.3.4'"; 1 + more].join(" || ");
        limit(&with_rules(&[rule("1", &text, "ip-2")]))
    };
    assert_eq!((long(65), long(66)), (0, 1));
    let any = with_rules(&[rule("1", "inIpRange(destination.ip, '0.0.0.0/0')", "ip-2")]);
    assert_eq!(warnings(&any), ["nat-rule-any '0.0.0.0/0'"]);
}

#[test]
fn three_hundred_addresses_are_the_most() {
    let text = |count: usize, list: &str| {
        let names: Vec<String> = (0..count).map(|at| format!("n{at}")).collect();
        let more: String = names.iter().map(|name| format!("- {{name: {name}, region: r1}}\n")).collect();
        let text = match list {
            "natIps" => manual("").replace("natIps: [ip-1]", &format!("natIps: [{}]", names.join(", "))),
            _ => with_rules(&[rule("1", "destination.ip == '1.2.3.4'", &names.join(", "))]),
        };
        text.replace("addresses:\n", &format!("addresses:\n{more}"))
    };
    for list in ["natIps", "rules"] {
        assert_eq!(errors(&text(300, list)), NOTHING, "{list}");
        assert_eq!(errors(&text(301, list)).len(), 1, "{list}");
        assert!(errors(&text(301, list))[0].starts_with("too-many"), "{list}");
    }
}

#[test]
fn a_router_has_fifty_gateways_and_a_network_five_routers_in_a_region() {
    let gateways = |count: usize| {
        let subnets: String = (0..count)
            .map(|at| format!("- {{name: s{at}, network: vpc, region: r1, ipCidrRange: 10.9.{at}.0/24}}\n"))
            .collect();
        let nats: String = (0..count)
            .map(|at| {
                format!(
                    "  - {{name: gw{at}, natIpAllocateOption: AUTO_ONLY, sourceSubnetworkIpRangesToNat: LIST_OF_SUBNETWORKS, subnetworks: [{{name: s{at}}}]}}\n"
                )
            })
            .collect();
        format!("{BASE}subnetworks:\n{subnets}routers:\n- name: router\n  network: vpc\n  nats:\n{nats}")
    };
    assert_eq!(errors(&gateways(50)), NOTHING);
    let excess = errors(&gateways(51));
    assert!(excess.len() == 1 && excess[0].starts_with("too-many {name: gw50,"), "{excess:?}");

    let routers = |regions: &[&str]| {
        let routers = regions.iter().enumerate();
        let routers: String =
            routers.map(|(at, region)| format!("- {{name: router{at}, network: vpc, region: {region}}}\n")).collect();
        errors(&format!("networks: [{{name: vpc}}]\nrouters:\n{routers}"))
    };
    assert_eq!(routers(&["r1"; 5]), NOTHING);
    assert_eq!(routers(&["r1"; 6]), ["too-many router5"]);
    assert_eq!(routers(&["r1"; 7]), ["too-many router5"], "once is enough");
    assert_eq!(routers(&["r1", "r1", "r1", "r1", "r1", "r2"]), NOTHING, "each region has its own");
}

#[test]
fn names_of_gateways_and_routers_are_labels_of_rfc_1035() {
    let named = |name: &str| errors(&manual("").replace("name: gw", &format!("name: {name}")));
    for name in ["g", "gw-1", &"a".repeat(63)] {
        assert_eq!(named(name), NOTHING, "{name}");
    }
    for name in ["1gw", "Gw", "gw_1", "gw-", &"a".repeat(64)] {
        assert_eq!(named(name), [format!("bad-name {name}")]);
    }
    assert_eq!(errors(&manual("").replace("name: router", "name: Router")), ["bad-name Router"]);
}

#[test]
fn a_gateway_has_one_endpoint_type() {
    assert_eq!(errors(&manual("endpointTypes: [ENDPOINT_TYPE_VM]")), NOTHING);
    assert_eq!(
        errors(&manual("endpointTypes: [ENDPOINT_TYPE_VM, ENDPOINT_TYPE_SWG]")),
        ["many-endpoint-types ENDPOINT_TYPE_SWG"]
    );
}

#[test]
fn a_private_nat_is_left_out_and_has_nothing_of_a_public_one() {
    let private = |fields: &str| gateway(&format!("type: PRIVATE\n    {fields}"));
    let rules = "rules: [{ruleNumber: 1, match: \"nexthop.hub == '//networkconnectivity.googleapis.com/projects/p/locations/global/hubs/h'\", \
                 action: {sourceNatActiveRanges: [s]}}]";
    let found = warnings(&private(&format!("enableDynamicPortAllocation: true\n    {rules}")));
    assert!(found.contains(&"not-simulated PRIVATE".to_owned()), "{found:?}");
    assert_eq!(errors(&private("natIps: [ip-1]")), ["nat-type [ip-1]"]);
    assert_eq!(errors(&private("drainNatIps: [ip-1]")), ["nat-type [ip-1]"]);
    assert_eq!(errors(&private("natIpAllocateOption: AUTO_ONLY")), ["nat-type AUTO_ONLY"]);
    assert_eq!(errors(&private("enableEndpointIndependentMapping: true")), ["nat-type true"]);
    assert_eq!(errors(&private("enableEndpointIndependentMapping: false")), NOTHING);
    let public = format!("rules: [{}]", rule("1", "destination.ip == '1.2.3.4'", "ip-2"));
    assert_eq!(errors(&private(&public)), ["nat-type destination.ip", "nat-type ip-2"]);
}

#[test]
fn a_public_nat_has_nothing_of_a_private_one() {
    let one = |action: &str, condition: &str| {
        let rule = format!("{{ruleNumber: 1, match: \"{condition}\", action: {{sourceNatActiveIps: [ip-2]{action}}}}}");
        errors(&with_rules(&[rule]))
    };
    let condition = "destination.ip == '1.2.3.4'";
    assert_eq!(one(", sourceNatActiveRanges: [s]", condition), ["nat-type s"]);
    assert_eq!(one(", sourceNatDrainRanges: [s]", condition), ["nat-type s"]);
    assert_eq!(one(", sourceNatActiveRanges: []", condition), NOTHING, "an export may print an empty list");
    assert_eq!(one("", "nexthop.hub == '//x/hubs/h'"), ["nat-rule-match nexthop.hub"]);
}

#[test]
fn the_tier_of_automatic_addresses_is_premium_or_standard() {
    let tier = |tier: &str| gateway(&format!("natIpAllocateOption: AUTO_ONLY\n    {tier}"));
    assert_eq!(config(&tier("")).auto_network_tier, NetworkTier::Premium);
    assert_eq!(config(&tier("autoNetworkTier: STANDARD")).auto_network_tier, NetworkTier::Standard);
    assert_eq!(errors(&tier("autoNetworkTier: FIXED_STANDARD")), ["bad-network-tier FIXED_STANDARD"]);
    assert_eq!(warnings(&manual("autoNetworkTier: STANDARD")), ["unused-network-tier STANDARD"]);
}

#[test]
fn each_timeout_is_a_second_or_more() {
    for field in [
        "udpIdleTimeoutSec",
        "icmpIdleTimeoutSec",
        "tcpEstablishedIdleTimeoutSec",
        "tcpTransitoryIdleTimeoutSec",
        "tcpTimeWaitTimeoutSec",
    ] {
        assert_eq!(errors(&manual(&format!("{field}: 0"))), ["out-of-range 0"], "{field}");
        assert_eq!(errors(&manual(&format!("{field}: 1"))), NOTHING, "{field}");
    }
}

#[test]
fn values_of_the_model_are_read() {
    let text =
        manual("") + "model: {nat: {endpointIndependentChoice: hash, dynamicPortAllocation: {resetOnChange: false}}}\n";
    let nat = scenario(&text).model.nat;
    assert_eq!(nat.endpoint_independent_choice, EndpointIndependentChoice::Hash);
    assert!(!nat.dynamic_port_allocation.reset_on_change);
    let nat = scenario(&manual("")).model.nat;
    assert_eq!(nat.endpoint_independent_choice, EndpointIndependentChoice::LeastLoaded);
    assert!(nat.dynamic_port_allocation.reset_on_change);
}

// Events.

/// Rule 1 with ip-2 and ip-3, rule 2 with ip-4.
fn two_rules() -> String {
    with_rules(&[
        rule("1", "destination.ip == '1.2.3.4'", "ip-2, ip-3"),
        rule("2", "destination.ip == '1.2.3.5'", "ip-4"),
    ])
}

/// A rule in an event: its number, its active and its draining addresses.
fn changed(number: u32, active: &str, draining: &str) -> String {
    format!(
        "{{ruleNumber: {number}, match: \"destination.ip == '1.2.3.{}'\", action: {{sourceNatActiveIps: [{active}], sourceNatDrainIps: [{draining}]}}}}",
        number + 3
    )
}

#[test]
fn a_patch_replaces_all_rules() {
    let text = patched(&two_rules(), &format!("rules: [{}]", changed(2, "ip-4", "")));
    let config = after(&text);
    assert_eq!(config.rules.iter().map(|rule| rule.number).collect::<Vec<_>>(), [2]);
    assert_eq!(warnings(&text), [format!("nat-ip-removed [{}]", changed(2, "ip-4", ""))], "rule 1 is gone");
    assert_eq!(after(&patched(&two_rules(), "minPortsPerVm: 128")).rules.len(), 2, "without `rules` they stay");
    assert!(after(&patched(&two_rules(), "rules: []")).rules.is_empty());
}

#[test]
fn rules_of_a_patch_are_checked_like_those_of_a_gateway() {
    let text = patched(&manual(""), &format!("rules: [{}]", changed(1, "ip-2, std-1", "")));
    assert_eq!(errors(&text), ["mixed-network-tiers std-1"]);
    assert_eq!(errors(&patched(&two_rules(), "enableEndpointIndependentMapping: true")).len(), 1);
}

#[test]
fn a_rule_drains_what_it_had_and_nothing_else() {
    let rules = |one: &str| patched(&two_rules(), &format!("rules: [{one}, {}]", changed(2, "ip-4", "")));
    let drained = rules(&changed(1, "ip-2", "ip-3"));
    assert_eq!(warnings(&drained), NOTHING);
    assert_eq!(after(&drained).rules[0].drain_nat_ips, [Ipv4Addr::new(203, 0, 113, 12)]);
    assert_eq!(errors(&rules(&changed(1, "ip-2, ip-3", "std-1"))), ["drain-unassigned std-1"]);
    let others = rules(&changed(1, "ip-2, ip-3", "ip-4"));
    assert_eq!(errors(&others), ["drain-unassigned ip-4"], "what another rule has is not its own");
    let new = patched(&two_rules(), &format!("rules: [{}]", changed(3, "std-1", "ip-2")));
    assert_eq!(errors(&new), ["drain-unassigned ip-2"], "a new rule has nothing to drain");
}

#[test]
fn an_active_address_that_is_taken_away_ends_its_connections() {
    let own = gateway("natIpAllocateOption: MANUAL_ONLY\n    natIps: [ip-1, ip-2]");
    assert_eq!(warnings(&patched(&own, "natIps: [ip-1]")), ["nat-ip-removed [ip-1]"]);
    assert_eq!(warnings(&patched(&own, "natIps: [ip-1], drainNatIps: [ip-2]")), NOTHING);
    assert_eq!(warnings(&patched(&own, "drainNatIps: [ip-2]")), NOTHING, "as gcloud, it is taken from the active ones");
    assert_eq!(warnings(&patched(&own, "natIps: [ip-1, ip-2, ip-3]")), NOTHING);
    let draining = gateway("natIpAllocateOption: MANUAL_ONLY\n    natIps: [ip-1]\n    drainNatIps: [ip-2]");
    assert_eq!(warnings(&patched(&draining, "drainNatIps: []")), NOTHING, "it is meant to go");
    let rules = format!("[{}, {}]", changed(1, "ip-2", ""), changed(2, "ip-4", ""));
    assert_eq!(warnings(&patched(&two_rules(), &format!("rules: {rules}"))), [format!("nat-ip-removed {rules}")]);
}

#[test]
fn draining_is_not_undone_across_tiers() {
    let premium = gateway("natIpAllocateOption: MANUAL_ONLY\n    natIps: [ip-1]\n    drainNatIps: [ip-2]");
    assert_eq!(warnings(&patched(&premium, "natIps: [ip-1, ip-2]")), NOTHING);
    let moved = gateway("natIpAllocateOption: MANUAL_ONLY\n    natIps: [std-1]\n    drainNatIps: [ip-1]");
    let back = patched(&moved, "natIps: [ip-1], drainNatIps: [std-1]");
    assert_eq!(errors(&back), ["undrain-across-tiers ip-1"]);
}

#[test]
fn another_allocation_option_or_tier_replaces_all_addresses() {
    let to_auto = patched(&manual("drainNatIps: [ip-2]"), "natIpAllocateOption: AUTO_ONLY");
    assert_eq!(warnings(&to_auto), ["nat-ips-replaced AUTO_ONLY"]);
    let config = after(&to_auto);
    assert_eq!((config.allocate, config.nat_ips.len(), config.drain_nat_ips.len()), (IpAllocation::Auto, 0, 0));
    let auto = gateway("natIpAllocateOption: AUTO_ONLY");
    let to_manual = patched(&auto, "natIpAllocateOption: MANUAL_ONLY, natIps: [ip-1]");
    assert_eq!(warnings(&to_manual), ["nat-ips-replaced MANUAL_ONLY"]);
    assert_eq!(errors(&patched(&auto, "natIpAllocateOption: MANUAL_ONLY")), ["no-nat-ips MANUAL_ONLY"]);
    assert_eq!(warnings(&patched(&auto, "autoNetworkTier: STANDARD")), ["nat-ips-replaced STANDARD"]);
    assert_eq!(warnings(&patched(&auto, "autoNetworkTier: PREMIUM")), NOTHING, "it was that before");
    assert_eq!(warnings(&patched(&auto, "natIpAllocateOption: AUTO_ONLY")), NOTHING);
}

#[test]
fn any_change_with_dynamic_port_allocation_may_reset_it() {
    let dynamic = manual("enableDynamicPortAllocation: true");
    assert_eq!(warnings(&patched(&dynamic, "udpIdleTimeoutSec: 60")), ["dpa-change-resets {udpIdleTimeoutSec: 60}"]);
    assert_eq!(warnings(&patched(&dynamic, "udpIdleTimeoutSec: 30")), NOTHING, "it was that before");
    assert_eq!(warnings(&patched(&manual(""), "udpIdleTimeoutSec: 60")), NOTHING);
}

#[test]
fn without_dynamic_port_allocation_all_connections_break() {
    let dynamic = manual("enableDynamicPortAllocation: true\n    maxPortsPerVm: 4096");
    let text = patched(&dynamic, "enableDynamicPortAllocation: false");
    assert_eq!(warnings(&text), ["dpa-off-breaks false"]);
    let config = after(&text);
    assert_eq!((config.min_ports_per_vm, config.max_ports_per_vm), (64, 64), "the maximum is gone with it");
    let text = patched(&dynamic, "enableDynamicPortAllocation: false, maxPortsPerVm: 128");
    assert_eq!(errors(&text), ["max-ports-without-dpa 128"], "unless it is asked for");
}

#[test]
fn dynamic_port_allocation_begins_without_loss_if_its_maximum_is_high() {
    let on = |min: u32, max: &str| {
        let text = manual(&format!("minPortsPerVm: {min}"));
        warnings(&patched(&text, &format!("enableDynamicPortAllocation: true, minPortsPerVm: 64{max}")))
    };
    assert_eq!(on(64, ""), NOTHING, "the default is 65,536");
    assert_eq!(on(64, ", maxPortsPerVm: 1024"), NOTHING);
    assert_eq!(on(64, ", maxPortsPerVm: 512"), ["dpa-on-breaks 512"], "below 1,024");
    assert_eq!(on(4096, ", maxPortsPerVm: 2048"), ["dpa-on-breaks 2048"], "below the old minimum");
    assert_eq!(on(4096, ", maxPortsPerVm: 4096"), NOTHING);
}

#[test]
fn fewer_static_ports_are_a_warning_if_blocks_are_lost() {
    let to = |ports: u32| warnings(&patched(&manual("minPortsPerVm: 100"), &format!("minPortsPerVm: {ports}")));
    assert_eq!(to(64), ["ports-lowered 64"]);
    // 100 and 70 are both two blocks of 64.
    assert_eq!(to(70), NOTHING);
    assert_eq!(to(1024), NOTHING);
}

#[test]
fn what_cannot_change_says_what_to_do() {
    let types = patched(&manual(""), "endpointTypes: [ENDPOINT_TYPE_VM]");
    assert_eq!(errors(&types), ["immutable ENDPOINT_TYPE_VM"]);
    let loaded = read(&patched(&manual(""), "type: PUBLIC"));
    assert!(loaded.diagnostics.iter().all(|diagnostic| diagnostic.help.is_some()));
}

#[test]
fn what_is_wrong_with_a_gateway_is_told_once_however_often_it_is_patched() {
    let rules = [rule("1", "destination.ip == '1.2.3.4'", "ip-2"), rule("2", "source.ip == '10.8.0.2'", "ip-1, ip-2")];
    let once = warnings(&with_rules(&rules));
    let events = "events:\n- {at: 1s, patchNat: {gateway: gw, set: {udpIdleTimeoutSec: 40}}}\n\
                  - {at: 2s, patchNat: {gateway: gw, set: {udpIdleTimeoutSec: 50}}}\n";
    assert_eq!(warnings(&(with_rules(&rules) + events)), once);
}
