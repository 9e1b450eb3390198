//! What keeps connections from working: the kinds of causes, their names and what they are about.
//!
//! A [`Failure`] is what a connection met; a [`Kind`] is what somebody has to change. `OUT_OF_RESOURCES` alone is four of
//! them, because what ends it differs: more ports for a VM, a shorter TIME_WAIT, more NAT IPs, or more ports from the start.

use crate::node::nat::{Limit, Refused};
use crate::trace::{DropCause, Failure};

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $family:ident, $title:literal;)*) => {
        /// What keeps connections from working.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$doc])* $variant,)*
        }

        impl Kind {
            /// All of them, in a fixed order.
            pub const ALL: &[Kind] = &[$(Kind::$variant,)*];

            /// The fixed name.
            pub const fn name(self) -> &'static str {
                match self { $(Kind::$variant => $name,)* }
            }

            /// What it is, as a clause for people.
            pub const fn title(self) -> &'static str {
                match self { $(Kind::$variant => $title,)* }
            }

            /// What it is about.
            pub const fn family(self) -> Family {
                match self { $(Kind::$variant => Family::$family,)* }
            }
        }
    };
}

/// What a cause is about. Causes of one family turn into each other when a setting changes: ports that were not there yet
/// become ports that are never there. What ends one of them only to bring another has ended nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Ports of Cloud NAT.
    NatPorts,
    /// Connections that are forgotten.
    Forgotten,
    /// Instances and their addresses.
    Instances,
    /// A connector's VMs, or an instance's link.
    Carriage,
    /// Which way a packet may go.
    Way,
    /// The far side.
    FarSide,
    /// Nothing that a setting changes.
    Chance,
}

kinds! {
    /// The endpoint has all ports that it may have, and open connections take them.
    VmPorts = "vm-ports", NatPorts, "no free NAT port: open connections took all that a VM may have";
    /// The endpoint has all ports that it may have, and most of them are in TIME_WAIT.
    TimeWait = "time-wait", NatPorts, "no free NAT port: closed connections in TIME_WAIT held most that a VM may have";
    /// The NAT IPs have no free block for the endpoint.
    GatewayIps = "gateway-ips", NatPorts, "no free NAT port: the NAT IPs had no block left for the VM";
    /// Dynamic port allocation is still catching up.
    GrowthPending = "growth-pending", NatPorts, "no free NAT port yet: dynamic port allocation was still catching up";
    /// With endpoint-independent mapping, another socket has the port.
    MappingConflict = "endpoint-independence-conflict", NatPorts, "two sockets shared a NAT port towards one destination (endpoint-independent mapping)";
    /// The gateway has no NAT IP at all.
    NoNatIp = "no-nat-ip", NatPorts, "the Cloud NAT gateway had no NAT IP";
    /// A connection was idle for too long.
    IdleExpiry = "idle-expiry", Forgotten, "connections idle for too long were forgotten";
    /// A mapping ended with a change of configuration.
    MappingLost = "mapping-lost", Forgotten, "a change of configuration took the NAT ports of open connections away";
    /// A new instance's way out is not open yet.
    ClosedWindow = "closed-window", Instances, "instances that had just started reached nothing yet";
    /// No instance could start for lack of addresses.
    AddressExhaustion = "address-exhaustion", Instances, "no instance could start: the subnet had no free addresses";
    /// The workload had no instance.
    NoInstance = "no-instance", Instances, "the workload had no running instance";
    /// An instance has used all its own ports for a destination.
    SourcePorts = "source-ports", Instances, "an instance had no free source port of its own for the destination";
    /// An instance has begun as many connections in a second as it may.
    ConnectionRate = "connection-rate", Instances, "an instance began as many connections in a second as it may";
    /// The workload does not run.
    NotReady = "not-ready", Instances, "the workload was not ready";
    /// More traffic than a connector VM carries.
    ConnectorThroughput = "connector-throughput", Carriage, "more traffic than the connector's VMs carry";
    /// A connector VM has used all its ports for a destination.
    ConnectorPorts = "connector-ports", Carriage, "a connector VM had no free source port for the destination";
    /// More traffic than another link carries: 1 Gbps for an instance with Direct VPC egress.
    LinkThroughput = "link-throughput", Carriage, "more traffic than a link carries";
    /// The firewall tracks as many connections of an interface as it can.
    TrackingTable = "tracking-table", Carriage, "the firewall tracked as many connections of an interface as it can";
    /// A firewall rule denies it.
    Firewall = "firewall", Way, "a firewall rule denies it";
    /// The routes lead nowhere, or to the wrong place.
    Route = "route", Way, "the network's routes do not lead there";
    /// Nothing in the VPC network has the address.
    UnknownAddress = "unknown-address", Way, "nothing in the VPC network has that address";
    /// A private destination, and no way into a VPC network.
    NoVpcAccess = "no-vpc-access", Way, "the workload has no way into the VPC network";
    /// Bound for the internet from the VPC network, and nobody translates.
    NoNat = "no-nat", Way, "bound for the internet, and no Cloud NAT gateway covers the subnet";
    /// A Google API, from a subnet without Private Google Access.
    GoogleAccess = "google-access", Way, "a Google API, and the subnet's way there is closed";
    /// IPv6, and no way for it.
    Ipv6Unavailable = "ipv6-unavailable", Way, "an IPv6 destination, and the instance has no way for IPv6";
    /// What it sends is not carried.
    NotCarried = "not-carried", Way, "this kind of traffic is not carried";
    /// A packet was too large.
    Mtu = "mtu", Way, "packets were too large for the way, or came in fragments, which are not translated";
    /// The far side has refused.
    FarSideRefused = "far-side-refused", FarSide, "the far side refused";
    /// The far side has reset established connections.
    FarSideReset = "far-side-reset", FarSide, "the far side reset established connections";
    /// The far side does not answer, or not in time.
    FarSideSilent = "far-side-silent", FarSide, "the far side did not answer, or not in time";
    /// A link is out of service.
    LinkDown = "link-down", Chance, "a link on the way was out of service";
    /// Lost on a link.
    Loss = "loss", Chance, "packets were lost on the way";
    /// Cloud Run's infrastructure.
    Infrastructure = "infrastructure", Chance, "Cloud Run's infrastructure was restarted or maintained";
    /// Something of the capture, or a packet that nobody takes.
    Stray = "stray", Chance, "packets that belong to nothing";
}

impl Kind {
    /// What a refused packet was missing.
    pub const fn of_refusal(why: &Refused) -> Kind {
        match why {
            Refused::Conflict => Kind::MappingConflict,
            Refused::Shortage { limit: Limit::GatewayIps, .. } => Kind::GatewayIps,
            Refused::Shortage { limit: Limit::GrowthPending, .. } => Kind::GrowthPending,
            // TIME_WAIT is the cause when most of the ports would be free without it.
            Refused::Shortage { limit: Limit::VmPorts, allocated_ports, time_wait, .. } => {
                if *time_wait > *allocated_ports / 2 { Kind::TimeWait } else { Kind::VmPorts }
            }
        }
    }

    /// What a failure comes from, as far as the failure itself tells. A new one does not compile before somebody has thought
    /// about it.
    pub const fn of_failure(failure: Failure) -> Kind {
        match failure {
            Failure::Refused => Kind::FarSideRefused,
            Failure::Reset => Kind::FarSideReset,
            Failure::NoAnswer => Kind::FarSideSilent,
            Failure::NoInstance => Kind::NoInstance,
            Failure::NoSourcePort => Kind::SourcePorts,
            Failure::ConnectionRate => Kind::ConnectionRate,
            Failure::InfrastructureReset => Kind::Infrastructure,
            Failure::Dropped(cause) => Kind::of_drop(cause),
        }
    }

    const fn of_drop(cause: DropCause) -> Kind {
        match cause {
            DropCause::OutOfResources => Kind::VmPorts,
            DropCause::EndpointIndependenceConflict => Kind::MappingConflict,
            DropCause::CloudNatNoAddresses => Kind::NoNatIp,
            DropCause::SimIdleExpired => Kind::IdleExpiry,
            DropCause::SimMappingLost | DropCause::SimMidstream => Kind::MappingLost,
            DropCause::SimEgressNotOpen => Kind::ClosedWindow,
            DropCause::SimConnectorPortsExhausted => Kind::ConnectorPorts,
            DropCause::SimThroughputExceeded => Kind::LinkThroughput,
            DropCause::SimTrackingTableFull => Kind::TrackingTable,
            DropCause::FirewallRule
            | DropCause::IngressFirewallTagsUnsupportedByDirectVpcEgress
            | DropCause::VpcConnectorServerlessTrafficBlocked
            | DropCause::VpcConnectorHealthCheckTrafficBlocked => Kind::Firewall,
            DropCause::CloudRunRevisionNotReady
            | DropCause::CloudRunJobNotReady
            | DropCause::CloudFunctionNotActive => Kind::NotReady,
            DropCause::NoRoute
            | DropCause::RouteBlackhole
            | DropCause::RouteNextHopInstanceWrongNetwork
            | DropCause::RouteNextHopInstanceNonPrimaryIp
            | DropCause::RouteNextHopVpnTunnelNotEstablished
            | DropCause::VpnTunnelLocalSelectorMismatch
            | DropCause::VpnTunnelRemoteSelectorMismatch
            | DropCause::NoAdvertisedRouteToGcpDestination
            | DropCause::NoKnownRouteFromPeeredNetworkToDestination
            | DropCause::TrafficFromHybridEndpointToInternetDisallowed
            | DropCause::HybridSubnetRegionMismatch
            | DropCause::HybridSubnetNoRoute
            | DropCause::RoutingLoop
            | DropCause::PrivateTrafficToInternet
            | DropCause::ForwardingRuleRegionMismatch
            | DropCause::PscConnectionNotAccepted
            | DropCause::PscEndpointAccessedFromPeeredNetwork
            | DropCause::ForeignIpDisallowed
            | DropCause::InstanceNotRunning
            | DropCause::DestinationIsPrivateNatIpRange
            | DropCause::SimTtlExpired => Kind::Route,
            DropCause::UnknownInternalAddress => Kind::UnknownAddress,
            DropCause::VpcConnectorNotSet | DropCause::VpcConnectorNotRunning => Kind::NoVpcAccess,
            DropCause::NoExternalAddress => Kind::NoNat,
            DropCause::PrivateGoogleAccessDisallowed | DropCause::PrivateGoogleAccessViaVpnTunnelUnsupported => {
                Kind::GoogleAccess
            }
            DropCause::SimIpv6Unavailable => Kind::Ipv6Unavailable,
            DropCause::TrafficTypeBlocked
            | DropCause::CloudNatProtocolUnsupported
            | DropCause::ForwardingRuleMismatch
            | DropCause::SimConnectorProtocolUnsupported
            | DropCause::SimNoDirectVpcIngress
            | DropCause::SimNotUnicast
            | DropCause::SimIcmpUnsupported => Kind::NotCarried,
            DropCause::SimFragmentUnsupported | DropCause::SimMtuExceeded => Kind::Mtu,
            DropCause::SimHostUnreachable => Kind::FarSideSilent,
            DropCause::SimLinkLoss => Kind::Loss,
            DropCause::SimLinkDown => Kind::LinkDown,
            DropCause::SimInstanceGone | DropCause::SimInstanceStopped => Kind::Infrastructure,
            DropCause::SimMalformedPacket
            | DropCause::SimUnsolicited
            | DropCause::SimReplyWithoutRequest
            | DropCause::SimNeverOpened
            | DropCause::SimNoClient => Kind::Stray,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_a_clause() {
        let names: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert!(!kind.title().ends_with('.'), "{}", kind.name());
        }
    }

    #[test]
    fn time_wait_is_the_cause_when_it_takes_more_than_half_of_the_ports() {
        let of = |open, time_wait, limit| {
            Kind::of_refusal(&Refused::Shortage { limit, allocated_ports: 64, open, time_wait })
        };
        assert_eq!(of(32, 32, Limit::VmPorts), Kind::VmPorts);
        assert_eq!(of(31, 33, Limit::VmPorts), Kind::TimeWait);
        // More ports are on their way, or there is none to be had: whoever holds those that there are.
        assert_eq!(of(0, 64, Limit::GrowthPending), Kind::GrowthPending);
        assert_eq!(of(0, 64, Limit::GatewayIps), Kind::GatewayIps);
    }

    #[test]
    fn every_failure_comes_from_something() {
        for failure in Failure::all() {
            let kind = Kind::of_failure(failure);
            assert!(Kind::ALL.contains(&kind));
        }
    }
}
