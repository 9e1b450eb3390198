//! What an impaired link does to packets: the state of its queue and its bursts, and its dice.
//!
//! A packet enters it, then passes the link as it would without, then leaves it. Each thing that can happen has a stream
//! of random numbers of its own, named after the two stations and the thing: no impairment changes what another one, or
//! another link, does to which packet.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;

use super::rng;
use crate::time::{SimTime, nanos};
use crate::topology::{Bandwidth, BurstLoss, Distribution, Impairments, Jitter, Mtu, QueueLimit};
use crate::trace::DropCause;
use crate::wire::Packet;

/// One impaired direction of a link.
#[derive(Debug)]
pub(super) struct Impaired {
    impairments: Impairments,
    /// When the queue has sent all that it was given.
    busy_until: SimTime,
    /// When the last packet that kept its place arrives: those after it do not overtake it.
    last_arrival: SimTime,
    /// In the bad state; not known before the first packet.
    in_burst: Option<bool>,
    loss: ChaCha8Rng,
    bursts: ChaCha8Rng,
    jitter: ChaCha8Rng,
    reorder: ChaCha8Rng,
    duplicate: ChaCha8Rng,
}

/// What becomes of a packet that enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// It goes on the link then.
    Passes(SimTime),
    /// It is dropped.
    Drops(DropCause),
    /// It is dropped for its size.
    TooBig(Mtu),
}

/// How a packet leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exit {
    /// When it arrives.
    pub(super) arrives: SimTime,
    /// It does so twice.
    pub(super) twice: bool,
}

impl Impaired {
    /// A link between two stations, not impaired yet.
    pub(super) fn new(seed: u64, from: &str, to: &str) -> Impaired {
        let stream = |purpose: &str| rng::stream(seed, &format!("{purpose} from {from} to {to}"));
        Impaired {
            impairments: Impairments::default(),
            busy_until: SimTime::ZERO,
            last_arrival: SimTime::ZERO,
            in_burst: None,
            loss: stream("loss"),
            bursts: stream("burst loss"),
            jitter: stream("jitter"),
            reorder: stream("reordering"),
            duplicate: stream("duplication"),
        }
    }

    /// From now on it is like this. What is under way stays so.
    pub(super) fn set(&mut self, impairments: Impairments) {
        if self.impairments.burst_loss != impairments.burst_loss {
            self.in_burst = None;
        }
        self.impairments = impairments;
    }

    /// A packet comes.
    pub(super) fn enter(&mut self, packet: &Packet, now: SimTime) -> Entry {
        let Impairments { down, loss, burst_loss, bandwidth, mtu, .. } = self.impairments;
        if down {
            return Entry::Drops(DropCause::SimLinkDown);
        }
        if let Some(mtu) = mtu
            && packet.wire_length() > u32::from(mtu.bytes)
            && !packet.may_be_fragmented()
        {
            return Entry::TooBig(mtu);
        }
        if happens(&mut self.loss, loss) || burst_loss.is_some_and(|bursts| self.is_in_burst(bursts)) {
            return Entry::Drops(DropCause::SimLinkLoss);
        }
        match bandwidth {
            Some(bandwidth) => self.queue(bandwidth, u64::from(packet.wire_length()), now),
            None => Entry::Passes(now),
        }
    }

    /// One more packet meets the good state or the bad one. Which one the first of all meets is left to chance, too, as it is
    /// in the long run.
    fn is_in_burst(&mut self, bursts: BurstLoss) -> bool {
        let in_burst = match self.in_burst {
            None => happens(&mut self.bursts, bursts.rate),
            Some(true) => !happens(&mut self.bursts, bursts.ends()),
            Some(false) => happens(&mut self.bursts, bursts.begins()),
        };
        self.in_burst = Some(in_burst);
        in_burst
    }

    /// Drop-tail.
    fn queue(&mut self, bandwidth: Bandwidth, bytes: u64, now: SimTime) -> Entry {
        let Bandwidth { bits_per_second, queue } = bandwidth;
        let starts = self.busy_until.max(now);
        let waits = starts.since(now);
        let full = match queue {
            QueueLimit::Time(longest) => waits > longest,
            QueueLimit::Bytes(most) => {
                let waiting = waits.as_nanos() * u128::from(bits_per_second) / 8_000_000_000;
                !waits.is_zero() && waiting + u128::from(bytes) > u128::from(most)
            }
        };
        if full {
            return Entry::Drops(DropCause::SimThroughputExceeded);
        }
        let takes = u128::from(bytes) * 8_000_000_000 / u128::from(bits_per_second);
        self.busy_until = starts + Duration::from_nanos(u64::try_from(takes).unwrap_or(u64::MAX));
        Entry::Passes(self.busy_until)
    }

    /// A packet that went on the link at `sent` is to arrive then, as far as the link itself is concerned.
    pub(super) fn leave(&mut self, sent: SimTime, arrives: SimTime) -> Exit {
        let Impairments { delay, jitter, reorder, duplicate, .. } = self.impairments;
        let mut arrives = arrives + delay;
        if let Some(jitter) = jitter {
            let varied = arrives.as_nanos() as i128 + i128::from(varies(&mut self.jitter, jitter));
            arrives = SimTime::from_nanos(u64::try_from(varied).unwrap_or(0)).max(sent);
        }
        let twice = happens(&mut self.duplicate, duplicate);
        if let Some(reorder) = reorder
            && happens(&mut self.reorder, reorder.share)
        {
            // Those behind do not wait for it.
            return Exit { arrives: arrives.max(self.last_arrival) + reorder.delay, twice };
        }
        self.last_arrival = self.last_arrival.max(arrives);
        Exit { arrives: self.last_arrival, twice }
    }
}

/// Nothing is drawn for what never happens.
fn happens(rng: &mut ChaCha8Rng, probability: f64) -> bool {
    probability > 0.0 && rng::unit(rng) <= probability
}

/// By how many nanoseconds a delay differs from what it is without jitter.
fn varies(rng: &mut ChaCha8Rng, jitter: Jitter) -> i64 {
    let spread = nanos(jitter.spread) as f64;
    let by = match jitter.distribution {
        Distribution::Normal => rng::normal(rng) * spread,
        Distribution::Uniform => (2.0 * rng::unit(rng) - 1.0) * spread,
        Distribution::Exponential => rng::exponential(rng, spread),
    };
    by as i64
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::topology::Reorder;
    use crate::wire::{FiveTuple, Protocol};

    fn link(impairments: Impairments) -> Impaired {
        let mut link = Impaired::new(1, "a", "b");
        link.set(impairments);
        link
    }

    /// A datagram of so many bytes, the headers of 28 included.
    fn packet(bytes: u16) -> Packet {
        let (src, dst) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 7));
        let mut packet = Packet::empty();
        packet.build_udp(FiveTuple { src, dst, src_port: 1, dst_port: 2, protocol: Protocol::Udp }, bytes - 28);
        packet
    }

    const MS: Duration = Duration::from_millis(1);

    fn at(ms: u64) -> SimTime {
        SimTime::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn bursts_come_to_the_rate_and_have_the_length() {
        let mut link = link(Impairments {
            burst_loss: Some(BurstLoss { rate: 0.02, mean_length: 8.0 }),
            ..Impairments::default()
        });
        let packet = packet(100);
        let lost: Vec<bool> =
            (0..400_000).map(|_| link.enter(&packet, SimTime::ZERO) == Entry::Drops(DropCause::SimLinkLoss)).collect();
        let count = lost.iter().filter(|lost| **lost).count();
        let bursts = 1 + lost.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        // 8,000 lost in 1,000 bursts: five standard deviations of a sum of geometric ones are 16 %.
        assert!((6_700..9_300).contains(&count), "{count} lost");
        let length = count as f64 / bursts as f64;
        assert!((6.7..9.3).contains(&length), "{length} on average");
    }

    #[test]
    fn a_queue_of_time_and_one_of_bytes_hold_what_they_say() {
        // 1,000 bytes at 8 Mbps take 1 ms. A queue of 3 ms takes the one that is sent and three that wait.
        let queued = |queue| {
            let bandwidth = Some(Bandwidth { bits_per_second: 8_000_000, queue });
            let mut link = link(Impairments { bandwidth, ..Impairments::default() });
            (0..6).map(|_| link.enter(&packet(1000), at(5))).collect::<Vec<_>>()
        };
        let full = Entry::Drops(DropCause::SimThroughputExceeded);
        let passes = |ms| Entry::Passes(at(ms));
        assert_eq!(queued(QueueLimit::Time(3 * MS)), [passes(6), passes(7), passes(8), passes(9), full, full]);
        // 3,500 bytes are three packets, the one that is being sent included; the second comes before any of it is sent.
        assert_eq!(queued(QueueLimit::Bytes(3_500)), [passes(6), passes(7), passes(8), full, full, full]);
        // Less than one packet: only what finds nothing waiting is taken.
        assert_eq!(queued(QueueLimit::Bytes(0))[..2], [passes(6), full]);
    }

    #[test]
    fn a_queue_empties_at_its_rate() {
        let bandwidth = Some(Bandwidth { bits_per_second: 8_000_000, queue: QueueLimit::Bytes(2_000) });
        let mut link = link(Impairments { bandwidth, ..Impairments::default() });
        assert_eq!(link.enter(&packet(1000), at(0)), Entry::Passes(at(1)));
        assert_eq!(link.enter(&packet(1000), at(0)), Entry::Passes(at(2)));
        assert_eq!(link.enter(&packet(1000), at(0)), Entry::Drops(DropCause::SimThroughputExceeded));
        assert_eq!(link.enter(&packet(1000), at(1)), Entry::Passes(at(3)));
        assert_eq!(link.enter(&packet(1000), at(10)), Entry::Passes(at(11)));
    }

    #[test]
    fn jitter_has_its_spread_and_keeps_the_order() {
        for (distribution, mean, deviation) in [
            (Distribution::Normal, 20.0, 3.0),
            // The standard deviation of a uniform distribution over 6 ms is 6 / √12.
            (Distribution::Uniform, 20.0, 1.732),
            (Distribution::Exponential, 23.0, 3.0),
        ] {
            let jitter = Some(Jitter { spread: 3 * MS, distribution });
            let mut alone = link(Impairments { jitter, ..Impairments::default() });
            // Far apart, so that no packet waits for another.
            let delays: Vec<f64> = (0..20_000)
                .map(|number| alone.leave(at(number * 1000), at(number * 1000 + 20)).arrives - at(number * 1000))
                .map(|delay| delay.as_secs_f64() * 1e3)
                .collect();
            let found = delays.iter().sum::<f64>() / delays.len() as f64;
            let variance = delays.iter().map(|delay| (delay - found).powi(2)).sum::<f64>() / delays.len() as f64;
            assert!((found - mean).abs() < 0.1, "{distribution:?}: mean {found} ms");
            assert!((variance.sqrt() - deviation).abs() < 0.1, "{distribution:?}: {} ms", variance.sqrt());
            let mut together = link(Impairments { jitter, ..Impairments::default() });
            let arrivals: Vec<_> = (0..500).map(|ms| together.leave(at(ms), at(ms + 20)).arrives).collect();
            assert!(arrivals.is_sorted(), "{distribution:?}");
        }
    }

    #[test]
    fn nothing_arrives_before_it_is_sent() {
        let jitter = Some(Jitter { spread: 50 * MS, distribution: Distribution::Normal });
        let mut link = link(Impairments { jitter, ..Impairments::default() });
        for ms in 0..1000 {
            assert!(link.leave(at(ms), at(ms + 1)).arrives >= at(ms));
        }
    }

    #[test]
    fn held_back_packets_are_overtaken_and_the_others_keep_their_order() {
        let reorder = Some(Reorder { share: 0.1, delay: 10 * MS });
        let mut link = link(Impairments { reorder, ..Impairments::default() });
        let arrivals: Vec<_> = (0..10_000).map(|ms| link.leave(at(ms), at(ms + 5)).arrives).collect();
        let late: Vec<usize> = (0..10_000).filter(|number| arrivals[*number] == at(*number as u64 + 15)).collect();
        assert!((900..1100).contains(&late.len()), "{}", late.len());
        let others = arrivals.iter().enumerate().filter(|(number, _)| !late.contains(number));
        assert!(others.clone().all(|(number, arrives)| *arrives == at(number as u64 + 5)));
    }

    #[test]
    fn too_big_is_what_may_not_be_taken_to_pieces() {
        let mtu = Mtu { bytes: 1000, silent: false };
        let mut link = link(Impairments { mtu: Some(mtu), ..Impairments::default() });
        assert_eq!(link.enter(&packet(1000), at(0)), Entry::Passes(at(0)));
        assert_eq!(link.enter(&packet(1001), at(0)), Entry::TooBig(mtu));
        let mut bytes = packet(1001).bytes().to_vec();
        bytes[6] = 0; // Without "don't fragment".
        assert_eq!(link.enter(&Packet::parse(&bytes).expect("sound"), at(0)), Entry::Passes(at(0)));
    }

    #[test]
    fn one_impairment_draws_nothing_away_from_another() {
        let lost = |impairments: Impairments| {
            let mut link = link(impairments);
            (0..1000).map(|_| link.enter(&packet(100), at(0)) != Entry::Passes(at(0))).collect::<Vec<_>>()
        };
        let plain = Impairments { loss: 0.2, ..Impairments::default() };
        let jitter = Some(Jitter { spread: MS, distribution: Distribution::Normal });
        assert_eq!(lost(plain), lost(Impairments { jitter, duplicate: 0.5, ..plain }));
    }

    #[test]
    fn what_is_down_lets_nothing_pass_and_draws_nothing() {
        let mut link = link(Impairments { down: true, loss: 0.5, ..Impairments::default() });
        for _ in 0..10 {
            assert_eq!(link.enter(&packet(100), at(0)), Entry::Drops(DropCause::SimLinkDown));
        }
        let up = Impairments { loss: 0.5, ..Impairments::default() };
        link.set(up);
        let mut fresh = Impaired::new(1, "a", "b");
        fresh.set(up);
        for _ in 0..100 {
            assert_eq!(link.enter(&packet(100), at(0)), fresh.enter(&packet(100), at(0)));
        }
    }
}
