//! What a trace says of a decision: the rule, and the telling few of those that were passed over before it.

use std::net::IpAddr;
use std::sync::Arc;

use super::interface::{Interface, InterfaceKind};
use super::layers::{Decision, Layer, LayerKind, RuleAt};
use super::rule::{Action, Fit, Headers, Port, Rule};
use super::{Firewall, METADATA};
use crate::time::SimTime;
use crate::trace::info::{FirewallInfo, FirewallRuleType, NgfwPacketInspectionInfo, Resource};

/// Rules that are told of although they did not decide: so many that leave it to the next layer, and so many that failed to
/// match by one thing.
const TOLD: usize = 3;

/// Priority of the implied rules.
const IMPLIED: u32 = 65_535;

/// A rule by its name, its priority and its policy.
fn named(layer: &Layer, rule: &Rule) -> String {
    let (name, priority) = (&rule.name, rule.priority);
    match &layer.policy {
        None if rule.by_google => format!("Serverless VPC Access rule {name} (priority {priority})"),
        None => format!("firewall rule {name} (priority {priority})"),
        Some(policy) => {
            let (kind, policy) = (layer.kind.words(), &policy.name);
            match &**name {
                "" => format!("rule {priority} of {kind} {policy}"),
                name => format!("rule {name} (priority {priority}) of {kind} {policy}"),
            }
        }
    }
}

/// A packet's protocol and port, as a rule names them.
fn traffic(headers: &Headers) -> String {
    let protocol = match headers.protocol {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        132 => "sctp".to_owned(),
        other => format!("protocol {other}"),
    };
    match headers.port {
        Port::Known(port) => format!("{protocol} port {port}"),
        Port::None => protocol,
        Port::InFirstFragment => format!("{protocol} fragments without a port"),
    }
}

impl Firewall {
    /// The sentence about a decision, and its payload.
    pub(super) fn told(
        &self,
        interface: &Interface,
        ingress: bool,
        headers: &Headers,
        decision: &Decision,
        now: SimTime,
    ) -> (String, FirewallInfo) {
        let word = if decision.allow { "allowed" } else { "denied" };
        let way = if ingress { "ingress to" } else { "egress from" };
        let by = match decision.rule {
            Some(at) => {
                let (layer, rule) = self.layers.at(at);
                format!("by {}", named(layer, rule))
            }
            None if !ingress && headers.destination == METADATA => "as always to the metadata server".to_owned(),
            None if ingress && decision.allow => {
                "since it shows no port: rules for ports apply to the first fragment".to_owned()
            }
            None => format!("by the implied rule (priority {IMPLIED})"),
        };
        let mut text = format!("{way} {} {word} {by}", interface.name);
        if let Some(undefined) = decision.undefined {
            let by = undefined.words();
            text += &format!(", whose {by} Google does not support for Direct VPC egress: behavior is undefined");
        }
        if let Some((at, by)) = decision.unsupported {
            let (layer, rule) = self.layers.at(at);
            let (rule, by) = (named(layer, rule), by.words());
            text += &format!("; {rule} would let it pass by its {by}, which does not work for Direct VPC egress");
        }
        for passed_over in self.passed_over(interface, ingress, headers, decision, now) {
            text += "; ";
            text += &passed_over;
        }
        (text, self.info(decision.rule, ingress, decision.allow))
    }

    /// The telling few of the rules before the one that decided: those that left it to others, and those that would have
    /// decided otherwise but for one thing.
    fn passed_over(
        &self,
        interface: &Interface,
        ingress: bool,
        headers: &Headers,
        decision: &Decision,
        now: SimTime,
    ) -> impl Iterator<Item = String> {
        let sender = if ingress { self.interface_with(headers.source) } else { None };
        let (mut handed_on, mut missed) = (Vec::new(), Vec::new());
        let mut left = None;
        for (at, layer, rule) in self.layers.in_order(ingress) {
            if decision.rule.is_some_and(|decisive| decisive <= at) {
                break;
            }
            let told = decision.unsupported.is_some_and(|(told, _)| told == at);
            if left == Some(at.layer()) || rule.by_google || told {
                continue;
            }
            let mut why = obstacles(layer, rule, interface, headers, sender, now);
            match (why.next(), why.next()) {
                (None, _) if rule.action == Action::GotoNext => {
                    left = Some(at.layer());
                    handed_on.push(format!("{} leaves it to others (goto_next)", named(layer, rule)));
                }
                (Some(why), None) if rule.action != Action::GotoNext && rule.action.passes() != decision.allow => {
                    missed.push(format!("{} does not apply: {why}", named(layer, rule)));
                }
                _ => {}
            }
        }
        handed_on.into_iter().take(TOLD).chain(missed.into_iter().take(TOLD))
    }

    /// The payload of a decision by a rule, or by the implied one.
    fn info(&self, rule: Option<RuleAt>, ingress: bool, allow: bool) -> FirewallInfo {
        // As Connectivity Tests was seen to print it for egress; for ingress by analogy.
        let implied = if ingress { "default-deny-ingress" } else { "default-allow-egress" };
        let mut info = FirewallInfo {
            display_name: implied.to_owned(),
            rule: None,
            direction: if ingress { "INGRESS" } else { "EGRESS" },
            action: if allow { Action::Allow.name() } else { Action::Deny.name() },
            priority: Some(IMPLIED),
            network: Resource::network(Arc::clone(&self.network)),
            target_tags: Vec::new(),
            target_service_accounts: Vec::new(),
            policy: None,
            policy_name: None,
            policy_priority: None,
            rule_type: FirewallRuleType::ImpliedVpcFirewallRule,
        };
        if let Some((layer, rule)) = rule.map(|at| self.layers.at(at)) {
            info.display_name = rule.name.to_string();
            info.action = rule.action.name();
            info.priority = Some(rule.priority);
            info.target_tags = rule.targets.tags.clone();
            info.target_service_accounts = rule.targets.service_accounts.clone();
            info.rule_type = layer.kind.rule_type();
            match &layer.policy {
                Some(policy) => {
                    info.policy = Some(policy.resource.clone());
                    info.policy_name = Some(Arc::clone(&policy.name));
                    info.policy_priority = policy.priority;
                }
                None => info.rule = Some(Resource::global("firewalls", Arc::clone(&rule.name))),
            }
            if layer.kind == LayerKind::VpcRules && rule.by_google {
                info.rule_type = FirewallRuleType::ServerlessVpcAccessManagedFirewallRule;
            }
        }
        info
    }

    /// The payload of a packet that passes as part of a tracked connection.
    pub(super) fn tracking_info(&self, ingress: bool) -> FirewallInfo {
        FirewallInfo {
            display_name: String::new(),
            priority: None,
            rule_type: FirewallRuleType::TrackingState,
            ..self.info(None, ingress, true)
        }
    }

    /// What Cloud NGFW Enterprise does with a packet that a rule sends to it.
    pub(super) fn inspection(
        &self,
        interface: &Interface,
        ingress: bool,
        headers: &Headers,
        decision: &Decision,
    ) -> Option<(String, NgfwPacketInspectionInfo)> {
        let (_, rule) = self.layers.at(decision.rule?);
        if rule.action != Action::Inspect {
            return None;
        }
        let direct = |interface: &Interface| matches!(interface.kind, InterfaceKind::DirectVpc { .. });
        let sender = if ingress { self.interface_with(headers.source) } else { None };
        let group = rule.security_profile_group.clone().unwrap_or_else(|| "without a name".into());
        let text = if direct(interface) || sender.is_some_and(direct) {
            // Google lists it among what Direct VPC egress does not support.
            "Cloud NGFW Enterprise does not inspect packets of Direct VPC egress: it passes".to_owned()
        } else {
            format!(
                "Cloud NGFW Enterprise inspects it with security profile group {group}: what it finds is not simulated"
            )
        };
        Some((text, NgfwPacketInspectionInfo { security_profile_group: group }))
    }
}

/// Everything for which a rule does not match.
fn obstacles<'a>(
    layer: &'a Layer,
    rule: &'a Rule,
    interface: &'a Interface,
    headers: &'a Headers,
    sender: Option<&'a Interface>,
    now: SimTime,
) -> impl Iterator<Item = String> {
    let not_among = |address: IpAddr, what: &str| format!("{address} is not among its {what}");
    let fit = rule.fits_source(headers, sender, now);
    let source = match fit {
        Fit::Yes | Fit::Undefined(_) => None,
        Fit::No => Some(not_among(headers.source, "sources")),
        Fit::Unsupported(by) => Some(format!("its {} does not work for Direct VPC egress", by.words())),
    };
    let region = layer.region.as_deref().filter(|_| !layer.is_for(interface.region.as_ref()));
    [
        rule.disabled.then(|| "it is disabled".to_owned()),
        region.map(|region| format!("its policy is for {region}")),
        (!rule.targets(interface)).then(|| format!("{} is not among its targets", interface.name)),
        (!rule.covers_protocol(headers)).then(|| format!("it is not for {}", traffic(headers))),
        source,
        (!rule.covers_destination(headers)).then(|| not_among(headers.destination, "destinations")),
    ]
    .into_iter()
    .flatten()
}
