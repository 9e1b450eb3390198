//! How long connections took to come to be.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::report::summary::Quantiles;

/// Times from the first packet to the established connection: quantiles to three digits, the largest exactly.
#[derive(Debug)]
pub struct ConnectTimes {
    micros: Histogram<u64>,
    longest: Duration,
}

impl Default for ConnectTimes {
    fn default() -> Self {
        // 1 µs to an hour.
        let micros = Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("the bounds are in order");
        ConnectTimes { micros, longest: Duration::ZERO }
    }
}

impl ConnectTimes {
    /// One more connection.
    pub fn record(&mut self, time: Duration) {
        self.micros.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        self.longest = self.longest.max(time);
    }

    /// All of these, too.
    pub fn add(&mut self, others: &ConnectTimes) {
        self.micros.add(&others.micros).expect("all have the same bounds");
        self.longest = self.longest.max(others.longest);
    }

    /// In milliseconds; all zero when there was no connection.
    pub fn quantiles(&self) -> Quantiles {
        if self.micros.is_empty() {
            return Quantiles::default();
        }
        let max = millis(self.longest.as_micros() as u64);
        // A value stands for its bucket by the bucket's upper edge, which may lie beyond the largest.
        let quantile = |q: f64| millis(self.micros.value_at_quantile(q)).min(max);
        Quantiles { p50: quantile(0.5), p90: quantile(0.9), p99: quantile(0.99), max }
    }
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_is_exact_and_no_quantile_exceeds_it() {
        let mut times = ConnectTimes::default();
        assert_eq!(times.quantiles().max, 0.0);
        for millis in [40, 42, 7042] {
            times.record(Duration::from_millis(millis));
        }
        let quantiles = times.quantiles();
        assert_eq!((quantiles.max, quantiles.p99), (7042.0, 7042.0));
        assert!((quantiles.p50 - 42.0).abs() < 0.042);
    }
}
