//! The ways to the internet: a network's internet gateway, Cloud Run's own egress; and the internet itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use ipnet::{IpNet, Ipv6Net};
use prefix_trie::PrefixMap;
use prefix_trie::joint::map::JointPrefixMap;

use super::IdlePolicy;
use super::router::{is_private, is_private_v6};
use super::snat::{Refusal, Snat};
use crate::time::SimTime;
use crate::trace::info::{DeliverInfo, DeliverTarget, ServerlessExternalInfo};
use crate::trace::{DropCause, EntryId, Explain, Memo, PortId, State, Verdict};
use crate::wire::{Direction, IcmpError, Packet};

/// Towards the internet.
pub const INTERNET: PortId = PortId(0);

/// Where the internet gateway's ICMP errors come from: the first hop that takes from the TTL. A documentation address.
const GATEWAY_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The same for IPv6.
const GATEWAY_ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// A network's default internet gateway. Port 0 leads to the internet, the others to the NAT gateways, and one to the
/// network's routes for external IPv6 addresses, which nothing translates. It is the first router on the way that takes one
/// from the TTL: in Google's network nothing before it does.
#[derive(Debug)]
pub struct InternetGateway {
    network: Arc<str>,
    nat: HashMap<Ipv4Addr, PortId, FixedState>,
    external_v6: PrefixMap<Ipv6Net, PortId>,
}

impl InternetGateway {
    /// The gateway of a network.
    pub fn new(network: Arc<str>) -> Self {
        InternetGateway { network, nat: HashMap::default(), external_v6: PrefixMap::new() }
    }

    /// Packets to this NAT IP go through this port.
    pub fn add_nat_ip(&mut self, ip: Ipv4Addr, port: PortId) {
        self.nat.insert(ip, port);
    }

    /// Packets to this external IPv6 range of a subnet go through this port.
    pub fn add_external(&mut self, range: Ipv6Net, port: PortId) {
        self.external_v6.insert(range, port);
    }

    fn inward(&self, destination: IpAddr) -> Option<PortId> {
        match destination {
            IpAddr::V4(address) => self.nat.get(&address).copied(),
            IpAddr::V6(address) => self.external_v6.get_lpm(&address.into()).map(|(_, port)| *port),
        }
    }

    /// Handles a packet that came through `from`.
    pub fn handle_packet(&mut self, packet: &mut Packet, from: PortId, explain: &mut Explain) -> Verdict {
        let onward = if from == INTERNET {
            match self.inward(packet.destination()) {
                Some(port) => port,
                None => {
                    explain.say(State::Drop, || {
                        format!("no gateway of {} has the address {}", self.network, packet.destination())
                    });
                    return Verdict::Drop(DropCause::SimUnsolicited);
                }
            }
        } else {
            INTERNET
        };
        if packet.decrement_ttl() {
            return Verdict::Forward(onward, Memo::DecrementTtl);
        }
        explain.say(State::Drop, || format!("the TTL ran out at the internet gateway of {}", self.network));
        let mut error = Packet::empty();
        let address = if packet.is_ipv4() { GATEWAY_ADDRESS.into() } else { IpAddr::from(GATEWAY_ADDRESS_V6) };
        if error.build_icmp_error(IcmpError::TimeExceeded, packet, address) {
            Verdict::Refuse(DropCause::SimTtlExpired, Box::new(error))
        } else {
            Verdict::Drop(DropCause::SimTtlExpired)
        }
    }
}

/// Google: connections from a container to the internet are dropped after 20 minutes of idleness.
const EXTERNAL_IDLE: Duration = Duration::from_secs(20 * 60);
/// What is never established, or closed, keeps its port for two minutes. Assumed; ports do not run out here.
const EXTERNAL_TRANSITORY: Duration = Duration::from_secs(120);

/// Cloud Run's own internet egress: a shared, changing pool of Google's addresses. No VPC firewall, route or Cloud NAT
/// applies. Google publishes neither the pool nor its ports; here it is half of a documentation range, each instance prefers one
/// address, and ports do not run out: a destination can have eight million connections. Port 0 leads to the internet, port `i + 1` to instance `i`.
#[derive(Debug)]
pub struct ServerlessEgress {
    snat: Snat,
    instances: HashMap<Ipv4Addr, PortId, FixedState>,
    pool: usize,
    idle: IdlePolicy,
}

impl ServerlessEgress {
    /// An egress with these pool addresses. `idle`: what becomes of a connection that was idle for 20 minutes.
    pub fn new(pool: Vec<Ipv4Addr>, idle: IdlePolicy) -> Self {
        let (long, short) = (EXTERNAL_IDLE, EXTERNAL_TRANSITORY);
        let addresses = pool.len();
        let snat = Snat::new(pool, 1024, 64_512, [long, short, short, long, short]);
        ServerlessEgress { snat, instances: HashMap::default(), pool: addresses, idle }
    }

    /// Tells where an instance is reached.
    pub fn add_instance(&mut self, address: Ipv4Addr, port: PortId) {
        self.instances.insert(address, port);
    }

    /// An instance is gone.
    pub fn remove_instance(&mut self, address: Ipv4Addr) {
        self.instances.remove(&address);
    }

    /// Handles a packet that came through `from`.
    pub fn handle_packet(&mut self, packet: &mut Packet, from: PortId, now: SimTime, explain: &mut Explain) -> Verdict {
        if from != INTERNET {
            let (_, dst) = (packet.src(), packet.dst());
            if is_private(dst) {
                return Verdict::Drop(DropCause::PrivateTrafficToInternet);
            }
            let prefer = from.0 as usize % self.pool.max(1);
            return match self.snat.outbound(packet, prefer, now) {
                Ok(memo) => {
                    explain.say(State::ServerlessExternalConnection, || {
                        let address = packet.src();
                        let info = ServerlessExternalInfo { selected_ip_address: address.into() };
                        (format!("leaves with {address} of Google's dynamic address pool, not with a static IP"), info)
                    });
                    Verdict::Forward(INTERNET, memo)
                }
                Err(Refusal::Cause(cause)) => Verdict::Drop(cause),
                Err(Refusal::NoPort) => Verdict::Drop(DropCause::OutOfResources),
                Err(Refusal::Expired(at)) => {
                    explain.say(State::Drop, || {
                        let idle = now.since(at).as_secs_f64();
                        format!("Cloud Run's internet egress forgot the connection {idle:.1} s earlier, after twenty idle minutes")
                    });
                    self.idle.verdict(packet)
                }
            };
        }
        match self.snat.inbound(packet, now) {
            Ok(memo) => {
                explain.say(State::ServerlessExternalConnection, || {
                    format!("Cloud Run's internet egress translates the destination back to {}", packet.dst())
                });
                match self.instances.get(&packet.dst()) {
                    Some(&port) => Verdict::Forward(port, memo),
                    None => Verdict::Drop(DropCause::SimInstanceGone),
                }
            }
            Err(cause) => {
                explain.say(State::Drop, || format!("Cloud Run's internet egress: {}", cause.meaning()));
                Verdict::Drop(cause)
            }
        }
    }

    /// Handles a packet of a flow that came this way before; false when the entry is not enough.
    #[inline]
    pub fn handle_known(&mut self, entry: EntryId, packet: &mut Packet, from: PortId, now: SimTime) -> bool {
        let direction = if from == INTERNET { Direction::Inbound } else { Direction::Outbound };
        self.snat.known(entry, packet, direction, now)
    }
}

/// The internet: it knows the way to declared hosts and to the external addresses of the networks. Whoever is not
/// declared is a host that takes every packet.
#[derive(Debug, Default)]
pub struct Internet {
    routes: JointPrefixMap<IpNet, PortId>,
}

impl Internet {
    /// Packets to this range go through this port.
    pub fn add_route(&mut self, range: impl Into<IpNet>, port: PortId) {
        self.routes.insert(range.into(), port);
    }

    /// Handles a packet.
    pub fn handle_packet(&mut self, packet: &mut Packet, explain: &mut Explain) -> Verdict {
        let dst = packet.destination();
        if let Some((_, &port)) = self.routes.get_lpm(&dst.into()) {
            return Verdict::Forward(port, Memo::Pure);
        }
        let private = match dst {
            IpAddr::V4(address) => is_private(address),
            IpAddr::V6(address) => is_private_v6(address),
        };
        if private {
            explain.say(State::Drop, || format!("{dst} is private: the internet has no route to it"));
            return Verdict::Drop(DropCause::PrivateTrafficToInternet);
        }
        explain.say(State::Deliver, || {
            let text = format!("{dst} is an internet host that the scenario does not describe");
            (text, DeliverInfo::to(DeliverTarget::Internet, dst))
        });
        Verdict::Deliver(Memo::Pure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{FiveTuple, Protocol, TcpSegment, tcp_flags};

    fn syn(dst_port: u16) -> Packet {
        let tuple = FiveTuple {
            src: Ipv4Addr::new(203, 0, 113, 10),
            dst: Ipv4Addr::new(198, 51, 100, 7),
            src_port: 1024,
            dst_port,
            protocol: Protocol::Tcp,
        };
        let mut packet = Packet::empty();
        packet.build_tcp(tuple, TcpSegment { flags: tcp_flags::SYN, seq: 1, ack: 0, payload: 0 });
        packet
    }

    #[test]
    fn a_ttl_of_one_is_answered_from_the_internet_gateway() {
        let mut gateway = InternetGateway::new("vpc".into());
        let mut packet = syn(443);
        while packet.decrement_ttl() {}
        let Verdict::Refuse(DropCause::SimTtlExpired, error) =
            gateway.handle_packet(&mut packet, PortId(1), &mut Explain::silent())
        else {
            panic!()
        };
        assert_eq!(error.embedded().unwrap().tuple, packet.five_tuple().unwrap());
    }

    #[test]
    fn the_serverless_pool_does_not_run_out_at_one_address() {
        let pool = vec![Ipv4Addr::new(192, 0, 2, 129), Ipv4Addr::new(192, 0, 2, 130)];
        let mut egress = ServerlessEgress::new(pool, IdlePolicy::Reset);
        egress.add_instance(Ipv4Addr::new(169, 254, 8, 1), PortId(1));
        let mut seen = std::collections::BTreeSet::new();
        for port in 0..=u16::MAX {
            let mut packet = syn(443);
            packet.set_source(Ipv4Addr::new(169, 254, 8, 1), port);
            let verdict = egress.handle_packet(&mut packet, PortId(1), SimTime::ZERO, &mut Explain::silent());
            assert!(matches!(verdict, Verdict::Forward(INTERNET, _)));
            seen.insert((packet.src(), packet.five_tuple().unwrap().src_port));
        }
        assert_eq!(seen.len(), 65_536);
    }
}
