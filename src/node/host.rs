//! Declared destinations: hosts wherever they are, and VMs. A VM may also be a next hop of routes, and pass packets on.
//!
//! Google takes packets for other addresses to a VM, and from it, only with IP forwarding (`canIpForward`,
//! <https://docs.cloud.google.com/vpc/docs/using-routes#canipforward>, 2026). What the VM does with them is not modelled: each is
//! passed on as it is.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::snat::can_be_reset;
use crate::trace::info::{DeliverInfo, DeliverTarget, GoogleServiceType, InstanceInfo};
use crate::trace::{DropCause, Explain, Memo, PortId, State, Verdict};
use crate::wire::{IcmpError, Packet, Protocol};

/// Towards the network that the host is in.
pub const UPLINK: PortId = PortId(0);
/// Of a VM that is a next hop: towards what is behind it.
pub const BEHIND: PortId = PortId(1);

/// Where a host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPlace {
    /// On the internet.
    Internet,
    /// In a VPC network: a VM, or a host of which no more is known than that.
    Vpc(Box<InstanceInfo>),
    /// On premises.
    OnPrem,
    /// Google's, reached by Private Google Access.
    GoogleApi,
    /// Another service of Google's, or one that was published, with what a trace delivers to.
    Service(Box<DeliverInfo>),
}

/// A VM that is a next hop of routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarding {
    /// Its own addresses.
    pub own: Vec<IpNet>,
    /// `canIpForward`
    pub allowed: bool,
}

/// A declared destination: which ports are open, and whether it answers at all. What an open port says is the business of
/// whoever makes the traffic.
#[derive(Debug)]
pub struct Host {
    name: Arc<str>,
    tcp_ports: Vec<u16>,
    udp_ports: Vec<u16>,
    unreachable: bool,
    refuses: bool,
    out_of_service: bool,
    place: HostPlace,
    forwarding: Option<Forwarding>,
}

impl Host {
    /// A host. Without any port in either list everything is open.
    pub fn new(name: Arc<str>, tcp_ports: Vec<u16>, udp_ports: Vec<u16>, unreachable: bool, place: HostPlace) -> Self {
        let (refuses, out_of_service) = (false, false);
        Host { name, tcp_ports, udp_ports, unreachable, refuses, out_of_service, place, forwarding: None }
    }

    /// It is a next hop: packets for other addresses are to go through [`BEHIND`].
    pub fn set_forwarding(&mut self, forwarding: Forwarding) {
        self.forwarding = Some(forwarding);
    }

    /// It answers nothing, or does again.
    pub fn set_unreachable(&mut self, unreachable: bool) {
        self.unreachable = unreachable;
    }

    /// No port is open, or those that are open are so again.
    pub fn set_refusing(&mut self, refuses: bool) {
        self.refuses = refuses;
    }

    /// It answers nothing for a time, whatever it does otherwise.
    pub fn set_out_of_service(&mut self, out_of_service: bool) {
        self.out_of_service = out_of_service;
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Where it is.
    pub fn place(&self) -> &HostPlace {
        &self.place
    }

    /// Handles a packet that came through `from`.
    pub fn handle_packet(&mut self, packet: &mut Packet, from: PortId, explain: &mut Explain) -> Verdict {
        if let Some(forwarding) = &self.forwarding {
            if from == BEHIND {
                return Verdict::Forward(UPLINK, Memo::Pure);
            }
            let destination = packet.destination();
            if !forwarding.own.iter().any(|range| range.contains(&destination)) {
                return self.pass_on(forwarding.allowed, destination, explain);
            }
        }
        if let HostPlace::Vpc(info) = &self.place {
            explain.say(State::ArriveAtInstance, || (format!("reaches {}", self.name), (**info).clone()));
        }
        if self.unreachable || self.out_of_service {
            explain.say(State::Drop, || match self.out_of_service {
                true => format!("{} is out of service (outage)", self.name),
                false => format!("{} never answers (unreachable: true)", self.name),
            });
            return Verdict::Drop(DropCause::SimHostUnreachable);
        }
        let everything = self.tcp_ports.is_empty() && self.udp_ports.is_empty();
        let flow = packet.flow();
        let is_open = |listed: bool| !self.refuses && (everything || listed);
        let open = flow.is_none_or(|flow| match flow.protocol() {
            Protocol::Tcp => is_open(self.tcp_ports.contains(&flow.dst_port())),
            Protocol::Udp => is_open(self.udp_ports.contains(&flow.dst_port())),
            Protocol::Icmp => true,
        });
        explain.say(State::Deliver, || {
            let port = flow.filter(|flow| flow.protocol() != Protocol::Icmp);
            let port = port.map(|flow| format!("{} port {}", flow.protocol(), flow.dst_port())).unwrap_or_default();
            // Behind the first port is the internet, behind the others are networks with Private Google Access.
            let privately = self.place == HostPlace::GoogleApi && from != UPLINK;
            let way = if privately { " by Private Google Access, without NAT" } else { "" };
            let text = match (open, port.is_empty()) {
                (_, true) => format!("delivered to {}{way}", self.name),
                (true, _) => format!("delivered to {}{way}, {port} is open", self.name),
                (false, _) if self.refuses => {
                    format!("delivered to {}{way}, which refuses everything (refuse: true)", self.name)
                }
                (false, _) => format!("delivered to {}{way}, which refuses: {port} is closed", self.name),
            };
            (text, self.deliver_info(packet.destination(), privately))
        });
        if open {
            return Verdict::Deliver(Memo::Pure);
        }
        let mut answer = Packet::empty();
        if can_be_reset(packet) {
            answer.build_reset(packet);
        } else if !answer.build_icmp_error(IcmpError::PortUnreachable, packet, packet.destination()) {
            return Verdict::Deliver(Memo::Never);
        }
        Verdict::Answer(Box::new(answer))
    }

    /// A packet for another address.
    fn pass_on(&self, allowed: bool, destination: IpAddr, explain: &mut Explain) -> Verdict {
        let name = &self.name;
        if let HostPlace::Vpc(info) = &self.place {
            explain.say(State::ArriveAtInstance, || (format!("reaches {name}, the next hop"), (**info).clone()));
        }
        if !allowed {
            explain
                .say(State::Drop, || format!("{destination} is not an address of {name}, which has no IP forwarding"));
            return Verdict::Drop(DropCause::ForeignIpDisallowed);
        }
        explain.say(State::SpoofingApproved, || format!("{name} has IP forwarding and passes it on"));
        Verdict::Forward(BEHIND, Memo::Pure)
    }

    fn deliver_info(&self, address: IpAddr, privately: bool) -> DeliverInfo {
        let to = |target| DeliverInfo::to(target, address);
        match &self.place {
            HostPlace::Internet => to(DeliverTarget::Internet),
            HostPlace::OnPrem => to(DeliverTarget::PrivateNetwork),
            HostPlace::Vpc(info) => {
                DeliverInfo { resource: Some(info.instance.clone()), ..to(DeliverTarget::Instance) }
            }
            HostPlace::GoogleApi => {
                let google_service = privately.then_some(GoogleServiceType::PrivateGoogleAccess);
                DeliverInfo { google_service, ..to(DeliverTarget::GoogleApi) }
            }
            HostPlace::Service(info) => DeliverInfo { ip_address: address, ..(**info).clone() },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::wire::{FiveTuple, TcpSegment, tcp_flags};

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
    fn a_closed_port_answers_with_a_reset_and_a_black_hole_with_nothing() {
        let mut host = Host::new("h".into(), vec![443], vec![], false, HostPlace::Internet);
        assert_eq!(host.handle_packet(&mut syn(443), UPLINK, &mut Explain::silent()), Verdict::Deliver(Memo::Pure));
        let Verdict::Answer(reset) = host.handle_packet(&mut syn(80), UPLINK, &mut Explain::silent()) else { panic!() };
        assert_eq!(reset.tcp_flags(), tcp_flags::RST | tcp_flags::ACK);
        let mut hole = Host::new("h".into(), vec![], vec![], true, HostPlace::Internet);
        let verdict = hole.handle_packet(&mut syn(443), UPLINK, &mut Explain::silent());
        assert_eq!(verdict, Verdict::Drop(DropCause::SimHostUnreachable));
    }

    #[test]
    fn a_host_may_refuse_everything_and_be_out_of_service_for_a_time() {
        let mut host = Host::new("h".into(), vec![], vec![], false, HostPlace::Internet);
        let silent = &mut Explain::silent();
        host.set_refusing(true);
        let Verdict::Answer(reset) = host.handle_packet(&mut syn(443), UPLINK, silent) else { panic!() };
        assert_eq!(reset.tcp_flags(), tcp_flags::RST | tcp_flags::ACK);
        let mut echo = syn(443);
        let tuple = echo.five_tuple().unwrap();
        echo.build_echo(FiveTuple { dst_port: 0, protocol: Protocol::Icmp, ..tuple }, 1, 56);
        assert_eq!(host.handle_packet(&mut echo, UPLINK, silent), Verdict::Deliver(Memo::Pure), "it is there");
        host.set_out_of_service(true);
        let dropped = Verdict::Drop(DropCause::SimHostUnreachable);
        assert_eq!(host.handle_packet(&mut syn(443), UPLINK, silent), dropped);
        host.set_out_of_service(false);
        host.set_refusing(false);
        assert_eq!(host.handle_packet(&mut syn(443), UPLINK, silent), Verdict::Deliver(Memo::Pure));
    }

    #[test]
    fn a_vm_passes_on_what_is_for_others_with_ip_forwarding_only() {
        let vm = |allowed: bool| {
            let mut vm = Host::new("nva".into(), vec![], vec![], false, HostPlace::OnPrem);
            vm.set_forwarding(Forwarding { own: vec!["10.9.0.50/32".parse().unwrap()], allowed });
            vm
        };
        let silent = &mut Explain::silent();
        assert_eq!(vm(true).handle_packet(&mut syn(443), UPLINK, silent), Verdict::Forward(BEHIND, Memo::Pure));
        let refused = Verdict::Drop(DropCause::ForeignIpDisallowed);
        assert_eq!(vm(false).handle_packet(&mut syn(443), UPLINK, silent), refused);
        // What comes from behind goes into the network, and what is for the VM itself arrives.
        assert_eq!(vm(true).handle_packet(&mut syn(443), BEHIND, silent), Verdict::Forward(UPLINK, Memo::Pure));
        let mut own = syn(443);
        own.set_destination(Ipv4Addr::new(10, 9, 0, 50), 443);
        assert_eq!(vm(false).handle_packet(&mut own, UPLINK, silent), Verdict::Deliver(Memo::Pure));
    }
}
