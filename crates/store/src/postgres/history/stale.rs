//! Rows that come after their hour was closed.

use std::collections::BTreeSet;

use pricemonitor_model::Time;
use sqlx::PgConnection;

use super::super::failure::failure;
use super::super::values::Stamp;
use super::hour_start;
use crate::batch::Prepared;
use crate::claim::MonitorKey;
use crate::error::Result;

/// Hours of single series that a batch marks one by one; beyond, it marks its hours for all series. So
/// a replay of old records marks few hours, and a late price not a whole hour of all others.
const MOST_APART: usize = 64;

/// Marks the hours before `closing` that got rows.
pub(super) async fn mark(
    connection: &mut PgConnection,
    monitor: MonitorKey,
    closing: Time,
    ids: &[i64],
    rows: &[Prepared],
) -> Result<()> {
    let mut marks: BTreeSet<(Time, Option<i64>)> = rows
        .iter()
        .filter(|row| row.at < closing)
        .map(|row| (hour_start(row.at), Some(ids[row.place])))
        .collect();
    if marks.is_empty() {
        return Ok(());
    }
    if marks.len() > MOST_APART {
        marks = marks.into_iter().map(|(hour, _)| (hour, None)).collect();
    }
    let (hours, series): (Vec<Stamp>, Vec<Option<i64>>) =
        marks.into_iter().map(|(hour, series)| (Stamp(hour), series)).unzip();
    sqlx::query(
        "INSERT INTO price_hourly_stale (monitor, hour, series)
         SELECT $1, * FROM unnest($2::timestamptz[], $3::bigint[])",
    )
    .bind(monitor.0)
    .bind(hours)
    .bind(series)
    .execute(&mut *connection)
    .await
    .map_err(|error| failure("cannot mark late hours", &error))?;
    Ok(())
}
