//! Which addresses of a subnet Direct VPC egress holds.
//!
//! Google documents: addresses are reserved in blocks of 16 (a /28), two for each instance at steady state, and held
//! for up to 20 minutes after an instance is gone; the first two and the last two addresses of a primary range are not
//! usable (<https://docs.cloud.google.com/run/docs/configuring/vpc-direct-vpc>, as of 2026). Whether a block belongs to a revision or to
//! the whole project is not documented; here it belongs to a workload. A /26 has 60 usable addresses: room for 30 instances.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// Google's reservation unit.
const BLOCK: u32 = 16;
const BLOCK_PREFIX: u8 = 28;
/// Addresses an instance holds: its own and one more.
pub const PER_INSTANCE: u32 = 2;

/// What one address of a subnet is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Free,
    Held,
}

/// One subnet's addresses.
#[derive(Debug)]
pub struct AddressPool {
    first: u32,
    /// By position in the range.
    addresses: Vec<Use>,
    /// Whose each block is: a workload's number.
    owners: Vec<Option<usize>>,
    /// Blocks that somebody else has an address in.
    taken: Vec<bool>,
    held: u32,
    peak: u32,
    failed_starts: u32,
}

impl AddressPool {
    /// A pool over a primary range, in which `others` (VMs, hosts) have addresses already.
    pub fn new(range: Ipv4Net, others: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        let first = u32::from(range.network());
        let count = 1u32.checked_shl(u32::from(32 - range.prefix_len())).unwrap_or(u32::MAX).min(1 << 20);
        let blocks = count.div_ceil(BLOCK) as usize;
        let mut pool = AddressPool {
            first,
            addresses: vec![Use::Free; count as usize],
            owners: vec![None; blocks],
            taken: vec![false; blocks],
            held: 0,
            peak: 0,
            failed_starts: 0,
        };
        for address in others {
            let offset = u32::from(address).wrapping_sub(first);
            if offset < count {
                pool.taken[(offset / BLOCK) as usize] = true;
            }
        }
        pool
    }

    /// Addresses held now.
    pub fn held(&self) -> u32 {
        self.held
    }

    /// Most addresses held at any time.
    pub fn peak(&self) -> u32 {
        self.peak
    }

    /// Instances that did not start.
    pub fn failed_starts(&self) -> u32 {
        self.failed_starts
    }

    /// The block that an address belongs to.
    pub fn block_of(address: Ipv4Addr) -> Ipv4Net {
        Ipv4Net::new(address, BLOCK_PREFIX).expect("the length is one of a prefix").trunc()
    }

    /// Holds the addresses of one more instance of a workload; `None` when there are not enough, and then it is counted.
    pub fn hold(&mut self, workload: usize) -> Option<[Ipv4Addr; PER_INSTANCE as usize]> {
        let mut found = Vec::with_capacity(PER_INSTANCE as usize);
        // Its own blocks first, in order; then fresh ones.
        for fresh in [false, true] {
            for block in 0..self.owners.len() {
                let eligible = match self.owners[block] {
                    Some(owner) => !fresh && owner == workload,
                    None => fresh && !self.taken[block],
                };
                if eligible {
                    found.extend(self.free_in(block).take(PER_INSTANCE as usize - found.len()));
                }
                if found.len() == PER_INSTANCE as usize {
                    break;
                }
            }
            if found.len() == PER_INSTANCE as usize {
                break;
            }
        }
        let Ok(offsets) = <[u32; PER_INSTANCE as usize]>::try_from(found) else {
            self.failed_starts += 1;
            return None;
        };
        for offset in offsets {
            self.addresses[offset as usize] = Use::Held;
            self.owners[(offset / BLOCK) as usize] = Some(workload);
        }
        self.held += PER_INSTANCE;
        self.peak = self.peak.max(self.held);
        Some(offsets.map(|offset| Ipv4Addr::from(self.first + offset)))
    }

    /// Gives addresses back; a block without any is free for others.
    pub fn release(&mut self, addresses: &[Ipv4Addr]) {
        for address in addresses {
            let offset = u32::from(*address) - self.first;
            self.addresses[offset as usize] = Use::Free;
            self.held -= 1;
            let block = (offset / BLOCK) as usize;
            let start = block * BLOCK as usize;
            let end = (start + BLOCK as usize).min(self.addresses.len());
            if self.addresses[start..end].iter().all(|address| *address == Use::Free) {
                self.owners[block] = None;
            }
        }
    }

    fn free_in(&self, block: usize) -> impl Iterator<Item = u32> + '_ {
        let count = self.addresses.len() as u32;
        let start = block as u32 * BLOCK;
        // The first two and the last two addresses of a primary range are Google's.
        (start..(start + BLOCK).min(count))
            .filter(move |&offset| offset >= 2 && offset + 2 < count)
            .filter(|&offset| self.addresses[offset as usize] == Use::Free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(range: &str) -> AddressPool {
        AddressPool::new(range.parse().unwrap(), [])
    }

    fn fill(pool: &mut AddressPool, workload: usize) -> usize {
        std::iter::from_fn(|| pool.hold(workload)).count()
    }

    #[test]
    fn usable_addresses_are_those_google_names() {
        // /26: 60, /25: 124, /24: 252; two an instance.
        for (range, instances) in [("10.9.0.0/26", 30), ("10.9.0.0/25", 62), ("10.9.0.0/24", 126)] {
            assert_eq!(fill(&mut pool(range), 0), instances, "{range}");
        }
    }

    #[test]
    fn t17_the_31st_instance_of_a_slash_26_does_not_start() {
        let mut pool = pool("10.9.0.0/26");
        (0..30).for_each(|_| _ = pool.hold(0).unwrap());
        assert_eq!((pool.hold(0), pool.failed_starts(), pool.held()), (None, 1, 60));
    }

    #[test]
    fn workloads_have_blocks_of_their_own() {
        let mut pool = pool("10.9.0.0/26");
        assert_eq!(pool.hold(0), Some([Ipv4Addr::new(10, 9, 0, 2), Ipv4Addr::new(10, 9, 0, 3)]));
        assert_eq!(pool.hold(1), Some([Ipv4Addr::new(10, 9, 0, 16), Ipv4Addr::new(10, 9, 0, 17)]));
        assert_eq!(pool.hold(0), Some([Ipv4Addr::new(10, 9, 0, 4), Ipv4Addr::new(10, 9, 0, 5)]));
    }

    #[test]
    fn a_block_with_a_vm_in_it_is_not_used_and_an_empty_one_is_free_again() {
        let mut pool = AddressPool::new("10.9.0.0/26".parse().unwrap(), [Ipv4Addr::new(10, 9, 0, 20)]);
        let own = pool.hold(0).unwrap();
        assert_eq!(pool.hold(1).unwrap()[0], Ipv4Addr::new(10, 9, 0, 32));
        pool.release(&own);
        assert_eq!(pool.hold(2).unwrap(), own);
        assert_eq!((pool.held(), pool.peak()), (4, 4));
    }
}
