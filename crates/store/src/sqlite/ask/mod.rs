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

use sqlx::Row as _;

use super::Tx;
use super::failure::failure;
use crate::error::{Error, Result};
use crate::query::Filter;

/// A series that a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chosen {
    id: i64,
    /// Place of its unit in [`Choice::units`].
    unit: usize,
    schedule: bool,
}

/// The series that a question is about, in the order of their ids.
#[derive(Debug, Default)]
struct Choice {
    series: Vec<Chosen>,
    units: Vec<String>,
}

impl Choice {
    /// The ids as JSON, the way lists are handed to SQLite.
    fn ids(&self) -> Result<String> {
        ids(self.series.iter().map(|series| series.id))
    }

    /// Leaves only the series of the unit that most prices have; prices of different units have no common
    /// average. Tells the unit.
    fn keep_most_frequent_unit(&mut self, prices: impl Fn(i64) -> u64) -> &str {
        let mut counts = vec![0; self.units.len()];
        for series in &self.series {
            counts[series.unit] += prices(series.id);
        }
        let most =
            (0..counts.len()).max_by_key(|unit| (counts[*unit], std::cmp::Reverse(&self.units[*unit])));
        self.series.retain(|series| Some(series.unit) == most);
        most.map_or("", |unit| &self.units[unit])
    }

    /// Whether the series is one of them.
    fn has(&self, id: i64) -> bool {
        self.series.binary_search_by_key(&id, |series| series.id).is_ok()
    }
}

/// The series that pass the filter. One row of the answer for each unit, whatever the number of series: a
/// row of an answer costs more than the look-up behind it.
async fn choose(tx: &mut Tx, filter: &Filter) -> Result<Choice> {
    let rows = sqlx::query(
        "SELECT s.unit, s.schedule, json_group_array(s.id)
         FROM series s JOIN events e ON e.id = s.event JOIN monitors m ON m.id = s.monitor
         WHERE (?1 IS NULL OR m.monitor = ?1) AND (?2 IS NULL OR e.event = ?2)
           AND (?3 IS NULL OR s.section = ?3)
         GROUP BY s.unit, s.schedule ORDER BY s.unit",
    )
    .bind(filter.monitor.as_deref())
    .bind(filter.event.as_deref())
    .bind(filter.section.as_deref())
    .fetch_all(&mut **tx)
    .await
    .map_err(|error| failure("cannot read the series", &error))?;
    let mut choice = Choice::default();
    for row in rows {
        let (unit, schedule): (String, bool) = (row.get(0), row.get(1));
        let ids: Vec<i64> = serde_json::from_str(row.get(2))
            .map_err(|error| Error::Storage(format!("the list of series cannot be read: {error}")))?;
        if choice.units.last() != Some(&unit) {
            choice.units.push(unit);
        }
        let unit = choice.units.len() - 1;
        choice.series.extend(ids.into_iter().map(|id| Chosen { id, unit, schedule }));
    }
    choice.series.sort_unstable_by_key(|series| series.id);
    Ok(choice)
}

/// Numbers as JSON, the way lists are handed to SQLite.
fn ids(ids: impl Iterator<Item = i64>) -> Result<String> {
    let ids: Vec<i64> = ids.collect();
    serde_json::to_string(&ids).map_err(|error| Error::Storage(format!("cannot write a list: {error}")))
}
