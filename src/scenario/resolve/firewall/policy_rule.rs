//! Rules of firewall policies.

use std::collections::HashMap;

use super::super::Resolver;
use super::{countries, given, texts};
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::firewall::{
    FirewallMatch, FirewallNetworkContext, FirewallPolicy as Policy, FirewallPolicyAction, FirewallPolicyRule as File,
    FirewallSecureTag, FirewallSecureTagState, FirewallTargetType,
};
use crate::scenario::value::{At, Reference};
use crate::scenario::{FirewallAction, FirewallDirection, FirewallPeers, FirewallPolicyKind, FirewallRule};

/// The highest priority number of a policy's rule: an `int32`.
const LAST_PRIORITY: i64 = 2_147_483_647;

/// One side of a rule, and whether it says anything at all.
struct Side {
    peers: FirewallPeers,
    restricted: bool,
}

impl Resolver<'_> {
    /// The rules of a policy by priority, and where each is written.
    pub(super) fn policy_rules(
        &mut self,
        policy: &Policy,
        name: &str,
        kind: FirewallPolicyKind,
    ) -> Vec<(FirewallRule, Place)> {
        let mut rules = Vec::new();
        let mut taken: HashMap<i64, Place> = HashMap::new();
        for rule in policy.rules.iter().flatten() {
            if let Some(priority) = &rule.priority
                && let Some(first) = taken.insert(priority.value, priority.place)
            {
                let message = format!("two rules of firewall policy `{name}` have the priority {}", priority.value);
                self.push(
                    Diagnostic::rejected("duplicate-priority", message)
                        .at(priority.place)
                        .related(first, "the other one")
                        .help("the priority names a rule of a policy: give each its own"),
                );
            }
            rules.extend(self.policy_rule(rule, name, kind).map(|resolved| (resolved, rule.place)));
        }
        rules.sort_by_key(|(rule, _): &(FirewallRule, Place)| rule.priority);
        rules
    }

    fn policy_rule(&mut self, rule: &At<File>, policy: &str, kind: FirewallPolicyKind) -> Option<FirewallRule> {
        let mut missing = |field: &str, is_there: bool| {
            if !is_there && !self.is_lost(rule.place, field) {
                let message = format!("a rule of firewall policy `{policy}` needs the field `{field}`");
                self.push(Diagnostic::unusable("missing-field", message).at(rule.place));
            }
        };
        missing("priority", rule.priority.is_some());
        missing("action", rule.action.is_some());
        missing("match", rule.matches.is_some());
        let priority = rule.priority.as_ref()?;
        let number = self.bounded(priority, 0..=LAST_PRIORITY, "priority of a firewall policy's rule");
        let action = rule.action.as_ref()?;
        let direction = super::direction(rule.direction.as_ref());
        self.check_action(rule, action);
        self.check_targets(rule, kind, direction);
        let matches = rule.matches.as_ref()?;
        let configs = matches.layer4_configs.as_ref().filter(|configs| !configs.is_empty());
        if configs.is_none() && !self.is_lost(matches.place, "layer4Configs") {
            let message = format!("a rule of firewall policy `{policy}` lists no protocol");
            let help = "add `layer4Configs: [{ipProtocol: all}]`, or `[{ipProtocol: tcp, ports: [\"443\"]}]`";
            self.push(Diagnostic::rejected("firewall-action", message).at(matches.place).help(help));
        }
        let protocols: Vec<_> = configs?
            .iter()
            .filter_map(|config| self.protocol_match(&config.ip_protocol, config.ports.as_deref()))
            .collect();
        let what = match &rule.rule_name {
            Some(name) => format!("rule `{}` of firewall policy `{policy}`", name.value),
            None => format!("rule {} of firewall policy `{policy}`", priority.value),
        };
        let (source, destination) = self.sides(matches, direction, &what);
        let target_secure_tags = effective(&rule.target_secure_tags);
        let target_networks = self.target_networks(rule);
        if rule.target_type.as_ref().is_some_and(|target| target.value == FirewallTargetType::InternalManagedLb)
            || given(&rule.target_forwarding_rules).is_some()
        {
            let message = format!("{what} is for load balancers, which are not simulated: it is left out");
            self.push(Diagnostic::warning("not-simulated", message).at(rule.place));
            return None;
        }
        // Google: a rule all of whose target tags are ineffective is ignored.
        if target_secure_tags.is_empty() && given(&rule.target_secure_tags).is_some() {
            return None;
        }
        Some(FirewallRule {
            name: rule.rule_name.as_ref().map_or_else(String::new, |name| name.value.clone()),
            direction,
            priority: number? as u32,
            action: match action.value {
                FirewallPolicyAction::Allow => FirewallAction::Allow,
                FirewallPolicyAction::Deny => FirewallAction::Deny,
                FirewallPolicyAction::GotoNext => FirewallAction::GotoNext,
                FirewallPolicyAction::ApplySecurityProfileGroup => FirewallAction::ApplySecurityProfileGroup,
            },
            matches: protocols,
            source,
            destination,
            target_tags: Vec::new(),
            target_service_accounts: texts(&rule.target_service_accounts),
            target_secure_tags,
            target_networks,
            security_profile_group: rule.security_profile_group.as_ref().map(|group| group.as_str().to_owned()),
            disabled: rule.disabled.as_ref().is_some_and(|disabled| disabled.value),
            logging: rule.enable_logging.as_ref().is_some_and(|logging| logging.value),
        })
    }

    fn check_action(&mut self, rule: &File, action: &At<FirewallPolicyAction>) {
        let inspects = action.value == FirewallPolicyAction::ApplySecurityProfileGroup;
        match &rule.security_profile_group {
            None if inspects => self.push(
                Diagnostic::rejected("firewall-action", "apply_security_profile_group needs a securityProfileGroup")
                    .at(action.place)
                    .help("add `securityProfileGroup:`"),
            ),
            Some(group) if !inspects => self.push(
                Diagnostic::rejected("firewall-action", "a securityProfileGroup needs apply_security_profile_group")
                    .at(group.place)
                    .related(action.place, "the action")
                    .help("change the action, or remove it"),
            ),
            _ => {}
        }
    }

    fn check_targets(&mut self, rule: &File, kind: FirewallPolicyKind, direction: FirewallDirection) {
        let source_tags = rule.matches.as_ref().and_then(|matches| given(&matches.src_secure_tags));
        let (tags, accounts) = (given(&rule.target_secure_tags), given(&rule.target_service_accounts));
        if let (FirewallDirection::Egress, Some(place)) = (direction, source_tags) {
            self.push(
                Diagnostic::rejected("egress-source", "an EGRESS rule cannot have srcSecureTags")
                    .at(place)
                    .help("an EGRESS rule selects VMs by `targetSecureTags`"),
            );
        }
        if let (Some(tags), Some(accounts)) = (tags, accounts) {
            self.push(
                Diagnostic::rejected("tags-with-accounts", "a rule targets either secure tags or service accounts")
                    .at(accounts)
                    .related(tags, "tags here")
                    .help("make two rules"),
            );
        }
        if let (false, Some(place)) = (kind == FirewallPolicyKind::Hierarchical, given(&rule.target_resources)) {
            let message = "only rules of hierarchical policies have targetResources";
            let help = "remove it: a network policy applies to the networks that it is associated with";
            self.push(Diagnostic::rejected("bad-target", message).at(place).help(help));
        }
    }

    /// The networks that a rule is for, of those that are here; `None` is all.
    fn target_networks(&mut self, rule: &File) -> Option<Vec<usize>> {
        let targets = rule.target_resources.as_ref().filter(|targets| !targets.is_empty())?;
        let mut networks = Vec::new();
        for target in targets.iter() {
            // Hierarchical policies know networks of other projects, too.
            let elsewhere = project(target).is_some_and(|wanted| {
                let own = self.file.networks.iter().find(|network| network.name.name() == target.name());
                own.is_none_or(|own| project(&own.name).is_some_and(|own| own != wanted))
            });
            if !elsewhere {
                let found = self.networks.lookup(target, None);
                networks.extend(self.ok(found).flatten());
            }
        }
        Some(networks)
    }

    /// Source and destination of a rule; `None` is everybody.
    fn sides(
        &mut self,
        matches: &FirewallMatch,
        direction: FirewallDirection,
        what: &str,
    ) -> (Option<FirewallPeers>, Option<FirewallPeers>) {
        let unknown = [
            (&matches.src_fqdns, "domain names", true),
            (&matches.dest_fqdns, "domain names", false),
            (&matches.src_address_groups, "address groups", true),
            (&matches.dest_address_groups, "address groups", false),
            (&matches.src_threat_intelligences, "threat intelligence", true),
            (&matches.dest_threat_intelligences, "threat intelligence", false),
        ];
        let mut restricted = [false; 2];
        for (list, kind, is_source) in unknown {
            if let Some(place) = given(list) {
                let side = if is_source { "sources" } else { "destinations" };
                let message = format!("{side} by {kind} are not simulated: by these, {what} matches nothing");
                self.push(Diagnostic::warning("not-simulated", message).at(place));
                restricted[usize::from(!is_source)] = true;
            }
        }
        let source_tags = effective(&matches.src_secure_tags);
        let mut source = Side {
            peers: FirewallPeers {
                ranges: self.ip_ranges(matches.src_ip_ranges.as_ref()),
                countries: self.countries(&matches.src_region_codes),
                secure_tags: source_tags,
                ..FirewallPeers::default()
            },
            restricted: restricted[0]
                || given(&matches.src_secure_tags).is_some()
                || given(&matches.src_region_codes).is_some(),
        };
        let mut destination = Side {
            peers: FirewallPeers {
                ranges: self.ip_ranges(matches.dest_ip_ranges.as_ref()),
                countries: self.countries(&matches.dest_region_codes),
                ..FirewallPeers::default()
            },
            restricted: restricted[1] || given(&matches.dest_region_codes).is_some(),
        };
        source.restricted |= !source.peers.ranges.is_empty();
        destination.restricted |= !destination.peers.ranges.is_empty();
        // A network context must hold beside the others.
        let contexts = [
            ([&matches.src_network_context, &matches.src_network_type, &matches.src_network_scope], &mut source),
            (
                [&matches.dest_network_context, &matches.dest_network_type, &matches.dest_network_scope],
                &mut destination,
            ),
        ];
        for (contexts, side) in contexts {
            let mut contexts = contexts.into_iter().flatten();
            if let Some(context) = contexts.find(|context| context.value != FirewallNetworkContext::Unspecified) {
                let message = format!("network contexts are not simulated: {what} matches nothing");
                self.push(Diagnostic::warning("not-simulated", message).at(context.place));
                *side = Side { peers: FirewallPeers::default(), restricted: true };
            }
        }
        match direction {
            FirewallDirection::Ingress if !source.restricted => {
                source.peers.ranges.push(super::anybody(&destination.peers.ranges));
                source.restricted = true;
            }
            FirewallDirection::Egress if !destination.restricted => {
                destination.peers.ranges.push(super::anybody(&source.peers.ranges));
                destination.restricted = true;
            }
            FirewallDirection::Ingress | FirewallDirection::Egress => {}
        }
        let of = |side: Side| side.restricted.then_some(side.peers);
        (of(source), of(destination))
    }

    fn countries(&mut self, codes: &Option<At<Vec<At<String>>>>) -> Vec<String> {
        let mut countries = Vec::new();
        for code in codes.iter().flat_map(|codes| codes.iter()) {
            match countries::alpha3(code) {
                Some(country) => countries.push(country.to_ascii_lowercase()),
                None => {
                    let message = format!("found `{}`, expected the two letters of a country", code.value);
                    self.push(
                        Diagnostic::unusable("unknown-value", message).at(code.place).help("such as `US` or `DE`"),
                    );
                }
            }
        }
        countries
    }
}

/// The values of secure tags that are in effect.
fn effective(tags: &Option<At<Vec<At<FirewallSecureTag>>>>) -> Vec<String> {
    let tags = tags.iter().flat_map(|tags| tags.iter());
    let state = |tag: &FirewallSecureTag| tag.state.as_ref().map(|state| state.value);
    tags.filter(|tag| state(tag) != Some(FirewallSecureTagState::Ineffective))
        .map(|tag| tag.name.value.clone())
        .collect()
}

/// The project that a path names.
fn project(reference: &Reference) -> Option<&str> {
    let mut segments = reference.as_str().split('/');
    segments.find(|segment| *segment == "projects")?;
    segments.next()
}
