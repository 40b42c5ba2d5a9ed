//! The workers of monitors in one process, whoever runs them: `up` runs all of them, `run` one kind.

mod background;
pub(crate) mod connect;
pub(crate) mod host;
pub(crate) mod monitor;
mod signals;
mod starter;
pub(crate) mod stop;
pub(crate) mod web;

use std::path::PathBuf;

use pricemonitor_config::Secrets;
use pricemonitor_eventlog::Log;
use pricemonitor_store::Database;
use pricemonitor_workers::{Health, Metrics, Witness};
use tokio::sync::mpsc;

/// Everything that the monitors of one process share.
pub(crate) struct Shared {
    pub(crate) secrets: Secrets,
    pub(crate) secrets_dir: Option<PathBuf>,
    /// Folder of what is written into files.
    pub(crate) data_dir: PathBuf,
    /// Name of this process among its like, the same over its restarts.
    pub(crate) instance: String,
    /// Whether a reader that missed deleted records goes on behind them; only a person can want that.
    pub(crate) skip_deleted: bool,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    /// Told of every change and alert.
    pub(crate) witness: Witness,
    pub(crate) runtime: tokio::runtime::Handle,
    /// Where a worker that cannot go on says so; the process then ends in order.
    pub(crate) fatal: mpsc::Sender<String>,
}

/// What the workers of one monitor stand on.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) log: Log,
    /// `None` where a monitor keeps its history in a CSV file alone.
    pub(crate) database: Option<Database>,
}

/// Which workers of a monitor run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Roles {
    pub(crate) producer: bool,
    pub(crate) processor: bool,
    pub(crate) storage: bool,
    pub(crate) alert: bool,
}

impl Roles {
    /// All of them.
    pub(crate) const ALL: Roles = Roles { producer: true, processor: true, storage: true, alert: true };
    /// None of them.
    pub(crate) const NONE: Roles = Roles { producer: false, processor: false, storage: false, alert: false };
}
