//! What can go wrong on a link beyond its own delay, loss and capacity: the figures, in one direction. What they do to
//! packets is the engine's business.

use std::time::Duration;

/// What is wrong with one direction of a link. The default is nothing.
///
/// It comes on top of what the link itself is like: a packet first passes the impairments' queue, then the link, and is
/// then delayed, held back or doubled.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Impairments {
    /// Nothing passes.
    pub down: bool,
    /// Added to the link's own delay.
    pub delay: Duration,
    /// How the delay varies. Packets keep their order.
    pub jitter: Option<Jitter>,
    /// Probability that a packet is lost, each by itself.
    pub loss: f64,
    /// Losses in bursts.
    pub burst_loss: Option<BurstLoss>,
    /// Packets that others overtake.
    pub reorder: Option<Reorder>,
    /// Probability that a packet arrives twice.
    pub duplicate: f64,
    /// How fast it is.
    pub bandwidth: Option<Bandwidth>,
    /// The largest packet that it takes.
    pub mtu: Option<Mtu>,
}

/// How a delay varies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jitter {
    /// By how much: what that means depends on the distribution.
    pub spread: Duration,
    /// How it is distributed.
    pub distribution: Distribution,
}

/// A distribution of delays. What would arrive before it was sent arrives when it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Distribution {
    /// Around the delay, with the spread as standard deviation.
    #[default]
    Normal,
    /// From the delay less the spread to the delay and the spread, all alike.
    Uniform,
    /// Never below the delay, and above it by the spread on average, as behind queues.
    Exponential,
}

/// Losses in bursts: the model of Gilbert (1960), in which packets meet a good state, which loses none, or a bad one, which
/// loses all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BurstLoss {
    /// Share of packets that are lost, in the long run.
    pub rate: f64,
    /// Packets of a burst, on average; 1 or more.
    pub mean_length: f64,
}

impl BurstLoss {
    /// Probability to leave the bad state with a packet: bursts are geometric, so that its inverse is their mean length.
    pub fn ends(self) -> f64 {
        1.0 / self.mean_length
    }

    /// Probability to enter the bad state with a packet. In the long run, the share of the bad state is
    /// `begins / (begins + ends)`, which is to be the rate. At 1 % and 5 packets: 0.2 · 0.01 / 0.99 = 0.00202, one burst in
    /// 495 good packets.
    pub fn begins(self) -> f64 {
        self.ends() * self.rate / (1.0 - self.rate)
    }
}

/// Packets that others overtake.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reorder {
    /// Probability that a packet is held back.
    pub share: f64,
    /// For how long.
    pub delay: Duration,
}

/// How fast a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bandwidth {
    /// Bits a second, the IP header counted and nothing below it.
    pub bits_per_second: u64,
    /// What waits for its turn at most; what comes then is dropped.
    pub queue: QueueLimit,
}

/// The length of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueLimit {
    /// A packet waits at most so long.
    Time(Duration),
    /// So many bytes wait at most, what is being sent counted in. A packet that finds nothing waiting is always taken.
    Bytes(u64),
}

/// The largest packet that a link takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mtu {
    /// Its bytes, the IP header counted.
    pub bytes: u16,
    /// Nobody tells the sender of a larger one.
    pub silent: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_have_the_rate_and_the_length_that_they_are_given() {
        let bursts = BurstLoss { rate: 0.01, mean_length: 5.0 };
        assert!((bursts.ends() - 0.2).abs() < 1e-12);
        assert!((bursts.begins() - 0.2 / 99.0).abs() < 1e-12);
        assert!((bursts.begins() / (bursts.begins() + bursts.ends()) - 0.01).abs() < 1e-12);
    }
}
