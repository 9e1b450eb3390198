//! Requests of a load, and which services Cloud Run scales by them.

use std::time::Duration;

use super::Resolver;
use super::load::MOST_AT_ONCE;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::{load as file, simulation};
use crate::scenario::lifecycle::peak_instances;
use crate::scenario::value::{At, Dur};
use crate::scenario::{
    Arrivals, Change, Dns, Pool, Requests, RetryPolicy, Traffic, TrafficProtocol, Workers, WorkloadKind,
};

/// Bytes of a message at most.
const LARGEST_MESSAGE: u64 = 1 << 30;
/// Go's `http.DefaultTransport.IdleConnTimeout`.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// Google's defaults of `maxInstanceRequestConcurrency` (<https://cloud.google.com/run/docs/about-concurrency>, 2026).
const SERVICE_CONCURRENCY: i64 = 80;
const FUNCTION_CONCURRENCY: i64 = 1;
/// Google: without one, `maxInstanceCount` of a revision is 100
/// (<https://docs.cloud.google.com/run/docs/reference/rest/v2/RevisionScaling>, 2026).
pub(super) const DEFAULT_MAX_INSTANCES: u32 = 100;

fn span(given: Option<&At<Dur>>, default: Duration) -> Duration {
    given.map_or(default, |given| given.0)
}

impl Resolver<'_> {
    /// What a load's requests are; `None` when they make no sense.
    pub(super) fn requests(
        &mut self,
        traffic: &At<simulation::Traffic>,
        protocol: TrafficProtocol,
        given: &At<file::Requests>,
    ) -> Option<Requests> {
        if protocol != TrafficProtocol::Tcp {
            self.unusable("requests-need-tcp", "requests go over TCP", given.place, "remove `requests` or `protocol`");
            return None;
        }
        if let Some(lifetime) = &traffic.lifetime {
            let help = "remove `lifetime`; `pool` says how long connections are kept";
            self.unusable("misplaced-field", "with requests, a connection lasts as long as they", lifetime.place, help);
        }
        if let (Some(pool), Some(closed_by)) = (&given.pool, &traffic.closed_by) {
            let message = "a pool closes its connections itself";
            let help = "remove `closedBy`; a host closes idle connections by its `idleTimeout`";
            self.push(
                Diagnostic::unusable("misplaced-field", message)
                    .at(closed_by.place)
                    .related(pool.place, "the pool")
                    .help(help),
            );
        }
        for (size, what) in [(&traffic.request_bytes, "requestBytes"), (&traffic.response_bytes, "responseBytes")] {
            if let Some(size) = size.as_ref().filter(|size| !(1..=LARGEST_MESSAGE).contains(&size.0)) {
                let message = format!("{what} is {}, expected 1 to {LARGEST_MESSAGE} with requests", size.0);
                self.unusable("out-of-range", &message, size.place, "a call is over when its response has come");
            }
        }
        let calls = given.calls.as_ref().and_then(|it| self.model_bounded(it, 1..=1000, "calls"));
        let retries = given.retry_policy.as_ref().and_then(|policy| self.retry_policy(policy));
        let pool = given.pool.as_ref().and_then(|pool| self.pool(pool));
        let dns = given.dns.as_ref().and_then(|dns| self.dns(dns));
        Some(Requests {
            processing: span(given.processing.as_ref(), Duration::ZERO),
            calls: calls.unwrap_or(1) as u32,
            think_time: span(given.think_time.as_ref(), Duration::ZERO),
            timeout: given.timeout.as_ref().map(|timeout| timeout.0).filter(|timeout| !timeout.is_zero()),
            retries: retries.unwrap_or(RetryPolicy::NONE),
            pool,
            dns,
        })
    }

    fn unusable(&mut self, code: &'static str, message: &str, place: Place, help: &str) {
        self.push(Diagnostic::unusable(code, message.to_owned()).at(place).help(help.to_owned()));
    }

    fn retry_policy(&mut self, given: &At<file::RetryPolicy>) -> Option<RetryPolicy> {
        let max_attempts = self.model_bounded(&given.max_attempts, 1..=1000, "maxAttempts")?;
        if let Some(multiplier) = given.backoff_multiplier.as_ref().filter(|it| !(1.0..=1000.0).contains(&it.value)) {
            let message = format!("backoffMultiplier is {}, expected 1 to 1000", multiplier.value);
            self.unusable("out-of-range", &message, multiplier.place, "2 doubles each wait");
        }
        Some(RetryPolicy {
            max_attempts: max_attempts as u32,
            initial_backoff: span(given.initial_backoff.as_ref(), Duration::from_millis(100)),
            max_backoff: span(given.max_backoff.as_ref(), Duration::from_secs(10)),
            multiplier: given.backoff_multiplier.as_ref().map_or(2.0, |it| it.value),
            jitter: given.jitter.as_ref().is_none_or(|jitter| jitter.value == file::Jitter::Full),
        })
    }

    fn pool(&mut self, given: &At<file::Pool>) -> Option<Pool> {
        let size = self.model_bounded(&given.size, 1..=100_000, "pool.size")?;
        let idle_timeout = span(given.idle_timeout.as_ref(), POOL_IDLE_TIMEOUT);
        Some(Pool {
            size: size as u32,
            idle_timeout: Some(idle_timeout).filter(|timeout| !timeout.is_zero()),
            max_age: given.max_age.as_ref().map(|age| age.0).filter(|age| !age.is_zero()),
        })
    }

    fn dns(&mut self, given: &At<file::Dns>) -> Option<Dns> {
        let (server, port, _) = self.target(&given.server, TrafficProtocol::Udp)?;
        Some(Dns { server, port, ttl: span(given.ttl.as_ref(), Duration::ZERO) })
    }

    pub(super) fn workers(&mut self, traffic: &At<simulation::Traffic>, given: &At<file::Workers>) -> Option<Arrivals> {
        if traffic.requests.is_none() && !self.is_lost(traffic.place, "requests") {
            let message = "workers send requests, and there is no `requests`";
            self.unusable("missing-field", message, given.place, "add `requests: {}`");
            return None;
        }
        let per_instance = self.model_bounded(&given.per_instance, 1..=100_000, "workers.perInstance")?;
        let requests = match &given.requests {
            Some(requests) => Some(self.model_bounded(requests, 1..=i64::MAX, "workers.requests")? as u64),
            None => None,
        };
        Some(Arrivals::Workers(Workers {
            per_instance: per_instance as u32,
            pause: span(given.pause.as_ref(), Duration::ZERO),
            requests,
        }))
    }

    /// How many requests an instance works on at a time.
    pub(super) fn concurrency(&mut self, kind: WorkloadKind, given: Option<&At<i64>>) -> u32 {
        let default = match kind {
            WorkloadKind::Service => SERVICE_CONCURRENCY,
            WorkloadKind::Function => FUNCTION_CONCURRENCY,
            // Nobody sends them requests: what they call is of their own accord.
            WorkloadKind::Job | WorkloadKind::WorkerPool => return u32::MAX,
        };
        let given = given.and_then(|given| self.bounded(given, 0..=1000, "maxInstanceRequestConcurrency"));
        // 0 is what the API gives for the default.
        given.filter(|given| *given > 0).unwrap_or(default) as u32
    }

    /// Services and functions whose instances Cloud Run counts itself: those with requests and without a number, by event or
    /// pinned. Their loads are known by now, and the events.
    pub(super) fn autoscaling(&mut self) {
        let called =
            |traffic: &Traffic| traffic.requests.is_some() && !matches!(traffic.arrivals, Arrivals::Workers(_));
        let from: Vec<usize> = self.out.traffic.iter().filter(|it| called(it)).map(|it| it.from).collect();
        for (at, workload) in self.out.workloads.iter_mut().enumerate() {
            let scaled = self.out.events.iter().any(
                |event| matches!(event.change, Change::Scale { workload, .. } | Change::Deploy { workload, .. } if workload == at),
            );
            let service = matches!(workload.kind, WorkloadKind::Service | WorkloadKind::Function);
            let Some(deployed) = self.details.deployed.get(&at) else { continue };
            if service && from.contains(&at) && !scaled && !deployed.is_pinned() {
                workload.autoscaled = Some(deployed.least());
                let most = workload.revisions[0].max_instances.get_or_insert(DEFAULT_MAX_INSTANCES);
                workload.instances = workload.instances.min(*most);
            }
        }
    }

    /// Workers of all instances together, when there are most: each is in memory.
    pub(super) fn crowds(&mut self) {
        if self.diagnostics.has_errors() {
            return; // Instances can be counted when all that starts them is known.
        }
        for at in 0..self.out.traffic.len() {
            let load = &self.out.traffic[at];
            let Arrivals::Workers(workers) = load.arrivals else { continue };
            let instances = peak_instances(&self.out, load.from);
            let all = u64::from(workers.per_instance) * u64::from(instances);
            if all > MOST_AT_ONCE {
                let (each, name) = (workers.per_instance, &self.out.workloads[load.from].name);
                let message = format!(
                    "{each} workers in each of {instances} instances of `{name}` are {all}, expected at most {MOST_AT_ONCE}"
                );
                self.unusable("out-of-range", &message, self.details.traffic[at].1, "lower `perInstance`");
            }
        }
    }
}
