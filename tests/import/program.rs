//! `egressim import` as people and scripts use it.

use std::fs;

use serde_json::Value;

use super::common::egressim;
use super::fixture;

fn stdout(folder: &std::path::Path, arguments: &[&str]) -> (String, String, Option<i32>) {
    let assert = egressim(folder).args(arguments).assert();
    let output = assert.get_output();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[test]
fn a_plan_becomes_a_scenario_that_is_traced() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plan = fixture("plan.json");
    let (scenario, _, status) = stdout(folder.path(), &["import", plan.to_str().expect("UTF-8")]);
    assert_eq!(status, Some(0));
    fs::write(folder.path().join("network.yaml"), scenario).expect("written");
    let (trace, told, status) = stdout(folder.path(), &["trace", "network.yaml", "--to", "198.51.100.7:443"]);
    assert_eq!(status, Some(0), "{told}");
    assert!(trace.contains("shop-nat") && trace.contains("shop-conn"), "{trace}");
    let (_, _, status) = stdout(folder.path(), &["trace", "network.yaml", "--to", "192.0.2.1:443"]);
    assert_eq!(status, Some(1), "the firewall denies everything else");
}

#[test]
fn what_is_imported_can_be_included_and_given_in_place_of_a_scenario() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let include = format!(
        "include: ['{}']\nhosts: [{{name: partner, address: 198.51.100.7, ports: [443]}}]\n\
         traffic: [{{from: shop-api, to: partner:443, rate: 2/s, stop: 5s}}]\nduration: 10s\n\
         expect: [{{path: connections.failed, equals: 0}}, {{path: connections.attempted, atLeast: 1}}]\n",
        fixture("plan.json").display()
    );
    fs::write(folder.path().join("load.yaml"), include).expect("written");
    let (_, told, status) = stdout(folder.path(), &["run", "load.yaml", "-q"]);
    assert_eq!(status, Some(0), "{told}");
    let plan = fixture("plan.json");
    let (_, told, status) =
        stdout(folder.path(), &["trace", plan.to_str().expect("UTF-8"), "--to", "198.51.100.7:443"]);
    assert_eq!(status, Some(0), "{told}");
}

#[test]
fn as_json_it_is_one_document_with_findings() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = fixture("services.yaml");
    let (out, _, status) = stdout(folder.path(), &["import", file.to_str().expect("UTF-8"), "--format", "json"]);
    assert_eq!(status, Some(0));
    let document: Value = serde_json::from_str(&out).expect("one JSON document");
    let codes: Vec<&str> = document["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|finding| finding["code"].as_str())
        .collect();
    assert!(codes.contains(&"assumed-connector"), "{codes:?}");
    fs::write(folder.path().join("again.json"), out).expect("written");
    let (_, told, status) = stdout(folder.path(), &["check", "again.json"]);
    assert_eq!(status, Some(0), "{told}");
}

#[test]
fn standard_input_is_an_input() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = fs::read(fixture("gcloud/router.json")).expect("the fixture");
    let assert = egressim(folder.path()).args(["import", "-", "-q"]).write_stdin(text).assert().success();
    let out = String::from_utf8(assert.get_output().stdout.clone()).expect("UTF-8");
    assert!(out.contains("name: shop-router"), "{out}");
}

#[test]
fn nothing_that_can_be_read_is_an_error_and_prints_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("x.json"), "{\"a\": ").expect("written");
    let (out, told, status) = stdout(folder.path(), &["import", "x.json"]);
    assert_eq!((out.as_str(), status), ("", Some(2)), "{told}");
    assert!(told.contains("x.json:1"), "{told}");
}

#[test]
fn a_finding_points_into_the_original() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let plan = fs::read_to_string(fixture("plan.json")).expect("the fixture");
    let wrong = plan.replace("\"min_ports_per_vm\": 64", "\"min_ports_per_vm\": 65");
    let line = wrong.lines().position(|line| line.contains("\"min_ports_per_vm\": 65")).expect("there") + 1;
    fs::write(folder.path().join("plan.json"), wrong).expect("written");
    let (_, told, status) = stdout(folder.path(), &["import", "plan.json"]);
    assert_eq!(status, Some(2));
    assert!(told.contains(&format!("plan.json:{line}:")), "{told}");
}

#[test]
fn a_scenario_may_say_something_else_than_what_it_includes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = format!(
        "include: ['{}']\nrouters: [{{name: shop-router, nats: [{{name: shop-nat, minPortsPerVm: 128}}]}}]\n",
        fixture("plan.json").display()
    );
    let wrong = format!(
        "{text}services: [{{name: typo, region: us-central1, template: {{vpcAccess: {{connector: no-such}}}}}}]\n"
    );
    fs::write(folder.path().join("more-ports.yaml"), text).expect("written");
    let (out, told, status) = stdout(folder.path(), &["check", "more-ports.yaml", "--format", "json"]);
    assert_eq!(status, Some(0), "{told}{out}");
    let merged: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(merged["routers"].as_array().map(Vec::len), Some(1));
    assert_eq!(merged["routers"][0]["nats"][0]["minPortsPerVm"], 128);
    assert_eq!(merged["routers"][0]["nats"][0]["maxPortsPerVm"], 1024);
    let codes: Vec<_> = merged["findings"].as_array().expect("a list").iter().map(|finding| &finding["code"]).collect();
    assert!(codes.contains(&&Value::from("overridden")), "{codes:?}");
    // What a person writes is not made up.
    fs::write(folder.path().join("wrong.yaml"), wrong).expect("written");
    let (out, _, status) = stdout(folder.path(), &["check", "wrong.yaml"]);
    assert_eq!(status, Some(2), "{out}");
    assert!(out.contains("no-such"), "{out}");
}

#[test]
fn of_two_descriptions_the_first_counts_and_what_excludes_each_other_is_one_conflict() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let connector = "{\"name\": \"projects/p/locations/us-central1/services/api\", \"template\": {\"vpcAccess\": \
                     {\"connector\": \"projects/p/locations/us-central1/connectors/c\"}}}";
    let direct = "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: api\n  namespace: '1234567'\n  labels: \
                  {cloud.googleapis.com/location: us-central1}\nspec:\n  template:\n    metadata:\n      annotations:\n        \
                  run.googleapis.com/network-interfaces: '[{\"network\": \"n\", \"subnetwork\": \"s\"}]'\n";
    fs::write(folder.path().join("connector.json"), connector).expect("written");
    fs::write(folder.path().join("direct.yaml"), direct).expect("written");
    for (files, way) in
        [(["connector.json", "direct.yaml"], "connector"), (["direct.yaml", "connector.json"], "networkInterfaces")]
    {
        let (out, told, status) = stdout(folder.path(), &["import", files[0], files[1], "--format", "json"]);
        assert_eq!(status, Some(0), "{told}");
        let document: Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(document["services"].as_array().map(Vec::len), Some(1), "a number and an id may be one project");
        let access = document["services"][0]["template"]["vpcAccess"].as_object().expect("a way");
        assert!(access.contains_key(way) && access.len() == 1, "{access:?}");
        assert!(told.contains("warning[conflict]"), "{told}");
    }
}

#[test]
fn a_folder_is_a_scenario_whatever_its_files_are() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join("tf")).expect("made");
    fs::copy(fixture("terraform/main.tf"), folder.path().join("tf/main.tf")).expect("copied");
    fs::copy(fixture("terraform/terraform.tfvars"), folder.path().join("tf/terraform.tfvars")).expect("copied");
    fs::create_dir(folder.path().join("tf/nat")).expect("made");
    fs::copy(fixture("terraform/nat/nat.tf"), folder.path().join("tf/nat/nat.tf")).expect("copied");
    let (_, told, status) = stdout(folder.path(), &["trace", "tf", "--to", "198.51.100.7:443"]);
    assert_eq!(status, Some(0), "{told}");
}
