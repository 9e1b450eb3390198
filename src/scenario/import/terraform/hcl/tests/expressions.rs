//! Expressions, templates and functions.

use super::one;

/// The value of an expression, as it comes out in a block.
fn value(expression: &str) -> String {
    let text = format!("resource \"t\" \"x\" {{\n  v = {expression}\n}}\n");
    let evaluated = one(&text);
    assert_eq!(evaluated.report(), "", "{expression}");
    let block = &evaluated.blocks[0];
    match block.unknown.first() {
        Some(unknown) => format!("? {}", unknown.why),
        None => block.body.get("v").map_or("null".into(), super::json),
    }
}

#[test]
fn expressions_have_the_values_that_terraform_gives_them() {
    let cases = [
        ("1 + 2 * 3", "\"7\""),
        ("(1 + 2) * 3 - 10 / 4", "\"6.5\""),
        ("-5 % 3", "\"-2\""),
        ("\"2\" + 1", "\"3\""),
        ("1 < 2 && !(2 <= 1)", "\"true\""),
        ("1 == \"1\"", "\"false\""),
        ("true ? \"a\" : \"b\"", "\"a\""),
        ("null", "null"),
        ("[1, \"a\", true][1]", "\"a\""),
        ("{ a = 1, \"b\" : 2 }[\"b\"]", "\"2\""),
        ("{ (\"x-${1}\") = [\"y\"] }", "{\"x-1\":[\"y\"]}"),
        ("[for i, v in [\"a\", \"b\"] : \"${i}${v}\"]", "[\"0a\",\"1b\"]"),
        ("{ for k, v in { a = 1, b = 2 } : v => k if v > 1 }", "{\"2\":\"b\"}"),
        ("{ for v in [\"ab\", \"ac\", \"b\"] : substr(v, 0, 1) => v... }", "{\"a\":[\"ab\",\"ac\"],\"b\":[\"b\"]}"),
        ("[{ a = 1 }, { a = 2 }][*].a", "[\"1\",\"2\"]"),
        ("[{ a = [1] }, { a = [2] }].*.a[0]", "[\"1\"]"),
        ("[{ a = [1] }, { a = [2] }][*].a[0]", "[\"1\",\"2\"]"),
        ("\"a$${b}%%{c}\"", "\"a${b}%{c}\""),
        ("\"${[1]}\"", "[\"1\"]"),
        ("\"%{ if true }yes%{ else }no%{ endif }\"", "\"yes\""),
        ("\"%{ for v in [1, 2] }<${v}>%{ endfor }\"", "\"<1><2>\""),
        ("\"a  ${~ \"b\" ~}  c\"", "\"abc\""),
        ("<<EOT\na ${1}\n  b\nEOT", "\"a 1\\n  b\\n\""),
        ("<<-EOT\n    a\n      b\n    EOT", "\"a\\n  b\\n\""),
        ("\"tab\\tquote\\\"\"", "\"tab\\tquote\\\"\""),
        ("1e3", "\"1000\""),
    ];
    for (expression, expected) in cases {
        assert_eq!(value(expression), expected, "{expression}");
    }
}

#[test]
fn functions_have_the_values_that_terraform_gives_them() {
    let cases = [
        ("format(\"%s-%03d-%v\", \"a\", 7, true)", "\"a-007-true\""),
        ("format(\"%[2]s%[1]s %[3]5.1f%%\", \"a\", \"b\", 2.25)", "\"ba   2.2%\""),
        ("join(\",\", [1, 2], [\"c\"])", "\"1,2,c\""),
        ("split(\"/\", \"a/b/c\")[2]", "\"c\""),
        ("concat([1], [2, 3])", "[\"1\",\"2\",\"3\"]"),
        ("merge({ a = 1, b = 1 }, { b = 2 })", "{\"a\":\"1\",\"b\":\"2\"}"),
        ("lookup({ a = 1 }, \"b\", \"d\")", "\"d\""),
        ("length(\"añb\") + length([1]) + length({ a = 1 })", "\"5\""),
        ("toset([\"b\", \"a\", \"b\"])", "[\"a\",\"b\"]"),
        ("keys({ b = 1, a = 2 })", "[\"a\",\"b\"]"),
        ("values({ b = 1, a = 2 })", "[\"2\",\"1\"]"),
        ("flatten([[1, [2]], [], 3])", "[\"1\",\"2\",\"3\"]"),
        ("distinct([2, 1, 2])", "[\"2\",\"1\"]"),
        ("coalesce(null, \"\", \"x\")", "\"x\""),
        ("try({ a = 1 }.b, \"none\")", "\"none\""),
        ("can([][0])", "\"false\""),
        ("contains([\"a\"], \"a\")", "\"true\""),
        ("element([\"a\", \"b\"], 3)", "\"b\""),
        ("upper(lower(\"Ab\"))", "\"AB\""),
        ("replace(\"a-b-c\", \"-\", \"_\")", "\"a_b_c\""),
        ("trimspace(\"  a \")", "\"a\""),
        ("cidrsubnet(\"10.0.0.0/16\", 8, 2)", "\"10.0.2.0/24\""),
        ("cidrsubnet(\"fd20::/48\", 16, 255)", "\"fd20:0:0:ff::/64\""),
        (
            "cidrsubnets(\"10.1.0.0/16\", 4, 4, 8, 4)",
            "[\"10.1.0.0/20\",\"10.1.16.0/20\",\"10.1.32.0/24\",\"10.1.48.0/20\"]",
        ),
        ("cidrhost(\"10.12.112.0/20\", 16)", "\"10.12.112.16\""),
        ("cidrhost(\"10.12.112.0/20\", -1)", "\"10.12.127.255\""),
        ("cidrnetmask(\"172.16.0.0/12\")", "\"255.240.0.0\""),
        ("range(1, 8, 3)", "[\"1\",\"4\",\"7\"]"),
        ("zipmap([\"a\"], [1])", "{\"a\":\"1\"}"),
        ("jsonencode({ b = [1, null], a = \"x\" })", "\"{\\\"a\\\":\\\"x\\\",\\\"b\\\":[1,null]}\""),
        ("jsondecode(\"{\\\"a\\\": [1]}\").a[0]", "\"1\""),
        ("max(1, [3, 2]...)", "\"3\""),
        ("ceil(1.2) + floor(1.8)", "\"3\""),
        ("tonumber(\"12\") + tonumber(tostring(1))", "\"13\""),
        ("one([\"a\"])", "\"a\""),
        ("one([])", "null"),
        ("compact([\"a\", \"\", null])", "[\"a\"]"),
        ("slice([1, 2, 3], 1, 3)", "[\"2\",\"3\"]"),
        ("setproduct([\"a\", \"b\"], [1])", "[[\"a\",\"1\"],[\"b\",\"1\"]]"),
        ("substr(\"hello\", -4, 2)", "\"el\""),
        ("formatlist(\"%s/32\", [\"192.0.2.1\", \"192.0.2.2\"])", "[\"192.0.2.1/32\",\"192.0.2.2/32\"]"),
        ("alltrue([for n in [1, 2] : n > 0])", "\"true\""),
        ("chunklist([1, 2, 3], 2)", "[[\"1\",\"2\"],[\"3\"]]"),
        ("setsubtract([\"a\", \"b\"], [\"a\"])", "[\"b\"]"),
    ];
    for (expression, expected) in cases {
        assert_eq!(value(expression), expected, "{expression}");
    }
}

#[test]
fn what_cannot_be_evaluated_says_why() {
    let cases = [
        ("file(\"ca.pem\")", "the function file() is not evaluated"),
        ("templatefile(path.module, {})", "the function templatefile() is not evaluated"),
        ("\"${path.module}/x\"", "`path.module` is not known here"),
        ("regex(\"a\", \"a\")", "the function regex() is not evaluated"),
        ("random_id.x.hex", "`random_id.x` is not declared in what was read"),
        ("[1][3]", "the list has fewer items than the index says"),
        ("nope", "`nope` is not a reference"),
        ("1 + {}", "an operand is a map and not a number"),
        ("cidrsubnet(\"10.0.0.0/30\", 8, 2)", "cidrsubnet(): there is no such subnet of the prefix"),
        ("range(5000)", "range(): there are more than 1024 values, and Terraform refuses that"),
        ("upper([])", "an argument of upper() is a list and not a string"),
        ("timestamp()", "the function timestamp() is not evaluated"),
        ("1 / 0", "the result is not a number"),
    ];
    for (expression, expected) in cases {
        assert_eq!(value(expression), format!("? {expected}"), "{expression}");
    }
}

#[test]
fn a_list_keeps_what_is_known_of_it() {
    let evaluated =
        one("resource \"t\" \"x\" {\n  v = concat([\"a\", file(\"x\")], [\"b\"])\n  w = [file(\"x\"), \"c\"]\n}\n");
    assert_eq!(
        evaluated.text(),
        "t.x {\"v\":[\"a\",\"b\"],\"w\":[\"c\"]}\n  v[1]: the function file() is not evaluated\n  w[0]: the function file() is not evaluated\n"
    );
}

#[test]
fn the_syntax_that_people_write_is_read() {
    let text = r#"
# A comment.
// Another.
/* And a third. */
terraform {
  required_providers {
    google = { source = "hashicorp/google", version = ">= 5.0" }
  }
  backend "gcs" {}
}
variable "list" { default = [{ a = { "b" = 1 } }] } # behind
locals { one = 1 }
locals {
  many = [
    1, # first
    2, // second
    /* between */ 3,
  ]
  object = {
    a   = 1 # with a comment
    "b" = 2,
    c : 3
    (local.key) = 4
  }
  key    = "d"
  nested = local.one == 1 ? "x" : local.one == 2 ? "y" : "z"
  multi = (
    local.one > 0 ||
    local.one < 5
  )
  call = concat(
    local.many,
    [4],
  )
  loop = {
    for key, value in local.object : key => {
      v = value
    }
    if value > 1
  }
  heredoc = <<-JSON
    {"a": "${local.key}"}
  JSON
}
resource t x {
  a = var.list[0].a["b"]
  b = local.many
  c = local.object
  d = local.nested
  e = local.multi
  f = local.call
  g = local.loop
  h = "${local.one == 1 ? "yes" : "no"}"
  i = var.list[*].a.b
  j = !(local.one == -1)
  k = jsondecode(local.heredoc).a
  l = local.object.a
}
"#;
    for text in [text.to_owned(), text.replace('\n', "\r\n")] {
        let evaluated = one(&text);
        assert_eq!(evaluated.report(), "");
        assert_eq!(
            evaluated.text(),
            "t.x {\"a\":\"1\",\"b\":[\"1\",\"2\",\"3\"],\"c\":{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\",\"d\":\"4\"},\"d\":\"x\",\"e\":\"true\",\"f\":[\"1\",\"2\",\"3\",\"4\"],\"g\":{\"b\":{\"v\":\"2\"},\"c\":{\"v\":\"3\"},\"d\":{\"v\":\"4\"}},\"h\":\"yes\",\"i\":[\"1\"],\"j\":\"true\",\"k\":\"d\",\"l\":\"1\"}\n"
        );
    }
}
