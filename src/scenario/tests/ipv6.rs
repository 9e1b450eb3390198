//! IPv6 ranges of networks, subnets and VMs, and what there is to say of them.

use super::read;
use crate::scenario::Scenario;

const DIRECT: &str = "vpcAccess: {networkInterfaces: [{subnetwork: apps}], egress: ALL_TRAFFIC}";

fn text(network: &str, subnet: &str, rest: &str) -> String {
    format!(
        "networks: [{{name: vpc{network}}}]
subnetworks: [{{name: apps, network: vpc, region: r1, ipCidrRange: 10.9.0.0/24{subnet}}}]
{rest}"
    )
}

#[track_caller]
fn sound(text: &str) -> Scenario {
    let loaded = read(text);
    assert!(!loaded.diagnostics.has_errors(), "{}", loaded.diagnostics.render(&loaded.sources, false));
    loaded.scenario.expect("it is sound")
}

/// Codes of errors and warnings, and the first message.
fn findings(text: &str) -> (Vec<&'static str>, String) {
    let loaded = read(text);
    let codes = loaded.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    (codes, loaded.diagnostics.iter().next().map(|first| first.message.clone()).unwrap_or_default())
}

const ULA: &str = ", enableUlaInternalIpv6: true";
const INTERNAL: &str = ", stackType: IPV4_IPV6, ipv6AccessType: INTERNAL";
const EXTERNAL: &str = ", stackType: IPV4_IPV6, ipv6AccessType: EXTERNAL";

#[test]
fn ranges_that_a_plan_leaves_to_google_are_of_the_right_kind_and_always_the_same() {
    let internal = sound(&text(ULA, INTERNAL, ""));
    let ipv6 = internal.subnetworks[0].ipv6.clone().expect("it is dual-stack");
    let of_network = internal.networks[0].internal_ipv6.expect("it has one");
    assert_eq!((of_network.prefix_len(), ipv6.range.prefix_len(), ipv6.external), (48, 64, false));
    assert!(of_network.contains(&ipv6.range) && "fd20::/20".parse::<ipnet::Ipv6Net>().unwrap().contains(&of_network));
    assert_eq!(internal, sound(&text(ULA, INTERNAL, "")));

    let external = sound(&text("", EXTERNAL, ""));
    let ipv6 = external.subnetworks[0].ipv6.clone().expect("it is dual-stack");
    assert!(ipv6.external && "2001:db8::/32".parse::<ipnet::Ipv6Net>().unwrap().contains(&ipv6.range));
    // With an external range the network has a default route for IPv6, unless it was deleted.
    let routes = |scenario: &Scenario| scenario.routes.iter().filter(|route| route.dest.to_string() == "::/0").count();
    assert_eq!((routes(&internal), routes(&external)), (0, 1));
    assert_eq!(routes(&sound(&text(", deleteDefaultRoutesOnCreate: true", EXTERNAL, ""))), 0);
}

#[test]
fn no_two_subnets_get_one_range() {
    let many = "\
networks: [{name: vpc, enableUlaInternalIpv6: true, internalIpv6Range: \"fd20:7:7::/48\"}]
subnetworks:
- {name: a, network: vpc, region: r1, ipCidrRange: 10.1.0.0/24, stackType: IPV4_IPV6, ipv6AccessType: INTERNAL}
- {name: b, network: vpc, region: r1, ipCidrRange: 10.2.0.0/24, stackType: IPV4_IPV6, internalIpv6Prefix: \"fd20:7:7::/64\"}
- {name: c, network: vpc, region: r1, ipCidrRange: 10.3.0.0/24, stackType: IPV4_IPV6, ipv6AccessType: INTERNAL}
";
    let scenario = sound(many);
    let ranges: Vec<_> =
        scenario.subnetworks.iter().map(|subnet| subnet.ipv6.as_ref().unwrap().range.to_string()).collect();
    // What is written keeps its range, also from those that come before it.
    assert_eq!(ranges, ["fd20:7:7:1::/64", "fd20:7:7::/64", "fd20:7:7:2::/64"]);
}

#[test]
fn what_google_rejects_is_rejected() {
    for (network, subnet, code) in [
        ("", INTERNAL, "no-internal-ipv6"),
        (ULA, ", stackType: IPV4_IPV6", "missing-field"),
        (", enableUlaInternalIpv6: true, autoCreateSubnetworks: true", INTERNAL, "ipv6-auto-mode"),
        (", enableUlaInternalIpv6: true, internalIpv6Range: \"fd30::/48\"", INTERNAL, "bad-range"),
        (", enableUlaInternalIpv6: true, internalIpv6Range: \"fd20::/56\"", INTERNAL, "bad-range"),
        (ULA, ", stackType: IPV4_IPV6, internalIpv6Prefix: \"fd20:9:9:9::/64\"", "bad-range"),
        (ULA, ", stackType: IPV4_IPV6, internalIpv6Prefix: \"2600:1900::/64\"", "bad-range"),
        ("", ", stackType: IPV4_IPV6, externalIpv6Prefix: \"fd20:1:1::/64\"", "bad-range"),
        ("", ", stackType: IPV4_IPV6, externalIpv6Prefix: \"2600:1900::/96\"", "bad-range"),
        ("", ", stackType: IPV4_IPV6, externalIpv6Prefix: 10.0.0.0/8", "bad-range"),
    ] {
        let (codes, message) = findings(&text(network, subnet, ""));
        assert!(codes.contains(&code), "{network}{subnet}: {codes:?} {message}");
    }
}

#[test]
fn a_vm_has_a_range_of_its_subnet() {
    let vm =
        |nic: &str| format!("instances: [{{name: vm, zone: r1-a, networkInterfaces: [{{subnetwork: apps{nic}}}]}}]\n");
    let external = "2600:1900:1:2::";
    let subnet = format!(", stackType: IPV4_IPV6, externalIpv6Prefix: \"{external}/64\"");
    let ipv6 = |nic: &str| sound(&text("", &subnet, &vm(nic))).vms[0].ipv6.map(|range| range.to_string());
    assert_eq!(ipv6(""), None);
    assert_eq!(ipv6(", stackType: IPV4_IPV6").as_deref(), Some("2600:1900:1:2:0:1::/96"));
    let written = ", stackType: IPV4_IPV6, ipv6AccessConfigs: [{externalIpv6: \"2600:1900:1:2:0:9::\"}]";
    assert_eq!(ipv6(written).as_deref(), Some("2600:1900:1:2:0:9::/96"));
    let (codes, _) = findings(&text("", &subnet, &vm(", stackType: IPV4_IPV6, ipv6Address: \"2600:1900:9::\"")));
    assert!(codes.contains(&"bad-address"), "{codes:?}");
    let (codes, _) = findings(&text("", "", &vm(", stackType: IPV4_IPV6")));
    assert!(codes.contains(&"no-ipv6"), "{codes:?}");
}

#[test]
fn loads_that_no_ipv6_reaches_are_told_of() {
    let rest = |template: &str, address: &str| {
        format!(
            "services: [{{name: api, region: r1, template: {{{template}}}}}]
hosts: [{{name: partner, {address}}}]
traffic: [{{from: api, to: \"partner:443\", rate: 1/s}}]
"
        )
    };
    let six = "address: \"2001:db8:ffff::7\"";
    let both = "addresses: [\"2001:db8:ffff::7\", 198.51.100.7]";
    let told = |network: &str, subnet: &str, template: &str, address: &str| {
        findings(&text(network, subnet, &rest(template, address))).0.contains(&"ipv6-unreachable")
    };
    assert!(told("", "", "timeout: 60s", six));
    assert!(told("", "", DIRECT, six));
    assert!(told(ULA, INTERNAL, DIRECT, six));
    assert!(told("", EXTERNAL, "vpcAccess: {networkInterfaces: [{subnetwork: apps}]}", six));
    assert!(!told("", EXTERNAL, DIRECT, six));
    // A name with an address of either version is reached by IPv4.
    assert!(!told("", "", "timeout: 60s", both) && !told(ULA, INTERNAL, DIRECT, both));
    // Private Google Access apart, what a dual-stack subnet asks for is noted where it is used.
    let notes = |template: &str| findings(&text("", EXTERNAL, &rest(template, both))).0.contains(&"dual-stack");
    assert!(notes(DIRECT) && !notes("timeout: 60s"));
}
