//! What goes wrong on links and at servers, resolved.

use std::time::Duration;

pub use super::file::impairment::ServerClose;
use crate::topology::Impairments;

/// Something whose links can be impaired, or that can be out of service. Numbers are indices into the scenario's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ImpairedPlace {
    /// A host: the links between it and the networks that it is in.
    Host(usize),
    /// A connector: the links between its dispatcher and its VMs.
    Connector(usize),
    /// A workload: the Direct VPC interfaces of its instances.
    Workload(usize),
    /// A VPN tunnel.
    VpnTunnel(usize),
    /// An Interconnect attachment.
    Attachment(usize),
}

/// What is wrong with the links of something.
#[derive(Debug, Clone, PartialEq)]
pub struct ImpairedLinks {
    /// Of what.
    pub place: ImpairedPlace,
    /// Away from the instances.
    pub outbound: Impairments,
    /// Towards them.
    pub inbound: Impairments,
}

/// How a server behaves. The default is one that serves.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ServerSettings {
    /// It refuses everything.
    pub refuse: bool,
    /// It takes connections and never answers a request.
    pub hang: bool,
    /// It closes idle connections.
    pub idle: Option<IdleClose>,
    /// It resets connections.
    pub reset: Option<ServerReset>,
}

/// How a server closes connections that nobody uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleClose {
    /// After so long without a packet.
    pub after: Duration,
    /// With a FIN or a reset.
    pub with: ServerClose,
}

/// Connections that a server resets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServerReset {
    /// Which share of them.
    pub share: f64,
    /// How long after they were established.
    pub after: Duration,
}
