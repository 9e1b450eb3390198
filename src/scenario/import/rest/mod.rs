//! What gcloud and the REST APIs print: one resource, an array of them, a page of a list, an aggregated list, the effective
//! firewalls of a network. The resources are in the shape of a scenario already; what is left to do is to tell them apart
//! ([`shape`]), to settle what an export says twice or by numbers ([`prepare`]), and to see what only a whole list tells
//! ([`complete`]): that a network has no default route any more, which subnet is a connector's.

use std::collections::HashSet;

use super::{Import, Kind};
use crate::scenario::diagnostic::{Diagnostic, FileId, Place};
use crate::scenario::tree::{Entry, Node, Value, shorten};

mod complete;
mod firewalls;
mod prepare;
mod run;
mod shape;

pub(super) use complete::complete;
use shape::{Shape, shape};

/// How deep lists of lists are followed: an aggregated list in an array of pages is the deepest that exists.
const MAX_DEPTH: usize = 8;

/// What was seen of lists, for what only a whole one tells.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Texts with a list in them, not only single resources.
    lists: HashSet<FileId>,
    /// Texts whose lists go on elsewhere.
    partial: HashSet<FileId>,
}

/// Where the resources of a list are, as the list says it.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub project: Option<String>,
    /// `regions/us-central1`, `zones/us-central1-a`, a location, or `global`.
    pub location: Option<String>,
}

/// Whether a document is of these formats. A scenario as people write it is not: its lists have bare names in them.
pub(super) fn claims(node: &Node) -> bool {
    shape::is_document(node)
}

/// Reads a document that was claimed.
pub(super) fn read(import: &mut Import, node: Node) {
    document(import, node, &Scope::default(), 0);
}

fn document(import: &mut Import, node: Node, scope: &Scope, depth: usize) {
    let place = node.place;
    if depth > MAX_DEPTH {
        return import.skip("lists of lists of lists", place);
    }
    match node.value {
        Value::Sequence(items) => {
            import.rest.lists.insert(place.file);
            items.into_iter().for_each(|item| document(import, item, scope, depth + 1));
        }
        Value::Scalar(_) => import.skip("values that are no resources", place),
        Value::Mapping(_) => mapping(import, node, scope, depth),
    }
}

fn mapping(import: &mut Import, mut node: Node, scope: &Scope, depth: usize) {
    let place = node.place;
    match shape(&node) {
        Some(Shape::Resource(kind)) => add(import, kind, node, scope),
        Some(Shape::UsableSubnetwork) => {
            let node = prepare::usable_subnetwork(import, node);
            add(import, Kind::Subnetwork, node, scope);
        }
        Some(Shape::List) => {
            remarks(import, &node);
            if let Some(items) = node.take("items") {
                list(import, items, scope, depth);
            }
        }
        Some(Shape::Body(key)) => {
            remarks(import, &node);
            if let Some(items) = node.take(key) {
                document(import, items, scope, depth + 1);
            }
        }
        Some(Shape::EffectiveFirewalls) => firewalls::effective(import, node, scope),
        Some(Shape::FlatFirewalls) => {
            once(import, place, "flat-effective-firewalls", |place| {
                let message = "effective firewalls as a table have lost ports and targets: they are left out";
                let help = "export them with `gcloud compute networks get-effective-firewalls NETWORK --format=json`";
                Diagnostic::warning("flat-effective-firewalls", message).at(place).help(help)
            });
            import.skip("effective firewall rules of a table", place);
        }
        Some(Shape::Gateway) => {
            let name = shape::text(&node, "name").map(shorten).unwrap_or_default();
            let message = format!("NAT gateway `{name}` does not say which router it is of: it is left out");
            let help = "export the router, which has its gateways in it: `gcloud compute routers describe ROUTER`";
            let at = node.get("name").map_or(place, |name| name.place);
            import.push(Diagnostic::warning("gateway-without-router", message).at(at).help(help));
            import.skip("NAT gateways without their router", place);
        }
        Some(Shape::PeeringRoute) => {
            once(import, place, "peering-routes", |place| {
                let message = "routes of `peerings list-routes` do not say which network and peering they are of: \
                               they are left out";
                let help = "export the network with its peerings and, for ranges of peers, \
                            `gcloud compute routes list --format=json`";
                Diagnostic::warning("peering-routes", message).at(place).help(help)
            });
            import.skip("routes of `peerings list-routes`", place);
        }
        Some(Shape::Other(what)) => import.skip(what, place),
        None => import.skip("mappings that are no known resource", place),
    }
}

/// Adds a finding unless one of its code is there for this text: a list of a thousand needs no thousand findings.
fn once(import: &mut Import, place: Place, code: &str, make: impl FnOnce(Place) -> Diagnostic) {
    let there = |finding: &Diagnostic| finding.code == code && finding.place.is_some_and(|at| at.file == place.file);
    if !import.report.iter().any(there) {
        import.push(make(place));
    }
}

/// The items of a list: an array, or by region and zone in an aggregated list.
fn list(import: &mut Import, items: Node, scope: &Scope, depth: usize) {
    let entries = match items.value {
        Value::Mapping(entries) => entries,
        _ => return document(import, items, scope, depth + 1),
    };
    import.rest.lists.insert(items.place.file);
    for Entry { key, value } in entries {
        remarks(import, &value);
        let scope = Scope { location: Some(key.name.to_string()), ..scope.clone() };
        let Value::Mapping(parts) = value.value else { continue };
        for part in parts {
            if matches!(part.value.value, Value::Sequence(_)) {
                document(import, part.value, &scope, depth + 1);
            }
        }
    }
}

/// What a list says of itself: that it is not all there is.
fn remarks(import: &mut Import, node: &Node) {
    import.rest.lists.insert(node.place.file);
    if let Some(token) = node.get("nextPageToken").filter(|token| token.text().is_some_and(|text| !text.is_empty())) {
        import.rest.partial.insert(token.place.file);
        let message = "the list goes on on another page: what is there is known only if that is imported, too";
        let help = "gcloud's `list` commands get all pages";
        import.push(Diagnostic::note("more-pages", message).at(token.place).help(help));
    }
    let unreachable = ["unreachable", "unreachables"].into_iter().filter_map(|key| node.get(key));
    let places: Vec<&Node> = unreachable.flat_map(Node::items).collect();
    if let Some(first) = places.first() {
        let names: Vec<String> = places.iter().filter_map(|place| place.text()).take(5).map(shorten).collect();
        let message = format!("the list is not complete: {} did not answer", names.join(", "));
        let finding = Diagnostic::warning("incomplete-list", message).at(first.place).help("export it again");
        import.rest.partial.insert(first.place.file);
        import.push(finding);
    }
    // A region without any says so by a warning, too.
    let code = node.at_path(&["warning", "code"]).filter(|code| code.text() != Some("NO_RESULTS_ON_PAGE"));
    if let Some(code) = code {
        let what = node.at_path(&["warning", "message"]).or(Some(code)).and_then(Node::text).unwrap_or_default();
        let message = format!("the list came with a warning: {}", shorten(what));
        import.rest.partial.insert(code.place.file);
        import.push(Diagnostic::warning("incomplete-list", message).at(code.place).help("export it again"));
    }
}

/// Adds a resource in the shape of its API.
pub(super) fn add(import: &mut Import, kind: Kind, mut node: Node, scope: &Scope) {
    if !matches!(node.value, Value::Mapping(_)) {
        return import.skip("values that are no resources", node.place);
    }
    if kind == Kind::Function && run::is_old(&node) {
        node = run::old_function(import, node);
    }
    if prepare::prepare(import, kind, &mut node, scope) {
        let project = prepare::project(&node).map(str::to_owned).or_else(|| scope.project.clone());
        import.add_of(project, kind, node);
    }
}

#[cfg(test)]
pub(super) mod tests;
