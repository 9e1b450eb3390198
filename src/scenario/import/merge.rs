//! One network out of everything that was read.
//!
//! A resource may come several times: in an export and in a plan, or in parts, as Terraform's `google_compute_router_nat` is
//! a part of a router. Equal ones and parts become one; a field that two give differently is reported, and the first counts.
//! Paths become bare names where that is clear, since a scenario has one network of a name: where two projects have a
//! resource of the same name, that of the second is called `PROJECT-NAME`.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::path::{self, ResourcePath};
use super::{Kind, Resource, placeholders};
use crate::scenario::diagnostic::{Diagnostic, FileId, Place};
use crate::scenario::tree::{Build, Entry, Node, Value};

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

/// Merges resources, in the order in which the first part of each came. `own` are those of the scenario that includes the
/// others: what it says counts. Texts of `whole` describe all of a resource: what they leave out is at its default.
pub(super) fn merge(
    own: Vec<Resource>,
    mut imported: Vec<Resource>,
    whole: &HashSet<FileId>,
    build: &mut Build,
    report: &mut Vec<Diagnostic>,
) -> Vec<Resource> {
    for resource in &mut imported {
        without_nulls(&mut resource.node);
        placeholders::replace(&mut resource.node, report);
    }
    let keep_names = own.iter().chain(&imported).any(|resource| resource.kind == Kind::OrgPolicy);
    let written = own.len();
    let mut identified: Vec<(Identity, Resource)> = own
        .into_iter()
        .chain(imported)
        .map(|mut resource| (identify(&mut resource, build, keep_names), resource))
        .collect();
    rename_namesakes(&mut identified, report);
    let mut merged = Merger { report, by_name: HashMap::new(), out: Vec::new(), own: written, whole };
    for (identity, resource) in identified {
        merged.add(identity, resource);
    }
    merged.out.into_iter().map(|(_, resource)| resource).collect()
}

/// Takes out what is written and means nothing.
fn without_nulls(node: &mut Node) {
    match &mut node.value {
        Value::Scalar(_) => {}
        Value::Sequence(items) => items.iter_mut().for_each(without_nulls),
        Value::Mapping(entries) => {
            entries.retain(|entry| !entry.value.is_null());
            entries.iter_mut().for_each(|entry| without_nulls(&mut entry.value));
        }
    }
}

/// Finds out which resource it is, and makes its `name`, `region` and `zone` bare.
fn identify(resource: &mut Resource, build: &mut Build, keep_names: bool) -> Identity {
    let mut identity = Identity { project: resource.project.clone(), ..Identity::default() };
    if let Some(path) = resource.node.get("selfLink").and_then(Node::text).and_then(path::parse) {
        identity.project = identity.project.or_else(|| path.project.map(str::to_owned));
        identity.location = path.location.map(str::to_owned);
    }
    // A number and an id may be of one project: nothing tells.
    identity.project = identity.project.filter(|project| !project.bytes().all(|byte| byte.is_ascii_digit()));
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
            let project = project.filter(|project| !project.bytes().all(|byte| byte.is_ascii_digit()));
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
                "two projects have {} `{}`: that of project `{}` is called `{own}` here",
                with_article(resource.kind),
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

fn with_article(kind: Kind) -> String {
    let word = kind.word();
    format!("{} {word}", if word.starts_with(['a', 'o', 'I']) { "an" } else { "a" })
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
            if matches!(key, "region" | "zone" | "nextHopGateway" | "machineType") && text.contains('/') {
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
    whole: &'a HashSet<FileId>,
    /// How many of the first are the scenario's own: two of those of one name are its mistake.
    own: usize,
}

impl Merger<'_> {
    fn add(&mut self, identity: Identity, resource: Resource) {
        if identity.name.is_empty() || resource.kind == Kind::OrgPolicy {
            return self.out.push((identity, resource));
        }
        let same = self.by_name.entry((resource.kind, identity.name.clone())).or_default();
        let agree = |one: &Option<String>, other: &Option<String>| one.is_none() || other.is_none() || one == other;
        let written = self.out.len() < self.own;
        let found = same.iter().copied().filter(|_| !written).find(|at| {
            let there = &self.out[*at].0;
            agree(&there.location, &identity.location) && agree(&there.project, &identity.project)
        });
        let Some(at) = found else {
            if resource.change {
                let (kind, name) = (resource.kind.word(), &identity.name);
                let message = format!("the {kind} `{name}` is changed here, and nothing that was read describes it");
                let finding = Diagnostic::warning("not-described", message);
                let place = identity.place.unwrap_or(resource.node.place);
                let help =
                    "import what describes it before this, such as the output of `gcloud … describe --format=json`";
                return self.report.push(finding.at(place).help(help));
            }
            same.push(self.out.len());
            return self.out.push((identity, resource));
        };
        let what = format!("{} `{}`", resource.kind.word(), identity.name);
        let (there, into) = &mut self.out[at];
        there.location = there.location.take().or(identity.location);
        there.project = there.project.take().or(identity.project);
        let mut resource = resource;
        let way = |node: &Node| {
            let template = node.get("template")?;
            let inner = template.get("template").unwrap_or(template);
            inner.get("vpcAccess").map(|access| access.place)
        };
        if self.whole.contains(&into.node.place.file)
            && !resource.change
            && into.node.get("template").is_some()
            && way(&into.node).is_none()
            && let Some(place) = way(&resource.node)
        {
            let message =
                format!("{what} has no VPC access where it was given first, and has one here; the first counts");
            let finding = Diagnostic::warning("conflict", message).at(place);
            let first = into.node.get("name").map_or(into.node.place, |name| name.place);
            let finding = finding.related(first, "given here first");
            self.report.push(finding.help("import only one of the two, or put the one that counts first"));
            without_way(&mut resource.node);
        }
        let mut union =
            Union { report: self.report, what, own: at < self.own, change: resource.change && at >= self.own };
        union.node(&mut into.node, resource.node, "");
    }
}

/// Takes the way to a VPC out of a workload.
fn without_way(node: &mut Node) {
    if let Some(mut template) = node.take("template") {
        template.take("vpcAccess");
        if let Some(mut inner) = template.take("template") {
            inner.take("vpcAccess");
            template.put("template", inner);
        }
        node.put("template", template);
    }
}

/// Puts two descriptions of one thing together.
struct Union<'a> {
    report: &'a mut Vec<Diagnostic>,
    what: String,
    /// The first is the scenario's own: it may say something else.
    own: bool,
    /// The second is a change: it counts.
    change: bool,
}

/// Fields of which a resource has one: what chooses another one is a conflict, and not one more field.
const EXCLUSIVE: &[&[&str]] = &[
    &["connector", "networkInterfaces"],
    &["allowed", "denied"],
    &["ipCidrRange", "subnet"],
    &[
        "nextHopGateway",
        "nextHopInstance",
        "nextHopIp",
        "nextHopIlb",
        "nextHopVpnTunnel",
        "nextHopInterconnectAttachment",
        "nextHopNetwork",
        "nextHopPeering",
        "nextHopHub",
    ],
    &["vpcConnector", "directVpcNetworkInterface"],
];

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
                    if let Some(existing) = entries.iter_mut().find(|existing| existing.key.name == entry.key.name) {
                        self.node(&mut existing.value, entry.value, &entry.key.name);
                        continue;
                    }
                    let group = EXCLUSIVE.iter().find(|group| group.contains(&&*entry.key.name));
                    let other = group.and_then(|group| {
                        entries
                            .iter()
                            .position(|existing| group.contains(&&*existing.key.name) && !existing.value.is_null())
                    });
                    match other {
                        Some(at) if self.change => entries[at] = entry,
                        Some(at) => {
                            let (one, other) = (entries[at].key.name.clone(), entry.key.name.clone());
                            let what = format!("`{one}` or `{other}`");
                            self.conflict(&what, entries[at].value.place, &one, entry.value.place, &other);
                        }
                        // Addresses go with who provides them.
                        None if matches!(&*entry.key.name, "natIps" | "drainNatIps") && automatic(entries) => {}
                        None => entries.push(entry),
                    }
                }
            }
            (Value::Sequence(items), Value::Sequence(more)) => self.list(items, more, into.place, field),
            (Value::Scalar(one), Value::Scalar(other)) => {
                let names = (last_segment(&one.text), last_segment(&other.text));
                if one.text != other.text && names.0 != names.1 && self.change {
                    *into = Node { id: into.id, place: from_place, value: Value::Scalar(other) };
                } else if one.text != other.text && names.0 != names.1 {
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
        let name = |node: &Node| {
            let keys = ["name", "ruleNumber", "priority"];
            keys.iter().find_map(|key| node.get(key)).and_then(Node::text).map(str::to_owned)
        };
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
            // What a change does not say of the one interface stays as it is.
            _ if self.change && field == "networkInterfaces" && (items.len(), more.len()) == (1, 1) => {
                for (item, other) in items.iter_mut().zip(more) {
                    self.node(item, other, field);
                }
            }
            _ if self.change => *items = more,
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
        let field = match field {
            "" => "it".into(),
            field if field.starts_with('`') => field.to_owned(),
            field => format!("`{field}`"),
        };
        let finding = if self.own {
            let message = format!("{field} of {} is {other} here; the scenario says {one}, which counts", self.what);
            Diagnostic::note("overridden", message).at(second).related(first, "the scenario's own")
        } else {
            let message = format!("{field} of {} is given twice: {one} and {other}; the first counts", self.what);
            let finding = Diagnostic::warning("conflict", message).at(second).related(first, "given here first");
            finding.help("import only one of the two, or put the one that counts first")
        };
        self.report.push(finding);
    }
}

/// Whether a gateway's addresses are Google's to choose.
fn automatic(entries: &[Entry]) -> bool {
    let option = entries.iter().find(|entry| &*entry.key.name == "natIpAllocateOption");
    option.and_then(|option| option.value.text()) == Some("AUTO_ONLY")
}

fn last_segment(text: &str) -> &str {
    // A range is no path.
    if text.parse::<ipnet::IpNet>().is_ok() { text } else { text.rsplit('/').next().unwrap_or(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::diagnostic::Sources;
    use crate::scenario::tree;

    /// Resources written as a scenario has them, each text a file, with what the merge says.
    fn merged(texts: &[&str]) -> (Vec<(Kind, serde_json::Value)>, Vec<String>) {
        let (mut sources, mut report, mut build) = (Sources::default(), Vec::new(), Build::default());
        let mut resources = Vec::new();
        for text in texts {
            let file = sources.add("t", *text);
            for entry in tree::parse(text, file, &mut report).expect("YAML").expect("a document").entries() {
                let kind = Kind::of_collection(&entry.key.name).expect("a kind");
                let items = entry.value.items().iter().cloned();
                resources.extend(items.map(|node| Resource { kind, node, project: None, change: false }));
            }
        }
        let mut resources = merge(Vec::new(), resources, &HashSet::new(), &mut build, &mut report);
        shorten_references(&mut resources);
        let found = report.iter().map(|finding| format!("{}: {}", finding.code, finding.message)).collect();
        (resources.iter().map(|resource| (resource.kind, json(&resource.node))).collect(), found)
    }

    fn json(node: &Node) -> serde_json::Value {
        match &node.value {
            Value::Scalar(scalar) => scalar.text.to_string().into(),
            Value::Sequence(items) => items.iter().map(json).collect(),
            Value::Mapping(entries) => {
                entries.iter().map(|entry| (entry.key.name.to_string(), json(&entry.value))).collect()
            }
        }
    }

    const URL: &str = "https://www.googleapis.com/compute/v1/projects";

    #[test]
    fn paths_become_names_where_they_are_clear() {
        let text = format!(
            "networks: [{{name: core}}]\n\
             subnetworks:\n\
             - {{name: apps, region: {URL}/p/regions/r1, network: {URL}/p/global/networks/core}}\n\
             - {{name: apps, region: r2, network: core}}\n\
             connectors: [{{name: projects/p/locations/r1/connectors/c, subnet: {{name: apps, projectId: p}}}}]\n\
             routers: [{{name: r, region: r1, network: {URL}/q/global/networks/other, nats: [{{name: n, subnetworks: \
             [{{name: {URL}/p/regions/r1/subnetworks/apps}}]}}]}}]\n"
        );
        let (resources, found) = merged(&[&text]);
        let nodes: Vec<String> = resources.iter().map(|(_, node)| node.to_string()).collect();
        assert_eq!(nodes[1], r#"{"name":"apps","region":"r1","network":"core"}"#);
        assert_eq!(nodes[3], r#"{"name":"c","region":"r1","subnet":{"name":"apps"}}"#);
        // Two subnets have the name, so the region is needed; a network of another project keeps its path.
        assert!(nodes[4].contains(r#""subnetworks":[{"name":"regions/r1/subnetworks/apps"}]"#), "{}", nodes[4]);
        assert!(nodes[4].contains("projects/q/global/networks/other"), "{}", nodes[4]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn parts_of_a_router_become_one_and_a_difference_is_told() {
        let (resources, found) = merged(&[
            "routers: [{name: r, region: r1, network: core, nats: [{name: n, minPortsPerVm: 64}]}]\n",
            "routers: [{name: r, nats: [{name: n, minPortsPerVm: 128, natIps: [a]}, {name: m}]}]\n",
        ]);
        let [(Kind::Router, router)] = resources.as_slice() else { panic!("one router: {resources:?}") };
        let expected = r#"{"name":"r","region":"r1","network":"core","nats":[{"name":"n","minPortsPerVm":"64","natIps":["a"]},{"name":"m"}]}"#;
        assert_eq!(router.to_string(), expected);
        assert_eq!(
            found,
            ["conflict: `minPortsPerVm` of `n` of router `r` is given twice: 64 and 128; the first counts"]
        );
    }

    #[test]
    fn equal_resources_count_once_whatever_passes() {
        let (resources, found) = merged(&[
            "firewalls: [{name: f, network: core, id: '1', sourceRanges: [10.0.0.0/8, 172.16.0.0/12]}]\n",
            "firewalls: [{name: f, network: global/networks/core, id: '2', sourceRanges: [172.16.0.0/12, 10.0.0.0/8]}]\n",
        ]);
        assert_eq!((resources.len(), found), (1, Vec::new()));
    }

    #[test]
    fn equal_names_in_two_regions_are_two_resources() {
        let (resources, _) = merged(&["addresses: [{name: a, region: r1}, {name: a, region: r2}]\n"]);
        assert_eq!(resources.len(), 2);
    }

    #[test]
    fn of_two_projects_with_a_network_of_one_name_the_second_is_renamed_with_what_refers_to_it() {
        let network = |project: &str| format!("{{name: default, selfLink: {URL}/{project}/global/networks/default}}");
        let text = format!(
            "networks: [{}, {}]\n\
             routers: [{{name: r, region: r1, network: {URL}/q/global/networks/default}}]\n\
             connectors: [{{name: projects/q/locations/r1/connectors/c, network: default}}, \
             {{name: projects/p/locations/r1/connectors/d, network: default}}]\n",
            network("p"),
            network("q")
        );
        let (resources, found) = merged(&[&text]);
        let field = |at: usize, key: &str| resources[at].1[key].as_str().unwrap_or_default().to_owned();
        assert_eq!((field(0, "name"), field(1, "name")), ("default".into(), "q-default".into()));
        assert_eq!(field(2, "network"), "q-default");
        assert_eq!((field(3, "network"), field(4, "network")), ("q-default".into(), "default".into()));
        assert_eq!(found.len(), 1, "{found:?}");
    }
}
