//! Settles what an export has and a scenario does not: fields that nobody here needs, things said twice, numbers instead of
//! names, regions that only a link tells.
//!
//! Whatever may hold a secret (metadata, environment variables, annotations) is taken out here, so that no resource has it.

use super::run;
use super::shape::text;
use super::{Import, Kind, Scope};
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::file::ignored;
use crate::scenario::import::path;
use crate::scenario::tree::{Entry, Node, Value, shorten};

/// Names of enum values by their numbers, which JSON made of protocol buffers may have instead.
type Names = &'static [&'static str];

/// <https://github.com/googleapis/googleapis/blob/master/google/cloud/vpcaccess/v1/vpc_access.proto>.
const CONNECTOR_STATES: Names = &["STATE_UNSPECIFIED", "READY", "CREATING", "DELETING", "ERROR", "UPDATING"];
/// <https://github.com/googleapis/googleapis/blob/master/google/cloud/networkconnectivity/v1/policy_based_routing.proto>.
const PROTOCOL_VERSIONS: Names = &["PROTOCOL_VERSION_UNSPECIFIED", "IPV4", "IPV6"];
const OTHER_ROUTES: Names = &["OTHER_ROUTES_UNSPECIFIED", "DEFAULT_ROUTING"];
/// The one constraint that is looked at.
const EGRESS_CONSTRAINT: &str = "run.allowedVPCEgress";

/// The value under a key, to be changed.
pub(super) fn child<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    match &mut node.value {
        Value::Mapping(entries) => entries.iter_mut().find(|it| &*it.key.name == key).map(|it| &mut it.value),
        _ => None,
    }
}

/// The items of a list, to be changed; none of anything else.
pub(super) fn items(node: &mut Node) -> &mut [Node] {
    match &mut node.value {
        Value::Sequence(items) => items,
        _ => &mut [],
    }
}

/// Keeps the entries of a mapping that are wanted.
pub(super) fn retain(node: &mut Node, wanted: impl Fn(&str) -> bool) {
    if let Value::Mapping(entries) = &mut node.value {
        entries.retain(|entry| wanted(&entry.key.name));
    }
}

/// Takes out what the scenario's `resource` accepts and does not use, but for `kept`.
pub(super) fn drop_ignored(node: &mut Node, resource: &str, kept: &[&str]) {
    let ignored = ignored::fields(resource);
    retain(node, |key| kept.contains(&key) || !ignored.contains(&key));
}

/// Writes the name of an enum's value where its number stands.
pub(super) fn name_number(import: &mut Import, node: &mut Node, key: &str, names: Names) {
    let Some(value) = child(node, key) else { return };
    let number = value.text().and_then(|text| text.parse::<usize>().ok());
    if let Some(name) = number.and_then(|number| names.get(number)) {
        *value = import.build.text(value.place, name);
    }
}

/// The project that a resource's link names.
pub(super) fn project(node: &Node) -> Option<&str> {
    let mut segments = text(node, "selfLink")?.split('/');
    segments.find(|segment| *segment == "projects")?;
    segments.next().filter(|project| !project.is_empty())
}

/// Makes a resource fit for a scenario; `false` when it is none of a scenario's.
pub(super) fn prepare(import: &mut Import, kind: Kind, node: &mut Node, scope: &Scope) -> bool {
    // What `merge` and `assume` look at: which resource it is, and which subnets a network has.
    const LINKS: &[&str] = &["selfLink"];
    location(import, kind, node, scope);
    match kind {
        Kind::Network => drop_ignored(node, "Network", &["selfLink", "subnetworks"]),
        Kind::Subnetwork => drop_ignored(node, "Subnetwork", LINKS),
        Kind::Route => return route(import, node),
        Kind::Firewall => drop_ignored(node, "Firewall", LINKS),
        Kind::FirewallPolicy => firewall_policy(node),
        Kind::Address => return address(import, node),
        Kind::Router => drop_ignored(node, "Router", &["selfLink", "creationTimestamp"]),
        Kind::PolicyBasedRoute => {
            drop_ignored(node, "PolicyBasedRoute", LINKS);
            name_number(import, node, "nextHopOtherRoutes", OTHER_ROUTES);
            if let Some(filter) = child(node, "filter") {
                name_number(import, filter, "protocolVersion", PROTOCOL_VERSIONS);
            }
        }
        Kind::Instance => drop_ignored(node, "Instance", LINKS),
        Kind::ForwardingRule => return forwarding_rule(import, node),
        Kind::VpnTunnel => drop_ignored(node, "VpnTunnel", LINKS),
        Kind::InterconnectAttachment => drop_ignored(node, "InterconnectAttachment", LINKS),
        Kind::Connector => connector(import, node),
        Kind::Service => run::service(import, node),
        Kind::WorkerPool => run::worker_pool(import, node),
        Kind::Job => run::job(import, node),
        Kind::Function => run::function(import, node),
        Kind::OrgPolicy => return org_policy(import, node),
    }
    true
}

/// Adds the region or zone that only the link or the list tells.
fn location(import: &mut Import, kind: Kind, node: &mut Node, scope: &Scope) {
    let key = match kind {
        Kind::Subnetwork
        | Kind::Address
        | Kind::Router
        | Kind::ForwardingRule
        | Kind::VpnTunnel
        | Kind::InterconnectAttachment
        | Kind::FirewallPolicy => "region",
        Kind::Instance => "zone",
        _ => return,
    };
    if text(node, key).is_some() {
        return;
    }
    let link = node.get("selfLink");
    let told = link.and_then(|link| Some((link.place, path::parse(link.text()?)?.location?.to_owned())));
    let listed = || Some((node.place, path::location(scope.location.as_deref()?).to_owned()));
    // A policy is global unless it says something else, whatever list it is in.
    let told = if kind == Kind::FirewallPolicy { told } else { told.or_else(listed) };
    if let Some((place, location)) = told.filter(|(_, location)| location != "global") {
        let location = import.build.text(place, location);
        node.put(key, location);
    }
}

fn route(import: &mut Import, node: &mut Node) -> bool {
    // A peer's subnet route is not one of the network's own subnets.
    if node.get("nextHopPeering").is_some() {
        node.take("nextHopNetwork");
    }
    let status = node.get("routeStatus").and_then(|status| Some((status.place, status.text()?.to_owned())));
    if let Some((place, status)) = status.filter(|(_, status)| matches!(status.as_str(), "DROPPED" | "INACTIVE")) {
        let name = text(node, "name").map(shorten).unwrap_or_default();
        let message = format!("route `{name}` is {status}, so no packet takes it: it is left out");
        let help = "remove `routeStatus` to see what the route would do";
        import.push(Diagnostic::warning("route-not-active", message).at(place).help(help));
        return false;
    }
    drop_ignored(node, "Route", &["selfLink"]);
    true
}

/// Rules in the order in which they are evaluated: the same policy may come from two commands.
pub(super) fn firewall_policy(node: &mut Node) {
    drop_ignored(node, "FirewallPolicy", &["selfLink"]);
    if let Some(rules) = child(node, "rules") {
        let priority = |rule: &Node| text(rule, "priority").and_then(|text| text.parse::<i64>().ok());
        items(rules).sort_by_key(priority);
    }
}

fn address(import: &mut Import, node: &mut Node) -> bool {
    // Blocks that Direct VPC egress holds at the moment of the export: the simulation has its own.
    if text(node, "purpose") == Some("SERVERLESS") {
        import.skip("addresses held by Direct VPC egress (SERVERLESS)", node.place);
        return false;
    }
    drop_ignored(node, "ReservedAddress", &["selfLink"]);
    true
}

fn forwarding_rule(import: &mut Import, node: &mut Node) -> bool {
    // The front of what comes in from the internet: nothing leaves by it.
    if let Some(scheme) = text(node, "loadBalancingScheme").filter(|scheme| scheme.starts_with("EXTERNAL")) {
        import.skip(format!("forwarding rules ({})", shorten(scheme)), node.place);
        return false;
    }
    drop_ignored(node, "ForwardingRule", &["selfLink"]);
    true
}

fn connector(import: &mut Import, node: &mut Node) {
    drop_ignored(node, "Connector", &["selfLink"]);
    name_number(import, node, "state", CONNECTOR_STATES);
    // The API gives both and means the numbers of instances: it computes the throughput of them, and in real answers a
    // connector of at most 4 instances has a maxThroughput of 300 (which would be 3).
    for (instances, throughput) in [("minInstances", "minThroughput"), ("maxInstances", "maxThroughput")] {
        if text(node, instances).is_some() {
            node.take(throughput);
        }
    }
    // An empty message is what is not there.
    if node.get("subnet").is_some_and(|subnet| text(subnet, "name").is_none()) {
        node.take("subnet");
    }
}

fn org_policy(import: &mut Import, node: &mut Node) -> bool {
    let constraint = text(node, "name").or_else(|| text(node, "constraint")).unwrap_or_default();
    if path::location(constraint) != EGRESS_CONSTRAINT {
        import.skip("organization policies of other constraints", node.place);
        return false;
    }
    drop_ignored(node, "OrgPolicy", &[]);
    true
}

/// A subnet of `gcloud compute networks subnets list-usable`, which says its name by a link.
pub(super) fn usable_subnetwork(import: &mut Import, mut node: Node) -> Node {
    if let Some(link) = node.take("subnetwork") {
        let told =
            link.text().and_then(path::parse).map(|path| (path.name.to_owned(), path.location.map(str::to_owned)));
        if let Some((name, region)) = told {
            let message = format!(
                "the list of usable subnets does not say whether `{name}` has Private Google Access: assumed not"
            );
            let help =
                "export `gcloud compute networks subnets list --format=json` of the project that has the network";
            import.push(Diagnostic::note("assumed-no-private-access", message).at(link.place).help(help));
            if let Some(region) = region {
                node.put("region", import.build.text(link.place, region));
            }
        }
        // It is in another project, as a rule: the path is kept.
        node.put("name", link);
    }
    node
}

/// A mapping of some entries of another, in a new order.
pub(super) fn entry(key: &'static str, value: Option<Node>) -> Option<Entry> {
    value.filter(|value| !value.is_null()).map(|value| Entry::new(key, value))
}
