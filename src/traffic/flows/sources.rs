//! Source ports of the instances.

use std::net::Ipv6Addr;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use rand_chacha::ChaCha8Rng;

use crate::sim::rng;
use crate::time::SimTime;
use crate::topology::NodeId;
use crate::wire::{FiveTuple, Flow};

const SECOND: Duration = Duration::from_secs(1);
/// Linux' ephemeral ports.
const EPHEMERAL: std::ops::Range<u16> = 32_768..61_000;

/// Which port each instance takes next, and what is taken.
#[derive(Debug, Default)]
pub(super) struct Sources {
    ports: HashMap<NodeId, u16, FixedState>,
    in_use: InUse,
    /// By instance whose connections are limited: when its second began, and how many it has begun since.
    rates: HashMap<NodeId, (SimTime, u32), FixedState>,
}

impl Sources {
    /// Takes the next ephemeral port of an instance that is free for this destination.
    pub(super) fn take(&mut self, instance: NodeId, flow: Flow, choice: &mut ChaCha8Rng) -> Option<Flow> {
        let count = EPHEMERAL.end - EPHEMERAL.start;
        let next = match self.ports.get_mut(&instance) {
            Some(next) => next,
            None => {
                let first = rng::below(choice, u64::from(count)) as u16;
                self.ports.entry(instance).or_insert(first)
            }
        };
        for _ in 0..count {
            let port = EPHEMERAL.start + *next;
            *next = (*next + 1) % count;
            let flow = flow.from_source(flow.src(), port);
            if !self.in_use.contains(flow) {
                self.in_use.insert(flow);
                return Some(flow);
            }
        }
        None
    }

    /// Whether an instance may begin one more connection. Its seconds begin with the first connection after the last one.
    pub(super) fn may_begin(&mut self, instance: NodeId, most: u32, now: SimTime) -> bool {
        let (since, begun) = self.rates.entry(instance).or_insert((now, 0));
        if now - *since >= SECOND {
            (*since, *begun) = (now, 0);
        }
        *begun += 1;
        *begun <= most
    }

    /// Gives a port back.
    pub(super) fn release(&mut self, flow: Flow) {
        self.in_use.remove(flow);
    }
}

/// The flows that instances have.
#[derive(Debug, Default)]
struct InUse {
    v4: HashSet<u128, FixedState>,
    v6: HashSet<FiveTuple<Ipv6Addr>, FixedState>,
}

impl InUse {
    fn contains(&self, flow: Flow) -> bool {
        match flow {
            Flow::V4(tuple) => self.v4.contains(&tuple.key()),
            Flow::V6(tuple) => self.v6.contains(&tuple),
        }
    }

    fn insert(&mut self, flow: Flow) {
        match flow {
            Flow::V4(tuple) => self.v4.insert(tuple.key()),
            Flow::V6(tuple) => self.v6.insert(tuple),
        };
    }

    fn remove(&mut self, flow: Flow) {
        match flow {
            Flow::V4(tuple) => self.v4.remove(&tuple.key()),
            Flow::V6(tuple) => self.v6.remove(&tuple),
        };
    }
}
