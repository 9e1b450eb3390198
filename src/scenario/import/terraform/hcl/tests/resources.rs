//! References between resources, nested blocks, providers.

use super::{Evaluated, blocks, one};
use crate::scenario::import::{Form, Import};

const NETWORK: &str = r#"
provider "google" {
  project = "shop"
  region  = "us-central1"
}
provider "google" {
  alias   = "host"
  project = "host-project"
  region  = "europe-west1"
}
resource "google_compute_network" "vpc" {
  name                    = "vpc"
  auto_create_subnetworks = false
}
resource "google_compute_subnetwork" "apps" {
  name          = "apps"
  network       = google_compute_network.vpc.id
  ip_cidr_range = "10.0.0.0/24"
}
resource "google_compute_router" "r" {
  provider = google.host
  name     = "r-${google_compute_subnetwork.apps.region}"
  network  = google_compute_network.vpc.name
}
resource "google_compute_router_nat" "nat" {
  name    = "nat"
  router  = google_compute_router.r.name
  nat_ips = google_compute_address.nat[*].self_link
  subnetwork {
    name                    = google_compute_subnetwork.apps.self_link
    source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
  }
  subnetwork {
    name = "b"
  }
  log_config {
    enable = true
  }
}
resource "google_compute_address" "nat" {
  count  = 2
  name   = "nat-${count.index}"
  region = google_compute_router.r.region
}
"#;

#[test]
fn a_reference_is_a_path_that_ends_with_the_name() {
    let evaluated = one(NETWORK);
    assert_eq!(evaluated.report(), "");
    assert_eq!(
        evaluated.body("google_compute_subnetwork.apps"),
        r#"{"name":"apps","network":"projects/shop/global/networks/vpc","ip_cidr_range":"10.0.0.0/24"}"#
    );
    assert_eq!(evaluated.body("google_compute_router.r"), r#"{"name":"r-us-central1","network":"vpc"}"#);
    assert_eq!(
        evaluated.body("google_compute_router_nat.nat"),
        r#"{"name":"nat","router":"r-us-central1","nat_ips":["projects/shop/regions/europe-west1/addresses/nat-0","projects/shop/regions/europe-west1/addresses/nat-1"],"subnetwork":[{"name":"projects/shop/regions/us-central1/subnetworks/apps","source_ip_ranges_to_nat":["ALL_IP_RANGES"]},{"name":"b"}],"log_config":[{"enable":"true"}]}"#
    );
}

#[test]
fn each_resource_has_the_defaults_of_its_provider() {
    let evaluated = one(NETWORK);
    let region = |address: &str| {
        let block = evaluated.blocks.iter().find(|block| block.address == address).expect("it is there");
        block.provider.region.clone().unwrap_or_default()
    };
    assert_eq!(region("google_compute_router.r"), "europe-west1");
    assert_eq!(region("google_compute_subnetwork.apps"), "us-central1");
}

#[test]
fn without_project_or_region_less_of_a_path_is_known() {
    let evaluated = one(
        "resource \"google_compute_subnetwork\" \"a\" {\n  name = \"a\"\n}\nresource \"google_compute_network\" \"n\" {\n  name = \"n\"\n}\nresource \"t\" \"x\" {\n  v = [google_compute_subnetwork.a.id, google_compute_network.n.id, google_compute_network.n.gateway_ipv4]\n}\n",
    );
    assert_eq!(evaluated.body("t.x"), r#"{"v":["a","global/networks/n"]}"#);
    let unknown = &evaluated.blocks[2].unknown[0];
    assert_eq!(unknown.path, "v[2]");
    assert_eq!(unknown.why, "`google_compute_network.n.gateway_ipv4` is known only after apply");
}

#[test]
fn values_keep_the_place_of_the_expression_in_the_resource() {
    let evaluated = one(NETWORK);
    let nat = &evaluated.blocks[3];
    let source =
        |path: &[&str]| nat.body.at_path(path).map(|node| evaluated.source(node).to_owned()).unwrap_or_default();
    assert_eq!(source(&["router"]), "google_compute_router.r.name");
    assert_eq!(source(&["nat_ips"]), "google_compute_address.nat[*].self_link");
    let subnetworks = nat.body.get("subnetwork").expect("there are blocks").items();
    assert!(evaluated.source(&subnetworks[0]).starts_with("subnetwork {"));
    let ranges = subnetworks[0].get("source_ip_ranges_to_nat").expect("it is there");
    assert_eq!(evaluated.source(&ranges.items()[0]), "\"ALL_IP_RANGES\"");
    assert!(
        evaluated.import.sources.text(nat.place.file)[nat.place.start as usize..]
            .starts_with("resource \"google_compute_router_nat\"")
    );
}

#[test]
fn data_sources_are_known_by_their_arguments() {
    let text = r#"
data "google_compute_network" "shared" {
  name    = "shared"
  project = "host"
}
data "google_client_config" "here" {}
data "google_project" "this" {}
provider "google" {
  project = "shop"
}
resource "google_cloud_run_v2_service" "s" {
  name = "s"
  project = data.google_project.this.project_id
  network = data.google_compute_network.shared.id
  number = data.google_project.this.number
  client = data.google_client_config.here.project
}
"#;
    let evaluated = one(text);
    assert_eq!(
        evaluated.text(),
        "data.google_compute_network.shared {\"name\":\"shared\",\"project\":\"host\"}\n\
         data.google_client_config.here {}\n\
         data.google_project.this {}\n\
         google_cloud_run_v2_service.s {\"name\":\"s\",\"project\":\"shop\",\"network\":\"projects/host/global/networks/shared\",\"client\":\"shop\"}\n  \
           number: `data.google_project.this.number` is read from Google Cloud\n"
    );
}

#[test]
fn blocks_of_resources_can_be_referred_to() {
    let text = "resource \"google_compute_instance\" \"vm\" {\n  name = \"vm\"\n  network_interface {\n    network = \"vpc\"\n  }\n}\nresource \"t\" \"x\" {\n  v = google_compute_instance.vm.network_interface[0].network\n  w = google_compute_instance.vm.network_interface.0.network_ip\n}\n";
    let evaluated = one(text);
    assert_eq!(evaluated.body("t.x"), r#"{"v":"vpc"}"#);
    assert_eq!(evaluated.blocks[1].unknown[0].why, "`network_ip` is known only after apply");
}

#[test]
fn a_hierarchical_policy_is_called_by_its_short_name() {
    let text = "resource \"google_compute_firewall_policy\" \"p\" {\n  short_name = \"base\"\n  parent = \"organizations/1\"\n}\nresource \"google_compute_firewall_policy_rule\" \"r\" {\n  firewall_policy = google_compute_firewall_policy.p.id\n}\n";
    assert_eq!(one(text).body("google_compute_firewall_policy_rule.r"), r#"{"firewall_policy":"base"}"#);
}

#[test]
fn what_depends_on_itself_is_told_and_not_known() {
    let evaluated = one(
        "locals {\n  a = local.b\n  b = \"${local.a}\"\n}\nresource \"t\" \"x\" {\n  v = local.a\n  w = t.y.w\n}\nresource \"t\" \"y\" {\n  w = t.x.w\n}\n",
    );
    assert_eq!(
        evaluated.report(),
        "main.tf:3:10: error[terraform-cycle]: `local.a` depends on itself\n\
         main.tf:7:7: error[terraform-cycle]: `t.y.w` depends on itself\n"
    );
    assert_eq!(evaluated.blocks[0].unknown.len(), 2);
}

#[test]
fn what_is_terraforms_own_is_left_out() {
    let text = "resource \"t\" \"x\" {\n  a = 1\n  depends_on = [t.y]\n  lifecycle {\n    ignore_changes = [a]\n  }\n  provisioner \"local-exec\" {\n    command = \"x\"\n  }\n}\nterraform {\n  required_version = \">= 1.5\"\n}\noutput \"o\" {\n  value = t.x.a\n}\n";
    assert_eq!(one(text).text(), "t.x {\"a\":\"1\"}\n");
}

#[test]
fn a_resource_whose_name_is_not_known_is_called_by_its_address() {
    let text = "resource \"random_id\" \"s\" {}\nresource \"google_compute_network\" \"vpc\" {\n  name = \"vpc-${random_id.s.hex}\"\n}\nresource \"google_compute_subnetwork\" \"apps\" {\n  network = google_compute_network.vpc.id\n  name = google_compute_network.vpc.name\n}\n";
    let evaluated = one(text);
    assert_eq!(
        evaluated.text(),
        "random_id.s {}\n\
         google_compute_network.vpc {}\n  \
           name: `random_id.s.hex` is known only after apply\n\
         google_compute_subnetwork.apps {\"network\":\"global/networks/vpc\",\"name\":\"vpc\"}\n"
    );
}

#[test]
fn what_nobody_reads_is_not_evaluated() {
    let text = "variable \"unset\" {}\nresource \"google_project_service\" \"s\" {\n  for_each = var.unset\n  service = each.key\n}\nresource \"google_compute_network\" \"vpc\" {\n  name = \"vpc\"\n}\n";
    let mut import = Import::default();
    let file = import.sources.add("main.tf", text);
    import.text(Form::Hcl, file, None);
    let modules = std::mem::take(&mut import.modules);
    let blocks = blocks(&mut import, modules);
    let evaluated = Evaluated { import, blocks };
    assert_eq!(evaluated.report(), "");
    assert_eq!(evaluated.text(), "google_project_service.s {}\ngoogle_compute_network.vpc {\"name\":\"vpc\"}\n");
}
