//! The routes of one version of IP: who wins for a destination and a sender.
//!
//! Each question is a walk down a trie, at most as long as an address has bits, and then a look at the best route of each
//! list that concerns the sender. How many routes there are does not matter, nor in which order they were added.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::{Prefix, PrefixMap};

use super::Router;
use super::names::{NameId, Names};
use super::policy::Policies;
use super::route::{ForwardingRule, PeerSubnet, Rank, Route, RouteId, RouteKind, SubnetRoute};
use super::special::Special;
use crate::trace::PortId;

/// A version of IP.
pub(super) trait Family: Prefix + Copy + PartialEq + fmt::Display + fmt::Debug + 'static {
    /// The table of this version.
    fn table(router: &Router) -> &Table<Self>;

    /// As an address.
    fn address(self) -> IpAddr;

    /// The first eight bits of the range.
    fn head(self) -> u8;

    /// An address as a range of one, if it is of this version.
    fn of(range: IpNet) -> Option<Self>;
}

impl Family for Ipv4Net {
    fn table(router: &Router) -> &Table<Self> {
        &router.v4
    }

    fn head(self) -> u8 {
        self.network().octets()[0]
    }

    fn address(self) -> IpAddr {
        self.addr().into()
    }

    fn of(range: IpNet) -> Option<Self> {
        match range {
            IpNet::V4(range) => Some(range),
            IpNet::V6(_) => None,
        }
    }
}

impl Family for Ipv6Net {
    fn table(router: &Router) -> &Table<Self> {
        &router.v6
    }

    fn head(self) -> u8 {
        self.network().octets()[0]
    }

    fn address(self) -> IpAddr {
        self.addr().into()
    }

    fn of(range: IpNet) -> Option<Self> {
        match range {
            IpNet::V4(_) => None,
            IpNet::V6(range) => Some(range),
        }
    }
}

/// Ranges that few destinations are in. Most are told apart by their first eight bits, without a walk down the trie.
#[derive(Debug)]
pub(super) struct Ranges<P: Prefix, T> {
    /// One bit for each value of the first eight.
    heads: [u64; 4],
    ranges: PrefixMap<P, T>,
}

impl<P: Family, T> Default for Ranges<P, T> {
    fn default() -> Self {
        Ranges { heads: [0; 4], ranges: PrefixMap::new() }
    }
}

impl<P: Family, T> Ranges<P, T> {
    pub(super) fn insert(&mut self, range: P, value: T) {
        let first = usize::from(range.head());
        // A range shorter than eight bits covers several values.
        for head in first..first + (1 << 8u8.saturating_sub(range.prefix_len())) {
            self.heads[head / 64] |= 1 << (head % 64);
        }
        self.ranges.insert(range, value);
    }

    #[inline]
    pub(super) fn get(&self, host: P) -> Option<(P, &T)> {
        let head = usize::from(host.head());
        if self.heads[head / 64] >> (head % 64) & 1 == 0 {
            return None;
        }
        self.ranges.get_lpm(&host)
    }
}

/// A subnet of the network.
#[derive(Debug)]
pub(super) struct Subnet {
    pub route: SubnetRoute,
    pub region: NameId,
}

/// Who takes a source out to the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WayOut {
    /// A Cloud NAT gateway.
    Nat(PortId),
    /// Its own external address.
    External(PortId),
}

/// All that is known of one version of IP.
#[derive(Debug)]
pub(super) struct Table<P: Prefix> {
    /// Paths that are in no routing table.
    pub special: Ranges<P, Special>,
    pub policies: Policies<P>,
    pub subnets: PrefixMap<P, Subnet>,
    pub peer_subnets: PrefixMap<P, PeerSubnet>,
    pub routes: PrefixMap<P, Bucket>,
    /// Google's APIs beside the two virtual addresses.
    pub google_apis: Ranges<P, ()>,
    /// Behind the default internet gateway, by source.
    pub ways_out: PrefixMap<P, WayOut>,
    /// Who is attached, with its tags.
    attached: HashMap<IpAddr, Box<[NameId]>, FixedState>,
    /// The same for those who have a range.
    attached_ranges: PrefixMap<P, Box<[NameId]>>,
    /// By address.
    pub forwarding: HashMap<IpAddr, Vec<ForwardingRule>, FixedState>,
}

impl<P: Family> Default for Table<P> {
    fn default() -> Self {
        Table {
            special: super::special::services(),
            policies: Policies::default(),
            subnets: PrefixMap::new(),
            peer_subnets: PrefixMap::new(),
            routes: PrefixMap::new(),
            google_apis: Ranges::default(),
            ways_out: PrefixMap::new(),
            attached: HashMap::default(),
            attached_ranges: PrefixMap::new(),
            forwarding: HashMap::default(),
        }
    }
}

impl<P: Family> Table<P> {
    /// Somebody is attached at this range, with these tags.
    pub(super) fn attach(&mut self, range: P, tags: Box<[NameId]>) {
        if u32::from(range.prefix_len()) == P::num_bits() {
            self.attached.insert(range.address(), tags);
        } else {
            self.attached_ranges.insert(range, tags);
        }
    }

    /// Nobody is there any more.
    pub(super) fn detach(&mut self, range: P) {
        self.attached.remove(&range.address());
        self.attached_ranges.remove(&range);
    }

    /// The tags of whoever has an address; `None` if nobody has.
    pub(super) fn tags_at(&self, host: P) -> Option<&[NameId]> {
        if let Some(tags) = self.attached.get(&host.address()) {
            return Some(tags);
        }
        if self.attached_ranges.is_empty() {
            return None;
        }
        self.attached_ranges.get_lpm(&host).map(|(_, tags)| &**tags)
    }

    /// Whether anybody has an address: an interface, or a forwarding rule.
    pub(super) fn has(&self, host: P) -> bool {
        self.tags_at(host).is_some() || self.forwarding.contains_key(&host.address())
    }

    /// The routes that win for a destination, if there is any: the longest prefix that has one for the sender.
    pub(super) fn best(&self, host: P, sender: &Sender) -> Option<Best<'_, P>> {
        let mut best = None;
        // From the shortest to the longest.
        for (range, bucket) in self.routes.cover(&host) {
            if let Some(rank) = bucket.best(sender) {
                best = Some(Best { range, bucket, rank });
            }
        }
        best
    }
}

/// Whose packet it is, as far as routes care.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender<'a> {
    pub tags: &'a [NameId],
    pub region: Option<NameId>,
    pub entry: Entry,
}

/// How a packet came into the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// From an interface in it.
    Interface,
    /// Through a VPN tunnel.
    Tunnel,
    /// Through an Interconnect attachment.
    Attachment,
}

/// The best routes for a destination and a sender.
#[derive(Debug, Clone, Copy)]
pub(super) struct Best<'a, P> {
    pub range: P,
    pub bucket: &'a Bucket,
    pub rank: Rank,
}

impl<P: Copy> Best<'_, P> {
    /// One of the equal routes: `choose` takes one of so many.
    pub(super) fn pick(&self, sender: &Sender, choose: impl FnOnce(u32) -> u32) -> (RouteId, u32) {
        let mut equal = self.bucket.equal(sender, self.rank);
        let first = equal.next().expect("the best route has its own rank");
        let Some(second) = equal.next() else { return (first, 1) };
        // A route that is in two lists, for two tags of the sender, counts once.
        let all: BTreeSet<RouteId> = [first, second].into_iter().chain(equal).collect();
        let count = all.len() as u32;
        let chosen = all.iter().nth(choose(count) as usize).expect("one of so many is chosen");
        (*chosen, count)
    }
}

type List = BTreeSet<(Rank, RouteId)>;

/// All routes with one destination, by whom they concern.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    all: List,
    by_tag: BTreeMap<NameId, List>,
    by_region: BTreeMap<NameId, List>,
    /// Those that nobody takes.
    out_of_use: BTreeSet<RouteId>,
}

/// What a route costs whom: its places in a [`Bucket`].
struct Places {
    for_all: Option<Rank>,
    for_region: Option<(NameId, Rank)>,
    for_tags: Option<(Box<[NameId]>, Rank)>,
}

impl Places {
    fn of(route: &Route, tags: &mut Names, regions: &mut Names) -> Places {
        let none = Places { for_all: None, for_region: None, for_tags: None };
        let own = Rank::of(route, 0);
        match &route.kind {
            RouteKind::Static if route.tags.is_empty() => Places { for_all: Some(own), ..none },
            RouteKind::Static => Places { for_tags: Some((tags.intern_all(&route.tags), own)), ..none },
            RouteKind::Dynamic { region: None, .. } => Places { for_all: Some(own), ..none },
            RouteKind::Dynamic { region: Some(region), global, inter_region_cost } => {
                let elsewhere = Rank::of(route, *inter_region_cost);
                match (*global, elsewhere == own) {
                    // Otherwise it would be in two lists of one sender with the same rank.
                    (true, true) => Places { for_all: Some(own), ..none },
                    (true, false) => {
                        Places { for_all: Some(elsewhere), for_region: Some((regions.intern(region), own)), ..none }
                    }
                    (false, _) => Places { for_region: Some((regions.intern(region), own)), ..none },
                }
            }
        }
    }
}

impl Bucket {
    pub(super) fn insert(&mut self, id: RouteId, route: &Route, tags: &mut Names, regions: &mut Names) {
        if route.out_of_use.is_some() {
            self.out_of_use.insert(id);
            return;
        }
        let Places { for_all, for_region, for_tags } = Places::of(route, tags, regions);
        if let Some(rank) = for_all {
            self.all.insert((rank, id));
        }
        if let Some((region, rank)) = for_region {
            self.by_region.entry(region).or_default().insert((rank, id));
        }
        for (tag, rank) in for_tags.iter().flat_map(|(tags, rank)| tags.iter().map(move |tag| (*tag, *rank))) {
            self.by_tag.entry(tag).or_default().insert((rank, id));
        }
    }

    pub(super) fn remove(&mut self, id: RouteId, route: &Route, tags: &mut Names, regions: &mut Names) {
        self.out_of_use.remove(&id);
        let Places { for_all, for_region, for_tags } = Places::of(route, tags, regions);
        if let Some(rank) = for_all {
            self.all.remove(&(rank, id));
        }
        let forget = |lists: &mut BTreeMap<NameId, List>, name: NameId, rank: Rank| {
            if let Some(list) = lists.get_mut(&name) {
                list.remove(&(rank, id));
                if list.is_empty() {
                    lists.remove(&name);
                }
            }
        };
        if let Some((region, rank)) = for_region {
            forget(&mut self.by_region, region, rank);
        }
        for (tag, rank) in for_tags.iter().flat_map(|(tags, rank)| tags.iter().map(move |tag| (*tag, *rank))) {
            forget(&mut self.by_tag, tag, rank);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.by_tag.is_empty() && self.by_region.is_empty() && self.out_of_use.is_empty()
    }

    /// The lists that concern a sender. Tags are those of interfaces: nothing else has any.
    fn lists<'a>(&'a self, sender: &'a Sender) -> impl Iterator<Item = &'a List> {
        let by_tag = sender.tags.iter().filter_map(|tag| self.by_tag.get(tag));
        let by_region = sender.region.iter().filter_map(|region| self.by_region.get(region));
        std::iter::once(&self.all).chain(by_tag).chain(by_region)
    }

    fn best(&self, sender: &Sender) -> Option<Rank> {
        self.lists(sender).filter_map(|list| list.first()).map(|(rank, _)| *rank).min()
    }

    /// The routes of a rank, in every list of the sender's.
    fn equal<'a>(&'a self, sender: &'a Sender, rank: Rank) -> impl Iterator<Item = RouteId> + 'a {
        let range = (rank, RouteId(0))..=(rank, RouteId(u32::MAX));
        self.lists(sender).flat_map(move |list| list.range(range.clone())).map(|(_, id)| *id)
    }

    /// All routes that concern a sender, the best first in each list.
    pub(super) fn concerning<'a>(&'a self, sender: &'a Sender) -> impl Iterator<Item = (Rank, RouteId)> + 'a {
        self.lists(sender).flatten().copied()
    }

    /// All routes that concern other senders.
    pub(super) fn concerning_others<'a>(&'a self, sender: &'a Sender) -> impl Iterator<Item = RouteId> + 'a {
        let tags = self.by_tag.iter().filter(|(tag, _)| !sender.tags.contains(tag));
        let regions = self.by_region.iter().filter(|(region, _)| sender.region != Some(**region));
        tags.chain(regions).flat_map(|(_, list)| list).map(|(_, id)| *id)
    }

    /// Routes that nobody takes.
    pub(super) fn out_of_use(&self) -> impl Iterator<Item = RouteId> + '_ {
        self.out_of_use.iter().copied()
    }
}
