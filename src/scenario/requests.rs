//! Requests of a load: what the clients in the instances do for each.

use std::time::Duration;

use super::{Destination, Traffic};

/// What a request is.
#[derive(Debug, Clone, PartialEq)]
pub struct Requests {
    /// How long the instance works before it calls.
    pub processing: Duration,
    /// Calls, one after the other.
    pub calls: u32,
    /// How long the server thinks before it responds.
    pub think_time: Duration,
    /// How long a client waits for a call.
    pub timeout: Option<Duration>,
    /// What becomes of a call that failed.
    pub retries: RetryPolicy,
    /// Connections that are kept.
    pub pool: Option<Pool>,
    /// Who is asked before a connection.
    pub dns: Option<Dns>,
}

/// How calls that failed are tried again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Attempts in all.
    pub max_attempts: u32,
    /// The first wait.
    pub initial_backoff: Duration,
    /// The longest.
    pub max_backoff: Duration,
    /// How much longer each is than the one before.
    pub multiplier: f64,
    /// It is a random time up to that.
    pub jitter: bool,
}

impl RetryPolicy {
    /// One attempt.
    pub const NONE: RetryPolicy = RetryPolicy {
        max_attempts: 1,
        initial_backoff: Duration::ZERO,
        max_backoff: Duration::ZERO,
        multiplier: 1.0,
        jitter: false,
    };

    /// How long to wait, at most, after so many attempts.
    pub fn backoff(&self, attempts: u32) -> Duration {
        if self.initial_backoff.is_zero() {
            return Duration::ZERO; // However often nothing is multiplied, and with infinity, too.
        }
        let factor = self.multiplier.powi(attempts.saturating_sub(1).min(1000) as i32);
        let seconds = (self.initial_backoff.as_secs_f64() * factor).min(self.max_backoff.as_secs_f64());
        Duration::from_secs_f64(seconds)
    }
}

impl Traffic {
    /// How long a client tries to connect, with all its retries, on average.
    pub fn patience(&self) -> Duration {
        let Some(requests) = &self.requests else { return self.connect_timeout };
        let each = requests.timeout.map_or(self.connect_timeout, |timeout| timeout.min(self.connect_timeout));
        let policy = &requests.retries;
        let waits: Duration = (1..policy.max_attempts).map(|attempts| policy.backoff(attempts)).sum();
        each * policy.max_attempts + if policy.jitter { waits / 2 } else { waits }
    }
}

/// Connections that an instance keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// How many at most.
    pub size: u32,
    /// When a free one is closed.
    pub idle_timeout: Option<Duration>,
    /// At which age one is no longer used.
    pub max_age: Option<Duration>,
}

/// A name server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dns {
    /// Its address.
    pub server: Destination,
    /// Its port.
    pub port: u16,
    /// How long an answer counts.
    pub ttl: Duration,
}

/// Clients in each instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    /// How many.
    pub per_instance: u32,
    /// How long each waits between its requests.
    pub pause: Duration,
    /// How many requests each has.
    pub requests: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backoff_grows_by_its_factor_up_to_its_limit() {
        let policy = RetryPolicy {
            max_attempts: 10,
            initial_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(1),
            multiplier: 2.0,
            jitter: true,
        };
        let waits: Vec<_> = [1, 2, 3, 4, 5, 4_000_000_000].map(|n| policy.backoff(n).as_millis()).into();
        assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
        let none = RetryPolicy { initial_backoff: Duration::ZERO, multiplier: 1000.0, ..policy };
        assert_eq!(none.backoff(1000), Duration::ZERO);
    }
}
