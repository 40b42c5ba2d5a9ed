//! How far a group is behind.

use std::time::{Duration, Instant};

use pricemonitor_model::Time;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::log::Shared;
use super::restore::ASK;
use super::trouble::explain;
use crate::{PartitionLag, Result, Topic};

/// Offsets that are looked at one by one. Behind more, the difference of the offsets is told, which counts the marks
/// of transactions too.
const COUNTED: u64 = 10_000;
/// Longest time for counting.
const COUNTING: Duration = Duration::from_secs(5);

pub(super) fn lag(log: &Shared, group: &str, topic: Topic) -> Result<Vec<PartitionLag>> {
    let committed = committed(log, group, topic)?;
    let mut lag = Vec::with_capacity(committed.len());
    for (partition, position) in (0..).zip(committed) {
        let (first, end) = log.ends(topic, partition)?;
        let from = position.unwrap_or(first).max(first);
        lag.push(if from >= end {
            PartitionLag { partition, records: 0, oldest: None }
        } else {
            count(log, topic, partition, from, end)?
        });
    }
    Ok(lag)
}

/// Where the group stands in every partition.
fn committed(log: &Shared, group: &str, topic: Topic) -> Result<Vec<Option<u64>>> {
    let doing = format!("cannot ask where `{group}` stands");
    let mut config = log.connection.admin();
    config.set("group.id", log.group(group));
    let asker: BaseConsumer = config.create().map_err(|error| explain(&doing, &error))?;
    let mut list = TopicPartitionList::new();
    list.add_partition_range(log.name(topic), 0, log.partitions(topic) as i32 - 1);
    let found = asker.committed_offsets(list, ASK).map_err(|error| explain(&doing, &error))?;
    Ok(found
        .elements()
        .iter()
        .map(|element| match element.offset() {
            Offset::Offset(offset) => Some(offset.max(0) as u64),
            _ => None,
        })
        .collect())
}

/// Looks at the records that are still to be read.
fn count(log: &Shared, topic: Topic, partition: u32, from: u64, end: u64) -> Result<PartitionLag> {
    let doing = format!("cannot look at `{}`", log.name(topic));
    let reader: BaseConsumer = log.connection.reader().create().map_err(|error| explain(&doing, &error))?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(log.name(topic), partition as i32, Offset::Offset(from as i64))
        .and_then(|()| reader.assign(&list))
        .map_err(|error| explain(&doing, &error))?;
    let mut lag = PartitionLag { partition, records: 0, oldest: None };
    let deadline = Instant::now() + COUNTING;
    while Instant::now() < deadline {
        match reader.poll(Duration::from_millis(50)) {
            Some(Ok(message)) => {
                let time = Time::from_millis(message.timestamp().to_millis().unwrap_or_default());
                lag.oldest.get_or_insert(time);
                lag.records += 1;
                if end - from > COUNTED {
                    lag.records = end - from;
                    return Ok(lag);
                }
                if message.offset() as u64 + 1 >= end {
                    return Ok(lag);
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(lag),
            Some(Err(error)) => return Err(explain(&doing, &error)),
            None => {}
        }
    }
    Ok(lag)
}
