//! A database that is away for long: what comes meanwhile waits in Kafka, not in the worker's memory.

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::thread;
use std::time::{Duration, Instant};

use pricemonitor_testkit::proxy::Proxy;
use pricemonitor_testkit::{http, wait};
use pricemonitor_workers::now;

use crate::common::{SOON, manifest};
use crate::fleet::{Fleet, POSTGRES, Worker, feed};

const SPEC: &str = "sources: [{name: market, interval: 1s, simulator: {events: 2}}]\nkafka: {partitions: 3}";
/// Prices that are stored before the database goes, and how many there are in the end.
const BEFORE: u32 = 5_000;
const ALL: u32 = 205_000;
/// Series that they are of.
const ITEMS: u32 = 500;
/// Most bytes that the worker may take more while it waits.
const ROOM: u64 = 32 << 20;
/// How long it waits beside all that has come.
const WAITS: Duration = Duration::from_secs(5);

/// Writes prices as somebody else's client would. Each is its own number, so that rows tell which of them are there.
fn tell(prices: RangeInclusive<u32>) {
    let (at, mut lines) = (now(), String::new());
    for price in prices {
        let item = format!("seat-{}", price % ITEMS);
        let head = r#"{"v":1,"kind":"observation","source":"elsewhere""#;
        let rest = format!(r#""item":"{item}","price":"{price}","currency":"USD","observed_at":"{at}"}}"#);
        writeln!(lines, "elsewhere/{item}\t{head},{rest}").unwrap();
    }
    feed("default.backlog.raw_prices", &lines);
}

fn stored(worker: &Worker) -> f64 {
    worker.metric("pricemonitor_rows_written_total", &["sink=\"history\""])
}

/// Whether it says that it waits for the database.
fn waits(worker: &Worker) -> bool {
    worker.says().is_some_and(|(status, why)| status == 503 && why.contains("database: "))
}

/// Tells the rest of the prices, and how much memory the worker had at most until all of it has waited for a while.
fn most_meanwhile(worker: &Worker) -> u64 {
    thread::scope(|scope| {
        let telling = scope.spawn(|| tell(BEFORE + 1..=ALL));
        let (mut most, mut all_there): (u64, Option<Instant>) = (0, None);
        // What lies far behind is told by its density, not to the last record.
        let nearly = f64::from(ALL - BEFORE) * 0.95;
        let behind = || worker.metric("pricemonitor_consumer_lag_records", &[]) >= nearly;
        wait::until("all prices to wait in the topic", SOON * 2, || {
            most = most.max(worker.process.usage().unwrap().resident);
            if all_there.is_none() && telling.is_finished() && behind() {
                all_there = Some(Instant::now());
            }
            all_there.is_some_and(|since| since.elapsed() > WAITS)
        })
        .unwrap();
        telling.join().unwrap();
        most
    })
}

#[test]
fn storage_takes_no_more_memory_for_all_that_comes_while_postgres_is_away_and_stores_it_once() {
    let proxy = Proxy::to(POSTGRES.port()).unwrap();
    let mut fleet = Fleet::new(&manifest("backlog", SPEC)).with_database("backlog");
    fleet.uses(proxy.port(), "backlog");
    fleet.does(&["setup"]);
    let mut worker = fleet.ready("storage");
    tell(1..=BEFORE);
    wait::until("the first prices", SOON, || stored(&worker) >= f64::from(BEFORE)).unwrap();
    let before = worker.process.usage().unwrap().resident;

    proxy.refuse().unwrap();
    assert!(proxy.cut() > 0);
    wait::until("the reason", SOON, || waits(&worker)).unwrap();
    let most = most_meanwhile(&worker);
    let [before, most] = [before, most].map(|bytes| bytes >> 10);
    println!("{before} KiB before, {most} KiB at most while {} prices waited", ALL - BEFORE);
    assert!(!worker.process.has_ended() && waits(&worker), "{}", worker.process.output().all());
    assert_eq!(http::get(worker.port, "/livez").unwrap().status, 200);
    assert!(most < before + (ROOM >> 10), "{before} KiB before, {most} KiB meanwhile");
    assert_eq!(fleet.count("price_history"), i64::from(BEFORE));

    proxy.resume().unwrap();
    wait::until("every price", SOON * 2, || stored(&worker) >= f64::from(ALL)).unwrap();
    worker.ready();
    worker.end();
    let query =
        "SELECT count(*), count(DISTINCT price), min(price)::bigint, max(price)::bigint FROM price_history";
    let all = ALL.to_string();
    assert_eq!(fleet.rows(query), [[all.as_str(), &all, "1", &all]]);
}
