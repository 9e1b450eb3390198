//! Warnings: what Google Cloud accepts and what will hurt, with the reason and the remedy.
//!
//! They look at a finished scenario. Nothing here is simulated: a warning is arithmetic on the configuration, and the run
//! may still go well, because load is uneven or short.

use std::net::{IpAddr, Ipv4Addr};

use super::network::DEFAULT_MTU;
use super::{Details, Resolver};
use crate::node::router::is_private_v6;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::{Attachment, Covered, Egress, HostLocation, Scenario, TrafficProtocol, Workload};

mod addresses;
mod capacity;
mod demand;
mod draining;
mod endpoints;
mod firewall;
mod growth;
mod impairments;
mod ipv6;
mod nat_ips;
mod reach;
mod ways;

use endpoints::{State, states};

pub(super) use endpoints::allocated_ports;

/// The shortest TIME_WAIT that Google advises with dynamic port allocation, in seconds.
const SHORTEST_TIME_WAIT: u64 = 15;

impl Resolver<'_> {
    pub(super) fn advise(&mut self) {
        self.direct_subnets();
        self.way_out();
        self.unused_gateways();
        self.mtu();
        self.short_time_wait();
        self.connectors_not_ready();
        self.destinations();
        self.reach();
        self.ipv6_advice();
        self.ways();
        self.impairment_advice();
        self.firewall_advice();
        let found = {
            let gateways = 0..self.out.nat_gateways.len();
            let gateways = gateways.map(|gateway| states(&self.out, gateway)).collect();
            let mut advice = NatAdvice { scenario: &self.out, details: &self.details, gateways, found: Vec::new() };
            advice.nat_ips();
            advice.loads();
            advice.draining();
            advice.found
        };
        self.diagnostics.extend(found);
    }

    /// The subnet through which a workload leaves, if it is attached.
    fn exit_subnetwork(&self, workload: &Workload) -> Option<usize> {
        match workload.attachment() {
            Attachment::None => None,
            Attachment::Connector(at) => Some(self.out.connectors[*at].subnetwork),
            Attachment::Direct { subnetwork, .. } => Some(*subnetwork),
        }
    }

    /// The gateway that serves the primary range of a subnet.
    fn gateway_of(&self, subnetwork: usize) -> Option<usize> {
        gateway_of(&self.out, subnetwork)
    }

    /// All traffic goes into the VPC: can public destinations be reached from there?
    fn way_out(&mut self) {
        let mut found = Vec::new();
        for (at, workload) in self.out.workloads.iter().enumerate() {
            let Some(subnetwork) = self.exit_subnetwork(workload).filter(|_| workload.egress() == Egress::AllTraffic)
            else {
                continue;
            };
            if self.gateway_of(subnetwork).is_none() && ways::has_default_route(&self.out, workload, subnetwork) {
                let subnet = &self.out.subnetworks[subnetwork];
                let message = format!(
                    "`{}` sends all traffic into network `{}`, where no Cloud NAT serves subnet `{}`: public destinations are dropped as NO_EXTERNAL_ADDRESS",
                    workload.name, self.out.networks[subnet.network].name, subnet.name
                );
                found.push(
                    Diagnostic::warning("no-cloud-nat", message)
                        .at(self.details.workloads[at])
                        .related(self.details.subnetworks[subnetwork].place, "leaves from here")
                        .help(format!(
                            "add a NAT gateway in {} that serves the subnet, or egress PRIVATE_RANGES_ONLY",
                            subnet.region
                        )),
                );
            }
        }
        self.diagnostics.extend(found);
    }

    /// A gateway in the way of workloads that send it nothing.
    fn unused_gateways(&mut self) {
        let mut found = Vec::new();
        for (at, gateway) in self.out.nat_gateways.iter().enumerate() {
            let vms = self
                .out
                .vms
                .iter()
                .any(|vm| vm.external_address.is_none() && self.gateway_of(vm.subnetwork) == Some(at));
            let mut served = self.out.workloads.iter().enumerate().filter(|(_, workload)| {
                self.exit_subnetwork(workload).is_some_and(|subnetwork| self.gateway_of(subnetwork) == Some(at))
            });
            let Some((first, workload)) = served.next() else { continue };
            let all_private = workload.egress() == Egress::PrivateRangesOnly
                && served.all(|(_, workload)| workload.egress() == Egress::PrivateRangesOnly);
            if !vms && all_private {
                let message = format!(
                    "nothing uses gateway `{}`: `{}` sends only private ranges into the network, public ones leave with addresses of Google's",
                    gateway.name, workload.name
                );
                found.push(
                    Diagnostic::warning("unused-cloud-nat", message)
                        .at(self.details.workloads[first])
                        .related(self.details.gateways[at].place, "the gateway")
                        .help("set `egress: ALL_TRAFFIC` to leave from the gateway's addresses"),
                );
            }
        }
        self.diagnostics.extend(found);
    }

    fn mtu(&mut self) {
        for network in &self.file.networks {
            let Some(mtu) = network.mtu.as_ref().filter(|mtu| mtu.value != i64::from(DEFAULT_MTU)) else { continue };
            let attached = self.out.workloads.iter().any(|workload| {
                let subnetwork = self.exit_subnetwork(workload);
                subnetwork
                    .is_some_and(|at| self.out.networks[self.out.subnetworks[at].network].name == network.name.name())
            });
            if attached {
                let message = format!(
                    "Cloud Run sends packets of up to {DEFAULT_MTU} bytes whatever the network's MTU, which is {}",
                    mtu.value
                );
                self.push(
                    Diagnostic::warning("custom-mtu", message)
                        .at(mtu.place)
                        .help(format!("leave `mtu` at {DEFAULT_MTU} in networks that Cloud Run uses")),
                );
            }
        }
    }

    fn short_time_wait(&mut self) {
        let mut found = Vec::new();
        for (gateway, detail) in self.out.nat_gateways.iter().zip(&self.details.gateways) {
            let seconds = gateway.config.timeouts.tcp_time_wait.as_secs();
            if gateway.config.dynamic_port_allocation && seconds < SHORTEST_TIME_WAIT {
                let message = format!(
                    "TIME_WAIT of {seconds} s with dynamic port allocation: late packets of a closed connection may reach a later one"
                );
                let place = detail.nat.tcp_time_wait_timeout_sec.as_ref().map_or(detail.place, |value| value.place);
                found.push(
                    Diagnostic::warning("short-time-wait", message).at(place).help(format!(
                        "at least {SHORTEST_TIME_WAIT} s: `tcpTimeWaitTimeoutSec: {SHORTEST_TIME_WAIT}`"
                    )),
                );
            }
        }
        self.diagnostics.extend(found);
    }

    fn connectors_not_ready(&mut self) {
        for connector in &self.file.connectors {
            let Ok(Some(at)) =
                self.connectors.lookup(&connector.name, connector.region.as_ref().map(|region| region.name()))
            else {
                continue;
            };
            let Some(state) = connector.state.as_ref().filter(|_| !self.out.connectors[at].ready) else { continue };
            let message = format!(
                "connector `{}` is not READY: what goes through it is dropped as VPC_CONNECTOR_NOT_RUNNING",
                connector.name.name()
            );
            self.push(
                Diagnostic::warning("connector-not-ready", message).at(state.place).help("delete it and make it again"),
            );
        }
    }

    /// Loads whose destination cannot answer.
    fn destinations(&mut self) {
        let mut found = Vec::new();
        for (traffic, (place, _)) in self.out.traffic.iter().zip(&self.details.traffic) {
            let vm = self.out.vms.iter().any(|vm| match traffic.to.address(false) {
                IpAddr::V4(to) => vm.address == to || vm.external_address == Some(to),
                IpAddr::V6(to) => vm.ipv6.is_some_and(|range| range.contains(&to)),
            });
            let public = match traffic.to.address(false) {
                IpAddr::V4(to) => is_public(to),
                IpAddr::V6(to) => !is_private_v6(to),
            };
            match traffic.host {
                None if !vm && public => found.push(
                    Diagnostic::warning(
                        "undeclared-destination",
                        format!(
                            "{} is not declared under `hosts:`: simulated traffic to it is never answered",
                            traffic.to
                        ),
                    )
                    .at(*place)
                    .help(format!(
                        "add `hosts: [{{name: partner, address: {}, ports: [{}]}}]`",
                        traffic.to, traffic.port
                    )),
                ),
                None => {}
                Some(host) => {
                    let host = &self.out.hosts[host];
                    let all_open = host.tcp_ports.is_empty() && host.udp_ports.is_empty();
                    let (open, protocol) = match traffic.protocol {
                        TrafficProtocol::Tcp => (all_open || host.tcp_ports.contains(&traffic.port), "TCP"),
                        TrafficProtocol::Udp => (all_open || host.udp_ports.contains(&traffic.port), "UDP"),
                        TrafficProtocol::Icmp => (true, "ICMP"),
                    };
                    if !open {
                        let message = format!("{protocol} port {} of host `{}` is not open", traffic.port, host.name);
                        found.push(
                            Diagnostic::warning("closed-port", message).at(*place).help("add it to the host's `ports`"),
                        );
                    }
                }
            }
            let workload = &self.out.workloads[traffic.from];
            if traffic.protocol == TrafficProtocol::Icmp && matches!(workload.attachment(), Attachment::Connector(_)) {
                let message = "ICMP does not pass a Serverless VPC Access connector: all of it is dropped";
                found.push(
                    Diagnostic::warning("icmp-through-connector", message).at(*place).help("use Direct VPC egress"),
                );
            }
        }
        for (host, place) in self.out.hosts.iter().zip(&self.details.hosts) {
            let HostLocation::Vpc(network) = host.location else { continue };
            let outside = host.addresses.iter().find(|range| {
                !self
                    .out
                    .subnetworks
                    .iter()
                    .any(|subnet| subnet.network == network && subnet.ranges().any(|known| known.contains(*range)))
            });
            if let Some(range) = outside {
                let message =
                    format!("{range} of host `{}` is in no subnet of its network: nothing is routed there", host.name);
                found.push(
                    Diagnostic::warning("host-outside-subnets", message)
                        .at(*place)
                        .help("give it an address of a subnet"),
                );
            }
        }
        self.diagnostics.extend(found);
    }
}

/// What there is to say of gateways, their endpoints and the load on them.
struct NatAdvice<'a> {
    scenario: &'a Scenario,
    details: &'a Details,
    /// What becomes of each gateway.
    gateways: Vec<Vec<State<'a>>>,
    found: Vec<Diagnostic>,
}

/// The gateway that serves the primary range of a subnet.
fn gateway_of(scenario: &Scenario, subnetwork: usize) -> Option<usize> {
    let covered = Covered { subnetwork, range: scenario.subnetworks[subnetwork].range };
    scenario.nat_gateways.iter().position(|gateway| gateway.coverage.contains(&covered))
}

/// Whether an address is reached over the internet.
fn is_public(address: Ipv4Addr) -> bool {
    let shared = u32::from(address) >> 22 == u32::from(Ipv4Addr::new(100, 64, 0, 0)) >> 22;
    !(address.is_private() || shared || address.is_link_local() || address.is_loopback() || address.octets()[0] >= 224)
}
