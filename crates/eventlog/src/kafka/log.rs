//! The log of one monitor on a cluster.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pricemonitor_model::{Incarnation, MonitorId};
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::appender::KafkaAppender;
use super::client::Connection;
use super::restore::ASK;
use super::trouble::explain;
use super::{fold, lag, setup, sink};
use crate::layout::TOPICS;
use crate::{
    Error, EventLog, Fold, Layout, LogStatus, Member, PartitionLag, Position, Result, Sink, Stop, Topic,
};

/// Settings of the loops.
#[derive(Clone, Debug)]
pub struct Options {
    /// Records in a transaction or batch (5,000); under backlog up to four times as many.
    pub batch_records: usize,
    /// How long a batch is collected at most (50 ms).
    pub linger: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options { batch_records: 5_000, linger: Duration::from_millis(50) }
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
    topics: Vec<(String, u32)>,
    /// Asks for ends of partitions; reads nothing.
    pub(super) asker: BaseConsumer,
    trouble: Mutex<HashMap<String, String>>,
}

impl KafkaLog {
    /// Opens the log that [`setup`](super::setup()) made.
    ///
    /// # Errors
    /// [`Error::Position`] when a topic is missing, or has other partitions than the manifest says.
    pub fn open(
        connection: &Connection,
        id: &MonitorId,
        layout: &Layout,
        options: Options,
    ) -> Result<KafkaLog> {
        let asker: BaseConsumer =
            connection.asker().create().map_err(|error| explain("cannot make a client", &error))?;
        let mut topics = Vec::new();
        for (topic, _, _) in TOPICS {
            let (name, wanted) = (layout.name(id, topic), layout.partitions(topic));
            match setup::partitions(&asker, &name)? {
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
        let mark = setup::read_mark(connection, &asker, id, layout)?.ok_or_else(|| {
            Error::Position(format!(
                "`{}` holds no mark of `pricemonitor setup`: run it first",
                layout.name(id, Topic::Checkpoints)
            ))
        })?;
        mark.belongs_to(id, layout)?;
        Ok(KafkaLog(Arc::new(Shared {
            connection: connection.clone(),
            options,
            id: id.clone(),
            incarnation: Incarnation(mark.incarnation),
            topics,
            asker,
            trouble: Mutex::default(),
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

    /// A group of this monitor, as the cluster knows it.
    pub(super) fn group(&self, group: &str) -> String {
        format!("{}.{group}", self.id)
    }

    /// Oldest offset and end of a partition.
    pub(super) fn ends(&self, topic: Topic, partition: u32) -> Result<(u64, u64)> {
        let (first, end) = self
            .asker
            .fetch_watermarks(self.name(topic), partition as i32, ASK)
            .map_err(|error| explain(&format!("cannot ask where `{}` ends", self.name(topic)), &error))?;
        Ok((first.max(0) as u64, end.max(0) as u64))
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
        if at < first {
            return Err(Error::Position(format!(
                "{place} stands at offset {at}, but records before {first} are deleted (retention): those are lost to it"
            )));
        }
        Ok(at)
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

    fn status(&self) -> LogStatus {
        let trouble = self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        LogStatus { unavailable: trouble.values().next().cloned(), bytes: None }
    }
}
