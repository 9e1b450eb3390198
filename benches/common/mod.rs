//! What the benches share: the program's allocator, short runs, packets and scenarios.
#![allow(dead_code, reason = "each bench takes what it needs")]

use std::net::Ipv4Addr;
use std::time::Duration;

use criterion::Criterion;
use egressim::scenario::{Scenario, load};
use egressim::wire::{FiveTuple, Packet, Protocol};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Few samples and short ones, so that all benches together take minutes: what they are to find is a factor, not a percent.
pub fn short() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
}

/// A flow to `198.51.100.x:443`.
pub fn tuple(protocol: Protocol, src: Ipv4Addr, src_port: u16, server: u8) -> FiveTuple {
    let dst = Ipv4Addr::new(198, 51, 100, server);
    FiveTuple { src, dst, src_port, dst_port: 443, protocol }
}

/// A datagram of 50 bytes: with its Ethernet header, the smallest frame.
pub fn datagram(tuple: FiveTuple) -> Packet {
    let mut packet = Packet::empty();
    packet.build_udp(tuple, 22);
    packet
}

/// A scenario from its text.
pub fn scenario(text: &str) -> Scenario {
    let loaded = load::load(load::Source::Text { name: "bench.yaml", text });
    loaded.scenario.unwrap_or_else(|| panic!("the scenario is sound: {:?}", loaded.diagnostics))
}
