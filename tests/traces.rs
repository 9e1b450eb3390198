//! One packet through a small scenario: the way it takes, where it ends and why, and that the rule or route is named.
//!
//! The states, and their order, are those of Connectivity Tests. The whole texts are snapshots, to be read. Names that begin
//! with `t` and a number are those of the table of test vectors that `vectors.rs` goes on with.

mod common;

use common::walk::{ALLOW_DB, CONNECTOR, DIRECT, HOUSE, LONE, NAT, ending, house, states, walk};

#[test]
fn a_public_address_is_reached_as_attachment_and_egress_setting_say() {
    let yaml = house(&[NAT]);
    let to = "198.51.100.7:443/tcp";
    let mut texts = Vec::new();
    for (from, way) in [
        ("lone", LONE.to_owned()),
        ("conn-private", LONE.to_owned()),
        ("direct-private", LONE.to_owned()),
        ("conn-all", format!("{CONNECTOR} > APPLY_ROUTE > NAT > DELIVER")),
        ("direct-all", format!("{DIRECT} > APPLY_ROUTE > NAT > DELIVER")),
    ] {
        let walk = walk(&yaml, from, to).goes(&way, "DELIVER");
        // The partner sees the static address of those, and only those, that go through the VPC.
        let seen = walk.text.contains("203.0.113.10");
        assert_eq!(seen, from.ends_with("-all"), "{}", walk.text);
        texts.push(walk.text);
    }
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn a_private_address_is_reached_by_all_that_are_attached() {
    let yaml = house(&[ALLOW_DB]);
    let to = "10.9.0.200:5432/tcp";
    let arrives = "APPLY_ROUTE > APPLY_INGRESS_FIREWALL_RULE > ARRIVE_AT_INSTANCE > DELIVER";
    let mut texts = Vec::new();
    for (from, way) in [
        ("conn-private", format!("{CONNECTOR} > {arrives}")),
        ("conn-all", format!("{CONNECTOR} > {arrives}")),
        ("direct-private", format!("{DIRECT} > {arrives}")),
        ("direct-all", format!("{DIRECT} > {arrives}")),
    ] {
        let walk = walk(&yaml, from, to)
            .goes(&way, "DELIVER")
            .says(&["firewall rule allow-db"])
            .says(&["subnet route 10.9.0.0/24 of app"]);
        texts.push(walk.text);
    }
    let lone = walk(&yaml, "lone", to)
        .goes("START_FROM_CLOUD_RUN_REVISION > DROP", "DROP VPC_CONNECTOR_NOT_SET")
        .says(&["10.9.0.200 is private", "no VPC attachment"])
        .stays_unanswered();
    texts.push(lone.text);
    insta::assert_snapshot!(texts.join("\n"));
}

/// Where a workload's packet to a public or private address goes first.
fn first_way(from: &str, to: &str) -> &'static str {
    let walk = walk(HOUSE, from, &format!("{to}:443/tcp"));
    match states(&walk.probe.trace).split(" > ").nth(1) {
        Some("DIRECT_VPC_EGRESS_CONNECTION" | "ARRIVE_AT_VPC_CONNECTOR") => "VPC",
        Some("SERVERLESS_EXTERNAL_CONNECTION") => "external",
        _ => panic!("neither way\n{}", walk.text),
    }
}

#[test]
fn t1_private_ranges_take_the_way_into_the_vpc() {
    for from in ["direct-private", "conn-private"] {
        for to in ["10.1.2.3", "172.31.255.255", "192.168.0.1", "100.127.255.254"] {
            assert_eq!(first_way(from, to), "VPC", "{from} to {to}");
        }
    }
}

#[test]
fn t2_their_neighbours_take_the_way_to_the_internet() {
    for from in ["direct-private", "conn-private"] {
        for to in ["172.32.0.1", "100.128.0.1", "9.255.255.255", "8.8.8.8"] {
            assert_eq!(first_way(from, to), "external", "{from} to {to}");
        }
    }
}

#[test]
fn t3_of_the_addresses_for_google_apis_all_eight_and_no_others_take_the_way_into_the_vpc() {
    for last in 3..=12u8 {
        let expected = if (4..=11).contains(&last) { "VPC" } else { "external" };
        assert_eq!(first_way("direct-private", &format!("199.36.153.{last}")), expected, "199.36.153.{last}");
    }
}

#[test]
fn t7_a_private_address_needs_a_vpc_attachment() {
    let yaml = "\
services: [{name: api, region: us-central1}]
jobs: [{name: batch, region: us-central1}]
functions: [{name: fn, region: us-central1}]
workerPools: [{name: pool, region: us-central1}]
";
    for (from, start) in [
        ("api", "START_FROM_CLOUD_RUN_REVISION"),
        ("batch", "START_FROM_CLOUD_RUN_JOB"),
        ("fn", "START_FROM_CLOUD_FUNCTION"),
        ("pool", "START_FROM_CLOUD_RUN_REVISION"),
    ] {
        walk(yaml, from, "10.0.0.5:443/tcp")
            .goes(&format!("{start} > DROP"), "DROP VPC_CONNECTOR_NOT_SET")
            .says(&["10.0.0.5 is private", "no VPC attachment"])
            .stays_unanswered();
    }
    // Attached, the same address is looked for in the VPC, and a public one needs no attachment.
    walk(HOUSE, "direct-private", "10.0.0.5:443/tcp")
        .goes(&format!("{DIRECT} > APPLY_ROUTE > DROP"), "DROP PRIVATE_TRAFFIC_TO_INTERNET");
    walk(yaml, "api", "8.8.8.8:443/tcp").goes(LONE, "DELIVER");
}

#[test]
fn a_reply_comes_back_the_way_of_the_request_and_asks_no_rule() {
    let yaml = house(&[NAT, ALLOW_DB]);
    // Nothing allows ingress to the instances: replies pass because the firewall remembers.
    let back = "START_FROM_INTERNET > NAT > APPLY_ROUTE > APPLY_INGRESS_FIREWALL_RULE";
    walk(&yaml, "direct-all", "198.51.100.7:443/tcp").returns(&format!("{back} > DELIVER"));
    walk(&yaml, "conn-all", "198.51.100.7:443/tcp").returns(&format!("{back} > ARRIVE_AT_VPC_CONNECTOR > DELIVER"));
    walk(&yaml, "direct-all", "10.9.0.200:5432/tcp").returns(
        "START_FROM_INSTANCE > APPLY_EGRESS_FIREWALL_RULE > APPLY_ROUTE > APPLY_INGRESS_FIREWALL_RULE > DELIVER",
    );
    walk(&yaml, "lone", "198.51.100.7:443/tcp")
        .returns("START_FROM_INTERNET > SERVERLESS_EXTERNAL_CONNECTION > DELIVER");
}

#[test]
fn a_closed_port_is_reached_and_refuses() {
    let walk = walk(&house(&[NAT]), "direct-all", "198.51.100.7:80/tcp")
        .goes(&format!("{DIRECT} > APPLY_ROUTE > NAT > DELIVER"), "DELIVER")
        .says(&["partner", "refuses", "tcp port 80 is closed"]);
    insta::assert_snapshot!(walk.text);
}

#[test]
fn an_egress_rule_that_denies_the_port_is_named() {
    let deny = "\
firewalls:
- {name: deny-8443, network: vpc, direction: EGRESS, priority: 900, denied: [{IPProtocol: tcp, ports: [\"8443\"]}]}
";
    let yaml = house(&[NAT, deny]);
    let mut texts = Vec::new();
    for (from, way) in [("conn-all", CONNECTOR), ("direct-all", DIRECT)] {
        let walk = walk(&yaml, from, "198.51.100.7:8443/tcp")
            .goes(&format!("{way} > DROP"), "DROP FIREWALL_RULE")
            .says(&["denied", "deny-8443", "900"])
            .stays_unanswered();
        texts.push(walk.text);
    }
    insta::assert_snapshot!(texts.join("\n"));
    // Its neighbour passes, and so does whoever does not go through the VPC.
    walk(&yaml, "direct-all", "198.51.100.7:443/tcp")
        .goes(&format!("{DIRECT} > APPLY_ROUTE > NAT > DELIVER"), "DELIVER");
    walk(&yaml, "lone", "198.51.100.7:8443/tcp").goes(LONE, "DELIVER");
}

#[test]
fn at_equal_priority_the_rule_that_denies_wins() {
    let rules = "\
firewalls:
- {name: allow, network: vpc, direction: EGRESS, priority: 1000, allowed: [{IPProtocol: all}]}
- {name: deny, network: vpc, direction: EGRESS, priority: 1000, denied: [{IPProtocol: tcp}]}
";
    walk(&house(&[NAT, rules]), "direct-all", "198.51.100.7:443/tcp")
        .goes(&format!("{DIRECT} > DROP"), "DROP FIREWALL_RULE")
        .says(&["denied", "rule deny"]);
}

#[test]
fn a_rule_for_other_tags_does_not_apply() {
    let rule = "\
firewalls:
- {name: deny-web, network: vpc, direction: EGRESS, targetTags: [web], denied: [{IPProtocol: all}]}
- {name: deny-connectors, network: vpc, direction: EGRESS, targetTags: [vpc-connector], destinationRanges: [10.0.0.0/8], denied: [{IPProtocol: all}]}
";
    let yaml = house(&[NAT, rule]);
    let public = "198.51.100.7:443/tcp";
    walk(&yaml, "direct-all", public).goes(&format!("{DIRECT} > DROP"), "DROP FIREWALL_RULE").says(&["deny-web"]);
    walk(&yaml, "conn-all", public).goes(&format!("{CONNECTOR} > APPLY_ROUTE > NAT > DELIVER"), "DELIVER");
    walk(&yaml, "conn-all", "10.9.0.200:5432/tcp")
        .goes(&format!("{CONNECTOR} > DROP"), "DROP FIREWALL_RULE")
        .says(&["deny-connectors"]);
}

#[test]
fn ingress_is_denied_unless_a_rule_allows_it() {
    let walk = walk(HOUSE, "direct-all", "10.9.0.200:5432/tcp")
        .goes(&format!("{DIRECT} > APPLY_ROUTE > APPLY_INGRESS_FIREWALL_RULE > DROP"), "DROP FIREWALL_RULE")
        .says(&["ingress to db", "denied", "implied rule"]);
    insta::assert_snapshot!(walk.text);
}

#[test]
fn t4_without_cloud_nat_nothing_public_is_reached_through_the_vpc() {
    let mut texts = Vec::new();
    for (from, way) in [("conn-all", CONNECTOR), ("direct-all", DIRECT)] {
        let walk = walk(HOUSE, from, "198.51.100.7:443/tcp")
            .goes(&format!("{way} > APPLY_ROUTE > DROP"), "DROP NO_EXTERNAL_ADDRESS")
            .says(&["default-internet-gateway", "0.0.0.0/0"])
            .says(&["no external address", "no Cloud NAT gateway"])
            .stays_unanswered();
        texts.push(walk.text);
    }
    insta::assert_snapshot!(texts.join("\n"));
    walk(HOUSE, "direct-all", "8.8.8.8:443/tcp")
        .goes(&format!("{DIRECT} > APPLY_ROUTE > DROP"), "DROP NO_EXTERNAL_ADDRESS");
    walk(HOUSE, "lone", "198.51.100.7:443/tcp").goes(LONE, "DELIVER");
}

#[test]
fn a_gateway_that_covers_another_subnet_is_no_help() {
    let list = "LIST_OF_SUBNETWORKS, subnetworks: [{name: app, sourceIpRangesToNat: [ALL_IP_RANGES]}]";
    let yaml = house(&[&NAT.replace("ALL_SUBNETWORKS_ALL_IP_RANGES", list)]);
    walk(&yaml, "direct-all", "198.51.100.7:443/tcp")
        .goes(&format!("{DIRECT} > APPLY_ROUTE > NAT > DELIVER"), "DELIVER");
    walk(&yaml, "conn-all", "198.51.100.7:443/tcp")
        .goes(&format!("{CONNECTOR} > APPLY_ROUTE > DROP"), "DROP NO_EXTERNAL_ADDRESS");
}

#[test]
fn without_a_default_route_there_is_no_route() {
    let yaml = house(&[NAT]).replace("{name: vpc}]", "{name: vpc, deleteDefaultRoutesOnCreate: true}]");
    let walk = walk(&yaml, "direct-all", "198.51.100.7:443/tcp")
        .goes(&format!("{DIRECT} > APPLY_ROUTE > DROP"), "DROP NO_ROUTE")
        .says(&["no route", "vpc", "198.51.100.7"]);
    insta::assert_snapshot!(walk.text);
}

#[test]
fn t8_a_connector_that_is_not_ready_carries_nothing() {
    let yaml = house(&[NAT]).replace("ipCidrRange: 10.8.0.0/28}", "ipCidrRange: 10.8.0.0/28, state: ERROR}");
    let walk = walk(&yaml, "conn-all", "198.51.100.7:443/tcp")
        .goes("START_FROM_CLOUD_RUN_REVISION > ARRIVE_AT_VPC_CONNECTOR > DROP", "DROP VPC_CONNECTOR_NOT_RUNNING")
        .says(&["conn", "not READY"])
        .stays_unanswered();
    insta::assert_snapshot!(walk.text);
    for state in ["CREATING", "DELETING", "UPDATING"] {
        let walk = crate::walk(&yaml.replace("ERROR", state), "conn-all", "198.51.100.7:443/tcp");
        assert_eq!(ending(&walk.probe.trace), "DROP VPC_CONNECTOR_NOT_RUNNING", "{state}");
    }
    crate::walk(&yaml.replace("ERROR", "READY"), "conn-all", "198.51.100.7:443/tcp")
        .goes(&format!("{CONNECTOR} > APPLY_ROUTE > NAT > DELIVER"), "DELIVER");
}

#[test]
fn t9_pings_pass_by_direct_vpc_egress_and_not_through_a_connector() {
    let yaml = house(&[NAT]);
    let connector = walk(&yaml, "conn-all", "198.51.100.7/icmp")
        .goes(
            "START_FROM_CLOUD_RUN_REVISION > ARRIVE_AT_VPC_CONNECTOR > DROP",
            "DROP SIM_CONNECTOR_PROTOCOL_UNSUPPORTED",
        )
        .says(&["conn", "TCP and UDP only"]);
    let direct = walk(&yaml, "direct-all", "198.51.100.7/icmp")
        .goes(&format!("{DIRECT} > APPLY_ROUTE > NAT > DELIVER"), "DELIVER")
        .returns("START_FROM_INTERNET > NAT > APPLY_ROUTE > APPLY_INGRESS_FIREWALL_RULE > DELIVER");
    insta::assert_snapshot!(format!("{}\n{}", connector.text, direct.text));
    // Inside the network, too, and only if the rules permit it.
    let inside = format!("{DIRECT} > APPLY_ROUTE > APPLY_INGRESS_FIREWALL_RULE");
    walk(&yaml, "direct-all", "10.9.0.200/icmp").goes(&format!("{inside} > DROP"), "DROP FIREWALL_RULE");
    let permit = "firewalls: [{name: ping, network: vpc, sourceRanges: [10.0.0.0/8], allowed: [{IPProtocol: icmp}]}]\n";
    let yaml = house(&[NAT, permit]);
    walk(&yaml, "direct-all", "10.9.0.200/icmp").goes(&format!("{inside} > ARRIVE_AT_INSTANCE > DELIVER"), "DELIVER");
    let walk = walk(&yaml, "conn-all", "10.9.0.200/icmp");
    assert_eq!(ending(&walk.probe.trace), "DROP SIM_CONNECTOR_PROTOCOL_UNSUPPORTED", "{}", walk.text);
}

#[test]
fn t10_mail_on_port_25_is_blocked_to_the_internet_and_not_inside() {
    let yaml = house(&[NAT, "firewalls: [{name: all, network: vpc, allowed: [{IPProtocol: all}]}]\n"])
        .replace("ports: [5432]", "ports: [25]");
    let mut texts = Vec::new();
    for from in ["conn-all", "direct-all"] {
        let walk = walk(&yaml, from, "198.51.100.7:25/tcp");
        assert_eq!(ending(&walk.probe.trace), "DROP TRAFFIC_TYPE_BLOCKED", "{}", walk.text);
        assert!(states(&walk.probe.trace).ends_with(" > DROP"), "{}", walk.text);
        texts.push(walk.says(&["port 25"]).text);
    }
    insta::assert_snapshot!(texts.join("\n"));
    walk(&yaml, "direct-all", "10.9.0.200:25/tcp").goes(
        &format!("{DIRECT} > APPLY_ROUTE > APPLY_INGRESS_FIREWALL_RULE > ARRIVE_AT_INSTANCE > DELIVER"),
        "DELIVER",
    );
}

#[test]
fn a_vpn_tunnel_takes_the_packet_away() {
    let routes = "routes: [{name: to-office, network: vpc, destRange: 172.16.0.0/12, nextHopVpnTunnel: office}]\n";
    let walk = walk(&house(&[NAT, routes]), "direct-private", "172.16.5.5:443/tcp")
        .goes(&format!("{DIRECT} > APPLY_ROUTE > ARRIVE_AT_VPN_TUNNEL > FORWARD"), "FORWARD")
        .says(&["route to-office", "172.16.0.0/12", "office"])
        .stays_unanswered();
    insta::assert_snapshot!(walk.text);
}

#[test]
fn t11_a_subnet_route_wins_over_any_other() {
    // The subnet 10.9.0.0/24 lies in the range of the tunnel's route, whose priority is better.
    let routes =
        "routes: [{name: to-office, network: vpc, destRange: 10.0.0.0/8, priority: 100, nextHopVpnTunnel: office}]\n";
    let yaml = house(&[ALLOW_DB, routes]);
    walk(&yaml, "direct-all", "10.9.0.200:5432/tcp")
        .goes(
            &format!("{DIRECT} > APPLY_ROUTE > APPLY_INGRESS_FIREWALL_RULE > ARRIVE_AT_INSTANCE > DELIVER"),
            "DELIVER",
        )
        .says(&["subnet route 10.9.0.0/24"]);
    walk(&yaml, "direct-all", "10.10.0.1:443/tcp")
        .goes(&format!("{DIRECT} > APPLY_ROUTE > ARRIVE_AT_VPN_TUNNEL > FORWARD"), "FORWARD");
}

#[test]
fn t12_behind_another_next_hop_than_the_internet_gateway_cloud_nat_does_not_apply() {
    // Of two default routes the one with the lower number wins.
    let routes =
        "routes: [{name: through-proxy, network: vpc, destRange: 0.0.0.0/0, priority: 900, nextHopIlb: 10.9.0.99}]\n";
    let walk = walk(&house(&[NAT, routes]), "direct-all", "198.51.100.7:443/tcp")
        .goes(&format!("{DIRECT} > APPLY_ROUTE > FORWARD"), "FORWARD")
        .says(&["route through-proxy", "priority 900"]);
    insta::assert_snapshot!(walk.text);
}

#[test]
fn t5_google_apis_need_private_google_access_and_no_nat() {
    let vip = "199.36.153.8:443/tcp";
    let off = walk(HOUSE, "direct-all", vip)
        .goes(&format!("{DIRECT} > APPLY_ROUTE > DROP"), "DROP PRIVATE_GOOGLE_ACCESS_DISALLOWED")
        .says(&["app", "Private Google Access"]);
    // A connector's own subnet has none, either.
    walk(HOUSE, "conn-all", vip)
        .goes(&format!("{CONNECTOR} > APPLY_ROUTE > DROP"), "DROP PRIVATE_GOOGLE_ACCESS_DISALLOWED");
    let access = HOUSE.replace("ipCidrRange: 10.9.0.0/24}", "ipCidrRange: 10.9.0.0/24, privateIpGoogleAccess: true}");
    let on = walk(&access, "direct-all", vip).goes(&format!("{DIRECT} > APPLY_ROUTE > DELIVER"), "DELIVER");
    // Google turns Private Google Access on for a range that Public NAT serves, and uses no NAT port for it.
    let covered = walk(&house(&[NAT]), "direct-all", vip).goes(&format!("{DIRECT} > APPLY_ROUTE > DELIVER"), "DELIVER");
    insta::assert_snapshot!(format!("{}\n{}\n{}", off.text, on.text, covered.text));
}

#[test]
fn an_unused_address_of_a_subnet_is_unknown() {
    let walk = walk(&house(&[NAT]), "direct-all", "10.9.0.77:443/tcp")
        .goes(&format!("{DIRECT} > APPLY_ROUTE > DROP"), "DROP UNKNOWN_INTERNAL_ADDRESS")
        .says(&["subnet route 10.9.0.0/24 of app"])
        .stays_unanswered();
    insta::assert_snapshot!(walk.text);
}

#[test]
fn a_private_address_that_no_subnet_has_does_not_go_to_the_internet() {
    let walk = walk(&house(&[NAT]), "direct-all", "10.77.0.1:443/tcp")
        .goes(&format!("{DIRECT} > APPLY_ROUTE > DROP"), "DROP PRIVATE_TRAFFIC_TO_INTERNET")
        .says(&["0.0.0.0/0", "default-internet-gateway"]);
    insta::assert_snapshot!(walk.text);
}

#[test]
fn jobs_and_functions_start_under_their_own_names() {
    let yaml = "\
jobs: [{name: batch, region: us-central1}]
functions: [{name: fn, region: us-central1}]
";
    let to = "198.51.100.7:443/tcp";
    for (from, start) in [("batch", "START_FROM_CLOUD_RUN_JOB"), ("fn", "START_FROM_CLOUD_FUNCTION")] {
        walk(yaml, from, to).goes(&format!("{start} > SERVERLESS_EXTERNAL_CONNECTION > DELIVER"), "DELIVER");
    }
}

#[test]
fn a_gateway_without_any_address_says_so() {
    let yaml = house(&[NAT]).replace("natIps: [ip]", "natIps: []");
    let walk = walk(&yaml, "direct-all", "198.51.100.7:443/tcp");
    assert_eq!(ending(&walk.probe.trace), "DROP CLOUD_NAT_NO_ADDRESSES", "{}", walk.text);
    insta::assert_snapshot!(walk.says(&["gw"]).text);
}

#[test]
fn another_vms_external_address_is_reached_through_cloud_nat_and_its_firewall() {
    let vm = "instances:\n- {name: web, zone: us-central1-b, networkInterfaces: \
              [{network: vpc, subnetwork: app, networkIP: 10.9.0.50, accessConfigs: [{natIP: 203.0.113.99}]}]}\n";
    let allow =
        "firewalls: [{name: allow-web, network: vpc, sourceRanges: [203.0.113.10/32], allowed: [{IPProtocol: tcp}]}]\n";
    let there = format!(
        "{DIRECT} > APPLY_ROUTE > NAT > NAT > APPLY_ROUTE > APPLY_INGRESS_FIREWALL_RULE > ARRIVE_AT_INSTANCE > DELIVER"
    );
    let open = walk(&house(&[NAT, vm, allow]), "direct-all", "203.0.113.99:443/tcp")
        .goes(&there, "DELIVER")
        .says(&["203.0.113.99", "10.9.0.50"]);
    assert!(open.text.contains("10.9.0.50 leaves as its external address 203.0.113.99"), "{}", open.text);
    insta::assert_snapshot!(open.text);
    // Its firewall sees the NAT IP, not the sender.
    walk(&house(&[NAT, vm]), "direct-all", "203.0.113.99:443/tcp").goes(
        &format!("{DIRECT} > APPLY_ROUTE > NAT > NAT > APPLY_ROUTE > APPLY_INGRESS_FIREWALL_RULE > DROP"),
        "DROP FIREWALL_RULE",
    );
    // A NAT IP is not a way in: nobody had asked from there.
    let from_nat_ip = walk(&house(&[NAT]), "direct-all", "203.0.113.10:443/tcp");
    assert_eq!(ending(&from_nat_ip.probe.trace), "DROP SIM_UNSOLICITED", "{}", from_nat_ip.text);
}

#[test]
fn a_nat_rule_gives_its_own_address_and_says_so() {
    let rules = "rules: [{ruleNumber: 100, match: \"inIpRange(destination.ip, '198.51.100.0/28')\", \
                 action: {sourceNatActiveIps: [partner-ip]}}], sourceSubnetworkIpRangesToNat";
    let nat = NAT
        .replace(
            "address: 203.0.113.10}]",
            "address: 203.0.113.10}, {name: partner-ip, region: us-central1, address: 203.0.113.20}]",
        )
        .replace("sourceSubnetworkIpRangesToNat", rules);
    for (to, says) in [
        ("198.51.100.7:443/tcp", ["gw rule 100 gives", "the source 203.0.113.20:"]),
        ("192.0.2.77:443/tcp", ["gw gives", "the source 203.0.113.10:"]),
    ] {
        walk(&house(&[&nat]), "direct-all", to)
            .goes(&format!("{DIRECT} > APPLY_ROUTE > NAT > DELIVER"), "DELIVER")
            .says(&says);
    }
}
