//! `gcloud compute firewall-rules`: VPC firewall rules.

use super::arg::Arg;
use super::call::Call;
use crate::scenario::diagnostic::Place;
use crate::scenario::import::Kind;
use crate::scenario::tree::Node;

/// Carries out one of the verbs.
pub(super) fn rule(call: &mut Call<'_>, verb: &str) {
    let command = call.command;
    for name in &command.arguments {
        match verb {
            "create" => {
                call.project.partial = false;
                let mut node = call.named(name, None);
                match command.value("network") {
                    Some(network) => {
                        call.refer(Kind::Network, network, None, None);
                        call.put_name(&mut node, "network", "network");
                    }
                    None => {
                        let text = call.word(command.place, "default");
                        node.put("network", text);
                    }
                }
                if let Some(direction) = call.known("direction") {
                    let text = match direction.text.to_ascii_uppercase().as_str() {
                        "IN" => "INGRESS".to_owned(),
                        "OUT" => "EGRESS".to_owned(),
                        other => other.to_owned(),
                    };
                    let text = call.word(direction.place, text);
                    node.put("direction", text);
                }
                action(call, &mut node);
                fields(call, &mut node);
                call.create(Kind::Firewall, name, None, node);
            }
            "update" => {
                let Some(index) = call.existing(Kind::Firewall, name, None) else { continue };
                call.project.partial = !call.project.entries[index].created;
                call.edit(index, |call, node| {
                    let denies = node.get("denied").is_some();
                    call.exclusive("allow", "rules");
                    for flag in ["allow", "rules"] {
                        if let Some(given) = call.command.flag(flag) {
                            let field = if denies && flag == "rules" { "denied" } else { "allowed" };
                            protocols(call, node, flag, field, given.place);
                        }
                    }
                    fields(call, node);
                });
            }
            _ => call.delete(Kind::Firewall, name, None),
        }
    }
}

fn action(call: &mut Call<'_>, node: &mut Node) {
    let command = call.command;
    call.exclusive("allow", "action");
    call.exclusive("allow", "rules");
    if let Some(flag) = command.flag("allow") {
        return protocols(call, node, "allow", "allowed", flag.place);
    }
    let Some(action) = command.value("action") else {
        let message = "Exactly one of (--action | --allow) must be specified.";
        return call.refuse(
            "invalid-flags",
            message,
            command.place,
            "add `--allow=PROTOCOL[:PORT]`, or `--action` and `--rules`",
        );
    };
    if !call.required("rules") {
        return;
    }
    let denies = action.text.eq_ignore_ascii_case("deny");
    protocols(call, node, "rules", if denies { "denied" } else { "allowed" }, action.place);
}

/// `tcp:80,tcp:8000-9000,udp,icmp` or `all`.
fn protocols(call: &mut Call<'_>, node: &mut Node, flag: &str, field: &str, place: Place) {
    let mut list = Vec::new();
    if let Some(place) = call.lacks_all(flag) {
        call.switch_off(node, flag, place);
        let mut all = call.mapping(place);
        let word = call.word(place, "all");
        all.put("IPProtocol", word);
        list.push(all);
    }
    for item in call.items(flag) {
        list.push(protocol(call, &item, "IPProtocol"));
    }
    let list = call.import.build.list(place, list);
    node.put(field, list);
}

/// `tcp:80` as a protocol and its ports.
pub(super) fn protocol(call: &mut Call<'_>, item: &Arg, field: &'static str) -> Node {
    let mut node = call.mapping(item.place);
    let (protocol, port) = item.split_once(':').map_or((item.clone(), None), |(one, other)| (one, Some(other)));
    let text = call.word(protocol.place, protocol.text.to_ascii_lowercase());
    node.put(field, text);
    if let Some(port) = port {
        let port = [port];
        let ports = call.list(port[0].place, &port);
        node.put("ports", ports);
    }
    node
}

fn fields(call: &mut Call<'_>, node: &mut Node) {
    let command = call.command;
    call.put(node, "priority", "priority");
    let mut unknown = None;
    for (flag, field) in [
        ("source-ranges", "sourceRanges"),
        ("destination-ranges", "destinationRanges"),
        ("source-tags", "sourceTags"),
        ("source-service-accounts", "sourceServiceAccounts"),
        ("target-tags", "targetTags"),
        ("target-service-accounts", "targetServiceAccounts"),
    ] {
        let Some(given) = command.flag(flag) else { continue };
        // An empty list takes the field away.
        if given.value.as_ref().is_none_or(|value| value.text.is_empty()) {
            if node.take(field).is_none() && call.project.partial {
                call.not_cleared(given.place);
            }
        } else if !flag.ends_with("-ranges") {
            call.put_names(node, flag, field);
        } else if let Some(place) = call.lacks_all(flag) {
            unknown = Some((flag, place));
        } else {
            call.put_list(node, flag, field);
        }
    }
    call.put_switch(node, "disabled", "disabled");
    if let Some((flag, place)) = unknown {
        call.switch_off(node, flag, place);
    }
    if let Some(flag) = command.flag("enable-logging") {
        let value = call.word(flag.place, flag.on);
        call.child(node, "logConfig", flag.place).put("enable", value);
    }
}
