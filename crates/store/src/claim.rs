//! Who writes what, and how far it is.

use pricemonitor_model::{Alert, Incarnation, Observation, Time};

use crate::error::{Error, Result};

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
    /// Furthest offset to which a write under the claim has moved the position, whether or not it was committed.
    pub(crate) furthest: u64,
}

impl Claim {
    /// Whether a batch may be written under the claim, and how many of its rows lie before the position.
    pub(crate) fn before(
        &self,
        incarnation: Incarnation,
        partition: u32,
        offsets: impl Iterator<Item = u64>,
    ) -> Result<usize> {
        if self.partition != partition {
            return Err(Error::Storage(format!(
                "a batch of partition {partition} came with the claim of partition {}",
                self.partition
            )));
        }
        match self.position {
            Some((stored, _)) if stored != incarnation => Err(Error::Incarnation(format!(
                "the stored position ({}, partition {partition}) belongs to incarnation {stored} of the topic, the \
                 batch to {incarnation}: the topic was made anew",
                self.name
            ))),
            Some((_, next)) => Ok(offsets.take_while(|offset| *offset < next).count()),
            None => Ok(0),
        }
    }

    /// A write found another position in the database than the claim knew: takes it over, if it is the claim's own
    /// doing. The answer to a commit can be lost with its connection, or be given up waiting for: then the position has
    /// moved and nobody here has heard of it. `found` is the epoch and the position that the database has.
    pub(crate) fn adopt(
        &mut self,
        incarnation: Incarnation,
        found: Option<(i64, Option<(Incarnation, u64)>)>,
    ) -> Result<()> {
        let Some((epoch, position)) = found else { return Err(self.fenced()) };
        if epoch != self.epoch {
            return Err(self.fenced());
        }
        match position {
            Some((life, next))
                if life == incarnation
                    && self.position.is_none_or(|(_, known)| known < next)
                    && next <= self.furthest =>
            {
                self.position = position;
                Ok(())
            }
            // Nobody who keeps to the claims has done that.
            _ => Err(Error::Storage(format!(
                "the position of partition {} ({}) is {} in the database, which is none that this process wrote: was it \
                 changed by hand? Nothing was written; a restart goes on from there, and `pricemonitor audit` says \
                 what is missing",
                self.partition,
                self.name,
                position.map_or("none".to_owned(), |(life, next)| format!("{next} of incarnation {life}")),
            ))),
        }
    }

    /// The error of an owner that was replaced.
    pub(crate) fn fenced(&self) -> Error {
        Error::Fenced(format!(
            "partition {} ({}) belongs to another process now: this one wrote nothing and ends",
            self.partition, self.name
        ))
    }
}

/// An offset or a count as databases keep it.
pub(crate) fn number(offset: u64) -> Result<i64> {
    i64::try_from(offset).map_err(|_| Error::Storage(format!("offset {offset} is out of range")))
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

/// What came of one partition of the alerts, on its way into the outbox. Of one position there may be one in a call.
#[derive(Debug)]
pub struct Accepting<'a> {
    /// The partition's position.
    pub claim: &'a mut Claim,
    /// Life of the topic.
    pub incarnation: Incarnation,
    /// Partition.
    pub partition: u32,
    /// The alerts, each with the channels that must tell it; none is fine.
    pub alerts: &'a [(Alert<'static>, Vec<String>)],
    /// Where the partition goes on behind them.
    pub next_offset: u64,
}

impl Accepting<'_> {
    /// Where the position is to stand: it does not go back when alerts come again.
    pub(crate) fn target(&self) -> u64 {
        self.claim.position.map_or(self.next_offset, |(_, known)| known.max(self.next_offset))
    }

    /// Whether the position stands behind the alerts already.
    pub(crate) fn is_reached(&self) -> bool {
        self.claim.position.is_some_and(|(_, known)| self.next_offset <= known)
    }
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
    /// Rows that lie in no month's partition but in the default one, after all that was done. `None` where
    /// another process was at it, and where tables have no partitions.
    pub unsorted: Option<u64>,
}

/// What [`Database::remove`](crate::Database::remove) deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Price rows.
    pub rows: u64,
    /// Alerts, with what was still to be told of them.
    pub alerts: u64,
    /// Series.
    pub series: u64,
}
