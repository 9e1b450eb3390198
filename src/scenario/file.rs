//! The scenario file as typed: Google's resources in the shape of their REST APIs, and what the simulator adds.
//!
//! Nothing is checked here beyond the type of each value, and no default is filled in: that is for [`load`](fn@super::load::load) to do.
//! Serializing a [`ScenarioFile`] gives the merged scenario that `check --format json` prints; reading that again gives the
//! same scenario.

use schemars::JsonSchema;
use serde::Serialize;

use super::decode::Decoder;
use super::tree::{Entry, Node};
use super::value::{At, Dur, Reference};

pub mod compute;
pub mod firewall;
pub(crate) mod ignored;
pub mod impairment;
pub mod load;
pub mod model;
pub mod nat;
pub mod observed;
pub mod organization;
pub mod run;
pub mod simulation;

/// An enum of Google's: variants are SCREAMING_SNAKE_CASE and documented by Google.
macro_rules! google_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        pub enum $name { $($(#[$vmeta])* #[allow(missing_docs, reason = "the name is Google's")] $variant),* }
    };
}
pub(crate) use google_enum;

/// Declares [`ScenarioFile`]: its fields, and how each top-level key is decoded.
macro_rules! scenario_file {
    (
        values { $($(#[$vmeta:meta])* $value:ident: $vtype:ty = $vkey:literal,)* }
        lists { $($(#[$lmeta:meta])* $list:ident: $ltype:ty = $lkey:literal,)* }
    ) => {
        /// A scenario as typed, merged from all its files.
        #[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct ScenarioFile {
            $($(#[$vmeta])* #[serde(skip_serializing_if = "Option::is_none")] pub $value: Option<$vtype>,)*
            $($(#[$lmeta])* #[serde(default, skip_serializing_if = "Vec::is_empty")] pub $list: Vec<At<$ltype>>,)*
        }

        /// The keys that a scenario file can have at its top.
        pub(crate) const TOP_LEVEL_KEYS: &[&str] = &[$($vkey,)* $($lkey,)*];

        impl ScenarioFile {
            /// Decodes what it can of a merged top level; the decoder keeps what is wrong. The second value names the items
            /// that had to be left out, as (top-level key, name): references to them are not unknown.
            pub(crate) fn decode(top: &[Entry], decoder: &Decoder) -> (ScenarioFile, Vec<(&'static str, String)>) {
                let mut file = ScenarioFile::default();
                let mut lost = Vec::new();
                for entry in top {
                    let node = &entry.value;
                    match &*entry.key.name {
                        $($vkey => file.$value = if node.is_null() { None } else { decoder.item(node) },)*
                        $($lkey => {
                            let left_out = |node: &Node| lost.extend(name_of(node).map(|name| ($lkey, name)));
                            file.$list = decoder.list(node, left_out).unwrap_or_default();
                        })*
                        // What `check --format json` adds to the merged scenario, which can be loaded again.
                        "findings" => {}
                        _ => decoder.unknown_key(entry, TOP_LEVEL_KEYS.iter().copied(), "a scenario"),
                    }
                }
                (file, lost)
            }
        }
    };
}

scenario_file! {
    values {
        /// Its name, for the report. Default: the name of the file.
        name: At<String> = "name",
        /// The seed of all randomness. Default 1.
        seed: At<u64> = "seed",
        /// How long the run lasts. Default 60s.
        duration: At<Dur> = "duration",
        /// Files or globs to merge in, relative to this file: scenarios, and configuration of every format that `egressim import`
        /// reads. What this file says itself counts.
        include: Vec<At<String>> = "include",
        /// Values for what Google does not document.
        model: model::Model = "model",
        /// What was observed of the running network, to compare the start of a run with.
        observed: observed::Observed = "observed",
    }
    lists {
        /// VPC networks.
        networks: compute::Network = "networks",
        /// Subnets.
        subnetworks: compute::Subnetwork = "subnetworks",
        /// Custom routes.
        routes: compute::Route = "routes",
        /// VPC firewall rules.
        firewalls: firewall::Firewall = "firewalls",
        /// Hierarchical and network firewall policies. What `get-effective-firewalls` prints under `firewallPolicys` is
        /// read, too.
        firewall_policies: firewall::FirewallPolicy = "firewallPolicies",
        /// Reserved addresses.
        addresses: compute::ReservedAddress = "addresses",
        /// Cloud Routers with their NAT gateways.
        routers: nat::Router = "routers",
        /// Policy-based routes.
        policy_based_routes: compute::PolicyBasedRoute = "policyBasedRoutes",
        /// Compute Engine VMs.
        instances: compute::Instance = "instances",
        /// Internal load balancers, as next hops and destinations, and endpoints of Private Service Connect.
        forwarding_rules: compute::ForwardingRule = "forwardingRules",
        /// Cloud VPN tunnels, as next hops.
        vpn_tunnels: compute::VpnTunnel = "vpnTunnels",
        /// Interconnect attachments, as next hops.
        interconnect_attachments: compute::InterconnectAttachment = "interconnectAttachments",
        /// Serverless VPC Access connectors.
        connectors: run::Connector = "connectors",
        /// Cloud Run services.
        services: run::Service = "services",
        /// Cloud Run jobs.
        jobs: run::Job = "jobs",
        /// Cloud Run worker pools.
        worker_pools: run::WorkerPool = "workerPools",
        /// Functions.
        functions: run::Function = "functions",
        /// Organization policies: which egress settings may be deployed.
        org_policies: organization::OrgPolicy = "orgPolicies",
        /// Simulated destinations.
        hosts: simulation::Host = "hosts",
        /// What goes wrong on links.
        impairments: impairment::Impairment = "impairments",
        /// Simulated load.
        traffic: simulation::Traffic = "traffic",
        /// Timed changes.
        events: simulation::Event = "events",
        /// Assertions about the outcome.
        expect: simulation::Expect = "expect",
    }
}

/// The name of a resource that could not be decoded.
fn name_of(node: &Node) -> Option<String> {
    let name: Reference = node.get("name")?.text()?.parse().ok()?;
    Some(name.name().to_owned())
}
