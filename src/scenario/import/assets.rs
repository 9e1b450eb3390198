//! Cloud Asset Inventory: what `gcloud asset export` and `gcloud asset list --content-type=resource` write, one asset a line
//! or in an array.
//!
//! An asset has its resource, in the shape of the REST API, in `resource.data`; which resource it is, is said around it. An
//! export over some time has an asset several times: the newest counts, unless it says that the asset was deleted.
//! Summaries of `search-all-resources` and exports of another content type have no resource, and are told once.
//! (<https://docs.cloud.google.com/asset-inventory/docs/reference/rest/v1/Asset>, 2026)

use std::collections::HashMap;

use super::rest::{self, Scope};
use super::{Import, Kind, knative};
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::tree::{Entry, Node, Value, shorten};

mod names;

/// How many items of an array are looked at to find out what it is.
const LOOK_AT: usize = 20;
/// How deep pages and arrays of assets are followed.
const MAX_DEPTH: usize = 4;

/// Assets by name, in the order in which each came first.
#[derive(Debug, Default)]
pub(super) struct Assets {
    list: Vec<Asset>,
    by_name: HashMap<String, usize>,
}

#[derive(Debug)]
struct Asset {
    kind: Kind,
    /// RFC 3339 in UTC, without the `Z`: as text, the newer is the greater.
    updated: String,
    scope: Scope,
    /// `None` for one that was deleted.
    data: Option<Node>,
}

/// The kind of an asset type that a scenario has a list for.
fn kind_of(asset_type: &str) -> Option<Kind> {
    let kind = match asset_type.split_once('/')? {
        ("compute.googleapis.com", of) => match of {
            "Network" => Kind::Network,
            "Subnetwork" => Kind::Subnetwork,
            "Route" => Kind::Route,
            "Router" => Kind::Router,
            "Firewall" => Kind::Firewall,
            "FirewallPolicy" | "NetworkFirewallPolicy" | "RegionNetworkFirewallPolicy" => Kind::FirewallPolicy,
            "Address" | "GlobalAddress" => Kind::Address,
            "Instance" => Kind::Instance,
            "ForwardingRule" | "GlobalForwardingRule" => Kind::ForwardingRule,
            "VpnTunnel" => Kind::VpnTunnel,
            "InterconnectAttachment" => Kind::InterconnectAttachment,
            _ => return None,
        },
        ("vpcaccess.googleapis.com", "Connector") => Kind::Connector,
        // A service has its latest revision as its template.
        ("run.googleapis.com", "Service") => Kind::Service,
        ("run.googleapis.com", "Job") => Kind::Job,
        ("run.googleapis.com", "WorkerPool") => Kind::WorkerPool,
        ("cloudfunctions.googleapis.com", "Function" | "CloudFunction") => Kind::Function,
        ("networkconnectivity.googleapis.com", "PolicyBasedRoute") => Kind::PolicyBasedRoute,
        ("orgpolicy.googleapis.com", "Policy") => Kind::OrgPolicy,
        _ => return None,
    };
    Some(kind)
}

/// The text under a key in either way of writing it.
fn text<'n>(node: &'n Node, camel: &str, snake: &str) -> Option<&'n str> {
    node.get(camel).or_else(|| node.get(snake)).and_then(Node::text).filter(|text| !text.is_empty())
}

fn asset_type(node: &Node) -> Option<&str> {
    text(node, "assetType", "asset_type").filter(|kind| kind.contains(".googleapis.com/"))
}

/// An asset, or one with the window of time in which it was so.
fn is_asset(node: &Node) -> bool {
    asset_type(node).is_some() || node.get("asset").is_some_and(|asset| asset_type(asset).is_some())
}

/// Whether a document is an asset, an array or a page of some.
pub(super) fn claims(node: &Node) -> bool {
    let any = |items: &[Node]| items.iter().take(LOOK_AT).any(is_asset);
    match &node.value {
        Value::Sequence(items) => any(items),
        Value::Mapping(_) => {
            is_asset(node) || page(node).is_some_and(|key| node.get(key).is_some_and(|it| any(it.items())))
        }
        Value::Scalar(_) => false,
    }
}

fn page(node: &Node) -> Option<&'static str> {
    ["assets", "results"].into_iter().find(|key| node.get(key).is_some_and(|it| !it.items().is_empty()))
}

/// Takes the assets of a document; they are read when all are there.
pub(super) fn read(import: &mut Import, node: Node) {
    document(import, node, 0);
}

fn document(import: &mut Import, mut node: Node, depth: usize) {
    if depth > MAX_DEPTH {
        return import.skip("lists of lists of assets", node.place);
    }
    if is_asset(&node) {
        return asset(import, node);
    }
    if let Some(items) = page(&node).and_then(|key| node.take(key)) {
        return document(import, items, depth + 1);
    }
    match node.value {
        Value::Sequence(items) => items.into_iter().for_each(|item| document(import, item, depth + 1)),
        _ => import.skip("values that are no assets", node.place),
    }
}

fn asset(import: &mut Import, mut node: Node) {
    let place = node.place;
    let mut deleted = node.get("deleted").and_then(Node::text) == Some("true");
    if asset_type(&node).is_none()
        && let Some(inner) = node.take("asset")
    {
        node = inner;
    }
    deleted |= node.get("deleted").and_then(Node::text) == Some("true");
    let asset_type = asset_type(&node).unwrap_or_default().to_owned();
    let name = text(&node, "name", "name").unwrap_or_default().to_owned();
    let updated = text(&node, "updateTime", "update_time").unwrap_or_default().trim_end_matches('Z').to_owned();
    let mut resource = node.take("resource");
    let location = resource.as_ref().and_then(|resource| text(resource, "location", "location")).map(str::to_owned);
    let data = resource.as_mut().and_then(|resource| resource.take("data")).filter(|data| !data.is_null());
    let policies = node.take("orgPolicy").or_else(|| node.take("org_policy"));
    if let Some(Node { value: Value::Sequence(policies), .. }) = policies {
        policies.into_iter().for_each(|policy| org_policy(import, &name, policy));
        if data.is_none() {
            return;
        }
    }
    let Some(kind) = kind_of(&asset_type) else {
        return import.skip(shorten(&asset_type), place);
    };
    let data = data.filter(|_| !deleted).and_then(|data| tree_of(import, data));
    if data.is_none() && !deleted {
        without_data(import, place);
        return import.skip(format!("{asset_type} without its resource"), place);
    }
    let scope = Scope { project: project(&name), location };
    let asset = Asset { kind, updated, scope, data };
    let known = Some(&name).filter(|name| !name.is_empty()).and_then(|name| import.assets.by_name.get(name)).copied();
    match known {
        Some(at) => {
            let there = &mut import.assets.list[at];
            if asset.updated > there.updated {
                *there = asset;
            }
        }
        None => {
            import.assets.by_name.insert(name, import.assets.list.len());
            import.assets.list.push(asset);
        }
    }
}

/// The project in `//compute.googleapis.com/projects/p/global/networks/n`.
fn project(name: &str) -> Option<String> {
    let mut segments = name.split('/');
    segments.find(|segment| *segment == "projects")?;
    segments.next().filter(|project| !project.is_empty()).map(str::to_owned)
}

fn without_data(import: &mut Import, place: Place) {
    const CODE: &str = "asset-without-resource";
    let there = |finding: &Diagnostic| finding.code == CODE && finding.place.is_some_and(|at| at.file == place.file);
    if !import.report.iter().any(there) {
        let message = "assets without `resource.data`, such as summaries of a search, tell nothing of networks";
        let help = "export them with `gcloud asset export --content-type=resource`, or `gcloud asset list --content-type=resource`";
        import.push(Diagnostic::warning(CODE, message).at(place).help(help));
    }
}

/// Reads the assets that are there in the end.
pub(super) fn complete(import: &mut Import) {
    let Assets { list, .. } = std::mem::take(&mut import.assets);
    for Asset { kind, scope, data, .. } in list {
        let Some(mut data) = data else { continue };
        let version = data.get("apiVersion").and_then(Node::text).unwrap_or_default();
        if version.contains("knative.dev/") || version.starts_with("run.googleapis.com/") {
            knative::read(import, data);
            continue;
        }
        names::to_camel_case(&mut data, kind);
        rest::add(import, kind, data, &scope);
    }
}

/// A policy of content type `org-policy`, in the older shape: the asset is what it is of.
fn org_policy(import: &mut Import, asset: &str, mut policy: Node) {
    let constraint = text(&policy, "constraint", "constraint").map(|it| it.rsplit('/').next().unwrap_or(it).to_owned());
    let (Some(constraint), Some(at)) = (constraint, policy.get("constraint").map(|node| node.place)) else {
        return import.skip("organization policies without a constraint", policy.place);
    };
    let owner = ["projects/", "folders/", "organizations/"]
        .into_iter()
        .find_map(|word| asset.split_once(word).map(|(_, id)| (word, id)));
    if let Some((word, id)) = owner {
        let name = import.build.text(at, format!("{word}{id}/policies/{constraint}"));
        policy.put("name", name);
    }
    names::to_camel_case(&mut policy, Kind::OrgPolicy);
    rest::add(import, Kind::OrgPolicy, policy, &Scope::default());
}

/// The resource as a tree. BigQuery has it as text in JSON.
fn tree_of(import: &mut Import, data: Node) -> Option<Node> {
    match &data.value {
        Value::Mapping(_) => Some(data),
        Value::Scalar(scalar) => {
            // Nobody looked for secrets in this text.
            import.sources.hide(&[data.place]);
            match serde_json::from_str(&scalar.text) {
                Ok(value @ serde_json::Value::Object(_)) => Some(node_of(import, data.place, value)),
                _ => None,
            }
        }
        Value::Sequence(_) => None,
    }
}

/// All of it stands where the text does. The parser of JSON has a limit to the depth.
fn node_of(import: &mut Import, place: Place, value: serde_json::Value) -> Node {
    use serde_json::Value as Json;
    match value {
        Json::Object(map) => {
            let entries = map.into_iter().map(|(key, value)| Entry::new(&key, node_of(import, place, value))).collect();
            let mut node = import.build.mapping(place, []);
            node.value = Value::Mapping(entries);
            node
        }
        Json::Array(items) => {
            let items = items.into_iter().map(|item| node_of(import, place, item)).collect();
            import.build.list(place, items)
        }
        Json::String(text) => import.build.text(place, text),
        Json::Null => {
            let mut node = import.build.text(place, "null");
            if let Value::Scalar(scalar) = &mut node.value {
                scalar.plain = true;
            }
            node
        }
        other => import.build.text(place, other),
    }
}

#[cfg(test)]
mod tests;
