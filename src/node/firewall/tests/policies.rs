//! Firewall policies: their order, and what their rules do.

use super::*;
use crate::trace::StepInfo;
use crate::trace::info::FirewallRuleType;

use Action::{Allow, Deny, GotoNext, Inspect};
use LayerKind::{Hierarchical, Network, RegionalNetwork, RegionalSystem, System};

/// One rule for each of these layers, about all ingress.
fn layers(of: &[(LayerKind, &str, Action)]) -> Vec<Layer> {
    of.iter()
        .map(|(kind, name, action)| {
            let rule = rule(name, 1000, *action, true);
            match kind {
                LayerKind::VpcRules => Layer::vpc_rules(vec![rule]),
                kind => policy(*kind, name, vec![rule]),
            }
        })
        .collect()
}

/// The rule that decides about ingress to `a`.
fn decisive(layers: Vec<Layer>, policies_first: bool) -> String {
    let (firewall, a, _) = layered(layers, policies_first);
    let (from, to): (Ipv4Addr, Ipv4Addr) = (STRANGER.parse().unwrap(), A.parse().unwrap());
    firewall.permits(a, true, &Headers::tcp(from, to, 443), SimTime::ZERO).info.display_name
}

#[test]
fn layers_are_evaluated_in_googles_order_whatever_the_order_they_are_given_in() {
    let given = [
        (RegionalNetwork, "regional", Allow),
        (LayerKind::VpcRules, "rule", Allow),
        (RegionalSystem, "regional-system", Allow),
        (Network, "global", Allow),
        (System, "system", Allow),
        (Hierarchical, "hierarchical", Allow),
    ];
    let after = ["hierarchical", "system", "regional-system", "rule", "global", "regional"];
    let before = ["hierarchical", "system", "regional-system", "global", "regional", "rule"];
    for (policies_first, order) in [(false, after), (true, before)] {
        let mut left = given.to_vec();
        for expected in order {
            assert_eq!(decisive(layers(&left), policies_first), expected);
            left.retain(|(_, name, _)| *name != expected);
        }
        assert_eq!(decisive(layers(&left), policies_first), "default-deny-ingress");
    }
}

#[test]
fn hierarchical_policies_stay_in_the_order_top_down() {
    let organization = (Hierarchical, "organization", Deny);
    let folder = (Hierarchical, "folder", Allow);
    assert_eq!(decisive(layers(&[organization, folder]), false), "organization");
    assert_eq!(decisive(layers(&[folder, organization]), false), "folder");
}

#[test]
fn goto_next_leaves_the_policy_and_skips_its_other_rules() {
    let organization =
        policy(Hierarchical, "organization", vec![rule("on", 1, GotoNext, true), rule("off", 2, Deny, true)]);
    let folder = policy(Hierarchical, "folder", vec![rule("folder", 5, Allow, true)]);
    assert_eq!(decisive(vec![organization, folder], false), "folder");
}

#[test]
fn a_policy_without_a_match_leaves_it_to_the_next() {
    let other = Rule { source: from_ranges(&["192.0.2.0/24"]), ..rule("other", 1, Deny, true) };
    let given =
        vec![policy(Hierarchical, "organization", vec![other]), Layer::vpc_rules(vec![rule("own", 1000, Allow, true)])];
    assert_eq!(decisive(given, false), "own");
}

#[test]
fn in_a_policy_the_lowest_number_decides_even_if_it_allows() {
    let rules = vec![rule("deny", 11, Deny, true), rule("allow", 10, Allow, true)];
    assert_eq!(decisive(vec![policy(Network, "global", rules)], false), "allow");
}

#[test]
fn a_hierarchical_policy_denies_what_a_vpc_rule_allows() {
    let given = layers(&[(Hierarchical, "organization", Deny), (LayerKind::VpcRules, "allow-db", Allow)]);
    let (mut firewall, ..) = layered(given, false);
    assert_eq!(verdict(&mut firewall, &udp(STRANGER, A, 5432), ROUTES, 0), Err(DropCause::FirewallRule));
    assert_eq!(
        told(&mut firewall, &udp(STRANGER, A, 5432), ROUTES),
        "ingress to a denied by rule organization (priority 1000) of hierarchical firewall policy organization"
    );
}

#[test]
fn a_regional_policy_is_for_interfaces_in_its_region() {
    let (mut firewall, _, _) = layered(layers(&[(RegionalNetwork, "regional", Allow)]), false);
    let elsewhere = Interface { region: Some("europe-west1".into()), ..vm("c", "10.9.0.9/32", "web") };
    firewall.attach(elsewhere);
    let nowhere = Interface { region: None, ..vm("d", "10.9.0.10/32", "web") };
    firewall.attach(nowhere);
    assert!(verdict(&mut firewall, &udp(STRANGER, A, 1), ROUTES, 0).is_ok());
    assert!(verdict(&mut firewall, &udp(STRANGER, "10.9.0.9", 1), ROUTES, 0).is_err());
    assert!(verdict(&mut firewall, &udp(STRANGER, "10.9.0.10", 1), ROUTES, 0).is_err());
}

#[test]
fn what_passed_it_on_is_told_before_what_decided() {
    let on = policy(Hierarchical, "organization", vec![rule("", 602, GotoNext, true)]);
    let (mut firewall, ..) = layered(vec![on, Layer::vpc_rules(vec![rule("allow-db", 1000, Allow, true)])], false);
    assert_eq!(
        told(&mut firewall, &udp(STRANGER, A, 5432), ROUTES),
        "ingress to a allowed by firewall rule allow-db (priority 1000); rule 602 of hierarchical firewall policy \
         organization leaves it to others (goto_next)"
    );
}

#[test]
fn a_security_profile_group_passes_and_says_that_somebody_looks() {
    let inspect = Rule { security_profile_group: Some("group-7".into()), ..rule("look", 1, Inspect, true) };
    let (mut firewall, a, _) = layered(vec![policy(Network, "global", vec![inspect])], false);
    let steps = steps(&mut firewall, &udp(STRANGER, A, 1), ROUTES, 0);
    let [rule, inspection] = &steps[..] else { panic!("two steps: {steps:?}") };
    assert_eq!(rule.description, "ingress to a allowed by rule look (priority 1) of network firewall policy global");
    assert_eq!(inspection.state, State::NgfwPacketInspection);
    assert!(inspection.description.contains("group-7"), "{}", inspection.description);
    let Some(StepInfo::Firewall(info)) = &rule.info else { panic!("a payload") };
    assert_eq!(info.action, "APPLY_SECURITY_PROFILE_GROUP");
    assert_eq!(verdict(&mut firewall, &udp(STRANGER, A, 1), ROUTES, 0), Ok(a));
}

#[test]
fn the_payload_names_rule_and_policy() {
    for (kind, rule_type) in [
        (Hierarchical, FirewallRuleType::HierarchicalFirewallPolicyRule),
        (RegionalSystem, FirewallRuleType::SystemRegionalNetworkFirewallPolicyRule),
        (System, FirewallRuleType::SystemNetworkFirewallPolicyRule),
        (Network, FirewallRuleType::NetworkFirewallPolicyRule),
        (RegionalNetwork, FirewallRuleType::NetworkRegionalFirewallPolicyRule),
        (LayerKind::VpcRules, FirewallRuleType::VpcFirewallRule),
    ] {
        let (firewall, a, _) = layered(layers(&[(kind, "named", Deny)]), false);
        let (from, to): (Ipv4Addr, Ipv4Addr) = (STRANGER.parse().unwrap(), A.parse().unwrap());
        let info = firewall.permits(a, true, &Headers::tcp(from, to, 443), SimTime::ZERO).info;
        assert_eq!((info.rule_type, info.priority, info.action), (rule_type, Some(1000), "DENY"));
        assert_eq!(info.policy.is_some(), kind != LayerKind::VpcRules);
        assert_eq!(info.rule.is_some(), kind == LayerKind::VpcRules);
    }
}
