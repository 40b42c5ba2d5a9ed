//! `up` with one of the two servers: what is not named stays in the data folder.

use pricemonitor_testkit::{read, wait};

use crate::common::{SOON, manifest};
use crate::fleet::{Fleet, KAFKA, POSTGRES};

const MARKET: &str = "sources: [{name: market, interval: 100ms, simulator: {events: 3, seed: 7}}]";

/// Runs everything on what `options` name, and once more where that stopped; `rows` counts the history. Tells how many
/// rows there are then.
fn twice(fleet: &Fleet, options: &[&str], rows: impl Fn() -> i64) -> i64 {
    let mut before = 0;
    for _ in 0..2 {
        let mut up = fleet.up(options);
        up.ready();
        wait::until("rows", SOON, || rows() >= before + 50).unwrap();
        let told = up.end();
        assert!(told.contains("Everything that was read is stored"), "{told}");
        before = rows();
    }
    before
}

/// Everything is there, and once.
#[track_caller]
fn is_whole(fleet: &Fleet, options: &[&str], rows: i64) {
    let data = fleet.place.at("data").display().to_string();
    let told = fleet.does(&[&["audit", "--data-dir", data.as_str()][..], options].concat());
    for part in [format!("{rows} observations with {rows} events"), format!("{rows} rows of the history")] {
        assert!(told.contains(&part), "`{part}` is not in: {told}");
    }
}

#[test]
fn up_on_kafka_alone_keeps_the_history_in_the_data_folder() {
    let fleet = Fleet::new(&manifest("kafka-alone", MARKET));
    let history = fleet.place.at("data/prices.sqlite");
    let stored = || read::number(&history, "SELECT count(*) FROM price_history").unwrap_or(0);
    let bootstrap = KAFKA.bootstrap();
    let rows = twice(&fleet, &["--bootstrap-servers", &bootstrap], stored);
    assert!(!fleet.place.at("data/log.sqlite").exists());
    is_whole(&fleet, &["--bootstrap-servers", &bootstrap], rows);
}

#[test]
fn up_on_postgres_alone_keeps_the_log_in_the_data_folder() {
    let mut fleet = Fleet::new(&manifest("postgres-alone", MARKET)).with_database("postgres_alone");
    let url = POSTGRES.url("postgres_alone");
    // The variable of the other server is set, and does not count.
    assert!(fleet.variables.iter().any(|(name, _)| name == "KAFKA_BOOTSTRAP_SERVERS"));
    let rows = twice(&fleet, &["--database-url", &url], || fleet.count("price_history"));
    assert!(!fleet.place.at("data/prices.sqlite").exists());
    let topics = KAFKA.tool("TopicCommand", &["--bootstrap-server", &KAFKA.bootstrap(), "--list"]).unwrap();
    assert!(!topics.contains("postgres-alone"), "{topics}");
    // For an audit it would.
    fleet.variables.clear();
    is_whole(&fleet, &["--database-url", &url], rows);
}
