//! Metrics, in Prometheus' naming: base units, `_total` for counters, a label `monitor` on each.
//!
//! No label takes a value from outside the manifest and the program, so their number is bounded.

mod book;
mod monitor;
#[cfg(test)]
mod reference;

use std::sync::Arc;

use prometheus::{GaugeVec, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Registry};

pub use book::Described;
pub use monitor::MonitorMetrics;

use crate::health::{Health, Part};
use book::Book;

/// Every metric of the process, by monitor.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    described: Arc<[Described]>,
    process_ready: IntGauge,
    worker_ready: IntGaugeVec,
    worker_started: GaugeVec,
    source_interval: GaugeVec,
    polls: IntCounterVec,
    poll_seconds: HistogramVec,
    source_errors: IntCounterVec,
    source_last_success: GaugeVec,
    appended: IntCounterVec,
    append_seconds: HistogramVec,
    processed: IntCounterVec,
    alerts: IntCounterVec,
    suppressed: IntCounterVec,
    dead_letters: IntCounterVec,
    state_entries: IntGaugeVec,
    rows: IntCounterVec,
    duplicates: IntCounterVec,
    write_seconds: HistogramVec,
    unsorted: IntGaugeVec,
    lag_records: IntGaugeVec,
    lag_seconds: GaugeVec,
    deliveries: IntCounterVec,
    pending: IntGaugeVec,
    restarts: IntCounterVec,
    batch_records: HistogramVec,
    transaction_seconds: HistogramVec,
    transactions_aborted: IntCounterVec,
    restore_progress: GaugeVec,
    skipped: IntCounterVec,
}

const PRODUCER: &[&str] = &["producer"];
const PROCESSOR: &[&str] = &["processor"];
const STORAGE: &[&str] = &["storage"];
const ALERT: &[&str] = &["alert"];
const SINKS: &[&str] = &["storage", "alert"];
const READERS: &[&str] = &["processor", "storage", "alert"];
const WORKERS: &[&str] = &["producer", "processor", "storage", "alert"];
const EVERYBODY: &[&str] = &["producer", "processor", "storage", "alert", "dashboard"];

/// From one record to the largest batch.
const RECORDS: &[f64] =
    &[1.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 20_000.0, 40_000.0];

impl Metrics {
    /// Registers everything in a registry of its own.
    ///
    /// # Errors
    /// When two metrics have one name: a mistake in this file.
    pub fn new() -> Result<Metrics, prometheus::Error> {
        let mut book = Book::default();
        let metrics = Metrics {
            process_ready: book.process_gauge(
                EVERYBODY,
                "process_ready",
                "1 while the process is ready, as `/readyz` says it; 0 while it starts, waits for its servers or has a worker that does not work",
            )?,
            worker_ready: book.int_gauge(
                EVERYBODY,
                "worker_ready",
                "1 while a worker, or what it stands on (event log, kafka, lag, database), works; 0 while it starts or does not",
                &["worker"],
            )?,
            worker_started: book.gauge(
                WORKERS,
                "worker_started_timestamp_seconds",
                "When a worker began in this process, in seconds since the epoch; it changes when the process is started anew",
                &["worker"],
            )?,
            source_interval: book.gauge(
                PRODUCER,
                "source_interval_seconds",
                "How often a source is to be looked at, by its manifest; from the moment on at which this process looks after it",
                &["source"],
            )?,
            polls: book.counter(
                PRODUCER,
                "source_polls_total",
                "Looks at a source, by outcome (ok, unchanged, failed)",
                &["source", "outcome"],
            )?,
            poll_seconds: book.histogram(
                PRODUCER,
                "source_poll_duration_seconds",
                "How long a look at a source took",
                &["source"],
            )?,
            source_errors: book.counter(
                PRODUCER,
                "source_errors_total",
                "Failed looks at a source, by reason",
                &["source", "reason"],
            )?,
            source_last_success: book.gauge(
                PRODUCER,
                "source_last_success_timestamp_seconds",
                "When a source was last read",
                &["source"],
            )?,
            appended: book.counter(
                PRODUCER,
                "observations_appended_total",
                "Observations acknowledged by the event log",
                &["source"],
            )?,
            append_seconds: book.histogram(
                PRODUCER,
                "append_duration_seconds",
                "How long the event log took to acknowledge an append",
                &[],
            )?,
            processed: book.counter(
                PROCESSOR,
                "observations_processed_total",
                "Observations processed, by direction",
                &["direction"],
            )?,
            alerts: book.counter(
                PROCESSOR,
                "alerts_total", "Alerts raised, by rule", &["rule"])?,
            suppressed: book.counter(
                PROCESSOR,
                "alerts_suppressed_total", "Hits that a cooldown kept back", &[])?,
            dead_letters: book.counter(
                PROCESSOR,
                "dead_letters_total",
                "Raw records that could not be acted on, by reason",
                &["reason"],
            )?,
            state_entries: book.int_gauge(
                PROCESSOR,
                "state_entries", "Keys in the processor's state", &[])?,
            rows: book.counter(
                SINKS,
                "rows_written_total",
                "Rows written, by sink (history, csv, alerts)",
                &["sink"],
            )?,
            duplicates: book.counter(
                SINKS,
                "duplicates_refused_total", "Rows that a sink already had", &["sink"])?,
            write_seconds: book.histogram(
                SINKS,
                "sink_write_duration_seconds",
                "How long a batch took to be written",
                &["sink"],
            )?,
            unsorted: book.int_gauge(
                STORAGE,
                "history_default_partition_rows",
                "Rows of PostgreSQL's price_history in no month's partition, of all monitors of the database",
                &[],
            )?,
            lag_records: book.int_gauge(
                READERS,
                "consumer_lag_records",
                "Records of a partition that a worker's group has still to read; every process of the group tells the same",
                &["worker", "partition"],
            )?,
            lag_seconds: book.gauge(
                READERS,
                "consumer_lag_seconds",
                "Age of the oldest record of a partition that a worker's group has still to read",
                &["worker", "partition"],
            )?,
            deliveries: book.counter(
                ALERT,
                "deliveries_total",
                "Alerts by channel and result (ok, retried, ambiguous, stale, refused, gone)",
                &["channel", "result"],
            )?,
            pending: book.int_gauge(
                ALERT,
                "deliveries_pending", "Alerts that wait for a channel", &["channel"])?,
            restarts: book.counter(
                WORKERS,
                "worker_restarts_total",
                "Restarts of a worker after an error",
                &["worker"],
            )?,
            batch_records: book.histogram_of(
                READERS,
                "batch_records",
                "Records in a transaction of the processor, or in a batch that a sink took",
                &["worker"],
                RECORDS,
            )?,
            transaction_seconds: book.histogram(
                PROCESSOR,
                "transaction_duration_seconds",
                "How long a transaction of the processor took, from its begin to the answer to its commit",
                &["worker"],
            )?,
            transactions_aborted: book.counter(
                PROCESSOR,
                "transactions_aborted_total",
                "Transactions that were given up; their records come again",
                &["worker"],
            )?,
            restore_progress: book.gauge(
                PROCESSOR,
                "restore_progress_ratio",
                "How much of a partition's state is restored after it was assigned, from 0 to 1",
                &["partition"],
            )?,
            skipped: book.counter(
                READERS,
                "records_skipped_total",
                "Records that a worker read again and already had",
                &["worker"],
            )?,
            registry: Registry::new(),
            described: Arc::default(),
        };
        let Book { registry, described } = book;
        Ok(Metrics { registry, described: described.into(), ..metrics })
    }

    /// The registry, to be served as `/metrics`.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What each metric is, in the order of the reference.
    pub fn described(&self) -> &[Described] {
        &self.described
    }

    /// Takes over what works and what does not. Whoever shows the registry calls it before.
    pub fn take(&self, health: &Health) {
        self.process_ready.set(i64::from(health.ready().is_ok()));
        for (Part { monitor, name, .. }, works) in health.workers() {
            self.worker_ready.with_label_values(&[&monitor, &name]).set(i64::from(works));
        }
    }

    /// The metrics of one monitor.
    pub fn monitor(&self, id: &str) -> MonitorMetrics {
        MonitorMetrics { all: self.clone(), id: id.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pricemonitor_eventlog::Observer;

    use super::*;

    #[test]
    fn what_the_log_tells_is_counted_for_its_worker() {
        let metrics = Metrics::new().unwrap().monitor("default.a");
        metrics.committed("default.a.processor", 500, Duration::from_millis(4));
        metrics.written("storage", 20);
        metrics.aborted("processor");
        metrics.restoring("processor", 3, 25, 100);
        metrics.restoring("processor", 4, 0, 0);
        Observer::skipped(&metrics, "processor", 7);
        assert_eq!(metrics.batch_records("processor").get_sample_sum(), 500.0);
        assert_eq!(metrics.batch_records("storage").get_sample_count(), 1);
        assert_eq!(metrics.transaction_seconds("processor").get_sample_count(), 1);
        assert_eq!(metrics.transactions_aborted("processor").get(), 1);
        assert_eq!(metrics.restore_progress(3).get(), 0.25);
        assert_eq!(metrics.restore_progress(4).get(), 1.0);
        assert_eq!(metrics.skipped("processor").get(), 7);
    }

    #[test]
    fn what_works_is_told_by_process_and_by_worker() {
        let (metrics, health) = (Metrics::new().unwrap(), Health::new());
        let (one, other) = (Part::worker("default.a", "processor"), Part::worker("default.a", "event log"));
        let ready = |worker: &str| metrics.worker_ready.with_label_values(&["default.a", worker]).get();
        metrics.take(&health);
        assert_eq!(metrics.process_ready.get(), 0);
        health.expect(&one);
        health.well(&other);
        health.ill(&Part::source("default.a", "shop"), "torn");
        health.all_expected();
        metrics.take(&health);
        assert_eq!((ready("processor"), ready("event log"), metrics.process_ready.get()), (0, 1, 0));
        health.well(&one);
        metrics.take(&health);
        assert_eq!((ready("processor"), ready("event log"), metrics.process_ready.get()), (1, 1, 1));
        health.ill(&other, "the disk is full");
        metrics.take(&health);
        assert_eq!((ready("processor"), ready("event log"), metrics.process_ready.get()), (1, 0, 0));
        let told = metrics.registry().gather();
        let workers = told.iter().find(|family| family.name() == "pricemonitor_worker_ready").unwrap();
        assert_eq!(workers.get_metric().len(), 2, "a source is no worker");
    }

    #[test]
    fn every_metric_carries_the_monitor_and_a_name_of_ours() {
        let metrics = Metrics::new().unwrap();
        let one = metrics.monitor("default.a");
        one.polls("s", "ok").inc();
        one.append_seconds().observe(0.002);
        one.lag_seconds("processor", 0).set(1.5);
        let mut families = metrics.registry().gather();
        assert!(families.len() >= 3);
        // Of the process as a whole, whatever its monitors.
        families.retain(|family| family.name() != "pricemonitor_process_ready");
        for family in families {
            assert!(family.name().starts_with("pricemonitor_"), "{}", family.name());
            for metric in family.get_metric() {
                assert!(metric.get_label().iter().any(|l| l.name() == "monitor" && l.value() == "default.a"));
            }
        }
    }
}
