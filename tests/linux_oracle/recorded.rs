//! What the kernel was given in one situation, how it was configured, and what it made of each packet.
//!
//! `NAME.in.pcap` is the client's side and `NAME.out.pcap` the server's, each with what was sent and what came; the
//! last byte of the source MAC address tells who sent it. `NAME.json` has the nftables rule, the timers and the
//! kernel's verdict for each packet of a client, by its IP identification; here it is a second opinion on what the
//! captures say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use egressim::capture::{Reader, network_layer};
use egressim::node::nat::tcp::Timer;
use serde_json::Value;

use crate::bytes;

/// The address that `masquerade` uses: the kernel's own on the server's side.
const OWN_ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

/// Who sent a frame: the last byte of its source MAC address.
const CLIENT: u8 = 1;
const KERNEL: [u8; 2] = [2, 3];
const SERVER: u8 = 4;

/// One side of the translator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// A packet that the kernel was given, and what it made of it.
#[derive(Debug)]
pub struct Sent {
    /// Nanoseconds since 1970.
    pub time: u64,
    pub side: Side,
    pub packet: Vec<u8>,
    /// What left at the other side; several when the kernel has cut the packet into fragments.
    pub onward: Vec<Vec<u8>>,
    /// What the kernel itself sent back.
    pub answers: Vec<Vec<u8>>,
}

impl Sent {
    pub fn identification(&self) -> u16 {
        bytes::identification(&self.packet)
    }
}

/// What the nftables rule translates to.
#[derive(Debug)]
pub struct Rule {
    pub addresses: Vec<Ipv4Addr>,
    /// All ports when there is none.
    pub ports: Option<RangeInclusive<u16>>,
}

/// One situation.
#[derive(Debug)]
pub struct Recorded {
    pub rule: Rule,
    /// The kernel's timers, as egressim's.
    pub timeouts: [Duration; Timer::COUNT],
    /// In order of time.
    pub sent: Vec<Sent>,
    /// Packets that the kernel counted as dropped for lack of a port.
    pub dropped_for_ports: u64,
    /// Packets that the kernel counted as INVALID.
    pub invalid: u64,
}

/// The names of all situations of the folder; each has its three files, and there is nothing else but an index.
pub fn names(folder: &Path) -> BTreeSet<String> {
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let file = entry.expect("the folder can be listed").file_name().into_string().expect("a name in UTF-8");
        if file == "INDEX.md" {
            continue;
        }
        let (name, kind) = file.split_once('.').unwrap_or_else(|| panic!("{file} is no file of a situation"));
        files.entry(name.to_owned()).or_default().insert(kind.to_owned());
    }
    let expected = BTreeSet::from(["in.pcap", "json", "out.pcap"].map(str::to_owned));
    files.iter().for_each(|(name, kinds)| assert_eq!(*kinds, expected, "the files of {name}"));
    files.into_keys().collect()
}

impl Recorded {
    pub fn read(folder: &Path, name: &str) -> Recorded {
        let path = folder.join(format!("{name}.json"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let counter = |name: &str| json["conntrack_stat_delta"][name].as_u64().unwrap_or(0);
        let recorded = Recorded {
            rule: Rule::parse(json["rules"].as_str().expect("nftables rules")),
            timeouts: timeouts(&json["sysctl"]),
            sent: sent(&folder.join(format!("{name}.in.pcap")), &folder.join(format!("{name}.out.pcap"))),
            dropped_for_ports: counter("drop"),
            invalid: counter("invalid"),
        };
        recorded.agree_with(&json);
        recorded
    }

    /// Checks that the captures, as they were read here, say what the kernel's verdicts in the JSON file say.
    fn agree_with(&self, json: &Value) {
        let name = &json["name"];
        let from_clients = || self.sent.iter().filter(|sent| sent.side == Side::Client);
        let whole: Vec<&Sent> = from_clients().filter(|sent| !bytes::is_fragment(&sent.packet)).collect();
        let verdicts = json["packets"].as_array().expect("a list of packets");
        assert_eq!(whole.len(), verdicts.len(), "{name}: the clients' packets that are no fragments");
        let mut distinct_ports = BTreeSet::new();
        let mut per_destination: BTreeMap<String, u64> = BTreeMap::new();
        for (sent, verdict) in whole.into_iter().zip(verdicts) {
            assert_eq!(verdict["ipid"], sent.identification(), "{name}");
            let socket = sent.onward.first().map(|onward| bytes::source_socket(onward));
            assert_eq!(verdict["verdict"] == "forwarded", socket.is_some(), "{name}: {verdict}");
            let Some((address, port)) = socket else { continue };
            assert_eq!(verdict["mapped_ip"], address.to_string(), "{name}: {verdict}");
            assert_eq!(verdict["mapped_port"], port, "{name}: {verdict}");
            distinct_ports.insert(port);
            *per_destination.entry(bytes::destination(&sent.packet).to_string()).or_default() += 1;
        }
        let forwarded: u64 = per_destination.values().sum();
        let summary = &json["summary"];
        for (key, count) in [
            ("forwarded", forwarded),
            ("dropped", verdicts.len() as u64 - forwarded),
            ("distinct_ports", distinct_ports.len() as u64),
        ] {
            // What is not in the summary is zero, or was not counted.
            assert!(summary.get(key).is_none_or(|there| *there == count), "{name}: {key} {count} in {summary}");
        }
        if let Some(there) = summary.get("per_dst_forwarded") {
            assert_eq!(*there, serde_json::json!(per_destination), "{name}");
        }
    }
}

impl Rule {
    /// Reads the first rule of the chain. The one after it, where there are two, is for ICMP, which has no ports.
    fn parse(rules: &str) -> Rule {
        let rule = rules.lines().find(|line| line.contains(" masquerade") || line.contains(" snat to "));
        let rule = rule.unwrap_or_else(|| panic!("no rule that translates: {rules}"));
        let to = rule.split_once(" to ").map_or("", |(_, to)| to.split(' ').next().expect("split gives one"));
        let (addresses, ports) = to.split_once(':').unwrap_or((to, ""));
        let range = |text: &str| {
            let (first, last) = text.split_once('-')?;
            Some((first.to_owned(), last.to_owned()))
        };
        let addresses = match range(addresses) {
            Some((first, last)) => {
                let [first, last] = [first, last].map(|address| address.parse::<Ipv4Addr>().expect("an address"));
                (u32::from(first)..=u32::from(last)).map(Ipv4Addr::from).collect()
            }
            None => vec![OWN_ADDRESS],
        };
        let ports = range(ports).map(|(first, last)| {
            let [first, last] = [first, last].map(|port| port.parse::<u16>().expect("a port"));
            first..=last
        });
        Rule { addresses, ports }
    }
}

/// The kernel's timers (nf_conntrack's defaults, unless the situation sets another) as those of Cloud NAT:
///
/// | Cloud NAT | Linux | default |
/// |---|---|---|
/// | UDP | `udp_timeout`; `udp_timeout_stream` (120 s, once answered) has no counterpart | 30 s |
/// | ICMP | `icmp_timeout` | 30 s |
/// | TCP transitory | `tcp_timeout_syn_sent`; those of SYN_RECV, FIN_WAIT, CLOSE_WAIT and LAST_ACK have none | 120 s |
/// | TCP established | `tcp_timeout_established` | 432,000 s |
/// | TCP TIME_WAIT | `tcp_timeout_time_wait`; CLOSE, after an RST, is 10 s in Linux and TIME_WAIT here | 120 s |
///
/// No situation lasts for 5 s, so of these only what a situation sets to 2 s ever runs out, and the timers without a
/// counterpart cannot make a difference.
fn timeouts(sysctl: &Value) -> [Duration; Timer::COUNT] {
    let mut timeouts = [Duration::ZERO; Timer::COUNT];
    timeouts[Timer::Udp as usize] = Duration::from_secs(30);
    timeouts[Timer::Icmp as usize] = Duration::from_secs(30);
    timeouts[Timer::TcpTransitory as usize] = Duration::from_secs(120);
    timeouts[Timer::TcpEstablished as usize] = Duration::from_secs(432_000);
    timeouts[Timer::TcpTimeWait as usize] = Duration::from_secs(120);
    for (name, seconds) in sysctl.as_object().expect("timers by their names") {
        let timer = match name.strip_prefix("net.netfilter.nf_conntrack_") {
            Some("udp_timeout") => Timer::Udp,
            Some("tcp_timeout_syn_sent") => Timer::TcpTransitory,
            _ => panic!("{name} has no known counterpart"),
        };
        timeouts[timer as usize] = Duration::from_secs(seconds.as_u64().expect("seconds"));
    }
    timeouts
}

/// A captured packet.
struct Record {
    time: u64,
    sender: u8,
    packet: Vec<u8>,
}

fn records(path: &Path) -> Vec<Record> {
    let mut reader = Reader::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut records = Vec::new();
    while let Some(frame) = reader.next_frame() {
        let packet = network_layer(frame.link_type, frame.bytes).expect("all frames hold IP packets");
        let length = usize::from(bytes::word(packet, 2));
        records.push(Record { time: frame.time, sender: frame.bytes[11], packet: packet[..length].to_vec() });
    }
    assert!(reader.damage().is_none(), "{}: {:?}", path.display(), reader.damage());
    records
}

/// Puts the two sides together: what was sent, in order of time, each with what the kernel made of it.
fn sent(inside: &Path, outside: &Path) -> Vec<Sent> {
    let mut sent = Vec::new();
    let mut from_kernel = Vec::new();
    for (path, side, sender) in [(inside, Side::Client, CLIENT), (outside, Side::Server, SERVER)] {
        for record in records(path) {
            if record.sender == sender {
                let Record { time, packet, .. } = record;
                sent.push(Sent { time, side, packet, onward: Vec::new(), answers: Vec::new() });
            } else {
                assert!(KERNEL.contains(&record.sender), "{}: a frame of nobody known", path.display());
                from_kernel.push((side, record));
            }
        }
    }
    sent.sort_by_key(|sent| sent.time);
    for (side, record) in from_kernel {
        let origin = sent.iter().position(|sent| sent.side != side && is_origin(sent, &record));
        match origin {
            Some(origin) => sent[origin].onward.push(record.packet),
            // No packet from the other side: the kernel's own, which answers the latest from this one.
            None => {
                let asked = sent.iter_mut().rfind(|sent| sent.side == side && sent.time <= record.time);
                asked.expect("the kernel sends nothing without being asked").answers.push(record.packet);
            }
        }
    }
    sent
}

/// Whether what the kernel sent at the other side is this packet, or the next fragment of it. No two packets of a
/// situation have the same identification, except for fragments of one.
fn is_origin(sent: &Sent, record: &Record) -> bool {
    let key = |packet: &[u8]| (bytes::identification(packet), bytes::protocol(packet));
    if sent.time > record.time || key(&sent.packet) != key(&record.packet) {
        return false;
    }
    let offset = bytes::fragment_offset(&record.packet);
    if bytes::is_fragment(&sent.packet) {
        sent.onward.is_empty() && bytes::fragment_offset(&sent.packet) == offset
    } else {
        let so_far: usize = sent.onward.iter().map(|fragment| fragment.len() - bytes::header_length(fragment)).sum();
        so_far == offset
    }
}
