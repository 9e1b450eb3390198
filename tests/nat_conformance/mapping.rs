//! Mapping and ports: which port a connection gets, and when there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use egressim::node::nat::tcp::Timer;
use egressim::node::nat::{Behaviour, Config, DEFAULT_RULE};
use egressim::sim::rng;
use egressim::time::SimTime;
use egressim::trace::DropCause::{
    CloudNatNoAddresses, EndpointIndependenceConflict, NoExternalAddress, OutOfResources, SimIdleExpired,
};
use egressim::wire::{FiveTuple, Protocol};
use rand_chacha::rand_core::Rng;

use crate::harness::{NAT_IP, Nat, dynamic, nat_ips, ports, with_timeout};
use crate::packets::{
    OTHER_SERVER, SERVER, answer, data, each_protocol, fin, first, ping, syn, tcp, to, to_port, udp, vm,
};

/// Every port that is ever handed out.
const PORTS_OF_AN_IP: usize = 64_512;
/// VMs with 64 ports each that one address serves.
const VMS_OF_AN_IP: u32 = 1008;

pub fn first_packet() {
    for flow in each_protocol(1, 48_678) {
        let mut nat = Nat::new(ports(64), 2);
        let outside = nat.send(flow, first).expect("there are free ports");
        let block = nat.gateway().reservation(1, 0).blocks().next().expect("the VM has a block of ports");
        assert_eq!(outside.src, NAT_IP, "the NAT IP is its source");
        assert!(block.contains(NAT_IP, outside.src_port), "{outside}: its port is one of the VM's ({block})");
        assert_eq!(FiveTuple { src: flow.src, src_port: flow.src_port, ..outside }, flow, "nothing else changes");
        assert_eq!(nat.reply(outside, answer), Ok(flow.reversed()), "the reply comes back to it");
        assert_eq!(nat.send(flow, data), Ok(outside), "and what follows leaves by the same port");
    }
}

pub fn no_address() {
    let mut nat = Nat::new(Config { nat_ips: vec![], ..ports(64) }, 1);
    for flow in each_protocol(0, 5000) {
        assert_eq!(nat.send(flow, first), Err(CloudNatNoAddresses), "there is no NAT IP to give it");
    }
    assert!(nat.gateway().allocation_failed(), "the metric nat_allocation_failed says so");
    nat.reconfigure(ports(64));
    for flow in each_protocol(0, 5000) {
        assert!(nat.open(flow).is_ok(), "{flow}: the same packets pass when there is a NAT IP");
    }
    assert!(!nat.gateway().allocation_failed());

    // An address, but no room on it: it holds three blocks of 16,384, and each VM wants two.
    let mut nat = Nat::new(ports(32_768), 3);
    for flow in each_protocol(2, 5000) {
        assert_eq!(nat.send(flow, first), Err(OutOfResources), "the third VM has no port");
    }
    assert_eq!(nat.gateway().dropped_out_of_resources(), 3, "and that is counted as a lack of ports");
    nat.reconfigure(Config { nat_ips: nat_ips(2), ..ports(32_768) });
    for flow in each_protocol(2, 5000) {
        assert!(nat.open(flow).is_ok(), "{flow}: the same packets pass when there is a second NAT IP");
    }
}

pub fn one_port_one_endpoint() {
    for (held, refused) in each_protocol(0, 5000).into_iter().zip(each_protocol(0, 5001)) {
        let mut nat = Nat::new(ports(1), 1);
        let outside = nat.open(held).expect("the only port is free");
        nat.log();
        assert_eq!(nat.send(refused, first), Err(OutOfResources), "the only port is taken for that endpoint");
        assert_eq!(nat.gateway().dropped_out_of_resources(), 1, "the drop is counted");
        let logged = if held.protocol == Protocol::Icmp { vec![] } else { vec![None] };
        assert_eq!(nat.log(), logged, "and logged, unless it is ICMP");
        assert_eq!(nat.send(held, data), Ok(outside), "the first connection sends on");
        assert_eq!(nat.reply(outside, data), Ok(held.reversed()), "and still receives");
    }
}

pub fn one_port_two_endpoints() {
    for elsewhere in [to(OTHER_SERVER, tcp(0, 5001)), to_port(8443, tcp(0, 5001))] {
        let mut nat = Nat::new(ports(1), 1);
        let first = nat.open(tcp(0, 5000)).expect("the only port is free");
        let second = nat.open(elsewhere).expect("it is free for another endpoint, too");
        assert_eq!(first.src_port, second.src_port, "one port serves both");
        assert_eq!(nat.reply(first, data), Ok(tcp(0, 5000).reversed()));
        assert_eq!(nat.reply(second, data), Ok(elsewhere.reversed()), "replies are told apart by who sends them");
    }

    let mut nat = Nat::new(Config { endpoint_independent: true, ..ports(1) }, 1);
    let first = nat.open(tcp(0, 5000)).expect("the only port is free");
    let second = nat.open(to(OTHER_SERVER, tcp(0, 5001))).expect("Cloud NAT binds two sockets to one port");
    assert_eq!(first.src_port, second.src_port);
    let meets = tcp(0, 5001);
    assert_eq!(nat.send(meets, syn), Err(EndpointIndependenceConflict), "both want the same endpoint now");
    assert_eq!((nat.gateway().dropped_conflict(), nat.gateway().dropped_out_of_resources()), (1, 0));
    assert_eq!(nat.reply(first, data), Ok(tcp(0, 5000).reversed()), "the earlier connection goes on");
    assert_eq!(nat.open(to(OTHER_SERVER, tcp(0, 5000))), Err(EndpointIndependenceConflict), "it goes both ways");
}

pub fn same_source_port() {
    const CLIENTS: u32 = 1500;
    let mut vms = Nat::new(Config { nat_ips: nat_ips(2), ..ports(64) }, CLIENTS);
    all_have_their_own(&mut vms, (0..CLIENTS).map(|number| tcp(number, 10_000)).collect());

    // The same behind one endpoint: the pods of a GKE node, which has 1,024 ports for them.
    let mut node = Nat::new(ports(64), 0);
    node.add_node(0, "10.60.0.0/22");
    let pod = |number: u32| Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 60, 0, 0)) + number);
    all_have_their_own(&mut node, (0..1024).map(|number| FiveTuple { src: pod(number), ..tcp(0, 10_000) }).collect());
}

fn all_have_their_own(nat: &mut Nat, clients: Vec<FiveTuple>) {
    let mut owners = BTreeMap::new();
    for client in clients {
        let outside = nat.send(client, syn).unwrap_or_else(|cause| panic!("{client} is lost: {cause}"));
        let other = owners.insert(outside, client);
        assert_eq!(other, None, "{outside} is given to {client}, too");
    }
    for (outside, client) in owners {
        assert_eq!(nat.reply(outside, answer), Ok(client.reversed()), "the reply to {outside} is its own client's");
    }
}

pub fn wanted_port_in_use() {
    // A translator that keeps ports would want NAT_IP:1024 for the second, and it is the first one that has it.
    for (holder, wants) in each_protocol(0, 40_000).into_iter().zip(each_protocol(0, 1024)) {
        let mut nat = Nat::new(ports(64), 1);
        let held = nat.open(holder).expect("there are free ports");
        assert_eq!(held.src_port, 1024, "a fresh gateway begins with the lowest port, and keeps no source port");
        let other = nat.open(wants).expect("another port is taken, and the connection succeeds");
        assert_ne!(other.src_port, held.src_port);
        assert_eq!(nat.reply(held, data), Ok(holder.reversed()), "the holder has lost nothing");
    }
    // All wanted ports at once, each by a socket with that very source port, from the other end.
    let mut nat = Nat::new(ports(64), 1);
    let all: BTreeSet<u16> =
        (1024..1088).rev().map(|port| nat.open(tcp(0, port)).expect("one is free").src_port).collect();
    assert_eq!(all, (1024..1088).collect(), "each of 64 connections has one of 64 ports");
}

/// Uses every port of an address for one endpoint.
fn fill(nat: &mut Nat) -> Vec<(FiveTuple, FiveTuple)> {
    let flows = (0..VMS_OF_AN_IP).flat_map(|number| (0..64).map(move |port| udp(number, 5000 + port)));
    flows.map(|flow| (flow, nat.send(flow, data).unwrap_or_else(|cause| panic!("{flow}: {cause}")))).collect()
}

pub fn port_range() {
    for random_ports in [false, true] {
        let behaviour = Behaviour { random_ports, ..Behaviour::default() };
        let mut nat = Nat::that_behaves(behaviour, ports(64), VMS_OF_AN_IP);
        let used: BTreeSet<u16> = fill(&mut nat).into_iter().map(|(_, outside)| outside.src_port).collect();
        assert_eq!((used.first(), used.last()), (Some(&1024), Some(&65_535)));
        assert_eq!(used.len(), PORTS_OF_AN_IP, "each of them, once");
    }
    // Blocks of any size keep away from ports 0 to 1023.
    for size in [2, 50, 1024, 8192, 32_000, 57_344] {
        let mut nat = Nat::new(ports(size), 10);
        let gateway = nat.gateway();
        for block in (0..10).flat_map(|endpoint| gateway.reservation(endpoint, 0).blocks()) {
            assert!(block.first() >= 1024, "{block} of {size} ports for each VM");
        }
    }
}

pub fn choice_of_address() {
    let mut nat = Nat::new(Config { nat_ips: nat_ips(64), ..ports(64) }, VMS_OF_AN_IP + 92);
    let mut hosts_of: BTreeMap<Ipv4Addr, u32> = BTreeMap::new();
    for number in 0..VMS_OF_AN_IP + 92 {
        let flows =
            (0..40).map(|server| to(Ipv4Addr::new(198, 51, 100, server), udp(number, 5000 + u16::from(server))));
        let addresses: BTreeSet<_> =
            flows.map(|flow| nat.send(flow, data).expect("there are free ports").src).collect();
        assert_eq!(addresses.len(), 1, "VM {number} has one address for all it sends: {addresses:?}");
        *hosts_of.entry(addresses.into_iter().next().expect("one")).or_default() += 1;
    }
    let ips = nat_ips(2);
    let expected = BTreeMap::from([(ips[0], VMS_OF_AN_IP), (ips[1], 92)]);
    assert_eq!(hosts_of, expected, "the first address is full before the second is used, and 62 are not used at all");

    // Four blocks of 16,384, of which an address holds three.
    let mut nat = Nat::new(Config { nat_ips: nat_ips(2), ..ports(57_344) }, 1);
    let blocks = nat.gateway().reservation(0, 0).blocks().map(|block| block.ip()).collect::<Vec<_>>();
    assert_eq!(blocks, [ips[0], ips[0], ips[0], ips[1]], "ports that do not fit on one address are on two");
}

/// Who has an outside flow, until when.
#[derive(Default)]
struct Owners(BTreeMap<FiveTuple, (FiveTuple, SimTime)>);

impl Owners {
    /// The flow was translated to this one at that time. Nothing is ever answered here, so that every timer is 30 s.
    fn note(&mut self, flow: FiveTuple, outside: FiveTuple, now: SimTime) {
        if let Some((other, last)) = self.0.insert(outside, (flow, now)) {
            let idle = now.since(last).as_secs();
            assert!(other == flow || idle >= 30, "{outside} belongs to {other} and, {idle} s later, to {flow}");
        }
    }
}

pub fn no_tuple_is_shared() {
    let random_ports = Behaviour { random_ports: true, ..Behaviour::default() };
    let independent = Config { endpoint_independent: true, ..ports(16) };
    for (name, behaviour, config) in [
        ("static allocation", Behaviour::default(), ports(16)),
        ("random ports", random_ports.clone(), ports(16)),
        ("dynamic port allocation", random_ports, dynamic(32, 256)),
        ("endpoint-independent mapping", Behaviour::default(), independent),
    ] {
        let mut nat = Nat::that_behaves(behaviour, config.clone(), 3);
        nat.add_node(3, "10.60.0.0/24");
        let mut random = rng::stream(1, name);
        let mut below = |limit: u32| (random.next_u64() % u64::from(limit)) as u32;
        let mut owners = Owners::default();
        let mut translated = 0;
        for round in 0..40_000 {
            let source = match below(4) {
                3 => Ipv4Addr::new(10, 60, 0, below(3) as u8),
                number => vm(number),
            };
            let flow = each_protocol(0, 5000 + below(60) as u16)[below(3) as usize];
            let flow = FiveTuple { src: source, ..to(Ipv4Addr::new(198, 51, 100, below(3) as u8), flow) };
            if let Ok(outside) = nat.send(flow, first) {
                translated += 1;
                owners.note(flow, outside, nat.now());
            }
            nat.after_ms(u64::from(below(60)));
            // Ports come and go, and so do endpoints, while connections are open.
            match round % 10_000 {
                2_000 => nat.reconfigure(Config { nat_ips: nat_ips(2), timeouts: config.timeouts, ..config.clone() }),
                4_000 => nat.add_vm(4 + round / 10_000),
                _ => {}
            }
        }
        assert!(translated > 10_000, "{name}: {translated} packets are too few to learn from");
    }
}

pub fn ranges_of_others() {
    let mut nat = Nat::new(ports(64), 2);
    let used: BTreeSet<u16> =
        (0..64).map(|port| nat.open(tcp(1, 5000 + port)).expect("one is free").src_port).collect();
    assert_eq!(used, (1088..1152).collect(), "a VM uses its own block only");
    assert_eq!(nat.send(tcp(1, 6000), syn), Err(OutOfResources), "the idle ports of its neighbour are not its own");
    // What TCP has taken is free for UDP and ICMP: a range is set aside for all protocols.
    for flow in [to_port(443, udp(1, 6000)), ping(1, 6000)] {
        assert!(used.contains(&nat.open(flow).expect("its protocol has taken none").src_port));
    }
    // Ranges come free with their owner, and not before.
    nat.add_vm(2);
    assert_eq!(nat.open(tcp(2, 5000)).expect("it has ports of its own").src_port, 1152);
    nat.remove_vm(0);
    nat.add_vm(3);
    assert_eq!(
        nat.open(tcp(3, 5000)).expect("it has ports of its own").src_port,
        1024,
        "the place of the one that left"
    );
    assert_eq!(nat.send(tcp(0, 5000), syn), Err(NoExternalAddress), "who left is served no more");
}

pub fn port_comes_back() {
    for time_wait in [30, 120] {
        let mut nat = Nat::new(with_timeout(Timer::TcpTimeWait, time_wait, ports(1)), 1);
        let outside = nat.open(tcp(0, 5000)).expect("the only port is free");
        nat.send(tcp(0, 5000), fin).expect("the connection is open");
        nat.at(1).reply(outside, fin).expect("the connection is open");
        nat.at(1.0 + f64::from(time_wait as u32) - 0.001);
        assert_eq!(nat.send(tcp(0, 5001), syn), Err(OutOfResources), "1 ms before TIME_WAIT ({time_wait} s) is over");
        assert_eq!(nat.gateway().exhaustions()[0].time_wait, 1, "it is said what the port waits for");
        nat.at(1.0 + f64::from(time_wait as u32));
        assert_eq!(nat.send(tcp(0, 5001), syn).map(|outside| outside.src_port), Ok(outside.src_port));
    }
    // What has no close ends by idling.
    for (flow, next) in [(udp(0, 5000), udp(0, 5001)), (ping(0, 5000), ping(0, 5001))] {
        let mut nat = Nat::new(ports(1), 1);
        let outside = nat.open(flow).expect("the only port is free");
        assert_eq!(nat.at(29.999).send(next, data), Err(OutOfResources), "{flow}: 1 ms before it is forgotten");
        assert_eq!(nat.at(30).send(next, data).map(|outside| outside.src_port), Ok(outside.src_port));
    }
    // Blocks come back, too: dynamic allocation gives to another what one VM no longer needs.
    let mut nat = Nat::new(dynamic(32, 64), 1);
    (0..32).for_each(|port| _ = nat.open(tcp(0, 5000 + port)).expect("it has 32 ports"));
    assert_eq!(nat.at(60).gateway().reservation(0, 0).ports(), 64, "it has grown");
    assert_eq!(nat.at(1200 + 600).gateway().reservation(0, 0).ports(), 32, "what has idled for long is given back");
}

pub fn limit_of_one_host() {
    let mut nat = Nat::new(ports(64), 2);
    let all: Vec<_> = (0..64).map(|port| nat.open(tcp(0, 5000 + port)).expect("it has 64 ports")).collect();
    assert_eq!(nat.send(tcp(0, 6000), syn), Err(OutOfResources), "the 65th connection to one endpoint");
    assert!(nat.open(tcp(1, 6000)).is_ok(), "its neighbour has ports of its own");
    assert!(nat.open(to(OTHER_SERVER, tcp(0, 6000))).is_ok(), "to another endpoint it has 64 again");
    for (outside, port) in all.into_iter().zip(5000..) {
        assert_eq!(nat.reply(outside, data), Ok(tcp(0, port).reversed()), "what was open stays open");
    }
    let [exhaustion] = nat.gateway().exhaustions() else { panic!("one shortage is recorded") };
    let who = (exhaustion.endpoint, exhaustion.rule, exhaustion.destination.address);
    assert_eq!(who, (0, DEFAULT_RULE, SERVER), "whose it was, and for whom");
}

/// Case 19, which stands with the timers: what happens when there is nothing left at all.
pub fn full_table() {
    let mut nat = Nat::new(ports(64), VMS_OF_AN_IP);
    let all = fill(&mut nat);
    assert_eq!(nat.gateway().live_mappings(), PORTS_OF_AN_IP);
    nat.at(1);
    for number in 0..VMS_OF_AN_IP {
        assert_eq!(nat.send(udp(number, 6000), data), Err(OutOfResources), "VM {number} has no port left");
    }
    assert_eq!(nat.gateway().live_mappings(), PORTS_OF_AN_IP, "nobody was thrown out for a newcomer");
    nat.at(29);
    for (flow, outside) in &all {
        assert_eq!(nat.reply(*outside, data), Ok(flow.reversed()), "the oldest works as the youngest does");
    }
    assert_eq!(nat.at(59).gateway().live_mappings(), 0, "all of it ends");
    assert_eq!(nat.reply(all[0].1, data), Err(SimIdleExpired));
    assert!(fill(&mut nat).len() == PORTS_OF_AN_IP, "and begins again");
}
