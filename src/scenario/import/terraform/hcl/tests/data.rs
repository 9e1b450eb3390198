//! Real configurations, where they are at hand.

use std::path::PathBuf;

use super::read;

fn data(path: &str) -> Option<PathBuf> {
    match std::env::var_os("EGRESSIM_DATA") {
        Some(data) => Some(PathBuf::from(data).join(path)),
        None => {
            println!("skipped: EGRESSIM_DATA is not set");
            None
        }
    }
}

#[test]
fn samples_of_cloud_run_are_read() {
    let Some(samples) = data("config/terraform/docs-samples/run") else { return };
    for sample in ["direct_vpc", "static_outbound", "vpc_access_connector"] {
        let evaluated = read(&[&samples.join(sample).join("main.tf")]);
        assert_eq!(evaluated.report(), "", "{sample}");
        assert!(evaluated.blocks.iter().all(|block| block.unknown.is_empty()), "{}", evaluated.text());
    }
    let evaluated = read(&[&samples.join("static_outbound/main.tf")]);
    let nat = evaluated.body("google_compute_router_nat.default");
    assert!(nat.contains(r#""nat_ips":["regions/us-central1/addresses/cr-static-ip-addr"]"#), "{nat}");
    assert!(nat.contains(r#""router":"cr-static-ip-router""#), "{nat}");
    let service = evaluated.body("google_cloud_run_v2_service.default");
    assert!(service.contains(r#""connector":"locations/us-central1/connectors/cr-conn""#), "{service}");
}

#[test]
fn a_configuration_of_a_nat_gateway_is_read() {
    let Some(folder) = data("config/gcpdiag-nat1") else { return };
    let files = ["project.tf", "public-cloud-nat.tf", "variables.tf"].map(|name| folder.join(name));
    let evaluated = read(&files.each_ref().map(AsRef::as_ref));
    assert_eq!(evaluated.report().lines().count(), 1, "{}", evaluated.report());
    assert!(evaluated.report().contains("the variable `org_id` has no value"), "{}", evaluated.report());
    assert_eq!(evaluated.blocks.iter().filter(|block| block.kind == "google_compute_instance").count(), 4);
    let subnet = evaluated.blocks.iter().find(|block| block.kind == "google_compute_subnetwork").expect("there is one");
    assert_eq!(subnet.unknown.len(), 1);
    assert_eq!(subnet.unknown[0].path, "project");
    assert_eq!(subnet.unknown[0].why, "`random_string.project_id_suffix.id` is known only after apply");
}
