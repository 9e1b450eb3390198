//! What scripts leave open: conditions, values, and what was there before them.

use super::{clean, expect, findings, resources, run};

/// Parts that change what others describe, a line each.
fn changes(text: &str) -> String {
    let mut import = run(text);
    import.resources.retain(|resource| resource.change);
    resources(&import)
}

#[test]
fn an_update_changes_what_a_manifest_has_replaced() {
    let text = r#"
cat > s.yaml <<END
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: svc}
spec:
  template:
    metadata:
      annotations:
        run.googleapis.com/network-interfaces: '[{"network":"n","subnetwork":"s"}]'
        run.googleapis.com/vpc-access-egress: all-traffic
END
gcloud run services replace s.yaml --region=r1
gcloud run services update svc --region=r1 --vpc-egress=private-ranges-only --network-tags=t
"#;
    let import = run(text);
    let found = resources(&import);
    assert!(import.report.is_empty(), "{}", findings(&import));
    assert!(found.contains("PRIVATE_RANGES_ONLY") && found.contains("tags: [t]"), "{found}");
    assert!(!found.contains("ALL_TRAFFIC") && import.resources.len() == 1, "{found}");
    assert!(!import.resources[0].change);
    let cleared = resources(&run(&format!("{text}gcloud run services update svc --region=r1 --clear-network\n")));
    assert!(!cleared.contains("networkInterfaces"), "{cleared}");
}

#[test]
fn what_stands_in_a_substitution_runs() {
    let text = "\
NAME=api
URL=$(gcloud run deploy $NAME --region=r1 --image=i --format='value(status.url)')
LAST=$(NAME=web; gcloud run deploy $NAME --region=r1 --image=i | tail -1)
gcloud run deploy $NAME-2 --region=r1 --image=i
";
    let expected = "\
services {name: api, region: r1}
services {name: web, region: r1}
services {name: api-2, region: r1}
";
    assert_eq!(clean(text), expected);
}

#[test]
fn a_default_route_that_is_deleted_is_not_made() {
    let text =
        "gcloud compute networks create n --subnet-mode=custom\ngcloud compute routes delete default-route-0a1b\n";
    expect(text, &[("default-route-deleted", "default-route-0a1b")]);
    assert!(resources(&run(text)).contains("deleteDefaultRoutesOnCreate: true"));
    let two = format!("gcloud compute networks create m --subnet-mode=custom\n{text}");
    expect(&two, &[("not-deleted", "default-route-0a1b")]);
    let piped = "gcloud compute routes list | xargs -I{} gcloud compute routes delete {} --quiet\n";
    expect(piped, &[("not-deleted", "{}")]);
    let printed = "gcloud compute routes delete $(gcloud compute routes list --format='value(name)')\n";
    assert_eq!(run(printed).report[0].code, "not-deleted");
    expect("gcloud compute firewall-rules delete default-allow-ssh\n", &[("not-deleted", "default-allow-ssh")]);
}

#[test]
fn tests_of_known_values_are_decided() {
    let text = |test: &str| {
        format!(
            "A=x\nE=\nif {test}; then\n  S=yes\nelif [ $A = x ]; then\n  S=elif\nelse\n  S=no\nfi\n\
             gcloud compute networks create $S --subnet-mode=custom\n"
        )
    };
    let cases = [
        ("[ \"$A\" = \"x\" ]", "yes"),
        ("[ \"$A\" != x ]", "elif"),
        ("! [ $A == y ]", "yes"),
        ("[[ $A == y ]]", "elif"),
        ("[ -n \"$A\" ] && [ -z \"$E\" ]", "yes"),
        ("test -n \"$E\" || false", "elif"),
        ("[ \"${MODE:-off}\" = on ]", "elif"),
        ("[[ -z $E ]]", "yes"),
    ];
    for (test, expected) in cases {
        assert_eq!(
            clean(&text(test)),
            format!("networks {{name: {expected}, autoCreateSubnetworks: false}}\n"),
            "{test}"
        );
    }
    let import =
        run("A=x\n[ $A = y ] && gcloud compute networks create a\n[ $A = y ] || gcloud compute networks create b\n");
    assert_eq!(resources(&import), "networks {name: b, autoCreateSubnetworks: true}\n");
    assert!(import.report.is_empty(), "{}", findings(&import));
}

#[test]
fn what_a_test_of_unknown_values_decides_is_told() {
    let text = "\
if [ \"$1\" = prod ]; then
  EGRESS=all-traffic
else
  EGRESS=private-ranges-only
fi
[ -n \"$DEBUG\" ] && LEVEL=1
SETTING=$EGRESS
gcloud run deploy svc --region=r1 --network=a --subnet=a --vpc-egress $SETTING
";
    expect(text, &[("condition-unknown", "if")]);
    let text = "NET=a\n[ -n \"$PROD\" ] && NET=b\ngcloud run deploy svc --region=r1 --network=$NET --subnet=$NET\n";
    expect(text, &[("condition-unknown", "[")]);
    let text =
        "NET=a\ncase $ENV in\n  prod) NET=b ;;\nesac\ngcloud run deploy s --region=r1 --network=$NET --subnet=x\n";
    expect(text, &[("condition-unknown", "case")]);
    // Nothing depends on it.
    clean("if [ -z \"$1\" ]; then\n  echo usage; exit 1\nfi\ngcloud run deploy svc --region=r1\n");
}

#[test]
fn arguments_shift_and_words_stand_in_for_values() {
    let text = "\
deploy() { local name=\"$1\"; shift; gcloud run deploy \"$name\" --region=r1 \"$@\"; }
deploy api --network=n --subnet=s
NET=n
gcloud run deploy b --region=r1 ${NET:+--network=$NET --subnet=s}
";
    let expected = "template: {vpcAccess: {networkInterfaces: [{network: n, subnetwork: s}]}}}";
    let found = clean(text);
    assert_eq!(found.matches(expected).count(), 2, "{found}");
    expect("gcloud run deploy b --region=r1 ${NET:+--network=$NET}\n", &[("value-unknown", "${NET:+--network=$NET}")]);
    expect("gcloud run deploy b $(cat flags) --region=r1\n", &[("value-unknown", "$(cat flags)")]);
}

#[test]
fn counters_count() {
    let text = "\
for R in r1 r2; do
  gcloud compute networks subnets create s --network=n --range=10.0.$((i++)).0/28 --region=$R
done
((i+=5))
gcloud compute networks subnets create s --network=n --range=10.0.$((i)).0/28 --region=r3
";
    let found = clean(text);
    for range in ["10.0.0.0/28", "10.0.1.0/28", "10.0.7.0/28"] {
        assert!(found.contains(range), "{found}");
    }
}

#[test]
fn what_an_unknown_loop_may_have_made_is_not_missed() {
    let text = "\
gcloud compute networks create n --subnet-mode=custom
while read -r name ip; do
  gcloud compute addresses create \"$name\" --region=r1 --addresses=\"$ip\"
done < addresses
gcloud compute routers create r --network=n --region=r1
gcloud compute routers nats create nat --router=r --region=r1 --nat-external-ip-pool=a,b --nat-all-subnet-ip-ranges
";
    let import = run(text);
    assert!(!import.report.iter().any(|finding| finding.code == "not-found"), "{}", findings(&import));
}

#[test]
fn what_no_command_has_made_is_changed_elsewhere() {
    let text = "gcloud run services update s --region=r1 --vpc-egress=all-traffic --network-tags=t\n";
    let expected = "services {name: s, region: r1, template: {vpcAccess: {networkInterfaces: [{tags: [t]}], egress: ALL_TRAFFIC}}}\n";
    assert_eq!(changes(text), expected);
    clean(text);
    let nat = "gcloud compute routers nats update n --router=r --region=r1 --min-ports-per-vm=1024\n";
    assert!(changes(nat).starts_with("routers"));
    assert!(changes("gcloud compute firewall-rules update default-allow-ssh --disabled\n").starts_with("firewalls"));
    // What is added to something is no change of it, nor is what a command has made.
    assert_eq!(changes(&nat.replace("update", "create")), "");
    let made = "gcloud run deploy s --region=r1\ngcloud run services update s --region=r1 --max-instances=3\n";
    assert_eq!(changes(made), "");
    expect("gcloud run services update s --region=r1 --clear-network\n", &[("not-cleared", "--clear-network")]);
}

#[test]
fn a_change_of_tags_leaves_the_interface_where_it_is() {
    let mut import = crate::scenario::import::Import::default();
    let file = import.sources.add("s.json", "{name: s, region: r1, template: {vpcAccess: {networkInterfaces: [{network: n, subnetwork: x}], egress: ALL_TRAFFIC}}}");
    let text = import.sources.text(file).to_owned();
    let node = crate::scenario::tree::parse(&text, file, &mut Vec::new()).expect("YAML").expect("a document");
    import.add_of(None, crate::scenario::import::Kind::Service, node);
    let script = import.sources.add("s.sh", "gcloud run services update s --region=r1 --network-tags=t\n");
    import.text(crate::scenario::import::Form::Script, script, None);
    import.complete();
    let entries = import.entries(&mut Vec::new());
    let services = entries.iter().find(|entry| &*entry.key.name == "services").expect("services");
    let shown = super::show(&services.value);
    assert!(shown.contains("network: n, subnetwork: x, tags: [t]"), "{shown}");
}

#[test]
fn a_rule_of_unknown_ranges_is_switched_off() {
    let rule = "gcloud compute firewall-rules create f --network=n --direction=EGRESS --action=DENY --rules=all";
    let text = format!("{rule} --destination-ranges=$BLOCKED\n");
    expect(&text, &[("rule-unknown", "$BLOCKED")]);
    assert!(resources(&run(&text)).contains("disabled: true"));
    // Of several, those that are known count.
    let import = run(&format!("{rule} --destination-ranges=$ADDR/32,198.51.100.0/24\n"));
    assert!(import.report[0].message.contains("this item of --destination-ranges"), "{}", findings(&import));
    assert!(resources(&import).contains("destinationRanges: [198.51.100.0/24]"));
    // A tag is a name.
    assert!(clean(&format!("{rule} --target-tags=$TAG\n")).contains("targetTags: [${TAG}]"));
    let route = "gcloud compute routes create x --network=n --destination-range=$TO --next-hop-gateway=default-internet-gateway\n";
    expect(route, &[("route-unknown", "$TO")]);
    assert_eq!(resources(&run(route)), "");
    let policy = "gcloud compute network-firewall-policies rules create 1 --firewall-policy=p --action=deny --direction=EGRESS --dest-ip-ranges=$X --layer4-configs=all\n";
    expect(policy, &[("rule-unknown", "$X")]);
}

#[test]
fn commands_that_may_count_and_are_not_read_are_told() {
    let text = "\
gcloud compute firewall-policies rules create 10 --firewall-policy=org --action=deny
gcloud compute firewall-policies list
gcloud resource-manager org-policies allow run.allowedVPCEgress private-ranges-only --project=p
gcloud compute forwarding-rules create f --target-google-apis-bundle=all-apis
";
    let import = run(text);
    assert!(import.report.iter().all(|finding| finding.code == "not-read"), "{}", findings(&import));
    assert_eq!(import.report.len(), 3);
    assert!(import.report[0].message.contains("`gcloud compute firewall-policies rules create`"));
    assert!(import.skipped.is_empty(), "{:?}", import.skipped);
}

#[test]
fn words_in_capitals_are_for_the_reader_to_fill_in() {
    let text = "\
gcloud compute networks subnets create SUBNET_NAME --range=RANGE --network=NETWORK_NAME --region=REGION
gcloud run deploy SERVICE_NAME --region=REGION --network=NETWORK_NAME --subnet=SUBNET_NAME --vpc-egress=all-traffic
";
    expect(text, &[("value-unknown", "RANGE")]);
    let found = resources(&run(text));
    assert!(
        found.contains("subnetworks {name: ${SUBNET_NAME}, region: ${REGION}, network: ${NETWORK_NAME}}"),
        "{found}"
    );
    let nat = "gcloud compute routers nats create n --router=r --region=r1 --auto-allocate-nat-external-ips --nat-custom-subnet-ip-ranges=s:ALL\n";
    assert!(clean(nat).contains("ALL_IP_RANGES"));
}

#[test]
fn functions_have_a_default_region() {
    assert!(clean("gcloud functions deploy f --runtime=nodejs20\n").contains("region: us-central1"));
    let set = "gcloud config set functions/region r2\ngcloud functions deploy f --runtime=nodejs20\n";
    assert!(clean(set).contains("region: r2"));
}

#[test]
fn a_refused_command_changes_nothing() {
    let text = "\
gcloud run deploy svc --region=r1 --network=n --subnet=s --vpc-egress=all-traffic
gcloud run deploy svc --region=r1 --vpc-connector=c --max-instances=3
";
    expect(text, &[("connector-and-network", "--vpc-connector")]);
    let found = resources(&run(text));
    assert!(
        found.contains("networkInterfaces") && !found.contains("connector") && !found.contains("scaling"),
        "{found}"
    );
}
