//! A trace in the JSON of Connectivity Tests, so that it can stand beside what
//! `gcloud network-management connectivity-tests describe --format=json` prints.
//!
//! Steps have Google's states, descriptions of our own, and the payload that belongs to the state under Google's field
//! names (`trace.proto`, v1). What Google's steps do not have is `node`, the station, and `metadata`, the metadata server's
//! answers; the steps are there once more without `node`, nested as Google nests them. Fields without a value are left out,
//! as there.

use serde_json::{Map, Value, json};

use crate::trace::info::{EndpointInfo, Ends, FirewallRuleType, Resource, Scope, WorkloadKind};
use crate::trace::{Disposition, DropCause, State, StepInfo, Trace};

/// The URI of a resource in a project, as Connectivity Tests writes it.
pub fn uri(resource: &Resource, project: &str) -> String {
    let Resource { scope, collection, name } = resource;
    match scope {
        Scope::Global => format!("projects/{project}/global/{collection}/{name}"),
        Scope::Region(region) => format!("projects/{project}/regions/{region}/{collection}/{name}"),
        Scope::Zone(zone) => format!("projects/{project}/zones/{zone}/{collection}/{name}"),
        Scope::Location(location) => format!("projects/{project}/locations/{location}/{collection}/{name}"),
        Scope::Organization => format!("locations/global/{collection}/{name}"),
    }
}

/// A packet's way in one direction, and the packet as it was sent, if anybody could send it.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// The way.
    pub trace: &'a Trace,
    /// The packet.
    pub sent: Option<&'a EndpointInfo>,
}

/// A traced packet and its answer: as steps, and once more where Connectivity Tests has them.
pub fn document(there: Way, back: Option<Way>, project: &str) -> Value {
    let mut document = trace(there.trace, project);
    document["reply"] = back.map(|back| trace(back.trace, project)).into();
    document["reachabilityDetails"] = reachability(there, project);
    if let Some(back) = back {
        document["returnReachabilityDetails"] = reachability(back, project);
    }
    document
}

/// `ReachabilityDetails`
fn reachability(way: Way, project: &str) -> Value {
    let steps: Vec<Value> = steps(way.trace, project)
        .map(|mut step| {
            step.as_object_mut().expect("a step is an object").remove("node");
            step
        })
        .collect();
    let mut trace = json!({"steps": steps, "forwardTraceId": 1});
    if let Some(sent) = way.sent {
        trace["endpointInfo"] = endpoint(sent);
    }
    json!({"result": result(way.trace.disposition), "traces": [trace]})
}

/// One direction of a trace.
pub fn trace(trace: &Trace, project: &str) -> Value {
    json!({
        "disposition": trace.disposition.name(),
        "cause": trace.disposition.reason().map(|(cause, _)| cause),
        "result": result(trace.disposition),
        "steps": steps(trace, project).collect::<Vec<_>>(),
    })
}

/// Google has no result for a packet that leaves for a network without a known configuration: the analysis is not complete.
fn result(disposition: Disposition) -> &'static str {
    match disposition {
        Disposition::Deliver => "REACHABLE",
        Disposition::Forward | Disposition::Abort(_) => "UNDETERMINED",
        Disposition::Drop(_) => "UNREACHABLE",
    }
}

fn steps(trace: &Trace, project: &str) -> impl Iterator<Item = Value> {
    let steps: Vec<_> = trace.hops.iter().flat_map(|hop| hop.steps.iter().map(move |step| (hop, step))).collect();
    // The step that decided, by what it decided about, and its resource.
    let decided = trace.disposition.cause().and_then(|cause| {
        let (at, (_, step)) = steps.iter().enumerate().rfind(|(_, (_, step))| decides(step.state, cause))?;
        let uri = step.info.as_ref().and_then(|info| payload(info, project).1.get("uri").cloned());
        Some((at, uri))
    });
    steps.into_iter().enumerate().map(move |(at, (hop, step))| {
        let mut object = json!({
            "node": hop.node,
            "state": step.state.name(),
            "description": step.description,
            "projectId": project,
        });
        let is_drop = step.state == State::Drop;
        if is_drop || decided.as_ref().is_some_and(|(decisive, _)| *decisive == at) {
            object["causesDrop"] = true.into();
        }
        if let Some(info) = &step.info {
            let (field, mut payload) = payload(info, project);
            if let (true, Some((_, Some(uri)))) = (is_drop, &decided) {
                payload["resourceUri"] = uri.clone();
            }
            object[field] = payload;
        }
        object
    })
}

/// Whether a step of this kind is what leads to a drop for this cause.
fn decides(state: State, cause: DropCause) -> bool {
    use DropCause as Cause;
    match cause {
        Cause::FirewallRule | Cause::IngressFirewallTagsUnsupportedByDirectVpcEgress => {
            matches!(state, State::ApplyEgressFirewallRule | State::ApplyIngressFirewallRule)
        }
        Cause::NoRoute
        | Cause::RouteBlackhole
        | Cause::RouteNextHopInstanceWrongNetwork
        | Cause::RouteNextHopInstanceNonPrimaryIp
        | Cause::RouteNextHopVpnTunnelNotEstablished
        | Cause::TrafficFromHybridEndpointToInternetDisallowed
        | Cause::HybridSubnetRegionMismatch
        | Cause::RoutingLoop
        | Cause::PrivateTrafficToInternet
        | Cause::PrivateGoogleAccessViaVpnTunnelUnsupported
        | Cause::DestinationIsPrivateNatIpRange => state == State::ApplyRoute,
        Cause::HybridSubnetNoRoute => state == State::ArriveAtHybridSubnet,
        Cause::VpnTunnelLocalSelectorMismatch | Cause::VpnTunnelRemoteSelectorMismatch => {
            state == State::ArriveAtVpnTunnel
        }
        Cause::ForwardingRuleMismatch
        | Cause::ForwardingRuleRegionMismatch
        | Cause::PscConnectionNotAccepted
        | Cause::PscEndpointAccessedFromPeeredNetwork => state == State::ApplyForwardingRule,
        Cause::VpcConnectorNotRunning
        | Cause::VpcConnectorServerlessTrafficBlocked
        | Cause::VpcConnectorHealthCheckTrafficBlocked => state == State::ArriveAtVpcConnector,
        Cause::VpcConnectorNotSet
        | Cause::CloudRunRevisionNotReady
        | Cause::CloudRunJobNotReady
        | Cause::CloudFunctionNotActive => matches!(
            state,
            State::StartFromCloudRunRevision | State::StartFromCloudRunJob | State::StartFromCloudFunction
        ),
        _ => false,
    }
}

/// `EndpointInfo`
fn endpoint(info: &EndpointInfo) -> Value {
    let mut fields = Fields::default();
    let Ends { source, destination } = info.ends;
    fields.set("sourceIp", source.0.to_string());
    fields.set("destinationIp", destination.0.to_string());
    fields.set("protocol", info.protocol);
    if has_ports(info.protocol) {
        fields.set("sourcePort", source.1);
        fields.set("destinationPort", destination.1);
    }
    Value::Object(fields.0)
}

/// In Connectivity Tests ports are those of TCP and UDP only.
fn has_ports(protocol: &str) -> bool {
    matches!(protocol, "TCP" | "UDP")
}

/// The field of a step's payload, and the payload.
fn payload(info: &StepInfo, project: &str) -> (&'static str, Value) {
    let uri = |resource: &Resource| Value::from(uri(resource, project));
    let name = |resource: &Resource| Value::from(&*resource.name);
    let mut fields = Fields::default();
    let field = match info {
        StepInfo::Workload(info) => {
            fields.set("displayName", name(&info.resource));
            fields.set("uri", uri(&info.resource));
            fields.set("location", info.resource.region());
            fields.set("serviceUri", info.service.as_ref().map(uri));
            WorkloadKind::name(info.kind)
        }
        StepInfo::DirectVpcEgress(info) => {
            fields.set("networkUri", uri(&info.network));
            fields.set("subnetworkUri", uri(&info.subnetwork));
            fields.set("selectedIpRange", &*info.selected_ip_range);
            fields.set("selectedIpAddress", info.selected_ip_address.to_string());
            fields.set("region", info.subnetwork.region());
            "directVpcEgressConnection"
        }
        StepInfo::Metadata(info) => {
            let answers = info.answers.iter().map(|answer| match answer.address {
                Some(address) => json!({"path": answer.path, "status": 200, "body": address.to_string()}),
                None => json!({"path": answer.path, "status": 404}),
            });
            return ("metadata", answers.collect());
        }
        StepInfo::ServerlessExternal(info) => {
            fields.set("selectedIpAddress", info.selected_ip_address.to_string());
            "serverlessExternalConnection"
        }
        StepInfo::VpcConnector(info) => {
            fields.set("displayName", name(&info.connector));
            fields.set("uri", uri(&info.connector));
            fields.set("location", info.connector.region());
            "vpcConnector"
        }
        StepInfo::Firewall(info) => {
            fields.set("displayName", Some(&*info.display_name).filter(|name| !name.is_empty()));
            fields.set("uri", info.rule.as_ref().map(uri));
            fields.set("direction", info.direction);
            fields.set("action", info.action);
            fields.set("priority", info.priority);
            if info.rule_type != FirewallRuleType::HierarchicalFirewallPolicyRule {
                fields.set("networkUri", uri(&info.network));
            }
            fields.list("targetTags", &info.target_tags);
            fields.list("targetServiceAccounts", &info.target_service_accounts);
            fields.set("policy", info.policy_name.as_deref());
            fields.set("policyUri", info.policy.as_ref().map(uri));
            fields.set("policyPriority", info.policy_priority);
            fields.set("firewallRuleType", info.rule_type.name());
            "firewall"
        }
        StepInfo::NgfwPacketInspection(info) => {
            fields.set("securityProfileGroupUri", &*info.security_profile_group);
            "ngfwPacketInspection"
        }
        StepInfo::Route(info) => {
            fields.set("routeType", info.route_type.name());
            fields.set("nextHopType", info.next_hop_type.name());
            fields.set("displayName", &*info.display_name);
            fields.set("uri", info.route.as_ref().map(uri));
            fields.set("region", info.region.as_deref());
            fields.set("destIpRange", &*info.dest_ip_range);
            fields.set("networkUri", uri(&info.network));
            fields.set("priority", info.priority);
            fields.list("instanceTags", &info.instance_tags);
            fields.set("srcIpRange", info.src_ip_range.as_deref());
            fields.list("protocols", &info.protocols);
            fields.set("nextHopUri", info.next_hop.as_ref().map(uri));
            fields.set("nextHopNetworkUri", info.next_hop_network.as_ref().map(uri));
            if let Some((name, route)) = &info.originating_route {
                fields.set("originatingRouteDisplayName", &**name);
                fields.set("originatingRouteUri", route.as_ref().map(uri));
            }
            "route"
        }
        StepInfo::Nat(info) => {
            fields.set("type", info.nat_type.name());
            fields.set("protocol", info.protocol);
            fields.set("networkUri", uri(&info.network));
            let ends = [
                ("oldSourceIp", "oldSourcePort", info.old_source),
                ("newSourceIp", "newSourcePort", info.new_source),
                ("oldDestinationIp", "oldDestinationPort", info.old_destination),
                ("newDestinationIp", "newDestinationPort", info.new_destination),
            ];
            for (ip_field, port_field, (ip, port)) in ends {
                fields.set(ip_field, ip.to_string());
                if has_ports(info.protocol) {
                    fields.set(port_field, port);
                }
            }
            fields.set("routerUri", info.router.as_ref().map(uri));
            fields.set("natGatewayName", info.nat_gateway_name.as_deref());
            fields.set("cloudNatGatewayType", info.nat_gateway_name.as_ref().map(|_| "PUBLIC_NAT44"));
            "nat"
        }
        StepInfo::Instance(info) => {
            fields.set("displayName", name(&info.instance));
            fields.set("uri", uri(&info.instance));
            fields.set("networkUri", uri(&info.network));
            fields.set("interface", "nic0");
            fields.set("internalIp", info.internal_ip.map(|ip| ip.to_string()));
            fields.set("externalIp", info.external_ip.map(|ip| ip.to_string()));
            fields.list("networkTags", &info.network_tags);
            fields.set("serviceAccount", info.service_account.as_deref());
            fields.set("running", info.running);
            fields.set("status", if info.running { "RUNNING" } else { "NOT_RUNNING" });
            "instance"
        }
        StepInfo::VpnTunnel(info) => {
            fields.set("displayName", name(&info.tunnel));
            fields.set("uri", uri(&info.tunnel));
            fields.set("networkUri", uri(&info.network));
            fields.set("region", info.tunnel.region());
            fields.set("routingType", info.routing_type);
            "vpnTunnel"
        }
        StepInfo::InterconnectAttachment(info) => {
            fields.set("displayName", name(&info.attachment));
            fields.set("uri", uri(&info.attachment));
            fields.set("region", info.attachment.region());
            fields.set("cloudRouterUri", info.cloud_router.as_ref().map(uri));
            "interconnectAttachment"
        }
        StepInfo::ForwardingRule(info) => {
            fields.set("displayName", name(&info.rule));
            fields.set("uri", uri(&info.rule));
            fields.set("networkUri", uri(&info.network));
            fields.set("region", info.rule.region());
            fields.set("matchedProtocol", &*info.matched_protocol);
            fields.set("matchedPortRange", &*info.matched_port_range);
            fields.set("vip", info.vip.to_string());
            fields.set("pscServiceAttachmentUri", info.psc_service_attachment.as_ref().map(uri));
            fields.set("pscGoogleApiTarget", info.psc_google_api_target);
            "forwardingRule"
        }
        StepInfo::HybridSubnet(info) => {
            fields.set("displayName", name(&info.subnetwork));
            fields.set("uri", uri(&info.subnetwork));
            fields.set("region", info.subnetwork.region());
            "hybridSubnet"
        }
        StepInfo::Endpoint(info) => return ("endpoint", endpoint(info)),
        StepInfo::GoogleService(info) => {
            fields.set("sourceIp", info.source_ip.to_string());
            fields.set("googleServiceType", info.service_type.name());
            "googleService"
        }
        StepInfo::Deliver(info) => {
            fields.set("target", info.target.name());
            fields.set("resourceUri", info.resource.as_ref().map(uri));
            fields.set("ipAddress", info.ip_address.to_string());
            fields.set("googleServiceType", info.google_service.map(|service| service.name()));
            fields.set("pscGoogleApiTarget", info.psc_google_api_target.as_deref());
            "deliver"
        }
        StepInfo::Forward(info) => {
            fields.set("target", info.target.name());
            fields.set("resourceUri", info.resource.as_ref().map(uri));
            fields.set("ipAddress", info.ip_address.to_string());
            "forward"
        }
        StepInfo::Drop(info) => {
            fields.set("cause", info.cause.name());
            fields.set("sourceIp", info.source_ip.to_string());
            fields.set("destinationIp", info.destination_ip.to_string());
            "drop"
        }
        StepInfo::Abort(info) => {
            fields.set("cause", info.cause.name());
            fields.set("resourceUri", info.resource.as_ref().map(uri));
            "abort"
        }
    };
    (field, Value::Object(fields.0))
}

/// An object that leaves out what has no value, or the one that Google's JSON leaves out, too: 0, false, nothing.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, field: &str, value: impl Into<Value>) {
        let value = value.into();
        if ![Value::Null, 0.into(), false.into(), "".into()].contains(&value) {
            self.0.insert(field.into(), value);
        }
    }

    fn list(&mut self, field: &str, values: &[String]) {
        if !values.is_empty() {
            self.set(field, values.to_vec());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_says_where_a_resource_lives() {
        let uris = [
            Resource::global("routes", "default"),
            Resource::regional("subnetworks", "us-central1", "apps"),
            Resource { scope: Scope::Zone("us-central1-a".into()), collection: "instances", name: "vm".into() },
            Resource::located("connectors", "us-central1", "conn"),
            Resource { scope: Scope::Organization, collection: "firewallPolicies", name: "7".into() },
        ]
        .map(|resource| uri(&resource, "p"));
        assert_eq!(
            uris,
            [
                "projects/p/global/routes/default",
                "projects/p/regions/us-central1/subnetworks/apps",
                "projects/p/zones/us-central1-a/instances/vm",
                "projects/p/locations/us-central1/connectors/conn",
                "locations/global/firewallPolicies/7",
            ]
        );
    }
}
