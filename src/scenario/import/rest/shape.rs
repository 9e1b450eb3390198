//! What a mapping is: by its `kind`, its `selfLink`, its full name, else by fields that only one kind of resource has.

use crate::scenario::import::Kind;
use crate::scenario::tree::{Node, Value};

/// What a mapping is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    Resource(Kind),
    /// A subnet as `gcloud compute networks subnets list-usable` prints it.
    UsableSubnetwork,
    /// A list of Compute Engine, with `items`.
    List,
    /// A page of a list of another API, under this key.
    Body(&'static str),
    /// `gcloud compute networks get-effective-firewalls --format=json`.
    EffectiveFirewalls,
    /// A row of what the same command prints without that.
    FlatFirewalls,
    /// `gcloud compute routers nats describe`: a gateway without its router.
    Gateway,
    /// `gcloud compute networks peerings list-routes`.
    PeeringRoute,
    /// Something of Google's that the simulator has no use for.
    Other(String),
}

/// Lists that the APIs beside Compute Engine call by what is in them.
const BODIES: [&str; 7] =
    ["connectors", "services", "jobs", "workerPools", "functions", "policyBasedRoutes", "policies"];
/// What stands beside them.
const BESIDE: [&str; 5] = ["nextPageToken", "unreachable", "kind", "etag", "selfLink"];
/// How many items of an array are looked at to find out what it is.
const LOOK_AT: usize = 20;

/// The text under a key, if there is any.
pub(super) fn text<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    node.get(key).and_then(Node::text).filter(|text| !text.is_empty())
}

/// Whether a whole document is what these formats print. `gcloud … list` prints `[]` when there is nothing.
pub(super) fn is_document(node: &Node) -> bool {
    fn within(node: &Node, depth: usize) -> bool {
        match &node.value {
            Value::Sequence(items) => {
                depth < 3
                    && (items.is_empty() && depth == 0
                        || items.iter().take(LOOK_AT).any(|item| within(item, depth + 1)))
            }
            Value::Mapping(_) => shape(node).is_some(),
            Value::Scalar(_) => false,
        }
    }
    within(node, 0)
}

/// What a mapping is; `None` for what these formats do not have.
pub(super) fn shape(node: &Node) -> Option<Shape> {
    // Kubernetes' way: Knative manifests, Config Connector.
    if !matches!(node.value, Value::Mapping(_)) || node.get("apiVersion").is_some() {
        return None;
    }
    if let Some(kind) = text(node, "kind").filter(|kind| kind.contains('#')) {
        return Some(of_kind(node, kind));
    }
    if let Some(collection) = text(node, "selfLink").and_then(compute_collection) {
        return Some(Kind::of_collection(collection).map_or_else(|| Shape::Other(collection.into()), Shape::Resource));
    }
    of_name(node).or_else(|| of_list(node)).or_else(|| of_fields(node))
}

fn of_kind(node: &Node, kind: &str) -> Shape {
    let (_, word) = kind.split_once('#').unwrap_or_default();
    match word {
        "network" => Shape::Resource(Kind::Network),
        "subnetwork" => Shape::Resource(Kind::Subnetwork),
        "usableSubnetwork" => Shape::UsableSubnetwork,
        "route" => Shape::Resource(Kind::Route),
        "firewall" => Shape::Resource(Kind::Firewall),
        "firewallPolicy" => Shape::Resource(Kind::FirewallPolicy),
        "address" => Shape::Resource(Kind::Address),
        "router" => Shape::Resource(Kind::Router),
        "policyBasedRoute" => Shape::Resource(Kind::PolicyBasedRoute),
        // Cloud SQL has a `sql#instance`.
        "instance" if kind.starts_with("compute#") => Shape::Resource(Kind::Instance),
        "forwardingRule" => Shape::Resource(Kind::ForwardingRule),
        "vpnTunnel" => Shape::Resource(Kind::VpnTunnel),
        "interconnectAttachment" => Shape::Resource(Kind::InterconnectAttachment),
        _ if word.ends_with("List") && node.get("result").is_none() => Shape::List,
        _ => Shape::Other(kind.to_owned()),
    }
}

/// `routers` in `https://www.googleapis.com/compute/v1/projects/p/regions/r/routers/x`.
fn compute_collection(link: &str) -> Option<&str> {
    let (rest, _) = link.rsplit_once('/').filter(|_| link.contains("/compute/"))?;
    rest.rsplit('/').next()
}

/// By a full name. Several APIs have `services` and `jobs`: those of Cloud Run have a template.
fn of_name(node: &Node) -> Option<Shape> {
    let name = text(node, "name").filter(|name| name.contains('/'))?;
    let segments: Vec<&str> = name.split('/').take(8).collect();
    let has = |keys: &[&str]| keys.iter().any(|key| node.get(key).is_some());
    let shape = match segments.as_slice() {
        ["projects", _, "locations", _, "services", _] if has(&["template", "latestReadyRevision"]) => {
            Shape::Resource(Kind::Service)
        }
        ["projects", _, "locations", _, "jobs", _] if has(&["template"]) => Shape::Resource(Kind::Job),
        ["projects", _, "locations", _, "workerPools" | "workerpools", _] if has(&["template"]) => {
            Shape::Resource(Kind::WorkerPool)
        }
        ["projects", _, "locations", _, "connectors", _]
            if has(&["ipCidrRange", "subnet", "machineType", "minThroughput", "maxThroughput", "network"]) =>
        {
            Shape::Resource(Kind::Connector)
        }
        ["projects", _, "locations", _, "functions", _] => Shape::Resource(Kind::Function),
        ["projects", _, "locations", _, "policyBasedRoutes", _] => Shape::Resource(Kind::PolicyBasedRoute),
        ["projects" | "folders" | "organizations", _, "policies", _] if has(&["spec"]) => {
            Shape::Resource(Kind::OrgPolicy)
        }
        ["projects", _, "services", _] => Shape::Other("serviceusage.googleapis.com/Service".into()),
        ["projects" | "folders" | "organizations", .., collection, _] => Shape::Other((*collection).to_owned()),
        ["projects" | "folders" | "organizations", _] => Shape::Other(segments[0].to_owned()),
        _ => return None,
    };
    // A scenario may be called anything: it is one if it has lists of its own.
    let described = matches!(shape, Shape::Resource(_));
    let lists = ["networks", "subnetworks", "services", "routers", "connectors"];
    (described || !has(&lists)).then_some(shape)
}

fn of_list(node: &Node) -> Option<Shape> {
    let entries = node.entries();
    let only = |keys: &[&str]| entries.iter().all(|entry| keys.contains(&&*entry.key.name));
    if only(&["firewalls", "firewallPolicys", "organizationFirewalls"]) && !entries.is_empty() {
        // A scenario has `firewallPolicies`. One that has nothing but firewall rules has no links in them.
        let exported = |rule: &Node| rule.get("kind").is_some() || rule.get("selfLink").is_some();
        let firewalls = node.get("firewalls").map_or(&[][..], Node::items);
        let only_rules = node.get("firewallPolicys").is_none() && node.get("organizationFirewalls").is_none();
        return (!only_rules || firewalls.iter().any(exported)).then_some(Shape::EffectiveFirewalls);
    }
    if let Some(items) = node.get("items") {
        let known = |item: &Node| shape(item).is_some();
        let recognised = match &items.value {
            Value::Sequence(items) => items.iter().take(LOOK_AT).any(known),
            Value::Mapping(scopes) => scopes.iter().any(|scope| {
                let name = &*scope.key.name;
                name == "global" || name.starts_with("regions/") || name.starts_with("zones/")
            }),
            Value::Scalar(_) => false,
        };
        return recognised.then_some(Shape::List);
    }
    let key = BODIES.into_iter().find(|key| node.get(key).is_some())?;
    let beside = |name: &str| BESIDE.contains(&name);
    if !entries.iter().all(|entry| &*entry.key.name == key || beside(&entry.key.name)) {
        return None;
    }
    let items = match &node.get(key)?.value {
        Value::Sequence(items) => items,
        _ => return None,
    };
    // With bare names it is a scenario.
    let full = |item: &Node| {
        matches!(&item.value, Value::Mapping(_)) && text(item, "name").is_none_or(|name| name.contains('/'))
    };
    let page = node.get("nextPageToken").is_some() || node.get("unreachable").is_some();
    let named = items.iter().all(full) && items.iter().take(LOOK_AT).any(|item| shape(item).is_some());
    (named || page && items.iter().all(full)).then_some(Shape::Body(key))
}

/// By fields: what `--format='json(name,nats)'` leaves of a resource. None of these is a key of a scenario.
fn of_fields(node: &Node) -> Option<Shape> {
    let has = |key: &str| node.get(key).is_some();
    let any = |keys: &[&str]| keys.iter().any(|key| has(key));
    if has("constraint") && any(&["listPolicy", "booleanPolicy", "restoreDefault"]) {
        return Some(Shape::Resource(Kind::OrgPolicy));
    }
    if has("destRange") {
        if text(node, "type").is_some_and(|kind| kind.ends_with("_PEERING_ROUTE")) {
            return Some(Shape::PeeringRoute);
        }
        let hop = node.entries().iter().any(|entry| entry.key.name.starts_with("nextHop"));
        return hop.then_some(Shape::Resource(Kind::Route));
    }
    if any(&["firewall_policy_name", "ip_ranges"]) && has("action") && has("direction") {
        return Some(Shape::FlatFirewalls);
    }
    if has("natIpAllocateOption") || has("sourceSubnetworkIpRangesToNat") {
        return Some(Shape::Gateway);
    }
    if !has("name") {
        let usable = has("subnetwork") && has("ipCidrRange");
        return usable.then_some(Shape::UsableSubnetwork);
    }
    let kind = if any(&["nats", "bgpPeers"]) {
        Kind::Router
    } else if any(&["allowed", "denied"]) {
        Kind::Firewall
    } else if has("rules") && any(&["associations", "ruleTupleCount", "shortName", "parent"]) {
        Kind::FirewallPolicy
    } else if has("networkInterfaces") && any(&["zone", "machineType", "status"]) {
        Kind::Instance
    } else if any(&["minThroughput", "maxThroughput", "connectedProjects"])
        || any(&["ipCidrRange", "subnet"]) && any(&["machineType", "minInstances", "maxInstances"])
    {
        Kind::Connector
    } else if has("ipCidrRange") && any(&["region", "network", "gatewayAddress"]) {
        Kind::Subnetwork
    } else if any(&["loadBalancingScheme", "IPAddress", "IPProtocol"]) {
        Kind::ForwardingRule
    } else if any(&["addressType", "networkTier"]) || has("address") && any(&["region", "status", "purpose"]) {
        Kind::Address
    } else if any(&["ikeVersion", "vpnGatewayInterface", "targetVpnGateway"]) {
        Kind::VpnTunnel
    } else if any(&["vlanTag8021q", "edgeAvailabilityDomain", "cloudRouterIpAddress"]) {
        Kind::InterconnectAttachment
    } else if any(&["autoCreateSubnetworks", "peerings", "routingConfig", "networkFirewallPolicyEnforcementOrder"]) {
        Kind::Network
    } else {
        return None;
    };
    Some(Shape::Resource(kind))
}
