//! Real configuration of other people: all of it imports, what is good runs and is traced, what is wrong gets its finding.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use egressim::probe::probe;
use egressim::scenario::Scenario;
use egressim::scenario::load::Loaded;
use egressim::trace::Disposition;
use egressim::wire::Protocol;
use serde_json::Value;

use super::common::{egressim, evidence};
use super::{files_below, findings, import, usable};

fn config() -> Option<PathBuf> {
    Some(evidence()?.join("config"))
}

/// What becomes of a connection to a public address on port 443.
fn outcome(scenario: &Scenario, workload: usize) -> String {
    let to = IpAddr::from([198, 51, 100, 7]);
    let probe = probe(scenario, workload, to, 443, Protocol::Tcp).expect("an instance sends");
    let disposition: Disposition = probe.trace.disposition;
    disposition.cause().map_or(disposition.name(), |cause| cause.name()).to_owned()
}

/// Files that tell nothing of a network, or only of what was observed of one.
const OTHERS: [&str; 4] = ["project.json", "services.json", "monitoring-query", "-routerStatus-"];

#[test]
fn every_file_imports_by_itself() {
    let Some(config) = config() else { return };
    let files = files_below(&config);
    assert!(files.len() > 50, "{}", files.len());
    for path in files {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let loaded = import(std::slice::from_ref(&path));
        let told = loaded.diagnostics.render(&loaded.sources, false);
        // The one manifest with mistakes that Google refuses.
        if name == "10-egress-without-connector-kpc.yaml" {
            assert!(loaded.scenario.is_none());
            continue;
        }
        let scenario = usable(&loaded);
        let resources = scenario.networks.len() + scenario.workloads.len() + scenario.nat_gateways.len();
        let other = OTHERS.iter().any(|other| name.contains(other))
            || name.contains("natIpInfo")
            || name.contains("natMappingInfo")
            || name.contains("address")
            || matches!(name.as_str(), "project.tf" | "variables.tf");
        assert!(resources > 0 || other, "{}: nothing was read\n{told}", path.display());
    }
}

#[test]
fn a_workload_of_any_file_is_traced() {
    let Some(config) = config() else { return };
    let mut traced = 0;
    for path in files_below(&config) {
        let loaded = import(&[path]);
        let Some(scenario) = &loaded.scenario else { continue };
        for workload in 0..scenario.workloads.len() {
            outcome(scenario, workload);
            traced += 1;
        }
    }
    assert!(traced >= 9, "{traced}");
}

#[test]
fn each_manifest_gets_the_findings_it_deserves() {
    let Some(config) = config() else { return };
    let of = |name: &str| import(&[config.join("knative").join(name)]);
    // All traffic into a network of which nothing is known: no Cloud NAT was described.
    for name in ["01-api-connector-all-traffic.yaml", "02-my-api-direct-vpc-all-traffic.yaml"] {
        let loaded = of(name);
        assert_eq!(findings(&loaded), ["no-cloud-nat 4"], "{name}");
        assert_eq!(outcome(usable(&loaded), 0), "NO_EXTERNAL_ADDRESS", "{name}");
    }
    let loaded = of("03-ferrox-server-connector-private.yaml");
    assert_eq!(findings(&loaded), Vec::<String>::new());
    assert_eq!(outcome(usable(&loaded), 0), "DELIVER", "by Cloud Run's own way");
    let loaded = of("07-bad-annotations-on-service-shield.yaml");
    assert_eq!(findings(&loaded), ["misplaced-annotation 8"]);
    assert_eq!(outcome(usable(&loaded), 0), "DELIVER", "by Cloud Run's own way");
    assert_eq!(findings(&of("10-egress-without-connector-kpc.yaml")), ["missing-name 2", "egress-without-vpc 9"]);
}

#[test]
fn googles_terraform_samples_do_what_their_documentation_says() {
    let Some(config) = config() else { return };
    let of = |name: &str| import(&[config.join("terraform/docs-samples/run").join(name)]);
    let addresses = |loaded: &Loaded| usable(loaded).nat_gateways.len();
    // A connector, a router with a static address: everything leaves from it.
    let loaded = of("static_outbound");
    assert_eq!(outcome(usable(&loaded), 0), "DELIVER");
    assert_eq!(addresses(&loaded), 1);
    // The sample's network is in auto mode, since nothing says otherwise.
    let network = loaded.file.networks[0].auto_create_subnetworks.as_ref();
    assert!(network.is_none_or(|auto| auto.value));
    let loaded = of("vpc_access_connector");
    assert_eq!(outcome(usable(&loaded), 0), "DELIVER");
    // Private ranges only, by default: the internet is reached without the VPC.
    let loaded = of("direct_vpc");
    assert_eq!(outcome(usable(&loaded), 0), "DELIVER");
    let subnet = &usable(&loaded).subnetworks[0];
    assert_eq!((subnet.name.as_str(), subnet.range.to_string().as_str()), ("default", "10.128.0.0/20"));
}

#[test]
fn resources_of_one_recording_form_one_network() {
    let Some(config) = config() else { return };
    let rest = config.join("rest");
    let mut groups: std::collections::BTreeMap<String, Vec<PathBuf>> = std::collections::BTreeMap::new();
    for path in files_below(&rest) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let (group, _) = name.split_once("___http__").expect("a recording");
        groups.entry(group.to_owned()).or_default().push(path);
    }
    assert_eq!(groups.len(), 9);
    for (group, paths) in groups {
        let loaded = import(&paths);
        let scenario = usable(&loaded);
        let assumed = loaded.diagnostics.iter().filter(|finding| finding.code.starts_with("assumed-network"));
        assert_eq!(assumed.count(), 0, "{group}: the network is described");
        assert_eq!(scenario.networks.len(), 1, "{group}");
    }
}

/// `(VM, its address, range of ports)` of what `get-nat-mapping-info` prints.
fn mappings(info: &Value) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let items = info.get("result").unwrap_or(info).as_array().expect("a list").clone();
    for item in items {
        for interface in item["interfaceNatMappings"].as_array().expect("a list") {
            for range in interface["natIpPortRanges"].as_array().into_iter().flatten() {
                let text = |value: &Value| value.as_str().expect("text").to_owned();
                found.push((text(&item["instanceName"]), text(&interface["sourceVirtualIp"]), text(range)));
            }
        }
    }
    found.sort();
    found
}

/// The dump holds one network at two times, in two regions.
fn nat1(config: &Path, region: &str, name: &str) -> Vec<PathBuf> {
    let dump = config.join("gcpdiag-nat1");
    let network = name
        .replace("public", "nat")
        .replace("nat_cloud_router", "vpc_network")
        .replace("nat-cloud-router", "vpc-network");
    [
        format!("compute-instances-{region}-{}.json", "a"),
        format!("compute-routers-{region}.json"),
        format!("compute-routers-natMappingInfo-{name}.json"),
        format!("compute-routers-routerStatus-{name}.json"),
        format!("compute-network-{network}.json"),
    ]
    .into_iter()
    .map(|file| dump.join(file))
    .collect()
}

#[test]
fn the_ports_of_a_real_gateway_are_simulated_as_they_were_observed() {
    let Some(config) = config() else { return };
    for (region, name) in [("europe-west4", "public-nat-cloud-router"), ("us-central1", "public_nat_cloud_router")] {
        let paths = nat1(&config, region, name);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let imported = egressim(folder.path()).arg("import").arg("-q").args(&paths).assert().success();
        let scenario = folder.path().join("nat1.yaml");
        std::fs::write(&scenario, &imported.get_output().stdout).expect("written");
        let run = ["run", "nat1.yaml", "--out", "out", "--format", "json", "-q"];
        let run = egressim(folder.path()).args(run).assert().success();
        let read = |path: &Path| {
            let text = std::fs::read_to_string(path).expect("the file is there");
            serde_json::from_str::<Value>(&text).expect("JSON")
        };
        let observed = mappings(&read(&paths[2]));
        let simulated = mappings(&read(&folder.path().join("out/nat_mapping_info.json")));
        // The address itself is not in the dump's configuration, but in its status: the same one.
        assert_eq!(simulated, observed, "{region}");
        assert_eq!(observed.len(), 3);
        let summary: Value = serde_json::from_slice(&run.get_output().stdout).expect("one JSON document");
        assert_eq!(summary["gateways"][0]["minExtraNatIpsNeeded"], 2);
        assert_eq!(summary["gateways"][0]["natIps"].as_array().map(Vec::len), Some(1));
        assert_eq!(summary["observed"]["natMappings"]["equal"], 3, "{:#}", summary["observed"]);
    }
}

#[test]
fn a_cluster_of_exports_keeps_its_routes_and_rules() {
    let Some(config) = config() else { return };
    let loaded = import(&[config.join("gcpdiag-gke1")]);
    let scenario = usable(&loaded);
    assert_eq!(scenario.nat_gateways.len(), 1);
    assert!(scenario.firewall_rules.len() >= 30, "{}", scenario.firewall_rules.len());
}
