//! The SQLite engine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod suite;

use std::path::PathBuf;

use pricemonitor_store::query::Filter;
use pricemonitor_store::{Database, Error};
use sqlx::Connection as _;
use suite::common::{Bed, Rng, observations, place, writing};
use suite::upkeep::count;

/// A folder of its own.
struct File(tempfile::TempDir);

impl File {
    fn path(&self) -> PathBuf {
        self.0.path().join("data/prices.sqlite")
    }
}

impl Bed for File {
    async fn fresh() -> File {
        File(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> Database {
        Database::open_sqlite(&self.path()).await.unwrap()
    }

    async fn sql(&self, statement: &'static str) {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.path());
        let mut file = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query(statement).execute(&mut file).await.unwrap();
    }

    async fn later(&self, _: i64) {}
}

conformance!(crate::File);

#[tokio::test]
async fn a_database_is_opened_again_and_again_and_beside_another() {
    let place = place::<File>().await;
    writing(&place.db, "m").await.write(&observations(&mut Rng(1), 20, true)).await;
    let path = place.bed.path();
    for _ in 0..3 {
        let beside = Database::open_sqlite(&path).await.unwrap();
        assert_eq!(count(&beside, &Filter::default()).await, 20);
        beside.close().await;
    }
    place.db.close().await;
    let error = place.db.cursor().await.unwrap_err();
    assert_eq!(error.to_string(), "cannot read the database: it is closed");
}

#[tokio::test]
async fn many_may_open_a_new_database_at_once() {
    // Whether they meet is chance: with one round in thirty a mistake here would be seen rarely.
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prices.sqlite");
        let opened = futures::future::join_all((0..6).map(|_| Database::open_sqlite(&path))).await;
        for db in opened {
            let db = db.unwrap();
            db.facets().await.unwrap();
            db.close().await;
        }
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_a_sentence() {
    let place = place::<File>().await;
    let path = place.bed.path();
    place.db.close().await;
    let mut raw = sqlx::SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9001, 'from the future', 1, x'00', 0)",
    )
    .execute(&mut raw)
    .await
    .unwrap();
    raw.close().await.unwrap();
    let error = Database::open_sqlite(&path).await.unwrap_err();
    assert!(matches!(&error, Error::Newer(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("schema version 9001, written by a newer PriceMonitor"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_opened_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "these are notes, not a database, and there are many of them\n".repeat(50))
        .unwrap();
    let error = Database::open_sqlite(&text).await.unwrap_err().to_string();
    assert!(error.ends_with("it is not a SQLite database"), "{error}");
    let below = text.join("prices.sqlite");
    let error = Database::open_sqlite(&below).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot make the folder"), "{error}");
    let error = Database::open_sqlite(folder.path()).await.unwrap_err().to_string();
    assert!(error.contains("check that the folder exists and may be written"), "{error}");
}
