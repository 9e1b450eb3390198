//! A NAT endpoint: a VM, a connector VM, or an address of a Cloud Run instance, with the ports set aside for it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;

use super::ports::PortBlock;
use crate::time::SimTime;
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
    pub opens_at: SimTime,
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

/// The largest number of connections to one destination, kept up to date as counts go up and down by one.
#[derive(Debug, Clone, Default)]
pub(super) struct Peak {
    /// How many destinations have `n + 1` connections.
    destinations_with: Vec<u32>,
    now: u32,
}

impl Peak {
    /// A destination went from `count - 1` to `count`.
    pub(super) fn rose_to(&mut self, count: u32) {
        let count = count as usize;
        if self.destinations_with.len() < count {
            self.destinations_with.resize(count, 0);
        }
        if count > 1 {
            self.destinations_with[count - 2] -= 1;
        }
        self.destinations_with[count - 1] += 1;
        self.now = self.now.max(count as u32);
    }

    /// A destination went from `count + 1` to `count`.
    pub(super) fn fell_to(&mut self, count: u32) {
        let count = count as usize;
        self.destinations_with[count] -= 1;
        if count > 0 {
            self.destinations_with[count - 1] += 1;
        }
        // Whoever was at the peak alone is now one below it.
        if self.now as usize == count + 1 && self.destinations_with[count] == 0 {
            self.now = count as u32;
        }
    }

    pub(super) fn now(&self) -> u32 {
        self.now
    }
}

/// A doubling that has been asked for and is not usable yet.
#[derive(Debug)]
pub(super) struct Growth {
    pub(super) ready_at: SimTime,
    pub(super) blocks: Vec<PortBlock>,
}

/// One endpoint.
#[derive(Debug)]
pub struct Endpoint {
    pub(super) config: EndpointConfig,
    /// Active blocks; ordinals count through them in this order.
    pub(super) blocks: Vec<PortBlock>,
    /// Blocks on NAT IPs that are being drained.
    pub(super) draining: Vec<PortBlock>,
    pub(super) ports: u32,
    pub(super) peak_ports: u32,
    pub(super) peaks: [Peak; 3],
    pub(super) peak_usage: u32,
    pub(super) growth: Option<Growth>,
    pub(super) wants_growth: bool,
    /// Since when usage has been low enough to shrink.
    pub(super) idle_since: Option<SimTime>,
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
        Endpoint {
            config,
            blocks: Vec::new(),
            draining: Vec::new(),
            ports: 0,
            peak_ports: 0,
            peaks: Default::default(),
            peak_usage: 0,
            growth: None,
            wants_growth: false,
            idle_since: None,
            dropped: 0,
            gone: false,
            meters: Default::default(),
        }
    }

    /// Name, address and whether it is merely held.
    pub fn config(&self) -> &EndpointConfig {
        &self.config
    }

    /// Usable blocks.
    pub fn blocks(&self) -> &[PortBlock] {
        &self.blocks
    }

    /// Blocks on NAT IPs that are being drained.
    pub fn draining_blocks(&self) -> &[PortBlock] {
        &self.draining
    }

    /// Usable ports.
    pub fn ports(&self) -> u32 {
        self.ports
    }

    /// Most usable ports at any time.
    pub fn peak_ports(&self) -> u32 {
        self.peak_ports
    }

    /// Most connections to one destination, TIME_WAIT included, at any time.
    pub fn peak_usage(&self) -> u32 {
        self.peak_usage
    }

    /// Most connections to one destination now, by protocol: the metric `port_usage`.
    pub fn usage(&self, protocol: Protocol) -> u32 {
        self.peaks[protocol_index(protocol)].now()
    }

    /// Most connections to one destination now.
    pub fn max_usage(&self) -> u32 {
        self.peaks.iter().map(Peak::now).max().unwrap_or(0)
    }

    /// Packets dropped for lack of a port.
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

    pub(super) fn add_block(&mut self, block: PortBlock) {
        self.ports += block.size();
        self.peak_ports = self.peak_ports.max(self.ports);
        self.blocks.push(block);
    }

    /// The NAT IP and port that an ordinal stands for.
    pub(super) fn port(&self, ordinal: u32) -> (Ipv4Addr, u16) {
        let mut rest = ordinal;
        for block in &self.blocks {
            if rest < block.size() {
                return (block.ip(), block.first() + rest as u16);
            }
            rest -= block.size();
        }
        unreachable!("ordinals count through the endpoint's own blocks")
    }

    /// The ordinal of a NAT IP and port, if it lies in a usable block.
    pub(super) fn ordinal(&self, ip: Ipv4Addr, port: u16) -> Option<u32> {
        let mut base = 0;
        for block in &self.blocks {
            let offset = u32::from(port).wrapping_sub(u32::from(block.first()));
            if block.ip() == ip && offset < block.size() {
                return Some(base + offset);
            }
            base += block.size();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_peak_follows_counts_up_and_down(steps in prop::collection::vec((any::<bool>(), 0usize..5), 1..300)) {
            let mut peak = Peak::default();
            let mut counts = [0u32; 5];
            for (up, destination) in steps {
                if up {
                    counts[destination] += 1;
                    peak.rose_to(counts[destination]);
                } else if counts[destination] > 0 {
                    counts[destination] -= 1;
                    peak.fell_to(counts[destination]);
                }
                prop_assert_eq!(peak.now(), *counts.iter().max().unwrap());
            }
        }
    }
}
