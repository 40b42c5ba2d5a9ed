//! Reading a compacted partition from its beginning to its end.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};

use super::client::Connection;
use super::trouble::explain;
use crate::{Error, Result};

/// Longest wait for the cluster's word on where a partition ends.
pub(super) const ASK: Duration = Duration::from_secs(10);
/// Longest time without any progress. Another member's open transaction holds readers back for as long as its
/// time-out, six seconds.
const STALLED: Duration = Duration::from_secs(30);

/// Reads what is committed of one partition, up to the high watermark at the time it was opened.
///
/// Whoever could still add to it is fenced before this is opened, so the end is the last word.
pub(super) struct Restore {
    consumer: BaseConsumer,
    topic: String,
    partition: u32,
    end: i64,
}

impl Restore {
    /// Opens the partition.
    pub(super) fn open(
        connection: &Connection,
        asker: &BaseConsumer,
        topic: &str,
        partition: u32,
    ) -> Result<Restore> {
        let doing = format!("cannot read partition {partition} of `{topic}`");
        let consumer: BaseConsumer = connection.reader().create().map_err(|error| explain(&doing, &error))?;
        let (start, end) =
            asker.fetch_watermarks(topic, partition as i32, ASK).map_err(|error| explain(&doing, &error))?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition as i32, Offset::Offset(start))
            .and_then(|()| consumer.assign(&list))
            .map_err(|error| explain(&doing, &error))?;
        Ok(Restore { consumer, topic: topic.to_owned(), partition, end })
    }

    /// Calls `each` with every record, in the order of their offsets.
    pub(super) fn read(&self, mut each: impl FnMut(&BorrowedMessage<'_>) -> Result<()>) -> Result<()> {
        let mut deadline = Instant::now() + STALLED;
        while self.position()? < self.end {
            match self.consumer.poll(Duration::from_millis(50)) {
                Some(Ok(message)) => {
                    if message.offset() < self.end {
                        each(&message)?;
                    }
                    if message.offset() + 1 >= self.end {
                        return Ok(());
                    }
                    deadline = Instant::now() + STALLED;
                }
                // Behind the last record there may be marks of transactions, which nobody sees; the end of what is
                // committed lies before `end` while a transaction is open.
                Some(Err(KafkaError::PartitionEOF(_))) if self.committed_end()? >= self.end => return Ok(()),
                Some(Err(KafkaError::PartitionEOF(_))) | None => {}
                Some(Err(error)) => return Err(explain(&format!("cannot read `{}`", self.topic), &error)),
            }
            if Instant::now() > deadline {
                return Err(Error::Retry(format!(
                    "partition {} of `{}` did not come to its end: a transaction is open for too long",
                    self.partition, self.topic
                )));
            }
        }
        Ok(())
    }

    fn position(&self) -> Result<i64> {
        let list = self.consumer.position().map_err(|error| explain("cannot tell the position", &error))?;
        let element = list.find_partition(&self.topic, self.partition as i32);
        Ok(match element.map(|element| element.offset()) {
            Some(Offset::Offset(offset)) => offset,
            // Nothing was read yet.
            _ if self.end == 0 => 0,
            _ => -1,
        })
    }

    /// Up to where everything is committed or aborted (the last stable offset).
    fn committed_end(&self) -> Result<i64> {
        let (_, end) = self
            .consumer
            .fetch_watermarks(&self.topic, self.partition as i32, ASK)
            .map_err(|error| explain("cannot ask for the end of a partition", &error))?;
        Ok(end)
    }
}
