//! Asking workers to stop.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A request to stop that every wait hears. Clones share it.
#[derive(Clone, Default)]
pub struct Stop(Arc<Request>);

#[derive(Default)]
struct Request {
    stopped: AtomicBool,
    listeners: Mutex<Listeners>,
    wake: Condvar,
}

#[derive(Default)]
struct Listeners {
    next: u64,
    of: Vec<(u64, Arc<dyn Fn() + Send + Sync>)>,
}

impl Stop {
    /// Not stopped.
    pub fn new() -> Stop {
        Stop::default()
    }

    /// Asks everybody to stop. For good.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::SeqCst);
        // Taken so that no waiter is between its look at the flag and its sleep.
        let listeners = self.listeners().of.clone();
        self.0.wake.notify_all();
        listeners.iter().for_each(|(_, told)| told());
    }

    /// Whether somebody asked.
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::SeqCst)
    }

    /// Sleeps up to `wait`, less when stopped. Tells whether stopped.
    pub fn wait(&self, wait: Duration) -> bool {
        let stopped = &self.0.stopped;
        let _guard =
            self.0.wake.wait_timeout_while(self.listeners(), wait, |_| !stopped.load(Ordering::SeqCst));
        self.is_stopped()
    }

    /// Calls `told` when somebody asks to stop, for waits that wait for something else as well.
    /// Ends when the answer is dropped. `told` must be quick; whoever listens looks at
    /// [`Stop::is_stopped`] afterwards, because the request may already have been made.
    pub fn listen(&self, told: impl Fn() + Send + Sync + 'static) -> Listening {
        let mut listeners = self.listeners();
        let id = listeners.next;
        listeners.next += 1;
        listeners.of.push((id, Arc::new(told)));
        Listening { stop: self.clone(), id }
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stop").field(&self.is_stopped()).finish()
    }
}

/// Somebody listens to a [`Stop`] until this is dropped.
#[must_use]
#[derive(Debug)]
pub struct Listening {
    stop: Stop,
    id: u64,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.listeners().of.retain(|(id, _)| *id != self.id);
    }
}
