//! What the engine remembers of flows: the paths that their packets take.
//!
//! A path is the stations that a packet passed, and for each what is left to be done there: nothing, the TTL, or a look at
//! an entry of its table. Flows that pass the same stations share one path, and have a few entries each. What is
//! remembered counts until the configuration changes.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::topology::{LinkId, NodeId};
use crate::trace::{EntryId, Memo, PortId};

/// A flow in one direction, for which the engine remembers the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowId {
    slot: u32,
    /// A packet that is still on its way when its flow ends must not take the path of the next flow in this slot.
    generation: u32,
}

/// What is left to be done for a packet at a station.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Pure,
    DecrementTtl,
    /// An entry of the flow, by number.
    Entry(u8),
}

/// One station on a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PathHop {
    pub(super) node: NodeId,
    pub(super) from: PortId,
    pub(super) action: Action,
    /// The way on; `None` when this is the end.
    pub(super) link: Option<LinkId>,
}

/// A way through the stations, as one or more flows take it. It ends with a delivery, or on a link that takes time.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) hops: Box<[PathHop]>,
    /// For each hop, the first one from there on where there is anything to do: an entry to look at, a TTL, a link that
    /// takes time, the end. What lies before it is passed without a look.
    next_stop: Box<[u8]>,
}

impl Path {
    /// The next hop where there is anything to do, not before the hop of this number.
    #[inline]
    pub(super) fn stop_from(&self, hop: usize) -> Option<(usize, &PathHop)> {
        let stop = usize::from(*self.next_stop.get(hop)?);
        Some((stop, self.hops.get(stop)?))
    }
}

/// The longest path: instance, connector, VM, firewall, routes, NAT, gateway, internet, host, and some room.
pub(super) const MAX_HOPS: usize = 16;
/// Stations with a table on one path: connector VM, firewall, NAT, or the firewall twice.
pub(super) const MAX_ENTRIES: usize = 4;
pub(super) const NO_PATH: u32 = u32::MAX;
/// What the engine remembers of a flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    generation: u32,
    path: u32,
    epoch: u32,
    pub(super) entries: [EntryId; MAX_ENTRIES],
}

pub(super) const UNKNOWN: Known =
    Known { generation: 0, path: NO_PATH, epoch: 0, entries: [EntryId { slot: 0, generation: 0 }; MAX_ENTRIES] };

/// All flows and their paths.
#[derive(Debug, Default)]
pub(super) struct Paths {
    flows: Vec<Known>,
    free: Vec<FlowId>,
    paths: Vec<Path>,
    index: HashMap<Box<[PathHop]>, u32, FixedState>,
    /// Goes up with every change of configuration: what was remembered before counts no more.
    epoch: u32,
}

impl Paths {
    /// What was remembered so far counts no more.
    pub(super) fn forget_all(&mut self) {
        self.epoch += 1;
    }

    /// The same, and links that took no time may take some now, or the other way round.
    pub(super) fn forget_links(&mut self) {
        self.forget_all();
        self.paths.clear();
        self.index.clear();
    }

    /// A flow whose path is to be remembered.
    pub(super) fn add_flow(&mut self) -> FlowId {
        self.free.pop().unwrap_or_else(|| {
            self.flows.push(UNKNOWN);
            FlowId { slot: (self.flows.len() - 1) as u32, generation: 0 }
        })
    }

    /// The flow under a new name, without a path.
    pub(super) fn reset_flow(&mut self, flow: FlowId) -> FlowId {
        let generation = flow.generation.wrapping_add(1);
        self.flows[flow.slot as usize] = Known { generation, ..UNKNOWN };
        FlowId { generation, ..flow }
    }

    /// Nothing more comes of this flow.
    pub(super) fn remove_flow(&mut self, flow: FlowId) {
        let fresh = self.reset_flow(flow);
        self.free.push(fresh);
    }

    /// What is remembered of a flow, if it still counts, and its path.
    #[inline]
    pub(super) fn known(&self, flow: FlowId) -> Option<(&Known, &Path)> {
        let known = &self.flows[flow.slot as usize];
        let counts = known.generation == flow.generation && known.path != NO_PATH && known.epoch == self.epoch;
        counts.then(|| (known, &self.paths[known.path as usize]))
    }

    /// Begins to take down a path, with what is known of the flow up to this hop.
    pub(super) fn record(&self, flow: Option<FlowId>, hop: usize) -> Recorder {
        let nowhere = PathHop { node: NodeId(0), from: PortId(0), action: Action::Pure, link: None };
        let mut recorder =
            Recorder { hops: [nowhere; MAX_HOPS], length: 0, entries: UNKNOWN.entries, entry_count: 0, records: false };
        let Some(flow) = flow else { return recorder };
        if hop > 0 {
            let Some((known, path)) = self.known(flow) else { return recorder };
            let Some(front) = path.hops.get(..hop) else { return recorder };
            recorder.hops[..front.len()].copy_from_slice(front);
            recorder.length = front.len();
            recorder.entries = known.entries;
            recorder.entry_count = front.iter().filter(|hop| matches!(hop.action, Action::Entry(_))).count();
        }
        recorder.records = true;
        recorder
    }

    /// Remembers what was taken down, if it may be. `takes_time` tells whether a link is more than a step.
    pub(super) fn keep(&mut self, recorder: &Recorder, flow: Option<FlowId>, takes_time: impl Fn(LinkId) -> bool) {
        if let Some(flow) = flow
            && recorder.records
        {
            let path = self.intern(&recorder.hops[..recorder.length], takes_time);
            let Known { generation, .. } = self.flows[flow.slot as usize];
            if generation == flow.generation {
                let known = Known { generation, path, epoch: self.epoch, entries: recorder.entries };
                self.flows[flow.slot as usize] = known;
            }
        }
    }

    fn intern(&mut self, hops: &[PathHop], takes_time: impl Fn(LinkId) -> bool) -> u32 {
        if let Some(&path) = self.index.get(hops) {
            return path;
        }
        // There is something to do at a hop, or on the link after it.
        let is_stop = |hop: &PathHop| hop.action != Action::Pure || hop.link.is_none_or(&takes_time);
        let path = self.paths.len() as u32;
        let mut next_stop: Box<[u8]> = (0..hops.len() as u8).collect();
        for number in (0..hops.len().saturating_sub(1)).rev() {
            if !is_stop(&hops[number]) {
                next_stop[number] = next_stop[number + 1];
            }
        }
        self.paths.push(Path { hops: hops.into(), next_stop });
        self.index.insert(hops.into(), path);
        path
    }

    /// How many different paths there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.paths.len()
    }
}

/// Takes down the path of a packet while it walks.
pub(super) struct Recorder {
    hops: [PathHop; MAX_HOPS],
    length: usize,
    entries: [EntryId; MAX_ENTRIES],
    entry_count: usize,
    /// Not, when nobody asked or a station says that its decision must not be remembered.
    records: bool,
}

impl Recorder {
    /// Takes down one station: through which port the packet came, what is to be remembered, and the way on.
    pub(super) fn record(&mut self, node: NodeId, from: PortId, memo: Memo, link: Option<LinkId>) {
        if !self.records {
            return;
        }
        let action = match memo {
            Memo::Pure => Action::Pure,
            Memo::DecrementTtl => Action::DecrementTtl,
            Memo::Entry(entry) if self.entry_count < MAX_ENTRIES => {
                self.entries[self.entry_count] = entry;
                self.entry_count += 1;
                Action::Entry(self.entry_count as u8 - 1)
            }
            Memo::Entry(_) | Memo::Never => {
                self.records = false;
                return;
            }
        };
        match self.hops.get_mut(self.length) {
            Some(hop) => *hop = PathHop { node, from, action, link },
            None => self.records = false,
        }
        self.length += 1;
    }
}
