//! NAT rules of a gateway (<https://cloud.google.com/nat/docs/nat-rules-overview>, 2026-04).

use std::collections::{HashMap, HashSet};

use ipnet::Ipv4Net;

use super::super::Resolver;
use super::rule_match::{self, Attribute};
use super::{DEFAULT_RULE, MAX_NAT_IPS, NatIp, RuleIps, addresses};
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::nat::{NatRule as Written, RouterNat};
use crate::scenario::value::{At, Reference};
use crate::scenario::{IpAllocation, NatRule, NatRuleMatch};

/// The lowest of the limits that are told of: 50 rules a gateway by hearsay, 150 by a digest of Google's page of 2026-04.
const FEWEST_RULES: usize = 50;
/// Characters of a match, by the same digest.
const LONGEST_MATCH: usize = 2048;

/// A rule whose match could be read.
struct Resolved {
    number: u32,
    attribute: Attribute,
    ranges: Vec<(Ipv4Net, Place)>,
}

impl Resolver<'_> {
    /// The rules by ascending number; their NAT IPs are added to `lists`.
    pub(super) fn nat_rules(
        &mut self,
        nat: &RouterNat,
        region: &str,
        allocate: Option<IpAllocation>,
        lists: &mut Vec<RuleIps>,
    ) -> Vec<NatRule> {
        let Some(written) = nat.rules.as_ref().filter(|rules| !rules.is_empty()) else { return Vec::new() };
        if let Some(independent) = nat.enable_endpoint_independent_mapping.as_ref().filter(|on| on.value) {
            self.push(
                Diagnostic::rejected("rules-with-eim", "NAT rules and endpoint-independent mapping exclude each other")
                    .at(written.place)
                    .related(independent.place, "on here")
                    .help("set enableEndpointIndependentMapping to false"),
            );
        }
        if allocate == Some(IpAllocation::Auto) {
            self.push(
                Diagnostic::rejected("rules-with-auto", "NAT rules need MANUAL_ONLY")
                    .at(written.place)
                    .help("write `natIpAllocateOption: MANUAL_ONLY` and list natIps"),
            );
        }
        if let Some(excess) = written.get(FEWEST_RULES) {
            let message = format!(
                "{} NAT rules: reports of Google's limit range from {FEWEST_RULES} to 150 a gateway, none is certain",
                written.len()
            );
            self.push(
                Diagnostic::warning("nat-rule-limit", message)
                    .at(excess.place)
                    .help("join the rules that have the same NAT IPs with `||`, or add a second gateway"),
            );
        }
        let mut numbers = HashMap::new();
        let mut resolved = Vec::new();
        let mut rules = Vec::new();
        for rule in &written.value {
            let number = self.rule_number(rule, &mut numbers);
            let matched = self.rule_match(rule);
            let (active, draining) = self.rule_ips(rule, region);
            let Some(number) = number else { continue };
            let (nat_ips, drain_nat_ips) = (addresses(&active), addresses(&draining));
            lists.push(RuleIps { number, active, draining });
            let Some((attribute, ranges)) = matched else { continue };
            let nets = ranges.iter().map(|(net, _)| *net).collect();
            rules.push(NatRule {
                number,
                matches: match attribute {
                    Attribute::Destination => NatRuleMatch::Destination(nets),
                    Attribute::Source => NatRuleMatch::Source(nets),
                },
                nat_ips,
                drain_nat_ips,
            });
            resolved.push(Resolved { number, attribute, ranges });
        }
        rules.sort_by_key(|rule| rule.number);
        resolved.sort_by_key(|rule| rule.number);
        self.disjoint(&resolved, Attribute::Destination);
        self.disjoint(&resolved, Attribute::Source);
        self.ambiguous(&resolved);
        rules
    }

    fn rule_number(&mut self, rule: &At<Written>, numbers: &mut HashMap<i64, Place>) -> Option<u32> {
        let Some(number) = &rule.rule_number else {
            self.missing(rule, "ruleNumber", "add `ruleNumber: 100`, unique in the gateway");
            return None;
        };
        if number.value == i64::from(DEFAULT_RULE) {
            let message = format!("{DEFAULT_RULE} is the number of the default rule, which always exists");
            let help = "its NAT IPs are the gateway's natIps; other rules have 0 to 65000";
            self.push(Diagnostic::rejected("out-of-range", message).at(number.place).help(help));
            return None;
        }
        self.bounded(number, 0..=65_000, "ruleNumber")?;
        if let Some(first) = numbers.insert(number.value, number.place) {
            let message = format!("two rules have the number {}", number.value);
            self.push(
                Diagnostic::rejected("duplicate-rule", message)
                    .at(number.place)
                    .related(first, "first given here")
                    .help("give one of them another number"),
            );
            return None;
        }
        Some(number.value as u32)
    }

    fn missing(&mut self, rule: &At<Written>, field: &str, help: &str) {
        if !self.is_lost(rule.place, field) {
            let message = format!("a NAT rule needs the field `{field}`");
            let place = rule.rule_number.as_ref().map_or(rule.place, |number| number.place);
            self.push(Diagnostic::unusable("missing-field", message).at(place).help(help));
        }
    }

    fn rule_match(&mut self, rule: &At<Written>) -> Option<(Attribute, Vec<(Ipv4Net, Place)>)> {
        let Some(condition) = &rule.condition else {
            self.missing(rule, "match", "add a match such as `destination.ip == '198.51.100.7'`");
            return None;
        };
        let length = condition.chars().count();
        if length > LONGEST_MATCH {
            let message = format!("a match of {length} characters: Google is reported to take {LONGEST_MATCH}");
            self.push(
                Diagnostic::warning("nat-rule-limit", message)
                    .at(condition.place)
                    .help("spread the addresses over several rules, or join them to ranges"),
            );
        }
        let parts = self.parts(condition);
        let parsed = match rule_match::parse(condition) {
            Ok(parsed) => parsed,
            Err(error) => {
                let mut diagnostic =
                    Diagnostic::rejected(error.code, error.message).at(parts.place(error.part)).help(error.help);
                if let Some((part, label)) = error.related {
                    diagnostic = diagnostic.related(parts.place(part), label);
                }
                self.push(diagnostic);
                return None;
            }
        };
        let mut ranges = Vec::new();
        for range in parsed.ranges {
            let place = parts.place(range.part);
            if let Some(written) = range.with_host_bits {
                let message = format!("{written} has bits set beyond its prefix, {} is taken", range.net);
                let help = format!("write {}", range.net);
                self.push(Diagnostic::warning("host-bits", message).at(place).help(help));
            }
            if range.net.prefix_len() == 0 {
                let message =
                    "0.0.0.0/0 is the range of the default rule, and Google is reported to reject it in others";
                self.push(
                    Diagnostic::warning("nat-rule-any", message)
                        .at(place)
                        .help("remove the rule, and put its NAT IPs into the gateway's natIps"),
                );
            }
            ranges.push((range.net, place));
        }
        Some((parsed.attribute, ranges))
    }

    /// Active and draining NAT IPs. Google takes draining ones in updates only; a gateway that is pasted in the middle of
    /// draining has them, too.
    fn rule_ips(&mut self, rule: &At<Written>, region: &str) -> (Vec<NatIp>, Vec<NatIp>) {
        let place = rule.rule_number.as_ref().map_or(rule.place, |number| number.place);
        let name = rule.rule_number.as_ref().map_or("a NAT rule".into(), |number| format!("rule {}", number.value));
        let empty = Vec::new();
        let list = |list: Option<&Vec<At<Reference>>>| list.unwrap_or(&empty).clone();
        let action = rule.action.as_ref();
        let active = list(action.and_then(|action| action.source_nat_active_ips.as_ref()));
        let draining = list(action.and_then(|action| action.source_nat_drain_ips.as_ref()));
        let mut ranges_instead = false;
        for (field, ranges) in [
            ("sourceNatActiveRanges", action.and_then(|action| action.source_nat_active_ranges.as_ref())),
            ("sourceNatDrainRanges", action.and_then(|action| action.source_nat_drain_ranges.as_ref())),
        ] {
            if let Some(first) = ranges.and_then(|ranges| ranges.first()) {
                ranges_instead = true;
                let message = format!("{field} in a Public NAT, which only a Private NAT has");
                let help = "use sourceNatActiveIps, with reserved external addresses";
                self.push(Diagnostic::rejected("nat-type", message).at(first.place).help(help));
            }
        }
        let lost = ["action", "sourceNatActiveIps"].iter().any(|field| self.is_lost(rule.place, field));
        // gcloud makes no rule without active addresses. Google's acceptance tests for Terraform apply such rules, so the API
        // itself may take them; then what they match is dropped.
        match (active.is_empty(), draining.is_empty()) {
            _ if lost || ranges_instead => {}
            (true, true) => self.push(
                Diagnostic::rejected("no-nat-ips", format!("{name} has no NAT IPs"))
                    .at(place)
                    .help("add `action: {sourceNatActiveIps: […]}` with reserved external addresses"),
            ),
            (true, false) => self.push(
                Diagnostic::rejected(
                    "all-nat-ips-draining",
                    format!("all NAT IPs of {name} are being drained, at least one must stay active"),
                )
                .at(place)
                .help("add another address to sourceNatActiveIps first"),
            ),
            _ if active.len() > MAX_NAT_IPS => {
                let message = format!("{name} has {} NAT IPs, at most {MAX_NAT_IPS} for a gateway", active.len());
                self.push(Diagnostic::rejected("too-many", message).at(place).help("add a second gateway"));
            }
            _ => {}
        }
        let mut resolve = |list: Vec<At<Reference>>| -> Vec<NatIp> {
            list.iter().filter_map(|reference| self.nat_ip(reference, region)).collect()
        };
        (resolve(active), resolve(draining))
    }

    /// "IP address CIDR ranges in match conditions must not overlap across NAT rules": at most one matches a packet.
    fn disjoint(&mut self, rules: &[Resolved], attribute: Attribute) {
        let mut ranges: Vec<(Ipv4Net, u32, Place)> = Vec::new();
        for rule in rules.iter().filter(|rule| rule.attribute == attribute) {
            ranges.extend(rule.ranges.iter().map(|(net, place)| (*net, rule.number, *place)));
        }
        // Two ranges overlap if one contains the other, and a range comes behind all that contain it.
        ranges.sort_by_key(|(net, number, _)| (net.network(), net.prefix_len(), *number));
        let mut around: Vec<(Ipv4Net, u32, Place)> = Vec::new();
        let mut told = HashSet::new();
        for (net, number, place) in ranges {
            while around.last().is_some_and(|(outer, ..)| !outer.contains(&net)) {
                around.pop();
            }
            if let Some((outer, other, first)) = around.iter().rev().find(|(_, other, _)| *other != number)
                && told.insert((number.min(*other), number.max(*other)))
            {
                let mut sides = [(place, net, number), (*first, *outer, *other)];
                sides.sort();
                let [(first, outer, other), (place, net, number)] = sides;
                let message = format!("{net} of rule {number} overlaps {outer} of rule {other}");
                self.push(
                    Diagnostic::rejected("nat-rule-overlap", message)
                        .at(place)
                        .related(first, format!("rule {other}"))
                        .help("at most one rule may match a packet: make the ranges disjoint"),
                );
            }
            // An equal range adds nothing: so there are never more around than prefixes have lengths.
            if around.last().is_none_or(|(outer, ..)| *outer != net) {
                around.push((net, number, place));
            }
        }
    }

    /// Ranges of sources and of destinations cannot overlap, and yet one packet may be in both. Google's console calls the
    /// number a priority; that the lower one wins is assumed.
    fn ambiguous(&mut self, rules: &[Resolved]) {
        let first = |attribute| rules.iter().find(|rule: &&Resolved| rule.attribute == attribute);
        let (Some(source), Some(destination)) = (first(Attribute::Source), first(Attribute::Destination)) else {
            return;
        };
        let winner = source.number.min(destination.number);
        let message = format!(
            "a packet can match rule {}, by its source, and rule {}, by its destination: Google does not say which applies, here {winner} does",
            source.number, destination.number
        );
        let mut places = [source.ranges[0].1, destination.ranges[0].1];
        places.sort();
        self.push(
            Diagnostic::warning("nat-rule-ambiguous", message)
                .at(places[1])
                .related(places[0], "the other one")
                .help("use rules by source or rules by destination in one gateway; the lower number wins here"),
        );
    }
}
