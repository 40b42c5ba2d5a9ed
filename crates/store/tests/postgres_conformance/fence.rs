//! Several owners of one position, and a server that goes away.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pricemonitor_model::Observation;
use pricemonitor_store::postgres::{Roles, Settings, migrate};
use pricemonitor_store::query::Filter;
use pricemonitor_store::{Database, Error, HistoryWriter};
use pricemonitor_testkit::postgres::{Options, Postgres};

use crate::server::apart;
use crate::suite::common::{LIFE, START, monitor, price, rows};

const ROWS: usize = 4_000;

/// One row for each offset, told apart by their times.
fn history() -> Vec<Observation<'static>> {
    let seen = |n: usize| {
        let text = format!("{}.{:02}", n % 7, n % 100);
        Observation::new("s", format!("i{}", n % 50), price(&text), "USD", START.plus(n as i64))
    };
    (0..ROWS).map(seen).collect()
}

/// Every row once, none missing, and the changes of a single undisturbed writer.
async fn judge(db: &Database, history: &[Observation<'static>]) {
    let mut times = Vec::new();
    let each = |row: pricemonitor_store::query::ExportRow| {
        times.push(row.observed_at);
        std::ops::ControlFlow::Continue(())
    };
    db.export(&Filter::default(), each).await.unwrap();
    let wanted: Vec<_> = history.iter().map(|o| o.observed_at).collect();
    assert_eq!(times.len(), wanted.len());
    assert_eq!(times, wanted);
    let changes = crate::suite::common::judge("m", history).iter().filter(|row| row.changed).count();
    assert_eq!(db.statistics(&Filter::default()).await.unwrap().changes, changes as u64);
}

/// Writes on from wherever the position stands, until the end or until somebody else has it. Tells whether it was
/// the end, and how often it was told to wait.
async fn own(db: &Database, history: &[Observation<'static>], size: usize) -> (bool, u32) {
    let mut waits = 0;
    'claim: loop {
        let wait = async |error: Error| {
            assert!(error.is_transient(), "{error:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let (key, mut claim) = match claimed(db).await {
            Ok(claimed) => claimed,
            Err(error) => {
                waits += 1;
                wait(error).await;
                continue;
            }
        };
        let mut writer = HistoryWriter::new(key);
        loop {
            let from = claim.position.map_or(0, |(_, next)| next as usize);
            if from == history.len() {
                return (true, waits);
            }
            let to = (from + size).min(history.len());
            let rows = rows(&history[from..to], from as u64);
            match db.write_history(&mut writer, &mut claim, LIFE, 0, &rows, to as u64).await {
                Ok(written) => assert_eq!(written.rows, (to - from) as u64),
                Err(Error::Fenced(_)) => return (false, waits),
                // Also when nobody knows whether it was committed: the position does.
                Err(error) => {
                    waits += 1;
                    wait(error).await;
                    continue 'claim;
                }
            }
        }
    }
}

async fn claimed(
    db: &Database,
) -> Result<(pricemonitor_store::MonitorKey, pricemonitor_store::Claim), Error> {
    let key = db.register(&monitor("m"), Duration::from_secs(365 * 86_400), START).await?;
    Ok((key, db.claim(&monitor("m"), "history", 0).await?))
}

/// Processes that take the partition from each other all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn owners_that_fight_over_a_partition_write_each_row_once() {
    let settings = crate::server::prepared().await;
    let history = history();
    let processes = (0..4).map(async |n: usize| {
        let db = Database::open_postgres(&settings).await.unwrap();
        let (mut fenced, mut done) = (0, false);
        while !done {
            (done, _) = own(&db, &history, 20 + n).await;
            fenced += u32::from(!done);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        db.close().await;
        fenced
    });
    let fenced: u32 = futures::future::join_all(processes).await.into_iter().sum();
    assert!(fenced > 0, "they never met");
    judge(&Database::open_postgres(&settings).await.unwrap(), &history).await;
}

/// A process that stands still in the middle of a batch does not hold up its successor for long.
#[tokio::test]
async fn a_stopped_owner_loses_its_batch_within_seconds() {
    let settings = crate::server::prepared().await;
    let db = Database::open_postgres(&settings).await.unwrap();
    let (_, mut claim) = claimed(&db).await.unwrap();
    let history = history();
    // As it stands when a process was stopped after its first statement: in a transaction, with the position.
    let held = {
        use sqlx::{Connection as _, Executor as _};
        let options = sqlx::postgres::PgConnectOptions::new_without_pgpass()
            .host(&settings.host)
            .port(settings.port)
            .username(&settings.user)
            .database(&settings.dbname);
        let mut held = sqlx::PgConnection::connect_with(&options).await.unwrap();
        held.execute(
            "SET idle_in_transaction_session_timeout = '5s'; BEGIN; SELECT pg_advisory_xact_lock_shared(1886613097, 1);
             UPDATE sink_offsets SET next_offset = 20",
        )
        .await
        .unwrap();
        held
    };
    let began = std::time::Instant::now();
    let mut successor = db.claim(&monitor("m"), "history", 0).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
    assert_eq!(successor.position, None);
    drop(held);
    let key = db.register(&monitor("m"), Duration::from_secs(365 * 86_400), START).await.unwrap();
    let rows = rows(&history[..20], 0);
    let old = db.write_history(&mut HistoryWriter::new(key), &mut claim, LIFE, 0, &rows, 20).await;
    assert!(matches!(old, Err(Error::Fenced(_))));
    let new = db.write_history(&mut HistoryWriter::new(key), &mut successor, LIFE, 0, &rows, 20).await;
    assert_eq!(new.unwrap().rows, 20);
}

/// `kill -9` and restart of the server, again and again, while a worker writes and another one reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_server_that_is_killed_and_comes_back_loses_and_doubles_nothing() {
    let mut server = apart(|| Postgres::start(&Options::default()).unwrap());
    let settings = Settings::from_url(&server.url("postgres")).unwrap();
    migrate(&settings, &Roles::default()).await.unwrap();
    let db = Database::open_postgres(&settings).await.unwrap();
    let history = history();
    let over = AtomicBool::new(false);
    let (kills, waits) = std::thread::scope(|scope| {
        let kills = scope.spawn(|| {
            let mut kills = 0;
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(500));
                server.kill().unwrap();
                std::thread::sleep(Duration::from_millis(100));
                server.restart().unwrap();
                kills += 1;
            }
            kills
        });
        let waits = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let reader = async {
                    let mut answers = 0;
                    while !over.load(Ordering::Relaxed) {
                        match db.statistics(&Filter::default()).await {
                            Ok(_) => answers += 1,
                            Err(error) => assert!(error.is_transient(), "{error:?}"),
                        }
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    answers
                };
                let writer = async {
                    let (done, waits) = own(&db, &history, 25).await;
                    over.store(true, Ordering::Relaxed);
                    assert!(done);
                    waits
                };
                let (waits, answers) = futures::join!(writer, reader);
                assert!(answers > 0);
                waits
            })
        });
        (kills.join().unwrap(), waits)
    });
    assert!(kills >= 2 && waits >= 1, "{kills} kills, {waits} waits");
    judge(&Database::open_postgres(&settings).await.unwrap(), &history).await;
}
