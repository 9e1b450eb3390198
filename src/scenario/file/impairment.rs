//! What goes wrong on links and at servers, as typed: `impairments[]`, and the events that change it.
//!
//! The words are those of `tc netem` and of the people who use it, where they have one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scenario::value::{At, BitRate, Dur, QueueSize, Reference};

/// Losses in bursts. Packets meet a good state, which loses none, or a bad one, which loses all (Gilbert's model).
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BurstLoss {
    /// Share of all packets that are lost, in the long run: 0 to less than 1.
    pub rate: At<f64>,
    /// Packets that are lost in a row, on average: 1 or more.
    pub mean_length: At<f64>,
}

/// Packets that those behind them overtake.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reorder {
    /// Probability that a packet is held back: 0 to 1.
    pub share: At<f64>,
    /// For how long it is held back.
    pub delay: At<Dur>,
}

/// How delays vary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JitterDistribution {
    /// Around the delay; `jitter` is the standard deviation.
    Normal,
    /// From the delay less `jitter` to the delay and `jitter`, all alike.
    Uniform,
    /// Never below the delay; `jitter` is what is added on average.
    Exponential,
}

/// Which way packets go, seen from Cloud Run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Both ways, each by itself.
    Both,
    /// Away from the instances.
    Outbound,
    /// Towards the instances.
    Inbound,
}

/// How a server closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServerClose {
    /// With a FIN.
    #[default]
    Fin,
    /// With a reset.
    Rst,
}

/// A struct with the fields of an impaired link after its own; `$set` gathers them.
macro_rules! with_link_fields {
    ($(#[$meta:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $($own)*
            /// How much its delay varies. Packets keep their order. 0s: not.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub jitter: Option<At<Dur>>,
            /// How it does. Default `normal`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub jitter_distribution: Option<At<JitterDistribution>>,
            /// Losses in bursts, besides `loss`.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub burst_loss: Option<At<BurstLoss>>,
            /// Packets that those behind them overtake.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub reorder: Option<At<Reorder>>,
            /// Probability that a packet arrives twice: 0 to 1.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub duplicate: Option<At<f64>>,
            /// How fast it is, each way; `unlimited` takes a limit away.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub bandwidth: Option<At<BitRate>>,
            /// What waits for a full link at most, as time or as bytes; what comes then is dropped. Default 50ms.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub queue: Option<At<QueueSize>>,
            /// Bytes of the largest packet that it takes, the IP header counted. IPv4 without "don't fragment" passes whole.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub mtu: Option<At<i64>>,
            /// The sender of a packet that is too large for `mtu` is not told. Default false: it gets an ICMP error.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub icmp_black_hole: Option<At<bool>>,
        }
    };
}

with_link_fields! {
    /// What changes of a link. Fields that are not given stay.
    #[derive(Default)]
    pub struct LinkSet {
        /// Added to its delay, each way.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub delay: Option<At<Dur>>,
        /// Probability that a packet is lost, each by itself: 0 to 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub loss: Option<At<f64>>,
    }
}

with_link_fields! {
    /// What goes wrong on links of something: give one of `host`, `connector`, `workload`, `vpnTunnel` and
    /// `interconnectAttachment`.
    pub struct Impairment {
        /// A host: on the way between it and the network that it is in.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub host: Option<At<Reference>>,
        /// A connector: between the instances and each of its VMs.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub connector: Option<At<Reference>>,
        /// A workload: at the Direct VPC interface of each of its instances.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub workload: Option<At<Reference>>,
        /// A VPN tunnel.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub vpn_tunnel: Option<At<Reference>>,
        /// An Interconnect attachment.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub interconnect_attachment: Option<At<Reference>>,
        /// Which way. Default `both`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub direction: Option<At<Direction>>,
        /// Added to its delay, each way.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub delay: Option<At<Dur>>,
        /// Probability that a packet is lost, each by itself: 0 to 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub loss: Option<At<f64>>,
    }
}

with_link_fields! {
    /// What changes of a host. Fields that are not given stay.
    #[derive(Default)]
    pub struct HostPatch {
        /// Never answers.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub unreachable: Option<At<bool>>,
        /// Answers every connection with RST, every datagram with "port unreachable".
        #[serde(skip_serializing_if = "Option::is_none")]
        pub refuse: Option<At<bool>>,
        /// Takes connections and never answers a request.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub hang: Option<At<bool>>,
        /// Round-trip time.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub rtt: Option<At<Dur>>,
        /// Probability that a packet is lost, each way: 0 to 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub loss: Option<At<f64>>,
        /// Closes connections that were idle so long. 0s: does not.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub idle_timeout: Option<At<Dur>>,
        /// How it does that.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub idle_close: Option<At<ServerClose>>,
        /// Share of the connections from now on that it resets: 0 to 1.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub reset: Option<At<f64>>,
        /// How long after they were established.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub reset_after: Option<At<Dur>>,
    }
}

/// The link fields of anything that has them.
macro_rules! link_set {
    ($of:expr, delay: $delay:expr, loss: $loss:expr) => {{
        let of = &$of;
        $crate::scenario::file::impairment::LinkSet {
            delay: $delay,
            loss: $loss,
            jitter: of.jitter,
            jitter_distribution: of.jitter_distribution,
            burst_loss: of.burst_loss.clone(),
            reorder: of.reorder.clone(),
            duplicate: of.duplicate,
            bandwidth: of.bandwidth,
            queue: of.queue,
            mtu: of.mtu,
            icmp_black_hole: of.icmp_black_hole,
        }
    }};
}
pub(crate) use link_set;

/// A host changes.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchHostEvent {
    /// The host.
    pub host: At<Reference>,
    /// The fields that change, as in `hosts[]`.
    pub set: At<HostPatch>,
}

/// Links of something change: give one of `host`, `connector`, `workload`, `vpnTunnel` and `interconnectAttachment`, as in
/// `impairments[]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImpairEvent {
    /// A host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<At<Reference>>,
    /// A connector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<At<Reference>>,
    /// A workload with Direct VPC egress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<At<Reference>>,
    /// A VPN tunnel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpn_tunnel: Option<At<Reference>>,
    /// An Interconnect attachment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interconnect_attachment: Option<At<Reference>>,
    /// Which way. Default `both`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<At<Direction>>,
    /// The fields that change.
    pub set: At<LinkSet>,
    /// Afterwards the links are again as they were before this event. Default: they stay so.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<At<Dur>>,
}

/// Something is out of service for a time: give one of `host`, `connector`, `workload`, `vpnTunnel` and
/// `interconnectAttachment`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutageEvent {
    /// A host: it answers nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<At<Reference>>,
    /// A connector: it is not `READY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<At<Reference>>,
    /// A workload with Direct VPC egress: nothing passes the interfaces of its instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<At<Reference>>,
    /// A VPN tunnel: it is not `ESTABLISHED`. BGP withdraws its routes after its hold time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpn_tunnel: Option<At<Reference>>,
    /// An Interconnect attachment: it is not `OS_ACTIVE`, and BGP as with tunnels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interconnect_attachment: Option<At<Reference>>,
    /// For how long.
    #[serde(rename = "for")]
    pub lasts: At<Dur>,
}
