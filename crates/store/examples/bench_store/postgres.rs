//! The same on a real PostgreSQL, against a bare `COPY` of the same rows into the same tables.

use std::time::{Duration, Instant};

use pricemonitor_model::{
    Alert, AlertId, Coordinates, Incarnation, MonitorId, Observation, PriceKind, SeriesKey, Severity,
    Transition,
};
use pricemonitor_store::postgres::{Roles, Settings, migrate};
use pricemonitor_store::{Database, HistoryRow, HistoryWriter};
use pricemonitor_testkit::postgres::{Options, Postgres};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use crate::{START, cpu_seconds, questions, tickets, timed};

const ROWS: usize = 1_000_000;
const ROUNDS: usize = 3;

/// Time and processor time of one way to write rows.
#[derive(Clone, Copy)]
struct Cost {
    rows: f64,
    wall: f64,
    own: f64,
    server: f64,
}

/// Starts a server, measures, and ends it.
pub(crate) async fn bench(name: &str, series: usize, batch: usize) {
    println!("\n## {name}, batches of {batch}");
    // Room for all rows, so that no checkpoint falls into one way and not into the other.
    let settings = [("shared_buffers", "512MB"), ("max_wal_size", "8GB"), ("checkpoint_timeout", "1h")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let server = match apart(|| Postgres::start(&Options { settings, ..Options::default() })) {
        Ok(server) => server,
        Err(error) => {
            println!("not measured: {error:#}");
            return;
        }
    };
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let place = |what: &str| {
            let name = format!("{what}{round}");
            apart(|| server.rows(&format!("CREATE DATABASE {name}"))).unwrap();
            Settings::from_url(&server.url(&name)).unwrap()
        };
        let mine = place("ours");
        migrate(&mine, &Roles::default()).await.unwrap();
        let db = Database::open_postgres(&mine).await.unwrap();
        ours.push(write(&db, server.id(), series, batch).await);
        let bytes = taken(&mine).await;
        let theirs = place("bare");
        migrate(&theirs, &Roles::default()).await.unwrap();
        bare.push(copy(&theirs, server.id(), bytes).await);
        if round + 1 == ROUNDS {
            report(&ours, &bare);
            finish(&db, series).await;
        }
        db.close().await;
        for what in ["ours", "bare"] {
            apart(|| server.rows(&format!("DROP DATABASE {what}{round} WITH (FORCE)"))).unwrap();
        }
    }
}

fn report(ours: &[Cost], bare: &[Cost]) {
    let median = |costs: &[Cost], of: fn(&Cost) -> f64| {
        let mut values: Vec<f64> = costs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let line = |name: &str, costs: &[Cost]| {
        println!(
            "{name}: {:.0} rows/s; CPU a row: own {:.2} us, server {:.2} us",
            median(costs, |c| c.rows / c.wall),
            median(costs, |c| c.own / c.rows) * 1e6,
            median(costs, |c| c.server / c.rows) * 1e6
        );
    };
    line("store    ", ours);
    line("bare COPY", bare);
    let ratio = |of: fn(&Cost) -> f64| {
        let mut ratios: Vec<f64> = bare.iter().zip(ours).map(|(bare, ours)| of(bare) / of(ours)).collect();
        ratios.sort_by(f64::total_cmp);
        (ratios[ratios.len() / 2], ratios[0], ratios[ratios.len() - 1])
    };
    let (speed, low, high) = ratio(|c| c.wall / c.rows);
    let (work, ..) = ratio(|c| c.server / c.rows);
    println!(
        "ratio to the bare COPY: {speed:.2} in rows/s ({low:.2} to {high:.2}; goal >= 0.7), {work:.2} in the server's \
         CPU; own CPU {:.2} s a million rows (goal <= 1.5)",
        median(ours, |c| c.own / c.rows) * 1e6
    );
}

async fn write(db: &Database, server: u32, series: usize, size: usize) -> Cost {
    let id = MonitorId::new(None, "bench");
    let key = db.register(&id, Duration::from_secs(20 * 365 * 86_400), START).await.unwrap();
    let mut writer = HistoryWriter::new(key);
    let mut claim = db.claim(&id, "history", 0).await.unwrap();
    let mut cost = Cost { rows: 0.0, wall: 0.0, own: 0.0, server: 0.0 };
    let mut first = 0.0;
    for from in (0..ROWS).step_by(size) {
        let batch: Vec<Observation<'static>> =
            (from..(from + size).min(ROWS)).map(|n| tickets(n, series, 60_000)).collect();
        let row = |(at, observation)| HistoryRow { offset: (from + at) as u64, log_time: START, observation };
        let rows: Vec<HistoryRow<'_>> = batch.iter().enumerate().map(row).collect();
        let (began, used, before) = (Instant::now(), cpu_seconds(), server_seconds(server));
        let next = (from + rows.len()) as u64;
        db.write_history(&mut writer, &mut claim, Incarnation(1), 0, &rows, next).await.unwrap();
        let wall = began.elapsed().as_secs_f64();
        if from < series {
            // Every series is made once in its life; that is told apart.
            first += wall;
            continue;
        }
        cost.rows += rows.len() as f64;
        cost.wall += wall;
        cost.own += cpu_seconds() - used;
        cost.server += server_seconds(server) - before;
    }
    println!("(the batches that made {series} series took {first:.2} s)");
    cost
}

async fn raw(settings: &Settings) -> PgConnection {
    let options = PgConnectOptions::new_without_pgpass()
        .host(&settings.host)
        .port(settings.port)
        .username(&settings.user)
        .database(&settings.dbname);
    PgConnection::connect_with(&options).await.unwrap()
}

const COLUMNS: &str = "at, observed_at, slot_end, series, \"offset\", stream, changed, current, price, base";

/// The rows as the store has sent them.
async fn taken(settings: &Settings) -> Vec<u8> {
    use futures::TryStreamExt as _;
    let mut connection = raw(settings).await;
    let sql =
        format!("COPY (SELECT {COLUMNS} FROM price_history ORDER BY \"offset\") TO STDOUT (FORMAT binary)");
    let mut stream = connection.copy_out_raw(&sql).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.try_next().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    bytes
}

/// All rows by one `COPY` in one transaction.
async fn copy(settings: &Settings, server: u32, bytes: Vec<u8>) -> Cost {
    let mut connection = raw(settings).await;
    let (began, used, before) = (Instant::now(), cpu_seconds(), server_seconds(server));
    let sql = format!("COPY price_history ({COLUMNS}) FROM STDIN (FORMAT binary)");
    let mut copy = connection.copy_in_raw(&sql).await.unwrap();
    for piece in bytes.chunks(1 << 16) {
        copy.send(piece).await.unwrap();
    }
    assert_eq!(copy.finish().await.unwrap(), ROWS as u64);
    Cost {
        rows: ROWS as f64,
        wall: began.elapsed().as_secs_f64(),
        own: cpu_seconds() - used,
        server: server_seconds(server) - before,
    }
}

/// What else the store does: alerts, closed hours, the page's questions.
async fn finish(db: &Database, series: usize) {
    alerts(db).await;
    let span = (ROWS / series) as i64 * 60_000;
    println!("questions, before hours are summed up:");
    questions(db, span).await;
    let began = Instant::now();
    db.maintain(START.plus(span)).await.unwrap();
    println!("closing {} hours: {:.2} s", span / 3_600_000, began.elapsed().as_secs_f64());
    println!("questions, after:");
    questions(db, span).await;
    timed("maintain", async || db.maintain(START.plus(span)).await.unwrap()).await;
}

/// One alert for every hundred observations.
async fn alerts(db: &Database) {
    let id = MonitorId::new(None, "bench");
    let mut claim = db.claim(&id, "alerts", 0).await.unwrap();
    let (began, used) = (Instant::now(), cpu_seconds());
    let channels = vec!["discord".to_owned()];
    for from in (0..ROWS as u64 / 100).step_by(50) {
        let batch: Vec<_> = (from..from + 50).map(|n| (alert(n), channels.clone())).collect();
        db.accept_alerts(&mut claim, Incarnation(1), 0, &batch, from + 50, START).await.unwrap();
    }
    let alerts = ROWS as f64 / 100.0;
    println!(
        "alerts into the outbox, 50 at a time: {:.0}/s, own CPU {:.1} us each",
        alerts / began.elapsed().as_secs_f64(),
        (cpu_seconds() - used) * 1e6 / alerts
    );
}

fn alert(n: u64) -> Alert<'static> {
    let series = SeriesKey { source: "marketplace".into(), item: "i".into(), kind: PriceKind::Total };
    let coordinates = Coordinates { incarnation: Incarnation(1), partition: 0, offset: n };
    let price = pricemonitor_model::Decimal::new(8_400, 2);
    Alert {
        id: AlertId::of("default.bench", "rule", &series, coordinates, Transition::Firing),
        monitor: "default.bench".into(),
        rule: "rule".into(),
        transition: Transition::Firing,
        severity: Severity::Warning,
        channels: None,
        source: series.source,
        item: series.item,
        price_kind: PriceKind::Total,
        labels: [("event", "Concert number 1"), ("section", "Section 1")].into_iter().collect(),
        price,
        reference: Some(price + price),
        percent: Some(pricemonitor_model::Decimal::new(-500, 1)),
        side: None,
        currency: "USD".into(),
        unit: None,
        observed_at: START.plus(n as i64 * 1_000),
        slot: None,
        url: Some("https://example.test/1".into()),
        summary: "Concert number 1, Section 1: 168.00 -> 84.00 USD (-50.0 %)".into(),
        coordinates,
    }
}

/// Processor time of the server's first process, of those it has started, and of those that have ended.
fn server_seconds(server: u32) -> f64 {
    let mut ticks = 0.0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let text = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((own, rest)) = text.rsplit_once(')') else { continue };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number =
            |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
        if own.starts_with(&format!("{server} (")) {
            ticks += number(11) + number(12) + number(13) + number(14);
        } else if number(1) == f64::from(server) {
            ticks += number(11) + number(12);
        }
    }
    ticks / 100.0
}

/// The testkit waits with a runtime of its own, which it may not within another one.
fn apart<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}
