//! Who has which ports when: the endpoints of a gateway in the order in which they arrive, and what its NAT IPs give them.
//!
//! The blocks are really set aside, by the allocator that the simulation uses. What a run finds out beyond that is left out:
//! growth by dynamic port allocation, and blocks on an address that comes back from draining (they are taken anew).

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;

use super::gateway_of;
use crate::node::nat::{
    DEFAULT_RULE, Excess, PortBlock, PortPool, block_shape, blocks_lacking, blocks_per_ip, excess, ports_at_least,
};
use crate::scenario::lifecycle::{self, Turnover, peak_instances};
use crate::scenario::model::Shortage;
use crate::scenario::{Attachment, Change, IpAllocation, NatConfig, Scenario, WorkloadKind};

/// Reservations that are looked at, over all endpoints, rules and changes. Beyond, only sums are known: a check is to take
/// no longer than a moment.
const MOST_RESERVATIONS: usize = 500_000;
/// Who competes for the same ports: VMs of one connector, or instances of one workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Endpoints {
    Connector(usize),
    Workload(usize),
}

impl Endpoints {
    /// Whose ports the packets of a workload take.
    pub(super) fn of(scenario: &Scenario, workload: usize) -> Option<Endpoints> {
        match *scenario.workloads[workload].attachment() {
            Attachment::None => None,
            Attachment::Connector(connector) => Some(Endpoints::Connector(connector)),
            Attachment::Direct { .. } => Some(Endpoints::Workload(workload)),
        }
    }

    /// Where they are.
    pub(super) fn subnetwork(self, scenario: &Scenario) -> Option<usize> {
        match self {
            Endpoints::Connector(connector) => Some(scenario.connectors[connector].subnetwork),
            Endpoints::Workload(workload) => match *scenario.workloads[workload].attachment() {
                Attachment::Direct { subnetwork, .. } => Some(subnetwork),
                _ => None,
            },
        }
    }

    /// What they are, in words.
    pub(super) fn noun(self, count: u32) -> &'static str {
        match (self, count) {
            (Endpoints::Connector(_), 1) => "connector VM",
            (Endpoints::Connector(_), _) => "connector VMs",
            (Endpoints::Workload(_), 1) => "instance",
            (Endpoints::Workload(_), _) => "instances",
        }
    }
}

/// What a number of endpoints have under one rule.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Shares {
    /// How many endpoints have this many ports.
    pub by_ports: BTreeMap<u32, u32>,
    /// On which NAT IPs.
    pub ips: BTreeSet<Ipv4Addr>,
    /// How many of them have less than their minimum.
    pub short: u32,
    /// How many ports all of them together lack.
    pub missing: u64,
}

/// What a rule's NAT IPs give.
#[derive(Debug, Clone, Default)]
pub(super) struct RuleShares {
    /// Active NAT IPs.
    pub nat_ips: usize,
    /// All endpoints of the gateway, those that merely hold an address included.
    pub all: Shares,
    /// Those through which packets of workloads leave.
    pub senders: BTreeMap<Endpoints, Shares>,
}

/// Why the ports are as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The start of the run.
    Start,
    /// Endpoints came or went.
    Endpoints,
    /// An event changed the gateway: index into [`Scenario::events`].
    Patch(usize),
}

/// A gateway, from a time until the next one of these.
#[derive(Debug, Clone)]
pub(super) struct State<'a> {
    pub at: Duration,
    pub cause: Cause,
    pub config: &'a NatConfig,
    /// Endpoints: VMs, connector VMs and addresses of Direct VPC instances.
    pub counts: [u64; 3],
    /// How many NAT IPs every rule needs for all of them.
    pub needed: u64,
    /// Endpoints through which packets leave.
    pub senders: BTreeMap<Endpoints, u32>,
    /// By number of the rule. `None` when everybody has the minimum (automatic allocation), or when there are too many
    /// to look at.
    pub rules: Option<BTreeMap<u32, RuleShares>>,
}

impl State<'_> {
    /// What these endpoints have under a rule, if that is known.
    pub(super) fn shares(&self, rule: u32, of: Endpoints) -> Option<&Shares> {
        self.rules.as_ref()?.get(&rule)?.senders.get(&of)
    }
}

/// The NAT IPs of each rule, the default rule first: its number and its active addresses. An address that several rules
/// have is the first one's, as in the simulation.
pub(super) fn rules(config: &NatConfig) -> Vec<(u32, Vec<Ipv4Addr>)> {
    let own = (DEFAULT_RULE, &config.nat_ips);
    let others = config.rules.iter().map(|rule| (rule.number, &rule.nat_ips));
    let mut taken = BTreeSet::new();
    std::iter::once(own)
        .chain(others)
        .map(|(number, ips)| (number, ips.iter().copied().filter(|ip| taken.insert(*ip)).collect()))
        .collect()
}

/// How many NAT IPs so many endpoints need, with `ports` each. Ports come in aligned blocks, none of which may touch the
/// first 1,024; so 32,768 ports are two blocks of 16,384, an address has three of those, and four endpoints need 8 blocks:
/// 3 addresses.
pub(super) fn nat_ips_needed(endpoints: u64, ports: u32) -> u64 {
    let (blocks, size) = block_shape(ports);
    (endpoints * u64::from(blocks)).div_ceil(blocks_per_ip(size).into())
}

/// How many ports an endpoint gets that is to have at least so many: whole blocks.
pub(in crate::scenario::resolve) fn allocated_ports(ports: u32) -> u32 {
    let (blocks, size) = block_shape(ports);
    blocks * size
}

/// An interface that has ports.
#[derive(Debug)]
struct Endpoint {
    /// Index into [`State::counts`].
    kind: usize,
    /// Whose packets take its ports.
    sender: Option<Endpoints>,
    /// It serves an alias range of several addresses.
    alias_range: bool,
    gone: bool,
    /// By number of the rule.
    blocks: BTreeMap<u32, Vec<PortBlock>>,
}

impl Endpoint {
    fn new(kind: usize, sender: Option<Endpoints>) -> Endpoint {
        Endpoint { kind, sender, alias_range: false, gone: false, blocks: BTreeMap::new() }
    }

    fn minimum(&self, config: &NatConfig) -> u32 {
        ports_at_least(config.min_ports_per_vm, config.dynamic_port_allocation, self.alias_range)
    }
}

fn ports(blocks: &[PortBlock]) -> u32 {
    blocks.iter().map(PortBlock::size).sum()
}

/// Takes out what goes next when at least `floor` ports are to stay.
fn excess_of(blocks: &mut Vec<PortBlock>, floor: u32) -> Option<PortBlock> {
    let ports = ports(blocks);
    let last = blocks.last_mut()?;
    match excess(ports, last.size(), floor)? {
        Excess::Block => blocks.pop(),
        Excess::Half => Some(last.halve()),
    }
}

/// Something that happens to a gateway.
#[derive(Debug)]
enum Step {
    /// Instances stop and start.
    Turnover(Turnover),
    /// The addresses of instances are released: their endpoints, from and to.
    Leave(Vec<(usize, usize)>),
    Patch(usize),
}

/// A gateway as its endpoints come and go.
struct Walk<'a> {
    scenario: &'a Scenario,
    config: &'a NatConfig,
    /// In order of arrival.
    endpoints: Vec<Endpoint>,
    /// Running instances of each workload and revision: their endpoints, from and to.
    instances: BTreeMap<(usize, usize), Vec<(usize, usize)>>,
    /// By number; empty while addresses are automatic.
    rules: BTreeMap<u32, PortPool>,
}

/// What becomes of a gateway during the run: the start, then each change.
pub(super) fn states(scenario: &Scenario, gateway: usize) -> Vec<State<'_>> {
    let delay = scenario.model.nat.programming_delay;
    // At the same time, what was due comes before what happens.
    let served = |turnover: &Turnover| is_served(scenario, gateway, turnover.workload, turnover.revision);
    let plan: Vec<Turnover> = lifecycle::forecast(scenario).into_iter().filter(served).collect();
    let later = plan.iter().filter(|turnover| !turnover.at.is_zero());
    let mut steps: Vec<(Duration, bool, Step)> =
        later.map(|turnover| (turnover.at, true, Step::Turnover(*turnover))).collect();
    for (index, event) in scenario.events.iter().enumerate() {
        match &event.change {
            Change::PatchNat { gateway: patched, .. } if *patched == gateway => {
                steps.push((event.at + delay, delay.is_zero(), Step::Patch(index)));
            }
            _ => {}
        }
    }
    if !is_exact(scenario, gateway, &plan, steps.len()) {
        return sums(scenario, gateway, steps);
    }
    let mut walk = Walk::new(scenario, gateway, plan.iter().filter(|turnover| turnover.at.is_zero()));
    let mut states = vec![walk.state(Duration::ZERO, Cause::Start)];
    loop {
        let next = (0..steps.len()).min_by_key(|step| (steps[*step].0, steps[*step].1, *step));
        let Some(next) = next.filter(|next| steps[*next].0 <= scenario.duration) else { break };
        let (at, _, step) = steps.remove(next);
        let cause = match step {
            Step::Turnover(turnover) => {
                let hold = scenario.address_hold(turnover.workload);
                let stopped = walk.turn_over(turnover);
                if !stopped.is_empty() {
                    steps.push((at + hold, false, Step::Leave(stopped)));
                }
                Cause::Endpoints
            }
            Step::Leave(endpoints) => {
                walk.leave(&endpoints);
                Cause::Endpoints
            }
            Step::Patch(event) => {
                if let Change::PatchNat { config, .. } = &scenario.events[event].change {
                    walk.patch(config);
                }
                Cause::Patch(event)
            }
        };
        states.push(walk.state(at, cause));
    }
    states
}

fn is_served(scenario: &Scenario, gateway: usize, workload: usize, revision: usize) -> bool {
    match scenario.workloads[workload].revisions[revision].attachment {
        Attachment::Direct { subnetwork, .. } => gateway_of(scenario, subnetwork) == Some(gateway),
        _ => false,
    }
}

/// VMs and connector VMs, which arrive first.
fn endpoints_that_stay(scenario: &Scenario, gateway: usize) -> Vec<Endpoint> {
    let coverage = &scenario.nat_gateways[gateway].coverage;
    let mut endpoints = Vec::new();
    for vm in scenario.vms.iter().filter(|vm| vm.running) {
        let primary = vm.external_address.is_none() && gateway_of(scenario, vm.subnetwork) == Some(gateway);
        let serves = |alias: &&Ipv4Net| {
            coverage.iter().any(|it| it.subnetwork == vm.subnetwork && it.range.contains(&alias.addr()))
        };
        let aliases: Vec<&Ipv4Net> = vm.alias_ranges.iter().filter(serves).collect();
        if primary || !aliases.is_empty() {
            let alias_range = aliases.iter().any(|alias| alias.prefix_len() < 32);
            endpoints.push(Endpoint { alias_range, ..Endpoint::new(0, None) });
        }
    }
    for (at, connector) in scenario.connectors.iter().enumerate() {
        if gateway_of(scenario, connector.subnetwork) == Some(gateway) {
            let vms = (0..connector.min_instances).map(|_| Endpoint::new(1, Some(Endpoints::Connector(at))));
            endpoints.extend(vms);
        }
    }
    endpoints
}

/// NAT endpoints of an instance: the address that its packets wear, and those that it merely holds.
fn endpoints_an_instance(scenario: &Scenario, workload: usize) -> u32 {
    let held = scenario.model.cloud_run.count_held_addresses;
    if held { scenario.workloads[workload].addresses_per_instance() } else { 1 }
}

/// As [`states`], by sums alone, with the most instances that there are at any time.
fn sums(scenario: &Scenario, gateway: usize, steps: Vec<(Duration, bool, Step)>) -> Vec<State<'_>> {
    let mut endpoints: Vec<(Endpoint, u32)> =
        endpoints_that_stay(scenario, gateway).into_iter().map(|endpoint| (endpoint, 1)).collect();
    for workload in (0..scenario.workloads.len()).filter(|workload| is_served(scenario, gateway, *workload, 0)) {
        let instances = peak_instances(scenario, workload);
        endpoints.push((Endpoint::new(2, Some(Endpoints::Workload(workload))), instances));
        endpoints.push((Endpoint::new(2, None), instances * (endpoints_an_instance(scenario, workload) - 1)));
    }
    let state = |config, at, cause| State::of(config, at, cause, endpoints.iter().map(|(one, count)| (one, *count)));
    let mut states = vec![state(&scenario.nat_gateways[gateway].config, Duration::ZERO, Cause::Start)];
    for (at, _, step) in steps {
        if let Step::Patch(event) = step
            && let Change::PatchNat { config, .. } = &scenario.events[event].change
            && at <= scenario.duration
        {
            states.push(state(config, at, Cause::Patch(event)));
        }
    }
    states
}

/// Whether there are few enough reservations to look at each, after each change.
fn is_exact(scenario: &Scenario, gateway: usize, plan: &[Turnover], changes: usize) -> bool {
    let mut endpoints = scenario.vms.len() + 10 * scenario.connectors.len();
    endpoints += plan.iter().map(|turnover| 2 * turnover.starts as usize).sum::<usize>();
    let patched = scenario.events.iter().filter_map(|event| match &event.change {
        Change::PatchNat { config, .. } => Some(config.rules.len()),
        _ => None,
    });
    let rules = patched.chain([scenario.nat_gateways[gateway].config.rules.len()]).max().unwrap_or(0);
    // What stops leaves once more, later.
    endpoints.saturating_mul(rules + 1).saturating_mul(2 * changes + 1) <= MOST_RESERVATIONS
}

impl<'a> Walk<'a> {
    fn new<'b>(scenario: &'a Scenario, gateway: usize, first: impl Iterator<Item = &'b Turnover>) -> Walk<'a> {
        let config = &scenario.nat_gateways[gateway].config;
        let mut walk = Walk {
            scenario,
            config,
            endpoints: endpoints_that_stay(scenario, gateway),
            instances: BTreeMap::new(),
            rules: BTreeMap::new(),
        };
        for turnover in first {
            (0..turnover.starts).for_each(|_| walk.start_instance(turnover.workload, turnover.revision));
        }
        walk.patch(config);
        walk
    }

    fn start_instance(&mut self, workload: usize, revision: usize) {
        let addresses = endpoints_an_instance(self.scenario, workload);
        let first = self.endpoints.len();
        self.endpoints.push(Endpoint::new(2, Some(Endpoints::Workload(workload))));
        self.endpoints.extend((1..addresses).map(|_| Endpoint::new(2, None)));
        self.instances.entry((workload, revision)).or_default().push((first, self.endpoints.len()));
    }

    /// Stops and starts instances. Returns the endpoints of those that are gone: their addresses are held for a while.
    fn turn_over(&mut self, turnover: Turnover) -> Vec<(usize, usize)> {
        let Turnover { workload, revision, stops, starts, .. } = turnover;
        let running = self.instances.entry((workload, revision)).or_default();
        let stops = running.len().min(stops as usize);
        // Tasks of a job end in the order in which they began; of all others the youngest go.
        let stopped: Vec<_> = match self.scenario.workloads[workload].kind {
            WorkloadKind::Job => running.drain(..stops).collect(),
            _ => running.split_off(running.len() - stops),
        };
        for (first, _) in &stopped {
            self.endpoints[*first].sender = None;
        }
        let present = self.endpoints.len();
        (0..starts).for_each(|_| self.start_instance(workload, revision));
        // Who is there gets more when something is released or changed only.
        self.top_up(present);
        stopped
    }

    fn leave(&mut self, stopped: &[(usize, usize)]) {
        for endpoint in stopped.iter().flat_map(|(from, to)| *from..*to) {
            let endpoint = &mut self.endpoints[endpoint];
            endpoint.gone = true;
            for (rule, blocks) in std::mem::take(&mut endpoint.blocks) {
                let Some(addresses) = self.rules.get_mut(&rule) else { continue };
                blocks.into_iter().for_each(|block| addresses.release(block));
            }
        }
        self.top_up(0);
    }

    fn patch(&mut self, config: &'a NatConfig) {
        // Turning dynamic allocation off takes all ports away (Google: it breaks all connections).
        let anew = self.config.dynamic_port_allocation && !config.dynamic_port_allocation;
        self.config = config;
        let wanted = match config.allocate {
            IpAllocation::Auto => Vec::new(),
            IpAllocation::Manual => rules(config),
        };
        let mut before = std::mem::take(&mut self.rules);
        for (number, ips) in wanted {
            let mut addresses = before.remove(&number).unwrap_or_default();
            for gone in addresses.ips().filter(|ip| !ips.contains(ip)).collect::<Vec<_>>() {
                addresses.remove_ip(gone);
            }
            ips.iter().for_each(|ip| addresses.add_ip(*ip));
            addresses.reorder(&ips);
            self.rules.insert(number, addresses);
        }
        for endpoint in &mut self.endpoints {
            let minimum = endpoint.minimum(config);
            endpoint.blocks.retain(|number, _| self.rules.contains_key(number));
            for (number, blocks) in &mut endpoint.blocks {
                let Some(addresses) = self.rules.get_mut(number) else { continue };
                blocks.retain(|block| addresses.has(block.ip()));
                let floor = if anew { 0 } else { allocated_ports(minimum) };
                while let Some(goes) = excess_of(blocks, floor) {
                    addresses.release(goes);
                }
            }
        }
        self.top_up(0);
    }

    /// Gives every endpoint from this one on what it lacks of its minimum, as far as there are ports.
    fn top_up(&mut self, first: usize) {
        let partial = self.scenario.model.nat.shortage == Shortage::Partial;
        for endpoint in self.endpoints[first..].iter_mut().filter(|endpoint| !endpoint.gone) {
            let minimum = endpoint.minimum(self.config);
            for (number, addresses) in &mut self.rules {
                let blocks = endpoint.blocks.entry(*number).or_default();
                let have = ports(blocks);
                if have >= minimum {
                    continue;
                }
                let lacking = blocks_lacking(have, minimum).count();
                let fresh: Vec<PortBlock> =
                    blocks_lacking(have, minimum).filter_map(|size| addresses.reserve(size)).collect();
                if partial || fresh.len() == lacking {
                    blocks.extend(fresh);
                } else {
                    fresh.into_iter().for_each(|block| addresses.release(block));
                }
            }
        }
    }

    fn state(&self, at: Duration, cause: Cause) -> State<'a> {
        let present = || self.endpoints.iter().filter(|endpoint| !endpoint.gone);
        let mut state = State::of(self.config, at, cause, present().map(|endpoint| (endpoint, 1)));
        let mut rules: BTreeMap<u32, RuleShares> = BTreeMap::new();
        for (number, addresses) in &self.rules {
            rules.insert(*number, RuleShares { nat_ips: addresses.ips().count(), ..RuleShares::default() });
        }
        for endpoint in present() {
            let minimum = endpoint.minimum(self.config);
            for (number, shares) in &mut rules {
                let blocks = endpoint.blocks.get(number).map_or(&[][..], Vec::as_slice);
                shares.all.add(blocks, minimum);
                if let Some(sender) = endpoint.sender {
                    shares.senders.entry(sender).or_default().add(blocks, minimum);
                }
            }
        }
        state.rules = (self.config.allocate == IpAllocation::Manual).then_some(rules);
        state
    }
}

impl<'a> State<'a> {
    /// What there is of endpoints, so many of each; what they have is not known yet.
    fn of<'e>(
        config: &'a NatConfig,
        at: Duration,
        cause: Cause,
        endpoints: impl Iterator<Item = (&'e Endpoint, u32)>,
    ) -> State<'a> {
        let mut state = State { at, cause, config, counts: [0; 3], needed: 0, senders: BTreeMap::new(), rules: None };
        let mut by_minimum: BTreeMap<u32, u64> = BTreeMap::new();
        for (endpoint, count) in endpoints {
            state.counts[endpoint.kind] += u64::from(count);
            *by_minimum.entry(endpoint.minimum(config)).or_default() += u64::from(count);
            if let Some(sender) = endpoint.sender {
                *state.senders.entry(sender).or_default() += count;
            }
        }
        // Endpoints with different minima share addresses.
        let addresses = by_minimum.into_iter().map(|(minimum, count)| {
            let (blocks, size) = block_shape(minimum);
            count as f64 * f64::from(blocks) / f64::from(blocks_per_ip(size))
        });
        // Sums of thirds and sevenths are a little off.
        state.needed = (addresses.sum::<f64>() - 1e-6).ceil().max(0.0) as u64;
        state
    }
}

impl Shares {
    fn add(&mut self, blocks: &[PortBlock], minimum: u32) {
        let ports = ports(blocks);
        *self.by_ports.entry(ports).or_default() += 1;
        self.ips.extend(blocks.iter().map(PortBlock::ip));
        if ports < minimum {
            self.short += 1;
            self.missing += u64::from(allocated_ports(minimum) - ports);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::nat_ips_needed;

    #[test]
    fn addresses_hold_as_many_endpoints_as_google_tabulates() {
        // Google's table for one address: endpoints by ports each.
        for (ports, endpoints) in [(64, 1008), (1024, 63), (2048, 31), (4096, 15), (8192, 7)] {
            assert_eq!(nat_ips_needed(endpoints, ports), 1, "{ports}");
            assert_eq!(nat_ips_needed(endpoints + 1, ports), 2, "{ports}");
        }
    }

    #[test]
    fn four_endpoints_of_32000_ports_need_three_addresses() {
        // Observed: one address, "minExtraNatIpsNeeded": 2. 32,000 ports are 2 blocks of 16,384, three of which fit.
        assert_eq!(nat_ips_needed(4, 32_000), 3);
    }

    #[test]
    fn the_largest_static_allocation_fits_into_one_address_less_than_exactly() {
        // 57,344 = 4 blocks of 16,384 rounded up: an address has three, so 2 are needed.
        assert_eq!(nat_ips_needed(1, 57_344), 2);
        assert_eq!(nat_ips_needed(0, 64), 0);
    }
}
