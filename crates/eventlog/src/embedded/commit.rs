//! What changes in the file, all in one transaction.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pricemonitor_model::Time;
use pricemonitor_model::partition::partition_of;
use rusqlite::{Transaction, params};

use super::core::{Fault, locked};
use super::frame::{self, Blob};
use super::monitor::Monitor;
use super::schema;
use crate::{Error, LARGEST, Out, Result, Sent, Topic};

/// How often sinks' positions go along with a transaction.
const HINTS: Duration = Duration::from_secs(1);

/// Ownership of a partition by one member of a group.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) index: usize,
    pub(super) group: String,
    pub(super) epoch: i64,
    pub(super) next: u64,
}

/// A transaction that is being put together.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// Claims that must hold, and where each moves to.
    pub(super) moves: Vec<(Claim, u64)>,
    /// Stream, key and value of checkpoints.
    pub(super) checkpoints: Vec<(usize, Vec<u8>, Vec<u8>)>,
    /// Batches by stream.
    blobs: Vec<Vec<Blob>>,
    /// Records for readers, who are woken for them.
    records: usize,
}

impl Change {
    /// Adds a record to a topic of records. `everywhere`: one without key and partition goes to
    /// every partition, else to the first.
    pub(super) fn put(&mut self, monitor: &Monitor, write: &Sent<'_>, everywhere: bool) -> Result<()> {
        let topic = write.topic;
        let info = monitor.topic(topic);
        let size = write.key.map_or(0, <[u8]>::len) + write.value.map_or(0, <[u8]>::len);
        if size > LARGEST {
            return Err(Error::TooLarge(format!(
                "a record of {size} bytes is too large for `{}`: at most {LARGEST} are possible",
                info.name
            )));
        }
        self.blobs.resize_with(monitor.streams.len(), Vec::new);
        let partition = match (write.partition, write.key) {
            (Some(partition), _) if partition >= info.partitions => {
                return Err(Error::Worker(format!(
                    "`{}` has no partition {partition}, only {}",
                    info.name, info.partitions
                )));
            }
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_of(key, info.partitions),
            (None, None) if everywhere => {
                for partition in 0..info.partitions {
                    self.one(monitor.index(topic, partition), write);
                }
                return Ok(());
            }
            (None, None) => 0,
        };
        self.one(monitor.index(topic, partition), write);
        Ok(())
    }

    fn one(&mut self, index: usize, write: &Sent<'_>) {
        frame::put(&mut self.blobs[index], write.key, write.value);
        self.records += 1;
    }

    /// Compresses what readers will read. Not state: its entries are small numbers, and a restart reads
    /// them all.
    fn compress(&mut self, monitor: &Monitor) {
        let streams = self.blobs.iter_mut().zip(&monitor.streams);
        let records = streams.filter(|(_, stream)| stream.topic != Topic::State);
        records.flat_map(|(blobs, _)| blobs).for_each(Blob::compress);
    }

    /// Adds changed state to the state topic's stream `index`.
    pub(super) fn state(&mut self, monitor: &Monitor, index: usize, out: &Out) {
        self.blobs.resize_with(monitor.streams.len(), Vec::new);
        for (key, value) in out.states() {
            frame::put(&mut self.blobs[index], Some(key), value);
        }
    }
}

/// What a transaction did, to be published once it is committed.
struct Done {
    at: Time,
    heads: Vec<(usize, u64, u64)>,
    hints: Vec<((usize, String), u64)>,
}

impl Monitor {
    /// Makes `change` durable, all or nothing. Tells the time that its records have.
    ///
    /// # Errors
    /// [`Error::Fenced`] when a claim does not hold any more; [`Error::Retry`] and
    /// [`Error::Storage`] as SQLite says. Nothing happened.
    pub(super) fn commit(&self, change: &mut Change) -> Result<Time> {
        // Here, where nobody waits for it.
        change.compress(self);
        let change = &*change;
        let done = self.core.write(|tx| self.transact(tx, change), |done| self.publish(change, done))?;
        if change.records > 0 {
            self.bell.ring();
        }
        Ok(done.at)
    }

    /// Writes sinks' positions to the file now.
    pub(super) fn store_hints(&self) -> Result<()> {
        let none = Change::default();
        let store = |tx: &Transaction<'_>| {
            let at = self.now();
            Ok(Done { at, heads: Vec::new(), hints: self.hints(tx, at, Duration::ZERO)? })
        };
        self.core.write(store, |done| self.publish(&none, done)).map(|_| ())
    }

    fn transact(&self, tx: &Transaction<'_>, change: &Change) -> std::result::Result<Done, Fault> {
        let at = self.now();
        for (claim, to) in &change.moves {
            self.advance(tx, claim, *to, at)?;
        }
        for (index, source, checkpoint) in &change.checkpoints {
            tx.prepare_cached("REPLACE INTO keyed (stream, key, value) VALUES (?, ?, ?)")?
                .execute(params![self.streams[*index].id, source, checkpoint])?;
        }
        let mut heads = Vec::new();
        for (index, blobs) in change.blobs.iter().enumerate().filter(|(_, blobs)| !blobs.is_empty()) {
            heads.push(self.append(tx, index, blobs, at)?);
        }
        Ok(Done { at, heads, hints: self.hints(tx, at, HINTS)? })
    }

    pub(super) fn advance(
        &self,
        tx: &Transaction<'_>,
        claim: &Claim,
        to: u64,
        at: Time,
    ) -> std::result::Result<(), Fault> {
        let stream = &self.streams[claim.index];
        let moved = tx
            .prepare_cached(
                "UPDATE positions SET next_offset = ?, seen = ?
                 WHERE stream = ? AND reader = ? AND epoch = ? AND next_offset = ?",
            )?
            .execute(params![
                to as i64,
                at.millis(),
                stream.id,
                claim.group,
                claim.epoch,
                claim.next as i64
            ])?;
        if moved == 1 {
            return Ok(());
        }
        Err(Fault::Refused(Error::Fenced(format!(
            "another member of `{}` has taken over partition {} of `{}`: this one must end",
            claim.group,
            stream.partition,
            self.topic(stream.topic).name
        ))))
    }

    fn append(
        &self,
        tx: &Transaction<'_>,
        index: usize,
        blobs: &[Blob],
        at: Time,
    ) -> std::result::Result<(usize, u64, u64), Fault> {
        let stream = &self.streams[index];
        let (mut next, mut bytes) = (stream.next(), stream.bytes.load(Ordering::Acquire));
        let mut insert =
            tx.prepare_cached("INSERT INTO batches (id, records, at, plain, bytes) VALUES (?, ?, ?, ?, ?)")?;
        for blob in blobs {
            let id = schema::batch_id(stream.id, next);
            insert.execute(params![id, blob.records, at.millis(), blob.plain as i64, blob.bytes])?;
            next += u64::from(blob.records);
            bytes += blob.bytes.len() as u64;
        }
        tx.prepare_cached("UPDATE streams SET next_offset = ?, last_at = ?, bytes = ? WHERE id = ?")?
            .execute(params![next as i64, at.millis(), bytes as i64, stream.id])?;
        Ok((index, next, bytes))
    }

    /// Positions of sinks that moved on, when they have not been written for `every`.
    fn hints(
        &self,
        tx: &Transaction<'_>,
        at: Time,
        every: Duration,
    ) -> rusqlite::Result<Vec<((usize, String), u64)>> {
        let progress = locked(&self.progress);
        if progress.stored_at.is_some_and(|last| last.elapsed() < every) {
            return Ok(Vec::new());
        }
        let mut hints = Vec::new();
        let mut update = tx.prepare_cached(
            "UPDATE positions SET next_offset = ?, seen = ? WHERE stream = ? AND reader = ?",
        )?;
        for ((index, group), reached) in
            progress.of.iter().filter(|(_, reached)| reached.next != reached.stored)
        {
            update.execute(params![reached.next as i64, at.millis(), self.streams[*index].id, group])?;
            hints.push(((*index, group.clone()), reached.next));
        }
        Ok(hints)
    }

    fn publish(&self, change: &Change, done: &Done) {
        for &(index, next, bytes) in &done.heads {
            self.streams[index].bytes.store(bytes, Ordering::Release);
            self.streams[index].next.store(next, Ordering::Release);
        }
        if !done.heads.is_empty() {
            self.reached_time(done.at);
        }
        let mut progress = locked(&self.progress);
        for (claim, to) in &change.moves {
            if let Some(reached) = progress.of.get_mut(&(claim.index, claim.group.clone())) {
                (reached.next, reached.stored, reached.seen) = (*to, *to, done.at);
            }
        }
        for (who, next) in &done.hints {
            if let Some(reached) = progress.of.get_mut(who) {
                reached.stored = *next;
            }
        }
        if !done.hints.is_empty() {
            progress.stored_at = Some(Instant::now());
        }
    }

    /// Takes partitions over for `group`: whoever had them is fenced from now on. `at` is where a
    /// sink stands; `None` keeps what is stored, or begins at the oldest record.
    pub(super) fn claim(&self, group: &str, of: &[(usize, Option<u64>)]) -> Result<Vec<Claim>> {
        let take = |tx: &Transaction<'_>| -> std::result::Result<Vec<Claim>, Fault> {
            of.iter().map(|&(index, at)| Ok(self.take(tx, group, index, at)?)).collect()
        };
        self.core.write(take, |claims| {
            for claim in claims {
                self.reached(claim.index, group, claim.next);
            }
            let mut progress = locked(&self.progress);
            for claim in claims {
                if let Some(reached) = progress.of.get_mut(&(claim.index, claim.group.clone())) {
                    reached.stored = claim.next;
                }
            }
        })
    }

    fn take(
        &self,
        tx: &Transaction<'_>,
        group: &str,
        index: usize,
        at: Option<u64>,
    ) -> rusqlite::Result<Claim> {
        let stream = &self.streams[index];
        let incarnation = self.topic(stream.topic).incarnation.0 as i64;
        let start = at.unwrap_or_else(|| stream.first()) as i64;
        let now = self.now().millis();
        tx.prepare_cached(
            "INSERT INTO positions (stream, reader, epoch, incarnation, next_offset, seen)
             VALUES (?1, ?2, 1, ?3, ?4, ?5)
             ON CONFLICT (stream, reader) DO UPDATE SET epoch = epoch + 1, seen = excluded.seen,
                 next_offset = iif(?6, excluded.next_offset, next_offset)
             RETURNING epoch, next_offset",
        )?
        .query_row(params![stream.id, group, incarnation, start, now, at.is_some()], |row| {
            let next = row.get::<_, i64>(1)? as u64;
            Ok(Claim { index, group: group.to_owned(), epoch: row.get(0)?, next })
        })
    }
}
