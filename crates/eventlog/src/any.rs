//! One log type for programs that choose the engine when they start.

use std::ops::ControlFlow;
use std::time::Duration;

use pricemonitor_model::Incarnation;

use crate::embedded::{EmbeddedAppender, EmbeddedLog};
use crate::kafka::{KafkaAppender, KafkaLog};
use crate::{
    Append, Appended, Appending, Ends, EventLog, Fold, LogStatus, Member, Ownership, PartitionLag, Position,
    Record, Result, Sink, Stop, Topic, Write,
};

/// The log of one monitor, on the engine that was chosen. Every call goes to it unchanged.
#[derive(Clone)]
pub enum Log {
    /// One file of the data folder.
    Embedded(EmbeddedLog),
    /// Topics of a cluster.
    Kafka(KafkaLog),
}

/// The producer's door of a [`Log`].
pub enum LogAppender {
    /// Of the embedded engine.
    Embedded(EmbeddedAppender),
    /// Of a cluster.
    Kafka(Box<KafkaAppender>),
}

impl Log {
    /// What `topic` is called: in messages by the embedded engine, by everybody on a cluster.
    pub fn name(&self, topic: Topic) -> &str {
        match self {
            Log::Embedded(log) => log.name(topic),
            Log::Kafka(log) => log.name(topic),
        }
    }
}

impl From<EmbeddedLog> for Log {
    fn from(log: EmbeddedLog) -> Log {
        Log::Embedded(log)
    }
}

impl From<KafkaLog> for Log {
    fn from(log: KafkaLog) -> Log {
        Log::Kafka(log)
    }
}

impl EventLog for Log {
    type Appender = LogAppender;

    fn appender(&self, member: &Member) -> Result<LogAppender> {
        Ok(match self {
            Log::Embedded(log) => LogAppender::Embedded(log.appender(member)?),
            Log::Kafka(log) => LogAppender::Kafka(Box::new(log.appender(member)?)),
        })
    }

    fn fold(&self, member: &Member, fold: &mut impl Fold, stop: &Stop) -> Result<()> {
        match self {
            Log::Embedded(log) => log.fold(member, fold, stop),
            Log::Kafka(log) => log.fold(member, fold, stop),
        }
    }

    fn sink(&self, member: &Member, topic: Topic, sink: &mut impl Sink, stop: &Stop) -> Result<()> {
        match self {
            Log::Embedded(log) => log.sink(member, topic, sink, stop),
            Log::Kafka(log) => log.sink(member, topic, sink, stop),
        }
    }

    fn lag(&self, group: &str, topic: Topic) -> Result<Vec<PartitionLag>> {
        match self {
            Log::Embedded(log) => log.lag(group, topic),
            Log::Kafka(log) => log.lag(group, topic),
        }
    }

    fn partitions(&self, topic: Topic) -> u32 {
        match self {
            Log::Embedded(log) => log.partitions(topic),
            Log::Kafka(log) => log.partitions(topic),
        }
    }

    fn incarnation(&self, topic: Topic) -> Incarnation {
        match self {
            Log::Embedded(log) => log.incarnation(topic),
            Log::Kafka(log) => log.incarnation(topic),
        }
    }

    fn ends(&self, topic: Topic) -> Result<Vec<Ends>> {
        match self {
            Log::Embedded(log) => log.ends(topic),
            Log::Kafka(log) => log.ends(topic),
        }
    }

    fn scan(
        &self,
        topic: Topic,
        partition: u32,
        from: u64,
        to: Option<u64>,
        each: &mut dyn FnMut(&Record<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<u64> {
        match self {
            Log::Embedded(log) => log.scan(topic, partition, from, to, each),
            Log::Kafka(log) => log.scan(topic, partition, from, to, each),
        }
    }

    fn put(&self, records: &[(Topic, Write)]) -> Result<Appended> {
        match self {
            Log::Embedded(log) => log.put(records),
            Log::Kafka(log) => log.put(records),
        }
    }

    fn folded(&self, group: &str) -> Result<Vec<Option<Position>>> {
        match self {
            Log::Embedded(log) => log.folded(group),
            Log::Kafka(log) => log.folded(group),
        }
    }

    fn status(&self) -> LogStatus {
        match self {
            Log::Embedded(log) => log.status(),
            Log::Kafka(log) => log.status(),
        }
    }
}

impl Append for LogAppender {
    fn poll(&mut self, wait: Duration) -> Result<Option<Ownership>> {
        match self {
            LogAppender::Embedded(door) => door.poll(wait),
            LogAppender::Kafka(door) => door.poll(wait),
        }
    }

    fn append(&mut self, source: &str, records: &[Write], checkpoint: Option<&[u8]>) -> Result<Appended> {
        match self {
            LogAppender::Embedded(door) => door.append(source, records, checkpoint),
            LogAppender::Kafka(door) => door.append(source, records, checkpoint),
        }
    }

    fn append_all(&mut self, all: &[Appending<'_>]) -> Vec<Result<Appended>> {
        match self {
            LogAppender::Embedded(door) => door.append_all(all),
            LogAppender::Kafka(door) => door.append_all(all),
        }
    }
}
