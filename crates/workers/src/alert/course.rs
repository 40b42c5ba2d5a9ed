//! What a sender knows from one turn to the next.

use std::time::{Duration, Instant};

use pricemonitor_model::Time;
use pricemonitor_notify::Pacer;

/// How long the word that the channel is this sender's own holds before the database is asked again.
pub(super) const OWNED: Duration = Duration::from_secs(1);

/// What the sender of one channel knows from one turn to the next.
#[derive(Default)]
pub(super) struct Course {
    pub(super) pacer: Pacer,
    /// The outbox or the clock did not work when it was last needed.
    pub(super) trouble: bool,
    /// When it was asked whether the channel is this sender's own, and it was: by the clock that stands still while the
    /// machine sleeps, and by the one that does not.
    pub(super) owned: Option<(Instant, Time)>,
}

impl Course {
    /// Since when the channel is known to be the sender's own, if that was asked a moment ago.
    pub(super) fn owned(&self, at: Time) -> Option<Instant> {
        let fresh = |(asked, told): &(Instant, Time)| {
            asked.elapsed() <= OWNED
                && u128::try_from(at.since(*told)).is_ok_and(|ms| ms <= OWNED.as_millis())
        };
        self.owned.filter(fresh).map(|(asked, _)| asked)
    }
}
