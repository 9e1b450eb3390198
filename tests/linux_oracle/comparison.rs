//! The same packets through egressim, and where it does something else than the kernel.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::Ipv4Addr;

use egressim::time::SimTime;
use egressim::trace::DropCause;

use crate::bytes::{self, End, Socket};
use crate::recorded::{Recorded, Sent, Side};
use crate::translator::{Passed, Translator, Variant};

/// A difference that can be declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The kernel drops the packet, egressim forwards it.
    OnlyEgressimForwards,
    /// egressim drops the packet, the kernel forwards it.
    OnlyKernelForwards(DropCause),
    /// Both forward it, but the kernel without translating it: its private source is seen outside.
    KernelLeaks,
    /// Both forward it, the kernel in fragments.
    KernelFragments,
    /// Both forward it, but here it does not have the port that the same flow's packet before it had.
    AnotherPort,
    /// The kernel answers the packet itself, egressim does not.
    OnlyKernelAnswers,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::OnlyEgressimForwards => f.write_str("forwarded, dropped by the kernel"),
            Kind::OnlyKernelForwards(cause) => write!(f, "dropped ({cause}), forwarded by the kernel"),
            Kind::KernelLeaks => f.write_str("translated, forwarded by the kernel with its private source"),
            Kind::KernelFragments => f.write_str("forwarded whole, by the kernel in fragments"),
            Kind::AnotherPort => f.write_str("forwarded with another port than before, by the kernel with the same"),
            Kind::OnlyKernelAnswers => f.write_str("not answered, answered by the kernel"),
        }
    }
}

/// What became of packets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub forwarded: usize,
    pub dropped: usize,
    pub answers: usize,
}

/// What came of one situation.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Packets sent by either side, and answers by whoever translates.
    pub compared: usize,
    pub kernel: Counts,
    pub egressim: Counts,
    /// Differences that can be declared, and the IP identification of the packet they concern, in order.
    pub differences: Vec<(Kind, u16)>,
    /// All that must not be.
    pub problems: Vec<String>,
}

/// Sends all packets of a situation.
pub fn compare(recorded: &Recorded, variant: Variant) -> Comparison {
    let mut run = Run {
        recorded,
        translator: Translator::new(recorded, variant),
        comparison: Comparison::default(),
        pairs: HashMap::new(),
        latest: HashMap::new(),
        destinations: BTreeMap::new(),
        out_of_resources: 0,
    };
    let start = recorded.sent.first().expect("something was sent").time;
    for sent in &recorded.sent {
        run.send(sent, SimTime::from_nanos(sent.time - start));
    }
    run.finish()
}

/// A flow as its client sends it, and its destination.
type Flow = (u8, Socket, Socket);

/// NAT IPs and ports that have been in use for one destination.
#[derive(Default)]
struct InUse {
    kernel: BTreeSet<Socket>,
    egressim: BTreeSet<Socket>,
    /// How many flows have changed their port here and not in the kernel.
    moved: usize,
}

struct Run<'a> {
    recorded: &'a Recorded,
    translator: Translator,
    comparison: Comparison,
    /// For each flow as the server sees it leave the kernel, as what it sees it leave egressim.
    pairs: HashMap<Flow, Socket>,
    /// As what each flow was last seen to leave: the kernel, and egressim.
    latest: HashMap<Flow, (Option<Socket>, Socket)>,
    destinations: BTreeMap<(u8, Socket), InUse>,
    out_of_resources: u64,
}

impl Run<'_> {
    fn send(&mut self, sent: &Sent, at: SimTime) {
        let packet = match sent.side {
            Side::Client => sent.packet.clone(),
            Side::Server => self.aimed(&sent.packet),
        };
        let Passed { onward, answers } = self.translator.pass(sent.side, &packet, at);
        self.comparison.compared += 1;
        self.comparison.kernel.count(!sent.onward.is_empty());
        self.comparison.egressim.count(onward.is_ok());
        match (&sent.onward[..], onward) {
            ([], Err(DropCause::OutOfResources)) => self.out_of_resources += 1,
            ([], Err(_)) => {}
            (_, Err(cause)) => self.differ(Kind::OnlyKernelForwards(cause), sent),
            ([], Ok(ours)) => {
                self.differ(Kind::OnlyEgressimForwards, sent);
                let expected = bytes::one_hop_on(&sent.packet);
                self.check(sent, &expected, &ours);
            }
            (kernel, Ok(ours)) => {
                let whole = match kernel {
                    [one] => one.clone(),
                    fragments => {
                        self.differ(Kind::KernelFragments, sent);
                        bytes::joined(fragments)
                    }
                };
                self.check(sent, &whole, &ours);
                if sent.side == Side::Client {
                    self.compare_ports(sent, &whole, &ours);
                }
            }
        }
        self.compare_answers(sent, &answers);
    }

    fn differ(&mut self, kind: Kind, sent: &Sent) {
        self.comparison.differences.push((kind, sent.identification()));
    }

    fn problem(&mut self, sent: &Sent, what: impl fmt::Display) {
        self.comparison.problems.push(format!("packet {} of the {:?}: {what}", sent.identification(), sent.side));
    }

    /// What a server sent, to where egressim has what it was meant for. It was sent to a port of the kernel's choice.
    fn aimed(&self, packet: &[u8]) -> Vec<u8> {
        if let Some(about) = bytes::quoted_source(packet) {
            return match self.counterpart(|flow| flow.1 == about) {
                Some(ours) => bytes::redirected_error(packet, ours),
                None => packet.to_vec(),
            };
        }
        let (protocol, remote, local) = flow_of(packet);
        // If nobody has sent to this server from this port, whoever has the port in this protocol, or in any.
        let ours = (self.pairs.get(&(protocol, local, remote)).copied())
            .or_else(|| self.counterpart(|flow| flow.0 == protocol && flow.1 == local))
            .or_else(|| self.counterpart(|flow| flow.1 == local));
        ours.map_or_else(|| packet.to_vec(), |ours| bytes::readdressed(packet, End::Destination, ours))
    }

    fn counterpart(&self, is_meant: impl Fn(&Flow) -> bool) -> Option<Socket> {
        self.pairs.iter().find(|(flow, _)| is_meant(flow)).map(|(_, &ours)| ours)
    }

    /// Compares a forwarded packet byte for byte with what is expected of it: what the kernel made of it, except for
    /// the address and port that were chosen.
    fn check(&mut self, sent: &Sent, expected: &[u8], ours: &[u8]) {
        let expected = match sent.side {
            Side::Server => expected.to_vec(),
            Side::Client => {
                let socket = bytes::source_socket(ours);
                let client = bytes::source(&sent.packet);
                if !self.recorded.rule.addresses.contains(&socket.0) || !self.translator.has_port(client, socket) {
                    self.problem(sent, format_args!("{socket:?} is not set aside for it"));
                }
                bytes::readdressed(expected, End::Source, socket)
            }
        };
        if let Some(difference) = bytes::first_difference(&expected, ours) {
            self.problem(sent, difference);
        }
        let (before, after) = (bytes::checksum_errors(&sent.packet), bytes::checksum_errors(ours));
        if before != after {
            self.problem(sent, format_args!("checksums that were off by {before:?} are off by {after:?}"));
        }
    }

    /// Numbers are chance, but whether a flow keeps its own is not, nor how many are in use for a destination.
    fn compare_ports(&mut self, sent: &Sent, kernel: &[u8], ours: &[u8]) {
        let flow = flow_of(&sent.packet);
        let (protocol, _, remote) = flow;
        let socket = bytes::source_socket(ours);
        let kernel = bytes::source_socket(kernel);
        let leaked = kernel == flow.1 && !self.recorded.rule.addresses.contains(&kernel.0);
        let before = self.latest.get(&flow).copied();
        let kept_by_kernel = leaked || before.is_none_or(|(before, _)| before == Some(kernel));
        let kept = before.is_none_or(|(_, before)| before == socket);
        let moved = kept_by_kernel && !kept;
        if moved {
            self.differ(Kind::AnotherPort, sent);
        } else if kept && !kept_by_kernel {
            self.problem(sent, "it keeps its port, and in the kernel it does not");
        }
        if leaked {
            self.differ(Kind::KernelLeaks, sent);
            self.latest.insert(flow, (before.and_then(|(kernel, _)| kernel), socket));
            return;
        }
        let in_use = self.destinations.entry((protocol, remote)).or_default();
        in_use.kernel.insert(kernel);
        in_use.egressim.insert(socket);
        in_use.moved += usize::from(moved);
        self.latest.insert(flow, (Some(kernel), socket));
        self.pairs.insert((protocol, kernel, remote), socket);
    }

    /// Compares ICMP errors: what they say and about what, not the router's own address and IP header.
    fn compare_answers(&mut self, sent: &Sent, ours: &[Vec<u8>]) {
        self.comparison.compared += sent.answers.len().max(ours.len());
        self.comparison.kernel.answers += sent.answers.len();
        self.comparison.egressim.answers += ours.len();
        for index in 0..sent.answers.len().max(ours.len()) {
            match (sent.answers.get(index), ours.get(index)) {
                (Some(_), None) => self.differ(Kind::OnlyKernelAnswers, sent),
                (None, _) => self.problem(sent, "it is answered, and not by the kernel"),
                (Some(kernel), Some(ours)) => {
                    if icmp_message(kernel) != icmp_message(ours) {
                        self.problem(sent, format_args!("answered with {ours:02x?}, by the kernel with {kernel:02x?}"));
                    }
                    if bytes::checksum_errors(ours) != (0, Some(0)) {
                        self.problem(sent, "the answer's checksums are wrong");
                    }
                }
            }
        }
    }

    fn finish(mut self) -> Comparison {
        let mut problems = Vec::new();
        for (destination, InUse { kernel, egressim, moved }) in &self.destinations {
            let (kernel, here) = (kernel.len(), egressim.len());
            if here != kernel + moved {
                problems.push(format!("{here} ports in use for {destination:?}, {kernel} in the kernel"));
            }
        }
        // The kernel's own counters: each of its drops for lack of a port is one here, or a difference, and so on.
        let count = |kind: Kind| self.comparison.differences.iter().filter(|(other, _)| *other == kind).count() as u64;
        let only_in_kernel = if self.recorded.dropped_for_ports > 0 { count(Kind::OnlyEgressimForwards) } else { 0 };
        if self.out_of_resources + only_in_kernel != self.recorded.dropped_for_ports {
            let (here, kernel) = (self.out_of_resources, self.recorded.dropped_for_ports);
            problems.push(format!("{here} + {only_in_kernel} drops for lack of a port, {kernel} in the kernel"));
        }
        if count(Kind::KernelLeaks) != self.recorded.invalid {
            problems.push(format!("the kernel has counted {} packets as INVALID", self.recorded.invalid));
        }
        let only_here = count(Kind::OnlyKernelForwards(DropCause::OutOfResources));
        let counted = self.translator.gateway().dropped_out_of_resources();
        if counted != self.out_of_resources + only_here {
            problems.push(format!("the gateway has counted {counted} drops for lack of a port"));
        }
        self.comparison.problems.append(&mut problems);
        self.comparison
    }
}

impl Counts {
    pub fn add(&mut self, other: &Counts) {
        self.forwarded += other.forwarded;
        self.dropped += other.dropped;
        self.answers += other.answers;
    }

    fn count(&mut self, forwarded: bool) {
        *(if forwarded { &mut self.forwarded } else { &mut self.dropped }) += 1;
    }
}

/// To whom an ICMP error goes, and what it says about which packet.
pub fn icmp_message(packet: &[u8]) -> (Ipv4Addr, &[u8]) {
    assert_eq!(bytes::protocol(packet), bytes::ICMP);
    (bytes::destination(packet), &packet[bytes::header_length(packet)..])
}

/// Protocol, source and destination.
fn flow_of(packet: &[u8]) -> Flow {
    (bytes::protocol(packet), bytes::source_socket(packet), bytes::destination_socket(packet))
}
