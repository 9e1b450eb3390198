//! Loads that do not get where they are meant to, or not when: no way into the network, Google APIs, instances that have
//! just started, connectors that carry less than is asked of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{gateway_of, is_public};
use crate::scenario::curve::Curve;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::lifecycle::{self, peak_instances};
use crate::scenario::resolve::Resolver;
use crate::scenario::value::Dur;
use crate::scenario::{Arrivals, Attachment, Change, Egress, HostLocation, MachineType, Scenario, Traffic};

/// Google's quota of instances with Direct VPC egress, for each revision; several pages of 2026 quote it, and it can be
/// raised.
const DIRECT_VPC_INSTANCES: u32 = 100;
/// Google: a single connector for thousands of instances can degrade
/// (<https://docs.cloud.google.com/vpc/docs/configure-serverless-vpc-access>, troubleshooting, 2026).
const INSTANCES_A_CONNECTOR: u32 = 1000;
/// Of the Knative API; the Admin API v2 has fields for them.
const NETWORK_ANNOTATIONS: [&str; 4] = [
    "run.googleapis.com/vpc-access-connector",
    "run.googleapis.com/vpc-access-egress",
    "run.googleapis.com/network-interfaces",
    "run.googleapis.com/vpc-egress",
];

impl Resolver<'_> {
    pub(super) fn reach(&mut self) {
        let mut found = self.private_without_vpc();
        found.extend(self.google_apis());
        found.extend(self.cold_egress());
        found.extend(self.connector_loads());
        found.extend(self.shared_subnets());
        found.extend(self.many_instances());
        found.extend(self.annotations());
        found.extend(self.notes());
        self.diagnostics.extend(found);
    }

    /// A private destination, from a workload that is attached to no network.
    fn private_without_vpc(&self) -> Vec<Diagnostic> {
        let loads = self.out.traffic.iter().zip(&self.details.traffic);
        let lost = loads.filter(|(traffic, _)| {
            *self.out.workloads[traffic.from].attachment() == Attachment::None && is_private(&self.out, traffic)
        });
        lost.map(|(traffic, (place, _))| {
            let name = &self.out.workloads[traffic.from].name;
            let message = format!(
                "{} is private, and `{name}` is attached to no VPC network: dropped as VPC_CONNECTOR_NOT_SET, which clients see as a timeout",
                traffic.to
            );
            Diagnostic::warning("private-without-vpc", message)
                .at(*place)
                .related(self.details.workloads[traffic.from], "the workload")
                .help("add `vpcAccess:` with a connector or a network interface")
        })
        .collect()
    }

    /// Google APIs, from workloads that send all traffic into the network.
    fn google_apis(&self) -> Vec<Diagnostic> {
        let scenario = &self.out;
        let mut found = Vec::new();
        for (traffic, (place, _)) in scenario.traffic.iter().zip(&self.details.traffic) {
            let google = traffic.host.is_some_and(|host| scenario.hosts[host].location == HostLocation::GoogleApi);
            let workload = &scenario.workloads[traffic.from];
            let Some(subnetwork) = self.exit_subnetwork(workload) else { continue };
            if !google || workload.egress() != Egress::AllTraffic {
                continue;
            }
            let subnet = &scenario.subnetworks[subnetwork];
            let nat = gateway_of(scenario, subnetwork);
            if !subnet.private_google_access && nat.is_none() {
                let message = format!(
                    "`{}` sends all traffic into subnet `{}`, which has neither Private Google Access nor Cloud NAT: Google APIs are dropped as PRIVATE_GOOGLE_ACCESS_DISALLOWED",
                    workload.name, subnet.name
                );
                found.push(
                    Diagnostic::warning("google-apis-unreachable", message)
                        .at(*place)
                        .related(self.details.subnetworks[subnetwork].place, "the subnet")
                        .help("set `privateIpGoogleAccess: true`, or egress PRIVATE_RANGES_ONLY"),
                );
            } else if let Some(gateway) = nat {
                let message = format!(
                    "`{}` reaches Google APIs by Private Google Access: they see no address of gateway `{}`, and API keys that are restricted to it do not match",
                    workload.name, scenario.nat_gateways[gateway].name
                );
                found.push(
                    Diagnostic::note("google-apis-bypass-nat", message)
                        .at(*place)
                        .help("restrict the key otherwise, such as by service account"),
                );
            }
        }
        found
    }

    /// Instances that start while a load runs, with a way out that opens late.
    fn cold_egress(&self) -> Vec<Diagnostic> {
        let scenario = &self.out;
        let model = &scenario.model.cloud_run;
        let ranges = model.private_ranges();
        let plan = lifecycle::forecast(scenario);
        let (nat, vpc) = (model.egress_open_nat_median, model.egress_open_vpc_median);
        // The two windows are in proportion.
        let times = if nat.is_zero() { 1.0 } else { vpc.as_secs_f64() / nat.as_secs_f64() };
        let vpc_max = model.egress_open_nat_max.mul_f64(times);
        let mut found = Vec::new();
        for (traffic, (place, _)) in scenario.traffic.iter().zip(&self.details.traffic) {
            let workload = &scenario.workloads[traffic.from];
            let Attachment::Direct { subnetwork, .. } = *workload.attachment() else { continue };
            let all = workload.egress() == Egress::AllTraffic;
            let google = traffic.host.is_some_and(|host| scenario.hosts[host].location == HostLocation::GoogleApi);
            let to = scenario.address_of(traffic);
            let public = scenario.ipv4_address_of(traffic).is_some_and(is_public);
            let through_nat = all && !google && public && gateway_of(scenario, subnetwork).is_some();
            let inside = ranges.contain(to, true) || all && google;
            let (where_to, median, max) = match (through_nat, inside) {
                (true, _) => ("behind Cloud NAT", nat, model.egress_open_nat_max),
                (_, true) => ("in the VPC network, and Google APIs,", vpc, vpc_max),
                _ => continue,
            };
            let starts = plan.iter().filter(|it| it.workload == traffic.from && !it.at.is_zero() && it.starts > 0);
            let first = starts.map(|it| it.at).find(|at| *at < traffic.stop);
            let Some(first) = first.filter(|_| traffic.patience() < max) else { continue };
            let message = format!(
                "instances of `{}` that start (the first after {}) reach destinations {where_to} only after {} (median) to {}, and the load gives up after {}",
                workload.name,
                Dur(first),
                Dur(median),
                Dur(max),
                Dur(traffic.patience())
            );
            found.push(
                Diagnostic::warning("cold-egress", message)
                    .at(*place)
                    .related(self.details.workloads[traffic.from], "the workload")
                    .help("a startup probe that tests the destination, patient retries, warm instances, or a connector: Google advises one with Cloud NAT where start-up time matters"),
            );
        }
        found
    }

    /// More traffic than a connector's VMs carry, at the time when its loads ask for most together.
    fn connector_loads(&self) -> Vec<Diagnostic> {
        let scenario = &self.out;
        let mut loads: BTreeMap<usize, Vec<(usize, &Traffic)>> = BTreeMap::new();
        for (at, traffic) in scenario.traffic.iter().enumerate() {
            let workload = &scenario.workloads[traffic.from];
            let Attachment::Connector(connector) = *workload.attachment() else { continue };
            if workload.egress() == Egress::AllTraffic || is_private(scenario, traffic) {
                loads.entry(connector).or_default().push((at, traffic));
            }
        }
        let too_much = loads.into_iter().filter_map(|(at, loads)| {
            // They ask for more only when one of them begins, or its rate rises.
            let rises = loads.iter().flat_map(|(_, load)| {
                let rises = load.curve.as_ref().map(|curve| curve.rises()).unwrap_or_default();
                rises.into_iter().chain([load.start])
            });
            let asked = |time| loads.iter().map(|(_, load)| bits_per_second(load, time)).sum::<f64>();
            let (bits, time) = rises.map(|time| (asked(time), time)).max_by(|a, b| a.0.total_cmp(&b.0))?;
            let (traffic, _) = *loads.iter().find(|(_, load)| bits_per_second(load, time) > 0.0)?;
            let connector = &scenario.connectors[at];
            let each = connector.machine_type.bits_per_second() as f64;
            let (least, most) = (each * f64::from(connector.min_instances), each * f64::from(connector.max_instances));
            if bits <= least {
                return None;
            }
            let mbps = |bits: f64| format!("{:.0} Mbps", bits / 1e6);
            let kind = match connector.machine_type {
                MachineType::F1Micro => "f1-micro",
                MachineType::E2Micro => "e2-micro",
                MachineType::E2Standard4 => "e2-standard-4",
            };
            let message = format!(
                "connector `{}` is asked for {} on average, its {} {kind} VMs carry {} for long, and {} of them {}",
                connector.name,
                mbps(bits),
                connector.min_instances,
                mbps(least),
                connector.max_instances,
                mbps(most)
            );
            let help = if kind == "e2-standard-4" {
                "raise minInstances or maxInstances, divide the load between connectors, or use Direct VPC egress"
            } else {
                "shared cores carry more for a minute or two only: use e2-standard-4, more instances, or Direct VPC egress"
            };
            Some(
                Diagnostic::warning("connector-throughput", message)
                    .at(self.details.traffic[traffic].1)
                    .related(self.details.connectors[at], "the connector")
                    .help(help),
            )
        });
        too_much.collect()
    }

    /// Direct VPC egress on a connector's subnet.
    fn shared_subnets(&self) -> Vec<Diagnostic> {
        let scenario = &self.out;
        let mut found = Vec::new();
        for (workload, place) in scenario.workloads.iter().zip(&self.details.workloads) {
            let Attachment::Direct { subnetwork, .. } = *workload.attachment() else { continue };
            let owner = scenario.connectors.iter().position(|connector| connector.subnetwork == subnetwork);
            if let Some(connector) = owner {
                let message = format!(
                    "`{}` uses Direct VPC egress on the subnet of connector `{}`: a connector's /28 is for nobody else, and has no addresses left",
                    workload.name, scenario.connectors[connector].name
                );
                found.push(
                    Diagnostic::warning("connector-subnet", message)
                        .at(*place)
                        .related(self.details.connectors[connector], "the connector")
                        .help("use one of the two, or a subnet of its own of /26 or larger"),
                );
            }
        }
        found
    }

    /// More instances than a quota or a connector is good for.
    fn many_instances(&self) -> Vec<Diagnostic> {
        let scenario = &self.out;
        let mut found = Vec::new();
        let mut behind: BTreeMap<usize, u32> = BTreeMap::new();
        for (at, workload) in scenario.workloads.iter().enumerate() {
            let most = peak_instances(scenario, at);
            match *workload.attachment() {
                Attachment::Direct { .. } if most > DIRECT_VPC_INSTANCES => {
                    let message = format!(
                        "`{}` has up to {most} instances with Direct VPC egress, Google's quota is {DIRECT_VPC_INSTANCES} for each revision unless it was raised",
                        workload.name
                    );
                    found.push(
                        Diagnostic::note("direct-vpc-quota", message)
                            .at(self.details.workloads[at])
                            .help("ask for a higher quota, or use a connector"),
                    );
                }
                Attachment::Connector(connector) => *behind.entry(connector).or_default() += most,
                _ => {}
            }
        }
        for (at, instances) in behind.into_iter().filter(|(_, instances)| *instances > INSTANCES_A_CONNECTOR) {
            let message = format!(
                "up to {instances} instances share connector `{}`: Google warns of degradation with thousands",
                scenario.connectors[at].name
            );
            found.push(
                Diagnostic::warning("crowded-connector", message)
                    .at(self.details.connectors[at])
                    .help("divide the services between connectors, or use Direct VPC egress"),
            );
        }
        found
    }

    /// Annotations of the Knative API where the Admin API has fields.
    fn annotations(&self) -> Vec<Diagnostic> {
        let services = self.file.services.iter().filter_map(|service| service.template.as_ref());
        let pools = self.file.worker_pools.iter().filter_map(|pool| pool.template.as_ref());
        let jobs = self.file.jobs.iter().filter_map(|job| job.template.as_ref()?.template.as_ref());
        let annotated = (services.chain(pools).filter_map(|template| template.annotations.as_ref()))
            .chain(jobs.filter_map(|task| task.annotations.as_ref()));
        let keys = annotated.flat_map(|annotations| annotations.iter());
        keys.filter(|(key, _)| NETWORK_ANNOTATIONS.contains(&key.as_str()))
            .map(|(key, value)| {
                let misspelt = if key.ends_with("/vpc-egress") {
                    ", and the Knative API's is `run.googleapis.com/vpc-access-egress`"
                } else {
                    ""
                };
                let message = format!("annotation `{key}` is ignored here{misspelt}: `vpcAccess` decides");
                Diagnostic::warning("ignored-annotation", message)
                    .at(value.place)
                    .help("write `vpcAccess: {connector: …, egress: ALL_TRAFFIC}` in the template")
            })
            .collect()
    }

    /// What else Google's pages say that a person will run into.
    fn notes(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for (connector, place) in self.out.connectors.iter().zip(&self.details.connectors) {
            if connector.in_service_project {
                let message = format!(
                    "connector `{}` uses a subnet of a host project: the service project's agents for Serverless VPC Access and Cloud Run need `roles/compute.networkUser` there",
                    connector.name
                );
                found.push(Diagnostic::note("shared-vpc-permissions", message).at(*place));
            }
            let subnet = &self.out.subnetworks[connector.subnetwork];
            let own = !self.details.subnetworks[connector.subnetwork].automatic;
            if own && !subnet.private_google_access && gateway_of(&self.out, connector.subnetwork).is_none() {
                let message = format!(
                    "subnet `{}` of connector `{}` has neither Private Google Access nor Cloud NAT: its VMs were seen not to get healthy without a way to Google APIs (error code 13 after some minutes)",
                    subnet.name, connector.name
                );
                found.push(
                    Diagnostic::note("connector-without-google", message)
                        .at(*place)
                        .related(self.details.subnetworks[connector.subnetwork].place, "the subnet")
                        .help("set `privateIpGoogleAccess: true`"),
                );
            }
        }
        for (event, detail) in self.out.events.iter().zip(&self.details.events) {
            let Change::Deploy { workload, revision, .. } = event.change else { continue };
            let revisions = &self.out.workloads[workload].revisions;
            let before = match revisions[revision - 1].attachment {
                Attachment::Direct { subnetwork, .. } => Some(subnetwork),
                _ => None,
            };
            let stays = matches!(revisions[revision].attachment, Attachment::Direct { subnetwork, .. } if before == Some(subnetwork));
            if let Some(subnetwork) = before.filter(|_| !stays) {
                let message = format!(
                    "`{}` leaves subnet `{}`, which can be deleted only when its addresses are released, one to two hours later",
                    self.out.workloads[workload].name, self.out.subnetworks[subnetwork].name
                );
                found.push(Diagnostic::note("subnet-release", message).at(detail.set));
            }
        }
        found
    }
}

/// Whether a destination is one of the ranges that always go into the VPC network.
fn is_private(scenario: &Scenario, traffic: &Traffic) -> bool {
    scenario.model.cloud_run.private_ranges().contain(traffic.to.address(false), false)
}

/// The larger of both directions at a time, on average, with headers of 40 bytes for each 1,420 of payload and six packets
/// beside.
fn bits_per_second(traffic: &Traffic, time: Duration) -> f64 {
    if !(traffic.start..traffic.stop).contains(&time) {
        return 0.0;
    }
    let rate = match traffic.arrivals {
        // A day is taken at its height: that comes sooner or later.
        _ if matches!(traffic.curve, Some(Curve::Steps(_))) => traffic.curve.as_ref().map_or(0.0, |it| it.at(time)),
        Arrivals::Poisson(rate) | Arrivals::Constant(rate) => rate,
        Arrivals::Workers(_) => return 0.0,
        Arrivals::Count(count) => {
            let time = traffic.stop.saturating_sub(traffic.start).max(Duration::from_secs(1));
            count as f64 / time.as_secs_f64()
        }
    };
    let bytes = traffic.request_bytes.max(traffic.response_bytes) as f64;
    let calls = traffic.requests.as_ref().map_or(1.0, |requests| f64::from(requests.calls));
    rate * calls * (bytes * (1.0 + 40.0 / 1420.0) + 6.0 * 40.0) * 8.0
}
