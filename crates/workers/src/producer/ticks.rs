//! When a tick is due. Pure.

use pricemonitor_model::{Millis, Outcome, Time};

use super::checkpoint::Head;

/// Whether a look with `outcome` at `at` is to be told with a tick: the first look, a change of
/// outcome between working and failing, or `every` milliseconds after the last tick.
pub(super) fn due(last: Option<&Head>, outcome: Outcome, at: Time, every: Millis) -> bool {
    let Some(last) = last else { return true };
    let changed = (last.outcome == Outcome::Failed) != (outcome == Outcome::Failed);
    changed || at.since(last.tick) >= every
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::producer::checkpoint::FORMAT;

    #[test]
    fn a_tick_is_due_first_on_a_change_and_when_its_time_has_come() {
        let at = Time::from_seconds(1000);
        let last = Head { v: FORMAT, at, tick: at, outcome: Outcome::Ok };
        assert!(due(None, Outcome::Failed, at, 1000));
        assert!(!due(Some(&last), Outcome::Ok, at.plus(999), 1000));
        assert!(!due(Some(&last), Outcome::Unchanged, at.plus(999), 1000));
        assert!(due(Some(&last), Outcome::Failed, at.plus(1), 1000));
        assert!(due(Some(&last), Outcome::Ok, at.plus(1000), 1000));
    }
}
