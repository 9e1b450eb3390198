//! A whole small network, from a scenario in YAML: the stations that a packet passes before and after Cloud NAT.

use std::net::Ipv4Addr;

use egressim::network::Network;
use egressim::node::Node;
use egressim::node::host::UPLINK;
use egressim::node::instance::SOCKETS;
use egressim::node::nat::Gateway;
use egressim::probe::{Probe, probe};
use egressim::sim::{Occurrence, Outcome};
use egressim::topology::NodeId;
use egressim::trace::{DropCause, State};
use egressim::wire::{Packet, Protocol};

use crate::common::scenario;

/// Two instances of a service with Direct VPC egress behind a gateway of one NAT IP, and two hosts on the internet.
pub const HOUSE: &str = "\
networks: [{name: vpc}]
subnetworks: [{name: app, network: vpc, region: us-central1, ipCidrRange: 10.9.0.0/24}]
addresses: [{name: ip, region: us-central1, address: 203.0.113.10}]
routers:
- name: router
  network: vpc
  region: us-central1
  nats: [{name: gw, natIpAllocateOption: MANUAL_ONLY, natIps: [ip], sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES}]
services:
- name: api
  region: us-central1
  instances: 2
  template: {vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: app}], egress: ALL_TRAFFIC}}
hosts:
- {name: partner, address: 198.51.100.7}
- {name: far-router, address: 192.0.2.99}
";

/// A network, to send packets through.
pub struct House {
    network: Network,
}

/// What became of a packet.
#[derive(Debug)]
pub struct Sent {
    /// The station where it arrived, or why it did not.
    pub end: Result<String, DropCause>,
    /// The packet as it arrived, or as it was when it was dropped.
    pub packet: Packet,
    /// What stations sent back, and where that arrived.
    pub answers: Vec<(String, Packet)>,
}

impl House {
    /// The network of a scenario, with links that take no time.
    pub fn new(yaml: &str) -> House {
        let mut network = Network::new(&scenario(yaml));
        network.engine_mut().make_instant();
        House { network }
    }

    /// The address of an instance of the only service, counted from 0.
    pub fn instance(&self, index: usize) -> Ipv4Addr {
        self.network.instances(0)[index].address
    }

    /// Its only gateway.
    pub fn gateway(&self) -> &Gateway {
        self.network.gateways().next().expect("there is a gateway")
    }

    /// An instance of the only service sends a packet.
    pub fn send(&mut self, instance: usize, mut packet: Packet) -> Sent {
        let node = self.network.instances(0)[instance].site.node;
        let outcome = self.network.engine_mut().send(node, SOCKETS, &mut packet, 0, None);
        self.sent(outcome, packet)
    }

    /// A host or VM sends a packet.
    pub fn send_from(&mut self, station: &str, mut packet: Packet) -> Sent {
        let node = self.station(station);
        assert!(matches!(self.network.engine().node(node), Node::Host(_)), "{station} is a host or a VM");
        let outcome = self.network.engine_mut().emit(node, UPLINK, &mut packet, 0, None);
        self.sent(outcome, packet)
    }

    fn sent(&mut self, outcome: Outcome, packet: Packet) -> Sent {
        let name = |network: &Network, node| network.engine().topology().name(node).to_owned();
        let end = match outcome {
            Outcome::Delivered(node, _) | Outcome::Answered(node, _) => Ok(name(&self.network, node)),
            Outcome::Dropped(_, cause) => Err(cause),
            Outcome::Travelling => unreachable!("links take no time"),
        };
        let mut answers = Vec::new();
        while let Some(occurrence) = self.network.engine_mut().take_pending() {
            match occurrence {
                Occurrence::Delivered { node, packet, .. } => answers.push((name(&self.network, node), packet)),
                other => panic!("an answer gets where it is sent: {other:?}"),
            }
        }
        Sent { end, packet, answers }
    }

    fn station(&self, name: &str) -> NodeId {
        let topology = self.network.engine().topology();
        topology.nodes().find(|&node| topology.name(node) == name).unwrap_or_else(|| panic!("no station {name}"))
    }
}

/// One traced packet of the only service: what each station said of it.
pub struct Walk {
    probe: Probe,
}

/// Sends a SYN from the only service, and listens.
pub fn walk(yaml: &str, to: Ipv4Addr, port: u16) -> Walk {
    let probe = probe(&scenario(yaml), 0, to, port, Protocol::Tcp).expect("the service has an instance");
    Walk { probe }
}

impl Walk {
    /// How it ended.
    pub fn end(&self) -> &'static str {
        let end = self.probe.trace.disposition;
        end.cause().map_or(end.name(), DropCause::name)
    }

    /// Whether it was translated on its way.
    pub fn is_translated(&self) -> bool {
        self.probe.trace.hops.iter().flat_map(|hop| &hop.steps).any(|step| step.state == State::Nat)
    }

    /// All that was said, for the message of a failure.
    pub fn text(&self) -> String {
        let steps = self.probe.trace.hops.iter().flat_map(|hop| &hop.steps);
        steps.map(|step| format!("\n  {} {}", step.state.name(), step.description)).collect()
    }
}
