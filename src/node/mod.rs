//! The stations on a packet's way.
//!
//! Each is a state machine: a packet and the time go in, a [`Verdict`] comes out. A station knows its own ports and
//! nothing of what is behind them; it knows no clock, no queue and no scenario. The first packet of a flow is handled by
//! [`Node::handle_packet`], which says with a [`Memo`] what to remember; the others by [`Node::handle_known`].

pub mod beyond;
pub mod connector;
pub mod external;
pub mod firewall;
pub mod google;
pub mod host;
pub mod hybrid;
pub mod instance;
pub mod internet;
pub mod nat;
pub mod router;
mod snat;
pub mod startup;

use crate::time::SimTime;
#[cfg(doc)]
use crate::trace::Memo;
use crate::trace::{DropCause, EntryId, Explain, PortId, Verdict};
use crate::wire::Packet;

/// What becomes of a packet of a TCP connection that had been idle for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdlePolicy {
    /// It begins anew, as if nobody had ever heard of it.
    NewFlow,
    /// Nothing: nobody answers.
    BlackHole,
    /// Its sender gets a reset.
    Reset,
}

impl IdlePolicy {
    /// The verdict about such a packet.
    pub(crate) fn verdict(self, packet: &Packet) -> Verdict {
        let cause = DropCause::SimIdleExpired;
        if self != IdlePolicy::Reset || !snat::can_be_reset(packet) {
            return Verdict::Drop(cause);
        }
        let mut reset = Packet::empty();
        reset.build_reset(packet);
        Verdict::Refuse(cause, Box::new(reset))
    }
}

/// A station.
#[derive(Debug)]
pub enum Node {
    /// A Cloud Run instance.
    Instance(instance::Instance),
    /// The dispatcher of a connector.
    Connector(connector::Connector),
    /// A connector VM.
    ConnectorVm(connector::ConnectorVm),
    /// A network's firewall.
    Firewall(firewall::Firewall),
    /// A network's routes.
    Router(router::Router),
    /// A Cloud NAT gateway.
    Nat(nat::Gateway),
    /// The external addresses of a network's VMs.
    ExternalAddresses(external::ExternalAddresses),
    /// A network's default internet gateway.
    InternetGateway(internet::InternetGateway),
    /// Cloud Run's own internet egress.
    ServerlessEgress(internet::ServerlessEgress),
    /// The internet.
    Internet(internet::Internet),
    /// Google's services.
    Google(google::GoogleServices),
    /// A network on premises, a peer, or what is behind an appliance or a load balancer.
    Beyond(beyond::Beyond),
    /// A declared destination.
    Host(host::Host),
}

/// One kind of station.
pub trait Station: Into<Node> {
    /// The station, if it is of this kind.
    fn of(node: &Node) -> Option<&Self>;

    /// The same, to be changed.
    fn of_mut(node: &mut Node) -> Option<&mut Self>;
}

macro_rules! stations {
    ($($variant:ident($station:ty)),* $(,)?) => {
        $(
            impl From<$station> for Node {
                fn from(station: $station) -> Node {
                    Node::$variant(station)
                }
            }

            impl Station for $station {
                fn of(node: &Node) -> Option<&Self> {
                    match node {
                        Node::$variant(station) => Some(station),
                        _ => None,
                    }
                }

                fn of_mut(node: &mut Node) -> Option<&mut Self> {
                    match node {
                        Node::$variant(station) => Some(station),
                        _ => None,
                    }
                }
            }
        )*
    };
}

stations! {
    Instance(instance::Instance),
    Connector(connector::Connector),
    ConnectorVm(connector::ConnectorVm),
    Firewall(firewall::Firewall),
    Router(router::Router),
    Nat(nat::Gateway),
    ExternalAddresses(external::ExternalAddresses),
    InternetGateway(internet::InternetGateway),
    ServerlessEgress(internet::ServerlessEgress),
    Internet(internet::Internet),
    Google(google::GoogleServices),
    Beyond(beyond::Beyond),
    Host(host::Host),
}

impl Node {
    /// Handles a packet that came through the port `from`.
    pub fn handle_packet(&mut self, packet: &mut Packet, from: PortId, now: SimTime, explain: &mut Explain) -> Verdict {
        match self {
            Node::Instance(node) => node.handle_packet(packet, from, now, explain),
            Node::Connector(node) => node.handle_packet(packet, from, explain),
            Node::ConnectorVm(node) => node.handle_packet(packet, from, now, explain),
            Node::Firewall(node) => node.handle_packet(packet, from, now, explain),
            Node::Router(node) => node.handle_packet(packet, from, explain),
            Node::Nat(node) => node.handle_packet(packet, from, now, explain),
            Node::ExternalAddresses(node) => node.handle_packet(packet, from, explain),
            Node::InternetGateway(node) => node.handle_packet(packet, from, explain),
            Node::ServerlessEgress(node) => node.handle_packet(packet, from, now, explain),
            Node::Internet(node) => node.handle_packet(packet, explain),
            Node::Google(node) => node.handle_packet(packet, from, now, explain),
            Node::Beyond(node) => node.handle_packet(packet, from, explain),
            Node::Host(node) => node.handle_packet(packet, from, explain),
        }
    }

    /// Handles a packet of a flow whose earlier packet came through the same port and left the entry behind. False, with
    /// the packet untouched, means that [`Node::handle_packet`] must decide anew.
    #[inline]
    pub fn handle_known(&mut self, entry: EntryId, packet: &mut Packet, from: PortId, now: SimTime) -> bool {
        match self {
            Node::Nat(node) => node.handle_known(entry, packet, from, now),
            Node::Firewall(node) => node.handle_known(entry, now),
            Node::ConnectorVm(node) => node.handle_known(entry, packet, from, now),
            Node::ServerlessEgress(node) => node.handle_known(entry, packet, from, now),
            Node::Instance(_)
            | Node::Connector(_)
            | Node::Router(_)
            | Node::ExternalAddresses(_)
            | Node::InternetGateway(_)
            | Node::Internet(_)
            | Node::Google(_)
            | Node::Beyond(_)
            | Node::Host(_) => unreachable!("only stations with a table hand out entries"),
        }
    }

    /// When [`Node::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> SimTime {
        match self {
            Node::Nat(node) => node.next_timeout(),
            _ => SimTime::NEVER,
        }
    }

    /// Does what is due by now.
    pub fn handle_timeout(&mut self, now: SimTime) {
        if let Node::Nat(node) = self {
            node.handle_timeout(now);
        }
    }
}
