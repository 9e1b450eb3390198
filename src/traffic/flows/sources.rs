//! Source ports of the instances.

use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use rand_chacha::ChaCha8Rng;

use crate::node::instance::EPHEMERAL;
use crate::sim::rng;
use crate::time::SimTime;
use crate::topology::NodeId;
use crate::wire::{FiveTuple, Flow};

const SECOND: Duration = Duration::from_secs(1);

/// Which port each instance takes next, and what is taken.
#[derive(Debug, Default)]
pub(super) struct Sources {
    ports: HashMap<NodeId, u16, FixedState>,
    in_use: InUse,
    /// Where an instance was seen to have no port left, since one was given back for the last time: to look through all of them
    /// for every connection that fails takes too long.
    used_up: HashSet<(NodeId, Flow), FixedState>,
    /// How long a port stays in TIME_WAIT when the instance has closed first.
    time_wait: Duration,
    /// By instance whose connections are limited: when its second began, and how many it has begun since.
    rates: HashMap<NodeId, (SimTime, u32), FixedState>,
}

impl Sources {
    pub(super) fn new(time_wait: Duration) -> Sources {
        Sources { time_wait, ..Sources::default() }
    }

    /// Takes the next ephemeral port of an instance that is free for this destination.
    pub(super) fn take(&mut self, instance: NodeId, flow: Flow, now: SimTime, choice: &mut ChaCha8Rng) -> Option<Flow> {
        if self.in_use.expire(now) {
            self.used_up.clear();
        }
        if self.used_up.contains(&(instance, flow)) {
            return None;
        }
        let wanted = flow;
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
        self.used_up.insert((instance, wanted));
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
        self.used_up.clear();
    }

    /// Gives a port back once it was in TIME_WAIT.
    pub(super) fn release_later(&mut self, flow: Flow, now: SimTime) {
        if self.time_wait.is_zero() {
            self.release(flow);
        } else {
            self.in_use.remove_at(flow, now + self.time_wait);
        }
    }
}

/// The flows that instances have.
#[derive(Debug, Default)]
struct InUse {
    v4: HashSet<u128, FixedState>,
    v6: HashSet<FiveTuple<Ipv6Addr>, FixedState>,
    /// Those in TIME_WAIT, and until when, the first to end first. The key in two halves, which take a third less room.
    waiting_v4: VecDeque<(SimTime, [u64; 2])>,
    waiting_v6: VecDeque<(SimTime, FiveTuple<Ipv6Addr>)>,
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

    /// A flow ends later. Calls come in the order of these times.
    fn remove_at(&mut self, flow: Flow, at: SimTime) {
        match flow {
            Flow::V4(tuple) => {
                let key = tuple.key();
                self.waiting_v4.push_back((at, [(key >> 64) as u64, key as u64]));
            }
            Flow::V6(tuple) => self.waiting_v6.push_back((at, tuple)),
        }
    }

    /// Gives back what has waited for long enough. True when there was any.
    fn expire(&mut self, now: SimTime) -> bool {
        let before = self.waiting_v4.len() + self.waiting_v6.len();
        while let Some((_, [high, low])) = self.waiting_v4.pop_front_if(|(at, _)| *at <= now) {
            self.v4.remove(&(u128::from(high) << 64 | u128::from(low)));
        }
        while let Some((_, tuple)) = self.waiting_v6.pop_front_if(|(at, _)| *at <= now) {
            self.v6.remove(&tuple);
        }
        before > self.waiting_v4.len() + self.waiting_v6.len()
    }

    fn remove(&mut self, flow: Flow) {
        match flow {
            Flow::V4(tuple) => self.v4.remove(&tuple.key()),
            Flow::V6(tuple) => self.v6.remove(&tuple),
        };
    }
}
