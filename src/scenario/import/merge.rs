//! One network out of everything that was read.
//!
//! A resource may come several times: in an export and in a plan, or in parts, as Terraform's `google_compute_router_nat` is
//! a part of a router. Equal ones and parts become one; a field that two give differently is reported, and the first counts.
//! Paths become bare names where that is clear, since a scenario has one network of a name: where two projects have a
//! resource of the same name, that of the second is called `PROJECT-NAME`.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::path::{self, ResourcePath};
use super::{Kind, Resource};
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::tree::{Build, Node, Value};

/// Fields that tell of a moment or of the resource's making: a difference is no conflict.
const PASSING: &[&str] = &[
    "kind",
    "id",
    "selfLink",
    "selfLinkWithId",
    "fingerprint",
    "labelFingerprint",
    "labels",
    "etag",
    "uid",
    "status",
    "description",
    "creationTimestamp",
    "createTime",
    "updateTime",
    "generation",
    "observedGeneration",
    "users",
    "uri",
    "urls",
    "conditions",
    "terminalCondition",
    "effectiveTcpTimeWaitTimeoutSec",
    "subnetworks",
    "lastModifier",
    "creator",
    "latestCreatedRevision",
    "latestReadyRevision",
    "params",
    "gatewayAddress",
    "lastStartTimestamp",
    "state",
];

/// Where a resource stands, as far as it says so.
#[derive(Debug, Clone, Default)]
struct Identity {
    name: String,
    place: Option<Place>,
    project: Option<String>,
    location: Option<String>,
}

/// Merges resources, in the order in which the first part of each came.
pub(super) fn merge(resources: Vec<Resource>, build: &mut Build, report: &mut Vec<Diagnostic>) -> Vec<Resource> {
    let keep_names = resources.iter().any(|resource| resource.kind == Kind::OrgPolicy);
    let mut identified: Vec<(Identity, Resource)> =
        resources.into_iter().map(|mut resource| (identify(&mut resource, build, keep_names), resource)).collect();
    rename_namesakes(&mut identified, report);
    let mut merged = Merger { report, by_name: HashMap::new(), out: Vec::new() };
    for (identity, resource) in identified {
        merged.add(identity, resource);
    }
    merged.out.into_iter().map(|(_, resource)| resource).collect()
}

/// Finds out which resource it is, and makes its `name`, `region` and `zone` bare.
fn identify(resource: &mut Resource, build: &mut Build, keep_names: bool) -> Identity {
    let mut identity = Identity { project: resource.project.clone(), ..Identity::default() };
    if let Some(path) = resource.node.get("selfLink").and_then(Node::text).and_then(path::parse) {
        identity.project = identity.project.or_else(|| path.project.map(str::to_owned));
        identity.location = path.location.map(str::to_owned);
    }
    if resource.kind == Kind::OrgPolicy {
        return identity;
    }
    for key in ["region", "zone"] {
        if let Some(node) = resource.node.get(key)
            && let Some(text) = node.text().filter(|text| !text.is_empty())
        {
            let bare = path::location(text).to_owned();
            if bare != text {
                let node = build.text(node.place, &bare);
                resource.node.put(key, node);
            }
            identity.location = Some(bare);
        }
    }
    let Some(name) = resource.node.get("name") else { return identity };
    let (place, text) = (name.place, name.text().unwrap_or_default().to_owned());
    identity.place = Some(place);
    match path::parse(&text) {
        Some(ResourcePath { name, project, location, .. }) => {
            identity.name = name.to_owned();
            identity.project = identity.project.or_else(|| project.map(str::to_owned));
            identity.location = identity.location.or_else(|| location.map(str::to_owned));
            let workload = matches!(resource.kind, Kind::Service | Kind::Job | Kind::WorkerPool | Kind::Function);
            let regional = workload || resource.kind == Kind::Connector;
            if !(keep_names && workload) {
                let bare = build.text(place, name);
                resource.node.put("name", bare);
                if regional
                    && resource.node.get("region").is_none()
                    && let Some(location) = location
                {
                    let region = build.text(place, location);
                    resource.node.put("region", region);
                }
            }
        }
        None => identity.name = text,
    }
    // A connector of the project that the subnet is in is no connector of a Shared VPC service project.
    if resource.kind == Kind::Connector
        && let Some(subnet) = resource.node.get("subnet")
        && let Some(project) = subnet.get("projectId").and_then(Node::text)
        && (identity.project.as_deref() == Some(project))
        && let Some(mut subnet) = resource.node.take("subnet")
    {
        subnet.take("projectId");
        resource.node.put("subnet", subnet);
    }
    identity
}

/// Gives resources of further projects names of their own.
fn rename_namesakes(resources: &mut [(Identity, Resource)], report: &mut Vec<Diagnostic>) {
    let mut owners: HashMap<(Kind, &str), Vec<&str>> = HashMap::new();
    for (identity, resource) in resources.iter() {
        if let Some(project) = identity.project.as_deref().filter(|_| !identity.name.is_empty()) {
            let projects = owners.entry((resource.kind, identity.name.as_str())).or_default();
            if !projects.contains(&project) {
                projects.push(project);
            }
        }
    }
    let renamed: HashMap<(Kind, String, String), String> = owners
        .into_iter()
        .flat_map(|((kind, name), projects)| {
            let others = projects.into_iter().skip(1).map(str::to_owned).collect::<Vec<_>>();
            others.into_iter().map(move |project| {
                let new = format!("{project}-{name}");
                ((kind, name.to_owned(), project), new)
            })
        })
        .collect();
    if renamed.is_empty() {
        return;
    }
    for (identity, resource) in resources {
        let project = identity.project.clone();
        let new = |kind: Kind, name: &str, project: Option<&str>| {
            renamed.get(&(kind, name.to_owned(), project?.to_owned())).cloned()
        };
        if let Some(own) = new(resource.kind, &identity.name, project.as_deref()) {
            let message = format!(
                "two projects have a {} `{}`: that of project `{}` is called `{own}` here",
                resource.kind.word(),
                identity.name,
                project.as_deref().unwrap_or_default(),
            );
            report.push(Diagnostic::note("renamed", message).at(identity.place.unwrap_or(resource.node.place)));
            set_text(&mut resource.node, "name", &own);
            identity.name = own;
        }
        references(&mut resource.node, &mut |key, text| match path::parse(text) {
            Some(path) => {
                let own = new(path.kind, path.name, path.project.or(project.as_deref()))?;
                Some(format!("{}/{own}", text.rsplit_once('/')?.0))
            }
            None => new(kind_of_field(key)?, text, project.as_deref()),
        });
    }
}

fn set_text(node: &mut Node, key: &str, text: &str) {
    let Value::Mapping(entries) = &mut node.value else { return };
    if let Some(entry) = entries.iter_mut().find(|entry| &*entry.key.name == key)
        && let Value::Scalar(scalar) = &mut entry.value.value
    {
        scalar.text = text.into();
    }
}

/// The kind that a field's bare names are of, where the field says it.
pub(super) fn kind_of_field(key: &str) -> Option<Kind> {
    match key {
        "network" => Some(Kind::Network),
        "subnetwork" => Some(Kind::Subnetwork),
        "connector" | "vpcConnector" => Some(Kind::Connector),
        "natIps" | "drainNatIps" | "sourceNatActiveIps" | "sourceNatDrainIps" => Some(Kind::Address),
        _ => None,
    }
}

/// Offers each text below a node, with the key it stands under, for another one.
fn references(node: &mut Node, replace: &mut impl FnMut(&str, &str) -> Option<String>) {
    fn walk(key: &str, node: &mut Node, replace: &mut impl FnMut(&str, &str) -> Option<String>) {
        match &mut node.value {
            Value::Scalar(scalar) => {
                if let Some(new) = replace(key, &scalar.text) {
                    scalar.text = new.into();
                }
            }
            Value::Sequence(items) => items.iter_mut().for_each(|item| walk(key, item, replace)),
            Value::Mapping(entries) => {
                for entry in entries.iter_mut().filter(|entry| &*entry.key.name != "selfLink") {
                    let key = entry.key.name.clone();
                    walk(&key, &mut entry.value, replace);
                }
            }
        }
    }
    walk("", node, replace);
}

/// Makes bare names of paths to what was read, where the name alone is clear.
pub(super) fn shorten_references(resources: &mut [Resource]) {
    let mut known: HashMap<(Kind, String), BTreeSet<Option<String>>> = HashMap::new();
    for resource in resources.iter() {
        let own = |key: &str| resource.node.get(key).and_then(Node::text).map(|text| path::location(text).to_owned());
        if let Some(name) = own("name") {
            known.entry((resource.kind, name)).or_default().insert(own("region").or_else(|| own("zone")));
        }
    }
    let clear: HashSet<(Kind, String)> =
        known.into_iter().filter(|(_, locations)| locations.len() == 1).map(|(known, _)| known).collect();
    for resource in resources {
        references(&mut resource.node, &mut |key, text| {
            if key == "name" && !text.contains('/') {
                return None;
            }
            if matches!(key, "region" | "zone" | "nextHopGateway") && text.contains('/') {
                return Some(path::location(text).to_owned());
            }
            let path = path::parse(text)?;
            if clear.contains(&(path.kind, path.name.to_owned())) {
                return Some(path.name.to_owned());
            }
            // Told apart by its region; what nobody describes keeps its path, which is all that is known of it.
            let location = path.location.filter(|_| path.kind != Kind::Network)?;
            let word = if path.kind == Kind::Instance { "zones" } else { "regions" };
            Some(format!("{word}/{location}/{}/{}", path.kind.key(), path.name))
        });
    }
}

struct Merger<'a> {
    report: &'a mut Vec<Diagnostic>,
    /// Indices into `out` by kind and name.
    by_name: HashMap<(Kind, String), Vec<usize>>,
    out: Vec<(Identity, Resource)>,
}

impl Merger<'_> {
    fn add(&mut self, identity: Identity, resource: Resource) {
        if identity.name.is_empty() || resource.kind == Kind::OrgPolicy {
            return self.out.push((identity, resource));
        }
        let same = self.by_name.entry((resource.kind, identity.name.clone())).or_default();
        let agree = |one: &Option<String>, other: &Option<String>| one.is_none() || other.is_none() || one == other;
        let found = same.iter().copied().find(|at| {
            let there = &self.out[*at].0;
            agree(&there.location, &identity.location) && agree(&there.project, &identity.project)
        });
        let Some(at) = found else {
            same.push(self.out.len());
            return self.out.push((identity, resource));
        };
        let what = format!("{} `{}`", resource.kind.word(), identity.name);
        let (there, into) = &mut self.out[at];
        there.location = there.location.take().or(identity.location);
        there.project = there.project.take().or(identity.project);
        let mut union = Union { report: self.report, what };
        union.node(&mut into.node, resource.node, "");
    }
}

/// Puts two descriptions of one thing together.
struct Union<'a> {
    report: &'a mut Vec<Diagnostic>,
    what: String,
}

impl Union<'_> {
    fn node(&mut self, into: &mut Node, from: Node, field: &str) {
        if from.is_null() || PASSING.contains(&field) {
            return;
        }
        if into.is_null() {
            *into = from;
            return;
        }
        let from_place = from.place;
        match (&mut into.value, from.value) {
            (Value::Mapping(entries), Value::Mapping(more)) => {
                for entry in more {
                    match entries.iter_mut().find(|existing| existing.key.name == entry.key.name) {
                        Some(existing) => self.node(&mut existing.value, entry.value, &entry.key.name),
                        None => entries.push(entry),
                    }
                }
            }
            (Value::Sequence(items), Value::Sequence(more)) => self.list(items, more, into.place, field),
            (Value::Scalar(one), Value::Scalar(other)) => {
                let names = (last_segment(&one.text), last_segment(&other.text));
                if one.text != other.text && names.0 != names.1 {
                    let (first, second) = (one.text.clone(), other.text.clone());
                    self.conflict(field, into.place, &first, from_place, &second);
                } else if !one.text.contains('/') && other.text.contains('/') {
                    // The path says more.
                    *one = other;
                }
            }
            _ => self.conflict(field, into.place, "something", from_place, "something of another kind"),
        }
    }

    fn list(&mut self, items: &mut Vec<Node>, more: Vec<Node>, place: Place, field: &str) {
        let name =
            |node: &Node| node.get("name").or_else(|| node.get("ruleNumber")).and_then(Node::text).map(str::to_owned);
        if items.iter().chain(&more).all(|item| name(item).is_some()) {
            for item in more {
                let own = name(&item);
                match items.iter_mut().find(|existing| name(existing) == own) {
                    Some(existing) => {
                        let outer = self.what.clone();
                        self.what = format!("`{}` of {outer}", own.unwrap_or_default());
                        self.node(existing, item, "");
                        self.what = outer;
                    }
                    None => items.push(item),
                }
            }
            return;
        }
        let texts = |nodes: &[Node]| {
            nodes
                .iter()
                .map(|node| node.text().map(|text| last_segment(text).to_owned()))
                .collect::<Option<BTreeSet<_>>>()
        };
        match (texts(items), texts(&more)) {
            (Some(one), Some(other)) if one == other => {}
            (Some(one), Some(other)) => {
                let join = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(", ");
                let second = more.first().map_or(place, |node| node.place);
                self.conflict(field, place, &join(one), second, &join(other));
            }
            // Lists of things without names, such as `allowed`: equal in number and alike, or told.
            _ if items.len() == more.len() => {
                for (item, other) in items.iter_mut().zip(more) {
                    self.node(item, other, field);
                }
            }
            _ => {
                let second = more.first().map_or(place, |node| node.place);
                let count = |nodes: &[Node]| format!("{} items", nodes.len());
                let (first, other) = (count(items), count(&more));
                self.conflict(field, place, &first, second, &other);
            }
        }
    }

    fn conflict(&mut self, field: &str, first: Place, one: &str, second: Place, other: &str) {
        let field = if field.is_empty() { "it".into() } else { format!("`{field}`") };
        let message = format!("{field} of {} is given twice: {one} and {other}; the first counts", self.what);
        let finding = Diagnostic::warning("conflict", message).at(second).related(first, "given here first");
        self.report.push(finding.help("import only one of the two, or put the one that counts first"));
    }
}

fn last_segment(text: &str) -> &str {
    // A range is no path.
    if text.parse::<ipnet::IpNet>().is_ok() { text } else { text.rsplit('/').next().unwrap_or(text) }
}
