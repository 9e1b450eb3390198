//! The program as people and scripts use it: output, messages, exit status.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;

use assert_cmd::assert::Assert;
use common::{Tapped, assert_sums, egressim, files, json_lines, packets, repository, tapped};
use egressim::capture::PacketWriter;
use egressim::scenario::BUILT_IN;
use egressim::scenario::load::load;
use egressim::wire::{FiveTuple, Packet, Protocol};
use serde_json::Value;
use tempfile::TempDir;

/// The NAT IP of the built-in scenario.
const STATIC_IP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

/// Ports that nobody can have: the minimum of a gateway with dynamic allocation is at least 32.
const REJECTED: &str = "\
networks: [{name: vpc}]
addresses: [{name: ip, region: r1}]
routers:
- name: router
  network: vpc
  region: r1
  nats: [{name: gw, natIpAllocateOption: MANUAL_ONLY, natIps: [ip], sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES, enableDynamicPortAllocation: true, minPortsPerVm: 48}]
services: [{name: api, region: r1}]
";

/// One service without a VPC, and a little traffic.
const SMALL: &str = "\
name: small
duration: 5s
services: [{name: api, region: r1}]
hosts: [{name: far, address: 198.51.100.7, ports: [443], rtt: 40ms}]
traffic: [{name: load, from: api, to: far:443, rate: 5/s, lifetime: 100ms}]
";

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Runs the program in an empty folder.
fn run(arguments: &[&str]) -> Assert {
    let folder = folder();
    let assert = egressim(folder.path()).args(arguments).assert();
    assert_eq!(files(folder.path()), [], "it leaves nothing that nobody asked for");
    assert
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).expect("UTF-8")
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).expect("UTF-8")
}

/// Standard output, which is one JSON document.
fn json(assert: &Assert) -> Value {
    serde_json::from_str(&stdout(assert)).expect("one JSON document")
}

fn path(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

fn web() -> String {
    path(&repository("pcaps/web/input.pcap"))
}

// run

#[test]
fn run_tells_the_built_in_story() {
    let assert = run(&["run"]).success().stderr("");
    insta::assert_snapshot!(stdout(&assert));
}

#[test]
fn run_prints_one_json_document_whose_sums_hold() {
    let summary = json(&run(&["run", "--format", "json"]).success().stderr(""));
    assert_sums(&summary);
    assert_eq!(summary["scenario"], "guide");
    assert!(summary["packets"]["droppedBy"]["OUT_OF_RESOURCES"].as_u64() > Some(0));
    let gateway = &summary["gateways"][0];
    // All drops of this story are for want of a port at the only gateway, and each is part of a told exhaustion.
    let told = gateway["exhaustions"].as_array().expect("a list").iter();
    let told: u64 = told.map(|exhaustion| exhaustion["dropped"].as_u64().expect("a count")).sum();
    assert_eq!(summary["packets"]["dropped"], told);
    assert_eq!(gateway["droppedSentPackets"]["OUT_OF_RESOURCES"], told);
    assert_eq!(gateway["natIps"][0], STATIC_IP.to_string());
}

#[test]
fn every_packet_of_the_built_in_story_reaches_the_internet_with_the_static_address() {
    let folder = folder();
    egressim(folder.path()).args(["run", "-q", "--out", "out"]).assert().success();
    let out = folder.path().join("out");

    // As the public hosts saw it: hosts of the internet, and the internet itself.
    let scenario = load(BUILT_IN).scenario.expect("it is sound");
    let public: BTreeSet<&str> = ["partner-api", "payments-api", "mail-api", "internet"].into();
    assert!(scenario.hosts.iter().all(|host| public.contains(host.name.as_str()) || host.name == "internal-db"));
    let seen = tapped(&out.join("capture.pcapng"));
    let to_the_public = |tapped: &&Tapped| {
        public.contains(tapped.station.as_str()) && tapped.tuple.is_some_and(|tuple| tuple.dst != STATIC_IP)
    };
    let wearing: Vec<_> = seen.iter().filter(to_the_public).map(|tapped| tapped.src).collect();
    assert!(wearing.len() > 10_000, "{} packets reached public hosts", wearing.len());
    assert!(wearing.iter().all(|src| *src == Some(STATIC_IP)));

    // The same by connection: whoever got through to a public address wears it, to the database nobody does.
    for connection in json_lines(&out.join("connections.jsonl")) {
        if connection["outcome"] == "established" {
            let public = connection["inside"]["destIp"] != "10.9.0.200";
            assert_eq!(connection["outside"]["srcIp"] == STATIC_IP.to_string(), public, "{connection}");
        }
    }
    // A dropped packet says why, at the station that dropped it.
    let summary: Value = serde_json::from_slice(&fs::read(out.join("summary.json")).expect("written")).expect("JSON");
    let commented = seen.iter().filter(|tapped| tapped.comments.iter().any(|text| text.contains("OUT_OF_RESOURCES")));
    assert_eq!(summary["packets"]["droppedBy"]["OUT_OF_RESOURCES"], commented.count());
}

#[test]
fn out_holds_all_files_and_the_printed_summary() {
    let folder = folder();
    let assert = egressim(folder.path()).args(["run", "--format", "json", "--out", "a/b"]).assert().success();
    let written = files(&folder.path().join("a/b"));
    let names: Vec<_> = written.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "addresses.json",
        "capture.pcapng",
        "cloud_run.jsonl",
        "connections.jsonl",
        "metrics.jsonl",
        "nat_flows.jsonl",
        "nat_ip_info.json",
        "nat_mapping_info.json",
        "router_status.json",
        "summary.json",
    ];
    assert_eq!(names, expected);
    let (_, summary) = written.last().expect("there are some");
    assert_eq!(serde_json::from_slice::<Value>(summary).expect("JSON"), json(&assert));
    // One line a connection.
    let connections = json_lines(&folder.path().join("a/b/connections.jsonl")).len();
    assert_eq!(json(&assert)["connections"]["attempted"], connections);
}

#[test]
fn an_expectation_that_does_not_hold_is_told_and_is_status_1() {
    let folder = folder();
    // 5/s for 5 s: some connections, but never a thousand.
    let text = format!("{SMALL}expect: [{{path: connections.established, atLeast: 1000}}]\n");
    fs::write(folder.path().join("s.yaml"), text).expect("writable");
    let assert = egressim(folder.path()).args(["run", "s.yaml"]).assert().code(1);
    let text = stdout(&assert);
    assert!(text.contains("Expectations: 0 of 1 met"), "{text}");
    assert!(text.contains("✗ connections.established at least 1000"), "{text}");
}

#[test]
fn a_scenario_is_a_file_a_folder_or_standard_input() {
    let folder = folder();
    fs::write(folder.path().join("s.yaml"), SMALL).expect("writable");
    let (services, rest): (Vec<_>, Vec<_>) = SMALL.split_inclusive('\n').partition(|line| line.starts_with("services"));
    fs::create_dir(folder.path().join("parts")).expect("writable");
    fs::write(folder.path().join("parts/services.yaml"), services.concat()).expect("writable");
    fs::write(folder.path().join("parts/rest.yaml"), rest.concat()).expect("writable");
    let file = stdout(&egressim(folder.path()).args(["run", "s.yaml"]).assert().success());
    let parts = stdout(&egressim(folder.path()).args(["run", "parts"]).assert().success());
    let stdin = stdout(&egressim(folder.path()).args(["run", "-"]).write_stdin(SMALL).assert().success());
    assert!(file.starts_with("small: 5s simulated, seed 1\n"), "{file}");
    assert_eq!(file, parts);
    assert_eq!(file, stdin);
}

#[test]
fn the_seed_can_be_given_and_makes_another_run() {
    let seed = |seed: &str| json(&run(&["run", "--format", "json", "--seed", seed]).success());
    let (first, second) = (seed("1"), seed("7"));
    assert_eq!((&first["seed"], &second["seed"]), (&1.into(), &7.into()));
    assert_ne!(first["connections"], second["connections"]);
    assert_eq!(first, json(&run(&["run", "--format", "json"]).success()), "1 is the built-in scenario's own");
}

// replay

#[test]
fn replay_through_the_connector_names_the_pings_it_cannot_carry() {
    let folder = folder();
    let web = web();
    let assert = egressim(folder.path()).args(["replay", &web, "--write", "out.pcap", "--format", "json"]).assert();
    let summary = json(&assert.success());
    assert_sums(&summary);
    // The capture has 48 echo requests; their 48 replies answer what never got out.
    let expected = serde_json::json!({"SIM_CONNECTOR_PROTOCOL_UNSUPPORTED": 48, "SIM_REPLY_WITHOUT_REQUEST": 48});
    assert_eq!(summary["packets"]["droppedBy"], expected);
    // 4537 packets without 96 of pings.
    assert_eq!(summary["packets"]["delivered"], 4441);
    assert_eq!(summary["connections"]["failedBy"]["SIM_CONNECTOR_PROTOCOL_UNSUPPORTED"], 12, "12 identifiers");
    assert_eq!(summary["expectations"], serde_json::json!([]), "the story's own expectations are not asked");

    let outside = packets(&folder.path().join("out.pcap"));
    assert_eq!(outside.len(), 4441);
    for captured in &outside {
        let tuple = captured.tuple().expect("TCP or UDP");
        assert_ne!(tuple.protocol, Protocol::Icmp);
        assert!((tuple.src == STATIC_IP) != (tuple.dst == STATIC_IP), "{tuple}");
    }
    assert!(outside.is_sorted_by_key(|captured| captured.time));
}

#[test]
fn replay_from_the_workload_with_direct_vpc_egress_lets_the_pings_pass() {
    let folder = folder();
    let web = web();
    let arguments = ["replay", &web, "--from", "my-api-service-direct", "--write", "out.pcapng", "--format", "json"];
    let summary = json(&egressim(folder.path()).args(arguments).assert().success());
    assert_sums(&summary);
    assert_eq!(summary["packets"]["droppedBy"], serde_json::json!({}));
    let outside = packets(&folder.path().join("out.pcapng"));
    let pings =
        outside.iter().filter(|captured| captured.tuple().is_some_and(|tuple| tuple.protocol == Protocol::Icmp));
    // 48 requests and 48 replies.
    assert_eq!((outside.len(), pings.count()), (4537, 96));
}

#[test]
fn replay_tells_in_text_what_was_not_carried() {
    let assert = run(&["replay", &web()]).success().stderr("");
    let text = stdout(&assert).replace(&web(), "web.pcap");
    insta::assert_snapshot!(text);
}

#[test]
fn a_capture_that_is_none_is_named_and_is_status_2() {
    let folder = folder();
    fs::write(folder.path().join("notes.pcap"), "this is no capture").expect("writable");
    let assert =
        egressim(folder.path()).args(["replay", "notes.pcap", "--write", "out.pcap"]).assert().code(2).stdout("");
    assert!(stderr(&assert).contains("notes.pcap"), "{}", stderr(&assert));
    assert!(!folder.path().join("out.pcap").exists());
}

#[test]
fn a_damaged_capture_is_replayed_up_to_the_damage() {
    let folder = folder();
    let whole = fs::read(web()).expect("readable");
    // Cut inside of a packet, far behind the first one.
    fs::write(folder.path().join("cut.pcap"), &whole[..100_001]).expect("writable");
    let assert = egressim(folder.path()).args(["replay", "cut.pcap", "--format", "json"]).assert().success();
    let file = &json(&assert)["captures"]["files"][0];
    assert!(file["records"].as_u64() > Some(100), "{file}");
    let damage = file["damage"].as_str().expect("it is told");
    // The offset is where the damaged record begins: not behind the end, and less than a packet before it.
    let digits: String =
        damage.split("at byte ").nth(1).expect("an offset").chars().take_while(char::is_ascii_digit).collect();
    let offset: usize = digits.parse().expect("a number");
    assert!((100_001 - 1600..=100_001).contains(&offset), "{damage}");
}

#[test]
fn a_capture_that_is_silent_for_a_century_is_no_burden() {
    let folder = folder();
    let century = 100 * 365 * 86_400 * 1_000_000_000;
    let tuple = FiveTuple {
        src: Ipv4Addr::new(10, 0, 0, 1),
        dst: Ipv4Addr::new(198, 51, 100, 7),
        src_port: 5000,
        dst_port: 53,
        protocol: Protocol::Udp,
    };
    let mut packet = Packet::empty();
    packet.build_udp(tuple, 10);
    let mut writer = PacketWriter::create(&folder.path().join("wrong.pcap")).expect("writable");
    for time in [0, 1_000_000_000, century] {
        writer.write(time, packet.bytes(), packet.wire_length()).expect("writable");
    }
    writer.finish().expect("writable");
    let arguments = ["replay", "wrong.pcap", "--out", "out", "--format", "json"];
    let summary = json(&egressim(folder.path()).args(arguments).assert().success());
    assert_eq!(summary["packets"]["sent"], 3);
    // A sample every minute would be 52,560,000 of each series. The first hour after the last packet (at 1 s) is sampled,
    // from the 1st to the 60th minute, and the minute in which the silence ends.
    let metrics = json_lines(&folder.path().join("out/metrics.jsonl"));
    let failures = metrics
        .iter()
        .filter(|line| line["metric"]["type"].as_str().is_some_and(|name| name.ends_with("nat/nat_allocation_failed")));
    assert_eq!(failures.count(), 60 + 1);
}

// trace

#[test]
fn trace_tells_every_hop_and_the_reply() {
    let assert = run(&["trace", "--to", "partner-api:443"]).success().stderr("");
    insta::assert_snapshot!(stdout(&assert));
}

#[test]
fn trace_prints_states_and_the_reply_as_json() {
    let trace = json(&run(&["trace", "--to", "198.51.100.7:443", "--format", "json"]).success());
    assert_eq!((&trace["disposition"], &trace["cause"]), (&"DELIVER".into(), &Value::Null));
    let states = |trace: &Value| -> Vec<String> {
        let steps = trace["steps"].as_array().expect("a list").iter();
        steps.map(|step| step["state"].as_str().expect("a text").to_owned()).collect()
    };
    assert_eq!(states(&trace).first().map(String::as_str), Some("START_FROM_CLOUD_RUN_REVISION"));
    assert_eq!(states(&trace).last().map(String::as_str), Some("DELIVER"));
    assert_eq!(trace["reply"]["disposition"], "DELIVER");
    assert_eq!(states(&trace["reply"]).first().map(String::as_str), Some("START_FROM_INTERNET"));
    for step in trace["steps"].as_array().expect("a list") {
        assert!(step["node"].as_str().is_some_and(|node| !node.is_empty()), "{step}");
        assert!(step["description"].as_str().is_some_and(|text| !text.is_empty()), "{step}");
    }
}

#[test]
fn a_traced_packet_that_does_not_arrive_is_status_1() {
    let scenario = path(&repository("scenarios/firewall-deny.yaml"));
    let assert = run(&["trace", &scenario, "--to", "partner-api:8443"]).code(1);
    assert!(stdout(&assert).contains("deny-8443"), "{}", stdout(&assert));
    assert!(stdout(&assert).contains("DROP FIREWALL_RULE"), "{}", stdout(&assert));
    let trace = json(&run(&["trace", &scenario, "--to", "partner-api:8443", "--format", "json"]).code(1));
    assert_eq!((&trace["disposition"], &trace["cause"]), (&"DROP".into(), &"FIREWALL_RULE".into()));
    assert_eq!(trace["reply"], Value::Null);
}

#[test]
fn a_traced_packet_that_is_forwarded_is_status_0() {
    let folder = folder();
    let text = "\
networks: [{name: vpc}]
subnetworks: [{name: app, network: vpc, region: r1, ipCidrRange: 10.9.0.0/24}]
routes: [{name: to-office, network: vpc, destRange: 172.16.0.0/12, nextHopVpnTunnel: office}]
services: [{name: api, region: r1, template: {vpcAccess: {networkInterfaces: [{subnetwork: app}]}}}]
";
    fs::write(folder.path().join("s.yaml"), text).expect("writable");
    let arguments = ["trace", "s.yaml", "--from", "api", "--to", "172.16.0.9:22", "--format", "json"];
    let trace = json(&egressim(folder.path()).args(arguments).assert().success());
    assert_eq!(trace["disposition"], "FORWARD");
}

#[test]
fn without_a_port_the_first_open_one_of_a_host_is_taken_if_it_has_not_got_the_usual_one() {
    let scenario = path(&repository("scenarios/hybrid.yaml"));
    let line = |to: &str, protocol: &str| {
        let assert = run(&["trace", &scenario, "--to", to, "--protocol", protocol]).success();
        stdout(&assert).lines().next().map(str::to_owned)
    };
    assert_eq!(line("erp", "tcp").as_deref(), Some("api -> 172.16.3.4:1521/tcp"));
    assert_eq!(line("billing", "tcp").as_deref(), Some("api -> 10.9.0.40:443/tcp"));
    assert_eq!(line("erp", "udp").as_deref(), Some("api -> 172.16.3.4:53/udp"));
}

#[test]
fn a_workload_or_host_that_is_not_there_is_status_2_and_the_nearest_is_named() {
    let assert = run(&["trace", "--from", "my-api-servise", "--to", "partner-api"]).code(2).stdout("");
    assert!(stderr(&assert).contains("\"my-api-service\""), "{}", stderr(&assert));
    let assert = run(&["trace", "--to", "nowhere"]).code(2).stdout("");
    assert!(stderr(&assert).contains("partner-api"), "{}", stderr(&assert));
    run(&["trace", "--to", "partner-api:99999"]).code(2).stdout("");
    run(&["trace"]).code(2).stdout("");
}

// bench

#[test]
fn bench_begins_with_what_run_gives_and_prints_one_json_document() {
    let bench = json(&run(&["bench", "--min-ports-per-vm", "64", "--format", "json"]).success().stderr(""));
    assert_eq!((&bench["scenario"], &bench["seed"], &bench["duration"]), (&"guide".into(), &1.into(), &"60s".into()));
    let gateway = serde_json::json!([{"name": "cloudrun-nat-gateway", "router": "cloudrun-nat-router"}]);
    assert_eq!(bench["gateways"], gateway);
    let rows = bench["settings"].as_array().expect("a list");
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["asConfigured"], &rows[1]["asConfigured"]), (&true.into(), &false.into()));
    assert_eq!((&rows[1]["setting"]["minPortsPerVm"], &rows[1]["peakAllocatedPorts"]), (&64.into(), &64.into()));
    for row in rows {
        let sum: u64 =
            ["accepted", "refused", "otherFailures", "pending"].iter().filter_map(|key| row[key].as_u64()).sum();
        assert_eq!(row["offered"], sum);
    }

    let own = json(&run(&["run", "--format", "json"]).success());
    let gateway = &own["gateways"][0];
    assert_eq!(rows[0]["offered"], own["connections"]["attempted"]);
    assert_eq!(rows[0]["accepted"], own["connections"]["established"]);
    assert_eq!(rows[0]["refused"], own["connections"]["failedBy"]["OUT_OF_RESOURCES"]);
    assert_eq!(rows[0]["droppedPackets"], own["packets"]["dropped"]);
    assert_eq!(rows[0]["firstRefusal"], gateway["exhaustions"][0]["from"]);
    assert_eq!(rows[0]["minExtraNatIpsNeeded"], gateway["minExtraNatIpsNeeded"]);
    let peak =
        |key: &str| gateway["endpoints"].as_array().expect("a list").iter().filter_map(|one| one[key].as_u64()).max();
    assert_eq!(rows[0]["peakAllocatedPorts"].as_u64(), peak("peakAllocatedPorts"));
    assert_eq!(rows[0]["peakPortUsage"].as_u64(), peak("peakPortUsage"));
}

#[test]
fn bench_keeps_what_it_prints_and_takes_another_seed() {
    let folder = folder();
    let arguments = ["bench", "--tcp-time-wait", "60s", "--seed", "7", "--format", "json", "--out", "a/b"];
    let printed = json(&egressim(folder.path()).args(arguments).assert().success());
    let written = files(&folder.path().join("a/b"));
    assert_eq!(written.len(), 1);
    assert_eq!(
        (written[0].0.as_str(), serde_json::from_slice::<Value>(&written[0].1).expect("JSON")),
        ("bench.json", printed.clone())
    );
    let own = json(&run(&["run", "--seed", "7", "--format", "json"]).success());
    assert_eq!(printed["seed"], 7);
    for row in printed["settings"].as_array().expect("a list") {
        assert_eq!(row["offered"], own["connections"]["attempted"], "every run has that seed");
    }
}

#[test]
fn what_google_rejects_is_no_setting_to_compare() {
    let assert = run(&["bench", "--dynamic", "48-1024,64-4096", "--tcp-time-wait", "30s,120s"]).code(2).stdout("");
    let text = stderr(&assert);
    assert!(text.contains("error[not-a-power-of-two]: minPortsPerVm is 48"), "{text}");
    assert!(text.contains("--> --dynamic:1:1") && text.contains("help: use 32 or 64"), "{text}");
    assert!(text.ends_with("error: 2 of 4 settings cannot be used, nothing was run\n"), "{text}");
    let assert = run(&["bench", "--nat-ips", "none"]).code(2).stdout("");
    assert!(stderr(&assert).contains("found `none`, expected a number of NAT IPs"), "{}", stderr(&assert));
}

#[test]
fn bench_needs_a_gateway_and_a_load() {
    let scenario = path(&repository("scenarios/no-nat.yaml"));
    let assert = run(&["bench", &scenario, "-q"]).code(2).stdout("");
    assert!(stderr(&assert).contains("no Cloud NAT gateway"), "{}", stderr(&assert));
    let assert = run(&["bench", &path(&repository("scenarios/throughput.yaml")), "-q"]).code(2).stdout("");
    assert!(stderr(&assert).contains("no load"), "{}", stderr(&assert));
    let assert = run(&["bench", "--gateway", "nowhere"]).code(2).stdout("");
    assert!(stderr(&assert).contains("cloudrun-nat-router/cloudrun-nat-gateway"), "{}", stderr(&assert));
    run(&["bench", "--gateway", "cloudrun-nat-router/cloudrun-nat-gateway", "--tcp-time-wait", "30s"]).success();
}

#[test]
fn bench_does_not_judge_expectations_and_tells_what_a_setting_will_hurt() {
    let folder = folder();
    let text = fs::read_to_string(repository("scenarios/direct-vpc.yaml")).expect("readable");
    let text = format!("{text}expect: [{{path: connections.failed, equals: -1}}]\n");
    let bench = |more: &[&str]| {
        egressim(folder.path())
            .args(["bench", "-", "--dynamic", "32-64", "--tcp-time-wait", "10s"])
            .args(more)
            .write_stdin(text.clone())
            .assert()
            .success()
    };
    let loud = bench(&[]);
    assert!(stderr(&loud).contains("warning[short-time-wait]"), "{}", stderr(&loud));
    let quiet = bench(&["-q"]).stderr("");
    assert_eq!(stdout(&loud), stdout(&quiet));
}

// check and schema

#[test]
fn check_is_0_for_what_works_1_for_what_google_rejects_and_2_for_what_cannot_be_read() {
    let folder = folder();
    let check = |text: &str| egressim(folder.path()).args(["check", "-"]).write_stdin(text.to_owned()).assert();
    check(SMALL).success().stdout("no errors, no warnings\n");
    let built_in = stdout(&run(&["check"]).success());
    assert!(built_in.contains("warning[growth-too-slow]") && built_in.ends_with("0 errors, 1 warning\n"), "{built_in}");

    let rejected = check(REJECTED).code(1);
    assert!(stdout(&rejected).contains("error[not-a-power-of-two]"), "{}", stdout(&rejected));
    assert!(stdout(&rejected).contains("--> <stdin>:7:"), "{}", stdout(&rejected));

    let typo = check("netwroks: []\n").code(2);
    let text = stdout(&typo);
    assert!(text.contains("error[unknown-field]") && text.contains("--> <stdin>:1:1"), "{text}");
    assert!(text.contains("networks"), "the nearest name is told: {text}");
}

#[test]
fn check_warns_of_what_will_hurt_and_that_is_status_0() {
    let scenario = path(&repository("scenarios/no-nat.yaml"));
    let assert = run(&["check", &scenario]).success();
    let text = stdout(&assert);
    assert!(text.contains("warning[no-cloud-nat]") && text.ends_with("0 errors, 1 warning\n"), "{text}");
    let document = json(&run(&["check", &scenario, "--format", "json"]).success());
    assert_eq!(document["findings"][0]["severity"], "warning");
    assert_eq!(document["name"], "no-nat");
}

#[test]
fn what_check_prints_as_json_is_a_scenario_that_runs_alike() {
    let folder = folder();
    let merged = stdout(&run(&["check", "--format", "json"]).success());
    let again = egressim(folder.path()).args(["run", "-", "--format", "json"]).write_stdin(merged).assert().success();
    assert_eq!(json(&again), json(&run(&["run", "--format", "json"]).success()));
}

#[test]
fn what_google_rejects_cannot_be_run() {
    let folder = folder();
    for command in [vec!["run", "-"], vec!["bench", "-"], vec!["trace", "-", "--to", "1.2.3.4"]] {
        let assert = egressim(folder.path()).args(command).write_stdin(REJECTED).assert().code(2).stdout("");
        assert!(stderr(&assert).contains("error[not-a-power-of-two]"), "{}", stderr(&assert));
    }
}

#[test]
fn the_schema_is_a_json_schema() {
    let schema = json(&run(&["schema"]).success().stderr(""));
    assert!(schema["$schema"].as_str().is_some_and(|url| url.contains("json-schema.org")));
    for key in ["networks", "routers", "services", "traffic", "expect"] {
        assert!(schema["properties"][key].is_object(), "{key}");
    }
}

// Usage and output

#[test]
fn unknown_commands_and_flags_are_status_2() {
    for arguments in [&["runn"][..], &["run", "--frmat", "json"], &["run", "--format", "xml"], &["replay"], &[]] {
        let assert = run(arguments).code(2).stdout("");
        let text = stderr(&assert);
        assert!(text.contains("Usage: egressim") || text.contains("try '--help'"), "{arguments:?}: {text}");
    }
}

#[test]
fn a_missing_file_is_named_and_is_status_2() {
    for arguments in [
        &["run", "nowhere.yaml"][..],
        &["trace", "nowhere.yaml", "--to", "1.2.3.4"],
        &["bench", "nowhere.yaml"],
        &["replay", "nowhere.yaml"],
        &["replay", "-", "--scenario", "nowhere.yaml"],
    ] {
        let assert = run(arguments).code(2).stdout("");
        assert!(stderr(&assert).contains("nowhere.yaml"), "{arguments:?}: {}", stderr(&assert));
    }
    let assert = run(&["check", "nowhere.yaml"]).code(2);
    assert!(stdout(&assert).contains("nowhere.yaml"), "{}", stdout(&assert));
}

#[test]
fn whoever_closes_the_pipe_early_has_seen_enough() {
    let folder = folder();
    for arguments in [
        &["run"][..],
        &["run", "--format", "json"],
        &["schema"],
        &["trace", "--to", "partner-api"],
        &["check"],
        &["bench", "--nat-ips", "1"],
    ] {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_egressim"))
            .args(arguments)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        drop(child.stdout.take());
        let mut text = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut text).expect("UTF-8");
        let status = child.wait().expect("it ends");
        assert_eq!((status.code(), text.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn out_that_is_a_file_is_status_2_and_nothing_is_left() {
    let folder = folder();
    fs::write(folder.path().join("taken"), "mine").expect("writable");
    for (command, out) in [("run", "taken"), ("run", "taken/below"), ("bench", "taken")] {
        let assert = egressim(folder.path()).args([command, "--out", out]).assert().code(2).stdout("");
        assert!(stderr(&assert).contains("taken"), "{}", stderr(&assert));
        assert_eq!(files(folder.path()), [("taken".to_owned(), b"mine".to_vec())]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_is_status_2() {
    let assert = run(&["replay", &web(), "--write", "/dev/full"]).code(2).stdout("");
    let text = stderr(&assert);
    assert!(text.starts_with("error: ") && text.contains("/dev/full"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn a_result_that_cannot_be_written_to_a_file_leaves_no_file() {
    let folder = folder();
    let web = web();
    let assert = egressim(folder.path()).args(["replay", &web, "--write", "no/such/folder.pcap"]).assert().code(2);
    assert!(stderr(&assert).contains("no/such/folder.pcap"), "{}", stderr(&assert));
    assert_eq!(files(folder.path()), []);
}

#[test]
fn colours_are_for_terminals_and_for_those_who_ask() {
    let coloured = |arguments: &[&str], variable: Option<&str>| {
        let folder = folder();
        let mut command = egressim(folder.path());
        if let Some(value) = variable {
            command.env("NO_COLOR", value);
        }
        stdout(&command.args(arguments).assert().success()).contains('\x1b')
    };
    assert!(!coloured(&["run"], None), "a pipe is no terminal");
    assert!(coloured(&["run", "--color", "always"], None));
    assert!(coloured(&["run", "--color", "always"], Some("1")), "what was asked for wins over the environment");
    assert!(!coloured(&["run", "--color", "never"], None));
    assert!(!coloured(&["run"], Some("1")));
    assert!(!coloured(&["run", "--format", "json", "--color", "always"], None), "JSON has no colours");
}

#[test]
fn quiet_leaves_the_result_only() {
    let scenario = path(&repository("scenarios/no-nat.yaml"));
    let loud = run(&["run", &scenario]).success();
    assert!(stderr(&loud).contains("warning[no-cloud-nat]"), "{}", stderr(&loud));
    let quiet = run(&["run", &scenario, "-q"]).success().stderr("");
    assert_eq!(stdout(&loud), stdout(&quiet));
}

#[test]
fn help_and_version_are_results() {
    for command in ["run", "replay", "trace", "bench", "check", "schema"] {
        let assert = run(&[command, "--help"]).success().stderr("");
        assert!(stdout(&assert).contains("Usage: egressim"), "{}", stdout(&assert));
    }
    let assert = run(&["--version"]).success().stderr("");
    assert_eq!(stdout(&assert), format!("egressim {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_replay_records_each_captured_connection_and_its_syns() {
    let folder = folder();
    let (capture, scenario) = (repository("pcaps/retries/input.pcap"), repository("pcaps/retries/scenario.yaml"));
    let out = folder.path().join("out");
    run(&["replay", &path(&capture), "--scenario", &path(&scenario), "--out", &path(&out)]).code(0);
    let lines = json_lines(&out.join("connections.jsonl"));
    let failed: Vec<_> = lines.iter().filter(|line| line["outcome"] == "failed").collect();
    // Five connections to the black hole with 10, 9, 8, 7 and 6 retries, and six that succeed at the first SYN.
    let syns: u64 = failed.iter().map(|line| line["attempts"].as_u64().unwrap()).sum();
    assert_eq!((lines.len(), failed.len(), syns), (11, 5, 11 + 10 + 9 + 8 + 7));
    assert!(failed.iter().all(|line| line["cause"] == "SIM_HOST_UNREACHABLE" && line["established"].is_null()));
    assert!(lines.iter().all(|line| line["traffic"].is_null() && line["outside"]["srcIp"] == "203.0.113.10"));
}
