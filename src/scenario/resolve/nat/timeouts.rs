//! The five timers of a gateway.

use std::time::Duration;

use super::super::Resolver;
use crate::scenario::NatTimeouts;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::file::nat::RouterNat;
use crate::scenario::value::At;

impl Resolver<'_> {
    /// As written, else Google's defaults.
    pub(super) fn timeouts(&mut self, nat: &RouterNat, created: Option<&At<String>>) -> NatTimeouts {
        // Google publishes no bounds; below a second nothing would ever be answered.
        let mut seconds = |value: &Option<At<i64>>, what: &str, default: u64| {
            let value = value.as_ref().and_then(|value| self.bounded(value, 1..=i64::from(i32::MAX), what));
            Duration::from_secs(value.map_or(default, |value| value as u64))
        };
        let udp_idle = seconds(&nat.udp_idle_timeout_sec, "udpIdleTimeoutSec", 30);
        let icmp_idle = seconds(&nat.icmp_idle_timeout_sec, "icmpIdleTimeoutSec", 30);
        let tcp_established_idle = seconds(&nat.tcp_established_idle_timeout_sec, "tcpEstablishedIdleTimeoutSec", 1200);
        let tcp_transitory_idle = seconds(&nat.tcp_transitory_idle_timeout_sec, "tcpTransitoryIdleTimeoutSec", 30);
        let explicit = nat.tcp_time_wait_timeout_sec.as_ref().map(|value| (value, "tcpTimeWaitTimeoutSec"));
        let effective =
            nat.effective_tcp_time_wait_timeout_sec.as_ref().map(|value| (value, "effectiveTcpTimeWaitTimeoutSec"));
        let tcp_time_wait = match explicit.or(effective) {
            Some((value, what)) => {
                let value = self.bounded(value, 1..=i64::from(i32::MAX), what);
                value.map_or(self.out.model.nat.time_wait_default, |value| Duration::from_secs(value as u64))
            }
            None => self.time_wait_by_date(created),
        };
        NatTimeouts { udp_idle, icmp_idle, tcp_established_idle, tcp_transitory_idle, tcp_time_wait }
    }

    /// TIME_WAIT of a gateway that does not say: 120 s if made before 2026-06-30, 30 s from 2026-09-30 on. In between Google
    /// chose by region and does not say which: the model's value is taken, with a warning.
    fn time_wait_by_date(&mut self, created: Option<&At<String>>) -> Duration {
        let default = self.out.model.nat.time_wait_default;
        let Some(created) = created else { return default };
        match parse_date(created) {
            Some(date) if date < (2026, 6, 30) => Duration::from_secs(120),
            Some(date) if date < (2026, 9, 30) => {
                let message = format!(
                    "a gateway made between 2026-06-30 and 2026-09-29 has a TIME_WAIT of 30 or 120 s by region, {} s is taken",
                    default.as_secs()
                );
                self.push(
                    Diagnostic::warning("time-wait-unknown", message)
                        .at(created.place)
                        .help("set the gateway's tcpTimeWaitTimeoutSec"),
                );
                default
            }
            Some(_) => Duration::from_secs(30),
            None => {
                let message = format!("found `{}`, expected a time such as 2026-10-01T12:00:00Z", created.value);
                self.push(Diagnostic::unusable("invalid-value", message).at(created.place));
                default
            }
        }
    }
}

/// Year, month and day of an RFC 3339 time.
fn parse_date(text: &str) -> Option<(u16, u8, u8)> {
    let date = text.get(..10)?;
    let mut parts = date.split('-');
    let date = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    ((1..=12).contains(&date.1) && (1..=31).contains(&date.2)).then_some(date)
}

#[cfg(test)]
mod tests {
    use super::parse_date;

    #[test]
    fn a_creation_timestamp_is_a_date_with_anything_behind() {
        assert_eq!(parse_date("2024-10-26T18:56:42.961-07:00"), Some((2024, 10, 26)));
        assert_eq!(parse_date("2026-09-30"), Some((2026, 9, 30)));
        for text in ["", "yesterday", "2026-13-01T", "26-09-30T00"] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }
}
