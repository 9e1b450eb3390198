//! Changes of VPC firewall rules while the network runs: `patchFirewall` events.

use super::super::Resolver;
use crate::scenario::Change;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::file::firewall::Firewall;
use crate::scenario::file::simulation::PatchFirewallEvent;
use crate::scenario::value::At;

impl Resolver<'_> {
    /// Applies a patch to a rule as it is at that time.
    pub(in crate::scenario::resolve) fn patch_firewall(&mut self, patch: &At<PatchFirewallEvent>) -> Option<Change> {
        let found = self.firewalls.lookup(&patch.firewall, None);
        let firewall = self.ok(found).flatten()?;
        let set = &patch.set;
        let before = self.out.firewall_rules[firewall].rule.clone();
        let turned = set.direction.as_ref().filter(|set| super::direction(Some(set)) != before.direction);
        let reversed = if before.action.passes() { &set.denied } else { &set.allowed };
        // Google: a rule keeps its name, its network, its action and its direction
        // (https://docs.cloud.google.com/firewall/docs/using-firewalls#updating_firewall_rules, 2026).
        for (field, place) in [
            ("name", set.name.as_ref().map(|value| value.place)),
            ("network", set.network.as_ref().map(|value| value.place)),
            ("direction", turned.map(|value| value.place)),
            ("action", reversed.as_ref().map(|value| value.place)),
        ] {
            if let Some(place) = place {
                let message = format!("the {field} of a firewall rule cannot change");
                let help = "remove it from `set`; a rule that is deleted and made again is another rule";
                self.push(Diagnostic::rejected("immutable", message).at(place).help(help));
                return None;
            }
        }
        let after = overlay(&self.details.firewalls[firewall], set);
        let rule = self.vpc_firewall_rule(&before.name, &after, set.place)?;
        if rule == before {
            let message = format!("nothing of firewall rule `{}` changes", before.name);
            self.push(Diagnostic::warning("nothing-changes", message).at(set.place));
        }
        self.details.firewalls[firewall] = after;
        self.out.firewall_rules[firewall].rule = rule.clone();
        Some(Change::PatchFirewall { firewall, rule: Box::new(rule) })
    }
}

/// A rule with some fields changed; lists are replaced as a whole.
fn overlay(before: &Firewall, set: &Firewall) -> Firewall {
    macro_rules! over {
        ($($field:ident),* $(,)?) => {
            Firewall { $($field: set.$field.clone().or_else(|| before.$field.clone())),* }
        };
    }
    over!(
        name,
        network,
        direction,
        priority,
        allowed,
        denied,
        source_ranges,
        destination_ranges,
        source_tags,
        source_service_accounts,
        target_tags,
        target_service_accounts,
        disabled,
        log_config,
    )
}
