//! A NAT endpoint: a VM, a connector VM, or an address of a Cloud Run instance.

use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;

use crate::node::startup::Opening;
use crate::wire::Protocol;

/// What a gateway is told of an endpoint.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// VM or instance name.
    pub name: Arc<str>,
    /// Primary inside address.
    pub address: Ipv4Addr,
    /// Whether the gateway serves the primary address (it may serve alias ranges only).
    pub serves_primary: bool,
    /// Alias ranges the gateway serves.
    pub alias_ranges: Vec<Ipv4Net>,
    /// An address that a Direct VPC instance merely holds.
    pub held: bool,
    /// When its way through the gateway opens; packets before that vanish without a trace in Google's logs.
    pub opens: Opening,
}

/// Traffic of one endpoint in one protocol, counted since the start: what Cloud Monitoring samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meter {
    /// Mappings made.
    pub new_connections: u64,
    /// Mappings ended (or gone into TIME_WAIT).
    pub closed_connections: u64,
    /// Packets out.
    pub sent_packets: u64,
    /// Bytes out.
    pub sent_bytes: u64,
    /// Packets in.
    pub received_packets: u64,
    /// Bytes in.
    pub received_bytes: u64,
    /// Packets out that were dropped for lack of a port.
    pub dropped_out_of_resources: u64,
    /// Packets out that were dropped by a conflict of endpoint-independent mapping.
    pub dropped_conflict: u64,
    /// Packets in that were dropped.
    pub dropped_received: u64,
}

/// One endpoint.
#[derive(Debug)]
pub struct Endpoint {
    pub(super) config: EndpointConfig,
    pub(super) dropped: u64,
    pub(super) gone: bool,
    pub(super) meters: [Meter; 3],
}

pub(super) fn protocol_index(protocol: Protocol) -> usize {
    match protocol {
        Protocol::Tcp => 0,
        Protocol::Udp => 1,
        Protocol::Icmp => 2,
    }
}

impl Endpoint {
    pub(super) fn new(config: EndpointConfig) -> Self {
        Endpoint { config, dropped: 0, gone: false, meters: Default::default() }
    }

    /// Name, address and whether it is merely held.
    pub fn config(&self) -> &EndpointConfig {
        &self.config
    }

    /// Packets dropped for lack of a port, or by a conflict of endpoint-independent mapping.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether it has left the network.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Its traffic so far; all zeros unless the gateway was told to meter.
    pub fn meter(&self, protocol: Protocol) -> &Meter {
        &self.meters[protocol_index(protocol)]
    }
}
