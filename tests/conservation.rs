//! Random small scenarios: nothing is lost from the books, whatever happens.

mod common;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::ControlFlow;

use common::{assert_sums, json_lines, scenario};
use egressim::simulation;
use proptest::prelude::*;
use serde_json::Value;

/// One random load.
#[derive(Debug, Clone)]
struct Load {
    from: &'static str,
    to: &'static str,
    protocol: &'static str,
    /// New connections a second, or all at once.
    pace: Result<u32, u32>,
    lifetime_ms: u32,
    closed_by: &'static str,
    connect_timeout_s: u32,
    start_s: u32,
    endpoints: &'static str,
    asks: Option<Asks>,
}

/// Requests of a load, if it is one of TCP.
#[derive(Debug, Clone)]
struct Asks {
    calls: u32,
    think_ms: u32,
    timeout_ms: u32,
    attempts: u32,
    pool: Option<(u32, u32)>,
    dns: bool,
    /// Workers of an instance instead of a rate.
    workers: Option<u32>,
}

fn asks() -> impl Strategy<Value = Asks> {
    let calls = (1..4u32, 0..1500u32, 0..3000u32, 1..4u32);
    (calls, prop::option::of((1..4u32, 0..5u32)), any::<bool>(), prop::option::of(1..6u32)).prop_map(
        |((calls, think_ms, timeout_ms, attempts), pool, dns, workers)| Asks {
            calls,
            think_ms,
            timeout_ms,
            attempts,
            pool,
            dns,
            workers,
        },
    )
}

impl Asks {
    fn fields(&self) -> String {
        let Asks { calls, think_ms, timeout_ms, attempts, pool, dns, .. } = self;
        let pool = pool.map_or(String::new(), |(size, idle)| format!(", pool: {{size: {size}, idleTimeout: {idle}s}}"));
        let dns = if *dns { ", dns: {server: 'far:53', ttl: 3s}" } else { "" };
        format!(
            "requests: {{calls: {calls}, thinkTime: {think_ms}ms, timeout: {timeout_ms}ms, \
             retryPolicy: {{maxAttempts: {attempts}}}{pool}{dns}}}"
        )
    }
}

/// Something that changes while the scenario runs.
#[derive(Debug, Clone)]
enum Event {
    Scale(&'static str, u32),
    Ports(u32),
    Swap {
        drain: bool,
    },
    Timeouts(u32),
    /// The firewall rule denies, or does not.
    Firewall {
        denies: bool,
    },
    /// Of the host, the connector or the interfaces, by this text.
    Impair(&'static str, Wrong, Option<u32>),
    Outage(&'static str, u32),
    /// It refuses and hangs, or does not.
    Server {
        refuse: bool,
        hang: bool,
        rtt_ms: u32,
        idle_s: u32,
        reset: f64,
    },
}

/// What is wrong with links.
#[derive(Debug, Clone)]
struct Wrong {
    loss: f64,
    bursts: f64,
    jitter_ms: u32,
    reorder: f64,
    duplicate: f64,
    bandwidth_kbps: u32,
    queue_bytes: u32,
    mtu: u32,
    silent: bool,
}

fn wrong() -> impl Strategy<Value = Wrong> {
    let shares = (0.0..0.2f64, 0.0..0.2f64, 0.0..0.3f64, 0.0..0.5f64);
    let sizes = (0..20u32, 50..5000u32, 0..40_000u32, 300..1500u32, any::<bool>());
    (shares, sizes).prop_map(
        |((loss, bursts, reorder, duplicate), (jitter_ms, bandwidth_kbps, queue_bytes, mtu, silent))| Wrong {
            loss,
            bursts,
            jitter_ms,
            reorder,
            duplicate,
            bandwidth_kbps,
            queue_bytes,
            mtu,
            silent,
        },
    )
}

impl Wrong {
    fn fields(&self) -> String {
        let Wrong { loss, bursts, jitter_ms, reorder, duplicate, bandwidth_kbps, queue_bytes, mtu, silent } = self;
        format!(
            "loss: {loss}, burstLoss: {{rate: {bursts}, meanLength: 3}}, jitter: {jitter_ms}ms, \
             reorder: {{share: {reorder}, delay: 15ms}}, duplicate: {duplicate}, bandwidth: {bandwidth_kbps}kbps, \
             queue: {queue_bytes}, mtu: {mtu}, icmpBlackHole: {silent}"
        )
    }
}

fn place() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["host: far", "connector: conn", "workload: direct-api"])
}

#[derive(Debug, Clone)]
struct Random {
    seed: u64,
    duration_s: u32,
    loads: Vec<Load>,
    events: Vec<(u32, Event)>,
    loss: f64,
    wrong: Option<Wrong>,
    min_ports: u32,
    dynamic: bool,
    random_ports: bool,
    drop_midstream: bool,
    rst_frees: bool,
}

fn load() -> impl Strategy<Value = Load> {
    (
        prop::sample::select(vec!["conn-api", "direct-api", "lone-api", "auto-api"]),
        prop::sample::select(vec![
            ("tcp", "far:443"),
            ("tcp", "far:80"),
            ("tcp", "hole:443"),
            ("udp", "far:53"),
            ("udp", "far:9"),
            ("icmp", "far"),
        ]),
        prop_oneof![(1..12u32).prop_map(Ok), (1..80u32).prop_map(Err)],
        1..4000u32,
        prop::sample::select(vec!["client", "server", "nobody"]),
        1..15u32,
        0..10u32,
        (prop::sample::select(vec!["flow", "stack"]), prop::option::of(asks())),
    )
        .prop_map(
            |(from, (protocol, to), pace, lifetime_ms, closed_by, connect_timeout_s, start_s, (endpoints, asks))| {
                let asks = asks.filter(|_| protocol == "tcp");
                Load { from, to, protocol, pace, lifetime_ms, closed_by, connect_timeout_s, start_s, endpoints, asks }
            },
        )
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (prop::sample::select(vec!["conn-api", "direct-api", "lone-api"]), 0..5u32)
            .prop_map(|(workload, instances)| Event::Scale(workload, instances)),
        (5..8u32).prop_map(|power| Event::Ports(1 << power)),
        any::<bool>().prop_map(|drain| Event::Swap { drain }),
        (1..40u32).prop_map(Event::Timeouts),
        any::<bool>().prop_map(|denies| Event::Firewall { denies }),
        (place(), wrong(), prop::option::of(1..10u32))
            .prop_map(|(place, wrong, seconds)| Event::Impair(place, wrong, seconds)),
        (place(), 1..10u32).prop_map(|(place, seconds)| Event::Outage(place, seconds)),
        (any::<bool>(), any::<bool>(), 0..60u32, 0..4u32, 0.0..0.5f64)
            .prop_map(|(refuse, hang, rtt_ms, idle_s, reset)| Event::Server { refuse, hang, rtt_ms, idle_s, reset }),
    ]
}

fn random() -> impl Strategy<Value = Random> {
    (
        (
            any::<u64>(),
            12..45u32,
            prop::collection::vec(load(), 1..4),
            prop::collection::vec((1..40u32, event()), 0..4),
        ),
        (0.0..0.2f64, prop::option::of(wrong()), 5..8u32, any::<[bool; 4]>()),
    )
        .prop_map(
            |(
                (seed, duration_s, loads, events),
                (loss, wrong, power, [dynamic, random_ports, drop_midstream, rst_frees]),
            )| {
                Random {
                    seed,
                    duration_s,
                    loads,
                    events,
                    loss,
                    wrong,
                    min_ports: 1 << power,
                    dynamic,
                    random_ports,
                    drop_midstream,
                    rst_frees,
                }
            },
        )
}

/// The NAT IPs that the scenario has or may get.
const NAT_IPS: [&str; 2] = ["203.0.113.10", "203.0.113.11"];

impl Random {
    fn yaml(&self) -> String {
        let Random { seed, duration_s, loss, min_ports, dynamic, .. } = self;
        let maximum = if *dynamic { "\n    maxPortsPerVm: 256" } else { "" };
        let choose = |yes: bool, one: &'static str, other: &'static str| if yes { one } else { other };
        let mut yaml = format!(
            "\
name: random
seed: {}
duration: {duration_s}s
networks: [{{name: vpc}}]
subnetworks: [{{name: app, network: vpc, region: r1, ipCidrRange: 10.9.0.0/26}}]
connectors: [{{name: conn, region: r1, network: vpc, ipCidrRange: 10.8.0.0/28}}]
addresses: [{{name: ip-1, region: r1, address: {}}}, {{name: ip-2, region: r1, address: {}}}]
routers:
- name: router
  network: vpc
  region: r1
  nats:
  - name: gw
    natIpAllocateOption: MANUAL_ONLY
    natIps: [ip-1]
    sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES
    minPortsPerVm: {min_ports}
    enableDynamicPortAllocation: {dynamic}{maximum}
firewalls:
- {{name: deny, network: vpc, direction: EGRESS, denied: [{{IPProtocol: tcp, ports: ['443']}}, {{IPProtocol: icmp}}], disabled: true}}
services:
- {{name: conn-api, region: r1, instances: 2, template: {{vpcAccess: {{connector: conn, egress: ALL_TRAFFIC}}}}}}
- name: direct-api
  region: r1
  instances: 2
  template: {{vpcAccess: {{networkInterfaces: [{{subnetwork: app}}], egress: ALL_TRAFFIC}}}}
- {{name: lone-api, region: r1}}
- name: auto-api
  region: r1
  template: {{maxInstanceRequestConcurrency: 2, scaling: {{maxInstanceCount: 6}}, vpcAccess: {{networkInterfaces: [{{subnetwork: app}}], egress: ALL_TRAFFIC}}}}
hosts:
- {{name: far, address: 198.51.100.7, ports: [443, udp/53], rtt: 30ms, loss: {loss}}}
- {{name: hole, address: 198.51.100.8, unreachable: true}}
model:
  nat:
    portSelection: {}
    midstream: {}
    rst: {}
traffic:
",
            // A seed is read as a signed number of YAML.
            seed >> 1,
            NAT_IPS[0],
            NAT_IPS[1],
            choose(self.random_ports, "random", "lowest-free"),
            choose(self.drop_midstream, "drop", "new-mapping"),
            choose(self.rst_frees, "immediate", "time-wait"),
        );
        if let Some(wrong) = &self.wrong {
            let impaired = format!("impairments: [{{host: far, {}}}]\ntraffic:\n", wrong.fields());
            let loss = format!(", loss: {loss}}}");
            yaml = yaml.replacen(&loss, "}", 1).replacen("traffic:\n", &impaired, 1);
        }
        for (number, load) in self.loads.iter().enumerate() {
            let Load { from, to, protocol, lifetime_ms, closed_by, connect_timeout_s, start_s, endpoints, .. } = load;
            let pace = match load.pace {
                Ok(rate) => format!("rate: {rate}/s"),
                Err(count) => format!("count: {count}"),
            };
            let pace = match load.asks.as_ref().and_then(|asks| asks.workers) {
                Some(workers) => format!("workers: {{perInstance: {workers}, pause: 300ms}}"),
                None => pace,
            };
            // A pool closes its connections itself.
            let life = match &load.asks {
                Some(asks) if asks.pool.is_some() => asks.fields(),
                Some(asks) => format!("{}, closedBy: {closed_by}", asks.fields()),
                None => format!("lifetime: {lifetime_ms}ms, closedBy: {closed_by}"),
            };
            let _ = writeln!(
                yaml,
                "- {{name: load-{number}, from: {from}, to: '{to}', protocol: {protocol}, {pace}, start: {start_s}s, \
                 {life}, connectTimeout: {connect_timeout_s}s, endpoints: {endpoints}}}"
            );
        }
        let mut events: Vec<_> = self.events.iter().filter(|(at, _)| at < duration_s).collect();
        events.sort_by_key(|(at, _)| *at);
        if !events.is_empty() {
            yaml += "events:\n";
        }
        let mut swapped = false;
        let mut out_until = 0;
        for (at, event) in events {
            let change = match event {
                Event::Scale(workload, instances) => {
                    format!("scale: {{workload: {workload}, instances: {instances}}}")
                }
                Event::Ports(ports) => patch(&format!("minPortsPerVm: {ports}")),
                // Only an address that is in use can be drained.
                Event::Swap { drain } => match std::mem::replace(&mut swapped, true) {
                    false if *drain => patch("natIps: [ip-2], drainNatIps: [ip-1]"),
                    _ => patch("natIps: [ip-2]"),
                },
                Event::Timeouts(seconds) => {
                    patch(&format!("tcpEstablishedIdleTimeoutSec: {seconds}, tcpTimeWaitTimeoutSec: {seconds}"))
                }
                Event::Firewall { denies } => {
                    format!("patchFirewall: {{firewall: deny, set: {{disabled: {}}}}}", !denies)
                }
                Event::Impair(place, wrong, seconds) => {
                    let lasts = seconds.map_or(String::new(), |seconds| format!(", for: {seconds}s"));
                    format!("impair: {{{place}, set: {{{}}}{lasts}}}", wrong.fields())
                }
                // One after the other.
                Event::Outage(..) if *at < out_until => continue,
                Event::Outage(place, seconds) => {
                    out_until = at + seconds;
                    format!("outage: {{{place}, for: {seconds}s}}")
                }
                Event::Server { refuse, hang, rtt_ms, idle_s, reset } => {
                    let server = format!(
                        "refuse: {refuse}, hang: {hang}, idleTimeout: {idle_s}s, reset: {reset}, resetAfter: 1s"
                    );
                    format!("patchHost: {{host: far, set: {{{server}, rtt: {rtt_ms}ms}}}}")
                }
            };
            let _ = writeln!(yaml, "- {{at: {at}s, {change}}}");
        }
        yaml
    }
}

fn patch(fields: &str) -> String {
    format!("patchNat: {{gateway: gw, set: {{{fields}}}}}")
}

/// Checks one scenario at its end.
fn check(random: &Random) {
    let yaml = random.yaml();
    let scenario = scenario(&yaml);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out");
    let summary = simulation::run(&scenario, Some(&out), &mut |_| ControlFlow::Continue(())).expect("it runs");
    let summary = serde_json::to_value(summary).expect("plain data");
    assert_sums(&summary);
    let plain = simulation::run(&scenario, None, &mut |_| ControlFlow::Continue(())).expect("it runs");
    assert_eq!(serde_json::to_value(plain).expect("plain data"), summary, "recorded or not\n{yaml}");

    // Loads add up to the whole.
    let loads = summary["traffic"].as_array().expect("a list");
    for count in ["attempted", "established", "failed", "pending", "broken"] {
        let total: u64 = loads.iter().map(|load| load[count].as_u64().expect("a count")).sum();
        assert_eq!(summary["connections"][count], total, "{count}\n{yaml}");
    }

    let requests = &summary["requests"];
    let asked = random.loads.iter().any(|load| load.asks.is_some());
    assert_eq!(requests.is_object(), asked, "{yaml}");
    if asked {
        let [attempted, succeeded, failed, pending] =
            ["attempted", "succeeded", "failed", "pending"].map(|count| requests[count].as_u64().expect("a count"));
        assert_eq!(attempted, succeeded + failed + pending, "{yaml}");
        let by_cause = requests["failedBy"].as_object().expect("counts").values().filter_map(Value::as_u64);
        assert_eq!(failed, by_cause.sum::<u64>(), "{yaml}");
        let of_loads = loads.iter().filter_map(|load| load["requests"]["attempted"].as_u64());
        assert_eq!(attempted, of_loads.sum::<u64>(), "{yaml}");
    }

    let connections = json_lines(&out.join("connections.jsonl"));
    assert_eq!(summary["connections"]["attempted"], connections.len(), "{yaml}");
    let by_outcome = |outcomes: &[&str]| {
        connections.iter().filter(|one| outcomes.iter().any(|outcome| one["outcome"] == *outcome)).count()
    };
    assert_eq!(summary["connections"]["established"], by_outcome(&["established", "broken"]), "{yaml}");
    assert_eq!(summary["connections"]["failed"], by_outcome(&["failed"]), "{yaml}");
    assert_eq!(summary["connections"]["pending"], by_outcome(&["pending"]), "{yaml}");

    // Whoever got through from behind the NAT wears one of its addresses, and a port that is not a well-known one.
    for connection in connections.iter().filter(|connection| !connection["established"].is_null()) {
        let seen = connection["outside"]["srcIp"].as_str();
        let load = &scenario.traffic.iter().find(|load| connection["traffic"] == load.name.as_str()).expect("a load");
        if scenario.workloads[load.from].name == "lone-api" {
            assert!(seen.is_none_or(|ip| !NAT_IPS.contains(&ip)), "{connection}\n{yaml}");
        } else {
            assert!(seen.is_some_and(|ip| NAT_IPS.contains(&ip)), "{connection}\n{yaml}");
            assert!(connection["outside"]["srcPort"].as_u64() >= Some(1024), "{connection}\n{yaml}");
        }
    }

    // Blocks of different endpoints do not overlap, and nobody has used more ports than it had.
    let gateway = &summary["gateways"][0];
    let mut owned = BTreeSet::new();
    for endpoint in gateway["endpoints"].as_array().expect("a list") {
        let mut ports = 0;
        for range in endpoint["natIpPortRanges"].as_array().expect("a list").iter().filter_map(Value::as_str) {
            let (ip, range) = range.split_once(':').expect("address and ports");
            let (first, last) = range.split_once('-').expect("first and last port");
            for port in first.parse::<u32>().expect("a port")..=last.parse::<u32>().expect("a port") {
                assert!(owned.insert((ip.to_owned(), port)), "{ip}:{port} is in two blocks\n{yaml}");
                ports += 1;
            }
        }
        assert_eq!(endpoint["allocatedPorts"], ports, "{endpoint}\n{yaml}");
        assert!(endpoint["peakPortUsage"].as_u64() <= endpoint["peakAllocatedPorts"].as_u64(), "{endpoint}\n{yaml}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_packets_and_connections_add_up(random in random()) {
        check(&random);
    }
}
