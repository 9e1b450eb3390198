//! Which rule decides: policies and rules in their order.
//!
//! Hierarchical policies come first, the organization's before its folders'; then those that Google keeps for its services;
//! then VPC firewall rules, global and regional network policies, or the policies before the rules where the network says
//! so; the implied rules come last (<https://docs.cloud.google.com/firewall/docs/firewall-policies-rule-eval-order>, as of
//! 2026). In a policy the lowest priority number that matches decides, and `goto_next` leaves the policy. Among VPC firewall
//! rules, deny comes before allow at one priority.
//!
//! Rules for other interfaces are not looked at: what an interface has to ask is listed once for all interfaces that rules
//! cannot tell apart.

use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;

use super::interface::{Interface, InterfaceKind};
use super::rule::{Action, Fit, Headers, Port, Rule, Undefined};
use crate::time::SimTime;
use crate::trace::info::{FirewallRuleType, Resource};

/// Rules that stand together.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What they are, and where they stand.
    pub kind: LayerKind,
    /// The policy, unless these are the network's VPC firewall rules.
    pub policy: Option<Policy>,
    /// For interfaces of this region only.
    pub region: Option<Arc<str>>,
    /// In the order of evaluation.
    rules: Vec<Rule>,
}

/// Kinds of layers, in their order after the hierarchical ones when the network says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LayerKind {
    /// A hierarchical firewall policy. What is given first is evaluated first.
    Hierarchical,
    /// A policy of Google's for the whole network. Google does not say where it stands: assumed with the regional ones.
    System,
    /// A policy of Google's for one region.
    RegionalSystem,
    /// VPC firewall rules.
    VpcRules,
    /// A global network firewall policy.
    Network,
    /// A regional network firewall policy.
    RegionalNetwork,
}

impl LayerKind {
    /// As a trace names a policy of this kind.
    pub const fn words(self) -> &'static str {
        match self {
            LayerKind::Hierarchical => "hierarchical firewall policy",
            LayerKind::System => "system firewall policy",
            LayerKind::RegionalSystem => "regional system firewall policy",
            LayerKind::VpcRules => "VPC firewall rules",
            LayerKind::Network => "network firewall policy",
            LayerKind::RegionalNetwork => "regional network firewall policy",
        }
    }

    /// The type of its rules in Connectivity Tests.
    pub const fn rule_type(self) -> FirewallRuleType {
        match self {
            LayerKind::Hierarchical => FirewallRuleType::HierarchicalFirewallPolicyRule,
            LayerKind::System => FirewallRuleType::SystemNetworkFirewallPolicyRule,
            LayerKind::RegionalSystem => FirewallRuleType::SystemRegionalNetworkFirewallPolicyRule,
            LayerKind::VpcRules => FirewallRuleType::VpcFirewallRule,
            LayerKind::Network => FirewallRuleType::NetworkFirewallPolicyRule,
            LayerKind::RegionalNetwork => FirewallRuleType::NetworkRegionalFirewallPolicyRule,
        }
    }
}

/// A firewall policy.
#[derive(Debug, Clone)]
pub struct Policy {
    /// What people call it.
    pub name: Arc<str>,
    /// The resource.
    pub resource: Resource,
    /// Its own priority among policies, where one is given.
    pub priority: Option<u32>,
}

impl Layer {
    /// A network's VPC firewall rules.
    pub fn vpc_rules(mut rules: Vec<Rule>) -> Layer {
        rules.sort_by_key(|rule| (rule.priority, rule.action.passes()));
        Layer { kind: LayerKind::VpcRules, policy: None, region: None, rules }
    }

    /// The rules of a policy.
    pub fn policy(kind: LayerKind, policy: Policy, region: Option<Arc<str>>, mut rules: Vec<Rule>) -> Layer {
        rules.sort_by_key(|rule| rule.priority);
        Layer { kind, policy: Some(policy), region, rules }
    }

    pub(super) fn is_for(&self, region: Option<&Arc<str>>) -> bool {
        self.region.is_none() || self.region.as_ref() == region
    }
}

/// A rule's position: of its layer, and in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RuleAt {
    layer: u32,
    rule: u32,
}

impl RuleAt {
    /// Which layer it is of.
    pub(super) fn layer(self) -> u32 {
        self.layer
    }
}

/// What rules can know an interface by, beside its addresses. Interfaces of which this is equal have the same rules.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Identity {
    region: Option<Arc<str>>,
    direct_vpc: bool,
    tags: Vec<String>,
    service_account: Option<String>,
    secure_tags: Vec<String>,
}

impl Identity {
    fn of(interface: &Interface) -> Identity {
        let sorted = |tags: &[String]| {
            let mut tags = tags.to_vec();
            tags.sort_unstable();
            tags
        };
        Identity {
            region: interface.region.clone(),
            direct_vpc: matches!(interface.kind, InterfaceKind::DirectVpc { .. }),
            tags: sorted(&interface.tags),
            service_account: interface.service_account.clone(),
            secure_tags: sorted(&interface.secure_tags),
        }
    }
}

/// The rules that some interfaces have to ask, by direction: egress, ingress. Listed when they are first asked for.
#[derive(Debug)]
struct Class {
    /// One of these interfaces.
    example: Interface,
    rules: [OnceLock<Box<[RuleAt]>>; 2],
}

/// All rules of a network.
#[derive(Debug, Default)]
pub(super) struct Layers {
    layers: Vec<Layer>,
    classes: Vec<Class>,
    by_identity: HashMap<Identity, u32, foldhash::fast::FixedState>,
}

/// What the rules say of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decision {
    /// It passes.
    pub(super) allow: bool,
    /// The rule that says so; `None` is the implied one.
    pub(super) rule: Option<RuleAt>,
    /// That rule matched a source that is not supported for the sender.
    pub(super) undefined: Option<Undefined>,
    /// Of a packet that is denied: the rule by which it would have passed, were its source supported for the sender.
    pub(super) unsupported: Option<(RuleAt, Undefined)>,
}

impl Layers {
    /// Layers in the order of evaluation. Those of one kind stay in the order in which they are given.
    pub(super) fn new(mut layers: Vec<Layer>, policies_first: bool) -> Layers {
        layers.sort_by_key(|layer| {
            let late = match layer.kind {
                LayerKind::VpcRules => policies_first,
                LayerKind::Network | LayerKind::RegionalNetwork => !policies_first,
                LayerKind::Hierarchical | LayerKind::System | LayerKind::RegionalSystem => false,
            };
            (late, layer.kind)
        });
        Layers { layers, ..Layers::default() }
    }

    /// Takes these rules instead; interfaces stay in their classes.
    pub(super) fn replace(&mut self, layers: Layers) {
        self.layers = layers.layers;
        for class in &mut self.classes {
            class.rules = Default::default();
        }
    }

    /// The class of an interface.
    pub(super) fn classify(&mut self, interface: &Interface) -> u32 {
        *self.by_identity.entry(Identity::of(interface)).or_insert_with(|| {
            self.classes.push(Class { example: interface.clone(), rules: Default::default() });
            (self.classes.len() - 1) as u32
        })
    }

    pub(super) fn at(&self, at: RuleAt) -> (&Layer, &Rule) {
        let layer = &self.layers[at.layer as usize];
        (layer, &layer.rules[at.rule as usize])
    }

    /// All rules of a direction in the order of evaluation.
    pub(super) fn in_order(&self, ingress: bool) -> impl Iterator<Item = (RuleAt, &Layer, &Rule)> {
        let layers = self.layers.iter().enumerate();
        let rules = layers.flat_map(|(at, layer)| {
            let rules = layer.rules.iter().enumerate();
            rules.map(move |(rule, it)| (RuleAt { layer: at as u32, rule: rule as u32 }, layer, it))
        });
        rules.filter(move |(_, _, rule)| rule.ingress == ingress)
    }

    /// The rules that interfaces of a class have to ask.
    pub(super) fn asked(&self, class: u32, ingress: bool) -> &[RuleAt] {
        let Class { example, rules } = &self.classes[class as usize];
        rules[usize::from(ingress)].get_or_init(|| {
            let asked = self.in_order(ingress).filter(|(_, layer, rule)| {
                !rule.disabled && layer.is_for(example.region.as_ref()) && rule.targets(example)
            });
            asked.map(|(at, ..)| at).collect()
        })
    }

    /// What the rules say of a packet of an interface of this class. `sender` is the interface with its source address.
    pub(super) fn evaluate(
        &self,
        class: u32,
        ingress: bool,
        headers: &Headers,
        sender: Option<&Interface>,
        now: SimTime,
    ) -> Decision {
        let walk = self.walk(class, ingress, headers, sender, now, false);
        let mut decision =
            Decision { allow: walk.allow, rule: walk.rule, undefined: walk.undefined, unsupported: None };
        if !walk.allow && walk.unsupported.is_some() {
            let otherwise = self.walk(class, ingress, headers, sender, now, true);
            let decisive = otherwise.rule.zip(otherwise.undefined);
            decision.unsupported = decisive.or(otherwise.unsupported).filter(|_| otherwise.allow);
        }
        decision
    }

    /// Asks the rules one by one; with `lenient`, as if Direct VPC egress supported every source.
    fn walk(
        &self,
        class: u32,
        ingress: bool,
        headers: &Headers,
        sender: Option<&Interface>,
        now: SimTime,
        lenient: bool,
    ) -> Walk {
        let mut left = None;
        let mut unsupported = None;
        for &at in self.asked(class, ingress) {
            if left == Some(at.layer) {
                continue;
            }
            let (_, rule) = self.at(at);
            let undefined = match rule.fits(headers, sender, now) {
                Fit::No => continue,
                Fit::Yes => None,
                Fit::Undefined(why) => Some(why),
                Fit::Unsupported(why) => {
                    unsupported.get_or_insert((at, why));
                    if !lenient {
                        continue;
                    }
                    Some(why)
                }
            };
            if rule.action == Action::GotoNext {
                left = Some(at.layer);
                continue;
            }
            return Walk { allow: rule.action.passes(), rule: Some(at), undefined, unsupported };
        }
        // Google: rules for ports apply to the first fragment only, since the others do not have the ports.
        let allow = !ingress || headers.port == Port::InFirstFragment;
        Walk { allow, rule: None, undefined: None, unsupported }
    }
}

/// How a walk through the rules ended, and the first rule on it whose source is not supported for the sender.
struct Walk {
    allow: bool,
    rule: Option<RuleAt>,
    undefined: Option<Undefined>,
    unsupported: Option<(RuleAt, Undefined)>,
}
