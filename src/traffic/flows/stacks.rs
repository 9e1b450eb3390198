//! Connections whose ends are TCP stacks: what they send goes out in order, and their timers are asked for.

use std::time::Duration;

use super::Flows;
use super::connection::{Ends, Far, Kind, Phase, Stack};
use super::record::Fate;
use crate::network::Network;
use crate::sim::rng;
use crate::time::SimTime;
use crate::traffic::stack::{Buffers, End, GIVES_UP, Standing};
use crate::wire::{Flow, Packet, tcp_flags};

/// When Linux repeats a SYN-ACK that nobody acknowledges: after 1, 3, 7, 15 and 31 s (`tcp_synack_retries` = 5).
const SYN_ACK_REPEATS: [u64; 5] = [1, 3, 7, 15, 31];

/// A packet that a stack has sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    slot: u32,
    generation: u32,
    /// The server's, to where its packets come from; none for the client's.
    from_server: Option<Far>,
    bytes: Vec<u8>,
}

impl Flows {
    pub(super) fn has_stacks(&self, slot: u32) -> bool {
        matches!(self.connections[slot as usize].ends, Ends::Stack(_))
    }

    /// A new connection's ends.
    pub(super) fn stacks(&mut self, traffic: usize, flow: Flow, initial: u32, now: SimTime) -> Stack {
        let spec = &self.specs[traffic];
        let buffers = Buffers::for_messages(spec.request_bytes, spec.response_bytes);
        Stack { client: End::client(flow, buffers, initial.into(), now), server: None, syn_acks: 0, progress: now }
    }

    /// The client's SYN, the first or once more.
    pub(super) fn send_syn_of_stack(&mut self, network: &mut Network, slot: u32) {
        match self.connections[slot as usize].stack().client.repeat_handshake() {
            Some(syn) => {
                self.post(slot, true, syn);
                self.send_all(network);
            }
            None => self.run_client(network, slot),
        }
    }

    /// The client gets a packet.
    pub(super) fn at_client_stack(&mut self, network: &mut Network, slot: u32, packet: &Packet) {
        let connection = &mut self.connections[slot as usize];
        if packet.tcp_flags() & tcp_flags::RST == 0 {
            connection.last_drop = None;
        }
        let payload = packet.tcp_numbers().map_or(0, |(_, _, payload)| payload);
        if self.refuse_late_response(network, slot, payload) {
            return;
        }
        let connection = &mut self.connections[slot as usize];
        let generation = connection.generation;
        connection.stack().client.take(packet);
        self.run_client(network, slot);
        if self.is_current(generation, slot) {
            self.look_for_response(network, slot);
        }
    }

    /// The server gets a packet.
    pub(super) fn at_server_stack(&mut self, network: &mut Network, slot: u32, far: Far, packet: &Packet) {
        let flags = packet.tcp_flags();
        let known = self.connections[slot as usize].far.is_some_and(|known| known.flow == far.flow);
        let now = network.engine().now();
        if !known {
            if flags & tcp_flags::RST != 0 {
                return;
            }
            if flags & (tcp_flags::SYN | tcp_flags::ACK) != tcp_flags::SYN {
                // To the server this is another connection, of which it knows nothing: the mapping has changed.
                self.refuse(network, slot, far, packet);
                return;
            }
            let seed = rng::below(&mut self.choice, 1 << 32);
            let connection = &mut self.connections[slot as usize];
            let spec = &self.specs[connection.traffic as usize];
            let buffers = Buffers::for_messages(spec.response_bytes, spec.request_bytes);
            let stack = connection.stack();
            stack.server = Some(End::server(far.flow.reversed(), buffers, seed, now));
            stack.syn_acks = 0;
            (connection.far, connection.answered) = (Some(far), 0);
            if let Some(used) = &mut connection.used {
                used.answered_before = 0;
            }
            connection.server_flow = network.engine_mut().reset_flow(connection.server_flow);
        } else if flags & tcp_flags::SYN != 0
            && let Some(server) = &self.connections[slot as usize].stack().server
            && let Some(syn_ack) = server.repeat_handshake()
        {
            // The client has sent its SYN once more.
            self.post(slot, false, syn_ack);
            self.send_all(network);
            return;
        }
        if flags & tcp_flags::SYN == 0 {
            self.accept(network, slot, far.node);
        }
        if let Some(server) = &mut self.connections[slot as usize].stack().server {
            let payload = packet.tcp_numbers().map_or(0, |(_, _, payload)| payload);
            if server.is_closing() && !server.peer_closed && payload > 0 {
                // Its application has closed the socket: nobody is there to read it.
                self.reset_by_server(network, slot, far);
                return;
            }
            server.take(packet);
        }
        self.run_server(network, slot);
    }

    /// Lets the client's stack do what it can now.
    pub(super) fn run_client(&mut self, network: &mut Network, slot: u32) {
        let now = network.engine().now();
        let before = self.connections[slot as usize].stack().client.received;
        self.post_client(slot, now);
        let connection = &mut self.connections[slot as usize];
        let stack = connection.stack();
        if stack.client.received > before {
            stack.progress = now;
        }
        let standing = stack.client.standing();
        if connection.phase == Phase::Connecting && matches!(standing, Standing::Open | Standing::Done) {
            let bytes = self.specs[connection.traffic as usize].request_bytes;
            connection.stack().progress = now;
            let calls = connection.used.is_some();
            self.establish(network, slot);
            if !calls {
                self.connections[slot as usize].stack().client.write(bytes);
            }
            self.post_client(slot, now);
        }
        // The far side has closed, so this one does, too.
        let client = &mut self.connections[slot as usize].stack().client;
        if client.peer_closed && standing == Standing::Open {
            client.close();
            self.post_client(slot, now);
        }
        self.ask_for_timer(network, slot, Kind::ClientTimeout);
        if standing == Standing::Gone {
            let failure = self.connections[slot as usize].was_reset();
            self.fail(network, slot, failure);
        } else {
            self.end_if_stacks_are_done(network, slot);
        }
        self.send_all(network);
    }

    /// Lets the server's stack do what it can now.
    pub(super) fn run_server(&mut self, network: &mut Network, slot: u32) {
        let now = network.engine().now();
        let stack = self.connections[slot as usize].stack();
        let Some(server) = &mut stack.server else { return };
        let before = server.received;
        let mut sent = server.run(now);
        let (received, open) = (server.received, server.standing() == Standing::Open);
        if received > before {
            stack.progress = now;
        }
        let response = if open { self.respond(network, slot, received) } else { 0 };
        if let Some(server) = &mut self.connections[slot as usize].stack().server {
            server.write(response);
            if server.peer_closed {
                server.close();
            }
            sent.extend(server.run(now));
        }
        let first_syn_ack = sent.first().is_some_and(|packet| is_syn_ack(packet));
        for packet in sent {
            self.post(slot, false, packet);
        }
        if first_syn_ack {
            self.wait_with_syn_ack(network, slot);
        }
        self.ask_for_timer(network, slot, Kind::ServerTimeout);
        self.end_if_stacks_are_done(network, slot);
        self.send_all(network);
    }

    /// Asks to be woken when the next SYN-ACK is due.
    fn wait_with_syn_ack(&mut self, network: &mut Network, slot: u32) {
        let stack = self.connections[slot as usize].stack();
        let repeats = usize::from(stack.syn_acks);
        let Some(&seconds) = SYN_ACK_REPEATS.get(repeats) else { return };
        let before = repeats.checked_sub(1).map_or(0, |before| SYN_ACK_REPEATS[before]);
        stack.syn_acks += 1;
        let at = network.engine().now() + Duration::from_secs(seconds - before);
        self.wake_at(network, at, Kind::SynAck, slot);
    }

    pub(super) fn repeat_syn_ack(&mut self, network: &mut Network, slot: u32) {
        let server = self.connections[slot as usize].stack().server.as_ref();
        let Some(syn_ack) = server.and_then(End::repeat_handshake) else { return };
        self.post(slot, false, syn_ack);
        self.wait_with_syn_ack(network, slot);
        self.send_all(network);
    }

    /// Asks to be woken when the next timer of a stack goes off, unless that is done already.
    fn ask_for_timer(&mut self, network: &mut Network, slot: u32, kind: Kind) {
        let now = network.engine().now();
        let connection = &mut self.connections[slot as usize];
        if connection.phase == Phase::Free {
            return;
        }
        let stack = connection.stack();
        let end = if kind == Kind::ClientTimeout { Some(&mut stack.client) } else { stack.server.as_mut() };
        let Some(end) = end else { return };
        if end.wakes_at <= now {
            end.wakes_at = SimTime::NEVER;
        }
        if let Some(at) = end.next_timer(now)
            && at < end.wakes_at
        {
            // A timer that is due now has been looked at: the stack waits for something else.
            let at = at.max(now + Duration::from_micros(200));
            end.wakes_at = at;
            self.wake_at(network, at, kind, slot);
        }
    }

    /// The connection is over when both sides have closed, and when nothing has got on for so long that Linux gives up.
    fn end_if_stacks_are_done(&mut self, network: &mut Network, slot: u32) {
        let now = network.engine().now();
        let connection = &mut self.connections[slot as usize];
        if connection.phase != Phase::Open {
            return;
        }
        let stack = connection.stack();
        let standing = stack.client.standing();
        let server = stack.server.as_ref().map(End::standing);
        let waits = !matches!(standing, Standing::Done) && stack.client.next_timer(now).is_some();
        if standing == Standing::Done && server.is_none_or(|server| server != Standing::Open) {
            self.finish(network, slot, Fate::Established);
        } else if waits && now - stack.progress > GIVES_UP {
            let failure = connection.unanswered();
            self.fail(network, slot, failure);
        }
    }

    /// Posts what the client's stack sends now.
    pub(super) fn post_client(&mut self, slot: u32, now: SimTime) {
        let sent = self.connections[slot as usize].stack().client.run(now);
        for packet in sent {
            self.post(slot, true, packet);
        }
    }

    /// Puts a packet behind those that are still to be sent.
    fn post(&mut self, slot: u32, from_client: bool, bytes: Vec<u8>) {
        let connection = &self.connections[slot as usize];
        let generation = connection.generation;
        // A server that resets has forgotten the connection by the time that its reset is sent.
        let from_server = connection.far.filter(|_| !from_client);
        if !from_client && from_server.is_none() {
            return;
        }
        self.outbox.push_back(Outgoing { slot, generation, from_server, bytes });
    }

    /// Sends what stacks have posted. A packet that arrives at once may make its receiver post others: they come behind.
    pub(super) fn send_all(&mut self, network: &mut Network) {
        if std::mem::replace(&mut self.sending, true) {
            return;
        }
        while let Some(Outgoing { slot, generation, from_server, bytes }) = self.outbox.pop_front() {
            if !self.is_current(generation, slot) {
                continue;
            }
            let mut packet = network.engine_mut().spare_packet();
            packet.load(&bytes, bytes.len()).expect("a stack sends valid packets");
            match from_server {
                None => self.send(network, slot, packet),
                Some(far) => self.send_from_server(network, slot, far, packet, true),
            }
        }
        self.sending = false;
    }

    /// The client's application ends the connection at once: its reset goes out before whatever else is to be sent, for with
    /// the connection all of that is forgotten.
    pub(super) fn reset_by_client_stack(&mut self, network: &mut Network, slot: u32) {
        let now = network.engine().now();
        let generation = self.connections[slot as usize].generation;
        let client = &mut self.connections[slot as usize].stack().client;
        client.abort();
        for bytes in client.run(now) {
            if !self.is_current(generation, slot) {
                return;
            }
            let mut packet = network.engine_mut().spare_packet();
            packet.load(&bytes, bytes.len()).expect("a stack sends valid packets");
            self.send(network, slot, packet);
        }
    }
}

/// Whether the bytes are a SYN-ACK.
fn is_syn_ack(bytes: &[u8]) -> bool {
    const BOTH: u8 = tcp_flags::SYN | tcp_flags::ACK;
    Packet::parse(bytes).is_ok_and(|packet| packet.tcp_flags() & BOTH == BOTH)
}
