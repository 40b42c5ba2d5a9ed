//! What the dashboard's questions are made of.

mod facets;
mod figures;
mod rows;

use pricemonitor_model::Millis;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::failure::failure;
use super::values::{original, stored};
use super::{Postgres, Tx, alerts, long, short};
use crate::ask::{Ask, Choice, Described, EachFigures, Group, Look, Span};
use crate::error::Result;
use crate::query::{ExportRow, Filter};

impl Ask for Postgres {
    type Look = Tx;

    async fn begin_look(&self) -> Result<Tx> {
        short(self.look()).await
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
        group: Group,
        each: &mut EachFigures<'_>,
    ) -> Result<()> {
        // An export is as long as its reader takes; what it asks the server has an end.
        long(figures::figures(self, series, span, group, each)).await
    }

    async fn prices(
        &mut self,
        series: &[i64],
        span: Span,
        sampled: Option<Millis>,
        each: &mut (dyn FnMut(i64, i64, f64) + Send),
    ) -> Result<()> {
        match sampled {
            None => rows::prices(self, series, span, each).await,
            Some(width) => rows::sampled(self, series, span, width, each).await,
        }
    }

    async fn values(&mut self, series: &[i64], span: Span, each: &mut (dyn FnMut(f64) + Send)) -> Result<()> {
        rows::prices(self, series, span, &mut |_, _, price| each(price)).await
    }

    async fn describe(&mut self, series: &[i64]) -> Result<Vec<Described>> {
        describe(self, series).await
    }

    async fn rows(&mut self, described: &[Described], span: Span) -> Result<Vec<ExportRow>> {
        long(rows::all(self, described, span)).await
    }

    async fn count_alerts(&mut self, filter: &Filter) -> Result<u64> {
        alerts::count(self, filter).await
    }
}

async fn choose(tx: &mut Tx, filter: &Filter) -> Result<Choice> {
    let rows = sqlx::query(
        "SELECT s.unit, s.schedule, array_agg(s.id)
         FROM series s JOIN events e ON e.id = s.event JOIN monitors m ON m.id = s.monitor
         WHERE ($1 IS NULL OR m.monitor = $1) AND ($2 IS NULL OR e.event = $2) AND ($3 IS NULL OR s.section = $3)
         GROUP BY s.unit, s.schedule ORDER BY s.unit",
    )
    .bind(filter.monitor.as_deref())
    .bind(filter.event.as_deref().map(stored))
    .bind(filter.section.as_deref().map(stored))
    .fetch_all(&mut **tx)
    .await
    .map_err(|error| failure("cannot read the series", &error))?;
    Ok(Choice::of(rows.iter().map(|row| (original(row.get(0)), row.get(1), row.get(2)))))
}

/// What series can be called by, in the order of the list.
async fn describe(tx: &mut Tx, series: &[i64]) -> Result<Vec<Described>> {
    let rows = sqlx::query(
        "SELECT s.id, m.monitor, s.source, s.item, e.event, s.section, s.unit, s.schedule
         FROM unnest($1::bigint[]) WITH ORDINALITY AS j (id, place) JOIN series s ON s.id = j.id
         JOIN events e ON e.id = s.event JOIN monitors m ON m.id = s.monitor
         ORDER BY j.place",
    )
    .bind(series)
    .fetch_all(&mut **tx)
    .await
    .map_err(|error| failure("cannot read the series", &error))?;
    let described = |row: &PgRow| Described {
        id: row.get(0),
        monitor: row.get(1),
        source: original(row.get(2)),
        item: original(row.get(3)),
        event: original(row.get(4)),
        section: original(row.get(5)),
        unit: original(row.get(6)),
        schedule: row.get(7),
    };
    Ok(rows.iter().map(described).collect())
}
