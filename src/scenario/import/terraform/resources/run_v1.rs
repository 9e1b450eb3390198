//! `google_cloud_run_service`: Cloud Run by its older API, whose settings are annotations of Knative.

use super::add;
use super::fields::{Field, Reading, kept, map, number, object, objects, take_object, text, text_of};
use super::run::is_about_networks;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::import::Kind;
use crate::scenario::tree::{Build, Entry, Node, Value, shorten};

const CONNECTOR: &str = "run.googleapis.com/vpc-access-connector";
const EGRESS: &str = "run.googleapis.com/vpc-access-egress";
const INTERFACES: &str = "run.googleapis.com/network-interfaces";

const SPEC: &[Field] = &[
    text("service_account_name").to("serviceAccount"),
    number("container_concurrency").to("maxInstanceRequestConcurrency"),
    objects("containers", &[object("resources", &[map("limits")])]),
];

pub(super) fn service(mut block: Reading<'_>) {
    let mut entries = vec![Entry::new("name", block.name())];
    entries.extend(block.region("location"));
    of_service(&mut block, &mut entries);
    if let Some(mut template) = take_object(&mut block.body, "template") {
        let place = template.place;
        let mut metadata = take_object(&mut template, "metadata");
        let annotations = metadata.as_mut().and_then(|metadata| metadata.take("annotations"));
        let mut fields = Vec::new();
        if let Some(mut metadata) = metadata {
            fields.extend(block.convert(&mut metadata, "template[0].metadata[0].", &[text("name").to("revision")]));
        }
        block.report_if_unknown_at("template[0].metadata[0].annotations", map("annotations").needed());
        for annotation in [CONNECTOR, EGRESS, INTERFACES] {
            let path = format!("template[0].metadata[0].annotations[{annotation:?}]");
            block.report_if_unknown_at(&path, text("annotations").needed());
        }
        if let Some(annotations) = annotations {
            of_template(&mut block, annotations, &mut fields);
        }
        if let Some(mut spec) = take_object(&mut template, "spec") {
            fields.extend(block.convert(&mut spec, "template[0].spec[0].", SPEC));
        }
        let mut node = block.mapping(fields);
        node.place = place;
        entries.push(Entry::new("template", node));
    }
    shares(&mut block, &mut entries);
    add(&mut block, Kind::Service, entries);
}

/// Annotations of the service: who may call it, and settings that are not in force there.
fn of_service(block: &mut Reading<'_>, entries: &mut Vec<Entry>) {
    let mut metadata = take_object(&mut block.body, "metadata");
    let annotations = metadata.as_mut().and_then(|metadata| metadata.take("annotations"));
    let Some(Node { value: Value::Mapping(annotations), .. }) = annotations else { return };
    let mut scaling = Vec::new();
    for Entry { key, value } in annotations {
        if text_of(&value).is_none() {
            continue;
        }
        match &*key.name {
            "run.googleapis.com/ingress" => {
                let ingress = match value.text() {
                    Some("all") => "INGRESS_TRAFFIC_ALL",
                    Some("internal") => "INGRESS_TRAFFIC_INTERNAL_ONLY",
                    Some("internal-and-cloud-load-balancing") => "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER",
                    Some("none") => "INGRESS_TRAFFIC_NONE",
                    _ => continue,
                };
                entries.push(Entry::new("ingress", block.import.build.text(value.place, ingress)));
            }
            "run.googleapis.com/minScale" => scaling.push(Entry::new("minInstanceCount", value)),
            "run.googleapis.com/maxScale" => scaling.push(Entry::new("maxInstanceCount", value)),
            name if is_about_networks(name) || name.starts_with("autoscaling.knative.dev/m") => {
                let message = format!(
                    "`{name}` of {} stands in the metadata of the service: Cloud Run reads it in those of the \
                     template, and ignores it here",
                    block.address
                );
                let help = "move it to `template { metadata { annotations } }`";
                block.finding(Diagnostic::warning("ignored-annotation", message).help(help), key.place);
            }
            _ => {}
        }
    }
    if !scaling.is_empty() {
        entries.push(Entry::new("scaling", block.mapping(scaling)));
    }
}

/// Annotations of the template: the way to the VPC, and scaling.
fn of_template(block: &mut Reading<'_>, annotations: Node, fields: &mut Vec<Entry>) {
    let place = annotations.place;
    let Value::Mapping(annotations) = annotations.value else { return };
    let (mut access, mut scaling) = (Vec::new(), Vec::new());
    for Entry { key, value } in annotations {
        if text_of(&value).is_none() {
            continue;
        }
        match &*key.name {
            CONNECTOR => access.push(Entry::new("connector", value)),
            EGRESS => access.push(Entry::new("egress", value)),
            INTERFACES => match interfaces(&mut block.import.build, &value) {
                Ok(interfaces) => access.push(Entry::new("networkInterfaces", interfaces)),
                Err(why) => {
                    let message = format!("`{INTERFACES}` of {} cannot be read: {why}", block.address);
                    let help = "write it as `[{\"network\": \"vpc\", \"subnetwork\": \"subnet\"}]`";
                    block.finding(Diagnostic::unusable("bad-annotation", message).help(help), value.place);
                }
            },
            "autoscaling.knative.dev/minScale" => scaling.push(Entry::new("minInstanceCount", value)),
            "autoscaling.knative.dev/maxScale" => scaling.push(Entry::new("maxInstanceCount", value)),
            name if is_about_networks(name) => {
                let message = format!("Cloud Run knows no annotation `{name}` and ignores it ({})", block.address);
                let help = format!("the way out is set by `{CONNECTOR}` or `{INTERFACES}`, and `{EGRESS}`");
                block.finding(Diagnostic::warning("ignored-annotation", message).help(help), key.place);
            }
            _ => {}
        }
    }
    for (name, entries) in [("vpcAccess", access), ("scaling", scaling)] {
        if !entries.is_empty() {
            let mut node = block.mapping(entries);
            node.place = place;
            fields.push(Entry::new(name, node));
        }
    }
}

/// What the annotation with JSON in it says. Tags may be a list, or one text with commas.
fn interfaces(build: &mut Build, annotation: &Node) -> Result<Node, String> {
    let place = annotation.place;
    let json: serde_json::Value = serde_json::from_str(annotation.text().unwrap_or_default())
        .map_err(|error| format!("it is not JSON: {error}"))?;
    let serde_json::Value::Array(items) = json else { return Err("it is no list".into()) };
    let mut interfaces = Vec::new();
    for item in items {
        let serde_json::Value::Object(item) = item else { return Err("an interface is no object".into()) };
        let mut interface = build.mapping(place, []);
        for (key, value) in item {
            let value = match (&*key, value) {
                ("network" | "subnetwork", serde_json::Value::String(text)) => build.text(place, text),
                ("tags", value) => tags(build, place, value)?,
                (key, value) => return Err(format!("`{}` is {}", shorten(key), shorten(&value.to_string()))),
            };
            if value.text() != Some("") {
                interface.put(&key, value);
            }
        }
        interfaces.push(interface);
    }
    Ok(build.list(place, interfaces))
}

fn tags(build: &mut Build, place: Place, value: serde_json::Value) -> Result<Node, String> {
    let tags: Vec<String> = match value {
        serde_json::Value::Null => Vec::new(),
        serde_json::Value::String(text) => {
            text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
        }
        serde_json::Value::Array(items) => {
            let tags: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
            tags.ok_or("a tag is no text")?
        }
        _ => return Err("`tags` is no list".into()),
    };
    let items = tags.into_iter().map(|tag| build.text(place, tag)).collect();
    Ok(build.list(place, items))
}

const TRAFFIC: Field =
    objects("traffic", &[number("percent"), text("revision_name").to("revision"), kept("latest_revision")]);

/// `traffic`, whose fields are called otherwise in the newer API.
fn shares(block: &mut Reading<'_>, entries: &mut Vec<Entry>) {
    for Entry { key, mut value } in block.fields(&[TRAFFIC]) {
        let Value::Sequence(items) = &mut value.value else { continue };
        for item in items.iter_mut().filter(|item| matches!(item.value, Value::Mapping(_))) {
            let latest = item.take("latestRevision");
            let revision = item.get("revision").is_some();
            let place = latest.map_or(item.place, |node| node.place);
            let kind = if revision { "REVISION" } else { "LATEST" };
            let node = block.import.build.text(place, format!("TRAFFIC_TARGET_ALLOCATION_TYPE_{kind}"));
            item.put("type", node);
        }
        entries.push(Entry { key, value });
    }
}
