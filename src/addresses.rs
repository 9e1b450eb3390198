//! Which addresses of a subnet Direct VPC egress holds.
//!
//! Google documents: addresses are reserved in blocks of 16 (a /28), two for each instance at steady state (a task of a job
//! has one), and held for up to 20 minutes after an instance is gone (7 minutes after a task); the first two and the last two
//! addresses of a primary range are not usable (<https://docs.cloud.google.com/run/docs/configuring/vpc-direct-vpc>, as of
//! 2026). Whether a block belongs to a revision or to the whole subnet is not documented: `model.cloudRun.addressBlocks`.
//! Whole blocks are taken before those in which Google has addresses of its own, so the first instance of 10.0.1.0/24 has
//! 10.0.1.16, as one was seen to have. A /26 has 60 usable addresses: room for 30 instances.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// Google's reservation unit.
const BLOCK: u32 = 16;
const BLOCK_PREFIX: u8 = 28;
/// A pool looks at no more addresses than this: a /12.
const MOST_ADDRESSES: u32 = 1 << 20;

/// Whose a block is: a revision, or the whole subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub u32);

/// One subnet's addresses.
#[derive(Debug)]
pub struct AddressPool {
    first: u32,
    /// By position in the range.
    held: Vec<bool>,
    /// Whose each block is.
    owners: Vec<Option<Owner>>,
    /// Blocks that nobody has: first those without an address of Google's own.
    fresh: BTreeSet<(bool, u32)>,
    /// Blocks with a free address, by owner.
    with_room: HashMap<Owner, BTreeSet<u32>>,
    count: Counter,
    blocks: Counter,
    failed_starts: u32,
}

/// A number, and the highest it ever was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counter {
    /// Now.
    pub now: u32,
    /// At most.
    pub peak: u32,
}

impl Counter {
    fn add(&mut self, number: u32) {
        self.now += number;
        self.peak = self.peak.max(self.now);
    }
}

impl AddressPool {
    /// A pool over a primary range, in which `others` (VMs, hosts) have addresses already.
    pub fn new(range: Ipv4Net, others: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        let first = u32::from(range.network());
        let count = 1u32.checked_shl(u32::from(32 - range.prefix_len())).unwrap_or(u32::MAX).min(MOST_ADDRESSES);
        let blocks = count.div_ceil(BLOCK);
        let is_edge = |block| block == 0 || block == blocks - 1;
        let mut pool = AddressPool {
            first,
            held: vec![false; count as usize],
            owners: vec![None; blocks as usize],
            fresh: (0..blocks).map(|block| (is_edge(block), block)).collect(),
            with_room: HashMap::new(),
            count: Counter::default(),
            blocks: Counter::default(),
            failed_starts: 0,
        };
        for address in others {
            let offset = u32::from(address).wrapping_sub(first);
            if offset < count {
                let block = offset / BLOCK;
                pool.fresh.remove(&(is_edge(block), block));
            }
        }
        pool
    }

    /// Addresses held.
    pub fn held(&self) -> Counter {
        self.count
    }

    /// Blocks reserved.
    pub fn blocks(&self) -> Counter {
        self.blocks
    }

    /// Instances that did not start.
    pub fn failed_starts(&self) -> u32 {
        self.failed_starts
    }

    /// Counts an instance that did not start.
    pub fn count_failed_start(&mut self) {
        self.failed_starts += 1;
    }

    /// The block that an address belongs to.
    pub fn block_of(address: Ipv4Addr) -> Ipv4Net {
        Ipv4Net::new(address, BLOCK_PREFIX).expect("the length is one of a prefix").trunc()
    }

    /// Blocks that are reserved now, in the order of their addresses.
    pub fn reserved(&self) -> impl Iterator<Item = Ipv4Net> + '_ {
        let reserved = self.owners.iter().enumerate().filter(|(_, owner)| owner.is_some());
        reserved.map(|(block, _)| AddressPool::block_of((self.first + block as u32 * BLOCK).into()))
    }

    /// Holds so many addresses; `None` when there are not enough.
    pub fn hold(&mut self, owner: Owner, count: u32) -> Option<Vec<Ipv4Addr>> {
        let mut offsets = Vec::with_capacity(count as usize);
        // Its own blocks first, then fresh ones.
        let own = self.with_room.get(&owner).into_iter().flatten().copied();
        let fresh = self.fresh.iter().map(|(_, block)| *block);
        for block in own.chain(fresh) {
            offsets.extend(self.free_in(block).take(count as usize - offsets.len()));
            if offsets.len() == count as usize {
                break;
            }
        }
        if offsets.len() < count as usize {
            return None;
        }
        for &offset in &offsets {
            self.held[offset as usize] = true;
            self.reserve(offset / BLOCK, owner);
        }
        self.count.add(count);
        Some(offsets.into_iter().map(|offset| Ipv4Addr::from(self.first + offset)).collect())
    }

    fn reserve(&mut self, block: u32, owner: Owner) {
        if self.owners[block as usize].is_none() {
            self.owners[block as usize] = Some(owner);
            self.fresh.remove(&(self.is_edge(block), block));
            self.blocks.add(1);
        }
        let full = self.free_in(block).next().is_none();
        let with_room = self.with_room.entry(owner).or_default();
        if full {
            with_room.remove(&block);
        } else {
            with_room.insert(block);
        }
    }

    /// Gives addresses back; a block without any is free for others.
    pub fn release(&mut self, addresses: &[Ipv4Addr]) {
        for address in addresses {
            let offset = u32::from(*address) - self.first;
            self.held[offset as usize] = false;
            self.count.now -= 1;
            let block = offset / BLOCK;
            let Some(owner) = self.owners[block as usize] else { continue };
            let start = (block * BLOCK) as usize;
            let end = (start + BLOCK as usize).min(self.held.len());
            let with_room = self.with_room.entry(owner).or_default();
            if self.held[start..end].contains(&true) {
                with_room.insert(block);
            } else {
                with_room.remove(&block);
                self.owners[block as usize] = None;
                self.blocks.now -= 1;
                self.fresh.insert((self.is_edge(block), block));
            }
        }
    }

    /// Whether Google has addresses of its own in a block.
    fn is_edge(&self, block: u32) -> bool {
        block == 0 || block as usize == self.owners.len() - 1
    }

    fn free_in(&self, block: u32) -> impl Iterator<Item = u32> + '_ {
        let count = self.held.len() as u32;
        let start = block * BLOCK;
        // The first two and the last two addresses of a primary range are Google's.
        (start..(start + BLOCK).min(count))
            .filter(move |&offset| offset >= 2 && offset + 2 < count)
            .filter(|&offset| !self.held[offset as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Owner = Owner(0);
    const B: Owner = Owner(1);

    fn pool(range: &str) -> AddressPool {
        AddressPool::new(range.parse().unwrap(), [])
    }

    fn fill(pool: &mut AddressPool, owner: Owner) -> usize {
        std::iter::from_fn(|| pool.hold(owner, 2)).count()
    }

    fn last(held: Option<Vec<Ipv4Addr>>) -> Vec<u8> {
        held.unwrap().into_iter().map(|address| address.octets()[3]).collect()
    }

    #[test]
    fn usable_addresses_are_those_google_names() {
        // /26: 60, /25: 124, /24: 252; two an instance.
        for (range, instances) in [("10.9.0.0/26", 30), ("10.9.0.0/25", 62), ("10.9.0.0/24", 126)] {
            assert_eq!(fill(&mut pool(range), A), instances, "{range}");
        }
    }

    #[test]
    fn the_first_instance_has_the_address_that_one_was_seen_to_have() {
        // 10.0.1.16 in 10.0.1.0/24, in a lab of 2023.
        assert_eq!(pool("10.0.1.0/24").hold(A, 2).unwrap()[0], Ipv4Addr::new(10, 0, 1, 16));
    }

    #[test]
    fn t17_the_31st_instance_of_a_slash_26_does_not_start() {
        let mut pool = pool("10.9.0.0/26");
        (0..30).for_each(|_| _ = pool.hold(A, 2).unwrap());
        assert_eq!((pool.hold(A, 2), pool.held().now), (None, 60));
    }

    #[test]
    fn owners_have_blocks_of_their_own() {
        let mut pool = pool("10.9.0.0/26");
        assert_eq!(last(pool.hold(A, 2)), [16, 17]);
        assert_eq!(last(pool.hold(B, 2)), [32, 33]);
        assert_eq!(last(pool.hold(A, 2)), [18, 19]);
        assert_eq!((pool.held().now, pool.blocks().now), (6, 2));
        let reserved: Vec<_> = pool.reserved().map(|block| block.to_string()).collect();
        assert_eq!(reserved, ["10.9.0.16/28", "10.9.0.32/28"]);
    }

    #[test]
    fn a_block_with_a_vm_in_it_is_not_used_and_an_empty_one_is_free_again() {
        let mut pool = AddressPool::new("10.9.0.0/26".parse().unwrap(), [Ipv4Addr::new(10, 9, 0, 20)]);
        let own = pool.hold(A, 2).unwrap();
        // The blocks of .0 and .48 have addresses of Google's.
        assert_eq!((last(Some(own.clone())), last(pool.hold(B, 2))), (vec![32, 33], vec![2, 3]));
        pool.release(&own);
        assert_eq!(
            pool.hold(B, 13).unwrap()[12],
            Ipv4Addr::new(10, 9, 0, 32),
            "12 more of its own block, then a fresh one"
        );
        assert_eq!((pool.held(), pool.blocks()), (Counter { now: 15, peak: 15 }, Counter { now: 2, peak: 2 }));
    }

    #[test]
    fn what_cannot_be_held_whole_is_not_held_in_part() {
        let mut pool = pool("10.9.0.0/29");
        assert_eq!(last(pool.hold(A, 3)), [2, 3, 4]);
        assert_eq!((pool.hold(A, 2), pool.held().now), (None, 3));
        assert_eq!(last(pool.hold(A, 1)), [5]);
    }
}
