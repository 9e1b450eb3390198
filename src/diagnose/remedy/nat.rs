//! Changes of a Cloud NAT gateway.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Choice, Ill, Proposal};
use crate::bench::plan::{InFile, free_addresses, gateways_in_file};
use crate::diagnose::document::Edit;
use crate::node::nat::DEFAULT_RULE;
use crate::report::words::counted;
use crate::scenario::{IpAllocation, Scenario};

/// Google: with dynamic allocation a minimum is from 32 to 32,768, a maximum from 64 to 65,536, both powers of two
/// (<https://docs.cloud.google.com/nat/docs/set-up-manage-network-address-translation>, 2026-04).
const DYNAMIC_MIN: u32 = 32;
const LARGEST_MIN: u32 = 32_768;
const LARGEST_MAX: u32 = 65_536;
/// Google recommends no shorter TIME_WAIT: late packets of a closed connection might reach another one.
const SHORTEST_TIME_WAIT: u64 = 15;
/// What new gateways have since 2026-09-30 (<https://docs.cloud.google.com/nat/docs/tune-nat-configuration>).
pub(super) const DEFAULT_TIME_WAIT: Duration = Duration::from_secs(30);
/// NAT IPs that are tried: so many more.
const MORE_IPS: [u64; 12] = [1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 64];

/// Powers of two above `low`, up to `high`.
fn powers(low: u32, high: u32) -> impl Iterator<Item = u32> {
    (0..=16).map(|exponent| 1u32 << exponent).filter(move |power| (low + 1..=high).contains(power))
}

impl InFile {
    /// Where the gateway is in the document.
    fn pointer(self) -> String {
        format!("/routers/{}/nats/{}", self.router, self.nat)
    }
}

/// Where the gateway of a cause is in the document.
fn pointer(ill: &Ill<'_>) -> Option<String> {
    let (gateway, ..) = ill.gateway()?;
    Some(gateways_in_file(ill.case.file, ill.case.scenario)[gateway].pointer())
}

/// More ports for each VM from the start. Static allocation sets whole blocks aside, so values between powers of two would
/// give no others.
pub(super) fn min_ports(ill: &Ill<'_>) -> Option<Proposal> {
    let (config, at) = (ill.config()?, pointer(ill)?);
    let choices = powers(config.min_ports_per_vm, LARGEST_MIN).map(|ports| {
        let mut change = format!("minPortsPerVm: {} -> {ports}", config.min_ports_per_vm);
        let mut edit = ill.edit().set(&format!("{at}/minPortsPerVm"), ports);
        if config.dynamic_port_allocation && ports >= config.max_ports_per_vm {
            edit = edit.set(&format!("{at}/maxPortsPerVm"), ports * 2);
            change += &format!(", maxPortsPerVm: {} -> {}", config.max_ports_per_vm, ports * 2);
        }
        with_ips(ill, Choice::new(change, edit))
    });
    Proposal::of(choices.collect())
}

/// Room to grow further.
pub(super) fn max_ports(ill: &Ill<'_>) -> Option<Proposal> {
    let (config, at) = (ill.config().filter(|config| config.dynamic_port_allocation)?, pointer(ill)?);
    let choices = powers(config.max_ports_per_vm, LARGEST_MAX).map(|ports| {
        let change = format!("maxPortsPerVm: {} -> {ports}", config.max_ports_per_vm);
        with_ips(ill, Choice::new(change, ill.edit().set(&format!("{at}/maxPortsPerVm"), ports)))
    });
    Proposal::of(choices.collect())
}

/// Dynamic instead of static allocation, from about as many ports as there are.
pub(super) fn dynamic(ill: &Ill<'_>) -> Option<Proposal> {
    let config = ill.config().filter(|config| !config.dynamic_port_allocation)?;
    if config.endpoint_independent_mapping {
        return None;
    }
    let at = pointer(ill)?;
    let short = ill.key.kind == crate::diagnose::kind::Kind::GatewayIps;
    let min =
        if short { DYNAMIC_MIN } else { config.min_ports_per_vm.next_power_of_two().clamp(DYNAMIC_MIN, LARGEST_MIN) };
    let choices = powers(min, LARGEST_MAX).map(|max| {
        let edit = ill.edit().set(&format!("{at}/enableDynamicPortAllocation"), true);
        let edit = edit.set(&format!("{at}/minPortsPerVm"), min).set(&format!("{at}/maxPortsPerVm"), max);
        let change = format!("enableDynamicPortAllocation: true, minPortsPerVm {min}, maxPortsPerVm {max}");
        let choice = Choice::new(change, edit);
        if max < 1024 { choice.effect("connections that are open when it is turned on may break") } else { choice }
    });
    Proposal::of(choices.collect())
}

/// Static instead of dynamic allocation: nothing has to grow.
pub(super) fn fixed(ill: &Ill<'_>) -> Option<Proposal> {
    let config = ill.config().filter(|config| config.dynamic_port_allocation)?;
    let at = pointer(ill)?;
    let choices = powers(config.min_ports_per_vm, LARGEST_MIN).map(|ports| {
        let edit = ill.edit().set(&format!("{at}/enableDynamicPortAllocation"), false);
        let edit = edit.set(&format!("{at}/minPortsPerVm"), ports).remove(&format!("{at}/maxPortsPerVm"));
        let change = format!("enableDynamicPortAllocation: false, minPortsPerVm {ports}");
        let choice = Choice::new(change, edit).effect("all NAT connections break when it is turned off");
        with_ips(ill, choice)
    });
    Proposal::of(choices.collect())
}

/// Ports that rest for a shorter time.
pub(super) fn time_wait(ill: &Ill<'_>) -> Option<Proposal> {
    let (config, at) = (ill.config()?, pointer(ill)?);
    let now = config.timeouts.tcp_time_wait.as_secs();
    let shorter = [60, 30, SHORTEST_TIME_WAIT].into_iter().filter(|&seconds| seconds < now);
    let choices = shorter.map(|seconds| {
        let change = format!("tcpTimeWaitTimeoutSec: {now} -> {seconds}");
        Choice::new(change, ill.edit().set(&format!("{at}/tcpTimeWaitTimeoutSec"), seconds))
    });
    Proposal::of(choices.collect())
}

/// One NAT IP more, which people try first: a VM's ports are no more for it.
pub(super) fn one_more_ip(ill: &Ill<'_>) -> Option<Proposal> {
    Proposal::single(ips(ill, ill.edit(), 1)?)
}

/// As many NAT IPs as it takes.
pub(super) fn more_ips(ill: &Ill<'_>) -> Option<Proposal> {
    let (gateway, rule, _) = ill.gateway()?;
    let needed = ips_needed(ill.summary, gateway, rule);
    let mut counts: BTreeSet<u64> = MORE_IPS.into();
    counts.insert(needed.max(1));
    let choices: Vec<_> = counts.iter().filter_map(|&count| ips(ill, ill.edit(), count)).collect();
    let start = counts.iter().position(|&count| count == needed).unwrap_or(0).min(choices.len().saturating_sub(1));
    (!choices.is_empty()).then_some(Proposal { choices, start })
}

/// NAT IPs that a gateway's rule lacks at the end of a run.
pub(in crate::diagnose) fn ips_needed(summary: &crate::report::summary::Summary, gateway: usize, rule: u32) -> u64 {
    let Some(gateway) = summary.gateways.get(gateway) else { return 0 };
    if rule == DEFAULT_RULE {
        return gateway.min_extra_nat_ips_needed;
    }
    gateway.rules.iter().find(|known| known.rule_number == rule).map_or(0, |known| known.min_extra_ips_needed)
}

/// The choice, with more NAT IPs if it leaves endpoints without their ports.
pub(super) fn with_ips(ill: &Ill<'_>, choice: Choice) -> Choice {
    let gateways = &ill.case.scenario.nat_gateways;
    let near = || {
        let subnet = ill.workloads().first().and_then(|&workload| ill.case.scenario.subnetwork_of(workload));
        let serves = |at: &usize| gateways[*at].coverage.iter().any(|covered| Some(covered.subnetwork) == subnet);
        (0..gateways.len()).find(serves).map(|gateway| (gateway, DEFAULT_RULE))
    };
    let served_by = ill.gateway().map(|(gateway, rule, _)| (gateway, rule)).or_else(near);
    let manual = served_by.filter(|(gateway, _)| gateways[*gateway].config.allocate == IpAllocation::Manual);
    Choice { add_ips: manual, ..choice }
}

/// More NAT IPs: addresses that the scenario does not use stand for them.
fn ips(ill: &Ill<'_>, edit: Edit, count: u64) -> Option<Choice> {
    let (gateway, rule, spec) = ill.gateway()?;
    let (edit, names) = add_ips(ill.case.file, ill.case.scenario, edit, gateway, rule, count)?;
    let list = if rule == DEFAULT_RULE { "natIps" } else { "sourceNatActiveIps" };
    let have = match rule {
        DEFAULT_RULE => spec.config.nat_ips.len(),
        _ => spec.config.rules.iter().find(|known| known.number == rule).map_or(0, |known| known.nat_ips.len()),
    };
    let of_rule = if rule == DEFAULT_RULE { String::new() } else { format!(" of rule {rule}") };
    let change = format!("{list}{of_rule}: {have} -> {}", have as u64 + count);
    let choice = Choice::new(change, edit);
    Some(choice.effect(format!("the partner sees more addresses: {names} stand in")))
}

/// Adds NAT IPs to a gateway's rule. Returns the addresses that stand for them, in words.
pub(in crate::diagnose) fn add_ips(
    file: &crate::scenario::file::ScenarioFile,
    scenario: &Scenario,
    mut edit: Edit,
    gateway: usize,
    rule: u32,
    count: u64,
) -> Option<(Edit, String)> {
    let spec = &scenario.nat_gateways[gateway];
    if spec.config.allocate != IpAllocation::Manual {
        return None;
    }
    let at = gateways_in_file(file, scenario)[gateway].pointer();
    let list = match rule {
        DEFAULT_RULE => format!("{at}/natIps"),
        _ => {
            let rules = edit.at(&format!("{at}/rules"))?.as_array()?;
            let place = rules.iter().position(|known| known["ruleNumber"] == rule)?;
            format!("{at}/rules/{place}/action/sourceNatActiveIps")
        }
    };
    let taken: Vec<String> = edit
        .at("/addresses")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|address| Some(address["name"].as_str()?.to_owned()))
        .collect();
    let names = (1..).map(|number| format!("nat-ip-more-{number}")).filter(|name| !taken.contains(name));
    let mut addresses = Vec::new();
    for (name, address) in names.zip(free_addresses(file, scenario)).take(count as usize) {
        let reserved = json!({"name": name, "region": spec.region, "address": address.to_string()});
        edit = edit.push("/addresses", reserved).push(&list, name);
        addresses.push(address.to_string());
    }
    if addresses.len() < count as usize {
        return None;
    }
    let shown = addresses.len().min(3);
    let mut names = addresses[..shown].join(", ");
    if shown < addresses.len() {
        names += &format!(" and {} more", addresses.len() - shown);
    }
    Some((edit, names))
}

/// Fewer ports for each VM, so that the NAT IPs suffice for all.
pub(super) fn fewer_ports(ill: &Ill<'_>) -> Option<Proposal> {
    let (config, at) = (ill.config()?, pointer(ill)?);
    let now = config.min_ports_per_vm;
    let choices = powers(DYNAMIC_MIN - 1, now.saturating_sub(1)).map(|ports| {
        let change = format!("minPortsPerVm: {now} -> {ports}");
        let choice = Choice::new(change, ill.edit().set(&format!("{at}/minPortsPerVm"), ports));
        choice.effect("connections on ports that a VM loses may break when it is lowered")
    });
    let mut choices: Vec<_> = choices.collect();
    choices.reverse();
    Proposal::of(choices)
}

/// A lower maximum, so that no VM takes the ports of the others.
pub(super) fn lower_max(ill: &Ill<'_>) -> Option<Proposal> {
    let config = ill.config().filter(|config| config.dynamic_port_allocation)?;
    let at = pointer(ill)?;
    let now = config.max_ports_per_vm;
    let choices = powers(config.min_ports_per_vm.max(DYNAMIC_MIN), now.saturating_sub(1)).map(|ports| {
        let change = format!("maxPortsPerVm: {now} -> {ports}");
        Choice::new(change, ill.edit().set(&format!("{at}/maxPortsPerVm"), ports))
    });
    let mut choices: Vec<_> = choices.collect();
    choices.reverse();
    Proposal::of(choices)
}

/// NAT IPs that Google adds by need.
pub(super) fn automatic_ips(ill: &Ill<'_>) -> Option<Proposal> {
    let config = ill.config()?;
    if config.allocate == IpAllocation::Auto || !config.rules.is_empty() {
        return None;
    }
    let at = pointer(ill)?;
    let edit = ill.edit().set(&format!("{at}/natIpAllocateOption"), "AUTO_ONLY");
    let edit = edit.remove(&format!("{at}/natIps")).remove(&format!("{at}/drainNatIps"));
    let choice = Choice::new("natIpAllocateOption: MANUAL_ONLY -> AUTO_ONLY", edit);
    Proposal::single(choice.effect("the addresses that the partner sees are others, and may change"))
}

/// Each connection has a port of its own choice. Sockets that could not share a port want one each: with more ports, if need
/// be.
pub(super) fn no_endpoint_independence(ill: &Ill<'_>) -> Option<Proposal> {
    let config = ill.config().filter(|config| config.endpoint_independent_mapping)?;
    let at = pointer(ill)?;
    let off = ill.edit().set(&format!("{at}/enableEndpointIndependentMapping"), false);
    let change = "enableEndpointIndependentMapping: true -> false";
    let alone = Choice::new(change, off.clone());
    let more = powers(config.min_ports_per_vm, LARGEST_MIN).map(|ports| {
        let change = format!("{change}, minPortsPerVm: {} -> {ports}", config.min_ports_per_vm);
        with_ips(ill, Choice::new(change, off.clone().set(&format!("{at}/minPortsPerVm"), ports)))
    });
    let relay = "clients that need one port for all peers (WebRTC) may need a relay";
    Proposal::of(std::iter::once(alone).chain(more).map(|choice| choice.effect(relay)).collect())
}

/// Idle connections that are remembered for longer.
pub(super) fn idle_timeout(ill: &Ill<'_>) -> Option<Proposal> {
    let (config, at) = (ill.config()?, pointer(ill)?);
    let example = ill.group.example.as_ref()?;
    let (field, now) = match example.record.inside.protocol() {
        crate::wire::Protocol::Tcp => ("tcpEstablishedIdleTimeoutSec", config.timeouts.tcp_established_idle),
        crate::wire::Protocol::Udp => ("udpIdleTimeoutSec", config.timeouts.udp_idle),
        crate::wire::Protocol::Icmp => ("icmpIdleTimeoutSec", config.timeouts.icmp_idle),
    };
    let now = now.as_secs();
    let choices = (1..=7).map(|doubling| {
        let seconds = now << doubling;
        let change = format!("{field}: {now} -> {seconds}");
        let choice = Choice::new(change, ill.edit().set(&format!("{at}/{field}"), seconds));
        choice.effect("what clients leave open keeps its port for longer")
    });
    Proposal::of(choices.collect())
}

/// Events that patch the gateway, in order of time: their places in the document.
fn patches(ill: &Ill<'_>) -> Option<Vec<usize>> {
    let (_, _, gateway) = ill.gateway()?;
    let full = format!("{}/{}", gateway.router, gateway.name);
    let is_it = |event: &Value| {
        let name = event["patchNat"]["gateway"].as_str()?;
        (name == full || name.rsplit('/').next() == Some(gateway.name.as_str())).then_some(())
    };
    let events = ill.case.document.pointer("/events").and_then(Value::as_array)?;
    let mut places: Vec<usize> = (0..events.len()).filter(|&at| is_it(&events[at]).is_some()).collect();
    let at = |place: &usize| ill.case.file.events.get(*place).map(|event| event.value.at.value.0);
    places.sort_by_key(at);
    (!places.is_empty()).then_some(places)
}

/// NAT IPs that are taken away are drained, and drained to the end.
pub(super) fn drain(ill: &Ill<'_>) -> Option<Proposal> {
    let (places, at) = (patches(ill)?, pointer(ill)?);
    let names = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|name| Some(name.as_str()?.to_owned())).collect()
    };
    let mut edit = ill.edit();
    let own = |field: &str| edit.at(&format!("{at}/{field}")).map(names).unwrap_or_default();
    let (mut active, mut draining) = (own("natIps"), own("drainNatIps"));
    let mut changed = 0;
    for place in places {
        let set = format!("/events/{place}/patchNat/set");
        let written = edit.at(&set)?.clone();
        if written.get("natIps").is_none() && written.get("drainNatIps").is_none() {
            continue;
        }
        let next = written.get("natIps").map_or_else(|| active.clone(), names);
        draining.extend(active.iter().filter(|name| !next.contains(name)).cloned());
        draining.retain(|name| !next.contains(name));
        active = next;
        if written.get("drainNatIps").map(names).unwrap_or_default() != draining {
            edit = edit.set(&format!("{set}/drainNatIps"), draining.clone());
            changed += 1;
        }
    }
    if changed == 0 {
        return None;
    }
    let change = format!("drainNatIps: drain what natIps loses, to the end ({})", counted(changed, "event"));
    Proposal::single(Choice::new(change, edit).effect("the old addresses stay reserved for as long"))
}

/// The gateway stays as it is.
pub(super) fn no_changes(ill: &Ill<'_>) -> Option<Proposal> {
    let mut places = patches(ill)?;
    places.sort_unstable();
    let count = places.len() as u64;
    let edit = places.into_iter().rev().fold(ill.edit(), |edit, place| edit.remove(&format!("/events/{place}")));
    Proposal::single(Choice::new(format!("without the {} that patch the gateway", counted(count, "event")), edit))
}
