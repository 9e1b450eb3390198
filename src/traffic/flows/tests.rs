//! The scripted load, packet by packet.

use std::ops::ControlFlow;

use crate::report::summary::Summary;
use crate::scenario::load::{Source, load};
use crate::simulation;

/// Ten connections of one service without VPC to a host with TCP port 443 open.
fn run(traffic: &str) -> Summary {
    let text = format!(
        "duration: 300s
services: [{{name: api, region: us-central1}}]
hosts:
- {{name: open, address: 198.51.100.7, ports: [443], rtt: 20ms}}
- {{name: hole, address: 198.51.100.8, unreachable: true}}
- {{name: leaves, address: 198.51.100.10, rtt: 20ms, idleTimeout: 60s}}
- {{name: drops, address: 198.51.100.11, rtt: 20ms, idleTimeout: 60s, idleClose: rst}}
- {{name: resets, address: 198.51.100.12, rtt: 20ms, reset: 1, resetAfter: 5s}}
- {{name: fails, address: 198.51.100.13, rtt: 20ms, reset: 0.3, resetAfter: 100ms}}
traffic: [{{name: t, from: api, {traffic}}}]
"
    );
    let loaded = load(Source::Text { name: "test.yaml", text: &text });
    let scenario = loaded.scenario.unwrap_or_else(|| panic!("{}", loaded.diagnostics.render(&loaded.sources, false)));
    let summary = simulation::run(&scenario, None, &mut |_| ControlFlow::Continue(())).unwrap();
    let (packets, connections) = (&summary.packets, &summary.connections);
    assert_eq!(packets.sent, packets.delivered + packets.dropped + packets.in_flight);
    assert_eq!(connections.attempted, connections.established + connections.failed + connections.pending);
    summary
}

#[test]
fn a_lossless_exchange_has_the_packets_it_should_have() {
    let summary = run("to: \"open:443\", count: 10, lifetime: 500ms");
    assert_eq!((summary.connections.established, summary.packets.dropped), (10, 0));
    // SYN, SYN-ACK, ACK; a request of 512 bytes; 4096 bytes in three segments, the second and third acknowledged;
    // FIN, FIN-ACK, ACK.
    assert_eq!(summary.packets.sent, 10 * (3 + 1 + 3 + 2 + 3));
    assert_eq!(summary.connections.connect_time_ms.max.round(), 20.0);
}

#[test]
fn a_closed_port_refuses_and_establishes_nothing() {
    for (protocol, port) in [("tcp", 80), ("udp", 53)] {
        let summary = run(&format!("to: \"open:{port}\", protocol: {protocol}, count: 10"));
        assert_eq!((summary.connections.established, summary.connections.failed), (0, 10), "{protocol}");
        assert_eq!(summary.connections.failed_by["SIM_CONNECTION_REFUSED"], 10);
        // One packet there and one back.
        assert_eq!(summary.packets.sent, 20);
    }
}

#[test]
fn an_unanswered_syn_is_sent_again_by_the_schedule_until_the_application_gives_up() {
    // At 0, 1, 2, 3, 4, 5, 7, 11 and 19 s; giving up comes before the retry at the same instant.
    for (timeout, syns) in [("19s", 8), ("20s", 9), ("200s", 11)] {
        let summary = run(&format!("to: \"hole:443\", count: 1, connectTimeout: {timeout}"));
        assert_eq!(summary.packets.sent, syns, "{timeout}");
        assert_eq!(summary.connections.failed_by["SIM_HOST_UNREACHABLE"], 1);
    }
}

#[test]
fn the_server_may_close_and_nobody_need() {
    let server = run("to: \"open:443\", count: 3, lifetime: 1s, closedBy: server");
    assert_eq!((server.packets.sent, server.connections.broken), (3 * 12, 0));
    let nobody = run("to: \"open:443\", count: 3, closedBy: nobody");
    assert_eq!((nobody.packets.sent, nobody.connections.established), (3 * 9, 3));
}

#[test]
fn udp_and_echo_ask_once_and_are_answered() {
    // A request of 3,000 bytes is three datagrams of at most 1,400, an answer of 100 is one.
    let text = "\"198.51.100.9:53\"";
    let silent = run(&format!("to: {text}, protocol: udp, count: 2, connectTimeout: 5s"));
    assert_eq!(silent.connections.failed_by["SIM_NO_ANSWER"], 2);
    let ping = run("to: open, protocol: icmp, count: 4");
    assert_eq!((ping.connections.established, ping.packets.sent), (4, 8));
}

/// The outcome of a load with either kind of ends.
fn both(traffic: &str) -> [Summary; 2] {
    ["flow", "stack"].map(|ends| run(&format!("{traffic}, endpoints: {ends}")))
}

#[test]
fn scripts_and_stacks_agree_where_nothing_is_lost() {
    for traffic in [
        "to: \"open:443\", count: 10, lifetime: 500ms",
        "to: \"open:443\", count: 10, lifetime: 2s, closedBy: server",
        "to: \"open:443\", count: 10, closedBy: nobody",
        "to: \"open:443\", rate: 5/s, stop: 60s, lifetime: 3s, requestBytes: 20000, responseBytes: 100000",
        "to: \"open:443\", count: 3, requestBytes: 0, responseBytes: 0",
        "to: \"open:80\", count: 10",
        "to: \"hole:443\", count: 2, connectTimeout: 90s",
        "to: \"198.51.100.9:443\", count: 2, connectTimeout: 10s",
        "to: \"leaves:443\", count: 10, lifetime: 100s",
        "to: \"drops:443\", count: 10, lifetime: 100s",
        "to: \"resets:443\", count: 10, lifetime: 100s",
        "to: \"fails:443\", count: 1000, lifetime: 10s",
    ] {
        let [script, stack] = both(traffic).map(|summary| {
            let connections = &summary.connections;
            assert_eq!(summary.packets.dropped_by.get("SIM_MALFORMED_PACKET"), None);
            (
                [connections.attempted, connections.established, connections.failed, connections.broken],
                connections.failed_by.clone(),
                connections.connect_time_ms.max.round(),
            )
        });
        assert_eq!(script, stack, "{traffic}");
    }
}

#[test]
fn a_stack_repeats_its_syn_by_the_clients_schedule_and_not_by_its_own() {
    for (timeout, syns) in [("19s", 8), ("20s", 9), ("200s", 11)] {
        let summary = run(&format!("to: \"hole:443\", count: 1, connectTimeout: {timeout}, endpoints: stack"));
        assert_eq!(
            (summary.packets.sent, summary.connections.failed_by["SIM_HOST_UNREACHABLE"]),
            (syns, 1),
            "{timeout}"
        );
    }
}

#[test]
fn a_stacks_exchange_is_a_handshake_data_and_a_close() {
    let summary = run("to: \"open:443\", count: 10, lifetime: 500ms, endpoints: stack");
    assert_eq!((summary.connections.established, summary.packets.dropped), (10, 0));
    // SYN, SYN-ACK, ACK; a request in one segment, a response of 4,096 bytes in three; FIN, FIN, and acknowledgements, of
    // which stacks send some with data and delay others.
    let each = summary.packets.sent as f64 / 10.0;
    assert!((11.0..=14.0).contains(&each), "{each}");
}

#[test]
fn a_server_closes_what_nobody_uses_and_resets_some() {
    for ends in ["flow", "stack"] {
        let run = |traffic: &str| run(&format!("{traffic}, endpoints: {ends}")).connections;
        let closed = run("to: \"leaves:443\", count: 10, lifetime: 100s");
        assert_eq!((closed.established, closed.broken), (10, 0), "{ends}");
        // Idle since the response was acknowledged, some 50 ms after the start; established 30 ms before that.
        for (to, lifetime, broken) in [("drops", 61, 10), ("drops", 60, 0), ("resets", 6, 10), ("resets", 4, 0)] {
            let ended = run(&format!("to: \"{to}:443\", count: 10, lifetime: {lifetime}s"));
            assert_eq!((ended.established, ended.broken), (10, broken), "{ends} {to} {lifetime}");
            assert_eq!(ended.failed_by.get("SIM_CONNECTION_RESET").copied().unwrap_or(0), broken);
        }
        // 300 of 1,000, with a standard deviation of 14.
        let share = run("to: \"fails:443\", count: 1000, lifetime: 10s");
        assert!((250..350).contains(&share.broken), "{ends} {}", share.broken);
    }
}

#[test]
fn a_port_that_the_client_closed_first_rests_for_a_minute() {
    // 28,232 ports, and 600 connections a second of half a second: the ports are gone after 47 s, and until the first come back,
    // 60 s after they were closed, the rest fails at once.
    let load = "to: \"open:443\", rate: 600/s, arrivals: constant, stop: 60s, lifetime: 500ms";
    let short = run(load).connections;
    assert_eq!(short.established, 28_232);
    assert_eq!(short.failed_by["SIM_NO_SOURCE_PORT"], 36_000 - 28_232);
    // Whoever closes last has none.
    assert_eq!(run(&format!("{load}, closedBy: server")).connections.failed, 0);
    for ends in ["flow", "stack"] {
        let few = |closed_by: &str, wait: &str| {
            let text =
                format!("to: \"open:443\", count: 28232, lifetime: 1s, closedBy: {closed_by}, endpoints: {ends}");
            // A second load, which this closes the first one for.
            let again =
                format!("}}, {{name: again, from: api, to: \"open:443\", start: {wait}, count: 1, endpoints: {ends}");
            run(&(text + &again)).connections.failed
        };
        assert_eq!([few("client", "30s"), few("client", "62s"), few("server", "30s")], [1, 0, 0], "{ends}");
    }
}

#[test]
fn an_error_that_is_lost_on_its_way_back_does_not_hide_why_it_was_sent() {
    // The router says that there is no route, by ICMP, which a connector does not carry.
    let text = "duration: 60s
networks: [{name: vpc, deleteDefaultRoutesOnCreate: true}]
connectors: [{name: conn, region: r1, network: vpc, ipCidrRange: 10.8.0.0/28}]
services: [{name: api, region: r1, template: {vpcAccess: {connector: conn, egress: ALL_TRAFFIC}}}]
hosts: [{name: partner, address: 198.51.100.7}]
traffic: [{from: api, to: \"partner:53\", protocol: udp, count: 3}]
";
    let scenario = load(Source::Text { name: "test.yaml", text }).scenario.expect("it is sound");
    let summary = simulation::run(&scenario, None, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(summary.connections.failed_by["NO_ROUTE"], 3, "{:?}", summary.connections.failed_by);
    assert_eq!(summary.connections.failed_by.len(), 1);
}

#[test]
fn a_hundred_thousand_connections_at_once_that_have_no_port_fail_without_a_search_each() {
    // Each search goes through 28,232 ports: that would be a thousand times as long as this test takes. Ports that
    // are given back are found again.
    let load = "to: \"hole:443\", count: 100000, connectTimeout: 30s}, {name: again, from: api, to: \"hole:443\", start: 31s, count: 2";
    let connections = run(load).connections;
    assert_eq!(connections.failed_by["SIM_NO_SOURCE_PORT"], 100_000 - 28_232);
    assert_eq!(connections.failed_by["SIM_HOST_UNREACHABLE"], 28_232 + 2);
}
