//! What only all that was read tells together.
//!
//! * A list of all routes of a network has its default route, unless somebody deleted it.
//! * Subnet routes follow from the subnets; one without its subnet tells of a subnet that nobody described.
//! * Google makes the subnet `aet-…` for a connector with a range of its own: in a list of subnets it is there already.
//! * A function of the 2nd generation runs as a service, which a list of services has, too.
//! * A firewall policy may come from its own description and, without its associations, from effective firewalls.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Import;
use super::prepare::child;
use super::shape::text;
use crate::scenario::diagnostic::{Diagnostic, FileId, Place};
use crate::scenario::import::{Kind, Resource, path};
use crate::scenario::tree::{Entry, Node, Value};

/// How many ranges a finding names.
const NAMED: usize = 5;

/// After all texts are read. `own` is what a scenario that includes them describes itself.
pub(in crate::scenario::import) fn complete(import: &mut Import, own: &[Entry]) {
    deleted_default_routes(import, own);
    subnet_routes(import, own);
    subnets_of_connectors(import);
    services_of_functions(import);
    firewall_policies(import);
}

/// The last segment of a text field.
fn name<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    text(node, key).map(path::location)
}

/// What a scenario has under a key.
fn list_of<'o>(own: &'o [Entry], key: &str) -> impl Iterator<Item = &'o Node> {
    let lists = own.iter().filter(move |entry| &*entry.key.name == key);
    lists.flat_map(|entry| entry.value.items())
}

/// A network by its project, if that is told, and its name.
type Network = (Option<String>, String);

fn network_of(route: &Resource) -> Option<Network> {
    let link = text(&route.node, "network")?;
    let project = path::parse(link).and_then(|path| path.project).or(route.project.as_deref());
    Some((project.map(str::to_owned), path::location(link).to_owned()))
}

fn is_subnet_route(node: &Node) -> bool {
    node.get("nextHopNetwork").is_some() && node.get("nextHopPeering").is_none()
}

/// The default route that Google made: another one with a tag or priority of its own does not take its place.
fn is_default_route(node: &Node) -> bool {
    text(node, "destRange") == Some("0.0.0.0/0")
        && name(node, "nextHopGateway") == Some("default-internet-gateway")
        && text(node, "priority").is_none_or(|priority| priority == "1000")
        && node.get("tags").is_none_or(|tags| tags.items().is_empty())
}

/// Networks of which all routes were listed, and the default route was not among them.
fn deleted_default_routes(import: &mut Import, own: &[Entry]) {
    #[derive(Default)]
    struct Seen {
        default: bool,
        routes: HashMap<FileId, usize>,
        /// The first subnet route of each text: only a list of all routes has them.
        subnets: BTreeMap<FileId, Node>,
    }
    let mut networks: BTreeMap<Network, Seen> = BTreeMap::new();
    let exported = |resource: &&Resource| import.exported.contains(&resource.node.place.file);
    for route in import.resources.iter().filter(|it| it.kind == Kind::Route).filter(exported) {
        let Some(network) = network_of(route) else { continue };
        let seen = networks.entry(network).or_default();
        let file = route.node.place.file;
        seen.default |= is_default_route(&route.node);
        *seen.routes.entry(file).or_default() += 1;
        if is_subnet_route(&route.node)
            && !seen.subnets.contains_key(&file)
            && let Some(link) = route.node.get("network")
        {
            seen.subnets.insert(file, link.clone());
        }
    }
    for ((project, network), seen) in networks.into_iter().filter(|(_, seen)| !seen.default) {
        // `gcloud … --format=yaml` prints a list as one document for each.
        let whole = |file: &FileId| {
            let listed = import.rest.lists.contains(file) || seen.routes.get(file).is_some_and(|count| *count > 1);
            listed && !import.rest.partial.contains(file)
        };
        let Some((_, link)) = seen.subnets.iter().find(|(file, _)| whole(file)) else { continue };
        let mut described = list_of(own, "networks");
        if let Some(own) = described.find(|own| name(own, "name") == Some(&network)) {
            if own.get("deleteDefaultRoutesOnCreate").is_none() {
                let message = format!(
                    "the list of the routes of network `{network}` has its subnet routes and no default route, and the \
                     network here has one"
                );
                let place = link.place;
                let help = "add `deleteDefaultRoutesOnCreate: true` to the network";
                let finding = Diagnostic::warning("default-route-deleted", message).at(place).help(help);
                import.push(finding.related(own.place, "the network"));
            }
            continue;
        }
        let message = format!(
            "the list of the routes of network `{network}` has its subnet routes and no default route: taken as deleted"
        );
        let help = "where the list was filtered, import the default route, too";
        import.push(Diagnostic::note("default-route-deleted", message).at(link.place).help(help));
        let deleted = import.build.text(link.place, true);
        let fields = [("name", link.clone()), ("deleteDefaultRoutesOnCreate", deleted)];
        let node = import.build.mapping(link.place, fields);
        import.add_of(project, Kind::Network, node);
    }
}

/// Removes subnet routes, which are there by the subnets; tells of those whose subnets are not.
fn subnet_routes(import: &mut Import, own: &[Entry]) {
    let mut described: HashSet<String> = HashSet::new();
    let subnets = import.resources.iter().filter(|it| matches!(it.kind, Kind::Subnetwork | Kind::Connector));
    let own = list_of(own, "subnetworks").chain(list_of(own, "connectors"));
    for subnet in subnets.map(|resource| &resource.node).chain(own) {
        let ranges = subnet.get("secondaryIpRanges").map_or(&[][..], Node::items);
        for node in ranges.iter().chain([subnet]) {
            let keys = ["ipCidrRange", "internalIpv6Prefix", "externalIpv6Prefix", "ipv6CidrRange"];
            described.extend(keys.into_iter().filter_map(|key| text(node, key)).map(str::to_owned));
        }
    }
    let mut missing: BTreeMap<Network, (Place, Vec<String>)> = BTreeMap::new();
    let exported = &import.exported;
    import.resources.retain(|resource| {
        let file = resource.node.place.file;
        if resource.kind != Kind::Route || !exported.contains(&file) || !is_subnet_route(&resource.node) {
            return true;
        }
        if let (Some(network), Some(range)) = (network_of(resource), resource.node.get("destRange"))
            && let Some(text) = range.text().filter(|text| !described.contains(*text))
        {
            missing.entry(network).or_insert((range.place, Vec::new())).1.push(text.to_owned());
        }
        false
    });
    for ((_, network), (place, ranges)) in missing {
        let more = ranges.len().saturating_sub(NAMED);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let named = ranges.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let message = format!(
            "network `{network}` has subnet routes to ranges of no subnet that was read: {named}{more}; they are left out"
        );
        let help = "import what `gcloud compute networks subnets list --format=json` prints, too";
        import.push(Diagnostic::note("subnets-not-described", message).at(place).help(help));
    }
}

/// A connector whose subnet `aet-…` was read uses that one, instead of making a second of the same range.
fn subnets_of_connectors(import: &mut Import) {
    let mut made: HashMap<(String, String), Node> = HashMap::new();
    for subnet in import.resources.iter().filter(|it| it.kind == Kind::Subnetwork) {
        let node = &subnet.node;
        let of_google = name(node, "name").is_some_and(|name| name.starts_with("aet-"));
        if let (true, Some(network), Some(range), Some(own)) =
            (of_google, name(node, "network"), text(node, "ipCidrRange"), node.get("name"))
        {
            made.insert((network.to_owned(), range.to_owned()), own.clone());
        }
    }
    if made.is_empty() {
        return;
    }
    for connector in import.resources.iter_mut().filter(|it| it.kind == Kind::Connector) {
        let node = &mut connector.node;
        let (Some(network), Some(range)) = (name(node, "network"), text(node, "ipCidrRange")) else { continue };
        let Some(subnet) = made.get(&(network.to_owned(), range.to_owned())) else { continue };
        let place = node.get("ipCidrRange").map_or(node.place, |range| range.place);
        node.take("ipCidrRange");
        node.take("network");
        let subnet = import.build.text(place, subnet.text().unwrap_or_default());
        let subnet = import.build.mapping(place, [("name", subnet)]);
        node.put("subnet", subnet);
    }
}

/// Region and name of a workload, wherever they stand.
fn workload(node: &Node) -> Option<(Option<String>, String)> {
    let own = text(node, "name")?;
    let region = path::parse(own).and_then(|path| path.location).or_else(|| name(node, "region"));
    Some((region.map(str::to_owned), path::location(own).to_owned()))
}

/// Leaves out the services that functions run as.
fn services_of_functions(import: &mut Import) {
    let mut services: HashSet<(Option<String>, String)> = HashSet::new();
    for function in import.resources.iter_mut().filter(|it| it.kind == Kind::Function) {
        let Some(service) = child(&mut function.node, "serviceConfig").and_then(|config| config.take("service")) else {
            continue;
        };
        if let Some(path) = service.text().and_then(path::parse) {
            services.insert((path.location.map(str::to_owned), path.name.to_owned()));
        }
    }
    if services.is_empty() {
        return;
    }
    let mut left_out = Vec::new();
    import.resources.retain(|resource| {
        let of_function = resource.kind == Kind::Service
            && workload(&resource.node).is_some_and(|workload| services.contains(&workload));
        if of_function {
            left_out.push(resource.node.place);
        }
        !of_function
    });
    left_out.into_iter().for_each(|place| import.skip("services that functions run as", place));
}

/// Puts the associations of all descriptions of a policy into the first, and tells of policies without any rules.
fn firewall_policies(import: &mut Import) {
    type Policy = (Option<String>, String);
    let key = |resource: &Resource| -> Option<Policy> {
        let region = name(&resource.node, "region").map(str::to_owned);
        Some((region, name(&resource.node, "name")?.to_owned()))
    };
    // What effective firewalls print may not say its project.
    let agree = |one: &Option<String>, other: &Option<String>| one.is_none() || other.is_none() || one == other;
    let mut first: HashMap<Policy, Vec<usize>> = HashMap::new();
    let mut with_rules: HashSet<Policy> = HashSet::new();
    let mut more: BTreeMap<usize, Vec<Node>> = BTreeMap::new();
    for at in 0..import.resources.len() {
        let resource = &import.resources[at];
        let Some(key) = (if resource.kind == Kind::FirewallPolicy { key(resource) } else { None }) else { continue };
        if resource.node.get("rules").is_some() {
            with_rules.insert(key.clone());
        }
        let same = first.entry(key).or_default();
        let into = same.iter().copied().find(|of| agree(&import.resources[*of].project, &resource.project));
        let Some(into) = into else {
            same.push(at);
            continue;
        };
        let associations = import.resources[at].node.take("associations");
        if let Some(Node { value: Value::Sequence(associations), .. }) = associations {
            more.entry(into).or_default().extend(associations);
        }
    }
    for (into, associations) in more {
        let node = &mut import.resources[into].node;
        if node.get("associations").is_none() {
            let empty = import.build.list(node.place, Vec::new());
            node.put("associations", empty);
        }
        let Some(Value::Sequence(list)) = child(node, "associations").map(|list| &mut list.value) else { continue };
        list.extend(associations);
        let mut targets = HashSet::new();
        list.retain(|association| {
            name(association, "attachmentTarget").is_none_or(|target| targets.insert(target.to_owned()))
        });
    }
    let exported = &import.exported;
    let silent = import.resources.iter().filter(|resource| {
        resource.kind == Kind::FirewallPolicy
            && exported.contains(&resource.node.place.file)
            && key(resource).is_some_and(|key| !with_rules.contains(&key))
    });
    let findings: Vec<Diagnostic> = silent
        .map(|resource| {
            let own = resource.node.get("name").map_or(resource.node.place, |name| name.place);
            let called = text(&resource.node, "shortName").or_else(|| name(&resource.node, "name")).unwrap_or_default();
            let message = format!("firewall policy `{called}` is listed without its rules: none is evaluated");
            let help = "export it with `gcloud compute firewall-policies describe POLICY --format=json`";
            Diagnostic::warning("policy-without-rules", message).at(own).help(help)
        })
        .collect();
    findings.into_iter().for_each(|finding| import.push(finding));
}
