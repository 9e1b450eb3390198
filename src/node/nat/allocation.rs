//! Which endpoint has which blocks: reservation, growth and shrinking.

use std::net::Ipv4Addr;

use super::endpoint::{Endpoint, EndpointConfig};
use super::exhaustion::Limit;
use super::mapping::{Ended, Mapping};
use super::ports::{PortBlock, block_shape, blocks_lacking, blocks_per_ip, ports_at_least};
use super::reservation::{Growth, Reservation};
use super::{DRAINING, Gateway};
use crate::time::{SimTime, nanos};

impl Gateway {
    /// A new endpoint arrives and gets its ports, under each rule. Returns its number.
    pub fn add_endpoint(&mut self, config: EndpointConfig) -> u32 {
        let index = self.endpoints.len() as u32;
        if config.serves_primary {
            self.by_address.insert(config.address, index);
        }
        self.endpoints.push(Endpoint::new(config));
        self.reservations.resize_with(self.endpoints.len() * self.pools.len(), Reservation::default);
        if !self.draining.is_empty() {
            self.draining.resize_with(self.reservations.len(), Reservation::default);
        }
        for id in self.ids_of(index) {
            self.top_up(id);
        }
        index
    }

    /// An endpoint leaves: its ports are free at once, and its connections are gone.
    pub fn remove_endpoint(&mut self, index: u32, now: SimTime) {
        self.forget_expired(now);
        let rules = self.pools.len() as u32;
        self.lose_mappings(now, |mapping| (mapping.reservation & !DRAINING) / rules == index);
        self.endpoints[index as usize].gone = true;
        self.by_address.retain(|_, owner| *owner != index);
        for id in self.ids_of(index) {
            let reservation = &mut self.reservations[id as usize];
            let growth = reservation.growth.take().map(|growth| growth.blocks).unwrap_or_default();
            let blocks: Vec<_> = reservation.take_blocks().into_iter().chain(growth).collect();
            self.release(id, blocks);
            if let Some(draining) = self.draining.get_mut(id as usize) {
                let blocks = draining.take_blocks();
                self.release(id, blocks);
            }
        }
        self.top_up_all();
        self.retire_auto_ips();
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
            for id in 0..self.reservations.len() {
                match self.reservations[id].growth.take_if(|growth| growth.ready_at <= now) {
                    Some(growth) => growth.blocks.into_iter().for_each(|block| self.add_block(id as u32, block)),
                    None => {
                        let pending = self.reservations[id].growth.as_ref();
                        let pending = pending.map_or(SimTime::NEVER, |growth| growth.ready_at);
                        self.next_growth = self.next_growth.min(pending);
                    }
                }
            }
        }
        if self.next_evaluation <= now {
            for id in 0..self.reservations.len() as u32 {
                self.evaluate(id, now);
            }
            self.retire_auto_ips();
            self.next_evaluation = SimTime::NEVER;
            // Nothing in use and nothing to give back: there is nothing to look at until the next connection.
            let busy = self.table.live() > 0
                || (0..self.reservations.len() as u32)
                    .any(|id| self.reservations[id as usize].ports > self.min_ports_of(id));
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
        (0..self.reservations.len() as u32).any(|id| self.is_short(id))
    }

    /// NAT IPs to add to a rule, by its position, so that each endpoint gets its minimum: `ceil(blocks / blocks per IP) -
    /// IPs`, which is what an observed gateway says (8 blocks, 3 an IP, 1 IP: 2 more).
    pub fn min_extra_nat_ips(&self, rule: usize) -> u64 {
        let ids = (0..self.endpoints.len()).map(|endpoint| (endpoint * self.pools.len() + rule) as u32);
        if !ids.clone().any(|id| self.is_short(id)) {
            return 0;
        }
        let mut needed = 0.0;
        for id in ids.filter(|&id| !self.is_gone(id)) {
            let (blocks, size) = block_shape(self.min_ports_of(id));
            needed += f64::from(blocks) / f64::from(blocks_per_ip(size));
        }
        (needed.ceil() as u64).saturating_sub(self.pools[rule].ips().count() as u64)
    }

    /// The numbers of an endpoint's reservations.
    pub(super) fn ids_of(&self, endpoint: u32) -> std::ops::Range<u32> {
        let rules = self.pools.len() as u32;
        endpoint * rules..(endpoint + 1) * rules
    }

    fn is_gone(&self, id: u32) -> bool {
        self.endpoints[self.endpoint_and_rule(id).0 as usize].gone
    }

    /// The ports a reservation is to have at least.
    pub(super) fn min_ports_of(&self, id: u32) -> u32 {
        let endpoint = &self.endpoints[self.endpoint_and_rule(id).0 as usize];
        let alias = endpoint.config.alias_ranges.iter().any(|range| range.prefix_len() < 32);
        ports_at_least(self.config.min_ports, self.config.dynamic, alias)
    }

    fn is_short(&self, id: u32) -> bool {
        !self.is_gone(id) && self.reservations[id as usize].ports < self.min_ports_of(id)
    }

    /// Which limit keeps a reservation from having more ports.
    pub(super) fn limit_of(&self, id: u32) -> Limit {
        let reservation = &self.reservations[id as usize];
        if self.is_short(id) {
            Limit::GatewayIps
        } else if !self.config.dynamic || reservation.ports >= self.config.max_ports {
            Limit::VmPorts
        } else if reservation.growth.is_some() || self.can_reserve(id, self.growth_of(id)) {
            Limit::GrowthPending
        } else {
            Limit::GatewayIps
        }
    }

    /// By how many ports a reservation would grow: it doubles, up to the maximum.
    fn growth_of(&self, id: u32) -> u32 {
        let ports = self.reservations[id as usize].ports;
        ports.min(self.config.max_ports.saturating_sub(ports))
    }

    fn can_reserve(&self, id: u32, ports: u32) -> bool {
        let (_, size) = block_shape(ports);
        let (_, rule) = self.endpoint_and_rule(id);
        self.pools[rule].has_room(size) || rule == 0 && self.unused_auto_ip().is_some()
    }

    /// The next automatic address that is not in use, with its place in the list. Google: the next address cannot be
    /// predicted. Here one that was given back comes last.
    fn unused_auto_ip(&self) -> Option<(usize, Ipv4Addr)> {
        let ips = &self.config.auto_ips;
        let places = (0..ips.len()).map(|offset| (self.next_auto_ip + offset) % ips.len());
        places.map(|place| (place, ips[place])).find(|(_, ip)| !self.pools[0].has(*ip))
    }

    /// Gives automatic addresses back on which nobody holds a port any more.
    pub(super) fn retire_auto_ips(&mut self) {
        if !self.config.auto_ips.is_empty() {
            self.pools[0].remove_unused_ips();
        }
    }

    /// Reserves a block, on a further address if need be and allowed.
    fn reserve(&mut self, rule: usize, size: u32) -> Option<PortBlock> {
        self.pools[rule].reserve(size).or_else(|| {
            let (place, fresh) = self.unused_auto_ip().filter(|_| rule == 0)?;
            self.next_auto_ip = place + 1;
            self.pools[0].add_ip(fresh);
            self.pools[0].reserve(size)
        })
    }

    /// Reserves blocks of these sizes, as far as there are any.
    fn reserve_all(&mut self, rule: usize, sizes: impl Iterator<Item = u32>) -> Vec<PortBlock> {
        let mut reserved = Vec::new();
        for size in sizes {
            match self.reserve(rule, size) {
                Some(block) => reserved.push(block),
                // There may still be room for a smaller one.
                None if self.behaviour.partial_allocation => {}
                None => {
                    reserved.drain(..).for_each(|block| self.pools[rule].release(block));
                    break;
                }
            }
        }
        reserved
    }

    /// Gives blocks back to the pool of a reservation's rule.
    pub(super) fn release(&mut self, id: u32, blocks: impl IntoIterator<Item = PortBlock>) {
        let (_, rule) = self.endpoint_and_rule(id);
        for block in blocks {
            self.owners.clear(&block);
            self.pools[rule].release(block);
        }
    }

    /// A block becomes usable.
    pub(super) fn add_block(&mut self, id: u32, block: PortBlock) {
        let reservation = &mut self.reservations[id as usize];
        self.owners.set(&block, id, reservation.ports);
        reservation.add_block(block);
    }

    /// Gives a reservation what it lacks of its minimum.
    fn top_up(&mut self, id: u32) {
        let (have, wanted) = (self.reservations[id as usize].ports, self.min_ports_of(id));
        if have < wanted && !self.is_gone(id) {
            let (_, rule) = self.endpoint_and_rule(id);
            for block in self.reserve_all(rule, blocks_lacking(have, wanted)) {
                self.add_block(id, block);
            }
        }
    }

    pub(super) fn top_up_all(&mut self) {
        for id in 0..self.reservations.len() as u32 {
            self.top_up(id);
        }
    }

    /// Sets a doubling going, unless one is, or there is no room.
    pub(super) fn ask_for_growth(&mut self, id: u32, now: SimTime) {
        if self.reservations[id as usize].growth.is_some() || self.is_gone(id) || self.is_short(id) {
            return;
        }
        let more = self.growth_of(id);
        if more == 0 {
            return;
        }
        let (_, rule) = self.endpoint_and_rule(id);
        let blocks = self.reserve_all(rule, blocks_lacking(0, more));
        if !blocks.is_empty() {
            let ready_at = now + self.behaviour.growth_delay;
            self.next_growth = self.next_growth.min(ready_at);
            self.reservations[id as usize].growth = Some(Growth { ready_at, blocks });
        }
    }

    /// Looks at one reservation's usage.
    fn evaluate(&mut self, id: u32, now: SimTime) {
        if self.is_gone(id) {
            return;
        }
        let minimum = self.min_ports_of(id);
        let reservation = &mut self.reservations[id as usize];
        let (usage, ports) = (f64::from(reservation.max_usage()), f64::from(reservation.ports));
        // A peak between two looks counts.
        let wants = std::mem::take(&mut reservation.wants_growth) || usage >= self.behaviour.growth_trigger * ports;
        if wants {
            reservation.idle_since = None;
            self.ask_for_growth(id, now);
        } else if usage < self.behaviour.shrink_below * ports && reservation.ports > minimum {
            let since = *reservation.idle_since.get_or_insert(now);
            if now - since >= self.behaviour.shrink_after {
                reservation.idle_since = None;
                let floor = (reservation.ports / 2).max(minimum);
                self.shrink(id, floor);
            }
        } else {
            reservation.idle_since = None;
        }
    }

    /// Gives whole blocks back from the end, as long as nobody uses them and `floor` ports stay.
    fn shrink(&mut self, id: u32, floor: u32) {
        while let Some(block) = self.reservations[id as usize].pop_idle_block(floor) {
            self.release(id, [block]);
        }
    }

    /// Gives back what goes beyond `floor` ports, whoever uses it: blocks from the end, and halves of blocks. To be followed
    /// by a recount.
    pub(super) fn cut(&mut self, id: u32, floor: u32) {
        while let Some(block) = self.reservations[id as usize].cut_block(floor) {
            self.release(id, [block]);
        }
    }

    pub(super) fn lose_mappings(&mut self, now: SimTime, is_lost: impl Fn(&Mapping) -> bool) {
        let lost: Vec<_> = self.table.iter().filter(|(_, mapping)| is_lost(mapping)).map(|(entry, _)| entry).collect();
        for entry in lost {
            let mapping = self.table.remove(entry, Ended::Lost, now);
            self.free_port(&mapping);
        }
    }

    /// Ports of live mappings by hand, against what the counters say. For tests.
    #[cfg(test)]
    pub(super) fn check(&self) {
        use super::mapping::Outside;
        use super::usage::Destination;
        self.table.check();
        let all = (self.reservations.iter().enumerate().map(|(id, it)| (id as u32, it)))
            .chain(self.draining.iter().enumerate().map(|(id, it)| (id as u32 | DRAINING, it)));
        for (id, reservation) in all {
            assert_eq!(reservation.ports, reservation.blocks().map(PortBlock::size).sum::<u32>());
            let mut by_destination = std::collections::BTreeMap::new();
            let mut in_use = vec![0; reservation.blocks.len()];
            for (entry, mapping) in self.table.iter().filter(|(_, mapping)| mapping.reservation == id) {
                let destination = Destination::of(id, &mapping.inside_tuple());
                *by_destination.entry(destination).or_insert(0) += 1;
                let Outside(ip, port) = mapping.outside();
                assert_eq!(self.owners.at(ip, port), Some((id, mapping.taken.ordinal)));
                assert_eq!(self.destinations.holder(&destination, mapping.taken.ordinal), Some(entry.slot));
                let holds = |block: &PortBlock| block.contains(ip, port);
                in_use[reservation.blocks().position(holds).expect("the block with its port is held")] += 1;
            }
            assert_eq!(reservation.in_use(), in_use);
            for (destination, count) in &by_destination {
                assert_eq!(self.destinations.count(destination).0, *count);
            }
            assert_eq!(reservation.max_usage(), by_destination.values().copied().max().unwrap_or(0));
        }
        let (reserved, free) = self.reserved_and_free();
        let ips: usize = self.pools.iter().map(|pool| pool.ips().count()).sum();
        assert_eq!(reserved + free, ips as u64 * 64_512);
    }
}
