//! What the simulator adds: hosts, load, events, expectations.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::Resolver;
use crate::scenario::decode::nearest;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::simulation as file;
use crate::scenario::value::{At, Reference};
use crate::scenario::{
    Arrivals, ClosedBy, Destination, Endpoints, ExpectTest, Expectation, Host, HostLocation, Traffic, TrafficProtocol,
};

/// Connections that begin at one instant: each is in memory at once.
const MOST_AT_ONCE: u64 = 10_000_000;

impl Resolver<'_> {
    pub(super) fn hosts(&mut self) {
        let mut taken: HashMap<IpNet, Place> = HashMap::new();
        for host in &self.file.hosts {
            let name = match host.name.parse::<Reference>() {
                Ok(name) => At { value: name, place: host.name.place },
                Err(_) => {
                    let message = format!("found `{}`, expected a name", host.name.value);
                    self.push(Diagnostic::unusable("invalid-value", message).at(host.name.place));
                    continue;
                }
            };
            match self.host(host, &mut taken) {
                Some(resolved) => {
                    let declared = self.hosts.declare(&name, None, self.out.hosts.len());
                    if self.ok(declared).is_some() {
                        self.details.hosts.push(host.name.place);
                        self.out.hosts.push(resolved);
                        self.host_links(host);
                    }
                }
                None => {
                    self.hosts.lost.insert(name.name().to_owned());
                }
            }
        }
    }

    fn host(&mut self, host: &At<file::Host>, taken: &mut HashMap<IpNet, Place>) -> Option<Host> {
        let mut addresses = Vec::new();
        for range in host.address.iter().chain(host.addresses.iter().flatten()) {
            let net = self.net(range);
            if let Some(first) = taken.insert(net, range.place) {
                self.push(
                    Diagnostic::unusable("duplicate-address", format!("two hosts have the address {net}"))
                        .at(range.place)
                        .related(first, "first given here")
                        .help("give each host its own address"),
                );
            }
            addresses.push(net);
        }
        if addresses.is_empty() {
            if !self.is_lost(host.place, "address") && !self.is_lost(host.place, "addresses") {
                let message = format!("host `{}` has no address", host.name.value);
                let help = "add `address: 198.51.100.7`";
                self.push(Diagnostic::unusable("missing-field", message).at(host.name.place).help(help));
            }
            return None;
        }
        let kind = host.location.as_ref().map_or(file::Location::Internet, |location| location.value);
        let location = match kind {
            file::Location::Internet => HostLocation::Internet,
            file::Location::GoogleApi => HostLocation::GoogleApi,
            file::Location::OnPrem => HostLocation::OnPrem(host.next_hop.as_ref().map(|hop| hop.name().to_owned())),
            file::Location::Vpc => self.host_network(host)?,
        };
        if let (Some(network), true) = (&host.network, kind != file::Location::Vpc) {
            let message = format!("host `{}` has a network, but is not in one", host.name.value);
            self.push(
                Diagnostic::unusable("misplaced-field", message)
                    .at(network.place)
                    .help("add `location: vpc`, or remove it"),
            );
        }
        if let (Some(hop), true) = (&host.next_hop, kind != file::Location::OnPrem) {
            let message = format!("host `{}` has a next hop, but is not on premises", host.name.value);
            self.push(
                Diagnostic::unusable("misplaced-field", message)
                    .at(hop.place)
                    .help("add `location: on-prem`, or remove it"),
            );
        }
        // Round trips as they are commonly seen; a scenario that cares says its own.
        let rtt = match kind {
            file::Location::Internet => Duration::from_millis(20),
            file::Location::Vpc => Duration::from_millis(1),
            file::Location::OnPrem => Duration::from_millis(10),
            file::Location::GoogleApi => Duration::from_millis(2),
        };
        let ports = |udp: bool| {
            host.ports.iter().flatten().filter(|port| port.udp == udp).map(|port| port.port).collect::<Vec<_>>()
        };
        Some(Host {
            name: host.name.value.clone(),
            addresses,
            location,
            tcp_ports: ports(false),
            udp_ports: ports(true),
            rtt: host.rtt.as_ref().map_or(rtt, |rtt| rtt.value.0),
            loss: host.loss.as_ref().and_then(|loss| self.loss(loss, "loss")).unwrap_or(0.0),
            unreachable: host.unreachable.unwrap_or(false),
            server: self.server_settings(host),
            geo_location: host.geo_location.clone(),
        })
    }

    fn host_network(&mut self, host: &At<file::Host>) -> Option<HostLocation> {
        match &host.network {
            Some(network)
                if !self.networks.index.contains_key(network.name()) && self.has_outside_peer(network.name()) =>
            {
                Some(HostLocation::Peer(network.name().to_owned()))
            }
            Some(network) => {
                let found = self.networks.lookup(network, None);
                self.ok(found).flatten().map(HostLocation::Vpc)
            }
            None if self.out.networks.len() == 1 => Some(HostLocation::Vpc(0)),
            None => {
                if !self.is_lost(host.place, "network") {
                    let message = format!("host `{}` does not say in which network it is", host.name.value);
                    self.push(
                        Diagnostic::unusable("missing-field", message).at(host.name.place).help("add `network:`"),
                    );
                }
                None
            }
        }
    }

    pub(super) fn traffic(&mut self) {
        for traffic in &self.file.traffic {
            if let Some(resolved) = self.load(traffic) {
                let amount =
                    traffic.rate.as_ref().map(|rate| rate.place).or(traffic.count.as_ref().map(|count| count.place));
                self.details.traffic.push((traffic.to.place, amount.unwrap_or(traffic.to.place)));
                self.out.traffic.push(resolved);
            }
        }
    }

    fn load(&mut self, traffic: &At<file::Traffic>) -> Option<Traffic> {
        let from = self.workloads.lookup(&traffic.from, None);
        let from = self.ok(from).flatten();
        let protocol = match traffic.protocol.as_ref().map(|protocol| protocol.value) {
            None | Some(file::Protocol::Tcp) => TrafficProtocol::Tcp,
            Some(file::Protocol::Udp) => TrafficProtocol::Udp,
            Some(file::Protocol::Icmp) => TrafficProtocol::Icmp,
        };
        let target = self.target(&traffic.to, protocol);
        let start = traffic.start.as_ref().map_or(Duration::ZERO, |start| start.value.0);
        let stop = traffic.stop.as_ref().map_or(self.out.duration, |stop| stop.value.0);
        let arrivals = match (&traffic.rate, &traffic.count) {
            (Some(_), Some(count)) => {
                let message = "both a rate and a count, expected one of them";
                self.push(
                    Diagnostic::unusable("rate-and-count", message)
                        .at(count.place)
                        .help("`count` opens all at `start`"),
                );
                None
            }
            (None, None) => {
                if !self.is_lost(traffic.place, "rate") && !self.is_lost(traffic.place, "count") {
                    let message = "a traffic entry needs `rate` or `count`";
                    self.push(
                        Diagnostic::unusable("missing-field", message).at(traffic.to.place).help("add `rate: 10/s`"),
                    );
                }
                None
            }
            (None, Some(count)) if count.value > MOST_AT_ONCE => {
                let message = format!("count is {}, expected at most {MOST_AT_ONCE}", count.value);
                self.push(
                    Diagnostic::unusable("out-of-range", message)
                        .at(count.place)
                        .help("spread the connections over time with `rate`"),
                );
                None
            }
            (None, Some(count)) => Some(Arrivals::Count(count.value)),
            (Some(rate), None) => Some(match traffic.arrivals.as_ref().map(|arrivals| arrivals.value) {
                None | Some(file::Arrivals::Poisson) => Arrivals::Poisson(rate.0),
                Some(file::Arrivals::Constant) => Arrivals::Constant(rate.0),
            }),
        };
        if let Some(stop_at) = traffic.stop.as_ref().filter(|_| stop <= start) {
            let message =
                format!("traffic stops at {} and starts at {}", stop_at.value, crate::scenario::value::Dur(start));
            self.push(
                Diagnostic::unusable("out-of-range", message).at(stop_at.place).help("`stop` comes after `start`"),
            );
        }
        let (to, port, host) = target?;
        let from = from?;
        let name = match &traffic.name {
            Some(name) => name.value.clone(),
            None => format!("{} to {}", self.out.workloads[from].name, traffic.to.value),
        };
        Some(Traffic {
            name,
            from,
            to,
            port,
            host,
            protocol,
            start,
            stop,
            arrivals: arrivals?,
            lifetime: traffic.lifetime.as_ref().map_or(Duration::from_millis(500), |lifetime| lifetime.value.0),
            request_bytes: traffic.request_bytes.as_ref().map_or(512, |size| size.value.0),
            response_bytes: traffic.response_bytes.as_ref().map_or(4096, |size| size.value.0),
            closed_by: match traffic.closed_by.as_ref().map(|closed_by| closed_by.value) {
                None | Some(file::ClosedBy::Client) => ClosedBy::Client,
                Some(file::ClosedBy::Server) => ClosedBy::Server,
                Some(file::ClosedBy::Nobody) => ClosedBy::Nobody,
            },
            connect_timeout: traffic
                .connect_timeout
                .as_ref()
                .map_or(Duration::from_secs(30), |timeout| timeout.value.0),
            endpoints: match traffic.endpoints.as_ref().map(|endpoints| endpoints.value) {
                None | Some(file::Endpoints::Flow) => Endpoints::Flow,
                Some(file::Endpoints::Stack) => Endpoints::Stack,
            },
        })
    }

    /// `host:port` or `ip:port`; for ICMP the port is absent.
    fn target(&mut self, to: &At<String>, protocol: TrafficProtocol) -> Option<(Destination, u16, Option<usize>)> {
        let (name, port) = host_and_port(to);
        let port = match protocol {
            TrafficProtocol::Icmp => Some(0),
            _ => port.and_then(|port| port.parse().ok()).filter(|port: &u16| *port > 0),
        };
        let address = name.parse::<IpAddr>().ok();
        let known = address.is_some() || self.hosts.index.contains_key(name) || self.vms.index.contains_key(name);
        let Some(port) = port else {
            let message = format!("found `{}`, expected a host and a port from 1 to 65535", to.value);
            let help = if known {
                format!("write `{}:443`", if name.contains(':') { format!("[{name}]") } else { name.to_owned() })
            } else {
                "write `partner-api:443`, `198.51.100.7:443` or `[2001:db8::7]:443`".into()
            };
            self.push(Diagnostic::unusable("invalid-value", message).at(to.place).help(help));
            return None;
        };
        if let Some(address) = address {
            return Some((address.into(), port, self.host_of(address)));
        }
        if let Some(known) = self.hosts.index.get(name).and_then(|known| known.first()) {
            return Some((self.out.hosts[known.at].destination(), port, Some(known.at)));
        }
        if let Some(known) = self.vms.index.get(name).and_then(|known| known.first()) {
            return Some((self.out.vms[known.at].destination(), port, None));
        }
        if self.hosts.lost.contains(name) || self.vms.lost.contains(name) {
            return None;
        }
        let names = self.hosts.index.keys().chain(self.vms.index.keys()).map(String::as_str);
        let help = match nearest(name, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "declare it under `hosts:`, or give an address".into(),
        };
        let message = format!("there is no host `{name}`");
        self.push(Diagnostic::unusable("unknown-reference", message).at(to.place).label("not declared").help(help));
        None
    }

    /// The host that answers for an address: the one with the narrowest range.
    fn host_of(&self, address: IpAddr) -> Option<usize> {
        let ranges = self
            .out
            .hosts
            .iter()
            .enumerate()
            .flat_map(|(at, host)| host.addresses.iter().map(move |range| (at, range)));
        let matching = ranges.filter(|(_, range)| range.contains(&address));
        matching.max_by_key(|(_, range)| range.prefix_len()).map(|(at, _)| at)
    }

    pub(super) fn expectations(&mut self) {
        for expect in &self.file.expect {
            let path = &expect.path;
            if path.is_empty() || path.split('.').any(str::is_empty) || path.contains(char::is_whitespace) {
                let message = format!("found `{}`, expected a path such as `connections.failed`", path.value);
                self.push(Diagnostic::unusable("invalid-value", message).at(path.place));
                continue;
            }
            let tests = [
                expect.equals.clone().map(ExpectTest::Equals),
                expect.at_least.map(ExpectTest::AtLeast),
                expect.at_most.map(ExpectTest::AtMost),
            ];
            let mut tests = tests.into_iter().flatten();
            match (tests.next(), tests.next()) {
                (Some(test), None) => self.out.expect.push(Expectation { path: path.value.clone(), test }),
                (None, _) if ["equals", "atLeast", "atMost"].iter().any(|field| self.is_lost(expect.place, field)) => {}
                (None, _) => {
                    let message = "an expectation needs one of `equals`, `atLeast`, `atMost`";
                    self.push(Diagnostic::unusable("missing-field", message).at(path.place));
                }
                (Some(_), Some(_)) => {
                    let message = "an expectation has one of `equals`, `atLeast`, `atMost`";
                    self.push(
                        Diagnostic::unusable("many-tests", message).at(path.place).help("make two expectations of it"),
                    );
                }
            }
        }
    }
}

/// `host:port`, `198.51.100.7:443`, `[2001:db8::7]:443`, or without a port; an IPv6 address may do without brackets then.
pub(crate) fn host_and_port(text: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, Some(port)),
        _ => (text, None),
    }
}
