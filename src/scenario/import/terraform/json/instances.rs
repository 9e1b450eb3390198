//! The resources of a plan or a state, module by module.

use std::collections::HashMap;

use crate::scenario::diagnostic::Place;
use crate::scenario::import::terraform::address::split_module;
use crate::scenario::tree::{Node, Value};

/// One instance of a resource or a data source, with its values.
#[derive(Debug)]
pub(super) struct Instance {
    pub address: String,
    /// Of the instance of the module it is in; empty: the root.
    pub module: String,
    pub kind: String,
    /// `google_compute_network.vpc`, with `data.` before it if it is one.
    pub resource: String,
    /// `[0]`, `["a"]` or nothing.
    pub key: String,
    pub data: bool,
    pub values: Node,
    /// What is `true` here is known only after apply.
    pub unknown: Option<Node>,
    /// What is `true` here is sensitive.
    pub sensitive: Option<Node>,
    pub place: Place,
}

/// Adds the instances of a module and of those in it. The parser bounds the depth of a tree, so this ends.
pub(super) fn collect(mut module: Node, found: &mut Vec<Instance>) {
    if let Some(Node { value: Value::Sequence(resources), .. }) = module.take("resources") {
        for mut resource in resources {
            if let Some(values) = resource.take("values")
                && let Some(instance) = instance(resource, values)
            {
                found.push(instance);
            }
        }
    }
    if let Some(Node { value: Value::Sequence(children), .. }) = module.take("child_modules") {
        for child in children {
            collect(child, found);
        }
    }
}

fn instance(mut resource: Node, values: Node) -> Option<Instance> {
    let text = |key: &str| resource.get(key).and_then(Node::text).map(str::to_owned);
    let address = text("address")?;
    let place = resource.get("address")?.place;
    let (kind, name) = (text("type")?, text("name")?);
    let data = resource.get("mode").and_then(Node::text) == Some("data");
    let resource_name = if data { format!("data.{kind}.{name}") } else { format!("{kind}.{name}") };
    let (module, own) = split_module(&address);
    let key = own.strip_prefix(&resource_name).unwrap_or_default().to_owned();
    let module = module.to_owned();
    let sensitive = resource.take("sensitive_values");
    Some(Instance {
        module,
        kind,
        resource: resource_name,
        key,
        data,
        values,
        unknown: None,
        sensitive,
        place,
        address,
    })
}

/// Takes from an entry of `resource_changes` what is known only after apply; all of it, if nothing else tells what is
/// planned.
pub(super) fn change(
    mut change: Node,
    planned: bool,
    found: &mut Vec<Instance>,
    unknown_by_address: &mut HashMap<String, Node>,
) {
    // An object that a failed replacement has left, and that will be deleted.
    if change.get("deposed").is_some_and(|deposed| !deposed.is_null()) {
        return;
    }
    let Some(address) = change.get("address").and_then(Node::text).map(str::to_owned) else { return };
    let Some(mut what) = change.take("change") else { return };
    if let Some(unknown) = what.take("after_unknown") {
        unknown_by_address.insert(address, unknown);
    }
    if planned {
        return;
    }
    let Some(after) = what.take("after").filter(|after| !after.is_null()) else { return };
    if let Some(sensitive) = what.take("after_sensitive")
        && matches!(change.value, Value::Mapping(_))
    {
        change.put("sensitive_values", sensitive);
    }
    found.extend(instance(change, after));
}
