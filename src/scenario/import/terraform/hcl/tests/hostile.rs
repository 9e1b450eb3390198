//! Input that means harm, or is broken.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::{folder, one};

#[test]
fn a_broken_text_is_told_with_its_place() {
    let evaluated = one("resource \"t\" \"x\" {\n  a = \n}\n");
    assert!(
        evaluated.report().starts_with("main.tf:2:7: error[syntax]: this is not Terraform configuration: "),
        "{}",
        evaluated.report()
    );
}

#[test]
fn a_byte_order_mark_moves_nothing() {
    let evaluated = one("\u{feff}resource \"t\" \"x\" {\n  a = var.b\n}\n");
    assert!(evaluated.report().starts_with("main.tf:2:7: "), "{}", evaluated.report());
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [
        ("[", "]"),
        ("(", ")"),
        ("{a=", "}"),
        ("-", ""),
        ("!", ""),
        ("f(", ")"),
        ("\"${", "}\""),
        ("true ? 1 : ", ""),
        ("[for x in ", " : x]"),
    ] {
        let text = format!(
            "locals {{\n  a = {}1{}\n}}\nresource \"t\" \"x\" {{\n  a = local.a\n}}\n",
            open.repeat(100_000),
            close.repeat(100_000)
        );
        let evaluated = one(&text);
        assert!(evaluated.report().contains("error[syntax]"), "{open}");
    }
    let text = format!("{}{}", "a {\n".repeat(100_000), "}\n".repeat(100_000));
    assert!(one(&text).report().contains("error[syntax]"));
}

#[test]
fn a_long_chain_of_references_ends() {
    let mut text = String::from("locals {\n  a0 = 1\n");
    for at in 1..20_000 {
        let _ = writeln!(text, "  a{at} = [local.a{}]", at - 1);
    }
    text.push_str("}\nresource \"t\" \"x\" {\n  a = local.a19999\n  b = local.a50\n  c = local.a1000\n}\n");
    let evaluated = one(&text);
    assert!(evaluated.blocks[0].unknown[0].why.contains("nested too deeply"), "{}", evaluated.blocks[0].unknown[0].why);
}

#[test]
fn lists_that_double_are_refused() {
    let mut text = String::from("locals {\n  a0 = [\"x\"]\n  s0 = \"xx\"\n");
    for at in 1..60 {
        let _ =
            writeln!(text, "  a{at} = [local.a{0}, local.a{0}]\n  s{at} = \"${{local.s{0}}}${{local.s{0}}}\"", at - 1);
    }
    text.push_str("}\nresource \"t\" \"x\" {\n  a = local.a59\n  b = flatten(local.a20)\n  c = local.s59\n  d = local.a59 == local.a59\n}\n");
    let evaluated = one(&text);
    assert_eq!(super::json(&evaluated.blocks[0].body).len(), "{}".len());
    assert_eq!(evaluated.blocks[0].unknown.len(), 4);
}

#[test]
fn too_many_instances_are_refused() {
    let evaluated = one("resource \"t\" \"x\" {\n  count = 1e9\n}\nresource \"t\" \"y\" {}\n");
    assert_eq!(
        evaluated.report(),
        "main.tf:1:1: error[too-large]: there are more than 200000 instances, which is the most that is read\n"
    );
    assert_eq!(evaluated.text(), "t.y {}\n");
}

#[test]
fn modules_that_multiply_are_refused() {
    let call = "module \"a\" {\n  source = \"../n\"\n  count = 100\n}\nresource \"t\" \"x\" {\n  count = 100\n}\n";
    let files: Vec<(String, String)> =
        (0..10).map(|at| (format!("m{at}/main.tf"), call.replace("../n", &format!("../m{}", at + 1)))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    let evaluated = folder(&files, &["m0/main.tf"]);
    assert!(evaluated.report().contains("error[too-large]"), "{}", evaluated.report());
    assert!(evaluated.blocks.len() <= 200_000);
}

#[test]
fn a_circle_of_repetition_is_told() {
    let evaluated = one(
        "resource \"t\" \"x\" {\n  count = length(t.x)\n}\nmodule \"m\" {\n  source = \"./m\"\n  count = module.m.n\n}\n",
    );
    assert!(evaluated.report().contains("how often `t.x` is repeated depends on itself"), "{}", evaluated.report());
}

const SEED: &str = r#"
variable "region" { default = "us-central1" }
variable "subnets" {
  type    = map(object({ range = string, tags = optional(list(string), ["x"]) }))
  default = { a = { range = "10.0.0.0/24" } }
}
provider "google" {
  project = "shop"
}
locals {
  names = { for k, v in var.subnets : k => "${k}-${cidrhost(v.range, 2)}" if length(v.tags) > 0 }
  text  = <<-EOT
    a ${join(",", keys(local.names))}
    %{ if true }b%{ else }c%{ endif }
  EOT
}
resource "google_compute_network" "vpc" {
  name = "vpc"
}
resource "google_compute_subnetwork" "s" {
  for_each      = var.subnets
  name          = format("s-%s", each.key)
  network       = google_compute_network.vpc.id
  ip_cidr_range = each.value.range
  dynamic "log_config" {
    for_each = each.value.tags
    content {
      tag = log_config.value
    }
  }
}
resource "google_compute_router_nat" "nat" {
  count   = 2
  nat_ips = [google_compute_subnetwork.s["a"].id, values(google_compute_subnetwork.s)[*].name[0]]
  name    = "${local.text}-${count.index}"
}
"#;

#[test]
fn the_seed_of_the_mutations_is_sound() {
    let evaluated = one(SEED);
    assert_eq!(evaluated.report(), "");
    assert_eq!(evaluated.blocks.len(), 4, "{}", evaluated.text());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_on_mutated_configuration(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..6usize, any::<prop::sample::Index>()), 1..6)
    ) {
        const WORDS: [&str; 24] = [
            "local.names", "var.subnets", "google_compute_subnetwork.s", "each.value", "null", "[*]", "[0]", ".x", "1e300",
            "-1", "${", "}", "\"", "{", "\n", "toset(", "range(", "flatten(", ")", "file(", "count = ", "dynamic ", "for x in ", "é",
        ];
        let mut text: Vec<char> = SEED.chars().collect();
        for (at, kind, word) in changes {
            let at = at.index(text.len());
            let word = word.index(WORDS.len());
            match kind {
                0 => { text.remove(at); }
                1 => { let end = (at + word * 3).min(text.len()); text.drain(at..end); }
                2 => { let end = (at + word * 4).min(text.len()); let copy = text[at..end].to_vec(); text.splice(at..at, copy); }
                _ => { text.splice(at..at, WORDS[word].chars()); }
            }
            if text.is_empty() { break; }
        }
        let evaluated = one(&text.into_iter().collect::<String>());
        prop_assert!(evaluated.report().len() < 1_000_000);
    }
}

#[test]
fn no_chain_exhausts_the_stack() {
    let forms = [
        "max(NEXT, 1)",
        "\"${NEXT}x\"",
        "[for v in [NEXT] : v][0]",
        "{ for k, v in { a = NEXT } : k => v if NEXT == 1 }",
        "NEXT == 1 ? 1 : 2",
        "-(((NEXT)))",
        "try(NEXT, 1)",
        "[[NEXT]][*][0]",
        "\"%{ if NEXT }a%{ endif }\"",
    ];
    for form in forms {
        let mut text = String::from("locals {\n");
        for at in 0..2_500 {
            let _ = writeln!(text, "  a{at} = {}", form.replace("NEXT", &format!("local.a{}", at + 1)));
        }
        text.push_str("}\n");
        for at in 0..2_500 {
            let value = form.replace("NEXT", &format!("t.x{}.v", at + 1));
            let _ = writeln!(text, "resource \"t\" \"x{at}\" {{\n  v = {value}\n}}");
        }
        text.push_str("resource \"t\" \"x\" {\n  a = local.a0\n}\n");
        assert_eq!(one(&text).blocks.len(), 2_501, "{form}");
    }
}
