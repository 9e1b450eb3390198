//! Changes of the VPC network: firewall rules, routes, Cloud NAT, Private Google Access.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{Choice, Ill, Proposal};
use crate::network::{HEALTH_CHECKS, SERVERLESS};
use crate::probe::{Moment, probe_at};
use crate::scenario::{HostLocation, Subnetwork};
use crate::trace::info::{FirewallInfo, FirewallRuleType};
use crate::trace::{DropCause, StepInfo, Trace};
use crate::wire::{Flow, Protocol};

/// What the example connects to: its flow at the instance.
fn wanted(ill: &Ill<'_>) -> Option<Flow> {
    Some(ill.group.example.as_ref()?.record.inside)
}

/// The example's packet that was dropped, traced in the network of then, without other traffic. Where it goes otherwise, other
/// traffic mattered, and it says nothing.
pub(in crate::diagnose) fn trace(ill: &Ill<'_>) -> Option<Trace> {
    let (flow, example) = (wanted(ill)?, ill.group.example.as_ref()?);
    let dropped = example.decided_by?;
    let workload = ill.workloads().first().copied()?;
    let address: IpAddr = flow.dst();
    let moment = Moment { at: dropped.time, instance: example.instance.as_deref() };
    let traced = probe_at(ill.case.scenario, workload, moment, address, flow.dst_port(), flow.protocol())?.trace;
    (traced.disposition.cause() == Some(dropped.cause)).then_some(traced)
}

/// The rule that denied the example.
fn denying(ill: &Ill<'_>) -> Option<FirewallInfo> {
    let trace = trace(ill)?;
    let steps = trace.hops.into_iter().rev().flat_map(|hop| hop.steps.into_iter().rev());
    let infos = steps.filter_map(|step| match step.info {
        Some(StepInfo::Firewall(info)) => Some(info),
        _ => None,
    });
    infos.into_iter().find(|info| info.action == "DENY")
}

/// What a rule has to name to let the example through.
fn layer4(flow: Flow) -> (Value, Value) {
    let protocol = flow.protocol().to_string();
    match flow.protocol() {
        Protocol::Icmp => (json!([{"IPProtocol": "icmp"}]), json!([{"ipProtocol": "icmp"}])),
        _ => {
            let ports = json!([flow.dst_port().to_string()]);
            (json!([{"IPProtocol": protocol, "ports": ports}]), json!([{"ipProtocol": protocol, "ports": ports}]))
        }
    }
}

/// The subnet that the example comes from.
fn subnet<'a>(ill: &Ill<'a>) -> Option<&'a Subnetwork> {
    let scenario = ill.case.scenario;
    let workload = ill.workloads().first().copied()?;
    Some(&scenario.subnetworks[scenario.subnetwork_of(workload)?])
}

/// The range that the firewall sees the example come from.
fn source_range(ill: &Ill<'_>) -> Option<String> {
    let subnet = subnet(ill)?;
    match wanted(ill)?.src() {
        IpAddr::V4(_) => Some(subnet.range.to_string()),
        IpAddr::V6(_) => subnet.ipv6.as_ref().map(|ipv6| ipv6.range.to_string()),
    }
}

fn single(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}

/// A rule that allows it, before the one that denies it.
pub(super) fn allow(ill: &Ill<'_>) -> Option<Proposal> {
    let (info, flow) = (denying(ill)?, wanted(ill)?);
    let (allowed, layer4) = layer4(flow);
    let ingress = info.direction == "INGRESS";
    let name = "allow-diagnosed";
    match info.rule_type {
        FirewallRuleType::VpcFirewallRule
        | FirewallRuleType::ImpliedVpcFirewallRule
        | FirewallRuleType::ServerlessVpcAccessManagedFirewallRule => {
            // A deny wins over an allow of the same priority.
            let priority = match info.rule_type {
                FirewallRuleType::ImpliedVpcFirewallRule => 1000,
                _ => info.priority?.checked_sub(1)?,
            };
            let mut rule = json!({
                "name": name, "network": &*info.network.name, "direction": info.direction, "priority": priority,
                "allowed": allowed,
            });
            let (field, range) =
                if ingress { ("sourceRanges", source_range(ill)?) } else { ("destinationRanges", single(flow.dst())) };
            rule[field] = json!([range]);
            let direction = info.direction.to_lowercase();
            let ports = if flow.protocol() == Protocol::Icmp { String::new() } else { format!(":{}", flow.dst_port()) };
            let peer = if ingress { "from" } else { "to" };
            let change = format!(
                "a firewall rule of priority {priority} that allows {direction} {}{ports} {peer} {range}",
                flow.protocol()
            );
            Proposal::single(Choice::new(change, ill.edit().push("/firewalls", rule)))
        }
        _ => {
            let policy = info.policy.as_ref()?;
            let policies = ill.case.document.pointer("/firewallPolicies")?.as_array()?;
            let called = |value: &Value| {
                let short = value.as_str().map(|text| text.rsplit('/').next().unwrap_or(text));
                short.is_some_and(|short| short == &*policy.name || Some(short) == info.policy_name.as_deref())
            };
            let place = policies.iter().position(|it| called(&it["name"]) || called(&it["shortName"]))?;
            let rules = policies[place]["rules"].as_array()?;
            let taken: Vec<u64> = rules.iter().filter_map(|rule| rule["priority"].as_u64()).collect();
            let below = u64::from(info.priority?);
            let priority = (0..below).rev().find(|priority| !taken.contains(priority))?;
            let mut matches = json!({"layer4Configs": layer4});
            let (field, range) =
                if ingress { ("srcIpRanges", source_range(ill)?) } else { ("destIpRanges", single(flow.dst())) };
            matches[field] = json!([range]);
            let rule = json!({
                "priority": priority, "direction": info.direction, "action": "allow", "match": matches,
                "ruleName": name,
            });
            let edit = ill.edit().push(&format!("/firewallPolicies/{place}/rules"), rule);
            let change = format!("a rule of priority {priority} in firewall policy {} that allows it", policy.name);
            Proposal::single(Choice::new(change, edit))
        }
    }
}

/// A rule by range, where a rule by service account or tag does not hold for all instances: what identifies those of Direct
/// VPC egress is not supported as a source, and the first instance may get through all the same.
pub(super) fn allow_range(ill: &Ill<'_>) -> Option<Proposal> {
    let dropped = ill.group.example.as_ref()?.decided_by?;
    if dropped.cause != DropCause::IngressFirewallTagsUnsupportedByDirectVpcEgress || denying(ill).is_some() {
        return None;
    }
    let scenario = ill.case.scenario;
    let host = ill.loads().next().and_then(|load| scenario.traffic[load].host);
    let network = match host.map(|host| &scenario.hosts[host].location) {
        Some(HostLocation::Vpc(network)) => *network,
        _ => subnet(ill)?.network,
    };
    let (flow, range) = (wanted(ill)?, source_range(ill)?);
    let (allowed, _) = layer4(flow);
    let rule = json!({
        "name": "allow-diagnosed", "network": scenario.networks[network].name, "direction": "INGRESS", "priority": 1000,
        "allowed": allowed, "sourceRanges": [range],
    });
    let change = format!(
        "a firewall rule of priority 1000 that allows ingress {}:{} from {range}",
        flow.protocol(),
        flow.dst_port()
    );
    let choice = Choice::new(change, ill.edit().push("/firewalls", rule));
    Proposal::single(choice.effect("whatever else is in the range gets in, too"))
}

/// The rules that a connector needs, before those that deny it. Google makes them itself in the network's own project, at 100;
/// the names are those of its page for Shared VPC
/// (<https://docs.cloud.google.com/run/docs/configuring/shared-vpc-connectors>, 2026).
pub(super) fn connector_rules(ill: &Ill<'_>) -> Option<Proposal> {
    let dropped = ill.group.example.as_ref()?.decided_by?;
    let blocked = matches!(
        dropped.cause,
        DropCause::VpcConnectorServerlessTrafficBlocked | DropCause::VpcConnectorHealthCheckTrafficBlocked
    );
    let connector = &ill.case.scenario.connectors[*ill.connectors().first().filter(|_| blocked)?];
    let network = &ill.case.scenario.networks[connector.network].name;
    let rules = ill.case.document.pointer("/firewalls").and_then(Value::as_array).into_iter().flatten();
    let here = |rule: &&Value| rule["network"].as_str().and_then(|it| it.rsplit('/').next()) == Some(network);
    let denies = rules.filter(here).filter(|rule| !rule["denied"].is_null());
    // A deny wins over an allow of the same priority.
    let first = denies.map(|rule| rule["priority"].as_u64().unwrap_or(1000)).min();
    let priority = first.map_or(Some(1000), |first| first.checked_sub(1))?;
    let tunnel = json!([
        {"IPProtocol": "tcp", "ports": ["667"]}, {"IPProtocol": "udp", "ports": ["665-666"]}, {"IPProtocol": "icmp"},
    ]);
    let rule = |name: &str, direction: &str, field: &str, ranges: &[&str], allowed: Value| {
        let mut rule = json!({
            "name": name, "network": network, "direction": direction, "priority": priority, "allowed": allowed,
            "targetTags": ["vpc-connector"],
        });
        rule[field] = json!(ranges);
        rule
    };
    let checks = json!([{"IPProtocol": "tcp", "ports": ["667"]}]);
    let edit = (ill.edit())
        .push("/firewalls", rule("serverless-to-vpc-connector", "INGRESS", "sourceRanges", SERVERLESS, tunnel.clone()))
        .push("/firewalls", rule("vpc-connector-to-serverless", "EGRESS", "destinationRanges", SERVERLESS, tunnel))
        .push("/firewalls", rule("vpc-connector-health-checks", "INGRESS", "sourceRanges", HEALTH_CHECKS, checks));
    let change = format!(
        "firewall rules of priority {priority} that let Cloud Run and health checks (tcp:667, udp:665-666, icmp) reach \
         connector {}",
        connector.name
    );
    Proposal::single(Choice::new(change, edit).effect("the connector may have to be made again"))
}

/// Whether the example's destination is outside of all private ranges.
pub(super) fn is_public(ill: &Ill<'_>) -> bool {
    match wanted(ill).map(|flow| flow.dst()) {
        Some(IpAddr::V4(address)) => !crate::node::router::is_private(address),
        _ => false,
    }
}

/// Whether all that is concerned is bound for Google's APIs.
pub(super) fn is_for_google(ill: &Ill<'_>) -> bool {
    let scenario = ill.case.scenario;
    let mut loads = ill.loads().peekable();
    let google = |load: usize| {
        let host = scenario.traffic[load].host;
        host.is_some_and(|host| scenario.hosts[host].location == HostLocation::GoogleApi)
    };
    loads.peek().is_some() && loads.all(google)
}

/// Without the rule that denies it.
pub(super) fn without_rule(ill: &Ill<'_>) -> Option<Proposal> {
    let info = denying(ill)?;
    if info.rule_type != FirewallRuleType::VpcFirewallRule {
        return None;
    }
    let rules = ill.case.document.pointer("/firewalls")?.as_array()?;
    let place = rules.iter().position(|rule| {
        rule["name"].as_str().is_some_and(|name| name.rsplit('/').next() == Some(info.display_name.as_str()))
    })?;
    let edit = ill.edit().remove(&format!("/firewalls/{place}"));
    let choice = Choice::new(format!("without the firewall rule {}", info.display_name), edit);
    Proposal::single(choice.effect("all else that the rule denies is let through, too"))
}

/// A route to the internet.
pub(super) fn default_route(ill: &Ill<'_>) -> Option<Proposal> {
    let (flow, subnet) = (wanted(ill)?, subnet(ill)?);
    let IpAddr::V4(address) = flow.dst() else { return None };
    if crate::node::router::is_private(address) {
        return None;
    }
    let network = &ill.case.scenario.networks[subnet.network].name;
    let route = json!({
        "name": "default-diagnosed", "network": network, "destRange": "0.0.0.0/0", "priority": 1000,
        "nextHopGateway": "default-internet-gateway",
    });
    let change = format!("a route 0.0.0.0/0 of {network} to default-internet-gateway");
    let choice = Choice::new(change, ill.edit().push("/routes", route));
    Proposal::single(choice.effect("whatever has a NAT port or an external address reaches the internet"))
}

/// A gateway of the region and network serves the subnet, too.
pub(super) fn widen_nat(ill: &Ill<'_>) -> Option<Proposal> {
    let (scenario, subnet) = (ill.case.scenario, subnet(ill)?);
    let near = |at: &usize| {
        let gateway = &scenario.nat_gateways[*at];
        gateway.network == subnet.network && gateway.region == subnet.region
    };
    let gateway = (0..scenario.nat_gateways.len()).find(near)?;
    let place = crate::bench::plan::gateways_in_file(ill.case.file, scenario)[gateway];
    let at = format!("/routers/{}/nats/{}", place.router, place.nat);
    let edit = ill.edit().remove(&format!("{at}/subnetworks"));
    let edit = edit.set(&format!("{at}/sourceSubnetworkIpRangesToNat"), "ALL_SUBNETWORKS_ALL_IP_RANGES");
    let name = &scenario.nat_gateways[gateway].name;
    let change = format!("sourceSubnetworkIpRangesToNat of {name}: ALL_SUBNETWORKS_ALL_IP_RANGES");
    let choice = Choice { add_ips: Some((gateway, crate::node::nat::DEFAULT_RULE)), ..Choice::new(change, edit) };
    Proposal::single(choice.effect("all subnets of the region go out by it"))
}

/// A Cloud NAT gateway, where there is none.
pub(super) fn add_nat(ill: &Ill<'_>) -> Option<Proposal> {
    let (scenario, subnet) = (ill.case.scenario, subnet(ill)?);
    let network = &scenario.networks[subnet.network].name;
    let taken =
        |gateway: &crate::scenario::NatGateway| gateway.network == subnet.network && gateway.region == subnet.region;
    if scenario.nat_gateways.iter().any(taken) {
        return None;
    }
    // Google's default, and more of them: that the packets get out at all is not to be shown to fail for want of ports.
    let choices = (6..=12).map(|exponent| {
        let ports = 1u32 << exponent;
        let router = json!({
            "name": "router-diagnosed", "network": network, "region": subnet.region,
            "nats": [{
                "name": "nat-diagnosed", "natIpAllocateOption": "AUTO_ONLY", "minPortsPerVm": ports,
                "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES",
            }],
        });
        let change = format!("Cloud NAT for {network} in {}: AUTO_ONLY, minPortsPerVm {ports}", subnet.region);
        let choice = Choice::new(change, ill.edit().push("/routers", router));
        choice.effect("with AUTO_ONLY the partner sees addresses that may change: MANUAL_ONLY keeps them")
    });
    Proposal::of(choices.collect())
}

/// The connector, ready.
pub(super) fn ready_connector(ill: &Ill<'_>) -> Option<Proposal> {
    let broken = ill.connectors().into_iter().find(|&at| !ill.case.scenario.connectors[at].ready)?;
    let edit = ill.edit().set(&format!("/connectors/{broken}/state"), "READY");
    let name = &ill.case.scenario.connectors[broken].name;
    Proposal::single(Choice::new(format!("state of {name}: READY"), edit).effect("it has to be made again"))
}

/// Private Google Access for the subnet.
pub(super) fn google_access(ill: &Ill<'_>) -> Option<Proposal> {
    let subnet = subnet(ill)?;
    let place = ill.case.file.subnetworks.iter().position(|it| it.name.name() == subnet.name)?;
    let edit = ill.edit().set(&format!("/subnetworks/{place}/privateIpGoogleAccess"), true);
    let choice = Choice::new(format!("privateIpGoogleAccess of {}: true", subnet.name), edit);
    Proposal::single(choice.effect("Google APIs do not see a NAT IP"))
}
