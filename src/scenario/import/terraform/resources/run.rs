//! Connectors, Cloud Run workloads and functions.

use super::fields::{
    Field, Reading, kept, last_segment, map, number, object, objects, says_something, take_entry, take_object, text,
    text_of, texts,
};
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
    if let Some(mut subnet) = take_object(&mut block.body, "subnet") {
        if subnet.get("name").and_then(text_of).is_none() {
            let name = unknown(block.text("name").unwrap_or("connector-subnet"));
            put(&mut subnet, "name", block.assume("subnet[0].name", &name));
        }
        let subnets = block.import.build.list(subnet.place, vec![subnet]);
        block.body.put("subnet", subnets);
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

/// Whether resources of this type send packets.
pub(super) fn is_workload(kind: &str) -> bool {
    kind.starts_with("google_cloud_run_") || kind.starts_with("google_cloudfunctions")
}

/// Whether nothing is known but what a data source is found by: it says nothing of a way to a network, and may well have one.
pub(super) fn is_found_only(block: &Reading<'_>) -> bool {
    let arguments = ["name", "location", "region", "project"];
    let found_by = |entry: &Entry| entry.value.is_null() || arguments.contains(&&*entry.key.name);
    block.body.entries().iter().all(found_by)
}

pub(super) fn workload(mut block: Reading<'_>, kind: Kind, fields: &[Field]) {
    let mut body = std::mem::replace(&mut block.body, Node::from(Vec::new()));
    prepare(&mut body, 0);
    assume_access(&mut block, &mut body, String::new());
    block.body = body;
    let mut entries = vec![Entry::new("name", block.name())];
    entries.extend(block.region("location"));
    entries.extend(block.fields(fields));
    add(&mut block, kind, entries);
}

/// Assumes a connector, a network or a subnet where one is meant that is not known: without it, Google would refuse the rest.
/// A job has a template in its template.
fn assume_access(block: &mut Reading<'_>, body: &mut Node, prefix: String) {
    if let Some(mut access) = take_object(body, "vpc_access") {
        attach(block, &mut access, &format!("{prefix}vpc_access[0]."), "connector", "network_interfaces");
        body.put("vpc_access", access);
    }
    if prefix.len() < 2 * "template[0].".len()
        && let Some(mut template) = take_object(body, "template")
    {
        assume_access(block, &mut template, format!("{prefix}template[0]."));
        body.put("template", template);
    }
}

/// As [`assume_access`], where the connector and the interfaces are called so.
fn attach(block: &mut Reading<'_>, access: &mut Node, prefix: &str, connector: &str, interfaces: &str) {
    if access.get(interfaces).is_some_and(says_something) {
        let Some(Entry { value: mut list, .. }) = take_entry(access, interfaces) else { return };
        if let Value::Sequence(items) = &mut list.value {
            for (at, item) in items.iter_mut().enumerate() {
                assume_subnet(block, item, &format!("{prefix}{interfaces}[{at}]."));
            }
        }
        access.put(interfaces, list);
    } else if access.get(connector).is_none_or(|connector| !says_something(connector)) {
        if let Some(node) = block.assume(&format!("{prefix}{connector}"), &unknown("connector")) {
            put(access, connector, Some(node));
        } else if let Some(subnet) = block.assume(&format!("{prefix}{interfaces}"), &unknown("subnet")) {
            let place = subnet.place;
            let interface = block.import.build.mapping(place, [("subnetwork", subnet)]);
            let list = block.import.build.list(place, vec![interface]);
            put(access, interfaces, Some(list));
        }
    }
}

/// Assumes the subnet, or else the network, of an interface.
pub(super) fn assume_subnet(block: &mut Reading<'_>, interface: &mut Node, prefix: &str) {
    if interface.get("subnetwork").and_then(text_of).is_some() {
        return;
    }
    let network = interface.get("network").and_then(text_of);
    let name = unknown(network.map_or("subnet", last_segment));
    let has_network = network.is_some();
    if let Some(node) = block.assume(&format!("{prefix}subnetwork"), &name) {
        put(interface, "subnetwork", Some(node));
    } else if !has_network {
        put(interface, "network", block.assume(&format!("{prefix}network"), &unknown("network")));
    }
}

/// The name of what is not known.
pub(super) fn unknown(of: &str) -> String {
    let name: String = format!("unknown-{of}").chars().take(63).collect();
    name.trim_end_matches('-').to_owned()
}

fn put(node: &mut Node, key: &str, value: Option<Node>) {
    if let (Value::Mapping(_), Some(value)) = (&node.value, value) {
        node.put(key, value);
    }
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
    if let Some(mut config) = take_object(&mut block.body, "service_config") {
        attach(&mut block, &mut config, "service_config[0].", "vpc_connector", "direct_vpc_network_interface");
        block.body.put("service_config", config);
    }
    entries.extend(block.fields(&[SERVICE_CONFIG, text("state"), text("environment")]));
    add(&mut block, Kind::Function, entries);
}

pub(super) fn function_of_first_generation(mut block: Reading<'_>) {
    let mut entries = vec![Entry::new("name", block.name())];
    entries.extend(block.region("region"));
    if block.text("vpc_connector").is_none()
        && let Some(connector) = block.assume("vpc_connector", &unknown("connector"))
    {
        block.body.put("vpc_connector", connector);
    }
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
