//! External addresses of VMs: each is translated one to one, ports untouched, between the VM's primary inside address and
//! the internet.
//!
//! Google: packets from the primary address of an interface with an external address never use Cloud NAT, whoever covers
//! its subnet; and a VM without one reaches another VM's external address through Cloud NAT, though both are in one
//! network. In Google's network the VM's host translates; one station for all does the same. It keeps no state: the
//! firewall decides who comes in.

use std::net::Ipv4Addr;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::trace::info::{Ends, NatInfo, NatType, Resource};
use crate::trace::{DropCause, Explain, Memo, PortId, State, Verdict};
use crate::wire::Packet;

/// Towards the VPC network.
pub const INSIDE: PortId = PortId(0);
/// Towards the internet gateway.
pub const OUTSIDE: PortId = PortId(1);

/// The external addresses of a network's VMs.
#[derive(Debug)]
pub struct ExternalAddresses {
    network: Arc<str>,
    external: HashMap<Ipv4Addr, Ipv4Addr, FixedState>,
    internal: HashMap<Ipv4Addr, Ipv4Addr, FixedState>,
}

impl ExternalAddresses {
    /// Pairs of internal and external addresses.
    pub fn new(network: Arc<str>, pairs: impl IntoIterator<Item = (Ipv4Addr, Ipv4Addr)>) -> Self {
        let external: HashMap<_, _, FixedState> = pairs.into_iter().collect();
        let internal = external.iter().map(|(&internal, &external)| (external, internal)).collect();
        ExternalAddresses { network, external, internal }
    }

    /// Handles a packet that came through `from`.
    pub fn handle_packet(&mut self, packet: &mut Packet, from: PortId, explain: &mut Explain) -> Verdict {
        let before = explain.listens().then(|| Ends::of(packet));
        let verdict = self.translate(packet, from, explain);
        if let Some(before) = before {
            let network = Resource::network(Arc::clone(&self.network));
            let nat_type = if from == INSIDE { NatType::InternalToExternal } else { NatType::ExternalToInternal };
            explain.inform(State::Nat, || NatInfo { nat_type, ..NatInfo::of(&network, before, packet) });
        }
        verdict
    }

    fn translate(&self, packet: &mut Packet, from: PortId, explain: &mut Explain) -> Verdict {
        let embedded = packet.embedded();
        if from == INSIDE {
            let internal = packet.src();
            let Some(&external) = self.external.get(&internal) else {
                explain.say(State::Drop, || format!("{internal} has no external address in {}", self.network));
                return Verdict::Drop(DropCause::NoExternalAddress);
            };
            // The quoted packet is one that had come in.
            if let Some(embedded) = &embedded {
                packet.set_embedded_destination(embedded, external, embedded.tuple.dst_port);
            }
            packet.set_source(external, packet.five_tuple().map_or(0, |tuple| tuple.src_port));
            explain.say(State::Nat, || format!("{internal} leaves as its external address {external}"));
            return Verdict::Forward(OUTSIDE, Memo::Never);
        }
        let external = packet.dst();
        let Some(&internal) = self.internal.get(&external) else {
            explain.say(State::Drop, || format!("no VM of {} has the address {external}", self.network));
            return Verdict::Drop(DropCause::SimUnsolicited);
        };
        if let Some(embedded) = &embedded {
            packet.set_embedded_source(embedded, internal, embedded.tuple.src_port);
        }
        packet.set_destination(internal, packet.five_tuple().map_or(0, |tuple| tuple.dst_port));
        explain.say(State::Nat, || format!("external address {external} is {internal}"));
        Verdict::Forward(INSIDE, Memo::Never)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{FiveTuple, IcmpError, Protocol, TcpSegment, tcp_flags};

    const VM: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 5);
    const EXTERNAL: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 99);
    const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

    fn station() -> ExternalAddresses {
        ExternalAddresses::new("vpc".into(), [(VM, EXTERNAL)])
    }

    fn from_client() -> FiveTuple {
        FiveTuple { src: CLIENT, dst: EXTERNAL, src_port: 50_000, dst_port: 443, protocol: Protocol::Tcp }
    }

    fn syn(tuple: FiveTuple) -> Packet {
        let mut packet = Packet::empty();
        packet.build_tcp(tuple, TcpSegment { flags: tcp_flags::SYN, seq: 1, ack: 0, payload: 0 });
        packet
    }

    #[test]
    fn only_the_address_changes_and_there_and_back_is_the_identity() {
        let mut station = station();
        let mut packet = syn(from_client());
        let verdict = station.handle_packet(&mut packet, OUTSIDE, &mut Explain::silent());
        assert_eq!(verdict, Verdict::Forward(INSIDE, Memo::Never));
        assert_eq!(packet.five_tuple(), Some(FiveTuple { dst: VM, ..from_client() }));
        let mut answer = syn(packet.five_tuple().unwrap().reversed());
        let verdict = station.handle_packet(&mut answer, INSIDE, &mut Explain::silent());
        assert_eq!(verdict, Verdict::Forward(OUTSIDE, Memo::Never));
        assert_eq!(answer.five_tuple(), Some(from_client().reversed()));
    }

    #[test]
    fn an_icmp_error_quotes_what_its_receiver_had_sent() {
        let mut station = station();
        let original = syn(from_client());
        let mut packet = original.clone();
        station.handle_packet(&mut packet, OUTSIDE, &mut Explain::silent());
        let mut error = Packet::empty();
        assert!(error.build_icmp_error(IcmpError::PortUnreachable, &packet, VM));
        station.handle_packet(&mut error, INSIDE, &mut Explain::silent());
        assert_eq!((error.src(), error.embedded().unwrap().tuple), (EXTERNAL, from_client()));
        assert_eq!(&error.bytes()[28..], original.bytes());
    }

    #[test]
    fn other_addresses_do_not_pass() {
        let mut station = station();
        let mut stranger = syn(FiveTuple { dst: Ipv4Addr::new(203, 0, 113, 98), ..from_client() });
        let verdict = station.handle_packet(&mut stranger, OUTSIDE, &mut Explain::silent());
        assert_eq!(verdict, Verdict::Drop(DropCause::SimUnsolicited));
        let mut other = syn(FiveTuple { src: Ipv4Addr::new(10, 8, 0, 6), ..from_client() });
        let verdict = station.handle_packet(&mut other, INSIDE, &mut Explain::silent());
        assert_eq!(verdict, Verdict::Drop(DropCause::NoExternalAddress));
    }
}
