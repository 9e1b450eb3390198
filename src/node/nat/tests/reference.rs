//! A NAT that anybody can check, against the gateway, packet by packet.

use proptest::prelude::*;

use super::*;

/// Ports of an endpoint under each rule.
const PORTS: u16 = 4;
/// The destination that the rule is about.
const PARTNER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const PARTNER_IP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);

/// What a gateway may be set to.
#[derive(Debug, Clone, Copy)]
struct Settings {
    rule: bool,
    independent: bool,
    random: bool,
    rst_frees: bool,
    time_wait: u64,
}

#[derive(Debug, Clone)]
struct Connection {
    inside: FiveTuple,
    outside: FiveTuple,
    phase: Phase,
    ends: u64,
    /// Its socket has begun anew: it only bars its port any more, and takes late packets from outside.
    superseded: bool,
}

/// A list of connections and nothing else.
#[derive(Debug)]
struct Reference {
    settings: Settings,
    connections: Vec<Connection>,
}

impl Reference {
    fn limit(&self, phase: Phase, protocol: Protocol) -> u64 {
        match (protocol, phase.timer()) {
            (Protocol::Tcp, Timer::TcpEstablished) => 1_200_000,
            (Protocol::Tcp, Timer::TcpTimeWait) => self.settings.time_wait,
            _ => 30_000,
        }
    }

    /// The NAT IP and the first port of a client's ports for a destination.
    fn ports_of(&self, client: u8, tuple: &FiveTuple) -> (Ipv4Addr, u16) {
        let ip = if self.settings.rule && tuple.dst == PARTNER { PARTNER_IP } else { NAT_IP };
        (ip, 1024 + u16::from(client) * PORTS)
    }

    /// What may become of a packet out: the sources it may wear, and why it may be dropped. Both are possible only where a
    /// port is chosen at random among some that fit and some that do not.
    fn out(&mut self, client: u8, tuple: FiveTuple, flags: u8, ms: u64) -> (Vec<FiveTuple>, Vec<DropCause>) {
        self.connections.retain(|connection| connection.ends > ms);
        let known = self.connections.iter().position(|connection| connection.inside == tuple && !connection.superseded);
        if let Some(known) = known
            && !(self.connections[known].phase == Phase::TimeWait && flags & SYN != 0)
        {
            let outside = self.connections[known].outside;
            self.touch(known, Direction::Outbound, flags, ms);
            return (vec![outside], vec![]);
        }
        let (ip, first) = self.ports_of(client, &tuple);
        let all = (first..first + PORTS).map(|port| FiveTuple { src: ip, src_port: port, ..tuple });
        let owner = |outside: &FiveTuple| self.connections.iter().find(|connection| connection.outside == *outside);
        if !self.settings.independent {
            let free: Vec<_> = all.filter(|outside| owner(outside).is_none()).collect();
            return match free.first() {
                None => (vec![], vec![DropCause::OutOfResources]),
                Some(lowest) if !self.settings.random => (vec![*lowest], vec![]),
                Some(_) => (free, vec![]),
            };
        }
        // Holders of a port: distinct inside addresses and ports with a connection there, in this protocol.
        let same_protocol = self.connections.iter().filter(|connection| connection.inside.protocol == tuple.protocol);
        let holders = |outside: &FiveTuple| {
            let mine = same_protocol.clone().filter(|connection| {
                (connection.outside.src, connection.outside.src_port) == (outside.src, outside.src_port)
            });
            mine.map(|it| (it.inside.src, it.inside.src_port)).collect::<std::collections::BTreeSet<_>>()
        };
        let all: Vec<_> = all.collect();
        let bound = all.iter().find(|outside| holders(outside).contains(&(tuple.src, tuple.src_port)));
        let choices: Vec<FiveTuple> = match bound {
            Some(bound) => vec![*bound],
            None => {
                let fewest = all.iter().map(|outside| holders(outside).len()).min().unwrap();
                let least = all.iter().filter(|outside| holders(outside).len() == fewest).copied();
                if self.settings.random { least.collect() } else { least.take(1).collect() }
            }
        };
        let mut causes = Vec::new();
        for other in choices.iter().filter_map(owner) {
            causes.push(match (other.inside.src, other.inside.src_port) == (tuple.src, tuple.src_port) {
                true => DropCause::OutOfResources,
                false => DropCause::EndpointIndependenceConflict,
            });
        }
        (choices.into_iter().filter(|outside| owner(outside).is_none()).collect(), causes)
    }

    fn open(&mut self, inside: FiveTuple, outside: FiveTuple, flags: u8, ms: u64) {
        let phase = if inside.protocol == Protocol::Tcp { Phase::of_first_packet(flags) } else { Phase::Datagram };
        let ends = ms + self.limit(phase, inside.protocol);
        let earlier = self.connections.iter_mut().filter(|connection| connection.inside == inside);
        earlier.for_each(|connection| connection.superseded = true);
        self.connections.push(Connection { inside, outside, phase, ends, superseded: false });
    }

    fn back(&mut self, outside: FiveTuple, flags: u8, ms: u64) -> Option<FiveTuple> {
        self.connections.retain(|connection| connection.ends > ms);
        let known = self.connections.iter().position(|connection| connection.outside == outside)?;
        let inside = self.connections[known].inside;
        self.touch(known, Direction::Inbound, flags, ms);
        Some(inside.reversed())
    }

    fn touch(&mut self, known: usize, direction: Direction, flags: u8, ms: u64) {
        let Connection { inside, phase: before, .. } = self.connections[known];
        let phase = before.after(direction, flags);
        if before == Phase::TimeWait {
            return;
        }
        if phase == Phase::TimeWait && flags & RST != 0 && self.settings.rst_frees {
            self.connections.remove(known);
            return;
        }
        let ends = ms + self.limit(phase, inside.protocol);
        let connection = &mut self.connections[known];
        (connection.phase, connection.ends) = (phase, ends);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Out { client: u8, port: u16, destination: u8, protocol: u8, flags: u8 },
    Back { nth: usize, flags: u8 },
    Stranger { port: u16 },
    Wait { ms: u64 },
}

fn any_flags() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(SYN), 4 => Just(ACK), 2 => Just(FIN | ACK), 1 => Just(RST), 2 => Just(SYN | ACK)]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..2, 0u16..12, 0u8..3, 0u8..3, any_flags()).prop_map(|(client, port, destination, protocol, flags)| {
            Step::Out { client, port, destination, protocol, flags }
        }),
        4 => (any::<usize>(), any_flags()).prop_map(|(nth, flags)| Step::Back { nth, flags }),
        1 => (1020u16..1040).prop_map(|port| Step::Stranger { port }),
        2 => prop_oneof![0u64..100, Just(15_000), Just(30_000), Just(600_000)].prop_map(|ms| Step::Wait { ms }),
    ]
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let time_wait = prop_oneof![Just(30_000u64), Just(15_000), Just(120_000)];
    (0u8..3, any::<bool>(), any::<bool>(), time_wait).prop_map(|(kind, random, rst_frees, time_wait)| Settings {
        rule: kind == 1,
        independent: kind == 2,
        random,
        rst_frees,
        time_wait,
    })
}

fn gateway_with(settings: Settings) -> Gateway {
    let mut config = config(u32::from(PORTS));
    config.timeouts[Timer::TcpTimeWait as usize] = Duration::from_millis(settings.time_wait);
    config.endpoint_independent = settings.independent;
    if settings.rule {
        let matches = RuleMatch::Destination(vec![PARTNER.into()]);
        config.rules = vec![Rule { number: 100, matches, nat_ips: vec![PARTNER_IP], drain_nat_ips: vec![] }];
    }
    let behaviour = Behaviour { random_ports: settings.random, rst_frees: settings.rst_frees, ..behaviour() };
    let mut gateway = gateway(config, behaviour);
    (0..2).for_each(|index| _ = gateway.add_endpoint(vm(index)));
    gateway
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// The gateway and the reference agree packet by packet, with rules, with endpoint-independent mapping, with lowest and
    /// random ports; the tables agree with each other; out and back is the identity; a port is refused only when all are
    /// taken; free, open and cooling ports make up what is reserved.
    #[test]
    fn the_gateway_does_what_the_reference_does(
        settings in any_settings(),
        steps in prop::collection::vec(any_step(), 1..200),
    ) {
        let mut gateway = gateway_with(settings);
        let mut reference = Reference { settings, connections: Vec::new() };
        let mut sent: Vec<FiveTuple> = Vec::new();
        let mut ms = 0;
        for step in steps {
            match step {
                Step::Wait { ms: more } => ms += more,
                Step::Out { client, port, destination, protocol, flags } => {
                    let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Icmp][usize::from(protocol)];
                    let dst = Ipv4Addr::new(198, 51, 100, destination);
                    let inside = FiveTuple { dst, ..tuple(client, 5000 + port, protocol) };
                    let expected = reference.out(client, inside, flags, ms);
                    let live = gateway.live_mappings();
                    let outside = out(&mut gateway, inside, flags, ms);
                    match outside {
                        Ok(outside) => prop_assert!(expected.0.contains(&outside), "{:?}: {}", expected, outside),
                        Err(cause) => prop_assert!(expected.1.contains(&cause), "{:?}: {}", expected, cause),
                    }
                    if let Ok(outside) = outside {
                        let known = reference.connections.iter().any(|it| it.outside == outside);
                        let freed = settings.rst_frees && flags & RST != 0 && gateway.live_mappings() < live;
                        if !known && !freed {
                            reference.open(inside, outside, flags, ms);
                        }
                        sent.push(outside);
                    }
                }
                Step::Back { nth, flags } if !sent.is_empty() => {
                    let outside = sent[nth % sent.len()];
                    let expected = reference.back(outside, flags, ms);
                    prop_assert_eq!(back(&mut gateway, outside, flags, ms).ok(), expected);
                }
                Step::Stranger { port } => {
                    let outside = FiveTuple { dst_port: 4444, src: NAT_IP, src_port: port, ..tuple(0, 0, Protocol::Udp) };
                    prop_assert_eq!(back(&mut gateway, outside, 0, ms), Err(DropCause::SimUnsolicited));
                }
                Step::Back { .. } => {}
            }
            gateway.check();
            gateway.settle(SimTime::from_nanos(ms * 1_000_000));
            reference.connections.retain(|connection| connection.ends > ms);
            prop_assert_eq!(gateway.live_mappings(), reference.connections.len());
            for connection in &reference.connections {
                let (reservation, _) = gateway.owners.at(connection.outside.src, connection.outside.src_port).unwrap();
                let destination = Destination::of(reservation, &connection.inside);
                let mine = reference.connections.iter().filter(|it| {
                    let owner = gateway.owners.at(it.outside.src, it.outside.src_port).unwrap().0;
                    Destination::of(owner, &it.inside) == destination
                });
                let cooling = mine.clone().filter(|it| it.phase == Phase::TimeWait).count() as u32;
                let taken = mine.count() as u32;
                prop_assert_eq!(gateway.destinations.count(&destination), (taken, cooling));
                prop_assert!(taken <= gateway.reservations[reservation as usize].ports());
            }
        }
    }

    /// With any number of ports, chosen either way: as many connections to one destination as there are ports, not one
    /// fewer and not one more; and to another destination as many again.
    #[test]
    fn refusal_begins_when_the_last_port_is_taken_and_not_before(
        ports in 1u32..400,
        random in any::<bool>(),
        independent in any::<bool>(),
        first_socket: u16,
        half_step: u16,
    ) {
        let config = Config { endpoint_independent: independent, ..config(ports) };
        let mut gateway = gateway(config, Behaviour { random_ports: random, ..behaviour() });
        gateway.add_endpoint(vm(0));
        let all = gateway.reservation(0, 0).ports();
        for server in [7, 8] {
            // An odd step visits every port once.
            for nth in 0..410u16 {
                let socket = first_socket.wrapping_add(nth.wrapping_mul(half_step | 1));
                let dst = Ipv4Addr::new(198, 51, 100, server);
                let sent = out(&mut gateway, FiveTuple { dst, ..tuple(0, socket, Protocol::Tcp) }, SYN, 0);
                let fits = u32::from(nth) < all;
                prop_assert_eq!(sent.is_ok(), fits, "{} of {}: {:?}", nth, all, sent);
            }
        }
    }

    /// A closed connection's port is barred until its TIME_WAIT is over, to the nanosecond, whatever happens meanwhile.
    #[test]
    fn a_port_is_free_at_the_end_of_time_wait_and_not_before(
        seconds in 1u64..300,
        closed_at in 0u64..1_000_000,
        late in prop::collection::vec((any_flags(), any::<bool>()), 0..5),
    ) {
        let time_wait = seconds * 1000;
        let mut config = config(1);
        config.timeouts[Timer::TcpTimeWait as usize] = Duration::from_millis(time_wait);
        let mut gateway = with_vms(config, 1);
        let inside = tuple(0, 5000, Protocol::Tcp);
        let outside = open(&mut gateway, 0, 5000, closed_at).unwrap();
        out(&mut gateway, inside, FIN | ACK, closed_at).unwrap();
        back(&mut gateway, outside, FIN | ACK, closed_at).unwrap();
        for (flags, inbound) in late {
            // Late packets, but no SYN out: that would be a new connection.
            _ = if inbound { back(&mut gateway, outside, flags, closed_at) } else { out(&mut gateway, inside, flags & !SYN | ACK, closed_at) };
        }
        let other = tuple(0, 5001, Protocol::Tcp);
        let mut syn = packet(other, SYN);
        let free_at = SimTime::from_nanos((closed_at + time_wait) * 1_000_000);
        let just_before = SimTime::from_nanos(free_at.as_nanos() - 1);
        let refused = gateway.handle_packet(&mut syn, INSIDE, just_before, &mut Explain::silent());
        prop_assert_eq!(refused, Verdict::Drop(DropCause::OutOfResources));
        let accepted = gateway.handle_packet(&mut syn, INSIDE, free_at, &mut Explain::silent());
        prop_assert!(matches!(accepted, Verdict::Forward(..)), "{accepted:?}");
    }
}
