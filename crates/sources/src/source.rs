//! What every source does.

use std::time::Duration;

use pricemonitor_model::{Observation, Time};

/// A place that shows prices.
///
/// A source remembers nothing that matters: what it needs from poll to poll (hash, ETag, step,
/// slots that may still change) is the checkpoint, which the producer appends in one transaction
/// with the observations and hands back at the next poll. A poll whose append failed is simply
/// polled again with the old checkpoint.
#[async_trait::async_trait]
pub trait Source: Send {
    /// Looks once. `at` is the time of the look (`observed_at` of what it shows, unless the source
    /// tells a better one), `checkpoint` the last one that was committed.
    ///
    /// # Errors
    /// [`SourceError`]; the checkpoint then stays, and the next look tries again.
    async fn poll(&mut self, at: Time, checkpoint: Option<&[u8]>) -> Result<Poll, SourceError>;
}

/// What a look brought.
#[derive(Clone, Debug, PartialEq)]
pub enum Poll {
    /// Prices and a new checkpoint. `observations` may be empty when only the checkpoint moved.
    Snapshot(Snapshot),
    /// The source says (or its content hash shows) that nothing changed.
    Unchanged,
}

/// Prices that were read in one look.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// In the order (item, slot start).
    pub observations: Vec<Observation<'static>>,
    /// Whether these are all that the source has.
    pub complete: bool,
    /// To be handed back at the next look.
    pub checkpoint: Vec<u8>,
}

/// A look failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// A word for metrics: `missing`, `unreadable`, `malformed`, `too_large`, `timeout`, `network`,
    /// `status`, `rate_limited`, `refused`.
    pub reason: &'static str,
    /// One sentence for people that names the thing and the remedy.
    pub message: String,
    /// The source asked to be left alone for so long.
    pub retry_after: Option<Duration>,
}

impl SourceError {
    /// An error without a wish to be left alone. `reason` is one of the words of
    /// [`SourceError::reason`].
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        SourceError { reason, message: message.into(), retry_after: None }
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new("malformed", message)
    }

    pub(crate) fn too_large(what: &str, max_size: u64) -> Self {
        Self::new(
            "too_large",
            format!("{what} is larger than {max_size} bytes: raise `maxSize` if that is right"),
        )
    }
}
