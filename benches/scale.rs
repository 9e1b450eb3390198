//! Does a large platform's network build within a second, and does it run as fast as a small one? A thousand instances of ten
//! services, with ten routes and with ten thousand.
//!
//! Loading is reading and checking the text; building is from the checked scenario to stations and links.
//!
//! ```text
//! cargo bench --bench scale
//! ```

use std::hint::black_box;
use std::ops::ControlFlow::Continue;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use egressim::network::Network;
use egressim::simulation::run;

mod common;
#[path = "../tests/common/scale.rs"]
mod scale;

const SIZES: [(&str, usize); 2] = [("10-routes", 10), ("10k-routes", 10_000)];

fn load(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scale/load");
    for (name, routes) in SIZES {
        let text = scale::scenario(routes);
        group.bench_function(name, |bencher| bencher.iter(|| common::scenario(&text)));
    }
    group.finish();
}

fn build(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scale/build");
    for (name, routes) in SIZES {
        let scenario = common::scenario(&scale::scenario(routes));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let mut took = Duration::ZERO;
                for _ in 0..times {
                    let start = Instant::now();
                    let network = black_box(Network::new(&scenario));
                    took += start.elapsed();
                    drop(network);
                }
                took
            });
        });
    }
    group.finish();
}

/// Whole runs, in packets a second. Building the network is a part of them, so that they last long enough for it not to show:
/// with ten seconds of load it is a tenth of a run with ten thousand routes.
fn whole(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scale/run");
    for (name, routes) in SIZES {
        let scenario = common::scenario(&scale::lasting(routes, 100));
        let packets = run(&scenario, None, &mut |_| Continue(())).expect("nothing is written").packets.sent;
        group.throughput(Throughput::Elements(packets));
        group.bench_function(name, |bencher| bencher.iter(|| run(&scenario, None, &mut |_| Continue(()))));
    }
    group.finish();
}

criterion_group! { name = benches; config = common::short(); targets = load, build, whole }
criterion_main!(benches);
