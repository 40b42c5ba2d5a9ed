//! Tickets on a cluster: the topics and tables of their names, alerts to a channel, every worker by itself.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pricemonitor_testkit::webhook::{Answer, Receiver};
use pricemonitor_testkit::{http, wait};

use crate::common::{SOON, manifest};
use crate::fleet::{Fleet, KAFKA, POSTGRES};

fn spec(hook: &str, suspend: bool) -> String {
    format!(
        "
sources:
- {{name: market, interval: 100ms, simulator: {{events: 5, seed: 42}}}}
- {{name: other, interval: 100ms, simulator: {{events: 5, seed: 43}}}}
rules:
- {{name: drop, drop: {{percent: 1}}}}
channels:
- {{name: hook, webhook: {{url: '{hook}'}}}}
kafka:
  topics: {{raw: raw_prices, processed: processed_prices, alerts: price_alerts}}
  partitions: 3
suspend: {suspend}
"
    )
}

#[test]
fn every_price_walks_from_topic_to_topic_to_table_and_every_alert_to_its_channel() {
    let stub = Receiver::start(|_| Answer::status(200)).unwrap();
    let fleet = Fleet::new(&manifest("concert-tickets", &spec(&stub.url("/"), false)));
    let fleet = fleet.with_database("tickets");
    let made = fleet.does(&["setup"]);
    assert!(
        made.contains("raw_prices") && made.contains("price_alerts") && !made.contains("not used"),
        "{made}"
    );
    assert!(fleet.does(&["setup"]).contains("every table is there"));

    let mut workers = Vec::new();
    for role in ["producer", "producer", "processor", "processor", "storage", "storage", "alert", "dashboard"]
    {
        workers.push(fleet.ready(role));
    }
    wait::until("two hundred rows", SOON, || fleet.count("price_history") >= 200).unwrap();
    wait::until("alerts", SOON, || fleet.count("price_drop_alerts") >= 10).unwrap();
    assert!(fleet.count("events") >= 5);
    let page = workers.last().unwrap().port;
    let statistics = http::get(page, "/api/v1/statistics").unwrap();
    assert_eq!(statistics.status, 200, "{}", statistics.body);
    assert!(http::get(page, "/").unwrap().body.contains("<html"));
    for worker in workers {
        worker.end();
    }

    // What is left is read by others, whose turn it is now.
    fleet.place.write("monitor.yaml", manifest("concert-tickets", &spec(&stub.url("/"), true))).unwrap();
    let rest: Vec<_> = ["processor", "storage", "alert"].map(|role| fleet.ready(role)).into();
    let behind = || {
        let lags = rest.iter().map(|worker| worker.metric("pricemonitor_consumer_lag_records", &[]));
        (lags.collect::<Vec<f64>>(), fleet.count("alert_deliveries WHERE state = 'pending'"))
    };
    // For a while: each looks once a second how far it is behind, and what one has just written another may not have seen.
    let mut since = None;
    let all_read = || {
        if behind() != (vec![0.0; rest.len()], 0) {
            since = None;
            return false;
        }
        since.get_or_insert_with(Instant::now).elapsed() > Duration::from_secs(3)
    };
    wait::until("everything to be read", SOON, all_read).unwrap_or_else(|error| {
        let said = rest.iter().map(|worker| (worker.says(), worker.process.output().all()));
        panic!("{error}: lags and deliveries {:?}, {:#?}", behind(), said.collect::<Vec<_>>())
    });
    let (rows, processed) = (fleet.count("price_history"), records("processed_prices"));
    assert_eq!(rows, processed.len() as i64, "rows, and processed events");
    let distinct: BTreeSet<&String> = processed.iter().collect();
    assert_eq!(distinct.len(), processed.len());
    let sent: BTreeSet<String> = stub.received().into_iter().filter_map(|request| request.id).collect();
    let kept = fleet.rows("SELECT id FROM price_drop_alerts").into_iter().map(|row| row[0].clone());
    let kept: BTreeSet<String> = kept.collect();
    assert!(
        sent == kept,
        "{} were told of {}; the outbox says {:?}",
        sent.len(),
        kept.len(),
        fleet.rows(
            "SELECT d.state, count(*)::text, min(a.accepted_at)::text, max(a.accepted_at)::text, max(d.finished_at)::text, now()::text
             FROM alert_deliveries d JOIN price_drop_alerts a ON a.seq = d.alert GROUP BY d.state"
        )
    );
    for worker in rest {
        worker.end();
    }
}

/// The committed records of a topic.
fn records(topic: &str) -> Vec<String> {
    let bootstrap = KAFKA.bootstrap();
    let read = ["--bootstrap-server", &bootstrap, "--topic", topic, "--from-beginning"];
    let how = ["--isolation-level", "read_committed", "--timeout-ms", "5000"];
    let text = KAFKA.tool("consumer.ConsoleConsumer", &[read.as_slice(), &how].concat()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn one_process_runs_everything_on_real_servers() {
    let fleet = Fleet::new(&manifest(
        "all-in-one",
        "sources: [{name: market, interval: 100ms, simulator: {events: 3, seed: 7}}]",
    ));
    let fleet = fleet.with_database("one");
    let url = POSTGRES.url("one");
    let mut worker = fleet.up(&["--bootstrap-servers", &KAFKA.bootstrap(), "--database-url", &url]);
    worker.ready();
    wait::until("rows", SOON, || fleet.count("price_history") >= 50).unwrap();
    let told = worker.end();
    assert!(told.contains("Everything that was read is stored"), "{told}");
    assert_eq!(fleet.count("price_history"), records("default.all-in-one.processed_prices").len() as i64);
}
