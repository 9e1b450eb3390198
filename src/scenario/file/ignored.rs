//! Fields that the real resources have and the simulator has no use for. A person can paste what `gcloud … describe`
//! prints: these are accepted in silence, and anything else is a misspelling.

/// Fields of every Compute Engine resource.
macro_rules! compute {
    ($($field:literal),* $(,)?) => {
        &["kind", "id", "selfLink", "selfLinkWithId", "creationTimestamp", "description", "labels", "labelFingerprint",
          "fingerprint", "params", $($field),*]
    };
}

/// Fields of every Cloud Run Admin API v2 resource.
macro_rules! run {
    ($($field:literal),* $(,)?) => {
        &["uid", "generation", "labels", "annotations", "createTime", "updateTime", "deleteTime", "expireTime", "creator",
          "lastModifier", "client", "clientVersion", "launchStage", "binaryAuthorization", "observedGeneration",
          "terminalCondition", "conditions", "reconciling", "satisfiesPzs", "etag", "description", "urls", "url", "uri",
          "ingress", "customAudiences", $($field),*]
    };
}

/// Fields of a revision or task template.
macro_rules! template {
    ($($field:literal),* $(,)?) => {
        &["revision", "labels", "annotations", "timeout", "volumes", "executionEnvironment", "encryptionKey",
          "encryptionKeyRevocationAction", "encryptionKeyShutdownDuration", "maxInstanceRequestConcurrency",
          "serviceMesh", "sessionAffinity", "healthCheckDisabled", "nodeSelector", "gpuZonalRedundancyDisabled",
          "client", "clientVersion", $($field),*]
    };
}

/// Fields of the resource that a struct of [`super`] stands for.
pub(crate) fn fields(resource: &str) -> &'static [&'static str] {
    match resource {
        "Network" => compute![
            "IPv4Range", "gatewayIPv4", "routingConfig", "subnetworks", "enableUlaInternalIpv6", "internalIpv6Range",
            "firewallPolicy", "networkProfile", "x_gcloud_bgp_routing_mode", "x_gcloud_subnet_mode",
            "x_gcloud_bgp_best_path_selection_mode",
        ],
        "Peering" => &[
            "autoCreateRoutes", "state", "stateDetails", "exchangeSubnetRoutes", "exportSubnetRoutesWithPublicIp",
            "importSubnetRoutesWithPublicIp", "peerMtu", "stackType", "connectionStatus", "updateStrategy",
        ],
        "Subnetwork" => compute![
            "gatewayAddress", "privateIpv6GoogleAccess", "enableFlowLogs", "logConfig", "role", "state", "ipv6CidrRange",
            "internalIpv6Prefix", "externalIpv6Prefix", "ipv6AccessType", "ipv6GceEndpoint", "reservedInternalRange",
            "allowSubnetCidrRoutesOverlap", "ipCollection", "systemReservedInternalIpv6Ranges",
            "systemReservedExternalIpv6Ranges", "utilizationDetails", "resolveSubnetMask", "aggregationInterval",
            "flowSampling", "metadata",
        ],
        "SecondaryRange" => &["reservedInternalRange"],
        "Route" => compute![
            "routeType", "routeStatus", "asPaths", "nextHopMed", "nextHopOrigin", "nextHopInterRegionCost", "warnings",
            "allowConflictingSubnetworks", "nextHopInterconnectAttachmentUrl", "ilbRouteBehaviorOnUnhealthy",
        ],
        "Firewall" => compute!["logConfig", "enableLogging"],
        "FirewallPolicy" => compute![
            "associations", "displayName", "shortName", "parent", "ruleTupleCount", "region", "policyType",
            "packetMirroringRules", "priority", "type", "policySource",
        ],
        "FirewallPolicyRule" => &[
            "kind", "ruleName", "description", "match", "targetResources", "targetServiceAccounts", "targetSecureTags",
            "enableLogging", "disabled", "ruleTupleCount", "securityProfileGroup", "tlsInspect",
        ],
        "ReservedAddress" => compute![
            "status", "purpose", "prefixLength", "subnetwork", "network", "users", "ipVersion", "ipv6EndpointType",
            "ipCollection",
        ],
        "Router" => compute!["bgp", "bgpPeers", "interfaces", "encryptedInterconnectRouter", "md5AuthenticationKeys", "nccGateway"],
        "RouterNat" => &["nat64Subnetworks", "autoAllocatedNatIps"],
        "NatRule" => &["description"],
        "NatRuleAction" => &["sourceNatActiveRanges", "sourceNatDrainRanges"],
        "Instance" => compute![
            "canIpForward", "cpuPlatform", "minCpuPlatform", "deletionProtection", "disks", "lastStartTimestamp",
            "lastStopTimestamp", "lastSuspendedTimestamp", "machineType", "metadata", "satisfiesPzi", "satisfiesPzs",
            "scheduling", "shieldedInstanceConfig", "shieldedInstanceIntegrityPolicy", "startRestricted", "hostname",
            "confidentialInstanceConfig", "displayDevice", "guestAccelerators", "instanceEncryptionKey",
            "keyRevocationActionType", "networkPerformanceConfig", "privateIpv6GoogleAccess", "reservationAffinity",
            "resourcePolicies", "resourceStatus", "sourceMachineImage", "sourceMachineImageEncryptionKey", "statusMessage",
            "advancedMachineFeatures", "workloadIdentityConfig", "partnerMetadata", "eraseWindowsVssSignature",
        ],
        "InstanceTags" => &["fingerprint"],
        "InstanceServiceAccount" => &["scopes"],
        "InstanceInterface" => &[
            "name", "kind", "fingerprint", "nicType", "ipv6Address", "ipv6AccessConfigs", "ipv6AccessType",
            "internalIpv6PrefixLength", "queueCount", "networkAttachment", "parentNicName", "vlan", "igmpQuery",
            "enableVpcScopedDns",
        ],
        "AccessConfig" => &[
            "kind", "name", "type", "networkTier", "setPublicPtr", "publicPtrDomainName", "externalIpv6",
            "externalIpv6PrefixLength", "securityPolicy",
        ],
        "ForwardingRule" => compute![
            "IPProtocol", "portRange", "ports", "allPorts", "target", "loadBalancingScheme", "backendService",
            "serviceLabel", "serviceName", "networkTier", "ipVersion", "allowGlobalAccess", "isMirroringCollector",
            "metadataFilters", "pscConnectionId", "pscConnectionStatus", "serviceDirectoryRegistrations",
            "sourceIpRanges", "baseForwardingRule", "allowPscGlobalAccess", "noAutomateDnsZone", "ipCollection",
            "externalManagedBackendBucketMigrationState", "externalManagedBackendBucketMigrationTestingPercentage",
        ],
        "VpnTunnel" => compute![
            "status", "detailedStatus", "ikeVersion", "peerIp", "peerExternalGateway", "peerExternalGatewayInterface",
            "peerGcpGateway", "sharedSecret", "sharedSecretHash", "targetVpnGateway", "vpnGateway", "vpnGatewayInterface",
            "localTrafficSelector", "remoteTrafficSelector", "phase2Algorithms", "cipherSuite", "capacityTier",
        ],
        "InterconnectAttachment" => compute![
            "interconnect", "state", "operationalStatus", "type", "bandwidth", "vlanTag8021q", "mtu", "adminEnabled",
            "cloudRouterIpAddress", "customerRouterIpAddress", "cloudRouterIpv6Address", "customerRouterIpv6Address",
            "candidateSubnets", "candidateIpv6Subnets", "candidateCloudRouterIpAddress",
            "candidateCustomerRouterIpAddress", "cloudRouterIpv6InterfaceId", "customerRouterIpv6InterfaceId",
            "edgeAvailabilityDomain", "encryption", "ipsecInternalAddresses", "googleReferenceId", "pairingKey",
            "partnerAsn", "partnerMetadata", "privateInterconnectInfo", "dataplaneVersion", "stackType", "subnetLength",
            "satisfiesPzs", "remoteService", "configurationConstraints", "multicastEnabled", "attachmentGroup",
            "l2Forwarding", "geneveVni", "vlanTag", "candidateCloudRouterIpv6Address", "candidateCustomerRouterIpv6Address",
            "candidateCloudRouterIpv6InterfaceAddress", "candidateCustomerRouterIpv6InterfaceAddress",
            "googleReferenceIdV2",
        ],
        "PolicyBasedRoute" => &[
            "kind", "selfLink", "createTime", "updateTime", "description", "labels", "filter", "virtualMachine",
            "interconnectAttachment", "warnings",
        ],
        "Connector" => &[
            "connectedProjects", "createTime", "lastRestartTime", "labels", "satisfiesPzs",
        ],
        "ConnectorSubnet" => &["projectId"],
        "Service" => run![
            "traffic", "trafficStatuses", "latestReadyRevision", "latestCreatedRevision", "defaultUriDisabled",
            "invokerIamDisabled", "buildConfig", "threatDetectionEnabled", "multiRegionSettings", "iapEnabled",
            "sourceCode", "location",
        ],
        "WorkerPool" => run![
            "instanceSplits", "instanceSplitStatuses", "latestReadyRevision", "latestCreatedRevision",
            "threatDetectionEnabled", "location",
        ],
        "Job" => run![
            "executionCount", "latestCreatedExecution", "startExecutionToken", "runExecutionToken", "location",
        ],
        "RevisionTemplate" => template![],
        "ExecutionTemplate" => &["labels", "annotations", "client", "clientVersion"],
        "TaskTemplate" => template!["maxRetries"],
        "Scaling" => &["scalingMode", "maxConcurrency", "concurrencyUtilization", "cpuUtilization"],
        "Container" => &[
            "name", "image", "sourceCode", "command", "args", "env", "ports", "volumeMounts", "workingDir",
            "livenessProbe", "startupProbe", "readinessProbe", "dependsOn", "baseImageUri", "buildInfo",
        ],
        "Resources" => &["cpuIdle", "startupCpuBoost", "requests"],
        "Function" => &[
            "description", "buildConfig", "eventTrigger", "state", "updateTime", "createTime", "stateMessages", "labels",
            "environment", "url", "kmsKeyName", "satisfiesPzs", "satisfiesPzi", "upgradeInfo", "location",
        ],
        "ServiceConfig" => &[
            "service", "timeoutSeconds", "availableMemory", "environmentVariables", "ingressSettings", "uri",
            "allTrafficOnLatestRevision", "secretEnvironmentVariables", "secretVolumes", "revision",
            "maxInstanceRequestConcurrency", "securityLevel", "binaryAuthorizationPolicy", "vpcConnectorNetwork",
        ],
        _ => &[],
    }
}

/// A struct of [`super`] in words, with its article.
pub(crate) fn article(resource: &str) -> String {
    let words = match resource {
        "Network" => "a network",
        "Peering" => "a peering",
        "Subnetwork" => "a subnet",
        "SecondaryRange" => "a secondary range",
        "Route" => "a route",
        "Firewall" => "a firewall rule",
        "FirewallProtocol" => "a protocol of a firewall rule",
        "FirewallPolicy" => "a firewall policy",
        "FirewallPolicyRule" => "a rule of a firewall policy",
        "ReservedAddress" => "an address",
        "Router" => "a Cloud Router",
        "RouterNat" => "a NAT gateway",
        "NatSubnetwork" => "a subnet of a NAT gateway",
        "NatLogConfig" => "a NAT gateway's logConfig",
        "NatRule" => "a NAT rule",
        "NatRuleAction" => "a NAT rule's action",
        "Instance" => "a VM instance",
        "InstanceTags" => "a VM's tags",
        "InstanceServiceAccount" => "a VM's service account",
        "InstanceInterface" => "a VM's network interface",
        "AccessConfig" => "an access configuration",
        "AliasRange" => "an alias range",
        "ForwardingRule" => "a forwarding rule",
        "VpnTunnel" => "a VPN tunnel",
        "InterconnectAttachment" => "an Interconnect attachment",
        "PolicyBasedRoute" => "a policy-based route",
        "Connector" => "a connector",
        "ConnectorSubnet" => "a connector's subnet",
        "VpcAccess" => "vpcAccess",
        "NetworkInterface" => "a network interface",
        "Service" => "a service",
        "Job" => "a job",
        "WorkerPool" => "a worker pool",
        "Function" => "a function",
        "ServiceConfig" => "a function's serviceConfig",
        "RevisionTemplate" => "a revision template",
        "ExecutionTemplate" => "a job's template",
        "TaskTemplate" => "a task template",
        "Scaling" => "scaling",
        "Container" => "a container",
        "Resources" => "a container's resources",
        "Host" => "a host",
        "Traffic" => "a traffic entry",
        "Event" => "an event",
        "ScaleEvent" => "a scale event",
        "PatchNatEvent" => "a patchNat event",
        "Expect" => "an expectation",
        "Model" => "model",
        "NatModel" => "model.nat",
        "DynamicPortAllocationModel" => "model.nat.dynamicPortAllocation",
        "ClientModel" => "model.client",
        "CloudRunModel" => "model.cloudRun",
        "EgressOpenModel" => "model.cloudRun.egressOpen",
        "ConnectorModel" => "model.connector",
        other => other,
    };
    words.to_owned()
}
