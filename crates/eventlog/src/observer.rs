//! Watching an engine at work, for metrics.

use std::time::Duration;

/// What an engine tells of its work. Methods are called on the workers' threads, once for each transaction or
/// batch, and must be quick. `reader` is the group ([`Member::group`](crate::Member)).
pub trait Observer: Send + Sync + std::fmt::Debug {
    /// A transaction with so many raw records is durable; `took` from its begin to the answer to its commit.
    fn committed(&self, reader: &str, records: usize, took: Duration) {
        let _ = (reader, records, took);
    }

    /// A transaction was given up; its records come again.
    fn aborted(&self, reader: &str) {
        let _ = reader;
    }

    /// A sink took a batch of so many records.
    fn written(&self, reader: &str, records: usize) {
        let _ = (reader, records);
    }

    /// Of a state partition so many offsets of so many are read. The last call for a partition has `done == of`.
    fn restoring(&self, reader: &str, partition: u32, done: u64, of: u64) {
        let _ = (reader, partition, done, of);
    }

    /// So many records were read that the reader already has; they were skipped.
    fn skipped(&self, reader: &str, records: u64) {
        let _ = (reader, records);
    }
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}
