//! Alerts on their way from the log into the outbox.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use pricemonitor_eventlog::{Batch, Error, Position, Record, Sink as _};
use pricemonitor_model::{Alert, AlertId, Incarnation, MonitorId, wire};
use pricemonitor_notify::sample_alert;
use pricemonitor_store::Database;
use pricemonitor_workers::alert::{Acceptor, Route, Wake};
use pricemonitor_workers::{Metrics, now};

#[test]
fn a_partition_with_an_alert_of_a_newer_program_keeps_no_other_from_being_accepted() {
    let (folder, id) = (tempfile::tempdir().unwrap(), MonitorId::new(None, "m"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let database = runtime.block_on(async {
        let database = Database::open_sqlite(&folder.path().join("prices.sqlite")).await.unwrap();
        database.register(&id, Duration::from_secs(86_400), now()).await.unwrap();
        database
    });
    let metrics = Metrics::new().unwrap().monitor("default.m");
    let routes = vec![Route { channel: "hook".to_owned(), send_resolved: true }];
    let (wake, handle) = (Wake::default(), runtime.handle().clone());
    let mut acceptor = Acceptor::new(id.clone(), routes, database.clone(), wake, handle, metrics.clone());
    for partition in 0..3 {
        assert_eq!(acceptor.position(partition).unwrap(), None);
    }

    let alert = |name: &str| {
        let alert = Alert { id: AlertId::stored(name), channels: None, ..sample_alert(&id, now()) };
        let mut value = Vec::new();
        wire::write_alert(&alert, &mut value);
        value
    };
    let values = [alert("1"), br#"{"v":99,"kind":"alert"}"#.to_vec(), alert("2")];
    let record = |value| Record { offset: 7, timestamp: now(), key: None, value: Some(value) };
    let records: Vec<[Record<'_>; 1]> = values.iter().map(|value| [record(value.as_slice())]).collect();
    let batches: Vec<Batch<'_>> = (0..)
        .zip(&records)
        .map(|(partition, records)| Batch { incarnation: Incarnation(1), partition, records })
        .collect();
    let answers = acceptor.write_all(&batches);
    assert!(matches!(&answers[..], [Ok(()), Err(Error::TooNew { offset: 7, .. }), Ok(())]), "{answers:?}");

    let due = runtime.block_on(database.due(&id, "hook", now(), 10)).unwrap().pending;
    let ids: Vec<&str> = due.iter().map(|pending| pending.alert.id.as_str()).collect();
    assert_eq!(ids, ["1", "2"]);
    assert_eq!((metrics.rows("alerts").get(), metrics.duplicates("alerts").get()), (2, 0));
    assert_eq!(metrics.write_seconds("alerts").get_sample_count(), 1, "it was one call");
    let behind = Some(Position { incarnation: Incarnation(1), next_offset: 8 });
    let stands: Vec<_> = (0..3).map(|partition| acceptor.position(partition).unwrap()).collect();
    assert_eq!(stands, [behind, None, behind]);
}
