//! VPC networks: firewall, routes and internet gateway of each, the external addresses of its VMs, and who is attached.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::Ipv4Net;

use super::{Network, Vpc, firewalls};
use crate::node::external::{self, ExternalAddresses};
use crate::node::firewall::{self, Interface};
use crate::node::google::{self, GoogleServices};
use crate::node::internet::{INTERNET, InternetGateway};
use crate::node::router::{FIREWALL, Router};
use crate::topology::{LinkConfig, NodeId};
use crate::trace::PortId;

impl Network {
    pub(super) fn build_vpcs(&mut self) {
        for index in 0..self.scenario.networks.len() {
            let name: Arc<str> = self.scenario.networks[index].name.as_str().into();
            let firewall = firewalls::firewall(&self.scenario, index);
            let firewall = self.engine.add(format!("{name} firewall"), firewall);
            let google_port = PortId(1);
            let router = Router::new(name.clone(), google_port, self.scenario.seed);
            let router = self.engine.add(format!("{name} routes"), router);
            let gateway = self.engine.add(format!("{name} internet gateway"), InternetGateway::new(name.clone()));
            let google = self.engine.add(format!("{name} Google APIs"), GoogleServices::default());
            let plain = LinkConfig::default();
            self.engine.connect((firewall, firewall::ROUTES), (router, FIREWALL), plain);
            self.engine.connect((router, google_port), (google, google::ROUTES), plain);
            let port = self.engine.topology().free_port(self.internet.node, 0);
            self.engine.connect((gateway, INTERNET), (self.internet, port), plain);
            self.vpcs.push(Vpc { firewall, router, gateway, google });
        }
    }

    /// VMs with an external address have their own way to the internet gateway, past Cloud NAT.
    pub(super) fn build_external_addresses(&mut self) {
        for network in 0..self.vpcs.len() {
            let vms = self.scenario.vms.iter().filter(|vm| vm.network == network && vm.running);
            let pairs: Vec<_> = vms.filter_map(|vm| Some((vm.address, vm.external_address?))).collect();
            if pairs.is_empty() {
                continue;
            }
            let Vpc { router, gateway, .. } = self.vpcs[network];
            let name: Arc<str> = self.scenario.networks[network].name.as_str().into();
            let station = ExternalAddresses::new(name.clone(), pairs.iter().copied());
            let station = self.engine.add(format!("{name} external addresses"), station);
            let router_port = self.engine.topology().free_port(router.node, 1);
            let gateway_port = self.engine.topology().free_port(gateway.node, 1);
            self.engine.connect((station, external::INSIDE), (router, router_port), LinkConfig::default());
            self.engine.connect((station, external::OUTSIDE), (gateway, gateway_port), LinkConfig::default());
            self.engine.change(router, |router| {
                pairs.iter().for_each(|(internal, _)| router.add_external(Ipv4Net::from(*internal), router_port));
            });
            self.announce(network, pairs.iter().map(|(_, external)| *external), gateway_port);
        }
    }

    /// Subnets with an external IPv6 range have a way to the internet that nothing translates.
    pub(super) fn build_external_ipv6(&mut self) {
        for network in 0..self.vpcs.len() {
            let subnets = self.scenario.subnetworks.iter().filter(|subnet| subnet.network == network);
            let external = subnets.filter_map(|subnet| subnet.ipv6.as_ref()).filter(|ipv6| ipv6.external);
            let ranges: Vec<_> = external.map(|ipv6| ipv6.range).collect();
            if ranges.is_empty() {
                continue;
            }
            let Vpc { router, gateway, .. } = self.vpcs[network];
            let router_port = self.engine.topology().free_port(router.node, 1);
            let gateway_port = self.engine.topology().free_port(gateway.node, 1);
            self.engine.connect((router, router_port), (gateway, gateway_port), LinkConfig::default());
            self.engine.change(router, |router| {
                ranges.iter().for_each(|range| router.add_external(*range, router_port));
            });
            self.engine.change(gateway, |gateway| {
                ranges.iter().for_each(|range| gateway.add_external(*range, gateway_port));
            });
            let internet_port = self.far_port(gateway.node, INTERNET);
            self.engine.change(self.internet, |internet| {
                ranges.iter().for_each(|range| internet.add_route(*range, internet_port));
            });
        }
    }

    /// Tells the internet the way to external addresses: through a port of the network's internet gateway.
    pub(super) fn announce(
        &mut self,
        network: usize,
        addresses: impl Iterator<Item = Ipv4Addr> + Clone,
        gateway_port: PortId,
    ) {
        let gateway = self.vpcs[network].gateway;
        let internet_port = self.far_port(gateway.node, INTERNET);
        self.engine.change(gateway, |gateway| {
            addresses.clone().for_each(|ip| gateway.add_nat_ip(ip, gateway_port));
        });
        self.engine.change(self.internet, |internet| {
            addresses.for_each(|ip| internet.add_route(IpAddr::V4(ip), internet_port));
        });
    }

    /// The port at the other end of a link.
    pub(super) fn far_port(&self, node: NodeId, port: PortId) -> PortId {
        let topology = self.engine.topology();
        topology.link(topology.link_at(node, port).expect("it was linked when it was made")).to_port
    }

    /// Attaches an interface to a network's firewall and links it.
    pub(super) fn attach(
        &mut self,
        network: usize,
        interface: Interface,
        to: (impl Into<NodeId>, PortId),
        link: LinkConfig,
    ) -> PortId {
        let Vpc { firewall, router, .. } = self.vpcs[network];
        let (tags, addresses) = (interface.tags.clone(), interface.addresses.clone());
        let port = self.engine.change(firewall, |firewall| firewall.attach(interface));
        self.engine.connect((firewall, port), to, link);
        self.engine.change(router, |router| {
            addresses.iter().for_each(|range| router.attach(*range, &tags));
        });
        port
    }
}
