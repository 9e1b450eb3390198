//! Are there NAT IPs for the endpoints, and ports for the load?

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::super::Resolver;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::{
    Arrivals, Attachment, ClosedBy, Egress, HostLocation, IpAllocation, NatConfig, Traffic, TrafficProtocol,
};

/// Ports of an address, from 0.
const PORTS: u32 = 65_536;
/// Ports of an address that Cloud NAT leaves alone: 0 to 1023.
const RESERVED_PORTS: u32 = 1_024;
/// The largest block: two real gateways with 32,768 ports a VM gave them as two blocks of this size.
const LARGEST_BLOCK: u32 = 16_384;

/// How many NAT IPs so many endpoints need for `ports` each.
///
/// Ports come in aligned blocks of a power of two, none of which may touch the first 1,024. So 32,768 ports are two blocks
/// of 16,384, an address has three of those, and four endpoints need 8 blocks: 3 addresses.
fn nat_ips_needed(endpoints: u64, ports: u32) -> u64 {
    let (block, blocks_each) = blocks(ports);
    let blocks_an_address = (PORTS - RESERVED_PORTS.max(block)) / block;
    (endpoints * u64::from(blocks_each)).div_ceil(blocks_an_address.into())
}

/// The size and the number of the blocks that hold so many ports.
fn blocks(ports: u32) -> (u32, u32) {
    let block = (1 << ports.max(1).ilog2()).min(LARGEST_BLOCK);
    (block, ports.div_ceil(block))
}

/// How many ports an endpoint gets that is to have at least so many: whole blocks.
pub(in crate::scenario::resolve) fn allocated_ports(ports: u32) -> u32 {
    let (block, count) = blocks(ports);
    block * count
}

/// Who competes for the same ports: VMs of one connector, or instances of one workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Endpoints {
    Connector(usize),
    Workload(usize),
}

impl Resolver<'_> {
    /// Manual NAT IPs: enough for the minimum of every endpoint?
    pub(super) fn nat_ip_capacity(&mut self) {
        let mut found = Vec::new();
        for (at, gateway) in self.out.nat_gateways.iter().enumerate() {
            let config = &gateway.config;
            if config.allocate == IpAllocation::Auto {
                continue;
            }
            let vms =
                self.out.vms.iter().filter(|vm| {
                    vm.running && vm.external_address.is_none() && self.gateway_of(vm.subnetwork) == Some(at)
                });
            let vms = vms.count() as u64;
            let connectors =
                self.out.connectors.iter().filter(|connector| self.gateway_of(connector.subnetwork) == Some(at));
            let connector_vms: u64 = connectors.map(|connector| u64::from(connector.min_instances)).sum();
            let held = self.out.model.cloud_run.count_held_addresses;
            let direct: u64 = (0..self.out.workloads.len())
                .filter_map(|index| {
                    let workload = &self.out.workloads[index];
                    let Attachment::Direct { subnetwork, .. } = workload.attachment else { return None };
                    let each = if held { Self::addresses_an_instance(workload) } else { 1 };
                    (self.gateway_of(subnetwork) == Some(at))
                        .then(|| u64::from(self.peak_instances(index)) * u64::from(each))
                })
                .sum();
            let endpoints = vms + connector_vms + direct;
            let parts = [(vms, "VMs"), (connector_vms, "connector VMs"), (direct, "Direct VPC addresses")];
            let parts: Vec<String> =
                parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
            // Each endpoint has its ports in each rule anew, so each rule needs addresses for all of them.
            let needed = nat_ips_needed(endpoints, config.min_ports_per_vm);
            for list in &self.details.gateways[at].ips {
                let given = list.active.len() as u64;
                let Some(first) = list.active.first().filter(|_| needed > given) else { continue };
                let (of, place) = if list.is_own() {
                    (String::new(), self.nat_ips_place(at))
                } else {
                    (format!("{} of ", list.owner()), first.place)
                };
                let message = format!(
                    "{of}gateway `{}` needs {needed} NAT IPs for {endpoints} endpoints ({}) of {} ports each, and has {given}",
                    gateway.name,
                    parts.join(", "),
                    config.min_ports_per_vm
                );
                found.push(Diagnostic::warning("too-few-nat-ips", message).at(place).help(format!(
                    "add {} NAT IPs, or lower minPortsPerVm: endpoints without ports drop everything",
                    needed - given
                )));
            }
        }
        self.diagnostics.extend(found);
    }

    /// Declared load to one destination: more connections at a time than the endpoints have ports?
    pub(super) fn port_capacity(&mut self) {
        let mut loads: BTreeMap<(Endpoints, Ipv4Addr, u16, u8), Vec<usize>> = BTreeMap::new();
        for (at, traffic) in self.out.traffic.iter().enumerate() {
            let workload = &self.out.workloads[traffic.from];
            let internet = traffic.host.is_some_and(|host| self.out.hosts[host].location == HostLocation::Internet);
            if workload.egress != Egress::AllTraffic || !internet {
                continue;
            }
            let endpoints = match workload.attachment {
                Attachment::None => continue,
                Attachment::Connector(connector) => Endpoints::Connector(connector),
                Attachment::Direct { .. } => Endpoints::Workload(traffic.from),
            };
            loads.entry((endpoints, traffic.to, traffic.port, traffic.protocol as u8)).or_default().push(at);
        }
        let mut found = Vec::new();
        for ((endpoints, to, port, _), traffic) in loads {
            let (subnetwork, count) = match endpoints {
                Endpoints::Connector(at) => (self.out.connectors[at].subnetwork, self.out.connectors[at].min_instances),
                Endpoints::Workload(at) => match self.out.workloads[at].attachment {
                    Attachment::Direct { subnetwork, .. } => (subnetwork, self.peak_instances(at)),
                    _ => continue,
                },
            };
            let Some(gateway) = self.gateway_of(subnetwork) else { continue };
            let config = &self.out.nat_gateways[gateway].config;
            let demands: Vec<Demand> = traffic.iter().map(|at| Demand::of(&self.out.traffic[*at], config)).collect();
            let wanted = demands.iter().map(|demand| demand.connections).sum::<f64>() / f64::from(count.max(1));
            let ports = config.max_ports_per_vm;
            if wanted <= f64::from(ports) {
                continue;
            }
            let sum = demands.iter().map(|demand| demand.arithmetic.as_str()).collect::<Vec<_>>().join(" + ");
            let who = match endpoints {
                Endpoints::Connector(_) => "connector VMs",
                Endpoints::Workload(_) => "instances",
            };
            let message = format!(
                "load to {to}:{port} needs {sum} ÷ {count} {who} = {wanted:.0} ports each at a time, gateway `{}` gives {ports}",
                self.out.nat_gateways[gateway].name
            );
            let place: Place = self.details.traffic[traffic[0]].1;
            let next = (wanted.ceil() as u32).next_power_of_two();
            let field = if config.dynamic_port_allocation { "maxPortsPerVm" } else { "minPortsPerVm" };
            found.push(
                Diagnostic::warning("too-few-ports", message)
                    .at(place)
                    .related(self.details.gateways[gateway].place, "the gateway")
                    .help(format!("raise {field} to {next}, shorten tcpTimeWaitTimeoutSec, spread the load, or keep connections open longer")),
            );
        }
        self.diagnostics.extend(found);
    }
}

/// Connections that a load holds at a time, and how that was found.
struct Demand {
    connections: f64,
    arithmetic: String,
}

impl Demand {
    /// Little's law: rate × time that a connection holds its port, which is no longer than the load lasts.
    fn of(traffic: &Traffic, config: &NatConfig) -> Demand {
        let timeouts = &config.timeouts;
        let state = if traffic.protocol == TrafficProtocol::Tcp { "in TIME_WAIT" } else { "idle" };
        let (open, after) = match (traffic.protocol, traffic.closed_by) {
            (TrafficProtocol::Tcp, ClosedBy::Nobody) => {
                (traffic.lifetime + timeouts.tcp_established_idle, Duration::ZERO)
            }
            (TrafficProtocol::Tcp, _) => (traffic.lifetime, timeouts.tcp_time_wait),
            (TrafficProtocol::Udp, _) => (traffic.lifetime, timeouts.udp_idle),
            (TrafficProtocol::Icmp, _) => (traffic.lifetime, timeouts.icmp_idle),
        };
        let lasts = traffic.stop.saturating_sub(traffic.start);
        let (rate, holds) = match traffic.arrivals {
            Arrivals::Count(count) => return Demand { connections: count as f64, arithmetic: count.to_string() },
            Arrivals::Poisson(rate) | Arrivals::Constant(rate) => (rate, open + after),
        };
        let arithmetic = if holds > lasts {
            format!("{rate}/s × {} s", lasts.as_secs_f64())
        } else {
            format!("{rate}/s × ({} s open + {} s {state})", open.as_secs_f64(), after.as_secs_f64())
        };
        Demand { connections: rate * holds.min(lasts).as_secs_f64(), arithmetic }
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
