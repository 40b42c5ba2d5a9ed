//! One monitor's workers in this process.

use std::sync::Arc;

use pricemonitor_config::Monitor;
use pricemonitor_eventlog::{Log, Topic};
use pricemonitor_sources::Context;
use pricemonitor_store::Database;
use pricemonitor_store::csv::CsvSink;
use pricemonitor_workers::MonitorMetrics;
use pricemonitor_workers::alert::Wake;
use pricemonitor_workers::supervise::Worker;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::starter::Starter;
use super::{Ground, Roles, Shared};
use crate::exit::{Failure, Result};
use crate::input::Loaded;

/// A worker that reads, with its group and topic.
pub(crate) type Reader = (&'static str, String, Topic);

/// A monitor at work.
pub(crate) struct Running {
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) log: Log,
    pub(crate) database: Option<Database>,
    pub(crate) metrics: MonitorMetrics,
    /// Names of the workers that read, with their group and topic, for lag.
    pub(crate) readers: Vec<Reader>,
    pub(super) producer: Option<Worker>,
    pub(super) processor: Option<Worker>,
    pub(super) sinks: Vec<Worker>,
    pub(super) senders: Vec<Sending>,
}

/// A sender at work; it ends when this is dropped.
pub(super) struct Sending {
    pub(super) cancel: DropGuard,
    pub(super) task: JoinHandle<()>,
}

impl Sending {
    pub(super) fn new(cancel: CancellationToken, task: JoinHandle<()>) -> Sending {
        Sending { cancel: cancel.drop_guard(), task }
    }
}

impl Running {
    /// Starts a monitor's workers of these roles: readers first, so that nothing waits when prices come. Its database
    /// knows it already. Nothing here asks a server, which may be away again.
    pub(crate) fn start(
        loaded: Loaded,
        ground: Ground,
        roles: Roles,
        shared: Arc<Shared>,
    ) -> Result<Running> {
        let monitor = Arc::new(loaded.monitor);
        // What a person can put right is told before anything runs, so that no message is under way then.
        let sources = if roles.producer { Some(sources(&monitor, &loaded.base_dir, &shared)?) } else { None };
        if let Some(csv) = monitor.csv.as_ref().filter(|_| roles.storage) {
            match CsvSink::open(&shared.data_dir.join(&csv.path), &csv.source) {
                // Another process has it now: the worker waits for its turn.
                Err(error) if error.is_transient() => tracing::warn!(monitor = %monitor.id, "{error}"),
                opened => drop(opened.map_err(Failure::input)?),
            }
        }
        let mut starter = Starter::new(monitor, shared, ground);
        let (mut sinks, mut senders) = (Vec::new(), Vec::new());
        if let Some(database) = starter.database.clone().filter(|_| roles.alert) {
            let wake = Wake::default();
            senders = starter.senders(&database, &wake)?;
            sinks.push(starter.alerts(&database, &wake)?);
        }
        if roles.storage {
            sinks.extend(starter.history()?);
            sinks.extend(starter.csv()?);
        }
        let processor = if roles.processor { Some(starter.processor()?) } else { None };
        let suspended = starter.monitor.suspend;
        let producer = match sources {
            Some(sources) if !suspended => Some(starter.producer(sources)?),
            _ => None,
        };
        let Starter { monitor, log, database, metrics, readers, .. } = starter;
        Ok(Running { monitor, log, database, metrics, readers, producer, processor, sinks, senders })
    }
}

/// Makes each source once, so that a mistake in one ends the start, not a poll. Those of a suspended
/// monitor are not made: their secrets may be missing.
fn sources(monitor: &Monitor, base_dir: &std::path::Path, shared: &Shared) -> Result<Arc<Context>> {
    let context = Context {
        base_dir: base_dir.to_owned(),
        secrets: shared.secrets.clone(),
        secrets_dir: shared.secrets_dir.clone(),
    };
    for source in monitor.sources.iter().filter(|_| !monitor.suspend) {
        pricemonitor_sources::build(source, &context).map_err(|why| {
            Failure::input(format!("{}, source `{}`: {why}", monitor.id.name(), source.name))
        })?;
    }
    Ok(Arc::new(context))
}
