//! The loop around a sink.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::group::Membership;
use super::monitor::Monitor;
use super::pace::{Pace, Patience};
use super::read::{Fetched, Most, Reader};
use crate::{Batch, Error, Member, Result, Sink, Stop, Topic};

/// How long nothing must come before the sink may keep house.
const IDLE: Duration = Duration::from_secs(1);

struct Part {
    partition: u32,
    index: usize,
    next: u64,
    /// The record in front of which it stops.
    barrier: Option<u64>,
}

impl Part {
    /// Up to where it may be read.
    fn limit(&self) -> u64 {
        self.barrier.unwrap_or(u64::MAX)
    }
}

struct Feeding<'s, S> {
    monitor: Arc<Monitor>,
    topic: Topic,
    membership: Membership,
    reader: Reader,
    sink: &'s mut S,
    parts: Vec<Part>,
    fetched: Fetched,
}

pub(super) fn run(
    monitor: &Arc<Monitor>,
    member: &Member,
    topic: Topic,
    sink: &mut impl Sink,
    stop: &Stop,
) -> Result<()> {
    if matches!(topic, Topic::State | Topic::Checkpoints) {
        return Err(Error::Worker(format!(
            "`{}` is compacted; no sink can follow it",
            monitor.topic(topic).name
        )));
    }
    let bell = monitor.bell.clone();
    let _listening = stop.listen(move || bell.ring());
    let mut feeding = Feeding {
        membership: Membership::join(monitor, member, topic),
        reader: Reader::open(&monitor.core.path)?,
        monitor: monitor.clone(),
        topic,
        sink,
        parts: Vec::new(),
        fetched: Fetched::default(),
    };
    let result = feeding.until(stop);
    if !matches!(result, Err(Error::Fenced(_))) {
        feeding.revoke_all();
    }
    // A hint only; the sink itself knows where it stands.
    if let Err(error) = monitor.store_hints() {
        tracing::debug!(monitor = %monitor.id, "positions of sinks were not written: {error}");
    }
    result
}

impl<S: Sink> Feeding<'_, S> {
    fn until(&mut self, stop: &Stop) -> Result<()> {
        let (mut pace, mut patience) = (Pace::sink(&self.monitor.core.options), Patience::new());
        let mut settled = false;
        loop {
            let rung = self.monitor.bell.count();
            if stop.is_stopped() {
                return Ok(());
            }
            let turn = self.rebalance().and_then(|()| {
                if !std::mem::replace(&mut settled, true) {
                    self.sink.settled();
                }
                self.turn(&mut pace, stop)
            });
            match turn {
                Ok(0) => {
                    if !self.monitor.bell.wait(rung, Instant::now() + IDLE) && !stop.is_stopped() {
                        self.idle()?;
                    }
                }
                Ok(records) => {
                    patience = Patience::new();
                    pace.after(records, stop);
                }
                Err(Error::Retry(why)) => {
                    self.warn(&why);
                    patience.wait(stop);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn idle(&mut self) -> Result<()> {
        match self.sink.idle() {
            Err(Error::Retry(why)) => {
                self.warn(&why);
                Ok(())
            }
            other => other,
        }
    }

    fn rebalance(&mut self) -> Result<()> {
        let changes = self.membership.changes()?;
        for partition in &changes.lost {
            self.parts.retain(|part| part.partition != *partition);
            self.monitor.stops(self.membership.group(), *partition, None);
            self.sink.revoked(*partition);
        }
        if !changes.lost.is_empty() {
            self.membership.release(&changes.lost);
        }
        if changes.gained.is_empty() {
            return Ok(());
        }
        let assigned = self.assign(&changes.gained);
        if assigned.is_err() {
            // Taken up again at the next turn, if there is one.
            self.membership.release(&changes.gained);
        }
        assigned
    }

    fn assign(&mut self, partitions: &[u32]) -> Result<()> {
        let mut parts = Vec::with_capacity(partitions.len());
        for &partition in partitions {
            let index = self.monitor.index(self.topic, partition);
            let next = match self.sink.position(partition)? {
                Some(position) => self.monitor.check(self.membership.group(), index, position)?,
                None => self.monitor.streams[index].first(),
            };
            parts.push(Part { partition, index, next, barrier: None });
        }
        let claims: Vec<_> = parts.iter().map(|part| (part.index, Some(part.next))).collect();
        self.monitor.claim(self.membership.group(), &claims)?;
        self.parts.append(&mut parts);
        Ok(())
    }

    /// Feeds one batch of every partition that has something. Tells how many records that were.
    fn turn(&mut self, pace: &mut Pace, stop: &Stop) -> Result<usize> {
        let waiting = |part: &Part| self.monitor.streams[part.index].next().min(part.limit()) > part.next;
        let ready: Vec<usize> = (0..self.parts.len()).filter(|at| waiting(&self.parts[*at])).collect();
        let share = pace.share(ready.len());
        let mut records = 0;
        for at in ready {
            if stop.is_stopped() {
                break;
            }
            records += self.feed(at, share, stop)?;
        }
        Ok(records)
    }

    /// Feeds one batch, the same one until it is taken.
    fn feed(&mut self, at: usize, share: Most, stop: &Stop) -> Result<usize> {
        let Part { partition, index, next, .. } = self.parts[at];
        let limit = self.parts[at].limit();
        let stream = &self.monitor.streams[index];
        self.reader.fetch(&self.monitor, stream, next, share, &mut self.fetched)?;
        let mut records = self.fetched.records(next)?;
        records.retain(|record| record.offset < limit);
        if records.is_empty() {
            return Err(super::trouble::damaged(&format!(
                "partition {partition} has no records at offset {next}"
            )));
        }
        let incarnation = self.monitor.topic(self.topic).incarnation;
        let batch = Batch { incarnation, partition, records: &records };
        let mut patience = Patience::new();
        loop {
            if !self.membership.keeps(partition)? {
                return Ok(0);
            }
            match self.sink.write(&batch) {
                Ok(()) => break,
                Err(Error::Retry(why)) => {
                    tracing::warn!(monitor = %self.monitor.id, group = self.membership.group(), "tried again soon: {why}");
                    if patience.wait(stop) {
                        return Ok(0);
                    }
                }
                Err(Error::TooNew { offset, why }) => {
                    let id = &self.monitor.id;
                    tracing::error!(monitor = %id, partition, "the partition stops in front of offset {offset}: {why}");
                    self.monitor.stops(self.membership.group(), partition, Some(&why));
                    self.parts[at].barrier = Some(offset);
                    // What lies before it comes at the next turn.
                    return Ok(1);
                }
                Err(error) => return Err(error),
            }
        }
        self.parts[at].next = batch.next_offset();
        self.monitor.reached(index, self.membership.group(), batch.next_offset());
        Ok(batch.records.len())
    }

    fn warn(&self, why: &str) {
        tracing::warn!(monitor = %self.monitor.id, group = self.membership.group(), "tried again soon: {why}");
    }

    fn revoke_all(&mut self) {
        for part in self.parts.drain(..) {
            self.monitor.stops(self.membership.group(), part.partition, None);
            self.sink.revoked(part.partition);
        }
    }
}
