//! One packet and its reply through a scenario's network, with everything that happened said.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::network::{Network, workload_info};
use crate::node::Node;
use crate::node::beyond::Place;
use crate::node::host::HostPlace;
use crate::node::instance::SOCKETS;
use crate::scenario::{Destination, Scenario};
use crate::sim::Outcome;
use crate::time::SimTime;
use crate::topology::NodeId;
use crate::trace::info::{AbortInfo, DeliverTarget, EndpointInfo, GoogleServiceInfo, GoogleServiceType, Resource};
use crate::trace::{AbortCause, Disposition, Hop, State, Step, StepInfo, Trace};
use crate::wire::{Flow, Packet, Protocol, TcpSegment, tcp_flags};

/// A traced packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The packet's flow, as the instance sends it; `None` when nobody could send it.
    pub flow: Option<Flow>,
    /// Its way there.
    pub trace: Trace,
    /// The way of the answer, if anybody answers.
    pub reply: Option<Trace>,
    /// The packet as it was sent; `None` when nobody could send it.
    pub sent: Option<EndpointInfo>,
    /// The answer as it was sent.
    pub answered: Option<EndpointInfo>,
}

/// Sends one packet from the first instance of a workload: a TCP SYN, a UDP datagram or an ICMP echo request. `None` when
/// the workload has no instance; when it has none because its subnet is full, the trace says so. Links lose nothing here,
/// and take no time.
pub fn probe(
    scenario: &Scenario,
    from: usize,
    to: impl Into<Destination>,
    port: u16,
    protocol: Protocol,
) -> Option<Probe> {
    probe_at(scenario, from, Moment::default(), to, port, protocol)
}

/// When a packet is sent, and from where.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moment<'a> {
    /// The network is as the events before this time have left it, without any traffic.
    pub at: SimTime,
    /// Name of the instance; the workload's first when there is none of that name.
    pub instance: Option<&'a str>,
}

/// Sends one packet as [`probe`] does, at another time and from another instance.
pub fn probe_at(
    scenario: &Scenario,
    from: usize,
    moment: Moment<'_>,
    to: impl Into<Destination>,
    port: u16,
    protocol: Protocol,
) -> Option<Probe> {
    let mut network = Network::new(scenario);
    network.engine_mut().make_instant();
    bring_to(&mut network, moment.at);
    let instances = network.instances(from);
    let name = |node| network.engine().topology().name(node);
    let named = moment.instance.and_then(|wanted| instances.iter().find(|it| name(it.site.node) == wanted));
    let Some(instance) = named.or(instances.first()).cloned() else {
        return network.full_subnetwork(from).map(|subnetwork| aborted(&network, from, subnetwork));
    };
    let dst_port = if protocol == Protocol::Icmp { 0 } else { port };
    // The first of Linux' ephemeral ports.
    let dst = to.into().address(instance.prefers_ipv6);
    // An address that the instance does not have stands for its missing IPv6: its kernel says so at once.
    let src = instance.source_for(dst).unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    let flow = Flow::between((src, 32_768), (dst, dst_port), protocol).expect("both are of one version of IP");
    let mut packet = Packet::empty();
    match protocol {
        Protocol::Tcp => {
            packet.build_tcp(flow, TcpSegment { flags: tcp_flags::SYN, seq: 1, ack: 0, payload: 0 });
        }
        Protocol::Udp => packet.build_udp(flow, 32),
        Protocol::Icmp => packet.build_echo(flow, 1, 56),
    }
    let sent = Some(EndpointInfo::of(&packet));
    let (trace, outcome) = network.engine_mut().trace(instance.site.node, SOCKETS, &mut packet);
    let (reply, answered) = answer(&mut network, &trace, outcome, &packet).unzip();
    Some(Probe { flow: Some(flow), trace, reply, sent, answered })
}

/// Makes the changes that come before a time.
fn bring_to(network: &mut Network, at: SimTime) {
    while network.next_change() < at {
        let due = network.next_change();
        network.engine_mut().advance_to(due);
        network.make_changes();
    }
    network.engine_mut().advance_to(at);
}

/// A trace from a workload that has no instance, for want of addresses in its subnet.
fn aborted(network: &Network, from: usize, subnetwork: usize) -> Probe {
    let scenario = network.scenario();
    let (workload, subnet) = (&scenario.workloads[from], &scenario.subnetworks[subnetwork]);
    let info = workload_info(workload, &workload.revisions[0]);
    let state = info.kind.start();
    let start =
        Step { state, description: format!("{} has no instance to send from", workload.name), info: Some(info.into()) };
    let cause = AbortCause::NoServerlessIpRanges;
    let pool = &network.pools()[subnetwork];
    let abort = Step {
        state: State::Abort,
        description: format!(
            "subnet {} ({}) has no free addresses for an instance, which needs {}: others hold {}, in {} blocks of 16",
            subnet.name,
            subnet.range,
            workload.addresses_per_instance(),
            pool.held().now,
            pool.blocks().now
        ),
        info: Some(
            AbortInfo { cause, resource: Some(Resource::regional("subnetworks", &*subnet.region, &*subnet.name)) }
                .into(),
        ),
    };
    let hop = Hop { node: workload.name.clone(), steps: vec![start, abort] };
    Probe {
        flow: None,
        trace: Trace { hops: vec![hop], disposition: Disposition::Abort(cause) },
        reply: None,
        sent: None,
        answered: None,
    }
}

/// The answer of whoever was reached, traced back.
fn answer(network: &mut Network, trace: &Trace, outcome: Outcome, packet: &Packet) -> Option<(Trace, EndpointInfo)> {
    let (node, port, closed) = match outcome {
        Outcome::Delivered(node, port) => (node, port, false),
        Outcome::Answered(node, port) => (node, port, true),
        Outcome::Dropped(..) | Outcome::Travelling => return None,
    };
    // Whoever is beyond a network that is not described may answer or not; and the sandbox answers by itself.
    if trace.disposition != Disposition::Deliver || matches!(network.engine().node(node), Node::Instance(_)) {
        return None;
    }
    let flow = packet.flow()?;
    let mut reply = Packet::empty();
    match flow.protocol() {
        Protocol::Tcp if closed => reply.build_reset(packet),
        Protocol::Tcp => {
            let flags = tcp_flags::SYN | tcp_flags::ACK;
            reply.build_tcp(flow.reversed(), TcpSegment { flags, seq: 1, ack: 2, payload: 0 });
        }
        Protocol::Udp if closed => {
            reply.build_icmp_error(crate::wire::IcmpError::PortUnreachable, packet, packet.destination());
        }
        Protocol::Udp => reply.build_udp(flow.reversed(), 32),
        Protocol::Icmp => reply.build_echo(flow.reversed(), 1, 56),
    }
    let answered = EndpointInfo::of(&reply);
    let (mut back, _) = network.engine_mut().trace_emitted(node, port, &mut reply);
    let (state, info) = start(network, node, flow.dst(), &answered);
    let name = network.engine().topology().name(node).to_owned();
    let (dst, client) = (flow.dst(), SocketAddr::new(flow.src(), flow.src_port()));
    let description = match (flow.protocol(), closed) {
        (Protocol::Tcp, false) => format!("{dst} answers with SYN-ACK to {client}"),
        (Protocol::Tcp, true) => format!("{dst} answers with a reset to {client}"),
        (Protocol::Udp, true) => format!("{dst} answers with ICMP port unreachable to {}", flow.src()),
        _ => format!("{dst} answers to {}", flow.src()),
    };
    back.hops.insert(0, Hop { node: name, steps: vec![Step { state, description, info }] });
    Some((back, answered))
}

/// How a reply begins that leaves from a station.
fn start(network: &Network, node: NodeId, address: IpAddr, sent: &EndpointInfo) -> (State, Option<StepInfo>) {
    let google = |service_type| {
        let info = GoogleServiceInfo { source_ip: address, service_type };
        (State::StartFromGoogleService, Some(info.into()))
    };
    match network.engine().node(node) {
        _ if network.is_on_internet(node) => (State::StartFromInternet, Some(sent.clone().into())),
        Node::Google(services) => google(services.service_at(address)),
        Node::Beyond(beyond) => match beyond.place() {
            Place::PublishedService { .. } => (State::StartFromPscPublishedService, None),
            Place::Peer { managed: true } => (State::StartFromGoogleService, None),
            _ => (State::StartFromPrivateNetwork, None),
        },
        Node::Host(host) => match host.place() {
            HostPlace::Vpc(info) => (State::StartFromInstance, Some((**info).clone().into())),
            HostPlace::OnPrem => (State::StartFromPrivateNetwork, None),
            HostPlace::Service(info) => match info.target {
                DeliverTarget::PscPublishedService => (State::StartFromPscPublishedService, None),
                DeliverTarget::PscGoogleApi => google(GoogleServiceType::GoogleApiPsc),
                DeliverTarget::PscVpcSc => google(GoogleServiceType::GoogleApiVpcSc),
                _ => (State::StartFromGoogleService, None),
            },
            HostPlace::Internet | HostPlace::GoogleApi => google(GoogleServiceType::GoogleApi),
        },
        _ => google(GoogleServiceType::GoogleApi),
    }
}
