//! What the gateways of a run log, as entries: who the endpoints and destinations are, which entries the filter lets through
//! and how many a VM may write.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::network::Network;
use crate::node::nat::Endpoint;
use crate::report::identity::{EndpointIdentity, GatewayIdentity, PROJECT};
use crate::report::nat_log::{Allocation, LogBudget, LoggedDestination, LoggedProtocol, NatLogEntry};
use crate::scenario::{Attachment, GeoLocation, MachineType, Scenario, Subnetwork};

/// An endpoint as logs and metrics know it.
#[derive(Debug)]
pub(super) struct KnownEndpoint {
    pub(super) identity: EndpointIdentity,
    budget: LogBudget,
}

/// A destination of which logs tell more than the address.
#[derive(Debug)]
struct Destination {
    range: IpNet,
    what: KnownDestination,
}

#[derive(Debug)]
enum KnownDestination {
    Instance(EndpointIdentity),
    GeoLocation(GeoLocation),
}

/// Makes entries of what gateways keep to log.
#[derive(Debug)]
pub struct NatLogs {
    pub(super) gateways: Vec<GatewayIdentity>,
    /// By gateway and endpoint.
    pub(super) endpoints: Vec<Vec<KnownEndpoint>>,
    destinations: Vec<Destination>,
}

impl NatLogs {
    /// The gateways of a network, which keep what there is to log from now on.
    pub fn new(network: &mut Network) -> NatLogs {
        let scenario = network.scenario();
        let gateways = (scenario.nat_gateways.iter())
            .map(|gateway| GatewayIdentity {
                project_id: PROJECT.into(),
                region: gateway.region.clone(),
                network: scenario.networks[gateway.network].name.clone(),
                router: gateway.router.clone(),
                gateway: gateway.name.clone(),
            })
            .collect::<Vec<_>>();
        let endpoints = gateways.iter().map(|_| Vec::new()).collect();
        let destinations = destinations(scenario);
        for gateway in 0..gateways.len() {
            network.gateway_mut(gateway).keep_log();
        }
        NatLogs { gateways, endpoints, destinations }
    }

    /// Learns of endpoints that are new.
    pub fn learn(&mut self, network: &Network) {
        let scenario = network.scenario();
        for (known, gateway) in self.endpoints.iter_mut().zip(network.gateways()) {
            for endpoint in &gateway.endpoints()[known.len()..] {
                known.push(describe(scenario, endpoint));
            }
        }
    }

    /// Hands over every entry of what the gateways keep, in order of time, with the gateway's number. They keep it all the
    /// same: whoever is the last to look takes it.
    ///
    /// # Errors
    /// What `write` says.
    pub fn each(
        &mut self,
        network: &Network,
        write: &mut dyn FnMut(usize, &NatLogEntry<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.learn(network);
        let mut events = Vec::new();
        for (number, gateway) in network.gateways().enumerate() {
            events.extend(gateway.log().iter().map(|event| (event.time, number, *event)));
        }
        events.sort_by_key(|(time, gateway, _)| (*time, *gateway));
        for (time, gateway, event) in events {
            let Some(filter) = network.log_filter(gateway, time) else { continue };
            let Some(protocol) = LoggedProtocol::from_number(event.tuple.protocol.number()) else { continue };
            let at = Duration::from_nanos(time.as_nanos());
            let allocation = match event.outside {
                Some((nat_ip, nat_port)) => Allocation::Ok { nat_ip, nat_port },
                None => Allocation::Dropped,
            };
            let endpoint = &mut self.endpoints[gateway][event.endpoint as usize];
            if !endpoint.budget.record(at, allocation, filter) {
                continue;
            }
            let destination = self.destinations.iter().find(|known| known.range.contains(&IpAddr::V4(event.tuple.dst)));
            let entry = NatLogEntry {
                at,
                allocation,
                protocol,
                src_ip: event.tuple.src,
                src_port: event.tuple.src_port,
                dest_ip: event.tuple.dst,
                dest_port: event.tuple.dst_port,
                gateway: &self.gateways[gateway],
                endpoint: &endpoint.identity,
                destination: destination.map(|known| match &known.what {
                    KnownDestination::Instance(vm) => LoggedDestination::Instance(vm),
                    KnownDestination::GeoLocation(place) => LoggedDestination::GeoLocation(place),
                }),
            };
            write(gateway, &entry)?;
        }
        Ok(())
    }
}

/// Who something in a subnet is, as logs and metrics have it.
fn identity(scenario: &Scenario, name: String, zone: String, subnetwork: Option<&Subnetwork>) -> EndpointIdentity {
    EndpointIdentity {
        project_id: PROJECT.into(),
        vm_name: name,
        region: subnetwork.map(|subnetwork| subnetwork.region.clone()).unwrap_or_default(),
        zone,
        network_project_id: PROJECT.into(),
        network: subnetwork.map(|subnetwork| scenario.networks[subnetwork.network].name.clone()).unwrap_or_default(),
        subnetwork: subnetwork.map(|subnetwork| subnetwork.name.clone()).unwrap_or_default(),
    }
}

/// VMs with an external address, and hosts of which the scenario says where they are.
fn destinations(scenario: &Scenario) -> Vec<Destination> {
    let vms = scenario.vms.iter().filter_map(|vm| {
        let identity = identity(scenario, vm.name.clone(), vm.zone.clone(), Some(&scenario.subnetworks[vm.subnetwork]));
        Some(Destination { range: IpAddr::V4(vm.external_address?).into(), what: KnownDestination::Instance(identity) })
    });
    let hosts = scenario.hosts.iter().flat_map(|host| {
        let known = |place: &GeoLocation, range: &IpNet| Destination {
            range: *range,
            what: KnownDestination::GeoLocation(place.clone()),
        };
        host.geo_location.iter().flat_map(move |place| host.addresses.iter().map(move |range| known(place, range)))
    });
    vms.chain(hosts).collect()
}

/// Who an endpoint is, as logs and metrics have it.
fn describe(scenario: &Scenario, endpoint: &Endpoint) -> KnownEndpoint {
    let config = endpoint.config();
    let name = config.name.to_string();
    let subnetwork = scenario.subnetworks.iter().find(|subnetwork| subnetwork.range.contains(&config.address));
    let vm = scenario.vms.iter().find(|vm| vm.name == name);
    let region = subnetwork.map(|subnetwork| subnetwork.region.clone()).unwrap_or_default();
    // A Cloud Run instance or connector VM has a zone that nobody is told; the first of the region stands for it.
    let zone = vm.map_or_else(|| format!("{region}-a"), |vm| vm.zone.clone());
    let workload = scenario.workloads.iter().find(|workload| {
        workload.revisions.iter().any(|revision| matches!(revision.attachment, Attachment::Direct { .. }))
            && name.strip_prefix(&workload.name).is_some_and(|rest| rest.starts_with('-'))
    });
    let connector = scenario.connectors.iter().find(|connector| name.starts_with(&format!("{}-vm-", connector.name)));
    let vcpus = match (workload, connector) {
        (Some(workload), _) => workload.revisions[0].vcpus,
        // Google's machine types: f1-micro 1 shared vCPU, e2-micro 2 shared, e2-standard-4 4.
        (None, Some(connector)) => match connector.machine_type {
            MachineType::F1Micro => 1.0,
            MachineType::E2Micro => 2.0,
            MachineType::E2Standard4 => 4.0,
        },
        (None, None) => 1.0,
    };
    let identity = identity(scenario, name, zone, subnetwork);
    let budget = LogBudget::new(scenario.model.nat.log_entries_per_second_per_vcpu, vcpus);
    KnownEndpoint { identity, budget }
}
