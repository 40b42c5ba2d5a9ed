//! Apache Kafka and PostgreSQL. `pricemonitor up` keeps log and database in its data folder and
//! uses of all this only the names of the topics, the partitions and the key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patterns;
use crate::secrets::SecretRef;

/// Apache Kafka.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.key) || self.key != 'slotStart' || !has(self.partitions) || self.partitions == 1",
    "message": "`key: slotStart` needs `partitions: 1`"
}]))]
pub struct KafkaSpec {
    /// Addresses to start from: `host:port,host:port`. Cluster only. Default what the operator or
    /// `KAFKA_BOOTSTRAP_SERVERS` says.
    #[schemars(length(min = 1, max = 1024))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_servers: Option<String>,
    /// Names of the topics. Default `<namespace>.<name>.raw_prices` and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<TopicsSpec>,
    /// Names of the consumer groups. Cluster only. Default `<namespace>.<name>.storage` and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<GroupsSpec>,
    /// How many partitions the raw topic has. 1 to 1,000; immutable. Default `1` in the embedded
    /// log.
    #[schemars(range(min = 1, max = 1_000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// What a raw record's key is.
    #[serde(default)]
    pub key: KeySpec,
    /// How many brokers hold each partition. 1 to 32. Cluster only. Default the broker's.
    #[schemars(range(min = 1, max = 32))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_factor: Option<u32>,
    /// How long the topics keep their records. Cluster only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<TopicRetentionSpec>,
    /// How to log in. Cluster only. Default not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<AuthenticationSpec>,
    /// Encryption. Cluster only. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
    /// What happens to the topics when the monitor is deleted. Cluster only. Default `Retain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
}

/// Names of topics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicsSpec {
    /// Observations and ticks. Default `<namespace>.<name>.raw_prices`.
    #[schemars(regex(pattern = patterns::TOPIC), length(min = 1, max = 249))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// One event for every observation. Default `<namespace>.<name>.processed_prices`.
    #[schemars(regex(pattern = patterns::TOPIC), length(min = 1, max = 249))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processed: Option<String>,
    /// Alerts. Default `<namespace>.<name>.price_alerts`.
    #[schemars(regex(pattern = patterns::TOPIC), length(min = 1, max = 249))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts: Option<String>,
}

/// How long topics keep their records. A worker that is away for longer loses what it has not read. `setup` makes topics
/// with this, and tells where topics that exist have something else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicRetentionSpec {
    /// Observations and ticks, such as `3d`; 1h to 3650d. Default `7d`.
    #[schemars(regex(pattern = patterns::DURATION), length(max = 32))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// Events; 1h to 3650d. Default `7d`.
    #[schemars(regex(pattern = patterns::DURATION), length(max = 32))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processed: Option<String>,
    /// Alerts; 1h to 3650d. Default `7d`.
    #[schemars(regex(pattern = patterns::DURATION), length(max = 32))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts: Option<String>,
    /// Raw records that could not be acted on; 1h to 3650d. Default `30d`.
    #[schemars(regex(pattern = patterns::DURATION), length(max = 32))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<String>,
}

/// Names of consumer groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupsSpec {
    /// Of the processor. Default `<namespace>.<name>.processor`.
    #[schemars(regex(pattern = patterns::TOPIC), length(min = 1, max = 249))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// Of the storage worker. Default `<namespace>.<name>.storage`.
    #[schemars(regex(pattern = patterns::TOPIC), length(min = 1, max = 249))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
    /// Of the alert worker. Default `<namespace>.<name>.alert`.
    #[schemars(regex(pattern = patterns::TOPIC), length(min = 1, max = 249))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
}

/// What a raw record's key is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum KeySpec {
    /// `source/item`.
    #[default]
    Item,
    /// The slot's start as the source wrote it. Needs one partition.
    SlotStart,
}

/// How to log in to Kafka.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthenticationSpec {
    /// The mechanism.
    #[serde(rename = "type")]
    pub kind: AuthenticationKind,
    /// Secret with the keys `username` and `password`; for `tls` with `tls.crt` and `tls.key` (PEM), or `user.crt` and
    /// `user.key` as Strimzi writes them.
    pub secret_ref: ObjectRef,
}

/// A SASL mechanism, or a client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuthenticationKind {
    /// SCRAM-SHA-512.
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
    /// SCRAM-SHA-256.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// PLAIN; only sensible with `tls`.
    Plain,
    /// A client certificate; needs `tls`.
    Tls,
}

/// The name of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Name.
    #[schemars(regex(pattern = patterns::OBJECT), length(min = 1, max = 253))]
    pub name: String,
}

/// Encryption; `{}` trusts the authorities the system trusts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsSpec {
    /// The authority to trust. Default the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_certificate: Option<CaSource>,
}

/// Where a certificate authority's certificate is; exactly one of `secretKeyRef` and
/// `configMapKeyRef`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.secretKeyRef) != has(self.configMapKeyRef)",
    "message": "exactly one of `secretKeyRef` and `configMapKeyRef`"
}]))]
pub struct CaSource {
    /// In a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretRef>,
    /// In a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<ConfigMapRef>,
}

/// One key of one ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapRef {
    /// Name of the ConfigMap.
    #[schemars(regex(pattern = patterns::OBJECT), length(min = 1, max = 253))]
    pub name: String,
    /// Key in it.
    #[schemars(regex(pattern = patterns::KEY), length(min = 1, max = 253))]
    pub key: String,
}

/// What happens to topics when the monitor is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They stay.
    #[default]
    Retain,
    /// They go.
    Delete,
}

/// PostgreSQL. `pricemonitor up` keeps its database in the data folder and does not use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostgresSpec {
    /// Secret with the keys `host`, `port`, `dbname`, `user` and `password`.
    pub secret_ref: ObjectRef,
    /// Encryption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<PostgresTls>,
}

/// How the connection to PostgreSQL is secured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostgresTls {
    /// What is demanded.
    #[serde(default)]
    pub mode: TlsMode,
    /// The authority to trust. Default the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_certificate: Option<CaSource>,
}

/// What is demanded of a connection, in PostgreSQL's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// No encryption.
    Disable,
    /// Encryption, whoever the server is.
    Require,
    /// Encryption, and a certificate of a trusted authority.
    VerifyCa,
    /// The same, and the certificate names the host.
    #[default]
    VerifyFull,
}
