//! When to try again, and when to stop trying.

use std::time::Duration;

use pricemonitor_model::{Millis, Time};

use crate::channel::{Outcome, Sent};

/// Ceiling of the first wait; it doubles with every failure in a row.
const FIRST: Millis = 1_000;
/// Highest ceiling.
const CAP: Millis = 5 * 60 * 1_000;
/// Shortest wait after a failure, however the dice fall.
const SHORTEST: Millis = 100;
/// Longest pause that a channel may ask for; a longer one is cut to this.
pub const LONGEST_PAUSE: Millis = 60 * 60 * 1_000;
/// Attempts after which a message is given up. At the cap this is about a day: the channel's
/// `maxAge` normally ends a message long before.
const MAX_ATTEMPTS: u32 = 500;
/// Attempts without an answer in a row after which the message is given up. Each may have arrived,
/// so trying on for hours would be a flood of repeats.
const MAX_AMBIGUOUS: u32 = 10;

/// What to do after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// Nothing is to be sent to the channel before this instant.
    pub at: Time,
    /// The message is not to be tried again. Always set for a message that the channel refused.
    pub give_up: bool,
}

/// The pace of one channel: exponential back-off with full jitter, and the pauses that the channel
/// asks for. Pure: time and chance are handed in.
///
/// # Guarantees
/// - After a success the channel may be used at once, unless it asked for a pause.
/// - After a failure the wait is evenly spread over 0.1 s to a ceiling of 1, 2, 4 ... 300 s, and at
///   least the pause that the channel asked for (cut to one hour).
/// - Every message comes to an end: after 500 attempts, or 10 in a row that may have arrived.
#[derive(Clone, Debug, Default)]
pub struct Pacer {
    /// Attempts in a row that did not arrive for sure.
    failures: u32,
    /// Of these, the last ones that may have arrived.
    ambiguous: u32,
}

impl Pacer {
    /// Learns what came of an attempt and says what is next.
    ///
    /// `attempts` is how often the message was tried before this attempt, as the outbox remembers it
    /// over restarts; `jitter` a random number from 0 to 1.
    pub fn after(&mut self, sent: &Sent, attempts: u32, now: Time, jitter: f64) -> Next {
        let pause = sent.pause.map_or(0, pause);
        match sent.outcome {
            Outcome::Delivered { .. } => self.calm(now, pause, false),
            Outcome::Refused { .. } | Outcome::Gone { .. } => self.calm(now, pause, true),
            Outcome::Retry { .. } => self.failed(false, attempts, now, pause, jitter),
            Outcome::Ambiguous { .. } => self.failed(true, attempts, now, pause, jitter),
        }
    }

    /// The channel answered: it works.
    fn calm(&mut self, now: Time, pause: Millis, give_up: bool) -> Next {
        *self = Pacer::default();
        Next { at: now.plus(pause), give_up }
    }

    fn failed(&mut self, ambiguous: bool, attempts: u32, now: Time, pause: Millis, jitter: f64) -> Next {
        let attempts = attempts.saturating_add(1);
        // The outbox remembers the attempts of the message over a restart; the pacer starts anew.
        self.failures = self.failures.saturating_add(1).max(attempts);
        self.ambiguous = if ambiguous { self.ambiguous + 1 } else { 0 };
        let give_up = attempts >= MAX_ATTEMPTS || self.ambiguous >= MAX_AMBIGUOUS;
        if give_up {
            // The next message has its own attempts; the channel's back-off goes on.
            self.ambiguous = 0;
        }
        Next { at: now.plus(back_off(self.failures, jitter).max(pause)), give_up }
    }
}

/// The wait after so many failures in a row.
fn back_off(failures: u32, jitter: f64) -> Millis {
    let doublings = failures.saturating_sub(1).min(16);
    let ceiling = (FIRST << doublings).min(CAP);
    let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 1.0 };
    ((ceiling as f64 * jitter) as Millis).clamp(SHORTEST, ceiling)
}

/// A pause in whole milliseconds, rounded up so that nobody comes too early.
fn pause(wanted: Duration) -> Millis {
    let nanos = wanted.as_nanos();
    Millis::try_from(nanos.div_ceil(1_000_000)).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests;
