//! What does Cloud NAT cost? A new mapping by how full the endpoint's ports are, and under each kind of allocation; a known
//! packet by how many mappings there are; the end of mappings; an endpoint's ports.
//!
//! A new mapping must cost the same at 10 and at 99 % full, and its refusal at 100 % no more. A known packet costs what
//! fetching its mapping from memory costs: once the table has left the processor's caches, that is most of it.
//!
//! In the words of RFC 9693 (benchmarking stateful NATxy gateways): `nat/establish` is the maximum connection
//! establishment rate, `nat/tear-down` the connection tear-down rate. The capacity of the connection tracking table is
//! what memory holds: there is no other limit.
//!
//! ```text
//! cargo bench -- nat
//! cargo bench -- nat/allocate
//! ```

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use egressim::node::nat::{Behaviour, Config, EndpointConfig, Gateway, INSIDE, OUTSIDE, Rule, RuleMatch};
use egressim::node::startup::Opening;
use egressim::time::SimTime;
use egressim::trace::{EntryId, Explain, Memo, PortId, Verdict};
use egressim::wire::{FiveTuple, Packet, Protocol, TcpSegment, tcp_flags};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

mod common;

/// Packets handled between two looks at the clock: enough that the clock does not count, few enough to stay in cache.
const BATCH: usize = 256;
const DAY: Duration = Duration::from_secs(86_400);

fn static_ports(nat_ips: u8, ports: u32) -> Config {
    Config {
        nat_ips: (0..nat_ips).map(|i| Ipv4Addr::new(203, 0, 113, 10 + i)).collect(),
        min_ports: ports,
        max_ports: ports,
        timeouts: [DAY; 5],
        ..Config::default()
    }
}

fn gateway_of(config: Config, endpoints: u16, random_ports: bool) -> Gateway {
    // So that a connection can be taken out again between two measurements.
    let behaviour = Behaviour { random_ports, rst_frees: true, ..Behaviour::default() };
    let mut gateway = Gateway::new("nat".into(), config, behaviour, ChaCha8Rng::seed_from_u64(1));
    for index in 0..endpoints {
        gateway.add_endpoint(endpoint(index));
    }
    gateway
}

fn endpoint(index: u16) -> EndpointConfig {
    EndpointConfig {
        name: format!("vm-{index}").into(),
        address: client(index),
        serves_primary: true,
        alias_ranges: vec![],
        held: false,
        opens: Opening::OPEN,
    }
}

fn gateway(nat_ips: u8, endpoints: u16, ports: u32, random_ports: bool) -> Gateway {
    gateway_of(static_ports(nat_ips, ports), endpoints, random_ports)
}

fn client(index: u16) -> Ipv4Addr {
    let [high, low] = index.to_be_bytes();
    Ipv4Addr::new(10, 8, high, low)
}

fn segment(port: u16, flags: u8) -> Packet {
    let mut packet = Packet::empty();
    let tuple = common::tuple(Protocol::Tcp, client(0), port, 7);
    packet.build_tcp(tuple, TcpSegment { flags, seq: 1, ack: 0, payload: 0 });
    packet
}

/// One packet from inside, which may be refused.
fn send(gateway: &mut Gateway, packet: &mut Packet, now: SimTime) -> Verdict {
    gateway.handle_packet(packet, INSIDE, now, &mut Explain::silent())
}

/// New connections of one endpoint to one server, after each batch of which the batch is reset.
fn allocate(criterion: &mut Criterion) {
    const PORTS: usize = 32_768;
    for (name, random_ports) in [("nat/allocate", false), ("nat/allocate-random", true)] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(BATCH as u64));
        for percent in [10, 50, 90, 99, 100] {
            let mut gateway = gateway(1, 1, PORTS as u32, random_ports);
            let filled = PORTS * percent / 100;
            for port in 0..filled as u16 {
                send(&mut gateway, &mut segment(port, tcp_flags::SYN), SimTime::ZERO);
            }
            assert_eq!(gateway.live_mappings(), filled);
            let expected = filled + BATCH.min(PORTS - filled);
            let ports = || filled as u16..(filled + BATCH) as u16;
            group.bench_function(format!("fill-{percent}"), |bencher| {
                let mut run = || {
                    let mut batch: Vec<_> = ports().map(|port| segment(port, tcp_flags::SYN)).collect();
                    let start = Instant::now();
                    for packet in &mut batch {
                        black_box(send(&mut gateway, packet, SimTime::ZERO));
                    }
                    let elapsed = start.elapsed();
                    assert_eq!(gateway.live_mappings(), expected);
                    if percent < 100 {
                        ports().for_each(|port| {
                            send(&mut gateway, &mut segment(port, tcp_flags::RST), SimTime::ZERO);
                        });
                    }
                    elapsed
                };
                bencher.iter_custom(|iterations| (0..iterations).map(|_| run()).sum());
            });
        }
    }
}

/// Flows of `endpoints` clients to 16 servers, each client through the same ports.
fn flows(endpoints: u16, servers: u8, count: usize) -> impl Iterator<Item = FiveTuple> {
    let all = (0..=u16::MAX).flat_map(move |port| {
        let clients = (0..endpoints).map(client);
        clients.flat_map(move |src| (1..=servers).map(move |to| common::tuple(Protocol::Udp, src, port, to)))
    });
    all.take(count)
}

/// Sends the first packets of flows, a batch at a time; the time that the gateway took.
fn establish_all(gateway: &mut Gateway, mut tuples: impl Iterator<Item = FiveTuple>) -> Duration {
    let mut batch = vec![Packet::empty(); BATCH];
    let mut elapsed = Duration::ZERO;
    loop {
        let mut filled = 0;
        for (packet, tuple) in batch.iter_mut().zip(tuples.by_ref()) {
            packet.build_udp(tuple, 22);
            filled += 1;
        }
        let start = Instant::now();
        for packet in &mut batch[..filled] {
            black_box(send(gateway, packet, SimTime::ZERO));
        }
        elapsed += start.elapsed();
        if filled < BATCH {
            return elapsed;
        }
    }
}

/// Mappings made in one go, in a fresh gateway, until all its ports are taken: the tables grow from nothing. By the number
/// of NAT IPs, and by the kind of allocation.
fn establish(criterion: &mut Criterion) {
    const PORTS: u32 = 1024;
    let rule = |number: u32| Rule {
        number,
        matches: RuleMatch::Destination(vec![Ipv4Addr::from(0x0808_0000 + number).into()]),
        nat_ips: vec![],
        drain_nat_ips: vec![],
    };
    let dynamic = Config { dynamic: true, max_ports: 2 * PORTS, ..static_ports(1, PORTS) };
    let independent = Config { endpoint_independent: true, ..static_ports(1, PORTS) };
    // None of the rules matches: what looking at them costs.
    let rules = Config { rules: (1..=50).map(rule).collect(), ..static_ports(1, PORTS) };
    let mut group = criterion.benchmark_group("nat/establish");
    for (name, config, random_ports) in [
        ("nat-ips-1", static_ports(1, PORTS), false),
        ("nat-ips-16", static_ports(16, PORTS), false),
        ("random", static_ports(1, PORTS), true),
        ("dynamic", dynamic, false),
        ("endpoint-independent", independent, false),
        ("50-rules", rules, false),
    ] {
        let endpoints = config.nat_ips.len() as u16 * 63;
        let count = usize::from(endpoints) * PORTS as usize;
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(name, |bencher| {
            let run = || {
                let mut gateway = gateway_of(config.clone(), endpoints, random_ports);
                let elapsed = establish_all(&mut gateway, flows(endpoints, 1, count));
                assert_eq!(gateway.live_mappings(), count);
                elapsed
            };
            bencher.iter_custom(|iterations| (0..iterations).map(|_| run()).sum());
        });
    }
}

/// A known flow: what its packets from inside and from outside wear, and its mapping.
struct Known {
    outbound: FiveTuple,
    inbound: FiveTuple,
    entry: EntryId,
}

/// A gateway that has mappings, and their flows.
struct Populated {
    gateway: Gateway,
    known: Vec<Known>,
    rng: ChaCha8Rng,
    batch: Vec<(Packet, EntryId)>,
    now: u64,
}

impl Populated {
    fn new(count: usize) -> Populated {
        const ENDPOINTS: u16 = 16;
        let mut gateway = gateway(2, ENDPOINTS, 4096, false);
        let mut known = Vec::with_capacity(count);
        for tuple in flows(ENDPOINTS, 16, count) {
            let mut packet = common::datagram(tuple);
            let Verdict::Forward(_, Memo::Entry(entry)) = send(&mut gateway, &mut packet, SimTime::ZERO) else {
                unreachable!("there are ports for all")
            };
            let outside = packet.five_tuple().expect("it is a datagram");
            known.push(Known { outbound: tuple, inbound: outside.reversed(), entry });
        }
        let batch = vec![(Packet::empty(), known[0].entry); BATCH];
        Populated { gateway, known, rng: ChaCha8Rng::seed_from_u64(2), batch, now: 0 }
    }

    /// Packets of flows drawn at random.
    fn pass(&mut self, from: PortId, remembered: bool) -> Duration {
        for (packet, entry) in &mut self.batch {
            let flow = &self.known[self.rng.next_u32() as usize % self.known.len()];
            packet.build_udp(if from == INSIDE { flow.outbound } else { flow.inbound }, 22);
            *entry = flow.entry;
        }
        let start = Instant::now();
        for (packet, entry) in &mut self.batch {
            self.now += 1;
            let now = SimTime::from_nanos(self.now);
            if remembered {
                assert!(self.gateway.handle_known(*entry, packet, from, now));
            } else {
                black_box(self.gateway.handle_packet(packet, from, now, &mut Explain::silent()));
            }
        }
        start.elapsed()
    }
}

/// Packets of known flows, found by their addresses (`lookup`) or by the entry that a flow remembers.
fn known(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("nat/known");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, count) in [("1k", 1000), ("60k", 60_000), ("1M", 1_000_000)] {
        // Made by the first bench that runs, if any does.
        let mut populated = None;
        for (from, direction) in [(INSIDE, "outbound"), (OUTSIDE, "inbound")] {
            for (remembered, how) in [(false, "lookup"), (true, "remembered")] {
                group.bench_function(format!("{direction}-{how}-{name}"), |bencher| {
                    let populated = populated.get_or_insert_with(|| Populated::new(count));
                    bencher.iter_custom(|iterations| (0..iterations).map(|_| populated.pass(from, remembered)).sum());
                });
            }
        }
    }
}

/// A million timers: all refreshed by a packet each (`refresh`), all run out at one instant (`expire`).
fn timers(criterion: &mut Criterion) {
    const COUNT: usize = 1_000_000;
    let mut group = criterion.benchmark_group("nat/timers");
    group.throughput(Throughput::Elements(COUNT as u64));
    let mut populated = None;
    group.bench_function("refresh-1M", |bencher| {
        let populated = populated.get_or_insert_with(|| Populated::new(COUNT));
        let mut run = || -> Duration { (0..COUNT / BATCH).map(|_| populated.pass(INSIDE, true)).sum() };
        bencher.iter_custom(|iterations| (0..iterations).map(|_| run()).sum());
    });
    drop(populated);
    group.bench_function("expire-1M", |bencher| {
        let run = || {
            let mut gateway = gateway(2, 16, 4096, false);
            establish_all(&mut gateway, flows(16, 16, COUNT));
            assert_eq!(gateway.live_mappings(), COUNT);
            let start = Instant::now();
            gateway.settle(SimTime::ZERO + DAY);
            let elapsed = start.elapsed();
            assert_eq!(gateway.live_mappings(), 0);
            elapsed
        };
        bencher.iter_custom(|iterations| (0..iterations).map(|_| run()).sum());
    });
}

/// Open TCP connections that are closed: a FIN from either side, then the end of TIME_WAIT.
fn tear_down(criterion: &mut Criterion) {
    const COUNT: usize = 60_000;
    let mut group = criterion.benchmark_group("nat/tear-down");
    group.throughput(Throughput::Elements(COUNT as u64));
    let tcp = |tuple: FiveTuple, flags: u8| {
        let mut packet = Packet::empty();
        packet.build_tcp(tuple, TcpSegment { flags, seq: 1, ack: 1, payload: 0 });
        packet
    };
    group.bench_function("60k", |bencher| {
        let run = || {
            let mut gateway = gateway(2, 16, 4096, false);
            let mut closing = Vec::with_capacity(COUNT);
            for tuple in flows(16, 16, COUNT).map(|tuple| FiveTuple { protocol: Protocol::Tcp, ..tuple }) {
                let mut syn = tcp(tuple, tcp_flags::SYN);
                send(&mut gateway, &mut syn, SimTime::ZERO);
                let answers = syn.five_tuple().expect("it is TCP").reversed();
                closing
                    .push((tcp(tuple, tcp_flags::FIN | tcp_flags::ACK), tcp(answers, tcp_flags::FIN | tcp_flags::ACK)));
            }
            assert_eq!(gateway.live_mappings(), COUNT);
            let start = Instant::now();
            for (out, back) in &mut closing {
                black_box(send(&mut gateway, out, SimTime::ZERO));
                black_box(gateway.handle_packet(back, OUTSIDE, SimTime::ZERO, &mut Explain::silent()));
            }
            gateway.settle(SimTime::ZERO + DAY);
            let elapsed = start.elapsed();
            assert_eq!(gateway.live_mappings(), 0);
            elapsed
        };
        bencher.iter_custom(|iterations| (0..iterations).map(|_| run()).sum());
    });
}

/// 1,000 endpoints arrive and get their blocks; the last ones may find no room.
fn reserve(criterion: &mut Criterion) {
    const ENDPOINTS: u16 = 1000;
    let mut group = criterion.benchmark_group("nat/reserve");
    group.throughput(Throughput::Elements(ENDPOINTS.into()));
    for (name, nat_ips, ports) in [("64-ports", 1, 64), ("64-ports-16-ips", 16, 64), ("4096-ports-16-ips", 16, 4096)] {
        group.bench_function(name, |bencher| {
            let run = || {
                let mut gateway = gateway(nat_ips, 0, ports, false);
                let endpoints: Vec<_> = (0..ENDPOINTS).map(endpoint).collect();
                let start = Instant::now();
                for endpoint in endpoints {
                    black_box(gateway.add_endpoint(endpoint));
                }
                start.elapsed()
            };
            bencher.iter_custom(|iterations| (0..iterations).map(|_| run()).sum());
        });
    }
}

criterion_group! { name = benches; config = common::short(); targets = allocate, establish, known, timers, tear_down, reserve }
criterion_main!(benches);
