//! Policy-based routes: chosen by source, destination and protocol, before any other route.
//!
//! The one with the lowest priority number among those that match is the only one that counts: there is no longest prefix
//! here, and equal ones do not share flows. Which of two with the same priority it is, Google leaves to a deterministic
//! algorithm of its own (<https://docs.cloud.google.com/vpc/docs/policy-based-routes>, 2026); here it is the first by name.
//! Google speaks of VMs, VLAN attachments and VPN tunnels. That packets of connectors and of Direct VPC egress are treated
//! like those of VMs is assumed.
//!
//! They stand in a trie of source ranges, each with a trie of destination ranges: those that match are on one walk down
//! the first, and one down each of the second.

use std::sync::Arc;

use prefix_trie::{Prefix, PrefixMap};

use super::names::NameId;
use super::route::{HopName, NextHop, PolicyRoute};
use super::table::{Entry, Family, Sender};

/// The same as [`super::route::PolicyScope`], with numbers.
#[derive(Debug, Clone)]
pub(super) enum Scope {
    All,
    Tags(Box<[NameId]>),
    Attachments(Option<NameId>),
}

impl Scope {
    fn takes(&self, sender: &Sender) -> bool {
        match self {
            Scope::All => true,
            Scope::Tags(tags) => tags.iter().any(|tag| sender.tags.contains(tag)),
            Scope::Attachments(region) => {
                sender.entry == Entry::Attachment && (region.is_none() || *region == sender.region)
            }
        }
    }
}

/// One policy-based route with these ranges.
#[derive(Debug)]
pub(super) struct Policy {
    pub name: Arc<str>,
    pub priority: u16,
    pub protocol: Option<u8>,
    pub scope: Scope,
    pub next_hop: Option<(NextHop, HopName)>,
}

impl Policy {
    pub(super) fn new(route: PolicyRoute, scope: Scope) -> Policy {
        let PolicyRoute { name, priority, protocol, next_hop, .. } = route;
        Policy { name, priority, protocol, scope, next_hop }
    }

    fn matches(&self, protocol: u8, sender: &Sender) -> bool {
        self.protocol.is_none_or(|wanted| wanted == protocol) && self.scope.takes(sender)
    }

    fn rank(&self) -> (u16, &str) {
        (self.priority, &self.name)
    }
}

/// A policy-based route that matches, with its ranges.
#[derive(Debug, Clone, Copy)]
pub(super) struct Match<'a, P> {
    pub policy: &'a Policy,
    pub src: P,
    pub dst: P,
}

/// The policy-based routes of one version of IP.
#[derive(Debug)]
pub(super) struct Policies<P: Prefix> {
    by_source: PrefixMap<P, PrefixMap<P, Vec<Policy>>>,
}

impl<P: Family> Default for Policies<P> {
    fn default() -> Self {
        Policies { by_source: PrefixMap::new() }
    }
}

impl<P: Family> Policies<P> {
    pub(super) fn insert(&mut self, src: P, dst: P, policy: Policy) {
        let same_ranges = self.by_source.entry(src).or_default().entry(dst).or_default();
        let place = same_ranges.partition_point(|other| other.rank() <= policy.rank());
        same_ranges.insert(place, policy);
    }

    /// The one that decides about a packet, if any matches.
    pub(super) fn lookup(&self, src: P, dst: P, protocol: u8, sender: &Sender) -> Option<Match<'_, P>> {
        if self.by_source.is_empty() {
            return None;
        }
        let mut best: Option<Match<'_, P>> = None;
        for (src, by_destination) in self.by_source.cover(&src) {
            for (dst, policies) in by_destination.cover(&dst) {
                let found = policies.iter().find(|policy| policy.matches(protocol, sender));
                if let Some(policy) = found.filter(|found| best.is_none_or(|best| found.rank() < best.policy.rank())) {
                    best = Some(Match { policy, src, dst });
                }
            }
        }
        best
    }
}
