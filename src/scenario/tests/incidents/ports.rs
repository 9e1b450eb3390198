//! Incidents of ports that ran out: which settings would have been enough.

use super::{DIRECT, NAT, found, service};

/// A service with Direct VPC egress behind a gateway with these fields, and a load to one endpoint.
fn loaded(nat: &str, instances: u32, load: &str) -> String {
    let nat = NAT.replace("{name: gw, ", &format!("{{name: gw, {nat}, "));
    let traffic = format!("traffic: [{{from: api, to: \"partner:443\", {load}}}]\n");
    service(DIRECT, &format!("{nat}{traffic}")).replace("name: api,", &format!("name: api, instances: {instances},"))
}

#[test]
fn s1_one_address_has_room_for_seven_endpoints_at_a_maximum_of_8192() {
    // 5,000 connections on each instance are 8,192 ports; 7 of these and as many addresses that are merely held fit.
    let nat = "enableDynamicPortAllocation: true, minPortsPerVm: 128, maxPortsPerVm: 8192, tcpTimeWaitTimeoutSec: 30";
    let text = |instances: u32| {
        let load = format!("rate: {}/s, lifetime: 470s, connectTimeout: 2m", instances * 10);
        loaded(nat, instances, &load).replace("duration: 5m", "duration: 10m")
    };
    found("growth-without-ips", &text(8), &text(7));
    let more = text(8)
        .replace("natIps: [ip]", "natIps: [ip, ip-2]")
        .replace("{name: ip, region: r1}", "{name: ip, region: r1}, {name: ip-2, region: r1}");
    found("growth-without-ips", &text(8), &more);
}

#[test]
fn s4_one_api_from_64_static_ports_with_endpoint_independent_mapping() {
    let text = |ports: u32, independent: bool| {
        let nat = format!("minPortsPerVm: {ports}, enableEndpointIndependentMapping: {independent}");
        loaded(&nat, 2, "count: 400, lifetime: 10s")
    };
    // 200 sockets an instance on 64 ports: first they conflict, and without the mapping they run out.
    found("eim-conflict", &text(64, true), &text(64, false));
    found("too-few-ports", &text(64, false), &text(2048, false));
    found("eim-conflict", &text(64, true), &text(2048, true));
}

#[test]
fn s5_a_burst_of_short_connections_in_blocks_of_64_ports() {
    // 5/s × (0.2 + 30 s) are 151 ports for one instance. The cure was dynamic allocation with a higher minimum.
    let text = |nat: &str| loaded(nat, 1, "rate: 5/s, lifetime: 200ms");
    let cure = "enableDynamicPortAllocation: true, minPortsPerVm: 2048, maxPortsPerVm: 4096";
    found("too-few-ports", &text("minPortsPerVm: 64"), &text(cure));
    // Dynamic allocation alone comes too late for a burst at once.
    let burst = |nat: &str| loaded(nat, 1, "count: 150, lifetime: 200ms");
    let late = "enableDynamicPortAllocation: true, minPortsPerVm: 64, maxPortsPerVm: 4096";
    found("growth-too-slow", &burst(late), &burst(cure));
}

#[test]
fn s6_ports_are_those_of_the_connectors_vms_and_not_of_the_functions() {
    let text = |vms: u32| {
        let traffic = "traffic: [{from: api, to: \"partner:443\", count: 500, lifetime: 5s}]\n";
        let nat = NAT.replace("{name: gw, ", "{name: gw, minPortsPerVm: 64, ");
        service("vpcAccess: {connector: conn, egress: ALL_TRAFFIC}", &format!("{nat}{traffic}"))
            .replace("name: api,", "name: api, instances: 50,")
            .replace("10.8.0.0/28}", &format!("10.8.0.0/28, minInstances: {vms}, maxInstances: 10}}"))
    };
    // 50 instances share 2 × 64 ports, or 9 × 64.
    found("too-few-ports", &text(2), &text(9));
}

#[test]
fn s13_a_database_behind_its_proxy_and_an_api_share_64_ports_of_one_gateway() {
    let text = |nat: &str, destination: &str| {
        let database = format!("- {{from: api, to: \"{destination}\", count: 100, lifetime: 1m}}\n");
        let nat = NAT.replace("{name: gw, ", &format!("{{name: gw, {nat}, "));
        let traffic = format!("traffic:\n- {{from: api, to: \"partner:443\", count: 60}}\n{database}");
        service(DIRECT, &format!("{nat}{traffic}"))
            .replace("hosts:\n", "hosts:\n- {name: sql, address: 203.0.113.200, ports: [3307]}\n")
    };
    let hard_coded = "minPortsPerVm: 64, enableEndpointIndependentMapping: true";
    found("eim-conflict", &text(hard_coded, "sql:3307"), &text("minPortsPerVm: 128", "sql:3307"));
    // The other cure: a private address, which takes no NAT ports.
    found("eim-conflict", &text(hard_coded, "sql:3307"), &text(hard_coded, "db:3307"));
}

#[test]
fn s14_sources_share_a_nat_port_toward_one_destination() {
    let text = |independent: bool| {
        let nat = format!("minPortsPerVm: 64, enableEndpointIndependentMapping: {independent}");
        loaded(&nat, 1, "count: 65, lifetime: 5s")
    };
    found("eim-conflict", &text(true), &text(false));
}

#[test]
fn s15_512_static_ports_are_too_few_for_a_busy_worker() {
    let text = |ports: u32| loaded(&format!("minPortsPerVm: {ports}"), 1, "count: 3000, lifetime: 1m");
    found("too-few-ports", &text(512), &text(7168));
    found("too-few-ports", &text(2048), &text(4096));
}

#[test]
fn s16_time_wait_bars_ports_of_connections_that_are_long_closed() {
    // 20/s × (0.1 + 120 s) are 2,402 ports, 20/s × (0.1 + 30 s) are 602.
    let text = |seconds: u32| {
        loaded(&format!("minPortsPerVm: 2048, tcpTimeWaitTimeoutSec: {seconds}"), 1, "rate: 20/s, lifetime: 100ms")
    };
    found("too-few-ports", &text(120), &text(30));
    // The 65th connection at once has no port among 64.
    let at_once = |count: u32| loaded("minPortsPerVm: 64", 1, &format!("count: {count}, lifetime: 1m"));
    found("too-few-ports", &at_once(65), &at_once(64));
}
