//! What is behind the routes: Google's APIs, the internet, forwarding rules, and packets that come from elsewhere.

use super::*;

fn with_default() -> Router {
    router(vec![("0.0.0.0/0", route("default", 1000, NextHop::Internet))])
}

#[test]
fn t4_the_internet_needs_a_gateway_that_covers_the_source() {
    let mut router = with_default();
    assert_eq!(send(&mut router, RUN, "8.8.8.8", 443), Ok(NAT));
    assert_eq!(send(&mut router, PGA, "8.8.8.8", 443), Err(DropCause::NoExternalAddress));
    assert_eq!(send(&mut router, RUN, "10.1.2.3", 443), Err(DropCause::PrivateTrafficToInternet));
    assert_eq!(send(&mut router, RUN, "169.254.1.1", 443), Err(DropCause::PrivateTrafficToInternet));
}

#[test]
fn t5_and_t6_google_apis_go_without_nat_or_not_at_all() {
    let mut router = with_default();
    router.add_google_api(net("142.250.0.0/15"));
    for dst in ["199.36.153.4", "199.36.153.11", "142.250.9.9"] {
        assert_eq!(send(&mut router, PGA, dst, 443), Ok(GOOGLE), "{dst}");
        // Cloud NAT covers this subnet, and takes nothing that is Google's.
        assert_eq!(send(&mut router, RUN, dst, 443), Err(DropCause::PrivateGoogleAccessDisallowed), "{dst}");
    }
    assert_eq!(send(&mut router, RUN, "199.36.153.12", 443), Ok(NAT));
}

#[test]
fn a_vm_with_an_external_address_needs_no_private_google_access() {
    let mut router = with_default();
    router.add_external(net("10.40.0.5/32"), VM);
    assert_eq!(send(&mut router, "10.40.0.5", "199.36.153.8", 443), Ok(GOOGLE));
    assert_eq!(send(&mut router, "10.40.0.5", PUBLIC, 443), Ok(VM));
}

#[test]
fn google_apis_are_not_reached_through_a_vpn_tunnel_nor_without_a_route() {
    let mut without = router(vec![]);
    assert_eq!(send(&mut without, PGA, "199.36.153.8", 443), Err(DropCause::NoRoute));
    let mut router = router(vec![("0.0.0.0/0", route("vpn", 1000, NextHop::VpnTunnel(VPN)))]);
    let unsupported = Err(DropCause::PrivateGoogleAccessViaVpnTunnelUnsupported);
    assert_eq!(send(&mut router, PGA, "199.36.153.8", 443), unsupported);
    assert_eq!(send(&mut router, PGA, PUBLIC, 443), Ok(VPN));
    // A route of their own to the internet gateway is enough.
    router.add_route(net("199.36.153.8/30"), route("google", 1000, NextHop::Internet));
    assert_eq!(send(&mut router, PGA, "199.36.153.8", 443), Ok(GOOGLE));
    assert_eq!(send(&mut router, PGA, "199.36.153.4", 443), unsupported);
}

#[test]
fn the_virtual_addresses_of_ipv6_are_google_apis() {
    let mut router = router(vec![("::/0", route("default", 1000, NextHop::Internet))]);
    let subnet = SubnetRoute { private_google_access: true, ..subnet("dual", "us-central1") };
    router.add_subnet(net("fd20:1::/64"), subnet);
    for dst in ["2600:2d00:2:1000::1", "2600:2d00:2:2000::1"] {
        assert_eq!(send(&mut router, "fd20:1::2", dst, 443), Ok(GOOGLE), "{dst}");
    }
    assert_eq!(send(&mut router, "fd20:1::2", "2600:2d00:2:3000::1", 443), Err(DropCause::NoExternalAddress));
}

#[test]
fn t10_mail_gre_and_rare_protocols_are_blocked_to_external_addresses() {
    let mut router = with_default();
    assert_eq!(send(&mut router, RUN, PUBLIC, 25), Err(DropCause::TrafficTypeBlocked));
    assert_eq!(send(&mut router, RUN, "10.41.0.9", 25), Ok(FIREWALL));
    let mut of = |protocol: u8| {
        let mut bytes = packet(RUN, PUBLIC, 443).bytes().to_vec();
        bytes[9] = protocol;
        verdict(&mut router, &mut Packet::parse(&bytes).unwrap(), FIREWALL)
    };
    for protocol in [47, 2, 46, 88, 89, 103, 253] {
        assert_eq!(of(protocol), Err(DropCause::TrafficTypeBlocked), "{protocol}");
    }
    // What the gateway makes of these is its own business.
    for protocol in [50, 51, 132, 4] {
        assert_eq!(of(protocol), Ok(NAT), "{protocol}");
    }
}

#[test]
fn a_load_balancer_without_global_access_takes_its_own_region_only() {
    let only = NextHop::Ilb { port: ILB, only_from: Some("us-central1".into()) };
    let mut router = router(vec![("172.16.0.0/12", route("ilb", 1000, only))]);
    assert_eq!(send(&mut router, RUN, "172.16.0.1", 443), Ok(ILB));
    assert_eq!(send(&mut router, PGA, "172.16.0.1", 443), Err(DropCause::ForwardingRuleRegionMismatch));
    // What comes through a tunnel is of the tunnel's region, also where the network has nothing else in it.
    for (region, expected) in [("us-central1", Ok(ILB)), ("asia-east1", Err(DropCause::ForwardingRuleRegionMismatch))] {
        router.set_origin(VPN, Origin::Tunnel { region: Some(region.into()) });
        let mut from_tunnel = packet("192.168.1.1", "172.16.0.1", 443);
        assert_eq!(verdict(&mut router, &mut from_tunnel, VPN), expected, "{region}");
    }
}

#[test]
fn a_forwarding_rule_takes_its_protocol_and_ports_from_its_region() {
    let mut router = with_default();
    router.add_forwarding_rule(forwarding_rule(ForwardingTarget::LoadBalancer, Some("us-central1")));
    assert_eq!(send(&mut router, RUN, "10.40.0.99", 443), Ok(ILB));
    assert_eq!(send(&mut router, RUN, "10.40.0.99", 80), Err(DropCause::ForwardingRuleMismatch));
    assert_eq!(send(&mut router, PGA, "10.40.0.99", 443), Err(DropCause::ForwardingRuleRegionMismatch));
    assert_eq!(send(&mut router, RUN, "10.40.0.98", 443), Ok(FIREWALL));
    // A second rule with the same address.
    let all = ForwardingRule { protocol: None, ports: vec![], ..forwarding_rule(ForwardingTarget::LoadBalancer, None) };
    router.add_forwarding_rule(all);
    assert_eq!(send(&mut router, PGA, "10.40.0.99", 80), Ok(ILB));
}

#[test]
fn an_endpoint_of_a_published_service_must_be_accepted_and_is_not_for_peers() {
    let published = |accepted: bool| ForwardingTarget::PublishedService {
        attachment: Resource::regional("serviceAttachments", "us-central1", "service"),
        accepted,
        status: "PENDING".into(),
    };
    let mut pending = with_default();
    pending.add_forwarding_rule(forwarding_rule(published(false), None));
    assert_eq!(send(&mut pending, RUN, "10.40.0.99", 443), Err(DropCause::PscConnectionNotAccepted));
    let mut accepted = with_default();
    accepted.add_forwarding_rule(forwarding_rule(published(true), None));
    assert_eq!(send(&mut accepted, RUN, "10.40.0.99", 443), Ok(ILB));
    accepted.set_origin(PEER, Origin::Peer);
    let from_peer = verdict(&mut accepted, &mut packet("10.60.0.2", "10.40.0.99", 443), PEER);
    assert_eq!(from_peer, Err(DropCause::PscEndpointAccessedFromPeeredNetwork));
}

#[test]
fn what_comes_from_a_peer_goes_to_subnets_only() {
    let mut router = with_default();
    router.set_origin(PEER, Origin::Peer);
    let mut from_peer = |dst: &str| verdict(&mut router, &mut packet("10.60.0.2", dst, 443), PEER);
    assert_eq!(from_peer(RUN), Ok(FIREWALL));
    assert_eq!(from_peer(PUBLIC), Err(DropCause::NoKnownRouteFromPeeredNetworkToDestination));
}

#[test]
fn what_comes_through_a_tunnel_follows_routes_but_not_to_the_internet_nor_back() {
    let mut router = router(vec![
        ("0.0.0.0/0", route("default", 1000, NextHop::Internet)),
        ("172.16.0.0/12", route("vpn", 1000, NextHop::VpnTunnel(VPN))),
        ("172.17.0.0/16", route("vm", 1000, NextHop::Other(VM))),
        ("172.18.0.0/16", Route { tags: vec!["web".into()], ..route("tagged", 1000, NextHop::Other(VM)) }),
    ]);
    router.set_origin(VPN, Origin::Tunnel { region: None });
    let mut through = |dst: &str| verdict(&mut router, &mut packet("192.168.1.1", dst, 443), VPN);
    assert_eq!(through(RUN), Ok(FIREWALL));
    assert_eq!(through("172.17.0.1"), Ok(VM));
    assert_eq!(through("172.18.0.1"), Err(DropCause::RoutingLoop));
    assert_eq!(through(PUBLIC), Err(DropCause::TrafficFromHybridEndpointToInternetDisallowed));
}

#[test]
fn answers_go_to_subnets_of_the_network_and_of_its_peers() {
    let mut router = with_default();
    let peer = PeerSubnet { name: None, network: "other".into(), peering: "p".into(), region: None, port: PEER };
    router.add_peer_subnet(net("10.60.0.0/16"), peer);
    let mut answer = |dst: &str| verdict(&mut router, &mut packet(PUBLIC, dst, 443), NAT);
    assert_eq!(answer(RUN), Ok(FIREWALL));
    assert_eq!(answer("10.60.0.2"), Ok(PEER));
    assert_eq!(answer("192.0.2.77"), Err(DropCause::NoRoute));
}
