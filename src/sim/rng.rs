//! Randomness: one seed, a named stream for each purpose, so that a change in one place draws nothing away from another.

use std::hash::BuildHasher;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::distribution;

/// The stream of this name.
pub fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(foldhash::quality::FixedState::with_seed(0).hash_one(name));
    rng
}

/// Uniform in (0, 1].
pub fn unit(rng: &mut ChaCha8Rng) -> f64 {
    distribution::unit(rng.next_u64())
}

/// Uniform in 0..count.
pub fn below(rng: &mut ChaCha8Rng, count: u64) -> u64 {
    ((u128::from(rng.next_u64()) * u128::from(count)) >> 64) as u64
}

/// Exponential with this mean.
pub fn exponential(rng: &mut ChaCha8Rng, mean: f64) -> f64 {
    -libm::log(unit(rng)) * mean
}

/// Log-normal with this median and 99th percentile: `ln(p99 / median) = 2.3263 sigma`.
pub fn log_normal_p99(rng: &mut ChaCha8Rng, median: f64, p99: f64) -> f64 {
    let sigma = libm::log(p99 / median) / 2.326_347_874_040_841;
    median * libm::exp(sigma * normal(rng))
}

/// Standard normal.
pub fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (radius, angle) = (unit(rng), unit(rng));
    distribution::normal(radius, angle)
}

/// Log-normal with this median and 90th percentile.
pub fn log_normal(rng: &mut ChaCha8Rng, median: f64, p90: f64) -> f64 {
    distribution::log_normal(normal(rng), median, p90)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_every_time_and_unlike_the_others() {
        let draw = |seed, name| stream(seed, name).next_u64();
        assert_eq!(draw(1, "loss"), draw(1, "loss"));
        assert_ne!(draw(1, "loss"), draw(1, "arrivals"));
        assert_ne!(draw(1, "loss"), draw(2, "loss"));
        // What a seed means must not change between versions.
        assert_eq!(draw(1, "golden"), GOLDEN);
    }

    const GOLDEN: u64 = 398_145_100_980_411_127;

    #[test]
    fn the_log_normal_has_its_median_and_its_90th_percentile() {
        let mut rng = stream(1, "test");
        let mut draws: Vec<_> = (0..20_001).map(|_| log_normal(&mut rng, 20.0, 36.0)).collect();
        draws.sort_by(f64::total_cmp);
        assert!((draws[10_000] - 20.0).abs() < 0.5, "{}", draws[10_000]);
        assert!((draws[18_000] - 36.0).abs() < 1.5, "{}", draws[18_000]);
    }

    #[test]
    fn the_exponential_has_its_mean() {
        let mut rng = stream(1, "test");
        let mean = (0..20_000).map(|_| exponential(&mut rng, 5.0)).sum::<f64>() / 20_000.0;
        assert!((mean - 5.0).abs() < 0.1, "{mean}");
    }
}
