//! The effective firewalls of a network: its VPC rules, and all policies in force for it.
//!
//! The answer does not name the network, but each VPC rule does; where there is none, the only network of the scenario is
//! meant. Policies of the network have no associations here: that they are printed says that they are in force.

use super::shape::text;
use super::{Import, Kind, Scope, add};
use crate::scenario::import::path;
use crate::scenario::tree::{Node, Value};

pub(super) fn effective(import: &mut Import, mut node: Node, scope: &Scope) {
    let firewalls = list(node.take("firewalls"));
    let network =
        firewalls.iter().find_map(|rule| rule.get("network").filter(|network| network.text().is_some())).cloned();
    let project = firewalls.iter().find_map(super::prepare::project).map(str::to_owned);
    for rule in firewalls {
        add(import, Kind::Firewall, rule, scope);
    }
    for mut policy in list(node.take("firewallPolicys")) {
        let of_network = text(&policy, "type").is_some_and(|kind| kind != "HIERARCHY" && kind != "UNSPECIFIED");
        if let Some(network) = network.as_ref().filter(|_| of_network && policy.get("associations").is_none()) {
            let (place, name) = (network.place, network.text().unwrap_or_default());
            let short = import.build.text(place, path::location(name));
            let fields = [("name", short), ("attachmentTarget", network.clone())];
            let association = import.build.mapping(place, fields);
            let associations = import.build.list(place, vec![association]);
            if matches!(policy.value, Value::Mapping(_)) {
                policy.put("associations", associations);
            }
        }
        // An organization's policy is of no project.
        let project = project.clone().filter(|_| of_network);
        add(import, Kind::FirewallPolicy, policy, &Scope { project, location: None });
    }
    if let Some(old) = node.take("organizationFirewalls") {
        list(Some(old)).iter().for_each(|policy| import.skip("organizationFirewalls", policy.place));
    }
}

fn list(node: Option<Node>) -> Vec<Node> {
    match node.map(|node| node.value) {
        Some(Value::Sequence(items)) => items,
        _ => Vec::new(),
    }
}
