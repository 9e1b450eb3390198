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
use super::kind::Kind;
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
            // Gateways made before 2026-09-30 have 120 s. What Google gives new ones takes no port from anybody.
            let outdated = ill.key.kind == Kind::TimeWait
                && ill.config().is_some_and(|config| config.timeouts.tcp_time_wait > nat::DEFAULT_TIME_WAIT);
            if outdated {
                all.push(nat::time_wait(ill));
            }
            all.push(nat::min_ports(ill));
            all.push(nat::max_ports(ill));
            all.push(nat::dynamic(ill));
            all.push(nat::fixed(ill));
            if !outdated {
                all.push(nat::time_wait(ill));
            }
            all.push(client::keep_alive(ill));
            all.push(client::pool(ill));
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
            all.push(client::pool(ill));
        }
        Kind::IdleExpiry => {
            all.push(client::shorter_lives(ill));
            all.push(client::idle_pool(ill));
            all.push(nat::idle_timeout(ill));
        }
        Kind::MappingLost => {
            all.push(nat::drain(ill));
            all.push(nat::no_changes(ill));
        }
        Kind::ClosedWindow => {
            all.push(workload::warm_instances(ill));
            // Google advises connectors where start-up time matters: patience waits, and they need not. Private Google Access
            // stalls rarely and briefly, which is no reason to build one.
            if network::is_for_google(ill) {
                all.push(client::patience(ill));
                all.push(workload::connector_instead_of_direct(ill));
            } else {
                all.push(workload::connector_instead_of_direct(ill));
                all.push(client::patience(ill));
            }
        }
        Kind::AddressExhaustion => {
            // On a connector's own subnet nobody else is to be, and it cannot be expanded: the connector is there.
            let taken = workload::is_on_connector_subnet(ill);
            if taken {
                all.push(workload::connector_instead_of_direct(ill));
            } else {
                all.push(workload::larger_subnet(ill));
            }
            all.push(workload::another_subnet(ill));
            if !taken {
                all.push(workload::connector_instead_of_direct(ill));
            }
        }
        Kind::SourcePorts | Kind::ConnectionRate => {
            all.push(client::keep_alive(ill));
            all.push(client::pool(ill));
            all.push(workload::more_instances(ill));
        }
        Kind::ConnectorThroughput | Kind::ConnectorPorts => {
            all.push(workload::direct_instead_of_connector(ill));
            all.push(workload::connector_instances(ill));
            all.push(workload::machine_type(ill));
            if ill.key.kind == Kind::ConnectorPorts {
                all.push(client::keep_alive(ill));
                all.push(client::pool(ill));
            }
        }
        Kind::LinkThroughput => all.push(workload::more_instances(ill)),
        Kind::TrackingTable => {
            all.push(client::keep_alive(ill));
            all.push(client::pool(ill));
            all.push(workload::more_instances(ill));
            all.push(workload::connector_instances(ill));
            all.push(workload::machine_type(ill));
        }
        Kind::Firewall => {
            all.push(network::allow(ill));
            all.push(network::allow_range(ill));
            all.push(network::connector_rules(ill));
            all.push(network::without_rule(ill));
            if network::is_public(ill) {
                all.push(workload::private_ranges_only(ill));
            }
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
        Kind::FarSideReset => all.push(client::idle_pool(ill)),
        Kind::NoInstance
        | Kind::NotReady
        | Kind::LinkDown
        | Kind::UnknownAddress
        | Kind::Ipv6Unavailable
        | Kind::NotCarried
        | Kind::Mtu
        | Kind::FarSideRefused
        | Kind::FarSideSilent
        | Kind::Infrastructure
        | Kind::Stray => {}
    }
    all.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use crate::diagnose::{Case, Input, diagnose};
    use crate::scenario::load::{Source, load};

    /// What ends the first cause, in the order in which it is told.
    #[track_caller]
    fn assert_ends(text: &str, expected: &[&str]) {
        let loaded = load(Source::Text { name: "test.yaml", text });
        let scenario = loaded.scenario.as_ref().expect("it is sound");
        let case = Case::new(&loaded.file, scenario, Input::Loads);
        let diagnosis = diagnose(&case, None, 1, &mut |_| ControlFlow::Continue(())).expect("it runs");
        let remedies = diagnosis.causes[0].remedies.iter().filter(|remedy| remedy.sufficient);
        let changes: Vec<_> = remedies.map(|remedy| remedy.change.as_str()).collect();
        assert!(changes.len() >= expected.len(), "{changes:#?}");
        for (change, begins) in changes.iter().zip(expected) {
            assert!(change.starts_with(begins), "{begins:?} in {changes:#?}");
        }
    }

    /// A service with Direct VPC egress, behind Cloud NAT.
    fn direct(nat: &str, more: &str) -> String {
        format!(
            "duration: 150s
networks: [{{name: vpc}}]
subnetworks: [{{name: apps, network: vpc, region: r1, ipCidrRange: 10.9.0.0/26, privateIpGoogleAccess: true}}]
addresses: [{{name: ip, region: r1}}]
routers: [{{name: router, network: vpc, region: r1, nats: [{{name: gw, natIpAllocateOption: MANUAL_ONLY, natIps: [ip], \
             sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES{nat}}}]}}]
services: [{{name: api, region: r1, instances: 0, template: {{vpcAccess: {{networkInterfaces: [{{network: vpc, subnetwork: \
             apps, tags: [web]}}], egress: ALL_TRAFFIC}}}}}}]
hosts:
- {{name: partner, address: 198.51.100.7, ports: [443]}}
- {{name: google, address: 142.250.1.95, location: google-api}}
- {{name: db, address: 10.9.0.60, location: vpc, network: vpc}}
{more}"
        )
    }

    const STARTS: &str = "events: [{at: 1s, scale: {workload: api, instances: 4}}]\n";

    #[test]
    fn what_new_instances_do_not_reach_yet_wants_a_connector_and_google_apis_only_patience() {
        let load = |host: &str| {
            format!("traffic: [{{from: api, to: '{host}:443', start: 2s, count: 20, connectTimeout: 2s}}]\n")
        };
        let partner = direct("", &(load("partner") + STARTS));
        assert_ends(
            &partner,
            &["minInstanceCount of api: 0 -> 4", "connector more-connector", "connectTimeout: 2s -> "],
        );
        let stall = "model: {cloudRun: {egressOpen: {vpcMedian: 1ms, pgaStallProbability: 1, pgaStallShare: 1}}}\n";
        let google = direct("", &(load("google") + STARTS + stall));
        assert_ends(
            &google,
            &["minInstanceCount of api: 0 -> 4", "connectTimeout: 2s -> ", "connector more-connector"],
        );
    }

    #[test]
    fn a_time_wait_longer_than_that_of_new_gateways_is_shortened_before_ports_are_added() {
        // 1/s x 60 s leave 60 ports in TIME_WAIT, of 32: with 30 s, 30.
        let load = "traffic: [{from: api, to: 'partner:443', rate: 1/s, arrivals: constant, stop: 100s, lifetime: 10ms, connectTimeout: 2s}]\n";
        let churn = |seconds: u32| {
            direct(&format!(", minPortsPerVm: 32, tcpTimeWaitTimeoutSec: {seconds}"), load)
                .replace("instances: 0", "instances: 1")
        };
        assert_ends(&churn(120), &["tcpTimeWaitTimeoutSec: 120 -> 30", "minPortsPerVm: 32 -> 128"]);
        let faster = churn(30).replace("rate: 1/s", "rate: 2/s");
        assert_ends(&faster, &["minPortsPerVm: 32 -> 64", "tcpTimeWaitTimeoutSec: 30 -> 15"]);
    }

    #[test]
    fn an_unsupported_source_is_replaced_by_the_range_of_the_subnet() {
        let rule =
            "firewalls: [{name: in, network: vpc, sourceServiceAccounts: [a@p], allowed: [{IPProtocol: tcp}]}]\n";
        let load = "traffic: [{from: api, to: 'db:5432', count: 20, connectTimeout: 2s}]\n";
        let text = direct("", &(rule.to_owned() + load))
            .replace("instances: 0, template: {", "instances: 3, template: {serviceAccount: a@p, ");
        assert_ends(&text, &["a firewall rule of priority 1000 that allows ingress tcp:5432 from 10.9.0.0/26"]);
    }

    #[test]
    fn what_a_firewall_keeps_from_a_connector_is_let_in_before_the_rule_that_denies_it() {
        let text = "
duration: 10s
networks: [{name: vpc}]
subnetworks: [{name: servers, network: vpc, region: r1, ipCidrRange: 10.9.0.0/26}]
connectors: [{name: conn, region: r1, network: vpc, ipCidrRange: 10.8.0.0/28}]
firewalls: [{name: no, network: vpc, priority: 7, denied: [{IPProtocol: tcp}], sourceRanges: [0.0.0.0/0]}]
services: [{name: api, region: r1, template: {vpcAccess: {connector: conn}}}]
hosts: [{name: erp, address: 10.9.0.60, location: vpc, network: vpc}]
traffic: [{from: api, to: 'erp:443', count: 5, connectTimeout: 2s}]
";
        let load = load(Source::Text { name: "test.yaml", text });
        let scenario = load.scenario.as_ref().expect("it is sound");
        let case = Case::new(&load.file, scenario, Input::Loads);
        let diagnosis = diagnose(&case, None, 1, &mut |_| ControlFlow::Continue(())).expect("it runs");
        let cause = &diagnosis.causes[0];
        assert_eq!(cause.cause, "VPC_CONNECTOR_HEALTH_CHECK_TRAFFIC_BLOCKED");
        // The connector works then; what it is for is denied by the same rule, which is the next cause.
        let rules = cause.remedies.iter().find(|remedy| remedy.change.starts_with("firewall rules of priority 6"));
        let patch = rules.expect("it was tried").patch.to_string();
        for name in ["serverless-to-vpc-connector", "vpc-connector-to-serverless", "vpc-connector-health-checks"] {
            assert!(patch.contains(name), "{patch}");
        }
    }

    #[test]
    fn on_the_subnet_of_a_connector_the_connector_is_the_way_out() {
        let text = "
duration: 10s
networks: [{name: vpc}]
subnetworks:
- {name: small, network: vpc, region: r1, ipCidrRange: 10.8.0.0/28}
- {name: servers, network: vpc, region: r1, ipCidrRange: 10.9.0.0/26}
connectors: [{name: conn, region: r1, subnet: {name: small}}]
firewalls: [{name: in, network: vpc, sourceRanges: [10.0.0.0/8], allowed: [{IPProtocol: tcp}]}]
services: [{name: api, region: r1, template: {vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: small}]}}}]
hosts: [{name: erp, address: 10.9.0.60, location: vpc, network: vpc}]
traffic: [{from: api, to: 'erp:443', count: 5, connectTimeout: 2s}]
";
        assert_ends(text, &["connector conn instead of Direct VPC egress", "a new subnet small-more"]);
    }

    #[test]
    fn a_rule_that_denies_public_destinations_is_passed_by_private_ranges_only() {
        let rule =
            "firewalls: [{name: no, network: vpc, direction: EGRESS, priority: 900, denied: [{IPProtocol: tcp}]}]\n";
        let load = "traffic: [{from: api, to: 'partner:443', count: 5, connectTimeout: 2s}]\n";
        let text = direct("", &(rule.to_owned() + load)).replace("instances: 0", "instances: 1");
        let first = "a firewall rule of priority 899 that allows egress tcp:443 to 198.51.100.7/32";
        assert_ends(&text, &[first, "without the firewall rule no", "egress: ALL_TRAFFIC -> PRIVATE_RANGES_ONLY"]);
    }

    /// Requests of a service with Direct VPC egress.
    fn asked(scaling: &str, host: &str, load: &str) -> String {
        format!(
            "duration: 3m
networks: [{{name: vpc}}]
subnetworks: [{{name: run, network: vpc, region: r1, ipCidrRange: 10.9.0.0/24}}]
addresses: [{{name: ip, region: r1, address: 203.0.113.10}}]
routers:
- name: router
  network: vpc
  region: r1
  nats: [{{name: gw, natIpAllocateOption: MANUAL_ONLY, natIps: [ip], sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES}}]
services: [{{name: shop, region: r1, {scaling}, vpcAccess: {{networkInterfaces: [{{subnetwork: run}}], egress: ALL_TRAFFIC}}}}}}]
hosts: [{{name: partner, address: 198.51.100.7, rtt: 20ms{host}}}]
traffic: [{{from: shop, to: 'partner:443', {load}}}]
"
        )
    }

    #[test]
    fn a_service_that_is_scaled_while_its_instances_reach_nothing_is_to_have_them_before() {
        // 40/s of half a second each are 20 at a time: 60 % of 10 in 3.3 instances. Four that are there serve them, and no other
        // is started.
        let scaling =
            "template: {maxInstanceRequestConcurrency: 10, scaling: {minInstanceCount: 1, maxInstanceCount: 20}";
        let load = "steps: [{at: 0s, rate: 5/s}, {at: 30s, rate: 40/s}], arrivals: constant, requests: {timeout: 5s, thinkTime: 480ms, pool: {size: 10}}";
        assert_ends(&asked(scaling, "", load), &["minInstanceCount of shop: 1 -> 4", "connector more-connector"]);
    }

    #[test]
    fn calls_that_use_ports_up_are_to_keep_their_connections() {
        // 5/s of 40 ms each, and a port for 30 s more: 150 of 64. A pool needs one connection, and has it for three minutes.
        let text = asked(
            "instances: 1, template: {maxInstanceRequestConcurrency: 80",
            "",
            "rate: 5/s, arrivals: constant, requests: {}",
        );
        assert_ends(&text, &["minPortsPerVm: 64 -> 256", "keep-alive: a pool of 1 connections"]);
    }

    #[test]
    fn a_pool_that_keeps_connections_for_longer_than_the_server_is_to_close_them_before() {
        // See tests/requests.rs for the race.
        let load = "steps: [{at: 0s, rate: 0.0997/s}], arrivals: constant, requests: {pool: {size: 1}}";
        let text = asked("instances: 1, template: {maxInstanceRequestConcurrency: 80", ", idleTimeout: 10s", load);
        assert_ends(&text, &["pool.idleTimeout: 1m30s -> 4s"]);
    }
}
