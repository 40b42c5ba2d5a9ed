//! One process at work: signals, probes while servers are waited for, the workers, the end in order.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pricemonitor_config::Secrets;
use pricemonitor_dashboard::{Answers, Bound};
use pricemonitor_eventlog::Stop;
use pricemonitor_store::Database;
use pricemonitor_workers::{Health, Metrics, Witness};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::monitor::Running;
use super::signals::Signals;
use super::stop::{Flushed, stop_in_order};
use super::{Ground, Roles, Shared, background, web};
use crate::exit::{Failure, Result};
use crate::input::Loaded;

/// How long what is being opened may take to end after a signal.
const OPENING: Duration = Duration::from_millis(2000);
/// How long the page, the console and the housekeeping may take to end, all together.
const LAST_PARTS: Duration = Duration::from_millis(500);
/// How long the database may take to close; it needs no closing to be whole.
const CLOSE: Duration = Duration::from_millis(250);

/// What a process is given.
pub(crate) struct Given {
    pub(crate) secrets: Secrets,
    pub(crate) secrets_dir: Option<PathBuf>,
    pub(crate) data_dir: PathBuf,
    pub(crate) instance: String,
    pub(crate) skip_deleted: bool,
    pub(crate) witness: Witness,
}

/// A process at work.
pub(crate) struct Host<'r> {
    runtime: &'r Runtime,
    signals: Signals,
    died: mpsc::Receiver<String>,
    pub(crate) shared: Arc<Shared>,
    /// Ends what runs beside the workers.
    pub(crate) stop: CancellationToken,
    /// What runs beside the workers.
    beside: Vec<JoinHandle<()>>,
}

/// Two threads serve the page and the sources' waits; the workers have threads of their own.
pub(crate) fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16)
        .enable_all()
        .build()
        .map_err(Failure::runtime)
}

/// Leaves a runtime behind for the end of the process, which is now. A thread that hangs in it would call the end of the
/// runtime a bug, and panic.
pub(crate) fn leave(runtime: Runtime) {
    std::mem::forget(runtime);
}

/// Name of a process that serves on `address`: the same after a restart, and no other process of this machine has it.
pub(crate) fn instance(address: SocketAddr) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{}-{}", if host.is_empty() { "host" } else { host }, address.port())
}

impl<'r> Host<'r> {
    /// From here on a signal means an end in order, also one that comes while everything starts.
    pub(crate) fn new(runtime: &'r Runtime, given: Given) -> Result<Host<'r>> {
        let signals = Signals::listen()?;
        let (fatal, died) = mpsc::channel(8);
        let shared = Arc::new(Shared {
            secrets: given.secrets,
            secrets_dir: given.secrets_dir,
            data_dir: given.data_dir,
            instance: given.instance,
            skip_deleted: given.skip_deleted,
            health: Health::new(),
            metrics: Metrics::new().map_err(Failure::runtime)?,
            witness: given.witness,
            runtime: runtime.handle().clone(),
            fatal,
        });
        let stop = CancellationToken::new();
        Ok(Host { runtime, signals, died, shared, stop, beside: Vec::new() })
    }

    /// Runs `task` beside the workers; it ends by [`Host::stop`].
    pub(crate) fn beside(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.beside.push(self.runtime.spawn(task));
    }

    /// Answers what Prometheus and probes ask until the end; what is given back takes the page too.
    pub(crate) fn serve(&mut self, bound: Bound) -> Answers {
        let (answers, stop) = (bound.answers(), self.stop.clone());
        answers.only(web::probes(self.shared.clone()));
        self.beside(web::serve(bound, stop));
        answers
    }

    /// Lets `open` wait for servers on a thread of its own. `None`: a signal came first.
    pub(crate) fn connect<T: Send + 'static>(
        &mut self,
        open: impl FnOnce(&Stop) -> Result<Option<T>> + Send + 'static,
    ) -> Result<Option<T>> {
        let stop = Stop::new();
        let asked = stop.clone();
        let mut opening = self.runtime.spawn_blocking(move || open(&asked));
        let (signals, died) = (&mut self.signals, &mut self.died);
        let opened = self.runtime.block_on(async {
            let ended = tokio::select! {
                ended = signals.first(died) => ended,
                opened = &mut opening => return opened.map_err(Failure::runtime).and_then(|opened| opened),
            };
            stop.stop();
            // What it has begun, a database that is being opened, ends in order; what hangs is left behind.
            let _ = tokio::time::timeout(OPENING, opening).await;
            ended.map(|()| None)
        });
        if !matches!(opened, Ok(Some(_))) {
            self.end(Vec::new());
        }
        opened
    }

    /// Starts the workers, waits for a signal or for a worker that cannot go on, and ends everything in
    /// order. `databases` are those in use, each once; they are kept in order where storage runs. With `drain` each
    /// part has time to take what the one before it wrote.
    pub(crate) fn work(
        &mut self,
        monitors: Vec<(Loaded, Ground)>,
        databases: Vec<Database>,
        roles: Roles,
        drain: bool,
    ) -> (Result<()>, Flushed) {
        let mut running = Vec::new();
        let mut started = Ok(());
        for (loaded, ground) in monitors {
            match Running::start(loaded, ground, roles, self.shared.clone()) {
                Ok(monitor) => running.push(monitor),
                Err(failure) => {
                    started = Err(failure);
                    break;
                }
            }
        }
        if started.is_ok() {
            self.shared.health.all_expected();
        }
        let watched = background::watched(&running, roles);
        let (health, stop) = (self.shared.health.clone(), self.stop.clone());
        self.beside(background::databases(health.clone(), databases.clone(), stop.clone()));
        let kept = if roles.storage { databases.clone() } else { Vec::new() };
        self.beside(background::run(health, watched, kept, stop));
        let (signals, died) = (&mut self.signals, &mut self.died);
        let ended = started.and_then(|()| self.runtime.block_on(signals.first(died)));
        let flushed = stop_in_order(running, &self.shared, drain);
        self.end(databases);
        (ended, flushed)
    }

    /// Ends what runs beside the workers, then closes the databases.
    fn end(&mut self, databases: Vec<Database>) {
        self.stop.cancel();
        let beside = std::mem::take(&mut self.beside);
        self.runtime.block_on(async {
            // Whatever hangs here has nothing left to lose.
            let _ = tokio::time::timeout(LAST_PARTS, futures::future::join_all(beside)).await;
            for database in databases {
                let _ = tokio::time::timeout(CLOSE, database.close()).await;
            }
        });
    }
}
