//! `gcloud compute network-firewall-policies`: policies, their rules and the networks they apply to.

use super::arg::Arg;
use super::call::Call;
use super::firewall::protocol;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::import::Kind;
use crate::scenario::tree::Node;

/// Carries out a command.
pub(super) fn run(call: &mut Call<'_>, words: &[&str]) {
    let command = call.command;
    match words {
        [verb] => {
            let Some(name) = command.arguments.first() else { return };
            let region = command.value("region").cloned();
            if *verb == "delete" {
                return call.delete(Kind::FirewallPolicy, name, region.as_ref());
            }
            let node = call.named(name, region.as_ref());
            call.create(Kind::FirewallPolicy, name, region.as_ref(), node);
        }
        ["associations", _] => {
            let Some(index) = policy(call) else { return };
            if !call.required("network") {
                return;
            }
            let Some(network) = command.value("network") else { return };
            call.refer(Kind::Network, network, None, None);
            call.edit(index, |call, node| {
                let mut association = call.mapping(network.place);
                let target = call.text(network);
                association.put("attachmentTarget", target);
                call.list_mut(node, "associations", network.place).push(association);
            });
        }
        ["rules", verb] => {
            let Some(index) = policy(call) else { return };
            let Some(priority) = command.arguments.first() else { return };
            call.edit(index, |call, node| rule(call, node, priority, verb));
        }
        _ => {}
    }
}

fn policy(call: &mut Call<'_>) -> Option<usize> {
    if !call.required("firewall-policy") {
        return None;
    }
    let name = call.command.value("firewall-policy")?;
    let region = call.command.value("firewall-policy-region").cloned();
    if call.command.gcloud().ends_with("create") {
        return call.part(Kind::FirewallPolicy, name, region.as_ref());
    }
    call.existing(Kind::FirewallPolicy, name, region.as_ref())
}

fn rule(call: &mut Call<'_>, policy: &mut Node, priority: &Arg, verb: &str) {
    let rules = call.list_mut(policy, "rules", priority.place);
    let at = rules.iter().position(|rule| rule.get("priority").and_then(Node::text) == Some(&*priority.text));
    let mut rule = match (verb, at) {
        ("create", Some(at)) => {
            let before = rules[at].place;
            let message = format!("a rule with priority {} already exists", priority.text);
            let help = "give each rule a priority of its own";
            call.import.push(
                Diagnostic::rejected("already-exists", message)
                    .at(priority.place)
                    .related(before, "created here")
                    .help(help),
            );
            return;
        }
        (_, Some(at)) => rules.remove(at),
        (_, None) => {
            let mut rule = call.mapping(priority.place);
            let value = call.text(priority);
            rule.put("priority", value);
            rule
        }
    };
    if verb == "delete" {
        return;
    }
    if let Some(action) = call.known("action") {
        let text = call.word(action.place, action.text.to_ascii_lowercase().replace('-', "_"));
        rule.put("action", text);
    }
    call.put_word(&mut rule, "direction", "direction");
    call.put_switch(&mut rule, "disabled", "disabled");
    call.put_switch(&mut rule, "enable-logging", "enableLogging");
    call.put_names(&mut rule, "target-service-accounts", "targetServiceAccounts");
    if let Some(tags) = secure_tags(call, "target-secure-tags") {
        rule.put("targetSecureTags", tags);
    }
    call.child(&mut rule, "match", priority.place);
    if let Some(mut matches) = rule.take("match") {
        for (flag, field) in [
            ("src-ip-ranges", "srcIpRanges"),
            ("dest-ip-ranges", "destIpRanges"),
            ("src-region-codes", "srcRegionCodes"),
            ("dest-region-codes", "destRegionCodes"),
            ("src-fqdns", "srcFqdns"),
            ("dest-fqdns", "destFqdns"),
            ("src-address-groups", "srcAddressGroups"),
            ("dest-address-groups", "destAddressGroups"),
            ("src-threat-intelligence", "srcThreatIntelligences"),
            ("dest-threat-intelligence", "destThreatIntelligences"),
        ] {
            if let Some(place) = call.lacks_all(flag) {
                call.switch_off(&mut rule, flag, place);
            } else if call.command.flag(flag).is_some() {
                call.put_list(&mut matches, flag, field);
            }
        }
        if let Some(tags) = secure_tags(call, "src-secure-tags") {
            matches.put("srcSecureTags", tags);
        }
        if let Some(flag) = call.command.flag("layer4-configs") {
            let place = flag.place;
            if let Some(place) = call.lacks_all("layer4-configs") {
                call.switch_off(&mut rule, "layer4-configs", place);
            }
            let items = call.items("layer4-configs");
            let items = items.iter().map(|item| protocol(call, item, "ipProtocol")).collect();
            let list = call.import.build.list(place, items);
            matches.put("layer4Configs", list);
        }
        rule.put("match", matches);
    }
    call.list_mut(policy, "rules", priority.place).push(rule);
}

fn secure_tags(call: &mut Call<'_>, flag: &str) -> Option<Node> {
    let place = call.command.flag(flag)?.place;
    let mut tags = Vec::new();
    for item in call.items(flag) {
        let mut tag = call.mapping(item.place);
        let name = call.text(&item);
        tag.put("name", name);
        tags.push(tag);
    }
    Some(call.import.build.list(place, tags))
}
