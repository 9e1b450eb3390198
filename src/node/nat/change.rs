//! Changes of a gateway's configuration while it runs, and what they do to connections.
//!
//! What Google documents: more static ports break nothing, fewer may reset what was on the lost ports; any change with
//! dynamic allocation may put every endpoint back to its minimum; turning it off breaks all connections, turning it on
//! keeps them unless the new maximum is below the old minimum or below 1,024; a removed NAT IP ends its connections at
//! once, a drained one lets them end by themselves; endpoint-independent mapping on or off interrupts nothing. Not
//! documented, and assumed: timeouts hold from a mapping's next packet on; a connection stays with its NAT IP and port
//! when another rule would apply to a new one, as long as its rule has that NAT IP, active or draining.
//!
//! Source: <https://docs.cloud.google.com/nat/docs/set-up-manage-network-address-translation>, as of 2026-04.

use std::net::Ipv4Addr;

use super::binding::Bindings;
use super::config::Config;
use super::endpoint::protocol_index;
use super::mapping::{Ended, Outside};
use super::ports::{PortPool, block_shape};
use super::reservation::Reservation;
use super::rules::RuleTable;
use super::usage::{Destination, Destinations};
use super::{DRAINING, Gateway};
use crate::time::SimTime;

/// Google: turning dynamic allocation on with a maximum below this may break connections.
const DYNAMIC_MAX_THAT_KEEPS: u32 = 1024;

impl Gateway {
    /// Changes the configuration.
    pub fn reconfigure(&mut self, config: Config, now: SimTime) {
        self.forget_expired(now);
        if config == self.config {
            return;
        }
        let old = std::mem::replace(&mut self.config, config);
        let new = &self.config;
        self.table.set_timeouts(new.timeouts);
        self.rules = RuleTable::new(&new.rules);
        if old.auto_ips != new.auto_ips {
            self.next_auto_ip = 0;
        }
        if old.endpoint_independent != new.endpoint_independent {
            self.bindings = new.endpoint_independent.then(Bindings::default);
        }
        let ports_changed = (old.min_ports, old.max_ports, old.dynamic) != (new.min_ports, new.max_ports, new.dynamic);
        let turned_off = old.dynamic && !new.dynamic;
        let turned_on = !old.dynamic && new.dynamic;
        let keeps = turned_on && new.max_ports >= old.min_ports.max(DYNAMIC_MAX_THAT_KEEPS);
        let cut = ports_changed && !keeps || new.dynamic && !turned_on && self.behaviour.reset_on_change;

        let rules_before = self.pools.len() as u32;
        self.change_pools(&old);
        for id in 0..self.reservations.len() as u32 {
            let growth = self.reservations[id as usize].growth.take();
            self.release(id, growth.into_iter().flat_map(|growth| growth.blocks));
            if turned_off {
                self.cut(id, 0);
            } else if cut {
                let (blocks, size) = block_shape(self.min_ports_of(id));
                self.cut(id, blocks * size);
            }
        }
        self.recount(rules_before, now);
        self.top_up_all();
        self.retire_auto_ips();
        if !self.config.dynamic {
            self.next_evaluation = SimTime::NEVER;
        }
        self.schedule_evaluation(now);
    }

    /// Brings pools and reservations to the configured rules and addresses: blocks on addresses that are gone are gone, and
    /// others move between usable and draining. Ordinals change; they are counted anew afterwards.
    fn change_pools(&mut self, old: &Config) {
        let rules_before = self.pools.len();
        let mut pools: Vec<Option<PortPool>> = std::mem::take(&mut self.pools).into_iter().map(Some).collect();
        let mut reservations: Vec<_> = std::mem::take(&mut self.reservations).into_iter().map(Some).collect();
        let mut draining: Vec<_> = std::mem::take(&mut self.draining).into_iter().map(Some).collect();
        // The default rule stays at its place; the others are known by their numbers.
        let place_before = |number| old.rules.iter().position(|rule| rule.number == number).map(|place| place + 1);
        let places: Vec<_> =
            std::iter::once(Some(0)).chain(self.config.rules.iter().map(|rule| place_before(rule.number))).collect();

        for (rule, place) in places.iter().enumerate() {
            let mut pool = place.and_then(|place| pools[place].take()).unwrap_or_default();
            let wanted = self.wanted_ips(rule, &pool);
            for ip in pool.ips().collect::<Vec<_>>() {
                if !wanted.contains(&ip) {
                    pool.remove_ip(ip);
                }
            }
            self.pools.push(pool);
        }
        let mut any_draining = false;
        let mut drained = Vec::new();
        for endpoint in 0..self.endpoints.len() {
            for (rule, place) in places.iter().enumerate() {
                let before = place.map(|place| endpoint * rules_before + place);
                let mut usable = before.and_then(|id| reservations[id].take()).unwrap_or_default();
                let mut resting = before.and_then(|id| draining.get_mut(id)?.take()).unwrap_or_default();
                let blocks: Vec<_> = usable.take_blocks().into_iter().chain(resting.take_blocks()).collect();
                let wanted = self.wanted_ips(rule, &self.pools[rule]);
                for block in blocks {
                    // A block on a drained address that comes back is usable again; on an address that is gone it is gone.
                    if wanted.contains(&block.ip()) {
                        usable.add_block(block);
                    } else if self.config.drains(rule, block.ip()) {
                        any_draining = true;
                        resting.add_block(block);
                    }
                }
                self.reservations.push(usable);
                drained.push(resting);
            }
        }
        for rule in 0..self.pools.len() {
            let wanted = self.wanted_ips(rule, &self.pools[rule]);
            for ip in &wanted {
                if !self.pools[rule].has(*ip) {
                    self.pools[rule].add_ip(*ip);
                    let holders = self.reservations.iter().skip(rule).step_by(places.len());
                    for block in holders.flat_map(Reservation::blocks).filter(|block| block.ip() == *ip) {
                        self.pools[rule].claim(block);
                    }
                }
            }
            self.pools[rule].reorder(&wanted);
        }
        self.draining = if any_draining { drained } else { Vec::new() };
    }

    /// The active addresses of a rule: the configured ones, and of the automatic ones those in use.
    fn wanted_ips(&self, rule: usize, pool: &PortPool) -> Vec<Ipv4Addr> {
        let automatic = pool.ips().filter(|ip| rule == 0 && self.config.auto_ips.contains(ip));
        self.config.active_ips(rule).chain(automatic).collect()
    }

    /// After blocks came, went or changed places: ends the mappings whose port is gone, and counts the ports of the others
    /// anew. Mappings still have the numbers that reservations had when there were `rules_before` rules.
    fn recount(&mut self, rules_before: u32, now: SimTime) {
        self.owners.clear_all();
        for (ids, reservations) in [(0, &self.reservations), (DRAINING, &self.draining)] {
            for (id, reservation) in reservations.iter().enumerate() {
                let mut ordinal = 0;
                for block in reservation.blocks() {
                    self.owners.set(block, ids | id as u32, ordinal);
                    ordinal += block.size();
                }
            }
        }
        self.destinations = Destinations::default();
        self.bindings = self.bindings.is_some().then(Bindings::default);
        self.reservations.iter_mut().chain(&mut self.draining).for_each(Reservation::clear_usage);
        let live: Vec<_> = self.table.iter().map(|(entry, mapping)| (entry, mapping.clone())).collect();
        for (entry, mapping) in live {
            let Outside(ip, port) = mapping.outside();
            let tuple = mapping.inside_tuple();
            let Some((reservation, ordinal)) = self.owners.at(ip, port) else {
                self.table.remove(entry, Ended::Lost, now);
                if self.metering && mapping.phase().is_open() {
                    let endpoint = (mapping.reservation & !DRAINING) / rules_before;
                    let meters = &mut self.endpoints[endpoint as usize].meters;
                    meters[protocol_index(mapping.protocol())].closed_connections += 1;
                }
                continue;
            };
            let taken = self
                .destinations
                .this_one(Destination::of(reservation, &tuple), ordinal)
                .expect("two live mappings never share an outside tuple");
            let count = self.destinations.take(taken, entry.slot);
            if !mapping.phase().is_open() {
                self.destinations.time_wait(taken);
            }
            let owner = self.reservation_mut(reservation);
            owner.peaks[protocol_index(mapping.protocol())].rose_to(count);
            owner.use_port(ordinal);
            self.table.set_taken(entry, reservation, taken);
            if let Some(bindings) = &mut self.bindings
                && reservation & DRAINING == 0
            {
                bindings.add(&tuple, reservation, ordinal);
            }
        }
    }
}
