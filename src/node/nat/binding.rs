//! Endpoint-independent mapping: one inside address and port is one NAT IP and port, wherever its packets go.
//!
//! Google documents that a NAT IP and port may be bound to more than one inside address and port of a VM, and that a
//! packet is dropped (`ENDPOINT_INDEPENDENCE_CONFLICT`) when two of these want the same destination. Not documented is to
//! which port a newcomer is bound. Here it is the one with the fewest holders, the lowest of these or a random one; or one
//! by hash (`model.nat.endpointIndependentChoice`). A binding lives as long as one of its mappings does.

use std::hash::BuildHasher;
use std::net::Ipv4Addr;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::port_map::BitSet;
use super::usage::Pick;
use crate::wire::{FiveTuple, Protocol};

/// To which port an inside address and port is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindingChoice {
    /// One of those with the fewest holders.
    LeastLoaded,
    /// One by hash of the inside address and port.
    Hash,
}

type Inside = (Ipv4Addr, u16, Protocol);

#[derive(Debug, Clone, Copy)]
struct Binding {
    reservation: u32,
    ordinal: u32,
    mappings: u32,
}

/// How many holders each port of a reservation has, in one protocol.
#[derive(Debug, Default)]
struct Loads {
    /// By ordinal.
    holders: Vec<u32>,
    /// Level `n`: the ordinals with more than `n` holders.
    levels: Vec<BitSet>,
    /// On no level below is a port missing.
    lowest: usize,
    /// The number of ports for which that is so.
    ports: u32,
}

/// All bindings of a gateway.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    by_inside: HashMap<Inside, Binding, FixedState>,
    loads: HashMap<(u32, Protocol), Loads, FixedState>,
}

impl Loads {
    fn least_loaded(&mut self, ports: u32, pick: Pick) -> u32 {
        if self.ports != ports {
            (self.lowest, self.ports) = (0, ports);
        }
        while let Some(level) = self.levels.get(self.lowest) {
            let first = level.first_missing();
            if first < ports {
                return match pick {
                    Pick::Lowest => first,
                    Pick::Random(random) => {
                        let start = ((random >> 32) * u64::from(ports)) >> 32;
                        let upwards = level.first_missing_from(start as u32);
                        if upwards < ports { upwards } else { first }
                    }
                };
            }
            self.lowest += 1;
        }
        match pick {
            Pick::Lowest => 0,
            Pick::Random(random) => (((random >> 32) * u64::from(ports)) >> 32) as u32,
        }
    }

    fn add(&mut self, ordinal: u32) {
        if self.holders.len() <= ordinal as usize {
            self.holders.resize(ordinal as usize + 1, 0);
        }
        let holders = &mut self.holders[ordinal as usize];
        if self.levels.len() <= *holders as usize {
            self.levels.push(BitSet::default());
        }
        self.levels[*holders as usize].insert(ordinal);
        *holders += 1;
    }

    fn remove(&mut self, ordinal: u32) {
        let holders = &mut self.holders[ordinal as usize];
        *holders -= 1;
        self.levels[*holders as usize].remove(ordinal);
        self.lowest = self.lowest.min(*holders as usize);
    }
}

impl Bindings {
    /// The ordinal that this flow's inside address and port has, or would get, among `ports` ports.
    pub(super) fn ordinal(
        &mut self,
        tuple: &FiveTuple,
        reservation: u32,
        ports: u32,
        choice: BindingChoice,
        pick: Pick,
    ) -> Option<u32> {
        if ports == 0 {
            return None;
        }
        let inside = (tuple.src, tuple.src_port, tuple.protocol);
        if let Some(bound) = self.by_inside.get(&inside) {
            return Some(bound.ordinal);
        }
        Some(match choice {
            BindingChoice::Hash => {
                let hash = FixedState::default().hash_one((u32::from(tuple.src), tuple.src_port));
                (((hash >> 32) * u64::from(ports)) >> 32) as u32
            }
            BindingChoice::LeastLoaded => {
                self.loads.entry((reservation, tuple.protocol)).or_default().least_loaded(ports, pick)
            }
        })
    }

    /// A mapping has come. A second port of the same inside address and port (from the time before endpoint-independent
    /// mapping was turned on) is not bound.
    pub(super) fn add(&mut self, tuple: &FiveTuple, reservation: u32, ordinal: u32) {
        let inside = (tuple.src, tuple.src_port, tuple.protocol);
        let binding = self.by_inside.entry(inside).or_insert_with(|| {
            self.loads.entry((reservation, tuple.protocol)).or_default().add(ordinal);
            Binding { reservation, ordinal, mappings: 0 }
        });
        if (binding.reservation, binding.ordinal) == (reservation, ordinal) {
            binding.mappings += 1;
        }
    }

    /// A mapping is gone.
    pub(super) fn remove(&mut self, tuple: &FiveTuple, reservation: u32, ordinal: u32) {
        let inside = (tuple.src, tuple.src_port, tuple.protocol);
        let Some(binding) = self.by_inside.get_mut(&inside) else { return };
        if (binding.reservation, binding.ordinal) != (reservation, ordinal) {
            return;
        }
        binding.mappings -= 1;
        if binding.mappings == 0 {
            self.by_inside.remove(&inside);
            if let Some(loads) = self.loads.get_mut(&(reservation, tuple.protocol)) {
                loads.remove(ordinal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(port: u16, server: u8) -> FiveTuple {
        FiveTuple {
            src: Ipv4Addr::new(10, 8, 0, 2),
            dst: Ipv4Addr::new(198, 51, 100, server),
            src_port: port,
            dst_port: 443,
            protocol: Protocol::Tcp,
        }
    }

    #[test]
    fn newcomers_go_to_the_port_with_the_fewest_holders() {
        let mut bindings = Bindings::default();
        let mut seen = Vec::new();
        for port in 0..7 {
            let ordinal = bindings.ordinal(&tuple(port, 1), 0, 3, BindingChoice::LeastLoaded, Pick::Lowest).unwrap();
            bindings.add(&tuple(port, 1), 0, ordinal);
            seen.push(ordinal);
        }
        assert_eq!(seen, [0, 1, 2, 0, 1, 2, 0]);
        // Port 4 of the inside goes: ordinal 1 has one holder again, fewer than 0 and 2.
        bindings.remove(&tuple(4, 1), 0, 1);
        assert_eq!(bindings.ordinal(&tuple(9, 1), 0, 3, BindingChoice::LeastLoaded, Pick::Lowest), Some(1));
        // More ports: the new ones have none.
        assert_eq!(bindings.ordinal(&tuple(9, 1), 0, 5, BindingChoice::LeastLoaded, Pick::Lowest), Some(3));
        for random in [0, u64::MAX / 2, u64::MAX] {
            let pick = Pick::Random(random);
            let ordinal = bindings.ordinal(&tuple(9, 1), 0, 5, BindingChoice::LeastLoaded, pick).unwrap();
            assert!(ordinal == 3 || ordinal == 4, "{ordinal}");
        }
    }

    #[test]
    fn a_binding_holds_for_every_destination_as_long_as_one_mapping_lives() {
        let mut bindings = Bindings::default();
        let ordinal =
            |bindings: &mut Bindings, to| bindings.ordinal(&to, 0, 4, BindingChoice::LeastLoaded, Pick::Lowest);
        bindings.add(&tuple(1, 1), 0, 2);
        bindings.add(&tuple(1, 2), 0, 2);
        assert_eq!(ordinal(&mut bindings, tuple(1, 3)), Some(2));
        bindings.remove(&tuple(1, 1), 0, 2);
        assert_eq!(ordinal(&mut bindings, tuple(1, 3)), Some(2));
        bindings.remove(&tuple(1, 2), 0, 2);
        assert_eq!(ordinal(&mut bindings, tuple(1, 3)), Some(0));
        assert_eq!(bindings.ordinal(&tuple(1, 3), 0, 0, BindingChoice::LeastLoaded, Pick::Lowest), None);
    }

    #[test]
    fn a_hash_binds_without_looking_at_who_is_there() {
        let mut bindings = Bindings::default();
        let first = bindings.ordinal(&tuple(1, 1), 0, 64, BindingChoice::Hash, Pick::Lowest).unwrap();
        bindings.add(&tuple(1, 1), 0, first);
        let shares = (2..2000)
            .any(|port| bindings.ordinal(&tuple(port, 1), 0, 64, BindingChoice::Hash, Pick::Lowest) == Some(first));
        assert!(first < 64 && shares);
    }
}
