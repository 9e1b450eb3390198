//! `terraform.tfstate`, version 4: attributes as the provider has stored them, tokens included.

use super::instances::Instance;
use super::unknown::{Step, at_mut, path, set_null};
use super::{block, hide_foreign, too_old};
use crate::scenario::diagnostic::Place;
use crate::scenario::import::Import;
use crate::scenario::import::terraform::{Block, Provider, Unknown};
use crate::scenario::tree::{Node, Value};

pub(super) fn blocks(import: &mut Import, mut node: Node) -> Vec<Block> {
    let version = node.get("version").and_then(Node::text).unwrap_or_default();
    if version.parse::<u32>().is_ok_and(|version| version < 4) {
        let what = format!("a state file of version {version}");
        let place = node.get("version").map_or(node.place, |version| version.place);
        let secret: Vec<Place> =
            node.entries().iter().map(|entry| entry.value.place).filter(|other| *other != place).collect();
        too_old(import, place, &what);
        import.sources.hide(&secret);
        return Vec::new();
    }
    let (mut secret, mut found, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(Node { value: Value::Sequence(resources), .. }) = node.take("resources") {
        for resource in resources {
            instances(resource, &mut found, &mut unknown, &mut secret);
        }
    }
    for entry in node.entries() {
        if matches!(entry.value.value, Value::Sequence(_) | Value::Mapping(_)) {
            secret.push(entry.value.place);
        }
    }
    hide_foreign(&found, &mut secret);
    import.sources.hide(&secret);
    let both = found.into_iter().zip(unknown);
    both.map(|(instance, unknown)| block(instance, unknown, Provider::default())).collect()
}

/// The instances of a resource, and what of each is sensitive.
fn instances(mut resource: Node, found: &mut Vec<Instance>, unknown: &mut Vec<Vec<Unknown>>, secret: &mut Vec<Place>) {
    let instances = resource.take("instances");
    let text = |key: &str| resource.get(key).and_then(Node::text).filter(|text| !text.is_empty());
    let (Some(kind), Some(name)) = (text("type"), text("name")) else {
        secret.extend(instances.map(|instances| instances.place));
        return;
    };
    let data = text("mode") == Some("data");
    let own = if data { format!("data.{kind}.{name}") } else { format!("{kind}.{name}") };
    let module = text("module").unwrap_or_default();
    let base = if module.is_empty() { own.clone() } else { format!("{module}.{own}") };
    let place = resource.get("name").map_or(resource.place, |name| name.place);
    let Some(Node { value: Value::Sequence(instances), .. }) = instances else { return };
    for mut instance in instances {
        secret.extend(instance.take("private").map(|private| private.place));
        let attributes = instance.take("attributes");
        // Attributes of an older provider version, and objects that a failed replacement has left.
        let deposed = instance.get("deposed").is_some_and(|deposed| !deposed.is_null());
        let Some(mut values) = attributes.filter(|_| !deposed) else {
            secret.push(instance.place);
            continue;
        };
        let key = match instance.get("index_key").map(|key| &key.value) {
            Some(Value::Scalar(key)) if key.plain && !key.is_null() => format!("[{}]", key.text),
            Some(Value::Scalar(key)) if !key.plain => format!("[{:?}]", key.text),
            _ => String::new(),
        };
        let mut hidden = Vec::new();
        for sensitive in instance.get("sensitive_attributes").map_or(&[][..], Node::items) {
            let steps = steps(sensitive);
            let Some(node) = at_mut(&mut values, &steps).filter(|node| !steps.is_empty() && !node.is_null()) else {
                continue;
            };
            secret.push(node.place);
            hidden.push(Unknown { path: path(&steps), place: node.place, why: "it is marked as sensitive".into() });
            set_null(node);
        }
        found.push(Instance {
            address: format!("{base}{key}"),
            module: module.to_owned(),
            kind: kind.to_owned(),
            resource: own.clone(),
            key,
            data,
            values,
            unknown: None,
            sensitive: None,
            place,
        });
        unknown.push(hidden);
    }
}

/// `[{"type": "get_attr", "value": "a"}, {"type": "index", "value": {"value": 0, "type": "number"}}]`; older versions have
/// a bare name.
fn steps(node: &Node) -> Vec<Step> {
    let items = match &node.value {
        Value::Sequence(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let step = |item: &Node| {
        let value = match item.get("value") {
            Some(value) => value.get("value").unwrap_or(value),
            None => item,
        };
        let Value::Scalar(scalar) = &value.value else { return None };
        Some(match scalar.text.parse() {
            Ok(index) if scalar.plain => Step::Index(index),
            _ => Step::Key(scalar.text.clone()),
        })
    };
    items.iter().map_while(step).collect()
}
