//! Roles that may do less than the owner of the tables.

use std::time::Duration;

use pricemonitor_store::postgres::{Roles, Settings, migrate};
use pricemonitor_store::query::Filter;
use pricemonitor_store::{Database, Error};

use crate::server::{empty, sql, sql_in};
use crate::suite::common::{DAY, Rng, START, monitor, observations, writing};

/// Two roles of these names and tables that they have rights on.
async fn prepared(workers: &str, readers: &str) -> Settings {
    let settings = empty();
    for role in [workers, readers] {
        sql(&format!("CREATE ROLE \"{}\" LOGIN", role.replace('"', "\"\"")));
    }
    let roles = Roles { workers: vec![workers.to_owned()], readers: vec![readers.to_owned()] };
    let done = migrate(&settings, &roles).await.unwrap();
    assert_eq!(
        done[2..],
        [format!("granted {workers} to write the tables"), format!("granted {readers} to read the tables")]
    );
    settings
}

async fn months(settings: &Settings) -> Vec<String> {
    let sql = "SELECT relname::text FROM pg_class WHERE relname ~ '^price_history_[0-9]' AND relkind = 'r' ORDER BY 1";
    sql_in(settings, sql).await
}

#[tokio::test]
async fn a_workers_role_needs_no_right_to_change_tables() {
    let settings = prepared("work-er \"1\"", "reader1").await;
    let worker = Settings { user: "work-er \"1\"".to_owned(), ..settings.clone() };
    let db = Database::open_postgres(&worker).await.unwrap();
    let mut writer = writing(&db, "m").await;
    writer.write(&observations(&mut Rng(1), 200, true)).await;
    // Housekeeping years later makes the months of then, and drops that of the rows when nobody keeps them.
    let later = START.plus(364 * DAY);
    assert!(!months(&settings).await.contains(&"price_history_2027_03".to_owned()));
    assert_eq!(db.maintain(later).await.unwrap().rows, 0);
    let made = months(&settings).await;
    assert!(made.contains(&"price_history_2027_03".to_owned()), "{made:?}");
    assert!(made.contains(&"price_history_2026_03".to_owned()), "of rows that lay in no month: {made:?}");
    db.register(&monitor("m"), Duration::from_secs(86_400), START).await.unwrap();
    assert_eq!(db.maintain(later).await.unwrap().rows, 200);
    assert!(!months(&settings).await.contains(&"price_history_2026_03".to_owned()));
    // It may not do what the functions do.
    let error = sqlx_as(&worker, "CREATE TABLE x (y int)").await.unwrap_err().to_string();
    assert!(error.contains("permission denied"), "{error}");
    assert!(sqlx_as(&worker, "DROP TABLE price_history_default").await.is_err());
    assert_eq!(db.remove(&monitor("m")).await.unwrap().rows, 0);
}

#[tokio::test]
async fn a_role_that_may_only_read_reads() {
    let settings = prepared("worker2", "reader2").await;
    let owner = Database::open_postgres(&settings).await.unwrap();
    let mut writer = writing(&owner, "m").await;
    writer.write(&observations(&mut Rng(2), 50, false)).await;
    let reader = Settings { user: "reader2".to_owned(), ..settings.clone() };
    let db = Database::open_postgres(&reader).await.unwrap();
    assert_eq!(db.statistics(&Filter::default()).await.unwrap().observations, 50);
    assert_eq!(db.cursor().await.unwrap().rows, 50);
    let error = db.claim(&monitor("m"), "history", 0).await.unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error:?}");
    assert!(error.to_string().contains("permission denied for table sink_offsets"), "{error}");
    assert!(error.to_string().contains("storage.postgres user"), "{error}");
}

#[tokio::test]
async fn without_the_right_to_make_months_rows_lie_in_the_default_partition() {
    let settings = prepared("worker3", "reader3").await;
    sql_in(&settings, "REVOKE EXECUTE ON FUNCTION price_history_add_month(timestamptz) FROM worker3").await;
    let worker = Settings { user: "worker3".to_owned(), ..settings.clone() };
    let db = Database::open_postgres(&worker).await.unwrap();
    let mut writer = writing(&db, "m").await;
    let mut late = observations(&mut Rng(3), 100, false);
    late.iter_mut().for_each(|o| o.observed_at = o.observed_at.plus(-300 * DAY));
    assert_eq!(writer.write(&late).await.rows, 100);
    let now = START.plus(DAY);
    assert_eq!(db.maintain(now).await.unwrap().unsorted, Some(100));
    assert_eq!(db.statistics(&Filter::default()).await.unwrap().observations, 100);
    // As soon as somebody may, they get their month.
    let owner = Database::open_postgres(&settings).await.unwrap();
    assert_eq!(owner.maintain(now).await.unwrap().unsorted, Some(0));
    assert_eq!(db.statistics(&Filter::default()).await.unwrap().observations, 100);
    let filter = Filter { to: Some(START), ..Filter::default() };
    assert_eq!(db.statistics(&filter).await.unwrap().observations, 100);
}

#[tokio::test]
async fn who_may_not_make_tables_or_names_an_unknown_role_is_told() {
    let settings = empty();
    sql("CREATE ROLE poor LOGIN");
    let error = migrate(&Settings { user: "poor".to_owned(), ..settings.clone() }, &Roles::default()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error:?}");
    assert!(error.to_string().contains("permission denied for schema public"), "{error}");
    let roles = Roles { workers: vec!["nobody-knows".to_owned()], ..Roles::default() };
    let error = migrate(&settings, &roles).await.unwrap_err();
    assert!(error.to_string().contains("role \"nobody-knows\" does not exist"), "{error}");
}

async fn sqlx_as(settings: &Settings, statement: &'static str) -> Result<(), sqlx::Error> {
    use sqlx::{Connection as _, Executor as _};
    let options = sqlx::postgres::PgConnectOptions::new_without_pgpass()
        .host(&settings.host)
        .port(settings.port)
        .username(&settings.user)
        .database(&settings.dbname);
    sqlx::PgConnection::connect_with(&options).await?.execute(statement).await.map(drop)
}
