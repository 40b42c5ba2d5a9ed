//! Transactions that are over for their coordinator, but not for every partition.
//!
//! A partition learns the end of a transaction from a mark that the coordinator writes to it; until then nobody sees
//! what is committed behind its first record. A broker of Apache Kafka 4 that starts after a crash may forget these
//! marks for partitions that have no leader at that moment, as all have where there is one broker alone
//! ([KAFKA-20734](https://issues.apache.org/jira/browse/KAFKA-20734)). The next mark of the same producer then ends
//! both transactions in one way: records that were given up would count. So whoever has given a transaction up, or
//! does not know how one ended, waits here before the next one begins.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::asker::ASK;
use super::ear::Ear;
use super::log::Shared;
use super::trouble::explain;
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
    let reader = reader(log)?;
    let deadline = Instant::now() + PATIENCE;
    for topic in topics {
        for partition in 0..log.partitions(*topic) {
            let end = log.ends(*topic, partition)?.1;
            wait(&reader, log.name(*topic), partition, end, deadline)?;
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
    let reader = reader(log)?;
    let end = log.ends(topic, partition)?.1;
    let deadline = Instant::now() + patience;
    loop {
        let stable = stable(&reader, log.name(topic), partition)?;
        if stable >= end {
            return Ok(None);
        }
        if Instant::now() > deadline {
            return Ok(Some(stable));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Up to where all is decided: what the cluster tells a reader of committed records as the end.
fn stable(reader: &BaseConsumer<Ear>, topic: &str, partition: u32) -> Result<u64> {
    let stable = reader.fetch_watermarks(topic, partition as i32, ASK);
    let (_, stable) = stable.map_err(|error| explain(&format!("cannot read `{topic}`"), &error))?;
    Ok(stable.max(0) as u64)
}

fn reader(log: &Shared) -> Result<BaseConsumer<Ear>> {
    let reader = log.connection.reader(&log.id).create_with_context(Ear::default());
    reader.map_err(|error| explain("cannot make a client", &error))
}

/// Waits until no transaction is open before `end`; `reader` is one of committed records.
pub(super) fn wait(
    reader: &BaseConsumer<Ear>,
    topic: &str,
    partition: u32,
    end: u64,
    deadline: Instant,
) -> Result<()> {
    loop {
        let stable = stable(reader, topic, partition)?;
        if stable >= end {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::Retry(open_for_long(topic, partition, stable)));
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
