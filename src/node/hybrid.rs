//! What lies between a VPC network and a network on premises: Cloud VPN tunnels and Interconnect attachments.
//!
//! A tunnel takes what both its traffic selectors cover, while it is established
//! (<https://docs.cloud.google.com/network-connectivity/docs/vpn/concepts/choosing-networks-routing#ts-tun-routing>, 2026). On
//! premises, the way back is known for what the Cloud Router advertises
//! (<https://docs.cloud.google.com/network-connectivity/docs/router/concepts/advertised-routes>, 2026). Encryption, BGP messages
//! and the routers on premises are not modelled.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use prefix_trie::joint::map::JointPrefixMap;

use crate::trace::info::{InterconnectAttachmentInfo, VpnTunnelInfo};
use crate::trace::{DropCause, Explain, State};
use crate::wire::Packet;

/// A Cloud VPN tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel {
    /// The same for programs.
    pub info: VpnTunnelInfo,
    /// Google's word for its state, such as `ESTABLISHED`.
    pub status: Arc<str>,
    /// It carries packets.
    pub established: bool,
    /// Ranges on Google's side; empty is all.
    pub local: Vec<IpNet>,
    /// Ranges on the other side; empty is all.
    pub remote: Vec<IpNet>,
}

/// An Interconnect attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The same for programs.
    pub info: InterconnectAttachmentInfo,
    /// Its state in words, such as `OS_ACTIVE`.
    pub status: Arc<str>,
    /// It carries packets.
    pub active: bool,
}

fn covers(ranges: &[IpNet], address: IpAddr) -> bool {
    ranges.is_empty() || ranges.iter().any(|range| range.contains(&address))
}

impl Tunnel {
    /// Whether a packet goes in.
    pub(super) fn admit(&self, packet: &Packet, explain: &mut Explain) -> Result<(), DropCause> {
        let Tunnel { info, status, local, remote, .. } = self;
        let name = &info.tunnel.name;
        if !self.established {
            explain.say(State::Drop, || format!("VPN tunnel {name} is {status}, not ESTABLISHED: it takes nothing"));
            return Err(DropCause::RouteNextHopVpnTunnelNotEstablished);
        }
        explain.say(State::ArriveAtVpnTunnel, || (format!("enters VPN tunnel {name}"), info.clone()));
        let (source, destination) = (packet.source(), packet.destination());
        if !covers(local, source) {
            explain.say(State::Drop, || {
                format!("{source} is in no local traffic selector of VPN tunnel {name}: {}", list(local))
            });
            return Err(DropCause::VpnTunnelLocalSelectorMismatch);
        }
        if !covers(remote, destination) {
            explain.say(State::Drop, || {
                format!("{destination} is in no remote traffic selector of VPN tunnel {name}: {}", list(remote))
            });
            return Err(DropCause::VpnTunnelRemoteSelectorMismatch);
        }
        Ok(())
    }
}

impl Attachment {
    /// Whether a packet goes in.
    pub(super) fn admit(&self, explain: &mut Explain) -> Result<(), DropCause> {
        let Attachment { info, status, active } = self;
        let name = &info.attachment.name;
        if !active {
            explain.say(State::Drop, || format!("Interconnect attachment {name} is {status}: it takes nothing"));
            return Err(DropCause::RouteBlackhole);
        }
        explain.say(State::ArriveAtInterconnectAttachment, || (format!("enters attachment {name}"), info.clone()));
        Ok(())
    }
}

fn list(ranges: &[IpNet]) -> String {
    ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What a Cloud Router tells a network on premises.
#[derive(Debug, Clone)]
pub struct Advertisement {
    router: Arc<str>,
    ranges: JointPrefixMap<IpNet, ()>,
}

impl Advertisement {
    /// The ranges that a router advertises.
    pub fn new(router: Arc<str>, ranges: impl IntoIterator<Item = IpNet>) -> Advertisement {
        Advertisement { router, ranges: ranges.into_iter().map(|range| (range, ())).collect() }
    }

    /// Whether the network on premises knows the way to an address.
    pub(super) fn admit(&self, destination: IpAddr, explain: &mut Explain) -> Result<(), DropCause> {
        if self.ranges.get_lpm(&destination.into()).is_some() {
            return Ok(());
        }
        explain.say(State::Drop, || {
            format!("Cloud Router {} does not advertise {destination}: on premises nobody knows the way", self.router)
        });
        Err(DropCause::NoAdvertisedRouteToGcpDestination)
    }
}
