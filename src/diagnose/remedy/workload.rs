//! Changes of Cloud Run workloads, their way into the VPC network, and connectors.

use std::collections::BTreeSet;

use ipnet::Ipv4Net;
use serde_json::{Value, json};

use super::{Choice, Ill, Proposal};
use crate::bench::plan::gateways_in_file;
use crate::diagnose::document::Edit;
use crate::scenario::lifecycle;
use crate::scenario::{Attachment, Change, Egress, HostLocation, MachineType, Scenario, Workload, WorkloadKind};

/// Google: a connector has 2 to 9 instances at least and 3 to 10 at most
/// (<https://docs.cloud.google.com/run/docs/configuring/vpc-connectors>, 2026).
const MOST_MIN_INSTANCES: u32 = 9;
/// How many times as many instances are tried.
const TIMES: [u32; 4] = [2, 4, 8, 16];
/// Instances that are tried at most: Google's default quota for Direct VPC egress.
const MOST_INSTANCES: u32 = 100;
/// Prefix lengths of subnets that are tried: Google advises /26 or larger.
const SMALLEST_SUBNET: u8 = 26;
const LARGEST_SUBNET: u8 = 20;

/// Where a workload is in the document.
fn pointer(ill: &Ill<'_>, workload: usize) -> Option<String> {
    let file = ill.case.file;
    let spec = &ill.case.scenario.workloads[workload];
    let named = |name: &str| name == spec.name;
    let (list, place) = match spec.kind {
        WorkloadKind::Service => ("services", file.services.iter().position(|it| named(it.name.name()))),
        WorkloadKind::Job => ("jobs", file.jobs.iter().position(|it| named(it.name.name()))),
        WorkloadKind::WorkerPool => ("workerPools", file.worker_pools.iter().position(|it| named(it.name.name()))),
        WorkloadKind::Function => ("functions", file.functions.iter().position(|it| named(it.name.name()))),
    };
    Some(format!("/{list}/{}", place?))
}

/// A way into a VPC network.
#[derive(Clone, Copy)]
enum Way<'a> {
    Connector(&'a str),
    Direct { network: &'a str, subnetwork: &'a str },
}

/// Gives a workload this way, with the egress setting that it has.
fn give_way(ill: &Ill<'_>, edit: Edit, workload: usize, way: Way<'_>) -> Option<Edit> {
    let spec = &ill.case.scenario.workloads[workload];
    let at = pointer(ill, workload)?;
    let all = spec.egress() == Egress::AllTraffic;
    let interface = |network: &str, subnetwork: &str| {
        let mut interface = json!({"network": network, "subnetwork": subnetwork});
        if let Attachment::Direct { tags, .. } = spec.attachment()
            && !tags.is_empty()
        {
            interface["tags"] = json!(tags);
        }
        json!([interface])
    };
    let egress = if all { "ALL_TRAFFIC" } else { "PRIVATE_RANGES_ONLY" };
    let access = match spec.kind {
        WorkloadKind::Service | WorkloadKind::WorkerPool => format!("{at}/template/vpcAccess"),
        WorkloadKind::Job => format!("{at}/template/template/vpcAccess"),
        WorkloadKind::Function => {
            let config = format!("{at}/serviceConfig");
            return Some(match way {
                Way::Connector(name) => edit
                    .remove(&format!("{config}/directVpcNetworkInterface"))
                    .remove(&format!("{config}/directVpcEgress"))
                    .set(&format!("{config}/vpcConnector"), name)
                    .set(&format!("{config}/vpcConnectorEgressSettings"), egress),
                Way::Direct { network, subnetwork } => edit
                    .remove(&format!("{config}/vpcConnector"))
                    .remove(&format!("{config}/vpcConnectorEgressSettings"))
                    .set(&format!("{config}/directVpcNetworkInterface"), interface(network, subnetwork))
                    .set(&format!("{config}/directVpcEgress"), format!("VPC_EGRESS_{egress}")),
            });
        }
    };
    Some(match way {
        Way::Connector(name) => edit.set(&access, json!({"connector": name, "egress": egress})),
        Way::Direct { network, subnetwork } => {
            edit.set(&access, json!({"networkInterfaces": interface(network, subnetwork), "egress": egress}))
        }
    })
}

/// Names of workloads, when there are others.
fn names(ill: &Ill<'_>, workloads: &[usize]) -> String {
    let all = &ill.case.scenario.workloads;
    if workloads.len() == all.len() {
        return String::new();
    }
    let names: Vec<_> = workloads.iter().map(|&workload| all[workload].name.as_str()).collect();
    format!(" (of {})", names.join(", "))
}

/// The workloads of a cause that are attached in some way.
fn attached(ill: &Ill<'_>, is_so: impl Fn(&Attachment) -> bool) -> Vec<usize> {
    let workloads = &ill.case.scenario.workloads;
    ill.workloads().into_iter().filter(|&workload| is_so(workloads[workload].attachment())).collect()
}

/// A range of this size that nothing in the scenario has.
fn free_range(scenario: &Scenario, prefix: u8) -> Option<Ipv4Net> {
    let subnets = scenario.subnetworks.iter().flat_map(|subnet| subnet.ranges());
    let hosts = scenario.hosts.iter().flat_map(|host| host.addresses.iter().copied());
    let routes = scenario.routes.iter().map(|route| route.dest);
    let taken: Vec<Ipv4Net> = (subnets.chain(hosts).chain(routes))
        .filter_map(|range| match range {
            ipnet::IpNet::V4(range) if range.prefix_len() > 0 => Some(range),
            _ => None,
        })
        .collect();
    let candidates = Ipv4Net::new([10, 200, 0, 0].into(), 14).ok()?.subnets(prefix).ok()?;
    let overlaps = |range: &Ipv4Net, other: &Ipv4Net| range.contains(other) || other.contains(range);
    candidates.into_iter().find(|range| !taken.iter().any(|other| overlaps(range, other)))
}

/// A new subnet. Gateways that serve a list of subnets of its network and region serve it, too.
fn add_subnet(ill: &Ill<'_>, edit: Edit, name: &str, network: usize, region: &str, range: Ipv4Net) -> Edit {
    let scenario = ill.case.scenario;
    let made = json!({
        "name": name, "network": scenario.networks[network].name, "region": region, "ipCidrRange": range.to_string(),
    });
    let places = gateways_in_file(ill.case.file, scenario);
    let near = scenario.nat_gateways.iter().zip(places).filter(|(it, _)| it.network == network && it.region == region);
    near.fold(edit.push("/subnetworks", made), |edit, (_, place)| {
        let list = format!("/routers/{}/nats/{}/subnetworks", place.router, place.nat);
        match edit.at(&list) {
            Some(_) => edit.push(&list, json!({"name": name, "sourceIpRangesToNat": ["ALL_IP_RANGES"]})),
            None => edit,
        }
    })
}

/// The prefix length of a subnet for so many addresses.
fn prefix_for(addresses: u32) -> u8 {
    let bits = (addresses + 4).next_power_of_two().trailing_zeros() as u8;
    (32 - bits).min(SMALLEST_SUBNET)
}

/// Direct VPC egress instead of a connector: each instance has ports and a link of its own.
pub(super) fn direct_instead_of_connector(ill: &Ill<'_>) -> Option<Proposal> {
    let scenario = ill.case.scenario;
    let workloads = attached(ill, |attachment| matches!(attachment, Attachment::Connector(_)));
    let &first = workloads.first()?;
    let Attachment::Connector(connector) = scenario.workloads[first].attachment() else { return None };
    let connector = &scenario.connectors[*connector];
    let network = &scenario.networks[connector.network].name;
    let addresses: u32 = workloads.iter().map(|&at| most_instances(scenario, at) * 2).sum();
    let room = |range: Ipv4Net| (1u64 << (32 - range.prefix_len())) >= u64::from(addresses) + 4;
    let own = |at: usize| scenario.connectors.iter().any(|connector| connector.subnetwork == at);
    let existing = (0..scenario.subnetworks.len()).find(|&at| {
        let subnet = &scenario.subnetworks[at];
        let fits = subnet.network == connector.network && subnet.region == connector.region && !own(at);
        fits && subnet.range.prefix_len() <= SMALLEST_SUBNET && room(subnet.range)
    });
    let (mut edit, subnetwork) = match existing {
        Some(at) => (ill.edit(), scenario.subnetworks[at].name.clone()),
        None => {
            let name = format!("{}-direct", connector.name);
            let range = free_range(scenario, prefix_for(addresses))?;
            (add_subnet(ill, ill.edit(), &name, connector.network, &connector.region, range), name)
        }
    };
    for &workload in &workloads {
        edit = give_way(ill, edit, workload, Way::Direct { network, subnetwork: &subnetwork })?;
    }
    let change = format!("Direct VPC egress (subnet {subnetwork}) instead of the connector{}", names(ill, &workloads));
    let choice = Choice::new(change, edit)
        .effect("instances that start during the run reach nothing for some seconds, longer through Cloud NAT");
    Proposal::single(super::nat::with_ips(ill, choice))
}

/// Whether a workload of the cause has Direct VPC egress on the subnet of a connector.
pub(super) fn is_on_connector_subnet(ill: &Ill<'_>) -> bool {
    let scenario = ill.case.scenario;
    let subnets = ill.workloads().into_iter().filter_map(|workload| scenario.subnetwork_of(workload));
    let direct = |attachment: &Attachment| matches!(attachment, Attachment::Direct { .. });
    let taken = |subnet: usize| scenario.connectors.iter().any(|connector| connector.subnetwork == subnet);
    !attached(ill, direct).is_empty() && subnets.into_iter().any(taken)
}

/// A connector instead of Direct VPC egress: no closed window, few endpoints.
pub(super) fn connector_instead_of_direct(ill: &Ill<'_>) -> Option<Proposal> {
    let scenario = ill.case.scenario;
    let workloads = attached(ill, |attachment| matches!(attachment, Attachment::Direct { .. }));
    let &first = workloads.first()?;
    let Attachment::Direct { network: at, .. } = *scenario.workloads[first].attachment() else { return None };
    let region = &scenario.workloads[first].region;
    let fits = |connector: &&crate::scenario::Connector| {
        connector.network == at && connector.region == *region && connector.ready
    };
    let (mut edit, name) = match scenario.connectors.iter().find(fits) {
        Some(connector) => (ill.edit(), connector.name.clone()),
        None => {
            let name = "more-connector";
            let mut edit = add_subnet(ill, ill.edit(), name, at, region, free_range(scenario, 28)?);
            // Google's APIs are to be reached as before.
            let reaches_google = |workload| {
                let subnet = scenario.subnetwork_of(workload);
                subnet.is_some_and(|subnet| scenario.subnetworks[subnet].private_google_access)
            };
            if workloads.iter().any(|&workload| reaches_google(workload)) {
                let last = edit.at("/subnetworks").and_then(Value::as_array).map_or(0, |list| list.len() - 1);
                edit = edit.set(&format!("/subnetworks/{last}/privateIpGoogleAccess"), true);
            }
            let connector = json!({"name": name, "region": region, "subnet": {"name": name}});
            (edit.push("/connectors", connector), name.to_owned())
        }
    };
    for &workload in &workloads {
        edit = give_way(ill, edit, workload, Way::Connector(&name))?;
    }
    let change = format!("connector {name} instead of Direct VPC egress{}", names(ill, &workloads));
    let choice = Choice::new(change, edit).effect("a connector carries TCP and UDP only");
    Proposal::single(super::nat::with_ips(ill, choice))
}

/// More connector VMs from the start.
pub(super) fn connector_instances(ill: &Ill<'_>) -> Option<Proposal> {
    let connectors = ill.connectors();
    let &connector = connectors.first()?;
    let spec = &ill.case.scenario.connectors[connector];
    let at = format!("/connectors/{connector}");
    let choices = (spec.min_instances + 1..=MOST_MIN_INSTANCES).map(|instances| {
        let mut edit = ill.edit().remove(&format!("{at}/minThroughput")).remove(&format!("{at}/maxThroughput"));
        edit = edit.set(&format!("{at}/minInstances"), instances);
        if spec.max_instances <= instances || ill.edit().at(&format!("{at}/maxThroughput")).is_some() {
            edit = edit.set(&format!("{at}/maxInstances"), spec.max_instances.max(instances + 1));
        }
        let change = format!("minInstances of {}: {} -> {instances}", spec.name, spec.min_instances);
        super::nat::with_ips(ill, Choice::new(change, edit))
    });
    Proposal::of(choices.collect())
}

/// Larger connector VMs.
pub(super) fn machine_type(ill: &Ill<'_>) -> Option<Proposal> {
    let connectors = ill.connectors();
    let &connector = connectors.first()?;
    let spec = &ill.case.scenario.connectors[connector];
    let now = machine_name(spec.machine_type);
    let larger = [MachineType::E2Micro, MachineType::E2Standard4]
        .into_iter()
        .filter(|machine| machine.bits_per_second() > spec.machine_type.bits_per_second());
    let choices = larger.map(|machine| {
        let name = machine_name(machine);
        let edit = ill.edit().set(&format!("/connectors/{connector}/machineType"), name);
        Choice::new(format!("machineType of {}: {now} -> {name}", spec.name), edit)
    });
    Proposal::of(choices.collect())
}

/// What Google calls it.
const fn machine_name(machine: MachineType) -> &'static str {
    match machine {
        MachineType::F1Micro => "f1-micro",
        MachineType::E2Micro => "e2-micro",
        MachineType::E2Standard4 => "e2-standard-4",
    }
}

/// The most instances that a workload ever is to have, its events included.
fn most_instances(scenario: &Scenario, at: usize) -> u32 {
    let scaled = scenario.events.iter().filter_map(|event| match event.change {
        Change::Scale { workload, instances, .. } if workload == at => Some(instances),
        _ => None,
    });
    scaled.chain([scenario.workloads[at].instances]).max().unwrap_or(1).max(1)
}

/// More instances share the load, as with fewer requests at a time for each.
pub(super) fn more_instances(ill: &Ill<'_>) -> Option<Proposal> {
    let scenario = ill.case.scenario;
    if !ill.case.input.has_loads() {
        return None;
    }
    let workloads = attached(ill, |attachment| !matches!(attachment, Attachment::Connector(_)));
    let &workload = workloads.first()?;
    let spec = &scenario.workloads[workload];
    let scales = |change: &Change| matches!(change, Change::Scale { workload: at, .. } if *at == workload);
    if scenario.events.iter().any(|event| scales(&event.change)) {
        return None;
    }
    let at = pointer(ill, workload)?;
    let choices = TIMES.into_iter().map(|times| spec.instances * times).filter(|&count| count <= MOST_INSTANCES);
    let choices = choices.map(|count| {
        let change = format!("instances of {}: {} -> {count}", spec.name, spec.instances);
        super::nat::with_ips(ill, Choice::new(change, ill.edit().set(&format!("{at}/instances"), count)))
    });
    Proposal::of(choices.collect())
}

/// Instances that are there before they are needed.
pub(super) fn warm_instances(ill: &Ill<'_>) -> Option<Proposal> {
    let scenario = ill.case.scenario;
    if let [workload] = ill.workloads()[..]
        && scenario.workloads[workload].autoscaled.is_some()
    {
        return warm_service(ill, workload);
    }
    let mut edit = ill.edit();
    let mut changes = Vec::new();
    for workload in ill.workloads() {
        let Workload { name, kind, instances, .. } = &scenario.workloads[workload];
        let most = most_instances(scenario, workload);
        if most <= *instances || *kind == WorkloadKind::Job {
            continue;
        }
        let at = pointer(ill, workload)?;
        let field = match kind {
            _ if edit.at(&format!("{at}/instances")).is_some() => "instances",
            WorkloadKind::Service => "template/scaling/minInstanceCount",
            WorkloadKind::WorkerPool => "instances",
            WorkloadKind::Function | WorkloadKind::Job => "serviceConfig/minInstanceCount",
        };
        edit = edit.set(&format!("{at}/{field}"), most);
        changes.push(format!("minInstanceCount of {name}: {instances} -> {most}"));
    }
    if changes.is_empty() {
        return None;
    }
    Proposal::single(Choice::new(changes.join(", "), edit).effect("warm instances cost while they are idle"))
}

/// The same for a service that Cloud Run scales: from a few to as many as it had, and at first as many as its requests need on
/// average.
fn warm_service(ill: &Ill<'_>, workload: usize) -> Option<Proposal> {
    let scenario = ill.case.scenario;
    let spec = &scenario.workloads[workload];
    let least = spec.autoscaled?;
    let peak = ill.summary.autoscaled.iter().find(|service| service.name == spec.name)?.peak_instances;
    let needed = lifecycle::peak_instances(scenario, workload);
    let at = pointer(ill, workload)?;
    let field = match spec.kind {
        WorkloadKind::Function => "serviceConfig/minInstanceCount",
        _ => "template/scaling/minInstanceCount",
    };
    let mut counts = vec![needed, peak];
    let mut next = least.max(1) + 1;
    while next < peak {
        counts.push(next);
        next += next.div_ceil(2);
    }
    counts.retain(|count| *count > least);
    counts.sort_unstable();
    counts.dedup();
    let start = counts.iter().position(|count| *count == needed).unwrap_or(0);
    let choices = counts.into_iter().map(|count| {
        let edit = ill.edit().set(&format!("{at}/{field}"), count);
        Choice::new(format!("minInstanceCount of {}: {least} -> {count}", spec.name), edit)
            .effect("warm instances cost while they are idle")
    });
    Some(Proposal { choices: choices.collect(), start }).filter(|proposal| !proposal.choices.is_empty())
}

/// The subnet, expanded.
pub(super) fn larger_subnet(ill: &Ill<'_>) -> Option<Proposal> {
    let scenario = ill.case.scenario;
    let workloads = attached(ill, |attachment| matches!(attachment, Attachment::Direct { .. }));
    let Attachment::Direct { subnetwork, .. } = scenario.workloads[*workloads.first()?].attachment() else {
        return None;
    };
    let subnet = &scenario.subnetworks[*subnetwork];
    let place = ill.case.file.subnetworks.iter().position(|it| it.name.name() == subnet.name)?;
    let prefixes = (LARGEST_SUBNET..subnet.range.prefix_len().min(SMALLEST_SUBNET + 1)).rev();
    let choices = prefixes.filter_map(|prefix| {
        let range = Ipv4Net::new(subnet.range.addr(), prefix).ok()?.trunc();
        let edit = ill.edit().set(&format!("/subnetworks/{place}/ipCidrRange"), range.to_string());
        Some(Choice::new(format!("ipCidrRange of {}: {} -> {range}", subnet.name, subnet.range), edit))
    });
    Proposal::of(choices.collect())
}

/// Another subnet with room, where the first one cannot be expanded.
pub(super) fn another_subnet(ill: &Ill<'_>) -> Option<Proposal> {
    let scenario = ill.case.scenario;
    let workloads = attached(ill, |attachment| matches!(attachment, Attachment::Direct { .. }));
    let Attachment::Direct { network, subnetwork, .. } = scenario.workloads[*workloads.first()?].attachment() else {
        return None;
    };
    let (at, network) = (*network, &scenario.networks[*network].name);
    let subnet = &scenario.subnetworks[*subnetwork];
    let addresses: u32 = workloads.iter().map(|&at| most_instances(scenario, at) * 2).sum();
    let range = free_range(scenario, prefix_for(addresses * 2))?;
    let name = format!("{}-more", subnet.name);
    let mut edit = add_subnet(ill, ill.edit(), &name, at, &subnet.region, range);
    for &workload in &workloads {
        edit = give_way(ill, edit, workload, Way::Direct { network, subnetwork: &name })?;
    }
    Proposal::single(Choice::new(format!("a new subnet {name} {range}{}", names(ill, &workloads)), edit))
}

/// Public destinations by Cloud Run's own way.
pub(super) fn private_ranges_only(ill: &Ill<'_>) -> Option<Proposal> {
    let workloads: Vec<usize> = (ill.workloads().into_iter())
        .filter(|&workload| {
            let spec = &ill.case.scenario.workloads[workload];
            spec.egress() == Egress::AllTraffic && *spec.attachment() != Attachment::None
        })
        .collect();
    let mut edit = ill.edit();
    for &workload in &workloads {
        let at = pointer(ill, workload)?;
        let value = "PRIVATE_RANGES_ONLY";
        edit = match ill.case.scenario.workloads[workload].kind {
            WorkloadKind::Service | WorkloadKind::WorkerPool => {
                edit.set(&format!("{at}/template/vpcAccess/egress"), value)
            }
            WorkloadKind::Job => edit.set(&format!("{at}/template/template/vpcAccess/egress"), value),
            WorkloadKind::Function => {
                let direct = edit.at(&format!("{at}/serviceConfig/directVpcNetworkInterface")).is_some();
                let field = if direct { "directVpcEgress" } else { "vpcConnectorEgressSettings" };
                let value = if direct { "VPC_EGRESS_PRIVATE_RANGES_ONLY" } else { value };
                edit.set(&format!("{at}/serviceConfig/{field}"), value)
            }
        };
    }
    if workloads.is_empty() {
        return None;
    }
    let change = format!("egress: ALL_TRAFFIC -> PRIVATE_RANGES_ONLY{}", names(ill, &workloads));
    Proposal::single(Choice::new(change, edit).effect("the internet sees Google's shared addresses, not a static one"))
}

/// A way into the network that has the destination.
pub(super) fn attach(ill: &Ill<'_>) -> Option<Proposal> {
    let scenario = ill.case.scenario;
    let workloads = attached(ill, |attachment| *attachment == Attachment::None);
    let &first = workloads.first()?;
    let region = &scenario.workloads[first].region;
    let wanted: BTreeSet<usize> = (ill.loads())
        .filter_map(|load| match scenario.hosts[scenario.traffic[load].host?].location {
            HostLocation::Vpc(network) => Some(network),
            _ => None,
        })
        .collect();
    let in_use = |at: usize| scenario.connectors.iter().any(|connector| connector.subnetwork == at);
    let subnet =
        (0..scenario.subnetworks.len()).filter(|&at| !in_use(at)).map(|at| &scenario.subnetworks[at]).find(|subnet| {
            let in_network = wanted.is_empty() || wanted.contains(&subnet.network);
            in_network && subnet.region == *region && subnet.range.prefix_len() <= SMALLEST_SUBNET
        });
    let at = match subnet {
        Some(subnet) => subnet.network,
        None => wanted.first().copied().or((!scenario.networks.is_empty()).then_some(0))?,
    };
    let network = &scenario.networks[at].name;
    let (mut edit, name) = match subnet {
        Some(subnet) => (ill.edit(), subnet.name.clone()),
        None => {
            let addresses: u32 = workloads.iter().map(|&at| most_instances(scenario, at) * 2).sum();
            let name = "more-egress";
            (
                add_subnet(ill, ill.edit(), name, at, region, free_range(scenario, prefix_for(addresses))?),
                name.to_owned(),
            )
        }
    };
    for &workload in &workloads {
        edit = give_way(ill, edit, workload, Way::Direct { network, subnetwork: &name })?;
    }
    let change = format!("Direct VPC egress (subnet {name}) to network {network}{}", names(ill, &workloads));
    Proposal::single(Choice::new(change, edit))
}
