//! VPC firewall rules.

use std::collections::HashMap;

use ipnet::Ipv4Net;

use super::Resolver;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::compute::{Direction, Firewall as File, FirewallProtocol};
use crate::scenario::value::{At, Cidr};
use crate::scenario::{FirewallDirection, FirewallRule, ProtocolMatch};

/// Names that the API knows for protocols.
const PROTOCOLS: [(&str, u8); 7] =
    [("tcp", 6), ("udp", 17), ("icmp", 1), ("esp", 50), ("ah", 51), ("sctp", 132), ("ipip", 94)];

/// Protocols that have ports.
const WITH_PORTS: [u8; 3] = [6, 17, 132];

impl Resolver<'_> {
    pub(super) fn firewalls(&mut self) {
        let mut names: HashMap<&str, Place> = HashMap::new();
        for firewall in &self.file.firewalls {
            if let Some(first) = names.insert(firewall.name.name(), firewall.name.place) {
                let message = format!("two firewall rules are named `{}`", firewall.name.name());
                self.push(
                    Diagnostic::unusable("duplicate-name", message)
                        .at(firewall.name.place)
                        .related(first, "first given here")
                        .help("rename or remove one of the two"),
                );
            }
            if let Some(rule) = self.firewall(firewall) {
                self.out.firewall_rules.push(rule);
            }
        }
    }

    fn firewall(&mut self, firewall: &At<File>) -> Option<FirewallRule> {
        let name = firewall.name.name();
        let network = match &firewall.network {
            Some(network) => self.networks.lookup(network, None),
            // The API's default.
            None if self.is_lost(firewall.place, "network") => Ok(None),
            None => self
                .networks
                .lookup(&At { value: "default".parse().expect("a name"), place: firewall.name.place }, None),
        };
        let network = self.ok(network).flatten();
        let direction = match firewall.direction.as_ref().map(|direction| direction.value) {
            None | Some(Direction::Ingress) => FirewallDirection::Ingress,
            Some(Direction::Egress) => FirewallDirection::Egress,
        };
        let priority = match &firewall.priority {
            None => Some(1000),
            Some(priority) => self.bounded(priority, 0..=65_535, "priority of a firewall rule"),
        };
        self.check_sources_and_targets(firewall, direction);
        let (allow, protocols) = match (&firewall.allowed, &firewall.denied) {
            (Some(allowed), None) => (true, allowed),
            (None, Some(denied)) => (false, denied),
            (Some(_), Some(denied)) => {
                let message = format!("firewall rule `{name}` both allows and denies");
                self.push(
                    Diagnostic::rejected("firewall-action", message)
                        .at(denied.place)
                        .help("a rule has either `allowed` or `denied`: make two rules"),
                );
                return None;
            }
            (None, None) => {
                if !self.is_lost(firewall.place, "allowed") && !self.is_lost(firewall.place, "denied") {
                    let message = format!("firewall rule `{name}` neither allows nor denies");
                    let help = "add `allowed: [{IPProtocol: tcp, ports: [\"443\"]}]` or `denied:`";
                    self.push(Diagnostic::rejected("firewall-action", message).at(firewall.name.place).help(help));
                }
                return None;
            }
        };
        if protocols.is_empty() {
            let message = format!("firewall rule `{name}` lists no protocol");
            self.push(
                Diagnostic::rejected("firewall-action", message)
                    .at(protocols.place)
                    .help("`IPProtocol: all` is everything"),
            );
        }
        let matches: Vec<_> = protocols.iter().filter_map(|protocol| self.protocol(protocol)).collect();
        let (given, other) = match direction {
            FirewallDirection::Ingress => (&firewall.source_ranges, &firewall.destination_ranges),
            FirewallDirection::Egress => (&firewall.destination_ranges, &firewall.source_ranges),
        };
        if let Some(other) = other.as_ref().filter(|ranges| !ranges.is_empty()) {
            let message = format!(
                "firewall rule `{name}` restricts its own side too, which is not simulated: it applies to all targets"
            );
            self.push(Diagnostic::warning("not-simulated", message).at(other.place));
        }
        let ranges = self.ranges(given.as_ref());
        if ranges.is_empty() && given.as_ref().is_some_and(|ranges| !ranges.is_empty()) {
            // Only IPv6: it matches nothing here.
            return None;
        }
        let texts = |list: &Option<At<Vec<At<String>>>>| -> Vec<String> {
            list.iter().flat_map(|list| list.iter()).map(|item| item.value.clone()).collect()
        };
        Some(FirewallRule {
            name: name.to_owned(),
            network: network?,
            direction,
            priority: priority? as u16,
            allow,
            matches,
            ranges,
            source_tags: texts(&firewall.source_tags),
            source_service_accounts: texts(&firewall.source_service_accounts),
            target_tags: texts(&firewall.target_tags),
            target_service_accounts: texts(&firewall.target_service_accounts),
            disabled: firewall.disabled.unwrap_or(false),
        })
    }

    fn check_sources_and_targets(&mut self, firewall: &File, direction: FirewallDirection) {
        let given =
            |list: &Option<At<Vec<At<String>>>>| list.as_ref().filter(|list| !list.is_empty()).map(|list| list.place);
        let source_tags = given(&firewall.source_tags);
        let source_accounts = given(&firewall.source_service_accounts);
        let target_tags = given(&firewall.target_tags);
        let target_accounts = given(&firewall.target_service_accounts);
        if direction == FirewallDirection::Egress {
            for (place, field) in [(source_tags, "sourceTags"), (source_accounts, "sourceServiceAccounts")] {
                if let Some(place) = place {
                    self.push(
                        Diagnostic::rejected("egress-source", format!("an EGRESS rule cannot have {field}"))
                            .at(place)
                            .help("an EGRESS rule selects instances by `targetTags` or `targetServiceAccounts`"),
                    );
                }
            }
        }
        let tags = source_tags.or(target_tags);
        let accounts = source_accounts.or(target_accounts);
        if let (Some(tags), Some(accounts)) = (tags, accounts) {
            self.push(
                Diagnostic::rejected("tags-with-accounts", "a rule uses either network tags or service accounts")
                    .at(accounts)
                    .related(tags, "tags here")
                    .help("make two rules"),
            );
        }
    }

    /// The IPv4 ranges of a list.
    fn ranges(&mut self, list: Option<&At<Vec<At<Cidr>>>>) -> Vec<Ipv4Net> {
        list.into_iter().flat_map(|list| list.value.iter()).filter_map(|range| self.range(range)).collect()
    }

    fn protocol(&mut self, entry: &FirewallProtocol) -> Option<ProtocolMatch> {
        let name = entry.ip_protocol.to_ascii_lowercase();
        let protocol = match PROTOCOLS.iter().find(|(known, _)| *known == name) {
            Some((_, number)) => Some(*number),
            None if name == "all" => None,
            None => match name.parse() {
                Ok(number) => Some(number),
                Err(_) => {
                    let known: Vec<&str> = PROTOCOLS.iter().map(|(known, _)| *known).chain(["all"]).collect();
                    let message = format!("found `{}`, expected a protocol", entry.ip_protocol.value);
                    let help = match crate::scenario::decode::nearest(&name, known.iter().copied()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("one of {}, or a number from 0 to 255", known.join(", ")),
                    };
                    self.push(Diagnostic::unusable("unknown-value", message).at(entry.ip_protocol.place).help(help));
                    return None;
                }
            },
        };
        let mut ports = Vec::new();
        for text in entry.ports.iter().flatten() {
            if !protocol.is_some_and(|number| WITH_PORTS.contains(&number)) {
                let message = format!("protocol `{name}` has no ports");
                self.push(Diagnostic::rejected("bad-port", message).at(text.place).help("remove `ports`"));
                break;
            }
            match parse_ports(text) {
                Some(range) => ports.push(range),
                None => self.push(
                    Diagnostic::rejected(
                        "bad-port",
                        format!("found `{}`, expected a port or a range of ports", text.value),
                    )
                    .at(text.place)
                    .help("write `443` or `8000-8999`, from 0 to 65535, the lower first"),
                ),
            }
        }
        Some(ProtocolMatch { protocol, ports })
    }
}

/// `443` or `8000-8999`.
pub(super) fn parse_ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::parse_ports;

    #[test]
    fn ports_are_single_or_a_rising_range() {
        assert_eq!(parse_ports("443"), Some((443, 443)));
        assert_eq!(parse_ports("8000-8999"), Some((8000, 8999)));
        for text in ["9-8", "70000", "http", "1-2-3", ""] {
            assert_eq!(parse_ports(text), None, "{text}");
        }
    }
}
