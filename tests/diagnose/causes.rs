//! Each kind of cause is named where it is at work, and what ends it comes first.

use std::collections::{BTreeMap, BTreeSet};

use egressim::diagnose::kind::Kind;
use egressim::report::diagnose::Remedy;
use serde_json::json;

use crate::common::repository;
use crate::{assert_adds_up, diagnosed, printed, remedy, shop};

#[test]
fn churn_is_told_from_open_connections_by_what_holds_the_ports() {
    // 5/s x (0.2 + 30) s = 151 ports wanted, of which 150 in TIME_WAIT; 64 are there. With 15 s it is 76, with 128 ports none.
    let churn = diagnosed(&shop("minPortsPerVm: 64", "rate: 5/s, lifetime: 200ms, connectTimeout: 3s", ""));
    assert_eq!(churn.causes[0].kind, "time-wait");
    // 150 that stay open.
    let open = diagnosed(&shop("minPortsPerVm: 64", "count: 150, lifetime: 80s, connectTimeout: 3s", ""));
    assert_eq!((open.causes[0].kind, open.causes[0].failures), ("vm-ports", 150 - 64));
    let first = &open.causes[0].remedies[0];
    assert_eq!((first.change.as_str(), first.sufficient), ("minPortsPerVm: 64 -> 256", true));
    // A shorter TIME_WAIT is no help to them.
    let shorter = |remedy: &&Remedy| remedy.change.starts_with("tcpTimeWaitTimeoutSec");
    assert_eq!(open.causes[0].remedies.iter().find(shorter).map(|remedy| remedy.failures_after), Some(150 - 64));
}

#[test]
fn more_ports_that_leave_none_for_others_come_with_the_nat_ips_that_they_take() {
    // 40 addresses (20 instances): 64,512 ports are 40 x 1,024 and not 40 x 2,048. 20 x 1,500 connections want 2,048 each.
    let text = shop("minPortsPerVm: 1024", "count: 30000, lifetime: 60s, connectTimeout: 2s", "")
        .replace("- name: api\n  region: r1", "- name: api\n  region: r1\n  instances: 20");
    let diagnosis = diagnosed(&text);
    let cause = &diagnosis.causes[0];
    assert_eq!(cause.kind, "vm-ports");
    let ports = cause.remedies.iter().find(|remedy| remedy.change.starts_with("minPortsPerVm")).unwrap();
    // 31 blocks of 2,048 on an IP: 40 want two.
    assert_eq!(ports.change, "minPortsPerVm: 1024 -> 2048 and 1 more natIps");
    assert!(ports.sufficient, "{ports:#?}");
}

#[test]
fn the_scenarios_of_cloud_nat_have_the_causes_and_remedies_that_they_describe() {
    // File, kind, where, rule, and what the file's own header says helps.
    let documented = [
        ("drained-ip", "mapping-lost", "cloudrun-nat-gateway", None, "drainNatIps"),
        (
            "endpoint-independent-conflict",
            "endpoint-independence-conflict",
            "cloudrun-nat-gateway",
            None,
            "minPortsPerVm: 64 -> 128",
        ),
        ("growth-too-slow", "growth-pending", "cloudrun-nat-gateway", None, "minPortsPerVm: 64 -> 256"),
        ("half-the-ports", "gateway-ips", "cloudrun-nat-gateway", None, "natIps: 1 -> 3"),
        ("rule-runs-dry", "gateway-ips", "cloudrun-nat-gateway", Some(100), "sourceNatActiveIps of rule 100: 1 -> 2"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, kind, place, rule, helps) in documented {
        let path = repository(&format!("scenarios/nat/{name}.yaml"));
        let (diagnosis, status) = printed(folder.path(), &[path.to_str().unwrap()]);
        assert_eq!(status, 1, "{name}");
        let causes = diagnosis["causes"].as_array().unwrap();
        assert_eq!(causes.len(), 1, "{name}");
        assert_eq!((&causes[0]["kind"], &causes[0]["where"]), (&json!(kind), &json!(place)), "{name}");
        assert_eq!(causes[0].get("ruleNumber"), rule.map(|rule| json!(rule)).as_ref(), "{name}");
        let remedy = remedy(&causes[0], helps);
        assert_eq!((&remedy["sufficient"], &remedy["failuresAfter"]), (&json!(true), &json!(0)), "{name}");
    }
    // Of half of the ports: fewer for each VM are the other way out, 8,192 as the header says.
    let path = repository("scenarios/nat/half-the-ports.yaml");
    let (diagnosis, _) = printed(folder.path(), &[path.to_str().unwrap()]);
    assert_eq!(remedy(&diagnosis["causes"][0], "minPortsPerVm: 32000 -> 8192")["sufficient"], true);
}

/// What a small scenario shows.
struct Shown {
    /// The cause that does most harm.
    kind: Kind,
    /// Where.
    place: &'static str,
    /// Failed and broken connections of it, where arithmetic tells.
    failures: Option<u64>,
    /// How its first remedy begins, which suffices.
    first: Option<&'static str>,
}

/// A test for each; and the kinds that they are about.
macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident: $kind:ident at $place:literal, $failures:expr, $first:expr, $text:expr;)*) => {
        $($(#[$doc])* #[test] fn $name() {
            assert_shown(&Shown { kind: Kind::$kind, place: $place, failures: $failures, first: $first }, &$text);
        })*
        const SHOWN: &[Kind] = &[$(Kind::$kind),*];
    };
}

#[track_caller]
fn assert_shown(shown: &Shown, text: &str) {
    let diagnosis = diagnosed(text);
    let causes: BTreeMap<_, _> = diagnosis.causes.iter().map(|cause| (cause.kind, cause.failures)).collect();
    let cause = diagnosis.causes.first().expect("something failed");
    assert_eq!((cause.kind, cause.r#where.as_str()), (shown.kind.name(), shown.place), "{causes:?}");
    assert_adds_up(&diagnosis);
    if let Some(failures) = shown.failures {
        assert_eq!(cause.failures, failures, "{causes:?}");
    }
    match (shown.first, cause.remedies.first()) {
        (Some(begins), Some(first)) => {
            assert!(first.change.starts_with(begins) && first.sufficient, "{:#?}", cause.remedies);
        }
        (Some(begins), None) => panic!("no remedy {begins}"),
        // What nothing ends says at least what to do, or what was tried.
        (None, first) => {
            assert!(first.is_none_or(|first| !first.sufficient), "{first:#?}");
            assert!(first.is_some() || cause.advice.is_some());
        }
    }
}

/// Enough ports for everybody.
fn plain(load: &str, more: &str) -> String {
    shop("minPortsPerVm: 1024", load, more)
}

/// The same load to another host.
fn to(host: &str, text: String) -> String {
    text.replace("partner:443", host)
}

/// With other fields of the partner.
fn partner(fields: &str, text: String) -> String {
    text.replace("rtt: 40ms", &format!("rtt: 40ms, {fields}"))
}

/// Another host before the partner.
fn with_host(host: &str, text: String) -> String {
    text.replace("hosts: [", &format!("hosts: [{{{host}}}, "))
}

/// Through a connector instead of Direct VPC egress.
fn behind_connector(fields: &str, text: String) -> String {
    let direct = "networkInterfaces: [{network: vpc, subnetwork: apps}], egress";
    assert!(text.contains(direct));
    let connector =
        format!("connectors: [{{name: conn, region: r1, network: vpc, ipCidrRange: 10.8.0.0/28{fields}}}]\n");
    text.replace(direct, "connector: conn, egress") + &connector
}

/// The gateway covers another subnet than the service's.
fn uncovered(text: String) -> String {
    let all = "sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES";
    assert!(text.contains(all));
    text.replace(
        all,
        "sourceSubnetworkIpRangesToNat: LIST_OF_SUBNETWORKS, subnetworks: [{name: other, \
         sourceIpRangesToNat: [ALL_IP_RANGES]}]",
    )
    .replace(
        "subnetworks: [{name: apps",
        "subnetworks: [{name: other, network: vpc, region: r1, ipCidrRange: 10.7.0.0/26}, {name: apps",
    )
}

const FIVE: &str = "count: 5, connectTimeout: 3s";
const DATABASE: &str = "name: db, address: 10.9.0.60, location: vpc, network: vpc, ports: [5432]";

causes! {
    // 64 of 150 that stay open have a port.
    open_connections_take_all_ports: VmPorts at "gw", Some(150 - 64), Some("minPortsPerVm: 64 -> 256"),
        shop("minPortsPerVm: 64", "count: 150, lifetime: 80s, connectTimeout: 3s", "");
    // 5/s x (0.2 + 30) s = 151 ports wanted.
    closed_connections_hold_most_ports: TimeWait at "gw", None, Some("minPortsPerVm: 64 -> 256"),
        shop("minPortsPerVm: 64", "rate: 5/s, arrivals: constant, lifetime: 200ms, connectTimeout: 3s", "");
    // 64 of 100 at once have a port, the rest waits for 5 s; more ports take 20 s.
    growth_comes_too_late: GrowthPending at "gw", Some(100 - 64), Some("minPortsPerVm: 64 -> 128"),
        shop(
            "enableDynamicPortAllocation: true, minPortsPerVm: 64, maxPortsPerVm: 4096",
            "count: 100, lifetime: 60s, connectTimeout: 5s",
            "",
        );
    the_gateway_has_no_address: NoNatIp at "gw", Some(5), Some("natIps: 0 -> 1"),
        plain(FIVE, "").replace("natIps: [ip]", "natIps: []");

    // Cloud Run's 10 minutes into the VPC come before Cloud NAT's 20.
    cloud_run_forgets_idle_connections: IdleExpiry at "vpc firewall", Some(5),
        Some("the client closes idle connections after 9m50s"),
        plain("count: 5, lifetime: 25m", "").replace("duration: 90s", "duration: 45m");
    // The first packet afterwards gets another port, and the far side resets what it does not know.
    cloud_nat_forgets_idle_connections: IdleExpiry at "gw", Some(5), Some("the client closes idle connections after 1m"),
        shop(
            "minPortsPerVm: 64, tcpEstablishedIdleTimeoutSec: 100",
            "count: 5, lifetime: 5m",
            "model: {nat: {portSelection: random}}",
        )
        .replace("duration: 90s", "duration: 8m");

    // Three of four instances are new, and open after 20 s, not 5.
    new_instances_reach_nothing_yet: ClosedWindow at "api", None, Some("minInstanceCount of api: 1 -> 4"),
        plain("count: 40, start: 11s, connectTimeout: 5s", "events: [{at: 10s, scale: {workload: api, instances: 4}}]");
    // A /28 has twelve usable addresses: six instances of another service hold them.
    the_subnet_has_no_addresses: AddressExhaustion at "api", Some(5), Some("ipCidrRange of apps: 10.9.0.0/28 -> 10.9.0.0/26"),
        plain("count: 5", "").replace("10.9.0.0/26", "10.9.0.0/28").replace(
            "services:\n",
            "services:\n- {name: first, region: r1, instances: 6, template: {vpcAccess: {networkInterfaces: \
             [{network: vpc, subnetwork: apps}], egress: ALL_TRAFFIC}}}\n",
        );
    nobody_is_there_to_send: NoInstance at "api", Some(5), None,
        plain("count: 5, start: 6s", "events: [{at: 5s, scale: {workload: api, instances: 0}}]");
    // Linux has 28,232 ephemeral ports for one destination.
    an_instance_runs_out_of_its_own_ports: SourcePorts at "api", Some(28_300 - 28_232), Some("instances of api: 1 -> 2"),
        shop("minPortsPerVm: 32768", "count: 28300, lifetime: 1m, connectTimeout: 2s", "").replace("90s", "10s");
    // Ten of a hundred in the one second; sixteen times as many instances may begin 160.
    an_instance_begins_too_many_at_once: ConnectionRate at "api", Some(90), Some("instances of api: 1 -> 16"),
        plain("count: 100", "model: {cloudRun: {connectionsPerSecond: 10}}");
    the_revision_is_not_ready: NotReady at "api", Some(5), None,
        plain(FIVE, "").replace(
            "- name: api\n",
            "- name: api\n  terminalCondition: {type: Ready, state: CONDITION_FAILED, message: it did not listen}\n",
        );

    // 10/s x 2 MB are 160 Mbps through two VMs of 50 Mbps.
    more_than_the_connector_carries: ConnectorThroughput at "conn", None, Some("Direct VPC egress"),
        behind_connector(
            ", machineType: f1-micro",
            plain(
                "rate: 10/s, stop: 15s, responseBytes: 2MB, lifetime: 1s, connectTimeout: 3s",
                "model: {connector: {burst: 1}}\n",
            )
            .replace("duration: 90s", "duration: 20s"),
        );
    // Two VMs of 100 ports.
    a_connector_vm_runs_out_of_ports: ConnectorPorts at "conn", Some(600 - 2 * 100), Some("Direct VPC egress"),
        behind_connector("", shop("minPortsPerVm: 32768", "count: 600, lifetime: 60s", "model: {connector: {snatPorts: 100}}\n"));
    // 10/s x 100 kB are 8 Mbps over a line of 1 Mbps.
    more_than_a_line_carries: LinkThroughput at "partner", None, None,
        partner("bandwidth: 1Mbps", plain("rate: 10/s, stop: 15s, responseBytes: 100kB, lifetime: 1s, connectTimeout: 2s", ""));

    a_rule_denies_egress: Firewall at "vpc firewall", Some(5),
        Some("a firewall rule of priority 499 that allows egress tcp:443 to 198.51.100.7/32"),
        plain(
            FIVE,
            "firewalls: [{name: no, network: vpc, direction: EGRESS, priority: 500, \
             destinationRanges: [198.51.100.0/24], denied: [{IPProtocol: all}]}]",
        );
    no_rule_allows_ingress: Firewall at "vpc firewall", Some(5),
        Some("a firewall rule of priority 1000 that allows ingress tcp:5432 from 10.9.0.0/26"),
        to("db:5432", with_host(DATABASE, plain(FIVE, "")));
    there_is_no_default_route: Route at "vpc routes", Some(5), Some("a route 0.0.0.0/0 of vpc to default-internet-gateway"),
        plain(FIVE, "").replace("networks: [{name: vpc}]", "networks: [{name: vpc, deleteDefaultRoutesOnCreate: true}]");
    no_gateway_covers_the_subnet: NoNat at "vpc routes", Some(5),
        Some("sourceSubnetworkIpRangesToNat of gw: ALL_SUBNETWORKS_ALL_IP_RANGES"),
        uncovered(plain(FIVE, ""));
    nobody_has_the_address: UnknownAddress at "vpc firewall", Some(5), None, to("10.9.0.50:443", plain(FIVE, ""));
    google_apis_without_private_google_access: GoogleAccess at "api", Some(5),
        Some("privateIpGoogleAccess of apps: true"),
        to(
            "199.36.153.8:443",
            with_host("name: google, address: 199.36.153.8, location: google-api", uncovered(plain(FIVE, ""))),
        );
    the_connector_is_not_ready: NoVpcAccess at "conn", Some(5), Some("state of conn: READY"),
        behind_connector(", state: ERROR", plain(FIVE, ""));
    a_private_destination_without_a_way_there: NoVpcAccess at "api", Some(5),
        Some("Direct VPC egress (subnet apps) to network vpc"),
        to("db:5432", with_host(DATABASE, plain(
            FIVE,
            "firewalls: [{name: in, network: vpc, direction: INGRESS, sourceRanges: [10.0.0.0/8], allowed: [{IPProtocol: tcp}]}]\n",
        )))
        .replace("  template: {vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: apps}], egress: ALL_TRAFFIC}}\n", "");
    an_ipv6_destination_without_ipv6: Ipv6Unavailable at "api", Some(5), None,
        to("v6:443", with_host("name: v6, address: \"2001:db8::7\"", plain(FIVE, "")));
    // TCP port 25.
    mail_is_always_blocked: NotCarried at "vpc routes", Some(5), None,
        to("partner:25", plain(FIVE, "")).replace("ports: [443]", "ports: [25]");
    // The SYN passes, and a request of 4,096 bytes in segments of 1,460 does not: Linux sends it again for a quarter of an hour.
    large_packets_vanish: Mtu at "partner", Some(5), None,
        partner("mtu: 1000, icmpBlackHole: true", plain("count: 5, requestBytes: 4096, lifetime: 1s", ""))
            .replace("duration: 90s", "duration: 30m");

    the_port_is_closed: FarSideRefused at "partner", Some(5), None, to("partner:80", plain("count: 5", ""));
    the_host_never_answers: FarSideSilent at "partner", Some(5), None, partner("unreachable: true", plain(FIVE, ""));

    a_line_is_down: LinkDown at "api", Some(5), None,
        plain("count: 5, start: 2s, connectTimeout: 3s", "events: [{at: 1s, outage: {workload: api, for: 60s}}]");
    // A SYN and its answer both pass with 0.7 x 0.7 = 0.49: two SYNs in 2 s leave a quarter of the clients without, ten in 60 s
    // one in 800.
    the_way_is_lossy: Loss at "partner", None, Some("connectTimeout: 2s -> "), partner("loss: 0.3", plain("count: 200, connectTimeout: 2s", ""));
    infrastructure_is_restarted: Infrastructure at "api", Some(5), None,
        plain("count: 5, lifetime: 60s", "events: [{at: 20s, resetConnections: {workload: api}}]");
}

#[test]
fn late_drops_are_traced_in_the_network_of_then() {
    // The rule is there from the start, and denies from the tenth second on: at 0 s the trace gets through.
    let denied = diagnosed(&plain(
        "rate: 1/s, arrivals: constant, start: 20s, stop: 25s, connectTimeout: 3s",
        "firewalls: [{name: late, network: vpc, direction: EGRESS, priority: 500, disabled: true, denied: [{IPProtocol: tcp}]}]
events: [{at: 10s, patchFirewall: {firewall: late, set: {disabled: false}}}]",
    ));
    let cause = &denied.causes[0];
    assert_eq!((cause.kind, cause.failures), ("firewall", 5));
    let finding = cause.evidence.finding.as_deref().unwrap();
    assert!(finding.contains("late") && finding.contains("priority 500"), "{finding}");
    let allow = &cause.remedies[0];
    assert!(allow.change.starts_with("a firewall rule of priority 499") && allow.sufficient, "{allow:?}");

    // The default route goes away, and an instance that was not there at the start meets its absence.
    let routed = diagnosed(
        &plain(
            "count: 4, start: 60s, connectTimeout: 3s",
            "routes: [{name: out, network: vpc, destRange: 0.0.0.0/0, priority: 1000, nextHopGateway: default-internet-gateway}]
events: [{at: 5s, scale: {workload: api, instances: 2}}, {at: 30s, removeRoute: {network: vpc, route: out}}]",
        )
        .replace("networks: [{name: vpc}]", "networks: [{name: vpc, deleteDefaultRoutesOnCreate: true}]"),
    );
    let cause = &routed.causes[0];
    assert_eq!((cause.kind, cause.failures), ("route", 4));
    let finding = cause.evidence.finding.as_deref().unwrap();
    assert!(finding.contains("no route") && finding.contains("198.51.100.7"), "{finding}");
    let route = &cause.remedies[0];
    assert!(route.change.starts_with("a route 0.0.0.0/0 of vpc") && route.sufficient, "{route:?}");
}

#[test]
fn what_has_one_cause_is_told_once_and_what_has_several_is_told_apart() {
    // Three loads to two hosts: without Cloud NAT that is one cause, which one change ends.
    let loads = "traffic:
- {name: one, from: api, to: \"partner:443\", count: 2, connectTimeout: 3s}
- {name: two, from: api, to: \"partner:80\", count: 3, connectTimeout: 3s}
- {name: three, from: api, to: \"other:443\", count: 4, connectTimeout: 3s}
";
    let hosts = |text: &str| {
        let text = with_host("name: other, address: 198.51.100.9", text.to_owned());
        format!("{}{loads}", &text[..text.find("traffic:").unwrap()]).replace("ports: [443]", "ports: [443, 80]")
    };
    let text = hosts(&plain(FIVE, ""));
    let uncovered = diagnosed(&uncovered(text.clone()));
    assert_eq!(uncovered.causes.len(), 1);
    let cause = &uncovered.causes[0];
    assert_eq!((cause.kind, cause.failures, cause.loads.len()), ("no-nat", 9, 3));
    assert!(cause.remedies[0].sufficient && cause.remedies[0].failures_after == 0, "{:?}", cause.remedies[0]);

    // The same host does not answer at two ports: one cause. The other host is another.
    let silent =
        diagnosed(&text.replace("rtt: 40ms", "unreachable: true").replace("100.9", "100.9, unreachable: true"));
    let causes: Vec<_> = silent.causes.iter().map(|it| (it.kind, it.r#where.as_str(), it.failures)).collect();
    assert_eq!(causes, [("far-side-silent", "partner", 5), ("far-side-silent", "other", 4)]);

    // A rule that denies all destinations: each wants a rule of its own, or all of them that there is none, or that they do not
    // go into the network.
    let denied =
        diagnosed(&(text + "firewalls: [{name: no, network: vpc, direction: EGRESS, denied: [{IPProtocol: all}]}]\n"));
    let causes: Vec<_> = denied.causes.iter().map(|it| (it.kind, it.loads[0].name.as_str(), it.failures)).collect();
    assert_eq!(causes, [("firewall", "three", 4), ("firewall", "two", 3), ("firewall", "one", 2)]);
    for cause in &denied.causes {
        let left: Vec<_> = cause.remedies.iter().map(|it| (it.sufficient, it.failures_after)).collect();
        assert_eq!(left, [(true, 0), (true, 0), (true, 9 - cause.failures)], "{:#?}", cause.remedies);
    }
    // What is the same for all is run once: the first run, the two, and a rule for each of three.
    assert_eq!(denied.simulations, 6);
}

/// Kinds that have a scenario of their own in the repository, of which another test asks.
const DOCUMENTED: [Kind; 3] = [Kind::GatewayIps, Kind::MappingConflict, Kind::MappingLost];
/// Kinds that no small scenario shows: the firewall tracks 130,000 connections at least, no simulated server resets what it
/// has accepted, and stray packets are none that a load sends.
const NOT_SHOWN: [Kind; 3] = [Kind::TrackingTable, Kind::FarSideReset, Kind::Stray];

#[test]
fn every_kind_is_shown_by_a_scenario_unless_there_is_none() {
    let shown: BTreeSet<Kind> = SHOWN.iter().chain(&DOCUMENTED).copied().collect();
    let all: BTreeSet<Kind> = Kind::ALL.iter().copied().filter(|kind| !NOT_SHOWN.contains(kind)).collect();
    assert_eq!(shown, all);
}
