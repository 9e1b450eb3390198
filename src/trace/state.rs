//! What a step is.

use serde::Serialize;

/// What a step is, in the vocabulary of Connectivity Tests (`Step.State`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// The packet leaves a Cloud Run revision.
    StartFromCloudRunRevision,
    /// The packet leaves a Cloud Run job.
    StartFromCloudRunJob,
    /// The packet leaves a function.
    StartFromCloudFunction,
    /// It reached a connector.
    ArriveAtVpcConnector,
    /// It left by Direct VPC egress.
    DirectVpcEgressConnection,
    /// It left by Cloud Run's own internet egress.
    ServerlessExternalConnection,
    /// Egress firewall rules were evaluated.
    ApplyEgressFirewallRule,
    /// Ingress firewall rules were evaluated.
    ApplyIngressFirewallRule,
    /// Cloud NGFW Enterprise looks into the packet.
    NgfwPacketInspection,
    /// A route was chosen.
    ApplyRoute,
    /// A forwarding rule has the address.
    ApplyForwardingRule,
    /// A hybrid subnet has the range, and nothing in it the address.
    ArriveAtHybridSubnet,
    /// A VM with IP forwarding takes what is not for it.
    SpoofingApproved,
    /// An address was translated.
    Nat,
    /// It reached a VM or a host in the VPC.
    ArriveAtInstance,
    /// It reached a VPN tunnel.
    ArriveAtVpnTunnel,
    /// It reached an Interconnect attachment.
    ArriveAtInterconnectAttachment,
    /// A reply leaves the internet.
    StartFromInternet,
    /// A reply leaves a private network.
    StartFromPrivateNetwork,
    /// A reply leaves a Google service.
    StartFromGoogleService,
    /// A reply leaves a service that is published by Private Service Connect.
    StartFromPscPublishedService,
    /// A reply leaves a VM or a host in the VPC.
    StartFromInstance,
    /// It arrived.
    Deliver,
    /// It left for a network that the scenario does not describe.
    Forward,
    /// It stopped.
    Drop,
    /// Nobody could send it.
    Abort,
}

impl State {
    /// The fixed name, such as `APPLY_ROUTE`.
    pub const fn name(self) -> &'static str {
        match self {
            State::StartFromCloudRunRevision => "START_FROM_CLOUD_RUN_REVISION",
            State::StartFromCloudRunJob => "START_FROM_CLOUD_RUN_JOB",
            State::StartFromCloudFunction => "START_FROM_CLOUD_FUNCTION",
            State::ArriveAtVpcConnector => "ARRIVE_AT_VPC_CONNECTOR",
            State::DirectVpcEgressConnection => "DIRECT_VPC_EGRESS_CONNECTION",
            State::ServerlessExternalConnection => "SERVERLESS_EXTERNAL_CONNECTION",
            State::ApplyEgressFirewallRule => "APPLY_EGRESS_FIREWALL_RULE",
            State::ApplyIngressFirewallRule => "APPLY_INGRESS_FIREWALL_RULE",
            State::NgfwPacketInspection => "NGFW_PACKET_INSPECTION",
            State::ApplyRoute => "APPLY_ROUTE",
            State::ApplyForwardingRule => "APPLY_FORWARDING_RULE",
            State::ArriveAtHybridSubnet => "ARRIVE_AT_HYBRID_SUBNET",
            State::SpoofingApproved => "SPOOFING_APPROVED",
            State::Nat => "NAT",
            State::ArriveAtInstance => "ARRIVE_AT_INSTANCE",
            State::ArriveAtVpnTunnel => "ARRIVE_AT_VPN_TUNNEL",
            State::ArriveAtInterconnectAttachment => "ARRIVE_AT_INTERCONNECT_ATTACHMENT",
            State::StartFromInternet => "START_FROM_INTERNET",
            State::StartFromPrivateNetwork => "START_FROM_PRIVATE_NETWORK",
            State::StartFromGoogleService => "START_FROM_GOOGLE_SERVICE",
            State::StartFromPscPublishedService => "START_FROM_PSC_PUBLISHED_SERVICE",
            State::StartFromInstance => "START_FROM_INSTANCE",
            State::Deliver => "DELIVER",
            State::Forward => "FORWARD",
            State::Drop => "DROP",
            State::Abort => "ABORT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_names_are_those_that_json_has() {
        for state in [State::StartFromCloudRunRevision, State::Nat, State::ArriveAtVpcConnector, State::Deliver] {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
    }
}
