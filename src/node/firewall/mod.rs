//! The firewall of a VPC network: policies and rules in Google's order, and connections that pass without asking.
//!
//! Google enforces rules at each VM's interface, not at a box in the middle; one station that knows all interfaces
//! decides the same. A connection that was allowed once is tracked for ten minutes after its last packet, and tracked ones
//! pass both ways without a look at the rules, even when these have changed.
//!
//! ```text
//!   packet ──> tracked? ── yes ──────────────────────────────────────────────> passes
//!                │ no
//!                └──> hierarchical policies ─> VPC firewall rules ─> network policies ─> implied rules ─> tracked, passes
//!                                      (or policies before rules)                            └──> dropped
//! ```
//!
//! Differences: later fragments are not reassembled, and pass where no rule without ports stops them; what Cloud NGFW
//! Enterprise finds in packets is not known; rules by source tag or service account fit senders with Direct VPC egress as
//! they were observed to, since Google calls it undefined. What happens when an interface tracks as many connections as it
//! can is not documented ([`WhenFull`]).

mod explain;
mod interface;
mod layers;
mod rule;
#[cfg(test)]
mod tests;
mod tracking;

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use ipnet::IpNet;

pub use super::IdlePolicy;
pub use interface::{Cpus, Interface, InterfaceKind};
pub use layers::{Layer, LayerKind, Policy};
pub use rule::{Action, Headers, Peers, Port, ProtocolMatch, Ranges, Rule, Targets};

use layers::{Decision, Layers};
use tracking::{Full, Key, Tracked};

use super::snat::can_be_reset;
use crate::time::SimTime;
use crate::trace::info::FirewallInfo;
use crate::trace::{DropCause, EntryId, Explain, Memo, PortId, State, Verdict};
use crate::wire::{Packet, Transport, tcp_flags};

/// Towards the network's routes.
pub const ROUTES: PortId = PortId(0);

/// Google: traffic to the metadata server is always allowed.
const METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));

/// What becomes of a new connection at an interface that tracks as many as it can. Google says nothing of it. Of connectors,
/// its troubleshooting page says "connection refused" where connections grow without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// Connector VMs refuse it, others drop it.
    #[default]
    ByKind,
    /// It is dropped.
    Drop,
    /// It is refused with a reset, if it is TCP.
    Refuse,
}

/// What the rules say of a packet that nobody has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// Why it would be dropped; `None` when it would pass.
    pub cause: Option<DropCause>,
    /// The same as a sentence, which names the rule.
    pub description: String,
    /// The same for programs.
    pub info: FirewallInfo,
}

/// An interface that tracked as many connections as it can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullTable {
    /// Whose it is.
    pub interface: Arc<str>,
    /// Connections that it can track.
    pub max: u32,
    /// Packets of further connections that found no room.
    pub refused: u64,
}

/// An interface, and which rules it has to ask.
#[derive(Debug)]
struct Attached {
    interface: Interface,
    class: u32,
    /// Not detached.
    there: bool,
    /// It may send with any source.
    forwards: bool,
}

/// The firewall of one network. Port 0 leads to the routes, port `i + 1` to interface `i`, or from routes that lead to an
/// interface whatever the destination.
#[derive(Debug)]
pub struct Firewall {
    network: Arc<str>,
    layers: Layers,
    when_full: WhenFull,
    interfaces: Vec<Attached>,
    by_address: HashMap<IpAddr, u32, FixedState>,
    by_range: Vec<(IpNet, u32)>,
    /// Of VMs that are next hops: the ports to them, with the interface's number.
    entrances: HashMap<u32, u32, FixedState>,
    tracked: Tracked,
}

impl Firewall {
    /// A firewall with these layers, in any order but that of layers of one kind, and without interfaces.
    pub fn new(network: Arc<str>, layers: Vec<Layer>, policies_first: bool, when_full: WhenFull) -> Self {
        Firewall {
            network,
            layers: Layers::new(layers, policies_first),
            when_full,
            interfaces: Vec::new(),
            by_address: HashMap::default(),
            by_range: Vec::new(),
            entrances: HashMap::default(),
            tracked: Tracked::default(),
        }
    }

    /// Takes other rules from now on. Tracked connections go on.
    pub fn replace(&mut self, layers: Vec<Layer>, policies_first: bool) {
        self.layers.replace(Layers::new(layers, policies_first));
    }

    /// Attaches an interface and tells its port.
    pub fn attach(&mut self, interface: Interface) -> PortId {
        let index = self.interfaces.len() as u32;
        for range in &interface.addresses {
            if range.prefix_len() == range.max_prefix_len() {
                self.by_address.insert(range.addr(), index);
            } else {
                self.by_range.push((*range, index));
            }
        }
        // The most specific range comes first.
        self.by_range.sort_by_key(|(range, _)| Reverse(range.prefix_len()));
        self.tracked.add_table(interface.tracked_max, interface.idle != IdlePolicy::NewFlow);
        let class = self.layers.classify(&interface);
        self.interfaces.push(Attached { interface, class, there: true, forwards: false });
        PortId(index + 1)
    }

    /// A new port to an interface that is a next hop: what comes through it is for that interface, whatever its destination.
    /// With IP forwarding the interface may send with any source.
    pub fn add_entrance(&mut self, interface: PortId, ip_forwarding: bool) -> PortId {
        let index = interface.0 - 1;
        self.interfaces[index as usize].forwards |= ip_forwarding;
        // The port's own number belongs to nobody.
        let nobody = self.attach(Interface::vm("".into(), std::iter::empty::<IpNet>()));
        self.interfaces[nobody.0 as usize - 1].there = false;
        self.entrances.insert(nobody.0 - 1, index);
        nobody
    }

    /// Detaches an interface.
    pub fn detach(&mut self, port: PortId) {
        let index = port.0 - 1;
        let Attached { interface, there, .. } = &mut self.interfaces[index as usize];
        *there = false;
        let is_single = |range: &&IpNet| range.prefix_len() == range.max_prefix_len();
        for range in interface.addresses.iter().filter(is_single) {
            // Another interface may have got the address since.
            if self.by_address.get(&range.addr()) == Some(&index) {
                self.by_address.remove(&range.addr());
            }
        }
        if !interface.addresses.iter().all(|range| is_single(&range)) {
            self.by_range.retain(|(_, owner)| *owner != index);
        }
    }

    /// The interface at a port.
    pub fn interface(&self, port: PortId) -> &Interface {
        &self.interfaces[port.0 as usize - 1].interface
    }

    fn index_of(&self, address: IpAddr) -> Option<u32> {
        self.by_address
            .get(&address)
            .copied()
            .or_else(|| self.by_range.iter().find(|(range, _)| range.contains(&address)).map(|(_, index)| *index))
    }

    fn interface_with(&self, address: IpAddr) -> Option<&Interface> {
        self.index_of(address).map(|index| &self.interfaces[index as usize].interface)
    }

    /// Handles a packet that came through `from`.
    pub fn handle_packet(&mut self, packet: &mut Packet, from: PortId, now: SimTime, explain: &mut Explain) -> Verdict {
        let entrance = from.0.checked_sub(1).and_then(|number| self.entrances.get(&number)).copied();
        let ingress = from == ROUTES || entrance.is_some();
        let index = if let Some(index) = entrance {
            index
        } else if ingress {
            match self.index_of(packet.destination()) {
                Some(index) => index,
                None => {
                    let destination = packet.destination();
                    explain.say(State::Drop, || format!("nothing in {} has the address {destination}", self.network));
                    return Verdict::Drop(DropCause::UnknownInternalAddress);
                }
            }
        } else {
            from.0 - 1
        };
        let Attached { interface, class, there, forwards } = &self.interfaces[index as usize];
        if !there {
            return Verdict::Drop(DropCause::SimInstanceGone);
        }
        if !ingress && !forwards && !interface.has(packet.source()) {
            explain.say(State::Drop, || format!("{} is not an address of {}", packet.source(), interface.name));
            return Verdict::Drop(DropCause::ForeignIpDisallowed);
        }
        if !interface.running {
            explain.say(State::Drop, || format!("{} is not running", interface.name));
            return Verdict::Drop(DropCause::InstanceNotRunning);
        }
        let onward = if ingress { PortId(index + 1) } else { ROUTES };
        let state = if ingress { State::ApplyIngressFirewallRule } else { State::ApplyEgressFirewallRule };
        self.tracked.forget(now);
        let key = Key::of(packet, index);
        let tracked = key.or_else(|| Key::quoted_by(packet, index)).and_then(|key| self.tracked.find(&key));
        if let Some(entry) = tracked {
            self.tracked.touch(entry, now);
            explain.say(state, || {
                let text = format!("part of an allowed connection of {}: no rule is asked", interface.name);
                (text, self.tracking_info(ingress))
            });
            return Verdict::Forward(onward, memo(packet, entry));
        }
        if let Some(key) = key.filter(|_| is_midstream(packet))
            && self.tracked.has_expired(&key)
        {
            explain.say(State::Drop, || {
                format!("the connection of {} was idle for 10 minutes and is tracked no more", interface.name)
            });
            return expired(packet, interface.idle, ingress);
        }
        let headers = Headers::of(packet);
        // A later fragment does not show whether it is part of an answer.
        if ingress && is_closed(interface) && headers.port != Port::InFirstFragment {
            explain.say(State::Drop, || {
                format!("{} accepts no connections: only worker pools have Direct VPC ingress", interface.name)
            });
            return Verdict::Drop(DropCause::SimNoDirectVpcIngress);
        }
        let decision = self.evaluate(*class, ingress, &headers, now);
        if explain.listens() {
            explain.say(state, || self.told(interface, ingress, &headers, &decision, now));
            if let Some(inspection) = self.inspection(interface, ingress, &headers, &decision) {
                explain.say(State::NgfwPacketInspection, || inspection);
            }
        }
        if let Some(cause) = cause(&decision) {
            return Verdict::Drop(cause);
        }
        let Some(key) = key else { return Verdict::Forward(onward, Memo::Never) };
        match self.tracked.insert(key, now) {
            Ok(entry) => Verdict::Forward(onward, memo(packet, entry)),
            Err(Full) => {
                explain.say(State::Drop, || {
                    format!("{} tracks {} connections, as many as it can", interface.name, interface.tracked_max)
                });
                let refuse = match self.when_full {
                    WhenFull::ByKind => interface.kind == InterfaceKind::ConnectorVm,
                    WhenFull::Drop => false,
                    WhenFull::Refuse => true,
                };
                let cause = DropCause::SimTrackingTableFull;
                if refuse { refusal(packet, cause) } else { Verdict::Drop(cause) }
            }
        }
    }

    /// Handles a packet of a tracked connection; false when it is tracked no more.
    #[inline]
    pub fn handle_known(&mut self, entry: EntryId, now: SimTime) -> bool {
        self.tracked.touch(entry, now)
    }

    /// Whether the interface at a port would let a packet in (`ingress`) or out that begins a connection, and by which rule.
    /// Nobody tracks it, and nothing that is tracked counts.
    pub fn permits(&self, port: PortId, ingress: bool, headers: &Headers, now: SimTime) -> Ruling {
        let Attached { interface, class, .. } = &self.interfaces[port.0 as usize - 1];
        let decision = self.evaluate(*class, ingress, headers, now);
        let (description, info) = self.told(interface, ingress, headers, &decision, now);
        let cause =
            if ingress && is_closed(interface) { Some(DropCause::SimNoDirectVpcIngress) } else { cause(&decision) };
        Ruling { cause, description, info }
    }

    /// Interfaces that tracked as many connections as they can.
    pub fn full_tables(&self) -> impl Iterator<Item = FullTable> {
        let tables = (0..).zip(&self.interfaces).map(|(index, attached)| (self.tracked.table(index), attached));
        tables.filter(|(table, _)| table.refused > 0).map(|(table, attached)| FullTable {
            interface: Arc::clone(&attached.interface.name),
            max: table.max,
            refused: table.refused,
        })
    }

    fn evaluate(&self, class: u32, ingress: bool, headers: &Headers, now: SimTime) -> Decision {
        if !ingress && headers.destination == METADATA {
            return Decision { allow: true, rule: None, undefined: None, unsupported: None };
        }
        let sender = if ingress { self.interface_with(headers.source) } else { None };
        self.layers.evaluate(class, ingress, headers, sender, now)
    }
}

/// Whether nobody can begin a connection to an interface, whatever the rules.
fn is_closed(interface: &Interface) -> bool {
    matches!(interface.kind, InterfaceKind::DirectVpc { ingress: false, .. })
}

/// Why a packet that the rules decided about is dropped.
fn cause(decision: &Decision) -> Option<DropCause> {
    match decision {
        Decision { allow: true, .. } => None,
        Decision { unsupported: Some(_), .. } => Some(DropCause::IngressFirewallTagsUnsupportedByDirectVpcEgress),
        Decision { .. } => Some(DropCause::FirewallRule),
    }
}

/// What to remember of a packet that passed. An ICMP error or a fragment is part of a connection, but not every packet of
/// that connection is one.
fn memo(packet: &Packet, entry: EntryId) -> Memo {
    match packet.transport() {
        Transport::IcmpError | Transport::Fragment => Memo::Never,
        _ => Memo::Entry(entry),
    }
}

/// Whether a packet is of TCP and does not begin a connection.
fn is_midstream(packet: &Packet) -> bool {
    packet.transport() == Transport::Tcp && packet.tcp_flags() & tcp_flags::SYN == 0
}

fn refusal(packet: &Packet, cause: DropCause) -> Verdict {
    if !can_be_reset(packet) {
        return Verdict::Drop(cause);
    }
    let mut reset = Packet::empty();
    reset.build_reset(packet);
    Verdict::Refuse(cause, Box::new(reset))
}

/// What becomes of a packet in the middle of an expired connection. Only the instance itself is told.
fn expired(packet: &Packet, idle: IdlePolicy, ingress: bool) -> Verdict {
    if ingress { Verdict::Drop(DropCause::SimIdleExpired) } else { idle.verdict(packet) }
}
