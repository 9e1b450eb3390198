//! Whose port is this? From a NAT IP and port to the reservation that has it, and which of its ports it is.
//!
//! One table an address, with an entry for each run of ports as long as the smallest block on it: 1,008 for blocks of 64.

use std::net::Ipv4Addr;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::ports::PortBlock;

/// Nobody's.
const NONE: u32 = u32::MAX;
/// log2 of the number of ports of an address.
const PORT_BITS: u32 = 16;

#[derive(Debug, Clone, Copy)]
struct Owner {
    reservation: u32,
    /// Ordinal of the first port of the run.
    ordinal: u32,
}

#[derive(Debug, Clone)]
struct Address {
    /// log2 of the ports of a run.
    shift: u32,
    runs: Vec<Owner>,
}

/// The owners of all ports of all NAT IPs.
#[derive(Debug, Clone, Default)]
pub(super) struct PortOwners {
    addresses: HashMap<Ipv4Addr, Address, FixedState>,
}

impl PortOwners {
    /// A reservation has this block, whose first port has this ordinal.
    pub(super) fn set(&mut self, block: &PortBlock, reservation: u32, ordinal: u32) {
        self.fill(block, |offset| Owner { reservation, ordinal: ordinal + offset });
    }

    /// Nobody has this block any more.
    pub(super) fn clear(&mut self, block: &PortBlock) {
        self.fill(block, |_| Owner { reservation: NONE, ordinal: 0 });
    }

    /// Forgets all.
    pub(super) fn clear_all(&mut self) {
        self.addresses.clear();
    }

    /// Whether somebody has, or had, ports of this address.
    pub(super) fn know(&self, ip: Ipv4Addr) -> bool {
        self.addresses.contains_key(&ip)
    }

    /// The reservation that has a port, and the port's ordinal in it.
    #[inline]
    pub(super) fn at(&self, ip: Ipv4Addr, port: u16) -> Option<(u32, u32)> {
        let address = self.addresses.get(&ip)?;
        let port = u32::from(port);
        let owner = address.runs[(port >> address.shift) as usize];
        let within = port & ((1 << address.shift) - 1);
        (owner.reservation != NONE).then_some((owner.reservation, owner.ordinal + within))
    }

    fn fill(&mut self, block: &PortBlock, owner: impl Fn(u32) -> Owner) {
        let shift = block.size().ilog2();
        let address = self.addresses.entry(block.ip()).or_insert_with(|| {
            let nobody = Owner { reservation: NONE, ordinal: 0 };
            Address { shift, runs: vec![nobody; 1 << (PORT_BITS - shift)] }
        });
        address.refine(shift);
        let first = u32::from(block.first());
        for run in first >> address.shift..(first + block.size()) >> address.shift {
            address.runs[run as usize] = owner((run << address.shift) - first);
        }
    }
}

impl Address {
    /// Makes the runs at most `2^shift` ports long.
    fn refine(&mut self, shift: u32) {
        while self.shift > shift {
            self.shift -= 1;
            let half = 1 << self.shift;
            let split = |owner: &Owner| [*owner, Owner { ordinal: owner.ordinal + half, ..*owner }];
            self.runs = self.runs.iter().flat_map(split).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ports::PortPool;
    use super::*;

    const IP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

    #[test]
    fn each_port_of_a_block_has_its_ordinal_and_others_have_none() {
        let mut pool = PortPool::new([IP]);
        let mut owners = PortOwners::default();
        let large = pool.reserve(1024).unwrap();
        owners.set(&large, 7, 64);
        // A smaller block makes the runs shorter; what was there stays.
        let small = pool.reserve(2).unwrap();
        owners.set(&small, 8, 0);
        assert_eq!(owners.at(IP, 1024), Some((7, 64)));
        assert_eq!(owners.at(IP, 2047), Some((7, 64 + 1023)));
        assert_eq!((owners.at(IP, 2048), owners.at(IP, 2049), owners.at(IP, 2050)), (Some((8, 0)), Some((8, 1)), None));
        assert_eq!(owners.at(Ipv4Addr::new(203, 0, 113, 11), 1024), None);
        owners.clear(&large);
        assert_eq!((owners.at(IP, 1500), owners.at(IP, 2048)), (None, Some((8, 0))));
        pool.release(large);
        pool.release(small);
    }
}
