//! `gcloud compute addresses`, `compute routes` and `network-connectivity policy-based-routes`.

use super::arg::Arg;
use super::call::Call;
use super::nat;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::import::Kind;
use crate::scenario::tree::{Node, shorten};

/// Reserved addresses and ranges.
pub(super) fn address(call: &mut Call<'_>, verb: &str) {
    let command = call.command;
    let global = command.is_on("global");
    call.exclusive("global", "region");
    let region = if global { None } else { call.region(command.arguments.first(), "compute/region") };
    let region = region.as_ref();
    if verb == "delete" {
        for name in &command.arguments {
            nat::delete_address(call, name, region);
        }
        return;
    }
    let values = call.items("addresses");
    if command.arguments.is_empty() {
        if values.is_empty() {
            let message = "argument NAME: Must be specified.";
            call.refuse("invalid-flags", message, command.place, "give the address a name");
        }
        // gcloud makes names up for these.
        for value in &values {
            let mut node = call.mapping(value.place);
            let mut made_up = Arg::new(value.place);
            let name = format!("address-{}", value.text.replace(['.', ':'], "-"));
            made_up.push(&name, value.place.start, value.place.end);
            let name = call.text(&made_up);
            node.put("name", name);
            fields(call, &mut node, region, Some(value));
            call.create(Kind::Address, &made_up, region, node);
        }
        return;
    }
    for (index, name) in command.arguments.iter().enumerate() {
        let mut node = call.named(name, region);
        fields(call, &mut node, region, values.get(index));
        call.create(Kind::Address, name, region, node);
    }
}

fn fields(call: &mut Call<'_>, node: &mut Node, region: Option<&Arg>, value: Option<&Arg>) {
    let command = call.command;
    if let Some(value) = value.filter(|value| call.is_given(value, "addresses")) {
        let text = call.text(value);
        node.put("address", text);
    }
    if let Some(subnet) = command.value("subnet") {
        call.refer(Kind::Subnetwork, subnet, region, None);
        let text = call.text(subnet);
        node.put("subnetwork", text);
    }
    call.put_word(node, "purpose", "purpose");
    // Internal is what lies in a subnet or serves a purpose inside a network.
    let internal = ["subnet", "network", "prefix-length"].iter().any(|flag| command.flag(flag).is_some());
    let internal = internal || command.value("purpose").is_some();
    let place = command.flag("subnet").or(command.flag("purpose")).map_or(node.place, |flag| flag.place);
    let kind = call.word(place, if internal { "INTERNAL" } else { "EXTERNAL" });
    node.put("addressType", kind);
    call.put_word(node, "network-tier", "networkTier");
    call.put(node, "prefix-length", "prefixLength");
    call.put_name(node, "network", "network");
    if let Some(network) = command.value("network") {
        call.refer(Kind::Network, network, None, None);
    }
}

/// Static routes.
pub(super) fn route(call: &mut Call<'_>, verb: &str) {
    let command = call.command;
    for name in &command.arguments {
        if verb == "delete" {
            delete_route(call, name);
            continue;
        }
        // Without them it would be about everything, or lead nowhere.
        let unknown = HOPS.iter().map(|(flag, _)| *flag).chain(["destination-range"]);
        let unknown =
            unknown.filter_map(|flag| Some((flag, command.value(flag)?))).find(|(_, value)| value.is_unknown());
        if let Some((flag, value)) = unknown {
            let message = format!("--{flag} is not in the scripts: the route `{}` is left out", shorten(name.name()));
            let help = "put the value in before the import, such as with `envsubst < file`";
            call.import.push(Diagnostic::warning("route-unknown", message).at(value.place).help(help));
            continue;
        }
        let mut node = call.named(name, None);
        network(call, &mut node);
        call.required("destination-range");
        call.put(&mut node, "destination-range", "destRange");
        call.put(&mut node, "priority", "priority");
        call.put_names(&mut node, "tags", "tags");
        next_hop(call, &mut node);
        call.create(Kind::Route, name, None, node);
    }
}

/// Takes a route away: one that a command has made, or the default route that Google has made with the network.
fn delete_route(call: &mut Call<'_>, name: &Arg) {
    let scope = call.scope(Some(name), None);
    let made = call.project.find(Kind::Route, name.name(), &scope).is_some();
    let network = call.project.only_network().filter(|_| !made && name.name().starts_with("default-route-"));
    let Some(network) = network else { return call.delete(Kind::Route, name, None) };
    let mut of = Arg::new(name.place);
    of.push(&network, name.place.start, name.place.end);
    let Some(index) = call.part(Kind::Network, &of, None) else { return };
    call.edit(index, |call, node| {
        let value = call.word(name.place, "true");
        node.put("deleteDefaultRoutesOnCreate", value);
    });
    let message =
        format!("this is taken for the default route of the network `{}`, the only one here", shorten(&network));
    call.import.push(Diagnostic::note("default-route-deleted", message).at(name.place));
}

fn network(call: &mut Call<'_>, node: &mut Node) {
    let command = call.command;
    match command.value("network") {
        Some(network) => {
            call.refer(Kind::Network, network, None, None);
            call.put_name(node, "network", "network");
        }
        None => {
            let text = call.word(command.place, "default");
            node.put("network", text);
        }
    }
}

const HOPS: [(&str, &str); 5] = [
    ("next-hop-gateway", "nextHopGateway"),
    ("next-hop-instance", "nextHopInstance"),
    ("next-hop-address", "nextHopIp"),
    ("next-hop-vpn-tunnel", "nextHopVpnTunnel"),
    ("next-hop-ilb", "nextHopIlb"),
];

fn next_hop(call: &mut Call<'_>, node: &mut Node) {
    let command = call.command;
    let given: Vec<_> = HOPS.into_iter().filter(|(flag, _)| command.flag(flag).is_some()).collect();
    match given.as_slice() {
        [] => {
            let message = "Exactly one of (--next-hop-address | --next-hop-gateway | --next-hop-ilb | --next-hop-instance | --next-hop-vpn-tunnel) must be specified.";
            call.refuse(
                "invalid-flags",
                message,
                command.place,
                "add `--next-hop-gateway=default-internet-gateway`, or another next hop",
            );
        }
        [(first, _), (second, _), ..] => {
            call.exclusive(first, second);
        }
        _ => {}
    }
    for (flag, field) in given {
        let Some(value) = call.known(flag) else { continue };
        // Zones and regions of next hops have flags of their own.
        let place = match flag {
            "next-hop-instance" => command.value("next-hop-instance-zone").map(|zone| ("zones", "instances", zone)),
            "next-hop-vpn-tunnel" => {
                command.value("next-hop-vpn-tunnel-region").map(|at| ("regions", "vpnTunnels", at))
            }
            "next-hop-ilb" if value.text.parse::<std::net::IpAddr>().is_err() => {
                command.value("next-hop-ilb-region").map(|at| ("regions", "forwardingRules", at))
            }
            _ => None,
        };
        let text = match place.filter(|(_, _, at)| !at.is_unknown() && !value.text.contains('/')) {
            Some((scope, collection, at)) => format!("{scope}/{}/{collection}/{}", at.text, value.text),
            None => value.text.clone(),
        };
        let text = call.word(value.place, text);
        node.put(field, text);
    }
}

/// Policy-based routes.
pub(super) fn policy_based(call: &mut Call<'_>, verb: &str) {
    let command = call.command;
    let Some(name) = command.arguments.first() else { return };
    if verb == "delete" {
        return call.delete(Kind::PolicyBasedRoute, name, None);
    }
    let mut node = call.named(name, None);
    call.required("network");
    network(call, &mut node);
    let mut filter = call.mapping(name.place);
    call.put(&mut filter, "source-range", "srcRange");
    call.put(&mut filter, "destination-range", "destRange");
    call.put(&mut filter, "ip-protocol", "ipProtocol");
    call.put_word(&mut filter, "protocol-version", "protocolVersion");
    node.put("filter", filter);
    call.put(&mut node, "priority", "priority");
    call.exclusive("next-hop-ilb-ip", "next-hop-other-routes");
    call.put(&mut node, "next-hop-ilb-ip", "nextHopIlbIp");
    call.put_word(&mut node, "next-hop-other-routes", "nextHopOtherRoutes");
    call.exclusive("tags", "interconnect-attachment-region");
    if let Some(flag) = command.flag("tags") {
        let mut machines = call.mapping(flag.place);
        call.put_names(&mut machines, "tags", "tags");
        node.put("virtualMachine", machines);
    }
    if let Some(flag) = command.flag("interconnect-attachment-region") {
        let mut attachments = call.mapping(flag.place);
        call.put(&mut attachments, "interconnect-attachment-region", "region");
        node.put("interconnectAttachment", attachments);
    }
    call.create(Kind::PolicyBasedRoute, name, None, node);
}
