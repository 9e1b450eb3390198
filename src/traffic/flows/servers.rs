//! What servers do of their own accord: they close connections that nobody uses, and reset some.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::Flows;
use super::connection::{Ends, Far, Kind, Phase};
use crate::network::Network;
use crate::scenario::ServerClose;
use crate::time::SimTime;
use crate::topology::NodeId;
use crate::traffic::server::{Accepted, ServerBehaviour};

/// The servers that do anything of their own accord, and their connections.
#[derive(Debug, Default)]
pub(super) struct Servers {
    seed: u64,
    behaviours: HashMap<NodeId, ServerBehaviour, FixedState>,
    /// By slot.
    connections: HashMap<u32, Watched, FixedState>,
}

/// A connection that its server may end.
#[derive(Debug, Clone, Copy)]
struct Watched {
    accepted: Accepted,
    /// The last packet that came or went.
    active: SimTime,
    /// The server has closed it already.
    closed: bool,
}

impl Servers {
    pub(super) fn new(seed: u64) -> Servers {
        Servers { seed, ..Servers::default() }
    }

    /// The server of a host as it behaves now, if it does anything of its own accord, or did.
    fn behaviour(&mut self, network: &Network, node: NodeId) -> Option<&mut ServerBehaviour> {
        let settings = network.server_settings(node).copied();
        if settings.is_none() && !self.behaviours.contains_key(&node) {
            return None;
        }
        let seed = self.seed;
        let behaviour = self.behaviours.entry(node).or_insert_with(|| {
            let host = network.engine().topology().name(node);
            ServerBehaviour::new(settings.unwrap_or_default(), seed, host)
        });
        behaviour.set(settings.unwrap_or_default());
        Some(behaviour)
    }

    /// A packet of a connection came to its server, or went from there.
    pub(super) fn use_connection(&mut self, slot: u32, now: SimTime) {
        if !self.connections.is_empty()
            && let Some(watched) = self.connections.get_mut(&slot)
        {
            watched.active = now;
        }
    }

    /// Whether a connection was accepted by a server that may end it.
    fn knows(&self, slot: u32) -> bool {
        self.connections.contains_key(&slot)
    }

    /// A connection is over, or its server has forgotten it.
    pub(super) fn forget(&mut self, slot: u32) {
        if !self.connections.is_empty() {
            self.connections.remove(&slot);
        }
    }
}

impl Flows {
    /// The server has got something after the SYN: with the first of it, the handshake is complete.
    pub(super) fn accept(&mut self, network: &mut Network, slot: u32, node: NodeId) {
        let now = network.engine().now();
        if self.servers.knows(slot) {
            self.servers.use_connection(slot, now);
            return;
        }
        let Some(behaviour) = self.servers.behaviour(network, node) else { return };
        let accepted = behaviour.accept(now);
        self.watch_server(network, slot, node, accepted);
    }

    fn watch_server(&mut self, network: &mut Network, slot: u32, node: NodeId, accepted: Accepted) {
        let now = network.engine().now();
        self.servers.connections.insert(slot, Watched { accepted, active: now, closed: false });
        self.ask_for_end(network, slot, node);
    }

    /// Asks to be woken when the server ends a connection if nothing more comes or goes.
    fn ask_for_end(&mut self, network: &mut Network, slot: u32, node: NodeId) {
        let Some(&Watched { accepted, active, closed: false }) = self.servers.connections.get(&slot) else { return };
        let ends = self.servers.behaviour(network, node).and_then(|behaviour| behaviour.ends_at(accepted, active));
        if let Some((at, _)) = ends {
            self.wake_at(network, at, Kind::ServerEnds, slot);
        }
    }

    /// The server may end a connection now.
    pub(super) fn server_ends(&mut self, network: &mut Network, slot: u32) {
        let now = network.engine().now();
        let Some(&Watched { accepted, active, closed: false }) = self.servers.connections.get(&slot) else { return };
        let Some(far) = self.connections[slot as usize].far else { return };
        let ends = self.servers.behaviour(network, far.node).and_then(|it| it.ends_now(accepted, active, now));
        match ends {
            None => self.ask_for_end(network, slot, far.node),
            Some(ServerClose::Fin) => {
                self.servers.connections.insert(slot, Watched { accepted, active, closed: true });
                self.close_server(network, slot);
            }
            Some(ServerClose::Rst) => self.reset_by_server(network, slot, far),
        }
    }

    /// The server's application closes.
    pub(super) fn close_server(&mut self, network: &mut Network, slot: u32) {
        match &mut self.connections[slot as usize].ends {
            Ends::Script(script) => {
                if let Some(server) = &mut script.server {
                    server.half.close();
                }
                self.continue_server(network, slot, false);
            }
            Ends::Stack(stack) => {
                if let Some(server) = &mut stack.server {
                    server.close();
                }
                self.run_server(network, slot);
            }
        }
    }

    /// The server resets a connection, and knows it no longer.
    pub(super) fn reset_by_server(&mut self, network: &mut Network, slot: u32, far: Far) {
        self.servers.forget(slot);
        match &mut self.connections[slot as usize].ends {
            Ends::Script(script) => {
                let Some(mut server) = script.server.take() else { return };
                let mut packet = network.engine_mut().spare_packet();
                packet.build_tcp(far.flow.reversed(), server.half.reset());
                self.connections[slot as usize].far = None;
                self.send_from_server(network, slot, far, packet, true);
            }
            Ends::Stack(stack) => {
                let Some(server) = &mut stack.server else { return };
                server.abort();
                self.run_server(network, slot);
                if self.connections[slot as usize].phase != Phase::Free {
                    self.connections[slot as usize].stack().server = None;
                    self.connections[slot as usize].far = None;
                }
            }
        }
    }

    /// Hosts behave otherwise from now on. Connections of before keep the resets that they were to get; their idle time
    /// counts from now.
    pub fn servers_changed(&mut self, network: &mut Network, hosts: &[NodeId]) {
        for slot in 0..self.connections.len() as u32 {
            let connection = &self.connections[slot as usize];
            let Some(far) = connection.far.filter(|far| connection.phase == Phase::Open && hosts.contains(&far.node))
            else {
                continue;
            };
            let accepted = self.servers.connections.get(&slot).map_or(Accepted::FOR_GOOD, |watched| watched.accepted);
            self.watch_server(network, slot, far.node, accepted);
        }
    }
}
