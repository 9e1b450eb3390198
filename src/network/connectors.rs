//! Serverless VPC Access connectors: a dispatcher each, and its VMs.

use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;

use super::{Network, QUEUE, firewalls};
use crate::node::connector::{self, Connector, ConnectorVm};
use crate::node::firewall::{Interface, InterfaceKind};
use crate::node::nat;
use crate::scenario::model::ConnectorAffinity;
use crate::time::SimTime;
use crate::topology::{Capacity, LinkConfig};
use crate::trace::info::Resource;

impl Network {
    pub(super) fn build_connectors(&mut self) {
        let scenario = Arc::clone(&self.scenario);
        let model = &scenario.model.connector;
        for connector in &scenario.connectors {
            let resource = Resource::located("connectors", &*connector.region, &*connector.name);
            let by_instance = model.affinity == ConnectorAffinity::Instance;
            let count = connector.min_instances;
            let station = Connector::new(resource.clone(), count, connector.ready, by_instance, self.scenario.seed);
            let dispatcher = self.engine.add(connector.name.clone(), station);
            let range = self.scenario.subnetworks[connector.subnetwork].range;
            for index in 0..count {
                let name: Arc<str> = format!("{}-vm-{}", connector.name, index + 1).into();
                // The first two addresses of the range are Google's.
                let address = Ipv4Addr::from(u32::from(range.network()) + 2 + index);
                let vm = ConnectorVm::new(name.clone(), resource.clone(), address, model.snat_ports, model.time_wait);
                let node = self.engine.add(&*name, vm);
                let capacity = Capacity { bits_per_second: connector.machine_type.bits_per_second(), queue: QUEUE };
                let link = LinkConfig { capacity: Some(capacity), ..LinkConfig::default() };
                self.engine.connect((dispatcher, Connector::vm_port(index)), (node, connector::TUNNEL), link);
                let interface = Interface {
                    kind: InterfaceKind::ConnectorVm,
                    region: Some(connector.region.as_str().into()),
                    tags: firewalls::connector_tags(connector).into(),
                    tracked_max: firewalls::connector_cpus(connector.machine_type).tracked_max(),
                    ..Interface::vm(name.clone(), [Ipv4Net::from(address)])
                };
                self.attach(connector.network, interface, (node, connector::NIC), LinkConfig::default());
                self.add_endpoint(nat::EndpointConfig {
                    name,
                    address,
                    serves_primary: true,
                    alias_ranges: vec![],
                    held: false,
                    opens_at: SimTime::ZERO,
                });
            }
            self.connectors.push(dispatcher);
        }
    }
}
