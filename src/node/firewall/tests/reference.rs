//! The firewall against a slow, obvious evaluator of its own words, over random policies, rules and packets.
//!
//! The evaluator is written from the reference's table of facts: it looks at every rule of a layer, collects those that
//! match, and takes the best of them. It shares no code with the station but the names of protocols.

use std::net::Ipv6Addr;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;

/// Addresses of the pool: two of the interface under test (primary, alias), two of a neighbour, a stranger, two of IPv6.
const OWN: [&str; 2] = ["10.0.0.2", "10.0.1.7"];
const NEIGHBOUR: [&str; 2] = ["10.0.0.3", "10.0.1.9"];
const STRANGERS: [&str; 2] = ["198.51.100.7", "203.0.113.9"];
const RANGES: [&str; 9] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.0.0.0/24",
    "10.0.0.2/32",
    "10.0.1.0/24",
    "198.51.100.0/24",
    "128.0.0.0/1",
    "::/0",
    "fd20::/20",
];
const OWN_SIX: &str = "fd20::2";
const NEIGHBOUR_SIX: &str = "fd20::3";
const STRANGER_SIX: &str = "2001:db8::9";
const TAGS: [&str; 3] = ["red", "green", "blue"];
const ACCOUNTS: [&str; 2] = ["one@p", "two@p"];
const REGIONS: [&str; 2] = ["us-central1", "europe-west1"];

/// What somebody can be known by.
#[derive(Debug, Clone)]
struct Person {
    tags: Vec<&'static str>,
    account: Option<&'static str>,
    secure: Vec<&'static str>,
    region: &'static str,
    /// Of Cloud Run: whether ingress, account and tags count.
    run: Option<(bool, bool, bool)>,
}

/// A protocol with its ports.
type Ports = (Option<u8>, Vec<(u16, u16)>);

/// One side of a rule, as one writes it down.
#[derive(Debug, Clone)]
struct Words {
    ranges: Vec<&'static str>,
    tags: Vec<&'static str>,
    accounts: Vec<&'static str>,
    secure: Vec<&'static str>,
}

#[derive(Debug, Clone)]
struct WrittenRule {
    number: usize,
    ingress: bool,
    priority: u32,
    action: Action,
    disabled: bool,
    protocols: Vec<Ports>,
    source: Option<Words>,
    destination: Option<Words>,
    targets: Words,
}

#[derive(Debug, Clone)]
struct WrittenLayer {
    kind: LayerKind,
    region: Option<&'static str>,
    rules: Vec<WrittenRule>,
}

#[derive(Debug, Clone)]
struct Case {
    layers: Vec<WrittenLayer>,
    policies_first: bool,
    me: Person,
    neighbour: Person,
    ingress: bool,
    headers: Headers,
}

fn words(with_names: bool) -> impl Strategy<Value = Words> {
    let most = if with_names { 2 } else { 0 };
    (
        subsequence(RANGES.to_vec(), 0..=2 - most / 2),
        subsequence(TAGS.to_vec(), 0..=most),
        subsequence(ACCOUNTS.to_vec(), 0..=most.min(1)),
        subsequence(TAGS.to_vec(), 0..=most.min(1)),
    )
        .prop_map(|(ranges, tags, accounts, secure)| Words { ranges, tags, accounts, secure })
}

fn targets() -> impl Strategy<Value = Words> {
    prop_oneof![
        4 => Just(Words { ranges: vec![], tags: vec![], accounts: vec![], secure: vec![] }),
        2 => words(true).prop_map(|words| Words { ranges: vec![], ..words }),
    ]
}

fn written_rule() -> impl Strategy<Value = WrittenRule> {
    let port = (1..6u16, 0..3u16).prop_map(|(first, more)| (first, first + more));
    let protocol = (option::weighted(0.7, select(vec![6u8, 17, 1, 50])), vec(port, 0..2))
        .prop_map(|(protocol, ports)| (protocol, if matches!(protocol, Some(6 | 17)) { ports } else { vec![] }));
    (
        any::<bool>(),
        0..6u32,
        select(vec![Action::Allow, Action::Deny, Action::GotoNext, Action::Inspect]),
        prop::bool::weighted(0.1),
        vec(protocol, 1..4),
        option::weighted(0.6, words(true)),
        option::weighted(0.25, words(false)),
        targets(),
    )
        .prop_map(|(ingress, priority, action, disabled, protocols, source, destination, targets)| WrittenRule {
            number: 0,
            ingress,
            priority,
            action,
            disabled,
            protocols,
            source,
            destination,
            targets,
        })
}

fn written_layer() -> impl Strategy<Value = WrittenLayer> {
    let kinds = vec![
        LayerKind::Hierarchical,
        LayerKind::System,
        LayerKind::RegionalSystem,
        LayerKind::Network,
        LayerKind::RegionalNetwork,
    ];
    (select(kinds), select(REGIONS.to_vec()), vec(written_rule(), 0..6)).prop_map(|(kind, region, mut rules)| {
        // In a policy no priority occurs twice.
        let mut seen = vec![];
        rules.retain(|rule| {
            let new = !seen.contains(&rule.priority);
            seen.push(rule.priority);
            new
        });
        let regional = matches!(kind, LayerKind::RegionalSystem | LayerKind::RegionalNetwork);
        WrittenLayer { kind, region: regional.then_some(region), rules }
    })
}

fn person(runs: f64) -> impl Strategy<Value = Person> {
    (
        subsequence(TAGS.to_vec(), 0..3),
        option::of(select(ACCOUNTS.to_vec())),
        subsequence(TAGS.to_vec(), 0..2),
        select(REGIONS.to_vec()),
        option::weighted(runs, any::<(bool, bool, bool)>()),
    )
        .prop_map(|(tags, account, secure, region, run)| Person {
            tags,
            account,
            // Cloud Run has no secure tags.
            secure: if run.is_some() { vec![] } else { secure },
            region,
            run,
        })
}

fn case() -> impl Strategy<Value = Case> {
    let classic = vec(written_rule(), 0..8).prop_map(|mut rules| {
        for rule in &mut rules {
            if !matches!(rule.action, Action::Allow | Action::Deny) {
                rule.action = Action::Allow;
            }
        }
        WrittenLayer { kind: LayerKind::VpcRules, region: None, rules }
    });
    // The neighbour's primary address most of all: names stand for it.
    let others: Vec<&str> = NEIGHBOUR.into_iter().chain(STRANGERS).chain([NEIGHBOUR[0]; 2]).collect();
    let four = (select(OWN.to_vec()), select(others)).prop_map(|(own, other)| (own.to_owned(), other.to_owned()));
    let six = select(vec![NEIGHBOUR_SIX, STRANGER_SIX]).prop_map(|other| (OWN_SIX.to_owned(), other.to_owned()));
    let port = prop_oneof![
        5 => (1..8u16).prop_map(Port::Known),
        1 => Just(Port::InFirstFragment),
    ];
    (
        (vec(written_layer(), 0..5), classic, any::<usize>(), any::<bool>()),
        (person(0.3), person(0.7), any::<bool>()),
        (prop_oneof![5 => four, 1 => six], select(vec![6u8, 17, 1, 50]), port),
    )
        .prop_map(
            |((mut layers, classic, at, policies_first), (me, neighbour, ingress), (ends, protocol, port))| {
                layers.insert(at % (layers.len() + 1), classic);
                let mut number = 0;
                for rule in layers.iter_mut().flat_map(|layer| &mut layer.rules) {
                    (rule.number, number) = (number, number + 1);
                }
                let (own, other) = (ends.0.parse().unwrap(), ends.1.parse().unwrap());
                let (source, destination) = if ingress { (other, own) } else { (own, other) };
                let port = if matches!(protocol, 6 | 17) || port == Port::InFirstFragment { port } else { Port::None };
                let headers = Headers { source, destination, protocol, port };
                Case { layers, policies_first, me, neighbour, ingress, headers }
            },
        )
}

// ---------------------------------------------------------------------------------------------------------------------
// The reference.

fn in_range(range: &str, address: IpAddr) -> bool {
    let (network, length) = range.split_once('/').unwrap();
    let length: u32 = length.parse().unwrap();
    match (network.parse::<IpAddr>().unwrap(), address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let bits = |address: Ipv4Addr| if length == 0 { 0 } else { u32::from(address) >> (32 - length) };
            bits(network) == bits(address)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let bits = |address: Ipv6Addr| if length == 0 { 0 } else { u128::from(address) >> (128 - length) };
            bits(network) == bits(address)
        }
        _ => false,
    }
}

impl Case {
    /// Whoever sends, if it is the neighbour by its primary address (or its IPv6 address).
    fn named_sender(&self) -> Option<&Person> {
        let primary = [NEIGHBOUR[0], NEIGHBOUR_SIX].map(|text| text.parse::<IpAddr>().unwrap());
        (self.ingress && primary.contains(&self.headers.source)).then_some(&self.neighbour)
    }

    fn source_matches(&self, words: &Words, all_work: bool) -> bool {
        if words.ranges.iter().any(|range| in_range(range, self.headers.source)) {
            return true;
        }
        let Some(sender) = self.named_sender() else { return false };
        let tag = words.tags.iter().any(|tag| sender.tags.contains(tag));
        let account = sender.account.is_some_and(|account| words.accounts.contains(&account));
        let secure = words.secure.iter().any(|tag| sender.secure.contains(tag));
        match sender.run {
            None => tag || account || secure,
            Some((_, account_works, tags_work)) => {
                tag && (tags_work || all_work) || account && (account_works || all_work)
            }
        }
    }

    fn is_target(&self, rule: &WrittenRule) -> bool {
        let Words { tags, accounts, secure, .. } = &rule.targets;
        if tags.is_empty() && accounts.is_empty() && secure.is_empty() {
            return true;
        }
        if rule.ingress && self.me.run.is_some() {
            return false;
        }
        tags.iter().any(|tag| self.me.tags.contains(tag))
            || self.me.account.is_some_and(|account| accounts.contains(&account))
            || secure.iter().any(|tag| self.me.secure.contains(tag))
    }

    fn matches(&self, rule: &WrittenRule, all_work: bool) -> bool {
        let protocol = rule.protocols.iter().any(|(protocol, ports)| {
            protocol.is_none_or(|protocol| protocol == self.headers.protocol)
                && (ports.is_empty()
                    || matches!(self.headers.port, Port::Known(port) if ports.iter().any(|(a, b)| (a..=b).contains(&&port))))
        });
        let destination = rule.destination.as_ref();
        rule.ingress == self.ingress
            && !rule.disabled
            && self.is_target(rule)
            && protocol
            && rule.source.as_ref().is_none_or(|words| self.source_matches(words, all_work))
            && destination.is_none_or(|words| words.ranges.iter().any(|it| in_range(it, self.headers.destination)))
    }

    /// The number of the rule that decides, and whether it lets the packet pass.
    fn decide(&self, all_work: bool) -> (Option<usize>, bool) {
        let of = |kind| self.layers.iter().filter(move |layer| layer.kind == kind);
        let networks: Vec<_> = of(LayerKind::Network).chain(of(LayerKind::RegionalNetwork)).collect();
        let classic: Vec<_> = of(LayerKind::VpcRules).collect();
        let mut order: Vec<&WrittenLayer> = of(LayerKind::Hierarchical).collect();
        order.extend(of(LayerKind::System));
        order.extend(of(LayerKind::RegionalSystem));
        let (first, second) = if self.policies_first { (networks, classic) } else { (classic, networks) };
        order.extend(first);
        order.extend(second);
        for layer in order {
            if layer.region.is_some_and(|region| region != self.me.region) {
                continue;
            }
            let all: Vec<&WrittenRule> = layer.rules.iter().filter(|rule| self.matches(rule, all_work)).collect();
            let Some(best) = all.iter().map(|rule| rule.priority).min() else { continue };
            let best: Vec<&&WrittenRule> = all.iter().filter(|rule| rule.priority == best).collect();
            let decisive = best.iter().find(|rule| rule.action == Action::Deny).unwrap_or(&best[0]);
            match decisive.action {
                Action::Allow | Action::Inspect => return (Some(decisive.number), true),
                Action::Deny => return (Some(decisive.number), false),
                Action::GotoNext => {}
            }
        }
        (None, !self.ingress || self.headers.port == Port::InFirstFragment)
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The same, for the station.

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn peers(words: &Words) -> Peers {
    Peers {
        ranges: ranges(&words.ranges),
        tags: strings(&words.tags),
        service_accounts: strings(&words.accounts),
        secure_tags: strings(&words.secure),
    }
}

fn built(layer: &WrittenLayer) -> Layer {
    let rules = layer.rules.iter().map(|written| Rule {
        matches: (written.protocols.iter())
            .map(|(protocol, ports)| ProtocolMatch { protocol: *protocol, ports: ports.clone() })
            .collect(),
        source: written.source.as_ref().map(peers),
        destination: written.destination.as_ref().map(peers),
        targets: Targets {
            tags: strings(&written.targets.tags),
            service_accounts: strings(&written.targets.accounts),
            secure_tags: strings(&written.targets.secure),
        },
        disabled: written.disabled,
        ..rule(&written.number.to_string(), written.priority, written.action, written.ingress)
    });
    let rules = rules.collect();
    let policy = Policy { name: "p".into(), resource: Resource::global("firewallPolicies", "p"), priority: None };
    match layer.kind {
        LayerKind::VpcRules => Layer::vpc_rules(rules),
        kind => Layer::policy(kind, policy, layer.region.map(Into::into), rules),
    }
}

fn interface(name: &str, person: &Person, addresses: [&str; 3]) -> Interface {
    let kind = match person.run {
        None => InterfaceKind::Vm,
        Some((ingress, account_known, tags)) => InterfaceKind::DirectVpc {
            ingress,
            account_known,
            tags_known_at: if tags { SimTime::ZERO } else { SimTime::NEVER },
        },
    };
    Interface {
        kind,
        region: Some(person.region.into()),
        tags: strings(&person.tags),
        service_account: person.account.map(str::to_owned),
        secure_tags: strings(&person.secure),
        ..Interface::vm(name.into(), addresses.map(|address| IpNet::from(address.parse::<IpAddr>().unwrap())))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6_000))]

    #[test]
    fn the_rule_that_decides_is_the_references(case in case()) {
        let layers = case.layers.iter().map(built).collect();
        let mut firewall = Firewall::new("vpc".into(), layers, case.policies_first, WhenFull::ByKind);
        // Somebody else is there, too, who must not matter.
        firewall.attach(Interface::vm("bystander".into(), ["10.0.0.99/32".parse::<IpNet>().unwrap()]));
        let port = firewall.attach(interface("me", &case.me, [OWN[0], OWN[1], OWN_SIX]));
        firewall.attach(interface("neighbour", &case.neighbour, [NEIGHBOUR[0], NEIGHBOUR[1], NEIGHBOUR_SIX]));
        let ruling = firewall.permits(port, case.ingress, &case.headers, SimTime::ZERO);

        let (rule, allow) = case.decide(false);
        let expected_rule = rule.map(|number| number.to_string());
        let implied = if case.ingress { "default-deny-ingress" } else { "default-allow-egress" };
        prop_assert_eq!(&ruling.info.display_name, expected_rule.as_deref().unwrap_or(implied), "{}", ruling.description);
        let closed = case.ingress && case.me.run.is_some_and(|(ingress, ..)| !ingress);
        let expected = if closed {
            Some(DropCause::SimNoDirectVpcIngress)
        } else if allow {
            None
        } else if case.decide(true).1 {
            Some(DropCause::IngressFirewallTagsUnsupportedByDirectVpcEgress)
        } else {
            Some(DropCause::FirewallRule)
        };
        prop_assert_eq!(ruling.cause, expected, "{}", ruling.description);
    }
}

#[test]
fn the_random_cases_meet_every_way_to_decide() {
    use std::collections::BTreeMap;

    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut met: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..6_000 {
        let case = case().new_tree(&mut runner).unwrap().current();
        let (rule, allow) = case.decide(false);
        let layer = case.layers.iter().find(|layer| layer.rules.iter().any(|it| Some(it.number) == rule));
        let what = layer.map_or("implied".to_owned(), |layer| format!("{:?}", layer.kind));
        *met.entry(format!("{what} {allow}")).or_default() += 1;
        if case.decide(true) != case.decide(false) {
            *met.entry("unsupported".into()).or_default() += 1;
        }
    }
    for what in ["implied", "Hierarchical", "System", "RegionalSystem", "VpcRules", "Network", "RegionalNetwork"] {
        for allow in [true, false] {
            assert!(met.get(&format!("{what} {allow}")).is_some_and(|count| *count > 20), "{what} {allow}: {met:?}");
        }
    }
    assert!(met["unsupported"] > 15, "{met:?}");
}
