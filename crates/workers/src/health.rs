//! What works and what does not, for `/readyz`, the console and the page.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The state of every part of the process, by name. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<Part, State>>>, Arc<AtomicBool>);

/// A part of the process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Id of the monitor; empty for what all of them share.
    pub monitor: String,
    /// `worker`, `source` or `channel`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// With how far it is, if it tells.
    Starting(String),
    Well,
    Ill(String),
    /// Wanted so (a channel without its secret), shown but no failure.
    Off(String),
}

/// One thing a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The part it is about.
    pub part: Part,
    /// Whether it is a failure (else merely switched off).
    pub failing: bool,
    /// One sentence.
    pub text: String,
}

impl Health {
    /// Everything unknown.
    pub fn new() -> Health {
        Health::default()
    }

    /// Takes part `part` in; not ready until it reports.
    pub fn expect(&self, part: &Part) {
        self.set(part, State::Starting(String::new()));
    }

    /// Every worker of every monitor has been taken in; before that the process is not ready, however
    /// well the first ones are.
    pub fn all_expected(&self) {
        self.1.store(true, Ordering::Release);
    }

    /// How far `part` is, as long as it has not reported yet.
    pub fn starting(&self, part: &Part, how_far: impl Into<String>) {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(State::Starting(told)) = parts.get_mut(part) {
            *told = how_far.into();
        }
    }

    /// `part` works. Tells whether that is news.
    pub fn well(&self, part: &Part) -> bool {
        self.set(part, State::Well)
    }

    /// `part` does not work, for `reason`. Tells whether that is news.
    pub fn ill(&self, part: &Part, reason: impl Into<String>) -> bool {
        self.set(part, State::Ill(reason.into()))
    }

    /// `part` is switched off, for `reason`.
    pub fn off(&self, part: &Part, reason: impl Into<String>) -> bool {
        self.set(part, State::Off(reason.into()))
    }

    fn set(&self, part: &Part, state: State) -> bool {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.insert(part.clone(), state.clone()) != Some(state)
    }

    /// What keeps the process from being ready: workers that have not started or do not work. A
    /// source or a channel that fails is a notice, not a reason to be replaced.
    ///
    /// # Errors
    /// The reasons, a line each.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let some_to_come = !self.1.load(Ordering::Acquire);
        let to_come = some_to_come.then(|| "starting: not every worker is there yet".to_owned());
        let workers =
            parts.iter().filter(|(part, _)| part.kind == "worker").filter_map(|(part, state)| match state {
                State::Starting(how_far) if how_far.is_empty() => Some(format!("{}: starting", part.whole())),
                State::Starting(how_far) => Some(format!("{}: starting, {how_far}", part.whole())),
                State::Ill(why) => Some(format!("{}: {why}", part.whole())),
                State::Well | State::Off(_) => None,
            });
        let reasons: Vec<String> = to_come.into_iter().chain(workers).collect();
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    /// Each worker, and what it stands on, with whether it works.
    pub fn workers(&self) -> Vec<(Part, bool)> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let works = |state: &State| matches!(state, State::Well | State::Off(_));
        let workers = parts.iter().filter(|(part, _)| part.kind == "worker");
        workers.map(|(part, state)| (part.clone(), works(state))).collect()
    }

    /// Everything a person should know.
    pub fn notices(&self) -> Vec<Notice> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let notice = |(part, state): (&Part, &State)| match state {
            State::Ill(why) => Some(Notice { part: part.clone(), failing: true, text: why.clone() }),
            State::Off(why) => Some(Notice { part: part.clone(), failing: false, text: why.clone() }),
            State::Starting(_) | State::Well => None,
        };
        parts.iter().filter_map(notice).collect()
    }
}

impl Part {
    /// As people are told of it. What belongs to no monitor alone has an empty one.
    fn whole(&self) -> String {
        format!("{} {}", self.monitor, self.name).trim_start().to_owned()
    }

    /// A worker of `monitor`.
    pub fn worker(monitor: &str, name: &str) -> Part {
        Part { monitor: monitor.to_owned(), kind: "worker", name: name.to_owned() }
    }

    /// A source of `monitor`.
    pub fn source(monitor: &str, name: &str) -> Part {
        Part { monitor: monitor.to_owned(), kind: "source", name: name.to_owned() }
    }

    /// A channel of `monitor`.
    pub fn channel(monitor: &str, name: &str) -> Part {
        Part { monitor: monitor.to_owned(), kind: "channel", name: name.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_source_is_a_notice_but_a_failing_worker_is_not_ready() {
        let health = Health::new();
        health.all_expected();
        let (worker, source) = (Part::worker("default.a", "processor"), Part::source("default.a", "spot"));
        health.expect(&worker);
        assert!(health.ready().is_err());
        assert!(health.well(&worker));
        assert!(!health.well(&worker), "the same again is no news");
        assert!(health.ill(&source, "torn"));
        assert_eq!(health.ready(), Ok(()));
        assert_eq!(health.notices().len(), 1);
        assert_eq!(health.workers(), [(worker.clone(), true)], "a source is no worker");
        health.ill(&worker, "disk full");
        assert_eq!(health.ready(), Err(vec!["default.a processor: disk full".to_owned()]));
        assert_eq!(health.workers(), [(worker, false)]);
    }

    #[test]
    fn nobody_is_ready_before_every_worker_has_been_taken_in_and_is_well() {
        let health = Health::new();
        let reason = |health: &Health| health.ready().unwrap_err().join("; ");
        assert!(reason(&health).contains("not every worker is there yet"));
        let (one, other) = (Part::worker("default.a", "processor"), Part::worker("default.b", "processor"));
        health.expect(&one);
        health.well(&one);
        assert!(reason(&health).contains("not every worker is there yet"));
        health.expect(&other);
        health.all_expected();
        assert_eq!(reason(&health), "default.b processor: starting");
        health.starting(&other, "3 % of partition 1 is restored");
        assert_eq!(reason(&health), "default.b processor: starting, 3 % of partition 1 is restored");
        health.well(&other);
        health.starting(&other, "what is gained later keeps nobody from being ready");
        assert_eq!(health.ready(), Ok(()));
    }
}
