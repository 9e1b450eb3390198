//! Forwarding rules as destinations: internal load balancers, and services published by Private Service Connect.
//!
//! Their addresses are in subnets, so a subnet route wins; then the rule decides by protocol and port, by the state of the
//! connection and by region (<https://docs.cloud.google.com/load-balancing/docs/internal#client_access> and
//! <https://docs.cloud.google.com/vpc/docs/about-accessing-vpc-hosted-services-endpoints>, 2026). What is behind a rule is
//! its own station.

use std::sync::Arc;

use super::route::{ForwardingRule, ForwardingTarget};
use crate::trace::info::{ForwardingRuleInfo, Resource};
use crate::trace::{DropCause, Explain, Memo, State, Verdict};
use crate::wire::{Flow, Packet, Protocol};

/// Who sends to a forwarding rule.
pub(super) struct Client<'a> {
    /// Its region, if it is known.
    pub region: Option<&'a Arc<str>>,
    /// It is in a peered network.
    pub peered: bool,
}

/// What the rules of one address do with a packet.
pub(super) fn forward(
    rules: &[ForwardingRule],
    network: &Arc<str>,
    client: &Client,
    packet: &Packet,
    explain: &mut Explain,
) -> Verdict {
    let protocol = packet.protocol_number();
    let port = packet.flow().filter(|flow| flow.protocol() != Protocol::Icmp).map(Flow::dst_port);
    let Some(rule) = rules.iter().find(|rule| rule.takes(protocol, port)) else {
        explain.say(State::Drop, || {
            let names: Vec<&str> = rules.iter().map(|rule| &*rule.rule.name).collect();
            let port = port.map(|port| format!(" port {port}")).unwrap_or_default();
            format!("forwarding rule {} does not take IP protocol {protocol}{port}", names.join(", "))
        });
        return Verdict::Drop(DropCause::ForwardingRuleMismatch);
    };
    let name = &rule.rule.name;
    explain.say(State::ApplyForwardingRule, || {
        let text = format!("forwarding rule {name} has {} and leads to {}", rule.address, rule.target_words);
        (text, rule.info(network))
    });
    if let ForwardingTarget::PublishedService { accepted, status, .. } = &rule.target {
        if client.peered {
            explain.say(State::Drop, || format!("endpoint {name} cannot be reached from a peered network"));
            return Verdict::Drop(DropCause::PscEndpointAccessedFromPeeredNetwork);
        }
        if !accepted {
            explain.say(State::Drop, || format!("the connection of endpoint {name} is {status}, not ACCEPTED"));
            return Verdict::Drop(DropCause::PscConnectionNotAccepted);
        }
    }
    if let (Some(only), Some(region)) = (&rule.only_from, client.region)
        && only != region
    {
        explain.say(State::Drop, || {
            format!("the sender is in {region}, forwarding rule {name} in {only} and without global access")
        });
        return Verdict::Drop(DropCause::ForwardingRuleRegionMismatch);
    }
    Verdict::Forward(rule.port, Memo::Pure)
}

impl ForwardingRule {
    fn takes(&self, protocol: u8, port: Option<u16>) -> bool {
        let listed = |port: u16| self.ports.iter().any(|&(first, last)| first <= port && port <= last);
        self.protocol.is_none_or(|wanted| wanted == protocol) && (self.ports.is_empty() || port.is_some_and(listed))
    }

    /// The rule as programs are told of it.
    pub fn info(&self, network: &Arc<str>) -> ForwardingRuleInfo {
        ForwardingRuleInfo {
            rule: self.rule.clone(),
            network: Resource::network(Arc::clone(network)),
            matched_protocol: protocol_words(self.protocol),
            matched_port_range: port_words(&self.ports),
            vip: self.address,
            psc_service_attachment: match &self.target {
                ForwardingTarget::PublishedService { attachment, .. } => Some(attachment.clone()),
                ForwardingTarget::LoadBalancer => None,
            },
            psc_google_api_target: None,
        }
    }
}

/// `TCP`, `UDP`, or what else a rule takes.
fn protocol_words(protocol: Option<u8>) -> String {
    match protocol {
        None => "L3_DEFAULT".into(),
        Some(6) => "TCP".into(),
        Some(17) => "UDP".into(),
        Some(other) => other.to_string(),
    }
}

/// `80, 8000-8080`; nothing for all.
fn port_words(ports: &[(u16, u16)]) -> String {
    let words = ports.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    words.collect::<Vec<_>>().join(", ")
}
