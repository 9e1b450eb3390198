//! Which instance works on which request, and how many instances Cloud Run runs for them.

use std::collections::VecDeque;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::Flows;
use super::connection::{Kind, Phase, tag};
use super::record::Fate;
use super::requests::RequestId;
use crate::network::Network;
use crate::scenario::Arrivals;
use crate::scenario::model::Autoscaling;
use crate::sim::rng;
use crate::time::SimTime;
use crate::topology::NodeId;
use crate::trace::{DropCause, Failure};

/// One workload's requests and instances.
#[derive(Debug, Default)]
pub(super) struct Serving {
    instances: Vec<NodeId>,
    state: HashMap<NodeId, Busy, FixedState>,
    queue: VecDeque<RequestId>,
    /// Of these, so many still wait.
    queued: u32,
    /// Requests that instances work on.
    working: u32,
    /// The queue is to be looked at.
    turn: bool,
    /// How many instances the autoscaler wants.
    wanted: u32,
    /// The area under the number of requests: up to a time, and how many there are since.
    area: f64,
    since: SimTime,
    /// That area at earlier looks, the oldest first.
    looks: VecDeque<(SimTime, f64)>,
}

#[derive(Debug, Clone, Copy)]
struct Busy {
    requests: u32,
    /// From when it takes requests.
    ready: SimTime,
    /// Since when it has none.
    idle_since: SimTime,
}

impl Serving {
    /// An instance begins to work on a request.
    pub(super) fn begin(&mut self, instance: NodeId, now: SimTime) {
        self.pass(now);
        self.working += 1;
        if let Some(busy) = self.state.get_mut(&instance) {
            busy.requests += 1;
        }
    }

    /// The request that has waited for longest waits no longer.
    pub(super) fn give_up_first(&mut self, id: RequestId, now: SimTime) {
        self.left_queue(now);
        self.queue.pop_front_if(|first| *first == id);
    }

    /// A request waits no longer.
    pub(super) fn left_queue(&mut self, now: SimTime) {
        self.pass(now);
        self.queued -= 1;
    }

    /// So many wait, and so many are worked on.
    pub(super) fn assert_counts(&self, queued: usize, working: usize) {
        assert_eq!((self.queued as usize, self.working as usize), (queued, working), "queued and worked on");
        assert!(self.queue.len() >= queued, "who waits is in the queue");
        let busy: u32 = self.state.values().map(|busy| busy.requests).sum();
        assert_eq!(busy as usize, working, "instances have what is worked on");
    }

    fn pass(&mut self, now: SimTime) {
        self.area += f64::from(self.working + self.queued) * (now - self.since).as_secs_f64();
        self.since = now;
    }

    /// Requests at a time, on average over the window.
    fn average(&mut self, now: SimTime, window: Duration) -> f64 {
        self.pass(now);
        self.looks.push_back((now, self.area));
        while self.looks.len() > 1 && self.looks[1].0 + window <= now {
            self.looks.pop_front();
        }
        let (then, area) = self.looks[0];
        let span = (now - then).as_secs_f64();
        if span > 0.0 { (self.area - area) / span } else { f64::from(self.working + self.queued) }
    }
}

impl Flows {
    fn model(&self) -> &Autoscaling {
        &self.autoscaling
    }

    /// A request of a workload arrives.
    pub(super) fn enqueue(&mut self, network: &mut Network, workload: usize, id: RequestId) {
        if self.requests.serving[workload].queued == 0
            && let Some(instance) = self.instance_with_room(network, workload)
        {
            self.serve(network, id, instance);
            return;
        }
        let now = network.engine().now();
        let serving = &mut self.requests.serving[workload];
        serving.pass(now);
        serving.queue.push_back(id);
        serving.queued += 1;
        let timeout = self.model().pending_timeout;
        self.wake_request(network, now + timeout, Kind::QueueTimeout, id);
        self.scale_out(network, workload, 0.0);
    }

    /// An instance that takes one more request: any of them with room. The autoscaler's surplus comes last, so that it can go.
    fn instance_with_room(&mut self, network: &Network, workload: usize) -> Option<NodeId> {
        let now = network.engine().now();
        let spec = &network.scenario().workloads[workload];
        let serving = &self.requests.serving[workload];
        let has_room = |node: &&NodeId| {
            serving.state.get(*node).is_some_and(|busy| busy.requests < spec.concurrency && busy.ready <= now)
        };
        let preferred = match spec.autoscaled {
            Some(_) => (serving.wanted as usize).min(serving.instances.len()),
            None => serving.instances.len(),
        };
        let (first, rest) = serving.instances.split_at(preferred);
        if !first.is_empty() {
            let at = rng::below(&mut self.requests.random, first.len() as u64) as usize;
            if let Some(node) = first[at..].iter().chain(&first[..at]).find(has_room) {
                return Some(*node);
            }
        }
        rest.iter().find(has_room).copied()
    }

    /// An instance has ended a request.
    pub(super) fn instance_is_freer(&mut self, network: &mut Network, workload: usize, instance: NodeId) {
        let now = network.engine().now();
        let serving = &mut self.requests.serving[workload];
        serving.pass(now);
        serving.working -= 1;
        if let Some(busy) = serving.state.get_mut(&instance) {
            busy.requests -= 1;
            if busy.requests == 0 {
                busy.idle_since = now;
            }
        }
        self.look_at_queue(network, workload);
    }

    /// Asks for a look at those that wait.
    fn look_at_queue(&mut self, network: &mut Network, workload: usize) {
        let serving = &mut self.requests.serving[workload];
        let now = network.engine().now();
        if serving.queued > 0 && !std::mem::replace(&mut serving.turn, true) {
            network.engine_mut().wake_at(now, tag(Kind::Dispatch, 0, workload as u32));
        }
    }

    /// Instances take what waits, as far as they have room.
    pub(super) fn dispatch(&mut self, network: &mut Network, workload: usize) {
        self.requests.serving[workload].turn = false;
        while let Some(&next) = self.requests.serving[workload].queue.front() {
            if self.requests.is_queued(next) {
                let Some(instance) = self.instance_with_room(network, workload) else { return };
                self.requests.serving[workload].left_queue(network.engine().now());
                self.requests.serving[workload].queue.pop_front();
                self.serve(network, next, instance);
            } else {
                self.requests.serving[workload].queue.pop_front();
            }
        }
    }

    /// Starts instances if there are fewer than are wanted for so many requests at a time on average, and for those that there
    /// are now.
    fn scale_out(&mut self, network: &mut Network, workload: usize, average: f64) {
        let spec = &network.scenario().workloads[workload];
        let Some(least) = spec.autoscaled else { return };
        let most = spec.revisions[0].max_instances.unwrap_or(u32::MAX);
        let concurrency = f64::from(spec.concurrency);
        let serving = &mut self.requests.serving[workload];
        let target = average / (concurrency * self.autoscaling.target_utilization);
        let at_once = f64::from(serving.working + serving.queued) / concurrency;
        serving.wanted = (target.max(at_once).ceil() as u32).clamp(least, most.max(least));
        let running = network.instances(workload).len() as u32 + network.waiting_instances(workload);
        let missing = serving.wanted.saturating_sub(running);
        if missing > 0 {
            network.scale_out(workload, missing);
            self.notice(network);
        }
    }

    /// The autoscaler looks at a workload.
    pub(super) fn autoscale(&mut self, network: &mut Network, workload: usize) {
        let now = network.engine().now();
        let Autoscaling { window, evaluate_every, idle_shutdown, .. } = *self.model();
        let average = self.requests.serving[workload].average(now, window);
        self.scale_out(network, workload, average);
        // Those that still wait for addresses go first, for nobody needs them any more.
        let serving = &self.requests.serving[workload];
        let (running, wanted) = (serving.instances.len() as u32, serving.wanted);
        network.wait_for_no_more_than(workload, wanted.saturating_sub(running));
        let surplus = serving.instances.len().saturating_sub(serving.wanted as usize);
        let idle = |node: &&NodeId| {
            serving.state.get(*node).is_some_and(|busy| busy.requests == 0 && busy.idle_since + idle_shutdown <= now)
        };
        // The youngest first: they are the surplus.
        let leave: Vec<NodeId> = serving.instances.iter().rev().filter(idle).take(surplus).copied().collect();
        for node in &leave {
            network.shut_down(workload, *node);
        }
        if !leave.is_empty() {
            self.notice(network);
        }
        network.engine_mut().wake_at(now + evaluate_every, tag(Kind::Autoscale, 0, workload as u32));
    }

    /// Looks at which instances have come and gone.
    pub fn notice(&mut self, network: &mut Network) {
        let turnovers = network.turnovers();
        if !self.has_requests || self.requests.seen == Some(turnovers) {
            return;
        }
        let first = self.requests.seen.replace(turnovers).is_none();
        let now = network.engine().now();
        for workload in 0..self.requests.serving.len() {
            let instances: Vec<NodeId> = network.instances(workload).iter().map(|it| it.site.node).collect();
            let before = std::mem::replace(&mut self.requests.serving[workload].instances, instances);
            let serving = &mut self.requests.serving[workload];
            let autoscaled = network.scenario().workloads[workload].autoscaled.is_some();
            let ready = if autoscaled && !first { now + self.autoscaling.container_start } else { now };
            let new: Vec<NodeId> =
                serving.instances.iter().copied().filter(|node| !serving.state.contains_key(node)).collect();
            let started = !new.is_empty();
            for node in &new {
                serving.state.insert(*node, Busy { requests: 0, ready, idle_since: now });
            }
            let gone: Vec<NodeId> = if before.len() + new.len() == serving.instances.len() {
                Vec::new()
            } else {
                before.into_iter().filter(|node| !serving.instances.contains(node)).collect()
            };
            if first {
                serving.wanted = serving.instances.len() as u32;
            }
            if !gone.is_empty() {
                self.end_instances(network, workload, &gone);
            }
            for node in new {
                self.begin_workers(network, workload, node);
            }
            // Nobody may wait yet, but when it is ready somebody may.
            if started && ready > now {
                network.engine_mut().wake_at(ready, tag(Kind::Dispatch, 0, workload as u32));
            } else {
                self.look_at_queue(network, workload);
            }
        }
    }

    /// Instances are no more: their requests end, and their connections with them.
    fn end_instances(&mut self, network: &mut Network, workload: usize, gone: &[NodeId]) {
        self.end_requests_of(network, workload, gone);
        for slot in 0..self.connections.len() as u32 {
            let connection = &self.connections[slot as usize];
            let of_gone = connection.phase != Phase::Free && gone.contains(&connection.instance);
            let Some(used) = connection.used.as_ref().filter(|_| of_gone) else { continue };
            if used.request.is_some() {
                self.fail(network, slot, Failure::Dropped(DropCause::SimInstanceGone));
            } else {
                self.finish(network, slot, Fate::Established);
            }
        }
        for node in gone {
            self.requests.serving[workload].state.remove(node);
        }
    }

    /// The workers of an instance begin, in those loads that have begun.
    fn begin_workers(&mut self, network: &mut Network, workload: usize, node: NodeId) {
        let now = network.engine().now();
        for traffic in 0..self.specs.len() {
            let spec = &self.specs[traffic];
            let begun = SimTime::from(spec.start) <= now && now < SimTime::from(spec.stop);
            if spec.from == workload && begun && self.workers_begun[traffic] {
                self.begin_workers_of(network, traffic, node);
            }
        }
    }

    fn begin_workers_of(&mut self, network: &mut Network, traffic: usize, node: NodeId) {
        let Arrivals::Workers(workers) = self.specs[traffic].arrivals else { return };
        let left = workers.requests.unwrap_or(u64::MAX) - 1;
        for _ in 0..workers.per_instance {
            self.request(network, traffic, Some(node), Some(left));
        }
    }

    /// A load of workers begins, in the instances that there are.
    pub(super) fn workers_arrive(&mut self, network: &mut Network, traffic: usize) {
        self.notice(network);
        self.workers_begun[traffic] = true;
        let instances = self.requests.serving[self.specs[traffic].from].instances.clone();
        for node in instances {
            self.begin_workers_of(network, traffic, node);
        }
    }
}
