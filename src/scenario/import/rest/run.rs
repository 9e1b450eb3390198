//! Cloud Run and functions: what of a service, job, worker pool or function a scenario has.

use super::Import;
use super::prepare::{child, drop_ignored, entry, items, name_number, retain};
use super::shape::text;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::tree::{Node, Value, shorten};

/// <https://github.com/googleapis/googleapis/tree/master/google/cloud/run/v2>: `condition.proto`, `vendor_settings.proto`,
/// `traffic_target.proto`.
const CONDITION_STATES: &[&str] =
    &["STATE_UNSPECIFIED", "CONDITION_PENDING", "CONDITION_RECONCILING", "CONDITION_FAILED", "CONDITION_SUCCEEDED"];
const VPC_EGRESS: &[&str] = &["VPC_EGRESS_UNSPECIFIED", "ALL_TRAFFIC", "PRIVATE_RANGES_ONLY"];
const INGRESS: &[&str] = &[
    "INGRESS_TRAFFIC_UNSPECIFIED",
    "INGRESS_TRAFFIC_ALL",
    "INGRESS_TRAFFIC_INTERNAL_ONLY",
    "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER",
    "INGRESS_TRAFFIC_NONE",
];
const SCALING_MODES: &[&str] = &["SCALING_MODE_UNSPECIFIED", "AUTOMATIC", "MANUAL"];
const TRAFFIC_TYPES: &[&str] = &[
    "TRAFFIC_TARGET_ALLOCATION_TYPE_UNSPECIFIED",
    "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST",
    "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION",
];
const SPLIT_TYPES: &[&str] = &[
    "INSTANCE_SPLIT_ALLOCATION_TYPE_UNSPECIFIED",
    "INSTANCE_SPLIT_ALLOCATION_TYPE_LATEST",
    "INSTANCE_SPLIT_ALLOCATION_TYPE_REVISION",
];
/// <https://github.com/googleapis/googleapis/blob/master/google/cloud/functions/v2/functions.proto>: here 1 is the default
/// and 2 everything, the other way round than in Cloud Run.
const CONNECTOR_EGRESS: &[&str] = &["VPC_CONNECTOR_EGRESS_SETTINGS_UNSPECIFIED", "PRIVATE_RANGES_ONLY", "ALL_TRAFFIC"];
const DIRECT_EGRESS: &[&str] =
    &["DIRECT_VPC_EGRESS_UNSPECIFIED", "VPC_EGRESS_PRIVATE_RANGES_ONLY", "VPC_EGRESS_ALL_TRAFFIC"];
const FUNCTION_STATES: &[&str] = &["STATE_UNSPECIFIED", "ACTIVE", "FAILED", "DEPLOYING", "DELETING", "UNKNOWN"];
const ENVIRONMENTS: &[&str] = &["ENVIRONMENT_UNSPECIFIED", "GEN_1", "GEN_2"];
/// <https://github.com/googleapis/googleapis/blob/master/google/cloud/functions/v1/functions.proto>, as states of v2. An
/// offline one could not be built, or runs no more.
const OLD_STATES: &[(&str, &str)] = &[
    ("ACTIVE", "ACTIVE"),
    ("OFFLINE", "FAILED"),
    ("DEPLOY_IN_PROGRESS", "DEPLOYING"),
    ("DELETE_IN_PROGRESS", "DELETING"),
    ("UNKNOWN", "UNKNOWN"),
];
const OLD_STATE_NUMBERS: &[&str] =
    &["CLOUD_FUNCTION_STATUS_UNSPECIFIED", "ACTIVE", "OFFLINE", "DEPLOY_IN_PROGRESS", "DELETE_IN_PROGRESS", "UNKNOWN"];

pub(super) fn service(import: &mut Import, node: &mut Node) {
    drop_ignored(node, "Service", &["ingress", "uri", "urls"]);
    name_number(import, node, "ingress", INGRESS);
    targets(import, node, "traffic", TRAFFIC_TYPES);
    scaling(import, node);
    condition(import, node);
    if let Some(template) = child(node, "template") {
        self::template(import, template, "RevisionTemplate");
    }
}

pub(super) fn worker_pool(import: &mut Import, node: &mut Node) {
    drop_ignored(node, "WorkerPool", &[]);
    targets(import, node, "instanceSplits", SPLIT_TYPES);
    scaling(import, node);
    condition(import, node);
    if let Some(template) = child(node, "template") {
        self::template(import, template, "RevisionTemplate");
    }
}

pub(super) fn job(import: &mut Import, node: &mut Node) {
    drop_ignored(node, "Job", &[]);
    condition(import, node);
    if let Some(execution) = child(node, "template") {
        drop_ignored(execution, "ExecutionTemplate", &[]);
        if let Some(task) = child(execution, "template") {
            template(import, task, "TaskTemplate");
        }
    }
}

/// A function of either generation, in the shape of the API's version 2.
pub(super) fn function(import: &mut Import, node: &mut Node) {
    drop_ignored(node, "Function", &[]);
    name_number(import, node, "state", FUNCTION_STATES);
    name_number(import, node, "environment", ENVIRONMENTS);
    if let Some(config) = child(node, "serviceConfig") {
        // By the name of its service `complete` knows the service for the function's.
        drop_ignored(config, "ServiceConfig", &["service"]);
        name_number(import, config, "vpcConnectorEgressSettings", CONNECTOR_EGRESS);
        name_number(import, config, "directVpcEgress", DIRECT_EGRESS);
    }
}

/// Whether a function is in the shape of version 1 of its API: that has the 1st generation only.
pub(super) fn is_old(node: &Node) -> bool {
    let any = |keys: &[&str]| keys.iter().any(|key| node.get(key).is_some());
    let old = ["httpsTrigger", "entryPoint", "runtime", "status", "versionId", "availableMemoryMb", "vpcConnector"];
    any(&old) && !any(&["serviceConfig", "buildConfig", "environment", "state"])
}

/// A function of the 1st generation of its own API, in the shape of version 2.
pub(super) fn old_function(import: &mut Import, mut node: Node) -> Node {
    let place = node.place;
    name_number(import, &mut node, "vpcConnectorEgressSettings", CONNECTOR_EGRESS);
    name_number(import, &mut node, "status", OLD_STATE_NUMBERS);
    if text(&node, "vpcConnector").is_none()
        && let Some(network) = node.get("network").filter(|network| network.text().is_some_and(|text| !text.is_empty()))
    {
        let name = text(&node, "name").map(shorten).unwrap_or_default();
        let message = format!(
            "`network` of function `{name}` is not simulated: a function of the 1st generation has a connector"
        );
        import.push(Diagnostic::warning("not-simulated", message).at(network.place));
    }
    let state = node.take("status").and_then(|status| {
        let known = OLD_STATES.iter().find(|(old, _)| status.text() == Some(old));
        known.map(|(_, state)| import.build.text(status.place, state))
    });
    let config = [
        entry("vpcConnector", node.take("vpcConnector").filter(|it| it.text().is_some_and(|text| !text.is_empty()))),
        entry("vpcConnectorEgressSettings", node.take("vpcConnectorEgressSettings")),
        entry("minInstanceCount", node.take("minInstances")),
        entry("maxInstanceCount", node.take("maxInstances")),
        entry("serviceAccountEmail", node.take("serviceAccountEmail")),
    ];
    let mut service = import.build.mapping(place, []);
    service.value = Value::Mapping(config.into_iter().flatten().collect());
    let environment = import.build.text(place, "GEN_1");
    let fields = [
        entry("name", node.take("name")),
        entry("environment", Some(environment)),
        entry("state", state),
        entry("serviceConfig", Some(service)),
    ];
    node.value = Value::Mapping(fields.into_iter().flatten().collect());
    node
}

/// The template of revisions or tasks.
fn template(import: &mut Import, node: &mut Node, resource: &str) {
    drop_ignored(node, resource, &[]);
    // Anybody may put anything into them, and version 2 has a field for whatever is about networks.
    node.take("annotations");
    if let Some(containers) = child(node, "containers") {
        for container in items(containers) {
            retain(container, |key| key == "resources");
            if let Some(resources) = child(container, "resources") {
                retain(resources, |key| key == "limits");
            }
        }
    }
    if let Some(access) = child(node, "vpcAccess") {
        name_number(import, access, "egress", VPC_EGRESS);
    }
    // An empty message is what is not there.
    if node.get("vpcAccess").is_some_and(|access| access.entries().is_empty()) {
        node.take("vpcAccess");
    }
}

fn condition(import: &mut Import, node: &mut Node) {
    if let Some(condition) = child(node, "terminalCondition") {
        drop_ignored(condition, "Condition", &[]);
        name_number(import, condition, "state", CONDITION_STATES);
    }
}

fn scaling(import: &mut Import, node: &mut Node) {
    if let Some(scaling) = child(node, "scaling") {
        name_number(import, scaling, "scalingMode", SCALING_MODES);
    }
}

fn targets(import: &mut Import, node: &mut Node, key: &str, types: &'static [&'static str]) {
    for target in child(node, key).map(items).into_iter().flatten() {
        name_number(import, target, "type", types);
    }
}
