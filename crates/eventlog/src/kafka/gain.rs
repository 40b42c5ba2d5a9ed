//! What is done for partitions that a member gains, before its fold has them.
//!
//! Each asks the cluster with clients of its own, whose connecting and closing is nothing but waiting. So that is done
//! for several partitions at once; the fold still gets one after the other.

use std::thread;

use pricemonitor_model::Incarnation;

use super::log::Shared;
use super::restore::Restore;
use super::{scan, takeover};
use crate::{Error, Position, Result, Topic};

/// Partitions at a time. Each reads ahead up to two megabytes of its state.
pub(super) const AT_ONCE: usize = 4;

/// A partition with its state open, from which on nobody else adds to it.
pub(super) struct Gained {
    pub(super) partition: u32,
    /// Where it goes on.
    pub(super) next_offset: u64,
    pub(super) restore: Restore,
}

/// Looks where the partitions stand and opens their state, in the order of `partitions`. `own` is the transactional id
/// of the new owner.
///
/// # Errors
/// Those of the first partition that has one.
pub(super) fn open(log: &Shared, reader: &str, own: &str, partitions: &[u32]) -> Result<Vec<Gained>> {
    for partition in partitions {
        takeover::fence_last_writer(log, *partition, own);
    }
    thread::scope(|scope| {
        let one = |partition: &u32| {
            let partition = *partition;
            scope.spawn(move || open_one(log, reader, partition))
        };
        let running: Vec<_> = partitions.iter().map(one).collect();
        running.into_iter().map(|one| one.join().unwrap_or_else(|_| Err(panicked()))).collect()
    })
}

fn open_one(log: &Shared, reader: &str, partition: u32) -> Result<Gained> {
    // Before the restore, which may be long: whoever is older has nothing to do with this partition.
    let next_offset = match scan::meta(log, partition, log.options.config_epoch)? {
        None => log.ends(Topic::Raw, partition)?.0,
        Some(meta) => {
            let incarnation = Incarnation(meta.incarnation);
            let position = Position { incarnation, next_offset: meta.next_offset };
            log.check(reader, Topic::Raw, partition, position)?
        }
    };
    tracing::debug!(monitor = %log.id, partition, next_offset, "goes on");
    let restore = Restore::open(&log.asker, log.name(Topic::State), partition)?;
    Ok(Gained { partition, next_offset, restore })
}

fn panicked() -> Error {
    Error::Retry("a partition could not be opened: its thread has panicked".to_owned())
}

/// Ends the clients of what is restored: librdkafka takes a tenth of a second for each.
pub(super) fn close(restored: Vec<Gained>) {
    thread::scope(|scope| {
        for one in restored {
            scope.spawn(move || drop(one));
        }
    });
}
