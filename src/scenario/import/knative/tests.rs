use super::*;
use crate::scenario::import::{Format, recognise};
use crate::scenario::tree;
use serde_json::Value as Json;

/// An import of one text.
fn import(text: &str) -> Import {
    let mut import = Import::default();
    let file = import.sources.add("service.yaml", text);
    let documents = tree::parse_all(text, file, &mut import.report).expect("valid YAML");
    for document in documents {
        assert_eq!(recognise(&document), Some(Format::Knative), "{text}");
        import.document(Format::Knative, file, None, document);
    }
    import
}

fn json(node: &Node) -> Json {
    match &node.value {
        Value::Scalar(scalar) if scalar.is_null() => Json::Null,
        Value::Scalar(scalar) => Json::String(scalar.text.to_string()),
        Value::Sequence(items) => items.iter().map(json).collect(),
        Value::Mapping(entries) => {
            entries.iter().map(|entry| (entry.key.name.to_string(), json(&entry.value))).collect()
        }
    }
}

/// The resources of a text.
fn resources(text: &str) -> Vec<(Kind, Option<String>, Json)> {
    let import = import(text);
    assert!(import.report.is_empty(), "{:#?}", import.report);
    let each = import.resources.iter();
    each.map(|resource| (resource.kind, resource.project.clone(), json(&resource.node))).collect()
}

/// `code marked-text` of each finding.
fn findings(text: &str) -> Vec<String> {
    found(&import(text), text)
}

fn found(import: &Import, text: &str) -> Vec<String> {
    let marked = |finding: &Diagnostic| {
        let place = finding.place.expect("each has a place");
        let marked = text[place.start as usize..place.end as usize].lines().next().unwrap_or("");
        assert!(finding.help.is_some(), "{} has no cure", finding.message);
        format!("{} {marked}", finding.code)
    };
    import.report.iter().map(marked).collect()
}

/// A service with annotations on its template, indented by eight.
fn service_with(annotations: &str) -> String {
    format!(
        "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: shop\nspec:\n  template:\n    \
         metadata:\n      annotations:\n{annotations}    spec:\n      containers: [{{image: example}}]\n"
    )
}

/// The `vpcAccess` of such a service.
fn access(annotations: &str) -> Json {
    let found = resources(&service_with(annotations));
    found[0].2["template"]["vpcAccess"].clone()
}

const EXPORTED: &str = r#"
apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  annotations:
    run.googleapis.com/client-name: gcloud
    run.googleapis.com/ingress: internal-and-cloud-load-balancing
    run.googleapis.com/ingress-status: internal-and-cloud-load-balancing
    run.googleapis.com/maxScale: '20'
    run.googleapis.com/minScale: '2'
    run.googleapis.com/operation-id: 2f9a
    run.googleapis.com/scalingMode: automatic
    run.googleapis.com/urls: '["https://shop-1.run.example","https://shop-2.run.example"]'
    serving.knative.dev/creator: ops@example.com
  labels:
    cloud.googleapis.com/location: europe-west4
  name: shop
  namespace: '123456789'
spec:
  template:
    metadata:
      annotations:
        autoscaling.knative.dev/maxScale: '40'
        autoscaling.knative.dev/minScale: '1'
        run.googleapis.com/execution-environment: gen2
        run.googleapis.com/network-interfaces: '[{"network":"core","subnetwork":"apps","tags":["web","db"]}]'
        run.googleapis.com/vpc-access-egress: all-traffic
      name: shop-00007-abc
    spec:
      containerConcurrency: 40
      containers:
      - env:
        - name: PASSWORD
          value: hunter2
        image: registry.example/shop
        resources:
          limits:
            cpu: 1000m
            memory: 512Mi
      - image: registry.example/sidecar
      serviceAccountName: shop@prj.iam.gserviceaccount.com
  traffic:
  - latestRevision: true
    percent: 90
  - percent: 10
    revisionName: shop-00006-xyz
    tag: old
status:
  conditions:
  - type: Ready
    status: 'False'
    message: The container failed to start.
  - type: RoutesReady
    status: 'True'
  latestCreatedRevisionName: shop-00007-abc
  url: https://shop-1.run.example
"#;

#[test]
fn an_exported_service_comes_out_in_the_shape_of_version_2() {
    let expected = serde_json::json!({
        "name": "shop",
        "region": "europe-west4",
        "scaling": {"minInstanceCount": "2", "maxInstanceCount": "20", "scalingMode": "AUTOMATIC"},
        "template": {
            "revision": "shop-00007-abc",
            "scaling": {"minInstanceCount": "1", "maxInstanceCount": "40"},
            "vpcAccess": {
                "networkInterfaces": [{"network": "core", "subnetwork": "apps", "tags": ["web", "db"]}],
                "egress": "ALL_TRAFFIC",
            },
            "maxInstanceRequestConcurrency": "40",
            "serviceAccount": "shop@prj.iam.gserviceaccount.com",
            "containers": [{"resources": {"limits": {"cpu": "1000m"}}}],
        },
        "traffic": [
            {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": "90"},
            {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": "shop-00006-xyz", "percent": "10"},
        ],
        "ingress": "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER",
        "latestCreatedRevision": "shop-00007-abc",
        "terminalCondition": {
            "type": "Ready", "state": "CONDITION_FAILED", "message": "The container failed to start.",
        },
        "uri": "https://shop-1.run.example",
        "urls": ["https://shop-1.run.example", "https://shop-2.run.example"],
    });
    assert_eq!(resources(EXPORTED), [(Kind::Service, Some("123456789".to_owned()), expected)]);
    assert!(!format!("{:?}", import(EXPORTED).resources).contains("hunter2"));
}

#[test]
fn what_is_made_is_a_scenarios_own() {
    let mut import = import(EXPORTED);
    let entries = import.entries(&mut Vec::new());
    let decoder = crate::scenario::decode::Decoder::default();
    let (file, lost) = crate::scenario::file::ScenarioFile::decode(&entries, &decoder);
    assert_eq!((decoder.finish().diagnostics, lost), (vec![], vec![]));
    let template = file.services[0].template.as_ref().expect("a template");
    let access = template.vpc_access.as_ref().expect("VPC access");
    let interfaces = access.network_interfaces.as_ref().expect("interfaces");
    assert_eq!(interfaces[0].tags.as_ref().map(Vec::len), Some(2));
    let place = interfaces[0].subnetwork.as_ref().expect("a subnet").place;
    assert_eq!(&EXPORTED[place.start as usize..place.end as usize], "\"apps\"");
}

#[test]
fn the_annotations_of_a_job_are_those_of_its_execution() {
    let text = "apiVersion: run.googleapis.com/v1\nkind: Job\nmetadata:\n  name: report\n  annotations:\n    \
                run.googleapis.com/launch-stage: BETA\nspec:\n  template:\n    metadata:\n      annotations:\n        \
                run.googleapis.com/vpc-access-connector: conn\n        run.googleapis.com/vpc-access-egress: all\n    \
                spec:\n      taskCount: 10\n      parallelism: 3\n      template:\n        spec:\n          \
                serviceAccountName: job@prj.iam.gserviceaccount.com\n          containers:\n          - resources: \
                {limits: {cpu: '2'}}\n";
    let expected = serde_json::json!({
        "name": "report",
        "template": {
            "taskCount": "10",
            "parallelism": "3",
            "template": {
                "vpcAccess": {"connector": "conn", "egress": "ALL_TRAFFIC"},
                "serviceAccount": "job@prj.iam.gserviceaccount.com",
                "containers": [{"resources": {"limits": {"cpu": "2"}}}],
            },
        },
    });
    assert_eq!(resources(text), [(Kind::Job, None, expected)]);
}

#[test]
fn a_worker_pool_scales_by_annotations_of_its_own() {
    let text = "apiVersion: run.googleapis.com/v1\nkind: WorkerPool\nmetadata:\n  name: pool\n  namespace: default\n  \
                annotations:\n    run.googleapis.com/scalingMode: manual\n    \
                run.googleapis.com/manualInstanceCount: '3'\nspec:\n  template:\n    metadata:\n      annotations: \
                {run.googleapis.com/network-interfaces: '[{\"subnetwork\": \"apps\"}]'}\n    spec: {containers: \
                [{image: x}]}\n  instanceSplits:\n  - {latestRevision: true, percent: 100}\n";
    let expected = serde_json::json!({
        "name": "pool",
        "scaling": {"manualInstanceCount": "3", "scalingMode": "MANUAL"},
        "template": {"vpcAccess": {"networkInterfaces": [{"subnetwork": "apps"}]}},
        "instanceSplits": [{"type": "INSTANCE_SPLIT_ALLOCATION_TYPE_LATEST", "percent": "100"}],
    });
    assert_eq!(resources(text), [(Kind::WorkerPool, None, expected)]);
}

#[test]
fn lists_and_several_documents_are_taken_apart_and_the_kin_of_services_is_counted() {
    let service = |name| {
        format!(
            "{{\"apiVersion\": \"serving.knative.dev/v1\", \"kind\": \"Service\", \"metadata\": {{\"name\": \"{name}\"}}}}"
        )
    };
    let names = |text: &str| -> Vec<_> { resources(text).iter().map(|(_, _, node)| node["name"].clone()).collect() };
    let [a, b] = [service("a"), service("b")];
    assert_eq!(names(&format!("[{a}, {b}]")), ["a", "b"]);
    assert_eq!(names(&format!("---\n{a}\n---\n{b}\n")), ["a", "b"]);
    assert_eq!(names(&format!("{{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{a}, {b}]}}")), ["a", "b"]);
    let bare = "{apiVersion: serving.knative.dev/v1, kind: ServiceList, items: [{metadata: {name: a}}]}";
    assert_eq!(names(bare), ["a"]);
    let import = import(&format!(
        "[{a}, {{apiVersion: serving.knative.dev/v1, kind: Revision}}, {{apiVersion: v1, kind: Secret}}]"
    ));
    assert_eq!(import.skipped.keys().collect::<Vec<_>>(), ["Cloud Run Revision", "Secret"]);
}

#[test]
fn a_service_of_kubernetes_is_none_of_cloud_run() {
    for text in [
        "{apiVersion: v1, kind: Service, metadata: {name: a}}",
        "{apiVersion: apps/v1, kind: Deployment}",
        "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Service}]}",
        "{kind: Service}",
        "{apiVersion: run.cnrm.cloud.google.com/v1beta1, kind: RunService}",
        "[]",
        "[1]",
        "x",
    ] {
        let mut sources = crate::scenario::diagnostic::Sources::default();
        let file = sources.add("t.yaml", text);
        let node = tree::parse(text, file, &mut Vec::new()).expect("valid").expect("not empty");
        assert!(!claims(&node), "{text}");
    }
}

#[test]
fn network_interfaces_are_read_in_every_spelling() {
    let key = "        run.googleapis.com/network-interfaces:";
    let whole = serde_json::json!([{"network": "core", "subnetwork": "apps", "tags": ["web", "db"]}]);
    for spelling in [
        r#" '[{"network":"core","subnetwork":"apps","tags":["web","db"]}]'"#,
        r#" '[ { "network" : "core", "subnetwork" : "apps", "tags" : "web,db" } ]'"#,
        r#" "[{\"network\":\"core\",\"subnetwork\":\"apps\",\"tags\":\"web, db\"}]""#,
        " |\n          [{\n            \"network\": \"core\",\n            \"subnetwork\": \"apps\",\n            \"tags\": [\"web\", \"db\"]\n          }]",
        " >-\n          [{\"network\": \"core\",\n          \"subnetwork\": \"apps\", \"tags\": [\"web\", \"db\"]}]",
    ] {
        assert_eq!(access(&format!("{key}{spelling}\n"))["networkInterfaces"], whole, "{spelling}");
    }
    let path = "projects/p/regions/us-central1/subnetworks/apps";
    let url = format!("https://www.googleapis.com/compute/v1/{path}");
    for reference in [path, &url, "${SUBNET}"] {
        let text = format!("{key} '[{{\"subnetwork\": \"{reference}\", \"network\": null, \"tags\": \"\"}}]'\n");
        assert_eq!(access(&text)["networkInterfaces"], serde_json::json!([{"subnetwork": reference}]));
    }
}

#[test]
fn mistakes_inside_of_the_json_are_marked_there() {
    let key = "        run.googleapis.com/network-interfaces:";
    let cases = [
        (r#" '[{"network":"core","subnet":"apps"}]'"#, "unknown-field \"subnet\""),
        (r#" "[{\"network\":\"core\",\"subnet\":\"apps\"}]""#, "unknown-field \\\"subnet\\\""),
        (" |\n          [{\"network\": \"core\",\n            \"subnet\": \"apps\"}]", "unknown-field \"subnet\""),
        (r#" '[{"network":"a"},{"network":"b"}]'"#, "many-interfaces {\"network\":\"b\"}"),
        (r#" '{"network":"a"}'"#, "not-a-list {\"network\":\"a\"}"),
        (r#" "[{'network':'a'}]""#, "invalid-json '"),
        (r#" '[{"network":"a"'"#, "invalid-json \""),
        (r#" 'core'"#, "invalid-json c"),
        (r#" '[]'"#, "no-interface []"),
        (r#" '[{"tags":""}]'"#, "no-subnet {\"tags\":\"\"}"),
        (r#" '["core"]'"#, "wrong-type \"core\""),
        (r#" '5'"#, "wrong-type 5"),
        (r#" '[{"network":"a","network":"b"}]'"#, "duplicate-key \"network\""),
        (" [{network: core}]", "not-text [{network: core}]"),
        (" ${INTERFACES}", "placeholder ${INTERFACES}"),
    ];
    for (written, expected) in cases {
        assert_eq!(findings(&service_with(&format!("{key}{written}\n"))), [expected], "{written}");
    }
}

#[test]
fn network_annotations_on_the_service_or_the_job_count_for_nothing() {
    let text = "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: shop\n  annotations:\n    \
                run.googleapis.com/vpc-access-connector: conn\n    run.googleapis.com/vpc-access-egress: all-traffic\n\
                spec: {template: {spec: {containers: [{image: x}]}}}\n";
    assert_eq!(findings(text), ["misplaced-annotation run.googleapis.com/vpc-access-connector"]);
    let import = import(text);
    let message = &import.report[0].message;
    let expected = "vpc-access-egress` stand on the Service itself, not on its template: they count for nothing, and there is no VPC access";
    assert!(message.ends_with(expected), "{message}");
    assert_eq!(json(&import.resources[0].node), serde_json::json!({"name": "shop"}));
    for (place, path) in [
        (
            "metadata: {annotations: {autoscaling.knative.dev/maxScale: '3'}, name: a}",
            "autoscaling.knative.dev/maxScale",
        ),
        (
            "metadata: {name: a}\nspec: {annotations: {run.googleapis.com/network-interfaces: x}}",
            "run.googleapis.com/network-interfaces",
        ),
        (
            "metadata: {name: a}\nspec: {template: {annotations: {run.googleapis.com/vpc-access-egress: x}}}",
            "run.googleapis.com/vpc-access-egress",
        ),
        (
            "metadata: {name: a}\nspec: {template: {spec: {annotations: {run.googleapis.com/vpc-access-egress: x}}}}",
            "run.googleapis.com/vpc-access-egress",
        ),
        (
            "metadata: {name: a}\nspec: {template: {spec: {template: {metadata: {annotations: {run.googleapis.com/vpc-access-egress: x}}}}}}",
            "run.googleapis.com/vpc-access-egress",
        ),
    ] {
        let text = format!("apiVersion: run.googleapis.com/v1\nkind: Job\n{place}\n");
        assert_eq!(findings(&text), [format!("misplaced-annotation {path}")], "{text}");
    }
}

#[test]
fn settings_that_cannot_be_are_refused_in_googles_words() {
    let connector = "        run.googleapis.com/vpc-access-connector: conn\n";
    let interfaces = "        run.googleapis.com/network-interfaces: '[{\"network\":\"core\"}]'\n";
    let egress = |value| format!("        run.googleapis.com/vpc-access-egress: {value}\n");
    let both = service_with(&format!("{connector}{interfaces}"));
    assert_eq!(findings(&both), ["connector-and-interfaces '[{\"network\":\"core\"}]'"]);
    assert!(
        import(&both).report[0].message.contains("one and only one of connector and network_interfaces must be set")
    );
    assert_eq!(findings(&service_with(&egress("all-traffic"))), ["egress-without-vpc all-traffic"]);
    assert_eq!(findings(&service_with(&format!("{connector}{}", egress("all-trafic")))), ["unknown-value all-trafic"]);
    assert_eq!(
        findings(&service_with(&format!("{connector}{}", egress("ALL_TRAFFIC")))),
        ["unknown-value ALL_TRAFFIC"]
    );
    assert_eq!(findings(&service_with(&format!("{connector}{}", egress("$EGRESS")))), ["placeholder $EGRESS"]);
    for (value, expected) in [("all", "ALL_TRAFFIC"), ("private-ranges-only", "PRIVATE_RANGES_ONLY")] {
        assert_eq!(access(&format!("{connector}{}", egress(value)))["egress"], expected);
    }
}

#[test]
fn misspelt_names_and_values_without_quotes_are_told() {
    let line = |line| service_with(&format!("        {line}\n"));
    for (key, meant) in [
        ("run.googleapis.com/vpc-egress", "run.googleapis.com/vpc-access-egress"),
        ("run.googleapis.com/vpc-connector", "run.googleapis.com/vpc-access-connector"),
        ("run.googleapis.com/vpc-access-conector", "run.googleapis.com/vpc-access-connector"),
        ("run.googleapis.com/network-interface", "run.googleapis.com/network-interfaces"),
        ("vpc-access-connector", "run.googleapis.com/vpc-access-connector"),
        ("cloud.googleapis.com/vpc-access-egress", "run.googleapis.com/vpc-access-egress"),
        ("autoscaling.knative.dev/maxscale", "autoscaling.knative.dev/maxScale"),
    ] {
        let text = line(format!("{key}: '1'"));
        assert_eq!(findings(&text), [format!("unknown-annotation {key}")]);
        let help = import(&text).report[0].help.clone();
        assert_eq!(help.as_deref(), Some(&*format!("did you mean `{meant}`?")));
    }
    for value in ["1", "true", "no", "1.5", "1_000"] {
        assert_eq!(
            findings(&line(format!("run.googleapis.com/cpu-throttling: {value}"))),
            [format!("not-text {value}")]
        );
    }
    for fine in [
        "a: b",
        "run.googleapis.com/sessionAffinity: 'true'",
        "example.com/vpc-tier: gold",
        "run.googleapis.com/max-surge: '1'",
    ] {
        assert_eq!(findings(&line(fine.to_owned())), [""; 0], "{fine}");
    }
    let misplaced = "run.googleapis.com/maxScale: '3'";
    assert_eq!(findings(&line(misplaced.to_owned())), ["misplaced-annotation run.googleapis.com/maxScale"]);
}

#[test]
fn a_manifest_without_a_name_is_refused_and_read_for_other_mistakes() {
    let text =
        service_with("        run.googleapis.com/vpc-access-egress: all\n").replace("metadata:\n  name: shop\n", "");
    let import = import(&text);
    let codes: Vec<_> = import.report.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["egress-without-vpc", "missing-name"]);
    assert!(import.resources.is_empty());
}

#[test]
fn nonsense_is_survived() {
    let deep = format!("'{}{}'", "[".repeat(5000), "]".repeat(5000));
    for value in
        ["{a: 1}", "[[1]]", "~", "''", "'\"'", "'[{\"network\": {\"a\": []}}]'", "'[{\"tags\": {\"a\": 1}}]'", &deep]
    {
        for key in ["network-interfaces", "vpc-access-egress", "vpc-access-connector", "urls", "minScale"] {
            import(&service_with(&format!("        run.googleapis.com/{key}: {value}\n")));
        }
    }
    for body in [
        "metadata: [1]",
        "metadata: {name: [1]}",
        "spec: 5",
        "spec: {template: [1], traffic: {a: 1}}",
        "status: {conditions: [1, {type: [2]}]}",
    ] {
        for kind in ["Service", "Job", "WorkerPool", "Task", "[1]"] {
            import(&format!("apiVersion: serving.knative.dev/v1\nkind: {kind}\n{body}\n"));
        }
    }
}

#[test]
fn real_manifests_give_what_is_wrong_with_them_and_no_more() {
    let Some(data) = std::env::var_os("EGRESSIM_DATA") else {
        eprintln!("skipped: EGRESSIM_DATA is not set");
        return;
    };
    let folder = std::path::Path::new(&data).join("config/knative");
    let wrong = [
        ("07", vec!["misplaced-annotation run.googleapis.com/vpc-access-connector"]),
        // It has no metadata either.
        ("10", vec!["egress-without-vpc private-ranges-only", "missing-name "]),
    ];
    let mut read = 0;
    for entry in std::fs::read_dir(folder).expect("the data folder has manifests") {
        let path = entry.expect("it can be listed").path();
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let expected = wrong.iter().find(|(number, _)| name.starts_with(number));
        assert_eq!(findings(&text), expected.map_or(vec![], |(_, findings)| findings.clone()), "{name}");
        read += 1;
    }
    assert!(read >= 5, "{read} manifests");
}
