//! What a connector's VMs need of the firewall: the way to and from Cloud Run's side, and health checks.
//!
//! Google makes rules for it (`aet-…`) where the connector and its network are in one project. In a service project of a Shared
//! VPC nobody does, and a policy above can deny it anywhere
//! (<https://docs.cloud.google.com/run/docs/configuring/shared-vpc-connectors>, 2026). Google's three rules allow ICMP, too,
//! and answers; what a connector cannot do without is assumed to be what is asked for here. A change of rules counts at
//! once, though tunnels that are up may well last longer.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::Ipv4Net;

use super::Network;
use super::firewalls::{HEALTH_CHECKS, SERVERLESS};
use crate::node::firewall::Headers;
use crate::trace::{DropCause, PortId};

/// UDP ports of the tunnel.
const TUNNEL_PORTS: [u16; 2] = [665, 666];
/// TCP port of health checks, from Cloud Run's side, too.
const HEALTH_PORT: u16 = 667;
const HEALTH_CHECK: &str = "tcp:667";

impl Network {
    /// Asks the firewall again what it keeps from a connector's VMs.
    pub(super) fn look_at_tunnels(&mut self, connector: usize) {
        let name = self.scenario.connectors[connector].name.as_str();
        let network = self.scenario.connectors[connector].network;
        // One VM that works is enough.
        let kept: Option<Vec<_>> = (self.connector_interfaces(connector).into_iter())
            .map(|(address, port)| self.keeps_from(network, address, port))
            .collect();
        let blocked = kept.and_then(|kept| kept.into_iter().next()).map(|(cause, why)| {
            let what = match cause {
                DropCause::VpcConnectorHealthCheckTrafficBlocked => "health checks",
                _ => "Cloud Run's traffic",
            };
            (cause, Arc::from(format!("the firewall keeps {what} from connector {name}, {why}")))
        });
        self.engine.change(self.connectors[connector].dispatcher, |connector| connector.set_blocked(blocked));
    }

    /// The same for all connectors of a network.
    pub(super) fn look_at_all_tunnels(&mut self, network: usize) {
        for connector in 0..self.connectors.len() {
            if self.scenario.connectors[connector].network == network {
                self.look_at_tunnels(connector);
            }
        }
    }

    fn keeps_from(&self, network: usize, vm: Ipv4Addr, port: PortId) -> Option<(DropCause, String)> {
        let firewall = self.firewall(network);
        let vm = IpAddr::from(vm);
        let denied = |ingress: bool, what: &str, headers: Headers| {
            let ruling = firewall.permits(port, ingress, &headers, self.engine.now());
            ruling.cause.map(|_| match ingress {
                true => format!("{what} from {}: {}", headers.source, ruling.description),
                false => format!("{what} to {}: {}", headers.destination, ruling.description),
            })
        };
        let both_ways = |far: IpAddr| [(true, far, vm), (false, vm, far)];
        let tunnel = ends(SERVERLESS).flat_map(both_ways).find_map(|(ingress, from, to)| {
            let mut ports = TUNNEL_PORTS.into_iter();
            ports.find_map(|port| denied(ingress, &format!("udp:{port}"), Headers::udp(from, to, port)))
        });
        if let Some(why) = tunnel {
            return Some((DropCause::VpcConnectorServerlessTrafficBlocked, why));
        }
        // Google's page: the TCP port is for health checks, from either side.
        let checked = ends(SERVERLESS).flat_map(both_ways).chain(ends(HEALTH_CHECKS).map(|far| (true, far, vm)));
        let health = checked
            .into_iter()
            .find_map(|(ingress, from, to)| denied(ingress, HEALTH_CHECK, Headers::tcp(from, to, HEALTH_PORT)));
        health.map(|why| (DropCause::VpcConnectorHealthCheckTrafficBlocked, why))
    }
}

/// The first and the last address of each range: whoever allows both is taken to allow what lies between.
fn ends(ranges: &'static [&'static str]) -> impl Iterator<Item = IpAddr> {
    ranges.iter().flat_map(|range| {
        let range: Ipv4Net = range.parse().expect("the constants are ranges");
        [range.network(), range.broadcast()].map(IpAddr::from)
    })
}
