//! Source ports of the instances that stand for captured clients.

use std::hash::Hash;
use std::net::Ipv6Addr;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::wire::{FiveTuple, Flow};

/// Source ports in use by the instances, for each destination: several clients may share an instance and use the same
/// ports.
#[derive(Debug, Default)]
pub(super) struct InsidePorts {
    v4: Ports<u128>,
    v6: Ports<FiveTuple<Ipv6Addr>>,
}

impl InsidePorts {
    /// Takes this flow's source port or the next one that is free; when none is, the port is shared.
    pub(super) fn take(&mut self, flow: Flow) -> u16 {
        match flow {
            Flow::V4(tuple) => self.v4.take(tuple.src_port, |word| FiveTuple { src_port: word, ..tuple }.key()),
            Flow::V6(tuple) => self.v6.take(tuple.src_port, |word| FiveTuple { src_port: word, ..tuple }),
        }
    }

    pub(super) fn release(&mut self, flow: Flow) {
        match flow {
            Flow::V4(tuple) => {
                self.v4.release(tuple.src_port, FiveTuple { src_port: tuple.src_port / 64, ..tuple }.key());
            }
            Flow::V6(tuple) => {
                self.v6.release(tuple.src_port, FiveTuple { src_port: tuple.src_port / 64, ..tuple });
            }
        }
    }
}

/// Ports taken, in words of 64: many clients in step leave long runs of them, so as many are looked at in one go. The key of
/// a word is a flow with the word's number for a source port.
#[derive(Debug)]
struct Ports<K>(HashMap<K, u64, FixedState>);

impl<K> Default for Ports<K> {
    fn default() -> Self {
        Ports(HashMap::default())
    }
}

impl<K: Eq + Hash> Ports<K> {
    fn take(&mut self, wanted: u16, key: impl Fn(u16) -> K) -> u16 {
        // Once around, and once more the word that it began in, from its first port on.
        let begins = std::iter::once((wanted, wanted % 64));
        let mut words = begins.chain((1..=1024).map(|step: u16| (wanted.wrapping_add(step.wrapping_mul(64)), 0)));
        let free = |(port, first): (u16, u16)| {
            let taken = self.0.get(&key(port / 64)).copied().unwrap_or(0);
            let free = !taken >> first << first;
            (free != 0).then(|| port / 64 * 64 + free.trailing_zeros() as u16)
        };
        let port = words.find_map(free).unwrap_or(wanted);
        *self.0.entry(key(port / 64)).or_default() |= 1 << (port % 64);
        port
    }

    fn release(&mut self, port: u16, key: K) {
        if let Some(taken) = self.0.get_mut(&key) {
            *taken &= !(1 << (port % 64));
            if *taken == 0 {
                self.0.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::Protocol;

    fn tuple(src_port: u16, dst_port: u16) -> Flow {
        let (src, dst) = (Ipv4Addr::new(10, 9, 0, 2), Ipv4Addr::new(198, 51, 100, 7));
        FiveTuple { src, dst, src_port, dst_port, protocol: Protocol::Udp }.into()
    }

    #[test]
    fn every_port_of_a_destination_is_taken_before_one_is_shared() {
        let mut ports = InsidePorts::default();
        let mut taken: Vec<_> = (0..=u16::MAX).map(|_| ports.take(tuple(65_000, 443))).collect();
        assert_eq!(taken[..3], [65_000, 65_001, 65_002]);
        assert_eq!((ports.take(tuple(65_000, 443)), ports.take(tuple(65_000, 444))), (65_000, 65_000));
        taken.sort_unstable();
        taken.dedup();
        assert_eq!(taken.len(), 65_536);
    }

    proptest! {
        #[test]
        fn the_port_taken_is_the_next_free_one(steps in prop::collection::vec((any::<bool>(), 65_400u32..65_700), 1..600)) {
            let mut ports = InsidePorts::default();
            let mut model = BTreeSet::new();
            for (take, port) in steps {
                let port = port as u16;
                if take {
                    let next = (0..=u16::MAX).map(|step| port.wrapping_add(step)).find(|port| !model.contains(port));
                    prop_assert_eq!(Some(ports.take(tuple(port, 443))), next);
                    model.extend(next);
                } else if model.remove(&port) {
                    ports.release(tuple(port, 443));
                }
            }
            model.iter().for_each(|&port| ports.release(tuple(port, 443)));
            prop_assert!(ports.v4.0.is_empty());
        }
    }
}
