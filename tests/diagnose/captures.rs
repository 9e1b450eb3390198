//! Captured packets instead of a scenario's load.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use egressim::capture::PacketWriter;
use egressim::wire::{FiveTuple, Packet, Protocol, TcpSegment, tcp_flags};
use serde_json::{Value, json};

use crate::common::{egressim, repository};
use crate::{printed, remedy, shop};

/// A capture of clients that connect to these: address, port, how many, and whether they are answered.
fn capture(path: &Path, wanted: &[(Ipv4Addr, u16, u16, bool)]) {
    let mut writer = PacketWriter::create(path).unwrap();
    let mut time = 1_790_000_000_000_000_000;
    let mut src_port = 20_000;
    let mut write = |flow: FiveTuple, flags, ack| {
        let mut packet = Packet::empty();
        packet.build_tcp(flow, TcpSegment { flags, seq: 1, ack, payload: 0 });
        time += 1_000_000;
        writer.write(time, packet.bytes(), packet.bytes().len() as u32).unwrap();
    };
    for &(dst, dst_port, count, answered) in wanted {
        for _ in 0..count {
            src_port += 1;
            let src = Ipv4Addr::new(10, 0, 0, 5);
            let flow = FiveTuple { src, dst, src_port, dst_port, protocol: Protocol::Tcp };
            write(flow, tcp_flags::SYN, 0);
            if answered {
                write(flow.reversed(), tcp_flags::SYN | tcp_flags::ACK, 2);
                write(flow, tcp_flags::ACK, 2);
            }
        }
    }
    writer.finish().unwrap();
}

/// What the program prints when this comes by standard input, and its exit status.
fn printed_of_input(folder: &Path, arguments: &[&str], input: Vec<u8>) -> (String, String, i32) {
    let run = egressim(folder).arg("diagnose").args(arguments).write_stdin(input).assert();
    let output = run.get_output();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code().expect("it exits"))
}

/// Kind, place and failures of each cause.
fn causes(diagnosis: &Value) -> Vec<(&str, &str, u64)> {
    let all = diagnosis["causes"].as_array().expect("a list").iter();
    all.map(|it| (it["kind"].as_str().unwrap(), it["where"].as_str().unwrap(), it["failures"].as_u64().unwrap()))
        .collect()
}

#[test]
fn four_hundred_captured_connections_at_once_want_512_static_ports() {
    let folder = tempfile::tempdir().unwrap();
    let (scenario, capture) = (repository("pcaps/burst/scenario.yaml"), repository("pcaps/burst/input.pcap"));
    let (scenario, capture) = (scenario.to_str().unwrap(), capture.to_str().unwrap());
    let (diagnosis, status) = printed(folder.path(), &[scenario, "--capture", capture]);
    assert_eq!((status, diagnosis["attempted"].as_u64()), (1, Some(400)));
    let cause = &diagnosis["causes"][0];
    assert_eq!((&cause["kind"], &cause["failures"]), (&json!("vm-ports"), &json!(400 - 64)));
    assert_eq!(cause["evidence"]["ports"], json!({"allocatedPorts": 64, "open": 64, "timeWait": 0}));
    // All 400 are open at once and go to one endpoint, so each wants a port of its own (ports are counted for each destination
    // address, port and protocol). None has been closed before, so none is in TIME_WAIT: the smallest sufficient number is 400.
    // Ports are set aside in blocks of 64 and, in a scenario as in Google's advice, by powers of two: 128 and 256 are fewer than
    // 400 and leave 400 - 128 = 272 and 400 - 256 = 144 without, 512 are enough.
    let first = &cause["remedies"][0];
    assert_eq!((&first["change"], &first["sufficient"]), (&json!("minPortsPerVm: 64 -> 512"), &json!(true)));
    let left: Vec<_> = first["tried"].as_array().unwrap().iter().map(|tried| tried["failuresAfter"].clone()).collect();
    assert_eq!(left, [272, 144, 0]);
    assert_eq!(remedy(cause, "natIps: 1 -> 2")["failuresAfter"], 400 - 64);
    // A capture is what it is: nothing of its clients can be changed.
    let patches = cause["remedies"].as_array().unwrap().iter().map(|remedy| remedy["patch"].to_string());
    assert!(patches.into_iter().all(|patch| !patch.contains("/traffic/")));
}

#[test]
fn captured_destinations_are_told_apart_where_each_has_its_own_cause() {
    let folder = tempfile::tempdir().unwrap();
    let server = |last| Ipv4Addr::new(198, 51, 100, last);
    capture(
        &folder.path().join("in.pcap"),
        &[(server(7), 443, 3, true), (server(8), 443, 4, true), (server(9), 8443, 2, true), (server(9), 443, 3, true)],
    );
    let rule = "firewalls: [{name: no, network: vpc, direction: EGRESS, destinationRanges: [198.51.100.8/31], \
                denied: [{IPProtocol: all}]}]";
    fs::write(folder.path().join("shop.yaml"), shop("minPortsPerVm: 64", "count: 1", rule)).unwrap();
    let (diagnosis, status) = printed(folder.path(), &["shop.yaml", "--capture", "in.pcap"]);
    assert_eq!((status, diagnosis["failed"].as_u64()), (1, Some(4 + 3 + 2)));
    // 198.51.100.8/31 is .8 and .9; the partner's .7 is let through.
    assert_eq!(
        causes(&diagnosis),
        [
            ("firewall", "198.51.100.8:443/tcp", 4),
            ("firewall", "198.51.100.9:443/tcp", 3),
            ("firewall", "198.51.100.9:8443/tcp", 2)
        ]
    );
    // A rule for each ends what it is for, and no more.
    for (cause, allowed) in
        [(0, "tcp:443 to 198.51.100.8/32"), (1, "tcp:443 to 198.51.100.9/32"), (2, "tcp:8443 to 198.51.100.9/32")]
    {
        let cause = &diagnosis["causes"][cause];
        let allow = remedy(cause, &format!("a firewall rule of priority 999 that allows egress {allowed}"));
        assert_eq!(
            (&allow["sufficient"], &allow["failuresAfter"]),
            (&json!(true), &json!(9 - cause["failures"].as_u64().unwrap()))
        );
    }
}

#[test]
fn a_port_scan_is_not_told_address_by_address() {
    let folder = tempfile::tempdir().unwrap();
    let scan: Vec<_> =
        (0..500).map(|at: u16| (Ipv4Addr::new(198, 18, (at >> 8) as u8, at as u8), 443, 1, true)).collect();
    capture(&folder.path().join("in.pcap"), &scan);
    let rule = "firewalls: [{name: no, network: vpc, direction: EGRESS, denied: [{IPProtocol: all}]}]";
    fs::write(folder.path().join("shop.yaml"), shop("minPortsPerVm: 1024", "count: 1", rule)).unwrap();
    let (diagnosis, status) = printed(folder.path(), &["shop.yaml", "--capture", "in.pcap"]);
    assert_eq!((status, diagnosis["failed"].as_u64()), (1, Some(500)));
    // 200 of them, and the others together, who are the most.
    let causes = causes(&diagnosis);
    assert_eq!((causes.len(), causes[0]), (201, ("firewall", "vpc firewall", 300)));
    // Five causes with three remedies each, of which two are the same: no rule, and not into the network at all; the first run.
    assert_eq!(diagnosis["simulations"], 5 + 2 + 1);
}

#[test]
fn a_capture_that_can_be_read_only_once_is_diagnosed_like_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let (scenario, capture) = (repository("pcaps/burst/scenario.yaml"), repository("pcaps/burst/input.pcap"));
    let scenario = scenario.to_str().unwrap();
    let bytes = fs::read(&capture).unwrap();
    let by_file = printed(folder.path(), &[scenario, "--capture", capture.to_str().unwrap()]).0;
    let (out, told, status) =
        printed_of_input(folder.path(), &[scenario, "--capture", "-", "--format", "json", "-q"], bytes.clone());
    assert_eq!((status, told.as_str()), (1, ""));
    let by_input: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(by_input["causes"], by_file["causes"]);
    assert_eq!(by_input["summary"]["captures"]["files"][0]["path"], "-");

    // Not twice, not the scenario as well, and not nothing.
    for arguments in
        [&["-", "--capture", "-"][..], &[scenario, "--capture", "-", "--capture", "-"], &["-", "--nat-logs", "-"]]
    {
        let (out, told, status) = printed_of_input(folder.path(), arguments, bytes.clone());
        assert_eq!((status, out.as_str()), (2, ""));
        assert!(told.contains("standard input (-) is named more than once"), "{told}");
    }
    let (_, told, status) = printed_of_input(folder.path(), &[scenario, "--capture", "-"], Vec::new());
    assert!(status == 2 && told.contains("capture - is empty"), "{told}");
}
