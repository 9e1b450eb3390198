//! Connections that were allowed: each interface tracks its own, and tracked ones pass both ways without a look at the rules.
//!
//! An entry lives for ten minutes after its last packet, whatever the rules have become meanwhile
//! (<https://docs.cloud.google.com/firewall/docs/firewalls>, as of 2026). TCP's own states are not looked at: Google names
//! the ten minutes only. Protocols without ports are tracked by their addresses: assumed. An interface has room for so many
//! entries; Google publishes the sizes ([`super::interface::Cpus`]) and not what happens beyond.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};

use crate::time::SimTime;
use crate::trace::EntryId;
use crate::wire::{Flow, Packet, Transport};

/// Google: a tracked connection is forgotten when it was idle for ten minutes.
const TRACKED: Duration = Duration::from_secs(600);
/// How many expired TCP connections are remembered, of interfaces that want to know: a few minutes' worth; 6 MB.
const REMEMBERED: usize = 65_536;

const TCP: u8 = 6;

/// What names a connection at an interface, whichever way a packet goes: the lower end comes first. IPv4 addresses are
/// mapped into IPv6's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    addresses: [u128; 2],
    ports: [u16; 2],
    protocol: u8,
    interface: u32,
}

impl Key {
    fn new(source: (IpAddr, u16), destination: (IpAddr, u16), protocol: u8, interface: u32) -> Key {
        let number = |(address, port): (IpAddr, u16)| match address {
            IpAddr::V4(address) => (u128::from(u32::from(address)) | 0xffff << 32, port),
            IpAddr::V6(address) => (address.into(), port),
        };
        let (a, b) = (number(source), number(destination));
        let (low, high) = if a <= b { (a, b) } else { (b, a) };
        Key { addresses: [low.0, high.0], ports: [low.1, high.1], protocol, interface }
    }

    fn of_flow(flow: Flow, interface: u32) -> Key {
        let ends = ((flow.src(), flow.src_port()), (flow.dst(), flow.dst_port()));
        Key::new(ends.0, ends.1, flow.protocol_number(), interface)
    }

    /// The connection that a packet is part of; `None` when packets of its kind are not tracked. A later fragment does not
    /// show its connection.
    pub(super) fn of(packet: &Packet, interface: u32) -> Option<Key> {
        if let Some(flow) = packet.flow() {
            return Some(Key::of_flow(flow, interface));
        }
        let ports = match packet.transport() {
            Transport::Fragment => packet.shown_ports()?,
            Transport::Other(_) => packet.shown_ports().unwrap_or((0, 0)),
            _ => return None,
        };
        let ends = ((packet.source(), ports.0), (packet.destination(), ports.1));
        Some(Key::new(ends.0, ends.1, packet.protocol_number(), interface))
    }

    /// The connection that an ICMP error is about.
    pub(super) fn quoted_by(packet: &Packet, interface: u32) -> Option<Key> {
        packet.embedded_flow().map(|flow| Key::of_flow(flow, interface))
    }

    fn hash(&self, hasher: &FixedState) -> u64 {
        let [a, b] = self.ports.map(u128::from);
        let rest = u128::from(self.interface) << 64 | a << 24 | b << 8 | u128::from(self.protocol);
        hasher.hash_one((self.addresses[0], self.addresses[1], rest))
    }
}

/// What is looked at for each packet of a known connection, and nothing else.
#[derive(Debug, Clone, Copy)]
struct Life {
    deadline: u64,
    generation: u32,
}

/// How full an interface's table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Table {
    /// Room for so many.
    pub(super) max: u32,
    /// Tracked now.
    pub(super) used: u32,
    /// Packets that found no room.
    pub(super) refused: u64,
    /// Expired TCP connections are remembered.
    pub(super) remembers: bool,
}

/// There is no room for another connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

/// The tracked connections of all interfaces of a network.
#[derive(Debug, Default)]
pub(super) struct Tracked {
    lives: Vec<Life>,
    keys: Vec<Key>,
    free: Vec<u32>,
    index: HashTable<u32>,
    hasher: FixedState,
    tables: Vec<Table>,
    /// When to look whether an entry has expired: at the end of its first ten minutes. In order, since time is.
    first_looks: VecDeque<(u64, u32)>,
    /// The same for those that had packets since.
    later_looks: BinaryHeap<Reverse<(u64, u32)>>,
    expired: Expired,
}

impl Tracked {
    /// The next interface has room for so many connections.
    pub(super) fn add_table(&mut self, max: u32, remembers: bool) {
        self.tables.push(Table { max, remembers, ..Table::default() });
    }

    /// How full an interface's table is.
    pub(super) fn table(&self, interface: u32) -> Table {
        self.tables[interface as usize]
    }

    /// The entry of a connection. What has expired by now must have been forgotten.
    pub(super) fn find(&self, key: &Key) -> Option<EntryId> {
        let slot = *self.index.find(key.hash(&self.hasher), |&slot| self.keys[slot as usize] == *key)?;
        Some(EntryId { slot, generation: self.lives[slot as usize].generation })
    }

    /// A packet of a tracked connection: false when it is tracked no more.
    #[inline]
    pub(super) fn touch(&mut self, entry: EntryId, now: SimTime) -> bool {
        let Some(life) = self.lives.get_mut(entry.slot as usize) else { return false };
        let live = life.generation == entry.generation && life.deadline > now.as_nanos();
        if live {
            life.deadline = (now + TRACKED).as_nanos();
        }
        live
    }

    /// Tracks a connection that is not tracked yet.
    pub(super) fn insert(&mut self, key: Key, now: SimTime) -> Result<EntryId, Full> {
        let table = &mut self.tables[key.interface as usize];
        if table.used >= table.max {
            table.refused += 1;
            return Err(Full);
        }
        table.used += 1;
        let deadline = (now + TRACKED).as_nanos();
        let slot = match self.free.pop() {
            Some(slot) => {
                self.lives[slot as usize].deadline = deadline;
                self.keys[slot as usize] = key;
                slot
            }
            None => {
                self.lives.push(Life { deadline, generation: 0 });
                self.keys.push(key);
                (self.lives.len() - 1) as u32
            }
        };
        let (keys, hasher) = (&self.keys, &self.hasher);
        self.index.insert_unique(key.hash(hasher), slot, |&other| keys[other as usize].hash(hasher));
        self.first_looks.push_back((deadline, slot));
        Ok(EntryId { slot, generation: self.lives[slot as usize].generation })
    }

    /// Whether this TCP connection has expired. Connections of interfaces that do not remember never have.
    pub(super) fn has_expired(&mut self, key: &Key) -> bool {
        self.tables[key.interface as usize].remembers && self.expired.contains(key, &self.hasher)
    }

    /// Forgets what has expired by now. Each entry is looked at once in ten minutes.
    pub(super) fn forget(&mut self, now: SimTime) {
        let now = now.as_nanos();
        while let Some(&(_, slot)) = self.first_looks.front().filter(|(at, _)| *at <= now) {
            self.first_looks.pop_front();
            self.look(slot, now);
        }
        while let Some(&Reverse((_, slot))) = self.later_looks.peek().filter(|Reverse((at, _))| *at <= now) {
            self.later_looks.pop();
            self.look(slot, now);
        }
    }

    fn look(&mut self, slot: u32, now: u64) {
        let Life { deadline, generation } = self.lives[slot as usize];
        if deadline > now {
            self.later_looks.push(Reverse((deadline, slot)));
            return;
        }
        let key = self.keys[slot as usize];
        let entry = self.index.find_entry(key.hash(&self.hasher), |&other| other == slot);
        entry.expect("every entry is indexed until it is looked at for the last time").remove();
        // From here on the generation no longer matches what anybody remembers.
        self.lives[slot as usize].generation = generation.wrapping_add(1);
        self.free.push(slot);
        let table = &mut self.tables[key.interface as usize];
        table.used -= 1;
        if table.remembers && key.protocol == TCP {
            self.expired.note(key, &self.hasher);
        }
    }
}

/// Expired TCP connections, oldest first. They come by the million and questions are rare, so that one is only noted down;
/// the first question after it indexes what has come since the last one.
#[derive(Debug, Default)]
struct Expired {
    notes: VecDeque<Key>,
    /// Number of the oldest note.
    first: u64,
    /// Number of the latest note with a hash, for notes below `indexed`. Two keys with one hash are no harm: the note tells.
    index: HashMap<u64, u64, FixedState>,
    indexed: u64,
}

impl Expired {
    fn note(&mut self, key: Key, hasher: &FixedState) {
        if self.notes.len() == REMEMBERED
            && let Some(oldest) = self.notes.pop_front()
        {
            let hash = oldest.hash(hasher);
            if self.first < self.indexed && self.index.get(&hash) == Some(&self.first) {
                self.index.remove(&hash);
            }
            self.first += 1;
        }
        self.notes.push_back(key);
    }

    fn contains(&mut self, key: &Key, hasher: &FixedState) -> bool {
        let known = self.indexed.saturating_sub(self.first) as usize;
        for (number, note) in self.notes.iter().enumerate().skip(known) {
            self.index.insert(note.hash(hasher), self.first + number as u64);
        }
        self.indexed = self.first + self.notes.len() as u64;
        let number = self.index.get(&key.hash(hasher));
        number.is_some_and(|number| self.notes[(number - self.first) as usize] == *key)
    }
}
