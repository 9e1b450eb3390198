//! From settings to checked scenarios: the scenario's own first, then one for each setting.
//!
//! A setting is written into the merged scenario file, into the fields that Google's API has for it, and the file is
//! checked like any other. So what Google would reject is refused by the same rules, and shown in the same way.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::lists::{Allocation, Setting};
use crate::report::bench::{BenchGateway, BenchSetting};
use crate::scenario::diagnostic::{Diagnostic, Diagnostics, Sources};
use crate::scenario::file::ScenarioFile;
use crate::scenario::file::compute::ReservedAddress;
use crate::scenario::file::nat::{NatIpAllocateOption, NatType, RouterNat};
use crate::scenario::load::check;
use crate::scenario::value::{Address, At, Reference};
use crate::scenario::{Attachment, Change, Covered, Host, IpAllocation, NatConfig, NatGateway, Scenario};

/// Warnings that guess by arithmetic what a run finds out.
const FOUND_OUT: [&str; 4] = ["too-few-nat-ips", "too-few-ports", "growth-too-slow", "eim-conflict"];
/// Stand-ins that are named one by one in a note.
const MAX_NAMED: usize = 3;

/// What is to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The scenario's own setting, then the others.
    pub cases: Vec<Case>,
    /// Which of the scenario's loads count: indices into [`Scenario::traffic`].
    pub loads: Vec<usize>,
    /// Which of the scenario's gateways are compared: indices into [`Scenario::nat_gateways`].
    pub gateways: Vec<usize>,
    /// Their names.
    pub gateway_names: Vec<BenchGateway>,
    /// What has to be known to read the result, as sentences.
    pub notes: Vec<String>,
}

/// One run.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The setting, in Google's names.
    pub setting: BenchSetting,
    /// Whether it is the scenario's own.
    pub as_configured: bool,
    /// The scenario with that setting.
    pub scenario: Scenario,
}

/// A plan, and what there is to say of its settings.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The plan. After errors it lacks the settings that have them.
    pub plan: Plan,
    /// Findings that the settings add to those of the scenario itself, sorted, equal ones once.
    pub diagnostics: Diagnostics,
    /// How many settings had errors.
    pub refused: usize,
}

/// Makes a plan. `scenario` is what `file` (with these `sources`) means, `loads` and `gateways` are what counts, as indices into it. A setting
/// that comes to the same scenario as an earlier one is left out.
///
/// # Panics
///
/// If `scenario` is not what `file` means, or an index leads nowhere.
pub fn plan(
    file: &ScenarioFile,
    sources: &Sources,
    scenario: &Scenario,
    loads: &[usize],
    gateways: &[usize],
    settings: &[Setting],
) -> Planned {
    let known: Vec<Diagnostic> = check(file, sources).1.into_iter().collect();
    let in_file = gateways_in_file(file, scenario);
    let compared: Vec<Compared<'_>> =
        gateways.iter().map(|&at| Compared { spec: &scenario.nat_gateways[at], in_file: in_file[at] }).collect();
    let most = settings.iter().filter_map(|setting| setting.nat_ips.as_ref()).map(|count| count.value).max();
    let stand_ins = StandIns::new(file, scenario, &compared, most.unwrap_or(0).into());

    let own =
        Case { setting: in_words(file, scenario, gateways, &in_file), as_configured: true, scenario: scenario.clone() };
    let mut cases = vec![own];
    let mut diagnostics = Diagnostics::default();
    let mut refused = 0;
    for setting in settings {
        let mut changed = file.clone();
        for (at, gateway) in compared.iter().enumerate() {
            setting.write(&mut changed, gateway.in_file, stand_ins.of(at));
        }
        let (resolved, findings) = check(&changed, sources);
        let is_new = |finding: &Diagnostic| !known.contains(finding) && !FOUND_OUT.contains(&finding.code);
        diagnostics.extend(findings.into_iter().filter(is_new));
        let Some(resolved) = resolved else {
            refused += 1;
            continue;
        };
        if cases.iter().all(|case| case.scenario != resolved) {
            let setting = in_words(&changed, &resolved, gateways, &in_file);
            cases.push(Case { setting, as_configured: false, scenario: resolved });
        }
    }
    diagnostics.sort();
    let named =
        |gateway: &Compared<'_>| BenchGateway { name: gateway.spec.name.clone(), router: gateway.spec.router.clone() };
    let plan = Plan {
        gateway_names: compared.iter().map(named).collect(),
        notes: notes(scenario, loads, gateways, &compared, &stand_ins),
        cases,
        loads: loads.to_vec(),
        gateways: gateways.to_vec(),
    };
    Planned { plan, diagnostics, refused }
}

/// The loads of workloads whose subnet one of the gateways serves: what has to pass it, if it is bound for the internet.
///
/// # Panics
///
/// If an index leads nowhere.
pub fn loads_behind(scenario: &Scenario, gateways: &[usize]) -> Vec<usize> {
    let served = |subnetwork: usize| {
        let covers = |covered: &Covered| covered.subnetwork == subnetwork;
        gateways.iter().any(|&at| scenario.nat_gateways[at].coverage.iter().any(covers))
    };
    let is_behind = |&at: &usize| match *scenario.workloads[scenario.traffic[at].from].attachment() {
        Attachment::None => false,
        Attachment::Connector(connector) => served(scenario.connectors[connector].subnetwork),
        Attachment::Direct { subnetwork, .. } => served(subnetwork),
    };
    (0..scenario.traffic.len()).filter(is_behind).collect()
}

/// A gateway whose settings are compared.
struct Compared<'a> {
    spec: &'a NatGateway,
    in_file: InFile,
}

/// Where a gateway is written: `routers[router].nats[nat]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InFile {
    pub(crate) router: usize,
    pub(crate) nat: usize,
}

impl InFile {
    fn get(self, file: &ScenarioFile) -> Option<&RouterNat> {
        Some(&file.routers.get(self.router)?.nats.as_ref()?.get(self.nat)?.value)
    }
}

/// Where the gateways of a scenario are written. They are in the order of the file, which may have others in between that
/// are not simulated.
pub(crate) fn gateways_in_file(file: &ScenarioFile, scenario: &Scenario) -> Vec<InFile> {
    let all = file.routers.iter().enumerate().flat_map(|(router, spec)| {
        let nats = spec.nats.iter().flatten().enumerate();
        nats.map(move |(nat, written)| (spec.name.name(), &written.value, InFile { router, nat }))
    });
    let is_private = |nat: &RouterNat| nat.nat_type.as_ref().is_some_and(|kind| kind.value == NatType::Private);
    let mut all = all.filter(|(_, nat, _)| !is_private(nat));
    let places = scenario.nat_gateways.iter().map(|gateway| {
        let is_it = |router: &str, nat: &RouterNat| {
            router == gateway.router && nat.name.as_ref().is_some_and(|name| name.name() == gateway.name)
        };
        let found = all.find(|(router, nat, _)| is_it(router, nat));
        found.expect("each gateway of a scenario is written in its file").2
    });
    places.collect()
}

impl Setting {
    /// Writes the setting into the file, as somebody would who wanted it for good.
    fn write(&self, file: &mut ScenarioFile, at: InFile, stand_ins: &[(Reference, Ipv4Addr)]) {
        let nats = file.routers.get_mut(at.router).and_then(|router| router.value.nats.as_mut());
        let Some(nat) = nats.and_then(|nats| nats.get_mut(at.nat)) else {
            unreachable!("a gateway stays where it is written")
        };
        let nat = &mut nat.value;
        match &self.allocation {
            None => {}
            Some(Allocation::Static(ports)) => {
                nat.enable_dynamic_port_allocation = Some(false.into());
                nat.min_ports_per_vm = Some(*ports);
                nat.max_ports_per_vm = None;
            }
            Some(Allocation::Dynamic(min, max)) => {
                let place = min.place.to(max.place);
                nat.enable_dynamic_port_allocation = Some(At { value: true, place });
                nat.min_ports_per_vm = Some(*min);
                nat.max_ports_per_vm = Some(*max);
            }
        }
        if let Some(seconds) = &self.time_wait {
            nat.tcp_time_wait_timeout_sec = Some(*seconds);
        }
        let Some(count) = &self.nat_ips else { return };
        let wanted = usize::from(count.value);
        let mut list = nat.nat_ips.take().map_or_else(Vec::new, |list| list.value);
        list.truncate(wanted);
        let used = &stand_ins[..wanted - list.len()];
        list.extend(used.iter().map(|(name, _)| At { value: name.clone(), place: count.place }));
        nat.nat_ips = Some(At { value: list, place: count.place });
        // Whoever wants a number of addresses has to reserve them.
        nat.nat_ip_allocate_option = Some(At { value: NatIpAllocateOption::ManualOnly, place: count.place });
        file.addresses.extend(used.iter().map(|(name, address)| {
            At::from(ReservedAddress {
                purpose: None,
                prefix_length: None,
                network: None,
                name: name.clone().into(),
                address: Some(Address::from(*address).into()),
                address_type: None,
                region: None,
                network_tier: None,
            })
        }));
    }
}

/// Addresses for NAT IPs that the scenario does not have.
struct StandIns {
    /// For each compared gateway, as many as its largest setting takes.
    each: Vec<Vec<(Reference, Ipv4Addr)>>,
}

impl StandIns {
    fn new(file: &ScenarioFile, scenario: &Scenario, compared: &[Compared<'_>], most: usize) -> StandIns {
        let names: HashSet<&str> = file.addresses.iter().map(|address| address.name.name()).collect();
        let names = (1..).map(|number| format!("bench-nat-ip-{number}")).filter(|name| !names.contains(name.as_str()));
        let names = names.map(|name| name.parse::<Reference>().expect("a word and a number are a name"));
        let mut free = names.zip(free_addresses(file, scenario));
        let own = |gateway: &Compared<'_>| {
            let nat = gateway.in_file.get(file);
            nat.and_then(|nat| nat.nat_ips.as_ref()).map_or(0, |list| list.len())
        };
        let each = compared.iter().map(|gateway| free.by_ref().take(most.saturating_sub(own(gateway))).collect());
        StandIns { each: each.collect() }
    }

    fn of(&self, gateway: usize) -> &[(Reference, Ipv4Addr)] {
        &self.each[gateway]
    }

    fn addresses(&self) -> Vec<Ipv4Addr> {
        self.each.iter().flatten().map(|(_, address)| *address).collect()
    }
}

/// Addresses that are nobody's and that the scenario does not use (RFC 5737, RFC 2544). Of two ranges only the lower half:
/// the upper ones are what automatic gateways and Cloud Run itself take theirs from.
pub(crate) fn free_addresses(file: &ScenarioFile, scenario: &Scenario) -> impl Iterator<Item = Ipv4Addr> {
    let mut taken: HashSet<Ipv4Addr> =
        file.addresses.iter().filter_map(|address| address.address.as_ref()?.v4()).collect();
    let mut take = |config: &NatConfig| taken.extend(config.nat_ips.iter().chain(&config.drain_nat_ips));
    scenario.nat_gateways.iter().for_each(|gateway| take(&gateway.config));
    for event in &scenario.events {
        if let Change::PatchNat { config, .. } = &event.change {
            take(config);
        }
    }
    taken.extend(scenario.vms.iter().filter_map(|vm| vm.external_address));
    taken.extend(scenario.traffic.iter().filter_map(|traffic| traffic.to.v4));
    // A host that answers for a wide range would leave nothing.
    let hosts = scenario.hosts.iter().flat_map(Host::ipv4_ranges).filter(|range| range.prefix_len() >= 24);
    let hosts: Vec<Ipv4Net> = hosts.collect();
    let ranges =
        [([203, 0, 113, 10], 118), ([192, 0, 2, 1], 128), ([198, 51, 100, 1], 254), ([198, 18, 0, 1], 131_070)];
    let candidates = ranges.into_iter().flat_map(|(first, count)| {
        let first = u32::from(Ipv4Addr::from(first));
        (first..first + count).map(Ipv4Addr::from)
    });
    candidates.filter(move |address| !taken.contains(address) && !hosts.iter().any(|range| range.contains(address)))
}

/// The setting of the compared gateways, as far as it is the same for all.
fn in_words(file: &ScenarioFile, scenario: &Scenario, gateways: &[usize], in_file: &[InFile]) -> BenchSetting {
    fn common<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
        let first = values.next()?;
        values.all(|value| value == first).then_some(first)
    }
    let configs = || gateways.iter().map(|&at| &scenario.nat_gateways[at].config);
    let nat_ips = |&at: &usize| {
        let list = in_file[at].get(file)?.nat_ips.as_ref()?;
        Some(list.iter().map(|reference| reference.name().to_owned()).collect::<Vec<_>>())
    };
    let allocate = common(configs().map(|config| config.allocate));
    let dynamic = common(configs().map(|config| config.dynamic_port_allocation));
    BenchSetting {
        nat_ip_allocate_option: allocate.map(|allocate| match allocate {
            IpAllocation::Auto => "AUTO_ONLY",
            IpAllocation::Manual => "MANUAL_ONLY",
        }),
        nat_ips: if allocate == Some(IpAllocation::Manual) {
            common(gateways.iter().map(nat_ips)).flatten()
        } else {
            None
        },
        enable_dynamic_port_allocation: dynamic,
        min_ports_per_vm: common(configs().map(|config| config.min_ports_per_vm)),
        max_ports_per_vm: if dynamic == Some(true) {
            common(configs().map(|config| config.max_ports_per_vm))
        } else {
            None
        },
        tcp_time_wait_timeout_sec: common(configs().map(|config| config.timeouts.tcp_time_wait.as_secs())),
    }
}

fn notes(
    scenario: &Scenario,
    loads: &[usize],
    gateways: &[usize],
    compared: &[Compared<'_>],
    stand_ins: &StandIns,
) -> Vec<String> {
    let mut notes = Vec::new();
    if loads.len() < scenario.traffic.len() {
        let all = scenario.traffic.len();
        notes.push(format!(
            "counted are the connections of workloads behind the gateway: {} of {all} loads",
            loads.len()
        ));
    }
    let addresses = stand_ins.addresses();
    if !addresses.is_empty() {
        let (shown, hidden) = addresses.split_at(addresses.len().min(MAX_NAMED));
        let mut shown = shown.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if !hidden.is_empty() {
            shown += &format!(" and {} more", hidden.len());
        }
        notes.push(format!("natIps beyond a gateway's own are stand-ins, documentation addresses: {shown}"));
    }
    let automatic = compared.iter().any(|gateway| gateway.spec.config.allocate == IpAllocation::Auto);
    if automatic && !addresses.is_empty() {
        notes.push(
            "a gateway that is AUTO_ONLY is compared as MANUAL_ONLY where a number of natIps is given".to_owned(),
        );
    }
    let patched = |change: &Change| matches!(change, Change::PatchNat { gateway, .. } if gateways.contains(gateway));
    let patches =
        scenario.events.iter().filter(|event| event.at <= scenario.duration && patched(&event.change)).count();
    if patches > 0 {
        let events = if patches == 1 { "1 event applies" } else { &format!("{patches} events apply") };
        notes.push(format!("{events} on top of every setting during the run: patchNat"));
    }
    notes
}
