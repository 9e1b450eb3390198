//! Declared destinations: hosts wherever they are, and VMs.

use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};

use super::{BuiltVm, Network};
use crate::node::Station;
use crate::node::beyond::{Beyond, Place};
use crate::node::firewall::Interface;
use crate::node::host::{Host, HostPlace, UPLINK};
use crate::node::nat;
use crate::node::startup::Opening;
use crate::scenario::{self, ForwardingTarget, HostLocation};
use crate::sim::Site;
use crate::topology::LinkConfig;
use crate::trace::PortId;
use crate::trace::info::{DeliverInfo, DeliverTarget, InstanceInfo, Resource, Scope};

/// A host's links to the places that it is in.
struct Uplinks {
    node: Site<Host>,
    link: LinkConfig,
    count: u32,
}

impl Network {
    pub(super) fn build_hosts(&mut self) {
        let scenario = Arc::clone(&self.scenario);
        for host in &scenario.hosts {
            let name: Arc<str> = host.name.as_str().into();
            let vip = self.vip_of(host);
            let place = self.place_of(host, vip);
            let station =
                Host::new(name.clone(), host.tcp_ports.clone(), host.udp_ports.clone(), host.unreachable, place);
            let node = self.engine.add(host.name.clone(), station);
            self.hosts.push(node);
            let link = LinkConfig { delay: host.rtt / 2, loss: host.loss, ..LinkConfig::default() };
            let mut uplinks = Uplinks { node, link, count: 0 };
            match &host.location {
                HostLocation::Vpc(network) => match vip {
                    // Behind a forwarding rule: a backend, or a published service.
                    Some(rule) => {
                        let site = self.far(*network, &self.rule_key(rule)).site;
                        self.uplink(&mut uplinks, site, |beyond, range, port| beyond.add_host(range, port), host);
                    }
                    None => {
                        let address = host.addresses.first();
                        let subnetwork = scenario.subnetworks.iter().find(|subnetwork| {
                            let within = |it: &IpNet| subnetwork.ranges().any(|range| range.contains(it));
                            subnetwork.network == *network && address.is_some_and(within)
                        });
                        let interface = Interface {
                            region: subnetwork.map(|subnetwork| subnetwork.region.as_str().into()),
                            ..Interface::vm(name, host.addresses.iter().copied())
                        };
                        self.attach(*network, interface, (node, UPLINK), link);
                    }
                },
                HostLocation::Internet => {
                    self.uplink(
                        &mut uplinks,
                        self.internet,
                        |internet, range, port| internet.add_route(range, port),
                        host,
                    );
                }
                HostLocation::GoogleApi => {
                    self.uplink(
                        &mut uplinks,
                        self.internet,
                        |internet, range, port| internet.add_route(range, port),
                        host,
                    );
                    for vpc in self.vpcs.clone() {
                        self.engine.change(vpc.router, |router| {
                            host.addresses.iter().for_each(|range| router.add_google_api(*range));
                        });
                        self.uplink(&mut uplinks, vpc.google, |google, range, port| google.add_host(range, port), host);
                    }
                }
                HostLocation::OnPrem(next_hop) => {
                    for site in self.on_prem(next_hop.as_deref()) {
                        self.uplink(&mut uplinks, site, |beyond, range, port| beyond.add_host(range, port), host);
                    }
                }
                HostLocation::Peer(network) => {
                    for site in self.outside_peers(network) {
                        self.uplink(&mut uplinks, site, |beyond, range, port| beyond.add_host(range, port), host);
                    }
                }
            }
        }
    }

    /// Links a host to a place that it is in.
    fn uplink<S: Station>(
        &mut self,
        uplinks: &mut Uplinks,
        site: Site<S>,
        mut add: impl FnMut(&mut S, IpNet, PortId),
        host: &scenario::Host,
    ) {
        let port = self.engine.topology().free_port(site.node, 1);
        self.engine.connect((site, port), (uplinks.node, PortId(uplinks.count)), uplinks.link);
        uplinks.count += 1;
        self.engine.change(site, |station| host.addresses.iter().for_each(|range| add(station, *range, port)));
    }

    /// The forwarding rule whose address a host has: then it is behind that.
    fn vip_of(&self, host: &scenario::Host) -> Option<usize> {
        let HostLocation::Vpc(network) = host.location else { return None };
        let single = host.addresses.iter().filter(|range| range.prefix_len() == range.max_prefix_len());
        single.filter_map(|range| self.first_rules.get(&(network, Some(range.addr())))).next().copied()
    }

    /// Where a host is, as a trace tells.
    fn place_of(&self, host: &scenario::Host, vip: Option<usize>) -> HostPlace {
        let address = host.addresses.first().map(IpNet::addr);
        let in_network = |network: &str| {
            HostPlace::Vpc(Box::new(InstanceInfo {
                // A zone is not known of it.
                instance: Resource {
                    scope: Scope::Zone("-".into()),
                    collection: "instances",
                    name: host.name.as_str().into(),
                },
                network: Resource::network(network),
                internal_ip: address,
                external_ip: None,
                network_tags: vec![],
                service_account: None,
                running: true,
            }))
        };
        let service = |target, resource| match address {
            Some(address) => HostPlace::Service(Box::new(DeliverInfo { resource, ..DeliverInfo::to(target, address) })),
            None => HostPlace::OnPrem,
        };
        match &host.location {
            HostLocation::Internet => HostPlace::Internet,
            HostLocation::OnPrem(_) => HostPlace::OnPrem,
            HostLocation::GoogleApi => {
                // At an endpoint of Private Service Connect it is reached by that.
                let stations = self.vpcs.iter().map(|vpc| self.engine.at(vpc.google));
                let mut endpoints = stations.filter_map(|google| google.endpoint_at(address?));
                endpoints.next().map_or(HostPlace::GoogleApi, |info| HostPlace::Service(Box::new(info)))
            }
            HostLocation::Peer(name) => {
                let sites = self.outside_peers(name);
                let managed = |site: &Site<Beyond>| *self.engine.at(*site).place() == Place::Peer { managed: true };
                if sites.iter().any(managed) {
                    service(DeliverTarget::GoogleManagedService, None)
                } else {
                    in_network(name)
                }
            }
            HostLocation::Vpc(network) => {
                let published = vip.and_then(|rule| match &self.scenario.forwarding_rules[rule].target {
                    ForwardingTarget::ServiceAttachment { attachment, .. } => Some(Resource {
                        collection: "serviceAttachments",
                        name: attachment.as_str().into(),
                        ..self.rule_resource(rule)
                    }),
                    _ => None,
                });
                match published {
                    Some(resource) => service(DeliverTarget::PscPublishedService, Some(resource)),
                    None => in_network(&self.scenario.networks[*network].name),
                }
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
            let host = self.engine.add(vm.name.clone(), station);
            let mut addresses = vec![IpNet::from(Ipv4Net::from(vm.address))];
            addresses.extend(vm.alias_ranges.iter().copied().map(IpNet::V4));
            addresses.extend(vm.ipv6.map(IpNet::V6));
            let interface = Interface {
                region: Some(scenario.subnetworks[vm.subnetwork].region.as_str().into()),
                tags: vm.tags.clone(),
                service_account: vm.service_account.clone(),
                secure_tags: vm.secure_tags.clone(),
                running: vm.running,
                tracked_max: super::firewalls::vm_cpus(vm.cpus).tracked_max(),
                ..Interface::vm(name.clone(), addresses)
            };
            let interface = self.attach(vm.network, interface, (host, UPLINK), LinkConfig::default());
            self.vms.push(BuiltVm { host, interface });
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
                    opens: Opening::OPEN,
                };
                if endpoint.serves_primary || !endpoint.alias_ranges.is_empty() {
                    self.add_endpoint(endpoint);
                }
            }
        }
    }
}
