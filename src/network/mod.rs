//! From a checked scenario to stations and links, and what changes while they run.
//!
//! ```text
//!  instance ── connector ── connector VM ──┐                      ┌── host in the VPC, VM
//!  instance ── (Direct VPC egress) ────────┴── firewall ── routes ┤── Cloud NAT ── internet gateway ──┐
//!     │                                                           ├── Google services ── host         │
//!     │                                                           ├── routes of a peered network      │
//!     └── Cloud Run's own internet egress ── internet ── host     └── tunnel, appliance, … ── host    │
//!                                               └─────────────────────────────────────────────────────┘
//! ```

mod agenda;
mod beyond;
mod connectors;
mod firewalls;
mod gateways;
mod hosts;
mod impairments;
mod instances;
mod maintenance;
mod peers;
mod routes;
mod tunnels;
mod vpcs;

pub use firewalls::{HEALTH_CHECKS, SERVERLESS};

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;

use beyond::{Far, Key};
use routes::Routes;

use crate::addresses::AddressPool;
use crate::node::firewall::{Firewall, FullTable};
use crate::node::google::GoogleServices;
use crate::node::host::Host;
use crate::node::instance::{Instance, PrivateRanges};
use crate::node::internet::{INTERNET, Internet, InternetGateway, ServerlessEgress};
use crate::node::nat::Gateway;
use crate::node::router::Router;
use crate::node::{IdlePolicy, Node};
use crate::scenario::{Change, HostLocation, LogFilter, Scenario, lifecycle, model};
use crate::sim::{Engine, Site, rng};
use crate::time::SimTime;
use crate::topology::{LinkConfig, NodeId};
use crate::trace::PortId;

use agenda::{Agenda, Due};
use connectors::ConnectorStations;
pub(crate) use instances::workload_info;

/// Google: Direct VPC egress carries 1 Gbps an instance.
const DIRECT_VPC_BITS_PER_SECOND: u64 = 1_000_000_000;
/// How long a packet waits for a full link before it is dropped. Assumed.
const QUEUE: Duration = Duration::from_millis(50);
/// Cloud Run's own address pool: documentation addresses, since Google publishes no narrower list than all of Google Cloud.
const EXTERNAL_POOL: (Ipv4Addr, u8) = (Ipv4Addr::new(192, 0, 2, 129), 126);

/// The stations of one VPC network.
#[derive(Debug, Clone, Copy)]
struct Vpc {
    firewall: Site<Firewall>,
    router: Site<Router>,
    gateway: Site<InternetGateway>,
    google: Site<GoogleServices>,
}

/// A VM.
#[derive(Debug, Clone, Copy)]
struct BuiltVm {
    host: Site<Host>,
    /// Its port at the firewall.
    interface: PortId,
}

/// A Cloud Run instance.
#[derive(Debug, Clone)]
pub struct RunningInstance {
    /// Its station.
    pub site: Site<Instance>,
    /// The address its packets wear.
    pub address: Ipv4Addr,
    /// The same for IPv6, in a dual-stack subnet.
    pub ipv6: Option<Ipv6Addr>,
    /// Of a destination with both versions it connects to the IPv6 address, if that is one of the internet: it has an external
    /// one itself, and all its traffic goes that way.
    pub prefers_ipv6: bool,
    /// Index into its workload's revisions.
    revision: usize,
    /// Its subnet addresses, with Direct VPC egress.
    held: Vec<Ipv4Addr>,
    firewall_port: Option<PortId>,
}

impl RunningInstance {
    /// The address with which it reaches another one; `None` where it has no such version of IP.
    pub fn source_for(&self, destination: IpAddr) -> Option<IpAddr> {
        match destination {
            IpAddr::V4(_) => Some(self.address.into()),
            IpAddr::V6(_) => self.ipv6.map(IpAddr::V6),
        }
    }
}

/// Something that Cloud Run logs about an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunLog {
    /// When.
    pub time: SimTime,
    /// Index into [`Scenario::workloads`].
    pub workload: usize,
    /// Index into its revisions.
    pub revision: usize,
    /// `ERROR`, `WARNING` or `INFO`.
    pub severity: &'static str,
    /// What it says.
    pub text: String,
}

/// The virtual network of a scenario.
pub struct Network {
    engine: Engine,
    scenario: Arc<Scenario>,
    vpcs: Vec<Vpc>,
    internet: Site<Internet>,
    serverless: Site<ServerlessEgress>,
    /// What is beyond each network.
    beyond: HashMap<(usize, Key), Far>,
    /// Ports of routers towards that: by the router's network, and the network of what is there.
    ports: HashMap<(usize, usize, Key), PortId>,
    /// Ports of routers towards those of peered networks.
    peer_ports: HashMap<(usize, usize), PortId>,
    /// The first forwarding rule with an address, by network.
    first_rules: HashMap<(usize, Option<IpAddr>), usize>,
    routes: Routes,
    vms: Vec<BuiltVm>,
    nats: Vec<Site<Gateway>>,
    /// By gateway: when what it logs changed, and to what.
    log_filters: Vec<Vec<(SimTime, Option<LogFilter>)>>,
    connectors: Vec<ConnectorStations>,
    workloads: Vec<Vec<RunningInstance>>,
    /// Instances that wait for addresses, by workload and revision.
    waiting: BTreeMap<(usize, usize), u32>,
    /// How many instances each workload has ever had, for their names.
    started: Vec<u32>,
    /// By workload: the most instances at a time.
    peaks: Vec<u32>,
    /// By workload: instances that were there from the beginning.
    warm: Vec<u32>,
    instances_ever: u32,
    /// Workloads and revisions that had an instance.
    revisions_started: HashSet<(usize, usize)>,
    hosts: Vec<Site<Host>>,
    pools: Vec<AddressPool>,
    /// By subnet: how many IPv6 ranges instances have had.
    ipv6_given: Vec<u32>,
    rng: ChaCha8Rng,
    /// Which new instances Private Google Access stalls for.
    stalls: ChaCha8Rng,
    private_ranges: Arc<PrivateRanges>,
    agenda: Agenda,
    log: Vec<RunLog>,
    /// Instances whose connections the infrastructure has ended.
    disconnected: Vec<NodeId>,
    /// Hosts whose servers behave otherwise since they were last taken.
    patched_hosts: Vec<NodeId>,
    /// Instances that have started and stopped so far.
    turnovers: u64,
    /// The first of the scenario's events that is still to come.
    next_event: usize,
    wrong: impairments::Wrong,
}

impl Network {
    /// Builds the network as it is at the start: instances are warm.
    pub fn new(scenario: &Scenario) -> Network {
        let mut engine = Engine::new(scenario.seed);
        let mut internet = Internet::default();
        let pool = addresses(EXTERNAL_POOL).collect::<Vec<_>>();
        for &ip in &pool {
            internet.add_route(IpAddr::V4(ip), PortId(0));
        }
        let internet = engine.add("internet", internet);
        let serverless = engine.add(
            "cloud-run-internet-egress",
            ServerlessEgress::new(pool, idle_policy(scenario.model.cloud_run.idle_internet)),
        );
        engine.connect((serverless, INTERNET), (internet, PortId(0)), LinkConfig::default());
        let mut network = Network {
            engine,
            vpcs: Vec::new(),
            internet,
            serverless,
            beyond: HashMap::new(),
            ports: HashMap::new(),
            peer_ports: HashMap::new(),
            first_rules: first_rules(scenario),
            routes: Routes::default(),
            vms: Vec::new(),
            nats: Vec::new(),
            log_filters: Vec::new(),
            connectors: Vec::new(),
            workloads: vec![Vec::new(); scenario.workloads.len()],
            waiting: BTreeMap::new(),
            started: vec![0; scenario.workloads.len()],
            peaks: vec![0; scenario.workloads.len()],
            warm: vec![0; scenario.workloads.len()],
            instances_ever: 0,
            revisions_started: HashSet::new(),
            hosts: Vec::new(),
            pools: Vec::new(),
            ipv6_given: vec![0; scenario.subnetworks.len()],
            rng: rng::stream(scenario.seed, "start-up"),
            stalls: rng::stream(scenario.seed, "stalls of Private Google Access"),
            private_ranges: Arc::new(scenario.model.cloud_run.private_ranges()),
            agenda: Agenda::default(),
            log: Vec::new(),
            disconnected: Vec::new(),
            patched_hosts: Vec::new(),
            turnovers: 0,
            next_event: 0,
            wrong: impairments::Wrong::default(),
            scenario: Arc::new(scenario.clone()),
        };
        network.build_vpcs();
        network.build_external_addresses();
        network.build_external_ipv6();
        network.build_nats();
        network.build_vms();
        network.build_routes();
        network.build_hosts();
        network.build_connectors();
        network.build_impairments();
        network.build_pools();
        for turnover in lifecycle::plan(scenario) {
            if turnover.at.is_zero() {
                network.turn_over(turnover, true);
            } else {
                network.agenda.add(SimTime::from(turnover.at), Due::Turnover(turnover));
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

    /// Whether a station is a host, declared or a VM.
    pub fn is_host(&self, node: NodeId) -> bool {
        matches!(self.engine.node(node), Node::Host(_))
    }

    /// Whether a packet that is delivered there has been on the internet.
    pub fn is_on_internet(&self, node: NodeId) -> bool {
        let host = self.hosts.iter().position(|host| host.node == node);
        node == self.internet.node
            || host.is_some_and(|host| self.scenario.hosts[host].location == HostLocation::Internet)
    }

    /// Gateways, in the scenario's order.
    pub fn gateways(&self) -> impl Iterator<Item = &Gateway> {
        self.nats.iter().map(|&site| self.engine.at(site))
    }

    /// Which gateway a station is, if it is one.
    pub fn gateway_at(&self, node: NodeId) -> Option<usize> {
        self.nats.iter().position(|site| site.node == node)
    }

    /// One gateway, to take out what it has collected.
    pub fn gateway_mut(&mut self, index: usize) -> &mut Gateway {
        self.engine.at_mut(self.nats[index])
    }

    /// The firewall of a network.
    pub fn firewall(&self, network: usize) -> &Firewall {
        self.engine.at(self.vpcs[network].firewall)
    }

    /// Interfaces that tracked as many connections as they can, by network.
    pub fn full_tables(&self) -> impl Iterator<Item = (usize, FullTable)> {
        let vpcs = self.vpcs.iter().enumerate();
        vpcs.flat_map(|(network, vpc)| self.engine.at(vpc.firewall).full_tables().map(move |full| (network, full)))
    }

    /// The subnets' addresses, in the scenario's order.
    pub fn pools(&self) -> &[AddressPool] {
        &self.pools
    }

    /// Takes what Cloud Run has logged since the last call.
    pub fn take_log(&mut self) -> Vec<RunLog> {
        std::mem::take(&mut self.log)
    }

    /// What Cloud Run has logged, still to be taken.
    pub fn log(&self) -> &[RunLog] {
        &self.log
    }

    /// Nobody wants what Cloud Run and the gateways have logged so far.
    pub fn forget_log(&mut self) {
        self.log.clear();
        for &gateway in &self.nats {
            self.engine.at_mut(gateway).take_log();
        }
    }

    /// Takes the instances whose connections the infrastructure has ended since the last call.
    pub fn take_disconnected(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.disconnected)
    }

    /// Takes the hosts that events have changed since the last call.
    pub fn take_patched_hosts(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.patched_hosts)
    }

    /// When [`Network::make_changes`] has something to do.
    pub fn next_change(&self) -> SimTime {
        let event = self.scenario.events.get(self.next_event).map_or(SimTime::NEVER, |event| SimTime::from(event.at));
        event.min(self.agenda.next())
    }

    /// Does what is due now: first what follows from earlier changes, then the scenario's events.
    pub fn make_changes(&mut self) {
        let now = self.engine.now();
        self.handle_timeout();
        while let Some(event) = self.scenario.events.get(self.next_event)
            && SimTime::from(event.at) <= now
        {
            let change = event.change.clone();
            self.apply(&change);
            self.next_event += 1;
        }
    }

    /// Does what is due: releases addresses that were held long enough, puts delayed gateway configurations into force,
    /// stops and starts instances.
    fn handle_timeout(&mut self) {
        let now = self.engine.now();
        while let Some(due) = self.agenda.take(now) {
            match due {
                Due::Release { subnetwork, addresses } => {
                    addresses.iter().for_each(|&address| self.remove_endpoint(address));
                    self.pools[subnetwork].release(&addresses);
                    self.start_waiting(subnetwork);
                }
                Due::NatConfig { gateway, config } => self.reconfigure(gateway, &config),
                Due::Turnover(turnover) => self.turn_over(turnover, false),
                Due::Stop { workload, site } => self.stop_for_maintenance(workload, site),
                Due::Continue { workload, site } => self.continue_after_maintenance(workload, site),
                Due::Withdraw(key) => self.withdraw(&key),
                Due::LookAtConnectors => self.look_at_connectors(),
                Due::StartedConnectorVm { connector } => self.started_connector_vm(connector),
                Due::ReplaceConnectorVm { connector } => self.replace_connector_vm(connector),
                Due::MaintainConnector { connector } => self.maintain_regularly(connector),
            }
        }
    }

    /// Makes a change of the scenario's `events`. Those of workloads are on the agenda from the start.
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Scale { .. } | Change::Deploy { .. } | Change::Execute { .. } => {}
            Change::PatchConnector { connector, to } => self.patch_connector(*connector, to),
            Change::MaintainConnector { connector } => self.maintain_connector(*connector),
            Change::ResetConnections { workload } => self.reset_connections(*workload),
            Change::MaintainWorkload { workload } => self.maintain_workload(*workload),
            Change::PatchNat { gateway, config } => {
                let delay = self.scenario.model.nat.programming_delay;
                if delay.is_zero() {
                    self.reconfigure(*gateway, config);
                } else {
                    let (gateway, config) = (*gateway, config.clone());
                    self.agenda.add(self.engine.now() + delay, Due::NatConfig { gateway, config });
                }
            }
            Change::PatchFirewall { firewall, rule } => self.patch_firewall(*firewall, rule),
            Change::PatchVpnTunnel { tunnel, status } => self.set_vpn_tunnel(*tunnel, status),
            Change::PatchInterconnectAttachment { attachment, operational_status, admin_enabled } => {
                self.set_attachment(*attachment, operational_status, *admin_enabled);
            }
            Change::AddRoute(route) => self.add_route((**route).clone()),
            Change::RemoveRoute { network, route } => self.remove_route(*network, route),
            Change::PatchHost { host, to } => self.patch_host(*host, to),
            Change::Impair(links) => self.impair(links),
            Change::Outage { place, begins } => self.outage(*place, *begins),
        }
    }

    fn build_pools(&mut self) {
        for (index, subnetwork) in self.scenario.subnetworks.iter().enumerate() {
            let vms = self.scenario.vms.iter().map(|vm| vm.address);
            let hosts = self.scenario.hosts.iter().flat_map(|host| host.ipv4_ranges().map(|range| range.addr()));
            let connectors = self.scenario.connectors.iter().filter(|connector| connector.subnetwork == index);
            let first = u32::from(subnetwork.range.network());
            let connectors =
                connectors.flat_map(|connector| (0..connector.min_instances).map(move |i| (first + 2 + i).into()));
            let rules = self.scenario.forwarding_rules.iter().filter_map(|rule| match rule.address {
                Some(IpAddr::V4(address)) => Some(address),
                _ => None,
            });
            self.pools.push(AddressPool::new(subnetwork.range, vms.chain(hosts).chain(rules).chain(connectors)));
        }
    }
}

fn idle_policy(written: model::IdlePolicy) -> IdlePolicy {
    match written {
        model::IdlePolicy::BlackHole => IdlePolicy::BlackHole,
        model::IdlePolicy::Reset => IdlePolicy::Reset,
    }
}

/// Forwarding rules with one address lead to one place: the first of them stands for all.
fn first_rules(scenario: &Scenario) -> HashMap<(usize, Option<IpAddr>), usize> {
    let mut first = HashMap::new();
    for (at, rule) in scenario.forwarding_rules.iter().enumerate().filter(|(_, rule)| rule.address.is_some()) {
        first.entry((rule.network, rule.address)).or_insert(at);
    }
    first
}

fn addresses((first, count): (Ipv4Addr, u8)) -> impl Iterator<Item = Ipv4Addr> {
    (0..u32::from(count)).map(move |index| Ipv4Addr::from(u32::from(first) + index))
}
