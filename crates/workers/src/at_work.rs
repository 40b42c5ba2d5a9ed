//! How a worker says that it is at work: it has been handed over everything that is its.

use pricemonitor_eventlog::{Batch, Fold, Out, Position, Restored, Result, Sink};

use crate::health::{Health, Part};

/// A worker's voice in the health. Until it is used the process is not ready.
#[derive(Clone, Debug)]
pub struct AtWork {
    health: Health,
    part: Part,
}

impl AtWork {
    pub(crate) fn new(health: Health, part: Part) -> AtWork {
        AtWork { health, part }
    }

    /// The worker works.
    pub fn say(&self) {
        self.health.well(&self.part);
    }

    /// `inner` (a fold or a sink), which says so once the log has handed its partitions over.
    pub fn when_settled<T>(&self, inner: T) -> Saying<T> {
        Saying { inner, at_work: self.clone() }
    }
}

/// A fold or a sink that says when it is at work; see [`AtWork::when_settled`].
#[derive(Debug)]
pub struct Saying<T> {
    inner: T,
    at_work: AtWork,
}

impl<F: Fold> Fold for Saying<F> {
    fn assigned(&mut self, partition: u32, restored: Restored<'_>) -> Result<()> {
        self.inner.assigned(partition, restored)
    }

    fn settled(&mut self) {
        self.inner.settled();
        self.at_work.say();
    }

    fn apply(&mut self, batch: &Batch<'_>, out: &mut Out) -> Result<()> {
        self.inner.apply(batch, out)
    }

    fn committed(&mut self) {
        self.inner.committed();
    }

    fn aborted(&mut self) {
        self.inner.aborted();
    }

    fn revoked(&mut self, partition: u32) {
        self.inner.revoked(partition);
    }
}

impl<S: Sink> Sink for Saying<S> {
    fn position(&mut self, partition: u32) -> Result<Option<Position>> {
        self.inner.position(partition)
    }

    fn settled(&mut self) {
        self.inner.settled();
        self.at_work.say();
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<()> {
        self.inner.write(batch)
    }

    fn write_all(&mut self, batches: &[Batch<'_>]) -> Vec<Result<()>> {
        self.inner.write_all(batches)
    }

    fn advance(&mut self, partition: u32, position: Position) -> Result<()> {
        self.inner.advance(partition, position)
    }

    fn idle(&mut self) -> Result<()> {
        self.inner.idle()
    }

    fn revoked(&mut self, partition: u32) {
        self.inner.revoked(partition);
    }
}
