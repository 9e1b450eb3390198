//! The table of live translations, and when each of them ends.
//!
//! A [`Mapping`] joins an inside and an outside address and port for one destination. It is found from either side by a
//! hash over a slab of 64-byte entries; the two indices hold slot numbers, and 32 bits of the hash so that they can grow
//! without a look at the slab. With a million live mappings, all tables and their spare room, each costs about 165
//! bytes. For each timeout there is one list in order of expiry, threaded through the slab: a refresh moves an entry to the end of its list, and
//! whoever is due stands at the front. A mapping is gone at exactly its deadline, whether or not anything happened then.
//!
//! Ended mappings are remembered for a while under their outside tuple, so that a late reply can be told from one that
//! nobody ever asked for: *expired* is not *unknown*.

use std::hash::BuildHasher;
use std::net::Ipv4Addr;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::tcp::{Phase, Timer};
use super::usage::Taken;
use crate::time::{SimTime, nanos};
use crate::trace::EntryId;
use crate::wire::{Direction, FiveTuple, Protocol, tcp_flags};

const NIL: u32 = u32::MAX;
/// How many ended mappings are remembered. Enough for a minute of 1,000 connections a second; 5 MB.
const REMEMBERED: usize = 65_536;

/// An address and port as the inside knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Inside(pub Ipv4Addr, pub u16);

/// An address and port as the outside knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Outside(pub Ipv4Addr, pub u16);

/// Why a mapping ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its timer ran out.
    Expired,
    /// A change of configuration took its port away.
    Lost,
}

/// What became of an outside tuple that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// It is live.
    Live(EntryId),
    /// It has ended.
    Ended(Ended, SimTime),
    /// There never was one, or it was too long ago.
    Unknown,
}

/// What a packet did to its mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed {
    /// It keeps it alive (or leaves its TIME_WAIT alone).
    Refreshed,
    /// It has just closed it: TIME_WAIT begins.
    Closed,
    /// It is a SYN of the same socket on a mapping in TIME_WAIT: that needs a new mapping, and nothing was changed.
    BeginsAnew,
}

/// One translation.
#[derive(Debug, Clone)]
pub struct Mapping {
    inside: (u32, u16),
    outside: (u32, u16),
    destination: (u32, u16),
    protocol: Protocol,
    phase: Phase,
    state: State,
    list: u8,
    /// Whether the inside index leads here. Not so for a mapping in TIME_WAIT whose socket has begun anew.
    by_inside: bool,
    generation: u32,
    /// The endpoint whose port it has.
    pub endpoint: u32,
    /// The port it has.
    pub taken: Taken,
    deadline: u64,
    previous: u32,
    next: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    Live,
    Ended(Ended),
}

impl Mapping {
    /// Inside address and port.
    #[inline]
    pub fn inside(&self) -> Inside {
        Inside(self.inside.0.into(), self.inside.1)
    }

    /// Outside address and port.
    #[inline]
    pub fn outside(&self) -> Outside {
        Outside(self.outside.0.into(), self.outside.1)
    }

    /// Where the connection stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Protocol.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The flow as the inside sends it.
    pub fn inside_tuple(&self) -> FiveTuple {
        FiveTuple {
            src: self.inside.0.into(),
            src_port: self.inside.1,
            dst: self.destination.0.into(),
            dst_port: self.destination.1,
            protocol: self.protocol,
        }
    }

    /// The flow as the outside sees it leave.
    pub fn outside_tuple(&self) -> FiveTuple {
        FiveTuple { src: self.outside.0.into(), src_port: self.outside.1, ..self.inside_tuple() }
    }
}

/// Mappings of one timeout, in order of expiry.
#[derive(Debug, Clone, Copy)]
struct List {
    timeout: u64,
    head: u32,
    tail: u32,
}

/// Slots by a tuple, each with 32 bits of the tuple's hash: enough to tell most others without looking at their slots, and to
/// grow without looking at any.
#[derive(Debug, Clone, Default)]
struct Index {
    table: HashTable<(u32, u32)>,
    hasher: FixedState,
}

impl Index {
    #[inline]
    fn hash(&self, tuple: &FiveTuple) -> u32 {
        self.hasher.hash_one(tuple.key()) as u32
    }

    /// The table takes its position from the low bits and its tag from the high ones.
    #[inline]
    fn spread(hash: u32) -> u64 {
        u64::from(hash) << 32 | u64::from(hash)
    }

    /// The slot that `is_same` says to hold this tuple.
    #[inline]
    fn find(&self, tuple: &FiveTuple, is_same: impl Fn(u32) -> bool) -> Option<u32> {
        let hash = self.hash(tuple);
        let found = self.table.find(Self::spread(hash), |&(other, slot)| other == hash && is_same(slot));
        found.map(|&(_, slot)| slot)
    }

    fn insert(&mut self, tuple: &FiveTuple, slot: u32) {
        let hash = self.hash(tuple);
        self.table.insert_unique(Self::spread(hash), (hash, slot), |&(hash, _)| Self::spread(hash));
    }

    /// Removes the slot of this tuple.
    fn remove(&mut self, tuple: &FiveTuple, slot: u32) {
        let hash = self.hash(tuple);
        if let Ok(found) = self.table.find_entry(Self::spread(hash), |&entry| entry == (hash, slot)) {
            found.remove();
        }
    }
}

/// The table.
#[derive(Debug, Clone)]
pub struct MappingTable {
    slots: Vec<Mapping>,
    free: Vec<u32>,
    inside: Index,
    outside: Index,
    lists: Vec<List>,
    /// Which list a timer uses now.
    list_of: [u8; Timer::COUNT],
    ended: std::collections::VecDeque<EntryId>,
    live: usize,
}

impl MappingTable {
    /// A table with these timeouts, by [`Timer`].
    pub fn new(timeouts: [Duration; Timer::COUNT]) -> Self {
        let mut table = MappingTable {
            slots: Vec::new(),
            free: Vec::new(),
            inside: Index::default(),
            outside: Index::default(),
            lists: Vec::new(),
            list_of: [0; Timer::COUNT],
            ended: std::collections::VecDeque::new(),
            live: 0,
        };
        table.set_timeouts(timeouts);
        table
    }

    /// Changes the timeouts. A live mapping takes the new one at its next refresh.
    pub fn set_timeouts(&mut self, timeouts: [Duration; Timer::COUNT]) {
        for (timer, timeout) in timeouts.into_iter().enumerate() {
            let timeout = nanos(timeout);
            // A list of its own for each timer, so that the order of expiry within one never depends on another's.
            let mine = self.lists.iter().position(|list| list.timeout == timeout);
            let list = mine.unwrap_or_else(|| {
                let reusable =
                    self.lists.iter().enumerate().position(|(i, list)| {
                        list.head == NIL && !self.list_of.iter().any(|&used| usize::from(used) == i)
                    });
                let fresh = List { timeout, head: NIL, tail: NIL };
                match reusable {
                    Some(i) if self.lists.len() > usize::from(u8::MAX) - Timer::COUNT => {
                        self.lists[i] = fresh;
                        i
                    }
                    _ => {
                        self.lists.push(fresh);
                        self.lists.len() - 1
                    }
                }
            });
            self.list_of[timer] = u8::try_from(list).expect("fewer than 256 different timeouts are in use at once");
        }
    }

    /// The timeout that a timer has now.
    pub fn timeout(&self, timer: Timer) -> Duration {
        Duration::from_nanos(self.lists[usize::from(self.list_of[timer as usize])].timeout)
    }

    /// Live mappings, those in TIME_WAIT included.
    pub fn live(&self) -> usize {
        self.live
    }

    /// All live mappings, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = (EntryId, &Mapping)> {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, mapping)| mapping.state == State::Live)
            .map(|(slot, mapping)| (EntryId { slot: slot as u32, generation: mapping.generation }, mapping))
    }

    /// The mapping, if this entry is live at `now`.
    #[inline]
    pub fn live_at(&self, entry: EntryId, now: SimTime) -> Option<&Mapping> {
        self.slots.get(entry.slot as usize).filter(|mapping| {
            mapping.generation == entry.generation && mapping.state == State::Live && mapping.deadline > now.as_nanos()
        })
    }

    /// Changes which port a mapping is recorded to hold (after its endpoint's ports were counted anew).
    pub fn set_taken(&mut self, entry: EntryId, taken: Taken) {
        self.slots[entry.slot as usize].taken = taken;
    }

    /// The live mapping of a flow as the inside sends it.
    #[inline]
    pub fn by_inside(&self, tuple: &FiveTuple, now: SimTime) -> Option<EntryId> {
        let slot = self.inside.find(tuple, |slot| self.slots[slot as usize].inside_tuple() == *tuple)?;
        let entry = EntryId { slot, generation: self.slots[slot as usize].generation };
        self.live_at(entry, now).map(|_| entry)
    }

    /// What is known of a flow as the outside would see it leave.
    pub fn by_outside(&self, tuple: &FiveTuple, now: SimTime) -> Lookup {
        let Some(slot) = self.outside.find(tuple, |slot| self.slots[slot as usize].outside_tuple() == *tuple) else {
            return Lookup::Unknown;
        };
        let mapping = &self.slots[slot as usize];
        let deadline = SimTime::from_nanos(mapping.deadline);
        match mapping.state {
            State::Live if deadline > now => Lookup::Live(EntryId { slot, generation: mapping.generation }),
            State::Live => Lookup::Ended(Ended::Expired, deadline),
            State::Ended(why) => Lookup::Ended(why, deadline),
            State::Free => unreachable!("the indices lead to filled slots"),
        }
    }

    /// Adds a mapping. Its outside tuple must not be live, nor its inside tuple in the inside index.
    pub fn insert(
        &mut self,
        tuple: &FiveTuple,
        outside: Outside,
        phase: Phase,
        endpoint: u32,
        taken: Taken,
        now: SimTime,
    ) -> EntryId {
        let outside_tuple = FiveTuple { src: outside.0, src_port: outside.1, ..*tuple };
        self.forget_ended(&outside_tuple);

        let mut mapping = Mapping {
            inside: (tuple.src.into(), tuple.src_port),
            outside: (outside.0.into(), outside.1),
            destination: (tuple.dst.into(), tuple.dst_port),
            protocol: tuple.protocol,
            phase,
            state: State::Live,
            list: 0,
            by_inside: true,
            generation: 0,
            endpoint,
            taken,
            deadline: 0,
            previous: NIL,
            next: NIL,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                mapping.generation = self.slots[slot as usize].generation.wrapping_add(1);
                self.slots[slot as usize] = mapping;
                slot
            }
            None => {
                self.slots.push(mapping);
                (self.slots.len() - 1) as u32
            }
        };
        self.inside.insert(tuple, slot);
        self.outside.insert(&outside_tuple, slot);
        self.live += 1;
        self.start_timer(slot, now);
        EntryId { slot, generation: self.slots[slot as usize].generation }
    }

    /// Restarts the idle timer of a live mapping, as its phase wants it. TIME_WAIT is not refreshed.
    #[inline]
    fn refresh(&mut self, entry: EntryId, now: SimTime) {
        if self.slots[entry.slot as usize].phase != Phase::TimeWait {
            self.unlink(entry.slot);
            self.start_timer(entry.slot, now);
        }
    }

    /// Puts a live mapping into another phase and starts that phase's timer.
    fn set_phase(&mut self, entry: EntryId, phase: Phase, now: SimTime) {
        self.slots[entry.slot as usize].phase = phase;
        self.unlink(entry.slot);
        self.start_timer(entry.slot, now);
    }

    /// A packet of a live mapping was seen, with these TCP flags: its phase follows, and its timer starts anew.
    #[inline]
    pub fn observe(&mut self, entry: EntryId, direction: Direction, flags: u8, now: SimTime) -> Observed {
        const STATE: u8 = tcp_flags::SYN | tcp_flags::FIN | tcp_flags::RST;
        let phase = self.slots[entry.slot as usize].phase;
        if phase == Phase::Datagram || phase == Phase::Established && flags & STATE == 0 {
            self.refresh(entry, now);
            return Observed::Refreshed;
        }
        if phase == Phase::TimeWait {
            let begins_anew = direction == Direction::Outbound && flags & tcp_flags::SYN != 0;
            return if begins_anew { Observed::BeginsAnew } else { Observed::Refreshed };
        }
        let after = phase.after(direction, flags);
        self.set_phase(entry, after, now);
        if after == Phase::TimeWait { Observed::Closed } else { Observed::Refreshed }
    }

    /// Makes the inside tuple of a mapping in TIME_WAIT free for a new connection of the same socket; the outside tuple
    /// stays barred.
    pub fn detach_inside(&mut self, entry: EntryId) {
        let slot = entry.slot;
        if std::mem::take(&mut self.slots[slot as usize].by_inside) {
            self.inside.remove(&self.slots[slot as usize].inside_tuple(), slot);
        }
    }

    /// The next mapping whose time has come, taken out. Call until there is none.
    #[inline]
    pub fn expire(&mut self, now: SimTime) -> Option<Mapping> {
        for list in 0..self.lists.len() {
            let head = self.lists[list].head;
            if head != NIL && self.slots[head as usize].deadline <= now.as_nanos() {
                return Some(self.end(head, Ended::Expired, None));
            }
        }
        None
    }

    /// Ends a live mapping now.
    pub fn remove(&mut self, entry: EntryId, why: Ended, now: SimTime) -> Mapping {
        self.end(entry.slot, why, Some(now))
    }

    /// Takes a mapping out of use but keeps it under its outside tuple for a while.
    fn end(&mut self, slot: u32, why: Ended, at: Option<SimTime>) -> Mapping {
        self.unlink(slot);
        let generation = self.slots[slot as usize].generation;
        let entry = EntryId { slot, generation };
        let copy = self.slots[slot as usize].clone();
        self.detach_inside(entry);
        let mapping = &mut self.slots[slot as usize];
        mapping.state = State::Ended(why);
        if let Some(at) = at {
            mapping.deadline = at.as_nanos();
        }
        self.live -= 1;
        self.ended.push_back(entry);
        if self.ended.len() > REMEMBERED {
            let oldest = self.ended.pop_front().expect("it is not empty");
            self.bury(oldest);
        }
        copy
    }

    /// Forgets an ended mapping that has this outside tuple, because a new one takes it.
    fn forget_ended(&mut self, tuple: &FiveTuple) {
        if let Some(slot) = self.outside.find(tuple, |slot| self.slots[slot as usize].outside_tuple() == *tuple) {
            self.outside.remove(tuple, slot);
            debug_assert!(
                matches!(self.slots[slot as usize].state, State::Ended(_)),
                "a live outside tuple is not given twice"
            );
            self.slots[slot as usize].state = State::Free;
            // Its place in the queue of the ended remains; the generation tells that it is stale.
            self.slots[slot as usize].generation = self.slots[slot as usize].generation.wrapping_add(1);
            self.free.push(slot);
        }
    }

    fn bury(&mut self, entry: EntryId) {
        let mapping = &self.slots[entry.slot as usize];
        if mapping.generation == entry.generation && matches!(mapping.state, State::Ended(_)) {
            self.outside.remove(&mapping.outside_tuple(), entry.slot);
            self.slots[entry.slot as usize].state = State::Free;
            self.free.push(entry.slot);
        }
    }

    #[inline]
    fn start_timer(&mut self, slot: u32, now: SimTime) {
        let mapping = &mut self.slots[slot as usize];
        let timer = match mapping.protocol {
            Protocol::Icmp => Timer::Icmp,
            Protocol::Udp => Timer::Udp,
            Protocol::Tcp => mapping.phase.timer(),
        };
        let index = self.list_of[timer as usize];
        let list = &mut self.lists[usize::from(index)];
        mapping.list = index;
        mapping.deadline = now.as_nanos().saturating_add(list.timeout);
        mapping.previous = list.tail;
        mapping.next = NIL;
        match list.tail {
            NIL => list.head = slot,
            tail => self.slots[tail as usize].next = slot,
        }
        self.lists[usize::from(index)].tail = slot;
    }

    #[inline]
    fn unlink(&mut self, slot: u32) {
        let Mapping { previous, next, list, .. } = self.slots[slot as usize];
        match previous {
            NIL => self.lists[usize::from(list)].head = next,
            previous => self.slots[previous as usize].next = next,
        }
        match next {
            NIL => self.lists[usize::from(list)].tail = previous,
            next => self.slots[next as usize].previous = previous,
        }
    }

    /// Whether the two indices, the slab and the lists agree. For tests.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        let live: Vec<_> = self.iter().collect();
        assert_eq!(live.len(), self.live);
        let mut listed = 0;
        for (index, list) in self.lists.iter().enumerate() {
            let (mut slot, mut previous, mut deadline) = (list.head, NIL, 0);
            while slot != NIL {
                let mapping = &self.slots[slot as usize];
                assert_eq!(
                    (mapping.state, usize::from(mapping.list), mapping.previous),
                    (State::Live, index, previous)
                );
                assert!(mapping.deadline >= deadline, "a list is in order of expiry");
                (deadline, previous, slot) = (mapping.deadline, slot, mapping.next);
                listed += 1;
            }
            assert_eq!(list.tail, previous);
        }
        assert_eq!(listed, self.live);
        assert_eq!(self.inside.table.len(), live.iter().filter(|(_, mapping)| mapping.by_inside).count());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn table() -> MappingTable {
        MappingTable::new([30 * SECOND, 30 * SECOND, 30 * SECOND, 1200 * SECOND, 30 * SECOND])
    }

    fn tuple(port: u16) -> FiveTuple {
        FiveTuple {
            src: Ipv4Addr::new(10, 8, 0, 2),
            dst: Ipv4Addr::new(198, 51, 100, 7),
            src_port: port,
            dst_port: 53,
            protocol: Protocol::Udp,
        }
    }

    fn insert(table: &mut MappingTable, port: u16, now: u64) -> EntryId {
        let outside = Outside(Ipv4Addr::new(203, 0, 113, 10), port);
        table.insert(&tuple(port), outside, Phase::Datagram, 0, Taken { slot: 0, ordinal: 0 }, SimTime::from_secs(now))
    }

    #[test]
    fn a_mapping_is_live_until_its_deadline_and_not_at_it() {
        let mut table = table();
        let entry = insert(&mut table, 5000, 0);
        assert!(table.live_at(entry, SimTime::from_nanos(29_999_999_999)).is_some());
        assert!(table.live_at(entry, SimTime::from_secs(30)).is_none());
        assert!(table.expire(SimTime::from_nanos(29_999_999_999)).is_none());
        assert!(table.expire(SimTime::from_secs(30)).is_some());
        table.check();
    }

    #[test]
    fn a_refresh_moves_the_deadline() {
        let mut table = table();
        let (a, b) = (insert(&mut table, 1, 0), insert(&mut table, 2, 0));
        table.refresh(a, SimTime::from_secs(10));
        assert_eq!(table.expire(SimTime::from_secs(35)).unwrap().inside().1, 2);
        assert!(table.expire(SimTime::from_secs(35)).is_none());
        assert!(table.live_at(b, SimTime::from_secs(35)).is_none());
        assert!(table.live_at(a, SimTime::from_secs(35)).is_some());
        table.check();
    }

    #[test]
    fn an_expired_mapping_is_not_an_unknown_one() {
        let mut table = table();
        insert(&mut table, 1, 0);
        let outside = FiveTuple { src: Ipv4Addr::new(203, 0, 113, 10), ..tuple(1) };
        while table.expire(SimTime::from_secs(40)).is_some() {}
        let ended = Lookup::Ended(Ended::Expired, SimTime::from_secs(30));
        assert_eq!(table.by_outside(&outside, SimTime::from_secs(40)), ended);
        assert_eq!(table.by_outside(&FiveTuple { src_port: 2, ..outside }, SimTime::ZERO), Lookup::Unknown);
        // A new mapping takes the tuple over.
        let entry = insert(&mut table, 1, 50);
        assert_eq!(table.by_outside(&outside, SimTime::from_secs(51)), Lookup::Live(entry));
        table.check();
    }

    #[test]
    fn a_shorter_timeout_holds_from_the_next_refresh_on() {
        let mut table = table();
        let (old, touched) = (insert(&mut table, 1, 0), insert(&mut table, 2, 0));
        table.set_timeouts([5 * SECOND, 30 * SECOND, 30 * SECOND, 1200 * SECOND, 30 * SECOND]);
        table.refresh(touched, SimTime::from_secs(1));
        assert!(table.live_at(touched, SimTime::from_secs(6)).is_none());
        assert!(table.live_at(old, SimTime::from_secs(29)).is_some());
        table.check();
    }

    #[test]
    fn a_stale_entry_is_recognised() {
        let mut table = table();
        let entry = insert(&mut table, 1, 0);
        table.remove(entry, Ended::Lost, SimTime::ZERO);
        insert(&mut table, 1, 0);
        assert!(table.live_at(entry, SimTime::ZERO).is_none());
    }

    #[test]
    fn a_mapping_is_one_cache_line() {
        assert!(size_of::<Mapping>() <= 64, "{}", size_of::<Mapping>());
    }
}
