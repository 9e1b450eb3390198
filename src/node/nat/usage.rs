//! Which ports of an endpoint are taken, destination by destination.
//!
//! The limit of Cloud NAT is per destination 3-tuple: the same NAT IP and port serve any number of connections as long as
//! their destinations differ. So each (endpoint, destination) has a set of its own. An endpoint's ports are counted through as
//! *ordinals* 0, 1, 2, … over its blocks; the set says which ordinals are taken. Finding a free one takes the same few
//! steps whether none or all but one are taken, and so does finding that there is none.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::net::Ipv4Addr;

use crate::wire::{FiveTuple, Protocol};

/// A set of ordinals with constant-time "lowest one missing": words, a summary of full words, and a summary of that.
#[derive(Debug, Clone)]
enum OrdinalSet {
    /// Ordinals 0 to 63.
    Small(u64),
    /// Up to 2^18 of them.
    Large(Box<Words>),
}

/// 64 ordinals a word; bit `i` of `full[0]` says that word `i` is full, and one level more above it.
#[derive(Debug, Clone, Default)]
struct Words {
    words: Vec<u64>,
    full: Vec<u64>,
    all_full: u64,
}

impl Words {
    fn first_missing(&self) -> usize {
        let group = (!self.all_full).trailing_zeros() as usize;
        let word = match self.full.get(group) {
            Some(full) => group * 64 + (!full).trailing_zeros() as usize,
            None => group * 64,
        };
        match self.words.get(word) {
            Some(bits) => word * 64 + (!bits).trailing_zeros() as usize,
            None => word * 64,
        }
    }

    /// The same from `ordinal` on.
    fn first_missing_from(&self, ordinal: usize) -> usize {
        let bits_from = |bits: u64, bit: usize| !bits >> bit << bit;
        let Some(&bits) = self.words.get(ordinal / 64) else { return ordinal };
        let free = bits_from(bits, ordinal % 64);
        if free != 0 {
            return ordinal / 64 * 64 + free.trailing_zeros() as usize;
        }
        let next = ordinal / 64 + 1;
        let words_free = |group: usize, from: usize| bits_from(self.full.get(group).copied().unwrap_or(0), from);
        let (mut group, mut free) = (next / 64, words_free(next / 64, next % 64));
        while free == 0 {
            group += 1;
            free = words_free(group, 0);
        }
        let word = group * 64 + free.trailing_zeros() as usize;
        word * 64 + self.words.get(word).map_or(0, |bits| (!bits).trailing_zeros() as usize)
    }

    fn insert(&mut self, ordinal: usize) {
        let (word, group) = (ordinal / 64, ordinal / 4096);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
            self.full.resize(group + 1, 0);
        }
        self.words[word] |= 1 << (ordinal % 64);
        if self.words[word] == u64::MAX {
            self.full[group] |= 1 << (word % 64);
            if self.full[group] == u64::MAX {
                self.all_full |= 1 << group;
            }
        }
    }

    fn remove(&mut self, ordinal: usize) {
        let (word, group) = (ordinal / 64, ordinal / 4096);
        self.words[word] &= !(1 << (ordinal % 64));
        self.full[group] &= !(1 << (word % 64));
        self.all_full &= !(1 << group);
    }

    fn contains(&self, ordinal: usize) -> bool {
        self.words.get(ordinal / 64).is_some_and(|word| word >> (ordinal % 64) & 1 == 1)
    }
}

impl OrdinalSet {
    fn first_missing(&self) -> u32 {
        match self {
            OrdinalSet::Small(bits) => (!bits).trailing_zeros(),
            OrdinalSet::Large(words) => words.first_missing() as u32,
        }
    }

    fn first_missing_from(&self, ordinal: u32) -> u32 {
        match self {
            OrdinalSet::Small(bits) if ordinal < 64 => (!bits >> ordinal << ordinal).trailing_zeros(),
            OrdinalSet::Small(_) => ordinal,
            OrdinalSet::Large(words) => words.first_missing_from(ordinal as usize) as u32,
        }
    }

    fn insert(&mut self, ordinal: u32) {
        match self {
            OrdinalSet::Small(bits) if ordinal < 64 => *bits |= 1 << ordinal,
            OrdinalSet::Small(bits) => {
                let mut words = Words { words: vec![*bits], full: vec![0], all_full: 0 };
                if *bits == u64::MAX {
                    words.full[0] = 1;
                }
                words.insert(ordinal as usize);
                *self = OrdinalSet::Large(Box::new(words));
            }
            OrdinalSet::Large(words) => words.insert(ordinal as usize),
        }
    }

    fn remove(&mut self, ordinal: u32) {
        match self {
            OrdinalSet::Small(bits) => *bits &= !(1 << ordinal),
            OrdinalSet::Large(words) => words.remove(ordinal as usize),
        }
    }

    fn contains(&self, ordinal: u32) -> bool {
        match self {
            OrdinalSet::Small(bits) => ordinal < 64 && bits >> ordinal & 1 == 1,
            OrdinalSet::Large(words) => words.contains(ordinal as usize),
        }
    }
}

/// A destination 3-tuple as one endpoint sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// The endpoint that sends.
    pub endpoint: u32,
    /// Destination address.
    pub address: Ipv4Addr,
    /// Destination port; 0 for ICMP.
    pub port: u16,
    /// Protocol.
    pub protocol: Protocol,
}

impl Destination {
    /// Where this packet of that endpoint goes.
    pub fn of(endpoint: u32, tuple: &FiveTuple) -> Destination {
        Destination { endpoint, address: tuple.dst, port: tuple.dst_port, protocol: tuple.protocol }
    }

    fn key(&self) -> u128 {
        u128::from(self.endpoint) << 64
            | u128::from(u32::from(self.address)) << 32
            | u128::from(self.port) << 8
            | u128::from(self.protocol.number())
    }
}

/// What one endpoint uses towards one destination.
#[derive(Debug, Clone)]
struct Use {
    destination: Destination,
    taken: OrdinalSet,
    count: u32,
    time_wait: u32,
}

/// How the next port is chosen among the free ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// The lowest.
    Lowest,
    /// Any; the number is random.
    Random(u64),
}

/// A taken port: which destination's set, and which ordinal in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Position of the destination's set.
    pub slot: u32,
    /// Which of the endpoint's ports.
    pub ordinal: u32,
}

/// All destinations of all endpoints of a gateway.
#[derive(Debug, Clone, Default)]
pub struct Destinations {
    uses: Vec<Use>,
    free: Vec<u32>,
    index: HashTable<u32>,
    hasher: FixedState,
}

impl Destinations {
    fn find(&self, destination: &Destination) -> Option<u32> {
        let hash = self.hasher.hash_one(destination.key());
        self.index.find(hash, |&slot| self.uses[slot as usize].destination == *destination).copied()
    }

    /// The set of a destination, made if there is none.
    fn entry(&mut self, destination: Destination) -> u32 {
        let hash = self.hasher.hash_one(destination.key());
        match self.index.find(hash, |&slot| self.uses[slot as usize].destination == destination) {
            Some(&slot) => slot,
            None => {
                let fresh = Use { destination, taken: OrdinalSet::Small(0), count: 0, time_wait: 0 };
                let slot = match self.free.pop() {
                    Some(slot) => {
                        self.uses[slot as usize] = fresh;
                        slot
                    }
                    None => {
                        self.uses.push(fresh);
                        (self.uses.len() - 1) as u32
                    }
                };
                let (uses, hasher) = (&self.uses, &self.hasher);
                self.index.insert_unique(hash, slot, |&other| hasher.hash_one(uses[other as usize].destination.key()));
                slot
            }
        }
    }

    /// Takes a free one of `ports` ports for this destination; `None` when all are taken. Returns also how many are taken now.
    pub fn acquire(&mut self, destination: Destination, ports: u32, pick: Pick) -> Option<(Taken, u32)> {
        if ports == 0 {
            return None;
        }
        let slot = self.entry(destination);
        let entry = &mut self.uses[slot as usize];
        let lowest = entry.taken.first_missing();
        if lowest >= ports {
            return None;
        }
        let ordinal = match pick {
            Pick::Lowest => lowest,
            Pick::Random(random) => entry.any_missing(random, ports, lowest),
        };
        entry.taken.insert(ordinal);
        entry.count += 1;
        Some((Taken { slot, ordinal }, entry.count))
    }

    /// Takes this very port for this destination. Returns also how many are taken now.
    pub fn take(&mut self, destination: Destination, ordinal: u32) -> (Taken, u32) {
        let slot = self.entry(destination);
        let entry = &mut self.uses[slot as usize];
        debug_assert!(!entry.taken.contains(ordinal), "a port is taken once");
        entry.taken.insert(ordinal);
        entry.count += 1;
        (Taken { slot, ordinal }, entry.count)
    }

    /// Marks a taken port as being in TIME_WAIT.
    pub fn time_wait(&mut self, taken: Taken) {
        self.uses[taken.slot as usize].time_wait += 1;
    }

    /// Gives a port back. Returns the destination and how many ports are still taken for it.
    pub fn release(&mut self, taken: Taken, time_wait: bool) -> (Destination, u32) {
        let entry = &mut self.uses[taken.slot as usize];
        debug_assert!(entry.taken.contains(taken.ordinal), "a port is given back once");
        entry.taken.remove(taken.ordinal);
        entry.count -= 1;
        entry.time_wait -= u32::from(time_wait);
        let (destination, count) = (entry.destination, entry.count);
        if count == 0 {
            let hash = self.hasher.hash_one(destination.key());
            if let Ok(found) = self.index.find_entry(hash, |&slot| slot == taken.slot) {
                found.remove();
            }
            self.free.push(taken.slot);
        }
        (destination, count)
    }

    /// Ports taken for a destination, and how many of them are in TIME_WAIT.
    pub fn count(&self, destination: &Destination) -> (u32, u32) {
        self.find(destination).map_or((0, 0), |slot| {
            let entry = &self.uses[slot as usize];
            (entry.count, entry.time_wait)
        })
    }
}

impl Use {
    /// A random free ordinal below `ports`: a few blind tries, then the next free one upwards from a random place, then
    /// the lowest. It never misses one that is free.
    fn any_missing(&self, random: u64, ports: u32, lowest: u32) -> u32 {
        let mut bits = random;
        for _ in 0..4 {
            let ordinal = (((bits & 0xffff_ffff) * u64::from(ports)) >> 32) as u32;
            if !self.taken.contains(ordinal) {
                return ordinal;
            }
            bits = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (bits >> 29);
        }
        let start = (((bits >> 32) * u64::from(ports)) >> 32) as u32;
        let upwards = self.taken.first_missing_from(start);
        if upwards < ports { upwards } else { lowest }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn destination(port: u16) -> Destination {
        Destination { endpoint: 3, address: Ipv4Addr::new(198, 51, 100, 7), port, protocol: Protocol::Tcp }
    }

    #[test]
    fn the_65th_connection_to_one_endpoint_finds_no_port_but_one_to_another_does() {
        let mut all = Destinations::default();
        for expected in 0..64 {
            let (taken, count) = all.acquire(destination(443), 64, Pick::Lowest).unwrap();
            assert_eq!((taken.ordinal, count), (expected, expected + 1));
        }
        assert!(all.acquire(destination(443), 64, Pick::Lowest).is_none());
        assert_eq!(all.acquire(destination(444), 64, Pick::Lowest).unwrap().0.ordinal, 0);
        assert_eq!(all.count(&destination(443)), (64, 0));
    }

    #[test]
    fn a_random_pick_takes_every_port_before_it_fails() {
        let mut all = Destinations::default();
        let mut seen = BTreeSet::new();
        let mut random = 1u64;
        while let Some((taken, _)) = all.acquire(destination(443), 1000, Pick::Random(random)) {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            assert!(seen.insert(taken.ordinal));
        }
        assert_eq!(seen.len(), 1000);
    }

    proptest! {
        #[test]
        fn the_lowest_missing_ordinal_is_found_at_any_size(steps in prop::collection::vec((any::<bool>(), 0u32..9000), 1..300), filled in 0u32..9000, from in 0u32..9200) {
            let mut set = OrdinalSet::Small(0);
            let mut model = BTreeSet::new();
            for ordinal in 0..filled { set.insert(ordinal); model.insert(ordinal); }
            for (insert, ordinal) in steps {
                if insert { set.insert(ordinal); model.insert(ordinal); }
                else if model.remove(&ordinal) { set.remove(ordinal); }
                let lowest = (0..).find(|o| !model.contains(o)).unwrap();
                prop_assert_eq!(set.first_missing(), lowest);
                prop_assert_eq!(set.contains(ordinal), model.contains(&ordinal));
                let upwards = (from..).find(|o| !model.contains(o)).unwrap();
                prop_assert_eq!(set.first_missing_from(from), upwards);
            }
        }
    }
}
