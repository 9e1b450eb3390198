//! Connections that a log records, made anew.
//!
//! A log says when a connection began, from where and where to, and no more. Here its client and its server are played:
//! the SYN, again by the client's schedule as long as it does not get out, the handshake after the host's round-trip time,
//! and the close when the connection has lived for as long as is assumed. The packets go the way of captured ones
//! in a replay: links take no time, and nobody else answers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::capture::{Frame, LinkType};
use crate::scenario::model::SynSchedule;
use crate::time::SimTime;
use crate::wire::{FiveTuple, Packet, Protocol, TcpSegment, tcp_flags};

/// A connection of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedConnection {
    /// When its first packet was sent, since the first entry of the log.
    pub at: Duration,
    /// Who sends, by its position among the endpoints.
    pub endpoint: usize,
    /// From where and where to.
    pub tuple: FiveTuple,
}

/// What is assumed of what a log does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assumed {
    /// From the handshake to the close.
    pub lifetime: Duration,
    /// When the client gives up.
    pub connect_timeout: Duration,
    /// When it sends its SYN again.
    pub schedule: SynSchedule,
}

/// What the next packet of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// The client's SYN or datagram, sent so many times before.
    Ask(u8),
    /// The server's answer.
    Answer,
    /// The client's end of the handshake.
    Acknowledge,
    /// The client closes.
    Close,
    /// The server closes, too.
    CloseToo,
    /// The client's last acknowledgement.
    Last,
}

/// The packets of a log's connections, in order of time. What comes next depends on whether those before got out.
pub struct Players<'a> {
    connections: &'a [LoggedConnection],
    assumed: Assumed,
    /// Whoever sends is one of so many clients, in turn, whatever the endpoint.
    spread: Option<u32>,
    round_trip: &'a dyn Fn(Ipv4Addr) -> Duration,
    /// The next connection that begins.
    begins: usize,
    queue: BinaryHeap<Reverse<(SimTime, usize, Next)>>,
    packet: Packet,
}

impl<'a> Players<'a> {
    /// Connections in order of their beginning. With `spread`, so many clients send in turn; else each endpoint is one.
    /// `round_trip` is to a destination and back.
    pub fn new(
        connections: &'a [LoggedConnection],
        assumed: Assumed,
        spread: Option<u32>,
        round_trip: &'a dyn Fn(Ipv4Addr) -> Duration,
    ) -> Players<'a> {
        let (queue, packet) = (BinaryHeap::new(), Packet::empty());
        Players { connections, assumed, spread, round_trip, begins: 0, queue, packet }
    }

    /// Sends all packets: `send` takes each one with its time, and tells whether the connection's first packet has got out.
    ///
    /// # Errors
    /// What `send` says.
    pub fn play<E>(&mut self, send: &mut dyn FnMut(Frame<'_>, &FiveTuple) -> Result<bool, E>) -> Result<(), E> {
        while let Some((now, number, next)) = self.next() {
            let tuple = self.tuple(number);
            let outbound = matches!(next, Next::Ask(_) | Next::Acknowledge | Next::Close | Next::Last);
            let flow = if outbound { tuple } else { tuple.reversed() };
            if tuple.protocol == Protocol::Udp {
                self.packet.build_udp(flow, 64);
            } else {
                self.packet.build_tcp(flow, segment(next));
            }
            let frame = Frame {
                time: now.as_nanos(),
                link_type: LinkType::Raw,
                original_length: self.packet.bytes().len() as u32,
                bytes: self.packet.bytes(),
            };
            let is_out = send(frame, &tuple)?;
            self.go_on(now, number, next, is_out);
        }
        Ok(())
    }

    /// The connection's flow: every endpoint is a client address of its own.
    fn tuple(&self, number: usize) -> FiveTuple {
        let LoggedConnection { endpoint, tuple, .. } = self.connections[number];
        let client = self.spread.map_or(endpoint, |clients| number % clients.max(1) as usize);
        FiveTuple { src: address_of(client), ..tuple }
    }

    fn next(&mut self) -> Option<(SimTime, usize, Next)> {
        let begins = self.connections.get(self.begins).map(|connection| SimTime::from(connection.at));
        let due = self.queue.peek().map(|Reverse((at, ..))| *at);
        match (begins, due) {
            (Some(begins), due) if due.is_none_or(|due| begins <= due) => {
                self.begins += 1;
                Some((begins, self.begins - 1, Next::Ask(0)))
            }
            _ => self.queue.pop().map(|Reverse(event)| event),
        }
    }

    fn go_on(&mut self, now: SimTime, number: usize, next: Next, is_out: bool) {
        let connection = self.connections[number];
        let round_trip = || (self.round_trip)(connection.tuple.dst);
        let after = match (connection.tuple.protocol, next) {
            (Protocol::Tcp, Next::Ask(sent)) if !is_out => {
                let retries = self.assumed.schedule.retries();
                let due = retries.get(usize::from(sent)).map(|&seconds| Duration::from_secs(seconds));
                // At one instant, giving up comes before the retry.
                let due = due.filter(|due| *due < self.assumed.connect_timeout);
                due.map(|due| (SimTime::from(connection.at) + due, Next::Ask(sent + 1)))
            }
            (_, Next::Ask(_)) if is_out => Some((now + round_trip(), Next::Answer)),
            (Protocol::Tcp, Next::Answer) => Some((now, Next::Acknowledge)),
            (Protocol::Tcp, Next::Acknowledge) => Some((now + self.assumed.lifetime, Next::Close)),
            (Protocol::Tcp, Next::Close) => Some((now + round_trip(), Next::CloseToo)),
            (Protocol::Tcp, Next::CloseToo) => Some((now, Next::Last)),
            _ => None,
        };
        self.queue.extend(after.map(|(at, next)| Reverse((at, number, next))));
    }
}

/// The address that stands for a client, whatever its own was: two endpoints may have had one address one after the other.
fn address_of(client: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + client as u32)
}

/// The segments of a connection without data.
fn segment(next: Next) -> TcpSegment {
    let (flags, seq, ack) = match next {
        Next::Ask(_) => (tcp_flags::SYN, 0, 0),
        Next::Answer => (tcp_flags::SYN | tcp_flags::ACK, 0, 1),
        Next::Acknowledge => (tcp_flags::ACK, 1, 1),
        Next::Close => (tcp_flags::FIN | tcp_flags::ACK, 1, 1),
        Next::CloseToo => (tcp_flags::FIN | tcp_flags::ACK, 1, 2),
        Next::Last => (tcp_flags::ACK, 2, 2),
    };
    TcpSegment { flags, seq, ack, payload: 0 }
}
