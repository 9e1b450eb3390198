//! Custom routes and each network's default route.

use std::collections::HashSet;

use ipnet::Ipv4Net;

use super::Resolver;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::compute::Route as File;
use crate::scenario::value::At;
use crate::scenario::{NextHop, Route};

/// Priority of a route that gives none, and of the automatic default route.
const DEFAULT_PRIORITY: u16 = 1000;

impl Resolver<'_> {
    pub(super) fn routes(&mut self) {
        let mut names: HashSet<(usize, &str)> = HashSet::new();
        let mut assumed: HashSet<String> = HashSet::new();
        for route in &self.file.routes {
            let network = self.networks.lookup(&route.network, None);
            let network = self.ok(network).flatten();
            let priority = match &route.priority {
                None => Some(i64::from(DEFAULT_PRIORITY)),
                Some(priority) => self.bounded(priority, 0..=65_535, "priority of a route"),
            };
            let dest = self.required_range(route.dest_range.as_ref(), &route.name, route.place, "destRange");
            let dest_place = route.dest_range.as_ref().map_or(route.name.place, |dest| dest.place);
            let next_hop = self.next_hop(route, &mut assumed);
            let (Some(network), Some(priority), Some(dest), Some(next_hop)) = (network, priority, dest, next_hop)
            else {
                continue;
            };
            if !names.insert((network, route.name.name())) {
                let message = format!("two routes are named `{}`", route.name.name());
                self.push(
                    Diagnostic::unusable("duplicate-name", message).at(route.name.place).help("rename or remove one"),
                );
            }
            self.check_outside_subnets(network, dest, dest_place);
            self.out.routes.push(Route {
                name: route.name.name().to_owned(),
                network,
                dest,
                priority: priority as u16,
                tags: route.tags.iter().flatten().map(|tag| tag.value.clone()).collect(),
                next_hop,
            });
        }
        self.default_routes();
    }

    /// Where a route leads; `None` when it is no custom route or wrong.
    fn next_hop(&mut self, route: &At<File>, assumed: &mut HashSet<String>) -> Option<NextHop> {
        let name = |reference: &At<crate::scenario::value::Reference>| reference.name().to_owned();
        let mut given: Vec<(&str, Place, Option<NextHop>)> = Vec::new();
        let mut add = |field, place, next_hop| given.push((field, place, next_hop));
        if let Some(hop) = &route.next_hop_gateway {
            let known = hop.name() == "default-internet-gateway";
            add("nextHopGateway", hop.place, known.then_some(NextHop::DefaultInternetGateway));
        }
        if let Some(hop) = &route.next_hop_instance {
            add("nextHopInstance", hop.place, Some(NextHop::Instance(name(hop))));
        }
        if let Some(hop) = &route.next_hop_ip {
            add("nextHopIp", hop.place, hop.v4().map(NextHop::Ip));
        }
        if let Some(hop) = &route.next_hop_vpn_tunnel {
            add("nextHopVpnTunnel", hop.place, Some(NextHop::VpnTunnel(name(hop))));
        }
        if let Some(hop) = &route.next_hop_ilb {
            add("nextHopIlb", hop.place, Some(NextHop::Ilb(name(hop))));
        }
        if let Some(hop) = &route.next_hop_network {
            add("nextHopNetwork", hop.place, None);
        }
        if let Some(hop) = &route.next_hop_peering {
            add("nextHopPeering", hop.place, Some(NextHop::Peering(name(hop))));
        }
        if let Some(hop) = &route.next_hop_hub {
            add("nextHopHub", hop.place, None);
        }
        if let Some(hop) = &route.next_hop_interconnect_attachment {
            add("nextHopInterconnectAttachment", hop.place, Some(NextHop::Interconnect(name(hop))));
        }
        let count = given.len();
        let Some((field, place, next_hop)) = given.into_iter().next() else {
            if !self
                .lost_fields
                .iter()
                .any(|lost| lost.field.starts_with("nextHop") && route.place.contains(lost.place))
            {
                let message = format!("route `{}` has no next hop", route.name.name());
                let help = "add one, such as `nextHopGateway: default-internet-gateway`";
                self.push(Diagnostic::rejected("next-hop", message).at(route.name.place).help(help));
            }
            return None;
        };
        if count > 1 {
            let message = format!("route `{}` has {count} next hops, expected exactly one", route.name.name());
            self.push(Diagnostic::rejected("next-hop", message).at(place));
            return None;
        }
        match (&next_hop, field) {
            // Subnet routes stand in exported lists; they exist anyway.
            (None, "nextHopNetwork") => {}
            (None, "nextHopGateway") => self.push(
                Diagnostic::unusable("unknown-reference", "the only gateway is `default-internet-gateway`")
                    .at(place)
                    .help("write `nextHopGateway: default-internet-gateway`"),
            ),
            (None, _) => {
                let message =
                    format!("{field} of route `{}` is not simulated, the route is left out", route.name.name());
                self.push(Diagnostic::warning("not-simulated", message).at(place));
            }
            (Some(NextHop::DefaultInternetGateway), _) => {}
            (Some(hop), _) => self.assume_up(hop, place, assumed),
        }
        next_hop
    }

    /// A next hop outside the scenario is assumed up; each is noted once.
    fn assume_up(&mut self, hop: &NextHop, place: Place, assumed: &mut HashSet<String>) {
        let file = self.file;
        let (what, name, declared) = match hop {
            NextHop::VpnTunnel(name) => {
                ("VPN tunnel", name.clone(), file.vpn_tunnels.iter().any(|known| known.name.name() == name))
            }
            NextHop::Interconnect(name) => (
                "Interconnect attachment",
                name.clone(),
                file.interconnect_attachments.iter().any(|known| known.name.name() == name),
            ),
            NextHop::Ilb(name) => {
                ("load balancer", name.clone(), file.forwarding_rules.iter().any(|known| known.name.name() == name))
            }
            NextHop::Instance(name) => {
                ("VM instance", name.clone(), file.instances.iter().any(|known| known.name.name() == name))
            }
            NextHop::Peering(name) => (
                "peering",
                name.clone(),
                file.networks
                    .iter()
                    .flat_map(|network| network.peerings.iter().flatten())
                    .any(|known| known.name.name() == name),
            ),
            NextHop::Ip(address) => {
                let interfaces = file.instances.iter().flat_map(|vm| vm.network_interfaces.iter());
                let declared =
                    interfaces.filter_map(|nic| nic.network_ip.as_ref()?.v4()).any(|known| known == *address);
                ("appliance", address.to_string(), declared)
            }
            NextHop::DefaultInternetGateway => return,
        };
        if !declared && assumed.insert(format!("{what} {name}")) {
            let message = format!("{what} `{name}` is not in the scenario, it is assumed up");
            self.push(Diagnostic::note("assumed-up", message).at(place));
        }
    }

    fn check_outside_subnets(&mut self, network: usize, dest: Ipv4Net, place: Place) {
        let inside =
            self.out.subnetworks.iter().position(|subnet| subnet.network == network && subnet.range.contains(&dest));
        if let Some(at) = inside {
            let subnet = &self.out.subnetworks[at];
            let message =
                format!("{dest} lies in {} of subnet `{}`, whose own route always wins", subnet.range, subnet.name);
            let range = self.details.subnetworks[at].range;
            self.push(
                Diagnostic::rejected("route-inside-subnet", message)
                    .at(place)
                    .related(range, "the subnet's range")
                    .help("a custom route must be wider than a subnet, or outside of all"),
            );
        }
    }

    /// The system default route of each network, unless it was deleted or is written out.
    fn default_routes(&mut self) {
        for network in &self.file.networks {
            let Ok(Some(at)) = self.networks.lookup(&network.name, None) else { continue };
            if network.delete_default_routes_on_create.as_ref().is_some_and(|deleted| deleted.value) {
                continue;
            }
            let written = self.out.routes.iter().any(|route| {
                route.network == at
                    && route.dest.prefix_len() == 0
                    && route.priority == DEFAULT_PRIORITY
                    && route.tags.is_empty()
                    && route.next_hop == NextHop::DefaultInternetGateway
            });
            if !written {
                self.out.routes.push(Route {
                    name: format!("default-route-{}", network.name.name()),
                    network: at,
                    dest: Ipv4Net::default(),
                    priority: DEFAULT_PRIORITY,
                    tags: Vec::new(),
                    next_hop: NextHop::DefaultInternetGateway,
                });
            }
        }
    }
}
