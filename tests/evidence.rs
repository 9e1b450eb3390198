//! What others have observed: allocations of a real Cloud NAT, and captures that break parsers. `EGRESSIM_DATA` names the
//! folder that holds them; without it these tests have nothing to do.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use common::{assert_sums, evidence, json_lines, loaded, scenario, scenario_file};
use egressim::scenario::{BUILT_IN, Scenario};
use egressim::simulation;
use egressim::simulation::replay::{Options, ReplayError, replay};
use serde_json::Value;

/// One observation: what was configured, and what came of it.
fn observations(data: &Path) -> Vec<Value> {
    let path = data.join("cloud-nat/port-allocation-observed.json");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("a list of observations")
}

/// A network of these VMs behind a gateway as it was configured.
fn network_of(input: &Value) -> String {
    let mut yaml = String::from(
        "name: observed\nduration: 70s\nnetworks: [{name: vpc}]\n\
         hosts: [{name: far, address: 198.51.100.7, ports: [443]}]\n",
    );
    let vms: Vec<(&str, Ipv4Addr)> = (input["vms"].as_array().expect("a list").iter())
        .map(|vm| vm.as_str().and_then(|vm| vm.split_once(' ')).expect("name and address"))
        .map(|(name, address)| (name, address.parse().expect("an address")))
        .collect();
    let [a, b, c, _] = vms[0].1.octets();
    let _ = writeln!(
        yaml,
        "subnetworks: [{{name: sub, network: vpc, region: europe-west4, ipCidrRange: {a}.{b}.{c}.0/24}}]\ninstances:"
    );
    for (name, address) in vms {
        let _ = writeln!(
            yaml,
            "- {{name: {name}, zone: europe-west4-a, networkInterfaces: [{{subnetwork: sub, networkIP: {address}}}]}}"
        );
    }
    let nat_ips: Vec<&str> =
        input["nat_ips"].as_array().into_iter().flatten().map(|ip| ip.as_str().expect("an address")).collect();
    if !nat_ips.is_empty() {
        yaml += "addresses:\n";
    }
    for (index, ip) in nat_ips.iter().enumerate() {
        let _ = writeln!(yaml, "- {{name: ip-{index}, region: europe-west4, address: {ip}}}");
    }
    let allocate = input["allocate"].as_str().expect("an option");
    let _ = write!(
        yaml,
        "routers:\n- name: router\n  network: vpc\n  region: europe-west4\n  nats:\n  - name: gw\n    \
         natIpAllocateOption: {allocate}\n    sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES\n    \
         enableDynamicPortAllocation: {}\n",
        input["dynamic"]
    );
    if let Some(ports) = input["min_ports_per_vm"].as_u64() {
        let _ = writeln!(yaml, "    minPortsPerVm: {ports}");
    }
    if !nat_ips.is_empty() {
        let names: Vec<String> = (0..nat_ips.len()).map(|index| format!("ip-{index}")).collect();
        let _ = writeln!(yaml, "    natIps: [{}]", names.join(", "));
    }
    yaml
}

#[test]
fn observed_allocations_come_out_exactly() {
    let Some(data) = evidence() else { return };
    let mut compared = 0;
    for observation in observations(&data) {
        let out = &observation["out"];
        let Some(mappings) = out["mappings"].as_object() else { continue };
        let source = &observation["source"];
        let folder = tempfile::tempdir().expect("a temporary folder");
        let target = folder.path().join("out");
        let scenario = scenario(&network_of(&observation["in"]));
        let summary = simulation::run(&scenario, Some(&target), &mut |_| ControlFlow::Continue(())).expect("it runs");
        let summary = serde_json::to_value(summary).expect("plain data");
        let gateway = &summary["gateways"][0];

        // Which VM is served is chance; what the served ones get is not.
        let ranges = |value: &Value| -> Vec<String> {
            let list = value.as_array().expect("a list of ranges").iter();
            list.map(|range| range.as_str().expect("a text").to_owned()).collect()
        };
        let mut observed: Vec<_> = mappings.values().map(ranges).collect();
        let none = out["no_mapping"].as_array().expect("a list").len();
        observed.extend(std::iter::repeat_n(Vec::new(), none));
        observed.sort();
        let endpoints = gateway["endpoints"].as_array().expect("a list");
        let mut simulated: Vec<_> = endpoints.iter().map(|endpoint| ranges(&endpoint["natIpPortRanges"])).collect();
        simulated.sort();
        assert_eq!(simulated, observed, "{source}");
        assert_eq!(gateway["minExtraNatIpsNeeded"], out["minExtraNatIpsNeeded"], "{source}");
        let served = simulated.iter().filter(|ranges| !ranges.is_empty()).count();
        assert_eq!(out["numVmEndpointsWithNatMappings"], served, "{source}");

        // `nat_allocation_failed` as the summary has it, and as the metric has it (sampled at 60 s).
        let failed = out["nat_allocation_failed"].as_bool().unwrap_or(none > 0);
        assert_eq!(gateway["allocationFailed"], failed, "{source}");
        let metrics = json_lines(&target.join("metrics.jsonl"));
        let metric = metrics.iter().rfind(|line| {
            line["metric"]["type"].as_str().is_some_and(|name| name.ends_with("nat/nat_allocation_failed"))
        });
        let metric = metric.unwrap_or_else(|| panic!("{source}: no series nat_allocation_failed"));
        assert_eq!(metric["points"][0]["value"]["boolValue"], failed, "{source}: {metric}");
        compared += 1;
    }
    assert_eq!(compared, 2, "both observed allocations were compared");
}

#[test]
fn the_first_port_of_an_automatic_address_is_the_observed_one() {
    let Some(data) = evidence() else { return };
    let observations = observations(&data);
    let observation = observations.iter().find(|observation| observation["out"]["first_nat_port"].is_u64());
    let observation = observation.expect("one observation is a log entry");
    let vm = observation["in"]["vms"][0].as_str().expect("a VM");
    let (name, address) = vm.split_once(' ').expect("name and address");
    let summary = simulation::run(&scenario(&network_of(&observation["in"])), None, &mut |_| ControlFlow::Continue(()))
        .expect("it runs");
    let endpoint = &summary.gateways[0].endpoints[0];
    assert_eq!((endpoint.name.as_str(), endpoint.address.as_str()), (name, address));
    // 64 ports, the default without dynamic allocation; the lowest one is the first to be used.
    let first = observation["out"]["first_nat_port"].as_u64().expect("a port");
    let ports = format!(":{first}-{}", first + 63);
    assert!(endpoint.ports.nat_ip_port_ranges[0].ends_with(&ports), "{:?}", endpoint.ports.nat_ip_port_ranges);
}

/// All files below a folder, sorted.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() { found.extend(below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Replays a capture; every record of it is accounted for. Returns why records were not used, or why none could be.
fn replayed(scenario: &Scenario, path: &Path) -> BTreeSet<String> {
    let options = Options { captures: vec![path.to_owned()], ..Options::default() };
    let summary = match replay(scenario, &options, &mut |_| ControlFlow::Continue(())) {
        Ok(summary) => serde_json::to_value(summary).expect("plain data"),
        Err(error @ (ReplayError::Capture(_) | ReplayError::Nothing { .. })) => {
            let text = error.to_string();
            assert!(text.contains(&*path.file_name().expect("a name").to_string_lossy()), "{text}");
            return BTreeSet::from(["nothing".into()]);
        }
        Err(error) => panic!("{}: {error}", path.display()),
    };
    assert_sums(&summary);
    let captures = &summary["captures"];
    let skipped: BTreeMap<String, u64> = serde_json::from_value(captures["skipped"].clone()).expect("counts");
    let records = captures["files"][0]["records"].as_u64();
    let sent = summary["packets"]["sent"].as_u64().expect("a count");
    // Nobody answers in a replay: what is not sent was skipped, for a reason that is told.
    assert_eq!(records, Some(sent + skipped.values().sum::<u64>()), "{}: {summary:#}", path.display());
    if let Some(damage) = captures["files"][0].get("damage").and_then(Value::as_str) {
        assert!(damage.contains("at byte "), "{}: {damage}", path.display());
    }
    skipped.into_keys().collect()
}

#[test]
fn every_capture_replays_through_a_connector_and_by_direct_vpc_egress() {
    let Some(data) = evidence() else { return };
    let (connector, direct) = (loaded(BUILT_IN), scenario_file("scenarios/direct-vpc.yaml"));
    let files: Vec<_> =
        ["odd", "traffic"].iter().flat_map(|folder| below(&data.join("captures").join(folder))).collect();
    assert!(files.len() > 800, "{} captures under {}", files.len(), data.display());
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for path in &files {
        let through = [&connector, &direct].map(|scenario| replayed(scenario, path));
        assert_eq!(through[0], through[1], "{}: what can be used depends on the capture alone", path.display());
        through[0].iter().for_each(|reason| *reasons.entry(reason.clone()).or_default() += 1);
    }
    println!("{} captures; not used, by reason and number of captures: {reasons:#?}", files.len());
}

#[test]
fn a_capture_of_the_clients_side_alone_still_tells_which_connections_came_to_be() {
    let Some(data) = evidence() else { return };
    let captures = vec![data.join("captures/traffic/whatsapp.pcap")];
    let direct = scenario_file("scenarios/direct-vpc.yaml");
    let options = Options { captures, ..Options::default() };
    let summary = replay(&direct, &options, &mut |_| ControlFlow::Continue(())).expect("it is readable");
    // It holds no packet of any server, but each client acknowledges its SYN-ACK.
    let connections = &summary.connections;
    assert_eq!((connections.attempted, connections.established, connections.failed), (86, 86, 0));
}

/// An effective firewall of a real project, and which of its rules decides about packets that its own words tell of.
#[test]
fn a_real_effective_firewall_decides_as_its_rules_say() {
    use egressim::network::Network;
    use egressim::node::firewall::Headers;
    use egressim::time::SimTime;
    use egressim::trace::PortId;

    let Some(data) = evidence() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dump = data.join("config/gcpdiag-gke1/compute-effective-firewalls-default.json");
    fs::copy(dump, folder.path().join("effective.json")).expect("the dump is there");
    // Nodes of the project's clusters, by their network tags.
    let vms = [
        ("plain", "none"),
        ("custom", "gke-gke2-custom-tag"),
        ("gke1", "gke-gke1-c10b95be-node"),
        ("gke3", "gke-gke3-15974e23-node"),
    ];
    let mut yaml = String::from(
        "networks: [{name: default}]\ninclude: [effective.json]\n\
         subnetworks: [{name: sub, network: default, region: europe-west4, ipCidrRange: 10.164.0.0/20}]\ninstances:\n",
    );
    for (number, (name, tag)) in vms.iter().enumerate() {
        let _ = writeln!(
            yaml,
            "- {{name: {name}, zone: europe-west4-a, tags: {{items: [{tag}]}}, \
             networkInterfaces: [{{subnetwork: sub, networkIP: 10.164.0.{}}}]}}",
            number + 2
        );
    }
    let path = folder.path().join("scenario.yaml");
    fs::write(&path, yaml).expect("the folder can be written to");
    let scenario = loaded(egressim::scenario::load::Source::Path(&path));
    let network = Network::new(&scenario);
    for (to, from, protocol, port, expected) in [
        // The organization's policy: IAP may come in to its ports, private ranges are up to the rules, others may not.
        ("plain", "35.235.240.9", "tcp", 22, "policy 600"),
        ("plain", "35.235.240.9", "tcp", 5902, "policy 700"),
        ("plain", "198.51.100.7", "tcp", 22, "policy 700"),
        ("plain", "34.82.66.7", "tcp", 22, "policy 0"),
        ("plain", "34.82.66.7", "icmp", 0, "policy 700"),
        ("plain", "10.164.0.9", "tcp", 22, "default-allow-ssh"),
        ("plain", "10.1.2.3", "icmp", 0, "default-allow-icmp"),
        ("plain", "10.164.0.9", "udp", 53, "default-allow-internal"),
        ("plain", "10.1.2.3", "udp", 53, "default-deny-ingress"),
        // Health checks are handed on, and meet a rule of the network that denies.
        ("plain", "35.191.0.9", "tcp", 8080, "gke-gke4-ingress-test-deny"),
        ("plain", "35.191.0.9", "tcp", 80, "default-deny-ingress"),
        ("gke3", "35.191.0.9", "tcp", 30000, "k8s-fw-l7--086980d560943668"),
        ("plain", "35.199.224.9", "tcp", 667, "default-deny-ingress"),
        ("plain", "35.199.224.9", "tcp", 668, "policy 700"),
        // A deny at 900 comes before what is allowed at 1000 and at 65534.
        ("custom", "10.164.0.9", "tcp", 443, "gke-gke2-all-test-deny"),
        ("custom", "10.164.0.9", "udp", 53, "gke-gke2-vms-test-deny"),
        ("custom", "10.164.0.9", "tcp", 1001, "default-allow-internal"),
        // At 1000 deny comes before allow, and 999 before both.
        ("gke1", "10.164.0.9", "tcp", 10255, "gke-gke1-c10b95be-exkubelet"),
        ("gke1", "192.168.1.5", "tcp", 10255, "gke-gke1-c10b95be-inkubelet"),
        ("gke1", "192.168.1.5", "tcp", 10256, "gke-gke1-c10b95be-all"),
    ] {
        let number = vms.iter().position(|(name, _)| *name == to).expect("a VM");
        let (from, here): (Ipv4Addr, Ipv4Addr) = (from.parse().unwrap(), scenario.vms[number].address);
        let headers = match protocol {
            "tcp" => Headers::tcp(from, here, port),
            "udp" => Headers::udp(from, here, port),
            _ => Headers::portless(from, here, 1),
        };
        let interface = PortId(number as u32 + 1);
        let ruling = network.firewall(0).permits(interface, true, &headers, SimTime::ZERO);
        let decisive = match ruling.info.policy {
            Some(_) => format!("policy {}", ruling.info.priority.expect("a rule has a priority")),
            None => ruling.info.display_name.clone(),
        };
        assert_eq!(decisive, expected, "{from} to {to} {protocol}/{port}: {}", ruling.description);
    }
}
