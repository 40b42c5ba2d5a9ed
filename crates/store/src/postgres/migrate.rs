//! The tables: made, brought up to date, checked.

use std::time::{Duration, SystemTime};

use pricemonitor_model::Time;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};

use super::connect;
use super::failure::{Meaning, failure, meaning};
use super::settings::Settings;
use crate::error::{Error, Result};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/postgres");
/// Where the versions are written down. Other programs in the same schema may use sqlx too, so not its
/// usual name.
const VERSIONS: &str = "pricemonitor_migrations";
/// Longest wait for another one that is at it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Roles that get rights on the tables. They must exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// May read and write rows and call the functions that make and drop months.
    pub workers: Vec<String>,
    /// May read.
    pub readers: Vec<String>,
}

/// Makes the tables or brings them up to date, makes the months around now and grants rights. Tells what was
/// done, a sentence each; nothing when there was nothing to do.
///
/// # Guarantees
/// May be called any number of times and by several at once: one does the work, the others wait (two minutes at
/// most). Tables of a newer program are left as they are.
///
/// # Errors
/// [`Error::Newer`] when the tables belong to a program that does without this one, [`Error::Refused`] when the
/// role may not make tables or one of `roles` does not exist, a transient one while the server is away.
pub async fn migrate(settings: &Settings, roles: &Roles) -> Result<Vec<String>> {
    let mut connection = connect(settings).await?;
    let place = settings.place();
    let doing = format!("cannot prepare {place}");
    let failed = |error: sqlx::Error| failure(&doing, &error);
    let patience = format!("SET lock_timeout = '{0}s'; SET statement_timeout = '{0}s'", PATIENCE.as_secs());
    connection.execute(sqlx::AssertSqlSafe(patience)).await.map_err(failed)?;
    // Held until the connection ends.
    connection.execute("SELECT pg_advisory_lock(1886613097, 0)").await.map_err(failed)?;
    let before = version(&mut connection).await.map_err(failed)?;
    if before.is_some() {
        compatible(settings, &mut connection).await?;
    }
    run(&mut connection).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failure(&doing, &error),
        other => Error::Storage(format!("{doing}: {other}")),
    })?;
    let after = version(&mut connection).await.map_err(failed)?;
    let mut done = Vec::new();
    if before != after {
        let version = after.unwrap_or_default();
        done.push(match before {
            None => format!("made the tables of schema version {version} in {place}"),
            Some(before) => {
                format!("brought the tables in {place} from schema version {before} to {version}")
            }
        });
    }
    let made = super::maintain::months::ahead(&mut connection, now()).await?;
    if !made.is_empty() {
        done.push(format!("made partitions of price_history for {}", made.join(", ")));
    }
    for (role, readers) in
        roles.workers.iter().map(|role| (role, false)).chain(roles.readers.iter().map(|role| (role, true)))
    {
        grant(&mut connection, role, readers).await.map_err(failed)?;
        done.push(format!("granted {role} to {} the tables", if readers { "read" } else { "write" }));
    }
    connection.close().await.map_err(failed)?;
    Ok(done)
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// This program's migrations under our own name for the list of versions.
async fn run(connection: &mut PgConnection) -> std::result::Result<(), MigrateError> {
    let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
    migrator.dangerous_set_table_name(VERSIONS);
    // What a newer program has added is well; see `compatible`.
    migrator.set_ignore_missing(true);
    migrator.run(connection).await
}

/// The latest schema version in the database; `None` without tables.
async fn version(connection: &mut PgConnection) -> std::result::Result<Option<i64>, sqlx::Error> {
    let found =
        sqlx::query(sqlx::AssertSqlSafe(format!("SELECT max(version) FROM {VERSIONS} WHERE success")))
            .fetch_one(connection)
            .await;
    match found {
        Ok(row) => Ok(row.get(0)),
        Err(error) if matches!(meaning(&error), Meaning::Unprepared) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The schema version that this program needs.
fn needed() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Whether this program may use the tables as they are.
pub(super) async fn check(settings: &Settings, connection: &mut PgConnection) -> Result<()> {
    let place = settings.place();
    let found =
        version(connection).await.map_err(|error| failure(&format!("cannot read {place}"), &error))?;
    let run = "run `pricemonitor setup`";
    match found {
        None => Err(Error::Unprepared(format!("{place} has no tables of PriceMonitor yet: {run}"))),
        Some(version) if version < needed() => Err(Error::Unprepared(format!(
            "{place} has schema version {version}, this program needs {}: {run}",
            needed()
        ))),
        Some(_) => compatible(settings, connection).await,
    }
}

/// Whether the tables still allow this program, which may be older than they are.
async fn compatible(settings: &Settings, connection: &mut PgConnection) -> Result<()> {
    let place = settings.place();
    let oldest: i64 = sqlx::query_scalar("SELECT oldest_program FROM schema_compatibility")
        .fetch_one(connection)
        .await
        .map_err(|error| failure(&format!("cannot read {place}"), &error))?;
    if oldest <= needed() {
        return Ok(());
    }
    Err(Error::Newer(format!(
        "{place} belongs to a newer PriceMonitor: it wants programs that know schema version {oldest}, this one knows \
         up to {}: upgrade it",
        needed()
    )))
}

/// Grants a role the rights it needs.
async fn grant(
    connection: &mut PgConnection,
    role: &str,
    reader: bool,
) -> std::result::Result<(), sqlx::Error> {
    const TABLES: &str = "monitors, events, series, price_history, price_history_default, price_hourly, price_hourly_stale, \
        housekeeping, price_drop_alerts, alert_deliveries, channel_leases, sink_offsets";
    let quoted = format!("\"{}\"", role.replace('"', "\"\""));
    let schema: String =
        sqlx::query_scalar("SELECT quote_ident(current_schema())").fetch_one(&mut *connection).await?;
    let rights = if reader { "SELECT" } else { "SELECT, INSERT, UPDATE, DELETE" };
    let mut sql = format!(
        "GRANT USAGE ON SCHEMA {schema} TO {quoted}; GRANT {rights} ON {TABLES} TO {quoted}; \
         GRANT SELECT ON schema_compatibility, {VERSIONS} TO {quoted};"
    );
    if !reader {
        sql.push_str(&format!(
            "GRANT EXECUTE ON FUNCTION price_history_add_month(timestamptz), \
             price_history_drop_month(timestamptz) TO {quoted};"
        ));
    }
    connection.execute(sqlx::AssertSqlSafe(sql)).await.map(drop)
}
