//! What happens beside the pipeline: lag metrics and the database's housekeeping.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pricemonitor_eventlog::{EventLog, Log, Topic};
use pricemonitor_model::{MonitorId, Time};
use pricemonitor_store::Database;
use pricemonitor_workers::clock::{self, Leaps};
use pricemonitor_workers::health::Part;
use pricemonitor_workers::{Health, MonitorMetrics, now};
use tokio_util::sync::CancellationToken;

use super::Roles;
use super::monitor::{Reader, Running};

/// How often the outbox is counted.
const OUTBOX: Duration = Duration::from_secs(5);
/// How often a database is asked whether it is there, and how long its answer may take.
const DATABASE: Duration = Duration::from_secs(3);
/// How often the event log is looked at: whether it works, and how far its readers are behind.
const LAG: Duration = Duration::from_secs(1);
/// How often the database is kept in order; the first time soon after the start.
const MAINTENANCE: Duration = Duration::from_secs(300);
const FIRST_MAINTENANCE: Duration = Duration::from_secs(20);
/// Most milliseconds by which the clock may run ahead before old prices are deleted by it.
const LEAP: i64 = 86_400_000;

/// What is measured of a monitor.
#[derive(Clone)]
pub(crate) struct Watched {
    monitor: MonitorId,
    /// Those whose alerts are told from here.
    channels: Vec<String>,
    log: Log,
    database: Option<Database>,
    metrics: MonitorMetrics,
    readers: Vec<Reader>,
}

/// What is to be measured, while `roles` run here.
pub(crate) fn watched(running: &[Running], roles: Roles) -> Vec<Watched> {
    let channels = |one: &Running| match roles.alert {
        true => one.monitor.channels.iter().map(|channel| channel.name.clone()).collect(),
        false => Vec::new(),
    };
    let watch = |one: &Running| Watched {
        monitor: one.monitor.id.clone(),
        channels: channels(one),
        log: one.log.clone(),
        database: one.database.clone(),
        metrics: one.metrics.clone(),
        readers: one.readers.clone(),
    };
    running.iter().map(watch).collect()
}

/// Runs until `stop`. `kept` are the databases that are kept in order from here.
pub(crate) async fn run(health: Health, watched: Vec<Watched>, kept: Vec<Database>, stop: CancellationToken) {
    tokio::join!(
        working(watched.clone(), health.clone(), stop.clone()),
        measure(watched.clone(), health, stop.clone()),
        outbox(watched.clone(), stop.clone()),
        maintain(kept, watched, stop)
    );
}

/// Says whether each database answers, until `stop`: who only reads would not notice.
pub(crate) async fn databases(health: Health, databases: Vec<Database>, stop: CancellationToken) {
    let parts: Vec<Part> = (1..=databases.len())
        .map(|n| Part::worker("", &if n == 1 { "database".to_owned() } else { format!("database {n}") }))
        .collect();
    while !stopped_within(&stop, DATABASE).await {
        for (database, part) in databases.iter().zip(&parts) {
            let why = match tokio::time::timeout(DATABASE, database.cursor()).await {
                Ok(Ok(_)) => {
                    health.well(part);
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {} s", DATABASE.as_secs()),
            };
            if health.ill(part, why.clone()) {
                tracing::warn!("the database does not answer: {why}");
            }
        }
    }
}

/// Says whether each log works. One that takes nothing (the disk is full, the cluster is away) or tells nothing (a
/// partition without a leader) makes its workers wait, not fail: that is said here. Nobody is asked, so it is said at
/// once, however long the lag cannot be measured.
async fn working(watched: Vec<Watched>, health: Health, stop: CancellationToken) {
    while !stopped_within(&stop, LAG).await {
        for one in &watched {
            let part = Part::worker(one.monitor.as_str(), "event log");
            match one.log.status().unavailable {
                Some(why) => health.ill(&part, why),
                None => health.well(&part),
            };
        }
    }
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

/// Who reads nothing, as a producer by itself, asks as well: an append that waits for the answer of a cluster that went
/// away says nothing for a minute.
fn look(one: &Watched, health: &Health) {
    let (name, trouble) = match one.readers.is_empty() {
        true => ("kafka", one.log.ends(Topic::Checkpoints).err().map(|error| error.to_string())),
        false => ("lag", lag(one)),
    };
    let part = Part::worker(one.monitor.as_str(), name);
    match trouble {
        Some(why) => health.ill(&part, why),
        None => health.well(&part),
    };
}

/// Everything that waits for a channel, also what is off and what is tried again later.
async fn outbox(watched: Vec<Watched>, stop: CancellationToken) {
    while !stopped_within(&stop, OUTBOX).await {
        for one in watched.iter().filter(|one| !one.channels.is_empty()) {
            let Some(database) = &one.database else { continue };
            let Ok(counts) = database.pending_counts(&one.monitor).await else { continue };
            for channel in &one.channels {
                let waiting = counts.iter().find(|count| count.channel == *channel);
                let alerts = waiting.map_or(0, |count| i64::try_from(count.alerts).unwrap_or(i64::MAX));
                one.metrics.pending(channel).set(alerts);
            }
        }
    }
}

/// Measures the lag of every reader. Tells why one could not be.
fn lag(one: &Watched) -> Option<String> {
    let mut trouble = None;
    for (worker, group, topic) in &one.readers {
        let partitions = match one.log.lag(group, *topic) {
            Ok(partitions) => partitions,
            Err(error) => {
                trouble = Some(format!("how far the {worker} is behind cannot be seen: {error}"));
                continue;
            }
        };
        for lag in partitions {
            let age = lag.oldest.map_or(0.0, |oldest| now().since(oldest).max(0) as f64 / 1000.0);
            let records = i64::try_from(lag.records).unwrap_or(i64::MAX);
            one.metrics.lag_records(worker, lag.partition).set(records);
            one.metrics.lag_seconds(worker, lag.partition).set(age);
        }
    }
    trouble
}

async fn maintain(kept: Vec<Database>, watched: Vec<Watched>, stop: CancellationToken) {
    let mut wait = FIRST_MAINTENANCE;
    let mut leaps = Leaps::new(LEAP, Some(now()));
    while !stopped_within(&stop, wait).await {
        wait = MAINTENANCE;
        tokio::select! {
            () = stop.cancelled() => return,
            () = keep_house(&kept, &watched, &mut leaps, now(), Instant::now()) => {}
        }
    }
}

/// What is too old at `at` leaves the database, unless the clock has just leapt: a wrong one would have all of
/// the history thrown away. `steady` is the instant of the same look at the clock.
async fn keep_house(kept: &[Database], watched: &[Watched], leaps: &mut Leaps, at: Time, steady: Instant) {
    if let Err(leap) = leaps.judge(at, steady) {
        let leap = clock::span(leap);
        tracing::warn!(
            "the clock leapt ahead by {leap}: the database's housekeeping waits for 5 minutes; set it right now if it is wrong"
        );
        return;
    }
    for database in kept {
        match database.maintain(at).await {
            Ok(done) => {
                tracing::debug!(?done, "the database is in order");
                // Told by whoever did the work; another process's word is as good.
                let Some(rows) = done.unsorted else { continue };
                let rows = i64::try_from(rows).unwrap_or(i64::MAX);
                watched.iter().for_each(|one| one.metrics.unsorted().set(rows));
            }
            Err(error) => {
                tracing::warn!("the database's housekeeping failed, tried again in 5 minutes: {error}");
            }
        }
    }
}

async fn stopped_within(stop: &CancellationToken, wait: Duration) -> bool {
    tokio::select! {
        () = stop.cancelled() => true,
        () = tokio::time::sleep(wait) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pricemonitor_model::{Decimal, Incarnation, Observation};
    use pricemonitor_store::query::Filter;
    use pricemonitor_store::{HistoryRow, HistoryWriter};
    use pricemonitor_testkit::place::Place;

    use super::*;

    /// A database that keeps prices for thirty days, with one that was seen at `at`.
    async fn with_a_price(folder: &Path, at: Time) -> Database {
        let database = Database::open_sqlite(&folder.join("prices.sqlite")).await.unwrap();
        let id = MonitorId::new(None, "m");
        let key = database.register(&id, Duration::from_secs(30 * 86_400), at).await.unwrap();
        let mut claim = database.claim(&id, "history", 0).await.unwrap();
        let observation = Observation::new("s", "i", Decimal::new(100, 2), "USD", at);
        let rows = [HistoryRow { offset: 0, log_time: at, observation: &observation }];
        let mut writer = HistoryWriter::new(key);
        database.write_history(&mut writer, &mut claim, Incarnation(1), 0, &rows, 1).await.unwrap();
        database
    }

    #[tokio::test]
    async fn a_clock_that_leapt_ahead_drops_no_history_before_it_has_stood_for_a_minute() {
        let (place, start) = (Place::new().unwrap(), Time::from_seconds(1_800_000_000));
        let kept = [with_a_price(place.path(), start).await];
        let (mut leaps, steady) = (Leaps::new(LEAP, Some(start)), Instant::now());
        let year = 365 * LEAP;
        // As often as a database is kept in order: seconds since the start, how far the clock is ahead, prices left.
        let looks: [(u32, i64, u64); 5] = [
            (20, 0, 1),
            (320, year, 1),
            // Put right, and wrong once more.
            (620, 0, 1),
            (920, year, 1),
            // It stays there, so that it is believed: what kept the price was the doubt, nothing else.
            (1_220, year, 0),
        ];
        for (seconds, ahead, left) in looks {
            let at = start.plus(i64::from(seconds) * 1_000 + ahead);
            let passed = Duration::from_secs(seconds.into());
            keep_house(&kept, &[], &mut leaps, at, steady + passed).await;
            let found = kept[0].statistics(&Filter::default()).await.unwrap().observations;
            assert_eq!(found, left, "after {seconds} s, {ahead} ms ahead");
        }
    }
}
