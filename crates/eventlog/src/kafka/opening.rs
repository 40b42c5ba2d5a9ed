//! Becoming the one producer of a transactional id.

use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::util::Timeout;

use super::client::Connection;
use super::transaction::{Deliveries, PAUSE, Transactions};
use super::trouble::explain;
use crate::Result;

/// Longest wait until the cluster knows the transactional id.
const INIT: Duration = Duration::from_secs(20);
/// After so long it is looked at why there is no answer yet, and asked again: as long as something is being given up that
/// was left open, the answer is no, and by itself the client asks again after half a second.
const LOOK: Duration = Duration::from_millis(100);

/// A producer that announces itself. What an earlier one of its name left open may take its time.
pub(super) struct Opening {
    producer: BaseProducer<Deliveries>,
    doing: String,
    end: Instant,
    opened: bool,
}

impl Opening {
    /// Announces `id`, for many records if not `told`: then commits do not tell their time.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused) when only a person can mend it.
    pub(super) fn begin(connection: &Connection, id: &str, told: bool) -> Result<Opening> {
        let doing = format!("cannot begin to write as `{id}`");
        let producer = connection.producer(id, told).create_with_context(Deliveries::default());
        let producer = producer.map_err(|error| explain(&doing, &error))?;
        let mut opening = Opening { producer, doing, end: Instant::now() + INIT, opened: false };
        opening.look()?;
        Ok(opening)
    }

    /// Waits for an answer, not for long.
    fn look(&mut self) -> Result<()> {
        let begun = self.producer.init_transactions(Timeout::After(LOOK));
        let ear = &self.producer.context().ear;
        // The reasons wait in the client's queue.
        self.producer.poll(Duration::ZERO);
        match begun {
            Ok(()) => {
                ear.clear();
                self.opened = true;
                Ok(())
            }
            Err(KafkaError::Transaction(error))
                if error.is_retriable() && ear.refused().is_none() && Instant::now() < self.end =>
            {
                Ok(())
            }
            Err(error) => Err(ear.explain(&self.doing, &error)),
        }
    }

    /// Whoever had the id before is fenced, and what it left open is aborted.
    ///
    /// # Errors
    /// [`Error::Refused`](crate::Error::Refused) when only a person can mend it, [`Error::Retry`](crate::Error::Retry)
    /// when the cluster cannot be reached.
    pub(super) fn finish(mut self) -> Result<Transactions> {
        while !self.opened {
            self.producer.poll(Duration::ZERO);
            std::thread::sleep(PAUSE);
            self.look()?;
        }
        Ok(Transactions::of(self.producer))
    }
}

impl Transactions {
    /// Announces `id`: whoever had it before is fenced, and what it left open is aborted.
    ///
    /// # Errors
    /// As for [`Opening::finish`].
    pub(super) fn open(connection: &Connection, id: &str) -> Result<Transactions> {
        Opening::begin(connection, id, true)?.finish()
    }

    /// As [`Transactions::open`], for many records: commits do not tell their time.
    ///
    /// # Errors
    /// As for [`Opening::finish`].
    pub(super) fn open_for_many(connection: &Connection, id: &str) -> Result<Transactions> {
        Opening::begin(connection, id, false)?.finish()
    }
}
