//! The state topic: changes of keys, one after the other, compacted now and then.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use rusqlite::{CachedStatement, Connection, Rows, params};

use super::commit::Claim;
use super::core::Fault;
use super::frame::{self, Blob};
use super::monitor::{Monitor, Stream};
use super::read::Reader;
use super::schema;
use crate::Result;

/// Changes are compacted when they are this many times as long as what is live ...
const TIMES: u64 = 3;
/// ... and at least this long, in bytes.
const LEAST: u64 = 4 * 1024 * 1024;

/// How long a partition's changes may grow when `live` bytes of them count.
pub(super) fn compact_at(live: u64) -> u64 {
    LEAST.max(live.saturating_mul(TIMES))
}

/// The query that [`Live::read`] runs.
pub(super) fn query(conn: &Connection) -> rusqlite::Result<CachedStatement<'_>> {
    conn.prepare_cached("SELECT bytes, records FROM batches WHERE id >= ? AND id < ? ORDER BY id DESC")
}

/// Key and value.
type Entry = (Vec<u8>, Vec<u8>);

/// The last value of every key, each once, read from the newest change to the oldest. Keeps the
/// keys in memory, not the values.
pub(super) struct Live<'q> {
    rows: Rows<'q>,
    seen: HashSet<Box<[u8]>, ahash::RandomState>,
    waiting: Vec<Entry>,
    bytes: u64,
}

impl<'q> Live<'q> {
    pub(super) fn read(query: &'q mut CachedStatement<'_>, stream: &Stream) -> rusqlite::Result<Live<'q>> {
        let range = [schema::batch_id(stream.id, 0), schema::batch_id(stream.id + 1, 0)];
        let rows = query.query(range)?;
        Ok(Live { rows, seen: HashSet::default(), waiting: Vec::new(), bytes: 0 })
    }

    /// The next key and value.
    pub(super) fn take(&mut self) -> Option<std::result::Result<Entry, Fault>> {
        while self.waiting.is_empty() {
            match self.more() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(fault) => return Some(Err(fault)),
            }
        }
        self.waiting.pop().map(Ok)
    }

    /// Bytes of keys and values taken so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn more(&mut self) -> std::result::Result<bool, Fault> {
        let Some(row) = self.rows.next()? else { return Ok(false) };
        let mut rest = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        let records: u32 = row.get(1)?;
        let mut changes = Vec::with_capacity(records as usize);
        for _ in 0..records {
            changes.push(frame::take(&mut rest)?);
        }
        for (key, value) in changes.into_iter().rev() {
            let key = key.unwrap_or_default();
            if self.seen.contains(key) {
                continue;
            }
            self.seen.insert(key.into());
            if let Some(value) = value {
                self.bytes += (key.len() + value.len()) as u64;
                self.waiting.push((key.to_vec(), value.to_vec()));
            }
        }
        Ok(true)
    }
}

/// Replaces the changes of stream `index` by what is live of them. Tells how many bytes that is.
///
/// The transaction holds the writer for as long as it takes to read the changes: about a second for
/// a gigabyte.
pub(super) fn compact(monitor: &Monitor, reader: &Reader, claim: &Claim, index: usize) -> Result<u64> {
    let stream = &monitor.streams[index];
    let before = stream.bytes.load(Ordering::Acquire);
    let compacted = monitor.core.write(
        |tx| {
            // Whoever lost the partition leaves its state alone.
            monitor.advance(tx, claim, claim.next, monitor.now())?;
            // The reader sees what was committed before this transaction, whatever is deleted here.
            let mut query = query(&reader.conn)?;
            let mut live = Live::read(&mut query, stream)?;
            tx.prepare_cached("DELETE FROM batches WHERE id >= ? AND id < ?")?
                .execute([schema::batch_id(stream.id, 0), schema::batch_id(stream.id + 1, 0)])?;
            let mut packed = Packed { next: 0, bytes: 0 };
            let mut blobs: Vec<Blob> = Vec::new();
            while let Some(entry) = live.take() {
                let (key, value) = entry?;
                frame::put(&mut blobs, Some(&key), Some(&value));
                if blobs.len() > 1 {
                    packed.put(tx, stream, blobs.remove(0), monitor)?;
                }
            }
            for blob in blobs {
                packed.put(tx, stream, blob, monitor)?;
            }
            // There are never more live keys than changes: what comes next keeps its offset.
            tx.prepare_cached("UPDATE streams SET bytes = ? WHERE id = ?")?
                .execute(params![packed.bytes as i64, stream.id])?;
            Ok(packed.bytes)
        },
        |bytes| stream.bytes.store(*bytes, Ordering::Release),
    )?;
    tracing::debug!(monitor = %monitor.id, partition = stream.partition, before, after = compacted, "state compacted");
    Ok(compacted)
}

struct Packed {
    next: u64,
    bytes: u64,
}

impl Packed {
    fn put(
        &mut self,
        conn: &Connection,
        stream: &Stream,
        blob: Blob,
        monitor: &Monitor,
    ) -> rusqlite::Result<()> {
        conn.prepare_cached("INSERT INTO batches (id, records, at, bytes) VALUES (?, ?, ?, ?)")?.execute(
            params![schema::batch_id(stream.id, self.next), blob.records, monitor.now().millis(), blob.bytes],
        )?;
        self.next += u64::from(blob.records);
        self.bytes += blob.bytes.len() as u64;
        Ok(())
    }
}
