//! The loop around a fold.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::Offset;

use super::client::Fetch;
use super::collect::Wait;
use super::gain::{self, Gained};
use super::life::Watch;
use super::log::Shared;
use super::membership::{Change, Membership};
use super::meta;
use super::native::Messages;
use super::opening::Opening;
use super::parts::Barrier;
use super::stall::{self, Stall};
use super::transaction::Transactions;
use crate::{Error, Fold, Member, Out, Restored, Result, Stop, Topic};

/// Growth of batches under backlog, in percent: 8,000 for 5,000 records. With 10,000 it is hardly faster and takes 6 MiB
/// more.
const GROWN: usize = 160;
/// Wait after a transaction that may succeed later.
pub(super) const AGAIN: Duration = Duration::from_millis(200);

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
    /// Where each stands by its state; less than where it goes on when only marks of transactions lie between.
    pub(super) stored: BTreeMap<u32, u64>,
    /// Partitions that stop in front of a record.
    pub(super) barriers: BTreeMap<u32, Barrier>,
    /// When something came last.
    pub(super) moved: Instant,
    /// Where partitions stand if the last transaction was committed after all; `None` when it is known.
    pub(super) unsure: Option<Vec<(u32, u64)>>,
    settled: bool,
    pub(super) out: Out,
}

pub(super) fn run(log: &Shared, member: &Member, fold: &mut impl Fold, stop: &Stop) -> Result<()> {
    let group = log.group(&member.group);
    let transactional_id = log.transactional_id(&group, &member.instance);
    let join = || Membership::join(&log.connection, &group, member, log.name(Topic::Raw), Fetch::AtOnce);
    // First: what an earlier process of this name left open is given up, so that nobody waits for it. The group answers
    // meanwhile; whoever may not write at all takes no partitions from others.
    let opening = Opening::begin(&log.connection, &transactional_id, false)?;
    let mut membership = join()?;
    let transactions = opening.finish()?;
    tracing::debug!(monitor = %log.id, group, "what an earlier process left open is given up");
    let mut folding = Folding {
        log,
        reader: group.clone(),
        transactional_id,
        transactions,
        fold,
        parts: BTreeMap::new(),
        stored: BTreeMap::new(),
        barriers: BTreeMap::new(),
        moved: Instant::now(),
        unsure: None,
        settled: false,
        out: Out::default(),
    };
    loop {
        let ended = folding.until(&membership, stop);
        let again = match &ended {
            Err(End::Engine(Error::Fenced(_))) => membership.was_cut_off(),
            Err(End::Engine(error)) => stall::has_caused(error),
            _ => false,
        };
        let again = again && !stop.is_stopped();
        if again {
            folding.revoke_all();
            drop(membership);
            membership = join()?;
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
        let mut most = self.log.options.batch_records;
        let (mut messages, mut stall) = (Messages::default(), Stall::default());
        let (mut complete, mut watch) = (Instant::now(), Watch::new());
        while !stop.is_stopped() {
            let owned = self.parts.keys().copied();
            let wait = Wait::Paced(complete, self.log.options.linger);
            let collected = membership.collect(&mut messages, most, wait, owned);
            complete = Instant::now();
            if let Err(Error::Retry(why)) = collected {
                self.again(membership, Error::Retry(why), stop)?;
                continue;
            }
            collected?;
            let (full, usual) = (messages.len() >= most, self.log.options.batch_records);
            let next = if full { most * 2 } else { most / 2 };
            most = next.clamp(usual, usual * GROWN / 100);
            let changes = membership.changes();
            for change in changes {
                self.rebalance(membership, change)?;
            }
            watch.look(self.log)?;
            if membership.is_settled() && !std::mem::replace(&mut self.settled, true) {
                self.fold.settled();
            }
            match self.transaction(membership, &messages) {
                Ok(()) => self.log.told(&membership.group, self.hindered(membership).as_deref()),
                Err(End::Engine(error)) => {
                    messages.clear();
                    // They come; that they are not done has another reason.
                    stall = Stall::default();
                    self.again(membership, error, stop)?;
                }
                Err(end) => return Err(end),
            }
            let read = self.parts.iter().filter(|(partition, _)| !self.barriers.contains_key(partition));
            let read = read.map(|(partition, at)| (*partition, *at));
            // Stored with the next records of the partition, or at rest.
            self.parts.extend(stall.look(self.log, membership, Topic::Raw, read)?);
        }
        self.rest(membership);
        Ok(())
    }

    /// Why not all is read, if so.
    fn hindered(&self, membership: &Membership) -> Option<String> {
        membership.unreachable().or_else(|| self.barriers.values().next().map(|barrier| barrier.why.clone()))
    }

    /// Stores what only this process knows, at its end. Without it, the next one finds it out again.
    fn rest(&mut self, membership: &Membership) {
        if self.hindered(membership).is_some() {
            return;
        }
        let parts: Vec<(u32, u64)> = self.parts.iter().map(|(partition, at)| (*partition, *at)).collect();
        self.parts.extend(stall::passed(self.log, Topic::Raw, &parts));
        let behind = self.behind();
        if !behind.is_empty()
            && let Err(End::Engine(error) | End::Fold(error)) = self.fold_all(membership, &behind)
        {
            self.unsure = None;
            tracing::debug!(group = membership.group, "positions were not stored at the end: {error}");
        }
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
                    self.stored.remove(&partition);
                    self.barriers.remove(&partition);
                    if self.parts.remove(&partition).is_some() {
                        self.fold.revoked(partition);
                    }
                }
            }
            Change::Gained(partitions) => {
                if !partitions.is_empty() {
                    self.log.check_life()?;
                }
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
        let begun = Instant::now();
        let taken = self.fold.assigned(*partition, restored);
        restoring?;
        taken.map_err(End::Fold)?;
        tracing::debug!(monitor = %log.id, partition, "its state is restored after {:.1?}", begun.elapsed());
        self.reached(vec![(*partition, *next_offset)]);
        Ok(())
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
        self.stored.clear();
        self.barriers.clear();
        for partition in std::mem::take(&mut self.parts).into_keys() {
            self.fold.revoked(partition);
        }
    }
}
