//! A scenario written as the REST APIs print it, and imported again, is the same scenario.

use std::fmt::Write as _;

use egressim::scenario::load::{Source, load};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{import_texts, usable};

const BASE: &str = "https://www.googleapis.com/compute/v1/projects/p";

/// A resource as the Compute Engine API prints it: with URLs for references, and what only the output has.
fn compute(kind: &str, collection: &str, item: &Value) -> Value {
    let mut out = Map::new();
    out.insert("kind".into(), format!("compute#{kind}").into());
    out.insert("id".into(), "1234567890123456789".into());
    let name = item["name"].as_str().expect("a name");
    let scope = match (item["region"].as_str(), item["zone"].as_str()) {
        (Some(region), _) => format!("regions/{region}"),
        (_, Some(zone)) => format!("zones/{zone}"),
        _ => "global".into(),
    };
    out.insert("selfLink".into(), format!("{BASE}/{scope}/{collection}/{name}").into());
    out.insert("creationTimestamp".into(), "2026-10-05T09:00:00.000-07:00".into());
    let region = item["region"].as_str();
    let region = region.or_else(|| Some(item["zone"].as_str()?.rsplit_once('-')?.0));
    for (key, value) in item.as_object().expect("a mapping") {
        out.insert(key.clone(), linked(key, value, region));
    }
    Value::Object(out)
}

/// References as URLs.
fn linked(key: &str, value: &Value, region: Option<&str>) -> Value {
    let region_of = || region.unwrap_or("us-central1");
    match (key, value) {
        ("network", Value::String(name)) => format!("{BASE}/global/networks/{name}").into(),
        ("region", Value::String(name)) => format!("{BASE}/regions/{name}").into(),
        ("zone", Value::String(name)) => format!("{BASE}/zones/{name}").into(),
        ("subnetwork", Value::String(name)) => format!("{BASE}/regions/{}/subnetworks/{name}", region_of()).into(),
        ("nextHopGateway", Value::String(name)) => format!("{BASE}/global/gateways/{name}").into(),
        ("natIps", Value::Array(names)) => names
            .iter()
            .map(|name| format!("{BASE}/regions/{}/addresses/{}", region_of(), name.as_str().expect("a name")))
            .collect(),
        ("subnetworks", Value::Array(items)) => items
            .iter()
            .map(|item| {
                let mut item = item.clone();
                let name = item["name"].as_str().expect("a name").to_owned();
                item["name"] = format!("{BASE}/regions/{}/subnetworks/{name}", region_of()).into();
                item
            })
            .collect(),
        (_, Value::Array(items)) => items.iter().map(|item| linked("", item, region)).collect(),
        (_, Value::Object(fields)) => {
            Value::Object(fields.iter().map(|(key, value)| (key.clone(), linked(key, value, region))).collect())
        }
        (_, value) => value.clone(),
    }
}

/// A Cloud Run or connector resource: the region is in the name.
fn located(collection: &str, item: &Value) -> Value {
    let mut item = item.clone();
    let fields = item.as_object_mut().expect("a mapping");
    let region = fields.shift_remove("region").expect("a region");
    let name = fields["name"].as_str().expect("a name");
    let path = format!("projects/p/locations/{}/{collection}/{name}", region.as_str().expect("text"));
    fields.insert("name".into(), path.into());
    item
}

/// The merged scenario as files of the REST APIs.
fn rest(document: &Value) -> Vec<(String, String)> {
    let list = |key: &str| document[key].as_array().cloned().unwrap_or_default();
    let kinds = [
        ("networks", "network"),
        ("subnetworks", "subnetwork"),
        ("routes", "route"),
        ("firewalls", "firewall"),
        ("addresses", "address"),
        ("routers", "router"),
        ("instances", "instance"),
    ];
    let mut files = Vec::new();
    for (index, (key, kind)) in kinds.into_iter().enumerate() {
        let items: Vec<Value> = list(key).iter().map(|item| compute(kind, key, item)).collect();
        let body = match index % 3 {
            0 => Value::Array(items),
            1 => json!({"kind": format!("compute#{kind}List"), "items": items}),
            _ => json!({"kind": format!("compute#{kind}AggregatedList"), "items": {"regions/any": {key: items}}}),
        };
        files.push((format!("{index}-{key}.json"), serde_json::to_string_pretty(&body).expect("JSON")));
    }
    for key in ["connectors", "services", "jobs", "workerPools"] {
        let items: Vec<Value> = list(key).iter().map(|item| located(key, item)).collect();
        let body = json!({key: items, "nextPageToken": ""});
        files.push((format!("8-{key}.json"), body.to_string()));
    }
    files
}

#[derive(Debug, Clone)]
struct Shape {
    subnets: Vec<(u8, bool)>,
    gateway: Option<(u8, bool, bool, u8)>,
    firewalls: Vec<(bool, bool, u16, u16)>,
    routes: Vec<(u8, u16, bool)>,
    workloads: Vec<(u8, u8, bool, u8)>,
    connectors: u8,
    vms: u8,
}

fn shape() -> impl Strategy<Value = Shape> {
    (
        prop::collection::vec((0u8..3, any::<bool>()), 1..5),
        prop::option::of((0u8..3, any::<bool>(), any::<bool>(), 0u8..4)),
        prop::collection::vec((any::<bool>(), any::<bool>(), 0u16..2000, 1u16..9000), 0..4),
        prop::collection::vec((0u8..200, 1u16..2000, any::<bool>()), 0..4),
        prop::collection::vec((0u8..3, 0u8..3, any::<bool>(), 0u8..5), 0..6),
        0u8..3,
        0u8..3,
    )
        .prop_map(|(subnets, gateway, firewalls, routes, workloads, connectors, vms)| Shape {
            subnets,
            gateway,
            firewalls,
            routes,
            workloads,
            connectors,
            vms,
        })
}

/// A scenario as a person writes it. What Google's output always has is written, too.
fn text(shape: &Shape) -> String {
    const REGIONS: [&str; 3] = ["us-central1", "europe-west1", "asia-east1"];
    let mut out = String::from("networks: [{name: core, autoCreateSubnetworks: false, mtu: 1460}]\nsubnetworks:\n");
    for (index, (region, access)) in shape.subnets.iter().enumerate() {
        let region = REGIONS[*region as usize];
        let _ = writeln!(
            out,
            "- {{name: s{index}, network: core, region: {region}, ipCidrRange: 10.{}.0.0/24, privateIpGoogleAccess: {access}, \
             secondaryIpRanges: [{{rangeName: pods, ipCidrRange: 10.{}.4.0/22}}]}}",
            index + 10,
            index + 10
        );
    }
    out += "routes:\n- {name: default-route-x, network: core, destRange: 0.0.0.0/0, priority: 1000, nextHopGateway: \
            default-internet-gateway}\n";
    for (index, (third, priority, tagged)) in shape.routes.iter().enumerate() {
        let tags = if *tagged { ", tags: [egress]" } else { "" };
        let _ = writeln!(
            out,
            "- {{name: r{index}, network: core, destRange: 198.51.{third}.0/24, priority: {priority}, nextHopGateway: \
             default-internet-gateway{tags}}}"
        );
    }
    if !shape.firewalls.is_empty() {
        out += "firewalls:\n";
    }
    for (index, (egress, allow, priority, port)) in shape.firewalls.iter().enumerate() {
        let (direction, ranges) = if *egress { ("EGRESS", "destinationRanges") } else { ("INGRESS", "sourceRanges") };
        let action = if *allow { "allowed" } else { "denied" };
        let _ = writeln!(
            out,
            "- {{name: f{index}, network: core, direction: {direction}, priority: {priority}, {ranges}: [192.0.2.0/24], \
             {action}: [{{IPProtocol: tcp, ports: ['{port}']}}], disabled: false}}"
        );
    }
    if let Some((region, dynamic, listed, ips)) = shape.gateway {
        let region = REGIONS[region as usize];
        out += "addresses:\n";
        for ip in 0..=ips {
            let _ = writeln!(
                out,
                "- {{name: ip{ip}, region: {region}, address: 203.0.113.{}, addressType: EXTERNAL}}",
                ip + 10
            );
        }
        let names: Vec<String> = (0..=ips).map(|ip| format!("ip{ip}")).collect();
        let ports = if dynamic { "true, minPortsPerVm: 64, maxPortsPerVm: 1024" } else { "false, minPortsPerVm: 256" };
        let here = shape.subnets.iter().position(|(of, _)| REGIONS[*of as usize] == region);
        let ranges = match here.filter(|_| listed) {
            Some(index) => format!(
                "LIST_OF_SUBNETWORKS, subnetworks: [{{name: s{index}, sourceIpRangesToNat: [PRIMARY_IP_RANGE]}}]"
            ),
            None => "ALL_SUBNETWORKS_ALL_IP_RANGES".into(),
        };
        let _ = writeln!(
            out,
            "routers:\n- {{name: router, network: core, region: {region}, nats: [{{name: nat, natIpAllocateOption: MANUAL_ONLY, \
             natIps: [{}], sourceSubnetworkIpRangesToNat: {ranges}, enableDynamicPortAllocation: {ports}, \
             tcpTimeWaitTimeoutSec: 30, logConfig: {{enable: true, filter: ALL}}}}]}}",
            names.join(", ")
        );
    }
    if shape.vms > 0 {
        out += "instances:\n";
    }
    for vm in 0..shape.vms {
        let region = REGIONS[shape.subnets[0].0 as usize];
        let _ = writeln!(
            out,
            "- {{name: vm{vm}, zone: {region}-b, networkInterfaces: [{{network: core, subnetwork: s0, networkIP: 10.10.0.{}}}]}}",
            vm + 20
        );
    }
    if shape.connectors > 0 {
        out += "connectors:\n";
    }
    for connector in 0..shape.connectors {
        let _ = writeln!(
            out,
            "- {{name: c{connector}, region: {}, network: core, ipCidrRange: 10.8.{connector}.0/28, machineType: e2-micro, \
             minInstances: 2, maxInstances: 5, state: READY}}",
            REGIONS[connector as usize]
        );
    }
    for (kind, key) in ["services", "jobs", "workerPools"].into_iter().enumerate() {
        let of_kind: Vec<_> = shape.workloads.iter().enumerate().filter(|(_, load)| load.0 as usize == kind).collect();
        if !of_kind.is_empty() {
            let _ = writeln!(out, "{key}:");
        }
        for (index, (_, way, all, count)) in of_kind {
            let egress = if *all { "ALL_TRAFFIC" } else { "PRIVATE_RANGES_ONLY" };
            let (region, access) = match way {
                0 if shape.connectors > 0 => {
                    let connector = *count as usize % shape.connectors as usize;
                    (REGIONS[connector], format!("vpcAccess: {{connector: c{connector}, egress: {egress}}}"))
                }
                1 => {
                    let subnet = *count as usize % shape.subnets.len();
                    let interface = format!("[{{network: core, subnetwork: s{subnet}, tags: [egress]}}]");
                    let region = REGIONS[shape.subnets[subnet].0 as usize];
                    (region, format!("vpcAccess: {{networkInterfaces: {interface}, egress: {egress}}}"))
                }
                _ => (REGIONS[0], "serviceAccount: x@p.iam.gserviceaccount.com".into()),
            };
            let template = match kind {
                0 => format!("template: {{scaling: {{minInstanceCount: {count}, maxInstanceCount: 9}}, {access}}}"),
                1 => format!("template: {{taskCount: {}, template: {{{access}}}}}", count + 1),
                _ => format!("scaling: {{manualInstanceCount: {}}}, template: {{{access}}}", count + 1),
            };
            let _ = writeln!(out, "- {{name: w{index}, region: {region}, {template}}}");
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_apis_print_of_a_scenario_is_the_scenario(shape in shape()) {
        let text = text(&shape);
        let written = load(Source::Text { name: "imported.yaml", text: &text });
        let expected = usable(&written);
        let files = rest(&serde_json::to_value(&written.file).expect("JSON"));
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let imported = import_texts(&files);
        let told = imported.diagnostics.render(&imported.sources, false);
        prop_assert_eq!(usable(&imported), expected, "{}\n{}", text, told);
        // And what it prints for people is it, too.
        let printed = egressim::scenario::import::print(&imported.file, &imported.imported, &imported.sources);
        let again = load(Source::Text { name: "imported.yaml", text: &printed });
        prop_assert_eq!(usable(&again), expected, "{}", printed);
    }
}
