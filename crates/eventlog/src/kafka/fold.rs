//! The loop around a fold.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pricemonitor_model::Time;
use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;
use rdkafka::message::{BorrowedMessage, Message as _};

use super::log::Shared;
use super::membership::{Change, Membership};
use super::meta::{self, Meta};
use super::restore::Restore;
use super::transaction::Transactions;
use super::trouble::explain;
use crate::{Batch, Error, Fold, Member, Out, Position, Record, Restored, Result, Stop, Topic};

/// How long a poll waits, so that a stop is heard.
pub(super) const TURN: Duration = Duration::from_millis(50);
/// Growth of batches under backlog.
const GROWTH: usize = 4;
/// Wait after a transaction that may succeed later.
const AGAIN: Duration = Duration::from_millis(200);

/// Who is to blame decides whether partitions are still revoked.
enum End {
    Engine(Error),
    Fold(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> End {
        End::Engine(error)
    }
}

struct Folding<'f, F> {
    log: &'f Shared,
    transactions: Transactions,
    fold: &'f mut F,
    /// Owned partitions, and where each goes on.
    parts: BTreeMap<u32, u64>,
    out: Out,
}

pub(super) fn run(log: &Shared, member: &Member, fold: &mut impl Fold, stop: &Stop) -> Result<()> {
    let group = log.group(&member.group);
    // First: what an earlier process of this name left open is given up, so that nobody waits for it.
    let transactions = Transactions::open(&log.connection, &format!("{group}.{}", member.instance))?;
    let membership = Membership::join(&log.connection, &group, member, log.name(Topic::Raw))?;
    let mut folding = Folding { log, transactions, fold, parts: BTreeMap::new(), out: Out::default() };
    let ended = folding.until(&membership, stop);
    log.told(&group, None);
    match ended {
        Ok(()) => folding.revoke_all(),
        Err(End::Fold(error) | End::Engine(error @ Error::Fenced(_))) => return Err(error),
        Err(End::Engine(error)) => {
            folding.revoke_all();
            return Err(error);
        }
    }
    Ok(())
}

impl<F: Fold> Folding<'_, F> {
    fn until(&mut self, membership: &Membership, stop: &Stop) -> std::result::Result<(), End> {
        let mut settled = false;
        let mut most = self.log.options.batch_records;
        while !stop.is_stopped() {
            let messages = collect(membership, most, self.log.options.linger)?;
            let full = messages.len() >= most;
            most = if full { most * 2 } else { most / 2 }
                .clamp(self.log.options.batch_records, self.log.options.batch_records * GROWTH);
            let changes = membership.changes();
            for change in changes {
                self.rebalance(membership, change)?;
            }
            if membership.is_settled() && !std::mem::replace(&mut settled, true) {
                self.fold.settled();
            }
            match self.transaction(membership, &messages) {
                Ok(()) => self.log.told(&membership.group, None),
                Err(End::Engine(Error::Retry(why))) => {
                    tracing::warn!(monitor = %self.log.id, group = membership.group, "tried again soon: {why}");
                    self.log.told(&membership.group, Some(&why));
                    drop(messages);
                    self.rewind(membership)?;
                    stop.wait(AGAIN);
                }
                Err(end) => return Err(end),
            }
        }
        Ok(())
    }

    fn rebalance(&mut self, membership: &Membership, change: Change) -> std::result::Result<(), End> {
        match change {
            Change::Lost(partitions) => {
                for partition in partitions {
                    if self.parts.remove(&partition).is_some() {
                        self.fold.revoked(partition);
                    }
                }
            }
            Change::Gained(partitions) => {
                let mut from = Vec::with_capacity(partitions.len());
                for partition in partitions {
                    let next = self.assign(&membership.group, partition)?;
                    self.parts.insert(partition, next);
                    from.push((partition, Offset::Offset(next as i64)));
                }
                membership.take(&from)?;
            }
        }
        Ok(())
    }

    /// Hands over a partition with its state as committed. Tells where it goes on.
    fn assign(&mut self, group: &str, partition: u32) -> std::result::Result<u64, End> {
        let topic = self.log.name(Topic::State);
        let restore = Restore::open(&self.log.connection, &self.log.asker, topic, partition)?;
        let mut state: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut mark = None;
        restore.read(|message| {
            let Some(key) = message.key() else { return Ok(()) };
            match message.payload() {
                Some(value) if key == meta::KEY => mark = Some(value.to_vec()),
                Some(value) => drop(state.insert(key.to_vec(), value.to_vec())),
                None => drop(state.remove(key)),
            }
            Ok(())
        })?;
        let incarnation = self.log.incarnation;
        let next_offset = match mark {
            None => self.log.ends(Topic::Raw, partition)?.0,
            Some(bytes) => {
                let meta = Meta::decode(topic, partition, &bytes)?;
                let position = Position {
                    incarnation: pricemonitor_model::Incarnation(meta.incarnation),
                    next_offset: meta.next_offset,
                };
                self.log.check(group, Topic::Raw, partition, position)?
            }
        };
        let mut entries = state.into_iter().map(Ok);
        let restored = Restored { incarnation, next_offset, entries: &mut entries };
        self.fold.assigned(partition, restored).map_err(End::Fold)?;
        Ok(next_offset)
    }

    /// Folds the messages in one transaction.
    fn transaction(
        &mut self,
        membership: &Membership,
        messages: &[BorrowedMessage<'_>],
    ) -> std::result::Result<(), End> {
        let batches = by_partition(messages, &self.parts);
        if batches.is_empty() {
            return Ok(());
        }
        self.transactions.begin()?;
        let mut reached = Vec::with_capacity(batches.len());
        let applied = batches.iter().try_for_each(|(partition, records)| {
            let batch = Batch { incarnation: self.log.incarnation, partition: *partition, records };
            reached.push((*partition, batch.next_offset()));
            self.apply(&batch)
        });
        let committed = applied.and_then(|()| {
            let positions: Vec<(u32, Offset)> =
                reached.iter().map(|(partition, next)| (*partition, Offset::Offset(*next as i64))).collect();
            let group = membership
                .consumer
                .group_metadata()
                .ok_or_else(|| Error::Retry("the group is not known yet".to_owned()))?;
            Ok(self.transactions.commit(&membership.list(&positions)?, &group)?)
        });
        match committed {
            Ok(_) => {
                self.fold.committed();
                self.parts.extend(reached);
                Ok(())
            }
            Err(end) => {
                self.transactions.abort();
                self.fold.aborted();
                Err(end)
            }
        }
    }

    fn apply(&mut self, batch: &Batch<'_>) -> std::result::Result<(), End> {
        self.out.clear();
        self.fold.apply(batch, &mut self.out).map_err(End::Fold)?;
        for (topic, write) in &self.out.records {
            if !matches!(topic, Topic::Processed | Topic::Alerts | Topic::DeadLetters) {
                return Err(End::Fold(Error::Worker(format!("a fold cannot write to {topic:?}"))));
            }
            let name = self.log.name(*topic);
            self.transactions.send(name, write.partition, write.key.as_deref(), write.value.as_deref())?;
        }
        let state = self.log.name(Topic::State);
        for (key, value) in &self.out.state {
            self.transactions.send(state, Some(batch.partition), Some(key), value.as_deref())?;
        }
        let meta = Meta {
            format: meta::FORMAT,
            incarnation: self.log.incarnation.0,
            partitions: self.log.partitions(Topic::Raw),
            next_offset: batch.next_offset(),
        };
        Ok(self.transactions.send(state, Some(batch.partition), Some(meta::KEY), Some(&meta.encode()?))?)
    }

    /// Reads again from where every partition stands.
    fn rewind(&self, membership: &Membership) -> Result<()> {
        let positions: Vec<(u32, Offset)> =
            self.parts.iter().map(|(partition, next)| (*partition, Offset::Offset(*next as i64))).collect();
        if positions.is_empty() {
            return Ok(());
        }
        let list = membership.list(&positions)?;
        let sought = membership.consumer.seek_partitions(list, Duration::from_secs(10));
        sought.map(|_| ()).map_err(|error| explain("cannot read again", &error))
    }

    fn revoke_all(&mut self) {
        for partition in std::mem::take(&mut self.parts).into_keys() {
            self.fold.revoked(partition);
        }
    }
}

/// Messages up to a number, or for as long as a batch is collected.
pub(super) fn collect(
    membership: &Membership,
    most: usize,
    linger: Duration,
) -> Result<Vec<BorrowedMessage<'_>>> {
    let mut messages = Vec::new();
    let Some(first) = membership.poll(TURN)? else { return Ok(messages) };
    messages.push(first);
    let end = Instant::now() + linger;
    while messages.len() < most {
        let left = end.saturating_duration_since(Instant::now());
        match membership.poll(left)? {
            Some(message) => messages.push(message),
            None if left.is_zero() => break,
            None => {}
        }
    }
    Ok(messages)
}

/// The records of every owned partition, without those that lie before its position.
pub(super) fn by_partition<'m>(
    messages: &'m [BorrowedMessage<'_>],
    parts: &BTreeMap<u32, u64>,
) -> BTreeMap<u32, Vec<Record<'m>>> {
    let mut batches: BTreeMap<u32, Vec<Record<'m>>> = BTreeMap::new();
    for message in messages {
        let (partition, offset) = (message.partition() as u32, message.offset() as u64);
        if parts.get(&partition).is_some_and(|next| offset >= *next) {
            batches.entry(partition).or_default().push(Record {
                offset,
                timestamp: Time::from_millis(message.timestamp().to_millis().unwrap_or_default()),
                key: message.key(),
                value: message.payload(),
            });
        }
    }
    batches
}
