//! The loop around a sink.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::{CommitMode, Consumer as _};

use super::fold::{by_partition, collect};
use super::log::Shared;
use super::membership::{Change, Membership};
use crate::{Batch, Error, Member, Record, Result, Sink, Stop, Topic};

/// How long nothing must come before the sink may keep house.
const IDLE: Duration = Duration::from_secs(1);
/// Growth of batches under backlog: a database gains from large ones.
const GROWTH: usize = 8;
/// First and longest wait after an error that may pass.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

struct Feeding<'s, S> {
    log: &'s Shared,
    topic: Topic,
    sink: &'s mut S,
    /// Owned partitions, and where each goes on.
    parts: BTreeMap<u32, u64>,
}

pub(super) fn run(
    log: &Shared,
    member: &Member,
    topic: Topic,
    sink: &mut impl Sink,
    stop: &Stop,
) -> Result<()> {
    if matches!(topic, Topic::State | Topic::Checkpoints) {
        return Err(Error::Worker(format!("`{}` is compacted; no sink can follow it", log.name(topic))));
    }
    let group = log.group(&member.group);
    let membership = Membership::join(&log.connection, &group, member, log.name(topic))?;
    let mut feeding = Feeding { log, topic, sink, parts: BTreeMap::new() };
    let result = feeding.until(&membership, stop);
    log.told(&group, None);
    if !matches!(result, Err(Error::Fenced(_))) {
        feeding.revoke_all();
    }
    result
}

impl<S: Sink> Feeding<'_, S> {
    fn until(&mut self, membership: &Membership, stop: &Stop) -> Result<()> {
        let options = &self.log.options;
        let (mut settled, mut most, mut quiet) = (false, options.batch_records, Instant::now());
        while !stop.is_stopped() {
            let messages = collect(membership, most, options.linger)?;
            let full = messages.len() >= most;
            most = if full { most * 2 } else { most / 2 }
                .clamp(options.batch_records, options.batch_records * GROWTH);
            for change in membership.changes() {
                self.rebalance(membership, change)?;
            }
            if membership.is_settled() && !std::mem::replace(&mut settled, true) {
                self.sink.settled();
            }
            if !messages.is_empty() {
                quiet = Instant::now();
            } else if quiet.elapsed() >= IDLE {
                quiet = Instant::now();
                self.idle(membership)?;
            }
            let batches = by_partition(&messages, &self.parts);
            for (partition, records) in &batches {
                if !self.feed(membership, *partition, records, stop)? {
                    break;
                }
            }
        }
        Ok(())
    }

    fn idle(&mut self, membership: &Membership) -> Result<()> {
        match self.sink.idle() {
            Err(Error::Retry(why)) => {
                tracing::warn!(monitor = %self.log.id, group = membership.group, "tried again soon: {why}");
                Ok(())
            }
            other => other,
        }
    }

    fn rebalance(&mut self, membership: &Membership, change: Change) -> Result<()> {
        match change {
            Change::Lost(partitions) => {
                for partition in partitions {
                    if self.parts.remove(&partition).is_some() {
                        self.sink.revoked(partition);
                    }
                }
            }
            Change::Gained(partitions) => {
                let mut from = Vec::with_capacity(partitions.len());
                for partition in partitions {
                    let next = match self.sink.position(partition)? {
                        Some(position) => {
                            self.log.check(&membership.group, self.topic, partition, position)?
                        }
                        None => self.log.ends(self.topic, partition)?.0,
                    };
                    self.parts.insert(partition, next);
                    from.push((partition, Offset::Offset(next as i64)));
                }
                membership.take(&from)?;
            }
        }
        Ok(())
    }

    /// Feeds one batch, the same one until it is taken. `false` when it was not, because of a stop or a loss.
    fn feed(
        &mut self,
        membership: &Membership,
        partition: u32,
        records: &[Record<'_>],
        stop: &Stop,
    ) -> Result<bool> {
        let batch = Batch { incarnation: self.log.incarnation, partition, records };
        let mut wait = FIRST_WAIT;
        while let Err(error) = self.sink.write(&batch) {
            let Error::Retry(why) = error else { return Err(error) };
            tracing::warn!(monitor = %self.log.id, group = membership.group, "tried again soon: {why}");
            self.log.told(&membership.group, Some(&why));
            if stop.wait(wait) {
                return Ok(false);
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        self.log.told(&membership.group, None);
        self.parts.insert(partition, batch.next_offset());
        // For tools that show lag; the sink itself knows where it stands.
        let list = membership.list(&[(partition, Offset::Offset(batch.next_offset() as i64))])?;
        if let Err(error) = membership.consumer.commit(&list, CommitMode::Async) {
            tracing::debug!("a position was not told to the cluster: {error}");
        }
        Ok(true)
    }

    fn revoke_all(&mut self) {
        for partition in std::mem::take(&mut self.parts).into_keys() {
            self.sink.revoked(partition);
        }
    }
}
