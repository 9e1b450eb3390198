//! How a server behaves, asked by whoever plays it: does it accept, does it respond, when does it close a connection that
//! nobody uses, does it reset this one?
//!
//! It knows no packets and no clock: times go in, times come out. Which connections are reset is decided when they are
//! accepted, by a stream of random numbers for each host, so that two transports that accept the same connections in the
//! same order reset the same ones.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;

use crate::scenario::{ServerClose, ServerSettings};
use crate::sim::rng;
use crate::time::SimTime;

/// The server of one host.
#[derive(Debug)]
pub struct ServerBehaviour {
    settings: ServerSettings,
    resets: ChaCha8Rng,
}

/// A connection that a server has accepted, as far as its endings are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// When it will be reset.
    reset_at: SimTime,
}

impl Accepted {
    /// One that is not reset.
    pub const FOR_GOOD: Accepted = Accepted { reset_at: SimTime::NEVER };
}

impl ServerBehaviour {
    /// The server of a host of this name.
    pub fn new(settings: ServerSettings, seed: u64, host: &str) -> ServerBehaviour {
        ServerBehaviour { settings, resets: rng::stream(seed, &format!("resets by {host}")) }
    }

    /// From now on it behaves like this. Connections that it has accepted keep the time of their reset.
    pub fn set(&mut self, settings: ServerSettings) {
        self.settings = settings;
    }

    /// Whether it accepts connections and takes datagrams. A station has answered for it where it does not.
    pub fn accepts(&self) -> bool {
        !self.settings.refuse
    }

    /// It accepts a connection.
    pub fn accept(&mut self, now: SimTime) -> Accepted {
        let reset = self.settings.reset.filter(|reset| reset.share > 0.0);
        let reset_at = match reset {
            Some(reset) if rng::unit(&mut self.resets) <= reset.share => now + reset.after,
            _ => SimTime::NEVER,
        };
        Accepted { reset_at }
    }

    /// When it responds to a request that was complete at `now` and takes `think` to answer; `None` is never.
    pub fn responds_at(&self, now: SimTime, think: Duration) -> Option<SimTime> {
        (!self.settings.hang).then(|| now + think)
    }

    /// When it ends a connection of its own accord, and how, if no packet comes or goes after `last_activity`. To be asked
    /// again then, for packets may have come, and settings changed.
    pub fn ends_at(&self, connection: Accepted, last_activity: SimTime) -> Option<(SimTime, ServerClose)> {
        let reset = (connection.reset_at < SimTime::NEVER).then_some((connection.reset_at, ServerClose::Rst));
        let idle = self.settings.idle.map(|idle| (last_activity + idle.after, idle.with));
        // At the same instant it is reset.
        reset.into_iter().chain(idle).min_by_key(|(at, _)| *at)
    }

    /// What it does with a connection now: the question of [`ServerBehaviour::ends_at`], when its time has come.
    pub fn ends_now(&self, connection: Accepted, last_activity: SimTime, now: SimTime) -> Option<ServerClose> {
        self.ends_at(connection, last_activity).filter(|(at, _)| *at <= now).map(|(_, ending)| ending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{IdleClose, ServerReset};

    const NOW: SimTime = SimTime::from_secs(100);

    fn server(settings: ServerSettings) -> ServerBehaviour {
        ServerBehaviour::new(settings, 1, "partner")
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_server_that_serves_responds_and_leaves_connections_open() {
        let mut server = server(ServerSettings::default());
        assert!(server.accepts());
        assert_eq!(server.responds_at(NOW, seconds(2)), Some(SimTime::from_secs(102)));
        let connection = server.accept(NOW);
        assert_eq!(server.ends_at(connection, NOW), None);
    }

    #[test]
    fn one_that_hangs_accepts_and_one_that_refuses_does_not() {
        let hangs = server(ServerSettings { hang: true, ..ServerSettings::default() });
        assert!(hangs.accepts());
        assert_eq!(hangs.responds_at(NOW, Duration::ZERO), None);
        assert!(!server(ServerSettings { refuse: true, ..ServerSettings::default() }).accepts());
    }

    #[test]
    fn an_idle_connection_is_closed_as_it_says_and_a_used_one_is_not() {
        for with in [ServerClose::Fin, ServerClose::Rst] {
            let idle = Some(IdleClose { after: seconds(60), with });
            let mut server = server(ServerSettings { idle, ..ServerSettings::default() });
            let connection = server.accept(NOW);
            assert_eq!(server.ends_at(connection, NOW), Some((SimTime::from_secs(160), with)));
            // A packet at 130 s: at 160 s it goes on, at 190 s it ends.
            let used = SimTime::from_secs(130);
            assert_eq!(server.ends_now(connection, used, SimTime::from_secs(160)), None);
            assert_eq!(server.ends_now(connection, used, SimTime::from_secs(190)), Some(with));
        }
    }

    #[test]
    fn a_share_of_the_connections_is_reset_the_same_ones_every_time() {
        let reset = Some(ServerReset { share: 0.1, after: seconds(5) });
        let settings = ServerSettings { reset, ..ServerSettings::default() };
        let resets = || {
            let mut server = server(settings);
            let endings = (0..10_000).map(|_| {
                let connection = server.accept(NOW);
                server.ends_at(connection, NOW)
            });
            endings.collect::<Vec<_>>()
        };
        let reset: Vec<_> = resets().into_iter().flatten().collect();
        // 1,000, with a standard deviation of 30.
        assert!((850..1150).contains(&reset.len()), "{}", reset.len());
        assert!(reset.iter().all(|ending| *ending == (SimTime::from_secs(105), ServerClose::Rst)));
        assert_eq!(resets(), resets());
        let mut other = ServerBehaviour::new(settings, 1, "another");
        let others: Vec<_> = (0..10_000).map(|_| other.accept(NOW)).collect();
        let others: Vec<_> = others.into_iter().map(|connection| other.ends_at(connection, NOW)).collect();
        assert_ne!(resets(), others);
    }

    #[test]
    fn the_reset_comes_though_the_connection_is_used_and_idleness_may_come_first() {
        let idle = Some(IdleClose { after: seconds(3), with: ServerClose::Fin });
        let reset = Some(ServerReset { share: 1.0, after: seconds(5) });
        let mut server = server(ServerSettings { idle, reset, ..ServerSettings::default() });
        let connection = server.accept(NOW);
        assert_eq!(server.ends_at(connection, NOW), Some((SimTime::from_secs(103), ServerClose::Fin)));
        let used = SimTime::from_secs(104);
        assert_eq!(server.ends_at(connection, used), Some((SimTime::from_secs(105), ServerClose::Rst)));
        // At the same instant.
        assert_eq!(
            server.ends_at(connection, SimTime::from_secs(102)),
            Some((SimTime::from_secs(105), ServerClose::Rst))
        );
    }

    #[test]
    fn new_settings_count_at_once_but_for_resets_of_what_was_accepted() {
        let mut server = server(ServerSettings::default());
        let before = server.accept(NOW);
        let reset = Some(ServerReset { share: 1.0, after: Duration::ZERO });
        server.set(ServerSettings { hang: true, reset, ..ServerSettings::default() });
        assert_eq!(server.responds_at(NOW, Duration::ZERO), None);
        assert_eq!(server.ends_at(before, NOW), None);
        let after = server.accept(NOW);
        assert_eq!(server.ends_now(after, NOW, NOW), Some(ServerClose::Rst));
    }
}
