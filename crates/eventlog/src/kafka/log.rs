//! The log of one monitor on a cluster.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pricemonitor_model::{Incarnation, MonitorId};

use super::appender::KafkaAppender;
use super::asker::Asker;
use super::client::Connection;
use super::lag::Lags;
use super::{fold, lag, life, mark, put, scan, sink};
use crate::layout::TOPICS;
use crate::{
    Appended, Ends, Error, EventLog, Fold, Layout, LogStatus, Member, Observer, PartitionLag, Position,
    Record, Result, Sink, Stop, Topic, Unobserved, Write,
};

/// Settings of the loops.
#[derive(Clone, Debug)]
pub struct Options {
    /// Records in a transaction or batch (5,000). Under backlog a fold takes up to 1.6 times as many, a sink eight times.
    pub batch_records: usize,
    /// How long a batch is collected at most (50 ms).
    pub linger: Duration,
    /// Stands before the name of every group. Empty: groups are called as their members say.
    pub group_prefix: String,
    /// Which generation of the manifest this process works by; 0 when that is not compared. A fold gives up a
    /// partition whose state was written by a higher one.
    pub config_epoch: u64,
    /// Whether a reader whose next records were deleted goes on with the oldest there is. Off by default: that records are
    /// lost to it, an operator decides.
    pub skip_deleted: bool,
    /// Hears of transactions, batches and restores.
    pub observer: Arc<dyn Observer>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            batch_records: 5_000,
            linger: Duration::from_millis(50),
            group_prefix: String::new(),
            config_epoch: 0,
            skip_deleted: false,
            observer: Arc::new(Unobserved),
        }
    }
}

/// The log of one monitor. Cheap to clone.
#[derive(Clone)]
pub struct KafkaLog(pub(super) Arc<Shared>);

/// What the handles and loops of one log share.
pub(super) struct Shared {
    pub(super) connection: Connection,
    pub(super) options: Options,
    pub(super) id: MonitorId,
    pub(super) incarnation: Incarnation,
    /// The id of the raw topic that has this life; empty when none is known.
    pub(super) raw_id: String,
    topics: Vec<(String, u32)>,
    pub(super) asker: Asker,
    trouble: Mutex<HashMap<String, String>>,
    lags: Mutex<Lags>,
}

impl KafkaLog {
    /// Opens the log that [`setup`](super::setup()) made. Waits at most ten seconds for the cluster.
    ///
    /// # Errors
    /// [`Error::Position`] when a topic is missing, or has other partitions than the manifest says, or when the raw topic was
    /// made anew by another tool;
    /// [`Error::Refused`] when the cluster does not let this program in, or it does not trust the cluster;
    /// [`Error::Retry`] when the cluster cannot be reached now.
    pub fn open(
        connection: &Connection,
        id: &MonitorId,
        layout: &Layout,
        options: Options,
    ) -> Result<KafkaLog> {
        let asker = Asker::new(connection, id)?;
        let mut topics = Vec::new();
        for (topic, _, _) in TOPICS {
            let (name, wanted) = (layout.name(id, topic), layout.partitions(topic));
            match asker.topic(&name)?.map(|shape| shape.partitions) {
                Some(found) if found == wanted => topics.push((name, wanted)),
                Some(found) => {
                    return Err(Error::Position(format!(
                        "`{name}` has {found} partitions, the manifest says {wanted}: partitions cannot change; set \
                         `partitions: {found}`, or use other topics"
                    )));
                }
                None => {
                    return Err(Error::Position(format!(
                        "there is no topic `{name}`: run `pricemonitor setup` first"
                    )));
                }
            }
        }
        let mark = mark::read_mark(&asker, id, layout)?.ok_or_else(|| {
            Error::Position(format!(
                "`{}` holds no mark of `pricemonitor setup`: run it first",
                layout.name(id, Topic::Checkpoints)
            ))
        })?;
        mark.belongs_to(id, layout)?;
        mark.is_of(id, layout)?;
        life::check(&asker, &layout.name(id, Topic::Raw), &mark.raw_id)?;
        asker.was_let_in();
        Ok(KafkaLog(Arc::new(Shared {
            connection: connection.clone(),
            options,
            id: id.clone(),
            incarnation: Incarnation(mark.incarnation),
            raw_id: mark.raw_id,
            topics,
            asker,
            trouble: Mutex::default(),
            lags: Mutex::default(),
        })))
    }

    /// What `topic` is called.
    pub fn name(&self, topic: Topic) -> &str {
        self.0.name(topic)
    }
}

impl Shared {
    pub(super) fn name(&self, topic: Topic) -> &str {
        &self.topics[topic as usize].0
    }

    pub(super) fn partitions(&self, topic: Topic) -> u32 {
        self.topics[topic as usize].1
    }

    /// A group, as the cluster knows it.
    pub(super) fn group(&self, group: &str) -> String {
        format!("{}{group}", self.options.group_prefix)
    }

    /// The transactional id of a member. It begins with the monitor's id whatever the group is called, so that one
    /// rule of access by prefix is enough.
    pub(super) fn transactional_id(&self, group: &str, instance: &str) -> String {
        let id = self.id.as_str();
        let ours = group.strip_prefix(id).is_some_and(|rest| rest.starts_with('.'));
        if ours { format!("{group}.{instance}") } else { format!("{id}.{group}.{instance}") }
    }

    /// Oldest offset and end of a partition.
    pub(super) fn ends(&self, topic: Topic, partition: u32) -> Result<(u64, u64)> {
        self.asker.ends(self.name(topic), partition)
    }

    /// Refuses a raw topic that is another one than the log was opened with. To be asked before positions in it are believed.
    pub(super) fn check_life(&self) -> Result<()> {
        life::check(&self.asker, self.name(Topic::Raw), &self.raw_id)
    }

    /// Refuses a position that is not one in this log; nothing is ever reset by itself.
    pub(super) fn check(
        &self,
        reader: &str,
        topic: Topic,
        partition: u32,
        position: Position,
    ) -> Result<u64> {
        let place = format!("`{reader}` on partition {partition} of `{}`", self.name(topic));
        if position.incarnation != self.incarnation {
            return Err(Error::Position(format!(
                "{place} stands in another log (position of {}, the log is {}): the topics were made anew; remove that \
                 reader's own data so that it starts anew",
                position.incarnation, self.incarnation
            )));
        }
        let (first, end) = self.ends(topic, partition)?;
        let at = position.next_offset;
        if at > end {
            return Err(Error::Position(format!(
                "{place} stands at offset {at}, but the topic ends at {end}: it was made anew or lost records; run \
                 `pricemonitor setup` and remove that reader's own data so that it starts anew"
            )));
        }
        if at < first && self.options.skip_deleted {
            tracing::warn!(
                monitor = %self.id,
                "{place} stood at offset {at} and goes on at {first}: what lay between is deleted and lost to it"
            );
            return Ok(first);
        }
        if at < first {
            return Err(Error::Position(format!(
                "{place} stands at offset {at}, but records before {first} are deleted (retention): what lay between is \
                 lost to it; start it once with `--skip-deleted` to go on behind that"
            )));
        }
        Ok(at)
    }

    /// What is remembered of how far groups are behind.
    pub(super) fn lags(&self) -> MutexGuard<'_, Lags> {
        self.lags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes why a loop cannot work now, or that it can.
    pub(super) fn told(&self, who: &str, why: Option<&str>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match why {
            Some(why) => drop(trouble.insert(who.to_owned(), why.to_owned())),
            None => drop(trouble.remove(who)),
        }
    }
}

impl EventLog for KafkaLog {
    type Appender = KafkaAppender;

    fn appender(&self, member: &Member) -> Result<KafkaAppender> {
        KafkaAppender::open(&self.0, member)
    }

    fn fold(&self, member: &Member, fold: &mut impl Fold, stop: &Stop) -> Result<()> {
        fold::run(&self.0, member, fold, stop)
    }

    fn sink(&self, member: &Member, topic: Topic, sink: &mut impl Sink, stop: &Stop) -> Result<()> {
        sink::run(&self.0, member, topic, sink, stop)
    }

    fn lag(&self, group: &str, topic: Topic) -> Result<Vec<PartitionLag>> {
        lag::lag(&self.0, group, topic)
    }

    fn partitions(&self, topic: Topic) -> u32 {
        self.0.partitions(topic)
    }

    fn incarnation(&self, _: Topic) -> Incarnation {
        self.0.incarnation
    }

    fn ends(&self, topic: Topic) -> Result<Vec<Ends>> {
        scan::ends(&self.0, topic)
    }

    fn scan(
        &self,
        topic: Topic,
        partition: u32,
        from: u64,
        to: Option<u64>,
        each: &mut dyn FnMut(&Record<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<u64> {
        scan::scan(&self.0, topic, partition, from..to.unwrap_or(u64::MAX), each)
    }

    fn put(&self, records: &[(Topic, Write)]) -> Result<Appended> {
        put::put(&self.0, records)
    }

    fn folded(&self, _: &str) -> Result<Vec<Option<Position>>> {
        scan::folded(&self.0)
    }

    fn status(&self) -> LogStatus {
        let trouble = self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        LogStatus { unavailable: trouble.values().next().cloned(), bytes: None }
    }
}
