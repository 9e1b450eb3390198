//! What was found, as data for people and programs.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Case;
use super::evidence::{Dropped, Example, Group, Key, ports_found};
use super::kind::{Family, Kind};
use super::lines::Lines;
use super::place::Place;
use super::remedy::{self, Ill};
use super::search::{Cost, Found, MAX_CAUSES, Outcome, Run, Searched, ordered};
use crate::node::nat::{DEFAULT_RULE, Limit, Refusal, Refused};
use crate::recording::at;
use crate::report::causes;
use crate::report::diagnose::{
    self as data, Cause, Diagnosis, DroppedPacket, Evidence, LoadShare, LogLines, PortsFound, Remedy, Tried,
};
use crate::report::summary::{Exhaustion, Summary};
use crate::report::words::{counted, thousands};
use crate::scenario::{Attachment, Host};
use crate::trace::{DropCause, Failure};
use crate::traffic::flows::Fate;
use crate::wire::{Flow, Protocol};

/// Exhaustions of a cause that are told.
const MAX_EXHAUSTIONS: usize = 20;

/// Puts a diagnosis together.
pub fn report(
    case: &Case<'_>,
    groups: &BTreeMap<Key, Group>,
    lines: Option<&Lines>,
    summary: Summary,
    searched: Searched,
) -> Diagnosis {
    let causes = ordered(groups).into_iter().map(|key| {
        let ill = Ill { case, key, group: &groups[&key], summary: &summary };
        cause(&ill, lines, &searched)
    });
    let causes: Vec<Cause> = causes.collect();
    let before = &searched.before;
    Diagnosis {
        scenario: summary.scenario.clone(),
        seed: summary.seed,
        attempted: summary.connections.attempted,
        failed: summary.connections.failed,
        broken: summary.connections.broken,
        slow: causes.iter().map(|cause| cause.slow).sum(),
        pending: summary.connections.pending,
        together: searched.together.as_ref().map(|run| remedy_of(run, before, None)),
        notes: notes(case, &searched, &summary),
        simulations: searched.runs as u64,
        logs: None,
        causes,
        summary,
    }
}

fn notes(case: &Case<'_>, searched: &Searched, summary: &Summary) -> Vec<String> {
    let mut notes = Vec::new();
    if searched.causes_left_out > 0 {
        let others = counted(searched.causes_left_out as u64, "cause");
        notes.push(format!("remedies were tried for the {MAX_CAUSES} most harmful causes: {others} had none tried"));
    }
    if searched.proposals_left_out > 0 {
        let left_out = counted(searched.proposals_left_out as u64, "remedy").replace("remedys", "remedies");
        let runs = counted(searched.runs as u64, "run");
        notes.push(format!("{left_out} were not tried, since a diagnosis has a limit: it took {runs}"));
    }
    let patched = case.scenario.events.iter().any(|event| {
        matches!(event.change, crate::scenario::Change::PatchNat { .. }) && event.at <= case.scenario.duration
    });
    if patched && !searched.found.is_empty() {
        notes.push("events that patch a gateway apply on top of each remedy, at their time".to_owned());
    }
    if summary.connections.pending > 0 {
        let pending = counted(summary.connections.pending, "connection");
        notes.push(format!("{pending} still tried at the end: a longer run tells what becomes of them"));
    }
    notes
}

fn cause(ill: &Ill<'_>, lines: Option<&Lines>, searched: &Searched) -> Cause {
    let Ill { case, key, group, summary } = *ill;
    let failure = group.example.as_ref().and_then(failure_of);
    let rule_number = match key.place {
        Place::Gateway(_, rule) if rule != DEFAULT_RULE => Some(rule),
        _ => None,
    };
    let remedies: Vec<Remedy> = (searched.found.get(&key).into_iter().flatten())
        .map(|found| remedy_of(&found.best, &searched.before, Some((ill, found))))
        .collect();
    let advice = failure.and_then(causes::advice).filter(|_| !remedies.iter().any(|remedy| remedy.sufficient));
    Cause {
        cause: failure.map_or("SIM_NO_ANSWER", Failure::name).to_owned(),
        kind: key.kind.name(),
        title: key.kind.title().to_owned(),
        failures: group.failures(),
        failed: group.failed,
        broken: group.broken,
        slow: group.slow,
        pending: group.pending,
        r#where: place_name(ill),
        rule_number,
        from: at(group.from),
        to: at(group.to),
        loads: (group.loads.iter())
            .map(|(&load, &connections)| LoadShare { name: case.scenario.traffic[load].name.clone(), connections })
            .collect(),
        evidence: evidence(ill, lines),
        example: group.example.as_ref().map(|example| example_of(ill, example)),
        advice: advice.map(str::to_owned),
        remedies: if summary.connections.attempted == 0 { Vec::new() } else { remedies },
    }
}

/// What the example met: its failure, or the drop that made it late.
fn failure_of(example: &Example) -> Option<Failure> {
    match example.record.fate {
        Fate::Failed(failure) | Fate::Broken(failure) => Some(failure),
        Fate::Established | Fate::Pending => example.decided_by.map(|drop| Failure::Dropped(drop.cause)),
    }
}

/// Where a cause is at work, by name.
fn place_name(ill: &Ill<'_>) -> String {
    let Ill { case, key, group, .. } = *ill;
    let scenario = case.scenario;
    match key.place {
        Place::Gateway(gateway, _) => {
            let spec = &scenario.nat_gateways[gateway];
            let same = scenario.nat_gateways.iter().filter(|other| other.name == spec.name).count();
            if same > 1 { format!("{}/{}", spec.router, spec.name) } else { spec.name.clone() }
        }
        Place::Connector(connector) => scenario.connectors[connector].name.clone(),
        Place::Workload(workload) => scenario.workloads[workload].name.clone(),
        Place::Load(load) if key.kind.family() != Family::Way || key.kind == Kind::Mtu => {
            let spec = &scenario.traffic[load];
            spec.host.map_or_else(|| spec.to.to_string(), |host| scenario.hosts[host].name.clone())
        }
        Place::Destination(address, port, protocol) => {
            let has = |host: &&Host| host.addresses.iter().any(|range| range.contains(&address));
            let name = scenario.hosts.iter().find(has).map_or_else(|| address.to_string(), |host| host.name.clone());
            let port = if protocol == Protocol::Icmp { String::new() } else { format!(":{port}") };
            format!("{name}{port}/{protocol}")
        }
        Place::Load(_) | Place::Station(_) => group.station.clone(),
    }
}

fn evidence(ill: &Ill<'_>, lines: Option<&Lines>) -> Evidence {
    let Ill { case, key, group, summary } = *ill;
    let example = group.example.as_ref();
    let refusal = example.and_then(|example| example.decided_by?.refusal);
    let mut evidence = Evidence { finding: example.and_then(|example| finding(ill, example)), ..Evidence::default() };
    evidence.ports = refusal.as_ref().and_then(ports_found).map(|(allocated_ports, open, time_wait)| PortsFound {
        allocated_ports,
        open,
        time_wait,
    });
    if let Place::Gateway(gateway, rule) = key.place
        && key.kind.family() == Family::NatPorts
    {
        evidence.exhaustions = exhaustions(summary, key.kind, gateway, rule);
        evidence.log = log_lines(ill, lines, gateway, rule, refusal.as_ref());
    }
    match key.place {
        Place::Workload(workload) if key.kind == Kind::AddressExhaustion => {
            if let Attachment::Direct { subnetwork, .. } = case.scenario.workloads[workload].attachment() {
                let name = &case.scenario.subnetworks[*subnetwork].name;
                let subnet = summary.subnetworks.iter().find(|subnet| subnet.name == *name);
                evidence.failed_instance_starts = subnet.map(|subnet| subnet.failed_instance_starts);
            }
        }
        Place::Connector(connector) => {
            evidence.connector_instances = summary.connectors.get(connector).map(|connector| connector.instances);
        }
        _ => {}
    }
    evidence
}

/// What the deciding station found, as a clause.
fn finding(ill: &Ill<'_>, example: &Example) -> Option<String> {
    let Dropped { refusal, cause, .. } = example.decided_by?;
    let station = example.drops.iter().rposition(|drop| Some(*drop) == example.decided_by);
    let station = station.map(|at| example.stations[at].as_str()).unwrap_or_default();
    if let Some(refusal) = refusal {
        let endpoint = example.endpoint.as_deref().unwrap_or_default();
        return Some(refused(endpoint, &refusal));
    }
    if ill.key.kind.family() == Family::Way
        && let Some(trace) = remedy::trace(ill)
        && let Some(hop) = trace.hops.last()
        && let Some(step) = hop.steps.iter().rev().find(|step| step.description != cause.meaning())
    {
        return Some(step.description.clone());
    }
    Some(format!("{station}: {}", cause.meaning()))
}

/// `api-1 had 64 ports for 198.51.100.7:443/tcp, 64 open and 0 in TIME_WAIT: it had reached its own maximum`
fn refused(endpoint: &str, refusal: &Refusal) -> String {
    let tuple = refusal.tuple;
    let destination = format!("{}:{}/{}", tuple.dst, tuple.dst_port, tuple.protocol);
    match refusal.why {
        Refused::Conflict => format!("another socket of {endpoint} had the NAT port of this one for {destination}"),
        Refused::Shortage { limit, allocated_ports: 0, .. } => {
            format!("{endpoint} had no port at all for {destination}: {}", limit_text(limit))
        }
        Refused::Shortage { limit, allocated_ports, open, time_wait } => format!(
            "{endpoint} had {} for {destination}, {} open and {} in TIME_WAIT: {}",
            counted(allocated_ports.into(), "port"),
            thousands(open.into()),
            thousands(time_wait.into()),
            limit_text(limit)
        ),
    }
}

const fn limit_text(limit: Limit) -> &'static str {
    match limit {
        Limit::VmPorts => "it had reached its own maximum",
        Limit::GatewayIps => "the NAT IPs had no free block",
        Limit::GrowthPending => "dynamic port allocation was still catching up",
    }
}

/// The exhaustions that are of this cause.
fn exhaustions(summary: &Summary, kind: Kind, gateway: usize, rule: u32) -> Vec<Exhaustion> {
    let limit = match kind {
        Kind::VmPorts | Kind::TimeWait => Limit::VmPorts,
        Kind::GatewayIps => Limit::GatewayIps,
        Kind::GrowthPending => Limit::GrowthPending,
        _ => return Vec::new(),
    };
    let of_cause = |exhaustion: &&Exhaustion| {
        exhaustion.limit == limit.name() && exhaustion.rule_number.unwrap_or(DEFAULT_RULE) == rule
    };
    let all = summary.gateways.get(gateway).into_iter().flat_map(|gateway| &gateway.exhaustions);
    all.filter(of_cause).take(MAX_EXHAUSTIONS).cloned().collect()
}

fn log_lines(
    ill: &Ill<'_>,
    lines: Option<&Lines>,
    gateway: usize,
    rule: u32,
    refusal: Option<&Refusal>,
) -> Option<LogLines> {
    let lines = lines?;
    let of_cause = lines.of(ill.key.kind, gateway, rule);
    let note = match ill.case.scenario.nat_gateways[gateway].config.log {
        None => Some("logConfig is off: Google would write nothing".to_owned()),
        Some(crate::scenario::LogFilter::TranslationsOnly) => {
            Some("logConfig asks for TRANSLATIONS_ONLY: drops are not written".to_owned())
        }
        Some(_) => None,
    };
    let entries = of_cause.zip(refusal).map(|(of_cause, refusal)| of_cause.of(&refusal.tuple)).unwrap_or_default();
    Some(LogLines {
        count: of_cause.map_or(0, |of_cause| of_cause.count),
        first_line: of_cause.and_then(|of_cause| Some(of_cause.range?.0)),
        last_line: of_cause.and_then(|of_cause| Some(of_cause.range?.1)),
        entries: entries.iter().filter_map(|(_, line)| serde_json::from_str(line).ok()).collect(),
        note,
    })
}

fn example_of(ill: &Ill<'_>, example: &Example) -> data::Example {
    let record = &example.record;
    let known = |flow: Flow| (!flow.src().is_unspecified()).then(|| flow.into());
    data::Example {
        traffic: record.traffic.map(|load| ill.case.scenario.traffic[load].name.clone()),
        instance: example.instance.clone(),
        start: at(record.started),
        established: record.established.map(at),
        end: record.ended.map(at),
        outcome: match record.fate {
            Fate::Failed(_) => "failed",
            Fate::Broken(_) => "broken",
            Fate::Established => "established",
            Fate::Pending => "pending",
        },
        attempts: record.attempts,
        protocol: record.inside.protocol().to_string(),
        inside: known(record.inside),
        outside: record.outside.map(data::Tuple::from),
        drops: (example.drops.iter().zip(&example.stations))
            .map(|(drop, station)| DroppedPacket {
                at: at(drop.time),
                station: station.clone(),
                cause: DropCause::name(drop.cause),
            })
            .collect(),
    }
}

/// What came of a change; of a cause, if it was for one.
fn remedy_of(run: &Run, before: &Outcome, of: Option<(&Ill<'_>, &Found)>) -> Remedy {
    let after = run.outcome.as_ref().ok().and_then(Option::as_ref);
    let identity = of.map(|(ill, _)| ill.group.identity(&ill.key));
    let mut side_effects = after.map(|after| compared(before, after)).unwrap_or_default();
    side_effects.extend(run.effects.iter().cloned());
    let mut tried = Vec::new();
    if let Some((_, found)) = of {
        if found.tried.len() > 1 {
            tried = found.tried.iter().map(tried_of).collect();
        }
        if found.untried > 0 {
            side_effects.push(format!("{} were not tried", counted(found.untried as u64, "further value")));
        }
    }
    Remedy {
        change: run.change.clone(),
        patch: Value::Array(run.steps.clone()),
        failures_before: before.failures,
        failures_after: after.map_or(before.failures, |after| after.failures),
        of_this_cause_after: after.zip(identity.as_ref()).map_or(0, |(after, identity)| after.of(identity)),
        slow_before: before.slow,
        slow_after: after.map_or(before.slow, |after| after.slow),
        pending_before: before.pending,
        pending_after: after.map_or(before.pending, |after| after.pending),
        sufficient: run.sufficient,
        side_effects,
        tried,
        refused: run.outcome.as_ref().err().cloned(),
    }
}

fn tried_of(run: &Run) -> Tried {
    let outcome = run.outcome.as_ref().ok().and_then(Option::as_ref);
    Tried {
        change: run.change.clone(),
        failures_after: outcome.map(|outcome| outcome.failures),
        sufficient: run.sufficient,
    }
}

/// What it takes more or less.
fn compared(before: &Outcome, after: &Outcome) -> Vec<String> {
    let (was, is): (&Cost, &Cost) = (&before.cost, &after.cost);
    let figures = [
        ("NAT IPs", was.nat_ips, is.nat_ips),
        ("NAT ports reserved at the peak", was.ports, is.ports),
        ("subnet addresses held at the peak", was.addresses, is.addresses),
        ("instances at the peak", was.instances, is.instances),
        ("connector VMs", was.connector_vms, is.connector_vms),
    ];
    let requests = before.failed_requests.zip(after.failed_requests);
    let mut effects: Vec<String> = requests
        .map(|(was, is)| ("failed requests", was, is))
        .into_iter()
        .chain(figures)
        .filter(|(_, was, is)| was != is)
        .map(|(what, was, is)| format!("{what}: {} -> {}", thousands(was), thousands(is)))
        .collect();
    if was.connector_price != is.connector_price {
        effects.push(match (was.connector_price, is.connector_price) {
            (0.0, _) => "connector VMs cost while they are idle, too".to_owned(),
            (_, 0.0) => "no connector VMs to pay for".to_owned(),
            (was, is) => format!("{:.1} times the price of the connector VMs", is / was),
        });
    }
    if before.attempted != after.attempted {
        let (was, is) = (thousands(before.attempted), thousands(after.attempted));
        effects.push(format!("connections attempted: {was} -> {is}"));
    }
    effects
}
