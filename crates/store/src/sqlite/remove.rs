//! A monitor and all that was kept for it, in small transactions.

use pricemonitor_model::MonitorId;
use sqlx::Row as _;

use super::Sqlite;
use super::failure::failure;
use crate::claim::Removed;
use crate::error::Result;

/// Rows after which a transaction ends, so that writers of other monitors wait for milliseconds.
const PORTION: i64 = 10_000;

impl Sqlite {
    pub(crate) async fn remove(&self, monitor: &MonitorId) -> Result<Removed> {
        let failed = |error| failure("cannot delete a monitor", &error);
        let found = sqlx::query("SELECT id FROM monitors WHERE monitor = ?1")
            .bind(monitor.as_str())
            .fetch_optional(&self.read)
            .await
            .map_err(failed)?;
        let Some(row) = found else { return Ok(Removed::default()) };
        let id: i64 = row.get(0);
        // Positions first: whoever still writes is fenced and writes no more.
        self.portion("DELETE FROM sink_offsets WHERE monitor = ?1 AND ?2 > 0", id).await?;
        let rows = self
            .portions(
                "DELETE FROM price_history WHERE (series, at, seen, stream, \"offset\") IN (
                     SELECT p.series, p.at, p.seen, p.stream, p.\"offset\"
                     FROM series s JOIN price_history p ON p.series = s.id WHERE s.monitor = ?1 LIMIT ?2)",
                id,
            )
            .await?;
        self.portions(
            "DELETE FROM price_hourly WHERE (series, day) IN (
                 SELECT h.series, h.day FROM series s JOIN price_hourly h ON h.series = s.id
                 WHERE s.monitor = ?1 LIMIT ?2)",
            id,
        )
        .await?;
        let series = self
            .portions(
                "DELETE FROM series WHERE id IN (SELECT id FROM series WHERE monitor = ?1 LIMIT ?2)",
                id,
            )
            .await?;
        // With their deliveries.
        let alerts = self
            .portions(
                "DELETE FROM price_drop_alerts WHERE seq IN (
                     SELECT seq FROM price_drop_alerts WHERE monitor = ?1 LIMIT ?2)",
                id,
            )
            .await?;
        for sql in [
            "DELETE FROM events WHERE monitor = ?1 AND ?2 > 0",
            "DELETE FROM channel_leases WHERE monitor = ?1 AND ?2 > 0",
            "DELETE FROM monitors WHERE id = ?1 AND ?2 > 0",
        ] {
            self.portion(sql, id).await?;
        }
        Ok(Removed { rows, alerts, series })
    }

    /// Deletes by `sql` (`?1` monitor, `?2` most rows) until nothing is left.
    async fn portions(&self, sql: &'static str, monitor: i64) -> Result<u64> {
        let mut all = 0;
        loop {
            let deleted = self.portion(sql, monitor).await?;
            all += deleted;
            if deleted < PORTION.unsigned_abs() {
                return Ok(all);
            }
        }
    }

    async fn portion(&self, sql: &'static str, monitor: i64) -> Result<u64> {
        let done = sqlx::query(sql).bind(monitor).bind(PORTION).execute(&self.write).await;
        Ok(done.map_err(|error| failure("cannot delete a monitor", &error))?.rows_affected())
    }
}
