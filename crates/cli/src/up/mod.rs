//! `pricemonitor up`: monitors in one process, on the embedded log and SQLite.

mod background;
mod banner;
mod console;
mod monitor;
mod signals;
mod web;

use std::sync::Arc;
use std::time::Duration;

use pricemonitor_config::Secrets;
use pricemonitor_eventlog::embedded::{EmbeddedStore, Options};
use pricemonitor_store::Database;
use pricemonitor_workers::{Health, Metrics, Witness};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::args::UpArgs;
use crate::exit::{Failure, Result};
use crate::input::{self, Loaded};
use crate::logging;
use monitor::Running;
use signals::Signals;

/// Lines that may wait for the console; more are counted, not waited for.
const CONSOLE_ROOM: usize = 1024;

/// How long the page, the console and the housekeeping may take to end, all together.
const LAST_PARTS: Duration = Duration::from_millis(500);
/// How long the database may take to close; it needs no closing to be whole.
const CLOSE: Duration = Duration::from_millis(250);

/// Everything that the monitors of one process share.
pub(crate) struct Shared {
    pub(crate) log: EmbeddedStore,
    pub(crate) database: Database,
    pub(crate) secrets: Secrets,
    pub(crate) secrets_dir: Option<std::path::PathBuf>,
    pub(crate) data_dir: std::path::PathBuf,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    pub(crate) witness: Witness,
    pub(crate) runtime: tokio::runtime::Handle,
    /// Where a worker that cannot go on says so; the process then ends in order.
    pub(crate) fatal: mpsc::Sender<String>,
}

/// Runs until a signal, or until a worker cannot go on.
pub(crate) fn run(args: UpArgs) -> Result<()> {
    logging::start(args.log_format);
    let loaded = input::manifests(&args.files)?;
    let secrets = input::secrets(&args.secrets)?;
    // Two threads serve the page and the sources' waits; the workers have threads of their own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16)
        .enable_all()
        .build()
        .map_err(Failure::runtime)?;
    let result = everything(&args, loaded, secrets, &runtime);
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}

fn everything(args: &UpArgs, loaded: Vec<Loaded>, secrets: Secrets, runtime: &Runtime) -> Result<()> {
    // From here on a signal means an end in order, also one that comes while everything starts.
    let signals = Signals::listen()?;
    // The port first: it is the most likely thing to be taken, and nothing has happened yet.
    let bound = runtime.block_on(web::bind(args))?;
    let (fatal, mut died) = mpsc::channel(8);
    let (witness, seen) = Witness::channel(CONSOLE_ROOM);
    let log = EmbeddedStore::open(&args.data.data_dir, Options::default()).map_err(Failure::input)?;
    let database = runtime
        .block_on(Database::open_sqlite(&args.data.data_dir.join("prices.sqlite")))
        .map_err(Failure::input)?;
    let shared = Arc::new(Shared {
        log,
        database,
        secrets,
        secrets_dir: args.secrets.secrets_dir.clone(),
        data_dir: args.data.data_dir.clone(),
        health: Health::new(),
        metrics: Metrics::new().map_err(Failure::runtime)?,
        witness: witness.clone(),
        runtime: runtime.handle().clone(),
        fatal,
    });
    banner::print(args, &loaded, bound.address());

    let stop = CancellationToken::new();
    let console = console::Console::new(args, loaded.len() > 1, witness);
    let console = runtime.spawn(console.run(seen, shared.metrics.clone(), stop.clone()));
    let page = runtime.spawn(web::serve(bound, web::Access::of(args), shared.clone(), stop.clone()));
    let mut running = Vec::new();
    let mut started = Ok(());
    for one in loaded {
        match Running::start(one, shared.clone()) {
            Ok(monitor) => running.push(monitor),
            Err(failure) => {
                started = Err(failure);
                break;
            }
        }
    }
    if started.is_ok() {
        shared.health.all_expected();
    }
    let background =
        runtime.spawn(background::run(shared.clone(), background::watched(&running), stop.clone()));

    let ended = started.and_then(|()| runtime.block_on(signals.first(&mut died)));
    let flushed = monitor::stop_in_order(running, &shared);
    stop.cancel();
    runtime.block_on(async {
        // Whatever hangs here has nothing left to lose.
        let _ = tokio::time::timeout(LAST_PARTS, async { tokio::join!(background, page, console) }).await;
        let _ = tokio::time::timeout(CLOSE, shared.database.close()).await;
    });
    banner::goodbye(args, &flushed);
    ended
}
