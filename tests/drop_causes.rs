//! What the simulator does, in the words of Connectivity Tests: a trace for each of its causes that a Cloud Run workload
//! can meet. Each is a snapshot, to be read; and its neighbour, with the mistake put right, gets through.

mod common;

use common::walk::{ALLOW_DB, CONNECTOR, DIRECT, HOUSE, NAT, Walk, house, walk};

const PARTNER: &str = "198.51.100.7:443/tcp";
const DB: &str = "10.9.0.200:5432/tcp";
const START: &str = "START_FROM_CLOUD_RUN_REVISION";
const AT_CONNECTOR: &str = "START_FROM_CLOUD_RUN_REVISION > ARRIVE_AT_VPC_CONNECTOR > DROP";

/// The packet arrives, or leaves for a network that is not described.
#[track_caller]
fn gets_through(yaml: &str, from: &str, to: &str) -> Walk {
    let walk = walk(yaml, from, to);
    let name = walk.probe.trace.disposition.name();
    assert!(["DELIVER", "FORWARD"].contains(&name), "\n{}", walk.text);
    walk
}

/// The house with another word in it.
#[track_caller]
fn with(yaml: &str, old: &str, new: &str) -> String {
    assert!(yaml.contains(old), "{old} is not there");
    yaml.replace(old, new)
}

macro_rules! snapshot {
    ($cause:expr, $walk:expr) => {
        insta::assert_snapshot!($cause, $walk.text)
    };
}

#[test]
fn a_private_destination_from_a_workload_that_is_not_attached() {
    let walk = walk(HOUSE, "lone", DB).goes(&format!("{START} > DROP"), "DROP VPC_CONNECTOR_NOT_SET");
    snapshot!("VPC_CONNECTOR_NOT_SET", walk);
    gets_through(&house(&[ALLOW_DB]), "conn-private", DB);
}

#[test]
fn a_connector_that_is_not_ready() {
    let yaml = with(HOUSE, "10.8.0.0/28}", "10.8.0.0/28, state: CREATING}");
    let walk = walk(&yaml, "conn-all", DB).goes(AT_CONNECTOR, "DROP VPC_CONNECTOR_NOT_RUNNING");
    snapshot!("VPC_CONNECTOR_NOT_RUNNING", walk);
}

/// A connector in a service project, on a subnet of the host project, where Google makes no firewall rules for it.
fn shared_vpc(rules: &[&str]) -> String {
    let subnet = "us-central1, ipCidrRange: 10.9.0.0/24}, {name: conn-subnet, network: vpc, region: us-central1, \
                  ipCidrRange: 10.8.0.0/28}]";
    let connector =
        "{name: projects/app/locations/us-central1/connectors/conn, subnet: {name: conn-subnet, projectId: host}}";
    let yaml = with(HOUSE, "us-central1, ipCidrRange: 10.9.0.0/24}]", subnet);
    let yaml = with(&yaml, "{name: conn, region: us-central1, network: vpc, ipCidrRange: 10.8.0.0/28}", connector);
    format!("{yaml}{NAT}firewalls:\n{}", rules.concat())
}

/// The rules that Google's page has users make there, by its names.
const FROM_SERVERLESS: &str = "- {name: serverless-to-vpc-connector, network: vpc, sourceRanges: [35.199.224.0/19], \
                               targetTags: [vpc-connector], allowed: [{IPProtocol: tcp, ports: ['667']}, \
                               {IPProtocol: udp, ports: ['665-666']}, {IPProtocol: icmp}]}\n";
const TO_SERVERLESS: &str = "- {name: vpc-connector-to-serverless, network: vpc, direction: EGRESS, \
                             destinationRanges: [35.199.224.0/19], targetTags: [vpc-connector], allowed: \
                             [{IPProtocol: tcp, ports: ['667']}, {IPProtocol: udp, ports: ['665-666']}, {IPProtocol: icmp}]}\n";
const HEALTH_CHECKS: &str = "- {name: vpc-connector-health-checks, network: vpc, sourceRanges: \
                             [35.191.0.0/16, 35.191.192.0/18, 130.211.0.0/22], targetTags: [vpc-connector], \
                             allowed: [{IPProtocol: tcp, ports: ['667']}]}\n";
const FROM_CONNECTOR: &str = "- {name: vpc-connector-requests, network: vpc, sourceTags: [vpc-connector], allowed: \
                              [{IPProtocol: tcp}, {IPProtocol: udp}, {IPProtocol: icmp}]}\n";

#[test]
fn a_connector_of_a_shared_vpc_without_the_rules_for_serverless_traffic() {
    let yaml = shared_vpc(&[HEALTH_CHECKS]);
    let walk = walk(&yaml, "conn-all", PARTNER)
        .goes(AT_CONNECTOR, "DROP VPC_CONNECTOR_SERVERLESS_TRAFFIC_BLOCKED")
        .says(&["35.199.224.0", "implied rule"]);
    snapshot!("VPC_CONNECTOR_SERVERLESS_TRAFFIC_BLOCKED", walk);
    // Outward it is the implied rule that allows it, unless there is another.
    gets_through(&shared_vpc(&[HEALTH_CHECKS, FROM_SERVERLESS]), "conn-all", PARTNER);
    let deny = "- {name: deny-all, network: vpc, direction: EGRESS, priority: 2000, destinationRanges: [35.0.0.0/8], \
                denied: [{IPProtocol: all}]}\n";
    crate::walk(&shared_vpc(&[HEALTH_CHECKS, FROM_SERVERLESS, deny]), "conn-all", PARTNER)
        .goes(AT_CONNECTOR, "DROP VPC_CONNECTOR_SERVERLESS_TRAFFIC_BLOCKED")
        .says(&["egress", "rule deny-all"]);
    gets_through(&shared_vpc(&[HEALTH_CHECKS, FROM_SERVERLESS, deny, TO_SERVERLESS]), "conn-all", PARTNER);
}

#[test]
fn a_connector_of_a_shared_vpc_without_the_rule_for_health_checks() {
    let walk = walk(&shared_vpc(&[FROM_SERVERLESS, TO_SERVERLESS]), "conn-all", PARTNER)
        .goes(AT_CONNECTOR, "DROP VPC_CONNECTOR_HEALTH_CHECK_TRAFFIC_BLOCKED");
    snapshot!("VPC_CONNECTOR_HEALTH_CHECK_TRAFFIC_BLOCKED", walk);
    // With both the connector carries packets; those for the network need the fourth rule.
    let healthy = [FROM_SERVERLESS, HEALTH_CHECKS];
    crate::walk(&shared_vpc(&healthy), "conn-all", DB)
        .goes(&format!("{CONNECTOR} > APPLY_ROUTE > APPLY_INGRESS_FIREWALL_RULE > DROP"), "DROP FIREWALL_RULE");
    gets_through(&shared_vpc(&[FROM_SERVERLESS, HEALTH_CHECKS, FROM_CONNECTOR]), "conn-all", DB);
}

#[test]
fn an_organizations_policy_can_keep_googles_own_rules_from_helping() {
    let policy = |range: &str| {
        format!(
            "firewallPolicies:\n- name: '7'\n  shortName: baseline\n  parent: organizations/7\n  \
             associations: [{{attachmentTarget: organizations/7}}]\n  rules: [{{priority: 5, action: deny, \
             match: {{srcIpRanges: [{range}], layer4Configs: [{{ipProtocol: all}}]}}}}]\n"
        )
    };
    let yaml = house(&[NAT, &policy("35.199.224.0/20")]);
    walk(&yaml, "conn-all", PARTNER)
        .goes(AT_CONNECTOR, "DROP VPC_CONNECTOR_SERVERLESS_TRAFFIC_BLOCKED")
        .says(&["baseline"]);
    let yaml = house(&[NAT, &policy("130.211.0.0/22")]);
    walk(&yaml, "conn-all", PARTNER).goes(AT_CONNECTOR, "DROP VPC_CONNECTOR_HEALTH_CHECK_TRAFFIC_BLOCKED");
    // A rule of the network comes after those that Google makes at 100.
    let late = "firewalls: [{name: late, network: vpc, priority: 101, denied: [{IPProtocol: all}]}]\n";
    gets_through(&house(&[NAT, late]), "conn-all", PARTNER);
}

#[test]
fn egress_and_ingress_that_a_rule_denies() {
    let deny = "firewalls: [{name: deny-https, network: vpc, direction: EGRESS, priority: 900, \
                denied: [{IPProtocol: tcp, ports: ['443']}]}]\n";
    let egress =
        walk(&house(&[NAT, deny]), "direct-all", PARTNER).goes(&format!("{DIRECT} > DROP"), "DROP FIREWALL_RULE");
    let ingress = walk(HOUSE, "direct-all", DB)
        .goes(&format!("{DIRECT} > APPLY_ROUTE > APPLY_INGRESS_FIREWALL_RULE > DROP"), "DROP FIREWALL_RULE");
    insta::assert_snapshot!("FIREWALL_RULE", format!("{}\n{}", egress.text, ingress.text));
    gets_through(&house(&[NAT]), "direct-all", PARTNER);
    gets_through(&house(&[ALLOW_DB]), "direct-all", DB);
}

#[test]
fn an_ingress_rule_by_service_account_for_direct_vpc_egress() {
    let rule = |accounts: &str| {
        format!(
            "firewalls: [{{name: from-run, network: vpc, {accounts}, allowed: [{{IPProtocol: tcp}}]}}]\n\
             model: {{firewall: {{sourceServiceAccount: never}}}}\n"
        )
    };
    let yaml = with(
        HOUSE,
        "{vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: app, tags: [web]}]",
        "{serviceAccount: run@p, vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: app, tags: [web]}]",
    );
    let walk = walk(&(yaml.clone() + &rule("sourceServiceAccounts: [run@p]")), "direct-all", DB).goes(
        &format!("{DIRECT} > APPLY_ROUTE > APPLY_INGRESS_FIREWALL_RULE > DROP"),
        "DROP INGRESS_FIREWALL_TAGS_UNSUPPORTED_BY_DIRECT_VPC_EGRESS",
    );
    snapshot!("INGRESS_FIREWALL_TAGS_UNSUPPORTED_BY_DIRECT_VPC_EGRESS", walk);
    gets_through(&(yaml + &rule("sourceRanges: [10.9.0.0/24]")), "direct-all", DB);
}

#[test]
fn no_route_that_applies() {
    let yaml = with(&house(&[NAT]), "{name: vpc}]", "{name: vpc, deleteDefaultRoutesOnCreate: true}]");
    let tagged = "routes: [{name: for-nat, network: vpc, destRange: 0.0.0.0/0, tags: [nat], nextHopGateway: \
                  default-internet-gateway}]\n";
    let walk = walk(&(yaml.clone() + tagged), "direct-all", PARTNER)
        .goes(&format!("{DIRECT} > APPLY_ROUTE > DROP"), "DROP NO_ROUTE")
        .says(&["for-nat", "senders tagged nat"]);
    snapshot!("NO_ROUTE", walk);
    gets_through(&(yaml + &tagged.replace("[nat]", "[web]")), "direct-all", PARTNER);
}

#[test]
fn a_next_hop_that_is_stopped() {
    let yaml = |status: &str| {
        house(&[&format!(
            "instances:\n- {{name: proxy, zone: us-central1-b, status: {status}, canIpForward: true, \
             networkInterfaces: [{{network: vpc, subnetwork: app, networkIP: 10.9.0.50}}]}}\n\
             routes: [{{name: to-office, network: vpc, destRange: 172.16.0.0/12, nextHopInstance: proxy}}]\n"
        )])
    };
    let to = "172.16.5.5:443/tcp";
    let without_default = |yaml: &str| with(yaml, "{name: vpc}]", "{name: vpc, deleteDefaultRoutesOnCreate: true}]");
    let walk = walk(&without_default(&yaml("TERMINATED")), "direct-all", to)
        .goes(&format!("{DIRECT} > APPLY_ROUTE > DROP"), "DROP ROUTE_BLACKHOLE")
        .says(&["to-office", "proxy", "not running"]);
    snapshot!("ROUTE_BLACKHOLE", walk);
    // With another route for it, the one to the stopped VM is not considered.
    crate::walk(&yaml("TERMINATED"), "direct-all", to)
        .goes(&format!("{DIRECT} > APPLY_ROUTE > DROP"), "DROP PRIVATE_TRAFFIC_TO_INTERNET");
    // VM-to-VM traffic asks the firewall of the next hop.
    let allow = "firewalls: [{name: allow, network: vpc, sourceRanges: [10.9.0.0/24], allowed: [{IPProtocol: tcp}]}]\n";
    gets_through(&(without_default(&yaml("RUNNING")) + allow), "direct-all", to);
}

#[test]
fn an_answer_that_is_routed_back_to_where_it_came_from() {
    // The hub knows 10.0.0.0/8 behind its tunnel only: it has not got the subnet routes of the network that asks.
    let yaml = |exchange: bool| {
        let peering = |peer: &str, rest: &str| {
            format!("peerings: [{{name: with-{peer}, network: {peer}, exchangeSubnetRoutes: {exchange}, {rest}}}]")
        };
        let networks = format!(
            "networks:\n- {{name: vpc, {}}}\n- {{name: hub, {}}}\n",
            peering("hub", "importCustomRoutes: true"),
            peering("vpc", "exportCustomRoutes: true")
        );
        with(HOUSE, "networks: [{name: vpc}]\n", &networks)
            + "- {name: mainframe, address: 172.16.5.5, location: on-prem, nextHop: office}\n\
               vpnTunnels: [{name: office, region: us-central1, status: ESTABLISHED}]\n\
               routes:\n\
               - {name: to-office, network: hub, destRange: 172.16.0.0/12, nextHopVpnTunnel: office}\n\
               - {name: private, network: hub, destRange: 10.0.0.0/8, nextHopVpnTunnel: office}\n"
    };
    let walk = gets_through(&yaml(false), "direct-all", "172.16.5.5:443/tcp");
    let reply = walk.probe.reply.as_ref().expect("the mainframe answers");
    assert_eq!(reply.disposition.reason().map(|(cause, _)| cause), Some("ROUTING_LOOP"), "\n{}", walk.text);
    snapshot!("ROUTING_LOOP", walk);
    let found = gets_through(&yaml(true), "direct-all", "172.16.5.5:443/tcp");
    assert_eq!(found.probe.reply.expect("the mainframe answers").disposition.name(), "DELIVER");
}

#[test]
fn a_private_address_at_the_internet_gateway() {
    let to = "10.77.0.1:443/tcp";
    let walk = walk(&house(&[NAT]), "direct-all", to)
        .goes(&format!("{DIRECT} > APPLY_ROUTE > DROP"), "DROP PRIVATE_TRAFFIC_TO_INTERNET");
    snapshot!("PRIVATE_TRAFFIC_TO_INTERNET", walk);
    let route = "routes: [{name: to-office, network: vpc, destRange: 10.0.0.0/8, nextHopVpnTunnel: office}]\n";
    gets_through(&house(&[NAT, route]), "direct-all", to);
}

#[test]
fn an_address_of_a_subnet_that_nobody_has() {
    let walk = walk(&house(&[NAT]), "direct-all", "10.9.0.77:443/tcp")
        .goes(&format!("{DIRECT} > APPLY_ROUTE > DROP"), "DROP UNKNOWN_INTERNAL_ADDRESS");
    snapshot!("UNKNOWN_INTERNAL_ADDRESS", walk);
}

#[test]
fn the_internet_without_cloud_nat() {
    let walk =
        walk(HOUSE, "conn-all", PARTNER).goes(&format!("{CONNECTOR} > APPLY_ROUTE > DROP"), "DROP NO_EXTERNAL_ADDRESS");
    snapshot!("NO_EXTERNAL_ADDRESS", walk);
    gets_through(&house(&[NAT]), "conn-all", PARTNER);
}

#[test]
fn cloud_nat_without_an_address() {
    let yaml = with(&house(&[NAT]), "natIps: [ip]", "natIps: []");
    let walk = walk(&yaml, "conn-all", PARTNER)
        .goes(&format!("{CONNECTOR} > APPLY_ROUTE > DROP"), "DROP CLOUD_NAT_NO_ADDRESSES");
    snapshot!("CLOUD_NAT_NO_ADDRESSES", walk);
}

#[test]
fn a_protocol_that_cloud_nat_does_not_translate() {
    let walk = walk(&house(&[NAT]), "direct-all", "198.51.100.7/esp")
        .goes(&format!("{DIRECT} > APPLY_ROUTE > DROP"), "DROP CLOUD_NAT_PROTOCOL_UNSUPPORTED");
    snapshot!("CLOUD_NAT_PROTOCOL_UNSUPPORTED", walk);
    gets_through(&house(&[NAT]), "direct-all", "198.51.100.7/icmp");
}

#[test]
fn a_google_api_without_private_google_access() {
    let to = "199.36.153.8:443/tcp";
    let walk = walk(HOUSE, "direct-private", to)
        .goes(&format!("{DIRECT} > APPLY_ROUTE > DROP"), "DROP PRIVATE_GOOGLE_ACCESS_DISALLOWED");
    snapshot!("PRIVATE_GOOGLE_ACCESS_DISALLOWED", walk);
    let on = with(HOUSE, "ipCidrRange: 10.9.0.0/24}", "ipCidrRange: 10.9.0.0/24, privateIpGoogleAccess: true}");
    gets_through(&on, "direct-private", to);
}

#[test]
fn mail_to_the_internet() {
    let walk = walk(&house(&[NAT]), "direct-all", "198.51.100.7:25/tcp")
        .goes(&format!("{DIRECT} > APPLY_ROUTE > DROP"), "DROP TRAFFIC_TYPE_BLOCKED");
    snapshot!("TRAFFIC_TYPE_BLOCKED", walk);
    gets_through(&house(&[NAT]), "direct-all", "198.51.100.7:587/tcp");
}

#[test]
fn a_workload_that_is_not_ready() {
    let failed = "terminalCondition: {type: Ready, state: CONDITION_FAILED, message: the container did not listen}";
    let yaml = |condition: &str| {
        format!(
            "services: [{{name: api, region: us-central1, {condition}}}]\n\
             jobs: [{{name: batch, region: us-central1, {condition}}}]\n\
             workerPools: [{{name: pool, region: us-central1, {condition}}}]\n\
             functions: [{{name: fn, region: us-central1, {}}}]\n",
            if condition == failed { "state: FAILED" } else { "state: ACTIVE" }
        )
    };
    let mut texts = Vec::new();
    for (from, start, cause) in [
        ("api", START, "CLOUD_RUN_REVISION_NOT_READY"),
        ("pool", START, "CLOUD_RUN_REVISION_NOT_READY"),
        ("batch", "START_FROM_CLOUD_RUN_JOB", "CLOUD_RUN_JOB_NOT_READY"),
        ("fn", "START_FROM_CLOUD_FUNCTION", "CLOUD_FUNCTION_NOT_ACTIVE"),
    ] {
        let walk = walk(&yaml(failed), from, PARTNER).goes(&format!("{start} > DROP"), &format!("DROP {cause}"));
        texts.push(walk.text);
        for ready in ["labels: {}", "terminalCondition: {type: Ready, state: CONDITION_SUCCEEDED}"] {
            gets_through(&yaml(ready), from, PARTNER);
        }
    }
    insta::assert_snapshot!("CLOUD_RUN_NOT_READY", texts.join("\n"));
}

#[test]
fn a_subnet_without_free_addresses() {
    // A /26 has 60 addresses, in four blocks. 23 instances take three of them, and one more takes the fourth.
    let yaml = |first: u32| {
        format!(
            "networks: [{{name: vpc}}]\n\
             subnetworks: [{{name: app, network: vpc, region: us-central1, ipCidrRange: 10.9.0.0/26}}]\n\
             services:\n\
             - {{name: crowd, region: us-central1, instances: {first}, template: {{vpcAccess: {{networkInterfaces: [{{subnetwork: app}}]}}}}}}\n\
             - {{name: late, region: us-central1, template: {{vpcAccess: {{networkInterfaces: [{{subnetwork: app}}]}}}}}}\n"
        )
    };
    let walk = walk(&yaml(30), "late", PARTNER)
        .goes(&format!("{START} > ABORT"), "ABORT NO_SERVERLESS_IP_RANGES")
        .says(&["subnet app", "others hold 60"])
        .stays_unanswered();
    snapshot!("NO_SERVERLESS_IP_RANGES", walk);
    crate::walk(&yaml(24), "late", PARTNER).goes(&format!("{START} > ABORT"), "ABORT NO_SERVERLESS_IP_RANGES");
    gets_through(&yaml(23), "late", PARTNER);
}

#[test]
fn a_range_of_private_nat() {
    let subnets = |purpose: &str| {
        with(
            HOUSE,
            "ipCidrRange: 10.9.0.0/24}]",
            &format!(
                "ipCidrRange: 10.9.0.0/24}}, {{name: nat-range, network: vpc, region: us-central1, ipCidrRange: 10.60.0.0/24, purpose: {purpose}}}]"
            ),
        )
    };
    let to = "10.60.0.5:443/tcp";
    let walk = walk(&subnets("PRIVATE_NAT"), "direct-all", to)
        .goes(&format!("{DIRECT} > APPLY_ROUTE > DROP"), "DROP DESTINATION_IS_PRIVATE_NAT_IP_RANGE");
    snapshot!("DESTINATION_IS_PRIVATE_NAT_IP_RANGE", walk);
    crate::walk(&subnets("PRIVATE"), "direct-all", to)
        .goes(&format!("{DIRECT} > APPLY_ROUTE > DROP"), "DROP UNKNOWN_INTERNAL_ADDRESS");
}
