//! The gateway as a whole: Google's documented behaviour case by case; properties and a slow reference model are in files
//! of their own.

mod changes;
mod reference;

use rand_chacha::rand_core::SeedableRng;

use std::time::Duration;

use super::exhaustion::Exhaustion;
use super::mapping::Lookup;
use super::ports::PortBlock;
use super::tcp::{Phase, Timer};
use super::usage::Destination;
use super::*;
use crate::node::startup::Opening;
use crate::time::SimTime;
use crate::trace::{DropCause, Explain, Memo, Verdict};
use crate::wire::TcpSegment;
use crate::wire::{Direction, Packet, tcp_flags};
use tcp_flags::{ACK, FIN, RST, SYN};

const NAT_IP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const SECOND: Duration = Duration::from_secs(1);

fn config(ports: u32) -> Config {
    Config { nat_ips: vec![NAT_IP], min_ports: ports, max_ports: ports, ..Config::default() }
}

fn behaviour() -> Behaviour {
    Behaviour::default()
}

fn gateway(config: Config, behaviour: Behaviour) -> Gateway {
    Gateway::new("nat".into(), config, behaviour, ChaCha8Rng::seed_from_u64(1))
}

fn vm(index: u8) -> EndpointConfig {
    EndpointConfig {
        name: format!("vm-{index}").into(),
        address: Ipv4Addr::new(10, 8, 0, index),
        serves_primary: true,
        alias_ranges: vec![],
        held: false,
        opens: Opening::OPEN,
    }
}

fn with_vms(config: Config, vms: u8) -> Gateway {
    let mut gateway = gateway(config, behaviour());
    (0..vms).for_each(|index| _ = gateway.add_endpoint(vm(index)));
    gateway
}

fn tuple(client: u8, port: u16, protocol: Protocol) -> FiveTuple {
    let dst_port = if protocol == Protocol::Icmp { 0 } else { 443 };
    FiveTuple { src: Ipv4Addr::new(10, 8, 0, client), dst: SERVER, src_port: port, dst_port, protocol }
}

fn packet(tuple: FiveTuple, flags: u8) -> Packet {
    let mut packet = Packet::empty();
    match tuple.protocol {
        Protocol::Tcp => packet.build_tcp(tuple, TcpSegment { flags, seq: 1, ack: 1, payload: 3 }),
        Protocol::Udp => packet.build_udp(tuple, 3),
        Protocol::Icmp => packet.build_echo(tuple, 1, 3),
    }
    packet
}

/// Sends a packet out at a time in milliseconds; the source it wore outside, or why it was dropped.
fn out(gateway: &mut Gateway, tuple: FiveTuple, flags: u8, ms: u64) -> Result<FiveTuple, DropCause> {
    pass(gateway, packet(tuple, flags), INSIDE, ms)
}

/// Sends a packet in; as the inside got it, or why it was dropped.
fn back(gateway: &mut Gateway, outside: FiveTuple, flags: u8, ms: u64) -> Result<FiveTuple, DropCause> {
    pass(gateway, packet(outside.reversed(), flags), OUTSIDE, ms)
}

fn pass(gateway: &mut Gateway, mut packet: Packet, side: PortId, ms: u64) -> Result<FiveTuple, DropCause> {
    let now = SimTime::from_nanos(ms * 1_000_000);
    match gateway.handle_packet(&mut packet, side, now, &mut Explain::silent()) {
        Verdict::Forward(..) => Ok(packet.five_tuple().unwrap()),
        Verdict::Drop(cause) => Err(cause),
        other => panic!("{other:?}"),
    }
}

/// Opens a TCP connection at `ms`.
fn open(gateway: &mut Gateway, client: u8, port: u16, ms: u64) -> Result<FiveTuple, DropCause> {
    let tuple = tuple(client, port, Protocol::Tcp);
    let outside = out(gateway, tuple, SYN, ms)?;
    back(gateway, outside, SYN | ACK, ms)?;
    out(gateway, tuple, ACK, ms)
}

#[test]
fn the_first_packet_gets_port_1024_and_its_reply_comes_back() {
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Icmp] {
        let mut gateway = with_vms(config(64), 1);
        let inside = tuple(0, 48_678, protocol);
        let outside = out(&mut gateway, inside, SYN, 0).unwrap();
        assert_eq!(outside, FiveTuple { src: NAT_IP, src_port: 1024, ..inside });
        assert_eq!(back(&mut gateway, outside, SYN | ACK, 10), Ok(inside.reversed()));
        gateway.check();
    }
}

#[test]
fn tcp_udp_and_icmp_have_port_spaces_of_their_own() {
    let mut gateway = with_vms(config(64), 1);
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Icmp] {
        for port in 0..64 {
            assert!(out(&mut gateway, tuple(0, 5000 + port, protocol), SYN, 0).is_ok());
        }
        assert_eq!(out(&mut gateway, tuple(0, 6000, protocol), SYN, 0), Err(DropCause::OutOfResources));
    }
}

#[test]
fn the_65th_connection_drops_and_one_to_another_destination_does_not() {
    let mut gateway = with_vms(config(64), 1);
    (0..64).for_each(|port| _ = open(&mut gateway, 0, 5000 + port, 0).unwrap());
    let refused = tuple(0, 6000, Protocol::Tcp);
    assert_eq!(out(&mut gateway, refused, SYN, 1000), Err(DropCause::OutOfResources));
    assert!(out(&mut gateway, FiveTuple { dst_port: 444, ..refused }, SYN, 1000).is_ok());
    let expected = Exhaustion {
        endpoint: 0,
        rule: DEFAULT_RULE,
        destination: Destination::of(0, &refused),
        limit: Limit::VmPorts,
        from: SimTime::from_secs(1),
        to: SimTime::from_secs(1),
        allocated_ports: 64,
        open: 64,
        time_wait: 0,
        dropped: 1,
    };
    assert_eq!(gateway.exhaustions(), [expected]);
    assert_eq!((gateway.dropped_out_of_resources(), gateway.dropped_received()), (1, 0));
}

#[test]
fn a_closed_connections_port_is_barred_for_exactly_time_wait() {
    let mut gateway = with_vms(config(1), 1);
    let inside = tuple(0, 5000, Protocol::Tcp);
    let outside = open(&mut gateway, 0, 5000, 0).unwrap();
    out(&mut gateway, inside, FIN | ACK, 100).unwrap();
    back(&mut gateway, outside, FIN | ACK, 200).unwrap();
    // The last ACK passes and does not prolong TIME_WAIT, which began at 200 ms.
    out(&mut gateway, inside, ACK, 300).unwrap();
    assert_eq!(out(&mut gateway, tuple(0, 5001, Protocol::Tcp), SYN, 30_199), Err(DropCause::OutOfResources));
    assert!(out(&mut gateway, tuple(0, 5001, Protocol::Tcp), SYN, 30_200).is_ok());
}

#[test]
fn a_new_syn_of_the_same_socket_in_time_wait_gets_another_port() {
    let mut gateway = with_vms(config(64), 1);
    let inside = tuple(0, 5000, Protocol::Tcp);
    let first = open(&mut gateway, 0, 5000, 0).unwrap();
    out(&mut gateway, inside, RST, 100).unwrap();
    let second = out(&mut gateway, inside, SYN, 200).unwrap();
    assert_ne!(first.src_port, second.src_port);
    // A late packet of the old connection still finds its way.
    assert_eq!(back(&mut gateway, first, ACK, 300), Ok(inside.reversed()));
    gateway.check();
}

#[test]
fn an_rst_bars_the_port_or_frees_it_as_the_model_says() {
    for (rst_frees, expected) in [(false, Err(DropCause::OutOfResources)), (true, Ok(()))] {
        let mut gateway = gateway(config(1), Behaviour { rst_frees, ..behaviour() });
        gateway.add_endpoint(vm(0));
        let outside = open(&mut gateway, 0, 5000, 0).unwrap();
        back(&mut gateway, outside, RST, 10).unwrap();
        assert_eq!(out(&mut gateway, tuple(0, 5001, Protocol::Tcp), SYN, 20).map(|_| ()), expected);
        gateway.check();
    }
}

#[test]
fn the_five_timers_end_mappings_silently() {
    // UDP and ICMP 30 s, an unanswered SYN 30 s, established 1200 s.
    for (protocol, established, limit) in [
        (Protocol::Udp, false, 30),
        (Protocol::Icmp, false, 30),
        (Protocol::Tcp, false, 30),
        (Protocol::Tcp, true, 1200),
    ] {
        for (ms, alive) in [(limit * 1000 - 1, true), (limit * 1000, false)] {
            let mut gateway = with_vms(config(64), 1);
            let inside = tuple(0, 5000, protocol);
            let outside = if established { open(&mut gateway, 0, 5000, 0) } else { out(&mut gateway, inside, SYN, 0) };
            let reply = back(&mut gateway, outside.unwrap(), ACK, ms);
            assert_eq!(
                reply,
                if alive { Ok(inside.reversed()) } else { Err(DropCause::SimIdleExpired) },
                "{protocol} {ms}"
            );
            assert_eq!(gateway.dropped_received(), u64::from(!alive));
        }
    }
}

#[test]
fn traffic_either_way_keeps_a_mapping_alive() {
    let mut gateway = with_vms(config(64), 1);
    let inside = tuple(0, 5000, Protocol::Udp);
    let outside = out(&mut gateway, inside, 0, 0).unwrap();
    back(&mut gateway, outside, 0, 29_000).unwrap();
    assert_eq!(out(&mut gateway, inside, 0, 58_000), Ok(outside));
    assert_eq!(back(&mut gateway, outside, 0, 87_999), Ok(inside.reversed()));
}

#[test]
fn the_last_of_linux_syn_retries_lands_on_a_new_mapping() {
    // Retries at 35 and 67 s are 32 s apart, the transitory timer is 30 s.
    let mut gateway = with_vms(config(64), 1);
    let inside = tuple(0, 5000, Protocol::Tcp);
    for second in [0, 1, 2, 3, 4, 5, 7, 11, 19, 35, 67] {
        out(&mut gateway, inside, SYN, second * 1000).unwrap();
    }
    gateway.keep_log();
    assert_eq!(gateway.live_mappings(), 1);
    assert!(out(&mut gateway, inside, SYN, 97_000).is_ok());
    assert_eq!(gateway.take_log().len(), 1, "97 s is 30 s after 67 s: a new one again");
}

#[test]
fn nobody_gets_in_who_was_not_asked() {
    let mut gateway = with_vms(config(64), 1);
    let outside = out(&mut gateway, tuple(0, 5000, Protocol::Udp), 0, 0).unwrap();
    for stranger in [
        FiveTuple { dst_port: 444, ..outside },
        FiveTuple { dst: Ipv4Addr::new(198, 51, 100, 8), ..outside },
        FiveTuple { src_port: 1025, ..outside },
    ] {
        assert_eq!(back(&mut gateway, stranger, 0, 1), Err(DropCause::SimUnsolicited));
    }
    assert_eq!(gateway.dropped_received(), 3);
}

#[test]
fn a_probe_is_counted_for_the_owner_of_the_port_or_for_nobody() {
    let mut gateway = with_vms(config(64), 1);
    gateway.keep_meters();
    for (port, mine, elsewhere) in [(1030, 1, 0), (9999, 1, 1)] {
        let probe = FiveTuple { src: NAT_IP, src_port: port, ..tuple(0, 0, Protocol::Udp) };
        assert!(back(&mut gateway, probe, 0, 0).is_err());
        assert_eq!(gateway.endpoints()[0].meter(Protocol::Udp).dropped_received, mine);
        assert_eq!(gateway.dropped_received_elsewhere(Protocol::Udp), elsewhere);
    }
}

#[test]
fn nothing_that_leaves_comes_back_in_by_another_port() {
    let mut gateway = with_vms(config(64), 2);
    // To the port that its own packet gets: the lowest, 1024. And two that know of each other's ports.
    let to = |client, port| FiveTuple { dst: NAT_IP, dst_port: port, ..tuple(client, 5000, Protocol::Udp) };
    for hairpin in [to(0, 1024), to(0, 1088), to(1, 1024)] {
        let left = out(&mut gateway, hairpin, 0, 0).unwrap();
        assert_eq!(pass(&mut gateway, packet(left, 0), OUTSIDE, 0), Err(DropCause::SimUnsolicited), "{left}");
    }
    assert_eq!(gateway.dropped_received(), 3);
}

#[test]
fn an_icmp_error_reaches_the_host_it_is_about_and_tears_nothing_down() {
    use crate::wire::IcmpError;
    let mut gateway = with_vms(config(64), 1);
    let inside = tuple(0, 5000, Protocol::Udp);
    let mut sent = packet(inside, 0);
    let original = sent.clone();
    gateway.handle_packet(&mut sent, INSIDE, SimTime::ZERO, &mut Explain::silent());
    let router = Ipv4Addr::new(192, 0, 2, 1);
    let mut error = Packet::empty();
    assert!(error.build_icmp_error(IcmpError::TimeExceeded, &sent, router));
    let verdict = gateway.handle_packet(&mut error, OUTSIDE, SimTime::from_secs(1), &mut Explain::silent());
    assert_eq!(verdict, Verdict::Forward(INSIDE, Memo::Never));
    assert_eq!((error.src(), error.dst()), (router, inside.src));
    assert_eq!(error.embedded().unwrap().tuple, inside);
    assert_eq!(&error.bytes()[28..], original.bytes(), "the quoted packet is byte for byte what the host sent");
    // It does not refresh the mapping either: 30 s after the packet, not after the error, it is gone.
    assert_eq!(back(&mut gateway, sent.five_tuple().unwrap(), 0, 30_000), Err(DropCause::SimIdleExpired));
    let mut late = Packet::empty();
    late.build_icmp_error(IcmpError::PortUnreachable, &sent, router);
    let verdict = gateway.handle_packet(&mut late, OUTSIDE, SimTime::from_secs(31), &mut Explain::silent());
    assert_eq!(verdict, Verdict::Drop(DropCause::SimUnsolicited));
}

#[test]
fn fragments_and_other_protocols_are_dropped_and_not_for_lack_of_ports() {
    let mut gateway = with_vms(config(64), 1);
    let mut bytes = packet(tuple(0, 1, Protocol::Udp), 0).bytes().to_vec();
    bytes[6] = 0x20;
    let fragment = Packet::parse(&bytes).unwrap();
    bytes[6] = 0;
    bytes[9] = 47;
    let gre = Packet::parse(&bytes).unwrap();
    for (mut packet, cause) in
        [(fragment, DropCause::SimFragmentUnsupported), (gre, DropCause::CloudNatProtocolUnsupported)]
    {
        let verdict = gateway.handle_packet(&mut packet, INSIDE, SimTime::ZERO, &mut Explain::silent());
        assert_eq!(verdict, Verdict::Drop(cause));
    }
    assert_eq!(gateway.dropped_out_of_resources(), 0);
}

#[test]
fn a_gateway_without_addresses_says_so_and_one_without_room_is_out_of_resources() {
    let mut gateway = with_vms(Config { nat_ips: vec![], ..config(64) }, 1);
    assert_eq!(out(&mut gateway, tuple(0, 1, Protocol::Udp), 0, 0), Err(DropCause::CloudNatNoAddresses));
    let mut gateway = with_vms(config(32_768), 3);
    assert_eq!(out(&mut gateway, tuple(2, 1, Protocol::Udp), 0, 0), Err(DropCause::OutOfResources));
    assert_eq!(gateway.exhaustions()[0].limit, Limit::GatewayIps);
}

fn ranges(gateway: &Gateway) -> Vec<Vec<String>> {
    gateway.reservations.iter().map(|reservation| reservation.blocks().map(PortBlock::to_string).collect()).collect()
}

#[test]
fn four_vms_on_one_address_share_it_as_was_observed() {
    let gateway = with_vms(config(32_000), 4);
    let none: [&str; 0] = [];
    assert_eq!(
        ranges(&gateway),
        [&["203.0.113.10:16384-32767", "203.0.113.10:32768-49151"][..], &["203.0.113.10:49152-65535"], &none, &none]
    );
    assert!(gateway.allocation_failed());
    assert_eq!(gateway.min_extra_nat_ips(0), 2);
}

#[test]
fn all_or_nothing_leaves_a_short_endpoint_with_nothing() {
    let mut gateway = gateway(config(32_000), Behaviour { partial_allocation: false, ..behaviour() });
    (0..2).for_each(|index| _ = gateway.add_endpoint(vm(index)));
    assert_eq!(gateway.reservation(1, 0).ports(), 0);
}

#[test]
fn the_1009th_default_vm_on_one_address_gets_nothing() {
    let mut gateway = gateway(config(64), behaviour());
    for index in 0..1009u16 {
        let address = Ipv4Addr::from(0x0a00_0000 + u32::from(index));
        gateway.add_endpoint(EndpointConfig { address, ..vm(0) });
        assert_eq!(gateway.allocation_failed(), index == 1008);
    }
    assert_eq!(gateway.min_extra_nat_ips(0), 1);
}

#[test]
fn a_vm_with_a_pod_range_gets_1024_ports_with_static_allocation_only() {
    let node = EndpointConfig { alias_ranges: vec!["10.60.0.0/24".parse().unwrap()], ..vm(0) };
    let mut gateway = with_vms(config(64), 0);
    gateway.add_endpoint(node.clone());
    assert_eq!(gateway.reservation(0, 0).ports(), 1024);
    let pod = FiveTuple { src: Ipv4Addr::new(10, 60, 0, 9), ..tuple(0, 1, Protocol::Udp) };
    assert!(out(&mut gateway, pod, 0, 0).is_ok());
    let mut gateway = with_vms(dynamic(64, 1024), 0);
    gateway.add_endpoint(node);
    assert_eq!(gateway.reservation(0, 0).ports(), 64);
}

#[test]
fn an_automatic_gateway_adds_addresses_by_need() {
    let auto_ips = (10..20).map(|last| Ipv4Addr::new(203, 0, 113, last)).collect();
    let gateway = with_vms(Config { nat_ips: vec![], auto_ips, ..config(32_768) }, 3);
    assert_eq!(gateway.nat_ips().count(), 2, "two VMs would need 4 blocks, three need 6, 3 an address");
    assert!(!gateway.allocation_failed());
}

fn dynamic(min_ports: u32, max_ports: u32) -> Config {
    Config { min_ports, max_ports, dynamic: true, ..config(min_ports) }
}

#[test]
fn dynamic_allocation_doubles_from_its_minimum_to_its_maximum() {
    let mut gateway = with_vms(dynamic(32, 256), 1);
    let mut sizes = vec![gateway.reservation(0, 0).ports()];
    let mut port = 0;
    for second in 0..200 {
        while open(&mut gateway, 0, port, second * 1000).is_ok() {
            port += 1;
        }
        gateway.handle_timeout(SimTime::from_secs(second));
        let ports = gateway.reservation(0, 0).ports();
        if ports != *sizes.last().unwrap() {
            sizes.push(ports);
        }
        gateway.check();
    }
    assert_eq!(sizes, [32, 64, 128, 256]);
    let limits: Vec<_> = gateway.exhaustions().iter().map(|exhaustion| exhaustion.limit).collect();
    assert_eq!(
        limits,
        [Limit::GrowthPending, Limit::VmPorts],
        "first growth was too slow, then the maximum was reached"
    );
}

#[test]
fn growth_is_usable_after_its_delay_and_not_before() {
    let mut gateway = with_vms(dynamic(32, 64), 1);
    (0..32).for_each(|port| _ = open(&mut gateway, 0, port, 1000).unwrap());
    assert_eq!(open(&mut gateway, 0, 100, 1000), Err(DropCause::OutOfResources));
    assert_eq!(gateway.next_timeout(), SimTime::from_secs(10));
    gateway.handle_timeout(SimTime::from_secs(10));
    assert_eq!(gateway.next_timeout(), SimTime::from_secs(20), "one doubling in flight, asked for at the drop");
    gateway.handle_timeout(SimTime::from_secs(20));
    gateway.handle_timeout(SimTime::from_nanos(20_999_999_999));
    assert!(open(&mut gateway, 0, 100, 20_999).is_err());
    gateway.handle_timeout(SimTime::from_secs(21));
    assert!(open(&mut gateway, 0, 100, 21_000).is_ok());
}

#[test]
fn one_greedy_endpoint_starves_the_others() {
    // One IP has 64,512 ports: the first grows to 32,768 and finds no room for the next doubling.
    let mut gateway = with_vms(dynamic(16_384, 65_536), 2);
    gateway.ask_for_growth(0, SimTime::ZERO);
    gateway.handle_timeout(SimTime::from_secs(20));
    assert_eq!((gateway.reservation(0, 0).ports(), gateway.reservation(1, 0).ports()), (32_768, 16_384));
    gateway.ask_for_growth(1, SimTime::from_secs(20));
    assert!(gateway.reservation(1, 0).growth.is_none());
    assert_eq!(gateway.limit_of(1), Limit::GatewayIps);
}

#[test]
fn ports_come_back_when_usage_stays_low() {
    let mut gateway = with_vms(dynamic(32, 64), 1);
    (0..32).for_each(|port| _ = open(&mut gateway, 0, port, 0).unwrap());
    for tick in 1..=3 {
        gateway.handle_timeout(SimTime::from_secs(tick * 10));
    }
    assert_eq!(gateway.reservation(0, 0).ports(), 64);
    // The connections idle out at 1200 s; low usage is seen from the next look on, for 300 s.
    let mut seconds = 30;
    while gateway.reservation(0, 0).ports() == 64 {
        seconds += 10;
        gateway.handle_timeout(SimTime::from_secs(seconds));
    }
    assert_eq!(seconds, 1500);
}

#[test]
fn fewer_static_ports_end_what_was_on_the_lost_ones_and_more_end_nothing() {
    let mut gateway = with_vms(config(64), 1);
    let connections: Vec<_> = (0..64).map(|port| open(&mut gateway, 0, port, 0).unwrap()).collect();
    gateway.reconfigure(config(128), SimTime::from_secs(1));
    assert_eq!((gateway.reservation(0, 0).ports(), gateway.live_mappings()), (128, 64));
    gateway.check();
    gateway.reconfigure(config(64), SimTime::from_secs(2));
    assert_eq!(gateway.live_mappings(), 64);
    // One block of 64 becomes one of 32: a static minimum is also the most that an endpoint has.
    gateway.reconfigure(config(32), SimTime::from_secs(3));
    assert_eq!((gateway.reservation(0, 0).ports(), gateway.live_mappings()), (32, 32));
    assert!(back(&mut gateway, connections[31], ACK, 4000).is_ok());
    assert_eq!(back(&mut gateway, connections[32], ACK, 4000), Err(DropCause::SimMappingLost));
    gateway.check();
    gateway.add_endpoint(vm(1));
    assert_eq!(ranges(&gateway), [["203.0.113.10:1024-1055"], ["203.0.113.10:1056-1087"]], "the ports are free again");
    gateway.check();
}

#[test]
fn a_minimum_below_half_a_block_cuts_the_block() {
    // Google's FAQ: a VM with 1,024 ports that it no longer needs keeps them until the minimum is reduced. Then it does not.
    let mut gateway = with_vms(config(1024), 1);
    gateway.reconfigure(config(50), SimTime::from_secs(1));
    assert_eq!(gateway.reservation(0, 0).ports(), 64, "50 ports are two blocks of 32");
    gateway.check();
    gateway.remove_endpoint(0, SimTime::from_secs(2));
    assert_eq!(gateway.reserved_and_free(), (0, 64_512), "what was cut apart is whole again");
}

#[test]
fn removing_an_address_ends_its_connections_and_draining_does_not() {
    let other = Ipv4Addr::new(203, 0, 113, 11);
    for (drain_nat_ips, expected) in [(vec![], Err(DropCause::SimMappingLost)), (vec![NAT_IP], Ok(()))] {
        let mut gateway = with_vms(config(64), 1);
        let inside = tuple(0, 5000, Protocol::Tcp);
        let outside = open(&mut gateway, 0, 5000, 0).unwrap();
        gateway.reconfigure(Config { nat_ips: vec![other], drain_nat_ips, ..config(64) }, SimTime::from_secs(1));
        assert_eq!(back(&mut gateway, outside, ACK, 2000).map(|_| ()), expected);
        assert_eq!(open(&mut gateway, 0, 5001, 2000).unwrap().src, other, "new connections use the other address");
        if expected.is_ok() {
            assert_eq!(out(&mut gateway, inside, FIN | ACK, 3000).unwrap(), outside, "the old one keeps its own");
            back(&mut gateway, outside, FIN | ACK, 3000).unwrap();
        }
        // Undrained or added again, the address is whole: nothing of it was given away meanwhile.
        gateway.reconfigure(Config { nat_ips: vec![NAT_IP, other], ..config(64) }, SimTime::from_secs(4));
        gateway.check();
        assert_eq!(gateway.reservation(0, 0).ports(), if expected.is_ok() { 128 } else { 64 });
    }
}

#[test]
fn a_rule_that_goes_ends_its_connections_and_each_endpoint_counts_its_own() {
    let rule = Rule {
        number: 100,
        matches: RuleMatch::Destination(vec![SERVER.into()]),
        nat_ips: vec![Ipv4Addr::new(203, 0, 113, 11)],
        drain_nat_ips: vec![],
    };
    let mut gateway = with_vms(Config { rules: vec![rule], ..config(64) }, 3);
    gateway.keep_meters();
    let by_rule = open(&mut gateway, 2, 5000, 0).unwrap();
    gateway.reconfigure(config(64), SimTime::from_secs(1));
    assert_eq!(back(&mut gateway, by_rule, ACK, 2000), Err(DropCause::SimMappingLost));
    let closed: Vec<_> = gateway.endpoints.iter().map(|vm| vm.meter(Protocol::Tcp).closed_connections).collect();
    assert_eq!(closed, [0, 0, 1]);
    gateway.check();
}

#[test]
fn turning_dynamic_allocation_off_ends_all_connections_and_on_keeps_them() {
    let mut gateway = with_vms(config(64), 1);
    (0..10).for_each(|port| _ = open(&mut gateway, 0, port, 0).unwrap());
    gateway.reconfigure(dynamic(32, 1024), SimTime::from_secs(1));
    assert_eq!(gateway.live_mappings(), 10);
    gateway.reconfigure(config(64), SimTime::from_secs(2));
    assert_eq!((gateway.live_mappings(), gateway.reservation(0, 0).ports()), (0, 64));
    gateway.check();
}

#[test]
fn an_endpoint_that_leaves_gives_its_ports_to_one_that_was_short() {
    let mut gateway = with_vms(config(32_000), 2);
    assert!(gateway.allocation_failed());
    gateway.remove_endpoint(0, SimTime::from_secs(1));
    assert!(!gateway.allocation_failed());
    assert_eq!(gateway.reservation(1, 0).ports(), 32_768);
    assert_eq!(out(&mut gateway, tuple(0, 1, Protocol::Udp), 0, 2000), Err(DropCause::NoExternalAddress));
}

#[test]
fn nothing_leaves_before_the_endpoint_is_open_and_nothing_is_logged() {
    let mut gateway = with_vms(config(64), 0);
    gateway.keep_log();
    gateway.add_endpoint(EndpointConfig { opens: Opening::At(SimTime::from_secs(20)), ..vm(0) });
    assert_eq!(open(&mut gateway, 0, 1, 19_999), Err(DropCause::SimEgressNotOpen));
    assert!(gateway.take_log().is_empty());
    assert!(open(&mut gateway, 0, 1, 20_000).is_ok());
}

#[test]
fn the_steady_rate_of_short_connections_is_ports_over_time_wait() {
    // 64 ports: 64 / 120 s = 0.53 a second, 64 / 30 s = 2.13 a second. One attempt each 100 ms for an hour of
    // connections that close at once.
    for (time_wait, expected) in [(120, 0.53), (30, 2.13)] {
        let mut settings = config(64);
        settings.timeouts[Timer::TcpTimeWait as usize] = time_wait * SECOND;
        let mut gateway = with_vms(settings, 1);
        let mut made = 0;
        for attempt in 0..36_000u64 {
            let (port, ms) = ((attempt % 50_000) as u16, attempt * 100);
            if let Ok(outside) = open(&mut gateway, 0, port, ms) {
                back(&mut gateway, outside, RST, ms).unwrap();
                made += 1;
            }
        }
        let rate = f64::from(made) / 3600.0;
        assert!((rate - expected).abs() < 0.03, "{rate} a second, expected {expected}");
    }
}
