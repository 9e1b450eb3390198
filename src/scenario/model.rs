//! Values for what Google does not document, each with the reason for its default.
//!
//! Nothing in here is a fact about Google Cloud: a documented number lives beside the code that applies it. A scenario
//! may set any of these under `model:`.

use std::time::Duration;

use ipnet::IpNet;

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
    /// VPC routes.
    pub routing: RoutingModel,
    /// Google's APIs.
    pub google_apis: GoogleApisModel,
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

/// `model.nat.portSelection`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortSelection {
    /// `lowest-free`
    LowestFree,
    /// `random`
    Random,
}

/// `model.nat.shortage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// `partial`: keep what there was.
    Partial,
    /// `none`: all or nothing.
    None,
}

/// `model.nat.midstream`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Midstream {
    /// `new-mapping`
    NewMapping,
    /// `drop`
    Drop,
}

/// `model.nat.rst`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RstPolicy {
    /// `time-wait`
    TimeWait,
    /// `immediate`
    Immediate,
}

/// `model.nat.endpointIndependentChoice`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointIndependentChoice {
    /// `least-loaded`: the one with the fewest holders.
    LeastLoaded,
    /// `hash`: one by a hash of the inside address and port.
    Hash,
}

/// `model.client`.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientModel {
    /// When an unanswered SYN is sent again.
    pub syn_schedule: SynSchedule,
}

impl Default for ClientModel {
    fn default() -> Self {
        ClientModel { syn_schedule: SynSchedule::Linux65 }
    }
}

/// `model.client.synSchedule`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SynSchedule {
    /// `linux-6.5`: 1, 2, 3, 4, 5, 7, 11, 19, 35, 67 s, gives up at 131 s (`tcp_syn_linear_timeouts` = 4).
    Linux65,
    /// `classic`: 1, 3, 7, 15, 31, 63 s, gives up at 127 s.
    Classic,
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
    /// How long an address is held after its instance is gone. Google says up to 20 minutes. Default 20 min.
    pub address_hold: Duration,
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
        }
    }
}

/// `model.connector`.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectorModel {
    /// Delay of the connector hop. Google says "higher latency" than Direct VPC. Default 1 ms.
    pub delay: Duration,
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
            snat_ports: 28_232,
            time_wait: Duration::from_secs(60),
            affinity: ConnectorAffinity::Flow,
        }
    }
}

/// `model.connector.affinity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectorAffinity {
    /// `flow`
    Flow,
    /// `instance`
    Instance,
}
