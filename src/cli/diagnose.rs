//! `egressim diagnose`.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use super::terminal::Terminal;
use super::{Common, NOT_MET, OK, scenario};
use crate::capture::Kept;
use crate::diagnose::logs::{self, LogError};
use crate::diagnose::{Case, Input, diagnose};
use crate::report::clock::seconds;
use crate::report::diagnose::LogsRead;
use crate::report::text::write_diagnosis;
use crate::scenario::diagnostic::Sources;
use crate::scenario::value::Cidr;
use crate::scenario::{Attachment, Scenario};
use crate::simulation::replay::{LogOptions, Options};
use crate::time::nanos;
use crate::traffic::logged::Assumed;

/// When a client of a log gives up: what a load's `connectTimeout` is by default.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Each remedy is written into the merged scenario as JSON Patch, checked, and run with the same traffic and \
seed. It is sufficient when it ends its cause and puts nothing in its place.\n\n\
Exit status: 0 nothing failed · 1 connections failed or broke · 2 it could not run."
)]
pub(super) struct Arguments {
    /// Scenario file or folder, or `-`; the built-in scenario when left out.
    scenario: Option<PathBuf>,
    /// Drive the network with packets from these pcap or pcapng files instead of the scenario's load; `-` is standard
    /// input. Several are merged by time.
    #[arg(long, value_name = "F")]
    capture: Vec<PathBuf>,
    /// Make the connections anew that these exported files of Cloud NAT's log record (JSON, `-` is standard input), instead of
    /// the scenario's load.
    #[arg(long, value_name = "F", conflicts_with = "capture")]
    nat_logs: Vec<PathBuf>,
    /// The workload that sends what is captured or logged; the scenario's first when left out.
    #[arg(long, value_name = "WORKLOAD")]
    from: Option<String>,
    /// Which captured addresses are clients; private and link-local ones when left out.
    #[arg(long, value_name = "CIDR", value_parser = super::replay::parse_range)]
    client: Vec<Cidr>,
}

pub(super) fn run(arguments: &Arguments, common: &Common, terminal: &Terminal) -> Result<u8> {
    let inputs = [&*arguments.capture, &*arguments.nat_logs].concat();
    scenario::one_standard_input(arguments.scenario.as_deref(), &inputs)?;
    let (mut scenario, file, _) = scenario::usable_file(arguments.scenario.as_deref(), common, terminal)?;
    // What is expected of the scenario is expected of it as it is.
    scenario.expect.clear();
    let mut logs = None;
    let input = if !arguments.nat_logs.is_empty() {
        let from = scenario::workload(&scenario, arguments.from.as_deref())?;
        let (logged, read) = logged(arguments, &scenario, from, terminal)?;
        logs = Some(read);
        Input::Logs(logged)
    } else if !arguments.capture.is_empty() {
        let from = scenario::workload(&scenario, arguments.from.as_deref())?;
        // Each run reads them again.
        let mut kept = Kept::default();
        arguments.capture.iter().try_for_each(|path| kept.keep(path))?;
        Input::Captures(Options {
            captures: arguments.capture.clone(),
            kept,
            from,
            clients: arguments.client.iter().map(|range| range.net()).collect(),
            write: None,
            out: None,
        })
    } else if arguments.from.is_some() || !arguments.client.is_empty() {
        bail!("--from and --client are about what is captured or logged: give --capture or --nat-logs, too");
    } else {
        Input::Loads
    };
    let case = Case::new(&file, &scenario, input);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut progress = terminal.progress("diagnosing");
    let mut diagnosis = diagnose(&case, common.out.as_deref(), threads, &mut |done| progress.fraction(done))?;
    drop(progress);
    diagnosis.logs = logs;
    terminal.keep_json("diagnosis.json", &diagnosis)?;
    if terminal.json() {
        terminal.print_json(&diagnosis)?;
    } else {
        terminal.print(|mut out| write_diagnosis(&mut out, &diagnosis, terminal.style()))?;
    }
    Ok(if diagnosis.failed + diagnosis.broken > 0 { NOT_MET } else { OK })
}

/// The connections of the logs, and what was read of them.
fn logged(
    arguments: &Arguments,
    scenario: &Scenario,
    from: usize,
    terminal: &Terminal,
) -> Result<(LogOptions, LogsRead)> {
    let mut sources = Sources::default();
    let read = logs::read(&arguments.nat_logs, &mut sources);
    if let Some(findings) = read.as_ref().err().and_then(LogError::findings) {
        eprint!("{}", findings.render(&sources, terminal.colours_errors()));
    }
    let (mut logged, findings) = read?;
    if !findings.is_empty() {
        terminal.say(&findings.render(&sources, terminal.colours_errors()));
    }
    // A project's log has all its endpoints. Those in the sender's subnet count; where none is, it is another's addresses.
    let subnet = scenario.subnetwork_of(from);
    let is_own = |address: Ipv4Addr| subnet.is_some_and(|at| scenario.subnetworks[at].range.contains(&address));
    let mut left_out = (0, 0);
    if logged.endpoints.iter().any(|(_, address)| is_own(*address)) {
        left_out = logged.keep(is_own);
    }
    let gateway = scenario
        .nat_gateways
        .iter()
        .find(|gateway| gateway.coverage.iter().any(|covered| Some(covered.subnetwork) == subnet));
    let time_wait = gateway.map_or(scenario.model.nat.time_wait_default, |it| it.config.timeouts.tcp_time_wait);
    let lifetime = scenario.model.diagnose.log_lifetime.unwrap_or_else(|| logged.lifetime(time_wait));
    let read = LogsRead {
        files: arguments.nat_logs.iter().map(|path| path.display().to_string()).collect(),
        ok: logged.ok,
        dropped: logged.dropped,
        others: logged.others,
        bad: logged.bad,
        endpoints: logged.endpoints.len() as u64,
        connections: logged.connections.len() as u64,
        endpoints_left_out: left_out.0 as u64,
        connections_left_out: left_out.1 as u64,
        assumed_lifetime: seconds(nanos(lifetime)),
        reused_after: logged.median_reuse().map(|gap| seconds(nanos(gap))),
    };
    let options = LogOptions {
        start: logged.start,
        endpoints: u32::try_from(logged.endpoints.len()).unwrap_or(u32::MAX),
        at_connector: matches!(scenario.workloads[from].attachment(), Attachment::Connector(_)),
        from,
        assumed: Assumed { lifetime, connect_timeout: CONNECT_TIMEOUT, schedule: scenario.model.client.syn_schedule },
        connections: logged.connections.into(),
        out: None,
    };
    Ok((options, read))
}
