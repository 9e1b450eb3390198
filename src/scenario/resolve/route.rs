//! Custom routes and each network's default route.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;

use super::Resolver;
use super::hybrid::Found;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::compute::{Route as File, RouteType};
use crate::scenario::routing::{Dynamic, OutsidePeer};
use crate::scenario::value::{At, Reference};
use crate::scenario::{InterconnectAttachment, NextHop, Peer, Peering, Route, Subnetwork, VpnTunnel};

/// Priority of a route that gives none, and of the automatic default route.
const DEFAULT_PRIORITY: u16 = 1000;
/// Inter-region costs that Google computes (<https://docs.cloud.google.com/network-connectivity/docs/router/concepts/overview>,
/// 2026): up to 9999; a scenario may say less.
const MAX_INTER_REGION_COST: i64 = 9999;

/// What looking a route up needs to know of its network.
#[derive(Default)]
pub(super) struct Lookups {
    /// By network: subnet ranges.
    subnets: Vec<PrefixMap<Ipv4Net, usize>>,
    /// By network: subnet ranges of peers.
    peer_subnets: Vec<PrefixMap<Ipv4Net, usize>>,
    /// VMs by network and primary address.
    primary: HashMap<(usize, IpAddr), usize>,
    /// VMs by network and alias range.
    alias: Vec<PrefixMap<Ipv4Net, usize>>,
    /// Tunnels, attachments and appliances that were noted to be assumed.
    assumed: HashSet<String>,
    pub(super) tunnels: HashMap<String, usize>,
    pub(super) attachments: HashMap<String, usize>,
    /// Routes by network and name, while events are resolved: those that exist then.
    pub(super) present: HashSet<(usize, String)>,
}

impl Resolver<'_> {
    /// After everything that a route can lead to.
    pub(super) fn routes(&mut self) {
        self.prepare_lookups();
        let mut names: HashSet<(usize, &str)> = HashSet::new();
        for route in &self.file.routes {
            let Some(resolved) = self.route(route) else { continue };
            if !names.insert((resolved.network, route.name.name())) {
                let message = format!("two routes are named `{}`", route.name.name());
                self.push(
                    Diagnostic::unusable("duplicate-name", message).at(route.name.place).help("rename or remove one"),
                );
            }
            self.details.routes.push(route.name.place);
            self.out.routes.push(resolved);
        }
        self.default_routes();
    }

    fn prepare_lookups(&mut self) {
        let networks = 0..self.out.networks.len();
        let subnets = networks.clone().map(|network| self.ranges_of(network).collect()).collect();
        let peer_subnets = networks.clone().map(|network| {
            let peerings = self.out.networks[network].peerings.iter().filter(|peering| peering.active);
            let peers = peerings.filter_map(|peering| match peering.peer {
                Peer::Network(other) => Some(other),
                Peer::Outside(_) => None,
            });
            peers.flat_map(|other| self.ranges_of(other)).collect()
        });
        let peer_subnets = peer_subnets.collect();
        let mut primary = HashMap::new();
        let mut alias: Vec<PrefixMap<Ipv4Net, usize>> = networks.map(|_| PrefixMap::new()).collect();
        for (at, vm) in self.out.vms.iter().enumerate() {
            primary.insert((vm.network, IpAddr::from(vm.address)), at);
            vm.alias_ranges.iter().for_each(|range| _ = alias[vm.network].insert(*range, at));
        }
        self.lookups = Lookups { subnets, peer_subnets, primary, alias, ..Lookups::default() };
    }

    /// One route; `None` when it is no custom route or wrong.
    pub(super) fn route(&mut self, route: &At<File>) -> Option<Route> {
        let network = self.networks.lookup(&route.network, None);
        let network = self.ok(network).flatten();
        let dynamic = match route.route_type.as_ref().map(|kind| kind.value) {
            Some(RouteType::Bgp) => true,
            Some(RouteType::Static) => false,
            // Google's own, which exist anyway.
            Some(RouteType::Subnet) => return None,
            Some(RouteType::Transit) => {
                let message = format!("route `{}` of a hub is not simulated, it is left out", route.name.name());
                self.push(Diagnostic::warning("not-simulated", message).at(route.name.place));
                return None;
            }
            None => route.next_hop_interconnect_attachment.is_some(),
        };
        let priority = self.route_priority(route, dynamic);
        let cost = match &route.next_hop_inter_region_cost {
            None => Some(i64::from(self.out.model.routing.inter_region_cost)),
            Some(cost) => self.bounded(cost, 0..=MAX_INTER_REGION_COST, "nextHopInterRegionCost"),
        };
        let dest = self.dest_range(route);
        let next_hop = self.next_hop(network, route, dynamic);
        let (network, priority, dest, next_hop) = (network?, priority?, dest?, next_hop?);
        if !dynamic {
            let place = route.dest_range.as_ref().map_or(route.name.place, |dest| dest.place);
            self.check_outside_subnets(network, dest, place);
        }
        let dynamic = dynamic.then_some(Dynamic { inter_region_cost: cost? as u32 });
        let tags = route.tags.iter().flatten();
        if let Some(tag) = tags.clone().next().filter(|_| dynamic.is_some()) {
            let message = format!("route `{}` is learned by BGP and has tags", route.name.name());
            let help = "only static routes have tags";
            self.push(Diagnostic::rejected("tags-with-bgp", message).at(tag.place).help(help));
        }
        Some(Route {
            name: route.name.name().to_owned(),
            network,
            dest,
            priority,
            tags: tags.map(|tag| tag.value.clone()).collect(),
            next_hop,
            dynamic,
        })
    }

    fn route_priority(&mut self, route: &At<File>, dynamic: bool) -> Option<u32> {
        let limit = if dynamic { i64::from(u32::MAX) } else { 65_535 };
        let med = route.next_hop_med.as_ref().filter(|_| dynamic);
        match med.or(route.priority.as_ref()) {
            None => Some(DEFAULT_PRIORITY.into()),
            Some(priority) => self.bounded(priority, 0..=limit, "priority of a route").map(|priority| priority as u32),
        }
    }

    fn dest_range(&mut self, route: &At<File>) -> Option<IpNet> {
        match &route.dest_range {
            Some(range) => Some(self.net(range)),
            None => {
                if !self.is_lost(route.place, "destRange") {
                    let message = format!("`{}` needs the field `destRange`", route.name.name());
                    self.push(Diagnostic::unusable("missing-field", message).at(route.name.place));
                }
                None
            }
        }
    }

    /// Where a route leads; `None` when it is no custom route or wrong.
    fn next_hop(&mut self, network: Option<usize>, route: &At<File>, dynamic: bool) -> Option<NextHop> {
        let mut given: Vec<(&str, Place)> = Vec::new();
        let mut add = |field, place: Option<Place>| given.extend(place.map(|place| (field, place)));
        let place = |reference: &Option<At<Reference>>| reference.as_ref().map(|hop| hop.place);
        add("nextHopGateway", place(&route.next_hop_gateway));
        add("nextHopInstance", place(&route.next_hop_instance));
        add("nextHopIp", route.next_hop_ip.as_ref().map(|hop| hop.place));
        add("nextHopVpnTunnel", place(&route.next_hop_vpn_tunnel));
        add("nextHopIlb", place(&route.next_hop_ilb));
        add("nextHopNetwork", place(&route.next_hop_network));
        add("nextHopPeering", place(&route.next_hop_peering));
        add("nextHopHub", place(&route.next_hop_hub));
        add("nextHopInterconnectAttachment", place(&route.next_hop_interconnect_attachment));
        // What BGP prints beside the tunnel or attachment: the address of the other side.
        if dynamic && given.len() > 1 {
            given.retain(|(field, _)| *field != "nextHopIp");
        }
        let Some(&(field, place)) = given.first() else {
            let lost = |lost: &super::LostField| lost.field.starts_with("nextHop") && route.place.contains(lost.place);
            if !self.lost_fields.iter().any(lost) {
                let message = format!("route `{}` has no next hop", route.name.name());
                let help = "add one, such as `nextHopGateway: default-internet-gateway`";
                self.push(Diagnostic::rejected("next-hop", message).at(route.name.place).help(help));
            }
            return None;
        };
        if given.len() > 1 {
            let message = format!("route `{}` has {} next hops, expected exactly one", route.name.name(), given.len());
            let fields: Vec<&str> = given.iter().map(|(field, _)| *field).collect();
            let help = format!("keep one of {}", fields.join(", "));
            self.push(Diagnostic::rejected("next-hop", message).at(place).help(help));
            return None;
        }
        if dynamic
            && !matches!(field, "nextHopVpnTunnel" | "nextHopInterconnectAttachment" | "nextHopIp" | "nextHopInstance")
        {
            let message = format!("route `{}` is learned by BGP and has {field}", route.name.name());
            let help = "the next hop of a dynamic route is a VPN tunnel, an attachment or a router appliance";
            self.push(Diagnostic::rejected("next-hop", message).at(place).help(help));
            return None;
        }
        if let Some(hop) = &route.next_hop_gateway {
            if hop.name() == "default-internet-gateway" {
                return Some(NextHop::DefaultInternetGateway);
            }
            self.push(
                Diagnostic::unusable("unknown-reference", "the only gateway is `default-internet-gateway`")
                    .at(place)
                    .help("write `nextHopGateway: default-internet-gateway`"),
            );
        } else if let Some(hop) = &route.next_hop_instance {
            return self.next_hop_vm(hop);
        } else if let Some(hop) = &route.next_hop_ip {
            return Some(self.next_hop_address(network?, hop.ip(), place));
        } else if let Some(hop) = &route.next_hop_vpn_tunnel {
            return self.next_hop_tunnel(hop).map(NextHop::VpnTunnel);
        } else if let Some(hop) = &route.next_hop_interconnect_attachment {
            return self.next_hop_attachment(hop).map(NextHop::Interconnect);
        } else if let Some(hop) = &route.next_hop_ilb {
            return self.next_hop_ilb(network?, hop).map(NextHop::Ilb);
        } else if let Some(hop) = &route.next_hop_peering {
            self.next_hop_peering(network?, hop, route);
        } else if route.next_hop_hub.is_some() {
            let message = format!("{field} of route `{}` is not simulated, the route is left out", route.name.name());
            self.push(Diagnostic::warning("not-simulated", message).at(place));
        }
        // Subnet routes (`nextHopNetwork`) stand in exported lists; they exist anyway.
        None
    }

    fn next_hop_vm(&mut self, hop: &At<Reference>) -> Option<NextHop> {
        let found = self.vms.find(hop, hop.zone());
        match self.ok(found)? {
            Found::At(vm) => Some(NextHop::Vm { vm, by_address: None }),
            Found::Lost => None,
            Found::Missing => {
                self.assume("VM instance", hop.name(), hop.place);
                Some(NextHop::Appliance(hop.name().to_owned()))
            }
        }
    }

    fn next_hop_address(&mut self, network: usize, address: IpAddr, place: Place) -> NextHop {
        let alias = || match address {
            IpAddr::V4(address) => self.lookups.alias[network].get_lpm(&address.into()).map(|(_, vm)| *vm),
            IpAddr::V6(_) => None,
        };
        let vm = self.lookups.primary.get(&(network, address)).copied().or_else(alias);
        if let Some(vm) = vm {
            return NextHop::Vm { vm, by_address: Some(address) };
        }
        self.assume("appliance", &address.to_string(), place);
        NextHop::Appliance(address.to_string())
    }

    fn next_hop_tunnel(&mut self, hop: &At<Reference>) -> Option<usize> {
        let found = self.tunnels.find(hop, self.default_region.as_deref());
        match self.ok(found)? {
            Found::At(tunnel) => return Some(tunnel),
            Found::Lost => return None,
            Found::Missing => {}
        }
        let name = hop.name();
        if let Some(&known) = self.lookups.tunnels.get(name) {
            return Some(known);
        }
        self.assume("VPN tunnel", name, hop.place);
        self.lookups.tunnels.insert(name.to_owned(), self.out.vpn_tunnels.len());
        self.details.tunnels.push(hop.place);
        self.out.vpn_tunnels.push(VpnTunnel {
            name: name.to_owned(),
            region: hop.region().map(str::to_owned),
            router: None,
            status: VpnTunnel::ESTABLISHED.to_owned(),
            local: Vec::new(),
            remote: Vec::new(),
            assumed: true,
        });
        Some(self.out.vpn_tunnels.len() - 1)
    }

    fn next_hop_attachment(&mut self, hop: &At<Reference>) -> Option<usize> {
        let found = self.attachments.find(hop, self.default_region.as_deref());
        match self.ok(found)? {
            Found::At(attachment) => return Some(attachment),
            Found::Lost => return None,
            Found::Missing => {}
        }
        let name = hop.name();
        if let Some(&known) = self.lookups.attachments.get(name) {
            return Some(known);
        }
        self.assume("Interconnect attachment", name, hop.place);
        self.lookups.attachments.insert(name.to_owned(), self.out.attachments.len());
        self.details.attachments.push(hop.place);
        self.out.attachments.push(InterconnectAttachment {
            name: name.to_owned(),
            region: hop.region().map(str::to_owned),
            router: None,
            operational_status: InterconnectAttachment::ACTIVE.to_owned(),
            admin_enabled: true,
            assumed: true,
        });
        Some(self.out.attachments.len() - 1)
    }

    fn next_hop_ilb(&mut self, network: usize, hop: &At<Reference>) -> Option<usize> {
        let rule = match hop.as_str().parse::<IpAddr>() {
            Ok(address) => self.ilb_at(network, address),
            Err(_) => {
                let found = self.forwarding.find(hop, self.default_region.as_deref());
                match self.ok(found)? {
                    Found::At(rule) => Some(rule),
                    Found::Lost => return None,
                    Found::Missing => None,
                }
            }
        };
        let rule = rule.unwrap_or_else(|| self.assume_ilb(network, hop.name().to_owned(), hop.place));
        self.check_passthrough(rule, hop.place)?;
        let other = self.out.forwarding_rules[rule].network;
        if other != network && !self.is_peered(network, other) {
            let message = format!("load balancer `{}` is in network `{}`", hop.name(), self.out.networks[other].name);
            let help = "the next hop is in the route's own network, or in one that it is peered with";
            self.push(Diagnostic::rejected("network-mismatch", message).at(hop.place).help(help));
            return None;
        }
        Some(rule)
    }

    /// A subnet route of a peer. Of one that is not described, it says what is in it.
    fn next_hop_peering(&mut self, network: usize, hop: &At<Reference>, route: &At<File>) {
        let Some(dest) = route.dest_range.as_ref().map(|dest| dest.net()) else { return };
        let name = hop.name();
        let peering = self.out.networks[network].peerings.iter_mut().find(|peering| peering.name == name);
        match peering.map(|peering| &mut peering.peer) {
            Some(Peer::Outside(outside)) => outside.ranges.push(dest),
            Some(Peer::Network(_)) => {}
            None => {
                self.assume("peering", name, hop.place);
                self.out.networks[network].peerings.push(outside_peering(name, dest));
            }
        }
    }

    /// A next hop outside the scenario is assumed up; each is noted once.
    pub(super) fn assume(&mut self, what: &str, name: &str, place: Place) {
        if self.lookups.assumed.insert(format!("{what} {name}")) {
            let message = format!("{what} `{name}` is not in the scenario, it is assumed up");
            self.push(Diagnostic::note("assumed-up", message).at(place));
        }
    }

    fn check_outside_subnets(&mut self, network: usize, dest: IpNet, place: Place) {
        let IpNet::V4(dest) = dest else { return };
        let own = self.lookups.subnets[network].get_lpm(&dest).map(|(range, at)| (range, *at));
        if let Some((range, at)) = own.filter(|(_, at)| !self.out.subnetworks[*at].hybrid) {
            let message = format!(
                "{dest} lies in {range} of subnet `{}`, whose own route always wins",
                self.out.subnetworks[at].name
            );
            let related = self.details.subnetworks[at].range;
            self.push(
                Diagnostic::rejected("route-inside-subnet", message)
                    .at(place)
                    .related(related, "the subnet's range")
                    .help("a custom route must be wider than a subnet, or outside of all"),
            );
        }
        if let Some((range, at)) = self.lookups.peer_subnets[network].get_lpm(&dest).map(|(range, at)| (range, *at)) {
            let message = format!(
                "{dest} lies in {range} of subnet `{}` in a peered network, whose route always wins",
                self.out.subnetworks[at].name
            );
            let related = self.details.subnetworks[at].range;
            self.push(
                Diagnostic::rejected("route-inside-subnet", message)
                    .at(place)
                    .related(related, "the subnet's range")
                    .help("a custom route must be wider than a subnet, or outside of all"),
            );
        }
    }

    /// The system default route of each network, unless it was deleted or is written out.
    fn default_routes(&mut self) {
        let (v4, v6) = (IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default()));
        let mut written = HashSet::new();
        for route in &self.out.routes {
            let is_default = (route.dest == v4 || route.dest == v6)
                && route.priority == u32::from(DEFAULT_PRIORITY)
                && route.tags.is_empty()
                && route.next_hop == NextHop::DefaultInternetGateway;
            if is_default {
                written.insert((route.network, route.dest));
            }
        }
        for network in &self.file.networks {
            let Ok(Some(at)) = self.networks.lookup(&network.name, None) else { continue };
            let deleted = network.delete_default_routes_on_create.as_ref().is_some_and(|deleted| deleted.value);
            // Google makes that of IPv6 with the first subnet that has an external range.
            let external = |subnet: &Subnetwork| subnet.ipv6.as_ref().is_some_and(|ipv6| ipv6.external);
            let external = self.out.subnetworks.iter().any(|subnet| subnet.network == at && external(subnet));
            for (dest, suffix, exists) in [(v4, "", true), (v6, "-ipv6", external)] {
                if deleted || !exists || written.contains(&(at, dest)) {
                    continue;
                }
                self.details.routes.push(Place::NOWHERE);
                self.out.routes.push(Route {
                    name: format!("default-route-{}{suffix}", network.name.name()),
                    network: at,
                    dest,
                    priority: DEFAULT_PRIORITY.into(),
                    tags: Vec::new(),
                    next_hop: NextHop::DefaultInternetGateway,
                    dynamic: None,
                });
            }
        }
    }
}

/// A peering that an exported route names, with what is known of the other side.
fn outside_peering(name: &str, range: IpNet) -> Peering {
    let managed = name.contains(super::peering::MANAGED);
    Peering {
        name: name.to_owned(),
        peer: Peer::Outside(OutsidePeer { name: name.to_owned(), managed, ranges: vec![range] }),
        active: true,
        export_custom_routes: false,
        import_custom_routes: false,
        exchange_subnet_routes: true,
        export_public_subnets: true,
        import_public_subnets: false,
        // What it exports may be of either version, or it would not be there.
        ipv6: true,
    }
}
