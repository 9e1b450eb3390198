use std::net::Ipv4Addr;
use std::time::Duration;

use super::lists::{STANDARD, Setting, Texts};
use super::plan::{Planned, loads_behind, plan};
use super::*;
use crate::scenario::diagnostic::Sources;
use crate::scenario::load::{Loaded, Source, check, load};
use crate::scenario::{BUILT_IN, Change, IpAllocation, NatConfig, Scenario};

/// Two regions: a manual gateway with two addresses and an event, and an automatic one. A Private NAT, which is not
/// simulated, has the name of the public one behind it.
const TWO: &str = "\
name: two
duration: 20s
networks: [{name: vpc}]
subnetworks:
- {name: a, network: vpc, region: r1, ipCidrRange: 10.9.0.0/24}
- {name: b, network: vpc, region: r2, ipCidrRange: 10.10.0.0/24}
addresses: [{name: ip-1, region: r1}, {name: ip-2, region: r1}, {name: bench-nat-ip-1, region: r1}]
routers:
- name: manual
  network: vpc
  region: r1
  nats:
  - {name: gw, type: PRIVATE}
  - name: gw
    natIpAllocateOption: MANUAL_ONLY
    natIps: [ip-1, ip-2]
    sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES
    enableDynamicPortAllocation: true
    maxPortsPerVm: 1024
- name: auto
  network: vpc
  region: r2
  nats:
  - {name: gw, natIpAllocateOption: AUTO_ONLY, sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES}
services:
- {name: sa, region: r1, instances: 2, template: {vpcAccess: {networkInterfaces: [{subnetwork: a}], egress: ALL_TRAFFIC}}}
- {name: sb, region: r2, template: {vpcAccess: {networkInterfaces: [{subnetwork: b}], egress: ALL_TRAFFIC}}}
- {name: alone, region: r1}
hosts: [{name: far, address: 203.0.113.13, ports: [443], rtt: 40ms}]
traffic:
- {from: sb, to: far:443, rate: 10/s}
- {from: sa, to: far:443, rate: 20/s}
- {from: alone, to: far:443, rate: 1/s}
events:
- {at: 10s, patchNat: {gateway: manual/gw, set: {tcpTimeWaitTimeoutSec: 5}}}
";

fn two() -> Loaded {
    load(Source::Text { name: "two.yaml", text: TWO })
}

fn settings(texts: Texts<'_>) -> Vec<Setting> {
    texts.read(&mut Sources::default()).expect("every value can be read").settings()
}

fn planned(loaded: &Loaded, gateways: &[usize], texts: Texts<'_>) -> Planned {
    let scenario = loaded.scenario.as_ref().expect("the scenario is sound");
    plan(&loaded.file, &loaded.sources, scenario, &loads_behind(scenario, gateways), gateways, &settings(texts))
}

fn config(scenario: &Scenario, gateway: usize) -> &NatConfig {
    &scenario.nat_gateways[gateway].config
}

fn go_on(_: f64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn an_unchanged_file_is_the_same_scenario_when_it_is_checked_again() {
    for loaded in [load(BUILT_IN), two()] {
        let (scenario, findings) = check(&loaded.file, &loaded.sources);
        assert_eq!(scenario, loaded.scenario);
        assert_eq!(findings, loaded.diagnostics);
    }
}

#[test]
fn the_standard_set_begins_with_the_scenarios_own_setting_and_fits_the_built_in_one() {
    let loaded = load(BUILT_IN);
    let Planned { plan, diagnostics, refused } = planned(&loaded, &[0], STANDARD);
    assert_eq!((plan.cases.len(), refused), (1 + 10, 0));
    assert!(plan.cases[0].as_configured && plan.cases[1..].iter().all(|case| !case.as_configured));
    assert_eq!(Some(&plan.cases[0].scenario), loaded.scenario.as_ref());
    // That static 64 ports are few for this load is what the run shows.
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(&loaded.sources, false));
    assert!(plan.notes.is_empty(), "{:?}", plan.notes);
}

#[test]
fn a_setting_is_written_as_somebody_would_who_wanted_it_for_good() {
    let loaded = load(BUILT_IN);
    let texts = Texts { min_ports_per_vm: Some("100"), dynamic: Some("64-128"), ..Texts::default() };
    let plan = planned(&loaded, &[0], Texts { tcp_time_wait: Some("2m"), ..texts }).plan;
    let shapes: Vec<_> =
        plan.cases.iter().map(|case| serde_json::to_value(&case.setting).expect("plain data")).collect();
    let shape = |dynamic: bool, min: u32, max: Option<u32>, seconds: u32| {
        let mut shape = serde_json::json!({
            "natIpAllocateOption": "MANUAL_ONLY", "natIps": ["cloudrun-nat-ip"],
            "enableDynamicPortAllocation": dynamic, "minPortsPerVm": min,
        });
        if let Some(max) = max {
            shape["maxPortsPerVm"] = max.into();
        }
        shape["tcpTimeWaitTimeoutSec"] = seconds.into();
        shape
    };
    let expected = [shape(true, 512, Some(4096), 30), shape(false, 100, None, 120), shape(true, 64, Some(128), 120)];
    assert_eq!(shapes, expected);
    let fixed = config(&plan.cases[1].scenario, 0);
    assert_eq!((fixed.min_ports_per_vm, fixed.max_ports_per_vm, fixed.dynamic_port_allocation), (100, 100, false));
    assert_eq!(fixed.timeouts.tcp_time_wait, Duration::from_secs(120));
}

#[test]
fn what_comes_to_the_same_scenario_is_run_once() {
    let loaded = load(BUILT_IN);
    // As configured; 512 to 4,096 and 30 s are what is configured; 64 twice.
    let texts = Texts { dynamic: Some("512-4096"), min_ports_per_vm: Some("64,64"), ..Texts::default() };
    let plan = planned(&loaded, &[0], Texts { tcp_time_wait: Some("30s"), nat_ips: Some("1"), ..texts }).plan;
    assert_eq!(plan.cases.len(), 2);
}

#[test]
fn what_google_would_reject_is_refused_by_the_same_rules_and_shown_in_the_option() {
    let loaded = load(BUILT_IN);
    for (texts, code, option) in [
        (Texts { dynamic: Some("48-1024"), ..Texts::default() }, "not-a-power-of-two", "--dynamic"),
        (Texts { dynamic: Some("64-64"), ..Texts::default() }, "min-not-below-max", "--dynamic"),
        (Texts { dynamic: Some("16-64"), ..Texts::default() }, "out-of-range", "--dynamic"),
        (Texts { dynamic: Some("32-131072"), ..Texts::default() }, "out-of-range", "--dynamic"),
        (Texts { min_ports_per_vm: Some("1"), ..Texts::default() }, "out-of-range", "--min-ports-per-vm"),
        (Texts { min_ports_per_vm: Some("57345"), ..Texts::default() }, "out-of-range", "--min-ports-per-vm"),
        (Texts { tcp_time_wait: Some("0s"), ..Texts::default() }, "out-of-range", "--tcp-time-wait"),
        (Texts { nat_ips: Some("301"), ..Texts::default() }, "too-many", "--nat-ips"),
    ] {
        let mut sources = loaded.sources.clone();
        let scenario = loaded.scenario.as_ref().expect("it is sound");
        let settings = texts.read(&mut sources).expect("it can be read").settings();
        let Planned { diagnostics, refused, .. } = plan(&loaded.file, &sources, scenario, &[0], &[0], &settings);
        let found: Vec<_> = diagnostics.iter().map(|finding| finding.code).collect();
        assert_eq!((found, refused), (vec![code], 1), "{texts:?}");
        let rendered = diagnostics.render(&sources, false);
        assert!(rendered.contains(&format!("--> {option}:1:")), "{rendered}");
    }
    let limits = Texts { min_ports_per_vm: Some("2,57344"), dynamic: Some("32-64,32768-65536"), ..Texts::default() };
    assert_eq!(planned(&loaded, &[0], Texts { nat_ips: Some("300"), ..limits }).refused, 0);
}

#[test]
fn nat_ips_are_the_gateways_own_first_and_then_free_documentation_addresses() {
    let loaded = two();
    let Planned { plan, refused, .. } = planned(&loaded, &[0], Texts { nat_ips: Some("1,2,4"), ..Texts::default() });
    assert_eq!(refused, 0);
    let ips: Vec<_> = plan.cases.iter().map(|case| config(&case.scenario, 0).nat_ips.clone()).collect();
    let documentation = |last: &[u8]| last.iter().map(|&last| Ipv4Addr::new(203, 0, 113, last)).collect::<Vec<_>>();
    // The scenario's own have .10 and .11; 2 is what it has already. The host has .13.
    assert_eq!(ips, [documentation(&[10, 11]), documentation(&[10]), documentation(&[10, 11, 12, 14])]);
    let names = plan.cases[2].setting.nat_ips.clone().expect("it is manual");
    assert_eq!(names, ["ip-1", "ip-2", "bench-nat-ip-2", "bench-nat-ip-3"], "the first name is taken");
    assert!(
        plan.notes.iter().any(|note| note.ends_with("stand-ins, documentation addresses: 203.0.113.12, 203.0.113.14"))
    );
}

#[test]
fn a_number_of_nat_ips_makes_an_automatic_gateway_manual() {
    let loaded = two();
    let plan = planned(&loaded, &[1], Texts { nat_ips: Some("2"), ..Texts::default() }).plan;
    let allocate: Vec<_> = plan.cases.iter().map(|case| config(&case.scenario, 1).allocate).collect();
    assert_eq!(allocate, [IpAllocation::Auto, IpAllocation::Manual]);
    assert_eq!(config(&plan.cases[1].scenario, 1).nat_ips.len(), 2);
    assert_eq!(plan.cases[1].scenario.nat_gateways[0], plan.cases[0].scenario.nat_gateways[0], "the other stays");
    assert!(plan.notes.iter().any(|note| note.contains("AUTO_ONLY is compared as MANUAL_ONLY")), "{:?}", plan.notes);
}

#[test]
fn gateways_that_are_compared_together_share_the_setting_and_no_address() {
    let loaded = two();
    let texts = Texts { nat_ips: Some("3"), tcp_time_wait: Some("60s"), ..Texts::default() };
    let Planned { plan, refused, .. } = planned(&loaded, &[0, 1], texts);
    assert_eq!((refused, plan.cases.len()), (0, 2));
    let scenario = &plan.cases[1].scenario;
    let mut ips: Vec<_> = (0..2).flat_map(|at| config(scenario, at).nat_ips.clone()).collect();
    ips.sort_unstable();
    ips.dedup();
    assert_eq!(ips.len(), 6);
    let setting = &plan.cases[1].setting;
    // One is dynamic with 32 ports, the other static with 64.
    assert_eq!(
        (setting.tcp_time_wait_timeout_sec, setting.min_ports_per_vm, &setting.nat_ips),
        (Some(60), None, &None)
    );
}

#[test]
fn events_apply_on_top_of_a_setting() {
    let loaded = two();
    let plan = planned(&loaded, &[0], Texts { dynamic: Some("64-512"), ..Texts::default() }).plan;
    let [event] = &plan.cases[1].scenario.events[..] else { panic!("there is one") };
    let Change::PatchNat { config, .. } = &event.change else { panic!("it patches the gateway") };
    assert_eq!((config.min_ports_per_vm, config.max_ports_per_vm), (64, 512));
    assert_eq!(config.timeouts.tcp_time_wait, Duration::from_secs(5));
    assert!(plan.notes.iter().any(|note| note.starts_with("1 event applies on top")), "{:?}", plan.notes);
}

#[test]
fn the_load_behind_a_gateway_is_that_of_workloads_whose_subnet_it_serves() {
    let loaded = two();
    let scenario = loaded.scenario.as_ref().expect("it is sound");
    assert_eq!(loads_behind(scenario, &[0]), [1]);
    assert_eq!(loads_behind(scenario, &[1]), [0]);
    assert_eq!(loads_behind(scenario, &[0, 1]), [0, 1]);
    let through_connector = load(BUILT_IN).scenario.expect("it is sound");
    assert_eq!(loads_behind(&through_connector, &[0]).len(), through_connector.traffic.len());
}

#[test]
fn warnings_that_a_setting_adds_are_told_unless_the_run_finds_out() {
    let loaded = load(BUILT_IN);
    let texts = Texts { dynamic: Some("32-64"), tcp_time_wait: Some("10s"), ..Texts::default() };
    let codes: Vec<_> = planned(&loaded, &[0], texts).diagnostics.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["short-time-wait"]);
}

#[test]
fn a_row_is_what_a_run_gives_with_the_setting_written_in() {
    let loaded = load(BUILT_IN);
    let Source::Text { text, .. } = BUILT_IN else { panic!("the built-in scenario is a text") };
    let written = text
        .replace("    enableDynamicPortAllocation: true", "    tcpTimeWaitTimeoutSec: 60")
        .replace("    minPortsPerVm: 512", "    minPortsPerVm: 256")
        .replace("    maxPortsPerVm: 4096\n", "");
    let written = load(Source::Text { name: "written.yaml", text: &written }).scenario.expect("it is sound");
    let summary = simulation::run(&written, None, &mut go_on).expect("it runs");

    let texts = Texts { min_ports_per_vm: Some("256"), tcp_time_wait: Some("60s"), ..Texts::default() };
    let plan = planned(&loaded, &[0], texts).plan;
    assert_eq!(plan.cases[1].scenario, written);
    let bench = compare(&plan, 2, &mut go_on).expect("it runs");
    let row = &bench.settings[1];
    let connections = &summary.connections;
    assert_eq!((row.offered, row.accepted), (connections.attempted, connections.established - connections.broken));
    assert_eq!((row.refused, row.pending), (connections.failed_by["OUT_OF_RESOURCES"], connections.pending));
    assert_eq!((row.other_failures, &row.failed_by), (0, &connections.failed_by));
    let gateway = &summary.gateways[0];
    assert_eq!(row.dropped_packets, gateway.dropped_sent_packets["OUT_OF_RESOURCES"]);
    assert_eq!(row.peak_allocated_ports, 256);
    assert_eq!(
        Some(row.peak_port_usage),
        gateway.endpoints.iter().map(|endpoint| endpoint.ports.peak_port_usage).max()
    );
    assert_eq!((row.nat_ips, row.min_extra_nat_ips_needed), (1, gateway.min_extra_nat_ips_needed));
    assert_eq!(row.first_refusal.as_ref(), gateway.exhaustions.first().map(|exhaustion| &exhaustion.from));
    assert!(row.refused > 0, "60 s of TIME_WAIT are too many for 256 ports");
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let loaded = two();
    let texts = Texts { min_ports_per_vm: Some("64,128"), nat_ips: Some("1,2"), ..Texts::default() };
    let plan = planned(&loaded, &[0, 1], texts).plan;
    let one = compare(&plan, 1, &mut go_on).expect("it runs");
    assert_eq!(one.settings.len(), plan.cases.len());
    for threads in [0, 3, 100] {
        assert_eq!(compare(&plan, threads, &mut go_on).expect("it runs"), one);
    }
}

#[test]
fn whoever_watches_may_end_it() {
    let plan = planned(&load(BUILT_IN), &[0], STANDARD).plan;
    let ended = compare(&plan, 2, &mut |_| ControlFlow::Break(()));
    assert!(matches!(ended, Err(RecordingError::Interrupted)), "{ended:?}");
    let mut furthest = 0.0_f64;
    compare(&plan, 2, &mut |done| {
        assert!((furthest..=1.0).contains(&done), "{done} after {furthest}");
        furthest = done;
        ControlFlow::Continue(())
    })
    .expect("it runs");
    assert!((furthest - 1.0).abs() < 1e-9);
}
