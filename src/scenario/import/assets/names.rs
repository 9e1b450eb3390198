//! Field names in snake_case, as the ones that the REST API has.

use crate::scenario::import::Kind;
use crate::scenario::tree::{Node, Value};

/// Mappings whose keys are the user's own.
const USER_KEYS: [&str; 5] = ["labels", "annotations", "limits", "resourceManagerTags", "metadata"];

/// Renames all fields that are in snake_case.
pub(super) fn to_camel_case(node: &mut Node, kind: Kind) {
    if walk(node) {
        irregular(node, kind);
    }
}

/// Whether any field had to be renamed.
fn walk(node: &mut Node) -> bool {
    let mut renamed = false;
    match &mut node.value {
        Value::Scalar(_) => {}
        Value::Sequence(items) => items.iter_mut().for_each(|item| renamed |= walk(item)),
        Value::Mapping(entries) => {
            for entry in entries {
                // gcloud adds fields of its own, such as `x_gcloud_subnet_mode`.
                if entry.key.name.contains('_') && !entry.key.name.starts_with("x_") {
                    entry.key.name = camel(&entry.key.name).into();
                    renamed = true;
                }
                if !USER_KEYS.contains(&&*entry.key.name) {
                    renamed |= walk(&mut entry.value);
                }
            }
        }
    }
    renamed
}

/// `nat_ip_allocate_option` as `natIpAllocateOption`.
fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (at, word) in name.split('_').enumerate() {
        let mut letters = word.chars();
        match letters.next() {
            Some(first) if at > 0 => out.extend(first.to_uppercase().chain(letters)),
            Some(first) => out.extend([first].into_iter().chain(letters)),
            None => {}
        }
    }
    out
}

/// Fields that Compute Engine writes with `IP`. Firewall policies and BGP peers have others of nearly these names.
fn irregular(node: &mut Node, kind: Kind) {
    match kind {
        Kind::ForwardingRule => {
            rename(node, &["ipAddress", "iPAddress"], "IPAddress");
            rename(node, &["ipProtocol", "iPProtocol"], "IPProtocol");
        }
        Kind::Firewall => {
            for key in ["allowed", "denied"] {
                each(node, key, |protocol| rename(protocol, &["ipProtocol", "iPProtocol"], "IPProtocol"));
            }
        }
        Kind::Instance => each(node, "networkInterfaces", |interface| {
            rename(interface, &["networkIp"], "networkIP");
            each(interface, "accessConfigs", |config| rename(config, &["natIp"], "natIP"));
        }),
        _ => {}
    }
}

fn rename(node: &mut Node, from: &[&str], to: &str) {
    if let Value::Mapping(entries) = &mut node.value {
        for entry in entries.iter_mut().filter(|entry| from.contains(&&*entry.key.name)) {
            entry.key.name = to.into();
        }
    }
}

/// Changes each item of a list under a key.
fn each(node: &mut Node, key: &str, change: impl FnMut(&mut Node)) {
    if let Value::Mapping(entries) = &mut node.value
        && let Some(entry) = entries.iter_mut().find(|entry| &*entry.key.name == key)
        && let Value::Sequence(items) = &mut entry.value.value
    {
        items.iter_mut().for_each(change);
    }
}
