//! Networks and subnets: declarations, default routes, overlapping ranges.

use ipnet::Ipv4Net;

use super::{Resolver, SubnetworkDetail};
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::compute::{self, EnforcementOrder, StackType, SubnetworkPurpose};
use crate::scenario::{Network, RoutingMode, Subnetwork};

/// Ranges that no subnet can have (<https://cloud.google.com/vpc/docs/subnets#prohibited-ipv4-ranges>, 2026-04).
const PROHIBITED: [(&str, &str); 7] = [
    ("0.0.0.0/8", "the local network"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local addresses"),
    ("224.0.0.0/4", "multicast"),
    ("199.36.153.4/30", "Google APIs"),
    ("199.36.153.8/30", "Google APIs"),
    ("255.255.255.255/32", "broadcast"),
];

/// MTU of a network that says none (<https://docs.cloud.google.com/vpc/docs/mtu>, 2026).
pub(super) const DEFAULT_MTU: u32 = 1460;

/// Where Google puts the subnets of auto mode networks.
const AUTO_MODE: &str = "10.128.0.0/9";

impl Resolver<'_> {
    pub(super) fn networks(&mut self) {
        for network in &self.file.networks {
            let mtu = network.mtu.as_ref().and_then(|mtu| self.bounded(mtu, 1300..=8896, "mtu"));
            let declared = self.networks.declare(&network.name, None, self.out.networks.len());
            if self.ok(declared).is_some() {
                let order = network.network_firewall_policy_enforcement_order.as_ref();
                let mode = network.routing_config.as_ref().and_then(|config| config.routing_mode.as_ref());
                let global = mode.is_some_and(|mode| mode.value == compute::RoutingMode::Global);
                let internal_ipv6 = self.network_ipv6(network, self.out.networks.len());
                self.out.networks.push(Network {
                    name: network.name.name().to_owned(),
                    internal_ipv6,
                    mtu: mtu.map_or(DEFAULT_MTU, |mtu| mtu as u32),
                    policies_before_rules: order
                        .is_some_and(|order| order.value == EnforcementOrder::BeforeClassicFirewall),
                    routing_mode: if global { RoutingMode::Global } else { RoutingMode::Regional },
                    peerings: Vec::new(),
                });
            }
        }
    }

    pub(super) fn subnetworks(&mut self) {
        for subnetwork in &self.file.subnetworks {
            if subnetwork.stack_type.as_ref().is_some_and(|stack| stack.value == StackType::Ipv6Only) {
                self.subnetworks.lost.insert(subnetwork.name.name().to_owned());
                continue;
            }
            let network = self.networks.lookup(&subnetwork.network, None);
            let network = self.ok(network).flatten();
            let region = self.region(subnetwork.region.as_ref(), &subnetwork.name, subnetwork.place);
            let range = self.required_range(
                subnetwork.ip_cidr_range.as_ref(),
                &subnetwork.name,
                subnetwork.place,
                "ipCidrRange",
            );
            let range_place = subnetwork.ip_cidr_range.as_ref().map_or(subnetwork.name.place, |range| range.place);
            if let Some(range) = range {
                self.check_subnet_range(range, range_place);
            }
            let mut secondary = Vec::new();
            for alias in subnetwork.secondary_ip_ranges.iter().flatten() {
                if let Some(range) = self.range(&alias.ip_cidr_range) {
                    self.check_subnet_range(range, alias.ip_cidr_range.place);
                    secondary.push((alias.range_name.name().to_owned(), range));
                }
            }
            let (Some(network), Some(region), Some(range)) = (network, region, range) else {
                self.subnetworks.lost.insert(subnetwork.name.name().to_owned());
                continue;
            };
            let declared = self.subnetworks.declare(&subnetwork.name, Some(&region), self.out.subnetworks.len());
            if self.ok(declared).is_none() {
                continue;
            }
            let purpose = subnetwork.purpose.as_ref().map_or(SubnetworkPurpose::Private, |purpose| purpose.value);
            self.details.subnetworks.push(SubnetworkDetail {
                place: subnetwork.name.place,
                range: range_place,
                hosts_vms: matches!(purpose, SubnetworkPurpose::Private | SubnetworkPurpose::PrivateRfc1918),
                automatic: false,
            });
            let ipv6 = self.subnetwork_ipv6(subnetwork, network);
            self.out.subnetworks.push(Subnetwork {
                name: subnetwork.name.name().to_owned(),
                ipv6,
                network,
                region,
                range,
                secondary,
                private_google_access: subnetwork.private_ip_google_access.as_ref().is_some_and(|on| on.value),
                hybrid: subnetwork.allow_subnet_cidr_routes_overlap.unwrap_or(false),
                private_nat: purpose == SubnetworkPurpose::PrivateNat,
            });
        }
    }

    fn check_subnet_range(&mut self, range: Ipv4Net, place: Place) {
        if !(4..=29).contains(&range.prefix_len()) {
            let message =
                format!("{range} cannot be a subnet: its prefix is /{}, expected /4 to /29", range.prefix_len());
            self.push(Diagnostic::rejected("bad-range", message).at(place));
        }
        for (text, what) in PROHIBITED {
            let prohibited: Ipv4Net = text.parse().expect("the constant is a range");
            if prohibited.contains(&range) || range.contains(&prohibited) {
                let message = format!("{range} cannot be a subnet: {prohibited} is for {what}");
                self.push(
                    Diagnostic::rejected("bad-range", message)
                        .at(place)
                        .help("use a range of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"),
                );
            }
        }
    }

    /// Ranges of one network, connectors' included, are disjoint.
    pub(super) fn check_overlaps(&mut self) {
        let mut ranges: Vec<(usize, Ipv4Net, usize, String)> = Vec::new();
        for (at, subnetwork) in self.out.subnetworks.iter().enumerate() {
            ranges.push((subnetwork.network, subnetwork.range, at, format!("subnet `{}`", subnetwork.name)));
            for (name, range) in &subnetwork.secondary {
                let what = format!("range `{name}` of subnet `{}`", subnetwork.name);
                ranges.push((subnetwork.network, *range, at, what));
            }
        }
        // Sorted, a range overlaps an earlier one exactly if it begins before the farthest end so far; for CIDR ranges that
        // means it lies inside the one that reaches there.
        ranges.sort_by_key(|(network, range, ..)| (*network, range.network(), range.prefix_len()));
        let mut widest: Option<&(usize, Ipv4Net, usize, String)> = None;
        let mut found = Vec::new();
        for current in &ranges {
            match widest {
                Some(wide) if wide.0 == current.0 && wide.1.contains(&current.1) => {
                    let details = &self.details.subnetworks;
                    let (first, second) = if details[wide.2].place <= details[current.2].place {
                        (wide, current)
                    } else {
                        (current, wide)
                    };
                    let message = format!("{} of {} overlaps {} of {}", second.1, second.3, first.1, first.3);
                    let free = "ranges of one network must be disjoint: choose an unused one";
                    found.push(
                        Diagnostic::rejected("overlapping-ranges", message)
                            .at(details[second.2].range)
                            .label(format!("overlaps {}", first.1))
                            .related(details[first.2].range, format!("{} is taken here", first.1))
                            .help(free),
                    );
                }
                _ => widest = Some(current),
            }
        }
        let auto_mode: Ipv4Net = AUTO_MODE.parse().expect("the constant is a range");
        for (at, subnetwork) in self.out.subnetworks.iter().enumerate() {
            let name = &self.out.networks[subnetwork.network].name;
            let network = self.file.networks.iter().find(|network| network.name.name() == name);
            let automatic =
                network.and_then(|network| network.auto_create_subnetworks.as_ref()).is_some_and(|auto| auto.value);
            if automatic && self.details.subnetworks[at].automatic && auto_mode.contains(&subnetwork.range) {
                let message = format!(
                    "{} lies in {AUTO_MODE}, where network `{name}` of auto mode has its subnets",
                    subnetwork.range
                );
                found.push(
                    Diagnostic::rejected("overlapping-ranges", message)
                        .at(self.details.subnetworks[at].range)
                        .help("choose a range outside, such as 10.8.0.0/28"),
                );
            }
        }
        self.diagnostics.extend(found);
    }

    /// What a scenario may hold and this version does not take into account.
    pub(super) fn not_simulated(&mut self) {
        let file = self.file;
        for network in &file.networks {
            let auto = network.auto_create_subnetworks.as_ref().filter(|auto| auto.value);
            let used =
                self.out.subnetworks.iter().any(|subnet| self.out.networks[subnet.network].name == network.name.name());
            // Who sends nothing into a network needs no subnet.
            if let (Some(auto), false, false) = (auto, used, self.out.workloads.is_empty()) {
                let message = format!("the automatic subnets of network `{}` are not made", network.name.name());
                self.push(
                    Diagnostic::warning("not-simulated", message)
                        .at(auto.place)
                        .help("list the subnets in use under `subnetworks:`"),
                );
            }
        }
        for subnetwork in &file.subnetworks {
            if let Some(stack) = subnetwork.stack_type.as_ref().filter(|stack| stack.value == StackType::Ipv6Only) {
                let message = format!(
                    "subnet `{}` has IPv6 only, which Cloud Run does not use: it is left out, and whatever is in it",
                    subnetwork.name.name()
                );
                self.push(Diagnostic::warning("not-simulated", message).at(stack.place));
            }
        }
    }
}
