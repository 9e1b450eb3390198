//! Serverless VPC Access connectors (`vpcaccess.googleapis.com` v1) and Cloud Run workloads (Admin API v2,
//! <https://cloud.google.com/run/docs/reference/rest>; functions: Cloud Functions API v2). Where the real resource has its
//! region in its name only (`projects/P/locations/R/services/S`), a field `region` may say it for a bare name.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::google_enum;
use crate::scenario::value::{At, Cidr, Reference};

/// A Serverless VPC Access connector. Either `ipCidrRange` (with `network`) or `subnet` is given.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connector {
    /// Its name: fewer than 21 characters, each hyphen counts as two.
    pub name: At<Reference>,
    /// Its region, if the name does not say it. May be left out when the whole scenario names one region only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<At<Reference>>,
    /// Its network, with `ipCidrRange`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<At<Reference>>,
    /// An unused `/28`; Google makes a subnet `aet-…` of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_cidr_range: Option<At<Cidr>>,
    /// An existing `/28` subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<At<ConnectorSubnet>>,
    /// Default `e2-micro`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_type: Option<At<ConnectorMachineType>>,
    /// 2 to 9, below `maxInstances`. Default 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_instances: Option<At<i64>>,
    /// 3 to 10. Default 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_instances: Option<At<i64>>,
    /// Mbps: the older way to say `minInstances`. 200 to 900 in hundreds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_throughput: Option<At<i64>>,
    /// Mbps: the older way to say `maxInstances`. 300 to 1000 in hundreds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_throughput: Option<At<i64>>,
    /// Only a `READY` one carries traffic. Default `READY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<At<ConnectorState>>,
}

/// Subnet of a connector.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectorSubnet {
    /// The subnet.
    pub name: At<Reference>,
    /// Its project, if that is not the connector's: Shared VPC, where the connector's firewall rules are not made
    /// automatically.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<At<String>>,
}

/// Machine type of a connector's VMs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum ConnectorMachineType {
    /// 50 Mbps an instance.
    #[serde(rename = "f1-micro")]
    F1Micro,
    /// 100 Mbps an instance.
    #[serde(rename = "e2-micro")]
    E2Micro,
    /// 1,600 Mbps an instance.
    #[serde(rename = "e2-standard-4")]
    E2Standard4,
}

google_enum! {
    /// State of a connector.
    ConnectorState { Ready, Creating, Deleting, Error, Updating, StateUnspecified }
}

/// How a workload reaches a VPC network: a connector or one network interface.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VpcAccess {
    /// A connector in the same region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<At<Reference>>,
    /// Direct VPC egress: exactly one interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_interfaces: Option<At<Vec<At<NetworkInterface>>>>,
    /// Which destinations go through the VPC. Default `PRIVATE_RANGES_ONLY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<At<VpcEgress>>,
}

/// Which destinations go through the VPC. Also read: the values of the Knative annotation, and the numbers by which the
/// API's JSON may name its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VpcEgress {
    /// Everything.
    #[serde(alias = "all-traffic", alias = "VPC_EGRESS_ALL_TRAFFIC", alias = "1")]
    AllTraffic,
    /// Private ranges only.
    #[serde(alias = "private-ranges-only", alias = "VPC_EGRESS_PRIVATE_RANGES_ONLY", alias = "2")]
    PrivateRangesOnly,
    /// The default.
    #[serde(alias = "VPC_CONNECTOR_EGRESS_SETTINGS_UNSPECIFIED", alias = "DIRECT_VPC_EGRESS_UNSPECIFIED", alias = "0")]
    VpcEgressUnspecified,
    /// Old name of `ALL_TRAFFIC`.
    #[serde(rename = "all")]
    All,
}

/// Interface of Direct VPC egress. A network without subnet means the subnet of the same name.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkInterface {
    /// The network; follows from the subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<At<Reference>>,
    /// The subnet, `/26` or larger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnetwork: Option<At<Reference>>,
    /// Network tags: targets of egress firewall rules and of routes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<At<String>>>,
}

/// How a workload is.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`, or another condition, which counts for nothing here.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<At<String>>,
    /// Packets leave a workload only when `Ready` has succeeded, or nothing is said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<At<ConditionState>>,
    /// Why, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<At<String>>,
}

google_enum! {
    /// State of a condition.
    ConditionState { StateUnspecified, ConditionPending, ConditionReconciling, ConditionFailed, ConditionSucceeded }
}

google_enum! {
    /// State of a function.
    FunctionState { StateUnspecified, Active, Failed, Deploying, Deleting, Unknown, Detaching, Detached, DetachFailed }
}

/// A Cloud Run service.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Its name.
    pub name: At<Reference>,
    /// Its region, if the name does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<At<Reference>>,
    /// Pins the number of instances at the start. Default: `minInstanceCount`, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<At<i64>>,
    /// Scaling of the service as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// Its revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<RevisionTemplate>,
    /// Whether it is ready, as the API tells of an existing one. Default: it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminal_condition: Option<At<Condition>>,
    /// Which revisions get which share of the requests. Default: the latest gets all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<At<Vec<At<TrafficTarget>>>>,
    /// The revision that `template` has become, if it has no name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_created_revision: Option<At<Reference>>,
    /// Who may call it. Default `INGRESS_TRAFFIC_ALL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<At<IngressTraffic>>,
    /// Where it is called: `https://NAME-….run.app`. A host of that name is the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<At<String>>,
    /// All of its URLs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub urls: Option<Vec<At<String>>>,
}

google_enum! {
    /// Who may call a service.
    IngressTraffic {
        IngressTrafficUnspecified,
        IngressTrafficAll,
        IngressTrafficInternalOnly,
        IngressTrafficInternalLoadBalancer,
        IngressTrafficNone,
    }
}

/// A share of a service's requests, or of a worker pool's instances.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrafficTarget {
    /// The latest revision, or one by its name.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<At<TrafficTargetType>>,
    /// The revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<At<Reference>>,
    /// 0 to 100; all of them are 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<At<i64>>,
}

/// Which revision a share is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum TrafficTargetType {
    /// The latest.
    #[serde(rename = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", alias = "INSTANCE_SPLIT_ALLOCATION_TYPE_LATEST")]
    Latest,
    /// One by its name.
    #[serde(rename = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", alias = "INSTANCE_SPLIT_ALLOCATION_TYPE_REVISION")]
    Revision,
    /// The latest.
    #[serde(
        rename = "TRAFFIC_TARGET_ALLOCATION_TYPE_UNSPECIFIED",
        alias = "INSTANCE_SPLIT_ALLOCATION_TYPE_UNSPECIFIED"
    )]
    Unspecified,
}

/// A revision of a service or a worker pool.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionTemplate {
    /// Annotations. Those of the Knative API that are about networks count for nothing here: see `vpcAccess`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, At<String>>>,
    /// Its name. Default: made from the service's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<At<String>>,
    /// Scaling of the revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// Its way to a VPC network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_access: Option<At<VpcAccess>>,
    /// Requests that an instance works on at a time. Default 80.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_instance_request_concurrency: Option<At<i64>>,
    /// The service account it runs as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<At<String>>,
    /// Its containers; only `resources.limits.cpu` counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containers: Option<Vec<Container>>,
}

/// Numbers of instances.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scaling {
    /// Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_instance_count: Option<At<i64>>,
    /// Of a service and of its revision, the lower one counts. Google's default is 100; here it
    /// counts where Cloud Run scales by requests, and events may start any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_instance_count: Option<At<i64>>,
    /// A fixed number, with manual scaling; then the other two do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manual_instance_count: Option<At<i64>>,
    /// Default `AUTOMATIC`, unless `manualInstanceCount` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling_mode: Option<At<ScalingMode>>,
}

google_enum! {
    /// Who decides how many instances there are.
    ScalingMode { ScalingModeUnspecified, Automatic, Manual }
}

/// A container.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Its resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// Resources of a container.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// `cpu` (`2` or `1000m`, default 1) and `memory`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<BTreeMap<String, At<String>>>,
}

/// A Cloud Run job.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Its name.
    pub name: At<Reference>,
    /// Its region, if the name does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<At<Reference>>,
    /// Pins the number of tasks that run at once. Default: `parallelism`, else `taskCount`, else 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<At<i64>>,
    /// Its execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<ExecutionTemplate>,
    /// Whether it is ready, as the API tells of an existing one. Default: it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminal_condition: Option<At<Condition>>,
}

/// An execution of a job.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionTemplate {
    /// Number of tasks. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_count: Option<At<i64>>,
    /// Tasks that run at once; 0 means as many as possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<At<i64>>,
    /// The task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TaskTemplate>,
}

/// A task of a job.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskTemplate {
    /// Annotations. Those of the Knative API that are about networks count for nothing here: see `vpcAccess`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, At<String>>>,
    /// Its way to a VPC network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_access: Option<At<VpcAccess>>,
    /// The service account it runs as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<At<String>>,
    /// Its containers; only `resources.limits.cpu` counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containers: Option<Vec<Container>>,
}

/// A Cloud Run worker pool.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerPool {
    /// Its name.
    pub name: At<Reference>,
    /// Its region, if the name does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<At<Reference>>,
    /// Pins the number of instances. Default: `manualInstanceCount`, else `minInstanceCount`, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<At<i64>>,
    /// Scaling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// Its revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<RevisionTemplate>,
    /// Which revisions get which share of the instances. Default: the latest gets all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_splits: Option<At<Vec<At<TrafficTarget>>>>,
    /// The revision that `template` has become, if it has no name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_created_revision: Option<At<Reference>>,
    /// Whether it is ready, as the API tells of an existing one. Default: it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminal_condition: Option<At<Condition>>,
}

/// A function.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Function {
    /// Its name.
    pub name: At<Reference>,
    /// Its region, if the name does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<At<Reference>>,
    /// Pins the number of instances at the start. Default: `minInstanceCount`, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<At<i64>>,
    /// Its service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_config: Option<At<ServiceConfig>>,
    /// Packets leave it unless it has failed, or is being deployed or deleted. Default `ACTIVE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<At<FunctionState>>,
    /// Its generation. Default `GEN_2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<At<FunctionEnvironment>>,
}

/// Generation of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum FunctionEnvironment {
    /// The 1st: with a connector only, and limits of its own for each instance.
    #[serde(rename = "GEN_1")]
    Gen1,
    /// The 2nd: a Cloud Run service.
    #[serde(rename = "GEN_2")]
    Gen2,
    /// The 2nd.
    #[serde(rename = "ENVIRONMENT_UNSPECIFIED")]
    Unspecified,
}

/// Service of a function.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceConfig {
    /// A connector in the same region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_connector: Option<At<Reference>>,
    /// Which destinations go through the connector. Default `PRIVATE_RANGES_ONLY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_connector_egress_settings: Option<At<VpcEgress>>,
    /// Direct VPC egress: exactly one interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direct_vpc_network_interface: Option<At<Vec<At<NetworkInterface>>>>,
    /// Which destinations go through the interface. Default `VPC_EGRESS_PRIVATE_RANGES_ONLY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direct_vpc_egress: Option<At<VpcEgress>>,
    /// Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_instance_count: Option<At<i64>>,
    /// Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_instance_count: Option<At<i64>>,
    /// Requests that an instance works on at a time. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_instance_request_concurrency: Option<At<i64>>,
    /// The service account it runs as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_email: Option<At<String>>,
    /// vCPUs: `2` or `1000m`. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_cpu: Option<At<String>>,
}
