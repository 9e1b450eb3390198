//! What goes wrong on links and at hosts of a network: at the start, with every instance and connector VM that comes, and by
//! events.
//!
//! An outage is told in the words of what is out of service: a tunnel is not established, a connector is not ready, a host
//! does not answer; only an interface has no state of its own, and its link lets nothing pass.

use std::collections::HashMap;
use std::sync::Arc;

use super::Network;
use super::beyond::Key;
use crate::node::instance;
use crate::scenario::{self, ImpairedLinks, ImpairedPlace, ServerSettings};
use crate::topology::{Impairments, LinkId, NodeId};

/// What Google's states are while something is out of service for no reason of the configuration.
const TUNNEL_OUT_OF_SERVICE: &str = "NO_INCOMING_PACKETS";
const ATTACHMENT_OUT_OF_SERVICE: &str = "OS_UNPROVISIONED";

/// What is wrong now.
#[derive(Debug, Default)]
pub(super) struct Wrong {
    /// Outbound and inbound, without outages.
    links: HashMap<ImpairedPlace, [Impairments; 2]>,
    /// What is out of service.
    out_of_service: Vec<ImpairedPlace>,
    /// What events have made of tunnels and attachments: status, and `adminEnabled` of an attachment. An outage hides it.
    states: HashMap<ImpairedPlace, (String, bool)>,
    /// How servers behave that do not simply serve.
    servers: HashMap<NodeId, ServerSettings>,
}

impl Wrong {
    pub(super) fn is_out_of_service(&self, place: ImpairedPlace) -> bool {
        self.out_of_service.contains(&place)
    }
}

impl Network {
    /// How the server of a host behaves now; `None` where it simply serves, and where there is no declared host.
    pub fn server_settings(&self, node: NodeId) -> Option<&ServerSettings> {
        self.wrong.servers.get(&node)
    }

    pub(super) fn build_impairments(&mut self) {
        let scenario = Arc::clone(&self.scenario);
        for (host, spec) in scenario.hosts.iter().enumerate() {
            self.set_server(host, spec.server);
        }
        for links in &scenario.impairments {
            self.impair(links);
        }
    }

    /// Links become this.
    pub(super) fn impair(&mut self, links: &ImpairedLinks) {
        self.wrong.links.insert(links.place, [links.outbound, links.inbound]);
        self.impair_all(links.place);
    }

    /// A host becomes this.
    pub(super) fn patch_host(&mut self, host: usize, to: &scenario::Host) {
        let node = self.hosts[host].node;
        for link in self.engine.topology().links_of(node).collect::<Vec<_>>() {
            for link in [link, self.engine.topology().reverse(link)] {
                self.engine.set_link(link, to.rtt / 2, to.loss);
            }
        }
        let unreachable = to.unreachable;
        self.engine.change(self.hosts[host], |host| host.set_unreachable(unreachable));
        self.set_server(host, to.server);
        self.patched_hosts.push(node);
    }

    fn set_server(&mut self, host: usize, server: ServerSettings) {
        let site = self.hosts[host];
        if server == ServerSettings::default() {
            self.wrong.servers.remove(&site.node);
        } else {
            self.wrong.servers.insert(site.node, server);
        }
        self.engine.change(site, |host| host.set_refusing(server.refuse));
    }

    /// Something is out of service, or no longer.
    pub(super) fn outage(&mut self, place: ImpairedPlace, begins: bool) {
        self.wrong.out_of_service.retain(|other| *other != place);
        if begins {
            self.wrong.out_of_service.push(place);
        }
        match place {
            ImpairedPlace::Host(host) => {
                self.engine.change(self.hosts[host], |host| host.set_out_of_service(begins));
            }
            ImpairedPlace::Connector(connector) => self.set_connector_out_of_service(connector, begins),
            ImpairedPlace::Workload(_) => self.impair_all(place),
            ImpairedPlace::VpnTunnel(tunnel) if begins => self.patch_vpn_tunnel(tunnel, TUNNEL_OUT_OF_SERVICE),
            ImpairedPlace::VpnTunnel(tunnel) => {
                let own = self.scenario.vpn_tunnels[tunnel].status.clone();
                let (status, _) = self.wrong.states.get(&place).cloned().unwrap_or((own, true));
                self.patch_vpn_tunnel(tunnel, &status);
            }
            ImpairedPlace::Attachment(at) if begins => self.patch_attachment(at, ATTACHMENT_OUT_OF_SERVICE, true),
            ImpairedPlace::Attachment(at) => {
                let own = &self.scenario.attachments[at];
                let own = (own.operational_status.clone(), own.admin_enabled);
                let (status, admin_enabled) = self.wrong.states.get(&place).cloned().unwrap_or(own);
                self.patch_attachment(at, &status, admin_enabled);
            }
        }
    }

    /// An event changes a tunnel; while that is out of service, nobody sees it.
    pub(super) fn set_vpn_tunnel(&mut self, tunnel: usize, status: &str) {
        let place = ImpairedPlace::VpnTunnel(tunnel);
        self.wrong.states.insert(place, (status.to_owned(), true));
        if !self.wrong.is_out_of_service(place) {
            self.patch_vpn_tunnel(tunnel, status);
        }
    }

    /// The same for an attachment.
    pub(super) fn set_attachment(&mut self, attachment: usize, operational_status: &str, admin_enabled: bool) {
        let place = ImpairedPlace::Attachment(attachment);
        self.wrong.states.insert(place, (operational_status.to_owned(), admin_enabled));
        if !self.wrong.is_out_of_service(place) {
            self.patch_attachment(attachment, operational_status, admin_enabled);
        }
    }

    /// Puts what is wrong with something on all of its links.
    fn impair_all(&mut self, place: ImpairedPlace) {
        for outbound in self.outbound_links(place) {
            self.impair_link(place, outbound);
        }
    }

    /// Puts what is wrong with something on one of its links, given by its direction away from the instances.
    pub(super) fn impair_link(&mut self, place: ImpairedPlace, outbound: LinkId) {
        let down = matches!(place, ImpairedPlace::Workload(_)) && self.wrong.is_out_of_service(place);
        let both = self.wrong.links.get(&place).copied().unwrap_or_default();
        let links = [outbound, self.engine.topology().reverse(outbound)];
        for (link, impairments) in links.into_iter().zip(both) {
            self.engine.impair(link, Impairments { down, ..impairments });
        }
    }

    /// The links of something that lead away from the instances.
    fn outbound_links(&self, place: ImpairedPlace) -> Vec<LinkId> {
        let topology = self.engine.topology();
        // Those through which a far station is reached.
        let towards = |node: NodeId| topology.links_of(node).map(|link| topology.reverse(link));
        match place {
            ImpairedPlace::Host(host) => towards(self.hosts[host].node).collect(),
            ImpairedPlace::Connector(connector) => self.connector_links(connector).collect(),
            ImpairedPlace::Workload(workload) => {
                let instances = self.workloads[workload].iter().filter(|instance| instance.firewall_port.is_some());
                instances.filter_map(|instance| topology.link_at(instance.site.node, instance::VPC)).collect()
            }
            ImpairedPlace::VpnTunnel(tunnel) => self.links_to(&Key::Tunnel(tunnel)),
            ImpairedPlace::Attachment(attachment) => self.links_to(&Key::Attachment(attachment)),
        }
    }

    /// The links from routers to what is beyond.
    fn links_to(&self, key: &Key) -> Vec<LinkId> {
        let topology = self.engine.topology();
        let is_router = |node: NodeId| self.vpcs.iter().any(|vpc| vpc.router.node == node);
        let sites = self.stations(key).into_iter();
        let links = sites.flat_map(|site| topology.links_of(site.node)).map(|link| topology.reverse(link));
        links.filter(|link| is_router(topology.ends(*link)[0])).collect()
    }
}
