//! The one connection that writes, and what the store's monitors share beside it.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::folder::FolderLock;
use super::options::Options;
use super::{schema, trouble};
use crate::{Error, Result};

/// The open file. The fields are dropped in this order: the claim on the folder goes last.
#[derive(Debug)]
pub(super) struct Core {
    writer: Mutex<Connection>,
    looker: Mutex<Connection>,
    pub(super) path: PathBuf,
    pub(super) options: Options,
    /// Why the last write failed, for people.
    trouble: Mutex<Option<String>>,
    /// `None`: opened to read, beside the process that has the folder.
    lock: Option<FolderLock>,
}

/// What ends a transaction: SQLite, or our own refusal.
pub(super) enum Fault {
    Sqlite(rusqlite::Error),
    Refused(Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Sqlite(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Refused(error)
    }
}

impl Core {
    pub(super) fn open(lock: FolderLock, path: PathBuf, options: Options) -> Result<Core> {
        let writer = schema::open_writer(&path, &options)?;
        let looker = schema::open_reader(&path)?;
        Ok(Core {
            writer: Mutex::new(writer),
            looker: Mutex::new(looker),
            path,
            options,
            trouble: Mutex::new(None),
            lock: Some(lock),
        })
    }

    /// Opens the file without a claim on the folder; whatever writes fails.
    pub(super) fn open_to_read(path: PathBuf, options: Options) -> Result<Core> {
        let (writer, looker) = (schema::open_reader(&path)?, schema::open_reader(&path)?);
        schema::is_current(&looker, &path)?;
        let (writer, looker) = (Mutex::new(writer), Mutex::new(looker));
        Ok(Core { writer, looker, path, options, trouble: Mutex::new(None), lock: None })
    }

    /// Whether this process may write.
    pub(super) fn writes(&self) -> bool {
        self.lock.is_some()
    }

    /// Runs `change` in a transaction and commits it. `after` runs under the same lock, so what it
    /// publishes has the order of the commits. An error means that nothing happened.
    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> std::result::Result<T, Fault>,
        after: impl FnOnce(&T),
    ) -> Result<T> {
        if !self.writes() {
            return Err(Error::InUse(format!(
                "`{}` was opened to be read only: nothing was written",
                self.path.display()
            )));
        }
        let mut conn = locked(&self.writer);
        let result = (|| {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = change(&tx)?;
            tx.commit()?;
            Ok(done)
        })();
        match result {
            Ok(done) => {
                after(&done);
                *locked(&self.trouble) = None;
                Ok(done)
            }
            Err(Fault::Refused(error)) => Err(error),
            Err(Fault::Sqlite(error)) => {
                let error = self.explain(&error);
                *locked(&self.trouble) = Some(error.to_string());
                Err(error)
            }
        }
    }

    /// Runs `task` on the writing connection, outside of a transaction.
    pub(super) fn tend<T>(&self, task: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        task(&locked(&self.writer)).map_err(|error| self.explain(&error))
    }

    /// A quick look at what is committed, on a connection that everybody shares.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        look(&locked(&self.looker)).map_err(|error| self.explain(&error))
    }

    pub(super) fn explain(&self, error: &rusqlite::Error) -> Error {
        trouble::running(&self.path, error)
    }

    pub(super) fn told(&self, fault: Fault) -> Error {
        match fault {
            Fault::Sqlite(error) => self.explain(&error),
            Fault::Refused(error) => error,
        }
    }

    pub(super) fn trouble(&self) -> Option<String> {
        locked(&self.trouble).clone()
    }

    /// Bytes of the file and its write-ahead log.
    pub(super) fn bytes(&self) -> Option<u64> {
        let main = std::fs::metadata(&self.path).ok()?.len();
        let wal = std::fs::metadata(self.path.with_extension("sqlite-wal")).map_or(0, |wal| wal.len());
        Some(main + wal)
    }
}

/// A panic of another thread leaves nothing half done here: SQLite rolls back.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
