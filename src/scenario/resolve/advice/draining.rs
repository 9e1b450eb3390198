//! NAT IPs that are drained, and taken away before the connections on them are over.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::NatAdvice;
use super::capacity::{rule_of, through_the_vpc};
use super::endpoints::{Cause, State};
use crate::node::nat::DEFAULT_RULE;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::value::Dur;
use crate::scenario::{Arrivals, ClosedBy, IpAllocation, NatConfig, TrafficProtocol};

/// Lists of a configuration by number of the rule.
fn lists(config: &NatConfig) -> BTreeMap<u32, (&[Ipv4Addr], &[Ipv4Addr])> {
    let others = config.rules.iter().map(|rule| (rule.number, (&rule.nat_ips[..], &rule.drain_nat_ips[..])));
    let own = (DEFAULT_RULE, (&config.nat_ips[..], &config.drain_nat_ips[..]));
    others.chain([own]).collect()
}

/// A load whose connections are cut.
struct Cut {
    /// Index into [`crate::scenario::Scenario::traffic`].
    traffic: usize,
    /// When the last connection that may be on the address ends by itself; `None` is never.
    ends: Option<Duration>,
}

impl NatAdvice<'_> {
    pub(super) fn draining(&mut self) {
        let mut found = Vec::new();
        for states in &self.gateways {
            // Since when an address drains, and the gateway before that. Those that drain from the start have no connections.
            let mut draining: BTreeMap<(u32, Ipv4Addr), (Duration, &State<'_>)> = BTreeMap::new();
            for (before, after) in states.iter().zip(&states[1..]) {
                let Cause::Patch(event) = after.cause else { continue };
                if after.config.allocate != IpAllocation::Manual {
                    // All addresses are replaced, which is told elsewhere.
                    draining.clear();
                    continue;
                }
                let now = lists(after.config);
                for (rule, (active, _)) in lists(before.config) {
                    let drained = now.get(&rule).map_or(&[][..], |(_, drained)| drained);
                    for ip in active.iter().filter(|ip| drained.contains(ip)) {
                        draining.insert((rule, *ip), (after.at, before));
                    }
                }
                draining.retain(|(rule, ip), (since, when)| {
                    let (active, drained) = now.get(rule).copied().unwrap_or_default();
                    let kept = drained.contains(ip);
                    if !kept && !active.contains(ip) {
                        found.extend(self.drain_outlasts(*rule, *ip, (*since, when), (after.at, event)));
                    }
                    kept
                });
            }
        }
        self.found.extend(found);
    }

    /// Connections that are still open on a drained address when it goes.
    fn drain_outlasts(
        &self,
        rule: u32,
        ip: Ipv4Addr,
        (since, before): (Duration, &State<'_>),
        (gone, event): (Duration, usize),
    ) -> Option<Diagnostic> {
        let cuts = (0..self.scenario.traffic.len()).filter_map(|traffic| {
            let ends = self.last_end(traffic, rule, ip, since, before)?;
            ends.is_none_or(|ends| ends > gone).then_some(Cut { traffic, ends })
        });
        // The longest of all; one without an end is that.
        let cut = cuts.max_by_key(|cut| (cut.ends.unwrap_or(Duration::MAX), std::cmp::Reverse(cut.traffic)))?;
        let traffic = &self.scenario.traffic[cut.traffic];
        let lasts = match cut.ends {
            Some(_) => format!("stay open for {}", Dur(traffic.lifetime)),
            None => "are closed by nobody".to_owned(),
        };
        let message = format!(
            "{ip} drains from {} on and is gone at {}, after {}; connections of load `{}` {lasts}: those that are open on it then are cut",
            Dur(since),
            Dur(gone),
            Dur(gone - since),
            traffic.name,
        );
        let help = match cut.ends {
            // Some time for the close itself.
            Some(ends) => format!(
                "remove it after {} only, or let connections end earlier",
                Dur(Duration::from_secs(ends.as_secs() + 1))
            ),
            None => "let connections end before: they have no end of their own".to_owned(),
        };
        let details = &self.details.events[event];
        let place = if rule == DEFAULT_RULE { details.nat_ips } else { details.rules };
        Some(Diagnostic::warning("drain-outlasts", message).at(place.unwrap_or(details.set)).help(help))
    }

    /// When the last connection of a load ends that may have begun on an address before it drained: `Some(None)` is never,
    /// `None` that there is no such connection.
    fn last_end(
        &self,
        traffic: usize,
        rule: u32,
        ip: Ipv4Addr,
        since: Duration,
        before: &State<'_>,
    ) -> Option<Option<Duration>> {
        let traffic = &self.scenario.traffic[traffic];
        let endpoints = through_the_vpc(self.scenario, traffic)?;
        let subnetwork = endpoints.subnetwork(self.scenario)?;
        let is_there = before.shares(rule, endpoints).is_some_and(|shares| shares.ips.contains(&ip));
        let to = self.scenario.ipv4_address_of(traffic)?;
        if !is_there || traffic.start >= since || rule_of(self.scenario, before.config, subnetwork, to) != rule {
            return None;
        }
        let last = match traffic.arrivals {
            Arrivals::Count(_) => traffic.start,
            Arrivals::Poisson(_) | Arrivals::Constant(_) | Arrivals::Workers(_) => traffic.stop.min(since),
        };
        let closed = traffic.protocol != TrafficProtocol::Tcp || traffic.closed_by != ClosedBy::Nobody;
        Some(closed.then(|| last + traffic.lifetime))
    }
}
