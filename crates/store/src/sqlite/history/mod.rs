//! Observations into the history.

mod hourly;
mod insert;
mod series;

use ahash::HashMap;
use pricemonitor_model::{Decimal, Incarnation, Time};
use sqlx::Row as _;

use super::claims::advance;
use super::failure::failure;
use super::{Sqlite, Tx};
use crate::batch::{self, Last, SlotKey, Stored};
use crate::claim::{Claim, HistoryRow};
use crate::error::{Error, Result};
use crate::writer::HistoryWriter;
use series::{Met, Prepared};

impl Sqlite {
    /// Writes the rows, all of them behind the claim's position. `false`, and nothing was written: an earlier write under
    /// the claim has moved the position, see [`advance`].
    pub(crate) async fn write_history(
        &self,
        writer: &mut HistoryWriter,
        claim: &mut Claim,
        incarnation: Incarnation,
        rows: &[HistoryRow<'_>],
        next_offset: u64,
    ) -> Result<bool> {
        let mut tx = self.begin().await?;
        // First of all: a writer that was fenced must not look any further.
        if !advance(&mut tx, claim, incarnation, next_offset, rows.len() as u64).await? {
            return Ok(false);
        }
        if !rows.is_empty() {
            writer.begin();
            if !store(&mut tx, writer, claim, rows).await? {
                // A remembered series was deleted meanwhile; without memory all of them are looked up.
                writer.forget();
                store(&mut tx, writer, claim, rows).await?;
            }
        }
        tx.commit().await.map_err(|error| failure("cannot commit prices", &error))?;
        writer.committed();
        claim.position = Some((incarnation, next_offset));
        Ok(true)
    }
}

/// Writes the rows; `false`, and nothing was written, when a remembered series does not exist.
async fn store(
    tx: &mut Tx,
    writer: &mut HistoryWriter,
    claim: &Claim,
    rows: &[HistoryRow<'_>],
) -> Result<bool> {
    let (series, mut rows) = series::resolve(tx, writer, rows).await?;
    let Some(mut last) = latest(tx, &series).await? else { return Ok(false) };
    let stored = look_up(tx, &series, &rows, &last).await?;
    let demoted = batch::settle(&mut rows, &mut last, stored);
    insert::demote(tx, &series, &demoted).await?;
    insert::rows(tx, claim.id, &series, &mut rows).await?;
    hourly::update(tx, &series, &rows, &demoted).await?;
    series::widen(tx, &series).await?;
    Ok(true)
}

/// The latest stored row of each series; `None` when one of the series does not exist.
async fn latest(tx: &mut Tx, series: &[Met]) -> Result<Option<Vec<Option<Last>>>> {
    let ids: Vec<i64> = series.iter().map(|series| series.id).collect();
    // One text for all: a row of an answer costs more than the look-up behind it.
    let row = sqlx::query(
        "SELECT count(*), group_concat(place || ' ' || last, ';') FROM (
             SELECT j.key AS place,
                    (SELECT p.at || ' ' || p.price FROM price_history p WHERE p.series = s.id
                     ORDER BY p.at DESC, p.seen DESC, p.stream DESC, p.\"offset\" DESC LIMIT 1) AS last
             FROM json_each(?1) j CROSS JOIN series s ON s.id = j.value)",
    )
    .bind(json(&ids)?)
    .fetch_one(&mut **tx)
    .await
    .map_err(|error| failure("cannot read the latest prices", &error))?;
    if usize::try_from(row.get::<i64, _>(0)).ok() != Some(series.len()) {
        return Ok(None);
    }
    let mut last = vec![None; series.len()];
    for (place, rest) in entries(row.get::<Option<&str>, _>(1)) {
        let (at, price) = at_price(rest)?;
        if let Some(last) = last.get_mut(place) {
            *last = Some(Last { at: Time::from_millis(at), price });
        }
    }
    Ok(Some(last))
}

/// What is stored of the slots that may have been published before.
async fn look_up(
    tx: &mut Tx,
    series: &[Met],
    rows: &[Prepared],
    last: &[Option<Last>],
) -> Result<HashMap<SlotKey, Stored>> {
    let slots = batch::to_look_up(rows, last);
    if slots.is_empty() {
        return Ok(HashMap::default());
    }
    let pairs: Vec<(i64, i64)> = slots.iter().map(|(place, at)| (series[*place].id, at.millis())).collect();
    let row = sqlx::query(
        "SELECT group_concat(j.key || ' ' || (p.at + p.seen) || ' ' || p.price, ';')
         FROM json_each(?1) j CROSS JOIN price_history p
         ON p.series = j.value ->> 0 AND p.at = j.value ->> 1 AND p.current = 1",
    )
    .bind(json(&pairs)?)
    .fetch_one(&mut **tx)
    .await
    .map_err(|error| failure("cannot read earlier prices", &error))?;
    let mut stored = HashMap::default();
    for (place, rest) in entries(row.get::<Option<&str>, _>(0)) {
        let (observed_at, price) = at_price(rest)?;
        if let Some(slot) = slots.get(place) {
            stored.insert(*slot, Stored { observed_at: Time::from_millis(observed_at), price });
        }
    }
    Ok(stored)
}

/// The entries `place rest` of a text with `;` between them.
fn entries(text: Option<&str>) -> impl Iterator<Item = (usize, &str)> {
    text.unwrap_or_default().split(';').filter_map(|entry| {
        let (place, rest) = entry.split_once(' ')?;
        Some((place.parse().ok()?, rest))
    })
}

/// Numbers as JSON, the way lists are handed to SQLite.
fn json<T: serde::Serialize>(list: &[T]) -> Result<String> {
    serde_json::to_string(list).map_err(|error| Error::Storage(format!("cannot write a list: {error}")))
}

/// Reads `at price` (milliseconds, decimal), as the questions to the database write it.
pub(crate) fn at_price(text: &str) -> Result<(i64, Decimal)> {
    text.split_once(' ')
        .and_then(|(at, price)| {
            Some((at.parse().ok()?, pricemonitor_model::price::parse_decimal(price).ok()?))
        })
        .ok_or_else(|| Error::Storage(format!("a stored price reads `{text}`: the database is damaged")))
}
