//! Why each connection failed, from what the run itself saw.
//!
//! While a run goes on, every dropped packet is noted with its time, its station and, at a gateway, what the gateway found:
//! how many ports there were, how many of them open and in TIME_WAIT, and why there are no more. When a connection has ended
//! badly, or late, the drop that decided it gives it exactly one [`Kind`] at one [`Place`]. Only counts and one example of
//! each are kept, so memory grows with the connections that are open, not with those that were.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::kind::Kind;
use super::lines::Lines;
use super::place::{Identity, Place, Victim, gateway_of};
use crate::network::Network;
use crate::node::Node;
use crate::node::nat::{Ended, Refusal, Refused};
use crate::sim::DropNote;
use crate::simulation::Watch;
use crate::time::SimTime;
use crate::topology::NodeId;
use crate::trace::{DropCause, Failure};
use crate::traffic::flows::{Fate, Record, connection_of};
use crate::wire::Flow;

/// Drops of one connection that are kept: the first and the latest. A SYN is sent eleven times at most.
const MAX_DROPS: usize = 12;
/// Destinations of captured connections that are told apart, each cause counted. What is beyond is told by the station that
/// dropped it: a capture may be one of a port scan.
const MAX_DESTINATIONS: usize = 200;

/// What several connections have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What keeps them from working.
    pub kind: Kind,
    /// Where.
    pub place: Place,
}

/// A dropped packet of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// When.
    pub time: SimTime,
    /// Where.
    pub node: NodeId,
    /// Why.
    pub cause: DropCause,
    /// What the gateway found, if one refused it.
    pub refusal: Option<Refusal>,
}

/// One connection, with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The connection.
    pub record: Record,
    /// The drop that decided.
    pub decided_by: Option<Dropped>,
    /// Its dropped packets: the first and the latest.
    pub drops: Vec<Dropped>,
    /// Names of the stations that dropped them.
    pub stations: Vec<String>,
    /// Name of the instance.
    pub instance: Option<String>,
    /// Name of the NAT endpoint that a gateway refused a port.
    pub endpoint: Option<String>,
}

/// Connections that one cause kept from working at one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Never established.
    pub failed: u64,
    /// Established, and ended badly.
    pub broken: u64,
    /// Established, but only after a first packet was sent again.
    pub slow: u64,
    /// Still trying at the end.
    pub pending: u64,
    /// When the first of them began.
    pub from: SimTime,
    /// When the last of them ended.
    pub to: SimTime,
    /// By load, without those that were merely slow.
    pub loads: BTreeMap<usize, u64>,
    /// Name of the station that dropped the packet of the first of them.
    pub station: String,
    /// One of them: the first that failed, if one did.
    pub example: Option<Example>,
}

impl Group {
    /// Failed and broken ones.
    pub fn failures(&self) -> u64 {
        self.failed + self.broken
    }

    /// What it is about, in every run.
    pub fn identity(&self, key: &Key) -> Identity {
        Identity::new(key.kind, key.place, &self.station)
    }
}

/// How many failures a run may have of each cause.
#[derive(Debug, Clone, Default)]
pub struct Patience {
    /// Of causes that may have any: the others may have none.
    limits: BTreeMap<Identity, u64>,
    /// Set when one has more.
    pub exhausted: Rc<Cell<bool>>,
    /// The same by the keys of this run.
    known: BTreeMap<Key, u64>,
}

impl Patience {
    /// For so many failures of each cause.
    pub fn new(limits: BTreeMap<Identity, u64>) -> Patience {
        Patience { limits, ..Patience::default() }
    }

    fn limit(&mut self, key: &Key, group: &Group) -> u64 {
        let limit = || self.limits.get(&group.identity(key)).copied().unwrap_or(0);
        *self.known.entry(*key).or_insert_with(limit)
    }
}

/// What became of connections, by cause.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Who sends what is captured or logged, and belongs to no load.
    from: Option<usize>,
    groups: BTreeMap<Key, Group>,
    /// Groups of what was captured for one destination.
    destinations: usize,
    /// Drops of connections that have not ended.
    open: HashMap<u64, Vec<Dropped>, FixedState>,
    /// By gateway: refusals whose drops are still to come.
    refusals: Vec<VecDeque<Refusal>>,
    /// Workloads of which an instance could not start, and since when.
    short_of_addresses: BTreeMap<usize, SimTime>,
    /// Lines of the log, when somebody wants to see them.
    lines: Option<Lines>,
    /// When the run may end.
    patience: Option<Patience>,
}

impl Evidence {
    /// Counts causes. `from` is the workload that sends what is captured or logged.
    pub fn new(from: Option<usize>) -> Evidence {
        Evidence { from, ..Evidence::default() }
    }

    /// Counts causes and keeps the log lines that show them.
    pub fn with_lines(from: Option<usize>) -> Evidence {
        Evidence { lines: Some(Lines::default()), ..Evidence::new(from) }
    }

    /// Sets a flag as soon as one cause has more failures than it may.
    pub fn give_up(&mut self, patience: Patience) {
        self.patience = Some(patience);
    }

    /// What was found.
    pub fn into_groups(self) -> (BTreeMap<Key, Group>, Option<Lines>) {
        (self.groups, self.lines)
    }

    /// Notes the drops since the last look under their connections.
    fn note_drops(&mut self, network: &mut Network) {
        let drops = network.engine_mut().take_drops();
        for DropNote { time, node, cause, tag, is_aftermath, .. } in drops {
            let refused = matches!(cause, DropCause::OutOfResources | DropCause::EndpointIndependenceConflict);
            let refusal = refused.then(|| {
                let gateway = network.gateway_at(node).expect("only gateways refuse ports");
                self.refusals[gateway].pop_front().expect("a gateway keeps each of its refusals")
            });
            if is_aftermath {
                continue;
            }
            let drops = self.open.entry(connection_of(tag)).or_default();
            if drops.len() == MAX_DROPS {
                drops.remove(1);
            }
            drops.push(Dropped { time, node, cause, refusal });
        }
    }

    /// Learns which workloads could not start an instance.
    fn note_failed_starts(&mut self, network: &Network) {
        for entry in network.log().iter().filter(|entry| entry.severity == "ERROR") {
            self.short_of_addresses.entry(entry.workload).or_insert(entry.time);
        }
    }

    fn note_record(&mut self, network: &mut Network, record: &Record) {
        let drops = self.open.remove(&record.id).unwrap_or_default();
        let Some((kind, decided_by)) = self.cause_of(network, record, &drops) else { return };
        let kind = self.refine(network, kind, decided_by.as_ref(), record);
        let victim = Victim { network, from: self.from, record, decided_by: decided_by.as_ref() };
        let key = Key { kind, place: self.place(kind, &victim) };
        let ended = record.established.filter(|_| record.fate == Fate::Established).or(record.ended);
        let ended = ended.unwrap_or(network.engine().now());
        let name = |node| network.engine().topology().name(node).to_owned();
        let group = self.groups.entry(key).or_insert_with(|| Group {
            from: record.started,
            station: decided_by.map(|drop| drop.node).or(record.instance).map(name).unwrap_or_default(),
            ..Group::default()
        });
        match record.fate {
            Fate::Failed(_) => group.failed += 1,
            Fate::Broken(_) => group.broken += 1,
            Fate::Established => group.slow += 1,
            Fate::Pending => group.pending += 1,
        }
        if let Some(patience) = &mut self.patience
            && group.failures() > patience.limit(&key, group)
        {
            patience.exhausted.set(true);
        }
        group.from = group.from.min(record.started);
        group.to = group.to.max(ended);
        if record.fate != Fate::Established
            && let Some(load) = record.traffic
        {
            *group.loads.entry(load).or_default() += 1;
        }
        let rank = |record: &Record| {
            let rank = match record.fate {
                Fate::Failed(_) | Fate::Broken(_) => 0,
                Fate::Pending => 1,
                Fate::Established => 2,
            };
            (rank, record.started, record.id)
        };
        if group.example.as_ref().is_none_or(|example| rank(record) < rank(&example.record)) {
            let endpoint = decided_by.and_then(|drop| Some((network.gateway_at(drop.node)?, drop.refusal?)));
            group.example = Some(Example {
                record: *record,
                decided_by,
                stations: drops.iter().map(|drop| name(drop.node)).collect(),
                drops,
                instance: record.instance.map(name),
                endpoint: endpoint.and_then(|(gateway, refusal)| {
                    let gateway = network.gateways().nth(gateway)?;
                    Some(gateway.endpoints()[refusal.endpoint as usize].config().name.to_string())
                }),
            });
        }
    }

    /// What kept a connection from working, and the drop that says so. `None` when all was well.
    fn cause_of(&self, network: &mut Network, record: &Record, drops: &[Dropped]) -> Option<(Kind, Option<Dropped>)> {
        let last = |wanted: DropCause| drops.iter().rev().find(|drop| drop.cause == wanted).copied();
        match record.fate {
            Fate::Failed(failure) | Fate::Broken(failure) => {
                let decided_by = match failure {
                    Failure::Dropped(cause) => last(cause),
                    _ => None,
                };
                let kind = match failure {
                    Failure::Reset if record.fate == Fate::Broken(Failure::Reset) => {
                        forgotten(network, record).unwrap_or(Kind::FarSideReset)
                    }
                    _ => Kind::of_failure(failure),
                };
                Some((kind, decided_by))
            }
            Fate::Established => {
                let established = record.established?;
                if record.attempts < 2 {
                    return None;
                }
                let decided_by = drops.iter().rev().find(|drop| drop.time <= established).copied();
                let silent = Kind::FarSideSilent;
                Some((decided_by.map_or(silent, |drop| Kind::of_failure(Failure::Dropped(drop.cause))), decided_by))
            }
            Fate::Pending => {
                let decided_by = drops.last().copied()?;
                Some((Kind::of_failure(Failure::Dropped(decided_by.cause)), Some(decided_by)))
            }
        }
    }

    /// The kind, with what the station that dropped it knows.
    fn refine(&self, network: &Network, kind: Kind, decided_by: Option<&Dropped>, record: &Record) -> Kind {
        if let Some(refusal) = decided_by.and_then(|drop| drop.refusal) {
            return Kind::of_refusal(&refusal.why);
        }
        match kind {
            Kind::LinkThroughput => match decided_by.map(|drop| network.engine().node(drop.node)) {
                Some(Node::Connector(_) | Node::ConnectorVm(_)) => Kind::ConnectorThroughput,
                _ => Kind::LinkThroughput,
            },
            Kind::NoInstance => {
                let workload = Victim { network, from: self.from, record, decided_by }.workload();
                let short = workload.and_then(|workload| self.short_of_addresses.get(&workload));
                if short.is_some_and(|since| *since <= record.started) {
                    Kind::AddressExhaustion
                } else {
                    Kind::NoInstance
                }
            }
            kind => kind,
        }
    }

    /// A place of its own, unless captures have too many destinations.
    fn place(&mut self, kind: Kind, victim: &Victim<'_>) -> Place {
        let place = victim.place(kind);
        if let Place::Destination(..) = place
            && !self.groups.contains_key(&Key { kind, place })
        {
            if self.destinations == MAX_DESTINATIONS {
                return victim.station();
            }
            self.destinations += 1;
        }
        place
    }
}

impl Watch for Evidence {
    fn begin(&mut self, network: &mut Network) {
        network.engine_mut().keep_drops();
        self.refusals = network.gateways().map(|_| VecDeque::new()).collect();
        for gateway in 0..self.refusals.len() {
            network.gateway_mut(gateway).keep_refusals();
        }
        if let Some(lines) = &mut self.lines {
            lines.begin(network);
        }
    }

    fn date(&mut self, start: u64) {
        if let Some(lines) = &mut self.lines {
            lines.date(start);
        }
    }

    fn look(&mut self, network: &mut Network, records: &[Record]) {
        for (gateway, waiting) in self.refusals.iter_mut().enumerate() {
            debug_assert!(waiting.is_empty(), "each refusal has had its drop");
            waiting.extend(network.gateway_mut(gateway).take_refusals());
        }
        if let Some(lines) = &mut self.lines {
            lines.look(network, &self.refusals);
        }
        self.note_drops(network);
        self.note_failed_starts(network);
        for record in records {
            self.note_record(network, record);
        }
    }
}

/// Whether a gateway has forgotten the connection, so that the far side met a stranger and reset it.
fn forgotten(network: &mut Network, record: &Record) -> Option<Kind> {
    let accepted = record.accepted.filter(|accepted| Some(*accepted) != record.outside)?;
    let Flow::V4(tuple) = accepted else { return Some(Kind::IdleExpiry) };
    let Place::Gateway(gateway, _) = gateway_of(network, accepted)? else { return None };
    let now = network.engine().now();
    match network.gateway_mut(gateway).ended(&tuple, now) {
        Some((Ended::Lost, _)) => Some(Kind::MappingLost),
        Some((Ended::Expired, _)) | None => Some(Kind::IdleExpiry),
    }
}

/// What a gateway found when it refused, in figures.
pub fn ports_found(refusal: &Refusal) -> Option<(u32, u32, u32)> {
    match refusal.why {
        Refused::Shortage { allocated_ports, open, time_wait, .. } => Some((allocated_ports, open, time_wait)),
        Refused::Conflict => None,
    }
}
