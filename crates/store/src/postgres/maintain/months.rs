//! The months that `price_history` is parted into.

use pricemonitor_model::Time;
use sqlx::{PgConnection, Row as _};

use super::super::failure::failure;
use super::super::values::Stamp;
use super::retention::Kept;
use crate::error::Result;

/// Months that are made ahead; a schedule publishes days ahead, not months.
const AHEAD: i64 = 3;
/// Farthest ahead that rows of the default partition get a month of their own.
const FARTHEST: i64 = 13;
const DAY: i64 = 86_400_000;

/// Makes the months around `now` that are missing; tells their names.
pub(in super::super) async fn ahead(connection: &mut PgConnection, now: Time) -> Result<Vec<String>> {
    let mut made = Vec::new();
    for month in -1..=AHEAD {
        let row = sqlx::query(
            "SELECT to_char(month AT TIME ZONE 'UTC', 'YYYY-MM'), price_history_add_month(month) IS NOT NULL
             FROM (SELECT date_trunc('month', $1, 'UTC') + make_interval(months => $2) AS month)",
        )
        .bind(Stamp(now))
        .bind(month as i32)
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| failure("cannot make partitions of price_history", &error))?;
        if row.get(1) {
            made.push(row.get(0));
        }
    }
    Ok(made)
}

/// Gives the months that the default partition has rows of partitions of their own, as far as any monitor
/// keeps them.
pub(super) async fn sort(connection: &mut PgConnection, monitors: &[Kept], now: Time) -> Result<()> {
    let failed = |error| failure("cannot make partitions of price_history", &error);
    let Some(from) = monitors.iter().map(|monitor| monitor.cut).min() else { return Ok(()) };
    let months: Vec<Stamp> = sqlx::query_scalar(
        "SELECT DISTINCT date_trunc('month', at, 'UTC') FROM price_history_default
         WHERE at >= $1 AND at < $2 ORDER BY 1",
    )
    .bind(Stamp(from))
    .bind(Stamp(now.plus(FARTHEST * 30 * DAY)))
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    for month in months {
        sqlx::query("SELECT price_history_add_month($1)")
            .bind(month)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

/// Drops the months that lie wholly before `cut`. Tells how many rows went with them.
pub(super) async fn drop_before(connection: &mut PgConnection, cut: Time) -> Result<u64> {
    let failed = |error| failure("cannot drop partitions of price_history", &error);
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'price_history'::regclass AND c.relname ~ '^price_history_[0-9]{4}_[0-9]{2}$'
           AND (to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month') AT TIME ZONE 'UTC' <= $1
         ORDER BY 1",
    )
    .bind(Stamp(cut))
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    let mut gone = 0;
    for name in names {
        let month = &name[name.len() - 7..];
        let rows: Option<i64> = sqlx::query_scalar(
            "SELECT price_history_drop_month(to_date($1, 'YYYY_MM')::timestamp AT TIME ZONE 'UTC')",
        )
        .bind(month)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
        gone += rows.unwrap_or_default().unsigned_abs();
    }
    Ok(gone)
}

/// How many rows lie in the default partition.
pub(super) async fn unsorted(connection: &mut PgConnection) -> Result<u64> {
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM price_history_default")
        .fetch_one(connection)
        .await
        .map_err(|error| failure("cannot count the rows of price_history_default", &error))?;
    Ok(rows.unsigned_abs())
}
