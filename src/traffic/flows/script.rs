//! The scripted kind of endpoints: both sides of a connection in a few bytes each, without a stack.

use std::time::Duration;

use super::Flows;
use super::connection::{Connection, Kind, Phase, Server, tag, untag};
use crate::network::Network;
use crate::node::instance::SOCKETS;
use crate::sim::{Outcome, rng};
use crate::time::SimTime;
use crate::topology::NodeId;
use crate::trace::{DropCause, Failure, PortId};
use crate::traffic::half::Half;
use crate::wire::{Flow, Packet, Protocol, TcpSegment, tcp_flags};

/// Bytes of a datagram at most, so that it is not fragmented.
const DATAGRAM: u64 = 1400;
/// Ticks that the kernels of two instances are apart: a prime, so that they meet the steps of the timer wheel anywhere.
const BOOTED_APART: u64 = 7_919;

impl Flows {
    /// Sends a SYN, the first or once more, or the datagrams of a request.
    pub(super) fn open_client(&mut self, network: &mut Network, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        let spec = &self.specs[connection.traffic as usize];
        let attempt = connection.syns;
        connection.syns = connection.syns.saturating_add(1);
        match connection.flow.protocol() {
            Protocol::Tcp => {
                let (started, seq) = (connection.started, connection.client.bare_ack().seq.wrapping_sub(1));
                let retries = self.schedule.retries();
                if let Some(&seconds) = retries.get(usize::from(attempt)) {
                    let before = usize::from(attempt).checked_sub(1).map_or(0, |before| retries[before]);
                    let (now, due) = (network.engine().now(), started + Duration::from_secs(seconds));
                    // No two instances were started at the same tick.
                    let booted = u64::from(connection.instance.0) * BOOTED_APART;
                    let at = self.timers.fires(now, Duration::from_secs(seconds - before), due, booted);
                    self.wake_at(network, at, Kind::Retry, slot);
                }
                self.send_segment(network, slot, TcpSegment { flags: tcp_flags::SYN, seq, ack: 0, payload: 0 });
            }
            Protocol::Udp => {
                let bytes = spec.request_bytes;
                self.send_datagrams(network, slot, bytes);
            }
            Protocol::Icmp => {
                let payload = spec.request_bytes.min(DATAGRAM) as u16;
                let mut packet = network.engine_mut().spare_packet();
                packet.build_echo(connection.flow, 1, payload);
                self.send(network, slot, packet);
            }
        }
    }

    pub(super) fn retry(&mut self, network: &mut Network, slot: u32) {
        if self.connections[slot as usize].phase == Phase::Connecting {
            self.open_client(network, slot);
        }
    }

    fn send_datagrams(&mut self, network: &mut Network, slot: u32, bytes: u64) {
        for (index, payload) in datagrams(bytes).enumerate() {
            // The answer may have come, and the connection ended, while the request was still being sent.
            if index > 0 && self.connections[slot as usize].phase == Phase::Free {
                return;
            }
            let mut packet = network.engine_mut().spare_packet();
            packet.build_udp(self.connections[slot as usize].flow, payload);
            self.send(network, slot, packet);
        }
    }

    fn send_segment(&mut self, network: &mut Network, slot: u32, segment: TcpSegment) {
        let mut packet = network.engine_mut().spare_packet();
        packet.build_tcp(self.connections[slot as usize].flow, segment);
        self.send(network, slot, packet);
    }

    /// Sends a packet of the client.
    fn send(&mut self, network: &mut Network, slot: u32, mut packet: Packet) {
        let Connection { generation, instance, client_flow, .. } = self.connections[slot as usize];
        let token = tag(Kind::ClientPacket, generation, slot);
        let outcome = network.engine_mut().send(instance, SOCKETS, &mut packet, token, Some(client_flow));
        self.settle(network, outcome, packet, token);
    }

    /// Sends a packet of the server.
    fn send_from_server(
        &mut self,
        network: &mut Network,
        slot: u32,
        at: (NodeId, PortId),
        mut packet: Packet,
        known: bool,
    ) {
        let Connection { generation, server_flow, .. } = self.connections[slot as usize];
        let token = tag(Kind::ServerPacket, generation, slot);
        let flow = known.then_some(server_flow);
        let outcome = network.engine_mut().emit(at.0, at.1, &mut packet, token, flow);
        self.settle(network, outcome, packet, token);
    }

    /// What became of a packet at once. Without a way for IPv6 the instance's own kernel says so.
    fn settle(&mut self, network: &mut Network, outcome: Outcome, packet: Packet, token: u64) {
        match outcome {
            Outcome::Travelling | Outcome::Answered(..) => {}
            Outcome::Dropped(_, cause @ DropCause::SimIpv6Unavailable) => {
                if let Some((Kind::ClientPacket, generation, slot)) = untag(token)
                    && self.is_current(generation, slot)
                {
                    self.fail(network, slot, Failure::Dropped(cause));
                }
            }
            Outcome::Dropped(_, cause) => self.dropped(token, cause, &packet),
            Outcome::Delivered(node, from) => self.delivered(network, node, from, &packet, token),
        }
        network.engine_mut().recycle(packet);
    }

    /// The client gets a packet.
    pub(super) fn at_client(&mut self, network: &mut Network, slot: u32, packet: &Packet) {
        let Some((seq, ack, payload)) = packet.tcp_numbers() else {
            self.establish(network, slot);
            return;
        };
        let flags = packet.tcp_flags();
        let connection = &mut self.connections[slot as usize];
        if flags & tcp_flags::RST != 0 {
            let connecting = connection.phase == Phase::Connecting;
            // A connector without ports refuses on its own; then the drop says more than the reset.
            let refused = match connection.last_drop {
                Some(cause @ DropCause::SimConnectorPortsExhausted) => Failure::Dropped(cause),
                _ if connecting => Failure::Refused,
                Some(cause) => Failure::Dropped(cause),
                None => Failure::Reset,
            };
            self.fail(network, slot, refused);
            return;
        }
        if flags & tcp_flags::SYN != 0 {
            if connection.phase == Phase::Connecting {
                connection.client.set_peer(seq);
                connection.round_trip = network.engine().now() - connection.started;
                let bytes = self.specs[connection.traffic as usize].request_bytes;
                connection.client.write(bytes);
                self.establish(network, slot);
            }
            let segment = self.connections[slot as usize].client.bare_ack();
            self.send_segment(network, slot, segment);
            self.push_client(network, slot);
            return;
        }
        let due = connection.client.receive(flags, seq, ack, payload);
        connection.last_drop = None;
        self.continue_client(network, slot, due);
    }

    /// After something changed at the client: close in turn, send what may be sent, acknowledge, end.
    pub(super) fn continue_client(&mut self, network: &mut Network, slot: u32, acknowledge: bool) {
        let connection = &mut self.connections[slot as usize];
        if connection.client.peer_closed {
            connection.client.close();
        }
        let sent = self.push_client(network, slot);
        if acknowledge && !sent && self.connections[slot as usize].phase != Phase::Free {
            let segment = self.connections[slot as usize].client.bare_ack();
            self.send_segment(network, slot, segment);
        }
        self.end_if_done(network, slot);
    }

    /// Sends what the client may send. True when something was sent.
    fn push_client(&mut self, network: &mut Network, slot: u32) -> bool {
        let mut sent = false;
        while self.connections[slot as usize].phase == Phase::Open
            && let Some(segment) = self.connections[slot as usize].client.next_segment()
        {
            sent = true;
            self.send_segment(network, slot, segment);
        }
        let now = network.engine().now();
        let connection = &mut self.connections[slot as usize];
        if connection.phase == Phase::Open && connection.client.is_waiting() {
            connection.client_deadline = now + connection.client.timeout(connection.round_trip);
            if !std::mem::replace(&mut connection.client_timer, true) {
                let at = connection.client_deadline;
                self.wake_at(network, at, Kind::ClientTimeout, slot);
            }
        }
        sent
    }

    pub(super) fn client_timeout(&mut self, network: &mut Network, slot: u32) {
        let now = network.engine().now();
        let connection = &mut self.connections[slot as usize];
        connection.client_timer = false;
        if !connection.client.is_waiting() {
            return;
        }
        if connection.client_deadline > now {
            connection.client_timer = true;
            let at = connection.client_deadline;
            self.wake_at(network, at, Kind::ClientTimeout, slot);
        } else if connection.client.time_out() {
            self.push_client(network, slot);
        } else {
            let failure = connection.last_drop.map_or(Failure::NoAnswer, Failure::Dropped);
            self.fail(network, slot, failure);
        }
    }

    /// The server gets a packet.
    pub(super) fn at_server(
        &mut self,
        network: &mut Network,
        slot: u32,
        at: (NodeId, PortId),
        flow: Flow,
        packet: &Packet,
    ) {
        self.connections[slot as usize].outside = Some(flow);
        let spec = &self.specs[self.connections[slot as usize].traffic as usize];
        let Some((seq, ack, payload)) = packet.tcp_numbers() else {
            // A request datagram or an echo request: answer each echo, and each request once.
            let response = spec.response_bytes;
            if flow.protocol() == Protocol::Icmp {
                let mut reply = network.engine_mut().spare_packet();
                let payload = packet.wire_length().saturating_sub(if packet.is_ipv4() { 28 } else { 48 }) as u16;
                reply.build_echo(flow.reversed(), 1, payload);
                self.send_from_server(network, slot, at, reply, true);
            } else if self.connections[slot as usize].server.is_none() {
                let half = Half::new(0, 0, 0);
                let server = Server {
                    node: at.0,
                    port: at.1,
                    flow,
                    peer: 0,
                    half,
                    answered: true,
                    timer: false,
                    deadline: SimTime::NEVER,
                };
                self.connections[slot as usize].server = Some(server);
                for payload in datagrams(response) {
                    let mut reply = network.engine_mut().spare_packet();
                    reply.build_udp(flow.reversed(), payload);
                    self.send_from_server(network, slot, at, reply, true);
                    if self.connections[slot as usize].phase == Phase::Free {
                        return;
                    }
                }
            }
            return;
        };
        let flags = packet.tcp_flags();
        if flags & tcp_flags::RST != 0 {
            return;
        }
        let connection = &mut self.connections[slot as usize];
        if flags & tcp_flags::SYN != 0 {
            let known = connection.server.is_some_and(|server| server.flow == flow);
            if !known {
                let initial = rng::below(&mut self.choice, 1 << 32) as u32;
                connection.server = Some(Server {
                    node: at.0,
                    port: at.1,
                    flow,
                    peer: seq,
                    half: Half::new(initial, seq, flow.mss()),
                    answered: false,
                    timer: false,
                    deadline: SimTime::NEVER,
                });
                connection.server_flow = network.engine_mut().reset_flow(connection.server_flow);
            }
            let half = connection.server.as_mut().map(|server| server.half).expect("it was just there");
            let segment = TcpSegment {
                flags: tcp_flags::SYN | tcp_flags::ACK,
                seq: half.clone().bare_ack().seq.wrapping_sub(1),
                ack: half.acknowledgement(),
                payload: 0,
            };
            self.send_server_segment(network, slot, segment);
            return;
        }
        let Some(server) = connection.server.as_mut().filter(|server| server.flow == flow) else {
            // To the server this is another connection, of which it knows nothing: the mapping has changed.
            let mut reset = network.engine_mut().spare_packet();
            reset.build_reset(packet);
            self.send_from_server(network, slot, at, reset, false);
            return;
        };
        let due = server.half.receive(flags, seq, ack, payload);
        if !server.answered && u64::from(server.half.received(server.peer)) >= spec.request_bytes {
            server.answered = true;
            server.half.write(spec.response_bytes);
        }
        self.continue_server(network, slot, due);
    }

    pub(super) fn continue_server(&mut self, network: &mut Network, slot: u32, acknowledge: bool) {
        let Some(server) = self.connections[slot as usize].server.as_mut() else { return };
        if server.half.peer_closed {
            server.half.close();
        }
        let sent = self.push_server(network, slot);
        let connection = &mut self.connections[slot as usize];
        if acknowledge
            && !sent
            && connection.phase != Phase::Free
            && let Some(server) = &mut connection.server
        {
            let segment = server.half.bare_ack();
            self.send_server_segment(network, slot, segment);
        }
        self.end_if_done(network, slot);
    }

    fn send_server_segment(&mut self, network: &mut Network, slot: u32, segment: TcpSegment) {
        let Some(Server { node, port, flow, .. }) = self.connections[slot as usize].server else { return };
        let mut packet = network.engine_mut().spare_packet();
        packet.build_tcp(flow.reversed(), segment);
        self.send_from_server(network, slot, (node, port), packet, true);
    }

    fn push_server(&mut self, network: &mut Network, slot: u32) -> bool {
        let mut sent = false;
        while self.connections[slot as usize].phase != Phase::Free
            && let Some(server) = &mut self.connections[slot as usize].server
            && let Some(segment) = server.half.next_segment()
        {
            sent = true;
            self.send_server_segment(network, slot, segment);
        }
        let now = network.engine().now();
        let connection = &mut self.connections[slot as usize];
        let round_trip = connection.round_trip;
        if connection.phase != Phase::Free
            && let Some(server) = &mut connection.server
            && server.half.is_waiting()
        {
            server.deadline = now + server.half.timeout(round_trip);
            if !std::mem::replace(&mut server.timer, true) {
                let at = server.deadline;
                self.wake_at(network, at, Kind::ServerTimeout, slot);
            }
        }
        sent
    }

    pub(super) fn server_timeout(&mut self, network: &mut Network, slot: u32) {
        let now = network.engine().now();
        let Some(server) = self.connections[slot as usize].server.as_mut() else { return };
        server.timer = false;
        if !server.half.is_waiting() {
            return;
        }
        if server.deadline > now {
            server.timer = true;
            let at = server.deadline;
            self.wake_at(network, at, Kind::ServerTimeout, slot);
        } else if server.half.time_out() {
            self.push_server(network, slot);
        } else {
            let failure = self.connections[slot as usize].last_drop.map_or(Failure::NoAnswer, Failure::Dropped);
            self.fail(network, slot, failure);
        }
    }
}

/// The sizes of the datagrams that carry this many bytes; an empty one for none.
fn datagrams(bytes: u64) -> impl Iterator<Item = u16> {
    let count = bytes.div_ceil(DATAGRAM).max(1);
    (0..count).map(move |index| (bytes - index * DATAGRAM).min(DATAGRAM) as u16)
}
