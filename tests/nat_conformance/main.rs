//! What other NATs are tested for, and what the RFCs ask of a NAT: 45 cases, with what Cloud NAT makes of each.
//!
//! The cases were collected from the test suites of other NATs, the RFCs on NAT behaviour, and Google's
//! documentation. Where Cloud NAT is known to differ, egressim does as Cloud NAT does, and the row says why. Case 45
//! is a table of its own, one row for each requirement of the RFCs. Both tables make `docs/nat-conformance.md`;
//! `UPDATE_DOCS=1` rewrites it. With `-- --nocapture` each row is printed with its result.

mod checks;
#[path = "../common/mod.rs"]
mod common;
mod document;
mod filtering;
mod fragments;
mod harness;
mod house;
mod icmp;
mod mapping;
mod packets;
mod requirements;
mod rewriting;
mod routes;
mod timers;

use std::panic::catch_unwind;
use std::{env, fs};

use Basis::{Assumed, Google, Observed};
use CloudNat::{Differs, Same};

/// What Cloud NAT does, compared with the suite or RFC that a case comes from.
enum CloudNat {
    Same,
    Differs(&'static str),
}

/// Where that is known from.
#[derive(Clone, Copy)]
enum Basis {
    /// Google documents it.
    Google,
    /// It was observed at real gateways.
    Observed,
    /// Google says nothing of it; it follows from how such a translator works, or is a value under `model.nat`.
    Assumed,
}

/// One case.
struct Case {
    number: u8,
    title: &'static str,
    source: &'static str,
    cloud_nat: CloudNat,
    basis: Basis,
    /// Panics, with what is wrong, when egressim does something else than Cloud NAT.
    check: fn(),
}

/// Cases that belong together.
struct Group {
    name: &'static str,
    cases: &'static [Case],
}

const fn same(number: u8, title: &'static str, source: &'static str, basis: Basis, check: fn()) -> Case {
    Case { number, title, source, cloud_nat: Same, basis, check }
}

const fn differs(
    number: u8,
    title: &'static str,
    source: &'static str,
    reason: &'static str,
    basis: Basis,
    check: fn(),
) -> Case {
    Case { number, title, source, cloud_nat: Differs(reason), basis, check }
}

const GROUPS: &[Group] = &[
    Group {
        name: "Mapping and ports",
        cases: &[
            same(
                1,
                "The first TCP, UDP or echo packet of a private host leaves from the NAT IP and a port of that host; the \
                 reply comes back to it",
                "VPP, IncludeOS",
                Google,
                mapping::first_packet,
            ),
            differs(
                2,
                "Without a NAT address packets are dropped and counted as a lack of ports; when there is one, they pass",
                "VPP",
                "a gateway without any NAT IP has a cause of its own in Connectivity Tests, CLOUD_NAT_NO_ADDRESSES; as \
                 OUT_OF_RESOURCES count those that find no room on an address",
                Google,
                mapping::no_address,
            ),
            same(
                3,
                "One port, and a connection has it: the next one to the same endpoint is dropped, and the first goes on",
                "Open vSwitch",
                Google,
                mapping::one_port_one_endpoint,
            ),
            differs(
                4,
                "One port, and a connection has it: the next one to another endpoint passes by the same port, unless mapping \
                 is endpoint-independent",
                "Google, gVisor",
                "with endpoint-independent mapping, too, two sockets are bound to one port; dropped is only what would \
                 meet at one endpoint",
                Google,
                mapping::one_port_two_endpoints,
            ),
            same(
                5,
                "A thousand clients with the same source port reach one server: each has a port of its own, and its own replies",
                "Linux (nft_nat_zones)",
                Google,
                mapping::same_source_port,
            ),
            same(
                6,
                "Where the port that would be kept is in use, another is taken and the connection succeeds",
                "Linux (nf_nat_edemux), gVisor",
                Google,
                mapping::wanted_port_in_use,
            ),
            same(
                7,
                "Ports 0 to 1023 are never handed out; 1024, 65535 and all between are",
                "VPP, observed allocations",
                Google,
                mapping::port_range,
            ),
            differs(
                8,
                "A host keeps its outside address, and hosts are spread over a pool of 64",
                "VPP, RFC 4787",
                "hosts fill the addresses one after the other, in configured order; one whose ports do not fit on one \
                 address has two",
                Observed,
                mapping::choice_of_address,
            ),
            same(
                9,
                "Two hosts never share an address, port and endpoint outside, whatever comes and goes",
                "Hedgehog",
                Google,
                mapping::no_tuple_is_shared,
            ),
            same(
                10,
                "Port ranges that are given away are left alone, used or not; what TCP has taken is free for UDP",
                "Hedgehog",
                Google,
                mapping::ranges_of_others,
            ),
            same(
                11,
                "A port can be used again after close and timeout, and not a moment before",
                "VPP, det44",
                Google,
                mapping::port_comes_back,
            ),
            differs(
                12,
                "A host that has reached its limit of sessions is refused, and no other host is",
                "det44, VPP",
                "limited are connections to one destination, by the host's ports; not sessions as such",
                Google,
                mapping::limit_of_one_host,
            ),
        ],
    },
    Group {
        name: "Timers and TCP",
        cases: &[
            same(
                13,
                "A SYN or SYN-ACK that is sent again belongs to the same connection and takes no other port",
                "VPP, Firezone",
                Assumed,
                timers::handshake_repeated,
            ),
            differs(
                14,
                "After an RST a session is transitory: data six seconds later (timeout 5 s) is dropped, a new SYN opens again",
                "VPP",
                "follows model.nat.rst: the port rests for TIME_WAIT, in which late data still passes, and a new SYN has \
                 another port (default); or all is forgotten at once",
                Assumed,
                timers::reset_by_either_side,
            ),
            differs(
                15,
                "After FINs both ways, a SYN from one side does not reopen the session; SYNs from both do",
                "VPP",
                "the port of a closed connection is barred for its endpoint until TIME_WAIT is over, SYNs or not; a new \
                 connection of the same socket has another port",
                Google,
                timers::reopened,
            ),
            same(
                16,
                "Whether the inside, the outside or both at once begin to close, the end state is the same",
                "VPP, Hedgehog",
                Assumed,
                timers::close_begun_by_either,
            ),
            same(
                17,
                "A SYN that nobody answers is forgotten by itself after the transitory timeout",
                "Linux (conntrack_tcp_unreplied)",
                Google,
                timers::unanswered_syn,
            ),
            differs(
                18,
                "A UDP mapping ends when the inside has been silent for the timeout; packets from outside do not keep it",
                "einat, RFC 4787",
                "packets from outside keep it, too, as RFC 4787 (REQ-6a) allows; Google names no direction",
                Assumed,
                timers::refresh_of_udp,
            ),
            same(
                19,
                "When everything is taken, newcomers are refused, or the least recently used makes way; nothing breaks",
                "VPP, OPTE",
                Google,
                mapping::full_table,
            ),
        ],
    },
    Group {
        name: "Filtering",
        cases: &[
            same(20, "What nobody inside has asked for is dropped", "VPP, RFC 4787", Google, filtering::unsolicited),
            same(
                21,
                "To a port in use, only the endpoint that was sent to gets in, unless filtering is endpoint-independent (which \
                 Cloud NAT has not)",
                "VPP, RFC 4787",
                Google,
                filtering::other_endpoints,
            ),
            differs(
                22,
                "A ping to the NAT IP has no reply; pings through have their identifier translated both ways",
                "VPP, OPTE, Open vSwitch",
                "Google's network edge may answer pings to a NAT IP in use; that edge is not simulated, and here nobody \
                 answers",
                Google,
                filtering::pings,
            ),
        ],
    },
    Group {
        name: "ICMP errors",
        cases: &[
            same(
                23,
                "An error about a mapping reaches the right host, with addresses, ports and checksums of the quoted packet \
                 restored",
                "VPP, Linux (conntrack_icmp_related), OPTE, Open vSwitch",
                Assumed,
                icmp::errors_restored,
            ),
            same(
                24,
                "So does one from a router that is not the endpoint",
                "Open vSwitch",
                Assumed,
                icmp::error_of_a_router,
            ),
            same(25, "An error about no mapping is dropped", "VPP, RFC 5508", Assumed, icmp::error_of_no_mapping),
            same(
                26,
                "An error neither ends nor prolongs a session",
                "RFC 4787, RFC 5382, RFC 5508",
                Assumed,
                icmp::error_ends_nothing,
            ),
            same(
                27,
                "A TTL that runs out is answered with time exceeded, which quotes the packet before translation",
                "VPP",
                Assumed,
                icmp::ttl_runs_out,
            ),
            same(
                28,
                "Behind a path of 1280 bytes, \"fragmentation needed\" reaches the sender, and a smaller packet passes (no \
                 link has an MTU here: the test itself sends the router's error)",
                "Linux (conntrack_icmp_related, pmtu)",
                Assumed,
                icmp::path_mtu,
            ),
            same(
                29,
                "A quotation cut to eight bytes behind the IP header, or with IP options, is put right as far as it goes",
                "Snabb, Jool",
                Assumed,
                icmp::short_and_odd_quotations,
            ),
        ],
    },
    Group {
        name: "Fragments",
        cases: &[
            differs(
                30,
                "Fragments in order are all translated with one port",
                "VPP, Snabb",
                NO_FRAGMENTS,
                Google,
                fragments::in_order,
            ),
            differs(
                31,
                "Fragments out of order are held or dropped, and never get a wrong port",
                "VPP, Snabb",
                "they are dropped; none is ever held",
                Google,
                fragments::out_of_order,
            ),
            differs(
                32,
                "Fragments that overlap, or have the same identification in IPv4 and IPv6, are not mixed up",
                "VPP, Suricata",
                "they are dropped. An IPv6 packet does not get as far as NAT: instances have IPv4 only here",
                Google,
                fragments::overlapping,
            ),
            differs(
                33,
                "Fragments of UDP without checksum, and of ICMP, are translated",
                "Jool",
                NO_FRAGMENTS,
                Google,
                fragments::without_checksum_and_icmp,
            ),
        ],
    },
    Group {
        name: "Rewriting",
        cases: &[
            same(
                34,
                "Right checksums stay right, wrong ones exactly as wrong, and no UDP checksum stays none",
                "IncludeOS",
                Assumed,
                rewriting::checksums,
            ),
            same(35, "Padding behind the IP packet is ignored", "VPP", Assumed, rewriting::trailer),
            same(36, "A wrong IP length is refused", "OPTE", Assumed, rewriting::bad_length),
            differs(
                37,
                "Other protocols, such as GRE, ESP and SCTP, pass with their address translated",
                "VPP, Open vSwitch",
                "they are dropped, as CLOUD_NAT_PROTOCOL_UNSUPPORTED",
                Google,
                rewriting::other_protocols,
            ),
        ],
    },
    Group {
        name: "Choice of address, routes and logs",
        cases: &[
            same(
                38,
                "A VM with an external address of its own leaves by it and takes no NAT port; its alias ranges take one",
                "OPTE, Google",
                Google,
                routes::own_external_address,
            ),
            same(
                39,
                "What stays inside or goes to a peer is not translated; the longest prefix wins, and behind another next hop \
                 than the default internet gateway there is no NAT",
                "OPTE, Google",
                Google,
                routes::next_hops,
            ),
            same(40, "A source address that is not the sender's is dropped", "OPTE", Google, routes::spoofed_source),
            same(
                41,
                "A NAT rule's destinations are reached from the rule's addresses; connections keep an address that is \
                 drained, and end with one that is removed",
                "Config Connector, Hedgehog",
                Google,
                routes::rules,
            ),
            same(
                42,
                "Changes while connections are open: more ports break nothing, fewer break what was on the lost ones, a source \
                 that is served no more loses its flows",
                "Hedgehog, Google",
                Google,
                routes::reconfiguration,
            ),
            differs(
                43,
                "A host reaches another behind the same gateway by its outside address and port (hairpinning)",
                "VPP, RFC 4787",
                "what is sent to a NAT IP is unsolicited and dropped (inferred); another VM's own external address is \
                 reached, as Google documents",
                Assumed,
                routes::hairpin,
            ),
            same(
                44,
                "The log follows its filter: translations, errors, both or none; never ICMP; no NAT IP where one was lacking",
                "Google",
                Google,
                routes::logs,
            ),
        ],
    },
    Group {
        name: "Transparency",
        cases: &[differs(
            45,
            "Every requirement of RFC 4787, 5382 and 5508, with what Cloud NAT makes of it",
            "einat, RFC 4787, RFC 5382, RFC 5508",
            "in some of them, which the tables below name",
            Google,
            requirements::every_requirement,
        )],
    },
];

const NO_FRAGMENTS: &str = "Cloud NAT does not support fragments: they are dropped, and counted under no reason";

/// All cases, in the order of the table.
fn cases() -> impl Iterator<Item = &'static Case> {
    GROUPS.iter().flat_map(|group| group.cases)
}

/// Runs a check; what it says if it fails.
fn attempt(check: fn()) -> Result<(), String> {
    catch_unwind(check).map_err(|panic| match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic.downcast_ref::<&str>().map_or("it fails without a word", |text| text).to_owned(),
    })
}

#[test]
fn every_case_holds() {
    let (mut results, mut failures) = (String::new(), Vec::new());
    for group in GROUPS {
        results += &format!("\n{}\n", group.name);
        for case in group.cases {
            let result = attempt(case.check);
            results += &document::line(case, result.is_ok());
            failures.extend(result.err().map(|message| format!("case {}, {}:\n  {message}", case.number, case.title)));
        }
    }
    println!("{results}");
    assert!(failures.is_empty(), "{} of {} cases fail\n{}", failures.len(), cases().count(), failures.join("\n"));
}

#[test]
fn all_45_cases_are_there_once_and_in_order() {
    let numbers: Vec<u8> = cases().map(|case| case.number).collect();
    assert_eq!(numbers, (1..=45).collect::<Vec<_>>());
}

#[test]
fn the_document_is_what_the_tables_make() {
    let path = common::repository("docs/nat-conformance.md");
    let document = document::markdown();
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &document).expect("the document can be written");
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    let mut lines = there.lines().zip(document.lines()).enumerate();
    let first = lines.find(|(_, (there, made))| there != made).map(|(number, (there, made))| {
        format!("first difference in line {}:\n  there:   {there}\n  is made: {made}", number + 1)
    });
    assert!(
        there == document,
        "docs/nat-conformance.md is not what the tables make; `UPDATE_DOCS=1 cargo test --test nat_conformance` rewrites \
         it\n{}",
        first.unwrap_or_else(|| "one is longer than the other".into())
    );
}

#[test]
fn the_readme_counts_as_the_tables_do() {
    let readme = fs::read_to_string(common::repository("README.md")).expect("there is a README");
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = document::readme_sentence();
    assert!(one_line(&readme).contains(&sentence), "the README does not say, in these words: {sentence}");
}
