//! Replays every case of `pcaps/`: a folder there is a test case, and needs no code.
//!
//! What a case expects is in its `expected.json`. What must be so in every case is checked here, packet by packet, in the
//! capture that `--write` makes. When a case fails, that capture stays in `target/tmp`. Captures made inside a container,
//! where everybody has the same link-local address, are made here.

mod common;

use std::collections::HashMap;
use std::fs;
use std::net::Ipv4Addr;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::headers::{Client, beyond_nat, checksums_are_right};
use common::{Captured, Tapped, assert_sums, loaded, packets, repository, scenario, subset, tapped};
use egressim::capture::PacketWriter;
use egressim::report::summary::Summary;
use egressim::scenario::load::Source;
use egressim::scenario::{BUILT_IN, NatTimeouts, Scenario};
use egressim::simulation::replay::{Options, replay};
use egressim::wire::{FiveTuple, Packet, Protocol, TcpSegment, tcp_flags};
use serde_json::Value;

#[test]
fn every_case_replays_as_expected() {
    let mut cases: Vec<PathBuf> = fs::read_dir(repository("pcaps"))
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|folder| input(folder).is_some())
        .collect();
    cases.sort();
    assert!(cases.len() >= 4, "the cases were not found: {cases:?}");
    let failures: Vec<String> = cases.iter().filter_map(|folder| Case::new(folder).check()).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn input(folder: &Path) -> Option<PathBuf> {
    ["input.pcap", "input.pcapng"].map(|name| folder.join(name)).into_iter().find(|path| path.is_file())
}

struct Case {
    name: String,
    folder: PathBuf,
    input: PathBuf,
    scenario: Scenario,
}

impl Case {
    fn new(folder: &Path) -> Case {
        let file = folder.join("scenario.yaml");
        let mut scenario = if file.is_file() { loaded(Source::Path(&file)) } else { loaded(BUILT_IN) };
        if !file.is_file() {
            // The built-in scenario's expectations are about its own traffic.
            scenario.expect.clear();
        }
        Case {
            name: folder.file_name().expect("it has a name").to_string_lossy().into_owned(),
            folder: folder.to_owned(),
            input: input(folder).expect("it has a capture"),
            scenario,
        }
    }

    /// What is wrong, as a text for people.
    fn check(&self) -> Option<String> {
        let outputs = ["pcap", "pcapng"]
            .map(|format| Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-outside.{format}", self.name)));
        let summaries = outputs.clone().map(|output| self.replay(output));
        let summary = &summaries[0];
        assert_sums(summary);

        let mut failures = subset::differences(&self.expected(), summary);
        if summaries[0] != summaries[1] {
            failures.push("the summary depends on the format of the output".into());
        }
        let met = |expectation: &Value| expectation["met"] == true;
        if let Some(unmet) = summary["expectations"].as_array().and_then(|all| all.iter().find(|one| !met(one))) {
            failures.push(format!("the scenario's expectation was not met: {unmet}"));
        }
        let outside = packets(&outputs[0]);
        if outside != packets(&outputs[1]) {
            failures.push("pcap and pcapng differ".into());
        }
        failures.extend(self.outside_is_the_inside_behind_nat(&outside, summary).err());
        if failures.is_empty() {
            outputs.iter().for_each(|output| fs::remove_file(output).expect("it was just written"));
            return None;
        }
        let (list, output) = (failures.join("\n  "), outputs[0].display());
        Some(format!("{}:\n  {list}\n  (what the internet saw: {output})", self.name))
    }

    fn replay(&self, output: PathBuf) -> Value {
        let options = Options { captures: vec![self.input.clone()], write: Some(output), ..Options::default() };
        let summary = replay(&self.scenario, &options, &mut |_| ControlFlow::Continue(()));
        serde_json::to_value(summary.expect("the case can be replayed")).expect("plain data")
    }

    fn expected(&self) -> Value {
        let path = self.folder.join("expected.json");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Each packet of the output is one of the input, in its order and at its time, changed as a NAT may change it.
    fn outside_is_the_inside_behind_nat(&self, outside: &[Captured], summary: &Value) -> Result<(), String> {
        let mut nat = Outside::new(&self.scenario, summary);
        let mut input = packets(&self.input).into_iter();
        for (number, after) in (1..).zip(outside) {
            let place = |text: String| format!("packet {number} of the output: {text}");
            let client = nat.client(after).map_err(place)?;
            let found = input.find(|before| {
                let before_client = if before.packet.src().is_private() { Client::Source } else { Client::Destination };
                before.time == after.time
                    && before_client == client
                    && beyond_nat(&before.packet, client) == beyond_nat(&after.packet, client)
            });
            let Some(before) = found else {
                return Err(place("no later packet of the input has this time and content".into()));
            };
            nat.pair(&before, after, client).map_err(place)?;
        }
        let (written, sent) = (outside.len() as u64, summary["packets"]["sent"].as_u64());
        let delivered = summary["packets"]["delivered"].as_u64();
        // Servers are public, so that what was delivered has been on the internet; what was dropped may have been.
        if Some(written) < delivered || Some(written) > sent {
            return Err(format!("{written} packets written of {sent:?} sent and {delivered:?} delivered"));
        }
        Ok(())
    }
}

/// What is known of the outside so far.
struct Outside {
    /// Addresses and ports that endpoints may wear.
    ranges: Vec<(Ipv4Addr, RangeInclusive<u16>)>,
    timeouts: NatTimeouts,
    /// What each flow (as the captured client sends it) looks like outside, and when that was last used.
    worn: HashMap<FiveTuple, (FiveTuple, u64)>,
    /// Which flow last wore this.
    owners: HashMap<FiveTuple, FiveTuple>,
}

impl Outside {
    fn new(scenario: &Scenario, summary: &Value) -> Outside {
        let mut ranges = Vec::new();
        let gateways = summary["gateways"].as_array().expect("a list");
        for endpoint in gateways.iter().flat_map(|gateway| gateway["endpoints"].as_array().expect("a list")) {
            for range in endpoint["natIpPortRanges"].as_array().expect("endpoints have ranges") {
                // 203.0.113.10:1024-1087
                let text = range.as_str().expect("a text");
                let (ip, ports) = text.split_once(':').expect("an address and ports");
                let (first, last) = ports.split_once('-').expect("first and last port");
                let ports = first.parse().expect("a port")..=last.parse().expect("a port");
                ranges.push((ip.parse().expect("an address"), ports));
            }
        }
        // All gateways of a case have the timeouts of its first one.
        let timeouts = scenario.nat_gateways[0].config.timeouts;
        Outside { ranges, timeouts, worn: HashMap::new(), owners: HashMap::new() }
    }

    /// Which end of a packet of the output is the client: the end that wears a NAT IP and one of its ports.
    fn client(&self, captured: &Captured) -> Result<Client, String> {
        let packet = &captured.packet;
        let ours = |ip: Ipv4Addr, port: Option<u16>| {
            self.ranges.iter().any(|(nat_ip, ports)| ip == *nat_ip && port.is_none_or(|port| ports.contains(&port)))
        };
        let tuple = captured.tuple();
        match (
            ours(packet.src(), tuple.map(|tuple| tuple.src_port)),
            ours(packet.dst(), tuple.map(|tuple| tuple.dst_port)),
        ) {
            (true, false) => Ok(Client::Source),
            (false, true) => Ok(Client::Destination),
            _ => Err(format!("{} -> {} ({tuple:?}): expected a NAT IP and port", packet.src(), packet.dst())),
        }
    }

    /// Takes note of a packet before and after the NAT.
    fn pair(&mut self, before: &Captured, after: &Captured, client: Client) -> Result<(), String> {
        if checksums_are_right(&before.packet) != checksums_are_right(&after.packet) {
            return Err("its checksums are no longer what they were: right, wrong or none".into());
        }
        // What comes from outside is written before anybody has forwarded it.
        let forwarded = client == Client::Source;
        if forwarded != (after.packet.ttl() < before.packet.ttl()) {
            return Err(format!("TTL {} became {}", before.packet.ttl(), after.packet.ttl()));
        }
        let (Some(inside), Some(outside)) = (before.tuple(), after.tuple()) else { return Ok(()) };
        let (inside, outside) = match client {
            Client::Source => (inside, outside),
            Client::Destination => (inside.reversed(), outside.reversed()),
        };
        // No mapping of this protocol is forgotten sooner than this, so nothing changes sooner.
        let timeouts = &self.timeouts;
        let shortest = match inside.protocol {
            Protocol::Udp => timeouts.udp_idle,
            Protocol::Icmp => timeouts.icmp_idle,
            Protocol::Tcp => {
                timeouts.tcp_established_idle.min(timeouts.tcp_transitory_idle).min(timeouts.tcp_time_wait)
            }
        };
        let quiet = |since: u64| Duration::from_nanos(after.time.saturating_sub(since)) >= shortest;
        if let Some(&(worn, last)) = self.worn.get(&inside)
            && worn != outside
            && !quiet(last)
        {
            return Err(format!("{inside} was {worn} and is {outside} now, without a pause of {shortest:?}"));
        }
        if let Some(owner) = self.owners.insert(outside, inside)
            && owner != inside
            && !quiet(self.worn[&owner].1)
        {
            return Err(format!("{inside} wears {outside}, which {owner} has worn within {shortest:?}"));
        }
        self.worn.insert(inside, (outside, after.time));
        Ok(())
    }
}

/// A capture made in a container, where each sees itself under the same link-local address: its packets at each station.
fn captured_in_a_container(service: &str, client: &str) -> (Summary, Vec<Tapped>) {
    let yaml = format!(
        "\
networks: [{{name: vpc}}]
subnetworks: [{{name: apps, network: vpc, region: us-central1, ipCidrRange: 10.9.0.0/24}}]
connectors: [{{name: conn, region: us-central1, network: vpc, ipCidrRange: 10.8.0.0/28}}]
addresses: [{{name: ip, region: us-central1, address: 203.0.113.10}}]
routers:
- name: router
  network: vpc
  region: us-central1
  nats: [{{name: gw, natIpAllocateOption: MANUAL_ONLY, natIps: [ip], sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES}}]
services: [{{name: api, region: us-central1, template: {{vpcAccess: {{{service}, egress: ALL_TRAFFIC}}}}}}]
hosts: [{{name: partner, address: 198.51.100.7}}]
"
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (input, out) = (folder.path().join("container.pcap"), folder.path().join("out"));
    let mut writer = PacketWriter::create(&input).expect("it is writable");
    let request: FiveTuple = FiveTuple {
        src: client.parse().expect("an address"),
        dst: [198, 51, 100, 7].into(),
        src_port: 51_234,
        dst_port: 443,
        protocol: Protocol::Tcp,
    };
    let segments = [
        (request, tcp_flags::SYN, 1, 0),
        (request.reversed(), tcp_flags::SYN | tcp_flags::ACK, 1, 2),
        (request, tcp_flags::ACK, 2, 2),
    ];
    for (number, (tuple, flags, seq, ack)) in segments.into_iter().enumerate() {
        let mut packet = Packet::empty();
        packet.build_tcp(tuple, TcpSegment { flags, seq, ack, payload: 0 });
        let time = 1_700_000_000_000_000_000 + number as u64 * 20_000_000;
        writer.write(time, packet.bytes(), packet.bytes().len() as u32).expect("it is writable");
    }
    writer.finish().expect("it is writable");
    let options = Options { captures: vec![input], out: Some(out.clone()), ..Options::default() };
    let summary = replay(&scenario(&yaml), &options, &mut |_| ControlFlow::Continue(())).expect("it can be replayed");
    (summary, tapped(&out.join("capture.pcapng")))
}

/// Source, or of answers destination, with its port, of the packets at a station.
fn seen_at(tapped: &[Tapped], station: &str) -> Vec<(String, u16)> {
    let at = tapped.iter().filter(|packet| packet.station == station).filter_map(|packet| packet.tuple);
    let seen = at.map(|tuple| match tuple.src_port {
        443 => (tuple.dst.to_string(), tuple.dst_port),
        port => (tuple.src.to_string(), port),
    });
    seen.collect()
}

#[test]
fn t30_a_capture_made_in_a_container_leaves_with_a_connector_vms_address_and_another_port() {
    let (summary, tapped) = captured_in_a_container("connector: conn", "169.254.8.1");
    assert_eq!((summary.packets.delivered, summary.connections.established), (3, 1));
    let inside = seen_at(&tapped, "vpc firewall");
    // The connector's VMs have 10.8.0.2 and 10.8.0.3, and begin with Linux' first ephemeral port.
    assert!(["10.8.0.2", "10.8.0.3"].contains(&inside[0].0.as_str()), "{inside:?}");
    assert!(inside.iter().all(|(address, port)| *address == inside[0].0 && *port == 32_768), "{inside:?}");
    let outside = seen_at(&tapped, "internet");
    assert!(outside.iter().all(|seen| *seen == ("203.0.113.10".to_owned(), outside[0].1)), "{outside:?}");
    assert!((1024..1024 + 128).contains(&outside[0].1), "{outside:?}");
    assert!(inside.len() >= 3 && outside.len() >= 3);
}

#[test]
fn t30_with_direct_vpc_egress_it_leaves_with_the_instances_own_address_and_port() {
    let (summary, tapped) =
        captured_in_a_container("networkInterfaces: [{network: vpc, subnetwork: apps}]", "169.254.9.1");
    assert_eq!((summary.packets.delivered, summary.connections.established), (3, 1));
    let inside = seen_at(&tapped, "vpc firewall");
    assert!(inside.len() >= 3 && inside.iter().all(|seen| *seen == ("10.9.0.16".to_owned(), 51_234)), "{inside:?}");
}
