//! NAT rules: other NAT IPs for some packets.
//!
//! Google: a rule looks at the destination or at the source, never at both; destinations of two rules do not overlap; what
//! no rule matches gets the default rule, 65001, with the gateway's own NAT IPs. Each endpoint has ports of its own under
//! each rule. Which wins when a source rule and a destination rule match one packet is not documented: here, the lower
//! number does.
//!
//! Source: <https://docs.cloud.google.com/nat/docs/nat-rules-overview>, as of 2026-04.

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

impl RuleMatch {
    fn holds(&self, tuple: &FiveTuple) -> bool {
        match self {
            RuleMatch::Destination(ranges) => ranges.iter().any(|range| range.contains(&tuple.dst)),
            RuleMatch::Source(ranges) => ranges.iter().any(|range| range.contains(&tuple.src)),
        }
    }
}

/// Which of `rules`, in ascending order of their numbers, applies to a new connection; `None` is the default rule.
#[inline]
pub(super) fn evaluate(rules: &[Rule], tuple: &FiveTuple) -> Option<usize> {
    rules.iter().position(|rule| rule.matches.holds(tuple))
}
