//! Senders and receivers with Direct VPC egress.

use super::*;

use Action::{Allow, Deny, Inspect};

/// Of a worker pool, first of its revision, whose tags are known from the start.
const WORKER: InterfaceKind =
    InterfaceKind::DirectVpc { ingress: true, account_known: true, tags_known_at: SimTime::ZERO };
const SERVICE: InterfaceKind =
    InterfaceKind::DirectVpc { ingress: false, account_known: true, tags_known_at: SimTime::ZERO };

const RUN: &str = "10.9.0.50";

/// A firewall with VMs `a` and `b`, and a Cloud Run instance with tag `run` and service account `run@…`.
fn with_instance(rules: Vec<Rule>, kind: InterfaceKind) -> (Firewall, PortId) {
    let (mut firewall, ..) = firewall(rules);
    let port = firewall.attach(Interface { kind, ..vm("run", "10.9.0.50/32", "run") });
    (firewall, port)
}

fn by_tag(name: &str, priority: u32, action: Action) -> Rule {
    let source = Some(Peers { tags: vec!["run".into()], ..Peers::default() });
    Rule { source, ..rule(name, priority, action, true) }
}

fn by_account(name: &str, priority: u32) -> Rule {
    let source = Some(Peers { service_accounts: vec!["run@p.iam.gserviceaccount.com".into()], ..Peers::default() });
    Rule { source, ..rule(name, priority, Allow, true) }
}

#[test]
fn tags_and_accounts_are_targets_of_egress_rules() {
    let deny = |targets| Rule { targets, ..rule("deny", 900, Deny, false) };
    let tags = Targets { tags: vec!["run".into()], ..Targets::default() };
    let accounts = vec!["run@p.iam.gserviceaccount.com".into()];
    let accounts = Targets { service_accounts: accounts, ..Targets::default() };
    for targets in [tags, accounts] {
        let (mut firewall, port) = with_instance(vec![deny(targets)], SERVICE);
        assert_eq!(verdict(&mut firewall, &syn(RUN, OUTSIDE, 443), port, 0), Err(DropCause::FirewallRule));
    }
}

#[test]
fn services_and_jobs_accept_no_connection_whatever_the_rules() {
    let (mut firewall, port) = with_instance(vec![rule("allow", 0, Allow, true)], SERVICE);
    assert_eq!(verdict(&mut firewall, &syn(A, RUN, 443), ROUTES, 0), Err(DropCause::SimNoDirectVpcIngress));
    let (from, to): (Ipv4Addr, Ipv4Addr) = (A.parse().unwrap(), RUN.parse().unwrap());
    let ruling = firewall.permits(port, true, &Headers::tcp(from, to, 443), SimTime::ZERO);
    assert_eq!(ruling.cause, Some(DropCause::SimNoDirectVpcIngress));
    // Answers to their own connections arrive.
    assert!(verdict(&mut firewall, &syn(RUN, A, 80), port, 0).is_ok());
    let answer = tcp_of(tuple(RUN, A, 80, Protocol::Tcp).reversed(), tcp_flags::SYN | tcp_flags::ACK);
    assert_eq!(verdict(&mut firewall, &answer, ROUTES, 0), Ok(port));
}

#[test]
fn later_fragments_of_answers_reach_a_service() {
    let (mut firewall, port) = with_instance(vec![], SERVICE);
    verdict(&mut firewall, &udp(RUN, A, 53), port, 0).unwrap();
    // The answer comes from port 53 to port 5000 in two fragments.
    let first = raw_ipv4(A, RUN, 17, 0x2000, &[0, 53, 0x13, 0x88, 0, 16, 0, 0]);
    let later = raw_ipv4(A, RUN, 17, 1, &[0; 8]);
    assert_eq!(verdict(&mut firewall, &first, ROUTES, 1), Ok(port));
    assert_eq!(verdict(&mut firewall, &later, ROUTES, 1), Ok(port));
}

#[test]
fn worker_pools_accept_what_a_rule_without_named_targets_allows() {
    let (mut firewall, port) = with_instance(vec![rule("allow", 1000, Allow, true)], WORKER);
    assert_eq!(verdict(&mut firewall, &syn(A, RUN, 443), ROUTES, 0), Ok(port));
    let (mut firewall, _) = with_instance(vec![], WORKER);
    assert_eq!(verdict(&mut firewall, &syn(A, RUN, 443), ROUTES, 0), Err(DropCause::FirewallRule));
}

#[test]
fn tags_are_no_targets_of_ingress_rules_for_worker_pools() {
    let targets = Targets { tags: vec!["run".into()], ..Targets::default() };
    let (mut firewall, _) = with_instance(vec![Rule { targets, ..rule("allow", 1000, Allow, true) }], WORKER);
    assert_eq!(verdict(&mut firewall, &syn(A, RUN, 443), ROUTES, 0), Err(DropCause::FirewallRule));
    assert!(told(&mut firewall, &syn(A, RUN, 443), ROUTES).ends_with("run is not among its targets"));
}

#[test]
fn a_source_tag_works_once_it_is_known_and_the_trace_says_that_it_is_undefined() {
    let kind = InterfaceKind::DirectVpc { ingress: false, account_known: false, tags_known_at: SimTime::from_secs(60) };
    let (mut firewall, _) = with_instance(vec![by_tag("from-run", 1000, Allow)], kind);
    let unsupported = DropCause::IngressFirewallTagsUnsupportedByDirectVpcEgress;
    assert_eq!(verdict(&mut firewall, &syn(RUN, A, 1), ROUTES, 59), Err(unsupported));
    assert!(verdict(&mut firewall, &syn(RUN, A, 2), ROUTES, 60).is_ok());
    let steps = steps(&mut firewall, &syn(RUN, A, 3), ROUTES, 60);
    assert_eq!(
        steps[0].description,
        "ingress to a allowed by firewall rule from-run (priority 1000), whose source tag Google does not support for \
         Direct VPC egress: behavior is undefined"
    );
}

#[test]
fn a_source_service_account_works_for_an_instance_that_is_known_by_it() {
    for (account_known, passes) in [(true, true), (false, false)] {
        let kind = InterfaceKind::DirectVpc { ingress: false, account_known, tags_known_at: SimTime::ZERO };
        let (mut firewall, _) = with_instance(vec![by_account("from-run", 1000)], kind);
        let found = verdict(&mut firewall, &syn(RUN, A, 1), ROUTES, 0);
        assert_eq!(found.is_ok(), passes);
        if !passes {
            assert_eq!(found, Err(DropCause::IngressFirewallTagsUnsupportedByDirectVpcEgress));
            assert_eq!(
                told(&mut firewall, &syn(RUN, A, 1), ROUTES),
                "ingress to a denied by the implied rule (priority 65535); firewall rule from-run (priority 1000) would \
                 let it pass by its source service account, which does not work for Direct VPC egress"
            );
        }
    }
}

#[test]
fn the_cause_is_the_plain_one_when_no_such_rule_would_have_helped() {
    let late = InterfaceKind::DirectVpc { ingress: false, account_known: false, tags_known_at: SimTime::NEVER };
    // A deny before it; a deny by tag; a rule for another port.
    let other_port = Rule { matches: on(6, &[(22, 22)]), ..by_tag("ssh", 1000, Allow) };
    for rules in [
        vec![rule("deny", 10, Deny, true), by_tag("from-run", 1000, Allow)],
        vec![by_tag("not-from-run", 1000, Deny)],
        vec![by_tag("not-from-run", 999, Deny), by_tag("from-run", 1000, Allow)],
        vec![other_port],
    ] {
        let (mut firewall, _) = with_instance(rules, late);
        assert_eq!(verdict(&mut firewall, &syn(RUN, A, 443), ROUTES, 0), Err(DropCause::FirewallRule));
    }
}

#[test]
fn a_source_range_works_always() {
    let late = InterfaceKind::DirectVpc { ingress: false, account_known: false, tags_known_at: SimTime::NEVER };
    let allow = Rule { source: from_ranges(&["10.9.0.0/24"]), ..rule("subnet", 1000, Allow, true) };
    let (mut firewall, _) = with_instance(vec![allow], late);
    assert!(verdict(&mut firewall, &syn(RUN, A, 443), ROUTES, 0).is_ok());
}

#[test]
fn its_packets_are_not_inspected() {
    let inspect = rule("look", 1, Inspect, false);
    let (mut firewall, ..) = layered(vec![policy(LayerKind::Network, "global", vec![inspect])], false);
    let port = firewall.attach(Interface { kind: SERVICE, ..vm("run", "10.9.0.50/32", "run") });
    let steps = steps(&mut firewall, &syn(RUN, OUTSIDE, 443), port, 0);
    assert_eq!(steps[1].state, State::NgfwPacketInspection);
    assert!(steps[1].description.contains("does not inspect packets of Direct VPC egress"));
}
