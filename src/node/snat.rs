//! Plain source translation, as a connector VM and Cloud Run's own internet egress do it: addresses with a range of
//! ports each, one mapping a flow. Unlike [`super::nat`] it knows no endpoints and no blocks.

use std::net::Ipv4Addr;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::nat::ended::EndedMappings;
use super::nat::mapping::{Ended, Lookup, MappingTable, Observed, Outside};
use super::nat::tcp::{Phase, Timer};
use super::nat::usage::{Destination, Destinations, Pick};
use crate::time::SimTime;
use crate::trace::{DropCause, EntryId, Memo};
use crate::wire::{Direction, FiveTuple, Packet, Protocol, Transport, tcp_flags};

/// A source translator.
#[derive(Debug)]
pub(super) struct Snat {
    addresses: Vec<Ipv4Addr>,
    /// Positions in `addresses`.
    by_address: HashMap<Ipv4Addr, u32, FixedState>,
    first_port: u16,
    ports: u32,
    table: MappingTable,
    destinations: Destinations,
    /// Established TCP connections that were idle for too long, as the inside sends them.
    forgotten: EndedMappings,
}

/// Why a packet could not be translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// All ports are taken for this destination.
    NoPort,
    /// The connection had been idle until its limit, which was then.
    Expired(SimTime),
    /// Anything else.
    Cause(DropCause),
}

impl Snat {
    /// A translator to these addresses, with this many ports from `first_port` on, and these timeouts by [`Timer`].
    pub(super) fn new(
        addresses: Vec<Ipv4Addr>,
        first_port: u16,
        ports: u32,
        timeouts: [Duration; Timer::COUNT],
    ) -> Self {
        let table = MappingTable::new(timeouts);
        let by_address = addresses.iter().enumerate().map(|(index, &address)| (address, index as u32)).collect();
        Snat {
            addresses,
            by_address,
            first_port,
            ports,
            table,
            destinations: Destinations::default(),
            forgotten: EndedMappings::default(),
        }
    }

    /// Flows that are known now, as the inside sends them.
    pub(super) fn live_flows(&self, now: SimTime) -> impl Iterator<Item = FiveTuple> + '_ {
        let live = self.table.iter().filter(move |(entry, _)| self.table.live_at(*entry, now).is_some());
        live.map(|(_, mapping)| mapping.inside_tuple())
    }

    /// Translates a packet of a known flow; false when the entry is not enough.
    #[inline]
    pub(super) fn known(&mut self, entry: EntryId, packet: &mut Packet, direction: Direction, now: SimTime) -> bool {
        let Some(mapping) = self.table.live_at(entry, now) else { return false };
        let (inside, outside, taken) = (mapping.inside(), mapping.outside(), mapping.taken);
        match self.table.observe(entry, direction, packet.tcp_flags(), now) {
            Observed::Refreshed => {}
            Observed::Closed => self.destinations.time_wait(taken),
            Observed::BeginsAnew => return false,
        }
        match direction {
            Direction::Outbound => packet.set_source(outside.0, outside.1),
            Direction::Inbound => packet.set_destination(inside.0, inside.1),
        }
        true
    }

    /// Translates a packet on its way out. `prefer` says with which address to begin looking for a port.
    pub(super) fn outbound(&mut self, packet: &mut Packet, prefer: usize, now: SimTime) -> Result<Memo, Refusal> {
        self.forget_expired(now);
        let Some(tuple) = packet.five_tuple().filter(|_| packet.transport() != Transport::IcmpEchoReply) else {
            return self.outbound_other(packet, now);
        };
        let known = self.table.by_inside(&tuple, now);
        if let Some(entry) = known
            && self.known(entry, packet, Direction::Outbound, now)
        {
            return Ok(Memo::Entry(entry));
        }
        let phase = match tuple.protocol {
            Protocol::Tcp => Phase::of_first_packet(packet.tcp_flags()),
            Protocol::Udp | Protocol::Icmp => Phase::Datagram,
        };
        let begins = tuple.protocol != Protocol::Tcp || packet.tcp_flags() & tcp_flags::SYN != 0;
        if !begins
            && known.is_none()
            && let Some((_, at)) = self.forgotten.find(&tuple)
        {
            return Err(Refusal::Expired(at));
        }
        for offset in 0..self.addresses.len() {
            let index = (prefer + offset) % self.addresses.len();
            let destination = Destination::of(index as u32, &tuple);
            if let Some(taken) = self.destinations.choose(destination, self.ports, Pick::Lowest) {
                // A socket that begins anew while its last connection is in TIME_WAIT.
                if let Some(entry) = known {
                    self.table.detach_inside(entry);
                }
                let outside = Outside(self.addresses[index], self.first_port + taken.ordinal as u16);
                let entry = self.table.insert(&tuple, outside, phase, index as u32, taken, now);
                self.destinations.take(taken, entry.slot);
                if !phase.is_open() {
                    self.destinations.time_wait(taken);
                }
                packet.set_source(outside.0, outside.1);
                return Ok(Memo::Entry(entry));
            }
        }
        Err(Refusal::NoPort)
    }

    fn outbound_other(&mut self, packet: &mut Packet, now: SimTime) -> Result<Memo, Refusal> {
        if let Some(embedded) = packet.embedded() {
            let entry = self.table.by_inside(&embedded.tuple.reversed(), now);
            if let Some(mapping) = entry.and_then(|entry| self.table.live_at(entry, now)) {
                let outside = mapping.outside();
                packet.set_source(outside.0, 0);
                packet.set_embedded_destination(&embedded, outside.0, outside.1);
                return Ok(Memo::Never);
            }
        }
        Err(Refusal::Cause(unsupported(packet)))
    }

    /// Translates a packet on its way back.
    pub(super) fn inbound(&mut self, packet: &mut Packet, now: SimTime) -> Result<Memo, DropCause> {
        self.forget_expired(now);
        if let Some(embedded) = packet.embedded() {
            let Lookup::Live(entry) = self.by_outside(&embedded.tuple, now) else {
                return Err(DropCause::SimUnsolicited);
            };
            let inside = self.table.live_at(entry, now).expect("the lookup said so").inside();
            packet.set_destination(inside.0, 0);
            packet.set_embedded_source(&embedded, inside.0, inside.1);
            return Ok(Memo::Never);
        }
        let Some(tuple) = packet.five_tuple() else { return Err(unsupported(packet)) };
        match self.by_outside(&tuple.reversed(), now) {
            Lookup::Live(entry) => {
                let known = self.known(entry, packet, Direction::Inbound, now);
                debug_assert!(known, "a live mapping takes every inbound packet");
                Ok(Memo::Entry(entry))
            }
            Lookup::Ended(Ended::Expired, _) => Err(DropCause::SimIdleExpired),
            Lookup::Ended(Ended::Lost, _) => Err(DropCause::SimMappingLost),
            Lookup::Unknown => Err(DropCause::SimUnsolicited),
        }
    }

    /// What is known of a flow as the outside would see it leave.
    fn by_outside(&mut self, outside: &FiveTuple, now: SimTime) -> Lookup {
        let slot = self.by_address.get(&outside.src).and_then(|&index| {
            let ordinal = u32::from(outside.src_port.checked_sub(self.first_port)?);
            self.destinations.holder(&Destination::of(index, outside), ordinal)
        });
        self.table.by_outside(slot, outside, now)
    }

    fn forget_expired(&mut self, now: SimTime) {
        while let Some(mapping) = self.table.expire(now) {
            if mapping.phase() == Phase::Established {
                let at = SimTime::from_nanos(mapping.deadline());
                self.forgotten.note(mapping.inside_tuple(), Ended::Expired, at);
            }
            self.destinations.release(mapping.taken, !mapping.phase().is_open());
        }
    }
}

fn unsupported(packet: &Packet) -> DropCause {
    match packet.transport() {
        Transport::Fragment => DropCause::SimFragmentUnsupported,
        Transport::IcmpError | Transport::IcmpOther | Transport::IcmpEchoReply => DropCause::SimIcmpUnsupported,
        _ => DropCause::TrafficTypeBlocked,
    }
}

/// Whether a packet may be answered with a reset.
pub(super) fn can_be_reset(packet: &Packet) -> bool {
    packet.transport() == Transport::Tcp && packet.tcp_flags() & tcp_flags::RST == 0
}
