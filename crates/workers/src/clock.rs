//! The one place that reads the clock, and what keeps a clock that leaps from doing harm.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pricemonitor_model::{Millis, Time};

/// The machine's time. Passed down from here; everything below takes time as an argument.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// How long a leap must stand before it is believed. A clock that was wrong at the start of the
/// machine, or was set wrongly by hand, is put right within less.
const STANDS: Duration = Duration::from_secs(60);

/// Believes a leap of the clock only when it has stood for a minute.
///
/// Time that has entered the log cannot be taken back: what a tick has let the rules forget is
/// forgotten, and the source's time never runs backwards. The rules cannot tell a leap from a long
/// pause, for they see the log alone; so whoever makes the time must. A machine that slept looks the
/// same as a leap, and merely waits for the minute.
#[derive(Debug)]
pub struct Leaps {
    /// Most milliseconds by which the clock may run ahead of the time that has passed.
    most: Millis,
    /// The last time that was believed, and when that was on a clock that nobody sets.
    believed: Option<(Time, Instant)>,
    /// Since when the clock is doubted.
    doubted: Option<Instant>,
}

impl Leaps {
    /// `last`: the time at which an earlier process stood, if that is known.
    pub fn new(most: Millis, last: Option<Time>) -> Leaps {
        Leaps { most, believed: last.map(|at| (at, Instant::now())), doubted: None }
    }

    /// Whether the clock's `wall` is to be believed at `steady`, the instant of the same look at it;
    /// else how far it leapt.
    ///
    /// # Errors
    /// The leap in milliseconds. Ask again in a second or so.
    pub fn judge(&mut self, wall: Time, steady: Instant) -> Result<(), Millis> {
        let ahead = self.believed.map_or(0, |(at, then)| wall.since(at) - millis(steady, then));
        if ahead > self.most {
            let since = *self.doubted.get_or_insert(steady);
            if steady.saturating_duration_since(since) < STANDS {
                return Err(ahead);
            }
            tracing::warn!("the clock leapt ahead by {} and stayed there: it is believed", span(ahead));
        }
        (self.believed, self.doubted) = (Some((wall, steady)), None);
        Ok(())
    }
}

fn millis(later: Instant, earlier: Instant) -> Millis {
    Millis::try_from(later.saturating_duration_since(earlier).as_millis()).unwrap_or(Millis::MAX)
}

/// A span for people: days, else minutes.
pub fn span(of: Millis) -> String {
    const DAY: Millis = 86_400_000;
    if of >= 2 * DAY { format!("{} days", of / DAY) } else { format!("{} minutes", of / 60_000) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Millis = 86_400_000;

    #[test]
    fn a_leap_is_believed_only_when_it_has_stood_for_a_minute() {
        let (start, wall) = (Instant::now(), Time::from_seconds(1_800_000_000));
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut leaps = Leaps::new(DAY, None);
        assert_eq!(leaps.judge(wall, start), Ok(()));
        assert_eq!(leaps.judge(wall.plus(5_000), after(5)), Ok(()));
        // A year ahead for half a minute leaves nothing behind.
        assert_eq!(leaps.judge(wall.plus(365 * DAY + 6_000), after(6)), Err(365 * DAY));
        assert_eq!(leaps.judge(wall.plus(365 * DAY + 36_000), after(36)), Err(365 * DAY));
        assert_eq!(leaps.judge(wall.plus(37_000), after(37)), Ok(()));
        // The next one has its own minute.
        assert_eq!(leaps.judge(wall.plus(365 * DAY + 50_000), after(50)), Err(365 * DAY));
        assert_eq!(leaps.judge(wall.plus(365 * DAY + 109_000), after(109)), Err(365 * DAY));
        assert_eq!(leaps.judge(wall.plus(365 * DAY + 110_000), after(110)), Ok(()));
        assert_eq!(leaps.judge(wall.plus(365 * DAY + 111_000), after(111)), Ok(()));
    }

    #[test]
    fn long_waits_small_corrections_and_steps_back_are_no_leaps() {
        let (start, wall) = (Instant::now(), Time::from_seconds(1_800_000_000));
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut leaps = Leaps::new(DAY, None);
        assert_eq!(leaps.judge(wall, start), Ok(()));
        assert_eq!(leaps.judge(wall.plus(7 * DAY), after(7 * 86_400)), Ok(()));
        assert_eq!(leaps.judge(wall.plus(8 * DAY), after(7 * 86_400 + 1)), Ok(()));
        assert_eq!(leaps.judge(Time::from_seconds(0), after(7 * 86_400 + 2)), Ok(()));
    }

    #[test]
    fn a_clock_that_was_ahead_before_the_start_is_doubted_too() {
        let wall = Time::from_seconds(1_800_000_000);
        let mut leaps = Leaps::new(7 * DAY, Some(wall));
        let steady = Instant::now();
        assert_eq!(leaps.judge(wall.plus(6 * DAY), steady), Ok(()));
        let mut leaps = Leaps::new(7 * DAY, Some(wall));
        assert!(leaps.judge(wall.plus(60 * DAY), steady).is_err());
        assert_eq!(span(60 * DAY), "60 days");
        assert_eq!(span(90_000_000), "1500 minutes");
    }
}
