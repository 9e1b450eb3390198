//! The result of a run as data: what `--format json` prints and `summary.json` holds.
//!
//! The shape is a contract with users' scripts: fields are added, never renamed.

use std::collections::BTreeMap;

use serde::Serialize;

use super::observed::ObservedSummary;

/// The whole result.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Scenario name.
    pub scenario: String,
    /// Seed of the run.
    pub seed: u64,
    /// Simulated time, as written (`60s`).
    pub duration: String,
    /// Packet counts: `sent = delivered + dropped + inFlight`.
    pub packets: Packets,
    /// Connection counts: `attempted = established + failed + pending`.
    pub connections: Connections,
    /// Counts of requests: `attempted = succeeded + failed + pending`; absent when no load has requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestsSummary>,
    /// Connections, and requests, by load.
    pub traffic: Vec<TrafficSummary>,
    /// Cloud NAT gateways.
    pub gateways: Vec<GatewaySummary>,
    /// Connectors.
    pub connectors: Vec<ConnectorSummary>,
    /// Services that Cloud Run has scaled; absent when there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub autoscaled: Vec<AutoscaledSummary>,
    /// Subnets that hold Direct VPC addresses.
    pub subnetworks: Vec<SubnetworkSummary>,
    /// Interfaces for which the firewall tracked as many connections as it can; absent when there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub full_tracking_tables: Vec<FullTrackingTable>,
    /// How far the start is what was observed of the running network; absent when nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<ObservedSummary>,
    /// The scenario's expectations and whether they held.
    pub expectations: Vec<ExpectationResult>,
    /// What a replay made of its captures; absent in a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captures: Option<CaptureSummary>,
}

/// Packet counts.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Packets {
    /// Sent by instances and hosts, and the copies that links make (`duplicated`).
    pub sent: u64,
    /// Delivered to their destination.
    pub delivered: u64,
    /// Dropped on the way.
    pub dropped: u64,
    /// Still travelling at the end.
    pub in_flight: u64,
    /// How many of those that count as sent are copies made by links, which nobody has sent.
    pub duplicated: u64,
    /// Dropped packets by cause.
    pub dropped_by: BTreeMap<String, u64>,
}

/// Connection counts.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Connections {
    /// Begun.
    pub attempted: u64,
    /// That came to be.
    pub established: u64,
    /// That never did.
    pub failed: u64,
    /// Still trying at the end.
    pub pending: u64,
    /// Established ones that ended badly.
    pub broken: u64,
    /// Failed and broken ones by cause.
    pub failed_by: BTreeMap<String, u64>,
    /// From the first SYN (or datagram) to the established connection (or answer).
    pub connect_time_ms: Quantiles,
}

/// Quantiles in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Quantiles {
    /// Median.
    pub p50: f64,
    /// 90 %.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

/// Counts of requests.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestsSummary {
    /// That arrived.
    pub attempted: u64,
    /// That got all their responses.
    pub succeeded: u64,
    /// That did not.
    pub failed: u64,
    /// That had not ended at the end.
    pub pending: u64,
    /// Calls that were tried again.
    pub retries: u64,
    /// Failed ones, by what became of the last attempt.
    pub failed_by: BTreeMap<String, u64>,
    /// From the arrival to the last response, of those that succeeded.
    pub latency_ms: Quantiles,
}

/// A service that Cloud Run has scaled.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AutoscaledSummary {
    /// Its name.
    pub name: String,
    /// Instances at the end.
    pub instances: u32,
    /// The most at any time.
    pub peak_instances: u32,
    /// Instances that have started after the beginning.
    pub starts: u32,
}

/// One load's connections.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrafficSummary {
    /// Its name.
    pub name: String,
    /// The workload that sends it.
    pub from: String,
    /// Destination as written, `partner-api:443`.
    pub to: String,
    /// Begun.
    pub attempted: u64,
    /// That came to be.
    pub established: u64,
    /// That never did.
    pub failed: u64,
    /// Still trying at the end.
    pub pending: u64,
    /// Established ones that ended badly.
    pub broken: u64,
    /// Failed and broken ones by cause.
    pub failed_by: BTreeMap<String, u64>,
    /// Its requests, if it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<RequestsSummary>,
}

/// One Cloud NAT gateway.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySummary {
    /// Gateway name.
    pub name: String,
    /// Its Cloud Router.
    pub router: String,
    /// Its NAT IPs.
    pub nat_ips: Vec<String>,
    /// Whether some endpoint did not get its ports.
    pub allocation_failed: bool,
    /// NAT IPs to add so that every endpoint gets its ports (under the default rule).
    pub min_extra_nat_ips_needed: u64,
    /// Its NAT rules, without the default rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleSummary>,
    /// Packets on their way out that were dropped, by reason; both reasons are always present.
    pub dropped_sent_packets: BTreeMap<String, u64>,
    /// When it first refused a new connection, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_refusal: Option<String>,
    /// Packets from outside without a mapping.
    pub dropped_received_packets: u64,
    /// NAT endpoints in order of arrival.
    pub endpoints: Vec<EndpointSummary>,
    /// When and where ports ran out, sorted by `from`.
    pub exhaustions: Vec<Exhaustion>,
}

/// One NAT endpoint.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSummary {
    /// VM or instance name.
    pub name: String,
    /// Inside address.
    pub address: String,
    /// An address a Direct VPC instance merely holds.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// Its ports under the default rule.
    #[serde(flatten)]
    pub ports: PortsSummary,
    /// Its ports under each NAT rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rule_mappings: Vec<RuleMapping>,
    /// Packets dropped for lack of a port, or by a conflict of endpoint-independent mapping.
    pub dropped_sent_packets: u64,
}

/// Ports of an endpoint under one rule.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PortsSummary {
    /// One entry a block, unmerged.
    pub nat_ip_port_ranges: Vec<String>,
    /// Ports at the end.
    pub allocated_ports: u32,
    /// Most ports at any time.
    pub peak_allocated_ports: u32,
    /// Most connections to one destination at any time (the metric `port_usage`).
    pub peak_port_usage: u32,
}

/// Ports of an endpoint under a NAT rule.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleMapping {
    /// The rule.
    pub rule_number: u32,
    /// The ports.
    #[serde(flatten)]
    pub ports: PortsSummary,
}

/// A NAT rule of a gateway.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleSummary {
    /// Its number.
    pub rule_number: u32,
    /// Its active NAT IPs.
    pub nat_ips: Vec<String>,
    /// NAT IPs to add to it so that every endpoint gets its ports.
    pub min_extra_ips_needed: u64,
}

/// A time during which an endpoint had no free port for a destination.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exhaustion {
    /// First dropped packet, such as `12.4s`.
    pub from: String,
    /// Last dropped packet.
    pub to: String,
    /// Endpoint name.
    pub endpoint: String,
    /// The NAT rule whose IPs it was to use, unless it is the default rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_number: Option<u32>,
    /// `198.51.100.7:443/tcp`
    pub destination: String,
    /// `vm-ports`, `gateway-ips` or `growth-pending`.
    pub limit: String,
    /// Ports of the endpoint at the first drop.
    pub allocated_ports: u32,
    /// Of these, with an open connection to the destination, at the first drop.
    pub open: u32,
    /// Of these, in TIME_WAIT, at the first drop.
    pub time_wait: u32,
    /// Packets dropped.
    pub dropped: u64,
}

/// One connector.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectorSummary {
    /// Its name.
    pub name: String,
    /// VMs at the end.
    pub instances: u32,
}

/// One subnet with Direct VPC addresses.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubnetworkSummary {
    /// Its name.
    pub name: String,
    /// Addresses held at the end.
    pub held_addresses: u32,
    /// Most addresses held at any time.
    pub peak_held_addresses: u32,
    /// Blocks of 16 addresses reserved at the end.
    pub reserved_blocks: u32,
    /// Most blocks reserved at any time.
    pub peak_reserved_blocks: u32,
    /// Instances that did not start for lack of addresses.
    pub failed_instance_starts: u32,
}

/// An interface for which the firewall tracked as many connections as it can.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FullTrackingTable {
    /// VM or instance name.
    pub interface: String,
    /// VPC network.
    pub network: String,
    /// Connections that can be tracked.
    pub tracked_max: u32,
    /// Packets of further connections, which found no room.
    pub refused: u64,
}

/// One expectation's outcome.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExpectationResult {
    /// Path into this summary.
    pub path: String,
    /// `equals 0`, `at least 1`, `at most 3`.
    pub expected: String,
    /// What was there; null when the path leads nowhere.
    pub actual: serde_json::Value,
    /// Whether it held.
    pub met: bool,
    /// Where a path that leads nowhere goes astray.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What a replay made of its captures.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaptureSummary {
    /// Files read.
    pub files: Vec<CaptureFileSummary>,
    /// Records that were not replayed, by reason (`ARP`, `IPv6 neighbour discovery`, `not IP`, …).
    pub skipped: BTreeMap<String, u64>,
    /// Distinct client addresses seen.
    pub clients: u64,
    /// Distinct flows seen.
    pub flows: u64,
    /// Packets of more than 1,460 bytes, Cloud Run's MTU: captured elsewhere, or before a network card had cut them.
    #[serde(skip_serializing_if = "is_zero")]
    pub above_mtu: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// One capture file.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaptureFileSummary {
    /// Path as given.
    pub path: String,
    /// Records read.
    pub records: u64,
    /// Oddities met and tolerated, by kind.
    pub oddities: BTreeMap<String, u64>,
    /// Where and why reading stopped early, if it did: `cut off at byte 1234: …`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}
