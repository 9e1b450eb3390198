//! Runs a scenario's own traffic once for each of several Cloud NAT settings, and compares what became of it.
//!
//! Every run has the same seed and the same load; only the settings of the compared gateways differ. [`lists`] reads what
//! the options say, [`plan`](mod@plan) makes a checked scenario of each setting, [`compare`] runs them side by side.
//! Events of the scenario that patch a compared gateway apply on top of each setting, at their time.

pub mod lists;
pub mod plan;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::recording::RecordingError;
use crate::report::bench::{Bench, BenchRow, cheapest};
use crate::simulation;

use plan::Plan;

/// How long to wait for a result before progress is told again.
const PATIENCE: Duration = Duration::from_millis(50);
/// Parts of a run in which its progress is counted.
const WHOLE: u32 = 1_000;

/// Runs every case of a plan, on so many threads. The result does not depend on their number. `progress` is told now and
/// then how far all of it is (0 to 1), and may end it.
///
/// # Errors
/// When `progress` ends it.
pub fn compare(
    plan: &Plan,
    threads: usize,
    progress: &mut dyn FnMut(f64) -> ControlFlow<()>,
) -> Result<Bench, RecordingError> {
    let cases = &plan.cases;
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let done: Vec<AtomicU32> = cases.iter().map(|_| AtomicU32::new(0)).collect();
    let run = |at: usize| {
        simulation::run(&cases[at].scenario, None, &mut |fraction| {
            done[at].store((fraction * f64::from(WHOLE)) as u32, Ordering::Relaxed);
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    };
    let work = |results: mpsc::Sender<_>| {
        while !stop.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(at) else { return };
            // A summary has every endpoint and block; of many large runs only the rows are kept.
            let row = run(at).map(|summary| {
                let row =
                    BenchRow::new(case.setting.clone(), case.as_configured, &plan.loads, &plan.gateways, &summary);
                (row, summary.duration)
            });
            done[at].store(WHOLE, Ordering::Relaxed);
            if results.send((at, row)).is_err() {
                return;
            }
        }
    };

    let mut rows: Vec<Option<BenchRow>> = vec![None; cases.len()];
    let mut failure = None;
    let mut bench = Bench { gateways: plan.gateway_names.clone(), notes: plan.notes.clone(), ..Bench::default() };
    thread::scope(|scope| {
        let (results, received) = mpsc::channel();
        for _ in 0..threads.clamp(1, cases.len().max(1)) {
            let results = results.clone();
            scope.spawn(|| work(results));
        }
        // The workers have the other ends: when the last one is done, there is nothing more to wait for.
        drop(results);
        loop {
            match received.recv_timeout(PATIENCE) {
                Ok((at, Ok((row, duration)))) => {
                    rows[at] = Some(row);
                    bench.duration = duration;
                }
                Ok((_, Err(error))) => {
                    stop.store(true, Ordering::Relaxed);
                    failure = Some(error);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let parts: u64 = done.iter().map(|part| u64::from(part.load(Ordering::Relaxed))).sum();
            if progress(parts as f64 / (f64::from(WHOLE) * cases.len() as f64)).is_break() {
                stop.store(true, Ordering::Relaxed);
            }
        }
    });
    if let Some(error) = failure {
        return Err(error);
    }
    // Some were not even begun when it was ended.
    bench.settings = rows.into_iter().collect::<Option<_>>().ok_or(RecordingError::Interrupted)?;
    bench.cheapest = cheapest(&bench.settings);
    if let Some(case) = cases.first() {
        bench.scenario.clone_from(&case.scenario.name);
        bench.seed = case.scenario.seed;
    }
    Ok(bench)
}

#[cfg(test)]
mod tests;
