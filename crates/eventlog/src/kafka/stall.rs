//! Partitions of which nothing comes.
//!
//! Behind the last record of each there are marks of transactions, which nobody is shown. Whoever stood in front of them
//! would look, once retention has deleted them too, as if it had missed records; so a reader at rest learns here how far
//! there is nothing to be missed. That is asked of the log itself: what librdkafka tells of a partition's end may overtake
//! messages that wait in another of its queues.
//!
//! And there may be more: after a connection that broke, librdkafka may wait for ever for an answer about one partition that nobody will give
//! (its issue 4492), and reads the others. Whoever reads by it has to look whether that is so.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;

use super::log::Shared;
use super::membership::Membership;
use super::scan;
use crate::{Error, Result, Topic};

/// How long a partition may stand still before it is looked at: longer than a transaction may hold readers back.
const STILL: Duration = Duration::from_secs(15);
/// How long a member at its end looks, and at how many partitions at once.
const AT_THE_END: Duration = Duration::from_secs(1);
const AT_ONCE: usize = 4;
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
    /// each that is at rest, every 15 s. `parts` are those that should be read, and where each stands. Tells those behind
    /// which there is nothing but marks, and where these end.
    ///
    /// # Errors
    /// [`Error::Retry`] when one is not read although it has records: the membership is of no use any more.
    pub(super) fn look(
        &mut self,
        log: &Shared,
        membership: &Membership,
        topic: Topic,
        parts: impl Iterator<Item = (u32, u64)>,
    ) -> Result<Vec<(u32, u64)>> {
        let (mut there, mut passed) = (BTreeMap::new(), Vec::new());
        for (partition, at) in parts {
            let known = self.parts.remove(&partition).filter(|known| known.at == at);
            let mut still = known.unwrap_or_else(|| Still { at, since: Instant::now(), empty: at });
            if still.since.elapsed() > STILL {
                still.since = Instant::now();
                // A cluster that does not answer is another trouble, and told elsewhere.
                match unread(log, membership, topic, partition, &mut still) {
                    Ok(false) if still.empty > at => passed.push((partition, still.empty)),
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
        Ok(passed)
    }
}

/// As [`Stall::look`] tells it, for a member at its end: of all partitions at once, and only for about a second. Whatever
/// cannot be seen in that time, the next owner sees.
pub(super) fn passed(log: &Shared, topic: Topic, parts: &[(u32, u64)]) -> Vec<(u32, u64)> {
    let deadline = Instant::now() + AT_THE_END;
    let mut passed = Vec::new();
    for some in parts.chunks(AT_ONCE) {
        if Instant::now() > deadline {
            break;
        }
        thread::scope(|scope| {
            let one = |(partition, at): &(u32, u64)| {
                let (partition, at) = (*partition, *at);
                scope.spawn(move || Some((partition, marks(log, topic, partition, at).ok().flatten()?)))
            };
            let running: Vec<_> = some.iter().map(one).collect();
            passed.extend(running.into_iter().filter_map(|one| one.join().ok().flatten()));
        });
    }
    passed
}

/// Where the marks end behind which there is no committed record, if there are any.
fn marks(log: &Shared, topic: Topic, partition: u32, at: u64) -> Result<Option<u64>> {
    let settled = log.asker.settled(log.name(topic), partition)?;
    Ok((settled > at && !has_record(log, topic, partition, at, settled)?).then_some(settled))
}

fn has_record(log: &Shared, topic: Topic, partition: u32, from: u64, to: u64) -> Result<bool> {
    let mut found = false;
    scan::scan(log, topic, partition, from..to, &mut |_| {
        found = true;
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
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
    let found = has_record(log, topic, partition, still.empty, stable)?;
    if !found {
        still.empty = stable;
    }
    Ok(found)
}
