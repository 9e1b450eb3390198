//! Peerings: which networks exchange routes, and what is known of those that the scenario does not describe.
//!
//! <https://docs.cloud.google.com/vpc/docs/vpc-peering>, 2026. A peering is active when both networks have made it. The
//! ranges of a network that is not described are those allocated for it (private services access), those of exported
//! `nextHopPeering` routes, and its hosts' addresses.

use ipnet::Ipv4Net;
use prefix_trie::PrefixMap;

use super::Resolver;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::compute::{self, AddressPurpose, PeeringState, StackType};
use crate::scenario::routing::OutsidePeer;
use crate::scenario::value::At;
use crate::scenario::{Peer, Peering};

/// How Google's service networks, and the peerings with them, are called.
pub(super) const MANAGED: &str = "servicenetworking";
/// How the projects end that hold them.
const TENANT_PROJECT: &str = "-tp/";

impl Resolver<'_> {
    /// After all subnets and connectors.
    pub(super) fn peerings(&mut self) {
        for network in &self.file.networks {
            let Ok(Some(at)) = self.networks.lookup(&network.name, None) else { continue };
            for peering in network.peerings.iter().flatten() {
                let resolved = self.peering(at, peering);
                let twice = self.out.networks[at].peerings.iter().any(|other| other.name == resolved.name);
                if twice {
                    let message = format!("two peerings of a network are named `{}`", resolved.name);
                    let help = "rename or remove one";
                    self.push(Diagnostic::unusable("duplicate-name", message).at(peering.name.place).help(help));
                    continue;
                }
                self.out.networks[at].peerings.push(resolved);
            }
        }
        self.check_peer_overlaps();
        self.allocated_ranges();
    }

    fn peering(&mut self, network: usize, peering: &At<compute::Peering>) -> Peering {
        let own = &self.out.networks[network].name;
        let name = peering.name.name();
        let other = peering.network.as_ref().map_or(name, |network| network.name());
        let described = self.networks.index.get(other).and_then(|known| known.first()).filter(|_| other != own);
        let wanted = peering.state.as_ref().is_none_or(|state| state.value == PeeringState::Active);
        let (peer, answered) = match described {
            Some(known) => {
                let theirs = self.file.networks.iter().find(|network| network.name.name() == other);
                let theirs = theirs.and_then(|network| network.peerings.as_ref()).into_iter().flatten();
                let back = |theirs: &&At<compute::Peering>| {
                    let active = theirs.state.as_ref().is_none_or(|state| state.value == PeeringState::Active);
                    active && theirs.network.as_ref().map_or(theirs.name.name(), |network| network.name()) == own
                };
                (Peer::Network(known.at), theirs.into_iter().find(back).is_some())
            }
            None => {
                let path = peering.network.as_ref().map_or(name, |network| network.as_str());
                let managed = name.contains(MANAGED) || other.contains(MANAGED) || path.contains(TENANT_PROJECT);
                (Peer::Outside(OutsidePeer { name: other.to_owned(), managed, ranges: Vec::new() }), true)
            }
        };
        if !answered {
            let message =
                format!("peering `{name}` of network `{own}` is inactive: network `{other}` has none in return");
            let help = format!("add a peering with `network: {own}` to network `{other}`");
            self.push(Diagnostic::warning("peering-inactive", message).at(peering.name.place).help(help));
        } else if let Some(state) = peering.state.as_ref().filter(|_| !wanted) {
            let message = format!("peering `{name}` is INACTIVE: it exchanges no routes");
            self.push(Diagnostic::warning("peering-inactive", message).at(state.place).help("make it from both sides"));
        }
        Peering {
            name: name.to_owned(),
            peer,
            active: wanted && answered,
            export_custom_routes: peering.export_custom_routes.unwrap_or(false),
            import_custom_routes: peering.import_custom_routes.unwrap_or(false),
            exchange_subnet_routes: peering.exchange_subnet_routes.unwrap_or(true),
            export_public_subnets: peering.export_subnet_routes_with_public_ip.unwrap_or(true),
            import_public_subnets: peering.import_subnet_routes_with_public_ip.unwrap_or(false),
            ipv6: peering.stack_type.as_ref().is_some_and(|stack| stack.value == StackType::Ipv4Ipv6),
        }
    }

    /// Subnets of peered networks do not overlap.
    fn check_peer_overlaps(&mut self) {
        let mut found = Vec::new();
        for (at, network) in self.out.networks.iter().enumerate() {
            for peering in network.peerings.iter().filter(|peering| peering.active) {
                let Peer::Network(other) = peering.peer else { continue };
                // Each pair once.
                if other < at {
                    continue;
                }
                let theirs: PrefixMap<Ipv4Net, usize> = self.ranges_of(other).collect();
                for (range, subnet) in self.ranges_of(at) {
                    let wider = theirs.get_lpm(&range).map(|(range, subnet)| (range, *subnet));
                    let overlapping = wider.or_else(|| theirs.children(&range).next().map(|(range, at)| (range, *at)));
                    let Some((with, whose)) = overlapping else { continue };
                    let (own, their) = (&self.out.subnetworks[subnet], &self.out.subnetworks[whose]);
                    let message = format!(
                        "{range} of subnet `{}` overlaps {with} of subnet `{}` in peered network `{}`",
                        own.name, their.name, self.out.networks[other].name
                    );
                    let details = &self.details.subnetworks;
                    found.push(
                        Diagnostic::rejected("overlapping-ranges", message)
                            .at(details[subnet].range)
                            .related(details[whose].range, format!("{with} is taken here"))
                            .help("ranges of peered networks must be disjoint: choose an unused one"),
                    );
                }
            }
        }
        self.diagnostics.extend(found);
    }

    /// All ranges of a network's subnets, with the subnet.
    pub(super) fn ranges_of(&self, network: usize) -> impl Iterator<Item = (Ipv4Net, usize)> + '_ {
        let subnets = self.out.subnetworks.iter().enumerate().filter(move |(_, subnet)| subnet.network == network);
        subnets.flat_map(|(at, subnet)| {
            let secondary = subnet.secondary.iter().map(|(_, range)| *range);
            std::iter::once(subnet.range).chain(secondary).map(move |range| (range, at))
        })
    }

    /// Ranges with `purpose: VPC_PEERING` lie behind the peering with Google's service network.
    fn allocated_ranges(&mut self) {
        for address in &self.file.addresses {
            if address.purpose.as_ref().is_none_or(|purpose| purpose.value != AddressPurpose::VpcPeering) {
                continue;
            }
            let Some(network) = &address.network else {
                if !self.is_lost(address.place, "network") {
                    let message = format!("address `{}` does not say in which network it is", address.name.name());
                    self.push(
                        Diagnostic::unusable("missing-field", message).at(address.name.place).help("add `network:`"),
                    );
                }
                continue;
            };
            let found = self.networks.lookup(network, None);
            let Some(network) = self.ok(found).flatten() else { continue };
            let length = match &address.prefix_length {
                Some(length) => self.bounded(length, 8..=30, "prefixLength of an allocated range"),
                None if self.is_lost(address.place, "prefixLength") => None,
                None => {
                    let message = format!("allocated range `{}` has no prefixLength", address.name.name());
                    let help = "add `prefixLength: 16`";
                    self.push(Diagnostic::unusable("missing-field", message).at(address.name.place).help(help));
                    None
                }
            };
            let first = address.address.as_ref().and_then(|address| address.v4());
            let range = first.zip(length).and_then(|(first, length)| Ipv4Net::new(first, length as u8).ok());
            let Some(range) = range.map(|range| range.trunc()) else { continue };
            self.allocate(network, range, address.name.name(), address.name.place);
        }
    }

    fn allocate(&mut self, network: usize, range: Ipv4Net, name: &str, place: Place) {
        let outside = self.out.networks[network].peerings.iter_mut().filter_map(|peering| match &mut peering.peer {
            Peer::Outside(outside) => Some(outside),
            Peer::Network(_) => None,
        });
        // The service network's, if there is one.
        let chosen = outside.max_by_key(|outside| outside.managed);
        match chosen {
            Some(outside) => outside.ranges.push(range.into()),
            None => {
                let message = format!(
                    "range `{name}` is allocated for a peering, and network `{}` has none with a service network",
                    self.out.networks[network].name
                );
                let help = "add `peerings: [{name: servicenetworking-googleapis-com, network: servicenetworking}]`";
                self.push(Diagnostic::warning("allocated-range-unused", message).at(place).help(help));
            }
        }
    }

    /// The outside peer of this name, or behind a peering of this name.
    pub(super) fn has_outside_peer(&self, name: &str) -> bool {
        self.out.networks.iter().flat_map(|network| &network.peerings).any(
            |peering| matches!(&peering.peer, Peer::Outside(outside) if outside.name == name || peering.name == name),
        )
    }

    /// Hosts in peered networks that are not described are in subnets of theirs.
    pub(super) fn ranges_of_outside_hosts(&mut self) {
        for host in &self.out.hosts {
            let crate::scenario::HostLocation::Peer(name) = &host.location else { continue };
            let peerings = self.out.networks.iter_mut().flat_map(|network| &mut network.peerings);
            for peering in peerings {
                let Peer::Outside(outside) = &mut peering.peer else { continue };
                if outside.name != *name && peering.name != *name {
                    continue;
                }
                for range in &host.addresses {
                    if !outside.ranges.iter().any(|known| known.contains(range)) {
                        outside.ranges.push(*range);
                    }
                }
            }
        }
    }
}
