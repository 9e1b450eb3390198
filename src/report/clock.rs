//! Times as the outputs write them: calendar instants for logs and metrics, spans for the summary.
//!
//! A simulated run has no date. Google's formats want one, so the run's time 0 is pinned to a fixed instant, or to
//! the first packet's when a capture is replayed. Nothing here reads a clock.

use std::fmt::Display;
use std::time::Duration;

/// 2026-10-01T00:00:00Z as a Unix time: the first midnight after new gateways everywhere got the 30 s TIME_WAIT that
/// the model assumes by default.
const DEFAULT_START: Duration = Duration::from_secs(1_790_812_800);

/// 9999-12-31T23:59:59.999999999Z, the last instant RFC 3339 can write. A damaged capture may claim a later one.
const LAST_INSTANT: Duration = Duration::new(253_402_300_799, 999_999_999);

/// Turns time since the start of the run into calendar time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallClock {
    start: Duration,
}

impl Default for WallClock {
    /// Time 0 is 2026-10-01T00:00:00Z.
    fn default() -> Self {
        WallClock { start: DEFAULT_START }
    }
}

impl WallClock {
    /// Time 0 is this long after the Unix epoch: a capture's first timestamp.
    pub fn starting_at(since_unix_epoch: Duration) -> Self {
        WallClock { start: since_unix_epoch }
    }

    /// RFC 3339 with nine decimals, as log entries have it. Instants after the year 9999 are shown as its last.
    pub fn nanos(self, since_start: Duration) -> impl Display {
        humantime::format_rfc3339_nanos(self.instant(since_start))
    }

    /// RFC 3339 with only the decimals it takes, as the points of a time series have it.
    pub fn shortest(self, since_start: Duration) -> impl Display {
        humantime::format_rfc3339(self.instant(since_start))
    }

    fn instant(self, since_start: Duration) -> std::time::SystemTime {
        let since_epoch = self.start.saturating_add(since_start).min(LAST_INSTANT);
        std::time::UNIX_EPOCH + since_epoch
    }
}

/// A time or span of the run as the summary writes it: seconds with exactly one decimal, rounded half up, whatever the
/// size (`0.0s`, `12.4s`, `31.0s`, `3600.0s`). One unit and one form, so that scripts can cut the `s` off and compare.
///
/// ```
/// assert_eq!(egressim::report::clock::seconds(12_449_999_999), "12.4s");
/// assert_eq!(egressim::report::clock::seconds(31_000_000_000), "31.0s");
/// ```
pub fn seconds(ns: u64) -> String {
    const TENTH: u64 = 100_000_000;
    let tenths = ns / TENTH + u64::from(ns % TENTH >= TENTH / 2);
    format!("{}.{}s", tenths / 10, tenths % 10)
}

/// Tenths of a second in what [`seconds`] wrote; `None` for anything else.
pub(super) fn parse_tenths(written: &str) -> Option<u64> {
    let (whole, tenth) = written.strip_suffix('s')?.split_once('.')?;
    let tenth = tenth.parse().ok().filter(|&digit: &u64| digit < 10)?;
    whole.parse::<u64>().ok()?.checked_mul(10)?.checked_add(tenth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_always_have_one_decimal_rounded_half_up() {
        assert_eq!(seconds(0), "0.0s");
        assert_eq!(seconds(49_999_999), "0.0s");
        assert_eq!(seconds(50_000_000), "0.1s");
        assert_eq!(seconds(59_950_000_000), "60.0s");
        assert_eq!(seconds(90_000_000_000), "90.0s");
        assert_eq!(seconds(u64::MAX), "18446744073.7s");
    }

    #[test]
    fn what_seconds_writes_can_be_read_back() {
        assert_eq!(parse_tenths(&seconds(12_400_000_000)), Some(124));
        assert_eq!(parse_tenths("60s"), None);
        assert_eq!(parse_tenths("1m30s"), None);
    }

    #[test]
    fn the_default_run_starts_in_october_2026() {
        let clock = WallClock::default();
        let written = clock.nanos(Duration::from_millis(250)).to_string();
        assert_eq!(written, "2026-10-01T00:00:00.250000000Z");
    }

    #[test]
    fn whole_seconds_have_no_decimals_in_the_short_form() {
        let clock = WallClock::starting_at(Duration::from_secs(1_729_997_220));
        let written = clock.shortest(Duration::ZERO).to_string();
        assert_eq!(written, "2024-10-27T02:47:00Z");
    }

    #[test]
    fn an_absurd_capture_date_is_held_at_the_year_9999() {
        let clock = WallClock::starting_at(Duration::MAX);
        let written = clock.nanos(Duration::from_secs(1)).to_string();
        assert_eq!(written, "9999-12-31T23:59:59.999999999Z");
    }
}
