//! Serverless VPC Access connectors and their `/28` subnets.

use std::collections::HashMap;

use super::{Resolver, SubnetworkDetail};
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::run::{Connector as File, ConnectorMachineType, ConnectorState};
use crate::scenario::file::simulation::PatchConnectorEvent;
use crate::scenario::value::{At, Reference};
use crate::scenario::{Change, Connector, MachineType, Subnetwork};

/// The longest name: fewer than 21 characters, each hyphen counts as two
/// (<https://cloud.google.com/run/docs/configuring/vpc-connectors>, 2026).
const MAX_NAME: usize = 20;

impl Resolver<'_> {
    pub(super) fn connectors(&mut self) {
        let mut taken: HashMap<usize, Place> = HashMap::new();
        for connector in &self.file.connectors {
            if self.connector(connector, &mut taken).is_none() {
                self.connectors.lost.insert(connector.name.name().to_owned());
            }
        }
    }

    /// `None` when it has to be left out; why is reported.
    fn connector(&mut self, connector: &At<File>, taken: &mut HashMap<usize, Place>) -> Option<()> {
        let name = connector.name.name();
        self.check_name(&connector.name);
        let (min_instances, max_instances) = self.instance_bounds(connector);
        let region = self.region(connector.region.as_ref(), &connector.name, connector.place);
        let network = connector.network.as_ref().map(|network| self.networks.lookup(network, None));
        let network = network.map(|network| self.ok(network).flatten());
        let machine_type =
            connector.machine_type.as_ref().map_or(ConnectorMachineType::E2Micro, |machine| machine.value);
        let machine_type = machine_type_of(machine_type);
        let declared_twice = |taken: &Place, place| {
            Diagnostic::rejected("subnet-in-use", "two connectors share a subnet")
                .at(place)
                .related(*taken, "taken here")
        };
        let subnetwork = match (&connector.ip_cidr_range, &connector.subnet) {
            (Some(_), Some(subnet)) => {
                self.push(
                    Diagnostic::rejected(
                        "connector-range",
                        format!("connector `{name}` has both ipCidrRange and subnet"),
                    )
                    .at(subnet.place)
                    .help("keep `subnet` for an existing /28, `ipCidrRange` for a new one"),
                );
                return None;
            }
            (None, None) => {
                if !self.is_lost(connector.place, "ipCidrRange") && !self.is_lost(connector.place, "subnet") {
                    self.push(
                        Diagnostic::rejected(
                            "connector-range",
                            format!("connector `{name}` has neither ipCidrRange nor subnet"),
                        )
                        .at(connector.name.place)
                        .help("add `ipCidrRange: 10.8.0.0/28` with `network:`, or `subnet: {name: …}`"),
                    );
                }
                return None;
            }
            (None, Some(subnet)) => {
                let found = self.subnetworks.lookup(&subnet.value.name, region.as_deref());
                let found = self.ok(found).flatten()?;
                let place = subnet.value.name.place;
                self.check_is_28(self.out.subnetworks[found].range, place);
                if let Some(taken) = taken.insert(found, place) {
                    self.push(declared_twice(&taken, place));
                }
                let subnetwork = &self.out.subnetworks[found];
                if region.as_ref().is_some_and(|region| *region != subnetwork.region) {
                    let message = format!(
                        "connector `{name}` is in {}, its subnet `{}` in {}",
                        region.as_deref().unwrap_or_default(),
                        subnetwork.name,
                        subnetwork.region
                    );
                    self.push(
                        Diagnostic::rejected("region-mismatch", message).at(place).help("both are in one region"),
                    );
                }
                found
            }
            (Some(range), None) => {
                let network = match network {
                    Some(network) => network?,
                    None => {
                        if !self.is_lost(connector.place, "network") {
                            let message = format!("connector `{name}` has an ipCidrRange and no network");
                            self.push(
                                Diagnostic::rejected("connector-range", message).at(range.place).help("add `network:`"),
                            );
                        }
                        return None;
                    }
                };
                let Some(net) = self.range(range) else {
                    self.push(
                        Diagnostic::rejected("connector-range", "the range of a connector is IPv4").at(range.place),
                    );
                    return None;
                };
                self.check_is_28(net, range.place);
                let region = region.clone()?;
                self.details.subnetworks.push(SubnetworkDetail {
                    place: range.place,
                    range: range.place,
                    hosts_vms: true,
                    automatic: true,
                });
                let automatic = format!("aet-{}-{name}", region.replace('-', ""));
                // A gateway may list it; Google's own names end in a random part, which nobody could write down here.
                let reference = At { value: automatic.parse().expect("joined from references"), place: range.place };
                let declared = self.subnetworks.declare(&reference, Some(&region), self.out.subnetworks.len());
                self.ok(declared);
                self.out.subnetworks.push(Subnetwork {
                    ipv6: None,
                    name: automatic,
                    network,
                    region,
                    range: net,
                    secondary: Vec::new(),
                    private_google_access: false,
                    hybrid: false,
                    private_nat: false,
                });
                self.out.subnetworks.len() - 1
            }
        };
        let region = region?;
        let declared = self.connectors.declare(&connector.name, Some(&region), self.out.connectors.len());
        self.ok(declared)?;
        self.details.connectors.push(connector.name.place);
        self.out.connectors.push(Connector {
            name: name.to_owned(),
            network: self.out.subnetworks[subnetwork].network,
            subnetwork,
            region,
            machine_type,
            min_instances,
            max_instances,
            ready: connector.state.as_ref().is_none_or(|state| state.value == ConnectorState::Ready),
            in_service_project: in_service_project(connector),
        });
        Some(())
    }

    /// What a connector is after a change. Google lets the numbers of instances only grow.
    pub(super) fn patch_connector(&mut self, event: &PatchConnectorEvent) -> Option<Change> {
        let at = self.connectors.lookup(&event.connector, None);
        let at = self.ok(at).flatten()?;
        let before = self.out.connectors[at].clone();
        let set = &event.set.value;
        let mut to = before.clone();
        if let Some(machine_type) = &set.machine_type {
            to.machine_type = machine_type_of(machine_type.value);
        }
        if let Some(state) = &set.state {
            to.ready = state.value == ConnectorState::Ready;
        }
        let bounds = [
            ("minInstances", &set.min_instances, 2..=9, before.min_instances),
            ("maxInstances", &set.max_instances, 3..=10, before.max_instances),
        ];
        for (field, value, allowed, was) in bounds {
            let Some(value) = value else { continue };
            let Some(count) = self.bounded(value, allowed, &format!("{field} of a connector")) else { continue };
            if count < i64::from(was) {
                let message = format!("{field} of connector `{}` is {was}: it can grow, not shrink", before.name);
                self.push(
                    Diagnostic::rejected("connector-instances", message).at(value.place).help("make another connector"),
                );
                continue;
            }
            if field == "minInstances" { to.min_instances = count as u32 } else { to.max_instances = count as u32 }
        }
        if to.min_instances >= to.max_instances {
            let message = format!(
                "a connector's minimum of {} instances is not below its maximum of {}",
                to.min_instances, to.max_instances
            );
            self.push(
                Diagnostic::rejected("connector-instances", message).at(event.set.place).help("2 to 9 below 3 to 10"),
            );
        }
        self.out.connectors[at] = to.clone();
        Some(Change::PatchConnector { connector: at, to: Box::new(to) })
    }

    fn check_name(&mut self, name: &At<Reference>) {
        let length = name.name().chars().map(|c| if c == '-' { 2 } else { 1 }).sum::<usize>();
        if length > MAX_NAME {
            let message = format!(
                "connector name `{}` counts {length}, at most {MAX_NAME} with each hyphen counted twice",
                name.name()
            );
            self.push(Diagnostic::rejected("connector-name", message).at(name.place).help("choose a shorter name"));
        }
    }

    fn check_is_28(&mut self, range: ipnet::Ipv4Net, place: Place) {
        if range.prefix_len() != 28 {
            let message = format!("{range} cannot be a connector's: expected a /28, found a /{}", range.prefix_len());
            let first = ipnet::Ipv4Net::new(range.network(), 28).expect("28 is a prefix length");
            self.push(
                Diagnostic::rejected("connector-range", message).at(place).help(format!("a /28, such as {first}")),
            );
        }
    }

    /// Smallest and largest number of instances, as given or by throughput: 100 Mbps an instance, whatever the machine type
    /// (REST shows 200 to 300 Mbps for 2 to 3 instances).
    fn instance_bounds(&mut self, connector: &File) -> (u32, u32) {
        let mut bound = |instances: &Option<At<i64>>,
                         throughput: &Option<At<i64>>,
                         allowed: std::ops::RangeInclusive<i64>,
                         what: &str,
                         default| {
            let (count, place) = match (instances, throughput) {
                (Some(instances), _) => {
                    self.bounded(instances, allowed, &format!("{what}Instances of a connector"))?;
                    (instances.value, instances.place)
                }
                (None, Some(throughput)) => {
                    let mbps = (allowed.start() * 100)..=(allowed.end() * 100);
                    self.bounded(throughput, mbps, &format!("{what}Throughput of a connector"))?;
                    ((throughput.value + 99) / 100, throughput.place)
                }
                (None, None) => (default, Place::NOWHERE),
            };
            Some((count, place))
        };
        let min = bound(&connector.min_instances, &connector.min_throughput, 2..=9, "min", 2);
        let max = bound(&connector.max_instances, &connector.max_throughput, 3..=10, "max", 10);
        let (Some((min, min_place)), Some((max, max_place))) = (min, max) else { return (2, 10) };
        if min >= max {
            let place = if max_place == Place::NOWHERE { min_place } else { max_place };
            let message = format!("a connector's minimum of {min} instances is not below its maximum of {max}");
            self.push(Diagnostic::rejected("connector-instances", message).at(place).help("2 to 9 below 3 to 10"));
        }
        (min as u32, max as u32)
    }
}

fn machine_type_of(written: ConnectorMachineType) -> MachineType {
    match written {
        ConnectorMachineType::F1Micro => MachineType::F1Micro,
        ConnectorMachineType::E2Micro => MachineType::E2Micro,
        ConnectorMachineType::E2Standard4 => MachineType::E2Standard4,
    }
}

/// Whether a connector uses a subnet of another project, the host project of a Shared VPC.
fn in_service_project(connector: &File) -> bool {
    let host = connector.subnet.as_ref().and_then(|subnet| subnet.value.project_id.as_ref());
    // A bare name is of the project that the scenario is about.
    host.is_some_and(|host| connector.name.project() != Some(host.value.as_str()))
}
