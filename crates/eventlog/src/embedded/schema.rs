//! The tables of `log.sqlite`, and how a connection to it is set up.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::options::{Durability, Options};
use super::trouble;
use crate::{Error, Result};

/// Marks the file as ours (`PrMn`).
const APPLICATION_ID: i32 = 0x5072_4d6e;

/// Step `n` brings the file from format `n` to format `n + 1`; their number is the format.
///
/// - `streams`: one row for each partition of each topic.
/// - `batches`: records, and changes of state. The id is the stream's id and the first record's offset
///   ([`batch_id`]), so reading a partition is one walk along the table.
/// - `keyed`: the checkpoints; only the last of a source is kept.
/// - `positions`: where a group stands. Of a fold it is the authority and changes with the state; of
///   a sink a hint for retention and lag. `epoch` grows with each owner, so that an earlier one is
///   fenced.
const STEPS: &[&str] = &[
    "
    CREATE TABLE topics (
        id INTEGER PRIMARY KEY, monitor TEXT NOT NULL, topic TEXT NOT NULL, name TEXT NOT NULL,
        partitions INTEGER NOT NULL, incarnation INTEGER NOT NULL, created INTEGER NOT NULL,
        UNIQUE (monitor, topic)) STRICT;
    CREATE TABLE streams (
        id INTEGER PRIMARY KEY, topic INTEGER NOT NULL REFERENCES topics (id), partition INTEGER NOT NULL,
        first_offset INTEGER NOT NULL, next_offset INTEGER NOT NULL, last_at INTEGER NOT NULL,
        bytes INTEGER NOT NULL, UNIQUE (topic, partition)) STRICT;
    CREATE TABLE batches (
        id INTEGER PRIMARY KEY, records INTEGER NOT NULL, at INTEGER NOT NULL, bytes BLOB NOT NULL) STRICT;
    CREATE TABLE keyed (
        stream INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (stream, key)) STRICT, WITHOUT ROWID;
    CREATE TABLE positions (
        stream INTEGER NOT NULL, reader TEXT NOT NULL, epoch INTEGER NOT NULL, incarnation INTEGER NOT NULL,
        next_offset INTEGER NOT NULL, seen INTEGER NOT NULL,
        PRIMARY KEY (stream, reader)) STRICT, WITHOUT ROWID;
",
    "
    -- Size of `bytes` before compression; 0: not compressed.
    ALTER TABLE batches ADD COLUMN plain INTEGER NOT NULL DEFAULT 0;
",
];

/// Bits of a batch id that are the offset: 8.8 million million records a partition.
const OFFSET_BITS: u32 = 43;
/// Streams that fit into the rest.
pub(super) const MAX_STREAMS: i64 = 1 << (63 - OFFSET_BITS);

/// The id of the batch that begins at `offset` of `stream`.
pub(super) fn batch_id(stream: i64, offset: u64) -> i64 {
    (stream << OFFSET_BITS) | (offset as i64 & ((1 << OFFSET_BITS) - 1))
}

/// The offset at which the batch with this id begins.
pub(super) fn base_offset(id: i64) -> u64 {
    (id & ((1 << OFFSET_BITS) - 1)) as u64
}

/// Opens the connection that writes, brings the file to this program's format.
pub(super) fn open_writer(path: &Path, options: &Options) -> Result<Connection> {
    let explain = |error: rusqlite::Error| trouble::opening(path, &error);
    let mut conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(explain)?;
    let sync = match options.durability {
        Durability::Full => "FULL",
        Durability::Normal => "NORMAL",
    };
    // Room freed by retention is given back; the write-ahead log is folded in every 16 MiB. Pages of
    // 8 kB halve the system calls of large batches and still make small commits cheap.
    conn.execute_batch(&format!(
        "PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = {sync};
         PRAGMA busy_timeout = 2000; PRAGMA wal_autocheckpoint = 2000; PRAGMA journal_size_limit = 67108864;
         PRAGMA cache_size = -8192;"
    ))
    .map_err(explain)?;
    conn.set_prepared_statement_cache_capacity(32);
    migrate(&mut conn, path, STEPS)?;
    limit(&conn, options.max_bytes).map_err(explain)?;
    Ok(conn)
}

/// Opens a connection that reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection> {
    let explain = |error: rusqlite::Error| trouble::running(path, &error);
    let conn =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(explain)?;
    conn.execute_batch("PRAGMA busy_timeout = 2000; PRAGMA cache_size = -1024;").map_err(explain)?;
    Ok(conn)
}

/// Sets the most that the file may grow to.
pub(super) fn limit(conn: &Connection, max_bytes: Option<u64>) -> rusqlite::Result<()> {
    let page: i64 = conn.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let pages = max_bytes.map_or(0xffff_fffe, |bytes| (bytes / page.max(1) as u64).clamp(1, 0xffff_fffe));
    conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
}

/// Refuses a file of another format: who only reads cannot bring it to this one.
pub(super) fn is_current(conn: &Connection, path: &Path) -> Result<()> {
    let (format, id) = versions(conn).map_err(|error| trouble::opening(path, &error))?;
    if id != APPLICATION_ID {
        return Err(foreign(path));
    }
    if format > STEPS.len() {
        return Err(newer(path, format, STEPS.len()));
    }
    if format < STEPS.len() {
        return Err(Error::Storage(format!(
            "`{}` has the older format {format}: start `pricemonitor up` of this version once, which brings it to format {}",
            path.display(),
            STEPS.len()
        )));
    }
    Ok(())
}

fn foreign(path: &Path) -> Error {
    Error::Storage(format!(
        "`{}` belongs to another program: move it away, or choose another folder with --data-dir",
        path.display()
    ))
}

fn newer(path: &Path, format: usize, known: usize) -> Error {
    Error::Newer(format!(
        "`{}` has format {format}, this program knows formats up to {known}: use the newer pricemonitor that wrote it, or another folder with --data-dir",
        path.display()
    ))
}

fn migrate(conn: &mut Connection, path: &Path, steps: &[&str]) -> Result<()> {
    let explain = |error: rusqlite::Error| trouble::opening(path, &error);
    let (format, id) = versions(conn).map_err(explain)?;
    let tables: i64 =
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(explain)?;
    if id != APPLICATION_ID && (tables > 0 || format > 0) {
        return Err(foreign(path));
    }
    if format > steps.len() {
        return Err(newer(path, format, steps.len()));
    }
    if format == steps.len() {
        return Ok(());
    }
    let tx = conn.transaction().map_err(explain)?;
    for step in &steps[format..] {
        tx.execute_batch(step).map_err(explain)?;
    }
    tx.pragma_update(None, "user_version", steps.len() as i64).map_err(explain)?;
    tx.pragma_update(None, "application_id", APPLICATION_ID).map_err(explain)?;
    tx.commit().map_err(explain)?;
    if format > 0 {
        tracing::info!(file = %path.display(), from = format, to = steps.len(), "the event log was migrated");
    }
    Ok(())
}

fn versions(conn: &Connection) -> rusqlite::Result<(usize, i32)> {
    let format: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let id = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    Ok((usize::try_from(format).unwrap_or(usize::MAX), id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_format_is_brought_to_the_newest_and_keeps_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.sqlite");
        let mut conn = Connection::open(&path).unwrap();
        let one = "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (7);";
        let two = "ALTER TABLE a ADD COLUMN y INTEGER NOT NULL DEFAULT 8;";
        migrate(&mut conn, &path, &[one]).unwrap();
        migrate(&mut conn, &path, &[one, two]).unwrap();
        let row: (i64, i64) =
            conn.query_row("SELECT x, y FROM a", [], |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
        assert_eq!(row, (7, 8));
        let newer = migrate(&mut conn, &path, &[one]).unwrap_err();
        assert!(matches!(newer, Error::Newer(_)), "{newer}");
    }

    #[test]
    fn a_failed_migration_leaves_the_older_format_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.sqlite");
        let mut conn = Connection::open(&path).unwrap();
        let one = "CREATE TABLE a (x INTEGER);";
        migrate(&mut conn, &path, &[one]).unwrap();
        migrate(&mut conn, &path, &[one, "CREATE TABLE b (x INTEGER); CREATE TABLE a (x INTEGER);"])
            .unwrap_err();
        assert_eq!(versions(&conn).unwrap().0, 1);
        let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0)).unwrap();
        assert_eq!(tables, 1);
    }

    #[test]
    fn a_batch_id_keeps_stream_and_offset_apart() {
        let id = batch_id(MAX_STREAMS - 1, (1 << OFFSET_BITS) - 1);
        assert!(id > 0);
        assert_eq!(base_offset(id), (1 << OFFSET_BITS) - 1);
        assert!(batch_id(1, (1 << OFFSET_BITS) - 1) < batch_id(2, 0));
    }
}
