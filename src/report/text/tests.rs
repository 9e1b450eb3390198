use super::*;
use crate::report::summary::{
    Connections, EndpointSummary, Exhaustion, GatewaySummary, Packets, PortsSummary, TrafficSummary,
};

fn counts(entries: &[(&str, u64)]) -> BTreeMap<String, u64> {
    entries.iter().map(|(cause, count)| ((*cause).to_owned(), *count)).collect()
}

fn written(summary: &Summary) -> String {
    let mut out = Vec::new();
    write_summary(&mut out, summary, TextStyle::plain()).expect("a vector takes everything");
    String::from_utf8(out).expect("the text is UTF-8")
}

fn load(name: &str, to: &str, attempted: u64, established: u64, failed_by: &[(&str, u64)]) -> TrafficSummary {
    TrafficSummary {
        name: name.into(),
        from: "my-api-service".into(),
        to: to.into(),
        attempted,
        established,
        failed: failed_by.iter().map(|(_, count)| count).sum(),
        pending: attempted - established - failed_by.iter().map(|(_, count)| count).sum::<u64>(),
        failed_by: counts(failed_by),
        ..TrafficSummary::default()
    }
}

fn endpoint(number: u32, ranges: &[&str], peak_port_usage: u32, dropped: u64) -> EndpointSummary {
    let ports = 512 << (ranges.len() - 1);
    EndpointSummary {
        name: format!("cloudrun-connector-vm-{number}"),
        address: format!("10.8.0.{}", number + 1),
        ports: PortsSummary {
            nat_ip_port_ranges: ranges.iter().map(|&range| range.to_owned()).collect(),
            allocated_ports: ports,
            peak_allocated_ports: ports,
            peak_port_usage,
        },
        rule_mappings: vec![],
        dropped_sent_packets: dropped,
        ..EndpointSummary::default()
    }
}

fn exhaustion(from: &str, to: &str, endpoint: &str, limit: &str) -> Exhaustion {
    Exhaustion {
        rule_number: None,
        from: from.into(),
        to: to.into(),
        endpoint: endpoint.into(),
        destination: "198.51.100.7:443/tcp".into(),
        limit: limit.into(),
        allocated_ports: 512,
        open: 180,
        time_wait: 332,
        dropped: 17,
    }
}

fn met(path: &str, expected: &str) -> ExpectationResult {
    ExpectationResult { path: path.into(), expected: expected.into(), met: true, ..ExpectationResult::default() }
}

/// The built-in scenario: a burst to one partner runs two connector VMs out of ports.
fn guide() -> Summary {
    Summary {
        scenario: "cloud-run-nat-guide".into(),
        seed: 1,
        duration: "60s".into(),
        packets: Packets {
            sent: 148_213,
            delivered: 147_119,
            dropped: 1_091,
            in_flight: 3,
            duplicated: 0,
            dropped_by: counts(&[("OUT_OF_RESOURCES", 1_079), ("SIM_UNSOLICITED", 12)]),
        },
        connections: Connections {
            attempted: 13_812,
            established: 13_490,
            failed: 318,
            pending: 4,
            broken: 0,
            failed_by: counts(&[("OUT_OF_RESOURCES", 318)]),
            connect_time_ms: Quantiles { p50: 41.2, p90: 41.9, p99: 1_041.3, max: 7_042.8 },
        },
        traffic: vec![
            load("payments", "partner-api:443", 12_012, 11_690, &[("OUT_OF_RESOURCES", 318)]),
            load("geocoding", "maps:443", 1_800, 1_800, &[]),
        ],
        gateways: vec![GatewaySummary {
            name: "cloudrun-nat-gateway".into(),
            router: "cloudrun-nat-router".into(),
            nat_ips: vec!["203.0.113.10".into()],
            dropped_sent_packets: counts(&[("OUT_OF_RESOURCES", 1_079), ("ENDPOINT_INDEPENDENCE_CONFLICT", 0)]),
            dropped_received_packets: 12,
            endpoints: vec![
                endpoint(1, &["203.0.113.10:1024-1535"], 512, 702),
                endpoint(2, &["203.0.113.10:1536-2047", "203.0.113.10:2048-2559"], 611, 377),
            ],
            exhaustions: vec![
                exhaustion("12.4s", "31.0s", "cloudrun-connector-vm-1", "vm-ports"),
                Exhaustion {
                    open: 512,
                    time_wait: 0,
                    ..exhaustion("14.0s", "20.9s", "cloudrun-connector-vm-2", "growth-pending")
                },
            ],
            ..GatewaySummary::default()
        }],
        connectors: vec![ConnectorSummary { name: "cloudrun-connector".into(), instances: 2 }],
        expectations: vec![
            met("packets.droppedBy.OUT_OF_RESOURCES", "at least 1"),
            ExpectationResult {
                path: "traffic.geocoding.failed".into(),
                expected: "equals 1".into(),
                actual: 0.into(),
                ..ExpectationResult::default()
            },
        ],
        ..Summary::default()
    }
}

#[test]
fn a_burst_that_runs_out_of_ports() {
    insta::assert_snapshot!(written(&guide()), @r"
    cloud-run-nat-guide: 60s simulated, seed 1
    Packets      148,213 sent: 147,119 delivered, 1,091 dropped, 3 on their way at the end
    Connections  13,812 attempted: 13,490 established, 318 failed, 4 still trying at the end
                 connect time 41 ms median, 42 ms p90, 1,041 ms p99, 7,043 ms at most
    Connector    cloudrun-connector with 2 instances

    Traffic from my-api-service      attempted  established  failed  pending
      payments   to partner-api:443     12,012       11,690     318        4  OUT_OF_RESOURCES
      geocoding  to maps:443             1,800        1,800       0        0

    Gateway cloudrun-nat-gateway (router cloudrun-nat-router): NAT IP 203.0.113.10
      dropped 1,079 outbound (OUT_OF_RESOURCES) and 12 inbound without a mapping
      cloudrun-connector-vm-1 10.8.0.2  203.0.113.10:1024-1535            512 ports, peak use 512
      cloudrun-connector-vm-2 10.8.0.3  203.0.113.10:1536-2047 + 1 block  1,024 ports, peak use 611
      ✗ 12.4 s to 31.0 s: cloudrun-connector-vm-1 had no free port for 198.51.100.7:443/tcp (512 of
        512 taken: 180 open, 332 in TIME_WAIT): it had reached its own maximum; 17 packets dropped
      ✗ 14.0 s to 20.9 s: cloudrun-connector-vm-2 had no free port for 198.51.100.7:443/tcp yet (512
        of 512 taken: all open): dynamic port allocation was still catching up; 17 packets dropped

    Causes
      OUT_OF_RESOURCES (1,079 packets, 318 connections): Cloud NAT had no free source port for this
        destination; what helps is more ports per VM, more NAT IPs, a shorter TIME_WAIT or
        longer-lived connections
      SIM_UNSOLICITED (12 packets): nobody inside had asked for it; harmless as a rule: a scanner, or
        a server that spoke first

    Expectations: 1 of 2 met
      ✗ traffic.geocoding.failed equals 1: it is 0
      ✓ packets.droppedBy.OUT_OF_RESOURCES at least 1
    ");
}

#[test]
fn a_quiet_run_is_a_few_lines() {
    let quiet = Summary {
        scenario: "private-ranges-only".into(),
        seed: 7,
        duration: "10s".into(),
        packets: Packets { sent: 8, delivered: 8, ..Packets::default() },
        connections: Connections {
            attempted: 1,
            established: 1,
            connect_time_ms: Quantiles { p50: 2.04, p90: 2.04, p99: 2.04, max: 2.04 },
            ..Connections::default()
        },
        traffic: vec![load("orders", "db:5432", 1, 1, &[])],
        ..Summary::default()
    };
    insta::assert_snapshot!(written(&quiet), @r"
    private-ranges-only: 10s simulated, seed 7
    Packets      8 sent, all delivered
    Connections  1 attempted and established
                 connect time 2.0 ms

    Traffic from my-api-service  attempted  established
      orders  to db:5432                 1            1
    ");
}

/// 60 Direct VPC instances on one NAT IP, everything wrong at once.
fn disaster() -> Summary {
    let mut summary = guide();
    summary.scenario = "black-friday".into();
    summary.duration = "600s".into();
    summary.connections.broken = 21;
    summary.connections.failed_by = counts(&[
        ("OUT_OF_RESOURCES", 318),
        ("SIM_IDLE_EXPIRED", 21),
        ("FIREWALL_RULE", 240),
        ("NO_EXTERNAL_ADDRESS", 1),
        ("SIM_NEW", 2),
        ("SIM_EGRESS_NOT_OPEN", 7),
    ]);
    summary.traffic = (1..=9)
        .map(|i| {
            load(
                &format!("load-{i}"),
                "partner-api:443",
                1_000 * i,
                990 * i,
                &[("OUT_OF_RESOURCES", 9 * i), ("NO_ROUTE", i)],
            )
        })
        .collect();
    summary.traffic[2].broken = 21;
    summary.connectors.clear();
    let gateway = &mut summary.gateways[0];
    gateway.allocation_failed = true;
    gateway.min_extra_nat_ips_needed = 1;
    gateway.nat_ips = (1..=5).map(|i| format!("203.0.113.{i}")).collect();
    gateway.endpoints = (1..=60).map(|i| endpoint(i, &["203.0.113.1:1024-1535"], i, 0)).collect();
    gateway.endpoints[10].ports.nat_ip_port_ranges.clear();
    gateway.endpoints[10].ports.allocated_ports = 0;
    gateway.endpoints[10].dropped_sent_packets = 40;
    gateway.endpoints[11].held = true;
    gateway.endpoints[11].dropped_sent_packets = 3;
    gateway.exhaustions = (1..=60)
        .map(|i| Exhaustion {
            dropped: i,
            ..exhaustion("100.0s", "100.0s", &format!("cloudrun-connector-vm-{}", i % 20), "vm-ports")
        })
        .collect();
    gateway.exhaustions.push(Exhaustion {
        allocated_ports: 0,
        open: 0,
        time_wait: 0,
        dropped: 2_400,
        ..exhaustion("310.2s", "599.9s", "cloudrun-connector-vm-11", "gateway-ips")
    });
    gateway.exhaustions.push(Exhaustion {
        dropped: 2_000,
        open: 0,
        time_wait: 512,
        ..exhaustion("400.0s", "599.9s", "cloudrun-connector-vm-12", "gateway-ips")
    });
    let mut spare = GatewaySummary {
        name: "spare-gateway".into(),
        router: "cloudrun-nat-router".into(),
        ..GatewaySummary::default()
    };
    summary.gateways.push(spare.clone());
    spare.name = "other-gateway".into();
    summary.gateways.push(spare);
    summary.subnetworks = vec![SubnetworkSummary {
        name: "cloudrun-direct-subnet".into(),
        held_addresses: 59,
        peak_held_addresses: 60,
        reserved_blocks: 4,
        peak_reserved_blocks: 4,
        failed_instance_starts: 1,
    }];
    summary.expectations = (1..=10).map(|i| met(&format!("traffic.load-{i}.failed"), "at most 10")).collect();
    summary.expectations.push(ExpectationResult {
        path: "connections.faild".into(),
        expected: "equals 0".into(),
        note: Some("there is no \"faild\", did you mean \"failed\"?".into()),
        ..ExpectationResult::default()
    });
    summary
}

#[test]
fn a_disaster_still_fits_a_screen_or_so() {
    insta::assert_snapshot!(written(&disaster()), @r#"
    black-friday: 600s simulated, seed 1
    Packets      148,213 sent: 147,119 delivered, 1,091 dropped, 3 on their way at the end
    Connections  13,812 attempted: 13,490 established, 318 failed, 4 still trying at the end; 21 broke
                 later
                 connect time 41 ms median, 42 ms p90, 1,041 ms p99, 7,043 ms at most

    Traffic from my-api-service   attempted  established  failed  broken
      load-3  to partner-api:443      3,000        2,970      30      21  mostly OUT_OF_RESOURCES
      load-6  to partner-api:443      6,000        5,940      60       0  mostly OUT_OF_RESOURCES
      load-7  to partner-api:443      7,000        6,930      70       0  mostly OUT_OF_RESOURCES
      load-8  to partner-api:443      8,000        7,920      80       0  mostly OUT_OF_RESOURCES
      load-9  to partner-api:443      9,000        8,910      90       0  mostly OUT_OF_RESOURCES
      … and 4 more loads in --format json

    Gateway cloudrun-nat-gateway (router cloudrun-nat-router): NAT IPs 203.0.113.1, 203.0.113.2 and 3
        more
      ✗ not every endpoint got its ports: it takes 1 more NAT IP or fewer ports a VM
      dropped 1,079 outbound (OUT_OF_RESOURCES) and 12 inbound without a mapping
      cloudrun-connector-vm-11 10.8.0.12         -                      no ports (peak 512), peak use 11
      cloudrun-connector-vm-12 10.8.0.13 (held)  203.0.113.1:1024-1535  512 ports, peak use 12
      cloudrun-connector-vm-60 10.8.0.61         203.0.113.1:1024-1535  512 ports, peak use 60
      … and 57 more endpoints in --format json
      ✗ at 100.0 s, 3 times: cloudrun-connector-vm-0 had no free port for 198.51.100.7:443/tcp (512 of
        512 taken at first: 180 open, 332 in TIME_WAIT): it had reached its own maximum; 120 packets
        dropped
      ✗ 310.2 s to 599.9 s: cloudrun-connector-vm-11 had no port at all for 198.51.100.7:443/tcp: the
        NAT IPs have no free block; 2,400 packets dropped
      ✗ 400.0 s to 599.9 s: cloudrun-connector-vm-12 had no free port for 198.51.100.7:443/tcp (512 of
        512 taken: all in TIME_WAIT) and could not get more: the NAT IPs have no free block; 2,000
        packets dropped
      … and 19 more shortages in --format json

    Gateways without endpoints: spare-gateway and other-gateway

    Subnets without room
      ✗ cloudrun-direct-subnet: 1 instance did not start for lack of addresses; 60 addresses held at
        the peak, 59 at the end

    Causes
      OUT_OF_RESOURCES (1,079 packets, 318 connections): Cloud NAT had no free source port for this
        destination; what helps is more ports per VM, more NAT IPs, a shorter TIME_WAIT or
        longer-lived connections
      FIREWALL_RULE (240 connections): a VPC firewall rule denies it; `egressim trace` names the rule,
        or the implied one
      SIM_IDLE_EXPIRED (21 connections): its connection had been idle for too long and was forgotten;
        send keepalives more often, or raise the idle timeout
      … and 4 more causes in --format json

    Expectations: 10 of 11 met
      ✗ connections.faild equals 0: there is no "faild", did you mean "failed"?
    "#);
}

#[test]
fn no_line_is_wider_than_a_hundred_columns() {
    for summary in [guide(), disaster()] {
        let text = written(&summary);
        let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 100).collect();
        assert!(wide.is_empty(), "{wide:#?}");
    }
}

#[test]
fn a_replay_says_what_became_of_its_captures() {
    let file = |path: &str, records| CaptureFileSummary { path: path.into(), records, ..CaptureFileSummary::default() };
    let replay = Summary {
        scenario: "cloud-run-nat-guide".into(),
        seed: 1,
        duration: "12.4s".into(),
        packets: Packets {
            sent: 1_200,
            delivered: 1_199,
            dropped: 1,
            dropped_by: counts(&[("SIM_IDLE_EXPIRED", 1)]),
            ..Packets::default()
        },
        captures: Some(CaptureSummary {
            files: vec![
                CaptureFileSummary {
                    oddities: counts(&[("timestamps that go back", 2)]),
                    ..file("monday.pcap", 1_000)
                },
                CaptureFileSummary {
                    damage: Some("cut off at byte 48,213: the header promises 1,514 bytes, 60 are left".into()),
                    ..file("tuesday.pcapng", 241)
                },
                file("wednesday.pcap", 1),
            ],
            skipped: counts(&[("ARP", 30), ("IPv6 neighbour discovery", 12)]),
            clients: 1,
            flows: 34,
            above_mtu: 12,
        }),
        ..Summary::default()
    };
    insta::assert_snapshot!(written(&replay), @r"
    cloud-run-nat-guide: 12.4s simulated, seed 1
    Packets      1,200 sent: 1,199 delivered, 1 dropped
    Captures     3 files: 1,242 records, 34 flows of 1 client; not replayed: 30 ARP and 12 IPv6
                 neighbour discovery
      · 12 packets of more than 1,460 bytes, Cloud Run's MTU: instances would send more and smaller
        ones
      ✗ tuesday.pcapng: cut off at byte 48,213: the header promises 1,514 bytes, 60 are left; the rest
        is lost
      · monday.pcap: tolerated 2 timestamps that go back

    Causes
      SIM_IDLE_EXPIRED (1 packet): its connection had been idle for too long and was forgotten; send
        keepalives more often, or raise the idle timeout
    ");
}

#[test]
fn shortages_of_one_endpoint_and_destination_are_told_together() {
    let mut summary = guide();
    summary.gateways[0].exhaustions = vec![
        exhaustion("9.9s", "10.1s", "vm-1", "vm-ports"),
        exhaustion("20.0s", "20.0s", "vm-2", "vm-ports"),
        exhaustion("100.0s", "101.0s", "vm-1", "vm-ports"),
    ];
    let text = written(&summary).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("✗ 9.9 s to 101.0 s, 2 times: vm-1 had no free port"), "{text}");
    assert!(text.contains("(512 of 512 taken at first: 180 open, 332 in TIME_WAIT)"), "{text}");
    assert!(text.contains("34 packets dropped"), "{text}");
    assert!(text.contains("✗ at 20.0 s: vm-2 had no free port"), "{text}");
}

#[test]
fn colours_add_nothing_but_escape_sequences() {
    let mut coloured = Vec::new();
    write_summary(&mut coloured, &guide(), TextStyle::coloured()).expect("a vector takes everything");
    assert!(coloured.contains(&0x1b));
    let stripped = anstream::adapter::strip_bytes(&coloured).into_vec();
    assert_eq!(String::from_utf8_lossy(&stripped), written(&guide()));
}

#[test]
fn full_tables_of_the_firewall_are_told_worst_first() {
    let table = |interface: &str, refused| FullTrackingTable {
        interface: interface.into(),
        network: "vpc".into(),
        tracked_max: 130_000,
        refused,
    };
    let mut summary = Summary { scenario: "full".into(), duration: "60s".into(), ..Summary::default() };
    assert!(!written(&summary).contains("Full tables"));
    summary.full_tracking_tables = (1..=4).map(|vm| table(&format!("vm-{vm}"), vm)).collect();
    let text = written(&summary);
    let at = text.find("Full tables of the firewall").expect("a heading");
    insta::assert_snapshot!(&text[at..], @"
    Full tables of the firewall
      ✗ vm-4 in vpc: 130,000 connections tracked, as many as it can; 4 packets of others dropped
      ✗ vm-3 in vpc: 130,000 connections tracked, as many as it can; 3 packets of others dropped
      ✗ vm-2 in vpc: 130,000 connections tracked, as many as it can; 2 packets of others dropped
      … and 1 more interface in --format json
    ");
}
