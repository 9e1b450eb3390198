//! Cloud Routers and their parts: NAT gateways, interfaces, peers.

use super::fields::{
    Field, Reading, kept, last_segment, number, object, objects, rules, says_something, text, text_of, texts,
};
use super::run::unknown;
use super::{Context, add};
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::import::Kind;
use crate::scenario::tree::{Entry, Value};

const RANGES: &[Field] = &[text("range").needed()];

pub(super) const ROUTER: &[Field] = &[
    text("network").needed(),
    text("creation_timestamp"),
    object(
        "bgp",
        &[
            text("advertise_mode"),
            texts("advertised_groups"),
            objects("advertised_ip_ranges", RANGES),
            number("keepalive_interval"),
        ],
    ),
];

pub(super) const INTERFACE: &[Field] = &[
    text("name"),
    text("vpn_tunnel").to("linkedVpnTunnel"),
    text("interconnect_attachment").to("linkedInterconnectAttachment"),
];

pub(super) const PEER: &[Field] = &[
    text("name"),
    text("interface").to("interfaceName"),
    text("advertise_mode"),
    texts("advertised_groups"),
    objects("advertised_ip_ranges", RANGES),
];

const GATEWAY: &[Field] = &[
    text("type"),
    texts("endpoint_types"),
    text("nat_ip_allocate_option").needed(),
    text("auto_network_tier"),
    text("source_subnetwork_ip_ranges_to_nat").needed(),
    objects(
        "subnetwork",
        &[text("name").needed(), texts("source_ip_ranges_to_nat"), texts("secondary_ip_range_names")],
    )
    .to("subnetworks")
    .needed(),
    text("source_subnetwork_ip_ranges_to_nat64"),
    number("min_ports_per_vm"),
    number("max_ports_per_vm"),
    kept("enable_dynamic_port_allocation"),
    kept("enable_endpoint_independent_mapping"),
    number("udp_idle_timeout_sec"),
    number("icmp_idle_timeout_sec"),
    number("tcp_established_idle_timeout_sec"),
    number("tcp_transitory_idle_timeout_sec"),
    number("tcp_time_wait_timeout_sec"),
    object("log_config", &[kept("enable"), text("filter")]),
    rules(
        "rules",
        &[
            kept("rule_number").narrows(),
            text("match").narrows(),
            object(
                "action",
                &[
                    texts("source_nat_active_ips").needed(),
                    texts("source_nat_drain_ips"),
                    texts("source_nat_active_ranges"),
                    texts("source_nat_drain_ranges"),
                ],
            ),
        ],
    )
    .needed(),
];

/// The seconds in TIME_WAIT that the provider sends if the configuration says none: its schema has this default
/// (magic-modules `mmv1/products/compute/RouterNat.yaml`, since provider 4.51). Google's own is no longer always this.
const TIME_WAIT: u32 = 120;

pub(super) fn gateway(mut block: Reading<'_>, context: &Context) {
    let mut entries = vec![Entry::new("name", block.name())];
    let managed_apart =
        entries[0].value.text().is_some_and(|name| context.nats_with_addresses.contains(last_segment(name)));
    let manual = match block.text("nat_ip_allocate_option") {
        Some(option) => option == "MANUAL_ONLY",
        None => managed_apart || ["nat_ips", "initial_nat_ips"].iter().any(|ips| says(&block, ips)),
    };
    let options = [
        ("nat_ip_allocate_option", if manual { "MANUAL_ONLY" } else { "AUTO_ONLY" }),
        ("source_subnetwork_ip_ranges_to_nat", if says(&block, "subnetwork") { LISTED } else { ALL }),
    ];
    for (option, value) in options {
        if block.text(option).is_none()
            && let Some(node) = block.assume(option, value)
        {
            block.body.put(option, node);
        }
    }
    if manual && !managed_apart && !says(&block, "initial_nat_ips") {
        assume_address(&mut block, &entries[0]);
    }
    // Their `google_compute_router_nat_address` tells which; these are those of the beginning.
    if managed_apart {
        for attribute in ["nat_ips", "drain_nat_ips", "initial_nat_ips"] {
            block.body.take(attribute);
        }
    } else {
        let ips = block.fields(&[texts("nat_ips").needed(), texts("drain_nat_ips").needed()]);
        let initial = block.fields(&[texts("initial_nat_ips").to("natIps").needed()]);
        let said = ips.iter().any(|entry| &*entry.key.name == "natIps");
        entries.extend(ips);
        entries.extend(initial.into_iter().filter(|_| !said));
    }
    entries.extend(block.fields(GATEWAY));
    known_subnets(&mut block, &mut entries);
    let says = |name: &str| entries.iter().any(|entry| &*entry.key.name == name);
    if !says("tcpTimeWaitTimeoutSec") && !says("effectiveTcpTimeWaitTimeoutSec") && !block.is_data() {
        let message = format!(
            "{} does not say `tcp_time_wait_timeout_sec`: the provider sends its own default, {TIME_WAIT} s",
            block.address
        );
        let place = block.place;
        block.finding(Diagnostic::note("provider-default", message), place);
        entries.push(Entry::new("tcpTimeWaitTimeoutSec", block.node(TIME_WAIT)));
    }
    of_router(block, "nats", entries);
}

const LISTED: &str = "LIST_OF_SUBNETWORKS";
const ALL: &str = "ALL_SUBNETWORKS_ALL_IP_RANGES";

fn says(block: &Reading<'_>, attribute: &str) -> bool {
    block.body.get(attribute).is_some_and(says_something)
}

/// One address of its own for a gateway whose addresses are not known: without any, Google would refuse it.
fn assume_address(block: &mut Reading<'_>, name: &Entry) {
    if says(block, "nat_ips") {
        return;
    }
    let address = unknown(last_segment(name.value.text().unwrap_or_default()));
    let found = block.assume("nat_ips", &address).or_else(|| block.assume("initial_nat_ips", &address));
    if let Some(node) = found {
        let list = block.import.build.list(node.place, vec![node]);
        block.body.put("nat_ips", list);
    }
}

/// Leaves subnets without a known name out of a gateway's list; if none is left, the gateway is assumed to be for all.
fn known_subnets(block: &mut Reading<'_>, entries: &mut Vec<Entry>) {
    let mut lost = block.is_unknown("subnetwork");
    let mut left = 0;
    entries.retain_mut(|entry| {
        let ("subnetworks", Value::Sequence(items)) = (&*entry.key.name, &mut entry.value.value) else { return true };
        let before = items.len();
        items.retain(|item| item.get("name").and_then(text_of).is_some());
        lost |= items.len() < before;
        left = items.len();
        left > 0
    });
    let option = entries.iter_mut().find(|entry| &*entry.key.name == "sourceSubnetworkIpRangesToNat");
    let Some(option) = option.filter(|option| lost && left == 0 && option.value.text() == Some(LISTED)) else { return };
    let place = option.value.place;
    option.value = block.import.build.text(place, ALL);
    let message = format!(
        "it is not known which subnets the gateway {} is for: assumed to be for all subnets of its network and region",
        block.address
    );
    let help = "put `subnetworks:` into the result";
    block.finding(Diagnostic::warning("assumed-subnets", message).help(help), place);
}

/// NAT IPs that are managed apart from their gateway.
pub(super) fn addresses(mut block: Reading<'_>) {
    block.report_if_unknown(text("router_nat").needed());
    let Some(nat) = block.take_text("router_nat") else { return };
    let mut entries = vec![Entry::new("name", nat)];
    assume_address(&mut block, &entries[0]);
    entries.extend(block.fields(&[texts("nat_ips").needed(), texts("drain_nat_ips").needed()]));
    of_router(block, "nats", entries);
}

/// An item of one of a router's lists.
pub(super) fn part(mut block: Reading<'_>, list: &'static str, fields: &[Field]) {
    let mut entries = block.fields(fields);
    if !entries.iter().any(|entry| &*entry.key.name == "name") {
        entries.push(Entry::new("name", block.name()));
    }
    of_router(block, list, entries);
}

fn of_router(mut block: Reading<'_>, list: &'static str, entries: Vec<Entry>) {
    block.report_if_unknown(text("router").needed());
    let Some(router) = block.take_text("router") else { return };
    let item = block.mapping(entries);
    let items = block.list(vec![item]);
    let mut entries = vec![Entry::new("name", router)];
    entries.extend(block.region("region"));
    entries.push(Entry::new(list, items));
    add(&mut block, Kind::Router, entries);
}
