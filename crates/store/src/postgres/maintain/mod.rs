//! Housekeeping. Of several processes that are at it at the same time, one does the work.

mod delete;
mod hours;
pub(super) mod months;
mod remove;
mod retention;
mod tidy;

use pricemonitor_model::Time;
use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, Executor as _, PgConnection, Transaction};

use super::Postgres;
use super::failure::failure;
use crate::claim::Maintained;
use crate::error::Result;

/// Sums and moves of months may take long; whoever writes waits for no lock of theirs for long.
const SESSION: &str = "SET statement_timeout = '600s'; SET lock_timeout = '5s'";

impl Postgres {
    pub(crate) async fn maintain(&self, now: Time) -> Result<Maintained> {
        let mut connection = self.housekeeper().await?;
        let alone: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(1886613097, 2)")
            .fetch_one(&mut *connection)
            .await
            .map_err(|error| failure("cannot begin housekeeping", &error))?;
        if !alone {
            return Ok(Maintained::default());
        }
        let connection = &mut *connection;
        let monitors = retention::monitors(connection, now).await?;
        optional(months::ahead(connection, now).await.map(drop))?;
        optional(months::sort(connection, &monitors, now).await)?;
        hours::close(connection, now).await?;
        let mut done = Maintained::default();
        let touched = retention::prices(connection, &monitors, &mut done).await?;
        done.alerts = retention::alerts(connection, &monitors).await?;
        done.series = tidy::series(connection, &touched).await?;
        done.unsorted = Some(months::unsorted(connection).await?);
        // Whoever calls next finds it free, however long the server takes to end this connection.
        let unlock = connection.execute("SELECT pg_advisory_unlock(1886613097, 2)").await;
        unlock.map_err(|error| failure("cannot end housekeeping", &error))?;
        Ok(done)
    }

    /// A connection that holds locks beyond a transaction. It is closed in the end, however that comes, and
    /// its locks go with it.
    async fn housekeeper(&self) -> Result<PoolConnection<sqlx::Postgres>> {
        let failed = |error| failure("cannot begin housekeeping", &error);
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        connection.close_on_drop();
        connection.execute(SESSION).await.map_err(failed)?;
        Ok(connection)
    }
}

/// What may wait for the next turn: the role may not do it, or a lock was not had. Rows lie in the default
/// partition meanwhile, where they are as good as elsewhere.
fn optional(result: Result<()>) -> Result<()> {
    use crate::error::Error;
    match result {
        Err(error @ (Error::Refused(_) | Error::Busy(_))) => {
            tracing::warn!(%error, "partitions of price_history stay as they are for now");
            Ok(())
        }
        other => other,
    }
}

/// Begins a transaction that no writer of history is in the middle of.
async fn exclusive<'c>(
    connection: &'c mut PgConnection,
    doing: &str,
) -> Result<Transaction<'c, sqlx::Postgres>> {
    let failed = |error| failure(doing, &error);
    let mut tx = connection.begin().await.map_err(failed)?;
    tx.execute("SELECT pg_advisory_xact_lock(1886613097, 1)").await.map_err(failed)?;
    Ok(tx)
}
