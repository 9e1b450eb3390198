//! NAT IPs by rule: what must hold within a list, among the lists of a gateway, and among gateways.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use super::super::Resolver;
use super::{NatIp, RuleIps};
use crate::scenario::NetworkTier;
use crate::scenario::diagnostic::Diagnostic;

/// As Google spells it.
pub(super) fn tier_name(tier: NetworkTier) -> &'static str {
    match tier {
        NetworkTier::Premium => "PREMIUM",
        NetworkTier::Standard => "STANDARD",
    }
}

impl Resolver<'_> {
    /// Checks the lists of a gateway, its own first.
    pub(super) fn check_lists(&mut self, lists: &[RuleIps]) {
        let mut taken: HashMap<Ipv4Addr, (&RuleIps, &NatIp)> = HashMap::new();
        for list in lists {
            if let Some((one, other)) = two_tiers(&list.active) {
                let message = format!(
                    "{} is {} and {} {}: the NAT IPs of {} must have one network tier",
                    one.address,
                    tier_name(one.tier),
                    other.address,
                    tier_name(other.tier),
                    list.owner()
                );
                self.push(
                    Diagnostic::rejected("mixed-network-tiers", message)
                        .at(other.place)
                        .related(one.place, tier_name(one.tier))
                        .help("keep the addresses of one tier, and put the others into another rule"),
                );
            }
            for ip in list.all() {
                let Some((other, first)) = taken.get(&ip.address) else {
                    taken.insert(ip.address, (list, ip));
                    continue;
                };
                if other.number == list.number {
                    self.push(
                        Diagnostic::rejected("nat-ip-twice", format!("{} is listed twice", ip.address))
                            .at(ip.place)
                            .related(first.place, "first listed here")
                            .help("an address is either active or being drained"),
                    );
                    continue;
                }
                // Google advises it ("we recommend that you don't use these IP addresses for other destinations") and does
                // not say that it insists.
                let message = format!(
                    "NAT IP {} is used by {} and by {}: who sees it cannot tell which",
                    ip.address,
                    other.owner(),
                    list.owner()
                );
                self.push(
                    Diagnostic::warning("nat-ip-in-two-rules", message)
                        .at(ip.place)
                        .related(first.place, "used here")
                        .help("give each rule addresses of its own, as Google advises"),
                );
            }
        }
    }

    /// Checks that a gateway, the one with this index, uses no NAT IP of another.
    pub(super) fn not_shared(&mut self, name: &str, index: usize, lists: &[RuleIps]) {
        let mut found = Vec::new();
        let others = self.out.nat_gateways.iter().zip(&self.details.gateways).enumerate();
        let others = others.filter(|(at, _)| *at != index);
        let used: HashMap<Ipv4Addr, (&str, &NatIp)> = others
            .flat_map(|(_, (gateway, detail))| {
                let ips = detail.ips.iter().flat_map(RuleIps::all);
                ips.map(|ip| (ip.address, (gateway.name.as_str(), ip)))
            })
            .collect();
        for ip in lists.iter().flat_map(RuleIps::all) {
            if let Some((other, first)) = used.get(&ip.address) {
                let message = format!("NAT IP {} is used by gateways `{other}` and `{name}`", ip.address);
                found.push(
                    Diagnostic::rejected("nat-ip-shared", message)
                        .at(ip.place)
                        .related(first.place, "used here")
                        .help("a NAT IP belongs to one gateway: reserve another address"),
                );
            }
        }
        self.diagnostics.extend(found);
    }
}

/// Two addresses of different tiers. Those being drained are not asked: Google forbids to undrain across tiers, which
/// could not happen if they had to have the tier of the active ones.
pub(super) fn two_tiers(active: &[NatIp]) -> Option<(&NatIp, &NatIp)> {
    let first = active.first()?;
    let other = active.iter().find(|ip| ip.tier != first.tier)?;
    Some((first, other))
}
