//! The VPC firewall of a network: rules by priority, deny before allow, and replies without asking.
//!
//! Google enforces rules at each VM's interface, not at a box in the middle; one station that knows all interfaces
//! decides the same. A flow that was allowed once is tracked for ten minutes after its last packet, and tracked flows
//! pass both ways without a look at the rules (<https://docs.cloud.google.com/firewall/docs/firewalls>, as of 2026).
//! Hierarchical and network firewall policies are not evaluated here.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet, HashTable};
use ipnet::Ipv4Net;

use crate::time::SimTime;
use crate::trace::info::{FirewallInfo, FirewallRuleType, Resource};
use crate::trace::{DropCause, EntryId, Explain, Memo, PortId, State, Verdict};
use crate::wire::{FiveTuple, Packet};

/// Towards the network's routes.
pub const ROUTES: PortId = PortId(0);

/// Google: a tracked flow is forgotten when it was idle for ten minutes.
const TRACKED: Duration = Duration::from_secs(600);

/// What a rule matches beside addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolMatch {
    /// IANA protocol number; `None` matches all.
    pub protocol: Option<u8>,
    /// Inclusive destination port ranges; empty matches all.
    pub ports: Vec<(u16, u16)>,
}

/// One VPC firewall rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name.
    pub name: Arc<str>,
    /// Into the target, or out of it.
    pub ingress: bool,
    /// The lower is evaluated first.
    pub priority: u16,
    /// Allow or deny.
    pub allow: bool,
    /// Traffic.
    pub matches: Vec<ProtocolMatch>,
    /// Addresses of the other side; empty means any, unless source tags or accounts are given.
    pub ranges: Vec<Ipv4Net>,
    /// Network tags of the sender (ingress).
    pub source_tags: Vec<String>,
    /// Service accounts of the sender (ingress).
    pub source_service_accounts: Vec<String>,
    /// Network tags of the target; both target lists empty means every interface.
    pub target_tags: Vec<String>,
    /// Service accounts of the target.
    pub target_service_accounts: Vec<String>,
    /// How a trace names its kind.
    pub kind: &'static str,
    /// The same for programs.
    pub rule_type: FirewallRuleType,
}

/// Whoever is attached to the network.
#[derive(Debug, Clone)]
pub struct Interface {
    /// Whose it is.
    pub name: Arc<str>,
    /// Its addresses.
    pub addresses: Vec<Ipv4Net>,
    /// Network tags.
    pub tags: Vec<String>,
    /// Service account.
    pub service_account: Option<String>,
    /// The VM runs.
    pub running: bool,
}

/// The firewall of one network. Port 0 leads to the routes, port `i + 1` to interface `i`, or from routes that lead to an
/// interface whatever the destination.
#[derive(Debug)]
pub struct Firewall {
    network: Arc<str>,
    /// By (priority, deny first).
    rules: Vec<Rule>,
    interfaces: Vec<Option<Interface>>,
    by_address: HashMap<Ipv4Addr, u32, FixedState>,
    by_range: Vec<(Ipv4Net, u32)>,
    /// Of VMs that are next hops: the ports to them, with the interface's number.
    entrances: HashMap<u32, u32, FixedState>,
    /// Interfaces of VMs with IP forwarding, which send with any source.
    forwarding: HashSet<u32, FixedState>,
    tracked: Tracked,
}

impl Firewall {
    /// A firewall with these rules and without interfaces.
    pub fn new(network: Arc<str>, mut rules: Vec<Rule>) -> Self {
        rules.sort_by_key(|rule| (rule.priority, rule.allow));
        Firewall {
            network,
            rules,
            interfaces: Vec::new(),
            by_address: HashMap::default(),
            by_range: Vec::new(),
            entrances: HashMap::default(),
            forwarding: HashSet::default(),
            tracked: Tracked::default(),
        }
    }

    /// Attaches an interface and tells its port.
    pub fn attach(&mut self, interface: Interface) -> PortId {
        let index = self.interfaces.len() as u32;
        for range in &interface.addresses {
            if range.prefix_len() == 32 {
                self.by_address.insert(range.addr(), index);
            } else {
                self.by_range.push((*range, index));
            }
        }
        // The most specific range comes first.
        self.by_range.sort_by_key(|(range, _)| std::cmp::Reverse(range.prefix_len()));
        self.interfaces.push(Some(interface));
        PortId(index + 1)
    }

    /// A new port to an interface that is a next hop: what comes through it is for that interface, whatever its destination.
    /// With IP forwarding the interface may send with any source.
    pub fn add_entrance(&mut self, interface: PortId, ip_forwarding: bool) -> PortId {
        let (index, port) = (interface.0 - 1, self.interfaces.len() as u32);
        // The port's own number stays empty.
        self.interfaces.push(None);
        self.entrances.insert(port, index);
        if ip_forwarding {
            self.forwarding.insert(index);
        }
        PortId(port + 1)
    }

    /// Detaches an interface.
    pub fn detach(&mut self, port: PortId) {
        let index = port.0 - 1;
        self.interfaces[index as usize] = None;
        self.by_address.retain(|_, owner| *owner != index);
        self.by_range.retain(|(_, owner)| *owner != index);
    }

    fn interface_of(&self, address: Ipv4Addr) -> Option<u32> {
        self.by_address
            .get(&address)
            .copied()
            .or_else(|| self.by_range.iter().find(|(range, _)| range.contains(&address)).map(|(_, index)| *index))
    }

    /// Handles a packet that came through `from`.
    pub fn handle_packet(&mut self, packet: &mut Packet, from: PortId, now: SimTime, explain: &mut Explain) -> Verdict {
        let (index, ingress) = if from == ROUTES {
            match self.interface_of(packet.dst()) {
                Some(index) => (index, true),
                None => {
                    explain
                        .say(State::Drop, || format!("nothing in {} has the address {}", self.network, packet.dst()));
                    return Verdict::Drop(DropCause::UnknownInternalAddress);
                }
            }
        } else {
            match self.entrances.get(&(from.0 - 1)) {
                Some(&index) => (index, true),
                None => (from.0 - 1, false),
            }
        };
        let Some(interface) = self.interfaces[index as usize].as_ref() else {
            return Verdict::Drop(DropCause::SimInstanceGone);
        };
        let own = || interface.addresses.iter().any(|range| range.contains(&packet.src()));
        if !ingress && !self.forwarding.contains(&index) && !own() {
            explain.say(State::Drop, || format!("{} is not an address of {}", packet.src(), interface.name));
            return Verdict::Drop(DropCause::ForeignIpDisallowed);
        }
        if !interface.running {
            explain.say(State::Drop, || format!("{} is not running", interface.name));
            return Verdict::Drop(DropCause::InstanceNotRunning);
        }
        let onward = if ingress { PortId(index + 1) } else { ROUTES };
        let state = if ingress { State::ApplyIngressFirewallRule } else { State::ApplyEgressFirewallRule };
        let flow = packet.five_tuple().or_else(|| packet.embedded().map(|embedded| embedded.tuple.reversed()));
        if let Some(tuple) = flow
            && let Some(entry) = self.tracked.find(&tuple, index, now)
        {
            self.tracked.refresh(entry, now);
            explain.say(state, || format!("part of an allowed connection of {}: no rule is asked", interface.name));
            // An ICMP error is part of a flow, but not every packet of that flow is an ICMP error.
            let memo = if packet.five_tuple().is_some() { Memo::Entry(entry) } else { Memo::Never };
            return Verdict::Forward(onward, memo);
        }
        let rule = self.evaluate(packet, index, ingress);
        let allow = rule.map_or(!ingress, |rule| rule.allow);
        explain.say(state, || {
            let word = if allow { "allowed" } else { "denied" };
            let way = if ingress { "ingress to" } else { "egress from" };
            let text = match rule {
                Some(rule) => {
                    let (kind, name, priority) = (rule.kind, &rule.name, rule.priority);
                    format!("{way} {} {word} by {kind} {name} (priority {priority})", interface.name)
                }
                None => format!("{way} {} {word} by the implied rule (priority 65535)", interface.name),
            };
            (text, self.info(rule, ingress, allow))
        });
        if !allow {
            return Verdict::Drop(DropCause::FirewallRule);
        }
        match packet.five_tuple() {
            Some(tuple) => Verdict::Forward(onward, Memo::Entry(self.tracked.insert(&tuple, index, now))),
            None => Verdict::Forward(onward, Memo::Never),
        }
    }

    fn info(&self, rule: Option<&Rule>, ingress: bool, allow: bool) -> FirewallInfo {
        let implied = if ingress { "default-ingress-deny" } else { "default-egress-allow" };
        FirewallInfo {
            display_name: rule.map_or(implied.into(), |rule| rule.name.to_string()),
            rule: rule.map(|rule| Resource::global("firewalls", Arc::clone(&rule.name))),
            direction: if ingress { "INGRESS" } else { "EGRESS" },
            action: if allow { "ALLOW" } else { "DENY" },
            priority: rule.map_or(65_535, |rule| rule.priority.into()),
            network: Resource::network(Arc::clone(&self.network)),
            target_tags: rule.map(|rule| rule.target_tags.clone()).unwrap_or_default(),
            target_service_accounts: rule.map(|rule| rule.target_service_accounts.clone()).unwrap_or_default(),
            policy: None,
            rule_type: rule.map_or(FirewallRuleType::ImpliedVpcFirewallRule, |rule| rule.rule_type),
        }
    }

    /// Handles a packet of a tracked flow; false when it is tracked no more.
    #[inline]
    pub fn handle_known(&mut self, entry: EntryId, now: SimTime) -> bool {
        let live = self.tracked.is_live(entry, now);
        if live {
            self.tracked.refresh(entry, now);
        }
        live
    }

    /// The first rule that matches; `None` is the implied one.
    fn evaluate(&self, packet: &Packet, index: u32, ingress: bool) -> Option<&Rule> {
        let interface = self.interfaces[index as usize].as_ref()?;
        let other = if ingress { packet.src() } else { packet.dst() };
        let sender = if ingress { self.interface_of(other) } else { None };
        let sender = sender.and_then(|index| self.interfaces[index as usize].as_ref());
        let protocol = packet.protocol_number();
        let port = packet.five_tuple().filter(|_| protocol != 1).map(|tuple| tuple.dst_port);
        self.rules.iter().find(|rule| {
            rule.ingress == ingress
                && rule.targets(interface)
                && rule.matches.iter().any(|entry| entry.covers(protocol, port))
                && rule.covers_other_side(other, sender)
        })
    }
}

impl ProtocolMatch {
    fn covers(&self, protocol: u8, port: Option<u16>) -> bool {
        self.protocol.is_none_or(|wanted| wanted == protocol)
            && (self.ports.is_empty()
                || port.is_some_and(|port| self.ports.iter().any(|&(first, last)| first <= port && port <= last)))
    }
}

fn any_in_common(wanted: &[String], have: &[String]) -> bool {
    wanted.iter().any(|tag| have.contains(tag))
}

impl Rule {
    fn targets(&self, interface: &Interface) -> bool {
        self.target_tags.is_empty() && self.target_service_accounts.is_empty()
            || any_in_common(&self.target_tags, &interface.tags)
            || interface.service_account.as_ref().is_some_and(|account| self.target_service_accounts.contains(account))
    }

    /// Source ranges, tags and accounts are alternatives to each other.
    fn covers_other_side(&self, other: Ipv4Addr, sender: Option<&Interface>) -> bool {
        if self.ranges.is_empty() && self.source_tags.is_empty() && self.source_service_accounts.is_empty() {
            return true;
        }
        self.ranges.iter().any(|range| range.contains(&other))
            || sender.is_some_and(|sender| {
                any_in_common(&self.source_tags, &sender.tags)
                    || sender
                        .service_account
                        .as_ref()
                        .is_some_and(|account| self.source_service_accounts.contains(account))
            })
    }
}

/// Flows that were allowed, by interface.
#[derive(Debug, Default)]
struct Tracked {
    flows: Vec<Flow>,
    free: Vec<u32>,
    index: HashTable<u32>,
    hasher: FixedState,
    /// Who may be forgotten when; whoever was seen since then is put behind the others again.
    queue: VecDeque<(u64, EntryId)>,
}

#[derive(Debug, Clone)]
struct Flow {
    key: u128,
    interface: u32,
    generation: u32,
    deadline: u64,
}

impl Tracked {
    /// A flow's own name, whichever way its packet goes: the smaller of the two directions.
    fn key(tuple: &FiveTuple) -> u128 {
        tuple.key().min(tuple.reversed().key())
    }

    fn hash(&self, key: u128, interface: u32) -> u64 {
        self.hasher.hash_one(key ^ u128::from(interface) << 104)
    }

    fn find(&self, tuple: &FiveTuple, interface: u32, now: SimTime) -> Option<EntryId> {
        let slot = self.slot_of(Tracked::key(tuple), interface)?;
        let flow = &self.flows[slot as usize];
        (flow.deadline > now.as_nanos()).then_some(EntryId { slot, generation: flow.generation })
    }

    /// Where a flow is, even if its time is over and it was not cleared away yet.
    fn slot_of(&self, key: u128, interface: u32) -> Option<u32> {
        let same = |&slot: &u32| {
            let flow = &self.flows[slot as usize];
            flow.key == key && flow.interface == interface
        };
        self.index.find(self.hash(key, interface), same).copied()
    }

    #[inline]
    fn is_live(&self, entry: EntryId, now: SimTime) -> bool {
        self.flows
            .get(entry.slot as usize)
            .is_some_and(|flow| flow.generation == entry.generation && flow.deadline > now.as_nanos())
    }

    #[inline]
    fn refresh(&mut self, entry: EntryId, now: SimTime) {
        self.flows[entry.slot as usize].deadline = (now + TRACKED).as_nanos();
    }

    fn insert(&mut self, tuple: &FiveTuple, interface: u32, now: SimTime) -> EntryId {
        self.forget(now);
        let key = Tracked::key(tuple);
        let deadline = (now + TRACKED).as_nanos();
        // The queue clears away late at times. Then the flow begins anew in its old place.
        if let Some(slot) = self.slot_of(key, interface) {
            let entry = EntryId { slot, generation: self.flows[slot as usize].generation };
            self.refresh(entry, now);
            return entry;
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                let generation = self.flows[slot as usize].generation.wrapping_add(1);
                self.flows[slot as usize] = Flow { key, interface, generation, deadline };
                slot
            }
            None => {
                self.flows.push(Flow { key, interface, generation: 0, deadline });
                (self.flows.len() - 1) as u32
            }
        };
        let hash = self.hash(key, interface);
        let (flows, hasher) = (&self.flows, &self.hasher);
        self.index.insert_unique(hash, slot, |&other| {
            let flow = &flows[other as usize];
            hasher.hash_one(flow.key ^ u128::from(flow.interface) << 104)
        });
        let entry = EntryId { slot, generation: self.flows[slot as usize].generation };
        self.queue.push_back((deadline, entry));
        entry
    }

    /// Forgets flows that have been idle for too long. Each is looked at once in ten minutes.
    fn forget(&mut self, now: SimTime) {
        while let Some(&(looked_at, entry)) = self.queue.front()
            && looked_at <= now.as_nanos()
        {
            self.queue.pop_front();
            let Flow { key, interface, generation, deadline } = self.flows[entry.slot as usize];
            debug_assert_eq!(generation, entry.generation, "a flow is queued once");
            if deadline > now.as_nanos() {
                self.queue.push_back((deadline, entry));
                continue;
            }
            let hash = self.hash(key, interface);
            if let Ok(found) = self.index.find_entry(hash, |&slot| slot == entry.slot) {
                found.remove();
            }
            // From here on the generation no longer matches what anybody remembers.
            self.flows[entry.slot as usize].generation = generation.wrapping_add(1);
            self.free.push(entry.slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Protocol;

    fn rule(name: &str, priority: u16, allow: bool, ingress: bool) -> Rule {
        Rule {
            name: name.into(),
            ingress,
            priority,
            allow,
            matches: vec![ProtocolMatch { protocol: None, ports: vec![] }],
            ranges: vec![],
            source_tags: vec![],
            source_service_accounts: vec![],
            target_tags: vec![],
            target_service_accounts: vec![],
            kind: "VPC firewall rule",
            rule_type: FirewallRuleType::VpcFirewallRule,
        }
    }

    fn firewall(rules: Vec<Rule>) -> (Firewall, PortId, PortId) {
        let mut firewall = Firewall::new("vpc".into(), rules);
        let interface = |name: &str, address: &str, tag: &str| Interface {
            name: name.into(),
            addresses: vec![address.parse().unwrap()],
            tags: vec![tag.into()],
            service_account: Some(format!("{name}@p.iam.gserviceaccount.com")),
            running: true,
        };
        let a = firewall.attach(interface("a", "10.9.0.2/32", "web"));
        let b = firewall.attach(interface("b", "10.9.0.3/32", "db"));
        (firewall, a, b)
    }

    fn packet(src: &str, dst: &str, dst_port: u16) -> Packet {
        let tuple = FiveTuple {
            src: src.parse().unwrap(),
            dst: dst.parse().unwrap(),
            src_port: 5000,
            dst_port,
            protocol: Protocol::Udp,
        };
        let mut packet = Packet::empty();
        packet.build_udp(tuple, 1);
        packet
    }

    fn verdict(firewall: &mut Firewall, packet: &mut Packet, from: PortId, second: u64) -> Result<PortId, DropCause> {
        match firewall.handle_packet(packet, from, SimTime::from_secs(second), &mut Explain::silent()) {
            Verdict::Forward(port, _) => Ok(port),
            Verdict::Drop(cause) => Err(cause),
            other => panic!("{other:?}"),
        }
    }

    const OUTSIDE: &str = "198.51.100.7";

    #[test]
    fn egress_is_allowed_and_ingress_denied_unless_a_rule_says_otherwise() {
        let (mut firewall, a, _) = firewall(vec![]);
        assert_eq!(verdict(&mut firewall, &mut packet("10.9.0.2", OUTSIDE, 443), a, 0), Ok(ROUTES));
        let mut stranger = packet("198.51.100.8", "10.9.0.2", 443);
        assert_eq!(verdict(&mut firewall, &mut stranger, ROUTES, 0), Err(DropCause::FirewallRule));
    }

    #[test]
    fn t14_deny_wins_a_tie() {
        let (mut firewall, a, _) = firewall(vec![rule("allow", 1000, true, false), rule("deny", 1000, false, false)]);
        let refused = verdict(&mut firewall, &mut packet("10.9.0.2", OUTSIDE, 443), a, 0);
        assert_eq!(refused, Err(DropCause::FirewallRule));
    }

    #[test]
    fn the_lower_priority_number_wins() {
        let (mut firewall, a, _) = firewall(vec![rule("deny", 1000, false, false), rule("allow", 999, true, false)]);
        assert!(verdict(&mut firewall, &mut packet("10.9.0.2", OUTSIDE, 443), a, 0).is_ok());
    }

    #[test]
    fn ports_ranges_tags_and_accounts_select() {
        let mut port = rule("port", 900, false, false);
        port.matches = vec![ProtocolMatch { protocol: Some(17), ports: vec![(8000, 8999)] }];
        let mut range = rule("range", 900, false, false);
        range.ranges = vec!["192.0.2.0/24".parse().unwrap()];
        let mut tag = rule("tag", 900, false, false);
        tag.target_tags = vec!["db".into()];
        let mut account = rule("account", 900, false, false);
        account.target_service_accounts = vec!["b@p.iam.gserviceaccount.com".into()];
        for (rule, from_a, from_b) in
            [(port, true, true), (range, true, true), (tag, true, false), (account, true, false)]
        {
            let name = rule.name.clone();
            let (mut firewall, a, b) = firewall(vec![rule]);
            assert_eq!(verdict(&mut firewall, &mut packet("10.9.0.2", OUTSIDE, 443), a, 0).is_ok(), from_a, "{name}");
            assert_eq!(verdict(&mut firewall, &mut packet("10.9.0.3", OUTSIDE, 443), b, 0).is_ok(), from_b, "{name}");
            let blocked = ["port", "range"].contains(&&*name);
            let mut to = packet("10.9.0.2", if &*name == "range" { "192.0.2.1" } else { OUTSIDE }, 8080);
            assert_eq!(verdict(&mut firewall, &mut to, a, 0).is_err(), blocked, "{name}");
        }
    }

    #[test]
    fn source_tags_match_the_senders_interface() {
        let mut allow = rule("from-web", 1000, true, true);
        allow.source_tags = vec!["web".into()];
        let (mut firewall, _, b) = firewall(vec![allow]);
        assert_eq!(verdict(&mut firewall, &mut packet("10.9.0.2", "10.9.0.3", 443), ROUTES, 0), Ok(b));
        assert!(verdict(&mut firewall, &mut packet("10.9.0.9", "10.9.0.3", 443), ROUTES, 0).is_err());
    }

    #[test]
    fn replies_pass_for_ten_minutes_after_the_last_packet() {
        let (mut firewall, a, _) = firewall(vec![]);
        verdict(&mut firewall, &mut packet("10.9.0.2", OUTSIDE, 443), a, 0).unwrap();
        let mut tuple = packet("10.9.0.2", OUTSIDE, 443).five_tuple().unwrap().reversed();
        let reply = |tuple: FiveTuple| {
            let mut reply = Packet::empty();
            reply.build_udp(tuple, 1);
            reply
        };
        assert_eq!(verdict(&mut firewall, &mut reply(tuple), ROUTES, 599), Ok(a));
        assert_eq!(verdict(&mut firewall, &mut reply(tuple), ROUTES, 599 + 599), Ok(a));
        assert!(verdict(&mut firewall, &mut reply(tuple), ROUTES, 599 + 599 + 600).is_err());
        tuple.src_port = 444;
        assert!(verdict(&mut firewall, &mut reply(tuple), ROUTES, 1).is_err());
    }

    #[test]
    fn a_known_entry_ends_when_the_flow_is_forgotten() {
        let (mut firewall, a, _) = firewall(vec![]);
        let mut first = packet("10.9.0.2", OUTSIDE, 443);
        let Verdict::Forward(_, Memo::Entry(entry)) =
            firewall.handle_packet(&mut first, a, SimTime::ZERO, &mut Explain::silent())
        else {
            panic!("egress is allowed")
        };
        assert!(firewall.handle_known(entry, SimTime::from_secs(1)));
        verdict(&mut firewall, &mut packet("10.9.0.2", OUTSIDE, 444), a, 700).unwrap();
        assert!(!firewall.handle_known(entry, SimTime::from_secs(700)));
    }

    #[test]
    fn a_flow_that_was_not_cleared_away_yet_begins_anew_in_its_place() {
        let (mut firewall, a, _) = firewall(vec![]);
        let send = |firewall: &mut Firewall, port: u16, second: u64| {
            verdict(firewall, &mut packet("10.9.0.2", OUTSIDE, port), a, second).unwrap();
        };
        // The first flow is looked at at 600 s, when it has until 700 s, and is queued behind the second one, which has
        // until 1199 s.
        send(&mut firewall, 1, 0);
        send(&mut firewall, 1, 100);
        send(&mut firewall, 2, 599);
        send(&mut firewall, 3, 600);
        for second in [800, 801, 802] {
            send(&mut firewall, 1, second);
        }
        assert_eq!(firewall.tracked.index.len(), 3, "each flow is there once");
        let tuple = packet("10.9.0.2", OUTSIDE, 1).five_tuple().unwrap().reversed();
        let mut reply = Packet::empty();
        reply.build_udp(tuple, 1);
        assert_eq!(verdict(&mut firewall, &mut reply, ROUTES, 803), Ok(a));
    }

    #[test]
    fn a_next_hop_takes_and_sends_what_is_for_others() {
        let (mut firewall, a, b) = firewall(vec![rule("in", 1000, true, true)]);
        let entrance = firewall.add_entrance(b, true);
        assert_eq!(verdict(&mut firewall, &mut packet("10.9.0.2", OUTSIDE, 443), a, 0), Ok(ROUTES));
        assert_eq!(verdict(&mut firewall, &mut packet("10.9.0.2", OUTSIDE, 443), entrance, 0), Ok(b));
        assert_eq!(verdict(&mut firewall, &mut packet(OUTSIDE, "10.9.0.2", 443), b, 0), Ok(ROUTES));
        let foreign = verdict(&mut firewall, &mut packet(OUTSIDE, "10.9.0.3", 443), a, 0);
        assert_eq!(foreign, Err(DropCause::ForeignIpDisallowed));
    }

    #[test]
    fn a_foreign_source_and_an_unused_address_are_named() {
        let (mut firewall, a, _) = firewall(vec![]);
        let spoofed = verdict(&mut firewall, &mut packet("10.9.0.3", OUTSIDE, 443), a, 0);
        assert_eq!(spoofed, Err(DropCause::ForeignIpDisallowed));
        let nobody = verdict(&mut firewall, &mut packet("10.9.0.2", "10.9.0.77", 443), ROUTES, 0);
        assert_eq!(nobody, Err(DropCause::UnknownInternalAddress));
    }
}
