//! Why a packet stopped, and why a connection failed.

use std::fmt;

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
    /// Ingress is denied, and a rule would have allowed it by a source tag or service account, which does not work for the
    /// sender: it has Direct VPC egress.
    IngressFirewallTagsUnsupportedByDirectVpcEgress = "INGRESS_FIREWALL_TAGS_UNSUPPORTED_BY_DIRECT_VPC_EGRESS", "the ingress rule for it names tags or service accounts, which do not work for Direct VPC egress";
    /// No route of the network covers the destination.
    NoRoute = "NO_ROUTE", "the network has no route to it";
    /// The selected route's next hop takes nothing: an Interconnect attachment that is down.
    RouteBlackhole = "ROUTE_BLACKHOLE", "the route's next hop is not running";
    /// The selected route's next hop is a VM without an interface in the route's network.
    RouteNextHopInstanceWrongNetwork = "ROUTE_NEXT_HOP_INSTANCE_WRONG_NETWORK", "the route's next hop VM has no interface in the route's network";
    /// The selected route's next hop is an address of a VM that is not its primary one.
    RouteNextHopInstanceNonPrimaryIp = "ROUTE_NEXT_HOP_INSTANCE_NON_PRIMARY_IP", "the route's next hop is not the primary address of its VM";
    /// The selected route's next hop is a VPN tunnel that is not established. A static route stays a candidate all the same.
    RouteNextHopVpnTunnelNotEstablished = "ROUTE_NEXT_HOP_VPN_TUNNEL_NOT_ESTABLISHED", "the route's next hop is a VPN tunnel that is down";
    /// The source is in no local traffic selector of the VPN tunnel.
    VpnTunnelLocalSelectorMismatch = "VPN_TUNNEL_LOCAL_SELECTOR_MISMATCH", "its source is in no local traffic selector of the VPN tunnel";
    /// The destination is in no remote traffic selector of the VPN tunnel.
    VpnTunnelRemoteSelectorMismatch = "VPN_TUNNEL_REMOTE_SELECTOR_MISMATCH", "its destination is in no remote traffic selector of the VPN tunnel";
    /// From behind a tunnel or attachment, to an address that its Cloud Router does not advertise there.
    NoAdvertisedRouteToGcpDestination = "NO_ADVERTISED_ROUTE_TO_GCP_DESTINATION", "the network on premises is not told the way to it: the Cloud Router does not advertise it";
    /// From a peered network, to an address that no route exchanged with it covers.
    NoKnownRouteFromPeeredNetworkToDestination = "NO_KNOWN_ROUTE_FROM_PEERED_NETWORK_TO_DESTINATION", "the peered network has no route to it";
    /// From behind a tunnel or attachment, and the route leads to the internet.
    TrafficFromHybridEndpointToInternetDisallowed = "TRAFFIC_FROM_HYBRID_ENDPOINT_TO_INTERNET_DISALLOWED", "from on premises, and the route leads to the internet";
    /// In a hybrid subnet nothing has the address, and the route inside the subnet's range leads to another region.
    HybridSubnetRegionMismatch = "HYBRID_SUBNET_REGION_MISMATCH", "the route for this address of a hybrid subnet leads through another region";
    /// In a hybrid subnet nothing has the address, and no route inside the subnet's range covers it.
    HybridSubnetNoRoute = "HYBRID_SUBNET_NO_ROUTE", "nothing in the hybrid subnet has that address, and no route inside its range leads on";
    /// The selected route leads back to where the packet came from, or the packet goes in circles.
    RoutingLoop = "ROUTING_LOOP", "the route leads back to where it came from";
    /// A destination in a private range was routed to the default internet gateway.
    PrivateTrafficToInternet = "PRIVATE_TRAFFIC_TO_INTERNET", "a private address was routed to the internet";
    /// A Google API address, from a subnet without Private Google Access.
    PrivateGoogleAccessDisallowed = "PRIVATE_GOOGLE_ACCESS_DISALLOWED", "a Google API, but the subnet has no Private Google Access";
    /// A Google API address, and the route leads into a VPN tunnel: it must lead to the default internet gateway.
    PrivateGoogleAccessViaVpnTunnelUnsupported = "PRIVATE_GOOGLE_ACCESS_VIA_VPN_TUNNEL_UNSUPPORTED", "a Google API, but the route leads into a VPN tunnel";
    /// The address of a forwarding rule, which does not take this protocol or port.
    ForwardingRuleMismatch = "FORWARDING_RULE_MISMATCH", "the forwarding rule does not take this protocol or port";
    /// A forwarding rule without global access, from another region.
    ForwardingRuleRegionMismatch = "FORWARDING_RULE_REGION_MISMATCH", "from another region, and the forwarding rule has no global access";
    /// A Private Service Connect endpoint whose connection the producer has not accepted.
    PscConnectionNotAccepted = "PSC_CONNECTION_NOT_ACCEPTED", "the producer has not accepted the Private Service Connect endpoint";
    /// A Private Service Connect endpoint, from a peered network.
    PscEndpointAccessedFromPeeredNetwork = "PSC_ENDPOINT_ACCESSED_FROM_PEERED_NETWORK", "Private Service Connect endpoints cannot be reached from peered networks";
    /// Bound for the internet from a source without an external address that no NAT gateway covers.
    NoExternalAddress = "NO_EXTERNAL_ADDRESS", "bound for the internet, but no Cloud NAT gateway covers its subnet";
    /// A subnet owns the destination, but nothing has that address.
    UnknownInternalAddress = "UNKNOWN_INTERNAL_ADDRESS", "nothing in the VPC network has that address";
    /// Traffic to external addresses that Google Cloud always blocks: TCP port 25, GRE, and protocols other than TCP, UDP,
    /// ICMP, AH, ESP, SCTP and IPIP.
    TrafficTypeBlocked = "TRAFFIC_TYPE_BLOCKED", "Google Cloud always blocks this kind of traffic (TCP port 25, GRE, rare protocols)";
    /// The source address is not one of the sender's interface, or a VM without IP forwarding is to take a packet for another.
    ForeignIpDisallowed = "FOREIGN_IP_DISALLOWED", "its source or destination is not an address of the VM, which has no IP forwarding";
    /// A destination inside the VPC, from a workload that is not attached to any.
    VpcConnectorNotSet = "VPC_CONNECTOR_NOT_SET", "a private address, but the workload is not attached to a VPC network";
    /// The connector is not READY.
    VpcConnectorNotRunning = "VPC_CONNECTOR_NOT_RUNNING", "the connector is not READY";
    /// Firewall rules keep Cloud Run from the connector's VMs.
    VpcConnectorServerlessTrafficBlocked = "VPC_CONNECTOR_SERVERLESS_TRAFFIC_BLOCKED", "a firewall keeps Google's serverless ranges from the connector's VMs";
    /// Firewall rules keep health checks from the connector's VMs.
    VpcConnectorHealthCheckTrafficBlocked = "VPC_CONNECTOR_HEALTH_CHECK_TRAFFIC_BLOCKED", "a firewall keeps health checks from the connector's VMs";
    /// From a revision of a service or worker pool whose condition `Ready` has not succeeded.
    CloudRunRevisionNotReady = "CLOUD_RUN_REVISION_NOT_READY", "the Cloud Run revision is not ready";
    /// From a job whose condition `Ready` has not succeeded.
    CloudRunJobNotReady = "CLOUD_RUN_JOB_NOT_READY", "the Cloud Run job is not ready";
    /// From a function that is not `ACTIVE`.
    CloudFunctionNotActive = "CLOUD_FUNCTION_NOT_ACTIVE", "the function is not active";
    /// To an address of a subnet with `purpose: PRIVATE_NAT`: only Private NAT has addresses there.
    DestinationIsPrivateNatIpRange = "DESTINATION_IS_PRIVATE_NAT_IP_RANGE", "the destination is in a range of Private NAT";
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
    /// A link that is out of service (event `outage`).
    SimLinkDown = "SIM_LINK_DOWN", "a link on its way was out of service";
    /// Larger than the `mtu` of a link, and not to be taken to pieces.
    SimMtuExceeded = "SIM_MTU_EXCEEDED", "larger than a link on its way takes, and not to be fragmented";
    /// The TTL reached zero.
    SimTtlExpired = "SIM_TTL_EXPIRED", "its TTL ran out";
    /// Cloud NAT does not support fragments.
    SimFragmentUnsupported = "SIM_FRAGMENT_UNSUPPORTED", "an IP fragment, which is not translated";
    /// A TCP packet without SYN for which there is no connection (`model.nat.midstream: drop`).
    SimMidstream = "SIM_MIDSTREAM", "TCP without SYN, and no connection is known (model.nat.midstream: drop)";
    /// A new connection to an instance of a service, job or function: only worker pools have Direct VPC ingress.
    SimNoDirectVpcIngress = "SIM_NO_DIRECT_VPC_INGRESS", "Cloud Run accepts connections from a VPC network in worker pools only";
    /// The firewall tracks as many connections of an interface as it can (`model.firewall.fullTable`).
    SimTrackingTableFull = "SIM_TRACKING_TABLE_FULL", "the firewall tracked as many connections of the interface as it can";
    /// The host is declared unreachable, or out of service (event `outage`).
    SimHostUnreachable = "SIM_HOST_UNREACHABLE", "the host never answers";
    /// The instance or VM it is for does not exist (any more).
    SimInstanceGone = "SIM_INSTANCE_GONE", "its instance is gone";
    /// Between SIGTSTP and SIGCONT: its machine is being maintained.
    SimInstanceStopped = "SIM_INSTANCE_STOPPED", "its instance was stopped for maintenance, between SIGTSTP and SIGCONT";
    /// IPv6, from an instance without an IPv6 address, or past Direct VPC egress: Cloud Run's own internet egress has none.
    SimIpv6Unavailable = "SIM_IPV6_UNAVAILABLE", "IPv6, which the instance has no way for: only Direct VPC egress in a dual-stack subnet carries it";
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

/// Why there is no packet to follow (`AbortInfo.Cause`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbortCause {
    /// The workload has Direct VPC egress and no instance, because its subnet has no free address.
    NoServerlessIpRanges,
}

impl AbortCause {
    /// The fixed name.
    pub const fn name(self) -> &'static str {
        match self {
            AbortCause::NoServerlessIpRanges => "NO_SERVERLESS_IP_RANGES",
        }
    }

    /// What it means, as a sentence for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            AbortCause::NoServerlessIpRanges => {
                "no instance could start: the subnet has no free address for Direct VPC egress"
            }
        }
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
    /// The instance had begun as many connections in this second as it may.
    ConnectionRate,
    /// Cloud Run's infrastructure was restarted or maintained, and ended the connection.
    InfrastructureReset,
}

impl Failure {
    /// Those without a dropped packet, in a fixed order.
    pub const WITHOUT_DROP: &[Failure] = &[
        Failure::Refused,
        Failure::Reset,
        Failure::NoAnswer,
        Failure::NoInstance,
        Failure::NoSourcePort,
        Failure::ConnectionRate,
        Failure::InfrastructureReset,
    ];

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
            Failure::ConnectionRate => "SIM_CONNECTION_RATE",
            Failure::InfrastructureReset => "SIM_INFRASTRUCTURE_RESET",
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
            Failure::ConnectionRate => "the instance had begun as many connections in that second as it may",
            Failure::InfrastructureReset => "Cloud Run's infrastructure was restarted or maintained and ended it",
        }
    }
}

/// Why a request failed: what became of its last call, or why it never got so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallFailure {
    /// Its connection failed or broke.
    Connection(Failure),
    /// The response did not come in time.
    Timeout,
    /// No connection of the pool became free in time.
    PoolTimeout,
    /// The far side closed the connection before it had responded.
    ClosedEarly,
    /// No instance had room for it in time.
    NoAvailableInstance,
    /// Its instance was shut down.
    InstanceGone,
}

impl CallFailure {
    /// Those that no connection failed for, in a fixed order.
    pub const WITHOUT_CONNECTION: &[CallFailure] = &[
        CallFailure::Timeout,
        CallFailure::PoolTimeout,
        CallFailure::ClosedEarly,
        CallFailure::NoAvailableInstance,
        CallFailure::InstanceGone,
    ];

    /// The fixed name.
    pub const fn name(self) -> &'static str {
        match self {
            CallFailure::Connection(failure) => failure.name(),
            CallFailure::Timeout => "SIM_CALL_TIMEOUT",
            CallFailure::PoolTimeout => "SIM_POOL_TIMEOUT",
            CallFailure::ClosedEarly => "SIM_CLOSED_EARLY",
            CallFailure::NoAvailableInstance => "SIM_NO_AVAILABLE_INSTANCE",
            CallFailure::InstanceGone => "SIM_REQUEST_INSTANCE_GONE",
        }
    }

    /// What it means, as a sentence for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            CallFailure::Connection(failure) => failure.meaning(),
            CallFailure::Timeout => "the response did not come within the client's timeout",
            CallFailure::PoolTimeout => "no connection of the instance's pool became free within the client's timeout",
            CallFailure::ClosedEarly => "the far side closed the connection before it had responded",
            CallFailure::NoAvailableInstance => "no instance had room for the request in time: Cloud Run answers 429",
            CallFailure::InstanceGone => "the instance was shut down while it worked on the request",
        }
    }
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
        let others = Failure::WITHOUT_DROP.iter().map(|failure| failure.name());
        for name in others.chain(CallFailure::WITHOUT_CONNECTION.iter().map(|failure| failure.name())) {
            assert!(names.binary_search(&name).is_err(), "{name} means two things");
        }
    }
}
