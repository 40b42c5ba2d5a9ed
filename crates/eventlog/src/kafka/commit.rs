//! One transaction of a fold.

use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;

use super::fold::{End, Folding};
use super::membership::Membership;
use super::meta::{self, Meta};
use super::native::{Entry, Messages};
use super::parts::{Barrier, Part, Parts};
use crate::{Batch, Error, Fold, Topic};

/// How long nothing must come before a position behind marks of transactions is stored by itself.
const REST: Duration = Duration::from_secs(1);

/// What a fold writes to.
const WRITTEN: [Topic; 4] = [Topic::Processed, Topic::Alerts, Topic::State, Topic::DeadLetters];

impl<F: Fold> Folding<'_, F> {
    /// Folds the messages in one transaction.
    pub(super) fn transaction(
        &mut self,
        membership: &Membership,
        messages: &Messages<'_>,
    ) -> std::result::Result<(), End> {
        let Parts { parts, skipped } = Parts::of(messages, &self.parts, &self.barriers);
        if skipped > 0 {
            self.log.options.observer.skipped(&self.reader, skipped);
        }
        let stops: Vec<u32> = parts.iter().filter(|part| part.stops).map(|part| part.partition).collect();
        let (parts, passed): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| !part.records.is_empty());
        self.parts.extend(passed.iter().map(|part| (part.partition, part.end)));
        if !parts.is_empty() {
            self.fold_all(membership, &parts)?;
            self.moved = Instant::now();
        } else if self.moved.elapsed() > REST {
            self.moved = Instant::now();
            let behind = self.behind();
            if !behind.is_empty() {
                self.fold_all(membership, &behind)?;
            }
        }
        Ok(membership.pause(&stops)?)
    }

    /// Partitions whose stored position is not where they go on.
    pub(super) fn behind(&self) -> Vec<Part<'static>> {
        let behind = |(partition, end): (&u32, &u64)| {
            (self.stored.get(partition) != Some(end)).then(|| Part {
                partition: *partition,
                records: Vec::new(),
                end: *end,
                stops: false,
            })
        };
        self.parts.iter().filter_map(behind).collect()
    }

    /// One transaction; `parts` are not empty.
    pub(super) fn fold_all(
        &mut self,
        membership: &Membership,
        parts: &[Part<'_>],
    ) -> std::result::Result<(), End> {
        let begun = Instant::now();
        self.transactions.begin_after_all(self.log, &WRITTEN)?;
        let reached: Vec<(u32, u64)> = parts.iter().map(|part| (part.partition, part.end)).collect();
        let mut at = 0;
        let applied = parts.iter().try_for_each(|part| {
            at = part.partition;
            self.apply(part)
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
                self.reached(reached);
                let records = parts.iter().map(|part| part.records.len()).sum();
                if records > 0 {
                    self.log.options.observer.committed(&self.reader, records, begun.elapsed());
                }
                Ok(())
            }
            Err(End::Engine(Error::Ambiguous(why))) => {
                self.unsure = Some(reached);
                Err(End::Engine(Error::Ambiguous(why)))
            }
            Err(end) => {
                self.transactions.abort();
                self.undo();
                self.stop_at(membership, at, end)
            }
        }
    }

    /// What is in the state from now on.
    pub(super) fn reached(&mut self, reached: Vec<(u32, u64)>) {
        self.stored.extend(reached.iter().copied());
        self.parts.extend(reached);
    }

    /// Has a partition stop in front of a record that the fold is too old for; any other end stays what it is.
    fn stop_at(&mut self, membership: &Membership, partition: u32, end: End) -> std::result::Result<(), End> {
        let End::Fold(Error::TooNew { offset, why }) = end else { return Err(end) };
        tracing::error!(monitor = %self.log.id, partition, "the partition stops in front of offset {offset}: {why}");
        self.barriers.insert(partition, Barrier { offset, why });
        Ok(self.rewind(membership)?)
    }

    pub(super) fn undo(&mut self) {
        self.fold.aborted();
        self.log.options.observer.aborted(&self.reader);
    }

    fn apply(&mut self, part: &Part<'_>) -> std::result::Result<(), End> {
        self.out.clear();
        let log = self.log;
        if !part.records.is_empty() {
            let (incarnation, partition) = (log.incarnation, part.partition);
            let batch = Batch { incarnation, partition, records: &part.records };
            self.fold.apply(&batch, &mut self.out).map_err(End::Fold)?;
        }
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
            next_offset: part.end,
            writer: self.transactional_id.clone(),
        };
        let meta = meta.encode()?;
        // The mark comes last: whoever looks for it finds it at the end.
        let changed = self.out.states().map(|(key, value)| (Some(part.partition), Some(key), value));
        let mark = (Some(part.partition), Some(meta::KEY), Some(&*meta));
        let state: Vec<Entry<'_>> = changed.chain([mark]).collect();
        Ok(self.transactions.send_all(log.name(Topic::State), &state)?)
    }
}
