//! Partitions of which nothing comes although there is more.
//!
//! After a connection that broke, librdkafka may wait for ever for an answer about one partition that nobody will give
//! (its issue 4492), and reads the others. Whoever reads by it has to look whether that is so.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;

use super::log::Shared;
use super::membership::Membership;
use super::scan;
use crate::{Error, Result, Topic};

/// How long a partition may stand still before it is looked at: longer than a transaction may hold readers back.
const STILL: Duration = Duration::from_secs(15);
/// How long the look may wait for an answer.
const ASK: Duration = Duration::from_secs(2);

/// Why a membership is given up.
const STALLED: &str = "a partition is not read although it has more";

/// Whether that is how it ended.
pub(super) fn has_caused(error: &Error) -> bool {
    matches!(error, Error::Retry(why) if why == STALLED)
}

/// As [`has_caused`], of a result.
pub(super) fn is<T>(ended: &Result<T>) -> bool {
    ended.as_ref().is_err_and(has_caused)
}

/// How long each partition has stood where it stands.
#[derive(Debug, Default)]
pub(super) struct Stall {
    parts: BTreeMap<u32, Still>,
}

#[derive(Debug)]
struct Still {
    at: u64,
    since: Instant,
    /// Up to where nothing but marks of transactions is known to be.
    empty: u64,
}

impl Stall {
    /// Looks at partitions that have stood still for long. To be called often; it costs a question to the cluster for
    /// each that is at rest, every 15 s. `parts` are those that should be read, and where each stands.
    ///
    /// # Errors
    /// [`Error::Retry`] when one is not read although it has records: the membership is of no use any more.
    pub(super) fn look(
        &mut self,
        log: &Shared,
        membership: &Membership,
        topic: Topic,
        parts: impl Iterator<Item = (u32, u64)>,
    ) -> Result<()> {
        let mut there = BTreeMap::new();
        for (partition, at) in parts {
            let known = self.parts.remove(&partition).filter(|known| known.at == at);
            let mut still = known.unwrap_or_else(|| Still { at, since: Instant::now(), empty: at });
            if still.since.elapsed() > STILL {
                still.since = Instant::now();
                // A cluster that does not answer is another trouble, and told elsewhere.
                match unread(log, membership, topic, partition, &mut still) {
                    Ok(false) => {}
                    Ok(true) => {
                        tracing::warn!(
                            group = membership.group,
                            partition,
                            "nothing comes although there is more behind offset {at}: the group is joined anew"
                        );
                        return Err(Error::Retry(STALLED.to_owned()));
                    }
                    Err(error) => tracing::debug!(group = membership.group, "{error}"),
                }
            }
            there.insert(partition, still);
        }
        self.parts = there;
        Ok(())
    }
}

/// Whether there is a committed record behind where a partition stands.
fn unread(
    log: &Shared,
    membership: &Membership,
    topic: Topic,
    partition: u32,
    still: &mut Still,
) -> Result<bool> {
    // Asked by a reader of committed records, the cluster tells up to where all is decided.
    let ends = membership.consumer().fetch_watermarks(log.name(topic), partition as i32, ASK);
    let Ok((_, stable)) = ends else { return Ok(false) };
    let stable = stable.max(0) as u64;
    if stable <= still.empty {
        return Ok(false);
    }
    let mut found = false;
    scan::scan(log, topic, partition, still.empty..stable, &mut |_| {
        found = true;
        Ok(ControlFlow::Break(()))
    })?;
    if !found {
        still.empty = stable;
    }
    Ok(found)
}
