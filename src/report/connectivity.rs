//! A trace in the JSON of Connectivity Tests, so that it can stand beside what
//! `gcloud network-management connectivity-tests describe --format=json` prints.
//!
//! Steps have Google's states, descriptions of our own, and the payload that belongs to the state under Google's field
//! names (`trace.proto`, v1). What Google's steps do not have is `node`: the station. Fields without a value are left out, as
//! there.

use serde_json::{Map, Value, json};

use crate::trace::info::{Resource, Scope, WorkloadKind};
use crate::trace::{Disposition, State, StepInfo, Trace};

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

/// One direction of a trace.
pub fn trace(trace: &Trace, project: &str) -> Value {
    let steps = trace.hops.iter().flat_map(|hop| hop.steps.iter().map(move |step| (hop, step)));
    let steps: Vec<Value> = steps
        .map(|(hop, step)| {
            let mut object = json!({
                "node": hop.node,
                "state": step.state.name(),
                "description": step.description,
                "projectId": project,
            });
            if step.state == State::Drop {
                object["causesDrop"] = true.into();
            }
            if let Some(info) = &step.info {
                let (field, payload) = payload(info, project);
                object[field] = payload;
            }
            object
        })
        .collect();
    json!({
        "disposition": trace.disposition.name(),
        "cause": trace.disposition.reason().map(|(cause, _)| cause),
        "result": match trace.disposition {
            Disposition::Deliver => "REACHABLE",
            Disposition::Forward | Disposition::Abort(_) => "UNDETERMINED",
            Disposition::Drop(_) => "UNREACHABLE",
        },
        "steps": steps,
    })
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
            fields.set("networkUri", uri(&info.network));
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
            fields.set("nextHop", &*info.next_hop_text);
            fields.set("nextHopUri", info.next_hop.as_ref().map(uri));
            fields.set("nextHopNetworkUri", info.next_hop_network.as_ref().map(uri));
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
                fields.set(port_field, port);
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
            fields.set("target", &*info.target);
            "forwardingRule"
        }
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

/// An object that leaves out what has no value.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, field: &str, value: impl Into<Value>) {
        let value = value.into();
        if !value.is_null() {
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
