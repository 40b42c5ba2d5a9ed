//! What Prometheus is told by each worker, against what was done.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pricemonitor_testkit::webhook::{Answer, Receiver};
use pricemonitor_testkit::{http, wait};

use crate::common::{SOON, manifest};
use crate::fleet::{Fleet, POSTGRES, Worker, feed};
use crate::shop;

const NAME: &str = "metered";
const ITEMS: usize = 6;
/// Alerts older than this are stale for the channel `old`.
const OLD: Duration = Duration::from_secs(1);

/// One channel for each way that a delivery can end.
fn spec(stub: &Receiver) -> String {
    let channel = |name: &str, more: &str| {
        format!("- {{name: {name}, {more}webhook: {{url: '{}'}}}}\n", stub.url(&format!("/{name}")))
    };
    let channels: String = [("hook", ""), ("old", "maxAge: 1s, "), ("strict", ""), ("moved", "")]
        .map(|(name, more)| channel(name, more))
        .concat();
    format!("{}kafka: {{partitions: 2}}\nchannels:\n{channels}", shop::SOURCE)
}

/// The first message for `hook` is not taken for now, the second one taken without an answer.
fn receiver() -> Receiver {
    let hooked = AtomicUsize::new(0);
    Receiver::start(move |request| match request.path.as_str() {
        "/strict" => Answer::status(400),
        "/moved" => Answer::status(410),
        _ => match hooked.fetch_add(1, Ordering::SeqCst) {
            0 => Answer::status(503),
            1 => Answer::Drop,
            _ => Answer::status(200),
        },
    })
    .unwrap()
}

impl Worker {
    fn scraped(&self) -> String {
        http::get(self.port, "/metrics").unwrap().body
    }

    /// There is such a metric, with these labels beside the monitor's; the sum of its values with `labels`.
    #[track_caller]
    fn value(&self, name: &str, labels: &[&str]) -> f64 {
        let (text, name) = (self.scraped(), format!("pricemonitor_{name}"));
        let own = |line: &&str| line.split('{').next() == Some(&*name);
        let names: BTreeSet<&str> = text
            .lines()
            .filter(own)
            .filter_map(|line| line.split_once('{')?.1.rsplit_once('}'))
            .flat_map(|(labels, _)| labels.split(',').filter_map(|label| Some(label.split_once('=')?.0)))
            .collect();
        let mut wanted: BTreeSet<&str> =
            labels.iter().map(|label| label.split('=').next().unwrap()).collect();
        wanted.insert("monitor");
        assert_eq!(names, wanted, "labels of {name} in:\n{text}");
        let labels: Vec<&str> = labels.iter().copied().filter(|label| label.contains('"')).collect();
        let all = [&labels[..], &["monitor=\"default.metered\""]].concat();
        http::metric(&text, &name, &all).unwrap_or_else(|| panic!("no {name} with {labels:?} in:\n{text}"))
    }

    /// A histogram has `sum` in `count` or fewer observations; all are in its last bucket.
    #[track_caller]
    fn spread(&self, name: &str, labels: &[&str]) -> (f64, f64) {
        let (sum, count) =
            (self.value(&format!("{name}_sum"), labels), self.value(&format!("{name}_count"), labels));
        let last = [labels, &["le=\"+Inf\""]].concat();
        assert_eq!(self.value(&format!("{name}_bucket"), &last), count, "{name}");
        (sum, count)
    }

    /// Nothing is left to be read, on both partitions.
    fn at_rest(&self, worker: &str) {
        let worker = format!("worker=\"{worker}\"");
        for partition in ["partition=\"0\"", "partition=\"1\""] {
            let labels = [worker.as_str(), partition];
            let rests = || self.metric("pricemonitor_consumer_lag_records", &labels) == 0.0;
            wait::until("no lag", SOON, || self.scraped().contains("consumer_lag_records{") && rests())
                .unwrap();
            assert_eq!(self.value("consumer_lag_records", &labels), 0.0);
            assert_eq!(self.value("consumer_lag_seconds", &labels), 0.0);
        }
    }
}

#[test]
fn every_worker_tells_of_its_lag_batches_transactions_restores_rows_letters_and_deliveries() {
    let stub = receiver();
    let fleet = Fleet::new(&manifest(NAME, &spec(&stub))).with_database(NAME);
    fleet.does(&["setup"]);
    // No observation, before anything else.
    feed(&format!("default.{NAME}.raw_prices"), "a\t{broken\n");
    shop::publish(&fleet, ITEMS, 100);
    let [storage, processor, producer] = ["storage", "processor", "producer"].map(|role| fleet.ready(role));
    let items = ITEMS as f64;
    processor.wait_metric("pricemonitor_observations_processed_total", &[], items);
    shop::publish(&fleet, ITEMS, 90);
    processor.wait_metric("pricemonitor_observations_processed_total", &[], 2.0 * items);
    let detected = Instant::now();
    storage.wait_metric("pricemonitor_rows_written_total", &[], 2.0 * items);

    assert_eq!(producer.value("observations_appended_total", &["source=\"shop\""]), 2.0 * items);
    assert!(producer.spread("append_duration_seconds", &[]).1 >= 2.0);
    assert!(producer.value("source_polls_total", &["source=\"shop\"", "outcome=\"ok\""]) >= 2.0);
    of_the_processor(&processor);
    of_storage(&fleet, &storage);
    wait::until("the alerts to be old", SOON, || detected.elapsed() > OLD * 2).unwrap();
    let alert = fleet.ready("alert");
    of_deliveries(&fleet, &alert);
    let alert = again(&fleet, alert);
    for worker in [producer, processor, storage, alert] {
        worker.end();
    }
}

fn of_the_processor(processor: &Worker) {
    let items = ITEMS as f64;
    processor.at_rest("processor");
    assert_eq!(processor.value("observations_processed_total", &["direction=\"first\""]), items);
    assert_eq!(processor.value("observations_processed_total", &["direction=\"drop\""]), items);
    assert_eq!(processor.value("alerts_total", &["rule=\"any-drop\""]), items);
    assert_eq!(processor.value("dead_letters_total", &["reason=\"malformed\""]), 1.0);
    let worker = ["worker=\"processor\""];
    let (records, batches) = processor.spread("batch_records", &worker);
    // What was shown, what was broken, and a tick or two.
    assert!((2.0 * items + 1.0..2.0 * items + 6.0).contains(&records), "{records} records");
    let (seconds, transactions) = processor.spread("transaction_duration_seconds", &worker);
    assert_eq!(batches, transactions);
    assert!(seconds > 0.0 && seconds < 60.0 * transactions, "{seconds} s");
    for partition in ["partition=\"0\"", "partition=\"1\""] {
        assert_eq!(processor.value("restore_progress_ratio", &[partition]), 1.0);
    }
}

/// Rows as many as there are; and while the table is locked, the lag of what waits for it.
fn of_storage(fleet: &Fleet, storage: &Worker) {
    let (items, history) = (ITEMS as f64, ["sink=\"history\""]);
    storage.at_rest("storage");
    assert_eq!(storage.value("rows_written_total", &history), fleet.count("price_history") as f64);
    assert_eq!(storage.value("duplicates_refused_total", &history), 0.0);
    assert!(storage.spread("sink_write_duration_seconds", &history).1 >= 1.0);
    assert!(storage.spread("batch_records", &["worker=\"storage\""]).0 >= 2.0 * items);

    let hold = "BEGIN; LOCK TABLE price_history IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(5); COMMIT";
    let held =
        "pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'price_history'::regclass";
    std::thread::scope(|scope| {
        scope.spawn(|| POSTGRES.rows_in(NAME, hold).unwrap());
        wait::until("the lock", SOON, || fleet.count(held) == 1).unwrap();
        shop::publish(fleet, ITEMS, 100);
        let labels = ["worker=\"storage\"", "partition"];
        let lags = || {
            let lag = |name: &str| storage.metric(name, &labels[..1]);
            (lag("pricemonitor_consumer_lag_records"), lag("pricemonitor_consumer_lag_seconds"))
        };
        wait::until("lag", SOON, || lags().0 == items && lags().1 >= 0.5).unwrap();
        assert_eq!(storage.value("consumer_lag_records", &labels), items);
        assert!(storage.value("consumer_lag_seconds", &labels) < 2.0 * 60.0);
    });
    storage.wait_metric("pricemonitor_rows_written_total", &[], 3.0 * items);
    storage.at_rest("storage");
    assert_eq!(storage.value("rows_written_total", &history), fleet.count("price_history") as f64);
}

fn of_deliveries(fleet: &Fleet, alert: &Worker) {
    let (items, alerts) = (ITEMS as f64, ["sink=\"alerts\""]);
    let of = |channel: &str, result: &str| [format!("channel=\"{channel}\""), format!("result=\"{result}\"")];
    let wanted = [
        ("hook", "ok", items),
        ("hook", "retried", 1.0),
        ("hook", "ambiguous", 1.0),
        ("old", "stale", items),
        ("strict", "refused", items),
        ("moved", "gone", 1.0),
    ];
    for (channel, result, count) in wanted {
        let [channel, result] = of(channel, result);
        alert.wait_metric("pricemonitor_deliveries_total", &[&channel, &result], count);
        assert_eq!(alert.value("deliveries_total", &[&channel, &result]), count, "{channel} {result}");
    }
    let all: f64 = wanted.iter().map(|(.., count)| count).sum();
    assert_eq!(alert.value("deliveries_total", &["channel", "result"]), all);
    alert.wait_metric("pricemonitor_deliveries_pending", &["channel=\"moved\""], items - 1.0);
    assert_eq!(alert.value("deliveries_pending", &["channel=\"hook\""]), 0.0);
    alert.at_rest("alert");
    assert_eq!(alert.value("rows_written_total", &alerts), fleet.count("price_drop_alerts") as f64);
    assert_eq!(alert.value("duplicates_refused_total", &alerts), 0.0);
    assert!(alert.spread("batch_records", &["worker=\"alert\""]).0 >= items);
}

/// The position of the alerts is put back, as nobody should do: what is read again is refused, and counted.
fn again(fleet: &Fleet, alert: Worker) -> Worker {
    let port = alert.port;
    alert.end();
    fleet.rows("UPDATE sink_offsets SET next_offset = 0 WHERE sink = 'alerts' AND next_offset > 0");
    let mut alert = fleet.start("alert", port);
    alert.ready();
    let (items, sink) = (ITEMS as f64, ["sink=\"alerts\""]);
    alert.wait_metric("pricemonitor_duplicates_refused_total", &sink, items);
    assert_eq!(alert.value("duplicates_refused_total", &sink), items);
    assert_eq!(alert.value("rows_written_total", &sink), 0.0);
    alert
}
