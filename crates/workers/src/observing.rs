//! What a cluster's event log tells of its work.

use std::time::Duration;

use pricemonitor_eventlog::Observer;

use crate::health::{Health, Part};
use crate::metrics::MonitorMetrics;

/// Counts what the log tells, and tells whoever waits for the processor how far its state is restored.
#[derive(Clone, Debug)]
pub struct Observing {
    metrics: MonitorMetrics,
    health: Health,
    processor: Part,
}

impl Observing {
    /// For the monitor of that id.
    pub fn new(monitor: &str, metrics: MonitorMetrics, health: Health) -> Observing {
        Observing { metrics, health, processor: Part::worker(monitor, "processor") }
    }
}

impl Observer for Observing {
    fn committed(&self, reader: &str, records: usize, took: Duration) {
        self.metrics.committed(reader, records, took);
    }

    fn aborted(&self, reader: &str) {
        self.metrics.aborted(reader);
    }

    fn written(&self, reader: &str, records: usize) {
        self.metrics.written(reader, records);
    }

    fn restoring(&self, reader: &str, partition: u32, done: u64, of: u64) {
        self.metrics.restoring(reader, partition, done, of);
        let percent = (done * 100).checked_div(of).unwrap_or(100);
        let how_far = format!("{percent} % of the state of partition {partition} is restored");
        self.health.starting(&self.processor, how_far);
    }

    fn skipped(&self, reader: &str, records: u64) {
        Observer::skipped(&self.metrics, reader, records);
    }
}
