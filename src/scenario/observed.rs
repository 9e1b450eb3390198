//! What was observed of a running network, checked: ranges of ports as numbers.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

/// What was observed. A list that was not given is `None`: nothing is compared with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// Ports of VMs.
    pub mappings: Option<BTreeSet<PortRange>>,
    /// How gateways are.
    pub statuses: Option<Vec<ObservedStatus>>,
    /// Which NAT IPs are in use.
    pub nat_ips: Option<Vec<ObservedNatIps>>,
}

/// A range of ports on a NAT IP that an interface of a VM has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortRange {
    /// The VM.
    pub instance: String,
    /// Primary address of the interface.
    pub address: Ipv4Addr,
    /// The NAT rule, unless it is the default rule.
    pub rule: Option<u32>,
    /// The NAT IP is being drained.
    pub draining: bool,
    /// NAT IP.
    pub nat_ip: Ipv4Addr,
    /// First port.
    pub first_port: u16,
    /// Last port.
    pub last_port: u16,
}

impl PortRange {
    /// The NAT IP and ports of `203.0.113.10:1024-1087`.
    pub(crate) fn parse(text: &str) -> Option<(Ipv4Addr, u16, u16)> {
        let (nat_ip, ports) = text.rsplit_once(':')?;
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then_some((nat_ip.parse().ok()?, first, last))
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}-{}", self.nat_ip, self.first_port, self.last_port)
    }
}

/// How a gateway is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedStatus {
    /// Its name.
    pub gateway: String,
    /// Its region, as the paths of its addresses tell.
    pub region: Option<String>,
    /// NAT IPs that Google chose, in Google's order.
    pub auto_allocated: Vec<Ipv4Addr>,
    /// NAT IPs that the user chose.
    pub user_allocated: Vec<Ipv4Addr>,
    /// NAT IPs to add so that every endpoint gets its ports.
    pub min_extra_nat_ips_needed: Option<u64>,
    /// Interfaces that hold ports.
    pub endpoints_with_mappings: Option<u64>,
}

/// The NAT IPs of a gateway, and whether each is in use where that is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedNatIps {
    /// Its name.
    pub gateway: String,
    /// Each address.
    pub nat_ips: Vec<(Ipv4Addr, Option<bool>)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_ports_has_both_its_ends() {
        let ip = Ipv4Addr::new(203, 0, 113, 10);
        assert_eq!(PortRange::parse("203.0.113.10:1024-1087"), Some((ip, 1024, 1087)));
        assert_eq!(PortRange::parse("203.0.113.10:1024"), Some((ip, 1024, 1024)));
        for text in ["", ":", "203.0.113.10", "203.0.113.10:9-8", "203.0.113.10:1-65536", "x:1-2", "203.0.113.10:-"] {
            assert_eq!(PortRange::parse(text), None, "{text}");
        }
    }
}
