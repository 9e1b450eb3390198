//! Firewall rules and policies: what they become, what Google rejects, and their changes during the run.

use std::fs;

use super::{Severity, errors, findings, read, scenario, warnings};
use crate::scenario::{
    Change, FirewallAction, FirewallPeers, FirewallPolicy, FirewallPolicyKind, FirewallRule, MachineCpus, Scenario,
};

const NETWORKS: &str = "\
networks: [{name: vpc}, {name: other}]
subnetworks: [{name: s, network: vpc, region: us-central1, ipCidrRange: 10.0.0.0/24}]
";

fn with_rule(fields: &str) -> String {
    format!("{NETWORKS}firewalls: [{{name: r, network: vpc, {fields}}}]\n")
}

/// A policy that is associated with `vpc`, with these rules.
fn with_policy(rules: &str) -> String {
    format!(
        "{NETWORKS}firewallPolicies:\n- name: p\n  associations: [{{attachmentTarget: vpc}}]\n  rules:\n{}",
        rules.lines().map(|rule| format!("  - {{{rule}}}\n")).collect::<String>()
    )
}

const ALL: &str = "layer4Configs: [{ipProtocol: all}]";

#[track_caller]
fn rule_of(text: &str) -> FirewallRule {
    scenario(text).firewall_rules.remove(0).rule
}

fn range(peers: &Option<FirewallPeers>) -> Vec<String> {
    peers.iter().flat_map(|peers| &peers.ranges).map(ToString::to_string).collect()
}

fn policies(scenario: &Scenario) -> Vec<(&str, FirewallPolicyKind)> {
    scenario.firewall_policies.iter().map(|policy| (policy.name.as_str(), policy.kind)).collect()
}

#[test]
fn a_rule_that_names_no_side_means_all_of_ipv4() {
    let ingress = rule_of(&with_rule("allowed: [{IPProtocol: tcp}]"));
    assert_eq!((range(&ingress.source), &ingress.destination), (vec!["0.0.0.0/0".into()], &None));
    let egress = rule_of(&with_rule("direction: EGRESS, denied: [{IPProtocol: all}]"));
    assert_eq!((&egress.source, range(&egress.destination)), (&None, vec!["0.0.0.0/0".into()]));
    // And of IPv6, where the other side is.
    let six = rule_of(&with_rule("destinationRanges: ['fd20::/64'], allowed: [{IPProtocol: tcp}]"));
    assert_eq!((range(&six.source), range(&six.destination)), (vec!["::/0".into()], vec!["fd20::/64".into()]));
    // Tags are a source.
    let tagged = rule_of(&with_rule("sourceTags: [web], allowed: [{IPProtocol: tcp}]"));
    assert!(range(&tagged.source).is_empty() && tagged.source.is_some());
}

#[test]
fn ranges_on_both_sides_and_of_ipv6_are_simulated() {
    let fields = "sourceRanges: [10.1.0.0/16], destinationRanges: [10.0.0.7/32], allowed: [{IPProtocol: tcp}]";
    let rule = rule_of(&with_rule(fields));
    assert_eq!(
        (range(&rule.source), range(&rule.destination)),
        (vec!["10.1.0.0/16".into()], vec!["10.0.0.7/32".into()])
    );
    assert_eq!(warnings(&with_rule(fields)), [""; 0]);
    assert_eq!(warnings(&with_rule("sourceRanges: ['2001:db8::/32'], allowed: [{IPProtocol: tcp}]")), [""; 0]);
}

#[test]
fn what_google_rejects_of_a_rule_is_an_error() {
    for (fields, error) in [
        ("priority: 65536, allowed: [{IPProtocol: tcp}]", "out-of-range 3:47"),
        ("direction: EGRESS, sourceTags: [a], denied: [{IPProtocol: tcp}]", "egress-source 3:68"),
        ("direction: EGRESS, sourceServiceAccounts: [a@p], denied: [{IPProtocol: tcp}]", "egress-source 3:79"),
        ("sourceTags: [a], targetServiceAccounts: [a@p], denied: [{IPProtocol: tcp}]", "tags-with-accounts 3:77"),
        ("sourceRanges: [10.0.0.0/8, '::/0'], allowed: [{IPProtocol: tcp}]", "mixed-ip-versions 3:64"),
        ("allowed: [{IPProtocol: tcp}], denied: [{IPProtocol: udp}]", "firewall-action 3:75"),
        ("allowed: [{IPProtocol: icmp, ports: ['1']}]", "bad-port 3:74"),
        ("allowed: [{IPProtocol: tpc}]", "unknown-value 3:60"),
    ] {
        assert_eq!(errors(&with_rule(fields)), [error], "{fields}");
    }
    assert_eq!(
        errors(&format!("{NETWORKS}firewalls: [{{network: vpc, allowed: [{{IPProtocol: tcp}}]}}]\n")),
        ["missing-field 3:13"]
    );
    let twice = "firewalls: [{name: r, network: vpc, allowed: [{IPProtocol: tcp}]}, {name: r, network: vpc, allowed: [{IPProtocol: udp}]}]\n";
    assert_eq!(errors(&format!("{NETWORKS}{twice}")), ["duplicate-name 3:75"]);
}

#[test]
fn a_policy_is_what_its_parent_its_region_and_its_associations_say() {
    let text = format!(
        "{NETWORKS}firewallPolicies:
- {{name: '1', shortName: of-folder, parent: organizations/7, associations: [{{attachmentTarget: folders/3}}]}}
- {{name: regional, region: us-central1, associations: [{{attachmentTarget: projects/p/global/networks/vpc}}]}}
- {{name: '2', displayName: of-organization, associations: [{{name: x, attachmentTarget: organizations/7}}]}}
- {{name: global, associations: [{{attachmentTarget: vpc}}, {{attachmentTarget: other}}]}}
"
    );
    let scenario = scenario(&text);
    assert_eq!(
        policies(&scenario),
        [
            ("of-organization", FirewallPolicyKind::Hierarchical),
            ("of-folder", FirewallPolicyKind::Hierarchical),
            ("global", FirewallPolicyKind::Network),
            ("regional", FirewallPolicyKind::RegionalNetwork),
        ]
    );
    let networks: Vec<&[usize]> = scenario.firewall_policies.iter().map(|policy| &policy.networks[..]).collect();
    assert_eq!(networks, [&[0, 1], &[0, 1], &[0, 1], &[0][..]]);
    assert_eq!(scenario.firewall_policies[3].region.as_deref(), Some("us-central1"));
    assert_eq!(warnings(&text), [""; 0]);
}

#[test]
fn a_network_can_name_its_policy_itself() {
    let networks = NETWORKS.replace("{name: vpc}", "{name: vpc, firewallPolicy: projects/p/global/firewallPolicies/p}");
    let text = format!("{networks}firewallPolicies: [{{name: p}}]\n");
    assert_eq!(scenario(&text).firewall_policies[0].networks, [0]);
    assert_eq!(warnings(&networks), ["not-simulated 1:40"]);
}

#[test]
fn the_order_of_policies_and_rules_is_the_networks() {
    for (order, first) in [("BEFORE_CLASSIC_FIREWALL", true), ("AFTER_CLASSIC_FIREWALL", false)] {
        let networks =
            NETWORKS.replace("{name: vpc}", &format!("{{name: vpc, networkFirewallPolicyEnforcementOrder: {order}}}"));
        let scenario = scenario(&networks);
        assert_eq!(
            (scenario.networks[0].policies_before_rules, scenario.networks[1].policies_before_rules),
            (first, false)
        );
    }
}

#[test]
fn a_policy_that_is_associated_with_nothing_is_told_of_and_left_out() {
    for fields in ["name: p", "name: '1', shortName: p, parent: organizations/7"] {
        let text = format!("{NETWORKS}firewallPolicies: [{{{fields}}}]\n");
        assert_eq!(warnings(&text), ["unattached-policy 3:27"]);
        assert!(scenario(&text).firewall_policies.is_empty());
    }
}

#[test]
fn networks_that_the_scenario_leaves_out_do_not_matter_and_misspelled_ones_do() {
    let policy = |targets: &str| format!("{NETWORKS}firewallPolicies: [{{name: p, associations: [{targets}]}}]\n");
    let elsewhere = "{attachmentTarget: projects/p/global/networks/elsewhere}";
    let text = policy(&format!("{{attachmentTarget: projects/p/global/networks/vpc}}, {elsewhere}"));
    assert_eq!((warnings(&text).len(), &scenario(&text).firewall_policies[0].networks[..]), (0, &[0][..]));
    assert_eq!(warnings(&policy(elsewhere)), ["unattached-policy 3:27"]);
    assert_eq!(errors(&policy("{attachmentTarget: vpcc}")), ["unknown-reference 3:64"]);
}

#[test]
fn each_network_folder_and_organization_has_one_policy() {
    let policies = |first: &str, second: &str| {
        let policy = |name, target| format!("{{name: {name}, {target}}}");
        errors(&format!("{NETWORKS}firewallPolicies: [{}, {}]\n", policy("a", first), policy("b", second)))
    };
    let on = |target: &str| format!("associations: [{{attachmentTarget: {target}}}]");
    let regional = |region: &str| format!("region: {region}, {}", on("vpc"));
    assert_eq!(policies(&on("vpc"), &on("vpc")).len(), 1);
    assert_eq!(policies(&on("folders/1"), &on("folders/1")).len(), 1);
    assert_eq!(policies(&regional("r1"), &regional("r1")).len(), 1);
    for (first, second) in [
        (on("vpc"), on("other")),
        (on("folders/1"), on("folders/2")),
        (regional("r1"), regional("r2")),
        (on("vpc"), regional("r1")),
    ] {
        assert_eq!(policies(&first, &second), [""; 0]);
    }
    let network = "parent: folders/1, associations: [{attachmentTarget: vpc}]";
    assert_eq!(policies(network, &on("other")), ["bad-association 3:83"]);
}

#[test]
fn what_google_rejects_of_a_policys_rule_is_an_error() {
    for (rule, error) in [
        (format!("priority: -1, action: allow, match: {{{ALL}}}"), "out-of-range 7:16"),
        (format!("priority: 2147483648, action: allow, match: {{{ALL}}}"), "out-of-range 7:16"),
        (format!("priority: 1, action: permit, match: {{{ALL}}}"), "unknown-value 7:27"),
        (format!("action: allow, match: {{{ALL}}}"), "missing-field 7:5"),
        (format!("priority: 1, match: {{{ALL}}}"), "missing-field 7:5"),
        ("priority: 1, action: allow".into(), "missing-field 7:5"),
        ("priority: 1, action: allow, match: {srcIpRanges: [10.0.0.0/8]}".into(), "firewall-action 7:41"),
        (format!("priority: 1, action: apply_security_profile_group, match: {{{ALL}}}"), "firewall-action 7:27"),
        (format!("priority: 1, action: allow, securityProfileGroup: g, match: {{{ALL}}}"), "firewall-action 7:56"),
        (
            format!(
                "priority: 1, action: deny, direction: EGRESS, match: {{{ALL}, srcSecureTags: [{{name: tagValues/1}}]}}"
            ),
            "egress-source 7:111",
        ),
        (
            format!(
                "priority: 1, action: deny, targetSecureTags: [{{name: tagValues/1}}], targetServiceAccounts: [a@p], match: {{{ALL}}}"
            ),
            "tags-with-accounts 7:97",
        ),
        (format!("priority: 1, action: deny, targetResources: [vpc], match: {{{ALL}}}"), "bad-target 7:50"),
        (
            "priority: 1, action: deny, match: {layer4Configs: [{ipProtocol: icmp, ports: ['1']}]}".into(),
            "bad-port 7:84",
        ),
        (format!("priority: 1, action: deny, match: {{{ALL}, srcRegionCodes: [XX]}}"), "unknown-value 7:94"),
    ] {
        assert_eq!(errors(&with_policy(&rule)), [error], "{rule}");
    }
    let twice = format!("priority: 5, action: allow, match: {{{ALL}}}\npriority: 5, action: deny, match: {{{ALL}}}");
    assert_eq!(errors(&with_policy(&twice)), ["duplicate-priority 8:16"]);
}

#[test]
fn a_rule_of_a_policy_takes_all_that_it_says() {
    let rule = "ruleName: look, priority: 7, action: apply_security_profile_group, securityProfileGroup: organizations/7/g, \
                direction: EGRESS, targetServiceAccounts: [a@p], enableLogging: true, \
                match: {destIpRanges: [198.51.100.0/24], destRegionCodes: [US], layer4Configs: [{ipProtocol: tcp, ports: ['443']}]}";
    let mut scenario = scenario(&with_policy(rule));
    let FirewallPolicy { rules, .. } = scenario.firewall_policies.remove(0);
    let rule = &rules[0];
    assert_eq!((&*rule.name, rule.priority, rule.action), ("look", 7, FirewallAction::ApplySecurityProfileGroup));
    assert_eq!(rule.security_profile_group.as_deref(), Some("organizations/7/g"));
    let destination = rule.destination.as_ref().unwrap();
    assert_eq!((destination.ranges.len(), &destination.countries[..]), (1, &["usa".to_owned()][..]));
    assert_eq!(rule.target_service_accounts, ["a@p"]);
    assert!(rule.logging && !rule.disabled && rule.source.is_none());
}

#[test]
fn what_cannot_be_known_is_told_and_matches_nothing() {
    for field in [
        "srcFqdns: [example.com]",
        "srcAddressGroups: [g]",
        "srcThreatIntelligences: [iplist-tor-exit-nodes]",
        "srcNetworkContext: INTERNET",
        "srcNetworkType: VPC_NETWORKS",
    ] {
        let text = with_policy(&format!("priority: 1, action: allow, match: {{{ALL}, {field}}}"));
        let loaded = read(&text);
        assert_eq!(findings(&loaded, &[Severity::Warning]).len(), 1, "{field}");
        let message = &loaded.diagnostics.iter().next().unwrap().message;
        assert!(message.contains("rule 1 of firewall policy `p`") && message.contains("matches nothing"), "{message}");
        let rule = &loaded.scenario.unwrap().firewall_policies[0].rules[0];
        assert_eq!(rule.source, Some(FirewallPeers::default()), "{field}");
    }
    // Beside ranges, the ranges count; a network context must hold, too.
    for (field, count) in [("srcFqdns: [example.com]", 1), ("srcNetworkContext: INTERNET", 0)] {
        let text =
            with_policy(&format!("priority: 1, action: allow, match: {{{ALL}, srcIpRanges: [10.0.0.0/8], {field}}}"));
        assert_eq!(range(&scenario(&text).firewall_policies[0].rules[0].source).len(), count);
    }
    let unspecified = format!("priority: 1, action: allow, match: {{{ALL}, srcNetworkContext: UNSPECIFIED}}");
    assert_eq!(warnings(&with_policy(&unspecified)), [""; 0]);
    let balancer = format!("priority: 1, action: allow, targetType: INTERNAL_MANAGED_LB, match: {{{ALL}}}");
    assert_eq!(warnings(&with_policy(&balancer)), ["not-simulated 7:5"]);
    assert!(scenario(&with_policy(&balancer)).firewall_policies[0].rules.is_empty());
}

#[test]
fn ineffective_secure_tags_do_not_count() {
    let rule = |state| {
        format!(
            "priority: 1, action: deny, targetSecureTags: [{{name: tagValues/1, state: {state}}}], match: {{{ALL}}}"
        )
    };
    let rules = |state| scenario(&with_policy(&rule(state))).firewall_policies.remove(0).rules;
    assert_eq!(rules("EFFECTIVE")[0].target_secure_tags, ["tagValues/1"]);
    assert!(rules("INEFFECTIVE").is_empty(), "Google ignores such a rule");
}

#[test]
fn target_resources_limit_a_hierarchical_rule_to_networks_of_this_project() {
    let rule = |targets: &str| {
        let text = format!(
            "{}firewallPolicies:\n- name: '1'\n  associations: [{{attachmentTarget: organizations/7}}]\n  rules: [{{priority: 1, action: deny, targetResources: [{targets}], match: {{{ALL}}}}}]\n",
            NETWORKS.replace("name: vpc}", "name: projects/mine/global/networks/vpc}")
        );
        let loaded = read(&text);
        let found = findings(&loaded, &[Severity::Unusable]);
        loaded.scenario.map(|mut it| it.firewall_policies.remove(0).rules.remove(0).target_networks).ok_or(found)
    };
    assert_eq!(rule("projects/mine/global/networks/vpc"), Ok(Some(vec![0])));
    assert_eq!(rule("projects/theirs/global/networks/vpc"), Ok(Some(vec![])));
    assert_eq!(rule("other"), Ok(Some(vec![1])));
    assert_eq!(rule(""), Ok(None));
    assert_eq!(rule("vpcc").unwrap_err().len(), 1);
}

#[test]
fn a_vm_has_secure_tags_and_the_cpus_of_its_machine_type() {
    let vm = |fields: &str| {
        format!(
            "{NETWORKS}instances: [{{name: v, zone: us-central1-a, {fields}, networkInterfaces: [{{subnetwork: s}}]}}]\n"
        )
    };
    let tagged = scenario(&vm(
        "machineType: zones/us-central1-a/machineTypes/e2-standard-4, params: {resourceManagerTags: {tagKeys/1: tagValues/2}}",
    ));
    assert_eq!(
        (tagged.vms[0].cpus, &tagged.vms[0].secure_tags[..]),
        (MachineCpus::Whole(4), &["tagValues/2".to_owned()][..])
    );
    assert_eq!(scenario(&vm("status: RUNNING")).vms[0].cpus, MachineCpus::Whole(1));
    assert_eq!(warnings(&vm("machineType: huge")), ["unknown-machine-type 3:57"]);
}

const PATCHED: &str = "\
networks: [{name: vpc}]
firewalls: [{name: r, network: vpc, sourceRanges: [10.0.0.0/8], allowed: [{IPProtocol: tcp, ports: ['443']}]}]
events:
";

#[test]
fn patches_of_a_rule_build_on_each_other_and_leave_the_start_alone() {
    let text = format!(
        "{PATCHED}- {{at: 20s, patchFirewall: {{firewall: r, set: {{disabled: true}}}}}}
- {{at: 10s, patchFirewall: {{firewall: r, set: {{priority: 7, allowed: [{{IPProtocol: udp}}]}}}}}}
"
    );
    let scenario = scenario(&text);
    let rules: Vec<&FirewallRule> = (scenario.events.iter())
        .map(|event| match &event.change {
            Change::PatchFirewall { firewall: 0, rule } => &**rule,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!((rules[0].priority, rules[0].matches[0].protocol, rules[0].disabled), (7, Some(17), false));
    assert_eq!((rules[1].priority, rules[1].matches[0].protocol, rules[1].disabled), (7, Some(17), true));
    assert_eq!(range(&rules[1].source), ["10.0.0.0/8"]);
    let start = &scenario.firewall_rules[0].rule;
    assert_eq!((start.priority, start.disabled), (1000, false));
}

#[test]
fn what_a_patch_cannot_change_is_an_error() {
    for (set, error) in [
        ("name: s", "immutable"),
        ("network: vpc", "immutable"),
        ("direction: EGRESS", "immutable"),
        ("denied: [{IPProtocol: tcp}]", "immutable"),
        ("priority: 70000", "out-of-range"),
        ("sourceTags: [a], sourceServiceAccounts: [a@p]", "tags-with-accounts"),
    ] {
        let text = format!("{PATCHED}- {{at: 10s, patchFirewall: {{firewall: r, set: {{{set}}}}}}}\n");
        let loaded = read(&text);
        assert_eq!(findings(&loaded, &[Severity::Unusable, Severity::Rejected]).len(), 1, "{set}");
        assert_eq!(errors(&text)[0].split(' ').next(), Some(error), "{set}");
    }
    let unknown = format!("{PATCHED}- {{at: 10s, patchFirewall: {{firewall: q, set: {{priority: 1}}}}}}\n");
    assert_eq!(errors(&unknown), ["unknown-reference 4:39"]);
    let nothing = format!("{PATCHED}- {{at: 10s, patchFirewall: {{firewall: r, set: {{priority: 1000}}}}}}\n");
    assert_eq!(warnings(&nothing), ["nothing-changes 4:47"]);
    let many = format!(
        "{PATCHED}- {{at: 10s, patchFirewall: {{firewall: r, set: {{priority: 1}}}}, scale: {{workload: x, instances: 1}}}}\n"
    );
    assert_eq!(errors(&many), ["many-changes 4:28"]);
}

#[test]
fn an_effective_firewall_is_a_part_of_a_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let effective = r#"{
      "firewalls": [{"name": "default-allow-ssh", "network": "https://www.googleapis.com/compute/v1/projects/p/global/networks/vpc",
        "priority": 65534, "sourceRanges": ["0.0.0.0/0"], "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
        "direction": "INGRESS", "logConfig": {"enable": false}, "disabled": false}],
      "firewallPolicys": [
        {"name": "902824820698", "type": "HIERARCHY", "shortName": "first", "displayName": "first", "rules": [
          {"kind": "compute#firewallPolicyRule", "description": "", "priority": 700, "action": "deny", "direction": "INGRESS",
           "match": {"srcIpRanges": ["0.0.0.0/0", "169.254.169.254"], "layer4Configs": [{"ipProtocol": "all"}]}, "enableLogging": false}]},
        {"name": "1", "type": "HIERARCHY", "shortName": "second", "rules": []},
        {"name": "network", "type": "NETWORK", "rules": []}]
    }"#;
    fs::write(folder.path().join("effective.json"), effective).unwrap();
    let path = folder.path().join("scenario.yaml");
    fs::write(&path, "networks: [{name: vpc}]\ninclude: [effective.json]\n").unwrap();
    let loaded = crate::scenario::load::load(crate::scenario::load::Source::Path(&path));
    let rendered = loaded.diagnostics.render(&loaded.sources, false);
    assert!(loaded.diagnostics.is_empty(), "{rendered}");
    let scenario = loaded.scenario.unwrap();
    let hierarchical = FirewallPolicyKind::Hierarchical;
    assert_eq!(
        policies(&scenario),
        [("first", hierarchical), ("second", hierarchical), ("network", FirewallPolicyKind::Network)]
    );
    // Of two networks it is that of the rules; without any rule, whose policy would it be?
    fs::write(&path, "networks: [{name: vpc}, {name: other}]\ninclude: [effective.json]\n").unwrap();
    let loaded = crate::scenario::load::load(crate::scenario::load::Source::Path(&path));
    assert_eq!(findings(&loaded, &[Severity::Unusable]).len(), 0);
    let policies = r#"{"firewallPolicys": [{"name": "network", "type": "NETWORK", "rules": []}]}"#;
    fs::write(folder.path().join("effective.json"), policies).unwrap();
    let loaded = crate::scenario::load::load(crate::scenario::load::Source::Path(&path));
    assert_eq!(findings(&loaded, &[Severity::Unusable]).len(), 1);
}
