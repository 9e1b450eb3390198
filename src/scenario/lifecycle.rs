//! How many instances of which revision start and stop when: at the start, and by events.
//!
//! Scaling, deployments and executions all come down to instances that start and stop. The network follows this plan, and
//! `check` counts addresses and NAT endpoints by it, so that both see the same run. A change that is spread `over` a time
//! happens instance by instance, at even distances.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Arrivals, Change, Scenario, Traffic};

/// Instances of a revision that stop and start at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turnover {
    /// When.
    pub at: Duration,
    /// Index into [`Scenario::workloads`].
    pub workload: usize,
    /// Index into the workload's revisions.
    pub revision: usize,
    /// How many stop; they stop before the others start.
    pub stops: u32,
    /// How many start (tasks, for a job).
    pub starts: u32,
}

/// What happens to all workloads, by time. What happens at time 0 is there before the run begins: it starts warm.
pub fn plan(scenario: &Scenario) -> Vec<Turnover> {
    let mut all: Vec<Turnover> =
        (0..scenario.workloads.len()).flat_map(|workload| plan_of(scenario, workload)).collect();
    all.sort_by_key(|turnover| turnover.at);
    all
}

/// What happens to one workload, by time.
pub fn plan_of(scenario: &Scenario, workload: usize) -> Vec<Turnover> {
    let spec = &scenario.workloads[workload];
    let mut counts = Counts::new(spec.revisions.len());
    let capped = |revision: usize, instances: u32| {
        spec.revisions[revision].max_instances.map_or(instances, |most| instances.min(most))
    };
    counts.set(Duration::ZERO, 0, capped(0, spec.instances));
    let mut newest = 0;
    let mut tasks = Vec::new();
    for event in &scenario.events {
        let (revision, target, over) = match event.change {
            Change::Scale { workload: scaled, instances, over } if scaled == workload => (newest, instances, over),
            Change::Deploy { workload: deployed, revision, over } if deployed == workload => {
                (revision, counts.at(event.at).iter().sum(), over)
            }
            Change::Execute { job, tasks: count, parallelism, task_duration } if job == workload => {
                tasks.extend(task_turnovers(workload, newest, event.at, count, parallelism, task_duration));
                continue;
            }
            _ => continue,
        };
        newest = revision;
        // What was still to come of an earlier change comes no more.
        let before = counts.stop_planning(event.at);
        for (of, &count) in before.iter().enumerate() {
            let goal = if of == revision { capped(of, target) } else { 0 };
            let steps = count.abs_diff(goal);
            for step in 1..=steps {
                let instances = if goal > count { count + step } else { count - step };
                counts.set(event.at + over.mul_f64(f64::from(step) / f64::from(steps)), of, instances);
            }
        }
    }
    let mut turnovers = counts.turnovers(workload);
    turnovers.extend(tasks);
    turnovers.sort_by_key(|turnover| turnover.at);
    turnovers
}

/// As [`plan`], with the instances that Cloud Run will start for requests: as many as their average number asks for when
/// the rate is highest. A run starts some more, for it meets them one by one.
pub fn forecast(scenario: &Scenario) -> Vec<Turnover> {
    let mut all: Vec<Turnover> =
        (0..scenario.workloads.len()).flat_map(|workload| forecast_of(scenario, workload)).collect();
    all.sort_by_key(|turnover| turnover.at);
    all
}

fn forecast_of(scenario: &Scenario, workload: usize) -> Vec<Turnover> {
    let mut turnovers = plan_of(scenario, workload);
    let spec = &scenario.workloads[workload];
    let Some(least) = spec.autoscaled else { return turnovers };
    let most = spec.revisions[0].max_instances.unwrap_or(u32::MAX).max(least);
    let loads = || scenario.traffic.iter().filter(|load| load.from == workload && load.requests.is_some());
    let mut times: Vec<Duration> = loads()
        .flat_map(|load| {
            let rises = load.curve.as_ref().map(|curve| curve.rises()).unwrap_or_default();
            rises.into_iter().chain([load.start])
        })
        .filter(|at| *at < scenario.duration)
        .collect();
    times.sort_unstable();
    times.dedup();
    let room = f64::from(spec.concurrency) * scenario.model.cloud_run.autoscaling.target_utilization;
    let mut running = spec.instances;
    for at in times {
        let wanted = (loads().map(|load| requests_at(load, at)).sum::<f64>() / room).ceil() as u32;
        let starts = wanted.clamp(least, most).saturating_sub(running);
        if starts > 0 {
            running += starts;
            // What is there at the very beginning is warm; these are not.
            turnovers.push(Turnover { at: at.max(Duration::from_secs(1)), workload, revision: 0, stops: 0, starts });
        }
    }
    turnovers
}

/// Requests of a load that are worked on at a time, on average.
fn requests_at(load: &Traffic, at: Duration) -> f64 {
    let Some(requests) = load.requests.as_ref().filter(|_| load.start <= at && at < load.stop) else { return 0.0 };
    let each = (load.lifetime * requests.calls + requests.processing).as_secs_f64();
    match (&load.curve, load.arrivals) {
        (Some(curve), _) => curve.at(at) * each,
        (None, Arrivals::Poisson(rate) | Arrivals::Constant(rate)) => rate * each,
        (None, Arrivals::Count(count)) => count as f64,
        (None, Arrivals::Workers(_)) => 0.0,
    }
}

/// The most instances that a workload has at any time of the run, over all its revisions, as far as can be foretold.
pub fn peak_instances(scenario: &Scenario, workload: usize) -> u32 {
    let (mut running, mut peak) = (0u32, 0);
    for Turnover { stops, starts, .. } in forecast_of(scenario, workload).iter().filter(|it| it.at <= scenario.duration)
    {
        running = running - stops + starts;
        peak = peak.max(running);
    }
    peak
}

/// How many instances revisions are to have from times on.
struct Counts {
    revisions: usize,
    planned: BTreeMap<(Duration, usize), u32>,
}

impl Counts {
    fn new(revisions: usize) -> Counts {
        Counts { revisions, planned: BTreeMap::new() }
    }

    fn set(&mut self, at: Duration, revision: usize, instances: u32) {
        self.planned.insert((at, revision), instances);
    }

    /// What each revision has at a time.
    fn at(&self, at: Duration) -> Vec<u32> {
        let mut counts = vec![0; self.revisions];
        for (&(_, revision), &instances) in self.planned.range(..=(at, usize::MAX)) {
            counts[revision] = instances;
        }
        counts
    }

    /// Forgets what is planned for later, and tells what there is.
    fn stop_planning(&mut self, at: Duration) -> Vec<u32> {
        self.planned.split_off(&(at, usize::MAX));
        self.at(at)
    }

    fn turnovers(&self, workload: usize) -> Vec<Turnover> {
        let mut now = vec![0; self.revisions];
        let mut turnovers = Vec::new();
        for (&(at, revision), &instances) in &self.planned {
            let before = std::mem::replace(&mut now[revision], instances);
            let (stops, starts) = (before.saturating_sub(instances), instances.saturating_sub(before));
            if stops + starts > 0 {
                turnovers.push(Turnover { at, workload, revision, stops, starts });
            }
        }
        turnovers
    }
}

/// The tasks of an execution: as many at once as may be, and the next when one is done.
fn task_turnovers(
    workload: usize,
    revision: usize,
    at: Duration,
    tasks: u32,
    parallelism: u32,
    duration: Duration,
) -> impl Iterator<Item = Turnover> {
    let at_once = parallelism.clamp(1, tasks.max(1));
    let waves = tasks.div_ceil(at_once);
    let size = move |wave: u32| if wave < waves { at_once.min(tasks - wave * at_once) } else { 0 };
    (0..=waves).map(move |wave| Turnover {
        at: at + duration * wave,
        workload,
        revision,
        stops: wave.checked_sub(1).map_or(0, size),
        starts: size(wave),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::load::{Source, load};

    fn scenario(events: &str) -> Scenario {
        let yaml = format!(
            "\
duration: 2h
networks: [{{name: vpc}}]
subnetworks: [{{name: apps, network: vpc, region: us-central1, ipCidrRange: 10.9.0.0/20}}]
services:
- name: api
  region: us-central1
  instances: 4
  template:
    scaling: {{maxInstanceCount: 6}}
    vpcAccess: {{networkInterfaces: [{{subnetwork: apps}}]}}
jobs: [{{name: nightly, region: us-central1, instances: 0}}]
events:
{events}
"
        );
        load(Source::Text { name: "lifecycle.yaml", text: &yaml }).scenario.expect("it is sound")
    }

    fn counts(scenario: &Scenario, workload: usize) -> Vec<(u64, usize, u32, u32)> {
        let plan = plan_of(scenario, workload).into_iter();
        plan.map(|turnover| (turnover.at.as_secs(), turnover.revision, turnover.stops, turnover.starts)).collect()
    }

    #[test]
    fn scaling_over_a_time_goes_step_by_step_and_not_beyond_the_maximum() {
        let scenario = scenario("- {at: 10s, scale: {workload: api, instances: 9, over: 20s}}");
        // 4 to 6, not 9: two steps in 20 s.
        assert_eq!(counts(&scenario, 0), [(0, 0, 0, 4), (20, 0, 0, 1), (30, 0, 0, 1)]);
        assert_eq!(peak_instances(&scenario, 0), 6);
    }

    #[test]
    fn a_deployment_moves_instances_from_one_revision_to_the_next() {
        let scenario =
            scenario("- {at: 10s, deploy: {workload: api, set: {template: {serviceAccount: b}}, over: 40s}}");
        let moved = (1..=4).flat_map(|step| [(10 + 10 * step, 0, 1, 0), (10 + 10 * step, 1, 0, 1)]);
        assert_eq!(counts(&scenario, 0), [(0, 0, 0, 4)].into_iter().chain(moved).collect::<Vec<_>>());
        assert_eq!(peak_instances(&scenario, 0), 4);
    }

    #[test]
    fn a_later_change_ends_an_earlier_one_that_is_under_way() {
        let events = "- {at: 10s, scale: {workload: api, instances: 0, over: 40s}}\n- {at: 31s, scale: {workload: api, instances: 3}}";
        // One goes at 20 s, one at 30 s; then there are 2.
        assert_eq!(counts(&scenario(events), 0), [(0, 0, 0, 4), (20, 0, 1, 0), (30, 0, 1, 0), (31, 0, 0, 1)]);
    }

    #[test]
    fn tasks_that_end_when_others_begin_are_other_tasks() {
        let events = "- {at: 60s, execute: {job: nightly, tasks: 5, parallelism: 2, taskDuration: 1m}}";
        assert_eq!(counts(&scenario(events), 1), [(60, 0, 0, 2), (120, 0, 2, 2), (180, 0, 2, 1), (240, 0, 1, 0)]);
        assert_eq!(peak_instances(&scenario(events), 1), 2);
    }
}
