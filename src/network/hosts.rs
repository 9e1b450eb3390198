//! Declared destinations: hosts wherever they are, and VMs.

use std::sync::Arc;

use ipnet::Ipv4Net;

use super::Network;
use crate::node::firewall::Interface;
use crate::node::internet::{FarSide, Host, HostPlace, UPLINK};
use crate::node::nat;
use crate::scenario::HostLocation;
use crate::sim::Site;
use crate::time::SimTime;
use crate::topology::LinkConfig;
use crate::trace::PortId;
use crate::trace::info::{InstanceInfo, Resource, Scope};

impl Network {
    pub(super) fn build_hosts(&mut self) {
        let scenario = Arc::clone(&self.scenario);
        for host in &scenario.hosts {
            let name: Arc<str> = host.name.as_str().into();
            let place = match &host.location {
                HostLocation::Internet => HostPlace::Internet,
                HostLocation::OnPrem(_) => HostPlace::OnPrem,
                HostLocation::GoogleApi => HostPlace::GoogleApi,
                HostLocation::Vpc(network) => HostPlace::Vpc(Box::new(InstanceInfo {
                    // A zone is not known of it.
                    instance: Resource::global("instances", Arc::clone(&name)),
                    network: Resource::network(&*scenario.networks[*network].name),
                    internal_ip: host.addresses.first().map(|range| range.addr().into()),
                    external_ip: None,
                    network_tags: vec![],
                    service_account: None,
                    running: true,
                })),
            };
            let station =
                Host::new(name.clone(), host.tcp_ports.clone(), host.udp_ports.clone(), host.unreachable, place);
            let node = self.engine.add(host.name.clone(), station);
            self.hosts.push(node);
            let link = LinkConfig { delay: host.rtt / 2, loss: host.loss, ..LinkConfig::default() };
            let far_sides: Vec<Site<FarSide>> = match &host.location {
                HostLocation::Vpc(network) => {
                    let address = host.addresses.first();
                    let subnetwork = scenario.subnetworks.iter().find(|subnetwork| {
                        subnetwork.network == *network && address.is_some_and(|it| subnetwork.range.contains(it))
                    });
                    let interface = Interface {
                        region: subnetwork.map(|subnetwork| subnetwork.region.as_str().into()),
                        ..Interface::vm(name, host.addresses.iter().copied())
                    };
                    self.attach(*network, interface, (node, UPLINK), link);
                    continue;
                }
                HostLocation::Internet => vec![self.internet],
                HostLocation::GoogleApi => {
                    for vpc in self.vpcs.clone() {
                        self.engine.change(vpc.router, |router| {
                            host.addresses.iter().for_each(|range| router.add_google_api(*range));
                        });
                    }
                    std::iter::once(self.internet).chain(self.vpcs.iter().map(|vpc| vpc.google)).collect()
                }
                HostLocation::OnPrem(next_hop) => self.on_prem(next_hop.as_deref()),
            };
            for (uplink, far) in far_sides.into_iter().enumerate() {
                let port = self.engine.topology().free_port(far.node, 1);
                self.engine.connect((far, port), (node, PortId(uplink as u32)), link);
                self.engine.change(far, |far| {
                    host.addresses.iter().for_each(|range| far.add_route(*range, port));
                });
            }
        }
    }

    pub(super) fn build_vms(&mut self) {
        let scenario = Arc::clone(&self.scenario);
        for vm in &scenario.vms {
            let name: Arc<str> = vm.name.as_str().into();
            let info = InstanceInfo {
                instance: Resource {
                    scope: Scope::Zone(vm.zone.as_str().into()),
                    collection: "instances",
                    name: Arc::clone(&name),
                },
                network: Resource::network(&*scenario.networks[vm.network].name),
                internal_ip: Some(vm.address.into()),
                external_ip: vm.external_address.map(Into::into),
                network_tags: vm.tags.clone(),
                service_account: vm.service_account.clone(),
                running: vm.running,
            };
            let station = Host::new(name.clone(), vec![], vec![], false, HostPlace::Vpc(Box::new(info)));
            let node = self.engine.add(vm.name.clone(), station);
            let mut addresses = vec![Ipv4Net::from(vm.address)];
            addresses.extend(&vm.alias_ranges);
            let interface = Interface {
                region: Some(scenario.subnetworks[vm.subnetwork].region.as_str().into()),
                tags: vm.tags.clone(),
                service_account: vm.service_account.clone(),
                secure_tags: vm.secure_tags.clone(),
                running: vm.running,
                tracked_max: super::firewalls::vm_cpus(vm.cpus).tracked_max(),
                ..Interface::vm(name.clone(), addresses)
            };
            self.attach(vm.network, interface, (node, UPLINK), LinkConfig::default());
            if vm.running {
                let endpoint = nat::EndpointConfig {
                    name,
                    address: vm.address,
                    // With an external address of its own, the primary address never uses Cloud NAT; alias ranges do.
                    serves_primary: vm.external_address.is_none() && self.gateway_for(vm.address).is_some(),
                    alias_ranges: (vm.alias_ranges.iter().copied())
                        .filter(|range| self.gateway_for(range.addr()).is_some())
                        .collect(),
                    held: false,
                    opens_at: SimTime::ZERO,
                };
                if endpoint.serves_primary || !endpoint.alias_ranges.is_empty() {
                    self.add_endpoint(endpoint);
                }
            }
        }
    }
}
