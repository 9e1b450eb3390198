//! The scripted kind of endpoints: both sides of a connection in a few bytes each, without a stack.

use std::time::Duration;

use super::connection::{Connection, Ends, Far, Kind, Phase, Script, Side, tag, untag};
use super::record::Fate;
use super::{Flows, hangs};
use crate::network::Network;
use crate::node::instance::SOCKETS;
use crate::sim::{Outcome, rng};
use crate::trace::{DropCause, Failure};
use crate::traffic::half::Half;
use crate::wire::{Flow, Packet, Protocol, TcpSegment, tcp_flags};

/// Bytes of a datagram at most, so that it is not fragmented.
const DATAGRAM: u64 = 1400;
/// Bytes of a DNS query and of its answer, roughly: a name, and a few records.
const QUERY: u64 = 60;
const ANSWER: u64 = 200;
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
                let started = connection.started;
                let retries = self.schedule.retries();
                if let Some(&seconds) = retries.get(usize::from(attempt)) {
                    let before = usize::from(attempt).checked_sub(1).map_or(0, |before| retries[before]);
                    let (now, due) = (network.engine().now(), started + Duration::from_secs(seconds));
                    // No two instances were started at the same tick.
                    let booted = u64::from(connection.instance.0) * BOOTED_APART;
                    let at = self.timers.fires(now, Duration::from_secs(seconds - before), due, booted);
                    self.wake_at(network, at, Kind::Retry, slot);
                }
                if self.has_stacks(slot) {
                    self.send_syn_of_stack(network, slot);
                } else {
                    let client = &mut self.connections[slot as usize].script().client.half;
                    let seq = client.bare_ack().seq.wrapping_sub(1);
                    self.send_segment(network, slot, TcpSegment { flags: tcp_flags::SYN, seq, ack: 0, payload: 0 });
                }
            }
            Protocol::Udp => {
                let lookup = connection.used.as_ref().is_some_and(|used| used.lookup);
                let bytes = if lookup { QUERY } else { spec.request_bytes };
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

    pub(super) fn send_segment(&mut self, network: &mut Network, slot: u32, segment: TcpSegment) {
        let mut packet = network.engine_mut().spare_packet();
        packet.build_tcp(self.connections[slot as usize].flow, segment);
        self.send(network, slot, packet);
    }

    /// Sends a packet of the client.
    pub(super) fn send(&mut self, network: &mut Network, slot: u32, mut packet: Packet) {
        let Connection { generation, instance, client_flow, .. } = self.connections[slot as usize];
        let token = tag(Kind::ClientPacket, generation, slot);
        let outcome = network.engine_mut().send(instance, SOCKETS, &mut packet, token, Some(client_flow));
        self.settle(network, outcome, packet, token);
    }

    /// Sends a packet of the server.
    pub(super) fn send_from_server(
        &mut self,
        network: &mut Network,
        slot: u32,
        far: Far,
        mut packet: Packet,
        known: bool,
    ) {
        let Connection { generation, server_flow, .. } = self.connections[slot as usize];
        let token = tag(Kind::ServerPacket, generation, slot);
        let flow = known.then_some(server_flow);
        self.servers.use_connection(slot, network.engine().now());
        let outcome = network.engine_mut().emit(far.node, far.port, &mut packet, token, flow);
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
            let failure = connection.was_reset();
            self.fail(network, slot, failure);
            return;
        }
        if flags & tcp_flags::SYN != 0 {
            if connection.phase == Phase::Connecting {
                let round_trip = network.engine().now() - connection.started;
                let bytes = self.specs[connection.traffic as usize].request_bytes;
                let script = connection.script();
                script.client.half.set_peer(seq);
                script.round_trip = round_trip;
                match &mut connection.used {
                    Some(used) => used.server_initial = seq,
                    None => connection.script().client.half.write(bytes),
                }
                self.establish(network, slot);
            }
            let segment = self.connections[slot as usize].script().client.half.bare_ack();
            self.send_segment(network, slot, segment);
            self.push_client(network, slot);
            return;
        }
        if self.refuse_late_response(network, slot, payload) {
            return;
        }
        let connection = &mut self.connections[slot as usize];
        let due = connection.script().client.half.receive(flags, seq, ack, payload);
        connection.last_drop = None;
        let generation = connection.generation;
        self.continue_client(network, slot, due);
        if self.is_current(generation, slot) {
            self.look_for_response(network, slot);
        }
    }

    /// After something changed at the client: close in turn, send what may be sent, acknowledge, end.
    pub(super) fn continue_client(&mut self, network: &mut Network, slot: u32, acknowledge: bool) {
        let client = &mut self.connections[slot as usize].script().client.half;
        if client.peer_closed {
            client.close();
        }
        let sent = self.push_client(network, slot);
        if acknowledge && !sent && self.connections[slot as usize].phase != Phase::Free {
            let segment = self.connections[slot as usize].script().client.half.bare_ack();
            self.send_segment(network, slot, segment);
        }
        self.end_if_done(network, slot);
    }

    /// Sends what the client may send. True when something was sent.
    fn push_client(&mut self, network: &mut Network, slot: u32) -> bool {
        let mut sent = false;
        while self.connections[slot as usize].phase == Phase::Open
            && let Some(segment) = self.connections[slot as usize].script().client.half.next_segment()
        {
            sent = true;
            self.send_segment(network, slot, segment);
        }
        if self.connections[slot as usize].phase == Phase::Open {
            self.watch(network, slot, Kind::ClientTimeout);
        }
        sent
    }

    /// The side that a timeout is about.
    fn side(&mut self, slot: u32, kind: Kind) -> Option<&mut Side> {
        let script = self.connections[slot as usize].script();
        if kind == Kind::ClientTimeout { Some(&mut script.client) } else { script.server.as_mut() }
    }

    /// Waits for an acknowledgement of what a side has sent, if there is any to come.
    fn watch(&mut self, network: &mut Network, slot: u32, kind: Kind) {
        let now = network.engine().now();
        let round_trip = self.connections[slot as usize].script().round_trip;
        let Some(side) = self.side(slot, kind).filter(|side| side.half.is_waiting()) else { return };
        side.deadline = now + side.half.timeout(round_trip);
        if !std::mem::replace(&mut side.timer, true) {
            let at = side.deadline;
            self.wake_at(network, at, kind, slot);
        }
    }

    /// A side has waited: true when everything is to be sent again. It waits on when there was progress meanwhile, and gives
    /// the connection up after too many times.
    fn has_waited(&mut self, network: &mut Network, slot: u32, kind: Kind) -> bool {
        let now = network.engine().now();
        let Some(side) = self.side(slot, kind) else { return false };
        side.timer = false;
        if !side.half.is_waiting() {
            return false;
        }
        if side.deadline > now {
            side.timer = true;
            let at = side.deadline;
            self.wake_at(network, at, kind, slot);
            return false;
        }
        if side.half.time_out() {
            return true;
        }
        let failure = self.connections[slot as usize].unanswered();
        self.fail(network, slot, failure);
        false
    }

    pub(super) fn client_timeout(&mut self, network: &mut Network, slot: u32) {
        if self.has_waited(network, slot, Kind::ClientTimeout) {
            self.push_client(network, slot);
        }
    }

    /// The server gets a packet.
    pub(super) fn at_server(&mut self, network: &mut Network, slot: u32, far: Far, packet: &Packet) {
        let Some((seq, ack, payload)) = packet.tcp_numbers() else {
            self.answer_datagram(network, slot, far, packet);
            return;
        };
        let flags = packet.tcp_flags();
        if flags & tcp_flags::RST != 0 {
            return;
        }
        let known = self.connections[slot as usize].far.is_some_and(|known| known.flow == far.flow);
        if flags & tcp_flags::SYN != 0 {
            if !known {
                let initial = rng::below(&mut self.choice, 1 << 32) as u32;
                let connection = &mut self.connections[slot as usize];
                let script = connection.script();
                script.server = Some(Side::new(Half::new(initial, seq, far.flow.mss())));
                script.peer = seq;
                (connection.far, connection.answered) = (Some(far), 0);
                if let Some(used) = &mut connection.used {
                    used.answered_before = 0;
                }
                connection.server_flow = network.engine_mut().reset_flow(connection.server_flow);
            }
            let script = self.connections[slot as usize].script();
            let mut half = script.server.map(|server| server.half).expect("it was just there");
            let segment = TcpSegment {
                flags: tcp_flags::SYN | tcp_flags::ACK,
                seq: half.bare_ack().seq.wrapping_sub(1),
                ack: half.acknowledgement(),
                payload: 0,
            };
            self.send_server_segment(network, slot, segment);
            return;
        }
        if known {
            self.accept(network, slot, far.node);
        }
        let connection = &mut self.connections[slot as usize];
        let Some(server) = connection.script().server.as_mut().filter(|_| known) else {
            // To the server this is another connection, of which it knows nothing: the mapping has changed.
            self.refuse(network, slot, far, packet);
            return;
        };
        if server.half.is_closing() && !server.half.peer_closed && payload > 0 {
            // Its application has closed the socket: nobody is there to read it.
            self.reset_by_server(network, slot, far);
            return;
        }
        let due = server.half.receive(flags, seq, ack, payload);
        let half = server.half;
        let received = u64::from(half.received(connection.script().peer));
        let response = self.respond(network, slot, received);
        if response > 0
            && let Some(server) = &mut self.connections[slot as usize].script().server
        {
            server.half.write(response);
        }
        self.continue_server(network, slot, due);
    }

    /// A request datagram or an echo request: answers each echo, and each request once.
    fn answer_datagram(&mut self, network: &mut Network, slot: u32, far: Far, packet: &Packet) {
        let flow = far.flow;
        if flow.protocol() == Protocol::Icmp {
            let mut reply = network.engine_mut().spare_packet();
            let payload = packet.wire_length().saturating_sub(if packet.is_ipv4() { 28 } else { 48 }) as u16;
            reply.build_echo(flow.reversed(), 1, payload);
            self.send_from_server(network, slot, far, reply, true);
            return;
        }
        let connection = &mut self.connections[slot as usize];
        if connection.far.is_some() || hangs(network, far.node) {
            return;
        }
        connection.far = Some(far);
        let lookup = connection.used.as_ref().is_some_and(|used| used.lookup);
        let response = if lookup { ANSWER } else { self.specs[connection.traffic as usize].response_bytes };
        for payload in datagrams(response) {
            let mut reply = network.engine_mut().spare_packet();
            reply.build_udp(flow.reversed(), payload);
            self.send_from_server(network, slot, far, reply, true);
            if self.connections[slot as usize].phase == Phase::Free {
                return;
            }
        }
    }

    /// A router has told a sender of this flow how large a packet may be: what was too large is sent again in smaller ones.
    pub(super) fn path_takes(&mut self, network: &mut Network, slot: u32, quoted: Flow, mtu: u32) {
        let connection = &mut self.connections[slot as usize];
        let (flow, far) = (connection.flow, connection.far);
        let (client, server) = match &mut connection.ends {
            Ends::Script(Script { client, server, .. }) => (client, server),
            Ends::Stack(stack) => {
                let now = network.engine().now();
                if quoted == flow {
                    stack.client.limit_packet(mtu, now);
                } else if let (Some(server), Some(far)) = (&mut stack.server, far)
                    && quoted == far.flow.reversed()
                {
                    server.limit_packet(mtu, now);
                }
                return;
            }
        };
        if quoted == flow {
            if client.half.limit_packet(quoted, mtu) {
                self.push_client(network, slot);
            }
        } else if let (Some(server), Some(far)) = (server, far)
            && quoted == far.flow.reversed()
            && server.half.limit_packet(quoted, mtu)
        {
            self.push_server(network, slot);
        }
    }

    /// The far end knows nothing of the connection that a segment is part of.
    pub(super) fn refuse(&mut self, network: &mut Network, slot: u32, far: Far, packet: &Packet) {
        let mut reset = network.engine_mut().spare_packet();
        reset.build_reset(packet);
        self.send_from_server(network, slot, far, reset, false);
    }

    pub(super) fn continue_server(&mut self, network: &mut Network, slot: u32, acknowledge: bool) {
        let Some(server) = self.connections[slot as usize].script().server.as_mut() else { return };
        if server.half.peer_closed {
            server.half.close();
        }
        let sent = self.push_server(network, slot);
        let connection = &mut self.connections[slot as usize];
        if acknowledge
            && !sent
            && connection.phase != Phase::Free
            && let Some(server) = &mut connection.script().server
        {
            let segment = server.half.bare_ack();
            self.send_server_segment(network, slot, segment);
        }
        self.end_if_done(network, slot);
    }

    fn send_server_segment(&mut self, network: &mut Network, slot: u32, segment: TcpSegment) {
        let Some(far) = self.connections[slot as usize].far else { return };
        let mut packet = network.engine_mut().spare_packet();
        packet.build_tcp(far.flow.reversed(), segment);
        self.send_from_server(network, slot, far, packet, true);
    }

    fn push_server(&mut self, network: &mut Network, slot: u32) -> bool {
        let mut sent = false;
        while self.connections[slot as usize].phase != Phase::Free
            && let Some(server) = &mut self.connections[slot as usize].script().server
            && let Some(segment) = server.half.next_segment()
        {
            sent = true;
            self.send_server_segment(network, slot, segment);
        }
        if self.connections[slot as usize].phase != Phase::Free {
            self.watch(network, slot, Kind::ServerTimeout);
        }
        sent
    }

    pub(super) fn server_timeout(&mut self, network: &mut Network, slot: u32) {
        if self.has_waited(network, slot, Kind::ServerTimeout) {
            self.push_server(network, slot);
        }
    }

    fn end_if_done(&mut self, network: &mut Network, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        if connection.phase != Phase::Open {
            return;
        }
        let Script { client, server, .. } = connection.script();
        let done = |side: &Side| side.half.is_done() && side.half.peer_closed;
        if done(client) && server.as_ref().is_some_and(done) {
            self.finish(network, slot, Fate::Established);
        }
    }
}

/// The sizes of the datagrams that carry this many bytes; an empty one for none.
fn datagrams(bytes: u64) -> impl Iterator<Item = u16> {
    let count = bytes.div_ceil(DATAGRAM).max(1);
    (0..count).map(move |index| (bytes - index * DATAGRAM).min(DATAGRAM) as u16)
}
