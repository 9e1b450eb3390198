//! `gcloud run`: services, jobs and worker pools, as far as their way out of Cloud Run and their number.
//!
//! A deployment changes what its flags say and keeps the rest, as gcloud does. Network flags:
//! <https://cloud.google.com/sdk/gcloud/reference/run/deploy>.

use super::arg::Arg;
use super::call::{Call, Found};
use super::project::Scope;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::import::Kind;
use crate::scenario::tree::{Node, Value, shorten};

/// Carries out one of the verbs for a kind of workload.
pub(super) fn run(call: &mut Call<'_>, kind: Kind, verb: &str) {
    let command = call.command;
    let region = call.region(command.arguments.first(), "run/region");
    let region = region.as_ref();
    let Some(name) = command.arguments.first() else {
        let message = format!("the command does not name the {}: gcloud would ask", kind.word());
        let help = "put the name behind the command";
        call.import.push(Diagnostic::warning("no-name", message).at(command.place).help(help));
        return;
    };
    match verb {
        "deploy" => {
            let scope = call.scope(Some(name), region);
            match call.project.find(kind, name.name(), &scope) {
                Some(index) => {
                    // A script that asks whether it is there updates it or makes it.
                    if call.around.tolerant {
                        call.project.entries[index].change = false;
                    }
                    change(call, index, kind, region);
                }
                None => create(call, kind, name, region),
            }
        }
        "create" => create(call, kind, name, region),
        "update" => {
            if let Some(index) = call.existing(kind, name, region) {
                change(call, index, kind, region);
            }
        }
        "update-traffic" => {
            if let Some(index) = call.existing(kind, name, region) {
                traffic(call, index);
            }
        }
        "delete" => call.delete(kind, name, region),
        // An execution changes nothing that lasts.
        _ => {}
    }
}

fn create(call: &mut Call<'_>, kind: Kind, name: &Arg, region: Option<&Arg>) {
    let mut node = call.named(name, region);
    call.project.partial = false;
    fields(call, &mut node, kind, region);
    call.project.refused = false;
    call.create(kind, name, region, node);
}

fn change(call: &mut Call<'_>, index: usize, kind: Kind, region: Option<&Arg>) {
    // A revision without traffic leaves what serves as it is.
    if let Some(flag) = call.command.flag("traffic").filter(|flag| !flag.on && call.project.entries[index].created) {
        let place = flag.place;
        let mut node = match call.project.waiting.remove(&index) {
            Some(node) => node,
            None => call.project.entries[index].node.clone(),
        };
        fields(call, &mut node, kind, region);
        call.project.waiting.insert(index, node);
        let message = "this revision gets no traffic: what it changes counts once `update-traffic` sends it some";
        return call.import.push(Diagnostic::note("no-traffic", message).at(place));
    }
    call.project.partial = !call.project.entries[index].created;
    call.edit(index, |call, node| {
        let before = node.clone();
        fields(call, node, kind, region);
        if std::mem::take(&mut call.project.refused) {
            *node = before;
        }
    });
}

fn traffic(call: &mut Call<'_>, index: usize) {
    let command = call.command;
    call.exclusive("to-latest", "to-revisions");
    if command.is_on("to-latest")
        && let Some(node) = call.project.waiting.remove(&index)
    {
        call.project.entries[index].node = node;
    }
    if let Some(flag) = command.flag("to-latest").filter(|flag| flag.on) {
        let target = target(call, flag.place, None, "100");
        call.edit(index, |call, node| {
            let list = call.import.build.list(flag.place, vec![target]);
            node.put("traffic", list);
        });
    } else if let Some(flag) = command.flag("to-revisions") {
        let mut targets = Vec::new();
        for item in call.items("to-revisions") {
            let Some((revision, percent)) = item.split_once('=') else { continue };
            let latest = revision.text == "LATEST";
            targets.push(target(call, item.place, (!latest).then_some(&revision), &percent.text));
        }
        call.edit(index, |call, node| {
            let list = call.import.build.list(flag.place, targets);
            node.put("traffic", list);
        });
    }
}

fn target(call: &mut Call<'_>, place: Place, revision: Option<&Arg>, percent: &str) -> Node {
    let kind = match revision {
        Some(_) => "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION",
        None => "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST",
    };
    let mut target = call.mapping(place);
    let kind = call.word(place, kind);
    target.put("type", kind);
    if let Some(revision) = revision {
        let revision = call.text(revision);
        target.put("revision", revision);
    }
    let percent = call.word(place, percent);
    target.put("percent", percent);
    target
}

fn fields(call: &mut Call<'_>, node: &mut Node, kind: Kind, region: Option<&Arg>) {
    let place = call.command.place;
    let mut outer = take(call, node, "template", place);
    if kind == Kind::Job {
        call.put(&mut outer, "tasks", "taskCount");
        call.put(&mut outer, "parallelism", "parallelism");
        let mut inner = take(call, &mut outer, "template", place);
        template(call, &mut inner, region);
        give(&mut outer, "template", inner);
    } else {
        template(call, &mut outer, region);
        let mut scaling = take(call, &mut outer, "scaling", place);
        or_default(call, &mut scaling, "min-instances", "minInstanceCount");
        or_default(call, &mut scaling, "max-instances", "maxInstanceCount");
        give(&mut outer, "scaling", scaling);
        or_default(call, &mut outer, "concurrency", "maxInstanceRequestConcurrency");
    }
    give(node, "template", outer);
    if kind == Kind::Job {
        return;
    }
    let mut scaling = take(call, node, "scaling", place);
    or_default(call, &mut scaling, "min", "minInstanceCount");
    or_default(call, &mut scaling, "max", "maxInstanceCount");
    for flag in ["scaling", "instances"] {
        let Some(value) = call.known(flag) else { continue };
        let manual = !value.text.eq_ignore_ascii_case("auto");
        let mode = call.word(value.place, if manual { "MANUAL" } else { "AUTOMATIC" });
        scaling.put("scalingMode", mode);
        scaling.take("manualInstanceCount");
        if manual {
            let count = call.text(&value);
            scaling.put("manualInstanceCount", count);
        }
    }
    give(node, "scaling", scaling);
    if let Some(ingress) = call.known("ingress") {
        let word = match &*ingress.text {
            "all" => "INGRESS_TRAFFIC_ALL".to_owned(),
            "internal" => "INGRESS_TRAFFIC_INTERNAL_ONLY".to_owned(),
            "internal-and-cloud-load-balancing" => "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER".to_owned(),
            other => other.to_owned(),
        };
        let word = call.word(ingress.place, word);
        node.put("ingress", word);
    }
}

/// Takes a mapping out of another to change it; [`give`] puts it back, unless nothing is in it.
pub(super) fn take(call: &mut Call<'_>, node: &mut Node, key: &str, place: Place) -> Node {
    match node.take(key) {
        Some(node) if matches!(node.value, Value::Mapping(_)) => node,
        _ => call.mapping(place),
    }
}

pub(super) fn give(node: &mut Node, key: &str, mut value: Node) {
    let Some(first) = value.entries().first().map(|entry| entry.value.place) else { return };
    if value.entries().len() == 1 {
        value.place = first;
    }
    node.put(key, value);
}

/// A number, or `default` to take it away.
pub(super) fn or_default(call: &mut Call<'_>, node: &mut Node, flag: &str, field: &str) {
    if call.command.value(flag).is_some_and(|value| value.text == "default") {
        node.take(field);
        if let Some(given) = call.command.flag(flag).filter(|_| call.project.partial) {
            call.not_cleared(given.place);
        }
    } else {
        call.put(node, flag, field);
    }
}

fn template(call: &mut Call<'_>, template: &mut Node, region: Option<&Arg>) {
    let place = call.command.place;
    let mut access = take(call, template, "vpcAccess", place);
    vpc_access(call, &mut access, region);
    give(template, "vpcAccess", access);
    call.put_name(template, "service-account", "serviceAccount");
    if let Some(cpu) = call.known("cpu") {
        let text = call.text(&cpu);
        let containers = call.list_mut(template, "containers", cpu.place);
        let mut container = if containers.is_empty() { None } else { Some(containers.remove(0)) };
        let mut container = container.take().unwrap_or_else(|| call.mapping(cpu.place));
        let mut resources = take(call, &mut container, "resources", cpu.place);
        let mut limits = take(call, &mut resources, "limits", cpu.place);
        limits.put("cpu", text);
        give(&mut resources, "limits", limits);
        give(&mut container, "resources", resources);
        call.list_mut(template, "containers", cpu.place).insert(0, container);
    }
}

/// The way into a VPC network.
fn vpc_access(call: &mut Call<'_>, access: &mut Node, region: Option<&Arg>) {
    let command = call.command;
    let mut refused = false;
    for flag in ["network", "subnet", "network-tags"] {
        refused |= call.exclusive("vpc-connector", flag);
        call.exclusive("clear-network", flag);
    }
    call.exclusive("clear-network-tags", "network-tags");
    call.exclusive("vpc-connector", "clear-vpc-connector");
    // gcloud takes the egress setting away with what it was about, even the one that the same command gives: it carries
    // `--clear-vpc-connector` out after `--vpc-egress` (googlecloudsdk/command_lib/run/flags.py, "MUST be after").
    let mut clears = None;
    for (flag, field) in [("clear-vpc-connector", "connector"), ("clear-network", "networkInterfaces")] {
        if let Some(flag) = command.flag(flag).filter(|flag| flag.on) {
            access.take(field);
            access.take("egress");
            clears = Some(flag.place);
            if call.project.partial {
                call.not_cleared(flag.place);
            }
        }
    }
    let (connector, network, subnet) =
        (command.value("vpc-connector"), command.value("network"), command.value("subnet"));
    if let Some(connector) = connector.filter(|connector| !connector.text.is_empty()) {
        refused |= call.refer(Kind::Connector, connector, region, None) == Found::Missing;
        let place = command.flag("vpc-connector").map_or(connector.place, |flag| flag.place);
        together(call, access, "networkInterfaces", place, refused);
        let text = call.text(connector);
        access.put("connector", text);
        access.take("networkInterfaces");
    } else if network.or(subnet).is_some() {
        let place = network.or(subnet).map_or(command.place, |arg| arg.place);
        attach(call, access, network, subnet, region, refused);
        access.take("connector");
        // What a command does not say of the interface stays as it is.
        let mut interface = interface(call, access, place);
        if let Some(network) = network {
            let text = call.text(network);
            interface.put("network", text);
        }
        if let Some(subnet) = subnet {
            let text = call.text(subnet);
            interface.put("subnetwork", text);
        }
        let list = call.import.build.list(place, vec![interface]);
        access.put("networkInterfaces", list);
    }
    tags(call, access);
    if let Some(egress) = call.known("vpc-egress") {
        let word = match &*egress.text.to_ascii_lowercase() {
            "all" | "all-traffic" => "ALL_TRAFFIC".to_owned(),
            other => other.to_ascii_uppercase().replace('-', "_"),
        };
        let attached = call.project.partial || access.get("connector").or(access.get("networkInterfaces")).is_some();
        let word = call.word(egress.place, word);
        access.put("egress", word);
        if let (true, Some(clears)) = (attached, clears) {
            let message = "gcloud takes the egress setting away together with what is cleared, this one, too: only private ranges go through the network";
            call.import.push(
                Diagnostic::warning("egress-cleared", message)
                    .at(egress.place)
                    .related(clears, "carried out last")
                    .help("set it with a second command: `gcloud run services update … --vpc-egress=…`"),
            );
            access.take("egress");
        } else if !attached {
            let message = "--vpc-egress needs a connector or Direct VPC egress: this workload has neither";
            call.import.push(
                Diagnostic::warning("egress-without-vpc", message)
                    .at(egress.place)
                    .help("add `--vpc-connector=…`, or `--network=…` and `--subnet=…`"),
            );
            access.take("egress");
        }
    }
}

/// The one network interface, to change it.
fn interface(call: &mut Call<'_>, access: &mut Node, place: Place) -> Node {
    let known = access.take("networkInterfaces");
    match known.map(|list| list.value) {
        Some(Value::Sequence(mut list)) if !list.is_empty() => list.remove(0),
        _ => call.mapping(place),
    }
}

fn tags(call: &mut Call<'_>, access: &mut Node) {
    let command = call.command;
    let clears = command.is_on("clear-network-tags");
    let Some(flag) = command.flag("network-tags").or(command.flag("clear-network-tags").filter(|_| clears)) else {
        return;
    };
    if clears && call.project.partial {
        call.not_cleared(flag.place);
    }
    if access.get("networkInterfaces").is_none() && (clears || !call.project.partial) {
        if !clears && access.get("connector").is_none() {
            let message = "--network-tags are for Direct VPC egress: this workload has no network";
            call.import.push(
                Diagnostic::warning("tags-without-vpc", message)
                    .at(flag.place)
                    .help("add `--network=…` and `--subnet=…`"),
            );
        }
        return;
    }
    let mut interface = interface(call, access, flag.place);
    if clears {
        interface.take("tags");
    } else {
        call.put_names(&mut interface, "network-tags", "tags");
    }
    let list = call.import.build.list(flag.place, vec![interface]);
    access.put("networkInterfaces", list);
}

/// Whether a workload can be put into a network: its subnet is there, and it has no connector.
fn attach(
    call: &mut Call<'_>,
    access: &Node,
    network: Option<&Arg>,
    subnet: Option<&Arg>,
    region: Option<&Arg>,
    refused: bool,
) {
    let Some(place) = network.or(subnet).map(|arg| arg.place) else { return };
    let before = access.get("networkInterfaces").and_then(|list| list.items().first());
    let named = before.is_some_and(|interface| interface.get("subnetwork").is_some());
    // Only where no subnet is named, now or before, is it that of the network's name.
    let missing =
        if subnet.is_none() && named { false } else { subnet_exists(call, network, subnet, region) == Found::Missing };
    let flag = call.command.flag("network").or(call.command.flag("subnet"));
    together(call, access, "connector", flag.map_or(place, |flag| flag.place), refused || missing);
}

/// Whether the subnet is there that a workload is to be in: the named one, or that of the network's name.
fn subnet_exists(call: &mut Call<'_>, network: Option<&Arg>, subnet: Option<&Arg>, region: Option<&Arg>) -> Found {
    if let Some(network) = network {
        call.refer(Kind::Network, network, None, None);
    }
    let Some(subnet) = subnet.or(network) else { return Found::Presumed };
    let found = call.refer(Kind::Subnetwork, subnet, region, network.map(Arg::name));
    let (Found::There(index), Some(network)) = (found, network) else { return found };
    let of = call.project.entries[index].node.get("network").and_then(Node::text).unwrap_or("");
    let of = of.rsplit('/').next().unwrap_or("").to_owned();
    if !of.is_empty() && of != network.name() && !of.contains("${") && !network.is_unknown() {
        let message = format!("the subnet `{}` is one of the network `{}`", shorten(subnet.name()), shorten(&of));
        let help = format!("write `--network={}`, or name a subnet of the other network", shorten(&of));
        call.refuse("invalid-flags", message, subnet.place, help);
        return Found::Missing;
    }
    found
}

/// What Cloud Run says when a workload has one way into a network and is given the other: "VPC connector and direct VPC can
/// not be used together" (reported by users for services and jobs). It is told as a note if the command is refused anyway.
fn together(call: &mut Call<'_>, access: &Node, other: &str, place: Place, refused: bool) {
    let Some(before) = access.get(other) else { return };
    call.project.refused = true;
    let clear = if other == "connector" { "--clear-vpc-connector" } else { "--clear-network" };
    let message = "VPC connector and direct VPC can not be used together";
    let diagnostic = if refused || call.around.tolerant {
        Diagnostic::note("connector-and-network", format!("{message}: this command is refused for that, too"))
    } else {
        Diagnostic::rejected("connector-and-network", message)
    };
    call.import.push(
        diagnostic
            .at(place)
            .related(before.place, "what it has")
            .help(format!("add `{clear}`, and set `--vpc-egress` with a second command: clearing takes it away")),
    );
}

/// Whether a workload that a manifest describes replaces one that commands have made.
pub(super) fn forget(call: &mut Call<'_>, kind: Kind, name: &str, place: Place) {
    if let Some(index) = call.project.find(kind, name, &Scope::default()) {
        call.project.replace(index, place);
    }
}
