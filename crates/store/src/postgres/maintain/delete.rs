//! Rows of series, deleted in small transactions.

use pricemonitor_model::Time;
use sqlx::{PgConnection, Row as _};

use super::super::failure::failure;
use super::super::values::Stamp;
use crate::error::Result;

/// Rows after which a transaction ends.
const PORTION: i64 = 10_000;
/// Series that are looked at together.
const CHUNK: usize = 1_000;

/// The series of a monitor.
pub(super) async fn series_of(connection: &mut PgConnection, monitor: i32) -> Result<Vec<i64>> {
    sqlx::query_scalar("SELECT id FROM series WHERE monitor = $1 ORDER BY id")
        .bind(monitor)
        .fetch_all(connection)
        .await
        .map_err(|error| failure("cannot read the series", &error))
}

/// Deletes the rows of `series` before `cut` and their hourly figures; all of them without `cut`. Tells how
/// many rows that were.
pub(super) async fn rows(connection: &mut PgConnection, series: &[i64], cut: Option<Time>) -> Result<u64> {
    let mut deleted = 0;
    for chunk in series.chunks(CHUNK) {
        sqlx::query("DELETE FROM price_hourly WHERE series = ANY($1) AND ($2 IS NULL OR hour < $2)")
            .bind(chunk)
            .bind(cut.map(Stamp))
            .execute(&mut *connection)
            .await
            .map_err(|error| failure("cannot delete hourly figures", &error))?;
        let counts = sqlx::query(
            "SELECT series, count(*) FROM price_history WHERE series = ANY($1) AND ($2 IS NULL OR at < $2)
             GROUP BY series ORDER BY series",
        )
        .bind(chunk)
        .bind(cut.map(Stamp))
        .fetch_all(&mut *connection)
        .await
        .map_err(|error| failure("cannot count old prices", &error))?;
        let (mut together, mut rows) = (Vec::new(), 0);
        for row in &counts {
            let (series, count): (i64, i64) = (row.get(0), row.get(1));
            if count > PORTION {
                deleted += large(connection, series, cut).await?;
                continue;
            }
            together.push(series);
            rows += count;
            if rows >= PORTION {
                deleted += small(connection, &together, cut).await?;
                (together, rows) = (Vec::new(), 0);
            }
        }
        if !together.is_empty() {
            deleted += small(connection, &together, cut).await?;
        }
    }
    Ok(deleted)
}

async fn small(connection: &mut PgConnection, series: &[i64], cut: Option<Time>) -> Result<u64> {
    let done = sqlx::query("DELETE FROM price_history WHERE series = ANY($1) AND ($2 IS NULL OR at < $2)")
        .bind(series)
        .bind(cut.map(Stamp))
        .execute(connection)
        .await
        .map_err(|error| failure("cannot delete old prices", &error))?;
    Ok(done.rows_affected())
}

/// One series with very many rows, some at a time.
async fn large(connection: &mut PgConnection, series: i64, cut: Option<Time>) -> Result<u64> {
    let failed = |error| failure("cannot delete old prices", &error);
    let mut deleted = 0;
    loop {
        let bound: Option<Stamp> = sqlx::query_scalar(
            "SELECT at FROM price_history WHERE series = $1 AND ($2 IS NULL OR at < $2) ORDER BY at
             LIMIT 1 OFFSET $3",
        )
        .bind(series)
        .bind(cut.map(Stamp))
        .bind(PORTION)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
        let Some(bound) = bound else {
            return Ok(deleted + small(connection, &[series], cut).await?);
        };
        let done = sqlx::query("DELETE FROM price_history WHERE series = $1 AND at <= $2")
            .bind(series)
            .bind(bound)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
        deleted += done.rows_affected();
    }
}
