//! One network in the words of every format is one scenario. `make.py` beside the files writes what machines would print.

use std::path::PathBuf;

use egressim::scenario::Scenario;

use super::{fixture, import, usable};

/// The scenario of some files, without what configuration by hand cannot say: the name that Google gives a network's default
/// route. Custom routes come in the order of their names.
fn scenario(files: &[&str]) -> Scenario {
    let paths: Vec<PathBuf> = files.iter().map(|file| fixture(file)).collect();
    let loaded = import(&paths);
    let mut scenario = usable(&loaded).clone();
    for route in &mut scenario.routes {
        if route.dest.prefix_len() == 0 {
            route.name = "default".into();
        }
    }
    scenario.routes.sort_by(|one, other| one.name.cmp(&other.name));
    scenario.firewall_rules.sort_by(|one, other| one.rule.name.cmp(&other.rule.name));
    scenario
}

const NETWORK: [&str; 7] = [
    "gcloud/networks.json",
    "gcloud/subnetworks.json",
    "gcloud/routes.json",
    "gcloud/firewalls.json",
    "gcloud/addresses.json",
    "gcloud/router.json",
    "gcloud/connectors.json",
];

/// Shows the lines in which two scenarios differ.
#[track_caller]
fn assert_same(one: &Scenario, other: &Scenario, what: &str) {
    let lines = |scenario: &Scenario| format!("{scenario:#?}").lines().map(str::to_owned).collect::<Vec<_>>();
    let (one_lines, other_lines) = (lines(one), lines(other));
    let same = one_lines.iter().zip(&other_lines).take_while(|(one, other)| one == other).count();
    let near = |lines: &[String]| lines[same.saturating_sub(12)..(same + 3).min(lines.len())].join("\n");
    assert!(one == other, "{what} differs:\n{}\n---\n{}", near(&one_lines), near(&other_lines));
}

#[test]
fn the_same_network_is_the_same_scenario_in_every_format() {
    let first = scenario(&["gcloud"]);
    assert_eq!((first.networks.len(), first.subnetworks.len(), first.workloads.len()), (1, 2, 3));
    assert_eq!(first.firewall_rules.len(), 2);
    assert_eq!(first.routes.len(), 2, "the default route and one of the people's own");
    let knative: Vec<&str> = NETWORK.into_iter().chain(["services.yaml"]).collect();
    let others: [(&str, &[&str]); 7] = [
        ("Cloud Asset Inventory", &["assets.jsonl"]),
        ("Knative", &knative),
        ("a Terraform plan", &["plan.json"]),
        ("a Terraform state", &["state.json"]),
        ("a raw Terraform state", &["raw.tfstate"]),
        ("Terraform configuration", &["terraform"]),
        ("gcloud commands", &["setup.sh"]),
    ];
    for (format, files) in others {
        assert_same(&first, &scenario(files), format);
    }
}

#[test]
fn several_descriptions_of_one_network_are_one_network() {
    let all =
        scenario(&["gcloud", "assets.jsonl", "services.yaml", "state.json", "plan.json", "terraform", "setup.sh"]);
    assert_same(&scenario(&["gcloud"]), &all, "all together");
}

#[test]
fn none_of_them_shows_a_secret() {
    for file in
        ["gcloud", "assets.jsonl", "services.yaml", "plan.json", "state.json", "raw.tfstate", "terraform", "setup.sh"]
    {
        let loaded = import(&[fixture(file)]);
        let text = egressim::scenario::import::print(&loaded.file, &loaded.imported, &loaded.sources);
        let told = loaded.diagnostics.render(&loaded.sources, false);
        let merged = serde_json::to_string(&loaded.file).expect("JSON");
        for shown in [text, told, merged] {
            assert!(!shown.contains("not-for-your-eyes"), "{file}: {shown}");
        }
    }
}
