//! Transactions that are over for their coordinator, but not for every partition.
//!
//! A partition learns the end of a transaction from a mark that the coordinator writes to it; until then nobody sees
//! what is committed behind its first record. A broker of Apache Kafka 4 that starts after a crash may forget these
//! marks for partitions that have no leader at that moment, as all have where there is one broker alone
//! ([KAFKA-20734](https://issues.apache.org/jira/browse/KAFKA-20734)). The next mark of the same producer then ends
//! both transactions in one way: records that were given up would count. So whoever has given a transaction up, or
//! does not know how one ended, waits here before the next one begins.

use std::time::{Duration, Instant};

use super::asker::Asker;
use super::log::Shared;
use crate::{Error, Result, Topic};

/// Longest wait at a time. The transaction of another member that has died is over after its time-out of six seconds,
/// when the cluster looks the next time: every ten seconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is asked whether the transactions before the end are over.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits until all that is in these topics by now is committed or given up.
///
/// # Errors
/// [`Error::Retry`] when a partition has a transaction that goes on for longer than five seconds.
pub(super) fn wait_for_ends(log: &Shared, topics: &[Topic]) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    for topic in topics {
        for partition in 0..log.partitions(*topic) {
            let end = log.ends(*topic, partition)?.1;
            wait(&log.asker, log.name(*topic), partition, end, deadline)?;
        }
    }
    Ok(())
}

/// Waits at most `patience` until all that is in a partition by now is committed or given up. `Some`: it is not, and up
/// to this offset all is.
///
/// # Errors
/// [`Error::Retry`] when the cluster does not answer.
pub(super) fn stays_open(
    log: &Shared,
    topic: Topic,
    partition: u32,
    patience: Duration,
) -> Result<Option<u64>> {
    let end = log.ends(topic, partition)?.1;
    let deadline = Instant::now() + patience;
    loop {
        let settled = log.asker.settled(log.name(topic), partition)?;
        if settled >= end {
            return Ok(None);
        }
        if Instant::now() > deadline {
            return Ok(Some(settled));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Waits until no transaction is open before `end`.
///
/// # Errors
/// As for [`wait_for_ends`].
pub(super) fn wait(asker: &Asker, topic: &str, partition: u32, end: u64, deadline: Instant) -> Result<()> {
    loop {
        let settled = asker.settled(topic, partition)?;
        if settled >= end {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::Retry(open_for_long(topic, partition, settled)));
        }
        std::thread::sleep(PAUSE);
    }
}

/// What is told of a transaction that does not end.
pub(super) fn open_for_long(topic: &str, partition: u32, at: u64) -> String {
    format!(
        "partition {partition} of `{topic}` has a transaction at offset {at} that is not over; if that stays so for a \
         minute, the cluster has lost it in a crash: `kafka-transactions.sh find-hanging` names it, and `abort` ends it"
    )
}
