//! A Serverless VPC Access connector: a dispatcher, and the VMs behind it.
//!
//! Google documents that a connector's traffic comes from its own subnet, that it carries TCP and UDP only, and that it
//! is 2 to 10 VMs. A packet capture of a connector's target shows the VM's address and a new source port: each VM translates.
//! How flows are spread over the VMs is not documented; here a seeded hash of the flow decides (or of the instance:
//! `model.connector.affinity`). A real connector ends TCP connections and opens its own ("acts as a proxy"); here it
//! translates, so the client's own sequence numbers and options go through. Ports and timers are those of one Linux VM:
//! assumed, since Google publishes none. When the ports for a destination are used up the client is refused, in the words
//! of Google's troubleshooting page, where Cloud NAT would be silent.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::IdlePolicy;
use super::snat::{Refusal, Snat, can_be_reset};
use crate::time::SimTime;
use crate::trace::info::{Resource, VpcConnectorInfo};
use crate::trace::{DropCause, EntryId, Explain, Memo, PortId, State, Verdict};
use crate::wire::{Direction, FiveTuple, Packet, Protocol, Transport};

/// MTU on both sides of a connector, whatever the network's. Google: leave the network at this, its default; with a custom
/// MTU there may be issues (<https://docs.cloud.google.com/run/docs/configuring/networking-best-practices>, 2026).
pub const MTU: u32 = 1460;

/// First of Linux' default ephemeral ports (`ip_local_port_range`).
const FIRST_PORT: u16 = 32_768;
/// Google: connections from a container to the VPC are dropped after 10 minutes of idleness.
const IDLE: Duration = Duration::from_secs(600);
/// Linux' conntrack gives an unanswered SYN two minutes.
const TRANSITORY: Duration = Duration::from_secs(120);

/// The tunnel's end: spreads flows over the VMs.
#[derive(Debug)]
pub struct Connector {
    connector: Resource,
    /// Ports that lead to VMs, in the order in which flows are spread over them.
    vms: Vec<PortId>,
    ready: bool,
    /// Why it does not work, though it is READY, with the sentence that says so.
    blocked: Option<(DropCause, Arc<str>)>,
    /// Which packets pass is asked of each one.
    limited: bool,
    by_instance: bool,
    seed: u64,
    instances: HashMap<Ipv4Addr, PortId, FixedState>,
    /// Flows that were there when VMs were added: they stay where they are.
    pinned: HashMap<u128, PortId, FixedState>,
}

impl Connector {
    /// A connector without VMs. `seed` decides which flow takes which.
    pub fn new(connector: Resource, ready: bool, by_instance: bool, seed: u64) -> Self {
        let (vms, instances, pinned) = (Vec::new(), HashMap::default(), HashMap::default());
        Connector { connector, vms, ready, blocked: None, limited: false, by_instance, seed, instances, pinned }
    }

    /// Larger packets than [`MTU`] that must not be fragmented do not pass the tunnel, in either direction. That happens
    /// where the network has another MTU, and so lets such packets be made; elsewhere only captures of other networks have
    /// them, and they pass. Whether somebody is told, Google does not say; a connector carries no ICMP, so nobody is.
    pub fn limit_packets(&mut self) {
        self.limited = true;
    }

    fn memo(&self) -> Memo {
        if self.limited { Memo::Never } else { Memo::Pure }
    }

    /// Gives it these VMs from now on, behind these ports. `live` are the flows that the VMs which stay carry now: flows that
    /// begin later are spread over all.
    pub fn set_vms(&mut self, vms: Vec<PortId>, live: impl IntoIterator<Item = (FiveTuple, PortId)>) {
        self.vms = vms;
        self.pinned = live.into_iter().map(|(flow, vm)| (flow.key(), vm)).collect();
    }

    /// Ports that lead to VMs.
    pub fn vms(&self) -> &[PortId] {
        &self.vms
    }

    /// Whether it carries traffic.
    pub fn set_ready(&mut self, ready: bool) {
        self.ready = ready;
    }

    /// Firewall rules keep Google from reaching its VMs: why, and the sentence that names the rule. `None`: they do not.
    pub fn set_blocked(&mut self, blocked: Option<(DropCause, Arc<str>)>) {
        self.blocked = blocked;
    }

    /// Tells where an instance is reached.
    pub fn add_instance(&mut self, address: Ipv4Addr, port: PortId) {
        self.instances.insert(address, port);
    }

    /// An instance is gone.
    pub fn remove_instance(&mut self, address: Ipv4Addr) {
        self.instances.remove(&address);
    }

    /// Handles a packet that came through `from`.
    pub fn handle_packet(&mut self, packet: &mut Packet, from: PortId, explain: &mut Explain) -> Verdict {
        if self.limited && packet.wire_length() > MTU && packet.dont_fragment() {
            explain.say(State::Drop, || {
                let (name, length) = (&self.connector.name, packet.wire_length());
                format!("{length} bytes do not pass the tunnel of connector {name}: its MTU is {MTU}")
            });
            return Verdict::Drop(DropCause::SimMtuExceeded);
        }
        if self.vms.contains(&from) {
            return match self.instances.get(&packet.dst()) {
                Some(&port) => Verdict::Forward(port, self.memo()),
                None => Verdict::Drop(DropCause::SimInstanceGone),
            };
        }
        if !self.ready {
            explain.say(State::ArriveAtVpcConnector, || self.reached());
            explain.say(State::Drop, || format!("connector {} is not READY", self.connector.name));
            return Verdict::Drop(DropCause::VpcConnectorNotRunning);
        }
        if let Some((cause, why)) = &self.blocked {
            explain.say(State::ArriveAtVpcConnector, || self.reached());
            explain.say(State::Drop, || why.to_string());
            return Verdict::Drop(*cause);
        }
        let Some(tuple) = packet.five_tuple().filter(|tuple| tuple.protocol != Protocol::Icmp) else {
            explain.say(State::ArriveAtVpcConnector, || self.reached());
            explain.say(State::Drop, || format!("connector {} carries TCP and UDP only", self.connector.name));
            return Verdict::Drop(match packet.transport() {
                Transport::Fragment => DropCause::SimFragmentUnsupported,
                _ => DropCause::SimConnectorProtocolUnsupported,
            });
        };
        let pinned = if self.pinned.is_empty() { None } else { self.pinned.get(&tuple.key()) };
        let vm = pinned.copied().unwrap_or_else(|| {
            let key = if self.by_instance { u128::from(u32::from(tuple.src)) } else { tuple.key() };
            self.vms[spread(key, self.seed, self.vms.len() as u32) as usize]
        });
        Verdict::Forward(vm, self.memo())
    }

    fn reached(&self) -> (String, VpcConnectorInfo) {
        let connector = self.connector.clone();
        (format!("reaches VPC connector {}", connector.name), VpcConnectorInfo { connector })
    }
}

/// Spreads keys evenly over `count` buckets.
pub(super) fn spread(key: u128, seed: u64, count: u32) -> u32 {
    use std::hash::BuildHasher;
    let hash = foldhash::quality::FixedState::with_seed(seed).hash_one(key);
    ((u128::from(hash) * u128::from(count)) >> 64) as u32
}

/// Towards the dispatcher.
pub const TUNNEL: PortId = PortId(0);
/// Towards the VPC network.
pub const NIC: PortId = PortId(1);

/// How a connector VM translates.
#[derive(Debug, Clone, Copy)]
pub struct VmConfig {
    /// Source ports for each destination.
    pub ports: u32,
    /// How long the port of a closed connection rests.
    pub time_wait: Duration,
    /// What becomes of a connection that was idle for ten minutes.
    pub idle: IdlePolicy,
}

/// One connector VM: translates flows to its own address.
#[derive(Debug)]
pub struct ConnectorVm {
    name: Arc<str>,
    connector: Resource,
    address: Ipv4Addr,
    snat: Snat,
    idle: IdlePolicy,
    gone: bool,
}

impl ConnectorVm {
    /// A VM of `connector` with this address.
    pub fn new(name: Arc<str>, connector: Resource, address: Ipv4Addr, config: VmConfig) -> Self {
        let VmConfig { ports, time_wait, idle } = config;
        let ports = ports.min(u32::from(u16::MAX - FIRST_PORT) + 1);
        let snat = Snat::new(vec![address], FIRST_PORT, ports, [IDLE, IDLE, TRANSITORY, IDLE, time_wait]);
        ConnectorVm { name, connector, address, snat, idle, gone: false }
    }

    /// Its address in the connector's subnet.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Flows that it carries now, as the instances send them.
    pub fn live_flows(&self, now: SimTime) -> impl Iterator<Item = FiveTuple> + '_ {
        self.snat.live_flows(now)
    }

    /// It has been replaced: what still comes for it is lost.
    pub fn shut_down(&mut self) {
        self.gone = true;
    }

    /// Handles a packet that came through `from`.
    pub fn handle_packet(&mut self, packet: &mut Packet, from: PortId, now: SimTime, explain: &mut Explain) -> Verdict {
        if self.gone {
            return Verdict::Drop(DropCause::SimInstanceGone);
        }
        if from == TUNNEL {
            let before = packet.five_tuple();
            return match self.snat.outbound(packet, 0, now) {
                Ok(memo) => {
                    explain.say(State::ArriveAtVpcConnector, || {
                        let port = packet.five_tuple().map_or(0, |tuple| tuple.src_port);
                        let flow = before.map(|tuple| tuple.to_string()).unwrap_or_default();
                        let (name, address) = (&self.name, packet.src());
                        let text = format!(
                            "reaches VPC connector VM {name}, which gives {flow} its own source {address}:{port}"
                        );
                        (text, VpcConnectorInfo { connector: self.connector.clone() })
                    });
                    Verdict::Forward(NIC, memo)
                }
                Err(Refusal::Cause(cause)) => Verdict::Drop(cause),
                Err(Refusal::Expired(at)) => {
                    explain.say(State::Drop, || {
                        let idle = now.since(at).as_secs_f64();
                        format!(
                            "{}: the connection was forgotten {idle:.1} s earlier, after ten idle minutes",
                            self.name
                        )
                    });
                    self.idle.verdict(packet)
                }
                Err(Refusal::NoPort) => {
                    explain.say(State::ArriveAtVpcConnector, || {
                        let info = VpcConnectorInfo { connector: self.connector.clone() };
                        (format!("reaches VPC connector VM {}", self.name), info)
                    });
                    explain.say(State::Drop, || format!("{} has no free source port for {}", self.name, packet.dst()));
                    let cause = DropCause::SimConnectorPortsExhausted;
                    if can_be_reset(packet) {
                        let mut reset = Packet::empty();
                        reset.build_reset(packet);
                        Verdict::Refuse(cause, Box::new(reset))
                    } else {
                        Verdict::Drop(cause)
                    }
                }
            };
        }
        // ICMP errors end here: the tunnel carries TCP and UDP only, so the client sees a timeout.
        if packet.five_tuple().is_none_or(|tuple| tuple.protocol == Protocol::Icmp) {
            explain.say(State::Drop, || format!("{} carries TCP and UDP only", self.name));
            return Verdict::Drop(DropCause::SimConnectorProtocolUnsupported);
        }
        match self.snat.inbound(packet, now) {
            Ok(memo) => {
                explain.say(State::ArriveAtVpcConnector, || {
                    let text = format!("{} translates the destination back to {}", self.name, packet.dst());
                    (text, VpcConnectorInfo { connector: self.connector.clone() })
                });
                Verdict::Forward(TUNNEL, memo)
            }
            Err(cause) => {
                explain.say(State::Drop, || format!("{}: {}", self.name, cause.meaning()));
                Verdict::Drop(cause)
            }
        }
    }

    /// Handles a packet of a flow that came this way before; false when the entry is not enough.
    #[inline]
    pub fn handle_known(&mut self, entry: EntryId, packet: &mut Packet, from: PortId, now: SimTime) -> bool {
        let direction = if from == TUNNEL { Direction::Outbound } else { Direction::Inbound };
        self.snat.known(entry, packet, direction, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{TcpSegment, tcp_flags};

    fn resource() -> Resource {
        Resource::located("connectors", "us-central1", "c")
    }

    fn config(ports: u32) -> VmConfig {
        VmConfig { ports, time_wait: Duration::from_secs(60), idle: IdlePolicy::BlackHole }
    }

    fn syn(port: u16) -> Packet {
        let tuple = FiveTuple {
            src: Ipv4Addr::new(169, 254, 8, 1),
            dst: Ipv4Addr::new(198, 51, 100, 7),
            src_port: port,
            dst_port: 443,
            protocol: Protocol::Tcp,
        };
        let mut packet = Packet::empty();
        packet.build_tcp(tuple, TcpSegment { flags: tcp_flags::SYN, seq: 7, ack: 0, payload: 0 });
        packet
    }

    #[test]
    fn the_vm_wears_its_own_address_and_gives_the_reply_back() {
        let mut vm = ConnectorVm::new("vm".into(), resource(), Ipv4Addr::new(10, 8, 0, 2), config(28_232));
        let mut packet = syn(5000);
        let inside = packet.five_tuple().unwrap();
        let verdict = vm.handle_packet(&mut packet, TUNNEL, SimTime::ZERO, &mut Explain::silent());
        assert!(matches!(verdict, Verdict::Forward(NIC, _)));
        let outside = packet.five_tuple().unwrap();
        assert_eq!((outside.src, outside.src_port), (Ipv4Addr::new(10, 8, 0, 2), 32_768));
        let mut reply = Packet::empty();
        reply.build_tcp(outside.reversed(), TcpSegment { flags: 0x12, seq: 1, ack: 8, payload: 0 });
        vm.handle_packet(&mut reply, NIC, SimTime::ZERO, &mut Explain::silent());
        assert_eq!(reply.five_tuple(), Some(inside.reversed()));
    }

    #[test]
    fn a_vm_without_ports_refuses_and_is_not_silent() {
        let mut vm = ConnectorVm::new("vm".into(), resource(), Ipv4Addr::new(10, 8, 0, 2), config(1));
        vm.handle_packet(&mut syn(5000), TUNNEL, SimTime::ZERO, &mut Explain::silent());
        let mut second = syn(5001);
        let verdict = vm.handle_packet(&mut second, TUNNEL, SimTime::ZERO, &mut Explain::silent());
        let Verdict::Refuse(DropCause::SimConnectorPortsExhausted, reset) = verdict else { panic!("{verdict:?}") };
        assert_eq!(reset.five_tuple(), Some(second.five_tuple().unwrap().reversed()));
        assert_eq!(reset.tcp_numbers(), Some((0, 8, 0)), "RST, ACK of the SYN's number plus one");
    }

    #[test]
    fn flows_are_spread_evenly_over_the_vms() {
        let mut connector = Connector::new(resource(), true, false, 1);
        connector.set_vms((0..4).map(PortId).collect(), []);
        let mut counts = [0; 4];
        for port in 0..4000 {
            let verdict = connector.handle_packet(&mut syn(port), PortId(9), &mut Explain::silent());
            let Verdict::Forward(PortId(vm), Memo::Pure) = verdict else { panic!("{verdict:?}") };
            counts[vm as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn flows_that_were_there_stay_where_they_are_when_vms_are_added() {
        let mut connector = Connector::new(resource(), true, false, 1);
        let way = |connector: &mut Connector, port| {
            let verdict = connector.handle_packet(&mut syn(port), PortId(9), &mut Explain::silent());
            let Verdict::Forward(vm, Memo::Pure) = verdict else { panic!("{verdict:?}") };
            vm
        };
        connector.set_vms(vec![PortId(0), PortId(1)], []);
        let before: Vec<_> = (0..100).map(|port| way(&mut connector, port)).collect();
        let live = (0..100).map(|port| (syn(port).five_tuple().unwrap(), before[usize::from(port)]));
        connector.set_vms(vec![PortId(0), PortId(1), PortId(20)], live.collect::<Vec<_>>());
        let after: Vec<_> = (0..100).map(|port| way(&mut connector, port)).collect();
        assert_eq!(before, after);
        let new: Vec<_> = (100..200).map(|port| way(&mut connector, port)).collect();
        assert!(new.contains(&PortId(20)));
    }

    #[test]
    fn large_packets_are_held_back_only_where_the_network_has_another_mtu() {
        let large = |bytes: u16| {
            let mut packet = syn(1);
            let tuple = packet.five_tuple().unwrap();
            packet.build_tcp(tuple, TcpSegment { flags: tcp_flags::ACK, seq: 8, ack: 1, payload: bytes - 40 });
            packet
        };
        let mut connector = Connector::new(resource(), true, false, 1);
        connector.set_vms(vec![PortId(0)], []);
        connector.add_instance(Ipv4Addr::new(198, 51, 100, 7), PortId(9));
        let way = |connector: &mut Connector, bytes, from| {
            connector.handle_packet(&mut large(bytes), PortId(from), &mut Explain::silent())
        };
        assert_eq!(way(&mut connector, 1500, 9), Verdict::Forward(PortId(0), Memo::Pure));
        connector.limit_packets();
        // Each packet is asked for its size, so nothing is to be remembered.
        assert_eq!(way(&mut connector, 1460, 9), Verdict::Forward(PortId(0), Memo::Never));
        for from in [9, 0] {
            assert_eq!(way(&mut connector, 1461, from), Verdict::Drop(DropCause::SimMtuExceeded), "{from}");
        }
    }

    #[test]
    fn pings_are_not_carried() {
        let mut connector = Connector::new(resource(), true, false, 1);
        connector.set_vms((0..2).map(PortId).collect(), []);
        let tuple = FiveTuple { protocol: Protocol::Icmp, dst_port: 0, ..syn(1).five_tuple().unwrap() };
        let mut ping = Packet::empty();
        ping.build_echo(tuple, 1, 8);
        let verdict = connector.handle_packet(&mut ping, PortId(9), &mut Explain::silent());
        assert_eq!(verdict, Verdict::Drop(DropCause::SimConnectorProtocolUnsupported));
    }
}
