//! What the producer does with looks that the log does not take.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pricemonitor_config::{KeySpec, SourceKind, SourceSettings};
use pricemonitor_eventlog::embedded::{EmbeddedLog, EmbeddedStore, Options};
use pricemonitor_eventlog::{Append, EventLog, Layout, Member, Stop};
use pricemonitor_model::{Decimal, Labels, MonitorId, Observation, Time};
use pricemonitor_sources::{Poll, Snapshot, Source, SourceError};
use pricemonitor_testkit::wait;
use pricemonitor_workers::producer::{Producer, Settings};
use pricemonitor_workers::supervise::Worker;
use pricemonitor_workers::{AtWork, Health, Metrics, MonitorMetrics};

const SOON: Duration = Duration::from_secs(30);

/// Looks at a source: the checkpoint that each was handed, and whether it was huge.
type Looks = Arc<Mutex<Vec<(Option<Vec<u8>>, bool)>>>;

/// Shows one price a look; its item has 9 MiB while `huge`.
struct Shop {
    huge: Arc<AtomicBool>,
    looks: Looks,
}

#[async_trait::async_trait]
impl Source for Shop {
    async fn poll(&mut self, at: Time, checkpoint: Option<&[u8]>) -> Result<Poll, SourceError> {
        let huge = self.huge.load(Ordering::SeqCst);
        let mut looks = self.looks.lock().unwrap();
        looks.push((checkpoint.map(<[u8]>::to_vec), huge));
        let item = if huge { "x".repeat(9 << 20) } else { "a".to_owned() };
        let observation = Observation {
            source: Cow::Borrowed("shop"),
            item: item.into(),
            labels: Labels::default(),
            price: Decimal::ONE,
            base: None,
            currency: Cow::Borrowed("EUR"),
            unit: None,
            observed_at: at,
            slot: None,
            availability: None,
            quantity: None,
            url: None,
            as_written: None,
        };
        let checkpoint = looks.len().to_string().into_bytes();
        Ok(Poll::Snapshot(Snapshot { observations: vec![observation], complete: true, checkpoint }))
    }
}

/// A producer of one shop on a log of its own.
struct Bench {
    log: EmbeddedLog,
    member: Member,
    health: Health,
    metrics: MonitorMetrics,
    huge: Arc<AtomicBool>,
    looks: Looks,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new(folder: &tempfile::TempDir) -> Bench {
        let store = EmbeddedStore::open(folder.path(), Options::default()).unwrap();
        let id = MonitorId::new(None, "m");
        Bench {
            log: store.monitor(&id, &Layout { partitions: 1, ..Layout::default() }).unwrap(),
            member: Member { group: "producer".to_owned(), instance: "one".to_owned() },
            health: Health::new(),
            metrics: Metrics::new().unwrap().monitor(id.as_str()),
            huge: Arc::default(),
            looks: Looks::default(),
            runtime: tokio::runtime::Runtime::new().unwrap(),
        }
    }

    fn start(&mut self) -> Worker {
        let (seen, flag) = (self.looks.clone(), self.huge.clone());
        let source = SourceSettings {
            name: "shop".to_owned(),
            interval: Duration::from_millis(20),
            kind: SourceKind::Simulator(Default::default()),
        };
        let settings = Settings {
            monitor: "default.m".to_owned(),
            sources: vec![source],
            key: KeySpec::Item,
            tick_every: Duration::from_secs(600),
            make: Arc::new(move |_| {
                Ok(Box::new(Shop { huge: flag.clone(), looks: seen.clone() }) as Box<dyn Source>)
            }),
        };
        let (log, member, health) = (self.log.clone(), self.member.clone(), self.health.clone());
        let (metrics, runtime) = (self.metrics.clone(), self.runtime.handle().clone());
        let producer = Producer::new(log, member, settings, health, metrics, runtime);
        let run = move |stop: &Stop, at_work: &AtWork| producer.run(stop, at_work);
        let (health, metrics) = (self.health.clone(), self.metrics.clone());
        let worker = Worker::start("producer", "default.m", health, metrics, |_| (), run).unwrap();
        self.health.all_expected();
        worker
    }

    /// Ends it; it has never been started anew.
    fn end(&self, worker: Worker) {
        assert_eq!(self.health.ready(), Ok(()));
        worker.stop();
        worker.join(Instant::now() + SOON).unwrap();
        assert_eq!(self.metrics.restarts("producer").get(), 0);
    }
}

#[test]
fn a_record_that_is_too_large_fails_its_look_and_the_source_goes_on_from_the_old_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(&folder);
    let worker = bench.start();
    let Bench { health, metrics, huge, looks, .. } = &bench;
    wait::until("a look", SOON, || metrics.appended("shop").get() > 0).unwrap();
    huge.store(true, Ordering::SeqCst);
    let notice = wait::value("the notice", SOON, || health.notices().pop()).unwrap();
    for part in ["the source `shop`", "a record of 18", "at most 8388608", "shorter texts"] {
        assert!(notice.text.contains(part), "{}", notice.text);
    }
    wait::until("looks that fail", SOON, || metrics.polls("shop", "failed").get() >= 2).unwrap();
    huge.store(false, Ordering::SeqCst);
    wait::until("a look that is well", SOON, || health.notices().is_empty()).unwrap();
    bench.end(worker);

    let looks = looks.lock().unwrap();
    let first = looks.iter().position(|(_, huge)| *huge).unwrap();
    let failed: Vec<_> = looks[first..].iter().take_while(|(_, huge)| *huge).collect();
    let before = looks[first].0.clone();
    assert!(before.is_some());
    assert!(failed.iter().all(|(checkpoint, _)| *checkpoint == before), "each from the last that was kept");
    assert_eq!(looks[first + failed.len()].0, before);
    assert_eq!(metrics.source_errors("shop", "too_large").get(), failed.len() as u64);
    assert_eq!(metrics.polls("shop", "failed").get(), failed.len() as u64);
}

#[test]
fn a_clock_that_leapt_since_the_last_look_is_doubted_before_its_time_enters_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(&folder);
    // The last look was 60 days ago, as far as this machine's clock tells.
    let at = pricemonitor_workers::now().plus(-60 * 86_400_000);
    let head = format!(r#"{{"v":1,"at":"{at}","tick":"{at}","outcome":"ok"}}"#);
    let mut door = bench.log.appender(&bench.member).unwrap();
    door.poll(Duration::ZERO).unwrap();
    door.append("shop", &[], Some(format!("{head}\nold").as_bytes())).unwrap();
    drop(door);

    let worker = bench.start();
    let notice = wait::value("the notice", SOON, || bench.health.notices().pop()).unwrap();
    for part in ["the clock is 60 days ahead", "`shop`", "set it right", "for a minute"] {
        assert!(notice.text.contains(part), "{}", notice.text);
    }
    std::thread::sleep(Duration::from_millis(300));
    assert!(bench.looks.lock().unwrap().is_empty(), "no look, no tick");
    // Whoever watches sees that it should be read, and is not.
    assert_eq!(bench.metrics.source_interval("shop").get(), 0.02);
    bench.end(worker);
}
