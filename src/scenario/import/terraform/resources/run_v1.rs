//! `google_cloud_run_service`: Cloud Run by its older API, the one of Knative. The block becomes a manifest, and is read as one.

use super::fields::{Field, Reading, kept, map, number, object, objects, text, text_of};
use crate::scenario::import::knative::{self, CONNECTOR, EGRESS, INTERFACES, LOCATION, Words};
use crate::scenario::tree::{Entry, Node, Value};

const METADATA: Field = object("metadata", &[map("annotations"), text("namespace")]);

const TEMPLATE: Field = object(
    "template",
    &[
        object("metadata", &[text("name"), map("annotations").needed()]).needed(),
        object(
            "spec",
            &[
                text("service_account_name"),
                number("container_concurrency"),
                objects("containers", &[object("resources", &[map("limits")])]),
            ],
        ),
    ],
);

const TRAFFIC: Field = objects("traffic", &[number("percent"), text("revision_name"), kept("latest_revision")]);

const STATUS: Field = object(
    "status",
    &[
        text("url"),
        text("latest_created_revision_name"),
        objects("conditions", &[text("type"), text("status"), text("message")]),
    ],
);

pub(super) fn service(mut block: Reading<'_>) {
    let mut metadata = vec![Entry::new("name", block.name())];
    if let Some(project) = block.project() {
        metadata.push(Entry::new("namespace", block.node(project)));
    }
    if let Some(region) = block.region("location") {
        let labels = block.mapping(vec![Entry::new(LOCATION, region.value)]);
        metadata.push(Entry::new("labels", labels));
    }
    if let Some(Entry { value: Node { value: Value::Mapping(own), .. }, .. }) = block.fields(&[METADATA]).pop() {
        // A namespace is a project: the first one counts.
        metadata.extend(own);
    }
    let spec = block.fields(&[TEMPLATE, TRAFFIC]);
    let mut spec = block.mapping(spec);
    without_unknown(&mut block, &mut spec);
    let mut manifest = block.fields(&[STATUS]);
    manifest.extend([Entry::new("metadata", block.mapping(metadata)), Entry::new("spec", spec)]);
    let manifest = block.mapping(manifest);
    knative::service(block.import, &manifest, &Words::TERRAFORM);
}

/// Tells of annotations of the template whose values cannot be known. Without what it is of, an egress setting would be a
/// mistake that nobody has made: it is left out, too.
fn without_unknown(block: &mut Reading<'_>, spec: &mut Node) {
    let [connector, interfaces, _] = [CONNECTOR, INTERFACES, EGRESS].map(|annotation| {
        let path = format!("template[0].metadata[0].annotations[{annotation:?}]");
        block.report_if_unknown_at(&path, text("annotations").needed())
    });
    let template = spec.get_mut("template").and_then(|template| template.get_mut("metadata"));
    let Some(annotations) = template.and_then(|metadata| metadata.get_mut("annotations")) else { return };
    let known = |annotation| annotations.get(annotation).and_then(text_of).is_some();
    if (connector || interfaces) && !known(CONNECTOR) && !known(INTERFACES) {
        annotations.take(EGRESS);
    }
}
