//! What SQLite says, in sentences that tell what to do.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::Error;

/// An error of a transaction or a query on the open log. Whatever failed was rolled back whole, so
/// what may pass by itself is a [`Error::Retry`].
pub(super) fn running(path: &Path, error: &rusqlite::Error) -> Error {
    let file = path.display();
    match code(error) {
        Some(ErrorCode::DiskFull) => Error::Retry(format!(
            "no room left for `{file}`: the disk or the log's size limit is full; free some space, nothing acknowledged is lost"
        )),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::Retry(format!("`{file}` is locked by another program: close whatever has it open"))
        }
        Some(ErrorCode::SystemIoFailure) => Error::Retry(format!(
            "`{file}` could not be read or written ({error}): look after the disk and its free space"
        )),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::Storage(format!(
            "`{file}` is damaged or not an event log ({error}): put a copy back, or move it away to start a new log"
        )),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            Error::Storage(format!(
                "`{file}` cannot be written ({error}): make its folder writable for this user, or choose another with --data-dir"
            ))
        }
        _ => Error::Storage(format!("`{file}`: {error}")),
    }
}

/// An error while the log is being opened: nobody waits for it to pass.
pub(super) fn opening(path: &Path, error: &rusqlite::Error) -> Error {
    match running(path, error) {
        Error::Retry(text) => Error::Storage(text),
        other => other,
    }
}

/// The file is readable, but what stands in it makes no sense.
pub(super) fn damaged(what: &str) -> Error {
    Error::Storage(format!(
        "the event log is damaged: {what}; put a copy of log.sqlite back, or move it away to start a new log"
    ))
}

fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => Some(failure.code),
        _ => None,
    }
}
