//! What the simulator adds to Google's resources: destinations, load, timed changes and assertions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compute::{OperationalStatus, Route, TunnelStatus};
use super::firewall::Firewall;
use super::impairment::{
    BurstLoss, ImpairEvent, JitterDistribution, OutageEvent, PatchHostEvent, Reorder, ServerClose,
};
use super::load::{DailyRate, RateSeries, RateStep, Requests, Workers};
use super::nat::RouterNat;
use super::run::{ConnectorMachineType, ConnectorState, Container, Scaling, ServiceConfig, TaskTemplate, VpcAccess};
use crate::scenario::value::{At, BitRate, ByteSize, Cidr, Dur, HostPort, QueueSize, Rate, Reference};

/// A simulated destination.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    /// Its name.
    pub name: At<String>,
    /// Its address, or a range that answers as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<At<Cidr>>,
    /// Its addresses or ranges, if it has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<At<Cidr>>>,
    /// Where it is. Default `internet`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<At<Location>>,
    /// Its network, with `location: vpc`; also one that is not described and that a peering names. May be left out when there
    /// is only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<At<Reference>>,
    /// The next hop it is behind, with `location: on-prem`: a tunnel, an attachment, a VM or a load balancer by name, or an
    /// address. Default: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<At<Reference>>,
    /// Open ports: `443`, `udp/53`. Others answer RST. Default: all are open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<At<HostPort>>>,
    /// Round-trip time from the edge of Google's network. Default 20ms on the internet, 1ms in the VPC, 10ms on premises,
    /// 2ms for Google APIs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt: Option<At<Dur>>,
    /// Probability that a packet is lost, each way: 0 to 1. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<At<f64>>,
    /// How much the delay varies, each way. Packets keep their order. Default 0s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<At<Dur>>,
    /// How it does. Default `normal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter_distribution: Option<At<JitterDistribution>>,
    /// Losses in bursts, each way, besides `loss`. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst_loss: Option<At<BurstLoss>>,
    /// Packets that those behind them overtake, each way. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reorder: Option<At<Reorder>>,
    /// Probability that a packet arrives twice, each way: 0 to 1. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<At<f64>>,
    /// How fast the way to it is, each way. Default `unlimited`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<At<BitRate>>,
    /// What waits there at most, as time or as bytes; what comes then is dropped. Default 50ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<At<QueueSize>>,
    /// Bytes of the largest packet that a link on the way takes, the IP header counted. IPv4 without "don't fragment" passes
    /// whole. Default: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<At<i64>>,
    /// The sender of a packet that is too large for `mtu` is not told. Default false: it gets an ICMP error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_black_hole: Option<At<bool>>,
    /// Never answers. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<bool>,
    /// Answers every connection with RST, every datagram with "port unreachable". Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refuse: Option<At<bool>>,
    /// Takes connections and never answers a request. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hang: Option<At<bool>>,
    /// Closes connections that were idle so long. Default: does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<At<Dur>>,
    /// How it does that. Default `fin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_close: Option<At<ServerClose>>,
    /// Share of established connections that it resets: 0 to 1. Default 0; with `resetAfter` 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset: Option<At<f64>>,
    /// How long after they were established. Default 0s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_after: Option<At<Dur>>,
    /// Where on earth it is, as Cloud NAT's log tells. Default: the log does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub geo_location: Option<GeoLocation>,
}

/// Where on earth a host is, in the words of Cloud NAT's log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GeoLocation {
    /// Such as `America`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continent: Option<String>,
    /// ISO 3166-1 alpha-3 in small letters, such as `usa`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Region of the country.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// City.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// Number of its autonomous system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
}

/// Where a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Location {
    /// On the internet.
    Internet,
    /// In a VPC network.
    Vpc,
    /// On premises.
    OnPrem,
    /// A Google API front end.
    GoogleApi,
}

/// One simulated load.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// Its name. Default `FROM to TO`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<At<String>>,
    /// The workload whose instances share the load.
    pub from: At<Reference>,
    /// `host:port` or `ip:port`; for ICMP without a port.
    pub to: At<String>,
    /// Default `tcp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<At<Protocol>>,
    /// When it begins. Default 0s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<At<Dur>>,
    /// When no more connections are opened. Default: the scenario's duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<At<Dur>>,
    /// New connections a second over all instances. Either this or one of `steps`, `daily`, `series` and `count`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<At<Rate>>,
    /// Rates that change at set times; before the first there is no load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<At<Vec<At<RateStep>>>>,
    /// A rate that goes up and down like a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily: Option<At<DailyRate>>,
    /// Recorded rates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<At<RateSeries>>,
    /// So many connections, all at `start`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<At<u64>>,
    /// Instead of a rate: clients in each instance that wait for one response before they send the next request. They need
    /// `requests`, which may be `{}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<At<Workers>>,
    /// Each arrival is a request to the workload, that calls `to`, and not a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<At<Requests>>,
    /// How they arrive, unless all at once. Default `poisson`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<At<Arrivals>>,
    /// How long a connection stays open once established. Default 500ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<At<Dur>>,
    /// Size of a request. Default 512.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_bytes: Option<At<ByteSize>>,
    /// Size of a response. Default 4096.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_bytes: Option<At<ByteSize>>,
    /// Who closes. Default `client`. With `requests`, it is when the response has come; with `nobody`, every call leaves a
    /// connection behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<At<ClosedBy>>,
    /// When the application gives up connecting. Default 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<At<Dur>>,
    /// What the ends of TCP connections are: `flow` (default), a light script, for millions of them, or `stack`, a TCP stack
    /// each, with its retransmissions and windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<At<Endpoints>>,
}

/// What the ends of TCP connections are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoints {
    /// A light script.
    Flow,
    /// A TCP stack.
    Stack,
}

/// Protocol of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// Handshake, data both ways, close.
    Tcp,
    /// A request and a response datagram.
    Udp,
    /// Echo request and reply.
    Icmp,
}

/// How connections arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// Exponential gaps.
    Poisson,
    /// Equal gaps.
    Constant,
}

/// Who closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClosedBy {
    /// The Cloud Run side.
    Client,
    /// The far side.
    Server,
    /// Nobody: it stays open.
    Nobody,
}

/// A timed change: `at` and exactly one kind of change.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// When.
    pub at: At<Dur>,
    /// A workload gets another number of instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<At<ScaleEvent>>,
    /// A workload gets a new revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deploy: Option<At<DeployEvent>>,
    /// A job is executed, once or again and again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execute: Option<At<ExecuteEvent>>,
    /// A gateway gets another configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch_nat: Option<At<PatchNatEvent>>,
    /// A connector gets another configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch_connector: Option<At<PatchConnectorEvent>>,
    /// Google maintains what a workload's instances, or a connector's VMs, run on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintain: Option<At<MaintainEvent>>,
    /// Cloud Run's infrastructure is restarted: all open connections of a workload's instances end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_connections: Option<At<ResetConnectionsEvent>>,
    /// A VPC firewall rule is changed. Connections that it has let pass go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch_firewall: Option<At<PatchFirewallEvent>>,
    /// A VPN tunnel gets another status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch_vpn_tunnel: Option<At<PatchVpnTunnelEvent>>,
    /// An Interconnect attachment gets another status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch_interconnect_attachment: Option<At<PatchInterconnectAttachmentEvent>>,
    /// A route is made, as in `routes[]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_route: Option<At<Route>>,
    /// A route is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove_route: Option<At<RemoveRouteEvent>>,
    /// A host changes: how it answers, and the way to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch_host: Option<At<PatchHostEvent>>,
    /// Links change, for good or for a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impair: Option<At<ImpairEvent>>,
    /// Something is out of service for a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outage: Option<At<OutageEvent>>,
}

/// A workload gets another number of instances.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleEvent {
    /// The workload.
    pub workload: At<Reference>,
    /// The new number; 0 stops all.
    pub instances: At<i64>,
    /// How long it takes, instance by instance at even distances. Default 0s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over: Option<At<Dur>>,
}

/// A workload gets a new revision: the fields that change, as in the workload itself. Instances of the old revisions stop as
/// those of the new one start.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeployEvent {
    /// The workload.
    pub workload: At<Reference>,
    /// The fields that change. A field that is given replaces the whole of what it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<At<DeploySet>>,
    /// The workload leaves the VPC network, as with `gcloud run services update --clear-network`. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear_vpc_access: Option<At<bool>>,
    /// How long traffic takes to move, instance by instance at even distances. Default 0s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over: Option<At<Dur>>,
}

/// What a deployment changes: `serviceConfig` of a function, `template` of every other workload.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploySet {
    /// The revision, or the execution of a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<DeployTemplate>,
    /// The service of a function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_config: Option<At<ServiceConfig>>,
}

/// Fields of a revision, or of a job's execution.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeployTemplate {
    /// Name of the revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<At<String>>,
    /// Scaling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// Its way to a VPC network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_access: Option<At<VpcAccess>>,
    /// The service account it runs as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<At<String>>,
    /// Its containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containers: Option<Vec<Container>>,
    /// The task of a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TaskTemplate>,
}

/// A job is executed.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecuteEvent {
    /// The job.
    pub job: At<Reference>,
    /// Number of tasks. Default: the job's `taskCount`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<At<i64>>,
    /// Tasks that run at once; 0 means all. Default: the job's `parallelism`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<At<i64>>,
    /// How long a task runs.
    pub task_duration: At<Dur>,
    /// Again and again, at this interval. Default: once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<At<Dur>>,
    /// No execution begins after this time. Default: the end of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<At<Dur>>,
}

/// A connector gets another configuration.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchConnectorEvent {
    /// The connector.
    pub connector: At<Reference>,
    /// The fields that change, as in `connectors[]`.
    pub set: At<ConnectorPatch>,
}

/// What can change of a connector.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectorPatch {
    /// Another machine type: its VMs are replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_type: Option<At<ConnectorMachineType>>,
    /// More instances at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_instances: Option<At<i64>>,
    /// More instances at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_instances: Option<At<i64>>,
    /// Only a `READY` one carries traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<At<ConnectorState>>,
}

/// Google maintains machines. Give one of the two.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MaintainEvent {
    /// Instances get `SIGTSTP`, are stopped 10 seconds later, lose their connections, and get `SIGCONT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<At<Reference>>,
    /// Its VMs are replaced by others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<At<Reference>>,
}

/// Open connections end.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResetConnectionsEvent {
    /// The workload.
    pub workload: At<Reference>,
}

/// A gateway gets another configuration.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchNatEvent {
    /// The gateway: its name, or `ROUTER/NAME` when several have it.
    pub gateway: At<Reference>,
    /// The fields that change, as in `routers[].nats[]`.
    pub set: At<RouterNat>,
}

/// A VPC firewall rule is changed.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchFirewallEvent {
    /// The rule.
    pub firewall: At<Reference>,
    /// The fields that change, as in `firewalls[]`.
    pub set: At<Firewall>,
}

/// A VPN tunnel gets another status.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchVpnTunnelEvent {
    /// The tunnel.
    pub tunnel: At<Reference>,
    /// The fields that change, as in `vpnTunnels[]`.
    pub set: At<VpnTunnelPatch>,
}

/// What of a VPN tunnel can change.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VpnTunnelPatch {
    /// Only an `ESTABLISHED` one carries packets.
    pub status: At<TunnelStatus>,
}

/// An Interconnect attachment gets another status.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchInterconnectAttachmentEvent {
    /// The attachment.
    pub attachment: At<Reference>,
    /// The fields that change, as in `interconnectAttachments[]`.
    pub set: At<InterconnectAttachmentPatch>,
}

/// What of an Interconnect attachment can change.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InterconnectAttachmentPatch {
    /// Only an `OS_ACTIVE` one carries packets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operational_status: Option<At<OperationalStatus>>,
    /// Switched on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_enabled: Option<At<bool>>,
}

/// A route is deleted.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemoveRouteEvent {
    /// Its name; the automatic default route is called `default-route-NETWORK`.
    pub route: At<Reference>,
    /// Its network. May be left out when only one has a route of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<At<Reference>>,
}

/// An assertion about the summary: a path and exactly one of `equals`, `atLeast`, `atMost`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Expect {
    /// A path into the summary, such as `packets.droppedBy.OUT_OF_RESOURCES` or `gateways.0.allocationFailed`.
    pub path: At<String>,
    /// The value must be this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equals: Option<serde_json::Value>,
    /// The number must not be lower.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// The number must not be higher.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
}
