//! What does the choice of a route cost, with ten routes and with a hundred thousand? And what does it cost to enter them?
//!
//! Each packet is the first of its flow: later ones ask no route. Routes are of all lengths from /12 to /28, one in eight with a
//! tag, so that several cover a destination, and not all of them apply.
//!
//! ```text
//! cargo bench --bench route
//! ```

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Instant;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use egressim::network::Network;
use egressim::node::router::{FIREWALL, HopName, NextHop, Route, RouteKind, Router, SubnetRoute};
use egressim::trace::info::NextHopType;
use egressim::trace::{Explain, PortId};
use egressim::wire::{FiveTuple, Packet, Protocol};
use ipnet::Ipv4Net;

mod common;

const PACKETS: usize = 1000;
const SENDER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

/// A number that looks like any other: the same for the same input.
fn scatter(number: u32) -> u32 {
    let number = (number ^ number >> 16).wrapping_mul(0x7feb_352d);
    let number = (number ^ number >> 15).wrapping_mul(0x846c_a68b);
    number ^ number >> 16
}

fn dest(at: u32) -> Ipv4Net {
    let length = 12 + (scatter(at) % 17) as u8;
    let address = Ipv4Addr::from(172 << 24 | scatter(at ^ 0x5555) >> 8);
    Ipv4Net::new(address, length).expect("a length of 12 to 28").trunc()
}

fn route(at: u32) -> Route {
    Route {
        name: format!("route-{at}").into(),
        kind: RouteKind::Static,
        peer: None,
        priority: 1000 - at % 3,
        tags: if at % 8 == 7 { vec![format!("tag-{}", at % 64)] } else { vec![] },
        next_hop: NextHop::Other(PortId(2 + at % 50)),
        leads_to: HopName { kind: NextHopType::Ip, words: "a next hop".into(), resource: None, network: None },
        out_of_use: None,
    }
}

fn empty() -> Router {
    let mut router = Router::new("vpc".into(), PortId(1), 1);
    let subnet = SubnetRoute {
        name: "subnet".into(),
        region: "us-central1".into(),
        private_google_access: false,
        hybrid: false,
        private_nat: false,
    };
    router.add_subnet(Ipv4Net::new(Ipv4Addr::new(10, 9, 0, 0), 24).expect("24 is a length"), subnet);
    router.attach(Ipv4Net::from(SENDER), &["tag-7".into(), "tag-15".into()]);
    let mut default = route(0);
    default.next_hop = NextHop::Other(PortId(60));
    router.add_route(Ipv4Net::default(), default);
    router
}

fn with_routes(count: u32) -> Router {
    let mut router = empty();
    (0..count).for_each(|at| _ = router.add_route(dest(at), route(at)));
    router
}

fn lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route/lookup");
    group.throughput(Throughput::Elements(PACKETS as u64));
    let mut packets: Vec<Packet> = (0..PACKETS as u32)
        .map(|at| {
            let dst = Ipv4Addr::from(172 << 24 | scatter(at) >> 8);
            let tuple = FiveTuple { src: SENDER, dst, src_port: 5000, dst_port: 443, protocol: Protocol::Udp };
            common::datagram(tuple)
        })
        .collect();
    for (name, count) in [("10", 10), ("1k", 1000), ("100k", 100_000)] {
        let mut router = with_routes(count);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for packet in &mut packets {
                    black_box(router.handle_packet(packet, FIREWALL, &mut Explain::silent()));
                }
            });
        });
    }
    group.finish();
}

fn build(criterion: &mut Criterion) {
    const COUNT: u32 = 100_000;
    let mut group = criterion.benchmark_group("route/build");
    group.throughput(Throughput::Elements(COUNT.into()));
    let routes: Vec<(Ipv4Net, Route)> = (0..COUNT).map(|at| (dest(at), route(at))).collect();
    group.bench_function("100k", |bencher| {
        bencher.iter_batched(
            || (empty(), routes.clone()),
            |(mut router, routes)| {
                routes.into_iter().for_each(|(dest, route)| _ = router.add_route(dest, route));
                router
            },
            BatchSize::PerIteration,
        );
    });
    // All to one destination: a worst case.
    group.bench_function("100k-one-destination", |bencher| {
        bencher.iter_batched(
            || (empty(), routes.clone()),
            |(mut router, routes)| {
                let dest = Ipv4Net::new(Ipv4Addr::new(172, 16, 0, 0), 12).expect("12 is a length");
                routes.into_iter().for_each(|(_, route)| _ = router.add_route(dest, route));
                router
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// From a scenario with ten thousand routes to its network.
fn network(criterion: &mut Criterion) {
    const COUNT: u32 = 10_000;
    let mut yaml = String::from("networks: [{name: vpc}]\nroutes:\n");
    for at in 0..COUNT {
        let (second, third) = (at / 256, at % 256);
        let _ = writeln!(
            yaml,
            "- {{name: r{at}, network: vpc, destRange: 172.{second}.{third}.0/24, nextHopVpnTunnel: tunnel-{}}}",
            at % 20
        );
    }
    let scenario = common::scenario(&yaml);
    let mut group = criterion.benchmark_group("route/network");
    group.throughput(Throughput::Elements(COUNT.into()));
    group.bench_function("10k", |bencher| {
        bencher.iter_custom(|times| {
            let start = Instant::now();
            for _ in 0..times {
                black_box(Network::new(&scenario));
            }
            start.elapsed()
        });
    });
    group.finish();
}

criterion_group! { name = benches; config = common::short(); targets = lookup, build, network }
criterion_main!(benches);
