//! `gcloud compute instances`: VMs, as far as their network interfaces, tags and identities.

use super::arg::Arg;
use super::call::Call;
use crate::scenario::import::Kind;
use crate::scenario::tree::Node;

/// Carries out one of the verbs.
pub(super) fn run(call: &mut Call<'_>, verb: &str) {
    let command = call.command;
    let zone = command.value("zone").cloned().or_else(|| {
        let (zone, place) = call.project.defaults.get("compute/zone")?.clone();
        let mut arg = Arg::new(place);
        arg.push(&zone, place.start, place.end);
        Some(arg)
    });
    let region = zone.as_ref().filter(|zone| !zone.is_unknown()).and_then(|zone| {
        let at = zone.text.rfind('-')?;
        Some(zone.part(0..at))
    });
    let region = region.as_ref();
    for name in &command.arguments {
        match verb {
            "create" => create(call, name, zone.as_ref(), region),
            "delete" => call.delete(Kind::Instance, name, region),
            _ => {
                let Some(index) = call.existing(Kind::Instance, name, region) else { continue };
                call.edit(index, |call, node| {
                    // A VM found by its name alone has its zone, not a region.
                    node.take("region");
                    let items = call.items("tags");
                    let place = command.place;
                    call.child(node, "tags", place);
                    let Some(mut tags) = node.take("tags") else { return };
                    let all = call.command.is_on("all");
                    let known = call.list_mut(&mut tags, "items", place);
                    known.retain(|tag| !all && !items.iter().any(|item| Some(&*item.text) == tag.text()));
                    if verb == "add-tags" {
                        for item in &items {
                            let text = call.text(item);
                            call.list_mut(&mut tags, "items", place).push(text);
                        }
                    }
                    node.put("tags", tags);
                });
            }
        }
    }
}

fn create(call: &mut Call<'_>, name: &Arg, zone: Option<&Arg>, region: Option<&Arg>) {
    let command = call.command;
    let mut node = call.named(name, None);
    if let Some(zone) = zone.filter(|zone| !zone.is_unknown()) {
        let zone = call.text(zone);
        node.put("zone", zone);
    }
    call.put(&mut node, "machine-type", "machineType");
    let mut interfaces = Vec::new();
    for flag in ["network", "subnet", "private-network-ip", "address"] {
        if command.flag("network-interface").is_some() && command.flag(flag).is_some() {
            call.exclusive("network-interface", flag);
        }
    }
    let described: Vec<&Arg> = command.all("network-interface").filter_map(|flag| flag.value.as_ref()).collect();
    if described.is_empty() {
        let external = command.flag("address").is_none_or(|flag| flag.on);
        let parts = ["network", "subnet", "private-network-ip", "address", "stack-type"];
        let parts = parts.into_iter().filter_map(|flag| Some((flag, command.value(flag)?.clone()))).collect();
        interfaces.push(interface(call, name, parts, external, region));
    }
    for value in described {
        let items = value.items();
        let external = !items.iter().any(|item| item.text == "no-address");
        let parts = items.iter().filter_map(|item| {
            let (key, value) = item.split_once('=')?;
            let keys = ["network", "subnet", "private-network-ip", "address", "stack-type"];
            Some((*keys.iter().find(|known| **known == key.text)?, value))
        });
        interfaces.push(interface(call, value, parts.collect(), external, region));
    }
    let list = call.import.build.list(name.place, interfaces);
    node.put("networkInterfaces", list);
    if let Some(flag) = command.flag("tags") {
        let mut tags = call.mapping(flag.place);
        call.put_names(&mut tags, "tags", "items");
        node.put("tags", tags);
    }
    call.put_switch(&mut node, "can-ip-forward", "canIpForward");
    if let Some(account) = call.known("service-account") {
        let mut entry = call.mapping(account.place);
        let email = call.text(&account);
        entry.put("email", email);
        let list = call.import.build.list(account.place, vec![entry]);
        node.put("serviceAccounts", list);
    }
    call.create(Kind::Instance, name, region, node);
}

fn interface(
    call: &mut Call<'_>,
    whole: &Arg,
    parts: Vec<(&'static str, Arg)>,
    external: bool,
    region: Option<&Arg>,
) -> Node {
    let mut node = call.mapping(whole.place);
    let part = |name: &str| parts.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    let (network, subnet) = (part("network"), part("subnet"));
    if let Some(network) = network {
        call.refer(Kind::Network, network, None, None);
        let text = call.text(network);
        node.put("network", text);
    } else if subnet.is_none() {
        let text = call.word(whole.place, "default");
        node.put("network", text);
    }
    if let Some(subnet) = subnet {
        call.refer(Kind::Subnetwork, subnet, region, network.map(Arg::name));
        let text = call.text(subnet);
        node.put("subnetwork", text);
    }
    if let Some(ip) = part("private-network-ip").filter(|ip| ip.text.parse::<std::net::IpAddr>().is_ok()) {
        let text = call.text(ip);
        node.put("networkIP", text);
    }
    if let Some(kind) = part("stack-type").filter(|kind| !kind.is_unknown()) {
        let text = call.word(kind.place, kind.text.to_ascii_uppercase().replace('-', "_"));
        node.put("stackType", text);
    }
    if external {
        let mut access = call.mapping(whole.place);
        if let Some(ip) = part("address").filter(|ip| ip.text.parse::<std::net::IpAddr>().is_ok()) {
            let text = call.text(ip);
            access.put("natIP", text);
        }
        let list = call.import.build.list(whole.place, vec![access]);
        node.put("accessConfigs", list);
    }
    node
}
