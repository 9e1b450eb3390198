//! The table of live translations, and when each of them ends.
//!
//! A [`Mapping`] joins an inside and an outside address and port for one destination. It is a slot of 64 bytes in a slab.
//! From inside it is found by a hash; from outside by its port, which knows who has it
//! ([`Destinations`](super::usage::Destinations)). With its share of all tables a mapping costs 84 to 93 bytes when
//! destinations have many connections each, and about 120 (at worst 129) when each has but one. For each timeout there is one list in order of expiry, threaded through the slab: a refresh moves an
//! entry to the end of its list, and whoever is due stands at the front. A mapping is gone at exactly its deadline,
//! whether or not anything happened then.

use std::hash::BuildHasher;
use std::net::Ipv4Addr;
use std::time::Duration;

use foldhash::fast::FixedState;

pub use super::ended::Ended;

use super::ended::EndedMappings;
use super::slab::Slab;
use super::slot_index::SlotIndex;
use super::tcp::{Phase, Timer};
use super::usage::Taken;
use crate::time::{SimTime, nanos};
use crate::trace::EntryId;
use crate::wire::{Direction, FiveTuple, Protocol, tcp_flags};

const NIL: u32 = u32::MAX;
/// Source ports that differ in their last two bits only are neighbours in the index: systems give ephemeral ports to
/// connections to one server one after the other (Linux in steps of two), so that the cache line is often there already.
const NEIGHBOURS: u32 = 2;

/// An address and port as the inside knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Inside(pub Ipv4Addr, pub u16);

/// An address and port as the outside knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Outside(pub Ipv4Addr, pub u16);

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
#[repr(align(64))]
pub struct Mapping {
    inside_address: u32,
    outside_address: u32,
    destination_address: u32,
    inside_port: u16,
    outside_port: u16,
    destination_port: u16,
    protocol: Protocol,
    phase: Phase,
    is_live: bool,
    /// Whether the inside index leads here. Not so for a mapping in TIME_WAIT whose socket has begun anew.
    by_inside: bool,
    list: u8,
    generation: u32,
    /// Whose port it has.
    pub reservation: u32,
    /// The port it has.
    pub taken: Taken,
    deadline: u64,
    previous: u32,
    next: u32,
}

impl Mapping {
    /// Inside address and port.
    #[inline]
    pub fn inside(&self) -> Inside {
        Inside(self.inside_address.into(), self.inside_port)
    }

    /// Outside address and port.
    #[inline]
    pub fn outside(&self) -> Outside {
        Outside(self.outside_address.into(), self.outside_port)
    }

    /// Where the connection stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// When it ends, in nanoseconds.
    pub fn deadline(&self) -> u64 {
        self.deadline
    }

    /// Protocol.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The flow as the inside sends it.
    pub fn inside_tuple(&self) -> FiveTuple {
        FiveTuple {
            src: self.inside_address.into(),
            src_port: self.inside_port,
            dst: self.destination_address.into(),
            dst_port: self.destination_port,
            protocol: self.protocol,
        }
    }

    /// The flow as the outside sees it leave.
    pub fn outside_tuple(&self) -> FiveTuple {
        FiveTuple { src: self.outside_address.into(), src_port: self.outside_port, ..self.inside_tuple() }
    }
}

/// Mappings of one timeout, in order of expiry.
#[derive(Debug, Clone, Copy)]
struct List {
    timeout: u64,
    head: u32,
    tail: u32,
}

/// The table.
#[derive(Debug, Clone)]
pub struct MappingTable {
    slots: Slab<Mapping>,
    free: Vec<u32>,
    inside: SlotIndex,
    hasher: FixedState,
    lists: Vec<List>,
    /// Which list a timer uses now.
    list_of: [u8; Timer::COUNT],
    ended: EndedMappings,
    live: usize,
}

impl MappingTable {
    /// A table with these timeouts, by [`Timer`].
    pub fn new(timeouts: [Duration; Timer::COUNT]) -> Self {
        let mut table = MappingTable {
            slots: Slab::default(),
            free: Vec::new(),
            inside: SlotIndex::default(),
            hasher: FixedState::default(),
            lists: Vec::new(),
            list_of: [0; Timer::COUNT],
            ended: EndedMappings::default(),
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
            .filter(|(_, mapping)| mapping.is_live)
            .map(|(slot, mapping)| (EntryId { slot: slot as u32, generation: mapping.generation }, mapping))
    }

    /// The mapping, if this entry is live at `now`.
    #[inline]
    pub fn live_at(&self, entry: EntryId, now: SimTime) -> Option<&Mapping> {
        self.slots.get(entry.slot).filter(|mapping| {
            mapping.generation == entry.generation && mapping.is_live && mapping.deadline > now.as_nanos()
        })
    }

    /// Changes which port a mapping is recorded to hold (after the ports were counted anew).
    pub fn set_taken(&mut self, entry: EntryId, reservation: u32, taken: Taken) {
        let mapping = &mut self.slots[entry.slot];
        (mapping.reservation, mapping.taken) = (reservation, taken);
    }

    /// The live mapping of a flow as the inside sends it.
    #[inline]
    pub fn by_inside(&self, tuple: &FiveTuple, now: SimTime) -> Option<EntryId> {
        let hash = self.hash(tuple);
        let slot = self.inside.find(hash, |slot| self.slots[slot].inside_tuple() == *tuple)?;
        self.live_in(slot, now)
    }

    /// The mapping in this slot, if it is live.
    #[inline]
    fn live_in(&self, slot: u32, now: SimTime) -> Option<EntryId> {
        let entry = EntryId { slot, generation: self.slots[slot].generation };
        self.live_at(entry, now).map(|_| entry)
    }

    /// The mapping in a slot that is in use.
    pub fn in_slot(&self, slot: u32) -> &Mapping {
        &self.slots[slot]
    }

    /// What is known of a flow as the outside would see it leave. `slot` is the mapping that has its port, if one has.
    pub fn by_outside(&mut self, slot: Option<u32>, tuple: &FiveTuple, now: SimTime) -> Lookup {
        if let Some(slot) = slot {
            debug_assert_eq!(self.slots[slot].outside_tuple(), *tuple, "the ports know who has them");
            return match self.live_in(slot, now) {
                Some(entry) => Lookup::Live(entry),
                None => Lookup::Ended(Ended::Expired, SimTime::from_nanos(self.slots[slot].deadline)),
            };
        }
        self.ended.find(tuple).map_or(Lookup::Unknown, |(why, at)| Lookup::Ended(why, at))
    }

    #[inline]
    fn hash(&self, tuple: &FiveTuple) -> u32 {
        let without_last_bits = FiveTuple { src_port: tuple.src_port >> NEIGHBOURS, ..*tuple };
        let hash = (self.hasher.hash_one(without_last_bits.key()) >> 32) as u32;
        let last_bits = (1 << NEIGHBOURS) - 1;
        hash & !last_bits | u32::from(tuple.src_port) & last_bits
    }

    /// Adds a mapping, whose inside tuple must not be in the inside index. Its port is to be taken for
    /// the slot of the result.
    pub fn insert(
        &mut self,
        tuple: &FiveTuple,
        outside: Outside,
        phase: Phase,
        reservation: u32,
        taken: Taken,
        now: SimTime,
    ) -> EntryId {
        let mut mapping = Mapping {
            inside_address: tuple.src.into(),
            outside_address: outside.0.into(),
            destination_address: tuple.dst.into(),
            inside_port: tuple.src_port,
            outside_port: outside.1,
            destination_port: tuple.dst_port,
            protocol: tuple.protocol,
            phase,
            is_live: true,
            by_inside: true,
            list: 0,
            generation: 0,
            reservation,
            taken,
            deadline: 0,
            previous: NIL,
            next: NIL,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                mapping.generation = self.slots[slot].generation.wrapping_add(1);
                self.slots[slot] = mapping;
                slot
            }
            None => self.slots.push(mapping),
        };
        let hash = self.hash(tuple);
        self.inside.insert(hash, slot);
        self.live += 1;
        self.start_timer(slot, now);
        EntryId { slot, generation: self.slots[slot].generation }
    }

    /// Restarts the idle timer of a live mapping, as its phase wants it. TIME_WAIT is not refreshed.
    #[inline]
    fn refresh(&mut self, entry: EntryId, now: SimTime) {
        if self.slots[entry.slot].phase != Phase::TimeWait {
            self.unlink(entry.slot);
            self.start_timer(entry.slot, now);
        }
    }

    /// Puts a live mapping into another phase and starts that phase's timer.
    fn set_phase(&mut self, entry: EntryId, phase: Phase, now: SimTime) {
        self.slots[entry.slot].phase = phase;
        self.unlink(entry.slot);
        self.start_timer(entry.slot, now);
    }

    /// A packet of a live mapping was seen, with these TCP flags: its phase follows, and its timer starts anew.
    #[inline]
    pub fn observe(&mut self, entry: EntryId, direction: Direction, flags: u8, now: SimTime) -> Observed {
        const STATE: u8 = tcp_flags::SYN | tcp_flags::FIN | tcp_flags::RST;
        let phase = self.slots[entry.slot].phase;
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
        if std::mem::take(&mut self.slots[slot].by_inside) {
            let hash = self.hash(&self.slots[slot].inside_tuple());
            self.inside.remove(hash, slot);
        }
    }

    /// The next mapping whose time has come, taken out. Call until there is none.
    #[inline]
    pub fn expire(&mut self, now: SimTime) -> Option<Mapping> {
        for list in 0..self.lists.len() {
            let head = self.lists[list].head;
            if head != NIL && self.slots[head].deadline <= now.as_nanos() {
                return Some(self.end(head, Ended::Expired, None));
            }
        }
        None
    }

    /// Ends a live mapping now.
    pub fn remove(&mut self, entry: EntryId, why: Ended, now: SimTime) -> Mapping {
        self.end(entry.slot, why, Some(now))
    }

    /// Takes a mapping out, and remembers its outside tuple for a while.
    fn end(&mut self, slot: u32, why: Ended, at: Option<SimTime>) -> Mapping {
        self.unlink(slot);
        self.detach_inside(EntryId { slot, generation: self.slots[slot].generation });
        let mapping = &mut self.slots[slot];
        mapping.is_live = false;
        let at = at.unwrap_or(SimTime::from_nanos(mapping.deadline));
        let copy = mapping.clone();
        self.live -= 1;
        self.free.push(slot);
        self.ended.note(copy.outside_tuple(), why, at);
        copy
    }

    #[inline]
    fn start_timer(&mut self, slot: u32, now: SimTime) {
        let mapping = &mut self.slots[slot];
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
            tail => self.slots[tail].next = slot,
        }
        self.lists[usize::from(index)].tail = slot;
    }

    #[inline]
    fn unlink(&mut self, slot: u32) {
        let Mapping { previous, next, list, .. } = self.slots[slot];
        match previous {
            NIL => self.lists[usize::from(list)].head = next,
            previous => self.slots[previous].next = next,
        }
        match next {
            NIL => self.lists[usize::from(list)].tail = previous,
            next => self.slots[next].previous = previous,
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
                let mapping = &self.slots[slot];
                assert_eq!((mapping.is_live, usize::from(mapping.list), mapping.previous), (true, index, previous));
                assert!(mapping.deadline >= deadline, "a list is in order of expiry");
                (deadline, previous, slot) = (mapping.deadline, slot, mapping.next);
                listed += 1;
            }
            assert_eq!(list.tail, previous);
        }
        assert_eq!(listed, self.live);
        assert_eq!(self.inside.len(), live.iter().filter(|(_, mapping)| mapping.by_inside).count());
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
        assert_eq!(table.by_outside(None, &outside, SimTime::from_secs(40)), ended);
        assert_eq!(table.by_outside(None, &FiveTuple { src_port: 2, ..outside }, SimTime::ZERO), Lookup::Unknown);
        // A new mapping takes the tuple over; past its deadline it has ended, whether or not it was taken out.
        let entry = insert(&mut table, 1, 50);
        assert_eq!(table.by_outside(Some(entry.slot), &outside, SimTime::from_secs(51)), Lookup::Live(entry));
        let ended = Lookup::Ended(Ended::Expired, SimTime::from_secs(80));
        assert_eq!(table.by_outside(Some(entry.slot), &outside, SimTime::from_secs(90)), ended);
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
        assert_eq!((size_of::<Mapping>(), align_of::<Mapping>()), (64, 64));
    }
}
