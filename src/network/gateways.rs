//! Cloud NAT gateways of a network: from the scenario's configuration to their stations, and their endpoints.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{Network, Vpc};
use crate::node::nat::{self, Gateway};
use crate::scenario::model::{EndpointIndependentChoice, Midstream, PortSelection, RstPolicy, Shortage};
use crate::scenario::{Host, IpAllocation, LogFilter, NatConfig, NatRuleMatch, NetworkTier, Scenario};
use crate::sim::rng;
use crate::time::SimTime;
use crate::topology::LinkConfig;
use crate::trace::info::Resource;

/// Addresses that gateways with automatic allocation add, by tier: the upper half of a documentation range, then half of
/// the range for benchmarks, neither of which is routed on the internet; of that, the other half for Standard Tier.
const AUTO_PREMIUM: [([u8; 4], u32); 2] = [([203, 0, 113, 128], 127), ([198, 19, 0, 0], 32_768)];
const AUTO_STANDARD: [([u8; 4], u32); 1] = [([198, 19, 128, 0], 32_768)];
/// Automatic addresses of one gateway (<https://cloud.google.com/nat/quota>, copies of 2026; older ones say 300).
const MAX_AUTO_IPS: usize = 2500;

impl Network {
    /// What a gateway logged at a time.
    pub fn log_filter(&self, gateway: usize, time: SimTime) -> Option<LogFilter> {
        let changed = self.log_filters[gateway].iter().rev().find(|(since, _)| *since <= time);
        changed.map_or(self.scenario.nat_gateways[gateway].config.log, |(_, filter)| *filter)
    }

    pub(super) fn reconfigure(&mut self, gateway: usize, config: &NatConfig) {
        let now = self.engine.now();
        self.log_filters[gateway].push((now, config.log));
        let config = self.nat_config(gateway, config);
        self.announce_nat_ips(gateway, &config);
        self.engine.change(self.nats[gateway], |gateway| gateway.reconfigure(config, now));
    }

    pub(super) fn build_nats(&mut self) {
        for index in 0..self.scenario.nat_gateways.len() {
            let gateway = &self.scenario.nat_gateways[index];
            let Vpc { router, gateway: internet_gateway, .. } = self.vpcs[gateway.network];
            let stream = rng::stream(self.scenario.seed, &format!("nat {}", gateway.name));
            let config = self.nat_config(index, &gateway.config);
            let network = Resource::network(&*self.scenario.networks[gateway.network].name);
            let cloud_router = Resource::regional("routers", &*gateway.region, &*gateway.router);
            let node =
                Gateway::new(gateway.name.as_str().into(), config.clone(), nat_behaviour(&self.scenario), stream)
                    .belongs_to(cloud_router, network);
            let coverage = gateway.coverage.clone();
            let nat = self.engine.add(gateway.name.clone(), node);
            let router_port = self.engine.topology().free_port(router.node, 1);
            let gateway_port = self.engine.topology().free_port(internet_gateway.node, 1);
            self.engine.connect((nat, nat::INSIDE), (router, router_port), LinkConfig::default());
            self.engine.connect((nat, nat::OUTSIDE), (internet_gateway, gateway_port), LinkConfig::default());
            self.nats.push(nat);
            self.log_filters.push(Vec::new());
            self.announce_nat_ips(index, &config);
            self.engine.change(router, |router| {
                coverage.iter().for_each(|covered| router.add_nat_coverage(covered.range, router_port));
            });
        }
    }

    /// What a gateway's station is told.
    fn nat_config(&self, gateway: usize, config: &NatConfig) -> nat::Config {
        let timeouts = &config.timeouts;
        let rules = config.rules.iter().map(|rule| nat::Rule {
            number: rule.number,
            matches: match &rule.matches {
                NatRuleMatch::Destination(ranges) => nat::RuleMatch::Destination(ranges.clone()),
                NatRuleMatch::Source(ranges) => nat::RuleMatch::Source(ranges.clone()),
            },
            nat_ips: rule.nat_ips.clone(),
            drain_nat_ips: rule.drain_nat_ips.clone(),
        });
        nat::Config {
            nat_ips: config.nat_ips.clone(),
            drain_nat_ips: config.drain_nat_ips.clone(),
            auto_ips: match config.allocate {
                IpAllocation::Auto => self.auto_ips(gateway, config.auto_network_tier),
                IpAllocation::Manual => vec![],
            },
            rules: rules.collect(),
            min_ports: config.min_ports_per_vm,
            max_ports: config.max_ports_per_vm,
            dynamic: config.dynamic_port_allocation,
            endpoint_independent: config.endpoint_independent_mapping,
            // By `nat::tcp::Timer`.
            timeouts: [
                timeouts.udp_idle,
                timeouts.icmp_idle,
                timeouts.tcp_transitory_idle,
                timeouts.tcp_established_idle,
                timeouts.tcp_time_wait,
            ],
        }
    }

    /// The addresses that a gateway may add by itself. No two gateways share one, and none is an address of the scenario.
    fn auto_ips(&self, gateway: usize, tier: NetworkTier) -> Vec<Ipv4Addr> {
        let scenario = &self.scenario;
        let gateways = scenario.nat_gateways.iter().map(|gateway| &gateway.config);
        let rules = gateways.clone().flat_map(|config| &config.rules);
        let mut taken: HashSet<Ipv4Addr> = scenario.vms.iter().filter_map(|vm| vm.external_address).collect();
        taken.extend(gateways.flat_map(|config| config.nat_ips.iter().chain(&config.drain_nat_ips)));
        taken.extend(rules.flat_map(|rule| rule.nat_ips.iter().chain(&rule.drain_nat_ips)));
        taken.extend(scenario.hosts.iter().flat_map(Host::ipv4_ranges).map(|range| range.addr()));
        let ranges = match tier {
            NetworkTier::Premium => &AUTO_PREMIUM[..],
            NetworkTier::Standard => &AUTO_STANDARD[..],
        };
        let first = |first: [u8; 4]| u32::from(Ipv4Addr::from(first));
        let all = ranges.iter().flat_map(|&(start, count)| (first(start)..first(start) + count).map(Ipv4Addr::from));
        let mine = all.skip(gateway).step_by(scenario.nat_gateways.len());
        mine.filter(|ip| !taken.contains(ip)).take(MAX_AUTO_IPS).collect()
    }

    /// Tells the internet the way to a gateway's addresses.
    fn announce_nat_ips(&mut self, index: usize, config: &nat::Config) {
        let rules = config.rules.iter().flat_map(|rule| rule.nat_ips.iter().chain(&rule.drain_nat_ips));
        let own = config.nat_ips.iter().chain(&config.drain_nat_ips).chain(&config.auto_ips);
        let all: Vec<_> = own.chain(rules).copied().collect();
        let gateway_port = self.far_port(self.nats[index].node, nat::OUTSIDE);
        self.announce(self.scenario.nat_gateways[index].network, all.iter().copied(), gateway_port);
    }

    /// The gateway that serves a source address: the first that covers it.
    pub(super) fn gateway_for(&self, address: Ipv4Addr) -> Option<usize> {
        (self.scenario.nat_gateways.iter())
            .position(|gateway| gateway.coverage.iter().any(|covered| covered.range.contains(&address)))
    }

    pub(super) fn add_endpoint(&mut self, endpoint: nat::EndpointConfig) {
        let served = endpoint.alias_ranges.first().map_or(endpoint.address, Ipv4Net::addr);
        let served = if endpoint.serves_primary { endpoint.address } else { served };
        if let Some(gateway) = self.gateway_for(served) {
            self.engine.change(self.nats[gateway], |gateway| {
                gateway.add_endpoint(endpoint);
            });
        }
    }

    pub(super) fn remove_endpoint(&mut self, address: Ipv4Addr) {
        let now = self.engine.now();
        if let Some(gateway) = self.gateway_for(address) {
            self.engine.change(self.nats[gateway], |gateway| {
                if let Some(endpoint) = gateway.endpoint_at(address) {
                    gateway.remove_endpoint(endpoint, now);
                }
            });
        }
    }
}

fn nat_behaviour(scenario: &Scenario) -> nat::Behaviour {
    let model = &scenario.model.nat;
    let growth = &model.dynamic_port_allocation;
    nat::Behaviour {
        random_ports: model.port_selection == PortSelection::Random,
        partial_allocation: model.shortage == Shortage::Partial,
        drop_midstream: model.midstream == Midstream::Drop,
        rst_frees: model.rst == RstPolicy::Immediate,
        growth_trigger: growth.trigger,
        grow_on_drop: growth.grow_on_drop,
        growth_delay: growth.growth_delay,
        shrink_below: growth.shrink_below,
        shrink_after: growth.shrink_after,
        evaluate_every: growth.evaluate_every,
        reset_on_change: growth.reset_on_change,
        binding_choice: match model.endpoint_independent_choice {
            EndpointIndependentChoice::LeastLoaded => nat::BindingChoice::LeastLoaded,
            EndpointIndependentChoice::Hash => nat::BindingChoice::Hash,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{BUILT_IN, load};

    #[test]
    fn the_models_defaults_are_the_stations_defaults() {
        let scenario = load::load(BUILT_IN).scenario.expect("the built-in scenario is sound");
        assert_eq!(scenario.model, Default::default(), "it sets no model value");
        assert_eq!(nat_behaviour(&scenario), nat::Behaviour::default());
    }

    #[test]
    fn automatic_addresses_belong_to_one_gateway_and_to_nobody_else() {
        // The premium range begins at 203.0.113.128, which a host of the scenario has.
        let yaml = "\
networks: [{name: vpc}]
subnetworks:
- {name: a, network: vpc, region: us-central1, ipCidrRange: 10.1.0.0/24}
- {name: b, network: vpc, region: us-central1, ipCidrRange: 10.2.0.0/24}
routers:
- name: router
  network: vpc
  region: us-central1
  nats:
  - {name: one, natIpAllocateOption: AUTO_ONLY, sourceSubnetworkIpRangesToNat: LIST_OF_SUBNETWORKS, subnetworks: [{name: a}]}
  - {name: two, natIpAllocateOption: AUTO_ONLY, sourceSubnetworkIpRangesToNat: LIST_OF_SUBNETWORKS, subnetworks: [{name: b}]}
hosts: [{name: partner, address: 203.0.113.128}]
";
        let loaded = load::load(load::Source::Text { name: "two.yaml", text: yaml });
        let scenario = loaded.scenario.expect("it is sound");
        let network = Network::new(&scenario);
        let pools = [0, 1].map(|gateway| network.auto_ips(gateway, NetworkTier::Premium));
        assert_eq!(pools.each_ref().map(Vec::len), [MAX_AUTO_IPS; 2]);
        assert!(pools[0].iter().all(|ip| !pools[1].contains(ip)));
        assert!(pools.iter().flatten().all(|ip| *ip != Ipv4Addr::new(203, 0, 113, 128)));
        let standard = network.auto_ips(0, NetworkTier::Standard);
        assert!(standard.iter().all(|ip| !pools.iter().flatten().any(|other| other == ip)));
    }
}
