//! Input that breaks importers: refused with a clear error, in bounded time and memory.

use std::path::PathBuf;

use super::{import, import_texts};

/// The codes of an import's findings.
fn codes(name: &str, text: &str) -> Vec<&'static str> {
    import_texts(&[(name, text)]).diagnostics.iter().map(|finding| finding.code).collect()
}

#[test]
fn deep_nesting_is_refused() {
    for depth in [150, 100_000] {
        let json = "[".repeat(depth) + &"]".repeat(depth);
        let found = codes("a.json", &json);
        assert!(found == ["too-deep"] || found == ["syntax"], "{depth}: {found:?}");
        let hcl = format!("locals {{\n  x = {}{}\n}}\n", "[".repeat(depth), "]".repeat(depth));
        assert!(!codes("a.tf", &hcl).is_empty(), "{depth} levels of HCL");
        let hcl = format!("locals {{\n  x = {}1{}\n}}\n", "(".repeat(depth), ")".repeat(depth));
        codes("a.tf", &hcl);
        let shell = format!("gcloud compute networks create {}x{}\n", "$(".repeat(depth), ")".repeat(depth));
        codes("a.sh", &shell);
    }
}

#[test]
fn bombs_of_aliases_are_refused() {
    let mut text = String::from("kind: compute#routerList\na0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for level in 1..20 {
        let previous = format!("*a{}", level - 1);
        text += &format!("a{level}: &a{level} [{}]\n", [previous.as_str(); 9].join(","));
    }
    assert_eq!(codes("a.yaml", &text), ["too-large"]);
}

#[test]
fn copies_of_a_long_text_are_counted_by_their_length() {
    let text = format!("kind: compute#router\na: &a {}\n", "x".repeat(1_000_000));
    let copies: String = (0..60_000).map(|number| format!("b{number}: *a\n")).collect();
    assert_eq!(codes("a.yaml", &(text + &copies)), ["too-large"]);
}

#[test]
fn nested_loops_of_terraform_are_refused_before_they_fill_the_memory() {
    let text = "locals {\n  r = range(1000)\n  p = [for a in local.r : [for b in local.r : [for c in local.r : {}]]]\n}\n\
                resource \"google_compute_network\" \"n\" {\n  name = \"n${length(local.p)}\"\n}\n";
    assert!(codes("a.tf", text).contains(&"too-large"));
}

#[test]
fn a_thousand_times_what_is_missing_takes_no_minute() {
    let services: String = (0..3000)
        .map(|number| format!("---\napiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {{name: s{number}}}\nspec: {{template: {{metadata: {{annotations: {{run.googleapis.com/vpc-access-connector: c{number}}}}}}}}}\n"))
        .collect();
    let loaded = import_texts(&[("a.yaml", &services)]);
    assert_eq!(loaded.file.connectors.len(), 3000);
}

#[test]
fn bombs_of_terraform_are_refused() {
    let mut text = String::from("locals {\n  a0 = [1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
    for level in 1..20 {
        let previous = format!("local.a{}", level - 1);
        text += &format!("  a{level} = concat({})\n", [previous.as_str(); 9].join(", "));
    }
    text += "}\nresource \"google_compute_network\" \"n\" {\n  for_each = toset(local.a19)\n  name = each.key\n}\n";
    assert!(!codes("a.tf", &text).is_empty());
    assert!(
        !codes("b.tf", "resource \"google_compute_network\" \"n\" {\n  count = 999999999999\n  name = \"x\"\n}\n")
            .is_empty()
    );
}

#[test]
fn a_shell_loop_is_bounded() {
    let list = "a b c d e f g h i j ".repeat(10);
    let mut text = String::new();
    for level in 0..8 {
        text += &format!("for v{level} in {list}; do\n");
    }
    text += "gcloud compute networks create n-$v0-$v7\n";
    text += &"done\n".repeat(8);
    codes("a.sh", &text);
    codes(
        "b.sh",
        "A=x\nfor i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35; do\nA=$A$A\ndone\ngcloud compute networks create $A\n",
    );
}

#[test]
fn bytes_that_are_no_text_are_an_error_with_their_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("router.json");
    std::fs::write(&path, b"{\"kind\": \"compute#router\", \"name\": \"\xff\xfe\"}").expect("written");
    let loaded = import(&[path]);
    let codes: Vec<_> = loaded.diagnostics.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["not-utf-8"]);
}

#[test]
fn a_file_of_a_hundred_megabytes_is_refused_before_it_is_read_whole() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("huge.json");
    let file = std::fs::File::create(&path).expect("created");
    // A hole: the disk is not asked for it.
    file.set_len(100 << 20).expect("resized");
    let loaded = import(&[path]);
    let codes: Vec<_> = loaded.diagnostics.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["too-large"]);
}

#[test]
fn modules_in_a_circle_are_refused() {
    let call = |to: &str| format!("module \"m\" {{\n  source = \"{to}\"\n}}\n");
    let loaded = import_texts(&[("main.tf", &call("./a")), ("a/main.tf", &call("../b")), ("b/main.tf", &call("../a"))]);
    assert!(loaded.diagnostics.has_errors(), "{}", loaded.diagnostics.render(&loaded.sources, false));
}

#[test]
fn what_is_not_there_is_told() {
    let loaded = import(&[PathBuf::from("/nonexistent/plan.json")]);
    let codes: Vec<_> = loaded.diagnostics.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["unreadable"]);
}

/// Other files in a folder are no reason to refuse the rest.
#[test]
fn a_folder_may_hold_anything_else() {
    let loaded = import_texts(&[
        ("docker-compose.yml", "services:\n  web:\n    image: nginx\n"),
        ("prod.env", "DB_PASSWORD=S3Cret\n"),
        ("notes.md", "# Notes: a: b\n"),
        ("Makefile", "all:\n\tcc a.c\n"),
        ("key.pem", "-----BEGIN PRIVATE KEY-----\nS3Cret\n"),
        ("network.json", "{\"kind\": \"compute#network\", \"name\": \"vpc\"}"),
        (
            "manifest.yaml",
            "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: api}\n---\napiVersion: v1\nkind: Secret\nstringData: {a: S3Cret}\n---\na: b\n",
        ),
    ]);
    let told = loaded.diagnostics.render(&loaded.sources, false);
    assert!(!loaded.diagnostics.has_errors(), "{told}");
    assert_eq!((loaded.file.networks.len(), loaded.file.services.len()), (1, 1), "{told}");
    assert!(!told.contains("S3Cret"), "{told}");
}

#[test]
fn secrets_beside_mistakes_are_not_quoted() {
    let texts = [
        ("a.sh", "gcloud run deploy api --image=x --region=r1 --set-env-var=KEY=S3Cret\n"),
        ("a.tf", "resource \"google_sql_user\" \"u\" {\n  password = \"S3Cret\" \"x\"\n}\n"),
        ("terraform.tfvars", "a = \"S3Cret\" x\n"),
        ("a.yaml", "services:\n- name: a\n  env: {K: S3Cret}\n  password: S3Cret\n"),
        ("a.json", "{\"type\": \"service_account\", \"private_key\": \"S3Cret\"}"),
        ("b.json", "{\"env\": [{\"name\": \"U\", \"value\": \"S3Cret\"}] \"x\"}"),
        ("c.yaml", "env:\n  DATABASE_URL: \"postgres://S3Cret\" x\n"),
        ("a.jsonl", "{\"assetType\":\"x\",\"name\":\"y\"}\n{\"env\":[{\"name\":\"U\",\"value\":\"S3Cret\"}\n"),
    ];
    for (name, text) in texts {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        let loaded = import(&[path]);
        let told = loaded.diagnostics.render(&loaded.sources, false);
        assert!(!told.is_empty() && !told.contains("S3Cret"), "{name}: {told}");
    }
}

#[test]
fn null_is_nothing() {
    let loaded = import_texts(&[(
        "a.json",
        "{\"kind\": \"compute#router\", \"name\": \"r\", \"region\": null, \"network\": null}",
    )]);
    let router = &loaded.file.routers[0];
    assert_eq!(router.region.as_ref().map(|region| region.as_str()), Some("us-central1"));
    assert_eq!(router.network.as_str(), "unknown-network");
}
