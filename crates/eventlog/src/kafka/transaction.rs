//! Transactions, with what librdkafka asks of those who use them.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pricemonitor_model::Time;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, PurgeConfig};
use rdkafka::util::Timeout;
use rdkafka::{ClientContext, TopicPartitionList};

use super::client::Connection;
use super::trouble::explain;
use crate::{Error, LARGEST, Result};

/// Longest wait for the answers to what was sent; the broker gives a transaction up after six seconds.
const ANSWERS: Duration = Duration::from_secs(10);
/// Longest wait until the cluster knows the transactional id.
const INIT: Duration = Duration::from_secs(20);

/// What the cluster said of the records of the transaction.
#[derive(Default)]
struct Reports {
    failed: Option<KafkaError>,
    latest: Option<i64>,
}

/// Hears of deliveries.
#[derive(Default)]
struct Deliveries(Mutex<Reports>);

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("{error}: {reason}");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(message) => reports.latest = reports.latest.max(message.timestamp().to_millis()),
            Err((error, _)) => {
                reports.failed.get_or_insert_with(|| error.clone());
            }
        }
    }
}

/// One producer of transactions, for one thread.
pub(super) struct Transactions {
    producer: BaseProducer<Deliveries>,
    /// A transaction was begun and neither committed nor given up.
    open: Cell<bool>,
}

impl Transactions {
    /// Announces `id`: whoever had it before is fenced, and what it left open is aborted.
    pub(super) fn open(connection: &Connection, id: &str) -> Result<Transactions> {
        let doing = format!("cannot begin to write as `{id}`");
        let producer: BaseProducer<Deliveries> = connection
            .producer(id)
            .create_with_context(Deliveries::default())
            .map_err(|error| explain(&doing, &error))?;
        let end = Instant::now() + INIT;
        loop {
            match producer.init_transactions(Timeout::After(Duration::from_secs(5))) {
                Ok(()) => return Ok(Transactions { producer, open: Cell::new(false) }),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < end => {}
                Err(error) => return Err(explain(&doing, &error)),
            }
        }
    }

    /// Begins a transaction, after the one before is given up if that is still to be done.
    pub(super) fn begin(&self) -> Result<()> {
        self.give_up()?;
        *self.reports() = Reports::default();
        self.producer.begin_transaction().map_err(|error| explain("cannot begin a transaction", &error))?;
        self.open.set(true);
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
        let size = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        if size > LARGEST {
            return Err(Error::TooLarge(format!(
                "a record of {size} bytes is too large for `{topic}`: at most {LARGEST} are possible"
            )));
        }
        let end = Instant::now() + ANSWERS;
        loop {
            let mut record = BaseRecord::<[u8], [u8], ()>::to(topic);
            record.partition = partition.map(|partition| partition as i32);
            (record.key, record.payload) = (key, value);
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::QueueFull), _)) if Instant::now() < end => {
                    self.producer.poll(Duration::from_millis(5));
                }
                Err((error, _)) => return Err(explain(&format!("cannot write to `{topic}`"), &error)),
            }
        }
    }

    /// Commits the transaction together with the group's offsets. Tells the latest time that the cluster gave one of
    /// its records.
    ///
    /// # Errors
    /// The transaction is aborted and nothing happened; after [`Error::Ambiguous`] that is not known.
    pub(super) fn commit(
        &self,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> Result<Option<Time>> {
        // A record that was refused is told as that, not as what comes of it.
        if let Err(error) = self.answers().and_then(|()| self.offsets(offsets, group)) {
            self.abort();
            return Err(error);
        }
        self.commit_alone()
    }

    /// As [`Transactions::commit`], outside of any group.
    pub(super) fn commit_alone(&self) -> Result<Option<Time>> {
        if let Err(error) = self.answers() {
            self.abort();
            return Err(error);
        }
        loop {
            match self.producer.commit_transaction(Timeout::Never) {
                Ok(()) => {
                    self.open.set(false);
                    return Ok(self.reports().latest.map(Time::from_millis));
                }
                Err(KafkaError::Transaction(error)) if error.is_retriable() => {}
                Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                    self.abort();
                    return Err(explain("the transaction was refused", &KafkaError::Transaction(error)));
                }
                Err(error) => return Err(explain("the transaction was not confirmed", &error)),
            }
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
                self.producer.poll(Duration::from_millis(1));
            }
            match self.producer.abort_transaction(Timeout::After(Duration::from_millis(500))) {
                Ok(()) => {
                    self.open.set(false);
                    return Ok(());
                }
                Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < end => {}
                Err(error) => return Err(explain("cannot give a transaction up", &error)),
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
            self.producer.poll(Duration::from_millis(1));
        }
        match self.reports().failed.take() {
            // The client takes what any topic of ours takes; whoever made this one smaller can change it.
            Some(KafkaError::MessageProduction(Code::MessageSizeTooLarge)) => Err(Error::Retry(
                "a batch of records is too large for the topic: raise its max.message.bytes".to_owned(),
            )),
            // What a member that was fenced still had to send is thrown away; the reason stands elsewhere.
            Some(error) => Err(match self.producer.client().fatal_error() {
                Some((code, _)) => explain("this producer is at its end", &KafkaError::Global(code)),
                None => explain("a record was not taken", &error),
            }),
            None => Ok(()),
        }
    }

    fn offsets(&self, offsets: &TopicPartitionList, group: &ConsumerGroupMetadata) -> Result<()> {
        let end = Instant::now() + ANSWERS;
        loop {
            match self.producer.send_offsets_to_transaction(offsets, group, Timeout::After(ANSWERS)) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < end => {}
                Err(error) => return Err(explain("the group's position was refused", &error)),
            }
        }
    }

    fn reports(&self) -> std::sync::MutexGuard<'_, Reports> {
        self.producer.context().0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
