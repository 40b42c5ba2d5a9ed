//! How the workers run on a cluster. `pricemonitor up` runs all of them in one process and uses
//! nothing of this.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cluster::ObjectRef;
use super::patterns;
use crate::secrets::SecretValue;

/// Texts by name, such as labels.
pub type Texts = BTreeMap<String, String>;

/// How the workers run. Cluster only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkersSpec {
    /// Polls the sources; each source is polled by one of its replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer: Option<WorkerSpec>,
    /// Detects changes and rule hits; more replicas than partitions stand by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<WorkerSpec>,
    /// Keeps the history; one replica where it writes a CSV file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<WorkerSpec>,
    /// Tells people; one of its replicas sends on a channel, the others stand by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<WorkerSpec>,
    /// The web page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dashboard: Option<DashboardSpec>,
    /// A Grafana dashboard of the workers. Default as the operator says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grafana_dashboard: Option<GrafanaDashboardSpec>,
    /// What all their pods have in common.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodSpec>,
}

/// One kind of worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!(has(self.replicas) && has(self.autoscaling))",
    "message": "at most one of `replicas` and `autoscaling`"
}]))]
pub struct WorkerSpec {
    /// How many pods. 0 to 1,000. Default `1`.
    #[schemars(range(max = 1_000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// What a pod asks for and may use. Default requests of 50m CPU and 96Mi memory and a limit of 512Mi memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourcesSpec>,
    /// Lets the cluster choose the number of pods. Default off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<AutoscalingSpec>,
}

/// What a pod asks for and may use, in Kubernetes' quantities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourcesSpec {
    /// Reserved for it, such as `{cpu: 100m, memory: 128Mi}`; numbers in quotes.
    #[schemars(extend("maxProperties" = 16))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: Texts,
    /// Most that it may use, such as `{memory: 512Mi}`; numbers in quotes.
    #[schemars(extend("maxProperties" = 16))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: Texts,
}

/// Bounds and target of the number of pods; at most one of `targetCpuUtilization` and `targetLag`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
    "message": "`minReplicas` must not be above `maxReplicas`"
}, {
    "rule": "!(has(self.targetCpuUtilization) && has(self.targetLag))",
    "message": "at most one of `targetCpuUtilization` and `targetLag`"
}]))]
pub struct AutoscalingSpec {
    /// Fewest pods. 1 to 1,000. Default `1`.
    #[schemars(range(min = 1, max = 1_000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_replicas: Option<u32>,
    /// Most pods. 1 to 1,000; for processor and storage at most `spec.kafka.partitions`.
    #[schemars(range(min = 1, max = 1_000))]
    pub max_replicas: u32,
    /// Percent of the requested CPU that a pod is to use on average, by a HorizontalPodAutoscaler. 1 to 1,000.
    /// Default `80` where there is no `targetLag`.
    #[schemars(range(min = 1, max = 1_000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_cpu_utilization: Option<u32>,
    /// Records that a pod may have before it, by a KEDA ScaledObject; for processor and storage. 1 to 1,000,000,000.
    /// Default scaling by processor time.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_lag: Option<u32>,
}

/// The web page. Needs `spec.storage.postgres`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DashboardSpec {
    /// Whether it runs.
    #[serde(default)]
    pub enabled: bool,
    /// How many pods. 0 to 100. Default `1`.
    #[schemars(range(max = 100))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// What a pod asks for and may use. Default as for the other workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourcesSpec>,
    /// How it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceSpec>,
    /// Names under which the page may be reached beside the Service's own, such as `prices.example.org`. Requests for
    /// other names are refused. At most 32.
    #[schemars(length(max = 32), inner(length(min = 1, max = 253), regex(pattern = patterns::HOST)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_hosts: Vec<String>,
    /// Whoever wants to see the page must know this token of at least 8 characters. Default none: whoever reaches the
    /// page sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretValue>,
}

/// A ConfigMap with a Grafana dashboard of the monitor's workers, as Grafana's sidecar finds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrafanaDashboardSpec {
    /// Whether there is one.
    #[serde(default)]
    pub enabled: bool,
    /// Labels by which the sidecar finds it. Default `grafana_dashboard: "1"`.
    #[schemars(extend("maxProperties" = 64))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Texts,
}

/// A Service in front of the page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// Its type.
    #[serde(default, rename = "type")]
    pub kind: ServiceKind,
    /// Its port. 1 to 65,535. Default `8501`.
    #[schemars(range(min = 1, max = 65_535))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u32>,
}

/// From where a Service is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceKind {
    /// From within the cluster.
    #[default]
    ClusterIP,
    /// Also at a port of every node.
    NodePort,
    /// Also at an address of its own.
    LoadBalancer,
}

/// What all pods of the workers, and of the Jobs beside them, have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodSpec {
    /// Labels that a node must have.
    #[schemars(extend("maxProperties" = 64))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: Texts,
    /// Taints of nodes that are no hindrance. At most 32.
    #[schemars(length(max = 32))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<TolerationSpec>,
    /// Name of a PriorityClass. Default the cluster's.
    #[schemars(regex(pattern = patterns::OBJECT), length(min = 1, max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// More labels; those that the operator sets come first.
    #[schemars(extend("maxProperties" = 64))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Texts,
    /// More annotations; those that the operator sets come first.
    #[schemars(extend("maxProperties" = 64))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Texts,
    /// Secrets to pull the image with. At most 16.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<ObjectRef>,
    /// Seconds that a pod has to end in order. 5 to 3,600. Default `30`.
    #[schemars(range(min = 5, max = 3_600))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub termination_grace_period_seconds: Option<u32>,
}

/// A taint of nodes that is no hindrance, in Kubernetes' words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TolerationSpec {
    /// Key of the taint. Default every key, with `operator: Exists`.
    #[schemars(length(min = 1, max = 317))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How key and value are compared. Default `Equal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,
    /// Value of the taint. Default the empty one.
    #[schemars(length(max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What the taint does. Default every effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// Seconds that a pod stays on a node that got the taint later, with `effect: NoExecute`. 0 to 31,536,000. Default
    /// for ever.
    #[schemars(range(max = 31_536_000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<u32>,
}

/// How a taint is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// The taint has this key.
    Exists,
    /// The taint has this key and value.
    Equal,
}

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// They do not come.
    NoSchedule,
    /// They come only if there is no better place.
    PreferNoSchedule,
    /// They do not come, and those that are there go.
    NoExecute,
}

/// Where a file source's file comes from. Cluster only; exactly one of `configMap` and
/// `persistentVolumeClaim`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.configMap) != has(self.persistentVolumeClaim)",
    "message": "exactly one of `configMap` and `persistentVolumeClaim`"
}]))]
pub struct SourceVolume {
    /// A ConfigMap of the monitor's namespace; its key is the last part of `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ObjectRef>,
    /// A PersistentVolumeClaim of the monitor's namespace, mounted to be read; `path` is the way within.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<ClaimRef>,
}

/// The name of a PersistentVolumeClaim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimRef {
    /// Name.
    #[schemars(regex(pattern = patterns::OBJECT), length(min = 1, max = 253))]
    pub claim_name: String,
}

/// The volume of the CSV file. Cluster only. An existing claim by `claimName`, or one that is made and that outlives the
/// monitor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.claimName) || (!has(self.size) && !has(self.storageClassName))",
    "message": "`size` and `storageClassName` are for a claim that is made, not for the one that `claimName` names"
}]))]
pub struct CsvVolume {
    /// A PersistentVolumeClaim that is there. Default one is made.
    #[schemars(regex(pattern = patterns::OBJECT), length(min = 1, max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_name: Option<String>,
    /// Size of the claim that is made, as a Kubernetes quantity. Default `1Gi`.
    #[schemars(regex(pattern = patterns::QUANTITY), length(min = 1, max = 32))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// Class of the claim that is made. Default the cluster's.
    #[schemars(regex(pattern = patterns::OBJECT), length(min = 1, max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
}
