//! The loop around a sink.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;

use super::fold::by_partition;
use super::log::Shared;
use super::membership::{Change, Membership};
use super::native::Messages;
use super::stall::{self, Stall};
use super::trouble::explain;
use crate::{Batch, Error, Member, Record, Result, Sink, Stop, Topic};

/// How long nothing must come before the sink may keep house.
const IDLE: Duration = Duration::from_secs(1);
/// How long alerts are collected at most: they are few, and somebody waits for them.
const URGENT: Duration = Duration::from_millis(5);
/// Growth of batches under backlog: a database gains from large ones.
const GROWTH: usize = 8;
/// First and longest wait after an error that may pass.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

struct Feeding<'s, S> {
    log: &'s Shared,
    /// The group, for the observer.
    reader: &'s str,
    topic: Topic,
    sink: &'s mut S,
    /// Owned partitions, and where each goes on.
    parts: BTreeMap<u32, u64>,
    settled: bool,
}

/// The batch of a partition that the sink could not take yet. The partition is paused: nothing more of it is read, the
/// others go on, and the group sees a member that polls.
struct Held<'m> {
    messages: Messages<'m>,
    again: Instant,
    wait: Duration,
    why: String,
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
    let mut feeding = Feeding { log, reader: &group, topic, sink, parts: BTreeMap::new(), settled: false };
    loop {
        let membership = Membership::join(&log.connection, &group, member, log.name(topic))?;
        let result = feeding.until(&membership, stop);
        let cut_off = || matches!(result, Err(Error::Fenced(_))) && membership.was_cut_off();
        let again = (stall::is(&result) || cut_off()) && !stop.is_stopped();
        if again || !matches!(result, Err(Error::Fenced(_))) {
            feeding.revoke_all();
        }
        if !again {
            log.told(&group, None);
            return result;
        }
    }
}

impl<S: Sink> Feeding<'_, S> {
    fn until(&mut self, membership: &Membership, stop: &Stop) -> Result<()> {
        let options = &self.log.options;
        let linger = if self.topic == Topic::Alerts { options.linger.min(URGENT) } else { options.linger };
        let (mut most, mut quiet) = (options.batch_records, Instant::now());
        let (mut messages, mut held) = (Messages::default(), BTreeMap::new());
        let mut stall = Stall::default();
        while !stop.is_stopped() {
            let owned: Vec<u32> = self.parts.keys().copied().collect();
            match membership.collect(&mut messages, most, patience(&held, linger), owned) {
                Err(Error::Retry(why)) => {
                    tracing::warn!(group = membership.group, "read again: {why}");
                    self.read_again(membership, &self.parts)?;
                    continue;
                }
                collected => collected?,
            }
            let full = messages.len() >= most;
            most = if full { most * 2 } else { most / 2 }
                .clamp(options.batch_records, options.batch_records * GROWTH);
            for change in membership.changes() {
                self.rebalance(membership, &mut held, change)?;
            }
            if membership.is_settled() && !std::mem::replace(&mut self.settled, true) {
                self.sink.settled();
            }
            if messages.len() > 0 {
                quiet = Instant::now();
            } else if quiet.elapsed() >= IDLE {
                quiet = Instant::now();
                self.idle(membership)?;
            }
            self.feed_held(membership, &mut held)?;
            self.feed(membership, &mut messages, &mut held)?;
            let read = self.parts.iter().filter(|(partition, _)| !held.contains_key(partition));
            stall.look(self.log, membership, self.topic, read.map(|(partition, at)| (*partition, *at)))?;
            let away = membership.unreachable();
            let why = held.values().map(|held: &Held<'_>| &held.why).next().or(away.as_ref());
            self.log.told(&membership.group, why.map(String::as_str));
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

    fn rebalance(
        &mut self,
        membership: &Membership,
        held: &mut BTreeMap<u32, Held<'_>>,
        change: Change,
    ) -> Result<()> {
        match change {
            Change::Lost(partitions) => {
                for partition in partitions {
                    held.remove(&partition);
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
                // What was told before the last end may not have arrived, and perhaps there is nothing more to read.
                membership.tell(&from)?;
            }
        }
        Ok(())
    }

    /// Feeds what came. What the sink cannot take yet is held, its partition paused.
    fn feed<'m>(
        &mut self,
        membership: &Membership,
        messages: &mut Messages<'m>,
        held: &mut BTreeMap<u32, Held<'m>>,
    ) -> Result<()> {
        let (batches, skipped) = by_partition(messages, &self.parts);
        if skipped > 0 {
            self.log.options.observer.skipped(self.reader, skipped);
        }
        let mut refused = Vec::new();
        // Of a partition that is paused something may still have been under way; it comes again.
        for (partition, records) in batches.iter().filter(|(partition, _)| !held.contains_key(partition)) {
            if let Some(why) = self.write(membership, *partition, records)? {
                refused.push((*partition, why));
            }
        }
        drop(batches);
        for (partition, why) in refused {
            tracing::warn!(monitor = %self.log.id, group = membership.group, partition, "tried again soon: {why}");
            let list = membership.list(&[(partition, Offset::Invalid)])?;
            membership.consumer().pause(&list).map_err(|error| explain("cannot pause", &error))?;
            let messages = messages.take(partition);
            held.insert(
                partition,
                Held { messages, again: Instant::now() + FIRST_WAIT, wait: FIRST_WAIT, why },
            );
        }
        Ok(())
    }

    /// Feeds what is held and due, unchanged; reads on behind what was taken.
    fn feed_held(&mut self, membership: &Membership, held: &mut BTreeMap<u32, Held<'_>>) -> Result<()> {
        let mut taken = Vec::new();
        for (partition, held) in held.iter_mut().filter(|(_, held)| held.again <= Instant::now()) {
            let (batches, _) = by_partition(&held.messages, &self.parts);
            let records = batches.get(partition).map(Vec::as_slice).unwrap_or_default();
            match if records.is_empty() { None } else { self.write(membership, *partition, records)? } {
                None => taken.push(*partition),
                Some(why) => {
                    held.wait = (held.wait * 2).min(LONGEST_WAIT);
                    held.again = Instant::now() + held.wait;
                    held.why = why;
                }
            }
        }
        for partition in taken {
            held.remove(&partition);
            let list = membership.list(&[(partition, Offset::Invalid)])?;
            membership.consumer().resume(&list).map_err(|error| explain("cannot read on", &error))?;
            let next = self.parts.get(&partition).copied().unwrap_or_default();
            self.read_again(membership, &[(partition, next)].into())?;
        }
        Ok(())
    }

    /// Offers a batch to the sink. Why it cannot take it yet, if so.
    fn write(
        &mut self,
        membership: &Membership,
        partition: u32,
        records: &[Record<'_>],
    ) -> Result<Option<String>> {
        let batch = Batch { incarnation: self.log.incarnation, partition, records };
        match self.sink.write(&batch) {
            Ok(()) => {}
            Err(Error::Retry(why)) => return Ok(Some(why)),
            Err(error) => return Err(error),
        }
        self.log.options.observer.written(self.reader, records.len());
        self.parts.insert(partition, batch.next_offset());
        membership.tell(&[(partition, Offset::Offset(batch.next_offset() as i64))])?;
        Ok(None)
    }

    /// Reads again from these positions.
    fn read_again(&self, membership: &Membership, parts: &BTreeMap<u32, u64>) -> Result<()> {
        let positions: Vec<(u32, Offset)> =
            parts.iter().map(|(partition, next)| (*partition, Offset::Offset(*next as i64))).collect();
        membership.seek(&positions)
    }

    fn revoke_all(&mut self) {
        for partition in std::mem::take(&mut self.parts).into_keys() {
            self.sink.revoked(partition);
        }
    }
}

/// How long messages are collected: not beyond the moment when something held is due.
fn patience(held: &BTreeMap<u32, Held<'_>>, linger: Duration) -> Duration {
    let due = held.values().map(|held| held.again.saturating_duration_since(Instant::now())).min();
    due.map_or(linger, |due| due.min(linger))
}
