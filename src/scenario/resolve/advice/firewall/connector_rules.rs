//! Whether Google can reach a connector's VMs: the tunnel from the serverless side, and health checks. Where it cannot, a new
//! connector does not get healthy, and one that was carries nothing.
//!
//! Google makes rules for it, of priority 100, where connector and network are of one project; in a Shared VPC somebody has
//! to (<https://docs.cloud.google.com/vpc/docs/configure-serverless-vpc-access>, 2026). A rule counts here when it is about a
//! range as a whole.

use ipnet::IpNet;

use super::{FirewallAdvice, Member, What, holds_all};
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::{FirewallAction, FirewallDirection, FirewallPolicyKind, FirewallRule};

/// Priority of the automatic rules; deny wins a tie.
const AUTOMATIC: u32 = 100;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Traffic that has to pass.
struct Need {
    what: &'static str,
    direction: FirewallDirection,
    /// Google's side.
    range: &'static str,
    protocol: u8,
    port: u16,
    cause: &'static str,
}

const SERVERLESS: &str = "VPC_CONNECTOR_SERVERLESS_TRAFFIC_BLOCKED";
const HEALTH_CHECK: &str = "VPC_CONNECTOR_HEALTH_CHECK_TRAFFIC_BLOCKED";

const fn tunnel(direction: FirewallDirection) -> Need {
    let what = "udp:665-666 of the tunnel";
    Need { what, direction, range: "35.199.224.0/19", protocol: UDP, port: 665, cause: SERVERLESS }
}

const fn check(range: &'static str) -> Need {
    let (what, direction) = ("tcp:667 of health checks", FirewallDirection::Ingress);
    Need { what, direction, range, protocol: TCP, port: 667, cause: HEALTH_CHECK }
}

const NEEDS: [Need; 6] = [
    tunnel(FirewallDirection::Ingress),
    tunnel(FirewallDirection::Egress),
    check("35.199.224.0/19"),
    check("35.191.0.0/16"),
    check("35.191.192.0/18"),
    check("130.211.0.0/22"),
];

/// What the rules say of a need.
enum Ruled<'a> {
    Passes,
    /// By this rule, with where it stands.
    Denied(&'a FirewallRule, Place),
    /// No rule is about it, and what no rule is about does not come in.
    Unmentioned,
}

impl Need {
    fn is_met_by(&self, rule: &FirewallRule, member: &Member<'_>) -> bool {
        let range: IpNet = self.range.parse().expect("the constants are ranges");
        let side = if self.direction == FirewallDirection::Ingress { &rule.source } else { &rule.destination };
        let with = |ports: &[(u16, u16)]| {
            ports.is_empty() || ports.iter().any(|&(first, last)| (first..=last).contains(&self.port))
        };
        let speaks = rule.matches.iter().any(|it| it.protocol.is_none_or(|it| it == self.protocol) && with(&it.ports));
        rule.is_in_force(self.direction) && rule.is_for(member) && holds_all(side, range) && speaks
    }
}

impl FirewallAdvice<'_> {
    /// S19, S8: rules that keep Google from a connector, or that are missing in a Shared VPC.
    pub(super) fn connectors_reached(&mut self) {
        let scenario = self.scenario;
        let mut found = Vec::new();
        for (number, connector) in scenario.connectors.iter().enumerate() {
            let named = |member: &&Member<'_>| member.what == What::Connector && member.name == connector.name;
            let Some(member) = self.in_network(connector.network).find(named) else { continue };
            let (name, place) = (&connector.name, self.details.connectors[number]);
            let lost = NEEDS.iter().find_map(|need| {
                let automatic = !connector.in_service_project;
                Some((need, self.ruled(need, member, &connector.region, automatic))).filter(|it| !it.1.passes())
            });
            match lost {
                Some((need, Ruled::Denied(rule, at))) => {
                    let message = format!(
                        "`{}` (priority {}) denies {} between {} and the VMs of connector `{name}`: it does not get healthy, and what goes through it is dropped as {}",
                        rule.name, rule.priority, need.what, need.range, need.cause
                    );
                    let help = "allow what Google's automatic rules allow, before it: tcp:667, udp:665-666 and icmp";
                    found.push(
                        Diagnostic::warning("connector-blocked", message)
                            .at(at)
                            .related(place, "the connector")
                            .help(help),
                    );
                }
                Some((need, Ruled::Unmentioned)) => {
                    let message = format!(
                        "connector `{name}` is in another project than its network, where Google makes no firewall rules for it, and none lets in {} from {}: dropped as {}",
                        need.what, need.range, need.cause
                    );
                    let help = "in the host project allow tcp:667, udp:665-666 and icmp from 35.199.224.0/19, and tcp:667 from 35.191.0.0/16, 35.191.192.0/18, 130.211.0.0/22, with `targetTags: [vpc-connector]`";
                    found.push(Diagnostic::warning("connector-rules-missing", message).at(place).help(help));
                }
                Some((_, Ruled::Passes)) | None => {}
            }
        }
        self.found.extend(found);
    }

    fn ruled(&self, need: &Need, member: &Member<'_>, region: &str, automatic: bool) -> Ruled<'_> {
        let network = member.network;
        let first = self.scenario.networks[network].policies_before_rules;
        let after = |kind: FirewallPolicyKind| {
            !first && matches!(kind, FirewallPolicyKind::Network | FirewallPolicyKind::RegionalNetwork)
        };
        let policies = self.scenario.firewall_policies.iter().zip(&self.details.firewall_policies);
        let mut policies: Vec<_> = policies
            .filter(|(policy, _)| policy.networks.contains(&network))
            .filter(|(policy, _)| policy.region.as_deref().is_none_or(|its| its == region))
            .map(|(policy, places)| {
                let here = |rule: &&FirewallRule| rule.target_networks.as_ref().is_none_or(|it| it.contains(&network));
                let rules = policy.rules.iter().zip(places).filter(move |(rule, _)| here(rule));
                (policy.kind, rules.map(|(rule, place)| (rule, *place)).collect::<Vec<_>>())
            })
            .collect();
        // Kinds are declared in the order of evaluation.
        policies.sort_by_key(|(kind, _)| *kind);
        let (before, after): (Vec<_>, Vec<_>) = policies.into_iter().partition(|(kind, _)| !after(*kind));
        let rules = self.scenario.firewall_rules.iter().enumerate().filter(|(_, it)| it.network == network);
        let mut rules: Vec<_> = rules.map(|(at, it)| (&it.rule, self.place(at))).collect();
        rules.sort_by_key(|(rule, _)| (rule.priority, rule.action.passes()));
        if automatic {
            rules.retain(|(rule, _)| (rule.priority, rule.action.passes()) < (AUTOMATIC, true));
        }
        let layers = before.into_iter().map(|(_, rules)| (rules, false));
        let layers = layers.chain([(rules, automatic)]).chain(after.into_iter().map(|(_, rules)| (rules, false)));
        for (rules, passes_then) in layers {
            let decides = rules.into_iter().find(|(rule, _)| need.is_met_by(rule, member));
            match decides.map(|(rule, place)| (rule.action, rule, place)) {
                Some((FirewallAction::Deny, rule, place)) => return Ruled::Denied(rule, place),
                Some((FirewallAction::GotoNext, ..)) => {}
                None if !passes_then => {}
                Some(_) | None => return Ruled::Passes,
            }
        }
        if need.direction == FirewallDirection::Egress { Ruled::Passes } else { Ruled::Unmentioned }
    }
}

impl Ruled<'_> {
    fn passes(&self) -> bool {
        matches!(self, Ruled::Passes)
    }
}
