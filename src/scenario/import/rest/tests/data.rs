//! Real answers of the APIs, read from outside of the project.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{documents, findings, import_of, skipped};
use crate::scenario::import::{Format, Import, Kind, recognise};

/// The JSON files of folders of real configuration by name, or `None` when there are none.
fn files(folders: &[&str]) -> Option<BTreeMap<String, String>> {
    let Some(data) = std::env::var_os("EGRESSIM_DATA") else {
        eprintln!("skipped: EGRESSIM_DATA is not set");
        return None;
    };
    let mut files = BTreeMap::new();
    for folder in folders {
        let path = PathBuf::from(&data).join("config").join(folder);
        for entry in std::fs::read_dir(path).expect("the folder is there") {
            let path = entry.expect("the folder can be read").path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let name = format!("{folder}/{}", path.file_name().expect("a file").to_string_lossy());
                files.insert(name, std::fs::read_to_string(path).expect("the file can be read"));
            }
        }
    }
    Some(files)
}

fn format_of(text: &str) -> Option<Format> {
    let mut import = Import::default();
    let file = import.sources.add("t", text);
    documents(&mut import, file).first().and_then(recognise)
}

fn counted(import: &Import) -> BTreeMap<Kind, usize> {
    let mut counts = BTreeMap::new();
    for resource in &import.resources {
        *counts.entry(resource.kind).or_default() += 1;
    }
    counts
}

#[test]
fn recorded_answers_give_one_resource_each() {
    let Some(files) = files(&["rest"]) else { return };
    for (name, text) in &files {
        let import = import_of(&[text]);
        // Each file is named for what it was asked for; of Cloud Run one is a job and one a service.
        let expected = match name.rsplit("___http__").next().expect("a name") {
            "address.json" => Kind::Address,
            "network.json" => Kind::Network,
            "subnetwork.json" => Kind::Subnetwork,
            "router.json" => Kind::Router,
            "connector.json" => Kind::Connector,
            "run.json" if name.contains("runjob") => Kind::Job,
            "run.json" => Kind::Service,
            other => panic!("{other}"),
        };
        assert_eq!(counted(&import), BTreeMap::from([(expected, 1)]), "{name}");
        assert!(import.report.is_empty() && import.skipped.is_empty(), "{name}: {:?}", findings(&import));
        let resource = &import.resources[0].node;
        let text = |path: &[&str]| resource.at_path(path).and_then(|node| node.text());
        match expected {
            Kind::Connector => {
                assert_eq!(text(&["maxThroughput"]), None, "{name}");
                assert!(text(&["maxInstances"]).is_some(), "{name}");
            }
            Kind::Job => {
                assert_eq!(text(&["template", "template", "vpcAccess", "egress"]), Some("PRIVATE_RANGES_ONLY"));
                assert_eq!(text(&["terminalCondition", "state"]), Some("CONDITION_SUCCEEDED"));
            }
            _ => {}
        }
    }
}

#[test]
fn a_dump_of_a_kubernetes_project_gives_its_network() {
    let Some(files) = files(&["gcpdiag-gke1"]) else { return };
    let import = import_of(&files.values().map(String::as_str).collect::<Vec<_>>());
    let expected = [
        (Kind::Network, 1),
        (Kind::Subnetwork, 2),
        // Of 46 routes, 44 are subnet routes.
        (Kind::Route, 2),
        (Kind::Firewall, 34),
        (Kind::FirewallPolicy, 1),
        (Kind::Address, 4),
        (Kind::Router, 1),
    ];
    assert_eq!(counted(&import), BTreeMap::from(expected));
    // Both networks have their default route. Subnets were dumped of one region only.
    let codes: Vec<&str> = import.report.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["subnets-not-described"; 2]);
    let policy = import.resources.iter().find(|it| it.kind == Kind::FirewallPolicy).expect("there is one");
    assert_eq!(policy.node.get("rules").map(|rules| rules.items().len()), Some(12));
    assert!(policy.node.get("associations").is_none(), "it is of an organization");
}

#[test]
fn a_dump_of_a_nat_project_gives_routers_and_vms_in_their_order() {
    let Some(files) = files(&["gcpdiag-nat1"]) else { return };
    let texts = |wanted: &str| -> Vec<&str> {
        files.iter().filter(|(name, _)| name.contains(wanted)).map(|(_, text)| text.as_str()).collect()
    };
    // Answers on what the gateway does at the moment are not configuration.
    for (name, text) in &files {
        let observed = ["natMappingInfo", "natIpInfo", "routerStatus"].iter().any(|word| name.contains(word));
        if observed {
            assert_eq!(format_of(text), Some(Format::Observed), "{name}");
        }
        if name.contains("monitoring") {
            assert_eq!(format_of(text), None, "{name}");
        }
    }
    for region in ["europe-west4", "us-central1"] {
        let routers = import_of(&texts(&format!("routers-{region}")));
        assert_eq!(counted(&routers), BTreeMap::from([(Kind::Router, 1)]));
        let vms = import_of(&texts(&format!("instances-{region}")));
        let names: Vec<_> = vms.resources.iter().filter_map(|vm| vm.node.get("name")?.text()).collect();
        assert_eq!(names, ["private-vm-0", "private-vm-1", "private-vm-2", "private-vm-3"]);
    }
    assert_eq!(counted(&import_of(&texts("compute-network-"))), BTreeMap::from([(Kind::Network, 3)]));
    assert_eq!(skipped(&import_of(&texts("/services"))), ["8 serviceusage.googleapis.com/Service"]);
    assert!(import_of(&texts("/project")).resources.is_empty());
}
