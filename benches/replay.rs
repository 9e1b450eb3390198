//! What does a captured packet cost, from the file to the summary, and to the file with what the internet saw?
//!
//! The capture is that of `pcaps/synthesize.py`: smallest frames in turn of all flows, to 16 destinations, through
//! `scenarios/throughput.yaml`. With 60,000 flows, the tables do not fit into the processor's inner caches.
//!
//! ```text
//! cargo bench --bench replay
//! ```

use std::net::Ipv4Addr;
use std::ops::ControlFlow::Continue;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use egressim::capture::{CaptureError, PacketWriter};
use egressim::simulation::replay::{Options, replay};
use egressim::wire::Protocol;

mod common;

const PACKETS: usize = 600_000;
const CLIENTS: usize = 16;
const DESTINATIONS: usize = 16;
const SCENARIO: &str = include_str!("../scenarios/throughput.yaml");

/// Writes datagrams of this many flows in turn, one a microsecond.
fn synthesize(path: &Path, flows: usize) -> Result<(), CaptureError> {
    let packets: Vec<_> = (0..flows)
        .map(|flow| {
            let (turn, client) = (flow / CLIENTS, flow % CLIENTS);
            let (port, server) = (turn / DESTINATIONS, turn % DESTINATIONS);
            let client = Ipv4Addr::new(10, 0, 0, 1 + client as u8);
            common::datagram(common::tuple(Protocol::Udp, client, 1024 + port as u16, 1 + server as u8))
        })
        .collect();
    let mut writer = PacketWriter::create(path)?;
    for number in 0..PACKETS {
        let packet = &packets[number % flows];
        writer.write(1_767_225_600_000_000_000 + 1000 * number as u64, packet.bytes(), packet.wire_length())?;
    }
    writer.finish()
}

fn whole(criterion: &mut Criterion) {
    let scenario = common::scenario(SCENARIO);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut group = criterion.benchmark_group("replay");
    group.throughput(Throughput::Elements(PACKETS as u64));
    for (name, flows) in [("1k", 1000), ("60k", 60_000)] {
        let capture = folder.path().join(format!("{name}.pcap"));
        synthesize(&capture, flows).expect("a capture can be written");
        for (what, written) in [("read", None), ("write", Some(folder.path().join("out.pcap")))] {
            let options = Options { captures: vec![capture.clone()], write: written, ..Options::default() };
            group.bench_function(format!("{what}-{name}"), |bencher| {
                bencher.iter(|| {
                    let summary = replay(&scenario, &options, &mut |_| Continue(())).expect("it can be replayed");
                    assert_eq!(summary.packets.delivered, PACKETS as u64);
                });
            });
        }
    }
}

criterion_group! { name = benches; config = common::short().measurement_time(Duration::from_secs(3)); targets = whole }
criterion_main!(benches);
