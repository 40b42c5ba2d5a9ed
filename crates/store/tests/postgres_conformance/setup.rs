//! Making the tables, and finding them as they should be.

use pricemonitor_store::postgres::{Roles, migrate};
use pricemonitor_store::{Database, Error};

use crate::server::{empty, prepared, sql_in};

#[tokio::test]
async fn many_may_prepare_a_database_at_once_and_again() {
    let settings = empty();
    let roles = Roles::default();
    let at_once = futures::future::join_all((0..4).map(|_| migrate(&settings, &roles))).await;
    let done: Vec<String> = at_once.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(done.len(), 2, "one of them did it: {done:?}");
    assert!(done[0].starts_with("made the tables of schema version "), "{done:?}");
    assert!(done[1].starts_with("made partitions of price_history for 20"), "{done:?}");
    assert_eq!(migrate(&settings, &roles).await.unwrap(), [] as [String; 0]);
    Database::open_postgres(&settings).await.unwrap();
}

#[tokio::test]
async fn a_database_without_tables_says_what_to_run() {
    let error = Database::open_postgres(&empty()).await.unwrap_err();
    assert!(matches!(error, Error::Unprepared(_)));
    assert!(
        error.to_string().ends_with("has no tables of PriceMonitor yet: run `pricemonitor setup`"),
        "{error}"
    );
}

#[tokio::test]
async fn a_closed_database_says_so() {
    let db = Database::open_postgres(&prepared().await).await.unwrap();
    db.close().await;
    let error = db.cursor().await.unwrap_err();
    assert_eq!(error.to_string(), "cannot read the database: it is closed");
}

#[tokio::test]
async fn a_newer_schema_is_used_for_as_long_as_it_allows() {
    let settings = prepared().await;
    sql_in(
        &settings,
        "INSERT INTO pricemonitor_migrations (version, description, success, checksum, execution_time)
         VALUES (9001, 'from the future', true, '\\x00', 0); SELECT ''",
    )
    .await;
    Database::open_postgres(&settings).await.unwrap();
    assert_eq!(migrate(&settings, &Roles::default()).await.unwrap(), [] as [String; 0]);
    sql_in(&settings, "UPDATE schema_compatibility SET oldest_program = 9001; SELECT ''").await;
    for error in [
        Database::open_postgres(&settings).await.map(drop).unwrap_err(),
        migrate(&settings, &Roles::default()).await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Newer(_)), "{error:?}");
        assert!(error.to_string().contains("wants programs that know schema version 9001"), "{error}");
    }
}

#[tokio::test]
async fn tables_of_an_older_program_say_what_to_run() {
    let settings = prepared().await;
    sql_in(&settings, "UPDATE pricemonitor_migrations SET version = 0; SELECT ''").await;
    let error = Database::open_postgres(&settings).await.unwrap_err();
    assert!(matches!(error, Error::Unprepared(_)), "{error:?}");
    assert!(
        error.to_string().contains("has schema version 0, this program needs 1: run `pricemonitor setup`"),
        "{error}"
    );
}
