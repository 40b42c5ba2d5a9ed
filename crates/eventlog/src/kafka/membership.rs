//! Being a member of a consumer group.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::client::{Connection, Fetch};
use super::ear::Ear;
use super::native::Reader;
use super::trouble::{code, explain};
use crate::{Error, Member, Result};

/// Longest wait until partitions are read from elsewhere. No broker is asked.
const SEEK: Duration = Duration::from_secs(10);
/// How often it is looked whether brokers that were away are back.
const LOOK: Duration = Duration::from_secs(1);
/// How long a member at its end hears what happened before.
const SETTLE: Duration = Duration::from_millis(100);

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
pub(super) struct Changes {
    waiting: Mutex<Vec<Change>>,
    /// A gain was told that is not answered yet. librdkafka closes no consumer before it is.
    owing: AtomicBool,
    /// Nobody listens any more.
    closing: AtomicBool,
    ear: Ear,
    /// When the first position was told that nobody has answered yet.
    asked: Mutex<Option<Instant>>,
}

impl Changes {
    fn asked(&self) -> MutexGuard<'_, Option<Instant>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers a gain of partitions that will not be read.
fn decline(consumer: &BaseConsumer<Changes>) {
    if let Err(error) = consumer.incremental_assign(&TopicPartitionList::new()) {
        tracing::warn!("partitions were not declined in order: {error}");
    }
}

impl ClientContext for Changes {
    fn error(&self, error: KafkaError, reason: &str) {
        self.ear.hear(&error, reason);
    }

    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.ear.read(facility, message);
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
            if self.closing.load(Ordering::Relaxed) {
                return decline(consumer);
            }
            self.owing.store(true, Ordering::Relaxed);
            Change::Gained(partitions)
        } else {
            if let Err(error) = consumer.incremental_unassign(list) {
                tracing::warn!("partitions were not given up in order: {error}");
            }
            Change::Lost(partitions)
        };
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(change);
    }

    fn commit_callback(&self, told: KafkaResult<()>, _: &TopicPartitionList) {
        if let (Some(asked), Ok(())) = (self.asked().take(), told) {
            self.ear.proved(asked);
        }
    }
}

/// A member with its consumer. Dropping it closes the consumer; its partitions stay its own until the
/// session ends, so that a restart has them back at once.
pub(super) struct Membership {
    pub(super) reader: Reader<Changes>,
    pub(super) group: String,
    topic: String,
    settled: Cell<bool>,
    /// When it was last looked whether brokers that were away are back.
    looked: Cell<Option<Instant>>,
}

impl Membership {
    /// Joins `member` to its group, to share the partitions of `topic`, which it fetches as `fetch` says.
    pub(super) fn join(
        connection: &Connection,
        group: &str,
        member: &Member,
        topic: &str,
        fetch: Fetch,
    ) -> Result<Membership> {
        let doing = format!("cannot join the group `{group}`");
        let consumer: BaseConsumer<Changes> = connection
            .member(group, &member.instance, fetch)
            .create_with_context(Changes::default())
            .map_err(|error| explain(&doing, &error))?;
        consumer.subscribe(&[topic]).map_err(|error| explain(&doing, &error))?;
        let reader = Reader::new(consumer)
            .ok_or_else(|| Error::Retry(format!("{doing}: the client has no room for a queue")))?;
        Ok(Membership {
            reader,
            group: group.to_owned(),
            topic: topic.to_owned(),
            settled: Cell::new(false),
            looked: Cell::new(None),
        })
    }

    /// The consumer, for everything but reading.
    pub(super) fn consumer(&self) -> &BaseConsumer<Changes> {
        self.reader.consumer()
    }

    /// Why no broker can be reached now, if so. Looks once in a while whether that has changed: librdkafka tells
    /// when the last broker goes, not when the first is back.
    pub(super) fn unreachable(&self) -> Option<String> {
        let ear = &self.consumer().context().ear;
        ear.unreachable()?;
        if self.looked.get().is_none_or(|looked| looked.elapsed() > LOOK) {
            self.looked.set(Some(Instant::now()));
            if self.consumer().fetch_metadata(Some(&self.topic), LOOK / 4).is_ok() {
                ear.clear();
            }
        }
        ear.unreachable()
    }

    /// What changed since the last call.
    pub(super) fn changes(&self) -> Vec<Change> {
        let mut waiting = self.consumer().context().waiting.lock().unwrap_or_else(PoisonError::into_inner);
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
        self.redirect(partitions.iter().map(|(partition, _)| *partition));
        let taken = self.consumer().incremental_assign(&list);
        taken.map_err(|error| explain("cannot take partitions over", &error))?;
        self.consumer().context().owing.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Tells the group where the member stands, for tools that show lag; nothing else goes by it.
    pub(super) fn tell(&self, positions: &[(u32, Offset)]) -> Result<()> {
        if positions.is_empty() {
            return Ok(());
        }
        self.consumer().context().asked().get_or_insert_with(Instant::now);
        if let Err(error) = self.consumer().commit(&self.list(positions)?, CommitMode::Async) {
            tracing::debug!(group = self.group, "a position was not told to the cluster: {error}");
        }
        Ok(())
    }

    /// Reads again from these positions; whatever was read already of these partitions is void.
    pub(super) fn seek(&self, positions: &[(u32, Offset)]) -> Result<()> {
        if positions.is_empty() {
            return Ok(());
        }
        let sought = self.consumer().seek_partitions(self.list(positions)?, SEEK);
        let sought = sought.map_err(|error| explain("cannot read again", &error))?;
        match sought.elements().iter().find_map(|element| element.error().err()) {
            Some(error) => Err(Error::Retry(format!("cannot read again: {error}"))),
            None => Ok(()),
        }
    }

    /// Reads nothing more of these partitions; what is under way still comes.
    pub(super) fn pause(&self, partitions: &[u32]) -> Result<()> {
        if partitions.is_empty() {
            return Ok(());
        }
        let list = self.unplaced(partitions)?;
        self.consumer().pause(&list).map_err(|error| explain("cannot pause", &error))
    }

    /// Reads partitions again that were [paused](Membership::pause).
    pub(super) fn resume(&self, partitions: &[u32]) -> Result<()> {
        let list = self.unplaced(partitions)?;
        self.consumer().resume(&list).map_err(|error| explain("cannot read on", &error))
    }

    fn unplaced(&self, partitions: &[u32]) -> Result<TopicPartitionList> {
        let unplaced: Vec<_> = partitions.iter().map(|partition| (*partition, Offset::Invalid)).collect();
        self.list(&unplaced)
    }

    /// Whether an end as a member may come from an outage, not from another process: when the answer to a member that
    /// joins again is lost with the broker, the group takes its next word for that of a stranger. Then it joins anew.
    ///
    /// An outage counts until the group has taken this member's word after it: without that, one that was paused and
    /// replaced would take its name back. Only to be asked at such an end: what still waits to be polled is lost.
    pub(super) fn was_cut_off(&self) -> bool {
        // What broke may wait in the client's queue to be told.
        let end = Instant::now() + SETTLE;
        while Instant::now() < end {
            drop(self.consumer().poll(SETTLE / 4));
        }
        self.consumer().context().ear.was_cut_off()
    }

    /// A transaction with this member's positions, begun at `begun`, is committed: the group knows it as its member.
    pub(super) fn committed(&self, begun: Instant) {
        self.consumer().context().ear.proved(begun);
    }

    /// Asks the group whether this member is still the one of its name, by telling where it stands.
    ///
    /// # Errors
    /// [`Error::Fenced`] when another process has this member's place; [`Error::Retry`] when nobody answers.
    pub(super) fn is_mine(&self, positions: &[(u32, Offset)]) -> Result<()> {
        let doing = format!("cannot ask whether `{}` has been replaced", self.group);
        let Err(error) = self.consumer().commit(&self.list(positions)?, CommitMode::Sync) else {
            return Ok(());
        };
        match code(&error) {
            // Others have this member's partitions by now, and polling will tell; its name it still has.
            Some(
                Code::UnknownMemberId | Code::IllegalGeneration | Code::RebalanceInProgress | Code::NoOffset,
            ) => Ok(()),
            // Of a consumer this means one thing, which librdkafka says once to whoever polls, and not again: its name
            // is taken. Whoever waited for a better answer would wait for ever.
            Some(Code::Fatal) => Err(Error::Fenced(format!(
                "{doing}: another process has taken this member's place (is the same --instance used twice?)"
            ))),
            _ => Err(self.consumer().context().ear.explain(&doing, &error)),
        }
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

    /// Has the messages of these partitions come where they are read. What librdkafka changed meanwhile is put right.
    pub(super) fn redirect(&self, partitions: impl IntoIterator<Item = u32>) {
        partitions.into_iter().for_each(|partition| self.reader.redirect(&self.topic, partition));
    }

    /// Hears what happened to the group and to the connection, for as long as `wait`.
    ///
    /// # Errors
    /// As for [`Membership::collect`].
    pub(super) fn events(&self, wait: Duration) -> Result<()> {
        let mut wait = wait;
        loop {
            match self.consumer().poll(wait) {
                None => return Ok(()),
                Some(Ok(_)) => {
                    return Err(Error::Retry(format!("messages of `{}` came out of turn", self.topic)));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) => self.failed(&error)?,
            }
            wait = Duration::ZERO;
        }
    }

    /// What an error that polling came upon means: none for what librdkafka mends by itself.
    pub(super) fn failed(&self, error: &KafkaError) -> Result<()> {
        if code(error) == Some(Code::AutoOffsetReset) {
            return Err(Error::Position(format!(
                "a position of the group `{}` lies outside of `{}`: records were deleted before they were read, or the \
                 topic was made anew",
                self.group, self.topic
            )));
        }
        let told = explain(&format!("cannot read `{}`", self.topic), error);
        let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
        match (told, code(error)) {
            (Error::Retry(why), _) if fatal => Err(Error::Fenced(why)),
            // Who was let in before is perhaps only not let in yet, by a broker that starts.
            (Error::Refused(why), Some(Code::Authentication | Code::SSL)) if self.is_settled() => {
                tracing::warn!(group = self.group, "{why}");
                Ok(())
            }
            (Error::Refused(why), Some(Code::Authentication | Code::SSL)) => {
                match self.consumer().context().ear.refused() {
                    Some(why) => Err(Error::Refused(why)),
                    // It went while this member logged in.
                    None => {
                        tracing::debug!(group = self.group, "{why}");
                        Ok(())
                    }
                }
            }
            (Error::Retry(why), _) => {
                tracing::debug!(group = self.group, "{why}");
                Ok(())
            }
            (other, _) => Err(other),
        }
    }
}

impl Drop for Membership {
    /// The consumer is closed behind this, and polls until that is done: for ever, if a gain that came just before were
    /// left without an answer, or one that comes meanwhile.
    fn drop(&mut self) {
        let changes = self.consumer().context();
        changes.closing.store(true, Ordering::Relaxed);
        if changes.owing.load(Ordering::Relaxed) {
            decline(self.consumer());
        }
    }
}
