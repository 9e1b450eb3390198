//! Connections that instances keep for their next calls.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::Flows;
use super::connection::{Kind, tag};
use super::requests::RequestId;
use crate::network::Network;
use crate::topology::NodeId;

/// The connections of one load and one instance.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// Slots and generations of those that nobody uses; the one that was used last is used next, as HTTP clients do.
    idle: Vec<(u32, u32)>,
    /// All of them, those that are still connecting included.
    size: u32,
    /// Who waits for one.
    waiting: VecDeque<RequestId>,
    /// Somebody is to be told that there is room.
    turn: bool,
}

/// All pools.
#[derive(Debug, Default)]
pub(super) struct Pools {
    /// By load and instance.
    numbers: HashMap<(u32, NodeId), u32, FixedState>,
    pools: Vec<Pool>,
}

/// What a pool has for a call.
pub(super) enum Offer {
    /// A connection that was kept.
    Kept(u32),
    /// Room for a new one.
    Room,
    /// Nothing: wait.
    Full,
}

impl Pools {
    fn number(&mut self, key: (u32, NodeId)) -> u32 {
        *self.numbers.entry(key).or_insert_with(|| {
            self.pools.push(Pool::default());
            (self.pools.len() - 1) as u32
        })
    }

    /// They have so many connections together, and those that nobody uses are some of them.
    pub(super) fn assert_size(&self, size: usize) {
        assert_eq!(self.pools.iter().map(|pool| pool.size as usize).sum::<usize>(), size, "pooled connections");
        assert!(self.pools.iter().all(|pool| pool.idle.len() <= pool.size as usize), "idle ones are of the pool");
    }

    fn of(&mut self, key: (u32, NodeId)) -> &mut Pool {
        let number = self.number(key);
        &mut self.pools[number as usize]
    }
}

impl Flows {
    /// A connection for a call of this instance. Connections that have aged meanwhile are closed.
    pub(super) fn offer(&mut self, network: &mut Network, traffic: u32, instance: NodeId) -> Offer {
        let Some(limit) = self.pool_of(traffic).map(|pool| pool.size) else { return Offer::Room };
        let now = network.engine().now();
        loop {
            let pool = self.pools.of((traffic, instance));
            let Some((slot, generation)) = pool.idle.pop() else {
                return if pool.size < limit { Offer::Room } else { Offer::Full };
            };
            if self.is_open(slot, generation, now) {
                return Offer::Kept(slot);
            }
            if self.is_current(generation, slot) && self.used(slot).is_some_and(|used| used.pooled) {
                self.leave_pool(network, slot);
                self.close_client(network, slot);
            }
        }
    }

    fn pool_of(&self, traffic: u32) -> Option<crate::scenario::Pool> {
        self.specs[traffic as usize].requests.as_ref()?.pool
    }

    /// A call waits for a connection.
    pub(super) fn wait_for_connection(&mut self, traffic: u32, instance: NodeId, request: RequestId) {
        self.pools.of((traffic, instance)).waiting.push_back(request);
    }

    /// A call waits no longer: if it is tried again, it waits behind the others.
    pub(super) fn wait_no_longer(&mut self, traffic: u32, instance: NodeId, request: RequestId) {
        let waiting = &mut self.pools.of((traffic, instance)).waiting;
        // Whoever gives up has waited for longest, so it is one of the first.
        if let Some(at) = waiting.iter().position(|waits| *waits == request) {
            waiting.remove(at);
        }
    }

    /// A new connection is one of the pool.
    pub(super) fn join_pool(&mut self, slot: u32) {
        let connection = &self.connections[slot as usize];
        let key = (connection.traffic, connection.instance);
        if self.pool_of(key.0).is_none() {
            return;
        }
        self.pools.of(key).size += 1;
        if let Some(used) = self.used(slot) {
            used.pooled = true;
        }
    }

    /// A connection is free: true when it is kept.
    pub(super) fn keep(&mut self, network: &mut Network, slot: u32) -> bool {
        let now = network.engine().now();
        let connection = &self.connections[slot as usize];
        let (key, generation) = ((connection.traffic, connection.instance), connection.generation);
        if !self.is_open(slot, generation, now) {
            return false;
        }
        let Some(settings) = self.pool_of(key.0) else { return false };
        let Some(used) = self.used(slot) else { return false };
        used.idle_since = now;
        // One look for each connection is enough: it looks again if the connection was used meanwhile.
        if let Some(timeout) = settings.idle_timeout
            && !std::mem::replace(&mut used.idle_wake, true)
        {
            self.wake_at(network, now + timeout, Kind::PoolIdle, slot);
        }
        let pool = self.pools.of(key);
        pool.idle.push((slot, generation));
        self.give_turn(network, key);
        true
    }

    /// A connection is no longer one of its pool, if it was.
    pub(super) fn leave_pool(&mut self, network: &mut Network, slot: u32) {
        let connection = &self.connections[slot as usize];
        let key = (connection.traffic, connection.instance);
        let Some(used) = self.used(slot) else { return };
        if !std::mem::replace(&mut used.pooled, false) {
            return;
        }
        let pool = self.pools.of(key);
        pool.size -= 1;
        pool.idle.retain(|(idle, _)| *idle != slot);
        self.give_turn(network, key);
    }

    /// Whoever waits for a connection is to look again, once all that happens now has happened.
    fn give_turn(&mut self, network: &mut Network, key: (u32, NodeId)) {
        let number = self.pools.number(key);
        let pool = &mut self.pools.pools[number as usize];
        if !pool.waiting.is_empty() && !std::mem::replace(&mut pool.turn, true) {
            let now = network.engine().now();
            network.engine_mut().wake_at(now, tag(Kind::PoolTurn, 0, number));
        }
    }

    /// There may be a connection for those who wait.
    pub(super) fn pool_turn(&mut self, network: &mut Network, number: u32) {
        self.pools.pools[number as usize].turn = false;
        while let Some(&next) = self.pools.pools[number as usize].waiting.front() {
            let load = self.requests.load_of_waiting(next);
            if let Some(load) = load {
                let limit = self.pool_of(load).map_or(u32::MAX, |pool| pool.size);
                let pool = &self.pools.pools[number as usize];
                if pool.idle.is_empty() && pool.size >= limit {
                    return;
                }
            }
            self.pools.pools[number as usize].waiting.pop_front();
            if load.is_some() {
                self.find_connection(network, next);
            }
        }
    }

    /// A kept connection may have been idle for too long.
    pub(super) fn pool_idle(&mut self, network: &mut Network, slot: u32) {
        let now = network.engine().now();
        let traffic = self.connections[slot as usize].traffic;
        let Some(timeout) = self.pool_of(traffic).and_then(|pool| pool.idle_timeout) else { return };
        let Some(used) = self.used(slot) else { return };
        used.idle_wake = false;
        if !used.pooled || used.request.is_some() {
            return;
        }
        let due = used.idle_since + timeout;
        if due > now {
            used.idle_wake = true;
            self.wake_at(network, due, Kind::PoolIdle, slot);
        } else {
            self.leave_pool(network, slot);
            self.close_client(network, slot);
        }
    }
}
