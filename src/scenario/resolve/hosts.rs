//! Simulated destinations, and what is expected of the outcome.

use std::collections::HashMap;
use std::time::Duration;

use ipnet::IpNet;

use super::Resolver;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::simulation as file;
use crate::scenario::value::{At, Reference};
use crate::scenario::{ExpectTest, Expectation, Host, HostLocation};

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
