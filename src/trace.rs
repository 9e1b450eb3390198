//! The words for what happened to a packet.
//!
//! A station answers each packet with a [`Verdict`]. When somebody asks for an explanation it also says each thing it did
//! as a [`Step`]. The states and most drop causes are those of Google's Connectivity Tests (`trace.proto`, v1), so that
//! a trace can stand beside Google's own; `SIM_…` names what Google has no word for.

use std::fmt;

use serde::Serialize;

use crate::wire::Packet;

/// One of a station's ways in and out. What is behind it only the topology knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(pub u32);

/// What a station will want to know when the next packet of a flow comes the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memo {
    /// Nothing: the decision depends on the flow and the configuration alone.
    Pure,
    /// Nothing but to take one from the TTL.
    DecrementTtl,
    /// This entry of the station's table.
    Entry(EntryId),
    /// The decision must be taken anew for each packet.
    Never,
}

/// An entry of a station's table: a slot, and how often that slot had been filled before. A freed entry is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntryId {
    /// Position in the table.
    pub slot: u32,
    /// How many entries this slot had held before.
    pub generation: u32,
}

/// One station's decision about one packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on through this port.
    Forward(PortId, Memo),
    /// It has arrived.
    Deliver(Memo),
    /// It has arrived, and is answered with this packet, back the way it came.
    Answer(Box<Packet>),
    /// It stops here.
    Drop(DropCause),
    /// It stops here, and its sender is told with this packet, back the way it came.
    Refuse(DropCause, Box<Packet>),
}

/// How a packet's way ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// It arrived.
    Deliver,
    /// It left for a network that the scenario does not describe: on premises, a peer, an appliance.
    Forward,
    /// It stopped.
    Drop(DropCause),
}

impl Disposition {
    /// `DELIVER`, `FORWARD` or `DROP`.
    pub const fn name(self) -> &'static str {
        match self {
            Disposition::Deliver => "DELIVER",
            Disposition::Forward => "FORWARD",
            Disposition::Drop(_) => "DROP",
        }
    }

    /// Why it stopped, if it did.
    pub const fn cause(self) -> Option<DropCause> {
        match self {
            Disposition::Drop(cause) => Some(cause),
            _ => None,
        }
    }
}

macro_rules! drop_causes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $meaning:literal;)*) => {
        /// Why a packet stopped: `DropInfo.Cause` of Connectivity Tests for configuration, the Cloud NAT metric's
        /// reasons for ports, `SIM_…` for what Google has no word for. Printed by its fixed name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DropCause {
            $($(#[$doc])* $variant,)*
        }

        impl DropCause {
            /// All of them, in a fixed order.
            pub const ALL: &[DropCause] = &[$(DropCause::$variant,)*];

            /// The fixed name.
            pub const fn name(self) -> &'static str {
                match self { $(DropCause::$variant => $name,)* }
            }

            /// What it means, as a sentence for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(DropCause::$variant => $meaning,)* }
            }
        }
    };
}

drop_causes! {
    /// An egress or ingress rule with action deny, or the implied deny of ingress, matched first.
    FirewallRule = "FIREWALL_RULE", "a VPC firewall rule denies it";
    /// No route of the network covers the destination.
    NoRoute = "NO_ROUTE", "the network has no route to it";
    /// The selected route's next hop is not there or not running.
    RouteBlackhole = "ROUTE_BLACKHOLE", "the route's next hop is not running";
    /// A destination in a private range was routed to the default internet gateway.
    PrivateTrafficToInternet = "PRIVATE_TRAFFIC_TO_INTERNET", "a private address was routed to the internet";
    /// A Google API address, from a subnet without Private Google Access.
    PrivateGoogleAccessDisallowed = "PRIVATE_GOOGLE_ACCESS_DISALLOWED", "a Google API, but the subnet has no Private Google Access";
    /// Bound for the internet from a source without an external address that no NAT gateway covers.
    NoExternalAddress = "NO_EXTERNAL_ADDRESS", "bound for the internet, but no Cloud NAT gateway covers its subnet";
    /// A subnet owns the destination, but nothing has that address.
    UnknownInternalAddress = "UNKNOWN_INTERNAL_ADDRESS", "nothing in the VPC network has that address";
    /// Traffic that Google Cloud always blocks: TCP port 25 to external addresses.
    TrafficTypeBlocked = "TRAFFIC_TYPE_BLOCKED", "Google Cloud always blocks this kind of traffic (TCP port 25)";
    /// The source address is not one of the sender's interface.
    ForeignIpDisallowed = "FOREIGN_IP_DISALLOWED", "its source is not an address of the sender";
    /// A destination inside the VPC, from a workload that is not attached to any.
    VpcConnectorNotSet = "VPC_CONNECTOR_NOT_SET", "a private address, but the workload is not attached to a VPC network";
    /// The connector is not READY.
    VpcConnectorNotRunning = "VPC_CONNECTOR_NOT_RUNNING", "the connector is not READY";
    /// The gateway has no NAT IP at all.
    CloudNatNoAddresses = "CLOUD_NAT_NO_ADDRESSES", "the Cloud NAT gateway has no NAT IP";
    /// The gateway translates TCP, UDP and ICMP only.
    CloudNatProtocolUnsupported = "CLOUD_NAT_PROTOCOL_UNSUPPORTED", "Cloud NAT translates TCP, UDP and ICMP only";
    /// The destination VM is not running.
    InstanceNotRunning = "INSTANCE_NOT_RUNNING", "the destination VM is not running";
    /// Every port of the endpoint is taken for this destination, and no more can be had (yet).
    OutOfResources = "OUT_OF_RESOURCES", "Cloud NAT had no free source port for this destination";
    /// With endpoint-independent mapping, another socket owns the NAT tuple for this destination.
    EndpointIndependenceConflict = "ENDPOINT_INDEPENDENCE_CONFLICT", "two sockets share a NAT port and want the same destination (endpoint-independent mapping)";
    /// The bytes are no valid IP packet.
    SimMalformedPacket = "SIM_MALFORMED_PACKET", "not a valid IP packet";
    /// The mapping of this flow had been idle for too long.
    SimIdleExpired = "SIM_IDLE_EXPIRED", "its connection had been idle for too long and was forgotten";
    /// The mapping of this flow ended with its NAT IP, its port block or its endpoint.
    SimMappingLost = "SIM_MAPPING_LOST", "its NAT mapping ended with a configuration change";
    /// From outside, and nobody inside has ever sent to that sender from that port.
    SimUnsolicited = "SIM_UNSOLICITED", "nobody inside had asked for it";
    /// A captured reply to a request that this network did not let out.
    SimReplyWithoutRequest = "SIM_REPLY_WITHOUT_REQUEST", "a captured reply, but this network did not let the request out";
    /// A captured packet of a TCP connection all of whose SYNs this network has dropped.
    SimNeverOpened = "SIM_NEVER_OPENED", "part of a captured connection that this network did not let open";
    /// A captured packet between hosts of which neither, or both, could be the client.
    SimNoClient = "SIM_NO_CLIENT", "neither end is a client address (see --client)";
    /// The instance has just started, and its way out is not open yet.
    SimEgressNotOpen = "SIM_EGRESS_NOT_OPEN", "the instance had just started and its egress was not open yet";
    /// A connector carries TCP and UDP only.
    SimConnectorProtocolUnsupported = "SIM_CONNECTOR_PROTOCOL_UNSUPPORTED", "a Serverless VPC Access connector carries TCP and UDP only";
    /// The connector VM has no source port left for this destination; the client is refused.
    SimConnectorPortsExhausted = "SIM_CONNECTOR_PORTS_EXHAUSTED", "the connector VM had no free source port for this destination";
    /// More than a link carries, for longer than its queue holds.
    SimThroughputExceeded = "SIM_THROUGHPUT_EXCEEDED", "more traffic than the link carries";
    /// Lost on a link, by its loss rate.
    SimLinkLoss = "SIM_LINK_LOSS", "lost on the way, by the link's loss rate";
    /// The TTL reached zero.
    SimTtlExpired = "SIM_TTL_EXPIRED", "its TTL ran out";
    /// Cloud NAT does not support fragments.
    SimFragmentUnsupported = "SIM_FRAGMENT_UNSUPPORTED", "an IP fragment, which is not translated";
    /// A TCP packet without SYN for which there is no connection (`model.nat.midstream: drop`).
    SimMidstream = "SIM_MIDSTREAM", "TCP without SYN, and no connection is known (model.nat.midstream: drop)";
    /// The host is declared unreachable.
    SimHostUnreachable = "SIM_HOST_UNREACHABLE", "the host never answers";
    /// The instance or VM it is for does not exist (any more).
    SimInstanceGone = "SIM_INSTANCE_GONE", "its instance is gone";
    /// IPv6, from an instance that has IPv4 only.
    SimIpv6Unavailable = "SIM_IPV6_UNAVAILABLE", "IPv6, and the instance has IPv4 only";
    /// Multicast, broadcast or an unspecified address: it does not leave the sandbox.
    SimNotUnicast = "SIM_NOT_UNICAST", "multicast and broadcast do not leave the instance";
    /// An ICMP message that is neither echo nor an error about a known connection.
    SimIcmpUnsupported = "SIM_ICMP_UNSUPPORTED", "an ICMP message that is neither echo nor an error about a known connection";
}

impl fmt::Display for DropCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a connection failed or broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// Its packets were dropped; this was the last reason.
    Dropped(DropCause),
    /// The far side answered with a reset while connecting.
    Refused,
    /// The far side reset an established connection.
    Reset,
    /// Nobody answered, though nothing was dropped on the way.
    NoAnswer,
    /// The workload had no instance to connect from.
    NoInstance,
    /// The instance has no free port for the destination.
    NoSourcePort,
}

impl Failure {
    /// Those without a dropped packet, in a fixed order.
    pub const WITHOUT_DROP: &[Failure] =
        &[Failure::Refused, Failure::Reset, Failure::NoAnswer, Failure::NoInstance, Failure::NoSourcePort];

    /// All of them, in a fixed order.
    pub fn all() -> impl Iterator<Item = Failure> {
        DropCause::ALL.iter().copied().map(Failure::Dropped).chain(Failure::WITHOUT_DROP.iter().copied())
    }

    /// The fixed name.
    pub const fn name(self) -> &'static str {
        match self {
            Failure::Dropped(cause) => cause.name(),
            Failure::Refused => "SIM_CONNECTION_REFUSED",
            Failure::Reset => "SIM_CONNECTION_RESET",
            Failure::NoAnswer => "SIM_NO_ANSWER",
            Failure::NoInstance => "SIM_NO_INSTANCE",
            Failure::NoSourcePort => "SIM_NO_SOURCE_PORT",
        }
    }

    /// What it means, as a sentence for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Failure::Dropped(cause) => cause.meaning(),
            Failure::Refused => "the far side answered with a reset instead of accepting",
            Failure::Reset => "the far side reset the established connection",
            Failure::NoAnswer => "nobody answered, although nothing was dropped on the way",
            Failure::NoInstance => "the workload had no running instance to connect from",
            Failure::NoSourcePort => "the instance had no free source port of its own for this destination",
        }
    }
}

/// What a step is, in the vocabulary of Connectivity Tests (`Step.State`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// The packet leaves a Cloud Run revision.
    StartFromCloudRunRevision,
    /// The packet leaves a Cloud Run job.
    StartFromCloudRunJob,
    /// The packet leaves a function.
    StartFromCloudFunction,
    /// It reached a connector.
    ArriveAtVpcConnector,
    /// It left by Direct VPC egress.
    DirectVpcEgressConnection,
    /// It left by Cloud Run's own internet egress.
    ServerlessExternalConnection,
    /// Egress firewall rules were evaluated.
    ApplyEgressFirewallRule,
    /// Ingress firewall rules were evaluated.
    ApplyIngressFirewallRule,
    /// A route was chosen.
    ApplyRoute,
    /// An address was translated.
    Nat,
    /// It reached a VM or a host in the VPC.
    ArriveAtInstance,
    /// It reached a VPN tunnel.
    ArriveAtVpnTunnel,
    /// It reached an Interconnect attachment.
    ArriveAtInterconnectAttachment,
    /// A reply leaves the internet.
    StartFromInternet,
    /// A reply leaves a private network.
    StartFromPrivateNetwork,
    /// A reply leaves a Google service.
    StartFromGoogleService,
    /// A reply leaves a VM or a host in the VPC.
    StartFromInstance,
    /// It arrived.
    Deliver,
    /// It left for a network that the scenario does not describe.
    Forward,
    /// It stopped.
    Drop,
}

impl State {
    /// The fixed name, such as `APPLY_ROUTE`.
    pub const fn name(self) -> &'static str {
        match self {
            State::StartFromCloudRunRevision => "START_FROM_CLOUD_RUN_REVISION",
            State::StartFromCloudRunJob => "START_FROM_CLOUD_RUN_JOB",
            State::StartFromCloudFunction => "START_FROM_CLOUD_FUNCTION",
            State::ArriveAtVpcConnector => "ARRIVE_AT_VPC_CONNECTOR",
            State::DirectVpcEgressConnection => "DIRECT_VPC_EGRESS_CONNECTION",
            State::ServerlessExternalConnection => "SERVERLESS_EXTERNAL_CONNECTION",
            State::ApplyEgressFirewallRule => "APPLY_EGRESS_FIREWALL_RULE",
            State::ApplyIngressFirewallRule => "APPLY_INGRESS_FIREWALL_RULE",
            State::ApplyRoute => "APPLY_ROUTE",
            State::Nat => "NAT",
            State::ArriveAtInstance => "ARRIVE_AT_INSTANCE",
            State::ArriveAtVpnTunnel => "ARRIVE_AT_VPN_TUNNEL",
            State::ArriveAtInterconnectAttachment => "ARRIVE_AT_INTERCONNECT_ATTACHMENT",
            State::StartFromInternet => "START_FROM_INTERNET",
            State::StartFromPrivateNetwork => "START_FROM_PRIVATE_NETWORK",
            State::StartFromGoogleService => "START_FROM_GOOGLE_SERVICE",
            State::StartFromInstance => "START_FROM_INSTANCE",
            State::Deliver => "DELIVER",
            State::Forward => "FORWARD",
            State::Drop => "DROP",
        }
    }
}

/// One thing a station did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What kind of thing.
    pub state: State,
    /// The sentence for people, with the rule or route by its name.
    pub description: String,
}

/// Where stations say what they did, if anybody asked. Without a listener nothing is formatted.
#[derive(Debug, Default)]
pub struct Explain {
    steps: Option<Vec<Step>>,
}

impl Explain {
    /// Nobody asked.
    pub const fn silent() -> Explain {
        Explain { steps: None }
    }

    /// Steps are kept.
    pub const fn listening() -> Explain {
        Explain { steps: Some(Vec::new()) }
    }

    /// Says a step; the sentence is made only when somebody listens.
    #[inline]
    pub fn say(&mut self, state: State, description: impl FnOnce() -> String) {
        if let Some(steps) = &mut self.steps {
            steps.push(Step { state, description: description() });
        }
    }

    /// Takes the steps said so far.
    pub fn take(&mut self) -> Vec<Step> {
        self.steps.as_mut().map(std::mem::take).unwrap_or_default()
    }
}

/// One station passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Name of the station.
    pub node: String,
    /// What it did.
    pub steps: Vec<Step>,
}

/// A packet's whole way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The stations, in order.
    pub hops: Vec<Hop>,
    /// How it ended.
    pub disposition: Disposition,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_drop_cause_has_a_name_of_its_own() {
        let mut names: Vec<_> = DropCause::ALL.iter().map(|cause| cause.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DropCause::ALL.len());
        for failure in Failure::WITHOUT_DROP {
            assert!(names.binary_search(&failure.name()).is_err(), "{} means two things", failure.name());
        }
    }

    #[test]
    fn state_names_are_those_that_json_has() {
        for state in [State::StartFromCloudRunRevision, State::Nat, State::ArriveAtVpcConnector, State::Deliver] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
    }

    #[test]
    fn a_sentence_is_made_only_when_somebody_listens() {
        let mut silent = Explain::silent();
        silent.say(State::Nat, || unreachable!("nobody listens"));
        let mut listening = Explain::listening();
        listening.say(State::Nat, || "translated".into());
        assert_eq!(listening.take().len(), 1);
        assert!(silent.take().is_empty());
    }
}
