//! A packet's walk through a small scenario, as a text to read and as something to assert about.

use std::net::Ipv4Addr;

use egressim::network::Network;
use egressim::node::instance::SOCKETS;
use egressim::probe::{Probe, probe};
use egressim::scenario::Scenario;
use egressim::trace::Trace;
use egressim::wire::{Packet, Protocol};

use super::scenario;

/// A network with a subnet, a connector, Cloud NAT for both, a database, and every way to be attached.
pub const HOUSE: &str = "\
networks: [{name: vpc}]
subnetworks: [{name: app, network: vpc, region: us-central1, ipCidrRange: 10.9.0.0/24}]
connectors: [{name: conn, region: us-central1, network: vpc, ipCidrRange: 10.8.0.0/28}]
services:
- {name: lone, region: us-central1}
- {name: conn-all, region: us-central1, template: {vpcAccess: {connector: conn, egress: ALL_TRAFFIC}}}
- {name: conn-private, region: us-central1, template: {vpcAccess: {connector: conn, egress: PRIVATE_RANGES_ONLY}}}
- name: direct-all
  region: us-central1
  template: {vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: app, tags: [web]}], egress: ALL_TRAFFIC}}
- name: direct-private
  region: us-central1
  template: {vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: app}], egress: PRIVATE_RANGES_ONLY}}
hosts:
- {name: partner, address: 198.51.100.7, ports: [443]}
- {name: db, address: 10.9.0.200, location: vpc, network: vpc, ports: [5432]}
";
pub const NAT: &str = "\
addresses: [{name: ip, region: us-central1, address: 203.0.113.10}]
routers:
- name: router
  network: vpc
  region: us-central1
  nats: [{name: gw, natIpAllocateOption: MANUAL_ONLY, natIps: [ip], sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES}]
";
pub const ALLOW_DB: &str = "\
firewalls:
- {name: allow-db, network: vpc, sourceRanges: [10.8.0.0/28, 10.9.0.0/24], allowed: [{IPProtocol: tcp, ports: [\"5432\"]}]}
";

/// A network with every kind of route.
pub const WORLD: &str = include_str!("world.yaml");

pub const LONE: &str = "START_FROM_CLOUD_RUN_REVISION > SERVERLESS_EXTERNAL_CONNECTION > DELIVER";
pub const CONNECTOR: &str = "START_FROM_CLOUD_RUN_REVISION > ARRIVE_AT_VPC_CONNECTOR > APPLY_EGRESS_FIREWALL_RULE";
pub const DIRECT: &str = "START_FROM_CLOUD_RUN_REVISION > DIRECT_VPC_EGRESS_CONNECTION > APPLY_EGRESS_FIREWALL_RULE";

/// A traced packet, and where to look when something about it is wrong.
pub struct Walk {
    pub text: String,
    pub probe: Probe,
}

/// Sends a packet from a workload to `address:port/protocol`; `esp` is a packet without ports.
#[track_caller]
pub fn walk(yaml: &str, from: &str, to: &str) -> Walk {
    let scenario = scenario(yaml);
    let workload = scenario.workloads.iter().position(|workload| workload.name == from).expect("a workload");
    let (address, protocol) = to.split_once('/').expect("a protocol");
    let (address, port) = address.split_once(':').unwrap_or((address, "0"));
    let (address, port) = (address.parse::<Ipv4Addr>().expect("an address"), port.parse().expect("a port"));
    let probe = match protocol {
        "tcp" => probe(&scenario, workload, address, port, Protocol::Tcp),
        "udp" => probe(&scenario, workload, address, port, Protocol::Udp),
        "icmp" => probe(&scenario, workload, address, port, Protocol::Icmp),
        "esp" => {
            let trace = encrypted(&scenario, workload, address);
            Some(Probe { flow: None, trace, reply: None, sent: None, answered: None })
        }
        other => panic!("{other} cannot be sent here"),
    };
    let probe = probe.expect("the workload has an instance");
    let mut text = format!("{from} -> {to}\n{}", told(&probe.trace));
    if let Some(reply) = &probe.reply {
        text += &format!("reply\n{}", told(reply));
    }
    Walk { text, probe }
}

/// The way of an ESP packet.
fn encrypted(scenario: &Scenario, workload: usize, to: Ipv4Addr) -> Trace {
    const ESP: u8 = 50;
    let mut network = Network::new(scenario);
    network.engine_mut().make_instant();
    let instance = network.instances(workload)[0].clone();
    let mut bytes = vec![0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, ESP, 0, 0];
    bytes.extend(instance.address.octets());
    bytes.extend(to.octets());
    bytes.extend([0; 8]);
    let mut packet = Packet::parse(&bytes).expect("a whole packet");
    network.engine_mut().trace(instance.site.node, SOCKETS, &mut packet).0
}

pub fn told(trace: &Trace) -> String {
    let mut text = String::new();
    for step in trace.hops.iter().flat_map(|hop| &hop.steps) {
        text += &format!("  {:<30} {}\n", step.state.name(), step.description);
    }
    text + &format!("{}\n", ending(trace))
}

pub fn ending(trace: &Trace) -> String {
    match trace.disposition.reason() {
        Some((cause, _)) => format!("{} {cause}", trace.disposition.name()),
        None => trace.disposition.name().to_owned(),
    }
}

pub fn states(trace: &Trace) -> String {
    let steps = trace.hops.iter().flat_map(|hop| &hop.steps);
    steps.map(|step| step.state.name()).collect::<Vec<_>>().join(" > ")
}

impl Walk {
    /// The packet takes this way, and ends there.
    #[track_caller]
    pub fn goes(self, way: &str, end: &str) -> Walk {
        assert_eq!(states(&self.probe.trace), way, "\n{}", self.text);
        assert_eq!(ending(&self.probe.trace), end, "\n{}", self.text);
        // As in Connectivity Tests, the last step is the end.
        assert_eq!(way.rsplit(" > ").next(), end.split(' ').next());
        self
    }

    /// Some step of the packet says all this.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Walk {
        let mut steps = self.probe.trace.hops.iter().flat_map(|hop| &hop.steps);
        let found = steps.any(|step| words.iter().all(|word| step.description.contains(word)));
        assert!(found, "no step says {words:?}\n{}", self.text);
        self
    }

    /// The reply takes this way, and arrives.
    #[track_caller]
    pub fn returns(self, way: &str) -> Walk {
        let reply = self.probe.reply.as_ref().unwrap_or_else(|| panic!("no reply\n{}", self.text));
        assert_eq!(states(reply), way, "\n{}", self.text);
        assert_eq!(ending(reply), "DELIVER", "\n{}", self.text);
        self
    }

    #[track_caller]
    pub fn stays_unanswered(self) -> Walk {
        assert!(self.probe.reply.is_none(), "{}", self.text);
        self
    }
}

pub fn house(parts: &[&str]) -> String {
    HOUSE.to_owned() + &parts.concat()
}
