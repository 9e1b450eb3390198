//! Networks, subnets, routes, peerings, addresses, forwarding rules, tunnels and attachments.

use super::fields::{Field, Reading, kept, last_segment, number, object, objects, text, texts};
use super::{Context, add, global, regional};
use crate::scenario::import::Kind;
use crate::scenario::import::terraform::address::{split_module, steps};
use crate::scenario::tree::{Entry, Node};

const NETWORK: &[Field] = &[
    kept("auto_create_subnetworks"),
    kept("delete_default_routes_on_create"),
    number("mtu"),
    kept("enable_ula_internal_ipv6"),
    text("internal_ipv6_range"),
    text("network_firewall_policy_enforcement_order"),
];

pub(super) fn network(mut block: Reading<'_>) {
    let mut entries = vec![Entry::new("name", block.name())];
    entries.extend(block.fields(NETWORK));
    // The provider's default is true, and it sends it.
    let said = entries.iter().any(|entry| &*entry.key.name == "autoCreateSubnetworks");
    if !said && !block.is_data() {
        entries.push(Entry::new("autoCreateSubnetworks", block.node(true)));
    }
    let routing = block.fields(&[text("routing_mode")]);
    if !routing.is_empty() {
        entries.push(Entry::new("routingConfig", block.mapping(routing)));
    }
    add(&mut block, Kind::Network, entries);
}

const SUBNETWORK: &[Field] = &[
    text("network").needed(),
    text("ip_cidr_range").needed(),
    objects("secondary_ip_range", &[text("range_name"), text("ip_cidr_range").needed()]).to("secondaryIpRanges"),
    kept("private_ip_google_access"),
    text("purpose"),
    text("stack_type"),
    text("ipv6_access_type"),
    text("internal_ipv6_prefix"),
    text("external_ipv6_prefix"),
    text("ipv6_cidr_range"),
    kept("allow_subnet_cidr_routes_overlap"),
];

pub(super) fn subnetwork(mut block: Reading<'_>) {
    regional(&mut block, Kind::Subnetwork, SUBNETWORK);
}

const ROUTE: &[Field] = &[
    text("network").needed(),
    text("dest_range").narrows(),
    kept("priority"),
    texts("tags").narrows(),
    text("next_hop_gateway"),
    text("next_hop_instance"),
    text("next_hop_ip"),
    text("next_hop_vpn_tunnel"),
    text("next_hop_ilb"),
];

pub(super) fn route(mut block: Reading<'_>, context: &Context) {
    hop_that_is_a_resource(&mut block, context);
    let zone = block.text("next_hop_instance_zone").map(str::to_owned);
    if let (Some(zone), Some(instance)) = (zone, block.text("next_hop_instance").map(str::to_owned))
        && !instance.contains('/')
    {
        let place = block.body.get("next_hop_instance").map_or(block.place, |node| node.place);
        let path = format!("zones/{}/instances/{instance}", last_segment(&zone));
        let node = block.import.build.text(place, path);
        block.body.put("next_hop_instance", node);
    }
    let without_hop = !HOPS.iter().any(|hop| block.text(hop).is_some());
    if let Some(hop) = HOPS.into_iter().find(|hop| without_hop && block.is_unknown(hop)) {
        return block.report_if_unknown(text(hop).narrows());
    }
    // A state repeats the next hop as the address that Google found for it.
    let hops = ["next_hop_gateway", "next_hop_instance", "next_hop_vpn_tunnel", "next_hop_ilb"];
    if hops.iter().any(|hop| block.text(hop).is_some()) {
        block.body.take("next_hop_ip");
    }
    global(&mut block, Kind::Route, ROUTE);
}

const HOPS: [&str; 5] = ["next_hop_gateway", "next_hop_instance", "next_hop_ip", "next_hop_vpn_tunnel", "next_hop_ilb"];

/// A next hop that is the address of a VM, or of a forwarding rule, which gets it later: the VM, or the rule, itself.
fn hop_that_is_a_resource(block: &mut Reading<'_>, context: &Context) {
    let hop = match block.take_text("next_hop_ip") {
        Some(hop) => hop,
        None => {
            let Some(path) = block.unknown_source("next_hop_ip").and_then(|text| instance_of(text, &block.address))
            else {
                return;
            };
            let Some(path) = context.instances.get(&path).cloned() else { return };
            block.known_after_all("next_hop_ip");
            block.node(path)
        }
    };
    let text = hop.text().unwrap_or_default();
    let attribute = match text {
        text if text.parse::<std::net::IpAddr>().is_ok() => "next_hop_ip",
        text if text.contains("instances/") => "next_hop_instance",
        text if text.contains("forwardingRules/") => "next_hop_ilb",
        _ => "next_hop_ip",
    };
    block.body.put(attribute, hop);
}

/// The address of the VM whose internal address an expression is, for a resource of the same module.
fn instance_of(expression: &str, address: &str) -> Option<String> {
    let parts = steps(expression.trim().trim_matches('"'));
    let [kind, name, .., last] = parts.as_slice() else { return None };
    let is_address = kind.name == "google_compute_instance" && kind.key.is_empty() && last.name == "network_ip";
    let module = split_module(address).0;
    let dot = if module.is_empty() { "" } else { "." };
    is_address.then(|| format!("{module}{dot}{}.{}{}", kind.name, name.name, name.key))
}

const PEERING: &[Field] = &[
    text("name"),
    text("peer_network").to("network").needed(),
    kept("export_custom_routes"),
    kept("import_custom_routes"),
    kept("export_subnet_routes_with_public_ip"),
    kept("import_subnet_routes_with_public_ip"),
    text("stack_type"),
    text("state"),
];

pub(super) fn peering(block: Reading<'_>) {
    part_of_network(block, PEERING, None);
}

const PEERING_ROUTES: &[Field] = &[
    text("peering").to("name"),
    kept("export_custom_routes"),
    kept("import_custom_routes"),
    kept("export_subnet_routes_with_public_ip"),
    kept("import_subnet_routes_with_public_ip"),
];

pub(super) fn peering_routes(block: Reading<'_>) {
    part_of_network(block, PEERING_ROUTES, None);
}

/// Private services access: a peering with the network of Google's, which lists it by these names.
pub(super) fn service_networking(block: Reading<'_>) {
    let service = block.text("service").unwrap_or("servicenetworking.googleapis.com").to_owned();
    let peering = block.text("peering").map_or_else(|| service.replace('.', "-"), str::to_owned);
    part_of_network(block, &[], Some((peering, "servicenetworking")));
}

/// A peering as a part of its network.
fn part_of_network(mut block: Reading<'_>, fields: &[Field], given: Option<(String, &str)>) {
    block.report_if_unknown(text("network").needed());
    let Some(network) = block.take_text("network") else { return };
    let mut entries = block.fields(fields);
    if let Some((name, peer)) = given {
        entries.push(Entry::new("name", block.node(name)));
        entries.push(Entry::new("network", block.node(peer)));
    }
    if !entries.iter().any(|entry| &*entry.key.name == "name") {
        entries.push(Entry::new("name", block.name()));
    }
    let peering = block.mapping(entries);
    let peerings = block.list(vec![peering]);
    // The network says its project itself, which may be another one than this resource's.
    let project = if network.text().is_some_and(|path| path.contains("projects/")) { None } else { block.project() };
    let node = block.mapping(vec![Entry::new("name", network), Entry::new("peerings", peerings)]);
    block.import.add_of(project, Kind::Network, node);
}

const ADDRESS: &[Field] = &[
    text("address"),
    text("address_type"),
    text("network_tier"),
    text("purpose"),
    number("prefix_length"),
    text("network"),
];

pub(super) fn address(mut block: Reading<'_>, is_regional: bool) {
    if is_regional {
        regional(&mut block, Kind::Address, ADDRESS);
    } else {
        global(&mut block, Kind::Address, ADDRESS);
    }
}

const FORWARDING_RULE: &[Field] = &[
    text("ip_address").to("IPAddress"),
    text("network"),
    text("subnetwork"),
    text("ip_protocol").to("IPProtocol"),
    texts("ports"),
    text("port_range"),
    kept("all_ports"),
    text("target"),
    // Empty with Private Service Connect.
    kept("load_balancing_scheme"),
    kept("allow_global_access"),
    kept("allow_psc_global_access"),
    text("psc_connection_status"),
];

/// Those of external load balancers are skipped: no packet of Cloud Run's way out meets one as such.
pub(super) fn forwarding_rule(mut block: Reading<'_>, kind: &str, is_regional: bool) {
    let target = block.text("target").unwrap_or_default();
    let is_endpoint = matches!(target, "all-apis" | "vpc-sc") || target.contains("serviceAttachments/");
    // The provider's default, and it sends it.
    let scheme = block.body.get("load_balancing_scheme").filter(|node| !node.is_null()).and_then(Node::text);
    if scheme.unwrap_or("EXTERNAL").starts_with("EXTERNAL") && !is_endpoint {
        let place = block.place;
        return block.import.skip(format!("{kind} (external)"), place);
    }
    if is_regional {
        regional(&mut block, Kind::ForwardingRule, FORWARDING_RULE);
    } else {
        global(&mut block, Kind::ForwardingRule, FORWARDING_RULE);
    }
}

pub(super) const VPN_TUNNEL: &[Field] =
    &[text("router"), texts("local_traffic_selector"), texts("remote_traffic_selector")];

pub(super) const INTERCONNECT_ATTACHMENT: &[Field] = &[text("router"), kept("admin_enabled")];

pub(super) const POLICY_ROUTE: &[Field] = &[
    text("network").needed(),
    number("priority"),
    object(
        "filter",
        &[
            text("ip_protocol").narrows(),
            text("src_range").narrows(),
            text("dest_range").narrows(),
            text("protocol_version"),
        ],
    )
    .narrows(),
    object("virtual_machine", &[texts("tags").narrows()]).narrows(),
    object("interconnect_attachment", &[text("region").narrows()]).narrows(),
    text("next_hop_ilb_ip").narrows(),
    text("next_hop_other_routes"),
];
