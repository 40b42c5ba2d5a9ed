//! Who writes what, and how far it is.

use pricemonitor_model::{Incarnation, Observation, Time};

/// Number of a monitor in this database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MonitorKey(pub(crate) i64);

/// Ownership of one partition's position: whoever claims last owns it, and every write by an
/// earlier owner is refused with [`Error::Fenced`](crate::Error::Fenced).
#[derive(Debug)]
pub struct Claim {
    /// Counts the claims of this position.
    pub epoch: i64,
    /// Where the partition stands: life of the topic and next offset to read; `None` before the
    /// first write. Moves on with every successful write.
    pub position: Option<(Incarnation, u64)>,
    /// Number of this position, the `stream` of the rows written under it.
    pub(crate) id: i64,
    /// For messages.
    pub(crate) name: String,
    pub(crate) partition: u32,
}

/// One admitted observation on its way into the history.
#[derive(Clone, Copy, Debug)]
pub struct HistoryRow<'a> {
    /// Offset of the raw record in its partition.
    pub offset: u64,
    /// When the log took the record.
    pub log_time: Time,
    /// The observation.
    pub observation: &'a Observation<'a>,
}

/// What a write did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows that are new.
    pub rows: u64,
    /// Rows that were there already and were passed over.
    pub duplicates: u64,
}

/// What [`Database::maintain`](crate::Database::maintain) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Price rows whose retention was over.
    pub rows: u64,
    /// Alerts whose retention was over.
    pub alerts: u64,
    /// Series that had no row left.
    pub series: u64,
}
