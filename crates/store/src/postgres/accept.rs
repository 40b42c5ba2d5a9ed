//! Alerts into the table and the outbox, each once.

use ahash::HashSet;
use pricemonitor_model::{Alert, Incarnation, Time};

use super::claims::advance;
use super::failure::failure;
use super::values::{Stamp, stored};
use super::{Postgres, Tx};
use crate::claim::Claim;
use crate::error::{Error, Result};
use crate::outbox::{kind, named};

impl Postgres {
    /// How many alerts are new. `None`, and nothing was written: an earlier write under the claim has moved the
    /// position, see [`advance`].
    pub(crate) async fn accept_alerts(
        &self,
        claim: &mut Claim,
        incarnation: Incarnation,
        alerts: &[(Alert<'static>, Vec<String>)],
        next_offset: u64,
        now: Time,
    ) -> Result<Option<u64>> {
        let mut tx = self.begin().await?;
        let moved = advance(&mut tx, claim, incarnation, next_offset, alerts.len() as u64, None).await?;
        if moved.is_none() {
            return Ok(None);
        }
        let new = insert(&mut tx, alerts, now).await?;
        tx.commit().await.map_err(|error| failure("cannot commit alerts", &error))?;
        claim.position = Some((incarnation, next_offset));
        Ok(Some(new))
    }
}

/// Stores the alerts whose ids are not known, and puts each into the outbox of each of its channels; how many those are.
/// One statement, because somebody waits for them: each more is one more answer of the server.
async fn insert(tx: &mut Tx, alerts: &[(Alert<'static>, Vec<String>)], now: Time) -> Result<u64> {
    // The same id twice in a batch is the same alert.
    let mut ids = HashSet::default();
    let (mut firsts, mut outbox) = (Vec::with_capacity(alerts.len()), Vec::new());
    for (alert, channels) in alerts {
        if ids.insert(alert.id.as_str()) {
            firsts.push(alert);
            outbox.extend(channels.iter().map(|channel| (alert.id.as_str(), channel.as_str())));
        }
    }
    let alerts = firsts;
    if alerts.is_empty() {
        return Ok(0);
    }
    let (owners, channels): (Vec<&str>, Vec<&str>) = outbox.into_iter().unzip();
    let whole = alerts.iter().map(|alert| {
        serde_json::to_string(alert)
            .map_err(|error| Error::Storage(format!("the alert {} cannot be written: {error}", alert.id)))
    });
    let whole = whole.collect::<Result<Vec<String>>>()?;
    macro_rules! column {
        ($alert:ident => $value:expr) => {
            alerts.iter().map(|$alert| $value).collect::<Vec<_>>()
        };
    }
    let new = sqlx::query_scalar::<_, i64>(
        "WITH new AS (
         INSERT INTO price_drop_alerts (monitor, id, kind, rule, transition, severity, source, item, event,
             section, price, reference, percent, side, currency, unit, at, observed_at, slot_start, slot_end, url,
             summary, alert, accepted_at)
         SELECT m.id, u.id, u.kind, u.rule, u.transition, u.severity, u.source, u.item, u.event, u.section,
             u.price::numeric, u.reference::numeric, u.percent::numeric, u.side, u.currency, u.unit, u.at,
             u.observed_at, u.slot_start, u.slot_end, u.url, u.summary, u.alert, $24
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
                     $15::text[], $16::text[], $17::timestamptz[], $18::timestamptz[], $19::timestamptz[],
                     $20::timestamptz[], $21::text[], $22::text[], $23::text[]) WITH ORDINALITY
              AS u (monitor, id, kind, rule, transition, severity, source, item, event, section, price, reference,
                    percent, side, currency, unit, at, observed_at, slot_start, slot_end, url, summary, alert, place)
         LEFT JOIN monitors m ON m.monitor = u.monitor
         ORDER BY u.place
         ON CONFLICT (id) DO NOTHING RETURNING id, seq, monitor),
         sent AS (
         INSERT INTO alert_deliveries (alert, channel, monitor, state, next_attempt)
         SELECT new.seq, o.channel, new.monitor, 'pending', $24
         FROM unnest($25::text[], $26::text[]) AS o (id, channel) JOIN new ON new.id = o.id
         ORDER BY new.seq ON CONFLICT (alert, channel) DO NOTHING)
         SELECT count(*) FROM new",
    )
    .bind(column!(a => &*a.monitor))
    .bind(column!(a => a.id.as_str()))
    .bind(column!(a => kind(a)))
    .bind(column!(a => stored(&a.rule)))
    .bind(column!(a => named(a.transition)))
    .bind(column!(a => named(a.severity)))
    .bind(column!(a => stored(&a.source)))
    .bind(column!(a => stored(&a.item)))
    .bind(column!(a => stored(a.labels.get("event").or_else(|| a.labels.get("area")).unwrap_or_default())))
    .bind(column!(a => stored(a.labels.get("section").unwrap_or_default())))
    .bind(column!(a => a.price.to_string()))
    .bind(column!(a => a.reference.map(|reference| reference.to_string())))
    .bind(column!(a => a.percent.map(|percent| percent.to_string())))
    .bind(column!(a => a.side.map(named)))
    .bind(column!(a => stored(&a.currency)))
    .bind(column!(a => stored(a.unit_or_currency())))
    .bind(column!(a => Stamp(a.slot.map_or(a.observed_at, |slot| slot.start))))
    .bind(column!(a => Stamp(a.observed_at)))
    .bind(column!(a => a.slot.map(|slot| Stamp(slot.start))))
    .bind(column!(a => a.slot.map(|slot| Stamp(slot.end))))
    .bind(column!(a => a.url.as_deref().map(stored)))
    .bind(column!(a => stored(&a.summary)))
    .bind(whole)
    .bind(Stamp(now))
    .bind(owners)
    .bind(channels)
    .fetch_one(&mut **tx)
    .await
    .map_err(|error| failure("cannot store alerts", &error))?;
    Ok(new.unsigned_abs())
}
