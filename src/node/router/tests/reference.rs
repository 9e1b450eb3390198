//! The choice of a route against a slow, obvious one: lists, looked through from front to end for each packet, in the words
//! of Google's page. It shares nothing with the real one but the types that describe routes.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use proptest::prelude::*;

use super::*;

/// Few addresses and few lengths, so that ranges contain each other and are equal often.
const ADDRESSES: [[u8; 4]; 8] = [
    [10, 0, 0, 1],
    [10, 0, 0, 130],
    [10, 0, 9, 9],
    [10, 7, 0, 1],
    [172, 16, 0, 1],
    [198, 51, 100, 7],
    [35, 199, 192, 9],
    [240, 0, 0, 1],
];
const LENGTHS: [u8; 8] = [0, 4, 8, 12, 16, 24, 25, 32];
const REGIONS: [&str; 3] = ["us-central1", "europe-west1", "asia-east1"];
const TAGS: [&str; 3] = ["web", "app", "db"];
const FIRST_PORT: u32 = 100;

#[derive(Debug, Clone)]
struct Subnet {
    range: Ipv4Net,
    region: usize,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Plain,
    Hybrid,
    PrivateNat,
}

/// Where a packet comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Interface,
    Tunnel(Option<usize>),
    Attachment(Option<usize>),
}

impl Entry {
    /// Towards there lead the first route and the second: so that some packets are sent back.
    fn port(self) -> PortId {
        match self {
            Entry::Interface => FIREWALL,
            Entry::Tunnel(_) => route_port(0),
            Entry::Attachment(_) => route_port(1),
        }
    }
}

#[derive(Debug, Clone)]
enum Kind {
    Static { tags: Vec<usize> },
    Dynamic { region: Option<usize>, global: bool, cost: u32 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hop {
    TunnelOrVm,
    Dead,
    LoadBalancer,
    Internet,
}

#[derive(Debug, Clone)]
struct Listed {
    dest: Ipv4Net,
    kind: Kind,
    peer: Option<u16>,
    priority: u32,
    hop: Hop,
    /// A load balancer without global access.
    only_from: Option<usize>,
    in_use: bool,
    removed: bool,
}

#[derive(Debug, Clone)]
struct Policy {
    src: Ipv4Net,
    dst: Ipv4Net,
    priority: u16,
    protocol: Option<u8>,
    whose: Whose,
    default_routing: bool,
}

#[derive(Debug, Clone)]
enum Whose {
    All,
    Tagged(Vec<usize>),
    Attachments(Option<usize>),
}

/// A network, as lists.
#[derive(Debug, Clone)]
struct World {
    subnets: Vec<Subnet>,
    peer_subnets: Vec<Ipv4Net>,
    routes: Vec<Listed>,
    policies: Vec<Policy>,
    /// Who is attached, with tags.
    attached: Vec<(Ipv4Addr, Vec<usize>)>,
}

/// What may become of a packet: where it goes, or why it stops. Several, where equal routes share the flows.
type Outcomes = BTreeSet<String>;

fn outcome(result: Result<PortId, DropCause>) -> String {
    match result {
        Ok(port) => format!("port {}", port.0),
        Err(cause) => cause.name().to_owned(),
    }
}

fn only(result: Result<PortId, DropCause>) -> Outcomes {
    Outcomes::from([outcome(result)])
}

impl World {
    fn tags_of(&self, address: Ipv4Addr) -> Vec<usize> {
        // Whoever was attached last has the address.
        self.attached.iter().rev().find(|(who, _)| *who == address).map(|(_, tags)| tags.clone()).unwrap_or_default()
    }

    fn region_of(&self, address: Ipv4Addr) -> Option<usize> {
        let around = self.subnets.iter().filter(|subnet| subnet.range.contains(&address));
        around.max_by_key(|subnet| subnet.range.prefix_len()).map(|subnet| subnet.region)
    }

    fn expected(&self, entry: Entry, src: Ipv4Addr, dst: Ipv4Addr) -> Outcomes {
        // 1. Special routing paths are outside of the table.
        let special = ["35.191.0.0/16", "130.211.0.0/22", "35.235.240.0/20", "35.199.192.0/19", "35.199.224.0/19"];
        if special.iter().any(|range| range.parse::<Ipv4Net>().unwrap().contains(&dst)) {
            return only(Ok(GOOGLE));
        }
        // Tags are those of interfaces; what comes from elsewhere is of the region of its tunnel or attachment.
        let (tags, region) = match entry {
            Entry::Interface => (self.tags_of(src), self.region_of(src)),
            Entry::Tunnel(region) | Entry::Attachment(region) => (vec![], region),
        };
        // 2. Of policy-based routes the highest priority counts; of equal ones, the first by name.
        let matching = self.policies.iter().enumerate().filter(|(_, policy)| {
            policy.src.contains(&src)
                && policy.dst.contains(&dst)
                && policy.protocol.is_none_or(|protocol| protocol == 6)
                && match (&policy.whose, entry) {
                    (Whose::All, _) => true,
                    (Whose::Tagged(wanted), _) => wanted.iter().any(|tag| tags.contains(tag)),
                    (Whose::Attachments(of), Entry::Attachment(at)) => of.is_none() || *of == at,
                    (Whose::Attachments(_), _) => false,
                }
        });
        if let Some((at, policy)) = matching.min_by_key(|(at, policy)| (policy.priority, policy_name(*at)))
            && !policy.default_routing
        {
            return only(Ok(policy_port(at)));
        }
        // 3. Subnet routes: the network's own, then those of peers.
        let mut inside = None;
        if let Some(subnet) = self
            .subnets
            .iter()
            .filter(|subnet| subnet.range.contains(&dst))
            .max_by_key(|subnet| subnet.range.prefix_len())
        {
            let somebody = self.attached.iter().any(|(who, _)| *who == dst);
            match subnet.what {
                What::PrivateNat => return only(Err(DropCause::DestinationIsPrivateNatIpRange)),
                What::Hybrid if !somebody => inside = Some(subnet),
                What::Plain | What::Hybrid => return only(Ok(FIREWALL)),
            }
        } else if let Some((at, _)) = (self.peer_subnets.iter().enumerate())
            .filter(|(_, range)| range.contains(&dst))
            .max_by_key(|(_, range)| range.prefix_len())
        {
            return only(Ok(peer_port(at)));
        }
        // 4. The longest prefix among the routes that apply to the sender and are in consideration.
        let sender = (tags, region);
        let mut routes: Vec<(usize, &Listed)> = (self.routes.iter().enumerate())
            .filter(|(_, route)| !route.removed && route.in_use && route.dest.contains(&dst) && applies(route, &sender))
            .collect();
        let longest = routes.iter().map(|(_, route)| route.dest.prefix_len()).max();
        routes.retain(|(_, route)| Some(route.dest.prefix_len()) == longest);
        if let Some(subnet) = inside
            && longest.is_none_or(|length| length < subnet.range.prefix_len())
        {
            return only(Err(DropCause::HybridSubnetNoRoute));
        }
        // 5. The network's own before imported ones; of several peers, one.
        let first = routes.iter().map(|(_, route)| route.peer.map_or(-1, i32::from)).min();
        routes.retain(|(_, route)| Some(route.peer.map_or(-1, i32::from)) == first);
        // 6. The lowest priority number.
        let lowest = routes.iter().map(|(_, route)| priority(route, sender.1)).min();
        routes.retain(|(_, route)| Some(priority(route, sender.1)) == lowest);
        // 7. The kind of next hop; what takes nothing is a VM or tunnel like any other.
        let rank = |hop: Hop| if hop == Hop::Dead { Hop::TunnelOrVm } else { hop };
        let best = routes.iter().map(|(_, route)| rank(route.hop)).min();
        routes.retain(|(_, route)| Some(rank(route.hop)) == best);
        // 9. None: then a static one whose next hop does not run is why.
        if routes.is_empty() {
            let dead = self.routes.iter().any(|route| {
                let stopped = matches!(route.kind, Kind::Static { .. }) && !route.in_use;
                stopped && !route.removed && route.dest.contains(&dst) && applies(route, &sender)
            });
            return only(Err(if dead { DropCause::RouteBlackhole } else { DropCause::NoRoute }));
        }
        // 8. Equal ones share the flows.
        let after = |(at, route): &(usize, &Listed)| {
            if let (Some(subnet), Kind::Dynamic { region: Some(region), .. }) = (inside, &route.kind)
                && *region != subnet.region
            {
                return Err(DropCause::HybridSubnetRegionMismatch);
            }
            let elsewhere = |of: usize| region.is_some_and(|region| region != of);
            match route.hop {
                Hop::LoadBalancer if route.only_from.is_some_and(elsewhere) => {
                    Err(DropCause::ForwardingRuleRegionMismatch)
                }
                Hop::TunnelOrVm | Hop::LoadBalancer if route_port(*at) == entry.port() => Err(DropCause::RoutingLoop),
                Hop::TunnelOrVm | Hop::LoadBalancer => Ok(route_port(*at)),
                Hop::Internet if entry != Entry::Interface => {
                    Err(DropCause::TrafficFromHybridEndpointToInternetDisallowed)
                }
                Hop::Dead => Err(DropCause::RouteBlackhole),
                Hop::Internet if is_private(dst) => Err(DropCause::PrivateTrafficToInternet),
                Hop::Internet => Ok(NAT),
            }
        };
        routes.iter().map(|route| outcome(after(route))).collect()
    }

    fn build(&self, entry: Entry) -> Router {
        let mut router = Router::new("vpc".into(), GOOGLE, 7);
        router.add_nat_coverage("0.0.0.0/0".parse().unwrap(), NAT);
        let region = |region: Option<usize>| region.map(|region| REGIONS[region].into());
        match entry {
            Entry::Interface => {}
            Entry::Tunnel(of) => router.set_origin(entry.port(), Origin::Tunnel { region: region(of) }),
            Entry::Attachment(of) => router.set_origin(entry.port(), Origin::Attachment { region: region(of) }),
        }
        for subnet in &self.subnets {
            let name = match subnet.what {
                What::Plain => "plain",
                What::Hybrid => "hybrid",
                What::PrivateNat => "private-nat",
            };
            router.add_subnet(subnet.range, super::subnet(name, REGIONS[subnet.region]));
        }
        for (at, range) in self.peer_subnets.iter().enumerate() {
            let port = peer_port(at);
            let subnet = PeerSubnet { name: None, network: "p".into(), peering: "p".into(), region: None, port };
            router.add_peer_subnet(*range, subnet);
        }
        for (at, policy) in self.policies.iter().enumerate() {
            router.add_policy_route(PolicyRoute {
                name: policy_name(at).into(),
                priority: policy.priority,
                src: policy.src.into(),
                dst: policy.dst.into(),
                protocol: policy.protocol,
                scope: match &policy.whose {
                    Whose::All => PolicyScope::All,
                    Whose::Tagged(tags) => PolicyScope::Tags(tags.iter().map(|tag| TAGS[*tag].to_owned()).collect()),
                    Whose::Attachments(of) => PolicyScope::Attachments(region(*of)),
                },
                next_hop: (!policy.default_routing).then(|| (ilb(policy_port(at)), hop_name("ilb"))),
            });
        }
        for (address, tags) in &self.attached {
            let tags: Vec<String> = tags.iter().map(|tag| TAGS[*tag].to_owned()).collect();
            router.attach(Ipv4Net::from(*address), &tags);
        }
        let ids: Vec<_> = (self.routes.iter().enumerate())
            .map(|(at, listed)| (listed.removed, router.add_route(listed.dest, listed.described(at))))
            .collect();
        for (_, id) in ids.into_iter().filter(|(removed, _)| *removed) {
            router.remove_route(id);
        }
        router
    }
}

impl Listed {
    fn described(&self, at: usize) -> Route {
        let port = route_port(at);
        let next_hop = match self.hop {
            Hop::TunnelOrVm if at.is_multiple_of(2) => NextHop::VpnTunnel(port),
            Hop::TunnelOrVm => NextHop::Other(port),
            Hop::Dead => NextHop::Dead(DropCause::RouteBlackhole),
            Hop::LoadBalancer => NextHop::Ilb { port, only_from: self.only_from.map(|region| REGIONS[region].into()) },
            Hop::Internet => NextHop::Internet,
        };
        let (kind, tags) = match &self.kind {
            Kind::Static { tags } => (RouteKind::Static, tags.iter().map(|tag| TAGS[*tag].to_owned()).collect()),
            Kind::Dynamic { region, global, cost } => {
                let region = region.map(|region| REGIONS[region].into());
                (RouteKind::Dynamic { region, global: *global, inter_region_cost: *cost }, vec![])
            }
        };
        Route {
            kind,
            tags,
            peer: self.peer.map(|order| PeerName { order, network: format!("peer {order}").into() }),
            out_of_use: (!self.in_use).then_some("out of use"),
            ..route(&format!("r{at}"), self.priority, next_hop)
        }
    }
}

fn applies(route: &Listed, (tags, region): &(Vec<usize>, Option<usize>)) -> bool {
    match &route.kind {
        Kind::Static { tags: wanted } => wanted.is_empty() || wanted.iter().any(|tag| tags.contains(tag)),
        Kind::Dynamic { region: Some(of), global: false, .. } => *region == Some(*of),
        Kind::Dynamic { .. } => true,
    }
}

fn priority(route: &Listed, region: Option<usize>) -> u32 {
    match &route.kind {
        Kind::Dynamic { region: Some(of), cost, .. } if region != Some(*of) => route.priority + cost,
        _ => route.priority,
    }
}

fn route_port(at: usize) -> PortId {
    PortId(FIRST_PORT + at as u32)
}

fn peer_port(at: usize) -> PortId {
    PortId(10 * FIRST_PORT + at as u32)
}

fn policy_port(at: usize) -> PortId {
    PortId(20 * FIRST_PORT + at as u32)
}

/// Names in another order than that of the list.
fn policy_name(at: usize) -> String {
    format!("p{:02}", (at * 7 + 3) % 20)
}

fn address() -> impl Strategy<Value = Ipv4Addr> {
    (0..ADDRESSES.len()).prop_map(|at| ADDRESSES[at].into())
}

fn range() -> impl Strategy<Value = Ipv4Net> {
    (address(), 0..LENGTHS.len()).prop_map(|(address, at)| Ipv4Net::new(address, LENGTHS[at]).unwrap().trunc())
}

fn some_tags() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![3 => Just(vec![]), 2 => prop::collection::vec(0..TAGS.len(), 1..3)]
}

fn listed() -> impl Strategy<Value = Listed> {
    let kind = prop_oneof![
        3 => some_tags().prop_map(|tags| Kind::Static { tags }),
        2 => (prop::option::of(0..REGIONS.len()), any::<bool>(), prop_oneof![Just(0u32), Just(1), Just(300)])
            .prop_map(|(region, global, cost)| Kind::Dynamic { region, global, cost }),
    ];
    let hop = prop_oneof![4 => Just(Hop::TunnelOrVm), 1 => Just(Hop::Dead), 2 => Just(Hop::LoadBalancer), 2 => Just(Hop::Internet)];
    let peer = prop_oneof![3 => Just(None), 2 => (0u16..3).prop_map(Some)];
    let flags = (prop::bool::weighted(0.85), prop::bool::weighted(0.15), prop::option::of(0..REGIONS.len()));
    (range(), kind, peer, prop_oneof![Just(100u32), Just(101), Just(400)], hop, flags).prop_map(
        |(dest, kind, peer, priority, hop, (in_use, removed, only_from))| Listed {
            dest,
            kind,
            peer,
            priority,
            hop,
            only_from,
            in_use,
            removed,
        },
    )
}

fn policy() -> impl Strategy<Value = Policy> {
    let protocol = prop_oneof![Just(None), Just(Some(6u8)), Just(Some(17))];
    let whose = prop_oneof![
        2 => Just(Whose::All),
        2 => prop::collection::vec(0..TAGS.len(), 1..3).prop_map(Whose::Tagged),
        1 => prop::option::of(0..REGIONS.len()).prop_map(Whose::Attachments),
    ];
    (range(), range(), 1u16..4, protocol, whose, prop::bool::weighted(0.3)).prop_map(
        |(src, dst, priority, protocol, whose, default_routing)| Policy {
            src,
            dst,
            priority,
            protocol,
            whose,
            default_routing,
        },
    )
}

fn world() -> impl Strategy<Value = World> {
    let long = || range().prop_filter("a subnet is not that wide", |range| range.prefix_len() >= 12);
    let what = prop_oneof![4 => Just(What::Plain), 3 => Just(What::Hybrid), 1 => Just(What::PrivateNat)];
    let subnet = (long(), 0..REGIONS.len(), what).prop_map(|(range, region, what)| Subnet { range, region, what });
    (
        prop::collection::vec(subnet, 0..4),
        prop::collection::vec(long(), 0..3),
        prop::collection::vec(listed(), 0..24),
        prop::collection::vec(policy(), 0..4),
        prop::collection::vec((address(), some_tags()), 0..6),
    )
        .prop_map(|(subnets, peer_subnets, routes, policies, attached)| {
            let mut world = World { subnets, peer_subnets, routes, policies, attached };
            // Two routes of one range are the last one's, in a table and in a list.
            let mut seen = BTreeSet::new();
            world.subnets.retain(|subnet| seen.insert(subnet.range));
            seen.clear();
            world.peer_subnets.retain(|range| seen.insert(*range));
            world
        })
}

fn entry() -> impl Strategy<Value = Entry> {
    let region = || prop::option::of(0..REGIONS.len());
    prop_oneof![3 => Just(Entry::Interface), 1 => region().prop_map(Entry::Tunnel), 1 => region().prop_map(Entry::Attachment)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn the_route_is_the_one_that_the_page_says((world, entry) in (world(), entry())) {
        let mut router = world.build(entry);
        for src in ADDRESSES.map(Ipv4Addr::from) {
            for dst in ADDRESSES.map(Ipv4Addr::from) {
                let expected = world.expected(entry, src, dst);
                for port in [1, 443] {
                    let (source, destination) = (src.to_string(), dst.to_string());
                    let mut send = || verdict(&mut router, &mut packet(&source, &destination, port), entry.port());
                    let chosen = send();
                    prop_assert!(expected.contains(&outcome(chosen)), "{src} to {dst}: {chosen:?}, expected {expected:?}");
                    // The same flow takes the same route.
                    prop_assert_eq!(send(), chosen);
                }
            }
            // To say why fails on no table.
            told(&mut router, &src.to_string(), &src.to_string());
        }
    }
}

#[test]
fn the_random_tables_meet_every_way_to_decide() {
    use std::collections::BTreeMap;

    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut met: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..1000 {
        let (world, entry) = (world(), entry()).new_tree(&mut runner).unwrap().current();
        for src in ADDRESSES.map(Ipv4Addr::from) {
            for dst in ADDRESSES.map(Ipv4Addr::from) {
                let expected = world.expected(entry, src, dst);
                if expected.len() > 1 {
                    *met.entry("equal routes".into()).or_default() += 1;
                }
                for outcome in expected {
                    // Ports of routes, of peers and of policies.
                    let what = match outcome.strip_prefix("port ").map(|port| port.parse::<u32>().unwrap()) {
                        Some(port) if port >= 20 * FIRST_PORT => "a policy-based route".to_owned(),
                        Some(port) if port >= 10 * FIRST_PORT => "a peer's subnet".to_owned(),
                        Some(port) if port >= FIRST_PORT => "a route".to_owned(),
                        _ => outcome,
                    };
                    *met.entry(what).or_default() += 1;
                }
            }
        }
    }
    let causes = [
        DropCause::NoRoute,
        DropCause::RouteBlackhole,
        DropCause::RoutingLoop,
        DropCause::PrivateTrafficToInternet,
        DropCause::TrafficFromHybridEndpointToInternetDisallowed,
        DropCause::HybridSubnetNoRoute,
        DropCause::HybridSubnetRegionMismatch,
        DropCause::ForwardingRuleRegionMismatch,
        DropCause::DestinationIsPrivateNatIpRange,
    ];
    let ways = ["a policy-based route", "a peer's subnet", "a route", "equal routes"].map(str::to_owned);
    let ports = [FIREWALL, GOOGLE, NAT].map(|port| outcome(Ok(port)));
    for what in ways.into_iter().chain(ports).chain(causes.map(|cause| cause.name().to_owned())) {
        assert!(met.get(&what).is_some_and(|count| *count > 50), "{what}: {met:?}");
    }
}
