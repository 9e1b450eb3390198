//! Where a cause is at work: what somebody has to look at, and what tells causes of one kind apart.
//!
//! Whatever ends a cause at its place ends it for all connections that are counted there. So a missing Cloud NAT is a matter of
//! the network, not of each load that misses it, and a firewall rule one of each destination that it denies.

use std::net::IpAddr;

use super::evidence::Dropped;
use super::kind::{Family, Kind};
use crate::network::Network;
use crate::node::Node;
use crate::node::nat::{DEFAULT_RULE, Gateway};
use crate::node::router::is_private;
use crate::scenario::{Scenario, Traffic};
use crate::topology::NodeId;
use crate::traffic::flows::Record;
use crate::wire::{FiveTuple, Flow, Protocol};

/// Where a cause is at work. Indices are those of the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A gateway, and the number of the NAT rule.
    Gateway(usize, u32),
    /// A connector.
    Connector(usize),
    /// A workload.
    Workload(usize),
    /// What one load wants, and others that want the same.
    Load(usize),
    /// What captured or logged connections want.
    Destination(IpAddr, u16, Protocol),
    /// A station.
    Station(NodeId),
}

/// A connection that did not work, and what is known of it.
pub(super) struct Victim<'a> {
    pub network: &'a Network,
    /// Who sends what is captured or logged, and belongs to no load.
    pub from: Option<usize>,
    pub record: &'a Record,
    /// The drop that decided.
    pub decided_by: Option<&'a Dropped>,
}

impl Victim<'_> {
    fn scenario(&self) -> &Scenario {
        self.network.scenario()
    }

    /// The workload that sends it.
    pub fn workload(&self) -> Option<usize> {
        self.record.traffic.map(|load| self.scenario().traffic[load].from).or(self.from)
    }

    /// Where a cause of this kind is at work.
    pub fn place(&self, kind: Kind) -> Place {
        match kind.family() {
            Family::NatPorts => self.gateway(),
            Family::Forgotten => match self.decided_by {
                Some(_) => self.gateway(),
                // The far side has told by its reset that it knows the connection under another address.
                None => self.record.accepted.and_then(|flow| gateway_of(self.network, flow)).unwrap_or(self.station()),
            },
            Family::Instances => self.of_workload(),
            Family::Carriage => self.carrier(),
            Family::FarSide => self.far_side(),
            Family::Way => match kind {
                Kind::NoNat => self.station(),
                // What is missing is the default route.
                Kind::Route if self.is_public() => self.station(),
                Kind::NoVpcAccess => self.connector().unwrap_or(self.of_workload()),
                Kind::GoogleAccess | Kind::Ipv6Unavailable => self.of_workload(),
                Kind::Mtu => self.link(),
                _ => self.wanted(),
            },
            Family::Chance => match kind {
                Kind::Infrastructure => self.of_workload(),
                Kind::Stray => self.station(),
                _ => self.link(),
            },
        }
    }

    fn node(&self) -> NodeId {
        self.decided_by.map(|drop| drop.node).or(self.record.instance).unwrap_or(NodeId(0))
    }

    /// The station that dropped it; without one, where it began.
    pub fn station(&self) -> Place {
        Place::Station(self.node())
    }

    fn of_workload(&self) -> Place {
        self.workload().map_or(self.station(), Place::Workload)
    }

    fn gateway(&self) -> Place {
        let rule = self.decided_by.and_then(|drop| drop.refusal).map_or(DEFAULT_RULE, |refusal| refusal.rule);
        let gateway = self.network.gateway_at(self.node());
        gateway.map_or(self.station(), |gateway| Place::Gateway(gateway, rule))
    }

    /// The connector that the station is, or is a VM of.
    fn connector(&self) -> Option<Place> {
        let topology = self.network.engine();
        if !matches!(topology.node(self.node()), Node::Connector(_) | Node::ConnectorVm(_)) {
            return None;
        }
        let name = topology.topology().name(self.node());
        let own = |connector: &str| {
            name.strip_prefix(connector).is_some_and(|rest| rest.is_empty() || rest.starts_with("-vm-"))
        };
        self.scenario().connectors.iter().position(|connector| own(&connector.name)).map(Place::Connector)
    }

    /// What carries the connection and cannot.
    fn carrier(&self) -> Place {
        self.connector().unwrap_or_else(|| self.link())
    }

    /// A link: an instance's own, one to the far side, or another.
    fn link(&self) -> Place {
        let node = self.node();
        match self.network.engine().node(node) {
            Node::Instance(_) | Node::Firewall(_) => self.of_workload(),
            _ if self.network.is_host(node) || self.network.is_on_internet(node) => self.far_side(),
            _ => self.station(),
        }
    }

    /// Whom it is for.
    fn far_side(&self) -> Place {
        let same = |one: &Traffic, other: &Traffic| match (one.host, other.host) {
            (Some(one), Some(other)) => one == other,
            _ => one.to == other.to,
        };
        self.first_load(same)
    }

    /// What it is for.
    fn wanted(&self) -> Place {
        let same = |one: &Traffic, other: &Traffic| {
            (one.from, one.to, one.port, one.protocol) == (other.from, other.to, other.port, other.protocol)
        };
        self.first_load(same)
    }

    /// The first load that is the same in some respect; without a load, the destination.
    fn first_load(&self, same: impl Fn(&Traffic, &Traffic) -> bool) -> Place {
        let traffic = &self.scenario().traffic;
        match self.record.traffic {
            Some(load) => {
                let first = traffic[..load].iter().position(|other| same(other, &traffic[load]));
                Place::Load(first.unwrap_or(load))
            }
            None => {
                let flow = self.record.inside;
                let port = if flow.protocol() == Protocol::Icmp { 0 } else { flow.dst_port() };
                Place::Destination(flow.dst(), port, flow.protocol())
            }
        }
    }

    fn is_public(&self) -> bool {
        match self.record.inside.dst() {
            IpAddr::V4(address) => !is_private(address),
            IpAddr::V6(address) => !address.is_unique_local(),
        }
    }
}

/// The gateway that a flow came from, as the far side sees it.
pub(super) fn gateway_of(network: &Network, outside: Flow) -> Option<Place> {
    let Flow::V4(FiveTuple { src, .. }) = outside else { return None };
    let has = |gateway: &Gateway| {
        let config = gateway.config();
        let rules = config.rules.iter().flat_map(|rule| rule.nat_ips.iter().chain(&rule.drain_nat_ips));
        gateway.nat_ips().chain(config.drain_nat_ips.iter().copied()).chain(rules.copied()).any(|ip| ip == src)
    };
    let gateway = network.gateways().position(has)?;
    Some(Place::Gateway(gateway, DEFAULT_RULE))
}

/// A place, the same in runs of different scenarios.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// What is at work there.
    pub kind: Kind,
    place: Place,
    /// The name of a station, whose number is another in another network.
    station: Option<String>,
}

impl Identity {
    /// What a group is about. `station` is its name, if the place is one.
    pub fn new(kind: Kind, place: Place, station: &str) -> Identity {
        match place {
            Place::Station(_) => Identity { kind, place: Place::Station(NodeId(0)), station: Some(station.to_owned()) },
            place => Identity { kind, place, station: None },
        }
    }
}
