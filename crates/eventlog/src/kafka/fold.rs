//! The loop around a fold.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pricemonitor_model::Time;
use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;

use super::gain::{self, Gained};
use super::log::Shared;
use super::membership::{Change, Membership};
use super::meta::{self, Meta};
use super::native::{Entry, Message, Messages};
use super::stall::{self, Stall};
use super::transaction::Transactions;
use crate::{Batch, Error, Fold, Member, Out, Record, Restored, Result, Stop, Topic};

/// Wait after a transaction that may succeed later.
pub(super) const AGAIN: Duration = Duration::from_millis(200);

/// What a fold writes to.
const WRITTEN: [Topic; 4] = [Topic::Processed, Topic::Alerts, Topic::State, Topic::DeadLetters];

/// Who is to blame decides whether partitions are still revoked.
pub(super) enum End {
    Engine(Error),
    Fold(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> End {
        End::Engine(error)
    }
}

pub(super) struct Folding<'f, F> {
    pub(super) log: &'f Shared,
    /// The group as the worker calls it.
    pub(super) reader: String,
    pub(super) transactional_id: String,
    pub(super) transactions: Transactions,
    pub(super) fold: &'f mut F,
    /// Owned partitions, and where each goes on.
    pub(super) parts: BTreeMap<u32, u64>,
    /// Where partitions stand if the last transaction was committed after all; `None` when it is known.
    pub(super) unsure: Option<Vec<(u32, u64)>>,
    settled: bool,
    out: Out,
}

pub(super) fn run(log: &Shared, member: &Member, fold: &mut impl Fold, stop: &Stop) -> Result<()> {
    let group = log.group(&member.group);
    // First: what an earlier process of this name left open is given up, so that nobody waits for it.
    let transactional_id = log.transactional_id(&group, &member.instance);
    let transactions = Transactions::open_for_many(&log.connection, &transactional_id)?;
    tracing::debug!(monitor = %log.id, group, "what an earlier process left open is given up");
    let mut folding = Folding {
        log,
        reader: group.clone(),
        transactional_id,
        transactions,
        fold,
        parts: BTreeMap::new(),
        unsure: None,
        settled: false,
        out: Out::default(),
    };
    loop {
        let membership = Membership::join(&log.connection, &group, member, log.name(Topic::Raw))?;
        let ended = folding.until(&membership, stop);
        let again = match &ended {
            Err(End::Engine(Error::Fenced(_))) => membership.was_cut_off(),
            Err(End::Engine(error)) => stall::has_caused(error),
            _ => false,
        };
        let again = again && !stop.is_stopped();
        if again {
            folding.revoke_all();
            folding.transactions = Transactions::open_for_many(&log.connection, &folding.transactional_id)?;
            continue;
        }
        log.told(&group, None);
        return match ended {
            Ok(()) => {
                folding.revoke_all();
                Ok(())
            }
            Err(End::Fold(error) | End::Engine(error @ Error::Fenced(_))) => Err(error),
            Err(End::Engine(error)) => {
                folding.revoke_all();
                Err(error)
            }
        };
    }
}

impl<F: Fold> Folding<'_, F> {
    fn until(&mut self, membership: &Membership, stop: &Stop) -> std::result::Result<(), End> {
        let (mut messages, mut stall) = (Messages::default(), Stall::default());
        while !stop.is_stopped() {
            let owned = self.parts.keys().copied();
            let collected = membership.collect(
                &mut messages,
                self.log.options.batch_records,
                self.log.options.linger,
                owned,
            );
            if let Err(Error::Retry(why)) = collected {
                self.again(membership, Error::Retry(why), stop)?;
                continue;
            }
            collected?;
            let changes = membership.changes();
            for change in changes {
                self.rebalance(membership, change)?;
            }
            if membership.is_settled() && !std::mem::replace(&mut self.settled, true) {
                self.fold.settled();
            }
            match self.transaction(membership, &messages) {
                Ok(()) => self.log.told(&membership.group, membership.unreachable().as_deref()),
                Err(End::Engine(error)) => {
                    messages.clear();
                    // They come; that they are not done has another reason.
                    stall = Stall::default();
                    self.again(membership, error, stop)?;
                }
                Err(end) => return Err(end),
            }
            let read = self.parts.iter().map(|(partition, at)| (*partition, *at));
            stall.look(self.log, membership, Topic::Raw, read)?;
        }
        Ok(())
    }

    /// What becomes of a transaction that the engine did not bring to its end.
    fn again(&mut self, membership: &Membership, error: Error, stop: &Stop) -> std::result::Result<(), End> {
        match error {
            Error::Retry(why) => {
                self.trouble(membership, &why);
                self.rewind(membership)?;
                stop.wait(AGAIN);
                Ok(())
            }
            Error::Fenced(why) | Error::Ambiguous(why) => self.recover(membership, &why, stop),
            other => Err(End::Engine(other)),
        }
    }

    pub(super) fn trouble(&self, membership: &Membership, why: &str) {
        tracing::warn!(monitor = %self.log.id, group = membership.group, "tried again soon: {why}");
        self.log.told(&membership.group, Some(why));
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
                for some in partitions.chunks(gain::AT_ONCE) {
                    let gained = gain::open(self.log, &membership.group, &self.transactional_id, some)?;
                    for one in &gained {
                        self.assign(one)?;
                        from.push((one.partition, Offset::Offset(one.next_offset as i64)));
                    }
                    gain::close(gained);
                }
                membership.take(&from)?;
                // The group may have forgotten it while nobody was there.
                membership.tell(&from)?;
            }
        }
        Ok(())
    }

    /// Hands over a partition with its state as committed.
    fn assign(&mut self, gained: &Gained) -> std::result::Result<(), End> {
        let Gained { partition, next_offset, restore } = gained;
        let log = self.log;
        let mut restoring = Ok(());
        let restored = Restored {
            incarnation: log.incarnation,
            next_offset: *next_offset,
            entries: &mut |take| {
                let done = restore.read(
                    |done, of| log.options.observer.restoring(&self.reader, *partition, done, of),
                    |key, value| if key == meta::KEY { Ok(()) } else { take(key, value) },
                );
                // Who is to blame is known here; the fold only passes it on.
                done.map_err(|error| {
                    let text = error.to_string();
                    restoring = Err(error);
                    Error::Retry(text)
                })
            },
        };
        let taken = self.fold.assigned(*partition, restored);
        restoring?;
        taken.map_err(End::Fold)?;
        self.parts.insert(*partition, *next_offset);
        Ok(())
    }

    /// Folds the messages in one transaction.
    fn transaction(
        &mut self,
        membership: &Membership,
        messages: &Messages<'_>,
    ) -> std::result::Result<(), End> {
        let (batches, skipped) = by_partition(messages, &self.parts);
        if skipped > 0 {
            self.log.options.observer.skipped(&self.reader, skipped);
        }
        if batches.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        self.transactions.begin_after_all(self.log, &WRITTEN)?;
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
                .consumer()
                .group_metadata()
                .ok_or_else(|| Error::Retry("the group is not known yet".to_owned()))?;
            Ok(self.transactions.commit(&membership.list(&positions)?, &group)?)
        });
        match committed {
            Ok(_) => {
                membership.committed(begun);
                self.fold.committed();
                self.parts.extend(reached);
                let records = batches.values().map(Vec::len).sum();
                self.log.options.observer.committed(&self.reader, records, begun.elapsed());
                Ok(())
            }
            Err(End::Engine(Error::Ambiguous(why))) => {
                self.unsure = Some(reached);
                Err(End::Engine(Error::Ambiguous(why)))
            }
            Err(end) => {
                self.transactions.abort();
                self.undo();
                Err(end)
            }
        }
    }

    pub(super) fn undo(&mut self) {
        self.fold.aborted();
        self.log.options.observer.aborted(&self.reader);
    }

    fn apply(&mut self, batch: &Batch<'_>) -> std::result::Result<(), End> {
        self.out.clear();
        self.fold.apply(batch, &mut self.out).map_err(End::Fold)?;
        let log = self.log;
        let mut sending =
            [(Topic::Processed, Vec::new()), (Topic::Alerts, Vec::new()), (Topic::DeadLetters, Vec::new())];
        sending[0].1.reserve(self.out.records().len());
        for sent in self.out.records() {
            let Some((_, records)) = sending.iter_mut().find(|(topic, _)| *topic == sent.topic) else {
                return Err(End::Fold(Error::Worker(format!("a fold cannot write to {:?}", sent.topic))));
            };
            records.push((sent.partition, sent.key, sent.value));
        }
        for (topic, records) in sending.iter().filter(|(_, records)| !records.is_empty()) {
            self.transactions.send_all(log.name(*topic), records)?;
        }
        let meta = Meta {
            format: meta::FORMAT,
            config_epoch: self.log.options.config_epoch,
            incarnation: self.log.incarnation.0,
            partitions: self.log.partitions(Topic::Raw),
            next_offset: batch.next_offset(),
            writer: self.transactional_id.clone(),
        };
        let meta = meta.encode()?;
        // The mark comes last: whoever looks for it finds it at the end.
        let changed = self.out.states().map(|(key, value)| (Some(batch.partition), Some(key), value));
        let mark = (Some(batch.partition), Some(meta::KEY), Some(&*meta));
        let state: Vec<Entry<'_>> = changed.chain([mark]).collect();
        Ok(self.transactions.send_all(log.name(Topic::State), &state)?)
    }

    /// Reads again from where every partition stands.
    pub(super) fn rewind(&self, membership: &Membership) -> Result<()> {
        membership.seek(&self.positions())
    }

    /// Where owned partitions stand.
    pub(super) fn positions(&self) -> Vec<(u32, Offset)> {
        self.parts.iter().map(|(partition, next)| (*partition, Offset::Offset(*next as i64))).collect()
    }

    fn revoke_all(&mut self) {
        for partition in std::mem::take(&mut self.parts).into_keys() {
            self.fold.revoked(partition);
        }
    }
}

/// The records of every owned partition, without those that lie before its position; those are counted.
pub(super) fn by_partition<'m>(
    messages: &'m Messages<'_>,
    parts: &BTreeMap<u32, u64>,
) -> (BTreeMap<u32, Vec<Record<'m>>>, u64) {
    let mut batches: BTreeMap<u32, Vec<Record<'m>>> = BTreeMap::new();
    let mut skipped = 0;
    for message in messages.iter().filter(|message| message.fault().is_none()) {
        let partition = message.partition();
        match parts.get(&partition) {
            Some(next) if message.offset() >= *next => {
                batches.entry(partition).or_default().push(record(message))
            }
            Some(_) => skipped += 1,
            None => {}
        }
    }
    (batches, skipped)
}

fn record(message: Message<'_>) -> Record<'_> {
    Record {
        offset: message.offset(),
        timestamp: Time::from_millis(message.millis()),
        key: message.key(),
        value: message.value(),
    }
}
