//! Housekeeping: what is too old goes, in small transactions.

use pricemonitor_model::Time;
use sqlx::Row as _;

use super::failure::failure;
use super::{Sqlite, Tx};
use crate::cells::{Day, HOUR};
use crate::claim::Maintained;
use crate::error::Result;

/// Rows after which a transaction ends, so that writers wait for milliseconds.
const PORTION: u64 = 10_000;

/// A series with rows that are too old.
struct Old {
    series: i64,
    /// Hour before which everything goes.
    hour: i64,
}

impl Sqlite {
    pub(crate) async fn maintain(&self, now: Time) -> Result<Maintained> {
        let mut done = Maintained::default();
        let old = self.old(now).await?;
        let mut waiting = old.iter().peekable();
        while waiting.peek().is_some() {
            let mut tx = self.begin().await?;
            let mut deleted = 0;
            while deleted < PORTION
                && let Some(old) = waiting.peek()
            {
                let (rows, all) = delete(&mut tx, old, PORTION).await?;
                deleted += rows;
                if all {
                    waiting.next();
                }
            }
            tx.commit().await.map_err(|error| failure("cannot delete old prices", &error))?;
            done.rows += deleted;
        }
        done.alerts = self.delete_alerts(now).await?;
        done.series = self.tidy(!old.is_empty()).await?;
        // Readers that are under way keep what they need; the next turn takes the rest.
        sqlx::query("PRAGMA wal_checkpoint(PASSIVE)")
            .fetch_all(&self.write)
            .await
            .map_err(|error| failure("cannot write back the log of the database", &error))?;
        Ok(done)
    }

    /// The series whose first row is older than their monitor's retention, and until which hour.
    async fn old(&self, now: Time) -> Result<Vec<Old>> {
        let rows = sqlx::query(
            "SELECT s.id, h.hour FROM (
                 SELECT id AS monitor, (?1 - retention) / ?2 AS hour FROM monitors WHERE retention < ?1
             ) h JOIN series s ON s.monitor = h.monitor
             WHERE (SELECT p.at FROM price_history p WHERE p.series = s.id ORDER BY p.at LIMIT 1) < h.hour * ?2",
        )
        .bind(now.millis())
        .bind(HOUR)
        .fetch_all(&self.read)
        .await
        .map_err(|error| failure("cannot look for old prices", &error))?;
        Ok(rows.iter().map(|row| Old { series: row.get(0), hour: row.get(1) }).collect())
    }

    /// Alerts that are older than the retention and that nobody waits for.
    async fn delete_alerts(&self, now: Time) -> Result<u64> {
        let deleted = sqlx::query(
            "DELETE FROM price_drop_alerts WHERE seq IN (
                 SELECT a.seq FROM price_drop_alerts a JOIN monitors m ON m.id = a.monitor
                 WHERE a.accepted_at < ?1 - m.retention
                   AND NOT EXISTS (SELECT 1 FROM alert_deliveries d WHERE d.alert = a.seq AND d.state = 'pending'))",
        )
        .bind(now.millis())
        .execute(&self.write)
        .await
        .map_err(|error| failure("cannot delete old alerts", &error))?;
        Ok(deleted.rows_affected())
    }

    /// After deletions: series and events without rows go, the spans of the others are measured anew.
    async fn tidy(&self, needed: bool) -> Result<u64> {
        if !needed {
            return Ok(0);
        }
        let failed = |error| failure("cannot delete old series", &error);
        let mut tx = self.begin().await?;
        let gone = sqlx::query(
            "DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM price_history p WHERE p.series = series.id)",
        )
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
        sqlx::query("DELETE FROM events WHERE NOT EXISTS (SELECT 1 FROM series s WHERE s.event = events.id)")
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        sqlx::query(
            "UPDATE events SET first_at = coalesce((
                 SELECT min((SELECT min(p.at) FROM price_history p WHERE p.series = s.id))
                 FROM series s WHERE s.event = events.id), first_at)",
        )
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        Ok(gone.rows_affected())
    }
}

/// Deletes old rows of a series, at most about `limit` and whole hours. Tells how many, and whether
/// that was all.
async fn delete(tx: &mut Tx, old: &Old, limit: u64) -> Result<(u64, bool)> {
    let failed = |error| failure("cannot delete old prices", &error);
    let bound = sqlx::query(
        "SELECT at FROM price_history WHERE series = ?1 AND at < ?2 ORDER BY at LIMIT 1 OFFSET ?3",
    )
    .bind(old.series)
    .bind(old.hour * HOUR)
    .bind(limit as i64)
    .fetch_optional(&mut **tx)
    .await
    .map_err(failed)?;
    // The hour behind the row at the limit: at least one hour goes, and figures fit rows.
    let hour = bound.map_or(old.hour, |row| row.get::<i64, _>(0).div_euclid(HOUR) + 1).min(old.hour);
    let rows = sqlx::query("DELETE FROM price_history WHERE series = ?1 AND at < ?2")
        .bind(old.series)
        .bind(hour * HOUR)
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    let day = hour.div_euclid(24);
    sqlx::query("DELETE FROM price_hourly WHERE series = ?1 AND day < ?2")
        .bind(old.series)
        .bind(day)
        .execute(&mut **tx)
        .await
        .map_err(failed)?;
    let first = sqlx::query("SELECT cells FROM price_hourly WHERE series = ?1 AND day = ?2")
        .bind(old.series)
        .bind(day)
        .fetch_optional(&mut **tx)
        .await
        .map_err(failed)?;
    if let Some(row) = first {
        let mut cells = Day::decode(day, row.get(0))?;
        cells.0.retain(|(at, _)| *at >= hour);
        let sql = if cells.0.is_empty() {
            "DELETE FROM price_hourly WHERE series = ?1 AND day = ?2 AND ?3 IS NOT NULL"
        } else {
            "UPDATE price_hourly SET cells = ?3 WHERE series = ?1 AND day = ?2"
        };
        sqlx::query(sql)
            .bind(old.series)
            .bind(day)
            .bind(cells.encode())
            .execute(&mut **tx)
            .await
            .map_err(failed)?;
    }
    Ok((rows.rows_affected(), hour == old.hour))
}
