//! Alerts into the table and the outbox, each once.

use ahash::HashSet;
use pricemonitor_model::{Alert, Incarnation, Time};
use sqlx::Row as _;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;

use super::Postgres;
use super::claims::reread;
use super::failure::failure;
use super::values::{Stamp, stored};
use crate::claim::{Claim, number};
use crate::error::{Error, Result};
use crate::outbox::{kind, named};

impl Postgres {
    /// How many alerts are new. `None`, and nothing was written: an earlier write under the claim has moved the
    /// position, see [`reread`].
    ///
    /// One statement moves the position, stores the alerts whose ids are not known and puts each into the outbox of each
    /// of its channels, because somebody waits for them: each more would be one more answer of the server.
    pub(crate) async fn accept_alerts(
        &self,
        claim: &mut Claim,
        incarnation: Incarnation,
        alerts: &[(Alert<'static>, Vec<String>)],
        next_offset: u64,
        now: Time,
    ) -> Result<Option<u64>> {
        let expected = claim.position.map(|(_, next)| number(next)).transpose()?;
        // Before the answer, which may be lost.
        claim.furthest = claim.furthest.max(next_offset);
        let query = accept(alerts, now)?
            .bind(claim.id)
            .bind(claim.epoch)
            .bind(expected)
            .bind(incarnation.0 as i64)
            .bind(number(next_offset)?)
            .bind(number(alerts.len() as u64)?);
        let done =
            query.fetch_one(&self.pool).await.map_err(|error| failure("cannot store alerts", &error))?;
        if !done.get::<bool, _>(0) {
            reread(&self.pool, claim, incarnation).await?;
            return Ok(None);
        }
        claim.position = Some((incarnation, next_offset));
        Ok(Some(done.get::<i64, _>(1).unsigned_abs()))
    }
}

/// The statement, but for the position. Tells whether the position is moved and how many alerts are new.
fn accept(
    alerts: &[(Alert<'static>, Vec<String>)],
    now: Time,
) -> Result<Query<'static, sqlx::Postgres, PgArguments>> {
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
    let query = sqlx::query(
        "WITH moved AS (
         UPDATE sink_offsets SET incarnation = $30, next_offset = $31, rows = rows + $32
         WHERE id = $27 AND owner_epoch = $28 AND next_offset IS NOT DISTINCT FROM $29 RETURNING id),
         new AS (
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
         WHERE EXISTS (SELECT FROM moved) ORDER BY u.place
         ON CONFLICT (id) DO NOTHING RETURNING id, seq, monitor),
         sent AS (
         INSERT INTO alert_deliveries (alert, channel, monitor, state, next_attempt)
         SELECT new.seq, o.channel, new.monitor, 'pending', $24
         FROM unnest($25::text[], $26::text[]) AS o (id, channel) JOIN new ON new.id = o.id
         ORDER BY new.seq ON CONFLICT (alert, channel) DO NOTHING)
         SELECT EXISTS (SELECT FROM moved), (SELECT count(*) FROM new)",
    );
    Ok(query
        .bind(column!(a => &*a.monitor))
        .bind(column!(a => a.id.as_str()))
        .bind(column!(a => kind(a)))
        .bind(column!(a => stored(&a.rule)))
        .bind(column!(a => named(a.transition)))
        .bind(column!(a => named(a.severity)))
        .bind(column!(a => stored(&a.source)))
        .bind(column!(a => stored(&a.item)))
        .bind(
            column!(a => stored(a.labels.get("event").or_else(|| a.labels.get("area")).unwrap_or_default())),
        )
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
        .bind(channels))
}
