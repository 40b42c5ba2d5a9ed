//! The promise of the data folder: `kill -9` at any moment, start again, and nothing is lost or
//! doubled: no observation, no row, no CSV line, no alert, and of the messages at most one per kill.
//!
//! The workload has a known answer. The simulated market is a function of its seed and step, so an
//! undisturbed run of the same seed says what the history must be; the electricity file grows by one
//! known hour at a time, so it must be there hour by hour; and the alerts follow from the history by
//! the plain oracle of the test kit, which shares no code with the detection crate.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod common;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{SOON, Setup, manifest};
use pricemonitor_model::Decimal;
use pricemonitor_testkit::feed::{self, GrowingFile};
use pricemonitor_testkit::oracle::{self, Expected, Seen};
use pricemonitor_testkit::process::Process;
use pricemonitor_testkit::rng::Rng;
use pricemonitor_testkit::webhook::{Answer, Receiver};
use pricemonitor_testkit::{http, read, wait};

/// Cycles of the full test; the issue asks for 25.
const KILLS: usize = 30;
const QUICK_KILLS: usize = 6;
const MARKET: &str = "{name: market, interval: 100ms, simulator: {events: 60, seed: 11}}";

fn spec(hook: &str, suspend: bool) -> String {
    format!(
        "
sources:
- {MARKET}
- {{name: spot, interval: 100ms, file: {{path: latest-prices.json, format: porssisahko}}}}
rules:
- {{name: any-drop, drop: {{}}, notify: []}}
- {{name: ten-percent, match: {{source: market}}, drop: {{percent: 10}}, notify: []}}
- {{name: cheap, match: {{source: market}}, below: {{value: 90, clear: 110}}, notify: [hook]}}
channels:
- {{name: hook, webhook: {{url: '{hook}'}}}}
storage:
  csv: {{path: prices.csv, source: kill}}
suspend: {suspend}
"
    )
}

#[test]
fn thirty_kills_under_load_lose_and_double_nothing() {
    let kills = if std::env::var_os("PRICEMONITOR_QUICK").is_some() { QUICK_KILLS } else { KILLS };
    let mut rng = Rng::announced("kill");
    let stub = Receiver::start(|_| {
        // A real receiver takes its time: that is when a kill falls between send and mark.
        std::thread::sleep(Duration::from_millis(15));
        Answer::status(200)
    })
    .unwrap();
    let hook = stub.url("/alerts");
    let setup = Setup::new(&manifest("kill", &spec(&hook, false)));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let origin = now - now % 3_600_000;
    let feed = GrowingFile::start(&setup.place.at("latest-prices.json"), origin, Duration::from_millis(100))
        .unwrap();

    for kill in 0..kills {
        let process = setup.start();
        // Some kills fall into the start, most into full work.
        let lived = if kill % 5 == 0 { rng.millis(20, 400) } else { rng.millis(400, 2500) };
        std::thread::sleep(lived);
        let finished = process.kill9().unwrap();
        let output = finished.output.all();
        assert_eq!(finished.code(), None, "it ended by itself after {lived:?}, kill {kill}:\n{output}");
        assert!(!output.contains("panicked"), "{output}");
        println!("kill {kill:>2} after {lived:>8.1?}: {} rows", setup.rows());
    }
    let last = setup.up();
    let published = feed.stop().unwrap();
    let spot =
        "SELECT count(*) FROM price_history h JOIN series s ON s.id = h.series WHERE s.source = 'spot'";
    wait::until("the last hour in the history", SOON, || {
        read::number(&setup.prices(), spot).is_ok_and(|count| count >= published.len() as i64)
    })
    .unwrap();
    assert_eq!(last.terminate(SOON).unwrap().code(), Some(0));
    drain(&setup, &hook);

    let history = history(&setup);
    let market: Vec<&Row> = history.iter().filter(|row| row.seen.source == "market").collect();
    let hours: Vec<&Row> = history.iter().filter(|row| row.seen.source == "spot").collect();
    println!("{} market rows, {} hours, {} webhooks", market.len(), hours.len(), stub.received().len());
    assert!(market.len() > kills * 100, "that was no load: {} rows", market.len());

    // Every published hour, once, in order.
    let got: Vec<_> = hours.iter().map(|row| (row.seen.price, row.span.clone())).collect();
    let want: Vec<_> = published
        .iter()
        .map(|hour| (hour.price.parse::<Decimal>().unwrap(), format!("{}/{}", hour.start, hour.end)))
        .collect();
    assert_same("hours", &want, &got);

    // The market's rows are those of a run that nobody killed.
    let undisturbed = undisturbed(market.len());
    let got: Vec<&Seen> = market.iter().map(|row| &row.seen).collect();
    let want: Vec<&Seen> = undisturbed.iter().map(|row| &row.seen).take(got.len()).collect();
    assert_same("market rows", &want, &got);

    check_csv(&setup, &history);
    check_alerts(&setup, &history, &stub, kills);
}

/// Lets the readers and the channel finish while nothing new is polled.
fn drain(setup: &Setup, hook: &str) {
    setup.place.write("monitor.yaml", manifest("kill", &spec(hook, true))).unwrap();
    let process = setup.up();
    let count = |query: &str| read::number(&setup.prices(), query).unwrap_or(i64::MAX);
    wait::until("every reader to be done", Duration::from_secs(180), || {
        // The lag is measured from the first second on; none is not zero.
        http::metric(&setup.metrics(), "pricemonitor_consumer_lag_records", &[]) == Some(0.0)
            && count("SELECT count(*) FROM alert_deliveries WHERE state = 'pending'") == 0
    })
    .unwrap();
    let output = process.terminate(SOON).unwrap().output;
    assert!(output.stdout.contains("Everything that was read is stored"), "{}", output.all());
}

/// The same market, run without any harm until it has at least `rows`.
fn undisturbed(rows: usize) -> Vec<Row> {
    let setup = Setup::new(&manifest("kill", &format!("sources:\n- {MARKET}\n")));
    let process: Process = setup.up();
    wait::until("the undisturbed run", Duration::from_secs(600), || setup.rows() >= rows as i64).unwrap();
    assert_eq!(process.terminate(SOON).unwrap().code(), Some(0));
    history(&setup)
}

#[derive(Debug)]
struct Row {
    seen: Seen,
    /// What the CSV file says in `startDate/endDate`: the slot, or twice when a quote was seen.
    span: String,
}

/// The history in the order of the log.
fn history(setup: &Setup) -> Vec<Row> {
    let query = "SELECT s.source, s.item, h.price, h.at, h.length, h.stream, h.\"offset\"
                 FROM price_history h JOIN series s ON s.id = h.series ORDER BY h.stream, h.\"offset\"";
    let rows = read::rows(&setup.prices(), query).unwrap();
    // One life of one partition, and every place in it has one row.
    assert!(rows.windows(2).all(|pair| pair[0][5] == pair[1][5]), "the log began a second life");
    assert!(rows.windows(2).all(|pair| pair[0][6] != pair[1][6]), "a place in the log has two rows");
    let span = |row: &Vec<String>| {
        let start: i64 = row[3].parse().unwrap();
        let length: i64 = if row[4].is_empty() { 0 } else { row[4].parse().unwrap() };
        format!("{}/{}", feed::instant(start), feed::instant(start + length))
    };
    rows.iter()
        .map(|row| Row {
            seen: Seen { source: row[0].clone(), item: row[1].clone(), price: row[2].parse().unwrap() },
            span: span(row),
        })
        .collect()
}

fn check_csv(setup: &Setup, history: &[Row]) {
    let (_, lines) = read::csv(&setup.data().join("prices.csv")).unwrap();
    let got: Vec<(Decimal, String)> =
        lines.iter().map(|line| (line[1].parse().unwrap(), format!("{}/{}", line[2], line[3]))).collect();
    let want: Vec<(Decimal, String)> = history.iter().map(|row| (row.seen.price, row.span.clone())).collect();
    assert_same("CSV lines", &want, &got);
}

fn check_alerts(setup: &Setup, history: &[Row], stub: &Receiver, kills: usize) {
    // An hour of the feed is never revised, so it has no price before and no drop.
    let market: Vec<Seen> =
        history.iter().map(|row| &row.seen).filter(|seen| seen.source == "market").cloned().collect();
    let mut want = oracle::drops("any-drop", 0, &market);
    want.extend(oracle::drops("ten-percent", 10, &market));
    let cheap = oracle::below("cheap", Decimal::from(90), Decimal::from(110), &market);
    assert!(cheap.len() > 3, "the level is crossed only {} times: choose another", cheap.len());
    want.extend(cheap.iter().cloned());

    let query = "SELECT id, rule, source, item, price, reference FROM price_drop_alerts
                 WHERE transition = 'firing' ORDER BY seq";
    let rows = read::rows(&setup.prices(), query).unwrap();
    let mut got: Vec<Expected> = rows
        .iter()
        .map(|row| Expected {
            rule: row[1].clone(),
            source: row[2].clone(),
            item: row[3].clone(),
            price: row[4].parse().unwrap(),
            reference: row[5].parse().unwrap(),
        })
        .collect();
    want.sort();
    got.sort();
    assert_same("alerts", &want, &got);

    // Every alert of the rule with a channel arrived, repeats are few and are told by their id.
    let mut bodies: HashMap<String, Vec<String>> = HashMap::new();
    for request in stub.received() {
        bodies.entry(request.id.clone().unwrap()).or_default().push(request.body);
    }
    let mut arrived: Vec<&String> = bodies.keys().collect();
    let mut sent: Vec<&String> = rows.iter().filter(|row| row[1] == "cheap").map(|row| &row[0]).collect();
    arrived.sort();
    sent.sort();
    assert_same("webhook ids", &sent, &arrived);
    assert!(bodies.values().all(|bodies| bodies.iter().all(|body| *body == bodies[0])), "a repeat differs");
    let repeats: usize = bodies.values().map(|bodies| bodies.len() - 1).sum();
    println!("{} alerts, {} sent, {repeats} repeated over {kills} kills", got.len(), sent.len());
    assert!(repeats <= kills, "{repeats} repeats over {kills} kills");
    let states: BTreeMap<String, i64> =
        read::rows(&setup.prices(), "SELECT state, count(*) FROM alert_deliveries GROUP BY state")
            .unwrap()
            .into_iter()
            .map(|row| (row[0].clone(), row[1].parse().unwrap()))
            .collect();
    assert_eq!(states, BTreeMap::from([("ok".to_owned(), sent.len() as i64)]));
}

/// Compares two long lists and shows only where they part.
#[track_caller]
fn assert_same<T: PartialEq + std::fmt::Debug>(what: &str, want: &[T], got: &[T]) {
    let part = want.iter().zip(got).position(|(want, got)| want != got).unwrap_or(want.len().min(got.len()));
    assert!(
        want.len() == got.len() && part == want.len(),
        "{what}: {} expected, {} there; they part at {part}:\nexpected {:#?}\nthere    {:#?}",
        want.len(),
        got.len(),
        want.iter().skip(part).take(3).collect::<Vec<_>>(),
        got.iter().skip(part).take(3).collect::<Vec<_>>(),
    );
}
