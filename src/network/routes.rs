//! Routes of the networks: from the scenario to the routers' tables, and what changes while they run.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};

use super::Network;
use super::agenda::Due;
use super::beyond::{Key, attachment_status};
use crate::node::beyond::Place;
use crate::node::router::special::PscEndpoint;
use crate::node::router::{self, PeerName, RouteId, RouteKind, SubnetRoute};
use crate::scenario::{self, ForwardingTarget, NextHop, PolicyScope, RoutingMode};
use crate::time::SimTime;
use crate::trace::DropCause;
use crate::trace::info::Resource;

/// A route of the scenario, and where it stands in routers' tables: its own network's, and those that import it.
#[derive(Debug)]
pub(super) struct Installed {
    route: scenario::Route,
    entries: Vec<(usize, RouteId)>,
}

/// Who imports a network's routes.
#[derive(Debug, Clone)]
pub(super) struct Importer {
    /// The network that does.
    pub(super) network: usize,
    /// Whose routes they are, to it.
    pub(super) name: PeerName,
    /// Those of IPv6, too.
    pub(super) ipv6: bool,
}

/// Routes that exist now.
#[derive(Debug, Default)]
pub(super) struct Routes {
    installed: Vec<Option<Installed>>,
    by_name: HashMap<(usize, String), usize>,
    /// Dynamic routes by what they were learned over.
    learned: HashMap<Link, Vec<usize>>,
    /// By network: who imports its routes.
    importers: Vec<Vec<Importer>>,
    /// What is down, and since when its routes are withdrawn.
    down: HashMap<Link, SimTime>,
}

/// What BGP runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Link {
    Tunnel(usize),
    Attachment(usize),
}

impl Link {
    fn of(hop: &NextHop) -> Option<Link> {
        match hop {
            NextHop::VpnTunnel(tunnel) => Some(Link::Tunnel(*tunnel)),
            NextHop::Interconnect(attachment) => Some(Link::Attachment(*attachment)),
            _ => None,
        }
    }

    fn key(self) -> Key {
        match self {
            Link::Tunnel(tunnel) => Key::Tunnel(tunnel),
            Link::Attachment(attachment) => Key::Attachment(attachment),
        }
    }
}

impl Network {
    pub(super) fn build_routes(&mut self) {
        self.build_subnet_routes();
        self.build_peers();
        let scenario = Arc::clone(&self.scenario);
        for (at, tunnel) in scenario.vpn_tunnels.iter().enumerate() {
            if !tunnel.is_established() {
                self.routes.down.insert(Link::Tunnel(at), SimTime::ZERO);
            }
        }
        for (at, attachment) in scenario.attachments.iter().enumerate() {
            if !attachment.is_active() {
                self.routes.down.insert(Link::Attachment(at), SimTime::ZERO);
            }
        }
        for route in &scenario.routes {
            self.install(route.clone());
        }
        // What a route of later leads to is there from the start, with its hosts.
        for event in &scenario.events {
            if let scenario::Change::AddRoute(route) = &event.change
                && let Some(key) = self.key_of(&route.next_hop)
            {
                let home = self.home(route);
                self.port_to(route.network, home, key.clone());
                self.mark_behind_route(home, &key);
            }
        }
        self.build_policy_routes();
        self.build_forwarding_rules();
    }

    fn build_subnet_routes(&mut self) {
        let scenario = Arc::clone(&self.scenario);
        let covered: std::collections::HashSet<(usize, Ipv4Net)> = (scenario.nat_gateways.iter())
            .flat_map(|gateway| gateway.coverage.iter().map(|covered| (covered.subnetwork, covered.range)))
            .collect();
        for (index, subnetwork) in scenario.subnetworks.iter().enumerate() {
            let route = SubnetRoute {
                name: subnetwork.name.as_str().into(),
                region: subnetwork.region.as_str().into(),
                // Google turns Private Google Access on for a primary range that Public NAT serves.
                private_google_access: subnetwork.private_google_access || covered.contains(&(index, subnetwork.range)),
                hybrid: subnetwork.hybrid,
                private_nat: subnetwork.private_nat,
            };
            self.engine.change(self.vpcs[subnetwork.network].router, |router| {
                subnetwork.ranges().for_each(|range| router.add_subnet(range, route.clone()));
            });
        }
        for vpc in self.vpcs.clone() {
            self.engine.change(vpc.router, |router| {
                scenario.model.google_apis.ranges.iter().for_each(|range| router.add_google_api(*range));
            });
        }
        let importers = (0..scenario.networks.len()).map(|network| self.importers_of(network)).collect();
        self.routes.importers = importers;
    }

    /// Puts a route into the tables.
    fn install(&mut self, route: scenario::Route) {
        let at = self.routes.installed.len();
        self.routes.by_name.insert((route.network, route.name.clone()), at);
        if let Some(link) = Link::of(&route.next_hop).filter(|_| route.dynamic.is_some()) {
            self.routes.learned.entry(link).or_default().push(at);
        }
        let entries = self.enter(&route);
        self.routes.installed.push(Some(Installed { route, entries }));
    }

    /// Adds a route to the tables that it belongs in.
    fn enter(&mut self, route: &scenario::Route) -> Vec<(usize, RouteId)> {
        // Google: those that lead to the default internet gateway, and those with tags, are never exchanged.
        let exchanged = route.tags.is_empty() && route.next_hop != NextHop::DefaultInternetGateway;
        let importers = if exchanged { self.routes.importers[route.network].clone() } else { Vec::new() };
        let own = (route.network, None);
        let importers = importers.into_iter().filter(|importer| importer.ipv6 || matches!(route.dest, IpNet::V4(_)));
        let networks = std::iter::once(own).chain(importers.map(|it| (it.network, Some(it.name))));
        networks
            .map(|(network, peer)| {
                let entry = self.entry(network, peer, route);
                let router = self.vpcs[network].router;
                (network, self.engine.change(router, |router| router.add_route(route.dest, entry)))
            })
            .collect()
    }

    /// A route as a router has it: its own network's, or one that imports it.
    fn entry(&mut self, network: usize, peer: Option<PeerName>, route: &scenario::Route) -> router::Route {
        let scenario = Arc::clone(&self.scenario);
        let next_hop = self.router_hop(network, route);
        let link = Link::of(&route.next_hop);
        let region = link.and_then(|link| match link {
            Link::Tunnel(at) => scenario.vpn_tunnels[at].region.as_deref(),
            Link::Attachment(at) => scenario.attachments[at].region.as_deref(),
        });
        let kind = match route.dynamic {
            None => RouteKind::Static,
            Some(dynamic) => RouteKind::Dynamic {
                region: region.map(Arc::from),
                // Of an imported route, the exporting network's mode counts.
                global: scenario.networks[route.network].routing_mode == RoutingMode::Global,
                inter_region_cost: dynamic.inter_region_cost,
            },
        };
        router::Route {
            name: route.name.as_str().into(),
            kind,
            peer,
            priority: route.priority,
            tags: route.tags.clone(),
            next_hop,
            leads_to: self.hop_name(route.network, &route.next_hop),
            out_of_use: self.out_of_use(route),
        }
    }

    /// Why nobody takes a route. Google: static routes to a VM that does not run are not considered; those to a VPN tunnel
    /// are, whatever its state. What BGP has learned goes with its session.
    fn out_of_use(&self, route: &scenario::Route) -> Option<&'static str> {
        match (&route.next_hop, route.dynamic) {
            (NextHop::Vm { vm, .. }, _) if !self.scenario.vms[*vm].running => Some("its VM is not running"),
            (hop, Some(_)) => {
                let since = self.routes.down.get(&Link::of(hop)?)?;
                (*since <= self.engine.now()).then_some("BGP has withdrawn it with its session")
            }
            _ => None,
        }
    }

    /// The network that a next hop is in: a VM's own, a load balancer's own, else the route's.
    fn home(&self, route: &scenario::Route) -> usize {
        match &route.next_hop {
            NextHop::Ilb(rule) => self.scenario.forwarding_rules[*rule].network,
            _ => route.network,
        }
    }

    /// The next hop of a route, for the router of a network.
    fn router_hop(&mut self, network: usize, route: &scenario::Route) -> router::NextHop {
        if let NextHop::Vm { vm, by_address } = &route.next_hop {
            let vm = &self.scenario.vms[*vm];
            if vm.network != route.network {
                return router::NextHop::Dead(DropCause::RouteNextHopInstanceWrongNetwork);
            }
            if by_address.is_some_and(|address| address != IpAddr::from(vm.address)) {
                return router::NextHop::Dead(DropCause::RouteNextHopInstanceNonPrimaryIp);
            }
        }
        let Some(key) = self.key_of(&route.next_hop) else { return router::NextHop::Internet };
        let home = self.home(route);
        let port = self.port_to(network, home, key.clone());
        self.mark_behind_route(home, &key);
        match &route.next_hop {
            NextHop::VpnTunnel(_) => router::NextHop::VpnTunnel(port),
            NextHop::Ilb(rule) => self.ilb_hop(*rule, port),
            _ => router::NextHop::Other(port),
        }
    }

    fn ilb_hop(&self, rule: usize, port: crate::trace::PortId) -> router::NextHop {
        let rule = &self.scenario.forwarding_rules[rule];
        let only_from = rule.region.as_deref().filter(|_| !rule.global_access).map(Arc::from);
        router::NextHop::Ilb { port, only_from }
    }

    fn build_policy_routes(&mut self) {
        let scenario = Arc::clone(&self.scenario);
        for route in &scenario.policy_routes {
            let next_hop = route.next_hop.map(|rule| {
                let (hop, home) = (NextHop::Ilb(rule), scenario.forwarding_rules[rule].network);
                let key = self.rule_key(rule);
                let port = self.port_to(route.network, home, key.clone());
                self.mark_behind_route(home, &key);
                (self.ilb_hop(rule, port), self.hop_name(home, &hop))
            });
            let entry = router::PolicyRoute {
                name: route.name.as_str().into(),
                priority: route.priority,
                src: route.src,
                dst: route.dst,
                protocol: route.protocol,
                scope: match &route.scope {
                    PolicyScope::All => router::PolicyScope::All,
                    PolicyScope::Tags(tags) => router::PolicyScope::Tags(tags.clone()),
                    PolicyScope::Attachments(region) => {
                        router::PolicyScope::Attachments(region.as_deref().map(Arc::from))
                    }
                },
                next_hop,
            };
            self.engine.change(self.vpcs[route.network].router, |router| router.add_policy_route(entry));
        }
    }

    /// Forwarding rules as destinations.
    fn build_forwarding_rules(&mut self) {
        let scenario = Arc::clone(&self.scenario);
        for (at, rule) in scenario.forwarding_rules.iter().enumerate() {
            let Some(address) = rule.address.filter(|_| !rule.assumed) else { continue };
            let vpc = self.vpcs[rule.network];
            let (target, target_words) = match &rule.target {
                ForwardingTarget::GoogleApis { vpc_sc } => {
                    let endpoint = Arc::new(PscEndpoint { rule: self.rule_resource(at), address, vpc_sc: *vpc_sc });
                    self.engine.change(vpc.router, |router| router.add_psc_endpoint(Arc::clone(&endpoint)));
                    self.engine.change(vpc.google, |google| google.add_endpoint(endpoint));
                    continue;
                }
                ForwardingTarget::LoadBalancer { passthrough } => {
                    let words =
                        if *passthrough { "backends of an internal load balancer" } else { "an internal proxy" };
                    (router::ForwardingTarget::LoadBalancer, words.to_owned())
                }
                ForwardingTarget::ServiceAttachment { attachment, status } => {
                    let target = router::ForwardingTarget::PublishedService {
                        attachment: Resource {
                            collection: "serviceAttachments",
                            name: attachment.as_str().into(),
                            ..self.rule_resource(at)
                        },
                        accepted: status == "ACCEPTED",
                        status: status.as_str().into(),
                    };
                    (target, format!("published service {attachment}"))
                }
            };
            let port = self.port_to(rule.network, rule.network, self.rule_key(at));
            let entry = router::ForwardingRule {
                rule: self.rule_resource(at),
                address,
                protocol: rule.protocol,
                ports: rule.ports.clone(),
                only_from: rule.region.as_deref().filter(|_| !rule.global_access).map(Arc::from),
                target,
                target_words: target_words.into(),
                port,
            };
            self.engine.change(vpc.router, |router| router.add_forwarding_rule(entry));
        }
    }

    /// A route is made.
    pub(super) fn add_route(&mut self, route: scenario::Route) {
        self.install(route);
    }

    /// A route is deleted.
    pub(super) fn remove_route(&mut self, network: usize, name: &str) {
        let Some(at) = self.routes.by_name.remove(&(network, name.to_owned())) else { return };
        let Some(Installed { entries, .. }) = self.routes.installed[at].take() else { return };
        self.leave(entries);
    }

    fn leave(&mut self, entries: Vec<(usize, RouteId)>) {
        for (network, id) in entries {
            self.engine.change(self.vpcs[network].router, |router| router.remove_route(id));
        }
    }

    /// A VPN tunnel gets another status.
    pub(super) fn patch_vpn_tunnel(&mut self, at: usize, status: &str) {
        let established = status == scenario::VpnTunnel::ESTABLISHED;
        for site in self.stations(&Key::Tunnel(at)) {
            self.engine.change(site, |beyond| {
                if let Place::Tunnel(tunnel) = beyond.place_mut() {
                    (tunnel.status, tunnel.established) = (status.into(), established);
                }
            });
        }
        let router = self.scenario.vpn_tunnels[at].router;
        self.link_changes(Link::Tunnel(at), established, router);
    }

    /// An Interconnect attachment gets another state.
    pub(super) fn patch_attachment(&mut self, at: usize, operational_status: &str, admin_enabled: bool) {
        let active = admin_enabled && operational_status == scenario::InterconnectAttachment::ACTIVE;
        let status: Arc<str> = attachment_status(admin_enabled, operational_status).into();
        for site in self.stations(&Key::Attachment(at)) {
            self.engine.change(site, |beyond| {
                if let Place::Attachment(attachment) = beyond.place_mut() {
                    (attachment.status, attachment.active) = (Arc::clone(&status), active);
                }
            });
        }
        let router = self.scenario.attachments[at].router;
        self.link_changes(Link::Attachment(at), active, router);
    }

    pub(super) fn stations(&self, key: &Key) -> Vec<crate::sim::Site<crate::node::beyond::Beyond>> {
        let mut sites: Vec<_> =
            (self.beyond.iter()).filter(|((_, of), _)| of == key).map(|(_, far)| far.site).collect();
        sites.sort_by_key(|site| site.node);
        sites
    }

    /// BGP keeps what it learned until its hold time is over, and learns it again at once when the link is back.
    fn link_changes(&mut self, link: Link, up: bool, router: Option<usize>) {
        if up {
            if self.routes.down.remove(&link).is_some() {
                self.reenter(link);
            }
            return;
        }
        let hold =
            router.map_or(scenario::routing::HOLD_TIME_DEFAULT, |router| self.scenario.routers[router].hold_time);
        let withdrawn = self.engine.now() + hold;
        self.routes.down.entry(link).or_insert(withdrawn);
        if !self.routes.learned.contains_key(&link) {
            return;
        }
        self.agenda.add(withdrawn, Due::Withdraw(link.key()));
    }

    /// The hold time of a link is over.
    pub(super) fn withdraw(&mut self, key: &Key) {
        let link = match key {
            Key::Tunnel(tunnel) => Link::Tunnel(*tunnel),
            Key::Attachment(attachment) => Link::Attachment(*attachment),
            _ => return,
        };
        // It may have come back meanwhile, and gone again.
        if self.routes.down.get(&link).is_some_and(|since| *since <= self.engine.now()) {
            self.reenter(link);
        }
    }

    /// Enters the routes learned over a link anew: in use, or not.
    fn reenter(&mut self, link: Link) {
        for at in self.routes.learned.get(&link).cloned().unwrap_or_default() {
            let Some(Installed { route, entries }) = self.routes.installed[at].take() else { continue };
            self.leave(entries);
            let entries = self.enter(&route);
            self.routes.installed[at] = Some(Installed { route, entries });
        }
    }
}
