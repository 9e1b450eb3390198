//! Are there NAT IPs for the minimum of every endpoint, under every rule, before and after every change?

use std::collections::BTreeMap;

use super::NatAdvice;
use super::endpoints::{Cause, RuleShares, Shares, State, nat_ips_needed};
use crate::node::nat::DEFAULT_RULE;
use crate::scenario::IpAllocation;
use crate::scenario::diagnostic::{Diagnostic, Place};

/// A rule whose NAT IPs are too few.
struct Shortage<'a, 'b> {
    state: &'b State<'a>,
    rule: u32,
    given: u64,
    /// What the endpoints get; `None` where there are too many to look at.
    shares: Option<&'b Shares>,
}

impl Shortage<'_, '_> {
    fn missing(&self) -> u64 {
        self.shares.map_or(1, |shares| shares.missing)
    }
}

impl NatAdvice<'_> {
    pub(super) fn nat_ips(&mut self) {
        let mut found = Vec::new();
        for (gateway, states) in self.gateways.iter().enumerate() {
            // What is short already is told already; of what only endpoints change, the worst is told.
            let mut before: BTreeMap<u32, u64> = BTreeMap::new();
            let mut worst: BTreeMap<u32, Shortage<'_, '_>> = BTreeMap::new();
            for state in states {
                let now = shortages(state);
                let mut missing = BTreeMap::new();
                for shortage in now {
                    missing.insert(shortage.rule, shortage.missing());
                    if shortage.missing() <= before.get(&shortage.rule).copied().unwrap_or(0) {
                        continue;
                    }
                    match state.cause {
                        Cause::Patch(event) => found.push(self.too_few_nat_ips(gateway, &shortage, Some(event))),
                        _ if worst.get(&shortage.rule).is_none_or(|worst| worst.missing() < shortage.missing()) => {
                            worst.insert(shortage.rule, shortage);
                        }
                        _ => {}
                    }
                }
                before = missing;
            }
            found.extend(worst.values().map(|shortage| self.too_few_nat_ips(gateway, shortage, None)));
        }
        self.found.extend(found);
    }

    fn too_few_nat_ips(&self, gateway: usize, shortage: &Shortage<'_, '_>, event: Option<usize>) -> Diagnostic {
        let Shortage { state, rule, given, shares } = *shortage;
        let own = rule == DEFAULT_RULE;
        let parts = ["VMs", "connector VMs", "Direct VPC addresses"].into_iter().zip(state.counts);
        let parts: Vec<String> =
            parts.filter(|(_, count)| *count > 0).map(|(what, count)| format!("{count} {what}")).collect();
        let endpoints: u64 = state.counts.iter().sum();
        // Blocks of different sizes may leave gaps.
        let needed = state.needed.max(given + 1);
        let minimum = state.config.min_ports_per_vm;
        let message = format!(
            "{}{}gateway `{}` needs {needed} NAT IPs for {endpoints} endpoints ({}) of {minimum} ports each, and has {given}{}",
            if event.is_some() { "after this change " } else { "" },
            if own { String::new() } else { format!("rule {rule} of ") },
            self.scenario.nat_gateways[gateway].name,
            parts.join(", "),
            shares.map(|shares| format!(": {}", in_words(shares))).unwrap_or_default(),
        );
        let more = needed - given;
        let ips = if more == 1 { "NAT IP" } else { "NAT IPs" };
        // Powers of two waste nothing; dynamic allocation takes no others, and at least 32. Endpoints with a minimum of
        // their own, which an alias range gives, keep it.
        let least = if state.config.dynamic_port_allocation { 32 } else { 2 };
        let even = state.needed == nat_ips_needed(endpoints, minimum);
        let fits = |ports: &u32| even && *ports < minimum && nat_ips_needed(endpoints, *ports) <= given;
        let lower = (1..16).map(|order| 1 << order).filter(|ports| *ports >= least).rfind(fits);
        let lower = lower.map_or_else(String::new, |ports| format!(", or lower minPortsPerVm to {ports}"));
        let help = format!(
            "add {more} {ips}{}{lower}: endpoints without ports drop everything",
            if own { String::new() } else { format!(" to rule {rule}") }
        );
        Diagnostic::warning("too-few-nat-ips", message).at(self.nat_ips_place(gateway, rule, event)).help(help)
    }

    /// A place to mark for the addresses of a rule.
    fn nat_ips_place(&self, gateway: usize, rule: u32, event: Option<usize>) -> Place {
        let detail = &self.details.gateways[gateway];
        let own = rule == DEFAULT_RULE;
        if let Some(event) = event {
            let event = &self.details.events[event];
            return if own { event.nat_ips } else { event.rules }.unwrap_or(event.set);
        }
        if own {
            return detail.nat.nat_ips.as_ref().map_or(detail.place, |list| list.place);
        }
        let list = detail.ips.iter().find(|list| list.number == rule);
        list.and_then(|list| list.active.first()).map_or(detail.place, |ip| ip.place)
    }
}

/// The rules that are short. A rule without any active address is another matter.
fn shortages<'a, 'b>(state: &'b State<'a>) -> Vec<Shortage<'a, 'b>> {
    if state.config.allocate == IpAllocation::Auto {
        return Vec::new();
    }
    match &state.rules {
        Some(rules) => {
            let short = rules.iter().filter(|(_, shares)| shares.all.short > 0 && shares.nat_ips > 0);
            short
                .map(|(rule, shares): (&u32, &RuleShares)| Shortage {
                    state,
                    rule: *rule,
                    given: shares.nat_ips as u64,
                    shares: Some(&shares.all),
                })
                .collect()
        }
        None => {
            let rules = super::endpoints::rules(state.config).into_iter();
            let given = rules.map(|(rule, ips)| (rule, ips.len() as u64));
            given
                .filter(|(_, given)| *given > 0 && *given < state.needed)
                .map(|(rule, given)| Shortage { state, rule, given, shares: None })
                .collect()
        }
    }
}

/// `1 gets 32768 ports, 1 gets 16384, 2 get none`.
pub(super) fn in_words(shares: &Shares) -> String {
    let mut unit = " ports";
    let parts = shares.by_ports.iter().rev().map(|(ports, count)| {
        let verb = if *count == 1 { "gets" } else { "get" };
        let ports = if *ports == 0 { "none".to_owned() } else { format!("{ports}{}", std::mem::take(&mut unit)) };
        format!("{count} {verb} {ports}")
    });
    parts.collect::<Vec<_>>().join(", ")
}
