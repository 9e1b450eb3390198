//! egressim in the kernel's place: a NAT gateway and the internet gateway behind it, between clients and the internet.
//!
//! The kernel's box translates and is a router: it takes one from the TTL and answers with ICMP. In a VPC network
//! these are two stations, the Cloud NAT gateway and the internet gateway, and here they are wired as a scenario's
//! network wires them. Packets go through the engine, which is what carries an ICMP error back through the
//! translation.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;

use egressim::node::Node;
use egressim::node::beyond::{Beyond, Place};
use egressim::node::internet::{INTERNET, Internet, InternetGateway};
use egressim::node::nat::{Behaviour, Config, EndpointConfig, Gateway, INSIDE, OUTSIDE};
use egressim::node::startup::Opening;
use egressim::sim::{Engine, FlowId, Occurrence, Outcome, rng};
use egressim::time::SimTime;
use egressim::topology::{LinkConfig, NodeId};
use egressim::trace::{DropCause, PortId};
use egressim::wire::{FiveTuple, Packet};

use crate::bytes::{self, Socket};
use crate::recorded::{Recorded, Side};

/// The ports of a whole address: those that egressim gives an endpoint that asks for all, three blocks of 16,384.
/// Linux has 64,512; no situation without a range comes near either.
const WHOLE_ADDRESS: u32 = 3 * 16_384;
/// The only port of the far sides, and the internet gateway's towards Cloud NAT.
const ONLY_PORT: PortId = PortId(0);
const TO_NAT: PortId = PortId(1);

/// A way to do the same: the results must be the same, too.
#[derive(Debug, Clone, Copy)]
pub struct Variant {
    /// Ports at random, as Linux takes them, instead of the lowest free one.
    pub random_ports: bool,
    /// Packets after the first of a flow go along its remembered path.
    pub remembered_paths: bool,
}

impl Variant {
    pub const ALL: [Variant; 4] = [
        Variant { random_ports: false, remembered_paths: false },
        Variant { random_ports: false, remembered_paths: true },
        Variant { random_ports: true, remembered_paths: false },
        Variant { random_ports: true, remembered_paths: true },
    ];
}

/// What became of a packet.
pub struct Passed {
    pub onward: Result<Vec<u8>, DropCause>,
    pub answers: Vec<Vec<u8>>,
}

pub struct Translator {
    engine: Engine,
    nat: NodeId,
    clients: NodeId,
    internet: NodeId,
    /// Remembered paths, if any are.
    flows: Option<HashMap<FiveTuple, FlowId>>,
}

impl Translator {
    pub fn new(recorded: &Recorded, variant: Variant) -> Translator {
        let mut engine = Engine::new(1);
        engine.make_instant();
        let mut internet_gateway = InternetGateway::new("vpc".into());
        recorded.rule.addresses.iter().for_each(|&address| internet_gateway.add_nat_ip(address, TO_NAT));
        let clients =
            engine.add("clients", Beyond::new("clients".into(), Place::Appliance { instance: None }, true)).node;
        let nat = engine.add("nat", gateway(recorded, variant.random_ports)).node;
        let internet_gateway = engine.add("internet gateway", internet_gateway).node;
        let internet = engine.add("internet", Internet::default()).node;
        for (a, b) in [
            ((clients, ONLY_PORT), (nat, INSIDE)),
            ((nat, OUTSIDE), (internet_gateway, TO_NAT)),
            ((internet_gateway, INTERNET), (internet, ONLY_PORT)),
        ] {
            engine.connect(a, b, LinkConfig::default());
        }
        Translator { engine, nat, clients, internet, flows: variant.remembered_paths.then(HashMap::new) }
    }

    pub fn pass(&mut self, side: Side, packet: &[u8], at: SimTime) -> Passed {
        self.engine.advance_to(at);
        let Ok(mut packet) = Packet::parse(packet) else {
            return Passed { onward: Err(DropCause::SimMalformedPacket), answers: Vec::new() };
        };
        let flow = self.flows.as_mut().zip(packet.five_tuple());
        let flow = flow.map(|(flows, tuple)| *flows.entry(tuple).or_insert_with(|| self.engine.add_flow()));
        let (from, to) = match side {
            Side::Client => (self.clients, self.internet),
            Side::Server => (self.internet, self.clients),
        };
        let onward = match self.engine.emit(from, ONLY_PORT, &mut packet, 0, flow) {
            Outcome::Delivered(node, _) => {
                assert_eq!(node, to, "what goes through comes out at the other side");
                Ok(packet.bytes().to_vec())
            }
            Outcome::Dropped(_, cause) => Err(cause),
            outcome @ (Outcome::Answered(..) | Outcome::Travelling) => unreachable!("{outcome:?}"),
        };
        let mut answers = Vec::new();
        while let Some(occurrence) = self.engine.take_pending() {
            match occurrence {
                Occurrence::Delivered { node, packet, .. } if node == from => answers.push(packet.bytes().to_vec()),
                other => panic!("an answer goes back to who asked: {other:?}"),
            }
        }
        Passed { onward, answers }
    }

    pub fn gateway(&self) -> &Gateway {
        match self.engine.node(self.nat) {
            Node::Nat(gateway) => gateway,
            _ => unreachable!("it was made one"),
        }
    }

    /// Whether a NAT IP and port are set aside for this client.
    pub fn has_port(&self, client: Ipv4Addr, (address, port): Socket) -> bool {
        let serves = |endpoint: &egressim::node::nat::Endpoint| {
            let config = endpoint.config();
            config.address == client || config.alias_ranges.iter().any(|range| range.contains(&client))
        };
        let endpoint = self.gateway().endpoints().iter().position(serves);
        let endpoint = endpoint.expect("every client is served");
        self.gateway().reservation(endpoint, 0).blocks().any(|block| block.contains(address, port))
    }
}

/// A gateway that has as many ports for the same clients as the kernel had.
///
/// Linux takes ports for all clients from one set, so all clients are one endpoint: one address is its primary one and
/// the others are alias ranges. Where a rule has several addresses and Linux keeps each client on one of them, the
/// clients of an address share that address's ports: an endpoint for each address then.
fn gateway(recorded: &Recorded, random_ports: bool) -> Gateway {
    let rule = &recorded.rule;
    let per_address = rule.ports.as_ref().map_or(WHOLE_ADDRESS, |ports| ports.len() as u32);
    let endpoints = clients_that_share_ports(recorded);
    let ports = if endpoints.len() > 1 { per_address } else { per_address * rule.addresses.len() as u32 };
    let config = Config {
        nat_ips: rule.addresses.clone(),
        min_ports: ports,
        max_ports: ports,
        timeouts: recorded.timeouts,
        ..Config::default()
    };
    let behaviour = Behaviour { random_ports, ..Behaviour::default() };
    let mut gateway = Gateway::new("nat".into(), config, behaviour, rng::stream(1, "ports"));
    for (index, clients) in endpoints.iter().enumerate() {
        let (primary, others) = clients.split_first().expect("an endpoint has a client");
        gateway.add_endpoint(EndpointConfig {
            name: format!("clients-{index}").into(),
            address: *primary,
            serves_primary: true,
            alias_ranges: others.iter().map(|&address| address.into()).collect(),
            held: false,
            opens: Opening::OPEN,
        });
    }
    for endpoint in 0..endpoints.len() {
        assert_eq!(gateway.reservation(endpoint, 0).ports(), ports, "as many as the kernel has");
    }
    if let (Some(range), [_]) = (&rule.ports, gateway.endpoints())
        && *range.start() == 1024
        && rule.addresses.len() == 1
    {
        let range = format!("{}:{}-{}", rule.addresses[0], range.start(), range.end());
        let block = gateway.reservation(0, 0).blocks().next().expect("it has a block");
        assert_eq!(block.to_string(), range, "where the range begins at 1024 the ports are the same");
    }
    gateway
}

fn clients_that_share_ports(recorded: &Recorded) -> Vec<Vec<Ipv4Addr>> {
    let mut addresses_of: BTreeMap<Ipv4Addr, BTreeSet<Ipv4Addr>> = BTreeMap::new();
    for sent in recorded.sent.iter().filter(|sent| sent.side == Side::Client) {
        let addresses = addresses_of.entry(bytes::source(&sent.packet)).or_default();
        addresses.extend(sent.onward.iter().map(|onward| bytes::source(onward)));
    }
    let several = recorded.rule.addresses.len() > 1;
    if !several || addresses_of.values().any(|addresses| addresses.len() != 1) {
        return vec![addresses_of.into_keys().collect()];
    }
    let mut sharing: BTreeMap<BTreeSet<Ipv4Addr>, Vec<Ipv4Addr>> = BTreeMap::new();
    addresses_of.into_iter().for_each(|(client, address)| sharing.entry(address).or_default().push(client));
    sharing.into_values().collect()
}
