//! The routes of a VPC network: which way a packet leaves.
//!
//! The order is Google's (<https://docs.cloud.google.com/vpc/docs/routes#routeselection>, as of 2026), and each step has its
//! file:
//!
//! 1. special paths, which are in no table: [`special`]
//! 2. policy-based routes: `policy`
//! 3. subnet routes, the network's own and then those of peered networks; in a hybrid subnet, what nothing has goes on
//! 4. the longest prefix among static, dynamic and imported routes that apply to the sender: `table`
//! 5. the network's own before imported ones; of several peers, one network, whatever the priorities
//! 6. the lowest priority number
//! 7. VMs, tunnels and attachments before internal load balancers before the default internet gateway
//! 8. what is still equal shares flows by a hash of the 5-tuple
//! 9. nothing: the sender gets an ICMP "network unreachable"
//!
//! Behind the default internet gateway, and only there, are Google's APIs and Cloud NAT: `gateway`. A VPC network is one
//! hop: it takes nothing from the TTL. What is behind a port the router does not know, but for where packets from there may
//! go ([`Origin`]).

mod explain;
mod forwarding;
mod gateway;
mod names;
mod policy;
mod route;
pub mod special;
mod table;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

pub use gateway::{is_private, is_private_v6};
pub use route::{
    ForwardingRule, ForwardingTarget, HopName, NextHop, PeerName, PeerSubnet, PolicyRoute, PolicyScope, Route, RouteId,
    RouteKind, SubnetRoute,
};

use super::connector::spread;
use crate::trace::info::{ForwardingRuleInfo, HybridSubnetInfo, Resource};
use crate::trace::{DropCause, Explain, Memo, PortId, State, Verdict};
use crate::wire::{Flow, IcmpError, Packet};
use names::{NameId, Names};
use policy::{Policy, Scope};
use route::Rank;
use special::{PscEndpoint, Special};
use table::{Entry, Family, Sender, Subnet, Table, WayOut};

/// Towards the firewall, and so to everybody who has an address in the network.
pub const FIREWALL: PortId = PortId(0);

/// Where the network's own ICMP errors come from. No such address shows in a real VPC network; it is a documentation
/// address.
const ROUTER_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// The same for IPv6.
const ROUTER_ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

/// What is behind a port, as far as it matters for packets that come from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Cloud NAT, Google's APIs, load balancers: what answers. Its packets go to subnets.
    Answers,
    /// A peered network. Its packets go to subnets: peering is not transitive.
    Peer,
    /// A VPN tunnel, whose packets follow the routes without tags, though not to the internet.
    Tunnel {
        /// Its region, if it is known.
        region: Option<Arc<str>>,
    },
    /// An Interconnect attachment: the same.
    Attachment {
        /// Its region, if it is known.
        region: Option<Arc<str>>,
    },
}

/// The routes of one network.
#[derive(Debug)]
pub struct Router {
    network: Arc<str>,
    v4: Box<Table<Ipv4Net>>,
    v6: Box<Table<Ipv6Net>>,
    /// By number, and the destination of each.
    routes: Vec<Option<(IpNet, Route)>>,
    free: Vec<RouteId>,
    tags: Names,
    regions: Names,
    /// Something asks for the sender's tags.
    tagged: bool,
    /// Something asks for the sender's region.
    regional: bool,
    /// Where packets come from that are not from interfaces.
    origins: HashMap<PortId, Origin, FixedState>,
    google_port: PortId,
    seed: u64,
}

impl Router {
    /// A network without subnets and routes. `google_port` leads to Google's services; `seed` decides which flow takes
    /// which of several equal routes.
    pub fn new(network: Arc<str>, google_port: PortId, seed: u64) -> Self {
        Router {
            network,
            v4: Box::default(),
            v6: Box::default(),
            routes: Vec::new(),
            free: Vec::new(),
            tags: Names::default(),
            regions: Names::default(),
            tagged: false,
            regional: false,
            origins: HashMap::default(),
            google_port,
            seed,
        }
    }

    /// Says what is behind a port other than [`FIREWALL`]. Without a word, it is what answers.
    pub fn set_origin(&mut self, port: PortId, origin: Origin) {
        self.regional |= matches!(origin, Origin::Attachment { .. });
        // A region in which the network has nothing else is another region than all others, too.
        if let Origin::Tunnel { region: Some(region) } | Origin::Attachment { region: Some(region) } = &origin {
            self.regions.intern(region);
        }
        self.origins.insert(port, origin);
    }

    /// Adds a subnet range (primary or secondary) with its route.
    pub fn add_subnet(&mut self, range: impl Into<IpNet>, route: SubnetRoute) {
        let region = self.regions.intern(&route.region);
        let subnet = Subnet { route, region };
        match range.into() {
            IpNet::V4(range) => _ = self.v4.subnets.insert(range, subnet),
            IpNet::V6(range) => _ = self.v6.subnets.insert(range, subnet),
        }
    }

    /// Adds a subnet range of a peered network.
    pub fn add_peer_subnet(&mut self, range: impl Into<IpNet>, subnet: PeerSubnet) {
        match range.into() {
            IpNet::V4(range) => _ = self.v4.peer_subnets.insert(range, subnet),
            IpNet::V6(range) => _ = self.v6.peer_subnets.insert(range, subnet),
        }
    }

    /// Adds a static or dynamic route.
    pub fn add_route(&mut self, dest: impl Into<IpNet>, route: Route) -> RouteId {
        let dest = dest.into();
        let id = self.free.pop().unwrap_or_else(|| {
            self.routes.push(None);
            RouteId(self.routes.len() as u32 - 1)
        });
        self.tagged |= !route.tags.is_empty();
        self.regional |= matches!(&route.kind, RouteKind::Dynamic { region: Some(_), .. });
        self.regional |= matches!(&route.next_hop, NextHop::Ilb { only_from: Some(_), .. });
        let Router { v4, v6, tags, regions, .. } = self;
        match dest {
            IpNet::V4(dest) => v4.routes.entry(dest).or_default().insert(id, &route, tags, regions),
            IpNet::V6(dest) => v6.routes.entry(dest).or_default().insert(id, &route, tags, regions),
        }
        self.routes[id.0 as usize] = Some((dest, route));
        id
    }

    /// Removes a route.
    pub fn remove_route(&mut self, id: RouteId) {
        let Some((dest, route)) = self.routes[id.0 as usize].take() else { return };
        let Router { v4, v6, tags, regions, .. } = self;
        let remove = |bucket: &mut table::Bucket, tags: &mut Names, regions: &mut Names| {
            bucket.remove(id, &route, tags, regions);
            bucket.is_empty()
        };
        match dest {
            IpNet::V4(dest) => {
                if v4.routes.get_mut(&dest).is_some_and(|bucket| remove(bucket, tags, regions)) {
                    v4.routes.remove(&dest);
                }
            }
            IpNet::V6(dest) => {
                if v6.routes.get_mut(&dest).is_some_and(|bucket| remove(bucket, tags, regions)) {
                    v6.routes.remove(&dest);
                }
            }
        }
        self.free.push(id);
    }

    /// Adds a policy-based route. Its ranges have one version of IP.
    pub fn add_policy_route(&mut self, route: PolicyRoute) {
        let scope = match &route.scope {
            PolicyScope::All => Scope::All,
            PolicyScope::Tags(tags) => Scope::Tags(self.tags.intern_all(tags)),
            PolicyScope::Attachments(region) => {
                Scope::Attachments(region.as_ref().map(|region| self.regions.intern(region)))
            }
        };
        self.tagged |= matches!(&route.scope, PolicyScope::Tags(_));
        self.regional |= matches!(&route.next_hop, Some((NextHop::Ilb { only_from: Some(_), .. }, _)));
        match (route.src, route.dst) {
            (IpNet::V4(src), IpNet::V4(dst)) => self.v4.policies.insert(src, dst, Policy::new(route, scope)),
            (IpNet::V6(src), IpNet::V6(dst)) => self.v6.policies.insert(src, dst, Policy::new(route, scope)),
            _ => unreachable!("the ranges of a policy-based route have one version of IP"),
        }
    }

    /// Adds a forwarding rule with an address in a subnet.
    pub fn add_forwarding_rule(&mut self, rule: ForwardingRule) {
        self.regional |= rule.only_from.is_some();
        match rule.address {
            IpAddr::V4(_) => self.v4.forwarding.entry(rule.address).or_default().push(rule),
            IpAddr::V6(_) => self.v6.forwarding.entry(rule.address).or_default().push(rule),
        }
    }

    /// Adds an endpoint of Private Service Connect for Google APIs.
    pub fn add_psc_endpoint(&mut self, endpoint: Arc<PscEndpoint>) {
        match endpoint.address {
            IpAddr::V4(address) => self.v4.special.insert(address.into(), Special::Endpoint(endpoint)),
            IpAddr::V6(address) => self.v6.special.insert(address.into(), Special::Endpoint(endpoint)),
        }
    }

    /// Sources in this range are served by the NAT gateway behind this port. The first gateway to claim a range has it.
    pub fn add_nat_coverage(&mut self, range: Ipv4Net, port: PortId) {
        self.v4.ways_out.entry(range).or_insert(WayOut::Nat(port));
    }

    /// Sources in this range have an external address, and leave through this port. A VM's own comes before Cloud NAT; of
    /// IPv6, only external addresses leave.
    pub fn add_external(&mut self, range: impl Into<IpNet>, port: PortId) {
        match range.into() {
            IpNet::V4(range) => _ = self.v4.ways_out.insert(range, WayOut::External(port)),
            IpNet::V6(range) => _ = self.v6.ways_out.insert(range, WayOut::External(port)),
        }
    }

    /// Destinations in this range are Google APIs.
    pub fn add_google_api(&mut self, range: impl Into<IpNet>) {
        match range.into() {
            IpNet::V4(range) => self.v4.google_apis.insert(range, ()),
            IpNet::V6(range) => self.v6.google_apis.insert(range, ()),
        }
    }

    /// Somebody has these addresses now, with these network tags.
    pub fn attach(&mut self, range: impl Into<IpNet>, tags: &[String]) {
        let tags = self.tags.intern_all(tags);
        match range.into() {
            IpNet::V4(range) => self.v4.attach(range, tags),
            IpNet::V6(range) => self.v6.attach(range, tags),
        }
    }

    /// Nobody has these addresses any more.
    pub fn detach(&mut self, range: impl Into<IpNet>) {
        match range.into() {
            IpNet::V4(range) => self.v4.detach(range),
            IpNet::V6(range) => self.v6.detach(range),
        }
    }

    /// Handles a packet that came through `from`.
    pub fn handle_packet(&mut self, packet: &mut Packet, from: PortId, explain: &mut Explain) -> Verdict {
        if packet.is_ipv4() {
            return self.route(Ipv4Net::from(packet.src()), Ipv4Net::from(packet.dst()), packet, from, explain);
        }
        match (packet.source(), packet.destination()) {
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                self.route(Ipv6Net::from(src), Ipv6Net::from(dst), packet, from, explain)
            }
            _ => unreachable!("both addresses of a packet that is not IPv4 are of IPv6"),
        }
    }

    fn route<P: Family>(&self, src: P, dst: P, packet: &Packet, from: PortId, explain: &mut Explain) -> Verdict {
        let table = P::table(self);
        let region = |region: &Option<Arc<str>>| region.as_ref().and_then(|region| self.regions.find(region));
        let sender = if from == FIREWALL {
            let region = if self.regional { self.region_of(src) } else { None };
            let tags = if self.tagged { table.tags_at(src).unwrap_or_default() } else { &[] };
            Sender { tags, region, entry: Entry::Interface }
        } else {
            match self.origins.get(&from) {
                None | Some(Origin::Answers) => return self.answer(src, dst, packet, explain),
                Some(Origin::Peer) => return self.peered(src, dst, packet, explain),
                Some(Origin::Tunnel { region: at }) => Sender { tags: &[], region: region(at), entry: Entry::Tunnel },
                Some(Origin::Attachment { region: at }) => {
                    Sender { tags: &[], region: region(at), entry: Entry::Attachment }
                }
            }
        };
        let way = Way { src, dst, from, sender };

        // 1. Special paths.
        if let Some((range, special)) = table.special.get(dst) {
            self.say_special(range, special, explain);
            return Verdict::Forward(self.google_port, Memo::Pure);
        }
        // 2. Policy-based routes.
        if let Some(found) = table.policies.lookup(src, dst, packet.protocol_number(), &sender) {
            explain.say(State::ApplyRoute, || self.policy_told(&found, dst, &sender));
            if let Some((hop, _)) = &found.policy.next_hop {
                return self.follow(hop, &way, packet, explain);
            }
        }
        // 3. Subnet routes.
        if let Some((range, subnet)) = table.subnets.get_lpm(&dst) {
            let hybrid = subnet.route.hybrid && !table.has(dst);
            explain.say(State::ApplyRoute, || match hybrid {
                true => self.hybrid_told(range, &subnet.route),
                false => self.subnet_told(range, &subnet.route, dst, &sender),
            });
            if subnet.route.private_nat {
                explain.say(State::Drop, || {
                    format!("{range} of {} is for Private NAT: nothing is reached there", subnet.route.name)
                });
                return Verdict::Drop(DropCause::DestinationIsPrivateNatIpRange);
            }
            if hybrid {
                return self.beyond_hybrid_subnet(range, subnet, &way, packet, explain);
            }
            return self.inside(&way, false, packet, explain);
        }
        if !table.peer_subnets.is_empty()
            && let Some((range, subnet)) = table.peer_subnets.get_lpm(&dst)
        {
            explain.say(State::ApplyRoute, || self.peer_subnet_told(range, subnet, dst, &sender));
            return Verdict::Forward(subnet.port, Memo::Pure);
        }
        // 4. to 8.
        if let Some(best) = table.best(dst, &sender) {
            let (id, equal) = best.pick(&sender, |count| spread(flow_key(src, dst, packet), self.seed, count));
            explain.say(State::ApplyRoute, || self.route_told(&best, (id, equal), dst, &sender));
            return self.follow(&self.known(id).next_hop, &way, packet, explain);
        }
        // 9. None. If there would be one whose VM does not run, that is why.
        if let Some((range, id)) = self.dead_end(dst, &sender) {
            explain.say(State::ApplyRoute, || self.dead_end_told(range, id, dst, &sender));
            return Verdict::Drop(DropCause::RouteBlackhole);
        }
        explain.say(State::ApplyRoute, || self.no_route_told(dst, &sender));
        no_route(packet)
    }

    /// The static route that would win if its next hop ran. What BGP has withdrawn is no route any more.
    fn dead_end<P: Family>(&self, dst: P, sender: &Sender) -> Option<(P, RouteId)> {
        let covering: Vec<_> = P::table(self).routes.cover(&dst).collect();
        covering.into_iter().rev().find_map(|(range, bucket)| {
            let applies = |route: &Route| {
                let has = |tag: &String| self.tags.find(tag).is_some_and(|tag| sender.tags.contains(&tag));
                route.kind == RouteKind::Static && (route.tags.is_empty() || route.tags.iter().any(has))
            };
            let dead = bucket.out_of_use().filter(|id| applies(self.known(*id)));
            dead.min_by_key(|id| Rank::of(self.known(*id), 0)).map(|id| (range, id))
        })
    }

    /// Onto a route's next hop.
    fn follow<P: Family>(&self, hop: &NextHop, way: &Way<P>, packet: &Packet, explain: &mut Explain) -> Verdict {
        let inside = way.sender.entry == Entry::Interface;
        match hop {
            NextHop::Internet if inside => self.to_internet(way.src, way.dst, packet, explain),
            NextHop::Internet => Verdict::Drop(DropCause::TrafficFromHybridEndpointToInternetDisallowed),
            NextHop::Dead(cause) => Verdict::Drop(*cause),
            NextHop::Ilb { only_from: Some(only), .. }
                if way.sender.region.is_some_and(|region| self.regions.name(region) != only) =>
            {
                explain.say(State::Drop, || format!("the load balancer is in {only} and without global access"));
                Verdict::Drop(DropCause::ForwardingRuleRegionMismatch)
            }
            NextHop::VpnTunnel(_) if inside && self.is_google_api(way.dst) => {
                explain.say(State::Drop, || {
                    format!("{} is a Google API, which a VPN tunnel does not lead to", way.dst.address())
                });
                Verdict::Drop(DropCause::PrivateGoogleAccessViaVpnTunnelUnsupported)
            }
            NextHop::Ilb { port, .. } | NextHop::VpnTunnel(port) | NextHop::Other(port) if *port == way.from => {
                explain.say(State::Drop, || "the route leads back to where the packet came from");
                Verdict::Drop(DropCause::RoutingLoop)
            }
            NextHop::Ilb { port, .. } | NextHop::VpnTunnel(port) | NextHop::Other(port) => {
                Verdict::Forward(*port, Memo::Pure)
            }
        }
    }

    /// To somebody in one of the network's own subnets: a forwarding rule, or whoever has the address.
    fn inside<P: Family>(&self, way: &Way<P>, peered: bool, packet: &Packet, explain: &mut Explain) -> Verdict {
        let table = P::table(self);
        if !table.forwarding.is_empty()
            && let Some(rules) = table.forwarding.get(&way.dst.address())
        {
            let region = way.sender.region.map(|region| self.regions.name(region));
            return forwarding::forward(rules, &self.network, &forwarding::Client { region, peered }, packet, explain);
        }
        Verdict::Forward(FIREWALL, Memo::Pure)
    }

    /// An answer, which is for somebody in the network.
    fn answer<P: Family>(&self, src: P, dst: P, packet: &Packet, explain: &mut Explain) -> Verdict {
        let table = P::table(self);
        let sender = Sender { tags: &[], region: None, entry: Entry::Interface };
        if let Some((range, subnet)) = table.subnets.get_lpm(&dst) {
            explain.say(State::ApplyRoute, || self.subnet_told(range, &subnet.route, dst, &sender));
            return self.inside(&Way { src, dst, from: FIREWALL, sender }, false, packet, explain);
        }
        // Of somebody in a peered network, whose route was imported.
        if let Some((range, subnet)) = table.peer_subnets.get_lpm(&dst) {
            explain.say(State::ApplyRoute, || self.peer_subnet_told(range, subnet, dst, &sender));
            return Verdict::Forward(subnet.port, Memo::Pure);
        }
        explain.say(State::ApplyRoute, || format!("no route of {} covers {}", self.network, dst.address()));
        no_route(packet)
    }

    /// A packet from a peered network: its routes have decided, so nothing is said of the way inside.
    fn peered<P: Family>(&self, src: P, dst: P, packet: &Packet, explain: &mut Explain) -> Verdict {
        let table = P::table(self);
        if table.subnets.get_lpm(&dst).is_none() {
            explain.say(State::Drop, || format!("no subnet of {} has {}", self.network, dst.address()));
            return Verdict::Drop(DropCause::NoKnownRouteFromPeeredNetworkToDestination);
        }
        let region = table.peer_subnets.get_lpm(&src).and_then(|(_, subnet)| subnet.region.as_ref());
        let region = region.and_then(|region| self.regions.find(region));
        let sender = Sender { tags: &[], region, entry: Entry::Interface };
        self.inside(&Way { src, dst, from: FIREWALL, sender }, true, packet, explain)
    }

    /// Nothing in a hybrid subnet has the address: routes inside its range lead on, if they stay in its region.
    fn beyond_hybrid_subnet<P: Family>(
        &self,
        range: P,
        subnet: &Subnet,
        way: &Way<P>,
        packet: &Packet,
        explain: &mut Explain,
    ) -> Verdict {
        let SubnetRoute { name, region, .. } = &subnet.route;
        explain.say(State::ArriveAtHybridSubnet, || {
            let text =
                format!("nothing in hybrid subnet {name} has {}: routes inside {range} are asked", way.dst.address());
            (text, HybridSubnetInfo { subnetwork: Resource::regional("subnetworks", &**region, &**name) })
        });
        let best = P::table(self).best(way.dst, &way.sender);
        let Some(best) = best.filter(|best| best.range.prefix_len() >= range.prefix_len()) else {
            return Verdict::Drop(DropCause::HybridSubnetNoRoute);
        };
        let key = flow_key(way.src, way.dst, packet);
        let (id, equal) = best.pick(&way.sender, |count| spread(key, self.seed, count));
        explain.say(State::ApplyRoute, || self.route_told(&best, (id, equal), way.dst, &way.sender));
        let route = self.known(id);
        if let RouteKind::Dynamic { region: Some(at), .. } = &route.kind
            && at != region
        {
            explain
                .say(State::Drop, || format!("route {} leads through {at}, subnet {name} is in {region}", route.name));
            return Verdict::Drop(DropCause::HybridSubnetRegionMismatch);
        }
        self.follow(&route.next_hop, way, packet, explain)
    }

    fn say_special(&self, range: impl std::fmt::Display, special: &Special, explain: &mut Explain) {
        match special {
            Special::Service(service) => explain.say(State::ApplyRoute, || {
                let words = special::service_words(*service);
                format!("special path {range} to {words} wins: it comes before all routes")
            }),
            Special::Endpoint(endpoint) => explain.say(State::ApplyForwardingRule, || {
                let PscEndpoint { rule, address, .. } = &**endpoint;
                let text = format!(
                    "{address} is Private Service Connect endpoint {} for Google APIs: it needs no route",
                    rule.name
                );
                let info = ForwardingRuleInfo {
                    rule: rule.clone(),
                    network: Resource::network(Arc::clone(&self.network)),
                    matched_protocol: "TCP".into(),
                    matched_port_range: String::new(),
                    vip: *address,
                    psc_service_attachment: None,
                    psc_google_api_target: Some(endpoint.bundle()),
                };
                (text, info)
            }),
        }
    }

    /// The region of the subnet that an address is in.
    fn region_of<P: Family>(&self, host: P) -> Option<NameId> {
        P::table(self).subnets.get_lpm(&host).map(|(_, subnet)| subnet.region)
    }

    fn known(&self, id: RouteId) -> &Route {
        let (_, route) = self.routes[id.0 as usize].as_ref().expect("a route in a table has its number");
        route
    }
}

/// A packet's ends, and whose it is.
struct Way<'a, P> {
    src: P,
    dst: P,
    from: PortId,
    sender: Sender<'a>,
}

/// What names a flow, for the choice among equal routes: the 5-tuple, or else the addresses.
fn flow_key<P: Family>(src: P, dst: P, packet: &Packet) -> u128 {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    };
    match packet.flow() {
        Some(Flow::V4(tuple)) => tuple.key(),
        Some(Flow::V6(tuple)) => {
            let ports = u128::from(tuple.src_port) << 24 | u128::from(tuple.dst_port) << 8;
            let addresses = u128::from(tuple.src).rotate_left(64) ^ u128::from(tuple.dst);
            addresses ^ ports ^ u128::from(tuple.protocol.number())
        }
        None => bits(src.address()).rotate_left(64) ^ bits(dst.address()) ^ u128::from(packet.protocol_number()) << 120,
    }
}

/// Google: without a route the sender gets an ICMP "destination or network unreachable".
fn no_route(packet: &Packet) -> Verdict {
    let mut error = Packet::empty();
    let router = if packet.is_ipv4() { ROUTER_ADDRESS.into() } else { IpAddr::from(ROUTER_ADDRESS_V6) };
    if error.build_icmp_error(IcmpError::NetworkUnreachable, packet, router) {
        Verdict::Refuse(DropCause::NoRoute, Box::new(error))
    } else {
        Verdict::Drop(DropCause::NoRoute)
    }
}
