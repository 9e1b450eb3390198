use super::*;
use crate::scenario::diagnostic::FileId;
use crate::scenario::load::{Loaded, Source, load};
use crate::scenario::tree;

/// What an import of one text gives.
pub(in crate::scenario::import::terraform) fn import(text: &str) -> Import {
    let mut import = Import::default();
    let file = import.sources.add("plan.json", text);
    let mut report = Vec::new();
    let node = tree::parse(text, file, &mut report).expect("valid").expect("not empty");
    let format = claims(&node).expect("one of Terraform's formats");
    import.document(format, file, None, node);
    import
}

/// A tree on one line.
pub(in crate::scenario::import::terraform) fn show(node: &Node) -> String {
    match &node.value {
        Value::Scalar(scalar) => scalar.text.to_string(),
        Value::Sequence(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Value::Mapping(entries) => {
            let shown = entries.iter().map(|entry| format!("{}: {}", entry.key.name, show(&entry.value)));
            format!("{{{}}}", shown.collect::<Vec<_>>().join(", "))
        }
    }
}

/// The resources of an import, one a line.
pub(in crate::scenario::import::terraform) fn resources_of(import: &Import) -> Vec<String> {
    import.resources.iter().map(|resource| format!("{} {}", resource.kind.key(), show(&resource.node))).collect()
}

pub(in crate::scenario::import::terraform) fn findings(import: &Import) -> Vec<String> {
    import.report.iter().map(|finding| format!("{}: {}", finding.code, finding.message)).collect()
}

fn loaded(text: &str) -> Loaded {
    load(Source::Text { name: "plan.json", text })
}

const PLAN: &str = include_str!("tests/plan.json");
const RAW: &str = include_str!("tests/raw.json");

#[test]
fn a_reference_to_what_is_not_made_yet_becomes_its_name() {
    let import = import(PLAN);
    let resources = resources_of(&import);
    let expected = [
        "networks {name: vpc-prod, autoCreateSubnetworks: false}",
        "subnetworks {name: run-east, region: us-east1, network: projects/acme-net/global/networks/vpc-prod, \
         ipCidrRange: 10.1.0.0/26}",
        "subnetworks {name: run-west, region: us-east1, network: projects/acme-net/global/networks/vpc-prod, \
         ipCidrRange: 10.2.0.0/26}",
        "routers {name: east-router, region: us-east1, network: projects/acme-net/global/networks/vpc-prod}",
    ];
    for line in expected {
        assert!(resources.iter().any(|resource| resource == line), "{line}\n{resources:#?}\n{:#?}", findings(&import));
    }
    let nat = resources.iter().find(|line| line.contains("nats")).expect("a gateway");
    assert!(
        nat.starts_with(
            "routers {name: east-router, region: us-east1, nats: [{name: nat, natIps: \
         [projects/acme-net/regions/us-east1/addresses/nat-0, projects/acme-net/regions/us-east1/addresses/nat-1], "
        ),
        "{nat}"
    );
    // A set of blocks is planned in another order than it was written.
    assert!(
        nat.contains(
            "subnetworks: [{name: projects/acme-net/regions/us-east1/subnetworks/run-west, \
             sourceIpRangesToNat: [PRIMARY_IP_RANGE]}, \
             {name: projects/acme-net/regions/us-east1/subnetworks/run-east, sourceIpRangesToNat: [ALL_IP_RANGES]}]"
        ),
        "{nat}"
    );
    // 0 and what the configuration does not set are Google's defaults.
    assert!(!nat.contains("minPortsPerVm") && nat.contains("tcpTimeWaitTimeoutSec: 120"), "{nat}");
}

#[test]
fn references_lead_through_variables_and_outputs_of_modules() {
    let import = import(PLAN);
    let resources = resources_of(&import);
    let service = resources.iter().find(|line| line.starts_with("services")).expect("a service");
    // var.subnets of the module ← module.network's output ← each instance of a resource: by the same key.
    assert!(
        service.contains(
            "vpcAccess: {egress: ALL_TRAFFIC, networkInterfaces: [{network: \
             projects/acme-net/global/networks/vpc-prod, subnetwork: \
             projects/acme-net/regions/us-east1/subnetworks/run-east, tags: [web]}]}"
        ),
        "{service}\n{:#?}",
        findings(&import)
    );
    assert!(service.contains("serviceAccount: api@acme-net.iam.gserviceaccount.com"), "{service}");
    assert!(service.contains("region: us-east1"), "{service}");
}

#[test]
fn what_stays_unknown_is_told_and_what_does_not_matter_is_not() {
    let import = import(PLAN);
    let findings = findings(&import);
    let about = |word: &str| findings.iter().filter(|finding| finding.contains(word)).collect::<Vec<_>>();
    // Its name has a random part.
    assert_eq!(about("google_compute_address.odd").len(), 1, "{findings:#?}");
    assert!(about("odd")[0].starts_with("assumed-name: the name of google_compute_address.odd is not known"));
    // A local value is not shown; there is one network.
    assert_eq!(
        about("google_compute_firewall.web"),
        ["assumed-reference: `network` of google_compute_firewall.web is not known (local.network is not shown in a \
          plan): assumed to be module.network.google_compute_network.vpc, the only one of its kind here"]
    );
    // Neither ids nor what Google computes.
    assert!(!findings.iter().any(|finding| finding.contains("self_link") || finding.contains("gateway_address")));
    assert_eq!(findings.len(), 2, "{findings:#?}");
    assert_eq!(
        import.skipped.keys().collect::<Vec<_>>(),
        ["google_project_service", "google_service_account", "random_id"]
    );
}

#[test]
fn a_plan_is_a_scenario() {
    let loaded = loaded(PLAN);
    let text = loaded.diagnostics.render(&loaded.sources, false);
    assert!(loaded.scenario.is_some(), "{text}");
    assert_eq!(loaded.file.routers.len(), 1, "{text}");
    assert_eq!(loaded.file.routers[0].nats.as_ref().map(Vec::len), Some(1), "{text}");
}

#[test]
fn what_may_be_secret_is_in_no_finding_and_no_resource() {
    for text in [PLAN, RAW] {
        assert!(text.contains("hunter2"), "the fixture has a secret");
        let import = import(text);
        let file = import.read[0].0;
        assert!(!import.sources.text(file).contains("hunter2"), "{}", import.sources.text(file));
        assert!(!format!("{:?}", import.resources).contains("hunter2"));
        assert!(!format!("{:?}", import.report).contains("hunter2"));
        assert_eq!(import.sources.text(file).len(), text.len());
    }
}

#[test]
fn a_state_has_everything_and_needs_no_configuration() {
    let text = r#"{"format_version": "1.0", "terraform_version": "1.9.0", "values": {"outputs": {"t": {"value": "hunter2"}},
        "root_module": {"resources": [
        {"address": "data.google_compute_network.vpc", "mode": "data", "type": "google_compute_network", "name": "vpc",
         "values": {"name": "vpc", "project": "acme", "mtu": 0}, "sensitive_values": {}},
        {"address": "google_compute_route.all", "mode": "managed", "type": "google_compute_route", "name": "all",
         "values": {"name": "all", "network": "https://www.googleapis.com/compute/v1/projects/acme/global/networks/vpc",
         "dest_range": "0.0.0.0/0", "priority": 0, "tags": [], "next_hop_gateway": "", "next_hop_instance": "fw",
         "next_hop_instance_zone": "us-east1-b", "next_hop_ip": "10.0.0.9"}, "sensitive_values": {"tags": []}}],
        "child_modules": [{"address": "module.m", "resources": [
        {"address": "module.m.google_compute_subnetwork.s", "mode": "managed", "type": "google_compute_subnetwork", "name": "s",
         "values": {"name": "s", "network": "projects/acme/global/networks/vpc", "region": "us-east1", "ip_cidr_range":
         "10.9.8.0/24", "secondary_ip_range": [], "stack_type": "IPV4_ONLY", "purpose": ""},
         "sensitive_values": {"ip_cidr_range": true, "secondary_ip_range": []}}]}]}}}"#;
    let import = import(text);
    assert_eq!(
        resources_of(&import),
        [
            "networks {name: vpc}",
            "routes {name: all, network: https://www.googleapis.com/compute/v1/projects/acme/global/networks/vpc, \
             destRange: 0.0.0.0/0, priority: 0, nextHopInstance: zones/us-east1-b/instances/fw}",
            "subnetworks {name: s, region: us-east1, network: projects/acme/global/networks/vpc, stackType: IPV4_ONLY}",
        ]
    );
    assert_eq!(
        findings(&import),
        [
            "not-known: `ip_cidr_range` of module.m.google_compute_subnetwork.s is not known (it is marked as sensitive): \
          it is left out"
        ]
    );
    let text = import.sources.text(import.read[0].0);
    assert!(!text.contains("hunter2") && !text.contains("10.9.8.0"), "{text}");
}

#[test]
fn a_raw_state_has_an_instance_for_each_key() {
    let import = import(RAW);
    let resources = resources_of(&import);
    assert_eq!(
        resources,
        [
            "subnetworks {name: apps-a, region: europe-west1, network: vpc, ipCidrRange: 10.3.0.0/26}",
            "subnetworks {name: apps-b, region: europe-west1, network: vpc, ipCidrRange: 10.3.1.0/26}",
            "vpnTunnels {name: t, region: europe-west1, router: r}",
        ],
        "{:#?}",
        findings(&import)
    );
    assert_eq!(import.skipped.keys().collect::<Vec<_>>(), ["google_sql_user"]);
    assert!(findings(&import).is_empty(), "{:?}", findings(&import));
}

#[test]
fn formats_are_told_by_what_they_hold() {
    let of = |text: &str| {
        let node = tree::parse(text, FileId::from_index(0), &mut Vec::new()).expect("valid").expect("not empty");
        claims(&node)
    };
    assert_eq!(of(r#"{"format_version": "0.1", "planned_values": {}}"#), Some(Format::Plan));
    assert_eq!(of(r#"{"format_version": "1.0"}"#), Some(Format::State));
    assert_eq!(of(r#"{"version": 4, "terraform_version": "1.5.0", "resources": []}"#), Some(Format::RawState));
    assert_eq!(of(r#"{"version": 3, "terraform_version": "0.11.1", "modules": []}"#), Some(Format::RawState));
    for other in ["{}", "[]", "version: 4", "networks: []", "resources: []", "{format_version: 1, networks: []}"] {
        assert_eq!(of(other), None, "{other}");
    }
    let import = import(r#"{"version": 3, "terraform_version": "0.11.1", "modules": [{"x": "hunter2"}]}"#);
    assert_eq!(import.report.len(), 1);
    assert!(!import.sources.text(import.read[0].0).contains("hunter2"));
}

#[test]
fn a_plan_without_planned_values_is_read_from_its_changes() {
    let text = r#"{"format_version": "1.2", "resource_changes": [
        {"address": "google_compute_network.a", "mode": "managed", "type": "google_compute_network", "name": "a",
         "change": {"actions": ["create"], "after": {"name": "a", "auto_create_subnetworks": true}, "after_unknown": {"id": true}}},
        {"address": "google_compute_network.b", "mode": "managed", "type": "google_compute_network", "name": "b",
         "change": {"actions": ["delete"], "after": null, "after_unknown": {}}}]}"#;
    assert_eq!(resources_of(&import(text)), ["networks {name: a, autoCreateSubnetworks: true}"]);
}

#[test]
fn an_interface_in_an_annotation_is_what_its_expression_refers_to() {
    let text = r#"{"format_version": "1.2", "planned_values": {"root_module": {"resources": [
        {"address": "google_compute_subnetwork.s", "mode": "managed", "type": "google_compute_subnetwork", "name": "s",
         "values": {"name": "run", "region": "us-east1", "network": "n", "ip_cidr_range": "10.0.0.0/26"}},
        {"address": "google_cloud_run_service.a", "mode": "managed", "type": "google_cloud_run_service", "name": "a",
         "values": {"name": "a", "location": "us-east1", "template": [{"metadata": [{"annotations":
         {"run.googleapis.com/vpc-access-egress": "all-traffic"}}]}]}}]}},
        "resource_changes": [{"address": "google_cloud_run_service.a", "change": {"after_unknown": {"template": [{"metadata":
         [{"annotations": {"run.googleapis.com/network-interfaces": true}}]}]}}}],
        "configuration": {"root_module": {"resources": [{"mode": "managed", "type": "google_cloud_run_service", "name": "a",
         "expressions": {"template": [{"metadata": [{"annotations": {"references": ["google_compute_subnetwork.s.id",
         "google_compute_subnetwork.s"]}}]}]}}]}}}"#;
    let import = import(text);
    assert_eq!(
        resources_of(&import)[1],
        "services {name: a, region: us-east1, template: {vpcAccess: {networkInterfaces: [{subnetwork: \
         regions/us-east1/subnetworks/run}], egress: ALL_TRAFFIC}}}"
    );
    assert_eq!(findings(&import).len(), 1);
}

#[test]
fn the_plans_of_others_are_read() {
    let Some(data) = std::env::var_os("EGRESSIM_DATA") else {
        eprintln!("skipped: EGRESSIM_DATA is not set");
        return;
    };
    let folder = std::path::Path::new(&data).join("config/terraform-plan");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a file of the data");
    let firewall = import(&read("example_compute_firewall.tfplan.json"));
    assert_eq!(
        resources_of(&firewall),
        [
            "firewalls {name: test-firewall, network: test-network, priority: 1000, allowed: [{IPProtocol: tcp, ports: \
             [80, 8080, 1000-2000]}, {IPProtocol: icmp}], sourceTags: [web]}",
            "networks {name: test-network, autoCreateSubnetworks: true, deleteDefaultRoutesOnCreate: false}",
        ]
    );
    assert!(findings(&firewall).is_empty(), "{:?}", findings(&firewall));
    let connector = import(&read("example_vpc_access_connector.tfplan.json"));
    assert_eq!(
        resources_of(&connector),
        [
            "connectors {name: vpc-con, region: us-central1, network: default, ipCidrRange: 10.8.0.0/28, minThroughput: 200, \
          maxThroughput: 300}"
        ]
    );
}

/// Numbers that look random and are always the same.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below.max(1)
    }
}

/// Changes a tree somewhere: a value of another type, a part of it in another place.
fn mutate(node: &mut Node, numbers: &mut Numbers, spare: &Node, depth: usize) {
    if depth == 0 || numbers.next(6) == 0 {
        match numbers.next(7) {
            0 => node.value = Value::Sequence(vec![spare.clone(), spare.clone()]),
            1 => unknown::set_null(node),
            2 => node.value = spare.value.clone(),
            3 => node.value = Value::Mapping(Vec::new()),
            4 => node.value = Value::Scalar(tree::Scalar { text: "true".into(), plain: true }),
            5 => {
                let odd = ["module.", "[", "a.b[\"", "each.value", "var.x.y", "module.network.subnets", "local", ""];
                node.value = Value::Scalar(tree::Scalar { text: odd[numbers.next(odd.len())].into(), plain: false });
            }
            _ => {
                if let Value::Mapping(entries) = &mut node.value
                    && !entries.is_empty()
                {
                    let at = numbers.next(entries.len());
                    entries.remove(at);
                }
            }
        }
        return;
    }
    let chosen = match &mut node.value {
        Value::Scalar(_) => None,
        Value::Sequence(items) => {
            let at = numbers.next(items.len());
            items.get_mut(at)
        }
        Value::Mapping(entries) => {
            let at = numbers.next(entries.len());
            entries.get_mut(at).map(|entry| &mut entry.value)
        }
    };
    match chosen {
        Some(chosen) => mutate(chosen, numbers, spare, depth - 1),
        None => mutate(node, numbers, spare, 0),
    }
}

#[test]
fn nonsense_ends_in_findings_and_never_in_a_panic() {
    let mut numbers = Numbers(1);
    for (text, format) in [(PLAN, Format::Plan), (RAW, Format::RawState)] {
        let mut sources = crate::scenario::diagnostic::Sources::default();
        let file = sources.add("plan.json", text);
        let node = tree::parse(text, file, &mut Vec::new()).expect("valid").expect("not empty");
        for _ in 0..400 {
            let mut odd = node.clone();
            for _ in 0..=numbers.next(4) {
                let mut spare = &node;
                for _ in 0..numbers.next(8) {
                    let count = spare.entries().len() + spare.items().len();
                    let at = numbers.next(count);
                    let entry = spare.entries().get(at).map(|entry| &entry.value);
                    spare = entry.or_else(|| spare.items().get(at)).unwrap_or(spare);
                }
                let depth = 1 + numbers.next(14);
                mutate(&mut odd, &mut numbers, spare, depth);
            }
            for format in [format, Format::State] {
                let mut import = Import { sources: sources.clone(), ..Import::default() };
                import.document(format, file, None, odd.clone());
                let _ = import.entries(&mut Vec::new());
            }
        }
    }
}

#[test]
fn a_set_of_blocks_that_is_not_known_at_all_is_told() {
    let text = r#"{"format_version": "1.2", "errored": true, "planned_values": {"root_module": {"resources": [
        {"address": "google_compute_subnetwork.s", "mode": "managed", "type": "google_compute_subnetwork", "name": "s",
         "values": {"name": "run", "region": "us-east1", "network": "n", "ip_cidr_range": "10.0.0.0/26"}},
        {"address": "google_compute_router_nat.n", "mode": "managed", "type": "google_compute_router_nat", "name": "n",
         "values": {"name": "n", "router": "r", "region": "us-east1", "tcp_time_wait_timeout_sec": 120}}]}},
        "resource_changes": [{"address": "google_compute_router_nat.n", "change": {"after_unknown": {"subnetwork": true,
         "nat_ips": true}}}],
        "configuration": {"root_module": {"resources": [{"mode": "managed", "type": "google_compute_router_nat", "name": "n",
         "expressions": {"subnetwork": [{"name": {"references": ["google_compute_subnetwork.s.id"]}}]}}]}}}"#;
    let import = import(text);
    assert_eq!(
        resources_of(&import)[1],
        "routers {name: r, region: us-east1, nats: [{name: n, tcpTimeWaitTimeoutSec: 120}]}"
    );
    assert_eq!(
        findings(&import),
        [
            "incomplete-plan: the plan is that of a run that failed: it does not have everything",
            "not-known: `subnetwork` of google_compute_router_nat.n is not known (known only after apply): it is left out",
        ]
    );
}

#[test]
fn references_in_circles_end() {
    let call = |name: &str, other: &str| {
        format!(
            r#""{name}": {{"expressions": {{"x": {{"references": ["module.{other}.o", "module.{other}", "module.{name}.o"]}}}},
            "module": {{"outputs": {{"o": {{"expression": {{"references": ["var.x", "var.x", "google_compute_network.n.network"]}}}}}},
            "resources": [{{"mode": "managed", "type": "google_compute_network", "name": "n", "expressions":
            {{"network": {{"references": ["google_compute_network.n.network", "var.x"]}}}}}}]}}}}"#
        )
    };
    let text = format!(
        r#"{{"format_version": "1.2", "planned_values": {{"root_module": {{"resources": [
        {{"address": "google_compute_subnetwork.s", "mode": "managed", "type": "google_compute_subnetwork", "name": "s",
          "values": {{"name": "s"}}}}]}}}},
        "resource_changes": [{{"address": "google_compute_subnetwork.s", "change": {{"after_unknown":
          {{"network": true, "secondary_ip_range": true}}}}}}],
        "configuration": {{"root_module": {{"resources": [{{"mode": "managed", "type": "google_compute_subnetwork", "name": "s",
          "expressions": {{"network": {{"references": ["module.a.o", "module.b.o", "google_compute_subnetwork.s.network"]}}}}}}],
        "module_calls": {{{}, {}}}}}}}}}"#,
        call("a", "b"),
        call("b", "a")
    );
    let import = import(&text);
    assert_eq!(resources_of(&import), ["subnetworks {name: s}"]);
    assert!(findings(&import)[0].starts_with("not-known: `network` of google_compute_subnetwork.s"));
}
