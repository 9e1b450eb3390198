//! What do bytes cost? From a captured packet to its 5-tuple, another source with both checksums kept, one less TTL, a
//! packet that a simulated host sends. NAT is IPv4's alone, so of IPv6 there is one case each.
//!
//! A packet's length should matter to the first and the last of them only, which write all of it.
//!
//! ```text
//! cargo bench --bench wire
//! ```

use std::hint::black_box;
use std::net::{Ipv4Addr, Ipv6Addr};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use egressim::wire::{FiveTuple, Packet, Protocol, TcpSegment, tcp_flags};

mod common;

/// Nothing but headers, what old modems took, and what Ethernet carries.
const LENGTHS: [u16; 3] = [40, 552, 1500];
const HEADERS: u16 = 40;
const INSTANCE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

fn segment(length: u16) -> Packet {
    let mut packet = Packet::empty();
    let segment = TcpSegment { flags: tcp_flags::ACK, seq: 1, ack: 1, payload: length - HEADERS };
    packet.build_tcp(common::tuple(Protocol::Tcp, INSTANCE, 40_000, 7), segment);
    packet
}

/// The smallest packet of TCP over IPv6: 60 bytes.
const IPV6: FiveTuple<Ipv6Addr> = FiveTuple {
    src: Ipv6Addr::new(0xfd20, 0, 0, 0, 0, 0, 0, 2),
    dst: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7),
    src_port: 40_000,
    dst_port: 443,
    protocol: Protocol::Tcp,
};
const ACK: TcpSegment = TcpSegment { flags: tcp_flags::ACK, seq: 1, ack: 1, payload: 0 };

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire/parse");
    group.throughput(Throughput::Elements(1));
    let mut packet = Packet::empty();
    // One place that loads, as in a replay: the compiler makes it part of its caller then.
    for length in LENGTHS {
        let captured = segment(length);
        group.bench_function(length.to_string(), |bencher| {
            bencher.iter(|| {
                let bytes = black_box(captured.bytes());
                packet.load(bytes, bytes.len()).expect("it is valid");
                packet.five_tuple()
            });
        });
    }
    let (mut captured, mut packet) = (Packet::empty(), Packet::empty());
    captured.build_tcp(IPV6, ACK);
    group.bench_function("ipv6-60", |bencher| {
        bencher.iter(|| {
            let bytes = black_box(captured.bytes());
            packet.load(bytes, bytes.len()).expect("it is valid");
            packet.flow()
        });
    });
}

fn rewrite(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire/rewrite");
    group.throughput(Throughput::Elements(1));
    for length in LENGTHS {
        let mut packet = segment(length);
        // Between two sources, so that there is always something to change.
        let sources = [(Ipv4Addr::new(203, 0, 113, 10), 1024), (INSTANCE, 40_000)];
        let mut turn = 0;
        group.bench_function(format!("source-{length}"), |bencher| {
            bencher.iter(|| {
                turn ^= 1;
                let (address, port) = black_box(sources[turn]);
                black_box(&mut packet).set_source(address, port);
            });
        });
    }
    // From the 64 that hosts send with down to 1.
    let fresh = segment(HEADERS);
    let hops = u32::from(fresh.ttl()) - 1;
    group.throughput(Throughput::Elements(hops.into()));
    group.bench_function("ttl", |bencher| {
        let pass = |packet: &mut Packet| (0..hops).all(|_| black_box(&mut *packet).decrement_ttl());
        bencher.iter_batched_ref(|| fresh.clone(), pass, BatchSize::SmallInput);
    });
}

/// What the flow engine does for every packet of its connections.
fn build(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire/build");
    group.throughput(Throughput::Elements(1));
    let tcp = common::tuple(Protocol::Tcp, INSTANCE, 40_000, 7);
    let udp = common::tuple(Protocol::Udp, INSTANCE, 40_000, 7);
    let mut packet = Packet::empty();
    for length in LENGTHS {
        let segment = TcpSegment { flags: tcp_flags::ACK, seq: 1, ack: 1, payload: length - HEADERS };
        group.bench_function(format!("tcp-{length}"), |bencher| {
            bencher.iter(|| black_box(&mut packet).build_tcp(black_box(tcp), black_box(segment)));
        });
    }
    let segment = TcpSegment { flags: tcp_flags::SYN, seq: 1, ack: 0, payload: 0 };
    group.bench_function("tcp-syn", |bencher| {
        bencher.iter(|| black_box(&mut packet).build_tcp(black_box(tcp), black_box(segment)));
    });
    group.bench_function("tcp-ipv6-60", |bencher| {
        bencher.iter(|| black_box(&mut packet).build_tcp(black_box(IPV6), black_box(ACK)));
    });
    group.bench_function("udp-50", |bencher| {
        bencher.iter(|| black_box(&mut packet).build_udp(black_box(udp), black_box(22)));
    });
}

criterion_group! { name = benches; config = common::short(); targets = parse, rewrite, build }
criterion_main!(benches);
