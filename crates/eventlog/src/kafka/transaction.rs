//! Transactions, with what librdkafka asks of those who use them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pricemonitor_model::Time;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, PurgeConfig};
use rdkafka::util::Timeout;
use rdkafka::{ClientContext, TopicPartitionList};

use super::ear::Ear;
use super::hanging;
use super::log::Shared;
use super::native::{Entry, Topic};
use super::trouble::explain;
use crate::{Error, LARGEST, Result};

/// Longest wait for the answers to what was sent; the broker gives a transaction up after six seconds.
const ANSWERS: Duration = Duration::from_secs(10);
/// Longest wait for the word that a transaction is committed. A cluster that comes back later has given it up or
/// knows that it is committed; the state says which.
const CONFIRM: Duration = Duration::from_secs(15);
/// After so long it is looked at why there is no answer yet.
const SLICE: Duration = Duration::from_millis(500);
/// Pause before the same call again: some refusals come at once, and asking without a pause would cost a core.
pub(super) const PAUSE: Duration = Duration::from_millis(20);
/// Nap between two looks whether everything was answered. Not a poll of that length: below its last millisecond the
/// client's wait asks the clock in a circle, which took two fifths of the processor's time.
const NAP: Duration = Duration::from_micros(250);
/// How long after the word that a transaction is committed the first record of the next one is sent. The coordinator
/// still writes marks then; as long as it does, it refuses the partitions of the next transaction, and librdkafka asks
/// again after 20 ms. Measured with small transactions one after the other: 24 ms each without this, 15 ms with it.
const REST: Duration = Duration::from_millis(4);

/// What the cluster said of the records of the transaction.
#[derive(Default)]
struct Reports {
    failed: Option<KafkaError>,
    latest: Option<i64>,
}

/// Hears of deliveries.
#[derive(Default)]
pub(super) struct Deliveries {
    reports: Mutex<Reports>,
    pub(super) ear: Ear,
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        self.ear.hear(&error, reason);
    }

    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.ear.read(facility, message);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(message) => reports.latest = reports.latest.max(message.timestamp().to_millis()),
            Err((error, _)) => {
                reports.failed.get_or_insert_with(|| error.clone());
            }
        }
    }
}

/// Whether the log takes a record.
///
/// # Errors
/// [`Error::TooLarge`], with its size.
pub(super) fn fits(topic: &str, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<()> {
    let size = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
    if size > LARGEST {
        return Err(Error::TooLarge(format!(
            "a record of {size} bytes is too large for `{topic}`: at most {LARGEST} are possible"
        )));
    }
    Ok(())
}

/// One producer of transactions, for one thread.
pub(super) struct Transactions {
    // First: they go before the producer that they are of.
    topics: RefCell<HashMap<String, Topic>>,
    producer: BaseProducer<Deliveries>,
    /// A transaction was begun and neither committed nor given up.
    open: Cell<bool>,
    /// The one before was not committed in order, and nobody has seen its end in the partitions.
    unclean: Cell<bool>,
    /// When the one before was committed, until something of the next one is sent.
    committed: Cell<Option<Instant>>,
}

impl Transactions {
    /// Of a producer that the cluster knows by its transactional id.
    pub(super) fn of(producer: BaseProducer<Deliveries>) -> Transactions {
        Transactions {
            topics: RefCell::default(),
            producer,
            open: Cell::new(false),
            unclean: Cell::new(true),
            committed: Cell::new(None),
        }
    }

    /// As [`Transactions::begin`]. Unless this producer has committed the one before, whatever is open in `topics` is
    /// waited for: it may be that one; see [`hanging`].
    pub(super) fn begin_after_all(&self, log: &Shared, topics: &[crate::Topic]) -> Result<()> {
        self.give_up()?;
        if self.unclean.get() {
            hanging::wait_for_ends(log, topics)?;
        }
        self.begin()
    }

    /// Begins a transaction, after the one before is given up if that is still to be done.
    pub(super) fn begin(&self) -> Result<()> {
        self.give_up()?;
        // What became of the records of the one before may still wait to be told, and is not about this one.
        let end = Instant::now() + ANSWERS;
        while self.producer.in_flight_count() > 0 && Instant::now() < end {
            self.wait(NAP);
        }
        self.producer.poll(Duration::ZERO);
        *self.reports() = Reports::default();
        self.producer.begin_transaction().map_err(|error| self.told("cannot begin a transaction", &error))?;
        self.open.set(true);
        self.unclean.set(true);
        Ok(())
    }

    /// Adds a record; `None` lets the key decide the partition.
    pub(super) fn send(
        &self,
        topic: &str,
        partition: Option<u32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<()> {
        fits(topic, key, value)?;
        self.rest();
        let end = Instant::now() + ANSWERS;
        loop {
            let mut record = BaseRecord::<[u8], [u8], ()>::to(topic);
            record.partition = partition.map(|partition| partition as i32);
            (record.key, record.payload) = (key, value);
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::QueueFull), _)) if Instant::now() < end => {
                    self.wait(NAP);
                }
                Err((error, _)) => return Err(self.told(&format!("cannot write to `{topic}`"), &error)),
            }
        }
    }

    /// Adds many records of one topic, in their order.
    pub(super) fn send_all(&self, topic: &str, records: &[Entry<'_>]) -> Result<()> {
        let doing = format!("cannot write to `{topic}`");
        records.iter().try_for_each(|(_, key, value)| fits(topic, *key, *value))?;
        self.rest();
        let mut topics = self.topics.borrow_mut();
        if !topics.contains_key(topic) {
            let handle = Topic::new(&self.producer, topic)
                .ok_or_else(|| Error::Retry(format!("{doing}: the client has no room for the topic")))?;
            topics.insert(topic.to_owned(), handle);
        }
        let Some(handle) = topics.get_mut(topic) else { return Ok(()) };
        let end = Instant::now() + ANSWERS;
        for mut left in records.chunk_by(|(one, _, _), (other, _, _)| one == other) {
            while !left.is_empty() {
                let (taken, why) = handle.send(left);
                left = &left[taken..];
                match why {
                    None => {}
                    // What is full gets empty while it is waited for.
                    Some(Code::QueueFull) if Instant::now() < end => self.wait(NAP),
                    Some(code) => return Err(self.told(&doing, &KafkaError::MessageProduction(code))),
                }
            }
        }
        Ok(())
    }

    /// Commits the transaction together with the group's offsets. Tells the latest time that the cluster gave one of
    /// its records.
    ///
    /// # Errors
    /// The transaction is aborted and nothing happened; after [`Error::Ambiguous`], which is every error from the moment
    /// when the word to commit was given, that is not known, and after it or [`Error::Fenced`] these transactions are
    /// of no use any more: open them anew.
    pub(super) fn commit(
        &self,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> Result<Option<Time>> {
        // A record that was refused is told as that, not as what comes of it. And the positions are told after the
        // records are taken: a coordinator that is not done with the transaction before refuses them, and then
        // librdkafka asks again after 100 ms.
        let begun = Instant::now();
        let taken =
            self.answers().inspect(|()| tracing::trace!("records taken after {:.1?}", begun.elapsed()));
        if let Err(error) = taken.and_then(|()| self.offsets(offsets, group)) {
            self.abort();
            return Err(error);
        }
        tracing::trace!("positions taken after {:.1?}", begun.elapsed());
        let committed = self.commit_alone();
        tracing::trace!("committed after {:.1?}", begun.elapsed());
        committed
    }

    /// As [`Transactions::commit`], outside of any group.
    pub(super) fn commit_alone(&self) -> Result<Option<Time>> {
        if let Err(error) = self.answers() {
            self.abort();
            return Err(error);
        }
        let end = Instant::now() + CONFIRM;
        loop {
            // What was begun goes on inside of the library; the same call again only waits for it.
            let error = match self.producer.commit_transaction(Timeout::After(SLICE)) {
                Ok(()) => {
                    self.open.set(false);
                    self.unclean.set(false);
                    self.committed.set(Some(Instant::now()));
                    return Ok(self.reports().latest.map(Time::from_millis));
                }
                Err(error) => error,
            };
            if matches!(&error, KafkaError::Transaction(why) if why.is_retriable()) && Instant::now() < end {
                self.wait(PAUSE);
                continue;
            }
            // Also when the library says that it can be aborted: it gives up by its own clock, while the word to commit
            // may have reached the cluster. And its abort then succeeds, because it is no more than a new epoch.
            self.producer.poll(Duration::ZERO);
            let told = self.producer.context().ear.explain("the transaction was not confirmed", &error);
            return Err(Error::Ambiguous(told.to_string()));
        }
    }

    /// Gives the transaction up, if one is open. What goes wrong here is told when the next one begins; the cluster
    /// gives it up by itself when its time is over.
    pub(super) fn abort(&self) {
        if let Err(error) = self.give_up() {
            tracing::debug!("a transaction was not given up in order: {error}");
        }
    }

    fn give_up(&self) -> Result<()> {
        if !self.open.get() {
            return Ok(());
        }
        let end = Instant::now() + ANSWERS;
        // librdkafka waits until every record has its answer, and the answers are only given while polling.
        self.producer.purge(PurgeConfig::default().queue().inflight());
        loop {
            while self.producer.in_flight_count() > 0 && Instant::now() < end {
                self.wait(NAP);
            }
            match self.producer.abort_transaction(Timeout::After(Duration::from_millis(500))) {
                Ok(()) => {
                    self.open.set(false);
                    return Ok(());
                }
                Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < end => {
                    self.wait(PAUSE);
                }
                Err(error) => return Err(self.told("cannot give a transaction up", &error)),
            }
        }
    }

    /// Waits until every record is answered. librdkafka's own `flush` would wait for a tenth of a second whenever
    /// something is under way.
    fn answers(&self) -> Result<()> {
        let end = Instant::now() + ANSWERS;
        while self.producer.in_flight_count() > 0 {
            if Instant::now() > end {
                return Err(Error::Retry("the cluster does not answer".to_owned()));
            }
            self.wait(NAP);
        }
        let refused = self.reports().failed.take();
        refused.map_or(Ok(()), |error| Err(self.refused(&error)))
    }

    /// Why a record was not taken.
    fn refused(&self, error: &KafkaError) -> Error {
        match error {
            // The client takes what any topic of ours takes; whoever made this one smaller can change it.
            KafkaError::MessageProduction(Code::MessageSizeTooLarge) => Error::Retry(
                "a batch of records is too large for the topic: raise its max.message.bytes".to_owned(),
            ),
            // Within six seconds, while a cluster that was away is back in two: librdkafka may never again write to a
            // partition that was without a leader when it looked (its issue 5430). Another client does.
            KafkaError::MessageProduction(Code::MessageTimedOut) => {
                Error::Fenced("records were not taken in time".to_owned())
            }
            // What a member that was fenced still had to send is thrown away; the reason stands elsewhere.
            error => self.told("a record was not taken", error),
        }
    }

    fn offsets(&self, offsets: &TopicPartitionList, group: &ConsumerGroupMetadata) -> Result<()> {
        let end = Instant::now() + ANSWERS;
        loop {
            match self.producer.send_offsets_to_transaction(offsets, group, Timeout::After(ANSWERS)) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < end => {
                    self.wait(PAUSE);
                }
                Err(error) => return Err(self.told("the group's position was refused", &error)),
            }
        }
    }

    /// Lets the coordinator come to the end of the transaction before.
    fn rest(&self) {
        if let Some(committed) = self.committed.take() {
            std::thread::sleep(REST.saturating_sub(committed.elapsed()));
        }
    }

    /// Takes what the client has to tell, then lets it work.
    fn wait(&self, pause: Duration) {
        self.producer.poll(Duration::ZERO);
        std::thread::sleep(pause);
    }

    /// What an error means, beside its own words: after a fatal one the producer is of no use any more.
    fn told(&self, doing: &str, error: &KafkaError) -> Error {
        self.producer.poll(Duration::ZERO);
        match self.producer.client().fatal_error() {
            Some((code, _)) => match explain("this producer is at its end", &KafkaError::Global(code)) {
                Error::Retry(why) => Error::Fenced(why),
                other => other,
            },
            None => self.producer.context().ear.explain(doing, error),
        }
    }

    fn reports(&self) -> std::sync::MutexGuard<'_, Reports> {
        self.producer.context().reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
