//! Alerts on their way to the channels.

use pricemonitor_model::{Alert, AlertId, Millis, MonitorId, Time};
use sqlx::Row as _;

use super::Sqlite;
use super::failure::failure;
use crate::error::{Error, Result};
use crate::outbox::{DeliveryEnd, Due, LONGEST_WAIT, Pending, PendingCount, Unreadable};

/// The deliveries of some alerts (`?2`, JSON) on one channel that are still open.
const OPEN: &str = "channel = ?1 AND alert IN (SELECT value FROM json_each(?2)) AND state = 'pending'";
/// A message with them is about to be sent, at `?3`. One that was under way already may have arrived. Every statement
/// takes all parameters.
const UNDER_WAY: &str =
    "attempts = attempts + 1, maybe_sent = maybe_sent + under_way, under_way = 1, attempted_at = ?3
     WHERE ?4 IS NULL AND ?5 = 0 AND";
const UNWRITTEN: &str = "cannot write down a delivery";

/// Changes the open deliveries of `alerts`: `set` is one of the texts in this file, with `?3` to `?5` for the `values`.
/// Ends of a message say `under_way = 1 AND`: whoever sends has noted it before; where that is not so, the file was put
/// back to an earlier state, and the number is another alert's now.
async fn settle(
    database: impl sqlx::SqliteExecutor<'_>,
    set: &str,
    channel: &str,
    alerts: &[i64],
    values: (i64, Option<&str>, bool),
) -> Result<u64> {
    let alerts = serde_json::to_string(alerts)
        .map_err(|error| Error::Storage(format!("cannot write a list of alerts: {error}")))?;
    let done = sqlx::query(sqlx::AssertSqlSafe(format!("UPDATE alert_deliveries SET {set} {OPEN}")))
        .bind(channel)
        .bind(alerts)
        .bind(values.0)
        .bind(values.1)
        .bind(values.2)
        .execute(database)
        .await
        .map_err(|error| failure(UNWRITTEN, &error))?;
    Ok(done.rows_affected())
}

impl Sqlite {
    pub(crate) async fn due(
        &self,
        monitor: &MonitorId,
        channel: &str,
        now: Time,
        limit: usize,
    ) -> Result<Due> {
        let rows = sqlx::query(
            "SELECT a.alert, d.attempts, a.accepted_at, d.under_way + d.maybe_sent > 0, a.id, a.seq
             FROM alert_deliveries d JOIN price_drop_alerts a ON a.seq = d.alert
             WHERE d.state = 'pending' AND d.monitor = (SELECT id FROM monitors WHERE monitor = ?1)
               AND d.channel = ?2 AND (d.next_attempt <= ?3 OR d.next_attempt > ?5)
             ORDER BY d.alert LIMIT ?4",
        )
        .bind(monitor.as_str())
        .bind(channel)
        .bind(now.millis())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(now.plus(LONGEST_WAIT).millis())
        .fetch_all(&self.read)
        .await
        .map_err(|error| failure("cannot read the outbox", &error))?;
        let mut due = Due::default();
        for row in &rows {
            match serde_json::from_str::<Alert<'_>>(row.get(0)) {
                Ok(alert) => due.pending.push(Pending {
                    number: row.get(5),
                    alert: alert.into_owned(),
                    attempts: row.get(1),
                    accepted_at: Time::from_millis(row.get(2)),
                    maybe_sent: row.get(3),
                }),
                // One that makes no sense must not keep the others of its channel waiting.
                Err(error) => due.unreadable.push(Unreadable {
                    number: row.get(5),
                    id: AlertId::stored(row.get(4)),
                    reason: format!("the stored alert cannot be read: {error}"),
                }),
            }
        }
        Ok(due)
    }

    pub(crate) async fn attempting(&self, channel: &str, alerts: &[i64], now: Time) -> Result<u64> {
        self.settle(UNDER_WAY, channel, alerts, (now.millis(), None, false)).await
    }

    pub(crate) async fn delivered(
        &self,
        channel: &str,
        alerts: &[i64],
        message_id: Option<&str>,
        next: &[i64],
        now: Time,
    ) -> Result<u64> {
        let arrived = "state = 'ok', under_way = 0, reason = NULL, finished_at = ?3, message_id = ?4
                       WHERE ?5 = 0 AND under_way = 1 AND";
        let mut tx = self.begin().await?;
        settle(&mut *tx, arrived, channel, alerts, (now.millis(), message_id, false)).await?;
        let mut open = 0;
        if !next.is_empty() {
            open = settle(&mut *tx, UNDER_WAY, channel, next, (now.millis(), None, false)).await?;
        }
        tx.commit().await.map_err(|error| failure(UNWRITTEN, &error))?;
        Ok(open)
    }

    pub(crate) async fn failed(
        &self,
        channel: &str,
        alerts: &[i64],
        reason: &str,
        next_attempt: Time,
        ambiguous: bool,
    ) -> Result<()> {
        let set = "under_way = 0, next_attempt = ?3, reason = ?4, maybe_sent = maybe_sent + ?5
                   WHERE under_way = 1 AND";
        self.settle(set, channel, alerts, (next_attempt.millis(), Some(reason), ambiguous)).await.map(drop)
    }

    pub(crate) async fn finish(
        &self,
        channel: &str,
        alerts: &[i64],
        end: DeliveryEnd,
        reason: &str,
        now: Time,
    ) -> Result<()> {
        // What is stale was not tried; what is refused or gone was.
        let (maybe_sent, which) = match end {
            DeliveryEnd::Stale => ("maybe_sent + under_way", ""),
            DeliveryEnd::Refused | DeliveryEnd::Gone => ("maybe_sent", "under_way = 1 AND"),
        };
        let set = format!(
            "state = '{}', maybe_sent = {maybe_sent}, under_way = 0, finished_at = ?3, reason = ?4
             WHERE ?5 = 0 AND {which}",
            end.as_str()
        );
        self.settle(&set, channel, alerts, (now.millis(), Some(reason), false)).await.map(drop)
    }

    async fn settle(
        &self,
        set: &str,
        channel: &str,
        alerts: &[i64],
        values: (i64, Option<&str>, bool),
    ) -> Result<u64> {
        settle(&self.write, set, channel, alerts, values).await
    }

    pub(crate) async fn lease(
        &self,
        monitor: &MonitorId,
        channel: &str,
        owner: &str,
        now: Time,
        ttl: Millis,
    ) -> Result<bool> {
        let failed = |error| failure("cannot take the lease of a channel", &error);
        let held = sqlx::query(
            "SELECT l.owner, l.until FROM channel_leases l JOIN monitors m ON m.id = l.monitor
             WHERE m.monitor = ?1 AND l.channel = ?2",
        )
        .bind(monitor.as_str())
        .bind(channel)
        .fetch_optional(&self.read)
        .await
        .map_err(failed)?;
        if let Some(row) = held {
            let (holder, until): (&str, i64) = (row.get(0), row.get(1));
            let left = Time::from_millis(until).since(now);
            if holder != owner && left > 0 {
                return Ok(false);
            }
            // Senders ask every second: renewing once the first half is over saves most writes.
            if holder == owner && left > ttl / 2 {
                return Ok(true);
            }
        }
        let taken = sqlx::query(
            "INSERT INTO channel_leases (monitor, channel, owner, until)
             SELECT id, ?2, ?3, ?4 FROM monitors WHERE monitor = ?1
             ON CONFLICT (monitor, channel) DO UPDATE SET owner = excluded.owner, until = excluded.until
             WHERE channel_leases.owner = excluded.owner OR channel_leases.until <= ?5",
        )
        .bind(monitor.as_str())
        .bind(channel)
        .bind(owner)
        .bind(now.plus(ttl).millis())
        .bind(now.millis())
        .execute(&self.write)
        .await
        .map_err(failed)?;
        Ok(taken.rows_affected() == 1)
    }

    pub(crate) async fn pending_counts(&self, monitor: &MonitorId) -> Result<Vec<PendingCount>> {
        let rows = sqlx::query(
            "SELECT d.channel, d.alerts, a.accepted_at
             FROM (SELECT channel, count(*) AS alerts, min(alert) AS first FROM alert_deliveries
                   WHERE state = 'pending' AND monitor = (SELECT id FROM monitors WHERE monitor = ?1)
                   GROUP BY channel) d
             JOIN price_drop_alerts a ON a.seq = d.first ORDER BY d.channel",
        )
        .bind(monitor.as_str())
        .fetch_all(&self.read)
        .await
        .map_err(|error| failure("cannot read the outbox", &error))?;
        let count = |row: &sqlx::sqlite::SqliteRow| PendingCount {
            channel: row.get(0),
            alerts: row.get::<i64, _>(1).unsigned_abs(),
            oldest: Time::from_millis(row.get(2)),
        };
        Ok(rows.iter().map(count).collect())
    }
}
