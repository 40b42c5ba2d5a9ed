//! A monitor and all that was kept for it.

use pricemonitor_model::MonitorId;
use sqlx::{Executor as _, PgConnection, Row as _};

use super::super::Postgres;
use super::super::failure::failure;
use super::{delete, tidy};
use crate::claim::Removed;
use crate::error::Result;

/// Rows after which a transaction ends.
const PORTION: i64 = 5_000;
/// Series that are deleted together, while writers wait.
const CHUNK: usize = 1_000;

impl Postgres {
    pub(crate) async fn remove(&self, monitor: &MonitorId) -> Result<Removed> {
        let failed = |error| failure("cannot delete a monitor", &error);
        let mut connection = self.housekeeper().await?;
        let connection = &mut *connection;
        // Housekeeping must not sum up what is being deleted.
        connection
            .execute("SET lock_timeout = '60s'; SELECT pg_advisory_lock(1886613097, 2)")
            .await
            .map_err(failed)?;
        let found = sqlx::query("SELECT id FROM monitors WHERE monitor = $1")
            .bind(monitor.as_str())
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed)?;
        let Some(row) = found else { return Ok(Removed::default()) };
        let id: i32 = row.get(0);
        // Positions first: whoever still writes is fenced and writes no more.
        portion(connection, "DELETE FROM sink_offsets WHERE monitor = $1 AND $2 > 0", id).await?;
        let all = delete::series_of(connection, id).await?;
        let rows = delete::rows(connection, &all, None).await?;
        let mut series = 0;
        for chunk in all.chunks(CHUNK) {
            series += tidy::delete(connection, chunk, true).await?;
        }
        tidy::events(connection, &[id]).await?;
        let mut alerts = 0;
        loop {
            // With their deliveries.
            let deleted = portion(
                connection,
                "DELETE FROM price_drop_alerts WHERE seq IN (
                     SELECT seq FROM price_drop_alerts WHERE monitor = $1 LIMIT $2)",
                id,
            )
            .await?;
            alerts += deleted;
            if deleted < PORTION.unsigned_abs() {
                break;
            }
        }
        for sql in [
            "DELETE FROM price_hourly_stale WHERE monitor = $1 AND $2 > 0",
            "DELETE FROM channel_leases WHERE monitor = $1 AND $2 > 0",
            "DELETE FROM monitors WHERE id = $1 AND $2 > 0",
        ] {
            portion(connection, sql, id).await?;
        }
        Ok(Removed { rows, alerts, series })
    }
}

/// Deletes by `sql`: `$1` the monitor, `$2` most rows.
async fn portion(connection: &mut PgConnection, sql: &'static str, monitor: i32) -> Result<u64> {
    let done = sqlx::query(sql).bind(monitor).bind(PORTION).execute(connection).await;
    Ok(done.map_err(|error| failure("cannot delete a monitor", &error))?.rows_affected())
}
