//! The data folder's log file, shared by several monitors.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use pricemonitor_model::MonitorId;

use super::core::{Core, locked};
use super::folder::FolderLock;
use super::log::EmbeddedLog;
use super::monitor::Monitor;
use super::options::Options;
use super::{retention, schema};
use crate::{Error, Layout, Result, Stop};

/// Name of the file in the data folder.
const FILE: &str = "log.sqlite";

pub(super) type Monitors = Arc<Mutex<HashMap<MonitorId, Arc<Monitor>>>>;

/// The open `log.sqlite` of a data folder. The folder is this process's until the store and every
/// log taken from it are dropped, unless it was opened to be read.
#[derive(Debug)]
pub struct EmbeddedStore {
    core: Arc<Core>,
    monitors: Monitors,
    stop: Stop,
    keeper: Option<JoinHandle<()>>,
}

impl EmbeddedStore {
    /// Opens the log in `dir`, which is made if missing, and starts the thread that keeps it in order.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process has it, [`Error::Newer`] when a newer program wrote it,
    /// [`Error::Storage`] when it cannot be written or is damaged. The sentences tell what to do.
    pub fn open(dir: &Path, options: Options) -> Result<EmbeddedStore> {
        let lock = FolderLock::take(dir)?;
        let core = Arc::new(Core::open(lock, dir.join(FILE), options)?);
        let (monitors, stop) = (Monitors::default(), Stop::new());
        let (tended, known, told) = (core.clone(), monitors.clone(), stop.clone());
        let keeper = std::thread::Builder::new()
            .name("pm-log".to_owned())
            .spawn(move || retention::keep(&tended, &known, &told))
            .map_err(|error| Error::Storage(format!("no thread for the event log ({error})")))?;
        Ok(EmbeddedStore { core, monitors, stop, keeper: Some(keeper) })
    }

    /// Opens the log in `dir` to be read, also while another process works with it. Whatever would write is refused.
    ///
    /// # Errors
    /// [`Error::Storage`] when there is none, [`Error::Newer`]; as [`EmbeddedStore::open`].
    pub fn open_to_read(dir: &Path, options: Options) -> Result<EmbeddedStore> {
        let path = dir.join(FILE);
        if !path.is_file() {
            return Err(Error::Storage(format!(
                "there is no event log in `{}`: name the folder of `pricemonitor up` with --data-dir",
                dir.display()
            )));
        }
        let core = Arc::new(Core::open_to_read(path, options)?);
        Ok(EmbeddedStore { core, monitors: Monitors::default(), stop: Stop::new(), keeper: None })
    }

    /// The log of `id`, whose topics are made on first use.
    ///
    /// # Errors
    /// [`Error::Position`] when the stored topics have another number of partitions.
    pub fn monitor(&self, id: &MonitorId, topics: &Layout) -> Result<EmbeddedLog> {
        let mut monitors = locked(&self.monitors);
        if let Some(open) = monitors.get(id).filter(|open| open.layout == *topics) {
            return Ok(EmbeddedLog(open.clone()));
        }
        if monitors.contains_key(id) {
            return Err(Error::InUse(format!(
                "monitor `{id}` is already open with other topics: give one of them another name"
            )));
        }
        let monitor = Arc::new(Monitor::open(&self.core, id, topics)?);
        monitors.insert(id.clone(), monitor.clone());
        Ok(EmbeddedLog(monitor))
    }

    /// Changes the most that the file may grow to; `None`: what the disk has.
    ///
    /// # Errors
    /// [`Error::Retry`], [`Error::Storage`].
    pub fn set_max_bytes(&self, max_bytes: Option<u64>) -> Result<()> {
        self.core.tend(|conn| schema::limit(conn, max_bytes))
    }

    /// Deletes what retention allows to delete, now. Otherwise done every
    /// [`Options::maintenance`]. Tells how many records went.
    ///
    /// # Errors
    /// [`Error::Retry`], [`Error::Storage`].
    pub fn expire(&self) -> Result<u64> {
        retention::expire(&self.core, &self.monitors, &self.stop)
    }

    /// Writes everything back into the one file and lets go of it, like dropping.
    pub fn close(self) {}
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(keeper) = self.keeper.take()
            && keeper.join().is_err()
        {
            tracing::error!("the event log's housekeeping ended by a bug (panic)");
        }
        if !self.core.writes() {
            return;
        }
        for monitor in locked(&self.monitors).values() {
            if let Err(error) = monitor.store_hints() {
                tracing::debug!(monitor = %monitor.id, "positions of sinks were not written: {error}");
            }
        }
        let checkpoint =
            self.core.tend(|conn| conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        if let Err(error) = checkpoint {
            // Nothing is lost: the write-ahead log is read at the next start.
            tracing::warn!("the event log's write-ahead log stays: {error}");
        }
    }
}
