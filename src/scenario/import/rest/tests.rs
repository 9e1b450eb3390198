//! Each shape and each trap, with fixtures of our own; and real answers of the APIs, when they are at hand.

use crate::scenario::diagnostic::{FileId, Severity};
use crate::scenario::import::{Format, Import, Kind, recognise};
use crate::scenario::tree::{self, Node, Value};

mod data;

/// Reads texts as an import does, up to where resources are merged.
pub(in crate::scenario::import) fn import_of(texts: &[&str]) -> Import {
    import_into(None, texts)
}

/// The same for texts that a scenario includes.
fn import_into(own: Option<&str>, texts: &[&str]) -> Import {
    let mut import = Import::default();
    for (at, text) in texts.iter().enumerate() {
        let file = import.sources.add(format!("{at}.json"), *text);
        for node in documents(&mut import, file) {
            if let Some(format) = recognise(&node) {
                import.document(format, file, None, node);
            }
        }
    }
    import.complete();
    let own = own.map_or_else(Vec::new, |text| {
        let file = import.sources.add("scenario.yaml", text);
        let root = documents(&mut import, file).remove(0);
        match root.value {
            Value::Mapping(entries) => entries,
            _ => Vec::new(),
        }
    });
    super::complete(&mut import, &own);
    import
}

pub(in crate::scenario::import) fn documents(import: &mut Import, file: FileId) -> Vec<Node> {
    let text = import.sources.text(file).to_owned();
    match crate::scenario::import::form(&text) {
        crate::scenario::import::Form::Lines => tree::parse_lines(&text, file, &mut import.report),
        _ => tree::parse_all(&text, file, &mut import.report).expect("the text is sound"),
    }
}

/// A tree on one line, as flow YAML without quotes.
pub(in crate::scenario::import) fn show(node: &Node) -> String {
    match &node.value {
        Value::Scalar(scalar) => scalar.text.to_string(),
        Value::Sequence(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Value::Mapping(entries) => {
            let entries = entries.iter().map(|entry| format!("{}: {}", entry.key.name, show(&entry.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// All resources, each as `key {…}`.
pub(in crate::scenario::import) fn resources(import: &Import) -> Vec<String> {
    import.resources.iter().map(|it| format!("{} {}", it.kind.key(), show(&it.node))).collect()
}

/// Codes of the findings with the text they point at.
pub(in crate::scenario::import) fn findings(import: &Import) -> Vec<String> {
    let found = import.report.iter().map(|finding| {
        let place = finding.place.expect("each finding has a place");
        let text = import.sources.text(place.file);
        let marked = &text[place.start as usize..place.end as usize];
        format!("{} {}", finding.code, marked.lines().next().unwrap_or_default())
    });
    found.collect()
}

/// What was skipped, with its number.
pub(in crate::scenario::import) fn skipped(import: &Import) -> Vec<String> {
    import.skipped.iter().map(|(what, skipped)| format!("{} {what}", skipped.count)).collect()
}

fn format_of(text: &str) -> Option<Format> {
    let mut import = Import::default();
    let file = import.sources.add("t", text);
    documents(&mut import, file).first().and_then(recognise)
}

fn kinds(text: &str) -> Vec<Kind> {
    import_of(&[text]).resources.iter().map(|resource| resource.kind).collect()
}

const LINK: &str = "https://www.googleapis.com/compute/v1/projects/acme";

#[test]
fn a_scenario_as_people_write_it_stays_one() {
    for text in [
        "networks: [{name: vpc}]\nservices: [{name: api}]",
        "services: [{name: api, template: {vpcAccess: {connector: c}}}]",
        "connectors: [{name: c, network: vpc, ipCidrRange: 10.8.0.0/28}]",
        "services: [{name: projects/p/locations/us-central1/services/api, template: {}}]\nhosts: [{name: h, address: 192.0.2.1}]",
        "firewalls: [{name: r, network: vpc, allowed: [{IPProtocol: tcp}]}]",
        "firewalls: []\nfirewallPolicies: []",
        "name: projects/p/secrets/s\nnetworks: [{name: vpc}]",
        "name: x\nseed: 1",
        "{}",
        "just: text",
        "- a\n- b",
        "apiVersion: compute.cnrm.cloud.google.com/v1beta1\nkind: ComputeRouter\nmetadata: {name: r}",
    ] {
        assert_eq!(format_of(text), None, "{text}");
    }
}

#[test]
fn an_answer_is_known_by_its_shape() {
    let cases: &[(&str, &[Kind])] = &[
        ("{kind: 'compute#network', name: vpc}", &[Kind::Network]),
        ("[{kind: 'compute#subnetwork', name: a}, {kind: 'compute#zone', name: z}]", &[Kind::Subnetwork]),
        ("{kind: 'compute#routerList', items: [{name: r, nats: []}], id: x}", &[Kind::Router]),
        ("{kind: 'compute#addressList', id: x, selfLink: y}", &[]),
        (
            "[[{kind: 'compute#address', name: a}], [{kind: 'compute#address', name: b}]]",
            &[Kind::Address, Kind::Address],
        ),
        ("{name: projects/p/locations/r/services/api, template: {}}", &[Kind::Service]),
        ("{name: projects/p/locations/r/jobs/j, template: {template: {}}}", &[Kind::Job]),
        ("{name: projects/p/locations/r/workerPools/w, template: {}}", &[Kind::WorkerPool]),
        ("name: projects/p/locations/r/connectors/c\nsubnet: {name: s}\n", &[Kind::Connector]),
        ("{name: projects/p/locations/r/functions/f, serviceConfig: {}}", &[Kind::Function]),
        ("{name: projects/p/locations/global/policyBasedRoutes/b, network: vpc}", &[Kind::PolicyBasedRoute]),
        ("{services: [{name: projects/p/locations/r/services/api, template: {}}]}", &[Kind::Service]),
        ("{connectors: [], nextPageToken: ''}", &[]),
        ("{services: [{name: projects/1/services/compute.googleapis.com, state: ENABLED}]}", &[]),
        (
            "[{constraint: constraints/run.allowedVPCEgress, listPolicy: {allowedValues: [all-traffic]}}]",
            &[Kind::OrgPolicy],
        ),
        ("{policies: [{name: projects/1/policies/run.allowedVPCEgress, spec: {rules: []}}]}", &[Kind::OrgPolicy]),
        (
            "- name: fw\n  allowed: [{IPProtocol: tcp}]\n- name: r\n  destRange: 10.0.0.0/8\n  nextHopIp: 10.1.0.1\n",
            &[Kind::Firewall, Kind::Route],
        ),
        ("[{name: vm, zone: a-b-c, networkInterfaces: []}]", &[Kind::Instance]),
        (
            "[{name: s, ipCidrRange: 10.0.0.0/24, region: r}, {name: c, ipCidrRange: 10.8.0.0/28, machineType: e2-micro}]",
            &[Kind::Subnetwork, Kind::Connector],
        ),
        (
            "[{name: t, ikeVersion: 2, sharedSecret: x}, {name: p, shortName: s, rules: []}]",
            &[Kind::VpnTunnel, Kind::FirewallPolicy],
        ),
        ("[]", &[]),
    ];
    for (text, expected) in cases {
        assert_eq!(format_of(text), Some(Format::Rest), "{text}");
        assert_eq!(kinds(text), *expected, "{text}");
    }
}

#[test]
fn services_and_jobs_of_other_apis_are_not_cloud_run_s() {
    let import = import_of(&["\
- {name: projects/p/locations/r/services/hive, hiveMetastoreConfig: {}}
- {name: projects/p/locations/r/jobs/nightly, schedule: '0 3 * * *', httpTarget: {uri: 'https://example.com'}}
- {name: projects/12, projectId: p}
- {kind: 'sql#instance', name: db}
- {name: projects/p/locations/r/services/api, template: {}}
"]);
    assert_eq!(import.resources.len(), 1);
    assert_eq!(skipped(&import), ["1 jobs", "1 projects", "1 services", "1 sql#instance"]);
}

#[test]
fn an_aggregated_list_says_where_things_are() {
    let import = import_of(&["{kind: 'compute#addressAggregatedList', items: {
        global: {warning: {code: NO_RESULTS_ON_PAGE, message: nothing}},
        regions/us-central1: {addresses: [{kind: 'compute#address', name: a, address: 192.0.2.1}]},
        regions/us-east1: {warning: {code: UNREACHABLE, message: no answer}},
        zones/us-central1-a: {instances: [{kind: 'compute#instance', name: vm, networkInterfaces: []}]}}}"]);
    assert_eq!(
        resources(&import),
        [
            "addresses {name: a, address: 192.0.2.1, region: us-central1}",
            "instances {name: vm, networkInterfaces: [], zone: us-central1-a}"
        ]
    );
    assert_eq!(findings(&import), ["incomplete-list UNREACHABLE"]);
}

#[test]
fn a_list_that_is_not_all_is_told() {
    let import = import_of(&[
        "{services: [{name: projects/p/locations/r/services/a, template: {}}], nextPageToken: abc}",
        "{connectors: [], unreachable: [locations/us-west1]}",
    ]);
    assert_eq!(findings(&import), ["more-pages ***", "incomplete-list locations/us-west1"]);
}

#[test]
fn region_and_project_may_stand_in_the_link_only() {
    let text = format!("[{{kind: 'compute#router', name: r, selfLink: {LINK}/regions/us-east1/routers/r}}]");
    let import = import_of(&[&text]);
    assert_eq!(import.resources[0].project.as_deref(), Some("acme"));
    assert_eq!(import.resources[0].node.get("region").map(show).as_deref(), Some("us-east1"));
}

#[test]
fn secrets_are_in_no_resource() {
    let import = import_of(&[r#"[
      {"kind": "compute#instance", "name": "vm", "zone": "z", "networkInterfaces": [], "metadata": {"items": [{"key": "startup-script", "value": "hunter2"}]}},
      {"kind": "compute#vpnTunnel", "name": "t", "sharedSecret": "hunter2", "sharedSecretHash": "hunter2"},
      {"kind": "compute#router", "name": "r", "md5AuthenticationKeys": [{"name": "k", "key": "hunter2"}]},
      {"kind": "compute#interconnectAttachment", "name": "i", "pairingKey": "hunter2"},
      {"name": "projects/p/locations/r/services/s", "annotations": {"a": "hunter2"}, "template": {"annotations": {"a": "hunter2"},
        "containers": [{"args": ["hunter2"], "env": [{"name": "E", "value": "hunter2"}], "resources": {"limits": {"cpu": "1"}}}]}},
      {"name": "projects/p/locations/r/jobs/j", "template": {"template": {"containers": [{"command": ["hunter2"]}], "volumes": ["hunter2"]}}},
      {"name": "projects/p/locations/r/functions/f", "buildConfig": {"environmentVariables": {"A": "hunter2"}},
        "serviceConfig": {"environmentVariables": {"A": "hunter2"}, "secretEnvironmentVariables": [{"secret": "hunter2"}]}},
      {"name": "projects/p/locations/r/functions/g", "entryPoint": "hunter2", "environmentVariables": {"A": "hunter2"}}]"#]);
    assert_eq!(import.resources.len(), 8);
    for text in resources(&import) {
        assert!(!text.contains("hunter2"), "{text}");
    }
    let text = import.sources.text(import.read[0].0);
    for key in [
        "\"value\": \"h",
        "sharedSecret\": \"h",
        "\"key\": \"h",
        "pairingKey\": \"h",
        "args\": [\"h",
        "command\": [\"h",
        "\"A\": \"h",
    ] {
        assert!(!text.contains(key), "{key}");
    }
}

#[test]
fn instances_of_a_connector_win_over_its_throughput() {
    let import = import_of(&["
name: projects/p/locations/r/connectors/c
network: vpc
ipCidrRange: 10.8.0.0/28
minInstances: 3
maxInstances: 4
minThroughput: 200
maxThroughput: 300
subnet: {}
state: 1
connectedProjects: [p]
"]);
    assert_eq!(
        resources(&import),
        ["connectors {name: projects/p/locations/r/connectors/c, network: vpc, ipCidrRange: 10.8.0.0/28, \
          minInstances: 3, maxInstances: 4, state: READY}"]
    );
    let import = import_of(&["{name: projects/p/locations/r/connectors/c, subnet: {name: s}, maxThroughput: 400}"]);
    assert!(resources(&import)[0].contains("maxThroughput: 400"));
}

#[test]
fn numbers_of_enum_values_become_names() {
    let import = import_of(&["
- name: projects/p/locations/r/jobs/j
  launchStage: 4
  terminalCondition: {type: Ready, state: 4, lastTransitionTime: x}
  template: {template: {vpcAccess: {connector: c, egress: 2}}}
- name: projects/p/locations/r/services/s
  ingress: 3
  scaling: {scalingMode: 2, manualInstanceCount: 3}
  traffic: [{type: 1, percent: 100}]
  template: {vpcAccess: {}}
- name: projects/p/locations/r/functions/f
  state: 2
  environment: 1
  serviceConfig: {vpcConnector: c, vpcConnectorEgressSettings: 2}
- name: projects/p/locations/global/policyBasedRoutes/b
  filter: {protocolVersion: 1}
  nextHopOtherRoutes: 1
"]);
    let shown = resources(&import);
    assert_eq!(
        shown,
        [
            "jobs {name: projects/p/locations/r/jobs/j, terminalCondition: {type: Ready, state: CONDITION_SUCCEEDED}, \
             template: {template: {vpcAccess: {connector: c, egress: PRIVATE_RANGES_ONLY}}}}",
            "services {name: projects/p/locations/r/services/s, ingress: INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER, \
             scaling: {scalingMode: MANUAL, manualInstanceCount: 3}, \
             traffic: [{type: TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST, percent: 100}], template: {}}",
            "functions {name: projects/p/locations/r/functions/f, state: FAILED, environment: GEN_1, \
             serviceConfig: {vpcConnector: c, vpcConnectorEgressSettings: ALL_TRAFFIC}}",
            "policyBasedRoutes {name: projects/p/locations/global/policyBasedRoutes/b, filter: {protocolVersion: IPV4}, \
             nextHopOtherRoutes: DEFAULT_ROUTING}",
        ]
    );
}

#[test]
fn a_function_of_the_first_generation_takes_the_shape_of_the_second() {
    let import = import_of(&["
name: projects/p/locations/r/functions/f
httpsTrigger: {url: 'https://r-p.cloudfunctions.net/f'}
entryPoint: main
runtime: nodejs20
status: OFFLINE
availableMemoryMb: 256
maxInstances: 20
serviceAccountEmail: f@p.iam.gserviceaccount.com
vpcConnector: projects/p/locations/r/connectors/c
vpcConnectorEgressSettings: ALL_TRAFFIC
"]);
    assert_eq!(
        resources(&import),
        ["functions {name: projects/p/locations/r/functions/f, environment: GEN_1, state: FAILED, \
          serviceConfig: {vpcConnector: projects/p/locations/r/connectors/c, vpcConnectorEgressSettings: ALL_TRAFFIC, \
          maxInstanceCount: 20, serviceAccountEmail: f@p.iam.gserviceaccount.com}}"]
    );
    let import = import_of(&["{name: projects/p/locations/r/functions/f, runtime: go121, network: vpc}"]);
    assert_eq!(findings(&import), ["not-simulated vpc"]);
}

#[test]
fn the_service_that_a_function_runs_as_is_no_second_workload() {
    let import = import_of(&[
        "[{name: projects/p/locations/r/services/f, template: {}}, {name: projects/p/locations/q/services/f, template: {}}]",
        "{name: projects/p/locations/r/functions/f, serviceConfig: {service: projects/p/locations/r/services/f}}",
    ]);
    assert_eq!(
        resources(&import),
        [
            "services {name: projects/p/locations/q/services/f, template: {}}",
            "functions {name: projects/p/locations/r/functions/f, serviceConfig: {}}",
        ]
    );
    assert_eq!(skipped(&import), ["1 services that functions run as"]);
}

fn subnet_route(name: &str, range: &str) -> String {
    format!(
        "{{kind: 'compute#route', name: {name}, network: {LINK}/global/networks/vpc, destRange: {range}, nextHopNetwork: vpc, priority: 0}}"
    )
}

fn default_route(priority: u32, tags: &str) -> String {
    format!(
        "{{kind: 'compute#route', name: d{priority}, network: {LINK}/global/networks/vpc, destRange: 0.0.0.0/0, \
         nextHopGateway: {LINK}/global/gateways/default-internet-gateway, priority: {priority}, tags: {tags}}}"
    )
}

#[test]
fn a_whole_list_of_routes_without_a_default_route_tells_that_it_was_deleted() {
    let subnet = "{kind: 'compute#subnetwork', name: a, network: vpc, region: r, ipCidrRange: 10.0.0.0/24}";
    let deleted = |texts: &[&str]| {
        let import = import_of(texts);
        let network = import.resources.iter().find(|it| it.kind == Kind::Network);
        let told = findings(&import).iter().any(|finding| finding.starts_with("default-route-deleted"));
        assert_eq!(network.is_some(), told);
        assert!(resources(&import).iter().all(|resource| !resource.contains("nextHopNetwork")));
        network.is_some_and(|network| {
            assert_eq!(network.project.as_deref(), Some("acme"));
            network.node.get("deleteDefaultRoutesOnCreate").and_then(Node::text) == Some("true")
        })
    };
    let (route, other) = (subnet_route("a", "10.0.0.0/24"), subnet_route("b", "10.1.0.0/24"));
    assert!(deleted(&[subnet, &format!("[{route}]")]));
    assert!(deleted(&[subnet, &format!("{{kind: 'compute#routeList', items: [{route}]}}")]));
    // gcloud's YAML has a document for each.
    assert!(deleted(&[subnet, &format!("{route}\n---\n{other}\n")]));
    // One with a tag is another one; Google's own has none.
    assert!(deleted(&[&format!("[{route}, {}]", default_route(1000, "[nat]"))]));
    assert!(deleted(&[&format!("[{route}, {}]", default_route(900, "[]"))]));

    assert!(!deleted(&[&format!("[{route}, {}]", default_route(1000, "[]"))]));
    assert!(!deleted(&[&format!("[{route}]"), &default_route(1000, "[]")]));
    // A single description, a page of a longer list, a list of custom routes: none of them is all.
    assert!(!deleted(&[&route]));
    assert!(!deleted(&[&format!("{{kind: 'compute#routeList', items: [{route}], nextPageToken: x}}")]));
    assert!(!deleted(&[&format!("[{}]", default_route(1000, "[nat]"))]));
}

#[test]
fn subnet_routes_go_and_those_without_a_subnet_are_told() {
    let list = format!(
        "[{}, {}, {}, {}]",
        subnet_route("a", "10.0.0.0/24"),
        subnet_route("b", "10.1.0.0/24"),
        subnet_route("c", "10.2.0.0/24"),
        default_route(1000, "[]")
    );
    let subnet = "{kind: 'compute#subnetwork', name: a, network: vpc, region: r, ipCidrRange: 10.0.0.0/24, \
                  secondaryIpRanges: [{rangeName: pods, ipCidrRange: 10.1.0.0/24}]}";
    let import = import_of(&[&list, subnet]);
    assert_eq!(import.resources.iter().filter(|it| it.kind == Kind::Route).count(), 1);
    assert_eq!(findings(&import), ["subnets-not-described 10.2.0.0/24"]);
    assert!(import.report[0].message.contains("10.2.0.0/24"), "{}", import.report[0].message);
}

#[test]
fn a_scenario_that_includes_a_list_of_routes_keeps_its_networks_and_subnets() {
    let list = format!("[{}]", subnet_route("a", "10.0.0.0/24"));
    let subnets = "subnetworks: [{name: a, network: vpc, ipCidrRange: 10.0.0.0/24}]";
    let own = format!("networks: [{{name: vpc}}]\n{subnets}");
    let import = import_into(Some(&own), &[&list]);
    assert!(import.resources.is_empty());
    let codes: Vec<&str> = import.report.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["default-route-deleted"]);
    assert_eq!(import.report[0].severity, Severity::Warning);
    let own = format!("networks: [{{name: vpc, deleteDefaultRoutesOnCreate: true}}]\n{subnets}");
    let import = import_into(Some(&own), &[&list]);
    assert!(import.resources.is_empty() && import.report.is_empty());
}

#[test]
fn routes_of_peers_keep_their_peering_and_inactive_ones_go() {
    let import = import_of(&["
- {kind: 'compute#route', name: p, network: vpc, destRange: 10.9.0.0/24, nextHopPeering: peer, nextHopNetwork: vpc, priority: 0}
- {kind: 'compute#route', name: i, network: vpc, destRange: 10.7.0.0/24, nextHopIp: 10.0.0.9, routeStatus: INACTIVE}
- {kind: 'compute#route', name: a, network: vpc, destRange: 10.6.0.0/24, nextHopIp: 10.0.0.9, routeStatus: ACTIVE}
"]);
    assert_eq!(
        resources(&import),
        [
            "routes {name: p, network: vpc, destRange: 10.9.0.0/24, nextHopPeering: peer, priority: 0}",
            "routes {name: a, network: vpc, destRange: 10.6.0.0/24, nextHopIp: 10.0.0.9}",
        ]
    );
    assert_eq!(findings(&import), ["route-not-active INACTIVE"]);
}

#[test]
fn what_does_not_say_whose_it_is_is_left_out_once_told() {
    let import = import_of(&[
        "[{destRange: 10.9.0.0/24, type: SUBNET_PEERING_ROUTE, imported: true}, {destRange: 10.8.0.0/24, type: STATIC_PEERING_ROUTE}]",
        "{name: nat, natIpAllocateOption: AUTO_ONLY, sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES}",
        "[{type: network-firewall, action: ALLOW, direction: INGRESS, priority: 1, ip_ranges: 10.0.0.0/8}]",
    ]);
    assert!(import.resources.is_empty());
    let codes: Vec<&str> = import.report.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["peering-routes", "gateway-without-router", "flat-effective-firewalls"]);
}

#[test]
fn a_connector_uses_the_subnet_that_google_made_for_it() {
    let connector = "{name: projects/p/locations/us-central1/connectors/conn, network: vpc, ipCidrRange: 10.8.0.0/28}";
    let subnet = format!(
        "{{kind: 'compute#subnetwork', name: aet-uscentral1-conn-x, network: {LINK}/global/networks/vpc, region: us-central1, ipCidrRange: 10.8.0.0/28}}"
    );
    let import = import_of(&[connector, &subnet]);
    assert_eq!(
        resources(&import)[0],
        "connectors {name: projects/p/locations/us-central1/connectors/conn, subnet: {name: aet-uscentral1-conn-x}}"
    );
    let other = subnet.replace("10.8.0.0/28", "10.8.0.16/28");
    assert!(resources(&import_of(&[connector, &other]))[0].contains("ipCidrRange: 10.8.0.0/28"));
}

#[test]
fn effective_firewalls_are_of_the_network_that_their_rules_name() {
    let effective = |network: &str| {
        format!(
            r#"{{"firewalls": [{{"kind": "compute#firewall", "name": "r-{network}", "network": "{LINK}/global/networks/{network}",
              "selfLink": "{LINK}/global/firewalls/r-{network}"}}],
            "firewallPolicys": [
              {{"name": "1", "type": "HIERARCHY", "shortName": "top", "rules": []}},
              {{"name": "net", "type": "NETWORK", "rules": [{{"priority": 2000, "action": "deny"}}, {{"priority": 10, "action": "allow"}}]}}]}}"#
        )
    };
    let import = import_of(&[&effective("vpc"), &effective("other")]);
    let policies: Vec<&str> = import
        .resources
        .iter()
        .filter(|it| it.kind == Kind::FirewallPolicy)
        .map(|it| it.project.as_deref().unwrap_or("none"))
        .collect();
    assert_eq!(policies, ["none", "acme", "none", "acme"]);
    let shown = resources(&import);
    assert_eq!(shown[1], "firewallPolicies {name: 1, type: HIERARCHY, shortName: top, rules: []}");
    let target = |network: &str| format!("{{name: {network}, attachmentTarget: {LINK}/global/networks/{network}}}");
    assert_eq!(
        shown[2],
        format!(
            "firewallPolicies {{name: net, type: NETWORK, rules: [{{priority: 10, action: allow}}, \
             {{priority: 2000, action: deny}}], associations: [{}, {}]}}",
            target("vpc"),
            target("other")
        )
    );
    // Without any rule of the network, its name is nowhere.
    let import = import_of(&[r#"{"firewallPolicys": [{"name": "net", "type": "NETWORK", "rules": []}]}"#]);
    assert_eq!(resources(&import), ["firewallPolicies {name: net, type: NETWORK, rules: []}"]);
}

#[test]
fn a_policy_that_is_only_listed_is_told() {
    let listed = "[{kind: 'compute#firewallPolicy', name: '1', shortName: top, ruleTupleCount: 4}]";
    assert_eq!(findings(&import_of(&[listed])), ["policy-without-rules '1'"]);
    let described = "{kind: 'compute#firewallPolicy', name: '1', shortName: top, rules: []}";
    assert!(findings(&import_of(&[listed, described])).is_empty());
}

#[test]
fn what_changes_nothing_is_skipped() {
    let import = import_of(&["
- {kind: 'compute#address', name: s, addressType: INTERNAL, purpose: SERVERLESS, address: 10.0.0.16, prefixLength: 28}
- {kind: 'compute#forwardingRule', name: web, loadBalancingScheme: EXTERNAL_MANAGED, IPAddress: 192.0.2.1}
- {kind: 'compute#forwardingRule', name: ilb, loadBalancingScheme: INTERNAL, IPAddress: 10.0.0.5}
- {name: projects/1/policies/compute.requireOsLogin, spec: {rules: [{enforce: true}]}}
- {kind: 'compute#instance', name: vm, zone: a, status: TERMINATED, networkInterfaces: []}
"]);
    assert_eq!(
        resources(&import),
        [
            "forwardingRules {name: ilb, loadBalancingScheme: INTERNAL, IPAddress: 10.0.0.5}",
            "instances {name: vm, zone: a, status: TERMINATED, networkInterfaces: []}",
        ]
    );
    assert_eq!(
        skipped(&import),
        [
            "1 addresses held by Direct VPC egress (SERVERLESS)",
            "1 forwarding rules (EXTERNAL_MANAGED)",
            "1 organization policies of other constraints"
        ]
    );
}

#[test]
fn usable_subnets_of_a_shared_vpc_are_subnets() {
    let text = format!(
        "[{{subnetwork: {LINK}/regions/us-east1/subnetworks/apps, network: {LINK}/global/networks/vpc, ipCidrRange: 10.0.0.0/24}}]"
    );
    let import = import_of(&[&text]);
    assert_eq!(
        resources(&import),
        [format!(
            "subnetworks {{network: {LINK}/global/networks/vpc, ipCidrRange: 10.0.0.0/24, region: us-east1, \
             name: {LINK}/regions/us-east1/subnetworks/apps}}"
        )]
    );
    assert_eq!(import.report[0].code, "assumed-no-private-access");
}

#[test]
fn nonsense_does_no_harm() {
    let deep = format!("{}{}", "[".repeat(60), "]".repeat(60));
    for text in [
        "{kind: 'compute#', name: [x]}",
        "{kind: 'compute#router', name: {a: b}, nats: 3, selfLink: [1]}",
        "{kind: 'compute#route', network: [x], destRange: {}, nextHopNetwork: [], routeStatus: {}}",
        "{kind: 'compute#routerList', items: 3, warning: [], nextPageToken: [x], unreachable: 7}",
        "{kind: 'compute#addressAggregatedList', items: {regions/r: 3, zones/z: {a: b, c: [1, {}]}}}",
        "{firewalls: 3, firewallPolicys: [1, [], {type: NETWORK}]}",
        "{name: projects/p/locations/r/services/s, template: [x]}",
        "{name: projects/p/locations/r/jobs/j, template: {template: {containers: {a: b}, vpcAccess: [1]}}}",
        "{name: projects/p/locations/r/functions/f, serviceConfig: 3}",
        "{name: projects/p/locations/r/functions/f, status: [x], maxInstances: {}}",
        "{kind: 'compute#firewallPolicy', name: [1], rules: [3], associations: 5}",
        "[{kind: 'compute#firewallPolicy', name: a, rules: 3, associations: {}}, {kind: 'compute#firewallPolicy', name: a, associations: [3]}]",
        "[3, {kind: 'compute#network'}]",
        &format!("[{{kind: 'compute#zone'}}, {deep}]"),
    ] {
        import_of(&[text]);
    }
}

#[test]
fn every_value_keeps_its_place() {
    let text = "[{kind: 'compute#subnetwork', name: apps, network: vpc, region: r, ipCidrRange: 10.0.0.0/24}]";
    let import = import_of(&[text]);
    for (key, value) in [("name", "apps"), ("ipCidrRange", "10.0.0.0/24"), ("network", "vpc")] {
        let place = import.resources[0].node.get(key).expect("it is kept").place;
        assert_eq!(&text[place.start as usize..place.end as usize], value);
    }
}
