//! A diagnosis as data: what `diagnose --format json` prints and `diagnosis.json` holds.
//!
//! `failed` and `broken` are those of the summary, and the `failures` of all causes add up to both. Connections that were
//! only slow are counted apart. The shape is a contract with users' scripts: fields are added, never renamed.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;

use super::summary::{Exhaustion, Summary};
use crate::wire::Flow;

/// The whole diagnosis.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// Scenario name.
    pub scenario: String,
    /// Seed of every run.
    pub seed: u64,
    /// Connections begun.
    pub attempted: u64,
    /// Connections that never came to be.
    pub failed: u64,
    /// Established ones that ended badly.
    pub broken: u64,
    /// Established ones whose first packet had to be sent again.
    pub slow: u64,
    /// Still trying at the end.
    pub pending: u64,
    /// What kept them from working, the most harmful first.
    pub causes: Vec<Cause>,
    /// The first sufficient remedy of each of several causes, all at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub together: Option<Remedy>,
    /// Runs of the scenario that this took, the first one included.
    pub simulations: u64,
    /// What was read of logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<LogsRead>,
    /// What has to be known to read the result, as sentences.
    pub notes: Vec<String>,
    /// The result of the first run.
    pub summary: Summary,
}

/// What was read of Cloud NAT's logs, and what is assumed of what they do not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogsRead {
    /// Files, as given.
    pub files: Vec<String>,
    /// Entries of connections.
    pub ok: u64,
    /// Entries of packets that got no port.
    pub dropped: u64,
    /// Entries of other logs, passed over.
    pub others: u64,
    /// Entries that cannot be read, left out.
    pub bad: u64,
    /// Who sends.
    pub endpoints: u64,
    /// Connections made of them.
    pub connections: u64,
    /// Endpoints that are left out, because their address is in another subnet than the sender's.
    pub endpoints_left_out: u64,
    /// Connections of these.
    pub connections_left_out: u64,
    /// How long each is assumed to live: `model.diagnose.logLifetime`.
    pub assumed_lifetime: String,
    /// The median time after which a NAT IP and port served the same destination again, if the log has enough of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reused_after: Option<String>,
}

/// What kept some connections from working.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// Why packets were dropped or connections failed, in Google's word or one that begins with `SIM_`.
    pub cause: String,
    /// Which of the things behind that word, such as `time-wait`.
    pub kind: &'static str,
    /// What it is, as a clause.
    pub title: String,
    /// Failed and broken connections.
    pub failures: u64,
    /// Of these, never established.
    pub failed: u64,
    /// Of these, established, and ended badly.
    pub broken: u64,
    /// Others that were established late.
    pub slow: u64,
    /// Others that were still trying at the end.
    pub pending: u64,
    /// The gateway, connector, workload, load or station that it is about.
    pub r#where: String,
    /// The gateway's NAT rule, unless it is the default rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_number: Option<u32>,
    /// When the first of them began, such as `12.4s`.
    pub from: String,
    /// When the last of them ended.
    pub to: String,
    /// The loads that they are of.
    pub loads: Vec<LoadShare>,
    /// What shows it.
    pub evidence: Evidence,
    /// One of them.
    pub example: Option<Example>,
    /// What to do that no setting does, or where to look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// Changes, simulated: those that end it first.
    pub remedies: Vec<Remedy>,
}

/// How many of a cause's connections are of one load.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LoadShare {
    /// Name of the load.
    pub name: String,
    /// Failed and broken connections, and those still trying.
    pub connections: u64,
}

/// What shows a cause.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Where the packet of the example was dropped that decided, and what that station found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
    /// Ports of the endpoint at that drop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<PortsFound>,
    /// When, where and why ports ran out, as in the summary.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exhaustions: Vec<Exhaustion>,
    /// The lines of `nat_flows.jsonl` that show it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogLines>,
    /// Instances that did not start for lack of addresses, in the workload's subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_instance_starts: Option<u32>,
    /// VMs of the connector at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector_instances: Option<u32>,
}

/// Ports that a refused packet found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PortsFound {
    /// The endpoint's ports.
    pub allocated_ports: u32,
    /// Of these, with an open connection to the destination.
    pub open: u32,
    /// Of these, in TIME_WAIT.
    pub time_wait: u32,
}

/// Lines of `nat_flows.jsonl`.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLines {
    /// `DROPPED` entries of this cause.
    pub count: u64,
    /// Number of the first such line; they are counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_line: Option<u64>,
    /// Number of the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_line: Option<u64>,
    /// The first ones of the example's endpoint and destination.
    pub entries: Vec<Value>,
    /// Why there is none, or less than there might be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One connection.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Example {
    /// Name of its load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<String>,
    /// Its instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// First packet.
    pub start: String,
    /// When it was established.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub established: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// `failed`, `broken`, `established` or `pending`.
    pub outcome: &'static str,
    /// SYNs or datagrams sent to establish it.
    pub attempts: u32,
    /// `tcp`, `udp` or `icmp`.
    pub protocol: String,
    /// As the instance sends it.
    pub inside: Option<Tuple>,
    /// As the far side sees it come, once it did.
    pub outside: Option<Tuple>,
    /// Its packets that were dropped, the first and the latest.
    pub drops: Vec<DroppedPacket>,
}

/// A packet that was dropped.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DroppedPacket {
    /// When.
    pub at: String,
    /// Where.
    pub station: String,
    /// Why.
    pub cause: &'static str,
}

/// Addresses and ports of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tuple {
    /// Source address.
    pub src_ip: IpAddr,
    /// Source port.
    pub src_port: u16,
    /// Destination address.
    pub dest_ip: IpAddr,
    /// Destination port.
    pub dest_port: u16,
}

impl From<Flow> for Tuple {
    fn from(flow: Flow) -> Self {
        Tuple { src_ip: flow.src(), src_port: flow.src_port(), dest_ip: flow.dst(), dest_port: flow.dst_port() }
    }
}

/// A change, and what it does: the same traffic and seed, run again.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Remedy {
    /// What changes, such as `minPortsPerVm: 64 -> 256`.
    pub change: String,
    /// The same as JSON Patch (RFC 6902) against the merged scenario, which `check --format json` prints.
    pub patch: Value,
    /// Failed and broken connections of the whole run, as it is.
    pub failures_before: u64,
    /// The same with the change.
    pub failures_after: u64,
    /// Of these, of this cause at this place.
    pub of_this_cause_after: u64,
    /// Slow connections of the whole run, as it is.
    pub slow_before: u64,
    /// The same with the change.
    pub slow_after: u64,
    /// Connections of the whole run that still tried at its end, as it is.
    pub pending_before: u64,
    /// The same with the change.
    pub pending_after: u64,
    /// Whether it ends the cause and puts nothing in its place: see the README.
    pub sufficient: bool,
    /// What else changes.
    pub side_effects: Vec<String>,
    /// Values that were tried, in order of size; the one above is among them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<Tried>,
    /// Why it was not run, if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A value that was tried.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tried {
    /// The change with this value.
    pub change: String,
    /// Failed and broken connections of the whole run with it; absent when Google would reject it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures_after: Option<u64>,
    /// Whether it suffices.
    pub sufficient: bool,
}
