//! Stopping the pipelines from the front.

use std::time::{Duration, Instant};

use pricemonitor_eventlog::{EventLog, Log, Topic};
use pricemonitor_workers::supervise::Worker;

use super::Shared;
use super::monitor::{Reader, Running, Sending};

/// How long the workers may take to catch up before they are stopped.
const DRAIN: Duration = Duration::from_millis(1500);
/// How long the sources may take to end, and all workers together; one that hangs is left behind.
const SOURCES: Duration = Duration::from_millis(1000);
const WORKERS: Duration = Duration::from_millis(3000);
/// How long messages under way, all together, may take before their senders are ended.
const LAST_MESSAGE: Duration = Duration::from_millis(750);

/// What was still on its way when the workers stopped.
#[derive(Debug, Default)]
pub(crate) struct Flushed {
    /// Readers with records still to be read at the next start, by monitor.
    pub(crate) left: Vec<(String, &'static str, u64)>,
    /// Errors that ended a worker.
    pub(crate) errors: Vec<String>,
}

/// Stops the pipelines from the front: sources, then processors, then sinks, then senders, each
/// after it has had time to take what the one before it wrote. Without `drain` nobody has: what a part
/// has not read yet, others of its group will, or this one after its next start.
pub(crate) fn stop_in_order(running: Vec<Running>, shared: &Shared, drain: bool) -> Flushed {
    let mut flushed = Flushed::default();
    let mut running = running;
    for one in &running {
        one.producer.iter().for_each(Worker::stop);
    }
    let producers = running.iter_mut().filter_map(|one| one.producer.take()).collect();
    let begun = Instant::now();
    join(producers, begun + SOURCES, &mut flushed);
    let deadline = Instant::now() + if drain { DRAIN } else { Duration::ZERO };
    for one in &running {
        catch_up(&one.log, &one.readers, |worker| worker == "processor", deadline);
    }
    running.iter().filter_map(|one| one.processor.as_ref()).for_each(Worker::stop);
    let (mut processors, mut sinks, mut senders, mut logs) = (vec![], vec![], vec![], vec![]);
    for one in running {
        processors.extend(one.processor);
        sinks.extend(one.sinks);
        senders.extend(one.senders);
        logs.push((one.monitor, one.log, one.readers));
    }
    let last = begun + WORKERS;
    join(processors, last, &mut flushed);
    for (_, log, readers) in &logs {
        catch_up(log, readers, |worker| worker != "processor", deadline);
    }
    sinks.iter().for_each(Worker::stop);
    join(sinks, last, &mut flushed);
    for (monitor, log, readers) in logs.into_iter().filter(|_| drain) {
        for (name, group, topic) in readers {
            let left = lag(&log, &group, topic);
            if left > 0 {
                flushed.left.push((monitor.id.to_string(), name, left));
            }
        }
    }
    shared.runtime.block_on(end(senders));
    flushed
}

/// Waits for workers that were asked to stop, all of them against one deadline.
fn join(workers: Vec<Worker>, deadline: Instant, flushed: &mut Flushed) {
    for worker in workers {
        if let Err(error) = worker.join(deadline) {
            flushed.errors.push(error.to_string());
        }
    }
}

fn catch_up(log: &Log, readers: &[Reader], which: impl Fn(&str) -> bool, deadline: Instant) {
    if Instant::now() >= deadline {
        return;
    }
    for (_, group, topic) in readers.iter().filter(|(name, ..)| which(name)) {
        while lag(log, group, *topic) > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// What a log says that cannot be reached counts as nothing: nobody may wait for it now.
fn lag(log: &Log, group: &str, topic: Topic) -> u64 {
    if log.status().unavailable.is_some() {
        return 0;
    }
    log.lag(group, topic).map_or(0, |lag| lag.iter().map(|partition| partition.records).sum())
}

async fn end(senders: Vec<Sending>) {
    let deadline = tokio::time::Instant::now() + LAST_MESSAGE;
    let tasks: Vec<_> = senders
        .into_iter()
        .map(|sender| {
            drop(sender.cancel);
            sender.task
        })
        .collect();
    for mut task in tasks {
        if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
            task.abort();
        }
    }
}
