//! Reading batches.

use std::ops::Range;
use std::path::Path;

use pricemonitor_model::Time;
use rusqlite::Connection;

use super::core::Fault;
use super::monitor::{Monitor, Stream};
use super::{frame, schema, trouble};
use crate::{Record, Result};

/// A connection of its own for one loop.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) conn: Connection,
}

/// Stored batches in memory; the room is kept from one fetch to the next, up to a limit.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    bytes: Vec<u8>,
    blobs: Vec<Place>,
    records: usize,
}

#[derive(Debug)]
struct Place {
    base: u64,
    records: u32,
    at: Time,
    bytes: Range<usize>,
}

/// Room that is kept for the next fetch.
const KEPT: usize = 1 << 20;

impl Fetched {
    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.blobs.clear();
        self.records = 0;
    }

    /// The records from offset `from` on.
    pub(super) fn records(&self, from: u64) -> Result<Vec<Record<'_>>> {
        let mut records = Vec::with_capacity(self.records);
        for blob in &self.blobs {
            let mut rest = &self.bytes[blob.bytes.clone()];
            for offset in blob.base..blob.base + u64::from(blob.records) {
                let (key, value) = frame::take(&mut rest)?;
                if offset >= from {
                    records.push(Record { offset, timestamp: blob.at, key, value });
                }
            }
            if !rest.is_empty() {
                return Err(trouble::damaged(&format!("the batch at offset {} is too long", blob.base)));
            }
        }
        Ok(records)
    }
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Reader> {
        Ok(Reader { conn: schema::open_reader(path)? })
    }

    /// Fetches whole stored batches from the one with offset `from` on, until there are `records`
    /// or `bytes`; at least one if there is any.
    pub(super) fn fetch(
        &self,
        monitor: &Monitor,
        stream: &Stream,
        from: u64,
        most: Most,
        into: &mut Fetched,
    ) -> Result<()> {
        into.clear();
        self.query(stream, from, most, into).map_err(|fault| monitor.core.told(fault))
    }

    fn query(
        &self,
        stream: &Stream,
        from: u64,
        most: Most,
        into: &mut Fetched,
    ) -> std::result::Result<(), Fault> {
        let mut query = self.conn.prepare_cached(
            "SELECT id, records, at, bytes, plain FROM batches
             WHERE id >= coalesce((SELECT max(id) FROM batches WHERE id BETWEEN ?1 AND ?2), ?2) AND id < ?3
             ORDER BY id",
        )?;
        let mut rows = query.query([
            schema::batch_id(stream.id, 0),
            schema::batch_id(stream.id, from),
            schema::batch_id(stream.id + 1, 0),
        ])?;
        while let Some(row) = rows.next()? {
            let records: u32 = row.get(1)?;
            let base = schema::base_offset(row.get(0)?);
            if base + u64::from(records) <= from {
                continue;
            }
            let start = into.bytes.len();
            let stored = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
            frame::decompress(stored, row.get::<_, u32>(4)? as usize, &mut into.bytes)?;
            let at = Time::from_millis(row.get(2)?);
            into.blobs.push(Place { base, records, at, bytes: start..into.bytes.len() });
            into.records += records as usize;
            if into.records >= most.records || into.bytes.len() >= most.bytes {
                break;
            }
        }
        Ok(())
    }
}

/// How much to fetch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    pub(super) records: usize,
    pub(super) bytes: usize,
}
