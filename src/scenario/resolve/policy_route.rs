//! Policy-based routes.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Resolver;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::file::compute::{OtherRoutes, PolicyBasedRoute as File, PolicyProtocol, ProtocolVersion};
use crate::scenario::value::{At, Cidr};
use crate::scenario::{ForwardingRule, ForwardingTarget, PolicyRoute, PolicyScope};

/// Priority of a route that gives none.
const DEFAULT_PRIORITY: i64 = 1000;

impl Resolver<'_> {
    /// After forwarding rules and peerings.
    pub(super) fn policy_routes(&mut self) {
        let mut names: HashSet<&str> = HashSet::new();
        for route in &self.file.policy_based_routes {
            let name = route.name.name();
            if !names.insert(name) {
                let message = format!("two policy-based routes are named `{name}`");
                let help = "rename or remove one";
                self.push(Diagnostic::unusable("duplicate-name", message).at(route.name.place).help(help));
            }
            if let Some(resolved) = self.policy_route(route) {
                self.details.policy_routes.push(route.name.place);
                self.out.policy_routes.push(resolved);
            }
        }
    }

    fn policy_route(&mut self, route: &At<File>) -> Option<PolicyRoute> {
        let network = self.networks.lookup(&route.network, None);
        let network = self.ok(network).flatten();
        let priority = match &route.priority {
            None => Some(DEFAULT_PRIORITY),
            Some(priority) => self.bounded(priority, 1..=65_535, "priority of a policy-based route"),
        };
        let ranges = self.policy_ranges(route);
        let filter = route.filter.as_ref();
        let protocol = match filter.and_then(|filter| filter.ip_protocol.as_ref()).map(|protocol| protocol.value) {
            None | Some(PolicyProtocol::All) => None,
            Some(PolicyProtocol::Tcp) => Some(6),
            Some(PolicyProtocol::Udp) => Some(17),
        };
        let scope = self.policy_scope(route);
        let network = network?;
        let next_hop = self.policy_next_hop(network, route)?;
        let (src, dst) = ranges?;
        Some(PolicyRoute {
            name: route.name.name().to_owned(),
            network,
            priority: priority? as u16,
            src,
            dst,
            protocol,
            scope,
            next_hop,
        })
    }

    fn policy_ranges(&mut self, route: &At<File>) -> Option<(IpNet, IpNet)> {
        let filter = route.filter.as_ref();
        let v6 = filter
            .and_then(|filter| filter.protocol_version.as_ref())
            .is_some_and(|version| version.value == ProtocolVersion::Ipv6);
        let all = if v6 { IpNet::from(Ipv6Net::default()) } else { IpNet::from(Ipv4Net::default()) };
        let mut range = |range: Option<&At<Cidr>>, field: &str| {
            let Some(range) = range else { return Some(all) };
            let net = self.net(range);
            if matches!(net, IpNet::V6(_)) != v6 {
                let version = if v6 { "IPV6" } else { "IPV4" };
                let message = format!("{field} is {net}, and the filter's protocolVersion is {version}");
                let help = "both ranges and protocolVersion have one version of IP";
                self.push(Diagnostic::rejected("ip-version", message).at(range.place).help(help));
                return None;
            }
            Some(net)
        };
        let src = range(filter.and_then(|filter| filter.src_range.as_ref()), "srcRange");
        let dst = range(filter.and_then(|filter| filter.dest_range.as_ref()), "destRange");
        Some((src?, dst?))
    }

    fn policy_scope(&mut self, route: &At<File>) -> PolicyScope {
        if let (Some(machines), Some(attachments)) = (&route.virtual_machine, &route.interconnect_attachment) {
            let message = "a policy-based route is for VMs or for attachments";
            self.push(
                Diagnostic::rejected("policy-scope", message)
                    .at(attachments.place)
                    .related(machines.place, "VMs here")
                    .help("make two routes of it"),
            );
        }
        if let Some(machines) = &route.virtual_machine {
            let tags: Vec<String> = machines.tags.iter().flatten().map(|tag| tag.value.clone()).collect();
            return if tags.is_empty() { PolicyScope::All } else { PolicyScope::Tags(tags) };
        }
        match &route.interconnect_attachment {
            None => PolicyScope::All,
            Some(attachments) => {
                let region = attachments.region.as_ref().map(|region| region.name());
                PolicyScope::Attachments(region.filter(|region| *region != "all").map(str::to_owned))
            }
        }
    }

    /// `Some(None)` leaves it to the other routes.
    fn policy_next_hop(&mut self, network: usize, route: &At<File>) -> Option<Option<usize>> {
        let name = route.name.name();
        let other = route.next_hop_other_routes.as_ref().filter(|other| other.value == OtherRoutes::DefaultRouting);
        match (&route.next_hop_ilb_ip, other) {
            (Some(_), Some(other)) => {
                let message = format!("policy-based route `{name}` has 2 next hops, expected exactly one");
                let help = "keep nextHopIlbIp or nextHopOtherRoutes";
                self.push(Diagnostic::rejected("next-hop", message).at(other.place).help(help));
                None
            }
            (None, None) => {
                if !self.is_lost(route.place, "nextHopIlbIp") && !self.is_lost(route.place, "nextHopOtherRoutes") {
                    let message = format!("policy-based route `{name}` has no next hop");
                    let help = "add `nextHopIlbIp:`, or `nextHopOtherRoutes: DEFAULT_ROUTING`";
                    self.push(Diagnostic::rejected("next-hop", message).at(route.name.place).help(help));
                }
                None
            }
            (None, Some(_)) => Some(None),
            (Some(address), None) => {
                let place = address.place;
                let rule = self.ilb_at(network, address.ip());
                let rule = rule.unwrap_or_else(|| self.assume_ilb(network, address.ip().to_string(), place));
                self.check_passthrough(rule, place)?;
                Some(Some(rule))
            }
        }
    }

    /// The forwarding rule with an address: of the network itself, or of one that it is peered with.
    pub(super) fn ilb_at(&self, network: usize, address: IpAddr) -> Option<usize> {
        let rules = self.out.forwarding_rules.iter().enumerate();
        let mut with_address = rules.filter(|(_, rule)| rule.address == Some(address));
        let own = with_address.clone().find(|(_, rule)| rule.network == network);
        own.or_else(|| with_address.find(|(_, rule)| self.is_peered(network, rule.network))).map(|(at, _)| at)
    }

    pub(super) fn is_peered(&self, network: usize, other: usize) -> bool {
        let peerings = &self.out.networks[network].peerings;
        peerings.iter().any(|peering| peering.active && peering.peer == crate::scenario::Peer::Network(other))
    }

    /// A load balancer that the scenario does not describe.
    pub(super) fn assume_ilb(
        &mut self,
        network: usize,
        name: String,
        place: crate::scenario::diagnostic::Place,
    ) -> usize {
        let rules = &self.out.forwarding_rules;
        let known = rules.iter().position(|rule| rule.assumed && rule.network == network && rule.name == name);
        if let Some(known) = known {
            return known;
        }
        self.assume("load balancer", &name, place);
        self.details.forwarding_rules.push(place);
        self.out.forwarding_rules.push(ForwardingRule {
            address: name.parse().ok(),
            name,
            network,
            region: None,
            protocol: None,
            ports: Vec::new(),
            global_access: true,
            target: ForwardingTarget::LoadBalancer { passthrough: true },
            assumed: true,
        });
        self.out.forwarding_rules.len() - 1
    }

    /// Only an internal load balancer that passes packets through can be a next hop.
    pub(super) fn check_passthrough(&mut self, rule: usize, place: crate::scenario::diagnostic::Place) -> Option<()> {
        let ForwardingRule { name, target, .. } = &self.out.forwarding_rules[rule];
        if *target == (ForwardingTarget::LoadBalancer { passthrough: true }) {
            return Some(());
        }
        let message = format!("forwarding rule `{name}` is not that of an internal passthrough load balancer");
        let help = "a next hop is a forwarding rule with `loadBalancingScheme: INTERNAL`";
        self.push(Diagnostic::rejected("next-hop", message).at(place).help(help));
        None
    }
}
