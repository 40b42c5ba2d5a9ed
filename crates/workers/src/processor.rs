//! The processor: raw records in, events, alerts and dead letters out, state in between, all in
//! the one transaction that the event log runs around it.

use std::collections::HashMap;
use std::sync::Arc;

use pricemonitor_detection::{Detector, ItemState, TickEffect};
use pricemonitor_eventlog::{Batch, Error, Fold, Out, Record, Restored, Result, Table, Topic};
use pricemonitor_model::persist::PersistError;
use pricemonitor_model::{
    Admission, Admitted, Alert, Coordinates, DeadLetter, MonitorId, PriceEvent, Rejection, Rule, Tick, Time,
    admission, letter, wire,
};

use crate::metrics::MonitorMetrics;
use crate::witness::{Held, Witness};

/// How often, in record time, keys that nothing was heard of for long are looked for.
const SWEEP: i64 = 3_600_000;

/// The fold of one monitor.
pub struct Processor {
    monitor: MonitorId,
    admission: Arc<Admission>,
    detector: Detector,
    partitions: HashMap<u32, Partition>,
    counts: Counts,
    held: Held,
    metrics: MonitorMetrics,
    scratch: Vec<u8>,
}

struct Partition {
    state: Table<ItemState>,
    swept: Time,
}

/// What the running transaction adds to the metrics once it is committed.
#[derive(Default)]
struct Counts {
    directions: [u64; 6],
    suppressed: u64,
    alerts: HashMap<String, u64>,
    dead: HashMap<&'static str, u64>,
}

impl Processor {
    /// A processor with no partition yet.
    pub fn new(
        monitor: MonitorId,
        admission: Arc<Admission>,
        rules: Vec<Rule>,
        witness: Witness,
        metrics: MonitorMetrics,
    ) -> Processor {
        Processor {
            detector: Detector::new(monitor.clone(), rules),
            monitor,
            admission,
            partitions: HashMap::new(),
            counts: Counts::default(),
            held: Held::new(witness),
            metrics,
            scratch: Vec::new(),
        }
    }

    fn one(&mut self, batch: &Batch<'_>, record: &Record<'_>, out: &mut Out) -> Result<()> {
        let at =
            Coordinates { incarnation: batch.incarnation, partition: batch.partition, offset: record.offset };
        match admission::admit(&self.admission, batch.partition, record.key, record.value, record.timestamp) {
            Ok(Admitted::Observation(observation)) => {
                let Some(partition) = self.partitions.get_mut(&batch.partition) else {
                    return Err(Error::Worker(format!("partition {} was never assigned", batch.partition)));
                };
                self.scratch.clear();
                Detector::key(&observation, &mut self.scratch);
                let state = partition.state.entry(&self.scratch).map_err(unreadable)?;
                let mut alerts = Vec::new();
                let kept_back = state.suppressed();
                let event = self.detector.observe(state, observation, at, &mut alerts);
                // Less than before when the series starts anew.
                self.counts.suppressed += state.suppressed().saturating_sub(kept_back);
                self.told(record.key, &event, out);
                alerts.iter().for_each(|alert| self.alert(alert, out));
                Ok(())
            }
            Ok(Admitted::Tick(tick)) => self.tick(&tick, at, out),
            Ok(Admitted::Foreign) => Ok(()),
            Err(Rejection::Dead { reason, detail }) => {
                self.dead(record, at, reason, &detail, out);
                Ok(())
            }
            Err(newer @ Rejection::Newer(_)) => {
                Err(Error::TooNew { offset: at.offset, why: format!("{} at {at}: {newer}", self.monitor) })
            }
        }
    }

    fn told(&mut self, key: Option<&[u8]>, event: &PriceEvent<'_>, out: &mut Out) {
        out.encode(Topic::Processed, key, |value| wire::write_event(event, value));
        self.counts.directions[event.direction as usize] += 1;
        self.held.event(self.monitor.as_str(), event);
    }

    fn alert(&mut self, alert: &Alert<'_>, out: &mut Out) {
        out.encode(Topic::Alerts, Some(alert.key().as_bytes()), |value| wire::write_alert(alert, value));
        *self.counts.alerts.entry(alert.rule.to_string()).or_default() += 1;
        self.held.alert(alert);
    }

    /// Time passes for every key of the tick's source: at each tick while a rule depends on time,
    /// else now and then, to forget what is long gone.
    fn tick(&mut self, tick: &Tick<'_>, at: Coordinates, out: &mut Out) -> Result<()> {
        let Some(partition) = self.partitions.get_mut(&at.partition) else {
            return Err(Error::Worker(format!("partition {} was never assigned", at.partition)));
        };
        if !self.detector.needs_ticks() && tick.at.since(partition.swept) < SWEEP {
            return Ok(());
        }
        partition.swept = tick.at;
        let prefix = format!("{}/", tick.source);
        let detector = &self.detector;
        // Only keys for which time changes something are touched, and so written.
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for entry in partition.state.iter(prefix.as_bytes()) {
            let (key, state) = entry.map_err(unreadable)?;
            if detector.due(&state, tick) {
                keys.push(key.to_vec());
            }
        }
        let mut alerts = Vec::new();
        for key in keys {
            let state = partition.state.entry(&key).map_err(unreadable)?;
            if detector.tick(state, &key, tick, at, &mut alerts) == TickEffect::Expired {
                partition.state.remove(&key);
            }
        }
        alerts.iter().for_each(|alert| self.alert(alert, out));
        Ok(())
    }

    fn dead(
        &mut self,
        record: &Record<'_>,
        at: Coordinates,
        reason: &'static str,
        detail: &str,
        out: &mut Out,
    ) {
        let letter = DeadLetter::of(reason, detail, at, record.timestamp, record.key, record.value);
        // So that letter and key fit into a record of the log, whatever somebody wrote.
        let key = record.key.filter(|key| key.len() <= letter::MAX_REPEATED);
        out.encode(Topic::DeadLetters, key, |value| wire::write_dead_letter(&letter, value));
        *self.counts.dead.entry(reason).or_default() += 1;
        tracing::warn!(monitor = %self.monitor, %at, reason, "dead letter: {detail}");
    }
}

impl Fold for Processor {
    fn assigned(&mut self, partition: u32, restored: Restored<'_>) -> Result<()> {
        let mut state = Table::new();
        let offset = restored.next_offset;
        restored.each(|key, value| state.restore(key, value).map_err(unreadable))?;
        tracing::debug!(monitor = %self.monitor, partition, keys = state.len(), offset, "restored");
        self.partitions.insert(partition, Partition { state, swept: Time::default() });
        Ok(())
    }

    fn apply(&mut self, batch: &Batch<'_>, out: &mut Out) -> Result<()> {
        for record in batch.records {
            self.one(batch, record, out)?;
        }
        if let Some(partition) = self.partitions.get_mut(&batch.partition) {
            partition.state.drain_dirty(out);
        }
        Ok(())
    }

    fn committed(&mut self) {
        for partition in self.partitions.values_mut() {
            partition.state.committed();
        }
        self.held.committed();
        self.counts.publish(&self.metrics);
        let entries: usize = self.partitions.values().map(|partition| partition.state.len()).sum();
        self.metrics.state_entries().set(i64::try_from(entries).unwrap_or(i64::MAX));
    }

    fn aborted(&mut self) {
        for partition in self.partitions.values_mut() {
            partition.state.aborted();
            // The tick that swept comes again, and must find the same to do.
            partition.swept = Time::default();
        }
        self.held.aborted();
        self.counts = Counts::default();
    }

    fn revoked(&mut self, partition: u32) {
        self.partitions.remove(&partition);
    }
}

/// Nothing that another try would change.
fn unreadable(error: PersistError) -> Error {
    Error::Worker(error.to_string())
}

impl Counts {
    fn publish(&mut self, metrics: &MonitorMetrics) {
        use pricemonitor_model::Direction::{Drop, First, Late, Revised, Rise, Unchanged};
        for direction in [First, Unchanged, Drop, Rise, Revised, Late] {
            let count = std::mem::take(&mut self.directions[direction as usize]);
            if count > 0 {
                metrics.processed(direction).inc_by(count);
            }
        }
        metrics.suppressed().inc_by(std::mem::take(&mut self.suppressed));
        for (rule, count) in self.alerts.drain() {
            metrics.alerts(&rule).inc_by(count);
        }
        for (reason, count) in self.dead.drain() {
            metrics.dead_letters(reason).inc_by(count);
        }
    }
}
