//! What Google makes by itself: the subnets of auto mode networks, and the firewall rules of the network `default`.

/// The range of an auto mode network's subnet in a region (<https://cloud.google.com/vpc/docs/subnets#ip-ranges>, as
/// `gcloud compute networks subnets list` shows them in 2025). The subnet is called like the network.
pub(super) fn range(region: &str) -> Option<&'static str> {
    RANGES.iter().find(|(of, _)| *of == region).map(|(_, range)| *range)
}

const RANGES: &[(&str, &str)] = &[
    ("us-central1", "10.128.0.0/20"),
    ("europe-west1", "10.132.0.0/20"),
    ("us-west1", "10.138.0.0/20"),
    ("asia-east1", "10.140.0.0/20"),
    ("us-east1", "10.142.0.0/20"),
    ("asia-northeast1", "10.146.0.0/20"),
    ("asia-southeast1", "10.148.0.0/20"),
    ("us-east4", "10.150.0.0/20"),
    ("australia-southeast1", "10.152.0.0/20"),
    ("europe-west2", "10.154.0.0/20"),
    ("europe-west3", "10.156.0.0/20"),
    ("southamerica-east1", "10.158.0.0/20"),
    ("asia-south1", "10.160.0.0/20"),
    ("northamerica-northeast1", "10.162.0.0/20"),
    ("europe-west4", "10.164.0.0/20"),
    ("europe-north1", "10.166.0.0/20"),
    ("us-west2", "10.168.0.0/20"),
    ("asia-east2", "10.170.0.0/20"),
    ("europe-west6", "10.172.0.0/20"),
    ("asia-northeast2", "10.174.0.0/20"),
    ("asia-northeast3", "10.178.0.0/20"),
    ("us-west3", "10.180.0.0/20"),
    ("us-west4", "10.182.0.0/20"),
    ("asia-southeast2", "10.184.0.0/20"),
    ("europe-central2", "10.186.0.0/20"),
    ("northamerica-northeast2", "10.188.0.0/20"),
    ("asia-south2", "10.190.0.0/20"),
    ("australia-southeast2", "10.192.0.0/20"),
    ("southamerica-west1", "10.194.0.0/20"),
    ("europe-west8", "10.198.0.0/20"),
    ("europe-west9", "10.200.0.0/20"),
    ("us-east5", "10.202.0.0/20"),
    ("europe-southwest1", "10.204.0.0/20"),
    ("us-south1", "10.206.0.0/20"),
    ("me-west1", "10.208.0.0/20"),
    ("europe-west12", "10.210.0.0/20"),
    ("me-central1", "10.212.0.0/20"),
    ("europe-west10", "10.214.0.0/20"),
    ("me-central2", "10.216.0.0/20"),
    ("africa-south1", "10.218.0.0/20"),
    ("northamerica-south1", "10.224.0.0/20"),
    ("europe-north2", "10.226.0.0/20"),
];

/// A rule that the network `default` of a new project has
/// (<https://cloud.google.com/firewall/docs/firewalls#more_rules_default_vpc>). All are for ingress, of priority 65534.
pub(super) struct DefaultRule {
    pub name: &'static str,
    pub source: &'static str,
    /// Protocol and ports.
    pub allowed: &'static [(&'static str, Option<&'static str>)],
}

pub(super) const DEFAULT_RULES: &[DefaultRule] = &[
    DefaultRule {
        name: "default-allow-internal",
        source: "10.128.0.0/9",
        allowed: &[("tcp", Some("0-65535")), ("udp", Some("0-65535")), ("icmp", None)],
    },
    DefaultRule { name: "default-allow-ssh", source: "0.0.0.0/0", allowed: &[("tcp", Some("22"))] },
    DefaultRule { name: "default-allow-rdp", source: "0.0.0.0/0", allowed: &[("tcp", Some("3389"))] },
    DefaultRule { name: "default-allow-icmp", source: "0.0.0.0/0", allowed: &[("icmp", None)] },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use ipnet::Ipv4Net;

    use super::*;

    #[test]
    fn the_ranges_are_different_parts_of_10_128_0_0_9() {
        let whole: Ipv4Net = "10.128.0.0/9".parse().expect("a range");
        let ranges: HashSet<Ipv4Net> = RANGES.iter().map(|(_, range)| range.parse().expect("a range")).collect();
        assert_eq!(ranges.len(), RANGES.len());
        assert!(ranges.iter().all(|range| whole.contains(range) && range.prefix_len() == 20));
        assert_eq!(range("europe-west4"), Some("10.164.0.0/20"));
        assert_eq!(range("mars-east1"), None);
    }
}
