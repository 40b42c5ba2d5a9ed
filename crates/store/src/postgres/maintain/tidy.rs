//! Series and events that have nothing left.

use sqlx::{Executor as _, PgConnection, Row as _};

use super::super::failure::failure;
use super::exclusive;
use crate::error::Result;

/// Series that are deleted together, while writers wait.
const CHUNK: usize = 1_000;

/// Deletes the series of the `monitors` that have no rows, and the events without series. Tells how many
/// series that were.
pub(super) async fn series(connection: &mut PgConnection, monitors: &[i32]) -> Result<u64> {
    if monitors.is_empty() {
        return Ok(0);
    }
    let failed = |error| failure("cannot delete old series", &error);
    // Found while writers go on, judged again while they stand still.
    let empty: Vec<i64> = sqlx::query_scalar(
        "SELECT s.id FROM series s WHERE s.monitor = ANY($1)
           AND NOT EXISTS (SELECT FROM price_history p WHERE p.series = s.id)",
    )
    .bind(monitors)
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    let mut gone = 0;
    for chunk in empty.chunks(CHUNK) {
        gone += delete(connection, chunk, false).await?;
    }
    if gone > 0 {
        events(connection, monitors).await?;
    }
    Ok(gone)
}

/// Deletes series; unless `all`, only those without rows. Writers look their series up again afterwards.
pub(super) async fn delete(connection: &mut PgConnection, series: &[i64], all: bool) -> Result<u64> {
    let failed = |error| failure("cannot delete old series", &error);
    let mut tx = exclusive(connection, "cannot delete old series").await?;
    let rows = sqlx::query(
        "DELETE FROM series s WHERE s.id = ANY($1)
           AND ($2 OR NOT EXISTS (SELECT FROM price_history p WHERE p.series = s.id)) RETURNING s.id",
    )
    .bind(series)
    .bind(all)
    .fetch_all(&mut *tx)
    .await
    .map_err(failed)?;
    let gone: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    sqlx::query("DELETE FROM price_hourly WHERE series = ANY($1)")
        .bind(&gone)
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    tx.execute("UPDATE housekeeping SET series_generation = series_generation + 1").await.map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    Ok(gone.len() as u64)
}

/// Deletes the events of the `monitors` that have no series.
pub(super) async fn events(connection: &mut PgConnection, monitors: &[i32]) -> Result<()> {
    let failed = |error| failure("cannot delete old events", &error);
    let mut tx = exclusive(connection, "cannot delete old events").await?;
    sqlx::query(
        "DELETE FROM events e WHERE e.monitor = ANY($1) AND NOT EXISTS (SELECT FROM series s WHERE s.event = e.id)",
    )
    .bind(monitors)
    .execute(&mut *tx)
    .await
    .map_err(failed)?;
    tx.execute("UPDATE housekeeping SET series_generation = series_generation + 1").await.map_err(failed)?;
    tx.commit().await.map_err(failed)
}
