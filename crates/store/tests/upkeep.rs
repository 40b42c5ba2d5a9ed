//! Opening, migrating, forgetting.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::ops::ControlFlow;
use std::time::Duration;

use common::{DAY, HOUR, LIFE, Rng, START, judge, monitor, observations, place, writing};
use pricemonitor_model::{Observation, Time};
use pricemonitor_store::query::Filter;
use pricemonitor_store::{Database, Error, Maintained};
use sqlx::Connection as _;

async fn count(db: &Database, filter: &Filter) -> u64 {
    let mut rows = 0;
    let each = |_| {
        rows += 1;
        ControlFlow::Continue(())
    };
    db.export(filter, each).await.unwrap();
    rows
}

#[tokio::test]
async fn what_is_older_than_the_retention_goes_whole_hours_at_a_time() {
    let place = place().await;
    let mut histories = Vec::new();
    for (name, retention) in [("m0", 2 * DAY), ("m1", 300 * DAY)] {
        let mut writer = writing(&place.db, name).await;
        let history = observations(&mut Rng(7), 800, true);
        writer.write(&history).await;
        let keep = Duration::from_millis(retention as u64);
        place.db.register(&monitor(name), keep, START).await.unwrap();
        histories.push((name, history));
    }
    let now = START.plus(4 * DAY + 1234);
    let cut = (now.millis() - 2 * DAY).div_euclid(HOUR) * HOUR;
    let kept = |rows: &[Observation<'static>]| {
        judge("", rows).into_iter().filter(|row| row.at.millis() >= cut).collect::<Vec<_>>()
    };
    let (short, long) = (&histories[0].1, &histories[1].1);
    let gone = (short.len() - kept(short).len()) as u64;
    assert!(gone > 100);
    let done = place.db.maintain(now).await.unwrap();
    assert_eq!((done.rows, done.alerts), (gone, 0));
    assert_eq!(place.db.maintain(now).await.unwrap(), Maintained::default(), "nothing is left to do");

    let of = |name: &str| Filter { monitor: Some(format!("default.{name}")), ..Filter::default() };
    assert_eq!(count(&place.db, &of("m0")).await, short.len() as u64 - gone);
    assert_eq!(count(&place.db, &of("m1")).await, long.len() as u64);
    // The hourly figures went with their rows, and only they.
    let found = place.db.statistics(&of("m0")).await.unwrap();
    assert_eq!(found.observations, kept(short).len() as u64);
    assert_eq!(found.changes, kept(short).iter().filter(|row| row.changed).count() as u64);
    assert_eq!(place.db.statistics(&of("m1")).await.unwrap().observations, long.len() as u64);
    let facets = place.db.facets().await.unwrap();
    assert_eq!(facets.monitors[0].from, kept(short).iter().map(|row| row.at).min());
}

#[tokio::test]
async fn a_writer_that_remembers_a_deleted_series_finds_a_new_one() {
    let place = place().await;
    let mut writer = writing(&place.db, "m").await;
    let old = observations(&mut Rng(8), 50, false);
    writer.write(&old).await;
    place.db.register(&monitor("m"), Duration::from_secs(3600), START).await.unwrap();
    let done = place.db.maintain(START.plus(100 * DAY)).await.unwrap();
    assert_eq!(done.rows, 50);
    assert!(done.series > 0);
    assert_eq!(place.db.facets().await.unwrap().monitors[0].events, []);
    let mut new = old.clone();
    new.iter_mut().for_each(|o| o.observed_at = o.observed_at.plus(100 * DAY));
    assert_eq!(writer.write(&new).await.rows, 50);
    let found = place.db.statistics(&Filter::default()).await.unwrap();
    assert_eq!(found.observations, 50);
    assert_eq!(place.db.facets().await.unwrap().monitors[0].events.len(), 3);
}

#[tokio::test]
async fn old_alerts_go_but_not_those_somebody_waits_for() {
    let place = place().await;
    let id = monitor("m");
    place.db.register(&id, Duration::from_secs(3600), START).await.unwrap();
    let mut claim = place.db.claim(&id, "alerts", 0).await.unwrap();
    let json = |n: u32| {
        format!(
            r#"{{"id":"{n:032x}","monitor":"default.m","rule":"r","transition":"firing","severity":"info","source":"s",
            "item":"i","price":"1","currency":"USD","observed_at":"{START}","summary":"x",
            "coordinates":{{"incarnation":1,"partition":0,"offset":{n}}}}}"#
        )
    };
    let texts: Vec<String> = (0..3).map(json).collect();
    let alerts: Vec<_> = texts
        .iter()
        .zip([vec![], vec!["a".to_owned()], vec!["b".to_owned()]])
        .map(|(text, channels)| {
            (serde_json::from_str::<pricemonitor_model::Alert<'_>>(text).unwrap().into_owned(), channels)
        })
        .collect();
    place.db.accept_alerts(&mut claim, LIFE, 0, &alerts, 3, START).await.unwrap();
    place.db.delivered(&id, "a", &[alerts[1].0.id.clone()], None, START).await.unwrap();
    assert_eq!(place.db.maintain(START.plus(HOUR)).await.unwrap().alerts, 0);
    assert_eq!(place.db.maintain(START.plus(HOUR + 1)).await.unwrap().alerts, 2);
    let left = place.db.alerts(&Filter::default(), 10, None).await.unwrap();
    assert_eq!((left.len(), &left[0].id), (1, &format!("{:032x}", 2)));
}

#[tokio::test]
async fn a_database_is_opened_again_and_again_and_beside_another() {
    let place = place().await;
    writing(&place.db, "m").await.write(&observations(&mut Rng(1), 20, true)).await;
    let path = place.folder.path().join("data/prices.sqlite");
    for _ in 0..3 {
        let beside = Database::open_sqlite(&path).await.unwrap();
        assert_eq!(count(&beside, &Filter::default()).await, 20);
        beside.close().await;
    }
    place.db.close().await;
    let error = place.db.cursor().await.unwrap_err();
    assert_eq!(error.to_string(), "cannot read the database: it is closed");
}

#[tokio::test]
async fn many_may_open_a_new_database_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.sqlite");
    let opened = futures::future::join_all((0..4).map(|_| Database::open_sqlite(&path))).await;
    for db in opened {
        db.unwrap().facets().await.unwrap();
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_a_sentence() {
    let place = place().await;
    let path = place.folder.path().join("data/prices.sqlite");
    place.db.close().await;
    let mut raw = sqlx::SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9001, 'from the future', 1, x'00', 0)",
    )
    .execute(&mut raw)
    .await
    .unwrap();
    raw.close().await.unwrap();
    let error = Database::open_sqlite(&path).await.unwrap_err();
    assert!(matches!(&error, Error::Newer(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("schema version 9001, written by a newer PriceMonitor"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_opened_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "these are notes, not a database, and there are many of them\n".repeat(50))
        .unwrap();
    let error = Database::open_sqlite(&text).await.unwrap_err().to_string();
    assert!(error.ends_with("it is not a SQLite database"), "{error}");
    let below = text.join("prices.sqlite");
    let error = Database::open_sqlite(&below).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot make the folder"), "{error}");
    let error = Database::open_sqlite(folder.path()).await.unwrap_err().to_string();
    assert!(error.contains("check that the folder exists and may be written"), "{error}");
}

/// Prices at the ends of time are kept like others.
#[tokio::test]
async fn the_ends_of_time_are_instants_too() {
    let place = place().await;
    let mut writer = writing(&place.db, "m").await;
    let at = |time| Observation::new("s", "i", common::price("1"), "USD", time);
    writer.write(&[at(Time::MIN), at(Time::from_millis(-1)), at(Time::MAX)]).await;
    assert_eq!(place.db.statistics(&Filter::default()).await.unwrap().observations, 3);
    assert_eq!(count(&place.db, &Filter::default()).await, 3);
    let history = place.db.history(&Filter::default(), 1, 2).await.unwrap();
    assert!(history.lines[0].points.len() <= 2);
    assert!(!place.db.hour_profile(&Filter::default(), "Asia/Kathmandu").await.unwrap().is_empty());
}
