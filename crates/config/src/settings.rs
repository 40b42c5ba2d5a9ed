//! What a validated manifest means: durations as durations, defaults filled in, kinds as enums.
//! The workers run on these; nothing past this point can be wrong in itself.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use pricemonitor_model::{Admission, MonitorId, Rule};

use crate::secrets::SecretRef;
use crate::spec::{
    AuthenticationSpec, DeletionPolicy, Format, GroupsSpec, KeySpec, MappingInput, PostgresSpec,
    SimulatorSpec, TlsSpec,
};

/// One monitor, ready to run.
#[derive(Clone, Debug)]
pub struct Monitor {
    /// `<namespace>.<name>`.
    pub id: MonitorId,
    /// `metadata.generation`: which change of the manifest this is; 0 when that is not compared.
    pub generation: u64,
    /// Where prices come from.
    pub sources: Vec<SourceSettings>,
    /// When to tell; never empty (none in the manifest: every drop).
    pub rules: Vec<Rule>,
    /// Whom to tell.
    pub channels: Vec<ChannelSettings>,
    /// Which observations are believed.
    pub admission: Admission,
    /// Partitions of the raw topic.
    pub partitions: u32,
    /// Names of topics that the manifest changes: `raw`, `processed`, `alerts`.
    pub topics: BTreeMap<&'static str, String>,
    /// What a raw record's key is.
    pub key: KeySpec,
    /// The cluster; what it leaves open is given at the start.
    pub kafka: KafkaSettings,
    /// The database server; `None` when the manifest names none.
    pub postgres: Option<PostgresSpec>,
    /// The CSV file.
    pub csv: Option<CsvSettings>,
    /// How long history is kept.
    pub retention: Duration,
    /// Whether every worker is to stand still.
    pub suspend: bool,
    /// Paths of what the manifest says for a cluster only, such as `spec.storage.postgres`: `up`,
    /// which keeps log and database in its data folder, says that it does not use them.
    pub cluster_only: Vec<&'static str>,
}

/// How long topics keep their records; `None` is as usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicRetention {
    /// Observations and ticks.
    pub raw: Option<Duration>,
    /// Events.
    pub processed: Option<Duration>,
    /// Alerts.
    pub alerts: Option<Duration>,
    /// Dead letters.
    pub dead_letters: Option<Duration>,
}

/// What the manifest says of Apache Kafka, beside the log's shape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KafkaSettings {
    /// Addresses to start from.
    pub bootstrap_servers: Option<String>,
    /// Copies of every record; the broker's default when it is not said.
    pub replication_factor: Option<u32>,
    /// How long topics keep their records where the manifest says so.
    pub retention: TopicRetention,
    /// How to log in.
    pub authentication: Option<AuthenticationSpec>,
    /// Encryption; `None` is none.
    pub tls: Option<TlsSpec>,
    /// Names of consumer groups that the manifest changes.
    pub groups: GroupsSpec,
    /// What becomes of the topics with the monitor.
    pub deletion_policy: DeletionPolicy,
}

/// One source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceSettings {
    /// Name.
    pub name: String,
    /// How often it is looked at. At least 100 ms.
    pub interval: Duration,
    /// What it is.
    pub kind: SourceKind,
}

/// What a source is.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceKind {
    /// The simulated marketplace.
    Simulator(SimulatorSpec),
    /// A watched file.
    File {
        /// Path as written: relative to the manifest's folder.
        path: PathBuf,
        /// How it is read.
        reader: ReaderSettings,
        /// Most bytes.
        max_size: u64,
    },
    /// A document on the web.
    Http {
        /// http or https address.
        url: String,
        /// How it is read.
        reader: ReaderSettings,
        /// Most bytes.
        max_size: u64,
        /// Longest request.
        timeout: Duration,
        /// `User-Agent` header.
        user_agent: String,
        /// Bearer token.
        bearer_token: Option<SecretRef>,
    },
}

/// How a document is read.
#[derive(Clone, Debug, PartialEq)]
pub enum ReaderSettings {
    /// A known format.
    Format(Format),
    /// A mapping of one's own.
    Mapping {
        /// What the document is.
        input: MappingInput,
        /// The jq filter.
        jq: String,
        /// Currency of prices that name none.
        currency: Option<String>,
        /// Unit of prices that name none.
        unit: Option<String>,
        /// Whether a document holds everything the source has.
        complete: bool,
    },
}

/// One channel.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelSettings {
    /// Name.
    pub name: String,
    /// Older alerts are kept but not sent.
    pub max_age: Duration,
    /// Whether to tell when a level is clear again.
    pub send_resolved: bool,
    /// A minijinja template of the text.
    pub template: Option<String>,
    /// What it is.
    pub kind: ChannelKind,
}

/// What a channel is.
#[derive(Clone, Debug, PartialEq)]
pub enum ChannelKind {
    /// A Discord webhook.
    Discord {
        /// Its address.
        webhook_url: SecretRef,
        /// Thread to post into.
        thread_id: Option<String>,
    },
    /// A webhook of one's own.
    Webhook {
        /// Its address.
        url: WebhookUrl,
        /// Key of the signature.
        signing_secret: Option<SecretRef>,
        /// Longest request.
        timeout: Duration,
    },
}

/// Where a webhook's address stands.
#[derive(Clone, Debug, PartialEq)]
pub enum WebhookUrl {
    /// In the manifest.
    Plain(String),
    /// In a Secret.
    Secret(SecretRef),
}

/// The CSV file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvSettings {
    /// Path as written: relative to the data folder.
    pub path: PathBuf,
    /// What stands in the column `source`.
    pub source: String,
}
