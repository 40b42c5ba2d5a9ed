//! How large batches are, and how loops wait.

use std::time::{Duration, Instant};

use super::options::Options;
use super::read::Most;
use crate::Stop;

/// Growth under backlog. Sinks gain more from large batches: a database writes a page once for all of
/// its rows in a batch.
const FOLD_GROWTH: usize = 4;
const SINK_GROWTH: usize = 8;
/// Most bytes of records that one loop holds.
const BYTES: usize = 16 * 1024 * 1024;
/// First and longest wait after an error that may pass.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Batch size: the usual one, doubled while batches come back full.
#[derive(Debug)]
pub(super) struct Pace {
    usual: usize,
    most: usize,
    now: usize,
    linger: Duration,
    began: Instant,
}

impl Pace {
    pub(super) fn fold(options: &Options) -> Pace {
        Pace::new(options, FOLD_GROWTH)
    }

    pub(super) fn sink(options: &Options) -> Pace {
        Pace::new(options, SINK_GROWTH)
    }

    fn new(options: &Options, growth: usize) -> Pace {
        let usual = options.batch_records.max(1);
        Pace { usual, most: usual * growth, now: usual, linger: options.linger, began: Instant::now() }
    }

    /// How much each of `parts` partitions may have of the next batch.
    pub(super) fn share(&mut self, parts: usize) -> Most {
        self.began = Instant::now();
        let parts = parts.max(1);
        Most { records: self.now.div_ceil(parts), bytes: BYTES / parts }
    }

    /// After a batch of `records`: a full one is followed by a larger one at once, a small one not
    /// before `linger` has passed since it began.
    pub(super) fn after(&mut self, records: usize, stop: &Stop) {
        if records >= self.now {
            self.now = (self.now * 2).min(self.most);
            return;
        }
        self.now = self.usual;
        if records < self.usual {
            stop.wait(self.linger.saturating_sub(self.began.elapsed()));
        }
    }
}

/// Waits that double, after errors that may pass.
#[derive(Debug)]
pub(super) struct Patience(Duration);

impl Patience {
    pub(super) fn new() -> Patience {
        Patience(FIRST_WAIT)
    }

    /// Waits, less when stopped. Tells whether stopped.
    pub(super) fn wait(&mut self, stop: &Stop) -> bool {
        let stopped = stop.wait(self.0);
        self.0 = (self.0 * 2).min(LONGEST_WAIT);
        stopped
    }
}
