//! Changes of the clients: what the application can do.

use std::time::Duration;

use serde_json::json;

use super::{Choice, Ill, Proposal};
use crate::scenario::lifecycle;
use crate::scenario::value::{Dur, Rate};
use crate::scenario::{Arrivals, ClosedBy, Traffic, TrafficProtocol};

/// Requests that go over one connection, as tried.
const REQUESTS: [u32; 6] = [2, 4, 8, 16, 32, 64];
/// Connections of a pool, as tried.
const POOLS: [u32; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
/// Seconds after which a pool closes what is idle, as tried: below common limits of servers and firewalls.
const IDLE: [u64; 6] = [590, 290, 60, 30, 10, 4];
/// Seconds of patience, as tried. Linux gives up after 131 s.
const PATIENCE: [u64; 5] = [20, 30, 60, 90, 135];

/// Several requests over one connection. In the scenario's words: connections come so many times more rarely, and live so
/// many times longer. That is what a pool does when its requests come one after the other.
pub(super) fn keep_alive(ill: &Ill<'_>) -> Option<Proposal> {
    let traffic = &ill.case.scenario.traffic;
    let pools = |load: &usize| {
        let spec = &traffic[*load];
        let rated = matches!(spec.arrivals, Arrivals::Poisson(_) | Arrivals::Constant(_));
        let plain = spec.requests.is_none() && spec.curve.is_none();
        rated && plain && spec.protocol == TrafficProtocol::Tcp && spec.closed_by != ClosedBy::Nobody
    };
    let loads: Vec<usize> = ill.loads().filter(pools).collect();
    if loads.is_empty() || !ill.case.input.has_loads() {
        return None;
    }
    let choices = REQUESTS.map(|requests| {
        let edit = loads.iter().fold(ill.edit(), |edit, &load| {
            let Traffic { arrivals, lifetime, request_bytes, response_bytes, .. } = traffic[load];
            let (Arrivals::Poisson(rate) | Arrivals::Constant(rate)) = arrivals else { return edit };
            let at = format!("/traffic/{load}");
            edit.set(&format!("{at}/rate"), Rate(rate / f64::from(requests)).to_string())
                .set(&format!("{at}/lifetime"), Dur(lifetime * requests).to_string())
                .set(&format!("{at}/requestBytes"), request_bytes * u64::from(requests))
                .set(&format!("{at}/responseBytes"), response_bytes * u64::from(requests))
        });
        let change = format!("keep-alive: {requests} requests over one connection{}", names(ill, &loads));
        Choice::new(change, edit)
            .effect("fewer connections are begun: the numbers before and after are of other totals")
    });
    Proposal::of(choices.into())
}

/// Requests whose calls go over connections that are kept. At first so many as calls need at a time, on average.
pub(super) fn pool(ill: &Ill<'_>) -> Option<Proposal> {
    let scenario = ill.case.scenario;
    let requests = |load: usize| scenario.traffic[load].requests.as_ref();
    let loads: Vec<usize> = ill.loads().filter(|&load| requests(load).is_some_and(|it| it.pool.is_none())).collect();
    if loads.is_empty() || !ill.case.input.has_loads() {
        return None;
    }
    let busy = loads.iter().map(|&load| {
        let spec = &scenario.traffic[load];
        let instances = f64::from(lifecycle::peak_instances(scenario, spec.from).max(1));
        match spec.arrivals {
            Arrivals::Poisson(rate) | Arrivals::Constant(rate) => rate * spec.lifetime.as_secs_f64() / instances,
            Arrivals::Count(count) => count as f64 / instances,
            Arrivals::Workers(workers) => f64::from(workers.per_instance),
        }
    });
    let busy = busy.fold(0.0, f64::max);
    let choices = POOLS.map(|size| {
        // A pool closes its connections itself.
        let edit = loads.iter().fold(ill.edit(), |edit, load| {
            let at = format!("/traffic/{load}");
            edit.remove(&format!("{at}/closedBy")).set(&format!("{at}/requests/pool"), json!({ "size": size }))
        });
        let change = format!("keep-alive: a pool of {size} connections in each instance{}", names(ill, &loads));
        Choice::new(change, edit)
            .effect("fewer connections are begun: the numbers before and after are of other totals")
    });
    let start = POOLS.iter().position(|size| f64::from(*size) >= busy).unwrap_or(POOLS.len() - 1);
    Some(Proposal { choices: choices.into(), start })
}

/// Pools that close what is idle before somebody else does.
pub(super) fn idle_pool(ill: &Ill<'_>) -> Option<Proposal> {
    let scenario = ill.case.scenario;
    let traffic = &scenario.traffic;
    let idle = |load: usize| {
        let pool = traffic[load].requests.as_ref()?.pool?;
        Some(pool.idle_timeout.unwrap_or(Duration::MAX))
    };
    let loads: Vec<usize> = ill.loads().filter(|&load| idle(load).is_some()).collect();
    let longest = loads.iter().filter_map(|&load| idle(load)).max()?;
    if !ill.case.input.has_loads() {
        return None;
    }
    // Of two that are equal, either may be the first.
    let servers = loads.iter().filter_map(|&load| scenario.hosts[traffic[load].host?].server.idle);
    let below = servers.map(|idle| idle.after).min().unwrap_or(longest).min(longest);
    let choices = IDLE.map(Duration::from_secs).into_iter().filter(|limit| *limit < below).map(|limit| {
        let later = |&&load: &&usize| idle(load).is_some_and(|idle| idle > limit);
        let edit = loads.iter().filter(later).fold(ill.edit(), |edit, load| {
            edit.set(&format!("/traffic/{load}/requests/pool/idleTimeout"), Dur(limit).to_string())
        });
        let was = if longest == Duration::MAX { "none".to_owned() } else { Dur(longest).to_string() };
        Choice::new(format!("pool.idleTimeout: {was} -> {}{}", Dur(limit), names(ill, &loads)), edit)
    });
    Proposal::of(choices.collect())
}

/// Clients that wait longer for a connection: more SYNs come late enough.
pub(super) fn patience(ill: &Ill<'_>) -> Option<Proposal> {
    let traffic = &ill.case.scenario.traffic;
    let loads: Vec<usize> = ill.loads().filter(|&load| traffic[load].protocol == TrafficProtocol::Tcp).collect();
    let least = loads.iter().map(|&load| traffic[load].connect_timeout).min()?;
    if !ill.case.input.has_loads() {
        return None;
    }
    let choices = PATIENCE.into_iter().filter(|&seconds| Duration::from_secs(seconds) > least).map(|seconds| {
        let wanted = Duration::from_secs(seconds);
        let edit =
            loads.iter().filter(|&&load| traffic[load].connect_timeout < wanted).fold(ill.edit(), |edit, load| {
                let edit = edit.set(&format!("/traffic/{load}/connectTimeout"), Dur(wanted).to_string());
                // A call's own timeout ends the wait, too.
                match traffic[*load].requests.as_ref().and_then(|requests| requests.timeout) {
                    Some(timeout) if timeout < wanted => {
                        edit.set(&format!("/traffic/{load}/requests/timeout"), Dur(wanted).to_string())
                    }
                    _ => edit,
                }
            });
        let change = format!("connectTimeout: {} -> {}{}", Dur(least), Dur(wanted), names(ill, &loads));
        Choice::new(change, edit).effect("callers wait as long")
    });
    Proposal::of(choices.collect())
}

/// Clients that close what they do not use before it is forgotten.
pub(super) fn shorter_lives(ill: &Ill<'_>) -> Option<Proposal> {
    let traffic = &ill.case.scenario.traffic;
    let lives = |load: usize| traffic[load].closed_by != ClosedBy::Nobody && traffic[load].requests.is_none();
    let loads: Vec<usize> = ill.loads().filter(|&load| lives(load)).collect();
    let longest = loads.iter().map(|&load| traffic[load].lifetime).max()?;
    if !ill.case.input.has_loads() {
        return None;
    }
    // Just below the limits that there are: Cloud NAT's by default, Cloud Run's to the internet and into the VPC.
    let limits = [3600, 1190, 590, 290, 60, 25].map(Duration::from_secs);
    let choices = limits.into_iter().filter(|limit| *limit < longest).map(|limit| {
        let edit = loads
            .iter()
            .filter(|&&load| traffic[load].lifetime > limit)
            .fold(ill.edit(), |edit, load| edit.set(&format!("/traffic/{load}/lifetime"), Dur(limit).to_string()));
        let change = format!("the client closes idle connections after {}{}", Dur(limit), names(ill, &loads));
        Choice::new(change, edit)
    });
    Proposal::of(choices.collect())
}

/// ` (of partner-burst)`, when there are other loads.
fn names(ill: &Ill<'_>, loads: &[usize]) -> String {
    let traffic = &ill.case.scenario.traffic;
    if loads.len() == traffic.len() {
        return String::new();
    }
    let (shown, hidden) = loads.split_at(loads.len().min(3));
    let names: Vec<_> = shown.iter().map(|&load| traffic[load].name.as_str()).collect();
    let more = if hidden.is_empty() { String::new() } else { format!(" and {} more", hidden.len()) };
    format!(" (of {}{more})", names.join(", "))
}
