//! Which series an observation belongs to.

use pricemonitor_model::{Observation, Time};
use sqlx::Row as _;

use super::super::Tx;
use super::super::failure::failure;
use super::json;
use crate::batch::{self, span};
use crate::claim::{HistoryRow, MonitorKey};
use crate::error::{Error, Result};
use crate::writer::{HistoryWriter, Known, event, key, section};

/// A series that the batch has rows of.
#[derive(Debug)]
pub(super) struct Met {
    pub(super) id: i64,
    event_id: i64,
    /// First and last instant with a price in the batch.
    first: Time,
    last: Time,
}

/// A row with its price as it is stored and as it is drawn.
pub(super) type Prepared = batch::Prepared<(String, f64)>;

/// Finds or makes the series of every row.
pub(super) async fn resolve(
    tx: &mut Tx,
    writer: &mut HistoryWriter,
    rows: &[HistoryRow<'_>],
) -> Result<(Vec<Met>, Vec<Prepared>)> {
    let mut series: Vec<Met> = Vec::new();
    let mut prepared = Vec::with_capacity(rows.len());
    let mut name = Vec::with_capacity(128);
    // A place in the batch's list is only good for that list.
    writer.batch += 1;
    for row in rows {
        key(row.observation, &mut name);
        let fits = writer.series.get(&*name).is_some_and(|known| {
            *known.event == *event(row.observation) && *known.section == *section(row.observation)
        });
        if !fits {
            let known = find(tx, writer, row.observation).await?;
            // The same series under other labels keeps its place.
            let earlier = writer.series.get(&*name).map(|known| (known.batch, known.place));
            let (batch, place) = earlier.unwrap_or_default();
            if batch == writer.batch
                && let Some(met) = series.get_mut(place)
            {
                met.event_id = known.event_id;
            }
            writer.series.insert(name.clone().into_boxed_slice(), Known { batch, place, ..known });
        }
        let Some(known) = writer.series.get_mut(&*name) else { continue };
        let (at, end) = span(row.observation);
        if known.batch != writer.batch {
            (known.batch, known.place) = (writer.batch, series.len());
            series.push(Met { id: known.id, event_id: known.event_id, first: at, last: end });
        }
        let met = &mut series[known.place];
        (met.first, met.last) = (met.first.min(at), met.last.max(end));
        prepared.push(prepare(known.place, row)?);
    }
    Ok((series, prepared))
}

fn prepare(place: usize, row: &HistoryRow<'_>) -> Result<Prepared> {
    let text = row.observation.price.to_string();
    let value = text.parse::<f64>().map_err(|_| Error::Storage(format!("{text} is not a price")))?;
    Ok(Prepared::of(place, row, (text, value)))
}

/// Finds or makes a series in the database, and gives it the labels of the observation.
async fn find(tx: &mut Tx, writer: &mut HistoryWriter, o: &Observation<'_>) -> Result<Known> {
    let event_id = find_event(tx, writer, o).await?;
    let row = sqlx::query(
        "INSERT INTO series (monitor, source, item, currency, unit, schedule, event, section)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (monitor, source, item, currency, unit, schedule)
         DO UPDATE SET event = excluded.event, section = excluded.section RETURNING id",
    )
    .bind(writer.monitor.0)
    .bind(&*o.source)
    .bind(&*o.item)
    .bind(&*o.currency)
    .bind(o.unit_or_currency())
    .bind(o.slot.is_some())
    .bind(event_id)
    .bind(section(o))
    .fetch_one(&mut **tx)
    .await
    .map_err(|error| failure("cannot store a series", &error))?;
    Ok(Known {
        id: row.get(0),
        event_id,
        event: event(o).into(),
        section: section(o).into(),
        batch: 0,
        place: 0,
        last: None,
        under: (0, 0),
    })
}

async fn find_event(tx: &mut Tx, writer: &mut HistoryWriter, o: &Observation<'_>) -> Result<i64> {
    let name = event(o);
    if let Some(id) = writer.events.get(name) {
        return Ok(*id);
    }
    let MonitorKey(monitor) = writer.monitor;
    let (first, last) = span(o);
    let row = sqlx::query(
        "INSERT INTO events (monitor, event, first_at, last_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (monitor, event) DO UPDATE SET event = excluded.event RETURNING id",
    )
    .bind(monitor)
    .bind(name)
    .bind(first.millis())
    .bind(last.millis())
    .fetch_one(&mut **tx)
    .await
    .map_err(|error| failure("cannot store an event", &error))?;
    writer.events.insert(name.into(), row.get(0));
    Ok(row.get(0))
}

/// Widens the events' spans of time to hold the batch.
pub(super) async fn widen(tx: &mut Tx, series: &[Met]) -> Result<()> {
    let mut spans: ahash::HashMap<i64, (Time, Time)> = ahash::HashMap::default();
    for met in series {
        let span = spans.entry(met.event_id).or_insert((met.first, met.last));
        *span = (span.0.min(met.first), span.1.max(met.last));
    }
    let list: Vec<(i64, i64, i64)> =
        spans.into_iter().map(|(id, (first, last))| (id, first.millis(), last.millis())).collect();
    sqlx::query(
        "UPDATE events SET first_at = min(first_at, j.value ->> 1), last_at = max(last_at, j.value ->> 2)
         FROM json_each(?1) j
         WHERE events.id = j.value ->> 0 AND (first_at > j.value ->> 1 OR last_at < j.value ->> 2)",
    )
    .bind(json(&list)?)
    .execute(&mut **tx)
    .await
    .map_err(|error| failure("cannot store an event", &error))?;
    Ok(())
}
