//! A partition whose last owner is gone, with a transaction open.
//!
//! The cluster gives such a transaction up by itself, but late: after its time-out of six seconds, when it looks the
//! next time, which is every ten seconds (`transaction.abort.timed.out.transaction.cleanup.interval.ms`). Until then
//! nobody sees what is committed behind it, and whoever takes the partition over would wait. So the new owner announces
//! the old one's transactional id: that fences the old one and gives up what it left open, at once ([KIP-98]).
//!
//! [KIP-98]: https://cwiki.apache.org/confluence/display/KAFKA/KIP-98+-+Exactly+Once+Delivery+and+Transactional+Messaging

use std::time::Duration;

use super::hanging;
use super::log::Shared;
use super::scan;
use super::transaction::Transactions;
use crate::{Result, Topic};

/// An owner that gives a partition up has ended its transaction before, and its mark arrives within milliseconds. One
/// that is fenced without need joins its group anew, and nothing is lost.
const GRACE: Duration = Duration::from_millis(300);

/// Ends what the last writer of a state partition left open, if that does not end by itself soon. `own` is the
/// transactional id of the new owner. What goes wrong here is no harm: the transaction is waited for.
pub(super) fn fence_last_writer(log: &Shared, partition: u32, own: &str) {
    match try_to_fence(log, partition, own) {
        Ok(None) => {}
        Ok(Some(writer)) => tracing::info!(
            monitor = %log.id,
            partition,
            "`{writer}` left a transaction open and has lost the partition: given up"
        ),
        Err(error) => {
            tracing::debug!(monitor = %log.id, partition, "an open transaction is waited for: {error}")
        }
    }
}

fn try_to_fence(log: &Shared, partition: u32, own: &str) -> Result<Option<String>> {
    let Some(settled) = hanging::stays_open(log, Topic::State, partition, GRACE)? else { return Ok(None) };
    // Whoever wrote last is most probably who writes now. If not, somebody who is alive joins anew, and the transaction
    // is waited for.
    let meta = scan::meta_before(log, partition, 0, settled)?;
    let Some(writer) = meta.map(|meta| meta.writer).filter(|writer| !writer.is_empty() && writer != own)
    else {
        return Ok(None);
    };
    drop(Transactions::open_for_many(&log.connection, &writer)?);
    Ok(Some(writer))
}
