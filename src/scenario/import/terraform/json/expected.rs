//! What an attribute refers to, by its name: the reference of a plan says only which values an expression is made of.

/// What an attribute refers to, as far as its name tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// Types of resources.
    pub kinds: &'static [&'static str],
    pub list: bool,
    /// The reference is by name, not by path.
    pub by_name: bool,
    /// The only resource of these types is likely to be meant.
    pub alone: bool,
}

impl Expected {
    /// Whether it says where packets go.
    pub fn matters(&self) -> bool {
        !self.kinds.is_empty() || self.list
    }
}

pub(super) const NETWORK: &[&str] = &["google_compute_network"];
pub(super) const SUBNETWORK: &[&str] = &["google_compute_subnetwork"];
const ADDRESSES: &[&str] = &["google_compute_address", "google_compute_global_address"];
const CONNECTOR: &[&str] = &["google_vpc_access_connector"];

/// What the attribute `leaf`, in a block `parent`, refers to.
pub(super) fn expected(leaf: &str, parent: &str) -> Expected {
    let (kinds, list): (&[&str], bool) = match (leaf, parent) {
        ("network" | "peer_network", _) => (NETWORK, false),
        ("subnetwork", _) | ("name", "subnetwork" | "subnet") => (SUBNETWORK, false),
        ("connector" | "vpc_connector" | "run.googleapis.com/vpc-access-connector", _) => (CONNECTOR, false),
        ("router", _) => (&["google_compute_router"], false),
        ("router_nat", _) => (&["google_compute_router_nat"], false),
        ("interface", _) => (&["google_compute_router_interface"], false),
        ("vpn_tunnel" | "next_hop_vpn_tunnel", _) => (&["google_compute_vpn_tunnel"], false),
        ("interconnect_attachment", _) => (&["google_compute_interconnect_attachment"], false),
        ("next_hop_instance", _) => (&["google_compute_instance"], false),
        // The address of one, by which the route means it.
        ("next_hop_ip", _) => (&["google_compute_instance", "google_compute_forwarding_rule"], false),
        ("next_hop_ilb", _) => (&["google_compute_forwarding_rule"], false),
        ("ip_address", _) => (ADDRESSES, false),
        ("firewall_policy", _) => (
            &[
                "google_compute_network_firewall_policy",
                "google_compute_region_network_firewall_policy",
                "google_compute_firewall_policy",
                "google_compute_network_firewall_policy_with_rules",
                "google_compute_region_network_firewall_policy_with_rules",
                "google_compute_firewall_policy_with_rules",
            ],
            false,
        ),
        ("attachment_target", _) => (&["google_compute_network", "google_folder"], false),
        ("nat_ips" | "drain_nat_ips" | "initial_nat_ips" | "source_nat_active_ips" | "source_nat_drain_ips", _) => {
            (ADDRESSES, true)
        }
        ("source_nat_active_ranges" | "source_nat_drain_ranges", _) => (SUBNETWORK, true),
        ("target_resources", _) => (NETWORK, true),
        (
            "target_service_accounts"
            | "source_service_accounts"
            | "source_ranges"
            | "destination_ranges"
            | "src_ip_ranges"
            | "dest_ip_ranges"
            | "source_tags"
            | "target_tags"
            | "tags"
            | "ports",
            _,
        ) => (&[], true),
        _ => (&[], false),
    };
    Expected { kinds, list, by_name: leaf == "ip_address", alone: leaf != "next_hop_ip" }
}
