//! Are there ports for the load, destination by destination?

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::NatAdvice;
use super::demand::{Demand, Demands};
use super::endpoints::{Endpoints, Shares, State, allocated_ports};
use crate::node::nat::DEFAULT_RULE;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::{Egress, HostLocation, NatConfig, NatRuleMatch, Scenario, Traffic, TrafficProtocol};

/// The most that `minPortsPerVm` and `maxPortsPerVm` may be
/// (<https://docs.cloud.google.com/nat/docs/set-up-manage-network-address-translation>, 2026-04).
const MOST_STATIC_PORTS: u32 = 57_344;
const MOST_DYNAMIC_PORTS: u32 = 65_536;

/// The loads of one kind of endpoints to one destination, through one rule of a gateway.
pub(super) struct Load<'a> {
    pub endpoints: Endpoints,
    pub gateway: usize,
    pub rule: u32,
    pub to: Ipv4Addr,
    pub port: u16,
    /// Indices into [`Scenario::traffic`].
    pub traffic: Vec<usize>,
    pub demands: Demands,
    /// The gateway while the load lasts; when the most endpoints share it.
    pub state: &'a State<'a>,
    /// So many.
    pub count: u32,
}

impl Load<'_> {
    /// The most connections of one endpoint at a time, and when. Endpoints share evenly.
    pub(super) fn peak(&self, scenario: &Scenario) -> (f64, f64) {
        let (most, time) = self.demands.peak(scenario.duration.as_secs_f64());
        (most / f64::from(self.count), time)
    }

    /// `load to 198.51.100.7:443 needs 200 ÷ 2 instances = 100 ports each`, at a time.
    pub(super) fn in_words(&self, time: f64, what: &str) -> String {
        format!(
            "load to {}:{} needs {} ÷ {} {} = {:.0} {what} each",
            self.to,
            self.port,
            self.demands.arithmetic(time),
            self.count,
            self.endpoints.noun(self.count),
            self.demands.at(time) / f64::from(self.count)
        )
    }

    /// `rule 100 of gateway `gw``.
    pub(super) fn giver(&self, scenario: &Scenario) -> String {
        let gateway = &scenario.nat_gateways[self.gateway].name;
        if self.rule == DEFAULT_RULE {
            format!("gateway `{gateway}`")
        } else {
            format!("rule {} of gateway `{gateway}`", self.rule)
        }
    }

    /// What its endpoints have; where that is not known, their minimum.
    pub(super) fn shares(&self) -> Shares {
        self.state.shares(self.rule, self.endpoints).cloned().unwrap_or_else(|| {
            let ports = allocated_ports(self.state.config.min_ports_per_vm);
            Shares { by_ports: [(ports, self.count)].into(), ..Shares::default() }
        })
    }
}

/// How many ports an endpoint may come to have. One without its minimum does not grow.
fn most_ports(ports: u32, config: &NatConfig) -> u32 {
    if ports < config.min_ports_per_vm { ports } else { ports.max(config.max_ports_per_vm) }
}

/// The rule for a new connection. Of rules by source, one that holds for a part of the subnet only is passed over: it may
/// not hold for these.
pub(super) fn rule_of(scenario: &Scenario, config: &NatConfig, subnetwork: usize, to: Ipv4Addr) -> u32 {
    let source = scenario.subnetworks[subnetwork].range;
    let rule = config.rules.iter().find(|rule| match &rule.matches {
        NatRuleMatch::Destination(ranges) => ranges.iter().any(|range| range.contains(&to)),
        NatRuleMatch::Source(ranges) => ranges.iter().any(|range| range.contains(&source)),
    });
    rule.map_or(DEFAULT_RULE, |rule| rule.number)
}

/// Whose ports a load takes, if it goes to the internet through the VPC network.
pub(super) fn through_the_vpc(scenario: &Scenario, traffic: &Traffic) -> Option<Endpoints> {
    let internet = traffic.host.is_some_and(|host| scenario.hosts[host].location == HostLocation::Internet);
    let all = scenario.workloads[traffic.from].egress() == Egress::AllTraffic;
    Endpoints::of(scenario, traffic.from).filter(|_| internet && all)
}

impl NatAdvice<'_> {
    pub(super) fn loads(&mut self) {
        let scenario = self.scenario;
        let mut found = Vec::new();
        let mut by_rule: BTreeMap<(Endpoints, u32), Vec<Load<'_>>> = BTreeMap::new();
        for load in self.declared_loads() {
            match self.too_few_ports(&load) {
                Some(diagnostic) => found.push(diagnostic),
                // What exceeds even the most that dynamic allocation gives is told already.
                None => by_rule.entry((load.endpoints, load.rule)).or_default().push(load),
            }
        }
        found.extend(by_rule.values().filter_map(|loads| self.growth_too_slow(scenario, loads)));
        found.extend(by_rule.values().filter_map(|loads| self.growth_without_ips(scenario, loads)));
        self.found.extend(found);
    }

    /// What goes to the internet through a gateway, by destination.
    fn declared_loads(&self) -> Vec<Load<'_>> {
        let scenario = self.scenario;
        let mut loads: BTreeMap<(Endpoints, Ipv4Addr, u16, u8), Vec<usize>> = BTreeMap::new();
        for (at, traffic) in scenario.traffic.iter().enumerate() {
            let Some(endpoints) = through_the_vpc(scenario, traffic) else { continue };
            let Some(to) = scenario.ipv4_address_of(traffic) else { continue };
            loads.entry((endpoints, to, traffic.port, traffic.protocol as u8)).or_default().push(at);
        }
        let loads = loads.into_iter().filter_map(|((endpoints, to, port, _), traffic)| {
            let subnetwork = endpoints.subnetwork(scenario)?;
            let gateway = super::gateway_of(scenario, subnetwork)?;
            let (state, count) = self.state_during(gateway, endpoints, &traffic)?;
            let demand = |at: &usize| Demand::of(scenario, &scenario.traffic[*at], &state.config.timeouts);
            let demands = Demands::new(traffic.iter().map(demand).collect());
            let rule = rule_of(scenario, state.config, subnetwork, to);
            Some(Load { endpoints, gateway, rule, to, port, traffic, demands, state, count })
        });
        loads.collect()
    }

    /// A gateway while loads last, when the most endpoints share them: so that only a real shortage is told of.
    fn state_during(&self, gateway: usize, endpoints: Endpoints, traffic: &[usize]) -> Option<(&State<'_>, u32)> {
        let traffic = || traffic.iter().map(|at| &self.scenario.traffic[*at]);
        let (start, stop) = (traffic().map(|it| it.start).min()?, traffic().map(|it| it.stop).max()?);
        let states = &self.gateways[gateway];
        let first = states.iter().rposition(|state| state.at <= start).unwrap_or(0);
        let lasting = states[first..].iter().take_while(|state| state.at < stop || state.at <= start);
        let count = |state: &State<'_>| state.senders.get(&endpoints).copied().unwrap_or(0);
        let lasting: Vec<_> = lasting.map(|state| (state, count(state))).collect();
        let most = lasting.iter().map(|(_, count)| *count).max().filter(|most| *most > 0)?;
        lasting.into_iter().find(|(_, count)| *count == most)
    }

    /// More connections to a destination at a time than there are ports.
    fn too_few_ports(&self, load: &Load<'_>) -> Option<Diagnostic> {
        let config = load.state.config;
        let (wanted, time) = load.peak(self.scenario);
        let shares = load.shares();
        let limit = |ports: &u32| most_ports(*ports, config);
        let least = shares.by_ports.keys().map(limit).min()?;
        if wanted <= f64::from(least) {
            return None;
        }
        let giver = load.giver(self.scenario);
        let place: Place = self.details.traffic[load.traffic[load.demands.largest(time)?]].1;
        let gateway = self.details.gateways[load.gateway].place;
        let warning =
            |code, message: String| Diagnostic::warning(code, message).at(place).related(gateway, "the gateway");
        let next = (wanted.ceil() as u32).checked_next_power_of_two().unwrap_or(u32::MAX);
        let has_ports = shares.by_ports.keys().any(|ports| *ports > 0 && wanted > f64::from(*ports));
        if config.endpoint_independent_mapping && has_ports {
            let needs = load.in_words(time, "sockets");
            let most = shares.by_ports.keys().copied().max()?;
            let message = format!(
                "{needs} at a time, {giver} gives {most} ports and maps independently of the endpoint: sockets that share a port and a destination conflict, dropped as ENDPOINT_INDEPENDENCE_CONFLICT"
            );
            let raise = if next <= MOST_STATIC_PORTS {
                format!("raise minPortsPerVm to {next}, or add a gateway")
            } else {
                "spread the load over more endpoints, or add a gateway".to_owned()
            };
            return Some(warning("eim-conflict", message).help(format!(
                "set enableEndpointIndependentMapping to false; if it must stay, {raise}: with it, advice that saves ports does not apply"
            )));
        }
        let needs = load.in_words(time, "ports");
        if shares.short > 0 {
            let mut message =
                format!("{needs} at a time, of which {giver} has too few: {}", super::nat_ips::in_words(&shares));
            let default = load.state.shares(DEFAULT_RULE, load.endpoints).filter(|_| load.rule != DEFAULT_RULE);
            if let Some(default) = default {
                message += &format!("; under the default rule {}", super::nat_ips::in_words(default));
            }
            let help = match load.rule {
                DEFAULT_RULE => "add NAT IPs, or lower minPortsPerVm so that each endpoint gets ports".to_owned(),
                rule => format!(
                    "add NAT IPs to rule {rule}, or lower minPortsPerVm so that each endpoint gets ports: rules do not share them"
                ),
            };
            return Some(warning("too-few-ports", message).help(help));
        }
        let message = format!("{needs} at a time, {giver} gives {least}");
        let (field, most) = match config.dynamic_port_allocation {
            true => ("maxPortsPerVm", MOST_DYNAMIC_PORTS),
            false => ("minPortsPerVm", MOST_STATIC_PORTS),
        };
        let raise = if next <= most { format!("raise {field} to {next}, ") } else { String::new() };
        let wait = match self.scenario.traffic[load.traffic[0]].protocol {
            TrafficProtocol::Tcp => "shorten tcpTimeWaitTimeoutSec, ",
            TrafficProtocol::Udp => "shorten udpIdleTimeoutSec, ",
            TrafficProtocol::Icmp => "shorten icmpIdleTimeoutSec, ",
        };
        Some(
            warning("too-few-ports", message)
                .help(format!("{raise}{wait}spread the load, or keep connections open longer")),
        )
    }
}
