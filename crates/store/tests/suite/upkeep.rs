//! Opening, migrating, forgetting.
use std::ops::ControlFlow;
use std::time::Duration;

use super::common::{Bed, DAY, HOUR, LIFE, Rng, START, judge, monitor, observations, place, rows, writing};
use pricemonitor_model::{MonitorId, Observation, Time};
use pricemonitor_store::query::Filter;
use pricemonitor_store::{Database, Error, HistoryWriter, Maintained, Removed};

pub async fn count(db: &Database, filter: &Filter) -> u64 {
    let mut rows = 0;
    let each = |_| {
        rows += 1;
        ControlFlow::Continue(())
    };
    db.export(filter, each).await.unwrap();
    rows
}

pub async fn what_is_older_than_the_retention_goes_whole_hours_at_a_time<B: Bed>() {
    let place = place::<B>().await;
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
    let nothing = Maintained { unsorted: done.unsorted, ..Maintained::default() };
    assert_eq!(place.db.maintain(now).await.unwrap(), nothing, "nothing is left to do");

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

pub async fn a_writer_that_remembers_a_deleted_series_finds_a_new_one<B: Bed>() {
    let place = place::<B>().await;
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

pub async fn old_alerts_go_but_not_those_somebody_waits_for<B: Bed>() {
    let place = place::<B>().await;
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
    assert_eq!(place.db.attempting("a", &[2], START).await.unwrap(), 1);
    place.db.delivered("a", &[2], None, &[], START).await.unwrap();
    assert_eq!(place.db.maintain(START.plus(HOUR)).await.unwrap().alerts, 0);
    assert_eq!(place.db.maintain(START.plus(HOUR + 1)).await.unwrap().alerts, 2);
    let left = place.db.alerts(&Filter::default(), 10, None).await.unwrap();
    assert_eq!((left.len(), &left[0].id), (1, &format!("{:032x}", 2)));
}

/// Prices at the ends of time are kept like others.
pub async fn the_ends_of_time_are_instants_too<B: Bed>() {
    let place = place::<B>().await;
    let mut writer = writing(&place.db, "m").await;
    let at = |time| Observation::new("s", "i", super::common::price("1"), "USD", time);
    writer.write(&[at(Time::MIN), at(Time::from_millis(-1)), at(Time::MAX)]).await;
    assert_eq!(place.db.statistics(&Filter::default()).await.unwrap().observations, 3);
    assert_eq!(count(&place.db, &Filter::default()).await, 3);
    let history = place.db.history(&Filter::default(), 1, 2).await.unwrap();
    assert!(history.lines[0].points.len() <= 2);
    assert!(!place.db.hour_profile(&Filter::default(), "Asia/Kathmandu").await.unwrap().is_empty());
}

pub async fn a_removed_monitor_leaves_nothing_and_the_others_alone<B: Bed>() {
    let place = place::<B>().await;
    let history = observations(&mut Rng(3), 300, true);
    // The same name in two namespaces: two monitors that share nothing.
    let (gone, stays) = (MonitorId::new(Some("a"), "m"), MonitorId::new(Some("b"), "m"));
    let mut writers = Vec::new();
    for id in [&gone, &stays] {
        let key = place.db.register(id, Duration::from_secs(365 * 86_400), START).await.unwrap();
        let mut claim = place.db.claim(id, "history", 0).await.unwrap();
        assert_eq!(claim.position, None);
        let mut writer = HistoryWriter::new(key);
        let rows = rows(&history, 0);
        place.db.write_history(&mut writer, &mut claim, LIFE, 0, &rows, 300).await.unwrap();
        writers.push((writer, claim));
        let mut claim = place.db.claim(id, "alerts", 0).await.unwrap();
        let json = format!(
            r#"{{"id":"{:032x}","monitor":"{id}","rule":"r","transition":"firing","severity":"info","source":"s",
            "item":"i","price":"1","currency":"USD","observed_at":"{START}","summary":"x",
            "coordinates":{{"incarnation":1,"partition":0,"offset":0}}}}"#,
            writers.len()
        );
        let alert = serde_json::from_str::<pricemonitor_model::Alert<'_>>(&json).unwrap().into_owned();
        place
            .db
            .accept_alerts(&mut claim, LIFE, 0, &[(alert, vec!["c".to_owned()])], 1, START)
            .await
            .unwrap();
        assert!(place.db.lease(id, "c", "me", START, 1_000).await.unwrap());
    }
    place.db.maintain(START.plus(2 * DAY)).await.unwrap();
    let of = |id: &MonitorId| Filter { monitor: Some(id.to_string()), ..Filter::default() };
    let before = place.db.statistics(&of(&stays)).await.unwrap();
    let removed = place.db.remove(&gone).await.unwrap();
    assert_eq!((removed.rows, removed.alerts), (300, 1));
    assert!(removed.series > 0);
    assert_eq!(
        place.db.remove(&gone).await.unwrap(),
        Removed::default(),
        "a monitor that is gone is no error"
    );

    let facets = place.db.facets().await.unwrap();
    assert_eq!(facets.monitors.iter().map(|m| m.monitor.as_str()).collect::<Vec<_>>(), ["b.m"]);
    assert_eq!(place.db.statistics(&of(&gone)).await.unwrap(), Default::default());
    assert_eq!(place.db.statistics(&of(&stays)).await.unwrap(), before);
    assert_eq!(count(&place.db, &Filter::default()).await, 300);
    assert_eq!(place.db.pending_counts(&stays).await.unwrap().len(), 1);
    // A worker that did not hear of it writes nothing more, the other one goes on.
    let rows = rows(&history, 300);
    let results = writers
        .iter_mut()
        .map(async |(writer, claim)| place.db.write_history(writer, claim, LIFE, 0, &rows, 600).await);
    let mut results = futures::future::join_all(results).await;
    assert_eq!(results.pop().unwrap().unwrap().rows, 300);
    assert!(matches!(results.pop().unwrap(), Err(Error::Fenced(_))));
    // It may come back, and begins anew.
    place.db.register(&gone, Duration::from_secs(60), START).await.unwrap();
    assert_eq!(place.db.claim(&gone, "history", 0).await.unwrap().position, None);
}
