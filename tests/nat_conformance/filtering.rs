//! What gets in.

use egressim::node::nat::Config;
use egressim::trace::DropCause::{SimIcmpUnsupported, SimUnsolicited};
use egressim::wire::FiveTuple;

use crate::harness::{NAT_IP, Nat, ports};
use crate::house::{HOUSE, House};
use crate::packets::{
    Kind, OTHER_SERVER, ack, answer, data, each_protocol, fin, first, icmp, parsed, ping, rst, syn, syn_ack, tcp, to,
    to_port, udp, vm, word,
};

pub fn unsolicited() {
    let mut nat = Nat::new(ports(64), 1);
    let mut drops = 0;
    // To a port that the VM has, to one that nobody has, and to one that is never given out.
    for port in [1024, 2000, 22] {
        let to_nat_ip = |flow: FiveTuple| FiveTuple { src: NAT_IP, src_port: port, ..flow };
        for kind in [syn, syn_ack, ack, data, fin, rst] as [Kind; 6] {
            assert_eq!(nat.reply(to_nat_ip(tcp(0, 5000)), kind), Err(SimUnsolicited), "TCP to port {port}");
            drops += 1;
        }
        assert_eq!(nat.reply(to_nat_ip(udp(0, 5000)), data), Err(SimUnsolicited), "UDP to port {port}");
        assert_eq!(nat.reply(to_nat_ip(ping(0, 5000)), data), Err(SimUnsolicited), "an echo reply to id {port}");
        drops += 2;
    }
    assert_eq!(nat.gateway().live_mappings(), 0, "nothing comes to be by it");
    assert_eq!(nat.gateway().dropped_received(), drops, "each is counted");
    assert!(nat.log().is_empty(), "and none is logged");
}

pub fn other_endpoints() {
    for endpoint_independent in [false, true] {
        let mut nat = Nat::new(Config { endpoint_independent, ..ports(64) }, 1);
        for flow in each_protocol(0, 5000) {
            let outside = nat.open(flow).expect("there are free ports");
            assert_eq!(nat.reply(to(OTHER_SERVER, outside), answer), Err(SimUnsolicited), "{flow}: another address");
            if outside.dst_port != 0 {
                let stranger = to_port(outside.dst_port + 1, outside);
                assert_eq!(nat.reply(stranger, answer), Err(SimUnsolicited), "{flow}: another port of the same host");
            }
            let neighbour = FiveTuple { src_port: outside.src_port + 1, ..outside };
            assert_eq!(nat.reply(neighbour, answer), Err(SimUnsolicited), "{flow}: to the port next to it");
            assert_eq!(nat.reply(outside, data), Ok(flow.reversed()), "{flow}: who was asked gets in");
        }
    }
}

pub fn pings() {
    // From outside, to an address that is in use.
    let mut house = House::new(HOUSE);
    let instance = house.instance(0);
    house.send(0, data(FiveTuple { src: instance, ..udp(0, 5000) })).end.expect("it reaches the partner");
    let mut question = ping(0, 7);
    (question.src, question.dst) = (udp(0, 0).dst, NAT_IP);
    let sent = house.send_from("partner", data(question));
    assert_eq!(sent.end, Err(SimUnsolicited), "a ping to the NAT IP gets to nobody");
    assert!(sent.answers.is_empty(), "and nobody answers it: {sent:?}");

    // Through: two VMs with the same identifier.
    let mut nat = Nat::new(ports(64), 2);
    let [a, b] = [ping(0, 77), ping(1, 77)];
    let [a_outside, b_outside] = [a, b].map(|flow| nat.send(flow, first).expect("there are free identifiers"));
    assert_ne!(a_outside.src_port, b_outside.src_port, "each has an identifier of its own outside");
    assert_eq!(nat.reply(b_outside, answer), Ok(b.reversed()), "which is put back");
    assert_eq!(nat.reply(a_outside, answer), Ok(a.reversed()));
    let left = nat.leave(&data(a)).expect("it is known");
    assert_eq!(word(left.bytes(), 24), a_outside.src_port, "the identifier is in the packet, not only in the table");

    // A ping that begins outside is no answer to one that began inside, with the same identifier or another.
    for identifier in [a_outside.src_port, 1, 0] {
        let mut stranger = ping(0, identifier);
        (stranger.src, stranger.dst) = (a.dst, NAT_IP);
        assert_eq!(nat.enter(&data(stranger)), Err(SimUnsolicited), "an echo request with id {identifier}");
    }
    // Other queries do not pass, either way.
    let timestamp = icmp(vm(0), a.dst, 13, 0, [0, 77, 0, 1], &[0; 12]);
    assert_eq!(nat.leave(&timestamp), Err(SimIcmpUnsupported));
    let timestamp = icmp(a.dst, NAT_IP, 13, 0, [0, 77, 0, 1], &[0; 12]);
    assert_eq!(nat.enter(&parsed(timestamp.bytes())), Err(SimIcmpUnsupported));
}
