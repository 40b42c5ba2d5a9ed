//! Reading a compacted partition from its beginning to its end.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{Offset, TopicPartitionList};

use super::asker::{ASK, Asker};
use super::ear::Ear;
use super::hanging;
use super::native::{Messages, Reader};
use super::trouble::explain;
use crate::{Error, Result};

/// Longest time without any progress. Another member's open transaction holds readers back for as long as its
/// time-out, six seconds.
const STALLED: Duration = Duration::from_secs(30);
/// Records that are read at once.
const MOST: usize = 5_000;

/// Reads what is committed of one partition, up to the high watermark at the time it was opened.
///
/// Whoever could still add to it is fenced before this is opened, so the end is the last word.
pub(super) struct Restore {
    reader: Reader<Ear>,
    topic: String,
    partition: u32,
    start: u64,
    end: u64,
}

impl Restore {
    /// Opens the partition.
    pub(super) fn open(asker: &Asker, topic: &str, partition: u32) -> Result<Restore> {
        let doing = format!("cannot read partition {partition} of `{topic}`");
        let consumer: BaseConsumer<Ear> = asker
            .connection
            .restorer(&asker.id)
            .create_with_context(Ear::default())
            .map_err(|error| explain(&doing, &error))?;
        let (start, end) = asker.ends(topic, partition)?;
        let reader = Reader::new(consumer)
            .ok_or_else(|| Error::Retry(format!("{doing}: the client has no room for a queue")))?;
        let mut list = TopicPartitionList::new();
        reader.redirect(topic, partition);
        list.add_partition_offset(topic, partition as i32, Offset::Offset(start as i64))
            .and_then(|()| reader.consumer().assign(&list))
            .map_err(|error| explain(&doing, &error))?;
        Ok(Restore { reader, topic: topic.to_owned(), partition, start, end })
    }

    /// Calls `each` with key and value of every record that has a key, in the order of their offsets, and now and
    /// then `progress` with how many offsets of how many are read; the last time with all of them.
    pub(super) fn read(
        &self,
        progress: impl Fn(u64, u64),
        mut each: impl FnMut(&[u8], Option<&[u8]>) -> Result<()>,
    ) -> Result<()> {
        let of = self.end.saturating_sub(self.start);
        progress(0, of);
        let mut deadline = Instant::now() + STALLED;
        let mut messages = Messages::default();
        let mut at = self.start;
        while at < self.end {
            self.reader.read(&mut messages, MOST, Duration::from_millis(20));
            for message in messages.iter() {
                match message.fault() {
                    None if message.offset() < self.end => {
                        if let Some(key) = message.key() {
                            each(key, message.value())?;
                        }
                        at = message.offset() + 1;
                    }
                    None => at = self.end,
                    // Behind the last record there may be marks of transactions, which nobody sees; the end of what
                    // is committed lies before `end` while a transaction is open.
                    Some(Code::PartitionEOF) if self.committed_end().is_ok_and(|end| end >= self.end) => {
                        at = self.end;
                    }
                    Some(Code::PartitionEOF) => {}
                    Some(code) => self.failed(&KafkaError::MessageConsumption(code))?,
                }
            }
            if messages.len() == 0 {
                at = at.max(self.position());
            } else {
                progress((at - self.start).min(of), of);
                deadline = Instant::now() + STALLED;
            }
            messages.clear();
            match self.reader.consumer().poll(Duration::ZERO) {
                None => {}
                // What comes here never comes where it is read; a restore without it would be a wrong one.
                Some(Ok(_)) => {
                    return Err(Error::Retry(format!("records of `{}` came out of turn", self.topic)));
                }
                Some(Err(error)) => self.failed(&error)?,
            }
            if Instant::now() > deadline {
                return Err(Error::Retry(
                    self.reader
                        .consumer()
                        .context()
                        .unreachable()
                        .unwrap_or_else(|| hanging::open_for_long(&self.topic, self.partition, at)),
                ));
            }
        }
        progress(of, of);
        Ok(())
    }

    /// librdkafka reconnects by itself; what it cannot mend is an error.
    fn failed(&self, error: &KafkaError) -> Result<()> {
        match self.reader.consumer().context().explain(&format!("cannot read `{}`", self.topic), error) {
            Error::Retry(why) => {
                tracing::debug!("{why}");
                Ok(())
            }
            other => Err(other),
        }
    }

    /// Up to where was read, marks of transactions included.
    fn position(&self) -> u64 {
        let position = self.reader.consumer().position().ok();
        let own = position.as_ref().and_then(|list| list.find_partition(&self.topic, self.partition as i32));
        match own.map(|own| own.offset()) {
            Some(Offset::Offset(offset)) => offset.max(0) as u64,
            _ => 0,
        }
    }

    /// Up to where everything is committed or aborted (the last stable offset).
    fn committed_end(&self) -> Result<u64> {
        let (_, end) = self
            .reader
            .consumer()
            .fetch_watermarks(&self.topic, self.partition as i32, ASK)
            .map_err(|error| explain("cannot ask for the end of a partition", &error))?;
        Ok(end.max(0) as u64)
    }
}
