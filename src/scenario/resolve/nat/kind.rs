//! What a gateway is for: names, Public or Private NAT, endpoint types.
//!
//! A Private NAT translates between private networks, with addresses of subnets: it is checked for what would make Google
//! reject it, then left out (<https://cloud.google.com/nat/docs/private-nat>, 2026).

use super::super::Resolver;
use super::rule_match;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::nat::{EndpointType, NatRuleAction, NatType, RouterNat};
use crate::scenario::value::{At, Reference};

/// The longest name of a Compute Engine resource (RFC 1035).
const LONGEST_NAME: usize = 63;

impl Resolver<'_> {
    /// Names of Compute Engine are labels of RFC 1035.
    pub(super) fn check_label(&mut self, name: &At<Reference>, what: &str) {
        let text = name.name();
        let starts = text.starts_with(|first: char| first.is_ascii_lowercase());
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if starts && text.len() <= LONGEST_NAME && text.chars().all(allowed) && !text.ends_with('-') {
            return;
        }
        let message = if text.len() > LONGEST_NAME {
            format!("the name of a {what} has {} characters, at most {LONGEST_NAME}", text.chars().count())
        } else {
            format!("`{text}` is not a name for a {what}")
        };
        self.push(
            Diagnostic::rejected("bad-name", message)
                .at(name.place)
                .help("use lower-case letters, digits and hyphens; begin with a letter, end with a letter or digit"),
        );
    }

    /// Whether a gateway is a Public NAT for VMs; what else it is, is checked and left out with a warning.
    pub(super) fn is_simulated(&mut self, nat: &At<RouterNat>, name: &At<Reference>) -> bool {
        let types = nat.endpoint_types.as_deref().unwrap_or_default();
        if let [first, second, ..] = types {
            self.push(
                Diagnostic::rejected("many-endpoint-types", "several endpoint types, expected one")
                    .at(second.place)
                    .related(first.place, "the first one")
                    .help("make a gateway for each type"),
            );
        }
        if let Some(kind) = nat.nat_type.as_ref().filter(|kind| kind.value == NatType::Private) {
            self.private_nat(nat, kind.place);
            let message = format!("gateway `{}` is a Private NAT, which is not simulated: it is left out", name.name());
            self.push(Diagnostic::warning("not-simulated", message).at(kind.place));
            return false;
        }
        if let Some(first) = types.first()
            && types.iter().all(|kind| kind.value != EndpointType::Vm)
        {
            let message = format!("gateway `{}` serves neither VMs nor Cloud Run, it is left out", name.name());
            self.push(Diagnostic::warning("not-simulated", message).at(first.place));
            return false;
        }
        true
    }

    /// What only a Public NAT has.
    fn private_nat(&mut self, nat: &RouterNat, private: Place) {
        let listed = |list: &Option<At<Vec<At<Reference>>>>| {
            list.as_ref().filter(|list| !list.is_empty()).map(|list| list.place)
        };
        for (field, place) in [
            ("natIps", listed(&nat.nat_ips)),
            ("drainNatIps", listed(&nat.drain_nat_ips)),
            ("natIpAllocateOption", nat.nat_ip_allocate_option.as_ref().map(|option| option.place)),
        ] {
            if let Some(place) = place {
                self.of_public_nat(
                    place,
                    private,
                    field,
                    "remove it: a Private NAT takes addresses of PRIVATE_NAT subnets, by its rules",
                );
            }
        }
        if let Some(on) = nat.enable_endpoint_independent_mapping.as_ref().filter(|on| on.value) {
            self.of_public_nat(on.place, private, "endpoint-independent mapping", "set it to false");
        }
        for rule in nat.rules.iter().flat_map(|rules| rules.iter()) {
            let lists = |action: &NatRuleAction| {
                let ips = action.source_nat_active_ips.iter().chain(&action.source_nat_drain_ips).flatten();
                ips.map(|ip| ip.place).next()
            };
            if let Some(place) = rule.action.as_ref().and_then(lists) {
                let help = "use sourceNatActiveRanges, with PRIVATE_NAT subnets";
                self.of_public_nat(place, private, "a rule with external addresses", help);
            }
            if let Some(condition) = &rule.condition
                && let Some(part) = rule_match::find_name(condition, "destination.ip")
            {
                let place = self.parts(condition).place(part);
                self.of_public_nat(place, private, "a rule for `destination.ip`", "match `nexthop.hub`");
            }
        }
    }

    fn of_public_nat(&mut self, place: Place, private: Place, what: &str, help: &str) {
        let message = format!("{what} with `type: PRIVATE`, which only a Public NAT has");
        self.push(
            Diagnostic::rejected("nat-type", message).at(place).related(private, "it is a Private NAT").help(help),
        );
    }
}
