//! Rates that change over time, and when the next arrival is.
//!
//! Arrivals at a changing rate are those at a constant one on another clock, which runs as fast as the rate is high: the
//! next is when the area under the curve has grown by a gap's worth. That is exact, and for Poisson arrivals, too.

use std::f64::consts::TAU;
use std::time::Duration;

/// A rate over time.
#[derive(Debug, Clone, PartialEq)]
pub enum Curve {
    /// Rates a second from times on, in order; before the first there is none.
    Steps(Vec<(Duration, f64)>),
    /// A sine.
    Daily {
        /// The least.
        low: f64,
        /// The most.
        high: f64,
        /// When it is the most.
        high_at: Duration,
        /// From one time that it is to the next.
        period: Duration,
    },
}

impl Curve {
    /// The highest rate.
    pub fn most(&self) -> f64 {
        match self {
            Curve::Steps(steps) => steps.iter().map(|(_, rate)| *rate).fold(0.0, f64::max),
            Curve::Daily { low, high, .. } => low.max(*high),
        }
    }

    /// The rate at a time.
    pub fn at(&self, time: Duration) -> f64 {
        match self {
            Curve::Steps(steps) => {
                let begun = steps.partition_point(|(at, _)| *at <= time);
                begun.checked_sub(1).map_or(0.0, |last| steps[last].1)
            }
            Curve::Daily { low, high, high_at, period } => {
                let day = TAU * (time.as_secs_f64() - high_at.as_secs_f64()) / period.as_secs_f64();
                f64::midpoint(*low, *high) + (high - low) / 2.0 * day.cos()
            }
        }
    }

    /// Times at which it begins to be higher than before, or is highest.
    pub fn rises(&self) -> Vec<Duration> {
        match self {
            Curve::Steps(steps) => steps.iter().map(|(at, _)| *at).collect(),
            Curve::Daily { high_at, .. } => vec![*high_at],
        }
    }

    /// The first time after `from` at which the area under the curve is larger by `area`; `None` if it never is.
    pub fn next(&self, from: Duration, area: f64) -> Option<Duration> {
        match self {
            Curve::Steps(steps) => next_of_steps(steps, from, area),
            Curve::Daily { low, high, .. } if low.max(*high) <= 0.0 => None,
            Curve::Daily { low, high, high_at, period } => {
                let sine = Sine {
                    mean: f64::midpoint(*low, *high),
                    swing: (high - low) / 2.0,
                    high_at: high_at.as_secs_f64(),
                    period: period.as_secs_f64(),
                };
                // A rate of almost nothing has its next arrival after the end of all time.
                Duration::try_from_secs_f64(sine.next(from.as_secs_f64(), area)).ok()
            }
        }
    }
}

fn next_of_steps(steps: &[(Duration, f64)], from: Duration, mut area: f64) -> Option<Duration> {
    let first = steps.partition_point(|(at, _)| *at <= from).saturating_sub(1);
    for (index, &(at, rate)) in steps.iter().enumerate().skip(first) {
        let begin = from.max(at);
        let end = steps.get(index + 1).map(|(next, _)| *next);
        let within = end.map_or(f64::INFINITY, |end| rate * end.saturating_sub(begin).as_secs_f64());
        if rate > 0.0 && area <= within {
            return begin.checked_add(Duration::try_from_secs_f64(area / rate).ok()?);
        }
        area -= if rate > 0.0 { within } else { 0.0 };
    }
    None
}

struct Sine {
    mean: f64,
    swing: f64,
    high_at: f64,
    period: f64,
}

impl Sine {
    /// The area under it up to a time.
    fn area(&self, time: f64) -> f64 {
        self.mean * time + self.swing * self.period / TAU * (TAU * (time - self.high_at) / self.period).sin()
    }

    /// By halving: the area only grows, and by `mean × period` in each period.
    fn next(&self, from: f64, area: f64) -> f64 {
        let goal = self.area(from) + area;
        let (mut low, mut high) = (from, from + self.period * (area / (self.mean * self.period)).ceil().max(1.0));
        for _ in 0..64 {
            let middle = f64::midpoint(low, high);
            if self.area(middle) < goal { low = middle } else { high = middle }
        }
        high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// How many constant arrivals there are up to each of these times.
    fn arrivals(curve: &Curve, until: &[u64]) -> Vec<usize> {
        let mut times = Vec::new();
        let mut now = Duration::ZERO;
        while let Some(next) = curve.next(now, 1.0).filter(|next| *next <= seconds(100_000)) {
            assert!(next > now);
            now = next;
            times.push(now);
        }
        // An arrival at the very end of a step is in it, to the rounding of a nanosecond.
        let by = |end: u64| times.iter().filter(|time| **time <= seconds(end) + Duration::from_micros(1)).count();
        until.iter().map(|end| by(*end)).collect()
    }

    #[test]
    fn steps_have_their_rates_and_gaps_span_them() {
        // 10 s of nothing, 10 s at 2/s, 10 s of nothing, 100 s at 0.5/s, and nothing more.
        let steps = [(10, 2.0), (20, 0.0), (30, 0.5), (130, 0.0)];
        let curve = Curve::Steps(steps.map(|(at, rate)| (seconds(at), rate)).to_vec());
        assert_eq!(arrivals(&curve, &[10, 15, 20, 30, 31, 32, 130, 1000]), [0, 10, 20, 20, 20, 21, 70, 70]);
        assert_eq!(curve.most(), 2.0);
        assert_eq!([9, 10, 29, 30, 200].map(|time| curve.at(seconds(time))), [0.0, 2.0, 0.0, 0.5, 0.0]);
        // Half of what a gap needs comes from before a pause.
        assert_eq!(curve.next(Duration::from_secs_f64(19.75), 1.0), Some(seconds(31)));
    }

    #[test]
    fn a_step_before_all_time_counts_from_the_start() {
        let curve = Curve::Steps(vec![(seconds(0), 1.0), (seconds(5), 10.0)]);
        assert_eq!(arrivals(&curve, &[5, 6, 7]), [5, 15, 25]);
        assert_eq!(Curve::Steps(vec![(seconds(0), 0.0)]).next(seconds(3), 0.1), None);
    }

    #[test]
    fn a_day_is_a_sine_around_its_mean() {
        let curve = Curve::Daily { low: 0.0, high: 4.0, high_at: seconds(500), period: seconds(1000) };
        // 2/s on average; in the half around the top, 2 × 500 + 2 × 1000 ÷ π = 1,637.
        // The last one of a day comes at its very end, where the rate is nothing: a second later it is certainly there.
        assert_eq!(arrivals(&curve, &[1001, 2001]), [2000, 4000]);
        let [quarter, three] = arrivals(&curve, &[250, 750])[..] else { unreachable!() };
        assert!((1635..=1638).contains(&(three - quarter)), "{}", three - quarter);
        let rates = [0, 250, 500, 750].map(|time| (curve.at(seconds(time)) * 1e9).round() / 1e9);
        assert_eq!(rates, [0.0, 2.0, 4.0, 2.0]);
        let none = Curve::Daily { low: 0.0, high: 0.0, high_at: seconds(0), period: seconds(10) };
        assert_eq!(none.next(seconds(0), 1.0), None);
        // Half of 1e-300/s on average: the next one is due in 2e300 s.
        let hardly = Curve::Daily { low: 0.0, high: 1e-300, high_at: seconds(0), period: seconds(1) };
        assert_eq!(hardly.next(seconds(0), 1.0), None);
    }
}
