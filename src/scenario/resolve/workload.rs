//! Cloud Run services, jobs, worker pools and functions, and their way to a VPC network.

mod ready;

use ready::{inactive, unready};

use super::Resolver;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::run::{
    Container, FunctionEnvironment, NetworkInterface, Scaling, ScalingMode, ServiceConfig, VpcAccess, VpcEgress,
};
use crate::scenario::file::simulation::DeployEvent;
use crate::scenario::value::{At, Reference};
use crate::scenario::{Attachment, Egress, Revision, Workload, WorkloadKind};

impl Deployed {
    /// Whether the scenario says how many instances there are.
    pub(super) fn is_pinned(&self) -> bool {
        self.instances.is_some() || self.manual_scaling
    }

    /// How few instances there may be.
    pub(super) fn least(&self) -> u32 {
        self.min.as_ref().map_or(0, |min| min.value.clamp(0, u32::MAX.into()) as u32)
    }
}

/// What the four kinds of workloads have in common, as written; deployments change it.
#[derive(Debug, Clone)]
pub(super) struct Deployed {
    kind: WorkloadKind,
    item: Place,
    name: At<Reference>,
    region: Option<At<Reference>>,
    /// Name of the revision.
    revision: Option<At<String>>,
    access: Access,
    instances: Option<At<i64>>,
    min: Option<At<i64>>,
    max: Option<At<i64>>,
    /// Of the service as a whole.
    service_max: Option<At<i64>>,
    manual_scaling: bool,
    concurrency: Option<At<i64>>,
    /// A function of the 1st generation.
    first_generation: bool,
    service_account: Option<At<String>>,
    cpu: Vec<At<String>>,
    not_ready: Option<At<String>>,
}

/// The way to a VPC network, as the workload's own fields call it.
#[derive(Debug, Clone, Default)]
struct Access {
    place: Option<Place>,
    connector: Option<At<Reference>>,
    interfaces: Option<At<Vec<At<NetworkInterface>>>>,
    egress: Option<At<VpcEgress>>,
}

impl Access {
    fn of(access: Option<&At<VpcAccess>>) -> Access {
        access.map_or_else(Access::default, |access| Access {
            place: Some(access.place),
            connector: access.connector.clone(),
            interfaces: access.network_interfaces.clone(),
            egress: access.egress,
        })
    }

    fn of_function(config: Option<&At<ServiceConfig>>) -> Access {
        config.map_or_else(Access::default, |config| Access {
            place: Some(config.place),
            connector: config.vpc_connector.clone(),
            interfaces: config.direct_vpc_network_interface.clone(),
            egress: match &config.direct_vpc_network_interface {
                Some(_) => config.direct_vpc_egress,
                None => config.vpc_connector_egress_settings.or(config.direct_vpc_egress),
            },
        })
    }
}

fn cpu_limits(containers: Option<&Vec<Container>>) -> Vec<At<String>> {
    let limits = containers.into_iter().flatten().filter_map(|container| container.resources.as_ref()?.limits.as_ref());
    limits.filter_map(|limits| limits.get("cpu")).cloned().collect()
}

/// The number of instances with manual scaling.
fn manual(scaling: Option<&Scaling>) -> Option<At<i64>> {
    let automatic =
        |scaling: &&Scaling| scaling.scaling_mode.as_ref().is_some_and(|mode| mode.value == ScalingMode::Automatic);
    scaling.filter(|scaling| !automatic(scaling))?.manual_instance_count
}

/// The higher of a service's and a revision's number.
fn higher(one: Option<&At<i64>>, other: Option<&At<i64>>) -> Option<At<i64>> {
    one.into_iter().chain(other).max_by_key(|count| count.value).cloned()
}

impl Resolver<'_> {
    pub(super) fn workloads(&mut self) {
        let file = self.file;
        for service in &file.services {
            let template = service.template.as_ref();
            let scaling = template.and_then(|template| template.scaling.as_ref());
            let whole = service.scaling.as_ref();
            let manual = manual(whole);
            let automatic = |max: Option<At<i64>>| max.filter(|_| manual.is_none());
            self.workload(Deployed {
                kind: WorkloadKind::Service,
                item: service.place,
                name: service.value.name.clone(),
                region: service.region.clone(),
                revision: template.and_then(|template| template.revision.clone()),
                access: Access::of(template.and_then(|template| template.vpc_access.as_ref())),
                instances: service.instances.or(manual),
                min: higher(
                    scaling.and_then(|scaling| scaling.min_instance_count.as_ref()),
                    whole.and_then(|whole| whole.min_instance_count.as_ref()),
                ),
                max: automatic(scaling.and_then(|scaling| scaling.max_instance_count)),
                service_max: automatic(whole.and_then(|whole| whole.max_instance_count)),
                manual_scaling: manual.is_some(),
                concurrency: template.and_then(|template| template.max_instance_request_concurrency),
                first_generation: false,
                service_account: template.and_then(|template| template.service_account.clone()),
                cpu: cpu_limits(template.and_then(|template| template.containers.as_ref())),
                not_ready: unready(service.terminal_condition.as_ref()),
            });
            let own = template.and_then(|template| template.revision.as_ref()).map(|name| name.as_str());
            let own = own.or(service.latest_created_revision.as_ref().map(|name| name.name()));
            let region = service.region.as_ref().map(|region| region.name());
            self.allocations((&service.value.name, region), service.traffic.as_ref(), own, "requests");
        }
        for job in &file.jobs {
            let execution = job.template.as_ref();
            let task = execution.and_then(|execution| execution.template.as_ref());
            let tasks = execution.and_then(|execution| execution.task_count.as_ref());
            let parallel =
                execution.and_then(|execution| execution.parallelism.as_ref()).filter(|count| count.value > 0);
            let at_once = tasks.into_iter().chain(parallel).min_by_key(|count| count.value);
            self.workload(Deployed {
                kind: WorkloadKind::Job,
                item: job.place,
                name: job.value.name.clone(),
                region: job.region.clone(),
                revision: None,
                access: Access::of(task.and_then(|task| task.vpc_access.as_ref())),
                instances: job.instances,
                min: at_once.cloned(),
                max: None,
                service_max: None,
                manual_scaling: false,
                concurrency: None,
                first_generation: false,
                service_account: task.and_then(|task| task.service_account.clone()),
                cpu: cpu_limits(task.and_then(|task| task.containers.as_ref())),
                not_ready: unready(job.terminal_condition.as_ref()),
            });
            if let Ok(Some(at)) = self.workloads.lookup(&job.value.name, None) {
                let count = |count: Option<&At<i64>>, default| count.map_or(default, |count| count.value.max(0) as u32);
                self.details.executions.insert(at, (count(tasks, 1).max(1), count(parallel, 0)));
            }
        }
        for pool in &file.worker_pools {
            let template = pool.template.as_ref();
            let scaling = pool.scaling.as_ref().or_else(|| template.and_then(|template| template.scaling.as_ref()));
            let manual = manual(scaling);
            let automatic = |max: Option<At<i64>>| max.filter(|_| manual.is_none());
            self.workload(Deployed {
                kind: WorkloadKind::WorkerPool,
                item: pool.place,
                name: pool.value.name.clone(),
                region: pool.region.clone(),
                revision: template.and_then(|template| template.revision.clone()),
                access: Access::of(template.and_then(|template| template.vpc_access.as_ref())),
                instances: pool.instances.or(manual),
                min: scaling.and_then(|scaling| scaling.min_instance_count),
                max: automatic(scaling.and_then(|scaling| scaling.max_instance_count)),
                service_max: None,
                manual_scaling: false,
                concurrency: None,
                first_generation: false,
                service_account: template.and_then(|template| template.service_account.clone()),
                cpu: cpu_limits(template.and_then(|template| template.containers.as_ref())),
                not_ready: unready(pool.terminal_condition.as_ref()),
            });
            let own = template.and_then(|template| template.revision.as_ref()).map(|name| name.as_str());
            let own = own.or(pool.latest_created_revision.as_ref().map(|name| name.name()));
            let region = pool.region.as_ref().map(|region| region.name());
            self.allocations((&pool.value.name, region), pool.instance_splits.as_ref(), own, "instances");
        }
        for function in &file.functions {
            let config = function.service_config.as_ref();
            self.workload(Deployed {
                kind: WorkloadKind::Function,
                item: function.place,
                name: function.value.name.clone(),
                region: function.region.clone(),
                revision: None,
                access: Access::of_function(config),
                instances: function.instances,
                min: config.and_then(|config| config.min_instance_count),
                max: config.and_then(|config| config.max_instance_count),
                service_max: None,
                manual_scaling: false,
                concurrency: config.and_then(|config| config.max_instance_request_concurrency),
                first_generation: function.environment.as_ref().is_some_and(|it| it.value == FunctionEnvironment::Gen1),
                service_account: config.and_then(|config| config.service_account_email.clone()),
                cpu: config.and_then(|config| config.available_cpu.clone()).into_iter().collect(),
                not_ready: inactive(function.state.as_ref()),
            });
        }
    }

    fn workload(&mut self, deployed: Deployed) {
        let name = deployed.name.name().to_owned();
        if self.resolve_workload(deployed).is_none() {
            self.workloads.lost.insert(name);
        }
    }

    fn resolve_workload(&mut self, deployed: Deployed) -> Option<()> {
        let region = self.region(deployed.region.as_ref(), &deployed.name, deployed.item);
        let (instances, max_instances) = self.instances(&deployed);
        let egress = self.egress(&deployed);
        let vcpus = self.vcpus(&deployed.cpu);
        let region = region?;
        let attachment = self.attachment(&deployed, &region)?;
        self.check_deployment(&deployed, egress, &attachment, deployed.name.place);
        let at = self.out.workloads.len();
        let declared = self.workloads.declare(&deployed.name, Some(&region), at);
        self.ok(declared)?;
        self.details.workloads.push(deployed.name.place);
        let revision = Revision {
            name: revision_name(&deployed, 1),
            attachment,
            egress,
            max_instances,
            service_account: deployed.service_account.as_ref().map(|account| account.value.clone()),
            vcpus,
            not_ready: deployed.not_ready.as_ref().map(|why| why.value.clone()),
        };
        self.warn_of_unready(&deployed);
        let concurrency = self.concurrency(deployed.kind, deployed.concurrency.as_ref());
        self.out.workloads.push(Workload {
            name: deployed.name.name().to_owned(),
            kind: deployed.kind,
            first_generation: deployed.first_generation,
            region,
            revisions: vec![revision],
            instances,
            concurrency,
            autoscaled: None,
        });
        if deployed.manual_scaling {
            self.details.manual.insert(at);
        }
        self.details.deployed.insert(at, deployed);
        Some(())
    }

    /// The revision that a deployment makes of what is deployed.
    pub(super) fn new_revision(&mut self, workload: usize, event: &DeployEvent) -> Option<Revision> {
        let mut deployed = self.details.deployed.get(&workload)?.clone();
        deployed.revision = None;
        let set = event.set.as_ref();
        let function = deployed.kind == WorkloadKind::Function;
        if let Some(config) = set.and_then(|set| set.service_config.as_ref()) {
            if !function {
                self.wrong_field(config.place, "serviceConfig", "template");
            }
            let ways = [config.vpc_connector.is_some(), config.direct_vpc_network_interface.is_some()];
            let egress = config.vpc_connector_egress_settings.as_ref().or(config.direct_vpc_egress.as_ref());
            if ways.contains(&true) {
                let before = deployed.access.egress.take();
                deployed.access = Access::of_function(Some(config));
                deployed.access.egress = deployed.access.egress.or(before);
            } else if egress.is_some() {
                deployed.access.egress = egress.cloned();
            }
            replace(&mut deployed.max, config.max_instance_count.as_ref());
            replace(&mut deployed.service_account, config.service_account_email.as_ref());
            if let Some(cpu) = &config.available_cpu {
                deployed.cpu = vec![cpu.clone()];
            }
        }
        if let Some(template) = set.and_then(|set| set.template.as_ref()) {
            if function {
                self.wrong_field(event.workload.place, "template", "serviceConfig");
            }
            deployed.revision = template.revision.clone();
            let task = template.template.as_ref();
            let access = template.vpc_access.as_ref().or(task.and_then(|task| task.vpc_access.as_ref()));
            if access.is_some() {
                deployed.access = Access::of(access);
            }
            let account = template.service_account.as_ref().or(task.and_then(|task| task.service_account.as_ref()));
            replace(&mut deployed.service_account, account);
            let containers = template.containers.as_ref().or(task.and_then(|task| task.containers.as_ref()));
            if containers.is_some() {
                deployed.cpu = cpu_limits(containers);
            }
            let scaling = template.scaling.as_ref();
            replace(&mut deployed.max, scaling.and_then(|scaling| scaling.max_instance_count.as_ref()));
        }
        if event.clear_vpc_access.as_ref().is_some_and(|clear| clear.value) {
            deployed.access = Access::default();
        }
        let (_, max_instances) = self.instances(&deployed);
        let egress = self.egress(&deployed);
        let vcpus = self.vcpus(&deployed.cpu);
        let Workload { region, revisions, .. } = &self.out.workloads[workload];
        let (region, number) = (region.clone(), revisions.len() + 1);
        let attachment = self.attachment(&deployed, &region)?;
        self.check_deployment(&deployed, egress, &attachment, event.workload.place);
        let revision = Revision {
            name: revision_name(&deployed, number),
            attachment,
            egress,
            max_instances,
            service_account: deployed.service_account.as_ref().map(|account| account.value.clone()),
            vcpus,
            // What is deployed now becomes ready.
            not_ready: None,
        };
        self.details.deployed.insert(workload, deployed);
        Some(revision)
    }

    /// What organization policies say of a deployment. `place`: what deploys, where no egress setting is written.
    fn check_deployment(&mut self, deployed: &Deployed, egress: Egress, attachment: &Attachment, place: Place) {
        // A function of the 1st generation is no resource of Cloud Run's.
        if deployed.first_generation {
            return;
        }
        let place = deployed.access.egress.as_ref().map_or(place, |egress| egress.place);
        let (name, project) = (deployed.name.name(), deployed.name.project());
        self.check_allowed_egress(name, project, egress, attachment, place);
    }

    fn wrong_field(&mut self, place: Place, found: &str, expected: &str) {
        let message = format!("found `{found}`, this workload has `{expected}`");
        self.push(Diagnostic::unusable("unknown-field", message).at(place).help(format!("write `{expected}:`")));
    }

    fn instances(&mut self, common: &Deployed) -> (u32, Option<u32>) {
        const MOST: i64 = 100_000;
        let mut count = |value: Option<&At<i64>>, least, what: &str| {
            value.and_then(|value| self.bounded(value, least..=MOST, what))
        };
        let pinned = count(common.instances.as_ref(), 0, "instances");
        let min = count(
            common.min.as_ref(),
            0,
            if common.kind == WorkloadKind::Job { "the number of tasks" } else { "minInstanceCount" },
        );
        // Of the service as a whole and of the revision, the lower number counts.
        let lower = common.max.iter().chain(&common.service_max).min_by_key(|count| count.value);
        let max = count(lower, 1, "maxInstanceCount");
        if let (Some(min), Some(max), Some(at)) = (min, max, lower)
            && min > max
        {
            let message = format!("maxInstanceCount is {max}, below minInstanceCount, which is {min}");
            let related = common.min.as_ref().map_or(Place::NOWHERE, |min| min.place);
            self.push(Diagnostic::rejected("min-above-max", message).at(at.place).related(related, "the minimum"));
        }
        if let (Some(pinned), Some(max), Some(at)) = (pinned, max, &common.instances)
            && pinned > max
        {
            let message = format!("{pinned} instances are pinned, maxInstanceCount is {max}: {max} run");
            self.push(
                Diagnostic::warning("above-max-instances", message)
                    .at(at.place)
                    .help("raise maxInstanceCount, or pin fewer"),
            );
        }
        let instances = pinned.unwrap_or_else(|| min.unwrap_or(1).max(1));
        (instances as u32, max.map(|max| max as u32))
    }

    fn egress(&mut self, common: &Deployed) -> Egress {
        let Some(egress) = &common.access.egress else { return Egress::PrivateRangesOnly };
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
    fn attachment(&mut self, common: &Deployed, region: &str) -> Option<Attachment> {
        let name = common.name.name();
        let interfaces = common.access.interfaces.as_ref().filter(|interfaces| !interfaces.is_empty());
        match (&common.access.connector, interfaces) {
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
            (None, Some(interfaces)) if common.first_generation => {
                let message = format!("`{name}` is a function of the 1st generation, which has no Direct VPC egress");
                self.push(
                    Diagnostic::rejected("direct-vpc-unsupported", message)
                        .at(interfaces.place)
                        .help("use `vpcConnector:`, or the 2nd generation"),
                );
                None
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
    fn vcpus(&mut self, limits: &[At<String>]) -> f64 {
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

fn replace<T: Clone>(value: &mut Option<T>, by: Option<&T>) {
    if by.is_some() {
        *value = by.cloned();
    }
}

/// The name that a revision is given: the workload's, a number, and three letters. Google's letters are random.
fn revision_name(deployed: &Deployed, number: usize) -> String {
    if let Some(given) = &deployed.revision {
        return given.value.clone();
    }
    let name = deployed.name.name();
    if deployed.kind == WorkloadKind::Job {
        return name.to_owned();
    }
    let hash = name.bytes().fold(number as u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let letter = |place: u32| char::from(b'a' + (hash / 26u64.pow(place) % 26) as u8);
    format!("{name}-{number:05}-{}{}{}", letter(0), letter(1), letter(2))
}
