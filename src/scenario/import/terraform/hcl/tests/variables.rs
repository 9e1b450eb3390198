//! Variables, their types, and files with their values.

use super::{folder, one};

const MAIN: &str = "variable \"region\" {}\nvariable \"zone\" {\n  default = \"a\"\n}\nresource \"t\" \"x\" {\n  v = \"${var.region}-${var.zone}\"\n}\n";

#[test]
fn values_come_from_the_files_that_terraform_loads() {
    let files = [
        ("main.tf", MAIN),
        ("terraform.tfvars", "region = \"one\"\nzone = \"one\"\n"),
        ("b.auto.tfvars", "region = \"two\"\n"),
        ("other.tfvars", "region = \"three\"\n"),
    ];
    let evaluated = folder(&files, &["main.tf"]);
    assert_eq!(evaluated.body("t.x"), r#"{"v":"two-one"}"#);
    assert_eq!(
        evaluated.report(),
        "b.auto.tfvars:1:10: warning[variable-set-twice]: `region` is set by two variables files: this value is used\n"
    );
}

#[test]
fn other_variables_files_are_used_when_they_are_imported() {
    let files = [("main.tf", MAIN), ("terraform.tfvars", "zone = \"b\"\n"), ("prod.tfvars", "region = \"r\"\n")];
    let evaluated = folder(&files, &["main.tf", "prod.tfvars", "terraform.tfvars"]);
    assert_eq!(evaluated.body("t.x"), r#"{"v":"r-b"}"#);
    assert_eq!(
        evaluated.report(),
        "prod.tfvars:1:1: note[variables-file]: these values are used, though Terraform reads this file only when it is told to\n"
    );
}

#[test]
fn values_in_json_count() {
    let files = [("main.tf", MAIN), ("terraform.tfvars.json", "{\"region\": \"r\", \"zone\": null}")];
    let evaluated = folder(&files, &["main.tf"]);
    assert_eq!(evaluated.report(), "");
    assert_eq!(evaluated.blocks[0].unknown[0].why, "a part of a template is null and not a string");
}

#[test]
fn a_variable_without_a_value_is_told_once_where_it_is_declared() {
    let text = "variable \"region\" {}\nvariable \"unused\" {}\nresource \"t\" \"x\" {\n  a = var.region\n  b = \"x-${var.region}\"\n  c = var.missing\n}\n";
    let evaluated = one(text);
    assert_eq!(
        evaluated.report(),
        "main.tf:1:1: warning[unset-variable]: the variable `region` has no value: what depends on it is not known\n\
         main.tf:6:7: warning[unset-variable]: `var.missing` is not declared in what was read, and has no value\n"
    );
    assert_eq!(
        evaluated.text(),
        "t.x {}\n  a: `var.region` has no value\n  b: `var.region` has no value\n  c: `var.missing` has no value\n"
    );
}

#[test]
fn types_convert_and_fill_in_what_is_optional() {
    let text = r#"
variable "subnets" {
  type = map(object({
    range  = string
    region = optional(string, "us-central1")
    tags   = optional(list(string))
  }))
  default = {
    a = { range = "10.0.0.0/24", extra = 1 }
    b = { range = "10.0.1.0/24", region = "europe-west1", tags = [1] }
  }
}
variable "names" {
  type    = set(string)
  default = ["b", "a", "b"]
}
variable "count_of" {
  type    = number
  default = "2"
}
variable "nothing" {
  type     = string
  nullable = false
  default  = "d"
}
resource "t" "x" {
  a = var.subnets
  b = var.names
  c = var.count_of + 1
  d = var.nothing
}
"#;
    assert_eq!(
        one(text).text(),
        "t.x {\"a\":{\"a\":{\"range\":\"10.0.0.0/24\",\"region\":\"us-central1\"},\"b\":{\"range\":\"10.0.1.0/24\",\"region\":\"europe-west1\",\"tags\":[\"1\"]}},\"b\":[\"a\",\"b\"],\"c\":\"3\",\"d\":\"d\"}\n"
    );
}

#[test]
fn values_are_for_the_module_of_their_folder_or_the_only_one() {
    let call = "module \"m\" {\n  source = \"./m\"\n  region = \"given\"\n}\n";
    let files = [
        ("main.tf", call),
        ("m/main.tf", MAIN),
        ("m/terraform.tfvars", "zone = \"no\"\n"),
        ("env/terraform.tfvars", "region = \"x\"\n"),
    ];
    let evaluated = folder(&files, &["main.tf", "m/main.tf", "m/terraform.tfvars", "env/terraform.tfvars"]);
    assert_eq!(evaluated.text(), "module.m.t.x {\"v\":\"given-a\"}\n");
    assert_eq!(
        evaluated.report(),
        "terraform.tfvars:1:1: warning[variables-file]: these values are not used: Terraform reads none beside a module that others call\n\
         terraform.tfvars:1:1: note[variables-file]: these values are used, though Terraform reads this file only when it is told to\n"
    );
}
