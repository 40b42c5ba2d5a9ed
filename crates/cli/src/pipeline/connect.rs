//! Waiting for servers: again and again, with bounded waits, the reason told to whoever asks.

use std::sync::Arc;
use std::time::Duration;

use pricemonitor_config::Monitor;
use pricemonitor_eventlog::kafka::{Connection, KafkaLog, Options};
use pricemonitor_eventlog::{Layout, Log, Stop};
use pricemonitor_store::{Database, Error, postgres};
use pricemonitor_workers::health::Part;
use pricemonitor_workers::{Health, Observing, now};
use tokio::runtime::Handle;

use super::Shared;
use crate::exit::{Failure, Result};

/// First wait before a server that did not answer is asked again.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Why something could not be opened.
pub(crate) enum Trouble {
    /// It may go over by itself.
    Passing(String),
    /// A person has to do something.
    Final(String),
}

/// How long is waited, and who hears of it.
pub(crate) struct Waiting<'a> {
    pub(crate) health: &'a Health,
    pub(crate) stop: &'a Stop,
    /// After so long the trouble is final; `None` waits until stopped.
    pub(crate) patience: Option<Duration>,
}

impl Waiting<'_> {
    /// Tries until it works. `None`: stopped first.
    ///
    /// # Errors
    /// What only a person can put right, or what went on for too long.
    pub(crate) fn until<T>(
        &self,
        part: &Part,
        mut attempt: impl FnMut() -> std::result::Result<T, Trouble>,
    ) -> Result<Option<T>> {
        let begun = std::time::Instant::now();
        let mut wait = FIRST_WAIT;
        self.health.expect(part);
        loop {
            let why = match attempt() {
                Ok(opened) => {
                    self.health.well(part);
                    return Ok(Some(opened));
                }
                Err(Trouble::Final(why)) => return Err(Failure::input(why)),
                Err(Trouble::Passing(why)) => why,
            };
            if self.health.ill(part, why.clone()) {
                tracing::warn!(monitor = part.monitor, "waiting: {why}");
            }
            if self.patience.is_some_and(|patience| begun.elapsed() >= patience) {
                return Err(Failure::input(format!("{why} (given up after {:?})", begun.elapsed())));
            }
            if self.stop.wait(wait) {
                return Ok(None);
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}

/// The shape of a monitor's log.
pub(crate) fn layout(monitor: &Monitor) -> Layout {
    Layout { partitions: monitor.partitions, names: monitor.topics.clone() }
}

/// Opens the log of a monitor on a cluster. Topics that are not there yet are waited for: somebody may be
/// about to run `pricemonitor setup`.
pub(crate) fn kafka(
    waiting: &Waiting<'_>,
    connection: &Connection,
    monitor: &Monitor,
    shared: &Shared,
) -> Result<Option<Log>> {
    let id = monitor.id.as_str();
    let part = Part::worker(id, "kafka");
    let observer = Arc::new(Observing::new(id, shared.metrics.monitor(id), shared.health.clone()));
    waiting.until(&part, || {
        let options = Options {
            config_epoch: monitor.generation,
            observer: observer.clone(),
            skip_deleted: shared.skip_deleted,
            ..Options::default()
        };
        let opened = KafkaLog::open(connection, &monitor.id, &layout(monitor), options);
        opened.map(Log::from).map_err(|error| trouble(&error))
    })
}

/// What an error of the log means for somebody who waits for it.
pub(crate) fn trouble(error: &pricemonitor_eventlog::Error) -> Trouble {
    use pricemonitor_eventlog::Error::{Ambiguous, Position, Retry};
    match error {
        Retry(why) | Ambiguous(why) | Position(why) => Trouble::Passing(why.clone()),
        final_one => Trouble::Final(final_one.to_string()),
    }
}

/// Opens the database of a monitor.
pub(crate) fn postgres(
    waiting: &Waiting<'_>,
    runtime: &Handle,
    settings: &postgres::Settings,
    monitor: &str,
) -> Result<Option<Database>> {
    let part = Part::worker(monitor, "postgres");
    waiting.until(&part, || {
        runtime.block_on(Database::open_postgres(settings)).map_err(|error| of_store(&error))
    })
}

/// Makes a monitor known to its database. Since that was opened it may have gone away again, while another server was
/// waited for: then it is waited for anew. `None`: stopped first.
pub(crate) fn register(
    waiting: &Waiting<'_>,
    runtime: &Handle,
    database: &Database,
    monitor: &Monitor,
    whose: &str,
) -> Result<Option<()>> {
    waiting.until(&Part::worker(whose, "postgres"), || {
        let register = database.register(&monitor.id, monitor.retention, now());
        runtime.block_on(register).map(drop).map_err(|error| of_store(&error))
    })
}

/// What an error of the database means for somebody who waits for it.
fn of_store(error: &Error) -> Trouble {
    let why = error.to_string();
    match error {
        // Somebody may be about to run `pricemonitor setup`.
        Error::Unprepared(_) => Trouble::Passing(why),
        error if error.is_transient() => Trouble::Passing(why),
        _ => Trouble::Final(why),
    }
}
