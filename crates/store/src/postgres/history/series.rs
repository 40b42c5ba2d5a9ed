//! Which series an observation belongs to.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use ahash::HashMap;
use pricemonitor_model::Observation;
use sqlx::{PgConnection, Row as _};

use super::super::failure::failure;
use super::super::values::{original, stored};
use crate::batch::{Last, Prepared};
use crate::claim::{HistoryRow, MonitorKey};
use crate::error::{Error, Result};
use crate::writer::{HistoryWriter, Known, event, key, section};

/// A series that the batch has rows of.
#[derive(Debug)]
pub(super) struct Met {
    pub(super) id: i64,
    /// Its last row in the batch, whose labels are the series' from now on.
    row: usize,
    /// The database does not know it, or under other labels.
    unsettled: bool,
    /// Its latest stored row, if that is known for sure.
    pub(super) last: Option<Last>,
    pub(super) sure: bool,
}

/// Finds or makes the series of every row. `under` is the claim (stream, epoch) of the batch.
pub(super) async fn resolve(
    connection: &mut PgConnection,
    writer: &mut HistoryWriter,
    under: (i64, i64),
    rows: &[HistoryRow<'_>],
) -> Result<(Vec<Met>, Vec<Prepared>)> {
    let (mut met, prepared) = meet(writer, under, rows);
    let unsettled: Vec<usize> = (0..met.len()).filter(|place| met[*place].unsettled).collect();
    if !unsettled.is_empty() {
        settle(connection, writer, rows, &mut met, unsettled).await?;
    }
    Ok((met, prepared))
}

/// Gives every row the place of its series. No I/O: what is not in memory is met as unsettled.
fn meet(writer: &mut HistoryWriter, under: (i64, i64), rows: &[HistoryRow<'_>]) -> (Vec<Met>, Vec<Prepared>) {
    let mut met: Vec<Met> = Vec::new();
    let mut prepared = Vec::with_capacity(rows.len());
    let mut name = Vec::with_capacity(128);
    // A place in the batch's list is only good for that list.
    writer.batch += 1;
    for (at, row) in rows.iter().enumerate() {
        let (event, section) = (event(row.observation), section(row.observation));
        key(row.observation, &mut name);
        if !writer.series.contains_key(&*name) {
            writer.series.insert(name.clone().into_boxed_slice(), unknown());
        }
        let Some(known) = writer.series.get_mut(&*name) else { continue };
        if known.batch != writer.batch {
            (known.batch, known.place) = (writer.batch, met.len());
            let sure = known.under == under;
            met.push(Met { id: known.id, row: at, unsettled: known.id == 0, last: known.last, sure });
        }
        let met = &mut met[known.place];
        met.row = at;
        if *known.event != *event || *known.section != *section {
            met.unsettled = true;
            (known.event, known.section) = (event.into(), section.into());
        }
        prepared.push(Prepared::of(known.place, row, ()));
    }
    (met, prepared)
}

/// A series that memory does not hold.
fn unknown() -> Known {
    Known {
        id: 0,
        event_id: 0,
        event: "".into(),
        section: "".into(),
        batch: 0,
        place: 0,
        last: None,
        under: (0, 0),
    }
}

/// Remembers what the batch has made of its series.
pub(super) fn remember(
    writer: &mut HistoryWriter,
    under: (i64, i64),
    rows: &[HistoryRow<'_>],
    met: &[Met],
    last: Vec<Option<Last>>,
) {
    let mut name = Vec::with_capacity(128);
    for (met, last) in met.iter().zip(last) {
        key(rows[met.row].observation, &mut name);
        if let Some(known) = writer.series.get_mut(&*name) {
            (known.id, known.last, known.under) = (met.id, last, under);
        }
    }
}

/// Finds the unsettled series in the database, gives them their labels, makes those that are missing. A
/// batch costs the same few statements, however many they are.
async fn settle(
    connection: &mut PgConnection,
    writer: &mut HistoryWriter,
    rows: &[HistoryRow<'_>],
    met: &mut [Met],
    unsettled: Vec<usize>,
) -> Result<()> {
    let monitor = writer.monitor;
    let of = |met: &[Met], place: usize| rows[met[place].row].observation;
    let observations: Vec<&Observation<'_>> = unsettled.iter().map(|place| of(met, *place)).collect();
    let found = find(connection, monitor, &observations).await?;
    let mut to_store = Vec::new();
    for ((place, observation), found) in unsettled.into_iter().zip(&observations).zip(found) {
        match found {
            Some(found) => {
                met[place].id = found.id;
                if found.event != event(observation) || found.section != section(observation) {
                    to_store.push(place);
                }
            }
            None => {
                // It has no rows yet.
                (met[place].last, met[place].sure) = (None, true);
                to_store.push(place);
            }
        }
    }
    if to_store.is_empty() {
        return Ok(());
    }
    // Everybody in the same order, so that writers of one monitor never wait for each other in a circle.
    let mut name = Vec::new();
    let mut ordered: Vec<(Vec<u8>, usize)> = to_store
        .into_iter()
        .map(|place| {
            key(of(met, place), &mut name);
            (name.clone(), place)
        })
        .collect();
    ordered.sort_unstable();
    let observations: Vec<&Observation<'_>> = ordered.iter().map(|(_, place)| of(met, *place)).collect();
    let events = events(connection, writer, &observations).await?;
    store(connection, monitor, &observations, &events).await?;
    let stored = find(connection, monitor, &observations).await?;
    for ((_, place), found) in ordered.into_iter().zip(stored) {
        let found = found.ok_or_else(|| Error::Busy("a series vanished while it was stored".to_owned()))?;
        met[place].id = found.id;
    }
    Ok(())
}

/// A series in the database.
struct Found {
    id: i64,
    event: String,
    section: String,
}

/// The identities of series as columns.
struct Columns<'o> {
    source: Vec<Cow<'o, str>>,
    item: Vec<Cow<'o, str>>,
    currency: Vec<Cow<'o, str>>,
    unit: Vec<Cow<'o, str>>,
    schedule: Vec<bool>,
}

impl<'o> Columns<'o> {
    fn of(observations: &[&'o Observation<'o>]) -> Columns<'o> {
        Columns {
            source: observations.iter().map(|o| stored(&o.source)).collect(),
            item: observations.iter().map(|o| stored(&o.item)).collect(),
            currency: observations.iter().map(|o| stored(&o.currency)).collect(),
            unit: observations.iter().map(|o| stored(o.unit_or_currency())).collect(),
            schedule: observations.iter().map(|o| o.slot.is_some()).collect(),
        }
    }
}

/// What the database knows of each.
async fn find(
    connection: &mut PgConnection,
    MonitorKey(monitor): MonitorKey,
    observations: &[&Observation<'_>],
) -> Result<Vec<Option<Found>>> {
    let columns = Columns::of(observations);
    let rows = sqlx::query(
        "SELECT u.place, s.id, e.event, s.section
         FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bool[]) WITH ORDINALITY
              AS u (source, item, currency, unit, schedule, place)
         CROSS JOIN LATERAL (
             SELECT * FROM series s
             WHERE s.monitor = $1 AND s.source = u.source AND s.item = u.item AND s.currency = u.currency
               AND s.unit = u.unit AND s.schedule = u.schedule OFFSET 0) s
         JOIN events e ON e.id = s.event",
    )
    .bind(monitor)
    .bind(columns.source)
    .bind(columns.item)
    .bind(columns.currency)
    .bind(columns.unit)
    .bind(columns.schedule)
    .fetch_all(&mut *connection)
    .await
    .map_err(|error| failure("cannot read the series", &error))?;
    let mut found: Vec<Option<Found>> = observations.iter().map(|_| None).collect();
    for row in rows {
        let place = usize::try_from(row.get::<i64, _>(0) - 1).unwrap_or(usize::MAX);
        if let Some(found) = found.get_mut(place) {
            let (event, section) = (original(row.get(2)), original(row.get(3)));
            *found = Some(Found { id: row.get(1), event, section });
        }
    }
    Ok(found)
}

/// Stores series under the labels of the observations.
async fn store(
    connection: &mut PgConnection,
    MonitorKey(monitor): MonitorKey,
    observations: &[&Observation<'_>],
    events: &HashMap<String, i64>,
) -> Result<()> {
    let columns = Columns::of(observations);
    let event_ids: Vec<i64> =
        observations.iter().map(|o| events.get(event(o)).copied().unwrap_or_default()).collect();
    let sections: Vec<_> = observations.iter().map(|o| stored(section(o))).collect();
    sqlx::query(
        "INSERT INTO series AS s (monitor, source, item, currency, unit, schedule, event, section)
         SELECT $1, u.source, u.item, u.currency, u.unit, u.schedule, u.event, u.section
         FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bool[], $7::bigint[], $8::text[])
              WITH ORDINALITY AS u (source, item, currency, unit, schedule, event, section, place)
         ORDER BY u.place
         ON CONFLICT (monitor, source, item, currency, unit, schedule)
         DO UPDATE SET event = excluded.event, section = excluded.section",
    )
    .bind(monitor)
    .bind(columns.source)
    .bind(columns.item)
    .bind(columns.currency)
    .bind(columns.unit)
    .bind(columns.schedule)
    .bind(event_ids)
    .bind(sections)
    .execute(&mut *connection)
    .await
    .map_err(|error| failure("cannot store series", &error))?;
    Ok(())
}

/// The numbers of the observations' events, which are made where they are missing.
async fn events(
    connection: &mut PgConnection,
    writer: &mut HistoryWriter,
    observations: &[&Observation<'_>],
) -> Result<HashMap<String, i64>> {
    let failed = |error| failure("cannot store events", &error);
    let wanted: BTreeSet<&str> = observations.iter().map(|o| event(o)).collect();
    let missing: BTreeMap<_, &str> = wanted
        .iter()
        .filter(|name| !writer.events.contains_key(**name))
        .map(|name| (stored(name), *name))
        .collect();
    if !missing.is_empty() {
        let MonitorKey(monitor) = writer.monitor;
        let names: Vec<&str> = missing.keys().map(|name| &**name).collect();
        let sql = "INSERT INTO events (monitor, event)
                   SELECT $1, e FROM unnest($2::text[]) AS e
                   WHERE NOT EXISTS (SELECT FROM events k WHERE k.monitor = $1 AND k.event = e)
                   ORDER BY e COLLATE \"C\" ON CONFLICT (monitor, event) DO NOTHING";
        sqlx::query(sql).bind(monitor).bind(&names).execute(&mut *connection).await.map_err(failed)?;
        let sql = "SELECT id, event FROM events WHERE monitor = $1 AND event = ANY($2)";
        let rows =
            sqlx::query(sql).bind(monitor).bind(&names).fetch_all(&mut *connection).await.map_err(failed)?;
        for row in rows {
            writer.events.insert(original(row.get(1)).into(), row.get(0));
        }
    }
    let known = wanted.into_iter().filter_map(|name| Some((name.to_owned(), *writer.events.get(name)?)));
    Ok(known.collect())
}
