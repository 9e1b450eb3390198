//! VPC firewall rules.

use ipnet::IpNet;

use super::Resolver;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::firewall::{Direction, Firewall as File};
use crate::scenario::value::{At, Cidr};
use crate::scenario::{FirewallAction, FirewallDirection, FirewallPeers, FirewallRule, VpcFirewallRule};

mod countries;
pub(super) mod matching;
mod patch;
mod policy;
mod policy_rule;

/// Texts of a list.
fn texts(list: &Option<At<Vec<At<String>>>>) -> Vec<String> {
    list.iter().flat_map(|list| list.iter()).map(|item| item.value.clone()).collect()
}

/// Where a list is, if it holds anything.
fn given<T>(list: &Option<At<Vec<T>>>) -> Option<Place> {
    list.as_ref().filter(|list| !list.is_empty()).map(|list| list.place)
}

pub(super) fn direction(direction: Option<&At<Direction>>) -> FirewallDirection {
    match direction.map(|direction| direction.value) {
        None | Some(Direction::Ingress) => FirewallDirection::Ingress,
        Some(Direction::Egress) => FirewallDirection::Egress,
    }
}

/// Everybody, in the IP version of the other side: what Google puts where nothing is said.
fn anybody(other_side: &[IpNet]) -> IpNet {
    let v6 = !other_side.is_empty() && other_side.iter().all(|range| matches!(range, IpNet::V6(_)));
    if v6 { "::/0" } else { "0.0.0.0/0" }.parse().expect("the constant is a range")
}

impl Resolver<'_> {
    pub(super) fn firewalls(&mut self) {
        for firewall in &self.file.firewalls {
            let Some(name) = &firewall.name else {
                if !self.is_lost(firewall.place, "name") {
                    let message = "a firewall rule needs the field `name`";
                    self.push(Diagnostic::unusable("missing-field", message).at(firewall.place));
                }
                continue;
            };
            let declared = self.firewalls.declare(name, None, self.out.firewall_rules.len());
            self.ok(declared);
            let network = match &firewall.network {
                Some(network) => self.networks.lookup(network, None),
                // The API's default.
                None if self.is_lost(firewall.place, "network") => Ok(None),
                None => {
                    self.networks.lookup(&At { value: "default".parse().expect("a name"), place: name.place }, None)
                }
            };
            let network = self.ok(network).flatten();
            let rule = self.vpc_firewall_rule(name.name(), firewall, firewall.place);
            match network.zip(rule) {
                Some((network, rule)) => {
                    self.details.firewalls.push(firewall.value.clone());
                    self.out.firewall_rules.push(VpcFirewallRule { network, rule });
                }
                None => {
                    self.firewalls.index.remove(name.name());
                    self.firewalls.lost.insert(name.name().to_owned());
                }
            }
        }
    }

    /// A rule as written, at `item`.
    fn vpc_firewall_rule(&mut self, name: &str, firewall: &File, item: Place) -> Option<FirewallRule> {
        let direction = direction(firewall.direction.as_ref());
        let priority = match &firewall.priority {
            None => Some(1000),
            Some(priority) => self.bounded(priority, 0..=65_535, "priority of a firewall rule"),
        };
        self.sources_and_targets(
            direction,
            [
                (given(&firewall.source_tags), "sourceTags"),
                (given(&firewall.source_service_accounts), "sourceServiceAccounts"),
            ],
            [given(&firewall.target_tags), given(&firewall.target_service_accounts)],
        );
        let (action, protocols) = match (&firewall.allowed, &firewall.denied) {
            (Some(allowed), None) => (FirewallAction::Allow, allowed),
            (None, Some(denied)) => (FirewallAction::Deny, denied),
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
                if !self.is_lost(item, "allowed") && !self.is_lost(item, "denied") {
                    let message = format!("firewall rule `{name}` neither allows nor denies");
                    let help = "add `allowed: [{IPProtocol: tcp, ports: [\"443\"]}]` or `denied:`";
                    let place = firewall.name.as_ref().map_or(item, |name| name.place);
                    self.push(Diagnostic::rejected("firewall-action", message).at(place).help(help));
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
        let matches: Vec<_> = protocols
            .iter()
            .filter_map(|protocol| self.protocol_match(&protocol.ip_protocol, protocol.ports.as_deref()))
            .collect();
        let sources = self.ip_ranges(firewall.source_ranges.as_ref());
        let destinations = self.ip_ranges(firewall.destination_ranges.as_ref());
        self.one_ip_version(name, [&firewall.source_ranges, &firewall.destination_ranges]);
        let mut source = FirewallPeers {
            ranges: sources.clone(),
            tags: texts(&firewall.source_tags),
            service_accounts: texts(&firewall.source_service_accounts),
            ..FirewallPeers::default()
        };
        let mut destination = FirewallPeers { ranges: destinations.clone(), ..FirewallPeers::default() };
        let nobody = FirewallPeers::default();
        match direction {
            FirewallDirection::Ingress if source == nobody => source.ranges.push(anybody(&destinations)),
            FirewallDirection::Egress if destination == nobody => destination.ranges.push(anybody(&sources)),
            FirewallDirection::Ingress | FirewallDirection::Egress => {}
        }
        Some(FirewallRule {
            name: name.to_owned(),
            direction,
            priority: priority? as u32,
            action,
            matches,
            source: (source != nobody).then_some(source),
            destination: (destination != nobody).then_some(destination),
            target_tags: texts(&firewall.target_tags),
            target_service_accounts: texts(&firewall.target_service_accounts),
            target_secure_tags: Vec::new(),
            target_networks: None,
            security_profile_group: None,
            disabled: firewall.disabled.as_ref().is_some_and(|disabled| disabled.value),
            logging: firewall.log_config.as_ref().is_some_and(|log| log.enable == Some(true)),
        })
    }

    /// A rule has tags or service accounts; an EGRESS rule has no sources of either kind.
    fn sources_and_targets(
        &mut self,
        direction: FirewallDirection,
        sources: [(Option<Place>, &str); 2],
        targets: [Option<Place>; 2],
    ) {
        if direction == FirewallDirection::Egress {
            for (place, field) in sources {
                if let Some(place) = place {
                    self.push(
                        Diagnostic::rejected("egress-source", format!("an EGRESS rule cannot have {field}"))
                            .at(place)
                            .help("an EGRESS rule selects instances by `targetTags` or `targetServiceAccounts`"),
                    );
                }
            }
        }
        let tags = sources[0].0.or(targets[0]);
        let accounts = sources[1].0.or(targets[1]);
        if let (Some(tags), Some(accounts)) = (tags, accounts) {
            self.push(
                Diagnostic::rejected("tags-with-accounts", "a rule uses either network tags or service accounts")
                    .at(accounts)
                    .related(tags, "tags here")
                    .help("make two rules"),
            );
        }
    }

    /// Google: a rule has IPv4 or IPv6 ranges, not both.
    fn one_ip_version(&mut self, name: &str, lists: [&Option<At<Vec<At<Cidr>>>>; 2]) {
        let mut ranges = lists.into_iter().flatten().flat_map(|list| list.value.iter());
        let is_v6 = |range: &At<Cidr>| matches!(range.net(), IpNet::V6(_));
        let Some(first) = ranges.next() else { return };
        if let Some(other) = ranges.find(|range| is_v6(range) != is_v6(first)) {
            let message = format!("firewall rule `{name}` has IPv4 and IPv6 ranges");
            self.push(
                Diagnostic::rejected("mixed-ip-versions", message)
                    .at(other.place)
                    .related(first.place, "the other IP version")
                    .help("make two rules"),
            );
        }
    }
}
