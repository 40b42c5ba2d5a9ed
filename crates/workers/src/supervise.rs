//! Keeping a worker's thread alive, and ending it in order.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pricemonitor_eventlog::{Error, Stop};

use crate::at_work::AtWork;
use crate::clock::now;
use crate::health::{Health, Part};
use crate::metrics::MonitorMetrics;

/// First wait before a worker that failed is started again.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How often a joiner looks whether the worker has ended.
const LOOK: Duration = Duration::from_millis(2);

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
    /// (see [`is_final`]) end the worker, and `fatal` is told. One that a newer program or manifest has
    /// superseded stands still with the reason until it is stopped. A panic is an error like others: what
    /// was not committed is gone with the run's own state, and the next run reads it again.
    ///
    /// The worker counts as well once `run` has said so by the [`AtWork`] that it is given.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        name: &'static str,
        monitor: &str,
        health: Health,
        metrics: MonitorMetrics,
        fatal: impl Fn(String) + Send + 'static,
        mut run: impl FnMut(&Stop, &AtWork) -> Result<(), Error> + Send + 'static,
    ) -> std::io::Result<Worker> {
        let stop = Stop::new();
        let (seen, part) = (stop.clone(), Part::worker(monitor, name));
        health.expect(&part);
        metrics.worker_started(name).set(now().millis() as f64 / 1000.0);
        // There from the beginning, so that the first restart is seen as a rise.
        metrics.restarts(name).inc_by(0);
        let at_work = AtWork::new(health.clone(), part.clone());
        let thread = std::thread::Builder::new().name(format!("pm-{name}")).spawn(move || {
            let mut wait = FIRST_WAIT;
            loop {
                let started = Instant::now();
                let ended = catch_unwind(AssertUnwindSafe(|| run(&seen, &at_work)))
                    .unwrap_or_else(|_| Err(Error::Worker("ended by a bug (panic); see the log".to_owned())));
                let error = match ended {
                    Ok(()) => return Ok(()),
                    Err(_) if seen.is_stopped() => return Ok(()),
                    Err(error) => error,
                };
                if health.ill(&part, error.to_string()) {
                    tracing::error!(monitor = %part.monitor, worker = name, "{error}");
                }
                if matches!(error, Error::Superseded(_)) {
                    // A newer process does the work. To end would be to be restarted, and to come into its way again.
                    while !seen.wait(LONGEST_WAIT) {}
                    return Ok(());
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

    /// Waits for the worker's end until `deadline`, then leaves it behind: it may hang in a disk or a
    /// database that does not answer, and what it has not committed is read again at the next start.
    ///
    /// # Errors
    /// The error that ended it, or that it did not end.
    pub fn join(mut self, deadline: Instant) -> Result<(), Error> {
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            if Instant::now() >= deadline {
                return Err(Error::Worker(format!(
                    "the {} did not end in time; nothing is lost, the next start goes on",
                    self.name
                )));
            }
            std::thread::sleep(LOOK);
        }
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

/// Whether no restart can mend the error: another process took over, a newer program or manifest was at
/// the data, a server refused this program, or a position must be decided upon by a person.
pub fn is_final(error: &Error) -> bool {
    matches!(
        error,
        Error::Fenced(_)
            | Error::InUse(_)
            | Error::Newer(_)
            | Error::Position(_)
            | Error::Refused(_)
            | Error::Superseded(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn start(run: impl FnMut(&Stop, &AtWork) -> Result<(), Error> + Send + 'static) -> (Worker, Health) {
        let (health, metrics) = (Health::new(), Metrics::new().unwrap().monitor("default.a"));
        let worker = Worker::start("processor", "default.a", health.clone(), metrics, |_| (), run).unwrap();
        (worker, health)
    }

    #[test]
    fn a_panic_is_shown_and_the_worker_runs_again() {
        let (told, again) = std::sync::mpsc::channel();
        let mut runs = 0;
        let (worker, health) = start(move |stop, at_work| {
            runs += 1;
            assert!(runs > 1, "a bug");
            at_work.say();
            told.send(()).unwrap();
            stop.wait(Duration::from_secs(60));
            Ok(())
        });
        again.recv_timeout(Duration::from_secs(10)).unwrap();
        health.all_expected();
        assert_eq!(health.ready(), Ok(()));
        worker.stop();
        worker.join(Instant::now() + Duration::from_secs(10)).unwrap();
    }

    #[test]
    fn when_a_worker_began_is_told_once_however_often_it_runs_again() {
        let (health, metrics) = (Health::new(), Metrics::new().unwrap().monitor("default.a"));
        let before = now().millis() as f64 / 1000.0;
        let (told, again) = std::sync::mpsc::channel();
        let (run, seen) = (metrics.clone(), metrics.clone());
        let worker = Worker::start(
            "processor",
            "default.a",
            health,
            run,
            |_| (),
            move |_, _| {
                told.send(seen.worker_started("processor").get()).unwrap();
                Err(Error::Worker("again".to_owned()))
            },
        );
        let worker = worker.unwrap();
        let [first, second] = [(); 2].map(|()| again.recv_timeout(Duration::from_secs(10)).unwrap());
        assert!((before..before + 10.0).contains(&first), "{first} is not now, {before}");
        assert_eq!(first, second, "a worker that runs again is in the same process");
        worker.stop();
        worker.join(Instant::now() + Duration::from_secs(10)).unwrap();
    }

    #[test]
    fn a_worker_that_a_newer_one_superseded_stands_still_with_the_reason_until_it_is_stopped() {
        let (told, hears) = std::sync::mpsc::channel();
        let (worker, health) = start(move |_, _| {
            told.send(()).unwrap();
            Err(Error::Superseded("generation 2".to_owned()))
        });
        hears.recv_timeout(Duration::from_secs(10)).unwrap();
        health.all_expected();
        assert!(hears.recv_timeout(FIRST_WAIT * 3).is_err(), "it runs once");
        assert!(health.ready().unwrap_err()[0].contains("generation 2"));
        worker.stop();
        worker.join(Instant::now() + Duration::from_secs(10)).unwrap();
    }

    #[test]
    fn a_worker_that_hangs_is_left_behind() {
        let (worker, _) = start(|_, _| {
            std::thread::sleep(Duration::from_secs(30));
            Ok(())
        });
        worker.stop();
        let error = worker.join(Instant::now() + Duration::from_millis(20)).unwrap_err();
        assert!(error.to_string().contains("did not end in time"), "{error}");
    }
}
