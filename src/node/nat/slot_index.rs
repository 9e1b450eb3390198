//! An index from hashes to slots of a slab: open addressing with linear probing.
//!
//! A general hash table keeps its control bytes apart from its entries, so that each new entry touches two far places in
//! memory. With a million mappings that is most of what a new one costs. Here hash and slot stand together in eight bytes,
//! and looking in vain and inserting touch the same cache line. The 32 bits of hash make a look at the slab for nothing rare,
//! and growth and removal need no look at all. Growing by half keeps a table between 50 and 75 % full: 11 to 16 bytes
//! an entry. There are 64 tables by the first bits of the hash, so that none is large when it grows, and what one leaves
//! behind is soon used by another.

const EMPTY: u64 = u64::MAX;
const MIN_CAPACITY: usize = 16;
/// log2 of the number of tables.
const TABLE_BITS: u32 = 6;

/// Slots by hash.
#[derive(Debug, Clone, Default)]
pub(super) struct SlotIndex {
    /// None as long as nothing was ever inserted.
    tables: Vec<Table>,
}

#[derive(Debug, Clone, Default)]
struct Table {
    /// Hash in the upper half, slot in the lower.
    entries: Vec<u64>,
    len: usize,
}

const fn hash_of(entry: u64) -> u32 {
    (entry >> 32) as u32
}

const fn slot_of(entry: u64) -> u32 {
    entry as u32
}

impl SlotIndex {
    /// How many slots it has.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.tables.iter().map(|table| table.len).sum()
    }

    /// The slot with this hash that `is_it`.
    #[inline]
    pub(super) fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.tables.get(table_of(hash))?.find(hash, is_it)
    }

    /// Adds a slot, below `u32::MAX`.
    #[inline]
    pub(super) fn insert(&mut self, hash: u32, slot: u32) {
        if self.tables.is_empty() {
            self.tables.resize(1 << TABLE_BITS, Table::default());
        }
        self.tables[table_of(hash)].insert(hash, slot);
    }

    /// Removes a slot, if it is there.
    pub(super) fn remove(&mut self, hash: u32, slot: u32) -> bool {
        self.tables.get_mut(table_of(hash)).is_some_and(|table| table.remove(hash, slot))
    }
}

const fn table_of(hash: u32) -> usize {
    (hash >> (32 - TABLE_BITS)) as usize
}

impl Table {
    /// Where the search for a hash begins. Places are in the order of hashes, so that a larger table is filled from front
    /// to back.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        let within = hash << TABLE_BITS;
        ((u64::from(within) * self.entries.len() as u64) >> 32) as usize
    }

    #[inline]
    fn after(&self, place: usize) -> usize {
        if place + 1 == self.entries.len() { 0 } else { place + 1 }
    }

    #[inline]
    fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        if self.entries.is_empty() {
            return None;
        }
        let mut place = self.home(hash);
        loop {
            let entry = self.entries[place];
            if entry == EMPTY {
                return None;
            }
            if hash_of(entry) == hash && is_it(slot_of(entry)) {
                return Some(slot_of(entry));
            }
            place = self.after(place);
        }
    }

    #[inline]
    fn insert(&mut self, hash: u32, slot: u32) {
        if (self.len + 1) * 4 > self.entries.len() * 3 {
            self.grow();
        }
        self.put(u64::from(hash) << 32 | u64::from(slot));
        self.len += 1;
    }

    #[inline]
    fn put(&mut self, entry: u64) {
        let mut place = self.home(hash_of(entry));
        while self.entries[place] != EMPTY {
            place = self.after(place);
        }
        self.entries[place] = entry;
    }

    #[cold]
    fn grow(&mut self) {
        let capacity = (self.entries.len() * 3 / 2).max(MIN_CAPACITY);
        let old = std::mem::replace(&mut self.entries, vec![EMPTY; capacity]);
        old.into_iter().filter(|&entry| entry != EMPTY).for_each(|entry| self.put(entry));
    }

    fn remove(&mut self, hash: u32, slot: u32) -> bool {
        if self.entries.is_empty() {
            return false;
        }
        let wanted = u64::from(hash) << 32 | u64::from(slot);
        let mut gap = self.home(hash);
        while self.entries[gap] != wanted {
            if self.entries[gap] == EMPTY {
                return false;
            }
            gap = self.after(gap);
        }
        // What follows moves up, so that no search ends at the gap too early.
        let mut place = gap;
        loop {
            place = self.after(place);
            let entry = self.entries[place];
            if entry == EMPTY {
                break;
            }
            let home = self.home(hash_of(entry));
            let may_move = if gap <= place { home <= gap || home > place } else { home <= gap && home > place };
            if may_move {
                self.entries[gap] = entry;
                gap = place;
            }
        }
        self.entries[gap] = EMPTY;
        self.len -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Hashes are drawn from few values, at both ends of the table and in clusters, so that searches wrap and overlap.
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((any::<bool>(), 0u32..40, 0u32..6), 1..400)) {
            let mut index = SlotIndex::default();
            let mut model: BTreeMap<u32, u32> = BTreeMap::new();
            for (insert, slot, hash) in steps {
                let hash = [0, 1, u32::MAX, u32::MAX - 1, 1 << 31, (1 << 31) + 1][hash as usize];
                if insert && !model.contains_key(&slot) {
                    index.insert(hash, slot);
                    model.insert(slot, hash);
                } else if let Some(known) = model.remove(&slot) {
                    prop_assert!(index.remove(known, slot));
                    prop_assert!(!index.remove(known, slot));
                }
                prop_assert_eq!(index.len(), model.len());
                for (&slot, &hash) in &model {
                    prop_assert_eq!(index.find(hash, |found| found == slot), Some(slot));
                }
                prop_assert_eq!(index.find(hash, |found| found == 1000), None);
            }
        }
    }
}
