//! The dashboard's questions.
//!
//! Whatever spans more than moments is answered from the hourly figures, which are complete at every commit;
//! the rows themselves are read for the parts of an hour at both ends of a range, and where single
//! prices are wanted and few enough.

mod distribution;
mod export;
mod facets;
mod figures;
mod history;
mod lines;
mod profile;
mod statistics;

use ahash::HashMap;
use sqlx::Row as _;

use super::Tx;
use super::failure::failure;
use crate::error::{Error, Result};
use crate::query::Filter;

/// A series that a question is about.
#[derive(Clone, Debug)]
struct Chosen {
    id: i64,
    monitor: String,
    source: String,
    item: String,
    event: String,
    section: String,
    unit: String,
    schedule: bool,
}

/// The series that pass the filter, in the order of their ids.
async fn choose(tx: &mut Tx, filter: &Filter) -> Result<Vec<Chosen>> {
    let rows = sqlx::query(
        "SELECT s.id, m.monitor, s.source, s.item, e.event, s.section, s.unit, s.schedule
         FROM series s JOIN events e ON e.id = s.event JOIN monitors m ON m.id = s.monitor
         WHERE (?1 IS NULL OR m.monitor = ?1) AND (?2 IS NULL OR e.event = ?2)
           AND (?3 IS NULL OR s.section = ?3)
         ORDER BY s.id",
    )
    .bind(filter.monitor.as_deref())
    .bind(filter.event.as_deref())
    .bind(filter.section.as_deref())
    .fetch_all(&mut **tx)
    .await
    .map_err(|error| failure("cannot read the series", &error))?;
    let chosen = |row: &sqlx::sqlite::SqliteRow| Chosen {
        id: row.get(0),
        monitor: row.get(1),
        source: row.get(2),
        item: row.get(3),
        event: row.get(4),
        section: row.get(5),
        unit: row.get(6),
        schedule: row.get(7),
    };
    Ok(rows.iter().map(chosen).collect())
}

/// The ids as JSON, the way lists are handed to SQLite.
fn ids(chosen: &[Chosen]) -> Result<String> {
    let ids: Vec<i64> = chosen.iter().map(|series| series.id).collect();
    serde_json::to_string(&ids).map_err(|error| Error::Storage(format!("cannot write a list: {error}")))
}

/// Leaves only the series of the unit that most prices have; prices of different units have no common
/// average. Needs how many prices each series has, in the same order. Tells the unit.
fn most_frequent_unit(chosen: &mut Vec<Chosen>, prices: &[u64]) -> String {
    let mut units: HashMap<&str, u64> = HashMap::default();
    for (series, prices) in chosen.iter().zip(prices) {
        *units.entry(&series.unit).or_default() += prices;
    }
    let most = units.into_iter().max_by_key(|(unit, prices)| (*prices, std::cmp::Reverse(*unit)));
    let unit = most.map(|(unit, _)| unit.to_owned()).unwrap_or_default();
    chosen.retain(|series| series.unit == unit);
    unit
}
