//! Impairments, servers and outages in scenario files: what they become, and what is wrong with them.

use std::time::Duration;

use super::{errors, scenario, warnings};
use crate::scenario::{Change, IdleClose, ImpairedPlace, Scenario, ServerClose, ServerReset, ServerSettings};
use crate::topology::{Bandwidth, BurstLoss, Distribution, Impairments, Jitter, Mtu, QueueLimit, Reorder};

const NOTHING: [&str; 0] = [];

const MS: Duration = Duration::from_millis(1);

/// A service, a connector and a host with these fields in line 4, then these lines.
fn text(host: &str, rest: &str) -> String {
    format!(
        "networks: [{{name: vpc}}]
connectors: [{{name: conn, region: r1, network: vpc, ipCidrRange: 10.8.0.0/28}}]
services: [{{name: api, template: {{vpcAccess: {{connector: conn}}}}}}]
hosts: [{{name: far, address: 198.51.100.7{host}}}]
{rest}"
    )
}

/// Outbound and inbound of a place.
fn links(scenario: &Scenario, place: ImpairedPlace) -> (Impairments, Impairments) {
    let found = scenario.impairments.iter().find(|links| links.place == place).expect("it is impaired");
    (found.outbound, found.inbound)
}

#[test]
fn what_a_host_says_of_the_way_to_it_is_so_both_ways() {
    let scenario = scenario(&text(
        ", loss: 0.01, jitter: 3ms, jitterDistribution: uniform, burstLoss: {rate: 0.02, meanLength: 5}, \
         reorder: {share: 0.01, delay: 10ms}, duplicate: 0.001, bandwidth: 1.5Mbps, queue: 64KiB, mtu: 1500, \
         icmpBlackHole: true",
        "",
    ));
    let expected = Impairments {
        jitter: Some(Jitter { spread: 3 * MS, distribution: Distribution::Uniform }),
        burst_loss: Some(BurstLoss { rate: 0.02, mean_length: 5.0 }),
        reorder: Some(Reorder { share: 0.01, delay: 10 * MS }),
        duplicate: 0.001,
        bandwidth: Some(Bandwidth { bits_per_second: 1_500_000, queue: QueueLimit::Bytes(65_536) }),
        mtu: Some(Mtu { bytes: 1500, silent: true }),
        ..Impairments::default()
    };
    assert_eq!(links(&scenario, ImpairedPlace::Host(0)), (expected, expected));
    // The host's own `loss` stays with its `rtt`.
    assert_eq!(scenario.hosts[0].loss, 0.01);
}

#[test]
fn without_impairments_there_are_none() {
    let plain = scenario(&text("", ""));
    assert!(plain.impairments.is_empty());
    assert_eq!(plain.hosts[0].server, ServerSettings::default());
    // What is zero is none.
    let zero = scenario(&text(
        ", jitter: 0s, burstLoss: {rate: 0, meanLength: 1}, reorder: {share: 0, delay: 0s}, duplicate: 0, bandwidth: unlimited",
        "",
    ));
    assert!(zero.impairments.is_empty());
}

#[test]
fn an_entry_is_for_its_direction_and_two_make_one_place() {
    let scenario = scenario(&text(
        "",
        "impairments:
- {connector: conn, direction: outbound, loss: 0.01, delay: 5ms}
- {connector: conn, direction: inbound, loss: 0.02, bandwidth: 100Mbps}
",
    ));
    let bandwidth = Some(Bandwidth { bits_per_second: 100_000_000, queue: QueueLimit::Time(50 * MS) });
    let outbound = Impairments { loss: 0.01, delay: 5 * MS, ..Impairments::default() };
    let inbound = Impairments { loss: 0.02, bandwidth, ..Impairments::default() };
    assert_eq!(links(&scenario, ImpairedPlace::Connector(0)), (outbound, inbound));
    assert_eq!(scenario.impairments.len(), 1);
}

#[test]
fn a_server_is_as_it_is_described() {
    let server = |fields: &str| scenario(&text(fields, "")).hosts[0].server;
    let idle = Some(IdleClose { after: Duration::from_secs(60), with: ServerClose::Rst });
    assert_eq!(server(", idleTimeout: 60s, idleClose: rst"), ServerSettings { idle, ..ServerSettings::default() });
    let reset = |share, seconds| Some(ServerReset { share, after: Duration::from_secs(seconds) });
    assert_eq!(server(", reset: 0.1").reset, reset(0.1, 0));
    assert_eq!(server(", resetAfter: 5s").reset, reset(1.0, 5));
    assert_eq!(server(", reset: 0.1, resetAfter: 5s").reset, reset(0.1, 5));
    assert_eq!(server(", reset: 0, resetAfter: 5s").reset, None);
    let both = server(", refuse: true, hang: true");
    assert!(both.refuse && both.hang);
}

#[test]
fn patches_of_a_host_build_on_each_other_and_on_what_is_written() {
    let scenario = scenario(&text(
        ", rtt: 40ms, jitter: 1ms, jitterDistribution: exponential, bandwidth: 10Mbps, queue: 5ms, idleTimeout: 60s",
        "events:
- {at: 10s, patchHost: {host: far, set: {loss: 0.02, jitter: 4ms, idleClose: rst}}}
- {at: 20s, patchHost: {host: far, set: {rtt: 80ms, bandwidth: 1Mbps, idleTimeout: 0s}}}
- {at: 30s, patchHost: {host: far, set: {bandwidth: unlimited, jitter: 0s}}}
",
    ));
    let mut hosts = scenario.events.iter().filter_map(|event| match &event.change {
        Change::PatchHost { host: 0, to } => Some((event.at.as_secs(), &**to)),
        _ => None,
    });
    let (10, first) = hosts.next().unwrap() else { panic!("at 10 s") };
    assert_eq!((first.rtt, first.loss), (40 * MS, 0.02));
    assert_eq!(first.server.idle, Some(IdleClose { after: Duration::from_secs(60), with: ServerClose::Rst }));
    let (20, second) = hosts.next().unwrap() else { panic!("at 20 s") };
    assert_eq!((second.rtt, second.loss, second.server.idle), (80 * MS, 0.02, None));
    assert!(hosts.next().is_none());
    let links: Vec<Impairments> = (scenario.events.iter())
        .filter_map(|event| match &event.change {
            Change::Impair(links) if links.outbound == links.inbound => Some(links.outbound),
            _ => None,
        })
        .collect();
    let jitter = Some(Jitter { spread: 4 * MS, distribution: Distribution::Exponential });
    let bandwidth = |bits_per_second| Some(Bandwidth { bits_per_second, queue: QueueLimit::Time(5 * MS) });
    let expected = Impairments { jitter, bandwidth: bandwidth(10_000_000), ..Impairments::default() };
    assert_eq!(links, [expected, Impairments { bandwidth: bandwidth(1_000_000), ..expected }, Impairments::default()]);
    // At the start nothing of that is so.
    assert_eq!((scenario.hosts[0].rtt, scenario.hosts[0].loss), (40 * MS, 0.0));
}

#[test]
fn an_outage_and_an_impairment_for_a_time_are_two_changes() {
    let scenario = scenario(&text(
        ", duplicate: 0.01",
        "events:
- {at: 10s, outage: {connector: conn, for: 30s}}
- {at: 20s, impair: {host: far, for: 5s, direction: inbound, set: {loss: 0.03}}}
- {at: 40s, outage: {connector: conn, for: 1s}}
",
    ));
    let duplicates = Impairments { duplicate: 0.01, ..Impairments::default() };
    let told: Vec<(u64, String)> = (scenario.events.iter())
        .map(|event| {
            let what = match &event.change {
                Change::Outage { place: ImpairedPlace::Connector(0), begins: true } => "down".into(),
                Change::Outage { place: ImpairedPlace::Connector(0), begins: false } => "up".into(),
                Change::Impair(links) => {
                    assert_eq!((links.place, links.outbound), (ImpairedPlace::Host(0), duplicates));
                    format!("loss {}", links.inbound.loss)
                }
                other => panic!("{other:?}"),
            };
            (event.at.as_secs(), what)
        })
        .collect();
    let expected = [(10, "down"), (20, "loss 0.03"), (25, "loss 0"), (40, "up"), (40, "down"), (41, "up")];
    assert_eq!(told, expected.map(|(at, what)| (at, what.to_owned())));
}

#[test]
fn values_out_of_range_are_errors_with_their_place() {
    // The host's fields begin at 4:44.
    for (fields, expected) in [
        (", loss: 1.5", "out-of-range 4:50"),
        (", duplicate: -0.1", "out-of-range 4:55"),
        (", burstLoss: {rate: 0.01, meanLength: 0.5}", "out-of-range 4:80"),
        (", burstLoss: {rate: 0.9, meanLength: 5}", "out-of-range 4:62"),
        (", burstLoss: {rate: 0.01}", "missing-field 4:55"),
        (", reorder: {share: 0.1, delay: 0s}", "out-of-range 4:73"),
        (", reorder: {share: 2, delay: 1ms}", "out-of-range 4:61"),
        (", bandwidth: 100", "invalid-value 4:55"),
        (", bandwidth: 0Mbps", "invalid-value 4:55"),
        (", queue: 50ms", "missing-field 4:51"),
        (", bandwidth: 1Mbps, queue: much", "invalid-value 4:69"),
        (", mtu: 67", "out-of-range 4:49"),
        (", mtu: 65536", "out-of-range 4:49"),
        (", icmpBlackHole: true", "missing-field 4:59"),
        (", jitterDistribution: normal", "missing-field 4:64"),
        (", jitter: 1ms, jitterDistribution: pareto", "unknown-value 4:77"),
        (", idleClose: fin", "missing-field 4:55"),
        (", reset: 1.1", "out-of-range 4:51"),
    ] {
        let found = errors(&text(fields, ""));
        assert_eq!(found, [expected], "{fields}");
    }
}

#[test]
fn an_impairment_is_of_exactly_one_thing_that_there_is() {
    for (entry, expected) in [
        ("{loss: 0.01}", "missing-field 6:3"),
        ("{host: far, connector: conn, loss: 0.01}", "many-places 6:26"),
        ("{host: fat, loss: 0.01}", "unknown-reference 6:10"),
        ("{vpnTunnel: tunnel, loss: 0.01}", "unknown-reference 6:15"),
        ("{interconnectAttachment: it, loss: 0.01}", "unknown-reference 6:28"),
        ("{connector: conn, direction: up, loss: 0.01}", "unknown-value 6:32"),
        ("{connector: conn, loss: 2}", "out-of-range 6:27"),
        ("{connector: conn, rtt: 5ms}", "unknown-field 6:21"),
    ] {
        assert_eq!(errors(&text("", &format!("impairments:\n- {entry}\n"))), [expected], "{entry}");
    }
    let twice = "impairments:\n- {host: far, jitter: 2ms}\n";
    assert_eq!(errors(&text(", jitter: 1ms", twice)), ["given-twice 6:23"]);
}

#[test]
fn events_that_cannot_be_are_errors() {
    for (event, expected) in [
        ("outage: {host: far}", "missing-field 6:20"),
        ("outage: {host: far, for: 0s}", "out-of-range 6:37"),
        ("outage: {for: 3s}", "missing-field 6:20"),
        ("impair: {host: far}", "missing-field 6:20"),
        ("impair: {host: far, for: 0s, set: {loss: 0.01}}", "out-of-range 6:37"),
        ("patchHost: {host: far, set: {loss: 3}}", "out-of-range 6:47"),
        ("patchHost: {host: near, set: {loss: 0.01}}", "unknown-reference 6:30"),
        ("outage: {host: far, for: 3s}, impair: {host: far, set: {loss: 0.01}}", "many-changes 6:20"),
    ] {
        let found = errors(&text("", &format!("events:\n- {{at: 1s, {event}}}\n")));
        assert_eq!(found, [expected], "{event}");
    }
    let overlap = "events:
- {at: 1s, outage: {host: far, for: 10s}}
- {at: 5s, outage: {host: far, for: 1s}}
";
    assert_eq!(errors(&text("", overlap)), ["overlapping-outages 7:20"]);
}

#[test]
fn what_will_hurt_is_a_warning_and_what_will_not_is_none() {
    let load = "traffic: [{from: api, to: 'far:443', rate: 100/s, lifetime: 2m}]\n";
    for (fields, expected) in [
        (", loss: 0.06", "high-loss 4:50"),
        (", burstLoss: {rate: 0.06, meanLength: 2}", "high-loss 4:62"),
        (", rtt: 10ms, jitter: 3ms", "wide-jitter 4:16"),
        // 100 responses of 4,096 bytes a second are 3.3 Mbps.
        (", bandwidth: 3Mbps", "bandwidth-exceeded 5:44"),
        (", bandwidth: 10Mbps, queue: 1kB", "short-queue 4:70"),
        (", mtu: 1400, icmpBlackHole: true", "mtu-black-hole 4:70"),
    ] {
        assert_eq!(warnings(&text(fields, load)), [expected], "{fields}");
    }
    for fields in [
        ", loss: 0.05",
        ", rtt: 20ms, jitter: 5ms",
        ", rtt: 10ms, jitter: 30ms, jitterDistribution: exponential",
        ", bandwidth: 4Mbps",
        ", bandwidth: 10Mbps, queue: 64KiB",
        ", mtu: 1400",
        ", mtu: 1460, icmpBlackHole: true",
    ] {
        assert_eq!(warnings(&text(fields, load)), NOTHING, "{fields}");
    }
    let idle = warnings(&text(", idleTimeout: 60s", load));
    assert_eq!(idle, ["server-closes-idle 5:27"]);
    assert_eq!(warnings(&text(", idleTimeout: 180s", load)), NOTHING);
    let workload = "impairments: [{workload: api, loss: 0.01}]\n";
    assert_eq!(warnings(&text("", workload)), ["nothing-impaired 5:26"]);
    let same = "events: [{at: 1s, patchHost: {host: far, set: {loss: 0}}}]\n";
    assert_eq!(warnings(&text("", same)), ["nothing-changes 5:47"]);
}
