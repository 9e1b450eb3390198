//! What the routes say of a decision: who won, and why the nearest others lost.
//!
//! Nothing of this runs unless somebody listens.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use super::Router;
use super::policy::Match;
use super::route::{PeerSubnet, Rank, Route, RouteId, RouteKind, SubnetRoute};
use super::table::{Best, Family, Sender};
use crate::trace::info::{NextHopType, Resource, RouteInfo, RouteType};

/// How many of those that lost are named.
const NEAREST: usize = 3;

/// Who won against the routes of the tables.
pub(super) enum Winner<'a, P> {
    /// What comes before them, in words.
    Before(&'static str),
    /// One of them.
    Route(&'a Best<'a, P>, RouteId),
    /// One whose next hop does not run, for want of another.
    Dead(RouteId),
    /// None.
    Nobody,
}

impl Router {
    /// A subnet's own route wins.
    pub(super) fn subnet_told<P: Family>(
        &self,
        range: P,
        subnet: &SubnetRoute,
        host: P,
        sender: &Sender,
    ) -> (String, RouteInfo) {
        let network = &self.network;
        let losers = self.losers(host, sender, &Winner::Before("subnet routes come first"));
        let text =
            format!("subnet route {range} of {} wins: {} is inside {network}{losers}", subnet.name, host.address());
        (text, self.subnet_info(range, subnet))
    }

    /// The same for a hybrid subnet in which nothing has the address.
    pub(super) fn hybrid_told<P: Family>(&self, range: P, subnet: &SubnetRoute) -> (String, RouteInfo) {
        let text = format!("subnet route {range} of {} matches, which is a hybrid subnet", subnet.name);
        (text, self.subnet_info(range, subnet))
    }

    fn subnet_info<P: Family>(&self, range: P, subnet: &SubnetRoute) -> RouteInfo {
        let network = &self.network;
        RouteInfo {
            route_type: RouteType::Subnet,
            next_hop_type: NextHopType::Network,
            display_name: format!("subnet route {}", subnet.name),
            dest_ip_range: range.to_string(),
            next_hop: Some(Resource::network(Arc::clone(network))),
            next_hop_network: Some(Resource::network(Arc::clone(network))),
            ..self.info()
        }
    }

    /// A subnet of a peered network wins.
    pub(super) fn peer_subnet_told<P: Family>(
        &self,
        range: P,
        subnet: &PeerSubnet,
        host: P,
        sender: &Sender,
    ) -> (String, RouteInfo) {
        let PeerSubnet { name, network, peering, .. } = subnet;
        let losers = self.losers(host, sender, &Winner::Before("peering subnet routes come first"));
        let of = name.as_ref().map_or(String::new(), |name| format!(" of {name}"));
        let text = format!(
            "peering subnet route {range}{of} wins: {} is inside {network} (peering {peering}){losers}",
            host.address()
        );
        let info = RouteInfo {
            route_type: RouteType::PeeringSubnet,
            next_hop_type: NextHopType::Peering,
            display_name: format!("peering subnet route {}", name.as_ref().unwrap_or(network)),
            dest_ip_range: range.to_string(),
            next_hop_network: Some(Resource::network(Arc::clone(network))),
            ..self.info()
        };
        (text, info)
    }

    /// A policy-based route wins.
    pub(super) fn policy_told<P: Family>(&self, found: &Match<P>, host: P, sender: &Sender) -> (String, RouteInfo) {
        let Match { policy, src, dst } = found;
        let (name, priority) = (&policy.name, policy.priority);
        let text = match &policy.next_hop {
            Some((_, hop)) => {
                let what =
                    format!("policy-based route {name} ({src} to {dst}, priority {priority}) to {} wins", hop.words);
                let first = "policy-based routes come first";
                let table = P::table(self);
                let subnet = table.subnets.get_lpm(&host).map(|(range, _)| range);
                let subnet = subnet.or_else(|| table.peer_subnets.get_lpm(&host).map(|(range, _)| range));
                match subnet {
                    Some(range) => format!("{what}; subnet route {range} loses: {first}"),
                    None => what + &self.losers(host, sender, &Winner::Before(first)),
                }
            }
            None => {
                format!("policy-based route {name} ({src} to {dst}, priority {priority}) leaves it to the other routes")
            }
        };
        let hop = policy.next_hop.as_ref().map(|(_, hop)| hop);
        let info = RouteInfo {
            route_type: RouteType::PolicyBased,
            next_hop_type: hop.map_or(NextHopType::Network, |hop| hop.kind),
            display_name: name.to_string(),
            route: Some(Resource::located("policyBasedRoutes", "global", Arc::clone(name))),
            dest_ip_range: dst.to_string(),
            priority: priority.into(),
            src_ip_range: Some(src.to_string()),
            protocols: policy
                .protocol
                .map(|protocol| if protocol == 6 { "TCP" } else { "UDP" }.into())
                .into_iter()
                .collect(),
            next_hop: hop.and_then(|hop| hop.resource.clone()),
            next_hop_network: hop.and_then(|hop| hop.network.clone()),
            ..self.info()
        };
        (text, info)
    }

    /// A static or dynamic route wins, with how many others it shares the flows.
    pub(super) fn route_told<P: Family>(
        &self,
        best: &Best<P>,
        (id, equal): (RouteId, u32),
        host: P,
        sender: &Sender,
    ) -> (String, RouteInfo) {
        let route = self.known(id);
        let mut text = format!("{} to {} wins", words(route, best.range, Some(best.rank)), route.leads_to.words);
        if equal > 1 {
            let _ = write!(text, ", by the hash of the flow, over {} as good", equal - 1);
        }
        text += &self.losers(host, sender, &Winner::Route(best, id));
        let (imported, peer) = (route.peer.is_some(), route.peer.as_ref());
        let is_resource = matches!(route.kind, RouteKind::Static);
        let resource = is_resource.then(|| Resource::global("routes", Arc::clone(&route.name)));
        let region = match &route.kind {
            RouteKind::Static => None,
            RouteKind::Dynamic { region, .. } => region.as_ref().map(ToString::to_string),
        };
        let info = RouteInfo {
            route_type: match (&route.kind, imported) {
                (RouteKind::Static, false) => RouteType::Static,
                (RouteKind::Static, true) => RouteType::PeeringStatic,
                (RouteKind::Dynamic { .. }, false) => RouteType::Dynamic,
                (RouteKind::Dynamic { .. }, true) => RouteType::PeeringDynamic,
            },
            next_hop_type: if imported { NextHopType::Peering } else { route.leads_to.kind },
            display_name: route.name.to_string(),
            route: resource.clone().filter(|_| !imported),
            region,
            dest_ip_range: best.range.to_string(),
            priority: best.rank.priority(),
            instance_tags: route.tags.clone(),
            next_hop: route.leads_to.resource.clone(),
            next_hop_network: match peer {
                Some(peer) => Some(Resource::network(Arc::clone(&peer.network))),
                None => route.leads_to.network.clone(),
            },
            originating_route: imported.then(|| (Arc::clone(&route.name), resource)),
            ..self.info()
        };
        (text, info)
    }

    /// The only route's next hop does not run.
    pub(super) fn dead_end_told<P: Family>(
        &self,
        range: P,
        id: RouteId,
        host: P,
        sender: &Sender,
    ) -> (String, RouteInfo) {
        let route = self.known(id);
        let why = route.out_of_use.unwrap_or_default();
        let (route_words, hop) = (words(route, range, None), &route.leads_to);
        let text = format!("{route_words} to {} is the only one for {}, and {why}", hop.words, host.address());
        let info = RouteInfo {
            next_hop_type: NextHopType::Blackhole,
            display_name: route.name.to_string(),
            route: route.peer.is_none().then(|| Resource::global("routes", Arc::clone(&route.name))),
            dest_ip_range: range.to_string(),
            priority: route.priority,
            instance_tags: route.tags.clone(),
            next_hop: hop.resource.clone(),
            ..self.info()
        };
        let others = self.losers(host, sender, &Winner::Dead(id));
        (text + &others, info)
    }

    /// No route covers the destination, for this sender.
    pub(super) fn no_route_told<P: Family>(&self, host: P, sender: &Sender) -> String {
        format!("no route of {} covers {}{}", self.network, host.address(), self.losers(host, sender, &Winner::Nobody))
    }

    /// A payload to be filled in.
    fn info(&self) -> RouteInfo {
        RouteInfo {
            route_type: RouteType::Static,
            next_hop_type: NextHopType::Network,
            display_name: String::new(),
            route: None,
            region: None,
            dest_ip_range: String::new(),
            network: Resource::network(Arc::clone(&self.network)),
            priority: 0,
            instance_tags: vec![],
            src_ip_range: None,
            protocols: vec![],
            next_hop: None,
            next_hop_network: None,
            originating_route: None,
        }
    }

    /// The nearest routes that did not win, each with its reason, from the longest prefix to the shortest. Default routes
    /// go without saying where another prefix has won.
    pub(super) fn losers<P: Family>(&self, host: P, sender: &Sender, winner: &Winner<P>) -> String {
        let mut told = Losers { text: String::new(), count: 0, seen: HashSet::new() };
        let defaults_count = match winner {
            Winner::Before(_) => false,
            Winner::Route(best, ..) => best.range.prefix_len() == 0,
            Winner::Nobody | Winner::Dead(_) => true,
        };
        if let Winner::Route(_, id) | Winner::Dead(id) = winner {
            told.seen.insert(*id);
        }
        let covering: Vec<_> = P::table(self).routes.cover(&host).collect();
        for (range, bucket) in covering.into_iter().rev() {
            if range.prefix_len() == 0 && !defaults_count {
                break;
            }
            for (rank, id) in bucket.concerning(sender) {
                let why = match winner {
                    Winner::Before(why) => why,
                    Winner::Route(best, ..) if best.range != range => "shorter prefix",
                    Winner::Route(best, ..) if best.rank == rank => continue,
                    Winner::Route(best, ..) => rank.loses_to(best.rank),
                    Winner::Nobody | Winner::Dead(_) => continue,
                };
                told.add(id, || format!("{} loses: {why}", words(self.known(id), range, Some(rank))));
                if told.enough() {
                    break;
                }
            }
            for id in bucket.concerning_others(sender) {
                if told.enough() {
                    break;
                }
                let route = self.known(id);
                let whom = match &route.kind {
                    RouteKind::Static => format!("senders tagged {}", route.tags.join(" or ")),
                    RouteKind::Dynamic { region, .. } => {
                        format!("senders in {}", region.as_deref().unwrap_or_default())
                    }
                };
                told.add(id, || format!("{} is for {whom}", words(route, range, None)));
            }
            for id in bucket.out_of_use() {
                if told.enough() {
                    break;
                }
                let route = self.known(id);
                let why = route.out_of_use.unwrap_or_default();
                told.add(id, || format!("{} is out of use: {why}", words(route, range, None)));
            }
        }
        told.text
    }
}

struct Losers {
    text: String,
    count: usize,
    seen: HashSet<RouteId>,
}

impl Losers {
    fn enough(&self) -> bool {
        self.count >= NEAREST
    }

    fn add(&mut self, id: RouteId, words: impl FnOnce() -> String) {
        if !self.enough() && self.seen.insert(id) {
            self.count += 1;
            self.text += "; ";
            self.text += &words();
        }
    }
}

/// `route to-vpn (10.0.0.0/8, priority 100)`
fn words(route: &Route, range: impl std::fmt::Display, rank: Option<Rank>) -> String {
    let priority = rank.map_or(route.priority, Rank::priority);
    let kind = match route.kind {
        RouteKind::Static => "route",
        RouteKind::Dynamic { .. } => "dynamic route",
    };
    let of = route.peer.as_ref().map_or(String::new(), |peer| format!(" of {}", peer.network));
    format!("{kind} {}{of} ({range}, priority {priority})", route.name)
}
