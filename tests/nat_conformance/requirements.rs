//! The second table: each requirement of the three RFCs on NAT behaviour, and whether Cloud NAT meets it.
//!
//! RFC 4787 is about UDP, RFC 5382 about TCP, RFC 5508 about ICMP. What RFC 7857 has changed since is said where it
//! matters. Sub-requirements have a row where they ask for something of their own.

use std::collections::BTreeSet;

use crate::checks;
use Verdict::{Differs, DoesNotArise, Meets};

/// One of the RFCs.
pub struct Rfc {
    pub number: u16,
    pub about: &'static str,
    /// How many requirements it has.
    pub count: u8,
    pub requirements: &'static [Requirement],
}

/// What Cloud NAT, as it is documented and as it is modelled here, makes of a requirement.
pub enum Verdict {
    Meets(&'static str),
    Differs(&'static str),
    /// There is nothing to meet.
    DoesNotArise(&'static str),
}

/// A requirement.
pub struct Requirement {
    /// Its number, with a letter for a part of it.
    pub number: &'static str,
    /// What it asks for, in our words.
    pub asks: &'static str,
    pub verdict: Verdict,
    /// Cases that prove it.
    pub cases: &'static [u8],
    /// A check beyond the cases.
    pub check: Option<fn()>,
}

const fn row(number: &'static str, asks: &'static str, verdict: Verdict, cases: &'static [u8]) -> Requirement {
    Requirement { number, asks, verdict, cases, check: None }
}

impl Requirement {
    const fn and(self, check: fn()) -> Requirement {
        Requirement { check: Some(check), ..self }
    }

    fn main_number(&self) -> u8 {
        let digits = self.number.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
        digits.parse().unwrap_or_else(|_| panic!("{:?} is no number of a requirement", self.number))
    }
}

pub const RFCS: [Rfc; 3] = [
    Rfc { number: 4787, about: "UDP", count: 14, requirements: RFC_4787 },
    Rfc { number: 5382, about: "TCP", count: 10, requirements: RFC_5382 },
    Rfc { number: 5508, about: "ICMP", count: 11, requirements: RFC_5508 },
];

const RFC_4787: &[Requirement] = &[
    row(
        "1",
        "a socket has one port outside, whomever it sends to (endpoint-independent mapping)",
        Differs(
            "it is an option, off by default. Without it Google promises nothing, and here the port depends on the \
             destination (assumed)",
        ),
        &[4],
    )
    .and(checks::mapping_by_destination),
    row(
        "2",
        "recommended: an inside host keeps one of several addresses (paired pooling)",
        Differs("a host has a second address when its ports do not fit on one"),
        &[8],
    ),
    row(
        "3",
        "no port is given away twice (port overloading)",
        Meets(
            "a port serves several connections only where their destinations differ, which RFC 7857 allows. With \
             endpoint-independent mapping sockets share ports, and what would collide is dropped",
        ),
        &[3, 4, 5, 9],
    ),
    row(
        "3a",
        "recommended: a source port below 1024 stays below, one above stays above",
        Differs("ports below 1024 are never handed out"),
        &[7],
    )
    .and(checks::no_part_of_the_port_is_kept),
    row("4", "recommended: odd ports stay odd, even ones even", Differs("nothing of the source port is kept"), &[])
        .and(checks::no_part_of_the_port_is_kept),
    row(
        "5",
        "a mapping outlives two idle minutes; five by default are recommended",
        Differs("30 s by default; it can be set"),
        &[18],
    )
    .and(checks::timers),
    row(
        "6",
        "packets from inside keep a mapping alive; those from outside may",
        Meets("both do (assumed: Google names no direction)"),
        &[18],
    ),
    row(
        "7",
        "addresses that are in use on both sides, where the outside address is learned from a network",
        DoesNotArise("NAT IPs are reserved public addresses"),
        &[],
    ),
    row(
        "8",
        "recommended: who may send in depends on nothing, or on the address only",
        Differs("on address and port, always: stricter than either"),
        &[20, 21],
    ),
    row(
        "9",
        "inside hosts reach each other by their outside addresses (hairpinning)",
        Differs(
            "what is sent to a NAT IP is unsolicited and dropped (inferred). Google documents hairpinning to external \
             addresses of VMs only",
        ),
        &[43],
    ),
    row("10", "application level gateways are turned off", Meets("there are none: payloads are not read"), &[])
        .and(checks::payloads_are_not_read),
    row(
        "11",
        "how it maps and filters never changes by itself",
        Meets("neither load nor a conflict changes it: what finds no port is dropped"),
        &[3, 4, 6, 21],
    )
    .and(checks::mapping_by_destination),
    row("12", "no ICMP message ends a mapping", Meets("none does (assumed)"), &[26]),
    row("12a", "ICMP messages are not filtered by who sends them", Meets("any router may send them (assumed)"), &[24]),
    row(
        "12b",
        "recommended: destination unreachable is supported",
        Meets("it is translated, with what it quotes (assumed)"),
        &[23],
    ),
    row(
        "13",
        "what must not be fragmented and is too large for the outside is refused with an ICMP error",
        DoesNotArise(
            "no link here has an MTU, and the 1,460 bytes of a default VPC network fit the internet. What a router \
             further on refuses is told to the host",
        ),
        &[28],
    ),
    row(
        "14",
        "fragments are received in order and out of order",
        Differs("Cloud NAT does not support fragments: they are dropped"),
        &[30, 31, 32, 33],
    ),
    row("14a", "a flood of fragments does not harm other packets", Meets("nothing of them is kept"), &[31]),
];

const RFC_5382: &[Requirement] = &[
    row("1", "endpoint-independent mapping for TCP", Differs("it is an option, off by default, as for UDP"), &[4])
        .and(checks::mapping_by_destination),
    row(
        "2",
        "all valid sequences of TCP pass, simultaneous open as well",
        Meets("they do (assumed: Google names timers, not the states that lead to them)"),
        &[13, 16],
    )
    .and(checks::simultaneous_open),
    row(
        "3",
        "recommended: who may send in depends on nothing, or on the address only",
        Differs("on address and port, as for UDP"),
        &[20, 21],
    ),
    row(
        "4",
        "an unsolicited SYN has no answer for six seconds, then an ICMP error, unless security forbids one",
        Meets("it never has one, which is that exception"),
        &[20],
    )
    .and(checks::simultaneous_open),
    row(
        "5",
        "an established connection outlives 2 hours 4 minutes of idleness, one that opens or closes 4 minutes",
        Differs("1,200 s and 30 s by default; both can be set"),
        &[17],
    )
    .and(checks::timers),
    row("6", "application level gateways are disabled by default", Meets("there are none: payloads are not read"), &[])
        .and(checks::payloads_are_not_read),
    row("7", "no port overloading for TCP", Meets("as for UDP"), &[3, 4, 5, 9]),
    row("8", "hairpinning for TCP", Differs("it is dropped, as for UDP"), &[43]),
    row("9", "destination unreachable is translated", Meets("it is, with what it quotes (assumed)"), &[23, 24]),
    row("10", "no ICMP message ends a mapping or a connection", Meets("none does (assumed)"), &[26]),
];

const RFC_5508: &[Requirement] = &[
    row(
        "1",
        "queries from inside, and their answers, pass",
        Meets("echo does. Other queries, which REQ-10 leaves open, are dropped (assumed)"),
        &[1, 22],
    )
    .and(checks::other_messages),
    row(
        "1a",
        "the identifier outside does not depend on who is asked",
        Differs("it does, as a port does (assumed)"),
        &[],
    )
    .and(checks::mapping_by_destination),
    row("2", "a query outlives 60 idle seconds", Differs("30 s by default; it can be set"), &[11]).and(checks::timers),
    row(
        "3",
        "an error whose own checksum is wrong is dropped, and (3a) one that quotes a wrong IP checksum",
        Differs("no checksum is looked at (assumed): it is translated, and is as wrong as it was"),
        &[],
    )
    .and(checks::checksums_are_not_looked_at),
    row("3b", "IP options of the quoted packet are skipped", Meets("they are (assumed)"), &[29]),
    row("3c", "the quoted transport's checksum is not verified", Meets("it is not (assumed)"), &[29])
        .and(checks::checksums_are_not_looked_at),
    row(
        "3d",
        "ICMP extensions do not count in the quoted transport's checksum",
        DoesNotArise("that checksum is not evaluated"),
        &[],
    ),
    row(
        "4",
        "an error from outside about a mapping is translated, with what it quotes; others are dropped",
        Meets("so it is (assumed)"),
        &[23, 25],
    ),
    row(
        "5",
        "an error from inside about a mapping is translated, with what it quotes; others are dropped",
        Meets("so it is (assumed)"),
        &[25],
    )
    .and(checks::errors_from_inside),
    row("6", "an error about a query neither refreshes nor ends it", Meets("it does neither (assumed)"), &[26]),
    row("7", "errors between inside hosts are hairpinned", Differs("nothing is hairpinned"), &[43]),
    row(
        "8",
        "who is refused a mapping is told by ICMP (communication administratively prohibited)",
        Differs("drops are silent"),
        &[3, 12, 19],
    ),
    row(
        "9",
        "a policy may forbid ICMP towards some side",
        DoesNotArise("it is a permission, and there is no such policy"),
        &[],
    ),
    row(
        "10",
        "destination unreachable, time exceeded and echo are supported; some messages may be, two should not",
        Meets(
            "these pass. Cloud NAT is no hop and sends none itself: a TTL runs out at the internet gateway behind it. \
             Of the others parameter problem passes, the rest is dropped (assumed)",
        ),
        &[22, 23, 27],
    )
    .and(checks::other_messages),
    row("11", "messages that are neither query nor error may be dropped", Meets("they are (assumed)"), &[])
        .and(checks::other_messages),
];

/// Case 45: every requirement is there, what can be tested is proved by cases that exist or by a check, and the
/// checks hold.
pub fn every_requirement() {
    let cases: BTreeSet<u8> = crate::cases().map(|case| case.number).collect();
    for rfc in &RFCS {
        let mut seen = BTreeSet::new();
        for requirement in rfc.requirements {
            let name = format!("RFC {} REQ-{}", rfc.number, requirement.number);
            assert!(seen.insert(requirement.number), "{name} is there twice");
            let proved = !requirement.cases.is_empty() || requirement.check.is_some();
            let testable = !matches!(requirement.verdict, DoesNotArise(_));
            assert!(proved || !testable, "{name}: no case and no check proves it");
            for case in requirement.cases {
                assert!(cases.contains(case) && *case != 45, "{name} refers to case {case}, which there is not");
            }
            if let Some(check) = requirement.check {
                crate::attempt(check).unwrap_or_else(|message| panic!("{name}: {message}"));
            }
        }
        let wholes = rfc.requirements.iter().filter(|requirement| requirement.number.parse::<u8>().is_ok());
        let numbers: Vec<u8> = wholes.map(Requirement::main_number).collect();
        assert_eq!(numbers, (1..=rfc.count).collect::<Vec<_>>(), "the requirements of RFC {}", rfc.number);
        let order: Vec<u8> = rfc.requirements.iter().map(Requirement::main_number).collect();
        assert!(order.is_sorted(), "parts of requirements of RFC {} stand with the whole", rfc.number);
    }
}
