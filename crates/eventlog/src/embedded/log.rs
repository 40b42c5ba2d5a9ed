//! The log of one monitor.

use std::ops::ControlFlow;
use std::sync::Arc;

use pricemonitor_model::{Incarnation, Time};
use rusqlite::OptionalExtension;

use super::appender::EmbeddedAppender;
use super::monitor::Monitor;
use super::{fold, scan, schema, sink};
use crate::{
    Appended, Ends, EventLog, Fold, LogStatus, Member, PartitionLag, Position, Record, Result, Sink, Stop,
    Topic, Write,
};

/// The log of one monitor in an [`EmbeddedStore`](super::EmbeddedStore). Cheap to clone.
#[derive(Clone, Debug)]
pub struct EmbeddedLog(pub(super) Arc<Monitor>);

impl EmbeddedLog {
    /// What `topic` is called in messages.
    pub fn name(&self, topic: Topic) -> &str {
        &self.0.topic(topic).name
    }
}

impl EventLog for EmbeddedLog {
    type Appender = EmbeddedAppender;

    fn appender(&self, member: &Member) -> Result<EmbeddedAppender> {
        Ok(EmbeddedAppender::new(&self.0, member))
    }

    fn fold(&self, member: &Member, fold: &mut impl Fold, stop: &Stop) -> Result<()> {
        fold::run(&self.0, member, fold, stop)
    }

    fn sink(&self, member: &Member, topic: Topic, sink: &mut impl Sink, stop: &Stop) -> Result<()> {
        sink::run(&self.0, member, topic, sink, stop)
    }

    fn lag(&self, group: &str, topic: Topic) -> Result<Vec<PartitionLag>> {
        let mut lag = Vec::new();
        for stream in self.0.streams_of(topic) {
            let index = self.0.index(topic, stream.partition);
            // The position first: a record that comes in between counts as lag, never as less than none.
            let position = self.0.standing(index, group).unwrap_or(0).max(stream.first());
            let records = stream.next().saturating_sub(position);
            let oldest = if records > 0 { self.time_of(stream.id, position)? } else { None };
            lag.push(PartitionLag { partition: stream.partition, records, oldest });
        }
        Ok(lag)
    }

    fn partitions(&self, topic: Topic) -> u32 {
        self.0.topic(topic).partitions
    }

    fn incarnation(&self, topic: Topic) -> Incarnation {
        self.0.topic(topic).incarnation
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
        scan::put(&self.0, records)
    }

    fn folded(&self, group: &str) -> Result<Vec<Option<Position>>> {
        scan::folded(&self.0, group)
    }

    fn status(&self) -> LogStatus {
        let unavailable = self.0.core.trouble().or_else(|| self.0.stopped());
        LogStatus { unavailable, bytes: self.0.core.bytes() }
    }
}

impl EmbeddedLog {
    /// The time of the batch that holds `offset`.
    fn time_of(&self, stream: i64, offset: u64) -> Result<Option<Time>> {
        let (from, to) = (schema::batch_id(stream, 0), schema::batch_id(stream, offset));
        let at: Option<i64> = self.0.core.look(|conn| {
            conn.prepare_cached("SELECT at FROM batches WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1")?
                .query_row([from, to], |row| row.get(0))
                .optional()
        })?;
        Ok(at.map(Time::from_millis))
    }
}
