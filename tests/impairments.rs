//! What goes wrong on links and at hosts, seen from the connections; the figures follow from what was set.

mod common;

use std::ops::ControlFlow;

use common::{assert_sums, scenario};
use egressim::report::summary::Summary;
use egressim::simulation;

const HOUSE: &str = "\
networks: [{name: vpc}]
subnetworks: [{name: apps, network: vpc, region: us-central1, ipCidrRange: 10.9.0.0/24}]
connectors: [{name: conn, region: us-central1, network: vpc, ipCidrRange: 10.8.0.0/28}]
firewalls: [{name: in, network: vpc, sourceRanges: [10.0.0.0/8], allowed: [{IPProtocol: all}]}]
addresses: [{name: ip, region: us-central1, address: 203.0.113.10}]
routers:
- name: router
  network: vpc
  region: us-central1
  nats:
  - {name: gw, natIpAllocateOption: MANUAL_ONLY, natIps: [ip], sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES, minPortsPerVm: 8192}
routes:
- {name: office, network: vpc, destRange: 172.16.0.0/12, nextHopVpnTunnel: tunnel}
services:
- name: direct
  region: us-central1
  template: {vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: apps}], egress: ALL_TRAFFIC}}
- {name: behind, region: us-central1, template: {vpcAccess: {connector: conn}}}
";

/// Runs the house with a partner of these fields.
fn run(partner: &str, rest: &str) -> Summary {
    let text = format!(
        "{HOUSE}hosts:
- {{name: partner, address: 198.51.100.7, rtt: 20ms{partner}}}
- {{name: db, address: 10.9.0.200, location: vpc, network: vpc, rtt: 1ms}}
- {{name: office, address: 172.16.0.9, location: on-prem, rtt: 10ms}}
{rest}"
    );
    let summary =
        simulation::run(&scenario(&text), None, &mut |_| ControlFlow::Continue(())).expect("nothing is written");
    assert_sums(&serde_json::to_value(&summary).expect("plain data"));
    summary
}

/// Ten connections at once with these fields.
fn ten(partner: &str, fields: &str) -> Summary {
    run(partner, &format!("traffic: [{{from: direct, to: 'partner:443', count: 10, {fields}}}]"))
}

fn by(counts: &std::collections::BTreeMap<String, u64>) -> Vec<(&str, u64)> {
    counts.iter().map(|(cause, count)| (cause.as_str(), *count)).collect()
}

#[test]
fn what_is_out_of_service_fails_for_that_time_in_its_own_words() {
    for (place, from, to, cause) in [
        ("host: partner", "direct", "partner", "SIM_HOST_UNREACHABLE"),
        ("connector: conn", "behind", "db", "VPC_CONNECTOR_NOT_RUNNING"),
        ("workload: direct", "direct", "db", "SIM_LINK_DOWN"),
        ("vpnTunnel: tunnel", "direct", "office", "ROUTE_NEXT_HOP_VPN_TUNNEL_NOT_ESTABLISHED"),
    ] {
        let summary = run(
            "",
            &format!(
                "duration: 30s
traffic: [{{from: {from}, to: '{to}:443', rate: 10/s, arrivals: constant, start: 50ms, lifetime: 20ms, connectTimeout: 1s}}]
events: [{{at: 10s, outage: {{{place}, for: 5s}}}}]"
            ),
        );
        // Ten a second, those from 10.05 to 14.95 s; each SYN is at its place within some milliseconds.
        assert_eq!((summary.connections.attempted, summary.connections.established), (300, 250), "{place}");
        assert_eq!(by(&summary.connections.failed_by), [(cause, 50)], "{place}");
    }
}

#[test]
fn a_tunnel_that_an_event_takes_down_during_its_outage_stays_down_afterwards() {
    let summary = run(
        "",
        "duration: 30s
traffic: [{from: direct, to: 'office:443', rate: 10/s, arrivals: constant, lifetime: 20ms, connectTimeout: 1s}]
events:
- {at: 10s, outage: {vpnTunnel: tunnel, for: 10s}}
- {at: 12s, patchVpnTunnel: {tunnel: tunnel, set: {status: ESTABLISHED}}}
- {at: 15s, patchVpnTunnel: {tunnel: tunnel, set: {status: FAILED}}}
- {at: 25s, patchVpnTunnel: {tunnel: tunnel, set: {status: ESTABLISHED}}}",
    );
    assert_eq!(by(&summary.connections.failed_by), [("ROUTE_NEXT_HOP_VPN_TUNNEL_NOT_ESTABLISHED", 150)]);
}

#[test]
fn a_host_that_refuses_answers_every_syn_with_a_reset_until_it_serves_again() {
    let load = "rate: 10/s, arrivals: constant, lifetime: 20ms";
    let summary = run(
        "",
        &format!(
            "duration: 30s
traffic: [{{from: direct, to: 'partner:443', {load}}}]
events:
- {{at: 10s, patchHost: {{host: partner, set: {{refuse: true}}}}}}
- {{at: 20s, patchHost: {{host: partner, set: {{refuse: false}}}}}}"
        ),
    );
    assert_eq!(by(&summary.connections.failed_by), [("SIM_CONNECTION_REFUSED", 100)]);
    assert_eq!((summary.connections.established, summary.packets.dropped), (200, 0));
}

#[test]
fn a_host_that_hangs_takes_the_request_and_says_nothing() {
    let summary = ten(", hang: true", "lifetime: 500ms");
    // SYN, SYN-ACK, ACK; the request and its acknowledgement; FIN, FIN-ACK, ACK.
    assert_eq!((summary.connections.established, summary.packets.sent), (10, 80));
    let datagrams = ten(", hang: true", "protocol: udp, connectTimeout: 2s");
    assert_eq!(by(&datagrams.connections.failed_by), [("SIM_NO_ANSWER", 10)]);
}

#[test]
fn a_new_round_trip_time_counts_from_the_event_on() {
    let summary = run(
        "",
        "duration: 20s
traffic:
- {name: a, from: direct, to: 'partner:443', rate: 1/s, stop: 10s, lifetime: 20ms}
- {name: b, from: direct, to: 'partner:443', rate: 1/s, start: 11s, lifetime: 20ms}
events: [{at: 10.5s, patchHost: {host: partner, set: {rtt: 100ms}}}]",
    );
    let times = summary.connections.connect_time_ms;
    // 0.2 ms are Direct VPC egress' own.
    assert_eq!(times.max.round(), 100.0);
    assert!(times.p50 < 21.0 || times.p50 > 99.0, "one or the other: {times:?}");
}

#[test]
fn who_sends_packets_that_are_too_large_is_told_and_sends_smaller_ones() {
    // 4,096 bytes are segments of 1,420, 1,420 and 1,256: packets of 1,460, 1,460 and 1,296 bytes.
    for (sizes, who) in [("responseBytes: 4096", "server"), ("requestBytes: 4096, responseBytes: 100", "client")] {
        let summary = ten(", mtu: 1300", &format!("{sizes}, lifetime: 500ms"));
        assert_eq!(by(&summary.packets.dropped_by), [("SIM_MTU_EXCEEDED", 20)], "{who}");
        assert_eq!((summary.connections.established, summary.connections.broken), (10, 0), "{who}");
        // Stacks send what was lost again after their timeout of 200 ms, in time for the response.
        for ends in ["flow", "stack"] {
            let summary = ten(", mtu: 1300", &format!("{sizes}, requests: {{timeout: 1s}}, endpoints: {ends}"));
            assert_eq!(summary.requests.expect("the load has requests").succeeded, 10, "{who} {ends}");
            let dropped = by(&summary.packets.dropped_by);
            assert!(matches!(dropped[..], [("SIM_MTU_EXCEEDED", 10..=30)]), "{who} {ends} {dropped:?}");
        }
    }
}

#[test]
fn a_black_hole_ends_connections_after_all_retransmissions() {
    // Linux gives up after 15 retransmissions, here after 0.2 s · (2^10 - 1) + 6 · 120 s = 924.6 s. Two full segments, so that
    // nothing of the response arrives.
    let summary = run(
        "",
        "duration: 1000s
impairments: [{vpnTunnel: tunnel, mtu: 1400, icmpBlackHole: true}]
traffic: [{from: direct, to: 'office:443', count: 10, responseBytes: 2840, lifetime: 500ms}]",
    );
    assert_eq!((summary.connections.established, summary.connections.broken), (10, 10));
    assert_eq!(by(&summary.connections.failed_by), [("SIM_MTU_EXCEEDED", 10)]);
    // Two segments and 15 times two more.
    assert_eq!(by(&summary.packets.dropped_by), [("SIM_MTU_EXCEEDED", 10 * 2 * 16)]);
    // What is small enough does not notice.
    let small = ten(", mtu: 1400, icmpBlackHole: true", "responseBytes: 1360, lifetime: 500ms");
    assert_eq!((small.connections.broken, small.packets.dropped), (0, 0));
}

#[test]
fn copies_are_counted_as_sent_and_beside() {
    let summary = ten(", duplicate: 1", "protocol: udp, responseBytes: 100");
    // A request, its copy, one answer, its copy.
    let packets = &summary.packets;
    assert_eq!((packets.sent, packets.duplicated, packets.delivered), (40, 20, 40));
    assert_eq!((summary.connections.established, summary.connections.failed), (10, 0));
    let tcp = ten(", duplicate: 1", "lifetime: 500ms");
    assert_eq!((tcp.connections.established, tcp.connections.broken, tcp.packets.dropped), (10, 0, 0));
}

#[test]
fn a_full_queue_drops_what_comes_last() {
    // 1,000 bytes take 8 ms at 1 Mbps: the first is sent, the second waits 8 ms, the third would wait 16 ms.
    let load = "protocol: udp, requestBytes: 972, responseBytes: 100, connectTimeout: 2s";
    for queue in ["10ms", "2000"] {
        let summary = ten(&format!(", bandwidth: 1Mbps, queue: {queue}"), load);
        assert_eq!(summary.connections.established, 2, "{queue}");
        assert_eq!(by(&summary.connections.failed_by), [("SIM_THROUGHPUT_EXCEEDED", 8)], "{queue}");
    }
}

#[test]
fn uniform_jitter_stays_within_its_bounds_each_way() {
    let load = "from: direct, to: 'partner:443', rate: 2/s, lifetime: 20ms";
    let summary = run(", jitter: 5ms, jitterDistribution: uniform", &format!("duration: 1000s\ntraffic: [{{{load}}}]"));
    let times = summary.connections.connect_time_ms;
    // Two ways of 5 to 15 ms each, and 0.2 ms of Direct VPC egress: a triangle around 20.2 ms.
    assert!(times.max <= 30.3 && times.max > 28.0, "{times:?}");
    assert!((times.p50 - 20.2).abs() < 0.5, "{times:?}");
    // P(sum of two above x) = (10 - x)² / 200 for x above the mean: 10 % at 5.53 ms.
    assert!((times.p90 - 25.7).abs() < 0.5, "{times:?}");
}

#[test]
fn a_direction_is_impaired_by_itself() {
    for (direction, delivered) in [("outbound", 0), ("inbound", 10)] {
        let summary = run(
            "",
            &format!(
                "impairments: [{{host: partner, loss: 1, direction: {direction}}}]
traffic: [{{from: direct, to: 'partner:443', count: 10, connectTimeout: 900ms}}]"
            ),
        );
        // Ten SYNs, and what answers those that arrive.
        let packets = &summary.packets;
        assert_eq!((packets.sent, packets.delivered), (10 + delivered, delivered), "{direction}");
        assert_eq!(by(&summary.connections.failed_by), [("SIM_LINK_LOSS", 10)], "{direction}");
    }
}

#[test]
fn an_impairment_for_a_time_ends_with_it() {
    let summary = run(
        "",
        "duration: 30s
traffic: [{from: direct, to: 'office:443', rate: 10/s, arrivals: constant, lifetime: 20ms, connectTimeout: 1s}]
events: [{at: 10s, impair: {vpnTunnel: tunnel, direction: outbound, for: 5s, set: {loss: 1}}}]",
    );
    assert_eq!(by(&summary.connections.failed_by), [("SIM_LINK_LOSS", 50)]);
    assert_eq!(summary.connections.established, 250);
}

#[test]
fn instances_and_connector_vms_that_come_later_have_the_same_links() {
    let summary = run(
        "",
        "duration: 120s
impairments: [{workload: direct, loss: 1}, {connector: conn, loss: 1}]
traffic:
- {from: direct, to: 'db:443', rate: 5/s, start: 60s, stop: 110s, connectTimeout: 1s}
- {from: behind, to: 'db:443', rate: 5/s, start: 60s, stop: 110s, connectTimeout: 1s}
events:
- {at: 1s, scale: {workload: direct, instances: 4}}
- {at: 1s, maintain: {connector: conn}}",
    );
    assert!(summary.connections.attempted > 400);
    assert_eq!(by(&summary.connections.failed_by), [("SIM_LINK_LOSS", summary.connections.attempted)]);
}

#[test]
fn losses_in_bursts_fail_more_connections_than_as_many_losses_one_by_one() {
    let failed = |loss: &str| {
        let load =
            "from: direct, to: 'partner:443', rate: 40/s, arrivals: constant, lifetime: 20ms, connectTimeout: 2500ms";
        let summary = run(loss, &format!("duration: 300s\ntraffic: [{{{load}, stop: 290s}}]"));
        let lost = summary.packets.dropped_by["SIM_LINK_LOSS"] as f64 / summary.packets.sent as f64;
        assert!((lost - 0.04).abs() < 0.008, "{lost}");
        summary.connections.failed
    };
    // One by one: three SYNs or their answers, (1 - 0.96²)³ = 0.05 % of 11,600 or 6.
    let alone = failed(", loss: 0.04");
    assert!(alone < 20, "{alone}");
    // A burst is of packets, not of time: while nothing passes, SYNs are all that is sent, and meet it more often than
    // others do.
    let bursts = failed(", burstLoss: {rate: 0.04, meanLength: 8}");
    assert!(bursts > 20, "{bursts}");
}
