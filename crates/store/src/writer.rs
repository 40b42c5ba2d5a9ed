//! What a writer of history remembers between batches.

use crate::claim::MonitorKey;

/// A monitor's writer of history, for one thread. Remembers the numbers of the series it saw last,
/// at most a bounded number of them; it can be dropped and made anew at any time.
#[derive(Debug)]
pub struct HistoryWriter {
    pub(crate) monitor: MonitorKey,
}

impl HistoryWriter {
    /// A writer for the monitor that [`Database::register`](crate::Database::register) named.
    pub fn new(monitor: MonitorKey) -> HistoryWriter {
        HistoryWriter { monitor }
    }
}
