//! A run from beginning to end: the scenario's own load or captures, its changes, its outputs, and the summary.

pub mod replay;
mod summary;

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use crate::network::Network;
use crate::recording::{Recording, RecordingError};
use crate::report::metrics::SAMPLE_INTERVAL;
use crate::report::summary::Summary;
use crate::scenario::Scenario;
use crate::sim::{Occurrence, is_aftermath};
use crate::time::{SimTime, nanos};
use crate::traffic::flows::{Flows, Record};

use summary::{compare_observed, count_flows, duration_text, summarise};

/// How many things happen between two looks at logs and progress.
const BATCH: u32 = 8192;

/// Runs a scenario. With `out`, files are written there; `progress` is told now and then how far the run is (0 to 1), and
/// may end it.
///
/// # Errors
/// When the files cannot be written, or `progress` ends the run: then nothing is written.
///
/// ```
/// use std::ops::ControlFlow;
///
/// use egressim::scenario::{self, load};
///
/// let loaded = load::load(scenario::BUILT_IN);
/// let scenario = loaded.scenario.expect("the built-in scenario is sound");
/// let summary = egressim::simulation::run(&scenario, None, &mut |_| ControlFlow::Continue(()))?;
/// assert_eq!(summary.packets.sent, summary.packets.delivered + summary.packets.dropped + summary.packets.in_flight);
/// assert!(summary.packets.dropped_by["OUT_OF_RESOURCES"] > 0);
/// # Ok::<(), egressim::recording::RecordingError>(())
/// ```
pub fn run(
    scenario: &Scenario,
    out: Option<&Path>,
    progress: &mut dyn FnMut(f64) -> ControlFlow<()>,
) -> Result<Summary, RecordingError> {
    run_watched(scenario, out, None, progress)
}

/// Looks on while a run or a replay goes on.
pub trait Watch {
    /// The network is built, and nothing has happened yet. What it is to keep for later looks has to be asked for now.
    fn begin(&mut self, network: &mut Network);

    /// What time 0 is called, in nanoseconds since 1970, when a capture gives it a date.
    fn date(&mut self, _start: u64) {}

    /// Some time has passed. `records` are of the connections that have ended since the last look; with the last one come
    /// those that have not ended.
    fn look(&mut self, network: &mut Network, records: &[Record]);
}

/// A run like [`run`], with somebody who looks on.
///
/// # Errors
/// As [`run`].
pub fn run_watched(
    scenario: &Scenario,
    out: Option<&Path>,
    mut watch: Option<&mut dyn Watch>,
    progress: &mut dyn FnMut(f64) -> ControlFlow<()>,
) -> Result<Summary, RecordingError> {
    let mut network = Network::new(scenario);
    let mut flows = Flows::new(scenario, &mut network);
    if let Some(watch) = &mut watch {
        flows.keep_records();
        watch.begin(&mut network);
    }
    let mut recording = match out {
        Some(target) => {
            flows.keep_records();
            Some(Recording::create(target, &mut network, None)?)
        }
        None => None,
    };
    let observed = compare_observed(&network);
    let end = SimTime::from(scenario.duration);
    let mut changes = Changes::new(recording.is_some());
    let mut batch = 0;
    let mut turnovers = network.turnovers();
    loop {
        let until = changes.next(&network).min(end);
        while let Some(occurrence) = network.engine_mut().step(until) {
            match occurrence {
                Occurrence::Wake(token) => {
                    flows.wake(&mut network, token);
                }
                Occurrence::Delivered { node, from, packet, tag, .. } => {
                    flows.delivered(&mut network, node, from, &packet, tag);
                    network.engine_mut().recycle(packet);
                }
                Occurrence::Answered { packet, .. } => network.engine_mut().recycle(packet),
                Occurrence::Dropped { cause, packet, tag, .. } => {
                    if !is_aftermath(&packet) {
                        flows.dropped(tag, cause, &packet);
                    }
                    network.engine_mut().recycle(packet);
                }
            }
            // Instances may have started for requests: their packets are to be recorded, too.
            if network.turnovers() != turnovers {
                turnovers = network.turnovers();
                if let Some(recording) = &mut recording {
                    recording.learn(&network)?;
                }
            }
            batch += 1;
            if batch >= BATCH || flows.take_storm() {
                batch = 0;
                let done = network.engine().now().as_secs_f64() / scenario.duration.as_secs_f64().max(1e-9);
                if progress(done).is_break() {
                    return Err(RecordingError::Interrupted);
                }
                hand_over(&mut network, flows.take_records(), &mut recording, &mut watch)?;
            }
        }
        changes.make(&mut network, &mut recording)?;
        let disconnected = network.take_disconnected();
        if !disconnected.is_empty() {
            flows.disconnect(&mut network, &disconnected);
        }
        flows.notice(&mut network);
        let patched = network.take_patched_hosts();
        if !patched.is_empty() {
            flows.servers_changed(&mut network, &patched);
        }
        if until >= end {
            break;
        }
    }
    if cfg!(debug_assertions) {
        flows.assert_consistent();
    }
    if recording.is_some() || watch.is_some() {
        let mut records = flows.take_records();
        records.extend(flows.unfinished());
        hand_over(&mut network, records, &mut recording, &mut watch)?;
    }
    if let Some(recording) = &mut recording
        && !changes.sampled_at(end)
    {
        recording.sample(&mut network)?;
    }
    let summary = summarise(&mut network, duration_text(scenario.duration), None, |summary| {
        count_flows(summary, scenario, &flows);
        summary.observed = observed;
    });
    if let Some(recording) = recording {
        recording.finish(&mut network, &summary)?;
    }
    Ok(summary)
}

/// Hands what has been kept to whoever asked for it.
fn hand_over(
    network: &mut Network,
    records: Vec<Record>,
    recording: &mut Option<Recording>,
    watch: &mut Option<&mut dyn Watch>,
) -> Result<(), RecordingError> {
    if let Some(watch) = watch {
        watch.look(network, &records);
    }
    match recording {
        Some(recording) => recording.drain(network, records)?,
        None => network.forget_log(),
    }
    Ok(())
}

/// What happens at set times: the scenario's events, releases of held addresses, samples of metrics.
struct Changes {
    next_sample: SimTime,
    last_sample: Option<SimTime>,
    samples: bool,
}

impl Changes {
    fn new(samples: bool) -> Changes {
        let first = SimTime::ZERO + SAMPLE_INTERVAL;
        Changes { next_sample: first, last_sample: None, samples }
    }

    /// When the next of them is.
    fn next(&self, network: &Network) -> SimTime {
        let sample = if self.samples { self.next_sample } else { SimTime::NEVER };
        sample.min(network.next_change())
    }

    /// Does what is due now.
    fn make(&mut self, network: &mut Network, recording: &mut Option<Recording>) -> Result<(), RecordingError> {
        let now = network.engine().now();
        network.make_changes();
        if let Some(recording) = recording {
            recording.learn(network)?;
            while self.next_sample <= now {
                recording.sample(network)?;
                self.last_sample = Some(self.next_sample);
                self.next_sample += SAMPLE_INTERVAL;
            }
        }
        Ok(())
    }

    /// A capture may be silent for years. An hour after the last packet there is nothing new to sample until the next one.
    fn skip_silence(&mut self, last_packet: SimTime, now: SimTime) {
        let minute = nanos(SAMPLE_INTERVAL);
        if self.next_sample > last_packet + Duration::from_secs(3600) {
            let latest = SimTime::from_nanos(now.as_nanos() / minute * minute);
            self.next_sample = self.next_sample.max(latest);
        }
    }

    fn sampled_at(&self, time: SimTime) -> bool {
        self.last_sample == Some(time)
    }
}
