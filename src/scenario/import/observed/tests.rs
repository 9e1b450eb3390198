use super::*;
use crate::scenario::import::{Format, recognise};
use crate::scenario::tree;

fn import(texts: &[&str]) -> Import {
    let mut import = Import::default();
    for text in texts {
        let file = import.sources.add("t.yaml", *text);
        for document in tree::parse_all(text, file, &mut import.report).expect("valid YAML") {
            match recognise(&document) {
                Some(Format::Observed) => import.document(Format::Observed, file, None, document),
                other => panic!("{other:?}: {text}"),
            }
        }
    }
    import
}

const STATUS_TEXT: &str = r#"{"kind": "compute#routerStatusResponse", "result": {"network": "n", "bgpPeerStatus": [{"name": "x"}],
    "natStatus": [{"name": "gw", "userAllocatedNatIps": ["203.0.113.9"], "minExtraNatIpsNeeded": 2,
    "userAllocatedNatIpResources": ["https://www.googleapis.com/compute/v1/projects/p/regions/r/addresses/ip-1"]}]}}"#;

/// How many items of each kind there are.
fn counts(texts: &[&str]) -> [usize; 3] {
    let mut import = import(texts);
    let entry = entry(&mut import).expect("something");
    [MAPPINGS, STATUS, NAT_IPS].map(|key| entry.value.get(key).map_or(0, |list| list.items().len()))
}

#[test]
fn every_shape_of_the_three_is_read() {
    let vm = "instanceName: a\ninterfaceNatMappings:\n- natIpPortRanges: [203.0.113.9:1024-1087]\n  sourceVirtualIp: 10.0.0.2\n";
    let json = "{\"instanceName\": \"a\", \"interfaceNatMappings\": []}";
    let ips = "{natName: gw, natIpInfoMappings: [{natIp: 203.0.113.9, mode: MANUAL, usage: IN_USE}]}";
    for (text, expected) in [
        (format!("---\n{vm}---\n{vm}"), [2, 0, 0]),
        (format!("[{json}, {json}]"), [2, 0, 0]),
        (format!("{{\"kind\": \"compute#vmEndpointNatMappingsList\", \"result\": [{json}]}}"), [1, 0, 0]),
        ("{\"kind\": \"compute#vmEndpointNatMappingsList\"}".to_owned(), [0, 0, 0]),
        (STATUS_TEXT.to_owned(), [0, 1, 0]),
        ("network: n\nnatStatus:\n- name: gw\n".to_owned(), [0, 1, 0]),
        ("kind: compute#routerStatusResponse\nresult: {network: n}\n".to_owned(), [0, 0, 0]),
        (format!("{{result: [{ips}]}}"), [0, 0, 1]),
        (format!("[{ips}]"), [0, 0, 1]),
    ] {
        assert_eq!(counts(&[&text]), expected, "{text}");
    }
    assert_eq!(counts(&[STATUS_TEXT, vm, ips, vm]), [2, 1, 1]);
}

#[test]
fn nothing_else_is_taken_for_an_observation() {
    for text in [
        "{natMappings: [], natStatus: []}",
        "observed: {natStatus: []}",
        "{result: []}",
        "[]",
        "{kind: compute#router, name: r}",
        "x",
    ] {
        let mut sources = crate::scenario::diagnostic::Sources::default();
        let file = sources.add("t.yaml", text);
        let node = tree::parse(text, file, &mut Vec::new()).expect("valid").expect("not empty");
        assert!(!claims(&node), "{text}");
    }
    for text in [
        "{natStatus: 5}",
        "{result: {natStatus: {a: 1}}, kind: compute#routerStatusResponse}",
        "[{natIpInfoMappings: 1}]",
    ] {
        import(&[text]).entries(&mut Vec::new());
    }
}

#[test]
fn a_status_tells_the_addresses_of_nat_ips() {
    let import = import(&[STATUS_TEXT]);
    let address = &import.resources[0];
    assert_eq!((address.kind, address.project.as_deref()), (Kind::Address, Some("p")));
    let field = |key| address.node.get(key).and_then(Node::text);
    assert_eq!((field("name"), field("region"), field("address")), (Some("ip-1"), Some("r"), Some("203.0.113.9")));
}

/// A VM as the API has it.
fn vm(import: &mut Import, name: &str, address: &str) {
    let text = format!("{{name: {name}, networkInterfaces: [{{networkIP: {address}}}]}}");
    let file = import.sources.add("vm.yaml", text.clone());
    let node = tree::parse(&text, file, &mut Vec::new()).expect("valid").expect("not empty");
    import.add_of(None, Kind::Instance, node);
}

fn names(import: &mut Import) -> Vec<String> {
    let entries = import.entries(&mut Vec::new());
    let instances = entries.iter().find(|entry| &*entry.key.name == "instances").expect("instances");
    instances.value.items().iter().map(|vm| vm.get("name").and_then(Node::text).unwrap_or("").to_owned()).collect()
}

#[test]
fn vms_come_in_the_order_of_their_observed_ports() {
    let mapping = |name, address, ranges| {
        format!(
            "{{instanceName: {name}, interfaceNatMappings: [{{sourceVirtualIp: {address}, natIpPortRanges: [{ranges}]}}]}}"
        )
    };
    let text = format!(
        "[{}, {}, {}]",
        mapping("c", "10.0.0.4", "203.0.113.9:2048-2111"),
        mapping("d", "10.0.0.5", "203.0.113.9:1088-1151"),
        mapping("b", "10.0.0.9", "203.0.113.9:1024-1087"),
    );
    let mut first = import(&[&text]);
    for (name, last) in [("a", 2), ("b", 3), ("c", 4), ("d", 5)] {
        vm(&mut first, name, &format!("10.0.0.{last}"));
    }
    // The `b` that was observed is another one, of another zone.
    assert_eq!(names(&mut first), ["d", "c", "a", "b"]);
    assert_eq!(first.report.iter().map(|note| note.code).collect::<Vec<_>>(), ["observed-order"]);
    // Who is in order already needs no note.
    let mut second = import(&[&text]);
    vm(&mut second, "d", "10.0.0.5");
    vm(&mut second, "c", "10.0.0.4");
    assert_eq!(names(&mut second), ["d", "c"]);
    assert!(second.report.is_empty());
    // A gateway may list its NAT IPs in any order.
    let status = "natStatus: [{name: gw, userAllocatedNatIps: [203.0.113.9, 203.0.113.3]}]";
    let text = format!(
        "[{}, {}]",
        mapping("a", "10.0.0.2", "203.0.113.3:1024-1087"),
        mapping("b", "10.0.0.3", "203.0.113.9:1024-1087")
    );
    let mut third = import(&[&text, status]);
    vm(&mut third, "a", "10.0.0.2");
    vm(&mut third, "b", "10.0.0.3");
    assert_eq!(names(&mut third), ["b", "a"]);
}
