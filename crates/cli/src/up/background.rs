//! What happens beside the pipeline: lag metrics and the database's housekeeping.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pricemonitor_eventlog::embedded::EmbeddedLog;
use pricemonitor_eventlog::{EventLog, Topic};
use pricemonitor_model::MonitorId;
use pricemonitor_workers::clock::{self, Leaps};
use pricemonitor_workers::health::Part;
use pricemonitor_workers::{Health, MonitorMetrics, now};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::monitor::Running;

/// How often the outbox is counted.
const OUTBOX: Duration = Duration::from_secs(5);
/// How often lag is measured.
const LAG: Duration = Duration::from_secs(1);
/// How often the database is kept in order; the first time soon after the start.
const MAINTENANCE: Duration = Duration::from_secs(300);
const FIRST_MAINTENANCE: Duration = Duration::from_secs(20);
/// Most milliseconds by which the clock may run ahead before old prices are deleted by it.
const LEAP: i64 = 86_400_000;

/// A monitor's readers, as far as lag goes.
#[derive(Clone)]
pub(super) struct Watched {
    monitor: MonitorId,
    channels: Vec<String>,
    log: EmbeddedLog,
    metrics: MonitorMetrics,
    readers: Vec<(&'static str, String, Topic)>,
}

pub(super) fn watched(running: &[Running]) -> Vec<Watched> {
    let watch = |one: &Running| Watched {
        monitor: one.monitor.id.clone(),
        channels: one.monitor.channels.iter().map(|channel| channel.name.clone()).collect(),
        log: one.log.clone(),
        metrics: one.metrics.clone(),
        readers: one.readers.clone(),
    };
    running.iter().map(watch).collect()
}

/// Runs until `stop`.
pub(super) async fn run(shared: Arc<Shared>, watched: Vec<Watched>, stop: CancellationToken) {
    let health = shared.health.clone();
    tokio::join!(
        measure(watched.clone(), health, stop.clone()),
        outbox(shared.clone(), watched, stop.clone()),
        maintain(shared, stop)
    );
}

async fn measure(watched: Vec<Watched>, health: Health, stop: CancellationToken) {
    let watched = Arc::new(watched);
    while !stopped_within(&stop, LAG).await {
        let (watched, health) = (watched.clone(), health.clone());
        let look = move || watched.iter().for_each(|one| look(one, &health));
        let looked = tokio::task::spawn_blocking(look).await;
        if let Err(error) = looked {
            tracing::warn!("lag could not be measured: {error}");
        }
    }
}

fn look(one: &Watched, health: &Health) {
    // A log that takes nothing (the disk is full) makes its workers wait, not fail: say so here.
    let part = Part::worker(one.monitor.as_str(), "event log");
    match one.log.status().unavailable {
        Some(why) => health.ill(&part, why),
        None => health.well(&part),
    };
    lag(one);
}

/// Everything that waits for a channel, also what is off and what is tried again later.
async fn outbox(shared: Arc<Shared>, watched: Vec<Watched>, stop: CancellationToken) {
    while !stopped_within(&stop, OUTBOX).await {
        for one in watched.iter().filter(|one| !one.channels.is_empty()) {
            let Ok(counts) = shared.database.pending_counts(&one.monitor).await else { continue };
            for channel in &one.channels {
                let waiting = counts.iter().find(|count| count.channel == *channel);
                let alerts = waiting.map_or(0, |count| i64::try_from(count.alerts).unwrap_or(i64::MAX));
                one.metrics.pending(channel).set(alerts);
            }
        }
    }
}

fn lag(one: &Watched) {
    for (worker, group, topic) in &one.readers {
        let Ok(partitions) = one.log.lag(group, *topic) else { continue };
        let records: u64 = partitions.iter().map(|partition| partition.records).sum();
        let oldest = partitions.iter().filter_map(|partition| partition.oldest).min();
        let age = oldest.map_or(0.0, |oldest| now().since(oldest).max(0) as f64 / 1000.0);
        one.metrics.lag_records(worker).set(i64::try_from(records).unwrap_or(i64::MAX));
        one.metrics.lag_seconds(worker).set(age);
    }
}

async fn maintain(shared: Arc<Shared>, stop: CancellationToken) {
    let mut wait = FIRST_MAINTENANCE;
    let mut leaps = Leaps::new(LEAP, Some(now()));
    while !stopped_within(&stop, wait).await {
        wait = MAINTENANCE;
        tokio::select! {
            () = stop.cancelled() => return,
            () = keep_house(&shared, &mut leaps) => {}
        }
    }
}

/// What is too old leaves the database, unless the clock has just leapt: a wrong one would have all of
/// the history thrown away.
async fn keep_house(shared: &Shared, leaps: &mut Leaps) {
    let at = now();
    if let Err(leap) = leaps.judge(at, Instant::now()) {
        let leap = clock::span(leap);
        tracing::warn!(
            "the clock leapt ahead by {leap}: the database's housekeeping waits for 5 minutes; set it right now if it is wrong"
        );
        return;
    }
    match shared.database.maintain(at).await {
        Ok(done) => tracing::debug!(?done, "the database is in order"),
        Err(error) => {
            tracing::warn!("the database's housekeeping failed, tried again in 5 minutes: {error}");
        }
    }
}

async fn stopped_within(stop: &CancellationToken, wait: Duration) -> bool {
    tokio::select! {
        () = stop.cancelled() => true,
        () = tokio::time::sleep(wait) => false,
    }
}
