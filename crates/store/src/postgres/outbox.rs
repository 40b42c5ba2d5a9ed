//! Alerts on their way to the channels.

use pricemonitor_model::{Alert, AlertId, Millis, MonitorId, Time};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::Postgres;
use super::failure::failure;
use super::values::{Stamp, stored};
use crate::error::Result;
use crate::outbox::{DeliveryEnd, Due, LONGEST_WAIT, Pending, PendingCount, Unreadable};

/// The deliveries of some alerts (`$2`) on one channel that are still open. What is asked of the state is not what the
/// index of those that wait promises: before PostgreSQL 18, and with statistics of an empty outbox, that index is walked
/// whole for each message, instead of one look into the primary key.
const OPEN: &str = "channel = $1 AND alert = ANY($2) AND coalesce(state, '') = 'pending'";
/// Those with which a message was sent. Whoever sends has noted it before; where that is not so, the database was put back
/// to an earlier state, and the number is another alert's now, which nobody was told of.
const SENT: &str = "channel = $1 AND alert = ANY($2) AND coalesce(state, '') = 'pending' AND under_way = 1";
/// A message with them is about to be sent, at `$3`. One that was under way already may have arrived.
const UNDER_WAY: &str =
    "attempts = attempts + 1, maybe_sent = maybe_sent + under_way, under_way = 1, attempted_at = $3";
const UNWRITTEN: &str = "cannot write down a delivery";

impl Postgres {
    pub(crate) async fn due(
        &self,
        monitor: &MonitorId,
        channel: &str,
        now: Time,
        limit: usize,
    ) -> Result<Due> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        // The few that are due come first, with their number in the text: with another join, or without knowing that they
        // are few, PostgreSQL may go through all alerts there ever were.
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "WITH d AS MATERIALIZED (
                 SELECT alert, attempts, under_way + maybe_sent > 0 AS maybe FROM alert_deliveries
                 WHERE state = 'pending' AND monitor = (SELECT id FROM monitors WHERE monitor = $1)
                   AND channel = $2 AND (next_attempt <= $3 OR next_attempt > $4)
                 ORDER BY alert LIMIT {limit})
             SELECT a.alert, d.attempts, a.accepted_at, d.maybe, a.id, a.seq
             FROM d JOIN price_drop_alerts a ON a.seq = d.alert ORDER BY d.alert"
        )))
        .bind(monitor.as_str())
        .bind(channel)
        .bind(Stamp(now))
        .bind(Stamp(now.plus(LONGEST_WAIT)))
        .fetch_all(&self.pool)
        .await
        .map_err(|error| failure("cannot read the outbox", &error))?;
        let mut due = Due::default();
        for row in &rows {
            match serde_json::from_str::<Alert<'_>>(row.get(0)) {
                Ok(alert) => due.pending.push(Pending {
                    number: row.get(5),
                    alert: alert.into_owned(),
                    attempts: u32::try_from(row.get::<i64, _>(1)).unwrap_or(u32::MAX),
                    accepted_at: row.get::<Stamp, _>(2).0,
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
        // Every statement takes all parameters.
        let sql =
            format!("UPDATE alert_deliveries SET {UNDER_WAY} WHERE $4::text IS NULL AND $5 = 0 AND {OPEN}");
        self.settle(&sql, channel, alerts, (now, None, false)).await
    }

    pub(crate) async fn delivered(
        &self,
        channel: &str,
        alerts: &[i64],
        message_id: Option<&str>,
        next: &[i64],
        now: Time,
    ) -> Result<u64> {
        // One round trip and one commit for each message: this is what a busy channel waits for.
        let done = sqlx::query(sqlx::AssertSqlSafe(format!(
            "WITH arrived AS (
                 UPDATE alert_deliveries SET state = 'ok', under_way = 0, reason = NULL, finished_at = $3,
                     message_id = $4
                 WHERE {SENT})
             UPDATE alert_deliveries SET {UNDER_WAY} WHERE {}",
            OPEN.replace("$2", "$5")
        )))
        .bind(channel)
        .bind(alerts)
        .bind(Stamp(now))
        .bind(message_id.map(stored))
        .bind(next)
        .execute(&self.pool)
        .await
        .map_err(|error| failure(UNWRITTEN, &error))?;
        Ok(done.rows_affected())
    }

    pub(crate) async fn failed(
        &self,
        channel: &str,
        alerts: &[i64],
        reason: &str,
        next_attempt: Time,
        ambiguous: bool,
    ) -> Result<()> {
        let sql = format!(
            "UPDATE alert_deliveries SET under_way = 0, next_attempt = $3, reason = $4, maybe_sent = maybe_sent + $5
             WHERE {SENT}"
        );
        self.settle(&sql, channel, alerts, (next_attempt, Some(reason), ambiguous)).await.map(drop)
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
            DeliveryEnd::Stale => ("maybe_sent + under_way", OPEN),
            DeliveryEnd::Refused | DeliveryEnd::Gone => ("maybe_sent", SENT),
        };
        let sql = format!(
            "UPDATE alert_deliveries SET state = '{}', maybe_sent = {maybe_sent}, under_way = 0, finished_at = $3,
                 reason = $4
             WHERE $5 = 0 AND {which}",
            end.as_str()
        );
        self.settle(&sql, channel, alerts, (now, Some(reason), false)).await.map(drop)
    }

    /// Changes deliveries of `alerts` by one of the statements in this file, with `$3` to `$5` for the values.
    async fn settle(
        &self,
        sql: &str,
        channel: &str,
        alerts: &[i64],
        (time, text, ambiguous): (Time, Option<&str>, bool),
    ) -> Result<u64> {
        let done = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()))
            .bind(channel)
            .bind(alerts)
            .bind(Stamp(time))
            .bind(text.map(stored))
            .bind(i64::from(ambiguous))
            .execute(&self.pool)
            .await
            .map_err(|error| failure(UNWRITTEN, &error))?;
        Ok(done.rows_affected())
    }

    /// The server's clock alone says how long a lease lasts: the clocks of two machines may be minutes apart, and the
    /// one that runs ahead must not take what the other one still has.
    pub(crate) async fn lease(
        &self,
        monitor: &MonitorId,
        channel: &str,
        owner: &str,
        ttl: Millis,
    ) -> Result<bool> {
        let failed = |error| failure("cannot take the lease of a channel", &error);
        let held = sqlx::query(
            "SELECT l.owner = $3, l.until > clock_timestamp(),
                    l.until > clock_timestamp() + $4::bigint / 2 * interval '1 millisecond'
             FROM channel_leases l JOIN monitors m ON m.id = l.monitor
             WHERE m.monitor = $1 AND l.channel = $2",
        )
        .bind(monitor.as_str())
        .bind(channel)
        .bind(owner)
        .bind(ttl)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed)?;
        match held.map(|row| (row.get(0), row.get(1), row.get(2))) {
            Some((false, true, _)) => return Ok(false),
            // Senders ask every second: renewing once the first half is over saves most writes.
            Some((true, _, true)) => return Ok(true),
            _ => {}
        }
        // Of several that find it free, the row's lock lets one through; the others then see its lease.
        let taken = sqlx::query(
            "INSERT INTO channel_leases AS l (monitor, channel, owner, until)
             SELECT id, $2, $3, clock_timestamp() + $4::bigint * interval '1 millisecond'
             FROM monitors WHERE monitor = $1
             ON CONFLICT (monitor, channel) DO UPDATE SET owner = excluded.owner, until = excluded.until
             WHERE l.owner = excluded.owner OR l.until <= clock_timestamp()",
        )
        .bind(monitor.as_str())
        .bind(channel)
        .bind(owner)
        .bind(ttl)
        .execute(&self.pool)
        .await
        .map_err(failed)?;
        Ok(taken.rows_affected() == 1)
    }

    pub(crate) async fn pending_counts(&self, monitor: &MonitorId) -> Result<Vec<PendingCount>> {
        let rows = sqlx::query(
            // The lowest number is the oldest, so that one alert of each channel is looked up, not all that wait.
            "SELECT d.channel, d.alerts, a.accepted_at
             FROM (SELECT channel, count(*) AS alerts, min(alert) AS first FROM alert_deliveries
                   WHERE state = 'pending' AND monitor = (SELECT id FROM monitors WHERE monitor = $1)
                   GROUP BY channel) d
             JOIN price_drop_alerts a ON a.seq = d.first ORDER BY d.channel",
        )
        .bind(monitor.as_str())
        .fetch_all(&self.pool)
        .await
        .map_err(|error| failure("cannot read the outbox", &error))?;
        let count = |row: &PgRow| PendingCount {
            channel: row.get(0),
            alerts: row.get::<i64, _>(1).unsigned_abs(),
            oldest: row.get::<Stamp, _>(2).0,
        };
        Ok(rows.iter().map(count).collect())
    }
}
