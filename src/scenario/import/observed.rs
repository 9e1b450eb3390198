//! What was observed of a running network: `gcloud compute routers get-nat-mapping-info`, `get-status` and
//! `get-nat-ip-info`, as the API answers or as gcloud prints it (items of a list, in YAML each as a document).
//!
//! It becomes the scenario's `observed`, which a run is compared with, and tells two things that configuration does not
//! hold: the address behind the name of a NAT IP, and who was first. Ports are given to VMs in the order in which they come;
//! when they do not suffice for all, that order decides who has some. Imported VMs are put into the order of their ports.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use super::{Import, Kind};
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::observed::PortRange;
use crate::scenario::tree::{Entry, Node, Value};
use crate::scenario::value::Reference;

const MAPPINGS: &str = "natMappings";
const STATUS: &str = "natStatus";
const NAT_IPS: &str = "natIpInfo";

/// What a document is a list of, as the scenario's `observed` calls it.
fn kind(node: &Node) -> Option<&'static str> {
    match node.get("kind").and_then(Node::text) {
        Some("compute#vmEndpointNatMappingsList") => return Some(MAPPINGS),
        Some("compute#routerStatusResponse") => return Some(STATUS),
        _ => {}
    }
    let result = node.get("result").unwrap_or(node);
    let first = match &result.value {
        Value::Sequence(items) => items.first()?,
        _ => result,
    };
    let has = |key| first.get(key).is_some();
    match () {
        () if has("interfaceNatMappings") => Some(MAPPINGS),
        () if has("natIpInfoMappings") => Some(NAT_IPS),
        // A status without gateways has routes only; `natStatus` under `observed` is a scenario's.
        () if has("natStatus") && !has("natMappings") && !has("natIpInfo") => Some(STATUS),
        () => None,
    }
}

pub(super) fn claims(node: &Node) -> bool {
    kind(node).is_some()
}

pub(super) fn read(import: &mut Import, node: Node) {
    let Some(kind) = kind(&node) else { return };
    import.exported.insert(node.place.file);
    let whole = node.place;
    let result = node.get("result").unwrap_or(&node);
    let (place, items) = match &result.value {
        Value::Sequence(items) => (result.place, items.clone()),
        // A router's status is an object, whose other fields are about routes.
        Value::Mapping(_) if kind == STATUS => {
            let gateways = result.get(STATUS);
            (gateways.map_or(whole, |list| list.place), gateways.map_or(&[][..], Node::items).to_vec())
        }
        // Nothing at all, or an item as a document of its own.
        _ if node.get("kind").is_some() => (whole, Vec::new()),
        _ => (whole, vec![result.clone()]),
    };
    if kind == STATUS {
        items.iter().for_each(|status| addresses(import, status));
    }
    let list = import.build.list(place, items);
    let observed = import.build.mapping(whole, [(kind, list)]);
    import.observed.push(observed);
}

/// A status has the names of NAT IPs and their addresses, in the same order. Where there are several that is what one
/// would think: the API's description does not say so.
fn addresses(import: &mut Import, status: &Node) {
    let list = |key| status.get(key).map_or(&[][..], Node::items);
    let (names, ips) = (list("userAllocatedNatIpResources"), list("userAllocatedNatIps"));
    if names.len() != ips.len() {
        return;
    }
    for (resource, ip) in names.iter().zip(ips) {
        let Some(reference) = resource.text().and_then(|text| text.parse::<Reference>().ok()) else { continue };
        let name = import.build.text(resource.place, reference.name());
        let mut fields = vec![("name", name), ("address", ip.clone())];
        if let Some(region) = reference.region() {
            fields.push(("region", import.build.text(resource.place, region)));
        }
        let node = import.build.mapping(resource.place, fields);
        import.add_of(reference.project().map(str::to_owned), Kind::Address, node);
    }
}

/// The scenario's `observed`, of all that was read.
pub(super) fn entry(import: &mut Import) -> Option<Entry> {
    let first = import.observed.first()?.place;
    let mut lists = Vec::new();
    for key in [MAPPINGS, STATUS, NAT_IPS] {
        let found: Vec<&Node> = import.observed.iter().filter_map(|observed| observed.get(key)).collect();
        let Some(place) = found.first().map(|list| list.place) else { continue };
        let items = found.iter().flat_map(|list| list.items()).cloned().collect();
        lists.push((key, import.build.list(place, items)));
    }
    Some(Entry::new("observed", import.build.mapping(first, lists)))
}

/// Where a VM's first port is: rank of its NAT IP, the NAT IP, the port.
type First = (usize, Ipv4Addr, u16);

/// Puts the imported VMs into the order of their lowest observed ports, those without any last.
pub(super) fn order(import: &mut Import) {
    let firsts = firsts(&import.observed);
    let Some(place) = import.observed.iter().find_map(|observed| Some(observed.get(MAPPINGS)?.place)) else { return };
    let key = |node: &Node| {
        let first = first_of(node, &firsts);
        (first.is_none(), first)
    };
    let at: Vec<usize> =
        (0..import.resources.len()).filter(|&at| import.resources[at].kind == Kind::Instance).collect();
    let mut sorted: Vec<_> = at.iter().map(|&at| import.resources[at].clone()).collect();
    sorted.sort_by_key(|resource| key(&resource.node));
    let id = |node: &Node| node.id;
    let changed = at.iter().zip(&sorted).any(|(&at, resource)| id(&import.resources[at].node) != id(&resource.node));
    if !changed {
        return;
    }
    for (at, resource) in at.into_iter().zip(sorted) {
        import.resources[at] = resource;
    }
    let message = "VMs come in the order of their observed ports, those without any last: it decides who gets ports";
    let help = "configuration does not say in which order VMs came";
    import.push(Diagnostic::note("observed-order", message).at(start_of(place)).help(help));
}

fn start_of(place: Place) -> Place {
    Place { end: place.start, ..place }
}

/// By VM and address the first of its ports.
fn firsts(observed: &[Node]) -> HashMap<(String, Option<Ipv4Addr>), First> {
    let items = |key| observed.iter().filter_map(move |node: &Node| node.get(key)).flat_map(Node::items);
    // The order in which a gateway uses its NAT IPs is that of its status.
    let mut ranks = HashMap::new();
    for status in items(STATUS) {
        let of = |key| status.get(key).map_or(&[][..], Node::items);
        for (rank, ip) in of("userAllocatedNatIps").iter().chain(of("autoAllocatedNatIps")).enumerate() {
            if let Some(ip) = ip.text().and_then(|text| text.parse::<Ipv4Addr>().ok()) {
                ranks.entry(ip).or_insert(rank);
            }
        }
    }
    let mut firsts: HashMap<(String, Option<Ipv4Addr>), First> = HashMap::new();
    for vm in items(MAPPINGS) {
        let Some(name) = vm.get("instanceName").and_then(Node::text) else { continue };
        for interface in vm.get("interfaceNatMappings").map_or(&[][..], Node::items) {
            let address = interface.get("sourceVirtualIp").and_then(Node::text).and_then(|text| text.parse().ok());
            let ranges = interface.get("natIpPortRanges").map_or(&[][..], Node::items).iter();
            let ranges = ranges.filter_map(|range| PortRange::parse(range.text()?));
            let lowest = ranges.map(|(ip, port, _)| (ranks.get(&ip).copied().unwrap_or(usize::MAX), ip, port)).min();
            let Some(lowest) = lowest else { continue };
            // Names are of a zone; where a VM's address is not known, its name has to do.
            for address in [None, address] {
                let first = firsts.entry((name.to_owned(), address)).or_insert(lowest);
                *first = lowest.min(*first);
            }
        }
    }
    firsts
}

/// The first port of a VM.
fn first_of(node: &Node, firsts: &HashMap<(String, Option<Ipv4Addr>), First>) -> Option<First> {
    let name = node.get("name").and_then(Node::text)?;
    let name = name.rsplit('/').next().unwrap_or(name);
    let interfaces = node.get("networkInterfaces").map_or(&[][..], Node::items).iter();
    let addresses = interfaces.filter_map(|nic| nic.get("networkIP")?.text()?.parse::<Ipv4Addr>().ok());
    let addresses: Vec<Option<Ipv4Addr>> = addresses.map(Some).collect();
    let addresses = if addresses.is_empty() { vec![None] } else { addresses };
    addresses.into_iter().filter_map(|address| firsts.get(&(name.to_owned(), address)).copied()).min()
}

#[cfg(test)]
mod tests;
