//! Cloud Run instances of a network: how they start and stop while it runs.

use std::hash::BuildHasher;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::FixedState;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::agenda::Due;
use super::{DIRECT_VPC_BITS_PER_SECOND, Network, QUEUE, RunLog, RunningInstance, firewalls, idle_policy};
use crate::addresses::{AddressPool, Owner};
use crate::node::firewall::Interface;
use crate::node::instance::{self, Instance, InstanceConfig};
use crate::node::nat;
use crate::node::startup::{Opening, Spread, Stall};
use crate::scenario::lifecycle::Turnover;
use crate::scenario::model::{AddressBlocks, OpenScope};
use crate::scenario::{
    Attachment, Egress, FIRST_GENERATION, FirstGeneration, ImpairedPlace, Revision, Workload, WorkloadKind,
    interface_of, interfaces,
};
use crate::sim::rng;
use crate::topology::{Capacity, LinkConfig, NodeId};
use crate::trace::info::{self, Resource, WorkloadInfo};

impl Network {
    /// Stops and starts instances. New ones go through start-up, unless they are there from the beginning.
    pub(super) fn turn_over(&mut self, turnover: Turnover, warm: bool) {
        let Turnover { workload, revision, stops, starts, .. } = turnover;
        for _ in 0..stops {
            self.stop_one(workload, revision);
        }
        for _ in 0..starts {
            if !self.start_instance(workload, revision, warm) {
                *self.waiting.entry((workload, revision)).or_default() += 1;
                self.log_failed_start(workload, revision);
            }
        }
    }

    /// Starts instances that wait for addresses of a subnet, as far as there are now any.
    pub(super) fn start_waiting(&mut self, subnetwork: usize) {
        let wants = |&(workload, revision): &(usize, usize)| {
            let attachment = &self.scenario.workloads[workload].revisions[revision].attachment;
            matches!(attachment, Attachment::Direct { subnetwork: at, .. } if *at == subnetwork)
        };
        for key in self.waiting.keys().copied().filter(wants).collect::<Vec<_>>() {
            while self.waiting.get(&key).is_some_and(|count| *count > 0) && self.start_instance(key.0, key.1, false) {
                self.end_waiting(key);
            }
        }
    }

    /// Starts instances of a workload's first revision.
    pub fn scale_out(&mut self, workload: usize, instances: u32) {
        let at = Duration::from_nanos(self.engine.now().as_nanos());
        self.turn_over(Turnover { at, workload, revision: 0, stops: 0, starts: instances }, false);
    }

    /// Shuts one instance of a workload down.
    pub fn shut_down(&mut self, workload: usize, instance: NodeId) {
        if let Some(index) = self.workloads[workload].iter().position(|running| running.site.node == instance) {
            self.stop_instance(workload, index);
        }
    }

    /// Instances of a workload that wait for addresses.
    pub fn waiting_instances(&self, workload: usize) -> u32 {
        self.waiting.range((workload, 0)..=(workload, usize::MAX)).map(|(_, count)| *count).sum()
    }

    /// Lets no more than so many instances of a workload's first revision wait for addresses.
    pub fn wait_for_no_more_than(&mut self, workload: usize, instances: u32) {
        if let Some(count) = self.waiting.get_mut(&(workload, 0)) {
            *count = (*count).min(instances);
            if *count == 0 {
                self.waiting.remove(&(workload, 0));
            }
        }
    }

    /// The most instances that a workload had at a time, and how many have started while the network ran.
    pub fn instance_counts(&self, workload: usize) -> (u32, u32) {
        (self.peaks[workload], self.started[workload] - self.warm[workload])
    }

    /// How many instances have started and stopped so far: when it is what it was, there are the same.
    pub fn turnovers(&self) -> u64 {
        self.turnovers
    }

    fn end_waiting(&mut self, key: (usize, usize)) {
        let count = self.waiting.get_mut(&key).expect("somebody waits");
        *count -= 1;
        if *count == 0 {
            self.waiting.remove(&key);
        }
    }

    /// The subnet for whose want of addresses a workload's first revision has no instance.
    pub fn full_subnetwork(&self, workload: usize) -> Option<usize> {
        let Attachment::Direct { subnetwork, .. } = self.scenario.workloads[workload].attachment() else {
            return None;
        };
        self.waiting.contains_key(&(workload, 0)).then_some(*subnetwork)
    }

    /// Google's own words; no further instance starts until addresses are free, and nothing else happens.
    fn log_failed_start(&mut self, workload: usize, revision: usize) {
        let Attachment::Direct { subnetwork, .. } = self.scenario.workloads[workload].revisions[revision].attachment
        else {
            return;
        };
        self.pools[subnetwork].count_failed_start();
        let name = &self.scenario.subnetworks[subnetwork].name;
        let text = format!(
            "Instance failed to start because of insufficient free IP addresses in the subnetwork {name} when attempting to create an address in the subnetwork. Please consider moving to a subnetwork with more available IP addresses."
        );
        self.log.push(RunLog { time: self.engine.now(), workload, revision, severity: "ERROR", text });
    }

    /// Starts one more instance; false when there are no addresses for it.
    fn start_instance(&mut self, workload: usize, revision: usize, warm: bool) -> bool {
        let scenario = Arc::clone(&self.scenario);
        let spec = &scenario.workloads[workload];
        let model = &scenario.model.cloud_run;
        let of = &spec.revisions[revision];
        // What is not ready holds no address and no port: it does not get as far.
        let way = of.way();
        let held = match *way {
            Attachment::Direct { subnetwork, .. } => {
                let owner = match model.address_blocks {
                    AddressBlocks::Revision => Owner((workload as u32) << 16 | revision as u32),
                    AddressBlocks::Subnetwork => Owner(0),
                };
                match self.pools[subnetwork].hold(owner, spec.addresses_per_instance()) {
                    Some(addresses) => addresses,
                    None => return false,
                }
            }
            _ => vec![],
        };
        self.started[workload] += 1;
        self.warm[workload] += u32::from(warm);
        self.turnovers += 1;
        let first = self.revisions_started.insert((workload, revision));
        let index = self.instances_ever;
        self.instances_ever += 1;
        let name: Arc<str> = format!("{}-{}", spec.name, self.started[workload]).into();
        let address = held.first().copied().unwrap_or_else(|| sandbox_address(index));

        let (opens_vpc, opens_nat) = if warm { (Opening::OPEN, Opening::OPEN) } else { self.openings(index) };
        let ipv6 = match of.attachment {
            Attachment::Direct { subnetwork, .. } => self.next_ipv6(subnetwork),
            _ => None,
        };
        let attachment = match way {
            Attachment::None => instance::Attachment::None,
            Attachment::Connector(_) => instance::Attachment::Connector,
            Attachment::Direct { network, subnetwork, .. } => {
                let subnetwork = &scenario.subnetworks[*subnetwork];
                instance::Attachment::Direct {
                    network: Resource::network(&*scenario.networks[*network].name),
                    subnetwork: Resource::regional("subnetworks", &*subnetwork.region, &*subnetwork.name),
                    block: AddressPool::block_of(address),
                    opens: opens_vpc,
                }
            }
        };
        let site = self.engine.add(
            &*name,
            Instance::new(InstanceConfig {
                name: name.clone(),
                workload: workload_info(spec, of),
                address,
                ipv6: ipv6.map(|(range, _)| range),
                attachment,
                all_traffic: of.egress == Egress::AllTraffic,
                private_ranges: Arc::clone(&self.private_ranges),
                not_ready: of.not_ready.as_deref().map(Into::into),
            }),
        );

        let port = self.engine.topology().free_port(self.serverless.node, 1);
        let link = instance_link(spec);
        self.engine.connect((site, instance::EXTERNAL), (self.serverless, port), link);
        self.engine.change(self.serverless, |egress| egress.add_instance(address, port));

        let mut firewall_port = None;
        match way {
            Attachment::None => {}
            Attachment::Connector(connector) => {
                let dispatcher = self.connectors[*connector].dispatcher;
                let port = self.engine.topology().free_port(dispatcher.node, 0);
                self.engine.connect((site, instance::VPC), (dispatcher, port), link);
                self.engine.change(dispatcher, |connector| connector.add_instance(address, port));
            }
            Attachment::Direct { network, tags, .. } => {
                let own = IpNet::V4(Ipv4Net::from(address));
                let addresses = std::iter::once(own).chain(ipv6.map(|(range, _)| IpNet::V6(range)));
                let capacity = Capacity::steady(DIRECT_VPC_BITS_PER_SECOND, QUEUE);
                let link =
                    LinkConfig { delay: model.direct_vpc_delay, capacity: Some(capacity), ..LinkConfig::default() };
                let interface = Interface {
                    kind: self.direct_vpc_interface(spec, first, warm),
                    region: Some(spec.region.as_str().into()),
                    tags: tags.clone(),
                    service_account: of.service_account.clone(),
                    tracked_max: firewalls::instance_cpus(of.vcpus).tracked_max(),
                    idle: idle_policy(model.idle_vpc),
                    ..Interface::vm(name.clone(), addresses)
                };
                firewall_port = Some(self.attach(*network, interface, (site, instance::VPC), link));
                if !warm {
                    self.stall_google_apis(*network, address, index);
                }
                for (number, &address) in held.iter().enumerate() {
                    if number == 0 || model.count_held_addresses {
                        self.add_endpoint(nat::EndpointConfig {
                            name: name.clone(),
                            address,
                            serves_primary: true,
                            alias_ranges: vec![],
                            held: number > 0,
                            opens: opens_nat,
                        });
                    }
                }
            }
        }
        if let Some(link) = self.engine.topology().link_at(site.node, instance::VPC)
            && firewall_port.is_some()
        {
            self.impair_link(ImpairedPlace::Workload(workload), link);
        }
        let external = ipv6.is_some_and(|(_, external)| external);
        self.workloads[workload].push(RunningInstance {
            site,
            address,
            ipv6: ipv6.map(|(range, _)| range.network()),
            prefers_ipv6: external && of.egress == Egress::AllTraffic,
            revision,
            held,
            firewall_port,
        });
        self.peaks[workload] = self.peaks[workload].max(self.workloads[workload].len() as u32);
        true
    }

    /// The IPv6 range of the next instance in a subnet, and whether it is routed on the internet. There are four thousand
    /// million of them: none is given twice, and none that a VM or host has.
    fn next_ipv6(&mut self, subnetwork: usize) -> Option<(Ipv6Net, bool)> {
        let scenario = Arc::clone(&self.scenario);
        let ipv6 = scenario.subnetworks[subnetwork].ipv6.as_ref()?;
        let given = &mut self.ipv6_given[subnetwork];
        let taken = |range: &Ipv6Net| {
            let within = |other: &IpNet| matches!(other, IpNet::V6(other) if range.contains(other));
            let hosts = scenario.hosts.iter().flat_map(|host| &host.addresses);
            scenario.vms.iter().any(|vm| vm.ipv6 == Some(*range)) || hosts.into_iter().any(within)
        };
        for range in interfaces(ipv6.range).skip(*given as usize) {
            *given += 1;
            if !taken(&range) {
                return Some((range, ipv6.external));
            }
        }
        None
    }

    /// When the ways of an instance that starts now open, into the VPC network and through NAT.
    fn openings(&mut self, index: u32) -> (Opening, Opening) {
        let (model, now) = (&self.scenario.model.cloud_run, self.engine.now());
        let (median, p90) = (model.egress_open_nat_median, model.egress_open_nat_p90);
        // One draw for both windows: the way into the VPC opens in proportion to the way through NAT.
        let vpc =
            if median.is_zero() { 1.0 } else { model.egress_open_vpc_median.as_secs_f64() / median.as_secs_f64() };
        let drawn = match median.is_zero() {
            true => 0.0,
            false => rng::log_normal(&mut self.rng, median.as_secs_f64(), p90.as_secs_f64()),
        };
        match model.egress_open_scope {
            OpenScope::Instance => {
                let nat = drawn.min(model.egress_open_nat_max.as_secs_f64());
                let at = |seconds| Opening::At(now + Duration::from_secs_f64(seconds));
                (at(nat * vpc), at(nat))
            }
            OpenScope::Destination => {
                let seed = FixedState::with_seed(self.scenario.seed).hash_one(("egress opens", index));
                let nat = Spread { from: now, seed, median, p90, max: model.egress_open_nat_max };
                let times = |span: Duration| span.mul_f64(vpc);
                let vpc = Spread { median: times(nat.median), p90: times(nat.p90), max: times(nat.max), ..nat };
                (Opening::Each(vpc), Opening::Each(nat))
            }
        }
    }

    /// Private Google Access does not answer some connections of one new instance in a thousand.
    fn stall_google_apis(&mut self, network: usize, address: Ipv4Addr, index: u32) {
        let model = &self.scenario.model.cloud_run;
        if rng::unit(&mut self.stalls) > model.pga_stall_probability {
            return;
        }
        let stall = Stall {
            from: self.engine.now(),
            seed: FixedState::with_seed(self.scenario.seed).hash_one(("stalls", index)),
            share: model.pga_stall_share,
            shortest: model.pga_stall_min,
            longest: model.pga_stall_max,
        };
        self.engine.change(self.vpcs[network].google, |google| google.stall(address.into(), stall));
    }

    /// Shuts an instance of a revision down: the youngest, those that still wait for addresses before all; of a job the task
    /// that has run for longest.
    fn stop_one(&mut self, workload: usize, revision: usize) {
        let of_revision = |instance: &RunningInstance| instance.revision == revision;
        let running = &self.workloads[workload];
        let job = self.scenario.workloads[workload].kind == WorkloadKind::Job;
        let found = if job { running.iter().position(of_revision) } else { running.iter().rposition(of_revision) };
        let waits = self.waiting.contains_key(&(workload, revision));
        match found.filter(|_| job || !waits) {
            Some(index) => self.stop_instance(workload, index),
            None if waits => self.end_waiting((workload, revision)),
            None => {}
        }
    }

    /// Shuts an instance down. Its addresses, and with them its NAT ports, are held for a while.
    fn stop_instance(&mut self, workload: usize, index: usize) {
        let scenario = Arc::clone(&self.scenario);
        let gone = self.workloads[workload].remove(index);
        self.turnovers += 1;
        self.engine.change(gone.site, Instance::shut_down);
        self.engine.change(self.serverless, |egress| egress.remove_instance(gone.address));
        let spec = &scenario.workloads[workload];
        match *spec.revisions[gone.revision].way() {
            Attachment::None => {}
            Attachment::Connector(connector) => {
                let dispatcher = self.connectors[connector].dispatcher;
                self.engine.change(dispatcher, |connector| connector.remove_instance(gone.address));
            }
            Attachment::Direct { network, subnetwork, .. } => {
                let port = gone.firewall_port.expect("an instance with Direct VPC egress is attached");
                self.engine.change(self.vpcs[network].firewall, |firewall| firewall.detach(port));
                self.engine.change(self.vpcs[network].router, |router| {
                    router.detach(Ipv4Net::from(gone.address));
                    gone.ipv6.into_iter().for_each(|first| router.detach(interface_of(first)));
                });
                let google = self.vpcs[network].google;
                if self.engine.at(google).has_stall(gone.address.into()) {
                    self.engine.change(google, |google| google.end_stall(gone.address.into()));
                }
                let until = self.engine.now() + scenario.address_hold(workload);
                self.agenda.add(until, Due::Release { subnetwork, addresses: gone.held });
            }
        }
    }
}

/// What an instance's way out carries, if not by Direct VPC egress. The limits of a 1st generation function are for all of its
/// traffic together; here each of its two ways out, and each direction, has them.
fn instance_link(workload: &Workload) -> LinkConfig {
    if !workload.first_generation {
        return LinkConfig::default();
    }
    let FirstGeneration { packets_per_second, bits_per_second, .. } = FIRST_GENERATION;
    let packet_time = Duration::from_secs(1) / packets_per_second;
    let capacity = Capacity { packet_time, ..Capacity::steady(bits_per_second, QUEUE) };
    LinkConfig { capacity: Some(capacity), ..LinkConfig::default() }
}

/// How a trace names a revision, job or function.
pub(crate) fn workload_info(workload: &Workload, revision: &Revision) -> WorkloadInfo {
    let located = |collection, name: &str| Resource::located(collection, &*workload.region, name);
    let (kind, collection) = match workload.kind {
        WorkloadKind::Service => (info::WorkloadKind::Revision, "services"),
        WorkloadKind::WorkerPool => (info::WorkloadKind::Revision, "workerPools"),
        WorkloadKind::Job => (info::WorkloadKind::Job, "jobs"),
        WorkloadKind::Function => (info::WorkloadKind::Function, "functions"),
    };
    let of = located(collection, &workload.name);
    if kind == info::WorkloadKind::Revision {
        WorkloadInfo { kind, resource: located("revisions", &revision.name), service: Some(of) }
    } else {
        WorkloadInfo { kind, resource: of, service: None }
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
