//! Collecting a batch.

use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;

use super::membership::Membership;
use super::native::{Message, Messages};
use crate::Result;

/// How long messages are waited for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    /// For so long, however many come: large batches cost less.
    Whole(Duration),
    /// For so long for the first; it ends the wait, with what was fetched with it.
    First(Duration),
    /// For so long for the first, then until as much time has passed since the batch before was complete: batches come
    /// no more often than that, and one after a pause does not wait. If the batch before has taken longer, still for a
    /// while, because the client reads ahead of it only a little; and under backlog for the whole time: there, large
    /// batches are what helps.
    Paced(Instant, Duration),
}

/// What came at the same moment in several partitions is fetched one after the other.
const GATHERING: Duration = Duration::from_millis(5);
/// This part of a whole batch that waits to be read is a backlog.
const BACKLOG: usize = 4;

impl Membership {
    /// Collects messages, up to `most`, for as long as `wait` says; hears before what happened to the group and to the
    /// connection. `owned` are the partitions that are read.
    ///
    /// # Errors
    /// [`Error::Retry`]: some messages came where nobody reads them; read again from where partitions stand.
    pub(super) fn collect<'m>(
        &'m self,
        messages: &mut Messages<'m>,
        most: usize,
        wait: Wait,
        owned: impl IntoIterator<Item = u32>,
    ) -> Result<()> {
        self.events(Duration::ZERO)?;
        messages.clear();
        match wait {
            Wait::Whole(wait) => self.reader.read(messages, most, wait),
            Wait::First(wait) => {
                self.reader.read(messages, 1, wait);
                self.reader.read(messages, most.saturating_sub(messages.len()), Duration::ZERO);
            }
            Wait::Paced(before, wait) => {
                let since = before.elapsed();
                self.reader.read(messages, 1, wait);
                if messages.len() > 0 && most > 1 {
                    self.reader.read(messages, most - messages.len(), Duration::ZERO);
                    let left = if messages.len() >= most / BACKLOG {
                        wait
                    } else {
                        wait.saturating_sub(before.elapsed()).max(since.min(wait) / 4).max(GATHERING)
                    };
                    self.reader.read(messages, most.saturating_sub(messages.len()), left);
                }
            }
        }
        if messages.len() == 0 {
            self.redirect(owned);
        }
        let mut faults = messages.iter().filter_map(Message::fault).map(KafkaError::MessageConsumption);
        faults.try_for_each(|fault| self.failed(&fault))
    }
}
