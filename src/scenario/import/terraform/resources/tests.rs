use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::import::terraform::json::tests::{findings, import, resources_of};
use crate::scenario::import::{Form, Import};

/// A state with these resources: type, name, attributes.
fn state(resources: &[(&str, &str, &str)]) -> Import {
    let resource = |(kind, name, values): &(&str, &str, &str)| {
        format!(
            r#"{{"address": "{kind}.{name}", "mode": "managed", "type": "{kind}", "name": "{name}", "values": {values},
            "sensitive_values": {{}}}}"#
        )
    };
    let resources: Vec<String> = resources.iter().map(resource).collect();
    import(&format!(
        r#"{{"format_version": "1.0", "terraform_version": "1.9.0", "values": {{"root_module": {{"resources": [{}]}}}}}}"#,
        resources.join(", ")
    ))
}

/// What one resource becomes.
fn one(kind: &str, values: &str) -> String {
    let import = state(&[(kind, "x", values)]);
    let findings: Vec<String> =
        findings(&import).into_iter().filter(|text| !text.starts_with("provider-default")).collect();
    assert!(findings.is_empty(), "{findings:?}");
    resources_of(&import).join("\n")
}

#[test]
fn a_network_of_the_provider_is_of_auto_mode_unless_it_says_otherwise() {
    assert_eq!(
        one("google_compute_network", r#"{"name": "n", "mtu": 0, "routing_mode": "GLOBAL"}"#),
        "networks {name: n, autoCreateSubnetworks: true, routingConfig: {routingMode: GLOBAL}}"
    );
}

#[test]
fn peerings_are_parts_of_their_network() {
    assert_eq!(
        one(
            "google_compute_network_peering",
            r#"{"name": "p", "network": "projects/a/global/networks/n", "peer_network": "projects/b/global/networks/m",
            "export_custom_routes": false, "import_custom_routes": true, "stack_type": "", "state": "ACTIVE"}"#
        ),
        "networks {name: projects/a/global/networks/n, peerings: [{name: p, network: projects/b/global/networks/m, \
         exportCustomRoutes: false, importCustomRoutes: true, state: ACTIVE}]}"
    );
    assert_eq!(
        one(
            "google_service_networking_connection",
            r#"{"network": "n", "service": "servicenetworking.googleapis.com", "reserved_peering_ranges": ["r"]}"#
        ),
        "networks {name: n, peerings: [{name: servicenetworking-googleapis-com, network: servicenetworking}]}"
    );
}

#[test]
fn instances_of_a_connector_win_over_the_throughput_that_old_providers_send() {
    let connector =
        |values: &str| one("google_vpc_access_connector", &format!(r#"{{"name": "c", "region": "r", {values}}}"#));
    assert_eq!(
        connector(
            r#""network": "n", "ip_cidr_range": "10.8.0.0/28", "subnet": [], "machine_type": "e2-micro", "min_instances": 2,
            "max_instances": 10, "min_throughput": 200, "max_throughput": 300"#
        ),
        "connectors {name: c, region: r, network: n, ipCidrRange: 10.8.0.0/28, machineType: e2-micro, minInstances: 2, \
         maxInstances: 10}"
    );
    assert_eq!(
        connector(
            r#""min_instances": 0, "max_instances": null, "min_throughput": 200, "max_throughput": 300,
            "network": "n", "ip_cidr_range": "", "subnet": [{"name": "s", "project_id": "host"}]"#
        ),
        "connectors {name: c, region: r, subnet: {name: s, projectId: host}, minThroughput: 200, maxThroughput: 300}"
    );
}

#[test]
fn nat_ips_that_are_managed_apart_are_those_of_the_gateway() {
    let import = state(&[
        (
            "google_compute_router_nat",
            "n",
            r#"{"name": "n", "router": "r", "region": "us-east1", "nat_ip_allocate_option": "MANUAL_ONLY", "nat_ips": ["a"],
            "initial_nat_ips": ["a"], "tcp_time_wait_timeout_sec": 30}"#,
        ),
        (
            "google_compute_router_nat_address",
            "n",
            r#"{"router_nat": "n", "router": "r", "region": "us-east1", "nat_ips": ["b", "c"], "drain_nat_ips": ["a"]}"#,
        ),
    ]);
    assert_eq!(
        resources_of(&import),
        [
            "routers {name: r, region: us-east1, nats: [{name: n, natIpAllocateOption: MANUAL_ONLY, \
             tcpTimeWaitTimeoutSec: 30}]}",
            "routers {name: r, region: us-east1, nats: [{name: n, natIps: [b, c], drainNatIps: [a]}]}",
        ]
    );
}

#[test]
fn a_policy_is_one_resource_with_its_rules_and_associations() {
    let import = state(&[
        (
            "google_compute_region_network_firewall_policy_rule",
            "a",
            r#"{"firewall_policy": "p", "region": "us-east1", "priority": 0, "action": "deny", "direction": "EGRESS",
            "match": [{"dest_ip_ranges": ["192.0.2.0/24"], "src_ip_ranges": [], "layer4_configs": [{"ip_protocol": "all", "ports": []}]}],
            "target_secure_tags": [{"name": "tagValues/1", "state": "EFFECTIVE"}]}"#,
        ),
        (
            "google_compute_region_network_firewall_policy",
            "p",
            r#"{"name": "p", "region": "us-east1", "project": "a"}"#,
        ),
        (
            "google_compute_region_network_firewall_policy_rule",
            "b",
            r#"{"firewall_policy": "projects/a/regions/us-east1/firewallPolicies/p", "region": "us-east1", "priority": 7,
            "action": "allow", "match": [{"layer4_configs": [{"ip_protocol": "tcp", "ports": ["443"]}]}]}"#,
        ),
        (
            "google_compute_region_network_firewall_policy_association",
            "c",
            r#"{"name": "c", "firewall_policy": "p", "region": "us-east1", "attachment_target": "n"}"#,
        ),
        (
            "google_compute_network_firewall_policy_with_rules",
            "w",
            r#"{"name": "w", "rule": [{"priority": 1, "action": "allow", "match": [{"layer4_config": [{"ip_protocol": "all"}],
            "src_secure_tag": [{"name": "tagValues/2"}]}]}]}"#,
        ),
    ]);
    assert_eq!(
        resources_of(&import),
        [
            "firewallPolicies {name: p, region: us-east1, associations: [{name: c, attachmentTarget: n}], rules: [\
             {priority: 0, action: deny, direction: EGRESS, match: {layer4Configs: [{ipProtocol: all}], destIpRanges: \
             [192.0.2.0/24]}, targetSecureTags: [{name: tagValues/1, state: EFFECTIVE}]}, \
             {priority: 7, action: allow, match: {layer4Configs: [{ipProtocol: tcp, ports: [443]}]}}]}",
            "firewallPolicies {name: w, rules: [{priority: 1, action: allow, match: {layer4Configs: [{ipProtocol: all}], \
             srcSecureTags: [{name: tagValues/2}]}}]}",
        ]
    );
    assert_eq!(import.resources[0].project.as_deref(), Some("a"));
}

#[test]
fn a_vm_has_interfaces_with_names_of_the_api() {
    assert_eq!(
        one(
            "google_compute_instance",
            r#"{"name": "vm", "zone": "us-east1-b", "machine_type": "e2-small", "tags": ["web"], "can_ip_forward": true,
            "desired_status": null, "current_status": "RUNNING", "params": [], "service_account": [{"email": "a@b", "scopes": []}],
            "metadata": {"k": "hunter2"}, "network_interface": [{"network": "n", "subnetwork": "s", "subnetwork_project": "host",
            "network_ip": "10.0.0.5", "access_config": [{"nat_ip": "", "network_tier": "PREMIUM"}], "alias_ip_range": [],
            "ipv6_access_config": []}]}"#
        ),
        "instances {name: vm, zone: us-east1-b, networkInterfaces: [{network: n, subnetwork: \
         projects/host/regions/us-east1/subnetworks/s, networkIP: 10.0.0.5, accessConfigs: [{}]}], machineType: e2-small, \
         canIpForward: true, status: RUNNING, serviceAccounts: [{email: a@b}], tags: {items: [web]}}"
    );
}

/// A service of the older API with these annotations on itself and on its template.
fn older(own: &str, template: &str) -> Import {
    state(&[(
        "google_cloud_run_service",
        "x",
        &format!(
            r#"{{"name": "api", "location": "us-east1", "project": "acme", "metadata": [{{"annotations": {{{own}}}, "labels":
            {{}}, "namespace": "123"}}], "template": [{{"metadata": [{{"name": "api-1", "annotations": {{{template}}}}}], "spec":
            [{{"container_concurrency": 0, "service_account_name": "a@b", "containers": [{{"image": "i", "resources":
            [{{"limits": {{"cpu": "2"}}}}]}}]}}]}}], "traffic": [{{"percent": 100, "latest_revision": true, "revision_name":
            ""}}, {{"percent": 0, "latest_revision": false, "revision_name": "api-0"}}], "status": [{{"url": "https://api",
            "latest_created_revision_name": "api-1", "conditions": [{{"type": "Ready", "status": "False", "message": ""}}]}}]}}"#
        ),
    )])
}

/// `code marked-text: cure` of each finding.
fn marked(import: &Import) -> Vec<String> {
    let mark = |finding: &Diagnostic| {
        let place = finding.place.expect("each has a place");
        let text = &import.sources.text(place.file)[place.start as usize..place.end as usize];
        format!("{} {text}: {}", finding.code, finding.help.as_deref().expect("each has a cure"))
    };
    import.report.iter().map(mark).collect()
}

#[test]
fn the_older_api_of_cloud_run_has_its_settings_in_annotations() {
    let import = older(
        r#""run.googleapis.com/ingress": "internal", "run.googleapis.com/urls": "[\"https://a\"]""#,
        r#""autoscaling.knative.dev/maxScale": "5", "run.googleapis.com/vpc-access-egress": "all-traffic",
        "run.googleapis.com/network-interfaces": "[{\"network\": \"n\", \"subnetwork\": \"s\", \"tags\": \"a, b\"}]""#,
    );
    assert_eq!(
        resources_of(&import),
        [
            "services {name: api, region: us-east1, template: {revision: api-1, scaling: {maxInstanceCount: 5}, vpcAccess: \
          {networkInterfaces: [{network: n, subnetwork: s, tags: [a, b]}], egress: ALL_TRAFFIC}, serviceAccount: a@b, \
          containers: [{resources: {limits: {cpu: 2}}}]}, traffic: [{type: TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST, percent: \
          100}, {type: TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION, revision: api-0}], ingress: INGRESS_TRAFFIC_INTERNAL_ONLY, \
          latestCreatedRevision: api-1, terminalCondition: {type: Ready, state: CONDITION_FAILED}, uri: https://api, urls: \
          [https://a]}"
        ]
    );
    assert_eq!(import.resources[0].project.as_deref(), Some("acme"));
    assert!(findings(&import).is_empty());
}

#[test]
fn mistakes_in_annotations_of_the_older_api_are_told_in_words_of_terraform() {
    let import = older(
        r#""run.googleapis.com/vpc-access-egress": "all-traffic", "autoscaling.knative.dev/minScale": "1""#,
        r#""run.googleapis.com/vpc-egress": "all-traffic", "run.googleapis.com/maxScale": "3",
        "run.googleapis.com/network-interfaces": "[{\"network\": \"n\", \"subnet\": \"s\"}]""#,
    );
    let move_it = "the API refuses them there today (\"not supported on resources of kind …\"); move it to \
                   `template { metadata { annotations } }`";
    assert_eq!(
        marked(&import),
        [
            &format!("misplaced-annotation \"run.googleapis.com/vpc-access-egress\": {move_it}"),
            &format!("misplaced-annotation \"autoscaling.knative.dev/minScale\": {move_it}"),
            "unknown-annotation \"run.googleapis.com/vpc-egress\": did you mean `run.googleapis.com/vpc-access-egress`?",
            "misplaced-annotation \"run.googleapis.com/maxScale\": move it to `metadata { annotations }` of the service",
            "unknown-field \\\"subnet\\\": did you mean `subnetwork`?",
        ]
    );
    let codes =
        |template: &str| -> Vec<&str> { older("", template).report.iter().map(|finding| finding.code).collect() };
    assert_eq!(codes(r#""run.googleapis.com/network-interfaces": "n""#), ["invalid-json"]);
    assert_eq!(codes(r#""run.googleapis.com/vpc-access-egress": "all-traffic""#), ["egress-without-vpc"]);
    assert_eq!(
        codes(r#""run.googleapis.com/vpc-access-connector": "", "autoscaling.knative.dev/maxScale": null"#),
        [""; 0]
    );
}

#[test]
fn annotations_of_configuration_are_read_like_those_of_a_manifest() {
    let configuration = |annotations: &str| {
        let mut import = Import::default();
        let text = format!(
            "variable \"subnet\" {{}}\nprovider \"google\" {{\n  project = \"acme\"\n  region = \"us-east1\"\n}}\n\
             resource \"google_cloud_run_service\" \"x\" {{\n  count = 2\n  name = \"api\"\n  template {{\n    metadata \
             {{\n      annotations = {annotations}\n    }}\n  }}\n}}\n"
        );
        let file = import.sources.add("main.tf", text);
        import.text(Form::Hcl, file, None);
        import.complete();
        import
    };
    let import = configuration(
        r#"{
        "autoscaling.knative.dev/maxScale"      = 5
        "run.googleapis.com/vpc-access-egress"  = "all-traffic"
        "run.googleapis.com/network-interfaces" = jsonencode([{ network = "n", tags = ["a"] }])
      }"#,
    );
    assert_eq!(
        resources_of(&import)[1],
        "services {name: api, region: us-east1, template: {scaling: {maxInstanceCount: 5}, vpcAccess: \
         {networkInterfaces: [{network: n, tags: [a]}], egress: ALL_TRAFFIC}}}"
    );
    assert_eq!(import.resources[1].project.as_deref(), Some("acme"));
    assert!(findings(&import).is_empty(), "{:?}", findings(&import));

    let import = configuration(
        r#"{
        "run.googleapis.com/vpc-egress"         = "all-traffic"
        "run.googleapis.com/network-interfaces" = "[{\"subnetwork\":\"s\",\"tag\":\"a\"}]"
      }"#,
    );
    assert_eq!(
        marked(&import)[..2],
        [
            "unknown-annotation \"run.googleapis.com/vpc-egress\": did you mean `run.googleapis.com/vpc-access-egress`?",
            "unknown-field \\\"tag\\\": did you mean `tags`?",
        ]
    );

    let import = configuration(r#"{ "run.googleapis.com/network-interfaces" = [{ network = "n" }] }"#);
    assert_eq!(
        marked(&import)[0],
        "not-text [{ network = \"n\" }]: write them as JSON: `jsonencode([{ network = …, subnetwork = … }])`"
    );
    assert!(
        import.report[0].message.ends_with("have to be text: Terraform refuses it"),
        "{}",
        import.report[0].message
    );
}

#[test]
fn an_annotation_that_cannot_be_known_makes_no_other_mistake() {
    let mut import = Import::default();
    let text = r#"
variable "subnet" {}
resource "google_cloud_run_service" "x" {
  name     = "api"
  location = "us-east1"
  template {
    metadata {
      annotations = {
        "run.googleapis.com/vpc-access-egress"  = "all-traffic"
        "run.googleapis.com/network-interfaces" = jsonencode([{ subnetwork = var.subnet }])
      }
    }
  }
}
"#;
    let file = import.sources.add("main.tf", text);
    import.text(Form::Hcl, file, None);
    import.complete();
    assert_eq!(resources_of(&import), ["services {name: api, region: us-east1}"]);
    assert_eq!(
        findings(&import)[1..],
        ["not-known: `template[0].metadata[0].annotations[\"run.googleapis.com/network-interfaces\"]` of \
          google_cloud_run_service.x is not known (`var.subnet` has no value): it is left out"]
    );
}

#[test]
fn workloads_keep_what_is_set() {
    assert_eq!(
        one(
            "google_cloud_run_v2_worker_pool",
            r#"{"name": "w", "location": "us-east1", "scaling": [{"scaling_mode": "", "manual_instance_count": 0,
            "min_instance_count": 2}], "template": [{"annotations": {"a": "b", "run.googleapis.com/vpc-access-egress": "all"},
            "vpc_access": [{"connector": "c", "egress": "ALL_TRAFFIC", "network_interfaces": []}]}]}"#
        ),
        "workerPools {name: w, region: us-east1, scaling: {minInstanceCount: 2}, template: {vpcAccess: {connector: c, egress: \
         ALL_TRAFFIC}, annotations: {run.googleapis.com/vpc-access-egress: all}}}"
    );
    assert_eq!(
        one(
            "google_cloud_run_v2_job",
            r#"{"name": "j", "location": "us-east1", "template": [{"task_count": 3, "parallelism": 0, "template":
            [{"vpc_access": [{"network_interfaces": [{"network": "n", "subnetwork": "", "tags": []}]}], "max_retries": 3}]}]}"#
        ),
        "jobs {name: j, region: us-east1, template: {taskCount: 3, template: {vpcAccess: {networkInterfaces: [{network: \
         n}]}}}}"
    );
    assert_eq!(
        one(
            "google_cloudfunctions_function",
            r#"{"name": "f", "region": "us-east1", "vpc_connector": "c", "vpc_connector_egress_settings": "ALL_TRAFFIC",
            "max_instances": 0, "min_instances": 1, "status": "ACTIVE", "environment_variables": {"A": "hunter2"}}"#
        ),
        "functions {name: f, region: us-east1, serviceConfig: {vpcConnector: c, vpcConnectorEgressSettings: ALL_TRAFFIC, \
         minInstanceCount: 1}, state: ACTIVE, environment: GEN_1}"
    );
}

#[test]
fn only_the_policy_about_egress_settings_is_read() {
    let import = state(&[
        (
            "google_org_policy_policy",
            "a",
            r#"{"name": "projects/p/policies/run.allowedVPCEgress", "parent": "projects/p", "spec": [{"inherit_from_parent": false,
            "rules": [{"allow_all": "", "deny_all": null, "enforce": null, "values": [{"allowed_values": ["all-traffic"]}], "condition": []}]}]}"#,
        ),
        ("google_org_policy_policy", "b", r#"{"name": "projects/p/policies/iam.disableServiceAccountKeyCreation"}"#),
        (
            "google_project_organization_policy",
            "c",
            r#"{"constraint": "constraints/run.allowedVPCEgress", "list_policy": [{"allow": [{"all": false, "values":
            ["all-traffic"]}], "deny": [], "inherit_from_parent": null}], "restore_policy": []}"#,
        ),
    ]);
    assert_eq!(
        resources_of(&import),
        [
            "orgPolicies {name: projects/p/policies/run.allowedVPCEgress, spec: {inheritFromParent: false, rules: \
             [{values: {allowedValues: [all-traffic]}}]}}",
            "orgPolicies {constraint: constraints/run.allowedVPCEgress, listPolicy: {allowedValues: [all-traffic]}}",
        ]
    );
    assert_eq!(import.skipped["google_org_policy_policy"].count, 1);
}

#[test]
fn external_load_balancers_are_skipped_and_endpoints_are_not() {
    let rule = |values: &str| state(&[("google_compute_global_forwarding_rule", "x", values)]);
    assert!(
        rule(r#"{"name": "f", "load_balancing_scheme": "EXTERNAL_MANAGED", "target": "proxies/p"}"#)
            .resources
            .is_empty()
    );
    assert!(rule(r#"{"name": "f", "target": "proxies/p"}"#).resources.is_empty());
    assert_eq!(
        resources_of(&rule(
            r#"{"name": "f", "load_balancing_scheme": "", "target": "all-apis", "network": "n", "ip_address": "10.0.0.9",
            "ip_protocol": "", "ports": null}"#
        )),
        ["forwardingRules {name: f, IPAddress: 10.0.0.9, network: n, target: all-apis, loadBalancingScheme: }"]
    );
}
