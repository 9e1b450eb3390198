//! Whole files: what a scenario becomes, and how a wrong one is reported.

use super::diagnostic::Severity;
use super::load::{Loaded, Source, load};

fn read(text: &str) -> Loaded {
    load(Source::Text { name: "test.yaml", text })
}

#[test]
fn the_built_in_scenario_loads_without_errors() {
    let loaded = load(super::BUILT_IN);
    assert!(loaded.scenario.is_some(), "{}", loaded.diagnostics.render(&loaded.sources, false));
    assert_eq!(loaded.diagnostics.count(Severity::Warning), 0, "{}", loaded.diagnostics.render(&loaded.sources, false));
}

#[test]
fn tmp() {
    let loaded = read(
        "networks: [{name: a, mtuu: 3}]\nsubnetworks:\n- {name: s, network: b, ipCidrRange: 10.0.0.0/33, purpose: PRIVAT}\n",
    );
    println!("{}", loaded.diagnostics.render(&loaded.sources, false));
    println!("{:#?}", load(super::BUILT_IN).scenario);
}
