//! Incidents of packets that went another way than was meant, or none; and deployments that Google refuses.

use super::{DIRECT, NAT, NETWORK, codes, found, read, service};

const CONNECTOR: &str = "vpcAccess: {connector: conn, egress: ALL_TRAFFIC}";

#[test]
fn s8_a_service_that_is_internal_is_called_by_the_way_that_counts_as_external() {
    let text = |template: &str, ingress: &str| {
        let callee =
            format!("- {{name: callee, region: r1, ingress: {ingress}, uri: \"https://callee-x.a.run.app\"}}\n");
        let traffic = "traffic: [{from: api, to: \"callee-x.a.run.app:443\", rate: 1/s}]\n";
        let host = "hosts:\n- {name: callee-x.a.run.app, address: 142.250.4.1, location: google-api}\n";
        format!("{NETWORK}services:\n- {{name: api, region: r1, template: {{{template}}}}}\n{callee}{traffic}")
            .replace("hosts:\n", host)
            .replace("10.9.0.0/24}", "10.9.0.0/24, privateIpGoogleAccess: true}")
    };
    let (internal, private) = ("INGRESS_TRAFFIC_INTERNAL_ONLY", "vpcAccess: {networkInterfaces: [{subnetwork: apps}]}");
    found("internal-ingress", &text(private, internal), &text(DIRECT, internal));
    found("internal-ingress", &text("timeout: 60s", internal), &text("timeout: 60s", "INGRESS_TRAFFIC_ALL"));
    // With an address of private.googleapis.com for run.app, private ranges are enough.
    let vip = text(private, internal).replace("142.250.4.1,", "199.36.153.8,");
    found("internal-ingress", &text(private, internal), &vip);
}

#[test]
fn s8_an_internal_service_behind_a_connector_whose_network_leads_nowhere() {
    let text = |routes: &str| {
        let traffic = "traffic: [{from: api, to: \"storage:443\", rate: 1/s}]\n";
        service(CONNECTOR, traffic).replace("{name: vpc}", &format!("{{name: vpc{routes}}}"))
    };
    let closed = ", deleteDefaultRoutesOnCreate: true";
    found("no-default-route", &text(closed), &text(""));
}

#[test]
fn s3_and_s11_a_fresh_instance_reaches_the_network_late_for_a_client_without_patience() {
    let text = |timeout: &str, template: &str| {
        let traffic =
            format!("traffic: [{{from: api, to: \"10.20.0.3:3307\", rate: 1/s, connectTimeout: {timeout}}}]\n");
        let peered = "hosts:\n- {name: sql, address: 10.20.0.3, location: vpc, network: servicenetworking}\n";
        let peering = "{name: vpc, peerings: [{name: psa, network: servicenetworking}]}";
        service(template, &format!("{traffic}events: [{{at: 1m, scale: {{workload: api, instances: 4}}}}]\n"))
            .replace("hosts:\n", peered)
            .replace("{name: vpc}", peering)
    };
    let direct = "vpcAccess: {networkInterfaces: [{subnetwork: apps}]}";
    // The way into the network takes 2 s (median) to 8 s, a tenth of the way through NAT.
    found("cold-egress", &text("5s", direct), &text("8s", direct));
    // What was done about it.
    found("cold-egress", &text("5s", direct), &text("5s", "vpcAccess: {connector: conn}"));
}

#[test]
fn s17_a_source_service_account_is_no_way_to_name_direct_vpc_instances() {
    let text = |source: &str| {
        let rule = format!("firewalls: [{{name: in, network: vpc, {source}, allowed: [{{IPProtocol: tcp}}]}}]\n");
        service(&format!("serviceAccount: app@p.iam.gserviceaccount.com, {DIRECT}"), &rule)
    };
    let range = text("sourceRanges: [10.9.0.0/24]");
    found("undefined-ingress-source", &text("sourceServiceAccounts: [app@p.iam.gserviceaccount.com]"), &range);
}

#[test]
fn s19_firewall_rules_keep_a_connector_from_getting_healthy() {
    let text = |rule: &str| {
        let rules = format!("firewalls: [{{name: strict, network: vpc, {rule}}}]\n");
        service("vpcAccess: {connector: conn}", &rules)
    };
    let deny = |priority: u32, ports: &str| {
        text(&format!(
            "priority: {priority}, sourceRanges: [0.0.0.0/0], denied: [{{IPProtocol: tcp, ports: [\"{ports}\"]}}]"
        ))
    };
    // Google's own rules have priority 100, and deny wins a tie.
    found("connector-blocked", &deny(100, "600-700"), &deny(101, "600-700"));
    found("connector-blocked", &deny(50, "667"), &deny(50, "668"));
    let egress = |range: &str| {
        text(&format!(
            "priority: 1, direction: EGRESS, destinationRanges: [\"{range}\"], denied: [{{IPProtocol: udp}}]"
        ))
    };
    found("connector-blocked", &egress("35.199.224.0/19"), &egress("35.199.0.0/24"));
    let tagged = |tag: &str| {
        text(&format!("priority: 1, sourceRanges: [0.0.0.0/0], targetTags: [{tag}], denied: [{{IPProtocol: all}}]"))
    };
    found("connector-blocked", &tagged("vpc-connector-r1-conn"), &tagged("web"));
}

#[test]
fn s19_a_hierarchical_policy_is_asked_before_googles_own_rules() {
    let text = |more: &str| {
        let policy = format!(
            "firewallPolicies:
- name: organizations/1/firewallPolicies/2
  shortName: org
  associations: [{{attachmentTarget: organizations/1}}]
  rules:
{more}  - {{priority: 900, direction: INGRESS, action: deny, match: {{srcIpRanges: [0.0.0.0/0], layer4Configs: [{{ipProtocol: all}}]}}}}
"
        );
        service("vpcAccess: {connector: conn}", &policy)
    };
    let next = "  - {priority: 800, direction: INGRESS, action: goto_next, match: {srcIpRanges: [35.199.224.0/19, 35.191.0.0/16, 130.211.0.0/22], layer4Configs: [{ipProtocol: all}]}}\n";
    found("connector-blocked", &text(""), &text(next));
}

#[test]
fn s19_in_a_shared_vpc_nobody_makes_a_connectors_rules() {
    let text = |project: &str, rules: &str| {
        format!(
            "networks: [{{name: vpc}}]
subnetworks: [{{name: s, network: vpc, region: r1, ipCidrRange: 10.8.0.0/28, privateIpGoogleAccess: true}}]
connectors: [{{name: projects/app/locations/r1/connectors/conn, subnet: {{name: s, projectId: {project}}}}}]
firewalls: [{rules}]
"
        )
    };
    let tunnel = "{name: serverless-to-vpc-connector, network: vpc, sourceRanges: [35.199.224.0/19], targetTags: [vpc-connector], allowed: [{IPProtocol: tcp, ports: [\"667\"]}, {IPProtocol: udp, ports: [\"665-666\"]}, {IPProtocol: icmp}]}";
    let checks = "{name: vpc-connector-health-checks, network: vpc, sourceRanges: [35.191.0.0/16, 35.191.192.0/18, 130.211.0.0/22], targetTags: [vpc-connector], allowed: [{IPProtocol: tcp, ports: [\"667\"]}]}";
    let all = format!("{tunnel}, {checks}");
    found("connector-rules-missing", &text("host", ""), &text("app", ""));
    found("connector-rules-missing", &text("host", ""), &text("host", &all));
    // One of the two is not enough.
    found("connector-rules-missing", &text("host", tunnel), &text("host", &all));
    found("connector-rules-missing", &text("host", checks), &text("host", &all));
}

#[test]
fn s19_a_connector_without_a_way_to_google_may_not_get_healthy() {
    let text = |access: &str, rest: &str| {
        format!(
            "networks: [{{name: vpc}}]
subnetworks: [{{name: s, network: vpc, region: r1, ipCidrRange: 10.8.0.0/28{access}}}]
connectors: [{{name: conn, region: r1, subnet: {{name: s}}}}]
{rest}"
        )
    };
    found("connector-without-google", &text("", ""), &text(", privateIpGoogleAccess: true", ""));
    found("connector-without-google", &text("", ""), &text("", NAT));
}

#[test]
fn s20_a_connector_and_a_subnet_serve_their_own_region() {
    let text = |template: &str, region: &str| {
        service(template, "").replace("name: api, region: r1", &format!("name: api, region: {region}"))
    };
    let subnet = "vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: apps}]}";
    for template in ["vpcAccess: {connector: conn}", subnet] {
        found("region-mismatch", &text(template, "r2"), &text(template, "r1"));
    }
}

#[test]
fn s22_cloud_nat_is_never_asked_without_a_default_route() {
    let text = |network: &str, routes: &str| {
        service(CONNECTOR, &format!("{NAT}{routes}")).replace("{name: vpc}", &format!("{{name: vpc{network}}}"))
    };
    let deleted = ", deleteDefaultRoutesOnCreate: true";
    found("no-default-route", &text(deleted, ""), &text("", ""));
    let route = |tags: &str| {
        format!(
            "routes: [{{name: out, network: vpc, destRange: 0.0.0.0/0, nextHopGateway: default-internet-gateway{tags}}}]\n"
        )
    };
    found("no-default-route", &text(deleted, ""), &text(deleted, &route("")));
    // A route for others is none.
    found(
        "no-default-route",
        &text(deleted, &route(", tags: [web]")),
        &text(deleted, &route(", tags: [vpc-connector]")),
    );
}

#[test]
fn a_network_that_is_closed_on_purpose_is_not_told_of_what_it_lacks() {
    let closed = service(CONNECTOR, "").replace("{name: vpc}", "{name: vpc, deleteDefaultRoutesOnCreate: true}");
    assert_eq!(codes(&closed), Vec::<&str>::new());
    assert_eq!(codes(&service(CONNECTOR, "")), ["no-cloud-nat"]);
}

#[test]
fn destinations_of_ranges_that_google_says_nothing_of_are_told() {
    let text = |to: &str, egress: &str, model: &str| {
        let template = format!("vpcAccess: {{networkInterfaces: [{{subnetwork: apps}}], egress: {egress}}}");
        let traffic =
            format!("traffic: [{{from: api, to: \"{to}:443\", rate: 1/s}}]\nmodel: {{cloudRun: {{{model}}}}}\n");
        service(&template, &format!("{NAT}{traffic}"))
    };
    let private = "PRIVATE_RANGES_ONLY";
    let mistake = text("240.0.0.7", private, "");
    found("ambiguous-private-range", &mistake, &text("240.0.0.7", "ALL_TRAFFIC", ""));
    found("ambiguous-private-range", &mistake, &text("240.0.0.7", private, "extraPrivateRanges: [240.0.0.0/4]"));
    // Partners of examples have documentation addresses, which are no question.
    found("ambiguous-private-range", &mistake, &text("198.51.100.7", private, ""));
}

#[test]
fn more_connections_than_an_instance_may_begin_are_told() {
    let text = |generation: &str, rate: u32| {
        format!(
            "hosts: [{{name: partner, address: 198.51.100.7}}]
functions: [{{name: fn, environment: {generation}, instances: 2}}]
traffic: [{{from: fn, to: \"partner:443\", rate: {rate}/s}}]
"
        )
    };
    found("connection-rate", &text("GEN_1", 1001), &text("GEN_2", 1001));
    found("connection-rate", &text("GEN_1", 1001), &text("GEN_1", 1000));
    let limited = format!("{}model: {{cloudRun: {{connectionsPerSecond: 400}}}}\n", text("GEN_2", 1001));
    found("connection-rate", &limited, &text("GEN_2", 1001));
}

#[test]
fn the_first_generation_has_no_direct_vpc_egress() {
    let text = |generation: &str| {
        format!(
            "{NETWORK}functions: [{{name: fn, region: r1, environment: {generation}, serviceConfig: {{directVpcNetworkInterface: [{{subnetwork: apps}}]}}}}]\n"
        )
    };
    found("direct-vpc-unsupported", &text("GEN_1"), &text("GEN_2"));
}

// Organization policies.

fn with_policy(template: &str, policy: &str) -> String {
    service(template, &format!("{NAT}orgPolicies: [{policy}]\n"))
}

fn v2(rules: &str) -> String {
    format!("{{name: projects/123/policies/run.allowedVPCEgress, spec: {{etag: x, rules: [{rules}]}}}}")
}

const PRIVATE: &str = "vpcAccess: {networkInterfaces: [{subnetwork: apps}], egress: PRIVATE_RANGES_ONLY}";

#[test]
fn an_egress_setting_that_the_organization_does_not_allow_is_refused() {
    let only = |value: &str| v2(&format!("{{values: {{allowedValues: [{value}]}}}}"));
    let mistake = with_policy(PRIVATE, &only("all-traffic"));
    found("egress-not-allowed", &mistake, &with_policy(DIRECT, &only("all-traffic")));
    for value in ["private-ranges-only", "is:private-ranges-only", "PRIVATE_RANGES_ONLY"] {
        found("egress-not-allowed", &with_policy(DIRECT, &only(value)), &with_policy(PRIVATE, &only(value)));
    }
    // The default is private ranges only, and nothing that is written says so.
    let default = with_policy("vpcAccess: {connector: conn}", &only("all-traffic"));
    found("egress-not-allowed", &default, &with_policy(CONNECTOR, &only("all-traffic")));
    found(
        "egress-not-allowed",
        &with_policy("timeout: 60s", &only("all-traffic")),
        &with_policy(DIRECT, &only("all-traffic")),
    );
    let loaded = read(&mistake);
    let finding = loaded.diagnostics.iter().find(|it| it.code == "egress-not-allowed").expect("it is there");
    assert_eq!(finding.help.as_deref(), Some("set `egress: ALL_TRAFFIC`, or allow private-ranges-only in the policy"));
    let place = finding.place.expect("it has a place");
    assert_eq!(&loaded.sources.text(place.file)[place.start as usize..place.end as usize], "PRIVATE_RANGES_ONLY");
}

#[test]
fn everything_may_be_allowed_or_denied_and_either_be_denied_by_itself() {
    let refused = |policy: &str| {
        [DIRECT, PRIVATE].map(|template| codes(&with_policy(template, policy)).contains(&"egress-not-allowed"))
    };
    assert_eq!(refused(&v2("{allowAll: true}")), [false, false]);
    assert_eq!(refused(&v2("{denyAll: true}")), [true, true]);
    assert_eq!(refused(&v2("{values: {deniedValues: [private-ranges-only]}}")), [false, true]);
    assert_eq!(refused(&v2("")), [false, false]);
    // The older shape.
    let v1 = |list: &str| format!("{{constraint: constraints/run.allowedVPCEgress, etag: x, listPolicy: {{{list}}}}}");
    assert_eq!(refused(&v1("allowedValues: [all-traffic]")), [false, true]);
    assert_eq!(refused(&v1("allValues: DENY")), [true, true]);
    assert_eq!(refused(&v1("allValues: ALLOW")), [false, false]);
}

#[test]
fn a_projects_policy_stands_for_those_above_it_unless_it_inherits() {
    let above = "{name: organizations/1/policies/run.allowedVPCEgress, spec: {rules: [{values: {allowedValues: [all-traffic]}}]}}";
    let refused = |own: &str| codes(&with_policy(PRIVATE, &format!("{above}, {own}"))).contains(&"egress-not-allowed");
    let own = |spec: &str| format!("{{name: projects/p/policies/run.allowedVPCEgress, spec: {{{spec}}}}}");
    assert!(refused("{name: folders/7/policies/gcp.resourceLocations, spec: {rules: []}}"));
    assert!(!refused(&own("rules: [{values: {allowedValues: [private-ranges-only]}}]")));
    assert!(!refused(&own("reset: true")));
    assert!(refused(&own("inheritFromParent: true, rules: [{values: {deniedValues: [private-ranges-only]}}]")));
    assert!(!refused(&own("inheritFromParent: true, rules: [{values: {allowedValues: [private-ranges-only]}}]")));
    // Another project's policy is not about this service.
    let named = |project: &str| {
        with_policy(PRIVATE, above)
            .replace("name: organizations/1", &format!("name: projects/{project}"))
            .replace("name: api, region: r1", "name: projects/app/locations/r1/services/api")
    };
    assert!(codes(&named("app")).contains(&"egress-not-allowed"));
    assert!(!codes(&named("other")).contains(&"egress-not-allowed"));
    assert!(codes(&named("123")).contains(&"egress-not-allowed"), "a number may be any project's");
}

#[test]
fn a_deployment_during_the_run_is_refused_like_any_other() {
    let text = |event: &str| {
        let policy = v2("{values: {allowedValues: [all-traffic]}}");
        with_policy(DIRECT, &policy) + &format!("events: [{{at: 1m, deploy: {{workload: api, {event}}}}}]\n")
    };
    let kept = text("set: {template: {serviceAccount: b}}");
    found("egress-not-allowed", &text(&format!("set: {{template: {{{PRIVATE}}}}}")), &kept);
    found("egress-not-allowed", &text("clearVpcAccess: true"), &kept);
}

#[test]
fn other_constraints_are_noted_and_misspelt_ones_refused() {
    let named = |name: &str| {
        with_policy(DIRECT, &format!("{{name: projects/p/policies/{name}, spec: {{rules: [{{enforce: true}}]}}}}"))
    };
    assert_eq!(codes(&named("run.allowedIngress")), ["not-simulated"]);
    assert_eq!(codes(&named("run.allowedVpcEgress")), ["unknown-value"]);
    let value = v2("{values: {allowedValues: [everything]}}");
    assert!(codes(&with_policy(DIRECT, &value)).contains(&"unknown-value"));
    let conditional =
        v2("{allowAll: true}, {denyAll: true, condition: {expression: \"resource.matchTag('1/env', 'prod')\"}}");
    assert_eq!(codes(&with_policy(DIRECT, &conditional)), ["not-simulated"]);
}

// Scaling of services, and revisions.

#[test]
fn of_a_services_and_a_revisions_maximum_the_lower_counts_and_neither_with_manual_scaling() {
    let text = |whole: &str, own: &str| {
        format!("services: [{{name: api, instances: 9, scaling: {{{whole}}}, template: {{scaling: {{{own}}}}}}}]\n")
    };
    let most = |whole: &str, own: &str| {
        read(&text(whole, own)).scenario.expect("it is sound").workloads[0].revisions[0].max_instances
    };
    assert_eq!(most("maxInstanceCount: 20", "maxInstanceCount: 30"), Some(20));
    assert_eq!(most("maxInstanceCount: 20", "maxInstanceCount: 10"), Some(10));
    assert_eq!(most("minInstanceCount: 2", ""), None);
    assert_eq!(most("scalingMode: MANUAL, manualInstanceCount: 5", "maxInstanceCount: 3"), None);
    let instances = |scaling: &str| {
        let text = format!("services: [{{name: api, scaling: {{{scaling}}}}}]\n");
        read(&text).scenario.expect("it is sound").workloads[0].instances
    };
    assert_eq!(instances("scalingMode: MANUAL, manualInstanceCount: 5"), 5);
    assert_eq!(instances("manualInstanceCount: 5"), 5);
    assert_eq!(instances("scalingMode: AUTOMATIC, manualInstanceCount: 5, minInstanceCount: 2"), 2);
}

#[test]
fn beyond_googles_default_a_maximum_has_to_be_written() {
    let text = |instances: u32, scaling: &str| {
        format!("services: [{{name: api, instances: {instances}, template: {{scaling: {{{scaling}}}}}}}]\n")
    };
    found("default-max-instances", &text(101, ""), &text(100, ""));
    found("default-max-instances", &text(101, ""), &text(101, "maxInstanceCount: 200"));
}

#[test]
fn requests_of_a_revision_that_nothing_describes_are_not_simulated() {
    let text = |traffic: &str| {
        format!(
            "services: [{{name: api, latestCreatedRevision: projects/p/locations/r1/services/api/revisions/api-2, traffic: [{traffic}]}}]\n"
        )
    };
    let revision = |name: &str, percent: u32| {
        format!("{{type: TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION, revision: {name}, percent: {percent}}}")
    };
    let latest = |percent: u32| format!("{{type: TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST, percent: {percent}, tag: x}}");
    let split = text(&format!("{}, {}", revision("api-1", 30), latest(70)));
    found("not-simulated", &split, &text(&latest(100)));
    found("not-simulated", &split, &text(&revision("api-2", 100)));
    // A tag without requests takes none.
    found("not-simulated", &split, &text(&format!("{}, {}", revision("api-1", 0), latest(100))));
    found("traffic-percent", &text(&format!("{}, {}", revision("api-2", 30), latest(60))), &text(&latest(100)));
}

#[test]
fn a_deployment_moves_nothing_where_requests_are_allocated_by_name() {
    let text = |kind: &str| {
        format!(
            "services: [{{name: api, latestCreatedRevision: api-1, traffic: [{{type: TRAFFIC_TARGET_ALLOCATION_TYPE_{kind}, revision: api-1, percent: 100}}]}}]
events: [{{at: 1s, deploy: {{workload: api, set: {{template: {{serviceAccount: b}}}}}}}}]
"
        )
    };
    found("not-simulated", &text("REVISION"), &text("LATEST"));
}
