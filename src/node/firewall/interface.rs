//! Who is attached to a network: its addresses, what rules can know it by, and how many connections it can have.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::node::IdlePolicy;
use crate::time::SimTime;

/// Whoever is attached to the network.
#[derive(Debug, Clone)]
pub struct Interface {
    /// Whose it is.
    pub name: Arc<str>,
    /// What has it.
    pub kind: InterfaceKind,
    /// Its addresses; the first is the primary one.
    pub addresses: Vec<IpNet>,
    /// Its region, if that is known: regional policies are for one.
    pub region: Option<Arc<str>>,
    /// Network tags.
    pub tags: Vec<String>,
    /// Service account.
    pub service_account: Option<String>,
    /// Secure tags: values such as `tagValues/456`.
    pub secure_tags: Vec<String>,
    /// The VM runs.
    pub running: bool,
    /// How many connections can be tracked at a time.
    pub tracked_max: u32,
    /// What becomes of a TCP connection that was idle for too long.
    pub idle: IdlePolicy,
}

/// What an interface belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InterfaceKind {
    /// A VM of Compute Engine, or a host.
    Vm,
    /// A VM of a Serverless VPC Access connector.
    ConnectorVm,
    /// A Cloud Run instance with Direct VPC egress.
    DirectVpc {
        /// It accepts connections: worker pools do.
        ingress: bool,
        /// Other interfaces' rules know it by its service account: observed of the first instance of a revision.
        account_known: bool,
        /// From when on other interfaces' rules know it by its network tags.
        tags_known_at: SimTime,
    },
}

/// CPUs of a machine, as far as the number of its tracked connections depends on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cpus {
    /// A shared core: `e2-micro`, `e2-small`, `e2-medium`, `f1-micro`, `g1-small`.
    Shared,
    /// This many vCPUs.
    Whole(u32),
}

/// Tracked connections of a shared core, and of each vCPU.
const TRACKED_PER_CPU: u32 = 130_000;
/// vCPUs beyond which a machine gets no more.
const TRACKED_CPUS_MAX: u32 = 8;

impl Cpus {
    /// The most connections that are tracked at a time. Google's table: 130,000 for a shared core, 130,000 for each vCPU of
    /// 1 to 8, 1,040,000 above (<https://docs.cloud.google.com/firewall/docs/firewalls#connection-tracking>, quoted 2026).
    pub const fn tracked_max(self) -> u32 {
        let cpus = match self {
            Cpus::Shared | Cpus::Whole(0) => 1,
            Cpus::Whole(cpus) if cpus > TRACKED_CPUS_MAX => TRACKED_CPUS_MAX,
            Cpus::Whole(cpus) => cpus,
        };
        TRACKED_PER_CPU * cpus
    }
}

impl Interface {
    /// The interface of a running VM that rules know by its addresses only, on a machine without limits.
    pub fn vm<N: Into<IpNet>>(name: Arc<str>, addresses: impl IntoIterator<Item = N>) -> Interface {
        Interface {
            name,
            kind: InterfaceKind::Vm,
            addresses: addresses.into_iter().map(Into::into).collect(),
            region: None,
            tags: Vec::new(),
            service_account: None,
            secure_tags: Vec::new(),
            running: true,
            tracked_max: u32::MAX,
            idle: IdlePolicy::NewFlow,
        }
    }

    /// Whether it has this address.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|range| range.contains(&address))
    }

    /// Whether this is its primary address, of either IP version. Alias ranges are IPv4.
    pub(super) fn is_primary(&self, address: IpAddr) -> bool {
        address.is_ipv6() || self.addresses.first().is_some_and(|primary| primary.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracked_connections_grow_with_the_cpus_up_to_eight() {
        let sizes = [Cpus::Shared, Cpus::Whole(1), Cpus::Whole(4), Cpus::Whole(8), Cpus::Whole(16)];
        let sizes = sizes.map(Cpus::tracked_max);
        // An e2-micro of a connector has 130,000, an e2-standard-4 has 4 × 130,000.
        assert_eq!(sizes, [130_000, 130_000, 520_000, 1_040_000, 1_040_000]);
    }
}
