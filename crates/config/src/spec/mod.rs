//! The types of the manifest, as they are written; [`crate::settings`] is what they mean.
//!
//! A kind (of source, condition, channel) is one of several optional members, so that the schema
//! stays flat; that there is exactly one is a CEL rule for Kubernetes (`x-kubernetes-validations`)
//! and a check in [`crate::validate`] for everybody.

pub mod channel;
pub mod cluster;
pub mod decimal;
pub mod patterns;
pub mod rule;
pub mod source;
pub mod storage;
pub mod workers;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use channel::{ChannelSpec, DiscordSpec, WebhookSpec};
pub use cluster::{
    AuthenticationKind, AuthenticationSpec, CaSource, ConfigMapRef, DeletionPolicy, GroupsSpec, KafkaSpec,
    KeySpec, ObjectRef, PostgresSpec, PostgresTls, TlsMode, TlsSpec, TopicRetentionSpec, TopicsSpec,
};
pub use decimal::DecimalText;
pub use rule::{AtSpec, BaselineSpec, LevelSpec, MoveSpec, PriceSpec, RuleSpec, SeveritySpec};
pub use source::{
    Count, FileSpec, Format, HttpSpec, Mapping, MappingInput, SimulatorSpec, SourceSpec, ValidSpec,
};
pub use storage::{CsvSpec, StorageSpec};
pub use workers::{
    AutoscalingSpec, ClaimRef, CsvVolume, DashboardSpec, GrafanaDashboardSpec, PodSpec, ResourcesSpec,
    ServiceKind, ServiceSpec, SourceVolume, TaintEffect, TolerationOperator, TolerationSpec, WorkerSpec,
    WorkersSpec,
};

/// `apiVersion` of every manifest.
pub const API_VERSION: &str = "pricemonitor.dev/v1alpha1";
/// `kind` of every manifest.
pub const KIND: &str = "PriceMonitor";
/// Most sources of a monitor.
pub const MAX_SOURCES: usize = 64;
/// Most rules of a monitor.
pub const MAX_RULES: usize = 128;
/// Most channels of a monitor.
pub const MAX_CHANNELS: usize = 32;

/// A `PriceMonitor` manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceMonitor {
    /// `pricemonitor.dev/v1alpha1`.
    #[schemars(extend("enum" = ["pricemonitor.dev/v1alpha1"]))]
    pub api_version: String,
    /// `PriceMonitor`.
    #[schemars(extend("enum" = ["PriceMonitor"]))]
    pub kind: String,
    /// Name and namespace.
    pub metadata: Metadata,
    /// What to watch.
    pub spec: PriceMonitorSpec,
}

/// The part of Kubernetes' metadata that matters here; the rest is ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Name: a DNS label.
    #[schemars(regex(pattern = patterns::NAME), length(min = 1, max = 63))]
    pub name: String,
    /// Namespace. Default `default`.
    #[schemars(regex(pattern = patterns::NAME), length(min = 1, max = 63))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Which change of the resource this is; Kubernetes counts it. A processor leaves what one of a higher generation
    /// has processed. Default: not compared.
    #[schemars(range(min = 1, max = 9_223_372_036_854_775_807_i64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

/// What to watch, when to tell, whom, and where to keep it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.kafka) || !has(self.kafka.partitions) || !has(self.workers) || !has(self.workers.processor) || \
             !has(self.workers.processor.autoscaling) || \
             self.workers.processor.autoscaling.maxReplicas <= self.kafka.partitions",
    "message": "`workers.processor.autoscaling.maxReplicas` must not be above `kafka.partitions`: more would stand by"
}, {
    "rule": "!has(self.kafka) || !has(self.kafka.partitions) || !has(self.workers) || !has(self.workers.storage) || \
             !has(self.workers.storage.autoscaling) || \
             self.workers.storage.autoscaling.maxReplicas <= self.kafka.partitions",
    "message": "`workers.storage.autoscaling.maxReplicas` must not be above `kafka.partitions`: more would stand by"
}, {
    // Here and not at `kafka`, which could be left out and come back with another number.
    "rule": "!has(oldSelf.kafka) || !has(oldSelf.kafka.partitions) || \
             (has(self.kafka) && has(self.kafka.partitions) && self.kafka.partitions == oldSelf.kafka.partitions)",
    "message": "`kafka.partitions` cannot be changed: series would move to other partitions"
}]))]
pub struct PriceMonitorSpec {
    /// Where prices come from. At least one, at most 64.
    #[schemars(
        length(min = 1, max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub sources: Vec<SourceSpec>,
    /// When to tell. None means every drop. At most 128.
    #[schemars(
        length(max = 128),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleSpec>,
    /// Whom to tell. None means that alerts are kept and shown, but sent nowhere. At most 32.
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<ChannelSpec>,
    /// Apache Kafka; absent means the embedded event log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaSpec>,
    /// Where history is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageSpec>,
    /// How the workers run on a cluster: replicas, resources, autoscaling, the page. Cluster only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<WorkersSpec>,
    /// The workers' container image. Cluster only. Default the operator's; once they run, the image stays until this
    /// changes.
    #[schemars(regex(pattern = patterns::IMAGE), length(min = 1, max = 512))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// `true` stops every worker and keeps the data.
    #[serde(default)]
    pub suspend: bool,
}

impl PriceMonitor {
    /// Paths of what this manifest says for a cluster only, so that `up`, which keeps log and
    /// database in its data folder, can say that it does not use them.
    pub fn cluster_only(&self) -> Vec<&'static str> {
        let kafka = self.spec.kafka.as_ref();
        let postgres = self.spec.storage.as_ref().and_then(|storage| storage.postgres.as_ref());
        let csv = self.spec.storage.as_ref().and_then(|storage| storage.csv.as_ref());
        let mut files = self.spec.sources.iter().filter_map(|source| source.file.as_ref());
        let uses = [
            ("spec.kafka.bootstrapServers", kafka.is_some_and(|k| k.bootstrap_servers.is_some())),
            ("spec.kafka.replicationFactor", kafka.is_some_and(|k| k.replication_factor.is_some())),
            ("spec.kafka.retention", kafka.is_some_and(|k| k.retention.is_some())),
            ("spec.kafka.authentication", kafka.is_some_and(|k| k.authentication.is_some())),
            ("spec.kafka.tls", kafka.is_some_and(|k| k.tls.is_some())),
            ("spec.kafka.deletionPolicy", kafka.is_some_and(|k| k.deletion_policy.is_some())),
            ("spec.storage.postgres", postgres.is_some()),
            ("spec.storage.csv.volume", csv.is_some_and(|csv| csv.volume.is_some())),
            ("spec.workers", self.spec.workers.is_some()),
            ("spec.image", self.spec.image.is_some()),
            ("spec.sources[].file.volume", files.any(|file| file.volume.is_some())),
        ];
        uses.into_iter().filter_map(|(path, used)| used.then_some(path)).collect()
    }
}
