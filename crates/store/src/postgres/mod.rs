//! The store on PostgreSQL, for any number of processes and monitors.

mod accept;
mod address;
mod alerts;
mod ask;
mod audit;
mod claims;
mod failure;
mod history;
mod maintain;
mod migrate;
mod outbox;
mod settings;
mod values;

use std::future::Future;
use std::time::Duration;

use pricemonitor_model::{MonitorId, Time};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool, Row as _, Transaction};

pub use migrate::{Roles, migrate};
pub use settings::{Settings, Tls, TlsMode};

use crate::claim::MonitorKey;
use crate::error::{Error, Result};
use failure::failure;
use values::Stamp;

/// Longest wait for a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// What every connection is told first. Statements and waits for locks have an end; a process that stands still
/// in a transaction (stopped, or cut off) loses it, so that its successor waits for seconds at most. Plans are
/// made for the values at hand: which months a question touches is in them.
const SESSION: &str = "SET statement_timeout = '60s'; SET lock_timeout = '15s'; \
    SET idle_in_transaction_session_timeout = '5s'; SET timezone = 'UTC'; SET jit = off; \
    SET plan_cache_mode = force_custom_plan; SET client_min_messages = warning";

/// Longest that one call may take: what the server allows a statement, and a little. A server that is cut off
/// without a word would never answer.
const LONGEST: Duration = Duration::from_secs(75);
/// The same for a call that writes little.
const SHORT: Duration = Duration::from_secs(25);
/// The same for housekeeping, which is many statements.
const CHORE: Duration = Duration::from_secs(45 * 60);
/// Longest that a connection may take to say that it is alive.
const ALIVE: Duration = Duration::from_secs(2);

/// One database.
#[derive(Clone, Debug)]
pub(crate) struct Postgres {
    pool: PgPool,
}

/// A transaction.
type Tx = Transaction<'static, sqlx::Postgres>;

impl Postgres {
    pub(crate) async fn open(settings: &Settings) -> Result<Postgres> {
        let mut connection = connect(settings).await?;
        migrate::check(settings, &mut connection).await?;
        let failed = |error| failure(&format!("cannot use {}", settings.place()), &error);
        connection.close().await.map_err(failed)?;
        let pool = PgPoolOptions::new()
            .max_connections(settings.connections.max(2))
            .acquire_timeout(PATIENCE)
            .after_connect(|connection, _| {
                Box::pin(async move { connection.execute(SESSION).await.map(drop) })
            })
            // Whoever was in use a moment ago is alive; one that is not is found within seconds.
            .test_before_acquire(false)
            .before_acquire(|connection, state| {
                Box::pin(async move {
                    if state.idle_for > Duration::from_secs(1) {
                        alive(connection).await?;
                    }
                    Ok(true)
                })
            })
            .after_release(|connection, _| Box::pin(async move { alive(connection).await.map(|()| true) }))
            .connect_lazy_with(settings.options());
        Ok(Postgres { pool })
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) async fn register(
        &self,
        monitor: &MonitorId,
        retention: Duration,
        now: Time,
    ) -> Result<MonitorKey> {
        let row = sqlx::query(
            // The same again at every start must not cost a write.
            "WITH known AS (SELECT id FROM monitors WHERE monitor = $1 AND retention_ms = $2),
                  made AS (INSERT INTO monitors (monitor, retention_ms, registered_at)
                           SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM known)
                           ON CONFLICT (monitor) DO UPDATE SET retention_ms = excluded.retention_ms RETURNING id)
             SELECT id FROM known UNION ALL SELECT id FROM made",
        )
        .bind(monitor.as_str())
        .bind(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX))
        .bind(Stamp(now))
        .fetch_one(&self.pool)
        .await
        .map_err(|error| failure("cannot register the monitor", &error))?;
        Ok(MonitorKey(row.get::<i32, _>(0).into()))
    }

    /// Begins a transaction in which all questions have one state of the data before them.
    async fn look(&self) -> Result<Tx> {
        let begun = self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await;
        begun.map_err(|error| failure("cannot read the database", &error))
    }
}

/// Whether a connection answers; what was left half-done on it is done or taken back then.
async fn alive(connection: &mut PgConnection) -> std::result::Result<(), sqlx::Error> {
    let answer = tokio::time::timeout(ALIVE, connection.ping()).await;
    answer.map_err(|_| sqlx::Error::PoolTimedOut)?
}

/// A call that may look at much, with an end.
pub(crate) async fn long<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    bounded(LONGEST, call).await
}

/// A call that writes or reads little, with an end.
pub(crate) async fn short<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    bounded(SHORT, call).await
}

/// A call that tidies up, with an end: what it has done until then is done.
pub(crate) async fn chore<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    bounded(CHORE, call).await
}

async fn bounded<T>(limit: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    // On the heap: what sqlx keeps of a connection that it may have to make is some 100 KB, and whoever calls several of
    // these would have all of them on its stack.
    let done = tokio::time::timeout(limit, Box::pin(call)).await;
    done.unwrap_or_else(|_| {
        Err(Error::Busy(format!("the database gave no answer within {} s", limit.as_secs())))
    })
}

/// A connection of its own, so that the server's answer is known.
async fn connect(settings: &Settings) -> Result<PgConnection> {
    let place = settings.place();
    let doing = format!("cannot connect to {place}");
    let options = settings.options();
    let connected = tokio::time::timeout(PATIENCE, PgConnection::connect_with(&options)).await;
    let mut connection = connected
        .map_err(|_| Error::Busy(format!("{doing}: no answer within {} s", PATIENCE.as_secs())))?
        .map_err(|error| failure(&doing, &error))?;
    connection.execute(SESSION).await.map_err(|error| failure(&doing, &error))?;
    Ok(connection)
}
