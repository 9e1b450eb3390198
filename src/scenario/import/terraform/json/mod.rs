//! `terraform show -json` of plans and states, and raw state files.
//!
//! A plan says twice what will be: `planned_values` has the values that are known, `configuration` the expressions behind
//! all of them. What is known only after apply is looked up in the expressions ([`resolve`]): a reference to another
//! resource becomes that resource's name. Everything else that such a file holds (what was, outputs, variables, resources
//! of other providers) is hidden in the text that findings quote, for all of it may be secret.

use std::collections::HashMap;

use super::{Block, Format, Import, Provider, Unknown, resources};
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::tree::{Node, Value};

mod configuration;
mod expected;
mod instances;
mod naming;
mod raw;
mod resolve;
#[cfg(test)]
pub(super) mod tests;
mod unknown;

use configuration::Configuration;
use instances::Instance;
use resolve::Resolver;

/// Which of the formats a document has.
pub(super) fn claims(node: &Node) -> Option<Format> {
    let has = |key: &str| node.get(key).is_some();
    if has("format_version") {
        if has("planned_values") || has("resource_changes") {
            return Some(Format::Plan);
        }
        return (has("values") || has("terraform_version") || node.entries().len() == 1).then_some(Format::State);
    }
    let is_raw = has("version") && has("terraform_version") && (has("resources") || has("modules"));
    is_raw.then_some(Format::RawState)
}

/// One block an instance.
pub(super) fn blocks(import: &mut Import, format: Format, node: Node) -> Vec<Block> {
    match format {
        Format::RawState => raw::blocks(import, node),
        Format::State => state(import, node),
        _ => plan(import, node),
    }
}

/// A state as `show` prints it: everything is known.
fn state(import: &mut Import, mut node: Node) -> Vec<Block> {
    let mut found = Vec::new();
    let mut secret = Vec::new();
    if let Some(mut values) = node.take("values") {
        secret.extend(values.take("outputs").map(|outputs| outputs.place));
        if let Some(root) = values.take("root_module") {
            instances::collect(root, &mut found);
        }
    }
    hide_foreign(&found, &mut secret);
    let mut blocks = Vec::with_capacity(found.len());
    for mut instance in found {
        let unknown = hide_sensitive(&mut instance, &mut secret);
        let unknown = unknown.into_iter().map(|path| path.unknown).collect();
        blocks.push(block(instance, unknown, Provider::default()));
    }
    import.sources.hide(&secret);
    blocks
}

fn plan(import: &mut Import, mut node: Node) -> Vec<Block> {
    let mut secret = Vec::new();
    let mut found = Vec::new();
    if let Some(mut planned) = node.take("planned_values") {
        secret.extend(planned.take("outputs").map(|outputs| outputs.place));
        if let Some(root) = planned.take("root_module") {
            instances::collect(root, &mut found);
        }
    }
    let planned = !found.is_empty();
    let mut unknown_by_address = HashMap::new();
    if let Some(changes) = node.take("resource_changes") {
        secret.push(changes.place);
        if let Value::Sequence(changes) = changes.value {
            for change in changes {
                instances::change(change, planned, &mut found, &mut unknown_by_address);
            }
        }
    }
    // Data sources that have been read already: what exists. Of managed resources it tells what was.
    if let Some(mut prior) = node.take("prior_state").and_then(|mut prior| prior.take("values")) {
        secret.extend(prior.take("outputs").map(|outputs| outputs.place));
        let mut before = Vec::new();
        if let Some(root) = prior.take("root_module") {
            instances::collect(root, &mut before);
        }
        let known: std::collections::HashSet<String> = found.iter().map(|instance| instance.address.clone()).collect();
        for instance in before {
            if instance.data && !known.contains(&instance.address) {
                found.push(instance);
            } else {
                secret.push(instance.values.place);
            }
        }
    }
    for instance in &mut found {
        instance.unknown = unknown_by_address.remove(&instance.address);
    }
    if let Some(errored) = node.get("errored").filter(|errored| errored.text() == Some("true")) {
        let message = "the plan is that of a run that failed: it does not have everything";
        let help = "plan again without errors";
        import.push(Diagnostic::warning("incomplete-plan", message).at(errored.place).help(help));
    }
    let variables = node.take("variables");
    secret.extend(variables.as_ref().map(|variables| variables.place));
    let configuration = node.take("configuration");
    for entry in node.entries() {
        if matches!(entry.value.value, Value::Sequence(_) | Value::Mapping(_)) {
            secret.push(entry.value.place);
        }
    }
    hide_foreign(&found, &mut secret);
    let configuration = Configuration::new(configuration.as_ref(), variables.as_ref(), &mut secret);
    let sensitive: Vec<_> = found.iter_mut().map(|instance| hide_sensitive(instance, &mut secret)).collect();

    let resolver = Resolver::new(&configuration, &found);
    let mut outcomes = Vec::with_capacity(found.len());
    for (at, sensitive) in sensitive.into_iter().enumerate() {
        if resources::knows(&found[at].kind) {
            outcomes.push(unknown::resolve(&resolver, at, sensitive));
        } else {
            outcomes.push(unknown::Outcome::default());
        }
    }
    let providers: Vec<Provider> = (0..found.len()).map(|at| resolver.provider(at)).collect();
    drop(resolver);
    let mut blocks = Vec::with_capacity(found.len());
    for ((mut instance, outcome), provider) in found.into_iter().zip(outcomes).zip(providers) {
        for (steps, place, value) in outcome.values {
            let node = match value {
                unknown::Resolved::Text(text) => import.build.text(place, text),
                unknown::Resolved::Texts(texts) => {
                    let items = texts.into_iter().map(|text| import.build.text(place, text)).collect();
                    import.build.list(place, items)
                }
            };
            unknown::put(&mut instance.values, &steps, node);
        }
        for finding in outcome.findings {
            import.push(finding);
        }
        blocks.push(block(instance, outcome.unknown, provider));
    }
    import.sources.hide(&secret);
    blocks
}

fn block(instance: Instance, unknown: Vec<Unknown>, provider: Provider) -> Block {
    let Instance { address, kind, place, values, .. } = instance;
    Block { address, kind, place, body: values, unknown, provider }
}

/// Hides all values of resources that nothing is made of, and what people put into metadata.
fn hide_foreign(found: &[Instance], secret: &mut Vec<Place>) {
    for instance in found {
        if !resources::knows(&instance.kind) {
            secret.push(instance.values.place);
        } else if let Some(metadata) =
            instance.values.get("metadata").filter(|_| instance.kind == "google_compute_instance")
        {
            secret.push(metadata.place);
        }
    }
}

/// A place in an instance that is marked as sensitive.
struct Sensitive {
    steps: Vec<unknown::Step>,
    unknown: Unknown,
}

/// Takes what is marked as sensitive out of an instance.
fn hide_sensitive(instance: &mut Instance, secret: &mut Vec<Place>) -> Vec<Sensitive> {
    let mut out = Vec::new();
    let Some(marks) = instance.sensitive.take() else { return out };
    let mut steps = Vec::new();
    unknown::visit_true(&marks, &mut steps, &mut |steps| {
        let Some(node) = unknown::at_mut(&mut instance.values, steps) else { return };
        if node.is_null() {
            return;
        }
        let place = node.place;
        secret.push(place);
        unknown::set_null(node);
        let unknown = Unknown { path: unknown::path(steps), place, why: "it is marked as sensitive".into() };
        out.push(Sensitive { steps: steps.to_vec(), unknown });
    });
    out
}

/// A state that is too old to be read.
fn too_old(import: &mut Import, place: Place, what: &str) {
    let message = format!("{what} is not read: Terraform 0.12 has replaced this format");
    let help = "`terraform show -json` of Terraform 0.12 or later prints what is read here";
    import.push(Diagnostic::warning("old-format", message).at(place).help(help));
}
