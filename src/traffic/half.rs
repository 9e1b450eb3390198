//! One side of a scripted TCP connection: what it has sent, what was acknowledged, what it expects.
//!
//! A light sender: the whole window at once, cumulative acknowledgements, and go-back-N after a timeout that starts at
//! 200 ms and doubles, as Linux' does. No congestion control: good for connection set-up, state and ports; not for
//! throughput.

use std::time::Duration;

use crate::wire::{Flow, TcpSegment, tcp_flags};

/// What a receiver takes before it has acknowledged anything: Linux' first window.
const WINDOW: u32 = 64_240;
/// Linux' smallest path MTU: 512 + 20 + 20.
pub(super) const SMALLEST_PATH_MTU: u32 = 552;
/// Linux' smallest retransmission timeout.
const FIRST_TIMEOUT: Duration = Duration::from_millis(200);
/// Linux gives up after this many (`tcp_retries2`).
pub(super) const RETRIES: u8 = 15;
/// Linux' largest retransmission timeout.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(120);

/// One side. Numbers are TCP sequence numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Half {
    /// Oldest byte not acknowledged.
    unacknowledged: u32,
    /// Next to be sent.
    next: u32,
    /// End of what the application has written.
    end: u32,
    /// The application has closed: a FIN follows the last byte.
    closing: bool,
    /// Next byte expected from the other side.
    expected: u32,
    /// The other side's FIN has come.
    pub(super) peer_closed: bool,
    /// Segments received since the last acknowledgement was sent.
    owed: u8,
    pub(super) retries: u8,
    /// Bytes of a segment: what the SYNs say.
    segment: u16,
}

impl Half {
    /// A side whose SYN has this number; `peer` is the other side's, once known. A segment has so many bytes at most.
    pub(super) fn new(initial: u32, peer: u32, segment: u16) -> Half {
        let first = initial.wrapping_add(1);
        let expected = peer.wrapping_add(1);
        Half { unacknowledged: first, next: first, end: first, expected, segment, ..Half::default() }
    }

    /// The other side's SYN has come.
    pub(super) fn set_peer(&mut self, peer: u32) {
        self.expected = peer.wrapping_add(1);
    }

    /// The number of the SYN.
    pub(super) fn acknowledgement(&self) -> u32 {
        self.expected
    }

    /// The application writes.
    pub(super) fn write(&mut self, bytes: u64) {
        self.end = self.end.wrapping_add(bytes.min(u64::from(u32::MAX / 2)) as u32);
    }

    /// The application closes.
    pub(super) fn close(&mut self) {
        self.closing = true;
    }

    /// Whether the application has closed.
    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether everything, the FIN included, was acknowledged.
    pub(super) fn is_done(&self) -> bool {
        self.closing && self.unacknowledged == self.limit()
    }

    /// Whether something waits for an acknowledgement.
    pub(super) fn is_waiting(&self) -> bool {
        self.unacknowledged != self.next
    }

    /// Bytes received so far, after the SYN of this number.
    pub(super) fn received(&self, peer_initial: u32) -> u32 {
        self.expected.wrapping_sub(peer_initial).wrapping_sub(1).wrapping_sub(u32::from(self.peer_closed))
    }

    /// One past the FIN, or the end of the data.
    fn limit(&self) -> u32 {
        self.end.wrapping_add(u32::from(self.closing))
    }

    /// Packets of its flow may have so many bytes at most, a router says. Returns whether that is less than before: then what
    /// is not acknowledged is to be sent again.
    pub(super) fn limit_packet(&mut self, flow: Flow, mtu: u32) -> bool {
        let headers = if matches!(flow, Flow::V4(_)) { 40 } else { 60 };
        // Linux does not go below this (net.ipv4.route.min_pmtu), nor does an old router that says nothing make it.
        let segment = mtu.max(SMALLEST_PATH_MTU) - headers;
        if segment >= u32::from(self.segment) {
            return false;
        }
        self.segment = segment as u16;
        self.next = self.unacknowledged;
        true
    }

    /// The next segment that may be sent, if any.
    pub(super) fn next_segment(&mut self) -> Option<TcpSegment> {
        let in_flight = self.next.wrapping_sub(self.unacknowledged);
        let left = self.end.wrapping_sub(self.next);
        let beyond_data = self.next == self.limit() || left > u32::MAX / 2;
        if beyond_data || in_flight >= WINDOW {
            return None;
        }
        let payload = left.min(self.segment.into());
        let last = payload == left;
        let fin = last && self.closing;
        let mut flags = tcp_flags::ACK;
        if last && payload > 0 {
            flags |= tcp_flags::PSH;
        }
        if fin {
            flags |= tcp_flags::FIN;
        }
        let segment = TcpSegment { flags, seq: self.next, ack: self.expected, payload: payload as u16 };
        self.next = self.next.wrapping_add(payload + u32::from(fin));
        self.owed = 0;
        Some(segment)
    }

    /// Takes a segment in. Returns whether an acknowledgement is due now.
    pub(super) fn receive(&mut self, flags: u8, seq: u32, ack: u32, payload: u32) -> bool {
        let acknowledged = ack.wrapping_sub(self.unacknowledged);
        // After a timeout `next` was set back, but what had been sent before may still be acknowledged.
        if flags & tcp_flags::ACK != 0
            && acknowledged != 0
            && acknowledged <= self.limit().wrapping_sub(self.unacknowledged)
        {
            self.unacknowledged = ack;
            if self.next.wrapping_sub(ack) > u32::MAX / 2 {
                self.next = ack;
            }
            self.retries = 0;
        }
        let fin = flags & tcp_flags::FIN != 0;
        if payload == 0 && !fin {
            return false;
        }
        if seq != self.expected {
            return true; // Out of order or once more: say again what is expected.
        }
        self.expected = self.expected.wrapping_add(payload + u32::from(fin));
        self.peer_closed |= fin;
        self.owed += 1;
        fin || flags & tcp_flags::PSH != 0 || self.owed >= 2
    }

    /// An acknowledgement without data.
    pub(super) fn bare_ack(&mut self) -> TcpSegment {
        self.owed = 0;
        TcpSegment { flags: tcp_flags::ACK, seq: self.next, ack: self.expected, payload: 0 }
    }

    /// A reset of the connection.
    pub(super) fn reset(&mut self) -> TcpSegment {
        TcpSegment { flags: tcp_flags::RST | tcp_flags::ACK, ..self.bare_ack() }
    }

    /// Nothing was acknowledged for too long: everything is sent again from the oldest byte on. False when it is time to
    /// give up.
    pub(super) fn time_out(&mut self) -> bool {
        self.next = self.unacknowledged;
        self.retries += 1;
        self.retries <= RETRIES
    }

    /// How long to wait for an acknowledgement now, given the round-trip time.
    pub(super) fn timeout(&self, round_trip: Duration) -> Duration {
        let first = FIRST_TIMEOUT.max(round_trip * 2);
        (first * (1 << self.retries.min(16))).min(LONGEST_TIMEOUT)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Two halves over a network that loses what the script says.
    fn converse(request: u64, response: u64, losses: &[bool]) -> (Half, Half) {
        let (mut client, mut server) = (Half::new(100, 900, 1420), Half::new(900, 100, 1420));
        client.write(request);
        let mut answered = false;
        let mut losses = losses.iter().copied().chain(std::iter::repeat(false));
        for _ in 0..1000 {
            let mut moved = false;
            for side in 0..2 {
                let (from, to) = if side == 0 { (&mut client, &mut server) } else { (&mut server, &mut client) };
                let mut acks = Vec::new();
                while let Some(segment) = from.next_segment() {
                    moved = true;
                    if !losses.next().unwrap()
                        && to.receive(segment.flags, segment.seq, segment.ack, u32::from(segment.payload))
                    {
                        acks.push(to.bare_ack());
                    }
                }
                for ack in acks {
                    if !losses.next().unwrap() {
                        from.receive(ack.flags, ack.seq, ack.ack, 0);
                    }
                }
            }
            if u64::from(server.received(100)) == request && !answered {
                answered = true;
                server.write(response);
                client.close();
            }
            if server.peer_closed {
                server.close();
            }
            if client.is_done() && server.is_done() {
                break;
            }
            if !moved {
                for half in [&mut client, &mut server] {
                    if half.is_waiting() {
                        half.time_out();
                    }
                }
            }
        }
        (client, server)
    }

    #[test]
    fn a_lossless_exchange_ends_with_both_closed() {
        let (client, server) = converse(512, 4096, &[]);
        assert!(client.is_done() && server.is_done());
        assert_eq!((server.received(100), client.received(900)), (512, 4096));
    }

    proptest! {
        #[test]
        fn losses_delay_but_do_not_corrupt(request in 0u64..300_000, response in 0u64..300_000, losses in prop::collection::vec(any::<bool>(), 0..60)) {
            let (client, server) = converse(request, response, &losses);
            prop_assert!(client.is_done() && server.is_done());
            prop_assert_eq!((u64::from(server.received(100)), u64::from(client.received(900))), (request, response));
        }
    }
}
