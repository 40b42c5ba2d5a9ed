//! The loop around a fold.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::commit::{Change, Claim};
use super::group::Membership;
use super::monitor::Monitor;
use super::pace::{Pace, Patience};
use super::read::{Fetched, Reader};
use super::state::{self, Live};
use crate::{Batch, Entry, Error, Fold, Member, Out, Position, Restored, Result, Stop, Topic};

/// How long the loop sleeps when nothing rings.
const IDLE: Duration = Duration::from_secs(1);

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

struct Part {
    partition: u32,
    claim: Claim,
    fetched: Fetched,
    /// Bytes of state changes after which they are compacted.
    compact_at: u64,
    /// The record in front of which it stops.
    barrier: Option<u64>,
}

impl Part {
    /// Up to where it may be read.
    fn limit(&self) -> u64 {
        self.barrier.unwrap_or(u64::MAX)
    }
}

struct Folding<'f, F> {
    monitor: Arc<Monitor>,
    membership: Membership,
    reader: Reader,
    fold: &'f mut F,
    parts: Vec<Part>,
    out: Out,
}

pub(super) fn run(monitor: &Arc<Monitor>, member: &Member, fold: &mut impl Fold, stop: &Stop) -> Result<()> {
    let bell = monitor.bell.clone();
    let _listening = stop.listen(move || bell.ring());
    let mut folding = Folding {
        membership: Membership::join(monitor, member, Topic::Raw),
        reader: Reader::open(&monitor.core.path)?,
        monitor: monitor.clone(),
        fold,
        parts: Vec::new(),
        out: Out::default(),
    };
    match folding.until(stop) {
        Ok(()) => {
            folding.revoke_all();
            Ok(())
        }
        Err(End::Fold(error) | End::Engine(error @ Error::Fenced(_))) => Err(error),
        Err(End::Engine(error)) => {
            folding.revoke_all();
            Err(error)
        }
    }
}

impl<F: Fold> Folding<'_, F> {
    fn until(&mut self, stop: &Stop) -> std::result::Result<(), End> {
        let (mut pace, mut patience) = (Pace::fold(&self.monitor.core.options), Patience::new());
        let mut settled = false;
        loop {
            let rung = self.monitor.bell.count();
            if stop.is_stopped() {
                return Ok(());
            }
            let turn = self.rebalance().and_then(|()| {
                if !std::mem::replace(&mut settled, true) {
                    self.fold.settled();
                }
                self.transaction(&mut pace)
            });
            match turn {
                Ok(0) => {
                    self.monitor.bell.wait(rung, Instant::now() + IDLE);
                }
                Ok(records) => {
                    patience = Patience::new();
                    pace.after(records, stop);
                }
                Err(End::Engine(Error::Retry(why))) => {
                    tracing::warn!(monitor = %self.monitor.id, group = self.membership.group(), "tried again soon: {why}");
                    patience.wait(stop);
                }
                Err(end) => return Err(end),
            }
        }
    }

    fn rebalance(&mut self) -> std::result::Result<(), End> {
        let changes = self.membership.changes()?;
        for partition in &changes.lost {
            self.parts.retain(|part| part.partition != *partition);
            self.monitor.stops(self.membership.group(), *partition, None);
            self.fold.revoked(*partition);
        }
        if !changes.lost.is_empty() {
            self.membership.release(&changes.lost);
        }
        if changes.gained.is_empty() {
            return Ok(());
        }
        let indexes: Vec<_> = changes
            .gained
            .iter()
            .map(|partition| (self.monitor.index(Topic::Raw, *partition), None))
            .collect();
        match self.monitor.claim(self.membership.group(), &indexes) {
            Ok(claims) => {
                for (at, claim) in claims.into_iter().enumerate() {
                    if let Err(end) = self.assign(changes.gained[at], claim) {
                        self.membership.release(&changes.gained[at..]);
                        return Err(end);
                    }
                }
                Ok(())
            }
            Err(error) => {
                self.membership.release(&changes.gained);
                Err(error.into())
            }
        }
    }

    /// Hands over a partition with its state as committed. Its former owner is fenced by the claim,
    /// so nothing changes underneath.
    fn assign(&mut self, partition: u32, claim: Claim) -> std::result::Result<(), End> {
        let incarnation = self.monitor.topic(Topic::Raw).incarnation;
        let at = Position { incarnation, next_offset: claim.next };
        self.monitor.check(self.membership.group(), claim.index, at)?;
        let stream = self.monitor.stream(Topic::State, partition);
        let explain = |error: rusqlite::Error| self.monitor.core.explain(&error);
        let mut query = state::query(&self.reader.conn).map_err(explain)?;
        let mut live = Live::read(&mut query, stream).map_err(explain)?;
        let mut entries = |take: &mut Entry<'_>| {
            while let Some(entry) = live.take() {
                let (key, value) = entry.map_err(|fault| self.monitor.core.told(fault))?;
                take(&key, Some(&value))?;
            }
            Ok(())
        };
        let restored = Restored { incarnation, next_offset: claim.next, entries: &mut entries };
        self.fold.assigned(partition, restored).map_err(End::Fold)?;
        let compact_at = state::compact_at(live.bytes());
        self.parts.push(Part { partition, claim, fetched: Fetched::default(), compact_at, barrier: None });
        Ok(())
    }

    /// Folds what has come into one transaction. Tells how many records that were.
    fn transaction(&mut self, pace: &mut Pace) -> std::result::Result<usize, End> {
        let waiting = |part: &&mut Part| {
            self.monitor.streams[part.claim.index].next().min(part.limit()) > part.claim.next
        };
        let mut ready: Vec<&mut Part> = self.parts.iter_mut().filter(waiting).collect();
        if ready.is_empty() {
            return Ok(0);
        }
        let share = pace.share(ready.len());
        let mut change = Change::default();
        let mut records = 0;
        for part in &mut ready {
            let stream = &self.monitor.streams[part.claim.index];
            self.reader.fetch(&self.monitor, stream, part.claim.next, share, &mut part.fetched)?;
        }
        // Nothing is applied before everything is fetched: an error above needs no undoing.
        for part in &mut ready {
            match apply(&self.monitor, self.fold, &mut self.out, part, &mut change) {
                Ok(applied) => records += applied,
                Err(End::Fold(Error::TooNew { offset, why })) => {
                    self.fold.aborted();
                    let (id, partition) = (&self.monitor.id, part.partition);
                    tracing::error!(monitor = %id, partition, "the partition stops in front of offset {offset}: {why}");
                    self.monitor.stops(self.membership.group(), partition, Some(&why));
                    part.barrier = Some(offset);
                    return self.transaction(pace);
                }
                Err(end) => {
                    self.fold.aborted();
                    return Err(end);
                }
            }
        }
        let committed = self.monitor.commit(&mut change);
        if let Err(error) = committed {
            self.fold.aborted();
            return Err(error.into());
        }
        self.fold.committed();
        for (claim, to) in change.moves {
            if let Some(part) = ready.iter_mut().find(|part| part.claim.index == claim.index) {
                part.claim.next = to;
            }
        }
        for part in &mut ready {
            compact(&self.monitor, &self.reader, part)?;
        }
        Ok(records)
    }

    fn revoke_all(&mut self) {
        for part in self.parts.drain(..) {
            self.monitor.stops(self.membership.group(), part.partition, None);
            self.fold.revoked(part.partition);
        }
    }
}

/// Compacts the partition's state when its changes have grown too long.
fn compact(monitor: &Monitor, reader: &Reader, part: &mut Part) -> Result<()> {
    let index = monitor.index(Topic::State, part.partition);
    let long = monitor.streams[index].bytes.load(Ordering::Acquire);
    if long < part.compact_at {
        return Ok(());
    }
    match state::compact(monitor, reader, &part.claim, index) {
        Ok(live) => {
            part.compact_at = state::compact_at(live);
            Ok(())
        }
        Err(Error::Retry(why)) => {
            // Only room is lost until the next time.
            tracing::warn!(monitor = %monitor.id, "the state was not compacted: {why}");
            part.compact_at = state::compact_at(long);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn apply(
    monitor: &Monitor,
    fold: &mut impl Fold,
    out: &mut Out,
    part: &mut Part,
    change: &mut Change,
) -> std::result::Result<usize, End> {
    let limit = part.limit();
    let mut records = part.fetched.records(part.claim.next)?;
    records.retain(|record| record.offset < limit);
    if records.is_empty() {
        return Err(End::Engine(super::trouble::damaged(&format!(
            "partition {} has no records at offset {}",
            part.partition, part.claim.next
        ))));
    }
    let incarnation = monitor.topic(Topic::Raw).incarnation;
    let batch = Batch { incarnation, partition: part.partition, records: &records };
    out.clear();
    fold.apply(&batch, out).map_err(End::Fold)?;
    for sent in out.records() {
        if !matches!(sent.topic, Topic::Processed | Topic::Alerts | Topic::DeadLetters) {
            return Err(End::Fold(Error::Worker(format!("a fold cannot write to {:?}", sent.topic))));
        }
        change.put(monitor, &sent, false).map_err(End::Fold)?;
    }
    change.state(monitor, monitor.index(Topic::State, part.partition), out);
    change.moves.push((part.claim.clone(), batch.next_offset()));
    Ok(records.len())
}
