//! Replays every case of `pcaps/`: a folder there is a test case, and needs no code.
//!
//! What a case expects is in its `expected.json`. What must be so in every case is checked here, packet by packet, in the
//! capture that `--write` makes. When a case fails, that capture stays in `target/tmp`.

mod common;

use std::collections::HashMap;
use std::fs;
use std::net::Ipv4Addr;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::headers::{Client, beyond_nat, checksums_are_right};
use common::{Captured, assert_sums, loaded, packets, repository, subset};
use egressim::scenario::load::Source;
use egressim::scenario::{BUILT_IN, NatTimeouts, Scenario};
use egressim::simulation::replay::{Options, replay};
use egressim::wire::{FiveTuple, Protocol};
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
