//! What went wrong for other people, and what Google's pages warn of: each mistake is found, and gone with its cure.
//!
//! S numbers are those of published incidents, T numbers those of the test vectors.

use super::read;

mod ports;
mod ways;

/// Codes of all findings, errors and notes too.
fn codes(text: &str) -> Vec<&'static str> {
    read(text).diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

/// The mistake is found under this code, and the same scenario without the mistake is not told of it.
#[track_caller]
fn found(code: &str, mistake: &str, cured: &str) {
    assert_ne!(mistake, cured);
    assert!(codes(mistake).contains(&code), "not found: {:?}\n{mistake}", codes(mistake));
    let loaded = read(cured);
    let rest = codes(cured);
    assert!(!rest.contains(&code), "found in spite of the cure: {rest:?}\n{cured}");
    assert!(!loaded.diagnostics.has_errors(), "{}", loaded.diagnostics.render(&loaded.sources, false));
}

const NETWORK: &str = "\
duration: 5m
networks: [{name: vpc}]
subnetworks: [{name: apps, network: vpc, region: r1, ipCidrRange: 10.9.0.0/24}]
connectors: [{name: conn, region: r1, network: vpc, ipCidrRange: 10.8.0.0/28}]
hosts:
- {name: partner, address: 198.51.100.7}
- {name: db, address: 10.9.0.200, location: vpc}
- {name: storage, address: 142.250.4.128, location: google-api}
";
const NAT: &str = "\
addresses: [{name: ip, region: r1}]
routers:
- name: router
  network: vpc
  region: r1
  nats: [{name: gw, natIpAllocateOption: MANUAL_ONLY, natIps: [ip], sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES}]
";
const DIRECT: &str = "vpcAccess: {networkInterfaces: [{subnetwork: apps}], egress: ALL_TRAFFIC}";

fn service(template: &str, rest: &str) -> String {
    format!("{NETWORK}services: [{{name: api, region: r1, template: {{{template}}}}}]\n{rest}")
}

#[test]
fn short_connections_to_one_destination_use_source_ports_up() {
    // 28,232 ports for 60.5 s: 466 a second.
    let load = |fields: &str| service("", &format!("traffic: [{{from: api, to: \"partner:443\", {fields}}}]\n"));
    found("source-ports", &load("rate: 467/s"), &load("rate: 466/s"));
    found("source-ports", &load("rate: 467/s"), &load("rate: 467/s, closedBy: server"));
    found("source-ports", &load("rate: 467/s"), &load("rate: 467/s, requests: {pool: {size: 50}}"));
    found("source-ports", &load("rate: 467/s"), &load("rate: 467/s, stop: 60s"));
    // A call is over after two round trips of 20 ms: 470 a second.
    found("source-ports", &load("rate: 471/s, requests: {}"), &load("rate: 470/s, requests: {}"));
}

#[test]
fn s1_to_s3_an_instance_that_starts_finds_the_way_through_nat_closed() {
    let text = |events: &str, timeout: &str| {
        let traffic = format!("traffic: [{{from: api, to: \"partner:443\", rate: 1/s, connectTimeout: {timeout}}}]\n");
        service(DIRECT, &format!("{NAT}{traffic}{events}"))
    };
    let scales = "events: [{at: 1m, scale: {workload: api, instances: 4}}]\n";
    found("cold-egress", &text(scales, "30s"), &text("", "30s"));
    // The cure of one of them: patience.
    found("cold-egress", &text(scales, "30s"), &text(scales, "2m"));
    // Requests start instances, too: 60 a second of 50 ms each are 3 at a time, which are 60 % of five.
    let asked = |scaling: &str, retries: &str| {
        let requests = format!("requests: {{timeout: 5s, thinkTime: 10ms, retryPolicy: {{maxAttempts: {retries}}}}}");
        let traffic = format!("traffic: [{{from: api, to: \"partner:443\", rate: 60/s, {requests}}}]\n");
        service(
            &format!("{DIRECT}, maxInstanceRequestConcurrency: 1, scaling: {{{scaling}}}"),
            &format!("{NAT}{traffic}"),
        )
    };
    found("cold-egress", &asked("minInstanceCount: 4", "3"), &asked("minInstanceCount: 5", "3"));
    // 15 attempts of 5 s, and waits of 6 × 100 ms × 2ⁿ and 8 × 10 s, half of them: 120 s, more than the longest window of 80 s.
    found("cold-egress", &asked("minInstanceCount: 4", "3"), &asked("minInstanceCount: 4", "15"));
}

#[test]
fn s9_all_traffic_without_a_way_to_google_apis() {
    let text = |rest: &str, access: &str| {
        let traffic = "traffic: [{from: api, to: \"storage:443\", rate: 1/s}]\n";
        service(DIRECT, &format!("{rest}{traffic}")).replace("10.9.0.0/24}", &format!("10.9.0.0/24{access}}}"))
    };
    let mistake = text("", "");
    found("google-apis-unreachable", &mistake, &text("", ", privateIpGoogleAccess: true"));
    // Cloud NAT turns Private Google Access on.
    found("google-apis-unreachable", &mistake, &text(NAT, ""));
    found("google-apis-unreachable", &mistake, &mistake.replace("ALL_TRAFFIC", "PRIVATE_RANGES_ONLY"));
}

#[test]
fn s10_and_s20_a_private_destination_without_an_attachment() {
    let traffic = "traffic: [{from: api, to: \"db:5432\", rate: 1/s}]\n";
    let attached = service("vpcAccess: {networkInterfaces: [{subnetwork: apps}]}", traffic);
    found("private-without-vpc", &service("timeout: 60s", traffic), &attached);
}

#[test]
fn s12_direct_vpc_egress_on_a_connectors_subnet() {
    let text = |subnet: &str| {
        format!(
            "networks: [{{name: vpc}}]
subnetworks:
- {{name: conn-subnet, network: vpc, region: r1, ipCidrRange: 10.8.0.0/28}}
- {{name: apps, network: vpc, region: r1, ipCidrRange: 10.9.0.0/24}}
connectors: [{{name: conn, region: r1, subnet: {{name: conn-subnet}}}}]
services: [{{name: api, region: r1, template: {{vpcAccess: {{networkInterfaces: [{{subnetwork: {subnet}}}]}}}}}}]
"
        )
    };
    found("connector-subnet", &text("conn-subnet"), &text("apps"));
    found("small-subnet", &text("conn-subnet"), &text("apps"));
}

#[test]
fn s18_google_apis_do_not_see_the_nat_ip() {
    let text = |to: &str| {
        let traffic = format!("traffic: [{{from: api, to: \"{to}:443\", rate: 1/s}}]\n");
        service(DIRECT, &format!("{NAT}{traffic}"))
    };
    found("google-apis-bypass-nat", &text("storage"), &text("partner"));
}

#[test]
fn s21_more_than_shared_cores_carry_for_long() {
    let text = |machine_type: &str, rate: &str| {
        let traffic = format!("traffic: [{{from: api, to: \"db:5432\", rate: {rate}, responseBytes: 100KiB}}]\n");
        service("vpcAccess: {connector: conn}", &traffic)
            .replace("10.8.0.0/28}", &format!("10.8.0.0/28, machineType: {machine_type}}}"))
    };
    // 300/s x 100 KiB are 250 Mbps and headers; two e2-micro carry 200.
    found("connector-throughput", &text("e2-micro", "300/s"), &text("e2-standard-4", "300/s"));
    found("connector-throughput", &text("e2-micro", "300/s"), &text("e2-micro", "200/s"));
}

#[test]
fn loads_that_follow_one_another_do_not_add_up_for_a_connector() {
    // 150/s of 100 KiB are 125 Mbps and headers: two at a time are more than two e2-micro carry.
    let text = |loads: &[&str]| {
        let load = |times: &&str| format!("- {{from: api, to: \"db:5432\", responseBytes: 100KiB, {times}}}\n");
        let traffic = format!("traffic:\n{}", loads.iter().map(load).collect::<String>());
        service("vpcAccess: {connector: conn}", &traffic)
    };
    let together = text(&["rate: 150/s", "rate: 150/s, start: 30s"]);
    found("connector-throughput", &together, &text(&["rate: 150/s, stop: 30s", "rate: 150/s, start: 30s"]));
    let steps = |second: &str| {
        let first = "steps: [{at: 0s, rate: 150/s}, {at: 60s, rate: 1/s}]";
        text(&[first, &format!("steps: [{{at: 0s, rate: 1/s}}, {{at: {second}, rate: 150/s}}]")])
    };
    found("connector-throughput", &steps("59s"), &steps("60s"));
    // Each of 75 requests a second calls four times.
    let calls = |calls: u32| text(&[&format!("rate: 75/s, requests: {{calls: {calls}}}")]);
    found("connector-throughput", &calls(4), &calls(2));
}

#[test]
fn t17_more_instances_than_addresses() {
    let text = |range: &str, instances: u32| {
        format!(
            "networks: [{{name: vpc}}]
subnetworks: [{{name: apps, network: vpc, region: r1, ipCidrRange: {range}}}]
services: [{{name: api, region: r1, instances: {instances}, template: {{{DIRECT}}}}}]
{NAT}"
        )
    };
    found("subnet-too-small", &text("10.9.0.0/26", 31), &text("10.9.0.0/26", 30));
    found("subnet-too-small", &text("10.9.0.0/26", 31), &text("10.9.0.0/25", 31));
}

#[test]
fn t16_a_revision_change_that_the_subnet_has_no_room_for() {
    let text = |range: &str| {
        format!(
            "duration: 40m
networks: [{{name: vpc}}]
subnetworks: [{{name: apps, network: vpc, region: r1, ipCidrRange: {range}}}]
services: [{{name: api, region: r1, instances: 100, template: {{{DIRECT}}}}}]
events: [{{at: 1m, deploy: {{workload: api, set: {{template: {{serviceAccount: b}}}}, over: 10m}}}}]
{NAT}"
        )
    };
    // 400 addresses in 252, and in 508.
    found("subnet-too-small", &text("10.9.0.0/24"), &text("10.9.0.0/23"));
}

#[test]
fn t25_an_annotation_with_the_wrong_key_changes_nothing() {
    let text = |annotations: &str| service(&format!("{annotations}vpcAccess: {{connector: conn}}"), "");
    let mistake = text("annotations: {run.googleapis.com/vpc-egress: all-traffic}, ");
    found("ignored-annotation", &mistake, &text("annotations: {client.knative.dev/user-image: x}, "));
    let egress = read(&mistake).scenario.expect("it is sound").workloads[0].egress();
    assert_eq!(egress, crate::scenario::Egress::PrivateRangesOnly);
}

#[test]
fn t26_a_connector_and_an_interface_at_once_are_refused_in_the_apis_words() {
    let mistake = service("vpcAccess: {connector: conn, networkInterfaces: [{subnetwork: apps}]}", "");
    found("connector-and-interfaces", &mistake, &service("vpcAccess: {connector: conn}", ""));
    let loaded = read(&mistake);
    let message = &loaded.diagnostics.iter().next().expect("one").message;
    assert!(message.contains("one and only one of connector and network_interfaces must be set"), "{message}");
}

#[test]
fn t27_throughput_stands_for_a_number_of_instances() {
    let text = NETWORK.replace("10.8.0.0/28}", "10.8.0.0/28, minThroughput: 200, maxThroughput: 300}");
    let connector = &read(&text).scenario.expect("it is sound").connectors[0];
    assert_eq!((connector.min_instances, connector.max_instances), (2, 3));
    let text = |most: &str| {
        NETWORK.replace("10.8.0.0/28}", &format!("10.8.0.0/28, minThroughput: 300, maxThroughput: {most}}}"))
    };
    found("connector-instances", &text("300"), &text("400"));
}

#[test]
fn t28_a_connectors_name_counts_its_hyphens_twice() {
    let text = |name: &str| NETWORK.replace("name: conn,", &format!("name: {name},"));
    // 17 letters and 4 hyphens of two: 25, above 20.
    found("connector-name", &text("my-conn-us-central1-a"), &text("my-conn-us-a"));
    // "Fewer than 21": 18 letters and a hyphen are 20.
    found("connector-name", &text("connectors-and-more"), &text("connectors-and1234"));
}

#[test]
fn a_crowd_behind_one_connector_is_told_of() {
    let text = |instances: u32| {
        let pinned = format!("name: api, instances: {instances}");
        service("vpcAccess: {connector: conn}", "").replace("name: api", &pinned)
    };
    found("crowded-connector", &text(1500), &text(500));
}

#[test]
fn a_quota_that_most_projects_have_is_noted() {
    let text = |instances: u32| {
        let pinned = format!("name: api, instances: {instances}");
        service(DIRECT, NAT)
            .replace("name: api", &pinned)
            .replace("10.9.0.0/24", "10.9.0.0/20")
            .replace("10.9.0.200", "10.9.15.200")
    };
    found("direct-vpc-quota", &text(101), &text(100));
}

#[test]
fn a_shared_vpc_needs_permissions_and_a_subnet_time() {
    let text = |project: &str| {
        format!(
            "networks: [{{name: vpc}}]
subnetworks: [{{name: s, network: vpc, region: r1, ipCidrRange: 10.8.0.0/28}}]
connectors: [{{name: projects/app/locations/r1/connectors/conn, subnet: {{name: s, projectId: {project}}}}}]
"
        )
    };
    found("shared-vpc-permissions", &text("host"), &text("app"));
    let leaves =
        |event: &str| service(DIRECT, &format!("{NAT}events: [{{at: 1m, deploy: {{workload: api, {event}}}}}]\n"));
    found("subnet-release", &leaves("clearVpcAccess: true"), &leaves("set: {template: {serviceAccount: b}}"));
}
