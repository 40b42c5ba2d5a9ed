//! Blocking work with an end.
//!
//! Reading a file may hang (a network drive that went away) and a filter may run long. Such work
//! runs on a thread of its own, whose stack is large because jq filters recurse; whoever asked
//! waits no longer than [`LIMIT`]. A thread that overruns cannot be killed: it is left alone, and
//! no other is started for the same source while it lives, so at most one a source is ever stuck.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::source::SourceError;

/// Longest that anybody waits for a piece of blocking work.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
/// Address space for the stack; only what is used becomes memory.
pub(crate) const STACK: usize = 64 * 1024 * 1024;

/// Starts one piece of blocking work at a time.
#[derive(Default)]
pub(crate) struct Bounded {
    busy: Arc<AtomicBool>,
}

/// Clears the mark when the thread ends, however it ends.
struct Busy(Arc<AtomicBool>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Bounded {
    /// Does `work` and waits for it without blocking the caller's task.
    ///
    /// # Errors
    /// `timeout` when it takes longer than [`LIMIT`] or an earlier piece still runs; `unreadable`
    /// when no thread can be had.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, SourceError> {
        let (thread, done) = self.start(what, work)?;
        match tokio::time::timeout(LIMIT, done).await {
            Ok(result) => ended(what, thread, result.ok()),
            Err(_) => Err(overrun(what)),
        }
    }

    /// Does `work` and blocks until it is done.
    ///
    /// # Errors
    /// As [`Bounded::run`].
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, SourceError> {
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        let (thread, _done) = self.start(what, move || drop(send.send(work())))?;
        match receive.recv_timeout(LIMIT) {
            Ok(result) => ended(what, thread, Some(result)),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => ended(what, thread, None),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => Err(overrun(what)),
        }
    }

    fn start<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(JoinHandle<()>, oneshot::Receiver<T>), SourceError> {
        if self.busy.swap(true, Ordering::AcqRel) {
            let why = format!("{what}: the look before this one still hangs; it is waited for");
            return Err(SourceError::new("timeout", why));
        }
        let busy = Busy(self.busy.clone());
        let (send, receive) = oneshot::channel();
        let body = move || {
            let result = work();
            // Cleared before the answer, or the next look could find the mark still there.
            drop(busy);
            let _ = send.send(result);
        };
        let thread = std::thread::Builder::new().name("source-read".to_owned()).stack_size(STACK);
        let thread = thread.spawn(body).map_err(|error| {
            SourceError::new("unreadable", format!("{what}: the system gives no thread for it: {error}"))
        })?;
        Ok((thread, receive))
    }
}

fn overrun(what: &str) -> SourceError {
    SourceError::new("timeout", format!("{what} took longer than {} s", LIMIT.as_secs()))
}

fn ended<T>(what: &str, thread: JoinHandle<()>, result: Option<T>) -> Result<T, SourceError> {
    // Its last act was to answer (or it panicked), so this waits for next to nothing.
    let joined = thread.join();
    match (result, joined) {
        (Some(result), _) => Ok(result),
        (None, _) => {
            Err(SourceError::malformed(format!("{what} failed inside the program: please report this")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_and_a_panic_is_an_error() {
        let bounded = Bounded::default();
        assert_eq!(bounded.wait("counting", || 2), Ok(2));
        let failed = bounded.wait("failing", || -> u8 { panic!("on purpose") });
        assert_eq!(failed.map_err(|e| e.reason), Err("malformed"));
        assert_eq!(bounded.wait("counting again", || 3), Ok(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_thread_that_hangs_is_waited_for_once_and_never_doubled() {
        let bounded = Bounded::default();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let hung = bounded.run("hanging", move || held.recv().is_ok()).await;
        assert_eq!(hung.unwrap_err().reason, "timeout");
        let refused = bounded.run("looking", || ()).await.unwrap_err();
        assert!(refused.message.contains("still hangs"), "{refused}");
        drop(release);
        while bounded.busy.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        assert_eq!(bounded.wait("looking", || 1), Ok(1));
    }
}
