//! What happens to a packet: found or made its mapping, its addresses and ports rewritten, or dropped.

use std::net::Ipv4Addr;

use rand_chacha::rand_core::Rng;

use super::endpoint::protocol_index;
use super::exhaustion::Exhaustion;
use super::mapping::{Ended, Lookup, Mapping, Observed, Outside};
use super::rules::DEFAULT_RULE;
use super::tcp::Phase;
use super::usage::{Destination, Pick, Taken};
use super::{Gateway, INSIDE, LogEvent, OUTSIDE, Refusal, Refused};
use crate::time::SimTime;
use crate::trace::info::{Ends, NatInfo, NatType};
use crate::trace::{DropCause, EntryId, Explain, Memo, PortId, State, Verdict};
use crate::wire::{Direction, FiveTuple, Packet, Protocol, Transport, tcp_flags};

/// Why there is no port for a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoPort {
    /// All are taken for its destination.
    AllTaken,
    /// The one it is bound to is taken by somebody else for its destination (endpoint-independent mapping).
    Conflict(Ipv4Addr, u16),
}

impl Gateway {
    /// Handles a packet that came through `from`.
    pub fn handle_packet(&mut self, packet: &mut Packet, from: PortId, now: SimTime, explain: &mut Explain) -> Verdict {
        self.forget_expired(now);
        let before = explain.listens().then(|| Ends::of(packet));
        let verdict = if from == INSIDE {
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
        };
        if let (Some(before), Some((router, network))) = (before, &self.belongs_to) {
            explain.inform(State::Nat, || NatInfo {
                nat_type: NatType::CloudNat,
                router: Some(router.clone()),
                nat_gateway_name: Some(self.name.to_string()),
                ..NatInfo::of(network, before, packet)
            });
        }
        verdict
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
        let opens_at = config.opens.to(packet.dst());
        if opens_at > now {
            explain.say(State::Drop, || {
                format!("{}: the ports of {} become usable at {opens_at}", self.name, config.name)
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
        self.drop_unsupported(packet, explain)
    }

    /// What is never translated, whichever way it goes.
    fn drop_unsupported(&self, packet: &Packet, explain: &mut Explain) -> Verdict {
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
            return self.drop_unsupported(packet, explain);
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
    pub(super) fn by_outside(&mut self, outside: &FiveTuple, now: SimTime) -> Lookup {
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
        let rule_number = self.config.rules.get(rule.wrapping_sub(1)).map_or(DEFAULT_RULE, |rule| rule.number);
        let refusal = |why| Refusal { time: now, tuple: *tuple, endpoint, rule: rule_number, why };
        if let NoPort::Conflict(other, other_port) = why {
            self.dropped_conflict += 1;
            if let Some(refusals) = &mut self.refusals {
                refusals.push(refusal(Refused::Conflict));
            }
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
        if let Some(refusals) = &mut self.refusals {
            let open = count - time_wait;
            refusals.push(refusal(Refused::Shortage { limit, allocated_ports: ports, open, time_wait }));
        }
        self.exhaustions.record(destination, limit, now, || Exhaustion {
            endpoint,
            rule: rule_number,
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
    pub(super) fn forget_expired(&mut self, now: SimTime) {
        while let Some(mapping) = self.table.expire(now) {
            self.free_port(&mapping);
        }
    }

    /// Gives the port of an ended mapping back.
    pub(super) fn free_port(&mut self, mapping: &Mapping) {
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
