//! Where a raw record stands in the log: the identity that all idempotence rests on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One life of a topic. A topic that is deleted and made again starts its offsets anew and gets
/// another incarnation, so that old positions are never taken for new ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The place of one raw record: incarnation, partition, offset. Travels with everything derived
/// from the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Coordinates {
    /// Life of the raw topic.
    pub incarnation: Incarnation,
    /// Partition of the raw topic.
    pub partition: u32,
    /// Offset in the partition.
    pub offset: u64,
}

impl fmt::Display for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.incarnation, self.partition, self.offset)
    }
}
