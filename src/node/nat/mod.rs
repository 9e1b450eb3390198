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
mod ended;
pub mod endpoint;
pub mod exhaustion;
pub mod mapping;
mod owners;
mod port_map;
pub mod ports;
pub mod reservation;
pub mod rules;
mod slab;
mod slot_index;
pub mod tcp;
pub mod usage;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

pub use self::binding::BindingChoice;
pub use self::endpoint::{Endpoint, EndpointConfig, Meter};
pub use self::exhaustion::{Exhaustion, Limit};
pub use self::ports::{PortBlock, PortPool, block_shape, blocks_per_ip};
pub use self::reservation::Reservation;
pub use self::rules::{DEFAULT_RULE, Rule, RuleMatch};

use self::binding::Bindings;
use self::endpoint::protocol_index;
use self::exhaustion::Exhaustions;
use self::mapping::{Ended, Lookup, Mapping, MappingTable, Observed, Outside};
use self::owners::PortOwners;
use self::rules::RuleTable;
use self::tcp::{Phase, Timer};
use self::usage::{Destination, Destinations, Pick, Taken};
use crate::time::SimTime;
use crate::trace::{DropCause, EntryId, Explain, Memo, PortId, State, Verdict};
use crate::wire::{Direction, FiveTuple, Packet, Protocol, Transport, tcp_flags};

/// Towards the VPC network.
pub const INSIDE: PortId = PortId(0);
/// Towards the internet gateway.
pub const OUTSIDE: PortId = PortId(1);

/// Marks the number of a reservation on NAT IPs that are being drained.
const DRAINING: u32 = 1 << 31;

/// A gateway's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Active NAT IPs, in order.
    pub nat_ips: Vec<Ipv4Addr>,
    /// NAT IPs being drained.
    pub drain_nat_ips: Vec<Ipv4Addr>,
    /// Addresses that the gateway may add by itself (`AUTO_ONLY`), in order.
    pub auto_ips: Vec<Ipv4Addr>,
    /// NAT rules in ascending order of their numbers.
    pub rules: Vec<Rule>,
    /// Ports set aside for each endpoint, under each rule.
    pub min_ports: u32,
    /// Ports an endpoint may grow to; with static allocation, the minimum.
    pub max_ports: u32,
    /// Dynamic port allocation.
    pub dynamic: bool,
    /// Endpoint-independent mapping.
    pub endpoint_independent: bool,
    /// Timeouts by [`Timer`].
    pub timeouts: [Duration; Timer::COUNT],
}

impl Default for Config {
    /// Google's defaults: 64 ports, static, no rules; TIME_WAIT of 30 s, as new gateways have it since 2026-09-30. No NAT IP.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Config {
            nat_ips: Vec::new(),
            drain_nat_ips: Vec::new(),
            auto_ips: Vec::new(),
            rules: Vec::new(),
            min_ports: 64,
            max_ports: 64,
            dynamic: false,
            endpoint_independent: false,
            timeouts: [seconds(30), seconds(30), seconds(30), seconds(1200), seconds(30)],
        }
    }
}

impl Config {
    /// The active NAT IPs of a rule, by its position. An address that several rules have is the first one's: Google does
    /// not say what happens, and ports of one address cannot be set aside twice.
    fn active_ips(&self, rule: usize) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.listed_ips(rule)
            .iter()
            .copied()
            .filter(move |ip| !(0..rule).any(|other| self.listed_ips(other).contains(ip)))
    }

    fn listed_ips(&self, rule: usize) -> &[Ipv4Addr] {
        rule.checked_sub(1).map_or(&self.nat_ips, |rule| &self.rules[rule].nat_ips)
    }

    /// Whether a rule, by its position, is to let connections on this NAT IP end by themselves. Not if another rule has
    /// it for new ones.
    fn drains(&self, rule: usize, ip: Ipv4Addr) -> bool {
        let drained = rule.checked_sub(1).map_or(&self.drain_nat_ips, |rule| &self.rules[rule].drain_nat_ips);
        drained.contains(&ip) && !(0..=self.rules.len()).any(|rule| self.listed_ips(rule).contains(&ip))
    }
}

/// What Google does not document. The defaults are those of a scenario's `model.nat`.
#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour {
    /// Random free port instead of the lowest one.
    pub random_ports: bool,
    /// In a shortage, an endpoint keeps what there is instead of getting nothing.
    pub partial_allocation: bool,
    /// TCP without SYN and without a mapping is dropped.
    pub drop_midstream: bool,
    /// An RST frees the port at once.
    pub rst_frees: bool,
    /// Share of the ports in use at which an endpoint asks for more.
    pub growth_trigger: f64,
    /// A drop asks for more, too.
    pub grow_on_drop: bool,
    /// How long a doubling takes.
    pub growth_delay: Duration,
    /// Share of the ports in use below which an endpoint gives back.
    pub shrink_below: f64,
    /// For how long.
    pub shrink_after: Duration,
    /// How often usage is looked at.
    pub evaluate_every: Duration,
    /// With dynamic allocation, any change of the configuration puts every endpoint back to its minimum.
    pub reset_on_change: bool,
    /// With endpoint-independent mapping, to which port a newcomer is bound.
    pub binding_choice: BindingChoice,
}

impl Default for Behaviour {
    fn default() -> Self {
        Behaviour {
            random_ports: false,
            partial_allocation: true,
            drop_midstream: false,
            rst_frees: false,
            growth_trigger: 0.8,
            grow_on_drop: true,
            growth_delay: Duration::from_secs(20),
            shrink_below: 0.25,
            shrink_after: Duration::from_secs(300),
            evaluate_every: Duration::from_secs(10),
            reset_on_change: true,
            binding_choice: BindingChoice::LeastLoaded,
        }
    }
}

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

/// Why there is no port for a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoPort {
    /// All are taken for its destination.
    AllTaken,
    /// The one it is bound to is taken by somebody else for its destination (endpoint-independent mapping).
    Conflict(Ipv4Addr, u16),
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
            metering: false,
            config,
            behaviour,
        }
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

    /// From now on count traffic by endpoint and protocol.
    pub fn keep_meters(&mut self) {
        self.metering = true;
    }

    /// Brings the tables to this time: what has expired by now is gone.
    pub fn settle(&mut self, now: SimTime) {
        self.forget_expired(now);
    }

    /// Handles a packet that came through `from`.
    pub fn handle_packet(&mut self, packet: &mut Packet, from: PortId, now: SimTime, explain: &mut Explain) -> Verdict {
        self.forget_expired(now);
        if from == INSIDE {
            self.translate_outbound(packet, now, explain)
        } else {
            let verdict = self.translate_inbound(packet, now, explain);
            if matches!(verdict, Verdict::Drop(_)) {
                self.dropped_received += 1;
                if self.metering {
                    self.meter_received_drop(packet);
                }
            }
            verdict
        }
    }

    /// Handles a packet of a flow that came this way before: `entry` is what [`Gateway::handle_packet`] had told. Returns
    /// false, and leaves the packet alone, when that is no longer enough.
    #[inline]
    pub fn handle_known(&mut self, entry: EntryId, packet: &mut Packet, from: PortId, now: SimTime) -> bool {
        let Some(mapping) = self.table.live_at(entry, now) else { return false };
        let (inside, outside, reservation) = (mapping.inside(), mapping.outside(), mapping.reservation);
        let protocol = mapping.protocol();
        let outbound = from == INSIDE;
        debug_assert_eq!(
            packet.five_tuple(),
            Some(if outbound { mapping.inside_tuple() } else { mapping.outside_tuple().reversed() }),
            "an entry is remembered for its own flow"
        );
        let direction = if outbound { Direction::Outbound } else { Direction::Inbound };
        let flags = packet.tcp_flags();
        match self.table.observe(entry, direction, flags, now) {
            Observed::Refreshed => {}
            Observed::Closed => self.close(entry, flags & tcp_flags::RST != 0, now),
            Observed::BeginsAnew => return false,
        }
        if self.metering {
            let meter = self.meter(reservation, protocol);
            let bytes = u64::from(packet.wire_length());
            if outbound {
                meter.sent_packets += 1;
                meter.sent_bytes += bytes;
            } else {
                meter.received_packets += 1;
                meter.received_bytes += bytes;
            }
        }
        if outbound {
            packet.set_source(outside.0, outside.1);
        } else {
            packet.set_destination(inside.0, inside.1);
        }
        true
    }

    fn translate_outbound(&mut self, packet: &mut Packet, now: SimTime, explain: &mut Explain) -> Verdict {
        let tuple = packet.five_tuple().filter(|_| packet.transport() != Transport::IcmpEchoReply);
        // First, because it waits for memory: what follows for a new connection is done meanwhile.
        let known = tuple.and_then(|tuple| self.table.by_inside(&tuple, now));
        if let Some(entry) = known
            && self.handle_known(entry, packet, INSIDE, now)
        {
            explain.say(State::Nat, || {
                let flow = tuple.expect("a known flow has one");
                let port = outside_port(packet);
                format!("{} translates {flow} to source {}:{port} (known connection)", self.name, packet.src())
            });
            return Verdict::Forward(OUTSIDE, Memo::Entry(entry));
        }
        let Some(endpoint) = self.endpoint_of(packet.src()) else {
            explain.say(State::Drop, || format!("{} does not serve {}", self.name, packet.src()));
            return Verdict::Drop(DropCause::NoExternalAddress);
        };
        let config = &self.endpoints[endpoint as usize].config;
        if config.opens_at > now {
            explain.say(State::Drop, || {
                format!("{}: the ports of {} become usable at {}", self.name, config.name, config.opens_at)
            });
            return Verdict::Drop(DropCause::SimEgressNotOpen);
        }
        let Some(tuple) = tuple else {
            return self.translate_outbound_other(packet, now, explain);
        };
        let phase = match tuple.protocol {
            Protocol::Tcp => Phase::of_first_packet(packet.tcp_flags()),
            Protocol::Udp | Protocol::Icmp => Phase::Datagram,
        };
        if phase != Phase::SynSent && phase != Phase::Datagram && self.behaviour.drop_midstream {
            explain.say(State::Drop, || format!("{}: TCP without SYN, and no mapping for {tuple}", self.name));
            return Verdict::Drop(DropCause::SimMidstream);
        }
        let rule = self.rules.evaluate(&tuple).map_or(0, |rule| rule + 1);
        let reservation = endpoint * self.pools.len() as u32 + rule as u32;
        let destination = Destination::of(reservation, &tuple);
        let taken = match self.choose_port(destination, &tuple) {
            Ok(taken) => taken,
            Err(why) => return self.refuse(destination, &tuple, why, now, explain),
        };
        // A socket that begins anew while its last connection is in TIME_WAIT.
        if let Some(entry) = known {
            self.table.detach_inside(entry);
        }
        let owner = &mut self.reservations[reservation as usize];
        let ports = owner.ports;
        let (ip, port) = owner.use_port(taken.ordinal);
        let entry = self.table.insert(&tuple, Outside(ip, port), phase, reservation, taken, now);
        let count = self.destinations.take(taken, entry.slot);
        owner.peaks[protocol_index(tuple.protocol)].rose_to(count);
        owner.peak_usage = owner.peak_usage.max(count);
        if self.config.dynamic {
            if f64::from(count) >= self.behaviour.growth_trigger * f64::from(ports) {
                owner.wants_growth = true;
            }
            self.schedule_evaluation(now);
        }
        if let Some(bindings) = &mut self.bindings {
            bindings.add(&tuple, reservation, taken.ordinal);
        }
        if !phase.is_open() {
            self.destinations.time_wait(taken);
        }
        if let Some(log) = &mut self.log
            && tuple.protocol != Protocol::Icmp
        {
            log.push(LogEvent { time: now, endpoint, tuple, outside: Some((ip, port)) });
        }
        if self.metering {
            let meter = &mut self.endpoints[endpoint as usize].meters[protocol_index(tuple.protocol)];
            meter.new_connections += 1;
            meter.sent_packets += 1;
            meter.sent_bytes += u64::from(packet.wire_length());
        }
        packet.set_source(ip, port);
        explain.say(State::Nat, || {
            let choice = match (self.config.endpoint_independent, self.behaviour.random_ports) {
                (true, _) => format!("to which {}:{} is bound", tuple.src, tuple.src_port),
                (false, true) => format!("a free one of {ports} ports for this destination"),
                (false, false) => format!("the lowest free one of {ports} ports for this destination"),
            };
            format!("{}{} gives {tuple} the source {ip}:{port}, {choice}", self.name, self.rule_text(rule))
        });
        Verdict::Forward(OUTSIDE, Memo::Entry(entry))
    }

    /// A port for a new connection.
    #[inline]
    fn choose_port(&mut self, destination: Destination, tuple: &FiveTuple) -> Result<Taken, NoPort> {
        let ports = self.reservations[destination.reservation as usize].ports;
        let pick = if self.behaviour.random_ports { Pick::Random(self.rng.next_u64()) } else { Pick::Lowest };
        let Some(bindings) = &mut self.bindings else {
            return self.destinations.choose(destination, ports, pick).ok_or(NoPort::AllTaken);
        };
        let choice = self.behaviour.binding_choice;
        let ordinal = bindings.ordinal(tuple, destination.reservation, ports, choice, pick).ok_or(NoPort::AllTaken)?;
        if let Some(taken) = self.destinations.this_one(destination, ordinal) {
            return Ok(taken);
        }
        let slot = self.destinations.holder(&destination, ordinal).expect("it is taken");
        let other = self.table.in_slot(slot).inside();
        // Its own earlier connection, in TIME_WAIT: no conflict between two endpoints, but the only port it may have is barred.
        match (other.0, other.1) == (tuple.src, tuple.src_port) {
            true => Err(NoPort::AllTaken),
            false => Err(NoPort::Conflict(other.0, other.1)),
        }
    }

    /// ` rule 100`, or nothing for the default rule.
    fn rule_text(&self, rule: usize) -> String {
        match rule {
            0 => String::new(),
            rule => format!(" rule {}", self.config.rules[rule - 1].number),
        }
    }

    /// What is neither TCP, UDP nor an echo request.
    fn translate_outbound_other(&mut self, packet: &mut Packet, now: SimTime, explain: &mut Explain) -> Verdict {
        if let Some(embedded) = packet.embedded() {
            // An error about a packet that had come in: it quotes that packet as the inside saw it.
            let flow = embedded.tuple.reversed();
            if let Some(mapping) = self.table.by_inside(&flow, now).and_then(|entry| self.table.live_at(entry, now)) {
                let outside = mapping.outside();
                packet.set_source(outside.0, 0);
                packet.set_embedded_destination(&embedded, outside.0, outside.1);
                explain.say(State::Nat, || {
                    format!("{} translates an ICMP error about {}, and the packet it quotes", self.name, embedded.tuple)
                });
                return Verdict::Forward(OUTSIDE, Memo::Never);
            }
        }
        let cause = match packet.transport() {
            Transport::Fragment => DropCause::SimFragmentUnsupported,
            Transport::Other(_) => DropCause::CloudNatProtocolUnsupported,
            _ => DropCause::SimIcmpUnsupported,
        };
        explain.say(State::Drop, || format!("{}: {}", self.name, cause.meaning()));
        Verdict::Drop(cause)
    }

    fn translate_inbound(&mut self, packet: &mut Packet, now: SimTime, explain: &mut Explain) -> Verdict {
        if let Some(embedded) = packet.embedded() {
            // An error about a packet that had gone out: it quotes that packet as the outside saw it.
            let Lookup::Live(entry) = self.by_outside(&embedded.tuple, now) else {
                explain.say(State::Drop, || {
                    format!("{}: an ICMP error about {}, which is no connection of its", self.name, embedded.tuple)
                });
                return Verdict::Drop(DropCause::SimUnsolicited);
            };
            let inside = self.table.live_at(entry, now).expect("the lookup said so").inside();
            packet.set_destination(inside.0, 0);
            packet.set_embedded_source(&embedded, inside.0, inside.1);
            explain.say(State::Nat, || {
                format!("{} translates an ICMP error for {}, and the packet it quotes", self.name, inside.0)
            });
            return Verdict::Forward(INSIDE, Memo::Never);
        }
        let Some(tuple) = packet.five_tuple() else {
            let cause = match packet.transport() {
                Transport::Fragment => DropCause::SimFragmentUnsupported,
                Transport::Other(_) => DropCause::CloudNatProtocolUnsupported,
                _ => DropCause::SimIcmpUnsupported,
            };
            explain.say(State::Drop, || format!("{}: {}", self.name, cause.meaning()));
            return Verdict::Drop(cause);
        };
        // Google documents that VMs reach external addresses of VMs of their own network, and nothing of the kind for NAT
        // IPs. Without this, a packet to a NAT IP would be let in by whoever sends to the port that it comes from; by
        // its own sender, if that is the port it goes to.
        if self.owners.know(tuple.src) {
            explain.say(State::Drop, || {
                format!("{}: from its own NAT IP {}, nothing comes back in", self.name, tuple.src)
            });
            return Verdict::Drop(DropCause::SimUnsolicited);
        }
        let outside = tuple.reversed();
        match self.by_outside(&outside, now) {
            Lookup::Live(entry) => {
                let known = self.handle_known(entry, packet, OUTSIDE, now);
                debug_assert!(known, "a live mapping takes every inbound packet");
                explain.say(State::Nat, || {
                    format!("{} translates the destination of {tuple} back to {}", self.name, packet.dst())
                });
                Verdict::Forward(INSIDE, Memo::Entry(entry))
            }
            Lookup::Ended(why, at) => {
                let (cause, verb) = match why {
                    Ended::Expired => (DropCause::SimIdleExpired, "expired"),
                    Ended::Lost => (DropCause::SimMappingLost, "was removed"),
                };
                explain.say(State::Drop, || {
                    let earlier = now.since(at).as_secs_f64();
                    format!("{}: mapping {}:{} {verb} {earlier:.1} s earlier", self.name, outside.src, outside.src_port)
                });
                Verdict::Drop(cause)
            }
            Lookup::Unknown => {
                explain.say(State::Drop, || {
                    format!(
                        "{}: nobody has sent from {}:{} to {}:{}",
                        self.name, outside.src, outside.src_port, outside.dst, outside.dst_port
                    )
                });
                Verdict::Drop(DropCause::SimUnsolicited)
            }
        }
    }

    /// What is known of a flow as the outside would see it leave.
    #[inline]
    fn by_outside(&mut self, outside: &FiveTuple, now: SimTime) -> Lookup {
        let slot = self.owners.at(outside.src, outside.src_port).and_then(|(reservation, ordinal)| {
            self.destinations.holder(&Destination::of(reservation, outside), ordinal)
        });
        self.table.by_outside(slot, outside, now)
    }

    /// There is no port for a new connection.
    fn refuse(
        &mut self,
        destination: Destination,
        tuple: &FiveTuple,
        why: NoPort,
        now: SimTime,
        explain: &mut Explain,
    ) -> Verdict {
        let reservation = destination.reservation;
        let (endpoint, rule) = self.endpoint_and_rule(reservation);
        self.first_refusal.get_or_insert(now);
        if self.pools[rule].ips().next().is_none() {
            explain.say(State::Drop, || format!("{}{} has no NAT IP", self.name, self.rule_text(rule)));
            return Verdict::Drop(DropCause::CloudNatNoAddresses);
        }
        self.endpoints[endpoint as usize].dropped += 1;
        if let Some(log) = &mut self.log
            && tuple.protocol != Protocol::Icmp
        {
            log.push(LogEvent { time: now, endpoint, tuple: *tuple, outside: None });
        }
        if let NoPort::Conflict(other, other_port) = why {
            self.dropped_conflict += 1;
            if self.metering {
                self.meter(reservation, tuple.protocol).dropped_conflict += 1;
            }
            explain.say(State::Drop, || {
                format!(
                    "{}: {}:{} shares its NAT port with {other}:{other_port}, which uses it towards {}:{}/{} already \
                     (endpoint-independent mapping)",
                    self.name, tuple.src, tuple.src_port, tuple.dst, tuple.dst_port, tuple.protocol
                )
            });
            return Verdict::Drop(DropCause::EndpointIndependenceConflict);
        }
        if self.config.dynamic && self.behaviour.grow_on_drop {
            self.ask_for_growth(reservation, now);
        }
        let limit = self.limit_of(reservation);
        self.dropped_out_of_resources += 1;
        if self.metering {
            self.meter(reservation, tuple.protocol).dropped_out_of_resources += 1;
        }
        let ports = self.reservations[reservation as usize].ports;
        let (count, time_wait) = self.destinations.count(&destination);
        self.exhaustions.record(destination, limit, now, || Exhaustion {
            endpoint,
            rule: self.config.rules.get(rule.wrapping_sub(1)).map_or(DEFAULT_RULE, |rule| rule.number),
            destination,
            limit,
            from: now,
            to: now,
            allocated_ports: ports,
            open: count - time_wait,
            time_wait,
            dropped: 1,
        });
        explain.say(State::Drop, || {
            format!(
                "{}{}: no free port for {} to {}:{}/{} ({count} of {ports} taken: {} open, {time_wait} in TIME_WAIT; {})",
                self.name,
                self.rule_text(rule),
                tuple.src,
                tuple.dst,
                tuple.dst_port,
                tuple.protocol,
                count - time_wait,
                limit.name(),
            )
        });
        Verdict::Drop(DropCause::OutOfResources)
    }

    /// Both sides have closed, or one has reset: the port rests, or is free at once.
    fn close(&mut self, entry: EntryId, reset: bool, now: SimTime) {
        let mapping = self.table.live_at(entry, now).expect("it was live just now");
        let (reservation, taken, protocol) = (mapping.reservation, mapping.taken, mapping.protocol());
        if self.metering {
            self.meter(reservation, protocol).closed_connections += 1;
        }
        self.destinations.time_wait(taken);
        if reset && self.behaviour.rst_frees {
            let mapping = self.table.remove(entry, Ended::Expired, now);
            self.free_port(&mapping);
        }
    }

    /// Forgets what has expired by now, and frees its ports.
    #[inline]
    fn forget_expired(&mut self, now: SimTime) {
        while let Some(mapping) = self.table.expire(now) {
            self.free_port(&mapping);
        }
    }

    /// Gives the port of an ended mapping back.
    fn free_port(&mut self, mapping: &Mapping) {
        let (reservation, protocol) = (mapping.reservation, mapping.protocol());
        let is_open = mapping.phase().is_open();
        if self.metering && is_open {
            self.meter(reservation, protocol).closed_connections += 1;
        }
        let count = self.destinations.release(mapping.taken, !is_open);
        let owner = self.reservation_mut(reservation);
        owner.peaks[protocol_index(protocol)].fell_to(count);
        owner.unuse_port(mapping.taken.ordinal);
        if let Some(bindings) = &mut self.bindings {
            bindings.remove(&mapping.inside_tuple(), reservation, mapping.taken.ordinal);
        }
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

    fn meter_received_drop(&mut self, packet: &Packet) {
        // A drop belongs to the endpoint whose block has the port, if any.
        let Some(tuple) = packet.five_tuple() else { return };
        match self.owners.at(tuple.dst, tuple.dst_port) {
            Some((reservation, _)) => self.meter(reservation, tuple.protocol).dropped_received += 1,
            None => self.dropped_received_elsewhere[protocol_index(tuple.protocol)] += 1,
        }
    }
}

/// The port that identifies a translated packet on the outside.
fn outside_port(packet: &Packet) -> u16 {
    packet.five_tuple().map_or(0, |tuple| tuple.src_port)
}

#[cfg(test)]
mod tests;
