//! `egressim bench`.

use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};

use super::terminal::Terminal;
use super::{Common, OK, scenario};
use crate::bench::compare;
use crate::bench::lists::{Lists, STANDARD, Setting, Texts};
use crate::bench::plan::{Plan, Planned, loads_behind, plan};
use crate::report::text::write_bench;
use crate::scenario::Scenario;
use crate::scenario::diagnostic::Sources;

#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Every option but --gateway takes a list with commas. What is compared: the scenario's own setting \
first, then every combination of what is given, ports by --min-ports-per-vm and --dynamic. Without any: \
--min-ports-per-vm 64,1024,4096 --dynamic 32-65536,64-4096 --tcp-time-wait 30s,120s. Load and seed are the same for all. \
patchNat events of the scenario apply on top of each setting.\n\n\
Exit status: 0 it ran (expectations of the scenario are not looked at) · 2 it could not run."
)]
pub(super) struct Arguments {
    /// Scenario file or folder, or `-`; the built-in scenario when left out.
    scenario: Option<PathBuf>,
    /// Static port allocation: minPortsPerVm, 2 to 57344.
    #[arg(long, value_name = "PORTS,…")]
    min_ports_per_vm: Option<String>,
    /// Dynamic port allocation: minPortsPerVm and maxPortsPerVm, powers of two, such as 32-1024,64-65536.
    #[arg(long, value_name = "MIN-MAX,…")]
    dynamic: Option<String>,
    /// How long a closed connection keeps its port, in whole seconds: tcpTimeWaitTimeoutSec, such as 30s,2m.
    #[arg(long, value_name = "TIME,…")]
    tcp_time_wait: Option<String>,
    /// How many NAT IPs. A gateway's own come first, then free documentation addresses stand in. AUTO_ONLY becomes
    /// MANUAL_ONLY.
    #[arg(long, value_name = "COUNT,…")]
    nat_ips: Option<String>,
    /// The gateway whose setting is changed, by its name or as ROUTER/NAME: only the load behind it is counted. When
    /// left out, all gateways get each setting.
    #[arg(long, value_name = "NAME")]
    gateway: Option<String>,
}

pub(super) fn run(arguments: &Arguments, common: &Common, terminal: &Terminal) -> Result<u8> {
    let (scenario, file, mut sources) = scenario::usable_file(arguments.scenario.as_deref(), common, terminal)?;
    let gateways = gateways(&scenario, arguments.gateway.as_deref())?;
    // Whoever names a gateway wants to know of that one: what others refuse would look like its doing.
    let loads = match arguments.gateway {
        Some(_) => loads_behind(&scenario, &gateways),
        None => (0..scenario.traffic.len()).collect(),
    };
    match (&arguments.gateway, loads.is_empty()) {
        (_, false) => {}
        (Some(name), true) => bail!("no load of the scenario comes from behind gateway {name:?}: nothing to compare"),
        (None, true) => bail!("the scenario has no load to compare settings under: declare some under `traffic:`"),
    }
    let lists = lists(arguments, &mut sources, terminal)?;
    let settings = lists.settings();
    let planned = plan(&file, &sources, &scenario, &loads, &gateways, &settings);
    let plan = usable(planned, &settings, arguments, &sources, terminal)?;
    // The cases have what they need.
    drop((scenario, file, sources));

    let folder = terminal.folder()?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut progress = terminal.progress("comparing");
    let bench = compare(&plan, threads, &mut |done| progress.fraction(done))?;
    drop(progress);
    terminal.keep_json_in(folder, "bench.json", &bench)?;
    if terminal.json() {
        terminal.print_json(&bench)?;
    } else {
        terminal.print(|mut out| write_bench(&mut out, &bench, terminal.style()))?;
    }
    Ok(OK)
}

impl Arguments {
    /// The options as typed; empty when the standard settings are asked for.
    fn texts(&self) -> Texts<'_> {
        Texts {
            min_ports_per_vm: self.min_ports_per_vm.as_deref(),
            dynamic: self.dynamic.as_deref(),
            tcp_time_wait: self.tcp_time_wait.as_deref(),
            nat_ips: self.nat_ips.as_deref(),
        }
    }
}

/// What the options say; what cannot be read ends it.
fn lists(arguments: &Arguments, sources: &mut Sources, terminal: &Terminal) -> Result<Lists> {
    let given = arguments.texts();
    let texts = if given.is_empty() { STANDARD } else { given };
    texts.read(sources).map_err(|diagnostics| {
        eprint!("{}", diagnostics.render(sources, terminal.colours_errors()));
        anyhow!("the settings cannot be read, nothing was run")
    })
}

/// A plan to carry out: findings are told; what Google would reject ends it.
fn usable(
    planned: Planned,
    settings: &[Setting],
    arguments: &Arguments,
    sources: &Sources,
    terminal: &Terminal,
) -> Result<Plan> {
    let Planned { mut plan, diagnostics, refused } = planned;
    let all = settings.len();
    let advice = if plan.gateways.len() > 1 { " (--gateway names one gateway)" } else { "" };
    if arguments.texts().is_empty() {
        // Nobody asked for these: what does not fit the gateway is left out.
        if let Some(error) = diagnostics.iter().find(|finding| finding.severity.is_error()) {
            let why = &error.message;
            plan.notes.push(format!("{refused} of {all} standard settings are left out{advice}: {why}"));
        }
        return Ok(plan);
    }
    let findings = diagnostics.render(sources, terminal.colours_errors());
    if refused > 0 {
        eprint!("{findings}");
        bail!("{refused} of {all} settings cannot be used, nothing was run{advice}");
    }
    terminal.say(&findings);
    Ok(plan)
}

/// The gateways to compare settings of: the named one, or all.
fn gateways(scenario: &Scenario, name: Option<&str>) -> Result<Vec<usize>> {
    let all = &scenario.nat_gateways;
    if all.is_empty() {
        bail!("the scenario has no Cloud NAT gateway to compare settings of: declare one under `routers:`, in `nats:`");
    }
    let Some(name) = name else { return Ok((0..all.len()).collect()) };
    let full = |at: usize| format!("{}/{}", all[at].router, all[at].name);
    let named: Vec<usize> = (0..all.len()).filter(|&at| all[at].name == name || full(at) == name).collect();
    let listed = |some: &[usize]| some.iter().map(|&at| full(at)).collect::<Vec<_>>().join(", ");
    match named[..] {
        [_] => Ok(named),
        [] => {
            bail!("no Cloud NAT gateway is called {name:?}; there are: {}", listed(&(0..all.len()).collect::<Vec<_>>()))
        }
        _ => bail!("several gateways are called {name:?}; say which: {}", listed(&named)),
    }
}
