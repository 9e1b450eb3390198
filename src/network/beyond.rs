//! What is behind next hops, peerings and forwarding rules: stations, and the routers' ports towards them.
//!
//! A station belongs to the network whose route names it first: there its answers go. Another network whose route leads to it, because
//! it has imported that route, has a port of its own.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::{Network, Vpc};
use crate::node::beyond::{self, Beyond, Place};
use crate::node::host::{self, Forwarding};
use crate::node::hybrid::{Advertisement, Attachment, Tunnel};
use crate::node::router::{HopName, Origin};
use crate::scenario::{ForwardingTarget, NextHop, Peer};
use crate::sim::Site;
use crate::topology::LinkConfig;
use crate::trace::PortId;
use crate::trace::info::{InterconnectAttachmentInfo, NextHopType, Resource, Scope, VpnTunnelInfo};

/// Region of a resource of which no more is known than its name.
const ANY_REGION: &str = "-";

/// What a station beyond a network stands for. Numbers are those of the scenario's lists.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Tunnel(usize),
    Attachment(usize),
    /// The first of the forwarding rules that have its address.
    Rule(usize),
    Vm(usize),
    Appliance(String),
    /// A peering of the network.
    Peering(usize),
}

/// A station beyond a network.
#[derive(Debug, Clone)]
pub(super) struct Far {
    pub site: Site<Beyond>,
    /// What hosts call it that are behind it.
    names: Vec<String>,
    /// A route leads there, so hosts may be behind it without saying so.
    behind_route: bool,
}

impl Network {
    /// The port of `from`'s router towards the next hop of a route of network `home`.
    pub(super) fn port_to(&mut self, from: usize, home: usize, key: Key) -> PortId {
        if let Some(&port) = self.ports.get(&(from, home, key.clone())) {
            return port;
        }
        let port = match key {
            Key::Vm(vm) => self.port_to_vm(from, vm),
            _ => self.port_to_station(from, home, &key),
        };
        self.ports.insert((from, home, key), port);
        port
    }

    fn port_to_station(&mut self, from: usize, home: usize, key: &Key) -> PortId {
        let site = self.far(home, key).site;
        let Vpc { router, .. } = self.vpcs[from];
        if from == home {
            return self.far_port(site.node, beyond::ROUTES);
        }
        let port = self.engine.topology().free_port(router.node, 2);
        let theirs = self.engine.topology().free_port(site.node, 1);
        self.engine.connect((router, port), (site, theirs), LinkConfig::default());
        self.engine.change(site, |beyond| beyond.add_network(theirs));
        port
    }

    /// A VM as a next hop: its firewall, the VM, and whatever is behind it.
    fn port_to_vm(&mut self, from: usize, vm: usize) -> PortId {
        let scenario = Arc::clone(&self.scenario);
        let spec = &scenario.vms[vm];
        let home = spec.network;
        self.far(home, &Key::Vm(vm));
        let (Vpc { firewall, .. }, Vpc { router, .. }) = (self.vpcs[home], self.vpcs[from]);
        let interface = self.vms[vm].interface;
        let entrance = self.engine.change(firewall, |firewall| firewall.add_entrance(interface, spec.can_ip_forward));
        let port = self.engine.topology().free_port(router.node, 2);
        self.engine.connect((router, port), (firewall, entrance), LinkConfig::default());
        port
    }

    /// The station for a key, made when it is first asked for.
    pub(super) fn far(&mut self, home: usize, key: &Key) -> Far {
        if let Some(far) = self.beyond.get(&(home, key.clone())) {
            return far.clone();
        }
        let (name, place, assumed, names) = self.describe(home, key);
        let advertised = self.advertisement(key);
        let network = &self.scenario.networks[home].name;
        let label = format!("{network} routes {name}");
        let station = Beyond::new(name.into(), place, assumed).advertised(advertised);
        let site = self.engine.add(label, station);
        if let Key::Vm(vm) = key {
            let spec = &self.scenario.vms[*vm];
            let own = std::iter::once(spec.address.into()).chain(spec.alias_ranges.iter().copied()).map(IpNet::from);
            let forwarding = Forwarding { own: own.collect(), allowed: spec.can_ip_forward };
            let node = self.vms[*vm].host;
            self.engine.change(node, |vm| vm.set_forwarding(forwarding));
            self.engine.connect((node, host::BEHIND), (site, beyond::ROUTES), LinkConfig::default());
        } else {
            let router = self.vpcs[home].router;
            let port = self.engine.topology().free_port(router.node, 2);
            self.engine.connect((router, port), (site, beyond::ROUTES), LinkConfig::default());
            let origin = self.origin(key);
            self.engine.change(router, |router| router.set_origin(port, origin));
        }
        let far = Far { site, names, behind_route: false };
        self.beyond.insert((home, key.clone()), far.clone());
        far
    }

    /// Where packets of a station come from, as its network's routes see it.
    fn origin(&self, key: &Key) -> Origin {
        let region = |region: &Option<String>| region.as_deref().map(Arc::from);
        match key {
            Key::Tunnel(tunnel) => Origin::Tunnel { region: region(&self.scenario.vpn_tunnels[*tunnel].region) },
            Key::Attachment(at) => Origin::Attachment { region: region(&self.scenario.attachments[*at].region) },
            Key::Peering(_) => Origin::Peer,
            Key::Rule(_) | Key::Vm(_) | Key::Appliance(_) => Origin::Answers,
        }
    }

    /// Name, place, whether it is assumed, and what hosts behind it call it.
    fn describe(&self, home: usize, key: &Key) -> (String, Place, bool, Vec<String>) {
        let scenario = &self.scenario;
        match key {
            Key::Tunnel(at) => {
                let tunnel = &scenario.vpn_tunnels[*at];
                let place = Place::Tunnel(Box::new(self.tunnel(home, *at)));
                (tunnel.name.clone(), place, tunnel.assumed, vec![tunnel.name.clone()])
            }
            Key::Attachment(at) => {
                let attachment = &scenario.attachments[*at];
                let place = Place::Attachment(Box::new(self.attachment(*at)));
                (attachment.name.clone(), place, attachment.assumed, vec![attachment.name.clone()])
            }
            Key::Rule(at) => {
                let rule = &scenario.forwarding_rules[*at];
                let resource = self.rule_resource(*at);
                let place = match &rule.target {
                    ForwardingTarget::ServiceAttachment { attachment, .. } => Place::PublishedService {
                        attachment: Resource {
                            collection: "serviceAttachments",
                            name: attachment.as_str().into(),
                            ..resource
                        },
                    },
                    _ => Place::LoadBalancer { rule: (!rule.assumed).then_some(resource) },
                };
                let names = std::iter::once(rule.name.clone()).chain(rule.address.map(|address| address.to_string()));
                (rule.name.clone(), place, rule.assumed, names.collect())
            }
            Key::Vm(vm) => {
                let spec = &scenario.vms[*vm];
                let place = Place::Appliance { instance: Some(self.vm_resource(*vm)) };
                (spec.name.clone(), place, false, vec![spec.name.clone(), spec.address.to_string()])
            }
            Key::Appliance(name) => (name.clone(), Place::Appliance { instance: None }, true, vec![name.clone()]),
            Key::Peering(at) => {
                let peering = &scenario.networks[home].peerings[*at];
                let Peer::Outside(outside) = &peering.peer else {
                    unreachable!("networks of the scenario are peered by their routers")
                };
                let place = Place::Peer { managed: outside.managed };
                (outside.name.clone(), place, true, vec![outside.name.clone(), peering.name.clone()])
            }
        }
    }

    pub(super) fn tunnel(&self, home: usize, at: usize) -> Tunnel {
        let tunnel = &self.scenario.vpn_tunnels[at];
        let region = tunnel.region.as_deref().unwrap_or(ANY_REGION);
        let routing_type = match (tunnel.router, tunnel.local.is_empty() && tunnel.remote.is_empty()) {
            (Some(_), _) => "DYNAMIC",
            (None, true) => "ROUTE_BASED",
            (None, false) => "POLICY_BASED",
        };
        Tunnel {
            info: VpnTunnelInfo {
                tunnel: Resource::regional("vpnTunnels", region, &*tunnel.name),
                network: Resource::network(&*self.scenario.networks[home].name),
                routing_type,
            },
            status: tunnel.status.as_str().into(),
            established: tunnel.is_established(),
            local: tunnel.local.clone(),
            remote: tunnel.remote.clone(),
        }
    }

    fn attachment(&self, at: usize) -> Attachment {
        let attachment = &self.scenario.attachments[at];
        let region = attachment.region.as_deref().unwrap_or(ANY_REGION);
        let router = attachment.router.map(|router| &self.scenario.routers[router]);
        Attachment {
            info: InterconnectAttachmentInfo {
                attachment: Resource::regional("interconnectAttachments", region, &*attachment.name),
                cloud_router: router.map(|router| Resource::regional("routers", &*router.region, &*router.name)),
            },
            status: attachment_status(attachment.admin_enabled, &attachment.operational_status).into(),
            active: attachment.is_active(),
        }
    }

    /// What the network there is told, if its router is described.
    fn advertisement(&self, key: &Key) -> Option<Advertisement> {
        let (router, name) = match key {
            Key::Tunnel(at) => (self.scenario.vpn_tunnels[*at].router, &self.scenario.vpn_tunnels[*at].name),
            Key::Attachment(at) => (self.scenario.attachments[*at].router, &self.scenario.attachments[*at].name),
            _ => return None,
        };
        let ranges = self.scenario.advertised(router, name)?;
        Some(Advertisement::new(self.scenario.routers[router?].name.as_str().into(), ranges))
    }

    /// What a route leads to, as a key; `None` is the internet gateway.
    pub(super) fn key_of(&self, hop: &NextHop) -> Option<Key> {
        Some(match hop {
            NextHop::DefaultInternetGateway => return None,
            NextHop::VpnTunnel(tunnel) => Key::Tunnel(*tunnel),
            NextHop::Interconnect(attachment) => Key::Attachment(*attachment),
            NextHop::Ilb(rule) => self.rule_key(*rule),
            NextHop::Vm { vm, .. } => Key::Vm(*vm),
            NextHop::Appliance(name) => Key::Appliance(name.clone()),
        })
    }

    /// Forwarding rules with one address lead to one place.
    pub(super) fn rule_key(&self, rule: usize) -> Key {
        let wanted = &self.scenario.forwarding_rules[rule];
        let same = (wanted.network, wanted.address);
        let first = wanted.address.and_then(|_| self.first_rules.get(&same).copied());
        Key::Rule(first.unwrap_or(rule))
    }

    /// A next hop as a trace names it.
    pub(super) fn hop_name(&self, network: usize, hop: &NextHop) -> HopName {
        let resource = |kind, words: String, resource| HopName { kind, words: words.into(), resource, network: None };
        let scenario = &self.scenario;
        match hop {
            NextHop::DefaultInternetGateway => {
                let name = "default-internet-gateway";
                resource(NextHopType::InternetGateway, name.into(), Some(Resource::global("gateways", name)))
            }
            NextHop::VpnTunnel(at) => {
                let tunnel = self.tunnel(network, *at).info.tunnel;
                resource(NextHopType::VpnTunnel, format!("VPN tunnel {}", tunnel.name), Some(tunnel))
            }
            NextHop::Interconnect(at) => {
                let attachment = self.attachment(*at).info.attachment;
                let words = format!("Interconnect attachment {}", attachment.name);
                resource(NextHopType::Interconnect, words, Some(attachment))
            }
            NextHop::Ilb(at) => {
                let rule = &scenario.forwarding_rules[*at];
                let known = (!rule.assumed).then(|| self.rule_resource(*at));
                resource(NextHopType::Ilb, format!("internal load balancer {}", rule.name), known)
            }
            NextHop::Vm { vm, by_address } => {
                let kind = if by_address.is_some() { NextHopType::Ip } else { NextHopType::Instance };
                resource(kind, format!("VM {}", scenario.vms[*vm].name), Some(self.vm_resource(*vm)))
            }
            NextHop::Appliance(name) if name.parse::<IpAddr>().is_ok() => {
                resource(NextHopType::Ip, format!("address {name}"), None)
            }
            NextHop::Appliance(name) => resource(NextHopType::Instance, format!("VM {name}"), None),
        }
    }

    pub(super) fn rule_resource(&self, at: usize) -> Resource {
        let rule = &self.scenario.forwarding_rules[at];
        match &rule.region {
            Some(region) => Resource::regional("forwardingRules", region.as_str(), &*rule.name),
            None => Resource::global("forwardingRules", &*rule.name),
        }
    }

    pub(super) fn vm_resource(&self, vm: usize) -> Resource {
        let spec = &self.scenario.vms[vm];
        Resource {
            scope: Scope::Zone(spec.zone.as_str().into()),
            collection: "instances",
            name: spec.name.as_str().into(),
        }
    }

    /// Routes lead to this place, so hosts that do not say behind which next hop they are are behind it, too.
    pub(super) fn mark_behind_route(&mut self, home: usize, key: &Key) {
        if let Some(far) = self.beyond.get_mut(&(home, key.clone())) {
            far.behind_route = true;
        }
    }

    /// The places that a host can be in that is on premises: those of this name, or all behind routes.
    pub(super) fn on_prem(&self, next_hop: Option<&str>) -> Vec<Site<Beyond>> {
        self.places(|_, far| match next_hop {
            Some(wanted) => far.names.iter().any(|name| name == wanted),
            None => far.behind_route,
        })
    }

    /// The peered networks of this name.
    pub(super) fn outside_peers(&self, wanted: &str) -> Vec<Site<Beyond>> {
        self.places(|key, far| matches!(key, Key::Peering(_)) && far.names.iter().any(|name| name == wanted))
    }

    fn places(&self, wanted: impl Fn(&Key, &Far) -> bool) -> Vec<Site<Beyond>> {
        let found = self.beyond.iter().filter(|((_, key), far)| wanted(key, far));
        let mut sites: Vec<_> = found.map(|(_, far)| far.site).collect();
        // In the order in which they were made.
        sites.sort_by_key(|site| site.node);
        sites
    }
}

/// An attachment's state in words.
pub(super) fn attachment_status(admin_enabled: bool, operational_status: &str) -> String {
    if admin_enabled { operational_status.to_owned() } else { "switched off".into() }
}
