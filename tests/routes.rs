//! Routes on a packet's way, in a network that has every kind of them: which one wins, where it leads, how the answer comes
//! back. The texts are snapshots, to be read.

mod common;

use common::walk::{DIRECT, WORLD, ending, states, walk};

/// Walks from a workload to each destination, checks what comes after the egress firewall and how it ends, and gives the
/// texts.
#[track_caller]
fn walks(yaml: &str, cases: &[(&str, &str, &str, &str)]) -> String {
    let texts = cases.iter().map(|(from, to, way, end)| {
        let walk = walk(yaml, from, to);
        let whole = states(&walk.probe.trace);
        let after = whole.split_once("APPLY_EGRESS_FIREWALL_RULE > ").map_or("", |(_, after)| after);
        assert_eq!((after, ending(&walk.probe.trace).as_str()), (*way, *end), "\n{}", walk.text);
        walk.text
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// The scenario with another word in it.
#[track_caller]
fn with(old: &str, new: &str) -> String {
    assert!(WORLD.contains(old), "{old} is not there");
    WORLD.replace(old, new)
}

const TUNNEL: &str = "APPLY_ROUTE > ARRIVE_AT_VPN_TUNNEL > ";
const ATTACHMENT: &str = "APPLY_ROUTE > ARRIVE_AT_INTERCONNECT_ATTACHMENT > ";

#[test]
fn tunnels_and_attachments_lead_on_premises_while_they_are_up() {
    let down = "ROUTE_NEXT_HOP_VPN_TUNNEL_NOT_ESTABLISHED";
    insta::assert_snapshot!(walks(
        WORLD,
        &[
            // Of two dynamic routes the lower MED wins; a host on premises is behind whichever route leads there.
            ("direct", "172.16.5.5:443/tcp", &format!("{ATTACHMENT}DELIVER"), "DELIVER"),
            ("direct", "192.168.1.1:443/tcp", &format!("{TUNNEL}DELIVER"), "DELIVER"),
            ("direct", "192.168.2.2:443/tcp", &format!("{TUNNEL}FORWARD"), "FORWARD"),
            // A longer prefix wins although its tunnel is down.
            ("direct", "192.168.7.1:443/tcp", "APPLY_ROUTE > DROP", &format!("DROP {down}")),
            ("direct", "10.50.0.1:443/tcp", &format!("{TUNNEL}DROP"), "DROP VPN_TUNNEL_LOCAL_SELECTOR_MISMATCH"),
            ("behind", "10.50.0.1:443/tcp", &format!("{TUNNEL}FORWARD"), "FORWARD"),
        ]
    ));
    // When the attachment is down, BGP has withdrawn its route, and the other one takes over.
    let down = with("{name: dc, region", "{name: dc, operationalStatus: OS_UNPROVISIONED, region");
    walk(&down, "direct", "172.16.5.5:443/tcp").goes(&format!("{DIRECT} > {TUNNEL}DELIVER"), "DELIVER").says(&[
        "bgp-office",
        "bgp-dc",
        "BGP has withdrawn it",
    ]);
    // On premises nobody knows the way back to what the router does not advertise.
    let custom = "bgp: {advertiseMode: CUSTOM, advertisedIpRanges: [{range: 10.8.0.0/28}]}\n  nats:";
    let walk = walk(&with("nats:", custom), "direct", "192.168.1.1:443/tcp");
    let reply = walk.probe.reply.expect("the host answers");
    assert_eq!(ending(&reply), "DROP NO_ADVERTISED_ROUTE_TO_GCP_DESTINATION");
}

#[test]
fn with_regional_dynamic_routing_another_regions_senders_do_not_learn_the_routes() {
    let service = "- {name: abroad, region: europe-west1, template: {vpcAccess: {networkInterfaces: \
                   [{network: vpc, subnetwork: far}], egress: ALL_TRAFFIC}}}\n- {name: lone,";
    let regional = with("- {name: lone,", service);
    let to = "172.16.5.5:443/tcp";
    walk(&regional, "abroad", to)
        .goes(&format!("{DIRECT} > APPLY_ROUTE > DROP"), "DROP PRIVATE_TRAFFIC_TO_INTERNET")
        .says(&["bgp-dc", "is for senders in us-central1"]);
    let global = regional.replace("- name: vpc\n", "- name: vpc\n  routingConfig: {routingMode: GLOBAL}\n");
    // 201 is the least that Google adds for another region.
    walk(&global, "abroad", to).goes(&format!("{DIRECT} > {ATTACHMENT}DELIVER"), "DELIVER").says(&["priority 301"]);
}

#[test]
fn peers_share_their_subnets_and_custom_routes_if_both_want_it() {
    let arrives = "APPLY_ROUTE > APPLY_INGRESS_FIREWALL_RULE > ARRIVE_AT_INSTANCE > DELIVER";
    insta::assert_snapshot!(walks(
        WORLD,
        &[
            ("direct", "10.30.0.9:5432/tcp", arrives, "DELIVER"),
            ("direct", "10.60.0.1:443/tcp", &format!("{TUNNEL}FORWARD"), "FORWARD"),
            ("direct", "10.200.0.3:3307/tcp", "APPLY_ROUTE > DELIVER", "DELIVER"),
        ]
    ));
    for without in ["importCustomRoutes: true", "exportCustomRoutes: true"] {
        let yaml = with(without, &without.replace("true", "false"));
        walk(&yaml, "direct", "10.60.0.1:443/tcp")
            .goes(&format!("{DIRECT} > APPLY_ROUTE > DROP"), "DROP PRIVATE_TRAFFIC_TO_INTERNET");
        walk(&yaml, "direct", "10.30.0.9:5432/tcp").goes(&format!("{DIRECT} > {arrives}"), "DELIVER");
    }
    // A peering is made by both, and not transitive: the service network of the one is not the other's.
    let alone = with("  peerings: [{name: with-vpc, network: vpc, exportCustomRoutes: true}]\n", "");
    walk(&alone, "direct", "10.30.0.9:5432/tcp")
        .goes(&format!("{DIRECT} > APPLY_ROUTE > DROP"), "DROP PRIVATE_TRAFFIC_TO_INTERNET");
    let in_hub = "- {name: hub-run, region: us-central1, template: {vpcAccess: {networkInterfaces: \
                  [{network: hub, subnetwork: hub-subnet}], egress: ALL_TRAFFIC}}}\n- {name: lone,";
    walk(&with("- {name: lone,", in_hub), "hub-run", "10.200.0.3:3307/tcp")
        .goes(&format!("{DIRECT} > APPLY_ROUTE > DROP"), "DROP PRIVATE_TRAFFIC_TO_INTERNET");
}

#[test]
fn load_balancers_and_vms_are_next_hops_and_destinations() {
    let through_vm = "APPLY_ROUTE > APPLY_INGRESS_FIREWALL_RULE > ARRIVE_AT_INSTANCE > SPOOFING_APPROVED > FORWARD";
    let to_rule = "APPLY_ROUTE > APPLY_FORWARDING_RULE > FORWARD";
    insta::assert_snapshot!(walks(
        WORLD,
        &[
            ("direct", "10.70.0.1:443/tcp", "APPLY_ROUTE > FORWARD", "FORWARD"),
            ("tagged", "10.80.0.1:443/tcp", through_vm, "FORWARD"),
            ("direct", "10.80.0.1:443/tcp", "APPLY_ROUTE > DROP", "DROP PRIVATE_TRAFFIC_TO_INTERNET"),
            ("direct", "10.9.0.100:443/tcp", to_rule, "FORWARD"),
            ("direct", "10.9.0.100:80/tcp", "APPLY_ROUTE > DROP", "DROP FORWARDING_RULE_MISMATCH"),
        ]
    ));
    let proud = with("canIpForward: true, ", "");
    walk(&proud, "tagged", "10.80.0.1:443/tcp").goes(
        &format!("{DIRECT} > APPLY_ROUTE > APPLY_INGRESS_FIREWALL_RULE > ARRIVE_AT_INSTANCE > DROP"),
        "DROP FOREIGN_IP_DISALLOWED",
    );
}

#[test]
fn policy_based_routes_come_before_subnets_for_whom_they_are() {
    let arrives = "APPLY_ROUTE > APPLY_INGRESS_FIREWALL_RULE > ARRIVE_AT_INSTANCE > DELIVER";
    insta::assert_snapshot!(walks(
        WORLD,
        &[
            ("tagged", "10.10.0.9:443/tcp", "APPLY_ROUTE > FORWARD", "FORWARD"),
            ("tagged", "10.10.0.9:53/udp", arrives, "DELIVER"),
            ("direct", "10.10.0.9:443/tcp", arrives, "DELIVER"),
        ]
    ));
    let skip = "policyBasedRoutes:\n- {name: skip, network: vpc, priority: 50, filter: {destRange: 10.10.0.9/32}, \
                nextHopOtherRoutes: DEFAULT_ROUTING}";
    walk(&with("policyBasedRoutes:", skip), "tagged", "10.10.0.9:443/tcp")
        .goes(&format!("{DIRECT} > APPLY_ROUTE > {arrives}"), "DELIVER")
        .says(&["policy-based route skip", "leaves it to the other routes"]);
}

#[test]
fn what_nothing_in_a_hybrid_subnet_has_is_looked_for_by_the_routes_inside_its_range() {
    insta::assert_snapshot!(walks(
        WORLD,
        &[
            (
                "direct",
                "10.20.0.200:22/tcp",
                "APPLY_ROUTE > ARRIVE_AT_HYBRID_SUBNET > APPLY_ROUTE > ARRIVE_AT_INTERCONNECT_ATTACHMENT > FORWARD",
                "FORWARD",
            ),
            (
                "direct",
                "10.20.0.5:22/tcp",
                "APPLY_ROUTE > ARRIVE_AT_HYBRID_SUBNET > DROP",
                "DROP HYBRID_SUBNET_NO_ROUTE",
            ),
        ]
    ));
    let plain = with(", allowSubnetCidrRoutesOverlap: true", "");
    walk(&plain, "direct", "10.20.0.200:22/tcp")
        .goes(&format!("{DIRECT} > APPLY_ROUTE > DROP"), "DROP UNKNOWN_INTERNAL_ADDRESS");
}

#[test]
fn private_service_connect_and_private_google_access_lead_to_google_without_nat() {
    let published = "APPLY_ROUTE > APPLY_FORWARDING_RULE > DELIVER";
    let text = walks(
        WORLD,
        &[
            ("direct", "10.9.0.101:5432/tcp", published, "DELIVER"),
            ("direct", "10.99.0.1:443/tcp", "APPLY_FORWARDING_RULE > DELIVER", "DELIVER"),
            ("direct", "142.250.9.9:443/tcp", "APPLY_ROUTE > DELIVER", "DELIVER"),
            ("direct", "35.199.192.1:53/udp", "APPLY_ROUTE > DELIVER", "DELIVER"),
        ],
    );
    assert!(!text.contains("203.0.113.10"), "{text}");
    insta::assert_snapshot!(text);
    let pending = with("psc-db, subnetwork: app,", "psc-db, pscConnectionStatus: PENDING, subnetwork: app,");
    walk(&pending, "direct", "10.9.0.101:5432/tcp")
        .goes(&format!("{DIRECT} > APPLY_ROUTE > APPLY_FORWARDING_RULE > DROP"), "DROP PSC_CONNECTION_NOT_ACCEPTED");
    // Without an attachment the same API is reached over the internet.
    walk(WORLD, "lone", "142.250.9.9:443/tcp")
        .goes("START_FROM_CLOUD_RUN_REVISION > SERVERLESS_EXTERNAL_CONNECTION > DELIVER", "DELIVER")
        .says(&["delivered to storage, tcp port 443 is open"]);
}
