//! Peerings: links between routers, routes of the peers' subnets, and who imports whose routes.

use std::sync::Arc;

use ipnet::IpNet;

use super::Network;
use super::beyond::Key;
use super::routes::Importer;
use crate::node::router::{Origin, PeerName, PeerSubnet};
use crate::scenario::routing::uses_public_addresses;
use crate::scenario::{Peer, Peering};
use crate::topology::LinkConfig;
use crate::trace::PortId;

impl Network {
    /// Who imports the static and dynamic routes of a network, each with its place in the importer's order of peers.
    pub(super) fn importers_of(&self, network: usize) -> Vec<Importer> {
        let mut importers = Vec::new();
        for (other, theirs) in self.scenario.networks.iter().enumerate() {
            let Some(import) = active_peering(&theirs.peerings, network) else { continue };
            let Some(export) = active_peering(&self.scenario.networks[network].peerings, other) else { continue };
            if !import.import_custom_routes || !export.export_custom_routes {
                continue;
            }
            // Google chooses one of several peers by an algorithm of its own; here it is the first by name.
            let mut names: Vec<&str> = theirs.peerings.iter().map(|peering| self.peer_name(peering)).collect();
            names.sort_unstable();
            let own = self.scenario.networks[network].name.as_str();
            let order = names.partition_point(|name| *name < own) as u16;
            let name = PeerName { order, network: own.into() };
            importers.push(Importer { network: other, name, ipv6: import.ipv6 && export.ipv6 });
        }
        importers
    }

    fn peer_name<'a>(&'a self, peering: &'a Peering) -> &'a str {
        match &peering.peer {
            Peer::Network(network) => &self.scenario.networks[*network].name,
            Peer::Outside(outside) => &outside.name,
        }
    }

    pub(super) fn build_peers(&mut self) {
        let scenario = Arc::clone(&self.scenario);
        for (network, spec) in scenario.networks.iter().enumerate() {
            for (at, peering) in spec.peerings.iter().enumerate().filter(|(_, peering)| peering.active) {
                match &peering.peer {
                    Peer::Network(other) => self.build_peer(network, peering, *other),
                    Peer::Outside(outside) => {
                        let port = self.port_to(network, network, Key::Peering(at));
                        let subnets = outside.ranges.iter().filter(|range| {
                            peering.exchange_subnet_routes
                                && (peering.import_public_subnets || !uses_public_addresses(**range))
                        });
                        let subnets: Vec<IpNet> = subnets.copied().collect();
                        self.add_peer_subnets(
                            network,
                            peering,
                            &outside.name,
                            port,
                            subnets.into_iter().map(|range| (range, None)),
                        );
                    }
                }
            }
        }
    }

    /// A network sees the subnets of a network that it is peered with.
    fn build_peer(&mut self, network: usize, peering: &Peering, other: usize) {
        let scenario = Arc::clone(&self.scenario);
        let Some(theirs) = active_peering(&scenario.networks[other].peerings, network) else { return };
        let port = self.port_to_peer(network, other);
        if !peering.exchange_subnet_routes || !theirs.exchange_subnet_routes {
            return;
        }
        let public = peering.import_public_subnets && theirs.export_public_subnets;
        let ipv6 = peering.ipv6 && theirs.ipv6;
        let subnets = scenario.subnetworks.iter().filter(|subnet| subnet.network == other);
        let ranges = subnets.flat_map(|subnet| {
            let ranges = subnet.ranges().filter(move |range| ipv6 || matches!(range, IpNet::V4(_)));
            ranges.filter(move |range| public || !uses_public_addresses(*range)).map(move |range| (range, Some(subnet)))
        });
        self.add_peer_subnets(network, peering, &scenario.networks[other].name, port, ranges);
    }

    fn add_peer_subnets<'a>(
        &mut self,
        network: usize,
        peering: &Peering,
        peer: &str,
        port: PortId,
        ranges: impl Iterator<Item = (IpNet, Option<&'a crate::scenario::Subnetwork>)>,
    ) {
        let (peer, name): (Arc<str>, Arc<str>) = (peer.into(), peering.name.as_str().into());
        self.engine.change(self.vpcs[network].router, |router| {
            for (range, subnet) in ranges {
                let route = PeerSubnet {
                    name: subnet.map(|subnet| subnet.name.as_str().into()),
                    network: Arc::clone(&peer),
                    peering: Arc::clone(&name),
                    region: subnet.map(|subnet| subnet.region.as_str().into()),
                    port,
                };
                router.add_peer_subnet(range, route);
            }
        });
    }

    /// The port of a network's router towards another one's, linked when it is first asked for.
    fn port_to_peer(&mut self, network: usize, other: usize) -> PortId {
        if let Some(&port) = self.peer_ports.get(&(network, other)) {
            return port;
        }
        let routers = [network, other].map(|network| self.vpcs[network].router);
        let ports = routers.map(|router| self.engine.topology().free_port(router.node, 2));
        self.engine.connect((routers[0], ports[0]), (routers[1], ports[1]), LinkConfig::default());
        for (router, port) in routers.into_iter().zip(ports) {
            self.engine.change(router, |router| router.set_origin(port, Origin::Peer));
        }
        self.peer_ports.insert((network, other), ports[0]);
        self.peer_ports.insert((other, network), ports[1]);
        ports[0]
    }
}

/// A network's active peering with another one of the scenario.
fn active_peering(peerings: &[Peering], other: usize) -> Option<&Peering> {
    peerings.iter().find(|peering| peering.active && peering.peer == Peer::Network(other))
}
