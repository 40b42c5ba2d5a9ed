//! What an audit asks: which raw records and alerts the database holds.

use std::ops::Range;

use pricemonitor_model::{Incarnation, MonitorId};

use super::{Database, Engine};
use crate::error::Result;

/// Where a sink stands in a partition of its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Partition.
    pub partition: u32,
    /// Life of the topic.
    pub incarnation: Incarnation,
    /// Everything before it is stored.
    pub next_offset: u64,
}

impl Database {
    /// Where a sink of the monitor stands in every partition of which it has stored anything, in every life
    /// of the topic that the database still knows. `sink` is `history` or `alerts`. Claims nothing.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn positions(&self, monitor: &MonitorId, sink: &str) -> Result<Vec<Position>> {
        on!(self, db => db.positions(monitor, sink).await)
    }

    /// Shows the offset of every row of history that comes from the partition's raw records in the range, in no
    /// order; an offset that two rows have comes twice. The rows stream by: memory is bounded.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn coordinates(
        &self,
        monitor: &MonitorId,
        incarnation: Incarnation,
        partition: u32,
        offsets: Range<u64>,
        each: impl FnMut(u64),
    ) -> Result<()> {
        on!(self, db => db.coordinates(monitor, incarnation, partition, offsets, each).await)
    }

    /// Shows the id of every alert of the monitor, in no order. Memory is bounded.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn alert_ids(&self, monitor: &MonitorId, each: impl FnMut(&str)) -> Result<()> {
        on!(self, db => db.alert_ids(monitor, each).await)
    }
}
