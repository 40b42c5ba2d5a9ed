//! Reading records of one partition outside of any group.

use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

use pricemonitor_model::{Incarnation, Time};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use super::ear::Ear;
use super::hanging;
use super::log::Shared;
use super::meta::{self, Meta};
use super::trouble::explain;
use crate::{Ends, Error, Position, Record, Result, Topic};

/// Longest time without any progress. Another member's open transaction holds readers back for as long as its
/// time-out, six seconds.
const STALLED: Duration = Duration::from_secs(30);
/// Offsets at the end of a state partition in which its mark is looked for, before all of it is read. Every transaction
/// ends with one; behind it there is only what was given up.
const NEAR: [u64; 2] = [1_000, 50_000];

pub(super) fn ends(log: &Shared, topic: Topic) -> Result<Vec<Ends>> {
    let one = |partition| log.ends(topic, partition).map(|(first, end)| Ends { first, end });
    (0..log.partitions(topic)).map(one).collect()
}

pub(super) fn scan(
    log: &Shared,
    topic: Topic,
    partition: u32,
    asked: Range<u64>,
    each: &mut dyn FnMut(&Record<'_>) -> Result<ControlFlow<()>>,
) -> Result<u64> {
    if partition >= log.partitions(topic) {
        return Err(Error::Worker(format!(
            "`{}` has no partition {partition}, only {}",
            log.name(topic),
            log.partitions(topic)
        )));
    }
    let (first, end) = log.ends(topic, partition)?;
    let (from, end) = (asked.start.max(first), asked.end.min(end));
    if from >= end {
        return Ok(asked.start);
    }
    Scan::open(log, topic, partition, from, end)?.read(each)
}

/// One partition from an offset to an end before which every transaction is over.
struct Scan<'l> {
    log: &'l Shared,
    topic: Topic,
    consumer: BaseConsumer<Ear>,
    end: u64,
}

impl<'l> Scan<'l> {
    fn open(log: &'l Shared, topic: Topic, partition: u32, from: u64, end: u64) -> Result<Scan<'l>> {
        let scan = Scan {
            log,
            topic,
            consumer: log
                .connection
                .reader(&log.id)
                .create_with_context(Ear::default())
                .map_err(|error| explain(&format!("cannot read `{}`", log.name(topic)), &error))?,
            end,
        };
        // Before the first fetch: whatever is seen as the end of the partition from then on lies behind `end`.
        hanging::wait(&log.asker, log.name(topic), partition, end, Instant::now() + STALLED)?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(log.name(topic), partition as i32, Offset::Offset(from as i64))
            .and_then(|()| scan.consumer.assign(&list))
            .map_err(|error| scan.failed(&error))?;
        Ok(scan)
    }

    fn read(&self, each: &mut dyn FnMut(&Record<'_>) -> Result<ControlFlow<()>>) -> Result<u64> {
        let mut deadline = Instant::now() + STALLED;
        while Instant::now() < deadline {
            match self.consumer.poll(Duration::from_millis(50)) {
                Some(Ok(message)) => {
                    let record = record(&message);
                    if record.offset >= self.end {
                        return Ok(self.end);
                    }
                    let behind = record.offset + 1;
                    if each(&record)?.is_break() || behind == self.end {
                        return Ok(behind);
                    }
                    deadline = Instant::now() + STALLED;
                }
                // Behind the last record there may be marks of transactions, which nobody sees.
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(self.end),
                Some(Err(error)) => return Err(self.failed(&error)),
                None => {}
            }
        }
        Err(Error::Retry(format!("the cluster sends nothing of `{}`", self.log.name(self.topic))))
    }

    fn failed(&self, error: &KafkaError) -> Error {
        let doing = format!("cannot read `{}`", self.log.name(self.topic));
        self.consumer.context().explain(&doing, error)
    }
}

fn record<'m>(message: &'m BorrowedMessage<'_>) -> Record<'m> {
    Record {
        offset: message.offset().max(0) as u64,
        timestamp: Time::from_millis(message.timestamp().to_millis().unwrap_or_default()),
        key: message.key(),
        value: message.payload(),
    }
}

/// Where the fold stands, by the marks in the state.
pub(super) fn folded(log: &Shared) -> Result<Vec<Option<Position>>> {
    (0..log.partitions(Topic::State)).map(|partition| mark(log, partition)).collect()
}

fn mark(log: &Shared, partition: u32) -> Result<Option<Position>> {
    // Whoever only looks may be older than what it looks at.
    let meta = meta(log, partition, 0)?;
    Ok(meta
        .map(|meta| Position { incarnation: Incarnation(meta.incarnation), next_offset: meta.next_offset }))
}

/// What a state partition says of itself.
///
/// # Errors
/// [`Error::Superseded`] when it was written by a later program, or by a higher epoch than `config_epoch`.
pub(super) fn meta(log: &Shared, partition: u32, config_epoch: u64) -> Result<Option<Meta>> {
    let (_, end) = log.ends(Topic::State, partition)?;
    meta_before(log, partition, config_epoch, end)
}

/// What a state partition says of itself before `end`.
///
/// # Errors
/// As for [`meta`].
pub(super) fn meta_before(log: &Shared, partition: u32, config_epoch: u64, end: u64) -> Result<Option<Meta>> {
    let (first, _) = log.ends(Topic::State, partition)?;
    let mut last = None;
    for from in NEAR.map(|near| end.saturating_sub(near).max(first)).into_iter().chain([first]) {
        scan(log, Topic::State, partition, from..end, &mut |record| {
            if let (Some(meta::KEY), Some(value)) = (record.key, record.value) {
                last = Some(value.to_vec());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if last.is_some() || from == first {
            break;
        }
    }
    last.map(|bytes| Meta::decode(log.name(Topic::State), partition, config_epoch, &bytes)).transpose()
}
