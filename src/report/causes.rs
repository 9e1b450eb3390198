//! What each drop cause means, in a sentence for somebody who has not met it, and where to look.
//!
//! The names are Google's (`DropInfo.Cause` of Connectivity Tests, the `reason` of the NAT metrics) and the simulator's
//! own `SIM_…`.

use crate::trace::DropCause;

/// Cause, meaning. Sorted by name.
const MEANINGS: &[(&str, &str)] = &[
    ("CLOUD_NAT_NO_ADDRESSES", "the gateway has no NAT IP at all: give it one, or let it allocate them automatically"),
    ("CLOUD_NAT_PROTOCOL_UNSUPPORTED", "Cloud NAT translates TCP, UDP and ICMP only"),
    ("CLOUD_RUN_REVISION_NOT_READY", "the revision is not ready, so nothing of it runs: see why it does not start"),
    (
        "ENDPOINT_INDEPENDENCE_CONFLICT",
        "with endpoint-independent mapping two sources shared a NAT port and wanted the same destination: turn it off, \
         or give each VM more ports",
    ),
    ("FIREWALL_RULE", "a firewall rule, or the implied deny of ingress, matched: `egressim trace` names the rule"),
    ("FOREIGN_IP_DISALLOWED", "the source address is not the sender's own, and IP forwarding is off there"),
    (
        "INGRESS_FIREWALL_TAGS_UNSUPPORTED_BY_DIRECT_VPC_EGRESS",
        "an ingress rule selects its sources by tag, which Direct VPC egress does not support: use address ranges",
    ),
    ("INSTANCE_NOT_RUNNING", "the VM that should receive or forward the packet is not running"),
    (
        "NO_EXTERNAL_ADDRESS",
        "the route leads to the internet, but the sender has no external address and no Cloud NAT gateway covers its \
         subnet range in this region",
    ),
    (
        "NO_KNOWN_ROUTE_FROM_PEERED_NETWORK_TO_DESTINATION",
        "the peered network has no route on to the destination: peering is not transitive",
    ),
    (
        "NO_ROUTE",
        "no route of the network matches the destination: see its routes and their tags, the default route above all",
    ),
    (
        "OUT_OF_RESOURCES",
        "no NAT port of the sender was free for that destination: more ports per VM, more NAT IPs, a shorter TIME_WAIT \
         or longer-lived connections; `egressim diagnose` tries which helps",
    ),
    (
        "PRIVATE_GOOGLE_ACCESS_DISALLOWED",
        "a Google API was called from a subnet without Private Google Access and without an external address: turn it on",
    ),
    (
        "PRIVATE_TRAFFIC_TO_INTERNET",
        "a private destination matched only a route to the internet, which carries none: add a route to it",
    ),
    ("ROUTE_BLACKHOLE", "the best route leads nowhere on purpose or because its next hop is down"),
    ("ROUTE_NEXT_HOP_INSTANCE_WRONG_NETWORK", "the route's next hop has no interface in the network of the route"),
    ("ROUTE_NEXT_HOP_IP_ADDRESS_NOT_RESOLVED", "the route's next hop is an address that nothing in the network has"),
    ("ROUTE_NEXT_HOP_RESOURCE_NOT_FOUND", "the route's next hop does not exist"),
    ("ROUTE_NEXT_HOP_VPN_TUNNEL_NOT_ESTABLISHED", "the route's VPN tunnel is not up"),
    ("ROUTING_LOOP", "routes send the packet in a circle: `egressim trace` shows it"),
    ("SIM_CONNECTION_REFUSED", "the host answered with a reset: nothing listens on that port"),
    ("SIM_CONNECTION_RESET", "the host reset an established connection"),
    (
        "SIM_CONNECTOR_PORTS_EXHAUSTED",
        "a connector VM had no free source port for that destination: more connector instances, or Direct VPC egress",
    ),
    (
        "SIM_EGRESS_NOT_OPEN",
        "the instance had just started and its way out was not open yet: retry at start-up, or keep instances warm",
    ),
    (
        "SIM_IDLE_EXPIRED",
        "the connection was silent for longer than Cloud NAT's idle timeout and lost its mapping: send keepalives more \
         often, or raise the timeout",
    ),
    ("SIM_MALFORMED_PACKET", "the packet's headers contradict each other or its length"),
    ("SIM_NO_ANSWER", "nobody answered, though nothing was dropped on the way"),
    ("SIM_NO_INSTANCE", "the workload had no running instance to connect from"),
    ("SIM_NO_SOURCE_PORT", "the instance itself had no free source port for that destination"),
    (
        "SIM_THROUGHPUT_EXCEEDED",
        "more was sent than the connector's instances carry: more or larger instances, or Direct VPC egress",
    ),
    (
        "SIM_UNSOLICITED",
        "it came from outside to a port where no connection of ours was ever open: scanners, or a server that spoke \
         first; harmless as a rule",
    ),
    ("TRAFFIC_TYPE_BLOCKED", "Google Cloud blocks this kind of traffic to the internet, TCP port 25 above all"),
    ("UNKNOWN_EXTERNAL_ADDRESS", "a public destination of Google's that belongs to no resource known here"),
    (
        "UNKNOWN_INTERNAL_ADDRESS",
        "no VM, host or other resource has this internal destination: is the address right, is the host declared?",
    ),
    ("VPC_CONNECTOR_NOT_RUNNING", "the connector is not READY and carries nothing: see its state"),
    (
        "VPC_CONNECTOR_NOT_SET",
        "a private destination, and the workload has neither a connector nor Direct VPC egress: attach it to a network",
    ),
    (
        "VPC_CONNECTOR_SERVERLESS_TRAFFIC_BLOCKED",
        "a firewall rule keeps Cloud Run from reaching the connector: allow its ranges to the connector's tag",
    ),
];

/// The cause in a sentence: the table's, which helps, else what the cause's own definition says. `None` for an unknown one.
pub(super) fn meaning(cause: &str) -> Option<&'static str> {
    match MEANINGS.binary_search_by_key(&cause, |(name, _)| name) {
        Ok(place) => Some(MEANINGS[place].1),
        Err(_) => DropCause::ALL.iter().find(|known| known.name() == cause).map(|known| known.meaning()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_every_cause_is_found() {
        assert!(MEANINGS.is_sorted_by_key(|(name, _)| name));
        assert!(meaning("OUT_OF_RESOURCES").is_some_and(|text| text.contains("TIME_WAIT")));
        assert_eq!(meaning("SIM_SOMETHING_NEW"), None);
    }

    #[test]
    fn every_drop_cause_and_failure_has_a_sentence() {
        assert!(DropCause::ALL.iter().all(|cause| meaning(cause.name()).is_some()));
        use crate::traffic::flows::Failure::{NoAnswer, NoInstance, NoSourcePort, Refused, Reset};
        assert!(
            [NoAnswer, NoInstance, NoSourcePort, Refused, Reset]
                .iter()
                .all(|failure| meaning(failure.name()).is_some())
        );
        assert_eq!(meaning("SIM_LINK_LOSS"), Some("lost on the way, by the link's loss rate"));
    }
}
