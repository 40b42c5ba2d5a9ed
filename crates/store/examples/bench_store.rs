//! How fast the store takes a million rows and answers the page's questions about them.
//!
//! `cargo run --release -p pricemonitor-store --example bench_store [-- PART OF A NAME]`, where the names of those
//! on PostgreSQL begin with `postgres` (`cargo xtask provision postgres` gets the server).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "bench_store/postgres.rs"]
mod postgres;

use std::future::Future;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use pricemonitor_model::{Decimal, Incarnation, MonitorId, Observation, Slot, Time};
use pricemonitor_store::query::Filter;
use pricemonitor_store::{Database, HistoryRow, HistoryWriter};

const ROWS: usize = 1_000_000;
const BATCH: usize = 5_000;
const START: Time = Time::from_seconds(1_735_689_600);
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        bench("tickets: 500 series, one price a minute", |n| tickets(n, 500, 60_000), 2_000 * 60_000).await;
        bench("tickets: 500 series, one price in 5 s", |n| tickets(n, 500, 5_000), 2_000 * 5_000).await;
        bench("tickets: 100 series, one price in 5 s", |n| tickets(n, 100, 5_000), 10_000 * 5_000).await;
        bench("tickets: 20,000 series", |n| tickets(n, 20_000, 60_000), 50 * 60_000).await;
        bench("schedule: 14 areas, quarters of 24 months", schedule, ROWS as i64 / 14 * 900_000).await;
        for (name, series, batch) in [
            ("postgres: tickets, 500 series", 500, 5_000),
            ("postgres: tickets, 500 series", 500, 20_000),
            ("postgres: tickets, 20,000 series", 20_000, 5_000),
            ("postgres: tickets, 100,000 series", 100_000, 20_000),
        ] {
            if std::env::args().nth(1).is_none_or(|part| name.contains(&part)) {
                postgres::bench(name, series, batch).await;
            }
        }
    });
}

fn amount(n: usize, wave: usize) -> Decimal {
    // A walk that stays, falls and rises without a generator's cost.
    let noise = (n.wrapping_mul(2_654_435_761) >> 7) % 1_000;
    Decimal::new((10_000 + wave % 4_000 + if noise < 300 { noise } else { 0 }) as i64, 2)
}

fn tickets(n: usize, series: usize, every: i64) -> Observation<'static> {
    let (step, which) = (n / series, n % series);
    let mut o = Observation::new(
        "marketplace",
        format!("event-{}/section-{}/{which}", which % 10, which % 4),
        amount(n, which * 37),
        "USD",
        START.plus(step as i64 * every + which as i64 % every),
    );
    o.labels.set("event", format!("Concert number {}", which % 10));
    o.labels.set("section", format!("Section {}", which % 4));
    o
}

fn schedule(n: usize) -> Observation<'static> {
    let (slot, area) = (n / 14, n % 14);
    let start = START.plus(slot as i64 * 900_000);
    let price = Decimal::new((slot * 7919 % 4_000) as i64 - 300 + area as i64, 3);
    let mut o = Observation::new("spot", format!("area-{area}"), price, "EUR", start.plus(-DAY));
    o.labels.set("area", format!("area-{area}"));
    o.unit = Some("c/kWh".into());
    o.slot = Some(Slot { start, end: start.plus(900_000) });
    o
}

async fn bench(name: &str, make: impl Fn(usize) -> Observation<'static>, span: i64) {
    if std::env::args().nth(1).is_some_and(|part| !name.contains(&part)) {
        return;
    }
    println!("\n## {name}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.sqlite");
    let db = Database::open_sqlite(&path).await.unwrap();
    let id = MonitorId::new(None, "bench");
    let key = db.register(&id, Duration::from_secs(20 * 365 * 86_400), START).await.unwrap();
    let mut writer = HistoryWriter::new(key);
    let mut claim = db.claim(&id, "history", 0).await.unwrap();
    let (mut wall, mut cpu) = (Duration::ZERO, 0.0);
    for from in (0..ROWS).step_by(BATCH) {
        let batch: Vec<Observation<'static>> = (from..from + BATCH).map(&make).collect();
        let row = |(at, observation)| HistoryRow { offset: (from + at) as u64, log_time: START, observation };
        let rows: Vec<HistoryRow<'_>> = batch.iter().enumerate().map(row).collect();
        let (began, used) = (Instant::now(), cpu_seconds());
        db.write_history(&mut writer, &mut claim, Incarnation(1), 0, &rows, (from + BATCH) as u64)
            .await
            .unwrap();
        wall += began.elapsed();
        cpu += cpu_seconds() - used;
    }
    println!(
        "write: {:.0} rows/s, {:.2} us of CPU a row (batches of {BATCH}, one fsync each), file {:.0} MB",
        ROWS as f64 / wall.as_secs_f64(),
        cpu * 1e6 / ROWS as f64,
        std::fs::metadata(&path).unwrap().len() as f64 / 1e6
    );
    questions(&db, span).await;
    timed("maintain", async || db.maintain(START.plus(span)).await.unwrap()).await;
    let began = Instant::now();
    let mut rows = 0;
    let each = |_| {
        rows += 1;
        ControlFlow::Continue(())
    };
    db.export(&Filter::default(), each).await.unwrap();
    println!("export: {rows} rows, {:.0} rows/s", rows as f64 / began.elapsed().as_secs_f64());
    db.close().await;
}

async fn questions(db: &Database, span: i64) {
    let all = Filter::default();
    let end = START.plus(span);
    let within = |hours: i64| Filter { from: Some(end.plus(-hours * HOUR + 1_234)), ..Filter::default() };
    timed("facets", async || db.facets().await.unwrap()).await;
    timed("cursor", async || db.cursor().await.unwrap()).await;
    let ranges =
        [("all", all), ("last 24 h", within(24)), ("last 1 h", within(1)), ("last 30 d", within(720))];
    for (name, filter) in &ranges {
        timed(&format!("statistics, {name}"), async || db.statistics(filter).await.unwrap()).await;
        timed(&format!("distribution, {name}"), async || db.distribution(filter, 30).await.unwrap()).await;
        let profile = async || db.hour_profile(filter, "Europe/Helsinki").await.unwrap();
        timed(&format!("hour profile, {name}"), profile).await;
        for lines in [12, 100] {
            let history = async || db.history(filter, lines, 500).await.unwrap();
            timed(&format!("history of {lines} lines, {name}"), history).await;
        }
        timed(&format!("alerts, {name}"), async || db.alerts(filter, 100, None).await.unwrap()).await;
    }
}

/// Prints the median of some runs, with a mark where it is above 100 ms.
async fn timed<F: Future>(name: &str, mut run: impl FnMut() -> F) {
    let mut times = Vec::new();
    for _ in 0..7 {
        let began = Instant::now();
        std::hint::black_box(run().await);
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let mark = if times[3] > 100.0 { "  <-- above 100 ms" } else { "" };
    println!("{name:<34} {:8.2} ms (slowest {:.2}){mark}", times[3], times[6]);
}

/// CPU of this process so far.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}
