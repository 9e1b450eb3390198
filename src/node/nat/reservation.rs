//! A reservation: the ports that one endpoint has under one NAT rule.
//!
//! It is made of blocks. Ordinals count through them in order, so the ports of a block that is added come after all others,
//! and blocks are given back from the end. Blocks on NAT IPs that are being drained form a reservation of their own,
//! from which nothing new is taken.

use std::net::Ipv4Addr;

use super::ports::{Excess, PortBlock, excess};
use crate::time::SimTime;

/// The largest number of connections to one destination, kept up to date as counts go up and down by one.
#[derive(Debug, Clone, Default)]
pub(super) struct Peak {
    /// How many destinations have `n + 1` connections.
    destinations_with: Vec<u32>,
    now: u32,
}

impl Peak {
    /// A destination went from `count - 1` to `count`.
    pub(super) fn rose_to(&mut self, count: u32) {
        let count = count as usize;
        if self.destinations_with.len() < count {
            self.destinations_with.resize(count, 0);
        }
        if count > 1 {
            self.destinations_with[count - 2] -= 1;
        }
        self.destinations_with[count - 1] += 1;
        self.now = self.now.max(count as u32);
    }

    /// A destination went from `count + 1` to `count`.
    pub(super) fn fell_to(&mut self, count: u32) {
        let count = count as usize;
        self.destinations_with[count] -= 1;
        if count > 0 {
            self.destinations_with[count - 1] += 1;
        }
        // Whoever was at the peak alone is now one below it.
        if self.now as usize == count + 1 && self.destinations_with[count] == 0 {
            self.now = count as u32;
        }
    }

    pub(super) fn now(&self) -> u32 {
        self.now
    }
}

/// A doubling that has been asked for and is not usable yet.
#[derive(Debug)]
pub(super) struct Growth {
    pub(super) ready_at: SimTime,
    pub(super) blocks: Vec<PortBlock>,
}

/// A block and how many mappings have a port of it.
#[derive(Debug)]
pub(super) struct HeldBlock {
    pub(super) block: PortBlock,
    in_use: u32,
}

/// The ports of one endpoint under one rule.
#[derive(Debug, Default)]
pub struct Reservation {
    pub(super) blocks: Vec<HeldBlock>,
    pub(super) ports: u32,
    peak_ports: u32,
    pub(super) peaks: [Peak; 3],
    pub(super) peak_usage: u32,
    pub(super) growth: Option<Growth>,
    pub(super) wants_growth: bool,
    /// Since when usage has been low enough to shrink.
    pub(super) idle_since: Option<SimTime>,
}

impl Reservation {
    /// Its blocks, in order of ordinals.
    pub fn blocks(&self) -> impl Iterator<Item = &PortBlock> {
        self.blocks.iter().map(|held| &held.block)
    }

    /// Ports in all blocks.
    pub fn ports(&self) -> u32 {
        self.ports
    }

    /// Most ports at any time.
    pub fn peak_ports(&self) -> u32 {
        self.peak_ports
    }

    /// Most connections to one destination, TIME_WAIT included, at any time.
    pub fn peak_usage(&self) -> u32 {
        self.peak_usage
    }

    /// Most connections to one destination now.
    pub(super) fn max_usage(&self) -> u32 {
        self.peaks.iter().map(Peak::now).max().unwrap_or(0)
    }

    pub(super) fn add_block(&mut self, block: PortBlock) {
        self.ports += block.size();
        self.peak_ports = self.peak_ports.max(self.ports);
        self.blocks.push(HeldBlock { block, in_use: 0 });
    }

    /// Takes out the last block, if there is one and it can go: at least `floor` ports stay, and no mapping may have a port of
    /// it.
    pub(super) fn pop_idle_block(&mut self, floor: u32) -> Option<PortBlock> {
        let last = self.blocks.last()?;
        let goes = last.in_use == 0 && excess(self.ports, last.block.size(), floor) == Some(Excess::Block);
        goes.then(|| self.pop_block())?
    }

    fn pop_block(&mut self) -> Option<PortBlock> {
        let block = self.blocks.pop()?.block;
        self.ports -= block.size();
        Some(block)
    }

    /// Takes out the last block, or the upper half of it, whoever uses its ports, if at least `floor` ports stay. How many
    /// mappings have a port of what is left is to be counted anew.
    pub(super) fn cut_block(&mut self, floor: u32) -> Option<PortBlock> {
        let last = self.blocks.last_mut()?;
        match excess(self.ports, last.block.size(), floor)? {
            Excess::Block => self.pop_block(),
            Excess::Half => {
                let half = last.block.halve();
                self.ports -= half.size();
                Some(half)
            }
        }
    }

    /// Takes out all blocks.
    pub(super) fn take_blocks(&mut self) -> Vec<PortBlock> {
        self.ports = 0;
        self.blocks.drain(..).map(|held| held.block).collect()
    }

    /// A mapping takes the port with this ordinal: its NAT IP and number.
    #[inline]
    pub(super) fn use_port(&mut self, ordinal: u32) -> (Ipv4Addr, u16) {
        let mut rest = ordinal;
        for held in &mut self.blocks {
            if rest < held.block.size() {
                held.in_use += 1;
                return (held.block.ip(), held.block.first() + rest as u16);
            }
            rest -= held.block.size();
        }
        unreachable!("ordinals count through the reservation's own blocks")
    }

    /// A mapping gives the port with this ordinal back.
    #[inline]
    pub(super) fn unuse_port(&mut self, ordinal: u32) {
        let mut rest = ordinal;
        for held in &mut self.blocks {
            if rest < held.block.size() {
                held.in_use -= 1;
                return;
            }
            rest -= held.block.size();
        }
    }

    /// Forgets who uses what, to be counted anew.
    pub(super) fn clear_usage(&mut self) {
        self.peaks = Default::default();
        self.blocks.iter_mut().for_each(|held| held.in_use = 0);
    }

    /// Mappings with a port of a block, by block. For tests.
    #[cfg(test)]
    pub(super) fn in_use(&self) -> Vec<u32> {
        self.blocks.iter().map(|held| held.in_use).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_peak_follows_counts_up_and_down(steps in prop::collection::vec((any::<bool>(), 0usize..5), 1..300)) {
            let mut peak = Peak::default();
            let mut counts = [0u32; 5];
            for (up, destination) in steps {
                if up {
                    counts[destination] += 1;
                    peak.rose_to(counts[destination]);
                } else if counts[destination] > 0 {
                    counts[destination] -= 1;
                    peak.fell_to(counts[destination]);
                }
                prop_assert_eq!(peak.now(), *counts.iter().max().unwrap());
            }
        }
    }
}
