//! Calls over connections: a request there, a response back, and what becomes of the connection then.

use std::time::Duration;

use super::Flows;
use super::connection::{Ends, Kind, Phase, Use};
use super::record::Fate;
use super::requests::RequestId;
use crate::network::Network;
use crate::scenario::ClosedBy;
use crate::sim::rng;
use crate::time::SimTime;
use crate::trace::{CallFailure, Failure};

impl Flows {
    /// What a connection is used for, if its load has requests.
    pub(super) fn used(&mut self, slot: u32) -> Option<&mut Use> {
        self.connections[slot as usize].used.as_deref_mut()
    }

    /// The connection has come to be, and a request waits for it.
    pub(super) fn established_for_request(&mut self, network: &mut Network, slot: u32) {
        let Some(Use { lookup, request, .. }) = self.used(slot).map(|used| *used) else { return };
        if lookup {
            // The answer is here.
            self.used(slot).expect("it was just there").request = None;
            self.finish(network, slot, Fate::Established);
            if let Some(request) = request {
                self.looked_up(network, request);
            }
            return;
        }
        self.write_call(slot);
    }

    /// The client writes a call's request, to be sent with what it sends next.
    pub(super) fn write_call(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        let bytes = self.specs[connection.traffic as usize].request_bytes;
        match &mut connection.ends {
            Ends::Script(script) => script.client.half.write(bytes),
            Ends::Stack(stack) => stack.client.write(bytes),
        }
    }

    /// A call begins on a connection that was kept.
    pub(super) fn call_again(&mut self, network: &mut Network, slot: u32) {
        self.write_call(slot);
        if self.has_stacks(slot) {
            self.run_client(network, slot);
        } else {
            self.continue_client(network, slot, false);
        }
    }

    /// The client has got something: perhaps the rest of a response, perhaps the end of the connection.
    pub(super) fn look_for_response(&mut self, network: &mut Network, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        let Some(used) = connection.used.as_deref_mut().filter(|_| connection.phase == Phase::Open) else { return };
        let (received, peer_closed) = match &connection.ends {
            Ends::Script(script) => (script.client.half.received(used.server_initial), script.client.half.peer_closed),
            Ends::Stack(stack) => (stack.client.received as u32, stack.client.peer_closed),
        };
        let response = self.specs[connection.traffic as usize].response_bytes as u32;
        let complete = received.wrapping_sub(used.received_before) >= response;
        let Some(request) = used.request else {
            if peer_closed {
                self.leave_pool(network, slot);
            }
            return;
        };
        if complete {
            used.received_before = used.received_before.wrapping_add(response);
            used.request = None;
            if peer_closed || !self.keep(network, slot) {
                self.leave_pool(network, slot);
                let traffic = self.connections[slot as usize].traffic as usize;
                let leaks = self.specs[traffic].closed_by == ClosedBy::Nobody;
                if !peer_closed && !leaks {
                    self.end_of_life(network, slot);
                }
            }
            self.call_succeeded(network, request);
        } else if peer_closed {
            used.request = None;
            self.leave_pool(network, slot);
            self.call_failed(network, request, CallFailure::ClosedEarly);
        }
    }

    /// The client gives a call up. Its connection is of no use any more: the client closes it, or stops connecting.
    pub(super) fn abandon(&mut self, network: &mut Network, slot: u32) -> Failure {
        let connection = &self.connections[slot as usize];
        let failure = connection.unanswered();
        if let Some(used) = self.used(slot) {
            used.request = None;
        }
        self.leave_pool(network, slot);
        if self.connections[slot as usize].phase == Phase::Connecting {
            self.fail(network, slot, failure);
            return failure;
        }
        if let Some(used) = self.used(slot) {
            used.abandoned = Some(failure);
        }
        let traffic = self.connections[slot as usize].traffic;
        self.counts[traffic as usize].broken += 1;
        *self.counts[traffic as usize].failed_by.entry(failure).or_default() += 1;
        self.close_client(network, slot);
        failure
    }

    /// The client's application closes.
    pub(super) fn close_client(&mut self, network: &mut Network, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        connection.closed_first = match &connection.ends {
            Ends::Script(script) => !script.client.half.peer_closed,
            Ends::Stack(stack) => !stack.client.peer_closed,
        };
        match &mut self.connections[slot as usize].ends {
            Ends::Script(script) => {
                script.client.half.close();
                self.continue_client(network, slot, false);
            }
            Ends::Stack(stack) => {
                stack.client.close();
                self.run_client(network, slot);
            }
        }
    }

    /// Data comes to a client that has given the connection up: nobody is there to read it. True when it did.
    pub(super) fn refuse_late_response(&mut self, network: &mut Network, slot: u32, payload: u32) -> bool {
        let connection = &self.connections[slot as usize];
        let abandoned = connection.used.as_ref().is_some_and(|used| used.abandoned.is_some());
        if !abandoned || payload == 0 {
            return false;
        }
        let generation = connection.generation;
        self.connections[slot as usize].closed_first = false;
        if self.has_stacks(slot) {
            self.reset_by_client_stack(network, slot);
        } else {
            let reset = self.connections[slot as usize].script().client.half.reset();
            self.send_segment(network, slot, reset);
        }
        if self.is_current(generation, slot) {
            self.finish(network, slot, Fate::Established);
        }
        true
    }

    /// The server has got so many bytes in all: it responds to a call that is complete, now or after some thought.
    pub(super) fn respond_to_call(&mut self, network: &mut Network, slot: u32, received: u32) -> u64 {
        let connection = &mut self.connections[slot as usize];
        let spec = &self.specs[connection.traffic as usize];
        let Some(used) = &mut connection.used else { return 0 };
        let request = spec.request_bytes as u32;
        // Nobody sends a call before the one before it was answered, so one at most is complete.
        if received.wrapping_sub(used.answered_before) < request {
            return 0;
        }
        used.answered_before = used.answered_before.wrapping_add(request);
        if connection.far.is_some_and(|far| super::hangs(network, far.node)) {
            return 0;
        }
        let think = spec.requests.as_ref().map_or(Duration::ZERO, |requests| requests.think_time);
        if think.is_zero() {
            return spec.response_bytes;
        }
        let at = network.engine().now() + think;
        self.wake_at(network, at, Kind::Respond, slot);
        0
    }

    /// The server has thought of a response.
    pub(super) fn respond_now(&mut self, network: &mut Network, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        let bytes = self.specs[connection.traffic as usize].response_bytes;
        match &mut connection.ends {
            Ends::Script(script) => {
                if let Some(server) = script.server.as_mut().filter(|server| !server.half.is_closing()) {
                    server.half.write(bytes);
                }
                self.continue_server(network, slot, false);
            }
            Ends::Stack(stack) => {
                if let Some(server) = stack.server.as_mut().filter(|server| !server.is_closing()) {
                    server.write(bytes);
                }
                self.run_server(network, slot);
            }
        }
    }

    /// How long to wait before the next attempt.
    pub(super) fn backoff(&mut self, request: RequestId) -> Duration {
        let (traffic, attempts) = self.requests.attempts(request);
        let Some(requests) = &self.specs[traffic].requests else { return Duration::ZERO };
        let most = requests.retries.backoff(attempts);
        if requests.retries.jitter { most.mul_f64(rng::unit(&mut self.requests.random)) } else { most }
    }

    /// Whether a connection that is not used now is good for another call at all.
    pub(super) fn is_open(&mut self, slot: u32, generation: u32, now: SimTime) -> bool {
        if !self.is_current(generation, slot) {
            return false;
        }
        let connection = &self.connections[slot as usize];
        let Some(used) = &connection.used else { return false };
        let pool = self.specs[connection.traffic as usize].requests.as_ref().and_then(|requests| requests.pool);
        let aged = pool.and_then(|pool| pool.max_age).is_some_and(|age| now - connection.started >= age);
        connection.phase == Phase::Open && used.pooled && used.request.is_none() && !aged
    }
}
