//! A CSV file that two processes could write: one at a time does, and each goes on where the other one stopped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pricemonitor_eventlog::embedded::{EmbeddedLog, EmbeddedStore, Options};
use pricemonitor_eventlog::{Error, EventLog, Layout, Member, Sink, Stop, Topic, Write};
use pricemonitor_model::{Admission, MonitorId};
use pricemonitor_testkit::wait;
use pricemonitor_workers::storage::CsvFile;
use pricemonitor_workers::{Metrics, MonitorMetrics};

const SOON: Duration = Duration::from_secs(30);

struct Bench {
    folder: tempfile::TempDir,
    _store: EmbeddedStore,
    log: EmbeddedLog,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(&folder.path().join("log"), Options::default()).unwrap();
        let layout = Layout { partitions: 1, ..Layout::default() };
        let log = store.monitor(&MonitorId::new(None, "m"), &layout).unwrap();
        Bench { folder, _store: store, log }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("prices.csv")
    }

    /// The sink of a process that has just started.
    fn sink(&self) -> CsvFile {
        self.counted().0
    }

    /// The same, with what it counts into.
    fn counted(&self) -> (CsvFile, MonitorMetrics) {
        let metrics = Metrics::new().unwrap().monitor("default.m");
        let file = CsvFile::new(Arc::<Admission>::default(), self.path(), "x".to_owned(), metrics.clone());
        (file, metrics)
    }

    /// Raw records with these prices.
    fn put(&self, prices: std::ops::Range<usize>) {
        for price in prices {
            let value = format!(
                r#"{{"v":1,"kind":"observation","source":"s","item":"i","price":"{price}","currency":"EUR","observed_at":"2026-01-01T00:00:00Z"}}"#
            );
            let write = Write { partition: None, key: Some(b"i".to_vec()), value: Some(value.into_bytes()) };
            self.log.put(&[(Topic::Raw, write)]).unwrap();
        }
    }

    /// Feeds the sink until it is told to stop, as a member of a group of its own: it knows nothing of others.
    fn run(&self, name: &str, sink: &mut CsvFile, stop: &Stop) {
        let member = Member { group: name.to_owned(), instance: name.to_owned() };
        self.log.sink(&member, Topic::Raw, sink, stop).unwrap();
    }

    /// Prices in the file. A line that is torn has none.
    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path()).unwrap_or_default();
        text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap_or(line).to_owned()).collect()
    }

    fn until(&self, lines: usize) {
        wait::until("lines", SOON, || self.lines().len() >= lines).unwrap();
    }
}

/// Stops what runs also when the test fails, so that it ends.
struct Stopping(Stop);

impl Drop for Stopping {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn prices(count: usize) -> Vec<String> {
    (0..count).map(|price| price.to_string()).collect()
}

#[test]
fn a_stand_by_goes_on_where_the_one_before_it_stopped_and_not_where_it_stood_at_its_own_start() {
    let bench = Bench::new();
    let mut processes = [bench.sink(), bench.sink()];
    for (who, from, to) in [(0, 0, 5), (1, 5, 9), (0, 9, 10)] {
        let sink = &mut processes[who];
        bench.put(from..to);
        let stop = Stop::new();
        std::thread::scope(|scope| {
            let running = scope.spawn(|| bench.run("g", sink, &stop));
            let stopping = Stopping(stop.clone());
            bench.until(to);
            drop(stopping);
            running.join().unwrap();
        });
        assert_eq!(bench.lines(), prices(to));
    }
}

#[test]
fn of_two_processes_that_know_nothing_of_each_other_one_writes_at_a_time() {
    let bench = Bench::new();
    let ((mut one, by_one), (mut two, by_two)) = (bench.counted(), bench.counted());
    let (stop_one, stop_two) = (Stop::new(), Stop::new());
    std::thread::scope(|scope| {
        let (stopping_one, stopping_two) = (Stopping(stop_one.clone()), Stopping(stop_two.clone()));
        let first = scope.spawn(|| bench.run("one", &mut one, &stop_one));
        bench.put(0..10);
        bench.until(10);
        let second = scope.spawn(|| bench.run("two", &mut two, &stop_two));
        bench.put(10..20);
        bench.until(20);
        drop(stopping_one);
        first.join().unwrap();
        bench.put(20..30);
        bench.until(30);
        drop(stopping_two);
        second.join().unwrap();
    });
    assert_eq!(bench.lines(), prices(30));
    let rows = |metrics: &MonitorMetrics| metrics.rows("csv").get();
    assert_eq!((rows(&by_one), rows(&by_two)), (20, 10), "no line is written by both");
}

#[test]
fn a_file_that_another_process_has_is_not_touched_and_the_reason_names_it() {
    let bench = Bench::new();
    let (mut first, mut second) = (bench.sink(), bench.sink());
    first.position(0).unwrap();
    first.position(1).unwrap();
    // What the first one is writing at this moment: not yet acknowledged.
    let half = [fs::read(bench.path()).unwrap().as_slice(), b"half a li"].concat();
    fs::write(bench.path(), &half).unwrap();
    let refused = |sink: &mut CsvFile| {
        let error = sink.position(0).unwrap_err();
        assert!(matches!(&error, Error::Retry(_)), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("prices.csv is being written by another process"), "{text}");
        assert_eq!(fs::read(bench.path()).unwrap(), half);
    };
    refused(&mut second);
    first.revoked(0);
    refused(&mut second);
    first.revoked(1);
    assert_eq!(second.position(0).unwrap(), None);
    assert!(bench.lines().is_empty(), "now it is cut to what was acknowledged");
    // A process that dies gives it up, too.
    drop(second);
    first.position(0).unwrap();
}
