//! IPv6 ranges of networks, subnets and VMs.
//!
//! Google: a subnet's IPv6 range is a /64, internal or external by its `ipv6AccessType`; internal ones are parts of the /48 of
//! their network, which is one of fd20::/20; an interface has a /96 (<https://docs.cloud.google.com/vpc/docs/subnets#ipv6-ranges>,
//! 2026). What a plan leaves to Google gets a range here that is always the same: of fd20::/20, or of the range for
//! documentation.

use std::net::Ipv6Addr;

use ipnet::{IpNet, Ipv6Net};

use super::Resolver;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::compute::{Ipv6AccessType, Network, StackType, Subnetwork};
use crate::scenario::value::{At, Cidr};
use crate::scenario::{self, SubnetworkIpv6};

/// Of all internal ranges.
const INTERNAL: (Ipv6Addr, u8) = (Ipv6Addr::new(0xfd20, 0, 0, 0, 0, 0, 0, 0), 20);
/// RFC 3849: stands in for external ranges that the scenario does not say.
const DOCUMENTATION: u128 = 0x2001_0db8 << 96;
const NETWORK_PREFIX: u8 = 48;
const SUBNETWORK_PREFIX: u8 = 64;
/// Of an interface.
const INTERFACE_PREFIX: u8 = 96;

impl Resolver<'_> {
    /// The internal IPv6 range of a network, if it has one.
    pub(super) fn network_ipv6(&mut self, network: &Network, at: usize) -> Option<Ipv6Net> {
        let enabled = network.enable_ula_internal_ipv6.as_ref().is_some_and(|enabled| enabled.value);
        let Some(written) = &network.internal_ipv6_range else {
            let first = u128::from(INTERNAL.0) | (at as u128 + 1) << (128 - u32::from(NETWORK_PREFIX));
            return enabled.then(|| net(first, NETWORK_PREFIX));
        };
        let range = self.ipv6_range(written, NETWORK_PREFIX, "internalIpv6Range of a network")?;
        let whole = Ipv6Net::new(INTERNAL.0, INTERNAL.1).expect("the constant is a range");
        if !whole.contains(&range) {
            let message = format!("{range} is no internal IPv6 range: it is not in {whole}");
            self.push(Diagnostic::rejected("bad-range", message).at(written.place));
        }
        Some(range)
    }

    /// The IPv6 range of a subnet, if it is dual-stack.
    pub(super) fn subnetwork_ipv6(&mut self, subnetwork: &Subnetwork, network: usize) -> Option<SubnetworkIpv6> {
        let stack = subnetwork.stack_type.as_ref().filter(|stack| stack.value == StackType::Ipv4Ipv6)?;
        let name = subnetwork.name.name();
        let access = match (&subnetwork.ipv6_access_type, &subnetwork.external_ipv6_prefix) {
            (Some(access), _) => access.value,
            (None, Some(_)) => Ipv6AccessType::External,
            (None, None) if subnetwork.internal_ipv6_prefix.is_some() => Ipv6AccessType::Internal,
            (None, None) => {
                let message = format!("subnet `{name}` is dual-stack and does not say which kind of IPv6 it has");
                let help = "add `ipv6AccessType: INTERNAL` or `EXTERNAL`";
                self.push(Diagnostic::rejected("missing-field", message).at(stack.place).help(help));
                return None;
            }
        };
        self.check_can_be_dual_stack(subnetwork, stack.place, network);
        let external = access == Ipv6AccessType::External;
        let written = if external { &subnetwork.external_ipv6_prefix } else { &subnetwork.internal_ipv6_prefix };
        let range = match written.as_ref().or(subnetwork.ipv6_cidr_range.as_ref()) {
            Some(written) => self.written_ipv6_range(written, external, network)?,
            None if external => self.free_range(DOCUMENTATION, network),
            None => {
                let Some(of_network) = self.out.networks[network].internal_ipv6 else {
                    let message = format!(
                        "subnet `{name}` has internal IPv6, and network `{}` has no range for it",
                        self.out.networks[network].name
                    );
                    let help = "add `enableUlaInternalIpv6: true` to the network";
                    self.push(Diagnostic::rejected("no-internal-ipv6", message).at(stack.place).help(help));
                    return None;
                };
                self.free_range(of_network.network().into(), network)
            }
        };
        Some(SubnetworkIpv6 { range, external })
    }

    /// Google: dual-stack subnets are in networks of custom mode.
    fn check_can_be_dual_stack(&mut self, subnetwork: &Subnetwork, place: Place, network: usize) {
        let name = &self.out.networks[network].name;
        let written = self.file.networks.iter().find(|network| network.name.name() == name);
        if written.and_then(|network| network.auto_create_subnetworks.as_ref()).is_some_and(|auto| auto.value) {
            let message =
                format!("subnet `{}` cannot be dual-stack: network `{name}` is of auto mode", subnetwork.name.name());
            let help = "switch the network to custom mode (`autoCreateSubnetworks: false`)";
            self.push(Diagnostic::rejected("ipv6-auto-mode", message).at(place).help(help));
        }
    }

    fn written_ipv6_range(&mut self, written: &At<Cidr>, external: bool, network: usize) -> Option<Ipv6Net> {
        let range = self.ipv6_range(written, SUBNETWORK_PREFIX, "the IPv6 range of a subnet")?;
        let internal = Ipv6Net::new(INTERNAL.0, INTERNAL.1).expect("the constant is a range").contains(&range);
        if internal == external {
            let (is, wants) = if external { ("internal", "EXTERNAL") } else { ("not internal", "INTERNAL") };
            let message = format!("{range} is {is}, and the subnet's `ipv6AccessType` is {wants}");
            self.push(Diagnostic::rejected("bad-range", message).at(written.place));
        }
        if let Some(whole) = self.out.networks[network].internal_ipv6
            && internal
            && !whole.contains(&range)
        {
            let message = format!("{range} is not in {whole}, the internal IPv6 range of its network");
            self.push(Diagnostic::rejected("bad-range", message).at(written.place));
        }
        let overlaps = |subnet: &&scenario::Subnetwork| {
            subnet.network == network && subnet.ipv6.as_ref().is_some_and(|ipv6| ipv6.range == range)
        };
        if let Some(other) = self.out.subnetworks.iter().find(overlaps) {
            let message = format!("{range} is already the IPv6 range of subnet `{}`", other.name);
            self.push(Diagnostic::rejected("overlapping-ranges", message).at(written.place));
        }
        Some(range)
    }

    /// An IPv6 range of this length.
    fn ipv6_range(&mut self, written: &At<Cidr>, length: u8, what: &str) -> Option<Ipv6Net> {
        match self.net(written) {
            IpNet::V6(range) if range.prefix_len() == length => Some(range),
            found => {
                let message = format!("{what} is {found}, expected an IPv6 range with /{length}");
                self.push(Diagnostic::rejected("bad-range", message).at(written.place));
                None
            }
        }
    }

    /// The first /64 behind `first` that no subnet of the network has, in the scenario's order or in what is written.
    fn free_range(&self, first: u128, network: usize) -> Ipv6Net {
        let written = self.file.subnetworks.iter().flat_map(|subnet| {
            let prefixes = [&subnet.internal_ipv6_prefix, &subnet.external_ipv6_prefix, &subnet.ipv6_cidr_range];
            prefixes.into_iter().flatten().map(|prefix| prefix.net())
        });
        let given = self.out.subnetworks.iter().filter(|subnet| subnet.network == network);
        let given = given.filter_map(|subnet| Some(IpNet::V6(subnet.ipv6.as_ref()?.range)));
        let taken: Vec<IpNet> = written.chain(given).collect();
        // Networks of one project have documentation ranges of their own.
        let first = if first == DOCUMENTATION { first | (network as u128) << 80 } else { first };
        let ranges = (0u128..).map(|number| net(first | number << 64, SUBNETWORK_PREFIX));
        ranges
            .into_iter()
            .find(|range| !taken.contains(&IpNet::V6(*range)))
            .expect("there are more ranges than subnets")
    }

    /// The /96 of a VM's interface: as written, or the first that is free in its subnet.
    pub(super) fn interface_ipv6(&mut self, subnet: usize, written: Option<(Ipv6Addr, Place)>) -> Option<Ipv6Net> {
        let ipv6 = self.out.subnetworks[subnet].ipv6.clone()?;
        let taken = |range: &Ipv6Net| self.out.vms.iter().any(|vm| vm.ipv6 == Some(*range));
        if let Some((address, place)) = written {
            let range = net(address.into(), INTERFACE_PREFIX);
            if !ipv6.range.contains(&range) {
                let message =
                    format!("{address} is not in {} of subnet `{}`", ipv6.range, self.out.subnetworks[subnet].name);
                self.push(Diagnostic::rejected("bad-address", message).at(place));
            } else if taken(&range) {
                let message = format!("{address} is already an address of another VM instance");
                self.push(Diagnostic::rejected("bad-address", message).at(place));
            }
            return Some(range);
        }
        interfaces(ipv6.range).find(|range| !taken(range))
    }
}

/// The range of the interface that has an address.
pub fn interface_of(address: Ipv6Addr) -> Ipv6Net {
    net(address.into(), INTERFACE_PREFIX)
}

/// The ranges that interfaces in a subnet can have, but for the first, which has the gateway's address.
pub fn interfaces(subnet: Ipv6Net) -> impl Iterator<Item = Ipv6Net> {
    let first = u128::from(subnet.network());
    (1u128..1 << 32).map(move |number| net(first | number << 32, INTERFACE_PREFIX))
}

fn net(address: u128, length: u8) -> Ipv6Net {
    Ipv6Net::new(address.into(), length).expect("the length is one of a prefix").trunc()
}
