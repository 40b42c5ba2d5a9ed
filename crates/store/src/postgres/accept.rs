//! Alerts into the table and the outbox, each once.

use std::collections::HashMap;
use std::iter;

use ahash::HashSet;
use pricemonitor_model::{Alert, Time};
use sqlx::Row as _;
use sqlx::postgres::PgArguments;

use super::Postgres;
use super::claims::{Found, reread};
use super::failure::failure;
use super::values::{Stamp, stored};
use crate::claim::{Accepting, number};
use crate::error::{Error, Result};
use crate::outbox::{kind, named};

/// Moves every position that is still its claim's and where the claim knows it, stores the alerts that came with those
/// and whose ids are not known, and puts each into the outbox of each of its channels. Tells the positions that are moved
/// and the ids that are new.
///
/// Positions are locked in the order of their numbers, whoever does it and however the server would find them: two writers
/// that had each what the other waits for would not come to an end. All are moved before the first alert is stored.
const ACCEPT: &str = "WITH held AS (
     SELECT o.id, c.incarnation, c.next, c.rows
     FROM unnest($28::bigint[], $29::bigint[], $30::bigint[], $31::bigint[], $32::bigint[], $33::bigint[])
          AS c (id, epoch, known, incarnation, next, rows)
     JOIN sink_offsets o ON o.id = c.id
     WHERE o.owner_epoch = c.epoch AND o.next_offset IS NOT DISTINCT FROM c.known
     ORDER BY o.id FOR UPDATE OF o),
     moved AS (
     UPDATE sink_offsets o SET incarnation = held.incarnation, next_offset = held.next, rows = o.rows + held.rows
     FROM held WHERE o.id = held.id RETURNING o.id::bigint),
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
                 $20::timestamptz[], $21::text[], $22::text[], $23::text[], $27::bigint[]) WITH ORDINALITY
          AS u (monitor, id, kind, rule, transition, severity, source, item, event, section, price, reference,
                percent, side, currency, unit, at, observed_at, slot_start, slot_end, url, summary, alert, claim,
                place)
     LEFT JOIN monitors m ON m.monitor = u.monitor
     WHERE u.claim = ANY (ARRAY(SELECT id FROM moved)) ORDER BY u.place
     ON CONFLICT (id) DO NOTHING RETURNING id, seq, monitor),
     sent AS (
     INSERT INTO alert_deliveries (alert, channel, monitor, state, next_attempt)
     SELECT new.seq, o.channel, new.monitor, 'pending', $24
     FROM unnest($25::text[], $26::text[]) AS o (id, channel) JOIN new ON new.id = o.id
     ORDER BY new.seq ON CONFLICT (alert, channel) DO NOTHING)
     SELECT ARRAY(SELECT id FROM moved), ARRAY(SELECT id FROM new)";

type Query = sqlx::query::Query<'static, sqlx::Postgres, PgArguments>;

impl Postgres {
    /// For each, how many alerts are new. `None`, and nothing of it was written: an earlier write under the claim has moved
    /// the position, whose answer was lost; the claim stands there now.
    ///
    /// One statement for all, because somebody waits for them: each more would be one more answer of the server.
    pub(crate) async fn accept_alerts(
        &self,
        accepting: &mut [&mut Accepting<'_>],
        now: Time,
    ) -> Result<Vec<Result<Option<u64>>>> {
        let query = accept(accepting, now)?;
        // Before the answer, which may be lost.
        for one in accepting.iter_mut() {
            one.claim.furthest = one.claim.furthest.max(one.target());
        }
        let done =
            query.fetch_one(&self.pool).await.map_err(|error| failure("cannot store alerts", &error))?;
        let moved: Vec<i64> = done.get(0);
        let new: Vec<String> = done.get(1);
        let ids = accepting.iter().map(|one| one.claim.id);
        let others: Vec<i64> = ids.filter(|id| !moved.contains(id)).collect();
        // What is stored is stored, also when this fails. No claim changes before: whoever gives up waiting here and comes
        // again hears of all alerts as new.
        let found = if others.is_empty() { Ok(HashMap::new()) } else { reread(&self.pool, &others).await };
        let mut new: HashSet<String> = new.into_iter().collect();
        Ok(accepting.iter_mut().map(|one| answer(one, &moved, &mut new, &found)).collect())
    }
}

/// What became of one of them: `new` are the ids that nobody has counted yet, `found` where those stand that are not
/// `moved`.
fn answer(
    one: &mut Accepting<'_>,
    moved: &[i64],
    new: &mut HashSet<String>,
    found: &Result<HashMap<i64, Found>>,
) -> Result<Option<u64>> {
    if moved.contains(&one.claim.id) {
        one.claim.position = Some((one.incarnation, one.target()));
        return Ok(Some(one.alerts.iter().filter(|(alert, _)| new.remove(alert.id.as_str())).count() as u64));
    }
    let found = found.as_ref().map_err(Error::clone)?;
    one.claim.adopt(one.incarnation, found.get(&one.claim.id).copied())?;
    Ok(None)
}

/// [`ACCEPT`] with its values.
fn accept(accepting: &[&mut Accepting<'_>], now: Time) -> Result<Query> {
    macro_rules! column {
        ($one:ident => $value:expr) => {
            accepting.iter().map(|$one| $value)
        };
    }
    let known = column!(one => one.claim.position.map(|(_, next)| number(next)).transpose());
    let known = known.collect::<Result<Vec<Option<i64>>>>()?;
    let next = column!(one => number(one.target())).collect::<Result<Vec<i64>>>()?;
    let rows = column!(one => number(one.alerts.len() as u64)).collect::<Result<Vec<i64>>>()?;
    let claims = accepting.iter().flat_map(|one| iter::repeat_n(one.claim.id, one.alerts.len()));
    let query = alerts(sqlx::query(ACCEPT), accepting, now)?;
    Ok(query
        .bind(claims.collect::<Vec<i64>>())
        .bind(column!(one => one.claim.id).collect::<Vec<i64>>())
        .bind(column!(one => one.claim.epoch).collect::<Vec<i64>>())
        .bind(known)
        .bind(column!(one => one.incarnation.0 as i64).collect::<Vec<i64>>())
        .bind(next)
        .bind(rows))
}

/// Binds the alerts and what is to be told of them. An id that comes twice is left to the server, which knows it then.
fn alerts(query: Query, accepting: &[&mut Accepting<'_>], now: Time) -> Result<Query> {
    let (mut alerts, mut outbox) = (Vec::new(), Vec::new());
    for (alert, channels) in accepting.iter().flat_map(|one| one.alerts) {
        alerts.push(alert);
        outbox.extend(channels.iter().map(|channel| (alert.id.as_str(), channel.as_str())));
    }
    let (owners, channels): (Vec<&str>, Vec<&str>) = outbox.into_iter().unzip();
    let whole = alerts.iter().map(|alert: &&Alert<'static>| {
        serde_json::to_string(alert)
            .map_err(|error| Error::Storage(format!("the alert {} cannot be written: {error}", alert.id)))
    });
    let whole = whole.collect::<Result<Vec<String>>>()?;
    macro_rules! column {
        ($alert:ident => $value:expr) => {
            alerts.iter().map(|$alert| $value).collect::<Vec<_>>()
        };
    }
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
