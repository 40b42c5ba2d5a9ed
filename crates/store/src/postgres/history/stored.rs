//! What the history holds already.

use ahash::HashMap;
use pricemonitor_model::Decimal;
use pricemonitor_model::price::parse_decimal;
use sqlx::Executor as _;
use sqlx::{PgConnection, Row as _};

use super::super::failure::failure;
use super::super::values::Stamp;
use super::series::Met;
use crate::batch::{self, Last, Prepared, SlotKey, Stored};
use crate::error::{Error, Result};

/// The latest stored row of each series.
pub(super) async fn latest(connection: &mut PgConnection, met: &[Met]) -> Result<Vec<Option<Last>>> {
    let mut last: Vec<Option<Last>> = met.iter().map(|met| met.last).collect();
    let places: Vec<usize> = (0..met.len()).filter(|place| !met[*place].sure).collect();
    if places.is_empty() {
        return Ok(last);
    }
    let ids: Vec<i64> = places.iter().map(|place| met[*place].id).collect();
    let rows = sqlx::query(
        "SELECT s.place, p.at, p.price::text
         FROM unnest($1::bigint[]) WITH ORDINALITY AS s (id, place)
         CROSS JOIN LATERAL (
             SELECT h.at, h.price FROM price_history h WHERE h.series = s.id
             ORDER BY h.at DESC, h.stream DESC, h.\"offset\" DESC LIMIT 1) p",
    )
    .bind(ids)
    .fetch_all(&mut *connection)
    .await
    .map_err(|error| failure("cannot read the latest prices", &error))?;
    for row in rows {
        if let Some(place) = places.get(ordinal(row.get(0))) {
            let Stamp(at) = row.get(1);
            last[*place] = Some(Last { at, price: decimal(row.get(2))? });
        }
    }
    Ok(last)
}

/// What is stored of the slots that may have been published before.
pub(super) async fn look_up(
    connection: &mut PgConnection,
    ids: &[i64],
    rows: &[Prepared],
    last: &[Option<Last>],
) -> Result<HashMap<SlotKey, Stored>> {
    let slots = batch::to_look_up(rows, last);
    if slots.is_empty() {
        return Ok(HashMap::default());
    }
    let (series, starts) = columns(ids, &slots);
    let rows = sqlx::query(
        "SELECT s.place, p.observed_at, p.price::text
         FROM unnest($1::bigint[], $2::timestamptz[]) WITH ORDINALITY AS s (series, at, place)
         CROSS JOIN LATERAL (
             SELECT h.observed_at, h.price FROM price_history h
             WHERE h.series = s.series AND h.at = s.at AND h.current LIMIT 1) p",
    )
    .bind(series)
    .bind(starts)
    .fetch_all(&mut *connection)
    .await
    .map_err(|error| failure("cannot read earlier prices", &error))?;
    let mut stored = HashMap::default();
    for row in rows {
        if let Some(slot) = slots.get(ordinal(row.get(0))) {
            let Stamp(observed_at) = row.get(1);
            stored.insert(*slot, Stored { observed_at, price: decimal(row.get(2))? });
        }
    }
    Ok(stored)
}

/// The stored rows of these slots do not count any more.
pub(super) async fn demote(connection: &mut PgConnection, ids: &[i64], slots: &[SlotKey]) -> Result<()> {
    if slots.is_empty() {
        return Ok(());
    }
    let failed = |error| failure("cannot mark revised prices", &error);
    // Whatever the planner guesses: each slot by the index, not all months for a few slots.
    connection
        .execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
        .await
        .map_err(failed)?;
    let (series, starts) = columns(ids, slots);
    sqlx::query(
        "UPDATE price_history p SET current = false
         FROM unnest($1::bigint[], $2::timestamptz[]) AS s (series, at)
         WHERE p.series = s.series AND p.at = s.at AND p.current",
    )
    .bind(series)
    .bind(starts)
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    Ok(())
}

/// Series and starts of slots.
fn columns(ids: &[i64], slots: &[SlotKey]) -> (Vec<i64>, Vec<Stamp>) {
    slots.iter().map(|(place, at)| (ids[*place], Stamp(*at))).unzip()
}

/// A place in a list that was handed over.
fn ordinal(place: i64) -> usize {
    usize::try_from(place - 1).unwrap_or(usize::MAX)
}

fn decimal(text: &str) -> Result<Decimal> {
    parse_decimal(text)
        .map_err(|_| Error::Storage(format!("a stored price reads `{text}`: the database is damaged")))
}
