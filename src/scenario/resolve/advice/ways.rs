//! Which way loads take, and where that is not the one that was meant: networks without a default route, services that take
//! no calls from outside, ranges of which Google does not say which way they go, and more connections than an instance may
//! begin, or has source ports for.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{gateway_of, is_public};
use crate::node::instance::EPHEMERAL;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::file::run::IngressTraffic;
use crate::scenario::lifecycle::peak_instances;
use crate::scenario::resolve::Resolver;
use crate::scenario::resolve::requests::DEFAULT_MAX_INSTANCES;
use crate::scenario::value::Dur;
use crate::scenario::{
    Arrivals, Attachment, Change, ClosedBy, Egress, HostLocation, Route, Scenario, Subnetwork, Traffic,
    TrafficProtocol, Workload, WorkloadKind,
};

impl Resolver<'_> {
    pub(super) fn ways(&mut self) {
        let mut found = self.no_default_route();
        found.extend(self.internal_ingress());
        found.extend(self.ambiguous_ranges());
        found.extend(self.connection_rates());
        found.extend(self.source_ports());
        found.extend(self.default_max_instances());
        self.diagnostics.extend(found);
    }

    /// S22: all traffic goes into a network that has no route for it.
    fn no_default_route(&self) -> Vec<Diagnostic> {
        let scenario = &self.out;
        let mut found = Vec::new();
        for (at, workload) in scenario.workloads.iter().enumerate() {
            let Some(subnetwork) = self.exit_subnetwork(workload).filter(|_| workload.egress() == Egress::AllTraffic)
            else {
                continue;
            };
            if has_default_route(scenario, workload, subnetwork) {
                continue;
            }
            // A network that is closed on purpose has neither a gateway nor somebody who wants to get out.
            let nat = gateway_of(scenario, subnetwork);
            let lost = scenario.traffic.iter().zip(&self.details.traffic).find(|(traffic, _)| {
                traffic.from == at
                    && goes_outside(scenario, traffic)
                    && !has_route(scenario, workload, subnetwork, scenario.address_of(traffic))
            });
            let place = match (nat, lost) {
                (None, None) => continue,
                (_, Some((_, (place, _)))) => *place,
                _ => self.details.workloads[at],
            };
            let subnet = &scenario.subnetworks[subnetwork];
            let network = &scenario.networks[subnet.network].name;
            let message = format!(
                "`{}` sends all traffic into network `{network}`, which has no default route: public destinations, Google APIs included, are dropped as NO_ROUTE, and Cloud NAT is never asked",
                workload.name
            );
            found.push(
                Diagnostic::warning("no-default-route", message)
                    .at(place)
                    .related(self.details.subnetworks[subnetwork].place, "leaves from here")
                    .help("add a route to 0.0.0.0/0 with `nextHopGateway: default-internet-gateway`"),
            );
        }
        found
    }

    /// S8: calls of a service that is internal, by the way that counts as external.
    fn internal_ingress(&self) -> Vec<Diagnostic> {
        let scenario = &self.out;
        let ranges = scenario.model.cloud_run.private_ranges();
        let mut found = Vec::new();
        for service in &self.file.services {
            let Some(ingress) = &service.ingress else { continue };
            let setting = match ingress.value {
                IngressTraffic::IngressTrafficInternalOnly => "INGRESS_TRAFFIC_INTERNAL_ONLY",
                IngressTraffic::IngressTrafficInternalLoadBalancer => "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER",
                _ => continue,
            };
            let urls: Vec<_> = service.uri.iter().chain(service.urls.iter().flatten()).collect();
            for (traffic, (place, _)) in scenario.traffic.iter().zip(&self.details.traffic) {
                let Some(host) = traffic.host.map(|host| &scenario.hosts[host]) else { continue };
                let caller = &scenario.workloads[traffic.from];
                let direct = matches!(caller.attachment(), Attachment::Direct { .. });
                let by_vpc = *caller.attachment() != Attachment::None
                    && (caller.egress() == Egress::AllTraffic || ranges.contain(scenario.address_of(traffic), direct));
                if by_vpc || !urls.iter().any(|url| host_of(url) == host.name) {
                    continue;
                }
                let message = format!(
                    "`{}` calls `{}` by Cloud Run's own internet egress, which counts as external, and is refused: its ingress is {setting}",
                    caller.name,
                    service.name.name()
                );
                found.push(
                    Diagnostic::warning("internal-ingress", message)
                        .at(*place)
                        .related(ingress.place, "the ingress setting")
                        .help("send the call through a VPC network: `egress: ALL_TRAFFIC` on a subnet with Private Google Access, or an address of private.googleapis.com for run.app"),
                );
            }
        }
        found
    }

    /// Destinations of which Google does not say whether they are private ranges.
    fn ambiguous_ranges(&self) -> Vec<Diagnostic> {
        let scenario = &self.out;
        let ranges = scenario.model.cloud_run.private_ranges();
        let mut found = Vec::new();
        for (traffic, (place, _)) in scenario.traffic.iter().zip(&self.details.traffic) {
            let workload = &scenario.workloads[traffic.from];
            let direct = matches!(workload.attachment(), Attachment::Direct { .. });
            if *workload.attachment() == Attachment::None || workload.egress() == Egress::AllTraffic {
                continue;
            }
            let to = scenario.address_of(traffic);
            let Some(range) = ranges.ambiguous(to) else { continue };
            let way = if ranges.contain(to, direct) { "into the VPC network" } else { "to the internet" };
            let message = format!(
                "Google does not say which way PRIVATE_RANGES_ONLY sends {range}: {} is assumed to go {way}",
                traffic.to
            );
            found.push(
                Diagnostic::warning("ambiguous-private-range", message)
                    .at(*place)
                    .related(self.details.workloads[traffic.from], "the workload")
                    .help("set `model.cloudRun.extraPrivateRanges` or `classEDirect` to see the other way; ALL_TRAFFIC leaves no doubt"),
            );
        }
        found
    }

    /// More new connections a second than instances may begin.
    fn connection_rates(&self) -> Vec<Diagnostic> {
        let scenario = &self.out;
        let mut loads: BTreeMap<usize, (f64, usize)> = BTreeMap::new();
        for (at, traffic) in scenario.traffic.iter().enumerate() {
            if traffic.protocol == TrafficProtocol::Icmp {
                continue;
            }
            let Some(rate) = connections_per_second(traffic) else { continue };
            loads.entry(traffic.from).or_insert((0.0, at)).0 += rate;
        }
        let too_many = loads.into_iter().filter_map(|(from, (rate, traffic))| {
            let limit = scenario.connections_per_second(from)?;
            let workload = &scenario.workloads[from];
            let instances = peak_instances(scenario, from).max(1);
            if rate <= f64::from(limit) * f64::from(instances) {
                return None;
            }
            let whose = if workload.first_generation { "a function of the 1st generation" } else { "it here" };
            let message = format!(
                "`{}` begins {rate} connections a second with up to {instances} instances, and each may begin {limit} ({whose}): the others fail at once",
                workload.name
            );
            Some(
                Diagnostic::warning("connection-rate", message)
                    .at(self.details.traffic[traffic].1)
                    .related(self.details.workloads[from], "the workload")
                    .help("keep connections open, or use more instances"),
            )
        });
        too_many.collect()
    }

    /// More new connections to one destination than source ports come back for.
    fn source_ports(&self) -> Vec<Diagnostic> {
        let scenario = &self.out;
        let time_wait = scenario.model.client.time_wait;
        let mut loads: BTreeMap<(usize, IpAddr, u16), (f64, f64, usize)> = BTreeMap::new();
        for (at, traffic) in scenario.traffic.iter().enumerate() {
            if traffic.protocol != TrafficProtocol::Tcp || traffic.closed_by != ClosedBy::Client {
                continue;
            }
            let Some(rate) = connections_per_second(traffic) else { continue };
            let key = (traffic.from, scenario.address_of(traffic), traffic.port);
            let load = loads.entry(key).or_insert((0.0, 0.0, at));
            let lasts = traffic.stop.min(scenario.duration).saturating_sub(traffic.start);
            let holds = (traffic.lifetime + time_wait).min(lasts);
            load.0 += rate;
            load.1 += rate * holds.as_secs_f64();
        }
        let too_many = loads.into_iter().filter_map(|((from, ..), (rate, ports, at))| {
            let instances = peak_instances(scenario, from).max(1);
            let each = EPHEMERAL.len();
            let available = f64::from(instances) * each as f64;
            if ports <= available {
                return None;
            }
            let message = format!(
                "`{}` begins {rate} connections a second to one destination and closes them first: each of its {instances} instances has {each} source ports, of which each rests for {} afterwards",
                scenario.workloads[from].name,
                Dur(time_wait)
            );
            Some(
                Diagnostic::warning("source-ports", message)
                    .at(self.details.traffic[at].1)
                    .related(self.details.workloads[from], "the workload")
                    .help("keep connections open (`requests` with a `pool`), or use more instances: the others fail at once as SIM_NO_SOURCE_PORT"),
            )
        });
        too_many.collect()
    }

    /// More instances than Google would start without a word.
    fn default_max_instances(&self) -> Vec<Diagnostic> {
        let scenario = &self.out;
        let mut found = Vec::new();
        for (at, workload) in scenario.workloads.iter().enumerate() {
            let scales = matches!(workload.kind, WorkloadKind::Service | WorkloadKind::Function);
            let unlimited = workload.revisions.iter().any(|revision| revision.max_instances.is_none());
            let most = peak_instances(scenario, at);
            let own = !workload.first_generation && !self.details.manual.contains(&at);
            if scales && unlimited && own && most > DEFAULT_MAX_INSTANCES {
                let message = format!(
                    "`{}` has up to {most} instances and no maxInstanceCount, which Google sets to {DEFAULT_MAX_INSTANCES}",
                    workload.name
                );
                found.push(
                    Diagnostic::note("default-max-instances", message)
                        .at(self.details.workloads[at])
                        .help("write `scaling: {maxInstanceCount: …}`"),
                );
            }
        }
        found
    }
}

/// The host of a URL.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', ':', '?']).next().unwrap_or(rest)
}

/// Whether a load is to the internet, or to Google.
fn goes_outside(scenario: &Scenario, traffic: &Traffic) -> bool {
    let location = traffic.host.map(|host| &scenario.hosts[host].location);
    matches!(location, None | Some(HostLocation::Internet | HostLocation::GoogleApi))
        && scenario.ipv4_address_of(traffic).is_some_and(is_public)
}

/// Routes that are there for a workload at the start, or come to be.
fn routes<'a>(scenario: &'a Scenario, workload: &'a Workload, subnetwork: usize) -> impl Iterator<Item = &'a Route> {
    let network = scenario.subnetworks[subnetwork].network;
    let added = scenario.events.iter().filter_map(|event| match &event.change {
        Change::AddRoute(route) => Some(&**route),
        _ => None,
    });
    let mine = move |route: &&Route| {
        let tagged = match workload.attachment() {
            Attachment::Direct { tags, .. } => route.tags.iter().any(|tag| tags.contains(tag)),
            Attachment::Connector(at) => {
                let connector = &scenario.connectors[*at];
                let own = format!("vpc-connector-{}-{}", connector.region, connector.name);
                route.tags.iter().any(|tag| *tag == own || tag == "vpc-connector")
            }
            Attachment::None => false,
        };
        route.network == network && (route.tags.is_empty() || tagged)
    };
    scenario.routes.iter().chain(added).filter(mine)
}

/// Whether anything leads to the internet as a whole. What peers export is not known here, and gets the benefit of the doubt.
pub(super) fn has_default_route(scenario: &Scenario, workload: &Workload, subnetwork: usize) -> bool {
    let network = scenario.subnetworks[subnetwork].network;
    let halves = routes(scenario, workload, subnetwork).any(|it| it.dest.addr().is_ipv4() && it.dest.prefix_len() <= 1);
    halves
        || scenario.networks[network].peerings.iter().any(|peering| peering.import_custom_routes)
        || scenario.policy_routes.iter().any(|it| it.network == network && it.next_hop.is_some())
}

fn has_route(scenario: &Scenario, workload: &Workload, subnetwork: usize, to: IpAddr) -> bool {
    let network = scenario.subnetworks[subnetwork].network;
    let local = |it: &Subnetwork| it.ranges().any(|range| range.contains(&to));
    routes(scenario, workload, subnetwork).any(|route| route.dest.contains(&to))
        || scenario.subnetworks.iter().any(|it| it.network == network && local(it))
}

/// New connections a second, on average when there are most; `None` for those that come all at once, and for pools, which keep
/// theirs.
fn connections_per_second(traffic: &Traffic) -> Option<f64> {
    let calls = match &traffic.requests {
        Some(requests) if requests.pool.is_some() => return None,
        Some(requests) => f64::from(requests.calls),
        None => 1.0,
    };
    match traffic.arrivals {
        Arrivals::Poisson(rate) | Arrivals::Constant(rate) => Some(rate * calls),
        Arrivals::Count(_) | Arrivals::Workers(_) => None,
    }
}
