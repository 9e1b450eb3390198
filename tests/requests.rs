//! Requests: calls, pools, retries, look-ups, room in instances, autoscaling, workers, and rates that change.

mod common;

use std::ops::ControlFlow;

use common::scenario;
use egressim::report::summary::{RequestsSummary, Summary};
use egressim::simulation;

const HOSTS: &str = "\
hosts:
- {name: partner, address: 198.51.100.7, ports: [443], rtt: 20ms}
- {name: refuses, address: 198.51.100.8, rtt: 20ms, refuse: true}
- {name: hangs, address: 198.51.100.9, rtt: 20ms, hang: true}
- {name: hole, address: 198.51.100.10, unreachable: true}
- {name: leaves, address: 198.51.100.11, rtt: 20ms, idleTimeout: 10s}
- {name: resolver, address: 198.51.100.53, rtt: 30ms, ports: [udp/53]}
";

/// A run with a service and a load.
fn run_with(service: &str, duration: &str, load: &str) -> Summary {
    run_text(&format!(
        "duration: {duration}\nservices: [{{name: api, region: us-central1, {service}}}]\n{HOSTS}\
         traffic: [{{name: load, from: api, {load}}}]\n"
    ))
}

fn run_text(text: &str) -> Summary {
    let summary =
        simulation::run(&scenario(text), None, &mut |_| ControlFlow::Continue(())).expect("nothing is written");
    let (packets, connections) = (&summary.packets, &summary.connections);
    assert_eq!(packets.sent, packets.delivered + packets.dropped + packets.in_flight);
    assert_eq!(connections.attempted, connections.established + connections.failed + connections.pending);
    if let Some(requests) = &summary.requests {
        assert_eq!(requests.attempted, requests.succeeded + requests.failed + requests.pending);
        assert_eq!(requests.failed, requests.failed_by.values().sum::<u64>());
    }
    summary
}

/// A run of one instance with both kinds of endpoints, which must agree in what people count.
#[track_caller]
fn both(load: &str) -> Summary {
    let [flow, stack] =
        ["flow", "stack"].map(|ends| run_with("instances: 1", "120s", &format!("{load}, endpoints: {ends}")));
    let counts = |summary: &Summary| {
        let (requests, connections) = (requests(summary), &summary.connections);
        (
            [requests.attempted, requests.succeeded, requests.failed, requests.pending, requests.retries],
            requests.failed_by.clone(),
            [connections.attempted, connections.established, connections.failed, connections.broken],
            connections.failed_by.clone(),
        )
    };
    assert_eq!(counts(&flow), counts(&stack), "{load}");
    flow
}

fn requests(summary: &Summary) -> &RequestsSummary {
    summary.requests.as_ref().expect("the load has requests")
}

#[test]
fn a_call_takes_two_round_trips_and_what_the_server_thinks() {
    let summary = both("to: 'partner:443', count: 10, requests: {thinkTime: 100ms}");
    assert_eq!((requests(&summary).succeeded, summary.connections.attempted), (10, 10));
    assert_eq!(requests(&summary).latency_ms.max, 140.0);
    // One after the other, each on a connection of its own, after 50 ms of work.
    let calls = both("to: 'partner:443', count: 10, requests: {thinkTime: 100ms, calls: 3, processing: 50ms}");
    assert_eq!((requests(&calls).succeeded, calls.connections.attempted), (10, 30));
    assert_eq!(requests(&calls).latency_ms.max, 50.0 + 3.0 * 140.0);
}

#[test]
fn a_pool_keeps_connections_and_never_has_more_than_its_size() {
    // Three calls on one connection: a handshake and three round trips.
    let one = both("to: 'partner:443', count: 1, requests: {calls: 3, pool: {size: 5}}");
    assert_eq!((one.connections.attempted, requests(&one).latency_ms.max), (1, 80.0));
    // Ten at once, two connections: five rounds of 120 ms, after a handshake of 20 ms.
    let ten = both("to: 'partner:443', count: 10, requests: {thinkTime: 100ms, pool: {size: 2}}");
    assert_eq!((ten.connections.attempted, requests(&ten).succeeded), (2, 10));
    assert_eq!(requests(&ten).latency_ms.max, 20.0 + 5.0 * 120.0);
    // Whoever waits for longer than its timeout gets none: those of the third round and later.
    let late = both("to: 'partner:443', count: 10, requests: {thinkTime: 100ms, timeout: 200ms, pool: {size: 2}}");
    assert_eq!((requests(&late).succeeded, requests(&late).failed), (2, 8));
    // Those of the second round have a connection after 140 ms, and no response after 200 ms; the others have none.
    assert_eq!(requests(&late).failed_by["SIM_CALL_TIMEOUT"], 2);
    assert_eq!(requests(&late).failed_by["SIM_POOL_TIMEOUT"], 6);
}

#[test]
fn a_call_that_waited_in_vain_waits_behind_the_others_when_it_is_tried_again() {
    // One connection; each call takes 1.02 s, but the first 1.04 s, with its handshake. All three wait for 1.5 s each time and
    // are tried again at once: A has the connection until 1.04 s, then B. B gives up at 1.5 s and closes, and C gives up at
    // 1.5 s, too. Both are tried again: B, first, on a new connection, until 2.54 s; C waits, and has it for the rest of its
    // 1.5 s, 0.46 s, in vain.
    let policy = "retryPolicy: {maxAttempts: 2, initialBackoff: 0s}";
    let summary = both(&format!(
        "to: 'partner:443', count: 3, requests: {{thinkTime: 1s, timeout: 1500ms, {policy}, pool: {{size: 1}}}}"
    ));
    assert_eq!((requests(&summary).succeeded, requests(&summary).failed), (2, 1));
    assert_eq!((requests(&summary).retries, requests(&summary).failed_by["SIM_CALL_TIMEOUT"]), (2, 1));
}

#[test]
fn who_closes_a_calls_connection_is_who_the_load_says() {
    // A handshake, a request, a response in three segments with two acknowledgements, and three packets to close.
    let packets = |closed_by: &str, to: &str| {
        let load = format!("to: '{to}:443', count: 10, closedBy: {closed_by}, requests: {{}}");
        let summary = both(&load);
        assert_eq!((requests(&summary).succeeded, summary.connections.broken), (10, 0));
        summary.packets.sent
    };
    assert_eq!([packets("client", "partner"), packets("server", "partner")], [120, 120]);
    // A client that forgets to close leaks a connection for each call, until the server closes it.
    assert_eq!([packets("nobody", "partner"), packets("nobody", "leaves")], [90, 120]);
}

#[test]
fn a_pool_closes_what_is_idle_and_what_is_old() {
    // One request in 20 s: after 10 s idle the connection is closed, before 30 s it is not.
    let load = |pool: &str| {
        format!("to: 'partner:443', rate: 3/m, arrivals: constant, requests: {{pool: {{size: 1, {pool}}}}}")
    };
    assert_eq!(both(&load("idleTimeout: 10s")).connections.attempted, 6);
    assert_eq!(both(&load("idleTimeout: 30s")).connections.attempted, 1);
    assert_eq!(both(&load("idleTimeout: 0s")).connections.attempted, 1);
    // At 0, 20 and 40 s it is young enough, at 60 s a new one is used, for 60, 80 and 100 s.
    assert_eq!(both(&load("idleTimeout: 30s, maxAge: 50s")).connections.attempted, 2);
}

#[test]
fn a_call_without_a_response_is_given_up_and_tried_again() {
    let policy = "retryPolicy: {maxAttempts: 3, initialBackoff: 1s, backoffMultiplier: 2, jitter: none}";
    let silent = both(&format!("to: 'hangs:443', count: 4, requests: {{timeout: 2s, {policy}}}"));
    // Its connections came to be, and broke.
    assert_eq!((requests(&silent).failed_by["SIM_CALL_TIMEOUT"], requests(&silent).retries), (4, 8));
    assert_eq!((silent.connections.established, silent.connections.broken), (12, 12));
    assert_eq!(silent.connections.failed_by["SIM_NO_ANSWER"], 12);
    let refused = both(&format!("to: 'refuses:443', count: 4, requests: {{{policy}}}"));
    assert_eq!(requests(&refused).failed_by["SIM_CONNECTION_REFUSED"], 4);
    assert_eq!((refused.connections.failed, requests(&refused).retries), (12, 8));
    let hole = both(&format!("to: 'hole:443', count: 4, connectTimeout: 3s, requests: {{{policy}}}"));
    assert_eq!(requests(&hole).failed_by["SIM_HOST_UNREACHABLE"], 4);
    // Without a policy there is one attempt.
    let once = both("to: 'hole:443', count: 4, requests: {timeout: 3s}");
    assert_eq!((requests(&once).failed, requests(&once).retries, once.connections.failed), (4, 0, 4));
}

#[test]
fn a_response_at_the_instant_of_the_timeout_comes_too_late() {
    // A handshake and a round trip of 20 ms each, and 100 ms of thought.
    let call = |timeout: u32| {
        both(&format!("to: 'partner:443', count: 3, requests: {{thinkTime: 100ms, timeout: {timeout}ms}}"))
    };
    assert_eq!([140, 141].map(|timeout| requests(&call(timeout)).succeeded), [0, 3]);
    // The same without a network in between, where all of it happens at one instant: there is no time in which to give up.
    let near = "hosts:\n- {name: near, address: 198.51.100.13, rtt: 0ms}\n";
    for ends in ["flow", "stack"] {
        let policy = "retryPolicy: {maxAttempts: 1000, initialBackoff: 0s}";
        let summary = run_text(&format!(
            "duration: 60s\nservices: [{{name: api, region: us-central1, instances: 2}}]\n{near}\
             traffic: [{{from: api, to: 'near:443', count: 100, endpoints: {ends}, \
             requests: {{calls: 1000, timeout: 1ms, {policy}, pool: {{size: 3}}}}}}]\n"
        ));
        assert_eq!((requests(&summary).succeeded, requests(&summary).retries), (100, 0), "{ends}");
    }
}

#[test]
fn what_fails_at_once_is_tried_as_often_as_its_policy_says_and_no_more() {
    // No IPv6 address, and no wait: a thousand attempts of each request at one instant, twenty at a time.
    let policy = "retryPolicy: {maxAttempts: 1000, initialBackoff: 0s}";
    let load = format!("to: '[2001:db8::7]:443', count: 20, requests: {{{policy}, pool: {{size: 2}}}}");
    let summary = run_with("instances: 1", "60s", &load);
    assert_eq!((requests(&summary).failed, requests(&summary).retries), (20, 20 * 999));
    assert_eq!(summary.connections.failed_by["SIM_IPV6_UNAVAILABLE"], 20 * 1000);
}

#[test]
fn retries_wait_as_their_policy_says() {
    // Attempts at 0, 1 + 0.02, 3 + 0.04 and 7.06 s; a round trip later each has been refused.
    let last = |duration: &str| {
        let policy = "retryPolicy: {maxAttempts: 4, initialBackoff: 1s, backoffMultiplier: 2, jitter: none}";
        let load = format!("to: 'refuses:443', count: 1, requests: {{{policy}}}");
        run_with("instances: 1", duration, &load).connections.attempted
    };
    assert_eq!([last("1s"), last("1025ms"), last("3030ms"), last("3045ms")], [1, 2, 2, 3]);
    assert_eq!([last("7050ms"), last("7065ms"), last("60s")], [3, 4, 4]);
}

#[test]
fn a_response_that_comes_too_late_is_refused() {
    for ends in ["flow", "stack"] {
        // The server answers after 3 s, the client waits for 1 s. Its connection is closed by then; the response is met by
        // a reset, and nobody sends anything after that.
        let load = format!("to: 'partner:443', count: 5, endpoints: {ends}, requests: {{thinkTime: 3s, timeout: 1s}}");
        let summary = run_with("instances: 1", "60s", &load);
        assert_eq!(requests(&summary).failed_by["SIM_CALL_TIMEOUT"], 5);
        assert_eq!((summary.connections.broken, summary.packets.dropped), (5, 0));
        // SYN, SYN-ACK, ACK, request, its acknowledgement or none, FIN, FIN or acknowledgement, acknowledgement: nothing at
        // all is sent in vain for long.
        assert!(summary.packets.sent <= 5 * 12, "{ends} {}", summary.packets.sent);
    }
}

#[test]
fn a_kept_connection_that_the_server_closes_at_the_wrong_moment_is_reset() {
    // A request every 10.03 s. The server's last packet is the acknowledgement of the response, some 30 ms after the request:
    // 10 s later it closes. Its FIN is still on its way when the next request leaves.
    let load = |timeout: &str, policy: &str| {
        format!(
            "to: 'leaves:443', steps: [{{at: 0s, rate: 0.0997/s}}], arrivals: constant, \
             requests: {{pool: {{size: 1, idleTimeout: {timeout}}}{policy}}}"
        )
    };
    let raced = run_with("instances: 1", "120s", &load("90s", ""));
    let failed = requests(&raced).failed;
    assert!(failed > 0, "{raced:?}");
    // The client meets the FIN while it waits for the response, and then the reset that its request is answered with.
    assert_eq!(requests(&raced).failed_by["SIM_CLOSED_EARLY"], failed);
    assert_eq!(raced.connections.failed_by["SIM_CONNECTION_RESET"], failed);
    // Either cure of the textbooks works: close before the server does, or try again.
    assert_eq!(requests(&run_with("instances: 1", "120s", &load("9s", ""))).failed, 0);
    let again = run_with("instances: 1", "120s", &load("90s", ", retryPolicy: {maxAttempts: 2}"));
    assert_eq!((requests(&again).failed, requests(&again).retries > 0), (0, true));
}

#[test]
fn a_name_is_looked_up_before_a_connection_unless_the_answer_is_remembered() {
    let load = |dns: &str| format!("to: 'partner:443', rate: 1/s, arrivals: constant, requests: {{dns: {{{dns}}}}}");
    let each = both(&load("server: 'resolver:53'"));
    // 120 requests, and as many look-ups.
    assert_eq!((requests(&each).succeeded, each.connections.attempted), (120, 240));
    assert_eq!(requests(&each).latency_ms.max, 30.0 + 40.0);
    // Answers count for 10 s from 30 ms on, so the request at 10 s still knows, and the one at 11 s asks: at 0, 11, 22 … 110.
    assert_eq!(both(&load("server: 'resolver:53', ttl: 10s")).connections.attempted, 120 + 11);
    // Two questions of 5 s each.
    let vain = both("to: 'partner:443', count: 3, requests: {dns: {server: 'hole:53'}}");
    assert_eq!((requests(&vain).failed, vain.connections.failed, vain.connections.attempted), (3, 6, 6));
}

#[test]
fn an_instance_works_on_as_many_requests_as_it_may_and_others_wait() {
    // Each takes 1.04 s, and two instances take one at a time: ten rounds begin within 10 s, then the others fail.
    let service = "instances: 2, template: {maxInstanceRequestConcurrency: 1}";
    let load = "to: 'partner:443', count: 30, requests: {thinkTime: 1s}";
    let summary = run_with(service, "60s", load);
    assert_eq!((requests(&summary).succeeded, requests(&summary).failed), (20, 10));
    assert_eq!(requests(&summary).failed_by["SIM_NO_AVAILABLE_INSTANCE"], 10);
    assert_eq!(requests(&summary).latency_ms.max.round(), 10.0 * 1040.0);
    // The default is 80 each.
    let summary = run_with("instances: 2", "60s", "to: 'partner:443', count: 160, requests: {thinkTime: 1s}");
    assert_eq!(requests(&summary).latency_ms.max, 1040.0);
}

#[test]
fn cloud_run_runs_as_many_instances_as_requests_need() {
    let service = "template: {maxInstanceRequestConcurrency: 10, scaling: {minInstanceCount: 1, maxInstanceCount: 30}}";
    // 20/s for 10 minutes, of a second each: 20 at a time, which is 60 % of 10 in 3.4 instances, so 4; then none. At first it
    // is one more: a new instance takes requests after two seconds, and at 3 s there are 60 − 2 × 10 and more to be served.
    let load = "to: 'partner:443', rate: 20/s, arrivals: constant, stop: 10m, requests: {thinkTime: 960ms}";
    let busy = run_with(service, "10m", load);
    let service_of = |summary: &Summary| summary.autoscaled[0].clone();
    assert_eq!((service_of(&busy).instances, service_of(&busy).peak_instances), (5, 5));
    // The first one has room for ten at once, the others wait for two seconds while instances start.
    assert_eq!(requests(&busy).failed, 0);
    assert!((1000.0..=3000.0).contains(&requests(&busy).latency_ms.max), "{:?}", requests(&busy).latency_ms);
    // Fifteen minutes after the last request all but one are gone.
    assert_eq!(service_of(&run_with(service, "24m", load)).instances, 4);
    assert_eq!(service_of(&run_with(service, "26m", load)).instances, 1);
    // Pinned, nobody scales it.
    let pinned = run_with("instances: 2, template: {maxInstanceRequestConcurrency: 10}", "10m", load);
    assert!(pinned.autoscaled.is_empty());
    // A limit is a limit: 2 × 10 at once are too few for 30/s.
    let limited = "template: {maxInstanceRequestConcurrency: 10, scaling: {minInstanceCount: 1, maxInstanceCount: 2}}";
    let load = "to: 'partner:443', rate: 30/s, arrivals: constant, requests: {thinkTime: 960ms}";
    let summary = run_with(limited, "120s", load);
    assert_eq!(service_of(&summary).peak_instances, 2);
    // 20 a second are served, from 2 s on, and the queue of 10 s holds 200 at 20/s: then a third fails.
    let failed = requests(&summary).failed_by["SIM_NO_AVAILABLE_INSTANCE"] as f64;
    assert!((failed / 1000.0 - 0.9).abs() < 0.1, "{failed}");
}

#[test]
fn an_instance_that_nobody_waited_for_takes_requests_once_it_is_ready() {
    // Ten at once, of a minute each: seven come at 0 s, and at the look at 5 s seven of ten are more than 60 %, so a second
    // instance starts, which is ready at 7 s. At 6 s ten more come: three find room, seven wait for a second.
    let service = "template: {maxInstanceRequestConcurrency: 10, scaling: {minInstanceCount: 1, maxInstanceCount: 5}}";
    let load = "to: 'partner:443', count: 7, requests: {thinkTime: 60s}}, \
                {name: more, from: api, to: 'partner:443', start: 6s, count: 10, requests: {thinkTime: 60s}";
    let summary = run_with(service, "120s", load);
    assert_eq!((requests(&summary).succeeded, requests(&summary).failed), (17, 0));
    assert_eq!(requests(&summary).latency_ms.max, 61_040.0);
}

#[test]
fn instances_that_find_no_address_are_asked_for_once_and_forgotten_when_nobody_needs_them() {
    // A /26 has 60 addresses, two for each of 30 instances; 40 requests at once, one to each instance, ask for the 40 that there may be. Ten wait
    // for 10 s at most, and none of their instances starts when, hours later, the addresses of the others are free again.
    let text = format!(
        "duration: 4h\nnetworks: [{{name: vpc}}]\n\
         subnetworks: [{{name: apps, network: vpc, region: us-central1, ipCidrRange: 10.9.0.0/26}}]\n\
         services: [{{name: api, region: us-central1, template: {{maxInstanceRequestConcurrency: 1, \
         scaling: {{minInstanceCount: 1, maxInstanceCount: 40}}, \
         vpcAccess: {{networkInterfaces: [{{network: vpc, subnetwork: apps}}]}}}}}}]\n{HOSTS}\
         traffic: [{{name: load, from: api, to: 'partner:443', count: 40, requests: {{thinkTime: 60s}}}}]\n"
    );
    let summary = run_text(&text);
    assert_eq!((requests(&summary).succeeded, requests(&summary).failed), (30, 10));
    assert_eq!(summary.subnetworks[0].failed_instance_starts, 10);
    let service = &summary.autoscaled[0];
    assert_eq!((service.instances, service.peak_instances, service.starts), (1, 30, 29));
}

#[test]
fn a_service_that_has_scaled_to_zero_is_woken_by_a_request_and_one_pinned_to_none_is_not() {
    // Fifteen minutes after the first request the only instance is gone; the second waits two seconds for another one.
    let load = "to: 'partner:443', count: 1, requests: {}}, \
                {name: later, from: api, to: 'partner:443', start: 30m, count: 1, requests: {}";
    let woken = run_with("template: {scaling: {minInstanceCount: 0}}", "31m", load);
    assert_eq!((requests(&woken).succeeded, requests(&woken).latency_ms.max), (2, 2040.0));
    assert_eq!((woken.autoscaled[0].starts, woken.autoscaled[0].peak_instances), (1, 1));
    let none = run_with("instances: 0", "31m", load);
    assert_eq!(requests(&none).failed_by["SIM_NO_AVAILABLE_INSTANCE"], 2);
    assert_eq!(none.connections.attempted, 0);
}

#[test]
fn workers_send_one_request_after_the_other() {
    // 40 ms and a pause of 960 ms: one a second from each of 2 × 3, for 60 s.
    let load = "to: 'partner:443', workers: {perInstance: 3, pause: 960ms}, requests: {}";
    assert_eq!(requests(&run_with("instances: 2", "60s", load)).attempted, 2 * 3 * 60);
    let load = "to: 'partner:443', workers: {perInstance: 3, requests: 7}, requests: {}";
    assert_eq!(requests(&run_with("instances: 2", "60s", load)).succeeded, 2 * 3 * 7);
    // They begin with their instances, and end with them.
    let text = format!(
        "duration: 60s\nworkerPools: [{{name: pool, region: us-central1, instances: 1}}]\n{HOSTS}\
         traffic: [{{name: load, from: pool, to: 'partner:443', workers: {{perInstance: 1, pause: 960ms}}, requests: {{}}}}]\n\
         events:\n- {{at: 10500ms, scale: {{workload: pool, instances: 3}}}}\n- {{at: 20020ms, scale: {{workload: pool, instances: 1}}}}\n"
    );
    let summary = run_text(&text);
    // Seconds 0 to 59, and twice 10.5, 11.5 … 19.5.
    assert_eq!(requests(&summary).attempted, 60 + 2 * 10);
    assert_eq!(requests(&summary).failed, 0);
    let cut = run_text(&text.replace("20020ms", "19520ms"));
    assert_eq!(requests(&cut).failed_by["SIM_REQUEST_INSTANCE_GONE"], 2);
    assert_eq!(cut.connections.failed_by["SIM_INSTANCE_GONE"], 2);
}

#[test]
fn a_worker_whose_instance_goes_at_the_very_instant_of_its_next_request_sends_none() {
    // The second load makes Cloud Run start a second instance, whose worker pauses until exactly the look at which that has been
    // idle for long enough to go.
    let text = format!(
        "duration: 60s\nmodel: {{cloudRun: {{autoscaling: {{idleShutdown: 0s, containerStart: 0s}}}}}}\n\
         services: [{{name: api, region: us-central1, template: {{maxInstanceRequestConcurrency: 1, \
         scaling: {{minInstanceCount: 1, maxInstanceCount: 3}}}}}}]\n{HOSTS}\
         traffic:\n- {{name: works, from: api, to: 'partner:443', workers: {{perInstance: 1, pause: 4960ms}}, requests: {{}}}}\n\
         - {{name: more, from: api, to: 'partner:443', start: 4s, count: 2, requests: {{}}}}\n"
    );
    for pause in ["4960ms", "4980ms", "4999ms", "960ms", "0s"] {
        run_text(&text.replace("4960ms", pause));
    }
}

#[test]
fn workers_whose_connections_fail_at_once_do_not_spin() {
    // 100 workers of 25 requests a second use 28,232 ports up in 11.3 s, and get the first of them back a minute later. Until
    // 13 s each tries a thousand times a second: 100 × 1,000 × 1.7, not a million of each.
    let load = "to: 'partner:443', workers: {perInstance: 100}, requests: {}";
    let summary = run_with("instances: 1", "13s", load);
    assert_eq!(requests(&summary).succeeded, 28_232);
    let failed = requests(&summary).failed_by["SIM_NO_SOURCE_PORT"];
    assert!((160_000..=180_000).contains(&failed), "{failed}");
}

#[test]
fn every_task_of_a_job_has_its_workers() {
    let summary = run_text(&format!(
        "duration: 10m\njobs: [{{name: nightly, region: us-central1, instances: 0}}]\n{HOSTS}\
         traffic: [{{name: load, from: nightly, to: 'partner:443', workers: {{perInstance: 2, requests: 5}}, requests: {{}}}}]\n\
         events: [{{at: 60s, execute: {{job: nightly, tasks: 12, parallelism: 4, taskDuration: 30s}}}}]\n"
    ));
    assert_eq!(requests(&summary).succeeded, 12 * 2 * 5);
}

#[test]
fn a_run_can_be_ended_while_very_many_begin_at_one_instant() {
    for requests in ["", ", requests: {}"] {
        let text = format!(
            "services: [{{name: api, region: us-central1, instances: 1000}}]\n{HOSTS}\
             traffic: [{{from: api, to: 'partner:443', count: 10000000{requests}}}]\n"
        );
        let mut looks = 0;
        let run = simulation::run(&scenario(&text), None, &mut |done| {
            assert_eq!(done, 0.0, "before anything else happens");
            looks += 1;
            ControlFlow::Break(())
        });
        assert!(run.is_err());
        assert_eq!(looks, 1);
    }
}

#[test]
fn rates_change_as_they_are_told_to() {
    let attempted = |duration: &str, load: &str| {
        run_with("instances: 1", duration, &format!("to: 'partner:443', arrivals: constant, {load}"))
            .connections
            .attempted
    };
    // 30 s at 2/s, 30 s at none, 30 s at 10/s.
    let steps = "steps: [{at: 0s, rate: 2/s}, {at: 30s, rate: 0/s}, {at: 60s, rate: 10/s}, {at: 90s, rate: 0/s}]";
    assert_eq!([attempted("59s", steps), attempted("120s", steps)], [60, 60 + 300]);
    // The same as a series, from 10 s on.
    assert_eq!(attempted("120s", "start: 10s, series: {every: 30s, rates: [2/s, 0/s, 10/s]}"), 360);
    // Half of a day's mean of 1/s: 0/s at midnight, 2/s at noon.
    let day = attempted("86401s", "daily: {low: 0/s, high: 2/s}");
    assert!((86_399..=86_401).contains(&day), "{day}");
    // Poisson arrivals at the same rates: 360 with a deviation of 19.
    let poisson = run_with("instances: 1", "120s", &format!("to: 'partner:443', {steps}")).connections.attempted;
    assert!((285..=435).contains(&poisson), "{poisson}");
}

#[test]
fn what_makes_no_sense_is_an_error_with_a_cure() {
    for (load, code) in [
        ("protocol: udp, rate: 1/s, requests: {}", "requests-need-tcp"),
        ("rate: 1/s, lifetime: 1s, requests: {}", "misplaced-field"),
        ("rate: 1/s, closedBy: server, requests: {pool: {size: 1}}", "misplaced-field"),
        ("rate: 1/s, responseBytes: 0, requests: {}", "out-of-range"),
        ("rate: 1/s, requests: {calls: 0}", "out-of-range"),
        ("rate: 1/s, requests: {pool: {size: 0}}", "out-of-range"),
        ("rate: 1/s, requests: {retryPolicy: {maxAttempts: 2, backoffMultiplier: 0.5}}", "out-of-range"),
        ("rate: 1/s, requests: {dns: {server: nobody:53}}", "unknown-reference"),
        ("workers: {perInstance: 1}", "missing-field"),
        ("rate: 1/s, workers: {perInstance: 1}, requests: {}", "rate-and-count"),
        ("rate: 1/s, steps: [{at: 0s, rate: 1/s}]", "rate-and-count"),
        ("steps: []", "missing-field"),
        ("steps: [{at: 5s, rate: 1/s}, {at: 5s, rate: 2/s}]", "out-of-range"),
        ("daily: {low: 2/s, high: 1/s}", "out-of-range"),
        ("series: {every: 0s, rates: [1/s]}", "out-of-range"),
        ("series: {every: 1s, rates: []}", "missing-field"),
        ("rate: 1000001/s, requests: {}", "out-of-range"),
        ("steps: [{at: 0s, rate: 1/s}, {at: 5s, rate: 1000000000/s}]", "out-of-range"),
        (
            "workers: {perInstance: 100000}, requests: {}}, {from: many, to: 'partner:443', workers: {perInstance: 100000}, requests: {}",
            "out-of-range",
        ),
    ] {
        let text = format!(
            "services: [{{name: api, region: us-central1}}, {{name: many, region: us-central1, instances: 101}}]\n{HOSTS}traffic: [{{from: api, to: 'partner:443', {load}}}]\n"
        );
        let loaded =
            egressim::scenario::load::load(egressim::scenario::load::Source::Text { name: "t.yaml", text: &text });
        let codes: Vec<_> = loaded.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
        assert_eq!(codes, [code], "{load}");
    }
}
