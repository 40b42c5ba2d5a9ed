//! The pause that Discord wants of every webhook of the process at once.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use pricemonitor_model::{Millis, Time};

/// A pause without a length.
const UNKNOWN: Duration = Duration::from_secs(5);

/// By host and port: until when nothing may be sent there. Each channel is a task of its own, and
/// none of them knows the others; the limit is Discord's, for the whole process.
static CLOSED: LazyLock<Mutex<HashMap<String, Time>>> = LazyLock::new(Mutex::default);

/// Nothing is sent to `authority` for so long from `at` on.
pub(super) fn close(authority: &str, at: Time, pause: Option<Duration>) {
    let pause = Millis::try_from(pause.unwrap_or(UNKNOWN).as_millis()).unwrap_or(Millis::MAX);
    let mut closed = CLOSED.lock().unwrap_or_else(PoisonError::into_inner);
    closed.retain(|_, until| *until > at);
    let until = closed.entry(authority.to_owned()).or_insert(at);
    *until = (*until).max(at.plus(pause));
}

/// How long nothing may be sent to `authority` any more; `None` when it is open.
pub(super) fn closed(authority: &str, at: Time) -> Option<Duration> {
    let closed = CLOSED.lock().unwrap_or_else(PoisonError::into_inner);
    let left = closed.get(authority)?.since(at);
    u64::try_from(left).ok().filter(|&left| left > 0).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_gate_opens_when_its_time_has_come_and_is_never_shortened() {
        let at = Time::from_seconds(1_700_000_000);
        close("gate.test", at, Some(Duration::from_secs(10)));
        close("gate.test", at, Some(Duration::from_secs(2)));
        assert_eq!(closed("gate.test", at.plus(1_000)), Some(Duration::from_secs(9)));
        assert_eq!(closed("other.test", at), None);
        assert_eq!(closed("gate.test", at.plus(10_000)), None);
        close("unknown.test", at, None);
        assert_eq!(closed("unknown.test", at), Some(UNKNOWN));
    }
}
