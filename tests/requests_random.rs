//! Random loads of requests over a network that loses nothing: both kinds of endpoints count the same, pools keep their
//! sizes, and nothing is forgotten. `PROPTEST_CASES` says how many are tried.

mod common;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use common::{assert_sums, json_lines, scenario};
use egressim::simulation;
use proptest::prelude::*;
use serde_json::Value;

const HOSTS: &str = "\
hosts:
- {name: partner, address: 198.51.100.7, ports: [443], rtt: 20ms}
- {name: refuses, address: 198.51.100.8, rtt: 20ms, refuse: true}
- {name: hangs, address: 198.51.100.9, rtt: 20ms, hang: true}
- {name: hole, address: 198.51.100.10, unreachable: true}
- {name: leaves, address: 198.51.100.11, rtt: 20ms, idleTimeout: 2s}
- {name: drops, address: 198.51.100.12, rtt: 20ms, idleTimeout: 2s, idleClose: rst}
- {name: near, address: 198.51.100.13, ports: [443], rtt: 0ms}
- {name: resolver, address: 198.51.100.53, rtt: 30ms, ports: [udp/53]}
";

/// One random load of requests.
#[derive(Debug, Clone)]
struct Load {
    service: String,
    to: &'static str,
    arrivals: String,
    requests: String,
    bytes: (u32, u32),
    closed_by: Option<&'static str>,
    pool: Option<(u32, Option<u32>)>,
    instances: u32,
}

fn random() -> impl Strategy<Value = Load> {
    let arrivals = prop_oneof![
        (1u32..60).prop_map(|count| format!("count: {count}")),
        (1u32..20).prop_map(|rate| format!("rate: {rate}/s, stop: 20s")),
        (1u32..20).prop_map(|rate| format!("steps: [{{at: 0s, rate: {rate}/s}}, {{at: 9s, rate: 1/s}}], stop: 20s")),
        (1u32..6, 0u32..2000).prop_map(|(each, pause)| format!(
            "workers: {{perInstance: {each}, pause: {pause}ms, requests: 9}}, stop: 20s"
        )),
    ];
    let to = prop::sample::select(vec!["partner", "refuses", "hangs", "hole", "leaves", "drops", "near"]);
    let pool = prop::option::of((1u32..5, prop::option::of(1u32..4)));
    // In odd milliseconds, so that nothing but what follows at once comes at the same instant.
    let odd = |range: std::ops::Range<u32>| range.prop_map(|half| half * 2 + 1);
    let retries = prop::option::of((2u32..5, odd(0..500), any::<bool>()));
    let calls = (1u32..4, odd(0..200), odd(0..600), prop::option::of(odd(150..1500)), retries, any::<bool>());
    let closed_by = prop::option::of(prop::sample::select(vec!["client", "server", "nobody"]));
    let bytes = (1u32..30_000, 1u32..60_000);
    let service = (1u32..4, prop::sample::select(vec![1u32, 3, 80]));
    (arrivals, to, pool, calls, closed_by, bytes, service).prop_map(
        |(
            arrivals,
            to,
            pool,
            (calls, processing, think, timeout, retries, dns),
            closed_by,
            bytes,
            (instances, room),
        )| {
            let mut requests = format!("calls: {calls}, processing: {processing}ms, thinkTime: {think}ms");
            // Without it, what hangs hangs for ever.
            let timeout = timeout.or((to == "hangs").then_some(1_001));
            if let Some(timeout) = timeout {
                requests += &format!(", timeout: {timeout}ms");
            }
            if let Some((attempts, backoff, jitter)) = retries {
                let jitter = if jitter { "full" } else { "none" };
                requests += &format!(
                    ", retryPolicy: {{maxAttempts: {attempts}, initialBackoff: {backoff}ms, jitter: {jitter}}}"
                );
            }
            if let Some((size, idle)) = pool {
                let idle = idle.map_or(String::new(), |idle| format!(", idleTimeout: {idle}s"));
                requests += &format!(", pool: {{size: {size}{idle}}}");
            }
            if dns {
                requests += ", dns: {server: 'resolver:53', ttl: 3s}";
            }
            let service = format!("instances: {instances}, template: {{maxInstanceRequestConcurrency: {room}}}");
            let closed_by = closed_by.filter(|_| pool.is_none());
            Load { service, to, arrivals, requests, bytes, closed_by, pool, instances }
        },
    )
}

impl Load {
    fn yaml(&self, endpoints: &str) -> String {
        let Load { service, to, arrivals, requests, bytes: (asked, answered), closed_by, .. } = self;
        let closed_by = closed_by.map_or(String::new(), |by| format!("closedBy: {by}, "));
        // Long enough for all that is tried again and again to end.
        format!(
            "duration: 30m\nservices: [{{name: api, region: us-central1, {service}}}]\n{HOSTS}traffic:\n\
             - {{name: load, from: api, to: '{to}:443', {arrivals}, requestBytes: {asked}, responseBytes: {answered}, \
             {closed_by}connectTimeout: 3s, endpoints: {endpoints}, requests: {{{requests}}}}}\n"
        )
    }
}

/// A run, and what is true of each; what both kinds of endpoints agree on comes back.
fn run(load: &Load, endpoints: &str) -> Value {
    let yaml = load.yaml(endpoints);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("out");
    let ran = simulation::run(&scenario(&yaml), Some(&out), &mut |_| ControlFlow::Continue(())).expect("it runs");
    let mut summary = serde_json::to_value(ran).expect("plain data");
    assert_sums(&summary);
    assert_eq!(summary["packets"]["inFlight"], 0, "{yaml}");
    // All has ended long ago: nobody waits for what never comes.
    let requests = &summary["requests"];
    assert_eq!(requests["pending"], 0, "{yaml}");
    assert_eq!(summary["connections"]["pending"], 0, "{yaml}");
    let count = |name: &str| requests[name].as_u64().expect("a count");
    assert_eq!(count("attempted"), count("succeeded") + count("failed"), "{yaml}");

    let connections = json_lines(&out.join("connections.jsonl"));
    let open = connections.iter().filter(|connection| connection["end"].is_null()).count() as u32;
    match (load.pool, load.closed_by) {
        (None, Some("nobody")) => {}
        (None, _) => assert_eq!(open, 0, "connections that are never closed\n{yaml}"),
        // Those that are free are closed after 90 s at most.
        (Some(_), _) => assert_eq!(open, 0, "connections that are never closed\n{yaml}"),
    }
    if let Some((size, _)) = load.pool {
        // What is given up or closed is no longer one of the pool, while it takes a round trip or two to end.
        let closing = 0.1;
        let mut changes: BTreeMap<&str, Vec<(f64, i32)>> = BTreeMap::new();
        for connection in connections.iter().filter(|connection| connection["outcome"] != "broken") {
            let time = |name: &str| connection[name].as_f64();
            let (Some(start), Some(end)) = (time("start"), time("end")) else { continue };
            let end = if connection["outcome"] == "failed" { end } else { end - closing };
            if end > start {
                let instance = connection["instance"].as_str().expect("an instance has it");
                changes.entry(instance).or_default().extend([(start, 1), (end, -1)]);
            }
        }
        assert!(changes.len() <= load.instances as usize, "{yaml}");
        for changes in changes.values_mut() {
            // Whoever leaves at an instant does so before the next comes.
            changes.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let mut now = 0;
            for (at, change) in changes {
                now += *change;
                assert!(now <= size as i32, "{now} of {size} connections at {at} s\n{yaml}");
            }
        }
    }
    let requests = summary["requests"].take();
    let of_requests = ["attempted", "succeeded", "failed", "retries", "failedBy"].map(|name| requests[name].clone());
    let of_connections =
        ["attempted", "established", "failed", "broken", "failedBy"].map(|name| summary["connections"][name].clone());
    serde_json::json!({"requests": of_requests, "connections": of_connections})
}

fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(48), max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn requests_end_pools_keep_their_size_and_scripts_count_as_stacks_do(load in random()) {
        let [script, stack] = ["flow", "stack"].map(|endpoints| run(&load, endpoints));
        // A server that closes what is idle counts from the last packet, which is a stack's delayed acknowledgement.
        if !["leaves", "drops"].contains(&load.to) {
            prop_assert_eq!(script, stack, "{}", load.yaml("flow"));
        }
    }
}
