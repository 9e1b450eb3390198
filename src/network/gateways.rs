//! Cloud NAT gateways of a network: from the scenario's configuration to their stations, and their endpoints.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{Network, Vpc, addresses};
use crate::node::Node;
use crate::node::nat::{self, Gateway};
use crate::scenario::model::{Midstream, PortSelection, RstPolicy, Shortage};
use crate::scenario::{IpAllocation, NatConfig, Scenario};
use crate::sim::{Engine, rng};
use crate::topology::{LinkConfig, NodeId};
use crate::trace::PortId;

use crate::node::internet::INTERNET;

/// Addresses that a gateway with automatic allocation adds: the upper half of a documentation range.
const AUTO_POOL: (Ipv4Addr, u8) = (Ipv4Addr::new(203, 0, 113, 128), 127);

impl Network {
    pub(super) fn reconfigure(&mut self, gateway: usize, config: &NatConfig) {
        let now = self.engine.now();
        let config = nat_config(config);
        self.announce(gateway, &config);
        self.engine.change_node(self.nats[gateway], |node| match node {
            Node::Nat(gateway) => gateway.reconfigure(config, now),
            _ => unreachable!("a gateway's station is a gateway"),
        });
    }

    pub(super) fn build_nats(&mut self) {
        for index in 0..self.scenario.nat_gateways.len() {
            let gateway = &self.scenario.nat_gateways[index];
            let Vpc { router, gateway: internet_gateway, .. } = self.vpcs[gateway.network];
            let stream = rng::stream(self.scenario.seed, &format!("nat {}", gateway.name));
            let config = nat_config(&gateway.config);
            let node =
                Gateway::new(gateway.name.as_str().into(), config.clone(), nat_behaviour(&self.scenario), stream);
            let coverage = gateway.coverage.clone();
            let nat = self.engine.add_node(gateway.name.clone(), Node::Nat(node));
            let router_port = self.engine.topology().free_port(router, 1);
            let gateway_port = self.engine.topology().free_port(internet_gateway, 1);
            self.engine.connect((nat, nat::INSIDE), (router, router_port), LinkConfig::default());
            self.engine.connect((nat, nat::OUTSIDE), (internet_gateway, gateway_port), LinkConfig::default());
            self.nats.push(nat);
            self.announce(index, &config);
            self.change(router, |node| {
                let Node::Router(router) = node else { unreachable!("it was made as routes") };
                coverage.iter().for_each(|covered| router.add_nat_coverage(covered.range, router_port));
            });
        }
    }

    /// Tells the internet the way to a gateway's addresses.
    fn announce(&mut self, index: usize, config: &nat::Config) {
        let nat = self.nats[index];
        let vpc = self.vpcs[self.scenario.nat_gateways[index].network];
        let far_port = |engine: &Engine, node: NodeId, port: PortId| {
            let link = engine.topology().link_at(node, port).expect("it was linked when it was made");
            engine.topology().link(link).to_port
        };
        let gateway_port = far_port(&self.engine, nat, nat::OUTSIDE);
        let internet_port = far_port(&self.engine, vpc.gateway, INTERNET);
        let all: Vec<_> = config.nat_ips.iter().chain(&config.drain_nat_ips).chain(&config.auto_ips).copied().collect();
        self.change(vpc.gateway, |node| {
            let Node::InternetGateway(gateway) = node else { unreachable!("it was made as one") };
            all.iter().for_each(|&ip| gateway.add_nat_ip(ip, gateway_port));
        });
        self.change(self.internet, |node| {
            let Node::FarSide(internet) = node else { unreachable!("it was made as one") };
            all.iter().for_each(|&ip| internet.add_route(ip.into(), internet_port));
        });
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
            self.change(self.nats[gateway], |node| {
                let Node::Nat(gateway) = node else { unreachable!("it was made as one") };
                gateway.add_endpoint(endpoint);
            });
        }
    }

    pub(super) fn remove_endpoint(&mut self, address: Ipv4Addr) {
        let now = self.engine.now();
        if let Some(gateway) = self.gateway_for(address) {
            self.change(self.nats[gateway], |node| {
                let Node::Nat(gateway) = node else { unreachable!("it was made as one") };
                if let Some(endpoint) = gateway.endpoint_at(address) {
                    gateway.remove_endpoint(endpoint, now);
                }
            });
        }
    }
}

fn nat_config(config: &NatConfig) -> nat::Config {
    let timeouts = &config.timeouts;
    nat::Config {
        nat_ips: config.nat_ips.clone(),
        drain_nat_ips: config.drain_nat_ips.clone(),
        auto_ips: match config.allocate {
            IpAllocation::Auto => addresses(AUTO_POOL).collect(),
            IpAllocation::Manual => vec![],
        },
        rules: vec![],
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
        ..nat::Behaviour::default()
    }
}
