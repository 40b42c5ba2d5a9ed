//! Deleting records that are old and read, and giving their room back.

use std::sync::atomic::Ordering;

use pricemonitor_model::Time;
use rusqlite::params;

use super::core::{Core, locked};
use super::monitor::{Monitor, Stream};
use super::options::{Keep, Options};
use super::schema;
use super::store::Monitors;
use crate::{Result, Stop, Topic};

/// Stored batches that one transaction deletes, so that appends wait only briefly.
const CHUNK: i64 = 128;
/// Pages given back at a time.
const PAGES: i64 = 512;
/// How long a group that is not working is waited for, in milliseconds: a week.
const FORGOTTEN: i64 = 7 * 86_400_000;

/// Keeps the log in order until `stop`.
pub(super) fn keep(core: &Core, monitors: &Monitors, stop: &Stop) {
    // The first look waits too: by then the readers of this run have said where they stand.
    while !stop.wait(core.options.maintenance) {
        match expire(core, monitors, stop) {
            Ok(0) => {}
            Ok(records) => tracing::debug!(records, "old records were deleted"),
            Err(error) => tracing::warn!("old records could not be deleted, tried again later: {error}"),
        }
    }
}

/// Deletes what may go. Only of monitors that are open: nobody speaks for the readers of others.
pub(super) fn expire(core: &Core, monitors: &Monitors, stop: &Stop) -> Result<u64> {
    let open: Vec<_> = locked(monitors).values().cloned().collect();
    let mut records = 0;
    for monitor in open {
        for (topic, keep) in kept(&core.options) {
            records += by_age(&monitor, topic, keep, stop)?;
            records += by_size(&monitor, topic, keep, stop)?;
        }
    }
    give_back(core, stop)?;
    Ok(records)
}

fn kept(options: &Options) -> [(Topic, Keep); 4] {
    let retention = &options.retention;
    [
        (Topic::Raw, retention.raw),
        (Topic::Processed, retention.processed),
        (Topic::Alerts, retention.alerts),
        (Topic::DeadLetters, retention.dead_letters),
    ]
}

fn by_age(monitor: &Monitor, topic: Topic, keep: Keep, stop: &Stop) -> Result<u64> {
    let age = i64::try_from(keep.age.as_millis()).unwrap_or(i64::MAX);
    let before = monitor.now().plus(age.saturating_neg());
    let mut records = 0;
    for stream in monitor.streams_of(topic) {
        loop {
            let gone = delete(monitor, stream, before, u64::MAX)?;
            records += gone;
            if gone == 0 || stop.is_stopped() {
                break;
            }
        }
    }
    Ok(records)
}

fn by_size(monitor: &Monitor, topic: Topic, keep: Keep, stop: &Stop) -> Result<u64> {
    let mut records = 0;
    let mut streams: Vec<&Stream> = monitor.streams_of(topic).iter().collect();
    while !stop.is_stopped() {
        let size = |stream: &Stream| stream.bytes.load(Ordering::Acquire);
        let over = streams_size(monitor, topic).saturating_sub(keep.bytes);
        // From the largest partition first; one from which nothing may go is passed over.
        let Some(at) = (0..streams.len()).max_by_key(|at| size(streams[*at])) else { break };
        if over == 0 {
            break;
        }
        let gone = delete(monitor, streams[at], Time::MAX, over)?;
        records += gone;
        if gone == 0 {
            streams.swap_remove(at);
        }
    }
    Ok(records)
}

fn streams_size(monitor: &Monitor, topic: Topic) -> u64 {
    monitor.streams_of(topic).iter().map(|stream| stream.bytes.load(Ordering::Acquire)).sum()
}

/// Before which offset everybody has read.
fn read_by_all(monitor: &Monitor, stream: &Stream) -> u64 {
    let index = monitor.index(stream.topic, stream.partition);
    let now = monitor.now();
    locked(&monitor.progress)
        .of
        .iter()
        .filter(|((of, _), reached)| *of == index && (reached.joined || now.since(reached.seen) < FORGOTTEN))
        .map(|(_, reached)| reached.next)
        .min()
        .unwrap_or(u64::MAX)
        .min(stream.next())
}

/// Deletes the oldest batches of a partition: older than `before`, read by all, and no more than
/// needed for `bytes`. Tells how many records went.
fn delete(monitor: &Monitor, stream: &Stream, before: Time, bytes: u64) -> Result<u64> {
    let limit = read_by_all(monitor, stream);
    let (first, left) = (stream.first(), stream.bytes.load(Ordering::Acquire));
    if first >= limit {
        return Ok(0);
    }
    let (mut to, mut freed) = (first, 0);
    monitor.core.look(|conn| {
        let mut query = conn.prepare_cached(
            "SELECT id, records, at, length(bytes) FROM batches WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
        )?;
        let (from, end) =
            (schema::batch_id(stream.id, first), schema::batch_id(stream.id, limit.min(stream.next())));
        let mut rows = query.query([from, end, CHUNK])?;
        while let Some(row) = rows.next()? {
            let next = schema::base_offset(row.get(0)?) + u64::from(row.get::<_, u32>(1)?);
            if next > limit || freed >= bytes || Time::from_millis(row.get(2)?) >= before {
                break;
            }
            to = next;
            freed += row.get::<_, i64>(3)? as u64;
        }
        Ok(())
    })?;
    if to == first {
        return Ok(0);
    }
    monitor.core.write(
        |tx| {
            tx.prepare_cached("DELETE FROM batches WHERE id >= ? AND id < ?")?
                .execute([schema::batch_id(stream.id, first), schema::batch_id(stream.id, to)])?;
            // Appends change the size too: what stands in the file now counts.
            tx.prepare_cached("UPDATE streams SET first_offset = ?, bytes = max(0, bytes - ?) WHERE id = ?")?
                .execute(params![to as i64, freed as i64, stream.id])?;
            Ok(())
        },
        |()| {
            stream.first.store(to, Ordering::Release);
            let bytes = stream.bytes.load(Ordering::Acquire);
            stream.bytes.store(bytes.saturating_sub(freed), Ordering::Release);
        },
    )?;
    tracing::trace!(monitor = %monitor.id, topic = ?stream.topic, partition = stream.partition, to, left, "deleted");
    Ok(to - first)
}

/// Gives free pages back to the file system, in small steps.
fn give_back(core: &Core, stop: &Stop) -> Result<()> {
    loop {
        let free: i64 = core.tend(|conn| conn.query_row("PRAGMA freelist_count", [], |row| row.get(0)))?;
        if free <= PAGES || stop.is_stopped() {
            return Ok(());
        }
        core.tend(|conn| {
            let mut vacuum = conn.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
            let mut rows = vacuum.query([])?;
            while rows.next()?.is_some() {}
            Ok(())
        })?;
    }
}
