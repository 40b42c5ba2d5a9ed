//! What is older than its monitor keeps goes.

use pricemonitor_model::Time;
use sqlx::{PgConnection, Row as _};

use super::super::failure::failure;
use super::super::values::Stamp;
use super::{delete, months, optional};
use crate::cells::{HOUR, hour_of};
use crate::claim::Maintained;
use crate::error::Result;

/// Alerts after which a transaction ends.
const PORTION: i64 = 5_000;

/// How long a monitor keeps what it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    id: i32,
    /// Prices before go: the start of an hour.
    pub(super) cut: Time,
    /// Alerts accepted before go.
    alerts: Time,
    /// Its earliest price.
    first: Option<Time>,
}

/// All monitors.
pub(super) async fn monitors(connection: &mut PgConnection, now: Time) -> Result<Vec<Kept>> {
    let rows = sqlx::query(
        "SELECT m.id, m.retention_ms, min(o.first_at) FROM monitors m LEFT JOIN sink_offsets o ON o.monitor = m.id
         GROUP BY m.id ORDER BY m.id",
    )
    .fetch_all(connection)
    .await
    .map_err(|error| failure("cannot read the monitors", &error))?;
    let kept = |row: &sqlx::postgres::PgRow| {
        let alerts = Time::from_millis(now.millis().saturating_sub(row.get::<i64, _>(1)));
        Kept {
            id: row.get(0),
            cut: Time::from_millis(hour_of(alerts) * HOUR),
            alerts,
            first: row.get::<Option<Stamp>, _>(2).map(|Stamp(first)| first),
        }
    };
    Ok(rows.iter().map(kept).collect())
}

/// Deletes old prices, whole months at once where nobody keeps them. Tells the monitors that lost some.
pub(super) async fn prices(
    connection: &mut PgConnection,
    monitors: &[Kept],
    done: &mut Maintained,
) -> Result<Vec<i32>> {
    let old: Vec<&Kept> =
        monitors.iter().filter(|kept| kept.first.is_some_and(|first| first < kept.cut)).collect();
    let Some(longest) = monitors.iter().map(|kept| kept.cut).min().filter(|_| !old.is_empty()) else {
        return Ok(Vec::new());
    };
    let dropped = months::drop_before(connection, longest).await;
    match dropped {
        Ok(rows) => done.rows += rows,
        // Then its rows are deleted like others.
        Err(error) => optional(Err(error))?,
    }
    for kept in &old {
        let series = delete::series_of(connection, kept.id).await?;
        done.rows += delete::rows(connection, &series, Some(kept.cut)).await?;
        measure(connection, kept).await?;
    }
    Ok(old.into_iter().map(|kept| kept.id).collect())
}

/// Measures anew from when on the monitor has prices. What a writer has changed meanwhile is left to the
/// next turn.
async fn measure(connection: &mut PgConnection, kept: &Kept) -> Result<()> {
    let failed = |error| failure("cannot measure the history", &error);
    let first: Option<Stamp> = sqlx::query_scalar(
        "SELECT min(p.at) FROM series s CROSS JOIN LATERAL (
             SELECT h.at FROM price_history h WHERE h.series = s.id ORDER BY h.at LIMIT 1) p
         WHERE s.monitor = $1",
    )
    .bind(kept.id)
    .fetch_one(&mut *connection)
    .await
    .map_err(failed)?;
    sqlx::query(
        "UPDATE sink_offsets SET first_at = $2, last_at = CASE WHEN $2 IS NULL THEN NULL ELSE last_at END
         WHERE monitor = $1 AND first_at < $3",
    )
    .bind(kept.id)
    .bind(first)
    .bind(Stamp(kept.cut))
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

/// Deletes alerts that are older than the retention and that nobody waits for.
pub(super) async fn alerts(connection: &mut PgConnection, monitors: &[Kept]) -> Result<u64> {
    let mut deleted = 0;
    for kept in monitors {
        loop {
            let done = sqlx::query(
                "DELETE FROM price_drop_alerts WHERE seq IN (
                     SELECT a.seq FROM price_drop_alerts a
                     WHERE a.monitor = $1 AND a.accepted_at < $2 AND NOT EXISTS (
                         SELECT FROM alert_deliveries d WHERE d.alert = a.seq AND d.state = 'pending')
                     LIMIT $3)",
            )
            .bind(kept.id)
            .bind(Stamp(kept.alerts))
            .bind(PORTION)
            .execute(&mut *connection)
            .await
            .map_err(|error| failure("cannot delete old alerts", &error))?;
            deleted += done.rows_affected();
            if done.rows_affected() < PORTION.unsigned_abs() {
                break;
            }
        }
    }
    Ok(deleted)
}
