//! A replay from beginning to end: captures in, changes at their times, outputs, and the summary.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use thiserror::Error;

use super::summary::summarise;
use super::{Changes, Watch, hand_over};
use crate::capture::{CaptureError, Frame, Kept, LinkType, PacketWriter, Reader};
use crate::network::Network;
use crate::recording::{Recording, RecordingError};
use crate::report::clock::seconds;
use crate::report::summary::{CaptureFileSummary, CaptureSummary, Summary};
use crate::scenario::{Attachment, Scenario};
use crate::time::{SimTime, nanos};
use crate::traffic::logged::{Assumed, LoggedConnection, Players};
use crate::traffic::replay::{Done, Replay};

/// How many records between two looks at logs and progress.
const BATCH: u64 = 16_384;

/// To a destination of a log that the scenario does not declare, and back: what an undeclared internet host has.
const ROUND_TRIP: Duration = Duration::from_millis(20);
/// Google: a connector has ten instances at most.
const MOST_CONNECTOR_VMS: u32 = 10;

/// What to replay.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Capture files; `-` is standard input.
    pub captures: Vec<PathBuf>,
    /// Those of them that can be read only once, to be replayed again.
    pub kept: Kept,
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
    replay_watched(scenario, options, None, progress)
}

/// A replay like [`replay`], with somebody who looks on.
///
/// # Errors
/// As [`replay`].
pub fn replay_watched(
    scenario: &Scenario,
    options: &Options,
    watch: Option<&mut dyn Watch>,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Summary, ReplayError> {
    let mut readers = Vec::new();
    for path in &options.captures {
        readers.push((path.clone(), options.kept.open(path)?));
    }
    let writer = options.write.as_deref().map(PacketWriter::create).transpose()?;
    let sender = Sender { from: options.from, clients: &options.clients, writer, out: options.out.as_deref() };
    drive(scenario, sender, watch, &mut |drive| match drive {
        Drive::Feed(run, replay) => {
            let mut merge = Merge::new(&mut readers);
            merge.each(&mut |frame| run.frame(replay, frame, progress))?;
            Ok(None)
        }
        Drive::Conclude(done) => read_so_far(&readers, done).map(Some),
    })
}

/// What a log records, to be made anew.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// Connections in order of their beginning.
    pub connections: Arc<[LoggedConnection]>,
    /// Time of the first one, in nanoseconds since 1970.
    pub start: u64,
    /// How many endpoints the log has.
    pub endpoints: u32,
    /// The endpoints are VMs of a connector, not instances.
    pub at_connector: bool,
    /// The sending workload, by its index in the scenario.
    pub from: usize,
    /// What the log does not say.
    pub assumed: Assumed,
    /// Folder for the output files.
    pub out: Option<PathBuf>,
}

/// Makes the connections of a log anew. There are as many instances, or connector VMs, as the log has endpoints, if not more.
///
/// # Errors
/// As [`replay`].
pub fn replay_logged(
    scenario: &Scenario,
    options: &LogOptions,
    watch: Option<&mut dyn Watch>,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Summary, ReplayError> {
    let mut scenario = scenario.clone();
    let endpoints = options.endpoints;
    let workload = &mut scenario.workloads[options.from];
    // A connector's VMs are named by the log; if the scenario has more of them, flows are spread over all.
    let mut pinned = None;
    match *workload.attachment() {
        Attachment::Connector(at) if options.at_connector => {
            let connector = &mut scenario.connectors[at];
            if connector.min_instances <= endpoints {
                connector.min_instances = endpoints.min(MOST_CONNECTOR_VMS);
                connector.max_instances = connector.max_instances.max(connector.min_instances);
                pinned = Some(at);
            }
        }
        _ if options.at_connector => {}
        _ => workload.instances = workload.instances.max(endpoints),
    }
    // Where no VM stands for an endpoint, all instances share the load.
    let spread = (options.at_connector && pinned.is_none()).then_some(scenario.workloads[options.from].instances);
    let clients = [IpNet::V4(Ipv4Net::new([10, 0, 0, 0].into(), 8).expect("eight bits are a prefix"))];
    let sender = Sender { from: options.from, clients: &clients, writer: None, out: options.out.as_deref() };
    let round_trip = |address: Ipv4Addr| {
        let host = scenario.hosts.iter().find(|host| host.addresses.iter().any(|it| it.contains(&IpAddr::V4(address))));
        host.map_or(ROUND_TRIP, |host| host.rtt)
    };
    drive(&scenario, sender, watch, &mut |drive| {
        let Drive::Feed(run, replay) = drive else { return Ok(None) };
        if let Some(connector) = pinned {
            let entries = replay.network().connector_vms(connector).collect();
            replay.enter_at(entries);
        }
        let mut players = Players::new(&options.connections, options.assumed, spread, &round_trip);
        players.play(&mut |frame, tuple| {
            run.frame(replay, Frame { time: frame.time + options.start, ..frame }, progress)?;
            Ok::<_, ReplayError>(replay.is_out(&(*tuple).into()))
        })?;
        Ok(None)
    })
}

/// Who sends, and what is written.
struct Sender<'a> {
    from: usize,
    clients: &'a [IpNet],
    writer: Option<PacketWriter>,
    out: Option<&'a Path>,
}

/// What whoever drives a replay is asked for.
enum Drive<'a, 'r, 'n, 'o, 'w> {
    /// All packets.
    Feed(&'a mut Run<'o, 'w>, &'r mut Replay<'n>),
    /// What became of the captures.
    Conclude(&'a Done),
}

/// A replay from beginning to end.
fn drive(
    scenario: &Scenario,
    sender: Sender<'_>,
    mut watch: Option<&mut dyn Watch>,
    driver: &mut dyn FnMut(Drive<'_, '_, '_, '_, '_>) -> Result<Option<CaptureSummary>, ReplayError>,
) -> Result<Summary, ReplayError> {
    let mut network = Network::new(scenario);
    network.engine_mut().make_passive();
    if let Some(watch) = &mut watch {
        watch.begin(&mut network);
    }
    if network.instances(sender.from).is_empty() {
        let workload = scenario.workloads[sender.from].name.clone();
        return Err(ReplayError::NoInstance { workload });
    }
    let changes = Changes::new(sender.out.is_some());
    let mut run =
        Run { due: changes.next(&network), changes, recording: None, out: sender.out, watch, records: 0, start: None };
    let mut replay = Replay::new(&mut network, sender.from, sender.clients, sender.writer);
    if sender.out.is_some() || run.watch.is_some() {
        replay.keep_records();
    }
    driver(Drive::Feed(&mut run, &mut replay))?;
    let done = replay.finish();
    let captures = driver(Drive::Conclude(&done))?;
    let start = run.start;
    let span = network.engine().now() - SimTime::ZERO;
    let Run { mut recording, mut watch, changes, .. } = run;
    if recording.is_none()
        && let Some(target) = sender.out
    {
        // A capture without any packet still has its (empty) files.
        recording = Some(Recording::create(target, &mut network, start)?);
    }
    hand_over(&mut network, done.records, &mut recording, &mut watch)?;
    if let Some(recording) = &mut recording
        && !changes.sampled_at(network.engine().now())
    {
        recording.sample(&mut network)?;
    }
    let summary = summarise(&mut network, seconds(nanos(span)), captures, |summary| done.tally.fill(summary));
    if let Some(writer) = done.writer {
        writer.finish()?;
    }
    if let Some(recording) = recording {
        recording.finish(&mut network, &summary)?;
    }
    Ok(summary)
}

/// What became of captures.
fn read_so_far(readers: &[(PathBuf, Reader)], done: &Done) -> Result<CaptureSummary, ReplayError> {
    let mut captures = CaptureSummary {
        skipped: done.skipped.iter().map(|(reason, count)| (reason.to_string(), *count)).collect(),
        clients: done.clients,
        flows: done.flows,
        above_mtu: done.above_mtu,
        ..CaptureSummary::default()
    };
    let nothing = readers.iter().all(|(_, reader)| reader.records() == 0);
    for (path, reader) in readers {
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
    Ok(captures)
}

/// What accompanies a replay: changes at their times, output files, progress.
struct Run<'a, 'w> {
    changes: Changes,
    /// When the next of them is.
    due: SimTime,
    recording: Option<Recording>,
    out: Option<&'a Path>,
    watch: Option<&'w mut dyn Watch>,
    records: u64,
    /// The time of the first record, in nanoseconds since 1970.
    start: Option<u64>,
}

impl Run<'_, '_> {
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
                if let Some(watch) = &mut self.watch {
                    watch.date(frame.time);
                }
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
            if self.recording.is_some() || self.watch.is_some() {
                let records = replay.take_records();
                hand_over(replay.network(), records, &mut self.recording, &mut self.watch)?;
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
