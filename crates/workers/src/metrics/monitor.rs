//! The metrics of one monitor: each with its id as a label, and what a cluster's event log tells counted in them.

use std::time::Duration;

use pricemonitor_eventlog::Observer;
use pricemonitor_model::Direction;
use prometheus::{Gauge, Histogram, IntCounter, IntGauge};

use super::Metrics;

/// One monitor's metrics.
#[derive(Clone, Debug)]
pub struct MonitorMetrics {
    pub(super) all: Metrics,
    pub(super) id: String,
}

impl MonitorMetrics {
    /// When a worker began in this process, in seconds since the epoch.
    pub fn worker_started(&self, worker: &str) -> Gauge {
        self.all.worker_started.with_label_values(&[&*self.id, worker])
    }
    /// How often a source is to be looked at, in seconds.
    pub fn source_interval(&self, source: &str) -> Gauge {
        self.all.source_interval.with_label_values(&[&*self.id, source])
    }
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
