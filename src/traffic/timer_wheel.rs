//! When a Linux kernel's timer fires.
//!
//! Since 4.8 the timer wheel does not move timers to finer levels as they come near: a timer fires at the next boundary of
//! the level that its length puts it in, and never early. Level 0 counts single ticks and holds timers below 64 of them;
//! each level above is eight times as coarse and holds timers eight times as long (`kernel/time/timer.c`, `calc_index`).
//! So the retransmissions of a SYN drift, and connect times cluster a little after the seconds of the schedule.

use std::time::Duration;

use crate::scenario::model::KernelTimers;
use crate::time::SimTime;

/// `LVL_SIZE - 1`: a level holds timers of fewer of its steps than this.
const LEVEL_STEPS: u64 = 63;
/// `LVL_CLK_SHIFT`: how much coarser each level is, as a power of two.
const COARSER_BITS: u32 = 3;
/// `LVL_DEPTH`, with 250 ticks a second and more than 100.
const LEVELS: u32 = 9;

/// A kernel's timers.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimerWheel {
    ticks_per_second: Option<u64>,
}

impl TimerWheel {
    pub(super) fn new(timers: KernelTimers) -> Self {
        TimerWheel {
            ticks_per_second: match timers {
                KernelTimers::Exact => None,
                KernelTimers::Linux250Hz => Some(250),
                KernelTimers::Linux1000Hz => Some(1000),
            },
        }
    }

    /// When a timer of this length fires that is set now, or that is due at `due` if timers are exact. `booted`: ticks that
    /// the kernel had counted when the run began.
    pub(super) fn fires(&self, now: SimTime, length: Duration, due: SimTime, booted: u64) -> SimTime {
        let Some(rate) = self.ticks_per_second else { return due };
        let tick = 1_000_000_000 / rate;
        let ticks = (length.as_nanos() as u64).div_ceil(tick);
        let set_at = booted + now.as_nanos() / tick;
        let at = expiry(set_at + ticks, ticks);
        SimTime::from_nanos((at - booted) * tick)
    }
}

/// The tick at which a timer fires that expires at a tick and is this long.
fn expiry(expires: u64, length: u64) -> u64 {
    let level = (0..LEVELS - 1).find(|level| length < LEVEL_STEPS << (COARSER_BITS * level)).unwrap_or(LEVELS - 1);
    let shift = COARSER_BITS * level;
    ((expires >> shift) + 1) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When a SYN is sent again, in milliseconds, by the intervals of the schedule since Linux 6.5.
    fn retries(timers: KernelTimers, booted: u64) -> Vec<u64> {
        let wheel = TimerWheel::new(timers);
        let (mut now, mut due) = (SimTime::ZERO, SimTime::ZERO);
        [1u64, 1, 1, 1, 1, 2, 4, 8, 16, 32]
            .into_iter()
            .map(|seconds| {
                due += Duration::from_secs(seconds);
                now = wheel.fires(now, Duration::from_secs(seconds), due, booted);
                now.as_nanos() / 1_000_000
            })
            .collect()
    }

    #[test]
    fn exact_timers_fire_when_they_are_due() {
        let exact = [1, 2, 3, 4, 5, 7, 11, 19, 35, 67].map(|seconds| seconds * 1000);
        assert_eq!(retries(KernelTimers::Exact, 77), exact);
    }

    #[test]
    fn with_a_thousand_ticks_a_second_is_sixteen_steps_of_64() {
        // 1,000 ticks are on level 2, in steps of 64: from a boundary it is 1,024 to the next. 8,000 and more are on level 3,
        // in steps of 512: 5,120 + 2,048 + 4,032 = 11,200, then 8,000 more are 19,200, and the next boundary is 19,456;
        // 16,000 more 35,456, and then 35,840; 32,000 more 67,840, and then 68,096.
        let expected = [1024, 2048, 3072, 4096, 5120, 7168, 11_200, 19_456, 35_840, 68_096];
        assert_eq!(retries(KernelTimers::Linux1000Hz, 0), expected);
    }

    #[test]
    fn a_timer_never_fires_early_and_late_by_one_step_at_most() {
        for booted in (0..5000).step_by(37) {
            for (timers, slack) in [(KernelTimers::Linux250Hz, 2048), (KernelTimers::Linux1000Hz, 512)] {
                let times = retries(timers, booted);
                let mut before = 0;
                for (seconds, at) in [1u64, 1, 1, 1, 1, 2, 4, 8, 16, 32].into_iter().zip(times) {
                    let took = at - before;
                    // The start itself lies within a tick.
                    assert!(
                        (seconds * 1000 - 4..=seconds * 1000 + slack).contains(&took),
                        "{seconds} s took {took} ms"
                    );
                    before = at;
                }
            }
        }
    }
}
