//! Which ports of a reservation are taken for one destination, and which mapping has each.
//!
//! Ports are counted through as *ordinals* 0, 1, 2, … over a reservation's blocks. Finding a free one takes the same few
//! steps whether none or all but one are taken, and so does finding that there is none. Most destinations hold one
//! connection, some a handful, a few tens of thousands; so there are four forms, and a map changes from one to the next
//! as it grows:
//!
//! ```text
//!   One        a single ordinal, inline            no memory of its own
//!   Few        ordinals 0 to 7                     32 bytes
//!   Dense      0 to n, and a bit set over them     4.1 bytes an ordinal
//!   Scattered  any, while fewer than a quarter     a hash table: random port selection,
//!              of those up to the highest are      one connection left of many
//!              taken
//! ```

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// No mapping.
const NIL: u32 = u32::MAX;
/// Ordinals of a [`PortMap::Few`].
const FEW: usize = 8;
/// Up to so many ordinals, a dense map is small enough however few are taken.
const SMALL: u32 = 64;
/// A dense map is worth it when one in so many ordinals is taken.
const SPARSE: u32 = 4;

/// Taken ordinals and the mappings that have them.
#[derive(Debug, Clone)]
pub(super) enum PortMap {
    None,
    One { ordinal: u32, holder: u32 },
    Few(Box<[u32; FEW]>),
    Dense(Box<Dense>),
    Scattered(Box<Scattered>),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Dense {
    /// By ordinal.
    holders: Vec<u32>,
    taken: BitSet,
    count: u32,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Scattered {
    holders: HashMap<u32, u32, FixedState>,
    /// All below are taken.
    lowest: u32,
    /// The highest that was ever taken.
    highest: u32,
}

/// A set of ordinals that finds the lowest one missing in constant time: words, a bit for each full word, and a bit for
/// each 64 full words. Up to 2^18 ordinals.
#[derive(Debug, Clone, Default)]
pub(super) struct BitSet {
    words: Vec<u64>,
    full: Vec<u64>,
    all_full: u64,
}

impl BitSet {
    pub(super) fn first_missing(&self) -> u32 {
        let group = (!self.all_full).trailing_zeros() as usize;
        let word = match self.full.get(group) {
            Some(full) => group * 64 + (!full).trailing_zeros() as usize,
            None => group * 64,
        };
        let ordinal = match self.words.get(word) {
            Some(bits) => word * 64 + (!bits).trailing_zeros() as usize,
            None => word * 64,
        };
        ordinal as u32
    }

    /// The same from `ordinal` on.
    pub(super) fn first_missing_from(&self, ordinal: u32) -> u32 {
        let at = ordinal as usize;
        let bits_from = |bits: u64, bit: usize| !bits >> bit << bit;
        let Some(&bits) = self.words.get(at / 64) else { return ordinal };
        let free = bits_from(bits, at % 64);
        if free != 0 {
            return ordinal / 64 * 64 + free.trailing_zeros();
        }
        let next = at / 64 + 1;
        let words_free = |group: usize, from: usize| bits_from(self.full.get(group).copied().unwrap_or(0), from);
        let (mut group, mut free) = (next / 64, words_free(next / 64, next % 64));
        while free == 0 {
            group += 1;
            free = words_free(group, 0);
        }
        let word = group * 64 + free.trailing_zeros() as usize;
        let bit = self.words.get(word).map_or(0, |bits| (!bits).trailing_zeros());
        word as u32 * 64 + bit
    }

    pub(super) fn insert(&mut self, ordinal: u32) {
        let (word, group) = (ordinal as usize / 64, ordinal as usize / 4096);
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

    pub(super) fn remove(&mut self, ordinal: u32) {
        let (word, group) = (ordinal as usize / 64, ordinal as usize / 4096);
        self.words[word] &= !(1 << (ordinal % 64));
        self.full[group] &= !(1 << (word % 64));
        self.all_full &= !(1 << group);
    }
}

impl Dense {
    fn insert(&mut self, ordinal: u32, holder: u32) {
        if self.holders.len() <= ordinal as usize {
            self.holders.resize(ordinal as usize + 1, NIL);
        }
        self.holders[ordinal as usize] = holder;
        self.taken.insert(ordinal);
        self.count += 1;
    }
}

impl Scattered {
    fn insert(&mut self, ordinal: u32, holder: u32) {
        self.holders.insert(ordinal, holder);
        self.highest = self.highest.max(ordinal);
    }
}

impl PortMap {
    /// How many ordinals are taken.
    #[inline]
    pub(super) fn len(&self) -> u32 {
        match self {
            PortMap::None => 0,
            PortMap::One { .. } => 1,
            PortMap::Few(holders) => holders.iter().filter(|&&holder| holder != NIL).count() as u32,
            PortMap::Dense(dense) => dense.count,
            PortMap::Scattered(scattered) => scattered.holders.len() as u32,
        }
    }

    /// Who has this ordinal.
    #[inline]
    pub(super) fn holder(&self, ordinal: u32) -> Option<u32> {
        let holder = match self {
            PortMap::None => NIL,
            PortMap::One { ordinal: taken, holder } if *taken == ordinal => *holder,
            PortMap::One { .. } => NIL,
            PortMap::Few(holders) => holders.get(ordinal as usize).copied().unwrap_or(NIL),
            PortMap::Dense(dense) => dense.holders.get(ordinal as usize).copied().unwrap_or(NIL),
            PortMap::Scattered(scattered) => scattered.holders.get(&ordinal).copied().unwrap_or(NIL),
        };
        (holder != NIL).then_some(holder)
    }

    /// The lowest free ordinal.
    #[inline]
    pub(super) fn first_missing(&mut self) -> u32 {
        match self {
            PortMap::None => 0,
            PortMap::One { ordinal, .. } => u32::from(*ordinal == 0),
            PortMap::Few(holders) => holders.iter().position(|&holder| holder == NIL).unwrap_or(FEW) as u32,
            PortMap::Dense(dense) => dense.taken.first_missing(),
            PortMap::Scattered(scattered) => {
                while scattered.holders.contains_key(&scattered.lowest) {
                    scattered.lowest += 1;
                }
                scattered.lowest
            }
        }
    }

    /// The lowest free ordinal from `ordinal` on.
    pub(super) fn first_missing_from(&self, ordinal: u32) -> u32 {
        match self {
            PortMap::Dense(dense) => dense.taken.first_missing_from(ordinal),
            _ => (ordinal..).find(|&ordinal| self.holder(ordinal).is_none()).expect("not all of 2^32 are taken"),
        }
    }

    /// Takes a free ordinal for a mapping.
    pub(super) fn insert(&mut self, ordinal: u32, holder: u32) {
        match self {
            PortMap::None => *self = PortMap::One { ordinal, holder },
            PortMap::Few(holders) if (ordinal as usize) < FEW => holders[ordinal as usize] = holder,
            // Once there is memory for an ordinal it is used: a map never goes back and forth between two forms.
            PortMap::Dense(dense) if (ordinal as usize) < dense.holders.len() || is_dense(ordinal, dense.count + 1) => {
                dense.insert(ordinal, holder);
            }
            PortMap::Scattered(scattered) => {
                scattered.insert(ordinal, holder);
                if is_dense(scattered.highest, scattered.holders.len() as u32) {
                    self.change_form();
                }
            }
            PortMap::One { .. } | PortMap::Few(_) | PortMap::Dense(_) => {
                let highest = self.iter().map(|(taken, _)| taken).max().unwrap_or(0).max(ordinal);
                let count = self.len() + 1;
                let before = std::mem::replace(
                    self,
                    match (highest as usize) < FEW {
                        true => PortMap::Few(Box::new([NIL; FEW])),
                        false if is_dense(highest, count) => PortMap::Dense(Box::default()),
                        false => PortMap::Scattered(Box::default()),
                    },
                );
                before.iter().for_each(|(taken, by)| self.put(taken, by));
                self.put(ordinal, holder);
            }
        }
    }

    /// Inserts without a change of form.
    fn put(&mut self, ordinal: u32, holder: u32) {
        match self {
            PortMap::None | PortMap::One { .. } => *self = PortMap::One { ordinal, holder },
            PortMap::Few(holders) => holders[ordinal as usize] = holder,
            PortMap::Dense(dense) => dense.insert(ordinal, holder),
            PortMap::Scattered(scattered) => scattered.insert(ordinal, holder),
        }
    }

    /// From scattered to dense.
    fn change_form(&mut self) {
        let before = std::mem::replace(self, PortMap::Dense(Box::default()));
        before.iter().for_each(|(ordinal, holder)| self.put(ordinal, holder));
    }

    /// Gives an ordinal back.
    pub(super) fn remove(&mut self, ordinal: u32) {
        match self {
            PortMap::None => {}
            PortMap::One { .. } => *self = PortMap::None,
            PortMap::Few(holders) => holders[ordinal as usize] = NIL,
            PortMap::Dense(dense) => {
                dense.holders[ordinal as usize] = NIL;
                dense.taken.remove(ordinal);
                dense.count -= 1;
            }
            PortMap::Scattered(scattered) => {
                scattered.holders.remove(&ordinal);
                scattered.lowest = scattered.lowest.min(ordinal);
            }
        }
    }

    /// All taken ordinals and who has them, in no particular order.
    fn iter(&self) -> Box<dyn Iterator<Item = (u32, u32)> + '_> {
        match self {
            PortMap::None => Box::new(std::iter::empty()),
            PortMap::One { ordinal, holder } => Box::new(std::iter::once((*ordinal, *holder))),
            PortMap::Few(holders) => Box::new(by_ordinal(&holders[..])),
            PortMap::Dense(dense) => Box::new(by_ordinal(&dense.holders)),
            PortMap::Scattered(scattered) => Box::new(scattered.holders.iter().map(|(&ordinal, &by)| (ordinal, by))),
        }
    }
}

fn by_ordinal(holders: &[u32]) -> impl Iterator<Item = (u32, u32)> + '_ {
    let all = holders.iter().enumerate().map(|(ordinal, &holder)| (ordinal as u32, holder));
    all.filter(|&(_, holder)| holder != NIL)
}

/// Whether `count` ordinals up to `highest` are worth a dense map.
fn is_dense(highest: u32, count: u32) -> bool {
    highest < SMALL.max(count.saturating_mul(SPARSE))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn any_ordinal() -> impl Strategy<Value = u32> {
        prop_oneof![4 => 0u32..12, 4 => 0u32..200, 2 => 0u32..65_536]
    }

    proptest! {
        /// Whatever the form, it is a map from ordinals to holders that knows its lowest gap.
        #[test]
        fn a_port_map_is_a_map(steps in prop::collection::vec((0u8..4, any_ordinal()), 1..400), filled in 0u32..300) {
            let mut map = PortMap::None;
            let mut model = BTreeMap::new();
            for ordinal in 0..filled {
                map.insert(ordinal, ordinal + 7);
                model.insert(ordinal, ordinal + 7);
            }
            for (step, ordinal) in steps {
                if step == 0 && model.remove(&ordinal).is_some() {
                    map.remove(ordinal);
                } else if let std::collections::btree_map::Entry::Vacant(free) = model.entry(ordinal) {
                    free.insert(ordinal + 9);
                    map.insert(ordinal, ordinal + 9);
                }
                let lowest = (0..).find(|o| !model.contains_key(o)).unwrap();
                prop_assert_eq!(map.first_missing(), lowest);
                let upwards = (ordinal..).find(|o| !model.contains_key(o)).unwrap();
                prop_assert_eq!(map.first_missing_from(ordinal), upwards);
                prop_assert_eq!(map.holder(ordinal), model.get(&ordinal).copied());
                prop_assert_eq!(map.len() as usize, model.len());
            }
            let all: BTreeMap<_, _> = map.iter().collect();
            prop_assert_eq!(all, model);
        }

        #[test]
        fn the_lowest_missing_ordinal_is_found_at_any_size(steps in prop::collection::vec((any::<bool>(), 0u32..9000), 1..300), filled in 0u32..9000, from in 0u32..9200) {
            let mut set = BitSet::default();
            let mut model = BTreeSet::new();
            for ordinal in 0..filled { set.insert(ordinal); model.insert(ordinal); }
            for (insert, ordinal) in steps {
                if insert { set.insert(ordinal); model.insert(ordinal); }
                else if model.remove(&ordinal) { set.remove(ordinal); }
                let lowest = (0..).find(|o| !model.contains(o)).unwrap();
                prop_assert_eq!(set.first_missing(), lowest);
                let upwards = (from..).find(|o| !model.contains(o)).unwrap();
                prop_assert_eq!(set.first_missing_from(from), upwards);
            }
        }
    }

    #[test]
    fn a_single_high_port_takes_no_memory_for_those_below() {
        let mut map = PortMap::None;
        map.insert(60_000, 1);
        map.insert(3, 2);
        assert!(matches!(map, PortMap::Scattered(_)));
        assert_eq!((map.holder(60_000), map.holder(3), map.first_missing()), (Some(1), Some(2), 0));
    }
}
