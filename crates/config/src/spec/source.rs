//! Where prices come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::workers::SourceVolume;
use super::{DecimalText, patterns};
use crate::secrets::SecretValue;

/// One source; exactly one of `simulator`, `file`, `http`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.simulator), has(self.file), has(self.http)].filter(x, x).size() == 1",
    "message": "exactly one of `simulator`, `file` and `http`"
}]))]
pub struct SourceSpec {
    /// Name, unique in the monitor: a DNS label.
    #[schemars(regex(pattern = patterns::NAME), length(min = 1, max = 63))]
    pub name: String,
    /// How often it is looked at, such as `30s`; 100ms to 7d. Default `5s` for `simulator`, `10s`
    /// for `file`, `5m` for `http`.
    #[schemars(regex(pattern = patterns::DURATION), length(max = 32))]
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

impl SourceSpec {
    /// The members that are kinds of sources.
    pub const KINDS: &'static [&'static str] = &["simulator", "file", "http"];
}

/// Prices that a source may show, both ends included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValidSpec {
    /// Lowest price. Default no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<DecimalText>,
    /// Highest price. Default no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<DecimalText>,
    /// Whether zero and negative prices are refused. Default `false` for the format `porssisahko`
    /// and where `min` is zero or negative, else `true`: energy can cost less than nothing, goods
    /// do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positive: Option<bool>,
}

/// A simulated ticket marketplace. Every price is a function of the seed and the step; the step is
/// kept, so a run goes on where it stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SimulatorSpec {
    /// How many events. 1 to 10,000.
    #[schemars(range(min = 1, max = 10_000))]
    #[serde(default = "default_events")]
    pub events: u32,
    /// How many listings each event has.
    #[serde(default)]
    pub listings_per_event: Count,
    /// Another seed gives another market.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// ISO 4217 code of its prices.
    #[schemars(regex(pattern = patterns::CURRENCY), length(max = 3))]
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

impl Default for SimulatorSpec {
    fn default() -> Self {
        SimulatorSpec {
            events: default_events(),
            listings_per_event: Count::default(),
            seed: default_seed(),
            currency: default_currency(),
        }
    }
}

/// A range of counts, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.min <= self.max", "message": "`min` must not be above `max`"
}]))]
pub struct Count {
    /// Fewest. 1 to 1,000.
    #[schemars(range(min = 1, max = 1_000))]
    pub min: u32,
    /// Most. 1 to 1,000.
    #[schemars(range(min = 1, max = 1_000))]
    pub max: u32,
}

impl Default for Count {
    fn default() -> Self {
        Count { min: 2, max: 5 }
    }
}

/// A known format of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// `{"prices":[{"price","startDate","endDate"}]}` of porssisahko.net, hourly (exclusive
    /// `endDate`) or quarter-hourly (`endDate` one millisecond before the next slot).
    Porssisahko,
}

/// A watched file. Exactly one of `format` and `mapping`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.format) != has(self.mapping)", "message": "exactly one of `format` and `mapping`"
}]))]
pub struct FileSpec {
    /// Path, relative to the manifest's folder, without `..`; on a laptop an absolute path is
    /// fine too.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
    /// Where the file comes from. Cluster only, and needed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<SourceVolume>,
    /// A known format. Exactly one of `format` and `mapping`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// A mapping of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Mapping>,
    /// Most bytes that are read, at most `100MiB`. Default `10MiB`.
    #[schemars(regex(pattern = patterns::SIZE), length(max = 16))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<String>,
}

/// A document on the web. `ETag` and `Last-Modified` are used where the server sends them.
/// Exactly one of `format` and `mapping`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.format) != has(self.mapping)", "message": "exactly one of `format` and `mapping`"
}]))]
pub struct HttpSpec {
    /// http or https address, without user name and password.
    #[schemars(regex(pattern = patterns::URL), length(min = 1, max = 2048))]
    pub url: String,
    /// A known format. Exactly one of `format` and `mapping`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// A mapping of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Mapping>,
    /// How long a request may take; 100ms to 5m. Default `10s`.
    #[schemars(regex(pattern = patterns::DURATION), length(max = 32))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// Most bytes of an answer, at most `100MiB`. Default `10MiB`.
    #[schemars(regex(pattern = patterns::SIZE), length(max = 16))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<String>,
    /// `User-Agent` header. Default `PriceMonitor/<version>`.
    #[schemars(length(min = 1, max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Bearer token. Never sent to another host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<SecretValue>,
}

/// A jq filter that turns a document of any JSON or CSV shape into observations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mapping {
    /// What the document is.
    #[serde(default)]
    pub input: MappingInput,
    /// A jq filter that yields one object for each price: `item` and `price`, and where known
    /// `labels`, `base`, `currency`, `unit`, `observedAt`, `slot: {start, end}`, `quantity`, `url`.
    #[schemars(length(min = 1, max = 16_384))]
    pub jq: String,
    /// ISO 4217 code of prices that name none. Default none: then each names its own.
    #[schemars(length(min = 1, max = 16))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Unit of prices that name none, such as `EUR/MWh`. Default none: plain amounts of the currency.
    #[schemars(length(min = 1, max = 64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Whether a document holds everything the source has.
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
