//! The order of selection.

use super::*;

#[test]
fn without_any_route_there_is_none_and_the_sender_is_told() {
    let mut router = router(vec![]);
    assert_eq!(send(&mut router, RUN, PUBLIC, 443), Err(DropCause::NoRoute));
    let verdict = router.handle_packet(&mut packet(RUN, PUBLIC, 443), FIREWALL, &mut Explain::silent());
    let Verdict::Refuse(DropCause::NoRoute, error) = verdict else { panic!("{verdict:?}") };
    assert_eq!(error.embedded().unwrap().tuple.dst, PUBLIC.parse::<Ipv4Addr>().unwrap());
}

// 1. Special paths.

#[test]
fn special_paths_come_before_all_routes_and_need_none() {
    let mut with_routes = router(vec![("35.0.0.0/8", route("vpn", 0, NextHop::VpnTunnel(VPN)))]);
    let mut without = router(vec![]);
    for dst in ["35.191.0.1", "130.211.3.255", "35.235.240.1", "35.199.192.1", "35.199.224.1"] {
        assert_eq!(send(&mut with_routes, RUN, dst, 443), Ok(GOOGLE), "{dst}");
        assert_eq!(send(&mut without, RUN, dst, 443), Ok(GOOGLE), "{dst}");
    }
    // Their neighbours are ordinary addresses.
    for dst in ["35.190.255.255", "35.192.0.0", "35.236.0.0", "35.200.0.0"] {
        assert_eq!(send(&mut with_routes, RUN, dst, 443), Ok(VPN), "{dst}");
    }
    assert_eq!(send(&mut with_routes, RUN, "130.211.4.0", 443), Err(DropCause::NoRoute));
}

#[test]
fn an_endpoint_for_google_apis_needs_no_route_and_no_private_google_access() {
    let mut router = router(vec![("10.0.0.0/8", route("vpn", 0, NextHop::VpnTunnel(VPN)))]);
    let rule = Resource::global("forwardingRules", "apis");
    let address = "10.99.0.5".parse().unwrap();
    router.add_psc_endpoint(Arc::new(PscEndpoint { rule, address, vpc_sc: false }));
    assert_eq!(send(&mut router, RUN, "10.99.0.5", 443), Ok(GOOGLE));
    assert_eq!(send(&mut router, RUN, "10.99.0.6", 443), Ok(VPN));
}

// 2. Policy-based routes.

fn policy(name: &str, priority: u16, dst: &str, next_hop: Option<PortId>) -> PolicyRoute {
    PolicyRoute {
        name: name.into(),
        priority,
        src: net("0.0.0.0/0"),
        dst: net(dst),
        protocol: None,
        scope: PolicyScope::All,
        next_hop: next_hop.map(|port| (ilb(port), hop_name("appliance"))),
    }
}

fn with_policies(policies: Vec<PolicyRoute>) -> Router {
    let mut router = router(vec![("0.0.0.0/0", route("default", 1000, NextHop::Internet))]);
    policies.into_iter().for_each(|policy| router.add_policy_route(policy));
    router
}

#[test]
fn a_policy_based_route_comes_before_subnet_routes() {
    let mut router = with_policies(vec![policy("all", 1000, "0.0.0.0/0", Some(ILB))]);
    assert_eq!(send(&mut router, RUN, "10.41.0.9", 443), Ok(ILB));
    assert_eq!(send(&mut router, RUN, PUBLIC, 443), Ok(ILB));
    // And after special paths.
    assert_eq!(send(&mut router, RUN, "35.199.192.1", 53), Ok(GOOGLE));
}

#[test]
fn the_lowest_priority_number_of_policy_based_routes_wins_whatever_their_ranges() {
    let wide = policy("wide", 10, "0.0.0.0/0", Some(ILB));
    let narrow = policy("narrow", 20, "198.51.100.7/32", Some(VM));
    let mut router = with_policies(vec![narrow.clone(), wide]);
    assert_eq!(send(&mut router, RUN, PUBLIC, 443), Ok(ILB));
    let mut router =
        with_policies(vec![PolicyRoute { priority: 5, ..narrow }, policy("wide", 10, "0.0.0.0/0", Some(ILB))]);
    assert_eq!(send(&mut router, RUN, PUBLIC, 443), Ok(VM));
}

#[test]
fn of_equal_policy_based_routes_one_takes_every_flow() {
    for order in [["a", "b"], ["b", "a"]] {
        let port = |name: &str| if name == "a" { ILB } else { VM };
        let policies = order.map(|name| policy(name, 10, "0.0.0.0/0", Some(port(name))));
        let mut router = with_policies(policies.into());
        assert!((1..100).all(|dst_port| send(&mut router, RUN, PUBLIC, dst_port) == Ok(ILB)), "{order:?}");
    }
}

#[test]
fn default_routing_skips_the_policy_based_routes_that_come_after() {
    let skip = policy("skip", 10, "10.0.0.0/8", None);
    let mut router = with_policies(vec![skip, policy("all", 20, "0.0.0.0/0", Some(ILB))]);
    assert_eq!(send(&mut router, RUN, "10.41.0.9", 443), Ok(FIREWALL));
    assert_eq!(send(&mut router, RUN, PUBLIC, 443), Ok(ILB));
}

#[test]
fn policy_based_routes_look_at_source_protocol_tags_and_attachments() {
    let base = || policy("p", 10, "0.0.0.0/0", Some(ILB));
    let mut source = with_policies(vec![PolicyRoute { src: net("10.40.0.0/20"), ..base() }]);
    assert_eq!(send(&mut source, RUN, PUBLIC, 443), Ok(ILB));
    assert_eq!(send(&mut source, PGA, PUBLIC, 443), Err(DropCause::NoExternalAddress));

    let mut udp = with_policies(vec![PolicyRoute { protocol: Some(17), ..base() }]);
    assert_eq!(send(&mut udp, RUN, PUBLIC, 443), Ok(NAT));

    let mut tagged = with_policies(vec![PolicyRoute { scope: PolicyScope::Tags(vec!["web".into()]), ..base() }]);
    assert_eq!(send(&mut tagged, RUN, PUBLIC, 443), Ok(NAT));
    tagged.attach(net("10.40.0.2/32"), &["db".into(), "web".into()]);
    assert_eq!(send(&mut tagged, RUN, PUBLIC, 443), Ok(ILB));

    let scope = PolicyScope::Attachments(Some("us-central1".into()));
    let mut attachments = with_policies(vec![PolicyRoute { scope, ..base() }]);
    attachments.set_origin(ATTACHMENT, Origin::Attachment { region: Some("us-central1".into()) });
    attachments.set_origin(VPN, Origin::Tunnel { region: Some("us-central1".into()) });
    let mut from = |port| verdict(&mut attachments, &mut packet("192.168.1.1", RUN, 443), port);
    assert_eq!(from(ATTACHMENT), Ok(ILB));
    assert_eq!(from(VPN), Ok(FIREWALL));
    assert_eq!(from(FIREWALL), Ok(FIREWALL));
    attachments.set_origin(ATTACHMENT, Origin::Attachment { region: Some("europe-west1".into()) });
    assert_eq!(verdict(&mut attachments, &mut packet("192.168.1.1", RUN, 443), ATTACHMENT), Ok(FIREWALL));
}

// 3. Subnet routes.

#[test]
fn t11_a_subnet_route_beats_everything() {
    let mut router = router(vec![
        ("10.0.0.0/8", route("vpn", 100, NextHop::VpnTunnel(VPN))),
        ("10.40.0.9/32", route("host", 0, NextHop::VpnTunnel(VPN))),
    ]);
    assert_eq!(send(&mut router, RUN, "10.40.0.9", 443), Ok(FIREWALL));
    assert_eq!(send(&mut router, RUN, "10.50.0.9", 443), Ok(VPN));
}

fn peer_subnet(name: &str) -> PeerSubnet {
    PeerSubnet {
        name: Some(name.into()),
        network: "other".into(),
        peering: "to-other".into(),
        region: Some("us-central1".into()),
        port: PEER,
    }
}

#[test]
fn a_subnet_of_a_peer_comes_after_the_networks_own_and_before_other_routes() {
    let mut router = router(vec![("10.60.0.9/32", route("host", 0, NextHop::VpnTunnel(VPN)))]);
    router.add_peer_subnet(net("10.60.0.0/16"), peer_subnet("theirs"));
    router.add_peer_subnet(net("10.40.0.8/29"), peer_subnet("never"));
    assert_eq!(send(&mut router, RUN, "10.60.0.9", 443), Ok(PEER));
    assert_eq!(send(&mut router, RUN, "10.40.0.9", 443), Ok(FIREWALL));
}

#[test]
fn subnets_of_public_addresses_are_subnets_like_any_other() {
    let mut router = router(vec![("0.0.0.0/0", route("default", 1000, NextHop::Internet))]);
    router.add_subnet(net("198.51.100.0/24"), subnet("pupi", "us-central1"));
    assert_eq!(send(&mut router, RUN, PUBLIC, 443), Ok(FIREWALL));
}

#[test]
fn in_a_hybrid_subnet_what_nothing_has_follows_routes_inside_its_range() {
    let mut router = router(vec![
        ("10.42.0.0/25", dynamic("here", 100, "us-central1", true, 201, VPN)),
        ("10.42.0.128/25", dynamic("elsewhere", 100, "europe-west1", true, 201, VPN)),
        ("10.0.0.0/8", route("wide", 0, NextHop::VpnTunnel(VM))),
    ]);
    router.add_subnet(net("10.42.0.0/24"), subnet("hybrid", "us-central1"));
    router.add_subnet(net("10.43.0.0/24"), subnet("hybrid", "us-central1"));
    router.attach(net("10.42.0.9/32"), &[]);
    assert_eq!(send(&mut router, RUN, "10.42.0.9", 443), Ok(FIREWALL));
    assert_eq!(send(&mut router, RUN, "10.42.0.10", 443), Ok(VPN));
    assert_eq!(send(&mut router, RUN, "10.42.0.200", 443), Err(DropCause::HybridSubnetRegionMismatch));
    assert_eq!(send(&mut router, RUN, "10.43.0.1", 443), Err(DropCause::HybridSubnetNoRoute));
    router.detach(net("10.42.0.9/32"));
    assert_eq!(send(&mut router, RUN, "10.42.0.9", 443), Ok(VPN));
}

// 4. The longest prefix, of those that apply.

#[test]
fn the_longest_prefix_wins_before_priority_is_looked_at() {
    let mut router = router(vec![
        ("0.0.0.0/0", route("default", 0, NextHop::Internet)),
        ("198.51.100.0/24", route("vpn", 65_535, NextHop::VpnTunnel(VPN))),
    ]);
    assert_eq!(send(&mut router, RUN, PUBLIC, 443), Ok(VPN));
}

#[test]
fn a_tagged_route_applies_to_tagged_senders_only() {
    let tagged = Route { tags: vec!["web".into(), "app".into()], ..route("tagged", 0, NextHop::VpnTunnel(VPN)) };
    let mut router = router(vec![("0.0.0.0/0", route("default", 1000, NextHop::Internet)), ("198.0.0.0/8", tagged)]);
    router.attach(net("10.40.0.3/32"), &["web".into()]);
    router.attach(net("10.40.1.0/24"), &["app".into()]);
    assert_eq!(send(&mut router, RUN, PUBLIC, 443), Ok(NAT));
    assert_eq!(send(&mut router, "10.40.0.3", PUBLIC, 443), Ok(VPN));
    assert_eq!(send(&mut router, "10.40.1.77", PUBLIC, 443), Ok(VPN));
    // Whoever has the address next has its own tags.
    router.attach(net("10.40.0.3/32"), &[]);
    assert_eq!(send(&mut router, "10.40.0.3", PUBLIC, 443), Ok(NAT));
}

#[test]
fn with_regional_dynamic_routing_a_route_is_for_senders_of_its_region() {
    let mut router = router(vec![("172.16.0.0/12", dynamic("bgp", 100, "us-central1", false, 201, VPN))]);
    assert_eq!(send(&mut router, RUN, "172.16.0.1", 443), Ok(VPN));
    assert_eq!(send(&mut router, PGA, "172.16.0.1", 443), Err(DropCause::NoRoute));
}

#[test]
fn with_global_dynamic_routing_other_regions_pay_the_distance() {
    let mut router = router(vec![
        ("172.16.0.0/12", dynamic("central", 100, "us-central1", true, 300, VPN)),
        ("172.16.0.0/12", dynamic("west", 150, "europe-west1", true, 300, ATTACHMENT)),
    ]);
    // 100 against 150 + 300, and 150 against 100 + 300.
    assert_eq!(send(&mut router, RUN, "172.16.0.1", 443), Ok(VPN));
    assert_eq!(send(&mut router, PGA, "172.16.0.1", 443), Ok(ATTACHMENT));
}

// 5. Own before imported, and one peer.

#[test]
fn of_equal_prefixes_the_networks_own_wins_whatever_the_priorities() {
    let theirs = imported(route("theirs", 0, NextHop::VpnTunnel(VPN)), 0, "a");
    let mut router = router(vec![
        ("172.16.0.0/12", theirs),
        ("172.16.0.0/12", route("own", 65_535, NextHop::Other(VM))),
        ("172.16.0.0/16", imported(route("longer", 65_535, NextHop::VpnTunnel(PEER)), 0, "a")),
    ]);
    assert_eq!(send(&mut router, RUN, "172.17.0.1", 443), Ok(VM));
    assert_eq!(send(&mut router, RUN, "172.16.0.1", 443), Ok(PEER));
}

#[test]
fn one_of_several_peers_is_chosen_before_priority_counts() {
    let mut router = router(vec![
        ("172.16.0.0/12", imported(route("b", 0, NextHop::VpnTunnel(VPN)), 1, "b")),
        ("172.16.0.0/12", imported(route("a-low", 900, NextHop::Other(VM)), 0, "a")),
        ("172.16.0.0/12", imported(route("a-high", 800, NextHop::Other(ATTACHMENT)), 0, "a")),
    ]);
    assert!((1..100).all(|port| send(&mut router, RUN, "172.16.0.1", port) == Ok(ATTACHMENT)));
}

// 6. and 7. Priority, then the kind of next hop.

#[test]
fn t12_a_better_default_route_bypasses_cloud_nat() {
    let mut router = router(vec![
        ("0.0.0.0/0", route("default", 1000, NextHop::Internet)),
        ("0.0.0.0/0", route("ilb", 900, ilb(ILB))),
    ]);
    assert_eq!(send(&mut router, RUN, PUBLIC, 443), Ok(ILB));
}

#[test]
fn at_equal_priority_vms_and_tunnels_come_first_and_the_internet_gateway_last() {
    let mut router = router(vec![
        ("0.0.0.0/0", route("default", 1000, NextHop::Internet)),
        ("0.0.0.0/0", route("ilb", 1000, ilb(ILB))),
    ]);
    assert_eq!(send(&mut router, RUN, PUBLIC, 443), Ok(ILB));
    router.add_route(net("0.0.0.0/0"), route("vm", 1000, NextHop::Other(VM)));
    assert_eq!(send(&mut router, RUN, PUBLIC, 443), Ok(VM));
}

#[test]
fn a_route_out_of_use_is_not_considered_and_a_dead_next_hop_is() {
    let stopped = Route { out_of_use: Some("its VM is not running"), ..route("vm", 0, NextHop::Other(VM)) };
    let mut router = router(vec![("0.0.0.0/0", route("default", 1000, NextHop::Internet)), ("0.0.0.0/0", stopped)]);
    assert_eq!(send(&mut router, RUN, PUBLIC, 443), Ok(NAT));
    router.add_route(net("0.0.0.0/0"), route("dead", 0, NextHop::Dead(DropCause::RouteBlackhole)));
    assert_eq!(send(&mut router, RUN, PUBLIC, 443), Err(DropCause::RouteBlackhole));
}

// 8. Equal routes.

#[test]
fn t13_equal_routes_share_flows_and_a_flow_keeps_its_own() {
    let mut router = router(vec![
        ("172.16.0.0/12", route("a", 1000, NextHop::VpnTunnel(VPN))),
        ("172.16.0.0/12", route("b", 1000, NextHop::VpnTunnel(ATTACHMENT))),
    ]);
    let mut ways = || -> Vec<_> { (1..400).map(|port| send(&mut router, RUN, "172.16.0.1", port).unwrap()).collect() };
    let first = ways();
    let share = first.iter().filter(|port| **port == VPN).count();
    assert!((150..250).contains(&share), "{share} of 399");
    assert_eq!(ways(), first);
}

#[test]
fn t13_each_part_of_the_five_tuple_decides_which_of_equal_routes_a_flow_takes() {
    let mut router = router(vec![
        ("172.16.0.0/12", route("a", 1000, NextHop::VpnTunnel(VPN))),
        ("172.16.0.0/12", route("b", 1000, NextHop::VpnTunnel(ATTACHMENT))),
    ]);
    let mut way = |src: u8, dst: u8, src_port: u16, dst_port: u16, protocol: Protocol| {
        let (src, dst) = (format!("10.40.0.{src}"), format!("172.16.0.{dst}"));
        let (src, dst) = (src.parse().unwrap(), dst.parse().unwrap());
        let tuple: FiveTuple = FiveTuple { src, dst, src_port, dst_port, protocol };
        let mut packet = Packet::empty();
        match protocol {
            Protocol::Udp => packet.build_udp(tuple, 8),
            _ => packet.build_tcp(tuple, TcpSegment { flags: 2, seq: 0, ack: 0, payload: 0 }),
        }
        verdict(&mut router, &mut packet, FIREWALL).unwrap()
    };
    let tcp = Protocol::Tcp;
    let some: [Vec<PortId>; 5] = [
        (2..50).map(|number| way(number, 1, 5000, 443, tcp)).collect(),
        (2..50).map(|number| way(2, number, 5000, 443, tcp)).collect(),
        (2..50).map(|number| way(2, 1, 5000 + number, 443, tcp)).collect(),
        (2..50).map(|number| way(2, 1, 5000, 443 + number, tcp)).collect(),
        (2..50).map(|_| way(2, 1, 5000, 443, tcp)).collect(),
    ];
    // Source, destination, their ports; and the same flow again and again.
    let both = some.each_ref().map(|ways| ways.contains(&VPN) && ways.contains(&ATTACHMENT));
    assert_eq!(both, [true, true, true, true, false]);
    let udp: Vec<_> = (2..50).map(|number| way(number, 1, 5000, 443, Protocol::Udp)).collect();
    assert_ne!(some[0], udp, "the protocol counts, too");
}

#[test]
fn a_route_for_two_tags_of_a_sender_has_one_share() {
    let tags = vec!["a".to_owned(), "b".into()];
    let both = Route { tags: tags.clone(), ..route("both", 1000, NextHop::VpnTunnel(VPN)) };
    let one = Route { tags: vec!["a".into()], ..route("one", 1000, NextHop::VpnTunnel(ATTACHMENT)) };
    let mut router = router(vec![("172.16.0.0/12", both), ("172.16.0.0/12", one)]);
    router.attach(net("10.40.0.2/32"), &tags);
    let share = (1..400).filter(|port| send(&mut router, RUN, "172.16.0.1", *port) == Ok(VPN)).count();
    assert!((150..250).contains(&share), "{share} of 399");
}

// Changes.

#[test]
fn a_removed_route_is_gone_and_its_place_is_used_again() {
    let mut router = router(vec![("0.0.0.0/0", route("default", 1000, NextHop::Internet))]);
    let tagged = Route { tags: vec!["web".into()], ..route("tagged", 0, NextHop::Other(VM)) };
    router.attach(net("10.40.0.2/32"), &["web".into()]);
    for _ in 0..3 {
        let vpn = router.add_route(net("198.51.100.0/24"), route("vpn", 0, NextHop::VpnTunnel(VPN)));
        assert_eq!(send(&mut router, RUN, PUBLIC, 443), Ok(VPN));
        let vm = router.add_route(net("198.51.100.0/25"), tagged.clone());
        assert_eq!(send(&mut router, RUN, PUBLIC, 443), Ok(VM));
        router.remove_route(vm);
        assert_eq!(send(&mut router, RUN, PUBLIC, 443), Ok(VPN));
        router.remove_route(vpn);
        assert_eq!(send(&mut router, RUN, PUBLIC, 443), Ok(NAT));
    }
    assert_eq!((router.routes.len(), router.v4.routes.len()), (3, 1));
}

// What is said.

#[test]
fn the_winner_is_named_and_the_nearest_of_the_others_with_why_they_lost() {
    let tagged = Route { tags: vec!["web".into()], ..route("tagged", 0, NextHop::Other(VM)) };
    let stopped = Route { out_of_use: Some("its VM is not running"), ..route("stopped", 0, NextHop::Other(VM)) };
    let mut router = router(vec![
        ("198.51.100.0/24", route("winner", 100, NextHop::VpnTunnel(VPN))),
        ("198.51.100.0/24", route("second", 200, NextHop::VpnTunnel(VPN))),
        ("198.51.100.0/26", tagged),
        ("198.51.0.0/16", stopped),
        ("198.0.0.0/8", route("far", 0, NextHop::VpnTunnel(VPN))),
        ("0.0.0.0/0", route("default", 0, NextHop::Internet)),
    ]);
    assert_eq!(
        told(&mut router, RUN, PUBLIC),
        ["route winner (198.51.100.0/24, priority 100) to hop of winner wins; \
          route tagged (198.51.100.0/26, priority 0) is for senders tagged web; \
          route second (198.51.100.0/24, priority 200) loses: its priority number is higher; \
          route stopped (198.51.0.0/16, priority 0) is out of use: its VM is not running"]
    );
}

#[test]
fn each_reason_to_lose_has_its_words() {
    let reason = |loser: Route, winner: Route| {
        let mut router = router(vec![("172.16.0.0/12", loser), ("172.16.0.0/12", winner)]);
        let [text] = &told(&mut router, RUN, "172.16.0.1")[..] else { panic!("one step") };
        text.rsplit_once("loses: ").map(|(_, why)| why.to_owned()).unwrap_or_default()
    };
    let vm = |name: &str| route(name, 100, NextHop::Other(VM));
    assert_eq!(reason(imported(vm("a"), 0, "p"), vm("b")), "imported, and the network has its own");
    assert_eq!(reason(imported(vm("a"), 1, "q"), imported(vm("b"), 0, "p")), "another peered network was chosen");
    assert_eq!(reason(route("a", 101, NextHop::Other(VM)), vm("b")), "its priority number is higher");
    assert_eq!(reason(route("a", 100, ilb(ILB)), vm("b")), "a load balancer comes after VMs and tunnels");
    assert_eq!(reason(route("a", 100, NextHop::Internet), vm("b")), "the internet gateway comes last");
    // Equal ones do not lose.
    assert_eq!(reason(vm("a"), vm("b")), "");
}

#[test]
fn where_nothing_wins_it_is_said_whom_the_routes_are_for() {
    let mut router = router(vec![("172.16.0.0/12", dynamic("bgp", 100, "us-central1", false, 201, VPN))]);
    assert_eq!(
        told(&mut router, PGA, "172.16.0.1"),
        [
            "no route of vpc covers 172.16.0.1; dynamic route bgp (172.16.0.0/12, priority 100) is for senders in us-central1"
        ]
    );
}

#[test]
fn routes_of_ipv6_are_chosen_by_the_same_rules() {
    let mut router = router(vec![
        ("::/0", route("default", 1000, NextHop::Internet)),
        ("2001:db8:1::/48", route("vpn", 1000, NextHop::VpnTunnel(VPN))),
    ]);
    router.add_subnet(net("fd20:1::/64"), subnet("dual", "us-central1"));
    router.add_external(net("2600:1900:1::/64"), NAT);
    assert_eq!(send(&mut router, "fd20:1::2", "fd20:1::3", 443), Ok(FIREWALL));
    assert_eq!(send(&mut router, "fd20:1::2", "2001:db8:1::9", 443), Ok(VPN));
    assert_eq!(send(&mut router, "fd20:1::2", "2001:db8:2::9", 443), Err(DropCause::NoExternalAddress));
    assert_eq!(send(&mut router, "2600:1900:1::2", "2001:db8:2::9", 443), Ok(NAT));
    assert_eq!(send(&mut router, "2600:1900:1::2", "fd30::1", 443), Err(DropCause::PrivateTrafficToInternet));
}
