//! Becoming the one producer of a transactional id.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::util::Timeout;

use super::client::Connection;
use super::transaction::{Deliveries, PAUSE, Transactions};
use super::trouble::explain;
use crate::Result;

/// Longest wait until the cluster knows the transactional id.
const INIT: Duration = Duration::from_secs(20);
/// After so long it is looked at why there is no answer yet; a start waits for it.
const FIRST_LOOK: Duration = Duration::from_millis(100);

impl Transactions {
    /// Announces `id`: whoever had it before is fenced, and what it left open is aborted.
    ///
    /// # Errors
    /// [`Error::Refused`] when only a person can mend it, [`Error::Retry`] when the cluster cannot be reached.
    pub(super) fn open(connection: &Connection, id: &str) -> Result<Transactions> {
        Transactions::announce(connection, id, true)
    }

    /// As [`Transactions::open`], for many records: commits do not tell their time.
    ///
    /// # Errors
    /// As for [`Transactions::open`].
    pub(super) fn open_for_many(connection: &Connection, id: &str) -> Result<Transactions> {
        Transactions::announce(connection, id, false)
    }

    fn announce(connection: &Connection, id: &str, told: bool) -> Result<Transactions> {
        let doing = format!("cannot begin to write as `{id}`");
        let client = || -> Result<BaseProducer<Deliveries>> {
            let client = connection.producer(id, told).create_with_context(Deliveries::default());
            client.map_err(|error| explain(&doing, &error))
        };
        let mut producer = client()?;
        let end = Instant::now() + INIT;
        loop {
            let begun = producer.init_transactions(Timeout::After(FIRST_LOOK));
            let ear = &producer.context().ear;
            // The reasons wait in the client's queue.
            producer.poll(Duration::ZERO);
            match begun {
                Ok(()) => {
                    ear.clear();
                    return Ok(Transactions::of(producer));
                }
                Err(KafkaError::Transaction(error))
                    if error.is_retriable() && ear.refused().is_none() && Instant::now() < end =>
                {
                    producer.poll(Duration::ZERO);
                    std::thread::sleep(PAUSE);
                    if error.code() == Code::ConcurrentTransactions {
                        // What was left open is being given up, which takes some milliseconds. This client would ask
                        // again after half a second, and fence whoever has asked meanwhile: it goes first.
                        drop(producer);
                        producer = client()?;
                    }
                }
                Err(error) => return Err(ear.explain(&doing, &error)),
            }
        }
    }
}
