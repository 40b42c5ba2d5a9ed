//! Waking the senders.

use std::sync::Arc;

use tokio::sync::watch;

/// Wakes every sender of a monitor. Cheap to clone; a wake while a sender works is not lost.
#[derive(Clone, Debug)]
pub struct Wake(pub(super) Arc<watch::Sender<u64>>);

impl Default for Wake {
    fn default() -> Wake {
        Wake(Arc::new(watch::channel(0).0))
    }
}

impl Wake {
    /// Something may be due.
    pub fn wake(&self) {
        self.0.send_modify(|turn| *turn = turn.wrapping_add(1));
    }
}
