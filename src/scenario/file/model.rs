//! `model:` as written. What each value means, and why its default is what it is, stands in [`crate::scenario::model`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scenario::value::{At, Cidr, Dur, DurOrAuto};

/// Values for what Google does not document.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// Cloud NAT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat: Option<NatModel>,
    /// TCP of the clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientModel>,
    /// Cloud Run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_run: Option<CloudRunModel>,
    /// Serverless VPC Access connectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<ConnectorModel>,
    /// VPC firewall.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firewall: Option<FirewallModel>,
    /// VPC routes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing: Option<RoutingModel>,
    /// Google's APIs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub google_apis: Option<GoogleApisModel>,
    /// What `diagnose` assumes of logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnose: Option<DiagnoseModel>,
}

/// What `diagnose` assumes of logs.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnoseModel {
    /// How long a connection of a log lives. Default `auto`: until its port serves the same destination again, less TIME_WAIT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_lifetime: Option<At<DurOrAuto>>,
}

/// VPC routes.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoutingModel {
    /// What senders of other regions add to the priority of a dynamic route that does not say. Default 201.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inter_region_cost: Option<At<i64>>,
}

/// Google's APIs.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GoogleApisModel {
    /// Public addresses of Google's APIs. Default: a snapshot of Google's list, without its public DNS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranges: Option<Vec<At<Cidr>>>,
}

/// Cloud NAT.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NatModel {
    /// Which free port a new connection gets. Default `lowest-free`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_selection: Option<PortSelection>,
    /// What an endpoint gets when the NAT IPs cannot give it all its ports. Default `partial`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shortage: Option<Shortage>,
    /// A TCP packet without SYN that has no mapping. Default `new-mapping`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub midstream: Option<Midstream>,
    /// What an RST does to a mapping. Default `time-wait`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rst: Option<RstPolicy>,
    /// With endpoint-independent mapping: which NAT IP and port a new inside address and port gets. Default `least-loaded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_independent_choice: Option<EndpointIndependentChoice>,
    /// TIME_WAIT of a gateway that says neither its timeout nor its creation date. Default 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_wait_default: Option<At<Dur>>,
    /// How dynamic port allocation grows and shrinks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamic_port_allocation: Option<DynamicPortAllocationModel>,
    /// How long a new configuration takes to reach the data plane. Default 0s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub programming_delay: Option<At<Dur>>,
    /// Log entries a second and vCPU. Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_entries_per_second_per_vcpu: Option<u32>,
}

/// How dynamic port allocation grows and shrinks.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DynamicPortAllocationModel {
    /// Share of the allocation in use for one destination at which more is asked for: above 0, at most 1. Default 0.8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<At<f64>>,
    /// Ask for more at a drop, too. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grow_on_drop: Option<bool>,
    /// How long a doubling takes to become usable. Default 20s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth_delay: Option<At<Dur>>,
    /// Give ports back below this share: 0 to 1. Default 0.25.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shrink_below: Option<At<f64>>,
    /// When it was below for this long. Default 300s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shrink_after: Option<At<Dur>>,
    /// How often usage is looked at. Default 10s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluate_every: Option<At<Dur>>,
    /// Any change of the gateway puts all endpoints back to the minimum; otherwise only one of its port settings does.
    /// Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_on_change: Option<bool>,
}

/// TCP of the clients.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientModel {
    /// When an unanswered SYN is sent again. Default `linux-6.5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syn_schedule: Option<SynSchedule>,
    /// How exactly the kernel's timers fire. Default `exact`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timers: Option<KernelTimers>,
    /// How long a source port of an instance is not used again towards the same destination, when the instance has closed first.
    /// Default 60s, as Linux has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_wait: Option<At<Dur>>,
}

/// Cloud Run.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudRunModel {
    /// Each held Direct VPC address (two an instance) reserves NAT ports. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count_held_addresses: Option<bool>,
    /// Delay of the Direct VPC hop. Default 100us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direct_vpc_delay: Option<At<Dur>>,
    /// Time until a new instance reaches anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_open: Option<EgressOpenModel>,
    /// How long an address is held after its instance is gone. Default 20m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_hold: Option<At<Dur>>,
    /// What becomes of a TCP connection into the VPC network that was idle for 10 minutes. Default `black-hole`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_vpc: Option<IdlePolicy>,
    /// What becomes of one to the internet that was idle for 20 minutes. Default `reset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_internet: Option<IdlePolicy>,
    /// How long an instance is stopped while its machine is maintained. Default 10s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance_stop: Option<At<Dur>>,
    /// Whose the blocks of 16 addresses are. Default `revision`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_blocks: Option<AddressBlocks>,
    /// More ranges that `PRIVATE_RANGES_ONLY` sends into the VPC network. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_private_ranges: Option<Vec<At<Cidr>>>,
    /// With Direct VPC egress, `PRIVATE_RANGES_ONLY` sends 240.0.0.0/4 there, too. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_e_direct: Option<bool>,
    /// New connections that an instance may begin in a second: 0 to 1,000,000, 0 being any number. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_per_second: Option<At<i64>>,
    /// How Cloud Run scales services by their requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<AutoscalingModel>,
}

/// How Cloud Run scales a service by its requests.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AutoscalingModel {
    /// Share of `maxInstanceRequestConcurrency` that it aims at: more than 0, to 1. Default 0.6, as Google says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_utilization: Option<At<f64>>,
    /// Over how long it looks at the average. Default 60s, as Google says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<At<Dur>>,
    /// How often it looks. Default 5s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluate_every: Option<At<Dur>>,
    /// How long an instance is idle before it is shut down. Default 15m, Google's longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_shutdown: Option<At<Dur>>,
    /// Time until a new instance takes requests. Default 2s, assumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_start: Option<At<Dur>>,
    /// How long a request waits for an instance before it fails. Default 10s, as Google says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_timeout: Option<At<Dur>>,
}

/// Time until a new Direct VPC instance reaches anything: log-normal.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EgressOpenModel {
    /// Median for destinations behind Cloud NAT. Default 20s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_median: Option<At<Dur>>,
    /// 90th percentile of the same. Default 36s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_p90: Option<At<Dur>>,
    /// Longest of the same. Default 80s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_max: Option<At<Dur>>,
    /// Median for destinations inside the VPC. Default 2s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_median: Option<At<Dur>>,
    /// Whether the way opens to all destinations at once. Default `instance`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<OpenScope>,
    /// Share of new instances on which Private Google Access stalls: 0 to 1. Default 0.001.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pga_stall_probability: Option<At<f64>>,
    /// Share of such an instance's connections to Google APIs that nobody answers: 0 to 1. Default 0.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pga_stall_share: Option<At<f64>>,
    /// Shortest time, from the instance's start on, until these are answered. Default 20s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pga_stall_min: Option<At<Dur>>,
    /// Longest time of the same. Default 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pga_stall_max: Option<At<Dur>>,
}

/// Serverless VPC Access connectors.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectorModel {
    /// Delay of the connector hop, the median. Default 1ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<At<Dur>>,
    /// 99th percentile of the same. Default 5ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_p99: Option<At<Dur>>,
    /// How many times as long the delay is while a VM is near its limit: 1 to 100. Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busy_delay_factor: Option<At<i64>>,
    /// Shared-core machine types carry so many times their documented throughput while they have CPU credit: 1 to 100.
    /// Default 6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<At<f64>>,
    /// How long the credit lasts at full burst. Default 85s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst_duration: Option<At<Dur>>,
    /// e2-standard-4 carries so many times its documented throughput: 1 to 100. Default 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedicated_burst: Option<At<f64>>,
    /// Share of the documented throughput above which VMs are added: above 0. Default 0.8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_out_at: Option<At<f64>>,
    /// Over how long the share is taken. Default 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_out_window: Option<At<Dur>>,
    /// Shortest time until a new VM carries traffic. Default 90s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm_start_min: Option<At<Dur>>,
    /// Longest time until a new VM carries traffic. Default 180s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm_start_max: Option<At<Dur>>,
    /// How often all VMs are replaced, which ends their connections; 0s: never. Default 0s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance_every: Option<At<Dur>>,
    /// Source ports a connector VM has for one destination: 1 to 65,535. Default 28,232.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snat_ports: Option<At<i64>>,
    /// How long a closed connection keeps its port at the connector VM. Default 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_wait: Option<At<Dur>>,
    /// How flows are spread over the VMs. Default `flow`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<ConnectorAffinity>,
}

/// VPC firewall.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FirewallModel {
    /// How long after its start ingress rules know a Direct VPC instance by its network tags. Default 60s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag_propagation: Option<At<Dur>>,
    /// Which Direct VPC instances ingress rules know by their service account. Default `first-instance`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_service_account: Option<SourceServiceAccount>,
    /// What becomes of a new connection when its interface tracks as many as it can. Default `by-kind`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_table: Option<FullTable>,
}

/// A closed choice with kebab-case names.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$vmeta])* $variant),* }
    };
}

choice! {
    /// Which free port a new connection gets.
    PortSelection {
        /// The lowest.
        LowestFree,
        /// Any.
        Random,
    }
}

choice! {
    /// What an endpoint gets when the NAT IPs cannot give it all its ports.
    Shortage {
        /// What there is.
        Partial,
        /// All or nothing.
        None,
    }
}

choice! {
    /// A TCP packet without SYN that has no mapping.
    Midstream {
        /// It gets one.
        NewMapping,
        /// It is dropped.
        Drop,
    }
}

choice! {
    /// What an RST does to a mapping.
    RstPolicy {
        /// The same as a close.
        TimeWait,
        /// Its port is free at once.
        Immediate,
    }
}

choice! {
    /// Which NAT IP and port a new inside address and port gets.
    EndpointIndependentChoice {
        /// The one with the fewest holders.
        LeastLoaded,
        /// One by a hash of the inside address and port.
        Hash,
    }
}

choice! {
    /// When an unanswered SYN is sent again.
    SynSchedule {
        /// After 1, 2, 3, 4, 5, 7, 11, 19, 35, 67 s; gives up at 131 s (`tcp_syn_linear_timeouts` = 4).
        #[serde(rename = "linux-6.5")]
        Linux65,
        /// After 1, 3, 7, 15, 31, 63 s; gives up at 127 s.
        Classic,
    }
}

choice! {
    /// What becomes of a connection that was idle for too long.
    IdlePolicy {
        /// Nobody answers any more.
        BlackHole,
        /// Its sender gets a reset.
        Reset,
    }
}

choice! {
    /// How exactly the kernel's timers fire.
    KernelTimers {
        /// When they are due.
        Exact,
        /// As Linux' timer wheel with 250 ticks a second: a second takes 1.024 s, 32 s up to 34 s.
        #[serde(rename = "linux-250hz")]
        Linux250Hz,
        /// As Linux' timer wheel with 1,000 ticks a second: a second takes 1.024 s, 32 s up to 32.5 s.
        #[serde(rename = "linux-1000hz")]
        Linux1000Hz,
    }
}

choice! {
    /// Whose the blocks of 16 addresses are.
    AddressBlocks {
        /// Each revision reserves blocks of its own.
        Revision,
        /// All that use a subnet share blocks.
        Subnetwork,
    }
}

choice! {
    /// To what a new instance's way out opens at once.
    OpenScope {
        /// To all destinations.
        Instance,
        /// To each destination by itself.
        Destination,
    }
}

choice! {
    /// How flows are spread over a connector's VMs.
    ConnectorAffinity {
        /// Each flow by a seeded hash.
        Flow,
        /// Each instance by a seeded hash.
        Instance,
    }
}

choice! {
    /// Which Direct VPC instances ingress rules know by their service account.
    SourceServiceAccount {
        /// The first instance of a revision.
        FirstInstance,
        /// All of them.
        Always,
        /// None.
        Never,
    }
}

choice! {
    /// What becomes of a new connection when its interface tracks as many as it can: connector VMs refuse and others drop it,
    /// or all do one of the two.
    FullTable {
        /// Connector VMs refuse, others drop.
        ByKind,
        /// All drop.
        Drop,
        /// All refuse.
        Refuse,
    }
}
