//! `gcloud compute networks`: networks, their subnets and peerings, and `gcloud services vpc-peerings`.

use super::arg::Arg;
use super::call::Call;
use super::project::owner;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::import::Kind;
use crate::scenario::tree::{Node, shorten};

/// Networks.
pub(super) fn network(call: &mut Call<'_>, verb: &str) {
    let command = call.command;
    for name in &command.arguments {
        match verb {
            "create" => {
                let mut node = call.named(name, None);
                // gcloud's default is auto mode.
                let mode = command.value("subnet-mode").or(command.value("mode"));
                let custom = mode.is_some_and(|mode| mode.text.eq_ignore_ascii_case("custom"));
                let place = mode.map_or(name.place, |mode| mode.place);
                let value = call.word(place, !custom);
                node.put("autoCreateSubnetworks", value);
                common(call, &mut node);
                call.create(Kind::Network, name, None, node);
            }
            "update" => {
                let Some(index) = call.existing(Kind::Network, name, None) else { continue };
                call.edit(index, |call, node| {
                    if let Some(flag) = call.command.flag("switch-to-custom-subnet-mode") {
                        let value = call.word(flag.place, "false");
                        node.put("autoCreateSubnetworks", value);
                    }
                    common(call, node);
                });
            }
            _ => {
                let user = call.project.user_of_network(name.name());
                let user = user.map(|entry| (owner(entry.kind, &entry.name, entry.region.as_deref()), entry.place));
                if let Some((user, place)) = user {
                    in_use(call, name, "network", &user, place);
                    continue;
                }
                call.delete(Kind::Network, name, None);
            }
        }
    }
}

/// Refuses to delete what something else uses.
pub(super) fn in_use(call: &mut Call<'_>, name: &Arg, what: &str, user: &str, place: Place) {
    if call.around.tolerant {
        return;
    }
    let message = format!("the {what} resource `{}` is already being used by the {user}", shorten(name.name()));
    call.import.push(
        Diagnostic::rejected("in-use", message)
            .at(name.place)
            .related(place, "it uses it")
            .help(format!("delete the {user} before")),
    );
}

fn common(call: &mut Call<'_>, node: &mut Node) {
    call.put(node, "mtu", "mtu");
    if let Some(mode) = call.known("bgp-routing-mode") {
        let text = call.word(mode.place, mode.text.to_ascii_uppercase());
        call.child(node, "routingConfig", mode.place).put("routingMode", text);
    }
    call.put_word(node, "network-firewall-policy-enforcement-order", "networkFirewallPolicyEnforcementOrder");
    call.put_switch(node, "delete-default-routes-on-create", "deleteDefaultRoutesOnCreate");
    call.put_switch(node, "enable-ula-internal-ipv6", "enableUlaInternalIpv6");
    call.put(node, "internal-ipv6-range", "internalIpv6Range");
}

/// Subnets.
pub(super) fn subnet(call: &mut Call<'_>, verb: &str) {
    let command = call.command;
    let region = call.region(command.arguments.first(), "compute/region");
    let region = region.as_ref();
    for name in &command.arguments {
        match verb {
            "create" => create_subnet(call, name, region),
            "update" => {
                let Some(index) = call.existing(Kind::Subnetwork, name, region) else { continue };
                call.edit(index, |call, node| {
                    subnet_fields(call, node);
                    secondary_ranges(call, node, "add-secondary-ranges");
                    let gone = call.items("remove-secondary-ranges");
                    if let Some(place) = gone.first().map(|name| name.place) {
                        let ranges = call.list_mut(node, "secondaryIpRanges", place);
                        ranges.retain(|range| {
                            let name = range.get("rangeName").and_then(Node::text);
                            !gone.iter().any(|gone| Some(&*gone.text) == name)
                        });
                    }
                });
            }
            "expand-ip-range" => {
                let Some(index) = call.existing(Kind::Subnetwork, name, region) else { continue };
                call.edit(index, |call, node| {
                    let Some(length) = call.known("prefix-length") else { return };
                    let range = node.get("ipCidrRange").and_then(Node::text);
                    let range = range.and_then(|range| range.parse::<ipnet::Ipv4Net>().ok());
                    if let (Some(range), Ok(length)) = (range, length.text.parse())
                        && let Ok(wider) = ipnet::Ipv4Net::new(range.network(), length)
                    {
                        let text = call.word(call.command.place, wider.trunc());
                        node.put("ipCidrRange", text);
                    }
                });
            }
            _ => {
                let user = user_of_subnet(call, name.name());
                if let Some((user, place)) = user {
                    in_use(call, name, "subnetwork", &user, place);
                    continue;
                }
                call.delete(Kind::Subnetwork, name, region);
            }
        }
    }
}

/// A connector keeps its subnet from being deleted.
fn user_of_subnet(call: &Call<'_>, name: &str) -> Option<(String, Place)> {
    let connectors = call.project.entries.iter().rev().take(1024).filter(|entry| entry.kind == Kind::Connector);
    let mut connectors = connectors.filter(|entry| {
        let subnet = entry.node.at_path(&["subnet", "name"]).and_then(Node::text);
        subnet == Some(name) && call.project.find(Kind::Connector, &entry.name, &Default::default()).is_some()
    });
    connectors.next().map(|entry| (owner(entry.kind, &entry.name, entry.region.as_deref()), entry.place))
}

fn create_subnet(call: &mut Call<'_>, name: &Arg, region: Option<&Arg>) {
    let command = call.command;
    call.required("network");
    let mut node = call.named(name, region);
    call.put_name(&mut node, "network", "network");
    if let Some(network) = command.value("network") {
        call.refer(Kind::Network, network, None, None);
    }
    let ipv6 = command.value("stack-type").is_some_and(|kind| kind.text.eq_ignore_ascii_case("ipv6-only"));
    let reserved = command.flag("reserved-internal-range").is_some();
    if command.flag("range").is_none() && !ipv6 && !reserved {
        call.required("range");
    }
    call.put(&mut node, "range", "ipCidrRange");
    subnet_fields(call, &mut node);
    secondary_ranges(call, &mut node, "secondary-range");
    call.put_switch(&mut node, "allow-cidr-routes-overlap", "allowSubnetCidrRoutesOverlap");
    let (_, new) = call.create(Kind::Subnetwork, name, region, node);
    let network = command.value("network").map(|network| network.name().to_owned());
    if let (true, Some(network)) = (new, network) {
        if let Some(range) = command.value("range") {
            call.claim(&network, range, Kind::Subnetwork, name, region);
        }
        let ranges: Vec<Arg> =
            command.all("secondary-range").filter_map(|flag| flag.value.as_ref()).flat_map(Arg::items).collect();
        for range in ranges.iter().filter_map(|item| item.split_once('=')) {
            call.claim(&network, &range.1, Kind::Subnetwork, name, region);
        }
    }
}

fn subnet_fields(call: &mut Call<'_>, node: &mut Node) {
    call.put_switch(node, "enable-private-ip-google-access", "privateIpGoogleAccess");
    call.put_word(node, "purpose", "purpose");
    call.put_word(node, "stack-type", "stackType");
    call.put_word(node, "ipv6-access-type", "ipv6AccessType");
    call.put(node, "external-ipv6-prefix", "externalIpv6Prefix");
    call.put(node, "internal-ipv6-prefix", "internalIpv6Prefix");
}

/// `name=range`, several of them.
fn secondary_ranges(call: &mut Call<'_>, node: &mut Node, flag: &str) {
    for item in call.items(flag) {
        let Some((name, range)) = item.split_once('=') else {
            let message = format!("argument --{flag}: Bad syntax for dict arg: [{}]", shorten(&item.text));
            call.refuse("invalid-flags", message, item.place, "write `NAME=RANGE`");
            continue;
        };
        if !call.is_given(&range, flag) {
            continue;
        }
        let mut entry = call.mapping(item.place);
        for (field, value) in [("rangeName", &name), ("ipCidrRange", &range)] {
            let value = call.text(value);
            entry.put(field, value);
        }
        call.list_mut(node, "secondaryIpRanges", item.place).push(entry);
    }
}

/// Peerings of networks.
pub(super) fn peering(call: &mut Call<'_>, verb: &str) {
    let command = call.command;
    if !call.required("network") {
        return;
    }
    let (Some(name), Some(network)) = (command.arguments.first(), command.value("network")) else { return };
    if verb == "create" && !call.required("peer-network") {
        return;
    }
    let Some(index) = call.part(Kind::Network, network, None) else { return };
    if verb != "create" && !call.project.entries[index].created {
        call.project.entries[index].change = true;
    }
    call.edit(index, |call, node| {
        let place = name.place;
        let peerings = call.list_mut(node, "peerings", place);
        let at = peerings.iter().position(|peering| peering.get("name").and_then(Node::text) == Some(&*name.text));
        match (verb, at) {
            ("delete", Some(at)) => {
                peerings.remove(at);
            }
            ("create", Some(at)) => {
                let before = peerings[at].place;
                already(call, name, "peering", before);
            }
            ("update", None) if call.project.made(network.name()).is_some() => {
                let message = format!(
                    "there is no peering `{}` in the network `{}`",
                    shorten(&name.text),
                    shorten(network.name())
                );
                call.refuse(
                    "not-found",
                    message,
                    name.place,
                    "create it first: `gcloud compute networks peerings create`",
                );
            }
            ("create" | "update", _) => {
                let mut peering = match at {
                    Some(at) => peerings.remove(at),
                    None => call.named(name, None),
                };
                peering_fields(call, &mut peering);
                call.list_mut(node, "peerings", place).push(peering);
            }
            _ => {}
        }
    });
}

fn peering_fields(call: &mut Call<'_>, peering: &mut Node) {
    let command = call.command;
    if let Some(network) = command.value("peer-network") {
        // A network of another project is told apart by its path.
        let project = command.value("peer-project").filter(|project| !project.is_unknown());
        let here = call.project_of(None);
        let text = match project.filter(|project| here.as_deref() != Some(&project.text)) {
            Some(project) if !network.text.contains('/') => {
                format!("projects/{}/global/networks/{}", project.text, network.text)
            }
            _ => network.text.clone(),
        };
        if !text.contains('/') {
            call.refer(Kind::Network, network, None, None);
        }
        let text = call.word(network.place, text);
        peering.put("network", text);
    }
    for (flag, field) in [
        ("export-custom-routes", "exportCustomRoutes"),
        ("import-custom-routes", "importCustomRoutes"),
        ("export-subnet-routes-with-public-ip", "exportSubnetRoutesWithPublicIp"),
        ("import-subnet-routes-with-public-ip", "importSubnetRoutesWithPublicIp"),
    ] {
        call.put_switch(peering, flag, field);
    }
    call.put_word(peering, "stack-type", "stackType");
}

/// Says that a part of a resource exists already.
pub(super) fn already(call: &mut Call<'_>, name: &Arg, what: &str, before: Place) {
    if call.around.tolerant {
        return;
    }
    let message = format!("the {what} `{}` already exists: this command is refused", shorten(name.name()));
    call.import.push(
        Diagnostic::rejected("already-exists", message)
            .at(name.place)
            .related(before, "created here")
            .help("keep one of the two commands, or give the second another name"),
    );
}

/// Private services access: the peering with Google's service network.
pub(super) fn service_peering(call: &mut Call<'_>, verb: &str) {
    let command = call.command;
    if !call.required("network") {
        return;
    }
    let Some(network) = command.value("network") else { return };
    if verb == "connect" {
        call.required("ranges");
        for range in call.items("ranges") {
            call.refer(Kind::Address, &range, None, None);
        }
    }
    let Some(index) = call.part(Kind::Network, network, None) else { return };
    call.edit(index, |call, node| {
        const NAME: &str = "servicenetworking-googleapis-com";
        let place = command.place;
        let peerings = call.list_mut(node, "peerings", place);
        peerings.retain(|peering| peering.get("name").and_then(Node::text) != Some(NAME));
        if verb != "delete" {
            let mut peering = call.mapping(place);
            for (field, text) in [("name", NAME), ("network", "servicenetworking")] {
                let text = call.word(place, text);
                peering.put(field, text);
            }
            call.list_mut(node, "peerings", place).push(peering);
        }
    });
}
