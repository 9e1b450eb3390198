//! What a link is doing: whom it lets pass when, and how much it has carried.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;

use super::rng;
use crate::time::SimTime;
use crate::topology::{Capacity, Link};

/// One direction of a link.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LinkState {
    /// When it is free again.
    busy_until: SimTime,
    /// When the last packet comes out: those after it do not overtake it.
    last_arrival: SimTime,
    bucket: Option<Bucket>,
    /// Bits carried so far.
    carried: u64,
    /// Its delay is this many times as long as usual, less one.
    slower: u8,
}

/// Credit of a link with two rates.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    bits: u64,
    /// When that was so.
    at: SimTime,
}

impl LinkState {
    /// When a packet that is put on the link now comes out; `None` when those before it take too long.
    pub(super) fn pass(&mut self, link: &Link, bytes: u32, now: SimTime, rng: &mut ChaCha8Rng) -> Option<SimTime> {
        let mut leaves = now;
        if let Some(capacity) = &link.capacity {
            let starts = self.busy_until.max(now);
            if starts.since(now) > capacity.queue {
                return None;
            }
            let bits = u64::from(bytes) * 8;
            leaves = starts + transmission(bits, self.rate(capacity, bits, starts)).max(capacity.packet_time);
            self.busy_until = leaves;
            self.carried += bits;
        }
        let mut delay = link.delay;
        if link.delay_p99 > 0 {
            delay = rng::log_normal_p99(rng, link.delay as f64, link.delay_p99 as f64) as u64;
        }
        let arrives = leaves + Duration::from_nanos(delay * (1 + u64::from(self.slower)));
        self.last_arrival = self.last_arrival.max(arrives);
        Some(self.last_arrival)
    }

    /// How fast a packet goes: at the burst rate as long as there is credit for all of it.
    fn rate(&mut self, capacity: &Capacity, bits: u64, starts: SimTime) -> u64 {
        if capacity.credit_bits == 0 {
            return capacity.burst_bits_per_second;
        }
        let bucket = self.bucket.get_or_insert(Bucket { bits: capacity.credit_bits, at: SimTime::ZERO });
        let idle = u128::from(starts.as_nanos() - bucket.at.as_nanos());
        let refilled = idle * u128::from(capacity.bits_per_second) / 1_000_000_000;
        // A packet at the sustained rate uses what comes in meanwhile: nothing is left over.
        let available = (u128::from(bucket.bits) + refilled).min(u128::from(capacity.credit_bits)) as u64;
        if available < bits {
            let takes = transmission(bits, capacity.bits_per_second);
            *bucket = Bucket { bits: available, at: starts + takes };
            return capacity.bits_per_second;
        }
        *bucket = Bucket { bits: available - bits, at: starts };
        capacity.burst_bits_per_second
    }

    /// Bits carried so far.
    pub(super) fn carried(&self) -> u64 {
        self.carried
    }

    /// From now on its delay is `factor` times what it is configured to be.
    pub(super) fn set_delay_factor(&mut self, factor: u8) {
        self.slower = factor.saturating_sub(1);
    }
}

fn transmission(bits: u64, bits_per_second: u64) -> Duration {
    Duration::from_nanos((u128::from(bits) * 1_000_000_000 / u128::from(bits_per_second)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::NodeId;
    use crate::trace::PortId;

    fn link(capacity: Capacity) -> Link {
        Link {
            to: NodeId(0),
            to_port: PortId(0),
            delay: 0,
            delay_p99: 0,
            loss: 0.0,
            capacity: Some(capacity),
            impaired: false,
        }
    }

    /// Bits carried in each second of a load of packets of 1,250 bytes at this rate.
    fn carried(capacity: Capacity, bits_per_second: u64, seconds: u64) -> Vec<u64> {
        let (link, mut state) = (link(capacity), LinkState::default());
        let mut rng = rng::stream(1, "test");
        let mut out = vec![0; seconds as usize + 1];
        let gap = 10_000 * 1_000_000_000 / bits_per_second;
        for number in 0..seconds * 1_000_000_000 / gap {
            if let Some(arrives) = state.pass(&link, 1_250, SimTime::from_nanos(number * gap), &mut rng) {
                out[(arrives.as_nanos() / 1_000_000_000) as usize] += 10_000;
            }
        }
        out.truncate(seconds as usize);
        out
    }

    #[test]
    fn credit_lasts_for_as_long_as_the_difference_of_the_rates_takes_to_use_it_up() {
        // 6 Mbps as long as there is credit of 5 Mbps for 3 s, then 1 Mbps.
        let queue = Duration::from_millis(50);
        let steady = Capacity::steady(1_000_000, queue);
        let capacity = Capacity { burst_bits_per_second: 6_000_000, credit_bits: 15_000_000, ..steady };
        let rates: Vec<_> = carried(capacity, 10_000_000, 6).iter().map(|bits| bits / 100_000).collect();
        // Tenths of a megabit. For the last packet of the third second there is no credit any more.
        assert_eq!(rates, [60, 60, 59, 10, 10, 10]);
    }

    #[test]
    fn small_packets_are_as_many_as_the_limit_on_packets_says() {
        // 1,000 packets a second, of which small ones take a tenth of the 10 Mbps.
        let steady = Capacity::steady(10_000_000, Duration::from_millis(50));
        let link = link(Capacity { packet_time: Duration::from_millis(1), ..steady });
        let mut rng = rng::stream(1, "test");
        let mut passed = |bytes: u32| {
            let mut state = LinkState::default();
            let arrivals = (0..5_000)
                .filter_map(|number| state.pass(&link, bytes, SimTime::from_nanos(number * 200_000), &mut rng));
            arrivals.filter(|at| *at <= SimTime::from_secs(1)).count()
        };
        // 12,500 bytes take 10 ms each.
        assert_eq!((passed(125), passed(12_500)), (1_000, 100));
    }

    #[test]
    fn credit_comes_back_when_less_than_the_sustained_rate_is_sent() {
        let queue = Duration::from_millis(50);
        let steady = Capacity::steady(1_000_000, queue);
        let capacity = Capacity { burst_bits_per_second: 6_000_000, credit_bits: 5_000_000, ..steady };
        let (link, mut state, mut rng) = (link(capacity), LinkState::default(), rng::stream(1, "test"));
        // Uses all credit in a second.
        for number in 0..600 {
            let now = SimTime::from_nanos(number * 10_000_000 / 6);
            state.pass(&link, 1_250, now, &mut rng).unwrap();
        }
        let slow = state.pass(&link, 1_250, SimTime::from_secs(1), &mut rng).unwrap();
        assert!(slow.since(SimTime::from_secs(1)) >= Duration::from_millis(10), "10,000 bits at 1 Mbps");
        // Two idle seconds are credit for two million bits.
        let later = SimTime::from_secs(4);
        let fast = state.pass(&link, 1_250, later, &mut rng).unwrap();
        assert!(fast.since(later) < Duration::from_millis(2), "10,000 bits at 6 Mbps");
    }

    #[test]
    fn a_delay_that_varies_keeps_the_order_and_has_its_median() {
        let mut link = link(Capacity::steady(1_000_000_000, Duration::ZERO));
        (link.capacity, link.delay, link.delay_p99) = (None, 1_000_000, 5_000_000);
        let (mut state, mut rng) = (LinkState::default(), rng::stream(1, "test"));
        let mut last = SimTime::ZERO;
        let mut delays = Vec::new();
        for number in 0..2001 {
            // Far apart, so that no packet waits for another.
            let now = SimTime::from_secs(number);
            let arrives = state.pass(&link, 100, now, &mut rng).unwrap();
            assert!(arrives >= last);
            last = arrives;
            delays.push(arrives.since(now));
        }
        delays.sort();
        let (median, p99) = (delays[1000].as_secs_f64() * 1e3, delays[1980].as_secs_f64() * 1e3);
        assert!((0.95..1.05).contains(&median) && (4.0..6.0).contains(&p99), "{median} ms, {p99} ms");
        // At once, those behind wait for those before them.
        let now = SimTime::from_secs(5000);
        let burst: Vec<_> = (0..50).map(|_| state.pass(&link, 100, now, &mut rng).unwrap()).collect();
        assert!(burst.is_sorted());
    }
}
