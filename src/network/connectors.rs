//! Serverless VPC Access connectors: a dispatcher each, its VMs, and how their number grows.
//!
//! Google documents that a connector adds VMs as traffic increases and never takes one away. When, is not documented: here
//! when its use of the documented throughput was above a share for a time, and the new VMs take their time to start
//! (`model.connector`). Flows stay with the VM that they began with. A VM that is replaced takes its flows along.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::agenda::Due;
use ipnet::Ipv4Net;

use super::{Network, QUEUE, firewalls, idle_policy};
use crate::node::connector::{self, Connector, ConnectorVm, VmConfig};
use crate::node::firewall::{Interface, InterfaceKind};
use crate::node::nat;
use crate::node::startup::Opening;
use crate::scenario::model::{ConnectorAffinity, ConnectorModel};
use crate::scenario::{self, ImpairedPlace, MachineType};
use crate::sim::{Site, rng};
use crate::time::SimTime;
use crate::topology::{Capacity, LinkConfig, LinkId, NodeId};
use crate::trace::PortId;
use crate::trace::info::Resource;

/// How often the use of connectors is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// From one VM that is replaced to the next. Assumed.
const REPLACED_EVERY: Duration = Duration::from_secs(60);
/// The most VMs that one decision adds. Assumed.
const MOST_ADDED: u32 = 3;
/// Usable addresses of a /28: the first two and the last two are Google's.
const USABLE: std::ops::Range<u32> = 2..14;

/// A connector as it is now.
#[derive(Debug)]
pub(super) struct ConnectorStations {
    pub(super) dispatcher: Site<Connector>,
    config: scenario::Connector,
    vms: Vec<Vm>,
    /// VMs that it ever had, for their names.
    ever: u32,
    /// VMs that are about to carry traffic.
    starting: u32,
    /// Bits carried in each of the last looks.
    looks: VecDeque<u64>,
}

/// A connector VM.
#[derive(Debug)]
struct Vm {
    site: Site<ConnectorVm>,
    address: Ipv4Addr,
    /// The dispatcher's port towards it.
    port: PortId,
    /// To it and back.
    links: [LinkId; 2],
    firewall_port: PortId,
    /// What the links had carried at the last look, and whether that was near the limit.
    carried: [u64; 2],
    busy: bool,
}

impl Network {
    pub(super) fn build_connectors(&mut self) {
        let scenario = Arc::clone(&self.scenario);
        let model = &scenario.model.connector;
        for (index, config) in scenario.connectors.iter().enumerate() {
            let resource = Resource::located("connectors", &*config.region, &*config.name);
            let by_instance = model.affinity == ConnectorAffinity::Instance;
            let mut dispatcher = Connector::new(resource, config.ready, by_instance, scenario.seed);
            if scenario.networks[config.network].mtu != connector::MTU {
                dispatcher.limit_packets();
            }
            let dispatcher = self.engine.add(config.name.clone(), dispatcher);
            self.connectors.push(ConnectorStations {
                dispatcher,
                config: config.clone(),
                vms: Vec::new(),
                ever: 0,
                starting: 0,
                looks: VecDeque::new(),
            });
            (0..config.min_instances).for_each(|_| self.add_connector_vm(index));
            if !model.maintenance_every.is_zero() {
                let connector = index;
                self.agenda.add(SimTime::from(model.maintenance_every), Due::MaintainConnector { connector });
            }
        }
        if !scenario.connectors.is_empty() {
            self.agenda.add(SimTime::ZERO + LOOK_EVERY, Due::LookAtConnectors);
        }
    }

    /// VMs of a connector.
    pub fn connector_instances(&self, connector: usize) -> u32 {
        self.connectors[connector].vms.len() as u32
    }

    /// Addresses of a connector's VMs, and their ports at the firewall.
    pub(super) fn connector_interfaces(&self, connector: usize) -> Vec<(Ipv4Addr, PortId)> {
        self.connectors[connector].vms.iter().map(|vm| (vm.address, vm.firewall_port)).collect()
    }

    /// The VMs of a connector, each with its port towards the instances.
    pub fn connector_vms(&self, connector: usize) -> impl Iterator<Item = (NodeId, PortId)> + '_ {
        self.connectors[connector].vms.iter().map(|vm| (vm.site.node, connector::TUNNEL))
    }

    fn add_connector_vm(&mut self, index: usize) {
        let scenario = Arc::clone(&self.scenario);
        let model = &scenario.model.connector;
        let stations = &mut self.connectors[index];
        stations.ever += 1;
        let (config, dispatcher) = (stations.config.clone(), stations.dispatcher);
        let first = u32::from(scenario.subnetworks[config.subnetwork].range.network());
        let mut addresses = USABLE.map(|offset| Ipv4Addr::from(first + offset));
        let taken = |address: &Ipv4Addr| stations.vms.iter().any(|vm| vm.address == *address);
        let Some(address) = addresses.find(|address| !taken(address)) else { return };
        let name: Arc<str> = format!("{}-vm-{}", config.name, stations.ever).into();
        let resource = Resource::located("connectors", &*config.region, &*config.name);
        let vm = VmConfig {
            ports: model.snat_ports,
            time_wait: model.time_wait,
            idle: idle_policy(scenario.model.cloud_run.idle_vpc),
        };
        let vm = ConnectorVm::new(name.clone(), resource, address, vm);
        let site = self.engine.add(&*name, vm);
        let port = self.engine.topology().free_port(dispatcher.node, 0);
        let link = LinkConfig {
            delay: model.delay,
            delay_p99: if model.delay_p99 > model.delay { model.delay_p99 } else { Duration::ZERO },
            capacity: Some(capacity(config.machine_type, model)),
            ..LinkConfig::default()
        };
        self.engine.connect((dispatcher, port), (site, connector::TUNNEL), link);
        let topology = self.engine.topology();
        let links = [(dispatcher.node, port), (site.node, connector::TUNNEL)]
            .map(|(node, port)| topology.link_at(node, port).expect("they were just linked"));
        let interface = Interface {
            kind: InterfaceKind::ConnectorVm,
            region: Some(config.region.as_str().into()),
            tags: firewalls::connector_tags(&config).into(),
            tracked_max: firewalls::connector_cpus(config.machine_type).tracked_max(),
            ..Interface::vm(name.clone(), [Ipv4Net::from(address)])
        };
        let firewall_port = self.attach(config.network, interface, (site, connector::NIC), LinkConfig::default());
        self.add_endpoint(nat::EndpointConfig {
            name,
            address,
            serves_primary: true,
            alias_ranges: vec![],
            held: false,
            opens: Opening::OPEN,
        });
        let vm = Vm { site, address, port, links, firewall_port, carried: [0; 2], busy: false };
        self.connectors[index].vms.push(vm);
        self.impair_link(ImpairedPlace::Connector(index), links[0]);
        self.spread_flows(index);
        self.look_at_tunnels(index);
    }

    /// The links to its VMs.
    pub(super) fn connector_links(&self, connector: usize) -> impl Iterator<Item = LinkId> {
        self.connectors[connector].vms.iter().map(|vm| vm.links[0])
    }

    /// An outage: it is not ready, or as ready as it was configured to be.
    pub(super) fn set_connector_out_of_service(&mut self, connector: usize, begins: bool) {
        let ConnectorStations { dispatcher, config, .. } = &self.connectors[connector];
        let ready = config.ready && !begins;
        self.engine.change(*dispatcher, |connector| connector.set_ready(ready));
    }

    /// Tells the dispatcher which VMs there are, and which flows stay where they are.
    fn spread_flows(&mut self, index: usize) {
        let now = self.engine.now();
        let ConnectorStations { dispatcher, vms, .. } = &self.connectors[index];
        let live: Vec<_> = (vms.iter())
            .flat_map(|vm| self.engine.at(vm.site).live_flows(now).map(move |flow| (flow, vm.port)))
            .collect();
        let ports = vms.iter().map(|vm| vm.port).collect();
        self.engine.change(*dispatcher, |connector| connector.set_vms(ports, live));
    }

    /// Takes a VM away, with its flows.
    fn remove_connector_vm(&mut self, index: usize, at: usize) {
        let vm = self.connectors[index].vms.remove(at);
        let network = self.connectors[index].config.network;
        self.engine.change(vm.site, ConnectorVm::shut_down);
        self.engine.change(self.vpcs[network].firewall, |firewall| firewall.detach(vm.firewall_port));
        self.remove_endpoint(vm.address);
        self.spread_flows(index);
    }

    /// A new VM comes for one that goes: for a moment there is one more than the connector may have.
    pub(super) fn replace_connector_vm(&mut self, connector: usize) {
        self.add_connector_vm(connector);
        self.remove_connector_vm(connector, 0);
    }

    /// All VMs are replaced, one by one, the oldest first.
    pub(super) fn maintain_connector(&mut self, connector: usize) {
        let now = self.engine.now();
        for number in 0..self.connectors[connector].vms.len() as u32 {
            self.agenda.add(now + REPLACED_EVERY * number, Due::ReplaceConnectorVm { connector });
        }
    }

    /// Maintenance that comes again and again.
    pub(super) fn maintain_regularly(&mut self, connector: usize) {
        self.maintain_connector(connector);
        let next = self.engine.now() + self.scenario.model.connector.maintenance_every;
        self.agenda.add(next, Due::MaintainConnector { connector });
    }

    /// A VM that had to start carries traffic.
    pub(super) fn started_connector_vm(&mut self, connector: usize) {
        self.connectors[connector].starting -= 1;
        self.add_connector_vm(connector);
    }

    pub(super) fn patch_connector(&mut self, connector: usize, to: &scenario::Connector) {
        let stations = &mut self.connectors[connector];
        let before = std::mem::replace(&mut stations.config, to.clone());
        let lacking = to.min_instances.saturating_sub(stations.vms.len() as u32 + stations.starting);
        let ready = to.ready && !self.wrong.is_out_of_service(ImpairedPlace::Connector(connector));
        self.engine.change(stations.dispatcher, |connector| connector.set_ready(ready));
        if before.machine_type != to.machine_type {
            self.maintain_connector(connector);
        }
        self.start_connector_vms(connector, lacking);
    }

    fn start_connector_vms(&mut self, connector: usize, count: u32) {
        let ConnectorModel { vm_start_min, vm_start_max, .. } = self.scenario.model.connector;
        for _ in 0..count {
            let takes = vm_start_min + (vm_start_max - vm_start_min).mul_f64(rng::unit(&mut self.rng));
            self.agenda.add(self.engine.now() + takes, Due::StartedConnectorVm { connector });
        }
        self.connectors[connector].starting += count;
    }

    /// Looks at what connectors have carried: near their limit they are slow, and add VMs.
    pub(super) fn look_at_connectors(&mut self) {
        // In a replay links carry everything at once.
        if !self.engine.links_apply() {
            return;
        }
        let model = self.scenario.model.connector.clone();
        let window = (model.scale_out_window.as_secs() / LOOK_EVERY.as_secs()).max(1) as usize;
        for index in 0..self.connectors.len() {
            let ConnectorStations { config, vms, starting, looks, .. } = &mut self.connectors[index];
            let each = config.machine_type.bits_per_second() as f64 * LOOK_EVERY.as_secs_f64();
            let mut all = 0;
            for vm in &mut *vms {
                let carried = vm.links.map(|link| self.engine.carried(link));
                let bits = (carried[0] - vm.carried[0]).max(carried[1] - vm.carried[1]);
                vm.carried = carried;
                all += bits;
                let busy = bits as f64 > model.scale_out_at * each;
                if std::mem::replace(&mut vm.busy, busy) != busy {
                    let factor = if busy { model.busy_delay_factor } else { 1 };
                    vm.links.iter().for_each(|link| self.engine.set_delay_factor(*link, factor));
                }
            }
            looks.push_back(all);
            while looks.len() > window {
                looks.pop_front();
            }
            let wanted = looks.iter().sum::<u64>() as f64 / looks.len() as f64 / each / model.scale_out_at;
            let (count, most) = (vms.len() as u32, config.max_instances);
            let is_short = looks.len() == window && wanted > f64::from(count) && *starting == 0 && count < most;
            if is_short {
                let lacking = (wanted.ceil() as u32).saturating_sub(count);
                self.start_connector_vms(index, lacking.clamp(1, MOST_ADDED).min(most - count));
            }
        }
        self.agenda.add(self.engine.now() + LOOK_EVERY, Due::LookAtConnectors);
    }
}

/// What one VM carries. Google's ranges for 2 to 10 instances are exactly linear; above them, shared-core machine types
/// live on CPU credit.
fn capacity(machine_type: MachineType, model: &ConnectorModel) -> Capacity {
    let documented = machine_type.bits_per_second();
    let times = |factor: f64| (documented as f64 * factor) as u64;
    match machine_type {
        MachineType::F1Micro | MachineType::E2Micro => {
            let burst = times(model.burst);
            let credit = (burst - documented) as f64 * model.burst_duration.as_secs_f64();
            Capacity { burst_bits_per_second: burst, credit_bits: credit as u64, ..Capacity::steady(documented, QUEUE) }
        }
        MachineType::E2Standard4 => Capacity::steady(times(model.dedicated_burst), QUEUE),
    }
}
