//! What the dashboard's questions are made of.

mod facets;
mod figures;
mod rows;

use pricemonitor_model::Millis;
use sqlx::Row as _;

use super::failure::failure;
use super::{Sqlite, Tx, alerts};
use crate::ask::{Ask, Choice, Described, EachFigures, Group, Look, Span};
use crate::error::{Error, Result};
use crate::query::{ExportRow, Filter};

impl Ask for Sqlite {
    type Look = Tx;

    async fn begin_look(&self) -> Result<Tx> {
        self.look().await
    }
}

impl Look for Tx {
    async fn choose(&mut self, filter: &Filter) -> Result<Choice> {
        choose(self, filter).await
    }

    async fn figures(
        &mut self,
        series: &[i64],
        span: Span,
        _: Group,
        each: &mut EachFigures<'_>,
    ) -> Result<()> {
        figures::figures(self, &ids(series)?, span, each).await
    }

    async fn prices(
        &mut self,
        series: &[i64],
        span: Span,
        sampled: Option<Millis>,
        each: &mut (dyn FnMut(i64, i64, f64) + Send),
    ) -> Result<()> {
        rows::prices(self, &ids(series)?, span, sampled, each).await
    }

    async fn values(&mut self, series: &[i64], span: Span, each: &mut (dyn FnMut(f64) + Send)) -> Result<()> {
        rows::values(self, &ids(series)?, span, each).await
    }

    async fn describe(&mut self, series: &[i64]) -> Result<Vec<Described>> {
        describe(self, &ids(series)?).await
    }

    async fn rows(&mut self, described: &[Described], span: Span) -> Result<Vec<ExportRow>> {
        rows::all(self, described, span).await
    }

    async fn count_alerts(&mut self, filter: &Filter) -> Result<u64> {
        alerts::count(self, filter).await
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
    let group = |row: &sqlx::sqlite::SqliteRow| {
        let ids: Vec<i64> = serde_json::from_str(row.get(2))
            .map_err(|error| Error::Storage(format!("the list of series cannot be read: {error}")))?;
        Ok((row.get(0), row.get(1), ids))
    };
    Ok(Choice::of(rows.iter().map(group).collect::<Result<Vec<_>>>()?))
}

/// The series of `ids` (a JSON list), in the order of the list.
async fn describe(tx: &mut Tx, ids: &str) -> Result<Vec<Described>> {
    let rows = sqlx::query(
        "SELECT s.id, m.monitor, s.source, s.item, e.event, s.section, s.unit, s.schedule
         FROM json_each(?1) j CROSS JOIN series s ON s.id = j.value
         JOIN events e ON e.id = s.event JOIN monitors m ON m.id = s.monitor
         ORDER BY j.key",
    )
    .bind(ids)
    .fetch_all(&mut **tx)
    .await
    .map_err(|error| failure("cannot read the series", &error))?;
    let described = |row: &sqlx::sqlite::SqliteRow| Described {
        id: row.get(0),
        monitor: row.get(1),
        source: row.get(2),
        item: row.get(3),
        event: row.get(4),
        section: row.get(5),
        unit: row.get(6),
        schedule: row.get(7),
    };
    Ok(rows.iter().map(described).collect())
}

/// Numbers as JSON, the way lists are handed to SQLite.
fn ids(ids: &[i64]) -> Result<String> {
    serde_json::to_string(ids).map_err(|error| Error::Storage(format!("cannot write a list: {error}")))
}
