//! Values for what Google does not document, each with the reason for its default.
//!
//! Nothing in here is a fact about Google Cloud: a documented number lives beside the code that applies it. A scenario
//! may set any of these under `model:`.

use std::time::Duration;

use ipnet::IpNet;

use crate::node::instance::PrivateRanges;

pub use super::file::model::{
    AddressBlocks, ConnectorAffinity, EndpointIndependentChoice, FullTable, IdlePolicy, KernelTimers, Midstream,
    OpenScope, PortSelection, RstPolicy, Shortage, SourceServiceAccount, SynSchedule,
};

/// All of `model:`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Model {
    /// Cloud NAT.
    pub nat: NatModel,
    /// What a client's TCP does.
    pub client: ClientModel,
    /// Cloud Run.
    pub cloud_run: CloudRunModel,
    /// Serverless VPC Access connectors.
    pub connector: ConnectorModel,
    /// VPC firewall.
    pub firewall: FirewallModel,
    /// VPC routes.
    pub routing: RoutingModel,
    /// Google's APIs.
    pub google_apis: GoogleApisModel,
    /// What `diagnose` assumes of logs.
    pub diagnose: DiagnoseModel,
}

/// `model.diagnose`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DiagnoseModel {
    /// How long a connection of a log lives: entries are of its beginning only. Default `auto` (`None`): a NAT port serves a
    /// destination again when the connection before has ended and its TIME_WAIT has passed, at once where ports are short.
    /// So half of the connections have lived no longer than the median of these gaps, less the gateway's TIME_WAIT. Where a log
    /// has too few of them, 30 s are assumed, the shortest of Cloud NAT's idle timers: rather too long than too short.
    pub log_lifetime: Option<Duration>,
}

/// `model.routing`.
#[derive(Debug, Clone, PartialEq)]
pub struct RoutingModel {
    /// What senders of other regions add to the priority of a dynamic route whose `nextHopInterRegionCost` is not given.
    /// Google computes it from distance and load, 201 to 9999
    /// (<https://docs.cloud.google.com/network-connectivity/docs/router/concepts/overview#effects-of-dynamic-routing-mode>, 2026).
    /// Default 201: of equal routes, the one in the sender's region wins.
    pub inter_region_cost: u32,
}

impl Default for RoutingModel {
    fn default() -> Self {
        RoutingModel { inter_region_cost: 201 }
    }
}

/// `model.googleApis`.
#[derive(Debug, Clone, PartialEq)]
pub struct GoogleApisModel {
    /// Public addresses of Google's APIs, beside the virtual ones of `private.googleapis.com` and `restricted.googleapis.com`.
    /// See [`GOOGLE_API_RANGES`].
    pub ranges: Vec<IpNet>,
}

/// Google: the default domains of its APIs have addresses of <https://www.gstatic.com/ipranges/goog.json> that are not in
/// <https://www.gstatic.com/ipranges/cloud.json>, which belong to customers. Both change; these are blocks of goog.json as of
/// 2023-02-16 that are Google's front ends as a whole. Left out are blocks of which cloud.json takes a part, and those of
/// services other than APIs: 8.8.8.0/24 and 8.8.4.0/24, Google's public DNS, are in goog.json, and no default domain resolves
/// to them. Of IPv6, the blocks to which the default domains resolve.
pub const GOOGLE_API_RANGES: [&str; 18] = [
    "64.233.160.0/19",
    "66.102.0.0/20",
    "72.14.192.0/18",
    "74.125.0.0/16",
    "108.177.0.0/17",
    "142.250.0.0/15",
    "172.217.0.0/16",
    "172.253.0.0/16",
    "173.194.0.0/16",
    "192.178.0.0/15",
    "209.85.128.0/17",
    "216.58.192.0/19",
    "216.239.32.0/19",
    "2404:6800::/32",
    "2607:f8b0::/32",
    "2800:3f0::/32",
    "2a00:1450::/32",
    "2c0f:fb50::/32",
];

impl Default for GoogleApisModel {
    fn default() -> Self {
        let parse = |range: &&str| range.parse().expect("the constants are ranges");
        GoogleApisModel { ranges: GOOGLE_API_RANGES.iter().map(parse).collect() }
    }
}

/// `model.nat`.
#[derive(Debug, Clone, PartialEq)]
pub struct NatModel {
    /// Which free port a new connection gets. One observed log entry on a fresh gateway has port 1024, the lowest; an old
    /// Google page says random. Default: lowest-free.
    pub port_selection: PortSelection,
    /// What an endpoint gets when the NAT IPs cannot give it all its ports. Two observed gateways gave one VM half. Default: partial.
    pub shortage: Shortage,
    /// What happens to a TCP packet without SYN that has no mapping. Default: a new mapping, in the transitory state.
    pub midstream: Midstream,
    /// What an RST does to a mapping. Default: TIME_WAIT, so that the port stays barred.
    pub rst: RstPolicy,
    /// With endpoint-independent mapping: which NAT tuple a new inside address and port is bound to. Google documents only
    /// that tuples are shared. Default, assumed: the one with the fewest holders.
    pub endpoint_independent_choice: EndpointIndependentChoice,
    /// TIME_WAIT of a gateway that says neither its timeout nor its creation date. Default 30 s: what Google gives new gateways since 2026-09-30.
    pub time_wait_default: Duration,
    /// How dynamic port allocation grows and shrinks.
    pub dynamic_port_allocation: DynamicPortAllocationModel,
    /// How long a new configuration takes to reach the data plane. Google says up to three minutes. Default 0 s.
    pub programming_delay: Duration,
    /// Log entries a second and vCPU; Google says 50 to 100. Default 100.
    pub log_entries_per_second_per_vcpu: u32,
}

impl Default for NatModel {
    fn default() -> Self {
        NatModel {
            port_selection: PortSelection::LowestFree,
            shortage: Shortage::Partial,
            midstream: Midstream::NewMapping,
            rst: RstPolicy::TimeWait,
            endpoint_independent_choice: EndpointIndependentChoice::LeastLoaded,
            time_wait_default: Duration::from_secs(30),
            dynamic_port_allocation: DynamicPortAllocationModel::default(),
            programming_delay: Duration::ZERO,
            log_entries_per_second_per_vcpu: 100,
        }
    }
}

/// `model.nat.dynamicPortAllocation`: Google publishes none of these.
#[derive(Debug, Clone, PartialEq)]
pub struct DynamicPortAllocationModel {
    /// Ask for more when connections to one destination use this share of the allocation. Default 0.8.
    pub trigger: f64,
    /// Ask for more at the first drop, too. Default true.
    pub grow_on_drop: bool,
    /// How long a doubling takes to become usable. Default 20 s (reports range from 5 to 240 s).
    pub growth_delay: Duration,
    /// Give ports back when usage stays below this share. Default 0.25.
    pub shrink_below: f64,
    /// For this long. Default 300 s.
    pub shrink_after: Duration,
    /// How often usage is looked at. Default 10 s.
    pub evaluate_every: Duration,
    /// Google: any further change of a gateway with dynamic port allocation might put all VMs back to the minimum for a
    /// while. Default: it does. Otherwise only a change of the port settings does.
    pub reset_on_change: bool,
}

impl Default for DynamicPortAllocationModel {
    fn default() -> Self {
        DynamicPortAllocationModel {
            trigger: 0.8,
            grow_on_drop: true,
            growth_delay: Duration::from_secs(20),
            shrink_below: 0.25,
            shrink_after: Duration::from_secs(300),
            evaluate_every: Duration::from_secs(10),
            reset_on_change: true,
        }
    }
}

/// `model.client`.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientModel {
    /// When an unanswered SYN is sent again.
    pub syn_schedule: SynSchedule,
    /// How exactly the kernel's timers fire. Linux' timer wheel is coarser the longer a timer is, which is why connect times
    /// were seen at 36 and 68 s where the schedule says 35 and 67. Default: exact.
    pub timers: KernelTimers,
    /// How long a source port of an instance is not used again towards the same destination, when the instance has closed first.
    /// Linux: 60 s (`TCP_TIMEWAIT_LEN`), whatever its settings. A NAT's TIME_WAIT is another thing.
    pub time_wait: Duration,
}

impl Default for ClientModel {
    fn default() -> Self {
        ClientModel {
            syn_schedule: SynSchedule::Linux65,
            timers: KernelTimers::Exact,
            time_wait: Duration::from_secs(60),
        }
    }
}

impl SynSchedule {
    /// Seconds after the first SYN at which it is sent again.
    pub const fn retries(self) -> &'static [u64] {
        match self {
            SynSchedule::Linux65 => &[1, 2, 3, 4, 5, 7, 11, 19, 35, 67],
            SynSchedule::Classic => &[1, 3, 7, 15, 31, 63],
        }
    }

    /// Seconds after the first SYN at which the stack gives up.
    pub const fn gives_up(self) -> u64 {
        match self {
            SynSchedule::Linux65 => 131,
            SynSchedule::Classic => 127,
        }
    }
}

/// `model.cloudRun`.
#[derive(Debug, Clone, PartialEq)]
pub struct CloudRunModel {
    /// Each held Direct VPC address (two an instance) reserves NAT ports: Google advises to set the minimum to twice what an
    /// instance needs. Default true.
    pub count_held_addresses: bool,
    /// Delay of the Direct VPC hop. Default 100 µs.
    pub direct_vpc_delay: Duration,
    /// Time until a newly started instance reaches destinations behind Cloud NAT: a log-normal distribution. Measured
    /// (n=19): median 20.2 s, 90 % within 36.5 s. Defaults 20 s and 36 s, at most 80 s.
    pub egress_open_nat_median: Duration,
    /// See [`CloudRunModel::egress_open_nat_median`].
    pub egress_open_nat_p90: Duration,
    /// See [`CloudRunModel::egress_open_nat_median`].
    pub egress_open_nat_max: Duration,
    /// Median of the same for destinations inside the VPC. Default 2 s; the spread is that of the NAT window.
    pub egress_open_vpc_median: Duration,
    /// Whether the way opens to all destinations at once. Reports of 2026 show destinations of one instance that opened at
    /// different times. Default: at once.
    pub egress_open_scope: OpenScope,
    /// Share of new instances on which Private Google Access stalls for some connections. One project saw 3 in 14 days.
    /// Default 0.001, assumed from that.
    pub pga_stall_probability: f64,
    /// Share of such an instance's connections to Google APIs that are not answered. Some were, and others begun at the same
    /// time were not. Default 0.5, assumed.
    pub pga_stall_share: f64,
    /// How long after the start of the instance they are answered, at least and at most: 27 s and 40 s were seen. Defaults 20 s
    /// and 60 s.
    pub pga_stall_min: Duration,
    /// See [`CloudRunModel::pga_stall_min`].
    pub pga_stall_max: Duration,
    /// How long an address is held after its instance is gone. Google says up to 20 minutes. Default 20 min.
    pub address_hold: Duration,
    /// What becomes of a TCP connection into the VPC network that was idle for 10 minutes, Google's limit. Google does not say.
    /// Default: nobody answers any more.
    pub idle_vpc: IdlePolicy,
    /// The same of one to the internet that was idle for 20 minutes. Default: a reset.
    pub idle_internet: IdlePolicy,
    /// How long an instance is stopped while its machine is maintained. Google does not say. Default 10 s, assumed.
    pub maintenance_stop: Duration,
    /// Whose the blocks of 16 addresses are. Google does not say. Default: a revision's.
    pub address_blocks: AddressBlocks,
    /// More ranges that `PRIVATE_RANGES_ONLY` sends into the VPC network. Google's pages name different private ranges; the
    /// simulator takes all that any of them names (see [`crate::node::instance`]). Default: none beyond them.
    pub extra_private_ranges: Vec<IpNet>,
    /// With Direct VPC egress, `PRIVATE_RANGES_ONLY` sends 240.0.0.0/4 there, too: Google names it as a range for subnets, and
    /// says nothing of it as a destination. Default true, assumed.
    pub class_e_direct: bool,
    /// New connections (TCP, UDP) that an instance may begin in a second. Google documents none for Cloud Run; 700 are hearsay.
    /// Functions of the 1st generation have their documented 500 whatever this says. Default 0: any number.
    pub connections_per_second: u32,
    /// How many instances Cloud Run runs for requests.
    pub autoscaling: Autoscaling,
}

impl Default for CloudRunModel {
    fn default() -> Self {
        CloudRunModel {
            count_held_addresses: true,
            direct_vpc_delay: Duration::from_micros(100),
            egress_open_nat_median: Duration::from_secs(20),
            egress_open_nat_p90: Duration::from_secs(36),
            egress_open_nat_max: Duration::from_secs(80),
            egress_open_vpc_median: Duration::from_secs(2),
            address_hold: Duration::from_secs(20 * 60),
            idle_vpc: IdlePolicy::BlackHole,
            idle_internet: IdlePolicy::Reset,
            maintenance_stop: Duration::from_secs(10),
            address_blocks: AddressBlocks::Revision,
            egress_open_scope: OpenScope::Instance,
            pga_stall_probability: 0.001,
            pga_stall_share: 0.5,
            pga_stall_min: Duration::from_secs(20),
            pga_stall_max: Duration::from_secs(60),
            extra_private_ranges: Vec::new(),
            class_e_direct: true,
            connections_per_second: 0,
            autoscaling: Autoscaling::default(),
        }
    }
}

/// How Cloud Run scales a service by its requests. The CPU, by which it scales, too, is not simulated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Autoscaling {
    /// Share of `maxInstanceRequestConcurrency` that it aims at, on average over `window`. Google: 60 %, over one minute
    /// (<https://cloud.google.com/run/docs/about-instance-autoscaling>, 2026).
    pub target_utilization: f64,
    /// See [`Autoscaling::target_utilization`].
    pub window: Duration,
    /// How often it looks. Google: every 5 s (the same page, in 2025; "periodically" since). When requests find no instance with
    /// room, it looks at once.
    pub evaluate_every: Duration,
    /// How long an instance is idle before it is shut down. Google: up to 15 minutes.
    pub idle_shutdown: Duration,
    /// Time until a new instance takes requests. Default 2 s, assumed: it is the container's own.
    pub container_start: Duration,
    /// How long a request waits for an instance before Cloud Run answers 429. Google: up to 10 s (the same page in 2025; 60 s in
    /// older copies).
    pub pending_timeout: Duration,
}

impl Default for Autoscaling {
    fn default() -> Self {
        Autoscaling {
            target_utilization: 0.6,
            window: Duration::from_secs(60),
            evaluate_every: Duration::from_secs(5),
            idle_shutdown: Duration::from_secs(15 * 60),
            container_start: Duration::from_secs(2),
            pending_timeout: Duration::from_secs(10),
        }
    }
}

impl CloudRunModel {
    /// What `PRIVATE_RANGES_ONLY` sends into the VPC network.
    pub fn private_ranges(&self) -> PrivateRanges {
        let v4 = |range: &IpNet| if let IpNet::V4(range) = range { Some(*range) } else { None };
        PrivateRanges {
            extra: self.extra_private_ranges.iter().filter_map(v4).collect(),
            class_e_direct: self.class_e_direct,
        }
    }
}

/// `model.connector`.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectorModel {
    /// Delay of the connector hop, the median. Google says "higher latency" than Direct VPC. Default 1 ms.
    pub delay: Duration,
    /// 99th percentile of the same: log-normal. Equal to the median, it does not vary. Default 5 ms, assumed.
    pub delay_p99: Duration,
    /// How many times as long the delay is while a VM is near its limit. Default 3, assumed: Google says that a connector adds
    /// latency while it adds instances.
    pub busy_delay_factor: u8,
    /// Shared-core machine types carry so many times their documented throughput as long as they have CPU credit. Default 6:
    /// an e2-micro was measured at 570 Mbps for 85 s, then at 140 Mbps.
    pub burst: f64,
    /// How long the credit lasts at full burst. Default 85 s, from the same measurement.
    pub burst_duration: Duration,
    /// e2-standard-4 carries so many times its documented throughput, without credit. Default 2, assumed.
    pub dedicated_burst: f64,
    /// A connector adds VMs when its use of the documented throughput was above this share. Default 0.8, assumed.
    pub scale_out_at: f64,
    /// Over this long. Default 60 s, assumed.
    pub scale_out_window: Duration,
    /// Time until a new VM carries traffic, at least and at most. Defaults 90 s and 180 s, assumed.
    pub vm_start_min: Duration,
    /// See [`ConnectorModel::vm_start_min`].
    pub vm_start_max: Duration,
    /// How often all VMs of a connector are replaced. Third parties say every two weeks. Default: never, 0 s.
    pub maintenance_every: Duration,
    /// Source ports a connector VM has for one destination: Linux' default range. Default 28,232.
    pub snat_ports: u32,
    /// How long a closed connection keeps its port at the connector VM: Linux' TIME_WAIT. Default 60 s.
    pub time_wait: Duration,
    /// How flows are spread over the VMs. Default: each flow by a seeded hash.
    pub affinity: ConnectorAffinity,
}

impl Default for ConnectorModel {
    fn default() -> Self {
        ConnectorModel {
            delay: Duration::from_millis(1),
            delay_p99: Duration::from_millis(5),
            busy_delay_factor: 3,
            burst: 6.0,
            burst_duration: Duration::from_secs(85),
            dedicated_burst: 2.0,
            scale_out_at: 0.8,
            scale_out_window: Duration::from_secs(60),
            vm_start_min: Duration::from_secs(90),
            vm_start_max: Duration::from_secs(180),
            maintenance_every: Duration::ZERO,
            snat_ports: 28_232,
            time_wait: Duration::from_secs(60),
            affinity: ConnectorAffinity::Flow,
        }
    }
}

/// `model.firewall`: Google calls source tags and service accounts of Direct VPC egress in ingress rules undefined, and says
/// nothing of interfaces that track as many connections as they can.
#[derive(Debug, Clone, PartialEq)]
pub struct FirewallModel {
    /// How long after its start ingress rules know a Direct VPC instance by its network tags. A test of 2026 saw them work
    /// after a while. Default, assumed: 60 s.
    pub tag_propagation: Duration,
    /// Whether ingress rules know a Direct VPC instance by its service account. A report of 2024 saw the first container
    /// connect, and later ones usually not. Default: the first instance of a workload.
    pub source_service_account: SourceServiceAccount,
    /// What becomes of a new connection when the interface tracks as many as it can. Of connectors, Google's troubleshooting
    /// says "connection refused". Default: connector VMs refuse it, others drop it.
    pub full_table: FullTable,
}

impl Default for FirewallModel {
    fn default() -> Self {
        FirewallModel {
            tag_propagation: Duration::from_secs(60),
            source_service_account: SourceServiceAccount::FirstInstance,
            full_table: FullTable::ByKind,
        }
    }
}
