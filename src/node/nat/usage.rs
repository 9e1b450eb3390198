//! Which ports are taken, destination by destination.
//!
//! The limit of Cloud NAT is per destination 3-tuple: the same NAT IP and port serve any number of connections as long as
//! their destinations differ. So each (reservation, destination) has a `PortMap` of its own, from the ordinals of the
//! reservation's ports to the mappings that have them. That is also how a packet from outside finds its mapping: NAT IP
//! and port lead to the reservation and the ordinal, and the sender is the destination.

use std::hash::BuildHasher;
use std::net::Ipv4Addr;

use foldhash::fast::FixedState;

use super::port_map::PortMap;
use super::slab::Slab;
use super::slot_index::SlotIndex;
use crate::wire::{FiveTuple, Protocol};

/// A destination 3-tuple as seen from the ports of one reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Destination {
    /// Whose ports.
    pub reservation: u32,
    /// Destination address.
    pub address: Ipv4Addr,
    /// Destination port; 0 for ICMP.
    pub port: u16,
    /// Protocol.
    pub protocol: Protocol,
}

impl Destination {
    /// Where a packet goes that leaves by a port of that reservation.
    pub fn of(reservation: u32, tuple: &FiveTuple) -> Destination {
        Destination { reservation, address: tuple.dst, port: tuple.dst_port, protocol: tuple.protocol }
    }

    fn key(&self) -> u128 {
        u128::from(self.reservation) << 64
            | u128::from(u32::from(self.address)) << 32
            | u128::from(self.port) << 8
            | u128::from(self.protocol.number())
    }
}

/// What one reservation uses towards one destination.
#[derive(Debug, Clone)]
struct Use {
    destination: Destination,
    time_wait: u32,
    ports: PortMap,
}

/// How the next port is chosen among the free ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// The lowest.
    Lowest,
    /// Any; the number is random.
    Random(u64),
}

/// A taken port: which destination's, and which ordinal of the reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Position of the destination.
    pub slot: u32,
    /// Which of the reservation's ports.
    pub ordinal: u32,
}

/// All destinations of all reservations.
#[derive(Debug, Clone, Default)]
pub struct Destinations {
    uses: Slab<Use>,
    free: Vec<u32>,
    index: SlotIndex,
    hasher: FixedState,
}

impl Destinations {
    #[inline]
    fn find(&self, destination: &Destination) -> Option<u32> {
        self.index.find(self.hash(destination), |slot| self.uses[slot].destination == *destination)
    }

    #[inline]
    fn hash(&self, destination: &Destination) -> u32 {
        (self.hasher.hash_one(destination.key()) >> 32) as u32
    }

    /// The position of a destination, made if there is none.
    #[inline]
    fn entry(&mut self, destination: Destination) -> u32 {
        let hash = self.hash(&destination);
        let known = self.index.find(hash, |slot| self.uses[slot].destination == destination);
        known.unwrap_or_else(|| self.insert(destination, hash))
    }

    fn insert(&mut self, destination: Destination, hash: u32) -> u32 {
        let fresh = Use { destination, time_wait: 0, ports: PortMap::None };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.uses[slot] = fresh;
                slot
            }
            None => self.uses.push(fresh),
        };
        self.index.insert(hash, slot);
        slot
    }

    /// Chooses a free one of `ports` ports for this destination; `None` when all are taken. To be taken with
    /// [`Destinations::take`].
    #[inline]
    pub fn choose(&mut self, destination: Destination, ports: u32, pick: Pick) -> Option<Taken> {
        if ports == 0 {
            return None;
        }
        let slot = self.entry(destination);
        let entry = &mut self.uses[slot];
        let lowest = entry.ports.first_missing();
        if lowest >= ports {
            return None;
        }
        let ordinal = match pick {
            Pick::Lowest => lowest,
            Pick::Random(random) => entry.any_missing(random, ports, lowest),
        };
        Some(Taken { slot, ordinal })
    }

    /// This very port for this destination, if it is free.
    pub fn this_one(&mut self, destination: Destination, ordinal: u32) -> Option<Taken> {
        let slot = self.entry(destination);
        self.uses[slot].ports.holder(ordinal).is_none().then_some(Taken { slot, ordinal })
    }

    /// Takes a free port for a mapping. Returns how many are taken for its destination now.
    #[inline]
    pub fn take(&mut self, taken: Taken, holder: u32) -> u32 {
        let entry = &mut self.uses[taken.slot];
        debug_assert!(entry.ports.holder(taken.ordinal).is_none(), "a port is taken once");
        entry.ports.insert(taken.ordinal, holder);
        entry.ports.len()
    }

    /// The mapping that has this port for this destination.
    #[inline]
    pub fn holder(&self, destination: &Destination, ordinal: u32) -> Option<u32> {
        self.uses[self.find(destination)?].ports.holder(ordinal)
    }

    /// Marks a taken port as being in TIME_WAIT.
    pub fn time_wait(&mut self, taken: Taken) {
        self.uses[taken.slot].time_wait += 1;
    }

    /// Gives a port back. Returns how many ports are still taken for its destination.
    pub fn release(&mut self, taken: Taken, time_wait: bool) -> u32 {
        let entry = &mut self.uses[taken.slot];
        debug_assert!(entry.ports.holder(taken.ordinal).is_some(), "a port is given back once");
        entry.ports.remove(taken.ordinal);
        entry.time_wait -= u32::from(time_wait);
        let count = entry.ports.len();
        if count == 0 {
            self.forget(taken.slot);
        }
        count
    }

    /// Forgets a destination for which no port is taken.
    fn forget(&mut self, slot: u32) {
        let entry = &mut self.uses[slot];
        entry.ports = PortMap::None;
        let destination = entry.destination;
        if self.index.remove(self.hash(&destination), slot) {
            self.free.push(slot);
        }
    }

    /// Ports taken for a destination, and how many of them are in TIME_WAIT.
    pub fn count(&self, destination: &Destination) -> (u32, u32) {
        self.find(destination).map_or((0, 0), |slot| {
            let entry = &self.uses[slot];
            (entry.ports.len(), entry.time_wait)
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
            if self.ports.holder(ordinal).is_none() {
                return ordinal;
            }
            bits = bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (bits >> 29);
        }
        let start = (((bits >> 32) * u64::from(ports)) >> 32) as u32;
        let upwards = self.ports.first_missing_from(start);
        if upwards < ports { upwards } else { lowest }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn destination(port: u16) -> Destination {
        Destination { reservation: 3, address: Ipv4Addr::new(198, 51, 100, 7), port, protocol: Protocol::Tcp }
    }

    fn acquire(all: &mut Destinations, port: u16, ports: u32, pick: Pick) -> Option<(Taken, u32)> {
        let taken = all.choose(destination(port), ports, pick)?;
        Some((taken, all.take(taken, taken.ordinal + 100)))
    }

    #[test]
    fn the_65th_connection_to_one_endpoint_finds_no_port_but_one_to_another_does() {
        let mut all = Destinations::default();
        for expected in 0..64 {
            let (taken, count) = acquire(&mut all, 443, 64, Pick::Lowest).unwrap();
            assert_eq!((taken.ordinal, count), (expected, expected + 1));
        }
        assert!(acquire(&mut all, 443, 64, Pick::Lowest).is_none());
        assert_eq!(acquire(&mut all, 444, 64, Pick::Lowest).unwrap().0.ordinal, 0);
        assert_eq!(all.count(&destination(443)), (64, 0));
        assert_eq!(all.holder(&destination(443), 63), Some(163));
        assert_eq!(all.holder(&destination(445), 0), None);
    }

    #[test]
    fn a_destination_without_a_port_in_use_is_forgotten() {
        let mut all = Destinations::default();
        let (taken, _) = acquire(&mut all, 443, 64, Pick::Lowest).unwrap();
        all.time_wait(taken);
        assert_eq!(all.count(&destination(443)), (1, 1));
        assert_eq!(all.release(taken, true), 0);
        assert_eq!((all.count(&destination(443)), all.index.len(), all.free.len()), ((0, 0), 0, 1));
    }

    #[test]
    fn a_random_pick_takes_every_port_before_it_fails() {
        let mut all = Destinations::default();
        let mut seen = BTreeSet::new();
        let mut random = 1u64;
        while let Some((taken, _)) = acquire(&mut all, 443, 1000, Pick::Random(random)) {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            assert!(seen.insert(taken.ordinal));
        }
        assert_eq!(seen.len(), 1000);
    }

    #[test]
    fn a_destination_with_one_connection_takes_32_bytes() {
        assert_eq!(size_of::<Use>(), 32);
    }
}
