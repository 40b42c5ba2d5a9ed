//! Whether the raw topic is still the one that its life was minted for.
//!
//! A topic that is deleted and made again under its name is another one, in which positions of the first mean nothing. The
//! one that `setup` makes gets another life. One that another tool makes is told apart by the id that the cluster gives every
//! topic; the mark keeps it beside the life, and whoever gets partitions asks for it. Nobody else notices: librdkafka (2.12)
//! goes on in the new topic at the offset that it had in the old one, if there is such an offset.

use std::thread;
use std::time::{Duration, Instant};

use super::asker::Asker;
use super::log::Shared;
use crate::{Error, Result, Topic};

/// Brokers hear of a new topic one after the other: an answer that may be one of yesterday is asked for again for so long.
const HEARD: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(100);
/// How often whoever is at work looks.
const EVERY: Duration = Duration::from_secs(60);

/// The id of a topic that exists, `None` when the cluster does not tell it. An answer that is `doubtful` counts when it
/// stays.
pub(super) fn id_of(asker: &Asker, topic: &str, doubtful: impl Fn(&str) -> bool) -> Result<Option<String>> {
    let end = Instant::now() + HEARD;
    loop {
        let told = asker.topic_id(topic)?;
        if !told.as_deref().is_some_and(&doubtful) || Instant::now() > end {
            return Ok(told);
        }
        thread::sleep(AGAIN);
    }
}

/// The id of a topic if it is not the one that is `known`; of one of which none is known (it is empty) nothing is said.
pub(super) fn another(asker: &Asker, topic: &str, known: &str) -> Result<Option<String>> {
    if known.is_empty() {
        return Ok(None);
    }
    Ok(id_of(asker, topic, |told| told != known)?.filter(|told| told != known))
}

/// Refuses a topic that is not the one that is `known`, as [`another`] tells it.
///
/// # Errors
/// [`Error::Position`] when it is another one; else as for [`Asker::topic`].
pub(super) fn check(asker: &Asker, topic: &str, known: &str) -> Result<()> {
    match another(asker, topic, known)? {
        None => Ok(()),
        Some(told) => Err(Error::Position(format!(
            "`{topic}` is another topic than before: it was deleted and made anew (its id was {known}, now it is {told}); \
             run `pricemonitor setup`, which gives it a life of its own"
        ))),
    }
}

/// Has whoever is at work (who reads, and who appends) look now and then whether the raw topic is made anew under it.
#[derive(Debug)]
pub(super) struct Watch {
    looked: Instant,
}

impl Watch {
    /// For somebody who has just asked.
    pub(super) fn new() -> Watch {
        Watch { looked: Instant::now() }
    }

    /// To be called often; it costs a question to the cluster a minute. A cluster that does not answer is another trouble,
    /// and told elsewhere.
    ///
    /// # Errors
    /// [`Error::Position`] when the raw topic is another one than the log was opened with.
    pub(super) fn look(&mut self, log: &Shared) -> Result<()> {
        if log.raw_id.is_empty() || self.looked.elapsed() < EVERY {
            return Ok(());
        }
        self.looked = Instant::now();
        let told = log.asker.topic_id_at_once(log.name(Topic::Raw));
        if told.is_none_or(|told| told == log.raw_id) {
            return Ok(());
        }
        match log.check_life() {
            Err(Error::Retry(_)) => Ok(()),
            told => told,
        }
    }
}
