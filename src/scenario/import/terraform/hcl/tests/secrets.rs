//! Secrets are neither in blocks nor in the texts that findings quote.

use super::{folder, one};

#[test]
fn secrets_are_hidden() {
    let text = r#"
variable "db" {
  sensitive = true
  default   = "hunter2"
}
locals {
  api_token = "hunter2"
}
resource "google_cloud_run_v2_service" "s" {
  name = "s"
  template {
    containers {
      image = "i"
      env {
        name  = "KEY"
        value = "hunter2-${var.db}"
      }
    }
  }
  metadata = {
    startup-script = <<-EOT
      hunter2
    EOT
    plain = sensitive("hunter2")
  }
}
"#;
    let evaluated = one(text);
    let source = evaluated.import.sources.text(evaluated.blocks[0].place.file);
    assert!(!source.contains("hunter2"), "{source}");
    assert_eq!(source.len(), text.len());
    assert!(source.contains("image = \"i\""));
    assert!(!evaluated.text().contains("KEY"), "{}", evaluated.text());
    assert!(evaluated.text().contains("\"image\":\"i\""), "{}", evaluated.text());
}

#[test]
fn values_of_sensitive_variables_are_hidden_in_files_and_calls() {
    let files = [
        (
            "main.tf",
            "variable \"a\" {\n  sensitive = true\n}\nmodule \"m\" {\n  source = \"./m\"\n  b = \"hunter2\"\n}\n",
        ),
        ("terraform.tfvars", "a = \"hunter2\"\n"),
        ("m/main.tf", "variable \"b\" {\n  sensitive = true\n}\nresource \"t\" \"x\" {}\n"),
    ];
    let evaluated = folder(&files, &["main.tf"]);
    for (file, _) in &evaluated.import.read {
        assert!(!evaluated.import.sources.text(*file).contains("hunter2"));
    }
    assert_eq!(evaluated.import.read.len(), 3);
}
