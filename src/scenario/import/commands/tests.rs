//! Scripts, what they leave, and what is refused of them.

use std::fmt::Write as _;

use super::super::{Form, Import};
use crate::scenario::diagnostic::{Diagnostic, Severity};
use crate::scenario::tree::{self, Node, Value};

mod families;
mod hostile;
mod unknown;

/// Runs texts as scripts or Markdown.
fn run_all(texts: &[&str]) -> Import {
    let mut import = Import::default();
    for (index, text) in texts.iter().enumerate() {
        let file = import.sources.add(format!("script-{index}.sh"), *text);
        let form = if text.contains("```") { Form::Markdown } else { Form::Script };
        import.text(form, file, None);
    }
    import.complete();
    import
}

fn run(text: &str) -> Import {
    run_all(&[text])
}

/// A node on one line, keys in their order.
fn show(node: &Node) -> String {
    match &node.value {
        Value::Scalar(scalar) => scalar.text.to_string(),
        Value::Sequence(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Value::Mapping(entries) => {
            let entries = entries.iter().map(|entry| format!("{}: {}", entry.key.name, show(&entry.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// All resources, a line each.
fn resources(import: &Import) -> String {
    let mut out = String::new();
    for resource in &import.resources {
        let _ = writeln!(out, "{} {}", resource.kind.key(), show(&resource.node));
    }
    out
}

/// The resources of a script that has nothing to complain about.
fn clean(text: &str) -> String {
    let import = run(text);
    assert!(import.report.is_empty(), "{}", findings(&import));
    resources(&import)
}

fn findings(import: &Import) -> String {
    import.report.iter().map(|diagnostic| diagnostic.render(&import.sources, false) + "\n").collect()
}

fn serious(import: &Import) -> Vec<&Diagnostic> {
    import.report.iter().filter(|diagnostic| diagnostic.severity != Severity::Note).collect()
}

/// The codes of a script's findings with the texts they point to.
fn codes(text: &str) -> Vec<(&'static str, String)> {
    let import = run(text);
    import
        .report
        .iter()
        .map(|diagnostic| {
            let place = diagnostic.place.expect("a place");
            let text = import.sources.text(place.file);
            (diagnostic.code, text[place.start as usize..place.end as usize].to_owned())
        })
        .collect()
}

fn expect(text: &str, expected: &[(&str, &str)]) {
    let found = codes(text);
    let found: Vec<(&str, &str)> = found.iter().map(|(code, text)| (*code, &**text)).collect();
    assert_eq!(found, expected, "{}", findings(&run(text)));
}

#[test]
fn the_guide_as_published_has_four_mistakes() {
    let import = run(include_str!("fixtures/guide-as-published.md"));
    let found: Vec<(&str, Severity, String)> = serious(&import)
        .into_iter()
        .map(|diagnostic| {
            let place = diagnostic.place.expect("a place");
            let text = import.sources.text(place.file)[place.start as usize..place.end as usize].to_owned();
            (diagnostic.code, diagnostic.severity, text)
        })
        .collect();
    let expected = [
        ("overlapping-ranges", "10.8.0.0/28"),
        ("not-found", "cloudrun-connector-subnet"),
        ("already-exists", "cloudrun-connector"),
        ("not-found", "cloudrun-direct-subnet"),
    ];
    let expected = expected.map(|(code, text)| (code, Severity::Rejected, text.to_owned()));
    assert_eq!(found, expected, "{}", findings(&import));
    assert!(import.skipped.is_empty(), "{:?}", import.skipped);
}

/// A mapping as sorted text without some keys, and without values that say what is the default anyway.
fn plain(node: &Node, without: &[&str]) -> String {
    match &node.value {
        Value::Scalar(scalar) => scalar.text.to_string(),
        Value::Sequence(items) => {
            format!("[{}]", items.iter().map(|item| plain(item, without)).collect::<Vec<_>>().join(", "))
        }
        Value::Mapping(entries) => {
            let entries = entries.iter().filter(|entry| !without.contains(&&*entry.key.name));
            let mut entries: Vec<_> =
                entries.map(|entry| format!("{}: {}", entry.key.name, plain(&entry.value, without))).collect();
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

#[test]
fn the_corrected_guide_is_the_built_in_scenario() {
    let import = run(include_str!("fixtures/guide-corrected.md"));
    assert!(import.report.is_empty(), "{}", findings(&import));
    let mut sources = crate::scenario::diagnostic::Sources::default();
    let text = include_str!("../../../../scenarios/guide.yaml");
    let file = sources.add("guide.yaml", text);
    let scenario = tree::parse(text, file, &mut Vec::new()).expect("YAML").expect("a document");
    for key in ["networks", "subnetworks", "connectors", "addresses", "routers", "services"] {
        let without: &[&str] = match key {
            "addresses" => &["address"],
            "services" => &["instances"],
            _ => &[],
        };
        let expected: Vec<String> =
            scenario.get(key).map_or(&[][..], Node::items).iter().map(|node| plain(node, without)).collect();
        let of_kind = import.resources.iter().filter(|resource| resource.kind.key() == key);
        let found: Vec<String> = of_kind.map(|resource| plain(&resource.node, without)).collect();
        assert_eq!(found, expected, "{key}");
    }
}

#[test]
fn values_of_flags_point_into_the_script() {
    let import = run("gcloud compute routers create r --network=vpc \\\n  --region 'us-central1'\n");
    let node = &import.resources[0].node;
    let at = |key: &str| {
        let place = node.get(key).expect("a field").place;
        &import.sources.text(place.file)[place.start as usize..place.end as usize]
    };
    assert_eq!((at("name"), at("network"), at("region")), ("r", "vpc", "'us-central1'"));
}

#[test]
fn variables_come_from_earlier_assignments() {
    let text = "\
REGION=us-central1 NAME=app
export NET=\"${NAME}-vpc\"
: \"${MTU:=1500}\"
gcloud compute networks create \"$NET\" --subnet-mode=custom --mtu=$MTU
gcloud compute networks subnets create ${NAME}-${TIER:-web} --network $NET --region $REGION --range 10.0.0.0/24
";
    let expected = "\
networks {name: app-vpc, autoCreateSubnetworks: false, mtu: 1500}
subnetworks {name: app-web, region: us-central1, network: app-vpc, ipCidrRange: 10.0.0.0/24}
";
    assert_eq!(clean(text), expected);
}

#[test]
fn flags_may_come_from_variables_and_arrays() {
    let text = "\
COMMON=\"--region=us-east1 --project=p\"
FLAGS=(--network=vpc --asn=65001)
FLAGS+=(--description=\"two words\")
gcloud compute routers create r $COMMON \"${FLAGS[@]}\"
";
    assert_eq!(clean(text), "routers {name: r, region: us-east1, network: vpc, bgp: {asn: 65001}}\n");
}

#[test]
fn what_is_not_in_the_script_stays_a_variable_in_names_and_is_told_elsewhere() {
    let text = "\
P=$(gcloud config get-value project)
gcloud compute networks subnets create $PREFIX-apps --network=$PREFIX-net --region=r1 --range=$RANGE --project=$P
";
    let import = run(text);
    assert_eq!(resources(&import), "subnetworks {name: ${PREFIX}-apps, region: r1, network: ${PREFIX}-net}\n");
    assert_eq!(import.resources[0].project, None);
    expect(text, &[("value-unknown", "$RANGE")]);
}

#[test]
fn a_described_address_is_the_one_that_was_reserved() {
    let text = "\
gcloud compute addresses create ip --addresses=203.0.113.9 --region=r1
IP=$(gcloud compute addresses describe ip --region=r1 --format='value(address)')
gcloud compute firewall-rules create f --network=vpc --allow=tcp:443 --source-ranges=$IP/32
";
    assert!(clean(text).contains("sourceRanges: [203.0.113.9/32]"), "{}", clean(text));
}

#[test]
fn loops_over_lists_are_run() {
    let text = "\
for r in us-central1 us-east1; do
  for i in {1..2}; do
    gcloud compute routers create r-$i --network=vpc --region=$r
  done
done
";
    assert_eq!(run(text).resources.len(), 4);
    assert!(run(text).report.is_empty());
    let text =
        "for r in $(gcloud compute regions list); do gcloud compute routers create r --network=v --region=$r; done\n";
    expect(text, &[("loop-unknown", "for")]);
}

#[test]
fn a_script_may_ask_whether_something_exists() {
    let text = "\
gcloud compute networks create vpc --subnet-mode=custom
gcloud compute networks create vpc --subnet-mode=custom || true
gcloud compute networks describe vpc >/dev/null 2>&1 || gcloud compute networks create vpc
if gcloud run services describe api --region=r1; then
  gcloud run services update api --region=r1 --max-instances=3
else
  gcloud run deploy api --region=r1 --image=i
fi
";
    expect(text, &[("condition-unknown", "if")]);
    let import = run(text);
    assert_eq!(import.resources.len(), 2, "{}", resources(&import));
}

#[test]
fn functions_are_run_when_they_are_called() {
    let text = "\
make() {
  gcloud compute routers create \"$1\" --network=vpc --region=\"${2:-us-central1}\"
}
make a
make b us-east1
function never { gcloud compute networks create x; }
";
    let import = run(text);
    assert_eq!(
        resources(&import),
        "routers {name: a, region: us-central1, network: vpc}\nrouters {name: b, region: us-east1, network: vpc}\n"
    );
    expect(text, &[("function-not-called", "never")]);
}

#[test]
fn defaults_are_those_of_the_configuration() {
    let text = "\
gcloud config set project p1
gcloud config set compute/region europe-west1
gcloud config set run/region europe-west4
gcloud compute routers create r --network=vpc
gcloud beta run deploy api --image=i
gcloud --project=p2 compute routers create r --network=vpc --quiet
";
    let import = run(text);
    assert!(import.report.is_empty(), "{}", findings(&import));
    let found: Vec<_> =
        import.resources.iter().map(|resource| (resource.project.as_deref(), show(&resource.node))).collect();
    assert_eq!(found[0], (Some("p1"), "{name: r, region: europe-west1, network: vpc}".into()));
    assert_eq!(found[1], (Some("p1"), "{name: api, region: europe-west4}".into()));
    assert_eq!(found[2].0, Some("p2"));
}

#[test]
fn several_scripts_build_on_each_other() {
    let one = "gcloud compute networks create vpc --subnet-mode=custom\nR=us-central1\n";
    let two = "gcloud compute networks subnets create s --network=vpc --region=$R --range=10.0.0.0/24\n";
    let three = "gcloud compute networks subnets create t --network=vpc --region=$R --range=10.0.0.128/25\n";
    let import = run_all(&[one, two, three]);
    assert_eq!(import.report.iter().map(|diagnostic| diagnostic.code).collect::<Vec<_>>(), ["overlapping-ranges"]);
    let related = import.report[0].related.as_ref().expect("the other range").0;
    assert_eq!(import.sources.name(related.file), "script-1.sh");
}

#[test]
fn a_flag_that_does_not_exist_is_named_with_the_nearest() {
    expect("gcloud run deploy api --region=r1 --vpc-conector=c\n", &[("unknown-flag", "--vpc-conector")]);
    let import = run("gcloud run deploy api --region=r1 --vpc-conector c\n");
    assert_eq!(import.report.len(), 1, "{}", findings(&import));
    assert_eq!(import.report[0].help.as_deref(), Some("did you mean `--vpc-connector`?"));
    assert_eq!(import.report[0].severity, Severity::Rejected);
    // One that is like none may be newer than this program.
    let import = run("gcloud run deploy api --region=r1 --teleport=moon\n");
    assert_eq!(import.report[0].severity, Severity::Warning);
    assert!(import.report[0].help.as_deref().is_some_and(|help| help.contains("the nearest is")));
}

#[test]
fn what_the_shell_would_not_give_to_gcloud_is_told() {
    expect("gcloud run deploy api --region=r1\n  --vpc-egress=all\n", &[("stray-flag", "--vpc-egress=all")]);
    expect("gcloud run deploy api \\ \n --region=r1\n", &[("trailing-blank", "\\ ")]);
    expect("gcloud run deploy 'api --region=r1\n", &[("unbalanced-quote", "'"), ("no-region", "gcloud run deploy")]);
}

#[test]
fn commands_that_are_not_read_are_counted_and_those_that_look_are_not() {
    let text = "\
gcloud sql instances create db --root-password=hunter2
gcloud services enable run.googleapis.com
gcloud compute networks list
gcloud projects add-iam-policy-binding p --member=x --role=y
curl https://example.com
terraform apply -auto-approve
";
    let import = run(text);
    assert_eq!(import.skipped.keys().collect::<Vec<_>>(), ["gcloud sql instances create", "terraform apply"]);
    assert!(import.report.is_empty(), "{}", findings(&import));
    assert!(!import.sources.text(crate::scenario::diagnostic::FileId::from_index(0)).contains("hunter2"));
    expect("gcloud compute networks craete vpc\n", &[("unknown-command", "craete")]);
}

#[test]
fn secrets_are_in_no_resource_and_no_finding() {
    let text = "\
export DB_PASSWORD='s3cret one'
gcloud run deploy api --region=r1 --set-env-vars=KEY=s3cret,TWO=s3cret --nope-flag=x
gcloud run deploy api --region=r1 --set-secrets A=s3cret --update-env-vars \"P=$DB_PASSWORD\"
gcloud compute instances create vm --zone=z-a --metadata=startup-script='echo s3cret'
";
    let import = run(text);
    let all = findings(&import) + &resources(&import) + import.sources.text(import.report[0].place.unwrap().file);
    assert!(!all.contains("s3cret"), "{all}");
}

#[test]
fn a_manifest_in_a_here_document_is_read_with_places_in_the_script() {
    let text = "\
NAME=api
cat > service.yaml <<END
apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: $NAME
END
gcloud run services replace service.yaml --region=us-central1
gcloud run services replace missing.yaml --region=us-central1
";
    expect(text, &[("file-not-read", "missing.yaml")]);
}

#[test]
fn what_is_deleted_is_left_out() {
    let text = "\
gcloud compute networks create vpc --subnet-mode=custom
gcloud compute routers create r --network=vpc --region=r1
gcloud compute routers delete r --region=r1 --quiet
";
    expect(text, &[("deleted", "gcloud compute routers delete")]);
    assert_eq!(run(text).resources.len(), 1);
    let all = format!("{text}gcloud compute networks delete vpc\n");
    let import = run(&all);
    assert_eq!(import.report[0].severity, Severity::Warning);
    assert!(import.resources.is_empty());
}
