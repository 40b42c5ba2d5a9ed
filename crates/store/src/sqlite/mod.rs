//! The store on SQLite.

mod accept;
mod alerts;
mod ask;
mod audit;
mod claims;
mod failure;
mod history;
mod maintain;
mod many;
mod outbox;
mod remove;

use std::path::Path;
use std::time::{Duration, Instant};

use pricemonitor_model::{MonitorId, Time};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqlitePool, Transaction};

use crate::claim::MonitorKey;
use crate::error::{Error, Result};
use failure::failure;

/// Questions that are answered at the same time; more wait.
const READERS: u32 = 4;
/// How long a writer waits for another one, in this process or another.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries of what SQLite does not wait for itself.
const PAUSE: Duration = Duration::from_millis(20);

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// One SQLite file.
///
/// There is one connection for all writers, which wait for it in order, so that the writers of this
/// process never meet SQLite's own lock; readers see the last commit and block nobody.
#[derive(Clone, Debug)]
pub(crate) struct Sqlite {
    write: SqlitePool,
    read: SqlitePool,
}

/// A transaction.
type Tx = Transaction<'static, sqlx::Sqlite>;

impl Sqlite {
    pub(crate) async fn open(path: &Path) -> Result<Sqlite> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|error| Error::file("cannot make the folder", folder, &error))?;
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(PATIENCE)
            .foreign_keys(true)
            // Long write-ahead logs (128 MB) save writing the same page again and again under load.
            .pragma("wal_autocheckpoint", "32768")
            .pragma("journal_size_limit", "67108864")
            .row_buffer_size(256)
            .disable_statement_logging();
        let failed = |error| failure(&format!("cannot open the database {}", path.display()), &error);
        prepare(path, &options).await?;
        // Room for the last page of very many series; what is not needed is not taken.
        let writer = options.clone().pragma("cache_size", "-65536").pragma("temp_store", "MEMORY");
        let write = pool(1).connect_with(writer).await.map_err(failed)?;
        let read = pool(READERS).connect_with(options.pragma("query_only", "1")).await.map_err(failed)?;
        Ok(Sqlite { write, read })
    }

    pub(crate) async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    pub(crate) async fn register(
        &self,
        monitor: &MonitorId,
        retention: Duration,
        now: Time,
    ) -> Result<MonitorKey> {
        let retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        // The same again at every start must not cost a write.
        let known = sqlx::query("SELECT id FROM monitors WHERE monitor = ?1 AND retention = ?2")
            .bind(monitor.as_str())
            .bind(retention)
            .fetch_optional(&self.read)
            .await
            .map_err(|error| failure("cannot look up the monitor", &error))?;
        if let Some(row) = known {
            return Ok(MonitorKey(row.get(0)));
        }
        let row = sqlx::query(
            "INSERT INTO monitors (monitor, retention, registered_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (monitor) DO UPDATE SET retention = excluded.retention RETURNING id",
        )
        .bind(monitor.as_str())
        .bind(retention)
        .bind(now.millis())
        .fetch_one(&self.write)
        .await
        .map_err(|error| failure("cannot register the monitor", &error))?;
        Ok(MonitorKey(row.get(0)))
    }

    /// Begins a transaction that has the right to write from the start.
    async fn begin(&self) -> Result<Tx> {
        let begun = self.write.begin_with("BEGIN IMMEDIATE").await;
        begun.map_err(|error| failure("cannot begin to write to the database", &error))
    }

    /// Begins a transaction in which all questions have one state of the data before them.
    async fn look(&self) -> Result<Tx> {
        self.read.begin().await.map_err(|error| failure("cannot read the database", &error))
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE * 3)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// Makes the file what this program needs, whoever else does the same at this moment.
///
/// Neither the switch to a write-ahead log nor a transaction that began by reading waits for another
/// process: SQLite refuses them at once, without its busy timeout, because two that wait so for each
/// other would wait for ever (sqlite.org/c3ref/busy_handler.html). So we come again.
async fn prepare(path: &Path, options: &SqliteConnectOptions) -> Result<()> {
    let failed = |error| failure(&format!("cannot open the database {}", path.display()), &error);
    let give_up = Instant::now() + PATIENCE;
    let result = loop {
        let result = migrate(options).await;
        if !matches!(&result, Err(error) if passes(error)) || Instant::now() > give_up {
            break result;
        }
        tokio::time::sleep(PAUSE).await;
    };
    match result {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(version)) => Err(Error::Newer(format!(
            "the database {} has schema version {version}, written by a newer PriceMonitor; this one knows up to {}: \
             upgrade it, or choose another data folder",
            path.display(),
            MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
        ))),
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => Err(failed(error)),
        Err(error) => {
            Err(Error::Storage(format!("the tables of {} cannot be migrated: {error}", path.display())))
        }
    }
}

/// Brings the tables to this program's version. The write-ahead log is a property of the file: those
/// that open it later find it so.
async fn migrate(options: &SqliteConnectOptions) -> std::result::Result<(), MigrateError> {
    let mut connection = options.clone().journal_mode(SqliteJournalMode::Wal).connect().await?;
    let mut result = MIGRATIONS.run(&mut connection).await;
    if result.is_err() {
        // Another process may have made the tables between our look and our turn.
        result = MIGRATIONS.run(&mut connection).await;
    }
    connection.close().await?;
    result
}

/// Whether another process was in the way, for a moment.
fn passes(error: &MigrateError) -> bool {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failure::locked(error),
        _ => false,
    }
}
