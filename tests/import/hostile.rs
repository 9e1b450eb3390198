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
