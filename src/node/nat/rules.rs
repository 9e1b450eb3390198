//! NAT rules: other NAT IPs for some packets.
//!
//! Google: a rule looks at the destination or at the source, never at both; destinations of two rules do not overlap; what
//! no rule matches gets the default rule, 65001, with the gateway's own NAT IPs. Each endpoint has ports of its own under
//! each rule. Which wins when a source rule and a destination rule match one packet is not documented: here, the lower
//! number does.
//!
//! Source: <https://docs.cloud.google.com/nat/docs/nat-rules-overview>, as of 2026-04.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::wire::FiveTuple;

/// The number of the default rule.
pub const DEFAULT_RULE: u32 = 65_001;

/// A NAT rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// 0 to 65000, unique in the gateway.
    pub number: u32,
    /// Which packets.
    pub matches: RuleMatch,
    /// Active NAT IPs, in order.
    pub nat_ips: Vec<Ipv4Addr>,
    /// NAT IPs being drained.
    pub drain_nat_ips: Vec<Ipv4Addr>,
}

/// What a rule looks at.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleMatch {
    /// `destination.ip`
    Destination(Vec<Ipv4Net>),
    /// `source.ip`
    Source(Vec<Ipv4Net>),
}

/// Which rule applies to a new connection, found in steps that grow with the logarithm of the number of ranges.
#[derive(Debug, Clone, Default)]
pub(super) struct RuleTable {
    destination: Ranges,
    source: Ranges,
}

impl RuleTable {
    /// A table of rules in ascending order of their numbers.
    pub(super) fn new(rules: &[Rule]) -> RuleTable {
        let (mut destination, mut source) = (Vec::new(), Vec::new());
        for (position, rule) in rules.iter().enumerate() {
            let (ranges, all) = match &rule.matches {
                RuleMatch::Destination(ranges) => (ranges, &mut destination),
                RuleMatch::Source(ranges) => (ranges, &mut source),
            };
            all.extend(ranges.iter().map(|range| (*range, position)));
        }
        RuleTable { destination: Ranges::new(&destination), source: Ranges::new(&source) }
    }

    /// The position of the rule; `None` is the default rule.
    #[inline]
    pub(super) fn evaluate(&self, tuple: &FiveTuple) -> Option<usize> {
        let (destination, source) = (self.destination.find(tuple.dst), self.source.find(tuple.src));
        match (destination, source) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }
}

/// Addresses cut into runs that do not overlap, each with the first rule that has it.
#[derive(Debug, Clone, Default)]
struct Ranges {
    /// First and last address, and position of the rule; in order.
    runs: Vec<(u32, u32, usize)>,
}

impl Ranges {
    fn new(ranges: &[(Ipv4Net, usize)]) -> Ranges {
        // Where a range begins, and where it has ended, counted in 64 bits: the last address has a successor.
        let mut edges: Vec<(u64, usize, bool)> = Vec::new();
        for (range, rule) in ranges {
            edges.push((u32::from(range.network()).into(), *rule, true));
            edges.push((u64::from(u32::from(range.broadcast())) + 1, *rule, false));
        }
        edges.sort_unstable();
        let mut open: BTreeMap<usize, u32> = BTreeMap::new();
        let mut runs: Vec<(u32, u32, usize)> = Vec::new();
        let mut since = 0;
        for (at, rule, begins) in edges {
            if let Some((&first, _)) = open.first_key_value()
                && at > since
            {
                runs.push((since as u32, (at - 1) as u32, first));
            }
            since = at;
            if begins {
                *open.entry(rule).or_default() += 1;
            } else if let Entry::Occupied(mut count) = open.entry(rule) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
        Ranges { runs }
    }

    #[inline]
    fn find(&self, address: Ipv4Addr) -> Option<usize> {
        let address = u32::from(address);
        let after = self.runs.partition_point(|run| run.0 <= address);
        let (_, last, rule) = self.runs[..after].last()?;
        (address <= *last).then_some(*rule)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::Protocol;

    fn any_match() -> impl Strategy<Value = RuleMatch> {
        let range = (0u32..64, 24u8..=32)
            .prop_map(|(low, prefix)| Ipv4Net::new(Ipv4Addr::from(0xffff_ff00 | low << 2), prefix).unwrap().trunc());
        (any::<bool>(), prop::collection::vec(range, 0..4)).prop_map(|(source, ranges)| match source {
            true => RuleMatch::Source(ranges),
            false => RuleMatch::Destination(ranges),
        })
    }

    proptest! {
        /// Whatever overlaps, at the very end of all addresses, too: the first rule that matches.
        #[test]
        fn the_first_rule_that_matches_is_found(
            matches in prop::collection::vec(any_match(), 0..6),
            pairs in prop::collection::vec((0u32..=255, 0u32..=255), 1..40),
        ) {
            let rule = |(number, matches)| Rule { number: number as u32, matches, nat_ips: vec![], drain_nat_ips: vec![] };
            let rules: Vec<Rule> = matches.into_iter().enumerate().map(rule).collect();
            let table = RuleTable::new(&rules);
            for (src, dst) in pairs {
                let address = |low: u32| Ipv4Addr::from(0xffff_ff00 | low);
                let (src, dst) = (address(src), address(dst));
                let tuple = FiveTuple { src, dst, src_port: 1, dst_port: 1, protocol: Protocol::Udp };
                let expected = rules.iter().position(|rule| match &rule.matches {
                    RuleMatch::Destination(ranges) => ranges.iter().any(|range| range.contains(&dst)),
                    RuleMatch::Source(ranges) => ranges.iter().any(|range| range.contains(&src)),
                });
                prop_assert_eq!(table.evaluate(&tuple), expected);
            }
        }
    }
}
