//! Being a member of a consumer group.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::client::Connection;
use super::trouble::{code, explain};
use crate::{Error, Member, Result};

/// A change of what the member owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Not read yet: the member restores what it needs, then calls [`Membership::take`].
    Gained(Vec<u32>),
    /// Not read any more.
    Lost(Vec<u32>),
}

/// Collects what happens while polling.
#[derive(Default)]
pub(super) struct Changes(Mutex<Vec<Change>>);

impl ClientContext for Changes {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("{error}: {reason}");
    }
}

impl ConsumerContext for Changes {
    /// A loss happens here and now: no transaction is open while the loop polls. A gain waits for the loop, because
    /// a restore takes longer than this may; librdkafka goes on once partitions are assigned.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Changes>,
        what: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let mut partitions: Vec<u32> =
            list.elements().iter().map(|element| element.partition() as u32).collect();
        partitions.sort_unstable();
        let change = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            Change::Gained(partitions)
        } else {
            if let Err(error) = consumer.incremental_unassign(list) {
                tracing::warn!("partitions were not given up in order: {error}");
            }
            Change::Lost(partitions)
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(change);
    }
}

/// A member with its consumer. Dropping it closes the consumer; its partitions stay its own until the
/// session ends, so that a restart has them back at once.
pub(super) struct Membership {
    pub(super) consumer: BaseConsumer<Changes>,
    pub(super) group: String,
    topic: String,
    settled: Cell<bool>,
}

impl Membership {
    /// Joins `member` to its group, to share the partitions of `topic`.
    pub(super) fn join(
        connection: &Connection,
        group: &str,
        member: &Member,
        topic: &str,
    ) -> Result<Membership> {
        let doing = format!("cannot join the group `{group}`");
        let consumer: BaseConsumer<Changes> = connection
            .member(group, &member.instance)
            .create_with_context(Changes::default())
            .map_err(|error| explain(&doing, &error))?;
        consumer.subscribe(&[topic]).map_err(|error| explain(&doing, &error))?;
        Ok(Membership {
            consumer,
            group: group.to_owned(),
            topic: topic.to_owned(),
            settled: Cell::new(false),
        })
    }

    /// What changed since the last call.
    pub(super) fn changes(&self) -> Vec<Change> {
        let mut waiting = self.consumer.context().0.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = std::mem::take(&mut *waiting);
        if changes.iter().any(|change| matches!(change, Change::Gained(_))) {
            self.settled.set(true);
        }
        changes
    }

    /// Whether the group has told the member for the first time what is its own.
    pub(super) fn is_settled(&self) -> bool {
        self.settled.get()
    }

    /// Begins to read gained partitions, each from its offset. Ends the rebalance, also when there are none.
    pub(super) fn take(&self, partitions: &[(u32, Offset)]) -> Result<()> {
        let list = self.list(partitions)?;
        self.consumer
            .incremental_assign(&list)
            .map_err(|error| explain("cannot take partitions over", &error))
    }

    /// Partitions of the topic with offsets.
    pub(super) fn list(&self, partitions: &[(u32, Offset)]) -> Result<TopicPartitionList> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for (partition, offset) in partitions {
            list.add_partition_offset(&self.topic, *partition as i32, *offset)
                .map_err(|error| explain("cannot name a position", &error))?;
        }
        Ok(list)
    }

    /// The next message, or `None` after `wait` or when something else happened.
    pub(super) fn poll(&self, wait: Duration) -> Result<Option<BorrowedMessage<'_>>> {
        match self.consumer.poll(wait) {
            None => Ok(None),
            Some(Ok(message)) => Ok(Some(message)),
            Some(Err(KafkaError::PartitionEOF(_))) => Ok(None),
            Some(Err(error)) => match explain(&format!("cannot read `{}`", self.topic), &error) {
                _ if code(&error) == Some(Code::AutoOffsetReset) => Err(Error::Position(format!(
                    "a position of the group `{}` lies outside of `{}`: records were deleted before they were read, or \
                     the topic was made anew",
                    self.group, self.topic
                ))),
                Error::Retry(why) if !matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
                    // librdkafka reconnects by itself.
                    tracing::debug!(group = self.group, "{why}");
                    Ok(None)
                }
                Error::Retry(why) => Err(Error::Fenced(why)),
                other => Err(other),
            },
        }
    }
}
