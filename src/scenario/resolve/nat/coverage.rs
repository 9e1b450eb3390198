//! What of which subnets a gateway serves: its own network and region only.

use super::super::Resolver;
use crate::scenario::Covered;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::file::nat::{NatSubnetwork, RouterNat, SourceRanges, SubnetworkRanges};
use crate::scenario::value::At;

/// Listed subnets of one gateway.
const MAX_SUBNETWORKS: usize = 50;

impl Resolver<'_> {
    /// What of which subnets a gateway serves.
    pub(super) fn coverage(&mut self, nat: &At<RouterNat>, network: usize, region: &str) -> Option<Vec<Covered>> {
        if let Some(ranges) = &nat.source_subnetwork_ip_ranges_to_nat64 {
            self.push(Diagnostic::warning("not-simulated", "NAT64 is not simulated").at(ranges.place));
        }
        let Some(ranges) = &nat.source_subnetwork_ip_ranges_to_nat else {
            if !self.is_lost(nat.place, "sourceSubnetworkIpRangesToNat") {
                let message = "the gateway does not say which subnets it serves";
                self.push(
                    Diagnostic::rejected("nat-subnets", message)
                        .at(nat.name.as_ref().map_or(nat.place, |name| name.place))
                        .help("add `sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES`"),
                );
            }
            return None;
        };
        if ranges.value != SourceRanges::ListOfSubnetworks {
            if let Some(list) = nat.subnetworks.as_ref().filter(|list| !list.is_empty()) {
                self.push(
                    Diagnostic::rejected("nat-subnets", "a list of subnets without LIST_OF_SUBNETWORKS")
                        .at(list.place)
                        .help("write `sourceSubnetworkIpRangesToNat: LIST_OF_SUBNETWORKS`, or remove the list"),
                );
            }
            let mut covered = Vec::new();
            for (at, subnet) in self.out.subnetworks.iter().enumerate() {
                if subnet.network == network && subnet.region == region && self.details.subnetworks[at].hosts_vms {
                    covered.push(Covered { subnetwork: at, range: subnet.range });
                    if ranges.value == SourceRanges::AllSubnetworksAllIpRanges {
                        covered.extend(
                            subnet.secondary.iter().map(|(_, range)| Covered { subnetwork: at, range: *range }),
                        );
                    }
                }
            }
            return Some(covered);
        }
        let Some(list) = nat.subnetworks.as_ref().filter(|list| !list.is_empty()) else {
            if !self.is_lost(nat.place, "subnetworks") {
                self.push(
                    Diagnostic::rejected("nat-subnets", "LIST_OF_SUBNETWORKS without a list of subnets")
                        .at(ranges.place)
                        .help("add `subnetworks: [{name: …, sourceIpRangesToNat: [ALL_IP_RANGES]}]`"),
                );
            }
            return None;
        };
        if let Some(excess) = list.get(MAX_SUBNETWORKS) {
            let message = format!("{} subnets in a gateway's list, at most {MAX_SUBNETWORKS}", list.len());
            self.push(Diagnostic::rejected("too-many", message).at(excess.place));
        }
        let mut covered = Vec::new();
        for entry in &list.value {
            self.listed_subnet(entry, network, region, &mut covered);
        }
        Some(covered)
    }

    fn listed_subnet(&mut self, entry: &At<NatSubnetwork>, network: usize, region: &str, covered: &mut Vec<Covered>) {
        let found = self.subnetworks.lookup(&entry.value.name, Some(region));
        let Some(at) = self.ok(found).flatten() else { return };
        let subnet = self.out.subnetworks[at].clone();
        let place = entry.value.name.place;
        if subnet.region != region {
            let message = format!("subnet `{}` is in {}, its gateway in {region}", subnet.name, subnet.region);
            self.push(
                Diagnostic::rejected("region-mismatch", message)
                    .at(place)
                    .help("a gateway serves the subnets of its own region and network"),
            );
            return;
        }
        if subnet.network != network {
            let message = format!(
                "subnet `{}` is of network `{}`, its gateway of `{}`",
                subnet.name, self.out.networks[subnet.network].name, self.out.networks[network].name
            );
            self.push(
                Diagnostic::rejected("network-mismatch", message)
                    .at(place)
                    .help("a gateway serves the subnets of its own region and network"),
            );
            return;
        }
        let mut add = |range| {
            let range = Covered { subnetwork: at, range };
            if !covered.contains(&range) {
                covered.push(range);
            }
        };
        let all = At::from(SubnetworkRanges::AllIpRanges);
        let choices = entry.source_ip_ranges_to_nat.as_deref().filter(|choices| !choices.is_empty());
        for choice in choices.unwrap_or(&[all]) {
            match choice.value {
                SubnetworkRanges::PrimaryIpRange => add(subnet.range),
                SubnetworkRanges::AllIpRanges => {
                    add(subnet.range);
                    subnet.secondary.iter().for_each(|(_, range)| add(*range));
                }
                SubnetworkRanges::ListOfSecondaryIpRanges => {
                    for name in entry.secondary_ip_range_names.iter().flatten() {
                        match subnet.secondary.iter().find(|(known, _)| known == name.name()) {
                            Some((_, range)) => add(*range),
                            None => {
                                let names: Vec<&str> = subnet.secondary.iter().map(|(name, _)| name.as_str()).collect();
                                let message =
                                    format!("subnet `{}` has no secondary range `{}`", subnet.name, name.name());
                                let help = if names.is_empty() {
                                    "it has none".to_owned()
                                } else {
                                    format!("it has {}", names.join(", "))
                                };
                                self.diagnostics
                                    .push(Diagnostic::unusable("unknown-reference", message).at(name.place).help(help));
                            }
                        }
                    }
                }
            }
        }
    }
}
