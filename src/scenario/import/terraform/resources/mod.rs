//! From blocks of Terraform to resources in the shape of Google's REST APIs.
//!
//! Each file has the resource types of one topic, as tables of their attributes. Types that are parts of another resource
//! (a NAT gateway of a router, a rule of a policy, a peering of a network) become a resource with the name of the whole and
//! the part. Where a provider's default differs from that of the API, it is filled in here, since the provider sends it.

use std::collections::{HashMap, HashSet};

use super::{Block, Import};
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::import::Kind;
use crate::scenario::tree::{Entry, Node};

mod compute;
mod fields;
mod firewall;
mod instance;
mod nat;
mod organization;
mod run;
mod run_v1;
#[cfg(test)]
mod tests;

use fields::{Reading, last_segment, text_of};

/// What is known of all blocks when one of them is read.
#[derive(Debug, Default)]
struct Context {
    /// Gateways whose NAT IPs are managed by a `google_compute_router_nat_address`.
    nats_with_addresses: HashSet<String>,
    /// Paths of VMs by their addresses in Terraform.
    instances: HashMap<String, String>,
}

/// Reads blocks that belong together.
pub(super) fn read(import: &mut Import, blocks: Vec<Block>) {
    let with_addresses = |block: &Block| {
        let name = block.body.get("router_nat").and_then(text_of).filter(|_| block.kind == NAT_ADDRESS)?;
        Some(last_segment(name).to_owned())
    };
    let context = Context {
        nats_with_addresses: blocks.iter().filter_map(with_addresses).collect(),
        instances: blocks.iter().filter_map(instance::path).collect(),
    };
    let mut policies = firewall::Parts::default();
    for block in blocks {
        one(import, block, &context, &mut policies);
    }
    policies.finish(import);
}

const NAT_ADDRESS: &str = "google_compute_router_nat_address";

/// Whether resources of this type are read, or say what others refer to.
pub(super) fn knows(kind: &str) -> bool {
    matches!(
        kind,
        "google_compute_network"
            | "google_compute_subnetwork"
            | "google_compute_route"
            | "google_compute_network_peering"
            | "google_compute_network_peering_routes_config"
            | "google_service_networking_connection"
            | "google_compute_address"
            | "google_compute_global_address"
            | "google_compute_forwarding_rule"
            | "google_compute_global_forwarding_rule"
            | "google_compute_vpn_tunnel"
            | "google_compute_interconnect_attachment"
            | "google_network_connectivity_policy_based_route"
            | "google_compute_router"
            | "google_compute_router_nat"
            | NAT_ADDRESS
            | "google_compute_router_interface"
            | "google_compute_router_peer"
            | "google_compute_instance"
            | "google_compute_firewall"
            | "google_vpc_access_connector"
            | "google_cloud_run_v2_service"
            | "google_cloud_run_v2_job"
            | "google_cloud_run_v2_worker_pool"
            | "google_cloud_run_service"
            | "google_cloudfunctions2_function"
            | "google_cloudfunctions_function"
            | "google_org_policy_policy"
            | "google_project_organization_policy"
            | "google_folder_organization_policy"
            | "google_organization_policy"
    ) || firewall::is_policy(kind)
}

fn one(import: &mut Import, block: Block, context: &Context, policies: &mut firewall::Parts) {
    let kind = block.kind.clone();
    if !knows(&kind) {
        return import.skip(kind, block.place);
    }
    let mut block = Reading::new(import, block);
    if run::is_workload(&kind) && block.is_data() && run::is_found_only(&block) {
        let message = format!(
            "the configuration of {} is not known, for it is read from Google Cloud: it is left out",
            block.address
        );
        let help = "import the state, or what `gcloud run services describe --format=export` prints, too";
        let place = block.place;
        return block.finding(Diagnostic::note("not-known", message).help(help), place);
    }
    match &*kind {
        "google_compute_network" => compute::network(block),
        "google_compute_subnetwork" => compute::subnetwork(block),
        "google_compute_route" => compute::route(block, context),
        "google_compute_network_peering" => compute::peering(block),
        "google_compute_network_peering_routes_config" => compute::peering_routes(block),
        "google_service_networking_connection" => compute::service_networking(block),
        "google_compute_address" => compute::address(block, true),
        "google_compute_global_address" => compute::address(block, false),
        "google_compute_forwarding_rule" => compute::forwarding_rule(block, &kind, true),
        "google_compute_global_forwarding_rule" => compute::forwarding_rule(block, &kind, false),
        "google_compute_vpn_tunnel" => regional(&mut block, Kind::VpnTunnel, compute::VPN_TUNNEL),
        "google_compute_interconnect_attachment" => {
            regional(&mut block, Kind::InterconnectAttachment, compute::INTERCONNECT_ATTACHMENT);
        }
        "google_network_connectivity_policy_based_route" => {
            global(&mut block, Kind::PolicyBasedRoute, compute::POLICY_ROUTE)
        }
        "google_compute_router" => regional(&mut block, Kind::Router, nat::ROUTER),
        "google_compute_router_nat" => nat::gateway(block, context),
        NAT_ADDRESS => nat::addresses(block),
        "google_compute_router_interface" => nat::part(block, "interfaces", nat::INTERFACE),
        "google_compute_router_peer" => nat::part(block, "bgpPeers", nat::PEER),
        "google_compute_instance" => instance::instance(block),
        "google_compute_firewall" => firewall::rule(block),
        "google_vpc_access_connector" => run::connector(block),
        "google_cloud_run_v2_service" => run::workload(block, Kind::Service, run::SERVICE),
        "google_cloud_run_v2_job" => run::workload(block, Kind::Job, run::JOB),
        "google_cloud_run_v2_worker_pool" => run::workload(block, Kind::WorkerPool, run::WORKER_POOL),
        "google_cloud_run_service" => run_v1::service(block),
        "google_cloudfunctions2_function" => run::function(block),
        "google_cloudfunctions_function" => run::function_of_first_generation(block),
        "google_org_policy_policy" => organization::policy(block, &kind),
        kind if kind.ends_with("organization_policy") => organization::older_policy(block, kind),
        kind => policies.read(block, kind),
    }
}

/// A resource whose fields are its name, its region and a table's.
fn regional(block: &mut Reading<'_>, kind: Kind, fields: &[fields::Field]) {
    let mut entries = vec![Entry::new("name", block.name())];
    entries.extend(block.region("region"));
    entries.extend(block.fields(fields));
    add(block, kind, entries);
}

/// A resource whose fields are its name and a table's.
fn global(block: &mut Reading<'_>, kind: Kind, fields: &[fields::Field]) {
    let mut entries = vec![Entry::new("name", block.name())];
    entries.extend(block.fields(fields));
    add(block, kind, entries);
}

/// Adds what was read, unless it is too wide without what is not known.
fn add(block: &mut Reading<'_>, kind: Kind, entries: Vec<Entry>) {
    if block.too_wide {
        return;
    }
    let project = block.project();
    let node: Node = block.mapping(entries);
    block.import.add_of(project, kind, node);
}
