//! The routes of a VPC network: which way a packet leaves.
//!
//! Subnet routes win over everything. Among the others the longest prefix wins, then the lowest priority number, then
//! the kind of next hop (VM, tunnel or appliance before an internal load balancer before the internet gateway); what
//! is still equal shares flows by their 5-tuple (<https://docs.cloud.google.com/vpc/docs/routes#routeselection>, as of 2026).
//! Behind the default internet gateway, and only there, Cloud NAT may apply: to sources that a gateway covers. A VPC
//! network is one hop: it takes nothing from the TTL.

use std::net::Ipv4Addr;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use ipnet::Ipv4Net;
use prefix_trie::PrefixMap;

use super::connector::spread;
use crate::trace::info::{NextHopType, Resource, RouteInfo, RouteType};
use crate::trace::{DropCause, Explain, Memo, PortId, State, Verdict};
use crate::wire::{IcmpError, Packet, Protocol};

/// Towards the firewall, and so to everybody who has an address in the network.
pub const FIREWALL: PortId = PortId(0);

/// Where the network's own ICMP errors come from. No such address shows in a real VPC network; it is a documentation
/// address.
const ROUTER_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// Addresses that never leave to the internet.
const NOT_PUBLIC: [(Ipv4Addr, u8); 4] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
];

/// `private.googleapis.com` and `restricted.googleapis.com`.
const GOOGLE_API_ADDRESSES: [(Ipv4Addr, u8); 2] =
    [(Ipv4Addr::new(199, 36, 153, 8), 30), (Ipv4Addr::new(199, 36, 153, 4), 30)];

fn within(address: Ipv4Addr, ranges: &[(Ipv4Addr, u8)]) -> bool {
    ranges.iter().any(|&(net, length)| (u32::from(address) ^ u32::from(net)) >> (32 - length) == 0)
}

/// Whether an address is one that the internet does not route.
pub fn is_private(address: Ipv4Addr) -> bool {
    within(address, &NOT_PUBLIC) || address.is_link_local() || address.is_loopback() || address.is_multicast()
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextHop {
    /// The default internet gateway.
    Internet,
    /// An internal load balancer behind this port.
    Ilb(PortId),
    /// A VM, tunnel, attachment, appliance or peer behind this port.
    Other(PortId),
    /// Something that is not running.
    Blackhole,
}

impl NextHop {
    /// Lower is preferred at equal prefix and priority.
    fn category(&self) -> u8 {
        match self {
            NextHop::Other(_) | NextHop::Blackhole => 0,
            NextHop::Ilb(_) => 1,
            NextHop::Internet => 2,
        }
    }
}

/// One custom or default route.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// Lower wins among routes of equal length.
    pub priority: u16,
    /// Applies to senders with one of these tags; empty means all.
    pub tags: Vec<String>,
    /// Where it leads.
    pub next_hop: NextHop,
    /// How a trace names the next hop.
    pub leads_to: Arc<str>,
}

/// A subnet's own route.
#[derive(Debug, Clone)]
pub struct SubnetRoute {
    /// Subnet name.
    pub name: Arc<str>,
    /// Private Google Access for senders in it.
    pub private_google_access: bool,
}

/// The routes of one network.
#[derive(Debug)]
pub struct Router {
    network: Arc<str>,
    subnets: PrefixMap<Ipv4Net, SubnetRoute>,
    routes: PrefixMap<Ipv4Net, Vec<Route>>,
    /// Which NAT gateway serves a source address.
    nat: PrefixMap<Ipv4Net, PortId>,
    google_apis: PrefixMap<Ipv4Net, ()>,
    google_port: PortId,
    tags: HashMap<Ipv4Addr, Vec<String>, FixedState>,
    seed: u64,
}

impl Router {
    /// A network without subnets and routes. `google_port` leads to Google's APIs; `seed` decides which flow takes which
    /// of several equal routes.
    pub fn new(network: Arc<str>, google_port: PortId, seed: u64) -> Self {
        Router {
            network,
            subnets: PrefixMap::new(),
            routes: PrefixMap::new(),
            nat: PrefixMap::new(),
            google_apis: PrefixMap::new(),
            google_port,
            tags: HashMap::default(),
            seed,
        }
    }

    /// Adds a subnet range (primary or secondary) with its route.
    pub fn add_subnet(&mut self, range: Ipv4Net, subnet: SubnetRoute) {
        self.subnets.insert(range, subnet);
    }

    /// Adds a custom or default route.
    pub fn add_route(&mut self, dest: Ipv4Net, route: Route) {
        let routes = self.routes.entry(dest).or_default();
        routes.push(route);
        routes.sort_by_key(|route| (route.priority, route.next_hop.category()));
    }

    /// Sources in this range are served by the NAT gateway behind this port. The first gateway to claim a range has it.
    pub fn add_nat_coverage(&mut self, range: Ipv4Net, port: PortId) {
        self.nat.entry(range).or_insert(port);
    }

    /// Destinations in this range are Google APIs.
    pub fn add_google_api(&mut self, range: Ipv4Net) {
        self.google_apis.insert(range, ());
    }

    /// Gives a sender network tags.
    pub fn set_tags(&mut self, address: Ipv4Addr, tags: Vec<String>) {
        if !tags.is_empty() {
            self.tags.insert(address, tags);
        }
    }

    /// Handles a packet that came through `from`.
    pub fn handle_packet(&mut self, packet: &mut Packet, from: PortId, explain: &mut Explain) -> Verdict {
        let dst = packet.dst();
        if let Some((range, subnet)) = self.subnets.get_lpm(&Ipv4Net::from(dst)) {
            explain.say(State::ApplyRoute, || {
                let text = format!("subnet route {range} of {} wins: {dst} is inside {}", subnet.name, self.network);
                let network = Resource::network(Arc::clone(&self.network));
                let info = RouteInfo {
                    route_type: RouteType::Subnet,
                    next_hop_type: NextHopType::Network,
                    display_name: format!("subnet route {}", subnet.name),
                    route: None,
                    region: None,
                    dest_ip_range: range.to_string(),
                    priority: 0,
                    instance_tags: vec![],
                    src_ip_range: None,
                    protocols: vec![],
                    next_hop: Some(network.clone()),
                    next_hop_text: self.network.to_string(),
                    next_hop_network: Some(network.clone()),
                    network,
                };
                (text, info)
            });
            return Verdict::Forward(FIREWALL, Memo::Pure);
        }
        // Cloud NAT, tunnels and peers deliver to subnets only; nothing goes through a network.
        let route = if from == FIREWALL { self.select(packet) } else { None };
        let Some((range, route)) = route else {
            explain.say(State::ApplyRoute, || format!("no route of {} covers {dst}", self.network));
            return no_route(packet);
        };
        explain.say(State::ApplyRoute, || {
            let (name, priority, leads_to) = (&route.name, route.priority, &route.leads_to);
            let text = format!("route {name} ({range}, priority {priority}) to {leads_to} wins");
            (text, self.route_info(range, route))
        });
        match route.next_hop {
            NextHop::Internet => self.to_internet(packet, explain),
            NextHop::Ilb(port) | NextHop::Other(port) => Verdict::Forward(port, Memo::Pure),
            NextHop::Blackhole => Verdict::Drop(DropCause::RouteBlackhole),
        }
    }

    fn route_info(&self, range: Ipv4Net, route: &Route) -> RouteInfo {
        RouteInfo {
            route_type: RouteType::Static,
            next_hop_type: match route.next_hop {
                NextHop::Internet => NextHopType::InternetGateway,
                NextHop::Ilb(_) => NextHopType::Ilb,
                NextHop::Other(_) => NextHopType::Ip,
                NextHop::Blackhole => NextHopType::Blackhole,
            },
            display_name: route.name.to_string(),
            route: Some(Resource::global("routes", Arc::clone(&route.name))),
            region: None,
            dest_ip_range: range.to_string(),
            network: Resource::network(Arc::clone(&self.network)),
            priority: route.priority.into(),
            instance_tags: route.tags.clone(),
            src_ip_range: None,
            protocols: vec![],
            next_hop: None,
            next_hop_text: route.leads_to.to_string(),
            next_hop_network: None,
        }
    }

    /// The route that wins, among those that apply to the sender.
    fn select(&self, packet: &Packet) -> Option<(Ipv4Net, &Route)> {
        let none = Vec::new();
        let tags = self.tags.get(&packet.src()).unwrap_or(&none);
        let applies = |route: &&Route| route.tags.is_empty() || route.tags.iter().any(|tag| tags.contains(tag));
        let host = Ipv4Net::from(packet.dst());
        let mut best: Option<(Ipv4Net, &Vec<Route>)> = None;
        // From the shortest to the longest; the last one that applies is the longest.
        for (range, routes) in self.routes.cover(&host) {
            if routes.iter().any(|route| applies(&route)) {
                best = Some((range, routes));
            }
        }
        let (range, routes) = best?;
        let first = routes.iter().find(applies)?;
        let rank = (first.priority, first.next_hop.category());
        let equal = || {
            let same = move |route: &&Route| (route.priority, route.next_hop.category()) == rank;
            routes.iter().filter(applies).filter(same)
        };
        let key = packet.five_tuple().map_or(0, |tuple| tuple.key());
        let choice = spread(key, self.seed, equal().count() as u32);
        equal().nth(choice as usize).map(|route| (range, route))
    }

    /// Behind the default internet gateway: Google APIs, Cloud NAT, or nothing.
    fn to_internet(&self, packet: &Packet, explain: &mut Explain) -> Verdict {
        let (src, dst) = (packet.src(), packet.dst());
        if is_private(dst) {
            explain.say(State::Drop, || format!("{dst} is private, and the route leads to the internet"));
            return Verdict::Drop(DropCause::PrivateTrafficToInternet);
        }
        let google = within(dst, &GOOGLE_API_ADDRESSES) || self.google_apis.get_lpm(&Ipv4Net::from(dst)).is_some();
        if google {
            let subnet = self.subnets.get_lpm(&Ipv4Net::from(src)).map(|(_, subnet)| subnet);
            if subnet.is_some_and(|subnet| subnet.private_google_access) {
                return Verdict::Forward(self.google_port, Memo::Pure);
            }
            explain.say(State::Drop, || {
                let name = subnet.map_or("none", |subnet| &*subnet.name);
                format!("{dst} is a Google API, and subnet {name} has no Private Google Access")
            });
            return Verdict::Drop(DropCause::PrivateGoogleAccessDisallowed);
        }
        if packet.five_tuple().is_some_and(|tuple| tuple.protocol == Protocol::Tcp && tuple.dst_port == 25) {
            explain.say(State::Drop, || "Google Cloud blocks TCP port 25 to external addresses");
            return Verdict::Drop(DropCause::TrafficTypeBlocked);
        }
        match self.nat.get_lpm(&Ipv4Net::from(src)) {
            Some((_, &port)) => Verdict::Forward(port, Memo::Pure),
            None => {
                explain.say(State::Drop, || {
                    format!("{src} has no external address, and no Cloud NAT gateway covers its subnet")
                });
                Verdict::Drop(DropCause::NoExternalAddress)
            }
        }
    }
}

/// Google: without a route the sender gets an ICMP "destination or network unreachable".
fn no_route(packet: &Packet) -> Verdict {
    let mut error = Packet::empty();
    if error.build_icmp_error(IcmpError::NetworkUnreachable, packet, ROUTER_ADDRESS) {
        Verdict::Refuse(DropCause::NoRoute, Box::new(error))
    } else {
        Verdict::Drop(DropCause::NoRoute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::FiveTuple;

    const NAT: PortId = PortId(1);
    const VPN: PortId = PortId(2);
    const ILB: PortId = PortId(3);
    const GOOGLE: PortId = PortId(4);

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    fn route(name: &str, priority: u16, next_hop: NextHop) -> Route {
        Route { name: name.into(), priority, tags: vec![], next_hop, leads_to: name.into() }
    }

    fn router(routes: Vec<(&str, Route)>) -> Router {
        let mut router = Router::new("vpc".into(), GOOGLE, 7);
        let subnet = |name: &str| SubnetRoute { name: name.into(), private_google_access: name == "pga" };
        router.add_subnet(net("10.40.0.0/20"), subnet("run"));
        router.add_subnet(net("10.41.0.0/20"), subnet("pga"));
        router.add_nat_coverage(net("10.40.0.0/20"), NAT);
        for (dest, route) in routes {
            router.add_route(net(dest), route);
        }
        router
    }

    fn send(router: &mut Router, src: &str, dst: &str, dst_port: u16) -> Result<PortId, DropCause> {
        let tuple = FiveTuple::<Ipv4Addr> {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
            src_port: 5000,
            dst_port,
            protocol: Protocol::Tcp,
        };
        let mut packet = Packet::empty();
        packet.build_tcp(tuple, crate::wire::TcpSegment { flags: 2, seq: 0, ack: 0, payload: 0 });
        match router.handle_packet(&mut packet, FIREWALL, &mut Explain::silent()) {
            Verdict::Forward(port, _) => Ok(port),
            Verdict::Drop(cause) | Verdict::Refuse(cause, _) => Err(cause),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn t4_and_t7_internet_needs_a_gateway_that_covers_the_source() {
        let mut router = router(vec![("0.0.0.0/0", route("default", 1000, NextHop::Internet))]);
        assert_eq!(send(&mut router, "10.40.0.2", "8.8.8.8", 443), Ok(NAT));
        assert_eq!(send(&mut router, "10.41.0.2", "8.8.8.8", 443), Err(DropCause::NoExternalAddress));
        assert_eq!(send(&mut router, "10.40.0.2", "10.1.2.3", 443), Err(DropCause::PrivateTrafficToInternet));
    }

    #[test]
    fn without_any_route_there_is_none() {
        assert_eq!(send(&mut router(vec![]), "10.40.0.2", "8.8.8.8", 443), Err(DropCause::NoRoute));
    }

    #[test]
    fn t10_smtp_to_the_internet_is_blocked() {
        let mut router = router(vec![("0.0.0.0/0", route("default", 1000, NextHop::Internet))]);
        assert_eq!(send(&mut router, "10.40.0.2", "198.51.100.7", 25), Err(DropCause::TrafficTypeBlocked));
    }

    #[test]
    fn t11_a_subnet_route_beats_everything() {
        let mut router = router(vec![
            ("10.0.0.0/8", route("vpn", 100, NextHop::Other(VPN))),
            ("10.40.0.9/32", route("host", 0, NextHop::Other(VPN))),
        ]);
        assert_eq!(send(&mut router, "10.40.0.2", "10.40.0.9", 443), Ok(FIREWALL));
        assert_eq!(send(&mut router, "10.40.0.2", "10.50.0.9", 443), Ok(VPN));
    }

    #[test]
    fn t12_a_better_default_route_bypasses_cloud_nat() {
        let mut router = router(vec![
            ("0.0.0.0/0", route("default", 1000, NextHop::Internet)),
            ("0.0.0.0/0", route("ilb", 900, NextHop::Ilb(ILB))),
        ]);
        assert_eq!(send(&mut router, "10.40.0.2", "8.8.8.8", 443), Ok(ILB));
    }

    #[test]
    fn the_longest_prefix_wins_before_priority_is_looked_at() {
        let mut router = router(vec![
            ("0.0.0.0/0", route("default", 0, NextHop::Internet)),
            ("198.51.100.0/24", route("vpn", 65_535, NextHop::Other(VPN))),
        ]);
        assert_eq!(send(&mut router, "10.40.0.2", "198.51.100.7", 443), Ok(VPN));
    }

    #[test]
    fn at_equal_priority_the_internet_gateway_comes_last() {
        let mut router = router(vec![
            ("0.0.0.0/0", route("default", 1000, NextHop::Internet)),
            ("0.0.0.0/0", route("ilb", 1000, NextHop::Ilb(ILB))),
            ("0.0.0.0/0", route("vpn", 1000, NextHop::Other(VPN))),
        ]);
        assert_eq!(send(&mut router, "10.40.0.2", "8.8.8.8", 443), Ok(VPN));
    }

    #[test]
    fn t13_equal_routes_share_flows_and_a_flow_keeps_its_own() {
        let mut router = router(vec![
            ("0.0.0.0/0", route("a", 1000, NextHop::Other(VPN))),
            ("0.0.0.0/0", route("b", 1000, NextHop::Other(ILB))),
        ]);
        let ways: Vec<_> = (1..200).map(|port| send(&mut router, "10.40.0.2", "8.8.8.8", port).unwrap()).collect();
        assert!(ways.contains(&VPN) && ways.contains(&ILB));
        let again: Vec<_> = (1..200).map(|port| send(&mut router, "10.40.0.2", "8.8.8.8", port).unwrap()).collect();
        assert_eq!(ways, again);
    }

    #[test]
    fn a_tagged_route_applies_to_tagged_senders_only() {
        let tagged = Route { tags: vec!["web".into()], ..route("tagged", 0, NextHop::Other(VPN)) };
        let mut router = router(vec![("0.0.0.0/0", route("default", 1000, NextHop::Internet)), ("8.0.0.0/8", tagged)]);
        router.set_tags("10.40.0.3".parse().unwrap(), vec!["web".into()]);
        assert_eq!(send(&mut router, "10.40.0.2", "8.8.8.8", 443), Ok(NAT));
        assert_eq!(send(&mut router, "10.40.0.3", "8.8.8.8", 443), Ok(VPN));
    }

    #[test]
    fn google_apis_go_without_nat_or_not_at_all() {
        let mut router = router(vec![("0.0.0.0/0", route("default", 1000, NextHop::Internet))]);
        assert_eq!(send(&mut router, "10.41.0.2", "199.36.153.8", 443), Ok(GOOGLE));
        let refused = send(&mut router, "10.40.0.2", "199.36.153.8", 443);
        assert_eq!(refused, Err(DropCause::PrivateGoogleAccessDisallowed));
    }
}
