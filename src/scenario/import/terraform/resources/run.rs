//! Connectors, Cloud Run workloads and functions.

use super::fields::{Field, Reading, kept, map, number, object, objects, take_object, text, text_of, texts};
use super::{add, regional};
use crate::scenario::import::Kind;
use crate::scenario::tree::{Entry, Node, Value};

const CONNECTOR: &[Field] = &[
    text("network").needed(),
    text("ip_cidr_range").needed(),
    object("subnet", &[text("name").needed(), text("project_id")]),
    text("machine_type"),
    number("min_instances"),
    number("max_instances"),
    number("min_throughput"),
    number("max_throughput"),
    text("state"),
];

pub(super) fn connector(mut block: Reading<'_>) {
    // Each number of instances takes precedence over the throughput that older providers send by default.
    for (instances, throughput) in [("min_instances", "min_throughput"), ("max_instances", "max_throughput")] {
        if block.text(instances).is_some_and(|number| number != "0") {
            block.body.take(throughput);
        }
    }
    // The network of a connector in a subnet follows from the subnet; a state repeats it.
    let subnet = block.body.get("subnet").and_then(|subnet| subnet.items().first());
    if subnet.is_some_and(|subnet| subnet.get("name").and_then(text_of).is_some()) {
        block.body.take("network");
        block.body.take("ip_cidr_range");
    }
    regional(&mut block, Kind::Connector, CONNECTOR);
}

const INTERFACE: &[Field] = &[text("network").needed(), text("subnetwork").needed(), texts("tags").needed()];

const VPC_ACCESS: Field = object(
    "vpc_access",
    &[text("connector").needed(), text("egress").needed(), objects("network_interfaces", INTERFACE).needed()],
)
.needed();

const SCALING: Field = object(
    "scaling",
    &[number("min_instance_count"), number("max_instance_count"), kept("manual_instance_count"), text("scaling_mode")],
);

const CONTAINERS: Field = objects("containers", &[object("resources", &[map("limits")])]);

const TEMPLATE: Field = object(
    "template",
    &[
        text("revision"),
        SCALING,
        VPC_ACCESS,
        number("max_instance_request_concurrency"),
        text("service_account"),
        CONTAINERS,
        map("annotations"),
    ],
);

const SHARES: &[Field] = &[text("type"), text("revision"), number("percent")];

const CONDITION: Field = object("terminal_condition", &[text("type"), text("state"), text("message")]);

pub(super) const SERVICE: &[Field] = &[
    SCALING,
    TEMPLATE,
    objects("traffic", SHARES),
    text("latest_created_revision"),
    text("ingress"),
    text("uri"),
    texts("urls"),
    CONDITION,
];

pub(super) const WORKER_POOL: &[Field] =
    &[SCALING, TEMPLATE, objects("instance_splits", SHARES), text("latest_created_revision"), CONDITION];

pub(super) const JOB: &[Field] = &[
    object(
        "template",
        &[
            number("task_count"),
            number("parallelism"),
            object("template", &[VPC_ACCESS, text("service_account"), CONTAINERS, map("annotations")]),
        ],
    ),
    CONDITION,
];

pub(super) fn workload(mut block: Reading<'_>, kind: Kind, fields: &[Field]) {
    let mut body = std::mem::replace(&mut block.body, Node::from(Vec::new()));
    prepare(&mut body, 0);
    block.body = body;
    let mut entries = vec![Entry::new("name", block.name())];
    entries.extend(block.region("location"));
    entries.extend(block.fields(fields));
    add(&mut block, kind, entries);
}

/// Keeps of annotations those about networks, and of manual scaling what is said: a state has a 0 where nothing is. A job
/// has a template in its template.
fn prepare(body: &mut Node, depth: usize) {
    if let Some(mut scaling) = take_object(body, "scaling") {
        let manual = scaling.get("scaling_mode").and_then(Node::text) == Some("MANUAL");
        if !manual && scaling.get("manual_instance_count").and_then(Node::text) == Some("0") {
            scaling.take("manual_instance_count");
        }
        body.put("scaling", scaling);
    }
    if let Some(mut annotations) = body.take("annotations")
        && let Value::Mapping(entries) = &mut annotations.value
    {
        entries.retain(|entry| is_about_networks(&entry.key.name) && !entry.value.is_null());
        if !entries.is_empty() {
            body.put("annotations", annotations);
        }
    }
    if depth < 2
        && let Some(mut template) = take_object(body, "template")
    {
        if matches!(template.value, Value::Mapping(_)) {
            prepare(&mut template, depth + 1);
        }
        body.put("template", template);
    }
}

/// Annotations by which the older API has a way out.
fn is_about_networks(key: &str) -> bool {
    key.strip_prefix("run.googleapis.com/").is_some_and(|rest| rest.starts_with("vpc") || rest.starts_with("network"))
}

const SERVICE_CONFIG: Field = object(
    "service_config",
    &[
        text("vpc_connector").needed(),
        text("vpc_connector_egress_settings").needed(),
        objects("direct_vpc_network_interface", INTERFACE).needed(),
        text("direct_vpc_egress").needed(),
        number("min_instance_count"),
        number("max_instance_count"),
        number("max_instance_request_concurrency"),
        text("service_account_email"),
        text("available_cpu"),
    ],
);

pub(super) fn function(mut block: Reading<'_>) {
    let mut entries = vec![Entry::new("name", block.name())];
    entries.extend(block.region("location"));
    entries.extend(block.fields(&[SERVICE_CONFIG, text("state"), text("environment")]));
    add(&mut block, Kind::Function, entries);
}

pub(super) fn function_of_first_generation(mut block: Reading<'_>) {
    let mut entries = vec![Entry::new("name", block.name())];
    entries.extend(block.region("region"));
    let config = block.fields(&[
        text("vpc_connector").needed(),
        text("vpc_connector_egress_settings").needed(),
        number("min_instances").to("minInstanceCount"),
        number("max_instances").to("maxInstanceCount"),
        text("service_account_email"),
    ]);
    entries.push(Entry::new("serviceConfig", block.mapping(config)));
    entries.extend(block.fields(&[text("status").to("state")]));
    entries.push(Entry::new("environment", block.node("GEN_1")));
    add(&mut block, Kind::Function, entries);
}
