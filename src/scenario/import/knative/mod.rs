//! Knative manifests of Cloud Run: what `gcloud run services|jobs|worker-pools describe --format export` prints and
//! `… replace` takes.
//!
//! They have the shape of the Cloud Run Admin API v1: what v2 has fields for stands in annotations ([`annotations`]), network
//! interfaces as JSON in a text ([`interfaces`]). Which annotation counts where is Google's description of `ObjectMeta`
//! (`run.googleapis.com` v1: "accepted annotations will be different depending on the resource type"): those about networks on
//! Revision and Execution only, which is the `metadata` of `spec.template`. A resource comes out in the shape of v2.
//!
//! Terraform's `google_cloud_run_service` is the same API: it is put into this shape and read here.

use super::{Import, Kind};
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::tree::{Node, Value};

mod annotations;
mod interfaces;
#[cfg(test)]
mod tests;

pub(super) use annotations::{CONNECTOR, EGRESS, INTERFACES, Words};
use annotations::{Level, Names, VpcAccess};

/// Cloud Run's resources of Knative.
const SERVING: &str = "serving.knative.dev/";
/// Its own ones.
const RUN: &str = "run.googleapis.com/v";
/// Domains that were mapped to services.
const DOMAINS: &str = "domains.cloudrun.com/";
/// The label that says a resource's region.
pub(super) const LOCATION: &str = "cloud.googleapis.com/location";

/// Whether a document is a manifest of Cloud Run, or a list of them.
pub(super) fn claims(node: &Node) -> bool {
    match &node.value {
        Value::Sequence(items) => items.iter().any(is_manifest),
        _ if kind_of(node) == Some("List") => items_of(node).iter().any(is_manifest),
        _ => is_manifest(node),
    }
}

pub(super) fn read(import: &mut Import, node: Node) {
    let items = match &node.value {
        Value::Sequence(items) => items.as_slice(),
        _ if kind_of(&node).is_some_and(|kind| kind.ends_with("List")) => items_of(&node),
        _ => return resource(import, &node, None),
    };
    // The items of `kind: ServiceList` need not say what they are.
    let kind = kind_of(&node).and_then(|kind| kind.strip_suffix("List")).filter(|kind| !kind.is_empty());
    for item in items {
        if is_manifest(item) || (kind.is_some() && item.get("apiVersion").is_none()) {
            resource(import, item, kind);
        } else {
            import.skip(kind_of(item).unwrap_or("items without a kind"), item.place);
        }
    }
}

fn is_manifest(node: &Node) -> bool {
    let version = node.get("apiVersion").and_then(Node::text);
    version
        .is_some_and(|version| version.starts_with(SERVING) || version.starts_with(RUN) || version.starts_with(DOMAINS))
        && node.get("kind").is_some()
}

fn kind_of(node: &Node) -> Option<&str> {
    node.get("kind").and_then(Node::text)
}

fn items_of(node: &Node) -> &[Node] {
    node.get("items").map_or(&[], Node::items)
}

fn resource(import: &mut Import, node: &Node, kind: Option<&str>) {
    match kind_of(node).or(kind) {
        Some("Service") => service(import, node, &Words::MANIFEST),
        Some("Job") => job(import, node),
        Some("WorkerPool") => worker_pool(import, node),
        // Revisions and their kin belong to a service, executions and tasks to a job, which says all there is to say.
        Some(other) => import.skip(format!("Cloud Run {other}"), node.place),
        None => import.skip("items without a kind", node.place),
    }
}

/// A mapping of the fields that are there; nothing without any.
pub(super) fn some_of(
    import: &mut Import,
    place: Place,
    fields: impl IntoIterator<Item = (&'static str, Option<Node>)>,
) -> Option<Node> {
    let fields: Vec<_> = fields.into_iter().filter_map(|(name, node)| Some((name, node?))).collect();
    (!fields.is_empty()).then(|| import.build.mapping(place, fields))
}

fn present(node: Option<&Node>) -> Option<&Node> {
    node.filter(|node| !node.is_null())
}

/// A copy of what stands at a path.
fn copy(node: &Node, path: &[&str]) -> Option<Node> {
    present(node.at_path(path)).cloned()
}

/// Reads a service: a manifest, or what has its shape.
pub(super) fn service(import: &mut Import, node: &Node, words: &'static Words) {
    let names = Names { kind: "Service", template: "Revision", words };
    let own = annotations::own(import, node, names);
    let template = revision_template(import, node, names);
    let traffic = node.at_path(&["spec", "traffic"]);
    let traffic = traffic.and_then(|traffic| targets(import, traffic, "TRAFFIC_TARGET_ALLOCATION_TYPE"));
    let fields = [
        ("scaling", own.scaling),
        ("template", template),
        ("traffic", traffic),
        ("ingress", own.ingress),
        ("latestCreatedRevision", copy(node, &["status", "latestCreatedRevisionName"])),
        ("terminalCondition", failed(import, node)),
        ("uri", copy(node, &["status", "url"])),
        ("urls", own.urls),
    ];
    add(import, Kind::Service, node, fields);
}

fn worker_pool(import: &mut Import, node: &Node) {
    let names = Names { kind: "WorkerPool", template: "Revision", words: &Words::MANIFEST };
    let own = annotations::own(import, node, names);
    let template = revision_template(import, node, names);
    let splits = node.at_path(&["spec", "instanceSplits"]);
    let splits = splits.and_then(|splits| targets(import, splits, "INSTANCE_SPLIT_ALLOCATION_TYPE"));
    let fields = [
        ("scaling", own.scaling),
        ("template", template),
        ("instanceSplits", splits),
        ("latestCreatedRevision", copy(node, &["status", "latestCreatedRevisionName"])),
        ("terminalCondition", failed(import, node)),
    ];
    add(import, Kind::WorkerPool, node, fields);
}

fn job(import: &mut Import, node: &Node) {
    let names = Names { kind: "Job", template: "Execution", words: &Words::MANIFEST };
    annotations::own(import, node, names);
    let template = node.at_path(&["spec", "template"]).and_then(|execution| {
        let access = vpc_access(import, execution, names);
        let task = execution.at_path(&["spec", "template"]);
        if let Some(task) = task {
            annotations::misplaced(import, task, &["metadata", "annotations"], Level::NoField("a task"));
            annotations::misplaced(import, task, &["spec", "annotations"], Level::NoField("a task's spec"));
        }
        let spec = task.and_then(|task| task.get("spec"));
        let fields = [
            ("vpcAccess", access),
            ("serviceAccount", spec.and_then(|spec| copy(spec, &["serviceAccountName"]))),
            ("containers", spec.and_then(|spec| containers(import, spec, names.words))),
        ];
        let task = some_of(import, task.unwrap_or(execution).place, fields);
        let fields = [
            ("taskCount", copy(execution, &["spec", "taskCount"])),
            ("parallelism", copy(execution, &["spec", "parallelism"])),
            ("template", task),
        ];
        some_of(import, execution.place, fields)
    });
    let fields = [("template", template), ("terminalCondition", failed(import, node))];
    add(import, Kind::Job, node, fields);
}

/// Adds a workload under the name, region and project of its metadata.
fn add<const N: usize>(import: &mut Import, kind: Kind, node: &Node, fields: [(&'static str, Option<Node>); N]) {
    let metadata = node.get("metadata");
    let text = |node: &&Node| node.text().is_some_and(|text| !text.is_empty());
    let Some(name) = present(metadata.and_then(|metadata| metadata.get("name"))).filter(text) else {
        let place = metadata.map_or(Place { end: node.place.start, ..node.place }, |metadata| metadata.place);
        let message = format!("a {} needs `metadata.name`, and here is none", kind.word());
        import.push(Diagnostic::rejected("missing-name", message).at(place).help("add `metadata: {name: …}`"));
        return;
    };
    let region = metadata.and_then(|metadata| present(metadata.at_path(&["labels", LOCATION]))).cloned();
    let names = [("name", Some(name.clone())), ("region", region)];
    let fields: Vec<_> = names.into_iter().chain(fields).collect();
    let Some(resource) = some_of(import, node.place, fields) else { return };
    // What `kubectl` would say; in Cloud Run a namespace is a project, its number or its ID.
    let project = metadata.and_then(|metadata| present(metadata.get("namespace"))).and_then(Node::text);
    let project = project.filter(|project| !matches!(*project, "" | "default")).map(str::to_owned);
    import.add_of(project, kind, resource);
}

/// The template of a service or a worker pool.
fn revision_template(import: &mut Import, node: &Node, names: Names) -> Option<Node> {
    let template = present(node.at_path(&["spec", "template"]))?;
    let access = vpc_access(import, template, names);
    let scaling = annotations::revision_scaling(import, template);
    let spec = template.get("spec");
    // 0 is the default: 80, or 1 below one vCPU.
    let concurrency = copy(template, &["spec", "containerConcurrency"]).filter(|node| node.text() != Some("0"));
    let fields = [
        ("revision", copy(template, &["metadata", "name"])),
        ("scaling", scaling),
        ("vpcAccess", access),
        ("maxInstanceRequestConcurrency", concurrency),
        ("serviceAccount", copy(template, &["spec", "serviceAccountName"])),
        ("containers", spec.and_then(|spec| containers(import, spec, names.words))),
    ];
    some_of(import, template.place, fields)
}

/// What the annotations of a template say about the way to a VPC network.
fn vpc_access(import: &mut Import, template: &Node, names: Names) -> Option<Node> {
    annotations::misplaced(import, template, &["annotations"], Level::NoField("a template"));
    annotations::misplaced(import, template, &["spec", "annotations"], Level::NoField("a template's spec"));
    let annotations = template.at_path(&["metadata", "annotations"])?;
    annotations::check_template(import, annotations, names);
    let VpcAccess { connector, interfaces, egress } = annotations::vpc_access(import, annotations, names.words);
    let fields = [("connector", connector), ("networkInterfaces", interfaces), ("egress", egress)];
    some_of(import, annotations.place, fields)
}

/// CPU limits, which is all that counts of containers.
fn containers(import: &mut Import, spec: &Node, words: &Words) -> Option<Node> {
    let list = spec.get("containers")?;
    let mut containers = Vec::new();
    for container in list.items() {
        let Some(cpu) = copy(container, &["resources", "limits", "cpu"]) else { continue };
        annotations::check_text(import, "cpu", &cpu, words);
        if annotations::is_placeholder(&cpu) {
            annotations::unknown(import, &cpu, "the CPU limit", "1 vCPU is assumed");
            continue;
        }
        let place = cpu.place;
        let limits = import.build.mapping(place, [("cpu", cpu)]);
        let resources = import.build.mapping(place, [("limits", limits)]);
        containers.push(import.build.mapping(container.place, [("resources", resources)]));
    }
    (!containers.is_empty()).then(|| import.build.list(list.place, containers))
}

/// Shares of requests or instances by revision.
fn targets(import: &mut Import, list: &Node, kind: &str) -> Option<Node> {
    let mut targets = Vec::new();
    for target in list.items() {
        let revision = copy(target, &["revisionName"]);
        let latest = target.get("latestRevision").filter(|latest| latest.text() == Some("true"));
        let (place, which) = match (latest, &revision) {
            (Some(latest), _) => (latest.place, "LATEST"),
            (None, Some(revision)) => (revision.place, "REVISION"),
            // An entry that names no revision means the latest.
            (None, None) => (target.place, "LATEST"),
        };
        let kind = import.build.text(place, format!("{kind}_{which}"));
        let revision = revision.filter(|_| which == "REVISION");
        let fields = [("type", Some(kind)), ("revision", revision), ("percent", copy(target, &["percent"]))];
        targets.extend(some_of(import, target.place, fields));
    }
    (!targets.is_empty()).then(|| import.build.list(list.place, targets))
}

/// The condition `Ready` of a resource that is not.
fn failed(import: &mut Import, node: &Node) -> Option<Node> {
    let says = |condition: &Node, field, wanted| condition.get(field).and_then(Node::text) == Some(wanted);
    let conditions = node.at_path(&["status", "conditions"])?.items();
    let ready = conditions.iter().find(|condition| says(condition, "type", "Ready"))?;
    let status =
        ready.get("status").filter(|status| status.text().is_some_and(|text| text == "False" || text == "false"))?;
    let state = import.build.text(status.place, "CONDITION_FAILED");
    let fields = [("type", copy(ready, &["type"])), ("state", Some(state)), ("message", copy(ready, &["message"]))];
    some_of(import, ready.place, fields)
}
