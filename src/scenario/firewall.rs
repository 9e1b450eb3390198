//! Firewall rules and policies, checked: what the firewall of a network is built from.

use ipnet::IpNet;

/// A VPC firewall rule.
#[derive(Debug, Clone, PartialEq)]
pub struct VpcFirewallRule {
    /// Index into [`super::Scenario::networks`].
    pub network: usize,
    /// The rule.
    pub rule: FirewallRule,
}

/// A firewall policy.
#[derive(Debug, Clone, PartialEq)]
pub struct FirewallPolicy {
    /// What people call it: the display name of a hierarchical policy.
    pub name: String,
    /// Its resource's name: a number, for a hierarchical policy.
    pub id: String,
    /// Which policies it stands among.
    pub kind: FirewallPolicyKind,
    /// Of a regional policy: the region that it is for.
    pub region: Option<String>,
    /// Indices into [`super::Scenario::networks`].
    pub networks: Vec<usize>,
    /// Its own priority among policies, where an effective firewall tells one.
    pub priority: Option<u32>,
    /// Its rules by ascending priority.
    pub rules: Vec<FirewallRule>,
}

/// Kinds of firewall policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FirewallPolicyKind {
    /// Of an organization or a folder.
    Hierarchical,
    /// Google's own, for its services.
    System,
    /// Google's own, for its services, in one region.
    RegionalSystem,
    /// Global, of a network.
    Network,
    /// Regional, of a network.
    RegionalNetwork,
}

/// A rule, of a network or a policy.
#[derive(Debug, Clone, PartialEq)]
pub struct FirewallRule {
    /// Its name; empty for a policy's rule that has none.
    pub name: String,
    /// Which way, seen from the target.
    pub direction: FirewallDirection,
    /// The lower is evaluated first. In a policy it is unique; among VPC firewall rules deny wins a tie.
    pub priority: u32,
    /// What becomes of packets that match.
    pub action: FirewallAction,
    /// What traffic; empty never occurs (an entry for all protocols is `protocol: None`).
    pub matches: Vec<ProtocolMatch>,
    /// Senders; `None` is everybody.
    pub source: Option<FirewallPeers>,
    /// Receivers; `None` is everybody.
    pub destination: Option<FirewallPeers>,
    /// Applies to instances with one of these network tags; all target lists empty means all instances.
    pub target_tags: Vec<String>,
    /// Applies to instances that run as one of these service accounts.
    pub target_service_accounts: Vec<String>,
    /// Applies to VMs with one of these secure tags.
    pub target_secure_tags: Vec<String>,
    /// Of a hierarchical policy: applies in these networks (indices into [`super::Scenario::networks`]); `None` is all.
    pub target_networks: Option<Vec<usize>>,
    /// With [`FirewallAction::ApplySecurityProfileGroup`]: the group.
    pub security_profile_group: Option<String>,
    /// Ignored when true.
    pub disabled: bool,
    /// Firewall rules logging is on.
    pub logging: bool,
}

/// Direction of a firewall rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirewallDirection {
    /// Into the target.
    Ingress,
    /// Out of the target.
    Egress,
}

/// What a rule does. A VPC firewall rule allows or denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirewallAction {
    /// `allow`
    Allow,
    /// `deny`
    Deny,
    /// `goto_next`
    GotoNext,
    /// `apply_security_profile_group`
    ApplySecurityProfileGroup,
}

impl FirewallAction {
    /// Whether the packet passes.
    pub const fn passes(self) -> bool {
        matches!(self, FirewallAction::Allow | FirewallAction::ApplySecurityProfileGroup)
    }
}

/// One entry of protocols and ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolMatch {
    /// IANA protocol number; `None` is `all`.
    pub protocol: Option<u8>,
    /// Inclusive destination port ranges; empty means all.
    pub ports: Vec<(u16, u16)>,
}

/// Whose packets a rule is about, on one side; each field is another way to name them. What cannot be known here, such as
/// domain names, is left out: with nothing else, nobody is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FirewallPeers {
    /// Address ranges.
    pub ranges: Vec<IpNet>,
    /// Countries, as ISO 3166-1 alpha-3 in small letters: hosts that say so with `geoLocation.country`.
    pub countries: Vec<String>,
    /// Network tags of senders.
    pub tags: Vec<String>,
    /// Service accounts of senders.
    pub service_accounts: Vec<String>,
    /// Secure tags of senders.
    pub secure_tags: Vec<String>,
}

/// CPUs of a machine type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineCpus {
    /// A shared core.
    Shared,
    /// This many vCPUs.
    Whole(u32),
}

impl MachineCpus {
    /// Those of a machine type by its name: `e2-standard-4`, `n2-highcpu-8`, `custom-4-8192`, `n2-custom-6-3072`, `e2-micro`.
    /// `None` when the name tells no number.
    pub fn of(machine_type: &str) -> Option<MachineCpus> {
        // Custom types of E2 may have a shared core, too: `e2-custom-micro-2048`.
        let mut words = machine_type.split('-');
        let family = words.next()?;
        let mut words = words.skip_while(|word| *word == "custom");
        let first = words.next()?;
        if matches!((family, first), ("e2", "micro" | "small" | "medium") | ("f1", "micro") | ("g1", "small")) {
            return Some(MachineCpus::Shared);
        }
        // Accelerator machines count their GPUs or TPUs: a2-highgpu-1g has 12 vCPUs, the others have more.
        let accelerators = |word: &str| {
            let count = word.strip_suffix('g').or_else(|| word.strip_suffix('t'))?.parse::<u32>().ok()?;
            Some(count * 12)
        };
        let count = |word: &str| word.parse().ok().or_else(|| accelerators(word));
        std::iter::once(first).chain(words).find_map(count).filter(|&count| count > 0).map(MachineCpus::Whole)
    }
}

#[cfg(test)]
mod tests {
    use super::MachineCpus::{Shared, Whole};
    use super::*;

    #[test]
    fn a_machine_type_tells_its_cpus() {
        for (name, cpus) in [
            ("e2-micro", Some(Shared)),
            ("e2-medium", Some(Shared)),
            ("f1-micro", Some(Shared)),
            ("g1-small", Some(Shared)),
            ("e2-custom-small-3072", Some(Shared)),
            ("e2-standard-4", Some(Whole(4))),
            ("n2-highcpu-8", Some(Whole(8))),
            ("n1-standard-1", Some(Whole(1))),
            ("c3-standard-22-lssd", Some(Whole(22))),
            ("custom-4-8192", Some(Whole(4))),
            ("n2-custom-6-3072-ext", Some(Whole(6))),
            ("a2-highgpu-1g", Some(Whole(12))),
            ("c4a-highmem-16", Some(Whole(16))),
            ("n2-standard", None),
            ("standard", None),
        ] {
            assert_eq!(MachineCpus::of(name), cpus, "{name}");
        }
    }
}
