//! What is beyond a VPC network and not the internet: networks on premises, peered networks that are not described, what is
//! behind an appliance or a load balancer, and published services.
//!
//! A station of this kind knows the declared hosts in it, and sends their packets back into the network. What no host has
//! ends here, as Connectivity Tests would end it: `FORWARD` where another network takes over, `DELIVER` where Google runs
//! what is there. It has any number of ports: port 0 leads to the routes of its own network, some to the routes of networks
//! that have imported a route to it, the others to hosts.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use prefix_trie::joint::map::JointPrefixMap;

use super::hybrid::{Advertisement, Attachment, Tunnel};
use crate::trace::info::{DeliverInfo, DeliverTarget, ForwardInfo, ForwardTarget, Resource};
use crate::trace::{DropCause, Explain, Memo, PortId, State, Verdict};
use crate::wire::Packet;

/// Towards the routes of its own network.
pub const ROUTES: PortId = PortId(0);

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A network on premises, behind a VPN tunnel.
    Tunnel(Box<Tunnel>),
    /// A network on premises, behind an Interconnect attachment.
    Attachment(Box<Attachment>),
    /// A peered network.
    Peer {
        /// It is Google's, reached by private services access: Cloud SQL, Memorystore and so on.
        managed: bool,
    },
    /// Whatever a VM forwards to, or an appliance that is not described.
    Appliance {
        /// The VM, if it is described.
        instance: Option<Resource>,
    },
    /// Backends of an internal load balancer.
    LoadBalancer {
        /// Its forwarding rule, if it is described.
        rule: Option<Resource>,
    },
    /// A service that another network has published by Private Service Connect.
    PublishedService {
        /// Its service attachment.
        attachment: Resource,
    },
}

/// A network beyond.
#[derive(Debug)]
pub struct Beyond {
    name: Arc<str>,
    place: Place,
    /// Nothing of it is in the scenario but its name.
    assumed: bool,
    hosts: JointPrefixMap<IpNet, PortId>,
    /// The ports that lead to routes of VPC networks.
    inward: HashSet<PortId>,
    /// What the network there knows the way back to; `None` is everything.
    advertised: Option<Advertisement>,
}

impl Beyond {
    /// A place without hosts. `assumed`: the scenario does not describe the way to it, which is assumed up.
    pub fn new(name: Arc<str>, place: Place, assumed: bool) -> Self {
        let inward = HashSet::from([ROUTES]);
        Beyond { name, place, assumed, hosts: JointPrefixMap::new(), inward, advertised: None }
    }

    /// The network there knows the way back to these ranges only.
    #[must_use]
    pub fn advertised(mut self, advertisement: Option<Advertisement>) -> Self {
        self.advertised = advertisement;
        self
    }

    /// What is there.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What is there, to change its state.
    pub fn place_mut(&mut self) -> &mut Place {
        &mut self.place
    }

    /// Another network has imported a route to this place: its routes are behind this port.
    pub fn add_network(&mut self, port: PortId) {
        self.inward.insert(port);
    }

    /// Packets to this range go through this port, to a host.
    pub fn add_host(&mut self, range: IpNet, port: PortId) {
        self.hosts.insert(range, port);
    }

    /// Handles a packet that came through `from`.
    pub fn handle_packet(&mut self, packet: &mut Packet, from: PortId, explain: &mut Explain) -> Verdict {
        let destination = packet.destination();
        if !self.inward.contains(&from) {
            if let Some(advertisement) = &self.advertised
                && let Err(cause) = advertisement.admit(destination, explain)
            {
                return Verdict::Drop(cause);
            }
            return Verdict::Forward(ROUTES, Memo::Pure);
        }
        if let Err(cause) = self.enter(packet, explain) {
            return Verdict::Drop(cause);
        }
        if let Some((_, &port)) = self.hosts.get_lpm(&destination.into()) {
            return Verdict::Forward(port, Memo::Pure);
        }
        self.say_end(destination, explain);
        Verdict::Deliver(Memo::Pure)
    }

    fn enter(&self, packet: &Packet, explain: &mut Explain) -> Result<(), DropCause> {
        match &self.place {
            Place::Tunnel(tunnel) => tunnel.admit(packet, explain),
            Place::Attachment(attachment) => attachment.admit(explain),
            _ => Ok(()),
        }
    }

    /// Nobody who is declared has the address.
    fn say_end(&self, address: IpAddr, explain: &mut Explain) {
        let name = &self.name;
        let behind = |what: String| match self.assumed {
            true => format!("{address} lies behind {name}, which the scenario does not describe (assumed up)"),
            false => format!("{address} lies {what}, where the scenario describes nothing"),
        };
        let forward = |target, resource: Option<Resource>| ForwardInfo { target, resource, ip_address: address };
        match &self.place {
            Place::Tunnel(tunnel) => explain.say(State::Forward, || {
                let target = ForwardTarget::VpnGateway;
                (behind(format!("behind VPN tunnel {name}")), forward(target, Some(tunnel.info.tunnel.clone())))
            }),
            Place::Attachment(attachment) => explain.say(State::Forward, || {
                let target = ForwardTarget::Interconnect;
                let resource = Some(attachment.info.attachment.clone());
                (behind(format!("behind Interconnect attachment {name}")), forward(target, resource))
            }),
            Place::Peer { managed: true } => explain.say(State::Deliver, || {
                let text = format!("{address} is a managed service of Google's in {name}");
                (text, DeliverInfo::to(DeliverTarget::GoogleManagedService, address))
            }),
            Place::Peer { managed: false } => explain.say(State::Forward, || {
                let resource = Some(Resource::network(Arc::clone(name)));
                (behind(format!("in peered network {name}")), forward(ForwardTarget::PeeringVpc, resource))
            }),
            Place::Appliance { instance } => explain.say(State::Forward, || {
                let target = ForwardTarget::RouterAppliance;
                (behind(format!("behind VM {name}")), forward(target, instance.clone()))
            }),
            Place::LoadBalancer { rule } => explain.say(State::Forward, || {
                let target = ForwardTarget::LoadBalancer;
                (behind(format!("behind load balancer {name}")), forward(target, rule.clone()))
            }),
            Place::PublishedService { attachment } => explain.say(State::Deliver, || {
                let text = format!("{address} is endpoint {name} of published service {}", attachment.name);
                let to = DeliverInfo::to(DeliverTarget::PscPublishedService, address);
                (text, DeliverInfo { resource: Some(attachment.clone()), ..to })
            }),
        }
    }
}
