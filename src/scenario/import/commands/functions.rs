//! `gcloud functions`: Cloud Run functions and those of the 1st generation.

use super::arg::Arg;
use super::call::Call;
use super::run::{give, or_default, take};
use crate::scenario::import::Kind;
use crate::scenario::tree::Node;

/// Carries out one of the verbs.
pub(super) fn run(call: &mut Call<'_>, verb: &str) {
    let command = call.command;
    let Some(name) = command.arguments.first() else { return };
    // The property has a default (googlecloudsdk/core/properties.py).
    let asked = command.flag("region").is_some() || name.in_path("locations").is_some();
    let region = if asked || call.project.defaults.contains_key("functions/region") {
        call.region(Some(name), "functions/region")
    } else {
        let mut region = Arg::new(command.place);
        region.push("us-central1", command.place.start, command.place.end);
        Some(region)
    };
    let region = region.as_ref();
    if verb == "delete" {
        return call.delete(Kind::Function, name, region);
    }
    call.project.partial = false;
    let scope = call.scope(Some(name), region);
    match call.project.find(Kind::Function, name.name(), &scope) {
        Some(index) => call.edit(index, |call, node| fields(call, node, region)),
        None => {
            let mut node = call.named(name, region);
            fields(call, &mut node, region);
            call.create(Kind::Function, name, region, node);
        }
    }
}

fn fields(call: &mut Call<'_>, node: &mut Node, region: Option<&Arg>) {
    let command = call.command;
    let place = command.place;
    // The 2nd generation is gcloud's default.
    if let Some(flag) = command.flag("gen2") {
        let text = call.word(flag.place, if flag.on { "GEN_2" } else { "GEN_1" });
        node.put("environment", text);
    } else if node.get("environment").is_none() {
        let text = call.word(place, "GEN_2");
        node.put("environment", text);
    }
    let mut config = take(call, node, "serviceConfig", place);
    for (connector, flag) in [("vpc-connector", "network"), ("vpc-connector", "direct-vpc-network")] {
        call.exclusive(connector, flag);
    }
    if command.is_on("clear-vpc-connector") {
        config.take("vpcConnector");
        config.take("vpcConnectorEgressSettings");
    }
    if command.is_on("clear-network") {
        config.take("directVpcNetworkInterface");
        config.take("directVpcEgress");
    }
    if let Some(connector) = command.value("vpc-connector") {
        if connector.text.is_empty() {
            config.take("vpcConnector");
        } else {
            call.refer(Kind::Connector, connector, region, None);
            call.put_name(&mut config, "vpc-connector", "vpcConnector");
        }
    }
    egress(call, &mut config, "egress-settings", "vpcConnectorEgressSettings");
    egress(call, &mut config, "direct-vpc-egress", "directVpcEgress");
    egress(call, &mut config, "vpc-egress", "directVpcEgress");
    interface(call, &mut config, region);
    for (flag, field) in [("min-instances", "minInstanceCount"), ("max-instances", "maxInstanceCount")] {
        or_default(call, &mut config, flag, field);
        if command.is_on(&format!("clear-{flag}")) {
            config.take(field);
        }
    }
    call.put(&mut config, "concurrency", "maxInstanceRequestConcurrency");
    call.put(&mut config, "cpu", "availableCpu");
    call.put_name(&mut config, "service-account", "serviceAccountEmail");
    call.put_name(&mut config, "run-service-account", "serviceAccountEmail");
    give(node, "serviceConfig", config);
}

fn egress(call: &mut Call<'_>, config: &mut Node, flag: &str, field: &str) {
    let Some(value) = call.known(flag) else { return };
    let word = match &*value.text.to_ascii_lowercase() {
        "all" | "all-traffic" => "ALL_TRAFFIC".to_owned(),
        other => other.to_ascii_uppercase().replace('-', "_"),
    };
    let prefix = if field == "directVpcEgress" { "VPC_EGRESS_" } else { "" };
    let word = call.word(value.place, format!("{prefix}{word}"));
    config.put(field, word);
}

fn interface(call: &mut Call<'_>, config: &mut Node, region: Option<&Arg>) {
    let command = call.command;
    let network = command.value("network").or(command.value("direct-vpc-network"));
    let subnet = command.value("subnet").or(command.value("direct-vpc-subnet"));
    let Some(place) = network.or(subnet).map(|arg| arg.place) else { return };
    let mut interface = call.mapping(place);
    if let Some(network) = network {
        call.refer(Kind::Network, network, None, None);
        let text = call.text(network);
        interface.put("network", text);
    }
    if let Some(subnet) = subnet {
        call.refer(Kind::Subnetwork, subnet, region, network.map(Arg::name));
        let text = call.text(subnet);
        interface.put("subnetwork", text);
    }
    for flag in ["network-tags", "direct-vpc-tags"] {
        if command.flag(flag).is_some() {
            call.put_names(&mut interface, flag, "tags");
        }
    }
    let list = call.import.build.list(place, vec![interface]);
    config.put("directVpcNetworkInterface", list);
}
