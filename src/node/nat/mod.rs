//! A Public NAT gateway of Cloud NAT.
//!
//! Each endpoint (a VM, a connector VM, an address of a Cloud Run instance) has ports of the NAT IPs set aside for it. A
//! connection takes one of them, and the same port serves any number of connections whose destinations differ; so what
//! runs out is always "this endpoint's ports for that destination". In Google's network there is no gateway on the way:
//! each host translates for its own VMs. One station that does it for all gives the same translations. Google documents
//! ports, timers and drop reasons; what it leaves open is [`Behaviour`], with defaults from observation.
//!
//! ```text
//!             ┌────────────────────────── Gateway ──────────────────────────┐
//!             │ endpoint ─> rule ─> Reservation ─> Destinations ─> Mapping  │
//!   INSIDE ──>│ whose        which   its ports,     which of them   the     │──> OUTSIDE
//!             │ address      NAT IPs in blocks      are taken       entry   │
//!             │                         ^           for it          ^       │
//!             │              PortPool ──┘ PortOwners ───────────────┘       │
//!             │              free blocks  a reply's port: whose?            │
//!             └─────────────────────────────────────────────────────────────┘
//! ```
//!
//! Source: <https://docs.cloud.google.com/nat/docs/ports-and-addresses> and its neighbours, as of 2026-04.

mod allocation;
mod binding;
mod change;
mod config;
pub(super) mod ended;
pub mod endpoint;
pub mod exhaustion;
pub mod mapping;
mod owners;
mod port_map;
pub mod ports;
pub mod refusal;
pub mod reservation;
pub mod rules;
mod slab;
mod slot_index;
pub mod tcp;
mod translate;
pub mod usage;

use std::net::Ipv4Addr;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use rand_chacha::ChaCha8Rng;

pub use self::binding::BindingChoice;
pub use self::config::{Behaviour, Config};
pub use self::endpoint::{Endpoint, EndpointConfig, Meter};
pub use self::exhaustion::{Exhaustion, Limit};
pub use self::mapping::Ended;
pub use self::ports::{
    Excess, PortBlock, PortPool, block_shape, blocks_lacking, blocks_per_ip, excess, ports_at_least,
};
pub use self::refusal::{Refusal, Refused};
pub use self::reservation::Reservation;
pub use self::rules::{DEFAULT_RULE, Rule, RuleMatch};

use self::binding::Bindings;
use self::endpoint::protocol_index;
use self::exhaustion::Exhaustions;
use self::mapping::MappingTable;
use self::owners::PortOwners;
use self::rules::RuleTable;
use self::usage::Destinations;
use crate::time::SimTime;
use crate::trace::PortId;
use crate::trace::info::Resource;
use crate::wire::{FiveTuple, Protocol};

/// Towards the VPC network.
pub const INSIDE: PortId = PortId(0);
/// Towards the internet gateway.
pub const OUTSIDE: PortId = PortId(1);

/// Marks the number of a reservation on NAT IPs that are being drained.
const DRAINING: u32 = 1 << 31;

/// Something that Cloud NAT would log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEvent {
    /// When.
    pub time: SimTime,
    /// The endpoint.
    pub endpoint: u32,
    /// The flow as the endpoint sends it.
    pub tuple: FiveTuple,
    /// NAT IP and port; `None` when the packet was dropped for lack of one.
    pub outside: Option<(Ipv4Addr, u16)>,
}

/// A Public NAT gateway.
#[derive(Debug)]
pub struct Gateway {
    name: Arc<str>,
    config: Config,
    rules: RuleTable,
    behaviour: Behaviour,
    /// The NAT IPs of the default rule, then those of each rule.
    pools: Vec<PortPool>,
    endpoints: Vec<Endpoint>,
    /// By endpoint, and within one by pool.
    reservations: Vec<Reservation>,
    /// The same for blocks on NAT IPs being drained; empty as long as there is none.
    draining: Vec<Reservation>,
    by_address: HashMap<Ipv4Addr, u32, FixedState>,
    owners: PortOwners,
    table: MappingTable,
    destinations: Destinations,
    /// With endpoint-independent mapping.
    bindings: Option<Bindings>,
    rng: ChaCha8Rng,
    /// Its Cloud Router and its network, for traces.
    belongs_to: Option<(Resource, Resource)>,
    /// Which of the automatic addresses comes next.
    next_auto_ip: usize,
    /// Next look at the endpoints' usage (dynamic allocation only).
    next_evaluation: SimTime,
    /// When the next doubling becomes usable.
    next_growth: SimTime,
    exhaustions: Exhaustions,
    first_refusal: Option<SimTime>,
    dropped_out_of_resources: u64,
    dropped_conflict: u64,
    dropped_received: u64,
    /// Of these, those to ports that belong to no endpoint, by protocol; only when metering.
    dropped_received_elsewhere: [u64; 3],
    log: Option<Vec<LogEvent>>,
    refusals: Option<Vec<Refusal>>,
    metering: bool,
}

impl Gateway {
    /// A gateway without endpoints. `rng` chooses ports when they are chosen at random.
    pub fn new(name: Arc<str>, config: Config, behaviour: Behaviour, rng: ChaCha8Rng) -> Self {
        let pools = (0..=config.rules.len()).map(|rule| PortPool::new(config.active_ips(rule)));
        Gateway {
            name,
            rules: RuleTable::new(&config.rules),
            pools: pools.collect(),
            endpoints: Vec::new(),
            reservations: Vec::new(),
            draining: Vec::new(),
            by_address: HashMap::default(),
            owners: PortOwners::default(),
            table: MappingTable::new(config.timeouts),
            destinations: Destinations::default(),
            bindings: config.endpoint_independent.then(Bindings::default),
            rng,
            belongs_to: None,
            next_auto_ip: 0,
            next_evaluation: SimTime::NEVER,
            next_growth: SimTime::NEVER,
            exhaustions: Exhaustions::default(),
            first_refusal: None,
            dropped_out_of_resources: 0,
            dropped_conflict: 0,
            dropped_received: 0,
            dropped_received_elsewhere: [0; 3],
            log: None,
            refusals: None,
            metering: false,
            config,
            behaviour,
        }
    }

    /// Tells which Cloud Router and network it belongs to: a trace says so.
    #[must_use]
    pub fn belongs_to(mut self, router: Resource, network: Resource) -> Self {
        self.belongs_to = Some((router, network));
        self
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its configuration as it is now.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Active NAT IPs of the default rule, those it added by itself included.
    pub fn nat_ips(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.pools[0].ips()
    }

    /// Numbers of all rules: the default rule, then the others in ascending order. Elsewhere a rule is named by its
    /// position here.
    pub fn rule_numbers(&self) -> impl Iterator<Item = u32> + '_ {
        std::iter::once(DEFAULT_RULE).chain(self.config.rules.iter().map(|rule| rule.number))
    }

    /// Endpoints in order of arrival; those that left are still there, without ports.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The ports of an endpoint (by its number) under a rule (by its position).
    pub fn reservation(&self, endpoint: usize, rule: usize) -> &Reservation {
        &self.reservations[endpoint * self.pools.len() + rule]
    }

    /// The ports of an endpoint under all rules, the default rule first.
    pub fn reservations(&self, endpoint: usize) -> &[Reservation] {
        let rules = self.pools.len();
        &self.reservations[endpoint * rules..(endpoint + 1) * rules]
    }

    /// The same on NAT IPs that are being drained; empty if none is.
    pub fn draining(&self, endpoint: usize) -> &[Reservation] {
        let rules = self.pools.len();
        self.draining.get(endpoint * rules..(endpoint + 1) * rules).unwrap_or_default()
    }

    /// Most connections of an endpoint to one destination now, by protocol: the metric `port_usage`.
    pub fn port_usage(&self, endpoint: usize, protocol: Protocol) -> u32 {
        let all = self.reservations(endpoint).iter().chain(self.draining(endpoint));
        all.map(|reservation| reservation.peaks[protocol_index(protocol)].now()).max().unwrap_or(0)
    }

    /// Exhaustions in order of their first drop.
    pub fn exhaustions(&self) -> &[Exhaustion] {
        self.exhaustions.all()
    }

    /// When a new connection was first refused, for whatever reason.
    pub fn first_refusal(&self) -> Option<SimTime> {
        self.first_refusal
    }

    /// Packets out that were dropped for lack of a port.
    pub fn dropped_out_of_resources(&self) -> u64 {
        self.dropped_out_of_resources
    }

    /// Packets out that were dropped by a conflict of endpoint-independent mapping.
    pub fn dropped_conflict(&self) -> u64 {
        self.dropped_conflict
    }

    /// Packets from outside that were dropped.
    pub fn dropped_received(&self) -> u64 {
        self.dropped_received
    }

    /// Of these, those to ports that belong to no endpoint; none unless the gateway was told to meter.
    pub fn dropped_received_elsewhere(&self, protocol: Protocol) -> u64 {
        self.dropped_received_elsewhere[protocol_index(protocol)]
    }

    /// Live mappings, those in TIME_WAIT included.
    pub fn live_mappings(&self) -> usize {
        self.table.live()
    }

    /// Ports set aside for endpoints and ports that are free, over all active NAT IPs.
    pub fn reserved_and_free(&self) -> (u64, u64) {
        let growing = |reservation: &Reservation| {
            let blocks = reservation.growth.iter().flat_map(|growth| &growth.blocks);
            blocks.map(|block| u64::from(block.size())).sum::<u64>()
        };
        let held = self.reservations.iter().map(|reservation| u64::from(reservation.ports) + growing(reservation));
        (held.sum(), self.pools.iter().map(|pool| u64::from(pool.free())).sum())
    }

    /// From now on keep what Cloud NAT would log, for [`Gateway::take_log`].
    pub fn keep_log(&mut self) {
        self.log.get_or_insert_default();
    }

    /// Takes what there was to log since the last call.
    pub fn take_log(&mut self) -> Vec<LogEvent> {
        self.log.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// What there is to log, still to be taken.
    pub fn log(&self) -> &[LogEvent] {
        self.log.as_deref().unwrap_or_default()
    }

    /// From now on keep every refusal, for [`Gateway::take_refusals`].
    pub fn keep_refusals(&mut self) {
        self.refusals.get_or_insert_default();
    }

    /// Takes the refusals since the last call, in order of time: one for each packet dropped for lack of a port or by a
    /// conflict.
    pub fn take_refusals(&mut self) -> Vec<Refusal> {
        self.refusals.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// How the latest mapping ended that looked so from outside, and when; `None` if there is one, or never was.
    pub fn ended(&mut self, outside: &FiveTuple, now: SimTime) -> Option<(Ended, SimTime)> {
        match self.by_outside(outside, now) {
            mapping::Lookup::Ended(why, at) => Some((why, at)),
            mapping::Lookup::Live(_) | mapping::Lookup::Unknown => None,
        }
    }

    /// From now on count traffic by endpoint and protocol.
    pub fn keep_meters(&mut self) {
        self.metering = true;
    }

    /// Brings the tables to this time: what has expired by now is gone.
    pub fn settle(&mut self, now: SimTime) {
        self.forget_expired(now);
    }

    fn endpoint_of(&self, address: Ipv4Addr) -> Option<u32> {
        self.by_address.get(&address).copied().or_else(|| {
            let serves = |endpoint: &Endpoint| {
                !endpoint.gone && endpoint.config.alias_ranges.iter().any(|range| range.contains(&address))
            };
            self.endpoints.iter().position(serves).map(|index| index as u32)
        })
    }

    /// The endpoint that has a reservation, and the position of its rule.
    #[inline]
    fn endpoint_and_rule(&self, reservation: u32) -> (u32, usize) {
        let (index, rules) = (reservation & !DRAINING, self.pools.len() as u32);
        (index / rules, (index % rules) as usize)
    }

    #[inline]
    fn reservation_mut(&mut self, id: u32) -> &mut Reservation {
        match id & DRAINING {
            0 => &mut self.reservations[id as usize],
            _ => &mut self.draining[(id & !DRAINING) as usize],
        }
    }

    fn meter(&mut self, reservation: u32, protocol: Protocol) -> &mut Meter {
        let (endpoint, _) = self.endpoint_and_rule(reservation);
        &mut self.endpoints[endpoint as usize].meters[protocol_index(protocol)]
    }
}

#[cfg(test)]
mod tests;
