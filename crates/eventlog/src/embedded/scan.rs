//! Looking at the log and putting records back, outside of any group.
//!
//! What is asked here is answered by the file, not by what the process has in memory: so it is also right where another
//! process writes ([`EmbeddedStore::open_to_read`](super::EmbeddedStore::open_to_read)).

use std::ops::{ControlFlow, Range};

use pricemonitor_model::Incarnation;
use rusqlite::{OptionalExtension, params};

use super::commit::Change;
use super::monitor::Monitor;
use super::read::{Fetched, Most, Reader};
use crate::layout::open_to_all;
use crate::{Appended, Ends, Error, Position, Record, Result, Sent, Topic, Write};

/// What is read at a time.
const AT_A_TIME: Most = Most { records: 5_000, bytes: 1 << 20 };

pub(super) fn ends(monitor: &Monitor, topic: Topic) -> Result<Vec<Ends>> {
    let streams = monitor.streams_of(topic);
    monitor.core.look(|conn| {
        let mut query = conn.prepare_cached("SELECT first_offset, next_offset FROM streams WHERE id = ?")?;
        let mut one = |id: i64| {
            query.query_row([id], |row| {
                Ok(Ends { first: row.get::<_, i64>(0)? as u64, end: row.get::<_, i64>(1)? as u64 })
            })
        };
        streams.iter().map(|stream| one(stream.id)).collect()
    })
}

pub(super) fn scan(
    monitor: &Monitor,
    topic: Topic,
    partition: u32,
    asked: Range<u64>,
    each: &mut dyn FnMut(&Record<'_>) -> Result<ControlFlow<()>>,
) -> Result<u64> {
    let ends = ends(monitor, topic)?;
    let Some(&Ends { first, end }) = ends.get(partition as usize) else {
        return Err(Error::Worker(format!(
            "`{}` has no partition {partition}, only {}",
            monitor.topic(topic).name,
            ends.len()
        )));
    };
    let end = end.min(asked.end);
    let mut at = asked.start.max(first);
    if at >= end {
        return Ok(asked.start);
    }
    let reader = Reader::open(&monitor.core.path)?;
    let mut fetched = Fetched::default();
    while at < end {
        reader.fetch(monitor, monitor.stream(topic, partition), at, AT_A_TIME, &mut fetched)?;
        let records = fetched.records(at)?;
        let Some(last) = records.last() else { break };
        at = last.offset + 1;
        for record in records.iter().take_while(|record| record.offset < end) {
            if each(record)?.is_break() {
                return Ok(record.offset + 1);
            }
        }
    }
    Ok(end)
}

pub(super) fn put(monitor: &Monitor, records: &[(Topic, Write)]) -> Result<Appended> {
    let mut change = Change::default();
    for (topic, write) in records {
        open_to_all(*topic)?;
        change.put(monitor, &Sent::of(*topic, write), false)?;
    }
    let at = monitor.commit(&mut change)?;
    Ok(Appended { at, records: records.len() })
}

pub(super) fn folded(monitor: &Monitor, group: &str) -> Result<Vec<Option<Position>>> {
    let streams = monitor.streams_of(Topic::Raw);
    monitor.core.look(|conn| {
        let mut query = conn.prepare_cached(
            "SELECT incarnation, next_offset FROM positions WHERE stream = ? AND reader = ?",
        )?;
        let mut one = |stream: i64| {
            let position = query.query_row(params![stream, group], |row| {
                let incarnation = Incarnation(row.get::<_, i64>(0)? as u64);
                Ok(Position { incarnation, next_offset: row.get::<_, i64>(1)? as u64 })
            });
            position.optional()
        };
        streams.iter().map(|stream| one(stream.id)).collect()
    })
}
