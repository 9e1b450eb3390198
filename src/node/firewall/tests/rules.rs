//! VPC firewall rules and the implied ones.

use super::*;

use Action::{Allow, Deny};

#[test]
fn egress_is_allowed_and_ingress_denied_unless_a_rule_says_otherwise() {
    let (mut firewall, a, _) = firewall(vec![]);
    assert_eq!(verdict(&mut firewall, &udp(A, OUTSIDE, 443), a, 0), Ok(ROUTES));
    assert_eq!(verdict(&mut firewall, &udp(STRANGER, A, 443), ROUTES, 0), Err(DropCause::FirewallRule));
}

#[test]
fn the_implied_rules_hold_for_ipv6_too() {
    let (mut firewall, _, _) = firewall(vec![]);
    let interface = Interface::vm("six".into(), ["fd20::5/128".parse::<IpNet>().unwrap()]);
    let six = firewall.attach(interface);
    assert_eq!(verdict(&mut firewall, &raw_ipv6("fd20::5", "2001:db8::1", 17), six, 0), Ok(ROUTES));
    let answer = raw_ipv6("2001:db8::1", "fd20::5", 17);
    assert_eq!(verdict(&mut firewall, &answer, ROUTES, 0), Ok(six));
    let stranger = raw_ipv6("2001:db8::2", "fd20::5", 17);
    assert_eq!(verdict(&mut firewall, &stranger, ROUTES, 0), Err(DropCause::FirewallRule));
}

#[test]
fn an_ipv4_rule_never_matches_ipv6_and_the_other_way_round() {
    let any = |range| Rule { source: from_ranges(&[range]), ..rule("any", 1000, Allow, true) };
    for (range, four, six) in [("0.0.0.0/0", true, false), ("::/0", false, true)] {
        let (mut firewall, ..) = firewall(vec![any(range)]);
        firewall.attach(Interface::vm("six".into(), ["fd20::5/128".parse::<IpNet>().unwrap()]));
        assert_eq!(verdict(&mut firewall, &udp(STRANGER, A, 1), ROUTES, 0).is_ok(), four, "{range}");
        let packet = raw_ipv6("2001:db8::1", "fd20::5", 17);
        assert_eq!(verdict(&mut firewall, &packet, ROUTES, 0).is_ok(), six, "{range}");
    }
}

#[test]
fn t14_deny_wins_a_tie() {
    for rules in [
        vec![rule("allow", 1000, Allow, false), rule("deny", 1000, Deny, false)],
        vec![rule("deny", 1000, Deny, false), rule("allow", 1000, Allow, false)],
    ] {
        let (mut firewall, a, _) = firewall(rules);
        assert_eq!(verdict(&mut firewall, &udp(A, OUTSIDE, 443), a, 0), Err(DropCause::FirewallRule));
    }
}

#[test]
fn the_lower_priority_number_wins() {
    let (mut firewall, a, _) = firewall(vec![rule("deny", 1000, Deny, false), rule("allow", 999, Allow, false)]);
    assert!(verdict(&mut firewall, &udp(A, OUTSIDE, 443), a, 0).is_ok());
}

#[test]
fn t15_a_rule_below_1000_overrides_what_google_allows_a_connectors_range() {
    let range = from_ranges(&["10.8.0.0/28"]);
    let automatic = Rule { by_google: true, source: range.clone(), ..rule("sbntfw", 1000, Allow, true) };
    for (priority, passes) in [(990, false), (1000, false), (1001, true)] {
        let own = Rule { source: range.clone(), ..rule("deny-connector", priority, Deny, true) };
        let (mut firewall, a, _) = firewall(vec![automatic.clone(), own]);
        let port = firewall.attach(Interface::vm("connector".into(), ["10.8.0.2/32".parse::<IpNet>().unwrap()]));
        assert!(verdict(&mut firewall, &syn("10.8.0.2", A, 443), port, 0).is_ok());
        assert_eq!(verdict(&mut firewall, &syn("10.8.0.2", A, 443), ROUTES, 0) == Ok(a), passes, "{priority}");
    }
}

#[test]
fn a_disabled_rule_is_ignored() {
    let deny = Rule { disabled: true, ..rule("deny", 1, Deny, false) };
    let (mut firewall, a, _) = firewall(vec![deny]);
    assert!(verdict(&mut firewall, &udp(A, OUTSIDE, 443), a, 0).is_ok());
}

#[test]
fn ports_ranges_tags_and_accounts_select() {
    let deny = |name: &str| rule(name, 900, Deny, false);
    let port = Rule { matches: on(17, &[(8000, 8999)]), ..deny("port") };
    let range = Rule { destination: from_ranges(&["192.0.2.0/24"]), ..deny("range") };
    let tag = Rule { targets: Targets { tags: vec!["db".into()], ..Targets::default() }, ..deny("tag") };
    let account = vec!["b@p.iam.gserviceaccount.com".into()];
    let account = Rule { targets: Targets { service_accounts: account, ..Targets::default() }, ..deny("account") };
    for (rule, from_a, from_b) in [(port, true, true), (range, true, true), (tag, true, false), (account, true, false)]
    {
        let name = rule.name.clone();
        let (mut firewall, a, b) = firewall(vec![rule]);
        assert_eq!(verdict(&mut firewall, &udp(A, OUTSIDE, 443), a, 0).is_ok(), from_a, "{name}");
        assert_eq!(verdict(&mut firewall, &udp(B, OUTSIDE, 443), b, 0).is_ok(), from_b, "{name}");
        let blocked = ["port", "range"].contains(&&*name);
        let to = udp(A, if &*name == "range" { "192.0.2.1" } else { OUTSIDE }, 8080);
        assert_eq!(verdict(&mut firewall, &to, a, 0).is_err(), blocked, "{name}");
    }
}

#[test]
fn secure_tags_select_targets_and_sources() {
    let secure = |value: &str| vec![value.to_owned()];
    let deny = Rule {
        targets: Targets { secure_tags: secure("tagValues/1"), ..Targets::default() },
        ..rule("deny-tagged", 900, Deny, false)
    };
    let source = Some(Peers { secure_tags: secure("tagValues/1"), ..Peers::default() });
    let allow = Rule { source, ..rule("from-tagged", 1000, Allow, true) };
    let (mut firewall, a, _) = firewall(vec![deny, allow]);
    let tagged = Interface { secure_tags: secure("tagValues/1"), ..vm("tagged", "10.9.0.9/32", "x") };
    let tagged = firewall.attach(tagged);
    assert_eq!(verdict(&mut firewall, &udp("10.9.0.9", OUTSIDE, 1), tagged, 0), Err(DropCause::FirewallRule));
    assert!(verdict(&mut firewall, &udp(A, OUTSIDE, 1), a, 0).is_ok());
    assert!(verdict(&mut firewall, &udp("10.9.0.9", B, 2), ROUTES, 0).is_ok());
    assert_eq!(verdict(&mut firewall, &udp(A, B, 2), ROUTES, 0), Err(DropCause::FirewallRule));
}

#[test]
fn both_sides_of_a_rule_must_fit() {
    // Ingress with destination ranges, egress with source ranges: Google has both.
    let two = ["10.9.0.2/32", "10.9.0.20/32"].map(|text| text.parse::<IpNet>().unwrap());
    let allow = Rule {
        source: from_ranges(&["198.51.100.0/24"]),
        destination: from_ranges(&["10.9.0.20/32"]),
        ..rule("to-alias", 1000, Allow, true)
    };
    let deny = Rule { source: from_ranges(&["10.9.0.20/32"]), ..rule("from-alias", 1000, Deny, false) };
    let mut firewall = Firewall::new("vpc".into(), vec![Layer::vpc_rules(vec![allow, deny])], false, WhenFull::ByKind);
    let port = firewall.attach(Interface::vm("vm".into(), two));
    assert_eq!(verdict(&mut firewall, &udp(STRANGER, "10.9.0.20", 1), ROUTES, 0), Ok(port));
    assert!(verdict(&mut firewall, &udp(STRANGER, "10.9.0.2", 1), ROUTES, 0).is_err());
    assert!(verdict(&mut firewall, &udp("192.0.2.1", "10.9.0.20", 1), ROUTES, 0).is_err());
    assert!(verdict(&mut firewall, &udp("10.9.0.2", OUTSIDE, 2), port, 0).is_ok());
    assert!(verdict(&mut firewall, &udp("10.9.0.20", OUTSIDE, 2), port, 0).is_err());
}

#[test]
fn source_tags_and_ranges_are_alternatives() {
    let source = Some(Peers { tags: vec!["web".into()], ranges: ranges(&["192.0.2.0/24"]), ..Peers::default() });
    let allow = Rule { source, ..rule("from-web", 1000, Allow, true) };
    let (mut firewall, _, b) = firewall(vec![allow]);
    assert_eq!(verdict(&mut firewall, &udp(A, B, 443), ROUTES, 0), Ok(b));
    assert_eq!(verdict(&mut firewall, &udp("192.0.2.9", B, 443), ROUTES, 0), Ok(b));
    assert!(verdict(&mut firewall, &udp("10.9.0.9", B, 443), ROUTES, 0).is_err());
}

#[test]
fn source_tags_and_accounts_stand_for_primary_addresses() {
    let source = Some(Peers { tags: vec!["web".into()], ..Peers::default() });
    let (mut firewall, ..) = firewall(vec![Rule { source, ..rule("from-web", 1000, Allow, true) }]);
    let addresses = ["10.9.0.30/32", "10.9.7.0/24"].map(|text| text.parse::<IpNet>().unwrap());
    firewall.attach(Interface { tags: vec!["web".into()], ..Interface::vm("pods".into(), addresses) });
    assert!(verdict(&mut firewall, &udp("10.9.0.30", B, 1), ROUTES, 0).is_ok());
    assert!(verdict(&mut firewall, &udp("10.9.7.7", B, 1), ROUTES, 0).is_err(), "an alias range");
}

#[test]
fn a_side_that_names_nobody_holds_nobody() {
    // A rule by domain names only: they are not known here.
    let unknown = Rule { destination: Some(Peers::default()), ..rule("by-name", 1, Deny, false) };
    let (mut firewall, a, _) = firewall(vec![unknown]);
    assert!(verdict(&mut firewall, &udp(A, OUTSIDE, 443), a, 0).is_ok());
}

#[test]
fn icmp_and_other_protocols_are_matched_by_number() {
    let esp = Rule { matches: on(50, &[]), ..rule("esp", 1000, Allow, true) };
    let (mut firewall, a, _) = firewall(vec![esp]);
    let packet = |src, dst, protocol| raw_ipv4(src, dst, protocol, 0, &[0; 8]);
    assert_eq!(verdict(&mut firewall, &packet(STRANGER, A, 50), ROUTES, 0), Ok(a));
    assert!(verdict(&mut firewall, &packet(STRANGER, A, 51), ROUTES, 0).is_err());
    let mut ping = Packet::empty();
    ping.build_echo(FiveTuple { dst_port: 0, ..tuple(STRANGER, A, 0, Protocol::Icmp) }, 1, 8);
    assert!(verdict(&mut firewall, &ping, ROUTES, 0).is_err());
}

#[test]
fn later_fragments_are_not_held_against_ports() {
    let allow = Rule { matches: on(17, &[(53, 53)]), ..rule("dns", 1000, Allow, true) };
    let (mut firewall, a, _) = firewall(vec![allow]);
    // More fragments follow; then one at offset 8. Source port 5000 is 0x1388; 53 is 0x35, 54 is 0x36.
    let first = |port: u8| raw_ipv4(STRANGER, A, 17, 0x2000, &[0x13, 0x88, 0, port, 0, 16, 0, 0]);
    let later = raw_ipv4(STRANGER, A, 17, 1, &[0; 8]);
    assert_eq!(verdict(&mut firewall, &first(53), ROUTES, 0), Ok(a));
    assert_eq!(verdict(&mut firewall, &first(54), ROUTES, 0), Err(DropCause::FirewallRule));
    assert_eq!(verdict(&mut firewall, &later, ROUTES, 0), Ok(a));
    // The first fragment has begun a connection, whose answers pass.
    assert!(verdict(&mut firewall, &udp_of(tuple(STRANGER, A, 53, Protocol::Udp).reversed()), a, 0).is_ok());
    assert_eq!(
        told(&mut firewall, &later, ROUTES),
        "ingress to a allowed since it shows no port: rules for ports apply to the first fragment"
    );
}

#[test]
fn a_rule_without_ports_stops_later_fragments_too() {
    let deny = Rule { source: from_ranges(&["198.51.100.0/24"]), ..rule("deny", 10, Deny, true) };
    let (mut firewall, ..) = firewall(vec![deny]);
    let later = raw_ipv4(STRANGER, A, 17, 1, &[0; 8]);
    assert_eq!(verdict(&mut firewall, &later, ROUTES, 0), Err(DropCause::FirewallRule));
}

#[test]
fn traffic_to_the_metadata_server_is_always_allowed() {
    let (mut firewall, a, _) = firewall(vec![rule("deny-all", 0, Deny, false)]);
    assert!(verdict(&mut firewall, &udp(A, "169.254.169.254", 53), a, 0).is_ok());
    assert!(verdict(&mut firewall, &udp(A, "169.254.169.253", 53), a, 0).is_err());
}

#[test]
fn a_foreign_source_and_an_unused_address_are_named() {
    let (mut firewall, a, _) = firewall(vec![]);
    assert_eq!(verdict(&mut firewall, &udp(B, OUTSIDE, 443), a, 0), Err(DropCause::ForeignIpDisallowed));
    assert_eq!(verdict(&mut firewall, &udp(A, "10.9.0.77", 443), ROUTES, 0), Err(DropCause::UnknownInternalAddress));
}

#[test]
fn thousands_of_rules_for_other_tags_are_not_asked() {
    let others = (0..5000).map(|number| Rule {
        targets: Targets { tags: vec![format!("other-{number}")], ..Targets::default() },
        ..rule("other", 100, Deny, false)
    });
    let rules = others.chain([rule("deny", 900, Deny, false)]).collect();
    let (mut firewall, a, b) = firewall(rules);
    assert!(verdict(&mut firewall, &udp(A, OUTSIDE, 443), a, 0).is_err());
    let class = firewall.interfaces[a.0 as usize - 1].class;
    assert_eq!(firewall.layers.asked(class, false).len(), 1);
    // Interfaces that rules cannot tell apart share the list.
    let twin = firewall.attach(Interface { service_account: None, ..vm("twin", "10.9.0.4/32", "db") });
    let other = firewall.attach(Interface { service_account: None, ..vm("other", "10.9.0.5/32", "db") });
    let class = |port: PortId| firewall.interfaces[port.0 as usize - 1].class;
    assert_eq!(class(twin), class(other));
    assert_ne!(class(twin), class(b));
}

#[test]
fn rules_that_are_replaced_are_listed_anew() {
    let (mut firewall, a, _) = firewall(vec![rule("deny", 900, Deny, false)]);
    assert!(verdict(&mut firewall, &udp(A, OUTSIDE, 443), a, 0).is_err());
    firewall.replace(vec![Layer::vpc_rules(vec![rule("allow", 900, Allow, false)])], false);
    assert!(verdict(&mut firewall, &udp(A, OUTSIDE, 443), a, 0).is_ok());
    assert_eq!(
        told(&mut firewall, &udp(A, OUTSIDE, 444), a),
        "egress from a allowed by firewall rule allow (priority 900)"
    );
}

#[test]
fn what_an_imagined_packet_would_meet_is_told_and_changes_nothing() {
    let allow = Rule {
        matches: on(6, &[(667, 667)]),
        source: from_ranges(&["35.199.224.0/19"]),
        ..rule("serverless", 100, Allow, true)
    };
    let (mut firewall, a, _) = firewall(vec![allow]);
    let google: Ipv4Addr = "35.199.224.5".parse().unwrap();
    let here: Ipv4Addr = A.parse().unwrap();
    let passes = firewall.permits(a, true, &Headers::tcp(google, here, 667), SimTime::ZERO);
    assert_eq!((passes.cause, &*passes.info.display_name), (None, "serverless"));
    let blocked = firewall.permits(a, true, &Headers::udp(google, here, 665), SimTime::ZERO);
    assert_eq!(blocked.cause, Some(DropCause::FirewallRule));
    assert_eq!(
        blocked.description,
        "ingress to a denied by the implied rule (priority 65535); firewall rule serverless (priority 100) does not apply: it is not for udp port 665"
    );
    let ping = firewall.permits(a, false, &Headers::portless(here, google, 1), SimTime::ZERO);
    assert_eq!(ping.cause, None);
    // Nobody tracks it: the answer of a real packet would be a stranger's.
    assert!(
        verdict(&mut firewall, &tcp_of(tuple(A, "35.199.224.5", 667, Protocol::Tcp).reversed(), 0x12), ROUTES, 0)
            .is_err()
    );
}

#[test]
fn a_trace_tells_what_failed_to_match_by_one_thing() {
    let allow = |name: &str| rule(name, 1000, Allow, true);
    let rules = vec![
        Rule { source: from_ranges(&["192.0.2.0/24"]), ..allow("other-source") },
        Rule { destination: from_ranges(&["10.9.0.3/32"]), ..allow("other-destination") },
        Rule { disabled: true, ..allow("switched-off") },
        Rule { matches: on(6, &[(443, 443)]), source: from_ranges(&["192.0.2.0/24"]), ..allow("two-things") },
    ];
    let (mut firewall, ..) = firewall(rules);
    assert_eq!(
        told(&mut firewall, &udp(STRANGER, A, 80), ROUTES),
        "ingress to a denied by the implied rule (priority 65535); firewall rule other-source (priority 1000) does not \
         apply: 198.51.100.8 is not among its sources; firewall rule other-destination (priority 1000) does not apply: \
         10.9.0.2 is not among its destinations; firewall rule switched-off (priority 1000) does not apply: it is \
         disabled"
    );
}

#[test]
fn a_detached_interface_has_no_address_any_more_and_whoever_got_it_since_keeps_it() {
    let net = |text: &str| text.parse::<IpNet>().unwrap();
    let mut firewall = Firewall::new(
        "vpc".into(),
        vec![Layer::vpc_rules(vec![rule("in", 1000, Allow, true)])],
        false,
        WhenFull::ByKind,
    );
    let old = firewall.attach(Interface::vm("old".into(), [net("10.0.0.2/32"), net("10.0.1.0/28")]));
    let other = firewall.attach(Interface::vm("other".into(), [net("10.0.2.0/28")]));
    let new = firewall.attach(Interface::vm("new".into(), [net("10.0.0.2/32")]));
    firewall.detach(old);
    let mut to = |address: &str, port: u16| verdict(&mut firewall, &udp(STRANGER, address, port), ROUTES, 0);
    assert_eq!(to("10.0.0.2", 1), Ok(new));
    assert_eq!(to("10.0.1.3", 1), Err(DropCause::UnknownInternalAddress));
    assert_eq!(to("10.0.2.3", 1), Ok(other));
    firewall.detach(new);
    assert_eq!(
        verdict(&mut firewall, &udp(STRANGER, "10.0.0.2", 2), ROUTES, 0),
        Err(DropCause::UnknownInternalAddress)
    );
}
