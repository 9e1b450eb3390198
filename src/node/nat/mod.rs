//! A Public NAT gateway of Cloud NAT.
//!
//! Each endpoint (a VM, a connector VM, an address of a Cloud Run instance) has ports of the NAT IPs set aside for it. A
//! connection takes one of them, and the same port serves any number of connections whose destinations differ; so what
//! runs out is always "this endpoint's ports for that destination". In Google's network there is no gateway on the way:
//! each host translates for its own VMs. One station that does it for all gives the same translations. Google documents
//! ports, timers and drop reasons; what it leaves open is [`Behaviour`], with defaults from observation.
//!
//! ```text
//!             ┌──────────────────────── Gateway ────────────────────────┐
//!   INSIDE ──>│ endpoint ──> destinations: which of its ports are taken │──> OUTSIDE
//!             │    │ blocks             │ a port                        │
//!             │    v                    v                               │
//!             │ PortPool          MappingTable: inside <──> outside     │
//!             └─────────────────────────────────────────────────────────┘
//! ```
//!
//! Source: <https://docs.cloud.google.com/nat/docs/ports-and-addresses> and its neighbours, as of 2026-04.

mod allocation;
pub mod endpoint;
pub mod exhaustion;
pub mod mapping;
pub mod ports;
pub mod tcp;
pub mod usage;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

pub use self::endpoint::{Endpoint, EndpointConfig, Meter};
pub use self::exhaustion::{Exhaustion, Limit};
pub use self::ports::{PortBlock, PortPool, block_shape, blocks_per_ip};

use self::endpoint::protocol_index;
use self::exhaustion::Exhaustions;
use self::mapping::{Ended, Lookup, Mapping, MappingTable, Observed, Outside};
use self::tcp::{Phase, Timer};
use self::usage::{Destination, Destinations, Pick};
use crate::time::SimTime;
use crate::trace::{DropCause, EntryId, Explain, Memo, PortId, State, Verdict};
use crate::wire::{Direction, FiveTuple, Packet, Protocol, Transport, tcp_flags};

/// Towards the VPC network.
pub const INSIDE: PortId = PortId(0);
/// Towards the internet gateway.
pub const OUTSIDE: PortId = PortId(1);

/// A gateway's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Active NAT IPs, in order.
    pub nat_ips: Vec<Ipv4Addr>,
    /// NAT IPs being drained.
    pub drain_nat_ips: Vec<Ipv4Addr>,
    /// Addresses that the gateway may add by itself (`AUTO_ONLY`), in order.
    pub auto_ips: Vec<Ipv4Addr>,
    /// Ports set aside for each endpoint.
    pub min_ports: u32,
    /// Ports an endpoint may grow to; with static allocation, the minimum.
    pub max_ports: u32,
    /// Dynamic port allocation.
    pub dynamic: bool,
    /// Timeouts by [`Timer`].
    pub timeouts: [Duration; Timer::COUNT],
}

/// What Google does not document.
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

/// A Public NAT gateway.
#[derive(Debug)]
pub struct Gateway {
    name: Arc<str>,
    config: Config,
    behaviour: Behaviour,
    pool: PortPool,
    endpoints: Vec<Endpoint>,
    by_address: HashMap<Ipv4Addr, u32, FixedState>,
    table: MappingTable,
    destinations: Destinations,
    rng: ChaCha8Rng,
    /// Next look at the endpoints' usage (dynamic allocation only).
    next_evaluation: SimTime,
    /// When the next doubling becomes usable.
    next_growth: SimTime,
    exhaustions: Exhaustions,
    dropped_out_of_resources: u64,
    dropped_received: u64,
    log: Option<Vec<LogEvent>>,
    metering: bool,
}

impl Gateway {
    /// A gateway without endpoints. `rng` chooses ports when they are chosen at random.
    pub fn new(name: Arc<str>, config: Config, behaviour: Behaviour, rng: ChaCha8Rng) -> Self {
        Gateway {
            name,
            pool: PortPool::new(config.nat_ips.iter().copied()),
            endpoints: Vec::new(),
            by_address: HashMap::default(),
            table: MappingTable::new(config.timeouts),
            destinations: Destinations::default(),
            rng,
            next_evaluation: SimTime::NEVER,
            next_growth: SimTime::NEVER,
            exhaustions: Exhaustions::default(),
            dropped_out_of_resources: 0,
            dropped_received: 0,
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

    /// Active NAT IPs, those it added by itself included.
    pub fn nat_ips(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.pool.ips()
    }

    /// Endpoints in order of arrival; those that left are still there, without ports.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Exhaustions in order of their first drop.
    pub fn exhaustions(&self) -> &[Exhaustion] {
        self.exhaustions.all()
    }

    /// Packets out that were dropped for lack of a port.
    pub fn dropped_out_of_resources(&self) -> u64 {
        self.dropped_out_of_resources
    }

    /// Packets from outside that were dropped.
    pub fn dropped_received(&self) -> u64 {
        self.dropped_received
    }

    /// Live mappings, those in TIME_WAIT included.
    pub fn live_mappings(&self) -> usize {
        self.table.live()
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
        let (inside, outside, endpoint) = (mapping.inside(), mapping.outside(), mapping.endpoint);
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
            let meter = &mut self.endpoints[endpoint as usize].meters[protocol_index(protocol)];
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
        let Some(tuple) = packet.five_tuple().filter(|_| packet.transport() != Transport::IcmpEchoReply) else {
            return self.translate_outbound_other(packet, now, explain);
        };
        if let Some(entry) = self.table.by_inside(&tuple, now) {
            if self.handle_known(entry, packet, INSIDE, now) {
                explain.say(State::Nat, || {
                    format!(
                        "{} translates {tuple} to source {}:{} (known connection)",
                        self.name,
                        packet.src(),
                        outside_port(packet)
                    )
                });
                return Verdict::Forward(OUTSIDE, Memo::Entry(entry));
            }
            self.table.detach_inside(entry);
        }
        let phase = match tuple.protocol {
            Protocol::Tcp => Phase::of_first_packet(packet.tcp_flags()),
            Protocol::Udp | Protocol::Icmp => Phase::Datagram,
        };
        if phase != Phase::SynSent && phase != Phase::Datagram && self.behaviour.drop_midstream {
            explain.say(State::Drop, || format!("{}: TCP without SYN, and no mapping for {tuple}", self.name));
            return Verdict::Drop(DropCause::SimMidstream);
        }
        let destination = Destination::of(endpoint, &tuple);
        let ports = self.endpoints[endpoint as usize].ports;
        let pick = if self.behaviour.random_ports { Pick::Random(self.rng.next_u64()) } else { Pick::Lowest };
        let Some((taken, count)) = self.destinations.acquire(destination, ports, pick) else {
            return self.refuse(destination, &tuple, now, explain);
        };
        let owner = &mut self.endpoints[endpoint as usize];
        owner.peaks[protocol_index(tuple.protocol)].rose_to(count);
        owner.peak_usage = owner.peak_usage.max(count);
        let (ip, port) = owner.port(taken.ordinal);
        if self.config.dynamic && f64::from(count) >= self.behaviour.growth_trigger * f64::from(ports) {
            owner.wants_growth = true;
        }
        self.schedule_evaluation(now);
        let entry = self.table.insert(&tuple, Outside(ip, port), phase, endpoint, taken, now);
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
            let choice = if self.behaviour.random_ports { "a free one" } else { "the lowest free one" };
            format!(
                "{} gives {tuple} the source {ip}:{port}, {choice} of {ports} ports for this destination",
                self.name
            )
        });
        Verdict::Forward(OUTSIDE, Memo::Entry(entry))
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
            let Lookup::Live(entry) = self.table.by_outside(&embedded.tuple, now) else {
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
        let outside = tuple.reversed();
        match self.table.by_outside(&outside, now) {
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

    /// There is no port for a new connection.
    fn refuse(&mut self, destination: Destination, tuple: &FiveTuple, now: SimTime, explain: &mut Explain) -> Verdict {
        let endpoint = destination.endpoint;
        if self.pool.ips().next().is_none() {
            explain.say(State::Drop, || format!("{} has no NAT IP", self.name));
            return Verdict::Drop(DropCause::CloudNatNoAddresses);
        }
        if self.config.dynamic && self.behaviour.grow_on_drop {
            self.ask_for_growth(endpoint, now);
        }
        let limit = self.limit_of(endpoint);
        let owner = &mut self.endpoints[endpoint as usize];
        owner.dropped += 1;
        self.dropped_out_of_resources += 1;
        if self.metering {
            owner.meters[protocol_index(tuple.protocol)].dropped_out_of_resources += 1;
        }
        let ports = owner.ports;
        let (count, time_wait) = self.destinations.count(&destination);
        self.exhaustions.record(destination, limit, now, || (ports, count - time_wait, time_wait));
        if let Some(log) = &mut self.log
            && tuple.protocol != Protocol::Icmp
        {
            log.push(LogEvent { time: now, endpoint, tuple: *tuple, outside: None });
        }
        explain.say(State::Drop, || {
            format!(
                "{}: no free port for {} to {}:{}/{} ({count} of {ports} taken: {} open, {time_wait} in TIME_WAIT; {})",
                self.name,
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
        let (endpoint, taken, protocol) = (mapping.endpoint, mapping.taken, mapping.protocol());
        if self.metering {
            self.endpoints[endpoint as usize].meters[protocol_index(protocol)].closed_connections += 1;
        }
        // A mapping on a NAT IP that is being drained holds no countable port.
        if taken != allocation::NO_PORT {
            self.destinations.time_wait(taken);
        }
        if reset && self.behaviour.rst_frees {
            let mapping = self.table.remove(entry, Ended::Expired, now);
            self.free_port(&mapping);
        }
    }

    /// Forgets what has expired by now, and frees its ports.
    fn forget_expired(&mut self, now: SimTime) {
        while let Some(mapping) = self.table.expire(now) {
            self.free_port(&mapping);
        }
    }

    /// Gives the port of an ended mapping back.
    fn free_port(&mut self, mapping: &Mapping) {
        let owner = &mut self.endpoints[mapping.endpoint as usize];
        let protocol = protocol_index(mapping.protocol());
        if self.metering && mapping.phase().is_open() {
            owner.meters[protocol].closed_connections += 1;
        }
        if mapping.taken != allocation::NO_PORT {
            let (_, count) = self.destinations.release(mapping.taken, !mapping.phase().is_open());
            owner.peaks[protocol].fell_to(count);
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

    fn meter_received_drop(&mut self, packet: &Packet) {
        // A drop belongs to the endpoint whose block has the port, if any.
        let Some(tuple) = packet.five_tuple() else { return };
        let owner = self.endpoints.iter_mut().find(|endpoint| endpoint.ordinal(tuple.dst, tuple.dst_port).is_some());
        if let Some(owner) = owner {
            owner.meters[protocol_index(tuple.protocol)].dropped_received += 1;
        }
    }
}

/// The port that identifies a translated packet on the outside.
fn outside_port(packet: &Packet) -> u16 {
    packet.five_tuple().map_or(0, |tuple| tuple.src_port)
}

#[cfg(test)]
mod tests;
