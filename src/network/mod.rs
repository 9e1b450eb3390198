//! From a checked scenario to stations and links, and what changes while they run.
//!
//! ```text
//!  instance ── connector ── connector VM ──┐                      ┌── host in the VPC, VM
//!  instance ── (Direct VPC egress) ────────┴── firewall ── routes ┤── Cloud NAT ── internet gateway ──┐
//!     │                                                           ├── Google APIs                     │
//!     └── Cloud Run's own internet egress ── internet ── host     └── tunnel, appliance ── host       │
//!                                               └─────────────────────────────────────────────────────┘
//! ```

mod gateways;
mod instances;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;
use rand_chacha::ChaCha8Rng;

use crate::addresses::AddressPool;
use crate::node::connector::{self, Connector, ConnectorVm};
use crate::node::firewall::{self, Firewall, Interface, ProtocolMatch, Rule};
use crate::node::internet::{FarKind, FarSide, Host, INTERNET, InternetGateway, ServerlessEgress, UPLINK};
use crate::node::nat::{self, Gateway};
use crate::node::router::{self, Route, Router, SubnetRoute};
use crate::node::{Node, router::FIREWALL};
use crate::scenario::model::ConnectorAffinity;
use crate::scenario::{Change, FirewallDirection, HostLocation, LogFilter, NatConfig, NextHop, Scenario};
use crate::sim::{Engine, rng};
use crate::time::SimTime;
use crate::topology::{Capacity, LinkConfig, NodeId};
use crate::trace::PortId;

/// Google: Direct VPC egress carries 1 Gbps an instance.
const DIRECT_VPC_BITS_PER_SECOND: u64 = 1_000_000_000;
/// How long a packet waits for a full link before it is dropped. Assumed.
const QUEUE: Duration = Duration::from_millis(50);
/// Cloud Run's own address pool: documentation addresses, since Google publishes no narrower list than all of Google Cloud.
const EXTERNAL_POOL: (Ipv4Addr, u8) = (Ipv4Addr::new(192, 0, 2, 129), 126);

/// The stations of one VPC network.
#[derive(Debug, Clone, Copy)]
struct Vpc {
    firewall: NodeId,
    router: NodeId,
    gateway: NodeId,
}

/// A Cloud Run instance.
#[derive(Debug, Clone)]
pub struct RunningInstance {
    /// Its station.
    pub node: NodeId,
    /// The address its packets wear.
    pub address: Ipv4Addr,
    /// Its subnet addresses, with Direct VPC egress.
    held: Vec<Ipv4Addr>,
    firewall_port: Option<PortId>,
}

/// Addresses that are held for a while after their instance is gone.
#[derive(Debug)]
struct Leftover {
    until: SimTime,
    subnetwork: usize,
    addresses: Vec<Ipv4Addr>,
}

/// The virtual network of a scenario.
pub struct Network {
    engine: Engine,
    scenario: Scenario,
    vpcs: Vec<Vpc>,
    internet: NodeId,
    serverless: NodeId,
    nats: Vec<NodeId>,
    /// By gateway: when what it logs changed, and to what.
    log_filters: Vec<Vec<(SimTime, Option<LogFilter>)>>,
    connectors: Vec<NodeId>,
    workloads: Vec<Vec<RunningInstance>>,
    /// How many instances each workload has ever had, for their names.
    started: Vec<u32>,
    instances_ever: u32,
    hosts: Vec<NodeId>,
    pools: Vec<AddressPool>,
    leftovers: Vec<Leftover>,
    rng: ChaCha8Rng,
    /// Gateway configurations that reach the data plane later.
    pending_nat: Vec<(SimTime, usize, Box<NatConfig>)>,
}

impl Network {
    /// Builds the network as it is at the start: instances are warm.
    pub fn new(scenario: &Scenario) -> Network {
        let mut engine = Engine::new(scenario.seed);
        let mut internet = FarSide::new("the internet".into(), FarKind::Internet, None);
        let pool = addresses(EXTERNAL_POOL).collect::<Vec<_>>();
        for &ip in &pool {
            internet.add_route(ip.into(), PortId(0));
        }
        let internet = engine.add_node("internet", Node::FarSide(internet));
        let serverless = Node::ServerlessEgress(ServerlessEgress::new(pool));
        let serverless = engine.add_node("cloud-run-internet-egress", serverless);
        engine.connect((serverless, INTERNET), (internet, PortId(0)), LinkConfig::default());
        let mut network = Network {
            engine,
            vpcs: Vec::new(),
            internet,
            serverless,
            nats: Vec::new(),
            log_filters: Vec::new(),
            connectors: Vec::new(),
            workloads: vec![Vec::new(); scenario.workloads.len()],
            started: vec![0; scenario.workloads.len()],
            instances_ever: 0,
            hosts: Vec::new(),
            pools: Vec::new(),
            leftovers: Vec::new(),
            rng: rng::stream(scenario.seed, "start-up"),
            pending_nat: Vec::new(),
            scenario: scenario.clone(),
        };
        network.build_vpcs();
        network.build_nats();
        network.build_routes();
        network.build_hosts();
        network.build_vms();
        network.build_connectors();
        network.build_pools();
        for workload in 0..scenario.workloads.len() {
            for _ in 0..scenario.workloads[workload].instances {
                network.start_instance(workload, true);
            }
        }
        network
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The engine, to drive it.
    pub fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// The scenario it was built from.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// Running instances of a workload.
    pub fn instances(&self, workload: usize) -> &[RunningInstance] {
        &self.workloads[workload]
    }

    /// Whether a packet that is delivered there has been on the internet.
    pub fn is_on_internet(&self, node: NodeId) -> bool {
        let host = self.hosts.iter().position(|&host| host == node);
        node == self.internet || host.is_some_and(|host| self.scenario.hosts[host].location == HostLocation::Internet)
    }

    /// Gateways, in the scenario's order.
    pub fn gateways(&self) -> impl Iterator<Item = &Gateway> {
        self.nats.iter().map(|&id| match self.engine.node(id) {
            Node::Nat(gateway) => gateway,
            _ => unreachable!("a gateway's station is a gateway"),
        })
    }

    /// One gateway, to take out what it has collected.
    pub fn gateway_mut(&mut self, index: usize) -> &mut Gateway {
        match self.engine.node_mut(self.nats[index]) {
            Node::Nat(gateway) => gateway,
            _ => unreachable!("a gateway's station is a gateway"),
        }
    }

    /// The subnets' addresses, in the scenario's order.
    pub fn pools(&self) -> &[AddressPool] {
        &self.pools
    }

    /// When [`Network::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> SimTime {
        let leftovers = self.leftovers.iter().map(|leftover| leftover.until);
        leftovers.chain(self.pending_nat.iter().map(|pending| pending.0)).min().unwrap_or(SimTime::NEVER)
    }

    /// Does what is due: releases addresses that were held long enough, puts delayed gateway configurations into force.
    pub fn handle_timeout(&mut self) {
        let now = self.engine.now();
        while let Some(due) = self.leftovers.iter().position(|leftover| leftover.until <= now) {
            let leftover = self.leftovers.remove(due);
            for &address in &leftover.addresses {
                self.remove_endpoint(address);
            }
            self.pools[leftover.subnetwork].release(&leftover.addresses);
        }
        while let Some(due) = self.pending_nat.iter().position(|pending| pending.0 <= now) {
            let (_, gateway, config) = self.pending_nat.remove(due);
            self.reconfigure(gateway, &config);
        }
    }

    /// Makes a change of the scenario's `events`.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Scale { workload, instances } => self.scale(*workload, *instances),
            Change::PatchNat { gateway, config } => {
                let delay = self.scenario.model.nat.programming_delay;
                if delay.is_zero() {
                    self.reconfigure(*gateway, config);
                } else {
                    self.pending_nat.push((self.engine.now() + delay, *gateway, config.clone()));
                }
            }
        }
    }

    fn build_vpcs(&mut self) {
        for index in 0..self.scenario.networks.len() {
            let name: Arc<str> = self.scenario.networks[index].name.as_str().into();
            let rules = firewall_rules(&self.scenario, index);
            let firewall = Node::Firewall(Firewall::new(name.clone(), rules));
            let firewall = self.engine.add_node(format!("{name} firewall"), firewall);
            let google_port = PortId(1);
            let router = Node::Router(Router::new(name.clone(), google_port, self.scenario.seed));
            let router = self.engine.add_node(format!("{name} routes"), router);
            let gateway = Node::InternetGateway(InternetGateway::new(name.clone()));
            let gateway = self.engine.add_node(format!("{name} internet gateway"), gateway);
            let google = FarSide::new("Google APIs".into(), FarKind::GoogleApis, Some(PortId(0)));
            let google = self.engine.add_node(format!("{name} Google APIs"), Node::FarSide(google));
            let plain = LinkConfig::default();
            self.engine.connect((firewall, firewall::ROUTES), (router, FIREWALL), plain);
            self.engine.connect((router, google_port), (google, PortId(0)), plain);
            let port = self.engine.topology().free_port(self.internet, 0);
            self.engine.connect((gateway, INTERNET), (self.internet, port), plain);
            self.vpcs.push(Vpc { firewall, router, gateway });
        }
    }

    fn build_routes(&mut self) {
        let covered: Vec<(usize, Ipv4Net)> = (self.scenario.nat_gateways.iter())
            .flat_map(|gateway| gateway.coverage.iter().map(|covered| (covered.subnetwork, covered.range)))
            .collect();
        for (index, subnetwork) in self.scenario.subnetworks.clone().into_iter().enumerate() {
            let route = SubnetRoute {
                name: subnetwork.name.as_str().into(),
                // Google turns Private Google Access on for a primary range that Public NAT serves.
                private_google_access: subnetwork.private_google_access || covered.contains(&(index, subnetwork.range)),
            };
            self.change(self.vpcs[subnetwork.network].router, |node| {
                let Node::Router(router) = node else { unreachable!("it was made as routes") };
                for (_, range) in &subnetwork.secondary {
                    router.add_subnet(*range, route.clone());
                }
                router.add_subnet(subnetwork.range, route);
            });
        }
        for route in self.scenario.routes.clone() {
            let vpc = self.vpcs[route.network];
            let leads_to = describe_next_hop(&route.next_hop);
            let next_hop = match &route.next_hop {
                NextHop::DefaultInternetGateway => router::NextHop::Internet,
                NextHop::Ilb(_) => router::NextHop::Ilb(self.far_side(vpc, &route.next_hop)),
                NextHop::Instance(name) if self.is_stopped_vm(name) => router::NextHop::Blackhole,
                _ => router::NextHop::Other(self.far_side(vpc, &route.next_hop)),
            };
            let entry = Route {
                name: route.name.as_str().into(),
                priority: route.priority,
                tags: route.tags,
                next_hop,
                leads_to: leads_to.into(),
            };
            self.change(vpc.router, |node| {
                let Node::Router(router) = node else { unreachable!("it was made as routes") };
                router.add_route(route.dest, entry);
            });
        }
    }

    fn is_stopped_vm(&self, name: &str) -> bool {
        self.scenario.vms.iter().any(|vm| vm.name == name && !vm.running)
    }

    /// The network behind a next hop, made when it is first named. Returns the routes' port towards it.
    fn far_side(&mut self, vpc: Vpc, hop: &NextHop) -> PortId {
        let name = next_hop_name(hop);
        let label = format!("{} {name}", self.engine.topology().name(vpc.router));
        let existing = self.engine.topology().nodes().find(|&node| self.engine.topology().name(node) == label);
        if let Some(node) = existing {
            let link = self.engine.topology().link_at(node, PortId(0)).expect("a far side is linked to its network");
            return self.engine.topology().link(link).to_port;
        }
        let kind = match hop {
            NextHop::VpnTunnel(_) => FarKind::VpnTunnel,
            NextHop::Interconnect(_) => FarKind::Interconnect,
            _ => FarKind::Other,
        };
        let far = FarSide::new(name.as_str().into(), kind, Some(PortId(0)));
        let node = self.engine.add_node(label, Node::FarSide(far));
        let port = self.engine.topology().free_port(vpc.router, 2);
        self.engine.connect((vpc.router, port), (node, PortId(0)), LinkConfig::default());
        port
    }

    fn build_hosts(&mut self) {
        for host in self.scenario.hosts.clone() {
            let name: Arc<str> = host.name.as_str().into();
            let internal = matches!(host.location, HostLocation::Vpc(_));
            let station =
                Host::new(name.clone(), host.tcp_ports.clone(), host.udp_ports.clone(), host.unreachable, internal);
            let node = self.engine.add_node(host.name.clone(), Node::Host(station));
            self.hosts.push(node);
            let link = LinkConfig { delay: host.rtt / 2, loss: host.loss, capacity: None };
            let far_sides: Vec<NodeId> = match &host.location {
                HostLocation::Vpc(network) => {
                    let interface = Interface {
                        name,
                        addresses: host.addresses.clone(),
                        tags: vec![],
                        service_account: None,
                        running: true,
                    };
                    self.attach(*network, interface, (node, UPLINK), link);
                    continue;
                }
                HostLocation::Internet => vec![self.internet],
                HostLocation::GoogleApi => {
                    let google = PortId(1);
                    let far = |vpc: &Vpc| {
                        let link = self.engine.topology().link_at(vpc.router, google)?;
                        Some(self.engine.topology().link(link).to)
                    };
                    let apis = self.vpcs.iter().filter_map(far).collect::<Vec<_>>();
                    for vpc in self.vpcs.clone() {
                        self.change(vpc.router, |node| {
                            let Node::Router(router) = node else { unreachable!("it was made as routes") };
                            host.addresses.iter().for_each(|range| router.add_google_api(*range));
                        });
                    }
                    std::iter::once(self.internet).chain(apis).collect()
                }
                HostLocation::OnPrem(next_hop) => self.on_prem(next_hop.as_deref()),
            };
            for (uplink, far) in far_sides.into_iter().enumerate() {
                let port = self.engine.topology().free_port(far, 1);
                self.engine.connect((far, port), (node, PortId(uplink as u32)), link);
                self.change(far, |node| {
                    let Node::FarSide(far) = node else { unreachable!("it was made as one") };
                    host.addresses.iter().for_each(|range| far.add_route(*range, port));
                });
            }
        }
    }

    /// The networks behind next hops of this name, or behind all of them.
    fn on_prem(&self, next_hop: Option<&str>) -> Vec<NodeId> {
        let mut found = Vec::new();
        for route in &self.scenario.routes {
            let name = next_hop_name(&route.next_hop);
            if route.next_hop != NextHop::DefaultInternetGateway && next_hop.is_none_or(|wanted| wanted == name) {
                let label = format!("{} {name}", self.engine.topology().name(self.vpcs[route.network].router));
                let node = self.engine.topology().nodes().find(|&node| self.engine.topology().name(node) == label);
                found.extend(node.filter(|node| !found.contains(node)));
            }
        }
        found
    }

    fn build_vms(&mut self) {
        for vm in self.scenario.vms.clone() {
            let name: Arc<str> = vm.name.as_str().into();
            let station = Node::Host(Host::new(name.clone(), vec![], vec![], false, true));
            let node = self.engine.add_node(vm.name.clone(), station);
            let mut addresses = vec![Ipv4Net::from(vm.address)];
            addresses.extend(&vm.alias_ranges);
            let interface = Interface {
                name: name.clone(),
                addresses,
                tags: vm.tags.clone(),
                service_account: vm.service_account.clone(),
                running: vm.running,
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

    fn build_connectors(&mut self) {
        for connector in self.scenario.connectors.clone() {
            let model = self.scenario.model.connector.clone();
            let name: Arc<str> = connector.name.as_str().into();
            let by_instance = model.affinity == ConnectorAffinity::Instance;
            let count = connector.min_instances;
            let station = Connector::new(name, count, connector.ready, by_instance, self.scenario.seed);
            let dispatcher = self.engine.add_node(connector.name.clone(), Node::Connector(station));
            let range = self.scenario.subnetworks[connector.subnetwork].range;
            for index in 0..count {
                let name: Arc<str> = format!("{}-vm-{}", connector.name, index + 1).into();
                // The first two addresses of the range are Google's.
                let address = Ipv4Addr::from(u32::from(range.network()) + 2 + index);
                let vm = ConnectorVm::new(name.clone(), address, model.snat_ports, model.time_wait);
                let node = self.engine.add_node(&*name, Node::ConnectorVm(vm));
                let capacity = Capacity { bits_per_second: connector.machine_type.bits_per_second(), queue: QUEUE };
                let link = LinkConfig { capacity: Some(capacity), ..LinkConfig::default() };
                self.engine.connect((dispatcher, Connector::vm_port(index)), (node, connector::TUNNEL), link);
                let tags =
                    vec!["vpc-connector".to_owned(), format!("vpc-connector-{}-{}", connector.region, connector.name)];
                let interface = Interface {
                    name: name.clone(),
                    addresses: vec![address.into()],
                    tags,
                    service_account: None,
                    running: true,
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

    fn build_pools(&mut self) {
        for (index, subnetwork) in self.scenario.subnetworks.iter().enumerate() {
            let vms = self.scenario.vms.iter().map(|vm| vm.address);
            let hosts = self.scenario.hosts.iter().flat_map(|host| host.addresses.iter().map(Ipv4Net::addr));
            let connectors = self.scenario.connectors.iter().filter(|connector| connector.subnetwork == index);
            let first = u32::from(subnetwork.range.network());
            let connectors =
                connectors.flat_map(|connector| (0..connector.min_instances).map(move |i| (first + 2 + i).into()));
            self.pools.push(AddressPool::new(subnetwork.range, vms.chain(hosts).chain(connectors)));
        }
    }

    /// Attaches an interface to a network's firewall and links it.
    fn attach(&mut self, network: usize, interface: Interface, to: (NodeId, PortId), link: LinkConfig) -> PortId {
        let Vpc { firewall, router, .. } = self.vpcs[network];
        let (tags, addresses) = (interface.tags.clone(), interface.addresses.clone());
        let port = self.change(firewall, |node| match node {
            Node::Firewall(firewall) => firewall.attach(interface),
            _ => unreachable!("it was made as one"),
        });
        self.engine.connect((firewall, port), to, link);
        self.change(router, |node| {
            let Node::Router(router) = node else { unreachable!("it was made as routes") };
            addresses.iter().for_each(|range| router.set_tags(range.addr(), tags.clone()));
        });
        port
    }

    fn change<R>(&mut self, node: NodeId, change: impl FnOnce(&mut Node) -> R) -> R {
        self.engine.change_node(node, change)
    }
}

fn addresses((first, count): (Ipv4Addr, u8)) -> impl Iterator<Item = Ipv4Addr> {
    (0..u32::from(count)).map(move |index| Ipv4Addr::from(u32::from(first) + index))
}

fn next_hop_name(hop: &NextHop) -> String {
    match hop {
        NextHop::DefaultInternetGateway => "default-internet-gateway".into(),
        NextHop::VpnTunnel(name)
        | NextHop::Interconnect(name)
        | NextHop::Ilb(name)
        | NextHop::Instance(name)
        | NextHop::Peering(name) => name.clone(),
        NextHop::Ip(address) => address.to_string(),
    }
}

fn describe_next_hop(hop: &NextHop) -> String {
    let name = next_hop_name(hop);
    match hop {
        NextHop::DefaultInternetGateway => name,
        NextHop::VpnTunnel(_) => format!("VPN tunnel {name}"),
        NextHop::Interconnect(_) => format!("Interconnect attachment {name}"),
        NextHop::Ilb(_) => format!("internal load balancer {name}"),
        NextHop::Instance(_) => format!("VM {name}"),
        NextHop::Ip(_) => format!("address {name}"),
        NextHop::Peering(_) => format!("peered network {name}"),
    }
}

/// The scenario's rules, and those that Google makes for each connector.
fn firewall_rules(scenario: &Scenario, network: usize) -> Vec<Rule> {
    let own =
        scenario.firewall_rules.iter().filter(|rule| rule.network == network && !rule.disabled).map(|rule| Rule {
            name: rule.name.as_str().into(),
            ingress: rule.direction == FirewallDirection::Ingress,
            priority: rule.priority,
            allow: rule.allow,
            matches: (rule.matches.iter())
                .map(|entry| ProtocolMatch { protocol: entry.protocol, ports: entry.ports.clone() })
                .collect(),
            ranges: rule.ranges.clone(),
            source_tags: rule.source_tags.clone(),
            source_service_accounts: rule.source_service_accounts.clone(),
            target_tags: rule.target_tags.clone(),
            target_service_accounts: rule.target_service_accounts.clone(),
            kind: "firewall rule",
        });
    // `aet-REGION-CONNECTOR-sbntfw`: all resources of the network let the connector's range in, priority 1000. The rules for
    // the tunnel itself concern packets that are not simulated.
    let automatic = scenario.connectors.iter().filter(|connector| connector.network == network).map(|connector| Rule {
        name: format!("aet-{}-{}-sbntfw", connector.region.replace('-', ""), connector.name).into(),
        ingress: true,
        priority: 1000,
        allow: true,
        matches: [6, 17, 1].map(|protocol| ProtocolMatch { protocol: Some(protocol), ports: vec![] }).to_vec(),
        ranges: vec![scenario.subnetworks[connector.subnetwork].range],
        source_tags: vec![],
        source_service_accounts: vec![],
        target_tags: vec![],
        target_service_accounts: vec![],
        kind: "Serverless VPC Access rule",
    });
    own.chain(automatic).collect()
}
