//! Cloud Routers, VPN tunnels and Interconnect attachments.

use std::collections::HashMap;
use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;

use super::{Names, Resolver};
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::file::compute::{OperationalStatus, TunnelStatus};
use crate::scenario::file::nat::{AdvertiseMode, AdvertisedGroup, AdvertisedRange, Router};
use crate::scenario::routing::{Advertise, BgpPeer};
use crate::scenario::value::{At, Cidr, Reference};
use crate::scenario::{CloudRouter, InterconnectAttachment, VpnTunnel};

/// Seconds between keepalives, 1 to 60, and how many may be missing
/// (<https://docs.cloud.google.com/network-connectivity/docs/router/how-to/managing-bgp-timers>, 2026).
const KEEPALIVE: i64 = 20;
const KEEPALIVE_RANGE: std::ops::RangeInclusive<i64> = 1..=60;
const MISSED_KEEPALIVES: u64 = 3;

/// An enum of Google's by its name.
pub(super) fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("an enum without fields is a text: {other:?}"),
    }
}

impl Resolver<'_> {
    /// The routers as far as BGP goes. What else is wrong with them is found with their NAT gateways.
    pub(super) fn bgp_routers(&mut self) {
        for router in &self.file.routers {
            let network = self.networks.lookup(&router.network, None).ok().flatten();
            let region = router.region.as_ref().map(|region| region.name()).or_else(|| router.name.region());
            let region = region.map(str::to_owned).or_else(|| self.default_region.clone());
            let (Some(network), Some(region)) = (network, region) else {
                self.routers.lost.insert(router.name.name().to_owned());
                continue;
            };
            // A second one of this name is reported elsewhere.
            if self.routers.declare(&router.name, Some(&region), self.out.routers.len()).is_err() {
                continue;
            }
            let bgp = router.bgp.as_ref();
            let advertise = self.advertise(
                bgp.and_then(|bgp| bgp.advertise_mode.as_ref()),
                bgp.and_then(|bgp| bgp.advertised_groups.as_deref()),
                bgp.and_then(|bgp| bgp.advertised_ip_ranges.as_deref()),
            );
            let keepalive = bgp.and_then(|bgp| bgp.keepalive_interval.as_ref());
            let keepalive = keepalive.and_then(|seconds| self.bounded(seconds, KEEPALIVE_RANGE, "keepaliveInterval"));
            let peers = self.bgp_peers(router);
            self.out.routers.push(CloudRouter {
                name: router.name.name().to_owned(),
                network,
                region,
                advertise,
                peers,
                hold_time: Duration::from_secs(keepalive.unwrap_or(KEEPALIVE) as u64 * MISSED_KEEPALIVES),
            });
        }
    }

    fn advertise(
        &mut self,
        mode: Option<&At<AdvertiseMode>>,
        groups: Option<&[At<AdvertisedGroup>]>,
        ranges: Option<&[At<AdvertisedRange>]>,
    ) -> Advertise {
        let custom = mode.is_some_and(|mode| mode.value == AdvertiseMode::Custom);
        let ranges = ranges.unwrap_or_default();
        if let Some(first) = ranges.first().filter(|_| !custom) {
            let message = "advertisedIpRanges without advertiseMode CUSTOM";
            self.push(
                Diagnostic::rejected("advertise-mode", message).at(first.place).help("add `advertiseMode: CUSTOM`"),
            );
        }
        let subnets =
            !custom || groups.unwrap_or_default().iter().any(|group| group.value == AdvertisedGroup::AllSubnets);
        Advertise { subnets, ranges: ranges.iter().map(|range| self.net(&range.range)).collect() }
    }

    /// Peers that are told something else than the others.
    fn bgp_peers(&mut self, router: &At<Router>) -> Vec<BgpPeer> {
        let links: HashMap<&str, &str> = (router.interfaces.iter().flatten())
            .filter_map(|interface| {
                let link =
                    interface.linked_vpn_tunnel.as_ref().or(interface.linked_interconnect_attachment.as_ref())?;
                Some((interface.name.name(), link.name()))
            })
            .collect();
        let mut peers = Vec::new();
        for peer in router.bgp_peers.iter().flatten() {
            let (Some(mode), Some(interface)) = (&peer.advertise_mode, &peer.interface_name) else { continue };
            // `DEFAULT` is what the router says, whatever that is.
            if mode.value == AdvertiseMode::Default {
                continue;
            }
            let groups = peer.advertised_groups.as_deref();
            let advertise = self.advertise(Some(mode), groups, peer.advertised_ip_ranges.as_deref());
            if let Some(link) = links.get(interface.name()) {
                peers.push(BgpPeer { link: (*link).to_owned(), advertise });
            }
        }
        peers
    }

    /// A range of either version, with a warning if bits beyond the prefix are set.
    pub(super) fn net(&mut self, cidr: &At<Cidr>) -> IpNet {
        let net = cidr.net();
        if cidr.has_host_bits() {
            let message = format!("{} has bits set beyond its prefix, {net} is taken", cidr.value);
            self.push(Diagnostic::warning("host-bits", message).at(cidr.place).help(format!("write {net}")));
        }
        net
    }

    pub(super) fn vpn_tunnels(&mut self) {
        for tunnel in &self.file.vpn_tunnels {
            let (router, region) = self.link(tunnel.router.as_ref(), tunnel.region.as_ref(), &tunnel.name);
            let declared = self.tunnels.declare(&tunnel.name, region.as_deref(), self.out.vpn_tunnels.len());
            if self.ok(declared).is_none() {
                continue;
            }
            let local = tunnel.local_traffic_selector.iter().flatten().map(|range| self.net(range)).collect();
            let remote = tunnel.remote_traffic_selector.iter().flatten().map(|range| self.net(range)).collect();
            self.details.tunnels.push(tunnel.name.place);
            self.out.vpn_tunnels.push(VpnTunnel {
                name: tunnel.name.name().to_owned(),
                region,
                router,
                status: word(tunnel.status.as_ref().map_or(TunnelStatus::Established, |status| status.value)),
                local,
                remote,
                assumed: false,
            });
        }
    }

    pub(super) fn attachments(&mut self) {
        for attachment in &self.file.interconnect_attachments {
            let (router, region) = self.link(attachment.router.as_ref(), attachment.region.as_ref(), &attachment.name);
            let declared = self.attachments.declare(&attachment.name, region.as_deref(), self.out.attachments.len());
            if self.ok(declared).is_none() {
                continue;
            }
            let status = attachment.operational_status.as_ref();
            self.details.attachments.push(attachment.name.place);
            self.out.attachments.push(InterconnectAttachment {
                name: attachment.name.name().to_owned(),
                region,
                router,
                operational_status: word(status.map_or(OperationalStatus::OsActive, |status| status.value)),
                admin_enabled: attachment.admin_enabled.as_ref().is_none_or(|enabled| enabled.value),
                assumed: false,
            });
        }
    }

    /// Router and region of a tunnel or attachment.
    fn link(
        &mut self,
        router: Option<&At<Reference>>,
        region: Option<&At<Reference>>,
        name: &At<Reference>,
    ) -> (Option<usize>, Option<String>) {
        let region = region.map(|region| region.name()).or_else(|| name.region()).map(str::to_owned);
        let found = router.map(|router| self.routers.lookup(router, region.as_deref()));
        let router = found.and_then(|found| self.ok(found)).flatten();
        let region = region
            .or_else(|| router.map(|router| self.out.routers[router].region.clone()))
            .or_else(|| self.default_region.clone());
        (router, region)
    }
}

/// What a next hop means that may be missing from the scenario.
pub(super) enum Found {
    /// It is there.
    At(usize),
    /// It is not: to be assumed.
    Missing,
    /// It is there and wrong, which was reported.
    Lost,
}

impl Names {
    /// What a reference to a next hop means.
    pub(super) fn find(&self, reference: &At<Reference>, region: Option<&str>) -> Result<Found, Box<Diagnostic>> {
        let name = reference.name();
        if self.lost.contains(name) && !self.index.contains_key(name) {
            return Ok(Found::Lost);
        }
        if !self.index.contains_key(name) {
            return Ok(Found::Missing);
        }
        Ok(self.lookup(reference, region)?.map_or(Found::Lost, Found::At))
    }
}
