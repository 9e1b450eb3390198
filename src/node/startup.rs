//! The way out of an instance that has just started: when it opens, and to what.
//!
//! Google says that the first connections of a Direct VPC instance may take a minute or more, and why is not known. A way is
//! closed until a time, and open from then on: to everything at once, or to each destination at a time of its own. The
//! latter has no state: the time follows from a seed and the destination.

use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::time::Duration;

use foldhash::quality::FixedState;

use crate::distribution;
use crate::time::SimTime;
use crate::wire::FiveTuple;

/// When the way of an instance opens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Opening {
    /// To everything at once.
    At(SimTime),
    /// To each destination by itself.
    Each(Spread),
}

/// Times that are spread log-normally.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The instance's start.
    pub from: SimTime,
    /// Decides which destination opens when.
    pub seed: u64,
    /// Median of the time after the start.
    pub median: Duration,
    /// Its 90th percentile.
    pub p90: Duration,
    /// The longest.
    pub max: Duration,
}

impl Opening {
    /// It has always been open.
    pub const OPEN: Opening = Opening::At(SimTime::ZERO);

    /// When the way to a destination opens.
    #[inline]
    pub fn to(&self, destination: impl Into<IpAddr>) -> SimTime {
        match self {
            Opening::At(time) => *time,
            Opening::Each(spread) => spread.of(destination.into()),
        }
    }
}

impl Spread {
    fn of(&self, destination: IpAddr) -> SimTime {
        if self.median.is_zero() {
            return self.from;
        }
        let draw = |number: u8| unit(self.seed, (destination, number));
        let normal = distribution::normal(draw(0), draw(1));
        let takes = distribution::log_normal(normal, self.median.as_secs_f64(), self.p90.as_secs_f64());
        self.from + Duration::from_secs_f64(takes.min(self.max.as_secs_f64()))
    }
}

/// Uniform in (0, 1], the same for the same key.
fn unit(seed: u64, key: impl Hash) -> f64 {
    distribution::unit(FixedState::with_seed(seed).hash_one(key))
}

/// Private Google Access does not answer some connections of a new instance. One report of 2026 saw 32 SYN packets in 27 s go
/// to a Google API address, and none come back, while others of the same instance were answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stall {
    /// The instance's start.
    pub from: SimTime,
    /// Decides which connections are hit, and for how long.
    pub seed: u64,
    /// Share of connections that are hit.
    pub share: f64,
    /// Shortest time after the start.
    pub shortest: Duration,
    /// Longest time after the start.
    pub longest: Duration,
}

impl Stall {
    /// When the packets of a connection are answered; `None` if it is not hit.
    pub fn until(&self, flow: &FiveTuple) -> Option<SimTime> {
        let draw = |number: u8| unit(self.seed, (flow.key(), number));
        let takes = self.shortest + (self.longest - self.shortest).mul_f64(draw(1));
        (draw(0) <= self.share).then_some(self.from + takes)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::wire::Protocol;

    const START: SimTime = SimTime::from_secs(100);

    fn spread(seed: u64) -> Spread {
        let seconds = Duration::from_secs;
        Spread { from: START, seed, median: seconds(20), p90: seconds(36), max: seconds(80) }
    }

    #[test]
    fn each_destination_opens_at_its_own_time_and_always_at_the_same() {
        let opening = Opening::Each(spread(7));
        let addresses = (0..20_001u32).map(|host| Ipv4Addr::from(0x0a00_0000 + host));
        let mut times: Vec<_> = addresses.clone().map(|address| opening.to(address)).collect();
        assert_eq!(times, addresses.map(|address| opening.to(address)).collect::<Vec<_>>());
        times.sort();
        let after = |time: SimTime| (time - START).as_secs_f64();
        let (median, p90) = (after(times[10_000]), after(times[18_000]));
        assert!((median - 20.0).abs() < 0.5 && (p90 - 36.0).abs() < 1.5, "{median} {p90}");
        assert_eq!(after(times[20_000]), 80.0, "the tail ends there");
        assert_ne!(opening.to(Ipv4Addr::LOCALHOST), Opening::Each(spread(8)).to(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn a_way_that_opens_at_once_knows_no_destinations() {
        assert_eq!(Opening::At(START).to(Ipv4Addr::LOCALHOST), START);
        assert_eq!(Opening::OPEN.to(Ipv4Addr::LOCALHOST), SimTime::ZERO);
    }

    #[test]
    fn a_stall_hits_its_share_of_connections_for_its_time() {
        let (shortest, longest) = (Duration::from_secs(20), Duration::from_secs(60));
        let stall = Stall { from: START, seed: 7, share: 0.25, shortest, longest };
        let flow = |port| FiveTuple {
            src: Ipv4Addr::new(10, 9, 0, 16),
            dst: Ipv4Addr::new(142, 250, 4, 128),
            src_port: port,
            dst_port: 443,
            protocol: Protocol::Tcp,
        };
        let hit: Vec<_> = (0..10_000).filter_map(|port| stall.until(&flow(port))).collect();
        assert!((2_350..2_650).contains(&hit.len()), "{}", hit.len());
        assert!(hit.iter().all(|until| (START + shortest..=START + longest).contains(until)));
        let none = Stall { share: 0.0, ..stall };
        assert!((0..10_000).all(|port| none.until(&flow(port)).is_none()));
    }
}
