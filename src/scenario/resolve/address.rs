//! Reserved addresses. An external one without a value gets one from the documentation ranges, always the same.

use std::net::Ipv4Addr;

use super::nat::NatIp;
use super::{ResolvedAddress, Resolver};
use crate::scenario::NetworkTier;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::file::compute::{self, AddressType};
use crate::scenario::value::{At, Reference};

impl Resolver<'_> {
    pub(super) fn addresses(&mut self) {
        self.collect_external();
        for address in &self.file.addresses {
            let region = address.region.as_ref().map(|region| region.name()).or_else(|| address.name.region());
            let region = region.map(str::to_owned);
            let declared = self.addresses.declare(&address.name, region.as_deref(), self.details.addresses.len());
            if self.ok(declared).is_none() {
                continue;
            }
            let internal = address.address_type.as_ref().is_some_and(|kind| kind.value == AddressType::Internal);
            let value = match &address.address {
                _ if internal => None,
                None => Some(self.documentation_address()),
                Some(given) => given.v4(),
            };
            // A project's default tier is Premium unless somebody changed it.
            let tier = address.network_tier.as_ref().map_or(NetworkTier::Premium, |tier| match tier.value {
                compute::NetworkTier::Premium => NetworkTier::Premium,
                compute::NetworkTier::Standard
                | compute::NetworkTier::FixedStandard
                | compute::NetworkTier::StandardOverridesFixedStandard => NetworkTier::Standard,
            });
            let given = address.address.as_ref().map(|address| address.ip());
            let value = ResolvedAddress { address: value, value: given.or(value.map(Into::into)), region, tier };
            self.details.addresses.push(value);
        }
    }

    /// What is taken: a documentation address must not be given out twice, nor be that of a host.
    fn collect_external(&mut self) {
        let addresses = self.file.addresses.iter().filter_map(|address| address.address.as_ref()?.v4());
        let interfaces = self.file.instances.iter().flat_map(|vm| vm.network_interfaces.iter());
        let vms = interfaces
            .flat_map(|nic| nic.access_configs.iter().flatten())
            .filter_map(|config| config.nat_ip.as_ref()?.v4());
        let hosts = self.file.hosts.iter().flat_map(|host| host.address.iter().chain(host.addresses.iter().flatten()));
        // A host that answers for a wide range is not worth avoiding: it would leave nothing.
        let hosts = hosts
            .filter_map(|range| range.v4())
            .filter(|range| range.prefix_len() >= 24)
            .flat_map(|range| range.hosts());
        self.details.external = addresses.chain(vms).chain(hosts).collect();
    }

    /// The next free address of 203.0.113.0/24, then of the other ranges that are never routed (RFC 5737, RFC 2544).
    pub(super) fn documentation_address(&mut self) -> Ipv4Addr {
        let ranges =
            [([203, 0, 113, 10], 245), ([192, 0, 2, 1], 254), ([198, 51, 100, 1], 254), ([198, 18, 0, 1], 131_070)];
        let candidates = ranges.into_iter().flat_map(|(first, count)| {
            let first = u32::from(Ipv4Addr::from(first));
            (first..first + count).map(Ipv4Addr::from)
        });
        let taken = &self.details.external;
        // A scenario of 131,000 external addresses would be larger than the loader reads.
        let free =
            candidates.into_iter().find(|address| !taken.contains(address)).unwrap_or(Ipv4Addr::new(198, 19, 255, 255));
        self.details.external.insert(free);
        free
    }

    /// The external address that a gateway in `region` refers to.
    pub(super) fn nat_ip(&mut self, reference: &At<Reference>, region: &str) -> Option<NatIp> {
        let found = self.addresses.lookup(reference, Some(region));
        let found = match found {
            Ok(found) => found?,
            Err(diagnostic) => {
                let undeclared = self.addresses.index.is_empty();
                let help = "declare it under `addresses:`; without a value it gets one from 203.0.113.0/24";
                self.push(if undeclared { diagnostic.help(help) } else { *diagnostic });
                return None;
            }
        };
        let ResolvedAddress { address, region: at, tier, .. } = self.details.addresses[found].clone();
        if let Some(at) = at.filter(|at| at != region) {
            let message = format!("address `{}` is in {at}, its gateway in {region}", reference.name());
            self.push(
                Diagnostic::rejected("region-mismatch", message)
                    .at(reference.place)
                    .help("a NAT IP is a regional address of the gateway's region"),
            );
        }
        if address.is_none() {
            let message = format!("address `{}` is not an external IPv4 address", reference.name());
            self.push(
                Diagnostic::rejected("bad-nat-ip", message)
                    .at(reference.place)
                    .help("a NAT IP is a reserved address of `addressType: EXTERNAL`"),
            );
        }
        Some(NatIp { address: address?, tier, place: reference.place })
    }
}
