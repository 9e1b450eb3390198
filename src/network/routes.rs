//! Routes of the networks, and what is behind their next hops.

use std::sync::Arc;

use ipnet::Ipv4Net;

use super::{Beyond, Network};
use crate::node::internet::{FarKind, FarSide};
use crate::node::router::{self, Route, SubnetRoute};
use crate::scenario::NextHop;
use crate::sim::Site;
use crate::topology::LinkConfig;
use crate::trace::PortId;

impl Network {
    pub(super) fn build_routes(&mut self) {
        let covered: Vec<(usize, Ipv4Net)> = (self.scenario.nat_gateways.iter())
            .flat_map(|gateway| gateway.coverage.iter().map(|covered| (covered.subnetwork, covered.range)))
            .collect();
        let scenario = Arc::clone(&self.scenario);
        for (index, subnetwork) in scenario.subnetworks.iter().enumerate() {
            let route = SubnetRoute {
                name: subnetwork.name.as_str().into(),
                // Google turns Private Google Access on for a primary range that Public NAT serves.
                private_google_access: subnetwork.private_google_access || covered.contains(&(index, subnetwork.range)),
            };
            self.engine.change(self.vpcs[subnetwork.network].router, |router| {
                for (_, range) in &subnetwork.secondary {
                    router.add_subnet(*range, route.clone());
                }
                router.add_subnet(subnetwork.range, route);
            });
        }
        for route in &scenario.routes {
            let leads_to = describe_next_hop(&route.next_hop);
            let next_hop = match &route.next_hop {
                NextHop::DefaultInternetGateway => router::NextHop::Internet,
                NextHop::Ilb(_) => router::NextHop::Ilb(self.beyond(route.network, &route.next_hop)),
                NextHop::Instance(name) if self.is_stopped_vm(name) => router::NextHop::Blackhole,
                _ => router::NextHop::Other(self.beyond(route.network, &route.next_hop)),
            };
            let entry = Route {
                name: route.name.as_str().into(),
                priority: route.priority,
                tags: route.tags.clone(),
                next_hop,
                leads_to: leads_to.into(),
            };
            self.engine.change(self.vpcs[route.network].router, |router| {
                router.add_route(route.dest, entry);
            });
        }
    }

    fn is_stopped_vm(&self, name: &str) -> bool {
        self.scenario.vms.iter().any(|vm| vm.name == name && !vm.running)
    }

    /// The network behind a next hop, made when it is first named. Returns the routes' port towards it.
    fn beyond(&mut self, network: usize, hop: &NextHop) -> PortId {
        let name = next_hop_name(hop);
        if let Some(known) = self.beyond.get(&(network, name.clone())) {
            return known.port;
        }
        let kind = match hop {
            NextHop::VpnTunnel(_) => FarKind::VpnTunnel,
            NextHop::Interconnect(_) => FarKind::Interconnect,
            _ => FarKind::Other,
        };
        let router = self.vpcs[network].router;
        let label = format!("{} {name}", self.engine.topology().name(router.node));
        let site = self.engine.add(label, FarSide::new(name.as_str().into(), kind, Some(PortId(0))));
        let port = self.engine.topology().free_port(router.node, 2);
        self.engine.connect((router, port), (site, PortId(0)), LinkConfig::default());
        self.beyond.insert((network, name), Beyond { site, port });
        port
    }

    /// The networks behind next hops of this name, or behind all of them.
    pub(super) fn on_prem(&self, next_hop: Option<&str>) -> Vec<Site<FarSide>> {
        let mut found: Vec<_> =
            self.beyond.iter().filter(|((_, name), _)| next_hop.is_none_or(|wanted| wanted == name)).collect();
        // In the order in which they were made.
        found.sort_by_key(|(_, beyond)| beyond.site.node);
        found.into_iter().map(|(_, beyond)| beyond.site).collect()
    }
}

fn next_hop_name(hop: &NextHop) -> String {
    match hop {
        NextHop::DefaultInternetGateway => "default-internet-gateway".into(),
        NextHop::VpnTunnel(name)
        | NextHop::Interconnect(name)
        | NextHop::Ilb(name)
        | NextHop::Instance(name)
        | NextHop::Peering(name) => name.clone(),
        NextHop::Ip(address) => address.to_string(),
    }
}

fn describe_next_hop(hop: &NextHop) -> String {
    let name = next_hop_name(hop);
    match hop {
        NextHop::DefaultInternetGateway => name,
        NextHop::VpnTunnel(_) => format!("VPN tunnel {name}"),
        NextHop::Interconnect(_) => format!("Interconnect attachment {name}"),
        NextHop::Ilb(_) => format!("internal load balancer {name}"),
        NextHop::Instance(_) => format!("VM {name}"),
        NextHop::Ip(_) => format!("address {name}"),
        NextHop::Peering(_) => format!("peered network {name}"),
    }
}
