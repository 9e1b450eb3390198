//! The firewall of each network: from the scenario's rules and policies, and those that Google makes for connectors.

use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};

use super::Network;
use crate::node::firewall::{
    Action, Cpus, Firewall, InterfaceKind, Layer, LayerKind, Peers, Policy, ProtocolMatch, Ranges, Rule, Targets,
    WhenFull,
};
use crate::scenario::model::{FullTable, SourceServiceAccount};
use crate::scenario::{
    Connector, FirewallAction, FirewallDirection, FirewallPeers, FirewallPolicy, FirewallPolicyKind, FirewallRule,
    HostLocation, MachineCpus, MachineType, Scenario, Workload, WorkloadKind,
};
use crate::time::SimTime;
use crate::trace::info::{Resource, Scope};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Where the serverless side of a connector's tunnel is. As all of the automatic rules:
/// <https://docs.cloud.google.com/vpc/docs/serverless-vpc-access>, 2026.
pub const SERVERLESS: &[&str] = &["35.199.224.0/19"];
/// Where connector VMs are checked from.
pub const HEALTH_CHECKS: &[&str] = &["35.191.0.0/16", "35.191.192.0/18", "130.211.0.0/22"];

/// The firewall of a network, without interfaces.
pub(super) fn firewall(scenario: &Scenario, network: usize) -> Firewall {
    let when_full = match scenario.model.firewall.full_table {
        FullTable::ByKind => WhenFull::ByKind,
        FullTable::Drop => WhenFull::Drop,
        FullTable::Refuse => WhenFull::Refuse,
    };
    let spec = &scenario.networks[network];
    Firewall::new(spec.name.as_str().into(), layers(scenario, network), spec.policies_before_rules, when_full)
}

fn layers(scenario: &Scenario, network: usize) -> Vec<Layer> {
    let own = scenario.firewall_rules.iter().filter(|it| it.network == network).map(|it| rule(scenario, &it.rule));
    // In a service project Google makes none: whoever administers the host project has to.
    let connectors =
        (scenario.connectors.iter()).filter(|connector| connector.network == network && !connector.in_service_project);
    let automatic =
        connectors.flat_map(|connector| automatic_rules(connector, scenario.subnetworks[connector.subnetwork].range));
    let policies = scenario.firewall_policies.iter().filter(|policy| policy.networks.contains(&network));
    let mut layers: Vec<Layer> = policies.map(|policy| policy_layer(scenario, policy, network)).collect();
    layers.push(Layer::vpc_rules(own.chain(automatic).collect()));
    layers
}

fn policy_layer(scenario: &Scenario, policy: &FirewallPolicy, network: usize) -> Layer {
    let region: Option<Arc<str>> = policy.region.as_deref().map(Into::into);
    let (kind, scope) = match policy.kind {
        FirewallPolicyKind::Hierarchical => (LayerKind::Hierarchical, Scope::Organization),
        FirewallPolicyKind::System => (LayerKind::System, Scope::Global),
        FirewallPolicyKind::RegionalSystem => (LayerKind::RegionalSystem, Scope::Global),
        FirewallPolicyKind::Network => (LayerKind::Network, Scope::Global),
        FirewallPolicyKind::RegionalNetwork => (LayerKind::RegionalNetwork, Scope::Global),
    };
    let scope = region.clone().map_or(scope, Scope::Region);
    let resource = Resource { scope, collection: "firewallPolicies", name: policy.id.as_str().into() };
    let rules = policy
        .rules
        .iter()
        .filter(|rule| rule.target_networks.as_ref().is_none_or(|networks| networks.contains(&network)));
    let rules = rules.map(|it| rule(scenario, it)).collect();
    Layer::policy(
        kind,
        Policy { name: policy.name.as_str().into(), resource, priority: policy.priority },
        region,
        rules,
    )
}

fn rule(scenario: &Scenario, rule: &FirewallRule) -> Rule {
    Rule {
        name: rule.name.as_str().into(),
        ingress: rule.direction == FirewallDirection::Ingress,
        priority: rule.priority,
        action: match rule.action {
            FirewallAction::Allow => Action::Allow,
            FirewallAction::Deny => Action::Deny,
            FirewallAction::GotoNext => Action::GotoNext,
            FirewallAction::ApplySecurityProfileGroup => Action::Inspect,
        },
        matches: (rule.matches.iter())
            .map(|entry| ProtocolMatch { protocol: entry.protocol, ports: entry.ports.clone() })
            .collect(),
        source: rule.source.as_ref().map(|peers| self::peers(scenario, peers)),
        destination: rule.destination.as_ref().map(|peers| self::peers(scenario, peers)),
        targets: Targets {
            tags: rule.target_tags.clone(),
            service_accounts: rule.target_service_accounts.clone(),
            secure_tags: rule.target_secure_tags.clone(),
        },
        disabled: rule.disabled,
        by_google: false,
        security_profile_group: rule.security_profile_group.as_deref().map(Into::into),
    }
}

fn peers(scenario: &Scenario, peers: &FirewallPeers) -> Peers {
    let hosts = peers.countries.iter().flat_map(|country| hosts_in(scenario, country));
    Peers {
        ranges: peers.ranges.iter().copied().chain(hosts).collect(),
        tags: peers.tags.clone(),
        service_accounts: peers.service_accounts.clone(),
        secure_tags: peers.secure_tags.clone(),
    }
}

/// The addresses of internet hosts in a country. Where a range of one host lies in that of another, the rule takes the
/// wider host's country for it, too.
fn hosts_in(scenario: &Scenario, country: &str) -> impl Iterator<Item = IpNet> {
    let hosts = scenario.hosts.iter().filter(|host| host.location == HostLocation::Internet);
    let there = hosts.filter(move |host| {
        let own = host.geo_location.as_ref().and_then(|location| location.country.as_deref());
        own.is_some_and(|own| own.eq_ignore_ascii_case(country))
    });
    there.flat_map(|host| host.addresses.iter().copied())
}

/// Network tags of a connector's VMs: one that all connectors have, and its own.
pub(super) fn connector_tags(connector: &Connector) -> [String; 2] {
    ["vpc-connector".to_owned(), format!("vpc-connector-{}-{}", connector.region, connector.name)]
}

/// The six rules that Google makes for a connector, `aet-REGION-CONNECTOR-…` with the region's hyphens left out.
fn automatic_rules(connector: &Connector, range: Ipv4Net) -> [Rule; 6] {
    let ranges = |texts: &[&str]| -> Ranges {
        texts.iter().map(|text| text.parse::<IpNet>().expect("the constants are ranges")).collect()
    };
    let [_, own_tag] = connector_tags(connector);
    let template = |suffix: &str, priority| Rule {
        name: format!("aet-{}-{}-{suffix}", connector.region.replace('-', ""), connector.name).into(),
        ingress: true,
        priority,
        action: Action::Allow,
        matches: Vec::new(),
        source: None,
        destination: None,
        targets: Targets::default(),
        disabled: false,
        by_google: true,
        security_profile_group: None,
    };
    let on = |protocol, ports: &[(u16, u16)]| ProtocolMatch { protocol: Some(protocol), ports: ports.to_vec() };
    let tunnel = vec![on(TCP, &[(667, 667)]), on(UDP, &[(665, 666)]), on(ICMP, &[])];
    let everything = vec![on(TCP, &[]), on(UDP, &[]), on(ICMP, &[])];
    let addresses = |texts| Some(Peers { ranges: ranges(texts), ..Peers::default() });
    let vms = Targets { tags: vec![own_tag.clone()], ..Targets::default() };
    [
        Rule {
            matches: vec![on(TCP, &[(667, 667)])],
            source: addresses(HEALTH_CHECKS),
            targets: vms.clone(),
            ..template("hcfw", 100)
        },
        Rule { matches: tunnel.clone(), source: addresses(SERVERLESS), targets: vms.clone(), ..template("rsgfw", 100) },
        Rule {
            ingress: false,
            matches: tunnel,
            destination: addresses(SERVERLESS),
            targets: vms.clone(),
            ..template("earfw", 100)
        },
        Rule {
            ingress: false,
            action: Action::Deny,
            matches: vec![on(TCP, &[(1, 666), (668, 65_535)]), on(UDP, &[(1, 664), (667, 65_535)])],
            destination: addresses(SERVERLESS),
            targets: vms,
            ..template("egrfw", 100)
        },
        Rule {
            matches: everything.clone(),
            source: Some(Peers { ranges: [IpNet::V4(range)].into_iter().collect(), ..Peers::default() }),
            ..template("sbntfw", 1000)
        },
        Rule {
            matches: everything,
            source: Some(Peers { tags: vec![own_tag], ..Peers::default() }),
            ..template("tagfw", 1000)
        },
    ]
}

/// vCPUs of a VM.
pub(super) fn vm_cpus(cpus: MachineCpus) -> Cpus {
    match cpus {
        MachineCpus::Shared => Cpus::Shared,
        MachineCpus::Whole(cpus) => Cpus::Whole(cpus),
    }
}

/// vCPUs of a connector's VM.
pub(super) fn connector_cpus(machine_type: MachineType) -> Cpus {
    match machine_type {
        MachineType::F1Micro | MachineType::E2Micro => Cpus::Shared,
        MachineType::E2Standard4 => Cpus::Whole(4),
    }
}

/// vCPUs of a Cloud Run instance. That its interface tracks as many connections as a VM's is assumed.
pub(super) fn instance_cpus(vcpus: f64) -> Cpus {
    if vcpus < 1.0 { Cpus::Shared } else { Cpus::Whole(vcpus.ceil() as u32) }
}

impl Network {
    /// What rules can know of a new instance with Direct VPC egress. One that was there at the start is known.
    pub(super) fn direct_vpc_interface(&self, workload: &Workload, first: bool, warm: bool) -> InterfaceKind {
        let model = &self.scenario.model.firewall;
        InterfaceKind::DirectVpc {
            ingress: workload.kind == WorkloadKind::WorkerPool,
            account_known: match model.source_service_account {
                SourceServiceAccount::FirstInstance => first,
                SourceServiceAccount::Always => true,
                SourceServiceAccount::Never => false,
            },
            tags_known_at: if warm { SimTime::ZERO } else { self.engine.now() + model.tag_propagation },
        }
    }

    /// Changes a VPC firewall rule.
    pub(super) fn patch_firewall(&mut self, firewall: usize, rule: &FirewallRule) {
        let scenario = Arc::make_mut(&mut self.scenario);
        scenario.firewall_rules[firewall].rule = rule.clone();
        let network = scenario.firewall_rules[firewall].network;
        let policies_first = scenario.networks[network].policies_before_rules;
        let layers = layers(scenario, network);
        self.engine.change(self.vpcs[network].firewall, |firewall| firewall.replace(layers, policies_first));
        self.look_at_all_tunnels(network);
    }
}
