//! The one place that reads the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use pricemonitor_model::Time;

/// The machine's time. Passed down from here; everything below takes time as an argument.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
