//! How many connections a load has to its destination at a time, as time goes by.
//!
//! On average, and over all endpoints: a real load is uneven, and a few more connections are open for a while.

use std::time::Duration;

use crate::scenario::lifecycle::peak_instances;
use crate::scenario::{Arrivals, ClosedBy, NatTimeouts, Scenario, Traffic, TrafficProtocol};

/// Just before: how close to a jump the time before it is looked at, in seconds.
const MOMENT: f64 = 1e-6;

/// One load.
#[derive(Debug, Clone)]
pub(super) struct Demand {
    amount: Amount,
    start: f64,
    stop: f64,
    open: f64,
    /// A port is barred, or idle, for so long afterwards.
    after: f64,
    state: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Amount {
    /// All at the start.
    Count(f64),
    /// A second.
    Rate(f64),
}

impl Demand {
    pub(super) fn of(scenario: &Scenario, traffic: &Traffic, timeouts: &NatTimeouts) -> Demand {
        let end = scenario.duration;
        let (open, after) = match (traffic.protocol, traffic.closed_by) {
            (TrafficProtocol::Tcp, ClosedBy::Nobody) => {
                (traffic.lifetime + timeouts.tcp_established_idle, Duration::ZERO)
            }
            (TrafficProtocol::Tcp, _) => (traffic.lifetime, timeouts.tcp_time_wait),
            (TrafficProtocol::Udp, _) => (traffic.lifetime, timeouts.udp_idle),
            (TrafficProtocol::Icmp, _) => (traffic.lifetime, timeouts.icmp_idle),
        };
        let instances = f64::from(peak_instances(scenario, traffic.from));
        let calls = traffic.requests.as_ref().map_or(1.0, |requests| f64::from(requests.calls));
        let amount = match traffic.arrivals {
            Arrivals::Count(count) => Amount::Count(count as f64),
            Arrivals::Poisson(rate) | Arrivals::Constant(rate) => Amount::Rate(rate * calls),
            Arrivals::Workers(workers) => {
                let each = traffic.lifetime.as_secs_f64() * calls + workers.pause.as_secs_f64();
                Amount::Rate(f64::from(workers.per_instance) * instances * calls / each.max(1e-3))
            }
        };
        // A pool has no more connections than its calls need at a time, and keeps them.
        if let Some(pool) = traffic.requests.as_ref().and_then(|requests| requests.pool) {
            let busy = match amount {
                Amount::Count(count) => count,
                Amount::Rate(rate) => (rate * traffic.lifetime.as_secs_f64()).ceil(),
            };
            return Demand {
                amount: Amount::Count(busy.min(f64::from(pool.size) * instances)),
                start: traffic.start.as_secs_f64(),
                stop: traffic.stop.min(end).as_secs_f64(),
                open: traffic.stop.min(end).saturating_sub(traffic.start).as_secs_f64(),
                after: timeouts.tcp_time_wait.as_secs_f64(),
                state: "in TIME_WAIT",
            };
        }
        Demand {
            amount,
            start: traffic.start.as_secs_f64(),
            stop: traffic.stop.min(end).as_secs_f64(),
            open: open.as_secs_f64(),
            after: after.as_secs_f64(),
            state: if traffic.protocol == TrafficProtocol::Tcp { "in TIME_WAIT" } else { "idle" },
        }
    }

    /// Little's law: rate × time that a connection holds its port, as far as the load has lasted.
    pub(super) fn at(&self, time: f64) -> f64 {
        let holds = self.open + self.after;
        match self.amount {
            Amount::Count(count) if self.start <= time && time < self.start + holds => count,
            Amount::Count(_) => 0.0,
            Amount::Rate(rate) => rate * (time.min(self.stop) - self.start.max(time - holds)).max(0.0),
        }
    }

    /// Times at which it bends or jumps.
    fn bends(&self) -> [f64; 4] {
        let holds = self.open + self.after;
        [self.start, self.start + holds, self.stop, self.stop + holds]
    }

    /// How many connections it has at a time, and why.
    fn arithmetic(&self, time: f64) -> String {
        let (Amount::Count(value) | Amount::Rate(value)) = self.amount;
        let (holds, lasts) = (self.open + self.after, self.stop - self.start);
        match self.amount {
            Amount::Count(_) => value.to_string(),
            Amount::Rate(rate) if self.at(time) < rate * holds.min(lasts) - 0.5 => format!("{:.0}", self.at(time)),
            Amount::Rate(_) if holds > lasts => format!("{value}/s × {} s", rounded(lasts)),
            Amount::Rate(_) => {
                format!("{value}/s × ({} s open + {} s {})", rounded(self.open), rounded(self.after), self.state)
            }
        }
    }
}

/// Seconds as people write them.
pub(super) fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// Several loads to one destination.
#[derive(Debug, Clone, Default)]
pub(super) struct Demands {
    loads: Vec<Demand>,
}

impl Demands {
    pub(super) fn new(loads: Vec<Demand>) -> Demands {
        Demands { loads }
    }

    pub(super) fn at(&self, time: f64) -> f64 {
        self.loads.iter().map(|load| load.at(time)).sum()
    }

    /// Times between which it rises or falls evenly, in order, until the run ends.
    fn bends(&self, end: f64) -> Vec<f64> {
        let mut bends: Vec<f64> = self.loads.iter().flat_map(Demand::bends).filter(|time| *time < end).collect();
        bends.push(end);
        bends.sort_by(f64::total_cmp);
        bends.dedup();
        bends
    }

    /// The most at a time, and when.
    pub(super) fn peak(&self, end: f64) -> (f64, f64) {
        let times = self.bends(end).into_iter().flat_map(|bend| [(bend - MOMENT).max(0.0), bend]);
        let most = times.map(|time| (self.at(time), time));
        most.fold((0.0, 0.0), |most, one| if one.0 > most.0 + MOMENT { one } else { most })
    }

    /// When, from `since` on, it first reaches a level, or with `beyond` first exceeds it.
    pub(super) fn reaches(&self, level: f64, beyond: bool, since: f64, end: f64) -> Option<f64> {
        // A level that is met exactly is not exceeded, whatever sums of fractions say.
        let level = if beyond { level + MOMENT } else { level - MOMENT };
        let mut from = since;
        for bend in self.bends(end).into_iter().filter(|bend| *bend > since) {
            let (first, last) = (self.at(from), self.at(bend - MOMENT));
            if first >= level {
                return Some(from);
            }
            if last >= level {
                return Some(from + (level - first) / (last - first) * (bend - from));
            }
            from = bend;
        }
        None
    }

    /// What it comes from at a time.
    pub(super) fn arithmetic(&self, time: f64) -> String {
        let parts: Vec<String> =
            self.loads.iter().filter(|load| load.at(time) > 0.0).map(|load| load.arithmetic(time)).collect();
        parts.join(" + ")
    }

    /// The load that has most of the connections at a time.
    pub(super) fn largest(&self, time: f64) -> Option<usize> {
        (0..self.loads.len()).max_by(|a, b| {
            let most = self.loads[*a].at(time).total_cmp(&self.loads[*b].at(time));
            most.then(b.cmp(a))
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const END: f64 = 1000.0;

    pub(in super::super) fn rate(rate: f64, start: f64, stop: f64, open: f64, after: f64) -> Demand {
        Demand { amount: Amount::Rate(rate), start, stop, open, after, state: "in TIME_WAIT" }
    }

    pub(in super::super) fn count(count: f64, start: f64, open: f64, after: f64) -> Demand {
        Demand { amount: Amount::Count(count), start, stop: END, open, after, state: "in TIME_WAIT" }
    }

    #[test]
    fn a_rate_rises_until_the_first_connection_lets_go_of_its_port() {
        let load = rate(10.0, 5.0, 100.0, 0.5, 30.0);
        assert_eq!(
            [4.0, 5.0, 6.0, 35.5, 50.0, 100.0, 130.5].map(|time| load.at(time)),
            [0.0, 0.0, 10.0, 305.0, 305.0, 305.0, 0.0]
        );
        let demands = Demands::new(vec![load]);
        assert_eq!(demands.peak(END).0.round(), 305.0);
        // 5 s + 64 ÷ 10/s.
        assert!((demands.reaches(64.0, true, 0.0, END).unwrap() - 11.4).abs() < 1e-3);
        assert_eq!(demands.reaches(305.0, true, 0.0, END), None, "305 ports are enough");
        assert!(demands.reaches(305.0, false, 0.0, END).is_some());
        assert_eq!(demands.arithmetic(50.0), "10/s × (0.5 s open + 30 s in TIME_WAIT)");
    }

    #[test]
    fn loads_that_do_not_meet_do_not_add_up() {
        let demands = Demands::new(vec![count(100.0, 0.0, 1.0, 30.0), count(25.0, 60.0, 1.0, 30.0)]);
        assert_eq!(demands.peak(END), (100.0, 0.0));
        assert_eq!(demands.arithmetic(0.0), "100");
        assert_eq!((demands.largest(0.0), demands.largest(60.0)), (Some(0), Some(1)));
        assert_eq!(demands.reaches(64.0, true, 0.0, END), Some(0.0));
        assert_eq!(demands.reaches(20.0, true, 31.0, END), Some(60.0));
        assert_eq!(demands.reaches(64.0, true, 31.0, END), None);
        let together = Demands::new(vec![count(100.0, 0.0, 1.0, 30.0), count(25.0, 20.0, 1.0, 30.0)]);
        assert_eq!(together.peak(END), (125.0, 20.0));
        assert_eq!(together.arithmetic(20.0), "100 + 25");
    }

    #[test]
    fn a_load_shorter_than_its_connections_last_is_all_of_it() {
        let demands = Demands::new(vec![rate(10.0, 0.0, 20.0, 0.5, 30.0)]);
        assert_eq!(demands.peak(END).0.round(), 200.0);
        assert_eq!(demands.arithmetic(25.0), "10/s × 20 s");
    }
}
