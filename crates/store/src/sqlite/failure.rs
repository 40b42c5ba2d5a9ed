//! SQLite's errors in our words.

use crate::error::Error;

/// Primary result codes of SQLite.
const BUSY: i64 = 5;
const LOCKED: i64 = 6;
const READ_ONLY: i64 = 8;
const CORRUPT: i64 = 11;
const FULL: i64 = 13;
const CANNOT_OPEN: i64 = 14;
const NOT_A_DATABASE: i64 = 26;

/// `doing` says what could not be done.
pub(super) fn failure(doing: &str, error: &sqlx::Error) -> Error {
    match error {
        sqlx::Error::PoolTimedOut => return Error::Busy(format!("{doing}: it is busy")),
        sqlx::Error::PoolClosed => return Error::Storage(format!("{doing}: it is closed")),
        _ => {}
    }
    match code(error) {
        Some(BUSY | LOCKED) => Error::Busy(format!("{doing}: another process is writing to it")),
        // Nothing is lost and the writer tries again: somebody makes room, and it goes on.
        Some(FULL) => Error::Busy(format!("{doing}: the disk is full, make room")),
        Some(READ_ONLY) => Error::Storage(format!("{doing}: it may not be written, check its permissions")),
        Some(CANNOT_OPEN) => {
            Error::Storage(format!("{doing}: check that the folder exists and may be written"))
        }
        Some(NOT_A_DATABASE) => Error::Storage(format!("{doing}: it is not a SQLite database")),
        Some(CORRUPT) => Error::Storage(format!("{doing}: it is damaged, restore it from a backup: {error}")),
        _ => Error::Storage(format!("{doing}: {error}")),
    }
}

/// Whether another process has the file for now.
pub(super) fn locked(error: &sqlx::Error) -> bool {
    matches!(code(error), Some(BUSY | LOCKED))
}

/// The primary result code, where the error is SQLite's own.
fn code(error: &sqlx::Error) -> Option<i64> {
    let sqlx::Error::Database(database) = error else { return None };
    database.code()?.parse::<i64>().ok().map(|code| code & 0xff)
}
