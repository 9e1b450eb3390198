//! Modules: inputs, outputs, instances, and what is not read.

use super::{folder, one};

const CALLER: &str = r#"
provider "google" {
  project = "shop"
  region  = "us-central1"
}
provider "google" {
  alias  = "eu"
  region = "europe-west1"
}
module "network" {
  source = "./modules/network"
  name   = "vpc"
}
module "app" {
  source   = "./modules/app"
  for_each = toset(["a", "b"])
  name     = "app-${each.key}"
  network  = module.network.id
  providers = {
    google = google.eu
  }
}
resource "t" "x" {
  all = [for k, m in module.app : "${k}:${m.subnet.name}"]
  b   = module.app["b"].subnet.id
  n   = module.network.network.name
}
"#;
const NETWORK: &str = r#"
variable "name" {}
resource "google_compute_network" "this" {
  name = var.name
}
output "id" {
  value = google_compute_network.this.id
}
output "network" {
  value = google_compute_network.this
}
"#;
const APP: &str = r#"
variable "name" {
  type = string
}
variable "network" {}
resource "google_compute_subnetwork" "this" {
  name    = "${var.name}-subnet"
  network = var.network
}
output "subnet" {
  value = google_compute_subnetwork.this
}
"#;

#[test]
fn local_modules_are_read_with_their_inputs_and_outputs() {
    let files = [("main.tf", CALLER), ("modules/network/main.tf", NETWORK), ("modules/app/main.tf", APP)];
    let evaluated = folder(&files, &["main.tf"]);
    assert_eq!(evaluated.report(), "");
    assert_eq!(
        evaluated.text(),
        "t.x {\"all\":[\"a:app-a-subnet\",\"b:app-b-subnet\"],\"b\":\"regions/europe-west1/subnetworks/app-b-subnet\",\"n\":\"vpc\"}\n\
         module.network.google_compute_network.this {\"name\":\"vpc\"}\n\
         module.app[\"a\"].google_compute_subnetwork.this {\"name\":\"app-a-subnet\",\"network\":\"projects/shop/global/networks/vpc\"}\n\
         module.app[\"b\"].google_compute_subnetwork.this {\"name\":\"app-b-subnet\",\"network\":\"projects/shop/global/networks/vpc\"}\n"
    );
    assert_eq!(evaluated.blocks[3].provider.region.as_deref(), Some("europe-west1"));
    assert_eq!(evaluated.blocks[1].provider.project.as_deref(), Some("shop"));
    assert_eq!(evaluated.import.read.len(), 3);
}

#[test]
fn a_module_that_is_given_too_is_no_root() {
    let files = [("main.tf", CALLER), ("modules/network/main.tf", NETWORK), ("modules/app/main.tf", APP)];
    let evaluated = folder(&files, &["modules/app/main.tf", "modules/network/main.tf", "main.tf"]);
    assert_eq!(evaluated.report(), "");
    assert_eq!(evaluated.blocks.len(), 4);
}

#[test]
fn modules_from_elsewhere_are_told_once_each() {
    let text = "module \"vpc\" {\n  source  = \"terraform-google-modules/network/google\"\n  version = \"~> 9.0\"\n}\nmodule \"local\" {\n  source = \"./x\"\n}\nresource \"t\" \"x\" {\n  a = module.vpc.network_name\n  b = module.vpc.network_id\n  c = module.local.y\n  d = module.none.y\n}\n";
    let evaluated = one(text);
    assert_eq!(
        evaluated.report(),
        "main.tf:6:12: warning[module-not-read]: `./x` is relative to a folder, and this text is in none\n\
         main.tf:2:13: warning[module-not-read]: the module `vpc` comes from `terraform-google-modules/network/google`: its resources are not read, and what depends on them is not known\n"
    );
    assert_eq!(
        evaluated.text(),
        "t.x {}\n  a: the module `vpc` is not read\n  b: the module `vpc` is not read\n  c: the module `local` is not read\n  d: `module.none` is not declared in what was read\n"
    );
}

#[test]
fn modules_in_a_circle_are_refused() {
    let a = "module \"b\" {\n  source = \"../b\"\n}\nresource \"t\" \"a\" {}\n";
    let b = "module \"a\" {\n  source = \"../a\"\n}\nresource \"t\" \"b\" {}\n";
    let evaluated = folder(&[("a/main.tf", a), ("b/main.tf", b)], &["a/main.tf"]);
    assert_eq!(
        evaluated.report(),
        "main.tf:2:12: error[terraform-cycle]: the module `../a` calls itself, directly or through others\n"
    );
    assert_eq!(evaluated.text(), "t.a {}\nmodule.b.t.b {}\n");
}

#[test]
fn an_empty_folder_is_no_module() {
    let evaluated = folder(&[("main.tf", "module \"m\" {\n  source = \"./m\"\n}\n")], &["main.tf"]);
    assert_eq!(
        evaluated.report(),
        "main.tf:2:12: warning[module-not-read]: there is no Terraform configuration in `./m`\n"
    );
}

#[test]
fn a_module_called_without_a_variable_is_told() {
    let files = [("main.tf", "module \"n\" {\n  source = \"./n\"\n}\n"), ("n/main.tf", NETWORK)];
    let evaluated = folder(&files, &["main.tf"]);
    assert_eq!(
        evaluated.report(),
        "main.tf:2:1: warning[unset-variable]: the module `n` is called without its variable `name`\n"
    );
}

#[test]
fn the_same_name_twice_is_an_error() {
    let evaluated =
        one("resource \"t\" \"x\" {}\nresource \"t\" \"x\" {}\nlocals {\n  a = 1\n}\nlocals {\n  a = 2\n}\n");
    assert_eq!(
        evaluated.report(),
        "main.tf:2:1: error[duplicate-declaration]: this is declared twice in one module, and Terraform refuses that\n\
         main.tf:7:3: error[duplicate-declaration]: this is declared twice in one module, and Terraform refuses that\n"
    );
}
