//! Where history is kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cluster::PostgresSpec;
use super::patterns;
use super::workers::CsvVolume;

/// Where history is kept. `pricemonitor up` always has a database in its data folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageSpec {
    /// A CSV file beside the database, one line for every observation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<CsvSpec>,
    /// How long history is kept, such as `90d`; 1h to 36500d. Default `365d`.
    #[schemars(regex(pattern = patterns::DURATION), length(max = 32))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<String>,
    /// PostgreSQL, on a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<PostgresSpec>,
}

/// A CSV file `received_timestamp,price,startDate,endDate,source`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CsvSpec {
    /// Path, relative to the data folder, without `..`, ending in `.csv`.
    #[schemars(length(min = 5, max = 1024))]
    pub path: String,
    /// Where the file is kept. Cluster only. Default a claim of 1Gi that is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<CsvVolume>,
    /// What stands in the column `source`. Default the monitor's name.
    #[schemars(length(min = 1, max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}
