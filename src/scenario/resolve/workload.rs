//! Cloud Run services, jobs, worker pools and functions, and their way to a VPC network.

use super::Resolver;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::run::{Container, NetworkInterface, Scaling, VpcEgress};
use crate::scenario::value::{At, Reference};
use crate::scenario::{Attachment, Egress, Workload, WorkloadKind};

/// What the four kinds of workloads have in common.
struct Common<'f> {
    kind: WorkloadKind,
    item: Place,
    name: &'f At<Reference>,
    region: Option<&'f At<Reference>>,
    access: Access<'f>,
    instances: Option<&'f At<i64>>,
    min: Option<&'f At<i64>>,
    max: Option<&'f At<i64>>,
    /// Instances when neither they nor a minimum are given.
    otherwise: i64,
    service_account: Option<&'f At<String>>,
    cpu: Vec<&'f At<String>>,
}

/// The way to a VPC network, as the workload's own fields call it.
#[derive(Default)]
struct Access<'f> {
    place: Option<Place>,
    connector: Option<&'f At<Reference>>,
    interfaces: Option<&'f At<Vec<At<NetworkInterface>>>>,
    egress: Option<&'f At<VpcEgress>>,
}

impl<'f> Access<'f> {
    fn of(access: Option<&'f At<crate::scenario::file::run::VpcAccess>>) -> Access<'f> {
        access.map_or_else(Access::default, |access| Access {
            place: Some(access.place),
            connector: access.connector.as_ref(),
            interfaces: access.network_interfaces.as_ref(),
            egress: access.egress.as_ref(),
        })
    }
}

fn cpu_limits(containers: Option<&Vec<Container>>) -> Vec<&At<String>> {
    let limits = containers.into_iter().flatten().filter_map(|container| container.resources.as_ref()?.limits.as_ref());
    limits.filter_map(|limits| limits.get("cpu")).collect()
}

/// The higher of a service's and a revision's number.
fn higher<'f>(one: Option<&'f At<i64>>, other: Option<&'f At<i64>>) -> Option<&'f At<i64>> {
    one.into_iter().chain(other).max_by_key(|count| count.value)
}

impl Resolver<'_> {
    pub(super) fn workloads(&mut self) {
        let file = self.file;
        for service in &file.services {
            let template = service.template.as_ref();
            let scaling = template.and_then(|template| template.scaling.as_ref());
            let whole = service.scaling.as_ref();
            let min =
                |scaling: Option<&'_ Scaling>| scaling.is_some_and(|scaling| scaling.manual_instance_count.is_some());
            let manual = if min(whole) { whole.and_then(|whole| whole.manual_instance_count.as_ref()) } else { None };
            self.workload(Common {
                kind: WorkloadKind::Service,
                item: service.place,
                name: &service.value.name,
                region: service.region.as_ref(),
                access: Access::of(template.and_then(|template| template.vpc_access.as_ref())),
                instances: service.instances.as_ref().or(manual),
                min: higher(
                    scaling.and_then(|scaling| scaling.min_instance_count.as_ref()),
                    whole.and_then(|whole| whole.min_instance_count.as_ref()),
                ),
                max: scaling
                    .and_then(|scaling| scaling.max_instance_count.as_ref())
                    .or_else(|| whole.and_then(|whole| whole.max_instance_count.as_ref())),
                otherwise: 1,
                service_account: template.and_then(|template| template.service_account.as_ref()),
                cpu: cpu_limits(template.and_then(|template| template.containers.as_ref())),
            });
        }
        for job in &file.jobs {
            let execution = job.template.as_ref();
            let task = execution.and_then(|execution| execution.template.as_ref());
            let tasks = execution.and_then(|execution| execution.task_count.as_ref());
            let parallel =
                execution.and_then(|execution| execution.parallelism.as_ref()).filter(|count| count.value > 0);
            let at_once = tasks.into_iter().chain(parallel).min_by_key(|count| count.value);
            self.workload(Common {
                kind: WorkloadKind::Job,
                item: job.place,
                name: &job.value.name,
                region: job.region.as_ref(),
                access: Access::of(task.and_then(|task| task.vpc_access.as_ref())),
                instances: job.instances.as_ref(),
                min: at_once,
                max: None,
                otherwise: 1,
                service_account: task.and_then(|task| task.service_account.as_ref()),
                cpu: cpu_limits(task.and_then(|task| task.containers.as_ref())),
            });
        }
        for pool in &file.worker_pools {
            let template = pool.template.as_ref();
            let scaling = pool.scaling.as_ref().or_else(|| template.and_then(|template| template.scaling.as_ref()));
            self.workload(Common {
                kind: WorkloadKind::WorkerPool,
                item: pool.place,
                name: &pool.value.name,
                region: pool.region.as_ref(),
                access: Access::of(template.and_then(|template| template.vpc_access.as_ref())),
                instances: pool
                    .instances
                    .as_ref()
                    .or_else(|| scaling.and_then(|scaling| scaling.manual_instance_count.as_ref())),
                min: scaling.and_then(|scaling| scaling.min_instance_count.as_ref()),
                max: scaling.and_then(|scaling| scaling.max_instance_count.as_ref()),
                otherwise: 1,
                service_account: template.and_then(|template| template.service_account.as_ref()),
                cpu: cpu_limits(template.and_then(|template| template.containers.as_ref())),
            });
        }
        for function in &file.functions {
            let config = function.service_config.as_ref();
            let access = config.map_or_else(Access::default, |config| Access {
                place: Some(config.place),
                connector: config.vpc_connector.as_ref(),
                interfaces: config.direct_vpc_network_interface.as_ref(),
                egress: match &config.direct_vpc_network_interface {
                    Some(_) => config.direct_vpc_egress.as_ref(),
                    None => config.vpc_connector_egress_settings.as_ref().or(config.direct_vpc_egress.as_ref()),
                },
            });
            self.workload(Common {
                kind: WorkloadKind::Function,
                item: function.place,
                name: &function.value.name,
                region: function.region.as_ref(),
                access,
                instances: function.instances.as_ref(),
                min: config.and_then(|config| config.min_instance_count.as_ref()),
                max: config.and_then(|config| config.max_instance_count.as_ref()),
                otherwise: 1,
                service_account: config.and_then(|config| config.service_account_email.as_ref()),
                cpu: config.and_then(|config| config.available_cpu.as_ref()).into_iter().collect(),
            });
        }
    }

    fn workload(&mut self, common: Common<'_>) {
        if self.resolve_workload(&common).is_none() {
            self.workloads.lost.insert(common.name.name().to_owned());
        }
    }

    fn resolve_workload(&mut self, common: &Common<'_>) -> Option<()> {
        let region = self.region(common.region, common.name, common.item);
        let (instances, max_instances) = self.instances(common);
        let egress = self.egress(common);
        let vcpus = self.vcpus(&common.cpu);
        let region = region?;
        let attachment = self.attachment(common, &region)?;
        let declared = self.workloads.declare(common.name, Some(&region), self.out.workloads.len());
        self.ok(declared)?;
        self.details.workloads.push(common.name.place);
        self.out.workloads.push(Workload {
            name: common.name.name().to_owned(),
            kind: common.kind,
            region,
            attachment,
            egress,
            instances,
            max_instances,
            service_account: common.service_account.map(|account| account.value.clone()),
            vcpus,
        });
        Some(())
    }

    fn instances(&mut self, common: &Common<'_>) -> (u32, Option<u32>) {
        const MOST: i64 = 100_000;
        let mut count = |value: Option<&At<i64>>, least, what: &str| {
            value.and_then(|value| self.bounded(value, least..=MOST, what))
        };
        let pinned = count(common.instances, 0, "instances");
        let min = count(
            common.min,
            0,
            if common.kind == WorkloadKind::Job { "the number of tasks" } else { "minInstanceCount" },
        );
        let max = count(common.max, 1, "maxInstanceCount");
        if let (Some(min), Some(max), Some(at)) = (min, max, common.max)
            && min > max
        {
            let message = format!("maxInstanceCount is {max}, below minInstanceCount, which is {min}");
            let related = common.min.map_or(Place::NOWHERE, |min| min.place);
            self.push(Diagnostic::rejected("min-above-max", message).at(at.place).related(related, "the minimum"));
        }
        if let (Some(pinned), Some(max), Some(at)) = (pinned, max, common.instances)
            && pinned > max
        {
            let message = format!("{pinned} instances are pinned, maxInstanceCount is {max}");
            self.push(
                Diagnostic::warning("above-max-instances", message)
                    .at(at.place)
                    .help("Cloud Run would not start as many: raise maxInstanceCount or pin fewer"),
            );
        }
        let instances = pinned.unwrap_or_else(|| min.unwrap_or(common.otherwise).max(1));
        (instances as u32, max.map(|max| max as u32))
    }

    fn egress(&mut self, common: &Common<'_>) -> Egress {
        let Some(egress) = common.access.egress else { return Egress::PrivateRangesOnly };
        if common.access.connector.is_none() && common.access.interfaces.is_none() {
            let item = common.access.place.unwrap_or(common.item);
            let fields = ["connector", "networkInterfaces", "vpcConnector", "directVpcNetworkInterface"];
            if !fields.iter().any(|field| self.is_lost(item, field)) {
                self.push(
                    Diagnostic::rejected(
                        "egress-without-vpc",
                        format!(
                            "`{}` must have Direct VPC egress enabled or a VPC connector to set egress",
                            common.name.name()
                        ),
                    )
                    .at(egress.place)
                    .help("add `connector:` or `networkInterfaces:`, or remove `egress`"),
                );
            }
        }
        match egress.value {
            VpcEgress::AllTraffic => Egress::AllTraffic,
            VpcEgress::PrivateRangesOnly | VpcEgress::VpcEgressUnspecified => Egress::PrivateRangesOnly,
            VpcEgress::All => {
                self.push(
                    Diagnostic::warning("deprecated-value", "`all` is the old name of ALL_TRAFFIC")
                        .at(egress.place)
                        .help("write ALL_TRAFFIC"),
                );
                Egress::AllTraffic
            }
        }
    }

    /// `None` when the way to the VPC is wrong, which was reported.
    fn attachment(&mut self, common: &Common<'_>, region: &str) -> Option<Attachment> {
        let name = common.name.name();
        let interfaces = common.access.interfaces.filter(|interfaces| !interfaces.is_empty());
        match (common.access.connector, interfaces) {
            (Some(connector), Some(interfaces)) => {
                // The API's own words.
                let message =
                    format!("one and only one of connector and network_interfaces must be set, `{name}` has both");
                self.push(
                    Diagnostic::rejected("connector-and-interfaces", message)
                        .at(interfaces.place)
                        .related(connector.place, "the connector")
                        .help("keep the connector or the interface"),
                );
                None
            }
            (Some(connector), None) => {
                let found = self.connectors.lookup(connector, Some(region));
                let at = self.ok(found).flatten()?;
                let found = &self.out.connectors[at];
                if found.region != region {
                    let message =
                        format!("`{name}` is in {region}, its connector `{}` in {}", found.name, found.region);
                    self.push(
                        Diagnostic::rejected("region-mismatch", message)
                            .at(connector.place)
                            .help("a connector serves the workloads of its own region"),
                    );
                    return None;
                }
                Some(Attachment::Connector(at))
            }
            (None, Some(interfaces)) => {
                if let Some(second) = interfaces.get(1) {
                    self.push(
                        Diagnostic::rejected("many-interfaces", "currently only single network interface is supported")
                            .at(second.place)
                            .help("keep one"),
                    );
                }
                let interface = &interfaces.value[0];
                let (network, subnetwork) = (interface.network.as_ref(), interface.subnetwork.as_ref());
                let subnetwork = self.interface_subnetwork(network, subnetwork, Some(region), interface.place)?;
                let subnet = &self.out.subnetworks[subnetwork];
                if subnet.region != region {
                    let message = format!("`{name}` is in {region}, its subnet `{}` in {}", subnet.name, subnet.region);
                    let place = interface
                        .subnetwork
                        .as_ref()
                        .or(interface.network.as_ref())
                        .map_or(interface.place, |at| at.place);
                    self.push(
                        Diagnostic::rejected("region-mismatch", message)
                            .at(place)
                            .help("use a subnet of the same region"),
                    );
                    return None;
                }
                Some(Attachment::Direct {
                    network: subnet.network,
                    subnetwork,
                    tags: interface.tags.iter().flatten().map(|tag| tag.value.clone()).collect(),
                })
            }
            (None, None) => Some(Attachment::None),
        }
    }

    /// The subnet of an interface: a network alone means its subnet of the same name, a subnet alone has its network.
    pub(super) fn interface_subnetwork(
        &mut self,
        network: Option<&At<Reference>>,
        subnetwork: Option<&At<Reference>>,
        region: Option<&str>,
        item: Place,
    ) -> Option<usize> {
        let wanted = network.map(|network| self.networks.lookup(network, None));
        let wanted = match wanted {
            Some(found) => Some(self.ok(found).flatten()?),
            None => None,
        };
        let Some(reference) = subnetwork.or(network) else {
            if !self.is_lost(item, "network") && !self.is_lost(item, "subnetwork") {
                self.push(
                    Diagnostic::rejected("no-subnet", "the interface names neither a network nor a subnet")
                        .at(item)
                        .help("add `subnetwork:`"),
                );
            }
            return None;
        };
        let reference = match subnetwork {
            Some(_) => reference.clone(),
            // A path to a network says nothing about where its subnet is.
            None => At { value: reference.name().parse().ok()?, place: reference.place },
        };
        let found = self.subnetworks.lookup(&reference, region);
        let found = found.map_err(|diagnostic| match subnetwork {
            None => diagnostic
                .help("without `subnetwork`, the subnet that is named like the network is meant: add `subnetwork:`")
                .into(),
            Some(_) => diagnostic,
        });
        let at = self.ok(found).flatten()?;
        let subnet = &self.out.subnetworks[at];
        if wanted.is_some_and(|wanted| wanted != subnet.network) {
            let message =
                format!("subnet `{}` is of network `{}`", subnet.name, self.out.networks[subnet.network].name);
            self.push(
                Diagnostic::rejected("network-mismatch", message)
                    .at(reference.place)
                    .help("name the subnet's own network"),
            );
            return None;
        }
        Some(at)
    }

    /// vCPUs of all containers together: `2`, `0.5` or `1000m`; 1 when none says.
    fn vcpus(&mut self, limits: &[&At<String>]) -> f64 {
        let mut sum = 0.0;
        for limit in limits {
            let (number, unit) = match limit.strip_suffix('m') {
                Some(number) => (number, 0.001),
                None => (limit.as_str(), 1.0),
            };
            match number.parse::<f64>() {
                Ok(cpu) if cpu > 0.0 && cpu.is_finite() => sum += cpu * unit,
                _ => self.push(
                    Diagnostic::unusable(
                        "invalid-value",
                        format!("found `{}`, expected a number of CPUs", limit.value),
                    )
                    .at(limit.place)
                    .help("write `1`, `0.5` or `1000m`"),
                ),
            }
        }
        if sum > 0.0 { sum } else { 1.0 }
    }
}
