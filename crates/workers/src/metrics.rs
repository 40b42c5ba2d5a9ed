//! Metrics, in Prometheus' naming: base units, `_total` for counters, a label `monitor` on each.
//!
//! No label takes a value from outside the manifest and the program, so their number is bounded.

use std::time::Duration;

use pricemonitor_eventlog::Observer;
use pricemonitor_model::Direction;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// Every metric of the process, by monitor.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
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

/// Spans from half a millisecond to ten seconds.
const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// From one record to the largest batch.
const RECORDS: &[f64] =
    &[1.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 20_000.0, 40_000.0];

impl Metrics {
    /// Registers everything in a registry of its own.
    ///
    /// # Errors
    /// When two metrics have one name: a mistake in this file.
    pub fn new() -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new();
        let r = &registry;
        let metrics = Metrics {
            polls: counter(
                r,
                "source_polls_total",
                "Looks at a source, by outcome (ok, unchanged, failed)",
                &["source", "outcome"],
            )?,
            poll_seconds: histogram(
                r,
                "source_poll_duration_seconds",
                "How long a look at a source took",
                &["source"],
            )?,
            source_errors: counter(
                r,
                "source_errors_total",
                "Failed looks at a source, by reason",
                &["source", "reason"],
            )?,
            source_last_success: gauge(
                r,
                "source_last_success_timestamp_seconds",
                "When a source was last read",
                &["source"],
            )?,
            appended: counter(
                r,
                "observations_appended_total",
                "Observations acknowledged by the event log",
                &["source"],
            )?,
            append_seconds: histogram(
                r,
                "append_duration_seconds",
                "How long the event log took to acknowledge an append",
                &[],
            )?,
            processed: counter(
                r,
                "observations_processed_total",
                "Observations processed, by direction",
                &["direction"],
            )?,
            alerts: counter(r, "alerts_total", "Alerts raised, by rule", &["rule"])?,
            suppressed: counter(r, "alerts_suppressed_total", "Hits that a cooldown kept back", &[])?,
            dead_letters: counter(
                r,
                "dead_letters_total",
                "Raw records that could not be acted on, by reason",
                &["reason"],
            )?,
            state_entries: int_gauge(r, "state_entries", "Keys in the processor's state", &[])?,
            rows: counter(
                r,
                "rows_written_total",
                "Rows written, by sink (history, csv, alerts)",
                &["sink"],
            )?,
            duplicates: counter(r, "duplicates_refused_total", "Rows that a sink already had", &["sink"])?,
            write_seconds: histogram(
                r,
                "sink_write_duration_seconds",
                "How long a batch took to be written",
                &["sink"],
            )?,
            unsorted: int_gauge(
                r,
                "history_default_partition_rows",
                "Rows of PostgreSQL's price_history in no month's partition, of all monitors of the database",
                &[],
            )?,
            lag_records: int_gauge(
                r,
                "consumer_lag_records",
                "Records of a partition that a worker's group has still to read; every process of the group tells the same",
                &["worker", "partition"],
            )?,
            lag_seconds: gauge(
                r,
                "consumer_lag_seconds",
                "Age of the oldest record of a partition that a worker's group has still to read",
                &["worker", "partition"],
            )?,
            deliveries: counter(
                r,
                "deliveries_total",
                "Alerts by channel and result (ok, retried, ambiguous, stale, refused, gone)",
                &["channel", "result"],
            )?,
            pending: int_gauge(r, "deliveries_pending", "Alerts that wait for a channel", &["channel"])?,
            restarts: counter(
                r,
                "worker_restarts_total",
                "Restarts of a worker after an error",
                &["worker"],
            )?,
            batch_records: histogram_of(
                r,
                "batch_records",
                "Records in a transaction of the processor, or in a batch that a sink took",
                &["worker"],
                RECORDS,
            )?,
            transaction_seconds: histogram(
                r,
                "transaction_duration_seconds",
                "How long a transaction of the processor took, from its begin to the answer to its commit",
                &["worker"],
            )?,
            transactions_aborted: counter(
                r,
                "transactions_aborted_total",
                "Transactions that were given up; their records come again",
                &["worker"],
            )?,
            restore_progress: gauge(
                r,
                "restore_progress_ratio",
                "How much of a partition's state is restored after it was assigned, from 0 to 1",
                &["partition"],
            )?,
            skipped: counter(
                r,
                "records_skipped_total",
                "Records that a worker read again and already had",
                &["worker"],
            )?,
            registry: registry.clone(),
        };
        Ok(metrics)
    }

    /// The registry, to be served as `/metrics`.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The metrics of one monitor.
    pub fn monitor(&self, id: &str) -> MonitorMetrics {
        MonitorMetrics { all: self.clone(), id: id.to_owned() }
    }
}

/// One monitor's metrics.
#[derive(Clone, Debug)]
pub struct MonitorMetrics {
    all: Metrics,
    id: String,
}

impl MonitorMetrics {
    /// Looks at a source by outcome.
    pub fn polls(&self, source: &str, outcome: &str) -> IntCounter {
        self.all.polls.with_label_values(&[&*self.id, source, outcome])
    }
    /// How long a look took.
    pub fn poll_seconds(&self, source: &str) -> Histogram {
        self.all.poll_seconds.with_label_values(&[&*self.id, source])
    }
    /// Failed looks by reason.
    pub fn source_errors(&self, source: &str, reason: &str) -> IntCounter {
        self.all.source_errors.with_label_values(&[&*self.id, source, reason])
    }
    /// When a source was last read, in seconds since the epoch.
    pub fn source_last_success(&self, source: &str) -> Gauge {
        self.all.source_last_success.with_label_values(&[&*self.id, source])
    }
    /// Observations acknowledged by the log.
    pub fn appended(&self, source: &str) -> IntCounter {
        self.all.appended.with_label_values(&[&*self.id, source])
    }
    /// Latency of an append.
    pub fn append_seconds(&self) -> Histogram {
        self.all.append_seconds.with_label_values(&[&*self.id])
    }
    /// Observations processed, by direction.
    pub fn processed(&self, direction: Direction) -> IntCounter {
        self.all.processed.with_label_values(&[&*self.id, direction.as_str()])
    }
    /// Alerts raised by a rule.
    pub fn alerts(&self, rule: &str) -> IntCounter {
        self.all.alerts.with_label_values(&[&*self.id, rule])
    }
    /// Hits that a cooldown kept back.
    pub fn suppressed(&self) -> IntCounter {
        self.all.suppressed.with_label_values(&[&*self.id])
    }
    /// Raw records that could not be acted on.
    pub fn dead_letters(&self, reason: &str) -> IntCounter {
        self.all.dead_letters.with_label_values(&[&*self.id, reason])
    }
    /// Keys in the processor's state.
    pub fn state_entries(&self) -> IntGauge {
        self.all.state_entries.with_label_values(&[&*self.id])
    }
    /// Rows written by a sink.
    pub fn rows(&self, sink: &str) -> IntCounter {
        self.all.rows.with_label_values(&[&*self.id, sink])
    }
    /// Rows that a sink already had.
    pub fn duplicates(&self, sink: &str) -> IntCounter {
        self.all.duplicates.with_label_values(&[&*self.id, sink])
    }
    /// Latency of a sink's batch.
    pub fn write_seconds(&self, sink: &str) -> Histogram {
        self.all.write_seconds.with_label_values(&[&*self.id, sink])
    }
    /// Rows of the database that lie in no month's partition.
    pub fn unsorted(&self) -> IntGauge {
        self.all.unsorted.with_label_values(&[&*self.id])
    }
    /// Records of a partition a worker has still to read.
    pub fn lag_records(&self, worker: &str, partition: u32) -> IntGauge {
        self.all.lag_records.with_label_values(&[&*self.id, worker, &partition.to_string()])
    }
    /// Age in seconds of the oldest record of a partition a worker has still to read; 0 when there is none.
    pub fn lag_seconds(&self, worker: &str, partition: u32) -> Gauge {
        self.all.lag_seconds.with_label_values(&[&*self.id, worker, &partition.to_string()])
    }
    /// Alerts by channel and result.
    pub fn deliveries(&self, channel: &str, result: &str) -> IntCounter {
        self.all.deliveries.with_label_values(&[&*self.id, channel, result])
    }
    /// Alerts that wait for a channel.
    pub fn pending(&self, channel: &str) -> IntGauge {
        self.all.pending.with_label_values(&[&*self.id, channel])
    }
    /// Records in a transaction or batch.
    pub fn batch_records(&self, worker: &str) -> Histogram {
        self.all.batch_records.with_label_values(&[&*self.id, worker])
    }
    /// Latency of a transaction.
    pub fn transaction_seconds(&self, worker: &str) -> Histogram {
        self.all.transaction_seconds.with_label_values(&[&*self.id, worker])
    }
    /// Transactions that were given up.
    pub fn transactions_aborted(&self, worker: &str) -> IntCounter {
        self.all.transactions_aborted.with_label_values(&[&*self.id, worker])
    }
    /// How much of a partition's state is restored, from 0 to 1.
    pub fn restore_progress(&self, partition: u32) -> Gauge {
        self.all.restore_progress.with_label_values(&[&*self.id, &*partition.to_string()])
    }
    /// Records that a worker read again and already had.
    pub fn skipped(&self, worker: &str) -> IntCounter {
        self.all.skipped.with_label_values(&[&*self.id, worker])
    }
    /// Restarts of a worker after an error.
    pub fn restarts(&self, worker: &str) -> IntCounter {
        self.all.restarts.with_label_values(&[&*self.id, worker])
    }
}

impl MonitorMetrics {
    /// A worker by its group: without the monitor's id, with which the names of groups begin by default.
    fn worker<'g>(&self, group: &'g str) -> &'g str {
        group.strip_prefix(&*self.id).and_then(|rest| rest.strip_prefix('.')).unwrap_or(group)
    }
}

/// What a cluster's event log tells of its work.
impl Observer for MonitorMetrics {
    fn committed(&self, group: &str, records: usize, took: Duration) {
        self.batch_records(self.worker(group)).observe(records as f64);
        self.transaction_seconds(self.worker(group)).observe(took.as_secs_f64());
    }

    fn aborted(&self, group: &str) {
        self.transactions_aborted(self.worker(group)).inc();
    }

    fn written(&self, group: &str, records: usize) {
        self.batch_records(self.worker(group)).observe(records as f64);
    }

    fn restoring(&self, _group: &str, partition: u32, done: u64, of: u64) {
        self.restore_progress(partition).set(if of == 0 { 1.0 } else { done as f64 / of as f64 });
    }

    fn skipped(&self, group: &str, records: u64) {
        MonitorMetrics::skipped(self, self.worker(group)).inc_by(records);
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("pricemonitor_{name}"), help)
}

fn labelled<'l>(labels: &[&'l str]) -> Vec<&'l str> {
    std::iter::once("monitor").chain(labels.iter().copied()).collect()
}

fn counter(
    r: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    let metric = IntCounterVec::new(opts(name, help), &labelled(labels))?;
    r.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn int_gauge(
    r: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntGaugeVec, prometheus::Error> {
    let metric = IntGaugeVec::new(opts(name, help), &labelled(labels))?;
    r.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauge(r: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
    let metric = GaugeVec::new(opts(name, help), &labelled(labels))?;
    r.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn histogram(
    r: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<HistogramVec, prometheus::Error> {
    histogram_of(r, name, help, labels, SECONDS)
}

fn histogram_of(
    r: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> Result<HistogramVec, prometheus::Error> {
    let options = HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec());
    let metric = HistogramVec::new(options, &labelled(labels))?;
    r.register(Box::new(metric.clone()))?;
    Ok(metric)
}

#[cfg(test)]
mod tests {
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
    fn every_metric_carries_the_monitor_and_a_name_of_ours() {
        let metrics = Metrics::new().unwrap();
        let one = metrics.monitor("default.a");
        one.polls("s", "ok").inc();
        one.append_seconds().observe(0.002);
        one.lag_seconds("processor", 0).set(1.5);
        let families = metrics.registry().gather();
        assert!(families.len() >= 3);
        for family in families {
            assert!(family.name().starts_with("pricemonitor_"), "{}", family.name());
            for metric in family.get_metric() {
                assert!(metric.get_label().iter().any(|l| l.name() == "monitor" && l.value() == "default.a"));
            }
        }
    }
}
