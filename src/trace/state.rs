//! What a step is.

macro_rules! states {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What a step is, in the vocabulary of Connectivity Tests (`Step.State`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum State {
            $($(#[$doc])* $variant,)*
        }

        impl State {
            /// All of them, in a fixed order.
            pub const ALL: &[State] = &[$(State::$variant,)*];

            /// The fixed name, such as `APPLY_ROUTE`.
            pub const fn name(self) -> &'static str {
                match self { $(State::$variant => $name,)* }
            }
        }
    };
}

states! {
    /// The packet leaves a Cloud Run revision.
    StartFromCloudRunRevision = "START_FROM_CLOUD_RUN_REVISION",
    /// The packet leaves a Cloud Run job.
    StartFromCloudRunJob = "START_FROM_CLOUD_RUN_JOB",
    /// The packet leaves a function.
    StartFromCloudFunction = "START_FROM_CLOUD_FUNCTION",
    /// It reached a connector.
    ArriveAtVpcConnector = "ARRIVE_AT_VPC_CONNECTOR",
    /// It left by Direct VPC egress.
    DirectVpcEgressConnection = "DIRECT_VPC_EGRESS_CONNECTION",
    /// It left by Cloud Run's own internet egress.
    ServerlessExternalConnection = "SERVERLESS_EXTERNAL_CONNECTION",
    /// Egress firewall rules were evaluated.
    ApplyEgressFirewallRule = "APPLY_EGRESS_FIREWALL_RULE",
    /// Ingress firewall rules were evaluated.
    ApplyIngressFirewallRule = "APPLY_INGRESS_FIREWALL_RULE",
    /// Cloud NGFW Enterprise looks into the packet.
    NgfwPacketInspection = "NGFW_PACKET_INSPECTION",
    /// A route was chosen.
    ApplyRoute = "APPLY_ROUTE",
    /// A forwarding rule has the address.
    ApplyForwardingRule = "APPLY_FORWARDING_RULE",
    /// A hybrid subnet has the range, and nothing in it the address.
    ArriveAtHybridSubnet = "ARRIVE_AT_HYBRID_SUBNET",
    /// A VM with IP forwarding takes what is not for it.
    SpoofingApproved = "SPOOFING_APPROVED",
    /// An address was translated.
    Nat = "NAT",
    /// It reached a VM or a host in the VPC.
    ArriveAtInstance = "ARRIVE_AT_INSTANCE",
    /// It reached a VPN tunnel.
    ArriveAtVpnTunnel = "ARRIVE_AT_VPN_TUNNEL",
    /// It reached an Interconnect attachment.
    ArriveAtInterconnectAttachment = "ARRIVE_AT_INTERCONNECT_ATTACHMENT",
    /// A reply leaves the internet.
    StartFromInternet = "START_FROM_INTERNET",
    /// A reply leaves a private network.
    StartFromPrivateNetwork = "START_FROM_PRIVATE_NETWORK",
    /// A reply leaves a Google service.
    StartFromGoogleService = "START_FROM_GOOGLE_SERVICE",
    /// A reply leaves a service that is published by Private Service Connect.
    StartFromPscPublishedService = "START_FROM_PSC_PUBLISHED_SERVICE",
    /// A reply leaves a VM or a host in the VPC.
    StartFromInstance = "START_FROM_INSTANCE",
    /// It arrived.
    Deliver = "DELIVER",
    /// It left for a network that the scenario does not describe.
    Forward = "FORWARD",
    /// It stopped.
    Drop = "DROP",
    /// Nobody could send it.
    Abort = "ABORT",
}
