//! Which station is linked to which, and what the links are like. It knows no behaviour.
//!
//! The graph is petgraph's; next to it a dense table from (node, port) to the link there, because the way of a packet must not
//! search neighbour lists.

use std::time::Duration;

use petgraph::graph::{DiGraph, EdgeIndex, NodeIndex};

use crate::time::nanos;
use crate::trace::PortId;

mod impairments;

pub use impairments::{Bandwidth, BurstLoss, Distribution, Impairments, Jitter, Mtu, QueueLimit, Reorder};

/// A station's place in the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// Position in a vector of stations.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One direction of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u32);

/// What a link is like, in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LinkConfig {
    /// Time from one end to the other; the median, if it varies.
    pub delay: Duration,
    /// How the time varies: log-normally, with this 99th percentile. Zero means that it does not. Packets keep their order.
    pub delay_p99: Duration,
    /// Probability that a packet is lost.
    pub loss: f64,
    /// How fast it is; `None` is unlimited.
    pub capacity: Option<Capacity>,
}

/// How fast a link is: a token bucket with two rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Bits a second that it always carries.
    pub bits_per_second: u64,
    /// Bits a second as long as there is credit; what is carried uses it up, and it comes back at the sustained rate.
    pub burst_bits_per_second: u64,
    /// The most credit, in bits; full at the start.
    pub credit_bits: u64,
    /// The shortest time from one packet to the next: by packets a second, where there is such a limit.
    pub packet_time: Duration,
    /// How long a packet may wait for those before it; then it is dropped.
    pub queue: Duration,
}

impl Capacity {
    /// One rate, whatever was before.
    pub const fn steady(bits_per_second: u64, queue: Duration) -> Capacity {
        let (burst_bits_per_second, packet_time) = (bits_per_second, Duration::ZERO);
        Capacity { bits_per_second, burst_bits_per_second, credit_bits: 0, packet_time, queue }
    }
}

/// One direction of a link, as the engine wants it.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// The station at the far end.
    pub to: NodeId,
    /// Its port.
    pub to_port: PortId,
    /// Delay in nanoseconds.
    pub delay: u64,
    /// 99th percentile of the delay in nanoseconds; 0: it does not vary.
    pub delay_p99: u64,
    /// Probability of loss.
    pub loss: f64,
    /// How fast it is.
    pub capacity: Option<Capacity>,
    /// More than that happens on it: the engine knows what.
    pub impaired: bool,
}

impl Link {
    /// Whether a packet is at the other end at once, and always.
    pub fn is_immediate(&self) -> bool {
        self.delay == 0 && self.loss == 0.0 && self.capacity.is_none() && !self.impaired
    }
}

/// The graph.
#[derive(Debug, Default)]
pub struct Topology {
    graph: DiGraph<String, LinkConfig>,
    links: Vec<Link>,
    /// By node and port.
    ports: Vec<Vec<Option<LinkId>>>,
}

impl Topology {
    /// Adds a station.
    pub fn add_node(&mut self, name: impl Into<String>) -> NodeId {
        self.ports.push(Vec::new());
        NodeId(self.graph.add_node(name.into()).index() as u32)
    }

    /// Links two ports, the same in both directions.
    pub fn connect(&mut self, a: (NodeId, PortId), b: (NodeId, PortId), config: LinkConfig) {
        for (from, to) in [(a, b), (b, a)] {
            let (source, target) = (NodeIndex::new(from.0.index()), NodeIndex::new(to.0.index()));
            let edge = self.graph.add_edge(source, target, config);
            debug_assert_eq!(edge, EdgeIndex::new(self.links.len()));
            self.links.push(Link {
                to: to.0,
                to_port: to.1,
                delay: nanos(config.delay),
                delay_p99: nanos(config.delay_p99),
                loss: config.loss,
                capacity: config.capacity,
                impaired: false,
            });
            let ports = &mut self.ports[from.0.index()];
            let port = from.1.0 as usize;
            if ports.len() <= port {
                ports.resize(port + 1, None);
            }
            debug_assert!(ports[port].is_none(), "a port has one link");
            ports[port] = Some(LinkId(edge.index() as u32));
        }
    }

    /// A station's name.
    pub fn name(&self, node: NodeId) -> &str {
        &self.graph[NodeIndex::new(node.index())]
    }

    /// A port of a station that is free, at or after `least`: the one behind its last.
    pub fn free_port(&self, node: NodeId, least: u32) -> PortId {
        PortId((self.ports[node.index()].len() as u32).max(least))
    }

    /// The link at a port.
    #[inline]
    pub fn link_at(&self, node: NodeId, port: PortId) -> Option<LinkId> {
        self.ports[node.index()].get(port.0 as usize).copied().flatten()
    }

    /// A link.
    #[inline]
    pub fn link(&self, link: LinkId) -> &Link {
        &self.links[link.0 as usize]
    }

    /// A link, to be changed. Whoever does that sees to it that paths are forgotten.
    pub fn link_mut(&mut self, link: LinkId) -> &mut Link {
        &mut self.links[link.0 as usize]
    }

    /// The other direction of a link.
    pub fn reverse(&self, link: LinkId) -> LinkId {
        // Both are made together, one after the other.
        LinkId(link.0 ^ 1)
    }

    /// The stations at the beginning and at the end of a link.
    pub fn ends(&self, link: LinkId) -> [NodeId; 2] {
        [self.link(self.reverse(link)).to, self.link(link).to]
    }

    /// The links that begin at a station.
    pub fn links_of(&self, node: NodeId) -> impl Iterator<Item = LinkId> {
        self.ports[node.index()].iter().copied().flatten()
    }

    /// Number of link directions.
    pub fn link_count(&self) -> usize {
        self.links.len()
    }

    /// Stations.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        (0..self.ports.len() as u32).map(NodeId)
    }

    /// Whether a packet could get from one station to another at all, whatever the stations decide.
    pub fn is_connected(&self, from: NodeId, to: NodeId) -> bool {
        let (from, to) = (NodeIndex::new(from.index()), NodeIndex::new(to.index()));
        petgraph::algo::has_path_connecting(&self.graph, from, to, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_both_ways_and_a_new_port_is_free() {
        let mut topology = Topology::default();
        let (a, b) = (topology.add_node("a"), topology.add_node("b"));
        let lonely = topology.add_node("lonely");
        topology.connect((a, PortId(2)), (b, PortId(0)), LinkConfig::default());
        let there = topology.link(topology.link_at(a, PortId(2)).unwrap());
        assert_eq!((there.to, there.to_port), (b, PortId(0)));
        let back = topology.link(topology.link_at(b, PortId(0)).unwrap());
        assert_eq!((back.to, back.to_port), (a, PortId(2)));
        let link = topology.link_at(a, PortId(2)).unwrap();
        assert_eq!((topology.ends(link), topology.ends(topology.reverse(link))), ([a, b], [b, a]));
        assert_eq!(topology.links_of(a).collect::<Vec<_>>(), [link]);
        assert_eq!(topology.link_at(a, PortId(0)), None);
        assert_eq!((topology.free_port(a, 1), topology.free_port(a, 7)), (PortId(3), PortId(7)));
        assert!(topology.is_connected(a, b) && !topology.is_connected(a, lonely));
    }
}
