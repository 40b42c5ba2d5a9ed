//! The loop around a sink.

use std::collections::BTreeMap;
use std::slice;
use std::time::{Duration, Instant};

use rdkafka::Offset;

use super::client::Fetch;
use super::collect::Wait;
use super::life::Watch;
use super::log::Shared;
use super::membership::{Change, Membership};
use super::native::Messages;
use super::parts::{Barrier, Part, Parts};
use super::stall::{self, Stall};
use super::untold::Untold;
use crate::{Batch, Error, Member, Position, Result, Sink, Stop, Topic};

/// How long nothing must come before the sink may keep house.
const IDLE: Duration = Duration::from_secs(1);
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
    /// Where each stands by the sink; less than where it goes on when only marks of transactions lie between.
    stored: BTreeMap<u32, u64>,
    /// Partitions that stop in front of a record.
    barriers: BTreeMap<u32, Barrier>,
    untold: Untold,
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
    let mut feeding = Feeding {
        log,
        reader: &group,
        topic,
        sink,
        parts: BTreeMap::new(),
        stored: BTreeMap::new(),
        barriers: BTreeMap::new(),
        untold: Untold::default(),
        settled: false,
    };
    loop {
        let fetch = if topic == Topic::Alerts { Fetch::AtOnce } else { Fetch::Gathered };
        let membership = Membership::join(&log.connection, &group, member, log.name(topic), fetch)?;
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
        // Somebody waits for alerts, and they are few: what is there is taken at once. Nobody waits for rows, and each
        // write costs the database and the cluster about as much as a hundred of them.
        let (linger, wait): (_, fn(Duration) -> Wait) = match self.topic {
            Topic::Alerts => (options.linger, Wait::First),
            _ => (options.linger * 2, Wait::Whole),
        };
        let (mut most, mut quiet) = (options.batch_records, Instant::now());
        let (mut messages, mut held) = (Messages::default(), BTreeMap::new());
        let (mut stall, mut watch) = (Stall::default(), Watch::new());
        while !stop.is_stopped() {
            let owned: Vec<u32> = self.parts.keys().copied().collect();
            match membership.collect(&mut messages, most, wait(patience(&held, linger)), owned) {
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
            watch.look(self.log)?;
            if membership.is_settled() && !std::mem::replace(&mut self.settled, true) {
                self.sink.settled();
            }
            if messages.len() > 0 {
                quiet = Instant::now();
            } else if quiet.elapsed() >= IDLE {
                quiet = Instant::now();
                self.idle(membership, &held)?;
            }
            self.feed_held(membership, &mut held)?;
            self.feed(membership, &mut messages, &mut held)?;
            self.untold.tell_in_time(membership)?;
            let reads = |partition| !held.contains_key(partition) && !self.barriers.contains_key(partition);
            let read = self.parts.iter().filter(|(partition, _)| reads(partition));
            let read = read.map(|(partition, at)| (*partition, *at)).collect::<Vec<_>>();
            // Stored with the next records of the partition, or at rest.
            self.parts.extend(stall.look(self.log, membership, self.topic, read.into_iter())?);
            let away = membership.unreachable();
            let holds = held.values().map(|held: &Held<'_>| &held.why).next();
            let stops = self.barriers.values().map(|barrier| &barrier.why).next();
            self.log.told(&membership.group, holds.or(away.as_ref()).or(stops).map(String::as_str));
        }
        let unhindered = held.is_empty() && self.barriers.is_empty() && membership.unreachable().is_none();
        let parts: Vec<(u32, u64)> = self.parts.iter().map(|(partition, at)| (*partition, *at)).collect();
        if unhindered {
            self.parts.extend(stall::passed(self.log, self.topic, &parts));
        }
        if let Err(error) = self.rest(membership, &held) {
            // The next owner finds it out again.
            tracing::debug!(group = membership.group, "positions were not stored at the end: {error}");
        }
        Ok(())
    }

    fn idle(&mut self, membership: &Membership, held: &BTreeMap<u32, Held<'_>>) -> Result<()> {
        match self.rest(membership, held).and_then(|()| self.sink.idle()) {
            Err(Error::Retry(why)) => {
                tracing::warn!(monitor = %self.log.id, group = membership.group, "tried again soon: {why}");
                Ok(())
            }
            other => other,
        }
    }

    /// Stores positions behind marks of transactions, and has all told that is not told yet.
    fn rest(&mut self, membership: &Membership, held: &BTreeMap<u32, Held<'_>>) -> Result<()> {
        let stored = self.store_marks(held);
        self.untold.tell(membership)?;
        stored
    }

    fn store_marks(&mut self, held: &BTreeMap<u32, Held<'_>>) -> Result<()> {
        for (partition, next) in &self.parts {
            if self.stored.get(partition) == Some(next) || held.contains_key(partition) {
                continue;
            }
            let position = Position { incarnation: self.log.incarnation, next_offset: *next };
            self.sink.advance(*partition, position)?;
            self.stored.insert(*partition, *next);
            self.untold.add(*partition, *next);
        }
        Ok(())
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
                    self.stored.remove(&partition);
                    self.barriers.remove(&partition);
                    self.untold.forget(partition);
                    if self.parts.remove(&partition).is_some() {
                        self.sink.revoked(partition);
                    }
                }
            }
            Change::Gained(partitions) => {
                if !partitions.is_empty() {
                    self.log.check_life()?;
                }
                let mut from = Vec::with_capacity(partitions.len());
                for partition in partitions {
                    let next = match self.sink.position(partition)? {
                        Some(position) => {
                            self.log.check(&membership.group, self.topic, partition, position)?
                        }
                        None => self.log.ends(self.topic, partition)?.0,
                    };
                    self.parts.insert(partition, next);
                    self.stored.insert(partition, next);
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
        let Parts { mut parts, skipped } = Parts::of(messages, &self.parts, &self.barriers);
        if skipped > 0 {
            self.log.options.observer.skipped(self.reader, skipped);
        }
        // Of a partition that is paused something may still have been under way; it comes again.
        parts.retain(|part| !held.contains_key(&part.partition));
        let refused = self.take_all(membership, &parts)?;
        drop(parts);
        for (partition, why) in refused {
            tracing::warn!(monitor = %self.log.id, group = membership.group, partition, "tried again soon: {why}");
            membership.pause(&[partition])?;
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
            let Parts { parts, .. } = Parts::of(&held.messages, &self.parts, &self.barriers);
            match parts.first().map_or(Ok(None), |part| self.take(membership, part))? {
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
            if self.barriers.contains_key(&partition) {
                continue;
            }
            membership.resume(&[partition])?;
            let next = self.parts.get(&partition).copied().unwrap_or_default();
            self.read_again(membership, &[(partition, next)].into())?;
        }
        Ok(())
    }

    /// Offers what came of a partition to the sink. Why it cannot take it yet, if so.
    fn take(&mut self, membership: &Membership, part: &Part<'_>) -> Result<Option<String>> {
        let refused = self.take_all(membership, slice::from_ref(part))?;
        Ok(refused.into_iter().next().map(|(_, why)| why))
    }

    /// Offers what came of several partitions to the sink, all at once. Those of which it cannot take it yet, and why.
    fn take_all(&mut self, membership: &Membership, parts: &[Part<'_>]) -> Result<Vec<(u32, String)>> {
        for part in parts {
            if part.stops {
                membership.pause(&[part.partition])?;
            }
            if part.records.is_empty() {
                self.parts.insert(part.partition, part.end);
            }
        }
        let parts: Vec<&Part<'_>> = parts.iter().filter(|part| !part.records.is_empty()).collect();
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let batches: Vec<Batch<'_>> = parts.iter().map(|part| self.batch(part)).collect();
        let answers = self.sink.write_all(&batches);
        if answers.len() != batches.len() {
            let (answers, batches) = (answers.len(), batches.len());
            return Err(Error::Worker(format!("the sink gave {answers} answers to {batches} batches")));
        }
        let mut refused = Vec::new();
        for (part, answer) in parts.into_iter().zip(answers) {
            if let Some(why) = self.answered(membership, part, answer)? {
                refused.push((part.partition, why));
            }
        }
        Ok(refused)
    }

    /// Goes on as the sink answered to what came of a partition. Why it cannot take it yet, if so.
    fn answered(
        &mut self,
        membership: &Membership,
        part: &Part<'_>,
        answer: Result<()>,
    ) -> Result<Option<String>> {
        match answer {
            Ok(()) => {}
            Err(Error::Retry(why)) => return Ok(Some(why)),
            Err(Error::TooNew { offset, why }) => {
                return self.stop_at(membership, part, Barrier { offset, why });
            }
            Err(error) => return Err(error),
        }
        let next = self.batch(part).next_offset();
        self.log.options.observer.written(self.reader, part.records.len());
        self.parts.insert(part.partition, part.end);
        self.stored.insert(part.partition, next);
        self.untold.add(part.partition, next);
        Ok(None)
    }

    fn batch<'p>(&self, part: &'p Part<'_>) -> Batch<'p> {
        let Part { partition, records, .. } = part;
        Batch { incarnation: self.log.incarnation, partition: *partition, records }
    }

    /// Has a partition stop in front of a record that the sink is too old for; the sink gets what lies before.
    fn stop_at(
        &mut self,
        membership: &Membership,
        part: &Part<'_>,
        barrier: Barrier,
    ) -> Result<Option<String>> {
        let Barrier { offset, why } = &barrier;
        tracing::error!(
            monitor = %self.log.id,
            group = membership.group,
            partition = part.partition,
            "the partition stops in front of offset {offset}: {why}"
        );
        let before = Part {
            partition: part.partition,
            records: part.records.iter().copied().take_while(|record| record.offset < *offset).collect(),
            end: *offset,
            stops: true,
        };
        self.barriers.insert(part.partition, barrier);
        self.take(membership, &before)
    }

    /// Reads again from these positions.
    fn read_again(&self, membership: &Membership, parts: &BTreeMap<u32, u64>) -> Result<()> {
        let positions: Vec<(u32, Offset)> =
            parts.iter().map(|(partition, next)| (*partition, Offset::Offset(*next as i64))).collect();
        membership.seek(&positions)
    }

    fn revoke_all(&mut self) {
        self.stored.clear();
        self.barriers.clear();
        self.untold = Untold::default();
        for partition in std::mem::take(&mut self.parts).into_keys() {
            self.sink.revoked(partition);
        }
    }
}

/// How long messages are waited for: not beyond the moment when something held is due.
fn patience(held: &BTreeMap<u32, Held<'_>>, linger: Duration) -> Duration {
    let due = held.values().map(|held| held.again.saturating_duration_since(Instant::now())).min();
    due.map_or(linger, |due| due.min(linger))
}
