//! One process at a time has a file.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::sidecar;
use crate::error::{Error, Result};

/// The claim on a file, given up when dropped, and by the operating system when the process ends in whatever way.
///
/// It is on a file of its own, which stays: the sidecar is replaced with every batch, the CSV file may be moved away, and
/// on some systems nobody could read what is locked.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Claims `file`, whose folder is there. Waits for nobody.
    pub(super) fn take(file: &Path) -> Result<Lock> {
        let path = path(file);
        let lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| Error::file("cannot open", &path, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Lock { _file: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::Busy(format!(
                "{} is being written by another process, which has locked {}: it is tried again until that one has \
                 handed it over or ended",
                file.display(),
                path.display()
            ))),
            Err(TryLockError::Error(error)) => Err(Error::Storage(format!(
                "cannot lock {}: {error}; the CSV file needs a file system that knows locks",
                path.display()
            ))),
        }
    }
}

/// `<file>.lock`.
fn path(file: &Path) -> PathBuf {
    sidecar::with(file, ".lock")
}
