//! Where to look when packets were dropped or connections failed for a cause.
//!
//! What a cause means is said once, by [`Failure::meaning`]; this adds the remedy, or the place to look, for those where
//! there is one.

use crate::trace::{CallFailure, DropCause, Failure};

/// What the cause of this name means, and what to do about it. `None` for a name that is not known here.
pub(super) fn explanation(name: &str) -> Option<String> {
    if let Some(failure) = CallFailure::WITHOUT_CONNECTION.iter().find(|failure| failure.name() == name) {
        return Some(format!("{}; {}", failure.meaning(), advice_for_call(*failure)?));
    }
    let failure = Failure::all().find(|failure| failure.name() == name)?;
    Some(match advice(failure) {
        Some(advice) => format!("{}; {advice}", failure.meaning()),
        None => failure.meaning().to_owned(),
    })
}

/// What to do when a request failed and no connection did.
const fn advice_for_call(failure: CallFailure) -> Option<&'static str> {
    Some(match failure {
        CallFailure::Connection(failure) => return advice(failure),
        CallFailure::Timeout => "wait longer, or ask why it takes so long: loss on the way, or the server itself",
        CallFailure::PoolTimeout => "a larger pool, more instances, or a faster server",
        CallFailure::ClosedEarly => {
            "keep idle connections for less long than the server does (`pool.idleTimeout`), and try again"
        }
        CallFailure::NoAvailableInstance => {
            "more instances (`maxInstanceCount`, `minInstanceCount`), or more concurrency"
        }
        CallFailure::InstanceGone => "let the client try again",
    })
}

/// What to do, or where to look. A new cause does not compile before somebody has thought about it.
pub(crate) const fn advice(failure: Failure) -> Option<&'static str> {
    Some(match failure {
        Failure::Refused => "is that port open?",
        Failure::Reset => "look at the far side",
        Failure::NoAnswer => "is the host declared under `hosts:`, or, in a replay, is the answer in the capture?",
        Failure::NoInstance => "give it instances, or let the load begin later",
        Failure::NoSourcePort => "fewer connections at a time to one destination, or more instances",
        Failure::ConnectionRate => "keep connections open, or use more instances",
        Failure::InfrastructureReset => "it happens: connect again, with backoff",
        Failure::Dropped(cause) => match cause {
            DropCause::FirewallRule => "`egressim trace` names the rule, or the implied one",
            DropCause::IngressFirewallTagsUnsupportedByDirectVpcEgress => "allow the range of the subnet instead",
            DropCause::NoRoute => "see its routes and their tags, the default route above all",
            DropCause::RouteBlackhole => "bring its next hop up, or change the route",
            DropCause::RouteNextHopInstanceWrongNetwork => "name a VM of the route's own network",
            DropCause::RouteNextHopInstanceNonPrimaryIp => "name the VM's primary address",
            DropCause::RouteNextHopVpnTunnelNotEstablished => "bring the tunnel up, or change the route",
            DropCause::VpnTunnelLocalSelectorMismatch | DropCause::VpnTunnelRemoteSelectorMismatch => {
                "widen the selectors at both ends of the tunnel"
            }
            DropCause::NoAdvertisedRouteToGcpDestination => {
                "let the Cloud Router advertise the sender's subnet; a connector's /28 is easily forgotten"
            }
            DropCause::NoKnownRouteFromPeeredNetworkToDestination => "peering is not transitive: peer the two networks",
            DropCause::TrafficFromHybridEndpointToInternetDisallowed => return None,
            DropCause::HybridSubnetRegionMismatch => "put the subnet and the tunnel or attachment into one region",
            DropCause::HybridSubnetNoRoute => "is the address right, does a route inside the subnet's range lead on?",
            DropCause::RoutingLoop => "`egressim trace` names the routes",
            DropCause::PrivateTrafficToInternet => "add a route to it",
            DropCause::PrivateGoogleAccessDisallowed => "turn it on",
            DropCause::PrivateGoogleAccessViaVpnTunnelUnsupported => {
                "add a route to the address with next hop default-internet-gateway"
            }
            DropCause::ForwardingRuleMismatch => "see its IPProtocol and ports",
            DropCause::ForwardingRuleRegionMismatch => "set `allowGlobalAccess`, or `allowPscGlobalAccess`",
            DropCause::PscConnectionNotAccepted => "let the producer accept it: see pscConnectionStatus",
            DropCause::PscEndpointAccessedFromPeeredNetwork => "make an endpoint in the sender's own network",
            DropCause::NoExternalAddress => "let a gateway of the region serve the subnet's range",
            DropCause::UnknownInternalAddress => "is the address right, is the host declared?",
            DropCause::TrafficTypeBlocked => "send mail through a relay on port 587 or 465, tunnels through Cloud VPN",
            DropCause::ForeignIpDisallowed => "set `canIpForward` of a VM that is a next hop",
            DropCause::VpcConnectorNotSet => "attach it with a connector or Direct VPC egress",
            DropCause::VpcConnectorNotRunning => "see its `state`",
            DropCause::VpcConnectorServerlessTrafficBlocked => {
                "allow udp:665-666, tcp:667 and icmp between 35.199.224.0/19 and the connector's tag, both ways"
            }
            DropCause::VpcConnectorHealthCheckTrafficBlocked => {
                "allow tcp:667 from 35.191.0.0/16 and 130.211.0.0/22 to the connector's tag"
            }
            DropCause::CloudRunRevisionNotReady | DropCause::CloudRunJobNotReady => "see its `terminalCondition`",
            DropCause::CloudFunctionNotActive => "see its `state`",
            DropCause::DestinationIsPrivateNatIpRange => "nobody has an address there: is it right?",
            DropCause::CloudNatNoAddresses => "give it one, or let it allocate them",
            DropCause::CloudNatProtocolUnsupported => return None,
            DropCause::InstanceNotRunning => "start it",
            DropCause::OutOfResources => {
                "what helps is more ports per VM, more NAT IPs, a shorter TIME_WAIT or longer-lived connections"
            }
            DropCause::EndpointIndependenceConflict => "turn it off, or give each VM more ports",
            DropCause::SimMalformedPacket => "look at the capture",
            DropCause::SimIdleExpired => "send keepalives more often, or raise the idle timeout",
            DropCause::SimMappingLost => "drain a NAT IP before removing it",
            DropCause::SimUnsolicited => "harmless as a rule: a scanner, or a server that spoke first",
            DropCause::SimReplyWithoutRequest => "see what became of the requests",
            DropCause::SimNeverOpened => "see what became of its SYNs",
            DropCause::SimNoClient => return None,
            DropCause::SimEgressNotOpen => "retry at start-up, or keep instances warm",
            DropCause::SimConnectorProtocolUnsupported => "use Direct VPC egress",
            DropCause::SimConnectorPortsExhausted => "more connector instances, or Direct VPC egress",
            DropCause::SimThroughputExceeded => {
                "more or larger connector instances, Direct VPC egress, or more Cloud Run instances; of an impaired link, its `bandwidth`"
            }
            DropCause::SimLinkLoss => return None,
            DropCause::SimLinkDown => "the scenario says so with `outage`",
            DropCause::SimMtuExceeded => {
                "lower the MTU of the sender, let ICMP errors pass, and leave the network's `mtu` at 1460"
            }
            DropCause::SimTtlExpired => return None,
            DropCause::SimFragmentUnsupported => "send smaller packets",
            DropCause::SimMidstream => return None,
            DropCause::SimNoDirectVpcIngress => "use a worker pool, or send a request to the service's URL",
            DropCause::SimTrackingTableFull => "pool connections, or use more or larger machines",
            DropCause::SimHostUnreachable => "the scenario says so with `unreachable: true` or `outage`",
            DropCause::SimInstanceGone => "let instances end their connections before they are shut down",
            DropCause::SimInstanceStopped => "make tasks resume: see the signals SIGTSTP and SIGCONT",
            DropCause::SimIpv6Unavailable => {
                "use Direct VPC egress in a dual-stack subnet, or the destination's IPv4 address"
            }
            DropCause::SimNotUnicast => return None,
            DropCause::SimIcmpUnsupported => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_a_summary_can_have_is_explained() {
        for failure in Failure::all() {
            let text = explanation(failure.name()).expect("every cause has its sentence");
            assert!(text.starts_with(failure.meaning()), "{text}");
            for part in text.split("; ") {
                assert!(!part.is_empty() && !part.ends_with('.'), "{}: {text:?} is no clause", failure.name());
            }
        }
        assert!(explanation("OUT_OF_RESOURCES").is_some_and(|text| text.contains("TIME_WAIT")));
    }

    #[test]
    fn an_unknown_name_is_left_alone() {
        assert_eq!(explanation("SIM_SOMETHING_NEW"), None);
    }

    #[test]
    fn no_advice_names_a_command_that_there_is_not() {
        use clap::CommandFactory as _;

        let program = crate::cli::Arguments::command();
        for text in Failure::all().filter_map(|failure| explanation(failure.name())) {
            for command in text.split("`egressim ").skip(1) {
                let name = command.split(['`', ' ']).next().unwrap_or_default();
                assert!(program.find_subcommand(name).is_some(), "{text}");
            }
        }
    }
}
