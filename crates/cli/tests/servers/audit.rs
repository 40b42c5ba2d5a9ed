//! `pricemonitor audit` and `dead-letters` on real servers, beside workers at work and after kills.

use pricemonitor_testkit::{place, wait};

use crate::common::{SOON, manifest, refused};
use crate::fleet::{Fleet, feed};

const SPEC: &str = "
sources:
- {name: market, interval: 100ms, simulator: {events: 8, seed: 5}}
storage:
  csv: {path: prices.csv, source: audit}
kafka:
  partitions: 3
";

#[test]
fn an_installation_that_lives_through_kills_is_clean_and_what_is_planted_is_found() {
    let fleet = Fleet::new(&manifest("audited", SPEC)).with_database("audited");
    let data = fleet.place.at("data").display().to_string();
    let audit = ["audit", "--data-dir", &data];
    fleet.does(&["setup"]);
    feed("default.audited.raw_prices", "shop/seat\t{broken\n");

    let producer = fleet.ready("producer");
    let others: Vec<_> = ["processor", "storage", "alert"].map(|role| fleet.ready(role)).into();
    let grows_by = |more: i64| {
        let goal = fleet.count("price_history") + more;
        wait::until("rows", SOON, || fleet.count("price_history") >= goal).unwrap();
    };
    grows_by(200);
    let told = fleet.does(&audit);
    assert!(
        told.starts_with("audited: clean\n") && told.contains("1 refused raw record with 1 dead letter"),
        "{told}"
    );
    let mut again = Vec::new();
    for worker in others {
        let port = worker.port;
        worker.process.kill9().unwrap();
        let role = ["processor", "storage", "alert"][again.len()];
        again.push(fleet.start(role, port));
    }
    again.iter_mut().for_each(super::fleet::Worker::ready);
    grows_by(200);
    fleet.does(&audit);
    producer.end();
    let behind = || fleet.does(&audit).contains("behind");
    wait::until("everything to arrive", SOON, || !behind()).unwrap();
    wait::until("an alert", SOON, || fleet.count("price_drop_alerts") > 0).unwrap();

    // A letter goes back, and comes again.
    let list = ["dead-letters", "list", "--format", "json"];
    assert_eq!(fleet.does(&list).lines().count(), 1);
    assert_eq!(fleet.does(&["dead-letters", "retry", "0:0"]), "put back 1 record: 0:0\n");
    assert!(fleet.does(&["dead-letters", "retry", "0:0"]).contains("put back before: 1"));
    wait::until("it to come again", SOON, || fleet.does(&list).lines().count() == 2).unwrap();
    assert!(fleet.does(&["dead-letters", "list"]).contains("[retried] {broken"));
    again.into_iter().for_each(|worker| drop(worker.end()));
    let told = fleet.does(&audit);
    assert!(told.contains("2 refused raw records with 2 dead letters") && !told.contains("note"), "{told}");

    fleet.rows("DELETE FROM price_history WHERE (stream, \"offset\") IN (SELECT stream, \"offset\" FROM price_history LIMIT 1)");
    fleet.rows(
        "INSERT INTO price_history SELECT at + interval '1 ms', observed_at, slot_end, series, \"offset\", stream, changed, \
         current, price, base FROM price_history LIMIT 2",
    );
    let csv = fleet.place.at("data/prices.csv");
    let text = std::fs::read_to_string(&csv).unwrap();
    place::replace(&csv, format!("{text}2026-01-01T0")).unwrap();
    let found = fleet.run(&audit);
    refused(&found, 1, &["not clean: audited"]);
    for part in ["missing_row: 1,", "doubled_row: 2,", "torn_file: 1,"] {
        assert!(found.output.stdout.contains(part), "`{part}` is not in: {}", found.output.stdout);
    }
}
