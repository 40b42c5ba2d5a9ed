//! Positions that a group is still to be told.
//!
//! Tools that show lag go by them, and nothing else does. To tell each batch of each partition would be a request and a
//! record of the cluster's for every one of them: with four partitions and ten batches a second that was a fifth of all
//! that a broker had to do.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::Offset;

use super::membership::Membership;
use crate::Result;

/// How old a told position may become while records come.
const PACE: Duration = Duration::from_millis(250);

/// Positions by partition, and when they were told last.
#[derive(Debug, Default)]
pub(super) struct Untold {
    positions: BTreeMap<u32, u64>,
    told: Option<Instant>,
}

impl Untold {
    /// Where a partition stands now.
    pub(super) fn add(&mut self, partition: u32, next: u64) {
        self.positions.insert(partition, next);
    }

    /// Somebody else's position now.
    pub(super) fn forget(&mut self, partition: u32) {
        self.positions.remove(&partition);
    }

    /// Tells what there is, if it is time again.
    pub(super) fn tell_in_time(&mut self, membership: &Membership) -> Result<()> {
        match self.told {
            Some(told) if told.elapsed() < PACE => Ok(()),
            _ => self.tell(membership),
        }
    }

    /// Tells what there is.
    pub(super) fn tell(&mut self, membership: &Membership) -> Result<()> {
        if self.positions.is_empty() {
            return Ok(());
        }
        self.told = Some(Instant::now());
        let positions: Vec<(u32, Offset)> = std::mem::take(&mut self.positions)
            .into_iter()
            .map(|(partition, next)| (partition, Offset::Offset(next as i64)))
            .collect();
        membership.tell(&positions)
    }
}
