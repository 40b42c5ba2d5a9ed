//! A worker is well when it has been handed over what is its, not when its thread runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pricemonitor_eventlog::embedded::{EmbeddedStore, Options};
use pricemonitor_eventlog::{
    Batch, EventLog, Fold, Layout, Member, Out, Position, Restored, Result, Sink, Topic,
};
use pricemonitor_model::MonitorId;
use pricemonitor_testkit::wait;
use pricemonitor_workers::supervise::Worker;
use pricemonitor_workers::{Health, Metrics};

const SOON: Duration = Duration::from_secs(30);

/// Takes its last partition over when `open`.
#[derive(Clone)]
struct Slow {
    open: Arc<AtomicBool>,
}

impl Slow {
    fn take(&self, partition: u32) -> Result<()> {
        while partition == 2 && !self.open.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Fold for Slow {
    fn assigned(&mut self, partition: u32, _: Restored<'_>) -> Result<()> {
        self.take(partition)
    }
    fn apply(&mut self, _: &Batch<'_>, _: &mut Out) -> Result<()> {
        Ok(())
    }
    fn committed(&mut self) {}
    fn aborted(&mut self) {}
    fn revoked(&mut self, _: u32) {}
}

impl Sink for Slow {
    fn position(&mut self, partition: u32) -> Result<Option<Position>> {
        self.take(partition).map(|()| None)
    }
    fn write(&mut self, _: &Batch<'_>) -> Result<()> {
        Ok(())
    }
    fn advance(&mut self, _: u32, _: Position) -> Result<()> {
        Ok(())
    }
    fn revoked(&mut self, _: u32) {}
}

#[test]
fn a_worker_is_well_only_when_its_last_partition_is_handed_over() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path(), Options::default()).unwrap();
    let id = MonitorId::new(None, "m");
    let log = store.monitor(&id, &Layout { partitions: 3, ..Layout::default() }).unwrap();
    for kind in ["processor", "storage"] {
        let slow = Slow { open: Arc::default() };
        let (health, metrics) = (Health::new(), Metrics::new().unwrap().monitor(id.as_str()));
        let member = Member { group: kind.to_owned(), instance: "one".to_owned() };
        let (log, handed) = (log.clone(), slow.clone());
        let worker = Worker::start(
            kind,
            id.as_str(),
            health.clone(),
            metrics,
            |_| (),
            move |stop, at_work| {
                let slow = &mut at_work.when_settled(handed.clone());
                match kind {
                    "processor" => log.fold(&member, slow, stop),
                    _ => log.sink(&member, Topic::Raw, slow, stop),
                }
            },
        )
        .unwrap();
        health.all_expected();
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(health.ready(), Err(vec![format!("default.m {kind}: starting")]));
        slow.open.store(true, Ordering::SeqCst);
        wait::until("it to be ready", SOON, || health.ready().is_ok()).unwrap();
        worker.stop();
        worker.join(Instant::now() + SOON).unwrap();
    }
}
