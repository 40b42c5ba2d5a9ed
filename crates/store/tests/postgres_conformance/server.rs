//! One server for the whole program, a database of its own for every test.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use pricemonitor_store::postgres::{Roles, Settings, migrate};
use pricemonitor_testkit::postgres::{Options, Postgres};
use tokio::sync::OnceCell;

/// It ends with the process.
static SERVER: LazyLock<Postgres> = LazyLock::new(|| {
    let settings = vec![("max_connections".to_owned(), "300".to_owned())];
    apart(|| Postgres::start(&Options { settings, ..Options::default() }).unwrap())
});
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// Runs statements as the server's owner.
pub(crate) fn sql(statements: &str) -> Vec<Vec<String>> {
    apart(|| SERVER.rows(statements).unwrap())
}

/// The testkit waits with a runtime of its own, which it may not within another one.
pub(crate) fn apart<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

/// An empty database.
pub(crate) fn empty() -> Settings {
    let name = format!("d{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    sql(&format!("CREATE DATABASE {name}"));
    Settings::from_url(&SERVER.url(&name)).unwrap()
}

/// A database with tables: a copy of one that was prepared once.
pub(crate) async fn prepared() -> Settings {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(async || {
        let settings = empty();
        migrate(&settings, &Roles::default()).await.unwrap();
        settings.dbname
    });
    let template = template.await;
    let name = format!("d{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    sql(&format!("CREATE DATABASE {name} TEMPLATE {template}"));
    Settings::from_url(&SERVER.url(&name)).unwrap()
}

/// Runs statements in a database; tells the first column of the last one's rows as text.
pub(crate) async fn sql_in(settings: &Settings, statements: &str) -> Vec<String> {
    use sqlx::{Connection as _, Executor as _, Row as _};
    let options = sqlx::postgres::PgConnectOptions::new_without_pgpass()
        .host(&settings.host)
        .port(settings.port)
        .username("postgres")
        .database(&settings.dbname);
    let mut connection = sqlx::PgConnection::connect_with(&options).await.unwrap();
    let rows = connection.fetch_all(sqlx::AssertSqlSafe(statements.to_owned())).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(0)).collect()
}
