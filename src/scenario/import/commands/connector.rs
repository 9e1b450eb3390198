//! `gcloud compute networks vpc-access connectors`: Serverless VPC Access connectors.

use super::arg::Arg;
use super::call::Call;
use crate::scenario::import::Kind;
use crate::scenario::tree::Node;

/// Carries out one of the verbs.
pub(super) fn run(call: &mut Call<'_>, verb: &str) {
    let command = call.command;
    let Some(name) = command.arguments.first() else { return };
    let region = call.region(Some(name), "compute/region");
    match verb {
        "create" => create(call, name, region.as_ref()),
        "update" => {
            if let Some(index) = call.existing(Kind::Connector, name, region.as_ref()) {
                call.edit(index, size);
            }
        }
        _ => call.delete(Kind::Connector, name, region.as_ref()),
    }
}

fn create(call: &mut Call<'_>, name: &Arg, region: Option<&Arg>) {
    let command = call.command;
    let (subnet, range) = (command.value("subnet").cloned(), command.value("range").cloned());
    let mut conflict = false;
    for flag in ["range", "network"] {
        conflict |= subnet.is_some() && call.exclusive("subnet", flag);
    }
    if subnet.is_none() && range.is_none() {
        let help = "add `--subnet=` with a /28 subnet of its own, or `--network=` and `--range=` with a free /28";
        call.refuse("invalid-flags", "a connector needs --subnet, or --network and --range", command.place, help);
    }
    let mut node = call.named(name, region);
    if let Some(subnet) = &subnet {
        // A subnet of another project is not made by these commands, or not found by its name alone.
        let host = command.value("subnet-project");
        let here = call.project_of(None);
        let foreign = host.is_some_and(|host| !host.is_unknown() && here.as_deref() != Some(&host.text));
        let mut reference = call.mapping(subnet.place);
        let text = call.text(subnet);
        reference.put("name", text);
        if let Some(host) = host.filter(|host| !host.is_unknown()) {
            let host = call.text(host);
            reference.put("projectId", host);
        }
        node.put("subnet", reference);
        if !foreign {
            call.refer(Kind::Subnetwork, subnet, region, None);
        }
    } else {
        let network = command.value("network");
        if let Some(network) = network {
            call.refer(Kind::Network, network, None, None);
        }
        let text = match network {
            Some(network) => call.text(network),
            None => call.word(command.place, "default"),
        };
        node.put("network", text);
        call.put(&mut node, "range", "ipCidrRange");
    }
    size(call, &mut node);
    let network =
        node.get("network").and_then(Node::text).map(|text| text.rsplit('/').next().unwrap_or(text).to_owned());
    let (_, new) = call.create(Kind::Connector, name, region, node);
    if let (true, false, Some(range), Some(network)) = (new, conflict, &range, network) {
        call.claim(&network, range, Kind::Connector, name, region);
    }
}

fn size(call: &mut Call<'_>, node: &mut Node) {
    for (instances, throughput) in [("min-instances", "min-throughput"), ("max-instances", "max-throughput")] {
        call.exclusive(instances, throughput);
    }
    call.put(node, "machine-type", "machineType");
    call.put(node, "min-instances", "minInstances");
    call.put(node, "max-instances", "maxInstances");
    call.put(node, "min-throughput", "minThroughput");
    call.put(node, "max-throughput", "maxThroughput");
}
