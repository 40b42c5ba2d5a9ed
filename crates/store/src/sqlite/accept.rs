//! Alerts into the table and the outbox, each once.

use pricemonitor_model::{Alert, Time};

use super::claims::advance;
use super::failure::failure;
use super::many::{pieces, values};
use super::{Sqlite, Tx};
use crate::claim::Accepting;
use crate::error::{Error, Result};
use crate::outbox::{kind, named};

/// What is stored of an alert, but for its number.
const HEAD: &str = "INSERT INTO price_drop_alerts (monitor, id, kind, rule, transition, severity, source, item, \
    event, section, price, reference, percent, currency, unit, at, observed_at, slot_start, slot_end, url, \
    summary, accepted_at, alert) VALUES";
const ROW: &str = "((SELECT id FROM monitors WHERE monitor = ?),?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
/// Alerts per statement.
const SIZES: [usize; 3] = [250, 25, 1];

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

impl Sqlite {
    /// For each, how many alerts are new. `None`, and nothing of it was written: an earlier write under the claim has
    /// moved the position, see [`advance`].
    ///
    /// One after the other: what was written stays, whatever becomes of the next one.
    pub(crate) async fn accept_alerts(
        &self,
        accepting: &mut [&mut Accepting<'_>],
        now: Time,
    ) -> Result<Vec<Result<Option<u64>>>> {
        let mut answers = Vec::with_capacity(accepting.len());
        for one in accepting.iter_mut() {
            answers.push(self.accept(one, now).await);
        }
        Ok(answers)
    }

    async fn accept(&self, one: &mut Accepting<'_>, now: Time) -> Result<Option<u64>> {
        let (incarnation, next, rows) = (one.incarnation, one.target(), one.alerts.len() as u64);
        let mut tx = self.begin().await?;
        if !advance(&mut tx, one.claim, incarnation, next, rows).await? {
            return Ok(None);
        }
        let new = insert(&mut tx, one.alerts, now).await?;
        tx.commit().await.map_err(|error| failure("cannot commit alerts", &error))?;
        one.claim.position = Some((incarnation, next));
        Ok(Some(new))
    }
}

/// Stores the alerts whose ids are not known, and what is to be told of them. Tells how many they are.
async fn insert(tx: &mut Tx, alerts: &[(Alert<'static>, Vec<String>)], now: Time) -> Result<u64> {
    let failed = |error| failure("cannot store alerts", &error);
    // Whatever is numbered behind this is new: nobody else writes while this transaction is open.
    let known: i64 = sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM price_drop_alerts")
        .fetch_one(&mut **tx)
        .await
        .map_err(failed)?;
    let mut new = 0;
    for piece in pieces(alerts, &SIZES) {
        let mut sql = values(HEAD, ROW, piece.len());
        sql.push_str(" ON CONFLICT (id) DO NOTHING");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for (alert, _) in piece {
            query = bind(query, alert, now)?;
        }
        new += query.execute(&mut **tx).await.map_err(failed)?.rows_affected();
    }
    if new > 0 {
        deliver(tx, known, alerts, now).await?;
    }
    Ok(new)
}

/// Binds a [`ROW`].
fn bind<'q>(query: Query<'q>, alert: &'q Alert<'_>, now: Time) -> Result<Query<'q>> {
    let whole = serde_json::to_string(alert)
        .map_err(|error| Error::Storage(format!("the alert {} cannot be written: {error}", alert.id)))?;
    let label = |name| alert.labels.get(name);
    Ok(query
        .bind(&*alert.monitor)
        .bind(alert.id.as_str())
        .bind(kind(alert))
        .bind(&*alert.rule)
        .bind(named(alert.transition))
        .bind(named(alert.severity))
        .bind(&*alert.source)
        .bind(&*alert.item)
        .bind(label("event").or_else(|| label("area")).unwrap_or_default())
        .bind(label("section").unwrap_or_default())
        .bind(alert.price.to_string())
        .bind(alert.reference.map(|reference| reference.to_string()))
        .bind(alert.percent.map(|percent| percent.to_string()))
        .bind(&*alert.currency)
        .bind(alert.unit_or_currency())
        .bind(alert.slot.map_or(alert.observed_at, |slot| slot.start).millis())
        .bind(alert.observed_at.millis())
        .bind(alert.slot.map(|slot| slot.start.millis()))
        .bind(alert.slot.map(|slot| slot.end.millis()))
        .bind(alert.url.as_deref())
        .bind(&*alert.summary)
        .bind(now.millis())
        .bind(whole))
}

/// Puts the alerts with a number above `known` into the outbox of each of their channels.
async fn deliver(tx: &mut Tx, known: i64, alerts: &[(Alert<'static>, Vec<String>)], now: Time) -> Result<()> {
    let pairs: Vec<(&str, &str)> = alerts
        .iter()
        .flat_map(|(alert, channels)| channels.iter().map(|channel| (alert.id.as_str(), channel.as_str())))
        .collect();
    if pairs.is_empty() {
        return Ok(());
    }
    let pairs = serde_json::to_string(&pairs)
        .map_err(|error| Error::Storage(format!("cannot write a list of alerts: {error}")))?;
    sqlx::query(
        "INSERT INTO alert_deliveries (alert, channel, monitor, state, next_attempt)
         SELECT a.seq, j.value ->> 1, a.monitor, 'pending', ?3
         FROM json_each(?1) j CROSS JOIN price_drop_alerts a ON a.id = j.value ->> 0 WHERE a.seq > ?2
         ON CONFLICT (alert, channel) DO NOTHING",
    )
    .bind(pairs)
    .bind(known)
    .bind(now.millis())
    .execute(&mut **tx)
    .await
    .map_err(|error| failure("cannot put alerts into the outbox", &error))?;
    Ok(())
}
