//! `count`, `for_each` and `dynamic`.

use super::one;

#[test]
fn count_and_for_each_make_instances() {
    let text = r#"
locals {
  subnets = {
    a = { region = "us-central1", range = "10.0.0.0/24" }
    b = { region = "europe-west1", range = "10.0.1.0/24" }
  }
}
resource "google_compute_subnetwork" "s" {
  for_each      = local.subnets
  name          = "s-${each.key}"
  region        = each.value.region
  ip_cidr_range = each.value["range"]
}
resource "google_compute_address" "n" {
  count = 1 + 1
  name  = "n${count.index}"
}
resource "google_compute_router" "r" {
  for_each = toset(["y", "x"])
  name     = each.value
}
resource "google_compute_address" "none" {
  count = false ? 1 : 0
}
resource "t" "x" {
  one  = google_compute_subnetwork.s["b"].id
  all  = values(google_compute_subnetwork.s)[*].name
  keys = [for k, s in google_compute_subnetwork.s : "${k}=${s.region}"]
  n    = google_compute_address.n[1].name
  l    = length(google_compute_address.n)
  j    = join(",", google_compute_address.n.*.name)
  none = one(google_compute_address.none[*].id)
}
"#;
    let evaluated = one(text);
    assert_eq!(evaluated.report(), "");
    let addresses: Vec<&str> = evaluated.blocks.iter().map(|block| &*block.address).collect();
    assert_eq!(
        addresses,
        [
            "google_compute_subnetwork.s[\"a\"]",
            "google_compute_subnetwork.s[\"b\"]",
            "google_compute_address.n[0]",
            "google_compute_address.n[1]",
            "google_compute_router.r[\"x\"]",
            "google_compute_router.r[\"y\"]",
            "t.x",
        ]
    );
    assert_eq!(
        evaluated.body("google_compute_subnetwork.s[\"b\"]"),
        r#"{"name":"s-b","region":"europe-west1","ip_cidr_range":"10.0.1.0/24"}"#
    );
    assert_eq!(
        evaluated.body("t.x"),
        r#"{"one":"regions/europe-west1/subnetworks/s-b","all":["s-a","s-b"],"keys":["a=us-central1","b=europe-west1"],"n":"n1","l":"2","j":"n0,n1"}"#
    );
}

#[test]
fn one_instance_is_assumed_where_the_number_is_not_known() {
    let text = r#"
resource "google_compute_address" "a" {
  count = length(data.google_compute_zones.z.names)
  name  = "a${count.index}"
}
resource "google_compute_router" "r" {
  for_each = toset(data.google_compute_zones.z.names)
  name     = "r-${each.key}"
  region   = "us-central1"
}
data "google_compute_zones" "z" {}
resource "t" "x" {
  a = google_compute_address.a[3].name
  b = google_compute_address.a[*].name
  c = [for r in google_compute_router.r : r.region]
}
"#;
    let evaluated = one(text);
    let why = "one is assumed: `data.google_compute_zones.z.names` is read from Google Cloud";
    assert_eq!(
        evaluated.report(),
        format!(
            "main.tf:3:11: warning[instances-unknown]: how many `google_compute_address.a` there are is not known, {why}\n\
             main.tf:7:14: warning[instances-unknown]: how many `google_compute_router.r` there are is not known, {why}\n"
        )
    );
    assert_eq!(evaluated.body("t.x"), r#"{"a":"a0","b":["a0"],"c":["us-central1"]}"#);
    assert_eq!(evaluated.body("google_compute_router.r[\"?\"]"), r#"{"region":"us-central1"}"#);
}

#[test]
fn dynamic_blocks_are_blocks() {
    let text = r#"
locals {
  ranges = [{ name = "pods", range = "10.1.0.0/20" }, { name = "services", range = "10.2.0.0/20" }]
}
resource "google_compute_subnetwork" "s" {
  name = "s"
  dynamic "secondary_ip_range" {
    for_each = local.ranges
    content {
      range_name    = secondary_ip_range.value.name
      ip_cidr_range = secondary_ip_range.value.range
    }
  }
  secondary_ip_range {
    range_name = "more"
  }
  dynamic "log_config" {
    for_each = []
    content {}
  }
  dynamic "outer" {
    for_each = { a = ["x"] }
    iterator = o
    content {
      name = o.key
      dynamic "inner" {
        for_each = o.value
        content {
          name = "${o.key}-${inner.value}"
        }
      }
    }
  }
  dynamic "unknown" {
    for_each = file("x")
    content {}
  }
}
"#;
    assert_eq!(
        one(text).text(),
        "google_compute_subnetwork.s {\"name\":\"s\",\"secondary_ip_range\":[{\"range_name\":\"pods\",\"ip_cidr_range\":\"10.1.0.0/20\"},{\"range_name\":\"services\",\"ip_cidr_range\":\"10.2.0.0/20\"},{\"range_name\":\"more\"}],\"outer\":[{\"name\":\"a\",\"inner\":[{\"name\":\"a-x\"}]}]}\n  unknown: the function file() is not evaluated\n"
    );
}

#[test]
fn a_list_is_no_set_and_is_told() {
    let evaluated = one("resource \"t\" \"x\" {\n  for_each = [\"a\"]\n  v = each.key\n}\n");
    assert_eq!(evaluated.text(), "t.x[\"a\"] {\"v\":\"a\"}\n");
    assert_eq!(
        evaluated.report(),
        "main.tf:2:14: warning[for-each-list]: Terraform takes no list for `for_each`: it is read as a set\n"
    );
}
