//! Cloud Run instances of a network: how they start and stop while it runs.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::{DIRECT_VPC_BITS_PER_SECOND, Leftover, Network, QUEUE, RunningInstance};
use crate::addresses::AddressPool;
use crate::node::firewall::Interface;
use crate::node::instance::{self, Instance, InstanceConfig};
use crate::node::nat;
use crate::scenario::{Attachment, Egress, Workload, WorkloadKind};
use crate::sim::rng;
use crate::time::SimTime;
use crate::topology::{Capacity, LinkConfig};
use crate::trace::info::{self, Resource, WorkloadInfo};

impl Network {
    /// Gives a workload this many instances. New ones go through start-up; the youngest go first.
    pub(super) fn scale(&mut self, workload: usize, instances: u32) {
        while self.workloads[workload].len() > instances as usize {
            self.stop_instance(workload);
        }
        // Those that fail to start are not tried again.
        for _ in self.workloads[workload].len()..instances as usize {
            self.start_instance(workload, false);
        }
    }

    /// Starts one more instance, as far as there are addresses for it.
    pub(super) fn start_instance(&mut self, workload: usize, warm: bool) {
        let now = self.engine.now();
        let spec = self.scenario.workloads[workload].clone();
        let model = self.scenario.model.cloud_run.clone();
        let held = match spec.attachment {
            Attachment::Direct { subnetwork, .. } => match self.pools[subnetwork].hold(workload) {
                Some(addresses) => addresses.to_vec(),
                None => return,
            },
            _ => vec![],
        };
        self.started[workload] += 1;
        let index = self.instances_ever;
        self.instances_ever += 1;
        let name: Arc<str> = format!("{}-{}", spec.name, self.started[workload]).into();
        let address = held.first().copied().unwrap_or_else(|| sandbox_address(index));

        // One draw for both windows: the way into the VPC opens in proportion to the way through NAT.
        let (median, p90) = (model.egress_open_nat_median.as_secs_f64(), model.egress_open_nat_p90.as_secs_f64());
        let drawn = rng::log_normal(&mut self.rng, median, p90).min(model.egress_open_nat_max.as_secs_f64());
        let (opens_vpc, opens_nat) = if warm {
            (SimTime::ZERO, SimTime::ZERO)
        } else {
            let vpc = drawn * model.egress_open_vpc_median.as_secs_f64() / median;
            (now + Duration::from_secs_f64(vpc), now + Duration::from_secs_f64(drawn))
        };

        let attachment = match &spec.attachment {
            Attachment::None => instance::Attachment::None,
            Attachment::Connector(_) => instance::Attachment::Connector,
            Attachment::Direct { network, subnetwork, .. } => {
                let subnetwork = &self.scenario.subnetworks[*subnetwork];
                instance::Attachment::Direct {
                    network: Resource::network(&*self.scenario.networks[*network].name),
                    subnetwork: Resource::regional("subnetworks", &*subnetwork.region, &*subnetwork.name),
                    block: AddressPool::block_of(address),
                    opens_at: opens_vpc,
                }
            }
        };
        let station = Instance::new(InstanceConfig {
            name: name.clone(),
            workload: workload_info(&spec),
            address,
            attachment,
            all_traffic: spec.egress == Egress::AllTraffic,
        });
        let node = self.engine.add(&*name, station);

        let port = self.engine.topology().free_port(self.serverless.node, 1);
        self.engine.connect((node, instance::EXTERNAL), (self.serverless, port), LinkConfig::default());
        self.engine.change(self.serverless, |egress| {
            egress.add_instance(address, port);
        });

        let mut firewall_port = None;
        match &spec.attachment {
            Attachment::None => {}
            Attachment::Connector(connector) => {
                let dispatcher = self.connectors[*connector];
                let least = self.scenario.connectors[*connector].min_instances;
                let port = self.engine.topology().free_port(dispatcher.node, least);
                let link = LinkConfig { delay: self.scenario.model.connector.delay, ..LinkConfig::default() };
                self.engine.connect((node, instance::VPC), (dispatcher, port), link);
                self.engine.change(dispatcher, |connector| {
                    connector.add_instance(address, port);
                });
            }
            Attachment::Direct { network, tags, .. } => {
                let capacity = Capacity { bits_per_second: DIRECT_VPC_BITS_PER_SECOND, queue: QUEUE };
                let link =
                    LinkConfig { delay: model.direct_vpc_delay, capacity: Some(capacity), ..LinkConfig::default() };
                let interface = Interface {
                    name: name.clone(),
                    addresses: vec![address.into()],
                    tags: tags.clone(),
                    service_account: spec.service_account.clone(),
                    running: true,
                };
                firewall_port = Some(self.attach(*network, interface, (node, instance::VPC), link));
                for (number, &address) in held.iter().enumerate() {
                    if number == 0 || model.count_held_addresses {
                        self.add_endpoint(nat::EndpointConfig {
                            name: name.clone(),
                            address,
                            serves_primary: true,
                            alias_ranges: vec![],
                            held: number > 0,
                            opens_at: opens_nat,
                        });
                    }
                }
            }
        }
        self.workloads[workload].push(RunningInstance { site: node, address, held, firewall_port });
    }

    /// Shuts the youngest instance of a workload down. Its addresses, and with them its NAT ports, are held for a while.
    pub(super) fn stop_instance(&mut self, workload: usize) {
        let Some(gone) = self.workloads[workload].pop() else { return };
        let until = self.engine.now() + self.scenario.model.cloud_run.address_hold;
        self.engine.change(gone.site, |instance| {
            instance.shut_down();
        });
        self.engine.change(self.serverless, |egress| {
            egress.remove_instance(gone.address);
        });
        match self.scenario.workloads[workload].attachment.clone() {
            Attachment::None => {}
            Attachment::Connector(connector) => self.engine.change(self.connectors[connector], |connector| {
                connector.remove_instance(gone.address);
            }),
            Attachment::Direct { network, subnetwork, .. } => {
                let port = gone.firewall_port.expect("an instance with Direct VPC egress is attached");
                self.engine.change(self.vpcs[network].firewall, |firewall| {
                    firewall.detach(port);
                });
                self.engine.change(self.vpcs[network].router, |router| {
                    router.detach(ipnet::Ipv4Net::from(gone.address));
                });
                self.leftovers.push(Leftover { until, subnetwork, addresses: gone.held });
            }
        }
    }
}

/// How a trace names a workload.
fn workload_info(workload: &Workload) -> WorkloadInfo {
    let located = |collection| Resource::located(collection, &*workload.region, &*workload.name);
    let (kind, collection) = match workload.kind {
        WorkloadKind::Service => (info::WorkloadKind::Revision, "services"),
        WorkloadKind::WorkerPool => (info::WorkloadKind::Revision, "workerPools"),
        WorkloadKind::Job => (info::WorkloadKind::Job, "jobs"),
        WorkloadKind::Function => (info::WorkloadKind::Function, "functions"),
    };
    let revision = kind == info::WorkloadKind::Revision;
    WorkloadInfo {
        kind,
        resource: located(if revision { "revisions" } else { collection }),
        service: revision.then(|| located(collection)),
    }
}

/// An address for an instance without an interface in a subnet: 169.254.8.1 and on, as containers see themselves behind a
/// connector, without the metadata server's; the benchmark range 198.18.0.0/15 when there are tens of thousands.
fn sandbox_address(index: u32) -> Ipv4Addr {
    let (net, host) = (index / 254, 1 + (index % 254) as u8);
    match u8::try_from(8 + net) {
        Ok(third) if Ipv4Addr::new(169, 254, third, host) == instance::METADATA => Ipv4Addr::new(169, 254, 7, 254),
        Ok(third) => Ipv4Addr::new(169, 254, third, host),
        Err(_) => Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + index),
    }
}
