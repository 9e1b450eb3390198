//! Warnings about firewall rules: there with the mistake, and gone without it.

use super::{Severity, findings, read};

/// A network with every way in, and who has which tags.
const HOUSE: &str = "\
networks: [{name: vpc}]
subnetworks: [{name: app, network: vpc, region: us-central1, ipCidrRange: 10.9.0.0/24, privateIpGoogleAccess: true}]
connectors: [{name: conn, region: us-central1, network: vpc, ipCidrRange: 10.8.0.0/28}]
addresses: [{name: ip, region: us-central1}]
routers: [{name: r, network: vpc, region: us-central1, nats: [{name: gw, natIpAllocateOption: MANUAL_ONLY, natIps: [ip], sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES}]}]
instances: [{name: vm, zone: us-central1-a, tags: {items: [db]}, params: {resourceManagerTags: {tagKeys/1: tagValues/1}}, serviceAccounts: [{email: vm@p}], networkInterfaces: [{subnetwork: app}]}]
services:
- {name: by-connector, region: us-central1, template: {vpcAccess: {connector: conn, egress: ALL_TRAFFIC}}}
- name: direct
  region: us-central1
  template: {serviceAccount: direct@p, vpcAccess: {egress: ALL_TRAFFIC, networkInterfaces: [{network: vpc, subnetwork: app, tags: [web]}]}}
workerPools:
- {name: pool, region: us-central1, template: {vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: app, tags: [pool]}]}}}
";

const NOTHING: [&str; 0] = [];

/// The codes of warnings and notes with these firewall rules.
fn with(rules: &str) -> Vec<String> {
    let text = format!(
        "{HOUSE}firewalls:\n{}",
        rules.lines().map(|rule| format!("- {{network: vpc, {rule}}}\n")).collect::<String>()
    );
    let loaded = read(&text);
    assert!(loaded.scenario.is_some(), "{}", loaded.diagnostics.render(&loaded.sources, false));
    let found = findings(&loaded, &[Severity::Warning, Severity::Note]);
    found.iter().map(|code| code.split(' ').next().unwrap_or_default().to_owned()).collect()
}

fn with_policy(rule: &str) -> Vec<String> {
    let text = format!(
        "{HOUSE}firewallPolicies: [{{name: p, associations: [{{attachmentTarget: vpc}}], rules: [{{{rule}, match: {{layer4Configs: [{{ipProtocol: all}}]}}}}]}}]\n"
    );
    let loaded = read(&text);
    assert!(loaded.scenario.is_some(), "{}", loaded.diagnostics.render(&loaded.sources, false));
    let found = findings(&loaded, &[Severity::Warning]);
    found.iter().map(|code| code.split(' ').next().unwrap_or_default().to_owned()).collect()
}

/// Message and help of the one finding.
fn told(rules: &str) -> (String, String) {
    let text = format!("{HOUSE}firewalls:\n- {{network: vpc, {rules}}}\n");
    let loaded = read(&text);
    let mut found = loaded.diagnostics.iter();
    let one = found.next().expect("a finding");
    assert_eq!(found.next(), None);
    (one.message.clone(), one.help.clone().unwrap_or_default())
}

#[test]
fn without_rules_there_is_nothing_to_say() {
    assert_eq!(with("name: a, sourceRanges: [10.9.0.0/24], allowed: [{IPProtocol: tcp}]"), NOTHING);
}

#[test]
fn a_deny_before_1000_cuts_a_connector_off() {
    let deny = |priority: u32, fields: &str| {
        format!("name: deny, priority: {priority}, {fields}, denied: [{{IPProtocol: all}}]")
    };
    let range = "sourceRanges: [10.8.0.0/28]";
    assert_eq!(with(&deny(990, range)), ["connector-denied"]);
    assert_eq!(with(&deny(1000, range)), ["connector-denied"], "deny wins the tie");
    assert_eq!(with(&deny(1001, range)), NOTHING);
    assert_eq!(with(&deny(900, "sourceRanges: [0.0.0.0/0]")), ["connector-denied"]);
    assert_eq!(with(&deny(900, "sourceRanges: [10.9.0.0/24]")), NOTHING);
    assert_eq!(with(&deny(900, "sourceRanges: [0.0.0.0/0], disabled: true")), NOTHING);
    // One port is a restriction, and so is a deny after an allow.
    assert_eq!(
        with("name: deny, priority: 900, sourceRanges: [0.0.0.0/0], denied: [{IPProtocol: tcp, ports: ['22']}]"),
        NOTHING
    );
    let allow =
        "name: allow, priority: 980, sourceRanges: [10.8.0.0/28], allowed: [{IPProtocol: tcp, ports: ['5432']}]";
    assert_eq!(with(&format!("{}\n{allow}", deny(990, range))), NOTHING);
    assert_eq!(
        told(&deny(990, range)),
        (
            "firewall rule `deny` (priority 990) denies 10.8.0.0/28 of connector `conn` before Google allows it at 1000: \
             `by-connector` cannot reach what is in the network"
                .into(),
            "allow what it needs from 10.8.0.0/28 at a number below 990, or deny above 1000".into()
        )
    );
}

#[test]
fn a_deny_of_all_egress_cuts_off_google_apis_and_443() {
    let deny = "name: deny, direction: EGRESS, priority: 1000, denied: [{IPProtocol: all}]";
    assert_eq!(with(&format!("{deny}, targetTags: [vpc-connector]")), ["egress-denied"]);
    assert_eq!(with(&format!("{deny}, targetTags: [web]")), ["egress-denied"]);
    assert_eq!(with(&format!("{deny}, targetServiceAccounts: [direct@p]")), ["egress-denied"]);
    assert_eq!(with(deny), ["egress-denied", "egress-denied"], "both workloads with all traffic");
    assert_eq!(with(&format!("{deny}, targetTags: [db]")), NOTHING);
    assert_eq!(with("name: deny, direction: EGRESS, denied: [{IPProtocol: tcp, ports: ['8443']}]"), NOTHING);
    assert_eq!(
        with("name: deny, direction: EGRESS, destinationRanges: [10.0.0.0/8], denied: [{IPProtocol: all}]"),
        NOTHING
    );
    let allow = |priority: u32, range: &str| {
        format!(
            "{deny}\nname: allow, direction: EGRESS, priority: {priority}, destinationRanges: [{range}], allowed: [{{IPProtocol: tcp, ports: ['443']}}]"
        )
    };
    assert_eq!(with(&allow(900, "199.36.153.8/30")), NOTHING);
    assert_eq!(with(&allow(900, "0.0.0.0/0")), NOTHING);
    assert_eq!(with(&allow(1000, "199.36.153.8/30")).len(), 2, "at one priority deny comes first");
    assert_eq!(with(&allow(900, "198.51.100.0/24")).len(), 2);
    let private = HOUSE.replace("egress: ALL_TRAFFIC", "egress: PRIVATE_RANGES_ONLY");
    let loaded = read(&format!("{private}firewalls: [{{network: vpc, {deny}}}]\n"));
    assert_eq!(
        findings(&loaded, &[Severity::Warning]).iter().filter(|code| code.starts_with("egress-denied")).count(),
        0
    );
    let (message, help) = told(&format!("{deny}, targetTags: [web]"));
    assert!(message.contains("cuts `direct` off from Google APIs"), "{message}");
    assert!(help.contains("199.36.153.8/30") && help.contains("below 1000"), "{help}");
}

#[test]
fn a_source_tag_or_account_of_a_direct_vpc_workload_is_undefined() {
    let allow = |source: &str| format!("name: allow, {source}, allowed: [{{IPProtocol: tcp}}]");
    for source in ["sourceTags: [web]", "sourceServiceAccounts: [direct@p]"] {
        assert_eq!(with(&allow(source)), ["undefined-ingress-source"], "{source}");
        let (_, help) = told(&allow(source));
        assert_eq!(help, "use the range of its subnet: `sourceRanges: [10.9.0.0/24]`");
        // The cure, beside it or instead of it.
        assert_eq!(with(&allow(&format!("{source}, sourceRanges: [10.9.0.0/24]"))), NOTHING);
    }
    assert_eq!(with(&allow("sourceRanges: [10.9.0.0/24]")), NOTHING);
    assert_eq!(with(&allow("sourceTags: [db]")), NOTHING);
    assert_eq!(with(&allow("sourceServiceAccounts: [vm@p]")), NOTHING);
}

#[test]
fn a_target_tag_that_nobody_has_is_a_misspelling_or_somebody_elses() {
    let rule = |tags: &str| {
        format!("name: r, targetTags: [{tags}], sourceRanges: [10.44.0.0/16], allowed: [{{IPProtocol: tcp}}]")
    };
    assert_eq!(with(&rule("db")), NOTHING);
    assert_eq!(with(&rule("db, gke-node")), NOTHING, "one of them is enough");
    assert_eq!(with(&rule("gke-node")), ["unused-target-tag"]);
    assert_eq!(with(&rule("vpc-conector")), ["unused-target-tag"]);
    assert_eq!(told(&rule("vpc-conector")).1, "did you mean `vpc-connector`?");
    let severity = |tags: &str| {
        let loaded = read(&format!("{HOUSE}firewalls: [{{network: vpc, {}}}]\n", rule(tags)));
        loaded.diagnostics.iter().next().map(|diagnostic| diagnostic.severity)
    };
    assert_eq!(severity("vpc-conector"), Some(Severity::Warning));
    assert_eq!(severity("gke-node"), Some(Severity::Note));
}

#[test]
fn ingress_to_a_service_is_not_a_thing() {
    let allow =
        |targets: &str| format!("name: allow, {targets}, sourceRanges: [10.44.0.0/16], allowed: [{{IPProtocol: tcp}}]");
    assert_eq!(with(&allow("targetTags: [web]")), ["no-direct-vpc-ingress"]);
    assert_eq!(with(&allow("targetServiceAccounts: [direct@p]")), ["no-direct-vpc-ingress"]);
    assert_eq!(with(&allow("targetTags: [pool]")), ["ingress-target-unsupported"]);
    assert_eq!(with(&allow("targetTags: [db]")), NOTHING);
    assert_eq!(with(&allow("targetTags: [web, db]")), NOTHING, "a VM is meant, too");
    assert_eq!(with(&allow("destinationRanges: [10.9.0.0/24]")), NOTHING);
}

#[test]
fn connections_of_direct_vpc_workloads_are_not_logged() {
    let egress = |fields: &str| format!("name: r, direction: EGRESS, {fields}, allowed: [{{IPProtocol: all}}]");
    assert_eq!(with(&egress("logConfig: {enable: true}")), ["logging-unsupported"]);
    assert_eq!(with(&egress("logConfig: {enable: true}, targetTags: [web]")), ["logging-unsupported"]);
    assert_eq!(with(&egress("logConfig: {enable: true}, targetTags: [db]")), NOTHING);
    assert_eq!(with(&egress("logConfig: {enable: false}")), NOTHING);
    let ingress = "name: r, sourceRanges: [10.44.0.0/16], allowed: [{IPProtocol: tcp}], logConfig: {enable: true}";
    assert_eq!(with(ingress), ["logging-unsupported"], "worker pools meet it");
    assert_eq!(with(&format!("{ingress}, targetTags: [db]")), NOTHING);
    assert_eq!(
        with_policy("priority: 1, action: allow, direction: EGRESS, enableLogging: true"),
        ["logging-unsupported"]
    );
    assert_eq!(with_policy("priority: 1, action: allow, direction: EGRESS"), NOTHING);
}

#[test]
fn secure_tags_do_not_mean_cloud_run() {
    let rule = |tag: &str| format!("priority: 1, action: deny, targetSecureTags: [{{name: {tag}}}]");
    assert_eq!(with_policy(&rule("tagValues/2")), ["secure-tag-unsupported"]);
    assert_eq!(with_policy(&rule("tagValues/1")), NOTHING, "the VM has it");
}

#[test]
fn rules_about_countries_need_hosts_that_say_theirs() {
    let text = |host: &str| {
        format!(
            "{HOUSE}hosts: [{{name: partner, address: 198.51.100.7{host}}}]\nfirewallPolicies: [{{name: p, associations: [{{attachmentTarget: vpc}}], rules: [{{priority: 1, action: deny, direction: EGRESS, match: {{destRegionCodes: [US], layer4Configs: [{{ipProtocol: all}}]}}}}]}}]\n"
        )
    };
    let codes = |host: &str| findings(&read(&text(host)), &[Severity::Warning]);
    assert_eq!(codes("").len(), 1);
    assert!(codes("")[0].starts_with("no-geo-location"));
    assert_eq!(codes(", geoLocation: {country: deu}"), NOTHING);
}
