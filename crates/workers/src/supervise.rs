//! Keeping a worker's thread alive, and ending it in order.

use std::thread::JoinHandle;
use std::time::Duration;

use pricemonitor_eventlog::{Error, Stop};

use crate::health::{Health, Part};
use crate::metrics::MonitorMetrics;

/// First wait before a worker that failed is started again.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A worker on its own thread.
#[derive(Debug)]
pub struct Worker {
    /// Its name: `producer`, `processor`, `storage`, `csv`, `alert`.
    pub name: &'static str,
    stop: Stop,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Worker {
    /// Starts `run` on a thread. When it fails it is started again after a wait that doubles from
    /// half a second to 30 seconds, with the reason in `health`; errors that no restart can mend
    /// (see [`is_final`]) end the worker, and `fatal` is told.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        name: &'static str,
        monitor: &str,
        health: Health,
        metrics: MonitorMetrics,
        fatal: impl Fn(String) + Send + 'static,
        mut run: impl FnMut(&Stop) -> Result<(), Error> + Send + 'static,
    ) -> std::io::Result<Worker> {
        let stop = Stop::new();
        let (seen, part) = (stop.clone(), Part::worker(monitor, name));
        health.expect(&part);
        let thread = std::thread::Builder::new().name(format!("pm-{name}")).spawn(move || {
            let mut wait = FIRST_WAIT;
            loop {
                health.well(&part);
                let started = std::time::Instant::now();
                let error = match run(&seen) {
                    Ok(()) => return Ok(()),
                    Err(_) if seen.is_stopped() => return Ok(()),
                    Err(error) => error,
                };
                if health.ill(&part, error.to_string()) {
                    tracing::error!(monitor = %part.monitor, worker = name, "{error}");
                }
                if is_final(&error) {
                    fatal(format!("{name} of {}: {error}", part.monitor));
                    return Err(error);
                }
                metrics.restarts(name).inc();
                // A worker that ran for a while has earned a fresh start.
                wait = if started.elapsed() > LONGEST_WAIT { FIRST_WAIT } else { wait };
                if seen.wait(wait) {
                    return Ok(());
                }
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        })?;
        Ok(Worker { name, stop, thread: Some(thread) })
    }

    /// Asks the worker to end after the transaction it is in.
    pub fn stop(&self) {
        self.stop.stop();
    }

    /// Waits for the worker's end.
    ///
    /// # Errors
    /// The error that ended it.
    pub fn join(mut self) -> Result<(), Error> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => {
                Err(Error::Worker(format!("the {} ended by a bug (panic); see the log", self.name)))
            }
            None => Ok(()),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

/// Whether no restart can mend the error: another process took over, a newer program wrote the
/// data, or a position must be decided upon by a person.
pub fn is_final(error: &Error) -> bool {
    matches!(error, Error::Fenced(_) | Error::InUse(_) | Error::Newer(_) | Error::Position(_))
}
