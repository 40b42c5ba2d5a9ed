//! The producer's door.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pricemonitor_model::Time;
use pricemonitor_model::partition::partition_of;
use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;

use super::client::Fetch;
use super::life::Watch;
use super::log::Shared;
use super::mark::MARK;
use super::membership::{Change, Membership};
use super::restore::Restore;
use super::transaction::{Transactions, fits};
use super::trouble::explain;
use crate::{Append, Appended, Appending, Error, Member, Ownership, Result, Topic, Write};

/// What an append writes to.
const WRITTEN: [Topic; 2] = [Topic::Raw, Topic::Checkpoints];

/// Appends with checkpoints. A member of a group on the checkpoints, of which it reads nothing but what a
/// restore needs: the group says who owns a source, and fences.
pub struct KafkaAppender {
    log: Arc<Shared>,
    member: Member,
    membership: Membership,
    transactional_id: String,
    transactions: Transactions,
    /// The transactions are at their end, or nobody knows how the last one ended: they are opened anew, and what is
    /// owned is told again with its checkpoints.
    spent: bool,
    /// It is no member any more, because of an outage: it joins anew.
    cut_off: bool,
    owned: BTreeMap<u32, u64>,
    waiting: Vec<Change>,
    watch: Watch,
    /// Why this member must end: its group hears of it only with the next heartbeat.
    fenced: Option<String>,
    /// Why the last append did not succeed.
    failing: Option<String>,
}

impl KafkaAppender {
    pub(super) fn open(log: &Arc<Shared>, member: &Member) -> Result<KafkaAppender> {
        let group = log.group(&member.group);
        let transactional_id = log.transactional_id(&group, &member.instance);
        let transactions = Transactions::open(&log.connection, &transactional_id)?;
        let membership =
            Membership::join(&log.connection, &group, member, log.name(Topic::Checkpoints), Fetch::AtOnce)?;
        Ok(KafkaAppender {
            log: log.clone(),
            member: member.clone(),
            membership,
            transactional_id,
            transactions,
            spent: false,
            cut_off: false,
            owned: BTreeMap::new(),
            waiting: Vec::new(),
            watch: Watch::new(),
            fenced: None,
            failing: None,
        })
    }

    /// Hears what changed. What was gained, could not be read yet, and is lost by now was never owned.
    fn hear(&mut self) {
        for change in self.membership.changes() {
            if let Change::Lost(lost) = &change {
                for waiting in &mut self.waiting {
                    if let Change::Gained(gained) = waiting {
                        gained.retain(|partition| !lost.contains(partition));
                    }
                }
            }
            self.waiting.push(change);
        }
    }

    fn change(&mut self, change: Change) -> Result<Ownership> {
        match change {
            Change::Gained(partitions) => self.gain(partitions),
            Change::Lost(partitions) => {
                self.owned.retain(|partition, _| !partitions.contains(partition));
                Ok(Ownership::Lost { partitions })
            }
        }
    }

    fn gain(&mut self, partitions: Vec<u32>) -> Result<Ownership> {
        if !partitions.is_empty() {
            self.log.check_life()?;
        }
        let mut checkpoints = Vec::new();
        let mut from = Vec::with_capacity(partitions.len());
        for partition in &partitions {
            let end = self.load(*partition, &mut checkpoints)?;
            self.owned.insert(*partition, end);
            from.push((*partition, Offset::Offset(end as i64)));
        }
        self.membership.take(&from)?;
        if !from.is_empty() {
            // Nothing is to be read: what is committed here is this member's own from now on.
            let list = self.membership.list(&from)?;
            self.membership.consumer().pause(&list).map_err(|error| explain("cannot pause", &error))?;
        }
        Ok(Ownership::Gained { partitions, of: self.log.partitions(Topic::Checkpoints), checkpoints })
    }

    /// The last checkpoint of every source of a partition. Tells the partition's end.
    fn load(&self, partition: u32, checkpoints: &mut Vec<(String, Vec<u8>)>) -> Result<u64> {
        let topic = self.log.name(Topic::Checkpoints);
        let mut last: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let restore = Restore::open(&self.log.asker, topic, partition)?;
        restore.read(
            |_, _| {},
            |key, value| {
                let source = String::from_utf8_lossy(key).into_owned();
                match value {
                    _ if key == MARK => {}
                    Some(value) => drop(last.insert(source, value.to_vec())),
                    None => drop(last.remove(&source)),
                }
                Ok(())
            },
        )?;
        checkpoints.extend(last);
        Ok(self.log.ends(Topic::Checkpoints, partition)?.1)
    }

    /// Writes as the same name again, and tells what is owned with the checkpoints as committed.
    fn begin_anew(&mut self) -> Result<Ownership> {
        self.transactions = Transactions::open(&self.log.connection, &self.transactional_id)?;
        self.log.check_life()?;
        let partitions: Vec<u32> = self.owned.keys().copied().collect();
        let mut checkpoints = Vec::new();
        for partition in &partitions {
            let end = self.load(*partition, &mut checkpoints)?;
            self.owned.insert(*partition, end);
        }
        (self.spent, self.failing) = (false, None);
        Ok(Ownership::Gained { partitions, of: self.log.partitions(Topic::Checkpoints), checkpoints })
    }

    /// Becomes a member again after an outage; see [`Membership::was_cut_off`].
    fn join_anew(&mut self) -> Result<()> {
        let topic = self.log.name(Topic::Checkpoints);
        let group = self.membership.group.clone();
        self.membership = Membership::join(&self.log.connection, &group, &self.member, topic, Fetch::AtOnce)?;
        self.transactions = Transactions::open(&self.log.connection, &self.transactional_id)?;
        (self.spent, self.cut_off, self.failing) = (false, false, None);
        let partitions: Vec<u32> = std::mem::take(&mut self.owned).into_keys().collect();
        self.waiting = if partitions.is_empty() { Vec::new() } else { vec![Change::Lost(partitions)] };
        Ok(())
    }

    /// What the error of an append means: a producer also comes to its end when the cluster was away for longer than
    /// a transaction may last. The group knows whether another process has this member's place.
    fn failed(&mut self, error: Error) -> Error {
        let (Error::Fenced(why) | Error::Ambiguous(why)) = &error else { return error };
        let positions: Vec<(u32, Offset)> =
            self.owned.iter().map(|(partition, end)| (*partition, Offset::Offset(*end as i64))).collect();
        if let Err(Error::Fenced(why)) = self.membership.is_mine(&positions) {
            if self.membership.was_cut_off() {
                self.cut_off = true;
                return Error::Ambiguous(why);
            }
            self.fenced = Some(why.clone());
            return Error::Fenced(why);
        }
        self.spent = true;
        match error {
            // Before the commit: nothing happened.
            Error::Fenced(_) => Error::Retry(why.clone()),
            error => error,
        }
    }

    fn send(&self, one: &Appending<'_>) -> Result<()> {
        let raw = self.log.name(Topic::Raw);
        for record in one.records {
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            if record.partition.is_none() && key.is_none() {
                for partition in 0..self.log.partitions(Topic::Raw) {
                    self.transactions.send(raw, Some(partition), key, value)?;
                }
            } else {
                self.transactions.send(raw, record.partition, key, value)?;
            }
        }
        if let Some(checkpoint) = one.checkpoint {
            let topic = self.log.name(Topic::Checkpoints);
            let (partition, _) = self.owns(one.source)?;
            self.transactions.send(topic, Some(partition), Some(one.source.as_bytes()), Some(checkpoint))?;
        }
        Ok(())
    }
}

impl Append for KafkaAppender {
    fn poll(&mut self, wait: Duration) -> Result<Option<Ownership>> {
        let until = Instant::now() + wait;
        self.watch.look(&self.log)?;
        loop {
            if let Some(why) = &self.fenced {
                return Err(Error::Fenced(why.clone()));
            }
            if self.cut_off {
                self.join_anew()?;
            }
            if self.spent {
                return self.begin_anew().map(Some);
            }
            self.hear();
            if !self.waiting.is_empty() {
                // Positions are refused while the group changes hands; who owns nothing then would not append again.
                self.failing = None;
            }
            let why = self.membership.unreachable().or_else(|| self.failing.clone());
            self.log.told(&self.membership.group, why.as_deref());
            if let Some(change) = self.waiting.first().cloned() {
                let told = self.change(change)?;
                // Only now: a gain that could not be read is gained by the next call.
                self.waiting.remove(0);
                return Ok(Some(told));
            }
            let left = until.saturating_duration_since(Instant::now());
            // Partitions are paused: what comes here is a change or an error, never a record.
            match self.membership.events(left.min(Duration::from_millis(100))) {
                Err(Error::Fenced(_)) if self.membership.was_cut_off() => self.join_anew()?,
                heard => heard?,
            }
            if left.is_zero() && self.waiting.is_empty() {
                self.hear();
                if self.waiting.is_empty() {
                    return Ok(None);
                }
            }
        }
    }

    fn append(&mut self, source: &str, records: &[Write], checkpoint: Option<&[u8]>) -> Result<Appended> {
        let one = Appending { source, records, checkpoint };
        self.allows(&one)?;
        let at = self.together(&[&one])?;
        Ok(Appended { at, records: records.len() })
    }

    fn append_all(&mut self, all: &[Appending<'_>]) -> Vec<Result<Appended>> {
        let allowed: Vec<Result<()>> = all.iter().map(|one| self.allows(one)).collect();
        let together: Vec<&Appending<'_>> =
            all.iter().zip(&allowed).filter(|(_, allowed)| allowed.is_ok()).map(|(one, _)| one).collect();
        let ended = if together.is_empty() { Ok(Time::from_millis(0)) } else { self.together(&together) };
        let answer = |(one, allowed): (&Appending<'_>, Result<()>)| {
            allowed?;
            Ok(Appended { at: ended.clone()?, records: one.records.len() })
        };
        all.iter().zip(allowed).map(answer).collect()
    }
}

impl KafkaAppender {
    /// The partition of the checkpoints that a source has, and where it ended when it was gained.
    fn owns(&self, source: &str) -> Result<(u32, u64)> {
        let partition = partition_of(source.as_bytes(), self.log.partitions(Topic::Checkpoints));
        let end = self.owned.get(&partition).ok_or_else(|| Error::NotOwned(source.to_owned()))?;
        Ok((partition, *end))
    }

    /// Whether there is a reason of its own not to append this. Judged before a transaction begins: one that is given
    /// up at once may cost the producer.
    fn allows(&self, one: &Appending<'_>) -> Result<()> {
        self.owns(one.source)?;
        let raw = self.log.name(Topic::Raw);
        one.records
            .iter()
            .try_for_each(|record| fits(raw, record.key.as_deref(), record.value.as_deref()))?;
        fits(self.log.name(Topic::Checkpoints), Some(one.source.as_bytes()), one.checkpoint)
    }

    /// One transaction for all. The log's time of it.
    fn together(&mut self, all: &[&Appending<'_>]) -> Result<Time> {
        let ended = self.attempt(all);
        match &ended {
            Ok(_) => self.failing = None,
            Err(Error::Retry(why) | Error::Ambiguous(why)) => self.failing = Some(why.clone()),
            Err(_) => {}
        }
        ended
    }

    fn attempt(&mut self, all: &[&Appending<'_>]) -> Result<Time> {
        let mut positions = BTreeMap::new();
        for one in all {
            let (partition, end) = self.owns(one.source)?;
            positions.insert(partition, Offset::Offset(end as i64));
        }
        if self.spent || self.cut_off {
            return Err(Error::Retry("the door is opened anew: poll it first".to_owned()));
        }
        let begun = Instant::now();
        if let Err(error) = self.transactions.begin_after_all(&self.log, &WRITTEN) {
            return Err(self.failed(error));
        }
        let sent = all.iter().try_for_each(|one| self.send(one));
        let committed = sent.and_then(|()| {
            // The offsets mean nothing; with them the group says whether this member still owns the sources.
            let positions: Vec<(u32, Offset)> = positions.into_iter().collect();
            let group = self
                .membership
                .consumer()
                .group_metadata()
                .ok_or_else(|| Error::Retry("the group is not known yet".to_owned()))?;
            self.transactions.commit(&self.membership.list(&positions)?, &group)
        });
        match committed {
            Ok(at) => {
                self.membership.committed(begun);
                let at = at.unwrap_or(Time::from_millis(0));
                tracing::trace!(at = at.millis(), "appended after {:.1?}", begun.elapsed());
                Ok(at)
            }
            Err(error) => {
                self.transactions.abort();
                Err(self.failed(error))
            }
        }
    }
}
