//! Requests: from their arrival at an instance over one call or several to their end.
//!
//! ```text
//!   arrives ──> instance with room ──> works ──> connection ──> response ──> next call, or done
//!                   │ none: waits              │  ^     │ fails, or takes too long
//!                   └─ too long: fails         │  └─────┴──> waits, tries again, or fails
//! ```
//!
//! Whatever follows at the same instant follows by a wake, so that nothing here calls itself without end.

use std::collections::BTreeMap;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;

use super::Flows;
use super::connection::{Kind, Phase, next_generation, tag};
use super::pools::Offer;
use super::serving::Serving;
use crate::network::Network;
use crate::sim::rng;
use crate::time::SimTime;
use crate::topology::NodeId;
use crate::trace::{CallFailure, Failure};
use crate::traffic::connect_times::ConnectTimes;

/// How long glibc waits for a name server, and how often it asks (`resolv.conf`: `timeout`, `attempts`).
pub(super) const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
const LOOKUPS: u32 = 2;
/// A worker does not send its next request at the very instant of a response.
const SHORTEST_PAUSE: Duration = Duration::from_micros(1);
/// Nor at that of a failure: to notice that there is no port, say, and to begin again takes a program about so long. Assumed;
/// a worker that spins faster would only add failures of the same kind.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(1);

/// Which request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestId {
    slot: u32,
    generation: u32,
}

/// Counts of a load's requests.
#[derive(Debug, Default)]
pub struct RequestCounts {
    /// That arrived.
    pub attempted: u64,
    /// That got all their responses.
    pub succeeded: u64,
    /// That did not.
    pub failed: u64,
    /// Calls that were tried again.
    pub retries: u64,
    /// Failed ones, by what became of the last attempt.
    pub failed_by: BTreeMap<CallFailure, u64>,
    /// Times of those that succeeded, from arrival to the last response.
    pub times: ConnectTimes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// There is no such request now.
    Free,
    /// Its worker pauses: it has not been sent.
    Paused,
    /// It waits for an instance.
    Queued,
    /// It works, or waits to try again, until then.
    Until(SimTime),
    /// A call waits for a connection.
    Waiting,
    /// A connection in this slot connects, or carries a call or a look-up.
    On(u32),
}

#[derive(Debug, Clone, Copy)]
struct Request {
    generation: u32,
    traffic: u32,
    instance: Option<NodeId>,
    stage: Stage,
    began: SimTime,
    calls_left: u32,
    attempts: u32,
    lookups: u32,
    /// When the client gives the call up.
    deadline: SimTime,
    worker: Option<Worker>,
}

/// A client that sends one request after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Worker {
    /// Requests that it has still to send after this one.
    left: u64,
}

/// All requests.
#[derive(Debug)]
pub(super) struct Requests {
    table: Vec<Request>,
    free: Vec<u32>,
    pub(super) random: ChaCha8Rng,
    pub(super) counts: Vec<RequestCounts>,
    /// By workload.
    pub(super) serving: Vec<Serving>,
    /// Answers that instances remember, by load, until when.
    answers: hashbrown::HashMap<(u32, NodeId), SimTime, foldhash::fast::FixedState>,
    /// What of the network's turnover has been looked at.
    pub(super) seen: Option<u64>,
}

impl Requests {
    pub(super) fn new(seed: u64, loads: usize, workloads: usize) -> Requests {
        Requests {
            table: Vec::new(),
            free: Vec::new(),
            random: rng::stream(seed, "requests"),
            counts: (0..loads).map(|_| RequestCounts::default()).collect(),
            serving: (0..workloads).map(|_| Serving::default()).collect(),
            answers: hashbrown::HashMap::default(),
            seen: None,
        }
    }

    fn at(&mut self, id: RequestId) -> Option<&mut Request> {
        self.table
            .get_mut(id.slot as usize)
            .filter(|request| request.generation == id.generation && request.stage != Stage::Free)
    }

    fn insert(&mut self, request: Request) -> RequestId {
        match self.free.pop() {
            Some(slot) => {
                let generation = next_generation(self.table[slot as usize].generation);
                self.table[slot as usize] = Request { generation, ..request };
                RequestId { slot, generation }
            }
            None => {
                self.table.push(Request { generation: 0, ..request });
                RequestId { slot: (self.table.len() - 1) as u32, generation: 0 }
            }
        }
    }

    /// The load of a request, and how often its call was tried.
    pub(super) fn attempts(&mut self, id: RequestId) -> (usize, u32) {
        self.at(id).map_or((0, 0), |request| (request.traffic as usize, request.attempts))
    }

    /// The load of a request that waits for a connection.
    pub(super) fn load_of_waiting(&mut self, id: RequestId) -> Option<u32> {
        self.at(id).filter(|request| request.stage == Stage::Waiting).map(|request| request.traffic)
    }

    pub(super) fn is_queued(&mut self, id: RequestId) -> bool {
        self.at(id).is_some_and(|request| request.stage == Stage::Queued)
    }

    /// A connection is being opened for a request.
    pub(super) fn is_on(&mut self, id: RequestId, slot: u32) {
        if let Some(request) = self.at(id) {
            request.stage = Stage::On(slot);
        }
    }
}

impl Flows {
    /// A request arrives, or a worker of an instance begins.
    pub(super) fn request(
        &mut self,
        network: &mut Network,
        traffic: usize,
        instance: Option<NodeId>,
        worker: Option<u64>,
    ) {
        let Some(calls) = self.specs[traffic].requests.as_ref().map(|requests| requests.calls) else { return };
        self.requests.counts[traffic].attempted += 1;
        let id = self.requests.insert(Request {
            generation: 0,
            traffic: traffic as u32,
            instance,
            stage: Stage::Queued,
            began: network.engine().now(),
            calls_left: calls,
            attempts: 0,
            lookups: 0,
            deadline: SimTime::NEVER,
            worker: worker.map(|left| Worker { left }),
        });
        match instance {
            Some(instance) => self.serve(network, id, instance),
            None => self.enqueue(network, self.specs[traffic].from, id),
        }
    }

    pub(super) fn wake_request(&self, network: &mut Network, at: SimTime, kind: Kind, id: RequestId) {
        network.engine_mut().wake_at(at, tag(kind, id.generation, id.slot));
    }

    /// A wake that is about a request.
    pub(super) fn request_woken(&mut self, network: &mut Network, kind: Kind, generation: u32, slot: u32) {
        let id = RequestId { slot, generation };
        let now = network.engine().now();
        let Some(request) = self.requests.at(id).copied() else { return };
        match (kind, request.stage) {
            (Kind::RequestStep, Stage::Until(at)) if at <= now => self.try_call(network, id),
            (Kind::QueueTimeout, Stage::Queued) => {
                self.requests.serving[self.specs[request.traffic as usize].from].give_up_first(id, now);
                self.end_request(network, id, Some(CallFailure::NoAvailableInstance));
            }
            (Kind::CallTimeout, stage) if request.deadline <= now => match stage {
                Stage::Waiting => {
                    if let Some(instance) = request.instance {
                        self.wait_no_longer(request.traffic, instance, id);
                    }
                    self.call_failed(network, id, CallFailure::PoolTimeout);
                }
                Stage::On(on) => {
                    let why = match self.abandon(network, on) {
                        Failure::NoAnswer => CallFailure::Timeout,
                        failure => CallFailure::Connection(failure),
                    };
                    self.call_failed(network, id, why);
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// An instance takes a request.
    pub(super) fn serve(&mut self, network: &mut Network, id: RequestId, instance: NodeId) {
        let Some(request) = self.requests.at(id) else { return };
        request.instance = Some(instance);
        let traffic = request.traffic as usize;
        let processing = self.specs[traffic].requests.as_ref().map_or(Duration::ZERO, |requests| requests.processing);
        self.requests.serving[self.specs[traffic].from].begin(instance, network.engine().now());
        self.step_at(network, id, processing);
    }

    fn step_at(&mut self, network: &mut Network, id: RequestId, wait: Duration) {
        let at = network.engine().now() + wait;
        if let Some(request) = self.requests.at(id) {
            request.stage = Stage::Until(at);
            self.wake_request(network, at, Kind::RequestStep, id);
        }
    }

    /// The next attempt of a call, or the next call, begins.
    fn try_call(&mut self, network: &mut Network, id: RequestId) {
        let now = network.engine().now();
        let Some(request) = self.requests.at(id) else { return };
        request.attempts += 1;
        request.lookups = 0;
        let (traffic, attempts) = (request.traffic as usize, request.attempts);
        if attempts > 1 {
            self.requests.counts[traffic].retries += 1;
        }
        let timeout = self.specs[traffic].requests.as_ref().and_then(|requests| requests.timeout);
        let deadline = timeout.map_or(SimTime::NEVER, |timeout| now + timeout);
        if let Some(request) = self.requests.at(id) {
            request.deadline = deadline;
        }
        if deadline < SimTime::NEVER {
            self.wake_request(network, deadline, Kind::CallTimeout, id);
        }
        self.find_connection(network, id);
    }

    /// A connection for a call: one that was kept, a new one, or the next that becomes free.
    pub(super) fn find_connection(&mut self, network: &mut Network, id: RequestId) {
        let Some(&mut Request { traffic, instance: Some(instance), .. }) = self.requests.at(id) else { return };
        match self.offer(network, traffic, instance) {
            Offer::Kept(slot) => {
                self.requests.is_on(id, slot);
                if let Some(used) = self.used(slot) {
                    used.request = Some(id);
                }
                self.call_again(network, slot);
            }
            Offer::Full => {
                if let Some(request) = self.requests.at(id) {
                    request.stage = Stage::Waiting;
                }
                self.wait_for_connection(traffic, instance, id);
            }
            Offer::Room => self.look_up(network, id, traffic, instance),
        }
    }

    /// Asks for the address first, if somebody is to be asked.
    fn look_up(&mut self, network: &mut Network, id: RequestId, traffic: u32, instance: NodeId) {
        let now = network.engine().now();
        let dns = self.specs[traffic as usize].requests.as_ref().and_then(|requests| requests.dns);
        let known = || self.requests.answers.get(&(traffic, instance)).is_some_and(|until| now < *until);
        if dns.is_some() && !known() {
            if let Some(request) = self.requests.at(id) {
                request.lookups += 1;
            }
            self.open_for(network, id, traffic, instance, true);
        } else {
            self.open_for(network, id, traffic, instance, false);
        }
    }

    /// The name server has answered.
    pub(super) fn looked_up(&mut self, network: &mut Network, id: RequestId) {
        let now = network.engine().now();
        let Some(&mut Request { traffic, instance: Some(instance), .. }) = self.requests.at(id) else { return };
        let dns = self.specs[traffic as usize].requests.as_ref().and_then(|requests| requests.dns);
        let ttl = dns.map_or(Duration::ZERO, |dns| dns.ttl);
        if !ttl.is_zero() {
            self.requests.answers.insert((traffic, instance), now + ttl);
        }
        self.open_for(network, id, traffic, instance, false);
    }

    /// All bytes of a response have come.
    pub(super) fn call_succeeded(&mut self, network: &mut Network, id: RequestId) {
        let Some(request) = self.requests.at(id) else { return };
        request.calls_left -= 1;
        request.deadline = SimTime::NEVER;
        if request.calls_left == 0 {
            self.end_request(network, id, None);
        } else {
            request.attempts = 0;
            self.step_at(network, id, Duration::ZERO);
        }
    }

    /// The connection of a call, or of a look-up, has failed or broken.
    pub(super) fn connection_failed(&mut self, network: &mut Network, id: RequestId, lookup: bool, failure: Failure) {
        let Some(request) = self.requests.at(id) else { return };
        if lookup
            && request.lookups < LOOKUPS
            && let Some(instance) = request.instance
        {
            let traffic = request.traffic;
            self.look_up(network, id, traffic, instance);
            return;
        }
        self.call_failed(network, id, CallFailure::Connection(failure));
    }

    /// An attempt of a call has failed.
    pub(super) fn call_failed(&mut self, network: &mut Network, id: RequestId, why: CallFailure) {
        let Some(request) = self.requests.at(id) else { return };
        request.deadline = SimTime::NEVER;
        let (attempts, traffic) = (request.attempts, request.traffic as usize);
        let most = self.specs[traffic].requests.as_ref().map_or(1, |requests| requests.retries.max_attempts);
        if attempts >= most {
            self.end_request(network, id, Some(why));
        } else {
            let wait = self.backoff(id);
            self.step_at(network, id, wait);
        }
    }

    /// A request is over.
    fn end_request(&mut self, network: &mut Network, id: RequestId, failed: Option<CallFailure>) {
        let now = network.engine().now();
        let Some(request) = self.requests.at(id) else { return };
        request.stage = Stage::Free;
        let Request { traffic, instance, began, worker, .. } = *request;
        self.requests.free.push(id.slot);
        let counts = &mut self.requests.counts[traffic as usize];
        match failed {
            None => {
                counts.succeeded += 1;
                counts.times.record(now - began);
            }
            Some(why) => {
                counts.failed += 1;
                *counts.failed_by.entry(why).or_default() += 1;
            }
        }
        let workload = self.specs[traffic as usize].from;
        if let Some(instance) = instance {
            self.instance_is_freer(network, workload, instance);
        }
        if let (Some(instance), Some(worker)) = (instance, worker) {
            let least = if failed.is_some() { PAUSE_AFTER_FAILURE } else { SHORTEST_PAUSE };
            self.work_on(network, traffic, instance, worker, least);
        }
    }

    /// A worker's next request, after its pause.
    fn work_on(&mut self, network: &mut Network, traffic: u32, instance: NodeId, worker: Worker, least: Duration) {
        let spec = &self.specs[traffic as usize];
        let crate::scenario::Arrivals::Workers(workers) = spec.arrivals else { return };
        let at = network.engine().now() + workers.pause.max(least);
        if worker.left == 0 || at >= SimTime::from(spec.stop) {
            return;
        }
        let id = self.requests.insert(Request {
            generation: 0,
            traffic,
            instance: Some(instance),
            stage: Stage::Paused,
            began: at,
            calls_left: spec.requests.as_ref().map_or(1, |requests| requests.calls),
            attempts: 0,
            lookups: 0,
            deadline: SimTime::NEVER,
            worker: Some(Worker { left: worker.left - 1 }),
        });
        self.wake_request(network, at, Kind::WorkerNext, id);
    }

    /// A worker sends its next request.
    pub(super) fn worker_next(&mut self, network: &mut Network, generation: u32, slot: u32) {
        let id = RequestId { slot, generation };
        let Some(&mut Request { traffic, instance: Some(instance), .. }) = self.requests.at(id) else { return };
        self.requests.counts[traffic as usize].attempted += 1;
        self.serve(network, id, instance);
    }

    /// Requests of instances that are no more end with them.
    pub(super) fn end_requests_of(&mut self, network: &mut Network, workload: usize, gone: &[NodeId]) {
        for slot in 0..self.requests.table.len() as u32 {
            let request = self.requests.table[slot as usize];
            let of_gone = request.instance.is_some_and(|instance| gone.contains(&instance));
            if request.stage == Stage::Free || !of_gone || self.specs[request.traffic as usize].from != workload {
                continue;
            }
            let id = RequestId { slot, generation: request.generation };
            if request.stage == Stage::Paused {
                self.requests.table[slot as usize].stage = Stage::Free;
                self.requests.free.push(slot);
                continue;
            }
            if let Some(request) = self.requests.at(id) {
                request.worker = None;
            }
            self.end_request(network, id, Some(CallFailure::InstanceGone));
        }
    }

    /// Requests of a load that have not ended.
    pub fn pending_requests(&self, traffic: usize) -> u64 {
        let counts = &self.requests.counts[traffic];
        counts.attempted - counts.succeeded - counts.failed
    }

    /// Counts of requests, by load.
    pub fn request_counts(&self) -> &[RequestCounts] {
        &self.requests.counts
    }

    /// Whether the books of requests, instances and pools agree with one another: checked at the end of every run of a debug
    /// build.
    pub fn assert_consistent(&self) {
        let live = || self.requests.table.iter().filter(|request| request.stage != Stage::Free);
        let free = self.requests.table.len() - live().count();
        assert_eq!(self.requests.free.len(), free, "a request that has ended gives its place back");
        let open = self.connections.iter().filter(|connection| connection.phase != Phase::Free).count();
        assert_eq!(self.open, open, "every open connection is counted");
        assert_eq!(self.connections.len() - open, self.free.len(), "a connection that has ended gives its place back");
        let sent = live().filter(|request| request.stage != Stage::Paused).count() as u64;
        let pending: u64 = (0..self.specs.len()).map(|traffic| self.pending_requests(traffic)).sum();
        assert_eq!(sent, pending, "a request is pending until it has succeeded or failed");
        for (workload, serving) in self.requests.serving.iter().enumerate() {
            let of_workload = || live().filter(|request| self.specs[request.traffic as usize].from == workload);
            let queued = of_workload().filter(|request| request.stage == Stage::Queued).count();
            let working =
                of_workload().filter(|request| !matches!(request.stage, Stage::Queued | Stage::Paused)).count();
            serving.assert_counts(queued, working);
        }
        let uses = || self.connections.iter().filter(|connection| connection.phase != Phase::Free);
        for connection in uses() {
            let Some(request) = connection.used.as_ref().and_then(|used| used.request) else { continue };
            let stage = self.requests.table[request.slot as usize].stage;
            assert!(matches!(stage, Stage::On(_)), "a connection's request is on it, not {stage:?}");
        }
        let pooled = uses().filter(|connection| connection.used.as_ref().is_some_and(|used| used.pooled)).count();
        self.pools.assert_size(pooled);
    }
}
