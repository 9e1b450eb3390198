//! What does a packet's way cost? The first packet of a flow, which every station decides about, a later one that nothing is
//! remembered of, and a later one along the remembered path; there and back.
//!
//! Links take no time there, as in a replay: what is measured is the stations and the walk between them. And what does a
//! link cost that takes time, and what if it is impaired? There each packet is queued, and taken from the queue.
//!
//! ```text
//! cargo bench --bench engine
//! ```

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use egressim::network::Network;
use egressim::node::instance::SOCKETS;
use egressim::scenario::Scenario;
use egressim::sim::{FlowId, Occurrence, Outcome};
use egressim::topology::NodeId;
use egressim::trace::PortId;
use egressim::wire::{Packet, Protocol};

mod common;

const FLOWS: usize = 1000;

/// The way from one instance to the internet; `{access}` is how it gets into the network.
const SCENARIO: &str = "
networks: [{name: vpc, autoCreateSubnetworks: false}]
subnetworks: [{name: subnet, network: vpc, region: us-central1, ipCidrRange: 10.9.0.0/24}]
connectors:
- {name: connector, region: us-central1, network: vpc, ipCidrRange: 10.8.0.0/28, minInstances: 2, maxInstances: 3}
addresses: [{name: ip, region: us-central1, address: 203.0.113.10}]
routers:
- name: router
  network: vpc
  region: us-central1
  nats:
  - name: gateway
    natIpAllocateOption: MANUAL_ONLY
    natIps: [ip]
    sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES
    minPortsPerVm: 8192
services:
- name: service
  region: us-central1
  template: {vpcAccess: {egress: ALL_TRAFFIC, {access}}}
";
const DIRECT: &str = "networkInterfaces: [{network: vpc, subnetwork: subnet}]";
const CONNECTOR: &str = "connector: connector";
/// The way to a host, as a host says it.
const LINKS: [(&str, &str); 2] = [
    ("plain", ""),
    ("impaired", ", jitter: 1ms, burstLoss: {rate: 0.001, meanLength: 3}, duplicate: 0.001, bandwidth: 100Gbps"),
];

/// A network and the packets of its one instance, each a flow of its own.
struct Bench {
    network: Network,
    instance: NodeId,
    fresh: Vec<Packet>,
    packets: Vec<Packet>,
    flows: Vec<FlowId>,
}

impl Bench {
    fn new(scenario: &Scenario) -> Bench {
        Bench::over(scenario, true)
    }

    /// With links that take time, unless it is passive.
    fn over(scenario: &Scenario, passive: bool) -> Bench {
        let mut network = Network::new(scenario);
        if passive {
            network.engine_mut().make_passive();
        }
        let instance = network.instances(0)[0].clone();
        let fresh: Vec<_> = (0..FLOWS)
            .map(|flow| {
                let tuple =
                    common::tuple(Protocol::Udp, instance.address, 1024 + (flow / 16) as u16, (flow % 16) as u8);
                common::datagram(tuple)
            })
            .collect();
        let flows = (0..FLOWS).map(|_| network.engine_mut().add_flow()).collect();
        Bench { network, instance: instance.site.node, packets: fresh.clone(), fresh, flows }
    }

    /// Sends one packet of each flow; the flow's path is remembered or not.
    fn send(&mut self, remember: bool) -> Duration {
        self.packets.clone_from_slice(&self.fresh);
        let engine = self.network.engine_mut();
        let start = Instant::now();
        for (packet, &flow) in self.packets.iter_mut().zip(&self.flows) {
            black_box(engine.send(self.instance, SOCKETS, packet, 0, remember.then_some(flow)));
        }
        start.elapsed()
    }

    /// Takes what is on links from the queue.
    fn arrive(&mut self) -> Duration {
        let engine = self.network.engine_mut();
        let until = engine.now() + Duration::from_secs(1);
        let start = Instant::now();
        while let Some(occurrence) = engine.step(until) {
            if let Occurrence::Delivered { packet, .. } = occurrence {
                engine.recycle(packet);
            }
        }
        start.elapsed()
    }

    /// From now on, the packets are the answers to what was sent last, sent from where that came out.
    fn turn(&mut self) -> (NodeId, PortId) {
        let mut packet = self.fresh[0].clone();
        let outcome = self.network.engine_mut().send(self.instance, SOCKETS, &mut packet, 0, None);
        let Outcome::Delivered(node, port) = outcome else { unreachable!("it is delivered: {outcome:?}") };
        self.send(false);
        let answer = |packet: &Packet| common::datagram(packet.five_tuple().expect("it is a datagram").reversed());
        self.fresh = self.packets.iter().map(answer).collect();
        self.flows = (0..FLOWS).map(|_| self.network.engine_mut().add_flow()).collect();
        (node, port)
    }

    fn answer(&mut self, from: (NodeId, PortId)) -> Duration {
        self.packets.clone_from_slice(&self.fresh);
        let engine = self.network.engine_mut();
        let start = Instant::now();
        for (packet, &flow) in self.packets.iter_mut().zip(&self.flows) {
            black_box(engine.emit(from.0, from.1, packet, 0, Some(flow)));
        }
        start.elapsed()
    }

    fn delivered(&self) -> u64 {
        self.network.engine().ledger().delivered
    }
}

fn walk(criterion: &mut Criterion) {
    for (name, access) in [("direct-vpc", DIRECT), ("connector", CONNECTOR)] {
        let scenario = common::scenario(&SCENARIO.replace("{access}", access));
        let mut group = criterion.benchmark_group(format!("engine/{name}"));
        group.throughput(Throughput::Elements(FLOWS as u64));

        let first = || {
            let mut bench = Bench::new(&scenario);
            let elapsed = bench.send(true);
            assert_eq!(bench.delivered(), FLOWS as u64);
            elapsed
        };
        group.bench_function("first", |bencher| bencher.iter_custom(|n| (0..n).map(|_| first()).sum()));

        let mut bench = Bench::new(&scenario);
        bench.send(false);
        group.bench_function("whole-way", |bencher| {
            bencher.iter_custom(|n| (0..n).map(|_| bench.send(false)).sum());
        });
        bench.send(true);
        group.bench_function("remembered", |bencher| {
            bencher.iter_custom(|n| (0..n).map(|_| bench.send(true)).sum());
        });
        let from = bench.turn();
        bench.answer(from);
        group.bench_function("remembered-answer", |bencher| {
            bencher.iter_custom(|n| (0..n).map(|_| bench.answer(from)).sum());
        });
        assert_eq!(bench.network.engine().ledger().dropped(), 0);
    }
}

/// One packet of each flow, over a link of 10 ms, until all have arrived.
fn links(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine/link");
    group.throughput(Throughput::Elements(FLOWS as u64));
    for (name, fields) in LINKS {
        let host = format!("hosts: [{{name: far, address: 198.51.100.0/24, rtt: 20ms{fields}}}]\n");
        let scenario = common::scenario(&(SCENARIO.replace("{access}", DIRECT) + &host));
        let mut bench = Bench::over(&scenario, false);
        bench.send(true);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|n| {
                let all = (0..n).map(|_| bench.send(true) + bench.arrive());
                all.sum()
            });
        });
    }
}

criterion_group! { name = benches; config = common::short(); targets = walk, links }
criterion_main!(benches);
