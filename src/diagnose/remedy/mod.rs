//! Which changes are worth trying for a cause: those that Google's documents and experience suggest.
//!
//! Each is a [`Proposal`]: one setting with the values to try, from the mildest on, or a single change. Some are known not
//! to help and tried all the same, because people try them: that they do not help is worth knowing. Those that are asked
//! for first stand first.
//!
//! Sources: <https://docs.cloud.google.com/nat/docs/troubleshooting>,
//! <https://docs.cloud.google.com/nat/docs/tune-nat-configuration> (2026-04), and for Cloud Run
//! <https://docs.cloud.google.com/run/docs/configuring/vpc-direct-vpc> and
//! <https://docs.cloud.google.com/run/docs/configuring/connecting-vpc> (2026).

mod client;
mod nat;
mod network;
mod workload;

pub(super) use nat::{add_ips, ips_needed};
pub(super) use network::trace;

use serde_json::Value;

use super::Case;
use super::document::Edit;
use super::evidence::{Group, Key};
use super::kind::{Family, Kind};
use super::place::Place;
use crate::report::summary::Summary;
use crate::scenario::{Attachment, NatConfig, NatGateway};

/// One setting, and the values to try.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// From the mildest on.
    pub choices: Vec<Choice>,
    /// Where to begin: at the value that arithmetic foretells, or at the mildest.
    pub start: usize,
}

impl Proposal {
    fn of(choices: Vec<Choice>) -> Option<Proposal> {
        (!choices.is_empty()).then_some(Proposal { choices, start: 0 })
    }

    fn single(choice: Choice) -> Option<Proposal> {
        Proposal::of(vec![choice])
    }
}

/// A change.
#[derive(Debug, Clone)]
pub struct Choice {
    /// What changes, for people.
    pub change: String,
    /// The patch.
    pub steps: Vec<Value>,
    /// What else changes that no figure shows.
    pub effects: Vec<String>,
    /// If the run leaves endpoints of this gateway and rule without their ports, the NAT IPs that they need are added.
    pub add_ips: Option<(usize, u32)>,
}

impl Choice {
    fn new(change: impl Into<String>, edit: Edit) -> Choice {
        Choice { change: change.into(), steps: edit.into_steps(), effects: Vec::new(), add_ips: None }
    }

    fn effect(mut self, effect: impl Into<String>) -> Choice {
        self.effects.push(effect.into());
        self
    }
}

/// A cause that is to be ended.
#[derive(Debug, Clone, Copy)]
pub struct Ill<'a> {
    /// What is run.
    pub case: &'a Case<'a>,
    /// The cause.
    pub key: Key,
    /// Its connections.
    pub group: &'a Group,
    /// The result of the run.
    pub summary: &'a Summary,
}

impl Ill<'_> {
    fn edit(&self) -> Edit {
        Edit::new(&self.case.document)
    }

    /// The loads it is about.
    fn loads(&self) -> impl Iterator<Item = usize> + '_ {
        let slow_only = match (self.group.loads.is_empty(), self.group.example.as_ref()) {
            (true, Some(example)) => example.record.traffic,
            _ => None,
        };
        self.group.loads.keys().copied().chain(slow_only)
    }

    /// The workloads it is about.
    fn workloads(&self) -> Vec<usize> {
        let traffic = &self.case.scenario.traffic;
        let own = match self.key.place {
            Place::Workload(workload) => Some(workload),
            _ => self.case.from,
        };
        let mut workloads: Vec<_> = self.loads().map(|load| traffic[load].from).chain(own).collect();
        workloads.sort_unstable();
        workloads.dedup();
        workloads
    }

    /// The connectors that these go through.
    fn connectors(&self) -> Vec<usize> {
        let own = match self.key.place {
            Place::Connector(connector) => Some(connector),
            _ => None,
        };
        let attached = self.workloads().into_iter().filter_map(|workload| {
            match self.case.scenario.workloads[workload].attachment() {
                Attachment::Connector(connector) => Some(*connector),
                _ => None,
            }
        });
        let mut connectors: Vec<_> = attached.chain(own).collect();
        connectors.sort_unstable();
        connectors.dedup();
        connectors
    }

    /// The gateway it is at.
    fn gateway(&self) -> Option<(usize, u32, &NatGateway)> {
        match self.key.place {
            Place::Gateway(gateway, rule) => Some((gateway, rule, &self.case.scenario.nat_gateways[gateway])),
            _ => None,
        }
    }

    fn config(&self) -> Option<&NatConfig> {
        self.gateway().map(|(_, _, gateway)| &gateway.config)
    }
}

/// What to try for a cause, in the order in which it is to be told.
pub fn proposals(ill: &Ill<'_>) -> Vec<Proposal> {
    let mut all: Vec<Option<Proposal>> = Vec::new();
    match ill.key.kind {
        Kind::VmPorts | Kind::TimeWait | Kind::GrowthPending => {
            all.push(nat::min_ports(ill));
            all.push(nat::max_ports(ill));
            all.push(nat::dynamic(ill));
            all.push(nat::fixed(ill));
            all.push(nat::time_wait(ill));
            all.push(client::keep_alive(ill));
            all.push(workload::connector_instances(ill));
            all.push(workload::direct_instead_of_connector(ill));
            all.push(workload::connector_instead_of_direct(ill));
            all.push(workload::more_instances(ill));
            all.push(client::patience(ill));
            all.push(nat::one_more_ip(ill));
        }
        Kind::GatewayIps => {
            all.push(nat::more_ips(ill));
            all.push(nat::fewer_ports(ill));
            all.push(nat::lower_max(ill));
            all.push(nat::automatic_ips(ill));
            all.push(nat::dynamic(ill));
            all.push(nat::time_wait(ill));
            all.push(workload::direct_instead_of_connector(ill));
            all.push(workload::connector_instead_of_direct(ill));
        }
        Kind::NoNatIp => {
            all.push(nat::more_ips(ill));
            all.push(nat::automatic_ips(ill));
        }
        Kind::MappingConflict => {
            all.push(nat::no_endpoint_independence(ill));
            all.push(nat::min_ports(ill));
            all.push(nat::time_wait(ill));
            all.push(nat::one_more_ip(ill));
            all.push(client::keep_alive(ill));
        }
        Kind::IdleExpiry => {
            all.push(client::shorter_lives(ill));
            all.push(nat::idle_timeout(ill));
        }
        Kind::MappingLost => {
            all.push(nat::drain(ill));
            all.push(nat::no_changes(ill));
        }
        Kind::ClosedWindow => {
            all.push(workload::warm_instances(ill));
            all.push(client::patience(ill));
            all.push(workload::connector_instead_of_direct(ill));
        }
        Kind::AddressExhaustion => {
            all.push(workload::larger_subnet(ill));
            all.push(workload::another_subnet(ill));
            all.push(workload::connector_instead_of_direct(ill));
        }
        Kind::SourcePorts | Kind::ConnectionRate => {
            all.push(client::keep_alive(ill));
            all.push(workload::more_instances(ill));
        }
        Kind::ConnectorThroughput | Kind::ConnectorPorts => {
            all.push(workload::direct_instead_of_connector(ill));
            all.push(workload::connector_instances(ill));
            all.push(workload::machine_type(ill));
            if ill.key.kind == Kind::ConnectorPorts {
                all.push(client::keep_alive(ill));
            }
        }
        Kind::LinkThroughput => all.push(workload::more_instances(ill)),
        Kind::TrackingTable => {
            all.push(client::keep_alive(ill));
            all.push(workload::more_instances(ill));
            all.push(workload::connector_instances(ill));
            all.push(workload::machine_type(ill));
        }
        Kind::Firewall => {
            all.push(network::allow(ill));
            all.push(network::without_rule(ill));
        }
        Kind::Route => all.push(network::default_route(ill)),
        Kind::NoNat => {
            all.push(network::widen_nat(ill));
            all.push(network::add_nat(ill));
            all.push(workload::private_ranges_only(ill));
        }
        Kind::NoVpcAccess => {
            all.push(network::ready_connector(ill));
            all.push(workload::attach(ill));
        }
        Kind::GoogleAccess => {
            all.push(network::google_access(ill));
            all.push(workload::private_ranges_only(ill));
        }
        Kind::Loss => all.push(client::patience(ill)),
        Kind::NoInstance
        | Kind::NotReady
        | Kind::LinkDown
        | Kind::UnknownAddress
        | Kind::Ipv6Unavailable
        | Kind::NotCarried
        | Kind::Mtu
        | Kind::FarSideRefused
        | Kind::FarSideReset
        | Kind::FarSideSilent
        | Kind::Infrastructure
        | Kind::Stray => {}
    }
    all.into_iter().flatten().collect()
}

/// Whether settings can do anything about it at all.
pub fn is_curable(kind: Kind) -> bool {
    !matches!(kind.family(), Family::FarSide) && !matches!(kind, Kind::Infrastructure | Kind::LinkDown)
}
