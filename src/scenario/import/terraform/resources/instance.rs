//! Compute Engine VMs.

use super::add;
use super::fields::{Field, Reading, kept, last_segment, map, object, objects, text, text_of, texts};
use super::run::assume_subnet;
use crate::scenario::import::Kind;
use crate::scenario::import::terraform::{Block, address};
use crate::scenario::tree::{Entry, Value};

const INTERFACES: Field = objects(
    "network_interface",
    &[
        text("network"),
        text("subnetwork"),
        text("network_ip").to("networkIP"),
        objects("access_config", &[text("nat_ip").to("natIP")]).to("accessConfigs"),
        objects("alias_ip_range", &[text("ip_cidr_range").needed(), text("subnetwork_range_name")]).to("aliasIpRanges"),
        text("stack_type"),
        text("ipv6_address"),
        objects("ipv6_access_config", &[text("external_ipv6")]).to("ipv6AccessConfigs"),
    ],
);

const ACCOUNTS: Field = objects("service_account", &[text("email")]).to("serviceAccounts");
const PARAMS: Field = object("params", &[map("resource_manager_tags")]);

pub(super) fn instance(mut block: Reading<'_>) {
    subnets_of_other_projects(&mut block);
    if let Some(mut interfaces) = block.body.take("network_interface") {
        if let Value::Sequence(items) = &mut interfaces.value {
            for (at, item) in items.iter_mut().enumerate() {
                assume_subnet(&mut block, item, &format!("network_interface[{at}]."));
            }
        }
        block.body.put("network_interface", interfaces);
    }
    let mut entries = vec![Entry::new("name", block.name())];
    if block.text("zone").is_none()
        && let Some(zone) = block.provider.zone.clone()
    {
        entries.push(Entry::new("zone", block.node(zone)));
    }
    let status = if block.text("desired_status").is_some() { "desired_status" } else { "current_status" };
    entries.extend(block.fields(&[
        text("zone"),
        INTERFACES.to("networkInterfaces").needed(),
        text("machine_type"),
        kept("can_ip_forward"),
        text(status).to("status"),
        ACCOUNTS,
        PARAMS,
    ]));
    let tags = block.fields(&[texts("tags").to("items")]);
    if !tags.is_empty() {
        entries.push(Entry::new("tags", block.mapping(tags)));
    }
    add(&mut block, Kind::Instance, entries);
}

/// The path of a VM, by its address in Terraform.
pub(super) fn path(block: &Block) -> Option<(String, String)> {
    if block.kind != "google_compute_instance" {
        return None;
    }
    let said = |attribute: &str| block.body.get(attribute).and_then(text_of);
    let project = said("project").or(block.provider.project.as_deref());
    let project = project.map(|project| format!("projects/{project}/")).unwrap_or_default();
    let zone = last_segment(said("zone").or(block.provider.zone.as_deref())?);
    let name = said("name").map_or_else(|| address::fallback_name(&block.address), str::to_owned);
    Some((block.address.clone(), format!("{project}zones/{zone}/instances/{name}")))
}

/// A bare subnet name with `subnetwork_project` beside it is a path.
fn subnets_of_other_projects(block: &mut Reading<'_>) {
    let zone = block.text("zone").map(last_segment).or(block.provider.zone.as_deref());
    let Some((region, _)) = zone.and_then(|zone| zone.rsplit_once('-')) else { return };
    let region = region.to_owned();
    let Value::Mapping(entries) = &mut block.body.value else { return };
    let Some(interfaces) = entries.iter_mut().find(|entry| &*entry.key.name == "network_interface") else { return };
    let Value::Sequence(items) = &mut interfaces.value.value else { return };
    for item in items.iter_mut().filter(|item| matches!(item.value, Value::Mapping(_))) {
        let project = item.get("subnetwork_project").and_then(text_of).map(str::to_owned);
        let Some(subnet) = item.get("subnetwork").filter(|node| text_of(node).is_some_and(|name| !name.contains('/')))
        else {
            continue;
        };
        if let Some(project) = project {
            let path = format!("projects/{project}/regions/{region}/subnetworks/{}", subnet.text().unwrap_or_default());
            let node = block.import.build.text(subnet.place, path);
            item.put("subnetwork", node);
        }
    }
}
