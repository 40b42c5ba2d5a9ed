//! What wakes the loops of a monitor: new records, and changes of who owns what.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Rings for everybody who waits. Look at [`Bell::count`] first, then at the world, then wait with
/// that count: a ring in between is not missed.
#[derive(Debug, Default)]
pub(super) struct Bell {
    count: Mutex<u64>,
    wake: Condvar,
}

impl Bell {
    pub(super) fn count(&self) -> u64 {
        *self.lock()
    }

    pub(super) fn ring(&self) {
        *self.lock() += 1;
        self.wake.notify_all();
    }

    /// Waits until it has rung since `seen`, at most until `until`. Tells whether it rang.
    pub(super) fn wait(&self, seen: u64, until: Instant) -> bool {
        let mut count = self.lock();
        while *count == seen {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            count = self.wake.wait_timeout(count, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
