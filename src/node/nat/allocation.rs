//! Which endpoint has which blocks: reservation, growth, shrinking, and changes of configuration.

use std::net::Ipv4Addr;

use super::endpoint::Growth;
use super::mapping::Ended;
use super::usage::{Destination, Destinations, Taken};
use super::*;
use crate::time::nanos;

/// Google gives an interface at least this many ports, with static allocation, when it serves an alias range of more
/// than one address: a GKE node.
const ALIAS_RANGE_PORTS: u32 = 1024;

/// Marks a mapping whose port is in no usable block: its NAT IP is being drained.
pub(super) const NO_PORT: Taken = Taken { slot: u32::MAX, ordinal: u32::MAX };

impl Gateway {
    /// A new endpoint arrives and gets its ports. Returns its number.
    pub fn add_endpoint(&mut self, config: EndpointConfig) -> u32 {
        let index = self.endpoints.len() as u32;
        if config.serves_primary {
            self.by_address.insert(config.address, index);
        }
        self.endpoints.push(Endpoint::new(config));
        let wanted = self.min_ports_of(index);
        self.top_up(index, wanted);
        index
    }

    /// An endpoint leaves: its ports are free at once, and its connections are gone.
    pub fn remove_endpoint(&mut self, index: u32, now: SimTime) {
        self.forget_expired(now);
        self.lose_mappings(now, |mapping| mapping.endpoint == index);
        let endpoint = &mut self.endpoints[index as usize];
        endpoint.gone = true;
        endpoint.ports = 0;
        let growth = endpoint.growth.take().map(|growth| growth.blocks).unwrap_or_default();
        let blocks: Vec<_> = endpoint.blocks.drain(..).chain(endpoint.draining.drain(..)).chain(growth).collect();
        self.by_address.retain(|_, owner| *owner != index);
        for block in blocks {
            self.pool.release(block);
        }
        self.top_up_all();
    }

    /// The number of the endpoint with this primary address.
    pub fn endpoint_at(&self, address: Ipv4Addr) -> Option<u32> {
        self.by_address.get(&address).copied()
    }

    /// When [`Gateway::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> SimTime {
        self.next_growth.min(self.next_evaluation)
    }

    /// Does what is due: a doubling becomes usable, usage is looked at.
    pub fn handle_timeout(&mut self, now: SimTime) {
        self.forget_expired(now);
        if self.next_growth <= now {
            self.next_growth = SimTime::NEVER;
            for endpoint in &mut self.endpoints {
                match endpoint.growth.take_if(|growth| growth.ready_at <= now) {
                    Some(growth) => growth.blocks.into_iter().for_each(|block| endpoint.add_block(block)),
                    None => {
                        let pending = endpoint.growth.as_ref().map_or(SimTime::NEVER, |growth| growth.ready_at);
                        self.next_growth = self.next_growth.min(pending);
                    }
                }
            }
        }
        if self.next_evaluation <= now {
            for index in 0..self.endpoints.len() {
                self.evaluate(index as u32, now);
            }
            self.next_evaluation = SimTime::NEVER;
            // Nothing in use and nothing to give back: there is nothing to look at until the next connection.
            let busy = self.table.live() > 0
                || (0..self.endpoints.len() as u32)
                    .any(|index| self.endpoints[index as usize].ports > self.min_ports_of(index));
            if busy {
                self.schedule_evaluation(now);
            }
        }
    }

    /// Usage is looked at at whole multiples of the interval.
    pub(super) fn schedule_evaluation(&mut self, now: SimTime) {
        if self.config.dynamic && self.next_evaluation == SimTime::NEVER {
            let every = nanos(self.behaviour.evaluate_every).max(1);
            let next = (now.as_nanos() / every).saturating_add(1).saturating_mul(every);
            self.next_evaluation = SimTime::from_nanos(next);
        }
    }

    /// Whether some endpoint has fewer ports than its minimum (the metric `nat_allocation_failed`).
    pub fn allocation_failed(&self) -> bool {
        (0..self.endpoints.len() as u32).any(|index| self.is_short(index))
    }

    /// NAT IPs to add so that each endpoint gets its minimum: `ceil(blocks / blocks per IP) - IPs`, which is what an
    /// observed gateway says (8 blocks, 3 an IP, 1 IP: 2 more).
    pub fn min_extra_nat_ips(&self) -> u64 {
        if !self.allocation_failed() {
            return 0;
        }
        let mut needed = 0.0;
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            if !endpoint.gone {
                let (blocks, size) = block_shape(self.min_ports_of(index as u32));
                needed += f64::from(blocks) / f64::from(blocks_per_ip(size));
            }
        }
        (needed.ceil() as u64).saturating_sub(self.pool.ips().count() as u64)
    }

    /// Changes the configuration. What happens to connections is Google's documentation where there is any: more static
    /// ports break nothing; fewer may reset what was on the lost ports; any change with dynamic allocation may put every
    /// endpoint back to its minimum; turning it off breaks all connections; a removed NAT IP ends its connections at
    /// once, a drained one lets them end by themselves; timeouts hold from a mapping's next packet on.
    pub fn reconfigure(&mut self, config: Config, now: SimTime) {
        self.forget_expired(now);
        let old = std::mem::replace(&mut self.config, config);
        self.table.set_timeouts(self.config.timeouts);
        let ips_changed = old.nat_ips != self.config.nat_ips
            || old.drain_nat_ips != self.config.drain_nat_ips
            || old.auto_ips.is_empty() != self.config.auto_ips.is_empty();
        let ports_changed = (old.min_ports, old.max_ports, old.dynamic)
            != (self.config.min_ports, self.config.max_ports, self.config.dynamic);
        if !ips_changed && !ports_changed {
            return;
        }
        if ips_changed {
            self.change_ips();
        }
        let turned_off = old.dynamic && !self.config.dynamic;
        let turned_on = !old.dynamic && self.config.dynamic;
        // Google: turning it on keeps connections unless the new maximum is below the old minimum or below 1,024.
        let keeps = turned_on && self.config.max_ports >= old.min_ports.max(1024);
        for index in 0..self.endpoints.len() as u32 {
            if self.endpoints[index as usize].gone {
                continue;
            }
            if let Some(growth) = self.endpoints[index as usize].growth.take() {
                growth.blocks.into_iter().for_each(|block| self.pool.release(block));
            }
            let wanted = self.min_ports_of(index);
            if turned_off {
                self.cut_down(index, 0);
            } else if ports_changed && !keeps {
                self.cut_down(index, wanted);
            }
        }
        self.recount(now);
        self.top_up_all();
        if !self.config.dynamic {
            self.next_evaluation = SimTime::NEVER;
        }
        self.schedule_evaluation(now);
    }

    /// The ports an endpoint is to have at least.
    fn min_ports_of(&self, index: u32) -> u32 {
        let endpoint = &self.endpoints[index as usize];
        let alias = endpoint.config.alias_ranges.iter().any(|range| range.prefix_len() < 32);
        match alias && !self.config.dynamic {
            true => self.config.min_ports.max(ALIAS_RANGE_PORTS),
            false => self.config.min_ports,
        }
    }

    fn is_short(&self, index: u32) -> bool {
        let endpoint = &self.endpoints[index as usize];
        !endpoint.gone && endpoint.ports < self.min_ports_of(index)
    }

    /// Which limit keeps an endpoint from having more ports.
    pub(super) fn limit_of(&self, index: u32) -> Limit {
        let endpoint = &self.endpoints[index as usize];
        if self.is_short(index) {
            Limit::GatewayIps
        } else if !self.config.dynamic || endpoint.ports >= self.config.max_ports {
            Limit::VmPorts
        } else if endpoint.growth.is_some() || self.can_reserve(self.growth_of(endpoint)) {
            Limit::GrowthPending
        } else {
            Limit::GatewayIps
        }
    }

    /// By how many ports an endpoint would grow: it doubles, up to the maximum.
    fn growth_of(&self, endpoint: &Endpoint) -> u32 {
        endpoint.ports.min(self.config.max_ports.saturating_sub(endpoint.ports))
    }

    fn can_reserve(&self, ports: u32) -> bool {
        let (_, size) = block_shape(ports);
        self.pool.has_room(size) || self.unused_auto_ip().is_some()
    }

    fn unused_auto_ip(&self) -> Option<Ipv4Addr> {
        self.config.auto_ips.iter().copied().find(|ip| !self.pool.has(*ip))
    }

    /// Reserves a block, on a further address if need be and allowed.
    fn reserve(&mut self, size: u32) -> Option<PortBlock> {
        self.pool.reserve(size).or_else(|| {
            let fresh = self.unused_auto_ip()?;
            self.pool.add_ip(fresh);
            self.pool.reserve(size)
        })
    }

    /// Reserves blocks for at least `ports` ports, as far as there are any.
    fn reserve_all(&mut self, ports: u32) -> Vec<PortBlock> {
        let (blocks, size) = block_shape(ports);
        let mut reserved = Vec::new();
        for _ in 0..blocks {
            match self.reserve(size) {
                Some(block) => reserved.push(block),
                None if self.behaviour.partial_allocation => break,
                None => {
                    reserved.drain(..).for_each(|block| self.pool.release(block));
                    break;
                }
            }
        }
        reserved
    }

    /// Gives an endpoint what it lacks of `wanted` ports.
    fn top_up(&mut self, index: u32, wanted: u32) {
        let have = self.endpoints[index as usize].ports;
        if have < wanted {
            for block in self.reserve_all(wanted - have) {
                self.endpoints[index as usize].add_block(block);
            }
        }
    }

    fn top_up_all(&mut self) {
        for index in 0..self.endpoints.len() as u32 {
            if !self.endpoints[index as usize].gone {
                let wanted = self.min_ports_of(index);
                self.top_up(index, wanted);
            }
        }
    }

    /// Sets a doubling going, unless one is, or there is no room.
    pub(super) fn ask_for_growth(&mut self, index: u32, now: SimTime) {
        let endpoint = &self.endpoints[index as usize];
        if endpoint.growth.is_some() || endpoint.gone || self.is_short(index) {
            return;
        }
        let more = self.growth_of(endpoint);
        if more == 0 {
            return;
        }
        let blocks = self.reserve_all(more);
        if !blocks.is_empty() {
            let ready_at = now + self.behaviour.growth_delay;
            self.next_growth = self.next_growth.min(ready_at);
            self.endpoints[index as usize].growth = Some(Growth { ready_at, blocks });
        }
    }

    /// Looks at one endpoint's usage.
    fn evaluate(&mut self, index: u32, now: SimTime) {
        let minimum = self.min_ports_of(index);
        let endpoint = &mut self.endpoints[index as usize];
        if endpoint.gone {
            return;
        }
        let (usage, ports) = (f64::from(endpoint.max_usage()), f64::from(endpoint.ports));
        // A peak between two looks counts.
        let wants = std::mem::take(&mut endpoint.wants_growth) || usage >= self.behaviour.growth_trigger * ports;
        if wants {
            endpoint.idle_since = None;
            self.ask_for_growth(index, now);
        } else if usage < self.behaviour.shrink_below * ports && endpoint.ports > minimum {
            let since = *endpoint.idle_since.get_or_insert(now);
            if now - since >= self.behaviour.shrink_after {
                endpoint.idle_since = None;
                self.shrink(index, minimum);
            }
        } else {
            endpoint.idle_since = None;
        }
    }

    /// Gives back half, as far as whole blocks at the end are idle, and never below the minimum.
    fn shrink(&mut self, index: u32, minimum: u32) {
        let floor = (self.endpoints[index as usize].ports / 2).max(minimum);
        loop {
            let endpoint = &self.endpoints[index as usize];
            let Some(last) = endpoint.blocks.last() else { return };
            let rest = endpoint.ports - last.size();
            let in_use = |mapping: &Mapping| {
                mapping.endpoint == index && mapping.taken.ordinal >= rest && mapping.taken != NO_PORT
            };
            if rest < floor || self.table.iter().any(|(_, mapping)| in_use(mapping)) {
                return;
            }
            let endpoint = &mut self.endpoints[index as usize];
            let block = endpoint.blocks.pop().expect("it was just there");
            endpoint.ports = rest;
            self.pool.release(block);
        }
    }

    /// Takes blocks from the end until at most `ports` are left (whole blocks; never below).
    fn cut_down(&mut self, index: u32, ports: u32) {
        let endpoint = &mut self.endpoints[index as usize];
        while let Some(last) = endpoint.blocks.last() {
            if endpoint.ports - last.size() < ports {
                break;
            }
            endpoint.ports -= last.size();
            let block = endpoint.blocks.pop().expect("it was just there");
            self.pool.release(block);
        }
    }

    /// Brings the pool to the configured addresses, and moves blocks between usable and draining.
    fn change_ips(&mut self) {
        let automatic = !self.config.auto_ips.is_empty();
        let stays: Vec<_> = self.pool.ips().filter(|ip| automatic && self.config.auto_ips.contains(ip)).collect();
        let wanted: Vec<_> = self.config.nat_ips.iter().copied().chain(stays).collect();
        for ip in self.pool.ips().collect::<Vec<_>>() {
            if !wanted.contains(&ip) {
                self.pool.remove_ip(ip);
            }
        }
        let drains = |config: &Config, block: &PortBlock| config.drain_nat_ips.contains(&block.ip());
        for endpoint in &mut self.endpoints {
            let all: Vec<_> = endpoint.blocks.drain(..).chain(endpoint.draining.drain(..)).collect();
            endpoint.ports = 0;
            for block in all {
                // A block on a drained address that comes back is usable again; on an address that is gone it is gone.
                if wanted.contains(&block.ip()) {
                    endpoint.add_block(block);
                } else if drains(&self.config, &block) {
                    endpoint.draining.push(block);
                }
            }
        }
        for ip in &wanted {
            if !self.pool.has(*ip) {
                self.pool.add_ip(*ip);
                for endpoint in &self.endpoints {
                    for block in endpoint.blocks.iter().filter(|block| block.ip() == *ip) {
                        self.pool.claim(block);
                    }
                }
            }
        }
        self.pool.reorder(&wanted);
    }

    /// After blocks came or went: ends the mappings whose port is gone, and counts the ports of the others anew.
    fn recount(&mut self, now: SimTime) {
        self.lose_mappings_without_port(now);
        self.destinations = Destinations::default();
        for endpoint in &mut self.endpoints {
            endpoint.peaks = Default::default();
        }
        let live: Vec<_> = self.table.iter().map(|(entry, mapping)| (entry, mapping.clone())).collect();
        for (entry, mapping) in live {
            let owner = &mut self.endpoints[mapping.endpoint as usize];
            let outside = mapping.outside();
            let taken = match owner.ordinal(outside.0, outside.1) {
                None => NO_PORT,
                Some(ordinal) => {
                    let destination = Destination::of(mapping.endpoint, &mapping.inside_tuple());
                    let (taken, count) = self.destinations.take(destination, ordinal);
                    owner.peaks[protocol_index(mapping.protocol())].rose_to(count);
                    if !mapping.phase().is_open() {
                        self.destinations.time_wait(taken);
                    }
                    taken
                }
            };
            self.table.set_taken(entry, taken);
        }
    }

    fn lose_mappings_without_port(&mut self, now: SimTime) {
        let has_port = |endpoint: &Endpoint, mapping: &Mapping| {
            let Outside(ip, port) = mapping.outside();
            let within = |block: &PortBlock| {
                block.ip() == ip && u32::from(port).wrapping_sub(u32::from(block.first())) < block.size()
            };
            endpoint.blocks.iter().chain(&endpoint.draining).any(within)
        };
        let lost: Vec<_> = self
            .table
            .iter()
            .filter(|(_, mapping)| !has_port(&self.endpoints[mapping.endpoint as usize], mapping))
            .map(|(entry, _)| entry)
            .collect();
        for entry in lost {
            self.table.remove(entry, Ended::Lost, now);
        }
    }

    fn lose_mappings(&mut self, now: SimTime, is_lost: impl Fn(&Mapping) -> bool) {
        let lost: Vec<_> = self.table.iter().filter(|(_, mapping)| is_lost(mapping)).map(|(entry, _)| entry).collect();
        for entry in lost {
            let mapping = self.table.remove(entry, Ended::Lost, now);
            self.free_port(&mapping);
        }
    }

    /// Ports of live mappings by hand, against what the counters say. For tests.
    #[cfg(test)]
    pub(super) fn check(&self) {
        self.table.check();
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            assert_eq!(endpoint.ports, endpoint.blocks.iter().map(PortBlock::size).sum::<u32>());
            let mut by_destination = std::collections::BTreeMap::new();
            for (_, mapping) in self.table.iter().filter(|(_, m)| m.endpoint as usize == index && m.taken != NO_PORT) {
                *by_destination.entry(Destination::of(index as u32, &mapping.inside_tuple())).or_insert(0) += 1;
                let outside = mapping.outside();
                assert_eq!(endpoint.ordinal(outside.0, outside.1), Some(mapping.taken.ordinal));
            }
            for (destination, count) in &by_destination {
                assert_eq!(self.destinations.count(destination).0, *count);
            }
            assert_eq!(endpoint.max_usage(), by_destination.values().copied().max().unwrap_or(0));
        }
    }
}
