//! The types of the manifest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secrets::SecretValue;

/// A `PriceMonitor` manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceMonitor {
    /// `pricemonitor.dev/v1alpha1`.
    pub api_version: String,
    /// `PriceMonitor`.
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
    pub name: String,
    /// Namespace; `default` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What to watch, when to tell, whom, and where to keep it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceMonitorSpec {
    /// Where prices come from. At least one, at most 64.
    pub sources: Vec<SourceSpec>,
    /// When to tell. None means every drop. At most 128.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleSpec>,
    /// Whom to tell. At most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<ChannelSpec>,
    /// Apache Kafka; absent means the embedded event log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaSpec>,
    /// Where history is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageSpec>,
    /// `true` stops every worker and keeps the data.
    #[serde(default)]
    pub suspend: bool,
}

/// One source; exactly one of `simulator`, `file`, `http`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceSpec {
    /// Name, unique in the monitor: a DNS label.
    pub name: String,
    /// How often it is looked at, such as `5s`. Default `10s` (`5m` for `http`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// The simulated marketplace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulator: Option<SimulatorSpec>,
    /// A watched file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileSpec>,
    /// A document on the web.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSpec>,
    /// Prices that are believed; others go to the dead letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid: Option<ValidSpec>,
}

/// Prices that a source may show, both ends included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValidSpec {
    /// Lowest price, as a decimal text such as `"0.50"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<DecimalText>,
    /// Highest price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<DecimalText>,
    /// Whether zero and negative prices are refused. Default: `true` for goods, `false` for
    /// prices with a time slot and for formats of energy markets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive: Option<bool>,
}

/// An exact decimal in a manifest: a number (`10`, `-0.5`) or a text (`"10.00"`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DecimalText(pub String);

/// A simulated ticket marketplace. Every price is a function of the seed and the step; the step is
/// kept, so a run goes on where it stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SimulatorSpec {
    /// How many events. 1 to 10,000; default 5.
    #[serde(default = "default_events")]
    pub events: u32,
    /// How many listings each event has. Default 2 to 5.
    #[serde(default)]
    pub listings_per_event: Count,
    /// Another seed gives another market. Default 42.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// ISO 4217 code of its prices. Default `USD`.
    #[serde(default = "default_currency")]
    pub currency: String,
}

fn default_events() -> u32 {
    5
}
fn default_seed() -> u64 {
    42
}
fn default_currency() -> String {
    "USD".to_owned()
}

/// A range of counts, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// Fewest.
    pub min: u32,
    /// Most.
    pub max: u32,
}

impl Default for Count {
    fn default() -> Self {
        Count { min: 2, max: 5 }
    }
}

/// How a document is read: by a known `format` or by a `mapping` of one's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// `{"prices":[{"price","startDate","endDate"}]}` of porssisahko.net, hourly (exclusive
    /// `endDate`) or quarter-hourly (`endDate` one millisecond before the next slot).
    Porssisahko,
}

/// A watched file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileSpec {
    /// Path, relative to the manifest.
    pub path: String,
    /// A known format; or `mapping`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// A mapping of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Mapping>,
    /// Most bytes that are read, such as `10MiB`. Default `10MiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<String>,
}

/// A document on the web. `ETag` and `Last-Modified` are used where the server sends them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpSpec {
    /// http or https address.
    pub url: String,
    /// A known format; or `mapping`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// A mapping of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Mapping>,
    /// How long a request may take. Default `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// Most bytes of an answer. Default `10MiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<String>,
    /// `User-Agent` header. Default `PriceMonitor/<version>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<SecretValue>,
}

/// A jq filter that turns a document of any JSON or CSV shape into observations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mapping {
    /// What the document is. Default `json`.
    #[serde(default)]
    pub input: MappingInput,
    /// A jq filter that yields one object for each price: `item` and `price`, and where known
    /// `labels`, `base`, `currency`, `unit`, `observedAt`, `slot: {start, end}`, `quantity`, `url`.
    pub jq: String,
    /// ISO 4217 code of prices that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Unit of prices that name none, such as `EUR/MWh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Whether a document holds everything the source has. Default `true`.
    #[serde(default = "yes")]
    pub complete: bool,
}

fn yes() -> bool {
    true
}

/// What a mapped document is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MappingInput {
    /// JSON; the filter's input is the document.
    #[default]
    Json,
    /// CSV with a header; the filter's input is an array of objects with text values.
    Csv,
}

/// One rule; exactly one condition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleSpec {
    /// Name, unique in the monitor: a DNS label.
    pub name: String,
    /// Label name to glob; all must hold. `source` and `item` are reserved names. None matches
    /// everything.
    #[serde(rename = "match", default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub matchers: std::collections::BTreeMap<String, String>,
    /// Fires when the price falls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<MoveSpec>,
    /// Fires when the price rises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rise: Option<MoveSpec>,
    /// Fires when the price moves either way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<MoveSpec>,
    /// Fires when the price crosses a level downwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<LevelSpec>,
    /// Fires when the price crosses a level upwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<LevelSpec>,
    /// Which price: `total` (default) or `base`, before fees.
    #[serde(default)]
    pub price: PriceSpec,
    /// How many consecutive observations must meet the condition. 1 to 100; default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<u32>,
    /// How long further hits of the same series are counted but not told, such as `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<String>,
    /// When a level may fire again: `whenCleared` (default), `never` or a duration such as `6h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rearm: Option<String>,
    /// `info` (default), `warning` or `critical`.
    #[serde(default)]
    pub severity: SeveritySpec,
    /// Names of the channels to tell. Absent means every channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Vec<String>>,
}

/// How far a price must move, and against what. `percent` or `absolute`; neither means any move.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MoveSpec {
    /// At least so many percent of the baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<DecimalText>,
    /// At least so much, in the price's own unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absolute: Option<DecimalText>,
    /// `previous` (default), `lastNotified` or `first`.
    #[serde(default)]
    pub baseline: BaselineSpec,
}

/// A level, and where it is clear again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LevelSpec {
    /// The level; the price must be beyond it.
    pub value: DecimalText,
    /// The price must come back to this before the rule may fire again. Default: the level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clear: Option<DecimalText>,
    /// For prices with a time slot: fire when `published` (default) or when the slot `starts`.
    #[serde(default)]
    pub at: AtSpec,
}

/// What a price is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BaselineSpec {
    /// The observation before.
    #[default]
    Previous,
    /// The price at the last move of at least the threshold in either direction.
    LastNotified,
    /// The series' first price.
    First,
}

/// When a run of slots fires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AtSpec {
    /// As soon as its price is known.
    #[default]
    Published,
    /// When its first slot starts.
    Starts,
}

/// Which price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PriceSpec {
    /// With fees.
    #[default]
    Total,
    /// Before fees.
    Base,
}

/// How much an alert matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SeveritySpec {
    /// Worth knowing.
    #[default]
    Info,
    /// Worth looking at.
    Warning,
    /// Worth getting up for.
    Critical,
}

/// One channel; exactly one of `discord`, `webhook`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelSpec {
    /// Name, unique in the monitor: a DNS label.
    pub name: String,
    /// A Discord webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discord: Option<DiscordSpec>,
    /// A webhook of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookSpec>,
    /// An alert older than this when its turn comes is kept but not sent. Default `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<String>,
    /// Whether to tell when a level is clear again. Default `false`.
    #[serde(default)]
    pub send_resolved: bool,
    /// A minijinja template of the message's text; the alert's members are its variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
}

/// A Discord webhook. Its address is its password, hence a secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiscordSpec {
    /// The webhook's address.
    pub webhook_url: SecretValue,
    /// Post into this thread of the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
}

/// A webhook of one's own: one POST with JSON for each alert, after the Standard Webhooks
/// convention. Either `url` or `urlFrom`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookSpec {
    /// http or https address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The address, kept in a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_from: Option<SecretValue>,
    /// Key for the `webhook-signature` header (`whsec_<base64>` or any text).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<SecretValue>,
    /// How long a request may take. Default `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
}

/// Apache Kafka. `pricemonitor up` keeps its log in the data folder and does not use it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KafkaSpec {
    /// Addresses to start from: `host:port,host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap_servers: Option<String>,
    /// Names of the topics. Default `<namespace>.<name>.raw_prices` and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<TopicsSpec>,
    /// How many partitions the raw topic has. Default 1 in the embedded log, 6 in Kafka. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// What a raw record's key is: `item` (default: `source/item`) or `slotStart`.
    #[serde(default)]
    pub key: KeySpec,
}

/// Names of topics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicsSpec {
    /// Observations and ticks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// One event for every observation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processed: Option<String>,
    /// Alerts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts: Option<String>,
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

/// Where history is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageSpec {
    /// A CSV file beside the database, one line for every observation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<CsvSpec>,
    /// How long history is kept, such as `365d`. Default `365d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<String>,
}

/// A CSV file `received_timestamp,price,startDate,endDate,source`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CsvSpec {
    /// Path, relative to the data folder.
    pub path: String,
    /// What stands in the column `source`. Default: the monitor's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}
