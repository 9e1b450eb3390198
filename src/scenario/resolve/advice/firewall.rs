//! Warnings about firewall rules: those that cut Cloud Run off, and those that do not mean whom they seem to mean.
//!
//! What Direct VPC egress does not support: <https://docs.cloud.google.com/run/docs/configuring/vpc-direct-vpc>, 2026.
//! Connectors and their rules: <https://docs.cloud.google.com/vpc/docs/configure-serverless-vpc-access>, 2026.

use std::collections::BTreeSet;

use ipnet::{IpNet, Ipv4Net};

use crate::scenario::decode::nearest;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::value::At;
use crate::scenario::{
    Attachment, Egress, FirewallAction, FirewallDirection, FirewallPeers, FirewallRule, HostLocation, Scenario,
    WorkloadKind,
};

use super::super::{Details, Resolver};

mod connector_rules;

/// The priority at which Google allows a connector's range everywhere in the network; deny wins a tie.
const CONNECTOR_PRIORITY: u32 = 1000;
/// `private.googleapis.com` and `restricted.googleapis.com`.
const GOOGLE_API_RANGES: [&str; 2] = ["199.36.153.8/30", "199.36.153.4/30"];
const TCP: u8 = 6;
const HTTPS: u16 = 443;

/// Whoever has an interface in a network: what rules can know it by.
struct Member<'a> {
    network: usize,
    what: What,
    name: &'a str,
    tags: Vec<String>,
    account: Option<&'a str>,
    secure_tags: &'a [String],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Vm,
    Connector,
    /// By its number.
    Workload(usize),
}

impl Resolver<'_> {
    pub(super) fn firewall_advice(&mut self) {
        let mut advice = FirewallAdvice {
            scenario: &self.out,
            details: &self.details,
            members: members(&self.out),
            found: Vec::new(),
        };
        for at in 0..self.out.firewall_rules.len() {
            advice.rule(at);
        }
        advice.connectors();
        advice.connectors_reached();
        advice.ways_out();
        advice.policies();
        let found = advice.found;
        self.diagnostics.extend(found);
    }
}

fn members(scenario: &Scenario) -> Vec<Member<'_>> {
    let vms = scenario.vms.iter().map(|vm| Member {
        network: vm.network,
        what: What::Vm,
        name: &vm.name,
        tags: vm.tags.clone(),
        account: vm.service_account.as_deref(),
        secure_tags: &vm.secure_tags,
    });
    let connectors = scenario.connectors.iter().map(|connector| Member {
        network: connector.network,
        what: What::Connector,
        name: &connector.name,
        tags: vec!["vpc-connector".to_owned(), format!("vpc-connector-{}-{}", connector.region, connector.name)],
        account: None,
        secure_tags: &[],
    });
    let workloads = scenario.workloads.iter().enumerate().filter_map(|(at, workload)| match workload.attachment() {
        Attachment::Direct { network, tags, .. } => Some(Member {
            network: *network,
            what: What::Workload(at),
            name: &workload.name,
            tags: tags.clone(),
            account: workload.revisions[0].service_account.as_deref(),
            secure_tags: &[],
        }),
        Attachment::Connector(_) | Attachment::None => None,
    });
    vms.chain(connectors).chain(workloads).collect()
}

fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

/// Whether a rule's side holds all of these addresses.
fn holds_all(side: &Option<FirewallPeers>, range: IpNet) -> bool {
    side.as_ref().is_none_or(|peers| peers.ranges.iter().any(|known| known.contains(&range)))
}

impl FirewallRule {
    /// Whether it has to do with a member at all.
    fn is_for(&self, member: &Member<'_>) -> bool {
        let all = self.target_tags.is_empty()
            && self.target_service_accounts.is_empty()
            && self.target_secure_tags.is_empty();
        all || self.target_tags.iter().any(|tag| member.tags.contains(tag))
            || member.account.is_some_and(|account| self.target_service_accounts.iter().any(|it| it == account))
            || self.target_secure_tags.iter().any(|tag| member.secure_tags.contains(tag))
    }

    fn is_in_force(&self, direction: FirewallDirection) -> bool {
        !self.disabled && self.direction == direction
    }

    /// Whether it is about all of TCP, or all there is.
    fn covers_all_of_tcp(&self) -> bool {
        let whole = |ports: &[(u16, u16)]| ports.is_empty() || ports.iter().any(|&(a, b)| a <= 1 && b == u16::MAX);
        self.matches.iter().any(|entry| entry.protocol.is_none_or(|it| it == TCP) && whole(&entry.ports))
    }

    fn covers_https(&self) -> bool {
        let with = |ports: &[(u16, u16)]| ports.is_empty() || ports.iter().any(|&(a, b)| a <= HTTPS && HTTPS <= b);
        self.matches.iter().any(|entry| entry.protocol.is_none_or(|it| it == TCP) && with(&entry.ports))
    }

    /// Comes before another VPC firewall rule.
    fn precedes(&self, other: &FirewallRule) -> bool {
        (self.priority, self.action.passes()) < (other.priority, other.action.passes())
    }
}

struct FirewallAdvice<'a> {
    scenario: &'a Scenario,
    details: &'a Details,
    members: Vec<Member<'a>>,
    found: Vec<Diagnostic>,
}

impl<'a> FirewallAdvice<'a> {
    /// Where a rule's name is.
    fn place(&self, at: usize) -> Place {
        self.details.firewalls[at].name.as_ref().map_or(Place::NOWHERE, |name| name.place)
    }

    /// Where a list of it is, else its name.
    fn place_of<T>(&self, at: usize, list: &Option<At<Vec<T>>>) -> Place {
        list.as_ref().map_or_else(|| self.place(at), |list| list.place)
    }

    fn in_network(&self, network: usize) -> impl Iterator<Item = &Member<'a>> {
        self.members.iter().filter(move |member| member.network == network)
    }

    /// Those with Direct VPC egress, and what they are.
    fn direct(&self, network: usize) -> impl Iterator<Item = (&Member<'a>, WorkloadKind)> {
        self.in_network(network).filter_map(|member| match member.what {
            What::Workload(at) => Some((member, self.scenario.workloads[at].kind)),
            What::Vm | What::Connector => None,
        })
    }

    fn subnet_of(&self, member: &Member<'_>) -> Option<Ipv4Net> {
        let What::Workload(at) = member.what else { return None };
        let Attachment::Direct { subnetwork, .. } = *self.scenario.workloads[at].attachment() else { return None };
        Some(self.scenario.subnetworks[subnetwork].range)
    }

    /// What there is to say of a VPC firewall rule by itself.
    fn rule(&mut self, at: usize) {
        let spec = &self.scenario.firewall_rules[at];
        if spec.rule.disabled {
            return;
        }
        self.target_tags(at);
        match spec.rule.direction {
            FirewallDirection::Ingress => {
                self.undefined_source(at);
                self.ingress_for_cloud_run(at);
            }
            FirewallDirection::Egress => {}
        }
        self.logging(&spec.rule, spec.network, &format!("firewall rule `{}`", spec.rule.name), self.place(at));
    }

    /// Target tags that nobody has: misspelled, or of machines that the scenario leaves out.
    fn target_tags(&mut self, at: usize) {
        let spec = &self.scenario.firewall_rules[at];
        let known: BTreeSet<&str> =
            self.in_network(spec.network).flat_map(|member| member.tags.iter().map(String::as_str)).collect();
        let written = self.details.firewalls[at].target_tags.iter().flat_map(|tags| tags.iter());
        let unknown: Vec<&At<String>> = written.filter(|tag| !known.contains(tag.as_str())).collect();
        let Some(first) = unknown.first().filter(|_| unknown.len() == spec.rule.target_tags.len()) else { return };
        let nobody =
            format!("nobody has the tag `{}`: firewall rule `{}` applies to nobody", first.value, spec.rule.name);
        let finding = match nearest(first, known.iter().copied()) {
            Some(near) => Diagnostic::warning("unused-target-tag", nobody).help(format!("did you mean `{near}`?")),
            // Dumps of real projects are full of tags of machines that do not matter here.
            None => Diagnostic::note("unused-target-tag", nobody).help("add the machines that have it, if they matter"),
        };
        self.found.push(finding.at(first.place));
    }

    /// S17: ingress rules that mean a Direct VPC workload by its tag or service account.
    fn undefined_source(&mut self, at: usize) {
        let spec = &self.scenario.firewall_rules[at];
        let Some(source) = &spec.rule.source else { return };
        let written = &self.details.firewalls[at];
        let mut found = None;
        for (member, _) in self.direct(spec.network) {
            let tag = source.tags.iter().find(|tag| member.tags.contains(tag));
            let account = source.service_accounts.iter().find(|account| member.account == Some(account));
            let Some(subnet) = self.subnet_of(member) else { continue };
            if (tag.is_none() && account.is_none())
                || source.ranges.iter().any(|range| range.contains(&IpNet::V4(subnet)))
            {
                continue;
            }
            let (what, place) = match (tag, account) {
                (Some(tag), _) => (format!("source tag `{tag}`"), self.place_of(at, &written.source_tags)),
                (None, account) => (
                    format!("source service account `{}`", account.map_or("", String::as_str)),
                    self.place_of(at, &written.source_service_accounts),
                ),
            };
            let message = format!(
                "{what} of firewall rule `{}` means `{}`, which has Direct VPC egress: behavior is undefined",
                spec.rule.name, member.name
            );
            let help = format!("use the range of its subnet: `sourceRanges: [{subnet}]`");
            found = Some(Diagnostic::warning("undefined-ingress-source", message).at(place).help(help));
            break;
        }
        self.found.extend(found);
    }

    /// Ingress rules that let somebody in who cannot come in, or not by this rule.
    fn ingress_for_cloud_run(&mut self, at: usize) {
        let spec = &self.scenario.firewall_rules[at];
        let rule = &spec.rule;
        let named = !rule.target_tags.is_empty() || !rule.target_service_accounts.is_empty();
        if !rule.action.passes() || !named {
            return;
        }
        let written = &self.details.firewalls[at];
        let place = match rule.target_tags.is_empty() {
            true => self.place_of(at, &written.target_service_accounts),
            false => self.place_of(at, &written.target_tags),
        };
        let meant: Vec<&Member<'_>> = self.in_network(spec.network).filter(|member| rule.is_for(member)).collect();
        // As soon as a VM is meant, too, the rule has its sense.
        if meant.iter().any(|member| !matches!(member.what, What::Workload(_))) {
            return;
        }
        let kinds = self.direct(spec.network).filter(|(member, _)| rule.is_for(member));
        let kinds: Vec<(&str, WorkloadKind)> = kinds.map(|(member, kind)| (member.name, kind)).collect();
        let pool = kinds.iter().find(|(_, kind)| *kind == WorkloadKind::WorkerPool);
        let finding = match (pool, kinds.first()) {
            (Some((pool, _)), _) => {
                let message = format!(
                    "firewall rule `{}` lets nobody into worker pool `{pool}`: targets of ingress rules cannot be named with Direct VPC",
                    rule.name
                );
                Diagnostic::warning("ingress-target-unsupported", message)
                    .help("leave the targets out and name the subnet: `destinationRanges`")
            }
            (None, Some((name, _))) => {
                let message = format!(
                    "firewall rule `{}` lets nobody into `{name}`: only worker pools have Direct VPC ingress",
                    rule.name
                );
                Diagnostic::warning("no-direct-vpc-ingress", message)
                    .help("use a worker pool, or send requests to the service's URL")
            }
            (None, None) => return,
        };
        self.found.push(finding.at(place));
    }

    /// Logging of rules that Direct VPC workloads meet.
    fn logging(&mut self, rule: &FirewallRule, network: usize, what: &str, place: Place) {
        if !rule.logging {
            return;
        }
        let meets = |member: &Member<'_>, kind: WorkloadKind| match rule.direction {
            FirewallDirection::Egress => rule.is_for(member),
            FirewallDirection::Ingress => kind == WorkloadKind::WorkerPool && rule.is_for(member),
        };
        let Some(name) = self.direct(network).find(|(member, kind)| meets(member, *kind)).map(|it| it.0.name) else {
            return;
        };
        let message = format!("{what} does not log connections of `{name}`: unsupported with Direct VPC egress");
        let help = "look at VPC Flow Logs of the subnet, or at Cloud NAT's log";
        self.found.push(Diagnostic::warning("logging-unsupported", message).at(place).help(help));
    }

    /// S8: rules that deny a connector's range before Google allows it.
    fn connectors(&mut self) {
        for (number, connector) in self.scenario.connectors.iter().enumerate() {
            let users = self.scenario.workloads.iter();
            let Some(user) = users.clone().find(|it| *it.attachment() == Attachment::Connector(number)) else {
                continue;
            };
            let range = IpNet::V4(self.scenario.subnetworks[connector.subnetwork].range);
            let rules = self.scenario.firewall_rules.iter().enumerate();
            let ingress: Vec<(usize, &FirewallRule)> = rules
                .filter(|(_, it)| it.network == connector.network && it.rule.is_in_force(FirewallDirection::Ingress))
                .map(|(at, it)| (at, &it.rule))
                .collect();
            let from_range = |rule: &FirewallRule| {
                rule.source.as_ref().is_none_or(|peers| peers.ranges.iter().any(|known| overlap(known, &range)))
            };
            let reachable = |rule: &FirewallRule| self.in_network(connector.network).any(|member| rule.is_for(member));
            let denies = ingress.iter().filter(|(_, rule)| {
                rule.action == FirewallAction::Deny
                    && rule.priority <= CONNECTOR_PRIORITY
                    && rule.covers_all_of_tcp()
                    && from_range(rule)
                    && reachable(rule)
            });
            // Google's own advice for restricting a connector is a deny, and an allow before it.
            let denies: Vec<_> = denies
                .filter(|(_, deny)| {
                    !ingress.iter().any(|(_, rule)| rule.action.passes() && from_range(rule) && rule.precedes(deny))
                })
                .collect();
            if let Some((at, rule)) = denies.first() {
                let everybody = rule.target_tags.is_empty() && rule.target_service_accounts.is_empty();
                let whom = if everybody { "what is in the network" } else { "its targets" };
                let message = format!(
                    "firewall rule `{}` (priority {}) denies {range} of connector `{}` before Google allows it at {CONNECTOR_PRIORITY}: `{}` cannot reach {whom}",
                    rule.name, rule.priority, connector.name, user.name
                );
                let help = format!(
                    "allow what it needs from {range} at a number below {}, or deny above {CONNECTOR_PRIORITY}",
                    rule.priority
                );
                self.found.push(Diagnostic::warning("connector-denied", message).at(self.place(*at)).help(help));
            }
        }
    }

    /// S9: egress rules that cut a workload with all traffic off from Google APIs and everything else on port 443.
    fn ways_out(&mut self) {
        for workload in self.scenario.workloads.iter().filter(|it| it.egress() == Egress::AllTraffic) {
            let member = self.members.iter().find(|member| match (workload.attachment(), member.what) {
                (Attachment::Connector(at), What::Connector) => self.scenario.connectors[*at].name == member.name,
                (Attachment::Direct { .. }, What::Workload(at)) => self.scenario.workloads[at].name == workload.name,
                _ => false,
            });
            let Some(member) = member else { continue };
            let all: IpNet = "0.0.0.0/0".parse().expect("the constant is a range");
            let rules = self.scenario.firewall_rules.iter().enumerate();
            let egress: Vec<(usize, &FirewallRule)> = rules
                .filter(|(_, it)| it.network == member.network && it.rule.is_in_force(FirewallDirection::Egress))
                .map(|(at, it)| (at, &it.rule))
                .filter(|(_, rule)| rule.is_for(member) && rule.covers_https())
                .collect();
            let cut = egress.iter().find(|(_, deny)| {
                let mut ranges = GOOGLE_API_RANGES.iter().map(|text| text.parse().expect("the constants are ranges"));
                let let_through = |range: IpNet| {
                    egress.iter().any(|(_, rule)| {
                        rule.action.passes() && holds_all(&rule.destination, range) && rule.precedes(deny)
                    })
                };
                let whole = deny.source.is_none() && holds_all(&deny.destination, all);
                deny.action == FirewallAction::Deny && whole && !ranges.any(let_through)
            });
            if let Some((at, rule)) = cut {
                let message = format!(
                    "firewall rule `{}` cuts `{}` off from Google APIs and from everything else on port 443: it sends all traffic into the network",
                    rule.name, workload.name
                );
                let help = format!(
                    "allow tcp:443 to {} (private.googleapis.com) at a number below {}, or set `egress: PRIVATE_RANGES_ONLY`",
                    GOOGLE_API_RANGES[0], rule.priority
                );
                self.found.push(Diagnostic::warning("egress-denied", message).at(self.place(*at)).help(help));
            }
        }
    }

    /// What there is to say of rules of policies.
    fn policies(&mut self) {
        let scenario = self.scenario;
        let unplaced = scenario.hosts.iter().find(|host| {
            let country = host.geo_location.as_ref().and_then(|location| location.country.as_ref());
            host.location == HostLocation::Internet && country.is_none()
        });
        let mut told = false;
        for (policy, places) in scenario.firewall_policies.iter().zip(&self.details.firewall_policies) {
            for (rule, &place) in policy.rules.iter().zip(places).filter(|(rule, _)| !rule.disabled) {
                let what = match &*rule.name {
                    "" => format!("rule {} of firewall policy `{}`", rule.priority, policy.name),
                    name => format!("rule `{name}` of firewall policy `{}`", policy.name),
                };
                let of = |network: &&usize| rule.target_networks.as_ref().is_none_or(|them| them.contains(network));
                let networks: Vec<usize> = policy.networks.iter().filter(of).copied().collect();
                for &network in &networks {
                    self.logging(rule, network, &what, place);
                }
                self.secure_tags(rule, &networks, &what, place);
                let sides = [&rule.source, &rule.destination];
                let by_country = sides.into_iter().flatten().any(|peers| !peers.countries.is_empty());
                if let Some(host) = unplaced.filter(|_| by_country && !told) {
                    let message = format!(
                        "{what} is about countries, and host `{}` does not say its own: it does not match",
                        host.name
                    );
                    self.found.push(
                        Diagnostic::warning("no-geo-location", message)
                            .at(place)
                            .help("add `geoLocation: {country: usa}` to the host"),
                    );
                    told = true;
                }
            }
        }
    }

    /// Secure tags that nobody can have: Cloud Run has none.
    fn secure_tags(&mut self, rule: &FirewallRule, networks: &[usize], what: &str, place: Place) {
        let sources = rule.source.iter().flat_map(|peers| &peers.secure_tags);
        let tags: Vec<&String> = rule.target_secure_tags.iter().chain(sources).collect();
        let Some(first) = tags.first() else { return };
        let known = self.members.iter().any(|member| tags.iter().any(|tag| member.secure_tags.contains(tag)));
        let direct = networks.iter().find_map(|&network| self.direct(network).next().map(|(member, _)| member.name));
        if let (false, Some(name)) = (known, direct) {
            let message =
                format!("no VM has the secure tag `{first}`, and Cloud Run cannot: {what} does not mean `{name}`");
            let help = "name service accounts as targets, or the range of the subnet";
            self.found.push(Diagnostic::warning("secure-tag-unsupported", message).at(place).help(help));
        }
    }
}
