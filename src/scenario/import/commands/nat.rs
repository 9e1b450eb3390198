//! `gcloud compute routers`: Cloud Routers, their NAT gateways and the rules of these.
//!
//! Flags and fields: <https://cloud.google.com/sdk/gcloud/reference/compute/routers/nats/create>. What the API refuses about
//! values (powers of two, limits) is for the check of the scenario; here is what gcloud refuses about flags.

use super::arg::Arg;
use super::call::{Call, Found};
use super::networks::{already, in_use};
use super::project::owner;
use crate::scenario::import::Kind;
use crate::scenario::tree::{self, Node, shorten};

/// Routers.
pub(super) fn router(call: &mut Call<'_>, verb: &str) {
    let command = call.command;
    let region = call.region(command.arguments.first(), "compute/region");
    let region = region.as_ref();
    for name in &command.arguments {
        match verb {
            "create" => {
                let mut node = call.named(name, region);
                if call.command.flag("ncc-gateway").is_none() {
                    call.required("network");
                }
                call.put_name(&mut node, "network", "network");
                if let Some(network) = command.value("network") {
                    call.refer(Kind::Network, network, None, None);
                }
                bgp(call, &mut node);
                call.create(Kind::Router, name, region, node);
            }
            "update" => {
                if let Some(index) = call.existing(Kind::Router, name, region) {
                    call.edit(index, bgp);
                }
            }
            _ => call.delete(Kind::Router, name, region),
        }
    }
}

fn bgp(call: &mut Call<'_>, node: &mut Node) {
    let command = call.command;
    for flag in
        ["asn", "advertisement-mode", "set-advertisement-groups", "set-advertisement-ranges", "keepalive-interval"]
    {
        let Some(place) = command.flag(flag).map(|flag| flag.place) else { continue };
        call.child(node, "bgp", place);
        let Some(mut bgp) = node.take("bgp") else { continue };
        match flag {
            "asn" => call.put(&mut bgp, flag, "asn"),
            "advertisement-mode" => call.put_word(&mut bgp, flag, "advertiseMode"),
            "keepalive-interval" => call.put_seconds(&mut bgp, flag, "keepaliveInterval"),
            "set-advertisement-groups" => {
                let items = call.items(flag);
                let items = items.iter().map(|item| call.word(item.place, item.text.to_ascii_uppercase())).collect();
                let list = call.import.build.list(place, items);
                bgp.put("advertisedGroups", list);
            }
            _ => {
                let mut ranges = Vec::new();
                for item in call.items(flag) {
                    // `RANGE=DESCRIPTION`
                    let range = item.split_once('=').map_or(item.clone(), |(range, _)| range);
                    let mut node = call.mapping(range.place);
                    let text = call.text(&range);
                    node.put("range", text);
                    ranges.push(node);
                }
                let list = call.import.build.list(place, ranges);
                bgp.put("advertisedIpRanges", list);
            }
        }
        node.put("bgp", bgp);
    }
}

/// The router that a gateway is on: what exists, or a part of what was there before.
fn router_of(call: &mut Call<'_>, region: Option<&Arg>) -> Option<usize> {
    if !call.required("router") {
        return None;
    }
    let router = call.command.value("router")?;
    if call.command.gcloud().ends_with("create") {
        return call.part(Kind::Router, router, region);
    }
    call.existing(Kind::Router, router, region)
}

fn position(list: &[Node], name: &str) -> Option<usize> {
    list.iter().position(|nat| nat.get("name").and_then(Node::text) == Some(name))
}

/// NAT gateways.
pub(super) fn gateway(call: &mut Call<'_>, verb: &str) {
    let command = call.command;
    let region = call.region(command.value("router"), "compute/region");
    let region = region.as_ref();
    let Some(router) = router_of(call, region) else { return };
    for name in &command.arguments {
        if verb != "delete" {
            conflicts(call, verb);
        }
        let made = call.project.entries[router].created;
        for flag in command.clears().filter(|_| !made) {
            call.not_cleared(flag.place);
        }
        call.edit(router, |call, node| {
            let nats = call.list_mut(node, "nats", name.place);
            let at = position(nats, &name.text);
            match (verb, at) {
                ("delete", Some(at)) => {
                    nats.remove(at);
                }
                ("create", Some(at)) => {
                    let before = nats[at].get("name").map_or(nats[at].place, |name| name.place);
                    already(call, name, "NAT gateway", before);
                }
                ("update" | "delete", None) if made => missing_gateway(call, name),
                ("delete", None) => call.not_deleted(Kind::Router, name),
                ("create" | "update", _) => {
                    let mut nat = match at {
                        Some(at) => std::mem::replace(&mut nats[at], Node::from(Vec::new())),
                        None => call.named(name, None),
                    };
                    fields(call, &mut nat, region);
                    let nats = call.list_mut(node, "nats", name.place);
                    match at {
                        Some(at) => nats[at] = nat,
                        None => nats.push(nat),
                    }
                }
                _ => {}
            }
        });
    }
}

fn missing_gateway(call: &mut Call<'_>, name: &Arg) {
    if call.around.tolerant || name.is_unknown() {
        return;
    }
    let message =
        format!("NAT `{}` not found: no command before this one creates it on this router", shorten(&name.text));
    call.refuse("not-found", message, name.place, "create it first: `gcloud compute routers nats create`");
}

fn conflicts(call: &mut Call<'_>, verb: &str) {
    let command = call.command;
    let ranges = ["nat-all-subnet-ip-ranges", "nat-primary-subnet-ip-ranges", "nat-custom-subnet-ip-ranges"];
    let given: Vec<&str> = ranges.into_iter().filter(|flag| command.flag(flag).is_some()).collect();
    if let [first, second, ..] = given.as_slice() {
        call.exclusive(first, second);
    }
    call.exclusive("auto-allocate-nat-external-ips", "nat-external-ip-pool");
    call.exclusive("auto-network-tier", "nat-external-ip-pool");
    for (flag, clear) in [
        ("min-ports-per-vm", "clear-min-ports-per-vm"),
        ("max-ports-per-vm", "clear-max-ports-per-vm"),
        ("nat-external-drain-ip-pool", "clear-nat-external-drain-ip-pool"),
    ] {
        call.exclusive(flag, clear);
    }
    if verb != "create" {
        return;
    }
    let six = ["nat64-all-v6-subnet-ip-ranges", "nat64-custom-v6-subnet-ip-ranges"];
    if given.is_empty() && !six.iter().any(|flag| command.flag(flag).is_some()) {
        let help = "add `--nat-all-subnet-ip-ranges`";
        let message = "Exactly one of (--nat-all-subnet-ip-ranges | --nat-custom-subnet-ip-ranges | --nat-primary-subnet-ip-ranges) must be specified.";
        call.refuse("invalid-flags", message, command.place, help);
    }
    let private = command.value("type").is_some_and(|kind| kind.text.eq_ignore_ascii_case("private"));
    let addresses = ["auto-allocate-nat-external-ips", "nat-external-ip-pool"];
    if !private && !addresses.iter().any(|flag| command.flag(flag).is_some()) {
        let help = "add `--auto-allocate-nat-external-ips`, or addresses of your own with `--nat-external-ip-pool`";
        let message = "Exactly one of (--auto-allocate-nat-external-ips | --nat-external-ip-pool) must be specified.";
        call.refuse("invalid-flags", message, command.place, help);
    }
}

fn fields(call: &mut Call<'_>, nat: &mut Node, region: Option<&Arg>) {
    let command = call.command;
    call.put_word(nat, "type", "type");
    if command.flag("endpoint-types").is_some() {
        call.put_list(nat, "endpoint-types", "endpointTypes");
    }
    if let Some(flag) = command.flag("auto-allocate-nat-external-ips").filter(|flag| flag.on) {
        let text = call.word(flag.place, "AUTO_ONLY");
        nat.put("natIpAllocateOption", text);
        nat.take("natIps");
        nat.take("drainNatIps");
    }
    if let Some(flag) = command.flag("nat-external-ip-pool") {
        let text = call.word(flag.place, "MANUAL_ONLY");
        nat.put("natIpAllocateOption", text);
        addresses(call, nat, "nat-external-ip-pool", "natIps", region);
    }
    addresses(call, nat, "nat-external-drain-ip-pool", "drainNatIps", region);
    if command.is_on("clear-nat-external-drain-ip-pool") {
        nat.take("drainNatIps");
    }
    call.put_word(nat, "auto-network-tier", "autoNetworkTier");
    source_ranges(call, nat, region);
    call.put(nat, "min-ports-per-vm", "minPortsPerVm");
    call.put(nat, "max-ports-per-vm", "maxPortsPerVm");
    call.put_switch(nat, "enable-dynamic-port-allocation", "enableDynamicPortAllocation");
    call.put_switch(nat, "enable-endpoint-independent-mapping", "enableEndpointIndependentMapping");
    for (flag, field) in [
        ("udp-idle-timeout", "udpIdleTimeoutSec"),
        ("icmp-idle-timeout", "icmpIdleTimeoutSec"),
        ("tcp-established-idle-timeout", "tcpEstablishedIdleTimeoutSec"),
        ("tcp-transitory-idle-timeout", "tcpTransitoryIdleTimeoutSec"),
        ("tcp-time-wait-timeout", "tcpTimeWaitTimeoutSec"),
    ] {
        call.put_seconds(nat, flag, field);
        if command.is_on(&format!("clear-{flag}")) {
            nat.take(field);
        }
    }
    for (flag, field) in [
        ("clear-min-ports-per-vm", "minPortsPerVm"),
        ("clear-max-ports-per-vm", "maxPortsPerVm"),
        ("clear-auto-network-tier", "autoNetworkTier"),
        ("clear-nat64-subnet-ip-ranges", "sourceSubnetworkIpRangesToNat64"),
    ] {
        if command.is_on(flag) {
            nat.take(field);
        }
    }
    if let Some(flag) = command.flag("enable-logging") {
        let value = call.word(flag.place, flag.on);
        call.child(nat, "logConfig", flag.place).put("enable", value);
    }
    if let Some(filter) = call.known("log-filter") {
        let value = call.word(filter.place, filter.text.to_ascii_uppercase().replace('-', "_"));
        call.child(nat, "logConfig", filter.place).put("filter", value);
    }
    rules_of_file(call, nat);
}

fn addresses(call: &mut Call<'_>, node: &mut Node, flag: &str, field: &str, region: Option<&Arg>) {
    let Some(given) = call.command.flag(flag) else { return };
    let items = given.value.as_ref().map(Arg::items).unwrap_or_default();
    for item in &items {
        call.refer(Kind::Address, item, region, None);
    }
    let place = given.value.as_ref().map_or(given.place, |value| value.place);
    let list = call.list(place, &items);
    node.put(field, list);
}

fn source_ranges(call: &mut Call<'_>, nat: &mut Node, region: Option<&Arg>) {
    let command = call.command;
    for (flag, value) in [
        ("nat-all-subnet-ip-ranges", "ALL_SUBNETWORKS_ALL_IP_RANGES"),
        ("nat-primary-subnet-ip-ranges", "ALL_SUBNETWORKS_ALL_PRIMARY_IP_RANGES"),
        ("nat-custom-subnet-ip-ranges", "LIST_OF_SUBNETWORKS"),
    ] {
        if let Some(flag) = command.flag(flag).filter(|flag| flag.on) {
            let value = call.word(flag.place, value);
            nat.put("sourceSubnetworkIpRangesToNat", value);
            nat.take("subnetworks");
        }
    }
    for (flag, value) in [
        ("nat64-all-v6-subnet-ip-ranges", "ALL_IPV6_SUBNETWORKS"),
        ("nat64-custom-v6-subnet-ip-ranges", "LIST_OF_IPV6_SUBNETWORKS"),
    ] {
        if let Some(flag) = command.flag(flag).filter(|flag| flag.on) {
            let value = call.word(flag.place, value);
            nat.put("sourceSubnetworkIpRangesToNat64", value);
        }
    }
    // `SUBNET` is its primary range, `SUBNET:RANGE` a secondary one, `SUBNET:ALL` all of them.
    let items: Vec<Arg> = command.value("nat-custom-subnet-ip-ranges").map(Arg::items).unwrap_or_default();
    for item in &items {
        let (subnet, range) =
            item.split_once(':').map_or((item.clone(), None), |(subnet, range)| (subnet, Some(range)));
        call.refer(Kind::Subnetwork, &subnet, region, None);
        let subnetworks = call.list_mut(nat, "subnetworks", item.place);
        let at = match position(subnetworks, &subnet.text) {
            Some(at) => at,
            None => {
                let mut node = call.mapping(item.place);
                let name = call.text(&subnet);
                node.put("name", name);
                let subnetworks = call.list_mut(nat, "subnetworks", item.place);
                subnetworks.push(node);
                subnetworks.len() - 1
            }
        };
        let option = match &range {
            None => "PRIMARY_IP_RANGE",
            Some(range) if range.text.eq_ignore_ascii_case("ALL") => "ALL_IP_RANGES",
            Some(_) => "LIST_OF_SECONDARY_IP_RANGES",
        };
        let mut node =
            std::mem::replace(&mut call.list_mut(nat, "subnetworks", item.place)[at], Node::from(Vec::new()));
        let text = call.word(item.place, option);
        let options = call.list_mut(&mut node, "sourceIpRangesToNat", item.place);
        if !options.iter().any(|known| known.text() == Some(option)) {
            options.push(text);
        }
        if let (Some(range), "LIST_OF_SECONDARY_IP_RANGES") = (&range, option) {
            let name = call.text(range);
            call.list_mut(&mut node, "secondaryIpRangeNames", range.place).push(name);
        }
        call.list_mut(nat, "subnetworks", item.place)[at] = node;
    }
}

/// `--rules=FILE`: YAML with `rules: [...]`.
fn rules_of_file(call: &mut Call<'_>, nat: &mut Node) {
    let Some(file) = call.command.value("rules").cloned() else { return };
    for document in super::replace::documents(call, &file) {
        let rules = match rules_in(document) {
            Some(rules) => rules,
            None => {
                let message = format!("`{}` holds no `rules:`", shorten(&file.text));
                call.refuse("invalid-flags", message, file.place, "write a list of rules under `rules:`");
                continue;
            }
        };
        nat.put("rules", rules);
    }
}

/// The rules of a document: it is a list of them, or has one.
fn rules_in(mut document: Node) -> Option<Node> {
    match document.value {
        tree::Value::Sequence(_) => Some(document),
        _ => document.take("rules"),
    }
}

/// Rules of NAT gateways.
pub(super) fn rule(call: &mut Call<'_>, verb: &str) {
    let command = call.command;
    let region = call.region(command.value("router"), "compute/region");
    let region = region.as_ref();
    let Some(router) = router_of(call, region) else { return };
    if !call.required("nat") {
        return;
    }
    let (Some(number), Some(gateway)) = (command.arguments.first(), command.value("nat")) else { return };
    if verb == "create" {
        call.required("match");
    }
    let made = call.project.entries[router].created;
    call.edit(router, |call, node| {
        let nats = call.list_mut(node, "nats", gateway.place);
        let at = match position(nats, &gateway.text) {
            Some(at) => at,
            None => {
                if made {
                    missing_gateway(call, gateway);
                    return;
                }
                let nat = call.named(gateway, None);
                let nats = call.list_mut(node, "nats", gateway.place);
                nats.push(nat);
                nats.len() - 1
            }
        };
        let mut nat = std::mem::replace(&mut call.list_mut(node, "nats", gateway.place)[at], Node::from(Vec::new()));
        change_rule(call, &mut nat, number, verb, region);
        call.list_mut(node, "nats", gateway.place)[at] = nat;
    });
}

fn change_rule(call: &mut Call<'_>, nat: &mut Node, number: &Arg, verb: &str, region: Option<&Arg>) {
    let rules = call.list_mut(nat, "rules", number.place);
    let at = rules.iter().position(|rule| rule.get("ruleNumber").and_then(Node::text) == Some(&*number.text));
    let mut rule = match (verb, at) {
        ("delete", Some(at)) => {
            rules.remove(at);
            return;
        }
        ("create", Some(at)) => {
            let before = rules[at].place;
            return already(call, number, "NAT rule", before);
        }
        (_, Some(at)) => rules.remove(at),
        ("create", None) => {
            let mut rule = call.mapping(number.place);
            let value = call.text(number);
            rule.put("ruleNumber", value);
            rule
        }
        (_, None) => {
            let message = format!("there is no NAT rule {}", shorten(&number.text));
            return call.refuse(
                "not-found",
                message,
                number.place,
                "create it first: `gcloud compute routers nats rules create`",
            );
        }
    };
    call.put(&mut rule, "match", "match");
    for (flag, field) in [
        ("source-nat-active-ips", "sourceNatActiveIps"),
        ("source-nat-drain-ips", "sourceNatDrainIps"),
        ("source-nat-active-ranges", "sourceNatActiveRanges"),
        ("source-nat-drain-ranges", "sourceNatDrainRanges"),
    ] {
        let Some(given) = call.command.flag(flag) else { continue };
        let place = given.place;
        call.child(&mut rule, "action", place);
        let Some(mut action) = rule.take("action") else { continue };
        if flag.ends_with("ips") {
            addresses(call, &mut action, flag, field, region);
        } else {
            let items = call.items(flag);
            for item in &items {
                call.refer(Kind::Subnetwork, item, region, None);
            }
            call.put_list(&mut action, flag, field);
        }
        rule.put("action", action);
    }
    call.list_mut(nat, "rules", number.place).push(rule);
}

/// Whether an address serves a gateway; then it cannot be deleted.
pub(super) fn delete_address(call: &mut Call<'_>, name: &Arg, region: Option<&Arg>) {
    let Found::There(index) = call.refer(Kind::Address, name, region, None) else { return };
    let wanted = name.name();
    let routers = call.project.entries.iter().enumerate().rev().take(1024);
    let user = routers.filter(|(_, entry)| entry.kind == Kind::Router).find_map(|(at, entry)| {
        let alive = call.project.find(Kind::Router, &entry.name, &Default::default()) == Some(at);
        let uses = |nat: &Node| {
            let ips = nat.get("natIps").map_or(&[][..], Node::items).iter();
            ips.filter_map(Node::text).any(|ip| ip.rsplit('/').next() == Some(wanted))
        };
        let nats = entry.node.get("nats").map_or(&[][..], Node::items);
        (alive && nats.iter().any(uses)).then(|| (owner(entry.kind, &entry.name, entry.region.as_deref()), entry.place))
    });
    match user {
        Some((user, place)) => in_use(call, name, "address", &user, place),
        None => call.project.delete(index, call.command.place),
    }
}
