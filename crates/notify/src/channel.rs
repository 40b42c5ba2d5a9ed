//! What every channel does.

use std::time::Duration;

use pricemonitor_model::{Alert, Time};

/// A way to tell people.
///
/// A channel tries once and says exactly what came of it; the alert worker's outbox decides what
/// happens next (retry with back-off, give up, switch off).
#[async_trait::async_trait]
pub trait Channel: Send + Sync {
    /// Name in the manifest.
    fn name(&self) -> &str;

    /// Longest time that [`Channel::send`] takes. Whoever sends must keep the channel to itself for as long.
    fn patience(&self) -> Duration;

    /// How many of `alerts` (never empty), from the first, one message holds. At least 1.
    fn fits(&self, alerts: &[Alert<'static>]) -> usize;

    /// Sends the first alerts of `alerts` (never empty) as one message, as many as fit.
    /// `at` is the time of the attempt.
    async fn send(&self, alerts: &[Alert<'static>], at: Time) -> Sent;

    /// What one message would look like, without sending it and with secrets left out
    /// (`test-alert --dry-run`).
    fn preview(&self, alerts: &[Alert<'static>]) -> String;
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// How many alerts, from the first, the message held. At least 1.
    pub taken: usize,
    /// What came of it.
    pub outcome: Outcome,
    /// The channel wants to be left alone for so long before the next message (rate limit), even
    /// after a success.
    pub pause: Option<Duration>,
    /// The pause holds for every webhook of this kind in the process (Discord's `global`).
    pub pause_all: bool,
}

/// The fate of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It arrived.
    Delivered {
        /// The channel's id of the message, where it gives one.
        message_id: Option<String>,
    },
    /// It did not arrive; another attempt may succeed.
    Retry {
        /// Why, for people, without secrets.
        reason: String,
    },
    /// It was sent, and no answer came: it may have arrived. Another attempt may repeat it.
    Ambiguous {
        /// Why, for people, without secrets.
        reason: String,
    },
    /// The channel refuses this message for good; the next one may do.
    Refused {
        /// Why, with the answer's body, for people, without secrets.
        reason: String,
    },
    /// The channel does not exist any more: stop using it.
    Gone {
        /// Why, for people, without secrets.
        reason: String,
    },
}
