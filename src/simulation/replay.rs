//! A replay from beginning to end: captures in, changes at their times, outputs, and the summary.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use thiserror::Error;

use super::Changes;
use super::summary::summarise;
use crate::capture::{CaptureError, Frame, LinkType, PacketWriter, Reader};
use crate::network::Network;
use crate::recording::{Recording, RecordingError};
use crate::report::clock::seconds;
use crate::report::summary::{CaptureFileSummary, CaptureSummary, Summary};
use crate::scenario::Scenario;
use crate::time::{SimTime, nanos};
use crate::traffic::replay::Replay;

/// How many records between two looks at logs and progress.
const BATCH: u64 = 16_384;

/// What to replay.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Capture files; `-` is standard input.
    pub captures: Vec<PathBuf>,
    /// The sending workload, by its index in the scenario.
    pub from: usize,
    /// Which captured addresses are clients; empty means private and link-local ones.
    pub clients: Vec<IpNet>,
    /// Where to write the packets as the internet saw them.
    pub write: Option<PathBuf>,
    /// Folder for the output files.
    pub out: Option<PathBuf>,
}

/// Why a replay could not be done.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// A capture cannot be read, or the result not be written.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The output folder cannot be written.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// Nothing could be read of any capture.
    #[error("nothing could be read of {}: {reason}", path.display())]
    Nothing {
        /// The first such file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// The workload has nobody to send.
    #[error(
        "workload {workload:?} has no running instance to send from: give it instances, or name another with --from"
    )]
    NoInstance {
        /// Its name.
        workload: String,
    },
}

/// Replays captures through a scenario. `progress` is told now and then how many records were read, and may end it.
///
/// # Errors
/// [`ReplayError`]: nothing can be read, or the outputs cannot be written. A damaged capture is no error as long as
/// anything of it could be read; the summary says what was lost.
pub fn replay(
    scenario: &Scenario,
    options: &Options,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Summary, ReplayError> {
    let mut readers = Vec::new();
    for path in &options.captures {
        readers.push((path.clone(), Reader::open(path)?));
    }
    let mut network = Network::new(scenario);
    network.engine_mut().make_passive();
    if network.instances(options.from).is_empty() {
        let workload = scenario.workloads[options.from].name.clone();
        return Err(ReplayError::NoInstance { workload });
    }
    let writer = options.write.as_deref().map(PacketWriter::create).transpose()?;
    let changes = Changes::new(options.out.is_some());
    let mut run = Run {
        due: changes.next(&network),
        changes,
        recording: None,
        out: options.out.as_deref(),
        records: 0,
        start: None,
    };
    let mut replay = Replay::new(&mut network, options.from, &options.clients, writer);
    if options.out.is_some() {
        replay.keep_records();
    }
    let mut merge = Merge::new(&mut readers);
    merge.each(&mut |frame| run.frame(&mut replay, frame, progress))?;

    let done = replay.finish();
    let start = run.start;
    let mut captures = CaptureSummary {
        skipped: done.skipped.iter().map(|(reason, count)| (reason.to_string(), *count)).collect(),
        clients: done.clients,
        flows: done.flows,
        above_mtu: done.above_mtu,
        ..CaptureSummary::default()
    };
    let nothing = readers.iter().all(|(_, reader)| reader.records() == 0);
    for (path, reader) in &readers {
        let damage = reader.damage().map(ToString::to_string);
        if nothing && let Some(reason) = &damage {
            return Err(ReplayError::Nothing { path: path.clone(), reason: reason.clone() });
        }
        captures.files.push(CaptureFileSummary {
            path: path.display().to_string(),
            records: reader.records(),
            oddities: reader.oddities().iter().map(|(oddity, count)| (oddity.name().to_owned(), count)).collect(),
            damage,
        });
    }
    let span = network.engine().now() - SimTime::ZERO;
    let mut recording = run.recording;
    if recording.is_none()
        && let Some(target) = &options.out
    {
        // A capture without any packet still has its (empty) files.
        recording = Some(Recording::create(target, &mut network, start)?);
    }
    if let Some(recording) = &mut recording {
        recording.drain(&mut network, done.records)?;
        if !run.changes.sampled_at(network.engine().now()) {
            recording.sample(&mut network)?;
        }
    }
    let summary = summarise(&mut network, seconds(nanos(span)), Some(captures), |summary| done.tally.fill(summary));
    if let Some(writer) = done.writer {
        writer.finish()?;
    }
    if let Some(recording) = recording {
        recording.finish(&mut network, &summary)?;
    }
    Ok(summary)
}

/// What accompanies a replay: changes at their times, output files, progress.
struct Run<'a> {
    changes: Changes,
    /// When the next of them is.
    due: SimTime,
    recording: Option<Recording>,
    out: Option<&'a Path>,
    records: u64,
    /// The time of the first record, in nanoseconds since 1970.
    start: Option<u64>,
}

impl Run<'_> {
    #[inline]
    fn frame(
        &mut self,
        replay: &mut Replay<'_>,
        frame: Frame<'_>,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), ReplayError> {
        let start = match self.start {
            Some(start) => start,
            None => {
                self.start = Some(frame.time);
                if let Some(target) = self.out {
                    self.recording = Some(Recording::create(target, replay.network(), self.start)?);
                }
                frame.time
            }
        };
        let network = replay.network();
        // A capture may go back in time by a little; the network does not.
        let before = network.engine().now();
        let now = SimTime::from_nanos(frame.time.saturating_sub(start)).max(before);
        while self.due <= now {
            network.engine_mut().advance_to(self.due);
            self.changes.make(network, &mut self.recording)?;
            self.changes.skip_silence(before, now);
            self.due = self.changes.next(network);
        }
        network.engine_mut().advance_to(now);
        replay.frame(frame)?;
        self.records += 1;
        if self.records.is_multiple_of(BATCH) {
            if progress(self.records).is_break() {
                return Err(RecordingError::Interrupted.into());
            }
            if let Some(recording) = &mut self.recording {
                let records = replay.take_records();
                recording.drain(replay.network(), records)?;
            }
        }
        Ok(())
    }
}

/// Several captures as one, in order of time. Within a capture the order of its records stays.
struct Merge<'a> {
    readers: &'a mut [(PathBuf, Reader)],
}

/// A record that waits for its turn.
struct Head {
    time: u64,
    link_type: LinkType,
    original_length: u32,
    bytes: Vec<u8>,
}

impl<'a> Merge<'a> {
    fn new(readers: &'a mut [(PathBuf, Reader)]) -> Self {
        Merge { readers }
    }

    fn each<E>(&mut self, handle: &mut dyn FnMut(Frame<'_>) -> Result<(), E>) -> Result<(), E> {
        if let [(_, reader)] = self.readers {
            while let Some(frame) = reader.next_frame() {
                handle(frame)?;
            }
            return Ok(());
        }
        let mut heads: Vec<Option<Head>> =
            self.readers.iter_mut().map(|(_, reader)| next_head(reader, Vec::new())).collect();
        // The first of several with the same time comes first.
        let earliest = |heads: &[Option<Head>]| {
            let times = heads.iter().enumerate().filter_map(|(i, head)| Some((head.as_ref()?.time, i)));
            times.min().map(|(_, i)| i)
        };
        while let Some(next) = earliest(&heads) {
            let Some(Head { time, link_type, original_length, bytes }) = heads[next].take() else { break };
            handle(Frame { time, link_type, original_length, bytes: &bytes })?;
            heads[next] = next_head(&mut self.readers[next].1, bytes);
        }
        Ok(())
    }
}

fn next_head(reader: &mut Reader, mut buffer: Vec<u8>) -> Option<Head> {
    let frame = reader.next_frame()?;
    buffer.clear();
    buffer.extend_from_slice(frame.bytes);
    let Frame { time, link_type, original_length, .. } = frame;
    Some(Head { time, link_type, original_length, bytes: buffer })
}
