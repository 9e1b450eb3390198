//! Runs what is proposed, and finds the mildest value that suffices.
//!
//! A change *suffices* when the cause it is for is gone from its place, nothing new has come instead, no other cause of the
//! same [family](super::kind::Family) does more harm than before, and fewer connections fail in all. Causes of other families
//! may do more: once connections get past one obstacle, they meet the next. What is left is told with each change.
//!
//! Nothing is taken for monotonous: more ports for each VM may leave none for the last. Values are tried one by one from a
//! first guess, up until one suffices, or down as long as they do; so the value next below the one that is found has been
//! seen to fail. In long runs a value that is not the last one is given up as soon as it is sure to fail.
//!
//! Runs are bounded, cause by cause: the most harmful cause may take what the others do not need, and each has a few, however
//! long they are. What several causes propose is run once.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::Case;
use super::document::{Edit, patched};
use super::evidence::{Evidence, Group, Key, Patience};
use super::place::Identity;
use super::remedy::{Choice, Ill, Proposal, proposals};
use crate::report::summary::Summary;
use crate::scenario::{MachineType, Scenario};
use crate::simulation::replay::ReplayError;

/// Causes for which remedies are tried.
pub const MAX_CAUSES: usize = 5;
/// Runs in all, at most.
pub const MAX_RUNS: usize = 300;
/// Packets in all: runs that have more of them are fewer. Some two million are simulated a second and core.
const MAX_PACKETS: u64 = 400_000_000;
/// Runs for a cause, at least, however long they are and however many there were for those before it.
const MIN_RUNS: usize = 8;
/// Values of one setting, at most.
pub const MAX_TRIES: usize = 10;
/// With more packets than this, a value is given up as soon as it is sure not to suffice.
const LONG_RUN: u64 = 2_000_000;
/// How long to wait for a result before progress is told again.
const PATIENCE: Duration = Duration::from_millis(50);

/// How many connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Harm {
    failures: u64,
    slow: u64,
    pending: u64,
}

/// What came of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Connections begun.
    pub attempted: u64,
    /// Failed and broken ones.
    pub failures: u64,
    /// Slow ones.
    pub slow: u64,
    /// Those that still tried at the end.
    pub pending: u64,
    causes: BTreeMap<Identity, Harm>,
    /// Failed requests, if there are requests.
    pub failed_requests: Option<u64>,
    /// What it takes.
    pub cost: Cost,
}

/// What a scenario takes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cost {
    /// NAT IPs in use.
    pub nat_ips: u64,
    /// NAT ports set aside for endpoints, each at its peak.
    pub ports: u64,
    /// Subnet addresses that Direct VPC egress held at the peak.
    pub addresses: u64,
    /// Instances that Cloud Run has started for requests, all services at their peaks.
    pub instances: u64,
    /// Connector VMs at the end.
    pub connector_vms: u64,
    /// What they cost, in f1-micro.
    pub connector_price: f64,
}

impl Cost {
    fn of(scenario: &Scenario, summary: &Summary) -> Cost {
        let endpoints = summary.gateways.iter().flat_map(|gateway| &gateway.endpoints);
        let ports = endpoints.map(|endpoint| {
            let rules = endpoint.rule_mappings.iter().map(|rule| rule.ports.peak_allocated_ports);
            rules.chain([endpoint.ports.peak_allocated_ports]).map(u64::from).sum::<u64>()
        });
        let of_rules = |gateway: &crate::report::summary::GatewaySummary| {
            gateway.nat_ips.len() as u64 + gateway.rules.iter().map(|rule| rule.nat_ips.len() as u64).sum::<u64>()
        };
        let connectors = scenario.connectors.iter().zip(&summary.connectors);
        Cost {
            nat_ips: summary.gateways.iter().map(of_rules).sum(),
            ports: ports.sum(),
            addresses: summary.subnetworks.iter().map(|subnet| u64::from(subnet.peak_held_addresses)).sum(),
            instances: summary.autoscaled.iter().map(|service| u64::from(service.peak_instances)).sum(),
            connector_vms: summary.connectors.iter().map(|connector| u64::from(connector.instances)).sum(),
            connector_price: connectors
                .map(|(connector, now)| price(connector.machine_type) * f64::from(now.instances))
                .sum(),
        }
    }
}

/// What an hour of a connector VM costs, with f1-micro as 1: list prices of September 2026 are 0.0076, 0.008376428 and about
/// 0.134 US dollars (<https://cloud.google.com/vpc/pricing>). Direct VPC egress has no such price.
const fn price(machine: MachineType) -> f64 {
    match machine {
        MachineType::F1Micro => 1.0,
        MachineType::E2Micro => 1.10,
        MachineType::E2Standard4 => 17.6,
    }
}

impl Outcome {
    /// What came of a run.
    pub fn new(scenario: &Scenario, groups: &BTreeMap<Key, Group>, summary: &Summary) -> Outcome {
        let mut causes: BTreeMap<Identity, Harm> = BTreeMap::new();
        for (key, group) in groups {
            let harm = causes.entry(group.identity(key)).or_default();
            harm.failures += group.failures();
            harm.slow += group.slow;
            harm.pending += group.pending;
        }
        Outcome {
            attempted: summary.connections.attempted,
            failures: summary.connections.failed + summary.connections.broken,
            slow: causes.values().map(|harm| harm.slow).sum(),
            pending: summary.connections.pending,
            causes,
            failed_requests: summary.requests.as_ref().map(|requests| requests.failed),
            cost: Cost::of(scenario, summary),
        }
    }

    /// Failed and broken connections of one cause.
    pub fn of(&self, cause: &Identity) -> u64 {
        self.causes.get(cause).map_or(0, |harm| harm.failures)
    }

    /// How many failures of each cause a run may have that is to end one of this run's. Causes that are not named may have none.
    fn limits(&self, cause: &Identity) -> BTreeMap<Identity, u64> {
        let others = self.causes.iter().filter(|(other, _)| *other != cause);
        let limit = |(other, harm): (&Identity, &Harm)| {
            let same_family = other.kind.family() == cause.kind.family();
            (other.clone(), if same_family { harm.failures } else { u64::MAX })
        };
        others.map(limit).collect()
    }

    /// Whether this run has ended a cause of another one.
    pub fn ends(&self, cause: &Identity, before: &Outcome) -> bool {
        let was = before.causes.get(cause).copied().unwrap_or_default();
        let is = self.causes.get(cause).copied().unwrap_or_default();
        // Of a cause that only slows down, nothing is to be left; of one that makes fail, some may still come late.
        let gone = is.failures == 0 && is.pending <= was.pending && (was.failures > 0 || is.slow == 0);
        let better = self.failures < before.failures || was.failures == 0;
        gone && better
            && self.causes.iter().filter(|(other, _)| *other != cause).all(|(other, harm)| {
                match before.causes.get(other) {
                    None => harm.failures == 0,
                    Some(before) => {
                        other.kind.family() != cause.kind.family()
                            || (harm.failures <= before.failures && harm.pending <= before.pending)
                    }
                }
            })
    }
}

/// A change that was run.
#[derive(Debug, Clone)]
pub struct Run {
    /// What changes.
    pub change: String,
    /// The patch.
    pub steps: Vec<Value>,
    /// What else changes that no figure shows.
    pub effects: Vec<String>,
    /// What came of it: nothing, if it was given up; a message, if it would be rejected.
    pub outcome: Result<Option<Outcome>, String>,
    /// Whether it ends the cause.
    pub sufficient: bool,
}

/// What came of a proposal.
#[derive(Debug, Clone)]
pub struct Found {
    /// The run that tells most: the mildest sufficient one, or the one that left least.
    pub best: Run,
    /// All of them, in the order of their values.
    pub tried: Vec<Run>,
    /// Values that were not tried because there are too many.
    pub untried: usize,
}

/// What came of all proposals.
#[derive(Debug, Default)]
pub struct Searched {
    /// The run as it is.
    pub before: Outcome,
    /// By cause, in the order of their proposals.
    pub found: BTreeMap<Key, Vec<Found>>,
    /// The first sufficient remedy of each of several causes, all at once.
    pub together: Option<Run>,
    /// Runs, the first one included.
    pub runs: usize,
    /// Causes for which nothing was tried, because others do more harm.
    pub causes_left_out: usize,
    /// Proposals that were not tried.
    pub proposals_left_out: usize,
}

/// Causes in the order in which they are told: the most harmful first.
pub fn ordered(groups: &BTreeMap<Key, Group>) -> Vec<Key> {
    let mut keys: Vec<Key> = groups.keys().copied().collect();
    keys.sort_by_key(|key| {
        let group = &groups[key];
        std::cmp::Reverse((group.failures(), group.slow, group.pending))
    });
    keys
}

/// Runs in all for a scenario whose run has so many packets.
fn most_runs(packets: u64) -> usize {
    let runs = MAX_PACKETS / packets.max(1);
    usize::try_from(runs).unwrap_or(MAX_RUNS).min(MAX_RUNS)
}

/// One proposal, and how many of its values may be run.
struct Job {
    proposal: Proposal,
    tries: usize,
}

/// What came of a patch that was run to its end, and how many NAT IPs it lacks.
type Known = (Outcome, u64);

/// Runs what is proposed for the causes of a run, cause by cause. The result does not depend on the number of threads.
///
/// # Errors
/// When a run fails, or `progress` ends it.
pub fn search(
    case: &Case<'_>,
    groups: &BTreeMap<Key, Group>,
    summary: &Summary,
    threads: usize,
    progress: &mut dyn FnMut(f64) -> ControlFlow<()>,
) -> Result<Searched, ReplayError> {
    let mut searched =
        Searched { before: Outcome::new(case.scenario, groups, summary), runs: 1, ..Searched::default() };
    let mut causes = Vec::new();
    for key in ordered(groups) {
        let group = &groups[&key];
        let proposals = proposals(&Ill { case, key, group, summary });
        if group.failures() + group.slow == 0 || proposals.is_empty() {
            continue;
        }
        match causes.len() {
            MAX_CAUSES => searched.causes_left_out += 1,
            _ => causes.push((key, proposals)),
        }
    }
    let mut room = most_runs(summary.packets.sent);
    let mut known = HashMap::new();
    let count = causes.len();
    for (number, (key, proposals)) in causes.into_iter().enumerate() {
        let identity = groups[&key].identity(&key);
        let reserved = MIN_RUNS * (count - number - 1);
        let mut own = room.saturating_sub(reserved).max(MIN_RUNS);
        let mut waiting = VecDeque::from(proposals);
        let mut found = Vec::new();
        while own > 0 && !waiting.is_empty() {
            let jobs = admitted(&mut waiting, own);
            let long = summary.packets.sent > LONG_RUN;
            let search = Search { case, before: &searched.before, cause: &identity, known: &known, long };
            let done = search.run_all(&jobs, threads, &mut |done| progress((number as f64 + done) / count as f64))?;
            for trial in done {
                searched.runs += trial.runs;
                room = room.saturating_sub(trial.runs);
                own = own.saturating_sub(trial.runs.max(1));
                known.extend(trial.learned);
                found.push(trial.found);
            }
        }
        searched.proposals_left_out += waiting.len();
        // What suffices first, then what helps most; among equals the order of the proposals.
        found.sort_by_key(|found: &Found| {
            let left = match &found.best.outcome {
                Ok(Some(outcome)) if found.best.sufficient => outcome.failures,
                Ok(Some(outcome)) => outcome.failures + outcome.pending,
                _ => u64::MAX,
            };
            (!found.best.sufficient, left)
        });
        searched.found.insert(key, found);
    }
    searched.together = together(case, &mut searched, groups, progress)?;
    Ok(searched)
}

/// The next proposals that `room` runs are certainly enough for; the first one in any case, with as many of its values.
fn admitted(waiting: &mut VecDeque<Proposal>, room: usize) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    let mut left = room;
    while let Some(next) = waiting.front() {
        let tries = next.choices.len().min(MAX_TRIES);
        if tries > left && !jobs.is_empty() {
            break;
        }
        let tries = tries.min(left);
        left -= tries;
        jobs.push(Job { proposal: waiting.pop_front().expect("it is there"), tries });
        if left == 0 {
            break;
        }
    }
    jobs
}

/// What is searched for a cause.
#[derive(Clone, Copy)]
struct Search<'a> {
    case: &'a Case<'a>,
    before: &'a Outcome,
    cause: &'a Identity,
    /// What other causes have had run already.
    known: &'a HashMap<String, Known>,
    /// A run takes so long that values are given up as soon as they are sure not to suffice.
    long: bool,
}

impl Search<'_> {
    /// Runs jobs side by side.
    fn run_all(
        self,
        jobs: &[Job],
        threads: usize,
        progress: &mut dyn FnMut(f64) -> ControlFlow<()>,
    ) -> Result<Vec<Tried>, ReplayError> {
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let work = |results: mpsc::Sender<_>| {
            while !stop.load(Ordering::Relaxed) {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(job) = jobs.get(at) else { return };
                let trial = Trial { search: self, stop: &stop, learned: Vec::new(), runs: 0 };
                if results.send((at, trial.mildest(job))).is_err() {
                    return;
                }
            }
        };
        let mut tried: Vec<Option<Tried>> = jobs.iter().map(|_| None).collect();
        let mut failure = None;
        let mut done = 0;
        thread::scope(|scope| {
            let (results, received) = mpsc::channel();
            for _ in 0..threads.clamp(1, jobs.len().max(1)) {
                let results = results.clone();
                scope.spawn(|| work(results));
            }
            // The workers have the other ends: when the last one is done, there is nothing more to wait for.
            drop(results);
            loop {
                match received.recv_timeout(PATIENCE) {
                    Ok((at, Ok(result))) => {
                        tried[at] = Some(result);
                        done += 1;
                    }
                    Ok((_, Err(error))) => {
                        stop.store(true, Ordering::Relaxed);
                        failure.get_or_insert(error);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                if progress(f64::from(done) / jobs.len().max(1) as f64).is_break() {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        });
        if let Some(error) = failure {
            return Err(error);
        }
        // Some were not even begun when it was ended.
        let interrupted = crate::recording::RecordingError::Interrupted;
        tried.into_iter().collect::<Option<_>>().ok_or(interrupted.into())
    }
}

/// What came of a job.
struct Tried {
    found: Found,
    runs: usize,
    learned: Vec<(String, Known)>,
}

/// Tries the values of a proposal.
struct Trial<'a> {
    search: Search<'a>,
    stop: &'a AtomicBool,
    learned: Vec<(String, Known)>,
    runs: usize,
}

impl Trial<'_> {
    /// The mildest value that suffices; of none, the one that leaves least.
    fn mildest(mut self, job: &Job) -> Result<Tried, ReplayError> {
        let Job { proposal: Proposal { choices, start }, tries } = job;
        let mut tried: BTreeMap<usize, Run> = BTreeMap::new();
        let mut at = *start;
        loop {
            let last = at + 1 == choices.len() || tried.len() + 1 == *tries;
            let run = self.run(&choices[at], self.search.long && !last)?;
            let sufficient = run.sufficient;
            tried.insert(at, run);
            if tried.len() == *tries {
                break;
            }
            let next = match sufficient {
                true => at.checked_sub(1),
                false => Some(at + 1).filter(|next| *next < choices.len()),
            };
            match next.filter(|next| !tried.contains_key(next)) {
                Some(next) => at = next,
                None => break,
            }
        }
        let left = |run: &Run| match &run.outcome {
            Ok(Some(outcome)) => outcome.failures + outcome.pending,
            _ => u64::MAX,
        };
        let best = tried.iter().find(|(_, run)| run.sufficient);
        // That even the largest value does not help says more than that the smallest does not.
        let best = best.or_else(|| tried.iter().min_by_key(|(at, run)| (left(run), std::cmp::Reverse(**at))));
        let best = best.expect("something was tried").1.clone();
        let highest = tried.keys().next_back().copied().unwrap_or(0);
        let untried = if best.sufficient { 0 } else { choices.len() - 1 - highest };
        let found = Found { best, tried: tried.into_values().collect(), untried };
        Ok(Tried { found, runs: self.runs, learned: self.learned })
    }

    /// Runs one change; if it leaves endpoints without ports for want of NAT IPs, with these.
    fn run(&mut self, choice: &Choice, impatient: bool) -> Result<Run, ReplayError> {
        let (run, lacking) = self.run_once(choice, impatient)?;
        let (Some((gateway, rule)), false, true) = (choice.add_ips, run.sufficient, lacking > 0) else {
            return Ok(run);
        };
        let case = self.search.case;
        let edit = Edit::with(&case.document, &choice.steps);
        let added =
            edit.and_then(|edit| super::remedy::add_ips(case.file, case.scenario, edit, gateway, rule, lacking));
        let Some((edit, stand_ins)) = added else { return Ok(run) };
        let mut choice = Choice { steps: edit.into_steps(), add_ips: None, ..choice.clone() };
        choice.change += &format!(" and {lacking} more natIps");
        choice.effects.push(format!("the partner sees more addresses: {stand_ins} stand in"));
        Ok(self.run_once(&choice, impatient)?.0)
    }

    /// Runs one change, unless it is known what comes of it. The second value is how many NAT IPs it lacks.
    fn run_once(&mut self, choice: &Choice, impatient: bool) -> Result<(Run, u64), ReplayError> {
        let Search { case, before, cause, known, .. } = self.search;
        let mut run = Run {
            change: choice.change.clone(),
            steps: choice.steps.clone(),
            effects: choice.effects.clone(),
            outcome: Ok(None),
            sufficient: false,
        };
        // Of the same patch it may be another NAT rule that is asked about.
        let text = format!("{:?} {}", choice.add_ips, Value::Array(choice.steps.clone()));
        if let Some((outcome, lacking)) = known.get(&text) {
            run.sufficient = outcome.ends(cause, before);
            run.outcome = Ok(Some(outcome.clone()));
            return Ok((run, *lacking));
        }
        let scenario = match patched(&case.document, &choice.steps) {
            Ok(scenario) => scenario,
            Err(why) => {
                run.outcome = Err(why);
                return Ok((run, 0));
            }
        };
        let mut evidence = Evidence::new(case.from);
        let patience = Patience::new(before.limits(cause));
        let given_up = patience.exhausted.clone();
        if impatient {
            evidence.give_up(patience);
        }
        self.runs += 1;
        let observed = case.observe(&scenario, None, &mut evidence, &mut || {
            if given_up.get() || self.stop.load(Ordering::Relaxed) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        let summary = match observed {
            Ok(summary) => summary,
            Err(_) if given_up.get() => return Ok((run, 0)),
            Err(error) => return Err(error),
        };
        let (groups, _) = evidence.into_groups();
        let outcome = Outcome::new(&scenario, &groups, &summary);
        run.sufficient = outcome.ends(cause, before);
        let lacking = choice.add_ips.map_or(0, |(gateway, rule)| super::remedy::ips_needed(&summary, gateway, rule));
        self.learned.push((text, (outcome.clone(), lacking)));
        run.outcome = Ok(Some(outcome));
        Ok((run, lacking))
    }
}

/// The first sufficient remedy of each of several causes, all at once.
fn together(
    case: &Case<'_>,
    searched: &mut Searched,
    groups: &BTreeMap<Key, Group>,
    progress: &mut dyn FnMut(f64) -> ControlFlow<()>,
) -> Result<Option<Run>, ReplayError> {
    let failing: Vec<Key> = ordered(groups).into_iter().filter(|key| groups[key].failures() > 0).collect();
    let mut edit = Edit::new(&case.document);
    let (mut changes, mut effects) = (Vec::new(), Vec::new());
    for key in &failing {
        let Some(first) = searched.found.get(key).and_then(|found| found.first()).filter(|found| found.best.sufficient)
        else {
            continue;
        };
        // What ends one cause may end the next, too, or be the same change.
        let ends_all = matches!(&first.best.outcome, Ok(Some(outcome)) if outcome.failures == 0);
        if ends_all || changes.contains(&first.best.change) {
            if ends_all {
                return Ok(None);
            }
            continue;
        }
        let Some(next) = edit.clone().then(&first.best.steps) else { continue };
        edit = next;
        changes.push(first.best.change.clone());
        effects.extend(first.best.effects.iter().cloned());
    }
    if changes.len() < 2 {
        return Ok(None);
    }
    effects.dedup();
    let steps = edit.into_steps();
    let mut run = Run { change: changes.join("; "), steps, effects, outcome: Ok(None), sufficient: false };
    let scenario = match patched(&case.document, &run.steps) {
        Ok(scenario) => scenario,
        Err(_) => return Ok(None),
    };
    let mut evidence = Evidence::new(case.from);
    let summary = case.observe(&scenario, None, &mut evidence, &mut || progress(1.0))?;
    searched.runs += 1;
    let outcome = Outcome::new(&scenario, &evidence.into_groups().0, &summary);
    let causes = failing.iter().map(|key| groups[key].identity(key));
    run.sufficient = causes.into_iter().all(|cause| outcome.ends(&cause, &searched.before));
    run.outcome = Ok(Some(outcome));
    Ok(Some(run))
}
