//! What several test programs need. Each uses a part of it.
#![allow(dead_code)]

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use egressim::capture::{Reader, network_layer};
use egressim::scenario::Scenario;
use egressim::scenario::load::{Source, load};
use egressim::wire::{FiveTuple, Packet};
use pcap_file::pcapng::{Block, PcapNgReader};
use serde_json::Value;

pub mod headers;
pub mod scale;
pub mod subset;
pub mod walk;

/// The program, in this folder.
pub fn egressim(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_egressim"));
    command.current_dir(folder).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The folder with other people's captures and observations; says so when there is none.
pub fn evidence() -> Option<PathBuf> {
    let data = std::env::var_os("EGRESSIM_DATA");
    if data.is_none() {
        println!("skipped: EGRESSIM_DATA is not set");
    }
    data.map(PathBuf::from)
}

/// A scenario as a text.
pub fn scenario(text: &str) -> Scenario {
    loaded(Source::Text { name: "test.yaml", text })
}

/// A scenario of the repository.
pub fn scenario_file(path: &str) -> Scenario {
    loaded(Source::Path(&repository(path)))
}

pub fn loaded(source: Source<'_>) -> Scenario {
    let loaded = load(source);
    let rendered = loaded.diagnostics.render(&loaded.sources, false);
    loaded.scenario.unwrap_or_else(|| panic!("expected a scenario, found\n{rendered}"))
}

/// The sums that hold at the end of every run and replay.
#[track_caller]
pub fn assert_sums(summary: &Value) {
    let count = |path: &str| {
        let found = summary.pointer(path).and_then(Value::as_u64);
        found.unwrap_or_else(|| panic!("no number at {path} in {summary:#}"))
    };
    let total = |path: &str| {
        let counts = summary.pointer(path).and_then(Value::as_object);
        counts.unwrap_or_else(|| panic!("no counts at {path}")).values().filter_map(Value::as_u64).sum::<u64>()
    };
    let ways = count("/packets/delivered") + count("/packets/dropped") + count("/packets/inFlight");
    assert_eq!(count("/packets/sent"), ways, "sent = delivered + dropped + in flight: {:#}", summary["packets"]);
    assert_eq!(count("/packets/dropped"), total("/packets/droppedBy"), "every drop has a cause");
    let fates = count("/connections/established") + count("/connections/failed") + count("/connections/pending");
    assert_eq!(
        count("/connections/attempted"),
        fates,
        "attempted = established + failed + pending: {:#}",
        summary["connections"]
    );
    let bad = count("/connections/failed") + count("/connections/broken");
    assert_eq!(bad, total("/connections/failedBy"), "every failed or broken connection has a cause");
    assert!(count("/connections/broken") <= count("/connections/established"), "what broke had been established");
}

/// A captured packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// Nanoseconds since 1970.
    pub time: u64,
    pub packet: Packet,
}

impl Captured {
    pub fn tuple(&self) -> Option<FiveTuple> {
        self.packet.five_tuple()
    }
}

/// The IPv4 packets of a capture, in the order of the file.
pub fn packets(path: &Path) -> Vec<Captured> {
    let mut reader = Reader::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut packets = Vec::new();
    while let Some(frame) = reader.next_frame() {
        let Ok(bytes) = network_layer(frame.link_type, frame.bytes) else { continue };
        let mut packet = Packet::empty();
        let cut = frame.original_length as usize - frame.bytes.len();
        if packet.load(bytes, bytes.len() + cut).is_ok() && packet.is_ipv4() {
            packets.push(Captured { time: frame.time, packet });
        }
    }
    assert!(reader.damage().is_none(), "{}: {:?}", path.display(), reader.damage());
    packets
}

/// A packet at a station, as `capture.pcapng` holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tapped {
    pub station: String,
    pub time: u64,
    /// Absent when the bytes are no IP packet.
    pub tuple: Option<FiveTuple>,
    pub src: Option<Ipv4Addr>,
    pub comments: Vec<String>,
}

/// Reads `capture.pcapng` with pcap-file: our own reader keeps neither stations nor comments.
pub fn tapped(path: &Path) -> Vec<Tapped> {
    use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
    use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
    use pcap_file::pcapng::blocks::opt_common::CommonOption;

    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut reader = PcapNgReader::new(&bytes[..]).expect("it begins with a section header");
    let (mut stations, mut found) = (Vec::new(), Vec::new());
    while let Some(block) = reader.next_block() {
        match block.expect("every block can be read").0 {
            Block::InterfaceDescription(interface) => {
                let name = interface.options.iter().find_map(|option| match option {
                    InterfaceDescriptionOption::IfName(name) => Some(name.to_string()),
                    _ => None,
                });
                stations.push(name.expect("every interface has a name"));
            }
            Block::EnhancedPacket(record) => {
                let packet = Packet::parse(&record.data).ok();
                let comments = record.options.iter().filter_map(|option| match option {
                    EnhancedPacketOption::Common(CommonOption::Comment(text)) => Some(text.to_string()),
                    _ => None,
                });
                found.push(Tapped {
                    station: stations[record.interface_id as usize].clone(),
                    time: record.timestamp.as_nanos() as u64,
                    tuple: packet.as_ref().and_then(Packet::five_tuple),
                    src: packet.as_ref().map(Packet::src),
                    comments: comments.collect(),
                });
            }
            _ => {}
        }
    }
    found
}

/// Name and content of each file of a folder, sorted by name.
pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("the folder can be listed"))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("readable")))
        .collect();
    files.sort();
    files
}

/// The documents of a file with one a line.
pub fn json_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}
