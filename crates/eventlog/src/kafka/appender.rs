//! The producer's door.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pricemonitor_model::Time;
use pricemonitor_model::partition::partition_of;
use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;
use rdkafka::message::Message as _;

use super::log::Shared;
use super::membership::{Change, Membership};
use super::restore::Restore;
use super::setup::MARK;
use super::transaction::Transactions;
use super::trouble::explain;
use crate::{Append, Appended, Error, Member, Ownership, Result, Topic, Write};

/// Appends with checkpoints. A member of a group on the checkpoints, of which it reads nothing but what a
/// restore needs: the group says who owns a source, and fences.
pub struct KafkaAppender {
    log: Arc<Shared>,
    membership: Membership,
    transactions: Transactions,
    owned: BTreeMap<u32, u64>,
    waiting: Vec<Change>,
    /// Why this member must end: its group hears of it only with the next heartbeat.
    fenced: Option<String>,
}

impl KafkaAppender {
    pub(super) fn open(log: &Arc<Shared>, member: &Member) -> Result<KafkaAppender> {
        let group = log.group(&member.group);
        let transactions = Transactions::open(&log.connection, &format!("{group}.{}", member.instance))?;
        let membership = Membership::join(&log.connection, &group, member, log.name(Topic::Checkpoints))?;
        Ok(KafkaAppender {
            log: log.clone(),
            membership,
            transactions,
            owned: BTreeMap::new(),
            waiting: Vec::new(),
            fenced: None,
        })
    }

    fn gain(&mut self, partitions: Vec<u32>) -> Result<Ownership> {
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
            self.membership.consumer.pause(&list).map_err(|error| explain("cannot pause", &error))?;
        }
        Ok(Ownership::Gained { partitions, of: self.log.partitions(Topic::Checkpoints), checkpoints })
    }

    /// The last checkpoint of every source of a partition. Tells the partition's end.
    fn load(&self, partition: u32, checkpoints: &mut Vec<(String, Vec<u8>)>) -> Result<u64> {
        let topic = self.log.name(Topic::Checkpoints);
        let mut last: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        Restore::open(&self.log.connection, &self.log.asker, topic, partition)?.read(|message| {
            let Some(key) = message.key().filter(|key| *key != MARK) else { return Ok(()) };
            let source = String::from_utf8_lossy(key).into_owned();
            match message.payload() {
                Some(value) => drop(last.insert(source, value.to_vec())),
                None => drop(last.remove(&source)),
            }
            Ok(())
        })?;
        checkpoints.extend(last);
        Ok(self.log.ends(Topic::Checkpoints, partition)?.1)
    }

    fn send(&self, source: &str, partition: u32, records: &[Write], checkpoint: Option<&[u8]>) -> Result<()> {
        let raw = self.log.name(Topic::Raw);
        for record in records {
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            if record.partition.is_none() && key.is_none() {
                for partition in 0..self.log.partitions(Topic::Raw) {
                    self.transactions.send(raw, Some(partition), key, value)?;
                }
            } else {
                self.transactions.send(raw, record.partition, key, value)?;
            }
        }
        if let Some(checkpoint) = checkpoint {
            let topic = self.log.name(Topic::Checkpoints);
            self.transactions.send(topic, Some(partition), Some(source.as_bytes()), Some(checkpoint))?;
        }
        Ok(())
    }
}

impl Append for KafkaAppender {
    fn poll(&mut self, wait: Duration) -> Result<Option<Ownership>> {
        let until = Instant::now() + wait;
        loop {
            if let Some(why) = &self.fenced {
                return Err(Error::Fenced(why.clone()));
            }
            self.waiting.extend(self.membership.changes());
            if !self.waiting.is_empty() {
                return match self.waiting.remove(0) {
                    Change::Gained(partitions) => self.gain(partitions).map(Some),
                    Change::Lost(partitions) => {
                        self.owned.retain(|partition, _| !partitions.contains(partition));
                        Ok(Some(Ownership::Lost { partitions }))
                    }
                };
            }
            let left = until.saturating_duration_since(Instant::now());
            // Partitions are paused: what comes here is a change or an error, never a record.
            self.membership.poll(left.min(Duration::from_millis(100)))?;
            if left.is_zero() && self.waiting.is_empty() {
                self.waiting.extend(self.membership.changes());
                if self.waiting.is_empty() {
                    return Ok(None);
                }
            }
        }
    }

    fn append(&mut self, source: &str, records: &[Write], checkpoint: Option<&[u8]>) -> Result<Appended> {
        let partition = partition_of(source.as_bytes(), self.log.partitions(Topic::Checkpoints));
        let Some(end) = self.owned.get(&partition).copied() else {
            return Err(Error::NotOwned(source.to_owned()));
        };
        self.transactions.begin()?;
        let sent = self.send(source, partition, records, checkpoint);
        let committed = sent.and_then(|()| {
            // The offset means nothing; with it the group says whether this member still owns the source.
            let list = self.membership.list(&[(partition, Offset::Offset(end as i64))])?;
            let group = self
                .membership
                .consumer
                .group_metadata()
                .ok_or_else(|| Error::Retry("the group is not known yet".to_owned()))?;
            self.transactions.commit(&list, &group)
        });
        match committed {
            Ok(at) => Ok(Appended { at: at.unwrap_or(Time::from_millis(0)), records: records.len() }),
            Err(error) => {
                self.transactions.abort();
                if let Error::Fenced(why) = &error {
                    self.fenced = Some(why.clone());
                }
                Err(error)
            }
        }
    }
}
